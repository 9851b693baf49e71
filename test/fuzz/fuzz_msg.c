/* SPDX-License-Identifier: MIT */
/* The envelope: a message cut anywhere gives the same events, twice in a row
 * too; what was good is written and read again as the same; and the data of
 * control messages never harms the parsers of their structs. */
#include <stdlib.h>
#include <string.h>

#include "proto/msg.h"
#include "test/fuzz/fuzz.h"

struct result {
	bool good;
	uint8_t id[MSG_ID_MAX];
	uint8_t id_len;
	int32_t cmd;
	uint64_t hash, len;
};

static struct bufpool pool;

/* FNV-1a */
static uint64_t hash(uint64_t h, const uint8_t *p, size_t n)
{
	while (n--)
		h = (h ^ *p++) * 1099511628211u;
	return h;
}

static bool feed(struct msg_in *m, const uint8_t *p, size_t n, bool last,
		 struct result *r)
{
	const uint8_t *slice;
	size_t len;

	for (;;) {
		switch (msg_feed(m, &p, &n, last, &slice, &len)) {
		case MSG_MORE:
			return true;
		case MSG_HEAD:
			r->id_len = m->id_len;
			memcpy(r->id, m->id, m->id_len);
			r->cmd = m->cmd;
			break;
		case MSG_DATA:
			check(len > 0);
			r->len += len;
			r->hash = hash(r->hash, slice, len);
			break;
		case MSG_END:
			check(r->len == m->data_len);
			r->good = true;
			return true;
		case MSG_ERROR:
			return false;
		}
	}
}

static struct result run(const uint8_t *p, size_t n, size_t at)
{
	struct result r = {.hash = 14695981039346656037u};
	struct msg_in m;

	msg_in_init(&m);
	if (feed(&m, p, at, false, &r))
		feed(&m, p + at, n - at, true, &r);
	return r;
}

/* The same message a second time has the same end. */
static void check_twice(const struct result *whole, const uint8_t *p, size_t n)
{
	struct result again = {.hash = 14695981039346656037u};
	struct msg_in m;

	msg_in_init(&m);
	check(feed(&m, p, n, true, &again));
	again = (struct result){.hash = 14695981039346656037u};
	check(feed(&m, p, n, true, &again));
	check(again.good && again.hash == whole->hash);
}

static void check_sealed(struct buf *b, const struct result *want, WspCmd cmd,
			 bool same_data)
{
	struct result r;

	check(b != NULL);
	r = run(buf_ptr(b), b->len, 0);
	check(r.good && r.cmd == (int32_t)cmd && r.id_len == want->id_len);
	check(memcmp(r.id, want->id, r.id_len) == 0);
	check(!same_data || (r.hash == want->hash && r.len == want->len));
	buf_free(b);
}

/* The data of p, which is good, goes out again in an envelope of ours. */
static void seal_again(const struct result *r, const uint8_t *p, size_t n)
{
	const uint8_t *slice;
	struct msg_in m;
	struct buf *b = buf_new(&pool, n);
	enum msg_event e;
	size_t len;

	check(b != NULL);
	msg_in_init(&m);
	while ((e = msg_feed(&m, &p, &n, true, &slice, &len)) != MSG_END)
		if (e == MSG_DATA)
			buf_append(b, slice, (uint32_t)len);
	msg_seal(b, r->id, r->id_len, WspCmd_TRANSFER);
	check_sealed(b, r, WspCmd_TRANSFER, true);
}

static void answer(const struct result *r, const WspRequest *req)
{
	enum reason why = (enum reason)(r->hash % REASON_COUNT);
	bool native = r->hash >> 40 & 1;

	check_sealed(msg_connect(&pool, r->id, r->id_len, req->data), r,
		     WspCmd_CONNECT, false);
	check_sealed(
		msg_respond(&pool, r->id, r->id_len, why, "10.0.0.1:1", native),
		r, WspCmd_RESPOND, false);
	check_sealed(msg_reset(&pool, r->id, r->id_len, why, native), r,
		     WspCmd_INTERRUPT, false);
	check_sealed(msg_credit(&pool, r->id, r->id_len, (uint32_t)r->hash), r,
		     WspCmd_CREDIT, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct result whole, cut;
	WspResponse res;
	WspRequest req;
	enum reason why;
	uint32_t bytes;

	whole = run(p, n, 0);
	for (size_t at = 1; at < n && at < 40; at++) {
		cut = run(p, n, at);
		check(cut.good == whole.good);
		if (!whole.good)
			continue;
		check(cut.hash == whole.hash && cut.cmd == whole.cmd);
		check(cut.id_len == whole.id_len);
		check(memcmp(cut.id, whole.id, whole.id_len) == 0);
	}
	if (whole.good) {
		check_twice(&whole, p, n);
		seal_again(&whole, p, n);
	}
	if (msg_parse_request(p, n, &req)) {
		check(strlen(req.data) < sizeof(req.data));
		answer(&whole, &req);
	}
	if (msg_parse_response(p, n, &res, &why))
		check(why < REASON_COUNT);
	check(msg_parse_reset(p, n) < REASON_COUNT);
	msg_parse_credit(p, n, &bytes);
	bufpool_trim(&pool);
	return 0;
}
