/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/msg.h"
#include "proto/mux.h"

#define CHUNK (16 * 1024)

/* A client's mux whose peer is a wsp; the clock is ours. */
struct fixture {
	struct bufpool pool;
	struct budget budget;
	struct pace pace;
	struct mux *mux;
	uint64_t now;
	int opened;
	int hurried;
};

static void on_wake(void *ctx)
{
	(void)ctx;
}

static void on_hurry(void *ctx)
{
	struct fixture *f = ctx;

	f->hurried++;
}

static const struct mux_ops mux_ops = {.wake = on_wake, .hurry = on_hurry};

static void on_opened(struct end *e, const char *bound)
{
	struct fixture *f = e->user;

	(void)bound;
	f->opened++;
}

static void on_data(struct end *e, struct bufq *q)
{
	size_t n = q->bytes;

	bufq_clear(q);
	end_left(e, n);
}

static void on_ready(struct end *e, size_t n)
{
	(void)e;
	(void)n;
}

static const struct end_events events = {
	.opened = on_opened, .data = on_data, .ready = on_ready};

static int set_up(void **state)
{
	static struct fixture f;
	struct mux_config config = {
		.initiator = true,
		.native = true,
		.grant = 1 << 20,
		.credit = 1 << 20,
		.max_data = MUX_DATA_MAX,
	};

	memset(&f, 0, sizeof(f));
	f.now = 1000000;
	f.budget.limit = 1 << 24;
	bufpool_init(&f.pool);
	config.budget = &f.budget;
	config.pace = &f.pace;
	config.pool = &f.pool;
	f.mux = mux_new(&config, &mux_ops, &f);
	mux_tick(f.mux, f.now);
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

static void pull_all(struct fixture *f)
{
	struct buf *b;

	mux_notify(f->mux);
	while ((b = mux_pull(f->mux)))
		buf_free(b);
}

static void feed(struct fixture *f, struct buf *b)
{
	assert_int_equal(mux_input(f->mux, buf_ptr(b), b->len, true),
			 REASON_DONE);
	pull_all(f);
	buf_free(b);
}

static void later(struct fixture *f, uint64_t ms)
{
	f->now += ms;
	mux_tick(f->mux, f->now);
}

/* The nth stream, which the peer has accepted. */
static struct end *open_stream(struct fixture *f, const char *id)
{
	struct addr target = {.host = "h", .port = 1};
	enum reason why;
	struct end *e = mux_open(f->mux, &target, &events, f, &why);
	int before = f->opened;

	assert_non_null(e);
	feed(f, msg_respond(&f->pool, (const uint8_t *)id, 1, REASON_DONE, NULL,
			    true));
	assert_int_equal(f->opened, before + 1);
	end_read(e, CHUNK);
	return e;
}

static void download(struct fixture *f, const char *id, size_t bytes)
{
	for (; bytes; bytes -= CHUNK) {
		struct buf *b = buf_new(&f->pool, CHUNK);

		b->len = CHUNK;
		memset(buf_ptr(b), 'x', CHUNK);
		msg_seal(b, (const uint8_t *)id, 1, WspCmd_TRANSFER);
		feed(f, b);
	}
}

static void upload(struct fixture *f, struct end *e, size_t bytes)
{
	for (; bytes; bytes -= CHUNK) {
		struct buf *b = buf_new(&f->pool, CHUNK);
		struct bufq q;

		b->len = CHUNK;
		memset(buf_ptr(b), 'x', CHUNK);
		bufq_init(&q);
		bufq_put(&q, b);
		end_send(e, &q);
		pull_all(f);
	}
}

static void much_at_once_is_bulk(void **state)
{
	struct fixture *f = *state;
	struct end *down = open_stream(f, "1"), *up = open_stream(f, "3");

	download(f, "1", 240 * 1024);
	upload(f, up, 240 * 1024);
	assert_int_equal(mux_bulk(f->mux), 0);
	download(f, "1", CHUNK);
	assert_int_equal(mux_bulk(f->mux), 1);
	upload(f, up, CHUNK);
	assert_int_equal(mux_bulk(f->mux), 2);
	end_drop(down, REASON_RESET);
	assert_int_equal(mux_bulk(f->mux), 1);
	end_drop(up, REASON_RESET);
	assert_int_equal(mux_bulk(f->mux), 0);
}

static void both_directions_count_together(void **state)
{
	struct fixture *f = *state;
	struct end *e = open_stream(f, "1");

	download(f, "1", 128 * 1024);
	upload(f, e, 128 * 1024);
	assert_int_equal(mux_bulk(f->mux), 1);
	end_drop(e, REASON_RESET);
}

static void a_trickle_is_no_bulk(void **state)
{
	struct fixture *f = *state;
	struct end *e = open_stream(f, "1");

	for (int i = 0; i < 100; i++) {
		download(f, "1", CHUNK);
		later(f, 300);
		assert_int_equal(mux_bulk(f->mux), 0);
	}
	end_drop(e, REASON_RESET);
}

static size_t send(struct fixture *f, struct end *e, size_t n)
{
	struct buf *b = buf_new(&f->pool, n);
	struct bufq q;

	b->len = (uint32_t)n;
	memset(buf_ptr(b), 'x', n);
	bufq_init(&q);
	bufq_put(&q, b);
	return end_send(e, &q);
}

/* Half a step that waits must not make all reads half ones. */
static void a_step_may_follow_a_part_of_one(void **state)
{
	struct fixture *f = *state;
	struct end *e = open_stream(f, "1");

	assert_int_equal(send(f, e, 4096), PACE_BULK);
	assert_int_equal(send(f, e, PACE_BULK), 0);
	pull_all(f);
	later(f, PACE_LIGHT_MS);
	assert_int_equal(send(f, e, 1), 1024 * 1024 - 4096 - PACE_BULK - 1);
	end_drop(e, REASON_RESET);
}

static void a_whole_step_of_bulk_leaves_at_once(void **state)
{
	struct fixture *f = *state;
	struct end *e = open_stream(f, "1");

	send(f, e, PACE_BULK - 1);
	assert_int_equal(f->hurried, 0);
	send(f, e, 1);
	assert_int_equal(f->hurried, 1);
	end_drop(e, REASON_RESET);
}

static void beside_a_small_stream_steps_are_short(void **state)
{
	struct fixture *f = *state;
	struct end *small = open_stream(f, "1"), *e = open_stream(f, "3");

	send(f, small, 64);
	pull_all(f);
	assert_int_equal(send(f, e, 4096), PACE_LIGHT);
	send(f, e, PACE_BULK);
	assert_int_equal(f->hurried, 0);
	pull_all(f);
	later(f, PACE_LIGHT_MS);
	assert_int_equal(send(f, e, 4096), 1024 * 1024 - PACE_BULK - 2 * 4096);
	end_drop(small, REASON_RESET);
	end_drop(e, REASON_RESET);
}

/* Without a gap as long as it goes on, and not for ever. */
static void bulk_stays_bulk_until_it_rests(void **state)
{
	struct fixture *f = *state;
	struct end *slow = open_stream(f, "1"), *e = open_stream(f, "3");

	download(f, "1", 256 * 1024);
	for (int i = 0; i < 100; i++) {
		download(f, "3", 256 * 1024);
		later(f, 4000);
		assert_int_equal(mux_bulk(f->mux), i ? 1 : 2);
	}
	later(f, 1500);
	assert_int_equal(mux_bulk(f->mux), 0);
	download(f, "1", 256 * 1024);
	assert_int_equal(mux_bulk(f->mux), 1);
	end_drop(slow, REASON_RESET);
	end_drop(e, REASON_RESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(much_at_once_is_bulk, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(both_directions_count_together,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_trickle_is_no_bulk, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_step_may_follow_a_part_of_one,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_whole_step_of_bulk_leaves_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			beside_a_small_stream_steps_are_short, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(bulk_stays_bulk_until_it_rests,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
