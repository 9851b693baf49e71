/* SPDX-License-Identifier: MIT */
#include "proto/site.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <llhttp.h>

#include "proto/upgrade_value.h"

#define NAME_SIZE  32
#define VALUE_SIZE 128
#define IMF        "%a, %d %b %Y %H:%M:%S GMT" /* RFC 9110 section 5.6.7 */
#define DATE_SIZE  40

static_assert(SITE_PATH_MAX == UPGRADE_PATH_MAX, "upgrade_parse_path()");

enum field { FIELD_HOST, FIELD_CONNECTION, FIELD_SINCE, FIELD_BODY };

static const struct {
	const char *name;
	enum field field;
} names[] = {
	{"host", FIELD_HOST},
	{"connection", FIELD_CONNECTION},
	{"if-modified-since", FIELD_SINCE},
	{"content-length", FIELD_BODY},
	{"transfer-encoding", FIELD_BODY},
};

struct site {
	llhttp_t parser;
	llhttp_settings_t settings;
	size_t head; /* bytes so far */
	bool done;
	char url[SITE_PATH_MAX];
	size_t url_len;
	char name[NAME_SIZE];
	size_t name_len;
	char value[VALUE_SIZE];
	size_t value_len;
	unsigned int hosts;
	bool close, keep; /* what Connection says */
	bool body;        /* there is one, or something like it */
	struct site_request req;
};

/* llhttp's events. What is too long keeps its length. */

static void collect(char *out, size_t size, size_t *len, const char *p,
		    size_t n)
{
	for (size_t i = 0; i < n; i++, ++*len)
		if (*len < size - 1)
			out[*len] = p[i];
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
	struct site *s = p->data;

	collect(s->url, sizeof(s->url), &s->url_len, at, n);
	return 0;
}

static int on_name(llhttp_t *p, const char *at, size_t n)
{
	struct site *s = p->data;

	collect(s->name, sizeof(s->name), &s->name_len, at, n);
	return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
	struct site *s = p->data;

	collect(s->value, sizeof(s->value), &s->value_len, at, n);
	return 0;
}

static int64_t parse_date(const char *value)
{
	struct tm tm = {.tm_mday = 1};
	const char *end = strptime(value, IMF, &tm);

	return end && !*end ? (int64_t)timegm(&tm) : SITE_NEVER;
}

static void keep(struct site *s, enum field f, const char *value)
{
	switch (f) {
	case FIELD_HOST:
		s->hosts++;
		break;
	case FIELD_CONNECTION:
		s->close |= upgrade_list_has(value, "close");
		s->keep |= upgrade_list_has(value, "keep-alive");
		break;
	case FIELD_SINCE:
		s->req.since = parse_date(value);
		break;
	case FIELD_BODY:
		s->body |= strcmp(value, "0") != 0;
		break;
	}
}

static int on_field(llhttp_t *p)
{
	struct site *s = p->data;
	size_t name = s->name_len, value = s->value_len;

	s->name_len = s->value_len = 0;
	if (name >= sizeof(s->name))
		return 0;
	s->name[name] = 0;
	s->value[value < sizeof(s->value) ? value : 0] = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(s->name, names[i].name) == 0)
			keep(s, names[i].field, s->value);
	return 0;
}

/* What comes behind the head is not llhttp's. */
static int on_head(llhttp_t *p)
{
	(void)p;
	return 2;
}

/* Life. */

static void begin(struct site *s)
{
	struct site fresh = {.settings = s->settings,
			     .req = {.since = SITE_NEVER}};

	*s = fresh;
	llhttp_init(&s->parser, HTTP_REQUEST, &s->settings);
	s->parser.data = s;
}

struct site *site_new(void)
{
	struct site *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	llhttp_settings_init(&s->settings);
	s->settings.on_url = on_url;
	s->settings.on_header_field = on_name;
	s->settings.on_header_value = on_value;
	s->settings.on_header_value_complete = on_field;
	s->settings.on_headers_complete = on_head;
	begin(s);
	return s;
}

void site_free(struct site *s)
{
	free(s);
}

/* The head is complete. */

/* Parts that are empty or begin with a dot name nothing here: no way up, no
 * hidden file, and no "//host" that a redirection would turn into a site. */
static bool path_is_plain(const char *p)
{
	while (*p) {
		if (*p == '.' || *p == '/')
			return false;
		p += strcspn(p, "/");
		if (*p)
			p++;
	}
	return true;
}

/* llhttp takes tabs and form feeds, which would go out in Location. */
static bool is_visible(const char *p)
{
	for (; *p; p++)
		if ((uint8_t)*p <= ' ' || *p == 0x7f)
			return false;
	return true;
}

static int check_target(struct site *s)
{
	struct site_request *r = &s->req;
	char path[SITE_PATH_MAX];

	if (s->url_len >= sizeof(s->url))
		return 414;
	if (!is_visible(s->url) || !upgrade_parse_path(s->url, path))
		return 400;
	snprintf(r->path, sizeof(r->path), "%s", path + 1);
	snprintf(r->target, sizeof(r->target), "%.*s",
		 (int)strcspn(s->url, "?#"), s->url);
	return path_is_plain(r->path) ? 200 : 404;
}

static int check(struct site *s)
{
	const llhttp_t *p = &s->parser;
	bool is_1_0 = p->http_major == 1 && p->http_minor == 0;

	s->req.close = true;
	if (p->http_major != 1)
		return p->http_major > 1 ? 505 : 400;
	if (s->hosts > 1 || (s->hosts == 0 && !is_1_0))
		return 400;
	/* a body is not read: what would follow it is not answered */
	s->req.close = s->body || s->close || (is_1_0 && !s->keep);
	s->req.head = p->method == HTTP_HEAD;
	if (p->method != HTTP_GET && p->method != HTTP_HEAD)
		return 405;
	return check_target(s);
}

enum site_state site_feed(struct site *s, const uint8_t *p, size_t n,
			  size_t *used)
{
	size_t most, k;
	enum llhttp_errno err;

	if (s->done)
		begin(s);
	most = SITE_HEAD_MAX - s->head;
	k = n < most ? n : most;
	*used = n;
	err = llhttp_execute(&s->parser, (const char *)p, k);
	s->head += k;
	if (err == HPE_OK && k == n)
		return SITE_MORE;
	s->done = true;
	if (err == HPE_PAUSED_UPGRADE) {
		const char *end = llhttp_get_error_pos(&s->parser);

		*used = (size_t)((const uint8_t *)end - p);
		s->req.status = check(s);
	} else {
		s->req.status = err == HPE_OK ? 431 : 400;
		s->req.close = true;
	}
	return SITE_DONE;
}

const struct site_request *site_request(const struct site *s)
{
	return &s->req;
}

/* Out. */

const char *site_type(const char *path)
{
	static const char *const types[][2] = {
		{"html", "text/html"},        {"htm", "text/html"},
		{"css", "text/css"},          {"js", "text/javascript"},
		{"mjs", "text/javascript"},   {"json", "application/json"},
		{"xml", "text/xml"},          {"txt", "text/plain"},
		{"md", "text/plain"},         {"svg", "image/svg+xml"},
		{"png", "image/png"},         {"jpg", "image/jpeg"},
		{"jpeg", "image/jpeg"},       {"gif", "image/gif"},
		{"webp", "image/webp"},       {"avif", "image/avif"},
		{"ico", "image/x-icon"},      {"woff", "font/woff"},
		{"woff2", "font/woff2"},      {"pdf", "application/pdf"},
		{"wasm", "application/wasm"}, {"mp4", "video/mp4"},
		{"webm", "video/webm"},       {"mp3", "audio/mpeg"},
		{"zip", "application/zip"},   {"gz", "application/gzip"},
	};
	const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');

	if (!dot || (slash && dot < slash))
		return "application/octet-stream";
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcasecmp(dot + 1, types[i][0]) == 0)
			return types[i][1];
	return "application/octet-stream";
}

static const char *status_text(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 301:
		return "Moved Permanently";
	case 304:
		return "Not Modified";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 414:
		return "URI Too Long";
	case 431:
		return "Request Header Fields Too Large";
	case 500:
		return "Internal Server Error";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Bad Request";
	}
}

struct text {
	char *p;
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t,
						      const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->p + t->n, SITE_OUT_MAX - t->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->n += (size_t)n;
	if (t->n >= SITE_OUT_MAX)
		t->n = SITE_OUT_MAX - 1;
}

static void add_date(struct text *t, const char *name, int64_t when)
{
	char date[DATE_SIZE];
	time_t seconds = (time_t)when;
	struct tm tm;

	if (gmtime_r(&seconds, &tm) &&
	    strftime(date, sizeof(date), IMF, &tm) > 0)
		add(t, "%s: %s\r\n", name, date);
}

size_t site_write(char *out, const struct site_answer *a)
{
	const char *text = status_text(a->status);
	struct text t = {.p = out}, page = {.p = (char[SITE_OUT_MAX]){0}};
	bool file = a->status == 200, small = !file && a->status != 304;

	add(&page,
	    "<html>\r\n<head><title>%d %s</title></head>\r\n"
	    "<body><center><h1>%d %s</h1></center></body>\r\n</html>\r\n",
	    a->status, text, a->status, text);
	add(&t, "HTTP/1.1 %d %s\r\n", a->status, text);
	add_date(&t, "Date", a->now);
	if (!small)
		add_date(&t, "Last-Modified", a->modified);
	if (a->status == 301)
		add(&t, "Location: %s/\r\n", a->target);
	if (a->status == 405)
		add(&t, "Allow: GET, HEAD\r\n");
	if (small || file)
		add(&t, "Content-Type: %s\r\nContent-Length: %llu\r\n",
		    file ? a->type : "text/html",
		    (unsigned long long)(file ? a->length : page.n));
	add(&t, "Connection: %s\r\n\r\n%s", a->close ? "close" : "keep-alive",
	    small && !a->head ? page.p : "");
	return t.n;
}
