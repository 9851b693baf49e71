/* SPDX-License-Identifier: MIT */
/*
 * Hosts and ports as users and peers write them, and URLs of servers and
 * targets. Nothing is resolved here.
 *
 * A host is an IPv4 or IPv6 address as inet_pton(3) knows it (canonical form
 * is kept, IPv6 without brackets or zone), or a name: 1 to 253 bytes of
 * letters, digits, '-', '_' and '.', labels of 1 to 63 bytes, one trailing
 * dot allowed. What looks numeric and is no address (127.1, 0x7f000001,
 * 2130706433, 0177.0.0.1, 1.2.3.4.5, 1.2.3.4.) is refused: no last label of
 * a name is all digits or starts with 0x (trust.md 3.7).
 */
#ifndef PROTO_ADDR_H
#define PROTO_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOST_MAX      253            /* bytes of a name, RFC 1035 2.3.4 */
#define ADDR_TEXT_MAX (HOST_MAX + 9) /* "[host]:65535" and the final 0 */
#define PATH_MAX_LEN  1024

#define ADDR_UNIX_MAX 107 /* bytes of the path of a Unix socket, unix(7) */

struct addr {
	char host[HOST_MAX + 1]; /* "" where the grammar allows none */
	uint16_t port;
};

enum addr_err {
	ADDR_OK = 0,
	ADDR_EHOST = -1, /* neither an address nor a name */
	ADDR_EPORT = -2, /* missing or not 0 to 65535 */
	ADDR_EFORM = -3, /* brackets, rubbish, too long */
	ADDR_ESCHEME = -4,
	ADDR_EPATH = -5,
};

const char *addr_strerror(enum addr_err err);

/* Is this a host? Copies its canonical form (lower case) to out if not NULL,
 * which has HOST_MAX + 1 bytes. n bytes at p, no final 0 needed. */
bool host_parse(const char *p, size_t n, char *out);
/* Is the host an address literal? 4, 6 or 0. */
int host_family(const char *host);

/* "HOST:PORT", "[IPV6]:PORT": a target. Port 1 to 65535 is required. */
enum addr_err addr_parse(const char *p, size_t n, struct addr *out);
/* What a listener is given: "PORT", ":PORT", "*:PORT", "HOST:PORT",
 * "[IPV6]:PORT". "PORT" alone leaves host as it is in *out, so the caller
 * sets the default first; ":PORT" and "*:PORT" make host "*". Port 0 is
 * allowed. Or "unix:PATH", "unix:@NAME": all of it becomes the host, with port
 * 0. */
enum addr_err addr_parse_listen(const char *p, struct addr *out);
/* What is behind "unix:" in the address of a listener; NULL: it is TCP's. */
const char *addr_unix(const struct addr *a);
/* "host:port", "[v6]:port" or "unix:PATH"; out has ADDR_TEXT_MAX bytes. Returns
 * out. */
char *addr_format(const struct addr *a, char *out);
/* Is it an address of the loopback (127.0.0.0/8, ::1) or "localhost", or a Unix
 * socket? */
bool host_is_loopback(const char *host);

/* The server, as --server takes it: "ws://host[:port][/path]", "wss://",
 * "http://" (ws), "https://" (wss), "host", "host:port" (ws). Default ports
 * 80 and 443, default path "/"; a query stays in path; userinfo and
 * fragments are refused. */
struct server_url {
	bool tls;
	struct addr addr;
	char path[PATH_MAX_LEN];
};
enum addr_err server_url_parse(const char *text, struct server_url *out);
/* "wss://host:port/path"; returns out. */
char *server_url_format(const struct server_url *u, char *out, size_t size);

/* Somebody else's proxy: "http://user:password@host:port", "https://" (TLS to
 * the proxy), "socks5://" or "socks5h://"; the scheme, the user
 * (percent-escaped) and the port (1080, for https 443) may be left out, as curl
 * has it. */
#define PROXY_SECRET_MAX 256

struct proxy_url {
	bool socks;
	bool tls; /* to the proxy itself */
	struct addr addr;
	char user[PROXY_SECRET_MAX]; /* "": none */
	char password[PROXY_SECRET_MAX];
};
enum addr_err proxy_url_parse(const char *text, struct proxy_url *out);
/* "https://host:port", without the secret; returns out. */
char *proxy_url_format(const struct proxy_url *u, char *out, size_t size);

/* The target of a CONNECT: "tcp://host:port" of ours; gowsp writes
 * "socks5://" and "http://", and may percent-escape the host. Path, query and
 * userinfo are ignored. Any other scheme: ADDR_ESCHEME. */
enum addr_err target_parse(const char *p, size_t n, struct addr *out);
/* "tcp://host:port"; out has ADDR_TEXT_MAX + 6 bytes. Returns out. */
char *target_format(const struct addr *a, char *out);

#endif
