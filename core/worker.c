/* SPDX-License-Identifier: MIT */
#include "core/worker.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "core/refusal.h"
#include "core/resolve.h"
#include "core/watchers.h"

#define AHEAD_LAST   4096 /* bytes, see worker_ahead() */
#define SWEEP_MS     1000
#define LAG_MS       1000 /* a sweep this late: the process was stopped */
#define ROUNDS       16   /* of flushing in one turn */
#define FDS_RESERVED 48   /* loop, listeners, tunnels, resolver, log, a pipe */
#define FDS_MORE     16   /* the same for each further worker */
#define CONNS_FEWEST 8
#define USUAL_MOST   4   /* workers */
#define USUAL_CONNS  464 /* for each of them, at least */

static const int signums[] = {SIGTERM, SIGINT, SIGHUP};

/* The soft limit of descriptors becomes the hard one; what remains beside the
 * reserve may be connections. */
static unsigned int raise_fd_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		return CONNS_FEWEST;
	if (r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &r) ||
		    getrlimit(RLIMIT_NOFILE, &r))
			return CONNS_FEWEST;
	}
	if (r.rlim_cur > 1u << 30)
		return 1u << 30;
	if (r.rlim_cur < FDS_RESERVED + CONNS_FEWEST)
		return CONNS_FEWEST;
	return (unsigned int)r.rlim_cur - FDS_RESERVED;
}

/* Deadlines: a list swept by a timer that runs while the list is not empty. */

static void deadline_link(struct deadline **list, struct deadline *d)
{
	d->next = *list;
	d->prev = list;
	if (d->next)
		d->next->prev = &d->next;
	*list = d;
}

static void deadline_unlink(struct deadline *d)
{
	*d->prev = d->next;
	if (d->next)
		d->next->prev = d->prev;
	d->next = NULL;
	d->prev = NULL;
}

/* The process did not run for a while (SIGSTOP, a suspended machine): nobody
 * else is to blame for the silence, so every deadline moves on. */
static void forgive_lag(struct worker *w, uint64_t lag)
{
	w->woke = uv_now(&w->loop);
	for (struct deadline *d = w->deadlines; d; d = d->next)
		d->at += lag;
}

static void on_sweep(uv_timer_t *t)
{
	struct worker *w = t->data;
	uint64_t now = uv_now(&w->loop);
	uint64_t late = now - w->swept;
	struct deadline *due = NULL, *d, *next;

	w->swept = now;
	if (late > worker_ms(w, SWEEP_MS) + LAG_MS)
		forgive_lag(w, late);
	for (d = w->deadlines; d; d = next) {
		next = d->next;
		if (d->at <= now) {
			deadline_unlink(d);
			deadline_link(&due, d);
		}
	}
	while ((d = due)) {
		deadline_unlink(d);
		d->expired(d);
	}
	if (!w->deadlines)
		uv_timer_stop(&w->sweep);
}

void deadline_set(struct worker *w, struct deadline *d, uint64_t ms,
		  void (*expired)(struct deadline *d))
{
	uint64_t tick = worker_ms(w, SWEEP_MS), wait = worker_ms(w, ms);
	bool idle = !uv_is_active((uv_handle_t *)&w->sweep);

	deadline_clear(d);
	d->at = uv_now(&w->loop) + wait;
	d->expired = expired;
	deadline_link(&w->deadlines, d);
	if (uv_is_closing((uv_handle_t *)&w->sweep))
		return;
	if (idle)
		w->swept = uv_now(&w->loop);
	if (idle || uv_timer_get_due_in(&w->sweep) > wait)
		uv_timer_start(&w->sweep, on_sweep, wait < tick ? wait : tick,
			       tick);
}

void deadline_clear(struct deadline *d)
{
	if (d->prev)
		deadline_unlink(d);
}

/* Flushers: run before the loop sleeps. */

static void on_idle(uv_idle_t *i)
{
	(void)i;
}

/* The worker's own handles are all that is left. */
static void close_handles(struct worker *w)
{
	if (uv_is_closing((uv_handle_t *)&w->prepare))
		return;
	mailbox_close(&w->mailbox);
	resolver_free(w);
	uv_close((uv_handle_t *)&w->prepare, NULL);
	uv_close((uv_handle_t *)&w->idle, NULL);
	uv_close((uv_handle_t *)&w->sweep, NULL);
	for (int i = 0; i < w->nsignals; i++)
		uv_close((uv_handle_t *)&w->signals[i], NULL);
}

static void on_prepare(uv_prepare_t *p)
{
	struct worker *w = p->data;
	struct flusher *f;

	w->turn++;
	for (int i = 0; i < ROUNDS && w->flushers; i++) {
		struct flusher *round = w->flushers;

		w->flushers = NULL;
		round->prev = &round;
		while ((f = round)) {
			flusher_clear(f);
			f->flush(f);
		}
	}
	if (w->flushers)
		uv_idle_start(&w->idle, on_idle);
	else
		uv_idle_stop(&w->idle);
	if (w->stopping && !w->flushers && w->conns == 0)
		close_handles(w);
}

void worker_flush(struct worker *w, struct flusher *f)
{
	if (f->prev)
		return;
	f->next = w->flushers;
	f->prev = &w->flushers;
	if (f->next)
		f->next->prev = &f->next;
	w->flushers = f;
}

void flusher_clear(struct flusher *f)
{
	if (!f->prev)
		return;
	*f->prev = f->next;
	if (f->next)
		f->next->prev = f->prev;
	f->next = NULL;
	f->prev = NULL;
}

/* The worker itself. */

static unsigned int test_speed(void)
{
	const char *text = getenv("WSP_TEST_SPEED");
	long n = text ? strtol(text, NULL, 10) : 1;

	return n >= 1 && n <= 1000 ? (unsigned int)n : 1;
}

/* 0 or a code, and then there is no loop. */
static int init_loop(struct worker *w)
{
	int err = watchers_reserve();

	if (!err)
		err = uv_loop_init(&w->loop);
	watchers_release();
	if (err)
		return err;
	err = mailbox_init(&w->mailbox, &w->loop);
	if (err)
		uv_loop_close(&w->loop);
	return err;
}

static void init_handles(struct worker *w)
{
	uv_prepare_init(&w->loop, &w->prepare);
	w->prepare.data = w;
	uv_prepare_start(&w->prepare, on_prepare);
	uv_idle_init(&w->loop, &w->idle);
	uv_timer_init(&w->loop, &w->sweep);
	w->sweep.data = w;
}

int worker_init(struct worker *w, size_t max_memory)
{
	int err;

	memset(w, 0, sizeof(*w));
	w->speed = test_speed();
	w->max_conns = raise_fd_limit();
	w->own_budget.limit = max_memory;
	w->budget = &w->own_budget;
	bufpool_init(&w->pool);
	w->scratch = malloc(BUF_MAX);
	w->plain = malloc(BUF_MAX);
	err = w->scratch && w->plain ? init_loop(w) : UV_ENOMEM;
	if (err) {
		free(w->scratch);
		free(w->plain);
		return err;
	}
	init_handles(w);
	return worker_random(w, &w->lcg, sizeof(w->lcg));
}

void worker_share(struct worker *w, struct worker *first, unsigned int n)
{
	unsigned int more = (n - 1) * FDS_MORE;
	unsigned int conns = w->max_conns > more ? w->max_conns - more : 0;

	w->budget = first->budget;
	if (n > 1)
		w->pool.shared = &first->bufs;
	w->max_conns = conns / n > CONNS_FEWEST ? conns / n : CONNS_FEWEST;
}

static void on_uv_signal(uv_signal_t *s, int signum)
{
	struct worker *w = s->data;

	w->on_signal(w->signal_ctx, signum);
}

int worker_signals(struct worker *w, signal_fn *on, void *ctx)
{
	int err = 0;

	signal(SIGPIPE, SIG_IGN);
	w->on_signal = on;
	w->signal_ctx = ctx;
	for (int i = 0; i < 3 && !err; i++) {
		err = uv_signal_init(&w->loop, &w->signals[i]);
		if (err)
			break;
		w->signals[i].data = w;
		w->nsignals = i + 1;
		err = uv_signal_start(&w->signals[i], on_uv_signal, signums[i]);
	}
	return err;
}

int worker_run(struct worker *w)
{
	return uv_run(&w->loop, UV_RUN_DEFAULT);
}

void worker_stop(struct worker *w)
{
	refusals_drop(w);
	w->stopping = true;
	uv_idle_start(&w->idle, on_idle);
}

bool worker_is_stopping(const struct worker *w)
{
	return w->stopping;
}

void worker_abort(struct worker *w)
{
	uv_stop(&w->loop);
}

int worker_done(struct worker *w)
{
	int err;

	close_handles(w);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	err = uv_loop_close(&w->loop);
	mailbox_done(&w->mailbox);
	if (!err)
		bufpool_done(&w->pool);
	splice_done(&w->splice);
	free(w->scratch);
	free(w->plain);
	return err;
}

/* Threads. */

static void on_thread(void *arg)
{
	struct worker *w = arg;

	worker_run(w);
	worker_post(w->to, w->ended);
}

int worker_start(struct worker *w, struct worker *to, struct letter *ended)
{
	w->to = to;
	w->ended = ended;
	return uv_thread_create(&w->thread, on_thread, w);
}

void worker_join(struct worker *w)
{
	uv_thread_join(&w->thread);
}

bool worker_post(struct worker *w, struct letter *l)
{
	return mailbox_post(&w->mailbox, l);
}

bool worker_is_full(const struct worker *w, unsigned int coming)
{
	return w->conns + coming >= w->max_conns;
}

unsigned int worker_cpus(void)
{
	return uv_available_parallelism();
}

unsigned int worker_usual(void)
{
	unsigned int n = worker_cpus(), conns = raise_fd_limit();

	if (n > USUAL_MOST)
		n = USUAL_MOST;
	if (n > conns / USUAL_CONNS)
		n = conns / USUAL_CONNS;
	return n ? n : 1;
}

/* Time and chance. */

uint64_t worker_now(const struct worker *w)
{
	return uv_now(&w->loop);
}

uint64_t worker_ms(const struct worker *w, uint64_t ms)
{
	uint64_t scaled = ms / w->speed;

	return ms && !scaled ? 1 : scaled;
}

uint64_t worker_since(const struct worker *w, uint64_t then)
{
	return (uv_now(&w->loop) - then) * w->speed;
}

uint64_t worker_silence(const struct worker *w, uint64_t then)
{
	return worker_since(w, then > w->woke ? then : w->woke);
}

size_t worker_ahead(const struct worker *w, bool light)
{
	size_t inuse = bufpool_inuse(&w->pool), limit = w->budget->limit;

	if (inuse > limit / 4 * 3)
		return AHEAD_LAST;
	return light || inuse > limit / 2 ? PACE_LIGHT : AHEAD_MAX;
}

bool worker_is_light(const struct worker *w)
{
	return pace_is_light(&w->pace, worker_since(w, 0));
}

/* Random bytes are bought in lumps: a frame's masking key must not cost a
 * system call. */
int worker_random(struct worker *w, void *p, size_t n)
{
	int err;

	if (n > sizeof(w->random))
		return uv_random(NULL, NULL, p, n, 0, NULL);
	if (w->random_left < n) {
		err = uv_random(NULL, NULL, w->random, sizeof(w->random), 0,
				NULL);
		if (err)
			return err;
		w->random_left = sizeof(w->random);
	}
	w->random_left -= n;
	memcpy(p, w->random + w->random_left, n);
	memset(w->random + w->random_left, 0, n);
	return 0;
}

uint32_t worker_below(struct worker *w, uint32_t n)
{
	w->lcg = w->lcg * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)w->lcg * n) >> 32);
}
