/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/site.h"
#include "test/lib/fence.h"

#define H "Host: h\r\n"

static enum site_state feed(struct site *s, const char *p, size_t n,
			    size_t *used)
{
	uint8_t *copy = fence_copy(p, n);
	enum site_state state = site_feed(s, copy, n, used);

	fence_free(copy, n);
	return state;
}

/* The request of a text with 3 bytes behind it, cut at every place. */
static void each_cut(const char *text,
		     void (*look)(const struct site_request *, const void *),
		     const void *want)
{
	size_t n = strlen(text), used, before;

	for (size_t at = 0; at <= n; at++) {
		struct site *s = site_new();
		enum site_state state = feed(s, text, at, &used);

		before = 0;
		if (state == SITE_MORE) {
			assert_int_equal(used, at);
			before = at;
			state = feed(s, text + at, n - at, &used);
		}
		assert_int_equal(state, SITE_DONE);
		look(site_request(s), want);
		if (!site_request(s)->close)
			assert_int_equal(before + used, n - 3);
		site_free(s);
	}
}

struct want {
	const char *text;
	int status;
	bool close;
	const char *path;
};

static void look(const struct site_request *r, const void *ctx)
{
	const struct want *w = ctx;

	assert_int_equal(r->status, w->status);
	assert_int_equal(r->close, w->close);
	if (w->path)
		assert_string_equal(r->path, w->path);
}

static void requests_are_understood(void **state)
{
	static const struct want t[] = {
		{"GET / HTTP/1.1\r\n" H "\r\nxyz", 200, false, ""},
		{"GET /a/b%2ehtml?q#f HTTP/1.1\r\n" H "\r\nxyz", 200, false,
		 "a/b.html"},
		{"HEAD /a/ HTTP/1.1\r\n" H "\r\nxyz", 200, false, "a/"},
		{"GET http://x/a HTTP/1.1\r\n" H "\r\nxyz", 200, false, "a"},
		{"GET /a HTTP/1.1\r\n" H "Connection: x, Close\r\n\r\nxyz", 200,
		 true, "a"},
		{"GET /a HTTP/1.0\r\n\r\nxyz", 200, true, "a"},
		{"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nxyz", 200,
		 false, "a"},
		{"GET / HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: "
		 "Upgrade\r\n\r\nxyz",
		 200, false, ""},
		{"GET / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nxyz", 200,
		 true, ""},
		{"POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nxyz", 405,
		 true, NULL},
		{"DELETE / HTTP/1.1\r\n" H "\r\nxyz", 405, false, NULL},
		{"OPTIONS * HTTP/1.1\r\n" H "\r\nxyz", 405, false, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		each_cut(t[i].text, look, &t[i]);
}

static void bad_requests_are_refused_and_the_last(void **state)
{
	static const struct want t[] = {
		{"GET / HTTP/1.1\r\n\r\nxyz", 400, true, NULL},
		{"GET / HTTP/1.1\r\n" H H "\r\nxyz", 400, true, NULL},
		{"GET / HTTP/2.0\r\n" H "\r\nxyz", 505, true, NULL},
		{"GET /\r\n\r\nxyz", 400, true, NULL},
		{"GET / HTTP/1.1\r\nX : y\r\n\r\nxyz", 400, true, NULL},
		{"\x16\x03\x01\x02xyz", 400, true, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		each_cut(t[i].text, look, &t[i]);
}

static void paths_stay_below_the_root(void **state)
{
	static const struct {
		const char *target;
		int status;
	} t[] = {
		{"/..", 404},       {"/../etc", 404},     {"/a/../../b", 404},
		{"/%2e%2e/b", 404}, {"/a%2f..%2fb", 404}, {"/.git/config", 404},
		{"/a/.b", 404},     {"/.", 404},          {"//host/", 404},
		{"/a//b", 404},     {"/%00", 400},        {"/%zz", 400},
		{"/a.b/c", 200},    {"/a..b", 200},       {"/a%20b", 200},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct site *s = site_new();
		char text[200];
		size_t n, used;

		n = (size_t)snprintf(text, sizeof(text),
				     "GET %s HTTP/1.1\r\n" H "\r\n",
				     t[i].target);
		assert_int_equal(feed(s, text, n, &used), SITE_DONE);
		assert_int_equal(site_request(s)->status, t[i].status);
		site_free(s);
	}
}

static void one_request_follows_the_other(void **state)
{
	static const char text[] =
		"GET /a HTTP/1.1\r\n" H "If-Modified-Since: Sun, 06 Nov 1994 "
		"08:49:37 GMT\r\n\r\n"
		"HEAD /b HTTP/1.1\r\n" H "If-Modified-Since: x\r\n\r\n";
	struct site *s = site_new();
	size_t used, more;

	(void)state;
	assert_int_equal(feed(s, text, sizeof(text) - 1, &used), SITE_DONE);
	assert_string_equal(site_request(s)->path, "a");
	assert_int_equal(site_request(s)->since, 784111777);
	assert_int_equal(feed(s, text + used, sizeof(text) - 1 - used, &more),
			 SITE_DONE);
	assert_string_equal(site_request(s)->path, "b");
	assert_true(site_request(s)->head);
	assert_int_equal(site_request(s)->since, SITE_NEVER);
	assert_int_equal(used + more, sizeof(text) - 1);
	site_free(s);
}

static void what_does_not_end_is_too_large(void **state)
{
	struct site *s = site_new();
	size_t used, n = 0;

	(void)state;
	feed(s, "GET / HTTP/1.1\r\nX: ", 19, &used);
	while (n++ < 20000 && feed(s, "a", 1, &used) == SITE_MORE)
		continue;
	assert_true(n <= SITE_HEAD_MAX);
	assert_int_equal(site_request(s)->status, 431);
	site_free(s);
}

static void answers_are_whole(void **state)
{
	char out[SITE_OUT_MAX];
	struct site_answer a = {.status = 200,
				.type = "text/css",
				.length = 5,
				.modified = 784111777,
				.now = 0};

	(void)state;
	out[site_write(out, &a)] = 0;
	assert_string_equal(out,
			    "HTTP/1.1 200 OK\r\n"
			    "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
			    "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
			    "Content-Type: text/css\r\nContent-Length: 5\r\n"
			    "Connection: keep-alive\r\n\r\n");
	a.status = 304;
	a.close = true;
	out[site_write(out, &a)] = 0;
	assert_null(strstr(out, "Content"));
	assert_non_null(strstr(out, "Connection: close\r\n\r\n"));
	a.status = 301;
	a.target = "/a";
	out[site_write(out, &a)] = 0;
	assert_non_null(strstr(out, "\r\nLocation: /a/\r\n"));
	assert_string_equal(out + strlen(out) - 9, "</html>\r\n");
	a.head = true;
	out[site_write(out, &a)] = 0;
	assert_string_equal(out + strlen(out) - 4, "\r\n\r\n");
}

static void what_went_wrong_is_said(void **state)
{
	struct site_answer a = {.status = 500, .head = true, .close = true};
	char out[SITE_OUT_MAX];

	(void)state;
	out[site_write(out, &a)] = 0;
	assert_non_null(strstr(out, "HTTP/1.1 500 Internal Server Error\r\n"));
	a.status = 505;
	out[site_write(out, &a)] = 0;
	assert_non_null(strstr(out, "505 HTTP Version Not Supported\r\n"));
}

static void types_go_by_the_end_of_the_name(void **state)
{
	(void)state;
	assert_string_equal(site_type("a/b.HTML"), "text/html");
	assert_string_equal(site_type("a.tar.gz"), "application/gzip");
	assert_string_equal(site_type("a.html/b"), "application/octet-stream");
	assert_string_equal(site_type("a.zz"), "application/octet-stream");
	assert_string_equal(site_type("a"), "application/octet-stream");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_understood),
		cmocka_unit_test(bad_requests_are_refused_and_the_last),
		cmocka_unit_test(paths_stay_below_the_root),
		cmocka_unit_test(one_request_follows_the_other),
		cmocka_unit_test(what_does_not_end_is_too_large),
		cmocka_unit_test(answers_are_whole),
		cmocka_unit_test(what_went_wrong_is_said),
		cmocka_unit_test(types_go_by_the_end_of_the_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
