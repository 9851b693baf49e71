/* SPDX-License-Identifier: MIT */
/*
 * How a conn reads: how much next, and whether into a buf, into memory that the
 * worker lends, or aside (core/splice.h). It reads little of what is quiet, and
 * a step of proto/pace.h of what flows.
 */
#ifndef CORE_INTAKE_H
#define CORE_INTAKE_H

#include "core/worker.h"

struct intake {
	struct worker *w;
	bool bulk;        /* into the worker's scratch memory */
	bool aside;       /* the user takes what lies aside */
	bool splicing;    /* libuv was given no memory: intake_splice() */
	bool plain;       /* the next read is libuv's */
	size_t hint;      /* what the next read will probably bring */
	size_t head;      /* of bulk: what the user wants, see end_expect() */
	uint64_t beside;  /* and how much of it may lie aside */
	uint64_t turn;    /* of the last read */
	uint64_t header;  /* the turn in which head bytes were read */
	struct buf *rbuf; /* handed to libuv for the next read */
};

void intake_init(struct intake *in, struct worker *w);
void intake_done(struct intake *in);

/* May it read in this turn? One read a turn: what it brought must be able to
 * leave first. */
bool intake_may(const struct intake *in);
/* Will the next read be intake_splice()? */
bool intake_aside(const struct intake *in);
/* Memory for a read of at most max bytes by libuv, NULL if there is none. */
uv_buf_t intake_memory(struct intake *in, size_t max);
/* n of asked bytes have been read into it. Returns them: *lent, or a buf that
 * is the caller's. */
struct buf *intake_take(struct intake *in, size_t n, size_t asked,
			struct buf *lent);
/* Read at most max bytes of h, a stream socket, aside; *b shows them until
 * splice_clear(). Returns the bytes; 0: nothing has come, or libuv will find
 * the end in the next turn; or the libuv code of the socket's failure, which it
 * has told to nobody else. */
ssize_t intake_splice(struct intake *in, const uv_handle_t *h, size_t max,
		      struct buf *b);

#endif
