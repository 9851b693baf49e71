// SPDX-License-Identifier: MIT
/* A duplex: a connection on which both sides send known content (flow.h) at
 * the same time, verify what comes, and count how it ends:
 *
 *	done       all of both directions, and both ends clean
 *	reset      an error of the socket; what came before was a prefix
 *	truncated  a clean end before the last byte: P2 is broken
 *	corrupt    a byte that was not sent there: P1 is broken
 *
 * As long as it is not done its socket has SO_LINGER {1,0}: a process that is
 * killed resets it, so that every clean end means that all was sent. */
#ifndef BENCH_DUPLEX_H
#define BENCH_DUPLEX_H

#include "test/bench/flow.h"

struct duplex {
	struct flow send, take;
	bool sent;   // and the end behind it
	bool taken;  // the same
	bool broken; // sending has failed; what has come is still read
};

struct tally {
	_Atomic int opened, done, reset, truncated, corrupt;
	_Atomic uint64_t bytes; // that were as they should be
};

/* The side that asks: d.send has the bytes there, their seed, and whether it
 * is one of many; down bytes come back. fd is non-blocking. */
void duplex_ask(struct duplex *d, uint64_t down, uint8_t order[FLOW_ORDER]);
/* The other one. False if order is none. */
bool duplex_answer(struct duplex *d, int fd, const uint8_t order[FLOW_ORDER]);
/* What to wait for. */
uint32_t duplex_events(const struct duplex *d);
/* Moves what can be moved, and counts. Anything but FLOW_MORE: it has ended,
 * and fd is closed. */
enum flow_state duplex_step(struct duplex *d, uint32_t events, struct block *b,
			    struct tally *t);
/* A line of JSON: the tally and how many streams there are now. */
void tally_print(const struct tally *t, int refused, int open);

#endif
