// SPDX-License-Identifier: MIT
#include "test/bench/duplex.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SMALL_BUFFER = 16 << 10 };
#define BACK UINT64_C(0x5bd1e995a5a5a5a5) // the seed of the other direction

/* Of one of many: they send in both directions, so there are twice as many
 * buffers, and all are full (flow.h says why that matters). */
static void small_buffer(const struct flow *f)
{
	if (f->many)
		setsockopt(f->fd, SOL_SOCKET, SO_SNDBUF, &(int){SMALL_BUFFER},
			   sizeof(int));
}

void duplex_ask(struct duplex *d, uint64_t down, uint8_t order[FLOW_ORDER])
{
	d->take = (struct flow){
		.fd = d->send.fd, .n = down, .seed = d->send.seed ^ BACK};
	small_buffer(&d->send);
	flow_order_put(&d->send, order);
	order[0] = 'b';
	memcpy(order + 2, &down, 6);
}

bool duplex_answer(struct duplex *d, int fd, const uint8_t order[FLOW_ORDER])
{
	*d = (struct duplex){.send.fd = fd, .take.fd = fd};
	flow_order_get(&d->take, order);
	d->take.up = false; // done behind the end, not with the last byte
	memcpy(&d->send.n, order + 2, 6);
	d->send.seed = d->take.seed ^ BACK;
	d->send.many = d->take.many;
	small_buffer(&d->send);
	return order[0] == 'b';
}

uint32_t duplex_events(const struct duplex *d)
{
	bool out = !d->sent && !d->broken;

	return (d->taken ? 0 : EPOLLIN) | (out ? EPOLLOUT : 0);
}

static void step_send(struct duplex *d, struct block *b)
{
	switch (flow_send(&d->send, b)) {
	case FLOW_DONE:
		d->sent = true;
		d->broken = shutdown(d->send.fd, SHUT_WR) != 0;
		break;
	case FLOW_FAILED:
		d->broken = true;
		break;
	default:
		break;
	}
}

/* Sending may have fetched the error: then the end is none. */
static enum flow_state step_take(struct duplex *d, struct block *b,
				 struct tally *t)
{
	uint64_t before = d->take.off;
	enum flow_state s = flow_take(&d->take, b);

	t->bytes += d->take.off - before;
	if (s == FLOW_DONE)
		d->taken = true;
	return s == FLOW_TRUNCATED && d->broken ? FLOW_FAILED : s;
}

static enum flow_state step(struct duplex *d, uint32_t events, struct block *b,
			    struct tally *t)
{
	uint32_t bad = events & (EPOLLERR | EPOLLHUP);
	enum flow_state s = FLOW_DONE;

	if (!d->sent && !d->broken && (events & EPOLLOUT || bad))
		step_send(d, b);
	if (!d->taken && (events & EPOLLIN || bad))
		s = step_take(d, b, t);
	if (s != FLOW_DONE && s != FLOW_MORE)
		return s;
	if (d->taken && d->broken)
		return FLOW_FAILED;
	return d->taken && d->sent ? FLOW_DONE : FLOW_MORE;
}

enum flow_state duplex_step(struct duplex *d, uint32_t events, struct block *b,
			    struct tally *t)
{
	enum flow_state s = step(d, events, b, t);

	switch (s) {
	case FLOW_MORE:
		return s;
	case FLOW_DONE:
		reset_at_close(d->take.fd, false);
		t->done++;
		break;
	case FLOW_TRUNCATED:
		t->truncated++;
		break;
	case FLOW_CORRUPT:
		t->corrupt++;
		break;
	case FLOW_FAILED:
		t->reset++;
		break;
	}
	if (s == FLOW_TRUNCATED || s == FLOW_CORRUPT)
		fprintf(stderr, "%s: seed %llx, %llu of %llu bytes\n",
			s == FLOW_CORRUPT ? "corrupt" : "truncated",
			(unsigned long long)d->take.seed,
			(unsigned long long)d->take.off,
			(unsigned long long)d->take.n);
	close(d->take.fd);
	return s;
}

void tally_print(const struct tally *t, int refused, int open)
{
	printf("{\"opened\": %d, \"done\": %d, \"reset\": %d, "
	       "\"truncated\": %d, \"corrupt\": %d, \"refused\": %d, "
	       "\"open\": %d, \"bytes\": %llu}\n",
	       t->opened, t->done, t->reset, t->truncated, t->corrupt, refused,
	       open, (unsigned long long)t->bytes);
	fflush(stdout);
}
