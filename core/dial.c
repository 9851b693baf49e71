/* SPDX-License-Identifier: MIT */
#include "core/dial.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn.h"
#include "core/resolve.h"
#include "core/socket.h"
#include "proto/addr.h"
#include "proto/container.h"

#define STAGGER_MS 250 /* RFC 8305 section 5 */

struct dial {
	struct worker *w;
	const struct dial_ops *ops;
	void *ctx;
	struct resolve *resolve; /* RESOLVING */
	struct deadline limit;   /* of all of it */
	struct deadline stagger; /* until the next attempt */
	char host[HOST_MAX + 1];
	struct sockaddr_storage addrs[RESOLVE_MAX];
	int n, next;
	struct end *attempts[RESOLVE_MAX]; /* NULL: not begun, or failed */
	int running;
	enum reason why; /* of the first failure */
};

/* Everything that could still call back. */
static void dial_release(struct dial *d)
{
	if (d->resolve)
		resolve_drop(d->resolve);
	deadline_clear(&d->limit);
	deadline_clear(&d->stagger);
	for (int i = 0; i < d->n; i++)
		if (d->attempts[i])
			end_drop(d->attempts[i], REASON_DONE);
	free(d);
}

void dial_drop(struct dial *d)
{
	dial_release(d);
}

/* Calls up. */
static void dial_done(struct dial *d, struct end *conn, enum reason why)
{
	const struct dial_ops *ops = d->ops;
	void *ctx = d->ctx;

	dial_release(d);
	ops->done(ctx, conn, why);
}

/* An address that may not be dialled is the reason only if none may. */
static void note_failure(struct dial *d, enum reason why)
{
	if (d->why == REASON_DONE || d->why == REASON_FORBIDDEN)
		d->why = why;
}

static bool dial_next(struct dial *d);

/* One attempt less: is there another one, or is this the end? Calls up. */
static void go_on(struct dial *d)
{
	if (dial_next(d) || d->running)
		return;
	dial_done(d, NULL, d->why);
}

static int index_of(const struct dial *d, const struct end *e)
{
	for (int i = 0; i < d->n; i++)
		if (d->attempts[i] == e)
			return i;
	return 0;
}

static void on_opened(struct end *e, const char *bound)
{
	struct dial *d = e->user;

	(void)bound;
	d->attempts[index_of(d, e)] = NULL;
	dial_done(d, e, REASON_DONE);
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	struct dial *d = e->user;

	(void)detail;
	d->attempts[index_of(d, e)] = NULL;
	d->running--;
	note_failure(d, why);
	go_on(d);
}

static const struct end_events attempt_events = {
	.opened = on_opened,
	.dead = on_dead,
};

static void on_stagger(struct deadline *s)
{
	struct dial *d = container_of(s, struct dial, stagger);

	go_on(d);
}

/* Begin the next attempt that may be made. False: there is none. */
static bool dial_next(struct dial *d)
{
	int err;

	while (d->next < d->n) {
		int i = d->next++;
		const struct sockaddr *sa = (struct sockaddr *)&d->addrs[i];

		if (d->ops->allow && !d->ops->allow(d->ctx, d->host, sa)) {
			note_failure(d, REASON_FORBIDDEN);
			continue;
		}
		d->attempts[i] = conn_dial(d->w, sa, &attempt_events, d, &err);
		if (!d->attempts[i]) {
			note_failure(d, socket_reason(err));
			continue;
		}
		d->running++;
		if (d->next < d->n)
			deadline_set(d->w, &d->stagger, STAGGER_MS, on_stagger);
		return true;
	}
	return false;
}

static void on_resolved(void *ctx, enum reason why,
			const struct sockaddr_storage *addrs, int n)
{
	struct dial *d = ctx;

	d->resolve = NULL;
	note_failure(d, why);
	memcpy(d->addrs, addrs, (size_t)n * sizeof(*addrs));
	d->n = n;
	go_on(d);
}

static void on_limit(struct deadline *l)
{
	dial_done(container_of(l, struct dial, limit), NULL, REASON_TIMED_OUT);
}

struct dial *dial_start(struct worker *w, const char *host, uint16_t port,
			uint64_t ms, const struct dial_ops *ops, void *ctx)
{
	struct dial *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	assert(strlen(host) < sizeof(d->host));
	strcpy(d->host, host);
	d->w = w;
	d->ops = ops;
	d->ctx = ctx;
	d->resolve = resolve_start(w, host, port, on_resolved, d);
	if (!d->resolve) {
		free(d);
		return NULL;
	}
	deadline_set(w, &d->limit, ms, on_limit);
	return d;
}
