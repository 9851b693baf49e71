/* SPDX-License-Identifier: MIT */
/*
 * An origin's answer to a request (RFC 9110 section 15) as an HTTP proxy passes
 * it on: interim ones (1xx) as they come, then the final one, whose head is
 * written anew for the client, then its body.
 *
 * What origins send is not always what the RFCs ask for: a head is taken as
 * proto/head does it for responses, but where a message ends must be clear.
 */
#ifndef PROTO_RESPONSE_H
#define PROTO_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/body.h"
#include "proto/http1.h"

struct response;

/* The answer to request, which is read now and not kept. close: the client is
 * told that the connection ends with it. NULL: no memory. */
struct response *response_new(const struct http1 *request, bool close);
void response_free(struct response *r);

/* Before the final answer: is the request still arriving? One that comes then
 * ends the client's connection, and says so: nobody waits for the rest. */
void response_early(struct response *r, bool early);
/* The next bytes of a head. DONE: *used of them belong to it; response_head()
 * goes to the client, and if it is not the final one, the next begins. */
enum http1_state response_feed(struct response *r, const uint8_t *p, size_t n,
			       size_t *used);
/* Has anything arrived? */
bool response_has_begun(const struct response *r);
/* BAD_ANSWER, TOO_LARGE, NO_MEMORY. */
enum reason response_why(const struct response *r);
/* After DONE: *n bytes, none for an interim answer that HTTP/1.0 does not know;
 * valid until the next call. */
const uint8_t *response_head(const struct response *r, size_t *n);
int response_status(const struct response *r);
/* 101 to a request that has asked for it, or another one from 200 on. */
bool response_is_final(const struct response *r);
bool response_is_upgrade(const struct response *r);
/* Of the final one. */
struct body *response_body(struct response *r);
/* The origin has ended its side cleanly: is the answer complete now? */
bool response_eof(struct response *r);
/* Once complete: may the connection to the origin, and that to the client, be
 * used for another request? */
bool response_keeps_origin(const struct response *r);
bool response_keeps_client(const struct response *r);

#endif
