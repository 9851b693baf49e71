/* SPDX-License-Identifier: MIT */
#include "core/splice.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/socket.h"
#include "proto/container.h"

/* A pipe holds a piece of a socket's queue in each 4 KiB of its size, however
 * small: with fewer, what comes over a network fills it too soon to gain. */
#define PIPE_SIZE BUF_MAX
#define RETRY     1024 /* questions until a pipe is tried to be made again */

void splice_done(struct splice *s)
{
	if (s->open) {
		close(s->out);
		close(s->in);
	}
	s->open = false;
	s->aside.n = 0;
}

/* What a pipe holds is there: a read of it is short at most. */
static bool fetch(struct aside *a, uint8_t *p)
{
	struct splice *s = container_of(a, struct splice, aside);
	ssize_t n;

	while (a->n) {
		n = read(s->out, p, a->n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		a->n -= (size_t)n;
	}
	return true;
}

bool splice_ready(struct splice *s)
{
	int fds[2];

	if (s->open || s->asked++ % RETRY)
		return s->open;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return false;
	s->out = fds[0];
	s->in = fds[1];
	s->open = true;
	s->aside.fetch = fetch;
	/* a user who is not root may have few of this size */
	if (fcntl(s->in, F_SETPIPE_SZ, PIPE_SIZE) < 0)
		splice_done(s);
	return s->open;
}

/* Neither waits: the sockets are libuv's. */
ssize_t splice_read(struct splice *s, const uv_handle_t *from, size_t max,
		    struct buf *b)
{
	uv_os_fd_t fd;
	ssize_t n;

	if (uv_fileno(from, &fd))
		return UV_EBADF;
	do
		n = splice(fd, NULL, s->in, NULL, max, SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return socket_result(n);
	s->aside.n = (size_t)n;
	*b = (struct buf){
		.data = s->head,
		.off = BUF_HEADROOM,
		.len = (uint32_t)n,
		.cap = BUF_HEADROOM,
		.aside = &s->aside,
	};
	return n;
}

ssize_t splice_write(const struct aside *a, const uv_handle_t *to)
{
	const struct splice *s = container_of(a, const struct splice, aside);
	uv_os_fd_t fd;
	ssize_t n;

	if (uv_fileno(to, &fd))
		return UV_EBADF;
	do
		n = splice(s->out, NULL, fd, NULL, a->n, SPLICE_F_NONBLOCK);
	while (n < 0 && errno == EINTR);
	return socket_result(n);
}

void splice_clear(struct splice *s)
{
	uint8_t trash[4096];
	ssize_t n = 1;

	while (s->aside.n && n > 0) {
		n = read(s->out, trash,
			 s->aside.n < sizeof(trash) ? s->aside.n
						    : sizeof(trash));
		s->aside.n -= n > 0 ? (size_t)n : 0;
	}
	if (s->aside.n) /* another one is empty */
		splice_done(s);
}
