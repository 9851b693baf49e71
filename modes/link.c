/* SPDX-License-Identifier: MIT */
#include "modes/link.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/tls.h"
#include "proto/container.h"
#include "proto/mux.h"

#define RETRY_FIRST_MS 250
#define RETRY_MAX_MS   60000
#define RETRY_CROWD_MS                                                  \
	10000           /* all clients of a server have lost it at once \
			 */
#define STABLE_MS 60000 /* up so long: nothing is wrong with the server */
#define ASKED_MS  1000  /* between dials that somebody waits for */
#define ROUTE_MS  1000  /* a route is gone so long: not just exchanged */
#define URL_SIZE  (ADDR_TEXT_MAX + PATH_MAX_LEN + 8)

static const struct way *way_of(const struct link *l)
{
	return &l->o->servers.at[l->at];
}

const char *link_url(struct link *l)
{
	static _Thread_local char text[URL_SIZE];

	return server_url_format(&way_of(l)->url, text, sizeof(text));
}

static bool is_wanted(const struct link *l)
{
	return !l->spare || l->ops->wanted(l->ctx);
}

/* Retries. */

static void on_retry(struct deadline *d);

/* The next pause is at most this. Behind the end of a tunnel it does not begin
 * with little: a server that is started again should not see all its clients
 * within a second. It is as long as the server has been away: a pause that
 * doubled could be much longer than a short outage. */
static uint64_t longest_pause(struct link *l)
{
	uint64_t most = l->pause_ms;

	if (l->lost) {
		most = worker_since(l->w, l->lost_at);
		if (most < RETRY_CROWD_MS)
			most = RETRY_CROWD_MS;
	} else if (most < RETRY_MAX_MS) {
		l->pause_ms *= 2;
	}
	return most < RETRY_MAX_MS ? most : RETRY_MAX_MS;
}

/* Full jitter: anything from 0 to the limit. */
static void schedule_retry(struct link *l)
{
	uint64_t most = longest_pause(l);

	deadline_set(l->w, &l->retry, worker_below(l->w, (uint32_t)most + 1),
		     on_retry);
}

static void forget_pauses(struct link *l)
{
	l->lost = false;
	l->pause_ms = RETRY_FIRST_MS;
}

void link_want(struct link *l)
{
	uint64_t since = worker_since(l->w, l->dialled);

	if (l->pool.state != POOL_NONE || l->stopped)
		return;
	deadline_set(l->w, &l->retry, since < ASKED_MS ? ASKED_MS - since : 0,
		     on_retry);
}

void link_hurry(struct link *l)
{
	forget_pauses(l);
	pool_hurry(&l->pool);
	if (is_wanted(l))
		link_want(l);
}

/* Go to the next server of the round. False: it is over, and the next one
 * begins with the server that worked last. */
static bool next_server(struct link *l)
{
	l->tried++;
	if (l->tried < l->o->servers.count) {
		l->at = (l->at + 1) % l->o->servers.count;
		return true;
	}
	l->tried = 0;
	l->at = l->first;
	return false;
}

static bool is_fatal(enum reason why)
{
	switch (why) {
	case REASON_TLS:
	case REASON_UNAUTHORIZED:
	case REASON_NOT_WSP:
	case REASON_FORBIDDEN:
	case REASON_PROXY:
		return true;
	default:
		return false;
	}
}

/* The pool. */

static void on_up(void *ctx)
{
	struct link *l = ctx;

	l->up_since = worker_now(l->w);
	l->ever_up = true;
	l->first = l->at;
	l->tried = 0;
	deadline_clear(&l->wait);
	if (!l->spare)
		log_info(NULL, "tunnel up: %s%s", link_url(l),
			 pool_native(&l->pool) ? "" : " (a gowsp server)");
	l->ops->up(l->ctx);
}

static void on_wake(void *ctx)
{
	struct link *l = ctx;

	l->ops->wake(l->ctx);
}

/* No client of ours offers anything to the server yet. */
static void on_open(void *ctx, struct end *e, const struct addr *target)
{
	(void)ctx;
	(void)target;
	stream_refuse(e, REASON_BAD_COMMAND);
}

static void dial(struct link *l);

/* A round is over, or a tunnel. */
static void pause_then_retry(struct link *l, bool was_up)
{
	bool stable = worker_since(l->w, l->up_since) >= STABLE_MS;

	if (was_up && (stable || !l->lost)) {
		l->lost = true;
		l->lost_at = worker_now(l->w);
	}
	if (l->ops->wanted(l->ctx))
		link_want(l);
	else if (!l->spare)
		schedule_retry(l);
}

static void log_down(struct link *l, enum reason why, const char *detail,
		     bool was_up)
{
	if (!l->spare)
		log_warn(NULL, "tunnel %s: %s: %s%s%s",
			 was_up ? "down" : "not up", link_url(l),
			 reason_text(why), detail ? ": " : "",
			 detail ? detail : "");
	else if (was_up)
		log_info(NULL, "one connection is down: %s%s%s",
			 reason_text(why), detail ? ": " : "",
			 detail ? detail : "");
	else
		log_debug(NULL, "no further connection: %s%s%s",
			  reason_text(why), detail ? ": " : "",
			  detail ? detail : "");
}

static void on_down(void *ctx, enum reason why, const char *detail, bool was_up)
{
	struct link *l = ctx;

	log_down(l, why, detail, was_up);
	if (was_up && l->ops->down)
		l->ops->down(l->ctx);
	if (l->fatal == REASON_DONE && is_fatal(why))
		l->fatal = why;
	if (!was_up && next_server(l)) {
		dial(l);
		return;
	}
	why = l->fatal;
	l->fatal = REASON_DONE;
	if (why != REASON_DONE && !l->ever_up && !l->o->retry_all && !l->spare)
		l->ops->failed(l->ctx, why);
	else
		pause_then_retry(l, was_up);
}

static const struct pool_ops pool_ops = {
	.up = on_up,
	.wake = on_wake,
	.open = on_open,
	.down = on_down,
};

static void dial(struct link *l)
{
	const struct way *way = way_of(l);
	struct uplink_spec spec = {
		.url = &way->url,
		.token = l->token,
		.host = l->o->host,
		.sni = l->o->sni,
		.fields = l->o->fields,
		.tls = l->tls,
		.ms = l->o->connect_timeout_ms,
		.proxy = way->use_proxy ? &way->proxy : NULL,
		.proxy_tls = l->proxy_tls,
	};

	deadline_clear(&l->retry);
	l->dialled = worker_now(l->w);
	if (!pool_start(&l->pool, &spec) && is_wanted(l))
		schedule_retry(l);
}

static void on_retry(struct deadline *d)
{
	dial(container_of(d, struct link, retry));
}

static void on_wait_over(struct deadline *d)
{
	struct link *l = container_of(d, struct link, wait);

	log_error(NULL, "no tunnel to %s%s within --wait", link_url(l),
		  l->o->servers.count > 1 ? " and the others" : "");
	l->ops->failed(l->ctx, REASON_TUNNEL_DOWN);
}

/* The network. */

/* The same server once more: nothing is known against it. */
static void drop_and_dial(struct link *l)
{
	log_down(l, REASON_NETWORK, NULL, l->pool.state == POOL_UP);
	if (l->pool.state == POOL_UP && l->ops->down)
		l->ops->down(l->ctx);
	pool_drop(&l->pool, REASON_NETWORK);
	forget_pauses(l);
	dial(l);
}

static void on_look(struct deadline *d);

static void look(struct link *l, bool again)
{
	switch (pool_check(&l->pool, again)) {
	case NETPATH_GOOD:
		return;
	case NETPATH_NO_ROUTE:
		if (!l->looking)
			deadline_set(l->w, &l->look, ROUTE_MS, on_look);
		l->looking = true;
		return;
	case NETPATH_NO_ADDRESS:
		break;
	}
	drop_and_dial(l);
}

static void on_look(struct deadline *d)
{
	struct link *l = container_of(d, struct link, look);

	l->looking = false;
	look(l, true);
}

static void on_network(void *ctx, bool came, bool gone)
{
	struct link *l = ctx;

	log_debug(NULL, "the network has changed:%s%s", came ? " more" : "",
		  gone ? " less" : "");
	if (gone)
		look(l, false);
	if (!came)
		return;
	link_hurry(l);
	/* over the old network it may never come to an end; but changes that
	 * follow each other must not end every attempt */
	if (!pool_is_dialling(&l->pool) ||
	    worker_since(l->w, l->dialled) < ASKED_MS ||
	    worker_since(l->w, l->redialled) < l->o->connect_timeout_ms)
		return;
	l->redialled = worker_now(l->w);
	drop_and_dial(l);
}

static void watch_network(struct link *l)
{
	int err;

	l->netwatch = netwatch_start(l->w, on_network, l, &err);
	if (!l->netwatch)
		log_debug(NULL, "changes of the network are not noticed: %s",
			  strerror(-err));
}

/* Life. */

static void log_way(const struct options *o, const struct way *way)
{
	char url[URL_SIZE], proxy[ADDR_TEXT_MAX + 10];

	if (way->use_proxy)
		log_info(NULL, "reaching %s through %s",
			 server_url_format(&way->url, url, sizeof(url)),
			 proxy_url_format(&way->proxy, proxy, sizeof(proxy)));
	if (!way->url.tls && o->token && !host_is_loopback(way->url.addr.host))
		log_warn(NULL, "the token goes to %s in clear: use wss://",
			 way->url.addr.host);
}

struct contexts {
	struct tls_context *tls, *proxy_tls;
};

/* The proxies get neither our certificate nor are they believed without one of
 * theirs. NULL, or what is wrong. */
static const char *open_tls(const struct options *o, struct contexts *out)
{
	struct tls_config tls = {
		.ca = o->tls_ca,
		.insecure = o->insecure,
		.pins = o->pins,
		.npins = o->npins,
		.cert = o->tls_cert,
		.key = o->tls_key,
		.only_1_3 = o->tls_only_1_3,
	};
	struct tls_config proxy_tls = {
		.ca = o->tls_ca,
		.only_1_3 = o->tls_only_1_3,
	};
	bool https = false;
	const char *error = NULL;

	for (int i = 0; i < o->servers.count; i++)
		https |= o->servers.at[i].use_proxy &&
			 o->servers.at[i].proxy.tls;
	*out = (struct contexts){NULL, NULL};
	if (o->servers.tls)
		out->tls = tls_client_context(&tls, &error);
	if (https && !error)
		out->proxy_tls = tls_client_context(&proxy_tls, &error);
	if (error)
		tls_context_free(out->tls);
	return error;
}

static void free_token(struct link *l)
{
	if (l->token)
		explicit_bzero(l->token, strlen(l->token));
	free(l->token);
}

static void log_risks(const struct options *o)
{
	for (int i = 0; i < o->servers.count; i++)
		log_way(o, &o->servers.at[i]);
	if (o->insecure)
		log_warn(NULL, "--insecure: the server's certificate is not "
			       "verified; anybody on the way can read along");
}

int link_init(struct link *l, struct worker *w, const struct options *o,
	      bool spare, const struct link_ops *ops, void *ctx)
{
	struct contexts contexts;
	const char *error;

	memset(l, 0, sizeof(*l));
	l->w = w;
	l->o = o;
	l->spare = spare;
	l->ops = ops;
	l->ctx = ctx;
	forget_pauses(l);
	pool_init(&l->pool, w, o->connections, &pool_ops, l);
	if (!spare)
		log_risks(o);
	if (o->token) {
		l->token = strdup(o->token);
		if (!l->token) {
			log_error(NULL, "cannot start: out of memory");
			return reason_exit(REASON_INTERNAL);
		}
	}
	error = open_tls(o, &contexts);
	if (!error) {
		l->tls = contexts.tls;
		l->proxy_tls = contexts.proxy_tls;
		return 0;
	}
	log_error(NULL, "%s", error);
	return reason_exit(REASON_USAGE);
}

void link_start(struct link *l)
{
	if (l->o->wait_ms)
		deadline_set(l->w, &l->wait, l->o->wait_ms, on_wait_over);
	watch_network(l);
	dial(l);
}

void link_wake(struct link *l, int at)
{
	if (l->pool.state != POOL_NONE || l->stopped)
		return;
	if (!l->netwatch)
		watch_network(l);
	l->first = l->at = at;
	l->tried = 0;
	dial(l);
}

static void let_go(struct link *l, enum reason why)
{
	deadline_clear(&l->look);
	deadline_clear(&l->retry);
	deadline_clear(&l->wait);
	if (l->netwatch)
		netwatch_drop(l->netwatch);
	l->netwatch = NULL;
	l->looking = false;
	pool_drop(&l->pool, why);
}

void link_rest(struct link *l)
{
	let_go(l, REASON_DONE);
}

/* HUP. */

static void keep_old(const char *error)
{
	log_warn(NULL, "HUP: %s; what it said before stays in force", error);
}

/* Is there another one, or the same again? */
static bool reload_token(struct link *l)
{
	struct options *again;
	char error[4096 + 256];
	const char *wrong = "out of memory";

	if (!l->o->token_file)
		return false;
	again = calloc(1, sizeof(*again));
	if (again)
		wrong = options_again_token(l->o, again, error, sizeof(error));
	if (wrong) {
		keep_old(wrong);
	} else {
		free_token(l);
		l->token = again->token;
		again->token = NULL;
	}
	if (again)
		options_done(again);
	free(again);
	return !wrong;
}

static bool reload_tls(struct link *l)
{
	struct contexts contexts;
	const char *error;

	if (!l->tls && !l->proxy_tls)
		return false;
	error = open_tls(l->o, &contexts);
	if (error) {
		keep_old(error);
		return false;
	}
	tls_context_free(l->tls);
	tls_context_free(l->proxy_tls);
	l->tls = contexts.tls;
	l->proxy_tls = contexts.proxy_tls;
	return true;
}

void link_reload(struct link *l)
{
	bool token = reload_token(l), tls = reload_tls(l);

	pool_renew(&l->pool, l->token, l->tls, l->proxy_tls);
	if ((token || tls) && !l->spare)
		log_info(NULL, "HUP: read again:%s%s", token ? " token" : "",
			 tls ? " certificates" : "");
}

void link_stop(struct link *l, enum reason why)
{
	l->stopped = true;
	let_go(l, why);
}

void link_free(struct link *l)
{
	free_token(l);
	tls_context_free(l->tls);
	tls_context_free(l->proxy_tls);
}

struct tunnel *link_tunnel(struct link *l)
{
	return l->pool.state == POOL_UP ? pool_pick(&l->pool) : NULL;
}
