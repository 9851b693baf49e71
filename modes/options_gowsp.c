/* SPDX-License-Identifier: MIT */
#include "modes/options_gowsp.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "modes/options.h"
#include "modes/options_set.h"
#include "proto/upgrade.h"

#define USAGE 2

struct file {
	const char *path;
	const char *mark;        /* the key that makes it gowsp's */
	struct options *all;     /* what the file is about */
	struct options *to;      /* what the object that is read is about */
	struct options *entries; /* of the client, in their order */
	unsigned int nth;        /* the entry, from 1; 0: none, or no list */
	const char *inside;      /* "ssl", or NULL */
	const char *key;
	unsigned int item; /* of its list, from 1; 0: it has none */
	bool tls;
};

typedef int take_fn(struct file *f, const json_t *v);

struct key {
	const char *name;
	take_fn *take;
};

/* What is said, always with the place. */

static FILE *out(const struct options *o)
{
	return o->errors ? o->errors : stderr;
}

static void say(const struct file *f, const char *what, const char *text)
{
	char entry[32] = "", item[32] = "";

	if (f->nth)
		snprintf(entry, sizeof(entry), "client %u: ", f->nth);
	if (f->item)
		snprintf(item, sizeof(item), " %u", f->item);
	fprintf(out(f->all), "wsp: %s%s: %s\"%s%s%s\"%s: %s\n", what, f->path,
		entry, f->inside ? f->inside : "", f->inside ? "." : "", f->key,
		item, text);
}

static void warn(const struct file *f, const char *text)
{
	say(f, "warning: ", text);
}

/* Text is what would be right, NULL: nothing is wrong. */
static int check(const struct file *f, const char *text)
{
	if (!text)
		return 0;
	say(f, "", text);
	return USAGE;
}

/* Objects. */

static int unknown(const struct file *f)
{
	struct opt_set set = options_table(0);
	char text[80];

	snprintf(text, sizeof(text),
		 "an option of wsp, in a file that \"%s\" makes gowsp's",
		 f->mark);
	for (size_t i = 0; i < set.count; i++)
		if (strcmp(set.rows[i].name, f->key) == 0)
			return check(f, text);
	warn(f, "unknown, and ignored as gowsp does");
	return 0;
}

static int read_key(struct file *f, const struct key *keys, const json_t *v)
{
	for (; keys->name; keys++)
		if (strcasecmp(keys->name, f->key) == 0)
			return json_is_null(v) ? 0 : keys->take(f, v);
	return unknown(f);
}

static int read_object(struct file *f, const struct key *keys,
		       const json_t *object)
{
	const char *key, *outer = f->key;
	json_t *v;
	int code = 0;

	if (!json_is_object(object))
		return check(f, "must be an object, {...}");
	/* the cast: jansson's macro only reads */
	json_object_foreach((json_t *)object, key, v)
	{
		f->key = key;
		code = read_key(f, keys, v);
		if (code)
			break;
	}
	f->key = outer;
	return code;
}

/* A string goes to set, an empty one says nothing. */
static int take_text(struct file *f, const json_t *v, struct options *to,
		     opt_set_fn *set)
{
	const char *text = json_string_value(v);

	if (!text)
		return check(f, "must be a string");
	return *text ? check(f, set(to, text)) : 0;
}

static int take_texts(struct file *f, const json_t *v,
		      int (*take)(struct file *f, const char *text))
{
	const json_t *item;
	size_t at;
	int code = 0;

	if (!json_is_array(v))
		return check(f, "must be a list of strings, [...]");
	json_array_foreach(v, at, item)
	{
		f->item = (unsigned int)at + 1;
		code = json_is_string(item) ? take(f, json_string_value(item))
					    : check(f, "must be a string");
		if (code)
			break;
	}
	f->item = 0;
	return code;
}

/* Both files. */

static int take_auth(struct file *f, const json_t *v)
{
	return take_text(f, v, f->to, set_token);
}

/* What gowsp does not know is info, its default and ours. */
static const char *set_level(void *t, const char *value)
{
	static const char *const known[] = {"error", "debug", "trace"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcasecmp(value, known[i]) == 0)
			return set_log_level(t, known[i]);
	return set_log_level(t, "info");
}

static int take_level(struct file *f, const json_t *v)
{
	return take_text(f, v, f->all, set_level);
}

static int take_output(struct file *f, const json_t *v)
{
	if (!json_is_string(v))
		return check(f, "must be a string");
	if (*json_string_value(v))
		warn(f, "wsp logs to stderr only: 2>>FILE puts it into a file");
	return 0;
}

static int take_log(struct file *f, const json_t *v)
{
	static const struct key keys[] = {
		{"level", take_level}, {"output", take_output}, {NULL, NULL}};
	int code;

	if (!json_is_object(v))
		return check(f, "must be an object, {...}");
	f->inside = f->key;
	code = read_object(f, keys, v);
	f->inside = NULL;
	return code;
}

/* wspc.json. */

static int take_server(struct file *f, const json_t *v)
{
	return take_text(f, v, f->to, add_server);
}

/* "socks5://[ADDR]:PORT", what is behind it is ignored; a user's name is the
 * channel of another client. */
static int listen_at(struct file *f, const char *url)
{
	const char *form = "not socks5://[ADDR]:PORT or http://[ADDR]:PORT";
	const char *at = strstr(url, "://");
	size_t scheme = at ? (size_t)(at - url) : 0, n;
	char text[ADDR_TEXT_MAX];
	bool socks = scheme == 6 && strncasecmp(url, "socks5", 6) == 0;

	if (!socks && (scheme != 4 || strncasecmp(url, "http", 4) != 0))
		return check(f, form);
	at += 3;
	n = strcspn(at, "/?#");
	if (memchr(at, '@', n)) {
		warn(f, "a proxy whose way out is another client (a tunnel): "
			"wsp does not do that yet, it is left out");
		return 0;
	}
	if (n >= sizeof(text) || !memchr(at, ':', n))
		return check(f, form);
	snprintf(text, sizeof(text), "%.*s", (int)n, at);
	if (socks)
		return check(f, set_socks(f->to, text));
	return check(f, set_http(f->to, text));
}

static int take_dynamic(struct file *f, const json_t *v)
{
	f->to->socks.narrow = f->to->http.narrow = true;
	return take_texts(f, v, listen_at);
}

static int forward(struct file *f, const char *text)
{
	bool tunnel = strncasecmp(text, "tunnel:", 7) == 0;

	if (tolower((unsigned char)*f->key) == 'l')
		warn(f, "wsp does not forward ports to other clients yet, it "
			"is left out");
	else if (tunnel)
		warn(f, "wsp does not offer a tunnel to other clients yet, it "
			"is left out");
	else
		warn(f, "wsp does not offer services to others yet, it is left "
			"out");
	return 0;
}

static int take_forwards(struct file *f, const json_t *v)
{
	return take_texts(f, v, forward);
}

/* Also the whole file, before gowsp 0.5. */
static const struct key entry_keys[] = {
	{"auth", take_auth},       {"server", take_server},
	{"dynamic", take_dynamic}, {"local", take_forwards},
	{"remote", take_forwards}, {NULL, NULL},
};

static int read_entry(struct file *f, const json_t *v)
{
	struct options *e = calloc(1, sizeof(*e)), **end = &f->entries;
	const char *outer = f->key;
	int code;

	if (!e) {
		fprintf(out(f->all), "wsp: out of memory\n");
		return USAGE;
	}
	while (*end)
		end = &(*end)->next;
	*end = e;
	f->to = e;
	code = read_object(f, entry_keys, v);
	f->key = "server";
	if (!code && !e->servers.count)
		code = check(f, "missing: the URL of a server, ws://HOST:PORT");
	f->key = outer;
	f->to = f->all;
	return code;
}

static int take_client(struct file *f, const json_t *v)
{
	const json_t *item;
	size_t at;
	int code = 0;

	if (!json_is_array(v))
		return check(f, "must be a list of objects, [{...}]");
	json_array_foreach(v, at, item)
	{
		f->nth = (unsigned int)at + 1;
		code = read_entry(f, item);
		if (code)
			break;
	}
	f->nth = 0;
	return code;
}

static bool listens(const struct options *o)
{
	return o->socks.count || o->http.count;
}

static void entry_free(struct options *e)
{
	if (e->token)
		explicit_bzero(e->token, strlen(e->token));
	free(e->token);
	free(e);
}

/* What an entry says is moved to o. */
static void move_entry(struct options *o, struct options *e)
{
	o->servers = e->servers;
	o->token = e->token;
	o->token_file = NULL;
	o->socks = e->socks;
	o->http = e->http;
	e->token = NULL;
}

static void keep_entries(struct file *f)
{
	struct options **end = &f->all->next, *first = f->entries, *e, *after;

	while (first && !listens(first))
		first = first->next;
	if (!first)
		first = f->entries;
	if (first)
		move_entry(f->all, first);
	for (e = f->entries; e; e = after) {
		after = e->next;
		e->next = NULL;
		if (e == first || !listens(e)) {
			entry_free(e);
			continue;
		}
		*end = e;
		end = &e->next;
	}
}

static int read_client(struct file *f, const json_t *root, bool list)
{
	static const struct key keys[] = {
		{"log", take_log}, {"client", take_client}, {NULL, NULL}};
	int code = list ? read_object(f, keys, root) : read_entry(f, root);

	keep_entries(f);
	return code;
}

/* wsps.json. */

static int take_port(struct file *f, const json_t *v)
{
	json_int_t port = json_integer_value(v);
	char text[16];

	if (!json_is_integer(v) || port < 1 || port > UINT16_MAX)
		return check(f, "not a port (1 to 65535)");
	snprintf(text, sizeof(text), ":%d", (int)port);
	clear_listen(f->all);
	f->all->listen.narrow = true;
	return check(f, set_listen(f->all, text));
}

/* As gowsp has it: without the first slash, then without blanks. */
static const char *set_clean_path(void *t, const char *value)
{
	char path[UPGRADE_PATH_MAX];
	int n;

	value += *value == '/';
	value += strspn(value, " \t\r\n");
	n = snprintf(path, sizeof(path), "/%s", value);
	if (n >= (int)sizeof(path))
		return "too long";
	while (n > 1 && strchr(" \t\r\n", path[n - 1]))
		path[--n] = 0;
	return set_path(t, path);
}

static int take_path(struct file *f, const json_t *v)
{
	return take_text(f, v, f->all, set_clean_path);
}

static int take_host(struct file *f, const json_t *v)
{
	if (!json_is_string(v))
		return check(f, "must be a string");
	if (*json_string_value(v))
		warn(f, "names the server among the domains of its clients' "
			"services, which wsp does not offer yet; ignored");
	return 0;
}

static int take_enable(struct file *f, const json_t *v)
{
	if (!json_is_boolean(v))
		return check(f, "must be true or false");
	f->tls = json_is_true(v);
	return 0;
}

static int take_ssl_key(struct file *f, const json_t *v)
{
	return take_text(f, v, f->all, set_tls_key);
}

static int take_ssl_cert(struct file *f, const json_t *v)
{
	return take_text(f, v, f->all, set_tls_cert);
}

static int take_ssl(struct file *f, const json_t *v)
{
	static const struct key keys[] = {{"enable", take_enable},
					  {"key", take_ssl_key},
					  {"cert", take_ssl_cert},
					  {NULL, NULL}};
	struct options *o = f->all;
	int code;

	if (!json_is_object(v))
		return check(f, "must be an object, {...}");
	f->inside = f->key;
	code = read_object(f, keys, v);
	f->inside = NULL;
	if (code)
		return code;
	if (f->tls && (!o->tls_key || !o->tls_cert))
		return check(f, "enable is true, but key or cert is missing; "
				"gowsp would serve without TLS");
	if (!f->tls) {
		free(o->tls_key);
		free(o->tls_cert);
		o->tls_key = o->tls_cert = NULL;
	}
	return 0;
}

static int read_server(struct file *f, const json_t *root)
{
	static const struct key keys[] = {
		{"port", take_port}, {"auth", take_auth}, {"path", take_path},
		{"host", take_host}, {"ssl", take_ssl},   {"log", take_log},
		{NULL, NULL},
	};
	int code = read_object(f, keys, root);

	f->key = "port";
	if (!code && !f->all->listen.count)
		code = check(f, "missing: the port to listen on");
	return code;
}

/* Which file it is. */

static const json_t *get(const json_t *root, const char *name)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)root, key, v)
	{
		if (strcasecmp(key, name) == 0)
			return v;
	}
	return NULL;
}

/* The first of the keys that only gowsp has, or NULL. */
static const char *mark_of(const json_t *root)
{
	static const char *const marks[] = {"client", "dynamic", "port", "ssl",
					    "auth"};

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (get(root, marks[i]))
			return marks[i];
	return json_is_object(get(root, "log")) ? "log" : NULL;
}

bool gowsp_file_is(const json_t *root)
{
	return mark_of(root) != NULL;
}

int gowsp_file_read(struct options *o, const char *path, const json_t *root)
{
	struct file f = {
		.path = path,
		.mark = mark_of(root),
		.all = o,
		.to = o,
		.key = "",
	};
	bool list = get(root, "client");
	bool flat = !list && (get(root, "dynamic") || get(root, "server"));
	bool client = list || flat;

	if (o->mode == MODE_CLIENT && (client || !get(root, "port")))
		return read_client(&f, root, !flat);
	if (o->mode == MODE_SERVER && !client)
		return read_server(&f, root);
	fprintf(out(o),
		"wsp: %s: this is gowsp's %s; wsp %s --config reads it\n", path,
		client ? "wspc.json" : "wsps.json",
		client ? "client" : "server");
	return USAGE;
}

/* The entries behind the first. */

void gowsp_share(struct options *o)
{
	for (struct options *e = o->next; e; e = e->next) {
		struct options own = *e;

		*e = *o;
		move_entry(e, &own);
		e->mixed.count = 0;
		e->next = own.next;
	}
}

void gowsp_done(struct options *o)
{
	struct options *after;

	for (struct options *e = o->next; e; e = after) {
		after = e->next;
		explicit_bzero(&e->proxy, sizeof(e->proxy));
		explicit_bzero(&e->servers, sizeof(e->servers));
		entry_free(e);
	}
	o->next = NULL;
}
