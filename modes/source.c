/* SPDX-License-Identifier: MIT */
#include "modes/source.h"

#include <string.h>

#include "modes/trust.h"

static bool is_v4(const uint8_t ip[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(ip, mapped, sizeof(mapped)) == 0;
}

bool source_of(const char *peer, struct source *out)
{
	if (!trust_read_ip(peer, strlen(peer), out->net))
		return false;
	if (!is_v4(out->net))
		memset(out->net + 8, 0, 8);
	return true;
}

bool source_equal(const struct source *a, const struct source *b)
{
	return memcmp(a->net, b->net, sizeof(a->net)) == 0;
}
