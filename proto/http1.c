/* SPDX-License-Identifier: MIT */
#include "proto/http1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <llhttp.h>
#include <mbedtls/base64.h>

#include "proto/token.h"

#define FIRST_SIZE 2048 /* of the head's buffer, which doubles */
#define LISTED_MAX 16   /* names in Connection fields */

struct span {
	const char *p;
	size_t n;
};

struct http1 {
	llhttp_t parser; /* a second opinion on the head, then the body */
	llhttp_settings_t settings;
	llhttp_t reply; /* of the origin */
	llhttp_settings_t reply_settings;
	char *raw; /* the head as it came */
	size_t len, size;
	uint8_t *out; /* the head for the target */
	size_t out_len;
	struct addr target;
	struct span method, uri, version;
	struct span listed[LISTED_MAX]; /* by Connection */
	int nlisted;
	const char *auth;
	bool authorized;
	bool connect;
	bool upgrade;  /* what follows may be another protocol */
	bool complete; /* the body has ended */
	bool broken;
	bool granted; /* what follows is another protocol */
	bool opaque;  /* the reply is not what llhttp takes */
	bool over;    /* the reply has ended */
	bool has_host;
	enum reason why;
};

/* Spans. */

static bool is(struct span s, const char *word)
{
	return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

static bool starts(struct span s, const char *word)
{
	return s.n >= strlen(word) && strncasecmp(s.p, word, strlen(word)) == 0;
}

static bool same(struct span a, struct span b)
{
	return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct span trim(struct span s)
{
	while (s.n && is_blank(*s.p)) {
		s.p++;
		s.n--;
	}
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Cut s at the first c; the rest goes to *rest. False: there is no c. */
static bool cut(struct span *s, char c, struct span *rest)
{
	const char *at = memchr(s->p, c, s->n);

	if (!at)
		return false;
	rest->p = at + 1;
	rest->n = s->n - (size_t)(at - s->p) - 1;
	s->n = (size_t)(at - s->p);
	return true;
}

/* The next element of a list (RFC 9110 section 5.6.1). */
static bool next_element(struct span *list, struct span *out)
{
	struct span rest = {list->p, 0};

	while (list->n) {
		*out = *list;
		rest = (struct span){list->p + list->n, 0};
		cut(out, ',', &rest);
		*list = rest;
		*out = trim(*out);
		if (out->n)
			return true;
	}
	return false;
}

/* llhttp's events. */

static int on_complete(llhttp_t *p)
{
	struct http1 *h = p->data;

	h->complete = true;
	return HPE_PAUSED;
}

/* RFC 9112 section 6.3: an answer to HEAD has no body, nor have these. */
static int on_reply_head(llhttp_t *p)
{
	struct http1 *h = p->data;

	if (p->status_code == 101) {
		h->granted = h->upgrade;
		return 2;
	}
	return is(h->method, "HEAD") || p->status_code == 204 ||
	       p->status_code == 304;
}

/* RFC 9110 section 15.2: 1xx come before the answer. */
static int on_reply_complete(llhttp_t *p)
{
	struct http1 *h = p->data;

	if (p->status_code < 200)
		return 0;
	h->over = true;
	return HPE_PAUSED;
}

/* Life. */

struct http1 *http1_new(const char *auth)
{
	struct http1 *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	llhttp_settings_init(&h->settings);
	h->settings.on_message_complete = on_complete;
	llhttp_init(&h->parser, HTTP_REQUEST, &h->settings);
	h->parser.data = h;
	h->auth = auth;
	llhttp_settings_init(&h->reply_settings);
	h->reply_settings.on_headers_complete = on_reply_head;
	h->reply_settings.on_message_complete = on_reply_complete;
	llhttp_init(&h->reply, HTTP_RESPONSE, &h->reply_settings);
	h->reply.data = h;
	return h;
}

void http1_free(struct http1 *h)
{
	if (!h)
		return;
	free(h->raw);
	free(h->out);
	free(h);
}

/* Looking at the head. */

/* A field line without its CRLF (RFC 9112 section 5). */
static bool split_field(struct span line, struct span *name, struct span *value)
{
	*name = line;
	if (!cut(name, ':', value) || name->n == 0 || is_blank(name->p[0]) ||
	    is_blank(name->p[name->n - 1]))
		return false;
	*value = trim(*value);
	return true;
}

/* The next line of the head; the request line is the first. */
static bool next_line(struct span *rest, struct span *line)
{
	const char *end = memchr(rest->p, '\r', rest->n);

	if (!end || end == rest->p)
		return false;
	line->p = rest->p;
	line->n = (size_t)(end - rest->p);
	rest->p = end + 2;
	rest->n -= line->n + 2;
	return true;
}

/* RFC 9110 section 7.6.1: what Connection lists is for us. Framing and Host
 * are not: a request that says so means to deceive. */
static bool take_connection(struct http1 *h, struct span value)
{
	struct span word;

	while (next_element(&value, &word)) {
		if (is(word, "content-length") ||
		    is(word, "transfer-encoding") || is(word, "host"))
			return false;
		if (h->nlisted == LISTED_MAX)
			return false;
		h->listed[h->nlisted++] = word;
	}
	return true;
}

/* RFC 7617 section 2. */
static bool is_authorized(const char *auth, struct span value)
{
	unsigned char pair[512];
	size_t n;

	if (!starts(value, "basic "))
		return false;
	value = trim((struct span){value.p + 6, value.n - 6});
	if (mbedtls_base64_decode(pair, sizeof(pair) - 1, &n,
				  (const unsigned char *)value.p, value.n))
		return false;
	pair[n] = 0;
	return token_equal(auth, (const char *)pair);
}

struct framing {
	int hosts, lengths, codings;
	bool upgrade;
};

static bool look_at_field(struct http1 *h, struct framing *f, struct span name,
			  struct span value)
{
	if (is(name, "host"))
		f->hosts++;
	else if (is(name, "content-length"))
		f->lengths++;
	else if (is(name, "upgrade"))
		f->upgrade = true;
	else if (is(name, "proxy-authorization"))
		h->authorized = h->auth && is_authorized(h->auth, value);
	else if (is(name, "connection"))
		return take_connection(h, value);
	else if (is(name, "transfer-encoding")) {
		f->codings++;
		return is(value, "chunked");
	}
	return true;
}

static bool lists(const struct http1 *h, const char *word)
{
	for (int i = 0; i < h->nlisted; i++)
		if (is(h->listed[i], word))
			return true;
	return false;
}

static bool look_at_fields(struct http1 *h, struct span rest)
{
	struct framing f = {.hosts = 0};
	struct span line, name, value;
	bool v10 = is(h->version, "HTTP/1.0");

	while (next_line(&rest, &line))
		if (!split_field(line, &name, &value) ||
		    !look_at_field(h, &f, name, value))
			return false;
	if (f.hosts > 1 || (f.hosts == 0 && !v10) || f.lengths > 1 ||
	    f.codings > 1 || (f.lengths && f.codings) || (f.codings && v10))
		return false;
	h->upgrade = f.upgrade && lists(h, "upgrade") && !v10;
	return true;
}

/* "METHOD target HTTP/1.x", one blank each (RFC 9112 section 3). */
static bool split_request_line(struct http1 *h, struct span line)
{
	h->method = line;
	if (!cut(&h->method, ' ', &h->uri) || !cut(&h->uri, ' ', &h->version))
		return false;
	return h->method.n && h->uri.n &&
	       (is(h->version, "HTTP/1.1") || is(h->version, "HTTP/1.0"));
}

/* RFC 9112 section 3.2.2. uri becomes what the target is asked for. */
static enum reason read_absolute(struct http1 *h)
{
	struct span u = h->uri;
	char host[ADDR_TEXT_MAX];
	size_t n = 0;

	if (!starts(u, "http://"))
		return starts(u, "https://") ? REASON_BAD_COMMAND
					     : REASON_BAD_REQUEST;
	u.p += 7;
	u.n -= 7;
	while (n < u.n && u.p[n] != '/' && u.p[n] != '?')
		n++;
	if (n == 0 || n + 4 > sizeof(host) || memchr(u.p, '#', u.n) ||
	    memchr(u.p, '@', n))
		return REASON_BAD_REQUEST;
	memcpy(host, u.p, n);
	/* the port may be left out */
	if (addr_parse(host, n, &h->target) == ADDR_EPORT) {
		if (host[n - 1] == ':')
			n--;
		memcpy(host + n, ":80", 3);
		n += 3;
	}
	if (addr_parse(host, n, &h->target) != ADDR_OK)
		return REASON_BAD_ADDRESS;
	n = 0;
	while (n < u.n && u.p[n] != '/' && u.p[n] != '?')
		n++;
	h->uri = (struct span){u.p + n, u.n - n};
	return REASON_DONE;
}

static enum reason read_target(struct http1 *h)
{
	h->connect = is(h->method, "CONNECT") && h->method.p[0] == 'C';
	if (!h->connect)
		return read_absolute(h);
	return addr_parse(h->uri.p, h->uri.n, &h->target) == ADDR_OK
		       ? REASON_DONE
		       : REASON_BAD_ADDRESS;
}

/* Writing the head for the target. */

static void put(struct http1 *h, const char *p, size_t n)
{
	memcpy(h->out + h->out_len, p, n);
	h->out_len += n;
}

static void put_text(struct http1 *h, const char *text)
{
	put(h, text, strlen(text));
}

static bool is_for_us(const struct http1 *h, struct span name)
{
	if (is(name, "upgrade"))
		return !h->upgrade;
	if (is(name, "host") || is(name, "connection") ||
	    is(name, "keep-alive") || is(name, "te") || starts(name, "proxy-"))
		return true;
	for (int i = 0; i < h->nlisted; i++)
		if (same(name, h->listed[i]))
			return true;
	return false;
}

/* "/path?query" in all its short forms. */
static void put_uri(struct http1 *h)
{
	if (h->uri.n == 0 && is(h->method, "OPTIONS"))
		put_text(h, "*");
	else if (h->uri.n == 0 || h->uri.p[0] == '?')
		put_text(h, "/");
	put(h, h->uri.p, h->uri.n);
}

static void put_host(struct http1 *h)
{
	char text[ADDR_TEXT_MAX];
	size_t n = strlen(addr_format(&h->target, text));

	if (h->target.port == 80)
		n -= 3;
	put_text(h, "Host: ");
	put(h, text, n);
	put_text(h, "\r\n");
}

static bool write_head(struct http1 *h, struct span rest)
{
	struct span line, name, value;

	/* a line of four bytes, "a:\r\n", may become one of five */
	h->out = malloc(2 * h->len + ADDR_TEXT_MAX + 128);
	if (!h->out)
		return false;
	put(h, h->method.p, h->method.n);
	put_text(h, " ");
	put_uri(h);
	put_text(h, " ");
	put(h, h->version.p, h->version.n);
	put_text(h, "\r\n");
	put_host(h);
	while (next_line(&rest, &line)) {
		if (!split_field(line, &name, &value) || is_for_us(h, name))
			continue;
		put(h, name.p, name.n);
		put_text(h, ": ");
		put(h, value.p, value.n);
		put_text(h, "\r\n");
	}
	put_text(h, h->upgrade ? "Connection: Upgrade\r\n\r\n"
			       : "Connection: close\r\n\r\n");
	return true;
}

/* The head is complete. */
static enum reason finish(struct http1 *h)
{
	struct span rest = {h->raw, h->len}, line;
	enum llhttp_errno err = llhttp_execute(&h->parser, h->raw, h->len);
	enum reason why;

	if (err != HPE_OK && err != HPE_PAUSED && err != HPE_PAUSED_UPGRADE)
		return REASON_BAD_REQUEST;
	if (!next_line(&rest, &line) || !split_request_line(h, line) ||
	    !look_at_fields(h, rest))
		return REASON_BAD_REQUEST;
	/* llhttp must have seen the same: a body, another protocol, or none */
	if (err == HPE_PAUSED_UPGRADE &&
	    !(h->upgrade || is(h->method, "CONNECT")))
		return REASON_BAD_REQUEST;
	if (h->auth && !h->authorized)
		return REASON_PROXY_AUTH;
	why = read_target(h);
	if (why == REASON_DONE && !h->connect && !write_head(h, rest))
		return REASON_NO_MEMORY;
	return why;
}

static bool grow(struct http1 *h)
{
	size_t size = h->size ? 2 * h->size : FIRST_SIZE;
	char *p;

	if (h->len < h->size)
		return true;
	p = realloc(h->raw, size);
	if (!p)
		return false;
	h->raw = p;
	h->size = size;
	return true;
}

/* RFC 9112 section 2.2: lines end with CRLF, and with nothing else. */
static bool is_allowed(const struct http1 *h, char c)
{
	bool after_cr = h->len && h->raw[h->len - 1] == '\r';

	return c != 0 && after_cr == (c == '\n') && !(h->len == 0 && c == '\r');
}

static bool is_end(const struct http1 *h)
{
	return h->len >= 4 && memcmp(h->raw + h->len - 4, "\r\n\r\n", 4) == 0;
}

static enum reason take(struct http1 *h, char c)
{
	if (h->len == HTTP1_HEAD_MAX)
		return REASON_TOO_LARGE;
	if (!is_allowed(h, c))
		return REASON_BAD_REQUEST;
	if (!grow(h))
		return REASON_NO_MEMORY;
	h->raw[h->len++] = c;
	return REASON_DONE;
}

enum http1_state http1_feed(struct http1 *h, const uint8_t *p, size_t n,
			    size_t *used)
{
	*used = 0;
	while (*used < n && h->why == REASON_DONE) {
		h->why = take(h, (char)p[(*used)++]);
		if (h->why == REASON_DONE && is_end(h)) {
			h->why = finish(h);
			if (h->why == REASON_DONE)
				return HTTP1_DONE;
		}
	}
	return h->why == REASON_DONE ? HTTP1_MORE : HTTP1_FAILED;
}

enum reason http1_why(const struct http1 *h)
{
	return h->why;
}

bool http1_is_connect(const struct http1 *h)
{
	return h->connect;
}

const struct addr *http1_target(const struct http1 *h)
{
	return &h->target;
}

const uint8_t *http1_head(const struct http1 *h, size_t *n)
{
	*n = h->out_len;
	return h->out;
}

size_t http1_body(struct http1 *h, const uint8_t *p, size_t n)
{
	enum llhttp_errno err;

	if (h->connect || h->granted)
		return n;
	if (h->complete || h->broken || n == 0)
		return 0;
	err = llhttp_execute(&h->parser, (const char *)p, n);
	if (err == HPE_OK)
		return n;
	if (err == HPE_PAUSED)
		return (size_t)((const uint8_t *)llhttp_get_error_pos(
					&h->parser) -
				p);
	h->broken = true;
	return 0;
}

bool http1_broken(const struct http1 *h)
{
	return h->broken;
}

size_t http1_reply(struct http1 *h, const uint8_t *p, size_t n)
{
	enum llhttp_errno err;

	if (h->connect || h->granted || h->opaque)
		return n;
	if (h->over)
		return 0;
	err = llhttp_execute(&h->reply, (const char *)p, n);
	if (err == HPE_PAUSED)
		return (size_t)((const uint8_t *)llhttp_get_error_pos(
					&h->reply) -
				p);
	h->opaque = err != HPE_OK && !h->granted;
	return n;
}

bool http1_over(const struct http1 *h)
{
	return h->over;
}

size_t http1_write_reply(char *out, enum reason why)
{
	const char *text = reason_text(why);

	if (why == REASON_DONE)
		return (size_t)snprintf(
			out, HTTP1_REPLY_MAX,
			"HTTP/1.1 200 Connection established\r\n\r\n");
	return (size_t)snprintf(out, HTTP1_REPLY_MAX,
				"HTTP/1.1 %d %s\r\n"
				"Content-Type: text/plain\r\n"
				"Content-Length: %zu\r\n"
				"Connection: close\r\n"
				"%s\r\n"
				"wsp: %s\n",
				reason_http(why), text, strlen(text) + 6,
				why == REASON_PROXY_AUTH
					? "Proxy-Authenticate: Basic "
					  "realm=\"wsp\"\r\n"
					: "",
				text);
}
