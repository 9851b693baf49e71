/* SPDX-License-Identifier: MIT */
/*
 * TLS as an end on top of another end (mbedTLS 2.28: TLS 1.2; 3.6: 1.2 and
 * 1.3), either role. The contexts hold certificates, suites and tickets, and
 * outlive their sessions; each is of one thread.
 *
 *	OPENING	 handshake; the user gets opened() or dead(REASON_TLS, ...)
 *	OPEN	 records; close_notify is an eof, an end without it a RESET
 *	CLOSING	 dropped
 *
 * trust.md 3.5 and 3.6: verified by default, host name always set, own lists
 * of suites and curves, no renegotiation, TLS 1.2 at least; ALPN http/1.1.
 */
#ifndef CORE_TLS_H
#define CORE_TLS_H

#include "core/worker.h"
#include "proto/end.h"

struct pin;
struct tls_context;

/* What a side wants. All may be NULL or 0; files are PEM. */
struct tls_config {
	/* a client's */
	const char *ca; /* trusted certificates; NULL: the system's
			 * ($SSL_CERT_FILE, else the usual places) */
	bool insecure;  /* verify nothing */
	/* The server's key must have one of these, which then is all that
	 * counts: neither ca nor the name nor the dates of the certificate.
	 * They must stay. */
	const struct pin *pins;
	int npins;
	/* a server's: clients must have a certificate that one of these has
	 * signed */
	const char *client_ca;
	/* a server's context, on another thread maybe: sessions of one can be
	 * resumed with the other */
	const struct tls_context *like;
	/* both; a server must have them */
	const char *cert, *key; /* our own chain, and its key */
	bool only_1_3;
};

/* The options' names are in the texts: NULL: *error says what and where;
 * static or valid until the next call. */
struct tls_context *tls_client_context(const struct tls_config *config,
				       const char **error);
struct tls_context *tls_server_context(const struct tls_config *config,
				       const char **error);
/* One more owner, on the same thread; NULL is fine. */
struct tls_context *tls_context_ref(struct tls_context *ctx);
/* It goes with its last session, or its last owner. NULL is fine. */
void tls_context_free(struct tls_context *ctx);

/* A session on lower, an OPEN end that it takes, also on failure. host: name
 * that the certificate must carry, and SNI unless it is an address; NULL for a
 * server. NULL: no memory. */
struct end *tls_open(struct worker *w, struct tls_context *ctx,
		     struct end *lower, const char *host,
		     const struct end_events *events, void *user);

/* The suite of an open session, "TLS-ECDHE-...". */
const char *tls_describe(const struct end *e);
/* Does the library have TLS 1.3? */
bool tls_has_1_3(void);
/* Version of the library, "2.28.3". */
const char *tls_version(void);
/* Who computes AES-GCM: the library, or one that is faster. */
const char *tls_gcm(void);

#endif
