/* SPDX-License-Identifier: MIT */
#include "proto/span.h"

#include <string.h>
#include <strings.h>

bool span_is(struct span s, const char *word)
{
	return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

bool span_starts(struct span s, const char *word)
{
	return s.n >= strlen(word) && strncasecmp(s.p, word, strlen(word)) == 0;
}

bool span_same(struct span a, struct span b)
{
	return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct span span_trim(struct span s)
{
	while (s.n && is_blank(*s.p)) {
		s.p++;
		s.n--;
	}
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool span_cut(struct span *s, char c, struct span *rest)
{
	const char *at = s->n ? memchr(s->p, c, s->n) : NULL;

	if (!at)
		return false;
	rest->p = at + 1;
	rest->n = s->n - (size_t)(at - s->p) - 1;
	s->n = (size_t)(at - s->p);
	return true;
}

bool span_next(struct span *list, struct span *out)
{
	struct span rest;

	while (list->n) {
		*out = *list;
		rest = (struct span){list->p + list->n, 0};
		span_cut(out, ',', &rest);
		*list = rest;
		*out = span_trim(*out);
		if (out->n)
			return true;
	}
	return false;
}

static bool is_tchar(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool span_is_token(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_tchar(s.p[i]))
			return false;
	return s.n > 0;
}

bool span_number(struct span s, uint64_t *out)
{
	*out = 0;
	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (*out >= 1000000000000000000 / 10)
			return false;
		*out = *out * 10 + (uint64_t)(s.p[i] - '0');
	}
	return true;
}
