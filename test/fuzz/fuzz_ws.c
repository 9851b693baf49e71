/* SPDX-License-Identifier: MIT */
/* Framing, both roles: a stream of frames gives the same messages wherever it
 * is cut, and the same messages as wslay gives alone, without our fast lane and
 * our checks of headers. */
#include <stdlib.h>
#include <string.h>

#include <wslay/wslay.h>

#include "proto/ws.h"
#include "test/fuzz/fuzz.h"

#define MESSAGE_MAX 4096
#define SEEN_MAX    64

struct result {
	unsigned int stop_at; /* messages; 0: never */
	uint64_t hash, bytes;
	unsigned int messages, pongs;
	bool over;
	enum reason why;
	uint16_t code;
	uint64_t out;            /* hash of what is answered */
	uint64_t seen[SEEN_MAX]; /* of each of the first messages */
	uint64_t begun;          /* of the one that comes */
};

/* wslay alone. */
struct alone {
	const uint8_t *p;
	size_t n;
	unsigned int messages;
	uint64_t seen[SEEN_MAX];
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
	r->begun = hash(r->begun, p, n);
	if (last) {
		if (r->messages < SEEN_MAX)
			r->seen[r->messages] = r->begun * 31 + text;
		r->begun = 1;
		r->messages++;
		r->hash = r->hash * 31 + (text ? 2 : 1);
		if (r->messages == r->stop_at)
			return false;
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

static const char long_text[] =
	"A Close frame has room for 123 bytes of text; what is longer is cut, "
	"as this is, since nobody would read so much of it anyway, would they?";

static const struct ws_ops ops = {
	.piece = on_piece, .mask = on_mask, .pong = on_pong};

/* how: 1 a client, 2 the owner stops at the second message, 4 it pings. */
static struct result run(uint8_t how, const uint8_t *p, size_t n, size_t step)
{
	struct bufpool pool;
	struct ws_config config = {.role = how & 1 ? WS_CLIENT : WS_SERVER,
				   .max_message = MESSAGE_MAX,
				   .max_fragments = 16,
				   .pool = &pool};
	struct result r = {.hash = 1, .begun = 1, .stop_at = how & 2 ? 2 : 0};
	uint8_t *copy = malloc(n + 1);
	struct buf *b;
	struct ws *w;

	bufpool_init(&pool);
	w = ws_new(&config, &ops, &r);
	check(w && copy);
	memcpy(copy, p, n);
	if (how & 4)
		ws_ping(w);
	for (size_t at = 0; at < n; at += step)
		if (!ws_input(w, copy + at, n - at < step ? n - at : step))
			break;
	r.over = ws_over(w);
	check(r.over || !ws_heard(w));
	r.why = ws_why(w, &r.code);
	if (how & 2)
		ws_close(w, 1000, long_text);
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

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *p, size_t n,
		       int flags, void *user)
{
	struct alone *a = user;

	(void)flags;
	if (a->n == 0) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	n = n < a->n ? n : a->n;
	memcpy(p, a->p, n);
	a->p += n;
	a->n -= n;
	return (ssize_t)n;
}

static void on_message(wslay_event_context_ptr ctx,
		       const struct wslay_event_on_msg_recv_arg *m, void *user)
{
	struct alone *a = user;

	(void)ctx;
	if (m->opcode & 0x8)
		return;
	if (a->messages < SEEN_MAX)
		a->seen[a->messages] = hash(1, m->msg, m->msg_length) * 31 +
				       (m->opcode == WSLAY_TEXT_FRAME);
	a->messages++;
}

static struct alone run_alone(enum ws_role role, const uint8_t *p, size_t n)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_recv, .on_msg_recv_callback = on_message};
	struct alone a = {.p = p, .n = n};
	wslay_event_context_ptr ctx;

	check((role == WS_SERVER ? wslay_event_context_server_init
				 : wslay_event_context_client_init)(
		      &ctx, &callbacks, &a) == 0);
	wslay_event_config_set_max_recv_msg_length(ctx, MESSAGE_MAX);
	wslay_event_recv(ctx);
	wslay_event_context_free(ctx);
	return a;
}

/* Ours may end earlier: at a header that wslay refuses later, or beyond the
 * limit of fragments. */
static void compare(const struct result *ours, const struct alone *a)
{
	check(ours->messages <= a->messages);
	check(ours->over || ours->messages == a->messages);
	for (unsigned int i = 0; i < ours->messages && i < SEEN_MAX; i++)
		check(ours->seen[i] == a->seen[i]);
}

/* What is sealed is read by the other role, as one message. */
static void check_seal(uint8_t how, const uint8_t *p, size_t n)
{
	struct bufpool pool;
	struct ws_config config = {.role = how & 1 ? WS_SERVER : WS_CLIENT,
				   .pool = &pool};
	struct result r = {.hash = 1, .begun = 1};
	struct ws *w;
	struct buf *b;

	if (n > MESSAGE_MAX)
		return;
	bufpool_init(&pool);
	w = ws_new(&config, &ops, &r);
	b = buf_copy(&pool, p, n);
	check(w && b);
	ws_seal(w, b, WS_BINARY);
	r = run(how & 1, buf_ptr(b), b->len, b->len);
	check(r.messages == 1 && r.seen[0] == hash(1, p, n) * 31);
	buf_free(b);
	ws_free(w);
	bufpool_done(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	uint8_t how = n ? p[0] : 0;
	struct result a, b;
	struct alone alone;

	if (n == 0)
		return 0;
	p++;
	n--;
	a = run(how, p, n, n ? n : 1);
	alone = run_alone(how & 1 ? WS_CLIENT : WS_SERVER, p, n);
	check_seal(how, p, n);
	if (!(how & 2))
		compare(&a, &alone);
	for (size_t step = 1; step < 6; step += 2) {
		b = run(how, p, n, step);
		check(a.messages == b.messages && a.over == b.over);
		if (how & 2) /* what follows the stop is read or not */
			continue;
		check(a.pongs == b.pongs && a.out == b.out);
		check(a.why == b.why && a.code == b.code);
		/* of a message that is broken off, more or less may be seen */
		if (!a.over || a.why == REASON_CLOSED)
			check(a.bytes == b.bytes && a.hash == b.hash);
	}
	return 0;
}
