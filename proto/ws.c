/* SPDX-License-Identifier: MIT */
#include "proto/ws.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <wslay/wslay.h>

#include "proto/mask.h"

#define CONTROL_MAX 125 /* payload, RFC 6455 section 5.5 */
#define OPCODE      0x0f
#define FIN         0x80
#define MASKED      0x80

enum lane {
	LANE_HEADER, /* at a frame's header */
	LANE_FAST,   /* in the payload of a frame that is ours */
	LANE_WSLAY,  /* in the payload of a data frame that is wslay's */
	LANE_WHOLE,  /* of a control frame, which wslay gets in one piece */
};

struct ws {
	struct ws_config config;
	const struct ws_ops *ops;
	void *ctx;
	wslay_event_context_ptr wslay;
	/* in */
	enum lane lane;
	uint8_t head[WS_HEADER_MAX];
	uint8_t head_len;
	uint8_t key[4];
	uint8_t whole[WS_HEADER_MAX + CONTROL_MAX];
	size_t whole_len;
	uint64_t left;    /* payload that has not come */
	uint64_t at;      /* payload that has */
	uint64_t message; /* bytes of a fragmented message so far */
	uint32_t fragments;
	bool open;      /* a fragmented message is */
	bool text;      /* it is of text */
	uint8_t opcode; /* of wslay's frame */
	bool fin;
	const uint8_t *in; /* what wslay may read */
	size_t in_len;
	uint8_t *back; /* where its payload came from */
	/* out */
	struct buf *out;   /* the control frame that wslay writes */
	struct bufq pongs; /* at most WS_PONGS_MAX */
	unsigned int npongs;
	struct bufq control; /* pings, then one close */
	/* end */
	bool over;  /* no message counts any more */
	bool heard; /* the peer's Close has come */
	bool ended; /* no byte is taken any more */
	enum reason why;
	uint16_t code;
};

static void violate(struct ws *w, enum reason why);

static void stop(struct ws *w, enum reason why)
{
	if (!w->over)
		w->why = why;
	w->over = true;
}

static void finish(struct ws *w, enum reason why)
{
	stop(w, why);
	w->ended = true;
}

/* What wslay asks for. */

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *p, size_t n,
		       int flags, void *user)
{
	struct ws *w = user;

	(void)flags;
	if (w->in_len == 0) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	if (n > w->in_len)
		n = w->in_len;
	memcpy(p, w->in, n);
	w->in += n;
	w->in_len -= n;
	return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *p, size_t n,
		       int flags, void *user)
{
	struct ws *w = user;

	(void)flags;
	if (!w->out || n > buf_tailroom(w->out)) {
		wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
		return -1;
	}
	buf_append(w->out, p, (uint32_t)n);
	return (ssize_t)n;
}

static int on_mask(wslay_event_context_ptr ctx, uint8_t *p, size_t n,
		   void *user)
{
	struct ws *w = user;
	uint8_t key[4];

	(void)ctx;
	w->ops->mask(w->ctx, key);
	memcpy(p, key, n < sizeof(key) ? n : sizeof(key));
	return 0;
}

static bool is_control(uint8_t opcode)
{
	return opcode & 0x8;
}

static void on_frame_start(wslay_event_context_ptr ctx,
			   const struct wslay_event_on_frame_recv_start_arg *a,
			   void *user)
{
	struct ws *w = user;

	(void)ctx;
	w->opcode = a->opcode;
	w->fin = a->fin;
	if (is_control(a->opcode))
		return;
	if (a->opcode != WSLAY_CONTINUATION_FRAME) {
		w->message = 0;
		w->fragments = 0;
		w->text = a->opcode == WSLAY_TEXT_FRAME;
	}
	w->open = !a->fin;
	w->message += a->payload_length;
	if (++w->fragments > w->config.max_fragments)
		violate(w, REASON_LIMIT);
}

/* wslay has unmasked the bytes in a copy: back to where they came from, so
 * that pieces stay valid as long as the input does. */
static void on_frame_chunk(wslay_event_context_ptr ctx,
			   const struct wslay_event_on_frame_recv_chunk_arg *a,
			   void *user)
{
	struct ws *w = user;
	uint8_t *p = w->back;

	(void)ctx;
	if (is_control(w->opcode) || w->over || a->data_length == 0)
		return;
	memcpy(p, a->data, a->data_length);
	w->back += a->data_length;
	if (!w->ops->piece(w->ctx, p, a->data_length, w->text, false))
		stop(w, REASON_CLOSED);
}

static void on_frame_end(wslay_event_context_ptr ctx, void *user)
{
	struct ws *w = user;

	(void)ctx;
	if (w->opcode == WSLAY_PONG && w->ops->pong)
		w->ops->pong(w->ctx);
}

/* Called behind on_frame_end(), once the whole message has been found good. */
static void on_message(wslay_event_context_ptr ctx,
		       const struct wslay_event_on_msg_recv_arg *a, void *user)
{
	struct ws *w = user;

	(void)ctx;
	if (a->opcode == WSLAY_CONNECTION_CLOSE) {
		w->code = a->status_code;
		w->heard = true;
		finish(w, REASON_CLOSED);
	} else if (!is_control(a->opcode) && !w->over &&
		   !w->ops->piece(w->ctx, w->back, 0, w->text, true)) {
		stop(w, REASON_CLOSED);
	}
}

static const struct wslay_event_callbacks callbacks = {
	.recv_callback = on_recv,
	.send_callback = on_send,
	.genmask_callback = on_mask,
	.on_frame_recv_start_callback = on_frame_start,
	.on_frame_recv_chunk_callback = on_frame_chunk,
	.on_frame_recv_end_callback = on_frame_end,
	.on_msg_recv_callback = on_message,
};

/* Life. */

static int wslay_new(struct ws *w)
{
	if (w->config.role == WS_SERVER)
		return wslay_event_context_server_init(&w->wslay, &callbacks,
						       w);
	return wslay_event_context_client_init(&w->wslay, &callbacks, w);
}

struct ws *ws_new(const struct ws_config *config, const struct ws_ops *ops,
		  void *ctx)
{
	struct ws *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->config = *config;
	w->ops = ops;
	w->ctx = ctx;
	bufq_init(&w->pongs);
	bufq_init(&w->control);
	if (wslay_new(w)) {
		free(w);
		return NULL;
	}
	wslay_event_config_set_no_buffering(w->wslay, 1);
	wslay_event_config_set_max_recv_msg_length(w->wslay,
						   config->max_message);
	return w;
}

void ws_free(struct ws *w)
{
	if (!w)
		return;
	wslay_event_context_free(w->wslay);
	buf_free(w->out);
	bufq_clear(&w->pongs);
	bufq_clear(&w->control);
	free(w);
}

/* Control frames out. */

static void keep_pong(struct ws *w, struct buf *b)
{
	bufq_put(&w->pongs, b);
	if (++w->npongs > WS_PONGS_MAX) {
		buf_free(bufq_get(&w->pongs));
		w->npongs--;
	}
}

/* Take from wslay the frame that it wants to send: its own queue would have
 * no bound. */
static void drain(struct ws *w)
{
	struct buf *b;

	while (wslay_event_want_write(w->wslay)) {
		w->out = buf_new(w->config.pool, CONTROL_MAX + WS_HEADER_MAX);
		if (!w->out || wslay_event_send(w->wslay)) {
			buf_free(w->out);
			w->out = NULL;
			finish(w, REASON_NO_MEMORY);
			return;
		}
		b = w->out;
		w->out = NULL;
		if (b->len && (*buf_ptr(b) & OPCODE) == WSLAY_PONG)
			keep_pong(w, b);
		else
			bufq_put(&w->control, b);
	}
}

void ws_ping(struct ws *w)
{
	struct wslay_event_msg ping = {.opcode = WSLAY_PING};

	if (w->over || w->control.head)
		return;
	if (wslay_event_queue_msg(w->wslay, &ping) == 0)
		drain(w);
}

static void close_with(struct ws *w, uint16_t code, const char *text,
		       enum reason why)
{
	size_t n = strlen(text);

	if (w->over)
		return;
	stop(w, why);
	if (n > CONTROL_MAX - 2)
		n = CONTROL_MAX - 2;
	if (wslay_event_queue_close(w->wslay, code, (const uint8_t *)text, n) ==
	    0)
		drain(w);
}

void ws_close(struct ws *w, uint16_t code, const char *text)
{
	close_with(w, code, text, REASON_DONE);
}

/* The peer has broken a rule that wslay does not know. */
static void violate(struct ws *w, enum reason why)
{
	close_with(w, reason_close(why), reason_text(why), why);
	finish(w, why);
}

struct buf *ws_pull(struct ws *w)
{
	struct buf *b = bufq_get(&w->pongs);

	if (b)
		w->npongs--;
	return b ? b : bufq_get(&w->control);
}

bool ws_over(const struct ws *w)
{
	return w->over;
}

bool ws_heard(const struct ws *w)
{
	return w->heard;
}

enum reason ws_why(const struct ws *w, uint16_t *code)
{
	*code = w->code;
	return w->why;
}

/* In. */

/* Hand n bytes of a frame to wslay. */
static void feed_wslay(struct ws *w, const uint8_t *p, size_t n)
{
	int err;

	w->in = p;
	w->in_len = n;
	err = wslay_event_recv(w->wslay);
	drain(w);
	if (err) {
		finish(w, err == WSLAY_ERR_NOMEM ? REASON_NO_MEMORY
						 : REASON_PROTOCOL);
		return;
	}
	if (wslay_event_get_read_enabled(w->wslay))
		return;
	switch (wslay_event_get_status_code_sent(w->wslay)) {
	case WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA:
		finish(w, REASON_BAD_DATA);
		break;
	case WSLAY_CODE_MESSAGE_TOO_BIG:
		finish(w, REASON_TOO_LARGE);
		break;
	default:
		finish(w, REASON_PROTOCOL);
	}
}

/* Bytes of the header that begins with these two (RFC 6455 section 5.2). */
static size_t header_size(const uint8_t *head)
{
	uint8_t len = head[1] & 0x7f;

	return 2u +
	       (len == 126   ? 2u
		: len == 127 ? 8u
			     : 0u) +
	       (head[1] & MASKED ? 4u : 0u);
}

/* The payload's length; *minimal: written in the shortest form. */
static uint64_t payload_size(const uint8_t *head, bool *minimal)
{
	uint64_t n = head[1] & 0x7f;
	int bytes = n == 126 ? 2 : n == 127 ? 8 : 0;

	*minimal = true;
	if (bytes == 0)
		return n;
	n = 0;
	for (int i = 0; i < bytes; i++)
		n = n << 8 | head[2 + i];
	*minimal = bytes == 2 ? n > 125 : n > UINT16_MAX && n <= INT64_MAX;
	return n;
}

/* What wslay would answer late, or without a code (RFC 6455 sections 5.2, 5.5).
 * DONE: nothing is wrong. */
static enum reason check_header(const struct ws *w, bool minimal)
{
	uint8_t opcode = w->head[0] & OPCODE;
	uint64_t before = opcode == WSLAY_CONTINUATION_FRAME ? w->message : 0;
	bool masked = w->head[1] & MASKED;

	if (!minimal || masked != (w->config.role == WS_SERVER))
		return REASON_PROTOCOL;
	if (!is_control(opcode))
		return w->left > w->config.max_message - before
			       ? REASON_TOO_LARGE
			       : REASON_DONE;
	if (!(w->head[0] & FIN) || w->left > CONTROL_MAX)
		return REASON_PROTOCOL;
	/* half a status code */
	return opcode == WSLAY_CONNECTION_CLOSE && w->left == 1
		       ? REASON_PROTOCOL
		       : REASON_DONE;
}

/* The header is complete: whose frame is it? */
static void on_header(struct ws *w)
{
	enum reason why;
	bool minimal;

	w->left = payload_size(w->head, &minimal);
	w->at = 0;
	why = check_header(w, minimal);
	if (why != REASON_DONE) {
		violate(w, why);
	} else if (w->head[0] == WS_BINARY && !w->open) {
		w->lane = LANE_FAST;
		if (w->head[1] & MASKED)
			memcpy(w->key, w->head + w->head_len - 4, 4);
	} else if (is_control(w->head[0] & OPCODE)) {
		/* cut inside a status code, wslay takes the rest for text */
		w->lane = LANE_WHOLE;
		memcpy(w->whole, w->head, w->head_len);
		w->whole_len = w->head_len;
	} else {
		w->lane = LANE_WSLAY;
		feed_wslay(w, w->head, w->head_len);
	}
	w->head_len = 0;
}

static size_t take_header(struct ws *w, const uint8_t *p, size_t n)
{
	size_t used = 0;

	while (used < n) {
		w->head[w->head_len++] = p[used++];
		if (w->head_len >= 2 && w->head_len == header_size(w->head)) {
			on_header(w);
			break;
		}
	}
	return used;
}

static void take_whole(struct ws *w, const uint8_t *p, size_t n)
{
	if (n)
		memcpy(w->whole + w->whole_len, p, n);
	w->whole_len += n;
	if (w->left == 0)
		feed_wslay(w, w->whole, w->whole_len);
}

static void take_fast(struct ws *w, uint8_t *p, size_t n)
{
	if (w->config.role == WS_SERVER)
		mask_apply(p, n, w->key, (size_t)(w->at & 3));
	w->at += n;
	if (!w->over && !w->ops->piece(w->ctx, p, n, false, w->left == 0))
		stop(w, REASON_CLOSED);
}

static size_t take_payload(struct ws *w, uint8_t *p, size_t n)
{
	if (n > w->left)
		n = (size_t)w->left;
	w->left -= n;
	switch (w->lane) {
	case LANE_HEADER:
		break;
	case LANE_FAST:
		take_fast(w, p, n);
		break;
	case LANE_WHOLE:
		take_whole(w, p, n);
		break;
	case LANE_WSLAY:
		w->back = p;
		if (n)
			feed_wslay(w, p, n);
		break;
	}
	if (w->left == 0)
		w->lane = LANE_HEADER;
	return n;
}

bool ws_input(struct ws *w, uint8_t *p, size_t n)
{
	size_t used;

	/* A frame without payload is complete with its header. */
	while (!w->ended && (n || (w->lane != LANE_HEADER && w->left == 0))) {
		if (w->lane == LANE_HEADER)
			used = take_header(w, p, n);
		else
			used = take_payload(w, p, n);
		p += used;
		n -= used;
	}
	return !w->over;
}

/* Bytes that say how long such a payload is, behind the first two. */
static int length_bytes(uint64_t payload)
{
	return payload < 126 ? 0 : payload <= UINT16_MAX ? 2 : 8;
}

uint64_t ws_passable(const struct ws *w, uint64_t *before)
{
	if (w->over || w->lane != LANE_FAST || w->config.role == WS_SERVER)
		return 0;
	*before = 2u + (unsigned)length_bytes(w->at + w->left) + w->at;
	return w->left;
}

bool ws_pass(struct ws *w, uint64_t n)
{
	assert(w->lane == LANE_FAST && n && n <= w->left);
	w->at += n;
	w->left -= n;
	if (w->left)
		return false;
	w->lane = LANE_HEADER;
	return true;
}

bool ws_between(const struct ws *w)
{
	return w->lane == LANE_HEADER && w->head_len == 0;
}

void ws_seal(struct ws *w, struct buf *b, enum ws_frame kind)
{
	uint8_t head[WS_HEADER_MAX] = {(uint8_t)kind};
	bool client = w->config.role == WS_CLIENT;
	uint64_t len = b->len;
	uint32_t n = 2;
	int bytes = length_bytes(len);

	head[1] = (uint8_t)(bytes == 0 ? len : bytes == 2 ? 126 : 127);
	for (int i = bytes - 1; i >= 0; i--)
		head[n++] = (uint8_t)(len >> (8 * i));
	if (client) {
		head[1] |= MASKED;
		w->ops->mask(w->ctx, head + n);
		mask_apply(buf_ptr(b), b->len, head + n, 0);
		n += 4;
	}
	memcpy(buf_push(b, n), head, n);
}
