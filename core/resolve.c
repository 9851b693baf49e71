/* SPDX-License-Identifier: MIT */
#include "core/resolve.h"

#include <assert.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include <ares.h>
#include <uv.h>

#include "proto/addr.h"
#include "proto/container.h"

#define TRY_MS    2000 /* one question to one server */
#define TRIES     3
#define ASKED_MAX 4096 /* questions at a time */
#define SLOW_MS   500 /* so long without an answer: ask for each family alone */
#define MORE_MS   50  /* for the other family (RFC 8305 section 3) */
#define CONF      "/etc/resolv.conf"

/* A socket of c-ares that the loop watches. */
struct watch {
	struct watch *next;
	uv_poll_t poll;
	struct resolver *owner;
	ares_socket_t fd;
};

/* One channel of c-ares. When the machine's name servers change, a new one
 * takes over, and the old one stays until its last question is answered. */
struct resolver {
	struct resolver *older;
	struct worker *w;
	ares_channel channel;
	uv_timer_t timer;
	struct watch *watches;
	unsigned int asked;
	struct timespec conf; /* when CONF was changed */
};

/*
 *	ASKED	  no addresses yet
 *	ANSWERED  done() is due at the end of this turn
 *	OVER	  done, or dropped; stays until c-ares has called back for all
 *		  questions, since it cannot forget a single one
 */
struct resolve {
	struct worker *w;
	struct resolver *by;
	enum { ASKED, ANSWERED, OVER } state;
	unsigned int asked; /* questions that c-ares will call back for */
	resolve_fn *done;
	void *ctx;
	struct flusher flusher;
	struct deadline slow;
	uint16_t port;
	enum reason why; /* of the first failure, or DONE */
	int n;
	struct sockaddr_storage addrs[RESOLVE_MAX];
	char host[HOST_MAX + 1];
};

/* The loop and c-ares. */

static void on_timer(uv_timer_t *t);

/* c-ares knows when it has to look at its clock next. */
static void set_timer(struct resolver *r)
{
	struct timeval tv;

	if (!ares_timeout(r->channel, NULL, &tv)) {
		uv_timer_stop(&r->timer);
		return;
	}
	uv_timer_start(&r->timer, on_timer,
		       (uint64_t)tv.tv_sec * 1000 +
			       (uint64_t)tv.tv_usec / 1000 + 1,
		       0);
}

static void on_timer(uv_timer_t *t)
{
	struct resolver *r = t->data;

	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	set_timer(r);
}

static void on_poll(uv_poll_t *p, int err, int events)
{
	struct watch *watch = p->data;
	struct resolver *r = watch->owner;
	ares_socket_t rd = ARES_SOCKET_BAD, wr = ARES_SOCKET_BAD;

	if (err || events & UV_READABLE)
		rd = watch->fd;
	if (err || events & UV_WRITABLE)
		wr = watch->fd;
	ares_process_fd(r->channel, rd, wr);
	set_timer(r);
}

static void on_watch_closed(uv_handle_t *h)
{
	free(h->data);
}

static void unwatch(struct resolver *r, ares_socket_t fd)
{
	struct watch **p = &r->watches, *watch;

	while ((watch = *p) && watch->fd != fd)
		p = &watch->next;
	if (!watch)
		return;
	*p = watch->next;
	uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static struct watch *watch_of(struct resolver *r, ares_socket_t fd)
{
	struct watch *watch = r->watches;

	while (watch && watch->fd != fd)
		watch = watch->next;
	if (watch)
		return watch;
	watch = calloc(1, sizeof(*watch));
	if (!watch || uv_poll_init(&r->w->loop, &watch->poll, fd)) {
		free(watch);
		return NULL; /* the question will time out */
	}
	watch->poll.data = watch;
	watch->owner = r;
	watch->fd = fd;
	watch->next = r->watches;
	r->watches = watch;
	return watch;
}

static void on_socket(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = ctx;
	struct watch *watch;

	if (!readable && !writable) {
		unwatch(r, fd);
		return;
	}
	watch = watch_of(r, fd);
	if (watch)
		uv_poll_start(&watch->poll,
			      (readable ? UV_READABLE : 0) |
				      (writable ? UV_WRITABLE : 0),
			      on_poll);
}

static bool open_channel(struct resolver *r)
{
	struct ares_options options = {
		.timeout = TRY_MS,
		.tries = TRIES,
		.sock_state_cb = on_socket,
		.sock_state_cb_data = r,
	};
	const char *servers = getenv("WSP_TEST_DNS"); /* for tests */

	if (ares_init_options(&r->channel, &options,
			      ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
				      ARES_OPT_SOCK_STATE_CB))
		return false;
	if (!servers || !ares_set_servers_ports_csv(r->channel, servers))
		return true;
	ares_destroy(r->channel);
	return false;
}

static struct timespec conf_time(void)
{
	struct stat st = {0};

	if (stat(CONF, &st))
		st.st_mtim.tv_sec = 0;
	return st.st_mtim;
}

static bool is_current(const struct resolver *r, const struct timespec *conf)
{
	return r->conf.tv_sec == conf->tv_sec &&
	       r->conf.tv_nsec == conf->tv_nsec;
}

static void resolver_end(struct resolver *r);

static void drop_idle(struct resolver *r)
{
	struct resolver *old;

	while ((old = r->older)) {
		if (old->asked) {
			r = old;
			continue;
		}
		r->older = old->older;
		resolver_end(old);
	}
}

/* The worker's resolver, made at the first use. NULL: no memory. */
static struct resolver *get_resolver(struct worker *w)
{
	struct timespec conf = conf_time();
	struct resolver *r = w->resolver;

	if (r && is_current(r, &conf)) {
		drop_idle(r);
		return r;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	r->w = w;
	if (!open_channel(r)) {
		free(r);
		return NULL;
	}
	uv_timer_init(&w->loop, &r->timer);
	r->timer.data = r;
	r->conf = conf;
	r->older = w->resolver;
	w->resolver = r;
	return r;
}

static void on_timer_closed(uv_handle_t *h)
{
	free(h->data);
}

static void resolver_end(struct resolver *r)
{
	ares_destroy(r->channel);
	while (r->watches)
		unwatch(r, r->watches->fd);
	uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

void resolver_free(struct worker *w)
{
	struct resolver *r;

	while ((r = w->resolver)) {
		w->resolver = r->older;
		resolver_end(r);
	}
}

/* Questions. */

static enum reason reason_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return REASON_DONE;
	case ARES_ETIMEOUT:
		return REASON_TIMED_OUT;
	case ARES_ENOMEM:
		return REASON_NO_MEMORY;
	case ARES_ECANCELLED:
	case ARES_EDESTRUCTION:
		return REASON_STOPPING;
	default:
		return REASON_NO_SUCH_NAME;
	}
}

/* The next address of this family at or behind node. */
static struct ares_addrinfo_node *skip_to(struct ares_addrinfo_node *node,
					  int family)
{
	while (node && node->ai_family != family)
		node = node->ai_next;
	return node;
}

static void take_address(struct resolve *r, const struct ares_addrinfo_node *a)
{
	for (int i = 0; i < r->n; i++)
		if (memcmp(&r->addrs[i], a->ai_addr, a->ai_addrlen) == 0)
			return;
	memcpy(&r->addrs[r->n++], a->ai_addr, a->ai_addrlen);
}

/* RFC 8305 section 4: the families take turns, the preferred one first. */
static void take_addresses(struct resolve *r, struct ares_addrinfo *info)
{
	int first = info->nodes ? info->nodes->ai_family : AF_INET;
	int family[2] = {first, first == AF_INET ? AF_INET6 : AF_INET};
	struct ares_addrinfo_node *next[2] = {
		skip_to(info->nodes, family[0]),
		skip_to(info->nodes, family[1]),
	};

	for (int turn = 0; (next[0] || next[1]) && r->n < RESOLVE_MAX; turn++) {
		struct ares_addrinfo_node *node = next[turn % 2];

		if (!node)
			continue;
		take_address(r, node);
		next[turn % 2] = skip_to(node->ai_next, family[turn % 2]);
	}
}

static void answered(struct resolve *r)
{
	r->state = ANSWERED;
	deadline_clear(&r->slow);
	worker_flush(r->w, &r->flusher);
}

static void resolve_over(struct resolve *r)
{
	r->state = OVER;
	deadline_clear(&r->slow);
	flusher_clear(&r->flusher);
	if (!r->asked)
		free(r);
}

static void on_enough(struct deadline *d)
{
	answered(container_of(d, struct resolve, slow));
}

/* Of several questions, all but the first that bring addresses may be late. */
static void on_answer(void *ctx, int status, int timeouts,
		      struct ares_addrinfo *info)
{
	struct resolve *r = ctx;

	(void)timeouts;
	r->asked--;
	r->by->asked--;
	if (info && r->state == ASKED)
		take_addresses(r, info);
	if (info)
		ares_freeaddrinfo(info);
	if (r->state == OVER) {
		resolve_over(r);
		return;
	}
	if (r->why == REASON_DONE)
		r->why = reason_of(status);
	if (r->n)
		r->why = REASON_DONE;
	else if (r->why == REASON_DONE)
		r->why = REASON_NO_SUCH_NAME;
	if (r->state != ASKED)
		return;
	if (!r->asked)
		answered(r);
	else if (r->n)
		deadline_set(r->w, &r->slow, MORE_MS, on_enough);
}

static void on_flush(struct flusher *f)
{
	struct resolve *r = container_of(f, struct resolve, flusher);
	resolve_fn *done = r->done;
	void *ctx = r->ctx;

	r->state = OVER;
	r->asked++; /* so that r stays while done() runs */
	done(ctx, r->why, r->addrs, r->why == REASON_DONE ? r->n : 0);
	r->asked--;
	resolve_over(r);
}

/* An address of digits, one more of r's. */
static bool take_literal(struct resolve *r, const char *host)
{
	struct sockaddr_storage *sa = &r->addrs[r->n];

	if (uv_ip4_addr(host, r->port, (struct sockaddr_in *)sa) &&
	    uv_ip6_addr(host, r->port, (struct sockaddr_in6 *)sa))
		return false;
	r->n++;
	return true;
}

/* RFC 6761 section 6.3: whatever a name server or a file would say. */
static bool is_localhost(const char *host)
{
	static const char name[] = "localhost";
	size_t n = strlen(host);

	if (n && host[n - 1] == '.')
		n--;
	if (n < sizeof(name) - 1)
		return false;
	n -= sizeof(name) - 1;
	return strncasecmp(host + n, name, sizeof(name) - 1) == 0 &&
	       (n == 0 || host[n - 1] == '.');
}

/* What needs no question. */
static bool is_known(struct resolve *r, const char *host)
{
	if (is_localhost(host)) {
		take_literal(r, "127.0.0.1");
		take_literal(r, "::1");
	} else if (!take_literal(r, host)) {
		return false;
	}
	answered(r);
	return true;
}

static void ask(struct resolve *r, int family)
{
	struct ares_addrinfo_hints hints = {
		.ai_family = family,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = ARES_AI_NUMERICSERV,
	};
	char service[8];

	if (r->by->asked >= ASKED_MAX)
		return;
	r->by->asked++;
	r->asked++;
	snprintf(service, sizeof(service), "%u", (unsigned)r->port);
	ares_getaddrinfo(r->by->channel, r->host, service, &hints, on_answer,
			 r);
}

/* Some name servers drop the questions for one family, and c-ares tells the
 * other one's addresses only when it has given up (RFC 8305 section 3). */
static void on_slow(struct deadline *d)
{
	struct resolve *r = container_of(d, struct resolve, slow);
	struct resolver *by = r->by;

	ask(r, AF_INET6);
	if (r->state == ASKED)
		ask(r, AF_INET);
	set_timer(by);
}

static bool ask_first(struct resolve *r)
{
	r->by = get_resolver(r->w);
	if (!r->by || r->by->asked >= ASKED_MAX)
		return false;
	deadline_set(r->w, &r->slow, SLOW_MS, on_slow);
	ask(r, AF_UNSPEC);
	set_timer(r->by);
	return true;
}

struct resolve *resolve_start(struct worker *w, const char *host, uint16_t port,
			      resolve_fn *done, void *ctx)
{
	struct resolve *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	assert(strlen(host) < sizeof(r->host));
	strcpy(r->host, host);
	r->w = w;
	r->port = port;
	r->done = done;
	r->ctx = ctx;
	r->flusher.flush = on_flush;
	if (is_known(r, host) || ask_first(r))
		return r;
	free(r);
	return NULL;
}

void resolve_drop(struct resolve *r)
{
	resolve_over(r);
}

const char *resolve_version(void)
{
	return ares_version(NULL);
}
