/* SPDX-License-Identifier: MIT */
/*
 * A handover is a socket on its way to another worker, which has been accepted
 * and that no loop has seen yet. Member of the object that speaks of it.
 */
#ifndef CORE_HANDOVER_H
#define CORE_HANDOVER_H

#include "core/worker.h"
#include "proto/end.h"

struct handover {
	struct letter letter;
	struct worker *to;
	int fd;
	bool local;
	/* On the thread of to; h is the callee's, and so is e. e NULL: the
	 * socket is closed; error says why, or is NULL: the worker stops. */
	void (*arrived)(struct handover *h, struct end *e, const char *error);
};

/* arrived is set; local: a Unix socket. True: fd is taken, and arrived() will
 * be called. False: the worker has ended, and all is as it was. */
bool handover_send(struct handover *h, struct worker *to, int fd, bool local);

#endif
