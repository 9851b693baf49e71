/* SPDX-License-Identifier: MIT */
#include "proto/mask.h"

#include <string.h>

/* Four of these are one step. What a processor has not got, the compiler makes
 * of smaller ones. */
typedef uint64_t vec __attribute__((vector_size(32)));

#define STEP (4 * sizeof(vec))

static inline __attribute__((always_inline)) void mask_one(uint8_t *p,
							   const vec *key)
{
	vec v;

	memcpy(&v, p, sizeof(v));
	v ^= *key;
	memcpy(p, &v, sizeof(v));
}

/* Whole steps; returns how many bytes they were. */
static inline __attribute__((always_inline)) size_t
mask_steps(uint8_t *p, size_t n, uint64_t mask)
{
	const vec key = {mask, mask, mask, mask};
	size_t i = 0;

	for (; n - i >= STEP; i += STEP) {
		mask_one(p + i, &key);
		mask_one(p + i + sizeof(vec), &key);
		mask_one(p + i + 2 * sizeof(vec), &key);
		mask_one(p + i + 3 * sizeof(vec), &key);
	}
	return i;
}

#ifdef __x86_64__
static __attribute__((target("avx2"))) size_t
mask_steps_avx2(uint8_t *p, size_t n, uint64_t mask)
{
	return mask_steps(p, n, mask);
}
#endif

static size_t mask_bulk(uint8_t *p, size_t n, uint64_t mask)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2"))
		return mask_steps_avx2(p, n, mask);
#endif
	return mask_steps(p, n, mask);
}

void mask_apply(uint8_t *p, size_t n, const uint8_t key[4], size_t at)
{
	uint8_t turned[8];
	uint64_t mask;
	size_t i = 0;

	for (size_t k = 0; k < sizeof(turned); k++)
		turned[k] = key[(at + k) % 4];
	memcpy(&mask, turned, sizeof(mask));
	if (n >= STEP)
		i = mask_bulk(p, n, mask);
	for (; i < n; i++)
		p[i] ^= turned[i % 4];
}
