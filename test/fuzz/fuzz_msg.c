/* SPDX-License-Identifier: MIT */
/* The envelope: a message cut anywhere gives the same events, and the data of
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
	if (msg_parse_request(p, n, &req))
		check(strlen(req.data) < sizeof(req.data));
	if (msg_parse_response(p, n, &res, &why))
		check(why < REASON_COUNT);
	check(msg_parse_reset(p, n) < REASON_COUNT);
	msg_parse_credit(p, n, &bytes);
	return 0;
}
