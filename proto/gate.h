/* SPDX-License-Identifier: MIT */
/*
 * A gate reads the first bytes of a connection and tells for whom they are:
 * for the server, being the handshake of somebody who knows the token, or for
 * the web site that the server hides in.
 *
 *	MORE	nothing is certain; gate_safe() bytes may go to the site
 *	OURS	the head is complete, good, and has the token
 *	THEIRS	anything else: all of it may go to the site
 *
 * The site gets each byte as soon as it has come, so that it answers what it
 * would have answered, when it would have. Only from the field on that may
 * carry the token (Auth) bytes are held back: with the right one, they are
 * none of its business; with another one it is THEIRS as soon as that field is
 * complete, however much of it was right.
 */
#ifndef PROTO_GATE_H
#define PROTO_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/upgrade.h"

#define GATE_HOLD_MAX 1024 /* bytes of an Auth field that does not end */

enum gate_state { GATE_MORE, GATE_OURS, GATE_THEIRS };

struct gate_rule {
	/* Is this token somebody's? In constant time. */
	bool (*knows)(void *ctx, const char *token);
	/* May this complete request be a tunnel? DONE, or why not. */
	enum reason (*check)(void *ctx, const struct upgrade_request *req);
	void *ctx;
};

struct gate;

/* NULL: no memory. */
struct gate *gate_new(const struct gate_rule *rule);
void gate_free(struct gate *g);

/* The next bytes; after OURS or THEIRS none are looked at. */
enum gate_state gate_feed(struct gate *g, const uint8_t *p, size_t n);
/* Of all bytes so far, how many may go to the site; never fewer than before. */
size_t gate_safe(const struct gate *g);
/* THEIRS: what was wrong, for the log; valid as long as g. */
const char *gate_why(const struct gate *g);

#endif
