/* SPDX-License-Identifier: MIT */
/*
 * What one name uses of the server, on all threads together: its streams and
 * tunnels are counted, its bytes are paid for at its rate. All of it is atomic.
 *
 * The rate is a bucket that holds what the rate gives in a tenth of a second:
 * each byte moves the moment on until which all is paid (GCRA, ITU-T I.371).
 * Nothing is refused for it: who has spent too much waits.
 */
#ifndef PROTO_USAGE_H
#define PROTO_USAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum usage_kind { USAGE_STREAMS, USAGE_TUNNELS, USAGE_KINDS };
enum usage_way { USAGE_UP, USAGE_DOWN, USAGE_WAYS }; /* to the target, from */

struct usage {
	atomic_uint refs;
	atomic_uint now[USAGE_KINDS];
	atomic_uint most[USAGE_KINDS]; /* 0: any number */
	atomic_ullong rate;            /* bytes a second each way; 0: any */
	atomic_ullong paid[USAGE_WAYS];
};

/* With one reference. NULL: no memory. */
struct usage *usage_new(void);
struct usage *usage_ref(struct usage *u);
/* Give a reference back; NULL is fine. */
void usage_free(struct usage *u);
/* What was counted stays. */
void usage_limit(struct usage *u, uint32_t streams, uint32_t tunnels,
		 uint64_t rate);

/* One more. False: there are as many as there may be. */
bool usage_open(struct usage *u, enum usage_kind kind);
void usage_close(struct usage *u, enum usage_kind kind);

/* n bytes have gone. now: nanoseconds of the process's clock. */
void usage_spend(struct usage *u, enum usage_way way, size_t n, uint64_t now);
/* How long to wait before the next bytes; 0: they may go. */
uint64_t usage_wait(struct usage *u, enum usage_way way, uint64_t now);
/* How many bytes may go at a time, 1 at least; SIZE_MAX: any number. */
size_t usage_step(const struct usage *u);

#endif
