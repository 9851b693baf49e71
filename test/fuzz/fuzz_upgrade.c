/* SPDX-License-Identifier: MIT */
/* Heads of both roles: the result does not depend on how they are cut, and
 * what was accepted holds what the header promises. What the input says goes
 * into heads of ours too, which end where they should. */
#include <stdio.h>
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

static void check_head(const char *head, size_t n)
{
	check(n > 4 && n < UPGRADE_OUT_MAX);
	check(memmem(head, n, "\r\n\r\n", 4) == head + n - 4);
	for (size_t i = 0; i < n; i++)
		check((head[i] == '\n') == (i && head[i - 1] == '\r'));
}

/* A request of ours, for a server that takes it as it was meant. */
static void ask_with(char *text)
{
	static const struct upgrade_wsp wsp = {.window = 1, .message = 1024};
	static const uint8_t nonce[UPGRADE_NONCE];
	char fields[UPGRADE_FIELDS_MAX + 64] = "", head[UPGRADE_OUT_MAX];
	struct upgrade_ask ask = {.wsp = &wsp, .fields = fields};
	struct upgrade *u;
	char *save;
	size_t n, used;

	ask.host = strtok_r(text, "\n", &save);
	ask.path = strtok_r(NULL, "\n", &save);
	ask.token = strtok_r(NULL, "\n", &save);
	if (!ask.host || !ask.path || strlen(save) >= UPGRADE_FIELDS_MAX)
		return;
	if (upgrade_field_is_good(save))
		snprintf(fields, sizeof(fields), "%s\r\n", save);
	n = upgrade_write_request(head, &ask, nonce);
	if (n == 0)
		return;
	check_head(head, n);
	u = upgrade_new_server();
	if (upgrade_feed(u, (uint8_t *)head, n, &used) == UPGRADE_DONE)
		check(used == n && upgrade_request(u)->negotiated);
	upgrade_free(u);
}

/* A refusal says nothing of what came. */
static void check_refused(const struct upgrade *u)
{
	char head[UPGRADE_OUT_MAX];
	size_t n = upgrade_write_refusal(head, upgrade_why(u));
	const char *end = memmem(head, n, "\r\n\r\n", 4);

	check(end != NULL && upgrade_detail(u)[0]);
	check_head(head, (size_t)(end - head) + 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const uint8_t nonce[UPGRADE_NONCE];
	char text[UPGRADE_FIELDS_MAX];
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
		if (s == UPGRADE_FAILED)
			check_refused(u);
		upgrade_free(u);
		upgrade_free(v);
	}
	if (n < sizeof(text)) {
		memcpy(text, p, n);
		text[n] = 0;
		ask_with(text);
	}
	return 0;
}
