/* SPDX-License-Identifier: MIT */
/* Whoever it is for does not depend on how the bytes are cut; nothing that is
 * safe is taken back; the right token is never safe before it is THEIRS. */
#include <stdlib.h>
#include <string.h>

#include "proto/gate.h"
#include "proto/token.h"
#include "test/fuzz/fuzz.h"

#define TOKEN "tok"

static bool on_knows(void *ctx, const char *token)
{
	(void)ctx;
	return token_equal(token, TOKEN);
}

static enum reason on_check(void *ctx, const struct upgrade_request *req)
{
	(void)ctx;
	return token_equal(req->token, TOKEN) ? REASON_DONE
					      : REASON_UNAUTHORIZED;
}

/* Where a field begins that carries the token, or n. */
static size_t find_token(const uint8_t *p, size_t n)
{
	static const char field[] = "\nAuth: " TOKEN "\r\n";
	const uint8_t *at = memmem(p, n, field, sizeof(field) - 1);

	return at ? (size_t)(at - p) + 1 : n;
}

static enum gate_state run(const uint8_t *p, size_t n, size_t step)
{
	struct gate_rule rule = {.knows = on_knows, .check = on_check};
	struct gate *g = gate_new(&rule);
	size_t safe = 0, secret = find_token(p, n);
	enum gate_state s = GATE_MORE;

	for (size_t at = 0; at < n && s == GATE_MORE; at += step) {
		size_t k = n - at < step ? n - at : step;

		s = gate_feed(g, p + at, k);
		check(gate_safe(g) >= safe && gate_safe(g) <= at + k);
		safe = gate_safe(g);
		check(s == GATE_THEIRS || safe <= secret);
		check(s != GATE_THEIRS || safe == at + k);
	}
	gate_free(g);
	return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	enum gate_state s = run(p, n, n ? n : 1);

	check(run(p, n, 1) == s);
	check(run(p, n, 7) == s);
	return 0;
}
