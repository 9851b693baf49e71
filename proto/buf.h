/* SPDX-License-Identifier: MIT */
/*
 * A buf is one chunk of bytes on its way through the program. It has exactly
 * one owner; passing it to a function whose comment says "takes b" hands the
 * ownership over, also when that function fails.
 *
 *	data        data+off       data+off+len       data+cap
 *	| headroom  | payload      | tailroom         |
 *
 * Every buf from buf_new() leaves BUF_HEADROOM bytes free in front of its
 * payload, so that each layer below can put its header there in place.
 *
 * A lent buf (buf_lend) shows bytes that belong to somebody else, for the
 * duration of one call. Who wants to keep it calls buf_own(), which copies.
 * A lent buf has no headroom that may be used. Of one kind it has: the last
 * bytes of that lie aside, in a pipe of the kernel, through which they can go
 * from socket to socket without a copy (core/splice.h). Who must see them, or
 * keep them, calls buf_own() as well.
 *
 * Bufs come from a pool of one thread; the pool keeps free ones by size class
 * and counts what is in use.
 */
#ifndef PROTO_BUF_H
#define PROTO_BUF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUF_HEADROOM 96 /* message envelope (76) and frame header (14) */
#define BUF_MAX      (1024 * 1024) /* the largest payload of one buf */
#define BUF_CLASSES  6

/* Bytes that lie elsewhere. A copy of the buf that shows them shares it: of the
 * two, one is used. */
struct aside {
	size_t n;
	/* Move all of them to p. False: they are lost. */
	bool (*fetch)(struct aside *a, uint8_t *p);
};

struct buf {
	struct buf *next;
	struct bufpool *pool; /* NULL: lent */
	struct aside *aside;  /* NULL: none */
	uint8_t *data;
	uint32_t off;
	uint32_t len;
	uint32_t cap;
	uint8_t class_;
};

struct bufq {
	struct buf *head;
	struct buf **tail;
	size_t bytes; /* of payload, in all */
};

struct bufpool {
	struct buf *free[BUF_CLASSES];
	size_t idle;  /* bytes kept in free[] */
	size_t inuse; /* bytes handed out */
	/* The same of all pools that share a memory; NULL: there is one. */
	atomic_size_t *shared;
};

void bufpool_init(struct bufpool *p);
/* Every buf must have come back. */
void bufpool_done(struct bufpool *p);
/* Bytes handed out, of all that share. */
size_t bufpool_inuse(const struct bufpool *p);
/* Give what is kept back to the system. */
void bufpool_trim(struct bufpool *p);

/* Room for at least size bytes of payload, at most BUF_MAX. NULL: no memory.
 * Caller frees. */
struct buf *buf_new(struct bufpool *p, size_t size);
/* A buf that holds a copy of n bytes, n at most BUF_MAX. NULL: no memory. */
struct buf *buf_copy(struct bufpool *p, const void *src, size_t n);
/* Make *view show n bytes at p; valid as long as they are. */
void buf_lend(struct buf *view, uint8_t *p, size_t n);
/* b itself, or a copy of it, in memory, when it is lent. Takes b. NULL: no
 * memory. */
struct buf *buf_own(struct buf *b, struct bufpool *p);
/* Give b back to its pool; nothing happens to a lent one or NULL. */
void buf_free(struct buf *b);

static inline uint8_t *buf_ptr(const struct buf *b)
{
	return b->data + b->off;
}

/* Bytes of the payload that are in memory: the first ones. */
static inline uint32_t buf_here(const struct buf *b)
{
	return b->aside ? b->len - (uint32_t)b->aside->n : b->len;
}

/* Bytes that fit behind the payload. */
static inline uint32_t buf_tailroom(const struct buf *b)
{
	return b->aside ? 0 : b->cap - b->off - b->len;
}

/* Grow the payload by n bytes at the front; returns where they start. The
 * headroom must hold them: asserted. */
uint8_t *buf_push(struct buf *b, uint32_t n);
/* Drop n bytes from the front of the payload. */
void buf_pull(struct buf *b, uint32_t n);
/* Append n bytes; the tailroom must hold them: asserted. */
void buf_append(struct buf *b, const void *src, uint32_t n);

void bufq_init(struct bufq *q);
/* Append b; takes b. */
void bufq_put(struct bufq *q, struct buf *b);
/* Append b, a copy if it is lent. It joins the last buf of q where it fits, if
 * it must be copied or is mostly empty: small ones do not cost a buf each.
 * Takes b. False: no memory. */
bool bufq_keep(struct bufq *q, struct buf *b, struct bufpool *p);
/* Remove and return the first buf, or NULL. */
struct buf *bufq_get(struct bufq *q);
/* Move everything from src to the end of q. */
void bufq_move(struct bufq *q, struct bufq *src);
/* Drop n bytes from the front; bufs that become empty are freed. */
void bufq_pull(struct bufq *q, size_t n);
/* Free all. */
void bufq_clear(struct bufq *q);

#endif
