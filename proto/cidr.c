/* SPDX-License-Identifier: MIT */
#include "proto/cidr.h"

#include <arpa/inet.h>
#include <string.h>

void cidr_map_v4(uint8_t out[16], const void *v4)
{
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, v4, 4);
}

/* 0 to most, in 1 to 3 digits. */
static bool read_bits(const char *p, size_t n, unsigned int most,
		      unsigned int *bits)
{
	*bits = 0;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9' || i == 3)
			return false;
		*bits = *bits * 10 + (unsigned int)(p[i] - '0');
	}
	return n > 0 && *bits <= most;
}

enum cidr_err cidr_parse(const char *p, size_t n, struct cidr *out)
{
	const char *slash = memchr(p, '/', n);
	size_t len = slash ? (size_t)(slash - p) : n;
	unsigned int most = 128, bits;
	char host[INET6_ADDRSTRLEN];
	struct in_addr v4;

	if (len >= sizeof(host) || memchr(p, 0, len))
		return CIDR_EADDR;
	memcpy(host, p, len);
	host[len] = 0;
	if (inet_pton(AF_INET, host, &v4) == 1) {
		cidr_map_v4(out->net, &v4);
		most = 32;
	} else if (inet_pton(AF_INET6, host, out->net) != 1) {
		return CIDR_EADDR;
	}
	bits = most;
	if (slash && !read_bits(slash + 1, n - len - 1, most, &bits))
		return CIDR_EBITS;
	out->bits = (uint8_t)(bits + (128 - most));
	return CIDR_OK;
}

bool cidr_parse_ip(const char *p, size_t n, uint8_t out[16])
{
	struct cidr c;

	if (memchr(p, '/', n) || cidr_parse(p, n, &c) != CIDR_OK)
		return false;
	memcpy(out, c.net, 16);
	return true;
}

char *cidr_format_ip(const uint8_t ip[16], char out[IP_TEXT_MAX])
{
	static const struct cidr mapped = {{[10] = 0xff, [11] = 0xff}, 96};
	bool v4 = cidr_has(&mapped, ip);

	/* the sizes are right, so it cannot fail */
	if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? ip + 12 : ip, out,
		       IP_TEXT_MAX))
		out[0] = 0;
	return out;
}

bool cidr_has(const struct cidr *c, const uint8_t ip[16])
{
	size_t whole = c->bits / 8;
	uint8_t mask = (uint8_t)(0xff00 >> (c->bits % 8));

	if (memcmp(ip, c->net, whole) != 0)
		return false;
	return c->bits % 8 == 0 || ((ip[whole] ^ c->net[whole]) & mask) == 0;
}
