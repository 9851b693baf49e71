/* SPDX-License-Identifier: MIT */
#include "proto/socks5.h"

#include <arpa/inet.h>
#include <string.h>

#define METHOD_NONE  0x00 /* no authentication required, section 3 */
#define METHOD_USER  0x02 /* RFC 1929 */
#define USER_VERSION 1
#define METHOD_NO    0xff /* no acceptable methods */
#define CMD_CONNECT  1    /* section 4 */
#define ATYP_IPV4    1
#define ATYP_NAME    3
#define ATYP_IPV6    4
#define REPLY_HEAD   4 /* VER REP RSV ATYP */
#define REQUEST_HEAD 5 /* the same, and the first byte of the address */

enum state { GREETING, USER, VERDICT, REQUEST, OVER };

void socks5_init(struct socks5 *s, bool auth)
{
	memset(s, 0, sizeof(*s));
	s->auth = auth;
}

static enum socks5_event fail(struct socks5 *s, enum reason why)
{
	s->state = OVER;
	s->why = why;
	return SOCKS5_FAILED;
}

/* Bytes that the message in buf has in all, as far as its beginning says; 0:
 * it cannot be one. */
static size_t greeting_size(const struct socks5 *s)
{
	if (s->len >= 1 && s->buf[0] != SOCKS5_VERSION)
		return 0;
	return s->len < 2 ? 2 : 2u + s->buf[1];
}

/* RFC 1929 section 2: VER ULEN UNAME PLEN PASSWD. */
static size_t user_size(const struct socks5 *s)
{
	size_t n;

	if (s->len >= 1 && s->buf[0] != USER_VERSION)
		return 0;
	if (s->len < 2)
		return 2;
	n = 3u + s->buf[1];
	return s->len < n ? n : n + s->buf[n - 1];
}

static size_t request_size(const struct socks5 *s)
{
	if (s->len >= 1 && s->buf[0] != SOCKS5_VERSION)
		return 0;
	if (s->len < REQUEST_HEAD)
		return REQUEST_HEAD;
	switch (s->buf[3]) {
	case ATYP_IPV4:
		return REPLY_HEAD + 4 + 2;
	case ATYP_NAME:
		return REQUEST_HEAD + s->buf[4] + 2u;
	case ATYP_IPV6:
		return REPLY_HEAD + 16 + 2;
	}
	return REQUEST_HEAD; /* enough to refuse it */
}

static enum socks5_event on_greeting(struct socks5 *s)
{
	uint8_t method = s->auth ? METHOD_USER : METHOD_NONE;
	bool offered = memchr(s->buf + 2, method, s->buf[1]) != NULL;

	s->len = 0;
	if (!offered)
		return fail(s, REASON_FORBIDDEN);
	s->state = s->auth ? USER : REQUEST;
	return SOCKS5_GREETED;
}

/* The texts get their ends where the message has its lengths. */
static enum socks5_event on_user(struct socks5 *s)
{
	size_t n = s->buf[1], m = s->buf[2 + n];

	if (memchr(s->buf + 2, 0, n) || memchr(s->buf + 3 + n, 0, m)) {
		explicit_bzero(s->buf, sizeof(s->buf));
		return fail(s, REASON_PROXY_AUTH);
	}
	s->buf[2 + n] = 0;
	s->buf[3 + n + m] = 0;
	s->state = VERDICT;
	return SOCKS5_USER;
}

/* The address of the request as text. */
static bool read_address(struct socks5 *s)
{
	const uint8_t *p = s->buf + REPLY_HEAD;
	char *host = s->target.host;

	switch (s->buf[3]) {
	case ATYP_IPV4:
		return inet_ntop(AF_INET, p, host, sizeof(s->target.host));
	case ATYP_IPV6:
		return inet_ntop(AF_INET6, p, host, sizeof(s->target.host));
	case ATYP_NAME:
		return host_parse((const char *)p + 1, p[0], host);
	}
	return false;
}

static enum socks5_event on_request(struct socks5 *s)
{
	size_t n = s->len;

	if (s->buf[1] != CMD_CONNECT)
		return fail(s, REASON_BAD_COMMAND);
	if (!read_address(s))
		return fail(s, REASON_BAD_ADDRESS);
	s->target.port = (uint16_t)(s->buf[n - 2] << 8 | s->buf[n - 1]);
	if (s->target.port == 0)
		return fail(s, REASON_BAD_ADDRESS);
	s->state = OVER;
	return SOCKS5_DONE;
}

/* What the state waits for. */
static const struct {
	size_t (*size)(const struct socks5 *s);
	enum socks5_event (*complete)(struct socks5 *s);
} messages[] = {
	[GREETING] = {greeting_size, on_greeting},
	[USER] = {user_size, on_user},
	[REQUEST] = {request_size, on_request},
};

enum socks5_event socks5_feed(struct socks5 *s, const uint8_t **p, size_t *n)
{
	size_t want;

	while (s->state != OVER) {
		if (s->state == VERDICT)
			return SOCKS5_USER;
		want = messages[s->state].size(s);
		if (want == 0)
			return fail(s, REASON_BAD_REQUEST);
		if (s->len == want)
			return messages[s->state].complete(s);
		if (*n == 0)
			return SOCKS5_MORE;
		s->buf[s->len++] = **p;
		(*p)++;
		(*n)--;
	}
	return s->why == REASON_DONE ? SOCKS5_DONE : SOCKS5_FAILED;
}

size_t socks5_method(const struct socks5 *s, uint8_t out[SOCKS5_REPLY_MAX])
{
	out[0] = SOCKS5_VERSION;
	out[1] = s->auth ? METHOD_USER : METHOD_NONE;
	return 2;
}

void socks5_credentials(const struct socks5 *s, const char **user,
			const char **password)
{
	*user = (const char *)s->buf + 2;
	*password = *user + s->buf[1] + 1;
}

size_t socks5_admit(struct socks5 *s, uint8_t out[SOCKS5_REPLY_MAX])
{
	explicit_bzero(s->buf, sizeof(s->buf));
	s->len = 0;
	s->state = REQUEST;
	out[0] = USER_VERSION;
	out[1] = 0;
	return 2;
}

/* BND.ADDR and BND.PORT; without bound 0.0.0.0:0. Returns the length. */
static size_t write_bound(uint8_t *out, const char *bound)
{
	struct addr a = {.host = "0.0.0.0"};
	size_t n;

	if (!bound || addr_parse(bound, strlen(bound), &a) != ADDR_OK ||
	    host_family(a.host) == 0)
		a = (struct addr){.host = "0.0.0.0"};
	if (inet_pton(AF_INET, a.host, out + 1) == 1) {
		out[0] = ATYP_IPV4;
		n = 1 + 4;
	} else {
		inet_pton(AF_INET6, a.host, out + 1);
		out[0] = ATYP_IPV6;
		n = 1 + 16;
	}
	out[n] = (uint8_t)(a.port >> 8);
	out[n + 1] = (uint8_t)a.port;
	return n + 2;
}

size_t socks5_reply(uint8_t out[SOCKS5_REPLY_MAX], enum reason why,
		    const char *bound)
{
	out[0] = SOCKS5_VERSION;
	out[1] = reason_socks(why);
	out[2] = 0;
	return 3 + write_bound(out + 3, bound);
}

static size_t refuse_user(uint8_t out[SOCKS5_REPLY_MAX])
{
	out[0] = USER_VERSION;
	out[1] = 1;
	return 2;
}

size_t socks5_refuse(const struct socks5 *s, enum reason why,
		     uint8_t out[SOCKS5_REPLY_MAX])
{
	if (s->state == VERDICT)
		return refuse_user(out);
	switch (s->why) {
	case REASON_FORBIDDEN: /* the greeting */
		out[0] = SOCKS5_VERSION;
		out[1] = METHOD_NO;
		return 2;
	case REASON_PROXY_AUTH:
		return refuse_user(out);
	case REASON_DONE:
	case REASON_BAD_COMMAND:
	case REASON_BAD_ADDRESS:
		return socks5_reply(out, why, NULL);
	default:
		return 0;
	}
}
