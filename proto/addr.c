/* SPDX-License-Identifier: MIT */
#include "proto/addr.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define LABEL_MAX 63 /* RFC 1035 section 2.3.4 */

const char *addr_strerror(enum addr_err err)
{
	switch (err) {
	case ADDR_OK:
		return "valid";
	case ADDR_EHOST:
		return "neither an address nor a host name";
	case ADDR_EPORT:
		return "not a port (0 to 65535)";
	case ADDR_EFORM:
		return "not ADDR:PORT (IPv6 in brackets)";
	case ADDR_ESCHEME:
		return "not a ws:// or wss:// URL";
	case ADDR_EPATH:
		return "not a path";
	}
	return "invalid";
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Letters of ASCII only: the locale has no say in this. */
static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_name_char(char c)
{
	c = lower(c);
	return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

/* Would some resolver take this label, the last one, for a number? */
static bool looks_numeric(const char *label, size_t n)
{
	if (n >= 2 && label[0] == '0' && lower(label[1]) == 'x')
		return true;
	for (size_t i = 0; i < n; i++)
		if (!is_digit(label[i]))
			return false;
	return true;
}

static bool is_name(const char *p, size_t n)
{
	size_t start = 0;

	if (n && p[n - 1] == '.')
		n--;
	if (n == 0)
		return false;
	for (size_t i = 0; i <= n; i++) {
		if (i < n && p[i] != '.') {
			if (!is_name_char(p[i]))
				return false;
			continue;
		}
		if (i == start || i - start > LABEL_MAX)
			return false;
		if (i == n)
			break;
		start = i + 1;
	}
	return !looks_numeric(p + start, n - start);
}

bool host_parse(const char *p, size_t n, char *out)
{
	char text[HOST_MAX + 1], canon[INET6_ADDRSTRLEN];
	struct in6_addr a6;
	struct in_addr a4;

	if (n == 0 || n > HOST_MAX || memchr(p, 0, n))
		return false;
	memcpy(text, p, n);
	text[n] = 0;
	canon[0] = 0;
	if (inet_pton(AF_INET, text, &a4) == 1)
		inet_ntop(AF_INET, &a4, canon, sizeof(canon));
	else if (inet_pton(AF_INET6, text, &a6) == 1)
		inet_ntop(AF_INET6, &a6, canon, sizeof(canon));
	else if (!is_name(text, n))
		return false;
	if (!out)
		return true;
	if (canon[0]) {
		memcpy(out, canon, strlen(canon) + 1);
		return true;
	}
	for (size_t i = 0; i <= n; i++)
		out[i] = lower(text[i]);
	return true;
}

int host_family(const char *host)
{
	struct in6_addr a;

	if (inet_pton(AF_INET, host, &a) == 1)
		return 4;
	return inet_pton(AF_INET6, host, &a) == 1 ? 6 : 0;
}

static bool is_unix(const char *text)
{
	return strncmp(text, "unix:", 5) == 0;
}

bool host_is_loopback(const char *host)
{
	struct in6_addr a6;
	struct in_addr a4;

	if (inet_pton(AF_INET, host, &a4) == 1)
		return ntohl(a4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &a6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&a6);
	return strcmp(host, "localhost") == 0 || is_unix(host);
}

static bool port_parse(const char *p, size_t n, uint16_t *out)
{
	uint32_t v = 0;

	if (n == 0 || n > 5)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_digit(p[i]))
			return false;
		v = v * 10 + (uint32_t)(p[i] - '0');
	}
	if (v > UINT16_MAX)
		return false;
	*out = (uint16_t)v;
	return true;
}

/* Where "host:port" or "[v6]:port" ends its host. No colon: *colon is n. An
 * IPv6 address without brackets is ambiguous, so it is ADDR_EFORM. */
static enum addr_err split(const char *p, size_t n, const char **host,
			   size_t *host_len, size_t *colon)
{
	const char *end;

	if (n && p[0] == '[') {
		end = memchr(p, ']', n);
		if (!end)
			return ADDR_EFORM;
		*host = p + 1;
		*host_len = (size_t)(end - p) - 1;
		*colon = *host_len + 2;
		if (*colon < n && p[*colon] != ':')
			return ADDR_EFORM;
		return memchr(*host, ':', *host_len) ? ADDR_OK : ADDR_EHOST;
	}
	end = n ? memchr(p, ':', n) : NULL;
	*host = p;
	*colon = *host_len = end ? (size_t)(end - p) : n;
	if (end && memchr(end + 1, ':', n - *colon - 1))
		return ADDR_EFORM;
	return ADDR_OK;
}

/* fallback: the port where none is written, 0: it must be. */
static enum addr_err parse(const char *p, size_t n, uint16_t fallback,
			   struct addr *out)
{
	const char *host;
	size_t len, colon;
	enum addr_err err = split(p, n, &host, &len, &colon);

	if (err)
		return err;
	if (!host_parse(host, len, out->host))
		return ADDR_EHOST;
	out->port = fallback;
	if (colon < n && !port_parse(p + colon + 1, n - colon - 1, &out->port))
		return ADDR_EPORT;
	return out->port ? ADDR_OK : ADDR_EPORT;
}

enum addr_err addr_parse(const char *p, size_t n, struct addr *out)
{
	return parse(p, n, 0, out);
}

/* A word of the lines that name it. */
static bool is_unix_path(const char *p)
{
	size_t n = strlen(p);

	if (n == 0 || n > ADDR_UNIX_MAX || strcmp(p, "@") == 0)
		return false;
	for (; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return false;
	return true;
}

enum addr_err addr_parse_listen(const char *p, struct addr *out)
{
	size_t n = strlen(p), len, colon;
	const char *host;
	enum addr_err err;

	if (is_unix(p)) {
		if (!is_unix_path(p + 5))
			return ADDR_EPATH;
		memcpy(out->host, p, n + 1);
		out->port = 0;
		return ADDR_OK;
	}
	if (n && is_digit(p[0]) && !strpbrk(p, ":."))
		return port_parse(p, n, &out->port) ? ADDR_OK : ADDR_EPORT;
	err = split(p, n, &host, &len, &colon);
	if (err)
		return err;
	if (colon >= n)
		return ADDR_EFORM;
	if (!port_parse(p + colon + 1, n - colon - 1, &out->port))
		return ADDR_EPORT;
	if (len == 0 || (len == 1 && *host == '*'))
		memcpy(out->host, "*", 2);
	else if (!host_parse(host, len, out->host))
		return ADDR_EHOST;
	return ADDR_OK;
}

const char *addr_unix(const struct addr *a)
{
	return is_unix(a->host) ? a->host + 5 : NULL;
}

char *addr_format(const struct addr *a, char *out)
{
	bool v6 = strchr(a->host, ':') != NULL;

	if (addr_unix(a))
		return strcpy(out, a->host);
	snprintf(out, ADDR_TEXT_MAX, v6 ? "[%s]:%u" : "%s:%u", a->host,
		 (unsigned)a->port);
	return out;
}

/* URLs. */

/* Does p start with "scheme://"? Advances behind it. */
static bool skip_scheme(const char **p, size_t *n, const char *scheme)
{
	size_t len = strlen(scheme);

	if (*n < len + 3 || memcmp(*p + len, "://", 3) != 0)
		return false;
	for (size_t i = 0; i < len; i++)
		if (lower((*p)[i]) != scheme[i])
			return false;
	*p += len + 3;
	*n -= len + 3;
	return true;
}

/* The length of the authority that p starts with (RFC 3986 section 3.2). */
static size_t authority(const char *p, size_t n)
{
	size_t i = 0;

	while (i < n && p[i] != '/' && p[i] != '?' && p[i] != '#')
		i++;
	return i;
}

static bool find_scheme(const char *p, size_t n)
{
	for (size_t i = 0; i + 2 < n; i++)
		if (p[i] == ':' && p[i + 1] == '/' && p[i + 2] == '/')
			return true;
	return false;
}

/* A path of printable ASCII; a query may stand alone. */
static enum addr_err path_parse(const char *p, char *out)
{
	size_t slash = *p != '/', n = strlen(p);

	if (n + slash + 1 > PATH_MAX_LEN)
		return ADDR_EPATH;
	for (size_t i = 0; i < n; i++)
		if (p[i] <= ' ' || p[i] > '~' || p[i] == '#')
			return ADDR_EPATH;
	out[0] = '/';
	memcpy(out + slash, p, n + 1);
	return ADDR_OK;
}

enum addr_err server_url_parse(const char *text, struct server_url *out)
{
	const char *p = text;
	size_t n = strlen(p), len;
	enum addr_err err;

	out->tls = skip_scheme(&p, &n, "wss") || skip_scheme(&p, &n, "https");
	if (!out->tls && !skip_scheme(&p, &n, "ws") &&
	    !skip_scheme(&p, &n, "http") &&
	    find_scheme(p, authority(p, n) + 2 < n ? authority(p, n) + 2 : n))
		return ADDR_ESCHEME;
	len = authority(p, n);
	err = parse(p, len, out->tls ? 443 : 80, &out->addr);
	if (err)
		return err;
	return path_parse(p + len, out->path);
}

char *server_url_format(const struct server_url *u, char *out, size_t size)
{
	char addr[ADDR_TEXT_MAX];

	snprintf(out, size, "%s://%s%s", u->tls ? "wss" : "ws",
		 addr_format(&u->addr, addr), u->path);
	return out;
}

static int hex(char c)
{
	c = lower(c);
	if (is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986 section 2.1. Returns the length, or -1. */
static int unescape(const char *p, size_t n, char *out, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		int c = (unsigned char)p[i];

		if (p[i] == '%') {
			if (n - i < 3 || hex(p[i + 1]) < 0 || hex(p[i + 2]) < 0)
				return -1;
			c = hex(p[i + 1]) * 16 + hex(p[i + 2]);
			i += 2;
		}
		if (used == size)
			return -1;
		out[used++] = (char)c;
	}
	return (int)used;
}

enum addr_err target_parse(const char *p, size_t n, struct addr *out)
{
	char text[ADDR_TEXT_MAX];
	size_t len;
	int used;

	if (!skip_scheme(&p, &n, "tcp") && !skip_scheme(&p, &n, "socks5") &&
	    !skip_scheme(&p, &n, "http") && !skip_scheme(&p, &n, "https"))
		return ADDR_ESCHEME;
	len = authority(p, n);
	for (size_t i = 0; i < len; i++) {
		if (p[i] == '@') { /* userinfo */
			p += i + 1;
			len -= i + 1;
			i = (size_t)-1;
		}
	}
	used = unescape(p, len, text, sizeof(text));
	if (used < 0)
		return ADDR_EFORM;
	return addr_parse(text, (size_t)used, out);
}

/* "user:password" of n bytes. */
static bool read_userinfo(const char *p, size_t n, struct proxy_url *out)
{
	const char *colon = memchr(p, ':', n);
	size_t len = colon ? (size_t)(colon - p) : n;
	int used = unescape(p, len, out->user, sizeof(out->user) - 1);

	if (used <= 0)
		return false;
	out->user[used] = 0;
	used = colon ? unescape(colon + 1, n - len - 1, out->password,
				sizeof(out->password) - 1)
		     : 0;
	if (used < 0)
		return false;
	out->password[used] = 0;
	return strlen(out->user) + strlen(out->password) > 0;
}

enum addr_err proxy_url_parse(const char *text, struct proxy_url *out)
{
	const char *p = text, *at;
	size_t n = strlen(p), len;
	enum addr_err err;

	memset(out, 0, sizeof(*out));
	out->socks =
		skip_scheme(&p, &n, "socks5") || skip_scheme(&p, &n, "socks5h");
	out->tls = !out->socks && skip_scheme(&p, &n, "https");
	if (!out->socks && !out->tls && !skip_scheme(&p, &n, "http") &&
	    find_scheme(p, n))
		return ADDR_ESCHEME;
	len = authority(p, n);
	if (p[len] && strcmp(p + len, "/") != 0)
		return ADDR_EPATH;
	at = memrchr(p, '@', len);
	if (at) {
		if (!read_userinfo(p, (size_t)(at - p), out))
			return ADDR_EFORM;
		len -= (size_t)(at + 1 - p);
		p = at + 1;
	}
	err = parse(p, len, out->tls ? 443 : 1080, &out->addr);
	return !err && out->addr.port == 0 ? ADDR_EPORT : err;
}

char *proxy_url_format(const struct proxy_url *u, char *out, size_t size)
{
	char addr[ADDR_TEXT_MAX];

	snprintf(out, size, "%s://%s",
		 u->socks ? "socks5"
		 : u->tls ? "https"
			  : "http",
		 addr_format(&u->addr, addr));
	return out;
}

char *target_format(const struct addr *a, char *out)
{
	memcpy(out, "tcp://", 6);
	addr_format(a, out + 6);
	return out;
}
