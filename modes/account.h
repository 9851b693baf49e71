/* SPDX-License-Identifier: MIT */
/* Who the process becomes after it has started as root (--user). */
#ifndef MODES_ACCOUNT_H
#define MODES_ACCOUNT_H

#include <stdbool.h>
#include <sys/types.h>

#define ACCOUNT_NAME_MAX 64 /* bytes, with the final 0 */

struct account {
	bool set;
	uid_t uid;
	gid_t gid;
	/* whose other groups it gets; "": none */
	char name[ACCOUNT_NAME_MAX];
};

/* By name or number. */
bool account_user(const char *name, uid_t *out);
bool account_group(const char *name, gid_t *out);
/* "NAME" or "NAME:GROUP", names or numbers. NULL, or what would be right. */
const char *account_parse(struct account *a, const char *value);
/* Become it, for good. NULL, or what went wrong: the process must end then.
 * Only one thread may exist. */
const char *account_become(const struct account *a);

#endif
