/* SPDX-License-Identifier: MIT */
/*
 * libuv's threads, for what takes long. It makes them when they are asked for
 * first, and ends the process when it cannot: so they are asked for before
 * anybody is served, and as many are tried before that. What those got from
 * libc (stacks) stays there, for the ones that follow at once.
 */
#ifndef CORE_THREADS_H
#define CORE_THREADS_H

#include <uv.h>

/* 0 or a negative libuv code. */
int threads_start(uv_loop_t *loop);

#endif
