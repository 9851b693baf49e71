/* SPDX-License-Identifier: MIT */
#include "core/relay.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "core/log.h"
#include "proto/buf.h"

struct relay {
	struct relay *next, *prev;
	struct relays *all;
	struct end *side[SIDES];
	uint64_t bytes[SIDES]; /* sent by side i */
	size_t unsent;         /* of side 0: not ours, so not to be counted */
	bool eof[SIDES];       /* side i will send no more */
	bool flushed[SIDES];   /* side i's output has been half-closed */
	struct relay_filter *filter;
	char *name; /* NULL unless it will be logged */
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
	DL_DELETE(all->first, r);
	all->count--;
	if (r->filter)
		r->filter->free(r->filter);
	free(r->name);
	free(r);
	if (all->count == 0 && all->idle)
		all->idle(all);
}

/* Cut from q, which side i has sent, what the filter does not let pass. */
static void apply_filter(struct relay_filter *f, int i, struct bufq *q)
{
	size_t (*pass)(struct relay_filter *, const uint8_t *, size_t) =
		i == 0 ? f->pass : f->reply;
	struct bufq passed;
	struct buf *b;

	bufq_init(&passed);
	while ((b = bufq_get(q))) {
		b->len = (uint32_t)pass(f, buf_ptr(b), b->len);
		if (b->len)
			bufq_put(&passed, b);
		else
			buf_free(b);
	}
	bufq_move(q, &passed);
}

static void read_side(struct relay *r, int i, size_t n)
{
	end_read(r->side[i], r->eof[i] ? 0 : n);
}

/* Side i will send no more, or nothing that is wanted. */
static void finish_side(struct relay *r, int i)
{
	if (r->eof[i])
		return;
	r->eof[i] = true;
	read_side(r, i, 0);
	end_fin(r->side[!i]);
}

static void on_data(struct end *e, struct bufq *q)
{
	struct relay *r = e->user;
	int i = side_of(e);
	size_t arrived = q->bytes;

	if (r->filter) {
		apply_filter(r->filter, i, q);
		if (r->filter->broken(r->filter)) {
			bufq_clear(q);
			relay_end(r, SIDES, REASON_BAD_REQUEST);
			return;
		}
		end_left(e, arrived - q->bytes);
	}
	r->bytes[i] += q->bytes;
	read_side(r, i, end_send(r->side[!i], q));
	if (i == 1 && r->filter && r->filter->over(r->filter))
		finish_side(r, 1);
}

static void on_sent(struct end *e, size_t n)
{
	struct relay *r = e->user;
	int i = side_of(e);
	size_t others = i == 0 ? r->unsent : 0;

	if (others > n)
		others = n;
	r->unsent -= others;
	if (n > others)
		end_left(r->side[!i], n - others);
}

static void on_ready(struct end *e, size_t n)
{
	struct relay *r = e->user;

	read_side(r, !side_of(e), n);
}

static void on_eof(struct end *e)
{
	finish_side(e->user, side_of(e));
}

static void on_flushed(struct end *e)
{
	struct relay *r = e->user;

	r->flushed[side_of(e)] = true;
	if (r->flushed[0] && r->flushed[1])
		relay_end(r, SIDES, REASON_DONE);
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
	.data = on_data,
	.sent = on_sent,
	.ready = on_ready,
	.eof = on_eof,
	.flushed = on_flushed,
	.dead = on_dead,
};

/* What e takes now: asked by sending nothing. */
static size_t room(struct end *e)
{
	struct bufq q;

	bufq_init(&q);
	return end_send(e, &q);
}

bool relay_start(struct relays *all, const struct relay_spec *spec)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (!r)
		return false;
	r->all = all;
	r->filter = spec->filter;
	r->eof[0] = spec->eof;
	r->flushed[1] = spec->flushed;
	r->bytes[0] = spec->bytes;
	r->unsent = spec->unsent;
	if (log_on(LOG_DEBUG))
		r->name = strdup(spec->name);
	DL_APPEND(all->first, r);
	all->count++;
	for (int i = 0; i < SIDES; i++) {
		r->side[i] = spec->side[i];
		end_use(r->side[i], &relay_events, r);
	}
	for (int i = 0; i < SIDES; i++)
		if (!r->eof[i])
			end_read(r->side[i], room(r->side[!i]));
	return true;
}

void relays_drop(struct relays *all, enum reason why)
{
	while (all->first)
		relay_end(all->first, SIDES, why);
}
