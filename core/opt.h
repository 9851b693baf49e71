/* SPDX-License-Identifier: MIT */
/*
 * Options from one table. A row gives the flag, the variable of the
 * environment (WSP_NAME), the key of the configuration file, and the texts of
 * --help, the man page and the shells' completions (core/opttext.h).
 *
 * Sources are read in the order file, environment, command line; a later source
 * that begins a list calls clear(), which may forget those before.
 */
#ifndef CORE_OPT_H
#define CORE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct json_t;

enum opt_arg { OPT_NONE, OPT_REQUIRED, OPT_OPTIONAL };

/* Take value (NULL: none was given) into target. Returns NULL, or what would
 * be right; valid until the next call. */
typedef const char *opt_set_fn(void *target, const char *value);
/* Another source begins a list in target. */
typedef void opt_clear_fn(void *target);

struct opt_row {
	const char *name; /* "listen" */
	char letter;      /* 'v', or 0 */
	enum opt_arg arg;
	unsigned int modes; /* bits: where it is known */
	const char *value;  /* "ADDR:PORT"; FILE is completed as one */
	const char *words;  /* all that value may be, or NULL */
	const char *help;   /* one line */
	const char *more;   /* for the man page, or NULL */
	opt_set_fn *set;
	opt_clear_fn *clear; /* of a list; several rows may share one */
	const char *env;     /* instead of WSP_NAME */
	bool secret;         /* wiped from where it was read */
	bool early;          /* --help, --config: taken before all sources */
};

struct opt_set {
	const struct opt_row *rows;
	size_t count;
	unsigned int mode; /* one bit */
	void *target;
	FILE *errors; /* where they are said; NULL: stderr */
};

/* Each returns 0, or 2 after one line has said what is wrong, where, and what
 * would be right. */
int opt_read_early(const struct opt_set *set, int argc, char **argv);
/* *root, an object of jansson's, is the caller's to free, see opt_read_json();
 * path is for errors. */
int opt_load_json(const struct opt_set *set, const char *path,
		  struct json_t **root);
int opt_read_json(const struct opt_set *set, const char *path,
		  struct json_t *root);
int opt_read_env(const struct opt_set *set);
int opt_read_args(const struct opt_set *set, int argc, char **argv);

/* The row's variable; out has 64 bytes. Returns out. */
char *opt_env_name(const struct opt_row *row, char *out);
/* The word among count ones that was probably meant, or NULL. */
const char *opt_guess(const char *word, const char *const *words, size_t count);

#endif
