/* SPDX-License-Identifier: MIT */
/*
 * How a program or a script learns what wsp has done: lines on stdout
 * (--announce), --ready-fd, --ready-file, and systemd's NOTIFY_SOCKET.
 *
 *	listening socks 127.0.0.1:1080
 *	connected ws://127.0.0.1:8010/
 *	ready
 */
#ifndef MODES_READY_H
#define MODES_READY_H

#include <stdbool.h>

#include "modes/options.h"

struct ready {
	bool announce;
	int fd; /* -1: none, or done */
	const char *file;
	unsigned int missing; /* calls of ready_now() until it is so */
	bool done;
	bool file_made;
};

/* Nothing is written yet. The texts of o must stay. One server is missing, or
 * a tunnel for each of o and its next ones. */
void ready_init(struct ready *r, const struct options *o);
/* One line, printf style, without the newline. */
void ready_line(struct ready *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Something is up, and if it was the last: "ready" on stdout, "READY=1" to the
 * descriptor, which is closed, and to NOTIFY_SOCKET; the file appears by
 * rename. */
void ready_now(struct ready *r);
/* The process is about to end: tell NOTIFY_SOCKET, remove the file. */
void ready_done(struct ready *r);

#endif
