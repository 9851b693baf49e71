/* SPDX-License-Identifier: MIT */
/* From a queue into a socket, in few system calls. */
#ifndef CORE_POUR_H
#define CORE_POUR_H

#include <uv.h>

#include "proto/buf.h"

/* Write from the front of q, and pull, what the socket takes now; *gone grows
 * by that. Nothing of libuv's may be under way. 0, or the libuv code of the
 * socket's failure. */
int pour(uv_stream_t *to, struct bufq *q, size_t *gone);
/* The first bufs of q, at most max, up to the first that has bytes aside: the
 * pieces of them that are in memory. Returns how many. */
unsigned int pour_gather(const struct bufq *q, uv_buf_t *v, unsigned int max);

#endif
