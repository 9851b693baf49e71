/* SPDX-License-Identifier: MIT */
/* What of the options can be read again while the process runs. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "modes/options.h"
#include "modes/options_gowsp.h"
#include "modes/options_set.h"

const char *options_again_token(const struct options *o, struct options *again,
				char *error, size_t size)
{
	const char *wrong = set_token_file(again, o->token_file);

	if (!wrong)
		return NULL;
	snprintf(error, size, "--token-file %s: %s", o->token_file, wrong);
	return error;
}

/* A file of ours: the rest of it is for the next start. */
static int read_own(const struct opt_set *set, const char *path, json_t *root)
{
	json_t *few = json_object(), *v;
	const char *key;
	int code;

	json_object_foreach(root, key, v)
	{
		if (strcmp(key, "allow") == 0 || strcmp(key, "deny") == 0 ||
		    strcmp(key, "token") == 0)
			json_object_set(few, key, v);
	}
	code = opt_read_json(set, path, few);
	json_decref(few);
	return code;
}

static int read_config(const struct options *o, struct options *again,
		       FILE *errors)
{
	struct opt_set set = options_table(o->mode);
	json_t *root;
	int code;

	set.target = again;
	set.errors = errors;
	again->errors = errors;
	again->mode = o->mode;
	code = opt_load_json(&set, o->config, &root);
	if (code)
		return code;
	again->in_file = true;
	code = gowsp_file_is(root) ? gowsp_file_read(again, o->config, root)
				   : read_own(&set, o->config, root);
	json_decref(root);
	if (!code && o->token_in_config && !again->token) {
		fprintf(errors, "wsp: %s: there is no token in it any more\n",
			o->config);
		code = -1;
	}
	return code;
}

/* "wsp: what is wrong\n", as it would be said at the start, becomes that. */
static void trim(char *error)
{
	static const char prefix[] = "wsp: ";
	size_t n = sizeof(prefix) - 1;

	error[strcspn(error, "\n")] = 0;
	if (strncmp(error, prefix, n) == 0)
		memmove(error, error + n, strlen(error + n) + 1);
}

/* Those of the other sources come behind those of the file, as ever. */
static const char *add_rules(const struct options *o, struct options *again)
{
	struct egress *e = &again->egress;

	for (int i = o->file_rules; i < o->egress.count; i++) {
		if (e->count == EGRESS_RULES_MAX)
			return "too many rules, 256 are possible";
		e->rules[e->count++] = o->egress.rules[i];
	}
	e->open = o->egress.open;
	return NULL;
}

const char *options_again_config(const struct options *o, struct options *again,
				 char *error, size_t size)
{
	FILE *errors = fmemopen(error, size - 1, "w");
	const char *wrong;
	int code;

	if (!errors) {
		snprintf(error, size, "%s: out of memory", o->config);
		return error;
	}
	error[0] = error[size - 1] = 0;
	code = read_config(o, again, errors);
	fclose(errors);
	again->errors = NULL;
	trim(error);
	if (code)
		return error;
	wrong = add_rules(o, again);
	if (!wrong)
		return NULL;
	snprintf(error, size, "%s: %s", o->config, wrong);
	return error;
}
