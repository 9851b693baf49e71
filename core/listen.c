/* SPDX-License-Identifier: MIT */
#include "core/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "core/conn.h"
#include "core/log.h"
#include "core/socket.h"
#include "proto/container.h"

#define BACKLOG 1024
/* Connections in one turn of the loop: what they say has to be heard before so
 * many others have come that they have to go (modes/strangers.h). */
#define AT_ONCE  8
#define PAUSE_MS 100 /* when not even a refusal is possible */

enum taken {
	ONE,
	LOST, /* that one has gone already: accept(2) */
	NONE, /* nobody waits, or nobody can be taken now */
};

struct listener {
	uv_poll_t poll;
	struct worker *w;
	struct listen_spec spec;
	struct sockfile file;
	int fd;
	int spare; /* given up for a moment to accept and refuse, or -1 */
	struct deadline pause;
	struct log_limit full;
	char name[ADDR_TEXT_MAX];
};

static bool is_local(const struct listener *l)
{
	return addr_unix(&l->spec.at) != NULL;
}

/* Accepting. */

static void log_full(struct listener *l, const char *why)
{
	if (log_limit(&l->full, worker_now(l->w)))
		log_warn(l->name, "connection refused: %s; %u open, limit %u%s",
			 why, l->w->conns, l->w->max_conns, l->full.more);
}

static void take(struct listener *l, int fd)
{
	const char *error;
	struct end *e;

	if (l->spec.away && l->spec.away(l->spec.ctx, fd, is_local(l)))
		return;
	e = conn_adopt(l->w, fd, is_local(l), &error);
	if (e)
		l->spec.on(l->spec.ctx, e);
	else
		log_full(l, error);
}

static int accept_one(const struct listener *l)
{
	return accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static int get_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_poll(uv_poll_t *p, int status, int events);

static void on_pause_over(struct deadline *d)
{
	struct listener *l = container_of(d, struct listener, pause);

	uv_poll_start(&l->poll, UV_READABLE, on_poll);
}

static void rest(struct listener *l)
{
	uv_poll_stop(&l->poll);
	deadline_set(l->w, &l->pause, PAUSE_MS, on_pause_over);
}

/* The process has no descriptor left for who waits, and he would wake the loop
 * for ever. SO_LINGER makes close() a reset. */
static void refuse(struct listener *l)
{
	int fd = -1;

	if (l->spare >= 0) {
		close(l->spare);
		fd = accept_one(l);
	}
	if (fd >= 0)
		close(fd);
	l->spare = get_spare();
	if (fd < 0)
		rest(l);
}

static enum taken take_one(struct listener *l)
{
	int fd = accept_one(l);

	if (fd >= 0) {
		take(l, fd);
		return ONE;
	}
	switch (errno) {
	case EAGAIN:
		return NONE;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		log_full(l, uv_strerror(uv_translate_sys_error(errno)));
		refuse(l);
		return NONE;
	default:
		return LOST;
	}
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	struct listener *l = p->data;
	int lost = 0;

	(void)status; /* an error would be accept's, too */
	(void)events;
	for (int i = 0; i < AT_ONCE && uv_is_active((uv_handle_t *)p); i++) {
		enum taken t = take_one(l);

		if (t == NONE)
			return;
		lost += t == LOST;
	}
	if (lost == AT_ONCE) /* an error that comes again is another one */
		rest(l);
}

/* Opening. */

static void on_close(uv_handle_t *h)
{
	free(h->data);
}

void listen_drop(struct listener *l)
{
	sockfile_remove(&l->file);
	deadline_clear(&l->pause);
	uv_close((uv_handle_t *)&l->poll, on_close);
	close(l->fd);
	if (l->spare >= 0)
		close(l->spare);
}

/* As a libuv code: its texts are those that users see elsewhere. */
static int bind_to(struct listener *l, const struct sockaddr *sa, socklen_t len)
{
	/* Accepted sockets inherit it: P2 holds from their first moment. */
	const struct linger linger = {.l_onoff = 1, .l_linger = 0};
	const int yes = 1, no = 0, type = SOCK_STREAM | SOCK_CLOEXEC;

	l->fd = socket(sa->sa_family, type | SOCK_NONBLOCK, 0);
	if (l->fd < 0 ||
	    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) ||
	    setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) ||
	    (sa->sa_family == AF_INET6 &&
	     setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no))) ||
	    bind(l->fd, sa, len))
		return uv_translate_sys_error(errno);
	if (socket_is_loopback(sa))
		socket_unpace(l->fd);
	return 0;
}

static int bind_4(struct listener *l, const char *host, uint16_t port)
{
	struct sockaddr_in sa;

	if (uv_ip4_addr(host, port, &sa))
		return UV_EINVAL;
	return bind_to(l, (const struct sockaddr *)&sa, sizeof(sa));
}

static int bind_6(struct listener *l, const char *host, uint16_t port)
{
	struct sockaddr_in6 sa;

	if (uv_ip6_addr(host, port, &sa))
		return UV_EINVAL;
	return bind_to(l, (const struct sockaddr *)&sa, sizeof(sa));
}

static int bind_tcp(struct listener *l, const struct addr *at)
{
	const char *host = at->host;
	int err;

	if (*host && strcmp(host, "*") != 0) {
		if (strcmp(host, "localhost") == 0)
			host = "127.0.0.1";
		return strchr(host, ':') ? bind_6(l, host, at->port)
					 : bind_4(l, host, at->port);
	}
	/* all addresses: of both families where the kernel has IPv6 */
	err = bind_6(l, "::", at->port);
	if (err != UV_EAFNOSUPPORT)
		return err;
	if (l->fd >= 0)
		close(l->fd);
	return bind_4(l, "0.0.0.0", at->port);
}

/* NULL, or what went wrong. */
static const char *bind_any(struct listener *l)
{
	const char *path = addr_unix(&l->spec.at), *error = NULL;
	int err;

	if (path) {
		l->fd = sockfile_bind(&l->file, path, &l->spec.access, &error);
		return error;
	}
	err = bind_tcp(l, &l->spec.at);
	return err ? uv_strerror(err) : NULL;
}

/* NULL, or what went wrong. */
static const char *start(struct listener *l)
{
	const char *error = bind_any(l);
	int err = 0;

	if (error)
		return error;
	if (listen(l->fd, BACKLOG))
		err = uv_translate_sys_error(errno);
	if (!err)
		err = uv_poll_init(&l->w->loop, &l->poll, l->fd);
	if (err)
		return uv_strerror(err);
	l->poll.data = l;
	uv_poll_start(&l->poll, UV_READABLE, on_poll);
	return NULL;
}

/* The name carries the port that the kernel gave. */
static void learn_name(struct listener *l)
{
	struct addr a = l->spec.at;
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);

	if (!is_local(l) &&
	    getsockname(l->fd, (struct sockaddr *)&sa, &len) == 0)
		a.port = ntohs(((struct sockaddr_in *)&sa)->sin_port);
	addr_format(&a, l->name);
}

struct listener *listen_open(struct worker *w, const struct listen_spec *spec,
			     const char **error)
{
	struct listener *l = calloc(1, sizeof(*l));

	*error = "out of memory";
	if (!l)
		return NULL;
	l->w = w;
	l->spec = *spec;
	l->fd = -1;
	*error = start(l);
	if (!*error) {
		l->spare = get_spare();
		learn_name(l);
		return l;
	}
	sockfile_remove(&l->file);
	if (l->fd >= 0)
		close(l->fd);
	free(l);
	return NULL;
}

const char *listen_name(const struct listener *l)
{
	return l->name;
}
