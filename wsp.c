/* SPDX-License-Identifier: MIT */
/* wsp: a forward proxy over WebSocket. Here is only the table of subcommands;
 * what each does is in modes/. */
#include <stddef.h>
#include <string.h>

#include "modes/help.h"
#include "modes/modes.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"server", mode_server},     {"client", mode_client},
	{"token", mode_token},       {"version", mode_version},
	{"help", mode_help},         {"completion", mode_completion},
	{"--version", mode_version}, {"--help", mode_help},
	{"-h", mode_help},
};

int main(int argc, char **argv)
{
	if (argc < 2)
		return help_usage();
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	return help_unknown(argv[1]);
}
