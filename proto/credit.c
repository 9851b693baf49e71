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

/* The first window is larger while memory is plentiful. */
void stream_first_grant(struct stream *s)
{
	struct budget *b = s->mux->config.budget;
	uint32_t more = MUX_GRANT_FIRST - s->win.size;

	if (!s->mux->config.native || s->win.size >= MUX_GRANT_FIRST ||
	    b->used > b->limit / 2 || !budget_take(b, more))
		return;
	window_grow(&s->win, more);
	s->give += more;
	stream_give(s);
}

static void grow_window(struct stream *s)
{
	struct budget *b = s->mux->config.budget;
	size_t max = b->limit / 4 < WINDOW_MAX ? b->limit / 4 : WINDOW_MAX;
	uint32_t more = window_wish(&s->win, (uint32_t)max);

	while (more >= MUX_GRANT && !budget_take(b, more))
		more /= 2;
	if (more < MUX_GRANT)
		return;
	window_grow(&s->win, more);
	s->give += more;
	stream_give(s);
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
	s->give += back;
	if (s->give)
		stream_give(s);
	grow_window(s);
}
