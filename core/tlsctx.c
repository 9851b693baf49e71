/* SPDX-License-Identifier: MIT */
#include "core/tlsctx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mbedtls/error.h>
#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif

#include "core/gcm.h"
#include "core/oom.h"
#include "core/tickets.h"
#include "core/tls.h"

#define NOT_A_PAIR 1000 /* no error of mbedTLS is positive */
#define NO_MEMORY  1001

/* Forward secrecy and AEAD only; the server's order counts. */
#define AES_GCM                                                  \
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,         \
		MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,   \
		MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, \
		MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
#define CHACHA                                                 \
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, \
		MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
#if MBEDTLS_VERSION_MAJOR >= 3
#define AES_GCM_1_3 \
	MBEDTLS_TLS1_3_AES_128_GCM_SHA256, MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
#define CHACHA_1_3 MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
#else
#define AES_GCM_1_3
#define CHACHA_1_3
#endif

static const int aes_first[] = {
	AES_GCM_1_3 CHACHA_1_3 AES_GCM,
	CHACHA,
	0,
};
/* mbedTLS itself is faster so, and constant in time. */
static const int chacha_first[] = {
	CHACHA_1_3 AES_GCM_1_3 CHACHA,
	AES_GCM,
	0,
};

/* Those of certificates, too: some have keys on P-384. */
#if MBEDTLS_VERSION_MAJOR >= 3
static const uint16_t groups[] = {
	MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
	MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
	MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
	MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};
#else
static const mbedtls_ecp_group_id groups[] = {
	MBEDTLS_ECP_DP_CURVE25519,
	MBEDTLS_ECP_DP_SECP256R1,
	MBEDTLS_ECP_DP_SECP384R1,
	MBEDTLS_ECP_DP_NONE,
};
#endif

/* Where distributions keep the certificates that they trust. */
static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/cert.pem",
};

/* A peer that wants something else, such as h2 alone, is told so (RFC 7301). */
static const char *protocols[] = {"http/1.1", NULL};

bool tls_has_1_3(void)
{
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
	return true;
#else
	return false;
#endif
}

static int set_protocol(mbedtls_ssl_config *conf, bool only_1_3)
{
	mbedtls_ssl_conf_ciphersuites(conf,
				      gcm_is_fast() ? aes_first : chacha_first);
#if MBEDTLS_VERSION_MAJOR >= 3
	mbedtls_ssl_conf_groups(conf, groups);
	mbedtls_ssl_conf_min_tls_version(conf,
					 only_1_3 ? MBEDTLS_SSL_VERSION_TLS1_3
						  : MBEDTLS_SSL_VERSION_TLS1_2);
#else
	(void)only_1_3; /* refused where options are read */
	mbedtls_ssl_conf_curves(conf, groups);
	mbedtls_ssl_conf_min_version(conf, MBEDTLS_SSL_MAJOR_VERSION_3,
				     MBEDTLS_SSL_MINOR_VERSION_3);
#endif
	return mbedtls_ssl_conf_alpn_protocols(conf, protocols);
}

static int start_crypto(struct tls_context *ctx)
{
	if (!gcm_setup())
		return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
#if MBEDTLS_VERSION_MAJOR >= 3
	if (psa_crypto_init() != PSA_SUCCESS)
		return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
#endif
	return mbedtls_ctr_drbg_seed(&ctx->drbg, mbedtls_entropy_func,
				     &ctx->entropy, NULL, 0);
}

/* All members are initialised, so that tls_context_free() may follow. */
static struct tls_context *context_new(bool server, bool only_1_3)
{
	struct tls_context *ctx = calloc(1, sizeof(*ctx));
	int end = server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT;

	if (!ctx)
		return NULL;
	ctx->users = 1;
	ctx->server = server;
	mbedtls_ssl_config_init(&ctx->conf);
	mbedtls_entropy_init(&ctx->entropy);
	mbedtls_ctr_drbg_init(&ctx->drbg);
	mbedtls_x509_crt_init(&ctx->trusted);
	mbedtls_x509_crt_init(&ctx->certs);
	mbedtls_pk_init(&ctx->key);
	mbedtls_ssl_session_init(&ctx->session);
	if (start_crypto(ctx) ||
	    mbedtls_ssl_config_defaults(&ctx->conf, end,
					MBEDTLS_SSL_TRANSPORT_STREAM,
					MBEDTLS_SSL_PRESET_DEFAULT) ||
	    set_protocol(&ctx->conf, only_1_3)) {
		tls_context_free(ctx);
		return NULL;
	}
	mbedtls_ssl_conf_rng(&ctx->conf, mbedtls_ctr_drbg_random, &ctx->drbg);
#ifdef MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED
	mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
		&ctx->conf,
		MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
#endif
	return ctx;
}

struct tls_context *tls_context_ref(struct tls_context *ctx)
{
	if (ctx)
		ctx->users++;
	return ctx;
}

void tls_context_free(struct tls_context *ctx)
{
	if (!ctx || --ctx->users)
		return;
	mbedtls_ssl_session_free(&ctx->session);
	free(ctx->session_host);
	tickets_free(ctx->tickets);
	mbedtls_pk_free(&ctx->key);
	mbedtls_x509_crt_free(&ctx->certs);
	mbedtls_x509_crt_free(&ctx->trusted);
	mbedtls_ssl_config_free(&ctx->conf);
	mbedtls_ctr_drbg_free(&ctx->drbg);
	mbedtls_entropy_free(&ctx->entropy);
	free(ctx);
	/* PSA is the process's: another context may be using it */
}

/* Files. */

/* What is wrong with file of option, in words; set-up happens once. */
static const char *describe(const char *option, const char *file, int err)
{
	static _Thread_local char text[512];
	char why[128];

	if (access(file, R_OK) != 0)
		snprintf(why, sizeof(why), "%s", strerror(errno));
	else if (err == NOT_A_PAIR)
		snprintf(why, sizeof(why), "not the key of --tls-cert");
	else if (err == NO_MEMORY)
		snprintf(why, sizeof(why), "out of memory");
	else if (err == MBEDTLS_ERR_PK_FILE_IO_ERROR ||
		 err == MBEDTLS_ERR_X509_FILE_IO_ERROR)
		snprintf(why, sizeof(why), "cannot be read, or no memory");
	else
		mbedtls_strerror(err, why, sizeof(why));
	snprintf(text, sizeof(text), "%s %s: %s", option, file, why);
	return text;
}

/* NULL, or what is wrong. strict: each certificate must be readable, which is
 * too much to ask of a system's bundle. */
static const char *read_certs(mbedtls_x509_crt *to, const char *option,
			      const char *file, bool strict)
{
	unsigned long before = oom_count();
	int err = mbedtls_x509_crt_parse_file(to, file);

	if (err > 0) /* so many could not be read */
		err = strict ? MBEDTLS_ERR_X509_INVALID_FORMAT : 0;
	if (oom_count() != before)
		err = NO_MEMORY;
	return err ? describe(option, file, err) : NULL;
}

static int parse_key(struct tls_context *ctx, const char *file)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	return mbedtls_pk_parse_keyfile(&ctx->key, file, NULL,
					mbedtls_ctr_drbg_random, &ctx->drbg);
#else
	return mbedtls_pk_parse_keyfile(&ctx->key, file, NULL);
#endif
}

static int check_pair(struct tls_context *ctx)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	return mbedtls_pk_check_pair(&ctx->certs.pk, &ctx->key,
				     mbedtls_ctr_drbg_random, &ctx->drbg);
#else
	return mbedtls_pk_check_pair(&ctx->certs.pk, &ctx->key);
#endif
}

/* Our own chain and its key; NULL, or what is wrong. */
static const char *use_pair(struct tls_context *ctx, const char *cert,
			    const char *key)
{
	const char *error = read_certs(&ctx->certs, "--tls-cert", cert, true);
	unsigned long before = oom_count();
	int err;

	if (error)
		return error;
	err = parse_key(ctx, key);
	if (!err && check_pair(ctx))
		err = NOT_A_PAIR;
	if (oom_count() != before)
		err = NO_MEMORY;
	if (!err)
		err = mbedtls_ssl_conf_own_cert(&ctx->conf, &ctx->certs,
						&ctx->key);
	return err ? describe("--tls-key", key, err) : NULL;
}

static const char out_of_all[] = "TLS: out of memory or of randomness";

/* Whom a client trusts; NULL, or what is wrong. */
static const char *use_trust(struct tls_context *ctx, const char *ca)
{
	const char *file = ca ? ca : getenv("SSL_CERT_FILE");

	for (size_t i = 0; !file && i < sizeof(bundles) / sizeof(*bundles); i++)
		if (access(bundles[i], R_OK) == 0)
			file = bundles[i];
	if (!file)
		return "no trusted certificates found: install "
		       "ca-certificates, or give --tls-ca FILE";
	return read_certs(&ctx->trusted, ca ? "--tls-ca" : "certificates", file,
			  ca != NULL);
}

struct tls_context *tls_client_context(const struct tls_config *config,
				       const char **error)
{
	struct tls_context *ctx = context_new(false, config->only_1_3);

	*error = out_of_all;
	if (!ctx)
		return NULL;
	*error = NULL;
	ctx->pins = config->pins;
	ctx->npins = config->npins;
	if (!config->insecure && !config->npins)
		*error = use_trust(ctx, config->ca);
	if (!*error && config->cert)
		*error = use_pair(ctx, config->cert, config->key);
	/* with pins nobody is trusted, and tlspeer.c says who is right */
	mbedtls_ssl_conf_ca_chain(&ctx->conf, &ctx->trusted, NULL);
	mbedtls_ssl_conf_authmode(
		&ctx->conf, config->insecure ? MBEDTLS_SSL_VERIFY_NONE
					     : MBEDTLS_SSL_VERIFY_REQUIRED);
	if (!*error)
		return ctx;
	tls_context_free(ctx);
	return NULL;
}

static bool use_tickets(struct tls_context *ctx, const struct tls_context *like)
{
	ctx->tickets = like ? tickets_ref(like->tickets) : tickets_new();
	if (ctx->tickets)
		tickets_use(ctx->tickets, &ctx->conf);
	return ctx->tickets != NULL;
}

/* NULL, or what is wrong. */
static const char *use_client_ca(struct tls_context *ctx, const char *file)
{
	mbedtls_ssl_conf_authmode(&ctx->conf, MBEDTLS_SSL_VERIFY_REQUIRED);
	mbedtls_ssl_conf_ca_chain(&ctx->conf, &ctx->trusted, NULL);
	return read_certs(&ctx->trusted, "--tls-client-ca", file, true);
}

struct tls_context *tls_server_context(const struct tls_config *config,
				       const char **error)
{
	struct tls_context *ctx = context_new(true, config->only_1_3);

	*error = out_of_all;
	if (!ctx)
		return NULL;
	if (use_tickets(ctx, config->like))
		*error = use_pair(ctx, config->cert, config->key);
	if (!*error && config->client_ca)
		*error = use_client_ca(ctx, config->client_ca);
	if (!*error)
		return ctx;
	tls_context_free(ctx);
	return NULL;
}

/* Sessions. */

static void forget(struct tls_context *ctx)
{
	mbedtls_ssl_session_free(&ctx->session);
	mbedtls_ssl_session_init(&ctx->session);
	free(ctx->session_host);
	ctx->session_host = NULL;
}

/* Without a session there is a full handshake, that is all. */
void tlsctx_remember(struct tls_context *ctx, mbedtls_ssl_context *ssl,
		     const char *host)
{
	forget(ctx);
	if (mbedtls_ssl_get_session(ssl, &ctx->session) == 0)
		ctx->session_host = strdup(host);
}

void tlsctx_resume(struct tls_context *ctx, mbedtls_ssl_context *ssl,
		   const char *host)
{
	if (ctx->session_host && strcmp(ctx->session_host, host) == 0 &&
	    mbedtls_ssl_set_session(ssl, &ctx->session))
		forget(ctx);
}

const char *tls_version(void)
{
	return MBEDTLS_VERSION_STRING;
}

const char *tls_gcm(void)
{
	const char *who = gcm_setup();

	return who ? who : "nobody";
}
