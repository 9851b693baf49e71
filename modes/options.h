/* SPDX-License-Identifier: MIT */
/*
 * Every option of wsp, one row each (options.c).
 *
 * Order: default < file < environment < command line.
 */
#ifndef MODES_OPTIONS_H
#define MODES_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/log.h"
#include "core/opt.h"
#include "modes/egress.h"
#include "proto/addr.h"

#define LISTENS_MAX 16
#define PORT_SERVER 8010 /* where a server listens */

enum { MODE_SERVER = 1, MODE_CLIENT = 2 }; /* bits of struct opt_row */

struct listens {
	struct addr at[LISTENS_MAX];
	int count;
};

struct options {
	unsigned int mode;
	bool help;
	char *config;
	/* server */
	struct listens listen;
	char *path;
	char *tls_cert, *tls_key;
	bool allow_origin;
	struct egress egress;
	/* client */
	struct server_url server;
	char *host, *sni;       /* NULL: those of the URL */
	char *fields;           /* of --header, each with its CRLF, or NULL */
	struct proxy_url proxy; /* to the server, if use_proxy */
	bool use_proxy, proxy_set;
	struct listens socks, http, mixed;
	char *proxy_auth; /* "user:password" for these, or NULL */
	char *tls_ca;
	bool insecure;
	bool retry_all;
	uint64_t wait_ms; /* 0: for ever */
	/* both */
	char *token; /* NULL: none */
	bool allow_anonymous;
	uint64_t connect_timeout_ms;
	uint64_t grace_ms;
	unsigned int tcp_keepalive_s; /* 0: none */
	size_t max_memory;            /* bytes of windows */
	int log_level;                /* an enum log_level, or beyond it */
	bool log_json;
	bool announce;
	int ready_fd; /* -1: none */
	char *ready_file;
};

/* Read argv[1..] (argv[0] is the subcommand), the environment and the file into
 * *o. 0, or the exit code after an error has been printed on stderr. With
 * o->help set, nothing else counts. Secrets are wiped where they were read. */
int options_read(struct options *o, unsigned int mode, int argc, char **argv);
void options_done(struct options *o);

/* The table, for help.c; mode is one bit, or 0. */
struct opt_set options_table(unsigned int mode);

#endif
