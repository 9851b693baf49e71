/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/socks5.h"
#include "test/lib/fence.h"

/* Feed the bytes cut at one place; returns the last event, *rest is what was
 * not taken, *greeted how often the greeting was complete. */
static enum socks5_event run(struct socks5 *s, const char *p, size_t n,
			     size_t at, size_t *rest, int *greeted)
{
	const size_t ends[] = {at, n};
	enum socks5_event e = SOCKS5_MORE;
	size_t from = 0;

	socks5_init(s, false);
	*greeted = 0;
	*rest = 0;
	for (int i = 0; i < 2; i++) {
		size_t len = ends[i] - from, left = len;
		uint8_t *copy = fence_copy(p + from, len);
		const uint8_t *q = copy;

		if (e == SOCKS5_DONE || e == SOCKS5_FAILED) {
			*rest += len;
		} else {
			while ((e = socks5_feed(s, &q, &left)) ==
			       SOCKS5_GREETED)
				(*greeted)++;
			*rest += left;
		}
		fence_free(copy, len);
		from = ends[i];
	}
	return e;
}

static void requests_cut_anywhere_are_the_same(void **state)
{
	static const struct {
		const char *p;
		size_t n;
		const char *host;
		uint16_t port;
	} t[] = {
		{"\5\1\0\5\1\0\1\x7f\0\0\1\0\x50more", 17, "127.0.0.1", 80},
		{"\5\2\2\0\5\1\0\3\1h\x1f\x90more", 16, "h", 8080},
		{"\5\1\0\5\1\0\4\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\1\xbb"
		 "more",
		 29, "2001:db8::1", 443},
	};
	struct socks5 s;
	size_t rest;
	int greeted;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		for (size_t at = 0; at <= t[i].n; at++) {
			assert_int_equal(
				run(&s, t[i].p, t[i].n, at, &rest, &greeted),
				SOCKS5_DONE);
			assert_int_equal(greeted, 1);
			assert_int_equal(rest, 4);
			assert_string_equal(s.target.host, t[i].host);
			assert_int_equal(s.target.port, t[i].port);
		}
	}
}

static void what_is_wrong_has_its_answer(void **state)
{
	static const struct {
		const char *p;
		size_t n;
		enum reason why;
		size_t len;
		uint8_t code; /* second byte of the answer */
	} t[] = {
		{"\4\1\0\x50", 4, REASON_BAD_REQUEST, 0, 0},
		{"GET /", 5, REASON_BAD_REQUEST, 0, 0},
		{"\5\0", 2, REASON_FORBIDDEN, 2, 0xff},
		{"\5\2\1\2", 4, REASON_FORBIDDEN, 2, 0xff},
		{"\5\1\0\4\1\0\1", 7, REASON_BAD_REQUEST, 0, 0},
		{"\5\1\0\5\2\0\1\1\1\1\1\0\1", 13, REASON_BAD_COMMAND, 10, 7},
		{"\5\1\0\5\3\0\1\1\1\1\1\0\1", 13, REASON_BAD_COMMAND, 10, 7},
		{"\5\1\0\5\1\0\2\1", 8, REASON_BAD_ADDRESS, 10, 8},
		{"\5\1\0\5\1\0\3\0\0\1", 10, REASON_BAD_ADDRESS, 10, 8},
		{"\5\1\0\5\1\0\3\3a\0b\0\1", 13, REASON_BAD_ADDRESS, 10, 8},
		{"\5\1\0\5\1\0\1\1\1\1\1\0\0", 13, REASON_BAD_ADDRESS, 10, 8},
	};
	uint8_t out[SOCKS5_REPLY_MAX];
	struct socks5 s;
	size_t rest;
	int greeted;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		for (size_t at = 0; at <= t[i].n; at++) {
			assert_int_equal(
				run(&s, t[i].p, t[i].n, at, &rest, &greeted),
				SOCKS5_FAILED);
			assert_int_equal(s.why, t[i].why);
			assert_int_equal(socks5_refuse(&s, s.why, out),
					 t[i].len);
			if (t[i].len)
				assert_int_equal(out[1], t[i].code);
		}
	}
}

static void names_of_255_bytes_are_refused_not_overrun(void **state)
{
	char p[3 + 5 + 255 + 2] = "\5\1\0\5\1\0\3\xff";
	struct socks5 s;
	size_t rest;
	int greeted;

	(void)state;
	memset(p + 8, 'a', 255);
	assert_int_equal(run(&s, p, sizeof(p), 7, &rest, &greeted),
			 SOCKS5_FAILED);
	assert_int_equal(s.why, REASON_BAD_ADDRESS);
}

static void replies_carry_the_bound_address(void **state)
{
	uint8_t out[SOCKS5_REPLY_MAX];

	(void)state;
	assert_int_equal(socks5_reply(out, REASON_DONE, "1.2.3.4:258"), 10);
	assert_memory_equal(out, "\5\0\0\1\1\2\3\4\1\2", 10);
	assert_int_equal(socks5_reply(out, REASON_REFUSED, NULL), 10);
	assert_memory_equal(out, "\5\5\0\1\0\0\0\0\0\0", 10);
	assert_int_equal(socks5_reply(out, REASON_DONE, "[::1]:1"), 22);
	assert_memory_equal(out, "\5\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\1",
			    22);
	/* a peer may say anything */
	assert_int_equal(socks5_reply(out, REASON_DONE, "name:1"), 10);
	assert_int_equal(socks5_reply(out, REASON_DONE, "rubbish"), 10);
}

/* RFC 1929, however the bytes are cut. */
static void a_user_has_a_password(void **state)
{
	static const char in[] = "\5\2\0\2\1\2me\3p:w\5\1\0\1\1\2\3\4\0\x50";
	const char *user, *password;
	uint8_t out[SOCKS5_REPLY_MAX];

	(void)state;
	for (size_t step = 1; step < sizeof(in); step++) {
		struct socks5 s;
		const uint8_t *p = (const uint8_t *)in;
		enum socks5_event e = SOCKS5_MORE;
		int greeted = 0, asked = 0;

		socks5_init(&s, true);
		for (size_t at = 0; at < sizeof(in) - 1; at += step) {
			size_t n = sizeof(in) - 1 - at;

			if (n > step)
				n = step;
			while ((e = socks5_feed(&s, &p, &n)) ==
				       SOCKS5_GREETED ||
			       e == SOCKS5_USER) {
				greeted += e == SOCKS5_GREETED;
				if (e == SOCKS5_GREETED)
					continue;
				asked++;
				socks5_credentials(&s, &user, &password);
				assert_string_equal(user, "me");
				assert_string_equal(password, "p:w");
				assert_int_equal(socks5_admit(&s, out), 2);
				assert_memory_equal(out, "\1\0", 2);
			}
		}
		assert_int_equal(e, SOCKS5_DONE);
		assert_true(greeted == 1 && asked == 1);
		assert_string_equal(s.target.host, "1.2.3.4");
	}
}

static enum socks5_event sign_in(struct socks5 *s, const char *in, size_t n)
{
	const uint8_t *p = (const uint8_t *)in;
	enum socks5_event e;

	socks5_init(s, true);
	while ((e = socks5_feed(s, &p, &n)) == SOCKS5_GREETED)
		continue;
	return e;
}

static void credentials_may_have_255_bytes_or_none(void **state)
{
	static const char none[] = "\5\1\2\1\0\0";
	char longest[3 + 2 + 255 + 1 + 255] = "\5\1\2\1\xff";
	const char *user, *password;
	struct socks5 s;

	(void)state;
	memset(longest + 5, 'u', 255);
	longest[260] = '\xff';
	memset(longest + 261, 'p', 255);
	assert_int_equal(sign_in(&s, longest, sizeof(longest)), SOCKS5_USER);
	socks5_credentials(&s, &user, &password);
	assert_int_equal(strlen(user), 255);
	assert_int_equal(strspn(password, "p"), 255);
	assert_int_equal(strlen(password), 255);
	assert_int_equal(sign_in(&s, none, 6), SOCKS5_USER);
	socks5_credentials(&s, &user, &password);
	assert_string_equal(user, "");
	assert_string_equal(password, "");
}

static void who_is_refused_hears_it_and_is_not_listened_to(void **state)
{
	static const char in[] = "\5\1\2\1\2me\2pw\5\1\0\1\1\2\3\4\0\x50";
	const uint8_t *p = (const uint8_t *)in;
	size_t n = sizeof(in) - 1;
	uint8_t out[SOCKS5_REPLY_MAX];
	struct socks5 s;

	(void)state;
	socks5_init(&s, true);
	assert_int_equal(socks5_feed(&s, &p, &n), SOCKS5_GREETED);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(socks5_feed(&s, &p, &n), SOCKS5_USER);
		assert_int_equal(n, 10);
	}
	assert_int_equal(socks5_refuse(&s, REASON_LIMIT, out), 2);
	assert_memory_equal(out, "\1\1", 2);
}

static void bad_credentials_are_refused_at_once(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		enum reason why;
		size_t len;
	} bad[] = {
		{"\5\1\0", 3, REASON_FORBIDDEN, 2},
		{"\5\1\2\5", 4, REASON_BAD_REQUEST, 0},
		{"\5\1\2\1\2me\3pw\0", 11, REASON_PROXY_AUTH, 2},
		{"\5\1\2\1\3me\0\2pw", 11, REASON_PROXY_AUTH, 2},
	};
	uint8_t out[SOCKS5_REPLY_MAX];
	struct socks5 s;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(sign_in(&s, bad[i].in, bad[i].n),
				 SOCKS5_FAILED);
		assert_int_equal(s.why, bad[i].why);
		assert_int_equal(socks5_refuse(&s, s.why, out), bad[i].len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_cut_anywhere_are_the_same),
		cmocka_unit_test(what_is_wrong_has_its_answer),
		cmocka_unit_test(names_of_255_bytes_are_refused_not_overrun),
		cmocka_unit_test(replies_carry_the_bound_address),
		cmocka_unit_test(a_user_has_a_password),
		cmocka_unit_test(credentials_may_have_255_bytes_or_none),
		cmocka_unit_test(
			who_is_refused_hears_it_and_is_not_listened_to),
		cmocka_unit_test(bad_credentials_are_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
