/* SPDX-License-Identifier: MIT */
/*
 * A budget is a sum of bytes that may not be exceeded: all windows that the
 * process has promised to its peers are taken from one budget.
 */
#ifndef PROTO_BUDGET_H
#define PROTO_BUDGET_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

struct budget {
	size_t limit;
	size_t used;
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

#endif
