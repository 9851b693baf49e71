/* SPDX-License-Identifier: MIT */
/*
 * The name of a Unix socket that listens: a file, or "@NAME" in Linux's
 * abstract name space, where nothing has to be removed and nothing is
 * protected.
 *
 * The file is never open to more than it should be: it is made for its owner
 * alone, given away, then opened to its mode, and only after that listened on.
 * A file that a dead process has left is replaced; one that somebody listens
 * on, or that is no socket, is not.
 */
#ifndef CORE_SOCKFILE_H
#define CORE_SOCKFILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/addr.h"

/* Whom it lets in. */
struct sockfile_access {
	mode_t mode;
	uid_t uid; /* (uid_t)-1: as it comes */
	gid_t gid; /* (gid_t)-1: as it comes */
};

struct sockfile {
	char path[ADDR_UNIX_MAX + 1]; /* "": nothing to remove */
	int pin; /* O_PATH: as long as it is open, no other file is the same */
};

/* A socket bound to path, of at most ADDR_UNIX_MAX bytes; the caller closes it.
 * Negative: *error says why. */
int sockfile_bind(struct sockfile *f, const char *path,
		  const struct sockfile_access *access, const char **error);
/* Remove the file, if it is still the one that was made. Idempotent. */
void sockfile_remove(struct sockfile *f);

#endif
