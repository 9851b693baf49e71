/* SPDX-License-Identifier: MIT */
/*
 * Log lines on stderr, for people or as JSON. The sink is a global; it is set
 * once, before there are threads, as is who serves AES-GCM (gcm.h). A line is
 * one write(2), so that those of several threads do not mix.
 *
 *	error  the operator must act	info   one line per start, stop, tunnel
 *	warn   refused or degraded	debug  decisions, ends of relays
 *					trace  states and messages
 *
 * Text from a peer is escaped: control characters, DEL, quotes, and what is
 * not UTF-8 never reach the log as they are. Secrets are never logged.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

void log_setup(enum log_level max, bool json);
/* "info" to LOG_INFO; -1: no such level. */
int log_level_parse(const char *name);
bool log_on(enum log_level level);

/* who: the object that speaks ("tunnel 3"), or NULL. One line, escaped. */
void log_write(enum log_level level, const char *who, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_at(level, ...)                             \
	do {                                           \
		if (log_on(level))                     \
			log_write(level, __VA_ARGS__); \
	} while (0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_trace(...) log_at(LOG_TRACE, __VA_ARGS__)

/* For lines that a peer can cause at will: at most one a second for each l;
 * true when a line may be written. more is then "", or " (3 more like this)".
 * Zeroed l. */
struct log_limit {
	uint64_t until; /* milliseconds */
	unsigned int skipped;
	char more[40];
};
bool log_limit(struct log_limit *l, uint64_t now_ms);

#endif
