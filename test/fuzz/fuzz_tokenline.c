/* SPDX-License-Identifier: MIT */
/* A line of a file of tokens: what is taken has a name, a hash that is not
 * that of nothing, limits in their ranges, and stays so when it is written
 * again; nothing is a rule that the line does not have as a word. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/tokenline.h"
#include "test/fuzz/fuzz.h"

#define LINE_MAX_ 4096

struct rules {
	const uint8_t *line;
	size_t n;
	char text[LINE_MAX_]; /* of all, as settings */
	size_t len;
};

static const char *on_rule(void *ctx, bool allow, const char *text)
{
	struct rules *r = ctx;
	size_t n = strlen(text);

	check(n <= TOKENLINE_WORD_MAX && !strpbrk(text, " \t\r\n"));
	check(n == 0 || memmem(r->line, r->n, text, n));
	if (r->len + n + 10 > sizeof(r->text))
		return "too many";
	r->len += (size_t)sprintf(r->text + r->len, " %s=%s",
				  allow ? "allow" : "deny", text);
	return NULL;
}

static const char *parse(const uint8_t *p, size_t n, struct rules *r,
			 struct tokenline *out)
{
	r->line = p;
	r->n = n;
	r->len = 0;
	r->text[0] = 0;
	return tokenline_parse((const char *)p, n, on_rule, r, out);
}

static size_t write(const struct tokenline *t, const struct rules *r, char *out)
{
	int n = sprintf(out, "%s sha256:", t->name);

	for (size_t i = 0; i < TOKEN_DIGEST; i++)
		n += sprintf(out + n, "%02x", t->digest[i]);
	n += sprintf(out + n, "%s", r->text);
	if (t->streams)
		n += sprintf(out + n, " streams=%" PRIu32, t->streams);
	if (t->tunnels)
		n += sprintf(out + n, " tunnels=%" PRIu32, t->tunnels);
	if (t->rate)
		n += sprintf(out + n, " rate=%" PRIu64, t->rate);
	return (size_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct rules a, b;
	static char line[LINE_MAX_ + 400];
	struct tokenline x, y;
	uint8_t nothing[TOKEN_DIGEST];
	size_t len;

	if (parse(p, n, &a, &x)) {
		check(!x.name[0]);
		return 0;
	}
	if (!x.name[0])
		return 0;
	check(tokenline_name_is_good(x.name));
	check(token_digest("", nothing) && !token_same(nothing, x.digest));
	check(x.streams <= TOKENLINE_MOST && x.tunnels <= TOKENLINE_MOST);
	check(!x.rate || (x.rate >= 1024 && x.rate <= (uint64_t)1 << 40));
	len = write(&x, &a, line);
	check(parse((const uint8_t *)line, len, &b, &y) == NULL);
	check(memcmp(&x, &y, sizeof(x)) == 0 && strcmp(a.text, b.text) == 0);
	return 0;
}
