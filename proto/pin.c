/* SPDX-License-Identifier: MIT */
#include "proto/pin.h"

#include <string.h>

#include <mbedtls/base64.h>
#include <mbedtls/sha256.h>
#include <mbedtls/version.h>

#define PREFIX 7 /* "sha256:" */
#define BASE64 44
#define HEX    64

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *p, struct pin *out)
{
	for (size_t i = 0; i < sizeof(out->digest); i++) {
		int high = hex(p[2 * i]), low = hex(p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out->digest[i] = (uint8_t)(high * 16 + low);
	}
	return true;
}

bool pin_parse(const char *text, struct pin *out)
{
	size_t n = 0, len;

	if (strncmp(text, "sha256//", PREFIX + 1) == 0)
		text += PREFIX + 1;
	else if (strncmp(text, "sha256:", PREFIX) == 0)
		text += PREFIX;
	else
		return false;
	len = strlen(text);
	if (len == HEX)
		return parse_hex(text, out);
	/* mbedTLS skips ends of lines */
	return len == BASE64 && !strpbrk(text, " \r\n") &&
	       mbedtls_base64_decode(out->digest, sizeof(out->digest), &n,
				     (const unsigned char *)text, len) == 0 &&
	       n == sizeof(out->digest);
}

char *pin_format(const struct pin *pin, char *out)
{
	size_t n;

	memcpy(out, "sha256:", PREFIX + 1);
	mbedtls_base64_encode((unsigned char *)out + PREFIX,
			      PIN_TEXT_MAX - PREFIX, &n, pin->digest,
			      sizeof(pin->digest));
	return out;
}

bool pin_of(const uint8_t *key, size_t n, struct pin *out)
{
#if MBEDTLS_VERSION_MAJOR < 3
	return mbedtls_sha256_ret(key, n, out->digest, 0) == 0;
#else
	return mbedtls_sha256(key, n, out->digest, 0) == 0;
#endif
}
