/* SPDX-License-Identifier: MIT */
#include "proto/token.h"

#include <stddef.h>
#include <string.h>

#include <mbedtls/sha256.h>
#include <mbedtls/version.h>

bool token_digest(const char *text, uint8_t out[TOKEN_DIGEST])
{
	const char *p = text ? text : "";

#if MBEDTLS_VERSION_MAJOR < 3
	return mbedtls_sha256_ret((const unsigned char *)p, strlen(p), out,
				  0) == 0;
#else
	return mbedtls_sha256((const unsigned char *)p, strlen(p), out, 0) == 0;
#endif
}

unsigned int token_same(const uint8_t a[TOKEN_DIGEST],
			const uint8_t b[TOKEN_DIGEST])
{
	volatile unsigned int diff = 0;

	for (size_t i = 0; i < TOKEN_DIGEST; i++)
		diff = diff | (unsigned int)(a[i] ^ b[i]);
	return (diff - 1) >> (8 * sizeof(diff) - 1);
}

bool token_equal(const char *a, const char *b)
{
	uint8_t da[TOKEN_DIGEST], db[TOKEN_DIGEST];

	if (!token_digest(a, da) || !token_digest(b, db))
		return false;
	return token_same(da, db);
}
