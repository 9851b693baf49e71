/* SPDX-License-Identifier: MIT */
#include "modes/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/noproxy.h"

#include "modes/options.h"

#define USAGE 2

/* Not HTTP_PROXY: a CGI program's client can set it. */
static const char *const ws[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
static const char *const wss[] = {"https_proxy", "HTTPS_PROXY", "all_proxy",
				  "ALL_PROXY", NULL};

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

static bool is_direct(const char *host)
{
	static const char *const names[] = {"no_proxy", "NO_PROXY", NULL};
	const char *name, *list = find(names, &name);

	return host_is_loopback(host) || (list && noproxy_has(list, host));
}

/* 0, or the exit code after an error has been printed. */
static int choose(struct way *way)
{
	const char *name, *value;

	way->use_proxy = false;
	if (is_direct(way->url.addr.host))
		return 0;
	value = find(way->url.tls ? wss : ws, &name);
	if (!value)
		return 0;
	if (proxy_url_parse(value, &way->proxy) != ADDR_OK) {
		fprintf(stderr,
			"wsp: environment %s: not a proxy that can be used "
			"(http://, https://, socks5://); --proxy none does "
			"without\n",
			name);
		return USAGE;
	}
	way->use_proxy = true;
	return 0;
}

int proxy_choose(struct options *o)
{
	int code = 0;

	for (int i = 0; i < o->servers.count && !code; i++) {
		struct way *way = &o->servers.at[i];

		way->proxy = o->proxy;
		way->use_proxy = o->use_proxy;
		if (!o->proxy_set)
			code = choose(way);
	}
	return code;
}

static void forget(const char *const *names)
{
	for (; *names; names++) {
		char *value = getenv(*names);

		if (value && strchr(value, '@'))
			explicit_bzero(value, strlen(value));
	}
}

void proxy_forget(void)
{
	forget(ws);
	forget(wss);
}
