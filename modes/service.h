/* SPDX-License-Identifier: MIT */
/*
 * What every mode that runs has in common: a worker, signals, readiness and
 * the way to an end.
 *
 *	RUNNING
 *	DRAINING  after the first TERM or INT: nothing new is taken, what runs
 *		  may end by itself within --grace
 *	STOPPING  everything has been dropped; the last words go out
 *
 * A second TERM or INT ends the process at once, with 128 plus its number.
 */
#ifndef MODES_SERVICE_H
#define MODES_SERVICE_H

#include "core/worker.h"
#include "modes/options.h"
#include "modes/ready.h"
#include "proto/reason.h"

struct service_ops {
	/* Take nothing new. */
	void (*drain)(void *ctx);
	/* Is there something that drain() should wait for? */
	bool (*busy)(void *ctx);
	/* Drop everything. */
	void (*stop)(void *ctx, enum reason why);
	/* HUP. */
	void (*hangup)(void *ctx);
	/* Optional: the loop has ended. End the threads that still run, and
	 * free, unless aborted. False: something was left behind. */
	bool (*join)(void *ctx, bool aborted);
};

enum service_state { SERVICE_RUNNING, SERVICE_DRAINING, SERVICE_STOPPING };

struct service {
	struct worker worker;
	struct ready ready;
	const struct options *options;
	const struct service_ops *ops;
	void *ctx;
	enum service_state state;
	struct deadline grace;
	unsigned int threads; /* other workers that have not ended yet */
	int code;             /* of the process */
	bool aborted;
};

/* 0, or the exit code after an error has been logged. o must stay. */
int service_init(struct service *s, const struct options *o,
		 const struct service_ops *ops, void *ctx);
/* Run to the end and free. Returns the exit code. */
int service_run(struct service *s);
/* End now, with this exit code. Idempotent: the first code counts. */
void service_stop(struct service *s, int code);
/* One of threads has ended. */
void service_thread_ended(struct service *s);
/* Something has ended: if it was the last that drain() waits for, stop. */
void service_check(struct service *s);

#endif
