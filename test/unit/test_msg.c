/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/msg.h"
#include "test/lib/fence.h"

#define MAX 256

/* What came of one message. */
struct seen {
	int heads, ends;
	bool error;
	char id[MSG_ID_MAX + 1];
	int32_t cmd;
	uint32_t data_len;
	uint8_t data[MAX];
	size_t n;
};

static bool feed(struct msg_in *m, const uint8_t *p, size_t n, bool last,
		 struct seen *s)
{
	const uint8_t *slice;
	size_t len;

	for (;;) {
		switch (msg_feed(m, &p, &n, last, &slice, &len)) {
		case MSG_MORE:
			return !last;
		case MSG_HEAD:
			s->heads++;
			memcpy(s->id, m->id, m->id_len);
			s->cmd = m->cmd;
			s->data_len = m->data_len;
			break;
		case MSG_DATA:
			assert_true(s->heads == 1 && s->n + len <= MAX);
			memcpy(s->data + s->n, slice, len);
			s->n += len;
			break;
		case MSG_END:
			s->ends++;
			return true;
		case MSG_ERROR:
			s->error = true;
			return false;
		}
	}
}

/* The message in two pieces, each at a fence. */
static struct seen split(const void *p, size_t n, size_t at)
{
	uint8_t *a = fence_copy(p, at);
	uint8_t *b = fence_copy((const uint8_t *)p + at, n - at);
	struct seen s = {.heads = 0};
	struct msg_in m;

	msg_in_init(&m);
	if (feed(&m, a, at, false, &s))
		feed(&m, b, n - at, true, &s);
	fence_free(a, at);
	fence_free(b, n - at);
	return s;
}

static void a_message_cut_anywhere_is_the_same_message(void **state)
{
	static const uint8_t whole[] =
		"\x0a\x03"
		"abc"
		"\x10\x02"
		"\x22\x02zz" /* field 4: skipped */
		"\x1a\x05hello"
		"\x2d\1\2\3\4"  /* field 5, 32 bits: skipped */
		"\x30\x96\x01"; /* field 6, varint: skipped */

	(void)state;
	for (size_t at = 0; at < sizeof(whole); at++) {
		struct seen s = split(whole, sizeof(whole) - 1, at);

		assert_false(s.error);
		assert_int_equal(s.heads, 1);
		assert_int_equal(s.ends, 1);
		assert_string_equal(s.id, "abc");
		assert_int_equal(s.cmd, WspCmd_TRANSFER);
		assert_int_equal(s.data_len, 5);
		assert_int_equal(s.n, 5);
		assert_memory_equal(s.data, "hello", 5);
	}
}

static void an_empty_message_is_a_connect_without_id(void **state)
{
	struct seen s = split("", 0, 0);

	(void)state;
	assert_int_equal(s.heads, 1);
	assert_int_equal(s.ends, 1);
	assert_int_equal(s.cmd, WspCmd_CONNECT);
	assert_string_equal(s.id, "");
}

static void a_negative_command_is_a_command(void **state)
{
	struct seen s =
		split("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, 4);

	(void)state;
	assert_false(s.error);
	assert_int_equal(s.cmd, -1);
}

static void malformed_messages_are_errors(void **state)
{
	static const struct {
		const char *p;
		size_t n;
	} t[] = {
		{"\x0a", 1}, /* cut behind a tag */
		{"\x0a\x03"
		 "ab",
		 4},                             /* cut inside the id */
		{"\x0a\x41", 2},                 /* an id that is too long */
		{"\x10\x02\x0a\x01x", 5},        /* out of order */
		{"\x0a\x01x\x0a\x01x", 6},       /* twice */
		{"\x1a\x01x\x10\x01", 5},        /* behind the data */
		{"\x1a\x05hell", 6},             /* data that is cut */
		{"\x1a\xff\xff\xff\xff\x0f", 6}, /* 4 GiB of data */
		{"\x08\x01", 2},                 /* an id of the wrong type */
		{"\x12\x01x", 3},                /* a cmd of the wrong type */
		{"\x0b", 1},                     /* a group */
		{"\x02\x01x", 3},                /* field 0 */
		{"\x10\x80", 2},                 /* a varint that is cut */
		{"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 11},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		for (size_t at = 0; at <= t[i].n; at++)
			assert_int_equal(split(t[i].p, t[i].n, at).ends, 0);
}

static void messages_follow_each_other(void **state)
{
	struct bufpool pool;
	struct msg_in m;
	const uint8_t id[] = "1f";

	(void)state;
	bufpool_init(&pool);
	msg_in_init(&m);
	for (int i = 0; i < 3; i++) {
		struct buf *all[] = {
			msg_connect(&pool, id, 2, "tcp://h:1"),
			msg_respond(&pool, id, 2, REASON_REFUSED, "1.2.3.4:5",
				    true),
			msg_reset(&pool, id, 2, REASON_RESET, true),
			msg_credit(&pool, id, 2, 77),
			msg_credit(&pool, id, 2, 0),
		};
		static const int32_t cmds[] = {0, 1, 3, 4, 4};

		for (int k = 0; k < 5; k++) {
			struct seen s = {.heads = 0};

			assert_non_null(all[k]);
			assert_true(feed(&m, buf_ptr(all[k]), all[k]->len, true,
					 &s));
			assert_int_equal(s.cmd, cmds[k]);
			assert_string_equal(s.id, "1f");
			buf_free(all[k]);
		}
	}
	bufpool_done(&pool);
}

static void sealing_gives_the_bytes_of_the_document(void **state)
{
	struct bufpool pool;
	struct buf *b;

	(void)state;
	bufpool_init(&pool);
	b = buf_copy(&pool, "hello", 5);
	msg_seal(b, (const uint8_t *)"1", 1, WspCmd_TRANSFER);
	assert_int_equal(b->len, 12);
	assert_memory_equal(buf_ptr(b),
			    "\x0a\x01"
			    "1\x10\x02\x1a\x05hello",
			    12);
	buf_free(b);
	b = buf_new(&pool, 0);
	msg_seal(b, (const uint8_t *)"1", 1, WspCmd_TRANSFER);
	assert_memory_equal(buf_ptr(b),
			    "\x0a\x01"
			    "1\x10\x02",
			    5);
	assert_int_equal(b->len, 5);
	buf_free(b);
	bufpool_done(&pool);
}

static void answers_carry_a_reason(void **state)
{
	WspResponse res;
	enum reason why;

	(void)state;
	assert_true(
		msg_parse_response((const uint8_t *)"\x08\x01", 2, &res, &why));
	assert_int_equal(why, REASON_DONE);
	assert_true(msg_parse_response((const uint8_t *)"", 0, &res, &why));
	assert_int_not_equal(why, REASON_DONE);
	assert_true(
		msg_parse_response((const uint8_t *)"\x18\x07", 2, &res, &why));
	assert_int_equal(why, REASON_REFUSED);
	assert_true(msg_parse_response((const uint8_t *)"\x18\xe7\x07", 3, &res,
				       &why));
	assert_int_equal(why, REASON_INTERNAL);
	assert_false(
		msg_parse_response((const uint8_t *)"\xff", 1, &res, &why));
}

static void gos_error_texts_are_understood(void **state)
{
	static const struct {
		const char *text;
		enum reason why;
	} t[] = {
		{"dial tcp 1.2.3.4:5: connect: connection refused",
		 REASON_REFUSED},
		{"dial tcp: lookup h on 1.1.1.1:53: no such host",
		 REASON_NO_SUCH_NAME},
		{"dial tcp 1.2.3.4:5: i/o timeout", REASON_TIMED_OUT},
		{"dial tcp: connect: network is unreachable",
		 REASON_NET_UNREACHABLE},
		{"dial tcp: connect: no route to host",
		 REASON_HOST_UNREACHABLE},
		{"timeout", REASON_TIMED_OUT},
		{"channel x not registered", REASON_IO},
	};
	WspResponse res;
	enum reason why;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint8_t bytes[128] = {0x12, (uint8_t)strlen(t[i].text)};

		memcpy(bytes + 2, t[i].text, bytes[1]);
		assert_true(
			msg_parse_response(bytes, bytes[1] + 2u, &res, &why));
		assert_int_equal(why, t[i].why);
	}
}

static void fields_of_others_are_skipped(void **state)
{
	static const struct {
		const char *p;
		size_t n;
		bool good;
	} t[] = {
		{"\x21"
		 "12345678\x10\x02",
		 11, true},
		{"\x25"
		 "1234\x10\x02",
		 7, true},
		{"\x20\x05\x10\x02", 4, true},
		{"\x22\0\x10\x02", 4, true},
		{"\x23\x24\x10\x02", 4, false}, /* a group */
		{"\x21"
		 "1234567",
		 8, false},
		{"\x22\xff\xff\xff\xff\x0f", 6, false},   /* over 2 GiB */
		{"\xa0\x80\x80\x80\x80\x01\0", 7, false}, /* no such field */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		for (size_t at = 0; at <= t[i].n; at++) {
			struct seen s = split(t[i].p, t[i].n, at);

			assert_int_equal(s.ends, t[i].good);
			assert_int_equal(s.error, !t[i].good);
			assert_true(!t[i].good || s.cmd == 2);
		}
}

static void fields_of_others_are_few(void **state)
{
	struct msg_in m;

	(void)state;
	msg_in_init(&m);
	for (int n = MSG_UNKNOWN_MAX; n <= MSG_UNKNOWN_MAX + 1; n++) {
		uint8_t bytes[2 * (MSG_UNKNOWN_MAX + 1)];
		struct seen s = {0};

		for (int i = 0; i < n; i++)
			memcpy(bytes + 2 * i, "\x20\x05", 2);
		/* each message may have as many */
		for (int i = 0; i < 2 && !s.error; i++)
			feed(&m, bytes, 2 * (size_t)n, true, &s);
		assert_int_equal(s.ends, n > MSG_UNKNOWN_MAX ? 0 : 2);
		assert_int_equal(s.error, n > MSG_UNKNOWN_MAX);
	}
}

static void texts_that_are_too_long_are_not_sent(void **state)
{
	char text[1200] = "";
	struct bufpool pool;

	(void)state;
	bufpool_init(&pool);
	memset(text, 'x', sizeof(text) - 1);
	assert_null(msg_connect(&pool, (uint8_t *)"1", 1, text));
	assert_null(
		msg_respond(&pool, (uint8_t *)"1", 1, REASON_DONE, text, true));
	bufpool_done(&pool);
}

static void resets_and_credit_are_read(void **state)
{
	uint32_t n;

	(void)state;
	assert_int_equal(msg_parse_reset((const uint8_t *)"\x08\x07", 2),
			 REASON_REFUSED);
	assert_int_equal(msg_parse_reset((const uint8_t *)"", 0),
			 REASON_CLOSED);
	assert_int_equal(
		msg_parse_reset((const uint8_t *)"connection does not exist",
				25),
		REASON_CLOSED);
	assert_true(msg_parse_credit((const uint8_t *)"\x08\x4d", 2, &n));
	assert_int_equal(n, 77);
	assert_true(msg_parse_credit((const uint8_t *)"", 0, &n));
	assert_int_equal(n, 0);
	assert_false(msg_parse_credit((const uint8_t *)"\x08", 1, &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_cut_anywhere_is_the_same_message),
		cmocka_unit_test(an_empty_message_is_a_connect_without_id),
		cmocka_unit_test(a_negative_command_is_a_command),
		cmocka_unit_test(malformed_messages_are_errors),
		cmocka_unit_test(messages_follow_each_other),
		cmocka_unit_test(sealing_gives_the_bytes_of_the_document),
		cmocka_unit_test(answers_carry_a_reason),
		cmocka_unit_test(gos_error_texts_are_understood),
		cmocka_unit_test(fields_of_others_are_skipped),
		cmocka_unit_test(fields_of_others_are_few),
		cmocka_unit_test(texts_that_are_too_long_are_not_sent),
		cmocka_unit_test(resets_and_credit_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
