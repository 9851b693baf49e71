/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <uv.h>

#include "core/worker.h"
#include "proto/container.h"

#define SENDERS 4
#define LETTERS 5000

struct note {
	struct letter letter;
	unsigned int sender, n;
	struct count *count;
};

struct count {
	struct worker w;
	unsigned int opened[SENDERS]; /* the next number of each */
	unsigned int total, end;
	uv_thread_t reader; /* the thread that opens */
};

struct sender {
	struct count *count;
	unsigned int number;
	unsigned int posted;
	struct note notes[LETTERS];
};

static void on_note(struct letter *l)
{
	struct note *note = container_of(l, struct note, letter);
	struct count *c = note->count;
	uv_thread_t self = uv_thread_self();

	assert_true(uv_thread_equal(&self, &c->reader));
	assert_int_equal(c->opened[note->sender]++, note->n);
	if (++c->total == c->end)
		worker_stop(&c->w);
}

static struct note *write_note(struct sender *s, unsigned int n)
{
	s->notes[n] = (struct note){.letter = {.open = on_note},
				    .sender = s->number,
				    .n = n,
				    .count = s->count};
	return &s->notes[n];
}

static void on_sender(void *arg)
{
	struct sender *s = arg;

	for (unsigned int n = 0; n < LETTERS; n++) {
		if (!worker_post(&s->count->w, &write_note(s, n)->letter))
			break;
		s->posted++;
	}
}

static int setup(void **state)
{
	struct count *c = calloc(1, sizeof(*c));

	if (!c || worker_init(&c->w, 1 << 20))
		return -1;
	c->reader = uv_thread_self();
	*state = c;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* Every sender until the box closes, which it does after end letters. */
static void send_all(struct count *c, struct sender *senders[SENDERS])
{
	uv_thread_t threads[SENDERS];

	for (unsigned int i = 0; i < SENDERS; i++) {
		senders[i] = calloc(1, sizeof(*senders[i]));
		assert_non_null(senders[i]);
		senders[i]->count = c;
		senders[i]->number = i;
		uv_thread_create(&threads[i], on_sender, senders[i]);
	}
	worker_run(&c->w);
	for (unsigned int i = 0; i < SENDERS; i++)
		uv_thread_join(&threads[i]);
}

static void test_letters_arrive_in_order_on_their_thread(void **state)
{
	struct sender *senders[SENDERS];
	struct count *c = *state;

	c->end = SENDERS * LETTERS;
	send_all(c, senders);
	for (unsigned int i = 0; i < SENDERS; i++) {
		assert_int_equal(c->opened[i], LETTERS);
		free(senders[i]);
	}
	assert_int_equal(worker_done(&c->w), 0);
}

/* Nobody believes that a letter has arrived that nobody opens. */
static void test_what_was_taken_is_opened(void **state)
{
	struct sender *senders[SENDERS];
	struct count *c = *state;

	c->end = LETTERS / 2;
	send_all(c, senders);
	for (unsigned int i = 0; i < SENDERS; i++) {
		assert_int_equal(c->opened[i], senders[i]->posted);
		free(senders[i]);
	}
	assert_int_equal(worker_done(&c->w), 0);
}

static void test_a_closed_box_refuses(void **state)
{
	struct count *c = *state;
	struct sender *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->count = c;
	assert_true(worker_post(&c->w, &write_note(s, 0)->letter));
	mailbox_close(&c->w.mailbox);
	assert_int_equal(c->opened[0], 1);
	assert_false(worker_post(&c->w, &write_note(s, 1)->letter));
	mailbox_close(&c->w.mailbox);
	assert_int_equal(c->opened[0], 1);
	assert_int_equal(worker_done(&c->w), 0);
	free(s);
}

struct other {
	struct worker w;
	struct worker *first;
	struct letter stop, ended;
	bool told;
};

static void on_stop(struct letter *l)
{
	worker_stop(&container_of(l, struct other, stop)->w);
}

static void on_ended(struct letter *l)
{
	struct other *o = container_of(l, struct other, ended);

	o->told = true;
	worker_stop(o->first);
}

static void test_a_thread_says_when_it_has_ended(void **state)
{
	struct count *c = *state;
	struct other o = {.first = &c->w,
			  .stop = {.open = on_stop},
			  .ended = {.open = on_ended}};

	assert_int_equal(worker_init(&o.w, 1 << 20), 0);
	assert_int_equal(worker_start(&o.w, &c->w, &o.ended), 0);
	assert_true(worker_post(&o.w, &o.stop));
	worker_run(&c->w);
	assert_true(o.told);
	worker_join(&o.w);
	assert_int_equal(worker_done(&o.w), 0);
	assert_int_equal(worker_done(&c->w), 0);
}

static void test_the_parts_are_no_more_than_the_whole(void **state)
{
	struct count *c = *state;
	unsigned int whole = c->w.max_conns;
	struct worker other;
	struct buf *b;

	worker_share(&c->w, &c->w, 1);
	assert_int_equal(c->w.max_conns, whole);
	assert_int_equal(worker_init(&other, 1 << 20), 0);
	worker_share(&other, &c->w, 3);
	worker_share(&c->w, &c->w, 3);
	assert_in_range(c->w.max_conns, 1, whole / 3);
	assert_int_equal(other.max_conns, c->w.max_conns);
	assert_ptr_equal(other.budget, c->w.budget);
	assert_int_equal(c->w.budget->limit, 1 << 20);
	b = buf_new(&other.pool, 100);
	assert_non_null(b);
	assert_in_range(bufpool_inuse(&c->w.pool), 100, 8192);
	buf_free(b);
	assert_int_equal(bufpool_inuse(&c->w.pool), 0);
	assert_int_equal(worker_done(&other), 0);
	assert_int_equal(worker_done(&c->w), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_letters_arrive_in_order_on_their_thread, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_what_was_taken_is_opened,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_closed_box_refuses,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_thread_says_when_it_has_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_parts_are_no_more_than_the_whole, setup,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
