/* SPDX-License-Identifier: MIT */
/*
 * Comparison of secrets in constant time (trust.md 3.2): what is compared are
 * the SHA-256 digests, so neither content nor length shows in the time.
 *
 * A token is long and random, so one SHA-256 is enough to keep it: a slow hash
 * would only help what can be guessed.
 */
#ifndef PROTO_TOKEN_H
#define PROTO_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#define TOKEN_DIGEST 32

/* NULL counts as "". */
bool token_equal(const char *a, const char *b);
/* What is compared. NULL counts as "". False: it could not be computed. */
bool token_digest(const char *text, uint8_t out[TOKEN_DIGEST]);
/* 1 or 0; the time does not depend on it. */
unsigned int token_same(const uint8_t a[TOKEN_DIGEST],
			const uint8_t b[TOKEN_DIGEST]);

#endif
