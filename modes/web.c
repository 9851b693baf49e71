/* SPDX-License-Identifier: MIT */
#include "modes/web.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "core/log.h"
#include "core/relay.h"
#include "proto/container.h"
#include "proto/response.h"

#include "modes/ask.h"
#include "modes/origins.h"
#include "modes/session.h"

#define PIPELINED_MAX (64 * 1024) /* read ahead, while a request is carried */
#define UNSENT_MAX    (64 * 1024) /* of answers, when another request begins */

enum state { FREE, CARRYING, ANSWERED };

struct web {
	struct sessions *all;
	const struct web_ops *ops;
	void *ctx;
	const char *name;
	enum state state;
	struct end *app;
	struct http1 *request;
	struct response *response;
	struct ask ask;     /* CARRYING: until there is an origin */
	struct end *origin; /* CARRYING */
	bool reused;        /* it has carried another request before */
	struct origins idle;
	struct bufq rest;  /* of what app sends, not looked at yet */
	bool eof;          /* app has finished sending */
	bool keep;         /* ANSWERED: another request may follow */
	size_t owed;       /* bytes from origin that are not sent yet */
	size_t unsent;     /* other bytes for app that are not */
	uint64_t up, down; /* bytes of this request and its answer */
};

/* Ends of a request. */

static void clear(struct web *w, enum reason why)
{
	ask_drop(&w->ask, why);
	if (w->origin)
		end_drop(w->origin, why);
	w->origin = NULL;
	response_free(w->response);
	w->response = NULL;
	w->request = NULL;
	w->unsent += w->owed;
	w->owed = 0;
	w->state = FREE;
}

/* The answer cannot be completed, or the request. */
static void fail(struct web *w, enum reason why)
{
	bool answered = response_is_final(w->response);

	clear(w, why);
	bufq_clear(&w->rest);
	if (answered)
		w->ops->broken(w->ctx, why);
	else
		w->ops->refused(w->ctx, w->unsent, why);
}

static void hand_back(struct web *w)
{
	struct bufq rest;

	clear(w, REASON_DONE);
	bufq_init(&rest);
	bufq_move(&rest, &w->rest);
	w->ops->done(w->ctx, &rest, w->unsent, w->eof, w->keep);
}

/* The answer is complete. The origin's bytes that are still on their way count
 * as left: at most UNSENT_MAX are when more are asked for. */
static void finish(struct web *w, bool clean, bool eof)
{
	struct end *origin = w->origin;
	bool sent = http1_body(w->request)->complete;

	log_debug(w->name, "%.*s %d; %llu bytes up, %llu down",
		  (int)http1_method(w->request).n, http1_method(w->request).p,
		  response_status(w->response), (unsigned long long)w->up,
		  (unsigned long long)w->down);
	w->keep =
		sent && response_keeps_client(w->response) && !w->all->draining;
	end_left(origin, w->owed);
	if (clean && sent && w->keep && response_keeps_origin(w->response))
		origins_put(&w->idle, origin, http1_target(w->request));
	else
		linger_start(&w->all->lingers, origin, eof);
	w->origin = NULL;
	w->unsent += w->owed;
	w->owed = 0;
	w->state = ANSWERED;
	end_read(w->app, 0);
	if (w->unsent <= UNSENT_MAX)
		hand_back(w);
}

/* Upwards. */

/* Bytes that the target takes now: asked by sending nothing. */
static size_t room(struct end *e)
{
	struct bufq q;

	bufq_init(&q);
	return end_send(e, &q);
}

static void read_app(struct web *w, size_t n)
{
	if (http1_body(w->request)->complete)
		n = w->rest.bytes < PIPELINED_MAX
			    ? PIPELINED_MAX - w->rest.bytes
			    : 0;
	end_read(w->app, w->eof ? 0 : n);
}

/* False: no memory. */
static bool send_up(struct web *w, struct bufq *q)
{
	size_t n;

	w->up += q->bytes;
	if (w->origin)
		n = end_send(w->origin, q);
	else if (!ask_send(&w->ask, q, &n))
		return false;
	read_app(w, n);
	return true;
}

static bool send_head(struct web *w)
{
	struct bufq q;
	struct buf *b;
	size_t n;
	const uint8_t *head = http1_head(w->request, &n);

	b = buf_copy(&w->all->worker->pool, head, n);
	if (!b)
		return false;
	bufq_init(&q);
	bufq_put(&q, b);
	return send_up(w, &q);
}

/* Pass on what belongs to the request. DONE, or why it cannot be. */
static enum reason send_body(struct web *w)
{
	struct body *body = http1_body(w->request);
	struct bufq q;
	bool good;

	if (body->complete)
		return REASON_DONE;
	bufq_init(&q);
	good = body_pass(body, &w->rest, &q, &w->all->worker->pool);
	if (!good || body->broken || (w->eof && !body->complete)) {
		bufq_clear(&q);
		return good ? REASON_BAD_REQUEST : REASON_NO_MEMORY;
	}
	return send_up(w, &q) ? REASON_DONE : REASON_NO_MEMORY;
}

/* Small pieces do not cost a buf each. */
static bool keep(struct web *w, struct bufq *q)
{
	struct buf *b;
	bool good = true;

	while ((b = bufq_get(q)))
		good &= bufq_keep(&w->rest, b, &w->all->worker->pool);
	return good;
}

static void on_app_data(struct end *e, struct bufq *q)
{
	struct web *w = e->user;
	enum reason why;

	if (!keep(w, q)) {
		fail(w, REASON_NO_MEMORY);
		return;
	}
	if (w->state != CARRYING)
		return;
	why = send_body(w);
	if (why != REASON_DONE)
		fail(w, why);
	else if (http1_body(w->request)->complete)
		read_app(w, 0);
}

static void on_app_eof(struct end *e)
{
	struct web *w = e->user;

	w->eof = true;
	if (w->state == CARRYING && !http1_body(w->request)->complete)
		fail(w, REASON_BAD_REQUEST);
}

static void on_app_dead(struct end *e, enum reason why, const char *detail)
{
	struct web *w = e->user;

	(void)detail;
	w->ops->gone(w->ctx, why);
}

static void on_app_sent(struct end *e, size_t n)
{
	struct web *w = e->user;
	size_t others = n < w->unsent ? n : w->unsent;

	w->unsent -= others;
	n -= others;
	w->owed -= n;
	if (n && w->origin)
		end_left(w->origin, n);
	if (w->state == ANSWERED && w->unsent <= UNSENT_MAX)
		hand_back(w);
}

static void on_app_ready(struct end *e, size_t n)
{
	struct web *w = e->user;

	if (w->origin)
		end_read(w->origin, n);
}

static void on_flushed(struct end *e)
{
	(void)e; /* nobody has been told fin() */
}

static const struct end_events app_events = {
	.data = on_app_data,
	.sent = on_app_sent,
	.ready = on_app_ready,
	.eof = on_app_eof,
	.flushed = on_flushed,
	.dead = on_app_dead,
};

/* Downwards. */

static enum reason take_head(struct web *w, struct bufq *q, struct bufq *out)
{
	struct response *r = w->response;
	const uint8_t *head;
	struct buf *b;
	size_t n;

	response_early(r, !http1_body(w->request)->complete);
	switch (response_feed(r, buf_ptr(q->head), q->head->len, &n)) {
	case HTTP1_FAILED:
		return response_why(r);
	case HTTP1_DONE:
		break;
	default:
		bufq_pull(q, n);
		return REASON_DONE;
	}
	bufq_pull(q, n);
	head = response_head(r, &n);
	b = n ? buf_copy(&w->all->worker->pool, head, n) : NULL;
	if (b)
		bufq_put(out, b);
	return b || n == 0 ? REASON_DONE : REASON_NO_MEMORY;
}

static bool is_over(const struct web *w)
{
	return response_is_upgrade(w->response) ||
	       (response_is_final(w->response) &&
		response_body(w->response)->complete);
}

/* Move what belongs to the answer from q to out. DONE, or what is wrong. */
static enum reason take_answer(struct web *w, struct bufq *q, struct bufq *out)
{
	struct body *body = response_body(w->response);
	enum reason why = REASON_DONE;

	while (why == REASON_DONE && q->head && !is_over(w)) {
		if (!response_is_final(w->response))
			why = take_head(w, q, out);
		else if (!body_pass(body, q, out, &w->all->worker->pool))
			why = REASON_NO_MEMORY;
		else if (body->broken)
			why = REASON_BAD_ANSWER;
	}
	return why;
}

/* The origin has sent in bytes, which became out. */
static size_t send_down(struct web *w, size_t in, struct bufq *out)
{
	size_t n = out->bytes;

	w->down += n;
	if (n < in)
		end_left(w->origin, in - n);
	else
		w->unsent += n - in;
	w->owed += n < in ? n : in;
	return end_send(w->app, out);
}

/* 101: both become a relay; q is what the origin has sent behind it. */
static void join(struct web *w, struct bufq *q)
{
	struct relay_spec spec = {
		.side = {w->app, w->origin},
		.name = w->name,
		.eof = w->eof,
	};

	end_left(w->origin, w->owed + q->bytes);
	spec.unsent = w->unsent + w->owed + q->bytes;
	end_send(w->app, q);
	spec.bytes = w->up + w->rest.bytes;
	end_send(w->origin, &w->rest);
	if (!relay_start(&w->all->relays, &spec)) {
		fail(w, REASON_NO_MEMORY);
		return;
	}
	if (w->eof)
		end_fin(w->origin);
	w->origin = NULL;
	clear(w, REASON_DONE);
	w->ops->joined(w->ctx);
}

static void on_origin_data(struct end *e, struct bufq *q)
{
	struct web *w = e->user;
	size_t arrived = q->bytes, n;
	enum reason why;
	struct bufq out;
	bool more;

	bufq_init(&out);
	why = take_answer(w, q, &out);
	n = send_down(w, arrived - q->bytes, &out);
	if (why == REASON_DONE && response_is_upgrade(w->response)) {
		join(w, q);
		return;
	}
	more = q->bytes > 0;
	bufq_clear(q);
	if (why != REASON_DONE)
		fail(w, why);
	else if (is_over(w))
		finish(w, !more, false);
	else
		end_read(e, n);
}

/* Ask for a new stream, and send the head again. */
static enum reason ask_again(struct web *w)
{
	enum reason why = ask_start(&w->ask, http1_target(w->request));

	w->reused = false;
	if (why == REASON_DONE && !send_head(w))
		why = REASON_NO_MEMORY;
	return why;
}

/* The origin has gone before its time. */
static void origin_over(struct web *w, enum reason why)
{
	bool again = w->reused && !response_has_begun(w->response) &&
		     http1_may_repeat(w->request);

	w->origin = NULL;
	if (again) {
		log_debug(w->name, "%s: asked again", reason_text(why));
		why = ask_again(w);
		if (why == REASON_DONE)
			return;
	}
	fail(w, why);
}

static void on_origin_eof(struct end *e)
{
	struct web *w = e->user;

	if (response_eof(w->response)) {
		finish(w, false, true);
		return;
	}
	end_drop(e, REASON_CLOSED);
	origin_over(w, REASON_CLOSED);
}

static void on_origin_dead(struct end *e, enum reason why, const char *detail)
{
	(void)detail;
	origin_over(e->user, why);
}

static void on_origin_sent(struct end *e, size_t n)
{
	struct web *w = e->user;

	end_left(w->app, n);
}

static void on_origin_ready(struct end *e, size_t n)
{
	read_app(e->user, n);
}

static const struct end_events origin_events = {
	.data = on_origin_data,
	.sent = on_origin_sent,
	.ready = on_origin_ready,
	.eof = on_origin_eof,
	.flushed = on_flushed,
	.dead = on_origin_dead,
};

/* The stream. */

static void on_opened(struct ask *a, struct end *stream, const char *bound)
{
	struct web *w = container_of(a, struct web, ask);

	(void)bound;
	w->origin = stream;
	end_use(stream, &origin_events, w);
	end_read(stream, room(w->app));
	read_app(w, room(stream));
}

static void on_refused(struct ask *a, enum reason why)
{
	fail(container_of(a, struct web, ask), why);
}

static void on_ask_ready(struct ask *a, size_t n)
{
	read_app(container_of(a, struct web, ask), n);
}

static const struct ask_ops ask_ops = {
	.opened = on_opened,
	.refused = on_refused,
	.ready = on_ask_ready,
};

/* Its owner. */

struct web *web_new(struct sessions *all, const char *name,
		    const struct web_ops *ops, void *ctx)
{
	struct web *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->all = all;
	w->name = name;
	w->ops = ops;
	w->ctx = ctx;
	bufq_init(&w->rest);
	w->idle.lingers = &all->lingers;
	ask_init(&w->ask, &all->asks, &ask_ops);
	return w;
}

void web_free(struct web *w, enum reason why)
{
	if (!w)
		return;
	clear(w, why);
	origins_close(&w->idle);
	bufq_clear(&w->rest);
	free(w);
}

/* Find or ask for an origin, and begin. */
static enum reason begin(struct web *w)
{
	enum reason why = REASON_DONE;

	w->origin = origins_take(&w->idle, http1_target(w->request));
	w->reused = w->origin != NULL;
	if (w->origin)
		end_use(w->origin, &origin_events, w);
	else
		why = ask_start(&w->ask, http1_target(w->request));
	if (why == REASON_DONE && !send_head(w))
		why = REASON_NO_MEMORY;
	if (why == REASON_DONE)
		why = send_body(w);
	if (why == REASON_DONE && w->origin)
		end_read(w->origin, room(w->app));
	return why;
}

enum reason web_carry(struct web *w, struct end *app, struct http1 *request,
		      struct bufq *rest, size_t unsent, bool eof)
{
	enum reason why;

	w->app = app;
	w->request = request;
	w->unsent = unsent;
	w->eof = eof;
	w->up = w->down = 0;
	bufq_move(&w->rest, rest);
	w->response = response_new(request, w->all->draining);
	if (!w->response)
		return REASON_NO_MEMORY;
	w->state = CARRYING;
	end_use(app, &app_events, w);
	why = begin(w);
	if (why == REASON_DONE)
		return why;
	clear(w, why);
	bufq_clear(&w->rest);
	return why;
}
