/* SPDX-License-Identifier: MIT */
/*
 * A lane is where a client carries applications: their sessions, and a link to
 * the server (link.h), all on one worker. There is one for each worker.
 *
 * Bulk keeps a processor busy, and what is small waits behind it: not for the
 * connection, which gives it way, but for the thread. So who comes goes to the
 * lane with the least bulk, the first of equals, and stays there with his
 * streams; at the server, each connection goes to the worker with the fewest.
 *
 * The first lane is the client's own, whose link is what the client tells of.
 * The others are spare:
 *
 *	ASLEEP	has no connection, and gets nobody
 *	AWAKE	its link is up, or dials, or has failed
 *
 * One is woken when all lanes before it carry bulk over a short way, or have
 *few descriptors left: before anybody needs it. It sleeps again when it was of
 *no use for a while. Over a long way further connections do the same (pool.h).
 */
#ifndef MODES_LANE_H
#define MODES_LANE_H

#include "core/log.h"
#include "modes/link.h"
#include "modes/service.h"
#include "modes/session.h"

struct lanes;

struct lane {
	struct lanes *all;
	unsigned int number; /* of its worker */
	struct worker *worker;
	struct link link;
	struct users *users; /* of the proxies, or NULL: everybody */
	struct sessions sessions;
	struct deadline look;
	struct log_limit full;

	/* Written on its thread, read on the first: */
	atomic_bool up, busy;
	atomic_uint bulk;

	/* The first's: */
	atomic_uint coming; /* on their way to it */
	bool awake;
	bool unused;    /* at the last review */
	uint64_t woken; /* when */
};

struct lanes {
	struct service *service;
	const struct options *options;
	const struct link_ops *ops; /* of the first lane's link */
	void *ctx;
	struct lane *at;
	unsigned int count;
	struct deadline review; /* while one of the others is AWAKE */
	bool reviewing;
};

/* Prepare one for each worker; *l is zeroed. 0, or the exit code after an error
 * has been logged. lanes_free() must follow. */
int lanes_open(struct lanes *l, struct service *s, const struct options *o,
	       const struct link_ops *ops, void *ctx);
/* The first dials. */
void lanes_start(struct lanes *l);
/* Somebody was accepted, for a proxy that speaks in. True: he goes to another
 * lane, which takes fd. */
bool lanes_send(struct lanes *l, int fd, bool local, const struct inbound *in);
/* He stays in the first. Takes e. */
void lanes_take(struct lanes *l, struct end *e, const struct inbound *in);
/* Streams may be opened in the first that had to wait, or its load is another
 * one. */
void lanes_wake(struct lanes *l);
/* HUP: all read their files again. */
void lanes_reload(struct lanes *l);
/* Free, after the workers have ended. */
void lanes_free(struct lanes *l);

/* On the thread of lane n, see struct service_ops. */
void lane_drain(struct lanes *l, unsigned int n);
bool lane_busy(const struct lanes *l, unsigned int n);
void lane_stop(struct lanes *l, unsigned int n, enum reason why);

#endif
