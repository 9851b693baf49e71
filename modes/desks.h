/* SPDX-License-Identifier: MIT */
/*
 * A desk is where a worker of the server receives its visitors. The first is
 * the service's own, which also listens; each of the others has a thread.
 *
 * Who is accepted goes to the desk with the fewest visitors, of those that have
 * descriptors left, and stays there with all that comes of him: his tunnel, its
 * streams, their connections. Between the desks there are letters
 * (core/mailbox.h) and numbers of visitors and of sockets, nothing else. If all
 * are full, the first one refuses.
 *
 *	letter	from	to	says
 *	take	first	other	here is a visitor's socket
 *	news	first	other	there is a new roster, or TLS context
 *	drain	first	other	take nothing new
 *	idle	other	first	after drain: nobody is busy any more
 *	stop	first	other	drop everything and end
 *	abort	first	other	end at once
 *	ended	other	first	the thread has ended
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
	enum { DESK_OPEN, DESK_DRAINING, DESK_IDLE, DESK_STOPPED } state;
	struct worker own; /* not the first desk's */
	struct visitors visitors;
	atomic_uint coming; /* sockets in letters to it */
	struct log_limit full;
	struct letter drain, stop, abort; /* from the first */
	struct letter idle, ended;        /* to the first */
};

struct desks {
	struct service *service;
	struct desk *list;
	unsigned int count;
	unsigned int threads; /* of desks 1 to threads */
	unsigned int next;    /* who comes first among equals */
	unsigned int waiting; /* desks that have not said idle */
	int folder;           /* of --static, or -1 */
	struct roster *roster;
	struct guesses guesses;
};

/* Open as many as the options say, and read what they need; *d is zeroed but
 * for folder and roster, a reference that it takes; tls NULL for none. 0, or an
 * exit code after an error has been logged. desks_join() must follow. */
int desks_open(struct desks *d, struct service *s,
	       const struct tls_config *tls);
/* Make the threads. The same. */
int desks_start(struct desks *d);
/* Somebody was accepted. True: he goes to another desk, which takes fd. */
bool desks_send(struct desks *d, int fd, bool local);
/* He stays at the first. Takes e. */
void desks_take(struct desks *d, struct end *e);
/* From now on these are in force. Takes r, if all goes well. NULL, or what is
 * wrong, and then nothing has changed. */
const char *desks_renew_roster(struct desks *d, struct roster *r);
const char *desks_renew_tls(struct desks *d, const struct tls_config *tls);
void desks_drain(struct desks *d);
bool desks_busy(const struct desks *d);
void desks_stop(struct desks *d, enum reason why);
/* Behind the end of the first desk's loop: end the other threads and free, or
 * only end them, if aborted. False: something was left behind. */
bool desks_join(struct desks *d, bool aborted);

#endif
