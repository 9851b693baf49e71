/* SPDX-License-Identifier: MIT */
/*
 * Credit for one direction of one stream, at its receiver.
 *
 * The receiver has promised room for credit bytes; the promise shrinks as data
 * arrives. Bytes that have left the process are consumed; once a lump of them
 * has been, the promise is renewed. A lump is half of a small window: a message
 * of credit costs time. Of a large one it is 2 MiB: over a long way at most
 * size - lump can be on its way. A window grows only when the
 * sender says that it is blocked by it (docs/protocol.md, CREDIT) while the
 * reader keeps up and has consumed a window of this size, by a factor of 16:
 * 64 KiB become 84 MiB, which the usual memory allows, in three round trips.
 *
 *	size = credit + held + consumed, held: received and still here
 */
#ifndef PROTO_WINDOW_H
#define PROTO_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_MAX  (128u * 1024 * 1024)
#define WINDOW_STEP 16                 /* factor of growth */
#define WINDOW_LUMP (2u * 1024 * 1024) /* half a window, up to this */

struct window {
	uint32_t size;
	uint32_t credit;   /* what the peer may still send */
	uint32_t consumed; /* left the process, not yet given back */
	uint32_t proven;   /* left the process since the last growth */
	bool blocked;      /* the peer has said so, since the last growth */
};

static inline void window_init(struct window *w, uint32_t size)
{
	*w = (struct window){.size = size, .credit = size};
}

/* n bytes have arrived. False: the peer broke its promise. */
static inline bool window_take(struct window *w, uint32_t n)
{
	if (n > w->credit)
		return false;
	w->credit -= n;
	return true;
}

/* Bytes that have arrived and are still in the process. */
static inline uint32_t window_held(const struct window *w)
{
	return w->size - w->credit - w->consumed;
}

/* Bytes that are given back together. */
static inline uint32_t window_lump(const struct window *w)
{
	return w->size / 2 < WINDOW_LUMP ? w->size / 2 : WINDOW_LUMP;
}

/* n bytes have left the process, at most window_held(). Returns the credit to
 * give back now, or 0. */
static inline uint32_t window_left(struct window *w, uint32_t n)
{
	uint32_t give;

	w->consumed += n;
	if (w->proven < w->size) /* 2 * WINDOW_MAX at most */
		w->proven += n;
	if (w->consumed < window_lump(w))
		return 0;
	give = w->consumed;
	w->consumed = 0;
	w->credit += give;
	return give;
}

/* By how much the window should grow now, up to max in all; 0: not at all. */
static inline uint32_t window_wish(const struct window *w, uint32_t max)
{
	uint32_t most = w->size - w->size / 4;

	if (!w->blocked || w->proven < most || window_held(w) > w->size / 4 ||
	    w->size >= max)
		return 0;
	if (w->size > max / WINDOW_STEP)
		return max - w->size;
	return w->size * (WINDOW_STEP - 1);
}

/* Take back n bytes of what window_left() has just said to give. */
static inline void window_shrink(struct window *w, uint32_t n)
{
	w->size -= n;
	w->credit -= n;
}

/* Promise n more bytes. */
static inline void window_grow(struct window *w, uint32_t n)
{
	w->size += n;
	w->credit += n;
	w->proven = 0;
	w->blocked = false;
}

#endif
