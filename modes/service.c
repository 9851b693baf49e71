/* SPDX-License-Identifier: MIT */
#include "modes/service.h"

#include <signal.h>
#include <string.h>

#include "core/log.h"
#include "proto/container.h"

void service_stop(struct service *s, int code)
{
	if (s->state == SERVICE_STOPPING)
		return;
	s->state = SERVICE_STOPPING;
	s->code = code;
	deadline_clear(&s->grace);
	ready_done(&s->ready);
	s->ops->stop(s->ctx, REASON_STOPPING);
	if (!s->threads)
		worker_stop(&s->worker);
}

/* The service's own worker is the last: it watches signals. */
void service_thread_ended(struct service *s)
{
	if (--s->threads == 0 && s->state == SERVICE_STOPPING)
		worker_stop(&s->worker);
}

void service_check(struct service *s)
{
	if (s->state == SERVICE_DRAINING && !s->ops->busy(s->ctx))
		service_stop(s, 0);
}

static void on_grace_over(struct deadline *d)
{
	struct service *s = container_of(d, struct service, grace);

	log_warn(NULL, "stopping with connections left after --grace");
	service_stop(s, 0);
}

static void on_signal(void *ctx, int signum)
{
	struct service *s = ctx;

	if (signum == SIGHUP) {
		s->ops->hangup(s->ctx);
		return;
	}
	if (s->state != SERVICE_RUNNING) {
		s->code = 128 + signum;
		s->aborted = true;
		worker_abort(&s->worker);
		return;
	}
	log_info(NULL, "%s: stopping", strsignal(signum));
	s->state = SERVICE_DRAINING;
	deadline_set(&s->worker, &s->grace, s->options->grace_ms,
		     on_grace_over);
	s->ops->drain(s->ctx);
	service_check(s);
}

int service_init(struct service *s, const struct options *o,
		 const struct service_ops *ops, void *ctx)
{
	memset(s, 0, sizeof(*s));
	s->options = o;
	s->ops = ops;
	s->ctx = ctx;
	ready_init(&s->ready, o);
	if (worker_init(&s->worker, o->max_memory)) {
		log_error(NULL, "cannot start: out of memory or descriptors");
		return reason_exit(REASON_INTERNAL);
	}
	worker_share(&s->worker, o->workers);
	if (worker_signals(&s->worker, on_signal, s) == 0)
		return 0;
	log_error(NULL, "cannot watch signals");
	worker_done(&s->worker);
	return reason_exit(REASON_INTERNAL);
}

int service_run(struct service *s)
{
	bool clean = true;

	worker_run(&s->worker);
	if (s->ops->join)
		clean = s->ops->join(s->ctx, s->aborted);
	if (s->aborted)
		return s->code; /* the kernel cleans up, with resets */
	if (worker_done(&s->worker) || !clean) {
		log_error(NULL, "something was left behind: please report it");
		return reason_exit(REASON_INTERNAL);
	}
	return s->code;
}
