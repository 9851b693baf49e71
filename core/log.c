/* SPDX-License-Identifier: MIT */
#include "core/log.h"

#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX  1024     /* of a message, before escaping */
#define LINE_MAX_ PIPE_BUF /* a longer write() may be torn: pipe(7) */
#define END_MAX   3        /* what closes a line, and always fits */

static const char *const level_names[] = {
	[LOG_ERROR] = "error", [LOG_WARN] = "warn",   [LOG_INFO] = "info",
	[LOG_DEBUG] = "debug", [LOG_TRACE] = "trace",
};

#define LEVELS (sizeof(level_names) / sizeof(level_names[0]))

/* Set once, before there are threads. */
static struct {
	enum log_level max;
	bool json;
} sink = {.max = LOG_INFO};

void log_setup(enum log_level max, bool json)
{
	sink.max = max;
	sink.json = json;
}

int log_level_parse(const char *name)
{
	for (size_t i = 0; i < LEVELS; i++)
		if (strcmp(name, level_names[i]) == 0)
			return (int)i;
	return -1;
}

bool log_on(enum log_level level)
{
	return level <= sink.max;
}

/* A line that is being put together; what does not fit is left out. */
struct line {
	char text[LINE_MAX_];
	size_t len;
};

static void put(struct line *l, const char *p, size_t n)
{
	if (n > sizeof(l->text) - END_MAX - l->len)
		return;
	memcpy(l->text + l->len, p, n);
	l->len += n;
}

static void puts_(struct line *l, const char *text)
{
	put(l, text, strlen(text));
}

/* The last one for l. */
static void put_end(struct line *l, const char *text)
{
	size_t n = strlen(text);

	memcpy(l->text + l->len, text, n);
	l->len += n;
}

/* The length of the UTF-8 character at p (RFC 3629 section 4), 0: it is none
 * or a control character. */
static size_t utf8_len(const unsigned char *p)
{
	size_t n;

	if (p[0] < 0x80)
		return p[0] >= 0x20 && p[0] != 0x7f;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f) ||
	    (p[0] == 0xc2 && p[1] < 0xa0)) /* C1 controls */
		return 0;
	return n;
}

static void put_escaped(struct line *l, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	char hex[8];
	size_t n;

	while (*p) {
		n = utf8_len(p);
		if (n == 0 || *p == '"' || *p == '\\') {
			snprintf(hex, sizeof(hex), "%s%02x",
				 sink.json ? "\\u00" : "\\x", (unsigned)*p++);
			puts_(l, hex);
		} else {
			put(l, (const char *)p, n);
			p += n;
		}
	}
}

static void put_time(struct line *l)
{
	char text[40];
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%03ldZ", now.tv_nsec / 1000000);
	puts_(l, text);
}

static void put_json(struct line *l, enum log_level level, const char *who,
		     const char *text)
{
	puts_(l, "{\"time\":\"");
	put_time(l);
	puts_(l, "\",\"level\":\"");
	puts_(l, level_names[level]);
	if (who) {
		puts_(l, "\",\"who\":\"");
		put_escaped(l, who);
	}
	puts_(l, "\",\"text\":\"");
	put_escaped(l, text);
}

static void put_text(struct line *l, enum log_level level, const char *who,
		     const char *text)
{
	char name[8];

	put_time(l);
	snprintf(name, sizeof(name), " %-5s ", level_names[level]);
	puts_(l, name);
	if (who) {
		put_escaped(l, who);
		puts_(l, ": ");
	}
	put_escaped(l, text);
}

void log_write(enum log_level level, const char *who, const char *fmt, ...)
{
	struct line l = {.len = 0};
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (sink.json)
		put_json(&l, level, who, text);
	else
		put_text(&l, level, who, text);
	put_end(&l, sink.json ? "\"}\n" : "\n");
	/* nobody can be told that the log is broken */
	if (write(STDERR_FILENO, l.text, l.len) < 0)
		return;
}

bool log_limit(struct log_limit *l, uint64_t now_ms)
{
	if (l->until > now_ms) {
		l->skipped++;
		return false;
	}
	l->until = now_ms + 1000;
	l->more[0] = 0;
	if (l->skipped)
		snprintf(l->more, sizeof(l->more), " (%u more like this)",
			 l->skipped);
	l->skipped = 0;
	return true;
}
