/* SPDX-License-Identifier: MIT */
#include "core/opttext.h"

#include <stdio.h>
#include <string.h>

#define COLUMN 27 /* where the texts of --help begin */

/* Rows of one command. */
#define for_each_row(set, bits, row)                  \
	for (const struct opt_row *row = (set)->rows; \
	     row < (set)->rows + (set)->count; row++) \
		if (row->modes & (bits))

/* "--listen [ADDR:PORT]" */
static int put_usage(const struct opt_row *row, char *out, size_t size)
{
	char letter[8] = "";

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c, ", row->letter);
	switch (row->arg) {
	case OPT_NONE:
		return snprintf(out, size, "%s--%s", letter, row->name);
	case OPT_REQUIRED:
		return snprintf(out, size, "%s--%s %s", letter, row->name,
				row->value);
	case OPT_OPTIONAL:
		return snprintf(out, size, "%s--%s [%s]", letter, row->name,
				row->value);
	}
	return 0;
}

void opttext_help(const struct opt_set *set)
{
	char usage[80];

	for_each_row(set, set->mode, row)
	{
		int n = put_usage(row, usage, sizeof(usage));

		printf("  %s%*s%s\n", usage, n < COLUMN ? COLUMN - n : 1, "",
		       row->help);
	}
}

/* The man page. */

/* Text of roff: a backslash and a leading dot have a meaning. */
static void put_roff(const char *p)
{
	for (; *p; p++) {
		if (*p == '-')
			fputs("\\-", stdout);
		else if (*p == '\\')
			fputs("\\e", stdout);
		else
			putchar(*p);
	}
}

static void man_row(const struct opt_row *row)
{
	char usage[80], env[64];

	put_usage(row, usage, sizeof(usage));
	printf(".TP\n.B ");
	put_roff(usage);
	putchar('\n');
	put_roff(row->help);
	printf(".\n");
	if (row->more) {
		put_roff(row->more);
		putchar('\n');
	}
	if (!row->early) {
		printf("Variable: ");
		put_roff(opt_env_name(row, env));
		printf(".\n");
	}
}

void opttext_man(const struct opt_set *set, const struct opt_commands *all)
{
	for (size_t i = 0; i < all->count; i++) {
		const struct opt_command *c = &all->at[i];

		if (!c->mode)
			continue;
		printf(".SH OPTIONS OF WSP %s\n", c->name);
		for_each_row(set, c->mode, row) man_row(row);
	}
}

/* Markdown. */

static void markdown_row(const struct opt_row *row)
{
	char usage[80], env[64];

	put_usage(row, usage, sizeof(usage));
	printf("| `%s` | ", usage);
	if (!row->early)
		printf("`%s`", opt_env_name(row, env));
	printf(" | %s.%s%s |\n", row->help, row->more ? " " : "",
	       row->more ? row->more : "");
}

void opttext_markdown(const struct opt_set *set, const struct opt_commands *all)
{
	for (size_t i = 0; i < all->count; i++) {
		const struct opt_command *c = &all->at[i];

		if (!c->mode)
			continue;
		printf("\n## wsp %s\n\n| option | variable | "
		       "|\n|---|---|---|\n",
		       c->name);
		for_each_row(set, c->mode, row) markdown_row(row);
	}
}

/* Completion. */

static bool takes_file(const struct opt_row *row)
{
	return row->value && strcmp(row->value, "FILE") == 0;
}

/* What an option's value may be; nothing, where nobody knows. */
static void bash_value(const struct opt_row *row)
{
	printf("\t--%s)\n\t\tCOMPREPLY=($(compgen -W '%s' -- \"$cur\")); "
	       "return ;;\n",
	       row->name, row->words ? row->words : "");
}

static void bash_command(const struct opt_set *set, const struct opt_command *c)
{
	printf("\t%s)\n\t\twords='%s", c->name, c->words ? c->words : "");
	for_each_row(set, c->mode, row) printf(" --%s", row->name);
	printf("' ;;\n");
}

static void bash(const struct opt_set *set, const struct opt_commands *all)
{
	const char *mark = "";

	printf("# bash completion for wsp\n_wsp() {\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} words=''\n"
	       "\tlocal prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	       "\tcase $prev in\n\t");
	for_each_row(set, ~0u, row) if (takes_file(row))
	{
		printf("%s--%s", mark, row->name);
		mark = "|";
	}
	printf(")\n\t\tCOMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n");
	for_each_row(set, ~0u, row) if (row->arg == OPT_REQUIRED &&
					!takes_file(row)) bash_value(row);
	printf("\tesac\n\tif [ \"$COMP_CWORD\" = 1 ]; then\n\t\twords='");
	for (size_t i = 0; i < all->count; i++)
		printf("%s ", all->at[i].name);
	printf("'\n\telse case ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; i < all->count; i++)
		bash_command(set, &all->at[i]);
	printf("\tesac fi\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	       "}\ncomplete -F _wsp wsp\n");
}

/* In a word of zsh that is between single quotes. */
static void put_zsh(const char *p)
{
	for (; *p; p++) {
		if (strchr("[]:\\", *p))
			putchar('\\');
		if (*p == '\'')
			fputs("'\\'", stdout);
		putchar(*p);
	}
}

static void zsh_row(const struct opt_row *row)
{
	printf(" \\\n\t\t\t'*--%s[", row->name);
	put_zsh(row->help);
	putchar(']');
	if (row->arg != OPT_NONE) {
		printf("%s:", row->arg == OPT_OPTIONAL ? ":" : "");
		put_zsh(row->value);
		printf(":%s", takes_file(row) ? "_files" : "");
		if (row->words)
			printf("(%s)", row->words);
	}
	putchar('\'');
}

static void zsh(const struct opt_set *set, const struct opt_commands *all)
{
	printf("#compdef wsp\n_wsp() {\n\tlocal -a commands\n\tcommands=(");
	for (size_t i = 0; i < all->count; i++) {
		printf("\n\t\t'%s:", all->at[i].name);
		put_zsh(all->at[i].help);
		putchar('\'');
	}
	printf(")\n\tif (( CURRENT == 2 )); then\n"
	       "\t\t_describe command commands\n\t\treturn\n\tfi\n"
	       "\tlocal command=$words[2]\n"
	       "\tshift words; (( CURRENT-- ))\n"
	       "\tcase $command in\n");
	for (size_t i = 0; i < all->count; i++) {
		const struct opt_command *c = &all->at[i];

		printf("\t%s)\n\t\t_arguments", c->name);
		if (c->words)
			printf(" '1:%s:(%s)'", c->name, c->words);
		for_each_row(set, c->mode, row) zsh_row(row);
		printf(" ;;\n");
	}
	printf("\tesac\n}\ncompdef _wsp wsp\n");
}

static void put_fish(const char *p)
{
	for (; *p; p++) {
		if (*p == '\'' || *p == '\\')
			putchar('\\');
		putchar(*p);
	}
}

static void fish_row(const char *command, const struct opt_row *row)
{
	printf("complete -c wsp -n '__fish_seen_subcommand_from %s' -l %s",
	       command, row->name);
	if (row->letter)
		printf(" -s %c", row->letter);
	if (row->arg == OPT_REQUIRED)
		printf(takes_file(row) ? " -r -F" : " -x");
	if (row->words)
		printf(" -a '%s'", row->words);
	printf(" -d '");
	put_fish(row->help);
	printf("'\n");
}

static void fish(const struct opt_set *set, const struct opt_commands *all)
{
	printf("# fish completion for wsp\ncomplete -c wsp -f\n");
	for (size_t i = 0; i < all->count; i++) {
		const struct opt_command *c = &all->at[i];

		printf("complete -c wsp -n __fish_use_subcommand -a %s -d '",
		       c->name);
		put_fish(c->help);
		printf("'\n");
		if (c->words)
			printf("complete -c wsp -n '__fish_seen_subcommand_from"
			       " %s' -a '%s'\n",
			       c->name, c->words);
		for_each_row(set, c->mode, row) fish_row(c->name, row);
	}
}

bool opttext_completion(const struct opt_set *set,
			const struct opt_commands *all, const char *shell)
{
	if (strcmp(shell, "bash") == 0)
		bash(set, all);
	else if (strcmp(shell, "zsh") == 0)
		zsh(set, all);
	else if (strcmp(shell, "fish") == 0)
		fish(set, all);
	else
		return false;
	return true;
}
