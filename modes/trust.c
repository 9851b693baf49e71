/* SPDX-License-Identifier: MIT */
#include "modes/trust.h"

#include <string.h>

const char *trust_add(struct trust *t, const char *text)
{
	if (strcmp(text, "unix") == 0) {
		t->local = true;
		return NULL;
	}
	if (t->count == TRUST_MAX)
		return "too many ranges, 64 are possible";
	switch (cidr_parse(text, strlen(text), &t->ranges[t->count])) {
	case CIDR_OK:
		t->count++;
		return NULL;
	case CIDR_EBITS:
		return "the bits of a CIDR are 0 to 32, or to 128 for IPv6";
	case CIDR_EADDR:
		break;
	}
	return "not an address, a CIDR or \"unix\"";
}

bool trust_read_ip(const char *p, size_t n, uint8_t out[16])
{
	const char *end = n ? memchr(p, *p == '[' ? ']' : ':', n) : NULL;

	if (cidr_parse_ip(p, n, out))
		return true;
	if (!end)
		return false;
	if (*p == '[')
		p++;
	return cidr_parse_ip(p, (size_t)(end - p), out);
}

static bool is_trusted(const struct trust *t, const uint8_t ip[16])
{
	for (int i = 0; i < t->count; i++)
		if (cidr_has(&t->ranges[i], ip))
			return true;
	return false;
}

bool trust_has(const struct trust *t, const char *peer)
{
	uint8_t ip[16];

	if (strncmp(peer, "unix:", 5) == 0)
		return t->local;
	return trust_read_ip(peer, strlen(peer), ip) && is_trusted(t, ip);
}

/* The element before *end, which moves to its beginning. False: none. */
static bool last_element(const char *list, const char **end, const char **at,
			 size_t *n)
{
	const char *p = *end;

	while (p > list && strchr(", \t", p[-1]))
		p--;
	*n = 0;
	for (; p > list && !strchr(", \t", p[-1]); p--)
		++*n;
	*at = *end = p;
	return *n > 0;
}

bool trust_origin(const struct trust *t, const char *peer, const char *list,
		  char out[IP_TEXT_MAX])
{
	const char *end = list + strlen(list), *at;
	bool found = false;
	uint8_t ip[16];
	size_t n;

	if (!trust_has(t, peer))
		return false;
	while (last_element(list, &end, &at, &n) && trust_read_ip(at, n, ip)) {
		cidr_format_ip(ip, out);
		found = true;
		if (!is_trusted(t, ip))
			break;
	}
	return found;
}
