/* SPDX-License-Identifier: MIT */
/*
 * Where somebody comes from, as far as limits for each address count: an IPv4
 * address, or an IPv6 network of 64 bits, since one machine has all of it.
 */
#ifndef MODES_SOURCE_H
#define MODES_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

struct source {
	uint8_t net[16]; /* IPv4 is v4-mapped */
};

/* peer is "ADDR", "ADDR:PORT" or "[IPV6]:PORT". False: it has no address, as
 * "unix:..." has none. */
bool source_of(const char *peer, struct source *out);
bool source_equal(const struct source *a, const struct source *b);

#endif
