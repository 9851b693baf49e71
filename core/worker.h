/* SPDX-License-Identifier: MIT */
/*
 * A worker is a thread's loop and all that hangs below it: the pool of bufs,
 * the random generator, the counters and the deadlines. The memory budget is
 * that of the process.
 *
 * Once per turn of the loop, before it sleeps, the worker runs its flushers:
 * there everything that the turn has queued leaves in few system calls, and
 * what calls down made possible is told (docs/architecture.md, rule 1).
 *
 * No timer is re-armed per packet: a deadline is a place in a list that is
 * swept once a second.
 *
 * One thread; nothing here may be called from another, but worker_post() and
 * worker_is_full().
 */
#ifndef CORE_WORKER_H
#define CORE_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "core/mailbox.h"
#include "core/splice.h"
#include "proto/budget.h"
#include "proto/buf.h"
#include "proto/pace.h"

/* Sockets beyond max_conns that are taken, only to be refused with a word. */
#define CONNS_SPARE 16

struct worker;

/* A moment at which something that has not happened counts as failed. Member
 * of the object that it guards; zeroed means not set. */
struct deadline {
	struct deadline *next, **prev;
	uint64_t at; /* worker_now() */
	void (*expired)(struct deadline *d);
};

/* Something to be done at the end of each turn in which it was asked for. */
struct flusher {
	struct flusher *next, **prev;
	void (*flush)(struct flusher *f);
};

typedef void signal_fn(void *ctx, int signum);

struct worker {
	uv_loop_t loop;
	struct bufpool pool;
	struct budget *budget; /* of windows, of all workers */
	struct pace pace;
	uint64_t turn;     /* of the loop, counted */
	atomic_uint conns; /* sockets that are open; see worker_is_full() */
	unsigned int max_conns;
	uint8_t *scratch;     /* BUF_MAX bytes, lent for one call at a time */
	uint8_t *plain;       /* BUF_MAX bytes, the same for decrypted data */
	struct splice splice; /* of who is reading */

	/* private */
	struct budget own_budget;
	atomic_size_t bufs; /* of all workers, in the first one */
	struct mailbox mailbox;
	uv_thread_t thread;
	struct letter *ended; /* to be posted at the end of the thread */
	struct worker *to;
	uv_prepare_t prepare;
	uv_idle_t idle; /* keeps the loop awake while flushers wait */
	uv_timer_t sweep;
	uint64_t swept; /* when the last sweep ran */
	uint64_t woke;  /* when the process ran again after a long pause */
	uint8_t random[256];
	size_t random_left;
	uint32_t lcg;
	uv_signal_t signals[3];
	int nsignals;
	signal_fn *on_signal;
	void *signal_ctx;
	struct deadline *deadlines;
	struct flusher *flushers;
	unsigned int speed;
	bool stopping;
	struct resolver *resolver;
	struct refusal *refusals;
	unsigned int nrefusals;
};

/* max_memory in bytes; max_conns is set from the limit of descriptors, which
 * is raised. 0 or a negative libuv code. */
int worker_init(struct worker *w, size_t max_memory);
/* w is one of n that share the process: they have first's budget and count
 * of bufs in common, and of descriptors each gets its part. first may be w. */
void worker_share(struct worker *w, struct worker *first, unsigned int n);
/* Run until nothing is left. 0, or a code if something was left behind. */
int worker_run(struct worker *w);
/* End worker_run() as soon as the last socket is closed. All users must have
 * been dropped; what they still say to their peers is waited for. */
void worker_stop(struct worker *w);
bool worker_is_stopping(const struct worker *w);
/* End worker_run() now, leaving everything as it is: only the end of the
 * process may follow. */
void worker_abort(struct worker *w);
/* Free; only after worker_run(), when nobody posts any more. Returns
 * uv_loop_close(). */
int worker_done(struct worker *w);

/* worker_run() on a thread of its own; behind it, ended is posted to the worker
 * to. 0 or a negative libuv code. */
int worker_start(struct worker *w, struct worker *to, struct letter *ended);
/* Wait for the end of that thread; then w is the caller's. */
void worker_join(struct worker *w);
/* From any thread: have l opened on w's, see core/mailbox.h. */
bool worker_post(struct worker *w, struct letter *l);
/* From any thread: when so many sockets have come that are on their way, would
 * one more be refused? */
bool worker_is_full(const struct worker *w, unsigned int coming);
/* How many CPUs the process may use, and how many workers it has, if nobody
 * says: one for each, as far as that leaves descriptors enough to each. */
unsigned int worker_cpus(void);
unsigned int worker_usual(void);

/* Milliseconds of the loop's clock (monotonic), and those of a real duration
 * as tests have scaled it (WSP_TEST_SPEED, a divisor). */
uint64_t worker_now(const struct worker *w);
uint64_t worker_ms(const struct worker *w, uint64_t ms);
/* Bytes that may wait for a socket to take them: less while small streams are
 * alive (light), and little when half of the memory, or more, is in bufs. */
#define AHEAD_MAX (1024 * 1024)
size_t worker_ahead(const struct worker *w, bool light);
/* Are small streams alive? See proto/pace.h. */
bool worker_is_light(const struct worker *w);
/* How long ago then was, as a real duration that tests have scaled. */
uint64_t worker_since(const struct worker *w, uint64_t then);
/* The same for how long somebody else has been silent: what this process has
 * slept (SIGSTOP, a suspended machine) is not his fault. */
uint64_t worker_silence(const struct worker *w, uint64_t then);

/* Call on() for TERM, INT, HUP. */
int worker_signals(struct worker *w, signal_fn *on, void *ctx);

/* In ms milliseconds call expired(), at most a second late; what is due in
 * less than a second is on time. Set again: moved. d is cleared when it is
 * called. */
void deadline_set(struct worker *w, struct deadline *d, uint64_t ms,
		  void (*expired)(struct deadline *d));
void deadline_clear(struct deadline *d);

/* Call f->flush once, at the end of this turn. Asked twice: once. */
void worker_flush(struct worker *w, struct flusher *f);
void flusher_clear(struct flusher *f);

/* Fill with random bytes that cannot be predicted. 0 or a negative code. */
int worker_random(struct worker *w, void *p, size_t n);
/* A number below n, not for secrets. */
uint32_t worker_below(struct worker *w, uint32_t n);

#endif
