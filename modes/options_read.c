/* SPDX-License-Identifier: MIT */
/* Reading all sources of options, and what only makes sense together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/memory.h"
#include "core/worker.h"

#include "modes/options.h"
#include "modes/options_gowsp.h"
#include "modes/options_set.h"
#include "modes/proxy.h"

#define USAGE        2
#define SERVER_URL   "ws://127.0.0.1:8010/"
#define MEMORY_LEAST (1024 * 1024)
#define MEMORY_MOST  (256 * 1024 * 1024) /* unless asked for */
#define TOKEN_SHORT  16                  /* bytes; less can be guessed */

static int usage(const char *text)
{
	fprintf(stderr, "wsp: %s\n", text);
	return USAGE;
}

static void fill_hosts(struct listens *l, const char *host)
{
	for (int i = 0; i < l->count; i++)
		if (!l->at[i].host[0])
			snprintf(l->at[i].host, sizeof(l->at[i].host), "%s",
				 host);
}

static bool all_loopback(const struct listens *l)
{
	for (int i = 0; i < l->count; i++)
		if (!host_is_loopback(l->at[i].host))
			return false;
	return true;
}

static int check_pair(const struct options *o)
{
	if (!o->tls_cert == !o->tls_key)
		return 0;
	return usage("--tls-cert and --tls-key: give both or neither");
}

/* "*" becomes this machine, where that is what the file means to allow. */
static void narrow(struct listens *l, const char *option)
{
	if (!l->narrow)
		return;
	for (int i = 0; i < l->count; i++) {
		struct addr *a = &l->at[i];

		if (strcmp(a->host, "*") != 0)
			continue;
		snprintf(a->host, sizeof(a->host), "127.0.0.1");
		fprintf(stderr,
			"wsp: warning: %s: port %d only on 127.0.0.1, since "
			"nothing asks for a secret; --allow-anonymous opens "
			"it to everybody, as gowsp does\n",
			option, a->port);
	}
}

static bool is_own_listener(const struct options *o)
{
	const struct addr *at = &o->backend;

	for (int i = 0; i < o->listen.count; i++) {
		const struct addr *l = &o->listen.at[i];

		if (l->port == at->port && (strcmp(l->host, at->host) == 0 ||
					    (host_is_loopback(at->host) &&
					     (strcmp(l->host, "*") == 0 ||
					      host_is_loopback(l->host)))))
			return true;
	}
	return false;
}

/* Whoever connects is not the user but a web server, for anybody. */
static bool has_front(const struct options *o)
{
	for (int i = 0; i < o->listen.count; i++)
		if (addr_unix(&o->listen.at[i]))
			return true;
	return o->proxy_protocol || o->trust.count || o->trust.local;
}

static int check_server(struct options *o)
{
	bool secret = o->token || o->tokens || o->tls_client_ca;

	if (!o->path)
		o->path = strdup("/");
	if (!o->path)
		return usage("out of memory");
	if (!o->listen.count)
		o->listen.at[o->listen.count++].port = PORT_SERVER;
	fill_hosts(&o->listen, secret ? "*" : "127.0.0.1");
	if (o->tls_client_ca && !o->tls_cert)
		return usage("--tls-client-ca: only TLS has certificates: give "
			     "--tls-cert and --tls-key too");
	if (!secret && !o->allow_anonymous)
		narrow(&o->listen, "--listen");
	if (!secret && !all_loopback(&o->listen) && !o->allow_anonymous)
		return usage(
			"--listen: everybody could use this server: give "
			"--token-file FILE, --tokens FILE or --tls-client-ca "
			"FILE, or --allow-anonymous if that is meant");
	if (o->use_backend && o->static_folder)
		return usage("--backend and --static: give one of them");
	if ((o->use_backend || o->static_folder) && !o->token && !o->tokens)
		return usage("--backend, --static: without a token there is "
			     "nothing to hide: give --token-file or --tokens "
			     "FILE");
	if (o->use_backend && is_own_listener(o))
		return usage("--backend: this is where the server itself "
			     "listens: give the port of the web site");
	o->egress.open = !secret && all_loopback(&o->listen) && !has_front(o);
	return 0;
}

static int check_inbound(const struct options *o, const char *option,
			 struct listens *l)
{
	fill_hosts(l, "127.0.0.1");
	if (o->allow_anonymous || o->proxy_auth || o->proxy_users)
		return 0;
	narrow(l, option);
	if (all_loopback(l))
		return 0;
	fprintf(stderr,
		"wsp: %s: everybody could use this proxy: listen on 127.0.0.1, "
		"or give --proxy-auth or --proxy-users, or --allow-anonymous "
		"if "
		"that is meant\n",
		option);
	return USAGE;
}

static int check_trust(const struct options *o)
{
	if (o->npins && o->insecure)
		return usage("--insecure would switch --tls-pin off: give one "
			     "of them");
	if (o->npins && !o->servers.tls)
		return usage("--tls-pin: no --server is wss://");
	return 0;
}

static int check_client(struct options *o)
{
	int code;

	if (!o->socks.count && !o->http.count && !o->mixed.count)
		return usage("client: nothing to do: add --socks, --http or "
			     "--mixed");
	if (o->proxy_auth && o->proxy_users)
		return usage("--proxy-auth and --proxy-users: give one of "
			     "them");
	if (!o->servers.count)
		add_server(o, SERVER_URL);
	code = check_trust(o);
	if (!code)
		code = proxy_choose(o);
	if (!code)
		code = check_inbound(o, "--socks", &o->socks);
	if (!code)
		code = check_inbound(o, "--http", &o->http);
	if (!code)
		code = check_inbound(o, "--mixed", &o->mixed);
	return code;
}

/* Several, so that what is small need not wait for a processor behind bulk. A
 * client with so many connections as it was told to has one. */
static int check_workers(struct options *o)
{
	size_t most = o->max_memory / MEMORY_LEAST;

	if (o->workers > most)
		return usage("--max-memory: each of the --workers needs 1M");
	if (!o->workers) {
		o->workers = worker_usual();
		if (o->workers > most)
			o->workers = (unsigned int)most;
	}
	if (o->connections)
		o->workers = 1;
	return 0;
}

static int check(struct options *o)
{
	int code = check_pair(o);

	gowsp_share(o);
	if (!code)
		code = check_workers(o);
	if (!code && o->mode == MODE_SERVER)
		code = check_server(o);
	else
		for (struct options *e = o; e && !code; e = e->next)
			code = check_client(e);
	if (o->log_level > LOG_TRACE)
		o->log_level = LOG_TRACE;
	for (const struct options *e = o; e && !code; e = e->next)
		if (e->token && strlen(e->token) < TOKEN_SHORT) {
			fprintf(stderr,
				"wsp: warning: the token is shorter than %d "
				"characters: it could be guessed\n",
				TOKEN_SHORT);
			break;
		}
	return code;
}

/* A quarter of what there is: windows are the most, not all. */
static size_t default_memory(void)
{
	size_t n = memory_there_is("") / 4;

	if (n == 0 || n > MEMORY_MOST)
		return MEMORY_MOST;
	return n < MEMORY_LEAST ? MEMORY_LEAST : n;
}

static void set_defaults(struct options *o, unsigned int mode)
{
	memset(o, 0, sizeof(*o));
	o->mode = mode;
	o->ready_fd = -1;
	o->access = (struct sockfile_access){
		.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
	o->log_level = LOG_INFO;
	/* gowsp's client gives up after 5 seconds */
	o->connect_timeout_ms = mode == MODE_SERVER ? 4500 : 10000;
	o->grace_ms = 10000;
	o->tcp_keepalive_s = 60;
	o->max_memory = default_memory();
	o->strangers = 100;
}

static int read_file(const struct opt_set *set, struct options *o,
		     const char *path)
{
	json_t *root;
	int code = opt_load_json(set, path, &root);

	if (code)
		return code;
	o->in_file = true;
	code = gowsp_file_is(root) ? gowsp_file_read(o, path, root)
				   : opt_read_json(set, path, root);
	o->in_file = false;
	o->file_rules = o->egress.count;
	json_decref(root);
	return code;
}

int options_read(struct options *o, unsigned int mode, int argc, char **argv)
{
	struct opt_set set = options_table(mode);
	const char *config = getenv("WSP_CONFIG");
	int code;

	set_defaults(o, mode);
	set.target = o;
	code = opt_read_early(&set, argc, argv);
	if (code || o->help)
		return code;
	if (!o->config && config && *config)
		set_config(o, config);
	if (o->config && *o->config)
		code = read_file(&set, o, o->config);
	if (!code)
		code = opt_read_env(&set);
	if (!code)
		code = opt_read_args(&set, argc, argv);
	if (!code)
		code = check(o);
	proxy_forget();
	return code;
}

void options_done(struct options *o)
{
	gowsp_done(o);
	if (o->token)
		explicit_bzero(o->token, strlen(o->token));
	explicit_bzero(&o->proxy, sizeof(o->proxy));
	explicit_bzero(&o->servers, sizeof(o->servers));
	if (o->proxy_auth)
		explicit_bzero(o->proxy_auth, strlen(o->proxy_auth));
	free(o->proxy_auth);
	free(o->proxy_users);
	free(o->token);
	free(o->token_file);
	free(o->config);
	free(o->file);
	free(o->path);
	free(o->tls_cert);
	free(o->tls_key);
	free(o->tls_ca);
	free(o->tls_client_ca);
	free(o->tokens);
	free(o->host);
	free(o->sni);
	if (o->fields)
		explicit_bzero(o->fields, strlen(o->fields));
	free(o->fields);
	free(o->ready_file);
	free(o->static_folder);
}
