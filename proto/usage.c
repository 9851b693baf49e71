/* SPDX-License-Identifier: MIT */
#include "proto/usage.h"

#include <stdlib.h>

#define SECOND   1000000000ull
#define BURST_NS (SECOND / 10)
#define STEPS    50 /* in a second, at least */
#define STEP_MAX (64 * 1024)

struct usage *usage_new(void)
{
	struct usage *u = calloc(1, sizeof(*u));

	if (u)
		atomic_init(&u->refs, 1);
	return u;
}

struct usage *usage_ref(struct usage *u)
{
	atomic_fetch_add(&u->refs, 1);
	return u;
}

void usage_free(struct usage *u)
{
	if (u && atomic_fetch_sub(&u->refs, 1) == 1)
		free(u);
}

void usage_limit(struct usage *u, uint32_t streams, uint32_t tunnels,
		 uint64_t rate)
{
	atomic_store(&u->most[USAGE_STREAMS], streams);
	atomic_store(&u->most[USAGE_TUNNELS], tunnels);
	/* debts are times: those of another rate would be wrong ones */
	if (atomic_exchange(&u->rate, rate) != rate)
		for (int i = 0; i < USAGE_WAYS; i++)
			atomic_store(&u->paid[i], 0);
}

bool usage_open(struct usage *u, enum usage_kind kind)
{
	unsigned int most = atomic_load(&u->most[kind]);
	unsigned int now = atomic_load(&u->now[kind]);

	do {
		if (most && now >= most)
			return false;
	} while (!atomic_compare_exchange_weak(&u->now[kind], &now, now + 1));
	return true;
}

void usage_close(struct usage *u, enum usage_kind kind)
{
	atomic_fetch_sub(&u->now[kind], 1);
}

void usage_spend(struct usage *u, enum usage_way way, size_t n, uint64_t now)
{
	unsigned long long rate = atomic_load(&u->rate), from, to;
	unsigned long long paid = atomic_load(&u->paid[way]);
	unsigned long long earliest = now > BURST_NS ? now - BURST_NS : 0;

	if (!rate)
		return;
	do {
		from = paid > earliest ? paid : earliest;
		to = from + n / rate * SECOND + n % rate * SECOND / rate;
	} while (!atomic_compare_exchange_weak(&u->paid[way], &paid, to));
}

uint64_t usage_wait(struct usage *u, enum usage_way way, uint64_t now)
{
	unsigned long long paid = atomic_load(&u->paid[way]);

	return atomic_load(&u->rate) && paid > now ? paid - now : 0;
}

size_t usage_step(const struct usage *u)
{
	unsigned long long rate = atomic_load(&u->rate);

	if (!rate)
		return SIZE_MAX;
	if (rate / STEPS >= STEP_MAX)
		return STEP_MAX;
	return rate < STEPS ? 1 : (size_t)(rate / STEPS);
}
