/* SPDX-License-Identifier: MIT */
#include "proto/socks4.h"

#include <arpa/inet.h>
#include <string.h>

#define CD_CONNECT  1
#define CD_GRANTED  90
#define CD_REJECTED 91
#define USER_MAX    512 /* bytes of a user's name */

enum state { HEAD, USER, NAME, OVER };

void socks4_init(struct socks4 *s)
{
	memset(s, 0, sizeof(*s));
}

static void fail(struct socks4 *s, enum reason why)
{
	s->state = OVER;
	s->why = why;
}

/* 4a: 0.0.0.x with x not 0 says that a name follows. */
static bool has_name(const struct socks4 *s)
{
	const uint8_t *ip = s->head + 4;

	return ip[0] == 0 && ip[1] == 0 && ip[2] == 0 && ip[3] != 0;
}

static void on_head(struct socks4 *s)
{
	s->target.port = (uint16_t)(s->head[2] << 8 | s->head[3]);
	s->len = 0;
	s->state = USER;
	if (s->head[0] != SOCKS4_VERSION)
		fail(s, REASON_BAD_REQUEST);
	else if (s->head[1] != CD_CONNECT)
		fail(s, REASON_BAD_COMMAND);
	else if (s->target.port == 0)
		fail(s, REASON_BAD_ADDRESS);
}

static void on_user(struct socks4 *s)
{
	s->len = 0;
	s->state = has_name(s) ? NAME : OVER;
	if (!has_name(s))
		inet_ntop(AF_INET, s->head + 4, s->target.host,
			  sizeof(s->target.host));
}

static void on_name(struct socks4 *s)
{
	s->state = OVER;
	if (!host_parse(s->name, s->len, s->target.host))
		fail(s, REASON_BAD_ADDRESS);
}

static void take(struct socks4 *s, uint8_t c)
{
	switch ((enum state)s->state) {
	case HEAD:
		s->head[s->len++] = c;
		if (s->head[0] != SOCKS4_VERSION || s->len == sizeof(s->head))
			on_head(s);
		break;
	case USER:
		if (c == 0)
			on_user(s);
		else if (++s->len > USER_MAX)
			fail(s, REASON_BAD_REQUEST);
		break;
	case NAME:
		if (c == 0)
			on_name(s);
		else if (s->len == HOST_MAX)
			fail(s, REASON_BAD_ADDRESS);
		else
			s->name[s->len++] = (char)c;
		break;
	case OVER:
		break;
	}
}

enum socks4_event socks4_feed(struct socks4 *s, const uint8_t **p, size_t *n)
{
	while (s->state != OVER) {
		if (*n == 0)
			return SOCKS4_MORE;
		take(s, **p);
		(*p)++;
		(*n)--;
	}
	return s->why == REASON_DONE ? SOCKS4_DONE : SOCKS4_FAILED;
}

size_t socks4_reply(uint8_t out[SOCKS4_REPLY_MAX], enum reason why,
		    const char *bound)
{
	struct addr a;

	memset(out, 0, SOCKS4_REPLY_MAX);
	out[1] = why == REASON_DONE ? CD_GRANTED : CD_REJECTED;
	if (bound && addr_parse(bound, strlen(bound), &a) == ADDR_OK &&
	    inet_pton(AF_INET, a.host, out + 4) == 1) {
		out[2] = (uint8_t)(a.port >> 8);
		out[3] = (uint8_t)a.port;
	}
	return SOCKS4_REPLY_MAX;
}
