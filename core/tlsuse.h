/* SPDX-License-Identifier: MIT */
/*
 * How often the keys of a TLS session have been used. With AES-GCM they are
 * good for 2^24.5 records in each direction (RFC 8446 section 5.5), which are
 * 362 GiB at 16 KiB; ChaCha20-Poly1305 has no limit that could be reached.
 * mbedTLS sends no KeyUpdate, TLS 1.2 has none, and we do not renegotiate: what
 * remains is another session.
 *
 *	worn	2^24 records: what is new should go elsewhere
 *	over	2^24.5: no record more
 */
#ifndef CORE_TLSUSE_H
#define CORE_TLSUSE_H

#include <stdbool.h>
#include <stdint.h>

struct tlsuse {
	uint64_t in, out; /* records so far */
	uint64_t most;    /* until worn; 0: no limit */
};

/* The handshake is done; suite is mbedTLS's name of what it gave. */
void tlsuse_init(struct tlsuse *u, const char *suite);
bool tlsuse_is_worn(const struct tlsuse *u);
bool tlsuse_is_over(const struct tlsuse *u);

#endif
