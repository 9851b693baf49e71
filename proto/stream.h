/* SPDX-License-Identifier: MIT */
/*
 * One stream, private to mux.c and stream.c. Its two halves:
 *
 *	tx OPEN	  send() allowed
 *	tx DRAIN  fin() was called, data may still be queued
 *	tx SHUT	  FIN given out by mux_pull(); flushed() is due or was told
 *
 *	rx OPEN	  data may arrive
 *	rx SHUT	  FIN has arrived; eof() is due or was told
 *
 * and the way to them:
 *
 *	ASKED	  our CONNECT is out; ends with RESPOND
 *	OFFERED	  the peer's CONNECT has arrived; ends with our RESPOND
 *	OPEN	  both sides know
 *	DEAD	  reset by the peer or by an error; dead() is due
 */
#ifndef PROTO_STREAM_H
#define PROTO_STREAM_H

/* Out of memory must be an error, never an exit: mux.c looks at hh.tbl. */
#define HASH_NONFATAL_OOM 1

#include <uthash.h>

#include "proto/gowsp.h"
#include "proto/mux.h"
#include "proto/window.h"

#define STREAM_ID_MAX    64
#define STREAM_BOUND_MAX 64
#define VIEWS_MAX        64 /* slices of one read that wait for mux_notify() */

enum stream_state { STREAM_ASKED, STREAM_OFFERED, STREAM_OPEN, STREAM_DEAD };
enum stream_half { HALF_OPEN, HALF_DRAIN, HALF_SHUT };

struct stream {
	struct end end;
	struct mux *mux;
	UT_hash_handle hh;
	struct stream *ring_next, *ring_prev; /* has something to pull */
	struct stream *note_next, *note_prev; /* has something to tell */
	struct stream *give_next, *give_prev; /* has credit to give */
	struct stream *bulk_next, *bulk_prev; /* carries bulk */
	uint8_t id[STREAM_ID_MAX];
	uint8_t id_len;
	uint8_t state, tx, rx; /* the enums above */
	uint8_t ring;          /* which ring it is in, 0: none */
	bool noted, giving, bulk;
	bool reading;    /* the user takes data */
	bool aside;      /* and what lies aside as well */
	bool offered;    /* open() is due */
	bool opened;     /* opened() is due */
	bool eof;        /* eof() is due */
	bool flushed;    /* flushed() is due */
	bool waiting;    /* send() has returned 0: ready() is due with room */
	bool stuck;      /* credit has run out: tell the peer */
	bool grown;      /* our window has */
	uint8_t heavy;   /* messages until it counts as small again */
	uint8_t why;     /* of DEAD, an enum reason */
	uint32_t credit; /* what may still be sent */
	uint32_t give;   /* credit that waits to be given */
	uint32_t moved;  /* in both directions since slot, up to a limit */
	uint64_t slot;
	uint64_t bulk_at; /* when it was bulk last */
	struct window win;
	struct bufq queue;   /* to be sent */
	struct bufq in;      /* to be told */
	struct addr *target; /* of an OFFERED stream, until open() */
	char *bound;         /* of an ASKED stream, until opened() */
	struct gowsp go;     /* of a mux that is not native */
};

struct mux {
	struct mux_config config;
	const struct mux_ops *ops;
	void *ctx;
	struct stream *streams;  /* by id */
	struct stream *rings[2]; /* small streams, heavy streams */
	struct stream *notes;
	struct stream *gives;
	struct stream *bulks;
	unsigned int nbulk;
	struct stream *dues;   /* not native: those that wait */
	struct stream *chokes; /* those that hold too much */
	uint64_t due; /* when the first of them has, or before; 0: none */
	bool new_due; /* one has begun to wait since the last tick */
	struct bufq control; /* messages that go before data */
	struct stream *cur;  /* of the message that is arriving */
	struct msg_in *msg;
	uint8_t *small; /* data of the control message that is arriving */
	size_t small_len;
	bool cut; /* it was longer */
	struct buf views[VIEWS_MAX];
	unsigned int nviews;
	uint64_t next_id;
	uint64_t now;
	unsigned int light_run; /* small messages in a row */
	enum reason error;
	bool gone; /* the channel is */
};

/* stream.c, for mux.c: */
struct stream *stream_new(struct mux *m, const uint8_t *id, size_t id_len);
void stream_free(struct stream *s);
/* Put s where the mux will find it, if it has something to say. */
void stream_wake(struct stream *s);
void stream_note(struct stream *s);
/* The peer's messages. False: a violation. */
bool stream_data(struct stream *s, struct buf *b);
bool stream_fin(struct stream *s);
/* Does its user take, now and as it comes, what lies aside? */
bool stream_passes(const struct stream *s);
void stream_reset(struct stream *s, enum reason why);
/* Has all been said and heard on the wire? */
bool stream_complete(const struct stream *s);
/* Reset, and the peer is told. */
void stream_abort(struct stream *s, enum reason why);
/* Keep what is lent. */
void stream_own(struct stream *s);
/* One event; s may be gone afterwards. */
void stream_tell(struct stream *s);
/* The next message of s. */
struct buf *stream_pull(struct stream *s);
/* The same, when there is data and credit. */
struct buf *stream_pull_data(struct stream *s);
/* Forget what should have been sent. */
void stream_unqueue(struct stream *s);
/* The end of what we send has gone out. */
void stream_shut(struct stream *s);

/* credit.c: */
/* The peer's CREDIT. False: a violation. */
bool stream_credit(struct stream *s, uint32_t bytes);
/* The window of a stream that lives: more than the smallest promise, while
 * memory is plentiful. */
void stream_first_grant(struct stream *s);
/* Credit, or the notice of being blocked, is due. */
void stream_give(struct stream *s);
/* n bytes that were delivered have left the process. */
void stream_left(struct stream *s, size_t n);

/* bulk.c: */
/* n bytes of its data have come, or gone out. */
void stream_moved(struct stream *s, uint32_t n);
void stream_unbulk(struct stream *s);

/* mux.c: */
struct stream *mux_find(struct mux *m, const uint8_t *id, size_t n);
void mux_control(struct mux *m, struct buf *b);
void mux_forget(struct mux *m, struct stream *s);

#endif
