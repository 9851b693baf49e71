/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/cidr.h"
#include "proto/noproxy.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void lists(void **state)
{
	static const struct {
		const char *list, *host;
		bool has;
	} t[] = {
		{"", "h", false},
		{"*", "h", true},
		{"a,*", "h", false}, /* a wildcard only alone */
		{"*.b", "a.b", false},
		{"b", "a.b", true},
		{".b", "a.b", true},
		{".b", "b", true},
		{"b.", "a.B.", true},
		{"b", "ab", false},
		{"a.b", "b", false},
		{"x, y\tz", "z", true},
		{",,x,,", "x", true},
		{".", "h", false},
		{"10.0.0.1", "10.0.0.1", true},
		{"0.0.1", "10.0.0.1", false}, /* no domain */
		{"10.0.0.0/8", "10.9.8.7", true},
		{"10.0.0.0/8", "11.0.0.1", false},
		{"192.0.2.0/25", "192.0.2.127", true},
		{"192.0.2.0/25", "192.0.2.128", false},
		{"10.0.0.0/33", "10.0.0.0", false},
		{"10.0.0.0/", "10.0.0.0", false},
		{"10.0.0.0/8", "a.10.0.0.0", false},
		{"::1", "::1", true},
		{"fd00::/8, x", "fd12::1", true},
		{"fd00::/8", "fe80::1", false},
		{"2001:DB8::/32", "2001:db8:1::", true},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++)
		if (noproxy_has(t[i].list, t[i].host) != t[i].has)
			fail_msg("%s in %s", t[i].host, t[i].list);
}

static void ranges(void **state)
{
	static const struct {
		const char *text;
		enum cidr_err err;
		int bits;
	} t[] = {
		{"1.2.3.4", CIDR_OK, 128},    {"1.2.3.4/0", CIDR_OK, 96},
		{"1.2.3.4/32", CIDR_OK, 128}, {"::/0", CIDR_OK, 0},
		{"::/128", CIDR_OK, 128},     {"1.2.3.4/33", CIDR_EBITS, 0},
		{"::/129", CIDR_EBITS, 0},    {"::/0008", CIDR_EBITS, 0},
		{"::/", CIDR_EBITS, 0},       {"::/+1", CIDR_EBITS, 0},
		{"::/1 ", CIDR_EBITS, 0},     {"1.2.3", CIDR_EADDR, 0},
		{"", CIDR_EADDR, 0},          {"/8", CIDR_EADDR, 0},
		{"a/8", CIDR_EADDR, 0},
	};
	struct cidr c;

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		if (cidr_parse(t[i].text, strlen(t[i].text), &c) != t[i].err)
			fail_msg("%s", t[i].text);
		if (!t[i].err)
			assert_int_equal(c.bits, t[i].bits);
	}
	assert_int_equal(cidr_parse("::1\0/8", 6, &c), CIDR_EADDR);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(ranges),
	};

	return cmocka_run_group_tests_name("noproxy", tests, NULL, NULL);
}
