/* SPDX-License-Identifier: MIT */
/*
 * A netwatch hears from the kernel when addresses, routes and links come and
 * go (rtnetlink(7)). What it hears is no more than a hint to look, so it may
 * lose messages: then everything may have changed.
 *
 *	LISTENING  the first message ends it
 *	SETTLING   more of them collect, for a moment; then on() is called once
 */
#ifndef CORE_NETWATCH_H
#define CORE_NETWATCH_H

#include <sys/socket.h>

#include "core/worker.h"

struct netwatch;

/* came: there is an address or a route that was not there; gone: one is not
 * there any more. Both may be said without need. */
typedef void netwatch_fn(void *ctx, bool came, bool gone);

/* NULL: not to be had here (no memory, a sandbox), *err is a negative libuv
 * code. */
struct netwatch *netwatch_start(struct worker *w, netwatch_fn *on, void *ctx,
				int *err);
void netwatch_drop(struct netwatch *n);

/* The two ends of a connection. */
struct netpath {
	struct sockaddr_storage local, peer;
};

enum netpath_state { NETPATH_GOOD, NETPATH_NO_ADDRESS, NETPATH_NO_ROUTE };

/* Could a packet leave now, from local to peer? GOOD also if nobody knows. */
enum netpath_state netpath_look(const struct netpath *path);

#endif
