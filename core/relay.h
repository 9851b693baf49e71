/* SPDX-License-Identifier: MIT */
/*
 * A relay moves bytes between two ends until both directions are finished or
 * one end fails; then it drops both, writes one line at debug level and frees
 * itself. It knows neither of them.
 *
 * P2: a clean end is passed on after every byte before it; a failure is passed
 * on as a reset, never as a clean end.
 */
#ifndef CORE_RELAY_H
#define CORE_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/worker.h"
#include "proto/end.h"

#define SIDES 2

/* All relays of one owner, so that it can wait for them or end them. */
struct relays {
	struct relay *first;
	unsigned int count;
	void (*idle)(struct relays *all); /* count became 0; may be NULL */
};

struct relay_spec {
	struct end *side[SIDES];
	const char *name; /* for the log; copied */
	uint64_t bytes;   /* of side 0 that side 1 has got already */
	size_t unsent; /* given to side 0 by others, not yet told by sent() */
	bool eof;      /* side 0 has ended already, and side 1 got its fin() */
	bool flushed;  /* and has told flushed() */
	bool over;     /* side 1 has ended already: to be passed on */
	size_t ahead;  /* bytes that may wait for a side; 0: what it takes */
	struct worker *worker; /* of half_ms */
	/* Once side 1 has ended, side 0 may be silent, and take nothing, for so
	 * long; 0: for ever.
	 * A socket that was closed does not show that it was more than a
	 * half-close before somebody writes to it. */
	uint64_t half_ms;
};

/* Join the two sides; takes them. False: no memory; they are still the
 * caller's. */
bool relay_start(struct relays *all, const struct relay_spec *spec);
/* End every relay: both sides are reset. */
void relays_drop(struct relays *all, enum reason why);

#endif
