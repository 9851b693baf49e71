/* SPDX-License-Identifier: MIT */
/*
 * The server's dialling service: a stream that a client has opened gets a
 * connection to its target, if the rules allow it, and the two become a relay.
 */
#ifndef MODES_CONNECT_H
#define MODES_CONNECT_H

#include "core/log.h"
#include "core/meter.h"
#include "core/relay.h"
#include "core/worker.h"
#include "modes/roster.h"
#include "proto/addr.h"

struct connects {
	struct worker *worker;
	uint64_t timeout_ms;
	unsigned int keepalive_s;
	struct connect *first; /* those that still dial */
	unsigned int dialling;
	struct relays relays;
	struct meters meters; /* of those whose usage is counted */
	void (*ended)(struct connects *all); /* one has ended */
	struct log_limit refused;
	struct log_limit full; /* of a token's streams */
};

void connects_init(struct connects *all, struct worker *w);
/* Connect stream (OFFERED, from the client called peer) to target, if pass lets
 * it; takes stream. */
void connect_start(struct connects *all, struct end *stream,
		   const struct addr *target, const struct pass *pass,
		   const char *peer);
bool connects_busy(const struct connects *all);
/* Drop all, relays too. */
void connects_drop(struct connects *all, enum reason why);

#endif
