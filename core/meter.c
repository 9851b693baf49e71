/* SPDX-License-Identifier: MIT */
#include "core/meter.h"

#include <stdlib.h>

#include "proto/buf.h"
#include "proto/container.h"

#define TICK_MS 10  /* one waits so long at least, */
#define LOOK_MS 500 /* and nobody longer: the rate may be another one */

struct meter {
	struct end end;
	struct meters *all;
	struct end *lower;
	struct usage *usage;
	struct meter *next, **prev;
	struct metered *in; /* NULL: does not wait */
	struct flusher flusher;
	struct bufq queue; /* to lower, when the rate allows it */
	size_t max;        /* what the user wants of one read */
	size_t room;       /* what lower takes */
	bool full;         /* send() has returned 0: ready() is due */
	bool fin;          /* fin() was called */
	bool failed;       /* out of memory */
};

static struct meter *meter_of(const struct end *e)
{
	return container_of(e, struct meter, end);
}

/* Lists. */

static void metered_init(struct metered *l)
{
	l->first = NULL;
	l->last = &l->first;
}

static void put(struct metered *l, struct meter *m)
{
	m->next = NULL;
	m->prev = l->last;
	*l->last = m;
	l->last = &m->next;
	m->in = l;
}

static void take_out(struct meter *m)
{
	if (!m->in)
		return;
	*m->prev = m->next;
	if (m->next)
		m->next->prev = m->prev;
	else
		m->in->last = m->prev;
	m->in = NULL;
}

static struct meter *get(struct metered *l)
{
	struct meter *m = l->first;

	if (m)
		take_out(m);
	return m;
}

static void move(struct metered *to, struct metered *from)
{
	struct meter *m;

	while ((m = get(from)))
		put(to, m);
}

/* Waiting. */

static uint64_t wait_ns(const struct meter *m, enum usage_way way)
{
	return usage_wait(m->usage, way, uv_hrtime());
}

/* Would lower take what waits? */
static bool takes(const struct meter *m)
{
	return m->full && m->room;
}

/* Until one direction of m can go on. */
static uint64_t wait_ms(const struct meter *m)
{
	uint64_t up = takes(m) ? wait_ns(m, USAGE_UP) : UINT64_MAX;
	uint64_t down = m->max ? wait_ns(m, USAGE_DOWN) : UINT64_MAX;
	uint64_t ms = (up < down ? up : down) / 1000000 + 1;

	if (ms < TICK_MS)
		return TICK_MS;
	return ms < LOOK_MS ? ms : LOOK_MS;
}

static void on_due(struct deadline *d);

static void set_due(struct meters *all, uint64_t ms)
{
	struct worker *w = all->worker;

	if (!all->due.prev || worker_now(w) + worker_ms(w, ms) < all->due.at)
		deadline_set(w, &all->due, ms, on_due);
}

static void wait_here(struct meter *m)
{
	if (!m->in)
		put(&m->all->waiting, m);
	set_due(m->all, wait_ms(m));
}

/* Life. */

static void meter_free(struct meter *m)
{
	take_out(m);
	flusher_clear(&m->flusher);
	bufq_clear(&m->queue);
	usage_close(m->usage, USAGE_STREAMS);
	usage_free(m->usage);
	free(m);
}

/* lower is gone. Calls up; the user knows us by our address, which must stay
 * until it returns. */
static void meter_dead(struct meter *m, enum reason why, const char *detail)
{
	take_out(m);
	flusher_clear(&m->flusher);
	m->end.events->dead(&m->end, why, detail);
	meter_free(m);
}

static void on_flush(struct flusher *f)
{
	struct meter *m = container_of(f, struct meter, flusher);

	end_drop(m->lower, REASON_NO_MEMORY);
	meter_dead(m, REASON_NO_MEMORY, NULL);
}

/* To the target. */

/* At most n bytes from the front of the queue into piece. */
static void cut(struct meter *m, struct bufq *piece, size_t n)
{
	struct buf *b = m->queue.head;

	if (b->len <= n) {
		bufq_put(piece, bufq_get(&m->queue));
		return;
	}
	b = buf_copy(&m->all->worker->pool, buf_ptr(b), n);
	m->failed |= !b;
	if (!b)
		return;
	bufq_put(piece, b);
	bufq_pull(&m->queue, n);
}

/* Send what may go now. Returns what may follow. */
static size_t pump(struct meter *m)
{
	struct bufq piece;

	while (m->queue.head && m->room && !m->failed &&
	       !wait_ns(m, USAGE_UP)) {
		bufq_init(&piece);
		cut(m, &piece, usage_step(m->usage));
		usage_spend(m->usage, USAGE_UP, piece.bytes, uv_hrtime());
		m->room = end_send(m->lower, &piece);
	}
	if (m->failed)
		worker_flush(m->all->worker, &m->flusher);
	if (m->failed || m->queue.head)
		return 0;
	return wait_ns(m, USAGE_UP) ? 0 : m->room;
}

/* Lower has no room: it will say so. */
static size_t pump_or_wait(struct meter *m)
{
	size_t n = pump(m);

	m->full = n == 0;
	if (m->full && m->room && !m->failed)
		wait_here(m);
	return n;
}

static size_t meter_send(struct end *e, struct bufq *q)
{
	struct meter *m = meter_of(e);
	struct buf *b;

	if (!m->queue.head && usage_step(m->usage) == SIZE_MAX) {
		m->room = end_send(m->lower, q);
		m->full = m->room == 0;
		return m->room;
	}
	while ((b = bufq_get(q)))
		if (!bufq_keep(&m->queue, b, &m->all->worker->pool))
			m->failed = true;
	return pump_or_wait(m);
}

static void meter_fin(struct end *e)
{
	struct meter *m = meter_of(e);

	m->fin = true;
	if (!m->queue.head)
		end_fin(m->lower);
}

/* More can go to lower, or be given to us. Calls up. */
static void go_on(struct meter *m)
{
	bool had = m->queue.head != NULL;
	size_t n = pump_or_wait(m);

	if (m->fin && had && !m->queue.head && !m->failed)
		end_fin(m->lower);
	if (n && !m->fin)
		m->end.events->ready(&m->end, n);
}

/* From the target. */

static void read_lower(struct meter *m)
{
	size_t step = usage_step(m->usage);

	if (m->max && wait_ns(m, USAGE_DOWN)) {
		end_read(m->lower, 0);
		wait_here(m);
	} else {
		end_read(m->lower, m->max < step ? m->max : step);
	}
}

static void meter_read(struct end *e, size_t max)
{
	struct meter *m = meter_of(e);

	m->max = max;
	read_lower(m);
}

static void meter_left(struct end *e, size_t n)
{
	end_left(meter_of(e)->lower, n);
}

static void meter_drop(struct end *e, enum reason why)
{
	struct meter *m = meter_of(e);

	end_drop(m->lower, why);
	meter_free(m);
}

static const struct end_ops meter_ops = {
	.send = meter_send,
	.fin = meter_fin,
	.read = meter_read,
	.left = meter_left,
	.drop = meter_drop,
};

/* From below. */

static void on_data(struct end *e, struct bufq *q)
{
	struct meter *m = e->user;

	usage_spend(m->usage, USAGE_DOWN, q->bytes, uv_hrtime());
	read_lower(m);
	m->end.events->data(&m->end, q);
}

static void on_sent(struct end *e, size_t n)
{
	struct meter *m = e->user;

	m->end.events->sent(&m->end, n);
}

static void on_ready(struct end *e, size_t n)
{
	struct meter *m = e->user;

	m->room = n;
	if (m->full)
		go_on(m);
}

static void on_eof(struct end *e)
{
	struct meter *m = e->user;

	m->max = 0;
	m->end.events->eof(&m->end);
}

static void on_flushed(struct end *e)
{
	struct meter *m = e->user;

	m->end.events->flushed(&m->end);
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	meter_dead(e->user, why, detail);
}

static const struct end_events lower_events = {
	.data = on_data,
	.sent = on_sent,
	.ready = on_ready,
	.eof = on_eof,
	.flushed = on_flushed,
	.dead = on_dead,
};

/* All of them. */

static bool can_go(const struct meter *m)
{
	return (takes(m) && !wait_ns(m, USAGE_UP)) ||
	       (m->max && !wait_ns(m, USAGE_DOWN));
}

/* Calls up. */
static void serve(struct meter *m)
{
	if (m->max)
		read_lower(m);
	if (takes(m))
		go_on(m);
}

/* Who has been served stands behind those who have not, even if it waits again
 * at once. Any of them may go while one is served. */
static void on_due(struct deadline *d)
{
	struct meters *all = container_of(d, struct meters, due);
	struct metered now, kept;
	struct meter *m;
	uint64_t ms, least = UINT64_MAX;

	metered_init(&now);
	metered_init(&kept);
	move(&now, &all->waiting);
	while ((m = get(&now))) {
		if (can_go(m))
			serve(m);
		else if (takes(m) || m->max)
			put(&kept, m);
	}
	move(&kept, &all->waiting);
	move(&all->waiting, &kept);
	for (m = all->waiting.first; m; m = m->next) {
		ms = wait_ms(m);
		least = ms < least ? ms : least;
	}
	if (all->waiting.first)
		set_due(all, least);
}

void meters_init(struct meters *all, struct worker *w)
{
	all->worker = w;
	metered_init(&all->waiting);
}

struct end *meter_open(struct meters *all, struct end *lower, struct usage *u)
{
	struct meter *m = calloc(1, sizeof(*m));
	struct bufq none;

	if (!m)
		return NULL;
	m->end.ops = &meter_ops;
	m->all = all;
	m->lower = lower;
	m->usage = usage_ref(u);
	m->flusher.flush = on_flush;
	bufq_init(&m->queue);
	bufq_init(&none);
	m->room = end_send(lower, &none);
	end_use(lower, &lower_events, m);
	return &m->end;
}
