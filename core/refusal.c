/* SPDX-License-Identifier: MIT */
#include "core/refusal.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "proto/buf.h"
#include "proto/container.h"

#define PEER_MS 2000

struct refusal {
	struct refusal *next, *prev;
	struct worker *w;
	struct end *lower;
	struct deadline deadline;
	bool mute;
	size_t len;
	char answer[];
};

static void refusal_free(struct refusal *r)
{
	deadline_clear(&r->deadline);
	DL_DELETE(r->w->refusals, r);
	r->w->nrefusals--;
	free(r);
}

static void refusal_drop(struct refusal *r, enum reason why)
{
	end_drop(r->lower, why);
	refusal_free(r);
}

static void on_data(struct end *e, struct bufq *q)
{
	(void)e;
	bufq_clear(q);
}

static void on_eof(struct end *e)
{
	refusal_drop(e->user, REASON_DONE);
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	(void)why;
	(void)detail;
	refusal_free(e->user);
}

static void on_nothing(struct end *e, size_t n)
{
	(void)e;
	(void)n;
}

static void on_flushed(struct end *e)
{
	(void)e;
}

static const struct end_events events = {
	.data = on_data,
	.sent = on_nothing,
	.ready = on_nothing,
	.flushed = on_flushed,
	.eof = on_eof,
	.dead = on_dead,
};

static void on_over(struct deadline *d)
{
	refusal_drop(container_of(d, struct refusal, deadline), REASON_DONE);
}

static void say(struct refusal *r)
{
	struct bufq q;
	struct buf b;

	bufq_init(&q);
	buf_lend(&b, (uint8_t *)r->answer, r->len);
	bufq_put(&q, &b);
	if (r->len)
		end_send(r->lower, &q);
	end_fin(r->lower);
	end_read(r->lower, BUF_MAX);
	deadline_set(r->w, &r->deadline, PEER_MS, on_over);
}

static void on_waited(struct deadline *d)
{
	struct refusal *r = container_of(d, struct refusal, deadline);

	if (r->mute)
		refusal_drop(r, REASON_UNAUTHORIZED);
	else
		say(r);
}

void refusal_start(struct worker *w, struct end *lower,
		   const struct penalty *penalty, const char *answer, size_t n)
{
	struct refusal *r = calloc(1, sizeof(*r) + n);

	if (!r) {
		end_drop(lower, REASON_NO_MEMORY);
		return;
	}
	if (w->nrefusals == REFUSALS_MAX)
		refusal_drop(w->refusals, REASON_LIMIT);
	r->w = w;
	r->lower = lower;
	r->mute = penalty->mute;
	r->len = n;
	memcpy(r->answer, answer, n);
	DL_APPEND(w->refusals, r);
	w->nrefusals++;
	end_use(lower, &events, r);
	if (!penalty->wait_ms) {
		say(r);
		return;
	}
	end_read(lower, 0);
	deadline_set(w, &r->deadline, penalty->wait_ms, on_waited);
}

void refusals_drop(struct worker *w)
{
	while (w->refusals)
		refusal_drop(w->refusals, REASON_STOPPING);
}
