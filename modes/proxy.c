/* SPDX-License-Identifier: MIT */
#include "modes/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "modes/options.h"

#define USAGE 2

/* The first of these variables that is set and not empty; *name is which. */
static const char *find(const char *const *names, const char **name)
{
	for (; *names; names++) {
		const char *value = getenv(*names);

		*name = *names;
		if (value && *value)
			return value;
	}
	return NULL;
}

/* An entry of n bytes: a host, a domain with or without a dot, or "*". */
static bool entry_matches(const char *entry, size_t n, const char *host)
{
	size_t len = strlen(host);

	if (n == 1 && *entry == '*')
		return true;
	if (n && *entry == '.') {
		entry++;
		n--;
	}
	if (n == 0 || n > len || strncasecmp(host + len - n, entry, n) != 0)
		return false;
	return n == len || host[len - n - 1] == '.';
}

static bool is_direct(const char *host)
{
	static const char *const names[] = {"no_proxy", "NO_PROXY", NULL};
	const char *name, *list = find(names, &name);

	if (host_is_loopback(host))
		return true;
	while (list && *list) {
		size_t n = strcspn(list, ", ");

		if (entry_matches(list, n, host))
			return true;
		list += n + (list[n] != 0);
	}
	return false;
}

int proxy_choose(struct options *o)
{
	/* not HTTP_PROXY: a CGI program's client can set it */
	static const char *const ws[] = {"http_proxy", "all_proxy", "ALL_PROXY",
					 NULL};
	static const char *const wss[] = {"https_proxy", "HTTPS_PROXY",
					  "all_proxy", "ALL_PROXY", NULL};
	const char *name, *value;

	if (o->proxy_set || is_direct(o->server.addr.host))
		return 0;
	value = find(o->server.tls ? wss : ws, &name);
	if (!value)
		return 0;
	if (proxy_url_parse(value, &o->proxy) != ADDR_OK) {
		fprintf(stderr,
			"wsp: environment %s: not a proxy that can be used "
			"(http://, socks5://); --proxy none does without\n",
			name);
		return USAGE;
	}
	o->use_proxy = true;
	return 0;
}
