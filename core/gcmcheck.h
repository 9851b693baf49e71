/* SPDX-License-Identifier: MIT */
/*
 * Does AES-GCM work, as mbedTLS offers it? Asked through mbedTLS's own door,
 * the one that TLS uses, whoever serves behind it. Takes some microseconds.
 */
#ifndef CORE_GCMCHECK_H
#define CORE_GCMCHECK_H

#include <stdbool.h>
#include <stdint.h>

#define GCMCHECK_LONG (4109 + 16)

/* Does it give the answers of the specification, with keys of 128 and 256 bits,
 * and refuse what was changed? */
bool gcmcheck_known(void);
/* Seal a message into out that is longer than what any library takes in one
 * step. False: it cannot be sealed, or not be opened again. */
bool gcmcheck_long(uint8_t out[GCMCHECK_LONG]);

#endif
