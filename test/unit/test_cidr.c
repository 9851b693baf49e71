/* SPDX-License-Identifier: MIT */
/* Addresses and networks as users and peers write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/cidr.h"
#include "test/lib/fence.h"

static void addresses(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: none */
	} t[] = {
		{"1.2.3.4", "1.2.3.4"},
		{"::1", "::1"},
		{"2001:DB8:0::1", "2001:db8::1"},
		{"::ffff:1.2.3.4", "1.2.3.4"},
		{"", NULL},
		{"1.2.3", NULL},
		{"0x7f.1", NULL},
		{"1.2.3.4 ", NULL},
		{"fe80::1%eth0", NULL},
		{"[::1]", NULL},
		{"1.2.3.4/32", NULL},
		{"1111:2222:3333:4444:5555:6666:7777:8888:9999:0000", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		size_t n = strlen(t[i].in);
		char *in = (char *)fence_copy(t[i].in, n), text[IP_TEXT_MAX];
		uint8_t ip[16];

		assert_int_equal(cidr_parse_ip(in, n, ip), t[i].out != NULL);
		if (t[i].out)
			assert_string_equal(cidr_format_ip(ip, text), t[i].out);
		fence_free((uint8_t *)in, n);
	}
	assert_false(cidr_parse_ip("1.2.3.4\0", 8, (uint8_t[16]){0}));
}

static void networks(void **state)
{
	static const struct {
		const char *net, *ip;
		bool has;
	} t[] = {
		{"10.0.0.0/8", "10.255.0.1", true},
		{"10.0.0.0/8", "11.0.0.1", false},
		{"10.0.0.0/8", "::10.0.0.1", false},
		{"10.0.0.0/8", "::ffff:10.0.0.1", true},
		{"10.1.2.3/9", "10.127.0.0", true},
		{"10.1.2.3/9", "10.128.0.0", false},
		{"1.2.3.4", "1.2.3.4", true},
		{"1.2.3.4", "1.2.3.5", false},
		{"0.0.0.0/0", "9.9.9.9", true},
		{"0.0.0.0/0", "2001::1", false},
		{"::/0", "9.9.9.9", true},
		{"2001:db8::/33", "2001:db8:7fff::1", true},
		{"2001:db8::/33", "2001:db8:8000::1", false},
		{"::1/128", "::1", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		size_t n = strlen(t[i].net);
		char *in = (char *)fence_copy(t[i].net, n);
		struct cidr c;
		uint8_t ip[16];

		assert_int_equal(cidr_parse(in, n, &c), CIDR_OK);
		fence_free((uint8_t *)in, n);
		assert_true(cidr_parse_ip(t[i].ip, strlen(t[i].ip), ip));
		if (cidr_has(&c, ip) != t[i].has)
			fail_msg("%s %s", t[i].net, t[i].ip);
	}
}

static void networks_that_are_none(void **state)
{
	static const char *const names[] = {"",   "a",       "1.2.3",
					    "/8", "[::1]/8", "1.2.3.4 /8"};
	static const char *const bits[] = {"1.2.3.4/33", "1.2.3.4/",
					   "1.2.3.4/-1", "::1/129",
					   "1.2.3.4/8x", "1.2.3.4/ 8"};
	struct cidr c;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(cidr_parse(names[i], strlen(names[i]), &c),
				 CIDR_EADDR);
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		assert_int_equal(cidr_parse(bits[i], strlen(bits[i]), &c),
				 CIDR_EBITS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(networks),
		cmocka_unit_test(networks_that_are_none),
	};

	return cmocka_run_group_tests_name("cidr", tests, NULL, NULL);
}
