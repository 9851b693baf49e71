/* SPDX-License-Identifier: MIT */
#include "proto/upgrade.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <llhttp.h>

#include "proto/field.h"
#include "proto/upgrade_value.h"

#define DETAIL_MAX 128

/* Fields that matter, of either head. */
enum kind {
	FIELD_HOST,
	FIELD_UPGRADE,
	FIELD_CONNECTION,
	FIELD_KEY,
	FIELD_VERSION,
	FIELD_ACCEPT,
	FIELD_PROTOCOL,
	FIELD_EXTENSIONS,
	FIELD_ORIGIN,
	FIELD_AUTH,
	FIELD_PROTO,
	FIELD_WSP,
	FIELD_LENGTH,
	FIELD_TRANSFER,
	FIELD_FORWARDED,
	FIELD_COUNT,
};

static const char *const names[FIELD_COUNT] = {
	[FIELD_HOST] = "host",
	[FIELD_UPGRADE] = "upgrade",
	[FIELD_CONNECTION] = "connection",
	[FIELD_KEY] = "sec-websocket-key",
	[FIELD_VERSION] = "sec-websocket-version",
	[FIELD_ACCEPT] = "sec-websocket-accept",
	[FIELD_PROTOCOL] = "sec-websocket-protocol",
	[FIELD_EXTENSIONS] = "sec-websocket-extensions",
	[FIELD_ORIGIN] = "origin",
	[FIELD_AUTH] = "auth",
	[FIELD_PROTO] = "proto",
	[FIELD_WSP] = "wsp",
	[FIELD_LENGTH] = "content-length",
	[FIELD_TRANSFER] = "transfer-encoding",
	[FIELD_FORWARDED] = "x-forwarded-for",
};

struct upgrade {
	llhttp_t parser;
	llhttp_settings_t settings;
	bool server;
	size_t head; /* bytes so far */
	char url[UPGRADE_PATH_MAX];
	size_t url_len;
	struct field field;        /* that arrives */
	uint8_t seen[FIELD_COUNT]; /* how often */
	bool upgrades;             /* Upgrade: websocket */
	bool connects;             /* Connection: upgrade */
	bool bad_value;            /* of a field that matters */
	char key[KEY_LEN + 1];
	char version[4];
	char accept[ACCEPT_LEN + 1]; /* as it came */
	char expected[ACCEPT_LEN + 1];
	struct upgrade_request req;
	enum reason why;
	char detail[DETAIL_MAX];
};

/* llhttp's events. */

/* What is too long keeps its length; who reads it, refuses it. An error here
 * would depend on how the head has been cut. */
static int on_url(llhttp_t *p, const char *at, size_t n)
{
	struct upgrade *u = p->data;

	for (size_t i = 0; i < n; i++, u->url_len++)
		if (u->url_len < sizeof(u->url) - 1)
			u->url[u->url_len] = at[i];
	return 0;
}

static int on_name(llhttp_t *p, const char *at, size_t n)
{
	field_name(&((struct upgrade *)p->data)->field, at, n);
	return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
	field_value(&((struct upgrade *)p->data)->field, at, n);
	return 0;
}

static bool copy(char *out, size_t size, const char *value)
{
	size_t n = strlen(value);

	if (n >= size)
		return false;
	memcpy(out, value, n + 1);
	return true;
}

/* Proxies append: the right end is what counts. */
static void keep_forwarded(struct upgrade_request *r, const char *value)
{
	size_t n = strlen(r->forwarded), len = strlen(value);

	if (n && n + 1 + len < sizeof(r->forwarded))
		r->forwarded[n++] = ',';
	else
		n = 0;
	memcpy(r->forwarded + n, value, len + 1);
}

/* False: the value cannot be right. */
static bool keep(struct upgrade *u, enum kind f, const char *value)
{
	struct upgrade_request *r = &u->req;
	bool first = u->seen[f] == 1;

	switch (f) {
	case FIELD_UPGRADE:
		u->upgrades |= upgrade_list_has(value, "websocket");
		return true;
	case FIELD_CONNECTION:
		u->connects |= upgrade_list_has(value, "upgrade");
		return true;
	case FIELD_KEY:
		return copy(u->key, sizeof(u->key), value);
	case FIELD_VERSION:
		if (!copy(u->version, sizeof(u->version), value))
			copy(u->version, sizeof(u->version), "?");
		return true;
	case FIELD_ACCEPT:
		return copy(u->accept, sizeof(u->accept), value);
	case FIELD_AUTH:
		return !first || copy(r->token, sizeof(r->token), value);
	case FIELD_PROTO:
		r->proto_ok = first && upgrade_parse_proto(value);
		return true;
	case FIELD_WSP:
		r->negotiated = first && upgrade_parse_wsp(value, &r->wsp);
		return true;
	case FIELD_LENGTH:
		return strcmp(value, "0") == 0;
	case FIELD_ORIGIN:
		r->has_origin = true;
		return true;
	case FIELD_TRANSFER:
		return !u->server;
	case FIELD_FORWARDED:
		keep_forwarded(r, value);
		return true;
	case FIELD_HOST:
	case FIELD_PROTOCOL:
	case FIELD_EXTENSIONS:
	case FIELD_COUNT:
		return true;
	}
	return true;
}

static int on_field(llhttp_t *p)
{
	struct upgrade *u = p->data;
	const struct field *field = &u->field;

	field_end(&u->field);
	for (int f = 0; f < FIELD_COUNT; f++) {
		if (strcasecmp(field->name, names[f]) != 0)
			continue;
		if (u->seen[f] < UINT8_MAX)
			u->seen[f]++;
		if (f == FIELD_AUTH)
			u->req.has_token = true;
		if (!field->whole && f == FIELD_FORWARDED)
			u->req.forwarded[0] = 0;
		else if (!field->whole || !keep(u, (enum kind)f, field->value))
			u->bad_value = u->server || f == FIELD_ACCEPT;
	}
	return 0;
}

/* What comes behind the head is not llhttp's. */
static int on_head(llhttp_t *p)
{
	(void)p;
	return 2;
}

/* Life. */

static struct upgrade *upgrade_new(llhttp_type_t type)
{
	struct upgrade *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	llhttp_settings_init(&u->settings);
	u->settings.on_url = on_url;
	u->settings.on_header_field = on_name;
	u->settings.on_header_value = on_value;
	u->settings.on_header_value_complete = on_field;
	u->settings.on_headers_complete = on_head;
	llhttp_init(&u->parser, type, &u->settings);
	u->parser.data = u;
	u->server = type == HTTP_REQUEST;
	u->req.proto_ok = true; /* none: a gowsp before 0.4 */
	return u;
}

struct upgrade *upgrade_new_server(void)
{
	return upgrade_new(HTTP_REQUEST);
}

struct upgrade *upgrade_new_client(const uint8_t nonce[UPGRADE_NONCE])
{
	struct upgrade *u = upgrade_new(HTTP_RESPONSE);
	char key[KEY_LEN + 1];

	if (!u)
		return NULL;
	upgrade_key(nonce, key);
	if (upgrade_accept(key, u->expected))
		return u;
	free(u);
	return NULL;
}

void upgrade_free(struct upgrade *u)
{
	if (u)
		explicit_bzero(u, sizeof(*u)); /* a token */
	free(u);
}

/* The head is complete: is it good? */

static enum reason fail(struct upgrade *u, enum reason why, const char *detail)
{
	snprintf(u->detail, sizeof(u->detail), "%s", detail);
	return why;
}

/* RFC 6455 section 4.2.1. */
static enum reason check_request(struct upgrade *u)
{
	if (u->parser.method != HTTP_GET)
		return fail(u, REASON_BAD_METHOD, "not a GET");
	if (u->parser.http_major != 1 || u->parser.http_minor < 1)
		return fail(u, REASON_BAD_REQUEST, "not HTTP/1.1");
	if (u->bad_value || u->seen[FIELD_HOST] != 1)
		return fail(u, REASON_BAD_REQUEST, "bad field in the request");
	if (!u->upgrades || !u->connects)
		return fail(u, REASON_BAD_REQUEST, "no WebSocket request");
	if (u->seen[FIELD_VERSION] != 1 || strcmp(u->version, "13") != 0)
		return fail(u, REASON_BAD_VERSION, "WebSocket version");
	if (u->seen[FIELD_KEY] != 1 || !upgrade_key_is_good(u->key))
		return fail(u, REASON_BAD_REQUEST, "bad Sec-WebSocket-Key");
	if (u->url_len >= sizeof(u->url))
		return fail(u, REASON_TOO_LARGE, "path too long");
	if (!upgrade_parse_path(u->url, u->req.path))
		return fail(u, REASON_BAD_REQUEST, "bad path");
	if (!upgrade_accept(u->key, u->expected))
		return fail(u, REASON_NO_MEMORY, "SHA-1");
	return REASON_DONE;
}

static enum reason check_status(struct upgrade *u)
{
	unsigned int status = u->parser.status_code;
	enum reason why = REASON_NOT_WSP;
	const char *hint = "";

	if (status == 401 || status == 403 || status == 407)
		why = REASON_UNAUTHORIZED;
	else if (status >= 500 || status == 429)
		why = REASON_TUNNEL_DOWN;
	/* a server that hides behind a web site says what that says */
	if (why == REASON_NOT_WSP)
		hint = "; are the path of the URL and the token right?";
	else if (status == 401)
		hint = "; is the token right?";
	snprintf(u->detail, sizeof(u->detail), "the server answers %u%s",
		 status, hint);
	return why;
}

/* RFC 6455 section 4.1. */
static enum reason check_response(struct upgrade *u)
{
	if (u->parser.status_code != 101)
		return check_status(u);
	if (!u->upgrades || !u->connects)
		return fail(u, REASON_NOT_WSP, "no WebSocket answer");
	if (u->bad_value || u->seen[FIELD_ACCEPT] != 1 ||
	    strcmp(u->accept, u->expected) != 0)
		return fail(u, REASON_NOT_WSP, "wrong Sec-WebSocket-Accept");
	if (u->seen[FIELD_PROTOCOL] || u->seen[FIELD_EXTENSIONS])
		return fail(u, REASON_NOT_WSP, "an extension nobody asked for");
	return REASON_DONE;
}

/* llhttp has found an error. */
static enum reason syntax(struct upgrade *u)
{
	if (!u->server)
		return fail(u, REASON_NOT_WSP, "no HTTP answer");
	return fail(u, REASON_BAD_REQUEST, "malformed request");
}

enum upgrade_state upgrade_feed(struct upgrade *u, const uint8_t *p, size_t n,
				size_t *used)
{
	size_t most = UPGRADE_HEAD_MAX - u->head;
	size_t k = n < most ? n : most;
	enum llhttp_errno err;

	*used = n;
	err = llhttp_execute(&u->parser, (const char *)p, k);
	u->head += k;
	if (err == HPE_OK && k == n)
		return UPGRADE_MORE;
	if (err == HPE_OK) {
		u->why = fail(u, REASON_TOO_LARGE, "head too large");
	} else if (err != HPE_PAUSED_UPGRADE) {
		u->why = syntax(u);
	} else {
		*used = (size_t)((const uint8_t *)llhttp_get_error_pos(
					 &u->parser) -
				 p);
		u->why = u->server ? check_request(u) : check_response(u);
	}
	return u->why == REASON_DONE ? UPGRADE_DONE : UPGRADE_FAILED;
}

enum reason upgrade_why(const struct upgrade *u)
{
	return u->why;
}

const char *upgrade_detail(const struct upgrade *u)
{
	return u->detail;
}

const struct upgrade_request *upgrade_request(const struct upgrade *u)
{
	return &u->req;
}

const struct upgrade_wsp *upgrade_peer(const struct upgrade *u)
{
	return u->req.negotiated ? &u->req.wsp : NULL;
}

/* Out. */

/* Nothing that could end a line or a word of a head. */
static bool is_clean(const char *p, char first)
{
	for (; *p; p++)
		if (*p < first || *p > '~')
			return false;
	return true;
}

static int format_wsp(char *out, size_t size, const struct upgrade_wsp *wsp)
{
	if (!wsp) {
		*out = 0;
		return 0;
	}
	return snprintf(out, size, "Wsp: 1; window=%u; message=%u\r\n",
			(unsigned)wsp->window, (unsigned)wsp->message);
}

size_t upgrade_write_request(char *out, const struct upgrade_ask *ask,
			     const uint8_t nonce[UPGRADE_NONCE])
{
	char key[KEY_LEN + 1], auth[UPGRADE_TOKEN_MAX + 32] = "", wsp[64];
	int n;

	if (!is_clean(ask->host, '!') || !is_clean(ask->path, '!'))
		return 0;
	if (ask->token) {
		if (!is_clean(ask->token, ' '))
			return 0;
		n = snprintf(auth, sizeof(auth), "Auth: %s\r\nProto: 0.10\r\n",
			     ask->token);
		if (n < 0 || (size_t)n >= sizeof(auth))
			return 0;
	}
	upgrade_key(nonce, key);
	format_wsp(wsp, sizeof(wsp), ask->wsp);
	n = snprintf(out, UPGRADE_OUT_MAX,
		     "GET %s HTTP/1.1\r\n"
		     "Host: %s\r\n"
		     "Upgrade: websocket\r\n"
		     "Connection: Upgrade\r\n"
		     "Sec-WebSocket-Version: 13\r\n"
		     "Sec-WebSocket-Key: %s\r\n"
		     "%s%s%s\r\n",
		     ask->path, ask->host, key, auth, wsp,
		     ask->fields ? ask->fields : "");
	return n > 0 && n < UPGRADE_OUT_MAX ? (size_t)n : 0;
}

size_t upgrade_write_response(char *out, const struct upgrade *u,
			      const struct upgrade_wsp *wsp)
{
	char field[64];

	format_wsp(field, sizeof(field), u->req.negotiated ? wsp : NULL);
	return (size_t)snprintf(out, UPGRADE_OUT_MAX,
				"HTTP/1.1 101 Switching Protocols\r\n"
				"Upgrade: websocket\r\n"
				"Connection: Upgrade\r\n"
				"Sec-WebSocket-Accept: %s\r\n"
				"%s\r\n",
				u->expected, field);
}

static const char *extra_field(enum reason why)
{
	switch (reason_http(why)) {
	case 405:
		return "Allow: GET\r\n";
	case 426:
		return "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
	default:
		return "";
	}
}

size_t upgrade_write_refusal(char *out, enum reason why)
{
	const char *text = reason_text(why);

	return (size_t)snprintf(out, UPGRADE_OUT_MAX,
				"HTTP/1.1 %d %s\r\n"
				"Content-Type: text/plain\r\n"
				"Content-Length: %zu\r\n"
				"Connection: close\r\n"
				"%s\r\n%s\n",
				reason_http(why), text, strlen(text) + 1,
				extra_field(why), text);
}
