/* SPDX-License-Identifier: MIT */
/*
 * SOCKS4 and SOCKS4a at the server's side (Ying-Da Lee's documents, 1992 and
 * 1995): one request, CONNECT, without I/O. A user's name is skipped, not
 * believed. Bytes behind the request are not touched.
 */
#ifndef PROTO_SOCKS4_H
#define PROTO_SOCKS4_H

#include <stddef.h>
#include <stdint.h>

#include "proto/addr.h"
#include "proto/reason.h"

#define SOCKS4_VERSION   4
#define SOCKS4_REPLY_MAX 8

enum socks4_event { SOCKS4_MORE, SOCKS4_DONE, SOCKS4_FAILED };

struct socks4 {
	/* valid after DONE */
	struct addr target;
	/* valid after FAILED: BAD_REQUEST, BAD_COMMAND, BAD_ADDRESS */
	enum reason why;
	/* private */
	uint8_t head[8]; /* VN CD DSTPORT DSTIP */
	char name[HOST_MAX + 1];
	uint16_t len; /* of the part that arrives */
	uint8_t state;
};

void socks4_init(struct socks4 *s);
/* Takes from *p, *n, advancing both. */
enum socks4_event socks4_feed(struct socks4 *s, const uint8_t **p, size_t *n);
/* 90 for DONE, else 91; bound is "ADDR:PORT" or NULL. Returns the length. */
size_t socks4_reply(uint8_t out[SOCKS4_REPLY_MAX], enum reason why,
		    const char *bound);

#endif
