/* SPDX-License-Identifier: MIT */
#include "modes/visitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "core/conn.h"
#include "core/refusal.h"
#include "core/tls.h"
#include "core/tunnel.h"
#include "proto/container.h"
#include "proto/mux.h"

#include "modes/guesses.h"
#include "modes/preface.h"
#include "modes/source.h"

#define HANDSHAKE_MS   10000
#define GUESSES_FREE   3  /* wrong tokens in a minute: the first that waits */
#define GUESSES_MUTE   10 /* the first that gets no answer */
#define PENALTY_MAX_MS 5000
#define UNACKED_MS     60000  /* TCP_USER_TIMEOUT of a tunnel's socket */
#define STALLED_MS     300000 /* the same for a socket that may be the site's */
#define PEER_SIZE      64     /* "[IPV6]:65535" fits */
#define NAME_SIZE      (PEER_SIZE + TOKENLINE_NAME_MAX + 16)

struct visitor {
	struct visitor *next, *prev;
	struct visitors *all;
	struct stranger stranger; /* until UP */
	struct end *conn;         /* the socket */
	struct preface *preface;  /* PREFACE */
	struct end *tls;          /* TLS */
	struct guest *guest;      /* GUEST */
	struct tunnel *tunnel;    /* OPENING, UP */
	struct deadline handshake;
	struct pass pass; /* behind on_check() */
	bool counted;     /* as a tunnel of its usage */
	bool up;
	bool guessed;         /* a wrong token, which has been logged */
	char peer[PEER_SIZE]; /* who says what follows */
	char name[NAME_SIZE];
};

static void visitor_free(struct visitor *v)
{
	deadline_clear(&v->handshake);
	strangers_remove(&v->all->strangers, &v->stranger);
	DL_DELETE(v->all->first, v);
	if (v->counted)
		usage_close(v->pass.member->usage, USAGE_TUNNELS);
	pass_drop(&v->pass);
	atomic_fetch_sub(&v->all->count, 1);
	free(v);
}

static void visitor_drop(struct visitor *v, enum reason why)
{
	if (v->preface)
		preface_drop(v->preface, why);
	if (v->tls)
		end_drop(v->tls, why);
	if (v->guest)
		guest_drop(v->guest, why);
	if (v->tunnel)
		tunnel_close(v->tunnel, why);
	visitor_free(v);
}

/* Whom the log lines name. */
static void set_peer(struct visitor *v, const char *peer)
{
	snprintf(v->peer, sizeof(v->peer), "%.63s", peer);
	snprintf(v->name, sizeof(v->name), "client %s", v->peer);
}

/* Behind a front, its word counts if it is trusted. */
static void set_origin(struct visitor *v, const char *forwarded)
{
	char origin[IP_TEXT_MAX], peer[PEER_SIZE];

	if (!trust_origin(&v->all->options->trust, v->peer, forwarded, origin))
		return;
	snprintf(peer, sizeof(peer), "%s", v->peer);
	set_peer(v, origin);
	log_debug(v->name, "comes through %s", peer);
}

/* A visitor has gone before it was a tunnel. Anybody can make this line
 * appear, so there is at most one a second. Who goes by himself, as the checks
 * of load balancers do all the time, was not refused. */
static void log_refused(struct visitor *v, enum reason why, const char *detail)
{
	struct visitors *all = v->all;

	if (why == REASON_RESET || v->guessed)
		log_debug(v->name, "has gone: %s",
			  detail ? detail : reason_text(why));
	else if (log_limit(&all->refused, worker_now(all->worker)))
		log_warn(v->name, "client refused: %s%s%s%s", reason_text(why),
			 detail ? ": " : "", detail ? detail : "",
			 all->refused.more);
}

static void on_handshake_over(struct deadline *d)
{
	struct visitor *v = container_of(d, struct visitor, handshake);

	if (v->guest) {
		guest_pass(v->guest, "no WebSocket handshake in time");
		return;
	}
	log_refused(v, REASON_TIMED_OUT, NULL);
	visitor_drop(v, REASON_TIMED_OUT);
}

/* Strangers. */

/* There are too many, and s has waited longest. NULL: nobody has to go. */
static void turn_away(struct visitors *all, struct stranger *s)
{
	struct visitor *v;

	if (!s)
		return;
	v = container_of(s, struct visitor, stranger);
	if (v->guest) {
		guest_pass(v->guest, "too many without a handshake");
		return;
	}
	if (log_limit(&all->crowded, worker_now(all->worker)))
		log_warn(v->name,
			 "closed for newer ones: too many connections without "
			 "a handshake, see --max-unauthenticated%s",
			 all->crowded.more);
	visitor_drop(v, REASON_LIMIT);
}

/* Does v's peer speak for itself, so that it counts where it comes from? */
static bool is_placed(const struct visitor *v, struct source *from)
{
	const struct options *o = v->all->options;

	return !o->proxy_protocol && !trust_has(&o->trust, v->peer) &&
	       source_of(v->peer, from);
}

static void join_strangers(struct visitor *v)
{
	struct strangers *all = &v->all->strangers;
	struct source from;

	turn_away(v->all, strangers_add(all, &v->stranger,
					is_placed(v, &from) ? &from : NULL));
}

/* The front has told where v comes from. */
static void place_stranger(struct visitor *v)
{
	struct strangers *all = &v->all->strangers;
	struct source from;

	if (source_of(v->peer, &from))
		turn_away(v->all, strangers_place(all, &v->stranger, &from));
}

/* A wrong token. The first of a minute is logged, and that there are more; from
 * then on the answer is held back for longer and longer, and left out in the
 * end. The right token is welcome all the same: many may share an address. */
static enum reason unauthorized(struct visitor *v)
{
	struct visitors *all = v->all;
	struct penalty penalty = {0};
	struct source from;
	unsigned int n;

	if (!v->tunnel || !source_of(v->peer, &from))
		return REASON_UNAUTHORIZED;
	n = guesses_add(all->guesses, &from,
			worker_since(all->worker, 0) / 1000);
	v->guessed = n > 1;
	if (n < GUESSES_FREE)
		return REASON_UNAUTHORIZED;
	if (n == GUESSES_FREE &&
	    log_limit(&all->guessing, worker_now(all->worker)))
		log_warn(v->name,
			 "%u wrong tokens within a minute: answers are delayed "
			 "now, further ones are not logged%s",
			 n, all->guessing.more);
	penalty.wait_ms = 1000 * (uint64_t)(n - GUESSES_FREE + 1);
	if (penalty.wait_ms > PENALTY_MAX_MS)
		penalty.wait_ms = PENALTY_MAX_MS;
	penalty.mute = n >= GUESSES_MUTE;
	tunnel_punish(v->tunnel, &penalty);
	return REASON_UNAUTHORIZED;
}

/* Whoever it is has a token of ours. LIMIT: he has tunnels enough. A guest is
 * asked twice, and counts when he has left the site. */
static enum reason let_in(struct visitor *v, const struct member *m)
{
	pass_drop(&v->pass);
	v->pass.roster = roster_ref(v->all->roster);
	v->pass.member = m;
	if (m->said.name[0])
		snprintf(v->name, sizeof(v->name), "client %s (%s)", v->peer,
			 m->said.name);
	if (!v->tunnel || !m->usage)
		return REASON_DONE;
	v->counted = usage_open(m->usage, USAGE_TUNNELS);
	return v->counted ? REASON_DONE : REASON_LIMIT;
}

static bool on_knows(void *ctx, const char *token)
{
	struct visitor *v = ctx;

	return roster_find(v->all->roster, token);
}

static enum reason on_check(void *ctx, const struct upgrade_request *req)
{
	struct visitor *v = ctx;
	const struct options *o = v->all->options;
	const struct member *m;

	set_origin(v, req->forwarded);
	if (strcmp(req->path, o->path) != 0)
		return REASON_NOT_FOUND;
	/* any web page in a browser may open ws://127.0.0.1 */
	if (req->has_origin && !o->allow_origin)
		return REASON_FORBIDDEN;
	m = roster_find(v->all->roster, req->token);
	if (!m)
		return unauthorized(v);
	return req->proto_ok ? let_in(v, m) : REASON_BAD_REQUEST;
}

static void on_up(void *ctx)
{
	struct visitor *v = ctx;

	v->up = true;
	strangers_remove(&v->all->strangers, &v->stranger);
	deadline_clear(&v->handshake);
	log_info(v->name, "tunnel up%s",
		 tunnel_native(v->tunnel) ? "" : " (a gowsp client)");
}

static void on_open(void *ctx, struct end *e, const struct addr *target)
{
	struct visitor *v = ctx;
	struct visitors *all = v->all;

	if (all->draining)
		stream_refuse(e, REASON_STOPPING);
	else
		connect_start(&all->connects, e, target, &v->pass, v->name);
}

static void on_down(void *ctx, enum reason why, const char *detail)
{
	struct visitor *v = ctx;

	if (v->up)
		log_info(v->name, "tunnel down: %s%s%s", reason_text(why),
			 detail ? ": " : "", detail ? detail : "");
	else
		log_refused(v, why, detail);
	visitor_free(v);
}

static const struct tunnel_events tunnel_events = {
	.check = on_check,
	.up = on_up,
	.open = on_open,
	.down = on_down,
};

/* False: v is gone. */
static bool open_tunnel(struct visitor *v, struct end *lower)
{
	v->tunnel =
		tunnel_start(v->all->worker, lower, NULL, &tunnel_events, v);
	if (v->tunnel)
		return true;
	visitor_free(v);
	return false;
}

/* With --backend or --static. */

static bool hides(const struct visitors *all)
{
	return all->options->use_backend || all->folder >= 0;
}

static void on_ours(void *ctx, struct end *e, const uint8_t *p, size_t n)
{
	struct visitor *v = ctx;

	v->guest = NULL;
	conn_bulk(v->conn, UNACKED_MS);
	if (open_tunnel(v, e) && !tunnel_feed(v->tunnel, p, n))
		visitor_drop(v, REASON_NO_MEMORY);
}

static void on_theirs(void *ctx)
{
	struct visitor *v = ctx;

	v->guest = NULL;
	visitor_free(v);
}

static const struct guest_ops guest_ops = {
	.knows = on_knows,
	.check = on_check,
	.ours = on_ours,
	.theirs = on_theirs,
};

/* What e says comes from the visitor, undisguised. */
static void start_talking(struct visitor *v, struct end *e)
{
	struct visitors *all = v->all;

	if (!hides(all)) {
		open_tunnel(v, e);
		return;
	}
	v->guest = guest_new(&all->backend, e, v->name, &guest_ops, v);
	if (!v->guest)
		visitor_free(v);
}

static void on_tls_opened(struct end *e, const char *bound)
{
	struct visitor *v = e->user;

	(void)bound;
	v->tls = NULL;
	start_talking(v, e);
}

static void on_tls_dead(struct end *e, enum reason why, const char *detail)
{
	struct visitor *v = e->user;

	v->tls = NULL;
	log_refused(v, why, detail);
	visitor_free(v);
}

/* Until it is opened, a TLS end tells nothing else. */
static const struct end_events tls_events = {
	.opened = on_tls_opened,
	.dead = on_tls_dead,
};

/* What comes now is the visitor's own. */
static void begin(struct visitor *v, struct end *e)
{
	struct visitors *all = v->all;

	v->conn = e;
	conn_bulk(e, hides(all) ? STALLED_MS : UNACKED_MS);
	if (hides(all))
		conn_keepalive(e, all->options->tcp_keepalive_s);
	if (!all->tls) {
		start_talking(v, e);
		return;
	}
	v->tls = tls_open(all->worker, all->tls, e, NULL, &tls_events, v);
	if (!v->tls)
		visitor_free(v);
}

static void on_preface(void *ctx, struct end *e, const struct addr *from)
{
	struct visitor *v = ctx;
	char text[ADDR_TEXT_MAX];

	v->preface = NULL;
	if (from) {
		addr_format(from, text);
		log_debug(v->name, "is a front of %s", text);
		set_peer(v, text);
		place_stranger(v);
	}
	begin(v, e);
}

static void on_no_preface(void *ctx, enum reason why, const char *detail)
{
	struct visitor *v = ctx;

	v->preface = NULL;
	log_refused(v, why, detail);
	visitor_free(v);
}

static const struct preface_events preface_events = {
	.done = on_preface,
	.failed = on_no_preface,
};

void visitors_take(struct visitors *all, struct end *e)
{
	struct worker *w = all->worker;
	struct visitor *v = e ? calloc(1, sizeof(*v)) : NULL;

	if (!v) {
		if (e)
			end_drop(e, REASON_NO_MEMORY);
		atomic_fetch_sub(&all->count, 1);
		return;
	}
	v->all = all;
	set_peer(v, conn_peer(e));
	DL_APPEND(all->first, v);
	deadline_set(w, &v->handshake, HANDSHAKE_MS, on_handshake_over);
	if (w->conns > w->max_conns) {
		log_refused(v, REASON_LIMIT, NULL);
		end_drop(e, REASON_LIMIT);
		visitor_free(v);
		return;
	}
	join_strangers(v);
	if (!all->options->proxy_protocol) {
		begin(v, e);
		return;
	}
	v->preface = preface_open(e, &preface_events, v);
	if (!v->preface)
		visitor_free(v);
}

/* All of them. */

static void on_connects_ended(struct connects *c)
{
	struct visitors *all = container_of(c, struct visitors, connects);

	all->ended(all);
}

static void on_backend_ended(struct backend *b)
{
	struct visitors *all = container_of(b, struct visitors, backend);

	all->ended(all);
}

void visitors_init(struct visitors *all)
{
	const struct options *o = all->options;

	strangers_init(&all->strangers, o->strangers, o->workers);
	connects_init(&all->connects, all->worker);
	all->connects.timeout_ms = o->connect_timeout_ms;
	all->connects.keepalive_s = o->tcp_keepalive_s;
	all->connects.ended = on_connects_ended;
	all->backend = (struct backend){
		.worker = all->worker,
		.at = o->backend,
		.folder = all->folder,
		.keepalive_s = o->tcp_keepalive_s,
		.ended = on_backend_ended,
	};
	backend_init(&all->backend);
}

/* Whoever has a token expects that it can be taken back: from its streams,
 * too. */
static void check_passes(struct visitors *all)
{
	struct visitor *v, *next;

	DL_FOREACH_SAFE(all->first, v, next)
	{
		if (!v->pass.member || pass_renew(&v->pass, all->roster))
			continue;
		log_info(v->name, "%s: its token is not in force any more",
			 v->up ? "tunnel down" : "client refused");
		visitor_drop(v, REASON_UNAUTHORIZED);
	}
}

void visitors_renew(struct visitors *all, struct roster *r,
		    struct tls_context *tls)
{
	if (tls) {
		tls_context_free(all->tls);
		all->tls = tls;
	}
	if (r) {
		roster_free(all->roster);
		all->roster = r;
		check_passes(all);
	}
}

void visitors_drain(struct visitors *all)
{
	all->draining = true;
}

bool visitors_busy(const struct visitors *all)
{
	return connects_busy(&all->connects) || backend_busy(&all->backend);
}

void visitors_drop(struct visitors *all, enum reason why)
{
	connects_drop(&all->connects, why);
	backend_drop(&all->backend, why);
	while (all->first)
		visitor_drop(all->first, why);
}
