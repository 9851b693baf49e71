/* SPDX-License-Identifier: MIT */
#include "core/alive.h"

#define PING_MS       15000
#define PING_ALIEN_MS 25000
#define DEAD_MS       45000

void alive_heard(struct alive *a, const struct worker *w)
{
	a->heard = worker_now(w);
	a->pinged = false;
}

uint64_t alive_first(const struct alive *a)
{
	return a->alien ? PING_ALIEN_MS : PING_MS;
}

uint64_t alive_look(struct alive *a, const struct worker *w, bool deaf,
		    bool *ping)
{
	uint64_t every = alive_first(a);
	uint64_t silent = deaf ? 0 : worker_silence(w, a->heard);
	/* A peer that only sends hears nothing else for minutes, if its way is
	 * slow. gowsp had better not be pinged while it sends. */
	uint64_t mute = a->alien ? 0 : worker_since(w, a->said);

	*ping = false;
	if (silent >= DEAD_MS)
		return 0;
	if ((silent >= every && !a->pinged) || mute >= every) {
		*ping = true;
		a->pinged = silent >= every;
		mute = 0;
	}
	silent = (a->pinged ? DEAD_MS : every) - silent;
	mute = every - mute;
	return silent < mute ? silent : mute;
}
