/* SPDX-License-Identifier: MIT */
/*
 * A client: proxies on this machine, whose sessions get streams of the tunnels
 * of its lanes (lane.h). Listeners stay when a tunnel goes.
 *
 * A process may have several (clients.c). Each tells its service when it is up
 * for the first time, and when the process should end.
 */
#ifndef MODES_CLIENT_H
#define MODES_CLIENT_H

#include <stdbool.h>

#include "modes/options.h"
#include "modes/service.h"

struct client;

/* Open the listeners and dial. s and o must stay. *code is 0, or the exit code
 * after an error has been logged: then the service should stop. NULL: no
 * memory. */
struct client *client_start(struct service *s, const struct options *o,
			    int *code);
/* What the service asks for, see struct service_ops. */
void client_drain(struct client *c, unsigned int n);
bool client_busy(const struct client *c, unsigned int n);
void client_stop(struct client *c, unsigned int n, enum reason why);
/* HUP: read files again, and do not wait for the next retry. */
void client_reload(struct client *c);
/* After the workers have ended. c may be NULL. */
void client_free(struct client *c);

#endif
