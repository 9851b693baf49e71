// SPDX-License-Identifier: MIT
#include "test/bench/flow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	PERIOD = 256 << 10, // it stays in a core's cache
	CELL = 4096,
	SMALL_BUFFER = 64 << 10,
};

void die(const char *what)
{
	perror(what);
	exit(1);
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void no_delay(int fd)
{
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

void non_blocking(int fd, bool on)
{
	if (ioctl(fd, FIONBIO, &(int){on}))
		die("ioctl");
}

static struct sockaddr_in local(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

int listen_on(int port)
{
	struct sockaddr_in a = local(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) ||
	    listen(fd, 4096))
		die("listen");
	return fd;
}

int port_of(int fd)
{
	struct sockaddr_in a;

	if (getsockname(fd, (struct sockaddr *)&a, &(socklen_t){sizeof(a)}))
		die("getsockname");
	return ntohs(a.sin_port);
}

void reset_at_close(int fd, bool on)
{
	struct linger l = {.l_onoff = on};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

int dial(int port, bool reset)
{
	struct sockaddr_in a = local(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	reset_at_close(fd, reset);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		return -1;
	}
	no_delay(fd);
	return fd;
}

void more_files(void)
{
	struct rlimit r;

	if (!getrlimit(RLIMIT_NOFILE, &r)) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

void flow_small_buffer(const struct flow *f)
{
	if (f->many)
		setsockopt(f->fd, SOL_SOCKET, SO_SNDBUF, &(int){SMALL_BUFFER},
			   sizeof(int));
}

void block_init(struct block *b)
{
	uint64_t x = 88172645463325252u;

	b->read = malloc(FLOW_READ);
	b->expect = malloc(2 * PERIOD);
	if (!b->read || !b->expect)
		die("malloc");
	for (size_t i = 0; i < PERIOD; i += 8) { // xorshift
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(b->expect + i, &x, 8);
	}
	memcpy(b->expect + PERIOD, b->expect, PERIOD);
}

/* The n bytes, at most PERIOD, that flow f has from where it is on; valid
 * until the next call. */
static const uint8_t *content(struct block *b, const struct flow *f, size_t n)
{
	size_t at = f->off % PERIOD;
	uint64_t cell = f->off / CELL;

	for (size_t i = at / CELL * CELL; i < at + n; i += CELL, cell++) {
		uint64_t stamp = (f->seed ^ cell) * 0x9e3779b97f4a7c15u;
		memcpy(b->expect + i, &stamp, 8);
	}
	return b->expect + at;
}

static size_t least(uint64_t a, size_t b)
{
	return a < b ? (size_t)a : b;
}

static enum flow_state flow_error(void)
{
	return errno == EAGAIN || errno == EINTR ? FLOW_MORE : FLOW_FAILED;
}

enum flow_state flow_send(struct flow *f, struct block *b)
{
	size_t n = least(f->n - f->off, FLOW_WRITE);
	ssize_t k = send(f->fd, content(b, f, n), n, MSG_NOSIGNAL);

	if (k < 0)
		return flow_error();
	f->off += (size_t)k;
	return f->off == f->n ? FLOW_DONE : FLOW_MORE;
}

static enum flow_state flow_check(struct flow *f, struct block *b, size_t k)
{
	const uint8_t *p = b->read;

	while (k) {
		size_t n = least(f->n - f->off, least(k, PERIOD));
		if (!n || memcmp(p, content(b, f, n), n) != 0)
			return FLOW_CORRUPT;
		f->off += n;
		p += n;
		k -= n;
	}
	return FLOW_MORE;
}

/* A download is done when the end has come behind its last byte, an upload
 * with its last byte. */
enum flow_state flow_take(struct flow *f, struct block *b)
{
	ssize_t k = recv(f->fd, b->read, FLOW_READ, 0);

	if (k < 0)
		return flow_error();
	if (k == 0)
		return f->off == f->n ? FLOW_DONE : FLOW_TRUNCATED;
	if (flow_check(f, b, (size_t)k))
		return FLOW_CORRUPT;
	return f->up && f->off == f->n ? FLOW_DONE : FLOW_MORE;
}

void flow_order_put(const struct flow *f, uint8_t order[FLOW_ORDER])
{
	memset(order, 0, FLOW_ORDER);
	order[0] = f->up ? 'u' : 'd';
	order[1] = f->many;
	memcpy(order + 8, &f->n, 8);
	memcpy(order + 16, &f->seed, 8);
}

bool flow_order_get(struct flow *f, const uint8_t order[FLOW_ORDER])
{
	f->up = order[0] == 'u';
	f->many = order[1];
	memcpy(&f->n, order + 8, 8);
	memcpy(&f->seed, order + 16, 8);
	return f->up || order[0] == 'd';
}

void flow_answer_put(bool good, uint64_t off, uint8_t answer[FLOW_ANSWER])
{
	answer[0] = good ? 'k' : 'c';
	memcpy(answer + 1, &off, 8);
}
