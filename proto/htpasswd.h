/* SPDX-License-Identifier: MIT */
/*
 * A line of a file of users, as htpasswd -B or crypt(3) makes it:
 *
 *	USER:HASH	HASH says its scheme: bcrypt ($2y$, $2b$, $2a$), SHA-2
 *			($5$, $6$), yescrypt ($y$)
 *	# anything	a comment; so is a line of blanks
 *
 * Other schemes are refused by name: they are too weak, or crypt(3) does not
 * know them. So is what would cost seconds or much memory to check, since
 * whoever can connect can make us check it.
 */
#ifndef PROTO_HTPASSWD_H
#define PROTO_HTPASSWD_H

#include <stddef.h>

#define HTPASSWD_USER_MAX 255 /* bytes, as RFC 1929 section 2 has it */
#define HTPASSWD_HASH_MAX 255

enum htpasswd_scheme {
	HTPASSWD_BCRYPT_Y,
	HTPASSWD_BCRYPT_B,
	HTPASSWD_BCRYPT_A,
	HTPASSWD_SHA256,
	HTPASSWD_SHA512,
	HTPASSWD_YESCRYPT,
	HTPASSWD_SCHEMES
};

struct htpasswd {
	char user[HTPASSWD_USER_MAX + 1]; /* "": there is none */
	char hash[HTPASSWD_HASH_MAX + 1];
	enum htpasswd_scheme scheme;
};

/* The n bytes of a line, with or without its end. NULL, or what is wrong. */
const char *htpasswd_parse(const char *line, size_t n, struct htpasswd *out);
/* "$2y$", and a setting of it that costs little: does crypt(3) know it? */
const char *htpasswd_prefix(enum htpasswd_scheme s);
const char *htpasswd_trial(enum htpasswd_scheme s);

#endif
