/* SPDX-License-Identifier: MIT */
#include "proto/upgrade_value.h"

#include <string.h>
#include <strings.h>

#include <mbedtls/base64.h>
#include <mbedtls/sha1.h>
#include <mbedtls/version.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The next element of a comma-separated list (RFC 9110 section 5.6.1). */
static bool next_element(const char **p, const char **at, size_t *n)
{
	const char *end;

	while (**p == ',' || is_blank(**p))
		(*p)++;
	if (!**p)
		return false;
	*at = *p;
	end = *p + strcspn(*p, ",");
	*p = end;
	while (end > *at && is_blank(end[-1]))
		end--;
	*n = (size_t)(end - *at);
	return true;
}

bool upgrade_list_has(const char *list, const char *word)
{
	const char *at;
	size_t n;

	while (next_element(&list, &at, &n))
		if (n == strlen(word) && strncasecmp(at, word, n) == 0)
			return true;
	return false;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A decimal number that ends at *p. */
static bool take_number(const char **p, uint32_t *out)
{
	uint64_t v = 0;
	int digits = 0;

	for (; is_digit(**p); (*p)++, digits++) {
		v = v * 10 + (uint64_t)(**p - '0');
		if (v > UINT32_MAX)
			return false;
	}
	*out = (uint32_t)v;
	return digits > 0;
}

static void skip_blanks(const char **p)
{
	while (is_blank(**p))
		(*p)++;
}

/* "name=decimal"; names that we do not know may have any value. */
static bool wsp_param(const char **p, struct upgrade_wsp *out)
{
	size_t n = strcspn(*p, "=; \t");
	uint32_t *to = NULL;

	if (n == 6 && memcmp(*p, "window", n) == 0)
		to = &out->window;
	else if (n == 7 && memcmp(*p, "message", n) == 0)
		to = &out->message;
	if (!to) {
		*p += strcspn(*p, ";");
		return true;
	}
	*p += n;
	if (**p != '=' || *to)
		return false;
	(*p)++;
	return take_number(p, to) && *to;
}

/* "1; window=N; message=N" (docs/protocol.md, section 3). */
bool upgrade_parse_wsp(const char *p, struct upgrade_wsp *out)
{
	*out = (struct upgrade_wsp){.window = 0};
	if (*p++ != '1')
		return false;
	for (;;) {
		skip_blanks(&p);
		if (!*p)
			break;
		if (*p++ != ';')
			return false;
		skip_blanks(&p);
		if (!wsp_param(&p, out))
			return false;
	}
	return out->window >= 1 && out->window <= INT32_MAX &&
	       out->message >= 1024;
}

/* gowsp: a float whose integer part is 0. */
bool upgrade_parse_proto(const char *p)
{
	if (*p == '-' || *p == '+')
		p++;
	if (*p != '0' && *p != '.')
		return false;
	while (*p == '0')
		p++;
	if (*p == '.')
		p++;
	return p[strspn(p, "0123456789")] == 0;
}

static int hex(char c)
{
	if (is_digit(c))
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The path of a request target, decoded (RFC 3986 section 2.1). */
bool upgrade_parse_path(const char *p, char out[UPGRADE_PATH_MAX])
{
	const char *scheme = strstr(p, "://");
	size_t n = 0;

	if (*p != '/' && scheme) { /* absolute form: RFC 9112 section 3.2.2 */
		p = strchr(scheme + 3, '/');
		if (!p)
			p = "/";
	}
	if (*p != '/')
		return false;
	for (; *p && *p != '?'; p++) {
		int c = (unsigned char)*p;

		if (c == '%') {
			if (hex(p[1]) < 0 || hex(p[2]) < 0)
				return false;
			c = hex(p[1]) * 16 + hex(p[2]);
			p += 2;
		}
		if (c == 0)
			return false;
		out[n++] = (char)c;
	}
	out[n] = 0;
	return true;
}

/* RFC 6455 section 4.2.2, step 5.4. */
bool upgrade_accept(const char *key, char out[ACCEPT_LEN + 1])
{
	unsigned char digest[20], text[KEY_LEN + sizeof(GUID)];
	size_t n;

	memcpy(text, key, KEY_LEN);
	memcpy(text + KEY_LEN, GUID, sizeof(GUID));
#if MBEDTLS_VERSION_MAJOR < 3
	if (mbedtls_sha1_ret(text, sizeof(text) - 1, digest))
		return false;
#else
	if (mbedtls_sha1(text, sizeof(text) - 1, digest))
		return false;
#endif
	return mbedtls_base64_encode((unsigned char *)out, ACCEPT_LEN + 1, &n,
				     digest, sizeof(digest)) == 0;
}

bool upgrade_key_is_good(const char *key)
{
	unsigned char raw[UPGRADE_NONCE + 2];
	size_t n;

	return strlen(key) == KEY_LEN &&
	       mbedtls_base64_decode(raw, sizeof(raw), &n,
				     (const unsigned char *)key,
				     KEY_LEN) == 0 &&
	       n == UPGRADE_NONCE;
}

void upgrade_key(const uint8_t nonce[UPGRADE_NONCE], char out[KEY_LEN + 1])
{
	size_t n;

	/* the sizes are right, so it cannot fail */
	if (mbedtls_base64_encode((unsigned char *)out, KEY_LEN + 1, &n, nonce,
				  UPGRADE_NONCE))
		out[0] = 0;
}

/* RFC 9110 section 5.6.2. */
static bool is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool upgrade_field_is_good(const char *text)
{
	static const char *const ours[] = {
		"host",           "upgrade", "connection",
		"auth",           "proto",   "wsp",
		"content-length", "origin",  "transfer-encoding",
	};
	size_t n = strcspn(text, ":");

	if (n == 0 || text[n] != ':')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_token_char(text[i]))
			return false;
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (n == strlen(ours[i]) && strncasecmp(text, ours[i], n) == 0)
			return false;
	for (const char *p = text + n; *p; p++)
		if (*p < ' ' || *p > '~')
			return false;
	return n < 14 || strncasecmp(text, "sec-websocket-", 14) != 0;
}
