// SPDX-License-Identifier: MIT
/* load target: what all the measured ways lead to.
 *
 * The first byte of a connection says what it is: an order for a flow (flow.h)
 * or a duplex, the beginning of a GET, or else of bytes that come back. Flows
 * live in a thread of their own, so that an echo waits for none of them. */
#include "test/bench/load.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/bench/duplex.h"

enum { EVENTS = 64, HEAD = 4096 };

struct conn {
	struct flow flow;
	struct duplex *duplex; // instead
	uint32_t events;       // of it
	bool echo;
	bool wrong;  // an upload with a wrong byte
	size_t have; // of head
	char head[HEAD];
};

static int small = -1, bulk = -1; // epoll descriptors
static bool killed_resets;
static struct tally tally; // of duplexes
static _Atomic int duplexes;

static void conn_free(struct conn *c)
{
	if (killed_resets)
		reset_at_close(c->flow.fd, false);
	close(c->flow.fd);
	free(c);
}

static void watch(int set, int fd, void *p, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = p};

	if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &e))
		die("epoll_ctl");
}

static void take_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof(*c));
		if (!c)
			die("calloc");
		no_delay(fd);
		c->flow.fd = fd;
		watch(small, fd, c, EPOLLIN);
	}
}

/* Small things fit into the socket's buffer. */
static bool put(int fd, const void *p, size_t n)
{
	return send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* False at the end of c. */
static bool http(struct conn *c)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
				     "Connection: close\r\n\r\nx";

	if (!memmem(c->head, c->have, "\r\n\r\n", 4))
		return c->have < HEAD;
	put(c->flow.fd, answer, sizeof(answer) - 1);
	return false;
}

static bool order_duplex(struct conn *c)
{
	c->duplex = calloc(1, sizeof(*c->duplex));
	if (!c->duplex)
		die("calloc");
	duplex_answer(c->duplex, c->flow.fd, (uint8_t *)c->head);
	c->events = duplex_events(c->duplex);
	tally.opened++;
	duplexes++;
	epoll_ctl(small, EPOLL_CTL_DEL, c->flow.fd, NULL);
	watch(bulk, c->flow.fd, c, c->events);
	return true;
}

static bool order(struct conn *c)
{
	if (c->have < FLOW_ORDER)
		return true;
	if (c->head[0] == 'b')
		return order_duplex(c);
	if (!flow_order_get(&c->flow, (uint8_t *)c->head))
		return false;
	flow_small_buffer(&c->flow);
	epoll_ctl(small, EPOLL_CTL_DEL, c->flow.fd, NULL);
	watch(bulk, c->flow.fd, c, c->flow.up ? EPOLLIN : EPOLLOUT);
	return true;
}

/* How much of what comes next is still ours: an upload follows its order. */
static size_t room(const struct conn *c)
{
	if (c->echo || !c->have)
		return c->echo ? HEAD : 1;
	if (c->head[0] == 'G')
		return HEAD - c->have;
	return FLOW_ORDER - c->have;
}

static bool on_small(struct conn *c)
{
	ssize_t k = recv(c->flow.fd, c->head + c->have, room(c), 0);

	if (k < 0 && errno == EAGAIN)
		return true;
	if (k == 0 && killed_resets && !c->echo)
		tally.truncated++; // a clean end of what is no order yet
	if (k <= 0)
		return false;
	c->have += (size_t)k;
	if (!c->echo && c->head[0] && strchr("dub", c->head[0]))
		return order(c);
	if (!c->echo && c->head[0] == 'G')
		return http(c);
	c->echo = true;
	c->have = 0;
	return put(c->flow.fd, c->head, (size_t)k);
}

/* What follows a wrong byte is taken and thrown away until the client, which
 * has been told, ends it: a reset could overtake the answer. */
static bool drained(struct conn *c, struct block *b)
{
	ssize_t k = recv(c->flow.fd, b->read, FLOW_READ, 0);

	return k == 0 || (k < 0 && errno != EAGAIN);
}

static void on_duplex(struct conn *c, uint32_t events, struct block *b)
{
	struct epoll_event e = {.data.ptr = c};

	if (duplex_step(c->duplex, events, b, &tally) != FLOW_MORE) {
		duplexes--;
		free(c->duplex);
		free(c);
		return;
	}
	e.events = duplex_events(c->duplex);
	if (e.events != c->events &&
	    epoll_ctl(bulk, EPOLL_CTL_MOD, c->flow.fd, &e))
		die("epoll_ctl");
	c->events = e.events;
}

static void on_flow(struct conn *c, struct block *b)
{
	struct flow *f = &c->flow;
	enum flow_state s;
	uint8_t answer[FLOW_ANSWER];

	if (c->wrong) {
		if (drained(c, b))
			conn_free(c);
		return;
	}
	s = f->up ? flow_take(f, b) : flow_send(f, b);
	if (s == FLOW_MORE)
		return;
	if (f->up && (s == FLOW_DONE || s == FLOW_CORRUPT)) {
		flow_answer_put(s == FLOW_DONE, f->off, answer);
		put(f->fd, answer, sizeof(answer));
		c->wrong = s == FLOW_CORRUPT;
	}
	if (!c->wrong)
		conn_free(c);
}

static void *flows(void *unused)
{
	struct epoll_event e[EVENTS];
	struct block b;

	block_init(&b);
	for (;;) {
		int n = epoll_wait(bulk, e, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			struct conn *c = e[i].data.ptr;
			if (c->duplex)
				on_duplex(c, e[i].events, &b);
			else
				on_flow(c, &b);
		}
	}
	return unused;
}

/* Each line of stdin is answered with the tally; its end is that of the test.
 */
static void *answer_lines(void *unused)
{
	int c;

	(void)unused;
	while ((c = getchar()) != EOF)
		if (c == '\n')
			tally_print(&tally, 0, duplexes);
	_exit(0);
}

int target(int port, bool reset)
{
	struct epoll_event e[EVENTS];
	int listener = listen_on(port);
	pthread_t thread, answers;

	killed_resets = reset;
	reset_at_close(listener, reset);
	more_files();
	small = epoll_create1(EPOLL_CLOEXEC);
	bulk = epoll_create1(EPOLL_CLOEXEC);
	if (pthread_create(&thread, NULL, flows, NULL) ||
	    (reset && pthread_create(&answers, NULL, answer_lines, NULL)))
		die("pthread_create");
	non_blocking(listener, true);
	watch(small, listener, NULL, EPOLLIN);
	printf("%d\n", port_of(listener));
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(small, e, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			struct conn *c = e[i].data.ptr;
			if (!c)
				take_all(listener);
			else if (!on_small(c))
				conn_free(c);
		}
	}
}
