/* SPDX-License-Identifier: MIT */
/*
 * A visitor is a connection to one of the server's listeners, until it has
 * gone or was found not to be a client:
 *
 *	PREFACE	  the front's word on who it is, with --proxy-protocol
 *	TLS	  its handshake, if there is a certificate
 *	GUEST	  with --backend, --static: client or not? (backend.c)
 *	OPENING	  WebSocket handshake; 10 seconds in all
 *	UP	  a tunnel whose streams become connections (connect.c)
 *
 * Until UP it is a stranger, of whom there may not be many (strangers.h).
 *
 * All of a worker's, with what they share, are a struct visitors.
 */
#ifndef MODES_VISITOR_H
#define MODES_VISITOR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "core/log.h"
#include "core/worker.h"
#include "modes/backend.h"
#include "modes/connect.h"
#include "modes/options.h"
#include "modes/strangers.h"
#include "proto/end.h"

struct guesses;
struct tls_context;
struct visitor;

struct visitors {
	struct worker *worker;
	const struct options *options;
	struct roster *roster;               /* one reference */
	struct tls_context *tls;             /* or NULL */
	int folder;                          /* of --static, or -1 */
	struct guesses *guesses;             /* shared by all workers */
	void (*ended)(struct visitors *all); /* something has; see busy() */
	/* Visitors who are here or expected. Who finds somebody adds one
	 * before take(), on whatever thread. */
	atomic_uint count;

	/* private */
	struct visitor *first;
	struct connects connects;
	struct backend backend;
	struct strangers strangers;
	struct log_limit refused, crowded, guessing;
	bool draining;
};

/* Zeroed, with worker to ended set; the references of roster and tls are the
 * owner's to give back, at the end. */
void visitors_init(struct visitors *all);
/* Take e, which is OPEN and was accepted right now; NULL: who was expected has
 * gone. */
void visitors_take(struct visitors *all, struct end *e);
/* There is a new roster, or a new context (NULL: not), a reference of each:
 * takes them. Tunnels stay, unless their token is not in force any more. */
void visitors_renew(struct visitors *all, struct roster *r,
		    struct tls_context *tls);
/* From now on refuse new streams. */
void visitors_drain(struct visitors *all);
/* Is anybody talking to a target or to the site? */
bool visitors_busy(const struct visitors *all);
void visitors_drop(struct visitors *all, enum reason why);

#endif
