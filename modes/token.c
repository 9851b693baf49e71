/* SPDX-License-Identifier: MIT */
/* wsp token: a new token, and the line that lets it in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "modes/egress.h"
#include "modes/help.h"
#include "modes/modes.h"
#include "modes/options.h"
#include "modes/tokenfile.h"
#include "proto/tokenline.h"

#define INTERNAL    1
#define USAGE       2
#define WORDS_MAX   300
#define RANDOM_SIZE 24 /* bytes: 192 bits */
#define TOKEN_CHARS (RANDOM_SIZE / 3 * 4)
#define LINE_SIZE   (WORDS_MAX * (TOKENLINE_WORD_MAX + 1))
#define ERROR_SIZE  (4096 + 256)

struct command {
	struct options options;
	char *words[WORDS_MAX]; /* NAME, then settings */
	int nwords;
	char token[TOKEN_CHARS + 1]; /* a new one */
	struct tokenline said;
	char line[LINE_SIZE];
};

static int usage(const char *what, const char *text)
{
	fprintf(stderr, "wsp: token%s%s: %s\n", *what ? " " : "", what, text);
	return USAGE;
}

/* URL-safe, and never like an option. False: no randomness. */
static bool make_token(char out[TOKEN_CHARS + 1])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmn"
				     "opqrstuvwxyz0123456789-_";
	unsigned char bytes[RANDOM_SIZE];
	char *to;

	do {
		to = out;
		if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
			return false;
		for (size_t i = 0; i < sizeof(bytes); i += 3) {
			unsigned int n = (unsigned int)bytes[i] << 16 |
					 bytes[i + 1] << 8 | bytes[i + 2];

			for (int shift = 18; shift >= 0; shift -= 6)
				*to++ = digits[n >> shift & 63];
		}
		*to = 0;
	} while (out[0] == '-');
	explicit_bzero(bytes, sizeof(bytes));
	return true;
}

static bool takes_value(const char *word)
{
	return strcmp(word, "--file") == 0 || strcmp(word, "--token-file") == 0;
}

/* Options and words may be mixed: what is no option is taken out. 0, or an exit
 * code. */
static int read_args(struct command *c, int argc, char **argv)
{
	struct opt_set set = options_table(MODE_TOKEN);
	int n = 1, code;

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-' || takes_value(argv[i - 1]))
			argv[n++] = argv[i];
		else if (c->nwords < WORDS_MAX)
			c->words[c->nwords++] = argv[i];
		else
			return usage("", "too many settings");
	}
	argv[n] = NULL;
	set.target = &c->options;
	code = opt_read_early(&set, n, argv);
	return code || c->options.help ? code : opt_read_args(&set, n, argv);
}

static const char *on_rule(void *ctx, bool allow, const char *text)
{
	struct egress_rule r;

	(void)ctx;
	return egress_rule_read(&r, allow, text);
}

/* NAME and settings: are they right? 0, or an exit code. */
static int check_words(struct command *c)
{
	const char *name = c->nwords ? c->words[0] : "", *error = NULL;

	if (!c->nwords && (c->options.file || c->options.token))
		return usage("", "a line has a name: wsp token NAME");
	if (!c->nwords)
		return 0;
	if (!tokenline_name_is_good(name))
		return usage(name, "a name has 1 to 64 of A-Z a-z 0-9 . _ - @, "
				   "and a letter or digit first");
	memcpy(c->said.name, name, strlen(name) + 1);
	for (int i = 1; i < c->nwords && !error; i++) {
		if (strlen(c->words[i]) > TOKENLINE_WORD_MAX ||
		    strpbrk(c->words[i], " \t\r\n"))
			error = "one setting is one word";
		else
			error = tokenline_setting(c->words[i], on_rule, NULL,
						  &c->said);
		if (error)
			return usage(c->words[i], error);
	}
	return 0;
}

static void write_line(struct command *c)
{
	size_t n = (size_t)sprintf(c->line, "%s sha256:", c->said.name);

	for (size_t i = 0; i < TOKEN_DIGEST; i++)
		n += (size_t)sprintf(c->line + n, "%02x", c->said.digest[i]);
	for (int i = 1; i < c->nwords; i++)
		n += (size_t)snprintf(c->line + n, sizeof(c->line) - n, " %s",
				      c->words[i]);
}

/* Only what a script wants goes to stdout. */
static void print(const struct command *c, const char *token)
{
	bool both = token && c->said.name[0] && !c->options.file;

	if (both)
		fprintf(stderr, "the token, for the client's --token-file:\n");
	if (token)
		printf("%s\n", token);
	fflush(stdout);
	if (both)
		fprintf(stderr, "the line, for the server's --tokens FILE:\n");
	if (c->said.name[0] && !c->options.file)
		printf("%s\n", c->line);
}

/* 0, or an exit code. */
static int run(struct command *c)
{
	const char *given = c->options.token;
	char error[ERROR_SIZE];

	if ((!given && !make_token(c->token)) ||
	    !token_digest(given ? given : c->token, c->said.digest)) {
		fprintf(stderr, "wsp: token: no randomness\n");
		return INTERNAL;
	}
	write_line(c);
	if (c->options.file && !tokenfile_add(c->options.file, &c->said,
					      c->line, error, sizeof(error)))
		return usage("--file", error);
	print(c, given ? NULL : c->token);
	return help_written();
}

int mode_token(int argc, char **argv)
{
	struct command *c = calloc(1, sizeof(*c));
	int code;

	if (!c) {
		fprintf(stderr, "wsp: token: out of memory\n");
		return INTERNAL;
	}
	code = read_args(c, argc, argv);
	if (!code && c->options.help)
		code = help_options(MODE_TOKEN);
	else if (!code)
		code = check_words(c);
	if (!code && !c->options.help)
		code = run(c);
	options_done(&c->options);
	explicit_bzero(c, sizeof(*c));
	free(c);
	return code;
}
