/* SPDX-License-Identifier: MIT */
#include "core/relay.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "core/log.h"
#include "proto/buf.h"
#include "proto/container.h"

struct relay {
	struct relay *next, *prev;
	struct relays *all;
	struct end *side[SIDES];
	uint64_t bytes[SIDES]; /* sent by side i */
	uint64_t left[SIDES];  /* of these, as side i was told */
	size_t unsent;         /* of side 0: not ours, so not to be counted */
	size_t room[SIDES];    /* what side i takes */
	size_t waiting[SIDES]; /* given to side i, and has not left */
	size_t ahead;          /* so much of that is allowed; 0: any */
	struct worker *worker;
	struct deadline half; /* side 1 has ended: is side 0 still there? */
	uint64_t half_ms;
	uint64_t moved;      /* bytes from side 0, and those that left to it */
	uint64_t half_moved; /* when that was asked last */
	bool eof[SIDES];     /* side i will send no more */
	bool flushed[SIDES]; /* side i's output has been half-closed */
	char *name;          /* NULL unless it will be logged */
};

static int side_of(const struct end *e)
{
	const struct relay *r = e->user;

	return e == r->side[1];
}

/* The one way to die. gone: the side that has failed and freed itself, or
 * SIDES. */
static void relay_end(struct relay *r, int gone, enum reason why)
{
	struct relays *all = r->all;

	for (int i = 0; i < SIDES; i++)
		if (i != gone)
			end_drop(r->side[i], why);
	log_debug(r->name, "%s; %llu bytes up, %llu down", reason_text(why),
		  (unsigned long long)r->bytes[0],
		  (unsigned long long)r->bytes[1]);
	deadline_clear(&r->half);
	DL_DELETE(all->first, r);
	all->count--;
	free(r->name);
	free(r);
	if (all->count == 0 && all->idle)
		all->idle(all);
}

/* Let side i deliver what the other one takes and may have waiting. */
static void read_side(struct relay *r, int i)
{
	size_t n = r->room[!i], waits = r->waiting[!i];

	if (r->ahead && n > r->ahead)
		n = r->ahead;
	if (r->ahead)
		n = n > waits ? n - waits : 0;
	end_read(r->side[i], r->eof[i] ? 0 : n);
}

/* What side 0 was sent may wait in the kernel for a peer that is slow: it is
 * not in vain, unlike what the peer says now. */
static void on_half_over(struct deadline *d)
{
	struct relay *r = container_of(d, struct relay, half);

	if (r->moved == r->half_moved) {
		relay_end(r, SIDES,
			  r->flushed[0] ? REASON_DONE : REASON_TIMED_OUT);
		return;
	}
	r->half_moved = r->moved;
	deadline_set(r->worker, d, r->half_ms, on_half_over);
}

/* Side i will send no more, or nothing that is wanted. */
static void finish_side(struct relay *r, int i)
{
	if (r->eof[i])
		return;
	r->eof[i] = true;
	read_side(r, i);
	end_fin(r->side[!i]);
	r->half_moved = r->moved;
	if (i == 1 && r->half_ms)
		deadline_set(r->worker, &r->half, r->half_ms, on_half_over);
}

/* n of the bytes that side i has sent have left the process. */
static void tell_left(struct relay *r, int i, size_t n)
{
	if (!n)
		return;
	r->left[i] += n;
	end_left(r->side[i], n);
}

static void on_data(struct end *e, struct bufq *q)
{
	struct relay *r = e->user;
	int i = side_of(e);

	r->bytes[i] += q->bytes;
	if (i == 0)
		r->moved += q->bytes;
	r->waiting[!i] += q->bytes;
	r->room[!i] = end_send(r->side[!i], q);
	read_side(r, i);
}

/* It would have to be copied, for side !i has no room: better let it wait where
 * it is. */
static void on_near(struct end *e)
{
	struct relay *r = e->user;
	int i = side_of(e);

	if (end_aside_now(r->side[!i]))
		return;
	r->room[!i] = 0;
	read_side(r, i);
}

static void on_sent(struct end *e, size_t n)
{
	struct relay *r = e->user;
	int i = side_of(e);
	size_t others = i == 0 ? r->unsent : 0;

	if (i == 0)
		r->moved += n;
	if (others > n)
		others = n;
	r->unsent -= others;
	n -= others;
	/* what side 1 was given before is not counted here */
	r->waiting[i] -= n < r->waiting[i] ? n : r->waiting[i];
	tell_left(r, !i, n);
	if (r->ahead)
		read_side(r, !i);
}

static void on_ready(struct end *e, size_t n)
{
	struct relay *r = e->user;
	int i = side_of(e);

	r->room[i] = n;
	read_side(r, !i);
}

static void on_eof(struct end *e)
{
	finish_side(e->user, side_of(e));
}

static void on_flushed(struct end *e)
{
	struct relay *r = e->user;

	int i = side_of(e);

	r->flushed[i] = true;
	if (r->flushed[!i])
		relay_end(r, SIDES, REASON_DONE);
	else if (r->bytes[!i] > r->left[!i]) /* streams tell it only so */
		tell_left(r, !i, r->bytes[!i] - r->left[!i]);
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	(void)detail;
	relay_end(e->user, side_of(e), why);
}

/* An end that is joined while it opens has told somebody else already. */
static void on_opened(struct end *e, const char *bound)
{
	(void)e;
	(void)bound;
}

static const struct end_events relay_events = {
	.opened = on_opened,
	.near = on_near,
	.data = on_data,
	.sent = on_sent,
	.ready = on_ready,
	.eof = on_eof,
	.flushed = on_flushed,
	.dead = on_dead,
};

/* What side i takes now: asked by sending nothing. Nobody sends to side 1
 * behind the end of side 0. */
static size_t room(struct relay *r, int i)
{
	struct bufq q;

	bufq_init(&q);
	return i == 1 && r->eof[0] ? 0 : end_send(r->side[i], &q);
}

bool relay_start(struct relays *all, const struct relay_spec *spec)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (!r)
		return false;
	r->all = all;
	r->eof[0] = spec->eof;
	r->flushed[1] = spec->flushed;
	r->bytes[0] = spec->bytes;
	r->unsent = spec->unsent;
	r->ahead = spec->ahead;
	r->worker = spec->worker;
	r->half_ms = spec->half_ms;
	if (log_on(LOG_DEBUG))
		r->name = strdup(spec->name);
	DL_APPEND(all->first, r);
	all->count++;
	for (int i = 0; i < SIDES; i++) {
		r->side[i] = spec->side[i];
		end_use(r->side[i], &relay_events, r);
		r->room[i] = room(r, i);
	}
	for (int i = 0; i < SIDES; i++) {
		if (end_takes_aside(r->side[!i]))
			end_give_aside(r->side[i]);
		if (!r->eof[i])
			read_side(r, i);
	}
	if (spec->over)
		finish_side(r, 1);
	return true;
}

void relays_drop(struct relays *all, enum reason why)
{
	while (all->first)
		relay_end(all->first, SIDES, why);
}
