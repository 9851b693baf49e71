// SPDX-License-Identifier: MIT
#include "test/bench/load.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 64, TICK_MS = 100 };

static void flow_end(struct bulk *b, struct flow *f, enum flow_state s)
{
	b->ended[s]++;
	close(f->fd);
	f->fd = -1;
}

static void flow_watch(struct bulk *b, struct flow *f, int op, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = f};

	if (epoll_ctl(b->set, op, f->fd, &e))
		die("epoll_ctl");
}

void bulk_open(struct bulk *b, const struct task *t, int n, uint64_t bytes)
{
	*b = (struct bulk){.n = n,
			   .timeout = t->timeout,
			   .set = epoll_create1(EPOLL_CLOEXEC),
			   .flows = calloc((size_t)n, sizeof(struct flow))};
	if (!b->flows || b->set < 0)
		die("bulk_open");
	for (int i = 0; i < n; i++) {
		b->flows[i] = (struct flow){.up = t->up,
					    .many = n > FLOW_MANY,
					    .n = bytes,
					    .seed = (uint64_t)getpid() << 32 |
						    (unsigned)i,
					    .fd = way_open(t)};
		if (b->flows[i].fd < 0)
			b->ended[FLOW_FAILED]++;
	}
	for (int i = 0; i < n; i++) {
		struct flow *f = &b->flows[i];
		uint8_t order[FLOW_ORDER];
		if (f->fd < 0)
			continue;
		flow_order_put(f, order);
		if (!send_all(f->fd, order, sizeof(order))) {
			flow_end(b, f, FLOW_FAILED);
			continue;
		}
		flow_small_buffer(f);
		non_blocking(f->fd, true);
		flow_watch(b, f, EPOLL_CTL_ADD,
			   f->up ? EPOLLOUT | EPOLLIN : EPOLLIN);
	}
}

/* An upload has ended when the target has said what it has seen. */
static enum flow_state answer(struct flow *f)
{
	ssize_t k = read(f->fd, f->small + f->have, FLOW_ANSWER - f->have);
	uint64_t seen;

	if (k <= 0)
		return k == 0 ? FLOW_TRUNCATED : FLOW_FAILED;
	f->have += (size_t)k;
	if (f->have < FLOW_ANSWER)
		return FLOW_MORE;
	memcpy(&seen, f->small + 1, 8);
	return f->small[0] == 'k' && seen == f->n ? FLOW_DONE : FLOW_CORRUPT;
}

/* An answer that comes before the last byte has been sent is a complaint. */
static enum flow_state step(struct bulk *b, struct flow *f, uint32_t events,
			    struct block *block)
{
	enum flow_state s;

	if (!f->up)
		return flow_take(f, block);
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		return answer(f);
	s = flow_send(f, block);
	if (s != FLOW_DONE)
		return s;
	flow_watch(b, f, EPOLL_CTL_MOD, EPOLLIN);
	return FLOW_MORE;
}

static void on_flow(struct bulk *b, struct flow *f, uint32_t events,
		    struct block *block)
{
	uint64_t before = f->off;
	enum flow_state s = step(b, f, events, block);

	if (!f->up && f->off == f->n && before < f->n)
		b->full++;
	if (f->off != before || f->up) {
		b->moved += f->off - before;
		b->last = now();
	}
	if (s == FLOW_MORE)
		return;
	if (!f->up && f->off == f->n)
		b->full--;
	flow_end(b, f, s);
}

static int running(const struct bulk *b)
{
	int ended = 0;

	for (int i = 0; i <= FLOW_FAILED; i++)
		ended += b->ended[i];
	return b->n - ended;
}

static bool enough(const struct bulk *b, double t)
{
	int n = running(b);

	if (b->stop || (b->end > 0 && t > b->end))
		return true;
	return t - b->last > (n == b->full ? END_WAIT : b->timeout);
}

void bulk_run(struct bulk *b)
{
	struct epoll_event e[EVENTS];
	struct block block;

	block_init(&block);
	b->last = now();
	double begin = b->last;
	while (running(b) && !enough(b, now())) {
		while (b->nmarks < MARKS &&
		       now() - begin >= MARK * (b->nmarks + 1))
			b->marks[b->nmarks++] = b->moved;
		int n = epoll_wait(b->set, e, EVENTS, TICK_MS);
		for (int i = 0; i < n; i++)
			on_flow(b, e[i].data.ptr, e[i].events, &block);
	}
	if (running(b) > b->full) // what has stalled has taken until now
		b->last = now();
	free(block.read);
	free(block.expect);
}

void bulk_close(struct bulk *b)
{
	for (int i = 0; i < b->n; i++)
		if (b->flows[i].fd >= 0)
			close(b->flows[i].fd);
	close(b->set);
	free(b->flows);
}
