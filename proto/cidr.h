/* SPDX-License-Identifier: MIT */
/*
 * A range of addresses, as RFC 4632 section 3.1 and RFC 4291 section 2.3 write
 * it: "10.0.0.0/8", "2001:db8::/32", or one address. All addresses are looked
 * at as 16 bytes, IPv4 as v4-mapped.
 */
#ifndef PROTO_CIDR_H
#define PROTO_CIDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IP_TEXT_MAX 46 /* bytes of an address as text, with its 0 */

struct cidr {
	uint8_t net[16];
	uint8_t bits; /* 0 to 128 */
};

enum cidr_err {
	CIDR_OK = 0,
	CIDR_EADDR = -1, /* not an address in front */
	CIDR_EBITS = -2, /* not 0 to 32, or to 128 for IPv6 */
};

/* n bytes at p, no final 0 needed. */
enum cidr_err cidr_parse(const char *p, size_t n, struct cidr *out);
bool cidr_has(const struct cidr *c, const uint8_t ip[16]);
/* One address, n bytes at p, as 16. False: it is none. */
bool cidr_parse_ip(const char *p, size_t n, uint8_t out[16]);
/* An address as text, IPv4 if it is v4-mapped. Returns out. */
char *cidr_format_ip(const uint8_t ip[16], char out[IP_TEXT_MAX]);
/* An IPv4 address, 4 bytes in network order, as 16. */
void cidr_map_v4(uint8_t out[16], const void *v4);

#endif
