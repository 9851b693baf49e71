/* SPDX-License-Identifier: MIT */
/* The windows of streams: what we have promised to the peer, and what it has
 * promised to us. */
#include <utlist.h>

#include "proto/stream.h"

/* Credit or a notice of being blocked is due. */
void stream_give(struct stream *s)
{
	struct mux *m = s->mux;

	if (s->giving || !s->mux->config.native)
		return;
	s->giving = true;
	DL_APPEND2(m->gives, s, give_prev, give_next);
	m->ops->wake(m->ctx);
}

/* Windows. */

/* An eighth of what is beyond the smallest promises is kept for the first
 * windows of new streams; the rest is shared by the windows that have grown. */
static size_t growth_limit(const struct budget *b)
{
	return budget_extra_limit(b) / 8 * 7;
}

/* What one of the windows that have grown may have, s's being one. */
static uint32_t fair_share(const struct stream *s)
{
	const struct budget *b = s->mux->config.budget;
	size_t share = growth_limit(b) / (b->grown + !s->grown);

	if (share < MUX_GRANT_FIRST)
		share = MUX_GRANT_FIRST;
	return share < WINDOW_MAX ? (uint32_t)share : WINDOW_MAX;
}

/* The first window is larger while memory is plentiful. */
void stream_first_grant(struct stream *s)
{
	struct budget *b = s->mux->config.budget;
	uint32_t more = MUX_GRANT_FIRST - s->win.size;

	if (!s->mux->config.native || s->win.size >= MUX_GRANT_FIRST ||
	    !budget_take_extra(b, more, budget_extra_limit(b)))
		return;
	window_grow(&s->win, more);
	s->give += more;
	stream_give(s);
}

static void grow_window(struct stream *s)
{
	struct budget *b = s->mux->config.budget;
	uint32_t more = window_wish(&s->win, fair_share(s));

	while (more >= MUX_GRANT &&
	       !budget_take_extra(b, more, growth_limit(b)))
		more /= 2;
	if (more < MUX_GRANT)
		return;
	b->grown += !s->grown;
	s->grown = true;
	window_grow(&s->win, more);
	s->give += more;
	stream_give(s);
}

/* Once next to nothing is left for others, a window that has more than its
 * share gives back less credit than it could. Not before: many that have grown
 * a little, or stand still, do not need what it has. Returns by how much it has
 * shrunk. */
static uint32_t shrink(struct stream *s, uint32_t back)
{
	const struct budget *b = s->mux->config.budget;
	uint32_t share = fair_share(s);
	uint32_t n = s->win.size > share ? s->win.size - share : 0;
	size_t most = growth_limit(b);

	if (!s->grown || b->extra <= most - most / 16)
		return 0;
	if (n > back)
		n = back;
	window_shrink(&s->win, n);
	budget_give_extra(s->mux->config.budget, n);
	return n;
}

bool stream_credit(struct stream *s, uint32_t bytes)
{
	if (s->state == STREAM_DEAD)
		return true;
	if (bytes == 0) {
		s->win.blocked = true;
		grow_window(s);
		return true;
	}
	if (bytes > UINT32_MAX - s->credit)
		return false;
	s->credit += bytes;
	s->stuck = false;
	stream_wake(s);
	if (s->waiting)
		stream_note(s);
	return true;
}

void stream_left(struct stream *s, size_t n)
{
	uint32_t back;

	back = window_left(&s->win, (uint32_t)n);
	if (s->rx != HALF_OPEN)
		return;
	back -= shrink(s, back);
	s->give += back;
	if (s->give)
		stream_give(s);
	grow_window(s);
}
