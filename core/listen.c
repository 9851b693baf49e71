/* SPDX-License-Identifier: MIT */
#include "core/listen.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "core/conn.h"
#include "core/log.h"
#include "core/socket.h"

#define BACKLOG 1024

struct listener {
	uv_tcp_t tcp;
	struct worker *w;
	listen_fn *on;
	void *ctx;
	struct log_limit full;
	uv_tcp_t spare; /* takes a connection only to close it */
	bool refusing;  /* spare is in use */
	bool waiting;   /* and another connection waits for it */
	bool dropped;
	char name[ADDR_TEXT_MAX];
};

static void on_close(uv_handle_t *h)
{
	struct listener *l = h->data;

	l->dropped = true;
	if (!l->refusing)
		free(l);
}

void listen_drop(struct listener *l)
{
	uv_close((uv_handle_t *)&l->tcp, on_close);
}

static void on_connection(uv_stream_t *s, int err);

static void on_refused(uv_handle_t *h)
{
	struct listener *l = h->data;
	bool waiting = l->waiting;

	l->refusing = l->waiting = false;
	if (l->dropped)
		free(l);
	else if (waiting)
		on_connection((uv_stream_t *)&l->tcp, 0);
}

/* A connection that nobody accepts would stop libuv from listening. */
static void refuse(struct listener *l)
{
	if (l->refusing) {
		l->waiting = true;
		return;
	}
	if (uv_tcp_init(&l->w->loop, &l->spare))
		return;
	l->spare.data = l;
	l->refusing = true;
	uv_accept((uv_stream_t *)&l->tcp, (uv_stream_t *)&l->spare);
	uv_close((uv_handle_t *)&l->spare, on_refused);
}

static void on_connection(uv_stream_t *s, int err)
{
	struct listener *l = s->data;
	struct end *e;
	int why = err;

	e = err < 0 ? NULL : conn_accept(l->w, s, &why);
	if (e) {
		l->on(l->ctx, e);
		return;
	}
	if (why == UV_ENOMEM && err >= 0)
		refuse(l);
	if (log_limit(&l->full, worker_now(l->w)))
		log_warn(l->name, "connection refused: %s; %u open, limit %u%s",
			 uv_strerror(why), l->w->conns, l->w->max_conns,
			 l->full.more);
}

/* All addresses: of both families where the kernel has IPv6. */
static int bind_any(struct listener *l, uint16_t port)
{
	struct sockaddr_storage sa;
	int err;

	uv_ip6_addr("::", port, (struct sockaddr_in6 *)&sa);
	err = uv_tcp_bind(&l->tcp, (struct sockaddr *)&sa, 0);
	if (err != UV_EAFNOSUPPORT)
		return err;
	uv_ip4_addr("0.0.0.0", port, (struct sockaddr_in *)&sa);
	return uv_tcp_bind(&l->tcp, (struct sockaddr *)&sa, 0);
}

static int bind_to(struct listener *l, const struct addr *at)
{
	struct sockaddr_storage sa;
	const char *host = at->host;

	if (!*host || strcmp(host, "*") == 0)
		return bind_any(l, at->port);
	if (strcmp(host, "localhost") == 0)
		host = "127.0.0.1";
	if (uv_ip4_addr(host, at->port, (struct sockaddr_in *)&sa) &&
	    uv_ip6_addr(host, at->port, (struct sockaddr_in6 *)&sa))
		return UV_EINVAL;
	return uv_tcp_bind(&l->tcp, (struct sockaddr *)&sa, 0);
}

/* The name carries the port that the kernel gave. */
static void learn_name(struct listener *l, const struct addr *at)
{
	struct addr a = *at;
	struct sockaddr_storage sa;
	int len = sizeof(sa);

	if (uv_tcp_getsockname(&l->tcp, (struct sockaddr *)&sa, &len) == 0)
		a.port = ntohs(((struct sockaddr_in *)&sa)->sin_port);
	addr_format(&a, l->name);
}

struct listener *listen_open(struct worker *w, const struct addr *at,
			     listen_fn *on, void *ctx, const char **error)
{
	struct listener *l = calloc(1, sizeof(*l));
	int err;

	*error = "out of memory";
	if (!l)
		return NULL;
	l->w = w;
	l->on = on;
	l->ctx = ctx;
	err = uv_tcp_init(&w->loop, &l->tcp);
	if (err) {
		free(l);
		return NULL;
	}
	l->tcp.data = l;
	err = bind_to(l, at);
	/* Accepted sockets inherit it: P2 holds from their first moment. */
	if (!err)
		err = socket_linger(&l->tcp, true);
	if (!err)
		err = uv_listen((uv_stream_t *)&l->tcp, BACKLOG, on_connection);
	if (err) {
		*error = uv_strerror(err);
		listen_drop(l);
		return NULL;
	}
	learn_name(l, at);
	return l;
}

const char *listen_name(const struct listener *l)
{
	return l->name;
}
