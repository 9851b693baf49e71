/* SPDX-License-Identifier: MIT */
/*
 * The session tickets of a server: who has one is spared the expensive half of
 * the handshake. The keys change by themselves and never leave the process.
 *
 * All contexts of a server share them, whichever thread they are on, so that a
 * ticket is good at every worker; a lock is held while one is made or read.
 * Private to the files of TLS in core/.
 */
#ifndef CORE_TICKETS_H
#define CORE_TICKETS_H

#include <mbedtls/ssl.h>

struct tickets;

/* With one reference. NULL: no memory, or no randomness. */
struct tickets *tickets_new(void);
struct tickets *tickets_ref(struct tickets *t);
/* Give a reference back, from any thread; NULL is fine. */
void tickets_free(struct tickets *t);
/* Have sessions of conf give and take them; t must outlive it. */
void tickets_use(struct tickets *t, mbedtls_ssl_config *conf);

#endif
