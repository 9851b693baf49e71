/* SPDX-License-Identifier: MIT */
/*
 * To ask is to want a stream to a target, for an application:
 *
 *	NO	 nothing is wanted
 *	WAITING	 the tunnel is down; early data is kept
 *	OPENING	 the server has been asked; early data is on its way already
 *
 * Both together last --connect-timeout. An ask is a member of whoever asks, who
 * gets the stream with opened() or the reason with refused(); the ask is NO
 * again then.
 */
#ifndef MODES_ASK_H
#define MODES_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/worker.h"
#include "proto/addr.h"
#include "proto/buf.h"
#include "proto/end.h"
#include "proto/reason.h"

struct ask;
struct tunnel;

struct ask_ops {
	/* stream is open, and the callee's. */
	void (*opened)(struct ask *a, struct end *stream, const char *bound);
	void (*refused)(struct ask *a, enum reason why);
	/* There is room for n bytes of early data. */
	void (*ready)(struct ask *a, size_t n);
};

/* All that ask of one client. */
struct asks {
	struct worker *worker;
	struct ask *first; /* in WAITING or OPENING */
	/* The tunnel, or NULL: it is down. */
	struct tunnel *(*tunnel)(void *ctx);
	/* Somebody waits for it. */
	void (*want)(void *ctx);
	void *ctx;
	uint64_t timeout_ms;
};

struct ask {
	struct ask *next, *prev;
	struct asks *all;
	const struct ask_ops *ops;
	enum { ASK_NO, ASK_WAITING, ASK_OPENING } state;
	struct addr target;
	struct end *stream; /* OPENING */
	struct bufq early;  /* WAITING */
	struct deadline deadline;
	/* For the relay that follows: */
	uint64_t bytes; /* sent to the target */
	bool fin;       /* the early data has ended */
	bool flushed;   /* and the stream has said so */
};

void ask_init(struct ask *a, struct asks *all, const struct ask_ops *ops);
/* Want a stream to target, which is copied. DONE, or why there will be none: no
 * call up follows then. */
enum reason ask_start(struct ask *a, const struct addr *target);
/* Send early data: takes the bufs in q. *room: bytes that may follow; 0: wait
 * for ready(). More is taken all the same. False: no memory, and some are lost;
 * only ask_drop() may follow. */
bool ask_send(struct ask *a, struct bufq *q, size_t *room);
/* No more early data will come. */
void ask_fin(struct ask *a);
/* Want nothing any more. */
void ask_drop(struct ask *a, enum reason why);

/* The tunnel is up: those that wait go on. */
void asks_wake(struct asks *all);
bool asks_waiting(const struct asks *all);
/* Refuse those that wait. */
void asks_refuse(struct asks *all, enum reason why);

#endif
