/* SPDX-License-Identifier: MIT */
/*
 * What gcm.c wants of a library that knows AES-GCM. The libraries are loaded
 * when they are first asked for: who does not use TLS pays nothing.
 */
#ifndef CORE_GCMLIB_H
#define CORE_GCMLIB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GCM_TAG 16

struct gcmlib {
	const char *name;
	/* Is it on this machine, and good for its processor? Asked again, it
	 * remembers. */
	bool (*load)(void);
	/* A key of 128, 192 or 256 bits, with what a message needs. NULL: no
	 * memory. */
	void *(*open)(const uint8_t *key, unsigned int bits);
	/* Free, and wipe. */
	void (*close)(void *key);
	/* One message: start(), update() for any pieces of it, finish(). out
	 * may be in. False: the library refuses. */
	bool (*start)(void *key, const uint8_t *iv, size_t niv,
		      const uint8_t *ad, size_t nad);
	bool (*update)(void *key, bool encrypt, const uint8_t *in, uint8_t *out,
		       size_t n);
	bool (*finish)(void *key, uint8_t tag[GCM_TAG]);
};

/* The fastest first; ends with NULL. */
extern const struct gcmlib *const gcmlibs[];

extern const struct gcmlib gcm_ipsec_mb, gcm_gcrypt;

#endif
