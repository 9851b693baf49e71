/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/usage.h"

#define MS     1000000ull
#define SECOND (1000 * MS)
#define NOW    (1000 * SECOND)

static struct usage *make(uint64_t rate)
{
	struct usage *u = usage_new();

	assert_non_null(u);
	usage_limit(u, 0, 0, rate);
	return u;
}

static void as_many_as_there_may_be(void **state)
{
	struct usage *u = make(0);

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_true(usage_open(u, USAGE_STREAMS));
	/* those that are there stay */
	usage_limit(u, 98, 1, 0);
	assert_false(usage_open(u, USAGE_STREAMS));
	assert_true(usage_open(u, USAGE_TUNNELS));
	assert_false(usage_open(u, USAGE_TUNNELS));
	for (int i = 0; i < 2; i++)
		usage_close(u, USAGE_STREAMS);
	assert_false(usage_open(u, USAGE_STREAMS));
	usage_close(u, USAGE_STREAMS);
	assert_true(usage_open(u, USAGE_STREAMS));
	assert_false(usage_open(u, USAGE_STREAMS));
	usage_limit(u, 0, 0, 0);
	assert_true(usage_open(u, USAGE_TUNNELS));
	usage_free(u);
}

static void without_a_rate_nobody_waits(void **state)
{
	struct usage *u = make(0);

	(void)state;
	assert_true(usage_step(u) == SIZE_MAX);
	usage_spend(u, USAGE_UP, 1 << 30, NOW);
	assert_int_equal(usage_wait(u, USAGE_UP, NOW), 0);
	usage_free(u);
}

/* In a minute all rates are kept to a step and what a tenth of a second has
 * saved, whatever is spent at a time. */
static void rates_are_kept(void **state)
{
	static const uint64_t rates[] = {
		1,       999,      1024,    100000,
		1 << 20, 12345678, 1 << 30, (uint64_t)1 << 40,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct usage *u = make(rates[i]);
		uint64_t now = NOW, sent = 0, saved = rates[i] / 10;
		size_t step = usage_step(u);
		uint64_t end = rates[i] < 1 << 20 ? 60 * SECOND : SECOND / 10;

		assert_true(step >= 1 && step <= 64 * 1024);
		for (uint64_t n = 0; now < NOW + end && n < 1000000; n++) {
			now += usage_wait(u, USAGE_DOWN, now);
			usage_spend(u, USAGE_DOWN, step, now);
			sent += step;
			assert_int_equal(usage_wait(u, USAGE_UP, now), 0);
		}
		if (now >= NOW + end) {
			uint64_t due = rates[i] * (end / MS) / 1000 + saved;

			assert_true(sent <= due + 3 * step);
			assert_true(sent + 3 * step >= due);
		}
		usage_free(u);
	}
}

static void debts_end_with_another_rate(void **state)
{
	struct usage *u = make(1024);

	(void)state;
	usage_spend(u, USAGE_UP, 1 << 20, NOW);
	assert_true(usage_wait(u, USAGE_UP, NOW) > 1000 * SECOND);
	usage_limit(u, 1, 1, 1024);
	assert_true(usage_wait(u, USAGE_UP, NOW) > 1000 * SECOND);
	usage_limit(u, 1, 1, 2048);
	assert_int_equal(usage_wait(u, USAGE_UP, NOW), 0);
	usage_free(u);
}

static void *open_and_close(void *arg)
{
	struct usage *u = arg;

	for (int i = 0; i < 100000; i++) {
		if (!usage_open(u, USAGE_STREAMS))
			continue;
		if (atomic_load(&u->now[USAGE_STREAMS]) > 3)
			return u;
		usage_spend(u, USAGE_UP, 1024, NOW);
		usage_close(u, USAGE_STREAMS);
	}
	usage_free(u);
	return NULL;
}

static void threads_share_it(void **state)
{
	struct usage *u = make(1 << 20);
	pthread_t threads[4];
	void *bad;

	(void)state;
	usage_limit(u, 3, 0, 1 << 20);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						open_and_close, usage_ref(u)),
				 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
	assert_int_equal(atomic_load(&u->now[USAGE_STREAMS]), 0);
	assert_int_equal(atomic_load(&u->refs), 1);
	assert_true(usage_wait(u, USAGE_UP, NOW) > 10 * SECOND);
	usage_free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_many_as_there_may_be),
		cmocka_unit_test(without_a_rate_nobody_waits),
		cmocka_unit_test(rates_are_kept),
		cmocka_unit_test(debts_end_with_another_rate),
		cmocka_unit_test(threads_share_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
