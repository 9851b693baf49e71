/* SPDX-License-Identifier: MIT */
/*
 * The body of an HTTP/1 message on its way through the proxy: where it ends
 * (RFC 9112 section 6.3), by llhttp, and what of it goes on.
 *
 *	BODY_NONE	there is none
 *	BODY_LENGTH	Content-Length bytes
 *	BODY_CHUNKED	without chunk extensions; the trailer section without
 *			what must not be there; llhttp is shown what goes on,
 *			since its versions differ about the rest
 *	BODY_CLOSE	until the connection ends
 */
#ifndef PROTO_BODY_H
#define PROTO_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

#include "proto/buf.h"
#include "proto/chunked.h"
#include "proto/head.h"

enum body_kind { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_CLOSE };

struct body {
	enum body_kind kind;
	llhttp_t parser; /* LENGTH, CHUNKED */
	struct chunked chunked;
	struct head trailer;
	bool complete;
	bool broken; /* the message must be broken off */
};

/* head, n bytes, is that of the message as llhttp shall see it, of a request or
 * a response; length counts for LENGTH. The body starts with what has been
 * complete or broken; broken: llhttp does not agree, so the message must be
 * refused. b must stay where it is. */
void body_init(struct body *b, enum body_kind kind, uint64_t length,
	       llhttp_type_t type, const char *head, size_t n);
/* Free what it holds. */
void body_done(struct body *b);
/* Cut all but the data: for who does not know chunks. Before the first byte. */
void body_strip(struct body *b);
/* Move what belongs to the body from in to out; what follows stays in in. The
 * bufs may be lent, and are written to. False: no memory. */
bool body_pass(struct body *b, struct bufq *in, struct bufq *out,
	       struct bufpool *pool);

#endif
