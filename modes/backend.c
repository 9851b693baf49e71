/* SPDX-License-Identifier: MIT */
#include "modes/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "core/conn.h"
#include "core/dial.h"
#include "proto/container.h"

#include "modes/static.h"

#define IDLE_MS   250 /* who says nothing is a guest of the site from then on */
#define DIAL_MS   60000 /* a site that is busy has more time than targets */
#define LEAVE_MS  5000
#define HALF_MS   60000 /* what Linux gives a socket that was closed */
#define READ_MAX  UPGRADE_HEAD_MAX
#define HEAD_MIN  4096
#define HEAD_MAX  (UPGRADE_HEAD_MAX + READ_MAX)
#define AHEAD     (64 * 1024) /* bytes that may wait in each direction */
#define SHARE     4 /* of the sockets; a guest has two, so half of all */
#define NAME_SIZE 80
#define BAD_GATEWAY                                              \
	"<html><head><title>502 Bad Gateway</title></head>"      \
	"<body><center><h1>502 Bad Gateway</h1></center></body>" \
	"</html>\r\n"

enum state { WATCHING, PIPING, LEAVING };

struct guest {
	struct guest *next, *prev;
	struct backend *backend;
	enum state state;
	const struct guest_ops *ops; /* WATCHING */
	void *ctx;
	struct gate *gate; /* WATCHING */
	struct end *client;
	struct end *site; /* NULL: not dialled, or dialling */
	struct dial *dial;
	uint8_t *head; /* what client has sent */
	size_t len;
	size_t size;
	size_t sent;   /* of it, to the site */
	size_t unsent; /* given to client, as far as sent() has told */
	bool tried;    /* the site has been dialled while WATCHING */
	bool dialled;  /* as backend.dialled counts it */
	bool eof;      /* client has finished sending */
	bool site_eof; /* the site has */
	bool flushed;  /* LEAVING: our half-close is on its way */
	struct deadline deadline; /* of LEAVING */
	struct deadline idle;     /* of a client that says nothing */
	char name[NAME_SIZE];
};

/* Does it have the site, or will it? */
static void count_dialled(struct guest *g, bool on)
{
	if (on && !g->dialled)
		g->backend->dialled++;
	else if (!on && g->dialled)
		g->backend->dialled--;
	g->dialled = on;
}

static void guest_free(struct guest *g)
{
	struct backend *b = g->backend;

	deadline_clear(&g->deadline);
	deadline_clear(&g->idle);
	gate_free(g->gate);
	DL_DELETE(b->guests, g);
	count_dialled(g, false);
	if (g->head)
		explicit_bzero(g->head, g->len);
	free(g->head);
	free(g);
}

/* The ends that are left, and g. */
static void guest_release(struct guest *g, enum reason why)
{
	if (g->dial)
		dial_drop(g->dial);
	if (g->site)
		end_drop(g->site, why);
	if (g->client)
		end_drop(g->client, why);
	guest_free(g);
}

void guest_drop(struct guest *g, enum reason why)
{
	guest_release(g, why);
}

/* The same when nobody has asked for it. Calls up. */
static void guest_end(struct guest *g, enum reason why)
{
	struct backend *b = g->backend;
	const struct guest_ops *ops = g->state == WATCHING ? g->ops : NULL;
	void *ctx = g->ctx;

	guest_release(g, why);
	if (ops)
		ops->theirs(ctx);
	else
		b->ended(b);
}

/* Leaving. */

static void on_leave_over(struct deadline *d)
{
	guest_end(container_of(d, struct guest, deadline), REASON_TIMED_OUT);
}

static void send_text(struct end *e, const char *text, size_t n)
{
	struct bufq q;
	struct buf b;

	bufq_init(&q);
	buf_lend(&b, (uint8_t *)text, n);
	bufq_put(&q, &b);
	end_send(e, &q);
}

/* What a proxy says whose site is down. */
static void start_leaving(struct guest *g, enum reason why)
{
	struct backend *b = g->backend;
	char text[512], at[ADDR_TEXT_MAX];
	int n;

	if (log_limit(&b->failed, worker_now(b->worker)))
		log_warn(g->name, "the backend %s: %s%s",
			 addr_format(&b->at, at), reason_text(why),
			 b->failed.more);
	g->state = LEAVING;
	n = snprintf(text, sizeof(text),
		     "HTTP/1.1 502 Bad Gateway\r\n"
		     "Content-Type: text/html\r\n"
		     "Content-Length: %zu\r\n"
		     "Connection: close\r\n\r\n%s",
		     strlen(BAD_GATEWAY), BAD_GATEWAY);
	send_text(g->client, text, (size_t)n);
	end_fin(g->client);
	deadline_set(b->worker, &g->deadline, LEAVE_MS, on_leave_over);
	if (!g->eof)
		end_read(g->client, READ_MAX);
}

/* Both directions are finished. */
static void check_left(struct guest *g)
{
	if (g->eof && g->flushed)
		guest_end(g, REASON_DONE);
}

/* To the site. */

/* Pass on what of the head it may have. */
static void send_head(struct guest *g, size_t safe)
{
	if (g->site && safe > g->sent) {
		send_text(g->site, (const char *)g->head + g->sent,
			  safe - g->sent);
		g->sent = safe;
	}
}

/* The site is there, and the guest is its. */
static void join(struct guest *g)
{
	struct backend *b = g->backend;
	struct relay_spec spec = {
		.side = {g->client, g->site},
		.name = g->name,
		.bytes = g->len,
		.unsent = g->unsent,
		.eof = g->eof,
		.over = g->site_eof,
		.ahead = AHEAD,
		.worker = b->worker,
		.half_ms = HALF_MS,
	};

	send_head(g, g->len);
	if (g->eof)
		end_fin(g->site);
	if (relay_start(&b->relays, &spec))
		g->client = g->site = NULL;
	guest_release(g, REASON_NO_MEMORY);
}

static void on_dialled(void *ctx, struct end *conn, enum reason why);
static void site_opened(struct guest *g, struct end *site);

static const struct dial_ops dial_ops = {.done = on_dialled};

static void dial_site(struct guest *g)
{
	struct backend *b = g->backend;
	enum reason why = REASON_NO_MEMORY;
	struct end *site = NULL;

	if (b->dialled + b->relays.count >= b->worker->max_conns / SHARE)
		why = REASON_LIMIT;
	else if (b->folder >= 0)
		site = static_open(b->worker, b->folder);
	else
		g->dial = dial_start(b->worker, b->at.host, b->at.port, DIAL_MS,
				     &dial_ops, g);
	g->tried = true;
	count_dialled(g, g->dial || site);
	if (site)
		site_opened(g, site);
	else if (!g->dial && g->state == PIPING)
		start_leaving(g, why);
}

/* It is no client. Calls up. */
static void theirs(struct guest *g, const char *why)
{
	const struct guest_ops *ops = g->ops;
	void *ctx = g->ctx;

	log_debug(g->name, "to the backend: %s", why);
	g->state = PIPING;
	deadline_clear(&g->idle);
	gate_free(g->gate);
	g->gate = NULL;
	end_read(g->client, 0);
	if (g->site)
		join(g);
	else if (!g->dial)
		dial_site(g);
	ops->theirs(ctx);
}

/* The site speaks before the gate: whatever it says is for the guest. */

static void on_site_data(struct end *e, struct bufq *q)
{
	struct guest *g = e->user;

	end_read(e, 0);
	g->unsent = q->bytes;
	end_send(g->client, q);
	theirs(g, "the backend has answered");
}

static void on_site_eof(struct end *e)
{
	struct guest *g = e->user;

	g->site_eof = true;
	theirs(g, "the backend has closed the connection");
}

static void on_site_dead(struct end *e, enum reason why, const char *detail)
{
	struct guest *g = e->user;

	(void)detail;
	g->site = NULL;
	count_dialled(g, false);
	log_debug(g->name, "the backend has gone: %s", reason_text(why));
	guest_end(g, why);
}

static void on_nothing(struct end *e, size_t n)
{
	(void)e;
	(void)n;
}

static const struct end_events site_events = {
	.data = on_site_data,
	.sent = on_nothing,
	.ready = on_nothing,
	.eof = on_site_eof,
	.dead = on_site_dead,
};

static void site_opened(struct guest *g, struct end *site)
{
	g->site = site;
	if (g->state == PIPING) {
		join(g);
		return;
	}
	end_use(site, &site_events, g);
	send_head(g, gate_safe(g->gate));
	end_read(site, READ_MAX);
}

/* Without a site a client can still be one. */
static void on_dialled(void *ctx, struct end *conn, enum reason why)
{
	struct guest *g = ctx;

	g->dial = NULL;
	if (!conn) {
		count_dialled(g, false);
		if (g->state == PIPING)
			start_leaving(g, why);
		return;
	}
	conn_keepalive(conn, g->backend->keepalive_s);
	site_opened(g, conn);
}

/* The client. */

/* Calls up. */
static void ours(struct guest *g)
{
	const struct guest_ops *ops = g->ops;
	struct end *e = g->client;
	uint8_t *head = g->head;
	size_t len = g->len;
	void *ctx = g->ctx;

	end_read(e, 0);
	g->client = NULL;
	g->head = NULL;
	guest_release(g, REASON_DONE);
	ops->ours(ctx, e, head, len);
	explicit_bzero(head, len);
	free(head);
}

/* False: no memory. */
static bool keep(struct guest *g, const uint8_t *p, size_t n)
{
	size_t size = g->len + n <= HEAD_MIN ? HEAD_MIN : HEAD_MAX;
	uint8_t *more;

	if (g->len + n > HEAD_MAX)
		return false;
	if (size > g->size) {
		more = malloc(size); /* realloc() would leave a token behind */
		if (!more)
			return false;
		if (g->head) {
			memcpy(more, g->head, g->len);
			explicit_bzero(g->head, g->len);
			free(g->head);
		}
		g->head = more;
		g->size = size;
	}
	memcpy(g->head + g->len, p, n);
	g->len += n;
	return true;
}

static void watch(struct guest *g, struct bufq *q)
{
	enum gate_state state = GATE_MORE;
	struct buf *b;
	bool kept = true;

	while ((b = bufq_get(q))) {
		kept = kept && keep(g, buf_ptr(b), b->len);
		state = gate_feed(g->gate, buf_ptr(b), b->len);
		explicit_bzero(buf_ptr(b), b->len);
		buf_free(b);
	}
	if (!kept) {
		guest_end(g, REASON_NO_MEMORY);
		return;
	}
	switch (state) {
	case GATE_OURS:
		ours(g);
		break;
	case GATE_THEIRS:
		theirs(g, gate_why(g->gate));
		break;
	case GATE_MORE:
		deadline_clear(&g->idle);
		if (!g->tried)
			dial_site(g);
		send_head(g, gate_safe(g->gate));
		break;
	}
}

static void on_client_data(struct end *e, struct bufq *q)
{
	struct guest *g = e->user;

	end_left(e, q->bytes);
	if (g->state == WATCHING)
		watch(g, q);
	else
		bufq_clear(q);
}

static void on_client_eof(struct end *e)
{
	struct guest *g = e->user;

	g->eof = true;
	if (g->state == WATCHING)
		theirs(g, "the connection ended");
	else
		check_left(g);
}

static void on_client_flushed(struct end *e)
{
	struct guest *g = e->user;

	g->flushed = true;
	check_left(g);
}

static void on_client_dead(struct end *e, enum reason why, const char *detail)
{
	struct guest *g = e->user;

	(void)detail;
	g->client = NULL;
	guest_end(g, why);
}

static const struct end_events client_events = {
	.data = on_client_data,
	.sent = on_nothing,
	.ready = on_nothing,
	.eof = on_client_eof,
	.flushed = on_client_flushed,
	.dead = on_client_dead,
};

void guest_pass(struct guest *g, const char *why)
{
	theirs(g, why);
}

static void on_idle(struct deadline *d)
{
	dial_site(container_of(d, struct guest, idle));
}

struct guest *guest_new(struct backend *b, struct end *e, const char *name,
			const struct guest_ops *ops, void *ctx)
{
	struct gate_rule rule = {
		.knows = ops->knows, .check = ops->check, .ctx = ctx};
	struct guest *g = calloc(1, sizeof(*g));

	if (g)
		g->gate = gate_new(&rule);
	if (!g || !g->gate) {
		free(g);
		end_drop(e, REASON_NO_MEMORY);
		return NULL;
	}
	g->backend = b;
	g->ops = ops;
	g->ctx = ctx;
	g->client = e;
	snprintf(g->name, sizeof(g->name), "%s", name);
	DL_APPEND(b->guests, g);
	end_use(e, &client_events, g);
	deadline_set(b->worker, &g->idle, IDLE_MS, on_idle);
	end_read(e, READ_MAX);
	return g;
}

/* All of them. */

static void on_relays_idle(struct relays *r)
{
	struct backend *b = container_of(r, struct backend, relays);

	b->ended(b);
}

void backend_init(struct backend *b)
{
	b->relays.idle = on_relays_idle;
}

bool backend_busy(const struct backend *b)
{
	const struct guest *g;

	DL_FOREACH(b->guests, g)
	if (g->state != WATCHING)
		return true;
	return b->relays.count > 0;
}

void backend_drop(struct backend *b, enum reason why)
{
	struct guest *g, *next;

	DL_FOREACH_SAFE(b->guests, g, next)
	if (g->state != WATCHING)
		guest_release(g, why);
	relays_drop(&b->relays, why);
}
