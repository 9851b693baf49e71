/* SPDX-License-Identifier: MIT */
/*
 * What all muxes and sockets of a worker share, so that bulk in one tunnel
 * makes room for small streams in another: until when small streams count as
 * alive. While they do, all is sent in smaller steps, since a small stream
 * waits behind those that have begun. What a tunnel has received is read as
 * fast as it can be: it is in front of them already.
 *
 * Larger steps than PACE_BULK fall out of the processor's cache before they
 * are used; much smaller ones are more wake-ups (docs/performance.md).
 */
#ifndef PROTO_PACE_H
#define PROTO_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACE_BULK     (512 * 1024) /* bytes in a step: a read, a message */
#define PACE_LIGHT    (64 * 1024)  /* the same while small streams live */
#define PACE_LIGHT_MS 20           /* behind their last small message */

struct pace {
	uint64_t light_until; /* milliseconds of the mux's clock */
};

static inline bool pace_is_light(const struct pace *p, uint64_t now)
{
	return now < p->light_until;
}

static inline uint32_t pace_step(const struct pace *p, uint64_t now)
{
	return pace_is_light(p, now) ? PACE_LIGHT : PACE_BULK;
}

#endif
