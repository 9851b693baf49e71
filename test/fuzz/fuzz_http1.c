/* SPDX-License-Identifier: MIT */
/* Requests to the proxy: the result does not depend on how they are cut, and
 * what goes on is a good request for the same target, with the same body. */
#include <stdlib.h>
#include <string.h>

#include <llhttp.h>

#include "proto/http1.h"
#include "test/fuzz/fuzz.h"

static struct bufpool pool;

struct result {
	enum http1_state state;
	enum reason why;
	enum http1_kind kind;
	bool complete, broken;
	size_t len, rest; /* of text, and what does not belong to it */
	uint8_t text[1 << 18];
};

static int on_end(llhttp_t *p)
{
	(void)p;
	return HPE_PAUSED;
}

/* llhttp must take it, to its last byte, and nothing may be smuggled in. */
static void check_request(const struct result *r, size_t head)
{
	llhttp_settings_t settings;
	llhttp_t parser;
	const uint8_t *p = r->text;
	enum llhttp_errno err;
	bool upgrade;

	check(head > 4 && memcmp(p + head - 4, "\r\n\r\n", 4) == 0);
	for (size_t i = 0; i < head; i++) {
		check(p[i] != 0);
		check((p[i] == '\n') == (i && p[i - 1] == '\r'));
	}
	check(memmem(p, head - 4, "\r\n\r\n", 4) == NULL);
	llhttp_settings_init(&settings);
	settings.on_message_complete = on_end;
	llhttp_init(&parser, HTTP_REQUEST, &settings);
	check(llhttp_execute(&parser, "POST", 4) == HPE_OK);
	p = memchr(p, ' ', head);
	err = llhttp_execute(&parser, (const char *)p,
			     r->len - (size_t)(p - r->text));
	upgrade = err == HPE_PAUSED_UPGRADE;
	check(err == HPE_OK || err == HPE_PAUSED || upgrade);
	if (r->complete && !r->broken) {
		check(err != HPE_OK);
		check(upgrade || llhttp_get_error_pos(&parser) ==
					 (const char *)r->text + r->len);
	}
}

static void keep(struct result *r, const uint8_t *p, size_t n)
{
	check(r->len + n <= sizeof(r->text));
	if (n)
		memcpy(r->text + r->len, p, n);
	r->len += n;
}

static void pass(struct http1 *h, struct result *r, const uint8_t *p, size_t n)
{
	struct body *body = http1_body(h);
	struct bufq in, out;
	struct buf *b;

	bufq_init(&in);
	bufq_init(&out);
	if (n)
		bufq_put(&in, buf_copy(&pool, p, n));
	check(body_pass(body, &in, &out, &pool));
	r->rest += in.bytes;
	bufq_clear(&in);
	while ((b = bufq_get(&out))) {
		keep(r, buf_ptr(b), b->len);
		buf_free(b);
	}
	r->complete = body->complete;
	r->broken = body->broken;
}

/* Every user is let in. */
static enum http1_state feed(struct http1 *h, const uint8_t *p, size_t n,
			     size_t *used)
{
	enum http1_state s = http1_feed(h, p, n, used);
	const char *user, *password;

	if (s != HTTP1_AUTH)
		return s;
	http1_credentials(h, &user, &password);
	check(strlen(user) + strlen(password) < 512);
	http1_admit(h);
	return HTTP1_DONE;
}

/* What is asked about a request that is good. */
static void check_facts(const struct http1 *h)
{
	check(http1_method(h).n > 0 && http1_uri(h).n > 0);
	check(http1_fields(h) != NULL);
	check(!http1_is_head(h) || http1_may_repeat(h) ||
	      http1_body((struct http1 *)h)->kind != BODY_NONE);
	check(!http1_asks_upgrade(h) || !http1_is_v10(h));
	http1_is_last(h);
}

static void run(struct result *r, bool auth, const uint8_t *p, size_t n,
		size_t at)
{
	struct http1 *h = http1_new(auth);
	size_t ends[] = {at, n}, from = 0, used, head = 0;
	const uint8_t *text;

	r->state = HTTP1_MORE;
	r->len = r->rest = 0;
	r->complete = r->broken = false;
	for (int i = 0; i < 2 && r->state != HTTP1_FAILED; i++) {
		used = 0;
		if (r->state == HTTP1_MORE) {
			r->state = feed(h, p + from, ends[i] - from, &used);
			if (r->state == HTTP1_DONE) {
				text = http1_head(h, &head);
				keep(r, text, head);
			}
		}
		if (r->state == HTTP1_DONE)
			pass(h, r, p + from + used, ends[i] - from - used);
		from = ends[i];
	}
	r->why = http1_why(h);
	if (r->state == HTTP1_DONE) {
		r->kind = http1_kind(h);
		check_facts(h);
		if (r->kind == HTTP1_FORWARD)
			check_request(r, head);
		if (r->kind != HTTP1_LOCAL) {
			check(http1_target(h)->port != 0);
			check(host_parse(http1_target(h)->host,
					 strlen(http1_target(h)->host), NULL));
		}
	}
	http1_free(h);
}

/* A broken body has gone as far as the pieces allow. */
static void check_same(const struct result *a, const struct result *b)
{
	check(a->state == b->state && a->why == b->why);
	if (a->state != HTTP1_DONE)
		return;
	check(a->kind == b->kind && a->broken == b->broken);
	if (a->broken)
		return;
	check(a->complete == b->complete && a->rest == b->rest);
	check(a->len == b->len && memcmp(a->text, b->text, a->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct result a, b;

	for (size_t i = 0; i < 8; i++) {
		run(&a, i > 3, p, n, 0);
		run(&b, i > 3, p, n, i % 4 * n / 4);
		check_same(&a, &b);
	}
	return 0;
}
