/* SPDX-License-Identifier: MIT */
/*
 * Somebody who has got hold of the process: loaded into it (LD_PRELOAD), on
 * SIGUSR1 tries what INTRUDER says, words between commas, and tells on stderr
 * what came of each: "intruder: WORD 0", or errno instead of 0.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static long try_open(const char *path, int flags)
{
	return syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0600);
}

static long try_exec(void)
{
	char *argv[] = {"true", NULL}, *env[] = {NULL};

	return syscall(SYS_execve, "/bin/true", argv, env);
}

static long try_map(int prot)
{
	return (long)mmap(NULL, 4096, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long try_protect(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static long try_bind(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET};

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&at,
		    sizeof(at));
}

static long try_file(const char *word, const char *path)
{
	if (strcmp(word, "read") == 0)
		return try_open(path, O_RDONLY);
	if (strcmp(word, "write") == 0)
		return try_open(path, O_WRONLY);
	if (strcmp(word, "make") == 0)
		return try_open(path, O_WRONLY | O_CREAT);
	if (strcmp(word, "remove") == 0)
		return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
	return syscall(SYS_mkdirat, AT_FDCWD, path, 0700);
}

#define CALL(name, call)             \
	if (strcmp(word, name) == 0) \
	return (call)

static long try(const char *word)
{
	CALL("exec", try_exec());
	CALL("fork", syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
	CALL("space", syscall(SYS_clone, CLONE_THREAD | CLONE_NEWUSER, 0, 0));
	CALL("ptrace", syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0));
	CALL("mount", syscall(SYS_mount, "", "/mnt", "tmpfs", 0, 0));
	CALL("bpf", syscall(SYS_bpf, 0, 0, 0));
	CALL("uring", syscall(SYS_io_uring_setup, 1, 0));
	CALL("memfd", syscall(SYS_memfd_create, "x", 0));
	CALL("listen", syscall(SYS_listen, socket(AF_INET, SOCK_STREAM, 0), 1));
	CALL("unshare", syscall(SYS_unshare, CLONE_NEWUSER));
	CALL("x32", syscall(0x40000000 | SYS_getpid));
	CALL("code", try_map(PROT_READ | PROT_EXEC));
	CALL("data", try_map(PROT_READ | PROT_WRITE));
	CALL("protect", try_protect());
	CALL("packet", socket(AF_PACKET, SOCK_RAW, 0));
	CALL("raw", socket(AF_INET, SOCK_RAW, 1));
	CALL("generic", socket(AF_NETLINK, SOCK_RAW, 16));
	CALL("bind", try_bind());
	CALL("tiocsti", syscall(SYS_ioctl, 0, 0x5412, ""));
	CALL("dump", prctl(PR_SET_DUMPABLE, 1));
	CALL("limit", syscall(SYS_prlimit64, 0, 4, "0123456789abcdef", 0));
	CALL("other", syscall(SYS_prlimit64, 0, 4, (1ull << 32), 0));
	CALL("kill", syscall(SYS_kill, getppid(), 0));
	CALL("root", syscall(SYS_setuid, 0));
	CALL("clone3", syscall(SYS_clone3, 0, 0));
	return 0;
}

static void on_signal(int sig)
{
	char plan[4096], text[4200], *word = plan, *next, *path;
	long got;

	(void)sig;
	snprintf(plan, sizeof(plan), "%s", getenv("INTRUDER"));
	for (; word; word = next) {
		next = strchr(word, ',');
		if (next)
			*next++ = 0;
		path = strchr(word, ':');
		errno = 0;
		if (path)
			*path++ = 0;
		got = path ? try_file(word, path) : try(word);
		snprintf(text, sizeof(text), "intruder: %s%s%s %d\n", word,
			 path ? ":" : "", path ? path : "",
			 got == -1 ? errno : 0);
		if (write(2, text, strlen(text)) < 0)
			_exit(1);
	}
}

/* libuv calls it when it makes a loop: could it have a ring? */
int epoll_create1(int flags)
{
	char text[64];

	if (getenv("INTRUDER_LOOP")) {
		errno = 0;
		syscall(SYS_io_uring_setup, 1, NULL);
		snprintf(text, sizeof(text), "intruder: ring %d\n", errno);
		if (write(2, text, strlen(text)) < 0)
			_exit(1);
	}
	return (int)syscall(SYS_epoll_create1, flags);
}

__attribute__((constructor)) static void begin(void)
{
	signal(SIGUSR1, on_signal);
}
