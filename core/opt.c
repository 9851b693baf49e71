/* SPDX-License-Identifier: MIT */
#include "core/opt.h"

#include <ctype.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define USAGE     2
#define ROWS_MAX  64
#define ENV_SIZE  64
#define WORD_MAX_ 32 /* of what guesses are made for */

/* Where a value comes from: for the error, and for lists to start anew. */
struct source {
	const struct opt_set *set;
	const char *what; /* "option", "environment", a file's name */
	bool seen[ROWS_MAX];
};

static FILE *out(const struct opt_set *set)
{
	return set->errors ? set->errors : stderr;
}

/* Values. */

static size_t index_of(const struct source *s, const struct opt_row *row)
{
	return (size_t)(row - s->set->rows);
}

/* Does this source begin a list that row is a part of? Two rows may share one,
 * as --allow and --deny do. */
static bool begins_list(const struct source *s, const struct opt_row *row)
{
	for (size_t i = 0; i < s->set->count; i++)
		if (s->seen[i] && s->set->rows[i].clear == row->clear)
			return false;
	return row->clear != NULL;
}

static int apply(struct source *s, const struct opt_row *row, const char *name,
		 const char *value)
{
	const char *error;

	if (begins_list(s, row))
		row->clear(s->set->target);
	s->seen[index_of(s, row)] = true;
	error = row->set(s->set->target, value);
	if (!error)
		return 0;
	if (row->secret || !value || strchr(value, '@')) /* a password? */
		fprintf(out(s->set), "wsp: %s %s: %s\n", s->what, name, error);
	else
		fprintf(out(s->set), "wsp: %s %s: \"%s\": %s\n", s->what, name,
			value, error);
	return USAGE;
}

static void wipe(char *text)
{
	/* through volatile: it is not read again, and must happen all the same
	 */
	for (volatile char *p = text; *p; p++)
		*p = 0;
}

/* The command line. */

/* Levenshtein's distance, for words of up to WORD_MAX_ bytes. */
static size_t distance(const char *a, const char *b)
{
	size_t n = strlen(b), row[WORD_MAX_ + 1];

	if (n > WORD_MAX_ || strlen(a) > WORD_MAX_)
		return WORD_MAX_;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			size_t best = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j + 1] + 1 < best)
				best = row[j + 1] + 1;
			row[j + 1] = best;
		}
	}
	return row[n];
}

const char *opt_guess(const char *word, const char *const *words, size_t count)
{
	const char *best = NULL;
	size_t least = 3; /* more edits than two is another word */

	for (size_t i = 0; i < count; i++) {
		size_t d = distance(word, words[i]);

		if (d < least) {
			least = d;
			best = words[i];
		}
	}
	return best;
}

static int unknown(const struct opt_set *set, const char *word)
{
	const char *names[ROWS_MAX], *guess;
	char name[WORD_MAX_ + 1];
	size_t n = 0;

	for (size_t i = 0; i < set->count; i++)
		if (set->rows[i].modes & set->mode)
			names[n++] = set->rows[i].name;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="),
		 strncmp(word, "--", 2) == 0 ? word + 2 : "");
	guess = opt_guess(name, names, n);
	/* what follows '=' may be a secret */
	fprintf(stderr, "wsp: option %.*s: unknown; ", (int)strcspn(word, "="),
		word);
	if (guess)
		fprintf(stderr, "did you mean --%s?\n", guess);
	else
		fprintf(stderr, "see --help\n");
	return USAGE;
}

/* The row of "--name", "--name=value" or "-l"; *value is behind the '='. */
static const struct opt_row *find_row(const struct opt_set *set, char *word,
				      char **value)
{
	size_t n = strcspn(word, "=");

	*value = word[n] ? word + n + 1 : NULL;
	for (size_t i = 0; i < set->count; i++) {
		const struct opt_row *row = &set->rows[i];

		if (!(row->modes & set->mode))
			continue;
		if (strncmp(word, "--", 2) == 0 && n == strlen(row->name) + 2 &&
		    strncmp(word + 2, row->name, n - 2) == 0)
			return row;
		if (row->letter && word[0] == '-' && word[1] == row->letter &&
		    !word[2])
			return row;
	}
	return NULL;
}

/* One option at argv[*i], which moves on. early: only those rows count. */
static int read_option(struct source *s, char **argv, int *i, bool early)
{
	char *word = argv[(*i)++], *value, name[ENV_SIZE];
	const struct opt_row *row = find_row(s->set, word, &value);
	int code;

	if (word[0] != '-' || !word[1]) {
		fprintf(stderr,
			"wsp: \"%s\": options begin with '--'; see "
			"--help\n",
			word);
		return USAGE;
	}
	if (!row)
		return unknown(s->set, word);
	snprintf(name, sizeof(name), "--%s", row->name);
	if (value && row->arg == OPT_NONE) {
		fprintf(stderr, "wsp: option %s: takes no value\n", name);
		return USAGE;
	}
	/* the next word is the value, unless it looks like an option */
	if (!value && row->arg != OPT_NONE && argv[*i] &&
	    (row->arg == OPT_REQUIRED || argv[*i][0] != '-'))
		value = argv[(*i)++];
	if (!value && row->arg == OPT_REQUIRED) {
		fprintf(stderr, "wsp: option %s: needs a value, %s\n", name,
			row->value);
		return USAGE;
	}
	if (row->early != early)
		return 0;
	code = apply(s, row, name, value);
	if (row->secret && value)
		wipe(value);
	return code;
}

static int read_args(const struct opt_set *set, int argc, char **argv,
		     bool early)
{
	struct source s = {.set = set, .what = "option"};
	int code = 0;

	for (int i = 1; i < argc && !code;)
		code = read_option(&s, argv, &i, early);
	return code;
}

int opt_read_early(const struct opt_set *set, int argc, char **argv)
{
	return read_args(set, argc, argv, true);
}

int opt_read_args(const struct opt_set *set, int argc, char **argv)
{
	return read_args(set, argc, argv, false);
}

/* The environment. */

char *opt_env_name(const struct opt_row *row, char *out)
{
	size_t n;

	if (row->env) {
		snprintf(out, ENV_SIZE, "%s", row->env);
		return out;
	}
	snprintf(out, ENV_SIZE, "WSP_%s", row->name);
	n = strlen(out);
	for (size_t i = 0; i < n; i++)
		out[i] = out[i] == '-' ? '_' : (char)toupper(out[i]);
	return out;
}

static bool is_true(const char *value)
{
	return strcmp(value, "1") == 0 || strcmp(value, "true") == 0 ||
	       strcmp(value, "yes") == 0;
}

static bool is_false(const char *value)
{
	return strcmp(value, "0") == 0 || strcmp(value, "false") == 0 ||
	       strcmp(value, "no") == 0;
}

static int read_variable(struct source *s, const struct opt_row *row)
{
	char name[ENV_SIZE], *value = getenv(opt_env_name(row, name));
	int code;

	if (!value || !*value)
		return 0;
	if (row->arg == OPT_NONE) {
		if (is_false(value))
			return 0;
		if (is_true(value))
			return apply(s, row, name, NULL);
		fprintf(stderr, "wsp: environment %s: \"%s\": not 1 or 0\n",
			name, value);
		return USAGE;
	}
	code = apply(s, row, name, value);
	if (row->secret)
		wipe(value);
	return code;
}

int opt_read_env(const struct opt_set *set)
{
	struct source s = {.set = set, .what = "environment"};
	int code = 0;

	for (size_t i = 0; i < set->count && !code; i++)
		if (set->rows[i].modes & set->mode && !set->rows[i].early)
			code = read_variable(&s, &set->rows[i]);
	return code;
}

/* The file. */

static int read_json(struct source *s, const struct opt_row *row,
		     const json_t *v)
{
	char number[40];

	if (json_is_string(v) && row->arg != OPT_NONE)
		return apply(s, row, row->name, json_string_value(v));
	if (json_is_integer(v) && row->arg != OPT_NONE) {
		snprintf(number, sizeof(number), "%lld",
			 (long long)json_integer_value(v));
		return apply(s, row, row->name, number);
	}
	if (json_is_real(v) && row->arg != OPT_NONE) {
		snprintf(number, sizeof(number), "%.3f", json_real_value(v));
		return apply(s, row, row->name, number);
	}
	if (json_is_boolean(v) && row->arg != OPT_REQUIRED)
		return json_is_true(v) ? apply(s, row, row->name, NULL) : 0;
	fprintf(out(s->set), "wsp: %s %s: must be %s\n", s->what, row->name,
		row->arg == OPT_NONE ? "true or false" : "a string or number");
	return USAGE;
}

static int read_member(struct source *s, const char *key, const json_t *v)
{
	const struct opt_row *row = NULL;
	const json_t *item;
	size_t at;
	int code = 0;

	for (size_t i = 0; i < s->set->count; i++)
		if (strcmp(s->set->rows[i].name, key) == 0)
			row = &s->set->rows[i];
	if (!row || row->early) {
		fprintf(out(s->set),
			"wsp: %s \"%s\": unknown key; the keys are the "
			"options without the dashes\n",
			s->what, key);
		return USAGE;
	}
	if (!(row->modes & s->set->mode))
		return 0; /* one file may serve client and server */
	if (!json_is_array(v) || !row->clear)
		return read_json(s, row, v);
	json_array_foreach(v, at, item) if (!code) code =
		read_json(s, row, item);
	return code;
}

/* What jansson keeps may be a secret. */
static void forget(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static json_t *load(const char *path, json_error_t *error)
{
	FILE *f = fopen(path, "re");
	char window[4096];
	json_t *root;

	if (!f) {
		error->line = 0;
		snprintf(error->text, sizeof(error->text), "%s: %s", path,
			 strerror(errno));
		return NULL;
	}
	setvbuf(f, window, _IOFBF, sizeof(window));
	root = json_loadf(f, JSON_REJECT_DUPLICATES, error);
	fclose(f);
	explicit_bzero(window, sizeof(window));
	return root;
}

int opt_load_json(const struct opt_set *set, const char *path, json_t **root)
{
	json_error_t error;

	json_set_alloc_funcs(malloc, forget);
	*root = load(path, &error);
	if (json_is_object(*root))
		return 0;
	if (*root)
		fprintf(out(set), "wsp: %s: not a JSON object, {...}\n", path);
	else if (error.line > 0)
		fprintf(out(set), "wsp: %s:%d:%d: %s\n", path, error.line,
			error.column, error.text);
	else
		fprintf(out(set), "wsp: %s\n", error.text);
	json_decref(*root);
	*root = NULL;
	return USAGE;
}

int opt_read_json(const struct opt_set *set, const char *path, json_t *root)
{
	struct source s = {.set = set, .what = path};
	const char *key;
	json_t *v;
	int code = 0;

	json_object_foreach(root, key, v) if (!code) code =
		read_member(&s, key, v);
	return code;
}
