/* SPDX-License-Identifier: MIT */
/*
 * A conn is a TCP socket on a worker's loop, seen as an end.
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
 * Its queue holds what the socket did not take; its bound is what the user
 * sends without waiting for ready().
 */
#ifndef CORE_CONN_H
#define CORE_CONN_H

#include "core/worker.h"
#include "proto/end.h"

struct conn;
struct sockaddr;

/* conn_dial() towards sa. NULL: *err is a negative libuv code. The user gets
 * opened() or dead(). Takes nothing. */
struct end *conn_dial(struct worker *w, const struct sockaddr *sa,
		      const struct end_events *events, void *user, int *err);
/* Accept from a listening handle. NULL: *err, and the connection has been
 * closed, unless that is UV_ENOMEM: then it still waits. */
struct end *conn_accept(struct worker *w, uv_stream_t *listener, int *err);

/* "ADDR:PORT" of the peer or of this side; valid until the conn is gone. */
const char *conn_peer(struct end *e);
const char *conn_bound(struct end *e);
/* TCP keepalive after so many idle seconds; 0: none. */
void conn_keepalive(struct end *e, unsigned int seconds);
/* For a tunnel's socket: read up to size bytes at once into lent memory, and
 * give up when sent bytes stay unacknowledged for ms milliseconds. */
void conn_bulk(struct end *e, unsigned int ms);

#endif
