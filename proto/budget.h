/* SPDX-License-Identifier: MIT */
/*
 * A budget is a sum of bytes that may not be exceeded: all windows that a
 * process has promised to its peers are taken from one budget, whichever of its
 * threads they are on. What windows have beyond the smallest promise is at most
 * three eighths of it, so that there is always room for new streams: 10,240 of
 * 16 KiB in 256 MiB.
 */
#ifndef PROTO_BUDGET_H
#define PROTO_BUDGET_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct budget {
	size_t limit;
	atomic_size_t used;
	atomic_size_t extra; /* of it, beyond the smallest promises */
	atomic_uint grown;   /* windows that are larger than at first */
};

/* Add n to sum. False: it would be more than limit, and nothing was added. */
static inline bool budget_add(atomic_size_t *sum, size_t n, size_t limit)
{
	size_t had = atomic_load_explicit(sum, memory_order_relaxed);

	do {
		if (had > limit || n > limit - had)
			return false;
	} while (!atomic_compare_exchange_weak(sum, &had, had + n));
	return true;
}

/* Take n bytes. False: they are not there, and nothing was taken. */
static inline bool budget_take(struct budget *b, size_t n)
{
	return budget_add(&b->used, n, b->limit);
}

static inline void budget_give(struct budget *b, size_t n)
{
	size_t had = atomic_fetch_sub(&b->used, n);

	assert(n <= had);
	(void)had;
}

static inline size_t budget_extra_limit(const struct budget *b)
{
	return b->limit / 8 * 3;
}

/* The same for what is more than the smallest promise, which is at most most
 * afterwards, of budget_extra_limit(). */
static inline bool budget_take_extra(struct budget *b, size_t n, size_t most)
{
	if (!budget_add(&b->extra, n, most))
		return false;
	if (budget_take(b, n))
		return true;
	atomic_fetch_sub(&b->extra, n);
	return false;
}

static inline void budget_give_extra(struct budget *b, size_t n)
{
	size_t had = atomic_fetch_sub(&b->extra, n);

	assert(n <= had);
	(void)had;
	budget_give(b, n);
}

#endif
