/* SPDX-License-Identifier: MIT */
/*
 * An end is everything that has bytes for somebody: a socket, a TLS session on
 * a socket, a stream in a tunnel. Its user is a relay, a listener's session or
 * a tunnel; neither knows what the other is.
 *
 *	OPENING	 send(), fin() and read() are allowed; nothing arrives yet
 *	OPEN	 after opened(); what accept gives is OPEN from the start
 *	gone	 after drop(), or when dead() has been called
 *
 * Calls down (user to end, through ops) never call back up on the same stack.
 * Calls up (end to user, through events) are the last thing the end does on
 * that stack: the user may drop the end, or hand it to another user, in any
 * of them. An end delivers nothing before its user has called read().
 */
#ifndef PROTO_END_H
#define PROTO_END_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/reason.h"

struct bufq;
struct end;

struct end_ops {
	/* Send all bufs in q; takes them, lent ones are used up or copied
	 * before the call returns. Returns the bytes that may follow now;
	 * 0: wait for ready(). More is taken all the same. */
	size_t (*send)(struct end *e, struct bufq *q);
	/* Nothing more will be sent: half-close once all has gone out. */
	void (*fin)(struct end *e);
	/* Deliver at most max bytes at a time from now on; 0: stop. */
	void (*read)(struct end *e, size_t max);
	/* n of the bytes that e delivered have left the process. */
	void (*left)(struct end *e, size_t n);
	/* Release the end; no call up follows. Ends cleanly only if both
	 * directions are finished, and as a reset with this reason if not. */
	void (*drop)(struct end *e, enum reason why);
	/* Should what is new rather go over another end? NULL: never. */
	bool (*worn)(const struct end *e);
	/* Does send() pass on what lies aside (proto/buf.h), instead of
	 * copying it? NULL: no. */
	bool (*takes_aside)(const struct end *e);
	/* Would it now? False: e is full, and ready() will tell when it is not
	 * any more, as after send(). NULL if that was NULL. */
	bool (*aside_now)(struct end *e);
	/* The user will: deliver so what can be. NULL: nothing can. */
	void (*give_aside)(struct end *e);
	/* Of what e delivers next, the user wants the first head bytes alone,
	 * if that is not 0, and aside of those behind them may lie aside.
	 * Forgotten with the next delivery. NULL: e delivers as it likes. */
	void (*expect)(struct end *e, size_t head, uint64_t aside);
};

struct end_events {
	/* OPENING has become OPEN. bound is "ADDR:PORT" of the socket that
	 * was opened, where it is known, else NULL. */
	void (*opened)(struct end *e, const char *bound);
	/* Bytes are about to arrive aside; the user may say read(0) instead,
	 * and do nothing else to e. Of who has called give_aside(). */
	void (*near)(struct end *e);
	/* Bytes have arrived; takes the bufs, lent ones are only valid during
	 * the call. */
	void (*data)(struct end *e, struct bufq *q);
	/* n bytes handed to send() have left the process. */
	void (*sent)(struct end *e, size_t n);
	/* send() has room for n bytes again. */
	void (*ready)(struct end *e, size_t n);
	/* The other party has finished sending, and all has been delivered. */
	void (*eof)(struct end *e);
	/* The half-close that fin() asked for is on its way. */
	void (*flushed)(struct end *e);
	/* e has failed and is gone; do not drop it. detail may be NULL. */
	void (*dead)(struct end *e, enum reason why, const char *detail);
};

struct end {
	const struct end_ops *ops;
	const struct end_events *events;
	void *user; /* belongs to whoever set events */
};

/* From now on e reports to user. */
static inline void end_use(struct end *e, const struct end_events *events,
			   void *user)
{
	e->events = events;
	e->user = user;
}

static inline size_t end_send(struct end *e, struct bufq *q)
{
	return e->ops->send(e, q);
}

static inline void end_fin(struct end *e)
{
	e->ops->fin(e);
}

static inline void end_read(struct end *e, size_t max)
{
	e->ops->read(e, max);
}

static inline void end_left(struct end *e, size_t n)
{
	e->ops->left(e, n);
}

static inline bool end_worn(const struct end *e)
{
	return e->ops->worn && e->ops->worn(e);
}

static inline bool end_takes_aside(const struct end *e)
{
	return e->ops->takes_aside && e->ops->takes_aside(e);
}

static inline bool end_aside_now(struct end *e)
{
	return e->ops->aside_now(e);
}

static inline void end_give_aside(struct end *e)
{
	if (e->ops->give_aside)
		e->ops->give_aside(e);
}

static inline void end_expect(struct end *e, size_t head, uint64_t aside)
{
	if (e->ops->expect)
		e->ops->expect(e, head, aside);
}

static inline void end_drop(struct end *e, enum reason why)
{
	e->ops->drop(e, why);
}

#endif
