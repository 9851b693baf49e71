/* SPDX-License-Identifier: MIT */
#include "proto/http1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mbedtls/base64.h>

#define METHOD_MAX 64
#define PAIR_MAX   511 /* "user:password", both as RFC 1929 has them */
#define LINES_MAX  512 /* bytes of the lines that we write ourselves */

struct http1 {
	struct head head;
	struct fields fields;
	struct body body;
	struct span method, uri, version;
	struct span path; /* FORWARD: of uri */
	struct addr target;
	enum http1_kind kind;
	bool auth;
	char user[PAIR_MAX + 1]; /* of the last Proxy-Authorization */
	const char *password;    /* within user; NULL: there was none */
	bool upgrade;
	uint64_t forwards; /* Max-Forwards that goes on */
	bool counts;       /* and it does */
	uint8_t *out;      /* the head for the target */
	size_t out_len;
	enum reason why;
};

struct http1 *http1_new(bool auth)
{
	struct http1 *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	head_init(&h->head, HEAD_REQUEST);
	h->auth = auth;
	return h;
}

void http1_free(struct http1 *h)
{
	if (!h)
		return;
	head_done(&h->head);
	body_done(&h->body);
	free(h->out);
	explicit_bzero(h->user, sizeof(h->user));
	free(h);
}

/* The request line: "METHOD target HTTP/1.x", one blank each (RFC 9112 section
 * 3). */
static enum reason read_line(struct http1 *h)
{
	h->method = head_first(&h->head);
	if (!span_cut(&h->method, ' ', &h->uri) ||
	    !span_cut(&h->uri, ' ', &h->version))
		return REASON_BAD_REQUEST;
	if (h->uri.n > HEAD_TARGET_MAX)
		return REASON_URI_TOO_LONG;
	if (!span_is_token(h->method) || h->method.n > METHOD_MAX ||
	    h->uri.n == 0 || h->version.n != 8 ||
	    (memcmp(h->version.p, "HTTP/1.1", 8) != 0 &&
	     memcmp(h->version.p, "HTTP/1.0", 8) != 0))
		return REASON_BAD_REQUEST;
	return REASON_DONE;
}

bool http1_is_v10(const struct http1 *h)
{
	return h->version.p[7] == '0';
}

/* Methods are case-sensitive (RFC 9110 section 9.1). */
static bool is_method(const struct http1 *h, const char *name)
{
	return h->method.n == strlen(name) &&
	       memcmp(h->method.p, name, h->method.n) == 0;
}

/* RFC 9112 section 6.3, and what it leaves open, closed. */
static bool is_well_framed(const struct http1 *h)
{
	const struct fields *f = &h->fields;
	bool body = f->ncodings || f->length;

	if (f->nlengths > 1 || f->ncodings > 1 ||
	    (f->ncodings && (f->nlengths || !f->chunked || http1_is_v10(h))))
		return false;
	return !body || !(is_method(h, "CONNECT") || is_method(h, "TRACE"));
}

/* RFC 9112 section 3.2: the value matters to nobody, but must be one. */
static bool is_good_host(const struct http1 *h)
{
	const struct fields *f = &h->fields;

	if (f->nhosts == 0)
		return http1_is_v10(h);
	for (size_t i = 0; i < f->host.n; i++)
		if (f->host.p[i] <= ' ' || f->host.p[i] > '~' ||
		    strchr("/?#@,\\", f->host.p[i]))
			return false;
	return f->nhosts == 1;
}

/* RFC 7617 section 2. */
static void read_credentials(struct http1 *h)
{
	struct span value = h->fields.authorization;
	char *password = h->user;
	size_t n;

	if (!span_starts(value, "basic "))
		return;
	value = span_trim((struct span){value.p + 6, value.n - 6});
	if (mbedtls_base64_decode((unsigned char *)h->user, PAIR_MAX, &n,
				  (const unsigned char *)value.p, value.n) ||
	    memchr(h->user, 0, n))
		return;
	/* The head may stay for long. */
	explicit_bzero(h->head.bytes + (value.p - h->head.bytes), value.n);
	h->user[n] = 0;
	strsep(&password, ":"); /* NULL: no colon */
	h->password = password;
}

/* The host and the port of uri, which may be left out. */
static enum reason read_authority(struct http1 *h, struct span at)
{
	char text[ADDR_TEXT_MAX];
	size_t n = at.n;

	if (n == 0 || n + 4 > sizeof(text) || memchr(at.p, '@', n))
		return REASON_BAD_REQUEST;
	memcpy(text, at.p, n);
	if (addr_parse(text, n, &h->target) == ADDR_EPORT) {
		if (text[n - 1] == ':')
			n--;
		memcpy(text + n, ":80", 3);
		n += 3;
	}
	return addr_parse(text, n, &h->target) == ADDR_OK ? REASON_DONE
							  : REASON_BAD_ADDRESS;
}

/* RFC 9112 section 3.2.2. */
static enum reason read_absolute(struct http1 *h)
{
	struct span u = h->uri;
	size_t n = 0;

	if (!span_starts(u, "http://"))
		return span_starts(u, "https://") ? REASON_BAD_COMMAND
						  : REASON_BAD_REQUEST;
	if (memchr(u.p, '#', u.n))
		return REASON_BAD_REQUEST;
	u.p += 7;
	u.n -= 7;
	while (n < u.n && u.p[n] != '/' && u.p[n] != '?')
		n++;
	h->path = (struct span){u.p + n, u.n - n};
	return read_authority(h, (struct span){u.p, n});
}

/* RFC 9110 section 7.6.2. */
static void count_forwards(struct http1 *h)
{
	if (!is_method(h, "TRACE") && !is_method(h, "OPTIONS"))
		return;
	if (!span_number(h->fields.max_forwards, &h->forwards))
		return;
	if (h->forwards == 0)
		h->kind = HTTP1_LOCAL;
	else
		h->forwards--;
	h->counts = true;
}

static enum reason read_target(struct http1 *h)
{
	enum reason why;

	if (is_method(h, "CONNECT")) {
		h->kind = HTTP1_CONNECT;
		return addr_parse(h->uri.p, h->uri.n, &h->target) == ADDR_OK
			       ? REASON_DONE
			       : REASON_BAD_ADDRESS;
	}
	if (h->uri.p[0] == '/' ||
	    (span_is(h->uri, "*") && is_method(h, "OPTIONS"))) {
		h->kind = HTTP1_LOCAL;
		return REASON_DONE;
	}
	h->kind = HTTP1_FORWARD;
	why = read_absolute(h);
	count_forwards(h);
	return why;
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

static void put_field(struct http1 *h, struct span name, struct span value)
{
	put(h, name.p, name.n);
	put_text(h, ": ");
	put(h, value.p, value.n);
	put_text(h, "\r\n");
}

/* "/path?query" in all its short forms. */
static void put_line(struct http1 *h)
{
	put(h, h->method.p, h->method.n);
	put_text(h, " ");
	if (h->path.n == 0 && is_method(h, "OPTIONS"))
		put_text(h, "*");
	else if (h->path.n == 0 || h->path.p[0] == '?')
		put_text(h, "/");
	put(h, h->path.p, h->path.n);
	put_text(h, " HTTP/1.1\r\n");
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

/* What the fields that end here say to the next hop. */
static void put_hop(struct http1 *h)
{
	const struct fields *f = &h->fields;
	char text[LINES_MAX / 2];

	snprintf(text, sizeof(text), "Via: 1.%c wsp\r\n", h->version.p[7]);
	put_text(h, text);
	if (h->counts) {
		snprintf(text, sizeof(text), "Max-Forwards: %llu\r\n",
			 (unsigned long long)h->forwards);
		put_text(h, text);
	}
	if (f->nlengths) {
		snprintf(text, sizeof(text), "Content-Length: %llu\r\n",
			 (unsigned long long)f->length);
		put_text(h, text);
	}
	if (f->chunked)
		put_text(h, "Transfer-Encoding: chunked\r\n");
	if (f->trailers)
		put_text(h, "TE: trailers\r\n");
	if (h->upgrade)
		put_text(h, f->trailers ? "Connection: Upgrade, TE\r\n"
					: "Connection: Upgrade\r\n");
	else if (http1_is_last(h))
		put_text(h, f->trailers ? "Connection: close, TE\r\n"
					: "Connection: close\r\n");
	else if (f->trailers)
		put_text(h, "Connection: TE\r\n");
	put_text(h, "\r\n");
}

static bool goes_on(const struct http1 *h, struct span name)
{
	if (span_is(name, "upgrade"))
		return h->upgrade;
	if (span_is(name, "max-forwards"))
		return !h->counts;
	if (span_is(name, "host") || span_starts(name, "proxy-"))
		return false; /* Proxy-Status is of answers only */
	return !fields_end_here(&h->fields, name);
}

static bool make_room(struct http1 *h)
{
	free(h->out);
	h->out_len = 0;
	h->out = malloc(h->head.len + HEAD_FIELDS_MAX + ADDR_TEXT_MAX +
			LINES_MAX);
	return h->out != NULL;
}

static bool write_head(struct http1 *h)
{
	struct span name, value;
	size_t at = 0;

	if (!make_room(h))
		return false;
	put_line(h);
	put_host(h);
	while (head_next(&h->head, &at, &name, &value))
		if (goes_on(h, name))
			put_field(h, name, value);
	put_hop(h);
	return true;
}

/* Where the body ends: what llhttp says must be the same. It is shown values
 * without the blanks around them, as they go on: its versions differ on tabs.
 */
static enum reason read_body(struct http1 *h)
{
	const struct fields *f = &h->fields;
	enum body_kind kind = f->chunked        ? BODY_CHUNKED
			      : f->nlengths > 0 ? BODY_LENGTH
						: BODY_NONE;
	struct span first = head_first(&h->head), name, value;
	size_t at = 0;

	if (!make_room(h))
		return REASON_NO_MEMORY;
	put_text(h, h->kind == HTTP1_CONNECT ? "CONNECT" : "POST");
	put(h, first.p + h->method.n, first.n - h->method.n);
	put_text(h, "\r\n");
	while (head_next(&h->head, &at, &name, &value))
		put_field(h, name, value);
	put_text(h, "\r\n");
	body_init(&h->body, kind, f->length, HTTP_REQUEST, (char *)h->out,
		  h->out_len);
	explicit_bzero(h->out, h->out_len); /* with the credentials */
	h->out_len = 0;
	return h->body.broken ? REASON_BAD_REQUEST : REASON_DONE;
}

/* The head is complete. */
static enum reason finish(struct http1 *h)
{
	enum reason why = read_line(h);

	if (why == REASON_DONE)
		why = fields_read(&h->fields, &h->head);
	if (why != REASON_DONE)
		return why;
	if (!is_well_framed(h) || !is_good_host(h))
		return REASON_BAD_REQUEST;
	h->upgrade = h->fields.upgrade && !http1_is_v10(h) &&
		     fields_list(&h->fields, "upgrade");
	why = read_target(h);
	if (why != REASON_DONE)
		return why;
	h->auth = h->auth && h->kind != HTTP1_LOCAL;
	why = read_body(h);
	if (why == REASON_DONE && h->kind == HTTP1_FORWARD && !write_head(h))
		return REASON_NO_MEMORY;
	if (why != REASON_DONE || !h->auth)
		return why;
	read_credentials(h);
	return h->password ? REASON_DONE : REASON_PROXY_AUTH;
}

enum http1_state http1_feed(struct http1 *h, const uint8_t *p, size_t n,
			    size_t *used)
{
	switch (head_feed(&h->head, p, n, used)) {
	case HEAD_MORE:
		return HTTP1_MORE;
	case HEAD_FAILED:
		h->why = h->head.why;
		return HTTP1_FAILED;
	case HEAD_DONE:
		break;
	}
	h->why = finish(h);
	if (h->why != REASON_DONE)
		return HTTP1_FAILED;
	return h->auth ? HTTP1_AUTH : HTTP1_DONE;
}

void http1_credentials(const struct http1 *h, const char **user,
		       const char **password)
{
	*user = h->user;
	*password = h->password;
}

void http1_admit(struct http1 *h)
{
	explicit_bzero(h->user, sizeof(h->user));
}

enum reason http1_why(const struct http1 *h)
{
	return h->why;
}

enum http1_kind http1_kind(const struct http1 *h)
{
	return h->kind;
}

struct span http1_method(const struct http1 *h)
{
	return h->method;
}

struct span http1_uri(const struct http1 *h)
{
	return h->uri;
}

const struct head *http1_fields(const struct http1 *h)
{
	return &h->head;
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

struct body *http1_body(struct http1 *h)
{
	return &h->body;
}

bool http1_is_head(const struct http1 *h)
{
	return is_method(h, "HEAD");
}

bool http1_asks_upgrade(const struct http1 *h)
{
	return h->upgrade;
}

bool http1_is_last(const struct http1 *h)
{
	return http1_is_v10(h) || fields_list(&h->fields, "close");
}

bool http1_may_repeat(const struct http1 *h)
{
	static const char *const idempotent[] = {
		"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", NULL};

	for (const char *const *name = idempotent; *name; name++)
		if (is_method(h, *name))
			return h->body.kind == BODY_NONE ||
			       (h->body.kind == BODY_LENGTH &&
				h->fields.length == 0);
	return false;
}
