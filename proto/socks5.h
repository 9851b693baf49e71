/* SPDX-License-Identifier: MIT */
/*
 * SOCKS5 at the server's side (RFC 1928), one request, without I/O:
 *
 *	GREETING  version and methods	-> SOCKS5_GREETED: send the method
 *	USER	  name and password	-> SOCKS5_USER: somebody must judge them
 *		  (RFC 1929), if they are asked for
 *	VERDICT	  nothing is taken	-> socks5_admit(), or the end
 *	REQUEST	  CONNECT host:port	-> SOCKS5_DONE: target is known
 *
 * Bytes behind the request are not touched.
 */
#ifndef PROTO_SOCKS5_H
#define PROTO_SOCKS5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/addr.h"
#include "proto/reason.h"

#define SOCKS5_VERSION   5
#define SOCKS5_REPLY_MAX 22 /* an IPv6 address in a reply, section 6 */

enum socks5_event {
	SOCKS5_MORE,    /* all was used up */
	SOCKS5_GREETED, /* answer with socks5_method(), feed what is left */
	SOCKS5_USER,    /* see socks5_credentials() */
	SOCKS5_DONE,    /* target is known */
	SOCKS5_FAILED,  /* why says what is wrong; see socks5_refuse() */
};

struct socks5 {
	/* valid after DONE */
	struct addr target;
	/* valid after FAILED: BAD_REQUEST, FORBIDDEN (no method in common),
	 * PROXY_AUTH (a NUL in user or password), BAD_COMMAND, BAD_ADDRESS */
	enum reason why;
	/* private */
	uint8_t buf[520]; /* the message that arrives */
	uint16_t len;
	uint8_t state;
	bool auth;
};

/* auth: ask for user and password. */
void socks5_init(struct socks5 *s, bool auth);
/* Takes from *p, *n, advancing both. */
enum socks5_event socks5_feed(struct socks5 *s, const uint8_t **p, size_t *n);
/* The answer to the greeting: 2 bytes. */
size_t socks5_method(const struct socks5 *s, uint8_t out[SOCKS5_REPLY_MAX]);
/* After USER, valid until socks5_admit(). */
void socks5_credentials(const struct socks5 *s, const char **user,
			const char **password);
/* After USER: they are right. Wipes them and gives the answer, 2 bytes; then
 * feed what is left. */
size_t socks5_admit(struct socks5 *s, uint8_t out[SOCKS5_REPLY_MAX]);
/* The reply to the request (section 6); bound is "ADDR:PORT" or NULL. Returns
 * its length. */
size_t socks5_reply(uint8_t out[SOCKS5_REPLY_MAX], enum reason why,
		    const char *bound);
/* What to send when it ends for why, after USER, FAILED or DONE: 0 bytes when
 * this is not SOCKS5 at all. */
size_t socks5_refuse(const struct socks5 *s, enum reason why,
		     uint8_t out[SOCKS5_REPLY_MAX]);

#endif
