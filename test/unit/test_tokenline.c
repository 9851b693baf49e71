/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/tokenline.h"
#include "test/lib/fence.h"

/* Of nothing that is known. */
#define HEX  "1e2dd7d3a4e5b02ee1a0e4ea9ae3ccb9cc0c1dd0c5dd9c5b0d5c3e6fb1f0a2d4"
#define HASH "sha256:" HEX
#define NOTHING \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define LONG64 \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LONG320 LONG64 LONG64 LONG64 LONG64 LONG64

static char rules[512];

static const char *on_rule(void *ctx, bool allow, const char *text)
{
	size_t n = strlen(rules);

	(void)ctx;
	if (strcmp(text, "bad") == 0)
		return "a bad rule";
	snprintf(rules + n, sizeof(rules) - n, "%c%s ", allow ? '+' : '-',
		 text);
	return NULL;
}

/* At a page that cannot be read. */
static const char *parse(const char *line, size_t n, struct tokenline *out)
{
	uint8_t *p = fence_copy(line, n);
	const char *error;

	rules[0] = 0;
	error = tokenline_parse((const char *)p, n, on_rule, NULL, out);
	fence_free(p, n);
	return error;
}

static void lines_are_taken(void **state)
{
	static const struct {
		const char *line, *name, *rules;
		uint32_t streams, tunnels;
		uint64_t rate;
	} t[] = {
		{"alice " HASH, "alice", "", 0, 0, 0},
		{"  a\t" HASH " \r\n", "a", "", 0, 0, 0},
		{"7.b_c-d@e " HASH "\n", "7.b_c-d@e", "", 0, 0, 0},
		{LONG64 " " HASH, LONG64, "", 0, 0, 0},
		{"a " HASH " deny=any allow=*.example.com:443", "a",
		 "-any +*.example.com:443 ", 0, 0, 0},
		{"a " HASH " allow=x deny=y allow=x", "a", "+x -y +x ", 0, 0,
		 0},
		{"a " HASH " streams=1 tunnels=1000000 rate=1K", "a", "", 1,
		 1000000, 1024},
		{"a " HASH " rate=1024", "a", "", 0, 0, 1024},
		{"a " HASH " rate=10M/s", "a", "", 0, 0, 10 << 20},
		{"a " HASH " rate=1024G/s", "a", "", 0, 0, (uint64_t)1 << 40},
		{"a " HASH " rate=1099511627776/s", "a", "", 0, 0,
		 (uint64_t)1 << 40},
		{"", "", "", 0, 0, 0},
		{" \t\r\n", "", "", 0, 0, 0},
		{"# " HASH, "", "", 0, 0, 0},
		{" #alice " HASH, "", "", 0, 0, 0},
	};
	struct tokenline l;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const char *error = parse(t[i].line, strlen(t[i].line), &l);

		if (error)
			fail_msg("%s: %s", t[i].line, error);
		assert_string_equal(l.name, t[i].name);
		assert_string_equal(rules, t[i].rules);
		assert_int_equal(l.streams, t[i].streams);
		assert_int_equal(l.tunnels, t[i].tunnels);
		assert_true(l.rate == t[i].rate);
		if (l.name[0])
			assert_int_equal(l.digest[0] << 8 | l.digest[31],
					 0x1ed4);
	}
	/* digits in upper case; 64 of them */
	assert_null(parse("a sha256:ABCDEF" LONG64, 9 + 64, &l));
	assert_int_equal(l.digest[0] << 8 | l.digest[1], 0xabcd);
}

static void what_is_refused_is_named(void **state)
{
	static const struct {
		const char *line, *error;
	} t[] = {
		{"a", "behind the name"},
		{"a a-token-in-clear", "in clear"},
		{HASH, "a name has"},
		{HASH " " HASH, "a name has"},
		{"-a " HASH, "a name has"},
		{"a/b " HASH, "a name has"},
		{"\xc3\xa4 " HASH, "a name has"},
		{LONG64 "x " HASH, "a name has"},
		{LONG320 " " HASH, "word is too long"},
		{"a " HASH "0", "64 hexadecimal"},
		{"a " HEX, "64 hexadecimal"},
		{"a SHA256:" HEX, "64 hexadecimal"},
		{"a sha256:" LONG320, "64 hexadecimal"},
		{"a sha256:"
		 "g123456789abcdef0123456789abcdef0123456789abcdef0123456789"
		 "abcdef",
		 "64 hexadecimal"},
		{"a sha256:" NOTHING, "hash of nothing"},
		{"a " HASH " b", "a setting is"},
		{"a " HASH " stream=1", "a setting is"},
		{"a " HASH " =1", "a setting is"},
		{"a " HASH " # no comment", "a setting is"},
		{"a " HASH " streams=", "from 1 to"},
		{"a " HASH " streams=0", "from 1 to"},
		{"a " HASH " streams=1000001", "from 1 to"},
		{"a " HASH " streams=99999999999999999999999", "from 1 to"},
		{"a " HASH " streams=1x", "from 1 to"},
		{"a " HASH " tunnels=-1", "from 1 to"},
		{"a " HASH " streams=1 streams=1", "once"},
		{"a " HASH " rate=1M rate=1M", "once"},
		{"a " HASH " rate=", "rate="},
		{"a " HASH " rate=1023", "rate="},
		{"a " HASH " rate=1k", "rate="},
		{"a " HASH " rate=10X", "rate="},
		{"a " HASH " rate=10MB", "rate="},
		{"a " HASH " rate=10M/m", "rate="},
		{"a " HASH " rate=1025G", "rate="},
		{"a " HASH " rate=1099511627777", "rate="},
		{"a " HASH " rate=1099511627776G", "rate="},
		{"a " HASH " allow=bad", "a bad rule"},
		{"a " HASH " deny=" LONG320, "word is too long"},
		{"a\x01 " HASH, "control"},
		{"a " HASH "\x7f", "control"},
		{"# \x1b", "control"},
	};
	struct tokenline l;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const char *error = parse(t[i].line, strlen(t[i].line), &l);

		if (!error || !strstr(error, t[i].error))
			fail_msg("%s: %s", t[i].line, error ? error : "taken");
		assert_string_equal(l.name, "");
		assert_null(strstr(error, "a-token"));
	}
	assert_non_null(parse("a\0b " HASH, strlen(HASH) + 4, &l));
}

/* However a line is cut or spoilt, it is one name, none, or an error. */
static void no_line_is_read_beyond_its_end(void **state)
{
	static const char line[] =
		"alice " HASH " deny=any allow=x:1-2 streams=9 rate=1M/s\n";
	size_t n = sizeof(line) - 1;
	char spoilt[sizeof(line)];
	struct tokenline l;

	(void)state;
	for (size_t cut = 0; cut <= n; cut++)
		if (!parse(line, cut, &l))
			assert_true(cut == 0 || cut >= 6 + strlen(HASH));
	for (size_t at = 0; at < n; at++) {
		for (int c = 0; c < 256; c++) {
			memcpy(spoilt, line, sizeof(line));
			spoilt[at] = (char)c;
			if (!parse(spoilt, n, &l))
				assert_true(strlen(l.name) <= 6 + 1);
		}
	}
}

/* The digests are those of sha256sum, and one bit makes them differ. */
static void digests_are_compared_as_a_whole(void **state)
{
	uint8_t a[TOKEN_DIGEST], b[TOKEN_DIGEST];

	(void)state;
	assert_true(token_digest(NULL, a));
	assert_int_equal(a[0] << 8 | a[31], 0xe355);
	assert_true(token_digest("", b));
	assert_int_equal(token_same(a, b), 1);
	for (int i = 0; i < 8 * TOKEN_DIGEST; i++) {
		memcpy(b, a, sizeof(b));
		b[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(token_same(a, b), 0);
	}
	assert_true(token_equal("abc", "abc"));
	assert_false(token_equal("abc", "abcd"));
	assert_true(token_equal(NULL, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_taken),
		cmocka_unit_test(what_is_refused_is_named),
		cmocka_unit_test(no_line_is_read_beyond_its_end),
		cmocka_unit_test(digests_are_compared_as_a_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
