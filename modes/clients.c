/* SPDX-License-Identifier: MIT */
/* The mode client: a process with one client, or several, each with a server
 * and proxies of its own. */
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

#include "modes/client.h"
#include "modes/confine.h"
#include "modes/help.h"
#include "modes/modes.h"

struct clients {
	struct service service;
	struct options options;
	struct client **at;
	size_t count;
};

static void on_drain(void *ctx, unsigned int n)
{
	struct clients *all = ctx;

	for (size_t i = 0; i < all->count; i++)
		client_drain(all->at[i], n);
}

static bool on_busy(void *ctx, unsigned int n)
{
	struct clients *all = ctx;

	for (size_t i = 0; i < all->count; i++)
		if (client_busy(all->at[i], n))
			return true;
	return false;
}

static void on_stop(void *ctx, unsigned int n, enum reason why)
{
	struct clients *all = ctx;

	for (size_t i = 0; i < all->count; i++)
		client_stop(all->at[i], n, why);
}

/* HUP: do not wait for the next retry. */
static void on_hangup(void *ctx)
{
	struct clients *all = ctx;

	if (all->service.state == SERVICE_STOPPING)
		return;
	for (size_t i = 0; i < all->count; i++)
		client_reload(all->at[i]);
}

static const struct service_ops service_ops = {
	.drain = on_drain,
	.busy = on_busy,
	.stop = on_stop,
	.hangup = on_hangup,
};

/* Clients of one file have the same password. */
static void wipe_passwords(struct clients *all)
{
	for (struct options *o = &all->options; o; o = o->next)
		if (o->proxy_auth)
			explicit_bzero(o->proxy_auth, strlen(o->proxy_auth));
}

/* 0, or an exit code. */
static int start_all(struct clients *all)
{
	int code = 0;

	for (const struct options *o = &all->options; o && !code; o = o->next) {
		struct client *c = client_start(&all->service, o, &code);

		if (c)
			all->at[all->count++] = c;
	}
	wipe_passwords(all);
	return code;
}

static int run_all(struct clients *all)
{
	int code =
		service_init(&all->service, &all->options, &service_ops, all);

	if (code)
		return code;
	code = start_all(all);
	if (!code)
		code = confine_enter(&all->options);
	if (!code)
		code = service_threads(&all->service);
	if (code)
		service_stop(&all->service, code);
	code = service_run(&all->service);
	for (size_t i = 0; i < all->count; i++)
		client_free(all->at[i]);
	service_done(&all->service);
	return code;
}

static size_t count(const struct options *o)
{
	size_t n = 0;

	for (; o; o = o->next)
		n++;
	return n;
}

int mode_client(int argc, char **argv)
{
	struct clients all = {.at = NULL};
	int code = options_read(&all.options, MODE_CLIENT, argc, argv);

	if (code || all.options.help) {
		options_done(&all.options);
		return code ? code : help_options(MODE_CLIENT);
	}
	log_setup((enum log_level)all.options.log_level, all.options.log_json);
	code = confine_begin(&all.options);
	if (code) {
		options_done(&all.options);
		return code;
	}
	all.at = calloc(count(&all.options), sizeof(struct client *));
	if (all.at) {
		code = run_all(&all);
	} else {
		log_error(NULL, "cannot start: out of memory");
		code = reason_exit(REASON_INTERNAL);
	}
	free(all.at);
	options_done(&all.options);
	return code;
}
