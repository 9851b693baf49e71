/* SPDX-License-Identifier: MIT */
/*
 * What the fields of a message mean to a proxy that passes it on: where the
 * message ends (RFC 9112 section 6.3), and what is not for the next hop
 * (RFC 9110 section 7.6.1).
 */
#ifndef PROTO_FIELDS_H
#define PROTO_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/head.h"
#include "proto/span.h"

#define FIELDS_LISTED_MAX 32 /* names in Connection */

struct fields {
	struct span listed[FIELDS_LISTED_MAX]; /* by Connection */
	int nlisted;
	struct span host;
	int nhosts;
	int nlengths;    /* Content-Length, each value of a list */
	uint64_t length; /* the first of them */
	bool lengths_differ;
	int ncodings; /* Transfer-Encoding */
	bool chunked; /* the only one is that */
	bool upgrade;
	bool trailers; /* TE accepts them */
	bool expects;
	struct span authorization; /* Proxy-Authorization */
	struct span max_forwards;
};

/* Spans show what head has. DONE; TOO_MUCH: a Content-Length that is none that
 * can be; BAD_REQUEST: a malformed one, or a Connection that lists what frames
 * or routes. */
enum reason fields_read(struct fields *f, const struct head *head);
/* Does Connection list this? */
bool fields_list(const struct fields *f, const char *word);
/* Does this field end here? Those of framing do: they are written anew. */
bool fields_end_here(const struct fields *f, struct span name);
/* May it be in a trailer section (RFC 9110 section 6.5.1)? */
bool fields_may_trail(struct span name);

#endif
