/* SPDX-License-Identifier: MIT */
/* The masking of RFC 6455 section 5.3, in words: wslay's takes single bytes. */
#ifndef PROTO_MASK_H
#define PROTO_MASK_H

#include <stddef.h>
#include <stdint.h>

/* Mask or unmask n bytes in place; at: how many bytes of the payload came
 * before p. */
void mask_apply(uint8_t *p, size_t n, const uint8_t key[4], size_t at);

#endif
