/* SPDX-License-Identifier: MIT */
/*
 * A splice is a pipe of the kernel through which bytes go from one socket to
 * another without being copied (splice(2)): what a read has brought lies aside
 * (proto/buf.h), and is written from there, or fetched into memory.
 *
 *	NEW	 no pipe yet
 *	EMPTY	 splice_read() may be called
 *	LADEN	 what it brought waits for splice_write() or fetch(), or for
 *		 splice_clear(), which follows every splice_read()
 *	none	 none can be made now: bytes are copied, as everywhere else
 *
 * A worker has one, which is empty again before the callback returns that has
 * read: so no reader that stalls keeps others from using it.
 */
#ifndef CORE_SPLICE_H
#define CORE_SPLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "proto/buf.h"

struct splice {
	struct aside aside;
	uint8_t head[BUF_HEADROOM];
	int out, in;
	bool open;
	unsigned int asked; /* for a pipe, while there was none */
};

/* Zeroed means NEW. */
void splice_done(struct splice *s);
/* Is there a pipe? Makes it when it is asked first, or tries again later. */
bool splice_ready(struct splice *s);
/* Read up to max bytes of a stream socket, of which *b shows what came, with
 * headroom, until splice_clear(). Returns the bytes, 0 at the end, or a libuv
 * code. */
ssize_t splice_read(struct splice *s, const uv_handle_t *from, size_t max,
		    struct buf *b);
/* Write of what lies there what the socket takes. Returns the bytes, which the
 * caller pulls from the buf, or a libuv code. */
ssize_t splice_write(const struct aside *a, const uv_handle_t *to);
/* Forget what has not been written or fetched. */
void splice_clear(struct splice *s);

#endif
