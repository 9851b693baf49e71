/* SPDX-License-Identifier: MIT */
#include "modes/account.h"

#include <grp.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A number, where there is no such name. -1 would mean nobody. */
static bool read_id(const char *text, unsigned long *out)
{
	char *end;

	*out = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && *out < UINT32_MAX;
}

bool account_user(const char *name, uid_t *out)
{
	const struct passwd *p = getpwnam(name);
	unsigned long id = p ? p->pw_uid : 0;
	bool found = p || read_id(name, &id);

	if (found)
		*out = (uid_t)id;
	return found;
}

bool account_group(const char *name, gid_t *out)
{
	const struct group *g = getgrnam(name);
	unsigned long id = g ? g->gr_gid : 0;
	bool found = g || read_id(name, &id);

	if (found)
		*out = (gid_t)id;
	return found;
}

/* The group and the name of a number, if it has them. */
static bool find_rest(struct account *a)
{
	const struct passwd *p = getpwuid(a->uid);

	if (!p || strlen(p->pw_name) >= sizeof(a->name))
		return false;
	memcpy(a->name, p->pw_name, strlen(p->pw_name) + 1);
	a->gid = p->pw_gid;
	return true;
}

const char *account_parse(struct account *a, const char *value)
{
	size_t n = strcspn(value, ":");
	char user[ACCOUNT_NAME_MAX];

	if (n == 0 || n >= sizeof(user) || (value[n] && !value[n + 1]))
		return "not USER or USER:GROUP";
	memcpy(user, value, n);
	user[n] = 0;
	*a = (struct account){.set = true, .gid = (gid_t)-1};
	if (!account_user(user, &a->uid))
		return "no such user";
	if (!find_rest(a) && !value[n])
		return "this user has no group: give USER:GROUP";
	if (value[n] && !account_group(value + n + 1, &a->gid))
		return "no such group";
	if (a->uid == 0)
		return "this is root, who should not run it";
	if (geteuid() != 0)
		return "only root can become somebody else: start as root, or "
		       "leave it out";
	return NULL;
}

static bool is_for_good(const struct account *a)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (getresuid(&r, &e, &s) || getresgid(&rg, &eg, &sg))
		return false;
	return r == a->uid && e == a->uid && s == a->uid && rg == a->gid &&
	       eg == a->gid && sg == a->gid && setuid(0) != 0 &&
	       seteuid(0) != 0 && (a->gid == 0 || setegid(0) != 0);
}

const char *account_become(const struct account *a)
{
	int err = a->name[0] ? initgroups(a->name, a->gid) : setgroups(0, NULL);

	if (err)
		return "cannot leave root's groups";
	if (setresgid(a->gid, a->gid, a->gid))
		return "cannot take the group";
	if (setresuid(a->uid, a->uid, a->uid))
		return "cannot become this user";
	return is_for_good(a) ? NULL : "the way back to root is still open";
}
