/* SPDX-License-Identifier: MIT */
/*
 * The table of options as text: for people (--help, the man page, Markdown) and
 * for shells. All of it goes to stdout.
 */
#ifndef CORE_OPTTEXT_H
#define CORE_OPTTEXT_H

#include "core/opt.h"

/* A subcommand, for the texts that cover all of them. */
struct opt_command {
	const char *name;
	unsigned int mode; /* a bit of struct opt_row, 0: no options */
	const char *args;  /* "[topic]", or NULL */
	const char *help;
	const char *words; /* what may follow, separated by blanks, or NULL */
};

struct opt_commands {
	const struct opt_command *at;
	size_t count;
};

/* One line for each row of the set's mode. */
void opttext_help(const struct opt_set *set);
/* Sections of a man page (roff), and of Markdown. */
void opttext_man(const struct opt_set *set, const struct opt_commands *all);
void opttext_markdown(const struct opt_set *set,
		      const struct opt_commands *all);
/* False: no such shell. */
bool opttext_completion(const struct opt_set *set,
			const struct opt_commands *all, const char *shell);

#endif
