/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/gate.h"
#include "proto/token.h"
#include "test/lib/fence.h"

#define TOKEN "a token of enough bytes"
#define LINE  "GET /p HTTP/1.1\r\n"
#define HEAD                                                       \
	"Host: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Version: 13\r\n"                            \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define AUTH  "Auth: " TOKEN "\r\n"
#define PROTO "Proto: 0.10\r\n"

static bool on_knows(void *ctx, const char *token)
{
	(void)ctx;
	return token_equal(token, TOKEN);
}

static enum reason on_check(void *ctx, const struct upgrade_request *req)
{
	(void)ctx;
	if (strcmp(req->path, "/p") != 0)
		return REASON_NOT_FOUND;
	if (!token_equal(req->token, TOKEN))
		return REASON_UNAUTHORIZED;
	return req->proto_ok ? REASON_DONE : REASON_BAD_REQUEST;
}

static const struct gate_rule rule = {.knows = on_knows, .check = on_check};

static enum gate_state feed(struct gate *g, const char *p, size_t n)
{
	uint8_t *copy = fence_copy(p, n);
	enum gate_state s = gate_feed(g, copy, n);

	fence_free(copy, n);
	return s;
}

/* The whole text, cut at every place into two; what is safe never shrinks. */
static void expect(const char *text, enum gate_state want)
{
	size_t n = strlen(text);

	for (size_t at = 0; at <= n; at++) {
		struct gate *g = gate_new(&rule);
		enum gate_state s = feed(g, text, at);
		size_t safe = gate_safe(g);

		assert_true(safe <= at);
		if (s == GATE_MORE)
			s = feed(g, text + at, n - at);
		assert_int_equal(s, want);
		assert_true(gate_safe(g) >= safe);
		assert_true(s == GATE_THEIRS || !*gate_why(g));
		gate_free(g);
	}
}

static void a_handshake_with_the_token_is_ours(void **state)
{
	(void)state;
	expect(LINE HEAD AUTH PROTO "\r\n", GATE_OURS);
	expect(LINE AUTH HEAD PROTO "\r\n", GATE_OURS);
	expect(LINE HEAD PROTO "aUTH:" TOKEN "  \r\n\r\n\x82\x80", GATE_OURS);
	expect("GET /%70?q HTTP/1.1\r\n" HEAD AUTH PROTO "\r\n", GATE_OURS);
	/* gowsp before 0.4 */
	expect(LINE HEAD AUTH "\r\n", GATE_OURS);
}

static void anything_else_is_theirs(void **state)
{
	static const char *const t[] = {
		LINE HEAD PROTO "\r\n",
		LINE HEAD "Auth: \r\n" PROTO "\r\n",
		LINE HEAD "Auth: " TOKEN "x\r\n" PROTO "\r\n",
		LINE HEAD "Auth: x\r\n" AUTH PROTO "\r\n",
		LINE AUTH PROTO "\r\n",
		"GET / HTTP/1.1\r\n" HEAD AUTH PROTO "\r\n",
		"POST /p HTTP/1.1\r\n" HEAD AUTH PROTO "\r\n",
		"GET /p HTTP/1.0\r\n" HEAD AUTH PROTO "\r\n",
		LINE HEAD AUTH PROTO "Content-Length: 1\r\n\r\n",
		LINE HEAD AUTH PROTO "Host: again\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"\x16\x03\x01\x02",
		"SSH-2.0-x\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		expect(t[i], GATE_THEIRS);
}

/* All but an Auth field goes to the site at once, at whatever byte we are. */
static void what_cannot_be_the_token_is_never_held(void **state)
{
	static const char text[] = LINE HEAD "A: 1\r\nAu: 2\r\nAuthor: 3\r\n"
					     "X-Auth: 4\r\n";
	struct gate *g = gate_new(&rule);

	(void)state;
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		size_t safe, line = i;

		assert_int_equal(feed(g, text + i, 1), GATE_MORE);
		safe = gate_safe(g);
		while (line && text[line - 1] != '\n')
			line--;
		/* a prefix of "Auth:" waits for the byte that decides */
		if (safe != i + 1) {
			assert_int_equal(safe, line);
			assert_memory_equal(text + line, "Auth", i + 1 - line);
		}
	}
	gate_free(g);
}

static void the_token_is_never_safe(void **state)
{
	static const char text[] = LINE HEAD AUTH PROTO "X: y\r\n\r\n";
	struct gate *g = gate_new(&rule);
	size_t held = strlen(LINE HEAD), i;

	(void)state;
	for (i = 0; i < sizeof(text) - 2; i++) {
		assert_int_equal(feed(g, text + i, 1), GATE_MORE);
		assert_true(gate_safe(g) <= held);
	}
	assert_int_equal(feed(g, text + i, 1), GATE_OURS);
	assert_true(gate_safe(g) <= held);
	gate_free(g);
}

/* However much of it was right: at the same byte, behind the field. */
static void a_wrong_token_shows_where_its_field_ends(void **state)
{
	static const char *const wrong[] = {
		"b token of enough bytes",
		"a token of enough byteS",
		"A TOKEN OF ENOUGH BYTES",
		"0000000000000000000000x",
	};

	size_t first = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct gate *g = gate_new(&rule);
		char text[600];
		size_t at = 0, n;

		n = (size_t)snprintf(text, sizeof(text), LINE "Auth: %s\r\nX",
				     wrong[i]);
		assert_int_equal(strlen(wrong[i]), strlen(TOKEN));
		while (at < n && feed(g, text + at, 1) == GATE_MORE)
			at++;
		first = first ? first : at;
		assert_int_equal(at, first);
		assert_in_range(at, strlen(LINE "Auth: " TOKEN), n - 1);
		assert_int_equal(gate_safe(g), at + 1);
		gate_free(g);
	}
}

/* Sites refuse bad fields as they come: one behind a token that is empty, or
 * longer than any, must not wait for the end of the head. */
static void no_token_shows_where_its_field_ends(void **state)
{
	static const size_t lengths[] = {0, UPGRADE_TOKEN_MAX,
					 GATE_HOLD_MAX - 32};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct gate *g = gate_new(&rule);
		char token[GATE_HOLD_MAX] = "", text[GATE_HOLD_MAX + 64];

		memset(token, 'a', lengths[i]);
		snprintf(text, sizeof(text), LINE "Auth: %s\r\nX", token);
		assert_int_equal(feed(g, text, strlen(text)), GATE_THEIRS);
		assert_int_equal(gate_safe(g), strlen(text));
		gate_free(g);
	}
}

static void what_does_not_end_is_theirs(void **state)
{
	static const char *const starts[] = {LINE "Auth: ", LINE "X: ", "GET "};
	static const size_t most[] = {GATE_HOLD_MAX + 32, UPGRADE_HEAD_MAX + 1,
				      UPGRADE_HEAD_MAX + 1};

	(void)state;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		struct gate *g = gate_new(&rule);
		enum gate_state s = feed(g, starts[i], strlen(starts[i]));
		size_t n = strlen(starts[i]);

		for (; s == GATE_MORE && n < 20000; n++)
			s = feed(g, "a", 1);
		assert_int_equal(s, GATE_THEIRS);
		assert_true(n <= most[i]);
		assert_int_equal(gate_safe(g), n);
		gate_free(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_handshake_with_the_token_is_ours),
		cmocka_unit_test(anything_else_is_theirs),
		cmocka_unit_test(what_cannot_be_the_token_is_never_held),
		cmocka_unit_test(the_token_is_never_safe),
		cmocka_unit_test(a_wrong_token_shows_where_its_field_ends),
		cmocka_unit_test(no_token_shows_where_its_field_ends),
		cmocka_unit_test(what_does_not_end_is_theirs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
