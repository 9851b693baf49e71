/* SPDX-License-Identifier: MIT */
#include "core/gcmcheck.h"

#include <string.h>

#include <mbedtls/cipher.h>

#define TAG   16
#define KNOWN 60 /* bytes of the specification's message */

struct message {
	const uint8_t *key, *iv, *ad, *plain;
	unsigned int bits;
	size_t niv, nad, n;
};

/* Test cases 4 and 16 of McGrew and Viega, "The Galois/Counter Mode of
 * Operation": a message, and its seal with 128 and 256 bits of the key. */
static const uint8_t key[32] =
	"\xfe\xff\xe9\x92\x86\x65\x73\x1c\x6d\x6a\x8f\x94\x67\x30\x83\x08"
	"\xfe\xff\xe9\x92\x86\x65\x73\x1c\x6d\x6a\x8f\x94\x67\x30\x83\x08";
static const uint8_t iv[] = "\xca\xfe\xba\xbe\xfa\xce\xdb\xad\xde\xca\xf8\x88";
static const uint8_t ad[] =
	"\xfe\xed\xfa\xce\xde\xad\xbe\xef\xfe\xed\xfa\xce\xde\xad\xbe\xef"
	"\xab\xad\xda\xd2";
static const uint8_t plain[] =
	"\xd9\x31\x32\x25\xf8\x84\x06\xe5\xa5\x59\x09\xc5\xaf\xf5\x26\x9a"
	"\x86\xa7\xa9\x53\x15\x34\xf7\xda\x2e\x4c\x30\x3d\x8a\x31\x8a\x72"
	"\x1c\x3c\x0c\x95\x95\x68\x09\x53\x2f\xcf\x0e\x24\x49\xa6\xb5\x25"
	"\xb1\x6a\xed\xf5\xaa\x0d\xe6\x57\xba\x63\x7b\x39";
static const uint8_t sealed_128[] =
	"\x42\x83\x1e\xc2\x21\x77\x74\x24\x4b\x72\x21\xb7\x84\xd0\xd4\x9c"
	"\xe3\xaa\x21\x2f\x2c\x02\xa4\xe0\x35\xc1\x7e\x23\x29\xac\xa1\x2e"
	"\x21\xd5\x14\xb2\x54\x66\x93\x1c\x7d\x8f\x6a\x5a\xac\x84\xaa\x05"
	"\x1b\xa3\x0b\x39\x6a\x0a\xac\x97\x3d\x58\xe0\x91"
	"\x5b\xc9\x4f\xbc\x32\x21\xa5\xdb\x94\xfa\xe9\x5a\xe7\x12\x1a\x47";
static const uint8_t sealed_256[] =
	"\x52\x2d\xc1\xf0\x99\x56\x7d\x07\xf4\x7f\x37\xa3\x2a\x84\x42\x7d"
	"\x64\x3a\x8c\xdc\xbf\xe5\xc0\xc9\x75\x98\xa2\xbd\x25\x55\xd1\xaa"
	"\x8c\xb0\x8e\x48\x59\x0d\xbb\x3d\xa7\xb0\x8b\x10\x56\x82\x88\x38"
	"\xc5\xf6\x1e\x63\x93\xba\x7a\x0a\xbc\xc9\xf6\x62"
	"\x76\xfc\x6e\xce\x0f\x4e\x17\x68\xcd\xdf\x88\x53\xbb\x2d\x55\x1b";

static bool with_key(const struct message *m, mbedtls_cipher_context_t *c,
		     mbedtls_operation_t op)
{
	mbedtls_cipher_type_t type = m->bits == 128
					     ? MBEDTLS_CIPHER_AES_128_GCM
					     : MBEDTLS_CIPHER_AES_256_GCM;

	return !mbedtls_cipher_setup(c, mbedtls_cipher_info_from_type(type)) &&
	       !mbedtls_cipher_setkey(c, m->key, (int)m->bits, op);
}

/* out has m->n + TAG bytes. */
static bool seal(const struct message *m, uint8_t *out)
{
	mbedtls_cipher_context_t c;
	size_t done = 0;
	bool ok;

	mbedtls_cipher_init(&c);
	ok = with_key(m, &c, MBEDTLS_ENCRYPT) &&
	     !mbedtls_cipher_auth_encrypt_ext(&c, m->iv, m->niv, m->ad, m->nad,
					      m->plain, m->n, out, m->n + TAG,
					      &done, TAG);
	mbedtls_cipher_free(&c);
	return ok && done == m->n + TAG;
}

/* Does sealed become the message again? */
static bool opens(const struct message *m, const uint8_t *sealed)
{
	uint8_t out[GCMCHECK_LONG];
	mbedtls_cipher_context_t c;
	size_t done = 0;
	bool ok;

	mbedtls_cipher_init(&c);
	ok = with_key(m, &c, MBEDTLS_DECRYPT) &&
	     !mbedtls_cipher_auth_decrypt_ext(&c, m->iv, m->niv, m->ad, m->nad,
					      sealed, m->n + TAG, out,
					      sizeof(out), &done, TAG);
	mbedtls_cipher_free(&c);
	return ok && done == m->n && memcmp(out, m->plain, m->n) == 0;
}

static bool answers(unsigned int bits, const uint8_t *expected)
{
	struct message m = {
		.key = key,
		.bits = bits,
		.iv = iv,
		.niv = sizeof(iv) - 1,
		.ad = ad,
		.nad = sizeof(ad) - 1,
		.plain = plain,
		.n = KNOWN,
	};
	uint8_t out[KNOWN + TAG];

	if (!seal(&m, out) || memcmp(out, expected, sizeof(out)) != 0 ||
	    !opens(&m, out))
		return false;
	out[KNOWN + TAG - 1] ^= 1;
	return !opens(&m, out);
}

bool gcmcheck_known(void)
{
	return answers(128, sealed_128) && answers(256, sealed_256);
}

bool gcmcheck_long(uint8_t out[GCMCHECK_LONG])
{
	uint8_t text[GCMCHECK_LONG - TAG];
	struct message m = {
		.key = key,
		.bits = 128,
		.iv = iv,
		.niv = sizeof(iv) - 1,
		.ad = ad,
		.nad = 13, /* as in a record of TLS 1.2 */
		.plain = text,
		.n = sizeof(text),
	};

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 167 + (i >> 8));
	return seal(&m, out) && opens(&m, out);
}
