/* SPDX-License-Identifier: MIT */
/*
 * Streams to origins that wait for another request of the same HTTP connection
 * (RFC 9112 section 9.3). One that says anything, or ends, is dropped.
 */
#ifndef MODES_ORIGINS_H
#define MODES_ORIGINS_H

#include "proto/addr.h"
#include "proto/end.h"

#define ORIGINS_MAX 4

struct lingers;

/* Zeroed but for lingers: there are none. */
struct origins {
	struct lingers *lingers; /* for those that are closed */
	struct origin *first;    /* used longest ago */
	int count;
};

/* Takes stream, which is to target and has nothing to say. */
void origins_put(struct origins *all, struct end *stream,
		 const struct addr *target);
/* The callee's: end_use() must follow. NULL: there is none to target. */
struct end *origins_take(struct origins *all, const struct addr *target);
/* Close all. */
void origins_close(struct origins *all);

#endif
