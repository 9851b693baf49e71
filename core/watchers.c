/* SPDX-License-Identifier: MIT */
#include "core/watchers.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#define FDS_MAX    (1024 * 1024) /* Linux gives no more, unless told so */
#define OWN        3             /* libuv's own entries */
#define FDS_NEEDED 4             /* at once, or uv_loop_init() aborts */

static _Thread_local void *reserve;
static _Thread_local size_t reserved;
static uv_once_t once = UV_ONCE_INIT;

/* The table begins with nothing, and grows within what it got then. */
static void *uv_realloc(void *p, size_t n)
{
	void *table = reserve;

	if (!p && table && n <= reserved) {
		reserve = NULL;
		return table;
	}
	if (p && n && n <= malloc_usable_size(p))
		return p;
	return realloc(p, n);
}

static void replace(void)
{
	uv_replace_allocator(malloc, uv_realloc, calloc, free);
}

static size_t table_size(void)
{
	struct rlimit r = {.rlim_cur = FDS_MAX};
	size_t n = 1;

	getrlimit(RLIMIT_NOFILE, &r);
	if (r.rlim_cur > FDS_MAX)
		r.rlim_cur = FDS_MAX;
	while (n < r.rlim_cur + OWN)
		n *= 2; /* as libuv counts */
	return n * sizeof(void *);
}

/* Its first loop makes a pipe for signals, and must get it. */
static bool have_fds(void)
{
	int fds[FDS_NEEDED], n = 0;

	while (n < FDS_NEEDED &&
	       (fds[n] = open("/", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	for (int i = 0; i < n; i++)
		close(fds[i]);
	return n == FDS_NEEDED;
}

int watchers_reserve(void)
{
	uv_once(&once, replace);
	if (!have_fds())
		return UV_EMFILE;
	reserved = table_size();
	reserve = malloc(reserved); /* not touched until it is used */
	return reserve ? 0 : UV_ENOMEM;
}

void watchers_release(void)
{
	free(reserve);
	reserve = NULL;
}
