/* SPDX-License-Identifier: MIT */
#include "core/tlsctx.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mbedtls/error.h>
#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif

#include "core/tls.h"

#define TICKET_SECONDS 86400
#define NOT_A_PAIR     1 /* no error of mbedTLS is positive */
#define IP_SAN         (MBEDTLS_ASN1_CONTEXT_SPECIFIC | 7)

/* Forward secrecy and AEAD only. Debian 12's mbedTLS is faster with ChaCha20
 * than with AES, and constant in time. */
static const int suites[] = {
#if MBEDTLS_VERSION_MAJOR >= 3
	MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
	MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
#endif
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	0,
};

#if MBEDTLS_VERSION_MAJOR >= 3
static const uint16_t groups[] = {
	MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
	MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
	MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};
#else
static const mbedtls_ecp_group_id groups[] = {
	MBEDTLS_ECP_DP_CURVE25519,
	MBEDTLS_ECP_DP_SECP256R1,
	MBEDTLS_ECP_DP_NONE,
};
#endif

/* Where distributions keep the certificates that they trust. */
static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/cert.pem",
};

static void set_protocol(mbedtls_ssl_config *conf)
{
	mbedtls_ssl_conf_ciphersuites(conf, suites);
#if MBEDTLS_VERSION_MAJOR >= 3
	mbedtls_ssl_conf_groups(conf, groups);
	mbedtls_ssl_conf_min_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_2);
#else
	mbedtls_ssl_conf_curves(conf, groups);
	mbedtls_ssl_conf_min_version(conf, MBEDTLS_SSL_MAJOR_VERSION_3,
				     MBEDTLS_SSL_MINOR_VERSION_3);
#endif
}

static int start_crypto(struct tls_context *ctx)
{
#if MBEDTLS_VERSION_MAJOR >= 3
	if (psa_crypto_init() != PSA_SUCCESS)
		return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
#endif
	return mbedtls_ctr_drbg_seed(&ctx->drbg, mbedtls_entropy_func,
				     &ctx->entropy, NULL, 0);
}

/* All members are initialised, so that tls_context_free() may follow. */
static struct tls_context *context_new(bool server)
{
	struct tls_context *ctx = calloc(1, sizeof(*ctx));
	int end = server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT;

	if (!ctx)
		return NULL;
	ctx->server = server;
	mbedtls_ssl_config_init(&ctx->conf);
	mbedtls_entropy_init(&ctx->entropy);
	mbedtls_ctr_drbg_init(&ctx->drbg);
	mbedtls_x509_crt_init(&ctx->certs);
	mbedtls_pk_init(&ctx->key);
	mbedtls_ssl_ticket_init(&ctx->tickets);
	mbedtls_ssl_session_init(&ctx->session);
	if (start_crypto(ctx) ||
	    mbedtls_ssl_config_defaults(&ctx->conf, end,
					MBEDTLS_SSL_TRANSPORT_STREAM,
					MBEDTLS_SSL_PRESET_DEFAULT)) {
		tls_context_free(ctx);
		return NULL;
	}
	mbedtls_ssl_conf_rng(&ctx->conf, mbedtls_ctr_drbg_random, &ctx->drbg);
	set_protocol(&ctx->conf);
#ifdef MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED
	mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
		&ctx->conf,
		MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
#endif
	return ctx;
}

void tls_context_free(struct tls_context *ctx)
{
	if (!ctx)
		return;
	mbedtls_ssl_session_free(&ctx->session);
	free(ctx->session_host);
	mbedtls_ssl_ticket_free(&ctx->tickets);
	mbedtls_pk_free(&ctx->key);
	mbedtls_x509_crt_free(&ctx->certs);
	mbedtls_ssl_config_free(&ctx->conf);
	mbedtls_ctr_drbg_free(&ctx->drbg);
	mbedtls_entropy_free(&ctx->entropy);
	free(ctx);
	/* PSA is the process's: another context may be using it */
}

/* Set *error, which is a text of the process (set-up happens once). */
static void describe(char *text, size_t size, const char *option,
		     const char *file, int err)
{
	char why[128];

	if (access(file, R_OK) != 0)
		snprintf(why, sizeof(why), "%s", strerror(errno));
	else if (err == NOT_A_PAIR)
		snprintf(why, sizeof(why), "not the key of --tls-cert");
	else
		mbedtls_strerror(err, why, sizeof(why));
	snprintf(text, size, "%s %s: %s", option, file, why);
}

#define ERROR_SIZE 512

struct tls_context *tls_client_context(const char *ca, bool insecure,
				       const char **error)
{
	static _Thread_local char text[ERROR_SIZE];
	struct tls_context *ctx = context_new(false);
	const char *file = ca ? ca : getenv("SSL_CERT_FILE");
	int err;

	*error = "TLS: out of memory or of randomness";
	if (!ctx)
		return NULL;
	for (size_t i = 0; !file && i < sizeof(bundles) / sizeof(*bundles); i++)
		if (access(bundles[i], R_OK) == 0)
			file = bundles[i];
	if (insecure) {
		mbedtls_ssl_conf_authmode(&ctx->conf, MBEDTLS_SSL_VERIFY_NONE);
		return ctx;
	}
	mbedtls_ssl_conf_authmode(&ctx->conf, MBEDTLS_SSL_VERIFY_REQUIRED);
	if (!file) {
		*error = "no trusted certificates found: install "
			 "ca-certificates, or give --tls-ca FILE";
		tls_context_free(ctx);
		return NULL;
	}
	err = mbedtls_x509_crt_parse_file(&ctx->certs, file);
	/* positive: so many certificates of a bundle could not be read */
	if (err < 0 || (ca && err > 0)) {
		describe(text, sizeof(text), ca ? "--tls-ca" : "certificates",
			 file, err < 0 ? err : MBEDTLS_ERR_X509_INVALID_FORMAT);
		*error = text;
		tls_context_free(ctx);
		return NULL;
	}
	mbedtls_ssl_conf_ca_chain(&ctx->conf, &ctx->certs, NULL);
	return ctx;
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

static int use_certificate(struct tls_context *ctx)
{
	int err = mbedtls_ssl_conf_own_cert(&ctx->conf, &ctx->certs, &ctx->key);

	if (!err)
		err = mbedtls_ssl_ticket_setup(
			&ctx->tickets, mbedtls_ctr_drbg_random, &ctx->drbg,
			MBEDTLS_CIPHER_AES_256_GCM, TICKET_SECONDS);
	if (!err)
		mbedtls_ssl_conf_session_tickets_cb(
			&ctx->conf, mbedtls_ssl_ticket_write,
			mbedtls_ssl_ticket_parse, &ctx->tickets);
	return err;
}

struct tls_context *tls_server_context(const char *cert, const char *key,
				       const char **error)
{
	static _Thread_local char text[ERROR_SIZE];
	struct tls_context *ctx = context_new(true);
	const char *option = "--tls-cert", *file = cert;
	int err;

	*error = "TLS: out of memory or of randomness";
	if (!ctx)
		return NULL;
	err = mbedtls_x509_crt_parse_file(&ctx->certs, cert);
	if (err > 0)
		err = MBEDTLS_ERR_X509_INVALID_FORMAT;
	if (!err) {
		option = "--tls-key";
		file = key;
		err = parse_key(ctx, key);
	}
	if (!err && check_pair(ctx))
		err = NOT_A_PAIR;
	if (!err)
		err = use_certificate(ctx);
	if (!err)
		return ctx;
	describe(text, sizeof(text), option, file, err);
	*error = text;
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

/* Does the certificate carry this address (RFC 5280 section 4.2.1.6)? Not all
 * versions of mbedTLS look. */
static bool has_address(const mbedtls_x509_crt *crt, const char *host)
{
	uint8_t ip[16];
	size_t n = inet_pton(AF_INET, host, ip) == 1 ? 4 : 16;

	if (n == 16 && inet_pton(AF_INET6, host, ip) != 1)
		return false;
	for (const mbedtls_x509_sequence *s = &crt->subject_alt_names; s;
	     s = s->next)
		if (s->buf.tag == IP_SAN && s->buf.len == n &&
		    memcmp(s->buf.p, ip, n) == 0)
			return true;
	return false;
}

static int on_verify(void *ctx, mbedtls_x509_crt *crt, int depth,
		     uint32_t *flags)
{
	if (depth == 0 && !has_address(crt, ctx))
		*flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
	return 0;
}

static bool is_address(const char *host)
{
	uint8_t ip[16];

	return inet_pton(AF_INET, host, ip) == 1 ||
	       inet_pton(AF_INET6, host, ip) == 1;
}

int tlsctx_set_host(mbedtls_ssl_context *ssl, const char *host)
{
	if (!is_address(host))
		return mbedtls_ssl_set_hostname(ssl, host);
	mbedtls_ssl_set_verify(ssl, on_verify, (void *)host);
	return mbedtls_ssl_set_hostname(ssl, NULL);
}

static const char *verify_text(const mbedtls_ssl_context *ssl)
{
	static const struct {
		uint32_t flag;
		const char *text;
	} texts[] = {
		{MBEDTLS_X509_BADCERT_CN_MISMATCH,
		 "the certificate is for another name"},
		{MBEDTLS_X509_BADCERT_EXPIRED, "the certificate has expired"},
		{MBEDTLS_X509_BADCERT_FUTURE,
		 "the certificate is not yet valid"},
		{MBEDTLS_X509_BADCERT_REVOKED, "the certificate is revoked"},
		{MBEDTLS_X509_BADCERT_NOT_TRUSTED,
		 "the certificate is not signed by a trusted authority"},
	};
	uint32_t flags = mbedtls_ssl_get_verify_result(ssl);

	if (flags == 0 || flags == UINT32_MAX)
		return NULL;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (flags & texts[i].flag)
			return texts[i].text;
	return "the certificate is not acceptable";
}

void tlsctx_error_text(const mbedtls_ssl_context *ssl, int err, char *out,
		       size_t size)
{
	const char *text = NULL;

	if (err == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED)
		text = verify_text(ssl);
	else if (err == MBEDTLS_ERR_SSL_INVALID_RECORD)
		text = "the peer does not speak TLS";
	if (text)
		snprintf(out, size, "%s", text);
	else
		mbedtls_strerror(err, out, size);
}

/* An error is a high and a low code, added. */
static bool is_no_memory(int err)
{
	int low = -(-err & 0x7f), high = err - low;

	return low == MBEDTLS_ERR_MPI_ALLOC_FAILED ||
	       low == MBEDTLS_ERR_ASN1_ALLOC_FAILED ||
	       high == MBEDTLS_ERR_SSL_ALLOC_FAILED ||
	       high == MBEDTLS_ERR_X509_ALLOC_FAILED ||
	       high == MBEDTLS_ERR_PK_ALLOC_FAILED ||
	       high == MBEDTLS_ERR_ECP_ALLOC_FAILED ||
	       high == MBEDTLS_ERR_MD_ALLOC_FAILED ||
	       high == MBEDTLS_ERR_CIPHER_ALLOC_FAILED;
}

enum reason tlsctx_reason(int err)
{
	if (is_no_memory(err))
		return REASON_NO_MEMORY;
	return err == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED ? REASON_TLS
							  : REASON_PROTOCOL;
}

const char *tls_version(void)
{
	return MBEDTLS_VERSION_STRING;
}
