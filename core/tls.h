/* SPDX-License-Identifier: MIT */
/*
 * TLS as an end on top of another end (mbedTLS 2.28: TLS 1.2; 3.6: 1.2 and
 * 1.3), either role. The contexts hold certificates, suites and tickets, are
 * made once, and outlive their sessions.
 *
 *	OPENING	 handshake; the user gets opened() or dead(REASON_TLS, ...)
 *	OPEN	 records; close_notify is an eof, an end without it a RESET
 *	CLOSING	 dropped
 *
 * trust.md 3.5 and 3.6: verified by default, host name always set, own lists
 * of suites and curves, no renegotiation, TLS 1.2 at least.
 */
#ifndef CORE_TLS_H
#define CORE_TLS_H

#include "core/worker.h"
#include "proto/end.h"

struct tls_context;

/* For a client. ca: file of trusted certificates, NULL: the system's
 * ($SSL_CERT_FILE, else the usual places). insecure: verify nothing.
 * NULL: *error says what and where; static or valid until the next call. */
struct tls_context *tls_client_context(const char *ca, bool insecure,
				       const char **error);
/* For a server: PEM files of the chain and of the key. */
struct tls_context *tls_server_context(const char *cert, const char *key,
				       const char **error);
/* All sessions must be gone. NULL is fine. */
void tls_context_free(struct tls_context *ctx);

/* A session on lower, an OPEN end that it takes, also on failure. host: name
 * that the certificate must carry, and SNI unless it is an address; NULL for a
 * server. NULL: no memory. */
struct end *tls_open(struct worker *w, struct tls_context *ctx,
		     struct end *lower, const char *host,
		     const struct end_events *events, void *user);

/* The suite of an open session, "TLS-ECDHE-...". */
const char *tls_describe(const struct end *e);
/* Version of the library, "2.28.3". */
const char *tls_version(void);

#endif
