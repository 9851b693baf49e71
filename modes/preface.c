/* SPDX-License-Identifier: MIT */
#include "modes/preface.h"

#include <stdlib.h>

#include "proto/buf.h"
#include "proto/proxyproto.h"

struct preface {
	struct end *end;
	struct proxyproto header;
	const struct preface_events *events;
	void *ctx;
};

void preface_drop(struct preface *p, enum reason why)
{
	end_drop(p->end, why);
	free(p);
}

/* Calls up. */
static void fail(struct preface *p, enum reason why, const char *detail)
{
	const struct preface_events *events = p->events;
	void *ctx = p->ctx;

	preface_drop(p, why);
	events->failed(ctx, why, detail);
}

/* Calls up. */
static void finish(struct preface *p)
{
	struct preface done = *p;
	struct addr *from = &done.header.from;

	free(p);
	end_read(done.end, 0);
	done.events->done(done.ctx, done.end, from->host[0] ? from : NULL);
}

/* There are never more bytes than proxyproto_want() has asked for. */
static void on_data(struct end *e, struct bufq *q)
{
	struct preface *p = e->user;
	enum proxyproto_state state = PROXYPROTO_MORE;
	size_t used;
	struct buf *b;

	while ((b = bufq_get(q))) {
		if (state == PROXYPROTO_MORE)
			state = proxyproto_feed(&p->header, buf_ptr(b), b->len,
						&used);
		buf_free(b);
	}
	switch (state) {
	case PROXYPROTO_MORE:
		end_read(e, proxyproto_want(&p->header));
		break;
	case PROXYPROTO_DONE:
		finish(p);
		break;
	case PROXYPROTO_FAILED:
		fail(p, REASON_BAD_REQUEST, "no PROXY header");
		break;
	}
}

static void on_eof(struct end *e)
{
	fail(e->user, REASON_RESET, "the connection ended");
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	struct preface *p = e->user;
	const struct preface_events *events = p->events;
	void *ctx = p->ctx;

	free(p);
	events->failed(ctx, why, detail);
}

/* Nothing is sent. */
static const struct end_events end_events = {
	.data = on_data,
	.eof = on_eof,
	.dead = on_dead,
};

struct preface *preface_open(struct end *e, const struct preface_events *events,
			     void *ctx)
{
	struct preface *p = calloc(1, sizeof(*p));

	if (!p) {
		end_drop(e, REASON_NO_MEMORY);
		return NULL;
	}
	p->end = e;
	p->events = events;
	p->ctx = ctx;
	proxyproto_init(&p->header);
	end_use(e, &end_events, p);
	end_read(e, proxyproto_want(&p->header));
	return p;
}
