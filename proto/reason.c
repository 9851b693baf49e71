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

/* Those that are not here are faults of ours. */
static const char *const proxy_errors[REASON_COUNT] = {
	[REASON_FORBIDDEN] = "http_request_denied",
	[REASON_NET_UNREACHABLE] = "destination_ip_unroutable",
	[REASON_HOST_UNREACHABLE] = "destination_ip_unroutable",
	[REASON_NO_SUCH_NAME] = "dns_error",
	[REASON_TIMED_OUT] = "connection_timeout",
	[REASON_REFUSED] = "connection_refused",
	[REASON_TUNNEL_DOWN] = "destination_unavailable",
	[REASON_LIMIT] = "connection_limit_reached",
	[REASON_RESET] = "connection_terminated",
	[REASON_PROTOCOL] = "http_protocol_error",
	[REASON_STOPPING] = "destination_unavailable",
	[REASON_DEAD_PEER] = "connection_terminated",
	[REASON_BAD_REQUEST] = "http_request_error",
	[REASON_BAD_COMMAND] = "http_request_error",
	[REASON_BAD_ADDRESS] = "http_request_error",
	[REASON_TOO_LARGE] = "http_request_error",
	[REASON_CLOSED] = "http_response_incomplete",
	[REASON_PROXY_AUTH] = "http_request_denied",
	[REASON_URI_TOO_LONG] = "http_request_error",
	[REASON_TOO_MUCH] = "http_request_error",
	[REASON_BAD_ANSWER] = "http_protocol_error",
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

const char *reason_proxy_error(enum reason r)
{
	return proxy_errors[r] ? proxy_errors[r] : "proxy_internal_error";
}

uint16_t reason_close(enum reason r)
{
	return rows[r].close;
}

int reason_exit(enum reason r)
{
	return rows[r].exit;
}
