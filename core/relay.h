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

#include "proto/end.h"

#define SIDES 2

/* All relays of one owner, so that it can wait for them or end them. */
struct relays {
	struct relay *first;
	unsigned int count;
	void (*idle)(struct relays *all); /* count became 0; may be NULL */
};

/* Looks at what both sides send, and says how many of the n bytes may pass; the
 * rest is thrown away. Freed with the relay. */
struct relay_filter {
	/* From side 0 to side 1. */
	size_t (*pass)(struct relay_filter *f, const uint8_t *p, size_t n);
	/* Is what has passed broken, so that both sides must be reset? */
	bool (*broken)(const struct relay_filter *f);
	/* From side 1 to side 0. */
	size_t (*reply)(struct relay_filter *f, const uint8_t *p, size_t n);
	/* Is that over, so that side 1 counts as finished? */
	bool (*over)(const struct relay_filter *f);
	void (*free)(struct relay_filter *f);
};

struct relay_spec {
	struct end *side[SIDES];
	struct relay_filter *filter; /* may be NULL */
	const char *name;            /* for the log; copied */
	uint64_t bytes;              /* of side 0 that side 1 has got already */
	size_t unsent; /* given to side 0 by others, not yet told by sent() */
	bool eof;      /* side 0 has ended already, and side 1 got its fin() */
	bool flushed;  /* and has told flushed() */
};

/* Join the two sides; takes them and the filter. False: no memory; all are
 * still the caller's. */
bool relay_start(struct relays *all, const struct relay_spec *spec);
/* End every relay: both sides are reset. */
void relays_drop(struct relays *all, enum reason why);

#endif
