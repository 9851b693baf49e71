/* SPDX-License-Identifier: MIT */
#include "modes/ready.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/log.h"

#define LINE_SIZE 2048

void ready_init(struct ready *r, const struct options *o)
{
	*r = (struct ready){
		.announce = o->announce,
		.fd = o->ready_fd,
		.file = o->ready_file,
	};
	for (; o; o = o->next)
		r->missing++;
}

static void write_fd(struct ready *r, const char *text)
{
	size_t n = strlen(text);

	if (r->fd < 0 || write(r->fd, text, n) == (ssize_t)n)
		return;
	log_warn(NULL, "--ready-fd %d: cannot write", r->fd);
	r->fd = -1;
}

void ready_line(struct ready *r, const char *fmt, ...)
{
	char line[LINE_SIZE];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n] = '\n';
	line[n + 1] = 0;
	write_fd(r, line);
	if (!r->announce)
		return;
	if (fputs(line, stdout) == EOF || fflush(stdout) == EOF) {
		log_warn(NULL, "--announce: cannot write to stdout");
		r->announce = false;
	}
}

/* sd_notify(3): a datagram to a socket in the file system or, with '@', in
 * Linux's abstract name space. */
static void notify_systemd(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t n = path ? strlen(path) : 0;
	int fd;

	if (n == 0 || n >= sizeof(sa.sun_path))
		return;
	memcpy(sa.sun_path, path, n);
	if (sa.sun_path[0] == '@')
		sa.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&sa,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		log_warn(NULL, "NOTIFY_SOCKET: cannot send to %s", path);
	close(fd);
}

/* Whoever sees the file sees all of it. */
static void make_file(struct ready *r)
{
	char tmp[4096];
	FILE *f;
	int n = snprintf(tmp, sizeof(tmp), "%s.%ld", r->file, (long)getpid());

	f = n < (int)sizeof(tmp) ? fopen(tmp, "we") : NULL;
	if (f) {
		bool good = fprintf(f, "%ld\n", (long)getpid()) > 0;

		good = fclose(f) == 0 && good;
		r->file_made = good && rename(tmp, r->file) == 0;
		if (!r->file_made)
			unlink(tmp);
	}
	if (!r->file_made)
		log_warn(NULL, "--ready-file %s: cannot write", r->file);
}

void ready_now(struct ready *r)
{
	if (r->missing == 0 || --r->missing)
		return;
	r->done = true;
	ready_line(r, "ready");
	write_fd(r, "READY=1\n");
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	if (r->file)
		make_file(r);
	notify_systemd("READY=1");
}

void ready_done(struct ready *r)
{
	if (r->done)
		notify_systemd("STOPPING=1");
	if (r->file_made)
		unlink(r->file);
	r->file_made = false;
}
