/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/window.h"

#define KIB 1024u
#define MIB (1024u * KIB)

/* The sender uses all the credit and says so; the reader takes n bytes.
 * Returns what the window wishes. */
static uint32_t round_trip(struct window *w, uint32_t n)
{
	assert_true(window_take(w, w->credit));
	w->blocked = true;
	window_left(w, n);
	return window_wish(w, WINDOW_MAX);
}

static void a_broken_promise_is_noticed(void **state)
{
	struct window w;

	(void)state;
	window_init(&w, 64 * KIB);
	assert_true(window_take(&w, 60 * KIB));
	assert_false(window_take(&w, 4 * KIB + 1));
	assert_true(window_take(&w, 4 * KIB));
	assert_int_equal(window_held(&w), 64 * KIB);
}

static void credit_comes_back_by_halves(void **state)
{
	struct window w;

	(void)state;
	window_init(&w, 64 * KIB);
	window_take(&w, 64 * KIB);
	assert_int_equal(window_left(&w, 32 * KIB - 1), 0);
	assert_int_equal(window_left(&w, 1), 32 * KIB);
	assert_int_equal(w.credit, 32 * KIB);
	assert_int_equal(window_left(&w, 32 * KIB), 32 * KIB);
	assert_int_equal(window_held(&w), 0);
}

static void credit_of_a_large_window_comes_back_by_2_mib(void **state)
{
	static const struct {
		uint32_t size, lump;
	} t[] = {
		{4 * MIB, 2 * MIB},
		{5 * MIB, 2 * MIB},
		{16 * MIB, 2 * MIB},
		{128 * MIB, 2 * MIB},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct window w;

		window_init(&w, t[i].size);
		window_take(&w, t[i].size);
		assert_int_equal(window_left(&w, t[i].lump - 1), 0);
		assert_int_equal(window_left(&w, 1), t[i].lump);
		assert_int_equal(window_left(&w, 1), 0);
		assert_int_equal(window_held(&w), t[i].size - t[i].lump - 1);
	}
}

static void
a_reader_that_keeps_up_has_128_mib_in_three_round_trips(void **state)
{
	struct window w;

	(void)state;
	window_init(&w, 64 * KIB);
	for (int i = 0; i < 3; i++)
		window_grow(&w, round_trip(&w, w.credit));
	assert_int_equal(w.size, 128 * MIB);
	assert_int_equal(w.credit, 128 * MIB);
	assert_int_equal(round_trip(&w, w.credit), 0);
}

static void a_reader_that_lags_does_not_grow(void **state)
{
	struct window w;

	(void)state;
	window_init(&w, 64 * KIB);
	for (int i = 0; i < 100; i++) /* never empty, always something taken */
		assert_int_equal(round_trip(&w, 16 * KIB), 0);
}

/* The sender's word may be old: credit was on its way to it. What the kernel
 * has swallowed once must not count again and again. */
static void a_window_is_used_before_it_grows_again(void **state)
{
	struct window w;

	(void)state;
	window_init(&w, 64 * KIB);
	window_grow(&w, round_trip(&w, 64 * KIB));
	assert_int_equal(w.size, MIB);
	w.blocked = true;
	assert_int_equal(window_wish(&w, WINDOW_MAX), 0);
	window_take(&w, 767 * KIB);
	window_left(&w, 767 * KIB);
	assert_int_equal(window_wish(&w, WINDOW_MAX), 0);
	window_take(&w, KIB);
	window_left(&w, KIB);
	assert_int_equal(window_wish(&w, WINDOW_MAX), 15 * MIB);
}

static void growth_ends_at_the_limit(void **state)
{
	struct window w;

	(void)state;
	window_init(&w, 64 * KIB);
	window_take(&w, 64 * KIB);
	window_left(&w, 64 * KIB);
	w.blocked = true;
	assert_int_equal(window_wish(&w, 100 * KIB), 36 * KIB);
	assert_int_equal(window_wish(&w, 64 * KIB), 0);
	w.blocked = false;
	assert_int_equal(window_wish(&w, 100 * KIB), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_broken_promise_is_noticed),
		cmocka_unit_test(credit_comes_back_by_halves),
		cmocka_unit_test(credit_of_a_large_window_comes_back_by_2_mib),
		cmocka_unit_test(
			a_reader_that_keeps_up_has_128_mib_in_three_round_trips),
		cmocka_unit_test(a_reader_that_lags_does_not_grow),
		cmocka_unit_test(a_window_is_used_before_it_grows_again),
		cmocka_unit_test(growth_ends_at_the_limit),
	};

	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
