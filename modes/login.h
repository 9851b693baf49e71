/* SPDX-License-Identifier: MIT */
/*
 * Asks whether the user and the password that an application has given are
 * right (core/users.h), for at most 10 seconds, and logs it if they are not.
 * Member of the session that asks; zeroed: nothing is asked.
 */
#ifndef MODES_LOGIN_H
#define MODES_LOGIN_H

#include "core/log.h"
#include "core/users.h"
#include "core/worker.h"

/* For all of one client. */
struct logins {
	struct worker *worker;
	struct users *users; /* who may, or NULL: everybody */
	struct log_limit refused;
};

struct login {
	struct logins *all;
	const char *name; /* for the log */
	struct users_check check;
	struct deadline deadline;
	/* DONE, or why not. */
	void (*answer)(struct login *l, enum reason why);
};

/* answer() is called, maybe before this returns, unless login_forget() comes
 * first. name must stay. */
void login_ask(struct login *l, struct logins *all, const char *name,
	       const char *user, const char *password,
	       void (*answer)(struct login *l, enum reason why));
void login_forget(struct login *l);

#endif
