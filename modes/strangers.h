/* SPDX-License-Identifier: MIT */
/*
 * Strangers are connections that have not shown yet that they may be here: from
 * accept() until the tunnel is up, or until they belong to the web site. At a
 * limit the oldest goes, of the same source first: whoever completes a
 * handshake at once gets in, however many say nothing. (Waiting instead until
 * somebody has gone would keep him out.)
 *
 * Each worker has its own, and its part of the limit.
 */
#ifndef MODES_STRANGERS_H
#define MODES_STRANGERS_H

#include <stdbool.h>

#include "modes/source.h"

#define STRANGERS_LEAST 8 /* of a worker, when many share the limit */

/* Member of what it counts; zeroed. */
struct stranger {
	struct stranger *next, *prev;
	struct source from;
	bool counted, known; /* known: from is set */
};

struct strangers {
	struct stranger *oldest;
	unsigned int count, limit;
};

/* limit is that of the process. */
void strangers_init(struct strangers *all, unsigned int limit,
		    unsigned int workers);
/* s has come, from NULL: from wherever. Returns who has to go for him, never s
 * himself, or NULL: the caller removes him. */
struct stranger *strangers_add(struct strangers *all, struct stranger *s,
			       const struct source *from);
/* It has become known that s comes from there. The same. */
struct stranger *strangers_place(struct strangers *all, struct stranger *s,
				 const struct source *from);
/* He is none any more, or gone; again: nothing. */
void strangers_remove(struct strangers *all, struct stranger *s);

#endif
