/* SPDX-License-Identifier: MIT */
/*
 * gowsp's own files, wspc.json and wsps.json, as options of ours. They are told
 * from our files by keys that no option of ours has.
 *
 * They are read as gowsp reads them: keys in upper or lower case, null as if it
 * were not there, unknown keys ignored. What they ask for that wsp does not do
 * is said on stderr, one line for each.
 */
#ifndef MODES_OPTIONS_GOWSP_H
#define MODES_OPTIONS_GOWSP_H

#include <stdbool.h>

struct json_t;
struct options;

bool gowsp_file_is(const struct json_t *root);
/* Into *o, which has its mode. Entries of the file that listen somewhere run:
 * the first of them is *o itself, the others are o->next; if none does, *o is
 * still the first. 0, or 2 after an error has been printed. */
int gowsp_file_read(struct options *o, const char *path,
		    const struct json_t *root);
/* All sources have been read: give the next ones what all share. */
void gowsp_share(struct options *o);
/* Free the next ones. */
void gowsp_done(struct options *o);

#endif
