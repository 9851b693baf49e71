/* SPDX-License-Identifier: MIT */
/*
 * A connection whose first bytes are a PROXY header (proto/proxyproto.h), until
 * they have been read. Not one byte behind them is touched. The time that it
 * may take is the owner's business.
 */
#ifndef MODES_PREFACE_H
#define MODES_PREFACE_H

#include "proto/addr.h"
#include "proto/end.h"

struct preface;

struct preface_events {
	/* e is the callee's; from is NULL if the header does not tell. p is
	 * gone. */
	void (*done)(void *ctx, struct end *e, const struct addr *from);
	/* p is gone, and so is the connection. detail may be NULL. */
	void (*failed)(void *ctx, enum reason why, const char *detail);
};

/* Takes e, which is OPEN. NULL: no memory, e is gone. */
struct preface *preface_open(struct end *e, const struct preface_events *events,
			     void *ctx);
/* No call up follows. */
void preface_drop(struct preface *p, enum reason why);

#endif
