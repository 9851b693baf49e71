/* SPDX-License-Identifier: MIT */
/*
 * A library that is loaded into the real binary (LD_PRELOAD) and lies to it:
 *
 *   WSP_FAULT=seed=1,short=50%:16,eagain=30%,eintr=10%,emfile=100%@accept#5
 *
 * Each rule is NAME=P%[:MAX][@CALL[+CALL...]][#TIMES]. NAME is an errno in
 * lower case, or short: so many bytes at most (MAX, else what was asked for).
 * CALL is read, write, accept, connect, socket, open, pipe, wait, random or
 * poll; without one, those that the name makes sense for. Reads and writes are
 * those of stream sockets only: what libuv says to itself by eventfd is true.
 *
 * WSP_FAULT_CONTROL=FILE: a struct control that the test and the program share
 * (test/lib/faults.py). Without it all is in force from the start.
 */
#ifndef TEST_FAULT_H
#define TEST_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAMES 24

/* Native byte order; the test may write at any time. */
struct control {
	uint32_t off;         /* no rule is in force */
	uint32_t nframes;     /* of frames */
	int64_t clock;        /* seconds that CLOCK_REALTIME is ahead */
	uint64_t allocs;      /* allocations since the test has written 0 */
	uint64_t fail_at;     /* the one that fails, once; 0: none */
	uint64_t fail_ppm;    /* or so many in a million */
	uint64_t failed;      /* allocations that have */
	uint64_t faults;      /* rules that have struck */
	void *frames[FRAMES]; /* of the last allocation that failed */
};

extern struct control *fault_control;

/* 0 <= random < n */
uint64_t fault_random(uint64_t n);

#endif
