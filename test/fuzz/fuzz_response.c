/* SPDX-License-Identifier: MIT */
/* Answers of origins: the result does not depend on how they are cut, and what
 * the client gets is an answer that llhttp takes to the same end. */
#include <stdlib.h>
#include <string.h>

#include <llhttp.h>

#include "proto/response.h"
#include "test/fuzz/fuzz.h"

static struct bufpool pool;

struct result {
	enum http1_state state;
	bool final, complete, broken, keeps;
	size_t len, rest;
	uint8_t text[1 << 18];
};

static void keep(struct result *r, const uint8_t *p, size_t n)
{
	check(r->len + n <= sizeof(r->text));
	if (n)
		memcpy(r->text + r->len, p, n);
	r->len += n;
}

static void pass(struct response *a, struct result *r, const uint8_t *p,
		 size_t n)
{
	struct bufq in, out;
	struct buf *b;

	bufq_init(&in);
	bufq_init(&out);
	if (n)
		bufq_put(&in, buf_copy(&pool, p, n));
	check(body_pass(response_body(a), &in, &out, &pool));
	r->rest += in.bytes;
	bufq_clear(&in);
	while ((b = bufq_get(&out))) {
		keep(r, buf_ptr(b), b->len);
		buf_free(b);
	}
	r->complete = response_body(a)->complete;
	r->broken = response_body(a)->broken;
}

static void feed(struct response *a, struct result *r, const uint8_t *p,
		 size_t n)
{
	const uint8_t *head;
	size_t used, len;

	while (n && !response_is_final(a) && r->state != HTTP1_FAILED) {
		r->state = response_feed(a, p, n, &used);
		p += used;
		n -= used;
		if (r->state == HTTP1_DONE) {
			head = response_head(a, &len);
			keep(r, head, len);
		}
	}
	if (r->state != HTTP1_FAILED && response_is_final(a) &&
	    !response_is_upgrade(a))
		pass(a, r, p, n);
	else
		r->rest += n;
}

static int on_end(llhttp_t *p)
{
	return p->status_code >= 200 ? HPE_PAUSED : 0;
}

static void check_answer(const struct result *r)
{
	llhttp_settings_t settings;
	llhttp_t parser;
	enum llhttp_errno err;

	llhttp_settings_init(&settings);
	settings.on_message_complete = on_end;
	llhttp_init(&parser, HTTP_RESPONSE, &settings);
	err = llhttp_execute(&parser, (const char *)r->text, r->len);
	check(err == HPE_OK || err == HPE_PAUSED || err == HPE_PAUSED_UPGRADE);
	if (err == HPE_PAUSED && r->keeps)
		check(llhttp_get_error_pos(&parser) ==
		      (const char *)r->text + r->len);
}

static void run(struct result *r, const uint8_t *p, size_t n, size_t at,
		const char *ask)
{
	struct http1 *h = http1_new(false);
	struct response *a;
	size_t used;

	check(http1_feed(h, (const uint8_t *)ask, strlen(ask), &used) ==
	      HTTP1_DONE);
	a = response_new(h, false);
	http1_free(h);
	r->state = HTTP1_MORE;
	r->len = r->rest = 0;
	r->complete = r->broken = false;
	feed(a, r, p, at);
	feed(a, r, p + at, n - at);
	r->final = response_is_final(a);
	r->keeps = r->final && response_keeps_client(a);
	if (r->final && !r->broken && strncmp(ask, "HEAD", 4) != 0)
		check_answer(r);
	response_free(a);
}

static void check_same(const struct result *a, const struct result *b)
{
	check(a->state == b->state && a->final == b->final);
	if (a->state == HTTP1_FAILED)
		return;
	check(a->broken == b->broken);
	if (a->broken)
		return;
	check(a->complete == b->complete && a->rest == b->rest);
	check(a->len == b->len && memcmp(a->text, b->text, a->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char upgrade[] = "GET http://h/ HTTP/1.1\r\nHost: h\r\n"
				      "Upgrade: x\r\n"
				      "Connection: upgrade\r\n\r\n";
	static const char *const asks[] = {
		"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
		"HEAD http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET http://h/ HTTP/1.0\r\n\r\n",
		upgrade,
	};
	static struct result a, b;

	for (size_t i = 0; i < 4; i++) {
		run(&a, p, n, 0, asks[i]);
		for (size_t k = 1; k < 4; k++) {
			run(&b, p, n, k * n / 4, asks[i]);
			check_same(&a, &b);
		}
	}
	return 0;
}
