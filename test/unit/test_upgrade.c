/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/token.h"
#include "proto/upgrade.h"
#include "test/lib/fence.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ==" /* RFC 6455 section 1.3 */
#define HEAD                                                         \
	"Host: h:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " KEY "\r\n"
#define GOOD "GET /p HTTP/1.1\r\n" HEAD "Auth: t\r\nProto: 0.10\r\n"

static const uint8_t nonce[UPGRADE_NONCE] = "the sample nonce";

/* Feed the text cut at one place. *rest: bytes behind the head. */
static enum upgrade_state feed(struct upgrade *u, const char *text, size_t at,
			       size_t *rest)
{
	size_t n = strlen(text), used;
	uint8_t *a = fence_copy(text, at), *b = fence_copy(text + at, n - at);
	enum upgrade_state s = upgrade_feed(u, a, at, &used);

	*rest = n - used;
	if (s == UPGRADE_MORE) {
		s = upgrade_feed(u, b, n - at, &used);
		*rest = n - at - used;
	}
	fence_free(a, at);
	fence_free(b, n - at);
	return s;
}

static void a_request_cut_anywhere_is_the_same_request(void **state)
{
	static const char text[] =
		"GET /a%2fb?q HTTP/1.1\r\n" HEAD
		"Auth: secret \r\nproto: 0.10\r\n"
		"Wsp: 1; window=16384; new=x; message=65536\r\n\r\n\x82\x80";
	char out[UPGRADE_OUT_MAX];
	struct upgrade_wsp wsp = {.window = 1, .message = 1024};

	(void)state;
	for (size_t at = 0; at < sizeof(text); at++) {
		struct upgrade *u = upgrade_new_server();
		const struct upgrade_request *r;
		size_t rest;

		assert_int_equal(feed(u, text, at, &rest), UPGRADE_DONE);
		assert_int_equal(rest, 2);
		r = upgrade_request(u);
		assert_string_equal(r->path, "/a/b");
		assert_string_equal(r->token, "secret");
		assert_true(r->proto_ok && r->negotiated && !r->has_origin);
		assert_int_equal(r->wsp.window, 16384);
		assert_int_equal(r->wsp.message, 65536);
		out[upgrade_write_response(out, u, &wsp)] = 0;
		assert_string_equal(
			out,
			"HTTP/1.1 101 Switching Protocols\r\n"
			"Upgrade: websocket\r\nConnection: Upgrade\r\n"
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
			"\r\nWsp: 1; window=1; message=1024\r\n\r\n");
		upgrade_free(u);
	}
}

static void bad_requests_have_their_reason(void **state)
{
	static const struct {
		const char *text;
		enum reason why;
	} t[] = {
		{"POST / HTTP/1.1\r\n" HEAD "\r\n", REASON_BAD_METHOD},
		{"GET / HTTP/1.0\r\n" HEAD "\r\n", REASON_BAD_REQUEST},
		{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", REASON_BAD_REQUEST},
		{"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: "
		 "upgrade\r\nSec-WebSocket-Version: "
		 "13\r\nSec-WebSocket-Key: " KEY "\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"GET / HTTP/1.1\r\n" HEAD "Host: again\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"GET / HTTP/1.1\r\n" HEAD "Sec-WebSocket-Key: " KEY "\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"GET / HTTP/1.1\r\n" HEAD "Sec-WebSocket-Version: 13\r\n\r\n",
		 REASON_BAD_VERSION},
		{"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
		 "Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
		 "Sec-WebSocket-Key: " KEY "\r\n\r\n",
		 REASON_BAD_VERSION},
		{"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
		 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		 "Sec-WebSocket-Key: short\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"GET /%00 HTTP/1.1\r\n" HEAD "\r\n", REASON_BAD_REQUEST},
		{"GET /%zz HTTP/1.1\r\n" HEAD "\r\n", REASON_BAD_REQUEST},
		{"GET / HTTP/1.1\r\n" HEAD "Content-Length: 5\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"GET / HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n",
		 REASON_BAD_REQUEST},
		{"\x16\x03\x01", REASON_BAD_REQUEST},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct upgrade *u = upgrade_new_server();
		size_t rest;

		assert_int_equal(feed(u, t[i].text, 0, &rest), UPGRADE_FAILED);
		assert_int_equal(upgrade_why(u), t[i].why);
		upgrade_free(u);
	}
}

static void lists_and_cases_are_understood(void **state)
{
	struct upgrade *u = upgrade_new_server();
	size_t rest;

	(void)state;
	assert_int_equal(
		feed(u,
		     "GET / HTTP/1.1\r\nhost: h\r\nUPGRADE: h2c, WebSocket\r\n"
		     "connection: keep-alive\r\nConnection: x , uPGRADE\r\n"
		     "sec-websocket-version:13\r\nsec-websocket-key:  " KEY
		     "  \r\nOrigin: null\r\n\r\n",
		     0, &rest),
		UPGRADE_DONE);
	assert_true(upgrade_request(u)->has_origin);
	assert_true(upgrade_request(u)->proto_ok); /* gowsp before 0.4 */
	assert_string_equal(upgrade_request(u)->token, "");
	upgrade_free(u);
}

static void whom_a_proxy_speaks_for(void **state)
{
	static const struct {
		const char *fields, *out;
		size_t many; /* bytes that are put into the gap */
	} t[] = {
		{"", "", 0},
		{"X-Forwarded-For: 192.0.2.1, evil \r\n", "192.0.2.1, evil", 0},
		{"x-forwarded-for: a\r\nA: b\r\nX-FORWARDED-FOR: b, c\r\n",
		 "a,b, c", 0},
		{"X-Forwarded-For: %*s\r\n", "", 1024},
		{"X-Forwarded-For: %*s\r\nX-Forwarded-For: c\r\n", "c", 1024},
		{"X-Forwarded-For: %*s\r\nX-Forwarded-For: c\r\n", "c", 1022},
		{"X-Forwarded-For: c\r\nX-Forwarded-For: %*s\r\n", "", 1024},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct upgrade *u = upgrade_new_server();
		const char *gap = strstr(t[i].fields, "%*s");
		char text[4096];
		size_t rest, n, head = gap ? (size_t)(gap - t[i].fields) : 0;

		n = (size_t)snprintf(text, sizeof(text), "%s%.*s",
				     "GET / HTTP/1.1\r\n" HEAD, (int)head,
				     t[i].fields);
		memset(text + n, 'x', t[i].many);
		n += t[i].many;
		snprintf(text + n, sizeof(text) - n, "%s\r\n",
			 t[i].fields + head + (gap ? 3 : 0));
		assert_int_equal(feed(u, text, n, &rest), UPGRADE_DONE);
		assert_string_equal(upgrade_request(u)->forwarded, t[i].out);
		upgrade_free(u);
	}
}

static void a_malformed_negotiation_counts_as_absent(void **state)
{
	static const char *const bad[] = {
		"",
		"2; window=1; message=1024",
		"1",
		"1; window=1",
		"1; message=1024",
		"1; window=0; message=1024",
		"1; window=1; message=1023",
		"1; window=2147483648; message=1024",
		"1; window=1; message=4294967296",
		"1; window=-1; message=1024",
		"1; window=1x; message=1024",
		"1; window=1; window=1; message=1024",
		"11; window=1; message=1024",
		"1, window=1, message=1024",
	};
	static const char *const good[] = {
		"1;window=1;message=1024",
		"1 ; message=4294967295 ;x;y=z; window=2147483647 ",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]) + 2; i++) {
		struct upgrade *u = upgrade_new_server();
		size_t k = sizeof(bad) / sizeof(bad[0]), rest;
		char text[600];

		snprintf(text, sizeof(text), GOOD "Wsp: %s\r\n\r\n",
			 i < k ? bad[i] : good[i - k]);
		assert_int_equal(feed(u, text, 0, &rest), UPGRADE_DONE);
		assert_int_equal(upgrade_request(u)->negotiated, i >= k);
		upgrade_free(u);
	}
}

static void versions_of_gowsp(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} t[] = {
		{"0.10", true}, {"0.99", true},  {"-0.9", true},
		{"0", true},    {"1.0", false},  {"", false},
		{"x", false},   {"0.1x", false}, {"0.10\r\nProto: 0.10", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct upgrade *u = upgrade_new_server();
		char text[600];
		size_t rest;

		snprintf(text, sizeof(text),
			 "GET / HTTP/1.1\r\n" HEAD "Proto: %s\r\n\r\n",
			 t[i].text);
		assert_int_equal(feed(u, text, 0, &rest), UPGRADE_DONE);
		assert_int_equal(upgrade_request(u)->proto_ok, t[i].good);
		upgrade_free(u);
	}
}

static void a_head_that_never_ends_is_too_large(void **state)
{
	struct upgrade *u = upgrade_new_server();
	enum upgrade_state s = UPGRADE_MORE;
	size_t n = 0, used;

	(void)state;
	upgrade_feed(u, (const uint8_t *)"GET / HTTP/1.1\r\nA: ", 19, &used);
	while (s == UPGRADE_MORE && n++ < 20000)
		s = upgrade_feed(u, (const uint8_t *)"a", 1, &used);
	assert_int_equal(s, UPGRADE_FAILED);
	assert_int_equal(upgrade_why(u), REASON_TOO_LARGE);
	assert_true(n <= UPGRADE_HEAD_MAX);
	upgrade_free(u);
}

/* However the head is cut, and though what follows the path is wrong too. */
static void a_path_that_is_too_long_is_too_large(void **state)
{
	static char head[4096] = "GET /";
	size_t path = UPGRADE_PATH_MAX, n = 5 + path, used;
	static const char tail[] = " HTTP/1.1\r\nHost: a\r\n"
				   "Upgrade: websocket\r\n"
				   "Connection: Upgrade\r\n"
				   "Sec-WebSocket-Version: 13\r\n"
				   "Sec-WebSocket-Key: "
				   "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

	(void)state;
	memset(head + 5, 'a', path);
	memcpy(head + n, tail, sizeof(tail));
	n += sizeof(tail) - 1;
	for (size_t at = 0; at < n; at += 7) {
		struct upgrade *u = upgrade_new_server();
		const uint8_t *p = (const uint8_t *)head;

		assert_int_equal(upgrade_feed(u, p, at, &used), UPGRADE_MORE);
		assert_int_equal(upgrade_feed(u, p + at, n - at, &used),
				 UPGRADE_FAILED);
		assert_int_equal(upgrade_why(u), REASON_TOO_LARGE);
		upgrade_free(u);
	}
}

static void answers_of_servers(void **state)
{
	static const char ok[] =
		"Upgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
	static const struct {
		const char *status, *fields;
		enum reason why; /* DONE: accepted */
	} t[] = {
		{"101 x", "", REASON_DONE},
		{"101 x", "Wsp: 1; window=5; message=2000\r\n", REASON_DONE},
		{"101 x", "Sec-WebSocket-Protocol: a\r\n", REASON_NOT_WSP},
		{"101 x", "Sec-WebSocket-Extensions: a\r\n", REASON_NOT_WSP},
		{"200 x", "", REASON_NOT_WSP},
		{"302 x", "", REASON_NOT_WSP},
		{"404 x", "", REASON_NOT_WSP},
		{"401 x", "", REASON_UNAUTHORIZED},
		{"403 x", "", REASON_UNAUTHORIZED},
		{"407 x", "", REASON_UNAUTHORIZED},
		{"429 x", "", REASON_TUNNEL_DOWN},
		{"503 x", "", REASON_TUNNEL_DOWN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		char text[600];
		size_t n = (size_t)snprintf(text, sizeof(text),
					    "HTTP/1.1 %s\r\n%s%s\r\n",
					    t[i].status, ok, t[i].fields);

		for (size_t at = 0; at <= n; at++) {
			struct upgrade *u = upgrade_new_client(nonce);
			size_t rest;

			assert_int_equal(feed(u, text, at, &rest),
					 t[i].why ? UPGRADE_FAILED
						  : UPGRADE_DONE);
			assert_int_equal(upgrade_why(u), t[i].why);
			/* the user is told what to look at */
			if (t[i].why == REASON_NOT_WSP && !*t[i].fields)
				assert_non_null(strstr(
					upgrade_detail(u),
					"path of the URL and the token"));
			if (i == 1)
				assert_int_equal(upgrade_peer(u)->window, 5);
			else if (i == 0)
				assert_null(upgrade_peer(u));
			upgrade_free(u);
		}
	}
}

static void the_request_is_written_as_gowsp_writes_it(void **state)
{
	struct upgrade_wsp wsp = {.window = 16384, .message = 1048832};
	struct upgrade_ask ask = {
		.host = "h:1", .path = "/p?q", .token = "t", .wsp = &wsp};
	char out[UPGRADE_OUT_MAX];

	(void)state;
	out[upgrade_write_request(out, &ask, nonce)] = 0;
	assert_string_equal(
		out, "GET /p?q HTTP/1.1\r\nHost: h:1\r\nUpgrade: websocket\r\n"
		     "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		     "Sec-WebSocket-Key: " KEY "\r\nAuth: t\r\nProto: 0.10\r\n"
		     "Wsp: 1; window=16384; message=1048832\r\n\r\n");
	ask.token = "a\r\nb";
	assert_int_equal(upgrade_write_request(out, &ask, nonce), 0);
	ask.token = NULL;
	ask.path = "/a b";
	assert_int_equal(upgrade_write_request(out, &ask, nonce), 0);
	ask.path = "/";
	ask.host = "h\n";
	assert_int_equal(upgrade_write_request(out, &ask, nonce), 0);
}

static void refusals_are_whole_answers(void **state)
{
	char out[UPGRADE_OUT_MAX];

	(void)state;
	out[upgrade_write_refusal(out, REASON_UNAUTHORIZED)] = 0;
	assert_non_null(strstr(out, "HTTP/1.1 401 "));
	assert_non_null(strstr(out, "Connection: close\r\n"));
	out[upgrade_write_refusal(out, REASON_BAD_VERSION)] = 0;
	assert_non_null(strstr(out, "HTTP/1.1 426 "));
	assert_non_null(strstr(out, "Sec-WebSocket-Version: 13\r\n"));
	out[upgrade_write_refusal(out, REASON_BAD_METHOD)] = 0;
	assert_non_null(strstr(out, "HTTP/1.1 405 "));
	assert_non_null(strstr(out, "Allow: GET\r\n"));
}

/* What would be two fields, or one that has a meaning already. */
static void fields_are_good_or_not(void **state)
{
	(void)state;
	assert_true(upgrade_field_is_good("X-A: b"));
	assert_true(upgrade_field_is_good("X-A:"));
	assert_false(upgrade_field_is_good("X A: b"));
	assert_false(upgrade_field_is_good(": b"));
	assert_false(upgrade_field_is_good("X"));
	assert_false(upgrade_field_is_good("X: b\r\nY: c"));
	assert_false(upgrade_field_is_good("X: \x80"));
	assert_false(upgrade_field_is_good("host: b"));
	assert_false(upgrade_field_is_good("Sec-WebSocket-Protocol: b"));
}

static void tokens_are_equal_or_not(void **state)
{
	(void)state;
	assert_true(token_equal("a", "a"));
	assert_true(token_equal(NULL, ""));
	assert_false(token_equal("a", "b"));
	assert_false(token_equal("a", "aa"));
	assert_false(token_equal("", "a"));
	assert_false(token_equal(NULL, "a"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_cut_anywhere_is_the_same_request),
		cmocka_unit_test(bad_requests_have_their_reason),
		cmocka_unit_test(lists_and_cases_are_understood),
		cmocka_unit_test(whom_a_proxy_speaks_for),
		cmocka_unit_test(a_malformed_negotiation_counts_as_absent),
		cmocka_unit_test(versions_of_gowsp),
		cmocka_unit_test(a_head_that_never_ends_is_too_large),
		cmocka_unit_test(a_path_that_is_too_long_is_too_large),
		cmocka_unit_test(answers_of_servers),
		cmocka_unit_test(the_request_is_written_as_gowsp_writes_it),
		cmocka_unit_test(refusals_are_whole_answers),
		cmocka_unit_test(fields_are_good_or_not),
		cmocka_unit_test(tokens_are_equal_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
