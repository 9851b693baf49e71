/* SPDX-License-Identifier: MIT */
/* The list in NO_PROXY, as curl 7.86 and later read it. */
#ifndef PROTO_NOPROXY_H
#define PROTO_NOPROXY_H

#include <stdbool.h>

/* Does list say that host, a name or an address literal without brackets, is
 * reached without a proxy? Entries are separated by commas or blanks. A name
 * stands for itself and for all names that end with a dot and it, also where a
 * dot comes first; an address for itself; a CIDR for the addresses in it. "*"
 * alone is the list of all hosts. */
bool noproxy_has(const char *list, const char *host);

#endif
