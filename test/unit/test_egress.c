/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <uv.h>

#include "modes/egress.h"

/* A server for anybody who has the token: no rule is given. */
static struct egress guarded;

static bool allows(const struct egress *e, const char *host, const char *ip,
		   int port)
{
	struct sockaddr_storage sa = {0};

	if (uv_ip4_addr(ip, port, (struct sockaddr_in *)&sa))
		assert_int_equal(
			uv_ip6_addr(ip, port, (struct sockaddr_in6 *)&sa), 0);
	return egress_allows(e, host ? host : ip, (struct sockaddr *)&sa);
}

/* "+any", "-10.0.0.0/8": a list of rules that ends with NULL. */
static void add_rules(struct egress *e, const char *const *rules)
{
	*e = (struct egress){.open = false};
	for (; *rules; rules++)
		assert_null(egress_add(e, **rules == '+', *rules + 1));
}

static const char *const shielded[] = {
	"127.0.0.1",
	"127.255.255.255",
	"0.0.0.0",
	"0.1.2.3",
	"169.254.169.254",
	"100.100.100.200",
	"168.63.129.16",
	"224.0.0.1",
	"239.255.255.255",
	"255.255.255.255",
	"::",
	"::1",
	"fe80::1",
	"febf::1",
	"ff02::1",
	"fd00:ec2::254",
	/* IPv4 inside IPv6 */
	"::ffff:127.0.0.1",
	"::127.0.0.1",
	"64:ff9b::127.0.0.1",
	"64:ff9b:1::127.0.0.1",
	"64:ff9b:1:7f00:0:100::",
	"::ffff:0:127.0.0.1",
	"2001:0:7f00:1::80ff:fffe",
	"2002:7f00:1::",
	"::ffff:169.254.169.254",
	"64:ff9b::a9fe:a9fe",
	"2002:a9fe:a9fe::1",
};

static const char *const free_[] = {
	"1.1.1.1",          "10.0.0.1",       "172.16.0.1",
	"192.168.1.1",      "100.64.0.1",     "126.255.255.255",
	"128.0.0.1",        "169.253.0.1",    "223.255.255.255",
	"240.0.0.1",        "2001:db8::1",    "fc00::1",
	"fd00:ec2::253",    "fec0::1",        "::ffff:10.0.0.1",
	"64:ff9b::1.1.1.1", "2002:101:101::", "::1.1.1.1",
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void what_is_near_is_refused_in_every_spelling(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(shielded); i++)
		if (allows(&guarded, NULL, shielded[i], 80))
			fail_msg("%s", shielded[i]);
	for (size_t i = 0; i < COUNT(free_); i++)
		if (!allows(&guarded, NULL, free_[i], 80))
			fail_msg("%s", free_[i]);
}

static void a_server_for_this_machine_alone_refuses_nothing(void **state)
{
	struct egress e = {.open = true};

	(void)state;
	for (size_t i = 0; i < COUNT(shielded); i++)
		assert_true(allows(&e, NULL, shielded[i], 80));
	assert_null(egress_add(&e, false, "loopback"));
	assert_false(allows(&e, NULL, "127.0.0.1", 80));
}

/* The owner of a name chooses its addresses; a private range holds services of
 * metadata; "any" means the world. */
static void only_loopback_and_cidr_rules_lift_the_shield(void **state)
{
	static const char *const wide[] = {"+any", "+private", "+*.example",
					   "+a.example", NULL};
	static const char *const near[] = {"+loopback:80-81", NULL};
	static const char *const one[] = {"+169.254.169.254", NULL};
	struct egress e;

	(void)state;
	add_rules(&e, wide);
	for (size_t i = 0; i < COUNT(shielded); i++)
		if (allows(&e, "a.example", shielded[i], 80))
			fail_msg("%s", shielded[i]);
	add_rules(&e, near);
	for (size_t i = 0; i < COUNT(shielded); i++)
		if (!allows(&e, "a.example", shielded[i], 80))
			fail_msg("%s", shielded[i]);
	assert_false(allows(&e, NULL, "127.0.0.1", 82));
	add_rules(&e, one);
	assert_true(allows(&e, NULL, "169.254.169.254", 80));
	assert_true(allows(&e, NULL, "::ffff:169.254.169.254", 80));
	assert_true(allows(&e, NULL, "64:ff9b::169.254.169.254", 80));
	assert_false(allows(&e, NULL, "169.254.169.253", 80));
}

static void the_last_rule_that_matches_wins(void **state)
{
	static const char *const rules[] = {
		"-any", "+10.0.0.0/8", "-10.1.0.0/16", "+10.1.2.3:22", NULL};
	struct egress e;

	(void)state;
	add_rules(&e, rules);
	assert_false(allows(&e, NULL, "1.1.1.1", 80));
	assert_true(allows(&e, NULL, "10.0.0.1", 80));
	assert_false(allows(&e, NULL, "10.1.0.1", 80));
	assert_true(allows(&e, NULL, "10.1.2.3", 22));
	assert_false(allows(&e, NULL, "10.1.2.3", 23));
}

static void every_kind_of_rule(void **state)
{
	static const struct {
		const char *rule, *host, *ip;
		int port;
		bool matches;
	} t[] = {
		{"10.0.0.0/8", NULL, "10.255.0.1", 1, true},
		{"10.0.0.0/8", NULL, "11.0.0.1", 1, false},
		{"10.0.0.0/9", NULL, "10.128.0.1", 1, false},
		{"0.0.0.0/0", NULL, "1.1.1.1", 1, true},
		{"0.0.0.0/0", NULL, "2001:db8::1", 1, false},
		{"::/0", NULL, "1.1.1.1", 1, true},
		{"2001:db8::/33", NULL, "2001:db8:7fff::1", 1, true},
		{"2001:db8::/33", NULL, "2001:db8:8000::1", 1, false},
		{"[2001:db8::]/32", NULL, "2001:db8::1", 1, false},
		{"[2001:db8::1]:22", NULL, "2001:db8::1", 22, true},
		{"[2001:db8::1]:22", NULL, "2001:db8::1", 23, false},
		{"[2001:db8::/32]:22-30", NULL, "2001:db8::1", 30, true},
		{"a.example", "a.example", "1.1.1.1", 1, true},
		{"a.example", "A.EXAMPLE.", "1.1.1.1", 1, true},
		{"A.example.", "a.example", "1.1.1.1", 1, true},
		{"a.example", "b.a.example", "1.1.1.1", 1, false},
		{"a.example:443", "a.example", "1.1.1.1", 80, false},
		{"*.example", "a.example", "1.1.1.1", 1, true},
		{"*.example", "b.a.example.", "1.1.1.1", 1, true},
		{"*.example", "example", "1.1.1.1", 1, false},
		{"*.example", "anexample", "1.1.1.1", 1, false},
		{"private", NULL, "172.31.0.1", 1, true},
		{"private", NULL, "172.32.0.1", 1, false},
		{"private", NULL, "fd12::1", 1, true},
		{"private:80-90", NULL, "10.0.0.1", 85, true},
		{"private:80-90", NULL, "10.0.0.1", 91, false},
		{"any:25", NULL, "1.1.1.1", 25, true},
		{"any:25", NULL, "1.1.1.1", 26, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct egress e = {.open = false};
		const char *error = egress_add(&e, false, t[i].rule);
		bool denied =
			!error && !allows(&e, t[i].host, t[i].ip, t[i].port);

		if (denied != t[i].matches)
			fail_msg("%s: %s %s %d", t[i].rule,
				 t[i].host ? t[i].host : "", t[i].ip,
				 t[i].port);
	}
}

static void bad_rules_say_what_is_wrong(void **state)
{
	static const char *const bad[] = {
		"",           "a b",        "10.0.0.0/33", "10.0.0.0/",
		"10.0.0.0/x", "::/129",     "10.0.0.0/-1", "any:",
		"any:0",      "any:65536",  "any:90-80",   "any:80-",
		"any:-80",    "any:80-90x", "[::1",        "[::1]x",
		"[::1]:",     "*.",         "*",           "a.*.b",
		"1.2.3",      "300.1.1.1",  "http://a",    "a/8",
		"127.1",      "0x7f.0.0.1", "2130706433",
	};
	struct egress e = {.open = false};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		if (!egress_add(&e, true, bad[i]))
			fail_msg("%s was taken", bad[i]);
	assert_int_equal(e.count, 0);
	for (int i = 0; i < EGRESS_RULES_MAX; i++)
		assert_null(egress_add(&e, true, "any"));
	assert_non_null(egress_add(&e, true, "any"));
	assert_int_equal(e.count, EGRESS_RULES_MAX);
}

static void what_is_no_internet_address_is_refused(void **state)
{
	struct egress e = {.open = true};
	struct sockaddr sa = {.sa_family = AF_UNIX};

	(void)state;
	assert_false(egress_allows(&e, "x", &sa));
}

/* Those of a token: it may do less than all. */
static void further_rules_only_narrow(void **state)
{
	static const struct {
		const char *rules[4], *ip;
		bool allowed;
	} t[] = {
		{{NULL}, "192.0.2.1", true},
		{{NULL}, "127.0.0.1", true}, /* if the server allows it */
		{{"-any"}, "192.0.2.1", false},
		{{"-any", "+192.0.2.0/24"}, "192.0.2.1", true},
		{{"-any", "+192.0.2.0/24"}, "192.0.3.1", false},
		{{"-any", "+any"}, "192.0.2.1", true},
		/* whose name is whose: DNS must not lead to loopback */
		{{"-any", "+any"}, "127.0.0.1", false},
		{{"-any", "+x"}, "127.0.0.1", false},
		{{"-any", "+x"}, "192.0.2.1", true},
		{{"-any", "+loopback"}, "127.0.0.1", true},
		{{"-any", "+127.0.0.0/8"}, "::ffff:127.0.0.1", true},
		{{"-private"}, "64:ff9b::10.0.0.1", false},
	};
	struct sockaddr_storage sa = {.ss_family = AF_UNIX};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct egress_rule rules[4];
		size_t n = 0;

		for (; t[i].rules[n]; n++)
			assert_null(egress_rule_read(&rules[n],
						     *t[i].rules[n] == '+',
						     t[i].rules[n] + 1));
		if (uv_ip4_addr(t[i].ip, 1, (struct sockaddr_in *)&sa))
			uv_ip6_addr(t[i].ip, 1, (struct sockaddr_in6 *)&sa);
		if (egress_also_allows(rules, n, "x", (struct sockaddr *)&sa) !=
		    t[i].allowed)
			fail_msg("%s, row %zu", t[i].ip, i);
	}
	sa.ss_family = AF_UNIX;
	assert_false(egress_also_allows(NULL, 0, "x", (struct sockaddr *)&sa));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_near_is_refused_in_every_spelling),
		cmocka_unit_test(
			a_server_for_this_machine_alone_refuses_nothing),
		cmocka_unit_test(only_loopback_and_cidr_rules_lift_the_shield),
		cmocka_unit_test(the_last_rule_that_matches_wins),
		cmocka_unit_test(every_kind_of_rule),
		cmocka_unit_test(bad_rules_say_what_is_wrong),
		cmocka_unit_test(what_is_no_internet_address_is_refused),
		cmocka_unit_test(further_rules_only_narrow),
	};

	return cmocka_run_group_tests_name("egress", tests, NULL, NULL);
}
