/* SPDX-License-Identifier: MIT */
#include "proto/msg.h"

#include <string.h>

#include <pb_decode.h>
#include <pb_encode.h>

#define GONE "connection does not exist" /* gowsp's word for an unknown id */

/* What the next byte of a message is part of. */
enum state {
	AT_TAG,
	AT_ID_LEN,
	AT_ID,
	AT_CMD,
	AT_DATA_LEN,
	AT_DATA,
	AT_SKIP_VARINT,
	AT_SKIP_LEN,
	AT_SKIP,
	AT_END,  /* nothing is left, but MSG_END has not been given */
	AT_OVER, /* it has: the next byte begins a message */
};

void msg_in_init(struct msg_in *m)
{
	memset(m, 0, sizeof(*m));
}

/* Collect a varint. 1: *v is complete; 0: more bytes are needed; -1: no
 * varint. */
static int take_varint(struct msg_in *m, const uint8_t **p, size_t *n,
		       uint64_t *v)
{
	pb_istream_t in;
	uint8_t c;

	while (*n) {
		if (m->varint_len == MSG_VARINT_MAX)
			return -1;
		c = **p;
		m->varint[m->varint_len++] = c;
		(*p)++;
		(*n)--;
		if (c & 0x80)
			continue;
		in = pb_istream_from_buffer(m->varint, m->varint_len);
		m->varint_len = 0;
		return pb_decode_varint(&in, v) ? 1 : -1;
	}
	return 0;
}

/* The states that a field of this project, or an unknown one, begins in.
 * Negative: not allowed here. */
static int after_tag(struct msg_in *m, uint32_t field, uint32_t wire)
{
	if (field == 0)
		return -1;
	if (field <= WspMessage_data_tag) {
		if (field <= m->field || m->data_seen)
			return -1;
		m->field = field;
		if (field == WspMessage_cmd_tag)
			return wire == PB_WT_VARINT ? AT_CMD : -1;
		if (wire != PB_WT_STRING)
			return -1;
		return field == WspMessage_id_tag ? AT_ID_LEN : AT_DATA_LEN;
	}
	if (m->skipped++ == MSG_UNKNOWN_MAX)
		return -1;
	switch (wire) {
	case PB_WT_VARINT:
		return AT_SKIP_VARINT;
	case PB_WT_STRING:
		return AT_SKIP_LEN;
	case PB_WT_64BIT:
		m->left = 8;
		return AT_SKIP;
	case PB_WT_32BIT:
		m->left = 4;
		return AT_SKIP;
	}
	return -1;
}

/* A varint is complete: what follows it? False: malformed. */
static bool on_varint(struct msg_in *m, uint64_t v)
{
	int next = AT_TAG;

	switch (m->state) {
	case AT_TAG:
		if (v > UINT32_MAX)
			return false;
		next = after_tag(m, (uint32_t)(v >> 3), (uint32_t)(v & 7));
		break;
	case AT_ID_LEN:
		if (v > MSG_ID_MAX)
			return false;
		m->id_len = (uint8_t)v;
		next = v ? AT_ID : AT_TAG;
		break;
	case AT_CMD: /* an enum is an int32, sign-extended to 64 bits */
		m->cmd = (int32_t)(uint32_t)v;
		break;
	case AT_DATA_LEN:
		if (v > INT32_MAX)
			return false;
		m->data_len = (uint32_t)v;
		m->data_seen = true;
		m->left = v;
		next = v ? AT_DATA : AT_TAG;
		break;
	case AT_SKIP_LEN:
		if (v > INT32_MAX)
			return false;
		m->left = v;
		next = v ? AT_SKIP : AT_TAG;
		break;
	}
	if (next < 0)
		return false;
	m->state = (uint8_t)next;
	return true;
}

static void take_id(struct msg_in *m, const uint8_t **p, size_t *n)
{
	size_t want = (size_t)(m->id_len - m->got);
	size_t k = *n < want ? *n : want;

	memcpy(m->id + m->got, *p, k);
	m->got = (uint8_t)(m->got + k);
	*p += k;
	*n -= k;
	if (m->got == m->id_len)
		m->state = AT_TAG;
}

/* Pass over what is left of the data or of a skipped field. */
static size_t take_left(struct msg_in *m, const uint8_t **p, size_t *n)
{
	size_t k = *n < m->left ? *n : (size_t)m->left;

	m->left -= k;
	*p += k;
	*n -= k;
	if (m->left == 0)
		m->state = AT_TAG;
	return k;
}

/* The message has no byte left. */
static enum msg_event finish(struct msg_in *m)
{
	if (m->state == AT_TAG && m->varint_len == 0) {
		m->state = AT_END;
		if (m->data_len == 0)
			return MSG_HEAD;
	}
	if (m->state != AT_END)
		return MSG_ERROR;
	m->state = AT_OVER;
	return MSG_END;
}

static void start(struct msg_in *m)
{
	m->state = AT_TAG;
	m->id_len = 0;
	m->got = 0;
	m->cmd = 0;
	m->data_len = 0;
	m->data_seen = false;
	m->field = 0;
	m->skipped = 0;
}

enum msg_event msg_feed(struct msg_in *m, const uint8_t **p, size_t *n,
			bool last, const uint8_t **slice, size_t *len)
{
	uint64_t v;
	int got;

	if (m->state == AT_OVER)
		start(m);
	while (*n && m->state != AT_END) {
		switch (m->state) {
		case AT_ID:
			take_id(m, p, n);
			break;
		case AT_DATA:
			*slice = *p;
			*len = take_left(m, p, n);
			return MSG_DATA;
		case AT_SKIP:
			take_left(m, p, n);
			break;
		default:
			got = take_varint(m, p, n, &v);
			if (got < 0)
				return MSG_ERROR;
			if (got == 0)
				break;
			if (!on_varint(m, v))
				return MSG_ERROR;
			if (m->state == AT_DATA)
				return MSG_HEAD;
		}
	}
	return last ? finish(m) : MSG_MORE;
}

uint64_t msg_data_left(const struct msg_in *m)
{
	return m->state == AT_DATA ? m->left : 0;
}

void msg_pass(struct msg_in *m, uint64_t n)
{
	assert(n <= msg_data_left(m));
	m->left -= n;
	if (m->left == 0)
		m->state = AT_TAG;
}

/* Out. */

static size_t put_varint(uint8_t *out, uint64_t v)
{
	pb_ostream_t s = pb_ostream_from_buffer(out, MSG_VARINT_MAX);

	pb_encode_varint(&s, v);
	return s.bytes_written;
}

void msg_seal(struct buf *b, const uint8_t *id, size_t id_len, WspCmd cmd)
{
	uint8_t head[2 + MSG_ID_MAX + 2 + 1 + 5 + MSG_VARINT_MAX];
	size_t n = 0;

	assert(id_len <= MSG_ID_MAX);
	if (id_len) {
		head[n++] = WspMessage_id_tag << 3 | PB_WT_STRING;
		head[n++] = (uint8_t)id_len;
		memcpy(head + n, id, id_len);
		n += id_len;
	}
	if (cmd) {
		head[n++] = WspMessage_cmd_tag << 3 | PB_WT_VARINT;
		head[n++] = (uint8_t)cmd;
	}
	if (b->len) {
		head[n++] = WspMessage_data_tag << 3 | PB_WT_STRING;
		n += put_varint(head + n, b->len);
	}
	memcpy(buf_push(b, (uint32_t)n), head, n);
}

/* A sealed message whose data is src, encoded. NULL: no memory. */
static struct buf *encode(struct bufpool *p, const pb_msgdesc_t *fields,
			  const void *src)
{
	size_t size;
	struct buf *b;
	pb_ostream_t s;

	if (!pb_get_encoded_size(&size, fields, src) || size > BUF_MAX)
		return NULL;
	b = buf_new(p, size);
	if (!b)
		return NULL;
	s = pb_ostream_from_buffer(buf_ptr(b), size);
	if (!pb_encode(&s, fields, src)) {
		buf_free(b);
		return NULL;
	}
	b->len = (uint32_t)s.bytes_written;
	return b;
}

static struct buf *sealed(struct buf *b, const uint8_t *id, size_t id_len,
			  WspCmd cmd)
{
	if (b)
		msg_seal(b, id, id_len, cmd);
	return b;
}

/* False: src does not fit. */
static bool put_text(char *out, size_t size, const char *src)
{
	size_t n = strlen(src);

	if (n >= size)
		return false;
	memcpy(out, src, n + 1);
	return true;
}

struct buf *msg_connect(struct bufpool *p, const uint8_t *id, size_t id_len,
			const char *url)
{
	WspRequest req = {.type = WspType_DYNAMIC};

	if (!put_text(req.data, sizeof(req.data), url))
		return NULL;
	return sealed(encode(p, WspRequest_fields, &req), id, id_len,
		      WspCmd_CONNECT);
}

/* Texts of Go's net package: gowsp's users read them, and other clients may
 * look for them. */
static const struct text {
	enum reason why;
	const char *text;
} texts[] = {
	{REASON_REFUSED, "connect: connection refused"},
	{REASON_NO_SUCH_NAME, "no such host"},
	{REASON_TIMED_OUT, "i/o timeout"},
	{REASON_NET_UNREACHABLE, "connect: network is unreachable"},
	{REASON_HOST_UNREACHABLE, "connect: no route to host"},
	{REASON_TIMED_OUT, "timeout"},
	{REASON_RESET, "connection reset"},
};

#define TEXTS (sizeof(texts) / sizeof(texts[0]))

static const char *text_of(enum reason why)
{
	for (size_t i = 0; i < TEXTS; i++)
		if (texts[i].why == why)
			return texts[i].text;
	return reason_text(why);
}

struct buf *msg_respond(struct bufpool *p, const uint8_t *id, size_t id_len,
			enum reason why, const char *bound, bool negotiated)
{
	WspResponse res = {.code = WspCode_SUCCESS};

	if (why != REASON_DONE) {
		res.code = WspCode_FAILED;
		if (!put_text(res.data, sizeof(res.data), text_of(why)))
			return NULL;
	}
	if (negotiated) {
		res.reason = why;
		if (bound && !put_text(res.bound, sizeof(res.bound), bound))
			return NULL;
	}
	return sealed(encode(p, WspResponse_fields, &res), id, id_len,
		      WspCmd_RESPOND);
}

struct buf *msg_reset(struct bufpool *p, const uint8_t *id, size_t id_len,
		      enum reason why, bool negotiated)
{
	WspReset reset = {.reason = why};
	struct buf *b;

	if (negotiated) {
		/* Empty data would be no reset to a gowsp: always a number. */
		if (why == REASON_DONE)
			reset.reason = REASON_RESET;
		b = encode(p, WspReset_fields, &reset);
	} else if (why == REASON_CLOSED) {
		b = buf_copy(p, GONE, sizeof(GONE) - 1);
	} else {
		b = buf_new(p, 0);
	}
	return sealed(b, id, id_len, WspCmd_INTERRUPT);
}

struct buf *msg_credit(struct bufpool *p, const uint8_t *id, size_t id_len,
		       uint32_t bytes)
{
	WspCredit credit = {.bytes = bytes};

	return sealed(encode(p, WspCredit_fields, &credit), id, id_len,
		      WspCmd_CREDIT);
}

/* In: the data of messages. */

static bool decode(const uint8_t *p, size_t n, const pb_msgdesc_t *fields,
		   void *out)
{
	pb_istream_t s = pb_istream_from_buffer(p, n);

	return pb_decode(&s, fields, out);
}

bool msg_parse_request(const uint8_t *p, size_t n, WspRequest *out)
{
	*out = (WspRequest)WspRequest_init_zero;
	return decode(p, n, WspRequest_fields, out);
}

bool msg_parse_response(const uint8_t *p, size_t n, WspResponse *out,
			enum reason *why)
{
	*out = (WspResponse)WspResponse_init_zero;
	*why = REASON_PROTOCOL;
	if (!decode(p, n, WspResponse_fields, out))
		return false;
	*why = REASON_DONE;
	if (out->code == WspCode_SUCCESS)
		return true;
	*why = REASON_IO;
	if (out->reason) {
		*why = reason_from_wire(out->reason);
		return true;
	}
	for (size_t i = 0; i < TEXTS; i++) {
		if (strstr(out->data, texts[i].text)) {
			*why = texts[i].why;
			break;
		}
	}
	return true;
}

enum reason msg_parse_reset(const uint8_t *p, size_t n)
{
	WspReset reset = WspReset_init_zero;

	if (n == 0 || !decode(p, n, WspReset_fields, &reset) || !reset.reason)
		return REASON_CLOSED;
	return reason_from_wire(reset.reason);
}

bool msg_parse_credit(const uint8_t *p, size_t n, uint32_t *bytes)
{
	WspCredit credit = WspCredit_init_zero;

	if (!decode(p, n, WspCredit_fields, &credit))
		return false;
	*bytes = credit.bytes;
	return true;
}
