/* SPDX-License-Identifier: MIT */
/* The version of wsp, and those of the libraries that it runs on. */
#ifndef CORE_VERSION_H
#define CORE_VERSION_H

#include <stdio.h>

#define WSP_VERSION "0.1.0"

/* "wsp 0.1.0" and one line for each library. */
void version_print(FILE *out);

#endif
