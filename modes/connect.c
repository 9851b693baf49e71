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

#define NAME_SIZE (ADDR_TEXT_MAX + 160)

struct connect {
	struct connect *next, *prev;
	struct connects *all;
	struct end *stream;
	struct dial *dial;
	struct pass pass;
	bool counted; /* as a stream of its usage */
	char name[NAME_SIZE];
};

static void connect_free(struct connect *c)
{
	struct connects *all = c->all;

	DL_DELETE(all->first, c);
	all->dialling--;
	if (c->counted)
		usage_close(c->pass.member->usage, USAGE_STREAMS);
	pass_drop(&c->pass);
	free(c);
	all->ended(all);
}

static bool on_allow(void *ctx, const char *host, const struct sockaddr *sa)
{
	const struct connect *c = ctx;

	return pass_allows(&c->pass, host, sa);
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
		log_warn(
			c->name,
			"refused by a rule%s: see --allow and --deny; loopback "
			"and metadata targets need --allow loopback%s",
			c->pass.member->nrules ? ", maybe of the token" : "",
			all->refused.more);
}

static void connect_refuse(struct connect *c, enum reason why)
{
	log_refusal(c, why);
	stream_refuse(c->stream, why);
	connect_free(c);
}

/* NULL: no memory, and conn is gone. */
static struct end *meter(struct connect *c, struct end *conn)
{
	struct end *e;

	if (!c->counted)
		return conn;
	e = meter_open(&c->all->meters, conn, c->pass.member->usage);
	if (e)
		c->counted = false; /* here */
	else
		end_drop(conn, REASON_NO_MEMORY);
	return e;
}

static void connect_join(struct connect *c, struct end *conn)
{
	struct relay_spec spec = {.name = c->name};
	const char *bound = conn_bound(conn);
	struct end *e;

	conn_keepalive(conn, c->all->keepalive_s);
	e = meter(c, conn);
	if (!e) {
		connect_refuse(c, REASON_NO_MEMORY);
		return;
	}
	stream_accept(c->stream, bound);
	spec.side[0] = c->stream;
	spec.side[1] = e;
	if (!relay_start(&c->all->relays, &spec)) {
		end_drop(c->stream, REASON_NO_MEMORY);
		end_drop(e, REASON_NO_MEMORY);
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

/* As a stream of its usage. DONE, or LIMIT. */
static enum reason count(struct connects *all, const struct pass *pass,
			 const char *peer)
{
	struct usage *u = pass->member->usage;

	if (!u || usage_open(u, USAGE_STREAMS))
		return REASON_DONE;
	if (log_limit(&all->full, worker_now(all->worker)))
		log_warn(peer, "stream refused: the token's streams=%u%s",
			 (unsigned)pass->member->said.streams, all->full.more);
	return REASON_LIMIT;
}

void connect_start(struct connects *all, struct end *stream,
		   const struct addr *target, const struct pass *pass,
		   const char *peer)
{
	struct worker *w = all->worker;
	enum reason why;
	struct connect *c;
	char text[ADDR_TEXT_MAX];

	if (w->conns + all->dialling >= w->max_conns)
		why = REASON_LIMIT;
	else
		why = count(all, pass, peer);
	if (why != REASON_DONE) {
		stream_refuse(stream, why);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		if (pass->member->usage)
			usage_close(pass->member->usage, USAGE_STREAMS);
		stream_refuse(stream, REASON_NO_MEMORY);
		return;
	}
	c->all = all;
	c->stream = stream;
	c->pass = pass_copy(pass);
	c->counted = pass->member->usage != NULL;
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
	meters_init(&all->meters, w);
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
