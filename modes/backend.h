/* SPDX-License-Identifier: MIT */
/*
 * The web site that a server hides in. A guest is a connection of which nobody
 * knows yet whether it is a client's:
 *
 *	WATCHING  proto/gate reads along; what the site may have goes there at
 *		  once, and comes back if it answers
 *	PIPING	  not a client's; the site is being dialled
 *	LEAVING	  there is no site: it gets a 502 and 5 seconds to go
 *	gone	  given back as a client's, a relay to the site, or dropped
 *
 * The site gets a connection of its own for each guest, with the same bytes at
 * the same time, half-closes and resets: what it does, its own time-outs too,
 * is what the guest sees.
 */
#ifndef MODES_BACKEND_H
#define MODES_BACKEND_H

#include "core/log.h"
#include "core/relay.h"
#include "core/worker.h"
#include "proto/addr.h"
#include "proto/end.h"
#include "proto/gate.h"

struct guest;

struct backend {
	struct worker *worker;
	struct addr at;
	int folder; /* files to be served instead (core/folder.h), or -1 */
	unsigned int keepalive_s;         /* of sockets to the site; 0: none */
	void (*ended)(struct backend *b); /* something has; see busy() */

	/* private */
	struct guest *guests;
	unsigned int dialled; /* of them, have the site or will */
	struct relays relays;
	struct log_limit failed;
};

struct guest_ops {
	/* Is this token somebody's? In constant time. */
	bool (*knows)(void *ctx, const char *token);
	/* May this complete request be a tunnel? DONE, or why not. */
	enum reason (*check)(void *ctx, const struct upgrade_request *req);
	/* A client: e is the callee's; it has delivered n bytes at p, which
	 * are valid during the call. */
	void (*ours)(void *ctx, struct end *e, const uint8_t *p, size_t n);
	/* It is none, or it has gone: nothing more is told. */
	void (*theirs)(void *ctx);
};

/* Zeroed, with worker to ended set. */
void backend_init(struct backend *b);
/* Take e, which is OPEN and belongs to name. NULL: no memory, e is gone. */
struct guest *guest_new(struct backend *b, struct end *e, const char *name,
			const struct guest_ops *ops, void *ctx);
/* Before it is OURS or THEIRS. */
void guest_drop(struct guest *g, enum reason why);
/* The same, but it is the site's from now on: theirs() is called. */
void guest_pass(struct guest *g, const char *why);
/* Is anybody talking to the site? */
bool backend_busy(const struct backend *b);
/* Drop all who are not WATCHING. */
void backend_drop(struct backend *b, enum reason why);

#endif
