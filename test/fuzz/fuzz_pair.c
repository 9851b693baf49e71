/* SPDX-License-Identifier: MIT */
/*
 * A client and a server in one process: handshake, frames and streams of both,
 * joined by two pipes that deliver any number of bytes at a time. The input
 * says what the users do and what becomes of the pipes. Its first byte: 1 the
 * handshake is in its hands too, 2 in the dialect of gowsp.
 *
 * While the pipes are good, what arrives is a prefix of what was sent, an end
 * comes behind the last byte and only if there was one, a stream dies only if
 * somebody dropped or refused it or a pipe was cut, and all comes to an end
 * once everybody reads. When a pipe has changed bytes, nothing of this can
 * hold, but that nothing breaks, leaks or exceeds its budget.
 */
#include <stdio.h>
#include <string.h>

#include "proto/mux.h"
#include "proto/upgrade.h"
#include "proto/ws.h"
#include "test/fuzz/fuzz.h"

#define BUDGET   (1024 * 1024)
#define PAIRS    8
#define PIPE_MAX (128 * 1024) /* bytes on the way: more is not pulled */
#define SETTLE   4000         /* rounds after which silence is a stall */
#define GRANT    16384

struct user {
	struct pair *pair;
	struct end *e; /* NULL: not there, or gone */
	int dir;       /* 0: opened it */
	uint64_t sent, received, left;
	size_t room;
	bool reading, fin, eof, flushed;
};

/* A stream; its place is its target's port modulo PAIRS. */
struct pair {
	struct user user[2];
	uint32_t key;
	bool used, dropped;
};

struct side {
	struct upgrade *upgrade; /* NULL: frames */
	struct ws *ws;
	struct mux *mux; /* NULL: not yet */
	struct bufpool pool;
	struct budget budget;
	struct pace pace;
	bool gone;
	uint8_t *pipe; /* to the other side */
	size_t len, size;
};

static struct side sides[2];
static struct pair pairs[PAIRS];
static uint32_t next_key;
static uint64_t now;
static bool faulty; /* bytes were changed */
static bool ended;  /* the connection was, on purpose */
static bool alien;  /* they speak as to a gowsp: an end may come early */

static uint8_t pattern(uint32_t key, int dir, uint64_t at)
{
	uint64_t x = (key * 2 + (uint32_t)dir + 1) * 0x9e3779b97f4a7c15u + at;

	return (uint8_t)((x * 0xd6e8feb86659fd93u) >> 56);
}

/* Users. */

static void on_opened(struct end *e, const char *bound)
{
	(void)e;
	(void)bound;
}

static void on_data(struct end *e, struct bufq *q)
{
	struct user *u = e->user;
	struct user *other = &u->pair->user[!u->dir];
	struct buf *b;

	check(u->reading && !u->eof);
	while ((b = bufq_get(q))) {
		for (uint32_t i = 0; i < b->len && !faulty; i++)
			check(buf_ptr(b)[i] == pattern(u->pair->key, other->dir,
						       u->received + i));
		u->received += b->len;
		buf_free(b);
	}
	check(faulty || u->received <= other->sent);
}

static void on_sent(struct end *e, size_t n)
{
	(void)e;
	(void)n;
}

static void on_ready(struct end *e, size_t n)
{
	((struct user *)e->user)->room = n;
}

static void on_eof(struct end *e)
{
	struct user *u = e->user;
	struct user *other = &u->pair->user[!u->dir];

	check(u->reading && !u->eof);
	check(faulty || alien || (other->fin && u->received == other->sent));
	u->eof = true;
}

static void on_flushed(struct end *e)
{
	struct user *u = e->user;

	check(u->fin && !u->flushed);
	u->flushed = true;
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	struct user *u = e->user;

	(void)detail;
	check(why != REASON_DONE);
	check(u->pair->dropped || ended || faulty || alien);
	u->e = NULL;
}

static const struct end_events events = {
	.opened = on_opened,
	.data = on_data,
	.sent = on_sent,
	.ready = on_ready,
	.eof = on_eof,
	.flushed = on_flushed,
	.dead = on_dead,
};

static void on_wake(void *ctx)
{
	(void)ctx;
}

static void on_open(void *ctx, struct end *e, const struct addr *target)
{
	struct pair *p = &pairs[target->port % PAIRS];
	struct user *u = &p->user[1];

	check(faulty || ctx == &sides[1]);
	if (!p->used || p->key != target->port || u->e ||
	    target->port % 7 == 6) {
		if (p->used && p->key == target->port)
			p->dropped = true;
		stream_refuse(e, REASON_REFUSED);
		return;
	}
	u->e = e;
	u->room = 1;
	end_use(e, &events, u);
	stream_accept(e, "10.0.0.1:99");
}

static const struct mux_ops mux_ops = {
	.wake = on_wake, .hurry = on_wake, .open = on_open};

static void do_open(void)
{
	struct addr target = {.host = "target"};
	struct pair *p = &pairs[next_key % PAIRS];
	enum reason why;

	if (!sides[0].mux || sides[0].gone || p->used || next_key > 60000)
		return;
	memset(p, 0, sizeof(*p));
	p->key = next_key++;
	for (int d = 0; d < 2; d++)
		p->user[d] = (struct user){.pair = p, .dir = d, .room = 1};
	target.port = (uint16_t)p->key;
	p->user[0].e =
		mux_open(sides[0].mux, &target, &events, &p->user[0], &why);
	p->used = p->user[0].e != NULL;
}

static void do_send(struct user *u, size_t n)
{
	struct bufq q;
	struct buf *b;

	if (u->fin || u->room == 0)
		return;
	b = buf_new(&sides[u->dir].pool, n);
	check(b != NULL);
	for (size_t i = 0; i < n; i++)
		buf_ptr(b)[i] = pattern(u->pair->key, u->dir, u->sent + i);
	b->len = (uint32_t)n;
	u->sent += n;
	bufq_init(&q);
	bufq_put(&q, b);
	u->room = end_send(u->e, &q);
}

static void do_left(struct user *u)
{
	size_t n = (size_t)(u->received - u->left);

	u->left = u->received;
	if (n)
		end_left(u->e, n);
}

static void do_fin(struct user *u)
{
	if (!u->fin)
		end_fin(u->e);
	u->fin = true;
}

static void do_read(struct user *u, size_t max)
{
	u->reading = max > 0;
	end_read(u->e, max);
}

static void do_drop(struct user *u)
{
	if (!(u->eof && u->flushed))
		u->pair->dropped = true;
	end_drop(u->e, REASON_RESET);
	u->e = NULL;
}

/* Both ends of p are done with: its place is free. */
static void reap(struct pair *p)
{
	for (int d = 0; d < 2; d++) {
		struct user *u = &p->user[d];

		if (u->e && u->eof && u->flushed) {
			do_left(u);
			do_drop(u);
		}
	}
	if (!p->user[0].e && !p->user[1].e)
		p->used = false;
}

/* One side's connection. */

static void send_bytes(struct side *s, const void *p, size_t n)
{
	if (s->len + n > s->size) {
		s->size = 2 * (s->len + n);
		s->pipe = realloc(s->pipe, s->size);
		check(s->pipe != NULL);
	}
	memcpy(s->pipe + s->len, p, n);
	s->len += n;
}

static void go(struct side *s)
{
	s->gone = true;
	if (s->mux)
		mux_fail(s->mux, REASON_TUNNEL_DOWN);
}

static bool on_piece(void *ctx, uint8_t *p, size_t n, bool text, bool last)
{
	struct side *s = ctx;

	check(faulty || !text);
	if (!text && mux_input(s->mux, p, n, last) != REASON_DONE) {
		check(faulty);
		ws_close(s->ws, 1002, "");
		return false;
	}
	return true;
}

static void on_mask(void *ctx, uint8_t key[4])
{
	(void)ctx;
	memcpy(key, "\x9a\x3b\x5c\x7d", 4);
}

static const struct ws_ops ws_ops = {.piece = on_piece, .mask = on_mask};

static void open_up(struct side *s, const struct upgrade_wsp *peer)
{
	struct mux_config config = {
		.initiator = s == &sides[0],
		.native = peer != NULL,
		.grant = GRANT,
		.credit = peer ? peer->window : 0,
		.max_data = 32768,
		.budget = &s->budget,
		.pace = &s->pace,
		.pool = &s->pool,
	};

	check(faulty || alien || (peer && peer->window == GRANT));
	s->mux = mux_new(&config, &mux_ops, s);
	check(s->mux != NULL);
}

static const struct upgrade_wsp offer = {.window = GRANT,
					 .message = MUX_MESSAGE_MAX};

/* Returns the bytes that belonged to the head. */
static size_t take_head(struct side *s, const uint8_t *p, size_t n)
{
	const struct upgrade_request *req;
	const struct upgrade_wsp *peer;
	char head[UPGRADE_OUT_MAX];
	size_t used = n;

	switch (upgrade_feed(s->upgrade, p, n, &used)) {
	case UPGRADE_MORE:
		return n;
	case UPGRADE_FAILED:
		check(faulty);
		go(s);
		return n;
	case UPGRADE_DONE:
		break;
	}
	if (s == &sides[1]) {
		req = upgrade_request(s->upgrade);
		check(faulty || strcmp(req->token, "secret") == 0);
		send_bytes(s, head,
			   upgrade_write_response(head, s->upgrade, &offer));
		open_up(s, req->negotiated ? &req->wsp : NULL);
	} else {
		peer = upgrade_peer(s->upgrade);
		open_up(s, peer);
	}
	upgrade_free(s->upgrade);
	s->upgrade = NULL;
	return used;
}

/* n bytes of from's pipe arrive, in memory of their own: what is used after
 * its time is seen. */
static void deliver(int from, size_t n)
{
	struct side *s = &sides[!from], *f = &sides[from];
	uint8_t *p;
	size_t used = 0;

	n = n < f->len ? n : f->len;
	if (n == 0)
		return;
	p = malloc(n);
	check(p != NULL);
	memcpy(p, f->pipe, n);
	f->len -= n;
	memmove(f->pipe, f->pipe + n, f->len);
	if (!s->gone && s->upgrade)
		used = take_head(s, p, n);
	if (!s->gone && !s->upgrade) {
		ws_input(s->ws, p + used, n - used);
		mux_notify(s->mux);
		if (ws_over(s->ws)) {
			check(faulty || ended);
			go(s);
		}
	}
	free(p);
}

static void pull(struct side *s)
{
	struct buf *b;

	if (!s->mux)
		return;
	for (;;) {
		b = ws_pull(s->ws);
		if (!b && !s->gone && s->len < PIPE_MAX) {
			b = mux_pull(s->mux);
			if (b)
				ws_seal(s->ws, b, WS_BINARY);
		}
		if (!b)
			break;
		send_bytes(s, buf_ptr(b), b->len);
		buf_free(b);
	}
	check(mux_error(s->mux) == REASON_DONE);
	check(s->budget.used <= s->budget.limit);
}

static void turn(void)
{
	now += 10;
	for (int i = 0; i < 2; i++)
		if (sides[i].mux) {
			mux_tick(sides[i].mux, now);
			mux_notify(sides[i].mux);
		}
	for (int i = 0; i < PAIRS; i++)
		if (pairs[i].used)
			reap(&pairs[i]);
}

/* What the input says. */

static void do_user(uint8_t what, uint8_t arg)
{
	struct user *u = &pairs[arg % PAIRS].user[arg / PAIRS & 1];
	uint8_t more = arg >> 4;

	if (!u->pair || !u->pair->used || !u->e)
		return;
	switch (what) {
	case 0:
	case 1:
		do_send(u, (size_t)1 << more);
		break;
	case 2:
		do_fin(u);
		break;
	case 3:
		do_read(u, more ? (size_t)1 << (more + 5) : 0);
		break;
	case 4:
		do_left(u);
		break;
	case 5:
		do_drop(u);
		break;
	}
}

static void do_fault(uint8_t what, uint8_t arg)
{
	struct side *s = &sides[arg & 1];
	size_t at = s->len ? (size_t)(arg >> 1) * 7 % s->len : 0;

	if (s->len == 0)
		return;
	faulty = true;
	if (what) {
		s->pipe[at] ^= (uint8_t)(1 << (arg >> 5));
		return;
	}
	s->len--;
	memmove(s->pipe + at, s->pipe + at + 1, s->len - at);
}

static void do_end(uint8_t arg)
{
	struct side *s = &sides[arg & 1];

	ended = true;
	if (s->mux && !s->gone && arg & 2)
		ws_close(s->ws, 1000, "");
	go(s);
}

static void step(uint8_t what, uint8_t arg)
{
	switch (what) {
	case 6:
	case 7:
		do_open();
		break;
	case 8:
	case 9:
		pull(&sides[arg & 1]);
		break;
	case 10:
		deliver(arg & 1, (size_t)arg >> 1);
		break;
	case 11:
		deliver(arg & 1, (size_t)arg << 8 | 255);
		break;
	case 12:
		if (sides[arg & 1].mux && !sides[arg & 1].gone)
			ws_ping(sides[arg & 1].ws);
		break;
	case 13:
	case 14:
		if (arg > 200)
			do_fault(what - 13, arg);
		break;
	case 15:
		if (arg > 240)
			do_end(arg);
		break;
	default:
		do_user(what, arg);
	}
	turn();
}

/* Life. */

static void start(void)
{
	static const uint8_t nonce[UPGRADE_NONCE] = "0123456789abcdef";
	struct upgrade_ask ask = {.host = "h",
				  .path = "/",
				  .token = "secret",
				  .wsp = alien ? NULL : &offer};
	char head[UPGRADE_OUT_MAX];

	memset(sides, 0, sizeof(sides));
	memset(pairs, 0, sizeof(pairs));
	next_key = 1;
	now = 0;
	faulty = ended = false;
	for (int i = 0; i < 2; i++) {
		struct side *s = &sides[i];
		struct ws_config config = {.role = i ? WS_SERVER : WS_CLIENT,
					   .max_message = MUX_MESSAGE_MAX,
					   .max_fragments = 64,
					   .pool = &s->pool};

		bufpool_init(&s->pool);
		s->budget.limit = BUDGET;
		s->ws = ws_new(&config, &ws_ops, s);
		s->upgrade =
			i ? upgrade_new_server() : upgrade_new_client(nonce);
		check(s->ws && s->upgrade);
	}
	send_bytes(&sides[0], head, upgrade_write_request(head, &ask, nonce));
}

static void finish_user(struct user *u)
{
	if (!u->pair || !u->pair->used || !u->e)
		return;
	do_read(u, BUF_MAX);
	do_left(u);
	do_fin(u);
}

/* Everybody reads and finishes, and all of it must come to an end. */
static void settle(void)
{
	bool left = true;

	for (int n = 0; left; n++) {
		check(n < SETTLE);
		left = false;
		for (int i = 0; i < PAIRS; i++) {
			finish_user(&pairs[i].user[0]);
			finish_user(&pairs[i].user[1]);
		}
		for (int i = 0; i < 2; i++) {
			pull(&sides[i]);
			deliver(i, SIZE_MAX);
		}
		turn();
		for (int i = 0; i < PAIRS; i++)
			left |= pairs[i].used;
	}
}

static void stop(void)
{
	for (int i = 0; i < 2; i++) {
		struct side *s = &sides[i];

		ended = true;
		if (!s->gone)
			go(s);
		for (int k = 0; k < PAIRS; k++)
			if (pairs[k].user[i].e) /* complete: still here */
				do_drop(&pairs[k].user[i]);
		if (s->mux)
			mux_free(s->mux);
		upgrade_free(s->upgrade);
		ws_free(s->ws);
		check(s->budget.used == 0 && s->pool.inuse == 0);
		bufpool_done(&s->pool);
		free(s->pipe);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n == 0)
		return 0;
	alien = p[0] & 2;
	start();
	if (!(p[0] & 1)) {
		deliver(0, SIZE_MAX);
		deliver(1, SIZE_MAX);
	}
	for (p++, n--; n >= 2; p += 2, n -= 2)
		step(p[0] & 15, p[1]);
	if (!faulty && !ended)
		settle();
	stop();
	return 0;
}
