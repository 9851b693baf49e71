/* SPDX-License-Identifier: MIT */
/*
 * AES-GCM for mbedTLS, from a library that is faster at it: mbedTLS 2.28 needs
 * 3.5 s of a processor's time for a GB, libipsec-mb 0.07 s.
 *
 * How it gets there: mbedTLS's libcrypto calls its own mbedtls_gcm_*() through
 * the dynamic linker, which finds those of the program first. So gcm.c defines
 * all of them, on top of a library of gcmlib.h that is loaded at run time; what
 * mbedTLS has itself is found behind ours, and is used where nothing else is
 * there or passes the test.
 *
 * Which library serves is decided once for the process, by the first call of
 * gcm_setup(), before mbedTLS has made a context. In a program that is linked
 * statically, or was built without these libraries, nothing of this exists.
 */
#ifndef CORE_GCM_H
#define CORE_GCM_H

#include <stdbool.h>

/* Decide, and say so once at the level debug. Any thread. Returns who serves:
 * "libipsec-mb", "libgcrypt" or "mbedTLS"; NULL: nobody, as mbedTLS's own was
 * not linked. */
const char *gcm_setup(void);
/* Is AES-GCM faster than ChaCha20 here? After gcm_setup(). */
bool gcm_is_fast(void);
/* For tests: let this one serve, if it is there and passes the test. No context
 * may exist. */
bool gcm_use(const char *who);

#endif
