/* SPDX-License-Identifier: MIT */
/*
 * The client: proxies on this machine, one tunnel to the server.
 *
 *	DOWN	 a retry is due, after a pause that grows
 *	TRYING	 an uplink is on its way
 *	UP	 sessions get their streams
 *
 * Listeners stay in all of them. The first attempt decides about what no retry
 * would mend: a bad certificate, a wrong token, a peer that is not a wsp.
 */
#include <stdio.h>
#include <string.h>

#include "core/listen.h"
#include "core/log.h"
#include "core/tls.h"
#include "core/tunnel.h"
#include "core/uplink.h"
#include "proto/container.h"
#include "proto/mux.h"

#include "modes/help.h"
#include "modes/modes.h"
#include "modes/options.h"
#include "modes/service.h"
#include "modes/session.h"

#define RETRY_FIRST_MS 250
#define RETRY_MAX_MS   60000
#define STABLE_MS      60000 /* up so long: the next pause is the first again */
#define ASKED_MS       1000  /* between dials that somebody waits for */
#define URL_SIZE       (ADDR_TEXT_MAX + PATH_MAX_LEN + 8)

struct door {
	struct client *client;
	struct listener *listener;
	const struct inbound *inbound;
};

struct client {
	struct service service;
	struct options options;
	struct tls_context *tls;
	struct sessions sessions;
	struct door doors[3 * LISTENS_MAX];
	int ndoors;
	struct uplink *uplink; /* NULL: DOWN */
	struct deadline retry;
	struct deadline wait; /* --wait */
	uint64_t dialled;     /* when the last attempt began */
	uint64_t up_since;
	uint64_t pause_ms; /* the next pause is at most this */
	bool ever_up;
	char url[URL_SIZE];
};

/* The uplink. */

static void on_retry(struct deadline *d);

/* Full jitter: anything from 0 to the limit, which doubles each time. */
static void schedule_retry(struct client *c)
{
	struct worker *w = &c->service.worker;

	deadline_set(w, &c->retry, worker_below(w, (uint32_t)c->pause_ms + 1),
		     on_retry);
	c->pause_ms *= 2;
	if (c->pause_ms > RETRY_MAX_MS)
		c->pause_ms = RETRY_MAX_MS;
}

/* An application waits: at once, but not more than once a second. */
static void want(struct client *c)
{
	struct worker *w = &c->service.worker;
	uint64_t since = worker_since(w, c->dialled);

	if (c->uplink || c->service.state == SERVICE_STOPPING)
		return;
	deadline_set(w, &c->retry, since < ASKED_MS ? ASKED_MS - since : 0,
		     on_retry);
}

static void on_up(void *ctx)
{
	struct client *c = ctx;
	struct tunnel *t = uplink_tunnel(c->uplink);

	c->up_since = worker_now(&c->service.worker);
	c->ever_up = true;
	deadline_clear(&c->wait);
	log_info(NULL, "tunnel up: %s%s", c->url,
		 tunnel_native(t) ? "" : " (a gowsp server)");
	ready_line(&c->service.ready, "connected %s rtt=%llums", c->url,
		   (unsigned long long)uplink_rtt_ms(c->uplink));
	ready_now(&c->service.ready);
	sessions_wake(&c->sessions);
}

/* No client of ours offers anything to the server yet. */
static void on_open(void *ctx, struct end *e, const struct addr *target)
{
	(void)ctx;
	(void)target;
	stream_refuse(e, REASON_BAD_COMMAND);
}

static bool is_fatal(const struct client *c, enum reason why)
{
	switch (why) {
	case REASON_TLS:
	case REASON_UNAUTHORIZED:
	case REASON_NOT_WSP:
	case REASON_FORBIDDEN:
	case REASON_PROXY:
		return !c->ever_up && !c->options.retry_all;
	default:
		return false;
	}
}

static void on_down(void *ctx, enum reason why, const char *detail, bool was_up)
{
	struct client *c = ctx;
	struct worker *w = &c->service.worker;

	c->uplink = NULL;
	log_warn(NULL, "tunnel %s: %s: %s%s%s", was_up ? "down" : "not up",
		 c->url, reason_text(why), detail ? ": " : "",
		 detail ? detail : "");
	if (c->service.state == SERVICE_STOPPING)
		return;
	if (is_fatal(c, why)) {
		service_stop(&c->service, reason_exit(why));
		return;
	}
	if (was_up && worker_since(w, c->up_since) >= STABLE_MS)
		c->pause_ms = RETRY_FIRST_MS;
	if (sessions_waiting(&c->sessions))
		want(c);
	else
		schedule_retry(c);
}

static const struct uplink_events uplink_events = {
	.up = on_up,
	.open = on_open,
	.down = on_down,
};

static void connect_now(struct client *c)
{
	struct worker *w = &c->service.worker;
	struct uplink_spec spec = {
		.url = &c->options.server,
		.token = c->options.token,
		.host = c->options.host,
		.sni = c->options.sni,
		.fields = c->options.fields,
		.tls = c->tls,
		.ms = c->options.connect_timeout_ms,
		.proxy = c->options.use_proxy ? &c->options.proxy : NULL,
	};

	c->dialled = worker_now(w);
	c->uplink = uplink_start(w, &spec, &uplink_events, c);
	if (!c->uplink)
		schedule_retry(c);
}

static void on_retry(struct deadline *d)
{
	connect_now(container_of(d, struct client, retry));
}

static void on_wait_over(struct deadline *d)
{
	struct client *c = container_of(d, struct client, wait);

	log_error(NULL, "no tunnel to %s within --wait", c->url);
	service_stop(&c->service, reason_exit(REASON_TUNNEL_DOWN));
}

/* What sessions need. */

static struct tunnel *get_tunnel(void *ctx)
{
	struct client *c = ctx;

	return c->uplink ? uplink_tunnel(c->uplink) : NULL;
}

static void on_want(void *ctx)
{
	want(ctx);
}

static void on_ended(void *ctx)
{
	struct client *c = ctx;

	service_check(&c->service);
}

static const struct sessions_ops sessions_ops = {
	.tunnel = get_tunnel,
	.want = on_want,
	.ended = on_ended,
};

/* Listeners. */

static void on_accept(void *ctx, struct end *e)
{
	struct door *d = ctx;

	session_start(&d->client->sessions, e, d->inbound);
}

static void close_doors(struct client *c)
{
	for (int i = 0; i < c->ndoors; i++)
		listen_drop(c->doors[i].listener);
	c->ndoors = 0;
}

/* False: one could not be opened, and none is. */
static bool open_doors(struct client *c, const struct listens *l,
		       const struct inbound *in)
{
	const char *error;
	char text[ADDR_TEXT_MAX];

	for (int i = 0; i < l->count; i++) {
		struct door *d = &c->doors[c->ndoors];

		d->client = c;
		d->inbound = in;
		d->listener = listen_open(&c->service.worker, &l->at[i],
					  on_accept, d, &error);
		if (!d->listener) {
			log_error(NULL, "--%s: cannot listen on %s: %s",
				  in->name, addr_format(&l->at[i], text),
				  error);
			close_doors(c);
			return false;
		}
		c->ndoors++;
		log_info(NULL, "%s proxy on %s", in->name,
			 listen_name(d->listener));
		ready_line(&c->service.ready, "listening %s %s", in->name,
			   listen_name(d->listener));
	}
	return true;
}

/* The service. */

static void on_drain(void *ctx)
{
	struct client *c = ctx;

	close_doors(c);
	sessions_drain(&c->sessions);
}

static bool on_busy(void *ctx)
{
	struct client *c = ctx;

	return sessions_busy(&c->sessions);
}

static void on_stop(void *ctx, enum reason why)
{
	struct client *c = ctx;

	close_doors(c);
	deadline_clear(&c->retry);
	deadline_clear(&c->wait);
	sessions_drop(&c->sessions, why);
	if (c->uplink)
		uplink_drop(c->uplink, why);
	c->uplink = NULL;
}

/* HUP: do not wait for the next retry. */
static void on_hangup(void *ctx)
{
	struct client *c = ctx;

	c->pause_ms = RETRY_FIRST_MS;
	want(c);
}

static const struct service_ops service_ops = {
	.drain = on_drain,
	.busy = on_busy,
	.stop = on_stop,
	.hangup = on_hangup,
};

static void warn_of_risks(const struct options *o)
{
	if (o->insecure)
		log_warn(NULL, "--insecure: the server's certificate is not "
			       "verified; anybody on the way can read along");
	if (!o->server.tls && o->token &&
	    !host_is_loopback(o->server.addr.host))
		log_warn(NULL, "the token goes to %s in clear: use wss://",
			 o->server.addr.host);
}

/* 0, or an exit code. */
static int client_start(struct client *c)
{
	const struct options *o = &c->options;
	char proxy[ADDR_TEXT_MAX + 10];
	const char *error;

	server_url_format(&o->server, c->url, sizeof(c->url));
	if (o->use_proxy)
		log_info(NULL, "reaching %s through %s", c->url,
			 proxy_url_format(&o->proxy, proxy, sizeof(proxy)));
	warn_of_risks(o);
	if (o->server.tls) {
		c->tls = tls_client_context(o->tls_ca, o->insecure, &error);
		if (!c->tls) {
			log_error(NULL, "%s", error);
			return reason_exit(REASON_USAGE);
		}
	}
	sessions_init(&c->sessions, &c->service.worker, &sessions_ops, c);
	c->sessions.connect_timeout_ms = o->connect_timeout_ms;
	c->sessions.keepalive_s = o->tcp_keepalive_s;
	c->sessions.auth = o->proxy_auth;
	if (!open_doors(c, &o->socks, &inbound_socks) ||
	    !open_doors(c, &o->http, &inbound_http) ||
	    !open_doors(c, &o->mixed, &inbound_mixed))
		return reason_exit(REASON_CANNOT_BIND);
	c->pause_ms = RETRY_FIRST_MS;
	if (o->wait_ms)
		deadline_set(&c->service.worker, &c->wait, o->wait_ms,
			     on_wait_over);
	connect_now(c);
	return 0;
}

static int client_run(struct client *c)
{
	int code = service_init(&c->service, &c->options, &service_ops, c);

	if (code)
		return code;
	code = client_start(c);
	if (code)
		service_stop(&c->service, code);
	code = service_run(&c->service);
	tls_context_free(c->tls);
	return code;
}

int mode_client(int argc, char **argv)
{
	struct client c = {.tls = NULL};
	int code = options_read(&c.options, MODE_CLIENT, argc, argv);

	if (code || c.options.help) {
		options_done(&c.options);
		return code ? code : help_options(MODE_CLIENT);
	}
	log_setup((enum log_level)c.options.log_level, c.options.log_json);
	code = client_run(&c);
	options_done(&c.options);
	return code;
}
