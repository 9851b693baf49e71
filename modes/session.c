/* SPDX-License-Identifier: MIT */
#include "modes/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "core/conn.h"
#include "core/log.h"
#include "core/users.h"
#include "proto/buf.h"
#include "proto/container.h"

#define REQUEST_MS 10000
#define IDLE_MS    120000 /* between requests */
#define KEPT_MAX   (64 * 1024)
#define NAME_SIZE  (ADDR_TEXT_MAX + 80)

enum state { REQUEST, AUTH, ASKING, CARRYING };

struct session {
	struct session *next, *prev;
	struct sessions *all;
	const struct inbound *inbound;
	void *in;
	struct end *app;
	struct login login; /* AUTH */
	struct bufq kept;   /* AUTH: what follows; at most KEPT_MAX and
			     * one read */
	bool eof;           /* and then app has finished sending */
	struct ask ask;     /* ASKING */
	struct web *web;    /* CARRYING, and between; may be NULL */
	bool idle;          /* REQUEST: none of it has come */
	enum state state;
	size_t unsent; /* of our replies, as far as sent() has told */
	struct deadline deadline;
	char name[NAME_SIZE];
	size_t name_len; /* without a target */
};

static void session_free(struct session *s)
{
	struct sessions *all = s->all;

	deadline_clear(&s->deadline);
	login_forget(&s->login);
	bufq_clear(&s->kept);
	DL_DELETE(all->first, s);
	web_free(s->web, REASON_DONE);
	s->inbound->free(s->in);
	free(s);
	all->ops->ended(all->ctx);
}

/* Drop what it holds, and s. */
static void session_drop(struct session *s, enum reason why)
{
	ask_drop(&s->ask, why);
	if (s->app)
		end_drop(s->app, why);
	session_free(s);
}

/* The application has gone. */
static void session_gone(struct session *s, enum reason why)
{
	s->app = NULL;
	session_drop(s, why);
}

static void say(struct session *s, void *p, size_t n)
{
	struct bufq q;
	struct buf b;

	if (n == 0)
		return;
	bufq_init(&q);
	buf_lend(&b, p, n);
	bufq_put(&q, &b);
	s->unsent += n;
	end_send(s->app, &q);
}

static void send_reply(struct session *s, struct reply *r)
{
	say(s, r->bytes, r->len);
}

/* The last answer. */

/* Nothing more is said. Frees s. */
static void session_close(struct session *s)
{
	linger_start(&s->all->lingers, s->app, s->eof);
	s->app = NULL;
	session_free(s);
}

/* Say why. Frees s. */
static void session_refuse(struct session *s, enum reason why)
{
	struct reply reply = {.len = 0};

	log_debug(s->name, "refused: %s", reason_text(why));
	ask_drop(&s->ask, why);
	s->inbound->refuse(s->in, why, &reply);
	send_reply(s, &reply);
	session_close(s);
}

/* The stream. */

static void on_opened(struct ask *a, struct end *stream, const char *bound)
{
	struct session *s = container_of(a, struct session, ask);
	struct reply reply = {.len = 0};
	struct relay_spec spec = {
		.side = {s->app, stream},
		.name = s->name,
		.bytes = a->bytes,
		.eof = a->fin,
		.flushed = a->flushed,
	};

	s->inbound->accept(s->in, bound, &reply);
	send_reply(s, &reply);
	spec.unsent = s->unsent;
	if (!relay_start(&s->all->relays, &spec)) {
		end_drop(stream, REASON_NO_MEMORY);
		session_drop(s, REASON_NO_MEMORY);
		return;
	}
	s->app = NULL;
	session_free(s);
}

static void on_ask_refused(struct ask *a, enum reason why)
{
	session_refuse(container_of(a, struct session, ask), why);
}

static void on_ask_ready(struct ask *a, size_t n)
{
	struct session *s = container_of(a, struct session, ask);

	end_read(s->app, n);
}

static const struct ask_ops ask_ops = {
	.opened = on_opened,
	.refused = on_ask_refused,
	.ready = on_ask_ready,
};

/* Bytes behind the request are the target's. False: no memory, and s is
 * freed. */
static bool early_data(struct session *s, struct bufq *q)
{
	size_t room;

	if (ask_send(&s->ask, q, &room)) {
		end_read(s->app, room);
		return true;
	}
	session_refuse(s, REASON_NO_MEMORY);
	return false;
}

static void set_name(struct session *s)
{
	char target[ADDR_TEXT_MAX];

	addr_format(s->inbound->target(s->in), target);
	snprintf(s->name + s->name_len, NAME_SIZE - s->name_len, " to %s",
		 target);
}

static bool is_full(const struct session *s)
{
	return s->all->worker->conns > s->all->worker->max_conns;
}

static void on_request(struct session *s, struct bufq *rest)
{
	enum reason why = REASON_LIMIT;

	set_name(s);
	deadline_clear(&s->deadline);
	s->state = ASKING;
	if (!is_full(s))
		why = ask_start(&s->ask, s->inbound->target(s->in));
	if (why == REASON_DONE) {
		if (early_data(s, rest) && s->eof)
			ask_fin(&s->ask);
		return;
	}
	bufq_clear(rest);
	session_refuse(s, why);
}

/* HTTP. */

static const struct end_events app_events;
static void request_data(struct session *s, enum inbound_state state,
			 struct bufq *q);
static void await_request(struct session *s);

static void take_back(struct session *s, size_t unsent)
{
	s->unsent = unsent;
	end_use(s->app, &app_events, s);
}

static void on_carried(void *ctx, struct bufq *rest, size_t unsent, bool eof,
		       bool keep)
{
	struct session *s = ctx;
	void *in;

	take_back(s, unsent);
	s->eof = eof;
	keep &= !s->all->draining; /* it may have begun since */
	in = keep ? s->inbound->new_(s->all->logins.users != NULL) : NULL;
	if (!in) {
		bufq_clear(rest);
		session_close(s);
		return;
	}
	s->inbound->free(s->in);
	s->in = in;
	await_request(s);
	request_data(s, INBOUND_MORE, rest);
}

static void on_not_carried(void *ctx, size_t unsent, enum reason why)
{
	struct session *s = ctx;

	take_back(s, unsent);
	session_refuse(s, why);
}

static void on_broken(void *ctx, enum reason why)
{
	session_drop(ctx, why);
}

static void on_gone(void *ctx, enum reason why)
{
	session_gone(ctx, why);
}

static void on_joined(void *ctx)
{
	struct session *s = ctx;

	s->app = NULL;
	session_free(s);
}

static const struct web_ops web_ops = {
	.done = on_carried,
	.refused = on_not_carried,
	.broken = on_broken,
	.gone = on_gone,
	.joined = on_joined,
};

static enum reason carry(struct session *s, struct bufq *rest)
{
	if (is_full(s))
		return REASON_LIMIT;
	if (!s->web)
		s->web = web_new(s->all, s->name, &web_ops, s);
	if (!s->web)
		return REASON_NO_MEMORY;
	return web_carry(s->web, s->app, s->inbound->request(s->in), rest,
			 s->unsent, s->eof);
}

static void on_carry(struct session *s, struct bufq *rest)
{
	enum reason why;

	set_name(s);
	deadline_clear(&s->deadline);
	s->state = CARRYING;
	why = carry(s, rest);
	if (why == REASON_DONE)
		return;
	bufq_clear(rest);
	take_back(s, s->unsent);
	session_refuse(s, why);
}

/* A request for the proxy itself. */
static void on_local(struct session *s, struct bufq *rest)
{
	size_t n = 0;
	char *page =
		page_local(s->inbound->request(s->in), conn_bound(s->app), &n);

	bufq_clear(rest);
	if (!page) {
		session_refuse(s, REASON_NO_MEMORY);
		return;
	}
	say(s, page, n);
	free(page);
	session_close(s);
}

/* User and password. */

/* False: no memory, and s is freed. */
static bool keep(struct session *s, struct bufq *q)
{
	struct buf *b;
	bool good = true;

	while ((b = bufq_get(q)))
		good &= bufq_keep(&s->kept, b, &s->all->worker->pool);
	if (!good)
		session_refuse(s, REASON_NO_MEMORY);
	else if (s->kept.bytes >= KEPT_MAX)
		end_read(s->app, 0);
	return good;
}

static void on_request_over(struct deadline *d)
{
	struct session *s = container_of(d, struct session, deadline);

	log_debug(s->name, "no request in time");
	if (s->idle)
		session_close(s);
	else
		session_drop(s, REASON_TIMED_OUT);
}

/* Of an HTTP connection: another one. */
static void await_request(struct session *s)
{
	s->name[s->name_len] = 0;
	s->state = REQUEST;
	s->idle = true;
	end_read(s->app, s->eof ? 0 : BUF_MAX);
	deadline_set(s->all->worker, &s->deadline, IDLE_MS, on_request_over);
}

/* The first bytes of another one. */
static void request_begins(struct session *s)
{
	s->idle = false;
	deadline_set(s->all->worker, &s->deadline, REQUEST_MS, on_request_over);
}

/* Go on with what has been kept. */
static void admit(struct session *s)
{
	struct reply reply = {.len = 0};
	enum inbound_state state = s->inbound->admit(s->in, &reply);
	struct bufq q;

	send_reply(s, &reply);
	s->state = REQUEST;
	deadline_set(s->all->worker, &s->deadline, REQUEST_MS, on_request_over);
	bufq_init(&q);
	bufq_move(&q, &s->kept);
	end_read(s->app, BUF_MAX);
	request_data(s, state, &q);
}

static void on_answer(struct login *l, enum reason why)
{
	struct session *s = container_of(l, struct session, login);

	if (why == REASON_DONE)
		admit(s);
	else
		session_refuse(s, why);
}

static void on_credentials(struct session *s, struct bufq *rest)
{
	const char *user, *password;

	deadline_clear(&s->deadline);
	s->state = AUTH;
	if (!keep(s, rest))
		return;
	s->inbound->credentials(s->in, &user, &password);
	login_ask(&s->login, &s->all->logins, s->name, user, password,
		  on_answer);
}

/* The bytes of one buf of the request, as far as they belong to it. */
static enum inbound_state feed(struct session *s, struct buf *b, size_t *used)
{
	struct reply reply = {.len = 0};
	enum inbound_state state =
		s->inbound->feed(s->in, buf_ptr(b), b->len, used, &reply);

	explicit_bzero(buf_ptr(b), *used); /* a password, perhaps */
	end_left(s->app, *used);
	send_reply(s, &reply);
	return state;
}

/* Takes q, the bytes behind those that have led to state. */
static void request_data(struct session *s, enum inbound_state state,
			 struct bufq *q)
{
	size_t used;

	if (s->idle && q->head)
		request_begins(s);
	while (state == INBOUND_MORE && q->head) {
		state = feed(s, q->head, &used);
		bufq_pull(q, used);
	}
	switch (state) {
	case INBOUND_MORE:
		if (s->eof)
			session_close(s);
		break;
	case INBOUND_AUTH:
		on_credentials(s, q);
		break;
	case INBOUND_DONE:
		on_request(s, q);
		break;
	case INBOUND_CARRY:
		on_carry(s, q);
		break;
	case INBOUND_LOCAL:
		on_local(s, q);
		break;
	case INBOUND_FAILED:
		bufq_clear(q);
		session_refuse(s, s->inbound->why(s->in));
		break;
	}
}

static void on_app_data(struct end *e, struct bufq *q)
{
	struct session *s = e->user;

	switch (s->state) {
	case REQUEST:
		request_data(s, INBOUND_MORE, q);
		break;
	case AUTH:
		keep(s, q);
		break;
	case ASKING:
		early_data(s, q);
		break;
	case CARRYING: /* its web has the application */
		break;
	}
}

static void on_app_eof(struct end *e)
{
	struct session *s = e->user;

	switch (s->state) {
	case REQUEST:
		s->eof = true;
		session_close(s);
		break;
	case CARRYING:
		break;
	case AUTH: /* its request may have come already */
		s->eof = true;
		break;
	case ASKING:
		ask_fin(&s->ask);
		break;
	}
}

static void on_app_dead(struct end *e, enum reason why, const char *detail)
{
	(void)detail;
	session_gone(e->user, why);
}

static void on_app_sent(struct end *e, size_t n)
{
	struct session *s = e->user;

	s->unsent -= n;
}

static void on_app_ready(struct end *e, size_t n)
{
	(void)e; /* only replies are sent, and they are small */
	(void)n;
}

static const struct end_events app_events = {
	.data = on_app_data,
	.sent = on_app_sent,
	.ready = on_app_ready,
	.eof = on_app_eof,
	.dead = on_app_dead,
};

void session_start(struct sessions *all, struct end *app,
		   const struct inbound *in)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s || !(s->in = in->new_(all->logins.users != NULL))) {
		free(s);
		end_drop(app, REASON_NO_MEMORY);
		return;
	}
	s->all = all;
	s->inbound = in;
	s->app = app;
	bufq_init(&s->kept);
	ask_init(&s->ask, &all->asks, &ask_ops);
	snprintf(s->name, sizeof(s->name), "%s %s", in->name, conn_peer(app));
	s->name_len = strlen(s->name);
	DL_APPEND(all->first, s);
	conn_keepalive(app, all->keepalive_s);
	deadline_set(all->worker, &s->deadline, REQUEST_MS, on_request_over);
	end_use(app, &app_events, s);
	end_read(app, BUF_MAX);
}

/* All of them. */

static void on_relays_idle(struct relays *r)
{
	struct sessions *all = container_of(r, struct sessions, relays);

	all->ops->ended(all->ctx);
}

static void on_linger_ended(struct lingers *l)
{
	struct sessions *all = container_of(l, struct sessions, lingers);

	all->ops->ended(all->ctx);
}

void sessions_init(struct sessions *all, struct worker *w,
		   const struct sessions_ops *ops, void *ctx)
{
	memset(all, 0, sizeof(*all));
	all->worker = w;
	all->ops = ops;
	all->ctx = ctx;
	all->asks.worker = w;
	all->asks.tunnel = ops->tunnel;
	all->asks.want = ops->want;
	all->asks.ctx = ctx;
	all->relays.idle = on_relays_idle;
	all->lingers.worker = w;
	all->logins.worker = w;
	all->lingers.ended = on_linger_ended;
}

bool sessions_busy(const struct sessions *all)
{
	return all->first || all->lingers.first || all->relays.count;
}

void sessions_drain(struct sessions *all)
{
	struct session *s, *next;

	all->draining = true;
	DL_FOREACH_SAFE(all->first, s, next)
	{
		if (s->state == REQUEST && s->idle)
			session_close(s);
		else if (s->state == REQUEST || s->state == AUTH)
			session_drop(s, REASON_STOPPING);
	}
	asks_refuse(&all->asks, REASON_STOPPING);
}

void sessions_drop(struct sessions *all, enum reason why)
{
	while (all->first)
		session_drop(all->first, why);
	lingers_drop(&all->lingers, why);
	relays_drop(&all->relays, why);
}
