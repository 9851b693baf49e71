/* SPDX-License-Identifier: MIT */
#include "core/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

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

void socket_name(const uv_tcp_t *h, bool peer, char out[SOCKET_NAME])
{
	struct sockaddr_storage sa;
	int len = sizeof(sa);

	out[0] = 0;
	if (peer ? uv_tcp_getpeername(h, (struct sockaddr *)&sa, &len)
		 : uv_tcp_getsockname(h, (struct sockaddr *)&sa, &len))
		return;
	name_of(&sa, out);
}

/* libuv says EOF when it sees POLLHUP behind a partial read, and the kernel
 * says it once a write has fetched the error: a reset would pass for a clean
 * end (P2). */
bool socket_is_reset(const uv_tcp_t *h, bool fin)
{
	struct tcp_info info = {.tcpi_state = TCP_CLOSE_WAIT};
	socklen_t len = sizeof(info);
	int err = 0;
	uv_os_fd_t fd;

	if (uv_fileno((const uv_handle_t *)h, &fd))
		return true;
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	    info.tcpi_state == TCP_CLOSE && !fin)
		return true;
	len = sizeof(err);
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err;
}
