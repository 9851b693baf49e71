/* SPDX-License-Identifier: MIT */
/*
 * A meter is an end between a relay and the connection to a target: it counts
 * as one stream of a name, and makes its bytes wait for the name's rate
 * (proto/usage.h), in both directions. From the target it reads no more; to the
 * target it keeps what the relay has given, and takes no more, so that the
 * sender runs out of credit. Nothing is lost, and nobody else waits.
 *
 * Those that wait are served in turn, a step at a time.
 */
#ifndef CORE_METER_H
#define CORE_METER_H

#include "core/worker.h"
#include "proto/end.h"
#include "proto/usage.h"

struct meter;

struct metered {
	struct meter *first, **last;
};

/* Those of a worker. */
struct meters {
	struct worker *worker;
	struct metered waiting;
	struct deadline due;
};

void meters_init(struct meters *all, struct worker *w);
/* On lower, which is OPEN and taken, for a stream of u that was counted with
 * usage_open(): from now on that is the meter's to undo. NULL: no memory, and
 * nothing was taken. */
struct end *meter_open(struct meters *all, struct end *lower, struct usage *u);

#endif
