/* SPDX-License-Identifier: MIT */
/* The subcommands of wsp. Each gets its own arguments (argv[0] is its name) and
 * returns the exit code of the process (docs/options.md lists them). */
#ifndef MODES_MODES_H
#define MODES_MODES_H

int mode_server(int argc, char **argv);
int mode_client(int argc, char **argv);
int mode_version(int argc, char **argv);
int mode_token(int argc, char **argv);
int mode_help(int argc, char **argv);
int mode_completion(int argc, char **argv);

#endif
