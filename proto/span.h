/* SPDX-License-Identifier: MIT */
/*
 * A span is a piece of somebody else's text, without a 0 at its end. Case does
 * not count, as in field names and tokens (RFC 9110 section 5.1).
 */
#ifndef PROTO_SPAN_H
#define PROTO_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
	const char *p;
	size_t n;
};

bool span_is(struct span s, const char *word);
bool span_starts(struct span s, const char *word);
bool span_same(struct span a, struct span b);
/* Without blanks at both sides. */
struct span span_trim(struct span s);
/* Cut s at the first c; the rest goes to *rest. False: there is no c. */
bool span_cut(struct span *s, char c, struct span *rest);
/* Take the next element from a list (RFC 9110 section 5.6.1). */
bool span_next(struct span *list, struct span *out);
/* RFC 9110 section 5.6.2. */
bool span_is_token(struct span s);
/* 1*DIGIT. False: it is not, or is 10^18 and more. */
bool span_number(struct span s, uint64_t *out);

#endif
