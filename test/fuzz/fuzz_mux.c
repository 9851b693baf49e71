/* SPDX-License-Identifier: MIT */
/* A mux whose peer says anything: messages of any kind, cut anywhere, in both
 * dialects. Users accept, echo and finish, or drop; one does not read before
 * the tunnel has gone; nothing may break, leak or exceed the budget. */
#include <string.h>

#include "proto/msg.h"
#include "proto/mux.h"
#include "test/fuzz/fuzz.h"

#define FILLER    0x7f
#define PIECE_MAX (255 * 256)
#define BUDGET    (4 * 1024 * 1024)

struct world {
	struct bufpool pool;
	struct budget budget;
	struct pace pace;
	struct mux *mux;
	struct end *lazy; /* does not read */
	unsigned int alive;
	uint8_t salt;
};

static void gone(struct world *w, struct end *e)
{
	w->alive--;
	if (w->lazy == e)
		w->lazy = NULL;
}

static void on_opened(struct end *e, const char *bound)
{
	(void)bound;
	end_read(e, BUF_MAX);
}

static void on_data(struct end *e, struct bufq *q)
{
	size_t n = q->bytes;

	end_send(e, q);
	end_left(e, n);
}

static void on_size(struct end *e, size_t n)
{
	(void)e;
	(void)n;
}

/* One user in two has had enough. */
static void on_eof(struct end *e)
{
	struct world *w = e->user;

	if (w->salt++ & 2) {
		gone(w, e);
		end_drop(e, REASON_RESET);
	} else {
		end_fin(e);
	}
}

static void on_flushed(struct end *e)
{
	gone(e->user, e);
	end_drop(e, REASON_DONE);
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	(void)detail;
	check(why != REASON_DONE);
	gone(e->user, e);
}

static const struct end_events events = {
	.opened = on_opened,
	.data = on_data,
	.sent = on_size,
	.ready = on_size,
	.eof = on_eof,
	.flushed = on_flushed,
	.dead = on_dead,
};

static void on_wake(void *ctx)
{
	(void)ctx;
}

static void say(struct world *w, struct end *e)
{
	struct bufq q;

	bufq_init(&q);
	bufq_put(&q, buf_copy(&w->pool, "banner", 6));
	end_send(e, &q);
}

/* The port says what its user does first. */
static void on_open(void *ctx, struct end *e, const struct addr *target)
{
	struct world *w = ctx;

	if ((target->port ^ w->salt) & 1) {
		stream_refuse(e, REASON_REFUSED);
		return;
	}
	w->alive++;
	end_use(e, &events, w);
	stream_accept(e, NULL);
	if (target->port & 4 && !w->lazy)
		w->lazy = e;
	else
		end_read(e, BUF_MAX);
	if (target->port & 8)
		say(w, e);
	if (target->port & 16)
		end_fin(e);
	if (target->port & 32) {
		gone(w, e);
		end_drop(e, REASON_RESET);
	}
}

static const struct mux_ops ops = {
	.wake = on_wake, .hurry = on_wake, .open = on_open};

static void pull_all(struct world *w)
{
	struct buf *b;

	while ((b = mux_pull(w->mux))) {
		check(b->len <= MUX_MESSAGE_MAX);
		buf_free(b);
	}
}

/* The next piece of a message, in memory of its own: a byte says whether it is
 * the last, and how long; FILLER is many bytes, as the next one says. */
static size_t take_piece(const uint8_t **p, size_t *n, uint8_t *out)
{
	size_t len = (*p)[0] & 0x7f, filler;

	(*p)++;
	(*n)--;
	if (len == FILLER) {
		filler = (size_t)(*p)[0] * 256;
		(*p)++;
		(*n)--;
		memset(out, 'x', filler);
		return filler;
	}
	if (len > *n)
		len = *n;
	memcpy(out, *p, len);
	*p += len;
	*n -= len;
	return len;
}

static void check_state(struct world *w)
{
	check(w->budget.used <= w->budget.limit);
	check(mux_error(w->mux) == REASON_DONE);
	check(mux_bulk(w->mux) <= mux_streams(w->mux));
	check(mux_backlog(w->mux) == 0);
	check(!mux_choked(w->mux) || mux_due(w->mux));
}

static void feed(struct world *w, const uint8_t *p, size_t n)
{
	static uint8_t copy[PIECE_MAX];
	uint64_t now = 0;

	while (n > 1) {
		bool last = p[0] & 0x80;
		size_t len = take_piece(&p, &n, copy);

		if (mux_input(w->mux, copy, len, last) != REASON_DONE)
			return;
		mux_notify(w->mux);
		mux_tick(w->mux, now += last ? 500 : 5);
		pull_all(w);
		check_state(w);
	}
}

static void open_some(struct world *w)
{
	struct addr target = {.host = "h", .port = 1};
	enum reason why;

	for (int i = 0; i < 2; i++)
		if (mux_open(w->mux, &target, &events, w, &why))
			w->alive++;
}

/* What was complete on the wire outlives the tunnel, for the user to read. */
static void lose_tunnel(struct world *w)
{
	mux_fail(w->mux, REASON_TUNNEL_DOWN);
	check(w->alive <= 1);
	if (w->lazy)
		end_read(w->lazy, BUF_MAX);
	mux_notify(w->mux);
	check(w->alive == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct world w = {.budget = {.limit = BUDGET}};
	struct mux_config config = {
		.native = n && p[0] & 1,
		.initiator = n && p[0] & 2,
		.grant = 16384,
		.credit = 16384,
		.max_data = 32768,
		.budget = &w.budget,
		.pace = &w.pace,
		.pool = &w.pool,
	};

	if (n < 2)
		return 0;
	w.salt = p[0] >> 2;
	bufpool_init(&w.pool);
	w.mux = mux_new(&config, &ops, &w);
	check(w.mux != NULL);
	open_some(&w);
	feed(&w, p + 1, n - 1);
	lose_tunnel(&w);
	mux_free(w.mux);
	check(w.budget.used == 0 && w.pool.inuse == 0);
	bufpool_done(&w.pool);
	return 0;
}
