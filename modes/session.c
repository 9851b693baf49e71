/* SPDX-License-Identifier: MIT */
#include "modes/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "core/conn.h"
#include "core/log.h"
#include "core/tunnel.h"
#include "proto/buf.h"
#include "proto/container.h"

#define REQUEST_MS 10000
#define REFUSED_MS 2000
#define EARLY_MAX  (64 * 1024) /* kept while the tunnel is down */
#define NAME_SIZE  (ADDR_TEXT_MAX + 80)

enum state { REQUEST, WAITING, OPENING, REFUSED };

struct session {
	struct session *next, *prev;
	struct sessions *all;
	const struct inbound *inbound;
	void *in;
	struct end *app;
	struct end *stream; /* OPENING */
	enum state state;
	bool eof;          /* app has finished sending */
	bool flushed;      /* and the stream has said so */
	struct bufq early; /* REQUEST, WAITING: for the target */
	uint64_t bytes;    /* sent to the target */
	size_t unsent;     /* of our replies, as far as sent() has told */
	struct deadline deadline;
	char name[NAME_SIZE];
};

/* A filter of a relay, which lives longer than the session. */
struct filter {
	struct relay_filter relay;
	const struct inbound *inbound;
	void *in;
};

static void session_free(struct session *s)
{
	struct sessions *all = s->all;

	deadline_clear(&s->deadline);
	DL_DELETE(all->first, s);
	bufq_clear(&s->early);
	if (s->in)
		s->inbound->free(s->in);
	free(s);
	all->ops->ended(all->ctx);
}

/* Drop what it holds, and s. */
static void session_drop(struct session *s, enum reason why)
{
	if (s->stream)
		end_drop(s->stream, why);
	if (s->app)
		end_drop(s->app, why);
	session_free(s);
}

static void send_reply(struct session *s, struct reply *r)
{
	struct bufq q;
	struct buf b;

	if (!r->len)
		return;
	bufq_init(&q);
	buf_lend(&b, r->bytes, r->len);
	bufq_put(&q, &b);
	s->unsent += r->len;
	end_send(s->app, &q);
}

/* The refusal. */

static void on_refused_over(struct deadline *d)
{
	session_drop(container_of(d, struct session, deadline),
		     REASON_TIMED_OUT);
}

/* Answer with why. Bytes that the application still sends must be read: a
 * reset would destroy the answer on its way. */
static void session_refuse(struct session *s, enum reason why)
{
	struct reply reply = {.len = 0};

	log_debug(s->name, "refused: %s", reason_text(why));
	if (s->stream)
		end_drop(s->stream, why);
	s->stream = NULL;
	bufq_clear(&s->early);
	s->inbound->refuse(s->in, why, &reply);
	send_reply(s, &reply);
	s->state = REFUSED;
	end_fin(s->app);
	end_read(s->app, BUF_MAX);
	deadline_set(s->all->worker, &s->deadline, REFUSED_MS, on_refused_over);
}

/* The stream. */

static size_t filter_pass(struct relay_filter *f, const uint8_t *p, size_t n)
{
	struct filter *me = container_of(f, struct filter, relay);

	return me->inbound->pass(me->in, p, n);
}

static bool filter_broken(const struct relay_filter *f)
{
	const struct filter *me = container_of(f, struct filter, relay);

	return me->inbound->broken(me->in);
}

static size_t filter_reply(struct relay_filter *f, const uint8_t *p, size_t n)
{
	struct filter *me = container_of(f, struct filter, relay);

	return me->inbound->reply(me->in, p, n);
}

static bool filter_over(const struct relay_filter *f)
{
	const struct filter *me = container_of(f, struct filter, relay);

	return me->inbound->over(me->in);
}

static void filter_free(struct relay_filter *f)
{
	struct filter *me = container_of(f, struct filter, relay);

	me->inbound->free(me->in);
	free(me);
}

/* Hands in over to a filter. False: no memory. */
static bool make_filter(struct session *s, struct relay_filter **out)
{
	struct filter *f;

	*out = NULL;
	if (!s->inbound->pass)
		return true;
	f = calloc(1, sizeof(*f));
	if (!f)
		return false;
	f->relay.pass = filter_pass;
	f->relay.broken = filter_broken;
	f->relay.reply = filter_reply;
	f->relay.over = filter_over;
	f->relay.free = filter_free;
	f->inbound = s->inbound;
	f->in = s->in;
	s->in = NULL;
	*out = &f->relay;
	return true;
}

static void on_stream_opened(struct end *e, const char *bound)
{
	struct session *s = e->user;
	struct reply reply = {.len = 0};
	struct relay_spec spec = {
		.side = {s->app, s->stream},
		.name = s->name,
		.bytes = s->bytes,
		.eof = s->eof,
		.flushed = s->flushed,
	};

	s->inbound->accept(s->in, bound, &reply);
	send_reply(s, &reply);
	spec.unsent = s->unsent;
	if (!make_filter(s, &spec.filter) ||
	    !relay_start(&s->all->relays, &spec)) {
		if (spec.filter)
			spec.filter->free(spec.filter);
		session_drop(s, REASON_NO_MEMORY);
		return;
	}
	s->app = s->stream = NULL;
	session_free(s);
}

static void on_stream_dead(struct end *e, enum reason why, const char *detail)
{
	struct session *s = e->user;

	(void)detail;
	s->stream = NULL;
	session_refuse(s, why);
}

static void on_stream_ready(struct end *e, size_t n)
{
	struct session *s = e->user;

	end_read(s->app, n);
}

static void on_nothing(struct end *e, size_t n)
{
	(void)e;
	(void)n;
}

static void on_stream_flushed(struct end *e)
{
	struct session *s = e->user;

	s->flushed = true; /* the relay will not be told again */
}

/* Not read before it is a relay's: no data, no eof. */
static const struct end_events stream_events = {
	.opened = on_stream_opened,
	.sent = on_nothing,
	.ready = on_stream_ready,
	.flushed = on_stream_flushed,
	.dead = on_stream_dead,
};

static void on_connect_over(struct deadline *d)
{
	struct session *s = container_of(d, struct session, deadline);

	session_refuse(s, s->state == WAITING ? REASON_TUNNEL_DOWN
					      : REASON_TIMED_OUT);
}

/* Pass on what is for the target, and let the application send what the
 * stream takes. */
static void forward(struct session *s, struct bufq *q)
{
	s->bytes += q->bytes;
	end_read(s->app, end_send(s->stream, q));
}

/* Ask for the target, if there is somebody to ask. */
static void session_ask(struct session *s)
{
	struct sessions *all = s->all;
	struct tunnel *t = all->ops->tunnel(all->ctx);
	enum reason why;

	if (!t) {
		all->ops->want(all->ctx);
		return;
	}
	s->stream = tunnel_open(t, s->inbound->target(s->in), &stream_events, s,
				&why);
	if (!s->stream) {
		session_refuse(s, why);
		return;
	}
	s->state = OPENING;
	forward(s, &s->early);
	if (s->eof)
		end_fin(s->stream);
}

/* The application. */

/* Bytes behind the request: those that belong to it are the target's. False:
 * they are malformed. */
static bool filter_early(struct session *s, struct bufq *q)
{
	const struct inbound *in = s->inbound;
	struct bufq passed;
	struct buf *b;

	if (!in->pass)
		return true;
	bufq_init(&passed);
	while ((b = bufq_get(q))) {
		b->len = (uint32_t)in->pass(s->in, buf_ptr(b), b->len);
		if (b->len)
			bufq_put(&passed, b);
		else
			buf_free(b);
	}
	bufq_move(q, &passed);
	return !in->broken(s->in);
}

static bool keep_early(struct session *s, struct bufq *q)
{
	struct buf *b;
	bool good = true;

	while ((b = bufq_get(q)))
		good &= bufq_keep(&s->early, b, &s->all->worker->pool);
	return good;
}

static void early_data(struct session *s, struct bufq *q)
{
	if (!filter_early(s, q)) {
		bufq_clear(q);
		session_refuse(s, REASON_BAD_REQUEST);
	} else if (s->state == OPENING) {
		forward(s, q);
	} else if (!keep_early(s, q)) {
		session_refuse(s, REASON_NO_MEMORY);
	} else if (s->early.bytes >= EARLY_MAX) {
		end_read(s->app, 0);
	}
}

/* Queue the rewritten head in front of all else. False: no memory. */
static bool queue_head(struct session *s)
{
	size_t n = 0;
	const uint8_t *p =
		s->inbound->head ? s->inbound->head(s->in, &n) : NULL;
	struct buf *b;

	if (n == 0)
		return true;
	b = buf_copy(&s->all->worker->pool, p, n);
	if (b)
		bufq_put(&s->early, b);
	return b != NULL;
}

static void on_request(struct session *s, struct bufq *rest)
{
	struct worker *w = s->all->worker;
	char target[ADDR_TEXT_MAX];

	addr_format(s->inbound->target(s->in), target);
	snprintf(s->name + strlen(s->name), NAME_SIZE - strlen(s->name),
		 " to %s", target);
	s->state = WAITING;
	deadline_set(w, &s->deadline, s->all->connect_timeout_ms,
		     on_connect_over);
	if (w->conns > w->max_conns || !queue_head(s)) {
		bufq_clear(rest);
		session_refuse(s, REASON_LIMIT);
		return;
	}
	early_data(s, rest);
	if (s->state == WAITING)
		session_ask(s);
}

/* The bytes of one buf of the request. True: it is complete. */
static bool feed(struct session *s, struct buf *b)
{
	struct reply reply = {.len = 0};
	size_t used;
	enum inbound_state state =
		s->inbound->feed(s->in, buf_ptr(b), b->len, &used, &reply);

	send_reply(s, &reply);
	buf_pull(b, (uint32_t)used);
	if (state == INBOUND_FAILED)
		session_refuse(s, s->inbound->why(s->in));
	return state == INBOUND_DONE;
}

static void on_app_data(struct end *e, struct bufq *q)
{
	struct session *s = e->user;
	struct bufq rest;
	struct buf *b;

	bufq_init(&rest);
	if (s->state == REFUSED) {
		bufq_clear(q);
		return;
	}
	if (s->state != REQUEST) {
		early_data(s, q);
		return;
	}
	while (s->state == REQUEST && (b = bufq_get(q))) {
		if (!feed(s, b)) {
			buf_free(b);
			continue;
		}
		/* an application's conn delivers bufs that it owns */
		if (b->len)
			bufq_put(&rest, b);
		else
			buf_free(b);
		bufq_move(&rest, q);
		on_request(s, &rest);
		return;
	}
	bufq_clear(q);
}

static void on_app_eof(struct end *e)
{
	struct session *s = e->user;

	switch (s->state) {
	case REQUEST:
	case REFUSED:
		session_drop(s, REASON_DONE);
		break;
	case OPENING:
		end_fin(s->stream);
		s->eof = true;
		break;
	case WAITING:
		s->eof = true;
		break;
	}
}

static void on_app_dead(struct end *e, enum reason why, const char *detail)
{
	struct session *s = e->user;

	(void)detail;
	s->app = NULL;
	session_drop(s, why);
}

static void on_app_sent(struct end *e, size_t n)
{
	struct session *s = e->user;

	s->unsent -= n;
}

static void on_app_flushed(struct end *e)
{
	(void)e; /* REFUSED: now it is the application's turn to end */
}

static const struct end_events app_events = {
	.data = on_app_data,
	.sent = on_app_sent,
	.ready = on_nothing,
	.eof = on_app_eof,
	.flushed = on_app_flushed,
	.dead = on_app_dead,
};

static void on_request_over(struct deadline *d)
{
	struct session *s = container_of(d, struct session, deadline);

	log_debug(s->name, "no request in time");
	session_drop(s, REASON_TIMED_OUT);
}

void session_start(struct sessions *all, struct end *app,
		   const struct inbound *in)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s || !(s->in = in->new_(all->auth))) {
		free(s);
		end_drop(app, REASON_NO_MEMORY);
		return;
	}
	s->all = all;
	s->inbound = in;
	s->app = app;
	bufq_init(&s->early);
	snprintf(s->name, sizeof(s->name), "%s %s", in->name, conn_peer(app));
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

void sessions_init(struct sessions *all, struct worker *w,
		   const struct sessions_ops *ops, void *ctx)
{
	memset(all, 0, sizeof(*all));
	all->worker = w;
	all->ops = ops;
	all->ctx = ctx;
	all->relays.idle = on_relays_idle;
}

void sessions_wake(struct sessions *all)
{
	struct session *s, *next;

	DL_FOREACH_SAFE(all->first, s, next)
	if (s->state == WAITING)
		session_ask(s);
}

bool sessions_waiting(const struct sessions *all)
{
	for (const struct session *s = all->first; s; s = s->next)
		if (s->state == WAITING)
			return true;
	return false;
}

bool sessions_busy(const struct sessions *all)
{
	return all->first || all->relays.count;
}

void sessions_drain(struct sessions *all)
{
	struct session *s, *next;

	DL_FOREACH_SAFE(all->first, s, next)
	{
		if (s->state == REQUEST)
			session_drop(s, REASON_STOPPING);
		else if (s->state == WAITING)
			session_refuse(s, REASON_STOPPING);
	}
}

void sessions_drop(struct sessions *all, enum reason why)
{
	while (all->first)
		session_drop(all->first, why);
	relays_drop(&all->relays, why);
}
