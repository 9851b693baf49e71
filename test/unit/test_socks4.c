/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/socks4.h"
#include "test/lib/fence.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static enum socks4_event run(struct socks4 *s, const char *in, size_t n,
			     size_t at, size_t *left)
{
	enum socks4_event e;
	size_t k = at;
	uint8_t *copy = fence_copy(in, n);
	const uint8_t *p = copy;

	socks4_init(s);
	e = socks4_feed(s, &p, &k);
	k += n - at;
	if (e == SOCKS4_MORE)
		e = socks4_feed(s, &p, &k);
	*left = k;
	fence_free(copy, n);
	return e;
}

/* However the bytes are cut; what follows is not touched. */
static void requests(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		const char *host; /* NULL: refused with why */
		enum reason why;
	} t[] = {
		{"\4\1\0\x50\x01\x02\x03\x04\0more", 13, "1.2.3.4", 0},
		{"\4\1\0\x50\x01\x02\x03\x04user\0more", 17, "1.2.3.4", 0},
		{"\4\1\0\x50\0\0\0\1u\0h.example\0more", 24, "h.example", 0},
		{"\4\1\0\x50\0\0\0\1\0::1\0more", 17, "::1", 0},
		{"\4\1\0\x50\0\0\0\0\0more", 13, "0.0.0.0", 0},
		{"\4\2\0\x50\1\2\3\4\0", 9, NULL, REASON_BAD_COMMAND},
		{"\4\1\0\0\1\2\3\4\0", 9, NULL, REASON_BAD_ADDRESS},
		{"\4\1\0\x50\0\0\0\1\0\0", 10, NULL, REASON_BAD_ADDRESS},
		{"\4\1\0\x50\0\0\0\1\0a b\0", 13, NULL, REASON_BAD_ADDRESS},
		{"\4\1\0\x50\0\0\0\1\0"
		 "127.1\0",
		 15, NULL, REASON_BAD_ADDRESS},
		{"\5\1\0", 3, NULL, REASON_BAD_REQUEST},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		for (size_t at = 0; at <= t[i].n; at++) {
			struct socks4 s;
			size_t left;
			enum socks4_event e =
				run(&s, t[i].in, t[i].n, at, &left);

			if (!t[i].host) {
				assert_int_equal(e, SOCKS4_FAILED);
				assert_int_equal(s.why, t[i].why);
				continue;
			}
			assert_int_equal(e, SOCKS4_DONE);
			assert_string_equal(s.target.host, t[i].host);
			assert_int_equal(s.target.port, 80);
			assert_int_equal(left, 4);
		}
	}
}

static void names_and_users_have_an_end(void **state)
{
	static const uint8_t head[] = {4, 1, 0, 80, 0, 0, 0, 1};
	uint8_t a[100];
	struct socks4 s;

	(void)state;
	memset(a, 'a', sizeof(a));
	for (int name = 0; name < 2; name++) {
		enum socks4_event e;
		const uint8_t *p = head;
		size_t n = sizeof(head), fed = 0;

		socks4_init(&s);
		e = socks4_feed(&s, &p, &n);
		if (name) {
			p = (const uint8_t *)"";
			n = 1;
			e = socks4_feed(&s, &p, &n);
		}
		for (; e == SOCKS4_MORE && fed < 10000; fed += 100) {
			p = a;
			n = sizeof(a);
			e = socks4_feed(&s, &p, &n);
		}
		assert_int_equal(e, SOCKS4_FAILED);
		assert_true(fed <= 600);
	}
}

static void replies(void **state)
{
	uint8_t out[SOCKS4_REPLY_MAX];

	(void)state;
	assert_int_equal(socks4_reply(out, REASON_DONE, "1.2.3.4:258"), 8);
	assert_memory_equal(out, "\0\x5a\1\2\1\2\3\4", 8);
	socks4_reply(out, REASON_DONE, "[::1]:258");
	assert_memory_equal(out, "\0\x5a\0\0\0\0\0\0", 8);
	socks4_reply(out, REASON_REFUSED, NULL);
	assert_memory_equal(out, "\0\x5b\0\0\0\0\0\0", 8);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),
		cmocka_unit_test(names_and_users_have_an_end),
		cmocka_unit_test(replies),
	};

	return cmocka_run_group_tests_name("socks4", tests, NULL, NULL);
}
