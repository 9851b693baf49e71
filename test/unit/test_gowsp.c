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

static const struct mux_ops mux_ops = {.wake = on_wake, .open = on_open};

static void on_nothing(struct end *e)
{
	(void)e;
}

static const struct end_events events = {.eof = on_nothing,
					 .flushed = on_nothing};

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_stream_that_is_over_is_no_orphan),
		TEST(an_orphan_is_heard_and_gone),
		TEST(the_hold_begins_with_the_respond),
	};

	return cmocka_run_group_tests_name("gowsp", tests, NULL, NULL);
}
