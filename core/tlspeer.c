/* SPDX-License-Identifier: MIT */
#include "core/tlspeer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <mbedtls/error.h>

#define IP_SAN (MBEDTLS_ASN1_CONTEXT_SPECIFIC | 7)

/* Which alert has come, and when, no function of mbedTLS says. */
#if MBEDTLS_VERSION_MAJOR >= 3
#define FIELD(ssl, name) ((ssl)->MBEDTLS_PRIVATE(name))
#else
#define FIELD(ssl, name) ((ssl)->name)
#endif

/* Alerts of RFC 8446 section 6. */
enum {
	NO_CERTIFICATE = 41, /* SSL 3; mbedTLS 3.6 says it all the same */
	CERTIFICATE_REQUIRED = 116,
};

/* Verifying. */

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

static bool is_pinned(struct tlspeer *p, const mbedtls_x509_crt *crt)
{
	if (!pin_of(crt->pk_raw.p, crt->pk_raw.len, &p->seen))
		return false;
	for (int i = 0; i < p->ctx->npins; i++)
		if (memcmp(&p->ctx->pins[i], &p->seen, sizeof(p->seen)) == 0)
			return true;
	return false;
}

/* Called for each certificate of the chain, the peer's own (depth 0) last. */
static int on_verify(void *ctx, mbedtls_x509_crt *crt, int depth,
		     uint32_t *flags)
{
	struct tlspeer *p = ctx;

	if (p->ctx->npins)
		*flags = depth || is_pinned(p, crt)
				 ? 0
				 : MBEDTLS_X509_BADCERT_OTHER;
	else if (depth == 0 && !has_address(crt, p->host))
		*flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
	return 0;
}

static bool is_address(const char *host)
{
	uint8_t ip[16];

	return inet_pton(AF_INET, host, ip) == 1 ||
	       inet_pton(AF_INET6, host, ip) == 1;
}

int tlspeer_expect(struct tlspeer *p, const struct tls_context *ctx,
		   mbedtls_ssl_context *ssl, const char *host)
{
	p->ctx = ctx;
	p->host = host;
	if (!host)
		return 0;
	if (ctx->npins || is_address(host))
		mbedtls_ssl_set_verify(ssl, on_verify, p);
	return mbedtls_ssl_set_hostname(ssl, is_address(host) ? NULL : host);
}

/* Errors. */

static const char *verify_text(uint32_t flags)
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
		{MBEDTLS_X509_BADCERT_EXT_KEY_USAGE,
		 "the certificate is not for this use (extKeyUsage)"},
		{MBEDTLS_X509_BADCERT_KEY_USAGE,
		 "the certificate is not for this use (keyUsage)"},
		{MBEDTLS_X509_BADCERT_BAD_MD,
		 "the certificate is signed with a weak hash"},
		{MBEDTLS_X509_BADCERT_BAD_KEY, "the certificate's key is weak"},
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (flags & texts[i].flag)
			return texts[i].text;
	return "the certificate is not acceptable";
}

/* We refuse the peer's certificate. */
static void refusal_text(const struct tlspeer *p,
			 const mbedtls_ssl_context *ssl, char *out)
{
	uint32_t flags = mbedtls_ssl_get_verify_result(ssl);
	char pin[PIN_TEXT_MAX];

	if (flags != UINT32_MAX && flags & MBEDTLS_X509_BADCERT_OTHER)
		snprintf(out, TLSPEER_TEXT,
			 "the server's key has the pin %s, which is none of "
			 "--tls-pin",
			 pin_format(&p->seen, pin));
	else
		snprintf(out, TLSPEER_TEXT, "%s",
			 verify_text(flags == UINT32_MAX ? 0 : flags));
}

static const char wanted[] =
	"the peer wants a certificate of ours: see --tls-cert and --tls-key";

/* The peer does not like our certificate, or that there is none. */
static const char *ours_text(const struct tlspeer *p)
{
	return p->ctx->certs.version ? "the peer refuses our certificate"
				     : wanted;
}

/* The peer has ended it with an alert; NULL: without one that we know. why is
 * that of a client. */
static const char *alert_text(const struct tlspeer *p,
			      const mbedtls_ssl_context *ssl, enum reason *why)
{
	switch (FIELD(ssl, in_msg)[1]) {
	case MBEDTLS_SSL_ALERT_MSG_BAD_CERT:
	case MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT:
	case MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED:
	case MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED:
	case MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN:
	case MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA:
	case MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED:
		*why = REASON_UNAUTHORIZED;
		return ours_text(p);
	case NO_CERTIFICATE:
	case CERTIFICATE_REQUIRED:
		*why = REASON_UNAUTHORIZED;
		return wanted;
	case MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE:
		/* RFC 5246 section 7.4.6: an answer to no certificate */
		if (FIELD(ssl, state) <= MBEDTLS_SSL_SERVER_HELLO_DONE)
			return "the peer finds no suite or curve in common";
		*why = REASON_UNAUTHORIZED;
		return ours_text(p);
	case MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION:
		return "no version of TLS in common, see --tls-min";
	case MBEDTLS_SSL_ALERT_MSG_NO_APPLICATION_PROTOCOL:
		return "the peer speaks no HTTP/1.1 here (ALPN)";
	case MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME:
		return "the peer knows nobody of this name, see --sni";
	default:
		return NULL;
	}
}

/* Servers with mbedTLS 3.6 refuse a client's certificate with an alert that is
 * encrypted with the handshake's keys, where TLS 1.3 has other ones already:
 * the first record behind the handshake cannot be read. */
static bool is_undecipherable(const struct tlspeer *p,
			      const mbedtls_ssl_context *ssl)
{
	return p->open && !p->heard && !p->ctx->server &&
	       strcmp(mbedtls_ssl_get_version(ssl), "TLSv1.3") == 0;
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

/* mbedTLS has this error for what a certificate is not meant for, too. */
#ifdef MBEDTLS_ERR_SSL_BAD_HS_CERTIFICATE
#define BAD_CERTIFICATE MBEDTLS_ERR_SSL_BAD_HS_CERTIFICATE
#else
#define BAD_CERTIFICATE MBEDTLS_ERR_SSL_BAD_CERTIFICATE
#endif

static bool is_refused(const mbedtls_ssl_context *ssl, int err)
{
	uint32_t flags = mbedtls_ssl_get_verify_result(ssl);

	return err == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED ||
	       (err == BAD_CERTIFICATE && flags && flags != UINT32_MAX);
}

enum reason tlspeer_error(const struct tlspeer *p,
			  const mbedtls_ssl_context *ssl, int err, char *out)
{
	bool server = p->ctx->server;
	enum reason why = p->open || server ? REASON_PROTOCOL : REASON_NOT_WSP;
	const char *text = NULL;

	if (is_refused(ssl, err)) {
		refusal_text(p, ssl, out);
		return REASON_TLS;
	}
	switch (err) {
	case MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE:
		why = REASON_TLS;
		text = "the client has no certificate";
		break;
	case MBEDTLS_ERR_SSL_COUNTER_WRAPPING:
		why = REASON_LIMIT;
		text = "the keys of this TLS connection are used up";
		break;
	case MBEDTLS_ERR_SSL_INVALID_RECORD:
		text = "the peer does not speak TLS";
		break;
	case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
		text = alert_text(p, ssl, &why);
		break;
	case MBEDTLS_ERR_SSL_INVALID_MAC:
		if (!is_undecipherable(p, ssl))
			break;
		why = REASON_UNAUTHORIZED;
		text = ours_text(p);
		break;
	default:
		if (is_no_memory(err))
			why = REASON_NO_MEMORY;
		break;
	}
	if (text)
		snprintf(out, TLSPEER_TEXT, "%s", text);
	else
		mbedtls_strerror(err, out, TLSPEER_TEXT);
	return server && why == REASON_UNAUTHORIZED ? REASON_PROTOCOL : why;
}
