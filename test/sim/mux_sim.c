/* SPDX-License-Identifier: MIT */
/*
 * mux_sim [SEED [STEPS [RUNS]]]
 *
 * Two muxes, joined by two pipes that hold messages and deliver them in pieces
 * of any size, on a virtual clock. Random users open streams, send, finish,
 * stop reading, drop. A small model knows what each must see:
 *
 *	- the bytes that arrive are a prefix of those that were sent (P1)
 *	- a clean end comes after the last byte and only if there was one (P2)
 *	- a stream dies only if somebody dropped or refused it
 *	- no window is overrun, no budget exceeded, nothing stalls, all memory
 *	  comes back
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/mux.h"

#define PAIRS    24    /* streams at a time */
#define KEYS     65535 /* streams in a run, one target port each */
#define SEND_MAX (200 * 1024)
#define QUIET    200000 /* steps after which silence is a stall */

#define check(cond)                           \
	do {                                  \
		if (!(cond))                  \
			die(#cond, __LINE__); \
	} while (0)

struct message {
	struct message *next;
	size_t len, off;
	uint8_t bytes[];
};

struct side {
	struct mux *mux;
	struct bufpool pool;
	struct budget budget;
	struct pace pace;
	struct message *first, **last; /* on their way to the other side */
};

/* One end of a stream, and what the model knows of it. */
struct user {
	struct pair *pair;
	struct end *e; /* NULL: not there, or gone */
	int dir;       /* 0: opened it */
	uint64_t sent, received, left;
	size_t room;
	bool reading, fin, eof, flushed, opened, gone;
	bool aside; /* takes what lies there */
};

struct pair {
	struct user user[2];
	uint32_t key;
	bool used;
	bool dropped; /* by a user: death is allowed */
	bool offered; /* the acceptor has not answered yet */
};

static struct side sides[2];
static struct pair pairs[PAIRS]; /* by key modulo PAIRS */
static uint64_t seed, state, now, step_no;
static uint32_t next_key;

static void die(const char *what, int line)
{
	fprintf(stderr,
		"mux_sim: seed %" PRIu64 ", step %" PRIu64 ": line %d: %s\n",
		seed, step_no, line, what);
	exit(1);
}

/* xorshift64* */
static uint64_t rnd(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 2685821657736338717u;
}

static size_t below(size_t n)
{
	return (size_t)((rnd() >> 16) % n);
}

/* The byte at this place of this direction: no two places look alike. */
static uint8_t pattern(uint32_t key, int dir, uint64_t at)
{
	uint64_t x = (key * 2 + (uint32_t)dir + 1) * 0x9e3779b97f4a7c15u + at;

	return (uint8_t)((x * 0xd6e8feb86659fd93u) >> 56);
}

/* Bytes aside: of a pipe, there. */
struct well {
	struct aside aside;
	const uint8_t *p;
	struct buf b;
	uint8_t head[BUF_HEADROOM];
};

static bool fetch(struct aside *a, uint8_t *p)
{
	struct well *w = (struct well *)a;

	memcpy(p, w->p, a->n);
	a->n = 0;
	return true;
}

static struct buf *well_fill(struct well *w, const uint8_t *p, size_t n)
{
	w->aside = (struct aside){.n = n, .fetch = fetch};
	w->p = p;
	w->b = (struct buf){
		.data = w->head,
		.off = BUF_HEADROOM,
		.len = (uint32_t)n,
		.cap = BUF_HEADROOM,
		.aside = &w->aside,
	};
	return &w->b;
}

/* The events. */

static void on_opened(struct end *e, const char *bound)
{
	struct user *u = e->user;

	check(u->dir == 0 && !u->opened);
	check(bound && strcmp(bound, "10.0.0.1:99") == 0);
	u->opened = true;
}

static void on_data(struct end *e, struct bufq *q)
{
	struct user *u = e->user;
	struct user *other = &u->pair->user[!u->dir];
	struct buf *b;

	check(u->reading && !u->eof);
	while ((b = bufq_get(q))) {
		check(!b->aside || u->aside);
		b = buf_own(b, &sides[u->dir].pool);
		check(b != NULL);
		for (uint32_t i = 0; i < b->len; i++)
			check(buf_ptr(b)[i] == pattern(u->pair->key, other->dir,
						       u->received + i));
		u->received += b->len;
		buf_free(b);
	}
	check(u->received <= other->sent);
	if (below(8) == 0) {
		u->reading = false;
		end_read(e, 0);
	}
}

static void on_sent(struct end *e, size_t n)
{
	(void)e;
	(void)n;
}

static void on_ready(struct end *e, size_t n)
{
	struct user *u = e->user;

	check(n > 0);
	u->room = n;
}

static void on_eof(struct end *e)
{
	struct user *u = e->user;
	struct user *other = &u->pair->user[!u->dir];

	check(u->reading && !u->eof);
	check(other->fin && u->received == other->sent);
	u->eof = true;
}

static void on_flushed(struct end *e)
{
	struct user *u = e->user;

	check(u->fin && !u->flushed);
	u->flushed = true;
}

static void on_dead(struct end *e, enum reason why, const char *detail)
{
	struct user *u = e->user;

	(void)detail;
	/* the acceptor had no budget for it */
	if (why == REASON_LIMIT && u->dir == 0 && !u->opened)
		u->pair->dropped = true;
	check(u->pair->dropped);
	check(why != REASON_PROTOCOL && why != REASON_NO_MEMORY);
	u->e = NULL;
	u->gone = true;
}

static const struct end_events events = {
	.opened = on_opened,
	.data = on_data,
	.sent = on_sent,
	.ready = on_ready,
	.eof = on_eof,
	.flushed = on_flushed,
	.dead = on_dead,
};

static void on_wake(void *ctx)
{
	(void)ctx;
}

static bool do_pull(struct side *s);

/* Sometimes the channel is full. */
static void on_hurry(void *ctx)
{
	if (below(2))
		do_pull(ctx);
}

static void use_aside(struct user *u)
{
	u->aside = below(2);
	if (u->aside)
		end_give_aside(u->e);
}

static void on_open(void *ctx, struct end *e, const struct addr *target)
{
	struct side *s = ctx;
	struct pair *p = &pairs[target->port % PAIRS];
	struct user *u = &p->user[1];

	check(s == &sides[1] && strcmp(target->host, "target") == 0);
	if (!p->used || p->key != target->port) { /* its opener has gone */
		check(target->port < next_key);
		stream_refuse(e, REASON_REFUSED);
		return;
	}
	check(!u->e);
	u->e = e;
	p->offered = true;
	end_use(e, &events, u);
	use_aside(u);
}

/* As often as not. It will be pulled, since everything is. */
static bool on_takes(void *ctx)
{
	(void)ctx;
	return below(2);
}

static const struct mux_ops ops = {
	.wake = on_wake,
	.hurry = on_hurry,
	.takes = on_takes,
	.open = on_open,
};

/* What users do. */

static void do_open(void)
{
	struct addr target;
	struct pair *p = &pairs[next_key % PAIRS];
	enum reason why;

	if (next_key == KEYS)
		return;
	if (p->used) { /* another slot, next time */
		next_key++;
		return;
	}
	memset(p, 0, sizeof(*p));
	p->key = next_key++;
	for (int d = 0; d < 2; d++) {
		p->user[d].pair = p;
		p->user[d].dir = d;
		p->user[d].room = 1;
	}
	snprintf(target.host, sizeof(target.host), "target");
	target.port = (uint16_t)p->key;
	p->user[0].e =
		mux_open(sides[0].mux, &target, &events, &p->user[0], &why);
	check(p->user[0].e || why == REASON_LIMIT);
	p->used = p->user[0].e != NULL;
	if (p->used)
		use_aside(&p->user[0]);
}

static void do_answer(struct pair *p)
{
	struct user *u = &p->user[1];

	p->offered = false;
	if (below(10)) {
		stream_accept(u->e, "10.0.0.1:99");
		return;
	}
	p->dropped = true;
	u->gone = true;
	stream_refuse(u->e, REASON_REFUSED);
	u->e = NULL;
}

/* Whether the n bytes of b were sent as bytes aside, which stay if now is not
 * the time. */
static bool send_aside(struct user *u, const struct buf *b, size_t n)
{
	struct well w;
	struct bufq q;

	if (!end_takes_aside(u->e) || below(2))
		return false;
	if (!end_aside_now(u->e)) {
		u->room = 0;
		return true;
	}
	bufq_init(&q);
	bufq_put(&q, well_fill(&w, buf_ptr(b), n));
	u->sent += n;
	u->room = end_send(u->e, &q);
	return true;
}

static void do_send(struct user *u)
{
	size_t n = 1 + below(below(4) ? 2000 : SEND_MAX);
	struct side *s = &sides[u->dir];
	struct bufq q;
	struct buf *b;

	if (u->fin || u->room == 0)
		return;
	b = buf_new(&s->pool, n);
	check(b != NULL);
	for (size_t i = 0; i < n; i++)
		buf_ptr(b)[i] = pattern(u->pair->key, u->dir, u->sent + i);
	b->len = (uint32_t)n;
	if (send_aside(u, b, n)) {
		buf_free(b);
		return;
	}
	u->sent += n;
	bufq_init(&q);
	bufq_put(&q, b);
	u->room = end_send(u->e, &q);
}

static void do_left(struct user *u)
{
	uint64_t held = u->received - u->left;
	size_t n = held ? 1 + below((size_t)held) : 0;

	if (n && u->e) {
		u->left += n;
		end_left(u->e, n);
	}
}

static void do_drop(struct user *u)
{
	if (!(u->eof && u->flushed))
		u->pair->dropped = true;
	end_drop(u->e, REASON_RESET);
	u->e = NULL;
	u->gone = true;
}

static void do_user(struct user *u)
{
	switch (below(16)) {
	case 0:
		if (!u->fin && below(6) == 0) {
			u->fin = true;
			end_fin(u->e);
		}
		break;
	case 1:
	case 2:
	case 3:
		u->reading = below(4) != 0;
		end_read(u->e, u->reading ? 1 + below(BUF_MAX) : 0);
		break;
	case 4:
		if (below(20) == 0)
			do_drop(u);
		break;
	case 5:
	case 6:
	case 7:
	case 8:
		do_left(u);
		break;
	default:
		do_send(u);
	}
}

/* The pipes. */

static bool do_pull(struct side *s)
{
	struct buf *b = mux_pull(s->mux);
	struct message *m;

	check(mux_error(s->mux) == REASON_DONE);
	if (!b)
		return false;
	check(b->len <= MUX_MESSAGE_MAX && b->off >= 14);
	m = malloc(sizeof(*m) + b->len);
	check(m != NULL);
	m->next = NULL;
	m->len = b->len;
	m->off = 0;
	memcpy(m->bytes, buf_ptr(b), buf_here(b));
	if (b->aside)
		check(b->aside->fetch(b->aside, m->bytes + buf_here(b)));
	buf_free(b);
	*s->last = m;
	s->last = &m->next;
	return true;
}

/* Some bytes arrive at the side to, maybe of several messages. */
static bool do_deliver(struct side *from, struct side *to)
{
	unsigned int pieces = 1 + (unsigned int)below(6);
	uint8_t *spent[8];
	struct well wells[8];
	unsigned int n = 0;
	uint64_t got;

	while (from->first && pieces--) {
		struct message *m = from->first;
		size_t len =
			below(3) ? m->len - m->off : below(m->len - m->off + 1);
		/* memory of its own: what is used after its time is seen */
		uint8_t *p = malloc(len + 1);

		check(p != NULL);
		memcpy(p, m->bytes + m->off, len);
		if (len && mux_passable(to->mux, &got) >= len && below(4)) {
			struct buf *b = well_fill(&wells[n], p, len);

			m->off += len;
			check(mux_pass(to->mux, b, m->off == m->len) ==
			      REASON_DONE);
		} else {
			m->off += len;
			check(mux_input(to->mux, p, len, m->off == m->len) ==
			      REASON_DONE);
		}
		spent[n++] = p;
		if (m->off < m->len)
			continue;
		from->first = m->next;
		if (!from->first)
			from->last = &from->first;
		free(m);
	}
	mux_notify(to->mux);
	while (n)
		free(spent[--n]);
	return true;
}

/* A pair whose both ends are done with is free again. */
static void reap(struct pair *p)
{
	for (int d = 0; d < 2; d++) {
		struct user *u = &p->user[d];

		if (u->e && u->eof && u->flushed) {
			do_left(u);
			do_drop(u);
		}
	}
	if (p->user[0].gone && !p->user[1].e && (p->user[1].gone || p->dropped))
		p->used = false;
}

static void invariants(void)
{
	for (int i = 0; i < 2; i++)
		check(sides[i].budget.used <= sides[i].budget.limit);
}

static void step(void)
{
	struct pair *p = &pairs[below(PAIRS)];
	struct user *u = &p->user[below(2)];

	step_no++;
	now += below(3);
	switch (below(8)) {
	case 0:
		do_open();
		break;
	case 1:
		do_pull(&sides[below(2)]);
		break;
	case 2:
		if (below(2))
			do_deliver(&sides[0], &sides[1]);
		else
			do_deliver(&sides[1], &sides[0]);
		break;
	case 3:
		mux_tick(sides[0].mux, now);
		mux_tick(sides[1].mux, now);
		mux_notify(sides[below(2)].mux);
		break;
	default:
		if (p->used && p->offered && p->user[1].e)
			do_answer(p);
		else if (p->used && u->e)
			do_user(u);
	}
	if (p->used)
		reap(p);
	invariants();
}

static void answer_and_read(struct pair *p)
{
	if (p->used && p->offered && p->user[1].e)
		do_answer(p);
	for (int d = 0; p->used && d < 2; d++) {
		struct user *u = &p->user[d];

		if (!u->e)
			continue;
		u->reading = true;
		end_read(u->e, BUF_MAX);
		do_left(u);
	}
}

static void move_all(void)
{
	while (do_pull(&sides[0]) || do_pull(&sides[1]))
		continue;
	do_deliver(&sides[0], &sides[1]);
	do_deliver(&sides[1], &sides[0]);
	mux_notify(sides[0].mux);
	mux_notify(sides[1].mux);
}

/* Everybody reads: who was told to wait must hear that he may send. */
static void thaw(void)
{
	for (uint64_t n = 0; n < QUIET; n++) {
		bool waits = false;

		step_no++;
		for (int i = 0; i < PAIRS; i++) {
			answer_and_read(&pairs[i]);
			for (int d = 0; pairs[i].used && d < 2; d++) {
				struct user *u = &pairs[i].user[d];

				waits |= u->e && !u->fin && u->room == 0;
			}
		}
		if (!waits)
			return;
		move_all();
	}
	die("nobody says that he may send", __LINE__);
}

/* Everybody reads, finishes, and all of it must come to an end. */
static void settle(void)
{
	for (uint64_t n = 0; n < QUIET; n++) {
		bool left = false;

		step_no++;
		for (int i = 0; i < PAIRS; i++) {
			struct pair *p = &pairs[i];

			answer_and_read(p);
			for (int d = 0; p->used && d < 2; d++) {
				struct user *u = &p->user[d];

				if (!u->e)
					continue;
				if (!u->fin)
					end_fin(u->e);
				u->fin = true;
			}
			if (p->used)
				reap(p);
			left |= p->used;
		}
		if (!left && !sides[0].first && !sides[1].first)
			return;
		move_all();
	}
	die("stalled", __LINE__);
}

static void start(void)
{
	static const size_t limits[] = {256 * 1024, 4 * 1024 * 1024,
					64 * 1024 * 1024};
	uint32_t grant = (uint32_t)(1024 << below(5));

	memset(pairs, 0, sizeof(pairs));
	for (int i = 0; i < 2; i++) {
		struct side *s = &sides[i];
		struct mux_config config = {
			.initiator = i == 0,
			.native = true,
			.grant = grant,
			.credit = grant,
			.max_data = (uint32_t)(4096 << below(9)),
			.budget = &s->budget,
			.pace = &s->pace,
			.pool = &s->pool,
			.aside = below(2),
		};

		memset(s, 0, sizeof(*s));
		bufpool_init(&s->pool);
		s->budget.limit = limits[below(3)];
		s->last = &s->first;
		s->mux = mux_new(&config, &ops, s);
		check(s->mux != NULL);
	}
}

static void finish(void)
{
	for (int i = 0; i < 2; i++) {
		struct side *s = &sides[i];

		check(mux_streams(s->mux) == 0);
		check(s->budget.used == 0 && s->budget.extra == 0);
		mux_free(s->mux);
		check(s->pool.inuse == 0);
		bufpool_done(&s->pool);
	}
}

int main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
	uint64_t steps = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000;
	uint64_t runs = argc > 3 ? strtoull(argv[3], NULL, 10) : 10;

	for (seed = first; seed < first + runs; seed++) {
		state = seed * 0x9e3779b97f4a7c15u | 1;
		step_no = now = 0;
		next_key = 1;
		start();
		for (uint64_t i = 0; i < steps; i++)
			step();
		thaw();
		settle();
		finish();
	}
	printf("mux_sim: %" PRIu64 " runs of %" PRIu64
	       " steps from seed %" PRIu64 ": good\n",
	       runs, steps, first);
	return 0;
}
