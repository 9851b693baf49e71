/* SPDX-License-Identifier: MIT */
/*
 * Whom a TLS session talks to: what is expected of the peer's certificate, and
 * what is wrong when it ends, in words. Private to core/tls.c.
 */
#ifndef CORE_TLSPEER_H
#define CORE_TLSPEER_H

#include "core/tlsctx.h"
#include "proto/pin.h"
#include "proto/reason.h"

#define TLSPEER_TEXT 160

/* Member of a session; it must stay as long as that. */
struct tlspeer {
	const struct tls_context *ctx;
	const char *host;
	struct pin seen; /* of its key, once it was compared with our pins */
	bool open;       /* the handshake is over */
	bool heard;      /* and something came behind it */
};

/* Let ssl, a client's, accept only host, a name or an address literal; if ctx
 * has pins, only a key that has one of them, and then any certificate. 0 or an
 * error of mbedTLS. */
int tlspeer_expect(struct tlspeer *p, const struct tls_context *ctx,
		   mbedtls_ssl_context *ssl, const char *host);
/* What err of ssl means, in words for its user, and as a reason: NO_MEMORY,
 * TLS (a certificate was refused by us), UNAUTHORIZED (ours, by a server),
 * NOT_WSP (a server that speaks no TLS, or none that we do) or PROTOCOL. out
 * has TLSPEER_TEXT bytes. */
enum reason tlspeer_error(const struct tlspeer *p,
			  const mbedtls_ssl_context *ssl, int err, char *out);

#endif
