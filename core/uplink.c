/* SPDX-License-Identifier: MIT */
#include "core/uplink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn.h"
#include "core/dial.h"
#include "proto/buf.h"

#define UNACKED_MS 60000 /* TCP_USER_TIMEOUT of a tunnel's socket */

enum state { DIALLING, TLS, OPENING, UP };

struct uplink {
	struct worker *w;
	struct uplink_spec spec;
	const struct uplink_events *events;
	void *ctx;
	enum state state;
	struct dial *dial;     /* DIALLING */
	struct end *tls;       /* TLS */
	struct tunnel *tunnel; /* OPENING, UP */
	char host[ADDR_TEXT_MAX];
};

/* The one way to fail. Calls up. */
static void uplink_down(struct uplink *u, enum reason why, const char *detail)
{
	const struct uplink_events *events = u->events;
	bool was_up = u->state == UP;
	void *ctx = u->ctx;

	free(u);
	events->down(ctx, why, detail, was_up);
}

/* The tunnel. */

static void on_up(void *ctx)
{
	struct uplink *u = ctx;

	u->state = UP;
	u->events->up(u->ctx);
}

static void on_open(void *ctx, struct end *e, const struct addr *target)
{
	struct uplink *u = ctx;

	u->events->open(u->ctx, e, target);
}

static void on_down(void *ctx, enum reason why, const char *detail)
{
	uplink_down(ctx, why, detail);
}

static const struct tunnel_events tunnel_events = {
	.up = on_up,
	.open = on_open,
	.down = on_down,
};

static void open_tunnel(struct uplink *u, struct end *lower)
{
	struct tunnel_target target = {
		.host = u->host,
		.path = u->spec.url->path,
		.token = u->spec.token,
	};

	u->state = OPENING;
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
	u->state = TLS;
	u->tls = tls_open(u->w, u->spec.tls, lower, u->spec.url->addr.host,
			  &tls_events, u);
	if (!u->tls)
		uplink_down(u, REASON_NO_MEMORY, NULL);
}

/* The connection. */

static void on_dialled(void *ctx, struct end *conn, enum reason why)
{
	struct uplink *u = ctx;

	u->dial = NULL;
	if (!conn) {
		uplink_down(u, why, NULL);
		return;
	}
	conn_bulk(conn, UNACKED_MS);
	if (u->spec.url->tls)
		open_tls(u, conn);
	else
		open_tunnel(u, conn);
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
	const struct addr *at = &spec->url->addr;

	if (!u)
		return NULL;
	u->w = w;
	u->spec = *spec;
	u->events = events;
	u->ctx = ctx;
	format_host(spec->url, u->host);
	u->dial = dial_start(w, at->host, at->port, spec->ms, &dial_ops, u);
	if (u->dial)
		return u;
	free(u);
	return NULL;
}

void uplink_drop(struct uplink *u, enum reason why)
{
	if (u->dial)
		dial_drop(u->dial);
	if (u->tls)
		end_drop(u->tls, why);
	if (u->tunnel)
		tunnel_close(u->tunnel, why);
	free(u);
}

struct tunnel *uplink_tunnel(const struct uplink *u)
{
	return u->state == UP ? u->tunnel : NULL;
}
