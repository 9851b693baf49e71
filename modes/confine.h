/* SPDX-License-Identifier: MIT */
/*
 * What a process gives up once all that it needs is open: root (--user), and
 * what the sandbox takes (--sandbox, core/sandbox.h).
 */
#ifndef MODES_CONFINE_H
#define MODES_CONFINE_H

#include "modes/options.h"

/* Right after the options have been read: secrets are in memory, and whether
 * the kernel has what --sandbox on asks for is known. 0, or an exit code after
 * an error has been logged. */
int confine_begin(const struct options *o);
/* Listeners are bound, keys are read, and no thread has been made. Whatever
 * HUP reads again, and what is made or removed later, is in o and its next
 * ones. 0, or an exit code after an error has been logged. */
int confine_enter(const struct options *o);

#endif
