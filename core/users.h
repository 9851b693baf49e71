/* SPDX-License-Identifier: MIT */
/*
 * Who may use the proxies: one user with a password, or a file of users with
 * hashes (proto/htpasswd.h).
 *
 * A hash is made to cost time, so it is computed on libuv's threads, while the
 * loop goes on. At most USERS_CHECKS_MAX are under way; more are refused. The
 * same user and password asked for by many connections at once are checked
 * once. A pair that was right is known for five minutes, as an HMAC-SHA256 with
 * a random key of this process: no password is kept. One that was wrong is
 * hashed again each time.
 *
 * Names cannot be told by time: a name that is not in the file costs the hash
 * of some user, for each name always the same one.
 *
 * Only the hash itself runs on another thread; all else belongs to the worker.
 */
#ifndef CORE_USERS_H
#define CORE_USERS_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/reason.h"

#define USERS_CHECKS_MAX 64
#define USERS_MAX        10000
#define USERS_TEXT_MAX   255 /* bytes of a user, and of a password */

struct users;
struct worker;

/* A question. Member of the object that asks; zeroed: nothing is asked. */
struct users_check {
	struct users_check *next, **prev; /* private */
	struct users_job *job;            /* private */
	/* The answer, see users_ask(). */
	void (*answer)(struct users_check *c, enum reason why);
};

/* The one user of "USER:PASSWORD". NULL: no memory. */
struct users *users_of_pair(struct worker *w, const char *pair);
/* Those of a file. NULL: error says what is wrong, with file and line. */
struct users *users_load(struct worker *w, const char *path, char *error,
			 size_t size);
/* The same ones, for another worker; before either of them runs. NULL: no
 * memory. */
struct users *users_like(struct worker *w, const struct users *u);
/* Read that file again: its users take the place of those of before, whose
 * checks that are under way are still answered by what was. False: error, and
 * nothing has changed. */
bool users_again(struct users *u, const char *path, char *error, size_t size);
size_t users_count(const struct users *u);
/* Only when worker_run() has returned, which waits for checks. NULL is
 * allowed. */
void users_free(struct users *u);

/* Is this password right? True: *why answers, DONE (it is), PROXY_AUTH, LIMIT,
 * NO_MEMORY. False: answer() will be called with one of these, unless
 * users_forget(c) comes first. c must not be waiting already. */
bool users_ask(struct users *u, struct users_check *c, const char *user,
	       const char *password,
	       void (*answer)(struct users_check *c, enum reason why),
	       enum reason *why);
/* Nobody waits for c any more. */
void users_forget(struct users_check *c);

#endif
