/* SPDX-License-Identifier: MIT */
/* Reading all sources of options, and what only makes sense together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "modes/options.h"
#include "modes/proxy.h"

#define USAGE       2
#define TOKEN_SHORT 16 /* bytes; less can be guessed */

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

static int check_server(struct options *o)
{
	if (!o->path)
		o->path = strdup("/");
	if (!o->path)
		return usage("out of memory");
	if (!o->listen.count)
		o->listen.at[o->listen.count++].port = PORT_SERVER;
	fill_hosts(&o->listen, o->token ? "*" : "127.0.0.1");
	if (!o->tls_cert != !o->tls_key)
		return usage("--tls-cert and --tls-key: give both or neither");
	if (!o->token && !all_loopback(&o->listen) && !o->allow_anonymous)
		return usage("--listen: everybody could use this server: give "
			     "--token-file FILE, or --allow-anonymous if that "
			     "is meant");
	o->egress.open = !o->token && all_loopback(&o->listen);
	return 0;
}

static int check_inbound(const struct options *o, const char *option,
			 struct listens *l)
{
	fill_hosts(l, "127.0.0.1");
	if (o->allow_anonymous || o->proxy_auth || all_loopback(l))
		return 0;
	fprintf(stderr,
		"wsp: %s: everybody could use this proxy: listen on 127.0.0.1, "
		"or give --proxy-auth, or --allow-anonymous if that is meant\n",
		option);
	return USAGE;
}

static int check_client(struct options *o)
{
	int code;

	if (!o->socks.count && !o->http.count && !o->mixed.count)
		return usage("client: nothing to do: add --socks, --http or "
			     "--mixed");
	code = proxy_choose(o);
	if (!code)
		code = check_inbound(o, "--socks", &o->socks);
	if (!code)
		code = check_inbound(o, "--http", &o->http);
	if (!code)
		code = check_inbound(o, "--mixed", &o->mixed);
	return code;
}

static int check(struct options *o)
{
	int code = o->mode == MODE_SERVER ? check_server(o) : check_client(o);

	if (o->log_level > LOG_TRACE)
		o->log_level = LOG_TRACE;
	if (!code && o->token && strlen(o->token) < TOKEN_SHORT)
		fprintf(stderr,
			"wsp: warning: the token is shorter than %d "
			"characters: it could be guessed\n",
			TOKEN_SHORT);
	return code;
}

static void set_defaults(struct options *o, unsigned int mode)
{
	memset(o, 0, sizeof(*o));
	o->mode = mode;
	o->ready_fd = -1;
	o->log_level = LOG_INFO;
	/* gowsp's client gives up after 5 seconds */
	o->connect_timeout_ms = mode == MODE_SERVER ? 4500 : 10000;
	o->grace_ms = 10000;
	o->tcp_keepalive_s = 60;
	o->max_memory = 256 * 1024 * 1024;
	server_url_parse("ws://127.0.0.1:8010/", &o->server);
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
	if (o->config)
		config = o->config;
	if (config && *config)
		code = opt_read_file(&set, config);
	if (!code)
		code = opt_read_env(&set);
	if (!code)
		code = opt_read_args(&set, argc, argv);
	return code ? code : check(o);
}

void options_done(struct options *o)
{
	if (o->token)
		explicit_bzero(o->token, strlen(o->token));
	explicit_bzero(&o->proxy, sizeof(o->proxy));
	if (o->proxy_auth)
		explicit_bzero(o->proxy_auth, strlen(o->proxy_auth));
	free(o->proxy_auth);
	free(o->token);
	free(o->config);
	free(o->path);
	free(o->tls_cert);
	free(o->tls_key);
	free(o->tls_ca);
	free(o->host);
	free(o->sni);
	if (o->fields)
		explicit_bzero(o->fields, strlen(o->fields));
	free(o->fields);
	free(o->ready_file);
}
