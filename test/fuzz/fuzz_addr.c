/* SPDX-License-Identifier: MIT */
/* Addresses, URLs and rules: what is accepted is written and read again as the
 * same, and holds nothing that could end a line. An address that is special is
 * never allowed by a rule of names. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "modes/egress.h"
#include "proto/addr.h"
#include "proto/noproxy.h"
#include "proto/pin.h"
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

static void check_server_url(const char *text)
{
	struct server_url url, again;
	char shown[ADDR_TEXT_MAX + PATH_MAX_LEN + 8];
	enum addr_err err = server_url_parse(text, &url);

	check(addr_strerror(err)[0]);
	if (err != ADDR_OK)
		return;
	check_addr(&url.addr);
	check(url.path[0] == '/' && !strpbrk(url.path, "\r\n "));
	server_url_format(&url, shown, sizeof(shown));
	check(server_url_parse(shown, &again) == ADDR_OK);
	check(url.tls == again.tls && strcmp(url.path, again.path) == 0);
	check(strcmp(url.addr.host, again.addr.host) == 0);
}

static void check_proxy_url(const char *text)
{
	struct proxy_url url, again;
	char shown[ADDR_TEXT_MAX + 10];

	if (proxy_url_parse(text, &url) != ADDR_OK)
		return;
	check(strlen(url.user) < sizeof(url.user));
	check(strlen(url.password) < sizeof(url.password));
	check_addr(&url.addr);
	proxy_url_format(&url, shown, sizeof(shown));
	check(proxy_url_parse(shown, &again) == ADDR_OK && !again.user[0]);
	check(url.socks == again.socks && url.tls == again.tls);
	check(url.addr.port == again.addr.port);
}

static void check_target(const struct addr *a)
{
	char text[ADDR_TEXT_MAX + 6];
	struct addr again;

	check_addr(a);
	target_format(a, text);
	check(target_parse(text, strlen(text), &again) == ADDR_OK);
	check(strcmp(a->host, again.host) == 0 && a->port == again.port);
}

/* May host, which resolved to this address, be dialled? */
static bool allowed(const struct egress *e, const char *host,
		    const char *address)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(443)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
				  .sin6_port = htons(443)};

	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
		return egress_allows(e, host, (struct sockaddr *)&v4);
	check(inet_pton(AF_INET6, address, &v6.sin6_addr) == 1);
	return egress_allows(e, host, (struct sockaddr *)&v6);
}

static const char *const special[] = {
	"127.0.0.1",     "169.254.169.254",  "0.0.0.0",
	"::1",           "::ffff:127.0.0.1", "64:ff9b::7f00:1",
	"2002:7f00:1::", "fe80::1",          "2001:0:1:2:3:4:80ff:fffe",
};

/* One rule that allows, and what it makes of addresses. */
static void check_rule(const char *text)
{
	static struct egress e;
	const struct egress_rule *r = &e.rules[0];

	e.count = 0;
	if (egress_add(&e, true, text))
		return;
	check(e.count == 1 && r->port_min >= 1 && r->port_min <= r->port_max);
	if (r->kind == RULE_CIDR)
		check(r->cidr.bits <= 128 && cidr_has(&r->cidr, r->cidr.net));
	check(allowed(&e, "a.example", "192.0.2.1"));
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		check(r->kind == RULE_CIDR || r->kind == RULE_LOOPBACK ||
		      !allowed(&e, r->name, special[i]));
	e.rules[0].allow = false;
	if (r->kind == RULE_NAME && r->port_min <= 443 && r->port_max >= 443)
		check(!allowed(&e, r->name, "192.0.2.1"));
	allowed(&e, "x.a.example.", "10.1.2.3");
}

static void check_ip(const uint8_t *p, size_t n)
{
	uint8_t ip[16], again[16];
	char text[IP_TEXT_MAX];

	if (!cidr_parse_ip((const char *)p, n, ip))
		return;
	cidr_format_ip(ip, text);
	check(cidr_parse_ip(text, strlen(text), again));
	check(memcmp(ip, again, 16) == 0);
}

static void check_listen(const char *text)
{
	char shown[ADDR_TEXT_MAX];
	struct addr a = {.host = "h"};

	if (addr_parse_listen(text, &a) != ADDR_OK)
		return;
	check(a.host[0] && strlen(a.host) <= HOST_MAX);
	host_is_loopback(a.host);
	addr_format(&a, shown);
	check(!addr_unix(&a) || strncmp(shown, "unix:", 5) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct addr a;
	struct pin pin, again;
	char text[600], shown[PIN_TEXT_MAX];

	if (addr_parse((const char *)p, n, &a) == ADDR_OK)
		check_addr(&a);
	if (target_parse((const char *)p, n, &a) == ADDR_OK)
		check_target(&a);
	check_ip(p, n);
	if (n >= sizeof(text))
		return 0;
	memcpy(text, p, n);
	text[n] = 0;
	check_server_url(text);
	check_proxy_url(text);
	check_rule(text);
	check_listen(text);
	if (pin_parse(text, &pin)) {
		pin_format(&pin, shown);
		check(pin_parse(shown, &again));
		check(memcmp(&pin, &again, sizeof(pin)) == 0);
	}
	noproxy_has(text, "a.example");
	noproxy_has(text, "192.0.2.1");
	return 0;
}
