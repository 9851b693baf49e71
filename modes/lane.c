/* SPDX-License-Identifier: MIT */
#include "modes/lane.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/handover.h"
#include "core/users.h"
#include "proto/container.h"

#define REVIEW_MS 30000 /* unused at two of them: to sleep */
#define AGAIN_MS  10000 /* between attempts to have a lane up */
#define LOOK_MS   2000  /* while there is bulk: is there still? */

/* From the first lane to another one. */
struct order {
	struct letter letter;
	struct lane *to;
	void (*obey)(struct lane *l, int at);
	int at; /* the server that the first one uses */
};

/* An application on its way to another lane. */
struct coming {
	struct handover handover;
	struct lane *to;
	const struct inbound *inbound;
};

/* On the lane's own thread. */

static void note(struct lane *l);

static void on_look(struct deadline *d)
{
	note(container_of(d, struct lane, look));
}

/* What the first lane may know. */
static void note(struct lane *l)
{
	unsigned int bulk;

	if (l->all->count == 1)
		return;
	bulk = pool_bulk(&l->link.pool);
	atomic_store(&l->bulk, bulk);
	atomic_store(&l->busy, sessions_busy(&l->sessions));
	if (bulk)
		deadline_set(l->worker, &l->look, LOOK_MS, on_look);
	else
		deadline_clear(&l->look);
}

static void on_spare_up(void *ctx)
{
	struct lane *l = ctx;

	atomic_store(&l->up, true);
	log_debug(NULL, "one more connection, on a thread of its own");
	note(l);
	asks_wake(&l->sessions.asks);
}

static void on_spare_down(void *ctx)
{
	struct lane *l = ctx;

	atomic_store(&l->up, false);
}

static void on_spare_wake(void *ctx)
{
	struct lane *l = ctx;

	note(l);
	asks_wake(&l->sessions.asks);
}

static bool on_spare_wanted(void *ctx)
{
	struct lane *l = ctx;

	return asks_waiting(&l->sessions.asks);
}

static const struct link_ops spare_ops = {
	.up = on_spare_up,
	.down = on_spare_down,
	.wake = on_spare_wake,
	.wanted = on_spare_wanted,
};

static struct tunnel *get_tunnel(void *ctx)
{
	struct lane *l = ctx;

	return link_tunnel(&l->link);
}

static void on_want(void *ctx)
{
	struct lane *l = ctx;

	link_want(&l->link);
}

static void on_ended(void *ctx)
{
	struct lane *l = ctx;

	note(l);
	service_check(l->all->service, l->number);
}

static const struct sessions_ops sessions_ops = {
	.tunnel = get_tunnel,
	.want = on_want,
	.ended = on_ended,
};

static void on_arrived(struct handover *h, struct end *e, const char *error)
{
	struct coming *c = container_of(h, struct coming, handover);
	struct lane *l = c->to;
	const struct inbound *in = c->inbound;

	free(c);
	if (error && log_limit(&l->full, worker_now(l->worker)))
		log_warn(NULL, "worker %u: connection refused: %s%s",
			 l->number + 1, error, l->full.more);
	if (e)
		session_start(&l->sessions, e, in);
	note(l);
	atomic_fetch_sub(&l->coming, 1);
}

static void on_order(struct letter *letter)
{
	struct order *o = container_of(letter, struct order, letter);

	o->obey(o->to, o->at);
	free(o);
}

static void wake(struct lane *l, int at)
{
	link_wake(&l->link, at);
}

static void rest(struct lane *l, int at)
{
	(void)at;
	link_rest(&l->link);
	atomic_store(&l->up, false);
	note(l);
}

/* A user of before stays where he is; his next request is a new one's. */
static void reload_users(struct lane *l)
{
	const char *path = l->all->options->proxy_users;
	char error[4096 + 256];
	bool good;

	if (!path)
		return;
	good = users_again(l->users, path, error, sizeof(error));
	if (good && l->number) /* the first one says the same */
		return;
	if (good)
		log_info(NULL, "HUP: read again: %zu users in %s",
			 users_count(l->users), path);
	else
		log_warn(NULL,
			 "HUP: --proxy-users %s; what it said before stays in "
			 "force",
			 error);
}

static void reload(struct lane *l, int at)
{
	(void)at;
	reload_users(l);
	link_reload(&l->link);
	link_hurry(&l->link);
}

void lane_drain(struct lanes *all, unsigned int n)
{
	if (n < all->count)
		sessions_drain(&all->at[n].sessions);
}

bool lane_busy(const struct lanes *all, unsigned int n)
{
	return n < all->count && sessions_busy(&all->at[n].sessions);
}

void lane_stop(struct lanes *all, unsigned int n, enum reason why)
{
	struct lane *l;

	if (n >= all->count)
		return;
	l = &all->at[n];
	if (n == 0)
		deadline_clear(&all->review);
	sessions_drop(&l->sessions, why);
	link_stop(&l->link, why);
	deadline_clear(&l->look);
}

/* On the first lane's thread. */

static bool give_order(struct lane *l, void (*obey)(struct lane *l, int at))
{
	struct order *o = malloc(sizeof(*o));

	if (!o)
		return false;
	*o = (struct order){.letter = {.open = on_order},
			    .to = l,
			    .obey = obey,
			    .at = l->all->at[0].link.at};
	if (worker_post(l->worker, &o->letter))
		return true;
	free(o);
	return false;
}

static bool is_usable(const struct lane *l)
{
	return l->number == 0 || (l->awake && atomic_load(&l->up));
}

/* One lane's streams may have all its descriptors, and letters with sockets may
 * come faster than it opens them. */
static bool is_full(struct lane *l)
{
	return worker_is_full(l->worker, atomic_load(&l->coming));
}

/* Should the next lane take who comes now? */
static bool is_busy(struct lane *l)
{
	return atomic_load(&l->bulk) ||
	       worker_is_full(l->worker, atomic_load(&l->coming) +
						 l->worker->max_conns / 4);
}

/* A link that is down is worse than any bulk. */
static unsigned int burden(const struct lane *l)
{
	if (l->number == 0 && l->link.pool.state != POOL_UP)
		return UINT_MAX - 1;
	return atomic_load(&l->bulk);
}

static struct lane *choose(struct lanes *all)
{
	struct lane *best = &all->at[0];
	unsigned int least = UINT_MAX;

	if (all->count == 1)
		return best;
	note(&all->at[0]);
	for (unsigned int i = 0; i < all->count && least; i++) {
		struct lane *l = &all->at[i];

		if (burden(l) < least && is_usable(l) && !is_full(l)) {
			best = l;
			least = burden(l);
		}
	}
	return best;
}

static bool is_unused(struct lane *l)
{
	/* who is no longer on his way is there, see on_arrived() */
	return atomic_load(&l->coming) == 0 && !atomic_load(&l->busy);
}

static void on_review(struct deadline *d);

/* Have the next lane ready when those before it are busy. */
static void prepare(struct lanes *all)
{
	struct worker *w = all->at[0].worker;

	for (unsigned int i = 1; i < all->count; i++) {
		struct lane *before = &all->at[i - 1], *l = &all->at[i];

		if (!is_busy(before))
			return;
		if (is_usable(l))
			continue;
		if (l->awake && worker_since(w, l->woken) < AGAIN_MS)
			return;
		l->awake = give_order(l, wake);
		l->unused = false;
		l->woken = worker_now(w);
		if (!all->reviewing)
			deadline_set(w, &all->review, REVIEW_MS, on_review);
		all->reviewing = true;
		return;
	}
}

static void on_review(struct deadline *d)
{
	struct lanes *all = container_of(d, struct lanes, review);
	bool more = false, needed = is_busy(&all->at[0]);

	for (unsigned int i = 1; i < all->count; i++) {
		struct lane *l = &all->at[i];
		bool unused = is_unused(l) && !needed;

		if (l->awake && unused && l->unused)
			l->awake = !give_order(l, rest);
		l->unused = unused;
		more |= l->awake;
		needed &= l->awake && is_busy(l);
	}
	all->reviewing = more;
	if (!more)
		return;
	prepare(all); /* it may have been lost */
	deadline_set(all->at[0].worker, d, REVIEW_MS, on_review);
}

bool lanes_send(struct lanes *all, int fd, bool local, const struct inbound *in)
{
	struct lane *l = choose(all);
	struct coming *c;

	prepare(all);
	c = l->number ? malloc(sizeof(*c)) : NULL;
	if (!c)
		return false;
	*c = (struct coming){
		.handover = {.arrived = on_arrived}, .to = l, .inbound = in};
	atomic_fetch_add(&l->coming, 1);
	if (handover_send(&c->handover, l->worker, fd, local))
		return true;
	atomic_fetch_sub(&l->coming, 1);
	free(c);
	return false;
}

void lanes_take(struct lanes *all, struct end *e, const struct inbound *in)
{
	session_start(&all->at[0].sessions, e, in);
}

void lanes_wake(struct lanes *all)
{
	note(&all->at[0]);
	prepare(all);
	asks_wake(&all->at[0].sessions.asks);
}

void lanes_reload(struct lanes *all)
{
	reload(&all->at[0], 0);
	for (unsigned int i = 1; i < all->count; i++)
		if (!give_order(&all->at[i], reload))
			log_warn(NULL, "HUP: worker %u: out of memory", i + 1);
}

/* Opening and the end. */

/* NULL: error says why. Those of the first lane are read, which can be done
 * only once from a pipe. */
static struct users *get_users(struct lane *l, char *error, size_t size)
{
	const struct options *o = l->all->options;

	snprintf(error, size, "out of memory");
	if (l->number)
		return users_like(l->worker, l->all->at[0].users);
	if (o->proxy_auth)
		return users_of_pair(l->worker, o->proxy_auth);
	return users_load(l->worker, o->proxy_users, error, size);
}

/* False: an error has been logged. */
static bool load_users(struct lane *l)
{
	const struct options *o = l->all->options;
	char error[4096 + 256];

	if (!o->proxy_auth && !o->proxy_users)
		return true;
	l->users = get_users(l, error, sizeof(error));
	if (!l->users)
		log_error(NULL, "--proxy-users: %s", error);
	else if (o->proxy_users && l->number == 0)
		log_info(NULL, "%zu users in %s", users_count(l->users),
			 o->proxy_users);
	return l->users != NULL;
}

/* 0, or an exit code. */
static int open_lane(struct lanes *all, unsigned int n)
{
	const struct options *o = all->options;
	struct lane *l = &all->at[n];
	int code;

	l->all = all;
	l->number = n;
	l->worker = service_worker(all->service, n);
	if (n == 0)
		code = link_init(&l->link, l->worker, o, false, all->ops,
				 all->ctx);
	else
		code = link_init(&l->link, l->worker, o, true, &spare_ops, l);
	all->count++;
	if (!code && !load_users(l))
		code = reason_exit(REASON_USAGE);
	sessions_init(&l->sessions, l->worker, &sessions_ops, l);
	l->sessions.asks.timeout_ms = o->connect_timeout_ms;
	l->sessions.keepalive_s = o->tcp_keepalive_s;
	l->sessions.logins.users = l->users;
	return code;
}

int lanes_open(struct lanes *all, struct service *s, const struct options *o,
	       const struct link_ops *ops, void *ctx)
{
	int code = 0;

	all->service = s;
	all->options = o;
	all->ops = ops;
	all->ctx = ctx;
	all->at = calloc(s->count, sizeof(*all->at));
	if (!all->at) {
		log_error(NULL, "cannot start: out of memory");
		return reason_exit(REASON_INTERNAL);
	}
	for (unsigned int i = 0; i < s->count && !code; i++)
		code = open_lane(all, i);
	return code;
}

void lanes_start(struct lanes *all)
{
	link_start(&all->at[0].link);
}

void lanes_free(struct lanes *all)
{
	for (unsigned int i = 0; i < all->count; i++) {
		link_free(&all->at[i].link);
		users_free(all->at[i].users);
	}
	free(all->at);
}
