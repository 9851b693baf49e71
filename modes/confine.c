/* SPDX-License-Identifier: MIT */
#include "modes/confine.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/sandbox.h"
#include "proto/reason.h"

/* The folder of a file that is made or removed, not of one that is read. */
static void allow_beside(struct sandbox *s, const char *file, unsigned int may)
{
	char *folder = strdup(file), *slash;

	if (!folder)
		return;
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = 0;
	sandbox_allow(s, slash ? folder : ".", may);
	free(folder);
}

/* Names, certificates, chance. */
static void allow_system(struct sandbox *s)
{
	sandbox_allow(s, "/etc", SANDBOX_READ);
	sandbox_allow_file(s, "/etc/resolv.conf");
	sandbox_allow_file(s, "/etc/hosts");
	sandbox_allow_file(s, getenv("SSL_CERT_FILE"));
	sandbox_allow_file(s, getenv("WSP_CONFIG"));
	sandbox_allow(s, "/dev/urandom", SANDBOX_READ);
	sandbox_allow(s, "/dev/null", SANDBOX_READ);
}

static void allow_sockets(struct sandbox *s, const struct listens *l)
{
	for (int i = 0; i < l->count; i++) {
		const char *path = addr_unix(&l->at[i]);

		if (path && *path != '@')
			allow_beside(s, path, SANDBOX_REMOVE);
	}
}

static void allow_files(struct sandbox *s, const struct options *o)
{
	const char *const files[] = {
		o->tokens,   o->config,  o->token_file,    o->proxy_users,
		o->tls_cert, o->tls_key, o->tls_client_ca, o->tls_ca,
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		sandbox_allow_file(s, files[i]);
	if (o->static_folder)
		sandbox_allow(s, o->static_folder, SANDBOX_READ | SANDBOX_LIST);
	if (o->ready_file)
		allow_beside(s, o->ready_file, SANDBOX_MAKE | SANDBOX_REMOVE);
	allow_sockets(s, &o->listen);
	allow_sockets(s, &o->socks);
	allow_sockets(s, &o->http);
	allow_sockets(s, &o->mixed);
}

static bool is_wanted(const struct options *o)
{
	return o->sandbox != SANDBOX_OFF && !sandbox_obstacle();
}

static int enter_sandbox(const struct options *o)
{
	const char *offer = sandbox_offer(), *refused;
	struct sandbox s;

	sandbox_open(&s);
	allow_system(&s);
	for (const struct options *e = o; e; e = e->next)
		allow_files(&s, e);
	refused = sandbox_enter(&s);
	if (!refused) {
		log_debug(NULL, "sandbox: %s", offer);
		return 0;
	}
	if (o->sandbox == SANDBOX_ON) {
		log_error(NULL, "--sandbox on: the kernel refuses %s", refused);
		return reason_exit(REASON_USAGE);
	}
	log_warn(NULL, "sandbox: the kernel refuses %s", refused);
	return 0;
}

static int become_user(const struct options *o)
{
	const struct account *a = &o->account;
	const char *error = account_become(a);

	if (error) {
		log_error(NULL, "--user: %s", error);
		return reason_exit(REASON_INTERNAL);
	}
	log_info(NULL, "now user %s (%u), group %u",
		 a->name[0] ? a->name : "without a name", (unsigned)a->uid,
		 (unsigned)a->gid);
	if (is_wanted(o)) /* the change has made it readable again */
		sandbox_hide_memory();
	return 0;
}

int confine_begin(const struct options *o)
{
	const char *obstacle = sandbox_obstacle();

	if (!obstacle && !sandbox_is_whole())
		obstacle = "this kernel does not have all of it";
	if (obstacle && o->sandbox == SANDBOX_ON) {
		log_error(NULL, "--sandbox on: %s", obstacle);
		return reason_exit(REASON_USAGE);
	}
	if (is_wanted(o)) {
		sandbox_hide_memory();
		sandbox_prepare();
	}
	return 0;
}

int confine_enter(const struct options *o)
{
	int code = o->account.set ? become_user(o) : 0;

	if (!code && is_wanted(o))
		return enter_sandbox(o);
	if (!code)
		log_debug(NULL, "sandbox: off%s%s",
			  sandbox_obstacle() ? ": " : "",
			  sandbox_obstacle() ? sandbox_obstacle() : "");
	return code;
}
