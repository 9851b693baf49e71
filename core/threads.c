/* SPDX-License-Identifier: MIT */
#include "core/threads.h"

#include <stdlib.h>

#define THREADS     4    /* unless UV_THREADPOOL_SIZE says otherwise */
#define THREADS_MAX 1024 /* of libuv */

static int pool_size(void)
{
	const char *text = getenv("UV_THREADPOOL_SIZE");
	int n = text ? atoi(text) : THREADS;

	if (n < 1)
		return 1;
	return n < THREADS_MAX ? n : THREADS_MAX;
}

static void on_try(void *arg)
{
	uv_sem_wait(arg);
}

/* All at once; then they end. */
static int try_all(void)
{
	uv_thread_t made[THREADS_MAX];
	int wanted = pool_size(), n = 0;
	uv_sem_t go;
	int err = uv_sem_init(&go, 0);

	if (err)
		return err;
	while (!err && n < wanted) {
		err = uv_thread_create(&made[n], on_try, &go);
		n += !err;
	}
	for (int i = 0; i < n; i++)
		uv_sem_post(&go);
	for (int i = 0; i < n; i++)
		uv_thread_join(&made[i]);
	uv_sem_destroy(&go);
	return err;
}

static void on_nothing(uv_work_t *work)
{
	(void)work;
}

static void on_started(uv_work_t *work, int status)
{
	(void)status;
	free(work);
}

int threads_start(uv_loop_t *loop)
{
	uv_work_t *work = malloc(sizeof(*work));
	int err = work ? try_all() : UV_ENOMEM;

	if (!err)
		err = uv_queue_work(loop, work, on_nothing, on_started);
	if (err)
		free(work);
	return err;
}
