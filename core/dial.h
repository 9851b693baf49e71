/* SPDX-License-Identifier: MIT */
/*
 * A dial turns a host and a port into an open conn: it resolves the name,
 * asks whether each address may be dialled, and tries them by RFC 8305
 * (Happy Eyeballs): the next attempt starts 250 ms after the last one, or at
 * once when that has failed; the first that succeeds wins.
 *
 *	RESOLVING  waiting for the resolver
 *	TRYING	   one or more attempts under way
 *	CLOSING	   done or dropped
 *
 * One deadline covers all of it.
 */
#ifndef CORE_DIAL_H
#define CORE_DIAL_H

#include "core/worker.h"
#include "proto/end.h"

struct dial;

struct dial_ops {
	/* May sa, which host resolved to, be dialled? NULL: all may. */
	bool (*allow)(void *ctx, const char *host, const struct sockaddr *sa);
	/* Called exactly once unless dial_drop() comes first, never on the
	 * stack of dial_start(). why DONE: conn is open, and now the
	 * callee's. Else conn is NULL; when attempts failed differently, why
	 * is that of the first. */
	void (*done)(void *ctx, struct end *conn, enum reason why);
};

/* host: a name or an address without brackets. ms: for all of it.
 * NULL: no memory. */
struct dial *dial_start(struct worker *w, const char *host, uint16_t port,
			uint64_t ms, const struct dial_ops *ops, void *ctx);
void dial_drop(struct dial *d);

#endif
