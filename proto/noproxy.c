/* SPDX-License-Identifier: MIT */
#include "proto/noproxy.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "proto/cidr.h"

/* An entry of n bytes that is a name. */
static bool name_matches(const char *entry, size_t n, const char *host)
{
	size_t len = strlen(host);

	if (len && host[len - 1] == '.')
		len--;
	if (n && entry[n - 1] == '.')
		n--;
	if (n && *entry == '.') {
		entry++;
		n--;
	}
	if (n == 0 || n > len || strncasecmp(host + len - n, entry, n) != 0)
		return false;
	return n == len || host[len - n - 1] == '.';
}

bool noproxy_has(const char *list, const char *host)
{
	struct cidr ip, range;
	bool address = cidr_parse(host, strlen(host), &ip) == CIDR_OK;

	if (strcmp(list, "*") == 0)
		return true;
	while (*list) {
		size_t n = strcspn(list, ", \t");

		if (!address && name_matches(list, n, host))
			return true;
		if (address && cidr_parse(list, n, &range) == CIDR_OK &&
		    cidr_has(&range, ip.net))
			return true;
		list += n + (list[n] != 0);
	}
	return false;
}
