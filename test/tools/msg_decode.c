/* SPDX-License-Identifier: MIT */
/* msg_decode: what proto/msg.c makes of messages, for test/interop/
 * test_protobuf.py. Standard input has for each a byte for its kind (m, q, s,
 * c), four for its length, the lowest first, and the message; a line of fields
 * goes out for each, bytes in hex, or "bad". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/msg.h"

#define MOST (1 << 20)

static void put_hex(const uint8_t *p, size_t n)
{
	putchar(' ');
	if (n == 0)
		putchar('-');
	while (n--)
		printf("%02x", *p++);
}

static void put_text(const char *text)
{
	put_hex((const uint8_t *)text, strlen(text));
}

static void show_message(const uint8_t *p, size_t n)
{
	const uint8_t *slice, *data = NULL;
	enum msg_event e;
	size_t len, all = 0;
	struct msg_in m;

	msg_in_init(&m);
	while ((e = msg_feed(&m, &p, &n, true, &slice, &len)) > 0 &&
	       e != MSG_END)
		if (e == MSG_DATA) {
			data = slice; /* of a whole message: all of it */
			all = len;
		}
	if (e != MSG_END) {
		puts("bad");
		return;
	}
	printf("%" PRId32, m.cmd);
	put_hex(m.id, m.id_len);
	put_hex(data, all);
	putchar('\n');
}

static void show_request(const uint8_t *p, size_t n)
{
	WspRequest req;

	if (!msg_parse_request(p, n, &req)) {
		puts("bad");
		return;
	}
	printf("%d", (int)req.type);
	put_text(req.data);
	putchar('\n');
}

static void show_response(const uint8_t *p, size_t n)
{
	WspResponse res;
	enum reason why;

	if (!msg_parse_response(p, n, &res, &why)) {
		puts("bad");
		return;
	}
	printf("%d", (int)res.code);
	put_text(res.data);
	printf(" %" PRIu32, res.reason);
	put_text(res.bound);
	putchar('\n');
}

static void show(int kind, const uint8_t *p, size_t n)
{
	uint32_t bytes;

	switch (kind) {
	case 'm':
		show_message(p, n);
		break;
	case 'q':
		show_request(p, n);
		break;
	case 's':
		show_response(p, n);
		break;
	case 'c':
		if (msg_parse_credit(p, n, &bytes))
			printf("%" PRIu32 "\n", bytes);
		else
			puts("bad");
		break;
	default:
		puts("bad");
	}
}

int main(void)
{
	uint8_t head[5], *p;
	size_t n;

	while (fread(head, sizeof(head), 1, stdin) == 1) {
		n = head[1] | (size_t)head[2] << 8 | (size_t)head[3] << 16 |
		    (size_t)head[4] << 24;
		p = n <= MOST ? malloc(n + 1) : NULL;
		if (!p || (n && fread(p, n, 1, stdin) != 1))
			return 1;
		show(head[0], p, n);
		free(p);
	}
	return 0;
}
