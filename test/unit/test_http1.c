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

static struct bufpool pool;

/* The body of n bytes at p, appended to out; returns how many do not belong to
 * it. */
static size_t take_body(struct http1 *h, const uint8_t *p, size_t n, char *out)
{
	struct bufq in, passed;
	struct buf *b;
	size_t rest;

	if (n == 0)
		return 0;
	bufq_init(&in);
	bufq_init(&passed);
	bufq_put(&in, buf_copy(&pool, p, n));
	assert_true(body_pass(http1_body(h), &in, &passed, &pool));
	rest = in.bytes;
	while ((b = bufq_get(&passed))) {
		strncat(out, (char *)buf_ptr(b), b->len);
		buf_free(b);
	}
	bufq_clear(&in);
	return rest;
}

/* What a request becomes, as one text: "HOST:PORT|HEAD|BODY|IGNORED". */
static enum http1_state run(const char *text, size_t n, size_t at,
			    char out[4096], enum reason *why)
{
	struct http1 *h = http1_new(false);
	size_t ends[] = {at, n}, from = 0, len = 0, ignored = 0;
	enum http1_state s = HTTP1_MORE;
	char body[512] = "", target[ADDR_TEXT_MAX];
	const uint8_t *head;

	for (int i = 0; i < 2; i++) {
		size_t size = ends[i] - from, used = 0;
		uint8_t *p = fence_copy(text + from, size);

		if (s == HTTP1_MORE)
			s = http1_feed(h, p, size, &used);
		if (s == HTTP1_DONE)
			ignored += take_body(h, p + used, size - used, body);
		fence_free(p, size);
		from = ends[i];
	}
	*why = http1_why(h);
	if (s == HTTP1_DONE) {
		head = http1_head(h, &len);
		snprintf(out, 4096, "%s|%.*s|%s|%zu",
			 addr_format(http1_target(h), target), (int)len,
			 head ? (const char *)head : "", body, ignored);
		if (http1_body(h)->broken)
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
		 "h:443|||4"},
		{"CONNECT [::1]:1 HTTP/1.0\r\n\r\n", "[::1]:1|||0"},
		{"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
		 "h:80|GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 wsp\r\n\r\n||0"},
		{"\r\n\r\nGET HTTP://H:8080/a?b HTTP/1.1\r\nHost: other\r\n"
		 "A:b\r\n\r\n",
		 "h:8080|GET /a?b HTTP/1.1\r\nHost: h:8080\r\nA: b\r\n"
		 "Via: 1.1 wsp\r\n\r\n||0"},
		{"GET http://h?x HTTP/1.0\r\n\r\n",
		 "h:80|GET /?x HTTP/1.1\r\nHost: h\r\nVia: 1.0 wsp\r\n"
		 "Connection: close\r\n\r\n||0"},
		{"OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n",
		 "h:80|OPTIONS * HTTP/1.1\r\nHost: h\r\nVia: 1.1 wsp\r\n\r\n"
		 "||0"},
		{"OPTIONS http://h/ HTTP/1.1\r\nHost: h\r\n"
		 "Max-Forwards: 7\r\n\r\n",
		 "h:80|OPTIONS / HTTP/1.1\r\nHost: h\r\nVia: 1.1 wsp\r\n"
		 "Max-Forwards: 6\r\n\r\n||0"},
		{"fooBAR http://h/ HTTP/1.1\r\nHost: h\r\nMax-Forwards: 7\r\n"
		 "Via: 1.0 a\r\n\r\n",
		 "h:80|fooBAR / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 7\r\n"
		 "Via: 1.0 a\r\nVia: 1.1 wsp\r\n\r\n||0"},
		{"GET http://[2001:db8::1]/ HTTP/1.1\r\nHost: x\r\n\r\n",
		 "[2001:db8::1]:80|GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n"
		 "Via: 1.1 wsp\r\n\r\n||0"},
		{"GET http://h/ HTTP/1.1\r\nHost: h\r\nProxy-Connection: a\r\n"
		 "Proxy-Authorization: b\r\nKeep-Alive: c\r\nTE: gzip\r\n"
		 "Connection: X-Mine, close\r\nX-Mine: d\r\nX-Other: e\r\n\r\n",
		 "h:80|GET / HTTP/1.1\r\nHost: h\r\nX-Other: e\r\n"
		 "Via: 1.1 wsp\r\nConnection: close\r\n\r\n||0"},
		{"GET http://h/ HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n"
		 "Connection: te\r\n\r\n",
		 "h:80|GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 wsp\r\n"
		 "TE: trailers\r\nConnection: TE\r\n\r\n||0"},
		{"POST http://h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 03\r\n"
		 "\r\nabcGET http://evil/ HTTP/1.1\r\n\r\n",
		 "h:80|POST / HTTP/1.1\r\nHost: h\r\nVia: 1.1 wsp\r\n"
		 "Content-Length: 3\r\n\r\n|abc|29"},
		{"POST http://h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n"
		 "\r\nx",
		 "h:80|POST / HTTP/1.1\r\nHost: h\r\nVia: 1.1 wsp\r\n"
		 "Content-Length: 0\r\n\r\n||1"},
		{"POST http://h/ HTTP/1.1\r\nHost: h\r\n"
		 "Transfer-Encoding: Chunked\r\n\r\n"
		 "3;a=b\r\nabc\r\n0A ; x=\"y\"\r\n0123456789\r\n000;z\r\n"
		 "T:1\r\nHost: evil\r\n\r\nGET http://evil/ HTTP/1.1\r\n\r\n",
		 "h:80|POST / HTTP/1.1\r\nHost: h\r\nVia: 1.1 wsp\r\n"
		 "Transfer-Encoding: chunked\r\n\r\n"
		 "|3\r\nabc\r\n0A\r\n0123456789\r\n000\r\nT: 1\r\n\r\n|29"},
		{"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n"
		 "GET http://evil/ HTTP/1.1\r\n\r\n",
		 "h:80|GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 wsp\r\n\r\n||29"},
		{"GET http://h/ HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
		 "Connection: keep-alive, Upgrade\r\n\r\nframes",
		 "h:80|GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
		 "Via: 1.1 wsp\r\nConnection: Upgrade\r\n\r\n||6"},
		{"GET http://h/ HTTP/1.1\r\nHost: h\r\nUpgrade: x\r\n\r\n",
		 "h:80|GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 wsp\r\n\r\n||0"},
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
		{"\r\n\r\n\r\n\r\n\r\n" GET "\r\n", REASON_BAD_REQUEST},
		{"\n" GET "\r\n", REASON_BAD_REQUEST},
		{GET "A: \x7f\r\n\r\n", REASON_BAD_REQUEST},
		{GET "\xe4: b\r\n\r\n", REASON_BAD_REQUEST},
		{"GET http://h/\xe4 HTTP/1.1\r\nHost: h\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"GET  http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"G@T http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"GET http://h/ HTTP/1.1\r\nHost: h, i\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"CONNECT h:1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n"
		 "\r\n",
		 REASON_BAD_REQUEST},
		{"TRACE http://h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 1"
		 "\r\n\r\n",
		 REASON_BAD_REQUEST},
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
		 REASON_TOO_MUCH},
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
	static const char *const bad[] = {
		"x\r\n",
		"g\r\n",
		"-1\r\n",
		"+1\r\n",
		"0x1\r\n",
		" 1\r\n",
		"1 \r\na\r\n",
		"\r\n",
		";a\r\n",
		"1\na\r\n",
		"1\ra\r\n",
		"1;a\na\r\n",
		"1;a\x01\r\n",
		"1 a\r\n",
		"1\r\nab\r\n",
		"1\r\na\n0\r\n\r\n",
		"1\r\na\rb",
		"10000000000000000\r\n",
		"00000000000000001\r\n",
		"0\r\nA b: c\r\n\r\n",
		"0\r\nA: b\n\r\n",
		"0\r\n A: b\r\n\r\n",
		"0\r\n\n",
		"3\nabc\n0\n\n",
	};
	enum reason why;
	char text[256], out[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t n = (size_t)snprintf(
			text, sizeof(text),
			POST "Transfer-Encoding: chunked\r\n\r\n%s", bad[i]);

		for (size_t at = 0; at <= n; at++) {
			assert_int_equal(run(text, n, at, out, &why),
					 HTTP1_DONE);
			if (!strstr(out, "broken"))
				fail_msg("taken: %s as %s", bad[i], out);
		}
	}
}

/* first, then n bytes of c, then last; whether that is taken. */
static enum reason filled(const char *first, size_t n, char c, const char *last)
{
	struct http1 *h = http1_new(false);
	size_t k = strlen(first), used;
	char *text = malloc(k + n + strlen(last) + 1);
	enum reason why;

	memcpy(text, first, k);
	memset(text + k, c, n);
	strcpy(text + k + n, last);
	http1_feed(h, (uint8_t *)text, strlen(text), &used);
	why = http1_why(h);
	free(text);
	http1_free(h);
	return why;
}

static void a_head_has_limits(void **state)
{
	static const char end[] = " HTTP/1.1\r\nHost: h\r\n\r\n";
	size_t most = HEAD_TARGET_MAX - strlen("http://h/");

	(void)state;
	assert_int_equal(filled("GET http://h/", most, 'a', end), REASON_DONE);
	assert_int_equal(filled("GET http://h/", most + 1, 'a', end),
			 REASON_URI_TOO_LONG);
	assert_int_equal(filled("GET http://h/", 100000, 'a', ""),
			 REASON_URI_TOO_LONG);
	assert_int_equal(filled(GET "A:", HEAD_FIELD_MAX - 2, 'b', "\r\n\r\n"),
			 REASON_DONE);
	assert_int_equal(filled(GET "A:", HEAD_FIELD_MAX - 1, 'b', "\r\n\r\n"),
			 REASON_TOO_LARGE);
	assert_int_equal(filled("", 65, 'M',
				" http://h/ HTTP/1.1\r\n"
				"Host: h\r\n\r\n"),
			 REASON_BAD_REQUEST);
}

/* Fields of size bytes each, "a:...", n of them beside Host. */
static enum reason fields(size_t n, size_t size)
{
	struct http1 *h = http1_new(false);
	enum http1_state s = HTTP1_MORE;
	static char line[HEAD_FIELD_MAX + 2];
	enum reason why;
	size_t used, len;

	http1_feed(h, (const uint8_t *)GET, strlen(GET), &used);
	memset(line, 'b', size);
	memcpy(line, "a:", 2);
	memcpy(line + size, "\r\n", 2);
	for (size_t i = 0; i < n && s == HTTP1_MORE; i++)
		s = http1_feed(h, (uint8_t *)line, size + 2, &used);
	if (s == HTTP1_MORE)
		s = http1_feed(h, (const uint8_t *)"\r\n", 2, &used);
	why = http1_why(h);
	if (s == HTTP1_DONE) /* the shortest fields take a byte more in ours */
		http1_head(h, &len);
	http1_free(h);
	return why;
}

static void fields_have_limits_together(void **state)
{
	(void)state;
	assert_int_equal(fields(HEAD_FIELDS_MAX - 1, 2), REASON_DONE);
	assert_int_equal(fields(HEAD_FIELDS_MAX, 2), REASON_TOO_LARGE);
	assert_int_equal(fields(3, HEAD_FIELD_MAX), REASON_DONE);
	assert_int_equal(fields(4, HEAD_FIELD_MAX), REASON_TOO_LARGE);
}

static void what_is_for_the_proxy_is_told_apart(void **state)
{
	static const struct {
		const char *line;
		enum http1_kind kind;
	} t[] = {
		{"GET /proxy.pac", HTTP1_LOCAL},
		{"POST /", HTTP1_LOCAL},
		{"OPTIONS *", HTTP1_LOCAL},
		{"OPTIONS http://h/", HTTP1_LOCAL},
		{"TRACE http://h/", HTTP1_LOCAL},
		{"GET http://h/", HTTP1_FORWARD},
		{"CONNECT h:1", HTTP1_CONNECT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct http1 *h = http1_new(false);
		char text[128];
		size_t used;

		snprintf(text, sizeof(text),
			 "%s HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n",
			 t[i].line);
		assert_int_equal(
			http1_feed(h, (uint8_t *)text, strlen(text), &used),
			HTTP1_DONE);
		assert_int_equal(http1_kind(h), t[i].kind);
		http1_free(h);
	}
}

#define AUTH "Proxy-Authorization: "

/* RFC 7617, however the head is cut. */
static void basic_credentials_are_handed_out(void **state)
{
	static const struct {
		const char *field, *user, *password; /* NULL: refused */
	} t[] = {
		{AUTH "Basic bWU6cDp3\r\n", "me", "p:w"},
		{AUTH "bAsIc   bWU6cDp3  \r\n", "me", "p:w"},
		{AUTH "Basic bWU6\r\n", "me", ""},
		{AUTH "Basic Ong=\r\n", "", "x"},
		{AUTH "Basic eA==\r\n" AUTH "Basic bWU6cDp3\r\n", "me", "p:w"},
		{"", NULL, NULL},
		{AUTH "Basic\r\n", NULL, NULL},
		{AUTH "Basic =\r\n", NULL, NULL},
		{AUTH "Basic bWU=\r\n", NULL, NULL},
		{AUTH "Basic bWU6cABx\r\n", NULL, NULL},
		{AUTH "Bearer bWU6cDp3\r\n", NULL, NULL},
		{AUTH "Basic bWU6cDp3\r\n" AUTH "Digest x\r\n", NULL, NULL},
	};
	const char *user, *password;
	char head[256];
	size_t used, more;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		size_t n = (size_t)snprintf(head, sizeof(head),
					    "CONNECT h:1 HTTP/1.1\r\n"
					    "Host: h\r\n%s\r\n+",
					    t[i].field);

		for (size_t at = 0; at < n - 1; at++) {
			struct http1 *h = http1_new(true);
			const uint8_t *p = (const uint8_t *)head;

			assert_int_equal(http1_feed(h, p, at, &used),
					 HTTP1_MORE);
			assert_int_equal(http1_feed(h, p + at, n - at, &more),
					 t[i].user ? HTTP1_AUTH : HTTP1_FAILED);
			assert_int_equal(at + more, n - 1);
			if (t[i].user) {
				http1_credentials(h, &user, &password);
				assert_string_equal(user, t[i].user);
				assert_string_equal(password, t[i].password);
				http1_admit(h);
				assert_int_equal(http1_target(h)->port, 1);
			} else {
				assert_int_equal(http1_why(h),
						 REASON_PROXY_AUTH);
			}
			http1_free(h);
		}
	}
}

static void long_credentials_are_refused_not_overrun(void **state)
{
	static char head[4096];
	size_t used;

	(void)state;
	/* "me:" and then "mmm..." */
	for (size_t n = 600; n < 800; n += 4) {
		struct http1 *h = http1_new(true);
		size_t len = (size_t)sprintf(
			head, "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n" AUTH
			      "Basic bWU6");
		bool fits = 3 + n / 4 * 3 <= 511;

		for (size_t i = 0; i < n; i += 4)
			len += (size_t)sprintf(head + len, "bW1t");
		strcpy(head + len, "\r\n\r\n");
		assert_int_equal(http1_feed(h, (const uint8_t *)head,
					    strlen(head), &used),
				 fits ? HTTP1_AUTH : HTTP1_FAILED);
		http1_free(h);
	}
}

static int setup(void **state)
{
	(void)state;
	bufpool_init(&pool);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bufpool_done(&pool);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_become_what_the_origin_needs),
		cmocka_unit_test(what_is_ambiguous_is_refused),
		cmocka_unit_test(chunks_that_are_malformed_break_the_request),
		cmocka_unit_test(a_head_has_limits),
		cmocka_unit_test(fields_have_limits_together),
		cmocka_unit_test(what_is_for_the_proxy_is_told_apart),
		cmocka_unit_test(basic_credentials_are_handed_out),
		cmocka_unit_test(long_credentials_are_refused_not_overrun),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
