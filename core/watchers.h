/* SPDX-License-Identifier: MIT */
/*
 * libuv keeps a table of what it watches, indexed by descriptor, and ends the
 * process when that cannot grow. Here it gets one with room for every
 * descriptor that the process may have, before it asks: of a large table only
 * the pages in use become memory.
 *
 *	watchers_reserve() ... uv_loop_init() ... watchers_release()
 *
 * on one thread. The table is freed by uv_loop_close().
 */
#ifndef CORE_WATCHERS_H
#define CORE_WATCHERS_H

/* 0 or a negative libuv code: no memory, or no descriptors, which would end
 * the process in uv_loop_init() as well. */
int watchers_reserve(void);
/* What libuv has not taken, as it has failed. */
void watchers_release(void);

#endif
