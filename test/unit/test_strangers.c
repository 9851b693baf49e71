/* SPDX-License-Identifier: MIT */
/* Who has to go for whom, and who has guessed how often. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "modes/guesses.h"
#include "modes/source.h"
#include "modes/strangers.h"

static struct source at(const char *peer)
{
	struct source s;

	assert_true(source_of(peer, &s));
	return s;
}

static void where_somebody_comes_from(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} t[] = {
		{"192.0.2.1:5", "192.0.2.1:6", true},
		{"192.0.2.1:5", "192.0.2.2:5", false},
		{"192.0.2.1", "[::ffff:192.0.2.1]:9", true},
		{"[2001:db8::1]:5", "[2001:db8::2:0:0:9]:5", true},
		{"[2001:db8::1]:5", "2001:db8:0:1::1", false},
		{"192.0.2.1:5", "[2001:db8::1]:5", false},
	};
	struct source a, b;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		a = at(t[i].a);
		b = at(t[i].b);
		assert_true(source_equal(&a, &b) == t[i].same);
	}
	assert_false(source_of("unix:pid=1,uid=2", &a));
	assert_false(source_of("", &a));
}

static void the_oldest_goes(void **state)
{
	struct strangers all = {0};
	struct stranger s[4] = {0};

	(void)state;
	strangers_init(&all, 3, 1);
	for (int i = 0; i < 3; i++)
		assert_null(strangers_add(&all, &s[i], NULL));
	assert_ptr_equal(strangers_add(&all, &s[3], NULL), &s[0]);
	strangers_remove(&all, &s[0]);
	strangers_remove(&all, &s[0]);
	assert_int_equal(all.count, 3);
	assert_ptr_equal(strangers_add(&all, &s[0], NULL), &s[1]);
}

static void of_the_same_source_first(void **state)
{
	struct source a = at("192.0.2.1"), b = at("192.0.2.2"),
		      c = at("192.0.2.3");
	struct strangers all = {0};
	struct stranger s[7] = {0};

	(void)state;
	strangers_init(&all, 4, 1);
	assert_null(strangers_add(&all, &s[0], &a));
	assert_null(strangers_add(&all, &s[1], &b));
	assert_null(strangers_add(&all, &s[2], &b));
	assert_null(strangers_add(&all, &s[3], &b));
	assert_ptr_equal(strangers_add(&all, &s[4], &b), &s[1]);
	strangers_remove(&all, &s[1]);
	assert_ptr_equal(strangers_add(&all, &s[5], &c), &s[0]);
	strangers_remove(&all, &s[0]);
	/* a front's word comes later: b has three of four already */
	strangers_remove(&all, &s[5]);
	assert_null(strangers_add(&all, &s[6], NULL));
	assert_ptr_equal(strangers_place(&all, &s[6], &b), &s[2]);
}

static void a_source_has_three_quarters(void **state)
{
	struct source a = at("192.0.2.1");
	struct strangers all = {0};
	struct stranger s[76] = {0};

	(void)state;
	strangers_init(&all, 100, 1);
	for (int i = 0; i < 75; i++)
		assert_null(strangers_add(&all, &s[i], &a));
	assert_ptr_equal(strangers_add(&all, &s[75], &a), &s[0]);
}

static void workers_share_the_limit(void **state)
{
	struct strangers all = {0};

	(void)state;
	strangers_init(&all, 100, 3);
	assert_int_equal(all.limit, 34);
	strangers_init(&all, 100, 64);
	assert_int_equal(all.limit, STRANGERS_LEAST);
	strangers_init(&all, 1, 1);
	assert_int_equal(all.limit, 1);
}

static void guesses_within_a_minute(void **state)
{
	static struct guesses g = {.key = {1, 2}};
	struct source a = at("192.0.2.1"), b = at("[2001:db8::1]:1");

	(void)state;
	memset(g.place, 0, sizeof(g.place));
	assert_int_equal(guesses_add(&g, &a, 100), 1);
	assert_int_equal(guesses_add(&g, &b, 100), 1);
	assert_int_equal(guesses_add(&g, &a, 159), 2);
	assert_int_equal(guesses_add(&g, &a, 160), 1);
	assert_int_equal(guesses_add(&g, &b, 100), 2);
	/* the clock's 24 bits run over */
	assert_int_equal(guesses_add(&g, &a, 0xfffffe), 1);
	assert_int_equal(guesses_add(&g, &a, 0x1000001), 2);
	for (int i = 0; i < 70000; i++)
		guesses_add(&g, &b, 0x1000001);
	assert_int_equal(guesses_add(&g, &b, 0x1000001), 0xffff);
}

/* Nothing grows; who comes again after few others is still known. */
static void a_flood_of_sources(void **state)
{
	static struct guesses g = {.key = {3, 4}};
	unsigned int known = 0;
	struct source s = {{0}};

	(void)state;
	memset(g.place, 0, sizeof(g.place));
	for (uint32_t i = 0; i < 512; i++) {
		memcpy(s.net, &i, sizeof(i));
		guesses_add(&g, &s, 10);
	}
	for (uint32_t i = 0; i < 512; i++) {
		memcpy(s.net, &i, sizeof(i));
		known += guesses_add(&g, &s, 11) == 2;
	}
	assert_true(known > 400);
	for (uint32_t i = 0; i < 100000; i++) {
		memcpy(s.net, &i, sizeof(i));
		assert_true(guesses_add(&g, &s, 12) < 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_somebody_comes_from),
		cmocka_unit_test(the_oldest_goes),
		cmocka_unit_test(of_the_same_source_first),
		cmocka_unit_test(a_source_has_three_quarters),
		cmocka_unit_test(workers_share_the_limit),
		cmocka_unit_test(guesses_within_a_minute),
		cmocka_unit_test(a_flood_of_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
