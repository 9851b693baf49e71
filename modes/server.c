/* SPDX-License-Identifier: MIT */
/*
 * The server: takes tunnels from clients and dials their targets.
 *
 * A visitor is a connection to one of the listeners:
 *
 *	TLS	  its handshake, if there is a certificate
 *	OPENING	  WebSocket handshake; with TLS, 10 seconds in all
 *	UP	  a tunnel whose streams become connections (connect.c)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "core/conn.h"
#include "core/listen.h"
#include "core/log.h"
#include "core/tls.h"
#include "core/tunnel.h"
#include "proto/container.h"
#include "proto/mux.h"
#include "proto/token.h"

#include "modes/connect.h"
#include "modes/help.h"
#include "modes/modes.h"
#include "modes/options.h"
#include "modes/service.h"

#define HANDSHAKE_MS 10000
#define UNACKED_MS   60000 /* TCP_USER_TIMEOUT of a tunnel's socket */
#define NAME_SIZE    80

struct visitor {
	struct visitor *next, *prev;
	struct server *server;
	struct end *tls;       /* TLS */
	struct tunnel *tunnel; /* OPENING, UP */
	struct deadline handshake;
	bool up;
	char name[NAME_SIZE];
};

struct server {
	struct service service;
	struct options options;
	struct tls_context *tls;
	struct listener *listeners[LISTENS_MAX];
	int nlisteners;
	struct visitor *visitors;
	struct connects connects;
	struct log_limit refused;
};

/* Visitors. */

static void visitor_free(struct visitor *v)
{
	deadline_clear(&v->handshake);
	DL_DELETE(v->server->visitors, v);
	free(v);
}

static void visitor_drop(struct visitor *v, enum reason why)
{
	if (v->tls)
		end_drop(v->tls, why);
	if (v->tunnel)
		tunnel_close(v->tunnel, why);
	visitor_free(v);
}

/* A visitor has gone before it was a tunnel. Anybody can make this line
 * appear, so there is at most one a second. */
static void log_refused(struct visitor *v, enum reason why, const char *detail)
{
	struct server *s = v->server;

	if (log_limit(&s->refused, worker_now(&s->service.worker)))
		log_warn(v->name, "client refused: %s%s%s%s", reason_text(why),
			 detail ? ": " : "", detail ? detail : "",
			 s->refused.more);
}

static void on_handshake_over(struct deadline *d)
{
	struct visitor *v = container_of(d, struct visitor, handshake);

	log_refused(v, REASON_TIMED_OUT, NULL);
	visitor_drop(v, REASON_TIMED_OUT);
}

static enum reason on_check(void *ctx, const struct upgrade_request *req)
{
	const struct visitor *v = ctx;
	const struct options *o = &v->server->options;

	if (strcmp(req->path, o->path) != 0)
		return REASON_NOT_FOUND;
	/* any web page in a browser may open ws://127.0.0.1 */
	if (req->has_origin && !o->allow_origin)
		return REASON_FORBIDDEN;
	if (!token_equal(req->token, o->token))
		return REASON_UNAUTHORIZED;
	return req->proto_ok ? REASON_DONE : REASON_BAD_REQUEST;
}

static void on_up(void *ctx)
{
	struct visitor *v = ctx;

	v->up = true;
	deadline_clear(&v->handshake);
	log_info(v->name, "tunnel up%s",
		 tunnel_native(v->tunnel) ? "" : " (a gowsp client)");
}

static void on_open(void *ctx, struct end *e, const struct addr *target)
{
	struct visitor *v = ctx;
	struct server *s = v->server;

	if (s->service.state != SERVICE_RUNNING)
		stream_refuse(e, REASON_STOPPING);
	else
		connect_start(&s->connects, e, target, v->name);
}

static void on_down(void *ctx, enum reason why, const char *detail)
{
	struct visitor *v = ctx;

	if (v->up)
		log_info(v->name, "tunnel down: %s%s%s", reason_text(why),
			 detail ? ": " : "", detail ? detail : "");
	else
		log_refused(v, why, detail);
	visitor_free(v);
}

static const struct tunnel_events tunnel_events = {
	.check = on_check,
	.up = on_up,
	.open = on_open,
	.down = on_down,
};

static void open_tunnel(struct visitor *v, struct end *lower)
{
	v->tunnel = tunnel_start(&v->server->service.worker, lower, NULL,
				 &tunnel_events, v);
	if (!v->tunnel)
		visitor_free(v);
}

static void on_tls_opened(struct end *e, const char *bound)
{
	struct visitor *v = e->user;

	(void)bound;
	v->tls = NULL;
	open_tunnel(v, e);
}

static void on_tls_dead(struct end *e, enum reason why, const char *detail)
{
	struct visitor *v = e->user;

	v->tls = NULL;
	log_refused(v, why, detail);
	visitor_free(v);
}

/* Until it is opened, a TLS end tells nothing else. */
static const struct end_events tls_events = {
	.opened = on_tls_opened,
	.dead = on_tls_dead,
};

static void on_accept(void *ctx, struct end *e)
{
	struct server *s = ctx;
	struct worker *w = &s->service.worker;
	struct visitor *v = calloc(1, sizeof(*v));

	if (!v) {
		end_drop(e, REASON_NO_MEMORY);
		return;
	}
	v->server = s;
	snprintf(v->name, sizeof(v->name), "client %s", conn_peer(e));
	DL_APPEND(s->visitors, v);
	deadline_set(w, &v->handshake, HANDSHAKE_MS, on_handshake_over);
	if (w->conns > w->max_conns) {
		log_refused(v, REASON_LIMIT, NULL);
		end_drop(e, REASON_LIMIT);
		visitor_free(v);
		return;
	}
	conn_bulk(e, UNACKED_MS);
	if (!s->tls) {
		open_tunnel(v, e);
		return;
	}
	v->tls = tls_open(w, s->tls, e, NULL, &tls_events, v);
	if (!v->tls)
		visitor_free(v);
}

/* Listeners. */

static void close_listeners(struct server *s)
{
	for (int i = 0; i < s->nlisteners; i++)
		listen_drop(s->listeners[i]);
	s->nlisteners = 0;
}

/* False: one could not be opened. */
static bool open_listeners(struct server *s)
{
	const struct options *o = &s->options;
	const char *kind = s->tls ? "wss" : "ws", *error;
	char text[ADDR_TEXT_MAX];

	for (int i = 0; i < o->listen.count; i++) {
		struct listener *l =
			listen_open(&s->service.worker, &o->listen.at[i],
				    on_accept, s, &error);

		if (!l) {
			log_error(NULL, "--listen: cannot listen on %s: %s",
				  addr_format(&o->listen.at[i], text), error);
			return false;
		}
		s->listeners[s->nlisteners++] = l;
		log_info(NULL, "listening on %s://%s%s", kind, listen_name(l),
			 o->path);
		ready_line(&s->service.ready, "listening %s %s", kind,
			   listen_name(l));
	}
	return true;
}

/* The service. */

static void on_drain(void *ctx)
{
	close_listeners(ctx);
}

static bool on_busy(void *ctx)
{
	struct server *s = ctx;

	return connects_busy(&s->connects);
}

static void on_stop(void *ctx, enum reason why)
{
	struct server *s = ctx;

	close_listeners(s);
	connects_drop(&s->connects, why);
	while (s->visitors)
		visitor_drop(s->visitors, why);
}

static void on_hangup(void *ctx)
{
	(void)ctx;
	log_info(NULL, "HUP: nothing to do");
}

static const struct service_ops service_ops = {
	.drain = on_drain,
	.busy = on_busy,
	.stop = on_stop,
	.hangup = on_hangup,
};

static void on_ended(struct connects *all)
{
	struct server *s = container_of(all, struct server, connects);

	service_check(&s->service);
}

/* 0, or an exit code. */
static int server_start(struct server *s)
{
	const struct options *o = &s->options;
	const char *error;

	if (!o->token)
		log_warn(NULL, "no --token: everybody who can connect may use "
			       "this server");
	if (o->tls_cert) {
		s->tls = tls_server_context(o->tls_cert, o->tls_key, &error);
		if (!s->tls) {
			log_error(NULL, "%s", error);
			return reason_exit(REASON_USAGE);
		}
	}
	connects_init(&s->connects, &s->service.worker);
	s->connects.egress = &o->egress;
	s->connects.timeout_ms = o->connect_timeout_ms;
	s->connects.keepalive_s = o->tcp_keepalive_s;
	s->connects.ended = on_ended;
	if (!open_listeners(s))
		return reason_exit(REASON_CANNOT_BIND);
	ready_now(&s->service.ready);
	return 0;
}

static int server_run(struct server *s)
{
	int code = service_init(&s->service, &s->options, &service_ops, s);

	if (code)
		return code;
	code = server_start(s);
	if (code)
		service_stop(&s->service, code);
	code = service_run(&s->service);
	tls_context_free(s->tls);
	return code;
}

int mode_server(int argc, char **argv)
{
	struct server s = {.tls = NULL};
	int code = options_read(&s.options, MODE_SERVER, argc, argv);

	if (code || s.options.help) {
		options_done(&s.options);
		return code ? code : help_options(MODE_SERVER);
	}
	log_setup((enum log_level)s.options.log_level, s.options.log_json);
	code = server_run(&s);
	options_done(&s.options);
	return code;
}
