/* SPDX-License-Identifier: MIT */
/*
 * What the HTTP proxy itself answers: the grant of CONNECT, refusals with the
 * reason in plain text and in Proxy-Status (RFC 9209), the proxy's own pages
 * (proxy.pac), TRACE and OPTIONS. After all but the first the connection ends.
 */
#ifndef PROTO_PAGE_H
#define PROTO_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/http1.h"
#include "proto/reason.h"

#define PAGE_MAX 1024 /* bytes of a refusal */

/* "HTTP/1.1 200 ..." for CONNECT; out has PAGE_MAX bytes. Returns the length,
 * as the next does. */
size_t page_established(char *out);
/* head: to HEAD, which is given no body (RFC 9110 section 9.3.2). */
size_t page_refusal(char *out, enum reason why, bool head);
/* The answer to a LOCAL request, *n bytes; at is "ADDR:PORT" of the proxy, for
 * proxy.pac. Caller frees. NULL: no memory. */
char *page_local(const struct http1 *request, const char *at, size_t *n);

#endif
