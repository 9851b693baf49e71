/* SPDX-License-Identifier: MIT */
/*
 * Streams whose peer is a gowsp (docs/protocol.md, section 10): what they must
 * do beside proto/stream.c, since the Go program knows no credit and no
 * half-close, and takes commands of different kinds in an order of its own.
 *
 * It knows a stream that we have accepted only some time after our RESPOND,
 * and refuses what comes earlier. It may take an INTERRUPT before the data that
 * was sent before it, and loses these. Hence, on our way out:
 *
 *	HOLD	RESPOND is out; nothing goes until the peer has said something
 *		on the stream, or HOLD_MS
 *	TRY	the next message is a probe: a copy goes out, a fence behind it
 *		(at the end an empty one, which gowsp ignores)
 *	PROBE	the fence is out: refused, the copy goes again after RETRY
 *	SETTLE	the fence has come back; a refusal may be right behind it
 *	RETRY	refused
 *	KNOWN	the peer knows the stream: data flows
 *	FENCE	all is out, and a fence behind it
 *	END	the fence has come back: INTERRUPT may go
 *	ECHO	INTERRUPT is out, and that of the peer is awaited
 *
 * What nobody reads is held, up to a limit; beyond that the stream chokes the
 * mux, which takes nothing more for any stream. A stream that lets nothing go
 * for CHOKE_MS is reset then, if there are others.
 *
 * A fence is an empty TRANSFER with an id that no stream has; gowsp answers it
 * with INTERRUPT. Everything has a deadline, if it does not.
 */
#ifndef PROTO_GOWSP_H
#define PROTO_GOWSP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct mux;
struct stream;

enum gowsp_state {
	GOWSP_KNOWN = 0, /* of streams that we have opened, always */
	GOWSP_HOLD,
	GOWSP_TRY,
	GOWSP_PROBE,
	GOWSP_SETTLE,
	GOWSP_RETRY,
	GOWSP_FENCE,
	GOWSP_END,
	GOWSP_ECHO,
};

/* Part of each stream; zeroed at first. */
struct gowsp {
	uint8_t state;
	uint8_t fences; /* sent so far: each has another id */
	bool choking;   /* holds more than it should */
	bool fin_held;  /* fin() waits for the peer's end */
	bool orphan;    /* its user is gone; ends by itself */
	bool timed;     /* in the list of those that wait for due */
	uint32_t probe; /* bytes of the queue that are out on trial */
	uint32_t wait;  /* milliseconds from the next look at the clock */
	uint64_t due;   /* 0: not known before that */
	struct stream *due_next, *due_prev;
	uint64_t choke_due; /* the same, while it is choking */
	struct stream *choke_next, *choke_prev;
};

/* Called by stream.c and mux.c, for streams of a mux that is not native. */

/* Our RESPOND is in the queue. */
void gowsp_accepted(struct stream *s);
/* May stream_pull() be called? */
bool gowsp_sendable(const struct stream *s);
/* Its next message: data, a fence, or the INTERRUPT, after which s may be
 * gone. NULL: no memory. */
struct buf *gowsp_pull(struct stream *s);
/* Data has come: the peer knows the stream. */
void gowsp_heard(struct stream *s);
/* Keep data that no credit has bounded, up to the budget; takes b. Too much of
 * it chokes the mux. */
void gowsp_hold(struct stream *s, struct buf *b);
/* n bytes of it have left the process. */
void gowsp_left(struct stream *s, size_t n);
/* end_fin(). */
void gowsp_fin(struct stream *s);
/* end_drop(): the peer must hear of it, but cannot yet. True: s lives on. */
bool gowsp_drop(struct stream *s);
/* INTERRUPT of s; refused: it says that there is no such stream. */
void gowsp_interrupt(struct stream *s, bool refused);
/* INTERRUPT of an id that no stream has: a fence's, perhaps. */
void gowsp_unknown(struct mux *m, const uint8_t *id, size_t n);
/* s goes away. */
void gowsp_clear(struct stream *s);
/* The clock has moved on. */
void gowsp_tick(struct mux *m);

#endif
