/* SPDX-License-Identifier: MIT */
#include "proto/upstream.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <llhttp.h>
#include <mbedtls/base64.h>

#include "proto/field.h"

#define SCHEMES_SIZE  64
#define DETAIL_SIZE   96
#define METHOD_NONE   0
#define METHOD_USER   2
#define REPLY_HEAD    5 /* VER REP RSV ATYP, and the first of the address */
#define ATYP_IPV4     1
#define ATYP_NAME     3
#define ATYP_IPV6     4
#define SOCKS_VERSION 5

enum state { HTTP, METHOD, AUTH, REPLY };

struct upstream {
	const struct proxy_url *proxy;
	const struct addr *target;
	enum state state;
	enum reason why;
	char detail[DETAIL_SIZE];
	/* SOCKS5 */
	uint8_t buf[REPLY_HEAD + 256 + 2];
	size_t len;
	/* HTTP */
	llhttp_t parser;
	llhttp_settings_t settings;
	size_t head;
	struct field field;         /* that arrives */
	bool basic;                 /* offered by Proxy-Authenticate */
	char schemes[SCHEMES_SIZE]; /* what else is */
};

__attribute__((format(printf, 3, 4))) static enum upstream_state
fail(struct upstream *u, enum reason why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(u->detail, sizeof(u->detail), fmt, ap);
	va_end(ap);
	u->why = why;
	return UPSTREAM_FAILED;
}

/* HTTP. */

static int on_name(llhttp_t *p, const char *at, size_t n)
{
	field_name(&((struct upstream *)p->data)->field, at, n);
	return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
	field_value(&((struct upstream *)p->data)->field, at, n);
	return 0;
}

static void add_scheme(struct upstream *u, const char *p, size_t n)
{
	size_t at = strlen(u->schemes);

	if (n == 5 && strncasecmp(p, "basic", n) == 0)
		u->basic = true;
	else
		snprintf(u->schemes + at, sizeof(u->schemes) - at, "%s%.*s",
			 at ? ", " : "", (int)n, p);
}

/* RFC 9110 section 11.6.1: a list of challenges, each a scheme and a list of
 * its own, so a comma is followed by a scheme or by name=value. */
static void read_challenges(struct upstream *u, const char *p)
{
	while (*p) {
		size_t n, blanks;

		p += strspn(p, " \t,");
		n = strcspn(p, " \t,=");
		blanks = strspn(p + n, " \t");
		if (n && p[n + blanks] != '=')
			add_scheme(u, p, n);
		for (bool quoted = false; *p && (quoted || *p != ','); p++) {
			if (quoted && *p == '\\' && p[1])
				p++;
			else if (*p == '"')
				quoted = !quoted;
		}
	}
}

static int on_field(llhttp_t *p)
{
	struct upstream *u = p->data;

	field_end(&u->field);
	if (strcasecmp(u->field.name, "proxy-authenticate") == 0)
		read_challenges(u, u->field.value);
	return 0;
}

/* 1xx come before the answer (RFC 9110 section 15.2); what follows that is not
 * llhttp's. */
static int on_head(llhttp_t *p)
{
	return p->status_code < 200 && p->status_code != 101 ? 0 : 2;
}

static enum upstream_state on_status(struct upstream *u)
{
	unsigned int status = u->parser.status_code;

	if (status >= 200 && status < 300)
		return UPSTREAM_DONE;
	if (status == 407 && !u->basic && u->schemes[0])
		return fail(u, REASON_PROXY,
			    "it wants %s, and only Basic is known here",
			    u->schemes);
	/* some say 401 (RFC 9110 section 15.5.2) to a wrong password */
	if (status == 407 || status == 401)
		return fail(u, REASON_UNAUTHORIZED, "the proxy answers %u: %s",
			    status,
			    u->proxy->user[0] ? "a wrong user or password"
					      : "give --proxy "
						"http://user:password"
						"@host:port");
	if (status == 403)
		return fail(u, REASON_PROXY, "it answers 403 to CONNECT %s:%u",
			    u->target->host, (unsigned)u->target->port);
	return fail(u, REASON_HOST_UNREACHABLE, "the proxy answers %u", status);
}

static enum upstream_state feed_http(struct upstream *u, const uint8_t *p,
				     size_t n, size_t *used)
{
	enum llhttp_errno err = llhttp_execute(&u->parser, (const char *)p, n);

	if (err == HPE_PAUSED_UPGRADE) {
		*used = (size_t)((const uint8_t *)llhttp_get_error_pos(
					 &u->parser) -
				 p);
		return on_status(u);
	}
	u->head += n;
	if (err != HPE_OK || u->head > UPSTREAM_HEAD_MAX)
		return fail(u, REASON_PROXY, "no HTTP answer");
	*used = n;
	return UPSTREAM_MORE;
}

static size_t write_authorization(const struct proxy_url *proxy, char *out,
				  size_t size)
{
	char pair[2 * PROXY_SECRET_MAX];
	unsigned char text[sizeof(pair) / 3 * 4 + 8];
	size_t n;
	int len = snprintf(pair, sizeof(pair), "%s:%s", proxy->user,
			   proxy->password);

	if (!proxy->user[0] ||
	    mbedtls_base64_encode(text, sizeof(text), &n,
				  (const unsigned char *)pair, (size_t)len))
		return 0;
	len = snprintf(out, size, "Proxy-Authorization: Basic %s\r\n", text);
	explicit_bzero(pair, sizeof(pair));
	explicit_bzero(text, sizeof(text));
	return (size_t)len;
}

static size_t begin_http(struct upstream *u, uint8_t *out)
{
	char host[ADDR_TEXT_MAX], auth[4 * PROXY_SECRET_MAX] = "";
	int n;

	write_authorization(u->proxy, auth, sizeof(auth));
	addr_format(u->target, host);
	n = snprintf((char *)out, UPSTREAM_OUT_MAX,
		     "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", host, host,
		     auth);
	explicit_bzero(auth, sizeof(auth));
	return (size_t)n;
}

/* SOCKS5. */

static size_t write_user(struct upstream *u, uint8_t *out)
{
	size_t n = strlen(u->proxy->user), m = strlen(u->proxy->password);

	out[0] = 1; /* RFC 1929 section 2 */
	out[1] = (uint8_t)n;
	memcpy(out + 2, u->proxy->user, n);
	out[2 + n] = (uint8_t)m;
	memcpy(out + 3 + n, u->proxy->password, m);
	return 3 + n + m;
}

/* The host as a name, though it may be an address: proxies take both. */
static size_t write_request(struct upstream *u, uint8_t *out)
{
	size_t n = strlen(u->target->host);

	memcpy(out, "\5\1\0\3", 4);
	out[4] = (uint8_t)n;
	memcpy(out + 5, u->target->host, n);
	out[5 + n] = (uint8_t)(u->target->port >> 8);
	out[6 + n] = (uint8_t)u->target->port;
	return 7 + n;
}

/* Bytes that the message has in all, as far as its beginning says. */
static size_t message_size(const struct upstream *u)
{
	if (u->state != REPLY)
		return 2;
	if (u->len < REPLY_HEAD)
		return REPLY_HEAD;
	switch (u->buf[3]) {
	case ATYP_NAME:
		return REPLY_HEAD + u->buf[4] + 2u;
	case ATYP_IPV6:
		return REPLY_HEAD + 15 + 2;
	default:
		return REPLY_HEAD + 3 + 2;
	}
}

/* RFC 1928 section 6. */
static enum upstream_state on_reply(struct upstream *u)
{
	static const enum reason reasons[] = {
		[2] = REASON_PROXY,
		[3] = REASON_NET_UNREACHABLE,
		[4] = REASON_HOST_UNREACHABLE,
		[5] = REASON_REFUSED,
		[6] = REASON_TIMED_OUT,
	};
	uint8_t code = u->buf[1];

	if (code == 0)
		return UPSTREAM_DONE;
	return fail(u,
		    code >= 2 && code <= 6 ? reasons[code]
					   : REASON_HOST_UNREACHABLE,
		    "the proxy answers %u", (unsigned)code);
}

static enum upstream_state on_message(struct upstream *u, uint8_t *out,
				      size_t *out_len)
{
	uint8_t second = u->buf[1];

	u->len = 0;
	if (u->state == REPLY)
		return on_reply(u);
	if (u->state == METHOD && second == METHOD_USER && u->proxy->user[0]) {
		u->state = AUTH;
		*out_len = write_user(u, out);
		return UPSTREAM_MORE;
	}
	if (u->state == METHOD && second != METHOD_NONE)
		return fail(u, REASON_UNAUTHORIZED,
			    "the proxy wants another way to sign in");
	if (u->state == AUTH && second != 0)
		return fail(u, REASON_UNAUTHORIZED,
			    "the proxy refuses the user or the password");
	u->state = REPLY;
	*out_len = write_request(u, out);
	return UPSTREAM_MORE;
}

static enum upstream_state feed_socks(struct upstream *u, const uint8_t *p,
				      size_t n, size_t *used, uint8_t *out,
				      size_t *out_len)
{
	uint8_t version = u->state == AUTH ? 1 : SOCKS_VERSION;

	while (*used < n) {
		u->buf[u->len++] = p[(*used)++];
		if (u->buf[0] != version)
			return fail(u, REASON_PROXY, "no SOCKS5 answer");
		if (u->len == message_size(u))
			return on_message(u, out, out_len);
	}
	return UPSTREAM_MORE;
}

/* Both. */

struct upstream *upstream_new(const struct proxy_url *proxy,
			      const struct addr *target)
{
	struct upstream *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->proxy = proxy;
	u->target = target;
	u->state = proxy->socks ? METHOD : HTTP;
	llhttp_settings_init(&u->settings);
	u->settings.on_header_field = on_name;
	u->settings.on_header_value = on_value;
	u->settings.on_header_value_complete = on_field;
	u->settings.on_headers_complete = on_head;
	llhttp_init(&u->parser, HTTP_RESPONSE, &u->settings);
	u->parser.data = u;
	return u;
}

void upstream_free(struct upstream *u)
{
	free(u);
}

size_t upstream_begin(struct upstream *u, uint8_t *out)
{
	bool user = u->proxy->user[0];

	if (u->state == HTTP)
		return begin_http(u, out);
	memcpy(out, user ? "\5\2\0\2" : "\5\1\0", user ? 4 : 3);
	return user ? 4 : 3;
}

enum upstream_state upstream_feed(struct upstream *u, const uint8_t *p,
				  size_t n, size_t *used, uint8_t *out,
				  size_t *out_len)
{
	*used = *out_len = 0;
	return u->state == HTTP ? feed_http(u, p, n, used)
				: feed_socks(u, p, n, used, out, out_len);
}

enum reason upstream_why(const struct upstream *u)
{
	return u->why;
}

const char *upstream_detail(const struct upstream *u)
{
	return u->detail;
}
