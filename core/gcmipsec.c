/* SPDX-License-Identifier: MIT */
#include "core/gcmlib.h"

#ifdef HAVE_IPSEC_MB

#include <dlfcn.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <intel-ipsec-mb.h>
#include <mbedtls/platform_util.h>

#if IMB_VERSION_NUM >= IMB_VERSION(2, 0, 0)
#define SONAME "libIPSec_MB.so.2"
#else
#define SONAME "libIPSec_MB.so.1"
#endif
#define ALIGN 64

/* What is called for a key of one size. */
struct calls {
	aes_gcm_pre_t expand;
	aes_gcm_init_var_iv_t start;
	aes_gcm_enc_dec_update_t encrypt, decrypt;
	aes_gcm_enc_dec_finalize_t finish;
};

/* Filled once by load(): it is the library's choice for this processor. */
static struct calls calls[3]; /* 128, 192, 256 bits */

struct key {
	struct gcm_key_data expanded;
	struct gcm_context_data message;
	const struct calls *calls;
};

static void take_calls(const IMB_MGR *m)
{
	calls[0] = (struct calls){
		m->gcm128_pre,          m->gcm128_init_var_iv,
		m->gcm128_enc_update,   m->gcm128_dec_update,
		m->gcm128_enc_finalize,
	};
	calls[1] = (struct calls){
		m->gcm192_pre,          m->gcm192_init_var_iv,
		m->gcm192_enc_update,   m->gcm192_dec_update,
		m->gcm192_enc_finalize,
	};
	calls[2] = (struct calls){
		m->gcm256_pre,          m->gcm256_init_var_iv,
		m->gcm256_enc_update,   m->gcm256_dec_update,
		m->gcm256_enc_finalize,
	};
}

/* Making a manager tests all that the library knows, and brings 3 MB of its
 * code into memory. Let go of it: what is used comes back from the page cache.
 */
static int forget_code(struct dl_phdr_info *lib, size_t size, void *name)
{
	(void)size;
	if (!strstr(lib->dlpi_name, name))
		return 0;
	for (int i = 0; i < lib->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &lib->dlpi_phdr[i];
		uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
		uintptr_t from = (lib->dlpi_addr + h->p_vaddr) & ~(page - 1);

		if (h->p_type == PT_LOAD && !(h->p_flags & PF_W))
			madvise((void *)from,
				lib->dlpi_addr + h->p_vaddr + h->p_memsz - from,
				MADV_DONTNEED);
	}
	return 1;
}

/* The manager is only there to be asked for functions, which do without it. It
 * tests them all when it is made. */
static bool ask_manager(void *lib)
{
	__typeof__(&alloc_mb_mgr) make =
		(__typeof__(&alloc_mb_mgr))dlsym(lib, "alloc_mb_mgr");
	__typeof__(&init_mb_mgr_auto) init =
		(__typeof__(&init_mb_mgr_auto))dlsym(lib, "init_mb_mgr_auto");
	__typeof__(&free_mb_mgr) end =
		(__typeof__(&free_mb_mgr))dlsym(lib, "free_mb_mgr");
	IMB_ARCH arch = IMB_ARCH_NONE;
	IMB_MGR *m = make && init && end ? make(0) : NULL;

	if (!m)
		return false;
	init(m, &arch);
	if (arch != IMB_ARCH_NONE)
		take_calls(m);
	end(m);
	dl_iterate_phdr(forget_code, SONAME);
	return arch != IMB_ARCH_NONE;
}

static bool load(void)
{
	void *lib;

	if (calls[0].start)
		return true;
	if (!__builtin_cpu_supports("aes") ||
	    !__builtin_cpu_supports("pclmul")) /* else it computes slowly */
		return false;
	lib = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);
	return lib && ask_manager(lib);
}

static void *open_key(const uint8_t *key, unsigned int bits)
{
	size_t size = (sizeof(struct key) + ALIGN - 1) / ALIGN * ALIGN;
	struct key *k = aligned_alloc(ALIGN, size);

	if (!k)
		return NULL;
	memset(k, 0, size);
	k->calls = &calls[bits / 64 - 2];
	k->calls->expand(key, &k->expanded);
	return k;
}

static void close_key(void *key)
{
	mbedtls_platform_zeroize(key, sizeof(struct key));
	free(key);
}

static bool start(void *key, const uint8_t *iv, size_t niv, const uint8_t *ad,
		  size_t nad)
{
	struct key *k = key;

	k->calls->start(&k->expanded, &k->message, iv, niv, ad, nad);
	return true;
}

static bool update(void *key, bool encrypt, const uint8_t *in, uint8_t *out,
		   size_t n)
{
	struct key *k = key;

	(encrypt ? k->calls->encrypt
		 : k->calls->decrypt)(&k->expanded, &k->message, out, in, n);
	return true;
}

static bool finish(void *key, uint8_t tag[GCM_TAG])
{
	struct key *k = key;

	k->calls->finish(&k->expanded, &k->message, tag, GCM_TAG);
	return true;
}

const struct gcmlib gcm_ipsec_mb = {
	.name = "libipsec-mb",
	.load = load,
	.open = open_key,
	.close = close_key,
	.start = start,
	.update = update,
	.finish = finish,
};

#endif
