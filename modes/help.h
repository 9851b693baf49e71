/* SPDX-License-Identifier: MIT */
/* Texts for people who have asked, or who have made a mistake. Each returns the
 * exit code of the process. */
#ifndef MODES_HELP_H
#define MODES_HELP_H

/* --help of a mode (MODE_SERVER, MODE_CLIENT). */
int help_options(unsigned int mode);
/* There is no such subcommand. */
int help_unknown(const char *word);
/* There is no subcommand at all. */
int help_usage(void);

#endif
