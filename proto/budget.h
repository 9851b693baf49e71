/* SPDX-License-Identifier: MIT */
/*
 * A budget is a sum of bytes that may not be exceeded: all windows that a
 * worker has promised to its peers are taken from one budget. What windows have
 * beyond the smallest promise is at most three eighths of it, so that there is
 * always room for new streams: 10,240 of 16 KiB in 256 MiB.
 */
#ifndef PROTO_BUDGET_H
#define PROTO_BUDGET_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

struct budget {
	size_t limit;
	size_t used;
	size_t extra;       /* of it, beyond the smallest promises */
	unsigned int grown; /* windows that are larger than at first */
};

/* Take n bytes. False: they are not there, and nothing was taken. */
static inline bool budget_take(struct budget *b, size_t n)
{
	if (n > b->limit - b->used)
		return false;
	b->used += n;
	return true;
}

static inline void budget_give(struct budget *b, size_t n)
{
	assert(n <= b->used);
	b->used -= n;
}

static inline size_t budget_extra_limit(const struct budget *b)
{
	return b->limit / 8 * 3;
}

/* The same for what is more than the smallest promise. */
static inline bool budget_take_extra(struct budget *b, size_t n)
{
	size_t most = budget_extra_limit(b);

	if (b->extra > most || n > most - b->extra || !budget_take(b, n))
		return false;
	b->extra += n;
	return true;
}

static inline void budget_give_extra(struct budget *b, size_t n)
{
	assert(n <= b->extra);
	b->extra -= n;
	budget_give(b, n);
}

#endif
