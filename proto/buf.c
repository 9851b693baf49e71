/* SPDX-License-Identifier: MIT */
#include "proto/buf.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/container.h"
#include "proto/pace.h"

#define MOSTLY_EMPTY 4 /* a buf that is filled to less than this part */
#define IDLE_MAX     (8u * 1024 * 1024) /* bytes that the pool keeps */

/* Payload sizes. The allocation is larger by the headroom. */
static const uint32_t classes[BUF_CLASSES] = {
	512, 4096, 32 * 1024, PACE_LIGHT, PACE_BULK, BUF_MAX,
};

void bufpool_init(struct bufpool *p)
{
	memset(p, 0, sizeof(*p));
}

void bufpool_trim(struct bufpool *p)
{
	for (int i = 0; i < BUF_CLASSES; i++) {
		struct buf *b;

		while ((b = p->free[i])) {
			p->free[i] = b->next;
			free(b);
		}
	}
	p->idle = 0;
}

void bufpool_done(struct bufpool *p)
{
	assert(p->inuse == 0);
	bufpool_trim(p);
}

static uint8_t class_of(size_t size)
{
	uint8_t i = 0;

	while (classes[i] < size)
		i++;
	return i;
}

/* Header and bytes are one allocation. */
static struct buf *buf_alloc(struct bufpool *p, uint8_t class_)
{
	uint32_t cap = classes[class_] + BUF_HEADROOM;
	struct buf *b = malloc(sizeof(*b) + cap);

	if (!b)
		return NULL;
	b->data = (uint8_t *)(b + 1);
	b->cap = cap;
	b->class_ = class_;
	b->pool = p;
	b->aside = NULL;
	return b;
}

size_t bufpool_inuse(const struct bufpool *p)
{
	return p->shared ? atomic_load_explicit(p->shared, memory_order_relaxed)
			 : p->inuse;
}

static void count(struct bufpool *p, size_t more, size_t less)
{
	p->inuse += more - less;
	if (p->shared)
		atomic_fetch_add_explicit(p->shared, more - less,
					  memory_order_relaxed);
}

struct buf *buf_new(struct bufpool *p, size_t size)
{
	struct buf *b;
	uint8_t i;

	assert(size <= BUF_MAX);
	i = class_of(size);
	b = p->free[i];
	if (b) {
		p->free[i] = b->next;
		p->idle -= classes[i];
	} else {
		b = buf_alloc(p, i);
		if (!b)
			return NULL;
	}
	count(p, classes[i], 0);
	b->next = NULL;
	b->off = BUF_HEADROOM;
	b->len = 0;
	return b;
}

struct buf *buf_copy(struct bufpool *p, const void *src, size_t n)
{
	struct buf *b = buf_new(p, n);

	if (b)
		buf_append(b, src, (uint32_t)n);
	return b;
}

void buf_lend(struct buf *view, uint8_t *p, size_t n)
{
	assert(n <= UINT32_MAX);
	*view = (struct buf){.data = p, .len = (uint32_t)n, .cap = (uint32_t)n};
}

/* Append all of src, wherever it lies. False: it is lost. */
static bool append_all(struct buf *b, const struct buf *src)
{
	uint32_t here = buf_here(src), away = src->len - here;

	buf_append(b, buf_ptr(src), here);
	if (!away)
		return true;
	assert(away <= buf_tailroom(b));
	if (src->aside->fetch(src->aside, buf_ptr(b) + b->len)) {
		b->len += away;
		return true;
	}
	b->len -= here;
	return false;
}

struct buf *buf_own(struct buf *b, struct bufpool *p)
{
	struct buf *own;

	if (b->pool)
		return b;
	own = buf_new(p, b->len);
	if (own && append_all(own, b))
		return own;
	buf_free(own);
	return NULL;
}

void buf_free(struct buf *b)
{
	struct bufpool *p = b ? b->pool : NULL;
	uint32_t size;

	if (!p)
		return;
	size = classes[b->class_];
	count(p, 0, size);
	if (p->idle + size > IDLE_MAX) {
		free(b);
		return;
	}
	p->idle += size;
	b->next = p->free[b->class_];
	p->free[b->class_] = b;
}

uint8_t *buf_push(struct buf *b, uint32_t n)
{
	assert(n <= b->off);
	b->off -= n;
	b->len += n;
	return buf_ptr(b);
}

void buf_pull(struct buf *b, uint32_t n)
{
	uint32_t here = buf_here(b);

	assert(n <= b->len);
	if (n > here)
		b->aside->n -= n - here;
	b->off += n < here ? n : here;
	b->len -= n;
}

void buf_append(struct buf *b, const void *src, uint32_t n)
{
	assert(n <= buf_tailroom(b));
	if (n)
		memcpy(buf_ptr(b) + b->len, src, n);
	b->len += n;
}

void bufq_init(struct bufq *q)
{
	q->head = NULL;
	q->tail = &q->head;
	q->bytes = 0;
}

void bufq_put(struct bufq *q, struct buf *b)
{
	b->next = NULL;
	*q->tail = b;
	q->tail = &b->next;
	q->bytes += b->len;
}

bool bufq_keep(struct bufq *q, struct buf *b, struct bufpool *p)
{
	struct buf *last =
		q->head ? container_of(q->tail, struct buf, next) : NULL;

	if (last && b->len <= buf_tailroom(last) &&
	    (!b->pool || b->len <= b->cap / MOSTLY_EMPTY)) {
		if (!append_all(last, b))
			return false;
		q->bytes += b->len;
		buf_free(b);
		return true;
	}
	b = buf_own(b, p);
	if (b)
		bufq_put(q, b);
	return b != NULL;
}

struct buf *bufq_get(struct bufq *q)
{
	struct buf *b = q->head;

	if (!b)
		return NULL;
	q->head = b->next;
	if (!q->head)
		q->tail = &q->head;
	q->bytes -= b->len;
	b->next = NULL;
	return b;
}

void bufq_move(struct bufq *q, struct bufq *src)
{
	if (!src->head)
		return;
	*q->tail = src->head;
	q->tail = src->tail;
	q->bytes += src->bytes;
	bufq_init(src);
}

void bufq_pull(struct bufq *q, size_t n)
{
	assert(n <= q->bytes);
	while (q->head && n >= q->head->len) {
		struct buf *b = bufq_get(q);

		n -= b->len;
		buf_pull(b, b->len);
		buf_free(b);
	}
	if (n) {
		buf_pull(q->head, (uint32_t)n);
		q->bytes -= n;
	}
}

void bufq_clear(struct bufq *q)
{
	struct buf *b;

	while ((b = bufq_get(q)))
		buf_free(b);
}
