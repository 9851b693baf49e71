/* SPDX-License-Identifier: MIT */
#include "proto/tokenline.h"

#include <string.h>

#define RATE_LEAST 1024
#define RATE_MOST  ((uint64_t)1 << 40)

static const char prefix[] = "sha256:";

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool tokenline_name_is_good(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > TOKENLINE_NAME_MAX || !is_alnum(name[0]))
		return false;
	for (size_t i = 1; i < n; i++)
		if (!is_alnum(name[i]) && !strchr("._-@", name[i]))
			return false;
	return true;
}

/* -1: it is none. */
static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static const char *read_digest(const char *word, struct tokenline *out)
{
	static const char error[] =
		"behind the name: not sha256: and 64 hexadecimal digits (a "
		"token in clear? wsp token NAME makes a line)";
	uint8_t nothing[TOKEN_DIGEST];
	const char *hex = word + sizeof(prefix) - 1;

	if (strncmp(word, prefix, sizeof(prefix) - 1) != 0 ||
	    strlen(hex) != 2 * (size_t)TOKEN_DIGEST)
		return error;
	for (size_t i = 0; i < TOKEN_DIGEST; i++) {
		int high = hex_digit(hex[2 * i]),
		    low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return error;
		out->digest[i] = (uint8_t)(high << 4 | low);
	}
	if (!token_digest("", nothing) || token_same(nothing, out->digest))
		return "this is the hash of nothing: everybody would have it";
	return NULL;
}

static bool read_number(const char **p, uint64_t *out)
{
	const char *at = *p;

	*out = 0;
	for (; is_digit(*at); at++) {
		*out = *out * 10 + (uint64_t)(*at - '0');
		if (*out > RATE_MOST)
			return false;
	}
	if (at == *p)
		return false;
	*p = at;
	return true;
}

static const char *read_count(const char *value, uint32_t *out)
{
	uint64_t n;

	if (*out)
		return "streams= and tunnels= stand once in a line";
	if (!read_number(&value, &n) || *value || n < 1 || n > TOKENLINE_MOST)
		return "streams= and tunnels=: not a number from 1 to 1000000 "
		       "(no limit: leave it out)";
	*out = (uint32_t)n;
	return NULL;
}

static const char *read_rate(const char *value, uint64_t *out)
{
	static const char error[] =
		"rate=: not bytes a second, 1K to 1024G, such as 200K or 10M "
		"(no limit: leave it out)";
	uint64_t n;
	int shift;

	if (*out)
		return "rate= stands once in a line";
	if (!read_number(&value, &n))
		return error;
	shift = *value == 'K'   ? 10
		: *value == 'M' ? 20
		: *value == 'G' ? 30
				: 0;
	value += shift > 0;
	if (*value && strcmp(value, "/s") != 0)
		return error;
	if (n > RATE_MOST >> shift || n << shift < RATE_LEAST)
		return error;
	*out = n << shift;
	return NULL;
}

const char *tokenline_setting(const char *word, tokenline_rule_fn *rule,
			      void *ctx, struct tokenline *out)
{
	const char *value = strchr(word, '=');
	size_t n = value ? (size_t)(value - word) : 0;

	if (n == 5 && memcmp(word, "allow", n) == 0)
		return rule(ctx, true, value + 1);
	if (n == 4 && memcmp(word, "deny", n) == 0)
		return rule(ctx, false, value + 1);
	if (n == 7 && memcmp(word, "streams", n) == 0)
		return read_count(value + 1, &out->streams);
	if (n == 7 && memcmp(word, "tunnels", n) == 0)
		return read_count(value + 1, &out->tunnels);
	if (n == 4 && memcmp(word, "rate", n) == 0)
		return read_rate(value + 1, &out->rate);
	return "a setting is allow=RULE, deny=RULE, streams=N, tunnels=N or "
	       "rate=BYTES";
}

/* The next word of *p, at most n bytes, into out. False: there is none, or it
 * is too long, and then *p is where it begins. */
static bool next_word(const char **p, size_t *n,
		      char out[TOKENLINE_WORD_MAX + 1])
{
	size_t len = 0;

	while (*n && is_blank(**p)) {
		(*p)++;
		(*n)--;
	}
	while (len < *n && !is_blank((*p)[len]))
		len++;
	if (len == 0 || len > TOKENLINE_WORD_MAX)
		return false;
	memcpy(out, *p, len);
	out[len] = 0;
	*p += len;
	*n -= len;
	return true;
}

const char *tokenline_parse(const char *line, size_t n, tokenline_rule_fn *rule,
			    void *ctx, struct tokenline *out)
{
	char word[TOKENLINE_WORD_MAX + 1];
	const char *error;

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)line[i] < ' ' && !is_blank(line[i])) ||
		    line[i] == 127)
			return "a control character";
	if (!next_word(&line, &n, word))
		return n ? "a word is too long" : NULL;
	if (word[0] == '#')
		return NULL;
	if (!tokenline_name_is_good(word))
		return "a name has 1 to 64 of A-Z a-z 0-9 . _ - @, and a "
		       "letter or digit first";
	memcpy(out->name, word, strlen(word) + 1);
	if (!next_word(&line, &n, word))
		word[0] = 0;
	error = read_digest(word, out);
	while (!error && next_word(&line, &n, word))
		error = tokenline_setting(word, rule, ctx, out);
	if (!error && n)
		error = "a word is too long";
	if (error)
		out->name[0] = 0;
	return error;
}
