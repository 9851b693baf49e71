/* SPDX-License-Identifier: MIT */
/*
 * A refusal is what is left of a connection whose handshake was refused:
 *
 *	WAITING  the answer is held back for a while, who guesses has to wait
 *	SAID	 the answer and our half-close are out; 2 seconds for the peer's
 *
 * Anybody can cause one, so a worker has at most REFUSALS_MAX: the oldest goes
 * for the next.
 */
#ifndef CORE_REFUSAL_H
#define CORE_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/worker.h"
#include "proto/end.h"

#define REFUSALS_MAX 64

struct penalty {
	uint64_t wait_ms; /* before the answer */
	bool mute;        /* a reset instead of it */
};

/* Takes lower; n bytes at answer are copied. */
void refusal_start(struct worker *w, struct end *lower,
		   const struct penalty *penalty, const char *answer, size_t n);
/* All of them: the worker ends. */
void refusals_drop(struct worker *w);

#endif
