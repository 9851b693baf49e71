/* SPDX-License-Identifier: MIT */
/*
 * A copy of bytes that ends right at an unreadable page: a parser that reads
 * one byte too far dies at once.
 */
#ifndef TEST_LIB_FENCE_H
#define TEST_LIB_FENCE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static inline size_t fence_span(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (n + page - 1) / page * page;
}

/* Free with fence_free(). Aborts when there is no memory. */
static inline uint8_t *fence_copy(const void *p, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), span = fence_span(n);
	uint8_t *base = mmap(NULL, span + page, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED || mprotect(base + span, page, PROT_NONE))
		abort();
	if (n)
		memcpy(base + span - n, p, n);
	return base + span - n;
}

static inline void fence_free(uint8_t *p, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), span = fence_span(n);

	munmap(p + n - span, span + page);
}

#endif
