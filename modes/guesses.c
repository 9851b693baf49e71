/* SPDX-License-Identifier: MIT */
#include "modes/guesses.h"

#include <stdbool.h>
#include <string.h>

#define COUNT_MAX 0xffffu
#define MASK_24   0xffffffu

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93u;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93u;
	return x ^ x >> 32;
}

static uint64_t hash(const struct guesses *g, const struct source *from)
{
	uint64_t half[2];

	memcpy(half, from->net, sizeof(half));
	return mix(mix(half[0] ^ g->key[0]) + (half[1] ^ g->key[1]));
}

static uint64_t pack(uint32_t tag, uint32_t since, unsigned int n)
{
	return (uint64_t)tag << 40 | (uint64_t)since << 16 | n;
}

static uint32_t tag_of(uint64_t place)
{
	return (uint32_t)(place >> 40);
}

static uint32_t age(uint64_t place, uint32_t now)
{
	return (now - (uint32_t)(place >> 16)) & MASK_24;
}

/* The place that has this tag, or else the one to be given up. */
static unsigned int choose(_Atomic uint64_t *set, uint32_t tag, uint32_t now)
{
	unsigned int best = 0;
	uint32_t oldest = 0, years;

	for (unsigned int i = 0; i < GUESSES_WAYS; i++) {
		uint64_t v = atomic_load(&set[i]);

		if (v && tag_of(v) == tag)
			return i;
		years = v ? age(v, now) : UINT32_MAX;
		if (years >= oldest) {
			best = i;
			oldest = years;
		}
	}
	return best;
}

unsigned int guesses_add(struct guesses *g, const struct source *from,
			 uint64_t now)
{
	uint64_t h = hash(g, from), old, new;
	uint32_t tag = (uint32_t)(h >> 40), second = now & MASK_24;
	_Atomic uint64_t *set = g->place[h % GUESSES_SETS], *place;
	unsigned int n;

	place = &set[choose(set, tag, second)];
	old = atomic_load(place);
	do {
		bool same = old && tag_of(old) == tag &&
			    age(old, second) < GUESSES_WINDOW;

		n = same ? (unsigned int)(old & COUNT_MAX) : 0;
		if (n < COUNT_MAX)
			n++;
		new = pack(tag, same ? (uint32_t)(old >> 16) & MASK_24 : second,
			   n);
	} while (!atomic_compare_exchange_weak(place, &old, new));
	return n;
}
