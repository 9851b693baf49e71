/* SPDX-License-Identifier: MIT */
#include "core/handover.h"

#include <unistd.h>

#include "core/conn.h"
#include "proto/container.h"

static void on_open(struct letter *l)
{
	struct handover *h = container_of(l, struct handover, letter);
	struct end *e = NULL;
	const char *error = NULL;

	if (worker_is_stopping(h->to))
		close(h->fd);
	else
		e = conn_adopt(h->to, h->fd, h->local, &error);
	h->arrived(h, e, error);
}

bool handover_send(struct handover *h, struct worker *to, int fd, bool local)
{
	h->letter.open = on_open;
	h->to = to;
	h->fd = fd;
	h->local = local;
	return worker_post(to, &h->letter);
}
