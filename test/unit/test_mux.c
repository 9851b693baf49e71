/* SPDX-License-Identifier: MIT */
/* What a mux makes of messages that a peer of ours would not send; what those
 * do that it sends is mux_sim's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/msg.h"
#include "proto/mux.h"

#define ID    ((const uint8_t *)"1")
#define OWN   ((const uint8_t *)"2") /* the first id of a server */
#define GRANT 16384

struct fixture {
	struct bufpool pool;
	struct budget budget;
	struct pace pace;
	struct mux *mux;
	struct end *offered;
	int dead; /* the reason, 0: it is not */
};

static void on_wake(void *ctx)
{
	(void)ctx;
}

static void on_open(void *ctx, struct end *e, const struct addr *target)
{
	(void)target;
	((struct fixture *)ctx)->offered = e;
}

static const struct mux_ops mux_ops = {
	.wake = on_wake, .hurry = on_wake, .open = on_open};

static void on_opened(struct end *e, const char *bound)
{
	(void)e;
	(void)bound;
}

static void on_nothing(struct end *e)
{
	(void)e;
}

static void on_data(struct end *e, struct bufq *q)
{
	(void)e;
	bufq_clear(q);
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	(void)detail;
	((struct fixture *)e->user)->dead = (int)why;
}

static const struct end_events events = {.opened = on_opened,
					 .data = on_data,
					 .eof = on_nothing,
					 .flushed = on_nothing,
					 .dead = on_dead};

static struct fixture *set_up(void **state, bool native)
{
	static struct fixture f;
	struct mux_config config = {.native = native,
				    .grant = GRANT,
				    .credit = GRANT,
				    .max_data = MUX_DATA_GOWSP};

	memset(&f, 0, sizeof(f));
	f.budget.limit = 1 << 20;
	bufpool_init(&f.pool);
	config.budget = &f.budget;
	config.pace = &f.pace;
	config.pool = &f.pool;
	f.mux = mux_new(&config, &mux_ops, &f);
	*state = &f;
	return &f;
}

static int native_set_up(void **state)
{
	return !set_up(state, true)->mux;
}

static int gowsp_set_up(void **state)
{
	return !set_up(state, false)->mux;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	mux_free(f->mux);
	bufpool_done(&f->pool);
	return f->budget.used != 0;
}

static enum reason feed(struct fixture *f, struct buf *b)
{
	enum reason why;

	assert_non_null(b);
	why = mux_input(f->mux, buf_ptr(b), b->len, true);
	mux_notify(f->mux);
	buf_free(b);
	return why;
}

static struct buf *data(struct fixture *f, const uint8_t *id, size_t n)
{
	struct buf *b = buf_new(&f->pool, n);

	memset(buf_ptr(b), 'd', n);
	b->len = (uint32_t)n;
	msg_seal(b, id, 1, WspCmd_TRANSFER);
	return b;
}

/* A message of any command, with these bytes as its data. */
static struct buf *raw(struct fixture *f, WspCmd cmd, const char *p, size_t n)
{
	struct buf *b = buf_copy(&f->pool, p, n);

	msg_seal(b, ID, 1, cmd);
	return b;
}

static struct buf *connect_to(struct fixture *f, const char *url)
{
	return msg_connect(&f->pool, ID, 1, url);
}

/* What the mux says now. */
static void pull_all(struct fixture *f)
{
	struct buf *b;

	while ((b = mux_pull(f->mux)))
		buf_free(b);
}

static struct end *accepted(struct fixture *f)
{
	assert_int_equal(feed(f, connect_to(f, "tcp://a:1")), REASON_DONE);
	end_use(f->offered, &events, f);
	stream_accept(f->offered, NULL);
	pull_all(f);
	return f->offered;
}

static struct end *asked(struct fixture *f)
{
	struct addr target = {.host = "h", .port = 1};
	enum reason why;
	struct end *e = mux_open(f->mux, &target, &events, f, &why);

	assert_non_null(e);
	pull_all(f);
	return e;
}

/* Why the stream that the peer asked for is refused. */
static enum reason refusal(struct fixture *f)
{
	const uint8_t *at, *slice = NULL;
	struct buf *b = mux_pull(f->mux);
	WspResponse res;
	struct msg_in m;
	enum reason why;
	size_t n, len = 0;

	assert_non_null(b);
	at = buf_ptr(b);
	n = b->len;
	msg_in_init(&m);
	assert_int_equal(msg_feed(&m, &at, &n, true, &slice, &len), MSG_HEAD);
	assert_int_equal(m.cmd, WspCmd_RESPOND);
	assert_int_equal(msg_feed(&m, &at, &n, true, &slice, &len), MSG_DATA);
	assert_true(msg_parse_response(slice, len, &res, &why));
	assert_int_equal(res.code, WspCode_FAILED);
	buf_free(b);
	return why;
}

static void what_cannot_be_connected_is_refused(void **state)
{
	static char url[1200] = "tcp://";
	struct fixture *f = *state;

	feed(f, raw(f, WspCmd_CONNECT, "\xff\xff", 2));
	assert_int_equal(refusal(f), REASON_BAD_REQUEST);
	feed(f, raw(f, WspCmd_CONNECT, "\x08\x01\x12\x09tcp://h:1", 13));
	assert_int_equal(refusal(f), REASON_BAD_COMMAND);
	feed(f, connect_to(f, "tcp://h"));
	assert_int_equal(refusal(f), REASON_BAD_ADDRESS);
	memset(url + 6, 'h', sizeof(url) - 7);
	feed(f, raw(f, WspCmd_CONNECT, url, sizeof(url)));
	assert_int_equal(refusal(f), REASON_BAD_REQUEST);
	assert_null(f->offered);
}

static void an_id_in_use_stays_whose_it_is(void **state)
{
	struct fixture *f = *state;

	accepted(f);
	feed(f, connect_to(f, "tcp://b:1"));
	assert_int_equal(refusal(f), REASON_LIMIT);
	assert_int_equal(mux_streams(f->mux), 1);
	assert_int_equal(feed(f, data(f, ID, 1)), REASON_DONE);
}

static void data_needs_an_answer_first(void **state)
{
	struct fixture *f = *state;

	asked(f);
	assert_int_equal(feed(f, data(f, OWN, 1)), REASON_PROTOCOL);
}

static void so_does_an_end(void **state)
{
	struct fixture *f = *state;

	asked(f);
	assert_int_equal(feed(f, data(f, OWN, 0)), REASON_PROTOCOL);
}

/* It has crossed with the end of its stream. */
static void what_is_unknown_is_nothing(void **state)
{
	struct fixture *f = *state;

	end_drop(asked(f), REASON_RESET);
	assert_int_equal(feed(f, data(f, OWN, 1)), REASON_DONE);
	assert_int_equal(feed(f, data(f, OWN, 0)), REASON_DONE);
}

static void no_data_comes_behind_the_end(void **state)
{
	struct fixture *f = *state;

	accepted(f);
	assert_int_equal(feed(f, data(f, ID, 0)), REASON_DONE);
	assert_int_equal(feed(f, data(f, ID, 1)), REASON_PROTOCOL);
}

static void an_end_comes_once(void **state)
{
	struct fixture *f = *state;

	accepted(f);
	assert_int_equal(feed(f, data(f, ID, 0)), REASON_DONE);
	assert_int_equal(feed(f, data(f, ID, 0)), REASON_PROTOCOL);
}

static void promises_are_kept(void **state)
{
	struct fixture *f = *state;
	int i = 0;

	accepted(f);
	while (feed(f, data(f, ID, GRANT)) == REASON_DONE)
		i++;
	assert_int_equal(i, MUX_GRANT_FIRST / GRANT);
}

static void credit_has_an_end(void **state)
{
	struct fixture *f = *state;

	accepted(f);
	assert_int_equal(feed(f, msg_credit(&f->pool, ID, 1, UINT32_MAX)),
			 REASON_PROTOCOL);
}

static void credit_is_a_number(void **state)
{
	struct fixture *f = *state;

	accepted(f);
	assert_int_equal(feed(f, raw(f, WspCmd_CREDIT, "\x08", 1)),
			 REASON_PROTOCOL);
}

static void an_answer_needs_a_question(void **state)
{
	struct fixture *f = *state;

	accepted(f);
	assert_int_equal(
		feed(f, msg_respond(&f->pool, ID, 1, REASON_DONE, NULL, true)),
		REASON_PROTOCOL);
}

static void an_answer_may_be_no(void **state)
{
	struct fixture *f = *state;

	asked(f);
	assert_int_equal(feed(f, msg_respond(&f->pool, OWN, 1, REASON_REFUSED,
					     NULL, true)),
			 REASON_DONE);
	assert_int_equal(f->dead, REASON_REFUSED);
}

static void long_control_messages_end_the_channel(void **state)
{
	static const char text[1100];
	struct fixture *f = *state;

	assert_int_equal(feed(f, raw(f, (WspCmd)9, text, sizeof(text))),
			 REASON_DONE);
	assert_int_equal(feed(f, raw(f, WspCmd_RESPOND, text, sizeof(text))),
			 REASON_TOO_LARGE);
}

static void unknown_commands_mean_nothing(void **state)
{
	struct fixture *f = *state;

	accepted(f);
	assert_int_equal(feed(f, raw(f, (WspCmd)9, "x", 1)), REASON_DONE);
	assert_null(mux_pull(f->mux));
	assert_int_equal(f->dead, 0);
}

/* A stream that was reset before its user has said yes, and what crosses. */
static void what_crosses_with_a_reset_is_nothing(void **state)
{
	struct fixture *f = *state;
	struct end *e;
	struct buf *b;

	assert_int_equal(feed(f, connect_to(f, "tcp://a:1")), REASON_DONE);
	e = f->offered;
	b = msg_reset(&f->pool, ID, 1, REASON_RESET, true);
	assert_int_equal(mux_input(f->mux, buf_ptr(b), b->len, true),
			 REASON_DONE);
	buf_free(b);
	end_use(e, &events, f);
	stream_accept(e, NULL); /* in vain: nothing goes out */
	assert_null(mux_pull(f->mux));
	b = data(f, ID, 5);
	assert_int_equal(mux_input(f->mux, buf_ptr(b), b->len, true),
			 REASON_DONE);
	buf_free(b);
	b = data(f, ID, 0);
	assert_int_equal(mux_input(f->mux, buf_ptr(b), b->len, true),
			 REASON_DONE);
	buf_free(b);
	b = msg_credit(&f->pool, ID, 1, 5);
	assert_int_equal(mux_input(f->mux, buf_ptr(b), b->len, true),
			 REASON_DONE);
	buf_free(b);
	end_left(e, 0);
	mux_notify(f->mux);
	assert_int_equal(f->dead, REASON_RESET);
	assert_int_equal(mux_streams(f->mux), 0);
}

/* gowsp knows no credit, answers late, and interrupts what is not there yet. */
static void gowsp_may_say_what_we_may_not(void **state)
{
	struct fixture *f = *state;

	accepted(f);
	assert_int_equal(feed(f, raw(f, WspCmd_CREDIT, "\x08", 1)),
			 REASON_DONE);
	assert_int_equal(
		feed(f, msg_respond(&f->pool, ID, 1, REASON_DONE, NULL, false)),
		REASON_DONE);
	assert_int_equal(f->dead, 0);
	asked(f);
	feed(f, msg_reset(&f->pool, OWN, 1, REASON_DONE, false));
	assert_int_equal(f->dead, REASON_CLOSED);
}

/* No credit bounds it, but the budget does. */
static void gowsp_fills_no_more_than_the_budget(void **state)
{
	struct fixture *f = *state;

	accepted(f);
	for (int i = 0; i < 40 && !f->dead; i++)
		feed(f, data(f, ID, 32768));
	assert_int_equal(f->dead, REASON_LIMIT);
	assert_int_equal(mux_streams(f->mux), 0);
}

#define NATIVE(name) \
	cmocka_unit_test_setup_teardown(name, native_set_up, tear_down)
#define GOWSP(name) \
	cmocka_unit_test_setup_teardown(name, gowsp_set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		NATIVE(what_cannot_be_connected_is_refused),
		NATIVE(an_id_in_use_stays_whose_it_is),
		NATIVE(data_needs_an_answer_first),
		NATIVE(so_does_an_end),
		NATIVE(what_is_unknown_is_nothing),
		NATIVE(no_data_comes_behind_the_end),
		NATIVE(an_end_comes_once),
		NATIVE(promises_are_kept),
		NATIVE(credit_has_an_end),
		NATIVE(credit_is_a_number),
		NATIVE(an_answer_needs_a_question),
		NATIVE(an_answer_may_be_no),
		NATIVE(long_control_messages_end_the_channel),
		NATIVE(unknown_commands_mean_nothing),
		NATIVE(what_crosses_with_a_reset_is_nothing),
		GOWSP(gowsp_may_say_what_we_may_not),
		GOWSP(gowsp_fills_no_more_than_the_budget),
	};

	return cmocka_run_group_tests_name("mux", tests, NULL, NULL);
}
