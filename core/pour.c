/* SPDX-License-Identifier: MIT */
#include "core/pour.h"

#include <errno.h>
#include <sys/socket.h>

#include "core/socket.h"
#include "core/splice.h"

#define GATHER 64 /* pieces in one write */

unsigned int pour_gather(const struct bufq *q, uv_buf_t *v, unsigned int max)
{
	const struct buf *b = q->head;
	unsigned int n = 0;

	while (b && n < max) {
		v[n++] = uv_buf_init((char *)buf_ptr(b), buf_here(b));
		b = b->aside ? NULL : b->next;
	}
	return n;
}

/* What is in front of bytes aside must not leave as a packet of its own: the
 * peer would wake up for a header. */
static ssize_t write_more(const uv_stream_t *to, uv_buf_t *v, unsigned int n)
{
	/* libuv's pieces are laid out as the system's */
	struct msghdr m = {.msg_iov = (struct iovec *)v, .msg_iovlen = n};
	uv_os_fd_t fd;
	ssize_t sent;

	if (uv_fileno((const uv_handle_t *)to, &fd))
		return UV_EBADF;
	do
		sent = sendmsg(fd, &m, MSG_MORE | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return socket_result(sent);
}

/* One system call for the front of q: *offered bytes, of which the socket has
 * taken what is returned. */
static ssize_t write_front(uv_stream_t *to, const struct bufq *q,
			   size_t *offered)
{
	const struct buf *b = q->head;
	uv_buf_t v[GATHER];
	unsigned int n;

	*offered = b->len;
	if (b->aside && buf_here(b) == 0)
		return splice_write(b->aside, (const uv_handle_t *)to);
	n = pour_gather(q, v, GATHER);
	*offered = 0;
	for (unsigned int i = 0; i < n; i++) {
		*offered += v[i].len;
		b = i + 1 < n ? b->next : b;
	}
	return b->aside ? write_more(to, v, n) : uv_try_write(to, v, n);
}

int pour(uv_stream_t *to, struct bufq *q, size_t *gone)
{
	size_t offered;
	ssize_t n;

	while (q->head) {
		n = write_front(to, q, &offered);
		if (n < 0)
			return n == UV_EAGAIN ? 0 : (int)n;
		*gone += (size_t)n;
		bufq_pull(q, (size_t)n);
		if ((size_t)n < offered)
			return 0;
	}
	return 0;
}
