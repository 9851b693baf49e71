// SPDX-License-Identifier: MIT
/* load duplex: slots for streams, each with a duplex (duplex.h). A stream that
 * has ended, however, makes room for the next one until the line "stop" or the
 * end of stdin; then those that are left come to their end. With --once there
 * is one for each slot, and they begin when all are open. Any other line is
 * answered with the tally so far, and so is the end. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "test/bench/duplex.h"
#include "test/bench/load.h"

enum { EVENTS = 64, TICK_MS = 20, OPENS = 8, LINE = 64 };
#define RETRY 0.02

struct slot {
	struct duplex d;
	int fd; // -1: none
	uint32_t events;
	double retry; // not before
};

struct slots {
	const struct task *task;
	struct slot *at;
	int n, open, refused;
	int set;
	bool stop;
	uint64_t random;
	struct tally tally;
	double moved; // when something did
};

/* xorshift64* */
static uint64_t chance(struct slots *s)
{
	s->random ^= s->random >> 12;
	s->random ^= s->random << 25;
	s->random ^= s->random >> 27;
	return s->random * UINT64_C(2685821657736338717);
}

/* Sizes of all kinds up to the one that was asked for. */
static uint64_t size(struct slots *s)
{
	uint64_t most = s->task->bytes, r = chance(s);

	if (s->task->once)
		return most;
	if (r >> 61 == 0 && most > 1000)
		most = 1000;
	return r % (most + 1);
}

static void watch(struct slots *s, struct slot *slot, int op)
{
	struct epoll_event e = {.events = duplex_events(&slot->d),
				.data.ptr = slot};

	slot->events = e.events;
	if (epoll_ctl(s->set, op, slot->fd, &e))
		die("epoll_ctl");
}

static void slot_close(struct slots *s, struct slot *slot)
{
	slot->fd = -1;
	slot->retry = 0;
	s->open--;
}

/* Its order goes out; from then on it moves. */
static void slot_start(struct slots *s, struct slot *slot)
{
	uint8_t order[FLOW_ORDER];

	slot->d = (struct duplex){.send = {.fd = slot->fd,
					   .many = s->n > FLOW_MANY,
					   .n = size(s),
					   .seed = chance(s)}};
	duplex_ask(&slot->d, size(s), order);
	if (!send_all(slot->fd, order, sizeof(order))) {
		s->tally.reset++;
		close(slot->fd);
		slot_close(s, slot);
		return;
	}
	non_blocking(slot->fd, true);
	watch(s, slot, EPOLL_CTL_ADD);
}

static bool slot_open(struct slots *s, struct slot *slot)
{
	slot->fd = way_open(s->task);
	slot->retry = now() + RETRY;
	if (slot->fd < 0) {
		s->refused++;
		return false;
	}
	s->tally.opened++;
	s->open++;
	s->moved = now();
	return true;
}

/* A few at a time: those that are open want to move. */
static void open_more(struct slots *s)
{
	int opened = 0;

	for (int i = 0; i < s->n && opened < OPENS && !s->stop; i++) {
		struct slot *slot = &s->at[i];
		if (slot->fd >= 0 || slot->retry > now())
			continue;
		opened++;
		if (!slot_open(s, slot))
			return;
		slot_start(s, slot);
	}
}

static void open_all(struct slots *s)
{
	for (int i = 0; i < s->n; i++)
		slot_open(s, &s->at[i]);
	for (int i = 0; i < s->n; i++)
		if (s->at[i].fd >= 0)
			slot_start(s, &s->at[i]);
	s->stop = true;
}

static void on_line(struct slots *s)
{
	char line[LINE];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (n <= 0 || strncmp(line, "stop", 4) == 0) {
		s->stop = true;
		epoll_ctl(s->set, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
		return;
	}
	for (ssize_t i = 0; i < n; i++)
		if (line[i] == '\n')
			tally_print(&s->tally, s->refused, s->open);
}

static void on_event(struct slots *s, const struct epoll_event *e,
		     struct block *b)
{
	struct slot *slot = e->data.ptr;

	if (!slot) {
		on_line(s);
		return;
	}
	s->moved = now();
	if (duplex_step(&slot->d, e->events, b, &s->tally) != FLOW_MORE)
		slot_close(s, slot);
	else if (slot->events != duplex_events(&slot->d))
		watch(s, slot, EPOLL_CTL_MOD);
}

static void slots_run(struct slots *s)
{
	struct epoll_event e[EVENTS];
	struct block b;

	block_init(&b);
	s->moved = now();
	while (!s->stop || s->open) {
		int n = epoll_wait(s->set, e, EVENTS, TICK_MS);
		for (int i = 0; i < n; i++)
			on_event(s, &e[i], &b);
		open_more(s);
		if (s->stop && now() - s->moved > s->task->timeout)
			break;
	}
	free(b.read);
	free(b.expect);
}

int run_duplex(const struct task *t)
{
	struct slots s = {.task = t, .n = t->streams};
	struct epoll_event in = {.events = EPOLLIN};

	s.at = calloc((size_t)s.n, sizeof(*s.at));
	s.set = epoll_create1(EPOLL_CLOEXEC);
	s.random = (uint64_t)(now() * 1e6) ^ ((uint64_t)getpid() << 40);
	if (!s.at || s.set < 0)
		die("duplex");
	for (int i = 0; i < s.n; i++)
		s.at[i].fd = -1;
	/* what stdin cannot be waited for is never read */
	epoll_ctl(s.set, EPOLL_CTL_ADD, STDIN_FILENO, &in);
	if (t->once)
		open_all(&s);
	slots_run(&s);
	tally_print(&s.tally, s.refused, s.open);
	close(s.set);
	free(s.at);
	return s.open || s.tally.truncated || s.tally.corrupt;
}
