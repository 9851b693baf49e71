/* SPDX-License-Identifier: MIT */
/*
 * What all muxes of a worker share, so that bulk in one tunnel makes room for
 * small streams in another: until when small streams count as alive.
 */
#ifndef PROTO_PACE_H
#define PROTO_PACE_H

#include <stdint.h>

struct pace {
	uint64_t light_until; /* milliseconds of the mux's clock */
};

#endif
