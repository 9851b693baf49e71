/* SPDX-License-Identifier: MIT */
/*
 * AES-GCM by each library that is there, against mbedTLS's own: every shape of
 * call that mbedTLS has, with seeded random lengths and cuts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mbedtls/gcm.h>
#include <mbedtls/version.h>

#include "core/gcm.h"
#include "core/gcmcheck.h"
#include "core/gcmlib.h"

#define MESSAGE_MAX 20000
#define CASES       300
#define TAG         16

struct message {
	uint8_t key[32], iv[80], ad[80];
	uint8_t plain[MESSAGE_MAX], sealed[MESSAGE_MAX];
	uint8_t tag[TAG];
	unsigned int bits;
	size_t niv, nad, n;
};

static const char stock[] = "mbedTLS";

static uint32_t seed;

static uint32_t below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)seed * n) >> 32);
}

static void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)below(256);
}

static void with(const char *who)
{
	if (!gcm_use(who))
		fail_msg("%s does not serve", who);
}

static void with_key(mbedtls_gcm_context *c, const struct message *m)
{
	mbedtls_gcm_init(c);
	assert_int_equal(
		mbedtls_gcm_setkey(c, MBEDTLS_CIPHER_ID_AES, m->key, m->bits),
		0);
}

static int seal(mbedtls_gcm_context *c, const struct message *m,
		const uint8_t *in, uint8_t *out, size_t ntag, uint8_t *tag)
{
	return mbedtls_gcm_crypt_and_tag(c, MBEDTLS_GCM_ENCRYPT, m->n, m->iv,
					 m->niv, m->ad, m->nad, in, out, ntag,
					 tag);
}

static int unseal(mbedtls_gcm_context *c, const struct message *m, size_t ntag,
		  const uint8_t *in, uint8_t *out)
{
	return mbedtls_gcm_auth_decrypt(c, m->n, m->iv, m->niv, m->ad, m->nad,
					m->tag, ntag, in, out);
}

/* A random message, sealed by mbedTLS itself. */
static void make(struct message *m)
{
	static const unsigned int sizes[] = {128, 192, 256};
	mbedtls_gcm_context c;

	fill((uint8_t *)m, sizeof(*m));
	m->bits = sizes[below(3)];
	m->niv = below(2) ? 12 : 1 + below(sizeof(m->iv));
	m->nad = below(sizeof(m->ad) + 1);
	m->n = below(below(2) ? 100 : MESSAGE_MAX + 1);
	with(stock);
	with_key(&c, m);
	assert_int_equal(seal(&c, m, m->plain, m->sealed, TAG, m->tag), 0);
	mbedtls_gcm_free(&c);
}

/* The two shapes of the streaming calls. */

#if MBEDTLS_VERSION_MAJOR >= 3

static void begin(mbedtls_gcm_context *c, const struct message *m, int mode)
{
	size_t half = below((uint32_t)m->nad + 1);

	assert_int_equal(mbedtls_gcm_starts(c, mode, m->iv, m->niv), 0);
	assert_int_equal(mbedtls_gcm_update_ad(c, m->ad, half), 0);
	assert_int_equal(mbedtls_gcm_update_ad(c, m->ad + half, m->nad - half),
			 0);
}

static void piece(mbedtls_gcm_context *c, const uint8_t *in, uint8_t *out,
		  size_t n)
{
	size_t done;

	assert_int_equal(mbedtls_gcm_update(c, in, n, out, n, &done), 0);
	assert_int_equal(done, n);
}

static void end(mbedtls_gcm_context *c, uint8_t *tag)
{
	size_t done;

	assert_int_equal(mbedtls_gcm_finish(c, NULL, 0, &done, tag, TAG), 0);
	assert_int_equal(done, 0);
}

#else

static void begin(mbedtls_gcm_context *c, const struct message *m, int mode)
{
	assert_int_equal(
		mbedtls_gcm_starts(c, mode, m->iv, m->niv, m->ad, m->nad), 0);
}

static void piece(mbedtls_gcm_context *c, const uint8_t *in, uint8_t *out,
		  size_t n)
{
	assert_int_equal(mbedtls_gcm_update(c, n, in, out), 0);
}

static void end(mbedtls_gcm_context *c, uint8_t *tag)
{
	assert_int_equal(mbedtls_gcm_finish(c, tag, TAG), 0);
}

#endif

static void in_pieces(mbedtls_gcm_context *c, const struct message *m, int mode,
		      const uint8_t *in, const uint8_t *expected)
{
	static uint8_t out[MESSAGE_MAX];
	uint8_t tag[TAG];
	bool in_place = below(2);
	size_t k;

	if (in_place)
		memcpy(out, in, m->n);
	begin(c, m, mode);
	for (size_t i = 0; i < m->n; i += k) {
		k = 1 + below(below(2) ? 40 : 5000);
		if (k > m->n - i)
			k = m->n - i;
		piece(c, (in_place ? out : in) + i, out + i, k);
	}
	end(c, tag);
	assert_memory_equal(out, expected, m->n);
	assert_memory_equal(tag, m->tag, TAG);
}

/* The tests. */

/* Skips what this machine does not have. */
static const char *library(void **state)
{
	const char *who = *state;

	seed = 1;
	for (const struct gcmlib *const *l = gcmlibs; *l; l++)
		if (strcmp((*l)->name, who) == 0 && (*l)->load())
			return who;
	skip();
	return NULL;
}

static void test_answers_are_those_of_the_specification(void **state)
{
	with(library(state));
	assert_true(gcmcheck_known());
}

static void test_who_serves_is_asked_and_nobody_else(void **state)
{
	const char *who = library(state);

	with(who);
	assert_string_equal(gcm_setup(), who);
	assert_true(gcm_is_fast());
	with(stock);
	assert_string_equal(gcm_setup(), stock);
	assert_false(gcm_is_fast());
	assert_true(gcmcheck_known());
	assert_false(gcm_use("nobody"));
}

static void test_computes_what_mbedtls_does(void **state)
{
	const char *who = library(state);
	static struct message m;
	static uint8_t out[MESSAGE_MAX];
	mbedtls_gcm_context c;
	uint8_t tag[TAG];

	for (int i = 0; i < CASES; i++) {
		size_t ntag = 4 + below(13);

		make(&m);
		with(who);
		with_key(&c, &m);
		assert_int_equal(seal(&c, &m, m.plain, out, ntag, tag), 0);
		assert_memory_equal(out, m.sealed, m.n);
		assert_memory_equal(tag, m.tag, ntag);
		assert_int_equal(unseal(&c, &m, ntag, out, out), 0);
		assert_memory_equal(out, m.plain, m.n);
		assert_int_equal(seal(&c, &m, out, out, TAG, tag), 0);
		assert_memory_equal(out, m.sealed, m.n);
		assert_memory_equal(tag, m.tag, TAG);
		mbedtls_gcm_free(&c);
	}
}

static void test_pieces_make_the_same_message(void **state)
{
	const char *who = library(state);
	static struct message m;
	mbedtls_gcm_context c;

	for (int i = 0; i < CASES; i++) {
		make(&m);
		with(who);
		with_key(&c, &m);
		in_pieces(&c, &m, MBEDTLS_GCM_ENCRYPT, m.plain, m.sealed);
		in_pieces(&c, &m, MBEDTLS_GCM_DECRYPT, m.sealed, m.plain);
		mbedtls_gcm_free(&c);
	}
}

/* Each byte at p, changed, makes m one that is refused. */
static void refused(mbedtls_gcm_context *c, const struct message *m, uint8_t *p,
		    size_t n)
{
	static const uint8_t zeroes[MESSAGE_MAX];
	static uint8_t out[MESSAGE_MAX];

	for (size_t i = 0; i < n; i++) {
		uint8_t good = p[i];

		p[i] ^= (uint8_t)(1 << below(8));
		memset(out, 1, sizeof(out));
		assert_int_equal(unseal(c, m, TAG, m->sealed, out),
				 MBEDTLS_ERR_GCM_AUTH_FAILED);
		assert_memory_equal(out, zeroes, m->n);
		p[i] = good;
	}
	assert_int_equal(unseal(c, m, TAG, m->sealed, out), 0);
}

static void test_what_was_changed_is_refused_and_not_shown(void **state)
{
	const char *who = library(state);
	static struct message m;
	mbedtls_gcm_context c;

	make(&m);
	m.n = 700;
	with(who);
	with_key(&c, &m);
	assert_int_equal(seal(&c, &m, m.plain, m.sealed, TAG, m.tag), 0);
	refused(&c, &m, m.sealed, m.n);
	refused(&c, &m, m.tag, TAG);
	refused(&c, &m, m.ad, m.nad);
	refused(&c, &m, m.iv, m.niv);
	mbedtls_gcm_free(&c);
}

/* Of what cannot be checked nothing is seen either. */
static void test_a_tag_of_a_wrong_length_opens_nothing(void **state)
{
	static const size_t wrong[] = {0, 3, TAG + 1};
	static const uint8_t zeroes[700];
	static struct message m;
	uint8_t out[sizeof(zeroes)];
	mbedtls_gcm_context c;
	const char *who = library(state);

	make(&m);
	m.n = sizeof(zeroes);
	with(who);
	with_key(&c, &m);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		memset(out, 0, sizeof(out));
		assert_int_equal(unseal(&c, &m, wrong[i], m.sealed, out),
				 MBEDTLS_ERR_GCM_BAD_INPUT);
		assert_memory_equal(out, zeroes, sizeof(out));
	}
	mbedtls_gcm_free(&c);
}

/* In place, or a little ahead of it: what is read must not be overwritten
 * before. */
static void test_out_may_begin_before_in(void **state)
{
	static uint8_t room[2 * MESSAGE_MAX];
	static struct message m;
	mbedtls_gcm_context c;
	uint8_t tag[TAG];
	const char *who = library(state);

	for (size_t gap = 0; gap < 600; gap += 1 + below(5)) {
		uint8_t *in = room + gap;

		make(&m);
		with(who);
		with_key(&c, &m);
		memcpy(in, m.plain, m.n);
		assert_int_equal(seal(&c, &m, in, room, TAG, tag), 0);
		assert_memory_equal(room, m.sealed, m.n);
		assert_memory_equal(tag, m.tag, TAG);
		memmove(in, room, m.n);
		assert_int_equal(unseal(&c, &m, TAG, in, room), 0);
		assert_memory_equal(room, m.plain, m.n);
		mbedtls_gcm_free(&c);
	}
}

static void test_bad_arguments_are_refused(void **state)
{
	static struct message m;
	static uint8_t out[MESSAGE_MAX];
	mbedtls_gcm_context c;
	uint8_t tag[32];
	const int bad = MBEDTLS_ERR_GCM_BAD_INPUT;
	const char *who = library(state);

	make(&m);
	m.n = 100;
	with(who);
	mbedtls_gcm_init(&c);
	assert_int_equal(seal(&c, &m, m.plain, out, TAG, tag), bad);
	assert_int_equal(
		mbedtls_gcm_setkey(&c, MBEDTLS_CIPHER_ID_AES, m.key, 64), bad);
	assert_int_equal(
		mbedtls_gcm_setkey(&c, MBEDTLS_CIPHER_ID_CAMELLIA, m.key, 128),
		bad);
	mbedtls_gcm_free(&c);
	with_key(&c, &m);
	assert_int_equal(seal(&c, &m, m.plain, out, 3, tag), bad);
	assert_int_equal(seal(&c, &m, m.plain, out, 17, tag), bad);
	assert_int_equal(unseal(&c, &m, 3, m.sealed, out), bad);
	assert_int_equal(unseal(&c, &m, 17, m.sealed, out), bad);
	assert_int_equal(seal(&c, &m, out, out + 50, TAG, tag), bad);
	m.niv = 0;
	assert_int_equal(seal(&c, &m, m.plain, out, TAG, tag), bad);
	mbedtls_gcm_free(&c);
	mbedtls_gcm_free(&c); /* has no key any more */
}

static void test_a_context_takes_one_key_after_the_other(void **state)
{
	const char *who = library(state);
	static struct message m[2];
	static uint8_t out[MESSAGE_MAX];
	mbedtls_gcm_context c;
	uint8_t tag[TAG];

	make(&m[0]);
	make(&m[1]);
	with(who);
	mbedtls_gcm_init(&c);
	for (int i = 0; i < 4; i++) {
		const struct message *one = &m[i % 2];

		assert_int_equal(mbedtls_gcm_setkey(&c, MBEDTLS_CIPHER_ID_AES,
						    one->key, one->bits),
				 0);
		assert_int_equal(seal(&c, one, one->plain, out, TAG, tag), 0);
		assert_memory_equal(out, one->sealed, one->n);
		assert_memory_equal(tag, one->tag, TAG);
	}
	mbedtls_gcm_free(&c);
}

#define WITH(f)                                              \
	cmocka_unit_test_prestate(f, (void *)"libipsec-mb"), \
		cmocka_unit_test_prestate(f, (void *)"libgcrypt")

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(test_answers_are_those_of_the_specification),
		WITH(test_who_serves_is_asked_and_nobody_else),
		WITH(test_computes_what_mbedtls_does),
		WITH(test_pieces_make_the_same_message),
		WITH(test_what_was_changed_is_refused_and_not_shown),
		WITH(test_a_tag_of_a_wrong_length_opens_nothing),
		WITH(test_out_may_begin_before_in),
		WITH(test_bad_arguments_are_refused),
		WITH(test_a_context_takes_one_key_after_the_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
