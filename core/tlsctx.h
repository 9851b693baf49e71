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
#include <mbedtls/x509_crt.h>

struct tls_context {
	mbedtls_ssl_config conf;
	mbedtls_entropy_context entropy;
	mbedtls_ctr_drbg_context drbg;
	mbedtls_x509_crt certs; /* the server's chain, or trusted ones */
	mbedtls_pk_context key;
	mbedtls_ssl_ticket_context tickets;
	mbedtls_ssl_session session; /* of the last connection, to resume */
	bool has_session;
	bool server;
};

/* Keep the session of ssl for the next connection. */
void tlsctx_remember(struct tls_context *ctx, mbedtls_ssl_context *ssl);
/* Offer it. */
void tlsctx_resume(struct tls_context *ctx, mbedtls_ssl_context *ssl);
/* Let ssl accept only a certificate for host, a name or an address literal. 0
 * or an error of mbedTLS. */
int tlsctx_set_host(mbedtls_ssl_context *ssl, const char *host);
/* Why the certificate was refused, or NULL if it was not that. */
const char *tlsctx_verify_text(const mbedtls_ssl_context *ssl);

#endif
