/* SPDX-License-Identifier: MIT */
#include "proto/fields.h"

#include <string.h>

static bool is_one_of(struct span s, const char *const *names)
{
	for (; *names; names++)
		if (span_is(s, *names))
			return true;
	return false;
}

/* A request that takes these away means to deceive. */
static enum reason read_connection(struct fields *f, struct span value)
{
	static const char *const never[] = {"content-length", "host",
					    "transfer-encoding", NULL};
	struct span word;

	while (span_next(&value, &word)) {
		if (is_one_of(word, never) || f->nlisted == FIELDS_LISTED_MAX)
			return REASON_BAD_REQUEST;
		f->listed[f->nlisted++] = word;
	}
	return REASON_DONE;
}

static bool is_digits(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

/* A list of the same number is still one length (RFC 9112 section 6.3). */
static enum reason read_length(struct fields *f, struct span value)
{
	struct span word;
	uint64_t n;

	if (value.n == 0)
		return REASON_BAD_REQUEST;
	while (span_next(&value, &word)) {
		if (!is_digits(word))
			return REASON_BAD_REQUEST;
		if (!span_number(word, &n))
			return REASON_TOO_MUCH;
		if (f->nlengths++ == 0)
			f->length = n;
		else if (n != f->length)
			f->lengths_differ = true;
	}
	return f->nlengths ? REASON_DONE : REASON_BAD_REQUEST;
}

static void read_te(struct fields *f, struct span value)
{
	struct span word;

	while (span_next(&value, &word))
		if (span_is(word, "trailers"))
			f->trailers = true;
}

static enum reason read_field(struct fields *f, struct span name,
			      struct span value)
{
	if (span_is(name, "connection"))
		return read_connection(f, value);
	if (span_is(name, "content-length"))
		return read_length(f, value);
	if (span_is(name, "host")) {
		f->nhosts++;
		f->host = value;
	} else if (span_is(name, "transfer-encoding")) {
		f->chunked = f->ncodings++ == 0 && span_is(value, "chunked");
	} else if (span_is(name, "upgrade")) {
		f->upgrade = true;
	} else if (span_is(name, "te")) {
		read_te(f, value);
	} else if (span_is(name, "expect")) {
		f->expects = true;
	} else if (span_is(name, "proxy-authorization")) {
		f->authorization = value;
	} else if (span_is(name, "max-forwards")) {
		f->max_forwards = value;
	}
	return REASON_DONE;
}

enum reason fields_read(struct fields *f, const struct head *head)
{
	struct span name, value;
	enum reason why;
	size_t at = 0;

	memset(f, 0, sizeof(*f));
	while (head_next(head, &at, &name, &value)) {
		why = read_field(f, name, value);
		if (why != REASON_DONE)
			return why;
	}
	return REASON_DONE;
}

bool fields_list(const struct fields *f, const char *word)
{
	for (int i = 0; i < f->nlisted; i++)
		if (span_is(f->listed[i], word))
			return true;
	return false;
}

bool fields_end_here(const struct fields *f, struct span name)
{
	static const char *const ours[] = {
		"connection", "keep-alive",        "te", "content-length",
		"upgrade",    "transfer-encoding", NULL};

	if (is_one_of(name, ours))
		return true;
	if (span_starts(name, "proxy-") && !span_is(name, "proxy-status"))
		return true;
	for (int i = 0; i < f->nlisted; i++)
		if (span_same(name, f->listed[i]))
			return true;
	return false;
}

bool fields_may_trail(struct span name)
{
	static const char *const never[] = {"connection",
					    "keep-alive",
					    "te",
					    "upgrade",
					    "transfer-encoding",
					    "content-length",
					    "host",
					    "trailer",
					    "authorization",
					    "set-cookie",
					    "cookie",
					    "expect",
					    "cache-control",
					    "max-forwards",
					    "content-encoding",
					    "content-type",
					    "content-range",
					    "range",
					    NULL};

	return !is_one_of(name, never) && !span_starts(name, "proxy-");
}
