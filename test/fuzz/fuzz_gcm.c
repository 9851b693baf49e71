/* SPDX-License-Identifier: MIT */
/* AES-GCM by a library, and by mbedTLS itself: the same seal, whatever key, iv,
 * length and place. It opens again; with one bit changed it does not, and then
 * nothing of it is shown. */
#include <stdlib.h>
#include <string.h>

#include <mbedtls/gcm.h>
#include <mbedtls/version.h>

#include "core/gcm.h"
#include "core/gcmlib.h"
#include "test/fuzz/fuzz.h"

#define TAG   16
#define TIMES 4 /* the text is repeated */

struct input {
	uint8_t key[32], iv[32];
	uint8_t bits, niv, nad, gap, in_place, bit, where[2];
};

static const uint8_t *text;
static size_t text_len;

static int set_key(mbedtls_gcm_context *c, const struct input *i)
{
	mbedtls_gcm_init(c);
	return mbedtls_gcm_setkey(c, MBEDTLS_CIPHER_ID_AES, i->key,
				  128 + i->bits % 3 * 64);
}

/* Seal TIMES texts with the library that serves. Returns the bytes of the seal
 * in out, the tag behind them. */
static size_t seal(const struct input *i, uint8_t *out)
{
	size_t n = text_len * TIMES;
	uint8_t *in = malloc(n + 1);
	mbedtls_gcm_context c;

	for (size_t k = 0; k < TIMES && text_len; k++)
		memcpy(in + k * text_len, text, text_len);
	if (i->in_place % 2 && n)
		memcpy(out, in, n);
	check(set_key(&c, i) == 0);
	check(mbedtls_gcm_crypt_and_tag(&c, MBEDTLS_GCM_ENCRYPT, n, i->iv,
					1 + i->niv % sizeof(i->iv), i->key,
					i->nad % sizeof(i->key),
					i->in_place % 2 ? out : in, out, TAG,
					out + n) == 0);
	mbedtls_gcm_free(&c);
	free(in);
	return n;
}

static int opened(const struct input *i, const uint8_t *sealed, size_t n,
		  uint8_t *out)
{
	mbedtls_gcm_context c;
	int err = set_key(&c, i);

	if (!err)
		err = mbedtls_gcm_auth_decrypt(
			&c, n, i->iv, 1 + i->niv % sizeof(i->iv), i->key,
			i->nad % sizeof(i->key), sealed + n, TAG, sealed, out);
	mbedtls_gcm_free(&c);
	return err;
}

static void judge(const struct input *i, uint8_t *sealed, size_t n)
{
	size_t at = (i->where[0] << 8 | i->where[1]) % (n + TAG);
	uint8_t *out = malloc(n + 1);

	check(opened(i, sealed, n, out) == 0);
	for (size_t k = 0; k < TIMES && text_len; k++)
		check(memcmp(out + k * text_len, text, text_len) == 0);
	sealed[at] ^= (uint8_t)(1 << i->bit % 8);
	check(opened(i, sealed, n, out) == MBEDTLS_ERR_GCM_AUTH_FAILED);
	for (size_t k = 0; k < n; k++)
		check(out[k] == 0);
	free(out);
}

/* The same in two pieces, as far as this mbedTLS takes them: the first is of
 * whole blocks. */
static void check_pieces(const struct input *i, const uint8_t *sealed, size_t n)
{
#if MBEDTLS_VERSION_MAJOR < 3
	size_t first = (i->where[0] % (n / 16 + 1)) * 16;
	uint8_t *out = malloc(n + TAG + 1);
	mbedtls_gcm_context c;

	check(set_key(&c, i) == 0);
	check(mbedtls_gcm_starts(&c, MBEDTLS_GCM_DECRYPT, i->iv,
				 1 + i->niv % sizeof(i->iv), i->key,
				 i->nad % sizeof(i->key)) == 0);
	check(mbedtls_gcm_update(&c, first, sealed, out) == 0);
	check(mbedtls_gcm_update(&c, n - first, sealed + first, out + first) ==
	      0);
	check(mbedtls_gcm_finish(&c, out + n, TAG) == 0);
	check(memcmp(out + n, sealed + n, TAG) == 0);
	for (size_t k = 0; k < TIMES && text_len; k++)
		check(memcmp(out + k * text_len, text, text_len) == 0);
	/* out must not be ahead of in */
	check(n < 2 || mbedtls_gcm_update(&c, n, out, out + 1) != 0);
	mbedtls_gcm_free(&c);
	free(out);
#else
	(void)i;
	(void)sealed;
	(void)n;
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input i;
	uint8_t *ours, *theirs;
	size_t n;

	if (size < sizeof(i))
		return 0;
	memcpy(&i, data, sizeof(i));
	text = data + sizeof(i);
	text_len = size - sizeof(i);
	ours = malloc(text_len * TIMES + TAG + 255);
	theirs = malloc(text_len * TIMES + TAG);
	check(gcm_use("mbedTLS"));
	n = seal(&i, theirs);
	for (const struct gcmlib *const *l = gcmlibs; *l; l++) {
		if (!gcm_use((*l)->name))
			continue; /* not on this machine */
		check(seal(&i, ours + i.gap) == n);
		check(memcmp(ours + i.gap, theirs, n + TAG) == 0);
		check(gcm_is_fast());
		check_pieces(&i, ours + i.gap, n);
		judge(&i, ours + i.gap, n);
	}
	free(ours);
	free(theirs);
	return 0;
}
