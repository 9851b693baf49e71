/* SPDX-License-Identifier: MIT */
/*
 * A request to an HTTP proxy (RFC 9110, RFC 9112):
 *
 *	CONNECT	 host:port: a tunnel (RFC 9110 section 9.3.6)
 *	FORWARD	 absolute form (RFC 9112 section 3.2.2): the head is written
 *		 anew, in origin form, for the target
 *	LOCAL	 for the proxy itself: origin form, "OPTIONS *", and TRACE and
 *		 OPTIONS whose Max-Forwards is used up
 *
 * proto/head checks the bytes, this what they say, and llhttp both: it is given
 * POST for all methods but CONNECT, since it refuses those that it does not
 * know. Anything ambiguous is refused (trust.md 3.10).
 */
#ifndef PROTO_HTTP1_H
#define PROTO_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/addr.h"
#include "proto/body.h"
#include "proto/fields.h"
#include "proto/reason.h"

struct http1;

enum http1_state {
	HTTP1_MORE,
	HTTP1_AUTH, /* the head is complete: see http1_credentials() */
	HTTP1_DONE,
	HTTP1_FAILED
};
enum http1_kind { HTTP1_CONNECT, HTTP1_FORWARD, HTTP1_LOCAL };

/* auth: ask for user and password, as Basic (RFC 7617). NULL: no memory. */
struct http1 *http1_new(bool auth);
void http1_free(struct http1 *h);

/* The next bytes of the head. DONE: *used of them belong to it, what follows
 * is the body or the tunnelled protocol. FAILED: http1_why(). */
enum http1_state http1_feed(struct http1 *h, const uint8_t *p, size_t n,
			    size_t *used);
/* After AUTH, valid until http1_admit(). */
void http1_credentials(const struct http1 *h, const char **user,
		       const char **password);
/* After AUTH: they are right, which makes it DONE. Wipes them. */
void http1_admit(struct http1 *h);
/* PROXY_AUTH, BAD_REQUEST, BAD_ADDRESS, TOO_LARGE, TOO_MUCH, URI_TOO_LONG,
 * NO_MEMORY, or BAD_COMMAND: a target that is not http://. */
enum reason http1_why(const struct http1 *h);

/* After DONE. */
enum http1_kind http1_kind(const struct http1 *h);
struct span http1_method(const struct http1 *h);
/* As it was asked for. */
struct span http1_uri(const struct http1 *h);
const struct head *http1_fields(const struct http1 *h);
/* Of CONNECT and FORWARD. */
const struct addr *http1_target(const struct http1 *h);
/* Of FORWARD: the head for the target, *n bytes; valid as long as h. */
const uint8_t *http1_head(const struct http1 *h, size_t *n);
struct body *http1_body(struct http1 *h);
/* Also before DONE: as far as it is known. */
bool http1_is_head(const struct http1 *h);
bool http1_is_v10(const struct http1 *h);
/* The origin may answer 101. */
bool http1_asks_upgrade(const struct http1 *h);
/* Will the client send no other request? */
bool http1_is_last(const struct http1 *h);
/* May it be sent again when a connection ends before an answer (RFC 9112
 * section 9.3.1, RFC 9110 section 9.2.2)? Only while it has no body. */
bool http1_may_repeat(const struct http1 *h);

#endif
