/* SPDX-License-Identifier: MIT */
/*
 * A tunnel is a WebSocket connection that carries streams: the glue between
 * core/websocket and proto/mux, and nothing else.
 *
 *	OPENING	 handshake; then up() or down()
 *	UP	 tunnel_open() is allowed, open() may come
 *	gone	 after down(), or after tunnel_close()
 */
#ifndef CORE_TUNNEL_H
#define CORE_TUNNEL_H

#include "core/worker.h"
#include "proto/addr.h"
#include "proto/end.h"
#include "proto/upgrade.h"

struct tunnel;

struct tunnel_events {
	/* Server: may this request be a tunnel? DONE, or why not. */
	enum reason (*check)(void *ctx, const struct upgrade_request *req);
	void (*up)(void *ctx);
	/* The peer wants a stream to target; e is the callee's, see
	 * stream_accept(), stream_refuse(). */
	void (*open)(void *ctx, struct end *e, const struct addr *target);
	/* Gone, and freed by itself. All streams were told before. */
	void (*down)(void *ctx, enum reason why, const char *detail);
};

/* The client's part of the handshake; the texts must outlive it. */
struct tunnel_target {
	const char *host; /* as in the URL, with the port */
	const char *path;
	const char *token;
	const char *fields; /* see struct upgrade_ask */
};

/* Over lower, which is OPEN and taken; target is NULL for a server.
 * NULL: no memory, lower is gone. */
struct tunnel *tunnel_start(struct worker *w, struct end *lower,
			    const struct tunnel_target *target,
			    const struct tunnel_events *events, void *ctx);
/* Close with why; streams that are left are reset. No call up to events
 * follows, but users of streams are told. */
void tunnel_close(struct tunnel *t, enum reason why);
/* A stream to target: OPENING until the peer has answered. NULL: *why. */
struct end *tunnel_open(struct tunnel *t, const struct addr *target,
			const struct end_events *events, void *user,
			enum reason *why);
/* Is the peer a wsp, so that all was negotiated? */
bool tunnel_native(const struct tunnel *t);

#endif
