/* SPDX-License-Identifier: MIT */
/* Whatever bytes come in: no line ends in a head or in the log but where we
 * end it, and no control character gets out. (Heads that the HTTP proxy passes
 * on are fuzz_http1's and fuzz_response's: the same holds there.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/log.h"
#include "proto/addr.h"
#include "proto/site.h"
#include "proto/upgrade.h"
#include "proto/upstream.h"
#include "test/lib/capture.h"

#define TIMES 20000

static uint64_t state_ = 88172645463325252u;

/* xorshift64* */
static uint32_t below(uint32_t n)
{
	state_ ^= state_ >> 12;
	state_ ^= state_ << 25;
	state_ ^= state_ >> 27;
	return (uint32_t)((state_ * 2685821657736338717u) >> 33) % n;
}

/* Text that tries: pieces that end lines in one notation or another, among
 * those that are good. */
static char *some_text(char *out, size_t size)
{
	static const char *const pieces[] = {"\r\nX: y\r\n",
					     "\r",
					     "\n",
					     "\r\n\r\n",
					     "%0d%0aX:%20y",
					     "%0D%0A%0d%0a",
					     "%00",
					     "\\r\\n",
					     "\xe5\x98\x8a\xe5\x98\x8d",
					     "\xc2\x85",
					     "\x1b[2J",
					     "\x7f",
					     "\x0b",
					     "a",
					     "b",
					     "/",
					     ".",
					     "example",
					     ":",
					     "80",
					     "@",
					     "%61",
					     " ",
					     "http://",
					     "[::1]",
					     "?"};
	uint32_t n = 1 + below(8);
	size_t at = 0;

	out[0] = 0;
	for (uint32_t i = 0; i < n; i++) {
		const char *p =
			pieces[below(sizeof(pieces) / sizeof(pieces[0]))];

		at += (size_t)snprintf(out + at, size - at, "%s", p);
		assert_true(at < size);
		if (below(6) == 0) { /* any byte but 0 */
			out[at++] = (char)(1 + below(255));
			out[at] = 0;
		}
	}
	return out;
}

/* A head: lines of visible text, then an empty one, then nothing. */
static void check_head(const char *p, size_t n)
{
	assert_true(n > 4);
	assert_memory_equal(p + n - 4, "\r\n\r\n", 4);
	assert_ptr_equal(memmem(p, n, "\r\n\r\n", 4), p + n - 4);
	assert_null(memmem(p, n, "\r\nX: y\r\n", 8));
	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)p[i];

		if (c == '\r')
			assert_int_equal(p[i + 1], '\n');
		else if (c == '\n')
			assert_true(i && p[i - 1] == '\r');
		else
			assert_true(c >= ' ' && c != 0x7f);
	}
}

static void in_no_request_for_a_tunnel(void **state)
{
	static const uint8_t nonce[UPGRADE_NONCE];
	char host[600], path[600], token[600], head[UPGRADE_OUT_MAX];
	unsigned int good = 0;

	(void)state;
	for (int i = 0; i < TIMES; i++) {
		struct upgrade_ask ask = {
			.host = some_text(host, sizeof(host)),
			.path = some_text(path, sizeof(path)),
			.token = some_text(token, sizeof(token))};
		size_t n;

		if (below(2)) /* one of them at a time is seen too */
			ask.host = "h";
		if (below(2))
			ask.path = "/";
		n = upgrade_write_request(head, &ask, nonce);
		if (n)
			check_head(head, n);
		good += n > 0;
	}
	assert_true(good > TIMES / 100);
}

static void in_no_field_of_the_user(void **state)
{
	char text[600];

	(void)state;
	for (int i = 0; i < TIMES; i++) {
		if (!upgrade_field_is_good(some_text(text, sizeof(text))))
			continue;
		for (const char *p = text; *p; p++)
			assert_true(*p >= ' ' && *p < 0x7f);
	}
}

static void in_no_request_to_a_proxy(void **state)
{
	char text[600], url[700];
	uint8_t out[UPSTREAM_OUT_MAX];
	unsigned int good = 0;

	(void)state;
	for (int i = 0; i < TIMES; i++) {
		struct proxy_url proxy;
		struct addr target;
		struct upstream *u;

		some_text(text, sizeof(text));
		if (target_parse(text, strlen(text), &target) != ADDR_OK)
			target = (struct addr){.host = "h", .port = 1};
		snprintf(url, sizeof(url), "http://%s@h:1", text);
		if (proxy_url_parse(url, &proxy) != ADDR_OK)
			continue;
		u = upstream_new(&proxy, &target);
		check_head((char *)out, upstream_begin(u, out));
		upstream_free(u);
		good++;
	}
	assert_true(good > TIMES / 100);
}

static void in_no_answer_of_the_site(void **state)
{
	char text[600], request[800], out[SITE_OUT_MAX + 1];
	size_t used, n;

	(void)state;
	for (int i = 0; i < TIMES; i++) {
		struct site *s = site_new();
		struct site_answer a = {.status = 301, .head = true};

		snprintf(request, sizeof(request),
			 "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n",
			 some_text(text, sizeof(text)));
		if (site_feed(s, (uint8_t *)request, strlen(request), &used) ==
		    SITE_DONE) {
			a.target = site_request(s)->target;
			if (site_request(s)->status == 400)
				a.status = 400;
			n = site_write(out, &a);
			check_head(out, n);
		}
		site_free(s);
	}
}

static void in_no_line_of_the_log(void **state)
{
	char text[600], who[600], out[16384];
	size_t n;

	(void)state;
	for (int i = 0; i < TIMES / 10; i++) {
		log_setup(LOG_INFO, i % 2);
		some_text(text, sizeof(text));
		some_text(who, sizeof(who));
		capture_begin();
		log_write(LOG_WARN, who, "%s", text);
		capture_end(out, sizeof(out));
		n = strlen(out);
		assert_true(n > 0 && out[n - 1] == '\n');
		for (size_t k = 0; k < n - 1; k++)
			assert_true((uint8_t)out[k] >= ' ' && out[k] != 0x7f);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_no_request_for_a_tunnel),
		cmocka_unit_test(in_no_field_of_the_user),
		cmocka_unit_test(in_no_request_to_a_proxy),
		cmocka_unit_test(in_no_answer_of_the_site),
		cmocka_unit_test(in_no_line_of_the_log),
	};

	return cmocka_run_group_tests_name("inject", tests, NULL, NULL);
}
