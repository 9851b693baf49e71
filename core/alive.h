/* SPDX-License-Identifier: MIT */
/*
 * Is the peer of a WebSocket connection still there? Any byte proves life.
 * After 15 seconds of silence a ping is due (25 towards gowsp, whose pongs may
 * damage its data), after 45 seconds the peer is dead.
 */
#ifndef CORE_ALIVE_H
#define CORE_ALIVE_H

#include "core/worker.h"

struct alive {
	bool alien;     /* a gowsp */
	bool pinged;    /* since heard */
	uint64_t heard; /* worker_now() */
	uint64_t said;
};

/* It has been heard now. */
void alive_heard(struct alive *a, const struct worker *w);
/* Milliseconds until the first look, from now on. */
uint64_t alive_first(const struct alive *a);
/* A look; deaf: we do not listen. *ping: send one now. Returns the milliseconds
 * until the next look; 0: it is dead. */
uint64_t alive_look(struct alive *a, const struct worker *w, bool deaf,
		    bool *ping);

#endif
