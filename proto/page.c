/* SPDX-License-Identifier: MIT */
#include "proto/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/fields.h"

#define HEAD_ROOM 512 /* bytes of an answer's head */
#define HTML      "text/html; charset=utf-8"
#define METHODS   "CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, TRACE"

size_t page_established(char *out)
{
	return (size_t)snprintf(out, PAGE_MAX,
				"HTTP/1.1 200 Connection established\r\n\r\n");
}

/* RFC 9110 section 15. */
static const char *phrase(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 407:
		return "Proxy Authentication Required";
	case 413:
		return "Content Too Large";
	case 414:
		return "URI Too Long";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	case 502:
		return "Bad Gateway";
	case 503:
		return "Service Unavailable";
	case 504:
		return "Gateway Timeout";
	}
	return "Error";
}

size_t page_refusal(char *out, enum reason why, bool head)
{
	static const char *const ask =
		"Proxy-Authenticate: Basic realm=\"wsp\"\r\n";
	const char *text = reason_text(why);
	int status = reason_http(why);

	return (size_t)snprintf(
		out, PAGE_MAX,
		"HTTP/1.1 %d %s\r\n"
		"Content-Type: text/plain\r\n"
		"Content-Length: %zu\r\n"
		"Proxy-Status: wsp; error=%s; details=\"%s\"\r\n"
		"Connection: close\r\n"
		"%s\r\n"
		"%s%s%s",
		status, phrase(status), strlen(text) + 6,
		reason_proxy_error(why), text,
		why == REASON_PROXY_AUTH ? ask : "",
		head ? "" : "wsp: ", head ? "" : text, head ? "" : "\n");
}

/* An answer with a body of size bytes, which is given but to HEAD; more are
 * other fields, with their ends. */
static char *answer(const struct http1 *request, int status, const char *type,
		    const char *more, const char *body, size_t size, size_t *n)
{
	char *out = malloc(HEAD_ROOM + size);
	int len;

	if (!out)
		return NULL;
	len = snprintf(out, HEAD_ROOM,
		       "HTTP/1.1 %d %s\r\n"
		       "Content-Type: %s\r\n"
		       "Content-Length: %zu\r\n"
		       "Cache-Control: no-store\r\n"
		       "%s"
		       "Connection: close\r\n\r\n",
		       status, phrase(status), type, size, more);
	*n = (size_t)len;
	if (http1_is_head(request))
		return out;
	memcpy(out + len, body, size);
	*n += size;
	return out;
}

static char *not_here(const struct http1 *request, size_t *n)
{
	static const char body[] =
		"wsp: this is a proxy, and not a web site: it takes requests\n"
		"for \"http://HOST/...\" and CONNECT. Its page is /, the\n"
		"browser's configuration /proxy.pac.\n";

	return answer(request, 400, "text/plain",
		      "Proxy-Status: wsp; error=http_request_error\r\n", body,
		      sizeof(body) - 1, n);
}

/* Names without a dot and this machine are reached directly: to the server
 * they would mean something else. */
static char *pac(const struct http1 *request, const char *at, size_t *n)
{
	char body[1024];
	int size = snprintf(body, sizeof(body),
			    "function FindProxyForURL(url, host) {\n"
			    "\tif (isPlainHostName(host) ||\n"
			    "\t    shExpMatch(host, \"127.*\") ||\n"
			    "\t    host == \"[::1]\" || host == \"::1\")\n"
			    "\t\treturn \"DIRECT\";\n"
			    "\treturn \"PROXY %s\";\n"
			    "}\n",
			    at);

	return answer(request, 200, "application/x-ns-proxy-autoconfig", "",
		      body, (size_t)size, n);
}

static char *help(const struct http1 *request, const char *at, size_t *n)
{
	char body[2048];
	int size = snprintf(
		body, sizeof(body),
		"<!DOCTYPE html>\n"
		"<title>wsp: an HTTP proxy</title>\n"
		"<h1>This is an HTTP proxy</h1>\n"
		"<p>It is not a web site: set it as the proxy of a program.\n"
		"<ul>\n"
		"<li>Firefox: Settings, Network Settings, automatic proxy\n"
		"configuration URL: <code>http://%s/proxy.pac</code>\n"
		"<li>Chromium: <code>chromium --proxy-server=%s</code>\n"
		"<li>curl: <code>curl -x http://%s http://example.com/</code>\n"
		"<li>Shells: <code>export http_proxy=http://%s "
		"https_proxy=http://%s</code>\n"
		"</ul>\n",
		at, at, at, at, at);

	return answer(request, 200, HTML, "", body, (size_t)size, n);
}

/* RFC 9110 section 9.3.8: without what must not be shown. */
static char *trace(const struct http1 *request, size_t *n)
{
	const struct head *head = http1_fields(request);
	struct span first = head_first(head), name, value;
	size_t at = 0, len = 0;
	char *out, *body = malloc(head->len + HEAD_FIELDS_MAX + 2);

	if (!body)
		return NULL;
	len = (size_t)sprintf(body, "%.*s\r\n", (int)first.n, first.p);
	while (head_next(head, &at, &name, &value))
		if (!span_is(name, "authorization") &&
		    !span_is(name, "cookie") && !span_starts(name, "proxy-"))
			len += (size_t)sprintf(body + len, "%.*s: %.*s\r\n",
					       (int)name.n, name.p,
					       (int)value.n, value.p);
	out = answer(request, 200, "message/http", "", body, len, n);
	free(body);
	return out;
}

static bool is_path(struct span uri, const char *path)
{
	struct span query;

	span_cut(&uri, '?', &query);
	return span_is(uri, path);
}

char *page_local(const struct http1 *request, const char *at, size_t *n)
{
	struct span uri = http1_uri(request);
	struct span method = http1_method(request);

	if (span_is(method, "TRACE"))
		return trace(request, n);
	if (span_is(method, "OPTIONS"))
		return answer(request, 200, "text/plain",
			      "Allow: " METHODS "\r\n", "", 0, n);
	/* a Unix socket is nothing that a browser could be told */
	if (!*at || (!span_is(method, "GET") && !span_is(method, "HEAD")))
		return not_here(request, n);
	if (is_path(uri, "/proxy.pac") || is_path(uri, "/wpad.dat"))
		return pac(request, at, n);
	if (is_path(uri, "/"))
		return help(request, at, n);
	return not_here(request, n);
}
