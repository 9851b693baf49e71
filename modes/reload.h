/* SPDX-License-Identifier: MIT */
/*
 * What the server reads from files, at the start and again after HUP: who may
 * use it (the rules of the configuration file, --token-file, --tokens), and its
 * certificates. Which files these are does not change.
 *
 * After HUP each of them counts by itself: one that cannot be read, or is bad,
 * leaves in force what it said before, with a warning that names it.
 */
#ifndef MODES_RELOAD_H
#define MODES_RELOAD_H

#include "core/tls.h"
#include "modes/desks.h"

/* At the start. NULL: an error has been logged. */
struct roster *reload_roster(const struct options *o);
struct tls_config reload_tls(const struct options *o);
/* After HUP. */
void reload_all(struct desks *all);

#endif
