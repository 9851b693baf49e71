/* SPDX-License-Identifier: MIT */
#include "core/netwatch.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/buf.h"
#include "proto/container.h"

#define SETTLE_MS 100
#define READS_MAX 256 /* datagrams at a time; more of them: look at all */

struct netwatch {
	struct worker *w;
	netwatch_fn *on;
	void *ctx;
	uv_poll_t poll;
	int fd;
	struct deadline settle;
	bool came, gone;
};

/* Messages. */

/* Not those that only this machine or its link can use. */
static bool is_usable_address(const struct nlmsghdr *h)
{
	const struct ifaddrmsg *a = NLMSG_DATA(h);

	return h->nlmsg_len >= NLMSG_LENGTH(sizeof(*a)) &&
	       a->ifa_scope < RT_SCOPE_LINK;
}

static bool is_usable_route(const struct nlmsghdr *h)
{
	const struct rtmsg *r = NLMSG_DATA(h);

	return h->nlmsg_len >= NLMSG_LENGTH(sizeof(*r)) &&
	       r->rtm_type == RTN_UNICAST && r->rtm_table != RT_TABLE_LOCAL &&
	       !(r->rtm_flags & RTM_F_CLONED);
}

static bool is_link_down(const struct nlmsghdr *h)
{
	const struct ifinfomsg *l = NLMSG_DATA(h);

	return h->nlmsg_len >= NLMSG_LENGTH(sizeof(*l)) &&
	       !(l->ifi_flags & IFF_UP);
}

static void read_message(struct netwatch *n, const struct nlmsghdr *h)
{
	switch (h->nlmsg_type) {
	case RTM_NEWADDR:
		n->came |= is_usable_address(h);
		break;
	case RTM_NEWROUTE:
		n->came |= is_usable_route(h);
		break;
	case RTM_NEWLINK: /* an IPv4 route goes silently with its link */
		n->gone |= is_link_down(h);
		break;
	case RTM_DELADDR:
	case RTM_DELLINK:
	case RTM_DELROUTE:
		n->gone = true;
		break;
	default:
		break;
	}
}

static void read_messages(struct netwatch *n, const uint8_t *p, size_t len)
{
	size_t size;

	for (; len >= sizeof(struct nlmsghdr); p += size, len -= size) {
		const struct nlmsghdr *h = (const void *)p;

		size = h->nlmsg_len;
		if (size < sizeof(*h) || size > len)
			return;
		read_message(n, h);
		size = NLMSG_ALIGN(size);
		if (size > len)
			return;
	}
}

/* One datagram, of the kernel. False: there is none. */
static bool read_datagram(struct netwatch *n)
{
	struct sockaddr_nl from = {.nl_family = AF_NETLINK};
	struct iovec v = {.iov_base = n->w->scratch, .iov_len = BUF_MAX};
	struct msghdr m = {.msg_name = &from,
			   .msg_namelen = sizeof(from),
			   .msg_iov = &v,
			   .msg_iovlen = 1};
	ssize_t got = recvmsg(n->fd, &m, 0);

	if (got < 0 && errno != ENOBUFS)
		return errno == EINTR;
	if (got < 0 || m.msg_flags & MSG_TRUNC)
		n->came = n->gone = true; /* something was lost */
	if (got > 0 && from.nl_pid == 0)
		read_messages(n, v.iov_base, (size_t)got);
	return true;
}

/* The socket. */

static void on_poll(uv_poll_t *p, int err, int events);

static void on_settled(struct deadline *d)
{
	struct netwatch *n = container_of(d, struct netwatch, settle);
	bool came, gone;
	int reads = 0;

	while (reads < READS_MAX && read_datagram(n))
		reads++;
	if (reads == READS_MAX)
		n->came = n->gone = true;
	came = n->came;
	gone = n->gone;
	n->came = n->gone = false;
	uv_poll_start(&n->poll, UV_READABLE, on_poll);
	if (came || gone)
		n->on(n->ctx, came, gone);
}

/* Not to be asked again before it has settled: a storm of messages costs ten
 * calls a second. */
static void on_poll(uv_poll_t *p, int err, int events)
{
	struct netwatch *n = p->data;

	(void)err;
	(void)events;
	uv_poll_stop(p);
	deadline_set(n->w, &n->settle, SETTLE_MS, on_settled);
}

static int open_socket(int *fd)
{
	struct sockaddr_nl at = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
			     RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
			     RTMGRP_IPV6_ROUTE,
	};
	int err;

	*fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
		     NETLINK_ROUTE);
	if (*fd < 0)
		return -errno;
	if (bind(*fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return 0;
	err = -errno;
	close(*fd);
	return err;
}

static void on_closed(uv_handle_t *h)
{
	struct netwatch *n = h->data;

	close(n->fd);
	free(n);
}

struct netwatch *netwatch_start(struct worker *w, netwatch_fn *on, void *ctx,
				int *err)
{
	struct netwatch *n = calloc(1, sizeof(*n));

	*err = UV_ENOMEM;
	if (!n)
		return NULL;
	*err = open_socket(&n->fd);
	if (*err) {
		free(n);
		return NULL;
	}
	*err = uv_poll_init(&w->loop, &n->poll, n->fd);
	if (*err) {
		close(n->fd);
		free(n);
		return NULL;
	}
	n->w = w;
	n->on = on;
	n->ctx = ctx;
	n->poll.data = n;
	uv_poll_start(&n->poll, UV_READABLE, on_poll);
	return n;
}

void netwatch_drop(struct netwatch *n)
{
	deadline_clear(&n->settle);
	uv_close((uv_handle_t *)&n->poll, on_closed);
}

/* Paths. */

static socklen_t length_of(const struct sockaddr_storage *sa)
{
	return sa->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
					 : sizeof(struct sockaddr_in);
}

static bool same_address(const struct sockaddr *a, const void *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = b;

	if (!a || a->sa_family != b4->sin_family)
		return false;
	if (a->sa_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a->sa_family == AF_INET6 &&
	       memcmp(&a6->sin6_addr, &b6->sin6_addr, 16) == 0;
}

/* IPv4 addresses stay with a link that is down. */
static bool is_on_dead_link(const struct sockaddr_storage *sa)
{
	bool up = false, found = false;
	struct ifaddrs *all;

	if (getifaddrs(&all))
		return false;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		if (!same_address(i->ifa_addr, sa))
			continue;
		found = true;
		up |= (i->ifa_flags & IFF_UP) != 0;
	}
	freeifaddrs(all);
	return found && !up;
}

/* A UDP socket asks the kernel without sending anything. */
enum netpath_state netpath_look(const struct netpath *path)
{
	struct sockaddr_storage local = path->local;
	enum netpath_state state = NETPATH_GOOD;
	int fd = socket(local.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return state;
	/* sin_port and sin6_port lie at the same place */
	((struct sockaddr_in *)&local)->sin_port = 0;
	if (bind(fd, (struct sockaddr *)&local, length_of(&local))) {
		if (errno == EADDRNOTAVAIL)
			state = NETPATH_NO_ADDRESS;
	} else if (connect(fd, (const struct sockaddr *)&path->peer,
			   length_of(&path->peer))) {
		if (errno == ENETUNREACH || errno == EHOSTUNREACH)
			state = NETPATH_NO_ROUTE;
	}
	close(fd);
	if (state == NETPATH_GOOD && is_on_dead_link(&local))
		state = NETPATH_NO_ADDRESS;
	return state;
}
