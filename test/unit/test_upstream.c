/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/upstream.h"
#include "test/lib/fence.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct addr target = {.host = "h.example", .port = 443};

static void urls(void **state)
{
	static const struct {
		const char *in, *out, *user, *password; /* out NULL: refused */
	} t[] = {
		{"http://h:8080", "http://h:8080", "", ""},
		{"h", "http://h:1080", "", ""},
		{"H:1/", "http://h:1", "", ""},
		{"socks5://[::1]:2", "socks5://[::1]:2", "", ""},
		{"socks5h://u@h:2", "socks5://h:2", "u", ""},
		{"http://u:p%40%3a@h:2", "http://h:2", "u", "p@:"},
		{"http://u:p@q@h:2", "http://h:2", "u", "p@q"},
		{"https://h:1", "https://h:1", "", ""},
		{"HTTPS://u:p@h", "https://h:443", "u", "p"},
		{"ftp://h:1", NULL, NULL, NULL},
		{"socks4://h:1", NULL, NULL, NULL},
		{"http://@h:1", NULL, NULL, NULL},
		{"http://:p@h:1", NULL, NULL, NULL},
		{"http://u:%zz@h:1", NULL, NULL, NULL},
		{"http://h:1/path", NULL, NULL, NULL},
		{"http://h:0", NULL, NULL, NULL},
		{"http://h:x", NULL, NULL, NULL},
		{"", NULL, NULL, NULL},
	};
	struct proxy_url u;
	char text[ADDR_TEXT_MAX + 10];

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		bool good = proxy_url_parse(t[i].in, &u) == ADDR_OK;

		if (good != (t[i].out != NULL))
			fail_msg("%s", t[i].in);
		if (!good)
			continue;
		assert_string_equal(proxy_url_format(&u, text, sizeof(text)),
				    t[i].out);
		assert_string_equal(u.user, t[i].user);
		assert_string_equal(u.password, t[i].password);
	}
}

/* All of in, cut at one place. What was sent is added to out. */
static enum upstream_state run(struct upstream *u, const char *in, size_t n,
			       size_t at, size_t *used, char *out)
{
	enum upstream_state s = UPSTREAM_MORE;
	size_t ends[] = {at, n}, k, len;
	uint8_t buf[UPSTREAM_OUT_MAX];

	*used = 0;
	for (int i = 0; i < 2; i++) {
		while (s == UPSTREAM_MORE && *used < ends[i]) {
			size_t size = ends[i] - *used;
			uint8_t *p = fence_copy(in + *used, size);

			s = upstream_feed(u, p, size, &k, buf, &len);
			fence_free(p, size);
			memcpy(out, buf, len);
			out += len;
			*used += k;
		}
	}
	*out = 0;
	return s;
}

static void answers(void **state)
{
	static const struct {
		const char *url, *in;
		size_t n, used; /* used 0: refused with why */
		enum reason why;
	} t[] = {
		{"h", "HTTP/1.1 200 OK\r\nA: b\r\n\r\nrest", 29, 25, 0},
		{"h", "HTTP/1.0 299 OK\r\nContent-Length: 9\r\n\r\nrest", 42,
		 38, 0},
		{"h", "HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 200 OK\r\n\r\nrest",
		 44, 40, 0},
		{"h", "HTTP/1.1 502 No\r\n\r\n", 19, 0,
		 REASON_HOST_UNREACHABLE},
		{"h", "HTTP/1.1 403 No\r\n\r\n", 19, 0, REASON_PROXY},
		{"h", "HTTP/1.1 407 No\r\n\r\n", 19, 0, REASON_UNAUTHORIZED},
		{"h", "HTTP/1.1 401 No\r\n\r\n", 19, 0, REASON_UNAUTHORIZED},
		{"h", "nonsense\r\n", 10, 0, REASON_PROXY},
		{"socks5://h", "\5\0\5\0\0\1\1\2\3\4\0\1rest", 16, 12, 0},
		{"socks5://h", "\5\0\5\0\0\3\1a\0\1rest", 14, 10, 0},
		{"socks5://h",
		 "\5\0\5\0\0\4\1\2\3\4\1\2\3\4\1\2\3\4\1\2\3\4\0\1rest", 28, 24,
		 0},
		{"socks5://u:p@h", "\5\2\1\0\5\0\0\1\1\2\3\4\0\1rest", 18, 14,
		 0},
		{"socks5://u:p@h", "\5\2\1\1", 4, 0, REASON_UNAUTHORIZED},
		{"socks5://h", "\5\2", 2, 0, REASON_UNAUTHORIZED},
		{"socks5://h", "\5\xff", 2, 0, REASON_UNAUTHORIZED},
		{"socks5://h", "\5\0\5\5\0\1\1\2\3\4\0\1", 12, 0,
		 REASON_REFUSED},
		{"socks5://h", "\4", 1, 0, REASON_PROXY},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(t); i++) {
		struct proxy_url url;

		assert_int_equal(proxy_url_parse(t[i].url, &url), ADDR_OK);
		for (size_t at = 0; at <= t[i].n; at++) {
			struct upstream *u = upstream_new(&url, &target);
			char out[2 * UPSTREAM_OUT_MAX];
			size_t used;
			enum upstream_state s =
				run(u, t[i].in, t[i].n, at, &used, out);

			if (t[i].used) {
				assert_int_equal(s, UPSTREAM_DONE);
				assert_int_equal(used, t[i].used);
			} else {
				assert_int_equal(s, UPSTREAM_FAILED);
				assert_int_equal(upstream_why(u), t[i].why);
				assert_true(upstream_detail(u)[0]);
			}
			upstream_free(u);
		}
	}
}

/* Proxy-Authenticate: is there something that can be done? */
static void challenges(void **state)
{
	static const struct {
		const char *value, *schemes; /* NULL: Basic is offered */
	} t[] = {
		{"Basic realm=\"a\"", NULL},
		{"BASIC", NULL},
		{"NTLM, Basic realm=\"a\"", NULL},
		{"Digest realm=\"a\", nonce=\"b\" ,  Basic", NULL},
		{"NTLM\r\nProxy-Authenticate: basic realm=x", NULL},
		{"NTLM", "NTLM"},
		{"NTLM\r\nProxy-Authenticate: Negotiate", "NTLM, Negotiate"},
		{"Negotiate, NTLM", "Negotiate, NTLM"},
		{"Negotiate YWJj==,NTLM", "Negotiate, NTLM"},
		{"Digest realm=\"x, Basic y\", Basic=1", "Digest"},
		{"Digest realm=\"\\\", Basic\", basic = 1", "Digest"},
	};
	struct proxy_url url;

	(void)state;
	assert_int_equal(proxy_url_parse("h", &url), ADDR_OK);
	for (size_t i = 0; i < COUNT(t); i++) {
		struct upstream *u = upstream_new(&url, &target);
		char in[200], out[2 * UPSTREAM_OUT_MAX], text[99];
		size_t used,
			n = (size_t)snprintf(in, sizeof(in),
					     "HTTP/1.1 407 No\r\n"
					     "Proxy-Authenticate: %s\r\n\r\n",
					     t[i].value);

		assert_int_equal(run(u, in, n, n / 2, &used, out),
				 UPSTREAM_FAILED);
		snprintf(text, sizeof(text), "it wants %s, and only",
			 t[i].schemes ? t[i].schemes : "");
		assert_int_equal(upstream_why(u),
				 t[i].schemes ? REASON_PROXY
					      : REASON_UNAUTHORIZED);
		if (t[i].schemes)
			assert_non_null(strstr(upstream_detail(u), text));
		upstream_free(u);
	}
}

static void questions(void **state)
{
	static const char http[] =
		"CONNECT h.example:443 HTTP/1.1\r\nHost: h.example:443\r\n"
		"Proxy-Authorization: Basic dTpw\r\n\r\n";
	uint8_t out[UPSTREAM_OUT_MAX];
	char sent[64];
	struct proxy_url url;
	struct upstream *u;
	size_t used;

	(void)state;
	proxy_url_parse("u:p@h", &url);
	u = upstream_new(&url, &target);
	assert_int_equal(upstream_begin(u, out), sizeof(http) - 1);
	assert_memory_equal(out, http, sizeof(http) - 1);
	upstream_free(u);
	proxy_url_parse("socks5://u:p@h", &url);
	u = upstream_new(&url, &target);
	assert_int_equal(upstream_begin(u, out), 4);
	assert_memory_equal(out, "\5\2\0\2", 4);
	run(u, "\5\2\1\0", 4, 0, &used, sent);
	assert_memory_equal(sent, "\1\1u\1p\5\1\0\3\x09h.example\1\xbb", 21);
	upstream_free(u);
}

static void a_head_that_never_ends(void **state)
{
	struct proxy_url url;
	struct upstream *u;
	enum upstream_state s = UPSTREAM_MORE;
	uint8_t out[UPSTREAM_OUT_MAX];
	size_t used, len, fed = 0;

	(void)state;
	proxy_url_parse("h", &url);
	u = upstream_new(&url, &target);
	upstream_feed(u, (const uint8_t *)"HTTP/1.1 200 OK\r\nA: ", 20, &used,
		      out, &len);
	for (; s == UPSTREAM_MORE && fed < 100000; fed++)
		s = upstream_feed(u, (const uint8_t *)"a", 1, &used, out, &len);
	assert_int_equal(s, UPSTREAM_FAILED);
	assert_true(fed <= UPSTREAM_HEAD_MAX);
	upstream_free(u);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls),
		cmocka_unit_test(answers),
		cmocka_unit_test(challenges),
		cmocka_unit_test(questions),
		cmocka_unit_test(a_head_that_never_ends),
	};

	return cmocka_run_group_tests_name("upstream", tests, NULL, NULL);
}
