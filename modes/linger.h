/* SPDX-License-Identifier: MIT */
/*
 * The last word to an application or an origin is on its way, and nothing more
 * will be said: the connection is half-closed behind it, and what the peer
 * still sends is read and thrown away, since a reset would destroy the answer
 * (RFC 9112 section 9.6). It has a minute as long as it reads nothing, and 2
 * seconds once all has left; the kernel goes on with what it holds then.
 */
#ifndef MODES_LINGER_H
#define MODES_LINGER_H

#include <stdbool.h>

#include "core/worker.h"
#include "proto/end.h"

struct lingers {
	struct worker *worker;
	struct lingering *first;
	void (*ended)(struct lingers *all); /* one of them */
};

/* Takes e; eof: it has finished sending. */
void linger_start(struct lingers *all, struct end *e, bool eof);
void lingers_drop(struct lingers *all, enum reason why);

#endif
