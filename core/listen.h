/* SPDX-License-Identifier: MIT */
/*
 * A listener accepts connections and hands each to its owner as an end. At
 * the limit of descriptors it accepts and resets, so that nobody waits and
 * nothing spins.
 */
#ifndef CORE_LISTEN_H
#define CORE_LISTEN_H

#include "core/worker.h"
#include "proto/addr.h"
#include "proto/end.h"

struct listener;

/* e is OPEN and the callee's. */
typedef void listen_fn(void *ctx, struct end *e);

/* Listen on host:port; port 0: any. host "" or "*": all addresses of both
 * families. NULL: *error says why ("address already in use"). */
struct listener *listen_open(struct worker *w, const struct addr *at,
			     listen_fn *on, void *ctx, const char **error);
/* Stop accepting and free. */
void listen_drop(struct listener *l);
/* "127.0.0.1:1080", with the real port; valid as long as l. */
const char *listen_name(const struct listener *l);

#endif
