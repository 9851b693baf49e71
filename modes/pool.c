/* SPDX-License-Identifier: MIT */
#include "modes/pool.h"

#include <string.h>

#include "core/log.h"

#include "proto/container.h"

#define LONG_MS        20 /* a round trip of a long way */
#define REVIEW_MS      30000
#define RETRY_FIRST_MS 250
#define RETRY_MAX_MS   60000
#define STABLE_MS      60000 /* open so long: the next pause is the first again */

#define FOREACH(p, c)                                                         \
	for (struct connection *c = (p)->at; c < (p)->at + CONNECTIONS_SLOTS; \
	     c++)

static bool is_up(const struct connection *c)
{
	return c->uplink && c->state != CONNECTION_DIALLING;
}

static bool is_open(const struct connection *c)
{
	return c->uplink && c->state == CONNECTION_OPEN;
}

static bool is_worn(const struct connection *c)
{
	return c->uplink && c->state == CONNECTION_WORN;
}

/* False: no stream can be opened on it. */
static bool get_load(const struct connection *c, struct tunnel_load *load)
{
	struct tunnel *t = is_up(c) ? uplink_tunnel(c->uplink) : NULL;

	return t && tunnel_load(t, load);
}

static int count(struct pool *p, bool (*is)(const struct connection *c))
{
	int n = 0;

	FOREACH(p, c)
	n += is(c);
	return n;
}

static bool is_coming(const struct connection *c)
{
	return c->uplink && c->state == CONNECTION_DIALLING;
}

/* How many there should be. */

static bool is_long(const struct pool *p)
{
	return p->rtt_ms >= LONG_MS;
}

static bool is_busy(const struct pool *p, const struct tunnel_load *load)
{
	return load->choked || (load->bulk && is_long(p));
}

static int wanted(struct pool *p)
{
	struct tunnel_load load;
	int want = 1;

	if (!p->elastic)
		return p->size;
	FOREACH(p, c)
	want += is_open(c) && get_load(c, &load) && is_busy(p, &load);
	if (p->used && is_long(p) && want < CONNECTIONS_LONG)
		want = CONNECTIONS_LONG;
	return want < p->size ? want : p->size;
}

static void on_retry(struct deadline *d);
static void on_review(struct deadline *d);
static bool dial(struct pool *p);

/* Full jitter, as the link's. */
static void pause_then_retry(struct pool *p)
{
	if (p->pausing)
		return;
	p->pausing = true;
	deadline_set(p->w, &p->retry,
		     worker_below(p->w, (uint32_t)p->pause_ms + 1), on_retry);
	p->pause_ms *= 2;
	if (p->pause_ms > RETRY_MAX_MS)
		p->pause_ms = RETRY_MAX_MS;
}

/* Open what is missing: first those again that were about to leave. */
static void fill(struct pool *p)
{
	int want, have;

	if (p->state != POOL_UP)
		return;
	want = wanted(p);
	have = count(p, is_open) + count(p, is_coming);
	if (p->needed < want)
		p->needed = want;
	FOREACH(p, c)
	if (have < want && is_up(c) && c->state == CONNECTION_LEAVING) {
		c->state = CONNECTION_OPEN;
		have++;
	}
	while (have < want && !p->pausing && dial(p))
		have++;
}

static void on_retry(struct deadline *d)
{
	struct pool *p = container_of(d, struct pool, retry);

	p->pausing = false;
	fill(p);
}

/* That of the open ones which is missed least: no bulk, the fewest streams. */
static struct connection *idlest(struct pool *p)
{
	struct connection *best = NULL;
	struct tunnel_load load, least = {0};

	FOREACH(p, c)
	if (is_open(c) && get_load(c, &load) && !load.bulk &&
	    (!best || load.streams <= least.streams)) {
		best = c;
		least = load;
	}
	return best;
}

static bool is_over(const struct connection *c)
{
	struct tunnel_load load;

	return is_up(c) && c->state != CONNECTION_OPEN && get_load(c, &load) &&
	       load.streams == 0;
}

/* Elastic: the most that were needed since the last time may stay. */
static void shrink(struct pool *p)
{
	struct connection *idle;
	int now, most;

	p->used = false;
	now = wanted(p);
	most = p->needed > now ? p->needed : now;
	while (count(p, is_open) > most && (idle = idlest(p)))
		idle->state = CONNECTION_LEAVING;
	p->needed = now;
}

static void on_review(struct deadline *d)
{
	struct pool *p = container_of(d, struct pool, review);

	if (p->elastic)
		shrink(p);
	FOREACH(p, c)
	if (is_over(c)) {
		uplink_drop(c->uplink, REASON_DONE);
		c->uplink = NULL;
		log_debug(NULL, "one connection less: %d", count(p, is_up));
	}
	if (p->elastic || count(p, is_worn))
		deadline_set(p->w, &p->review, REVIEW_MS, on_review);
}

/* Those that carry no new stream any more, if there is another one. */
static void retire(struct pool *p)
{
	struct tunnel_load load;

	FOREACH(p, c)
	if (is_up(c) && !is_worn(c) && get_load(c, &load) && load.worn) {
		c->state = CONNECTION_WORN;
		log_info(NULL, "the TLS keys of a connection have been used "
			       "much: new streams go to another one");
		if (!p->elastic)
			deadline_set(p->w, &p->review, REVIEW_MS, on_review);
	}
}

/* Connections. */

static void on_up(void *ctx)
{
	struct connection *c = ctx;
	struct pool *p = c->pool;
	uint64_t rtt = uplink_rtt_ms(c->uplink);

	c->state = CONNECTION_OPEN;
	c->since = worker_now(p->w);
	if (p->state == POOL_UP) {
		if (rtt < p->rtt_ms)
			p->rtt_ms = rtt;
		log_debug(NULL, "one more connection: %d", count(p, is_up));
		p->ops->wake(p->ctx);
		return;
	}
	p->state = POOL_UP;
	p->rtt_ms = rtt;
	if (p->elastic)
		deadline_set(p->w, &p->review, REVIEW_MS, on_review);
	fill(p);
	p->ops->up(p->ctx);
}

static void on_open(void *ctx, struct end *e, const struct addr *target)
{
	struct connection *c = ctx;

	c->pool->ops->open(c->pool->ctx, e, target);
}

static void on_load(void *ctx)
{
	struct connection *c = ctx;

	fill(c->pool);
	c->pool->ops->wake(c->pool->ctx);
}

/* One of several. */
static void lost(struct pool *p, const struct connection *c, enum reason why,
		 const char *detail, bool was_up)
{
	if (was_up && worker_since(p->w, c->since) >= STABLE_MS)
		p->pause_ms = RETRY_FIRST_MS;
	if (was_up)
		log_info(NULL, "one connection is down, %d left: %s%s%s",
			 count(p, is_up), reason_text(why), detail ? ": " : "",
			 detail ? detail : "");
	else
		log_debug(NULL, "no further connection: %s%s%s",
			  reason_text(why), detail ? ": " : "",
			  detail ? detail : "");
	pause_then_retry(p);
	fill(p);
}

static void on_down(void *ctx, enum reason why, const char *detail, bool was_up)
{
	struct connection *c = ctx;
	struct pool *p = c->pool;

	c->uplink = NULL;
	if (count(p, is_up)) {
		lost(p, c, why, detail, was_up);
		p->ops->wake(p->ctx);
	} else {
		pool_drop(p, why);
		p->ops->down(p->ctx, why, detail, was_up);
	}
}

static const struct uplink_events uplink_events = {
	.up = on_up,
	.open = on_open,
	.load = on_load,
	.down = on_down,
};

/* False: no memory, or no place. */
static bool dial(struct pool *p)
{
	FOREACH(p, c)
	if (!c->uplink) {
		c->pool = p;
		c->state = CONNECTION_DIALLING;
		c->uplink = uplink_start(p->w, &p->spec, &uplink_events, c);
		if (!c->uplink)
			return false;
		return true;
	}
	return false;
}

/* The pool. */

void pool_init(struct pool *p, struct worker *w, int connections,
	       const struct pool_ops *ops, void *ctx)
{
	memset(p, 0, sizeof(*p));
	p->w = w;
	p->ops = ops;
	p->ctx = ctx;
	p->elastic = connections == 0;
	p->size = p->elastic ? CONNECTIONS_ELASTIC : connections;
	p->pause_ms = RETRY_FIRST_MS;
	p->used = true; /* it soon will be */
}

bool pool_start(struct pool *p, const struct uplink_spec *spec)
{
	p->spec = *spec;
	p->needed = 1;
	if (!dial(p))
		return false;
	p->state = POOL_TRYING;
	return true;
}

void pool_renew(struct pool *p, const char *token, struct tls_context *tls,
		struct tls_context *proxy_tls)
{
	p->spec.token = token;
	p->spec.tls = tls;
	p->spec.proxy_tls = proxy_tls;
}

void pool_drop(struct pool *p, enum reason why)
{
	p->state = POOL_NONE;
	p->pausing = false;
	deadline_clear(&p->retry);
	deadline_clear(&p->review);
	FOREACH(p, c)
	{
		struct uplink *u = c->uplink;

		c->uplink = NULL;
		if (u)
			uplink_drop(u, why);
	}
}

static bool is_lighter(const struct tunnel_load *a, const struct tunnel_load *b)
{
	if (a->choked != b->choked)
		return b->choked;
	if (a->bulk != b->bulk)
		return a->bulk < b->bulk;
	return a->streams < b->streams;
}

/* The one of these with the least to carry, or NULL. */
static struct connection *lightest(struct pool *p,
				   bool (*is)(const struct connection *c),
				   struct tunnel_load *least)
{
	struct connection *best = NULL;
	struct tunnel_load load;

	FOREACH(p, c)
	if (is(c) && get_load(c, &load) &&
	    (!best || is_lighter(&load, least))) {
		best = c;
		*least = load;
	}
	return best;
}

/* Until there is another one, a worn connection is better than none. */
struct tunnel *pool_pick(struct pool *p)
{
	struct tunnel_load least = {0};
	struct connection *best;

	p->used = true;
	retire(p);
	fill(p);
	best = lightest(p, is_open, &least);
	if (!best)
		best = lightest(p, is_worn, &least);
	if (!best || (least.choked && count(p, is_coming)))
		return NULL;
	return uplink_tunnel(best->uplink);
}

bool pool_native(struct pool *p)
{
	FOREACH(p, c)
	if (is_up(c))
		return tunnel_native(uplink_tunnel(c->uplink));
	return false;
}

unsigned int pool_bulk(struct pool *p)
{
	struct tunnel_load load;
	unsigned int n = 0;

	FOREACH(p, c)
	if (!is_long(p) && is_up(c) && get_load(c, &load))
		n += load.bulk;
	return n;
}

bool pool_is_dialling(const struct pool *p)
{
	return p->state == POOL_TRYING && uplink_is_dialling(p->at[0].uplink);
}

void pool_hurry(struct pool *p)
{
	p->pause_ms = RETRY_FIRST_MS;
	if (p->pausing)
		deadline_set(p->w, &p->retry, 0, on_retry);
}

enum netpath_state pool_check(struct pool *p, bool certain)
{
	enum netpath_state state, worst = NETPATH_GOOD;
	bool gone[CONNECTIONS_SLOTS] = {false};
	int left = 0;

	FOREACH(p, c)
	if (c->uplink) {
		state = uplink_path(c->uplink);
		gone[c - p->at] = state == NETPATH_NO_ADDRESS ||
				  (state == NETPATH_NO_ROUTE && certain);
		if (!gone[c - p->at] && state == NETPATH_NO_ROUTE)
			worst = NETPATH_NO_ROUTE;
		left += !gone[c - p->at] && (is_up(c) || p->state != POOL_UP);
	}
	if (!left)
		return p->state == POOL_NONE ? NETPATH_GOOD
					     : NETPATH_NO_ADDRESS;
	FOREACH(p, c)
	if (gone[c - p->at]) {
		bool was_up = is_up(c);

		uplink_drop(c->uplink, REASON_NETWORK);
		c->uplink = NULL;
		lost(p, c, REASON_NETWORK, NULL, was_up);
	}
	return worst;
}
