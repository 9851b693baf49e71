/* SPDX-License-Identifier: MIT */
/* The PROXY protocol: what it tells, what is refused, where it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/proxyproto.h"
#include "test/lib/fence.h"

#define SIG      "\r\n\r\n\0\r\nQUIT\n"
#define V6       "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0"
#define MAPPED   "\0\0\0\0\0\0\0\0\0\0\xff\xff\1\2\3\4"
#define TEXT(s)  s, sizeof(s) - 1
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct row {
	const char *in;
	size_t n;
	const char *host; /* NULL: refused */
	int port;
};

static const struct row rows[] = {
	{TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"), "192.0.2.1",
	 56324},
	{TEXT("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
	 "255.255.255.255", 65535},
	{TEXT("PROXY TCP6 2001:DB8::1 ::1 0 443\r\n"), "2001:db8::1", 0},
	{TEXT("PROXY TCP6 ::ffff:1.2.3.4 ::1 7 443\r\n"), "1.2.3.4", 7},
	{TEXT("PROXY UNKNOWN\r\n"), "", 0},
	{TEXT("PROXY UNKNOWN 1.2.3.4 ::1 x y what ever\r\n"), "", 0},
	{TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n"), NULL, 0},
	{TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\r\n"), NULL, 0},
	{TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 \r\n"), NULL, 0},
	{TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 1\r\n"), NULL, 0},
	{TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n"), NULL, 0},
	{TEXT("PROXY TCP4  192.0.2.1 198.51.100.2 56324 443\r\n"), NULL, 0},
	{TEXT("PROXY TCP4 192.0.2.1 ::1 56324 443\r\n"), NULL, 0},
	{TEXT("PROXY TCP6 192.0.2.1 ::1 56324 443\r\n"), NULL, 0},
	{TEXT("PROXY TCP4 192.0.2 198.51.100.2 56324 443\r\n"), NULL, 0},
	{TEXT("PROXY TCP4 host 198.51.100.2 56324 443\r\n"), NULL, 0},
	{TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n"), NULL, 0},
	{TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 05 443\r\n"), NULL, 0},
	{TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 +5 443\r\n"), NULL, 0},
	{TEXT("PROXY TCP4 192.0.2.1 198.51.100.2  443\r\n"), NULL, 0},
	{TEXT("PROXY TCP5 192.0.2.1 198.51.100.2 5 443\r\n"), NULL, 0},
	{TEXT("PROXY UNKNOWNS\r\n"), NULL, 0},
	{TEXT("PROXY UNKNOWN \x1b[0m\r\n"), NULL, 0},
	{TEXT("PROXY UNKNOWN \xff\r\n"), NULL, 0},
	{TEXT("PROXY UNKNOWN \0\r\n"), NULL, 0},
	{TEXT("PROXY \r\n"), NULL, 0},
	{TEXT("PROXY\r\n"), NULL, 0},
	{TEXT("proxy unknown\r\n"), NULL, 0},
	{TEXT("GET / HTTP/1.1\r\n"), NULL, 0},
	{TEXT("\x16\3\1\2\0\1"), NULL, 0},
	{TEXT(SIG "\x21\x11\0\xc\1\2\3\4\5\6\7\x8\x12\x34\0\1"), "1.2.3.4",
	 0x1234},
	{TEXT(SIG "\x21\x11\0\x10\1\2\3\4\5\6\7\x8\x12\x34\0\1\4\0\1x"),
	 "1.2.3.4", 0x1234},
	{TEXT(SIG "\x21\x21\0\x24" V6 "\1" V6 "\2\0\1\0\2"), "2001:db8::1", 1},
	{TEXT(SIG "\x21\x21\0\x25" MAPPED V6 "\2\0\1\0\2?"), "1.2.3.4", 1},
	{TEXT(SIG "\x20\0\0\0"), "", 0},
	{TEXT(SIG "\x20\x11\0\3abc"), "", 0},
	{TEXT(SIG "\x20\x11\0\xc\1\2\3\4\5\6\7\x8\x12\x34\0\1"), "", 0},
	{TEXT(SIG "\x21\0\0\3abc"), "", 0},
	{TEXT(SIG "\x21\x12\0\0"), "", 0},
	{TEXT(SIG "\x21\x31\0\1x"), "", 0},
	{TEXT(SIG "\x21\x11\0\xb"), NULL, 0},
	{TEXT(SIG "\x21\x21\0\x23"), NULL, 0},
	{TEXT(SIG "\x22\x11\0\xc"), NULL, 0},
	{TEXT(SIG "\x11\x11\0\xc"), NULL, 0},
	{TEXT(SIG "\x21\x41\0\xc"), NULL, 0},
	{TEXT(SIG "\x21\x13\0\xc"), NULL, 0},
	{TEXT("\r\n\r\n\0\r\nQUIT\r"), NULL, 0},
};

/* The bytes and one more, in pieces of at most step, cut at one place too. */
static enum proxyproto_state run(struct proxyproto *p, const struct row *r,
				 size_t cut, size_t step, size_t *all)
{
	enum proxyproto_state s = PROXYPROTO_MORE;
	char in[256];

	memcpy(in, r->in, r->n);
	in[r->n] = 'x';
	proxyproto_init(p);
	for (*all = 0; s == PROXYPROTO_MORE && *all <= r->n;) {
		size_t end = *all < cut ? cut : r->n + 1, used;
		size_t n = end - *all < step ? end - *all : step;
		uint8_t *copy = fence_copy(in + *all, n);

		s = proxyproto_feed(p, copy, n, &used);
		fence_free(copy, n);
		assert_true(s != PROXYPROTO_MORE || used == n);
		*all += used;
	}
	return s;
}

static void each_header_at_each_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct row *r = &rows[i];

		for (size_t cut = 0; cut <= r->n; cut++) {
			struct proxyproto p;
			size_t all;
			enum proxyproto_state s =
				run(&p, r, cut, cut ? 1000 : 1, &all);

			if (!r->host) {
				if (s != PROXYPROTO_FAILED)
					fail_msg("row %zu, cut %zu", i, cut);
				continue;
			}
			if (s != PROXYPROTO_DONE || all != r->n)
				fail_msg("row %zu, cut %zu", i, cut);
			assert_string_equal(p.from.host, r->host);
			assert_int_equal(p.from.port, r->port);
		}
	}
}

static void nothing_behind_the_header_is_wanted(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		enum proxyproto_state s = PROXYPROTO_MORE;
		struct proxyproto p;
		size_t at = 0, used;

		proxyproto_init(&p);
		while (rows[i].host && s == PROXYPROTO_MORE) {
			size_t n = proxyproto_want(&p);

			assert_true(n > 0 && n <= rows[i].n - at);
			s = proxyproto_feed(
				&p, (const uint8_t *)rows[i].in + at, n, &used);
			assert_int_equal(used, n);
			at += n;
		}
		if (rows[i].host)
			assert_int_equal(at, rows[i].n);
	}
}

static void a_line_of_the_longest_kind(void **state)
{
	uint8_t line[PROXYPROTO_LINE_MAX + 1];
	struct proxyproto p;
	size_t used;

	(void)state;
	for (size_t n = sizeof(line) - 1; n <= sizeof(line); n++) {
		memset(line, 'x', n);
		memcpy(line, "PROXY UNKNOWN ", 14);
		memcpy(line + n - 2, "\r\n", 2);
		proxyproto_init(&p);
		assert_int_equal(proxyproto_feed(&p, line, n, &used),
				 n == PROXYPROTO_LINE_MAX ? PROXYPROTO_DONE
							  : PROXYPROTO_FAILED);
	}
}

static void a_header_of_64_kib(void **state)
{
	static const char head[] =
		SIG "\x21\x11\xff\xff\1\2\3\4\5\6\7\x8\0\x50";
	struct proxyproto p;
	uint8_t zeros[4096] = {0};
	size_t used, all = 0, n = 65535 + 16 - (sizeof(head) - 1);
	enum proxyproto_state s;

	(void)state;
	proxyproto_init(&p);
	s = proxyproto_feed(&p, (const uint8_t *)head, sizeof(head) - 1, &used);
	for (; s == PROXYPROTO_MORE; all += used)
		s = proxyproto_feed(&p, zeros, sizeof(zeros), &used);
	assert_int_equal(s, PROXYPROTO_DONE);
	assert_int_equal(all, n);
	assert_string_equal(p.from.host, "1.2.3.4");
	assert_int_equal(p.from.port, 80);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_header_at_each_split),
		cmocka_unit_test(nothing_behind_the_header_is_wanted),
		cmocka_unit_test(a_line_of_the_longest_kind),
		cmocka_unit_test(a_header_of_64_kib),
	};

	return cmocka_run_group_tests_name("proxyproto", tests, NULL, NULL);
}
