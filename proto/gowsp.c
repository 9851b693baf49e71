/* SPDX-License-Identifier: MIT */
#include "proto/gowsp.h"

#include <string.h>
#include <utlist.h>

#include "proto/msg.h"
#include "proto/stream.h"

#define HOLD_MS     20
#define SETTLE_MS   5
#define RETRY_MS    10
#define FENCE_MS    500   /* for the answer to a fence */
#define SILENCE_MS  30000 /* after which a held FIN is said */
#define ECHO_MS     5000  /* for the peer's INTERRUPT behind ours */
#define CHOKE_MS    8000  /* a choking stream that lets nothing go */
#define PROBES_MAX  12
#define FENCE_FIRST '!'           /* no id of gowsp's or ours begins so */
#define CHOKE_HIGH  (1024 * 1024) /* held by one stream */
#define CHOKE_LOW   (512 * 1024)

/* Time. */

static void stop_waiting(struct stream *s)
{
	if (s->go.timed)
		DL_DELETE2(s->mux->dues, s, go.due_prev, go.due_next);
	s->go.timed = false;
}

/* From the next tick on, which wake() brings at the end of this turn: until
 * then the mux does not know how late it is. */
static void wait_for(struct stream *s, uint32_t ms)
{
	struct mux *m = s->mux;

	s->go.wait = ms;
	s->go.due = 0;
	m->new_due = true;
	if (!s->go.timed)
		DL_APPEND2(m->dues, s, go.due_prev, go.due_next);
	s->go.timed = true;
	m->ops->wake(m->ctx); /* it looks at mux_due() */
}

static void enter(struct stream *s, enum gowsp_state state)
{
	s->go.state = (uint8_t)state;
	stop_waiting(s);
	stream_wake(s);
}

static void enter_for(struct stream *s, enum gowsp_state state, uint32_t ms)
{
	s->go.state = (uint8_t)state;
	wait_for(s, ms);
}

/* The probe has arrived. */
static void confirm(struct stream *s)
{
	bufq_pull(&s->queue, s->go.probe);
	s->go.probe = 0;
	if (s->waiting)
		stream_note(s);
	enter(s, GOWSP_KNOWN);
}

/* The peer has ended, or should have. */
static void end_rx(struct stream *s)
{
	stop_waiting(s);
	if (s->rx != HALF_OPEN)
		return;
	s->rx = HALF_SHUT;
	s->eof = true;
	stream_note(s);
}

/* A FIN that is held waits on while the peer goes on. */
static void on_silence(struct stream *s)
{
	stop_waiting(s);
	if (s->tx != HALF_OPEN)
		return;
	s->tx = HALF_DRAIN;
	stream_wake(s);
}

static void on_due(struct stream *s)
{
	switch ((enum gowsp_state)s->go.state) {
	case GOWSP_HOLD:
	case GOWSP_RETRY:
		enter(s, GOWSP_TRY);
		break;
	case GOWSP_PROBE:
	case GOWSP_SETTLE:
		confirm(s);
		break;
	case GOWSP_FENCE:
		enter(s, GOWSP_END);
		break;
	case GOWSP_KNOWN:
		on_silence(s);
		break;
	case GOWSP_ECHO:
		end_rx(s);
		break;
	case GOWSP_TRY:
	case GOWSP_END:
		stop_waiting(s);
		break;
	}
}

static void unchoke(struct stream *s)
{
	if (!s->go.choking)
		return;
	s->go.choking = false;
	DL_DELETE2(s->mux->chokes, s, go.choke_prev, go.choke_next);
	s->mux->ops->wake(s->mux->ctx); /* it looks at mux_choked() */
}

/* From now on, or anew: something of it has left. */
static void choke(struct stream *s)
{
	struct mux *m = s->mux;

	s->go.choke_due = 0;
	m->new_due = true;
	if (!s->go.choking)
		DL_APPEND2(m->chokes, s, go.choke_prev, go.choke_next);
	s->go.choking = true;
	m->ops->wake(m->ctx);
}

/* Nobody reads it. Alone it may stay so. */
static void on_choke_due(struct stream *s)
{
	s->go.choke_due = 0;
	if (mux_streams(s->mux) == 1)
		return;
	unchoke(s);
	stream_abort(s, REASON_LIMIT);
}

static void set_due(struct mux *m, uint64_t *due, uint32_t wait)
{
	if (!*due)
		*due = m->now + wait;
	if (!m->due || *due < m->due)
		m->due = *due;
}

void gowsp_tick(struct mux *m)
{
	struct stream *s, *next;

	if (!m->new_due && (!m->due || m->now < m->due))
		return;
	DL_FOREACH_SAFE2(m->dues, s, next, go.due_next)
	if (s->go.due && s->go.due <= m->now)
		on_due(s);
	DL_FOREACH_SAFE2(m->chokes, s, next, go.choke_next)
	if (s->go.choke_due && s->go.choke_due <= m->now)
		on_choke_due(s);
	m->due = 0;
	m->new_due = false;
	DL_FOREACH2(m->dues, s, go.due_next)
	set_due(m, &s->go.due, s->go.wait);
	DL_FOREACH2(m->chokes, s, go.choke_next)
	set_due(m, &s->go.choke_due, CHOKE_MS);
}

void gowsp_clear(struct stream *s)
{
	stop_waiting(s);
	unchoke(s);
}

/* Out. */

void gowsp_accepted(struct stream *s)
{
	enter_for(s, GOWSP_HOLD, HOLD_MS);
}

bool gowsp_sendable(const struct stream *s)
{
	switch ((enum gowsp_state)s->go.state) {
	case GOWSP_KNOWN:
	case GOWSP_TRY:
		return s->queue.head || s->tx == HALF_DRAIN;
	case GOWSP_END:
		return s->tx == HALF_DRAIN;
	default:
		return false;
	}
}

/* A fence behind what has been sent, as a message of its own: of the stream's
 * id and a character that counts. NULL: no memory, or no room for it. */
static struct buf *make_fence(struct stream *s)
{
	struct bufpool *pool = s->mux->config.pool;
	uint8_t id[STREAM_ID_MAX];
	struct buf *b;

	if (s->id_len == STREAM_ID_MAX)
		return NULL;
	id[0] = (uint8_t)(FENCE_FIRST + s->go.fences++);
	memcpy(id + 1, s->id, s->id_len);
	b = buf_new(pool, 0);
	if (b)
		msg_seal(b, id, s->id_len + 1u, WspCmd_TRANSFER);
	return b;
}

/* A copy of the first data, and a fence; the data stays where it is. Where
 * there is none the message is empty. */
static struct buf *pull_probe(struct stream *s)
{
	struct mux *m = s->mux;
	struct buf *first = s->queue.head, *b, *fence;
	uint32_t most = m->config.max_data;
	uint32_t n = !first ? 0 : first->len < most ? first->len : most;

	b = n ? buf_copy(m->config.pool, buf_ptr(first), n)
	      : buf_new(m->config.pool, 0);
	if (!b) {
		m->error = REASON_NO_MEMORY;
		return NULL;
	}
	msg_seal(b, s->id, s->id_len, WspCmd_TRANSFER);
	s->go.probe = n;
	enter_for(s, GOWSP_PROBE, FENCE_MS);
	fence = make_fence(s);
	if (fence)
		mux_control(m, fence);
	return b;
}

/* INTERRUPT: both directions end. */
static struct buf *pull_end(struct stream *s)
{
	struct buf *b = msg_reset(s->mux->config.pool, s->id, s->id_len,
				  REASON_DONE, false);

	if (!b)
		s->mux->error = REASON_NO_MEMORY;
	if (s->go.orphan) {
		stream_free(s);
		return b;
	}
	stream_shut(s);
	enter_for(s, GOWSP_ECHO, ECHO_MS);
	return b;
}

struct buf *gowsp_pull(struct stream *s)
{
	struct buf *fence;

	if (s->go.state == GOWSP_TRY)
		return pull_probe(s);
	if (s->queue.head)
		return stream_pull_data(s);
	if (s->go.state == GOWSP_END)
		return pull_end(s);
	fence = make_fence(s);
	if (!fence)
		return pull_end(s);
	enter_for(s, GOWSP_FENCE, FENCE_MS);
	return fence;
}

void gowsp_fin(struct stream *s)
{
	if (s->mux->config.initiator) {
		/* INTERRUPT would end the answer too */
		s->go.fin_held = true;
		wait_for(s, SILENCE_MS);
	} else {
		s->tx = HALF_DRAIN;
		stream_wake(s);
	}
}

bool gowsp_drop(struct stream *s)
{
	if (s->state != STREAM_OPEN || s->go.state == GOWSP_KNOWN ||
	    s->go.state >= GOWSP_FENCE || stream_complete(s))
		return false;
	s->go.orphan = true;
	s->end.events = NULL;
	s->reading = s->eof = s->flushed = false;
	s->rx = HALF_SHUT;
	s->tx = HALF_DRAIN;
	bufq_clear(&s->in);
	bufq_clear(&s->queue);
	s->go.probe = 0;
	budget_give(s->mux->config.budget, s->win.size);
	s->win.size = 0;
	unchoke(s);
	stream_wake(s);
	return true;
}

/* In. */

void gowsp_heard(struct stream *s)
{
	switch ((enum gowsp_state)s->go.state) {
	case GOWSP_HOLD:
	case GOWSP_TRY:
	case GOWSP_RETRY:
		enter(s, GOWSP_KNOWN);
		break;
	case GOWSP_ECHO:
		wait_for(s, ECHO_MS);
		break;
	case GOWSP_KNOWN:
		if (s->go.fin_held && s->tx == HALF_OPEN)
			wait_for(s, SILENCE_MS);
		break;
	default: /* what is out may have been refused all the same */
		break;
	}
}

static void watch_choke(struct stream *s, bool left)
{
	uint32_t held = window_held(&s->win);

	if (held < CHOKE_LOW)
		unchoke(s);
	else if (s->go.choking ? left : held > CHOKE_HIGH)
		choke(s);
}

/* Nothing was promised: the window only counts what is held. */
void gowsp_hold(struct stream *s, struct buf *b)
{
	if (!budget_take(s->mux->config.budget, b->len)) {
		stream_abort(s, REASON_LIMIT);
		return;
	}
	s->win.size += b->len;
	bufq_put(&s->in, b);
	watch_choke(s, false);
	stream_note(s);
}

void gowsp_left(struct stream *s, size_t n)
{
	s->win.size -= (uint32_t)n;
	budget_give(s->mux->config.budget, n);
	watch_choke(s, true);
}

/* The peer has ended both directions: nobody would take more from us. */
static void end_both(struct stream *s)
{
	s->flushed |= s->go.fin_held || s->tx == HALF_DRAIN;
	s->tx = HALF_SHUT;
	s->go.probe = 0;
	stream_unqueue(s);
	end_rx(s);
}

void gowsp_interrupt(struct stream *s, bool refused)
{
	if (s->state == STREAM_ASKED || s->state == STREAM_OFFERED) {
		stream_reset(s, REASON_CLOSED);
		return;
	}
	if (s->state != STREAM_OPEN || (s->rx != HALF_OPEN && !s->go.orphan))
		return; /* the echo of what we know */
	if (!refused && s->go.orphan) {
		stream_free(s);
		return;
	}
	if (!refused) {
		end_both(s);
		return;
	}
	if (s->go.state != GOWSP_PROBE && s->go.state != GOWSP_SETTLE) {
		stream_reset(s, REASON_CLOSED);
		return;
	}
	s->go.probe = 0;
	if (s->go.fences < PROBES_MAX)
		enter_for(s, GOWSP_RETRY, RETRY_MS);
	else
		stream_reset(s, REASON_CLOSED);
}

void gowsp_unknown(struct mux *m, const uint8_t *id, size_t n)
{
	struct stream *s = n > 1 ? mux_find(m, id + 1, n - 1) : NULL;

	if (!s || s->state != STREAM_OPEN || s->tx == HALF_SHUT ||
	    id[0] != FENCE_FIRST + s->go.fences - 1)
		return;
	if (s->go.state == GOWSP_PROBE)
		enter_for(s, GOWSP_SETTLE, SETTLE_MS);
	else if (s->go.state == GOWSP_FENCE)
		enter(s, GOWSP_END);
}
