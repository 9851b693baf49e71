/* SPDX-License-Identifier: MIT */
/*
 * A web carries the requests in absolute form of one connection to the HTTP
 * proxy, one after the other, each to its own target, and the answers back
 * (RFC 9112 section 9.3). It belongs to a session, which reads each head and
 * hands the connection over until the answer has ended.
 *
 *	FREE	  nothing is carried: the session has the connection
 *	CARRYING  a stream to the target is asked for, or in use
 *	ANSWERED  the answer has ended, but the application reads slowly
 *
 * Streams to origins stay open behind an answer and are used again for the same
 * target. A request whose old stream ends before an answer is asked again on a
 * new one, if it may be. Pipelined requests wait for their turn.
 */
#ifndef MODES_WEB_H
#define MODES_WEB_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/buf.h"
#include "proto/end.h"
#include "proto/http1.h"
#include "proto/reason.h"

struct sessions;
struct web;

struct web_ops {
	/* The answer has ended; the connection and rest, what has come behind
	 * the request, are the session's again. keep: another request may
	 * follow. unsent: bytes still on their way to the application; eof: it
	 * has finished sending. */
	void (*done)(void *ctx, struct bufq *rest, size_t unsent, bool eof,
		     bool keep);
	/* No head of an answer has gone out, and none will come. */
	void (*refused)(void *ctx, size_t unsent, enum reason why);
	/* The answer or the request cannot be completed. */
	void (*broken)(void *ctx, enum reason why);
	/* The application has gone. */
	void (*gone)(void *ctx, enum reason why);
	/* An upgrade was granted: the connection is a relay's now. */
	void (*joined)(void *ctx);
};

/* name is for the log, and must stay. NULL: no memory. */
struct web *web_new(struct sessions *all, const char *name,
		    const struct web_ops *ops, void *ctx);
/* Drop all streams. NULL is fine. */
void web_free(struct web *w, enum reason why);
/* Carry request, which must stay until the answer has ended, on app, which is
 * the web's until then; takes the bufs in rest, which are owned. unsent and eof
 * as in done(). DONE, or why not: nothing follows then, and app is the
 * session's. */
enum reason web_carry(struct web *w, struct end *app, struct http1 *request,
		      struct bufq *rest, size_t unsent, bool eof);

#endif
