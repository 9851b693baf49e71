/* SPDX-License-Identifier: MIT */
#include "core/tunnel.h"

#include <stdlib.h>

#include "core/websocket.h"
#include "proto/container.h"
#include "proto/mux.h"

#define BACKLOG_MAX   (256 * 1024) /* control that waits: stop listening */
#define FRAGMENTS_MAX 64           /* no peer that we know sends any */

struct tunnel {
	struct worker *w;
	struct websocket *ws; /* NULL: gone */
	struct mux *mux;      /* NULL: OPENING */
	struct flusher flusher;
	struct deadline tick;
	uint64_t tick_at; /* mux_due() when it was set */
	const struct tunnel_events *events;
	void *ctx;
	bool initiator;
	bool aside; /* what lies aside can be sent: nothing masks or encrypts */
	bool native;
	bool paused;
	bool bulk, choked; /* what load() was called for */
	bool closing;      /* with why, at the end of the turn */
	enum reason why;
	enum reason broken; /* how the peer broke the protocol */
};

/* What we promise to a peer that is a wsp too: less when there is little. */
static struct upgrade_wsp our_offer(const struct worker *w)
{
	size_t share = w->budget->limit / 4096;
	struct upgrade_wsp offer = {
		.window = MUX_GRANT,
		.message = MUX_MESSAGE_MAX,
	};

	if (share < MUX_GRANT)
		offer.window = share < 1024 ? 1024 : (uint32_t)share;
	return offer;
}

static void tunnel_free(struct tunnel *t)
{
	flusher_clear(&t->flusher);
	deadline_clear(&t->tick);
	if (t->mux)
		mux_free(t->mux);
	free(t);
}

/* The websocket is gone or is left to itself: end all streams, then us. Users
 * that hear of it may close the tunnel, whose owner is told nothing then.
 * Streams that are complete but for what waits here keep t alive, for nobody
 * else. */
static void tunnel_end(struct tunnel *t, enum reason why, const char *detail)
{
	t->ws = NULL;
	deadline_clear(&t->tick);
	if (t->mux)
		mux_fail(t->mux, why == REASON_DONE ? REASON_TUNNEL_DOWN : why);
	if (!t->closing)
		t->events->down(t->ctx, why, detail);
	if (!t->mux || mux_streams(t->mux) == 0)
		tunnel_free(t);
}

/* The mux. */

static void on_wake(void *ctx)
{
	struct tunnel *t = ctx;

	worker_flush(t->w, &t->flusher);
}

static void on_open(void *ctx, struct end *e, const struct addr *target)
{
	struct tunnel *t = ctx;

	if (t->closing)
		stream_refuse(e, REASON_STOPPING);
	else
		t->events->open(t->ctx, e, target);
}

static void on_hurry(void *ctx)
{
	struct tunnel *t = ctx;

	if (t->ws && !t->closing && mux_error(t->mux) == REASON_DONE)
		websocket_pump(t->ws);
}

static bool on_takes(void *ctx)
{
	const struct tunnel *t = ctx;

	return !t->ws || t->closing || websocket_aside_now(t->ws);
}

static const struct mux_ops mux_ops = {
	.wake = on_wake,
	.hurry = on_hurry,
	.takes = on_takes,
	.open = on_open,
};

/* A peer that sends without reading what we answer, or a gowsp stream that
 * nobody reads: the channel itself has to wait. */
static bool must_pause(const struct tunnel *t)
{
	return mux_backlog(t->mux) > BACKLOG_MAX || mux_choked(t->mux);
}

static void set_pause(struct tunnel *t)
{
	bool pause = must_pause(t);

	if (pause != t->paused)
		websocket_pause(t->ws, pause);
	t->paused = pause;
}

/* Say goodbye and be gone. */
static void tunnel_finish(struct tunnel *t, enum reason why)
{
	websocket_close(t->ws, why);
	tunnel_end(t, why, NULL);
}

static uint64_t now(const struct tunnel *t)
{
	return worker_since(t->w, 0);
}

/* Calls up, to somebody who only takes note. */
static void tell_load(struct tunnel *t)
{
	bool bulk = mux_bulk(t->mux) > 0, choked = must_pause(t);

	if (t->bulk == bulk && t->choked == choked)
		return;
	t->bulk = bulk;
	t->choked = choked;
	if (t->events->load && !t->closing)
		t->events->load(t->ctx);
}

static void on_tick(struct deadline *d)
{
	struct tunnel *t = container_of(d, struct tunnel, tick);

	t->tick_at = 0;
	worker_flush(t->w, &t->flusher);
}

/* Towards gowsp, streams wait for the clock. */
static void set_tick(struct tunnel *t)
{
	uint64_t due = mux_due(t->mux), at = now(t);

	if (due == t->tick_at)
		return;
	t->tick_at = due;
	if (due)
		deadline_set(t->w, &t->tick, due > at ? due - at : 0, on_tick);
	else
		deadline_clear(&t->tick);
}

/* At the end of a turn: users hear what has become possible, then everything
 * that waits leaves. */
static void on_flush(struct flusher *f)
{
	struct tunnel *t = container_of(f, struct tunnel, flusher);

	if (t->mux && (!t->closing || !t->ws)) {
		mux_tick(t->mux, now(t));
		mux_notify(t->mux);
	}
	if (!t->ws) {
		if (mux_streams(t->mux) == 0)
			tunnel_free(t);
	} else if (t->closing) {
		tunnel_finish(t, t->why);
	} else if (mux_error(t->mux) != REASON_DONE) {
		tunnel_finish(t, mux_error(t->mux));
	} else {
		set_pause(t);
		set_tick(t);
		websocket_wake(t->ws);
		tell_load(t);
	}
}

/* The websocket. */

static enum reason on_check(void *ctx, const struct upgrade_request *req)
{
	struct tunnel *t = ctx;

	return t->closing ? REASON_STOPPING : t->events->check(t->ctx, req);
}

static void on_opened(void *ctx, const struct upgrade_wsp *peer)
{
	struct tunnel *t = ctx;
	struct mux_config config = {
		.initiator = t->initiator,
		.native = peer != NULL,
		.grant = our_offer(t->w).window,
		.max_data = MUX_DATA_GOWSP,
		.budget = t->w->budget,
		.pace = &t->w->pace,
		.pool = &t->w->pool,
	};

	if (t->closing)
		return;
	if (peer) {
		config.aside = t->aside;
		config.credit = peer->window;
		config.max_data =
			peer->message >= MUX_MESSAGE_MAX
				? MUX_DATA_MAX
				: (uint32_t)peer->message - MUX_ENVELOPE_MAX;
	}
	t->native = config.native;
	t->mux = mux_new(&config, &mux_ops, t);
	if (!t->mux) {
		tunnel_finish(t, REASON_NO_MEMORY);
		return;
	}
	t->events->up(t->ctx);
}

static void on_piece(void *ctx, uint8_t *p, size_t n, bool text, bool last)
{
	struct tunnel *t = ctx;

	if (!t->mux || t->broken != REASON_DONE || text)
		return; /* gowsp ignores text as well */
	t->broken = mux_input(t->mux, p, n, last);
}

static uint64_t on_passable(void *ctx, uint64_t *got)
{
	const struct tunnel *t = ctx;

	return t->mux && t->broken == REASON_DONE ? mux_passable(t->mux, got)
						  : 0;
}

static void on_pass(void *ctx, const struct buf *b, bool last)
{
	struct tunnel *t = ctx;

	if (t->broken == REASON_DONE)
		t->broken = mux_pass(t->mux, b, last);
}

static void on_turn(void *ctx)
{
	struct tunnel *t = ctx;

	if (!t->mux)
		return;
	if (t->broken != REASON_DONE) {
		websocket_close(t->ws, t->broken);
		tunnel_end(t, t->broken, "the peer broke the protocol");
		return;
	}
	mux_tick(t->mux, now(t));
	mux_notify(t->mux);
	tell_load(t);
}

static struct buf *on_pull(void *ctx, enum ws_frame *kind)
{
	struct tunnel *t = ctx;

	*kind = WS_BINARY;
	return t->mux ? mux_pull(t->mux) : NULL;
}

static void on_closed(void *ctx, enum reason why, const char *detail)
{
	tunnel_end(ctx, why, detail);
}

static const struct websocket_ops websocket_ops = {
	.check = on_check,
	.opened = on_opened,
	.piece = on_piece,
	.passable = on_passable,
	.pass = on_pass,
	.turn = on_turn,
	.pull = on_pull,
	.closed = on_closed,
};

struct tunnel *tunnel_start(struct worker *w, struct end *lower,
			    const struct tunnel_target *target,
			    const struct tunnel_events *events, void *ctx)
{
	struct upgrade_wsp offer = our_offer(w);
	struct websocket_config config = {
		.ws.role = target ? WS_CLIENT : WS_SERVER,
		.ws.max_message = MUX_MESSAGE_MAX,
		.ws.max_fragments = FRAGMENTS_MAX,
		.offer = &offer,
	};
	struct tunnel *t = calloc(1, sizeof(*t));

	if (!t) {
		end_drop(lower, REASON_NO_MEMORY);
		return NULL;
	}
	if (target) {
		config.ask.host = target->host;
		config.ask.path = target->path;
		config.ask.token = target->token ? target->token : "";
		config.ask.fields = target->fields;
	}
	t->w = w;
	t->events = events;
	t->ctx = ctx;
	t->initiator = target != NULL;
	t->aside = !target && end_takes_aside(lower);
	t->flusher.flush = on_flush;
	t->ws = websocket_open(w, lower, &config, &websocket_ops, t);
	if (t->ws)
		return t;
	free(t);
	return NULL;
}

bool tunnel_feed(struct tunnel *t, const uint8_t *p, size_t n)
{
	return websocket_feed(t->ws, p, n);
}

void tunnel_punish(struct tunnel *t, const struct penalty *penalty)
{
	websocket_punish(t->ws, penalty);
}

/* Calls up may be on the stack: the end waits for that of the turn. */
void tunnel_close(struct tunnel *t, enum reason why)
{
	if (t->closing)
		return;
	t->closing = true;
	t->why = why;
	worker_flush(t->w, &t->flusher);
}

struct end *tunnel_open(struct tunnel *t, const struct addr *target,
			const struct end_events *events, void *user,
			enum reason *why)
{
	*why = REASON_TUNNEL_DOWN;
	if (t->closing || !t->ws || !t->mux)
		return NULL;
	return mux_open(t->mux, target, events, user, why);
}

bool tunnel_load(struct tunnel *t, struct tunnel_load *out)
{
	if (t->closing || !t->ws || !t->mux)
		return false;
	mux_tick(t->mux, now(t));
	out->streams = mux_streams(t->mux);
	out->bulk = mux_bulk(t->mux);
	out->choked = must_pause(t);
	out->worn = websocket_worn(t->ws);
	return true;
}

bool tunnel_native(const struct tunnel *t)
{
	return t->native;
}
