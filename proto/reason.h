/* SPDX-License-Identifier: MIT */
/*
 * Why something ended, in one vocabulary: a reason gives the log text, the
 * number on the wire between two wsp, the SOCKS5 reply (RFC 1928 section 6),
 * the HTTP status (RFC 9110 section 15), the WebSocket close code (RFC 6455
 * section 7.4.1), the error type of Proxy-Status (RFC 9209 section 2.3) and the
 * exit code of the process. Nobody maps by hand.
 *
 *	X(NAME, wire number, SOCKS5 reply, HTTP status, close code, exit, text)
 */
#ifndef PROTO_REASON_H
#define PROTO_REASON_H

#include <stdint.h>

#define REASONS(X)                                                             \
	X(DONE, 0, 0, 200, 1000, 0, "done")                                    \
	X(INTERNAL, 1, 1, 500, 1011, 1, "internal error")                      \
	X(FORBIDDEN, 2, 2, 403, 1008, 1, "refused by a rule")                  \
	X(NET_UNREACHABLE, 3, 3, 502, 1011, 4, "network unreachable")          \
	X(HOST_UNREACHABLE, 4, 4, 502, 1011, 4, "host unreachable")            \
	X(NO_SUCH_NAME, 5, 4, 502, 1011, 4, "no such name")                    \
	X(TIMED_OUT, 6, 4, 504, 1011, 4, "timed out")                          \
	X(REFUSED, 7, 5, 502, 1011, 4, "connection refused")                   \
	X(TUNNEL_DOWN, 8, 1, 503, 1006, 4, "tunnel is down")                   \
	X(LIMIT, 9, 1, 503, 1008, 1, "limit reached")                          \
	X(NO_MEMORY, 10, 1, 503, 1011, 1, "out of memory")                     \
	X(RESET, 11, 1, 502, 1006, 1, "connection reset")                      \
	X(PROTOCOL, 12, 1, 502, 1002, 7, "protocol error")                     \
	X(STOPPING, 13, 1, 503, 1001, 0, "shutting down")                      \
	X(DEAD_PEER, 14, 1, 502, 1001, 4, "peer does not answer")              \
	X(BAD_REQUEST, 15, 1, 400, 1002, 1, "bad request")                     \
	X(BAD_COMMAND, 16, 7, 501, 1003, 1, "command not supported")           \
	X(BAD_ADDRESS, 17, 8, 400, 1003, 1, "address not supported")           \
	X(TOO_LARGE, 18, 1, 431, 1009, 1, "too large")                         \
	X(BAD_DATA, 19, 1, 400, 1007, 1, "invalid data")                       \
	X(CLOSED, 20, 1, 502, 1000, 1, "closed by the peer")                   \
	X(IO, 21, 1, 502, 1011, 1, "input/output error")                       \
	/* of the process and the tunnel, never of a stream */                 \
	X(USAGE, 22, 1, 400, 1008, 2, "wrong usage")                           \
	X(CANNOT_BIND, 23, 1, 503, 1011, 3, "cannot listen")                   \
	X(TLS, 24, 1, 502, 1011, 5, "TLS verification failed")                 \
	X(UNAUTHORIZED, 25, 1, 401, 1008, 6, "authorization refused")          \
	X(NOT_WSP, 26, 1, 502, 1002, 7, "not a wsp server")                    \
	X(BAD_METHOD, 27, 1, 405, 1002, 7, "method not allowed")               \
	X(NOT_FOUND, 28, 1, 404, 1008, 7, "not found")                         \
	X(BAD_VERSION, 29, 1, 426, 1002, 7, "version not supported")           \
	X(PROXY, 30, 1, 502, 1011, 4, "the proxy refuses")                     \
	X(PROXY_AUTH, 31, 2, 407, 1008, 1, "proxy authentication required")    \
	X(URI_TOO_LONG, 32, 1, 414, 1009, 1, "target too long")                \
	X(TOO_MUCH, 33, 1, 413, 1009, 1, "content too large")                  \
	X(BAD_ANSWER, 34, 1, 502, 1002, 1, "the origin's answer is malformed") \
	X(NETWORK, 35, 1, 503, 1001, 4, "the network has changed")

enum reason {
#define X(name, wire, socks, http, close, exit, text) REASON_##name = wire,
	REASONS(X)
#undef X
		REASON_COUNT
};

const char *reason_text(enum reason r);
/* The wire number back to a reason; unknown ones become REASON_INTERNAL. */
enum reason reason_from_wire(uint64_t n);
/* RFC 1928 section 6, 0 to 8. */
uint8_t reason_socks(enum reason r);
/* RFC 9110 section 15. */
int reason_http(enum reason r);
/* RFC 9209 section 2.3. */
const char *reason_proxy_error(enum reason r);
/* RFC 6455 section 7.4.1. */
uint16_t reason_close(enum reason r);
/* Exit code of the process. */
int reason_exit(enum reason r);

#endif
