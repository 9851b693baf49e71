/* SPDX-License-Identifier: MIT */
#include "modes/linger.h"

#include <stdlib.h>
#include <utlist.h>

#include "proto/buf.h"
#include "proto/container.h"

#define BLOCKED_MS 60000
#define SENT_MS    2000

struct lingering {
	struct lingering *next, *prev;
	struct lingers *all;
	struct end *end; /* NULL: gone */
	bool eof, flushed;
	struct deadline deadline;
};

static void drop(struct lingering *l, enum reason why)
{
	struct lingers *all = l->all;

	deadline_clear(&l->deadline);
	if (l->end)
		end_drop(l->end, why);
	DL_DELETE(all->first, l);
	free(l);
	all->ended(all);
}

/* What has left may wait in the kernel for a peer that is slow: then it is not
 * reset. */
static void on_over(struct deadline *d)
{
	struct lingering *l = container_of(d, struct lingering, deadline);

	drop(l, l->flushed ? REASON_DONE : REASON_TIMED_OUT);
}

/* Towards gowsp, what is not told to have left holds up all other streams. */
static void on_data(struct end *e, struct bufq *q)
{
	size_t n = q->bytes;

	bufq_clear(q);
	end_left(e, n);
}

static void on_sent(struct end *e, size_t n)
{
	struct lingering *l = e->user;

	(void)n;
	if (!l->flushed)
		deadline_set(l->all->worker, &l->deadline, BLOCKED_MS, on_over);
}

static void on_ready(struct end *e, size_t n)
{
	(void)e;
	(void)n;
}

static void on_eof(struct end *e)
{
	struct lingering *l = e->user;

	l->eof = true;
	if (l->flushed)
		drop(l, REASON_DONE);
}

static void on_flushed(struct end *e)
{
	struct lingering *l = e->user;

	l->flushed = true;
	if (l->eof)
		drop(l, REASON_DONE);
	else
		deadline_set(l->all->worker, &l->deadline, SENT_MS, on_over);
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	struct lingering *l = e->user;

	(void)detail;
	l->end = NULL;
	drop(l, why);
}

static const struct end_events events = {
	.data = on_data,
	.sent = on_sent,
	.ready = on_ready,
	.eof = on_eof,
	.flushed = on_flushed,
	.dead = on_dead,
};

void linger_start(struct lingers *all, struct end *e, bool eof)
{
	struct lingering *l = calloc(1, sizeof(*l));

	if (!l) {
		end_drop(e, REASON_NO_MEMORY);
		return;
	}
	l->all = all;
	l->end = e;
	l->eof = eof;
	DL_APPEND(all->first, l);
	end_use(e, &events, l);
	deadline_set(all->worker, &l->deadline, BLOCKED_MS, on_over);
	end_fin(e);
	end_read(e, eof ? 0 : BUF_MAX);
}

void lingers_drop(struct lingers *all, enum reason why)
{
	while (all->first)
		drop(all->first, why);
}
