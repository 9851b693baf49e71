/* SPDX-License-Identifier: MIT */
#include "proto/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "proto/container.h"
#include "proto/msg.h"

#define HEAVY_READ  (16 * 1024) /* a message this large makes a stream heavy */
#define HEAVY_RUN   64          /* for its next so many messages */
#define TIGHT_CHUNK (16 * 1024) /* when memory is short */
#define LAST_CHUNK  2048        /* when there is hardly any */

enum { RING_NONE, RING_LIGHT, RING_HEAVY };

static const struct end_ops stream_ops;

static struct stream *stream_of(const struct end *e)
{
	return container_of(e, struct stream, end);
}

static bool native(const struct stream *s)
{
	return s->mux->config.native;
}

/* Lists. */

void stream_note(struct stream *s)
{
	struct mux *m = s->mux;

	if (s->noted)
		return;
	s->noted = true;
	DL_APPEND2(m->notes, s, note_prev, note_next);
	m->ops->wake(m->ctx);
}

static void unnote(struct stream *s)
{
	if (!s->noted)
		return;
	s->noted = false;
	DL_DELETE2(s->mux->notes, s, note_prev, note_next);
}

static void unring(struct stream *s)
{
	if (s->ring == RING_NONE)
		return;
	DL_DELETE2(s->mux->rings[s->ring - 1], s, ring_prev, ring_next);
	s->ring = RING_NONE;
}

static void ungive(struct stream *s)
{
	if (!s->giving)
		return;
	s->giving = false;
	DL_DELETE2(s->mux->gives, s, give_prev, give_next);
}

/* May the first thing in the queue, or the FIN, go out? */
static bool sendable(const struct stream *s)
{
	if (s->state == STREAM_DEAD || s->state == STREAM_OFFERED)
		return false;
	if (!native(s))
		return s->state == STREAM_OPEN && gowsp_sendable(s);
	if (s->queue.head)
		return s->credit > 0;
	return s->tx == HALF_DRAIN;
}

static void enring(struct stream *s)
{
	struct mux *m = s->mux;

	if (s->ring != RING_NONE)
		return;
	s->ring = s->heavy ? RING_HEAVY : RING_LIGHT;
	DL_APPEND2(m->rings[s->ring - 1], s, ring_prev, ring_next);
	m->ops->wake(m->ctx);
}

void stream_wake(struct stream *s)
{
	if (sendable(s))
		enring(s);
}

/* Life and death. */

struct stream *stream_new(struct mux *m, const uint8_t *id, size_t id_len)
{
	struct stream *s = calloc(1, sizeof(*s));
	uint32_t grant = m->config.native ? m->config.grant : 0;

	if (!s)
		return NULL;
	if (!budget_take(m->config.budget, grant)) {
		free(s);
		return NULL;
	}
	s->end.ops = &stream_ops;
	s->mux = m;
	memcpy(s->id, id, id_len);
	s->id_len = (uint8_t)id_len;
	s->credit = m->config.native ? m->config.credit : UINT32_MAX;
	window_init(&s->win, grant);
	bufq_init(&s->queue);
	bufq_init(&s->in);
	return s;
}

void stream_free(struct stream *s)
{
	struct mux *m = s->mux;
	/* towards gowsp, what is held; nothing was promised */
	uint32_t plain = m->config.native ? m->config.grant : s->win.size;

	unnote(s);
	unring(s);
	ungive(s);
	stream_unbulk(s);
	gowsp_clear(s);
	mux_forget(m, s);
	bufq_clear(&s->queue);
	bufq_clear(&s->in);
	budget_give_extra(m->config.budget, s->win.size - plain);
	budget_give(m->config.budget, plain);
	m->config.budget->grown -= s->grown;
	free(s->target);
	free(s->bound);
	free(s);
	if (m->gone)
		m->ops->wake(m->ctx);
}

void stream_reset(struct stream *s, enum reason why)
{
	s->state = STREAM_DEAD;
	s->why = (uint8_t)why;
	ungive(s);
	gowsp_clear(s);
	stream_unqueue(s);
	stream_note(s);
}

bool stream_complete(const struct stream *s)
{
	return s->state == STREAM_OPEN && s->tx == HALF_SHUT &&
	       s->rx == HALF_SHUT;
}

void stream_abort(struct stream *s, enum reason why)
{
	struct mux *m = s->mux;

	mux_control(m, msg_reset(m->config.pool, s->id, s->id_len, why,
				 m->config.native));
	stream_reset(s, why);
}

/* What the peer says. */

bool stream_data(struct stream *s, struct buf *b)
{
	if (s->state == STREAM_DEAD)
		return true; /* crossed with what ended it */
	stream_moved(s, b->len);
	if (!native(s)) {
		gowsp_heard(s);
		if (s->rx == HALF_OPEN)
			gowsp_hold(s, b);
		return true;
	}
	if (s->rx != HALF_OPEN)
		return false;
	if (s->state == STREAM_ASKED || !window_take(&s->win, b->len))
		return false;
	bufq_put(&s->in, b);
	stream_note(s);
	return true;
}

bool stream_fin(struct stream *s)
{
	if (s->state == STREAM_DEAD)
		return true;
	if (s->rx != HALF_OPEN || s->state == STREAM_ASKED)
		return false;
	s->rx = HALF_SHUT;
	s->eof = true;
	stream_note(s);
	return true;
}

bool stream_passes(const struct stream *s)
{
	return s->aside && s->reading && s->state == STREAM_OPEN &&
	       !s->in.head && native(s);
}

void stream_own(struct stream *s)
{
	struct bufq kept;
	struct buf *b;
	bool good = true;

	bufq_init(&kept);
	while ((b = bufq_get(&s->in)))
		good &= bufq_keep(&kept, b, s->mux->config.pool);
	bufq_move(&s->in, &kept);
	if (!good && s->state != STREAM_DEAD)
		stream_abort(s, REASON_NO_MEMORY);
}

/* How much one message should carry now. */
static uint32_t chunk(const struct stream *s)
{
	const struct mux *m = s->mux;
	uint32_t step = pace_step(m->config.pace, m->now);

	return step < m->config.max_data ? step : m->config.max_data;
}

/* Half of the memory is in bufs, of this process and not only of this stream:
 * each may queue a little, so that none stands still, or next to nothing when
 * it is three quarters. */
static size_t tight(const struct mux *m, size_t most)
{
	size_t inuse = bufpool_inuse(m->config.pool);
	size_t limit = m->config.budget->limit;
	size_t chunk = inuse > limit / 4 * 3 ? LAST_CHUNK : TIGHT_CHUNK;

	return inuse > limit / 2 && most > chunk ? chunk : most;
}

static size_t room(const struct stream *s)
{
	size_t most = chunk(s), queued = s->queue.bytes;

	if (s->tx != HALF_OPEN || s->state == STREAM_DEAD)
		return most; /* what comes is thrown away */
	most = tight(s->mux, most);
	if (queued >= most || queued >= s->credit)
		return 0;
	/* a whole read, though less is left of a message: a part of one would
	 * make every read from now on a part */
	return s->credit - queued < most ? s->credit - queued : most;
}

/* What the user is told: one event each time. */

static bool tellable(const struct stream *s)
{
	return s->state == STREAM_DEAD || s->opened ||
	       (s->reading && (s->in.head || s->eof)) ||
	       (s->waiting && room(s)) || s->flushed;
}

static void tell_dead(struct stream *s)
{
	const struct end_events *up = s->end.events;
	enum reason why = (enum reason)s->why;

	unnote(s);
	mux_forget(s->mux, s);
	if (up)
		up->dead(&s->end, why, NULL);
	stream_free(s);
}

static void tell_offer(struct stream *s)
{
	struct mux *m = s->mux;
	struct addr target = *s->target;

	free(s->target);
	s->target = NULL;
	s->offered = false;
	m->ops->open(m->ctx, &s->end, &target);
}

static void tell_opened(struct stream *s)
{
	char bound[STREAM_BOUND_MAX];
	bool known = s->bound != NULL;

	if (known)
		memcpy(bound, s->bound, strlen(s->bound) + 1);
	free(s->bound);
	s->bound = NULL;
	s->opened = false;
	s->end.events->opened(&s->end, known ? bound : NULL);
}

static void tell_data(struct stream *s)
{
	struct bufq q;

	bufq_init(&q);
	bufq_move(&q, &s->in);
	s->end.events->data(&s->end, &q);
}

void stream_tell(struct stream *s)
{
	unnote(s);
	if (s->state == STREAM_DEAD) {
		tell_dead(s);
		return;
	}
	if (s->offered) {
		stream_note(s);
		tell_offer(s);
		return;
	}
	if (!s->end.events || !tellable(s)) {
		stream_own(s);
		return;
	}
	stream_note(s); /* the next visit finds out whether there is more */
	if (s->opened) {
		tell_opened(s);
	} else if (s->reading && s->in.head) {
		tell_data(s);
	} else if (s->reading && s->eof) {
		s->eof = false;
		s->end.events->eof(&s->end);
	} else if (s->waiting && room(s)) {
		s->waiting = false;
		s->end.events->ready(&s->end, room(s));
	} else {
		s->flushed = false;
		s->end.events->flushed(&s->end);
	}
}

/* What goes out. */

void stream_unqueue(struct stream *s)
{
	unring(s);
	bufq_clear(&s->queue);
}

void stream_shut(struct stream *s)
{
	s->tx = HALF_SHUT;
	s->flushed = true;
	stream_note(s);
}

static struct buf *pull_fin(struct stream *s)
{
	struct buf *b = buf_new(s->mux->config.pool, 0);

	if (!b) {
		s->mux->error = REASON_NO_MEMORY;
		return NULL;
	}
	msg_seal(b, s->id, s->id_len, WspCmd_TRANSFER);
	stream_shut(s);
	return b;
}

/* The first n bytes of the queue as a buf of their own. */
static struct buf *split(struct stream *s, uint32_t n)
{
	struct buf *first = s->queue.head, *b;

	if (first->len <= n)
		return bufq_get(&s->queue);
	b = buf_copy(s->mux->config.pool, buf_ptr(first), n);
	if (b)
		bufq_pull(&s->queue, n);
	else
		s->mux->error = REASON_NO_MEMORY;
	return b;
}

static void weigh(struct stream *s, uint32_t n)
{
	struct mux *m = s->mux;

	if (n >= HEAVY_READ)
		s->heavy = HEAVY_RUN;
	else if (s->heavy)
		s->heavy--;
	else
		m->config.pace->light_until = m->now + PACE_LIGHT_MS;
}

struct buf *stream_pull_data(struct stream *s)
{
	uint32_t most = s->mux->config.max_data;
	struct buf *b;

	b = split(s, s->credit < most ? s->credit : most);
	if (!b)
		return NULL;
	if (native(s))
		s->credit -= b->len;
	weigh(s, b->len);
	stream_moved(s, b->len);
	msg_seal(b, s->id, s->id_len, WspCmd_TRANSFER);
	if (s->credit == 0 && s->tx == HALF_OPEN) {
		s->stuck = true;
		stream_give(s);
	}
	if (s->waiting)
		stream_note(s);
	stream_wake(s);
	return b;
}

struct buf *stream_pull(struct stream *s)
{
	unring(s);
	if (!native(s))
		return gowsp_pull(s);
	if (!sendable(s)) { /* it waits for the channel, see end_aside_now_() */
		stream_note(s);
		return NULL;
	}
	return s->queue.head ? stream_pull_data(s) : pull_fin(s);
}

/* The end that the user sees. */

/* What lies aside leaves at once, or not at all: copied, it can wait. */
static bool send_aside(struct stream *s, struct buf *b)
{
	const struct mux *m = s->mux;

	if (!m->config.aside || s->queue.head || b->len > s->credit ||
	    b->len > m->config.max_data)
		return false;
	bufq_put(&s->queue, b);
	stream_wake(s);
	m->ops->hurry(m->ctx);
	if (s->queue.head != b)
		return true;
	bufq_get(&s->queue);
	return false;
}

static size_t end_send_(struct end *e, struct bufq *q)
{
	struct stream *s = stream_of(e);
	struct buf *b;

	while ((b = bufq_get(q))) {
		if (s->tx != HALF_OPEN || s->state == STREAM_DEAD) {
			buf_free(b);
			continue;
		}
		if (b->aside && send_aside(s, b))
			continue;
		if (!bufq_keep(&s->queue, b, s->mux->config.pool))
			stream_abort(s, REASON_NO_MEMORY);
	}
	stream_wake(s);
	if (s->queue.bytes >= PACE_BULK && chunk(s) == PACE_BULK)
		s->mux->ops->hurry(s->mux->ctx);
	s->waiting = room(s) == 0;
	return room(s);
}

static void end_fin_(struct end *e)
{
	struct stream *s = stream_of(e);

	if (s->tx == HALF_SHUT) { /* gowsp has ended both directions */
		s->flushed = true;
		stream_note(s);
	} else if (!native(s)) {
		gowsp_fin(s);
	} else {
		s->tx = HALF_DRAIN;
		stream_wake(s);
	}
}

static void end_read_(struct end *e, size_t max)
{
	struct stream *s = stream_of(e);
	bool was = s->reading;

	s->reading = max > 0;
	if (s->reading && !was && tellable(s))
		stream_note(s);
}

static void end_left_(struct end *e, size_t n)
{
	struct stream *s = stream_of(e);

	if (s->state == STREAM_DEAD)
		return;
	assert(n <= window_held(&s->win));
	if (native(s))
		stream_left(s, n);
	else
		gowsp_left(s, n);
}

static void end_drop_(struct end *e, enum reason why)
{
	struct stream *s = stream_of(e);
	struct mux *m = s->mux;

	if (!native(s) && gowsp_drop(s))
		return;
	if (s->state != STREAM_DEAD &&
	    (s->tx != HALF_SHUT || s->rx != HALF_SHUT))
		mux_control(m, msg_reset(m->config.pool, s->id, s->id_len, why,
					 m->config.native));
	stream_free(s);
}

static bool end_takes_aside_(const struct end *e)
{
	return stream_of(e)->mux->config.aside;
}

/* In the ring, to be told when its turn comes. */
static bool end_aside_now_(struct end *e)
{
	struct stream *s = stream_of(e);

	if (s->queue.head || s->tx != HALF_OPEN || s->state != STREAM_OPEN ||
	    s->mux->ops->takes(s->mux->ctx))
		return true;
	s->waiting = true;
	enring(s);
	return false;
}

static void end_give_aside_(struct end *e)
{
	stream_of(e)->aside = true;
}

static const struct end_ops stream_ops = {
	.send = end_send_,
	.fin = end_fin_,
	.read = end_read_,
	.left = end_left_,
	.drop = end_drop_,
	.takes_aside = end_takes_aside_,
	.aside_now = end_aside_now_,
	.give_aside = end_give_aside_,
};

void stream_accept(struct end *e, const char *bound)
{
	struct stream *s = stream_of(e);
	struct mux *m = s->mux;

	if (s->state != STREAM_OFFERED)
		return; /* reset meanwhile; the user will be told */
	mux_control(m, msg_respond(m->config.pool, s->id, s->id_len,
				   REASON_DONE, bound, m->config.native));
	s->state = STREAM_OPEN;
	stream_first_grant(s);
	if (!native(s))
		gowsp_accepted(s);
	stream_wake(s);
}

void stream_refuse(struct end *e, enum reason why)
{
	struct stream *s = stream_of(e);
	struct mux *m = s->mux;

	if (s->state == STREAM_OFFERED)
		mux_control(m, msg_respond(m->config.pool, s->id, s->id_len,
					   why, NULL, m->config.native));
	stream_free(s);
}
