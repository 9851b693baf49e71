/* SPDX-License-Identifier: MIT */
/* A mux whose peer says anything: messages of any kind, cut anywhere, in both
 * dialects. Users accept, echo and finish; nothing may break, leak or exceed
 * the budget. */
#include <string.h>

#include "proto/msg.h"
#include "proto/mux.h"
#include "test/fuzz/fuzz.h"

#define BUDGET (256 * 1024)

struct world {
	struct bufpool pool;
	struct budget budget;
	struct pace pace;
	struct mux *mux;
	unsigned int alive;
	uint8_t salt;
};

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

static void on_eof(struct end *e)
{
	end_fin(e);
}

static void on_flushed(struct end *e)
{
	struct world *w = e->user;

	w->alive--;
	end_drop(e, REASON_DONE);
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	struct world *w = e->user;

	(void)detail;
	check(why != REASON_DONE);
	w->alive--;
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
	end_read(e, BUF_MAX);
}

static const struct mux_ops ops = {.wake = on_wake, .open = on_open};

static void pull_all(struct world *w)
{
	struct buf *b;

	while ((b = mux_pull(w->mux))) {
		check(b->len <= MUX_MESSAGE_MAX);
		buf_free(b);
	}
}

/* The input is cut into pieces: a byte says how long and whether last. */
static void feed(struct world *w, const uint8_t *p, size_t n)
{
	uint64_t now = 0;

	while (n > 1) {
		size_t len = p[0] & 0x7f;
		bool last = p[0] & 0x80;
		uint8_t copy[128];

		p++;
		n--;
		if (len > n)
			len = n;
		memcpy(copy, p, len);
		p += len;
		n -= len;
		if (mux_input(w->mux, copy, len, last) != REASON_DONE)
			return;
		mux_notify(w->mux);
		mux_tick(w->mux, now += 500);
		pull_all(w);
		check(w->budget.used <= w->budget.limit);
		check(mux_error(w->mux) == REASON_DONE);
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
	mux_fail(w.mux, REASON_TUNNEL_DOWN);
	check(w.alive == 0);
	mux_free(w.mux);
	check(w.budget.used == 0 && w.pool.inuse == 0);
	bufpool_done(&w.pool);
	return 0;
}
