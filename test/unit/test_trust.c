/* SPDX-License-Identifier: MIT */
/* Whose X-Forwarded-For is believed, and what it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "modes/trust.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void set_up(struct trust *t)
{
	*t = (struct trust){.count = 0};
	assert_null(trust_add(t, "127.0.0.1"));
	assert_null(trust_add(t, "10.0.0.0/8"));
	assert_null(trust_add(t, "2001:db8::/32"));
}

static void the_last_one_that_is_not_trusted(void **state)
{
	static const struct {
		const char *peer, *list, *out; /* NULL: none */
	} t[] = {
		{"127.0.0.1:5", "192.0.2.1", "192.0.2.1"},
		{"127.0.0.1:5", "192.0.2.1, 192.0.2.2", "192.0.2.2"},
		{"127.0.0.1:5", "192.0.2.1,10.1.1.1,,10.2.2.2 ,", "192.0.2.1"},
		{"127.0.0.1:5", "evil, 192.0.2.2,\t10.1.1.1", "192.0.2.2"},
		{"127.0.0.1:5", "10.3.3.3, 10.1.1.1", "10.3.3.3"},
		{"127.0.0.1:5", "evil, 10.1.1.1", "10.1.1.1"},
		{"127.0.0.1:5", "192.0.2.1, unknown", NULL},
		{"127.0.0.1:5", "192.0.2.1, \x1b[31m", NULL},
		{"127.0.0.1:5", "", NULL},
		{"127.0.0.1:5", " , ,", NULL},
		{"127.0.0.1:5", "192.0.2.1:8080", "192.0.2.1"},
		{"127.0.0.1:5", "[2001:DB9::1]:80", "2001:db9::1"},
		{"127.0.0.1:5", "[2001:db9::1]", "2001:db9::1"},
		{"127.0.0.1:5", "2001:db9::1, 2001:db8::2", "2001:db9::1"},
		{"127.0.0.1:5", "::ffff:192.0.2.1", "192.0.2.1"},
		{"127.0.0.1:5", "[::1", NULL},
		{"127.0.0.1:5", "192.0.2.1/8", NULL},
		{"127.0.0.1:5", "\"[::1]\"", NULL},
		{"[2001:db8::7]:5", "192.0.2.1", "192.0.2.1"},
		{"[2001:db9::7]:5", "192.0.2.1", NULL},
		{"127.0.0.2:5", "192.0.2.1", NULL},
		{"unix:pid=1,uid=0", "192.0.2.1", NULL},
		{"", "192.0.2.1", NULL},
	};
	struct trust trust;
	char out[IP_TEXT_MAX];

	(void)state;
	set_up(&trust);
	for (size_t i = 0; i < COUNT(t); i++) {
		bool found = trust_origin(&trust, t[i].peer, t[i].list, out);

		if (found != (t[i].out != NULL))
			fail_msg("row %zu", i);
		if (found)
			assert_string_equal(out, t[i].out);
	}
}

static void peers_on_unix_sockets(void **state)
{
	struct trust trust = {.count = 0};
	char out[IP_TEXT_MAX];

	(void)state;
	assert_false(trust_origin(&trust, "unix:", "192.0.2.1", out));
	assert_null(trust_add(&trust, "unix"));
	assert_true(trust_origin(&trust, "unix:", "192.0.2.1", out));
	assert_string_equal(out, "192.0.2.1");
	assert_false(trust_origin(&trust, "127.0.0.1:1", "192.0.2.1", out));
}

static void what_is_no_range(void **state)
{
	static const char *const bad[] = {"",       "localhost",
					  "1.2.3",  "1.2.3.4/33",
					  "::/129", "unix:/run/a"};
	struct trust trust = {.count = 0};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_non_null(trust_add(&trust, bad[i]));
	for (int i = 0; i < TRUST_MAX; i++)
		assert_null(trust_add(&trust, "::/0"));
	assert_non_null(trust_add(&trust, "::/0"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_one_that_is_not_trusted),
		cmocka_unit_test(peers_on_unix_sockets),
		cmocka_unit_test(what_is_no_range),
	};

	return cmocka_run_group_tests_name("trust", tests, NULL, NULL);
}
