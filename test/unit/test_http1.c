/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/http1.h"
#include "test/lib/fence.h"

/* What a request becomes, as one text: "HOST:PORT|HEAD|BODY|IGNORED". */
static enum http1_state run(const char *text, size_t n, size_t at,
			    char out[4096], enum reason *why)
{
	struct http1 *h = http1_new(NULL);
	size_t ends[] = {at, n}, from = 0, len = 0, passed = 0, ignored = 0;
	enum http1_state s = HTTP1_MORE;
	char body[512], target[ADDR_TEXT_MAX];
	const uint8_t *head;

	for (int i = 0; i < 2; i++) {
		size_t size = ends[i] - from, used = 0, k;
		uint8_t *p = fence_copy(text + from, size);

		if (s == HTTP1_MORE)
			s = http1_feed(h, p, size, &used);
		if (s == HTTP1_DONE) {
			k = http1_body(h, p + used, size - used);
			memcpy(body + passed, p + used, k);
			passed += k;
			ignored += size - used - k;
		}
		fence_free(p, size);
		from = ends[i];
	}
	*why = http1_why(h);
	if (s == HTTP1_DONE) {
		head = http1_head(h, &len);
		snprintf(out, 4096, "%s|%.*s|%.*s|%zu",
			 addr_format(http1_target(h), target), (int)len, head,
			 (int)passed, body, ignored);
		if (http1_broken(h))
			strcat(out, "broken");
	}
	http1_free(h);
	return s;
}

static void requests_become_what_the_origin_needs(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\ndata",
		 "h:443||data|0"},
		{"CONNECT [::1]:1 HTTP/1.0\r\n\r\n", "[::1]:1|||0"},
		{"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
		 "h:80|GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
		 "||0"},
		{"GET HTTP://H:8080/a?b HTTP/1.1\r\nHost: other\r\nA: b\r\n"
		 "\r\n",
		 "h:8080|GET /a?b HTTP/1.1\r\nHost: h:8080\r\nA: b\r\n"
		 "Connection: close\r\n\r\n||0"},
		{"GET http://h?x HTTP/1.0\r\n\r\n",
		 "h:80|GET /?x HTTP/1.0\r\nHost: h\r\nConnection: close\r\n"
		 "\r\n||0"},
		{"OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n",
		 "h:80|OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
		 "\r\n||0"},
		{"GET http://[2001:db8::1]/ HTTP/1.1\r\nHost: x\r\n\r\n",
		 "[2001:db8::1]:80|GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n"
		 "Connection: close\r\n\r\n||0"},
		{"GET http://h/ HTTP/1.1\r\nHost: h\r\nProxy-Connection: a\r\n"
		 "Proxy-Authorization: b\r\nKeep-Alive: c\r\nTE: gzip\r\n"
		 "Connection: X-Mine, close\r\nX-Mine: d\r\nX-Other: e\r\n\r\n",
		 "h:80|GET / HTTP/1.1\r\nHost: h\r\nX-Other: e\r\n"
		 "Connection: close\r\n\r\n||0"},
		{"POST http://h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
		 "\r\nabcGET http://evil/ HTTP/1.1\r\n\r\n",
		 "h:80|POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
		 "Connection: close\r\n\r\n|abc|29"},
		{"POST http://h/ HTTP/1.1\r\nHost: h\r\n"
		 "Transfer-Encoding: chunked\r\n\r\n"
		 "3\r\nabc\r\n0\r\n\r\nGET http://evil/ HTTP/1.1\r\n\r\n",
		 "h:80|POST / HTTP/1.1\r\nHost: h\r\n"
		 "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
		 "|3\r\nabc\r\n0\r\n\r\n|29"},
		{"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n"
		 "GET http://evil/ HTTP/1.1\r\n\r\n",
		 "h:80|GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
		 "||29"},
		{"GET http://h/ HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
		 "Connection: keep-alive, Upgrade\r\n\r\nframes",
		 "h:80|GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
		 "Connection: Upgrade\r\n\r\n||6"},
		{"GET http://h/ HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n\r\n",
		 "h:80|GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
		 "||0"},
	};
	enum reason why;
	char out[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		size_t n = strlen(t[i].in);

		for (size_t at = 0; at <= n; at++) {
			assert_int_equal(run(t[i].in, n, at, out, &why),
					 HTTP1_DONE);
			assert_string_equal(out, t[i].out);
		}
	}
}

#define GET  "GET http://h/ HTTP/1.1\r\nHost: h\r\n"
#define POST "POST http://h/ HTTP/1.1\r\nHost: h\r\n"

static void what_is_ambiguous_is_refused(void **state)
{
	static const struct {
		const char *in;
		enum reason why;
	} t[] = {
		{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", REASON_BAD_REQUEST},
		{"GET * HTTP/1.1\r\nHost: h\r\n\r\n", REASON_BAD_REQUEST},
		{"GET https://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
		 REASON_BAD_COMMAND},
		{"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"GET http:// HTTP/1.1\r\nHost: h\r\n\r\n", REASON_BAD_REQUEST},
		{"GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"GET http://h/#f HTTP/1.1\r\nHost: h\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"GET http://a b/ HTTP/1.1\r\nHost: h\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"GET http://127.1/ HTTP/1.1\r\nHost: h\r\n\r\n",
		 REASON_BAD_ADDRESS},
		{"GET http://h:0/ HTTP/1.1\r\nHost: h\r\n\r\n",
		 REASON_BAD_ADDRESS},
		{"GET http://h:99999/ HTTP/1.1\r\nHost: h\r\n\r\n",
		 REASON_BAD_ADDRESS},
		{"CONNECT h HTTP/1.1\r\nHost: h\r\n\r\n", REASON_BAD_ADDRESS},
		{"CONNECT h:0 HTTP/1.1\r\nHost: h\r\n\r\n", REASON_BAD_ADDRESS},
		{"CONNECT http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
		 REASON_BAD_ADDRESS},
		{"GET http://h/ HTTP/1.1\r\n\r\n", REASON_BAD_REQUEST},
		{GET "Host: h\r\n\r\n", REASON_BAD_REQUEST},
		{"GET  http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"GET http://h/  HTTP/1.1\r\nHost: h\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"GET http://h/ HTTP/2.0\r\nHost: h\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"GET http://h/ HTTP/1.1x\r\nHost: h\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"GET http://h/\r\n\r\n", REASON_BAD_REQUEST},
		{"\r\n" GET "\r\n", REASON_BAD_REQUEST},
		{"GET http://h/ HTTP/1.1\nHost: h\n\n", REASON_BAD_REQUEST},
		{GET "A: b\nC: d\r\n\r\n", REASON_BAD_REQUEST},
		{GET "A: b\rC: d\r\n\r\n", REASON_BAD_REQUEST},
		{GET "A: b\r\n c\r\n\r\n", REASON_BAD_REQUEST},
		{GET "A: b\r\n\tc\r\n\r\n", REASON_BAD_REQUEST},
		{GET "A : b\r\n\r\n", REASON_BAD_REQUEST},
		{GET " A: b\r\n\r\n", REASON_BAD_REQUEST},
		{GET ": b\r\n\r\n", REASON_BAD_REQUEST},
		{GET "A\r\n\r\n", REASON_BAD_REQUEST},
		{GET "A\x01: b\r\n\r\n", REASON_BAD_REQUEST},
		{POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
		 REASON_BAD_REQUEST},
		{POST "Content-Length: 1, 1\r\n\r\n", REASON_BAD_REQUEST},
		{POST "Content-Length: -1\r\n\r\n", REASON_BAD_REQUEST},
		{POST "Content-Length: +1\r\n\r\n", REASON_BAD_REQUEST},
		{POST "Content-Length: 0x1\r\n\r\n", REASON_BAD_REQUEST},
		{POST "Content-Length: \r\n\r\n", REASON_BAD_REQUEST},
		{POST "Content-Length: 99999999999999999999\r\n\r\n",
		 REASON_BAD_REQUEST},
		{POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		 REASON_BAD_REQUEST},
		{POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
		 REASON_BAD_REQUEST},
		{POST "Transfer-Encoding: gzip, chunked\r\n\r\n",
		 REASON_BAD_REQUEST},
		{POST "Transfer-Encoding: chunked, identity\r\n\r\n",
		 REASON_BAD_REQUEST},
		{POST "Transfer-Encoding: xchunked\r\n\r\n",
		 REASON_BAD_REQUEST},
		{POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: "
		      "chunked\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"POST http://h/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n"
		 "\r\n",
		 REASON_BAD_REQUEST},
		{POST "Connection: content-length\r\nContent-Length: 1\r\n\r\n",
		 REASON_BAD_REQUEST},
		{POST "Connection: close, Transfer-Encoding\r\n\r\n",
		 REASON_BAD_REQUEST},
		{GET "Connection: host\r\n\r\n", REASON_BAD_REQUEST},
		{"\x16\x03\x01\x02\r\n\r\n", REASON_BAD_REQUEST},
	};
	enum reason why;
	char out[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		size_t n = strlen(t[i].in);

		for (size_t at = 0; at <= n; at += 1 + n / 7) {
			if (run(t[i].in, n, at, out, &why) != HTTP1_FAILED)
				fail_msg("accepted: %s", t[i].in);
			if (why != t[i].why)
				fail_msg("%s: %s", reason_text(why), t[i].in);
		}
	}
	assert_int_equal(
		run("GET\0 http://h/ HTTP/1.1\r\n\r\n", 28, 0, out, &why),
		HTTP1_FAILED);
}

static void chunks_that_are_malformed_break_the_request(void **state)
{
	static const char *const bad[] = {"x\r\n", "g\r\n", "-1\r\n",
					  "3\nabc\n0\n\n"};
	enum reason why;
	char text[256], out[4096];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		snprintf(text, sizeof(text),
			 POST "Transfer-Encoding: chunked\r\n\r\n%s", bad[i]);
		assert_int_equal(run(text, strlen(text), 0, out, &why),
				 HTTP1_DONE);
		if (!strstr(out, "broken"))
			fail_msg("taken: %s as %s", bad[i], out);
	}
}

static void a_head_has_a_limit(void **state)
{
	struct http1 *h = http1_new(NULL);
	enum http1_state s = HTTP1_MORE;
	size_t n = 0, used;

	(void)state;
	while (s == HTTP1_MORE && n++ <= HTTP1_HEAD_MAX)
		s = http1_feed(h, (const uint8_t *)"a", 1, &used);
	assert_int_equal(s, HTTP1_FAILED);
	assert_int_equal(http1_why(h), REASON_TOO_LARGE);
	http1_free(h);
}

static void replies_are_whole(void **state)
{
	char out[HTTP1_REPLY_MAX];

	(void)state;
	out[http1_write_reply(out, REASON_DONE)] = 0;
	assert_string_equal(out, "HTTP/1.1 200 Connection established\r\n\r\n");
	out[http1_write_reply(out, REASON_TIMED_OUT)] = 0;
	assert_non_null(strstr(out, "HTTP/1.1 504 "));
	assert_non_null(strstr(out, "\r\n\r\nwsp: timed out\n"));
	for (int r = 0; r < REASON_COUNT; r++)
		assert_true(http1_write_reply(out, (enum reason)r) <
			    HTTP1_REPLY_MAX);
}

/* Fields in their shortest form take one byte more in ours. */
static void many_short_fields_fit(void **state)
{
	struct http1 *h = http1_new(NULL);
	static char head[HTTP1_HEAD_MAX + 1];
	size_t n =
		(size_t)sprintf(head, "GET http://h/ HTTP/1.1\r\nHost:h\r\n");
	size_t fields = 0, used, len;

	(void)state;
	for (; n + 6 < HTTP1_HEAD_MAX; fields++) {
		memcpy(head + n, "a:\r\n", 4);
		n += 4;
	}
	memcpy(head + n, "\r\n", 2);
	n += 2;
	assert_int_equal(http1_feed(h, (const uint8_t *)head, n, &used),
			 HTTP1_DONE);
	http1_head(h, &len);
	assert_int_equal(len, strlen("GET / HTTP/1.1\r\nHost: h\r\n"
				     "Connection: close\r\n\r\n") +
				      5 * fields);
	http1_free(h);
}

static struct http1 *request(const char *text)
{
	struct http1 *h = http1_new(NULL);
	size_t used;

	assert_int_equal(
		http1_feed(h, (const uint8_t *)text, strlen(text), &used),
		HTTP1_DONE);
	return h;
}

/* Where the answer ends, however it is cut; what follows does not pass. */
static void answers_have_an_end(void **state)
{
	static const struct {
		const char *method, *in;
		int passed; /* -1: all, and no end */
	} t[] = {
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabX", 40},
		{"GET",
		 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "1\r\na\r\n0\r\n\r\nX",
		 58},
		{"GET", "HTTP/1.1 200 OK\r\n\r\nall until the end", -1},
		{"GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\naX", 39},
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nX", 38},
		{"GET", "HTTP/1.1 304 No\r\nContent-Length: 2\r\n\r\nX", 38},
		{"GET", "HTTP/1.1 204 No\r\n\r\nX", 19},
		{"GET",
		 "HTTP/1.1 103 Early\r\nLink: a\r\n\r\n"
		 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naX",
		 70},
		{"GET", "nothing that is HTTP", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char head[64];
		size_t n = strlen(t[i].in);

		snprintf(head, sizeof(head),
			 "%s http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
			 t[i].method);
		for (size_t at = 0; at <= n; at++) {
			struct http1 *h = request(head);
			const uint8_t *p = (const uint8_t *)t[i].in;
			size_t passed = http1_reply(h, p, at);

			passed += http1_reply(h, p + at, n - at);
			if (t[i].passed < 0)
				assert_int_equal(passed, n);
			else if ((size_t)t[i].passed != passed)
				fail_msg("%zu of %s", passed, t[i].in);
			assert_int_equal(http1_over(h), t[i].passed >= 0);
			http1_free(h);
		}
	}
}

/* Nothing is another protocol before the origin has agreed to it. */
static void an_upgrade_is_the_origins_to_grant(void **state)
{
	static const char ask[] = "GET http://h/ HTTP/1.1\r\nHost: h\r\n"
				  "Upgrade: websocket\r\n"
				  "Connection: Upgrade\r\n\r\n";
	static const char yes[] = "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n"
				  "Connection: Upgrade\r\n\r\nframes";
	static const char no[] = "HTTP/1.1 200 OK\r\n"
				 "Content-Length: 0\r\n\r\n";
	const uint8_t *more = (const uint8_t *)"more";
	struct http1 *h = request(ask);

	(void)state;
	assert_int_equal(http1_body(h, more, 4), 0);
	assert_int_equal(http1_reply(h, (const uint8_t *)yes, sizeof(yes) - 1),
			 sizeof(yes) - 1);
	assert_int_equal(http1_body(h, more, 4), 4);
	assert_int_equal(http1_reply(h, more, 4), 4);
	assert_false(http1_over(h));
	http1_free(h);
	h = request(ask);
	http1_reply(h, (const uint8_t *)no, sizeof(no) - 1);
	assert_true(http1_over(h));
	assert_int_equal(http1_body(h, more, 4), 0);
	http1_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_become_what_the_origin_needs),
		cmocka_unit_test(what_is_ambiguous_is_refused),
		cmocka_unit_test(chunks_that_are_malformed_break_the_request),
		cmocka_unit_test(a_head_has_a_limit),
		cmocka_unit_test(replies_are_whole),
		cmocka_unit_test(many_short_fields_fit),
		cmocka_unit_test(answers_have_an_end),
		cmocka_unit_test(an_upgrade_is_the_origins_to_grant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
