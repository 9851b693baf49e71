/* SPDX-License-Identifier: MIT */
#include "proto/response.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/fields.h"
#include "proto/head.h"

#define LINES_MAX 512 /* bytes of the lines that we write ourselves */

struct response {
	struct head head;
	struct fields fields;
	struct body body;
	/* of the request */
	bool to_head, to_v10, asked_upgrade;
	bool close; /* tell the client */
	bool early; /* and so if the final answer comes now */
	bool begun, final, upgrade;
	bool v10;
	bool closes; /* the origin will */
	int status;
	struct span phrase;
	uint8_t *out;
	size_t out_len;
	enum reason why;
};

struct response *response_new(const struct http1 *request, bool close)
{
	struct response *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	head_init(&r->head, HEAD_RESPONSE);
	r->to_head = http1_is_head(request);
	r->to_v10 = http1_is_v10(request);
	r->asked_upgrade = http1_asks_upgrade(request);
	r->close = close || http1_is_last(request);
	return r;
}

void response_free(struct response *r)
{
	if (!r)
		return;
	head_done(&r->head);
	body_done(&r->body);
	free(r->out);
	free(r);
}

/* "HTTP/1.x 200 phrase"; the last blank may be missing (RFC 9112 section 4). */
static bool read_line(struct response *r)
{
	struct span line = head_first(&r->head), code, phrase = {"", 0};
	uint64_t status;

	if (!span_cut(&line, ' ', &code) || line.n != 8 ||
	    memcmp(line.p, "HTTP/1.", 7) != 0 || line.p[7] < '0' ||
	    line.p[7] > '9')
		return false;
	r->v10 = line.p[7] == '0';
	code = span_trim(code);
	span_cut(&code, ' ', &phrase);
	if (code.n != 3 || !span_number(code, &status) || status < 100)
		return false;
	r->status = (int)status;
	r->phrase = span_trim(phrase);
	return true;
}

/* RFC 9112 section 6.3: an answer to HEAD has no body, nor have these. */
static bool has_no_body(const struct response *r)
{
	return r->to_head || r->status < 200 || r->status == 204 ||
	       r->status == 304;
}

static enum body_kind body_kind(const struct response *r)
{
	if (has_no_body(r))
		return BODY_NONE;
	if (r->fields.chunked)
		return BODY_CHUNKED;
	return r->fields.nlengths ? BODY_LENGTH : BODY_CLOSE;
}

/* RFC 9112 section 6.1, 6.3. A length beside chunks does not count. */
static bool is_well_framed(const struct response *r)
{
	const struct fields *f = &r->fields;

	if (f->ncodings)
		return f->chunked && !r->v10;
	return !f->lengths_differ;
}

/* Writing a head. */

static void put(struct response *r, const char *p, size_t n)
{
	memcpy(r->out + r->out_len, p, n);
	r->out_len += n;
}

static void put_text(struct response *r, const char *text)
{
	put(r, text, strlen(text));
}

static void put_line(struct response *r)
{
	char text[LINES_MAX / 2];

	snprintf(text, sizeof(text), "HTTP/1.1 %d ", r->status);
	put_text(r, text);
	put(r, r->phrase.p, r->phrase.n);
	put_text(r, "\r\n");
}

/* The framing of a message, as llhttp and the client see it. */
static void put_framing(struct response *r, bool chunks)
{
	char text[LINES_MAX / 2];

	if (r->fields.chunked) {
		if (chunks && r->body.kind == BODY_CHUNKED)
			put_text(r, "Transfer-Encoding: chunked\r\n");
	} else if (r->fields.nlengths && r->status >= 200 && r->status != 204) {
		snprintf(text, sizeof(text), "Content-Length: %llu\r\n",
			 (unsigned long long)r->fields.length);
		put_text(r, text);
	}
}

static void put_fields(struct response *r)
{
	struct span name, value;
	size_t at = 0;

	while (head_next(&r->head, &at, &name, &value)) {
		if (fields_end_here(&r->fields, name) &&
		    !(r->upgrade && span_is(name, "upgrade")))
			continue;
		put(r, name.p, name.n);
		put_text(r, ": ");
		put(r, value.p, value.n);
		put_text(r, "\r\n");
	}
}

static void put_hop(struct response *r)
{
	put_text(r, r->v10 ? "Via: 1.0 wsp\r\n" : "Via: 1.1 wsp\r\n");
	put_framing(r, !r->to_v10);
	if (r->upgrade)
		put_text(r, "Connection: Upgrade\r\n");
	else if (r->final && !response_keeps_client(r))
		put_text(r, "Connection: close\r\n");
	put_text(r, "\r\n");
}

static bool make_room(struct response *r)
{
	free(r->out);
	r->out_len = 0;
	r->out = malloc(r->head.len + HEAD_FIELDS_MAX + LINES_MAX);
	return r->out != NULL;
}

/* llhttp is shown the status and the framing, and must agree. */
static bool init_body(struct response *r)
{
	enum body_kind kind = body_kind(r);

	r->body.kind = kind;
	put_line(r);
	put_framing(r, true);
	put_text(r, "\r\n");
	body_done(&r->body);
	body_init(&r->body, kind, r->fields.length, HTTP_RESPONSE,
		  (char *)r->out, r->out_len);
	r->out_len = 0;
	if (r->to_v10)
		body_strip(&r->body);
	return !r->body.broken;
}

static enum reason finish(struct response *r)
{
	if (!read_line(r) || fields_read(&r->fields, &r->head) != REASON_DONE ||
	    !is_well_framed(r))
		return REASON_BAD_ANSWER;
	r->upgrade = r->status == 101;
	if (r->upgrade && !r->asked_upgrade)
		return REASON_BAD_ANSWER;
	r->final = r->status >= 200 || r->upgrade;
	r->closes = r->v10 || fields_list(&r->fields, "close");
	if (!make_room(r))
		return REASON_NO_MEMORY;
	if (r->final && !r->upgrade && !init_body(r))
		return REASON_BAD_ANSWER;
	if (!r->final && r->to_v10)
		return REASON_DONE;
	put_line(r);
	put_fields(r);
	put_hop(r);
	return REASON_DONE;
}

void response_early(struct response *r, bool early)
{
	r->early = early;
}

enum http1_state response_feed(struct response *r, const uint8_t *p, size_t n,
			       size_t *used)
{
	r->begun |= n > 0;
	switch (head_feed(&r->head, p, n, used)) {
	case HEAD_MORE:
		return HTTP1_MORE;
	case HEAD_FAILED:
		r->why = r->head.why == REASON_NO_MEMORY ? REASON_NO_MEMORY
							 : REASON_BAD_ANSWER;
		return HTTP1_FAILED;
	case HEAD_DONE:
		break;
	}
	r->why = finish(r);
	head_done(&r->head);
	return r->why == REASON_DONE ? HTTP1_DONE : HTTP1_FAILED;
}

bool response_has_begun(const struct response *r)
{
	return r->begun;
}

enum reason response_why(const struct response *r)
{
	return r->why;
}

const uint8_t *response_head(const struct response *r, size_t *n)
{
	*n = r->out_len;
	return r->out;
}

int response_status(const struct response *r)
{
	return r->status;
}

bool response_is_final(const struct response *r)
{
	return r->final;
}

bool response_is_upgrade(const struct response *r)
{
	return r->final && r->upgrade;
}

struct body *response_body(struct response *r)
{
	return &r->body;
}

bool response_eof(struct response *r)
{
	if (r->final && r->body.kind == BODY_CLOSE)
		r->body.complete = true;
	return r->final && r->body.complete;
}

bool response_keeps_origin(const struct response *r)
{
	/* a length beside chunks: RFC 9112 section 6.1 */
	return r->body.complete && r->body.kind != BODY_CLOSE &&
	       !(r->fields.chunked && r->fields.nlengths) && !r->closes;
}

bool response_keeps_client(const struct response *r)
{
	return !r->close && !r->early && r->body.kind != BODY_CLOSE;
}
