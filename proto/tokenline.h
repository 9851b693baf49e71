/* SPDX-License-Identifier: MIT */
/*
 * A line of a file of tokens, as `wsp token` makes it:
 *
 *	NAME sha256:HEX [SETTING]...
 *	# anything	a comment; so is a line of blanks
 *
 *	NAME	1 to 64 of A-Z a-z 0-9 . _ - @, a letter or digit first
 *	HEX	the SHA-256 of the token, 64 digits
 *	SETTING	allow=RULE, deny=RULE	in order, see modes/egress.h
 *		streams=N, tunnels=N	so many at once
 *		rate=BYTES		a second, in each direction; 10K, 2M,
 *1G,
 *					"/s" may follow
 *
 * Nothing of a line is ever in an error: it may be a token in clear.
 */
#ifndef PROTO_TOKENLINE_H
#define PROTO_TOKENLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/token.h"

#define TOKENLINE_NAME_MAX 64
#define TOKENLINE_WORD_MAX 300 /* bytes of a setting; the longest rule fits */
#define TOKENLINE_MOST     1000000 /* of streams and of tunnels */

struct tokenline {
	char name[TOKENLINE_NAME_MAX + 1]; /* "": there is none */
	uint8_t digest[TOKEN_DIGEST];
	uint32_t streams, tunnels; /* 0: any number */
	uint64_t rate;             /* bytes a second; 0: any */
};

/* A rule of the line, in its order. NULL, or what is wrong with text. */
typedef const char *tokenline_rule_fn(void *ctx, bool allow, const char *text);

/* The n bytes of a line, with or without its end. NULL, or what is wrong
 * (static, or what rule() has said). */
const char *tokenline_parse(const char *line, size_t n, tokenline_rule_fn *rule,
			    void *ctx, struct tokenline *out);
/* One setting, to be added to out. The same. */
const char *tokenline_setting(const char *word, tokenline_rule_fn *rule,
			      void *ctx, struct tokenline *out);
bool tokenline_name_is_good(const char *name);

#endif
