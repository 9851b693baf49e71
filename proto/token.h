/* SPDX-License-Identifier: MIT */
/*
 * Comparison of secrets in constant time (trust.md 3.2): what is compared are
 * the SHA-256 digests, so neither content nor length shows in the time.
 */
#ifndef PROTO_TOKEN_H
#define PROTO_TOKEN_H

#include <stdbool.h>

/* NULL counts as "". */
bool token_equal(const char *a, const char *b);

#endif
