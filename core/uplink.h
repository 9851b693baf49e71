/* SPDX-License-Identifier: MIT */
/*
 * An uplink is one attempt to reach a server, and the tunnel that comes of it:
 *
 *	DIALLING  name and TCP connection
 *	PROXY	  somebody else's proxy, if there is one on the way
 *	TLS	  its handshake, for wss
 *	OPENING	  WebSocket handshake
 *	UP	  uplink_open() is allowed
 *	gone	  after down(), or after uplink_drop()
 *
 * It never tries again: that is its owner's to decide.
 */
#ifndef CORE_UPLINK_H
#define CORE_UPLINK_H

#include "core/tls.h"
#include "core/tunnel.h"
#include "core/worker.h"

struct uplink;

struct uplink_events {
	void (*up)(void *ctx);
	/* The server wants a stream to target; e is the callee's. */
	void (*open)(void *ctx, struct end *e, const struct addr *target);
	/* Gone, and freed by itself. was_up: the tunnel was in use. */
	void (*down)(void *ctx, enum reason why, const char *detail,
		     bool was_up);
};

/* All texts and tls must stay as long as the uplink. */
struct uplink_spec {
	const struct server_url *url;
	const char *token;       /* NULL: none */
	const char *host;        /* for the Host field; NULL: that of url */
	const char *sni;         /* for TLS; NULL: the host of url */
	const char *fields;      /* see struct upgrade_ask */
	struct tls_context *tls; /* for wss */
	uint64_t ms;             /* for the TCP connection, and the proxy */
	const struct proxy_url *proxy; /* NULL: none */
};

/* NULL: no memory. */
struct uplink *uplink_start(struct worker *w, const struct uplink_spec *spec,
			    const struct uplink_events *events, void *ctx);
/* Close with why; users of streams are told, the owner is not. */
void uplink_drop(struct uplink *u, enum reason why);
/* How long the server took for the WebSocket handshake: a round trip. */
uint64_t uplink_rtt_ms(const struct uplink *u);
/* Its tunnel, or NULL unless it is UP. */
struct tunnel *uplink_tunnel(const struct uplink *u);

#endif
