/* SPDX-License-Identifier: MIT */
/*
 * Names to addresses with c-ares: a resolver that never answers holds up no
 * other name. One resolver per worker, made at the first use.
 */
#ifndef CORE_RESOLVE_H
#define CORE_RESOLVE_H

#include "core/worker.h"
#include "proto/reason.h"

#define RESOLVE_MAX 16 /* addresses taken from one answer */

struct resolve;

/* n addresses, valid during the call; n is 0 when why is not DONE. The list
 * is in the order in which they should be tried (RFC 6724, then RFC 8305
 * section 4: families alternate). */
typedef void resolve_fn(void *ctx, enum reason why,
			const struct sockaddr_storage *addrs, int n);

/* Look host up. An address literal is answered too, and so are localhost and
 * *.localhost, which no file and no name server is asked about (RFC 6761
 * section 6.3). done is called exactly once unless resolve_drop() comes first,
 * never on this stack. NULL: no memory, or too much is being asked. */
struct resolve *resolve_start(struct worker *w, const char *host, uint16_t port,
			      resolve_fn *done, void *ctx);
void resolve_drop(struct resolve *r);
/* At exit: free the worker's resolver. Pending lookups must be dropped. */
void resolver_free(struct worker *w);
/* Version of the library. */
const char *resolve_version(void);

#endif
