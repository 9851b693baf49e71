/* SPDX-License-Identifier: MIT */
#include "modes/origins.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "proto/buf.h"

#include "modes/linger.h"

struct origin {
	struct origin *next, *prev;
	struct origins *all;
	struct end *stream;
	struct addr target;
};

static void forget(struct origin *o)
{
	DL_DELETE(o->all->first, o);
	o->all->count--;
	free(o);
}

static void close_one(struct origin *o, bool eof)
{
	struct lingers *lingers = o->all->lingers;
	struct end *stream = o->stream;

	forget(o);
	linger_start(lingers, stream, eof);
}

static void on_data(struct end *e, struct bufq *q)
{
	bufq_clear(q);
	close_one(e->user, false);
}

static void on_eof(struct end *e)
{
	close_one(e->user, true);
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	(void)why;
	(void)detail;
	forget(e->user);
}

/* Of the request that it has carried. */
static void on_size(struct end *e, size_t n)
{
	(void)e;
	(void)n;
}

static const struct end_events events = {
	.data = on_data,
	.sent = on_size,
	.ready = on_size,
	.eof = on_eof,
	.dead = on_dead,
};

void origins_put(struct origins *all, struct end *stream,
		 const struct addr *target)
{
	struct origin *o = calloc(1, sizeof(*o));

	if (!o) {
		end_drop(stream, REASON_NO_MEMORY);
		return;
	}
	if (all->count == ORIGINS_MAX)
		close_one(all->first, false);
	o->all = all;
	o->stream = stream;
	o->target = *target;
	DL_APPEND(all->first, o);
	all->count++;
	end_use(stream, &events, o);
	end_read(stream, 1);
}

static bool same(const struct addr *a, const struct addr *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

struct end *origins_take(struct origins *all, const struct addr *target)
{
	struct origin *o;
	struct end *stream;

	DL_FOREACH(all->first, o)
	{
		if (!same(&o->target, target))
			continue;
		stream = o->stream;
		forget(o);
		return stream;
	}
	return NULL;
}

void origins_close(struct origins *all)
{
	while (all->first)
		close_one(all->first, false);
}
