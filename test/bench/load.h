// SPDX-License-Identifier: MIT
/* The load program: a target, and clients that reach it by a way which is
 * measured. It knows nothing of the systems on the way. Each command prints
 * one line of JSON at its end (idle: two). */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "test/bench/flow.h"

/* What the command line says. */
struct task {
	int direct, socks, http; // ports: one of them is the way
	int target;              // port behind it (not for direct)
	int streams;
	int beside;     // bulk streams beside pings
	bool up;        // these are uploads
	bool late;      // they are there before the pings' stream
	uint64_t bytes; // of all streams together; 0: seconds count
	double seconds;
	double limit;   // the bytes that moved by then are enough; 0: none
	double timeout; // without progress, or for one answer
	bool once;      // duplex: one stream for each slot
	bool reset;     // what a killed process leaves is reset
};

/* A connection through the way, blocking, ready for bytes; -1. */
int way_open(const struct task *t);
/* The same with early data along, without waiting for any answer; SOCKS only.
 * first is when its answer's first byte was here. */
int way_early(const struct task *t, double *first);
bool send_all(int fd, const void *p, size_t n);
bool recv_all(int fd, void *p, size_t n);

#define END_WAIT 1.0 // seconds
#define MARK     0.25
#define MARKS    200

/* Flows that one thread moves. */
struct bulk {
	struct flow *flows;
	int n;                      // of them
	int set;                    // epoll
	int ended[FLOW_FAILED + 1]; // how many, by state
	int full;    // downloads that have their last byte, but no end yet
	double last; // when the last byte or answer came
	_Atomic uint64_t moved;
	_Atomic bool stop;
	double timeout;
	double end;            // of all; 0: none
	uint64_t marks[MARKS]; // moved after each MARK seconds
	int nmarks;
};

/* Opens n flows of bytes each and gives their orders; those that fail are
 * counted. */
void bulk_open(struct bulk *b, const struct task *t, int n, uint64_t bytes);
/* Until all have ended, or stop, or end, or nothing has moved for timeout; an
 * end that is late behind the last byte is waited for END_WAIT. */
void bulk_run(struct bulk *b);
void bulk_close(struct bulk *b);

int target(int port, bool reset);
int run_bulk(const struct task *t);
int run_ping(const struct task *t);
int run_opens(const struct task *t);
int run_idle(const struct task *t);
int run_stall(const struct task *t);
int run_first(const struct task *t);
int run_duplex(const struct task *t);

#endif
