/* SPDX-License-Identifier: MIT */
#include "core/intake.h"

#define READ_FIRST 4096 /* the size of a conn's first read */
#define READ_STEP  8    /* a full read makes the next this much larger */

void intake_init(struct intake *in, struct worker *w)
{
	in->w = w;
	in->hint = READ_FIRST;
	in->turn = in->header = w->turn - 1;
}

void intake_done(struct intake *in)
{
	buf_free(in->rbuf);
	in->rbuf = NULL;
}

bool intake_may(const struct intake *in)
{
	return in->turn != in->w->turn;
}

bool intake_aside(const struct intake *in)
{
	bool wanted = in->beside || (in->aside && in->hint >= PACE_BULK);

	return wanted && !in->plain && splice_ready(&in->w->splice);
}

static size_t least(uint64_t a, size_t b)
{
	return a < b ? (size_t)a : b;
}

uv_buf_t intake_memory(struct intake *in, size_t max)
{
	size_t n = least(in->hint, max);
	uint8_t *p = in->w->scratch;

	if (in->bulk) {
		n = in->head ? least(in->head, n) : n;
	} else {
		in->rbuf = buf_new(&in->w->pool, n);
		p = in->rbuf ? buf_ptr(in->rbuf) : NULL;
	}
	return uv_buf_init((char *)p, p ? (unsigned)n : 0);
}

/* n bytes have come of those that were asked for: how large should the next
 * read be? */
static void guess(struct intake *in, size_t n, size_t asked)
{
	if (in->bulk)
		return;
	if (n == asked && asked == in->hint && in->hint < PACE_BULK)
		in->hint *= READ_STEP;
	else if (n < in->hint / READ_STEP && in->hint > READ_FIRST)
		in->hint /= READ_STEP;
	if (in->hint > PACE_BULK)
		in->hint = PACE_BULK;
}

/* Something has come. Behind a header alone more is read in this turn. */
static void note(struct intake *in, size_t n, size_t asked)
{
	guess(in, n, asked);
	if (in->head)
		in->header = in->w->turn;
	else
		in->turn = in->w->turn;
	in->head = 0;
	in->beside = 0;
	in->plain = false;
}

struct buf *intake_take(struct intake *in, size_t n, size_t asked,
			struct buf *lent)
{
	struct buf *b = lent;

	note(in, n, asked);
	if (in->bulk) {
		buf_lend(lent, in->w->scratch, n);
	} else {
		b = in->rbuf;
		b->len = (uint32_t)n;
		in->rbuf = NULL;
	}
	return b;
}

/* Is it the kernel, or this kind of socket, that cannot do it? Then libuv
 * can. */
static bool is_unable(ssize_t n)
{
	return n == UV_EINVAL || n == UV_ENOMEM || n == UV_EBADF;
}

ssize_t intake_splice(struct intake *in, const uv_handle_t *h, size_t max,
		      struct buf *b)
{
	size_t most = least(in->hint, max);
	ssize_t n;

	if (in->beside)
		most = least(in->beside, most);
	n = splice_read(&in->w->splice, h, most, b);
	if (n > 0) {
		note(in, (size_t)n, most);
	} else if (n == UV_EAGAIN && in->header == in->w->turn) {
		n = 0; /* the payload is behind its header */
	} else if (n == 0 || n == UV_EAGAIN || is_unable(n)) {
		in->plain = true;
		n = 0;
	}
	return n;
}
