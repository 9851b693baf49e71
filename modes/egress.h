/* SPDX-License-Identifier: MIT */
/*
 * Which targets the server dials (trust.md 3.12). Rules are looked at in order,
 * the last one that matches wins; the check is made on the resolved address
 * that is then dialled, and on the name that was asked for.
 *
 *	RULE    TARGET[:PORT[-PORT]]
 *	TARGET  CIDR | NAME | *.NAME | loopback | private | any
 *
 * Before any rule: all is allowed but loopback, link-local (metadata services
 * too), unspecified and multicast addresses, in every form that carries an
 * IPv4 address inside an IPv6 one (mapped, compatible, NAT64, 6to4).
 * "loopback" in a rule stands for all of these; only it and CIDR rules can
 * allow them: "any", "private" and names, which are their owners', do not.
 */
#ifndef MODES_EGRESS_H
#define MODES_EGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proto/addr.h"
#include "proto/cidr.h"

#define EGRESS_RULES_MAX 256

enum egress_kind {
	RULE_ANY,
	RULE_LOOPBACK,
	RULE_PRIVATE,
	RULE_CIDR,
	RULE_NAME,
	RULE_SUFFIX
};

struct egress_rule {
	enum egress_kind kind;
	bool allow;
	struct cidr cidr;        /* CIDR */
	char name[HOST_MAX + 1]; /* NAME, SUFFIX (without "*.") */
	uint16_t port_min, port_max;
};

struct egress {
	bool open; /* no restriction before the rules: anonymous on loopback */
	int count;
	struct egress_rule rules[EGRESS_RULES_MAX];
};

/* A rule. NULL: done; else what is wrong with text (static). */
const char *egress_rule_read(struct egress_rule *r, bool allow,
			     const char *text);
/* Append a rule. NULL: done; else what is wrong with text (static). */
const char *egress_add(struct egress *e, bool allow, const char *text);
/* May sa, which host resolved to, be dialled? */
bool egress_allows(const struct egress *e, const char *host,
		   const struct sockaddr *sa);
/* May it, too, by n rules of somebody who may do less than all? Before them
 * everything is allowed, but names and "any" allow no loopback here either. */
bool egress_also_allows(const struct egress_rule *rules, size_t n,
			const char *host, const struct sockaddr *sa);

#endif
