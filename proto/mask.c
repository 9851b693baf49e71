/* SPDX-License-Identifier: MIT */
#include "proto/mask.h"

#include <string.h>

#define WORDS 4 /* in one step, which compilers turn into vectors */

void mask_apply(uint8_t *p, size_t n, const uint8_t key[4], size_t at)
{
	uint64_t words[WORDS], mask;
	uint8_t turned[8];
	size_t i = 0;

	for (size_t k = 0; k < sizeof(turned); k++)
		turned[k] = key[(at + k) % 4];
	memcpy(&mask, turned, sizeof(mask));
	for (; n - i >= sizeof(words); i += sizeof(words)) {
		memcpy(words, p + i, sizeof(words));
		for (int k = 0; k < WORDS; k++)
			words[k] ^= mask;
		memcpy(p + i, words, sizeof(words));
	}
	for (; i < n; i++)
		p[i] ^= turned[i % 4];
}
