/* SPDX-License-Identifier: MIT */
/*
 * Who may use the server, and for what: the rules of all, and for each token
 * its digest, its own rules and its limits. A token is that of --token, which
 * has no name, or a line of the file of --tokens; where there is neither, the
 * one without a name is that of nobody: "".
 *
 * A roster never changes once it is in force; what changes is which one is.
 * Each worker has a reference to the newest it has been told of, each visitor
 * to the one that he was let in by. What names use (proto/usage.h) goes on
 * from one roster to the next.
 */
#ifndef MODES_ROSTER_H
#define MODES_ROSTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "modes/egress.h"
#include "proto/tokenline.h"
#include "proto/usage.h"

#define ROSTER_MAX 10000 /* names */

struct member {
	struct tokenline said; /* name "": it has none, and no limits */
	unsigned int line;     /* of the file */
	struct egress_rule *rules;
	size_t nrules;
	struct usage *usage; /* NULL: not counted */
};

struct roster {
	atomic_uint refs;
	struct egress egress;
	struct member *members; /* by name */
	size_t count, room;
};

/* Making one: with the rules of all and no member. NULL: no memory. */
struct roster *roster_new(const struct egress *egress);
/* The token without a name, or nobody's (NULL). False: no memory. */
bool roster_add_token(struct roster *r, const char *token);
/* Those of the file. False: error says what is wrong, with file and line. */
bool roster_add_file(struct roster *r, const char *path, char *error,
		     size_t size);
/* Those of old that have a name, or the one that has none, as they are. False:
 * no memory. */
bool roster_copy(struct roster *r, const struct roster *old, bool named);
/* All members are there: sort them, and go on with the usage of old ones
 * (NULL: there are none). False: no memory. */
bool roster_finish(struct roster *r, const struct roster *old);
/* From now on its limits are in force. */
void roster_enforce(struct roster *r);

struct roster *roster_ref(struct roster *r);
/* Give a reference back, from any thread; NULL is fine. */
void roster_free(struct roster *r);

size_t roster_names(const struct roster *r);
/* Whose token is it? The time does not tell, nor how much of it was right;
 * NULL: nobody's. */
const struct member *roster_find(const struct roster *r, const char *token);

/* Somebody who was let in: a reference to the roster, and his member. */
struct pass {
	struct roster *roster;
	const struct member *member; /* NULL: not yet */
};

struct pass pass_copy(const struct pass *p);
void pass_drop(struct pass *p);
/* May sa, which host resolved to, be dialled for him? */
bool pass_allows(const struct pass *p, const char *host,
		 const struct sockaddr *sa);
/* There is a new roster. False: his token is not in it, and p is as it was. */
bool pass_renew(struct pass *p, struct roster *r);

#endif
