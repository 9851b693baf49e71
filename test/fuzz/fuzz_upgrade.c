/* SPDX-License-Identifier: MIT */
/* Heads of both roles: the result does not depend on how they are cut, and
 * what was accepted holds what the header promises. */
#include <stdlib.h>
#include <string.h>

#include "proto/upgrade.h"
#include "test/fuzz/fuzz.h"

static enum upgrade_state run(struct upgrade *u, const uint8_t *p, size_t n,
			      size_t at, size_t *rest)
{
	enum upgrade_state s;
	size_t used;

	s = upgrade_feed(u, p, at, &used);
	*rest = n - used;
	if (s != UPGRADE_MORE)
		return s;
	check(used == at);
	s = upgrade_feed(u, p + at, n - at, &used);
	*rest = n - at - used;
	return s;
}

static void check_request(const struct upgrade *u)
{
	const struct upgrade_request *r = upgrade_request(u);
	struct upgrade_wsp wsp = {.window = 1, .message = 1024};
	char out[UPGRADE_OUT_MAX];
	size_t n = upgrade_write_response(out, u, &wsp);

	check(r->path[0] == '/' && strlen(r->path) < sizeof(r->path));
	check(strlen(r->token) < sizeof(r->token));
	check(!strpbrk(r->token, "\r\n"));
	check(!r->negotiated || (r->wsp.window && r->wsp.message >= 1024));
	check(n < sizeof(out) && memcmp(out + n - 4, "\r\n\r\n", 4) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const uint8_t nonce[UPGRADE_NONCE];
	bool server;

	if (n < 2)
		return 0;
	server = p[0] & 1;
	p++;
	n--;
	for (size_t i = 0; i < 4; i++) {
		size_t at = i * n / 4, rest, rest0;
		struct upgrade *u = server ? upgrade_new_server()
					   : upgrade_new_client(nonce);
		struct upgrade *v = server ? upgrade_new_server()
					   : upgrade_new_client(nonce);
		enum upgrade_state s = run(u, p, n, at, &rest);

		check(run(v, p, n, 0, &rest0) == s);
		check(upgrade_why(u) == upgrade_why(v));
		check(s != UPGRADE_DONE || rest == rest0);
		check((s == UPGRADE_FAILED) == (upgrade_why(u) != REASON_DONE));
		if (s == UPGRADE_DONE && server)
			check_request(u);
		upgrade_free(u);
		upgrade_free(v);
	}
	return 0;
}
