/* SPDX-License-Identifier: MIT */
#include "modes/client.h"

#include <stdlib.h>
#include <string.h>

#include "core/listen.h"
#include "core/log.h"
#include "core/users.h"

#include "modes/link.h"
#include "modes/session.h"

struct door {
	struct client *client;
	struct listener *listener;
	const struct inbound *inbound;
};

struct client {
	struct service *service;
	const struct options *options;
	struct link link;
	struct users *users; /* of the proxies, or NULL: everybody */
	struct sessions sessions;
	struct door doors[3 * LISTENS_MAX];
	int ndoors;
	bool ready; /* the tunnel has been up */
};

/* The link. */

static void on_up(void *ctx)
{
	struct client *c = ctx;

	ready_line(&c->service->ready, "connected %s rtt=%llums",
		   link_url(&c->link), (unsigned long long)c->link.pool.rtt_ms);
	if (!c->ready)
		ready_now(&c->service->ready);
	c->ready = true;
	asks_wake(&c->sessions.asks);
}

static void on_wake(void *ctx)
{
	struct client *c = ctx;

	asks_wake(&c->sessions.asks);
}

static void on_failed(void *ctx, enum reason why)
{
	struct client *c = ctx;

	service_stop(c->service, reason_exit(why));
}

static bool on_wanted(void *ctx)
{
	struct client *c = ctx;

	return asks_waiting(&c->sessions.asks);
}

static const struct link_ops link_ops = {
	.up = on_up,
	.wake = on_wake,
	.failed = on_failed,
	.wanted = on_wanted,
};

/* What sessions need. */

static struct tunnel *get_tunnel(void *ctx)
{
	struct client *c = ctx;

	return link_tunnel(&c->link);
}

static void on_want(void *ctx)
{
	struct client *c = ctx;

	link_want(&c->link);
}

static void on_ended(void *ctx)
{
	struct client *c = ctx;

	service_check(c->service);
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
		struct listen_spec spec = {.at = l->at[i],
					   .access = c->options->access,
					   .on = on_accept,
					   .ctx = d};

		d->client = c;
		d->inbound = in;
		d->listener = listen_open(&c->service->worker, &spec, &error);
		if (!d->listener) {
			log_error(NULL, "--%s: cannot listen on %s: %s",
				  in->name, addr_format(&spec.at, text), error);
			close_doors(c);
			return false;
		}
		c->ndoors++;
		log_info(NULL, "%s proxy on %s", in->name,
			 listen_name(d->listener));
		ready_line(&c->service->ready, "listening %s %s", in->name,
			   listen_name(d->listener));
	}
	return true;
}

/* Life. */

/* False: an error has been logged. */
static bool load_users(struct client *c)
{
	const struct options *o = c->options;
	struct worker *w = &c->service->worker;
	char error[4096 + 256] = "out of memory";

	if (o->proxy_auth) {
		c->users = users_of_pair(w, o->proxy_auth);
		explicit_bzero(o->proxy_auth, strlen(o->proxy_auth));
	} else if (o->proxy_users) {
		c->users = users_load(w, o->proxy_users, error, sizeof(error));
	} else {
		return true;
	}
	if (c->users && o->proxy_users)
		log_info(NULL, "%zu users in %s", users_count(c->users),
			 o->proxy_users);
	if (!c->users)
		log_error(NULL, "--proxy-users: %s", error);
	return c->users != NULL;
}

/* HUP. A user of before stays where he is; his next request is a new one's. */
static void reload_users(struct client *c)
{
	const char *path = c->options->proxy_users;
	char error[4096 + 256];

	if (!path)
		return;
	if (users_again(c->users, path, error, sizeof(error)))
		log_info(NULL, "HUP: read again: %zu users in %s",
			 users_count(c->users), path);
	else
		log_warn(NULL,
			 "HUP: --proxy-users %s; what it said before stays in "
			 "force",
			 error);
}

/* 0, or an exit code. */
static int client_open(struct client *c)
{
	const struct options *o = c->options;
	int code = link_init(&c->link, &c->service->worker, o, &link_ops, c);

	if (code)
		return code;
	if (!load_users(c))
		return reason_exit(REASON_USAGE);
	sessions_init(&c->sessions, &c->service->worker, &sessions_ops, c);
	c->sessions.asks.timeout_ms = o->connect_timeout_ms;
	c->sessions.keepalive_s = o->tcp_keepalive_s;
	c->sessions.logins.users = c->users;
	if (!open_doors(c, &o->socks, &inbound_socks) ||
	    !open_doors(c, &o->http, &inbound_http) ||
	    !open_doors(c, &o->mixed, &inbound_mixed))
		return reason_exit(REASON_CANNOT_BIND);
	link_start(&c->link);
	return 0;
}

struct client *client_start(struct service *s, const struct options *o,
			    int *code)
{
	struct client *c = calloc(1, sizeof(*c));

	*code = reason_exit(REASON_INTERNAL);
	if (!c) {
		log_error(NULL, "cannot start: out of memory");
		return NULL;
	}
	c->service = s;
	c->options = o;
	*code = client_open(c);
	return c;
}

void client_drain(struct client *c)
{
	close_doors(c);
	sessions_drain(&c->sessions);
}

bool client_busy(const struct client *c)
{
	return sessions_busy(&c->sessions);
}

void client_stop(struct client *c, enum reason why)
{
	close_doors(c);
	sessions_drop(&c->sessions, why);
	link_stop(&c->link, why);
}

void client_reload(struct client *c)
{
	reload_users(c);
	link_reload(&c->link);
	link_hurry(&c->link);
}

void client_free(struct client *c)
{
	if (!c)
		return;
	link_free(&c->link);
	users_free(c->users);
	free(c);
}
