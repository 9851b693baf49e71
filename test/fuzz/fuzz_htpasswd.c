/* SPDX-License-Identifier: MIT */
/* A line of a file of users: what is taken is a user and a hash, and stays so
 * when it is written again. */
#include <stdio.h>
#include <string.h>

#include "proto/htpasswd.h"
#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct htpasswd a, b;
	char line[HTPASSWD_USER_MAX + HTPASSWD_HASH_MAX + 4];
	const char *prefix;
	int len;

	if (htpasswd_parse((const char *)p, n, &a) || !a.user[0])
		return 0;
	prefix = htpasswd_prefix(a.scheme);
	check(strncmp(a.hash, prefix, strlen(prefix)) == 0);
	check(!strpbrk(a.user, ":\r\n") && !strpbrk(a.hash, ":\r\n "));
	len = snprintf(line, sizeof(line), "%s:%s\r\n", a.user, a.hash);
	check(htpasswd_parse(line, (size_t)len, &b) == NULL);
	check(strcmp(a.user, b.user) == 0 && strcmp(a.hash, b.hash) == 0);
	check(a.scheme == b.scheme);
	return 0;
}
