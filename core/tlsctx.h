/* SPDX-License-Identifier: MIT */
/*
 * What all TLS sessions of one side share: certificates, suites, tickets and
 * the random generator. Private to the files of TLS in core/.
 */
#ifndef CORE_TLSCTX_H
#define CORE_TLSCTX_H

#include <stdbool.h>

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>

/* What reading says when tlsctx_remember() should be called. */
#if MBEDTLS_VERSION_MAJOR >= 3
#define TICKET_SHOWN MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
#else
#define TICKET_SHOWN 1 /* never: the handshake brings the ticket */
#endif

struct pin;
struct tickets;

struct tls_context {
	unsigned int users; /* its owner, and each session */
	mbedtls_ssl_config conf;
	mbedtls_entropy_context entropy;
	mbedtls_ctr_drbg_context drbg;
	mbedtls_x509_crt trusted;
	const struct pin *pins; /* the peer's key must have one of them */
	int npins;              /* 0: the certificate is verified instead */
	mbedtls_x509_crt certs; /* our chain, if there is one */
	mbedtls_pk_context key;
	struct tickets *tickets;     /* of a server */
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

#endif
