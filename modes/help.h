/* SPDX-License-Identifier: MIT */
/* Texts for people who have asked, or who have made a mistake. Each returns the
 * exit code of the process. */
#ifndef MODES_HELP_H
#define MODES_HELP_H

/* 0, or the exit code if stdout did not take all of it. */
int help_written(void);
/* --help of a mode (MODE_SERVER, MODE_CLIENT, MODE_TOKEN). */
int help_options(unsigned int mode);
/* There is no such subcommand. */
int help_unknown(const char *word);
/* There is no subcommand at all. */
int help_usage(void);

#endif
