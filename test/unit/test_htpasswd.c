/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/htpasswd.h"
#include "test/lib/fence.h"

#define BCRYPT "abcdefghijklmnopqrstuuPp7HPfoAs8I2dCQCQ/fW7zEJv8I8C8e"
#define SHA43  "z3t6rrtFn3lMdv6AmvXeEFzPOKLJ2JypZJIYx/pmpp/"
#define SHA86  SHA43 SHA43
#define LONG64 \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define LONG256 LONG64 LONG64 LONG64 LONG64

/* At a page that cannot be read. */
static const char *parse(const char *line, size_t n, struct htpasswd *out)
{
	uint8_t *p = fence_copy(line, n);
	const char *error = htpasswd_parse((const char *)p, n, out);

	fence_free(p, n);
	return error;
}

static void hashes_of_crypt_are_taken(void **state)
{
	static const struct {
		const char *line, *user, *hash;
		enum htpasswd_scheme scheme;
	} t[] = {
		{"a:$2y$05$" BCRYPT, "a", "$2y$05$" BCRYPT, HTPASSWD_BCRYPT_Y},
		{"a b:$2b$15$" BCRYPT "\n", "a b", "$2b$15$" BCRYPT,
		 HTPASSWD_BCRYPT_B},
		{"#:$2a$04$" BCRYPT, "", "", 0},
		{"a#:$2a$04$" BCRYPT " \r\n", "a#", "$2a$04$" BCRYPT,
		 HTPASSWD_BCRYPT_A},
		{"\xc3\xa4:$5$salt$" SHA43, "\xc3\xa4", "$5$salt$" SHA43,
		 HTPASSWD_SHA256},
		{"a:$5$$" SHA43, "a", "$5$$" SHA43, HTPASSWD_SHA256},
		{"a:$6$rounds=5000000$0123456789abcdef$" SHA86, "a",
		 "$6$rounds=5000000$0123456789abcdef$" SHA86, HTPASSWD_SHA512},
		{"a:$y$j9T$salt$" SHA43, "a", "$y$j9T$salt$" SHA43,
		 HTPASSWD_YESCRYPT},
		{"a:$y$jBT$$" SHA43, "a", "$y$jBT$$" SHA43, HTPASSWD_YESCRYPT},
		{"", "", "", 0},
		{" \t\r\n", "", "", 0},
		{"\n", "", "", 0},
		{"# a:b:c", "", "", 0},
	};
	struct htpasswd h;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const char *error = parse(t[i].line, strlen(t[i].line), &h);

		if (error)
			fail_msg("%s: %s", t[i].line, error);
		assert_string_equal(h.user, t[i].user);
		assert_string_equal(h.hash, t[i].hash);
		assert_int_equal(h.scheme, t[i].scheme);
	}
}

static void what_is_refused_is_named(void **state)
{
	static const struct {
		const char *line, *error;
	} t[] = {
		{"a", "USER:HASH"},
		{" # a", "USER:HASH"},
		{":$2y$05$" BCRYPT, "1 to 255"},
		{LONG256 ":$2y$05$" BCRYPT, "1 to 255"},
		{"a:" LONG256, "at most 255"},
		{"a\tb:$2y$05$" BCRYPT, "control"},
		{"a:$2y$05$" BCRYPT "\x7f", "control"},
		{"a:$2y$05$" BCRYPT ":", "more than"},
		{"a:$apr1$CNpgyKDY$JzvCeNDLQK3q1qDGnAKhZ0", "$apr1$"},
		{"a:$1$salt$qJH7.N4xYta3aEG/dfqo/0", "$1$ (MD5)"},
		{"a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "{SHA}"},
		{"a:{SSHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "LDAP"},
		{"a:rl.3StKT.4T8M", "DES"},
		{"a:_J9..CCCCXBrJUJV154M", "DES"},
		{"a:secret", "in clear"},
		{"a:", "in clear"},
		{"a:$7$CU..../....salt$" SHA43, "not supported"},
		{"a:$2x$05$" BCRYPT, "not supported"},
		{"a:$gy$j9T$salt$" SHA43, "not supported"},
		{"a:$2y$", "whole bcrypt"},
		{"a:$2y$05", "whole bcrypt"},
		{"a:$2y$05$" BCRYPT "x", "whole bcrypt"},
		{"a:$2y$05$" SHA43 "/2345678!", "whole bcrypt"},
		{"a:$2y$03$" BCRYPT, "whole bcrypt"},
		{"a:$2y$5$" BCRYPT "0", "whole bcrypt"},
		{"a:$2y$16$" BCRYPT, "too long"},
		{"a:$2y$31$" BCRYPT, "too long"},
		{"a:$5$salt$" SHA86, "whole SHA"},
		{"a:$6$salt$" SHA43, "whole SHA"},
		{"a:$6$0123456789abcdefg$" SHA86, "whole SHA"},
		{"a:$6$s!$" SHA86, "whole SHA"},
		{"a:$6$", "whole SHA"},
		{"a:$6$rounds=5000001$salt$" SHA86, "too long"},
		{"a:$6$rounds=99999999999999999999999$s$" SHA86, "too long"},
		{"a:$6$rounds=999$salt$" SHA86, "rounds"},
		{"a:$6$rounds=-1$salt$" SHA86, "rounds"},
		{"a:$6$rounds=5000", "rounds"},
		{"a:$y$j9T$salt$" SHA43 "0", "whole yescrypt"},
		{"a:$y$j9T$salt", "whole yescrypt"},
		{"a:$y$j9T", "whole yescrypt"},
		{"a:$y$$salt$" SHA43, "whole yescrypt"},
		{"a:$y$jCT$salt$" SHA43, "too long"},
		{"a:$y$j9U$salt$" SHA43, "too long"},
		{"a:$y$j9T.$salt$" SHA43, "too long"},
	};
	struct htpasswd h;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const char *error = parse(t[i].line, strlen(t[i].line), &h);

		if (!error || !strstr(error, t[i].error))
			fail_msg("%s: %s", t[i].line, error ? error : "taken");
	}
	assert_non_null(parse("a\0b:$2y$05$" BCRYPT, 64, &h));
}

/* However a line is cut or spoilt, it is one user, none, or an error. */
static void no_line_is_read_beyond_its_end(void **state)
{
	static const char *const lines[] = {
		"user:$2y$05$" BCRYPT "\n",
		"user:$6$rounds=5000$saltsalt$" SHA86 "\n",
		"user:$y$j9T$saltsalt$" SHA43 "\n",
	};
	char line[256];
	struct htpasswd h;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		size_t n = strlen(lines[i]);

		assert_null(parse(lines[i], n, &h));
		assert_null(parse(lines[i], n - 1, &h));
		for (size_t cut = 1; cut < n - 1; cut++)
			assert_non_null(parse(lines[i], cut, &h));
		for (size_t at = 0; at < n; at++) {
			for (int c = 0; c < 256; c++) {
				memcpy(line, lines[i], n);
				line[at] = (char)c;
				if (parse(line, n, &h) || !h.user[0])
					continue;
				assert_true(strlen(h.user) < n);
				assert_true(strlen(h.hash) < n);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_of_crypt_are_taken),
		cmocka_unit_test(what_is_refused_is_named),
		cmocka_unit_test(no_line_is_read_beyond_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
