/* SPDX-License-Identifier: MIT */
#include "proto/reason.h"

struct row {
	uint8_t socks;
	uint8_t exit;
	uint16_t http;
	uint16_t close;
	const char *text;
};

static const struct row rows[REASON_COUNT] = {
#define X(name, wire, socks_, http_, close_, exit_, text_) \
	[REASON_##name] = {.socks = (socks_),              \
			   .exit = (exit_),                \
			   .http = (http_),                \
			   .close = (close_),              \
			   .text = (text_)},
	REASONS(X)
#undef X
};

const char *reason_text(enum reason r)
{
	return rows[r].text;
}

enum reason reason_from_wire(uint64_t n)
{
	return n <= REASON_IO ? (enum reason)n : REASON_INTERNAL;
}

uint8_t reason_socks(enum reason r)
{
	return rows[r].socks;
}

int reason_http(enum reason r)
{
	return rows[r].http;
}

uint16_t reason_close(enum reason r)
{
	return rows[r].close;
}

int reason_exit(enum reason r)
{
	return rows[r].exit;
}
