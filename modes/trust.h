/* SPDX-License-Identifier: MIT */
/*
 * Which peers are believed when they say, by X-Forwarded-For, whom they speak
 * for. Each proxy appends the address that it was connected from, so the list
 * is read from its right end: the first address there that is not trusted
 * itself is the client; what is left of it anybody may have invented.
 */
#ifndef MODES_TRUST_H
#define MODES_TRUST_H

#include <stdbool.h>

#include "proto/cidr.h"

#define TRUST_MAX 64

struct trust {
	struct cidr ranges[TRUST_MAX];
	int count;
	bool local; /* peers on Unix sockets */
};

/* "CIDR", "ADDR" or "unix". NULL: done; else what is wrong with text (static).
 */
const char *trust_add(struct trust *t, const char *text);
/* The address in n bytes at p: "ADDR", "ADDR:PORT", "[IPV6]" or
 * "[IPV6]:PORT". False: none. */
bool trust_read_ip(const char *p, size_t n, uint8_t out[16]);
/* Is peer one of them? */
bool trust_has(const struct trust *t, const char *peer);
/* Whom does peer ("ADDR:PORT", "unix:...") speak for, by this list? False: for
 * itself. out is an address, never the peer's own text. */
bool trust_origin(const struct trust *t, const char *peer, const char *list,
		  char out[IP_TEXT_MAX]);

#endif
