/* SPDX-License-Identifier: MIT */
#include "modes/egress.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define V4(a, b, c, d, n)                                               \
	{                                                               \
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}, \
			96 + (n)                                        \
	}

/* "loopback": what only this machine, its link or its cloud can mean. */
static const struct cidr special[] = {
	V4(127, 0, 0, 0, 8),
	V4(0, 0, 0, 0, 8),          /* this network, unspecified */
	V4(169, 254, 0, 0, 16),     /* link-local, metadata */
	V4(100, 100, 100, 200, 32), /* metadata of Alibaba Cloud */
	V4(168, 63, 129, 16, 32),   /* metadata of Azure */
	V4(224, 0, 0, 0, 4),        /* multicast */
	V4(255, 255, 255, 255, 32),
	{{0}, 127},                                             /* :: and ::1 */
	{{0xfe, 0x80}, 10},                                     /* link-local */
	{{0xff}, 8},                                            /* multicast */
	{{0xfd, 0x00, 0x0e, 0xc2, [14] = 2, [15] = 0x54}, 128}, /* of AWS */
	{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48}, /* RFC 8215: anything */
};

static const struct cidr privates[] = {
	V4(10, 0, 0, 0, 8),    V4(172, 16, 0, 0, 12), V4(192, 168, 0, 0, 16),
	V4(100, 64, 0, 0, 10), {{0xfc}, 7},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool in_any(const uint8_t *ip, const struct cidr *nets, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (cidr_has(&nets[i], ip))
			return true;
	return false;
}

/* IPv6 addresses that a translator or a tunnel turns into IPv4 ones count as
 * these: NAT64 (RFC 6052), 6to4 (RFC 3056), v4-compatible (RFC 4291),
 * v4-translated (RFC 2765), Teredo (RFC 4380: inverted). */
static void unwrap(uint8_t ip[16])
{
	static const struct cidr embedded[] = {
		{{0x00, 0x64, 0xff, 0x9b}, 96},
		{{[8] = 0xff, [9] = 0xff}, 96},
		{{0}, 96},
	};
	static const struct cidr none = {{0}, 127}; /* :: and ::1 */
	static const struct cidr sixtofour = {{0x20, 0x02}, 16};
	static const struct cidr teredo = {{0x20, 0x01}, 32};
	uint8_t v4[4];

	if (in_any(ip, embedded, COUNT(embedded)) && !cidr_has(&none, ip))
		memcpy(v4, ip + 12, 4);
	else if (cidr_has(&sixtofour, ip))
		memcpy(v4, ip + 2, 4);
	else if (cidr_has(&teredo, ip))
		for (int i = 0; i < 4; i++)
			v4[i] = (uint8_t)~ip[12 + i];
	else
		return;
	cidr_map_v4(ip, v4);
}

/* False: neither IPv4 nor IPv6. */
static bool read_sockaddr(const struct sockaddr *sa, uint8_t ip[16],
			  uint16_t *port)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;

	if (sa->sa_family == AF_INET) {
		cidr_map_v4(ip, &v4->sin_addr);
		*port = ntohs(v4->sin_port);
		return true;
	}
	if (sa->sa_family != AF_INET6)
		return false;
	memcpy(ip, &v6->sin6_addr, 16);
	*port = ntohs(v6->sin6_port);
	unwrap(ip);
	return true;
}

/* Reading rules. */

static const char *read_ports(const char *p, struct egress_rule *r)
{
	static const char error[] = "a port is a number from 1 to 65535, or "
				    "two with a '-'";
	unsigned long min, max;
	char *end;

	if (*p < '0' || *p > '9')
		return error;
	min = max = strtoul(p, &end, 10);
	if (*end == '-') {
		if (end[1] < '0' || end[1] > '9')
			return error;
		max = strtoul(end + 1, &end, 10);
	}
	if (*end || min < 1 || max > 65535 || min > max)
		return error;
	r->port_min = (uint16_t)min;
	r->port_max = (uint16_t)max;
	return NULL;
}

static const char *read_target(const char *text, struct egress_rule *r)
{
	enum cidr_err err = cidr_parse(text, strlen(text), &r->cidr);

	if (err == CIDR_EBITS)
		return "the bits of a CIDR are 0 to 32, or to 128 for IPv6";
	if (err == CIDR_OK) {
		r->kind = RULE_CIDR;
	} else if (strcmp(text, "any") == 0) {
		r->kind = RULE_ANY;
	} else if (strcmp(text, "loopback") == 0) {
		r->kind = RULE_LOOPBACK;
	} else if (strcmp(text, "private") == 0) {
		r->kind = RULE_PRIVATE;
	} else {
		r->kind = strncmp(text, "*.", 2) == 0 ? RULE_SUFFIX : RULE_NAME;
		if (r->kind == RULE_SUFFIX)
			text += 2;
		if (!host_parse(text, strlen(text), r->name) ||
		    host_family(r->name))
			return "neither an address, CIDR or name, nor loopback,"
			       " private or any";
	}
	return NULL;
}

const char *egress_rule_read(struct egress_rule *r, bool allow,
			     const char *text)
{
	char target[HOST_MAX + 8];
	const char *colon, *error = NULL;
	size_t n = strlen(text);

	*r = (struct egress_rule){
		.allow = allow, .port_min = 1, .port_max = 65535};
	if (text[0] == '[') { /* IPv6, so that a port can follow */
		text++;
		n = strcspn(text, "]");
		if (!text[n])
			return "a ']' is missing";
		colon = text[n + 1] ? text + n + 1 : NULL;
		if (colon && *colon != ':')
			return "a ':' and a port may follow ']'";
	} else {
		colon = strchr(text, ':');
		if (colon && strchr(colon + 1, ':'))
			colon = NULL; /* IPv6 */
		n = colon ? (size_t)(colon - text) : n;
	}
	if (n >= sizeof(target))
		return "too long";
	memcpy(target, text, n);
	target[n] = 0;
	if (colon)
		error = read_ports(colon + 1, r);
	return error ? error : read_target(target, r);
}

const char *egress_add(struct egress *e, bool allow, const char *text)
{
	const char *error;

	if (e->count == EGRESS_RULES_MAX)
		return "too many rules, 256 are possible";
	error = egress_rule_read(&e->rules[e->count], allow, text);
	e->count += !error;
	return error;
}

/* Looking at targets. */

static bool name_matches(const struct egress_rule *r, const char *host)
{
	size_t n = strlen(host), m = strlen(r->name);

	if (n && host[n - 1] == '.')
		n--;
	if (m && r->name[m - 1] == '.')
		m--;
	if (r->kind == RULE_NAME)
		return n == m && strncasecmp(host, r->name, n) == 0;
	return n > m && host[n - m - 1] == '.' &&
	       strncasecmp(host + n - m, r->name, m) == 0;
}

/* What egress_allows() knows of a target. */
struct target {
	const char *host;
	uint8_t ip[16];
	uint16_t port;
	bool special;
	bool shielded; /* special, and denied by default */
};

/* Who owns a name must not be able to lift the default by DNS, "any" means the
 * world, and services of metadata live in private networks: only loopback and
 * CIDR rules allow what is shielded. */
static bool rule_matches(const struct egress_rule *r, const struct target *t)
{
	bool explicit = r->kind == RULE_LOOPBACK || r->kind == RULE_CIDR;

	if (t->port < r->port_min || t->port > r->port_max)
		return false;
	if (r->allow && t->shielded && !explicit)
		return false;
	switch (r->kind) {
	case RULE_ANY:
		return true;
	case RULE_LOOPBACK:
		return t->special;
	case RULE_PRIVATE:
		return in_any(t->ip, privates, COUNT(privates));
	case RULE_CIDR:
		return cidr_has(&r->cidr, t->ip);
	case RULE_NAME:
	case RULE_SUFFIX:
		return name_matches(r, t->host);
	}
	return false;
}

static bool read_sa(struct target *t, const char *host,
		    const struct sockaddr *sa)
{
	t->host = host;
	if (!read_sockaddr(sa, t->ip, &t->port))
		return false;
	t->special = in_any(t->ip, special, COUNT(special));
	t->shielded = t->special;
	return true;
}

static bool judge(const struct egress_rule *rules, size_t n,
		  const struct target *t, bool allowed)
{
	for (size_t i = 0; i < n; i++)
		if (rule_matches(&rules[i], t))
			allowed = rules[i].allow;
	return allowed;
}

bool egress_allows(const struct egress *e, const char *host,
		   const struct sockaddr *sa)
{
	struct target t;

	if (!read_sa(&t, host, sa))
		return false;
	t.shielded &= !e->open;
	return judge(e->rules, (size_t)e->count, &t, !t.shielded);
}

bool egress_also_allows(const struct egress_rule *rules, size_t n,
			const char *host, const struct sockaddr *sa)
{
	struct target t;

	return read_sa(&t, host, sa) && judge(rules, n, &t, true);
}
