/* SPDX-License-Identifier: MIT */
#include "proto/head.h"

#include <stdlib.h>
#include <string.h>

#define SIZE_FIRST 1024                    /* of the memory, which doubles */
#define LINE_MAX   (HEAD_TARGET_MAX + 256) /* the first one */
#define EMPTY_MAX  4                       /* lines before a request */

void head_init(struct head *h, enum head_kind kind)
{
	memset(h, 0, sizeof(*h));
	h->kind = kind;
	h->first = kind == HEAD_TRAILER;
}

/* Passwords come in heads. */
static void forget(char *p, size_t n)
{
	if (p)
		explicit_bzero(p, n);
	free(p);
}

void head_done(struct head *h)
{
	forget(h->bytes, h->len);
	head_init(h, h->kind);
}

static enum reason keep(struct head *h, char c)
{
	size_t size = h->size ? 2 * h->size : SIZE_FIRST;
	char *p;

	if (h->len == h->size) {
		p = malloc(size);
		if (!p)
			return REASON_NO_MEMORY;
		if (h->len)
			memcpy(p, h->bytes, h->len);
		forget(h->bytes, h->len);
		h->bytes = p;
		h->size = size;
	}
	h->bytes[h->len++] = c;
	return REASON_DONE;
}

/* A control character, but a tab where there may be blanks. */
static bool has_control(struct span s, bool tab)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if ((c < ' ' && !(c == '\t' && tab)) || c == 0x7f)
			return true;
	}
	return false;
}

static bool is_ascii(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 0x7f)
			return false;
	return true;
}

static bool is_good_first(const struct head *h, struct span line)
{
	if (has_control(line, h->kind == HEAD_RESPONSE))
		return false;
	return h->kind == HEAD_RESPONSE || is_ascii(line);
}

/* RFC 9112 section 5.1. */
static bool is_good_field(const struct head *h, struct span line)
{
	struct span name = line, value;

	if (has_control(line, true))
		return false;
	if (h->kind == HEAD_RESPONSE)
		return true;
	return span_cut(&name, ':', &value) && span_is_token(name);
}

/* The line that has begun, without its end, which is not kept yet. */
static struct span this_line(const struct head *h)
{
	return (struct span){h->bytes + h->line, h->len - h->line};
}

/* RFC 9112 section 5.2: a line that begins with a blank belongs to the one
 * before. */
static bool is_folded(const struct head *h)
{
	char c = h->bytes[h->line];

	return h->kind == HEAD_RESPONSE && h->nfields &&
	       (c == ' ' || c == '\t');
}

static void unfold(struct head *h)
{
	h->bytes[h->line - 2] = ' ';
	h->bytes[h->line - 1] = ' ';
}

static enum reason check_line(struct head *h)
{
	struct span line = this_line(h);

	if (!h->first)
		return is_good_first(h, line) ? REASON_DONE
					      : REASON_BAD_REQUEST;
	if (!is_good_field(h, line))
		return REASON_BAD_REQUEST;
	if (is_folded(h))
		unfold(h);
	else
		h->nfields++;
	return h->nfields > HEAD_FIELDS_MAX ? REASON_TOO_LARGE : REASON_DONE;
}

/* An empty line: *end, unless it is one before a request (RFC 9112 section
 * 2.2). */
static enum reason take_empty(struct head *h, bool *end)
{
	if (!h->first) {
		h->cr = false;
		return h->nempty++ < EMPTY_MAX ? REASON_DONE
					       : REASON_BAD_REQUEST;
	}
	*end = true;
	return REASON_DONE;
}

static enum reason end_line(struct head *h, bool *end)
{
	enum reason why;

	if (h->len == h->line)
		return take_empty(h, end);
	why = check_line(h);
	if (why == REASON_DONE)
		why = keep(h, '\r');
	if (why == REASON_DONE)
		why = keep(h, '\n');
	h->line = h->len;
	if (!h->first)
		h->fields = h->len;
	h->first = true;
	h->cr = false;
	return why;
}

/* Is there room for one byte more? */
static enum reason check_size(const struct head *h)
{
	if (!h->first)
		return h->len < LINE_MAX ? REASON_DONE : REASON_URI_TOO_LONG;
	if (h->len - h->line >= HEAD_FIELD_MAX ||
	    h->len - h->fields >= HEAD_BYTES_MAX)
		return REASON_TOO_LARGE;
	return REASON_DONE;
}

static enum reason take(struct head *h, char c, bool *end)
{
	enum reason why;

	if (c == '\n' && (h->cr || h->kind == HEAD_RESPONSE))
		return end_line(h, end);
	if (c == '\n' || c == 0 || h->cr)
		return REASON_BAD_REQUEST;
	if (c == '\r') {
		h->cr = true;
		return REASON_DONE;
	}
	why = check_size(h);
	return why == REASON_DONE ? keep(h, c) : why;
}

enum head_state head_feed(struct head *h, const uint8_t *p, size_t n,
			  size_t *used)
{
	bool end = false;

	*used = 0;
	while (*used < n && h->why == REASON_DONE && !end)
		h->why = take(h, (char)p[(*used)++], &end);
	if (h->why != REASON_DONE)
		return HEAD_FAILED;
	return end ? HEAD_DONE : HEAD_MORE;
}

/* The line at *at, without its CRLF. */
static bool next_line(const struct head *h, size_t *at, struct span *line)
{
	const char *end;

	if (*at >= h->len)
		return false;
	line->p = h->bytes + *at;
	end = memchr(line->p, '\r', h->len - *at);
	line->n = (size_t)(end - line->p);
	*at += line->n + 2;
	return true;
}

struct span head_first(const struct head *h)
{
	struct span line = {NULL, 0};
	size_t at = 0;

	next_line(h, &at, &line);
	return line;
}

bool head_next(const struct head *h, size_t *at, struct span *name,
	       struct span *value)
{
	if (*at < h->fields)
		*at = h->fields;
	while (next_line(h, at, name)) {
		if (!span_cut(name, ':', value))
			continue;
		*name = span_trim(*name);
		*value = span_trim(*value);
		if (span_is_token(*name))
			return true;
	}
	return false;
}
