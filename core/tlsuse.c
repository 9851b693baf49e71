/* SPDX-License-Identifier: MIT */
#include "core/tlsuse.h"

#include <stdlib.h>
#include <string.h>

#define RECORDS (1u << 24)

void tlsuse_init(struct tlsuse *u, const char *suite)
{
	const char *fewer = getenv("WSP_TEST_RECORDS");

	*u = (struct tlsuse){.most = RECORDS};
	if (fewer)
		u->most = strtoull(fewer, NULL, 10);
	if (!strstr(suite, "GCM"))
		u->most = 0;
}

static bool is_beyond(const struct tlsuse *u, uint64_t most)
{
	return u->most && (u->in >= most || u->out >= most);
}

bool tlsuse_is_worn(const struct tlsuse *u)
{
	return is_beyond(u, u->most);
}

/* The square root of two is 1.41421, a little more than this. */
bool tlsuse_is_over(const struct tlsuse *u)
{
	return is_beyond(u, u->most + u->most * 53 / 128);
}
