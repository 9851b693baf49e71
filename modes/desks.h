/* SPDX-License-Identifier: MIT */
/*
 * A desk is where a worker of the server receives its visitors.
 *
 * Who is accepted goes to the desk with the fewest visitors, of those that have
 * descriptors left, and stays there with all that comes of him: his tunnel, its
 * streams, their connections. Between the desks there are numbers of visitors
 * and of sockets, and letters from the first one, nothing else: a visitor's
 * socket (core/handover.h), and news, which are a new roster or TLS context. If
 * all are full, the first one refuses.
 */
#ifndef MODES_DESKS_H
#define MODES_DESKS_H

#include "core/log.h"
#include "modes/guesses.h"
#include "modes/service.h"
#include "modes/visitor.h"

struct tls_config;

struct desk {
	struct desks *all;
	unsigned int number;
	struct visitors visitors;
	atomic_uint coming; /* sockets on their way to it */
	struct log_limit full;
};

struct desks {
	struct service *service;
	struct desk *list;
	unsigned int count;
	unsigned int next; /* who comes first among equals */
	int folder;        /* of --static, or -1 */
	struct roster *roster;
	struct guesses guesses;
};

/* One for each worker, with what it needs; *d is zeroed but for folder and
 * roster, a reference that it takes; tls NULL for none. 0, or an exit code
 * after an error has been logged. desks_free() must follow. */
int desks_open(struct desks *d, struct service *s,
	       const struct tls_config *tls);
/* After the workers have ended. */
void desks_free(struct desks *d);
/* Somebody was accepted. True: he goes to another desk, which takes fd. */
bool desks_send(struct desks *d, int fd, bool local);
/* He stays at the first. Takes e. */
void desks_take(struct desks *d, struct end *e);
/* From now on these are in force. Takes r, if all goes well. NULL, or what is
 * wrong, and then nothing has changed. */
const char *desks_renew_roster(struct desks *d, struct roster *r);
const char *desks_renew_tls(struct desks *d, const struct tls_config *tls);
/* On the thread of desk n, see struct service_ops. */
void desk_drain(struct desks *d, unsigned int n);
bool desk_busy(const struct desks *d, unsigned int n);
void desk_stop(struct desks *d, unsigned int n, enum reason why);

#endif
