/* SPDX-License-Identifier: MIT */
/* Options, from the command line, the environment and files, gowsp's too:
 * what is refused is said in one line at least, and what is taken is whole.
 *
 * The first byte: 1 a client, 2 the environment, 4 a file (else arguments).
 * The others are lines: words, NAME=VALUE, or the file as it is. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "modes/options.h"
#include "modes/pool.h"
#include "test/fuzz/fuzz.h"

#define WORDS_MAX 32

static char *said;
static size_t said_len;

static void check_listens(const struct listens *l)
{
	check(l->count >= 0 && l->count <= LISTENS_MAX);
	for (int i = 0; i < l->count; i++)
		check(l->at[i].host[0]);
}

static void check_options(const struct options *o)
{
	check(!o->tls_cert == !o->tls_key);
	check(o->workers >= 1 && o->workers <= WORKERS_MAX);
	check(o->connect_timeout_ms > 0 && o->max_memory > 0);
	if (o->mode == MODE_SERVER) {
		check_listens(&o->listen);
		check(o->listen.count > 0 && o->path[0] == '/');
		check(!o->egress.open || !o->token);
		return;
	}
	for (; o; o = o->next) {
		check(o->servers.count >= 1 && o->servers.count <= SERVERS_MAX);
		check(o->npins >= 0 && o->npins <= PINS_MAX);
		check(o->connections >= 0 && o->connections <= CONNECTIONS_MAX);
		check_listens(&o->socks);
		check_listens(&o->http);
		check_listens(&o->mixed);
		check(o->socks.count + o->http.count + o->mixed.count > 0);
	}
}

/* Read, and judge what comes of it. */
static void read_all(unsigned int mode, int argc, char **argv)
{
	FILE *usual = stderr;
	struct options o;
	int code;

	stderr = open_memstream(&said, &said_len);
	check(stderr != NULL);
	code = options_read(&o, mode, argc, argv);
	fclose(stderr);
	stderr = usual;
	check(code == 0 || code == 2);
	if (code)
		check(said_len && said[said_len - 1] == '\n');
	else if (!o.help)
		check_options(&o);
	options_done(&o);
	free(said);
}

static void read_file(unsigned int mode, const char *text, size_t n)
{
	char path[40], name[] = "wsp", option[] = "--config";
	char *argv[] = {name, option, path, NULL};
	int fd = memfd_create("options", 0);

	check(fd >= 0 && write(fd, text, n) == (ssize_t)n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_all(mode, 3, argv);
	close(fd);
}

static void read_words(unsigned int mode, char *text)
{
	char name[] = "wsp", *argv[WORDS_MAX + 2] = {name}, *save;
	int argc = 1;

	for (char *w = strtok_r(text, "\n", &save); w && argc <= WORDS_MAX;
	     w = strtok_r(NULL, "\n", &save))
		argv[argc++] = w;
	read_all(mode, argc, argv);
}

static void read_variables(unsigned int mode, char *text)
{
	char name[] = "wsp", *argv[] = {name, NULL}, *save;

	clearenv();
	for (char *w = strtok_r(text, "\n", &save); w;
	     w = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(w, '=');

		if (!value || value == w)
			continue;
		*value = 0;
		setenv(w, value + 1, 1);
	}
	read_all(mode, 1, argv);
	clearenv();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	unsigned int mode;
	char *text;

	if (n == 0)
		return 0;
	mode = p[0] & 1 ? MODE_CLIENT : MODE_SERVER;
	text = malloc(n);
	check(text != NULL);
	memcpy(text, p + 1, n - 1);
	text[n - 1] = 0;
	if (p[0] & 4)
		read_file(mode, text, n - 1);
	else if (p[0] & 2)
		read_variables(mode, text);
	else
		read_words(mode, text);
	free(text);
	return 0;
}
