/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/mask.h"
#include "proto/ws.h"
#include "test/lib/fence.h"

#define MAX 300000

/* What a ws has called up. */
struct heard {
	uint8_t data[MAX];
	size_t n;
	int messages, pongs;
	int most; /* messages; 0: all are taken */
	bool text;
};

static bool on_piece(void *ctx, uint8_t *p, size_t n, bool text, bool last)
{
	struct heard *h = ctx;

	assert_true(h->n + n <= MAX);
	if (n)
		memcpy(h->data + h->n, p, n);
	h->n += n;
	h->messages += last;
	h->text = text;
	return !h->most || h->messages < h->most;
}

static void on_mask(void *ctx, uint8_t key[4])
{
	(void)ctx;
	memcpy(key, "\x12\x34\x56\x78", 4);
}

static void on_pong(void *ctx)
{
	((struct heard *)ctx)->pongs++;
}

static const struct ws_ops ops = {
	.piece = on_piece, .mask = on_mask, .pong = on_pong};

struct fixture {
	struct bufpool pool;
	struct heard heard;
	struct ws *server, *client;
};

static struct ws *make(struct fixture *f, enum ws_role role)
{
	struct ws_config config = {.role = role,
				   .max_message = MAX,
				   .max_fragments = 8,
				   .pool = &f->pool};

	return ws_new(&config, &ops, &f->heard);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	bufpool_init(&f->pool);
	f->server = make(f, WS_SERVER);
	f->client = make(f, WS_CLIENT);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ws_free(f->server);
	ws_free(f->client);
	bufpool_done(&f->pool);
	free(f);
	return 0;
}

/* The bytes in three pieces, each at a fence. */
static void input(struct ws *w, const void *p, size_t n)
{
	const size_t ends[] = {n / 3, n / 3 + n / 5, n};
	size_t from = 0;

	for (int i = 0; i < 3; i++) {
		size_t len = ends[i] - from;
		uint8_t *copy = fence_copy((const uint8_t *)p + from, len);

		ws_input(w, copy, len);
		fence_free(copy, len);
		from = ends[i];
	}
}

static void masking_in_words_is_masking_in_bytes(void **state)
{
	const uint8_t key[4] = {1, 2, 4, 8};
	uint8_t a[200], b[200];

	(void)state;
	for (size_t n = 0; n < 100; n++) {
		for (size_t at = 0; at < 8; at++) {
			for (size_t i = 0; i < n; i++)
				a[i] = b[i] = (uint8_t)(i * 7);
			for (size_t i = 0; i < n; i++)
				b[i] ^= key[(at + i) % 4];
			mask_apply(a, n, key, at);
			assert_memory_equal(a, b, n);
		}
	}
}

static void what_is_sealed_is_read_by_the_other_role(void **state)
{
	static const size_t sizes[] = {0,   1,     125,   126,
				       127, 65535, 65536, 262144};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int up = 0; up < 2; up++) {
			struct buf *b = buf_new(&f->pool, sizes[i]);

			for (size_t k = 0; k < sizes[i]; k++)
				buf_ptr(b)[k] = (uint8_t)(k * 31);
			b->len = (uint32_t)sizes[i];
			f->heard.n = 0;
			f->heard.messages = 0;
			ws_seal(up ? f->client : f->server, b, WS_BINARY);
			input(up ? f->server : f->client, buf_ptr(b), b->len);
			buf_free(b);
			assert_int_equal(f->heard.messages, 1);
			assert_int_equal(f->heard.n, sizes[i]);
			for (size_t k = 0; k < sizes[i]; k++)
				assert_int_equal(f->heard.data[k],
						 (uint8_t)(k * 31));
		}
	}
}

/* The middle of a frame, and then its rest, are passed by. */
static void payload_can_be_passed(void **state)
{
	static const size_t sizes[] = {100, 1000, 70000};
	struct fixture *f = *state;
	uint64_t before;

	for (size_t i = 0; i < 3; i++) {
		struct buf *b = buf_new(&f->pool, sizes[i]);
		uint32_t head;

		memset(buf_ptr(b), 'x', sizes[i]);
		b->len = (uint32_t)sizes[i];
		ws_seal(f->server, b, WS_BINARY);
		head = b->len - (uint32_t)sizes[i];
		assert_int_equal(ws_passable(f->client, &before), 0);
		assert_true(ws_between(f->client));
		input(f->client, buf_ptr(b), head + 40);
		assert_false(ws_between(f->client));
		assert_int_equal(ws_passable(f->client, &before),
				 sizes[i] - 40);
		assert_int_equal(before, head + 40);
		assert_false(ws_pass(f->client, 20));
		assert_int_equal(ws_passable(f->client, &before),
				 sizes[i] - 60);
		assert_int_equal(before, head + 60);
		assert_true(ws_pass(f->client, sizes[i] - 60));
		assert_true(ws_between(f->client));
		buf_free(b);
	}
	assert_int_equal(f->heard.messages, 0);
	assert_int_equal(f->heard.n, 120);
}

static void masked_or_fragmented_payload_cannot_be_passed(void **state)
{
	struct fixture *f = *state;
	uint64_t before;

	input(f->server, "\x82\x83\0\0\0\0a", 7);
	assert_int_equal(ws_passable(f->server, &before), 0);
	input(f->client,
	      "\x02\x03"
	      "ab",
	      4);
	assert_int_equal(ws_passable(f->client, &before), 0);
	input(f->client,
	      "c\x80\x03"
	      "d",
	      4);
	assert_int_equal(ws_passable(f->client, &before), 0);
}

/* Frames of a client with the key 0. */
static const uint8_t stream[] =
	"\x82\x83\0\0\0\0abc"    /* binary */
	"\x89\x82\0\0\0\0pi"     /* ping */
	"\x01\x82\0\0\0\0h\xc3"  /* text, first fragment */
	"\x8a\x80\0\0\0\0"       /* pong inside it */
	"\x80\x81\0\0\0\0\xa9"   /* the last */
	"\x82\xfe\0\x80\0\0\0\0" /* 128 bytes */
	"0123456789012345678901234567890123456789012345678901234567890123"
	"0123456789012345678901234567890123456789012345678901234567890123"
	"\x82\x80\0\0\0\0" /* empty */
	"\x88\x85\0\0\0\0\x03\xe8"
	"bye"; /* close, 1000 */

static void frames_cut_anywhere_are_the_same_frames(void **state)
{
	struct fixture *f = *state;
	uint16_t code;

	for (size_t at = 0; at < sizeof(stream); at++) {
		struct ws *w = make(f, WS_SERVER);
		struct buf *b;

		memset(&f->heard, 0, sizeof(f->heard));
		input(w, stream, at);
		input(w, stream + at, sizeof(stream) - 1 - at);
		assert_int_equal(f->heard.messages, 4);
		assert_int_equal(f->heard.n, 3 + 3 + 128);
		assert_int_equal(f->heard.pongs, 1);
		assert_true(ws_over(w));
		assert_int_equal(ws_why(w, &code), REASON_CLOSED);
		assert_int_equal(code, 1000);
		b = ws_pull(w); /* the pong, then the answer to the close */
		assert_memory_equal(buf_ptr(b), "\x8a\x02pi", 4);
		buf_free(b);
		b = ws_pull(w);
		assert_memory_equal(buf_ptr(b),
				    "\x88\x05\x03\xe8"
				    "bye",
				    7);
		buf_free(b);
		assert_null(ws_pull(w));
		ws_free(w);
	}
}

static void violations_have_their_codes(void **state)
{
	static const struct {
		const char *p;
		size_t n;
		enum reason why;
		uint16_t code;
	} t[] = {
		{"\x82\x01x", 3, REASON_PROTOCOL, 1002}, /* not masked */
		{"\xc2\x81\0\0\0\0x", 7, REASON_PROTOCOL, 1002},
		{"\x83\x81\0\0\0\0x", 7, REASON_PROTOCOL, 1002},
		{"\x80\x81\0\0\0\0x", 7, REASON_PROTOCOL, 1002},
		{"\x09\x80\0\0\0\0", 6, REASON_PROTOCOL, 1002},
		{"\x89\xfe\0\x7e\0\0\0\0", 8, REASON_PROTOCOL, 1002},
		{"\x82\xfe\0\x7d\0\0\0\0", 8, REASON_PROTOCOL, 1002},
		{"\x88\x81\0\0\0\0\x03", 7, REASON_PROTOCOL, 1002},
		{"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14,
		 REASON_TOO_LARGE, 1009},
		{"\x81\x81\0\0\0\0\xff", 7, REASON_BAD_DATA, 1007},
		{"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14,
		 REASON_PROTOCOL, 1002},
	};
	struct fixture *f = *state;
	uint16_t code;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct ws *w = make(f, WS_SERVER);
		struct buf *b;

		input(w, t[i].p, t[i].n);
		assert_true(ws_over(w));
		assert_int_equal(ws_why(w, &code), t[i].why);
		b = ws_pull(w);
		assert_non_null(b);
		assert_int_equal(buf_ptr(b)[0], 0x88);
		assert_int_equal(buf_ptr(b)[2] << 8 | buf_ptr(b)[3], t[i].code);
		buf_free(b);
		ws_free(w);
	}
}

static void fragments_have_a_limit(void **state)
{
	struct fixture *f = *state;
	uint16_t code;

	input(f->server, "\x02\x81\0\0\0\0x", 7);
	for (int i = 0; i < 8; i++)
		input(f->server, "\x00\x81\0\0\0\0x", 7);
	assert_true(ws_over(f->server));
	assert_int_equal(ws_why(f->server, &code), REASON_LIMIT);
}

static void a_flood_of_pings_leaves_eight_pongs(void **state)
{
	struct fixture *f = *state;
	char ping[] = "\x89\x81\0\0\0\0x";
	struct buf *b;

	for (char c = 'a'; c <= 'z'; c++) {
		ping[6] = c;
		input(f->server, ping, 7);
	}
	for (char c = 's'; c <= 'z'; c++) {
		b = ws_pull(f->server);
		assert_int_equal(buf_ptr(b)[2], c);
		buf_free(b);
	}
	assert_null(ws_pull(f->server));
	assert_int_equal(f->pool.inuse, 0);
}

static void a_close_is_said_once(void **state)
{
	struct fixture *f = *state;
	struct buf *b;

	ws_close(f->client, 1001, "going");
	ws_close(f->client, 1002, "again");
	b = ws_pull(f->client);
	assert_int_equal(b->len, 2 + 4 + 2 + 5);
	mask_apply(buf_ptr(b) + 6, 7, buf_ptr(b) + 2, 0);
	assert_memory_equal(buf_ptr(b) + 6, "\x03\xe9going", 7);
	buf_free(b);
	assert_null(ws_pull(f->client));
	assert_false(ws_input(f->client, (uint8_t[]){0x82, 0}, 2));
}

static void the_close_of_the_peer_is_heard_behind_ours(void **state)
{
	struct fixture *f = *state;
	uint8_t in[] = {0x82, 3,    'a', 'b',  'c',  0x01, 1,    'd',
			0x89, 1,    'e', 0x80, 1,    'f',  0x88, 4,
			3,    0xe9, 'x', 'y',  0x82, 0};
	uint16_t code;

	ws_input(f->client, in, 3); /* in the middle of a message */
	f->heard.n = 0;
	ws_close(f->client, 1001, "going");
	buf_free(ws_pull(f->client));
	for (size_t i = 3; i < 20; i++) {
		assert_false(ws_heard(f->client));
		assert_false(ws_input(f->client, in + i, 1));
	}
	assert_true(ws_heard(f->client));
	assert_false(ws_input(f->client, in + 20, 2));
	assert_int_equal(f->heard.n, 0);
	assert_null(ws_pull(f->client));
	assert_int_equal(ws_why(f->client, &code), REASON_DONE);
	assert_int_equal(code, 1001);
}

static void a_violation_behind_our_close_ends_it(void **state)
{
	struct fixture *f = *state;
	uint8_t in[] = {0xf2, 0, 0x88, 2, 3, 0xe9};

	ws_close(f->client, 1001, "going");
	assert_false(ws_input(f->client, in, sizeof(in)));
	assert_false(ws_heard(f->client));
	buf_free(ws_pull(f->client));
	assert_null(ws_pull(f->client));
}

/* The owner has seen enough, in a frame of either lane. */
static void no_message_follows_the_last(void **state)
{
	static const uint8_t in[][8] = {{0x82, 1, 'a', 0x82, 1, 'b'},
					{0x81, 1, 'a', 0x81, 1, 'b'}};
	struct fixture *f = *state;
	uint8_t copy[8];

	for (int i = 0; i < 2; i++) {
		struct ws *w = make(f, WS_CLIENT);

		memset(&f->heard, 0, sizeof(f->heard));
		f->heard.most = 1;
		memcpy(copy, in[i], 6);
		assert_false(ws_input(w, copy, 6));
		assert_int_equal(f->heard.messages, 1);
		assert_int_equal(f->heard.data[0], 'a');
		ws_free(w);
	}
}

static void a_long_farewell_is_cut(void **state)
{
	struct fixture *f = *state;
	char text[200] = "";
	struct buf *b;

	memset(text, 'x', sizeof(text) - 1);
	ws_close(f->server, 1000, text);
	b = ws_pull(f->server);
	assert_int_equal(b->len, 2 + 125);
	buf_free(b);
	ws_ping(f->server); /* in vain */
	assert_null(ws_pull(f->server));
}

static void a_ping_waits_only_once(void **state)
{
	struct fixture *f = *state;
	struct buf *b;

	ws_ping(f->server);
	ws_ping(f->server);
	b = ws_pull(f->server);
	assert_memory_equal(buf_ptr(b), "\x89\0", 2);
	buf_free(b);
	assert_null(ws_pull(f->server));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(masking_in_words_is_masking_in_bytes),
		cmocka_unit_test_setup_teardown(
			what_is_sealed_is_read_by_the_other_role, setup,
			teardown),
		cmocka_unit_test_setup_teardown(payload_can_be_passed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			masked_or_fragmented_payload_cannot_be_passed, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			frames_cut_anywhere_are_the_same_frames, setup,
			teardown),
		cmocka_unit_test_setup_teardown(violations_have_their_codes,
						setup, teardown),
		cmocka_unit_test_setup_teardown(fragments_have_a_limit, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			a_flood_of_pings_leaves_eight_pongs, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_close_of_the_peer_is_heard_behind_ours, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			a_violation_behind_our_close_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(a_close_is_said_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(no_message_follows_the_last,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_long_farewell_is_cut, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_ping_waits_only_once, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
