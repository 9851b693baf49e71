/* SPDX-License-Identifier: MIT */
/* What conn, dial and listen need to know of a TCP socket and libuv does not
 * say. */
#ifndef CORE_SOCKET_H
#define CORE_SOCKET_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <uv.h>

#include "proto/reason.h"

#define SOCKET_NAME (INET6_ADDRSTRLEN + 9) /* "[addr]:65535" and the 0 */

/* A libuv code of connect(), read() or write() as a reason. */
enum reason socket_reason(int err);
/* SO_LINGER {1,0}: close() sends a reset. 0 or UV_EINVAL. */
int socket_linger(const uv_tcp_t *h, bool on);
/* "ADDR:PORT" of the peer or of this side, "" if there is none. */
void socket_name(const uv_tcp_t *h, bool peer, char out[SOCKET_NAME]);
/* Has the peer reset the connection? fin: we have half-closed it, so that both
 * ends may be clean. */
bool socket_is_reset(const uv_tcp_t *h, bool fin);

#endif
