/* SPDX-License-Identifier: MIT */
/*
 * A listener accepts connections and hands each to its owner as an end. At
 * the limit of descriptors it accepts and resets, so that nobody waits and
 * nothing spins.
 */
#ifndef CORE_LISTEN_H
#define CORE_LISTEN_H

#include "core/sockfile.h"
#include "core/worker.h"
#include "proto/addr.h"
#include "proto/end.h"

struct listener;

/* e is OPEN and the callee's. */
typedef void listen_fn(void *ctx, struct end *e);

struct listen_spec {
	/* host:port; port 0: any. host "" or "*": all addresses of both
	 * families. Or "unix:PATH", see addr_unix(). */
	struct addr at;
	struct sockfile_access access; /* of PATH */
	listen_fn *on;
	/* Optional. Asked first: true takes fd, a non-blocking socket that no
	 * loop has seen yet, for instance to another worker (conn_adopt()). */
	bool (*away)(void *ctx, int fd, bool local);
	void *ctx;
};

/* NULL: *error says why ("address already in use"); spec is copied. */
struct listener *listen_open(struct worker *w, const struct listen_spec *spec,
			     const char **error);
/* Stop accepting and free; the file of a Unix socket is gone at once. */
void listen_drop(struct listener *l);
/* "127.0.0.1:1080", with the real port, or "unix:PATH"; valid as long as l. */
const char *listen_name(const struct listener *l);

#endif
