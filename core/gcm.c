/* SPDX-License-Identifier: MIT */
#include "core/gcm.h"

#include <stdlib.h>
#include <string.h>

#include "core/gcmcheck.h"
#include "core/gcmlib.h"
#include "core/log.h"

const struct gcmlib *const gcmlibs[] = {
#ifdef HAVE_IPSEC_MB
	&gcm_ipsec_mb,
#endif
#ifdef HAVE_GCRYPT
	&gcm_gcrypt,
#endif
	NULL,
};

static const char stock_name[] = "mbedTLS";

#if !defined(HAVE_IPSEC_MB) && !defined(HAVE_GCRYPT)

const char *gcm_setup(void)
{
	return stock_name;
}

bool gcm_is_fast(void)
{
	return false;
}

bool gcm_use(const char *name)
{
	return strcmp(name, stock_name) == 0;
}

#else

#include <assert.h>
#include <dlfcn.h>
#ifdef __aarch64__
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#include <mbedtls/constant_time.h>
#include <mbedtls/gcm.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/version.h>
#include <uv.h>

#define TAG_MIN    4                   /* as in mbedTLS */
#define LENGTH_MAX ((1ull << 36) - 32) /* SP 800-38D section 5.2.1.1 */
#define DECRYPT    MBEDTLS_GCM_DECRYPT
#define BAD_INPUT  MBEDTLS_ERR_GCM_BAD_INPUT
#define FAILED     MBEDTLS_ERR_GCM_AUTH_FAILED

/* Who serves; NULL: mbedTLS itself. Set before there are contexts: mbedTLS
 * hands its functions nothing else in which this could be. */
static const struct gcmlib *serving;
static bool called; /* has mbedTLS come to us? */
static uv_once_t once = UV_ONCE_INIT;

/* mbedTLS's own functions, which ours hide. */
static struct {
	__typeof__(&mbedtls_gcm_init) init;
	__typeof__(&mbedtls_gcm_setkey) setkey;
	__typeof__(&mbedtls_gcm_crypt_and_tag) crypt_and_tag;
	__typeof__(&mbedtls_gcm_auth_decrypt) auth_decrypt;
	__typeof__(&mbedtls_gcm_starts) starts;
#if MBEDTLS_VERSION_MAJOR >= 3
	__typeof__(&mbedtls_gcm_update_ad) update_ad;
#endif
	__typeof__(&mbedtls_gcm_update) update;
	__typeof__(&mbedtls_gcm_finish) finish;
	__typeof__(&mbedtls_gcm_free) free;
} stock;

/* What we keep in the memory of a mbedtls_gcm_context. */
struct gcm {
	void *key;
	bool encrypt;
#if MBEDTLS_VERSION_MAJOR >= 3
	/* until the first update(): the iv, then what is only authenticated */
	uint8_t *head;
	size_t niv, nad;
	bool started;
#endif
} __attribute__((may_alias));

static_assert(sizeof(struct gcm) <= sizeof(mbedtls_gcm_context),
	      "a context of mbedTLS holds ours");

static struct gcm *gcm_of(mbedtls_gcm_context *ctx)
{
	return (struct gcm *)ctx;
}

/* May out be written while in is read? As mbedTLS has it: in place, behind
 * what has been read, or somewhere else. */
static bool overlaps(const uint8_t *in, const uint8_t *out, size_t n)
{
	return out > in && (size_t)(out - in) < n;
}

static int update(struct gcm *g, const uint8_t *in, uint8_t *out, size_t n)
{
	if (!g->key || n > LENGTH_MAX || overlaps(in, out, n))
		return BAD_INPUT;
	if (n && !serving->update(g->key, g->encrypt, in, out, n))
		return BAD_INPUT;
	return 0;
}

static int start(struct gcm *g, int mode, const uint8_t *iv, size_t niv,
		 const uint8_t *ad, size_t nad)
{
	if (!g->key || !niv || !serving->start(g->key, iv, niv, ad, nad))
		return BAD_INPUT;
	g->encrypt = mode != DECRYPT;
	return 0;
}

static bool is_tag(size_t n)
{
	return n >= TAG_MIN && n <= GCM_TAG;
}

static int finish(struct gcm *g, uint8_t *tag, size_t ntag)
{
	uint8_t whole[GCM_TAG];

	if (!g->key || !is_tag(ntag) || !serving->finish(g->key, whole))
		return BAD_INPUT;
	memcpy(tag, whole, ntag);
	return 0;
}

/* What mbedTLS calls. */

void mbedtls_gcm_init(mbedtls_gcm_context *ctx)
{
	if (!serving)
		stock.init(ctx);
	else
		memset(ctx, 0, sizeof(*ctx));
}

int mbedtls_gcm_setkey(mbedtls_gcm_context *ctx, mbedtls_cipher_id_t cipher,
		       const unsigned char *key, unsigned int bits)
{
	struct gcm *g = gcm_of(ctx);

	if (!serving)
		return stock.setkey(ctx, cipher, key, bits);
	if (cipher != MBEDTLS_CIPHER_ID_AES || /* no suite has another */
	    (bits != 128 && bits != 192 && bits != 256))
		return BAD_INPUT;
	if (g->key)
		serving->close(g->key);
	g->key = serving->open(key, bits);
	return g->key ? 0 : MBEDTLS_ERR_CIPHER_ALLOC_FAILED;
}

int mbedtls_gcm_crypt_and_tag(mbedtls_gcm_context *ctx, int mode, size_t n,
			      const unsigned char *iv, size_t niv,
			      const unsigned char *ad, size_t nad,
			      const unsigned char *in, unsigned char *out,
			      size_t ntag, unsigned char *tag)
{
	struct gcm *g = gcm_of(ctx);
	int err;

	if (!serving)
		return stock.crypt_and_tag(ctx, mode, n, iv, niv, ad, nad, in,
					   out, ntag, tag);
	if (!called)
		called = true;
	if (!is_tag(ntag)) /* before there is something to show */
		return BAD_INPUT;
	err = start(g, mode, iv, niv, ad, nad);
	if (!err)
		err = update(g, in, out, n);
	return err ? err : finish(g, tag, ntag);
}

/* Nothing is left of what was not authentic; comparing takes the same time
 * wherever a tag is wrong. */
int mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *ctx, size_t n,
			     const unsigned char *iv, size_t niv,
			     const unsigned char *ad, size_t nad,
			     const unsigned char *tag, size_t ntag,
			     const unsigned char *in, unsigned char *out)
{
	uint8_t good[GCM_TAG];
	int err;

	if (!serving)
		return stock.auth_decrypt(ctx, n, iv, niv, ad, nad, tag, ntag,
					  in, out);
	err = mbedtls_gcm_crypt_and_tag(ctx, DECRYPT, n, iv, niv, ad, nad, in,
					out, ntag, good);
	if (err)
		return err;
	if (mbedtls_ct_memcmp(tag, good, ntag) == 0)
		return 0;
	mbedtls_platform_zeroize(out, n);
	return FAILED;
}

#if MBEDTLS_VERSION_MAJOR >= 3

/* The libraries want all that is only authenticated at once: collect it. */
static bool collect(struct gcm *g, const uint8_t *p, size_t n)
{
	size_t have = g->niv + g->nad;
	uint8_t *head = realloc(g->head, have + n);

	if (!head)
		return false;
	memcpy(head + have, p, n);
	g->head = head;
	return true;
}

static void forget_head(struct gcm *g)
{
	free(g->head);
	g->head = NULL;
	g->niv = g->nad = 0;
}

static int start_late(struct gcm *g)
{
	int err;

	if (g->started)
		return 0;
	if (!g->head)
		return BAD_INPUT;
	err = start(g, g->encrypt ? MBEDTLS_GCM_ENCRYPT : DECRYPT, g->head,
		    g->niv, g->head + g->niv, g->nad);
	g->started = !err;
	forget_head(g);
	return err;
}

int mbedtls_gcm_starts(mbedtls_gcm_context *ctx, int mode,
		       const unsigned char *iv, size_t niv)
{
	struct gcm *g = gcm_of(ctx);

	if (!serving)
		return stock.starts(ctx, mode, iv, niv);
	forget_head(g);
	g->started = false;
	g->encrypt = mode != DECRYPT;
	if (!niv)
		return BAD_INPUT;
	if (!collect(g, iv, niv))
		return MBEDTLS_ERR_CIPHER_ALLOC_FAILED;
	g->niv = niv;
	return 0;
}

int mbedtls_gcm_update_ad(mbedtls_gcm_context *ctx, const unsigned char *ad,
			  size_t nad)
{
	struct gcm *g = gcm_of(ctx);

	if (!serving)
		return stock.update_ad(ctx, ad, nad);
	if (!g->head)
		return BAD_INPUT;
	if (nad && !collect(g, ad, nad))
		return MBEDTLS_ERR_CIPHER_ALLOC_FAILED;
	g->nad += nad;
	return 0;
}

int mbedtls_gcm_update(mbedtls_gcm_context *ctx, const unsigned char *in,
		       size_t n, unsigned char *out, size_t size, size_t *done)
{
	int err;

	if (!serving)
		return stock.update(ctx, in, n, out, size, done);
	*done = 0;
	if (size < n)
		return MBEDTLS_ERR_GCM_BUFFER_TOO_SMALL;
	err = start_late(gcm_of(ctx));
	if (!err)
		err = update(gcm_of(ctx), in, out, n);
	if (!err)
		*done = n;
	return err;
}

int mbedtls_gcm_finish(mbedtls_gcm_context *ctx, unsigned char *out,
		       size_t size, size_t *done, unsigned char *tag,
		       size_t ntag)
{
	int err;

	if (!serving)
		return stock.finish(ctx, out, size, done, tag, ntag);
	*done = 0; /* nothing is held back */
	err = start_late(gcm_of(ctx));
	return err ? err : finish(gcm_of(ctx), tag, ntag);
}

#else

int mbedtls_gcm_starts(mbedtls_gcm_context *ctx, int mode,
		       const unsigned char *iv, size_t niv,
		       const unsigned char *ad, size_t nad)
{
	if (!serving)
		return stock.starts(ctx, mode, iv, niv, ad, nad);
	return start(gcm_of(ctx), mode, iv, niv, ad, nad);
}

int mbedtls_gcm_update(mbedtls_gcm_context *ctx, size_t n,
		       const unsigned char *in, unsigned char *out)
{
	if (!serving)
		return stock.update(ctx, n, in, out);
	return update(gcm_of(ctx), in, out, n);
}

int mbedtls_gcm_finish(mbedtls_gcm_context *ctx, unsigned char *tag,
		       size_t ntag)
{
	if (!serving)
		return stock.finish(ctx, tag, ntag);
	return finish(gcm_of(ctx), tag, ntag);
}

#endif

void mbedtls_gcm_free(mbedtls_gcm_context *ctx)
{
	if (!ctx)
		return;
	if (!serving) {
		stock.free(ctx);
		return;
	}
#if MBEDTLS_VERSION_MAJOR >= 3
	forget_head(gcm_of(ctx));
#endif
	if (gcm_of(ctx)->key)
		serving->close(gcm_of(ctx)->key);
	mbedtls_platform_zeroize(ctx, sizeof(*ctx));
}

/* Choosing. */

/* Does l compute what mbedTLS does? */
static bool agrees(const struct gcmlib *l)
{
	uint8_t ours[GCMCHECK_LONG], theirs[GCMCHECK_LONG];

	serving = l;
	if (!gcmcheck_long(ours))
		return false;
	if (!stock.setkey) /* linked in, and then ours have replaced it */
		return true;
	serving = NULL;
	if (!gcmcheck_long(theirs))
		return false;
	serving = l;
	return memcmp(ours, theirs, sizeof(ours)) == 0;
}

static bool passes(const struct gcmlib *l)
{
	serving = l;
	called = false;
	if (gcmcheck_known() && called && agrees(l))
		return true;
	serving = NULL;
	if (called)
		log_warn(NULL, "AES-GCM: %s fails its test and is not used",
			 l->name);
	else
		log_warn(NULL, "AES-GCM: this mbedTLS cannot use %s", l->name);
	return false;
}

static void find(const char *name, void *to)
{
	*(void **)to = dlsym(RTLD_NEXT, name);
}

static void find_stock(void)
{
	find("mbedtls_gcm_init", &stock.init);
	find("mbedtls_gcm_setkey", &stock.setkey);
	find("mbedtls_gcm_crypt_and_tag", &stock.crypt_and_tag);
	find("mbedtls_gcm_auth_decrypt", &stock.auth_decrypt);
	find("mbedtls_gcm_starts", &stock.starts);
#if MBEDTLS_VERSION_MAJOR >= 3
	find("mbedtls_gcm_update_ad", &stock.update_ad);
#endif
	find("mbedtls_gcm_update", &stock.update);
	find("mbedtls_gcm_finish", &stock.finish);
	find("mbedtls_gcm_free", &stock.free);
}

/* Without AES instructions ChaCha20 is faster than any library, and its time
 * tells nothing of the key. */
static bool processor_knows_aes(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_cpu_supports("aes");
#elif defined(__aarch64__)
	return getauxval(AT_HWCAP) & HWCAP_AES;
#else
	return false;
#endif
}

static const char *name(void)
{
	return serving ? serving->name : stock_name;
}

static void choose(void)
{
	const char *only = getenv("WSP_TEST_GCM");
	const struct gcmlib *const *l = gcmlibs;

	find_stock();
	for (; processor_knows_aes() && *l; l++)
		if ((!only || strcmp(only, (*l)->name) == 0) && (*l)->load() &&
		    passes(*l))
			break;
	if (serving || stock.setkey)
		log_debug(NULL, "AES-GCM: %s", name());
}

const char *gcm_setup(void)
{
	uv_once(&once, choose);
	return serving || stock.setkey ? name() : NULL;
}

bool gcm_is_fast(void)
{
	return serving != NULL;
}

bool gcm_use(const char *who)
{
	gcm_setup();
	serving = NULL;
	for (const struct gcmlib *const *l = gcmlibs; *l; l++)
		if (strcmp(who, (*l)->name) == 0)
			return (*l)->load() && passes(*l);
	return strcmp(who, stock_name) == 0 && stock.setkey;
}

#endif
