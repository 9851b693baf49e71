/* SPDX-License-Identifier: MIT */
#include "core/uplink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn.h"
#include "core/dial.h"
#include "proto/buf.h"
#include "proto/container.h"
#include "proto/upstream.h"

#define UNACKED_MS 60000 /* TCP_USER_TIMEOUT of a tunnel's socket */
#define DETAIL_MAX 512
#define PROXY_NAME (ADDR_TEXT_MAX + 10)

enum state { DIALLING, PROXY_TLS, PROXY, TLS, OPENING, UP };

struct uplink {
	struct worker *w;
	struct uplink_spec spec;
	char *token; /* that of spec */
	const struct uplink_events *events;
	void *ctx;
	enum state state;
	struct dial *dial;    /* DIALLING */
	struct end *proxy;    /* PROXY */
	struct upstream *ask; /* PROXY */
	struct deadline deadline;
	struct end *tls;       /* PROXY_TLS, TLS */
	struct tunnel *tunnel; /* OPENING, UP */
	char host[ADDR_TEXT_MAX];
	bool has_path;
	struct netpath path; /* of the connection, if has_path */
	uint64_t asked;      /* OPENING: since when; UP: how long that took */
};

static void uplink_free(struct uplink *u)
{
	deadline_clear(&u->deadline);
	upstream_free(u->ask);
	tls_context_free(u->spec.tls);
	tls_context_free(u->spec.proxy_tls);
	if (u->token)
		explicit_bzero(u->token, strlen(u->token));
	free(u->token);
	free(u);
}

/* The one way to fail. Calls up. */
static void uplink_down(struct uplink *u, enum reason why, const char *detail)
{
	const struct uplink_events *events = u->events;
	bool was_up = u->state == UP;
	void *ctx = u->ctx;

	uplink_free(u);
	events->down(ctx, why, detail, was_up);
}

/* The tunnel. */

static void on_up(void *ctx)
{
	struct uplink *u = ctx;

	u->state = UP;
	u->asked = worker_now(u->w) - u->asked;
	u->events->up(u->ctx);
}

static void on_open(void *ctx, struct end *e, const struct addr *target)
{
	struct uplink *u = ctx;

	u->events->open(u->ctx, e, target);
}

static void on_load(void *ctx)
{
	struct uplink *u = ctx;

	if (u->events->load)
		u->events->load(u->ctx);
}

static void on_down(void *ctx, enum reason why, const char *detail)
{
	uplink_down(ctx, why, detail);
}

static const struct tunnel_events tunnel_events = {
	.up = on_up,
	.open = on_open,
	.load = on_load,
	.down = on_down,
};

static void open_tunnel(struct uplink *u, struct end *lower)
{
	struct tunnel_target target = {
		.host = u->spec.host ? u->spec.host : u->host,
		.path = u->spec.url->path,
		.token = u->spec.token,
		.fields = u->spec.fields,
	};

	u->state = OPENING;
	u->asked = worker_now(u->w);
	u->tunnel = tunnel_start(u->w, lower, &target, &tunnel_events, u);
	if (!u->tunnel)
		uplink_down(u, REASON_NO_MEMORY, NULL);
}

/* TLS. */

static void on_tls_opened(struct end *e, const char *bound)
{
	struct uplink *u = e->user;

	(void)bound;
	u->tls = NULL;
	open_tunnel(u, e);
}

static void on_tls_dead(struct end *e, enum reason why, const char *detail)
{
	struct uplink *u = e->user;

	u->tls = NULL;
	uplink_down(u, why, detail);
}

/* Until it is opened, a TLS end tells nothing else. */
static const struct end_events tls_events = {
	.opened = on_tls_opened,
	.dead = on_tls_dead,
};

static void open_tls(struct uplink *u, struct end *lower)
{
	const char *name = u->spec.sni ? u->spec.sni : u->spec.url->addr.host;

	u->state = TLS;
	u->tls = tls_open(u->w, u->spec.tls, lower, name, &tls_events, u);
	if (!u->tls)
		uplink_down(u, REASON_NO_MEMORY, NULL);
}

static void connected(struct uplink *u, struct end *conn)
{
	if (u->spec.url->tls)
		open_tls(u, conn);
	else
		open_tunnel(u, conn);
}

/* The proxy on the way. */

static void proxy_failed(struct uplink *u, enum reason why, const char *detail)
{
	char text[DETAIL_MAX], name[PROXY_NAME];

	snprintf(text, sizeof(text), "%s%s%s",
		 proxy_url_format(u->spec.proxy, name, sizeof(name)),
		 detail && *detail ? ": " : "", detail ? detail : "");
	if (u->proxy)
		end_drop(u->proxy, why);
	uplink_down(u, why, text);
}

static void proxy_send(struct uplink *u, uint8_t *p, size_t n)
{
	struct bufq q;
	struct buf b;

	if (n == 0)
		return;
	bufq_init(&q);
	buf_lend(&b, p, n);
	bufq_put(&q, &b);
	end_send(u->proxy, &q);
	explicit_bzero(p, n); /* a password, perhaps */
}

static void proxy_done(struct uplink *u)
{
	struct end *conn = u->proxy;

	deadline_clear(&u->deadline);
	upstream_free(u->ask);
	u->ask = NULL;
	u->proxy = NULL;
	connected(u, conn);
}

static enum upstream_state proxy_feed(struct uplink *u, struct buf *b)
{
	enum upstream_state state = UPSTREAM_MORE;
	uint8_t out[UPSTREAM_OUT_MAX];
	size_t used, n;

	while (state == UPSTREAM_MORE && b->len) {
		state = upstream_feed(u->ask, buf_ptr(b), b->len, &used, out,
				      &n);
		proxy_send(u, out, n);
		buf_pull(b, (uint32_t)used);
	}
	return state;
}

/* The server speaks after us: nothing may come behind the proxy's answer. */
static void on_proxy_data(struct end *e, struct bufq *q)
{
	struct uplink *u = e->user;
	enum upstream_state state = UPSTREAM_MORE;
	struct buf *b;
	size_t left = 0;

	while ((b = bufq_get(q))) {
		if (state == UPSTREAM_MORE)
			state = proxy_feed(u, b);
		left += b->len;
		buf_free(b);
	}
	if (state == UPSTREAM_FAILED)
		proxy_failed(u, upstream_why(u->ask), upstream_detail(u->ask));
	else if (left)
		proxy_failed(u, REASON_PROXY, "it says more than it should");
	else if (state == UPSTREAM_DONE)
		proxy_done(u);
}

static void on_proxy_eof(struct end *e)
{
	proxy_failed(e->user, REASON_RESET, "it closed the connection");
}

static void on_proxy_dead(struct end *e, enum reason why, const char *detail)
{
	struct uplink *u = e->user;

	u->proxy = NULL;
	proxy_failed(u, why, detail);
}

static void on_proxy_nothing(struct end *e, size_t n)
{
	(void)e;
	(void)n;
}

static const struct end_events proxy_events = {
	.data = on_proxy_data,
	.sent = on_proxy_nothing,
	.ready = on_proxy_nothing,
	.eof = on_proxy_eof,
	.dead = on_proxy_dead,
};

static void on_proxy_over(struct deadline *d)
{
	proxy_failed(container_of(d, struct uplink, deadline), REASON_TIMED_OUT,
		     "no answer");
}

static void ask_proxy(struct uplink *u, struct end *conn)
{
	uint8_t out[UPSTREAM_OUT_MAX];

	u->state = PROXY;
	u->proxy = conn;
	u->ask = upstream_new(u->spec.proxy, &u->spec.url->addr);
	if (!u->ask) {
		proxy_failed(u, REASON_NO_MEMORY, NULL);
		return;
	}
	end_use(conn, &proxy_events, u);
	deadline_set(u->w, &u->deadline, u->spec.ms, on_proxy_over);
	proxy_send(u, out, upstream_begin(u->ask, out));
	end_read(conn, BUF_MAX);
}

/* TLS to the proxy. */

static void on_proxy_tls_opened(struct end *e, const char *bound)
{
	struct uplink *u = e->user;

	(void)bound;
	u->tls = NULL;
	ask_proxy(u, e);
}

static void on_proxy_tls_dead(struct end *e, enum reason why,
			      const char *detail)
{
	struct uplink *u = e->user;

	u->tls = NULL;
	if (why == REASON_NOT_WSP) /* no TLS there, or none that we do */
		why = REASON_PROXY;
	proxy_failed(u, why, detail);
}

static const struct end_events proxy_tls_events = {
	.opened = on_proxy_tls_opened,
	.dead = on_proxy_tls_dead,
};

static void open_proxy_tls(struct uplink *u, struct end *lower)
{
	u->state = PROXY_TLS;
	u->tls = tls_open(u->w, u->spec.proxy_tls, lower,
			  u->spec.proxy->addr.host, &proxy_tls_events, u);
	if (!u->tls)
		proxy_failed(u, REASON_NO_MEMORY, NULL);
}

/* The connection. */

static void on_dialled(void *ctx, struct end *conn, enum reason why)
{
	struct uplink *u = ctx;

	u->dial = NULL;
	if (!conn) {
		if (u->spec.proxy)
			proxy_failed(u, why, NULL);
		else
			uplink_down(u, why, NULL);
		return;
	}
	conn_bulk(conn, UNACKED_MS);
	u->has_path = conn_path(conn, &u->path);
	if (!u->spec.proxy)
		connected(u, conn);
	else if (u->spec.proxy->tls)
		open_proxy_tls(u, conn);
	else
		ask_proxy(u, conn);
}

static const struct dial_ops dial_ops = {.done = on_dialled};

/* The Host field: the port as the URL needs it (RFC 9110 section 7.2). */
static void format_host(const struct server_url *url, char *out)
{
	size_t n;

	addr_format(&url->addr, out);
	if (url->addr.port != (url->tls ? 443 : 80))
		return;
	n = (size_t)snprintf(NULL, 0, ":%u", (unsigned)url->addr.port);
	out[strlen(out) - n] = 0;
}

struct uplink *uplink_start(struct worker *w, const struct uplink_spec *spec,
			    const struct uplink_events *events, void *ctx)
{
	struct uplink *u = calloc(1, sizeof(*u));
	const struct addr *at =
		spec->proxy ? &spec->proxy->addr : &spec->url->addr;

	if (!u)
		return NULL;
	u->w = w;
	u->spec = *spec;
	tls_context_ref(spec->tls);
	tls_context_ref(spec->proxy_tls);
	u->token = spec->token ? strdup(spec->token) : NULL;
	u->spec.token = u->token;
	u->events = events;
	u->ctx = ctx;
	format_host(spec->url, u->host);
	if (u->token || !spec->token)
		u->dial = dial_start(w, at->host, at->port, spec->ms, &dial_ops,
				     u);
	if (u->dial)
		return u;
	uplink_free(u);
	return NULL;
}

void uplink_drop(struct uplink *u, enum reason why)
{
	if (u->dial)
		dial_drop(u->dial);
	if (u->proxy)
		end_drop(u->proxy, why);
	if (u->tls)
		end_drop(u->tls, why);
	if (u->tunnel)
		tunnel_close(u->tunnel, why);
	uplink_free(u);
}

uint64_t uplink_rtt_ms(const struct uplink *u)
{
	return u->state == UP ? u->asked : 0;
}

bool uplink_is_dialling(const struct uplink *u)
{
	return u->state == DIALLING;
}

enum netpath_state uplink_path(const struct uplink *u)
{
	return u->has_path ? netpath_look(&u->path) : NETPATH_GOOD;
}

struct tunnel *uplink_tunnel(const struct uplink *u)
{
	return u->state == UP ? u->tunnel : NULL;
}
