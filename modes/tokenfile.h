/* SPDX-License-Identifier: MIT */
/*
 * Adding a line to the file of --tokens, for wsp token. The file is replaced as
 * a whole, so that whoever reads it, a server after HUP too, sees all of the
 * line or nothing; a lock keeps two who add at once from losing one. A new file
 * is for its owner alone, an old one keeps its owner and its mode.
 */
#ifndef MODES_TOKENFILE_H
#define MODES_TOKENFILE_H

#include <stdbool.h>
#include <stddef.h>

struct tokenline;

/* line, without its end, says what new is. False: error says what is wrong, and
 * where: the name or the token is there already, a line is bad, the file
 * cannot be written. */
bool tokenfile_add(const char *path, const struct tokenline *new,
		   const char *line, char *error, size_t size);

#endif
