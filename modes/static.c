/* SPDX-License-Identifier: MIT */
#include "modes/static.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/folder.h"
#include "proto/buf.h"
#include "proto/container.h"
#include "proto/site.h"

#define KEEP_MS   60000
#define WAIT_MAX  (16 * 1024) /* bytes of requests that wait */
#define PIECE_MAX (64 * 1024) /* bytes of a file in one read */
#define INDEX     "index.html"

enum state { ASKED, ANSWERING, OVER };

struct site_end {
	struct end end;
	struct worker *w;
	int folder;
	enum state state;
	struct flusher flusher;
	struct deadline idle; /* ASKED */
	struct site *site;
	struct bufq in;          /* requests that wait */
	size_t taken;            /* bytes of them, not yet told by sent() */
	size_t max;              /* what the user wants of one read */
	bool starved;            /* send() has returned 0 */
	bool fin;                /* fin() was called */
	bool flushed;            /* and flushed() */
	bool eof;                /* eof() was called */
	bool failed;             /* no memory */
	bool last;               /* the answer is the last one */
	struct folder_file file; /* of the answer; fd -1: none */
	uint64_t at;             /* what of it has been delivered */
	char head[SITE_OUT_MAX]; /* of the answer */
	size_t head_len, head_at;
};

static struct site_end *site_of(const struct end *e)
{
	return container_of(e, struct site_end, end);
}

static void site_end_free(struct site_end *s)
{
	flusher_clear(&s->flusher);
	deadline_clear(&s->idle);
	bufq_clear(&s->in);
	file_close(&s->file);
	site_free(s->site);
	free(s);
}

static void on_idle(struct deadline *d);

static void set_state(struct site_end *s, enum state state)
{
	s->state = state;
	deadline_clear(&s->idle);
	if (state == ASKED)
		deadline_set(s->w, &s->idle, KEEP_MS, on_idle);
	worker_flush(s->w, &s->flusher);
}

static void on_idle(struct deadline *d)
{
	set_state(container_of(d, struct site_end, idle), OVER);
}

/* Answers. */

/* Find the file; says what the status is. */
static int find(struct site_end *s, const struct site_request *r,
		char path[SITE_PATH_MAX])
{
	size_t n = strlen(r->path);
	bool folder = n == 0 || r->path[n - 1] == '/';
	int k = snprintf(path, SITE_PATH_MAX, "%s%s", r->path,
			 folder ? INDEX : "");

	if (k >= SITE_PATH_MAX || folder_get(s->folder, path, &s->file))
		return 404;
	if (s->file.fd < 0) /* links within a page need the slash */
		return folder ? 404 : 301;
	if (r->since >= s->file.modified)
		return 304;
	return 200;
}

static void answer(struct site_end *s)
{
	const struct site_request *r = site_request(s->site);
	char path[SITE_PATH_MAX] = "";
	struct site_answer a = {
		.status = r->status,
		.head = r->head,
		.close = r->close,
		.target = r->target,
		.now = (int64_t)time(NULL),
	};

	if (a.status == 200)
		a.status = find(s, r, path);
	a.type = site_type(path);
	a.length = s->file.size;
	a.modified = s->file.modified;
	s->head_len = site_write(s->head, &a);
	s->head_at = 0;
	s->at = 0;
	s->last = r->close;
	if (a.status != 200 || r->head)
		file_close(&s->file);
	set_state(s, ANSWERING);
}

static void next_request(struct site_end *s)
{
	while (s->state == ASKED && s->in.head) {
		struct buf *b = s->in.head;
		enum site_state state;
		size_t used;

		state = site_feed(s->site, buf_ptr(b), b->len, &used);
		s->taken += used;
		bufq_pull(&s->in, used);
		if (state == SITE_DONE)
			answer(s);
	}
	if (s->state == OVER) {
		s->taken += s->in.bytes;
		bufq_clear(&s->in);
	}
	if (s->state == ASKED && s->fin)
		set_state(s, OVER);
}

/* The next piece of the answer; n is what the user takes of it. Calls up. */
static void deliver(struct site_end *s, uint8_t *p, size_t n)
{
	struct bufq q;
	struct buf b;

	if (s->head_at == s->head_len && s->file.fd < 0)
		set_state(s, s->last ? OVER : ASKED);
	if (n == 0)
		return;
	bufq_init(&q);
	buf_lend(&b, p, n);
	bufq_put(&q, &b);
	s->end.events->data(&s->end, &q);
}

/* A file that has become shorter breaks its answer off. Calls up. */
static void deliver_file(struct site_end *s)
{
	uint64_t left = s->file.size - s->at;
	size_t n = s->max < PIECE_MAX ? s->max : PIECE_MAX;
	int64_t k = 0;

	if (n > left)
		n = (size_t)left;
	if (n)
		k = file_read(&s->file, s->w->scratch, n, s->at);
	if (n && k <= 0) {
		s->end.events->dead(&s->end, REASON_IO, NULL);
		site_end_free(s);
		return;
	}
	s->at += (uint64_t)k;
	if (s->at == s->file.size)
		file_close(&s->file);
	deliver(s, s->w->scratch, (size_t)k);
}

/* Calls up. */
static void deliver_head(struct site_end *s)
{
	size_t at = s->head_at, n = s->head_len - at;

	if (n > s->max)
		n = s->max;
	s->head_at += n;
	deliver(s, (uint8_t *)s->head + at, n);
}

/* At the end of the turn: one event, then again if there may be more. */
static void on_flush(struct flusher *f)
{
	struct site_end *s = container_of(f, struct site_end, flusher);
	const struct end_events *up = s->end.events;
	size_t taken;

	next_request(s);
	taken = s->taken;
	s->taken = 0;
	worker_flush(s->w, f);
	if (s->failed) {
		up->dead(&s->end, REASON_NO_MEMORY, NULL);
		site_end_free(s);
	} else if (taken) {
		up->sent(&s->end, taken);
	} else if (s->fin && !s->flushed) {
		s->flushed = true;
		up->flushed(&s->end);
	} else if (s->starved && s->in.bytes < WAIT_MAX / 2 && !s->fin) {
		s->starved = false;
		up->ready(&s->end, WAIT_MAX - s->in.bytes);
	} else if (s->max && s->state == ANSWERING) {
		if (s->head_at < s->head_len)
			deliver_head(s);
		else
			deliver_file(s);
	} else if (s->max && s->state == OVER && !s->eof) {
		s->eof = true;
		up->eof(&s->end);
	} else {
		flusher_clear(f);
	}
}

/* As an end. */

static size_t site_send(struct end *e, struct bufq *q)
{
	struct site_end *s = site_of(e);
	struct buf *b;

	while ((b = bufq_get(q)))
		if (!bufq_keep(&s->in, b, &s->w->pool))
			s->failed = true;
	worker_flush(s->w, &s->flusher);
	s->starved = s->in.bytes >= WAIT_MAX;
	return s->starved ? 0 : WAIT_MAX - s->in.bytes;
}

static void site_fin(struct end *e)
{
	struct site_end *s = site_of(e);

	s->fin = true;
	worker_flush(s->w, &s->flusher);
}

static void site_read(struct end *e, size_t max)
{
	struct site_end *s = site_of(e);

	s->max = max;
	if (max)
		worker_flush(s->w, &s->flusher);
}

static void site_left(struct end *e, size_t n)
{
	(void)e;
	(void)n;
}

static void site_drop(struct end *e, enum reason why)
{
	(void)why;
	site_end_free(site_of(e));
}

static const struct end_ops site_ops = {
	.send = site_send,
	.fin = site_fin,
	.read = site_read,
	.left = site_left,
	.drop = site_drop,
};

struct end *static_open(struct worker *w, int folder)
{
	struct site_end *s = calloc(1, sizeof(*s));

	if (s)
		s->site = site_new();
	if (!s || !s->site) {
		free(s);
		return NULL;
	}
	s->end.ops = &site_ops;
	s->w = w;
	s->folder = folder;
	s->file.fd = -1;
	s->flusher.flush = on_flush;
	bufq_init(&s->in);
	set_state(s, ASKED);
	return &s->end;
}
