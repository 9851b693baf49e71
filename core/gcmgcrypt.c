/* SPDX-License-Identifier: MIT */
#include "core/gcmlib.h"

#ifdef HAVE_GCRYPT

#include <dlfcn.h>

#include <gcrypt.h>

#define SONAME "libgcrypt.so.20"

/* The functions of the library, filled once by load(). */
static struct {
	__typeof__(&gcry_check_version) check_version;
	__typeof__(&gcry_control) control;
	__typeof__(&gcry_cipher_open) open;
	__typeof__(&gcry_cipher_close) close;
	__typeof__(&gcry_cipher_setkey) set_key;
	__typeof__(&gcry_cipher_setiv) set_iv;
	__typeof__(&gcry_cipher_authenticate) authenticate;
	__typeof__(&gcry_cipher_encrypt) encrypt;
	__typeof__(&gcry_cipher_decrypt) decrypt;
	__typeof__(&gcry_cipher_gettag) get_tag;
} lib;

static bool find(void *from, const char *name, void *to)
{
	*(void **)to = dlsym(from, name);
	return *(void **)to != NULL;
}

static bool find_all(void *from)
{
	return find(from, "gcry_check_version", &lib.check_version) &&
	       find(from, "gcry_control", &lib.control) &&
	       find(from, "gcry_cipher_open", &lib.open) &&
	       find(from, "gcry_cipher_close", &lib.close) &&
	       find(from, "gcry_cipher_setkey", &lib.set_key) &&
	       find(from, "gcry_cipher_setiv", &lib.set_iv) &&
	       find(from, "gcry_cipher_authenticate", &lib.authenticate) &&
	       find(from, "gcry_cipher_encrypt", &lib.encrypt) &&
	       find(from, "gcry_cipher_decrypt", &lib.decrypt) &&
	       find(from, "gcry_cipher_gettag", &lib.get_tag);
}

static bool load(void)
{
	static bool loaded;
	void *handle;

	if (loaded)
		return true;
	handle = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
	if (!handle || !find_all(handle) || !lib.check_version(NULL))
		return false;
	/* No locked memory: mbedTLS has none either, and the key passes
	 * through it. */
	lib.control(GCRYCTL_DISABLE_SECMEM, 0);
	loaded = !lib.control(GCRYCTL_INITIALIZATION_FINISHED, 0);
	return loaded;
}

static void *open_key(const uint8_t *key, unsigned int bits)
{
	int algo = bits == 128   ? GCRY_CIPHER_AES128
		   : bits == 192 ? GCRY_CIPHER_AES192
				 : GCRY_CIPHER_AES256;
	gcry_cipher_hd_t k;

	if (lib.open(&k, algo, GCRY_CIPHER_MODE_GCM, 0))
		return NULL;
	if (lib.set_key(k, key, bits / 8) == 0)
		return k;
	lib.close(k);
	return NULL;
}

static void close_key(void *key)
{
	lib.close(key);
}

static bool start(void *key, const uint8_t *iv, size_t niv, const uint8_t *ad,
		  size_t nad)
{
	return lib.set_iv(key, iv, niv) == 0 &&
	       (!nad || lib.authenticate(key, ad, nad) == 0);
}

static bool update(void *key, bool encrypt, const uint8_t *in, uint8_t *out,
		   size_t n)
{
	if (in == out) /* its way to say "in place" */
		return (encrypt ? lib.encrypt : lib.decrypt)(key, out, n, NULL,
							     0) == 0;
	return (encrypt ? lib.encrypt : lib.decrypt)(key, out, n, in, n) == 0;
}

static bool finish(void *key, uint8_t tag[GCM_TAG])
{
	return lib.get_tag(key, tag, GCM_TAG) == 0;
}

const struct gcmlib gcm_gcrypt = {
	.name = "libgcrypt",
	.load = load,
	.open = open_key,
	.close = close_key,
	.start = start,
	.update = update,
	.finish = finish,
};

#endif
