/* SPDX-License-Identifier: MIT */
#include "modes/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

#define ERROR_SIZE (4096 + 256) /* a path, and what is wrong */

/* At the start. */

struct tls_config reload_tls(const struct options *o)
{
	return (struct tls_config){
		.cert = o->tls_cert,
		.key = o->tls_key,
		.client_ca = o->tls_client_ca,
		.only_1_3 = o->tls_only_1_3,
	};
}

struct roster *reload_roster(const struct options *o)
{
	char error[ERROR_SIZE] = "out of memory";
	struct roster *r = roster_new(&o->egress);
	bool good = r;

	if (good && (o->token || !o->tokens))
		good = roster_add_token(r, o->token);
	if (good && o->tokens)
		good = roster_add_file(r, o->tokens, error, sizeof(error));
	good = good && roster_finish(r, NULL);
	if (good && o->tokens && !roster_names(r)) {
		snprintf(error, sizeof(error),
			 "%s: there is no token in it: make one with wsp token "
			 "NAME --file %s",
			 o->tokens, o->tokens);
		good = false;
	}
	if (good) {
		roster_enforce(r);
		return r;
	}
	log_error(NULL, "--tokens: %s", error);
	roster_free(r);
	return NULL;
}

/* After HUP. */

/* What has been read again, and what of it was good. */
struct again {
	const struct options *o;
	struct desks *desks;
	const struct roster *old;
	struct options now;
	bool rules, token, names;
	char error[ERROR_SIZE];
};

static void keep_old(const char *option, const char *error)
{
	log_warn(NULL, "HUP: %s%s; what it said before stays in force", option,
		 error);
}

static void read_options(struct again *a)
{
	const struct options *o = a->o;

	if (o->config) {
		a->rules = !options_again_config(o, &a->now, a->error,
						 sizeof(a->error));
		a->token = a->rules && o->token_in_config;
		if (!a->rules)
			keep_old("--config ", a->error);
	}
	if (o->token_file) {
		a->token = !options_again_token(o, &a->now, a->error,
						sizeof(a->error));
		if (!a->token)
			keep_old("", a->error);
	}
}

/* All but the file of tokens. NULL: no memory. */
static struct roster *begin(const struct again *a)
{
	struct roster *r =
		roster_new(a->rules ? &a->now.egress : &a->old->egress);
	bool good;

	if (!r)
		return NULL;
	good = a->token ? roster_add_token(r, a->now.token)
			: roster_copy(r, a->old, false);
	if (good)
		return r;
	roster_free(r);
	return NULL;
}

/* NULL: no memory. */
static struct roster *build(struct again *a)
{
	struct roster *r = begin(a);
	bool good = r;

	a->names = good && a->o->tokens &&
		   roster_add_file(r, a->o->tokens, a->error, sizeof(a->error));
	if (good && a->o->tokens && !a->names) {
		keep_old("--tokens ", a->error);
		roster_free(r);
		r = begin(a);
		good = r && roster_copy(r, a->old, true);
	}
	if (good && roster_finish(r, a->old))
		return r;
	roster_free(r);
	return NULL;
}

static void log_done(const struct again *a, bool tls)
{
	char names[40] = "";

	if (a->names)
		snprintf(names, sizeof(names), " %zu tokens",
			 roster_names(a->desks->roster));
	if (a->rules || a->token || a->names || tls)
		log_info(NULL, "HUP: read again:%s%s%s%s",
			 a->rules ? " rules" : "", a->token ? " token" : "",
			 names, tls ? " certificates" : "");
	else
		log_info(NULL, "HUP: nothing was read again");
	if (a->names && !roster_names(a->desks->roster))
		log_warn(NULL,
			 "HUP: --tokens %s: there is no token in it: "
			 "nobody gets in by it",
			 a->o->tokens);
}

static bool renew_tls(const struct again *a)
{
	struct tls_config tls = reload_tls(a->o);
	const char *error;

	if (!a->o->tls_cert)
		return false;
	error = desks_renew_tls(a->desks, &tls);
	if (error)
		keep_old("", error);
	return !error;
}

void reload_all(struct desks *all)
{
	struct again *a = calloc(1, sizeof(*a));
	struct roster *r = NULL;
	bool tls;

	if (a) {
		a->o = all->service->options;
		a->desks = all;
		a->old = all->roster;
		read_options(a);
		r = build(a);
	}
	if (!r || desks_renew_roster(all, r)) {
		roster_free(r);
		keep_old("", "out of memory");
	} else {
		tls = renew_tls(a);
		log_done(a, tls);
	}
	if (a)
		options_done(&a->now);
	free(a);
}
