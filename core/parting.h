/* SPDX-License-Identifier: MIT */
/*
 * A parting is what is left of a connection whose user is done: all has been
 * said, but lower has not seen the peer's half-close. Dropped now, it would
 * reset and cut off what is on its way.
 */
#ifndef CORE_PARTING_H
#define CORE_PARTING_H

#include "core/worker.h"
#include "proto/end.h"

/* Takes lower, which has been half-closed: waits for its end, not for long, and
 * drops it. */
void parting_start(struct worker *w, struct end *lower);

#endif
