/* SPDX-License-Identifier: MIT */
#include "modes/desks.h"

#include <limits.h>
#include <stdlib.h>

#include "core/conn.h"
#include "core/folder.h"
#include "core/handover.h"
#include "core/tls.h"
#include "proto/container.h"

/* What is in force from now on; either may be NULL. */
struct news {
	struct letter letter;
	struct desk *to;
	struct roster *roster;
	struct tls_context *tls;
};

/* A visitor on his way to another desk. */
struct visit {
	struct handover handover;
	struct desk *to;
};

/* On the desk's own thread. */

static void receive(struct desk *d, struct end *e)
{
	if (e && d->all->count > 1)
		log_debug(NULL, "client %s: worker %u", conn_peer(e),
			  d->number + 1);
	visitors_take(&d->visitors, e);
}

static void on_visit(struct handover *h, struct end *e, const char *error)
{
	struct visit *visit = container_of(h, struct visit, handover);
	struct desk *d = visit->to;

	free(visit);
	atomic_fetch_sub(&d->coming, 1);
	if (error && log_limit(&d->full, worker_now(d->visitors.worker)))
		log_warn(NULL, "worker %u: connection refused: %s%s",
			 d->number + 1, error, d->full.more);
	receive(d, e);
}

static void on_news(struct letter *l)
{
	struct news *n = container_of(l, struct news, letter);

	visitors_renew(&n->to->visitors, n->roster, n->tls);
	free(n);
}

static void on_visitor_ended(struct visitors *v)
{
	struct desk *d = container_of(v, struct desk, visitors);

	service_check(d->all->service, d->number);
}

void desk_drain(struct desks *all, unsigned int n)
{
	if (n < all->count)
		visitors_drain(&all->list[n].visitors);
}

bool desk_busy(const struct desks *all, unsigned int n)
{
	return n < all->count && visitors_busy(&all->list[n].visitors);
}

void desk_stop(struct desks *all, unsigned int n, enum reason why)
{
	if (n < all->count)
		visitors_drop(&all->list[n].visitors, why);
}

/* On the first desk's thread. */

/* One visitor's streams may have all descriptors of a desk: others would be
 * refused there for as long as he stays. And letters may come faster than a
 * desk opens them, each with a descriptor of all. */
static bool is_full(struct desk *d)
{
	return worker_is_full(d->visitors.worker, atomic_load(&d->coming));
}

/* NULL: all are full.
 *
 * The kernel's own choice, with SO_REUSEPORT, is a hash: two connections often
 * meet at one worker, and a second server at the same port is not noticed. */
static struct desk *choose(struct desks *all)
{
	struct desk *best = NULL, *d;
	unsigned int fewest = UINT_MAX, n;

	for (unsigned int i = 0; i < all->count && fewest; i++) {
		d = &all->list[(all->next + i) % all->count];
		n = atomic_load(&d->visitors.count);
		if (n < fewest && !is_full(d)) {
			best = d;
			fewest = n;
		}
	}
	if (best)
		all->next = (best->number + 1) % all->count;
	return best;
}

bool desks_send(struct desks *all, int fd, bool local)
{
	struct desk *d = choose(all);
	struct visit *visit = d && d->number ? malloc(sizeof(*visit)) : NULL;

	if (!visit)
		return false;
	*visit = (struct visit){.handover = {.arrived = on_visit}, .to = d};
	atomic_fetch_add(&d->visitors.count, 1);
	atomic_fetch_add(&d->coming, 1);
	if (handover_send(&visit->handover, d->visitors.worker, fd, local))
		return true;
	atomic_fetch_sub(&d->visitors.count, 1);
	atomic_fetch_sub(&d->coming, 1);
	free(visit);
	return false;
}

void desks_take(struct desks *all, struct end *e)
{
	struct desk *first = &all->list[0];

	atomic_fetch_add(&first->visitors.count, 1);
	receive(first, e);
}

/* News. */

static void news_free(struct news *n)
{
	if (!n)
		return;
	roster_free(n->roster);
	tls_context_free(n->tls);
	free(n);
}

static void news_free_all(struct news **all, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		news_free(all[i]);
	free(all);
}

/* A letter for each desk, so that either all get one or none. NULL: no
 * memory. */
static struct news **news_new(struct desks *all)
{
	struct news **list = calloc(all->count, sizeof(struct news *));
	bool good = list;

	for (unsigned int i = 0; good && i < all->count; i++) {
		list[i] = calloc(1, sizeof(*list[i]));
		good = list[i];
		if (good) {
			list[i]->letter.open = on_news;
			list[i]->to = &all->list[i];
		}
	}
	if (good)
		return list;
	if (list)
		news_free_all(list, all->count);
	return NULL;
}

/* Takes list. */
static void news_tell(struct desks *all, struct news **list)
{
	for (unsigned int i = 1; i < all->count; i++)
		if (!worker_post(all->list[i].visitors.worker,
				 &list[i]->letter))
			news_free(list[i]); /* it has ended */
	on_news(&list[0]->letter);
	free(list);
}

const char *desks_renew_roster(struct desks *all, struct roster *r)
{
	struct news **list = news_new(all);

	if (!list)
		return "out of memory";
	for (unsigned int i = 0; i < all->count; i++)
		list[i]->roster = roster_ref(r);
	roster_free(all->roster);
	all->roster = r;
	roster_enforce(r);
	news_tell(all, list);
	return NULL;
}

/* Who was signed by an authority that has gone must not come back with a
 * ticket: with one, certificates are not looked at. */
const char *desks_renew_tls(struct desks *all, const struct tls_config *tls)
{
	struct tls_config config = *tls;
	struct news **list = news_new(all);
	const char *error = NULL;

	if (!list)
		return "out of memory";
	config.like = tls->client_ca ? NULL : all->list[0].visitors.tls;
	for (unsigned int i = 0; i < all->count && !error; i++) {
		list[i]->tls = tls_server_context(&config, &error);
		config.like = list[0]->tls;
	}
	if (error)
		news_free_all(list, all->count);
	else
		news_tell(all, list);
	return error;
}

/* Opening and the end. */

/* 0, or an exit code, and then there is nothing to free. */
static int desk_prepare(struct desk *d, const struct options *o,
			const struct tls_config *tls)
{
	struct visitors *v = &d->visitors;
	struct tls_config config;
	const char *error;

	v->options = o;
	v->folder = d->all->folder;
	v->roster = roster_ref(d->all->roster);
	v->guesses = &d->all->guesses;
	v->ended = on_visitor_ended;
	atomic_init(&v->count, 0);
	atomic_init(&d->coming, 0);
	if (tls) {
		config = *tls;
		config.like = d->all->list[0].visitors.tls;
		v->tls = tls_server_context(&config, &error);
		if (!v->tls) {
			log_error(NULL, "%s", error);
			return reason_exit(REASON_USAGE);
		}
	}
	visitors_init(v);
	return 0;
}

static int desk_open(struct desk *d, const struct tls_config *tls)
{
	struct service *s = d->all->service;
	int code;

	d->visitors.worker = service_worker(s, d->number);
	code = desk_prepare(d, s->options, tls);
	if (code) {
		tls_context_free(d->visitors.tls);
		roster_free(d->visitors.roster);
	}
	return code;
}

int desks_open(struct desks *all, struct service *s,
	       const struct tls_config *tls)
{
	unsigned int n = s->count;
	int code = 0;

	all->service = s;
	if (worker_random(service_worker(s, 0), all->guesses.key,
			  sizeof(all->guesses.key)))
		return reason_exit(REASON_INTERNAL);
	all->list = calloc(n, sizeof(*all->list));
	if (!all->list) {
		log_error(NULL, "cannot start: out of memory");
		return reason_exit(REASON_INTERNAL);
	}
	for (unsigned int i = 0; i < n && !code; i++) {
		all->list[i].all = all;
		all->list[i].number = i;
		code = desk_open(&all->list[i], tls);
		if (!code)
			all->count++;
	}
	return code;
}

void desks_free(struct desks *all)
{
	while (all->count) {
		struct visitors *v = &all->list[--all->count].visitors;

		tls_context_free(v->tls);
		roster_free(v->roster);
	}
	roster_free(all->roster);
	free(all->list);
}
