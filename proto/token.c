/* SPDX-License-Identifier: MIT */
#include "proto/token.h"

#include <stddef.h>
#include <string.h>

#include <mbedtls/sha256.h>
#include <mbedtls/version.h>

#define DIGEST 32

static bool digest(const char *text, unsigned char out[DIGEST])
{
	const char *p = text ? text : "";

#if MBEDTLS_VERSION_MAJOR < 3
	return mbedtls_sha256_ret((const unsigned char *)p, strlen(p), out,
				  0) == 0;
#else
	return mbedtls_sha256((const unsigned char *)p, strlen(p), out, 0) == 0;
#endif
}

bool token_equal(const char *a, const char *b)
{
	volatile unsigned char diff = 0;
	unsigned char da[DIGEST], db[DIGEST];

	if (!digest(a, da) || !digest(b, db))
		return false;
	for (size_t i = 0; i < DIGEST; i++)
		diff = (unsigned char)(diff | (da[i] ^ db[i]));
	return diff == 0;
}
