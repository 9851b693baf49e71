/* SPDX-License-Identifier: MIT */
/*
 * A session is an application's connection to one of the client's proxies,
 * until it is a relay:
 *
 *	REQUEST	 10 seconds to say what it wants
 *	AUTH	 user and password are checked; 10 seconds, then REQUEST again
 *	ASKING	 for a stream to the target, see modes/ask.h
 *	CARRYING a request of HTTP goes to its origin, see modes/web.h; then
 *		 REQUEST again, for 2 minutes
 *
 * Behind a refusal its connection lingers, see modes/linger.h.
 *
 * What an application says is the business of an inbound: SOCKS, HTTP.
 */
#ifndef MODES_SESSION_H
#define MODES_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/log.h"
#include "core/relay.h"
#include "core/worker.h"
#include "proto/addr.h"
#include "proto/page.h"

#include "modes/ask.h"
#include "modes/linger.h"
#include "modes/login.h"
#include "modes/web.h"

#define REPLY_MAX PAGE_MAX

struct http1;
struct tunnel;
struct users;

struct reply {
	uint8_t bytes[REPLY_MAX];
	size_t len;
};

enum inbound_state {
	INBOUND_MORE,
	INBOUND_AUTH,  /* user and password must be judged first */
	INBOUND_DONE,  /* a stream to target(), which becomes a relay */
	INBOUND_CARRY, /* request() goes to target(), and others may follow */
	INBOUND_LOCAL, /* request() is for the proxy itself */
	INBOUND_FAILED
};

/* A proxy protocol. in is what new_() has returned. */
struct inbound {
	const char *name;
	/* auth: ask for user and password. NULL: no memory. */
	void *(*new_)(bool auth);
	void (*free)(void *in);
	/* The next bytes; *used of them are taken. reply, if its len is set,
	 * goes out at once. */
	enum inbound_state (*feed)(void *in, const uint8_t *p, size_t n,
				   size_t *used, struct reply *reply);
	/* After AUTH: what is to be judged, valid until admit(). */
	void (*credentials)(const void *in, const char **user,
			    const char **password);
	/* After AUTH: they are right; what feed() says. Else: refuse(). */
	enum inbound_state (*admit)(void *in, struct reply *reply);
	/* After FAILED. */
	enum reason (*why)(const void *in);
	/* After DONE and CARRY. */
	const struct addr *(*target)(const void *in);
	/* After CARRY and LOCAL; belongs to in. */
	struct http1 *(*request)(void *in);
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
	struct asks asks;
	unsigned int keepalive_s;
	struct logins logins;
	struct session *first;
	struct lingers lingers;
	struct relays relays;
	bool draining; /* answers are the last of their connections */
};

void sessions_init(struct sessions *all, struct worker *w,
		   const struct sessions_ops *ops, void *ctx);
/* app has connected to a proxy that speaks in; takes app. */
void session_start(struct sessions *all, struct end *app,
		   const struct inbound *in);
bool sessions_busy(const struct sessions *all);
/* Drop those that have not got an answer yet. */
void sessions_drain(struct sessions *all);
/* Drop all, relays too. */
void sessions_drop(struct sessions *all, enum reason why);

#endif
