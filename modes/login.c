/* SPDX-License-Identifier: MIT */
#include "modes/login.h"

#include "proto/container.h"

#define ASK_MS 10000

static void answer(struct login *l, enum reason why)
{
	struct logins *all = l->all;

	login_forget(l);
	if (why != REASON_DONE &&
	    log_limit(&all->refused, worker_now(all->worker)))
		log_warn(l->name, "user refused: %s%s",
			 why == REASON_PROXY_AUTH ? "wrong name or password"
						  : reason_text(why),
			 all->refused.more);
	l->answer(l, why);
}

static void on_answer(struct users_check *c, enum reason why)
{
	answer(container_of(c, struct login, check), why);
}

static void on_over(struct deadline *d)
{
	answer(container_of(d, struct login, deadline), REASON_TIMED_OUT);
}

void login_ask(struct login *l, struct logins *all, const char *name,
	       const char *user, const char *password,
	       void (*on)(struct login *l, enum reason why))
{
	enum reason why;

	l->all = all;
	l->name = name;
	l->answer = on;
	if (users_ask(all->users, &l->check, user, password, on_answer, &why))
		answer(l, why);
	else
		deadline_set(all->worker, &l->deadline, ASK_MS, on_over);
}

void login_forget(struct login *l)
{
	users_forget(&l->check);
	deadline_clear(&l->deadline);
}
