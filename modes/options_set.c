/* SPDX-License-Identifier: MIT */
#include "modes/options_set.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/tls.h"
#include "core/worker.h"
#include "proto/upgrade.h"

#include "modes/options.h"
#include "modes/pool.h"

#define SECONDS_MAX   86400
#define KEEPALIVE_MAX 32767 /* what Linux takes */

/* Texts are copied: where they were read may be wiped. */
static const char *set_text(char **to, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return "out of memory";
	free(*to);
	*to = copy;
	return NULL;
}

static const char *read_seconds(const char *value, uint64_t *ms)
{
	char *end;
	double s = strtod(value, &end);

	if (end == value || *end || !(s >= 0 && s <= SECONDS_MAX))
		return "not a number of seconds (0 to 86400)";
	*ms = (uint64_t)(s * 1000 + 0.5);
	return NULL;
}

/* The rows' functions, in the order of the table. */

static const char *add_way(struct ways *ways, const char *url)
{
	struct server_url *to;
	enum addr_err err;

	if (ways->count == SERVERS_MAX)
		return "too many servers, 16 are possible";
	to = &ways->at[ways->count].url;
	err = server_url_parse(url, to);
	if (err && strchr(url, '@'))
		return "no user or password belongs here: see --token-file";
	if (err)
		return addr_strerror(err);
	ways->count++;
	ways->tls |= to->tls;
	return NULL;
}

/* One value may be several, for the variable: no URL contains a blank. */
const char *add_server(void *t, const char *value)
{
	char word[ADDR_TEXT_MAX + PATH_MAX_LEN];
	const char *error = NULL;
	size_t n;

	do {
		value += strspn(value, " ");
		n = strcspn(value, " ");
		if (n >= sizeof(word))
			return "too long";
		memcpy(word, value, n);
		word[n] = 0;
		error = add_way(&((struct options *)t)->servers, word);
		value += n + strspn(value + n, " ");
	} while (*value && !error);
	return error;
}

void clear_servers(void *t)
{
	struct ways *ways = &((struct options *)t)->servers;

	ways->count = 0;
	ways->tls = false;
}

const char *set_host(void *t, const char *value)
{
	struct options *o = t;
	struct addr a;

	if (!host_parse(value, strlen(value), NULL) &&
	    addr_parse(value, strlen(value), &a) != ADDR_OK)
		return "not NAME or NAME:PORT";
	return set_text(&o->host, value);
}

const char *set_sni(void *t, const char *value)
{
	struct options *o = t;

	if (!host_parse(value, strlen(value), NULL))
		return "not a name";
	return set_text(&o->sni, value);
}

const char *add_header(void *t, const char *value)
{
	struct options *o = t;
	char all[UPGRADE_FIELDS_MAX];
	int n;

	if (!upgrade_field_is_good(value))
		return "not \"Name: value\", or a name that wsp sends itself";
	n = snprintf(all, sizeof(all), "%s%s\r\n", o->fields ? o->fields : "",
		     value);
	if (n >= (int)sizeof(all))
		return "all of these are longer than 1900 bytes";
	return set_text(&o->fields, all);
}

void clear_headers(void *t)
{
	struct options *o = t;

	free(o->fields);
	o->fields = NULL;
}

const char *set_proxy_auth(void *t, const char *value)
{
	const char *colon = strchr(value, ':');
	size_t n = colon ? (size_t)(colon - value) : 0;

	if (n == 0 || n > 255 || !colon[1] || strlen(colon + 1) > 255)
		return "not USER:PASSWORD";
	return set_text(&((struct options *)t)->proxy_auth, value);
}

const char *set_proxy_users(void *t, const char *value)
{
	return set_text(&((struct options *)t)->proxy_users, value);
}

const char *set_proxy(void *t, const char *value)
{
	struct options *o = t;

	o->proxy_set = true;
	o->use_proxy = strcmp(value, "none") != 0;
	if (o->use_proxy && proxy_url_parse(value, &o->proxy) != ADDR_OK)
		return "not none, http://HOST:PORT, https:// or socks5://, "
		       "with USER:PASSWORD@ before the host where it is needed";
	return NULL;
}

const char *set_path(void *t, const char *value)
{
	struct options *o = t;
	char path[UPGRADE_PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s%s", *value == '/' ? "" : "/",
			 value);

	if (n >= (int)sizeof(path) || strpbrk(value, "?# \t\r\n"))
		return "not a path, such as /tunnel";
	return set_text(&o->path, path);
}

/* Requests are passed on as they are: there is nothing that a path or a scheme
 * could change. */
const char *set_backend(void *t, const char *value)
{
	static const char http[] = "http://";
	struct options *o = t;
	struct server_url url;

	if (strncasecmp(value, http, sizeof(http) - 1) != 0)
		return "not http://HOST:PORT (https:// and unix: are not "
		       "possible: give the site a plain port on loopback)";
	if (server_url_parse(value, &url) != ADDR_OK ||
	    strcmp(url.path, "/") != 0)
		return "not http://HOST:PORT, without user, path or query";
	o->backend = url.addr;
	o->use_backend = true;
	return NULL;
}

const char *set_static(void *t, const char *value)
{
	struct stat st;

	if (stat(value, &st) || !S_ISDIR(st.st_mode) || access(value, X_OK))
		return "not a folder that can be read";
	return set_text(&((struct options *)t)->static_folder, value);
}

/* As gowsp compares it: printable, without blanks at its ends. */
const char *set_token(void *t, const char *value)
{
	struct options *o = t;
	size_t n = strlen(value);

	if (n == 0 || n >= UPGRADE_TOKEN_MAX)
		return "a token has 1 to 511 characters";
	for (size_t i = 0; i < n; i++)
		if (value[i] < ' ' || value[i] > '~')
			return "a token is printable ASCII";
	if (value[0] == ' ' || value[n - 1] == ' ')
		return "a token neither begins nor ends with a blank";
	free(o->token_file);
	o->token_file = NULL;
	o->token_in_config = o->in_file;
	if (o->token)
		explicit_bzero(o->token, strlen(o->token));
	return set_text(&o->token, value);
}

const char *set_token_file(void *t, const char *value)
{
	struct options *o = t;
	char line[UPGRADE_TOKEN_MAX + 2] = "";
	FILE *f = fopen(value, "re");
	const char *error;

	if (!f)
		return "cannot read this file";
	/* Else a copy stays in its buffer. In one read, not byte by byte: a
	 * file that is being written again is empty or whole, not half a token.
	 */
	setvbuf(f, NULL, _IONBF, 0);
	line[fread(line, 1, sizeof(line) - 1, f)] = 0;
	fclose(f);
	line[strcspn(line, "\r\n")] = 0;
	error = line[0] ? set_token(o, line)
			: "the first line of this file is the token, and "
			  "it is empty";
	explicit_bzero(line, sizeof(line));
	o->token_in_config &= error != NULL;
	return error ? error : set_text(&o->token_file, value);
}

const char *set_file(void *t, const char *value)
{
	return set_text(&((struct options *)t)->file, value);
}

const char *set_tokens(void *t, const char *value)
{
	return set_text(&((struct options *)t)->tokens, value);
}

const char *set_tls_cert(void *t, const char *value)
{
	return set_text(&((struct options *)t)->tls_cert, value);
}

const char *set_tls_key(void *t, const char *value)
{
	return set_text(&((struct options *)t)->tls_key, value);
}

const char *set_tls_client_ca(void *t, const char *value)
{
	return set_text(&((struct options *)t)->tls_client_ca, value);
}

const char *set_tls_min(void *t, const char *value)
{
	struct options *o = t;

	o->tls_only_1_3 = strcmp(value, "1.3") == 0;
	if (o->tls_only_1_3 && !tls_has_1_3())
		return "the TLS library of this wsp (see wsp version) has no "
		       "TLS 1.3";
	return o->tls_only_1_3 || strcmp(value, "1.2") == 0 ? NULL
							    : "not 1.2 or 1.3";
}

const char *add_tls_pin(void *t, const char *value)
{
	struct options *o = t;

	if (o->npins == PINS_MAX)
		return "too many pins, 16 are possible";
	if (!pin_parse(value, &o->pins[o->npins]))
		return "not sha256: and 44 characters of base64, or 64 "
		       "hexadecimal digits";
	o->npins++;
	return NULL;
}

void clear_tls_pins(void *t)
{
	((struct options *)t)->npins = 0;
}

const char *set_tls_ca(void *t, const char *value)
{
	return set_text(&((struct options *)t)->tls_ca, value);
}

const char *set_insecure(void *t, const char *value)
{
	(void)value;
	((struct options *)t)->insecure = true;
	return NULL;
}

const char *set_proxy_protocol(void *t, const char *value)
{
	(void)value;
	((struct options *)t)->proxy_protocol = true;
	return NULL;
}

const char *add_trusted(void *t, const char *value)
{
	return trust_add(&((struct options *)t)->trust, value);
}

void clear_trusted(void *t)
{
	((struct options *)t)->trust = (struct trust){.count = 0};
}

const char *set_allow_anonymous(void *t, const char *value)
{
	(void)value;
	((struct options *)t)->allow_anonymous = true;
	return NULL;
}

const char *set_allow_origin(void *t, const char *value)
{
	(void)value;
	((struct options *)t)->allow_origin = true;
	return NULL;
}

const char *add_allow(void *t, const char *value)
{
	return egress_add(&((struct options *)t)->egress, true, value);
}

const char *add_deny(void *t, const char *value)
{
	return egress_add(&((struct options *)t)->egress, false, value);
}

/* Rules of all sources count, those of the file first: that one source should
 * lift another's --deny unnoticed would be no help. */
void keep_rules(void *t)
{
	(void)t;
}

const char *set_connect_timeout(void *t, const char *value)
{
	struct options *o = t;
	const char *error = read_seconds(value, &o->connect_timeout_ms);

	if (!error && o->connect_timeout_ms == 0)
		return "must be more than 0 seconds";
	return error;
}

/* A number from 1 to most, digits only. */
static bool read_number(const char *value, unsigned int most, unsigned int *out)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (!isdigit((unsigned char)*value) || *end || n < 1 || n > most)
		return false;
	*out = (unsigned int)n;
	return true;
}

const char *set_connections(void *t, const char *value)
{
	struct options *o = t;
	unsigned int n = 0;

	if (strcmp(value, "auto") && !read_number(value, CONNECTIONS_MAX, &n))
		return "not auto or a number from 1 to 16";
	o->connections = (int)n;
	return NULL;
}

const char *set_wait(void *t, const char *value)
{
	return read_seconds(value, &((struct options *)t)->wait_ms);
}

const char *set_grace(void *t, const char *value)
{
	return read_seconds(value, &((struct options *)t)->grace_ms);
}

const char *set_keepalive(void *t, const char *value)
{
	struct options *o = t;
	uint64_t ms;
	const char *error = read_seconds(value, &ms);

	if (!error && (ms % 1000 || ms / 1000 > KEEPALIVE_MAX))
		return "not a whole number of seconds (0 to 32767)";
	if (!error)
		o->tcp_keepalive_s = (unsigned int)(ms / 1000);
	return error;
}

const char *set_max_memory(void *t, const char *value)
{
	struct options *o = t;
	char *end;
	unsigned long long n = strtoull(value, &end, 10);
	int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;

	if (end == value || *value == '-' || (shift ? end[1] : end[0]) ||
	    n > (SIZE_MAX >> shift) / 2 || n << shift < 1024 * 1024)
		return "not a size of at least 1M, such as 64M or 1G";
	o->max_memory = (size_t)(n << shift);
	return NULL;
}

const char *set_strangers(void *t, const char *value)
{
	struct options *o = t;

	return read_number(value, STRANGERS_MAX, &o->strangers)
		       ? NULL
		       : "not a number from 1 to 65535";
}

const char *set_workers(void *t, const char *value)
{
	struct options *o = t;
	unsigned int cpus = worker_cpus();

	if (strcmp(value, "auto") == 0) {
		o->workers = cpus > WORKERS_MAX ? WORKERS_MAX : cpus;
		return NULL;
	}
	return read_number(value, WORKERS_MAX, &o->workers)
		       ? NULL
		       : "not auto or a number from 1 to 64";
}

const char *set_sandbox(void *t, const char *value)
{
	struct options *o = t;

	if (strcmp(value, "auto") == 0)
		o->sandbox = SANDBOX_AUTO;
	else if (strcmp(value, "on") == 0)
		o->sandbox = SANDBOX_ON;
	else if (strcmp(value, "off") == 0)
		o->sandbox = SANDBOX_OFF;
	else
		return "not auto, on or off";
	return NULL;
}

const char *set_user(void *t, const char *value)
{
	return account_parse(&((struct options *)t)->account, value);
}

const char *set_retry_all(void *t, const char *value)
{
	(void)value;
	((struct options *)t)->retry_all = true;
	return NULL;
}

const char *set_log_level(void *t, const char *value)
{
	struct options *o = t;

	o->log_level = log_level_parse(value);
	return o->log_level < 0 ? "not error, warn, info, debug or trace"
				: NULL;
}

const char *set_verbose(void *t, const char *value)
{
	(void)value;
	((struct options *)t)->log_level++;
	return NULL;
}

const char *set_quiet(void *t, const char *value)
{
	(void)value;
	((struct options *)t)->log_level = LOG_ERROR;
	return NULL;
}

const char *set_log_format(void *t, const char *value)
{
	struct options *o = t;

	o->log_json = strcmp(value, "json") == 0;
	return o->log_json || strcmp(value, "text") == 0 ? NULL
							 : "not text or json";
}

const char *set_announce(void *t, const char *value)
{
	(void)value;
	((struct options *)t)->announce = true;
	return NULL;
}

const char *set_ready_fd(void *t, const char *value)
{
	struct options *o = t;
	char *end;
	long n = strtol(value, &end, 10);

	if (end == value || *end || n < 0 || n > 65535 ||
	    fcntl((int)n, F_GETFD) < 0)
		return "not the number of an open descriptor";
	o->ready_fd = (int)n;
	return NULL;
}

const char *set_ready_file(void *t, const char *value)
{
	const char *slash = strrchr(value, '/');
	char folder[4096] = ".";

	if (slash)
		snprintf(folder, sizeof(folder), "%.*s",
			 slash == value ? 1 : (int)(slash - value), value);
	if (access(folder, W_OK) != 0)
		return "no file can be made in this folder";
	return set_text(&((struct options *)t)->ready_file, value);
}

const char *set_config(void *t, const char *value)
{
	return set_text(&((struct options *)t)->config, value);
}

const char *set_help(void *t, const char *value)
{
	(void)value;
	((struct options *)t)->help = true;
	return NULL;
}
