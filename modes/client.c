/* SPDX-License-Identifier: MIT */
#include "modes/client.h"

#include <stdlib.h>
#include <string.h>

#include "core/listen.h"
#include "core/log.h"

#include "modes/lane.h"

struct door {
	struct client *client;
	struct listener *listener;
	const struct inbound *inbound;
};

struct client {
	struct service *service;
	const struct options *options;
	struct lanes lanes;
	struct door doors[3 * LISTENS_MAX];
	int ndoors;
	bool ready; /* the tunnel has been up */
};

/* The link of the first lane. */

static struct link *link_of(struct client *c)
{
	return &c->lanes.at[0].link;
}

static void on_up(void *ctx)
{
	struct client *c = ctx;

	ready_line(&c->service->ready, "connected %s rtt=%llums",
		   link_url(link_of(c)),
		   (unsigned long long)link_of(c)->pool.rtt_ms);
	if (!c->ready)
		ready_now(&c->service->ready);
	c->ready = true;
	lanes_wake(&c->lanes);
}

static void on_wake(void *ctx)
{
	struct client *c = ctx;

	lanes_wake(&c->lanes);
}

static void on_failed(void *ctx, enum reason why)
{
	struct client *c = ctx;

	service_stop(c->service, reason_exit(why));
}

static bool on_wanted(void *ctx)
{
	struct client *c = ctx;

	return asks_waiting(&c->lanes.at[0].sessions.asks);
}

static const struct link_ops link_ops = {
	.up = on_up,
	.wake = on_wake,
	.failed = on_failed,
	.wanted = on_wanted,
};

/* Listeners. */

static bool on_away(void *ctx, int fd, bool local)
{
	struct door *d = ctx;

	return lanes_send(&d->client->lanes, fd, local, d->inbound);
}

static void on_accept(void *ctx, struct end *e)
{
	struct door *d = ctx;

	lanes_take(&d->client->lanes, e, d->inbound);
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
					   .away = on_away,
					   .ctx = d};

		d->client = c;
		d->inbound = in;
		d->listener = listen_open(service_worker(c->service, 0), &spec,
					  &error);
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

/* 0, or an exit code. */
static int client_open(struct client *c)
{
	const struct options *o = c->options;
	int code = lanes_open(&c->lanes, c->service, o, &link_ops, c);

	if (code)
		return code;
	if (!open_doors(c, &o->socks, &inbound_socks) ||
	    !open_doors(c, &o->http, &inbound_http) ||
	    !open_doors(c, &o->mixed, &inbound_mixed))
		return reason_exit(REASON_CANNOT_BIND);
	lanes_start(&c->lanes);
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

void client_drain(struct client *c, unsigned int n)
{
	if (n == 0)
		close_doors(c);
	lane_drain(&c->lanes, n);
}

bool client_busy(const struct client *c, unsigned int n)
{
	return lane_busy(&c->lanes, n);
}

void client_stop(struct client *c, unsigned int n, enum reason why)
{
	if (n == 0)
		close_doors(c);
	lane_stop(&c->lanes, n, why);
}

void client_reload(struct client *c)
{
	lanes_reload(&c->lanes);
}

void client_free(struct client *c)
{
	if (!c)
		return;
	lanes_free(&c->lanes);
	free(c);
}
