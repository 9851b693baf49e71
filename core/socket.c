/* SPDX-License-Identifier: MIT */
#include "core/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/netwatch.h"

#define SHALLOW_UNSENT (64 * 1024)
#define DEEP           (1 << 30) /* no limit of ours */
/* What the kernel allows to everybody, and doubles: a step of bulk. */
#define LOCAL_RECEIVE 212992

enum reason socket_reason(int err)
{
	switch (err) {
	case UV_ENETUNREACH:
	case UV_ENETDOWN:
	case UV_EADDRNOTAVAIL:
	case UV_EAFNOSUPPORT:
		return REASON_NET_UNREACHABLE;
	case UV_EHOSTUNREACH:
	case UV_EHOSTDOWN:
		return REASON_HOST_UNREACHABLE;
	case UV_ECONNREFUSED:
		return REASON_REFUSED;
	case UV_ETIMEDOUT:
		return REASON_TIMED_OUT;
	case UV_ECONNRESET:
	case UV_ECONNABORTED:
	case UV_EPIPE:
		return REASON_RESET;
	case UV_ENOMEM:
	case UV_ENOBUFS:
		return REASON_NO_MEMORY;
	case UV_EMFILE:
	case UV_ENFILE:
		return REASON_LIMIT;
	case UV_EACCES:
	case UV_EPERM:
		return REASON_FORBIDDEN;
	default:
		return REASON_IO;
	}
}

ssize_t socket_result(ssize_t n)
{
	if (n < 0 && errno == ENOBUFS)
		return UV_EAGAIN;
	return n < 0 ? uv_translate_sys_error(errno) : n;
}

int socket_init(uv_loop_t *loop, uv_handle_t *h, unsigned int family)
{
	return family == AF_UNIX ? uv_pipe_init(loop, (uv_pipe_t *)h, 0)
				 : uv_tcp_init_ex(loop, (uv_tcp_t *)h, family);
}

int socket_linger(const uv_tcp_t *h, bool on)
{
	struct linger l = {.l_onoff = on, .l_linger = 0};
	uv_os_fd_t fd;

	if (uv_fileno((const uv_handle_t *)h, &fd) ||
	    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)))
		return UV_EINVAL;
	return 0;
}

static void name_of(const struct sockaddr_storage *sa, char out[SOCKET_NAME])
{
	char host[INET6_ADDRSTRLEN] = "", *v4 = host;
	/* sin_port and sin6_port lie at the same place */
	unsigned int port = ntohs(((const struct sockaddr_in *)sa)->sin_port);

	uv_ip_name((const struct sockaddr *)sa, host, sizeof(host));
	if (strncmp(host, "::ffff:", 7) == 0 && strchr(host, '.'))
		v4 = host + 7;
	snprintf(out, SOCKET_NAME, strchr(v4, ':') ? "[%s]:%u" : "%s:%u", v4,
		 port);
}

bool socket_is_loopback(const struct sockaddr *sa)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;

	if (sa->sa_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return sa->sa_family == AF_INET6 &&
	       (IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
		(IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) &&
		 v6->sin6_addr.s6_addr[12] == 127));
}

bool socket_peer(const uv_tcp_t *h, char out[SOCKET_NAME])
{
	struct sockaddr_storage sa;
	int len = sizeof(sa);

	out[0] = 0;
	if (uv_tcp_getpeername(h, (struct sockaddr *)&sa, &len))
		return false;
	name_of(&sa, out);
	return socket_is_loopback((const struct sockaddr *)&sa);
}

void socket_bound(const uv_tcp_t *h, char out[SOCKET_NAME])
{
	struct sockaddr_storage sa;
	int len = sizeof(sa);

	out[0] = 0;
	if (uv_tcp_getsockname(h, (struct sockaddr *)&sa, &len) == 0)
		name_of(&sa, out);
}

bool socket_path(const uv_tcp_t *h, struct netpath *out)
{
	int local = sizeof(out->local), peer = sizeof(out->peer);

	memset(out, 0, sizeof(*out));
	return uv_tcp_getsockname(h, (struct sockaddr *)&out->local, &local) ==
		       0 &&
	       uv_tcp_getpeername(h, (struct sockaddr *)&out->peer, &peer) == 0;
}

void socket_tunnel(const uv_tcp_t *h, unsigned int ms, bool loopback)
{
	const int receive = LOCAL_RECEIVE;
	const char *control = getenv("WSP_TEST_CONGESTION");
	uv_os_fd_t fd;

	if (uv_fileno((const uv_handle_t *)h, &fd))
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	if (loopback)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive,
			   sizeof(receive));
	if (control)
		setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, control,
			   (socklen_t)strlen(control));
}

void socket_unpace(int fd)
{
	/* always there, and allowed to everybody; it works without, too */
	setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

void socket_shallow(const uv_tcp_t *h, bool on)
{
	int unsent = on ? SHALLOW_UNSENT : DEEP;
	uv_os_fd_t fd;

	if (uv_fileno((const uv_handle_t *)h, &fd) == 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent,
			   sizeof(unsent));
}

void socket_credentials(const uv_pipe_t *h, char out[SOCKET_NAME])
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	uv_os_fd_t fd;

	snprintf(out, SOCKET_NAME, "unix:");
	if (uv_fileno((const uv_handle_t *)h, &fd) == 0 &&
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		snprintf(out, SOCKET_NAME, "unix:pid=%ld,uid=%lu",
			 (long)peer.pid, (unsigned long)peer.uid);
}

/* libuv says EOF when it sees POLLHUP behind a partial read, and the kernel
 * says it once a write has fetched the error: a reset would pass for a clean
 * end (P2). A reset may come between the two questions: its error counts. */
int socket_reset(const uv_handle_t *h, bool fin)
{
	struct tcp_info info = {.tcpi_state = TCP_CLOSE_WAIT};
	socklen_t len = sizeof(info);
	bool closed;
	int err = 0;
	uv_os_fd_t fd;

	if (uv_fileno(h, &fd))
		return UV_EBADF;
	closed = h->type == UV_TCP &&
		 getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
		 info.tcpi_state == TCP_CLOSE;
	len = sizeof(err);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err)
		return uv_translate_sys_error(err);
	return closed && !fin ? UV_ECONNRESET : 0;
}

bool socket_is_lost(const uv_handle_t *h, bool fin)
{
	struct pollfd p = {.events = 0};

	if (socket_reset(h, fin))
		return true;
	if (h->type == UV_TCP)
		return false;
	return uv_fileno(h, &p.fd) ||
	       (poll(&p, 1, 0) == 1 && p.revents & (POLLHUP | POLLERR));
}
