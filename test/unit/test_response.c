/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/page.h"
#include "proto/response.h"
#include "test/lib/fence.h"

static struct bufpool pool;

static struct http1 *request(const char *line, const char *fields)
{
	struct http1 *h = http1_new(false);
	char text[256];
	size_t used;

	snprintf(text, sizeof(text), "%s\r\nHost: h\r\n%s\r\n", line, fields);
	assert_int_equal(http1_feed(h, (uint8_t *)text, strlen(text), &used),
			 HTTP1_DONE);
	return h;
}

static void take_body(struct response *r, const uint8_t *p, size_t n, char *out,
		      size_t *rest)
{
	struct bufq in, passed;
	struct buf *b;

	bufq_init(&in);
	bufq_init(&passed);
	if (n)
		bufq_put(&in, buf_copy(&pool, p, n));
	assert_true(body_pass(response_body(r), &in, &passed, &pool));
	*rest += in.bytes;
	while ((b = bufq_get(&passed))) {
		strncat(out, (char *)buf_ptr(b), b->len);
		buf_free(b);
	}
	bufq_clear(&in);
}

/* n bytes from the origin: heads and body go to out. */
static enum http1_state feed(struct response *r, const uint8_t *p, size_t n,
			     char *out, size_t *rest)
{
	enum http1_state s = HTTP1_MORE;
	const uint8_t *head;
	size_t used, len;

	while (n && !response_is_final(r)) {
		s = response_feed(r, p, n, &used);
		p += used;
		n -= used;
		if (s == HTTP1_FAILED)
			return s;
		if (s != HTTP1_DONE)
			continue;
		head = response_head(r, &len);
		strncat(out, (const char *)head, len);
	}
	if (response_is_upgrade(r))
		*rest += n;
	else if (response_is_final(r))
		take_body(r, p, n, out, rest);
	return s;
}

/* What an answer becomes: "HEADS AND BODY|REST|ok keep", or why not. */
static void run(struct http1 *h, const char *text, size_t at, char out[4096])
{
	struct response *r = response_new(h, false);
	size_t n = strlen(text), rest = 0;
	uint8_t *a = fence_copy(text, at), *b = fence_copy(text + at, n - at);
	char *end;

	*out = 0;
	if (feed(r, a, at, out, &rest) == HTTP1_FAILED ||
	    feed(r, b, n - at, out, &rest) == HTTP1_FAILED) {
		strcpy(out, reason_text(response_why(r)));
	} else {
		end = out + strlen(out);
		sprintf(end, "|%zu|%s%s%s%s", rest,
			response_body(r)->broken ? "broken" : "",
			response_eof(r) ? "whole" : "cut",
			response_keeps_origin(r) ? " origin" : "",
			response_keeps_client(r) ? " client" : "");
	}
	fence_free(a, at);
	fence_free(b, n - at);
	response_free(r);
}

#define V    "Via: 1.1 wsp\r\n"
#define V0   "Via: 1.0 wsp\r\n"
#define SHUT "Connection: close\r\n"
#define CL2  "Content-Length: 2\r\n"
#define TE   "Transfer-Encoding: chunked\r\n"
#define OK   "HTTP/1.1 200 OK\r\n"
#define GET  "GET http://h/ HTTP/1.1"
#define GET0 "GET http://h/ HTTP/1.0"
#define HEAD "HEAD http://h/ HTTP/1.1"
#define KEPT "whole origin client"

static const struct {
	const char *line, *in, *out;
} answers[] = {
	{GET, OK CL2 "\r\nabX", OK V CL2 "\r\nab|1|" KEPT},
	{GET, OK CL2 "\r\na", OK V CL2 "\r\na|0|cut client"},
	{GET, OK TE "\r\n1;x\r\na\r\n0\r\nT:u\r\nHost: x\r\n\r\nX",
	 OK V TE "\r\n1\r\na\r\n0\r\nT: u\r\n\r\n|1|" KEPT},
	{GET, OK TE "\r\n1\na", "broken"},
	{GET0, OK TE "\r\n3;x\r\nabc\r\n0\r\nT:u\r\n\r\nX",
	 OK V SHUT "\r\nabc|1|whole origin"},
	{GET, OK "\r\nall", OK V SHUT "\r\nall|0|whole"},
	{GET, "HTTP/1.0 200\r\n" CL2 "\r\nab",
	 "HTTP/1.1 200 \r\n" V0 CL2 "\r\nab|0|whole client"},
	{GET, OK CL2 SHUT "\r\nab", OK V CL2 "\r\nab|0|whole client"},
	{"GET http://h/ HTTP/1.1\r\n"
	 "Connection: close",
	 OK CL2 "\r\nab", OK V CL2 SHUT "\r\nab|0|whole origin"},
	{HEAD, OK CL2 "\r\nX", OK V CL2 "\r\n|1|" KEPT},
	{HEAD, OK TE "\r\n", OK V "\r\n|0|" KEPT},
	{GET, "HTTP/1.1 304 No\r\n" CL2 "\r\n",
	 "HTTP/1.1 304 No\r\n" V CL2 "\r\n|0|" KEPT},
	{GET, "HTTP/1.1 204 No\r\n" CL2 "\r\n",
	 "HTTP/1.1 204 No\r\n" V "\r\n|0|" KEPT},
	{GET, "HTTP/1.1 103 Early\r\nLink: a\r\n\r\n" OK CL2 "\r\nab",
	 "HTTP/1.1 103 Early\r\nLink: a\r\n" V "\r\n" OK V CL2
	 "\r\nab|0|" KEPT},
	{GET0, "HTTP/1.1 103 Early\r\nLink: a\r\n\r\n" OK CL2 "\r\nab",
	 OK V CL2 SHUT "\r\nab|0|whole origin"},
	/* hop by hop */
	{GET,
	 OK CL2 "Keep-Alive: a\r\nX: y\r\nConnection: x, Z\r\nZ: z\r\n"
		"Proxy-Authenticate: a\r\nProxy-Status: b\r\nY: y\r\n\r\nab",
	 OK "Proxy-Status: b\r\nY: y\r\n" V CL2 "\r\nab|0|" KEPT},
	/* as they are found */
	{GET, "HTTP/1.1 200 OK\nContent-Length: 2\nA : b\n c\nno field\n\nab",
	 OK "A: b   c\r\n" V CL2 "\r\nab|0|" KEPT},
	{GET, OK "Content-Length: 2, 2\r\n" CL2 "\r\nab",
	 OK V CL2 "\r\nab|0|" KEPT},
	{GET, OK CL2 TE "\r\n0\r\n\r\n",
	 OK V TE "\r\n0\r\n\r\n|0|whole client"},
	/* not at all */
	{GET, OK CL2 "Content-Length: 3\r\n\r\nab", NULL},
	{GET, OK "Content-Length: x\r\n\r\n", NULL},
	{GET, OK "Transfer-Encoding: gzip, chunked\r\n\r\n", NULL},
	{GET, OK TE TE "\r\n", NULL},
	{GET, "HTTP/1.0 200 OK\r\n" TE "\r\n", NULL},
	{GET, "HTTP/1.1 101 Yes\r\nUpgrade: x\r\n\r\n", NULL},
	{GET, "HTTP/2.0 200 OK\r\n\r\n", NULL},
	{GET, "HTTP/1.1 20 OK\r\n\r\n", NULL},
	{GET, "HTTP/1.1 2000 OK\r\n\r\n", NULL},
	{GET, "nothing that is HTTP\r\n\r\n", NULL},
	{GET, OK "A: b\x01\r\n\r\n", NULL},
	{GET, OK "A: b\rc\r\n\r\n", NULL},
};

/* However they are cut. */
static void answers_become_what_the_client_needs(void **state)
{
	char out[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		const char *want = answers[i].out;

		for (size_t at = 0; at <= strlen(answers[i].in); at++) {
			struct http1 *h = request(answers[i].line, "");

			run(h, answers[i].in, at, out);
			http1_free(h);
			if (!want)
				want = reason_text(REASON_BAD_ANSWER);
			if (strcmp(want, "broken") == 0)
				assert_non_null(strstr(out, want));
			else
				assert_string_equal(out, want);
		}
	}
}

static void an_upgrade_is_the_origins_to_grant(void **state)
{
	static const char ask[] = "Upgrade: x\r\nConnection: Upgrade\r\n";
	struct http1 *h = request(GET, ask);
	char out[4096];

	(void)state;
	run(h, "HTTP/1.1 101 Yes\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nX",
	    3, out);
	assert_non_null(strstr(out, "HTTP/1.1 101 Yes\r\nUpgrade: x\r\n" V
				    "Connection: Upgrade\r\n\r\n|1|"));
	run(h, OK CL2 "\r\nab", 3, out);
	assert_string_equal(out, OK V CL2 "\r\nab|0|" KEPT);
	http1_free(h);
}

static void pages_are_whole(void **state)
{
	char out[PAGE_MAX], *page;
	struct http1 *h = request("GET /proxy.pac HTTP/1.1", "");
	size_t n;

	(void)state;
	out[page_established(out)] = 0;
	assert_string_equal(out, "HTTP/1.1 200 Connection established\r\n\r\n");
	out[page_refusal(out, REASON_TIMED_OUT, false)] = 0;
	assert_non_null(strstr(out, "HTTP/1.1 504 Gateway Timeout\r\n"));
	assert_non_null(strstr(out, "\r\nProxy-Status: wsp; "
				    "error=connection_timeout; details="));
	assert_non_null(strstr(out, "\r\n\r\nwsp: timed out\n"));
	out[page_refusal(out, REASON_TIMED_OUT, true)] = 0;
	assert_non_null(strstr(out, "\r\nContent-Length: 15\r\n"));
	assert_string_equal(strstr(out, "\r\n\r\n"), "\r\n\r\n");
	for (int r = 0; r < REASON_COUNT; r++)
		assert_true(page_refusal(out, (enum reason)r, false) <
			    PAGE_MAX);
	page = page_local(h, "192.0.2.1:8080", &n);
	assert_non_null(memmem(page, n, "PROXY 192.0.2.1:8080", 20));
	free(page);
	http1_free(h);
}

/* RFC 9110 section 9.3.8: no secrets. */
static void a_trace_shows_the_request(void **state)
{
	static const char line[] = "TRACE http://h/ HTTP/1.1";
	struct http1 *h = request(
		line,
		"Max-Forwards: 0\r\nCookie: secret\r\nX: y\r\n"
		"Proxy-Authorization: secret\r\nAuthorization: secret\r\n");
	size_t n;
	char *page = page_local(h, "", &n);

	(void)state;
	assert_non_null(memmem(page, n, line, strlen(line)));
	assert_non_null(memmem(page, n, "\r\nX: y\r\n", 8));
	assert_null(memmem(page, n, "secret", 6));
	free(page);
	http1_free(h);
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
		cmocka_unit_test(answers_become_what_the_client_needs),
		cmocka_unit_test(an_upgrade_is_the_origins_to_grant),
		cmocka_unit_test(pages_are_whole),
		cmocka_unit_test(a_trace_shows_the_request),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
