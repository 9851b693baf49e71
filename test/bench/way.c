// SPDX-License-Identifier: MIT
#include "test/bench/load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

bool send_all(int fd, const void *p, size_t n)
{
	const uint8_t *at = p;

	while (n) {
		ssize_t k = send(fd, at, n, MSG_NOSIGNAL);
		if (k <= 0)
			return false;
		at += k;
		n -= (size_t)k;
	}
	return true;
}

bool recv_all(int fd, void *p, size_t n)
{
	uint8_t *at = p;

	while (n) {
		ssize_t k = recv(fd, at, n, 0);
		if (k <= 0)
			return false;
		at += k;
		n -= (size_t)k;
	}
	return true;
}

/* What a SOCKS5 client asks for: 127.0.0.1 and the target's port. */
static size_t request(const struct task *t, uint8_t *p)
{
	const uint8_t r[] = {5,
			     1,
			     0,
			     1,
			     127,
			     0,
			     0,
			     1,
			     (uint8_t)(t->target >> 8),
			     (uint8_t)t->target};

	memcpy(p, r, sizeof(r));
	return sizeof(r);
}

/* The reply's BND may be a name. */
static bool reply(int fd)
{
	uint8_t r[4 + 256 + 2];
	size_t n;

	if (!recv_all(fd, r, 5) || r[1] != 0)
		return false;
	n = r[3] == 1 ? 4 - 1 : r[3] == 4 ? 16 - 1 : r[4];
	return recv_all(fd, r, n + 2);
}

static bool socks(const struct task *t, int fd)
{
	uint8_t p[16];

	if (!send_all(fd, "\5\1", 3) || !recv_all(fd, p, 2) || p[1] != 0)
		return false;
	return send_all(fd, p, request(t, p)) && reply(fd);
}

static int dial_way(const struct task *t)
{
	int port = t->direct ? t->direct : t->socks ? t->socks : t->http;
	int fd = dial(port, t->reset);
	struct timeval limit = {.tv_sec = (time_t)t->timeout,
				.tv_usec = (suseconds_t)(t->timeout * 1e6) %
					   1000000};

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

int way_open(const struct task *t)
{
	int fd = dial_way(t);

	if (fd >= 0 && t->socks && !socks(t, fd)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool early_socks(const struct task *t, int fd)
{
	uint8_t p[32] = {5, 1, 0};
	size_t n = 3 + request(t, p + 3);

	p[n++] = 'x';
	return send_all(fd, p, n) && recv_all(fd, p, 2) && reply(fd) &&
	       recv_all(fd, p, 1);
}

static bool early_http(const struct task *t, int fd)
{
	char p[256];
	int n = snprintf(p, sizeof(p),
			 "GET http://127.0.0.1:%d/ HTTP/1.1\r\n"
			 "Host: 127.0.0.1:%d\r\n\r\n",
			 t->target, t->target);

	return send_all(fd, p, (size_t)n) && recv_all(fd, p, 12) &&
	       !memcmp(p + 9, "200", 3);
}

static bool early_direct(int fd)
{
	char x = 'x';

	return send_all(fd, &x, 1) && recv_all(fd, &x, 1);
}

int way_early(const struct task *t, double *first)
{
	int fd = dial_way(t);

	if (fd >= 0 && !(t->socks  ? early_socks(t, fd)
			 : t->http ? early_http(t, fd)
				   : early_direct(fd))) {
		close(fd);
		return -1;
	}
	*first = now();
	return fd;
}
