/* SPDX-License-Identifier: MIT */
#include "modes/connect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "core/conn.h"
#include "core/dial.h"
#include "proto/container.h"
#include "proto/mux.h"

#define NAME_SIZE (ADDR_TEXT_MAX + 80)

struct connect {
	struct connect *next, *prev;
	struct connects *all;
	struct end *stream;
	struct dial *dial;
	char name[NAME_SIZE];
};

static void connect_free(struct connect *c)
{
	struct connects *all = c->all;

	DL_DELETE(all->first, c);
	all->dialling--;
	free(c);
	all->ended(all);
}

static bool on_allow(void *ctx, const char *host, const struct sockaddr *sa)
{
	const struct connect *c = ctx;

	return egress_allows(c->all->egress, host, sa);
}

/* The operator learns which rule was met; a flood of requests does not become
 * a flood of lines. */
static void log_refusal(struct connect *c, enum reason why)
{
	struct connects *all = c->all;

	if (why != REASON_FORBIDDEN) {
		log_debug(c->name, "refused: %s", reason_text(why));
		return;
	}
	if (log_limit(&all->refused, worker_now(all->worker)))
		log_warn(c->name,
			 "refused by a rule: see --allow and --deny; loopback "
			 "and metadata targets need --allow loopback%s",
			 all->refused.more);
}

static void connect_refuse(struct connect *c, enum reason why)
{
	log_refusal(c, why);
	stream_refuse(c->stream, why);
	connect_free(c);
}

static void connect_join(struct connect *c, struct end *conn)
{
	struct relay_spec spec = {
		.side = {c->stream, conn},
		.name = c->name,
	};

	conn_keepalive(conn, c->all->keepalive_s);
	stream_accept(c->stream, conn_bound(conn));
	if (!relay_start(&c->all->relays, &spec)) {
		end_drop(c->stream, REASON_NO_MEMORY);
		end_drop(conn, REASON_NO_MEMORY);
	}
	connect_free(c);
}

static void on_dialled(void *ctx, struct end *conn, enum reason why)
{
	struct connect *c = ctx;

	c->dial = NULL;
	if (conn)
		connect_join(c, conn);
	else
		connect_refuse(c, why);
}

static const struct dial_ops dial_ops = {
	.allow = on_allow,
	.done = on_dialled,
};

/* The client has lost interest. */
static void on_stream_dead(struct end *e, enum reason why, const char *detail)
{
	struct connect *c = e->user;

	(void)detail;
	log_debug(c->name, "given up: %s", reason_text(why));
	dial_drop(c->dial);
	connect_free(c);
}

/* Nothing else is told before the stream is read or written. */
static const struct end_events stream_events = {.dead = on_stream_dead};

void connect_start(struct connects *all, struct end *stream,
		   const struct addr *target, const char *peer)
{
	struct worker *w = all->worker;
	struct connect *c;
	char text[ADDR_TEXT_MAX];

	if (w->conns + all->dialling >= w->max_conns) {
		stream_refuse(stream, REASON_LIMIT);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		stream_refuse(stream, REASON_NO_MEMORY);
		return;
	}
	c->all = all;
	c->stream = stream;
	snprintf(c->name, sizeof(c->name), "%s to %s", peer,
		 addr_format(target, text));
	DL_APPEND(all->first, c);
	all->dialling++;
	end_use(stream, &stream_events, c);
	c->dial = dial_start(w, target->host, target->port, all->timeout_ms,
			     &dial_ops, c);
	if (!c->dial)
		connect_refuse(c, REASON_NO_MEMORY);
}

static void on_relays_idle(struct relays *r)
{
	struct connects *all = container_of(r, struct connects, relays);

	all->ended(all);
}

void connects_init(struct connects *all, struct worker *w)
{
	memset(all, 0, sizeof(*all));
	all->worker = w;
	all->relays.idle = on_relays_idle;
}

bool connects_busy(const struct connects *all)
{
	return all->first || all->relays.count;
}

void connects_drop(struct connects *all, enum reason why)
{
	struct connect *c, *next;

	DL_FOREACH_SAFE(all->first, c, next)
	{
		dial_drop(c->dial);
		stream_refuse(c->stream, why);
		connect_free(c);
	}
	relays_drop(&all->relays, why);
}
