/* SPDX-License-Identifier: MIT */
/*
 * A mux carries many streams over one ordered channel of messages, symmetric:
 * either side may open. It does no I/O and knows no clock but the one it is
 * told. docs/protocol.md specifies what it says.
 *
 *	function		who calls	what it may do
 *	mux_input()		the channel	records only
 *	mux_pull(), end_ops	anyone		never call up
 *	mux_notify()		the channel	calls up, events of all streams
 *
 * A stream is an end (proto/end.h). It belongs to whoever opened or was given
 * it, until end_drop() or dead().
 *
 * native: the peer is a wsp too. Credit, FIN, reset with a reason, first data
 * together with CONNECT. Otherwise it is a gowsp: no credit, INTERRUPT closes
 * both directions, nothing is sent before RESPOND.
 */
#ifndef PROTO_MUX_H
#define PROTO_MUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/addr.h"
#include "proto/budget.h"
#include "proto/buf.h"
#include "proto/end.h"
#include "proto/pace.h"

#define MUX_GRANT (16 * 1024) /* promised to each new stream at least */
#define MUX_GRANT_FIRST                                       \
	(64 * 1024) /* what it gets while memory is plentiful \
		     */
#define MUX_DATA_MAX     (1024 * 1024) /* bytes of data in one message */
#define MUX_DATA_GOWSP   (32 * 1024)   /* the same towards gowsp */
#define MUX_ENVELOPE_MAX 256           /* what a message has beside its data */
#define MUX_MESSAGE_MAX  (MUX_DATA_MAX + MUX_ENVELOPE_MAX)

struct mux;

struct mux_config {
	bool initiator;    /* this side made the connection */
	bool native;       /* negotiated */
	uint32_t grant;    /* credit we have announced for each stream */
	uint32_t credit;   /* credit the peer has announced */
	uint32_t max_data; /* bytes of data in one message to the peer */
	bool aside;        /* the channel sends what lies aside (proto/buf.h) */
	struct budget *budget;
	struct pace *pace;
	struct bufpool *pool;
};

struct mux_ops {
	/* mux_pull() or mux_notify() have something to do: call them at the
	 * end of the turn. Does nothing else. */
	void (*wake)(void *ctx);
	/* A whole step of bulk waits, which is still in the processor's
	 * cache: mux_pull() it now, if it can go. Does nothing else. */
	void (*hurry)(void *ctx);
	/* Would the channel send now what lies aside? False: it is full, and
	 * will pull once it is not any more. If the config says aside. */
	bool (*takes)(void *ctx);
	/* The peer wants a stream to target: stream_accept() or
	 * stream_refuse() it, at once or later. e is the callee's. */
	void (*open)(void *ctx, struct end *e, const struct addr *target);
};

/* NULL: no memory. */
struct mux *mux_new(const struct mux_config *config, const struct mux_ops *ops,
		    void *ctx);
/* Streams that are left are freed without a word; see mux_fail(). */
void mux_free(struct mux *m);

/* The next n bytes of a message; last: it is complete. Anything but DONE ends
 * the channel. The bytes must stay until mux_notify(). */
enum reason mux_input(struct mux *m, uint8_t *p, size_t n, bool last);
/* Bytes of the message that is arriving which mux_pass() would take, as far as
 * the message has them: data of a large one, for a user who takes what lies
 * aside, and reads now. *got: bytes of its data that have come. */
uint64_t mux_passable(const struct mux *m, uint64_t *got);
/* b, lent until mux_notify(), is the next data, aside, of a message in which
 * mux_passable() was more. Else as mux_input(). */
enum reason mux_pass(struct mux *m, const struct buf *b, bool last);
/* Tell all users what has happened. */
void mux_notify(struct mux *m);
/* The next message for the peer, with headroom for a frame header, or NULL.
 * Caller frees. */
struct buf *mux_pull(struct mux *m);
/* The channel is gone: every stream is dead(why). Those that are complete, with
 * both FINs said and heard, live on until their users have taken what is left;
 * wake() tells of each that goes. Calls up. */
void mux_fail(struct mux *m, enum reason why);
/* Now it is so late; cheap. To be called at mux_due() too, which is 0 when
 * nothing waits for the clock. */
void mux_tick(struct mux *m, uint64_t now_ms);
uint64_t mux_due(const struct mux *m);

unsigned int mux_streams(const struct mux *m);
/* Those of them that carry bulk: much data lately, in either direction. */
unsigned int mux_bulk(struct mux *m);
/* Bytes of control messages that wait: a peer that does not read must not be
 * listened to for ever. */
size_t mux_backlog(const struct mux *m);
/* Must the channel not be read, since a gowsp stream's queue is full? */
bool mux_choked(const struct mux *m);
/* DONE, or NO_MEMORY when a message could not be made: the channel must end. */
enum reason mux_error(const struct mux *m);

/* Ask the peer for a stream to target. OPENING until RESPOND; send() and fin()
 * are allowed at once. NULL: *why is LIMIT or NO_MEMORY. */
struct end *mux_open(struct mux *m, const struct addr *target,
		     const struct end_events *events, void *user,
		     enum reason *why);
/* Answer the peer's CONNECT: the target is there, bound ("ADDR:PORT" or NULL)
 * is our side of it. Events must have been set. */
void stream_accept(struct end *e, const char *bound);
/* Answer that it is not; e is gone. */
void stream_refuse(struct end *e, enum reason why);

#endif
