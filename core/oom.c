/* SPDX-License-Identifier: MIT */
#include "core/oom.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local unsigned long failed;

unsigned long oom_count(void)
{
	return failed;
}

#ifndef LIBC_CALLOC
/* Or the compiler would make of the two calls below one of calloc(). */
static void *(*volatile get)(size_t n) = malloc;

void *calloc(size_t count, size_t size)
{
	size_t n;
	void *p = NULL;

	if (__builtin_mul_overflow(count, size, &n))
		errno = ENOMEM;
	else
		p = get(n);
	if (!p && n)
		failed++;
	return p ? memset(p, 0, n) : NULL;
}
#endif
