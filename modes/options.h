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
#include <stdio.h>

#include "core/log.h"
#include "core/opt.h"
#include "core/sockfile.h"
#include "modes/account.h"
#include "modes/egress.h"
#include "modes/trust.h"
#include "proto/addr.h"
#include "proto/pin.h"

#define LISTENS_MAX   16
#define SERVERS_MAX   16
#define PINS_MAX      16
#define WORKERS_MAX   64
#define STRANGERS_MAX 65535
#define PORT_SERVER   8010 /* where a server listens */

/* Of --sandbox; AUTO is as much of it as there is. */
enum sandbox_mode { SANDBOX_AUTO, SANDBOX_ON, SANDBOX_OFF };

/* bits of struct opt_row */
enum { MODE_SERVER = 1, MODE_CLIENT = 2, MODE_TOKEN = 4 };

struct listens {
	struct addr at[LISTENS_MAX];
	int count;
	/* of gowsp's file, where no address means all of them: rather this
	 * machine alone than everybody without a secret */
	bool narrow;
};

/* A server, and how it is reached. */
struct way {
	struct server_url url;
	struct proxy_url proxy; /* if use_proxy */
	bool use_proxy;
};

struct ways {
	struct way at[SERVERS_MAX];
	int count;
	bool tls; /* at least one is wss */
};

struct options {
	/* Of another server, with listeners of its own: only gowsp's file has
	 * more than one. What such entries do not say, all share. */
	struct options *next;
	unsigned int mode;
	bool help;
	char *config; /* or that of $WSP_CONFIG, or NULL */
	char *file;   /* of wsp token */
	FILE *errors; /* NULL: stderr */
	bool in_file; /* while that is read */
	/* server */
	struct listens listen;
	char *path;
	char *tls_client_ca;
	char *tokens; /* a file of them, or NULL */
	bool allow_origin;
	struct addr backend; /* of --backend, if use_backend */
	bool use_backend;
	char *static_folder; /* or NULL */
	bool proxy_protocol;
	struct trust trust;
	unsigned int strangers; /* connections without a handshake yet */
	struct egress egress;
	int file_rules; /* of these, the first come from the file */
	/* client */
	struct ways servers;    /* at least one, with its proxy */
	char *host, *sni;       /* NULL: those of the URL */
	char *fields;           /* of --header, each with its CRLF, or NULL */
	struct proxy_url proxy; /* of --proxy, if use_proxy */
	bool use_proxy, proxy_set;
	struct listens socks, http, mixed;
	char *proxy_auth;  /* "user:password" for these, or NULL */
	char *proxy_users; /* or a file of them */
	char *tls_ca;
	struct pin pins[PINS_MAX];
	int npins;
	bool insecure;
	bool retry_all;
	int connections;  /* 1 to CONNECTIONS_MAX of the pool; 0: elastic */
	uint64_t wait_ms; /* 0: for ever */
	/* both */
	struct sockfile_access access; /* to Unix sockets */
	char *token;                   /* NULL: none */
	char *token_file;              /* where it comes from, or NULL */
	bool token_in_config;          /* or from there */
	char *tls_cert, *tls_key;      /* both or neither */
	bool tls_only_1_3;
	bool allow_anonymous;
	uint64_t connect_timeout_ms;
	uint64_t grace_ms;
	unsigned int tcp_keepalive_s; /* 0: none */
	size_t max_memory;            /* bytes of windows */
	unsigned int workers;         /* at least 1 */
	enum sandbox_mode sandbox;
	struct account account; /* of --user */
	int log_level;          /* an enum log_level, or beyond it */
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

/* What of the options can be read again while the process runs: each fills in
 * what a file says now, into again, which is zeroed or was filled before. NULL,
 * or what is wrong, which is in error then and names the file. options_done()
 * must follow. */
const char *options_again_token(const struct options *o, struct options *again,
				char *error, size_t size);
/* The rules, and the token if it is in that file. */
const char *options_again_config(const struct options *o, struct options *again,
				 char *error, size_t size);

/* The table, for help.c; mode is one bit, or 0. */
struct opt_set options_table(unsigned int mode);

#endif
