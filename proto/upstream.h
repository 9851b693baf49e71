/* SPDX-License-Identifier: MIT */
/*
 * Asking somebody else's proxy for a connection, without I/O: HTTP CONNECT
 * (RFC 9110 section 9.3.6) with Basic (RFC 7617), or SOCKS5 (RFC 1928) with a
 * user name and password (RFC 1929). Names are the proxy's to resolve.
 */
#ifndef PROTO_UPSTREAM_H
#define PROTO_UPSTREAM_H

#include <stddef.h>
#include <stdint.h>

#include "proto/addr.h"
#include "proto/reason.h"

#define UPSTREAM_OUT_MAX  2048
#define UPSTREAM_HEAD_MAX (16 * 1024) /* bytes of an HTTP answer's head */

struct upstream;

enum upstream_state { UPSTREAM_MORE, UPSTREAM_DONE, UPSTREAM_FAILED };

/* Both must stay as long as the upstream. NULL: no memory. Caller frees. */
struct upstream *upstream_new(const struct proxy_url *proxy,
			      const struct addr *target);
void upstream_free(struct upstream *u);
/* What is to be sent first; out has UPSTREAM_OUT_MAX bytes. Returns its
 * length. */
size_t upstream_begin(struct upstream *u, uint8_t *out);
/* Take the proxy's bytes. *out_len bytes of out are to be sent, 0: nothing.
 * DONE: *used bytes belonged to the answer, all else to the connection. */
enum upstream_state upstream_feed(struct upstream *u, const uint8_t *p,
				  size_t n, size_t *used, uint8_t *out,
				  size_t *out_len);
/* After FAILED: UNAUTHORIZED, PROXY (it wants what we cannot do, or is none),
 * or what it says of the target. detail may be empty. */
enum reason upstream_why(const struct upstream *u);
const char *upstream_detail(const struct upstream *u);

#endif
