/* SPDX-License-Identifier: MIT */
/*
 * What every mode that runs has in common: workers, signals, readiness and the
 * way to an end.
 *
 *	RUNNING
 *	DRAINING  after the first TERM or INT: nothing new is taken, what runs
 *		  may end by itself within --grace
 *	STOPPING  everything has been dropped; the last words go out
 *
 * A second TERM or INT ends the process at once, with 128 plus its number.
 *
 * The first worker is the process's own thread, which listens, watches signals
 * and ends last; each of the others (--workers) has a thread. Between them
 * there are letters (core/mailbox.h):
 *
 *	letter	from	to	says
 *	drain	first	other	take nothing new
 *	idle	other	first	after drain: nothing is busy any more
 *	stop	first	other	drop everything and end
 *	abort	first	other	end at once
 *	ended	other	first	the thread has ended
 */
#ifndef MODES_SERVICE_H
#define MODES_SERVICE_H

#include "core/worker.h"
#include "modes/options.h"
#include "modes/ready.h"
#include "proto/reason.h"

/* On the thread of worker n, or before it is there; the first is 0. */
struct service_ops {
	/* Take nothing new. */
	void (*drain)(void *ctx, unsigned int n);
	/* Is there something that drain() should wait for? */
	bool (*busy)(void *ctx, unsigned int n);
	/* Drop everything. */
	void (*stop)(void *ctx, unsigned int n, enum reason why);
	/* HUP; on the first only. */
	void (*hangup)(void *ctx);
};

enum service_state { SERVICE_RUNNING, SERVICE_DRAINING, SERVICE_STOPPING };

struct service_worker {
	struct service *service;
	unsigned int number;
	struct worker worker;
	bool draining; /* and has not said idle; its own thread's */
	struct letter drain, stop, abort; /* from the first */
	struct letter idle, ended;        /* to the first */
};

struct service {
	struct service_worker *list;
	unsigned int count;
	unsigned int threads; /* of workers 1 to threads */
	unsigned int running; /* threads that have not ended yet */
	unsigned int waiting; /* those that have not said idle */
	struct ready ready;
	const struct options *options;
	const struct service_ops *ops;
	void *ctx;
	enum service_state state;
	struct deadline grace;
	int code; /* of the process */
	bool aborted;
};

/* As many workers as o says, which must stay. 0, or the exit code after an
 * error has been logged, and then there is nothing to free. */
int service_init(struct service *s, const struct options *o,
		 const struct service_ops *ops, void *ctx);
/* The first is 0. */
struct worker *service_worker(struct service *s, unsigned int n);
/* Make the threads, all or some. 0, or the exit code after an error has been
 * logged. */
int service_threads(struct service *s);
/* Run to the end. Returns the exit code. aborted: what hangs on the workers
 * must be left to the kernel. */
int service_run(struct service *s);
/* Free, when nothing hangs on the workers any more. aborted: nothing happens,
 * libuv's threads may still be at work for them. */
void service_done(struct service *s);
/* End now, with this exit code. Idempotent: the first code counts. */
void service_stop(struct service *s, int code);
/* On the thread of worker n: something has ended. If it was the last that
 * drain() waits for, stop. */
void service_check(struct service *s, unsigned int n);

#endif
