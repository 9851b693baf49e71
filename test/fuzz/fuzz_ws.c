/* SPDX-License-Identifier: MIT */
/* Framing, both roles: a stream of frames gives the same messages wherever it
 * is cut, and the same as wslay alone gives (the fast lane is off when every
 * byte comes on its own inside a fragmented message; here both are compared by
 * feeding all at once and byte by byte). */
#include <stdlib.h>
#include <string.h>

#include "proto/ws.h"
#include "test/fuzz/fuzz.h"

#define MESSAGE_MAX 4096

struct result {
	uint64_t hash, bytes;
	unsigned int messages, pongs;
	bool over;
	enum reason why;
	uint16_t code;
	uint64_t out; /* hash of what is answered */
};

static uint64_t hash(uint64_t h, const uint8_t *p, size_t n)
{
	while (n--)
		h = (h ^ *p++) * 1099511628211u;
	return h;
}

static bool on_piece(void *ctx, uint8_t *p, size_t n, bool text, bool last)
{
	struct result *r = ctx;

	r->hash = hash(r->hash, p, n);
	r->bytes += n;
	if (last) {
		r->messages++;
		r->hash = r->hash * 31 + (text ? 2 : 1);
	}
	return true;
}

static void on_mask(void *ctx, uint8_t key[4])
{
	(void)ctx;
	memset(key, 0x5a, 4);
}

static void on_pong(void *ctx)
{
	((struct result *)ctx)->pongs++;
}

static const struct ws_ops ops = {
	.piece = on_piece, .mask = on_mask, .pong = on_pong};

static struct result run(enum ws_role role, const uint8_t *p, size_t n,
			 size_t step)
{
	struct bufpool pool;
	struct ws_config config = {.role = role,
				   .max_message = MESSAGE_MAX,
				   .max_fragments = 16,
				   .pool = &pool};
	struct result r = {.hash = 1};
	uint8_t *copy = malloc(n + 1);
	struct buf *b;
	struct ws *w;

	bufpool_init(&pool);
	w = ws_new(&config, &ops, &r);
	check(w && copy);
	memcpy(copy, p, n);
	for (size_t at = 0; at < n; at += step)
		if (!ws_input(w, copy + at, n - at < step ? n - at : step))
			break;
	r.over = ws_over(w);
	r.why = ws_why(w, &r.code);
	while ((b = ws_pull(w))) {
		check(b->len <= 125 + 14);
		r.out = hash(r.out, buf_ptr(b), b->len);
		buf_free(b);
	}
	ws_free(w);
	bufpool_done(&pool);
	free(copy);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	enum ws_role role = n && p[0] & 1 ? WS_CLIENT : WS_SERVER;
	struct result a, b;

	if (n == 0)
		return 0;
	p++;
	n--;
	a = run(role, p, n, n ? n : 1);
	for (size_t step = 1; step < 6; step += 2) {
		b = run(role, p, n, step);
		check(a.messages == b.messages && a.over == b.over);
		check(a.pongs == b.pongs && a.out == b.out);
		check(a.why == b.why && a.code == b.code);
		/* of a message that is broken off, more or less may be seen */
		if (!a.over || a.why == REASON_CLOSED)
			check(a.bytes == b.bytes && a.hash == b.hash);
	}
	return 0;
}
