/* SPDX-License-Identifier: MIT */
#include "proto/body.h"

#include <string.h>

#include "proto/fields.h"

static int on_complete(llhttp_t *p)
{
	struct body *b = p->data;

	b->complete = true;
	return HPE_PAUSED;
}

/* What is to come is only known after the head: it decides nothing itself. */
static const llhttp_settings_t settings = {
	.on_message_complete = on_complete,
};

/* Does llhttp see the same body as we do? */
static bool agrees(const struct body *b, uint64_t length)
{
	bool chunked = b->parser.flags & F_CHUNKED;
	bool measured = b->parser.flags & F_CONTENT_LENGTH;

	if (b->kind == BODY_CHUNKED)
		return chunked && !measured && !b->complete;
	return !chunked && measured && !b->complete &&
	       b->parser.content_length == length;
}

void body_init(struct body *b, enum body_kind kind, uint64_t length,
	       llhttp_type_t type, const char *head, size_t n)
{
	enum llhttp_errno err;

	memset(b, 0, sizeof(*b));
	b->kind = kind;
	head_init(&b->trailer, HEAD_TRAILER);
	llhttp_init(&b->parser, type, &settings);
	b->parser.data = b;
	err = llhttp_execute(&b->parser, head, n);
	if (err != HPE_OK && err != HPE_PAUSED && err != HPE_PAUSED_UPGRADE)
		b->broken = true;
	else if (kind == BODY_NONE || (kind == BODY_LENGTH && length == 0))
		b->complete = true;
	else if (kind != BODY_CLOSE)
		b->broken = !agrees(b, length);
}

void body_done(struct body *b)
{
	head_done(&b->trailer);
}

void body_strip(struct body *b)
{
	b->chunked.strip = true;
}

/* The fields that may go on, and the end of the message. */
static struct buf *write_trailer(struct body *b, struct bufpool *pool)
{
	struct span name, value;
	struct buf *out = buf_new(pool, b->trailer.len + HEAD_FIELDS_MAX + 2);
	size_t at = 0;

	if (!out)
		return NULL;
	while (head_next(&b->trailer, &at, &name, &value)) {
		if (!fields_may_trail(name))
			continue;
		buf_append(out, name.p, (uint32_t)name.n);
		buf_append(out, ": ", 2);
		buf_append(out, value.p, (uint32_t)value.n);
		buf_append(out, "\r\n", 2);
	}
	buf_append(out, "\r\n", 2);
	return out;
}

/* What goes on must be chunks to llhttp as well. */
static void check(struct body *b, const uint8_t *p, size_t n)
{
	enum llhttp_errno err;

	if (b->chunked.strip || n == 0)
		return;
	err = llhttp_execute(&b->parser, (const char *)p, n);
	if (err != HPE_OK && !(err == HPE_PAUSED && b->complete))
		b->broken = true;
}

/* The section behind the last chunk has ended. False: no memory. */
static bool end_trailer(struct body *b, struct bufq *out, struct bufpool *pool)
{
	struct buf *text;

	if (b->chunked.strip) {
		b->complete = true;
		return true;
	}
	if (b->complete) {
		b->broken = true;
		return true;
	}
	text = write_trailer(b, pool);
	if (!text)
		return false;
	check(b, buf_ptr(text), text->len);
	b->broken |= !b->complete;
	bufq_put(out, text);
	return true;
}

/* *used of n bytes belong to the section. False: no memory. */
static bool pass_trailer(struct body *b, const uint8_t *p, size_t n,
			 size_t *used, struct bufq *out, struct bufpool *pool)
{
	switch (head_feed(&b->trailer, p, n, used)) {
	case HEAD_MORE:
		return true;
	case HEAD_FAILED:
		b->broken = true;
		return b->trailer.why != REASON_NO_MEMORY;
	case HEAD_DONE:
		break;
	}
	return end_trailer(b, out, pool);
}

/* Move n bytes, of which the first kept stay, from the first buf of in to out.
 * False: no memory. */
static bool move(struct bufq *in, size_t n, size_t kept, struct bufq *out,
		 struct bufpool *pool)
{
	struct buf *first = in->head, *part = NULL;

	if (n == first->len) {
		part = bufq_get(in);
		part->len = (uint32_t)kept;
	} else {
		if (kept)
			part = buf_copy(pool, buf_ptr(first), kept);
		bufq_pull(in, n);
		if (kept && !part)
			return false;
	}
	if (kept)
		bufq_put(out, part);
	else
		buf_free(part);
	return true;
}

static bool pass_chunks(struct body *b, struct bufq *in, struct bufq *out,
			struct bufpool *pool)
{
	uint8_t *p = buf_ptr(in->head);
	size_t n = in->head->len, used, more = 0;
	size_t kept = chunked_pass(&b->chunked, p, n, &used);
	struct bufq trailer;
	bool good = true;

	bufq_init(&trailer);
	check(b, p, kept);
	if (b->chunked.state == CHUNKED_BROKEN)
		b->broken = true;
	else if (used < n)
		good = pass_trailer(b, p + used, n - used, &more, &trailer,
				    pool);
	if (good && !b->broken)
		good = move(in, used + more, kept, out, pool);
	bufq_move(out, &trailer);
	return good;
}

static bool pass_length(struct body *b, struct bufq *in, struct bufq *out,
			struct bufpool *pool)
{
	const char *p = (const char *)buf_ptr(in->head);
	size_t n = in->head->len;
	enum llhttp_errno err = llhttp_execute(&b->parser, p, n);

	if (err == HPE_PAUSED && b->complete)
		n = (size_t)(llhttp_get_error_pos(&b->parser) - p);
	else
		b->broken = err != HPE_OK;
	return b->broken || move(in, n, n, out, pool);
}

bool body_pass(struct body *b, struct bufq *in, struct bufq *out,
	       struct bufpool *pool)
{
	bool good = true;

	while (good && in->head && !b->complete && !b->broken) {
		if (b->kind == BODY_CHUNKED)
			good = pass_chunks(b, in, out, pool);
		else if (b->kind == BODY_LENGTH)
			good = pass_length(b, in, out, pool);
		else
			bufq_move(out, in);
	}
	return good;
}
