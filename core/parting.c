/* SPDX-License-Identifier: MIT */
#include "core/parting.h"

#include <stdlib.h>

#include "proto/buf.h"
#include "proto/container.h"

#define PARTING_MS 2000

struct parting {
	struct end *lower;
	struct deadline deadline;
};

static void parting_free(struct parting *l)
{
	deadline_clear(&l->deadline);
	free(l);
}

static void on_data(struct end *e, struct bufq *q)
{
	(void)e;
	bufq_clear(q);
}

static void on_eof(struct end *e)
{
	parting_free(e->user);
	end_drop(e, REASON_DONE);
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	(void)why;
	(void)detail;
	parting_free(e->user);
}

static void on_nothing(struct end *e, size_t n)
{
	(void)e;
	(void)n;
}

static void on_flushed(struct end *e)
{
	(void)e;
}

static const struct end_events events = {
	.data = on_data,
	.sent = on_nothing,
	.ready = on_nothing,
	.flushed = on_flushed,
	.eof = on_eof,
	.dead = on_dead,
};

static void on_over(struct deadline *d)
{
	on_eof(container_of(d, struct parting, deadline)->lower);
}

void parting_start(struct worker *w, struct end *lower)
{
	struct parting *l = calloc(1, sizeof(*l));

	if (!l) {
		end_drop(lower, REASON_NO_MEMORY);
		return;
	}
	l->lower = lower;
	end_use(lower, &events, l);
	end_read(lower, BUF_MAX);
	deadline_set(w, &l->deadline, PARTING_MS, on_over);
}
