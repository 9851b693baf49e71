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

struct penalty;
struct tunnel;

struct tunnel_events {
	/* Server: may this request be a tunnel? DONE, or why not. */
	enum reason (*check)(void *ctx, const struct upgrade_request *req);
	void (*up)(void *ctx);
	/* The peer wants a stream to target; e is the callee's, see
	 * stream_accept(), stream_refuse(). */
	void (*open)(void *ctx, struct end *e, const struct addr *target);
	/* One of bulk and choked in struct tunnel_load has become none, or is
	 * that no more. The callee must leave t alone. May be NULL. */
	void (*load)(void *ctx);
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
/* Right after tunnel_start(): n bytes, at most BUF_MAX, that lower has
 * delivered before. False: no memory; t must be closed. */
bool tunnel_feed(struct tunnel *t, const uint8_t *p, size_t n);
/* Inside check(): how the request is refused, if it is (core/refusal.h). */
void tunnel_punish(struct tunnel *t, const struct penalty *penalty);
/* Close with why; streams that are left are reset. No call up to events
 * follows, but users of streams are told. */
void tunnel_close(struct tunnel *t, enum reason why);
/* A stream to target: OPENING until the peer has answered. NULL: *why. */
struct end *tunnel_open(struct tunnel *t, const struct addr *target,
			const struct end_events *events, void *user,
			enum reason *why);
/* What it carries now. False: no stream can be opened. */
struct tunnel_load {
	unsigned int streams;
	unsigned int bulk; /* of them: much data lately, either direction */
	bool choked;       /* the peer has to wait for what nobody takes */
	bool worn;         /* new streams should go elsewhere */
};
bool tunnel_load(struct tunnel *t, struct tunnel_load *out);
/* Is the peer a wsp, so that all was negotiated? */
bool tunnel_native(const struct tunnel *t);

#endif
