/* SPDX-License-Identifier: MIT */
/*
 * The server: takes tunnels from clients and dials their targets. Here is the
 * process and where it listens; desks.c has its threads, visitor.c who comes
 * and what becomes of him.
 */
#include "core/folder.h"
#include "core/listen.h"
#include "core/log.h"
#include "core/tls.h"

#include "modes/confine.h"
#include "modes/desks.h"
#include "modes/help.h"
#include "modes/modes.h"
#include "modes/options.h"
#include "modes/reload.h"
#include "modes/service.h"

struct server {
	struct service service;
	struct options options;
	struct listener *listeners[LISTENS_MAX];
	int nlisteners;
	struct desks desks;
};

/* Listeners. */

static bool on_away(void *ctx, int fd, bool local)
{
	struct server *s = ctx;

	return desks_send(&s->desks, fd, local);
}

static void on_accept(void *ctx, struct end *e)
{
	struct server *s = ctx;

	desks_take(&s->desks, e);
}

static void close_listeners(struct server *s)
{
	for (int i = 0; i < s->nlisteners; i++)
		listen_drop(s->listeners[i]);
	s->nlisteners = 0;
}

/* False: one could not be opened. */
static bool open_listeners(struct server *s)
{
	const struct options *o = &s->options;
	const char *kind = o->tls_cert ? "wss" : "ws", *error;
	char text[ADDR_TEXT_MAX];

	for (int i = 0; i < o->listen.count; i++) {
		struct listen_spec spec = {.at = o->listen.at[i],
					   .access = o->access,
					   .on = on_accept,
					   .away = on_away,
					   .ctx = s};
		struct listener *l = listen_open(service_worker(&s->service, 0),
						 &spec, &error);

		if (!l) {
			log_error(NULL, "--listen: cannot listen on %s: %s",
				  addr_format(&spec.at, text), error);
			return false;
		}
		s->listeners[s->nlisteners++] = l;
		log_info(NULL, "listening on %s://%s%s", kind, listen_name(l),
			 o->path);
		ready_line(&s->service.ready, "listening %s %s", kind,
			   listen_name(l));
	}
	return true;
}

/* The service. */

static void on_drain(void *ctx, unsigned int n)
{
	struct server *s = ctx;

	if (n == 0)
		close_listeners(s);
	desk_drain(&s->desks, n);
}

static bool on_busy(void *ctx, unsigned int n)
{
	struct server *s = ctx;

	return desk_busy(&s->desks, n);
}

static void on_stop(void *ctx, unsigned int n, enum reason why)
{
	struct server *s = ctx;

	if (n == 0)
		close_listeners(s);
	desk_stop(&s->desks, n, why);
}

static void on_hangup(void *ctx)
{
	struct server *s = ctx;

	if (s->service.state != SERVICE_STOPPING)
		reload_all(&s->desks);
}

static const struct service_ops service_ops = {
	.drain = on_drain,
	.busy = on_busy,
	.stop = on_stop,
	.hangup = on_hangup,
};

/* 0, or an exit code. */
static int open_desks(struct server *s)
{
	const struct options *o = &s->options;
	struct tls_config tls = reload_tls(o);

	if (o->static_folder) {
		s->desks.folder = folder_open(o->static_folder);
		if (s->desks.folder < 0) {
			log_error(NULL, "--static: cannot open %s",
				  o->static_folder);
			return reason_exit(REASON_USAGE);
		}
	}
	s->desks.roster = reload_roster(o);
	if (!s->desks.roster)
		return reason_exit(REASON_USAGE);
	if (o->tokens)
		log_info(NULL, "%zu tokens in %s",
			 roster_names(s->desks.roster), o->tokens);
	return desks_open(&s->desks, &s->service, o->tls_cert ? &tls : NULL);
}

/* 0, or an exit code. */
static int server_start(struct server *s)
{
	const struct options *o = &s->options;
	char at[ADDR_TEXT_MAX];
	int code;

	if (!o->token && !o->tokens && !o->tls_client_ca)
		log_warn(NULL, "no --token: everybody who can connect may use "
			       "this server");
	code = open_desks(s);
	if (code)
		return code;
	if (o->use_backend || o->static_folder)
		log_info(NULL, "without the token: the web site %s",
			 o->static_folder ? o->static_folder
					  : addr_format(&o->backend, at));
	if (!open_listeners(s))
		return reason_exit(REASON_CANNOT_BIND);
	code = confine_enter(o);
	if (!code)
		code = service_threads(&s->service);
	if (!code)
		ready_now(&s->service.ready);
	return code;
}

static int server_run(struct server *s)
{
	int code = service_init(&s->service, &s->options, &service_ops, s);

	if (code)
		return code;
	code = server_start(s);
	if (code)
		service_stop(&s->service, code);
	code = service_run(&s->service);
	if (!s->service.aborted)
		desks_free(&s->desks);
	service_done(&s->service);
	folder_close(s->desks.folder);
	return code;
}

int mode_server(int argc, char **argv)
{
	struct server s = {.desks.folder = -1};
	int code = options_read(&s.options, MODE_SERVER, argc, argv);

	if (code || s.options.help) {
		options_done(&s.options);
		return code ? code : help_options(MODE_SERVER);
	}
	log_setup((enum log_level)s.options.log_level, s.options.log_json);
	code = confine_begin(&s.options);
	if (!code)
		code = server_run(&s);
	options_done(&s.options);
	return code;
}
