/* SPDX-License-Identifier: MIT */
/*
 * A pool is all connections to one server, each an uplink with a tunnel of its
 * own. For the link it is what one uplink would be:
 *
 *	NONE	 before pool_start(), after down() or pool_drop()
 *	TRYING	 the first connection is on its way
 *	UP	 pool_pick() has a tunnel; more connections come and go, of
 *		 which nobody hears
 *
 * Streams of one connection share what TCP gives it: a lost packet holds all
 * of them up, and its buffers in the kernel bound their sum. So a new stream
 * goes where the fewest streams carry bulk, and stays there: a download keeps
 * its connection, others avoid it.
 *
 * How many connections there are is a number, or elastic. Elastic is one, and
 *
 *	over a long way, while streams are being opened, CONNECTIONS_LONG:
 *	streams that begin together cannot be told apart, and must be spread
 *	before it is known which of them are bulk
 *
 *	always one that is not busy, up to CONNECTIONS_ELASTIC in all. Busy is
 *	one that carries bulk over a long way, or that waits for a gowsp stream
 *	which nobody reads
 *
 * Those that were not needed for a while take no new streams, and are closed
 * when they have none. Over a short way a second connection gains nothing but
 * on another thread (lane.h).
 *
 * A connection whose TLS keys have been used much (core/tlsuse.h) is worn:
 * another takes its place, and it ends with its last stream.
 */
#ifndef MODES_POOL_H
#define MODES_POOL_H

#include "core/uplink.h"
#include "core/worker.h"

#define CONNECTIONS_MAX     16
#define CONNECTIONS_ELASTIC 8
#define CONNECTIONS_LONG    4
#define CONNECTIONS_SLOTS   (2 * CONNECTIONS_MAX) /* worn ones too */

struct pool;

struct pool_ops {
	/* The first connection is there. */
	void (*up)(void *ctx);
	/* Streams may be opened that had to wait. */
	void (*wake)(void *ctx);
	/* The server wants a stream to target; e is the callee's. */
	void (*open)(void *ctx, struct end *e, const struct addr *target);
	/* The last connection is gone (was_up), or the first one has failed.
	 * The pool is NONE again. */
	void (*down)(void *ctx, enum reason why, const char *detail,
		     bool was_up);
};

struct connection {
	struct pool *pool;
	struct uplink *uplink; /* NULL: none */
	enum {
		CONNECTION_DIALLING,
		CONNECTION_OPEN,
		CONNECTION_LEAVING,
		CONNECTION_WORN
	} state;
	uint64_t since; /* of OPEN */
};

struct pool {
	struct worker *w;
	const struct pool_ops *ops;
	void *ctx;
	struct uplink_spec spec;
	enum { POOL_NONE, POOL_TRYING, POOL_UP } state;
	struct connection at[CONNECTIONS_SLOTS];
	int size;   /* as many as there should be, or may be */
	int needed; /* elastic: at most so many, since the last review */
	bool elastic;
	bool used;    /* a stream was opened since the last review */
	bool pausing; /* retry is set */
	uint64_t pause_ms;
	uint64_t rtt_ms; /* of the way: the shortest that was seen */
	struct deadline retry;
	struct deadline review;
};

/* connections: 1 to CONNECTIONS_MAX, or 0: elastic. */
void pool_init(struct pool *p, struct worker *w, int connections,
	       const struct pool_ops *ops, void *ctx);
/* Dial; the texts of spec must stay. False: no memory. */
bool pool_start(struct pool *p, const struct uplink_spec *spec);
/* From now on connections are made with these; those that are there stay. */
void pool_renew(struct pool *p, const char *token, struct tls_context *tls,
		struct tls_context *proxy_tls);
/* Close all connections with why; users of streams are told, the owner is not.
 * Idempotent. */
void pool_drop(struct pool *p, enum reason why);
/* The tunnel for a new stream. NULL: wait for up() or wake(). */
struct tunnel *pool_pick(struct pool *p);
/* UP: is the server a wsp? */
bool pool_native(struct pool *p);
/* TRYING: is there no connection yet? */
bool pool_is_dialling(const struct pool *p);
/* How many streams carry bulk; over a long way 0: further connections are
 * enough for the others there. */
unsigned int pool_bulk(struct pool *p);
/* Forget about pauses. */
void pool_hurry(struct pool *p);
/* The network has changed: drop the connections that have lost their way.
 * NO_ROUTE: some have none at the moment, and only pool_check() with certain
 * would drop them. NO_ADDRESS: all that are up have lost it, and were left
 * alone. */
enum netpath_state pool_check(struct pool *p, bool certain);

#endif
