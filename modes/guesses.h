/* SPDX-License-Identifier: MIT */
/*
 * Who has shown wrong tokens lately, and how many within a minute of the first:
 * a table of fixed size, which all workers share without a lock. Each source
 * has one of four places, found by a hash with a random key; when all four are
 * taken, the one whose minute began first is given up. So a flood of sources
 * forgets some of them, and costs nothing.
 */
#ifndef MODES_GUESSES_H
#define MODES_GUESSES_H

#include <stdatomic.h>
#include <stdint.h>

#include "modes/source.h"

#define GUESSES_SETS   256
#define GUESSES_WAYS   4
#define GUESSES_WINDOW 60 /* seconds */

struct guesses {
	uint64_t key[2]; /* random */
	/* 24 bits of the hash, 24 bits of the second in which the minute
	 * began, 16 bits of how many; 0: free */
	_Atomic uint64_t place[GUESSES_SETS][GUESSES_WAYS];
};

/* One more. Returns how many there are within the minute, this one included;
 * now in seconds of a clock that all threads share. */
unsigned int guesses_add(struct guesses *g, const struct source *from,
			 uint64_t now);

#endif
