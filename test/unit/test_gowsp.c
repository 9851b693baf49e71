/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/msg.h"
#include "proto/mux.h"

/* A server's mux whose peer is a gowsp client; the clock is ours. */
struct fixture {
	struct bufpool pool;
	struct budget budget;
	struct pace pace;
	struct mux *mux;
	struct end *offered;
	int dead; /* the reason, 0: it is not */
	uint64_t now;
};

static void on_wake(void *ctx)
{
	(void)ctx;
}

static void on_open(void *ctx, struct end *e, const struct addr *target)
{
	(void)target;
	((struct fixture *)ctx)->offered = e;
}

static const struct mux_ops mux_ops = {
	.wake = on_wake, .hurry = on_wake, .open = on_open};

static void on_nothing(struct end *e)
{
	(void)e;
}

/* It is said to have left later. */
static void on_data(struct end *e, struct bufq *q)
{
	(void)e;
	bufq_clear(q);
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	(void)detail;
	((struct fixture *)e->user)->dead = (int)why;
}

static const struct end_events events = {.data = on_data,
					 .eof = on_nothing,
					 .flushed = on_nothing,
					 .dead = on_dead};

static int set_up(void **state)
{
	static struct fixture f;
	struct mux_config config = {.max_data = MUX_DATA_GOWSP};

	memset(&f, 0, sizeof(f));
	f.now = 1000000;
	f.budget.limit = 1 << 24;
	bufpool_init(&f.pool);
	config.budget = &f.budget;
	config.pace = &f.pace;
	config.pool = &f.pool;
	f.mux = mux_new(&config, &mux_ops, &f);
	*state = &f;
	return !f.mux;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	mux_free(f->mux);
	bufpool_done(&f->pool);
	return f->budget.used != 0;
}

static void feed(struct fixture *f, struct buf *b)
{
	assert_int_equal(mux_input(f->mux, buf_ptr(b), b->len, true),
			 REASON_DONE);
	buf_free(b);
	mux_tick(f->mux, f->now);
	mux_notify(f->mux);
}

/* ms later; how many messages go out then. */
static unsigned int later(struct fixture *f, uint64_t ms)
{
	struct buf *b;
	unsigned int n = 0;

	f->now += ms;
	mux_tick(f->mux, f->now);
	mux_notify(f->mux);
	for (; (b = mux_pull(f->mux)); n++)
		buf_free(b);
	mux_tick(f->mux, f->now); /* of the turn in which waiting began */
	return n;
}

/* A stream that we have accepted; its RESPOND is out. */
static struct end *accepted(struct fixture *f)
{
	const uint8_t *id = (const uint8_t *)"one";

	feed(f, msg_connect(&f->pool, id, 3, "tcp://1.2.3.4:5"));
	assert_non_null(f->offered);
	end_use(f->offered, &events, f);
	stream_accept(f->offered, NULL);
	assert_int_equal(later(f, 0), 1);
	return f->offered;
}

static struct buf *interrupt(struct fixture *f, const char *id, bool refused)
{
	return msg_reset(&f->pool, (const uint8_t *)id, strlen(id),
			 refused ? REASON_CLOSED : REASON_DONE, false);
}

/* The peer ends within the hold: nothing is left of the stream. */
static void a_stream_that_is_over_is_no_orphan(void **state)
{
	struct fixture *f = *state;
	struct end *e = accepted(f);

	end_read(e, 1);
	feed(f, interrupt(f, "one", false));
	end_drop(e, REASON_DONE);
	assert_int_equal(mux_streams(f->mux), 0);
}

/* Dropped within the hold: the peer hears of it, though it refuses at first,
 * and then nothing is left. */
static void an_orphan_is_heard_and_gone(void **state)
{
	struct fixture *f = *state;

	end_drop(accepted(f), REASON_RESET);
	assert_int_equal(mux_streams(f->mux), 1);
	assert_int_equal(later(f, 19), 0);
	assert_int_equal(later(f, 1), 2); /* an empty message, a fence */
	feed(f, interrupt(f, "one", true));
	feed(f, interrupt(f, "!one", true));
	assert_int_equal(later(f, 9), 0);
	assert_int_equal(later(f, 1), 2);
	feed(f, interrupt(f, "\"one", true));
	assert_int_equal(later(f, 4), 0);
	assert_int_equal(later(f, 1), 1); /* the fence behind all */
	feed(f, interrupt(f, "#one", true));
	assert_int_equal(later(f, 0), 1); /* INTERRUPT */
	assert_int_equal(mux_streams(f->mux), 0);
}

/* However long ago the last tick was, the hold has its full length. */
static void the_hold_begins_with_the_respond(void **state)
{
	struct fixture *f = *state;
	struct bufq q;

	later(f, 5000);
	accepted(f);
	bufq_init(&q);
	bufq_put(&q, buf_copy(&f->pool, "banner", 6));
	end_send(f->offered, &q);
	assert_int_equal(later(f, 19), 0);
	assert_int_equal(later(f, 1), 2);
	end_drop(f->offered, REASON_RESET);
	mux_fail(f->mux, REASON_DEAD_PEER);
	assert_int_equal(mux_streams(f->mux), 0);
}

/* One MiB and a little more, which nobody takes. */
static struct end *choking(struct fixture *f)
{
	struct end *e = accepted(f);
	struct buf *b;

	for (int i = 0; i < 33; i++) {
		b = buf_new(&f->pool, 32768);
		memset(buf_ptr(b), 0, 32768);
		b->len = 32768;
		msg_seal(b, (const uint8_t *)"one", 3, WspCmd_TRANSFER);
		assert_int_equal(mux_choked(f->mux), false);
		feed(f, b);
	}
	assert_int_equal(mux_choked(f->mux), true);
	return e;
}

static void open_another(struct fixture *f)
{
	feed(f, msg_connect(&f->pool, (const uint8_t *)"two", 3, "tcp://a:1"));
	assert_int_equal(mux_streams(f->mux), 2);
}

static void who_keeps_all_from_others_is_reset(void **state)
{
	struct fixture *f = *state;

	choking(f);
	open_another(f);
	assert_int_equal(later(f, 7999), 0);
	assert_int_equal(f->dead, 0);
	assert_int_equal(later(f, 1), 1); /* INTERRUPT */
	assert_int_equal(f->dead, REASON_LIMIT);
	assert_int_equal(mux_choked(f->mux), false);
}

static void who_takes_a_little_is_not(void **state)
{
	struct fixture *f = *state;
	struct end *e = choking(f);

	open_another(f);
	end_read(e, 1);
	mux_notify(f->mux);
	for (int i = 0; i < 8; i++) {
		later(f, 7000);
		end_left(e, 32768);
		assert_int_equal(f->dead, 0);
		assert_int_equal(mux_choked(f->mux), true);
	}
	end_left(e, 10 * 32768);
	assert_int_equal(mux_choked(f->mux), false);
	later(f, 60000);
	assert_int_equal(f->dead, 0);
}

static void who_is_alone_may_wait(void **state)
{
	struct fixture *f = *state;

	choking(f);
	for (int i = 0; i < 10; i++)
		assert_int_equal(later(f, 8000), 0);
	assert_int_equal(mux_choked(f->mux), true);
	open_another(f);
	assert_int_equal(later(f, 8000), 1);
	assert_int_equal(f->dead, REASON_LIMIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_stream_that_is_over_is_no_orphan),
		TEST(an_orphan_is_heard_and_gone),
		TEST(the_hold_begins_with_the_respond),
		TEST(who_keeps_all_from_others_is_reset),
		TEST(who_takes_a_little_is_not),
		TEST(who_is_alone_may_wait),
	};

	return cmocka_run_group_tests_name("gowsp", tests, NULL, NULL);
}
