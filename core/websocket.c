/* SPDX-License-Identifier: MIT */
#include "core/websocket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/alive.h"
#include "core/refusal.h"
#include "proto/container.h"

#define HANDSHAKE_MS   10000
#define CLOSING_MS     5000 /* without a byte that leaves */
#define CLOSING_MAX_MS 30000
#define DETAIL_MAX     128
#define TURN_MAX       (4 * 1024 * 1024) /* bytes sent in one turn */

enum state { HANDSHAKE, OPEN, CLOSING };

struct websocket {
	struct worker *w;
	struct end *lower;
	const struct websocket_ops *ops;
	void *ctx;
	enum state state;
	struct upgrade *upgrade; /* HANDSHAKE */
	struct ws *ws;
	struct upgrade_wsp offer;
	bool negotiate, server;
	bool paused;
	size_t head; /* of the last frame that was told by pass(), if any */
	struct alive alive; /* CLOSING: since it was heard */
	size_t room;        /* what lower takes */
	bool full;          /* pull nothing until ready() */
	struct bufq early;  /* what somebody else has read from it */
	struct penalty penalty;
	struct flusher flusher;
	struct deadline deadline;
};

static void websocket_free(struct websocket *s)
{
	flusher_clear(&s->flusher);
	deadline_clear(&s->deadline);
	bufq_clear(&s->early);
	upgrade_free(s->upgrade);
	ws_free(s->ws);
	free(s);
}

/* Nothing more to say or to hear: lower goes, and s with it. */
static void websocket_gone(struct websocket *s, enum reason why)
{
	end_drop(s->lower, why);
	websocket_free(s);
}

static void on_closing_over(struct deadline *d)
{
	websocket_gone(container_of(d, struct websocket, deadline),
		       REASON_TIMED_OUT);
}

/* All that will be sent has been: wait, not for long, until the peer has
 * finished too. */
static void start_closing(struct websocket *s)
{
	s->state = CLOSING;
	alive_heard(&s->alive, s->w);
	flusher_clear(&s->flusher);
	deadline_set(s->w, &s->deadline, CLOSING_MS, on_closing_over);
	end_fin(s->lower);
	end_read(s->lower, BUF_MAX);
}

static void send_all(struct websocket *s, struct bufq *q)
{
	s->alive.said = worker_now(s->w);
	s->room = end_send(s->lower, q);
}

static void send_control(struct websocket *s)
{
	struct bufq out;
	struct buf *b;

	bufq_init(&out);
	while ((b = ws_pull(s->ws)))
		bufq_put(&out, b);
	if (out.head)
		send_all(s, &out);
}

/* One gathered write of what lower takes now. Returns the bytes. */
static size_t send_messages(struct websocket *s)
{
	struct bufq out;
	struct buf *b;
	enum ws_frame kind;
	size_t n;

	bufq_init(&out);
	while (out.bytes < s->room && (b = s->ops->pull(s->ctx, &kind))) {
		ws_seal(s->ws, b, kind);
		bufq_put(&out, b);
	}
	n = out.bytes;
	if (n)
		send_all(s, &out);
	return n;
}

static void on_data(struct end *e, struct bufq *q);

static void on_flush(struct flusher *f)
{
	struct websocket *s = container_of(f, struct websocket, flusher);
	/* a small stream should not have to wait for a second write */
	size_t most = worker_is_light(s->w) ? 1 : TURN_MAX;
	struct bufq none;
	size_t n, all = 0;

	bufq_init(&none);
	if (s->early.head) {
		on_data(s->lower, &none);
		return;
	}
	if (s->room) /* else Pongs wait here, of which there are few */
		send_control(s);
	while (s->room && !s->full && all < most && (n = send_messages(s)))
		all += n;
	if (all >= most)
		worker_flush(s->w, f);
}

void websocket_wake(struct websocket *s)
{
	if (s->state == OPEN)
		worker_flush(s->w, &s->flusher);
}

void websocket_pump(struct websocket *s)
{
	if (s->state == OPEN && s->room && !s->full)
		send_messages(s);
}

void websocket_punish(struct websocket *s, const struct penalty *penalty)
{
	s->penalty = *penalty;
}

void websocket_pause(struct websocket *s, bool on)
{
	if (s->state != OPEN || s->paused == on)
		return;
	s->paused = on;
	s->alive.heard = worker_now(s->w);
	end_read(s->lower, on ? 0 : BUF_MAX);
}

bool websocket_aside_now(struct websocket *s)
{
	if (s->state != OPEN)
		return true;
	s->full = !end_aside_now(s->lower);
	return s->room && !s->full;
}

bool websocket_worn(const struct websocket *s)
{
	return end_worn(s->lower);
}

void websocket_close(struct websocket *s, enum reason why)
{
	if (s->state == CLOSING)
		return;
	if (s->state == HANDSHAKE) {
		websocket_gone(s, why);
		return;
	}
	send_control(s);
	while (s->room && send_messages(s))
		continue;
	ws_close(s->ws, reason_close(why), reason_text(why));
	send_control(s);
	start_closing(s);
}

/* A copy of detail, if there is one: it may be a part of what goes now. */
static const char *keep(char text[DETAIL_MAX], const char *detail)
{
	if (detail)
		snprintf(text, DETAIL_MAX, "%s", detail);
	return detail ? text : NULL;
}

/* The end that the peer, or time, has made. Calls up. */
static void fail(struct websocket *s, enum reason why, const char *detail)
{
	const struct websocket_ops *ops = s->ops;
	void *ctx = s->ctx;
	char text[DETAIL_MAX];

	detail = keep(text, detail);
	if (s->state == OPEN && ws_over(s->ws)) {
		send_control(s);
		start_closing(s);
	} else {
		websocket_gone(s, why);
	}
	ops->closed(ctx, why, detail);
}

/* Liveness. */

static void on_alive_check(struct deadline *d)
{
	struct websocket *s = container_of(d, struct websocket, deadline);
	bool ping;
	uint64_t ms = alive_look(&s->alive, s->w, s->paused, &ping);

	if (!ms) {
		fail(s, REASON_DEAD_PEER, NULL);
		return;
	}
	if (ping) {
		ws_ping(s->ws);
		worker_flush(s->w, &s->flusher);
	}
	deadline_set(s->w, d, ms, on_alive_check);
}

/* The handshake. */

static void on_handshake_over(struct deadline *d)
{
	fail(container_of(d, struct websocket, deadline), REASON_TIMED_OUT,
	     "no WebSocket handshake in time");
}

static void send_head(struct websocket *s, const char *head, size_t n)
{
	struct bufq q;
	struct buf b;

	bufq_init(&q);
	buf_lend(&b, (uint8_t *)head, n);
	bufq_put(&q, &b);
	s->room = end_send(s->lower, &q);
}

/* Server: the request will not be served; s is gone. Calls up. */
static void refuse(struct websocket *s, enum reason why, const char *detail)
{
	const struct websocket_ops *ops = s->ops;
	void *ctx = s->ctx;
	char head[UPGRADE_OUT_MAX], text[DETAIL_MAX];

	detail = keep(text, detail);
	refusal_start(s->w, s->lower, &s->penalty, head,
		      upgrade_write_refusal(head, why));
	websocket_free(s);
	ops->closed(ctx, why, detail);
}

static const struct upgrade_wsp *peer_offer(const struct websocket *s)
{
	const struct upgrade_request *req;

	if (!s->negotiate)
		return NULL;
	if (!s->server)
		return upgrade_peer(s->upgrade);
	req = upgrade_request(s->upgrade);
	return req->negotiated ? &req->wsp : NULL;
}

/* The peer's head is complete and good. False: s is CLOSING or gone. */
static bool open_up(struct websocket *s)
{
	const struct upgrade_wsp *peer = peer_offer(s);
	const struct upgrade_wsp *offer = s->negotiate ? &s->offer : NULL;
	struct upgrade_wsp copy;
	char head[UPGRADE_OUT_MAX];

	if (s->server)
		send_head(s, head,
			  upgrade_write_response(head, s->upgrade, offer));
	if (peer)
		copy = *peer;
	upgrade_free(s->upgrade);
	s->upgrade = NULL;
	s->state = OPEN;
	s->alive.alien = !peer;
	deadline_set(s->w, &s->deadline, alive_first(&s->alive),
		     on_alive_check);
	worker_flush(s->w, &s->flusher);
	s->ops->opened(s->ctx, peer ? &copy : NULL);
	return s->state == OPEN;
}

/* Bytes of the handshake; p is advanced. False: s is gone. */
static bool take_handshake(struct websocket *s, const uint8_t **p, size_t *n)
{
	enum reason why = REASON_DONE;
	const char *detail = NULL;
	size_t used;

	switch (upgrade_feed(s->upgrade, *p, *n, &used)) {
	case UPGRADE_MORE:
		*p += *n;
		*n = 0;
		return true;
	case UPGRADE_DONE:
		*p += used;
		*n -= used;
		if (s->server)
			why = s->ops->check(s->ctx,
					    upgrade_request(s->upgrade));
		break;
	case UPGRADE_FAILED:
		why = upgrade_why(s->upgrade);
		detail = upgrade_detail(s->upgrade);
		break;
	}
	if (why == REASON_DONE)
		return open_up(s);
	if (s->server)
		refuse(s, why, detail);
	else
		fail(s, why, detail);
	return false;
}

/* From the framing. */

static bool on_piece(void *ctx, uint8_t *p, size_t n, bool text, bool last)
{
	struct websocket *s = ctx;

	s->ops->piece(s->ctx, p, n, text, last);
	return s->state == OPEN;
}

static void on_mask(void *ctx, uint8_t key[4])
{
	struct websocket *s = ctx;

	/* without randomness no connection could have been made */
	if (worker_random(s->w, key, 4))
		abort();
}

static const struct ws_ops ws_ops = {.piece = on_piece, .mask = on_mask};

/* From below. */

/* The peer's Close, or its violation of RFC 6455. Calls up. */
static void peer_ended(struct websocket *s)
{
	char detail[DETAIL_MAX];
	uint16_t code;
	enum reason why = ws_why(s->ws, &code);

	snprintf(detail, sizeof(detail), "close code %u", (unsigned)code);
	if (why == REASON_CLOSED) /* RFC 6455 section 5.5.1: it still reads */
		while (s->room && send_messages(s))
			continue;
	fail(s, why, code ? detail : NULL);
}

/* False: s is CLOSING or gone. */
static bool take(struct websocket *s, struct buf *b)
{
	uint8_t *p = buf_ptr(b);
	const uint8_t *at = p;
	size_t n = b->len;

	if (b->aside) {
		s->ops->pass(s->ctx, b, ws_pass(s->ws, n));
		return s->state == OPEN;
	}
	if (s->state == HANDSHAKE && !take_handshake(s, &at, &n))
		return false;
	explicit_bzero(p, (size_t)(at - p)); /* of the handshake: a token */
	ws_input(s->ws, p + (at - p), n);
	return s->state == OPEN || s->state == HANDSHAKE;
}

/* In a large message the rest of its data may come aside. What comes behind it
 * probably has a header of the same size, which is read alone. */
static void expect(struct websocket *s)
{
	uint64_t before, got, n = 0, most = ws_passable(s->ws, &before);

	if (most && s->ops->passable)
		n = s->ops->passable(s->ctx, &got);
	if (n > most) /* the message claims more than its frame has */
		n = most;
	if (n)
		s->head = (size_t)(before - got);
	else if (!ws_between(s->ws))
		s->head = 0;
	if (s->head)
		end_expect(s->lower, n ? 0 : s->head, n);
}

/* All of a read has been taken. Calls up. */
static void after_input(struct websocket *s)
{
	if (s->state == HANDSHAKE)
		return;
	s->ops->turn(s->ctx);
	if (s->state != OPEN)
		return;
	websocket_wake(s);
	if (ws_over(s->ws))
		peer_ended(s);
	else
		expect(s);
}

/* gowsp leaves the connection open: its Close says that it has read all. */
static void take_last(struct websocket *s, struct bufq *q)
{
	for (struct buf *b = q->head; b && s->alive.alien; b = b->next)
		ws_input(s->ws, buf_ptr(b), b->len);
	bufq_clear(q);
	if (s->alive.alien && ws_heard(s->ws))
		websocket_gone(s, REASON_DONE);
}

static void on_data(struct end *e, struct bufq *q)
{
	struct websocket *s = e->user;
	struct bufq all;
	struct buf *b;
	bool on = true;

	if (s->early.head) {
		bufq_move(&s->early, q);
		bufq_move(q, &s->early);
	}
	if (s->state == CLOSING) {
		take_last(s, q);
		return;
	}
	bufq_init(&all); /* pieces point into it until turn() returns */
	while ((b = bufq_get(q))) {
		bufq_put(&all, b);
		if (on)
			on = take(s, b);
	}
	if (!on) { /* s may be gone */
		bufq_clear(&all);
		return;
	}
	alive_heard(&s->alive, s->w);
	end_left(e, all.bytes);
	after_input(s);
	bufq_clear(&all);
}

static void on_ready(struct end *e, size_t n)
{
	struct websocket *s = e->user;

	s->room = n;
	s->full = false;
	if (s->state == OPEN) /* the kernel's buffer was full, and drains */
		s->alive.heard = worker_now(s->w);
	websocket_wake(s);
}

static void on_eof(struct end *e)
{
	struct websocket *s = e->user;

	if (s->state == CLOSING)
		websocket_gone(s, REASON_DONE);
	else
		fail(s, REASON_RESET, "the connection ended");
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	struct websocket *s = e->user;
	const struct websocket_ops *ops = s->ops;
	void *ctx = s->ctx;
	bool tell = s->state != CLOSING;

	websocket_free(s);
	if (tell)
		ops->closed(ctx, why, detail);
}

/* A slow way gets the time that it needs, but not for ever. */
static void on_sent(struct end *e, size_t n)
{
	struct websocket *s = e->user;

	(void)n;
	if (s->state == CLOSING &&
	    worker_since(s->w, s->alive.heard) < CLOSING_MAX_MS)
		deadline_set(s->w, &s->deadline, CLOSING_MS, on_closing_over);
}

static void on_flushed(struct end *e)
{
	(void)e;
}

static const struct end_events lower_events = {
	.data = on_data,
	.sent = on_sent,
	.ready = on_ready,
	.eof = on_eof,
	.flushed = on_flushed,
	.dead = on_dead,
};

/* Making one. */

static bool send_request(struct websocket *s,
			 const struct websocket_config *config)
{
	struct upgrade_ask ask = config->ask;
	uint8_t nonce[UPGRADE_NONCE];
	char head[UPGRADE_OUT_MAX];
	size_t n;

	ask.wsp = config->offer;
	if (worker_random(s->w, nonce, sizeof(nonce)))
		return false;
	s->upgrade = upgrade_new_client(nonce);
	n = s->upgrade ? upgrade_write_request(head, &ask, nonce) : 0;
	if (n)
		send_head(s, head, n);
	explicit_bzero(head, n);
	return n > 0;
}

static bool start(struct websocket *s, const struct websocket_config *config)
{
	struct ws_config ws = config->ws;

	ws.pool = &s->w->pool;
	s->ws = ws_new(&ws, &ws_ops, s);
	if (!s->ws)
		return false;
	if (!s->server)
		return send_request(s, config);
	s->upgrade = upgrade_new_server();
	return s->upgrade != NULL;
}

struct websocket *websocket_open(struct worker *w, struct end *lower,
				 const struct websocket_config *config,
				 const struct websocket_ops *ops, void *ctx)
{
	struct websocket *s = calloc(1, sizeof(*s));

	if (!s) {
		end_drop(lower, REASON_NO_MEMORY);
		return NULL;
	}
	s->w = w;
	s->lower = lower;
	s->ops = ops;
	s->ctx = ctx;
	s->server = config->ws.role == WS_SERVER;
	s->negotiate = config->offer != NULL;
	if (config->offer)
		s->offer = *config->offer;
	bufq_init(&s->early);
	s->flusher.flush = on_flush;
	s->alive.heard = s->alive.said = worker_now(w);
	end_use(lower, &lower_events, s);
	if (!start(s, config)) {
		websocket_gone(s, REASON_NO_MEMORY);
		return NULL;
	}
	deadline_set(w, &s->deadline, HANDSHAKE_MS, on_handshake_over);
	end_read(lower, BUF_MAX);
	return s;
}

bool websocket_feed(struct websocket *s, const uint8_t *p, size_t n)
{
	struct buf *b = buf_copy(&s->w->pool, p, n);

	if (!b)
		return false;
	bufq_put(&s->early, b);
	worker_flush(s->w, &s->flusher);
	return true;
}
