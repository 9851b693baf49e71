/* SPDX-License-Identifier: MIT */
/*
 * An uplink is one attempt to reach a server, and the tunnel that comes of it:
 *
 *	DIALLING  name and TCP connection
 *	PROXY_TLS TLS to somebody else's proxy, if that is a https one
 *	PROXY	  asking it, if there is one on the way
 *	TLS	  its handshake, for wss
 *	OPENING	  WebSocket handshake
 *	UP	  uplink_open() is allowed
 *	gone	  after down(), or after uplink_drop()
 *
 * It never tries again: that is its owner's to decide.
 */
#ifndef CORE_UPLINK_H
#define CORE_UPLINK_H

#include "core/netwatch.h"
#include "core/tls.h"
#include "core/tunnel.h"
#include "core/worker.h"

struct uplink;

struct uplink_events {
	void (*up)(void *ctx);
	/* The server wants a stream to target; e is the callee's. */
	void (*open)(void *ctx, struct end *e, const struct addr *target);
	/* UP: its load has changed, see struct tunnel_events; may be NULL. */
	void (*load)(void *ctx);
	/* Gone, and freed by itself. was_up: the tunnel was in use. */
	void (*down)(void *ctx, enum reason why, const char *detail,
		     bool was_up);
};

/* All texts must stay as long as the uplink, but for token, of which it has a
 * copy; of the contexts it has references. */
struct uplink_spec {
	const struct server_url *url;
	const char *token;       /* NULL: none */
	const char *host;        /* for the Host field; NULL: that of url */
	const char *sni;         /* for TLS; NULL: the host of url */
	const char *fields;      /* see struct upgrade_ask */
	struct tls_context *tls; /* for wss */
	uint64_t ms;             /* for the TCP connection, and the proxy */
	const struct proxy_url *proxy; /* NULL: none */
	struct tls_context *proxy_tls; /* if that is a https one */
};

/* NULL: no memory. */
struct uplink *uplink_start(struct worker *w, const struct uplink_spec *spec,
			    const struct uplink_events *events, void *ctx);
/* Close with why; users of streams are told, the owner is not. */
void uplink_drop(struct uplink *u, enum reason why);
/* How long the server took for the WebSocket handshake: a round trip. */
uint64_t uplink_rtt_ms(const struct uplink *u);
/* Is there no connection yet? */
bool uplink_is_dialling(const struct uplink *u);
/* The way of its connection; GOOD while there is none. */
enum netpath_state uplink_path(const struct uplink *u);
/* Its tunnel, or NULL unless it is UP. */
struct tunnel *uplink_tunnel(const struct uplink *u);

#endif
