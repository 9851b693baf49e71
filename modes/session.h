/* SPDX-License-Identifier: MIT */
/*
 * A session is an application's connection to one of the client's proxies,
 * until it is a relay:
 *
 *	REQUEST	 10 seconds to say what it wants
 *	WAITING	 the tunnel is down
 *	OPENING	 the server has been asked; early data is on its way already
 *	REFUSED	 the refusal is out; 2 seconds for the application to read it
 *
 * WAITING and OPENING together last --connect-timeout. What an application
 * says is the business of an inbound: SOCKS, HTTP.
 */
#ifndef MODES_SESSION_H
#define MODES_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/relay.h"
#include "core/worker.h"
#include "proto/addr.h"
#include "proto/http1.h"

#define REPLY_MAX HTTP1_REPLY_MAX

struct tunnel;

struct reply {
	uint8_t bytes[REPLY_MAX];
	size_t len;
};

enum inbound_state { INBOUND_MORE, INBOUND_DONE, INBOUND_FAILED };

/* A proxy protocol. in is what new_() has returned. */
struct inbound {
	const char *name;
	/* auth: "user:password" that is asked for, or NULL; must stay. NULL:
	 * no memory. */
	void *(*new_)(const char *auth);
	void (*free)(void *in);
	/* The next bytes; *used of them are taken. reply, if its len is set,
	 * goes out at once. */
	enum inbound_state (*feed)(void *in, const uint8_t *p, size_t n,
				   size_t *used, struct reply *reply);
	/* After FAILED. */
	enum reason (*why)(const void *in);
	/* After DONE. */
	const struct addr *(*target)(const void *in);
	/* What the target gets first, *n bytes; may be NULL. */
	const uint8_t *(*head)(const void *in, size_t *n);
	/* How much of what follows may pass, and of the answer, see struct
	 * relay_filter; pass NULL: all of both. */
	size_t (*pass)(void *in, const uint8_t *p, size_t n);
	bool (*broken)(const void *in);
	size_t (*reply)(void *in, const uint8_t *p, size_t n);
	bool (*over)(const void *in);
	/* The answer; bound may be NULL. */
	void (*accept)(void *in, const char *bound, struct reply *reply);
	void (*refuse)(void *in, enum reason why, struct reply *reply);
};

extern const struct inbound inbound_socks; /* socks.c */
extern const struct inbound inbound_http;  /* http.c */
extern const struct inbound inbound_mixed; /* mixed.c */

/* What sessions need of the client. */
struct sessions_ops {
	/* The tunnel, or NULL: it is down. */
	struct tunnel *(*tunnel)(void *ctx);
	/* Somebody waits for it. */
	void (*want)(void *ctx);
	/* A session or a relay has ended. */
	void (*ended)(void *ctx);
};

struct sessions {
	struct worker *worker;
	const struct sessions_ops *ops;
	void *ctx;
	uint64_t connect_timeout_ms;
	unsigned int keepalive_s;
	const char *auth; /* see struct inbound */
	struct session *first;
	struct relays relays;
	bool draining; /* take no new request */
};

void sessions_init(struct sessions *all, struct worker *w,
		   const struct sessions_ops *ops, void *ctx);
/* app has connected to a proxy that speaks in; takes app. */
void session_start(struct sessions *all, struct end *app,
		   const struct inbound *in);
/* The tunnel is up: those that wait go on. */
void sessions_wake(struct sessions *all);
bool sessions_waiting(const struct sessions *all);
bool sessions_busy(const struct sessions *all);
/* Drop those that have not got an answer yet. */
void sessions_drain(struct sessions *all);
/* Drop all, relays too. */
void sessions_drop(struct sessions *all, enum reason why);

#endif
