/* SPDX-License-Identifier: MIT */
/* What conn, dial and listen need to know of a socket and libuv does not say.
 */
#ifndef CORE_SOCKET_H
#define CORE_SOCKET_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <uv.h>

#include "proto/reason.h"

#define SOCKET_NAME (INET6_ADDRSTRLEN + 9) /* "[addr]:65535" and the 0 */

/* A libuv code of connect(), read() or write() as a reason. */
enum reason socket_reason(int err);
/* What a system call on a socket has returned: itself, or errno as a libuv
 * code. Without a buffer in the kernel the socket is full, as libuv sees it. */
ssize_t socket_result(ssize_t n);
/* A handle of that family; AF_UNSPEC: TCP. 0 or a libuv code. */
int socket_init(uv_loop_t *loop, uv_handle_t *h, unsigned int family);
/* SO_LINGER {1,0}: close() sends a reset. 0 or UV_EINVAL. */
int socket_linger(const uv_tcp_t *h, bool on);
/* "ADDR:PORT" of the peer, "" if there is none. Returns whether it is on this
 * machine, at a loopback address. */
bool socket_peer(const uv_tcp_t *h, char out[SOCKET_NAME]);
/* The same of this side. */
void socket_bound(const uv_tcp_t *h, char out[SOCKET_NAME]);
struct netpath;

/* The addresses of both sides. False: it has none. */
bool socket_path(const uv_tcp_t *h, struct netpath *out);
/* A tunnel's: give up when sent bytes stay unacknowledged for ms milliseconds.
 * From this machine little is received before it is read: what waits there
 * would be megabytes, and small streams behind it. Over a network a window
 * must hold what a round trip carries.
 * $WSP_TEST_CONGESTION, for tests: with that congestion control. */
void socket_tunnel(const uv_tcp_t *h, unsigned int ms, bool loopback);
/* Of this machine? */
bool socket_is_loopback(const struct sockaddr *sa);
/* No pacing: between two sockets of one machine there is nothing to pace, and
 * its timers cost a fifth of a relay's time and more. A socket that has been
 * connected while bbr was in force paces for ever: to be called before, or of
 * a listener, whose connections inherit it. Behind one for all addresses it
 * comes too late, and saves less. */
void socket_unpace(int fd);
/* Let little wait inside the kernel that has not been sent, or as much as it
 * likes. What is on its way is not limited. */
void socket_shallow(const uv_tcp_t *h, bool on);
/* "unix:pid=PID,uid=UID": who has connected. */
void socket_credentials(const uv_pipe_t *h, char out[SOCKET_NAME]);
/* Has the peer reset the connection? 0, or a libuv code: UV_EPIPE if its FIN
 * had come before. fin: we have half-closed it, so that both ends may be clean.
 */
int socket_reset(const uv_handle_t *h, bool fin);
/* Has it, or has the peer of a Unix socket closed it, so that nobody reads any
 * more? Not to be asked once we have finished sending. */
bool socket_is_lost(const uv_handle_t *h, bool fin);

#endif
