/* SPDX-License-Identifier: MIT */
#include "modes/ask.h"

#include <assert.h>
#include <string.h>
#include <utlist.h>

#include "core/tunnel.h"
#include "proto/container.h"

#define EARLY_MAX (64 * 1024) /* kept while the tunnel is down */

static void clear(struct ask *a)
{
	deadline_clear(&a->deadline);
	bufq_clear(&a->early);
	DL_DELETE(a->all->first, a);
	a->stream = NULL;
	a->state = ASK_NO;
}

static void refuse(struct ask *a, enum reason why)
{
	ask_drop(a, why);
	a->ops->refused(a, why);
}

static void on_opened(struct end *e, const char *bound)
{
	struct ask *a = e->user;

	clear(a);
	a->ops->opened(a, e, bound);
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	struct ask *a = e->user;

	(void)detail;
	clear(a);
	a->ops->refused(a, why);
}

static void on_ready(struct end *e, size_t n)
{
	struct ask *a = e->user;

	a->ops->ready(a, n);
}

static void on_sent(struct end *e, size_t n)
{
	(void)e;
	(void)n;
}

static void on_flushed(struct end *e)
{
	struct ask *a = e->user;

	a->flushed = true;
}

/* Not read before it is somebody's: no data, no eof. */
static const struct end_events events = {
	.opened = on_opened,
	.sent = on_sent,
	.ready = on_ready,
	.flushed = on_flushed,
	.dead = on_dead,
};

static void on_over(struct deadline *d)
{
	struct ask *a = container_of(d, struct ask, deadline);

	refuse(a,
	       a->state == ASK_WAITING ? REASON_TUNNEL_DOWN : REASON_TIMED_OUT);
}

/* Ask the server, if it can be reached. DONE or why not. */
static enum reason open_stream(struct ask *a)
{
	struct asks *all = a->all;
	struct tunnel *t = all->tunnel(all->ctx);
	enum reason why;

	if (!t) {
		all->want(all->ctx);
		return REASON_DONE;
	}
	a->stream = tunnel_open(t, &a->target, &events, a, &why);
	if (!a->stream)
		return why;
	a->state = ASK_OPENING;
	return REASON_DONE;
}

void ask_init(struct ask *a, struct asks *all, const struct ask_ops *ops)
{
	memset(a, 0, sizeof(*a));
	a->all = all;
	a->ops = ops;
	bufq_init(&a->early);
}

enum reason ask_start(struct ask *a, const struct addr *target)
{
	enum reason why;

	assert(a->state == ASK_NO);
	a->target = *target;
	a->bytes = 0;
	a->fin = a->flushed = false;
	a->state = ASK_WAITING;
	DL_APPEND(a->all->first, a);
	deadline_set(a->all->worker, &a->deadline, a->all->timeout_ms, on_over);
	why = open_stream(a);
	if (why != REASON_DONE)
		clear(a);
	return why;
}

bool ask_send(struct ask *a, struct bufq *q, size_t *room)
{
	struct buf *b;
	bool kept = true;

	a->bytes += q->bytes;
	if (a->state == ASK_OPENING) {
		*room = end_send(a->stream, q);
		return true;
	}
	while ((b = bufq_get(q)))
		kept &= bufq_keep(&a->early, b, &a->all->worker->pool);
	*room = a->early.bytes < EARLY_MAX ? EARLY_MAX - a->early.bytes : 0;
	return kept;
}

void ask_fin(struct ask *a)
{
	if (a->fin)
		return;
	a->fin = true;
	if (a->state == ASK_OPENING)
		end_fin(a->stream);
}

void ask_drop(struct ask *a, enum reason why)
{
	struct end *stream = a->stream;

	if (a->state == ASK_NO)
		return;
	clear(a);
	if (stream)
		end_drop(stream, why);
}

/* The tunnel has come. */
static void go_on(struct ask *a)
{
	struct bufq early;
	enum reason why = open_stream(a);
	size_t room;

	if (why != REASON_DONE) {
		refuse(a, why);
		return;
	}
	if (a->state != ASK_OPENING)
		return;
	bufq_init(&early);
	bufq_move(&early, &a->early);
	room = end_send(a->stream, &early);
	if (a->fin)
		end_fin(a->stream);
	a->ops->ready(a, room);
}

void asks_wake(struct asks *all)
{
	struct ask *a, *next;

	DL_FOREACH_SAFE(all->first, a, next)
	if (a->state == ASK_WAITING)
		go_on(a);
}

bool asks_waiting(const struct asks *all)
{
	for (const struct ask *a = all->first; a; a = a->next)
		if (a->state == ASK_WAITING)
			return true;
	return false;
}

void asks_refuse(struct asks *all, enum reason why)
{
	struct ask *a, *next;

	DL_FOREACH_SAFE(all->first, a, next)
	if (a->state == ASK_WAITING)
		refuse(a, why);
}
