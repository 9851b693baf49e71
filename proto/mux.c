/* SPDX-License-Identifier: MIT */
#include "proto/mux.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "proto/msg.h"
#include "proto/stream.h"

#define SMALL_MAX 1024 /* data of a control message */
#define LIGHT_RUN 64   /* small messages before a heavy stream has its turn */

static_assert(SMALL_MAX >= ADDR_TEXT_MAX + 16, "a CONNECT fits");

/* The table of streams. */

struct stream *mux_find(struct mux *m, const uint8_t *id, size_t n)
{
	struct stream *s;

	HASH_FIND(hh, m->streams, id, (unsigned)n, s);
	return s;
}

/* A stream with this id, in the table. NULL: no memory, or no budget. */
static struct stream *add(struct mux *m, const uint8_t *id, size_t n)
{
	struct stream *s = stream_new(m, id, n);

	if (!s)
		return NULL;
	HASH_ADD(hh, m->streams, id, s->id_len, s);
	if (s->hh.tbl)
		return s;
	stream_free(s);
	return NULL;
}

/* Not found by its id any more. */
void mux_forget(struct mux *m, struct stream *s)
{
	if (m->cur == s)
		m->cur = NULL;
	if (s->hh.tbl)
		HASH_DELETE(hh, m->streams, s);
	s->hh.tbl = NULL;
}

struct mux *mux_new(const struct mux_config *config, const struct mux_ops *ops,
		    void *ctx)
{
	struct mux *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->config = *config;
	m->ops = ops;
	m->ctx = ctx;
	m->next_id = config->initiator ? 1 : 2;
	m->msg = calloc(1, sizeof(*m->msg));
	m->small = malloc(SMALL_MAX);
	bufq_init(&m->control);
	if (!m->msg || !m->small) {
		mux_free(m);
		return NULL;
	}
	msg_in_init(m->msg);
	return m;
}

void mux_free(struct mux *m)
{
	struct stream *s, *next;

	m->gone = false;
	HASH_ITER(hh, m->streams, s, next)
	stream_free(s);
	bufq_clear(&m->control);
	free(m->msg);
	free(m->small);
	free(m);
}

unsigned int mux_streams(const struct mux *m)
{
	return HASH_COUNT(m->streams);
}

size_t mux_backlog(const struct mux *m)
{
	return m->control.bytes;
}

bool mux_choked(const struct mux *m)
{
	return m->chokes != NULL;
}

enum reason mux_error(const struct mux *m)
{
	return m->error;
}

/* Queue a control message; takes b, NULL means that there was no memory. */
void mux_control(struct mux *m, struct buf *b)
{
	if (m->gone)
		buf_free(b);
	else if (b)
		bufq_put(&m->control, b);
	else
		m->error = REASON_NO_MEMORY;
	m->ops->wake(m->ctx);
}

/* What arrives. */

static void refuse(struct mux *m, enum reason why)
{
	mux_control(m, msg_respond(m->config.pool, m->msg->id, m->msg->id_len,
				   why, NULL, m->config.native));
}

/* DYNAMIC is the one type that is served here. */
static void on_connect(struct mux *m)
{
	WspRequest req;
	struct addr target;
	struct stream *s;

	if (!msg_parse_request(m->small, m->small_len, &req)) {
		refuse(m, REASON_BAD_REQUEST);
		return;
	}
	if (req.type != WspType_DYNAMIC) {
		refuse(m, REASON_BAD_COMMAND);
		return;
	}
	if (target_parse(req.data, strlen(req.data), &target) != ADDR_OK) {
		refuse(m, REASON_BAD_ADDRESS);
		return;
	}
	/* An id in use: the stream that has it stays untouched. */
	s = mux_find(m, m->msg->id, m->msg->id_len);
	s = s ? NULL : add(m, m->msg->id, m->msg->id_len);
	if (!s || !(s->target = malloc(sizeof(target)))) {
		if (s)
			stream_free(s);
		refuse(m, REASON_LIMIT);
		return;
	}
	*s->target = target;
	s->state = STREAM_OFFERED;
	s->offered = true;
	stream_note(s);
}

static enum reason on_respond(struct mux *m, struct stream *s)
{
	WspResponse res;
	enum reason why;
	bool good = msg_parse_response(m->small, m->small_len, &res, &why);

	if ((!good || s->state != STREAM_ASKED) && m->config.native)
		return REASON_PROTOCOL;
	if (s->state != STREAM_ASKED)
		return REASON_DONE;
	if (why != REASON_DONE) {
		stream_reset(s, why);
		return REASON_DONE;
	}
	s->state = STREAM_OPEN;
	s->opened = true;
	if (res.bound[0])
		s->bound = strdup(res.bound);
	stream_note(s);
	stream_wake(s);
	return REASON_DONE;
}

static enum reason on_interrupt(struct mux *m, struct stream *s)
{
	enum reason why;

	if (!m->config.native) {
		gowsp_interrupt(s, m->small_len > 0);
		return REASON_DONE;
	}
	why = msg_parse_reset(m->small, m->small_len);
	stream_reset(s, why == REASON_DONE ? REASON_RESET : why);
	return REASON_DONE;
}

static enum reason on_credit(struct mux *m, struct stream *s)
{
	uint32_t bytes;

	if (!m->config.native)
		return REASON_DONE;
	if (!msg_parse_credit(m->small, m->small_len, &bytes) ||
	    !stream_credit(s, bytes))
		return REASON_PROTOCOL;
	return REASON_DONE;
}

/* Unknown ids are those of streams that we have ended while the message was on
 * its way; gowsp is told, since it does not know how streams end. */
static void on_unknown(struct mux *m)
{
	const struct msg_in *msg = m->msg;

	if (m->config.native)
		return;
	if (msg->cmd == WspCmd_INTERRUPT)
		gowsp_unknown(m, msg->id, msg->id_len);
	else if (msg->cmd == WspCmd_TRANSFER || msg->cmd == WspCmd_RESPOND)
		mux_control(m, msg_reset(m->config.pool, msg->id, msg->id_len,
					 REASON_CLOSED, false));
}

/* A message that is not data is complete. */
static enum reason on_control(struct mux *m)
{
	struct stream *s = m->cur;

	if (m->msg->cmd == WspCmd_CONNECT) {
		if (m->cut)
			refuse(m, REASON_BAD_REQUEST);
		else
			on_connect(m);
		return REASON_DONE;
	}
	if (m->cut && m->msg->cmd >= 0 && m->msg->cmd <= WspCmd_CREDIT)
		return REASON_TOO_LARGE;
	if (!s) {
		on_unknown(m);
		return REASON_DONE;
	}
	switch (m->msg->cmd) {
	case WspCmd_RESPOND:
		return on_respond(m, s);
	case WspCmd_INTERRUPT:
		return on_interrupt(m, s);
	case WspCmd_CREDIT:
		return on_credit(m, s);
	}
	return REASON_DONE; /* unknown commands are ignored */
}

/* A slice of a TRANSFER: shown to the stream where it lies. */
static enum reason on_data(struct mux *m, const struct buf *slice)
{
	struct buf *b;

	if (!m->cur)
		return REASON_DONE;
	if (m->nviews == VIEWS_MAX) {
		mux_notify(m);
		if (!m->cur)
			return REASON_DONE;
	}
	b = &m->views[m->nviews++];
	*b = *slice;
	return stream_data(m->cur, b) ? REASON_DONE : REASON_PROTOCOL;
}

static enum reason on_end(struct mux *m)
{
	struct stream *s = m->cur;
	enum reason why = REASON_DONE;

	if (m->msg->cmd != WspCmd_TRANSFER)
		why = on_control(m);
	else if (s && m->msg->data_len == 0 && m->config.native)
		why = stream_fin(s) ? REASON_DONE : REASON_PROTOCOL;
	else if (!s)
		on_unknown(m);
	m->cur = NULL;
	return why;
}

static enum reason on_slice(struct mux *m, uint8_t *p, size_t n)
{
	struct buf slice;

	if (m->msg->cmd == WspCmd_TRANSFER) {
		buf_lend(&slice, p, n);
		return on_data(m, &slice);
	}
	if (n > SMALL_MAX - m->small_len) {
		m->cut = true;
		return REASON_DONE;
	}
	memcpy(m->small + m->small_len, p, n);
	m->small_len += n;
	return REASON_DONE;
}

enum reason mux_input(struct mux *m, uint8_t *p, size_t n, bool last)
{
	const uint8_t *at = p, *slice;
	enum reason why = REASON_DONE;
	size_t len;

	for (;;) {
		switch (msg_feed(m->msg, &at, &n, last, &slice, &len)) {
		case MSG_MORE:
			return why;
		case MSG_HEAD:
			m->cur = mux_find(m, m->msg->id, m->msg->id_len);
			m->small_len = 0;
			m->cut = false;
			break;
		case MSG_DATA:
			why = on_slice(m, p + (slice - p), len);
			break;
		case MSG_END:
			return on_end(m);
		case MSG_ERROR:
			return REASON_PROTOCOL;
		}
		if (why != REASON_DONE)
			return why;
	}
}

uint64_t mux_passable(const struct mux *m, uint64_t *got)
{
	const struct stream *s = m->cur;
	uint64_t left = msg_data_left(m->msg);

	if (!s || m->msg->cmd != WspCmd_TRANSFER ||
	    m->msg->data_len < PACE_LIGHT || !stream_passes(s))
		return 0;
	*got = m->msg->data_len - left;
	return left;
}

enum reason mux_pass(struct mux *m, const struct buf *b, bool last)
{
	enum reason why;

	msg_pass(m->msg, b->len);
	why = on_data(m, b);
	return why == REASON_DONE && last ? mux_input(m, NULL, 0, true) : why;
}

void mux_notify(struct mux *m)
{
	while (m->notes)
		stream_tell(m->notes);
	m->nviews = 0;
}

void mux_fail(struct mux *m, enum reason why)
{
	struct stream *s, *next;

	m->gone = true;
	HASH_ITER(hh, m->streams, s, next)
	if (s->state != STREAM_DEAD && !stream_complete(s))
		stream_reset(s, why);
	bufq_clear(&m->control);
	mux_notify(m);
}

void mux_tick(struct mux *m, uint64_t now_ms)
{
	m->now = now_ms;
	gowsp_tick(m);
}

uint64_t mux_due(const struct mux *m)
{
	return m->due;
}

/* What goes out. */

/* Credit for a stream, or the notice that ours has run out; NULL: neither is
 * due any more. */
static struct buf *pull_credit(struct mux *m)
{
	struct stream *s = m->gives;
	uint32_t bytes = s->give;
	struct buf *b = NULL;

	if (bytes || s->stuck) {
		b = msg_credit(m->config.pool, s->id, s->id_len, bytes);
		if (!b)
			m->error = REASON_NO_MEMORY;
	}
	if (bytes)
		s->give = 0;
	else
		s->stuck = false;
	if (!s->stuck) {
		s->giving = false;
		DL_DELETE2(m->gives, s, give_prev, give_next);
	}
	return b;
}

/* Small streams first, but not for ever. */
static struct stream *next_stream(struct mux *m)
{
	bool heavy = !m->rings[0] || (m->rings[1] && m->light_run >= LIGHT_RUN);

	m->light_run = heavy ? 0 : m->light_run + 1;
	return m->rings[heavy];
}

struct buf *mux_pull(struct mux *m)
{
	struct buf *b = bufq_get(&m->control);
	struct stream *s;

	while (!b && m->gives && m->error == REASON_DONE)
		b = pull_credit(m);
	if (b || m->error != REASON_DONE)
		return b;
	while (!b && m->error == REASON_DONE && (s = next_stream(m)))
		b = stream_pull(s);
	return b;
}

struct end *mux_open(struct mux *m, const struct addr *target,
		     const struct end_events *events, void *user,
		     enum reason *why)
{
	char id[24], url[ADDR_TEXT_MAX + 8];
	struct stream *s;
	int n = snprintf(id, sizeof(id), "%llx",
			 (unsigned long long)m->next_id);

	*why = REASON_LIMIT;
	s = add(m, (const uint8_t *)id, (size_t)n);
	if (!s)
		return NULL;
	m->next_id += 2;
	s->state = STREAM_ASKED;
	end_use(&s->end, events, user);
	mux_control(m, msg_connect(m->config.pool, s->id, s->id_len,
				   target_format(target, url)));
	stream_first_grant(s);
	return &s->end;
}
