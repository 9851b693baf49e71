/* SPDX-License-Identifier: MIT */
/*
 * mbedTLS allocates by calloc(), and does not look at every result: a handshake
 * may go on with what was not computed (CVE-2025-27810), or tell of a bad
 * certificate where there was no memory. So the program has a calloc() of its
 * own, which libraries use too, and which counts.
 */
#ifndef CORE_OOM_H
#define CORE_OOM_H

/* The calls of calloc() in this thread that have failed so far. */
unsigned long oom_count(void);

#endif
