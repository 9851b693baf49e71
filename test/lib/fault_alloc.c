/* SPDX-License-Identifier: MIT */
/* Allocations of the program and of every library that it uses, which fail
 * when the test says so. Under a sanitizer, too: its own are the next ones. */
#include "test/lib/fault.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EARLY (64 * 1024) /* what dlsym() may want while it is asked */

static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void (*free)(void *);
	int (*posix_memalign)(void **, size_t, size_t);
} real;
static bool looking, tracing;
static char early[EARLY] __attribute__((aligned(16)));
static size_t early_used;

static void look(void)
{
	if (real.free || looking)
		return;
	looking = true;
	real.malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	real.calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	real.realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	real.posix_memalign = (int (*)(void **, size_t, size_t))dlsym(
		RTLD_NEXT, "posix_memalign");
	real.free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	looking = false;
}

static void *take_early(size_t n)
{
	void *p = early + early_used;

	n = (n + 15) & ~(size_t)15;
	if (n > EARLY - early_used)
		_exit(91);
	early_used += n;
	return p;
}

static bool is_early(const void *p)
{
	return (const char *)p >= early && (const char *)p < early + EARLY;
}

/* backtrace() loads a library when it is called first. */
__attribute__((constructor)) static void warm(void)
{
	void *frame;

	tracing = true;
	backtrace(&frame, 1);
	tracing = false;
}

static bool fails(void)
{
	struct control *c = fault_control;
	uint64_t n;

	if (tracing)
		return false;
	n = __atomic_add_fetch(&c->allocs, 1, __ATOMIC_RELAXED);
	if (n != c->fail_at &&
	    !(c->fail_ppm && fault_random(1000000) < c->fail_ppm))
		return false;
	tracing = true;
	c->nframes = (uint32_t)backtrace(c->frames, FRAMES);
	if (getenv("WSP_FAULT_TRACE"))
		backtrace_symbols_fd(c->frames, (int)c->nframes, 2);
	tracing = false;
	__atomic_fetch_add(&c->failed, 1, __ATOMIC_RELAXED);
	errno = ENOMEM;
	return true;
}

void *malloc(size_t n)
{
	look();
	if (!real.malloc)
		return take_early(n);
	return fails() ? NULL : real.malloc(n);
}

void *calloc(size_t n, size_t size)
{
	look();
	if (!real.calloc)
		return take_early(n * size);
	return fails() ? NULL : real.calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	look();
	if (fails())
		return NULL;
	if (!is_early(p))
		return real.realloc(p, n);
	return memcpy(real.malloc(n), p, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
	look();
	return fails() ? ENOMEM : real.posix_memalign(p, align, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	void *p;

	return posix_memalign(&p, align, n) ? NULL : p;
}

void *memalign(size_t align, size_t n)
{
	return aligned_alloc(align, n);
}

void free(void *p)
{
	look();
	if (!is_early(p))
		real.free(p);
}
