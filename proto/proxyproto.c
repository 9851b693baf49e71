/* SPDX-License-Identifier: MIT */
#include "proto/proxyproto.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include "proto/cidr.h"

#define V1_SHORTEST 15 /* "PROXY UNKNOWN\r\n" */
#define V2_HEAD     16 /* signature, version and command, family, length */
#define V2_TCP4     12 /* two addresses, two ports */
#define V2_TCP6     36
#define CMD_LOCAL   0x20
#define CMD_PROXY   0x21

static const uint8_t prefix[] = {'P', 'R', 'O', 'X', 'Y', ' '};
static const uint8_t signature[] = {'\r', '\n', '\r', '\n', 0,   '\r',
				    '\n', 'Q',  'U',  'I',  'T', '\n'};

void proxyproto_init(struct proxyproto *p)
{
	memset(p, 0, sizeof(*p));
}

/* An IPv4 address inside an IPv6 one is the former, as in all log lines. */
static void set_from(struct proxyproto *p, const uint8_t ip[16], uint16_t port)
{
	cidr_format_ip(ip, p->from.host);
	p->from.port = port;
}

/* Version 1. */

/* The next word, which ends with a blank or the line. */
static size_t next_word(const char **p, const char **word)
{
	size_t n = strcspn(*p, " ");

	*word = *p;
	*p += n + ((*p)[n] == ' ');
	return n;
}

/* Without a sign or leading zeros. */
static bool read_port(const char *p, size_t n, uint16_t *out)
{
	uint32_t v = 0;

	if (n == 0 || n > 5 || (n > 1 && *p == '0'))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return false;
		v = v * 10 + (uint32_t)(p[i] - '0');
	}
	*out = (uint16_t)v;
	return v <= UINT16_MAX;
}

/* Two addresses of the family, two ports, single blanks between them. */
static enum proxyproto_state read_tcp(struct proxyproto *p, const char *line,
				      bool v6)
{
	uint8_t ip[2][16];
	uint16_t port[2];
	const char *word;
	size_t n;

	for (int i = 0; i < 2; i++) {
		n = next_word(&line, &word);
		if (!cidr_parse_ip(word, n, ip[i]) ||
		    v6 != !!memchr(word, ':', n))
			return PROXYPROTO_FAILED;
	}
	for (int i = 0; i < 2; i++) {
		n = next_word(&line, &word);
		if (!read_port(word, n, &port[i]))
			return PROXYPROTO_FAILED;
	}
	if (*line || line[-1] == ' ')
		return PROXYPROTO_FAILED;
	set_from(p, ip[0], port[0]);
	return PROXYPROTO_DONE;
}

static enum proxyproto_state read_line(struct proxyproto *p)
{
	const char *line = (const char *)p->buf + sizeof(prefix), *word;
	size_t n;

	p->buf[p->len - 2] = 0;
	n = next_word(&line, &word);
	if (n == 7 && memcmp(word, "UNKNOWN", n) == 0)
		return PROXYPROTO_DONE;
	if (n == 4 && memcmp(word, "TCP4", n) == 0)
		return read_tcp(p, line, false);
	if (n == 4 && memcmp(word, "TCP6", n) == 0)
		return read_tcp(p, line, true);
	return PROXYPROTO_FAILED;
}

static enum proxyproto_state take_v1(struct proxyproto *p, uint8_t c)
{
	bool cr = p->len > sizeof(prefix) && p->buf[p->len - 1] == '\r';

	if (p->len == PROXYPROTO_LINE_MAX)
		return PROXYPROTO_FAILED;
	if (p->len < sizeof(prefix) ? c != prefix[p->len]
	    : cr                    ? c != '\n'
				    : (c < ' ' && c != '\r') || c > '~')
		return PROXYPROTO_FAILED;
	p->buf[p->len++] = c;
	return cr ? read_line(p) : PROXYPROTO_MORE;
}

/* Version 2. */

/* Bytes of the addresses that count; 0: none does. */
static size_t v2_addresses(const struct proxyproto *p)
{
	if (p->buf[12] != CMD_PROXY)
		return 0;
	return p->buf[13] == 0x11 ? V2_TCP4 : p->buf[13] == 0x21 ? V2_TCP6 : 0;
}

static enum proxyproto_state finish_v2(struct proxyproto *p)
{
	const uint8_t *at = p->buf + V2_HEAD;
	size_t n = v2_addresses(p);
	uint8_t ip[16];

	if (n == V2_TCP4) {
		cidr_map_v4(ip, at);
		at += 8;
	} else if (n == V2_TCP6) {
		memcpy(ip, at, 16);
		at += 32;
	}
	if (n)
		set_from(p, ip, (uint16_t)(at[0] << 8 | at[1]));
	return PROXYPROTO_DONE;
}

/* The first 16 bytes are there. */
static enum proxyproto_state check_v2(struct proxyproto *p)
{
	uint8_t command = p->buf[12], family = p->buf[13];

	p->left = (size_t)(p->buf[14] << 8 | p->buf[15]);
	if ((command != CMD_LOCAL && command != CMD_PROXY) || family >> 4 > 3 ||
	    (family & 15) > 2 || p->left < v2_addresses(p))
		return PROXYPROTO_FAILED;
	return p->left ? PROXYPROTO_MORE : finish_v2(p);
}

static enum proxyproto_state take_v2(struct proxyproto *p, uint8_t c)
{
	if (p->len < sizeof(signature) && c != signature[p->len])
		return PROXYPROTO_FAILED;
	if (p->len < V2_HEAD) {
		p->buf[p->len++] = c;
		return p->len == V2_HEAD ? check_v2(p) : PROXYPROTO_MORE;
	}
	if (p->len < V2_HEAD + V2_TCP6)
		p->buf[p->len++] = c;
	p->left--;
	return p->left ? PROXYPROTO_MORE : finish_v2(p);
}

/* Both. */

static bool is_v2(const struct proxyproto *p, uint8_t first)
{
	return (p->len ? p->buf[0] : first) == signature[0];
}

size_t proxyproto_want(const struct proxyproto *p)
{
	if (p->len && is_v2(p, 0))
		return p->len < V2_HEAD ? V2_HEAD - p->len : p->left;
	if (p->len < V1_SHORTEST)
		return V1_SHORTEST - p->len;
	return p->buf[p->len - 1] == '\r' ? 1 : 2;
}

enum proxyproto_state proxyproto_feed(struct proxyproto *p, const uint8_t *in,
				      size_t n, size_t *used)
{
	enum proxyproto_state state = PROXYPROTO_MORE;

	for (*used = 0; *used < n && state == PROXYPROTO_MORE; (*used)++)
		state = is_v2(p, *in) ? take_v2(p, in[*used])
				      : take_v1(p, in[*used]);
	return state;
}
