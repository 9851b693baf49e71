/* SPDX-License-Identifier: MIT */
/*
 * What all TLS sessions of one side share: certificates, suites, tickets and
 * the random generator. Private to core/tls.c and core/tlsctx.c.
 */
#ifndef CORE_TLSCTX_H
#define CORE_TLSCTX_H

#include <stdbool.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

/* What reading says when tlsctx_remember() should be called. */
#if MBEDTLS_VERSION_MAJOR >= 3
#define TICKET_SHOWN MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
#else
#define TICKET_SHOWN 1 /* never: the handshake brings the ticket */
#endif

struct tls_context {
	mbedtls_ssl_config conf;
	mbedtls_entropy_context entropy;
	mbedtls_ctr_drbg_context drbg;
	mbedtls_x509_crt certs; /* the server's chain, or trusted ones */
	mbedtls_pk_context key;
	mbedtls_ssl_ticket_context tickets;
	mbedtls_ssl_session session; /* of the last connection, to resume */
	char *session_host; /* what it was verified for; NULL: no session */
	bool server;
};

/* Keep the session of ssl for the next connection to host. */
void tlsctx_remember(struct tls_context *ctx, mbedtls_ssl_context *ssl,
		     const char *host);
/* Offer what was kept, if it was for host: a session that is resumed is not
 * verified again. */
void tlsctx_resume(struct tls_context *ctx, mbedtls_ssl_context *ssl,
		   const char *host);
/* Let ssl accept only a certificate for host, a name or an address literal. 0
 * or an error of mbedTLS. */
int tlsctx_set_host(mbedtls_ssl_context *ssl, const char *host);
/* What err of ssl means, in words for its user. */
void tlsctx_error_text(const mbedtls_ssl_context *ssl, int err, char *out,
		       size_t size);
/* NO_MEMORY, TLS: a certificate was refused, or PROTOCOL. */
enum reason tlsctx_reason(int err);

#endif
