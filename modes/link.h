/* SPDX-License-Identifier: MIT */
/*
 * The client's link to the first of its servers that can be reached: one
 * connection to it or more, which the pool (pool.h) keeps.
 *
 *	DOWN	 a retry is due, after a pause: at most a quarter of a second,
 *		 which doubles, at the start; at most as long as the server has
 *		 been away, 10 seconds at least, behind the end of a tunnel; a
 *		 minute at most. An application that waits ends it.
 *	TRYING	 the pool dials
 *	UP	 link_tunnel() has a tunnel
 *
 * A round tries each server once, one right after the other, beginning with
 * the one that worked last, else with the first; a pause comes behind a whole
 * round only. Until a tunnel has been up, a round decides about what no retry
 * would mend (a bad certificate, a wrong token, a peer that is not a wsp): if
 * one server failed so and none could be reached, the link has failed.
 *
 * When the kernel says that the network has changed, a connection whose address
 * or route is gone is not waited for, and what has come ends a pause.
 *
 * A spare link stands beside another one (modes/lane.h). It dials only while an
 * application waits, or when it is told to; nothing that goes wrong with it is
 * final, and it says little.
 */
#ifndef MODES_LINK_H
#define MODES_LINK_H

#include "core/worker.h"
#include "modes/options.h"
#include "modes/pool.h"

struct link_ops {
	void (*up)(void *ctx);
	/* It was up, and is no more; may be NULL. */
	void (*down)(void *ctx);
	/* Streams may be opened that had to wait. */
	void (*wake)(void *ctx);
	/* No retry would help, or --wait is over. The callee stops. Not of a
	 * spare link. */
	void (*failed)(void *ctx, enum reason why);
	/* Does an application wait for the tunnel? */
	bool (*wanted)(void *ctx);
};

struct link {
	struct worker *w;
	const struct options *o;
	const struct link_ops *ops;
	void *ctx;
	char *token;                   /* NULL: none */
	struct tls_context *tls;       /* for wss */
	struct tls_context *proxy_tls; /* for https proxies */
	struct pool pool;              /* POOL_NONE: DOWN */
	struct netwatch *netwatch;     /* NULL: not to be had */
	struct deadline look;          /* once more for a route */
	struct deadline retry;
	struct deadline wait; /* --wait */
	int at;               /* the server that is used, or tried */
	int first;            /* the one that worked last */
	int tried;            /* servers that have failed in this round */
	enum reason fatal;    /* of one of them; DONE: none */
	uint64_t dialled;     /* when the last attempt began */
	uint64_t redialled;   /* when a change of the network ended one */
	uint64_t up_since;
	uint64_t pause_ms; /* the next pause is at most this, unless lost */
	uint64_t lost_at;  /* when the last tunnel that was stable ended */
	bool lost;         /* a tunnel has ended, and none is stable since */
	bool ever_up;
	bool looking; /* look is set */
	bool spare;
	bool stopped;
};

/* Set up, and log what is risky; o must stay. 0, or the exit code after an
 * error has been logged. */
int link_init(struct link *l, struct worker *w, const struct options *o,
	      bool spare, const struct link_ops *ops, void *ctx);
/* Dial. */
void link_start(struct link *l);
/* A spare one: dial, if it is DOWN, beginning with the server at. */
void link_wake(struct link *l, int at);
/* A spare one: close its connections, and be DOWN. */
void link_rest(struct link *l);
/* For ever. Nothing is called afterwards. */
void link_stop(struct link *l, enum reason why);
/* After link_stop() and the end of the loop; also if init has failed. */
void link_free(struct link *l);
/* An application waits: dial at once, but not more than once a second. */
void link_want(struct link *l);
/* Read the token and certificates again, for connections that are made from now
 * on. What cannot be read leaves in force what was, with a warning. */
void link_reload(struct link *l);
/* Forget about pauses. */
void link_hurry(struct link *l);
/* For a new stream. NULL: wait for up() or wake(). */
struct tunnel *link_tunnel(struct link *l);
/* The server that is used or tried, as text; valid until the next call. */
const char *link_url(struct link *l);

#endif
