/* SPDX-License-Identifier: MIT */
/*
 * One field of a head (RFC 9110 section 5), collected from the pieces in which
 * llhttp hands out its name and its value. What does not fit keeps its length,
 * so that nothing depends on where a head has been cut.
 */
#ifndef PROTO_FIELD_H
#define PROTO_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#define FIELD_NAME_MAX  32
#define FIELD_VALUE_MAX 1024

/* Zeroed: nothing yet. */
struct field {
	char name[FIELD_NAME_MAX];
	char value[FIELD_VALUE_MAX];
	size_t name_len, value_len;
	bool whole; /* after field_end(): both have fitted, without a 0 */
};

void field_name(struct field *f, const char *p, size_t n);
void field_value(struct field *f, const char *p, size_t n);
/* Nothing more comes: both texts end with a 0 now, without blanks behind the
 * value; one that did not fit is "". The next piece begins a new field. */
void field_end(struct field *f);

#endif
