/* SPDX-License-Identifier: MIT */
/*
 * One request to an HTTP proxy (RFC 9110, RFC 9112), parsed by llhttp:
 *
 *	CONNECT host:port	target only (RFC 9110 section 9.3.6)
 *	GET http://host/path	absolute form (RFC 9112 section 3.2.2): the head
 *				is rewritten to origin form for the target
 *
 * A connection carries one request: the rewritten head says Connection: close,
 * and http1_body() says where the request ends, so that nothing that was meant
 * for another host goes to this one. Anything ambiguous is refused (trust.md
 * 3.10): Content-Length with Transfer-Encoding, or twice, bare LF, obs-fold,
 * blanks before a colon, NUL, unknown codings, a Host that is missing in
 * HTTP/1.1 or there twice.
 */
#ifndef PROTO_HTTP1_H
#define PROTO_HTTP1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/addr.h"
#include "proto/reason.h"

#define HTTP1_HEAD_MAX  (64 * 1024) /* bytes of a head; more is TOO_LARGE */
#define HTTP1_REPLY_MAX 512

struct http1;

enum http1_state { HTTP1_MORE, HTTP1_DONE, HTTP1_FAILED };

/* auth: "user:password" that must come as Basic (RFC 7617), or NULL; must stay.
 * NULL: no memory. */
struct http1 *http1_new(const char *auth);
void http1_free(struct http1 *h);

/* The next bytes of the head. DONE: *used of them belong to it, what follows
 * is the body or the tunnelled protocol. FAILED: http1_why(). */
enum http1_state http1_feed(struct http1 *h, const uint8_t *p, size_t n,
			    size_t *used);
/* PROXY_AUTH, BAD_REQUEST, BAD_ADDRESS, TOO_LARGE, NO_MEMORY, or BAD_COMMAND:
 * neither CONNECT nor an http:// target. */
enum reason http1_why(const struct http1 *h);

/* After DONE. */
bool http1_is_connect(const struct http1 *h);
const struct addr *http1_target(const struct http1 *h);
/* The rewritten head, *n bytes, empty for CONNECT; valid as long as h. */
const uint8_t *http1_head(const struct http1 *h, size_t *n);
/* How many of the next n bytes behind the head still belong to this request;
 * 0 once it is complete. All of them for CONNECT, and once an upgrade that the
 * request asked for has been granted. */
size_t http1_body(struct http1 *h, const uint8_t *p, size_t n);
/* Is the body malformed (chunks)? Then the request must be broken off. */
bool http1_broken(const struct http1 *h);
/* How many of the next n bytes from the origin belong to its answer; 0 once
 * that is over, which an origin need not say by closing, though it was asked
 * to. All of them for CONNECT, an upgrade, and what llhttp cannot read. */
size_t http1_reply(struct http1 *h, const uint8_t *p, size_t n);
bool http1_over(const struct http1 *h);

/* "HTTP/1.1 200 Connection established" for DONE, else the status of why with
 * a short text and Connection: close; out has HTTP1_REPLY_MAX bytes. Returns
 * the length. */
size_t http1_write_reply(char *out, enum reason why);

#endif
