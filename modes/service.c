/* SPDX-License-Identifier: MIT */
#include "modes/service.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "proto/container.h"

struct worker *service_worker(struct service *s, unsigned int n)
{
	return &s->list[n].worker;
}

static struct worker *first(struct service *s)
{
	return service_worker(s, 0);
}

/* On the thread of one of the others. */

static void check_idle(struct service_worker *w)
{
	struct service *s = w->service;

	if (!w->draining || s->ops->busy(s->ctx, w->number))
		return;
	w->draining = false;
	worker_post(first(s), &w->idle);
}

static void on_drain(struct letter *l)
{
	struct service_worker *w =
		container_of(l, struct service_worker, drain);
	struct service *s = w->service;

	w->draining = true;
	s->ops->drain(s->ctx, w->number);
	check_idle(w);
}

static void on_stop(struct letter *l)
{
	struct service_worker *w = container_of(l, struct service_worker, stop);
	struct service *s = w->service;

	s->ops->stop(s->ctx, w->number, REASON_STOPPING);
	worker_stop(&w->worker);
}

static void on_abort(struct letter *l)
{
	worker_abort(&container_of(l, struct service_worker, abort)->worker);
}

/* On the first. */

static bool is_busy(struct service *s)
{
	return s->waiting || s->ops->busy(s->ctx, 0);
}

static void check_first(struct service *s)
{
	if (s->state == SERVICE_DRAINING && !is_busy(s))
		service_stop(s, 0);
}

static void on_idle(struct letter *l)
{
	struct service *s =
		container_of(l, struct service_worker, idle)->service;

	s->waiting--;
	check_first(s);
}

static void on_ended(struct letter *l)
{
	struct service *s =
		container_of(l, struct service_worker, ended)->service;

	if (--s->running == 0 && s->state == SERVICE_STOPPING)
		worker_stop(first(s));
}

void service_check(struct service *s, unsigned int n)
{
	if (n == 0)
		check_first(s);
	else
		check_idle(&s->list[n]);
}

void service_stop(struct service *s, int code)
{
	if (s->state == SERVICE_STOPPING)
		return;
	s->state = SERVICE_STOPPING;
	s->code = code;
	deadline_clear(&s->grace);
	ready_done(&s->ready);
	s->ops->stop(s->ctx, 0, REASON_STOPPING);
	for (unsigned int i = 1; i <= s->threads; i++)
		worker_post(service_worker(s, i), &s->list[i].stop);
	if (!s->running)
		worker_stop(first(s));
}

static void on_grace_over(struct deadline *d)
{
	struct service *s = container_of(d, struct service, grace);

	log_warn(NULL, "stopping with connections left after --grace");
	service_stop(s, 0);
}

static void drain(struct service *s)
{
	s->state = SERVICE_DRAINING;
	deadline_set(first(s), &s->grace, s->options->grace_ms, on_grace_over);
	for (unsigned int i = 1; i <= s->threads; i++)
		if (worker_post(service_worker(s, i), &s->list[i].drain))
			s->waiting++;
	s->ops->drain(s->ctx, 0); /* may end the last thing that it has */
	check_first(s);
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
		worker_abort(first(s));
		return;
	}
	log_info(NULL, "%s: stopping", strsignal(signum));
	drain(s);
}

/* Opening. */

/* False: out of memory or descriptors. */
static bool add_worker(struct service *s)
{
	struct service_worker *w = &s->list[s->count];

	if (worker_init(&w->worker, s->options->max_memory))
		return false;
	worker_share(&w->worker, first(s), s->options->workers);
	w->service = s;
	w->number = s->count++;
	w->drain.open = on_drain;
	w->stop.open = on_stop;
	w->abort.open = on_abort;
	w->idle.open = on_idle;
	w->ended.open = on_ended;
	return true;
}

/* False: something was left behind. */
static bool end_workers(struct service *s)
{
	bool clean = true;

	while (s->count)
		clean = worker_done(service_worker(s, --s->count)) == 0 &&
			clean;
	return clean;
}

void service_done(struct service *s)
{
	if (s->aborted)
		return;
	free(s->list);
	s->list = NULL;
}

int service_init(struct service *s, const struct options *o,
		 const struct service_ops *ops, void *ctx)
{
	memset(s, 0, sizeof(*s));
	s->options = o;
	s->ops = ops;
	s->ctx = ctx;
	ready_init(&s->ready, o);
	s->list = calloc(o->workers, sizeof(*s->list));
	while (s->list && s->count < o->workers && add_worker(s)) {
	}
	if (s->count < o->workers)
		log_error(NULL, "cannot start: out of memory or descriptors");
	else if (worker_signals(first(s), on_signal, s))
		log_error(NULL, "cannot watch signals");
	else
		return 0;
	end_workers(s);
	service_done(s);
	return reason_exit(REASON_INTERNAL);
}

int service_threads(struct service *s)
{
	for (unsigned int i = 1; i < s->count; i++) {
		struct service_worker *w = &s->list[i];

		if (worker_start(&w->worker, first(s), &w->ended)) {
			log_error(NULL,
				  "--workers: no thread: out of memory, or too "
				  "many processes");
			return reason_exit(REASON_INTERNAL);
		}
		s->threads++;
		s->running++;
	}
	if (s->count > 1)
		log_info(NULL, "%u workers", s->count);
	return 0;
}

/* The end. */

static void join(struct service *s)
{
	for (unsigned int i = 1; i <= s->threads; i++)
		worker_post(service_worker(s, i), &s->list[i].abort);
	for (unsigned int i = 1; i <= s->threads; i++)
		worker_join(service_worker(s, i));
}

int service_run(struct service *s)
{
	worker_run(first(s));
	join(s);
	if (s->aborted)
		return s->code; /* the kernel cleans up, with resets */
	if (end_workers(s))
		return s->code;
	log_error(NULL, "something was left behind: please report it");
	return reason_exit(REASON_INTERNAL);
}
