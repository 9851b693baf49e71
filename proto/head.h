/* SPDX-License-Identifier: MIT */
/*
 * The head of an HTTP/1 message (RFC 9112 section 2), collected line by line
 * and checked, before llhttp sees it: so that all its versions are given the
 * same, and what it lets through does not pass.
 *
 *	HEAD_REQUEST	strict: lines end with CRLF, no folding (RFC 9112
 *			section 5.2), no control characters, names are tokens
 *	HEAD_RESPONSE	as they are found: a LF alone ends a line, folded lines
 *			become one (RFC 9112 section 5.2), a field whose name is
 *			none is skipped, see head_next()
 *	HEAD_TRAILER	strict, without a first line
 *
 * What is kept always ends its lines with CRLF.
 */
#ifndef PROTO_HEAD_H
#define PROTO_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/reason.h"
#include "proto/span.h"

#define HEAD_TARGET_MAX (16 * 1024) /* of a request; more is 414 */
#define HEAD_FIELD_MAX  (16 * 1024) /* one line; more is 431, as for these: */
#define HEAD_BYTES_MAX  (64 * 1024) /* all fields */
#define HEAD_FIELDS_MAX 128

enum head_kind { HEAD_REQUEST, HEAD_RESPONSE, HEAD_TRAILER };
enum head_state { HEAD_MORE, HEAD_DONE, HEAD_FAILED };

struct head {
	enum head_kind kind;
	char *bytes;
	size_t len, size;
	size_t line;   /* where the line that arrives has begun */
	size_t fields; /* where the first field begins */
	unsigned int nfields, nempty;
	bool first; /* the first line is complete */
	bool cr;    /* the last byte was a CR, which is not kept yet */
	enum reason why;
};

void head_init(struct head *h, enum head_kind kind);
/* Free what it holds; it may be used again. */
void head_done(struct head *h);
/* The next bytes. DONE: *used of them belong to the head. FAILED: h->why is
 * BAD_REQUEST, URI_TOO_LONG, TOO_LARGE or NO_MEMORY. */
enum head_state head_feed(struct head *h, const uint8_t *p, size_t n,
			  size_t *used);
/* After DONE: the first line without its end, and the fields one by one. at is
 * 0 for the first. Valid until head_done(). */
struct span head_first(const struct head *h);
bool head_next(const struct head *h, size_t *at, struct span *name,
	       struct span *value);

#endif
