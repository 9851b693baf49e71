/* SPDX-License-Identifier: MIT */
/*
 * A conn is a TCP socket, or a Unix one that was accepted, on a worker's loop,
 * seen as an end.
 *
 *	OPENING	 connect() in progress
 *	OPEN	 reading and writing
 *	CLOSING	 uv_close() called; every callback returns at once
 *
 * The memory goes in the close callback and nowhere else. The socket has
 * SO_LINGER {1,0} from before it is connected until it ends cleanly (both
 * directions finished), so that the kernel of a killed process sends resets,
 * never a FIN (P2).
 *
 * A Unix socket knows no reset of that kind: the peer sees one only if it had
 * sent what was not read yet, else an end like any other (docs/security.md).
 *
 * Its queue holds what the socket did not take; its bound is what the user
 * sends without waiting for ready().
 */
#ifndef CORE_CONN_H
#define CORE_CONN_H

#include "core/worker.h"
#include "proto/end.h"

struct conn;
struct netpath;
struct sockaddr;

/* conn_dial() towards sa. NULL: *err is a negative libuv code. The user gets
 * opened() or dead(). Takes nothing. */
struct end *conn_dial(struct worker *w, const struct sockaddr *sa,
		      const struct end_events *events, void *user, int *err);
/* From fd, which was accepted, on whatever thread; takes it. local: a Unix
 * socket. NULL: *error says why. */
struct end *conn_adopt(struct worker *w, int fd, bool local,
		       const char **error);

/* "ADDR:PORT" of the peer or of this side; of a Unix socket
 * "unix:pid=PID,uid=UID" and "". Valid until the conn is gone. */
const char *conn_peer(struct end *e);
const char *conn_bound(struct end *e);
/* The addresses of both sides. False: it has none, or is gone already. */
bool conn_path(struct end *e, struct netpath *out);
/* TCP keepalive after so many idle seconds; 0: none. None to loopback. */
void conn_keepalive(struct end *e, unsigned int seconds);
/* For a tunnel's socket that is OPEN: read a step of proto/pace.h at once into
 * lent memory, hold little while small streams are alive, and little that has
 * not been read if the peer is on this machine, and give up when sent bytes
 * stay unacknowledged for ms milliseconds. */
void conn_bulk(struct end *e, unsigned int ms);

#endif
