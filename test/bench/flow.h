// SPDX-License-Identifier: MIT
/* A flow: bytes of known content that one end sends and the other verifies.
 *
 * The content is a block of random bytes over and over, with a stamp of eight
 * bytes at each 4 KiB that is made of the flow's seed and the offset: a byte
 * that is lost, doubled, altered, or of another flow is seen by memcmp().
 *
 * An order of 24 bytes opens a flow ("d": send me, "u": I send; length and
 * seed); an answer of 9 bytes ends an upload ("k" and the bytes that were as
 * they should be, or "c" and the offset of the first wrong piece).
 *
 * The kernel has a limit for the buffers of all sockets together (tcp_mem); so
 * that it is not what is measured, each of many flows sends from a small one.
 *
 * One block belongs to one thread. Sockets are non-blocking. */
#ifndef BENCH_FLOW_H
#define BENCH_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FLOW_ORDER = 24,
	FLOW_ANSWER = 9,
	FLOW_WRITE = 256 << 10, // at most, in one system call
	FLOW_READ = 1 << 20,
	FLOW_MANY = 100, // more streams than these have small buffers
};
#define FLOW_ENDLESS ((uint64_t)1 << 60)

enum flow_state {
	FLOW_MORE,
	FLOW_DONE,      // all n bytes, each as it should be, and the end
	FLOW_TRUNCATED, // an end before that
	FLOW_CORRUPT,   // a wrong byte, or one too many
	FLOW_FAILED,    // an error of the socket
};

struct block {
	uint8_t *expect; // what content looks like; stamps are patched in
	uint8_t *read;   // room for one read
};

struct flow {
	int fd;
	bool up;       // from the client to the target
	bool many;     // one of so many that its socket has a small buffer
	uint64_t seed; // of the content
	uint64_t off;  // bytes that have been moved
	uint64_t n;    // bytes to move
	uint8_t small[FLOW_ORDER]; // an order or an answer on its way
	size_t have;               // of small
};

/* Of f.many. */
void flow_small_buffer(const struct flow *f);
void block_init(struct block *b);

/* One write, or one read and a look at what it brought. */
enum flow_state flow_send(struct flow *f, struct block *b);
enum flow_state flow_take(struct flow *f, struct block *b);

void flow_order_put(const struct flow *f, uint8_t order[FLOW_ORDER]);
/* False if order is none. */
bool flow_order_get(struct flow *f, const uint8_t order[FLOW_ORDER]);
void flow_answer_put(bool good, uint64_t off, uint8_t answer[FLOW_ANSWER]);

/* Ends the program with a message. */
_Noreturn void die(const char *what);
double now(void); // seconds, monotonic
void no_delay(int fd);
void non_blocking(int fd, bool on);
int listen_on(int port); // at 127.0.0.1; port 0: any. Dies.
int port_of(int fd);
/* Whoever closes fd resets the connection, or not; so does the end of a process
 * that is killed. Those that a listener accepts are like it. */
void reset_at_close(int fd, bool on);
/* 127.0.0.1, blocking; -1 and errno. reset: it is, from its first moment. */
int dial(int port, bool reset);
void more_files(void); // as many descriptors as the hard limit has

#endif
