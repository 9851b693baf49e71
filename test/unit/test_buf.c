/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/buf.h"

static void a_buf_has_headroom_and_the_room_asked_for(void **state)
{
	static const size_t sizes[] = {0,     1,     512,    513,
				       32768, 70000, 262144, BUF_MAX};
	struct bufpool pool;

	(void)state;
	bufpool_init(&pool);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct buf *b = buf_new(&pool, sizes[i]);

		assert_non_null(b);
		assert_int_equal(b->off, BUF_HEADROOM);
		assert_true(buf_tailroom(b) >= sizes[i]);
		memset(buf_ptr(b), 0x55, sizes[i]);
		buf_free(b);
	}
	bufpool_done(&pool);
}

static void freed_bufs_are_used_again_and_counted(void **state)
{
	struct bufpool pool;
	struct buf *a, *b;

	(void)state;
	bufpool_init(&pool);
	a = buf_new(&pool, 4096);
	assert_int_equal(pool.inuse, 4096);
	buf_free(a);
	assert_int_equal(pool.inuse, 0);
	assert_int_equal(pool.idle, 4096);
	b = buf_new(&pool, 4000);
	assert_ptr_equal(a, b);
	assert_int_equal(pool.idle, 0);
	buf_free(b);
	bufpool_trim(&pool);
	assert_int_equal(pool.idle, 0);
	bufpool_done(&pool);
}

static void push_and_pull_move_the_front(void **state)
{
	struct bufpool pool;
	struct buf *b;

	(void)state;
	bufpool_init(&pool);
	b = buf_copy(&pool, "world", 5);
	memcpy(buf_push(b, 6), "hello ", 6);
	assert_int_equal(b->len, 11);
	assert_memory_equal(buf_ptr(b), "hello world", 11);
	buf_pull(b, 6);
	assert_memory_equal(buf_ptr(b), "world", 5);
	buf_free(b);
	bufpool_done(&pool);
}

static void owning_copies_only_what_is_lent(void **state)
{
	uint8_t bytes[] = "lent";
	struct bufpool pool;
	struct buf view, *b;

	(void)state;
	bufpool_init(&pool);
	buf_lend(&view, bytes, 4);
	b = buf_own(&view, &pool);
	assert_ptr_not_equal(b, &view);
	bytes[0] = 'X';
	assert_memory_equal(buf_ptr(b), "lent", 4);
	assert_ptr_equal(buf_own(b, &pool), b);
	buf_free(&view); /* nothing happens */
	buf_free(b);
	bufpool_done(&pool);
}

/* A view of "here" and of what lies aside: n bytes of "beside". */
struct view {
	struct aside aside;
	struct buf b;
	uint8_t memory[BUF_HEADROOM + 4];
	bool lost;
};

static bool fetch(struct aside *a, uint8_t *p)
{
	memcpy(p, "beside" + 6 - a->n, a->n);
	a->n = 0;
	return !((struct view *)a)->lost;
}

static struct buf *look(struct view *v, uint32_t n)
{
	*v = (struct view){.aside = {.n = n, .fetch = fetch}};
	v->b = (struct buf){.data = v->memory,
			    .off = BUF_HEADROOM,
			    .len = n,
			    .cap = sizeof(v->memory),
			    .aside = &v->aside};
	memcpy(buf_push(&v->b, 4), "here", 4);
	return &v->b;
}

static void owning_fetches_what_lies_aside(void **state)
{
	struct bufpool pool;
	struct view v;
	struct buf *b;

	(void)state;
	bufpool_init(&pool);
	assert_int_equal(buf_here(look(&v, 6)), 4);
	assert_int_equal(v.b.len, 10);
	b = buf_own(&v.b, &pool);
	assert_int_equal(v.aside.n, 0);
	assert_int_equal(b->len, 10);
	assert_memory_equal(buf_ptr(b), "herebeside", 10);
	buf_free(b);
	look(&v, 6);
	v.lost = true;
	assert_null(buf_own(&v.b, &pool));
	bufpool_done(&pool);
}

static void what_lies_aside_is_pulled_behind_what_is_here(void **state)
{
	struct bufpool pool;
	struct bufq q;
	struct view v;
	struct buf *b;

	(void)state;
	bufpool_init(&pool);
	bufq_init(&q);
	bufq_put(&q, look(&v, 6));
	bufq_pull(&q, 2);
	assert_memory_equal(buf_ptr(q.head), "re", 2);
	bufq_pull(&q, 5); /* as if 3 of those aside had been written */
	assert_int_equal(buf_here(q.head), 0);
	assert_int_equal(v.aside.n, 3);
	assert_int_equal(q.bytes, 3);
	b = buf_own(bufq_get(&q), &pool);
	assert_int_equal(b->len, 3);
	assert_memory_equal(buf_ptr(b), "ide", 3);
	buf_free(b);
	bufq_put(&q, look(&v, 6));
	bufq_pull(&q, 10);
	assert_null(q.head);
	assert_int_equal(v.aside.n, 0);
	bufpool_done(&pool);
}

static void keeping_joins_what_lies_aside(void **state)
{
	struct bufpool pool;
	struct bufq q;
	struct view v;

	(void)state;
	bufpool_init(&pool);
	bufq_init(&q);
	assert_true(bufq_keep(&q, buf_copy(&pool, "first", 5), &pool));
	assert_true(bufq_keep(&q, look(&v, 6), &pool));
	assert_null(q.head->next);
	assert_int_equal(q.bytes, 15);
	assert_memory_equal(buf_ptr(q.head), "firstherebeside", 15);
	look(&v, 6);
	v.lost = true;
	assert_false(bufq_keep(&q, &v.b, &pool));
	assert_int_equal(q.bytes, 15);
	assert_int_equal(q.head->len, 15);
	bufq_clear(&q);
	bufpool_done(&pool);
}

static void a_queue_keeps_order_and_counts_bytes(void **state)
{
	struct bufpool pool;
	struct bufq q, other;
	struct buf *b;

	(void)state;
	bufpool_init(&pool);
	bufq_init(&q);
	bufq_init(&other);
	bufq_put(&q, buf_copy(&pool, "abc", 3));
	bufq_put(&q, buf_copy(&pool, "", 0));
	bufq_put(&other, buf_copy(&pool, "defg", 4));
	bufq_move(&q, &other);
	assert_int_equal(q.bytes, 7);
	assert_int_equal(other.bytes, 0);
	assert_null(other.head);
	bufq_pull(&q, 2);
	assert_memory_equal(buf_ptr(q.head), "c", 1);
	bufq_pull(&q, 3); /* over the border of two bufs and an empty one */
	assert_int_equal(q.bytes, 2);
	b = bufq_get(&q);
	assert_memory_equal(buf_ptr(b), "fg", 2);
	buf_free(b);
	assert_null(bufq_get(&q));
	bufq_put(&q, buf_copy(&pool, "x", 1));
	bufq_clear(&q);
	bufpool_done(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_buf_has_headroom_and_the_room_asked_for),
		cmocka_unit_test(freed_bufs_are_used_again_and_counted),
		cmocka_unit_test(push_and_pull_move_the_front),
		cmocka_unit_test(owning_copies_only_what_is_lent),
		cmocka_unit_test(owning_fetches_what_lies_aside),
		cmocka_unit_test(what_lies_aside_is_pulled_behind_what_is_here),
		cmocka_unit_test(keeping_joins_what_lies_aside),
		cmocka_unit_test(a_queue_keeps_order_and_counts_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
