/* SPDX-License-Identifier: MIT */
/* Addresses, URLs and rules: what is accepted is written and read again as the
 * same, and holds nothing that could end a line. */
#include <string.h>

#include "modes/egress.h"
#include "proto/addr.h"
#include "test/fuzz/fuzz.h"

static void check_addr(const struct addr *a)
{
	char text[ADDR_TEXT_MAX];
	struct addr again;

	check(strlen(a->host) <= HOST_MAX);
	check(!strpbrk(a->host, "\r\n \t/@%"));
	addr_format(a, text);
	check(addr_parse(text, strlen(text), &again) == ADDR_OK);
	check(strcmp(a->host, again.host) == 0 && a->port == again.port);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct egress e;
	struct server_url url;
	struct addr a;
	char text[600];

	if (addr_parse((const char *)p, n, &a) == ADDR_OK)
		check_addr(&a);
	if (target_parse((const char *)p, n, &a) == ADDR_OK)
		check_addr(&a);
	if (n >= sizeof(text))
		return 0;
	memcpy(text, p, n);
	text[n] = 0;
	if (server_url_parse(text, &url) == ADDR_OK) {
		check_addr(&url.addr);
		check(url.path[0] == '/' && !strpbrk(url.path, "\r\n "));
	}
	e.count = 0;
	if (!egress_add(&e, true, text))
		check(e.count == 1 && e.rules[0].port_min >= 1 &&
		      e.rules[0].port_min <= e.rules[0].port_max);
	addr_parse_listen(text, &a);
	return 0;
}
