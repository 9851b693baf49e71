/* SPDX-License-Identifier: MIT */
/*
 * The PROXY protocol of haproxy (doc/proxy-protocol.txt), versions 1 and 2, as
 * a server reads it, without I/O: one header ahead of everything else, by
 * which a front tells who has connected to it.
 *
 * UNKNOWN, LOCAL and families that are neither TCP4 nor TCP6 say nothing of
 * the client: the connection's own peer is all that is known. What follows the
 * addresses of version 2 (TLVs) is skipped.
 */
#ifndef PROTO_PROXYPROTO_H
#define PROTO_PROXYPROTO_H

#include <stddef.h>
#include <stdint.h>

#include "proto/addr.h"

#define PROXYPROTO_LINE_MAX 107 /* bytes of version 1, with CRLF */

enum proxyproto_state { PROXYPROTO_MORE, PROXYPROTO_DONE, PROXYPROTO_FAILED };

struct proxyproto {
	struct addr from; /* after DONE; host "": nothing is said */
	/* private */
	uint8_t buf[PROXYPROTO_LINE_MAX];
	size_t len;
	size_t left; /* of version 2, behind its first 16 bytes */
};

void proxyproto_init(struct proxyproto *p);
/* How many bytes may be read now, so that none behind the header is among
 * them; not 0 unless DONE. */
size_t proxyproto_want(const struct proxyproto *p);
/* The next bytes; *used of them belong to the header. Not to be called after
 * DONE or FAILED. */
enum proxyproto_state proxyproto_feed(struct proxyproto *p, const uint8_t *in,
				      size_t n, size_t *used);

#endif
