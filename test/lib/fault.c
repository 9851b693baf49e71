/* SPDX-License-Identifier: MIT */
/* The rules, and the calls that they are for. Here nothing is allocated. */
#include "test/lib/fault.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RULES   16
#define VECTORS 1024

enum call {
	READ = 1,
	WRITE = 2,
	ACCEPT = 4,
	CONNECT = 8,
	SOCKET = 16,
	OPEN = 32,
	PIPE = 64,
	WAIT = 128,
	RANDOM = 256,
	POLL = 512,
};

static const struct {
	const char *name;
	enum call call;
} calls[] = {
	{"read", READ},       {"write", WRITE},   {"accept", ACCEPT},
	{"connect", CONNECT}, {"socket", SOCKET}, {"open", OPEN},
	{"pipe", PIPE},       {"wait", WAIT},     {"random", RANDOM},
	{"poll", POLL},
};

#define SHORT -1

static const struct {
	const char *name;
	int error;
	unsigned int calls;
} names[] = {
	{"short", SHORT, READ | WRITE},
	{"eagain", EAGAIN, READ | WRITE | ACCEPT},
	{"eintr", EINTR, READ | WRITE | ACCEPT | WAIT},
	{"emfile", EMFILE, ACCEPT | SOCKET | OPEN | PIPE},
	{"enfile", ENFILE, ACCEPT | SOCKET | OPEN | PIPE},
	{"enobufs", ENOBUFS, ACCEPT | SOCKET | WRITE},
	{"enomem", ENOMEM, ACCEPT | SOCKET | WRITE},
	{"econnaborted", ECONNABORTED, ACCEPT},
	{"eproto", EPROTO, ACCEPT},
	{"eaddrnotavail", EADDRNOTAVAIL, CONNECT},
	{"enetunreach", ENETUNREACH, CONNECT},
	{"etimedout", ETIMEDOUT, CONNECT},
	{"enosys", ENOSYS, RANDOM},
	{"enospc", ENOSPC, POLL},
};

struct rule {
	int error;
	unsigned int calls;
	uint64_t ppm;
	size_t max;   /* SHORT */
	int64_t left; /* times */
};

static struct rule rules[RULES];
static int nrules;
static uint64_t seed = 1, drawn;
static struct control own;
struct control *fault_control = &own;

/* Setting up. */

static unsigned int parse_calls(const char *at)
{
	unsigned int set = 0;

	while (*at && *at != '#' && *at != ',') {
		size_t n = strcspn(at, "+#,");
		bool known = false;

		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
			if (strncmp(at, calls[i].name, n) == 0 &&
			    !calls[i].name[n]) {
				set |= calls[i].call;
				known = true;
			}
		if (!known) {
			fprintf(stderr, "WSP_FAULT: no call %s\n", at);
			_exit(90);
		}
		at += n + (at[n] == '+');
	}
	return set;
}

static void parse_rule(const char *name, size_t n, const char *value)
{
	struct rule *r = &rules[nrules];
	const char *more;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(name, names[i].name, n) == 0 && !names[i].name[n])
			*r = (struct rule){.error = names[i].error,
					   .calls = names[i].calls,
					   .left = INT64_MAX};
	if (!r->error || nrules == RULES - 1) {
		fprintf(stderr, "WSP_FAULT: no rule %s\n", name);
		_exit(90);
	}
	r->ppm = (uint64_t)(strtod(value, (char **)&more) * 10000);
	more += *more == '%';
	if (*more == ':')
		r->max = strtoul(more + 1, (char **)&more, 10);
	if (*more == '@') {
		r->calls = parse_calls(more + 1);
		more += strcspn(more, "#,");
	}
	if (*more == '#')
		r->left = strtol(more + 1, NULL, 10);
	nrules++;
}

static void parse(const char *at)
{
	while (*at) {
		size_t n = strcspn(at, "=,");
		const char *value = at + n + (at[n] == '=');

		if (strncmp(at, "seed", n) == 0)
			seed = strtoull(value, NULL, 10);
		else if (strncmp(at, "alloc", n) == 0)
			own.fail_at = strtoull(value, NULL, 10);
		else if (strncmp(at, "clock", n) == 0)
			own.clock = strtoll(value, NULL, 10);
		else if (n)
			parse_rule(at, n, value);
		at += strcspn(at, ",");
		at += *at == ',';
	}
}

__attribute__((constructor)) static void set_up(void)
{
	const char *text = getenv("WSP_FAULT");
	const char *path = getenv("WSP_FAULT_CONTROL");
	void *at;
	int fd;

	if (text)
		parse(text);
	if (!path)
		return;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	at = mmap(NULL, sizeof(own), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd < 0 || at == MAP_FAILED) {
		fprintf(stderr, "WSP_FAULT_CONTROL: %s\n", path);
		_exit(90);
	}
	syscall(SYS_close, fd);
	fault_control = at;
}

/* Chance: the same for the same seed and order of calls. */

uint64_t fault_random(uint64_t n)
{
	uint64_t k = __atomic_add_fetch(&drawn, 1, __ATOMIC_RELAXED);
	uint64_t z = seed * 0x9e3779b97f4a7c15u + k * 0xbf58476d1ce4e5b9u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31)) % n;
}

static bool strikes(struct rule *r, unsigned int call)
{
	if (!(r->calls & call) || fault_random(1000000) >= r->ppm)
		return false;
	if (__atomic_fetch_sub(&r->left, 1, __ATOMIC_RELAXED) <= 0)
		return false;
	__atomic_fetch_add(&fault_control->faults, 1, __ATOMIC_RELAXED);
	return true;
}

/* True: the call fails, errno says how. */
static bool fails(unsigned int call)
{
	for (int i = 0; i < nrules && !fault_control->off; i++)
		if (rules[i].error != SHORT && strikes(&rules[i], call)) {
			errno = rules[i].error;
			return true;
		}
	return false;
}

static bool is_stream(int fd)
{
	int type = 0, kept = errno;
	socklen_t n = sizeof(type);
	bool yes = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 &&
		   type == SOCK_STREAM;

	errno = kept;
	return yes;
}

/* Who sees POLLHUP and then a read that is not full takes it for the last one,
 * and with a real kernel it is. */
static bool is_over(int fd)
{
	struct pollfd p = {.fd = fd, .events = 0};

	return poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

/* How many of n bytes move. */
static size_t shorten(unsigned int call, int fd, size_t n)
{
	for (int i = 0; i < nrules && !fault_control->off && n > 1; i++) {
		struct rule *r = &rules[i];

		if (r->error != SHORT || (call == READ && is_over(fd)) ||
		    !strikes(r, call))
			continue;
		n = 1 + fault_random(r->max && r->max < n ? r->max : n);
	}
	return n;
}

/* The calls. */

#define REAL(result, name, ...)             \
	static result (*real)(__VA_ARGS__); \
	if (!real)                          \
	real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

ssize_t read(int fd, void *p, size_t n)
{
	REAL(ssize_t, "read", int, void *, size_t);
	if (is_stream(fd)) {
		if (fails(READ))
			return -1;
		n = shorten(READ, fd, n);
	}
	return real(fd, p, n);
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	REAL(ssize_t, "recv", int, void *, size_t, int);
	if (is_stream(fd)) {
		if (fails(READ))
			return -1;
		n = shorten(READ, fd, n);
	}
	return real(fd, p, n, flags);
}

ssize_t write(int fd, const void *p, size_t n)
{
	REAL(ssize_t, "write", int, const void *, size_t);
	if (is_stream(fd)) {
		if (fails(WRITE))
			return -1;
		n = shorten(WRITE, fd, n);
	}
	return real(fd, p, n);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	REAL(ssize_t, "send", int, const void *, size_t, int);
	if (is_stream(fd)) {
		if (fails(WRITE))
			return -1;
		n = shorten(WRITE, fd, n);
	}
	return real(fd, p, n, flags);
}

/* The first n bytes of v. Returns the vectors that they take. */
static int cut(struct iovec *to, const struct iovec *v, int count, size_t n)
{
	int i;

	for (i = 0; i < count && i < VECTORS && n; i++) {
		to[i] = v[i];
		if (to[i].iov_len > n)
			to[i].iov_len = n;
		n -= to[i].iov_len;
	}
	return i;
}

static size_t sum(const struct iovec *v, int count)
{
	size_t n = 0;

	for (int i = 0; i < count; i++)
		n += v[i].iov_len;
	return n;
}

ssize_t readv(int fd, const struct iovec *v, int count)
{
	struct iovec some[VECTORS];

	REAL(ssize_t, "readv", int, const struct iovec *, int);
	if (!is_stream(fd) || !sum(v, count))
		return real(fd, v, count);
	if (fails(READ))
		return -1;
	count = cut(some, v, count, shorten(READ, fd, sum(v, count)));
	return real(fd, some, count);
}

ssize_t writev(int fd, const struct iovec *v, int count)
{
	struct iovec some[VECTORS];

	REAL(ssize_t, "writev", int, const struct iovec *, int);
	if (!is_stream(fd) || !sum(v, count))
		return real(fd, v, count);
	if (fails(WRITE))
		return -1;
	count = cut(some, v, count, shorten(WRITE, fd, sum(v, count)));
	return real(fd, some, count);
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	REAL(ssize_t, "recvmsg", int, struct msghdr *, int);
	return is_stream(fd) && fails(READ) ? -1 : real(fd, m, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	size_t n = sum(m->msg_iov, (int)m->msg_iovlen);
	struct iovec some[VECTORS];
	struct msghdr less = *m;

	REAL(ssize_t, "sendmsg", int, const struct msghdr *, int);
	if (!is_stream(fd) || !n)
		return real(fd, m, flags);
	if (fails(WRITE))
		return -1;
	less.msg_iovlen = (size_t)cut(some, m->msg_iov, (int)m->msg_iovlen,
				      shorten(WRITE, fd, n));
	less.msg_iov = some;
	return real(fd, &less, flags);
}

/* From a socket into a pipe, or from a pipe into a socket. */
ssize_t splice(int from, off64_t *at, int to, off64_t *there, size_t n,
	       unsigned int flags)
{
	REAL(ssize_t, "splice", int, off64_t *, int, off64_t *, size_t,
	     unsigned int);
	if (is_stream(from)) {
		if (fails(READ))
			return -1;
		n = shorten(READ, from, n);
	} else if (is_stream(to)) {
		if (fails(WRITE))
			return -1;
		n = shorten(WRITE, to, n);
	}
	return real(from, at, to, there, n, flags);
}

int accept4(int fd, struct sockaddr *sa, socklen_t *n, int flags)
{
	REAL(int, "accept4", int, struct sockaddr *, socklen_t *, int);
	return fails(ACCEPT) ? -1 : real(fd, sa, n, flags);
}

int accept(int fd, struct sockaddr *sa, socklen_t *n)
{
	REAL(int, "accept", int, struct sockaddr *, socklen_t *);
	return fails(ACCEPT) ? -1 : real(fd, sa, n);
}

int socket(int family, int type, int protocol)
{
	REAL(int, "socket", int, int, int);
	return fails(SOCKET) ? -1 : real(family, type, protocol);
}

int connect(int fd, const struct sockaddr *sa, socklen_t n)
{
	REAL(int, "connect", int, const struct sockaddr *, socklen_t);
	return is_stream(fd) && fails(CONNECT) ? -1 : real(fd, sa, n);
}

int pipe2(int fds[2], int flags)
{
	REAL(int, "pipe2", int[2], int);
	return fails(PIPE) ? -1 : real(fds, flags);
}

int open(const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;

	REAL(int, "open", const char *, int, ...);
	va_start(more, flags);
	mode = va_arg(more, mode_t);
	va_end(more);
	return fails(OPEN) ? -1 : real(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;

	REAL(int, "open64", const char *, int, ...);
	va_start(more, flags);
	mode = va_arg(more, mode_t);
	va_end(more);
	return fails(OPEN) ? -1 : real(path, flags, mode);
}

int epoll_ctl(int fd, int op, int of, struct epoll_event *e)
{
	REAL(int, "epoll_ctl", int, int, int, struct epoll_event *);
	return op == EPOLL_CTL_ADD && fails(POLL) ? -1 : real(fd, op, of, e);
}

int epoll_pwait(int fd, struct epoll_event *e, int n, int ms,
		const sigset_t *set)
{
	REAL(int, "epoll_pwait", int, struct epoll_event *, int, int,
	     const sigset_t *);
	return fails(WAIT) ? -1 : real(fd, e, n, ms, set);
}

int epoll_wait(int fd, struct epoll_event *e, int n, int ms)
{
	REAL(int, "epoll_wait", int, struct epoll_event *, int, int);
	return fails(WAIT) ? -1 : real(fd, e, n, ms);
}

/* libuv and mbedTLS ask for random bytes like this. */
long syscall(long number, ...)
{
	va_list more;
	long a[6];

	REAL(long, "syscall", long, ...);
	va_start(more, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(more, long);
	va_end(more);
	if (number == SYS_getrandom && fails(RANDOM))
		return -1;
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* The clock on the wall; the monotonic one is what it is. */

int clock_gettime(clockid_t id, struct timespec *t)
{
	int err;

	REAL(int, "clock_gettime", clockid_t, struct timespec *);
	err = real(id, t);
	if (!err && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		t->tv_sec += fault_control->clock;
	return err;
}

time_t time(time_t *t)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (t)
		*t = now.tv_sec;
	return now.tv_sec;
}

int gettimeofday(struct timeval *t, void *zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	*t = (struct timeval){.tv_sec = now.tv_sec,
			      .tv_usec = now.tv_nsec / 1000};
	return 0;
}
