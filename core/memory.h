/* SPDX-License-Identifier: MIT */
/*
 * How much memory the process may use, as far as the kernel says: that of the
 * machine, or less if a cgroup (version 1 or 2) that the process is in, or one
 * around it, has a limit.
 */
#ifndef CORE_MEMORY_H
#define CORE_MEMORY_H

#include <stddef.h>

/* In bytes; 0: unknown. root is "" but in tests: a folder that has proc and
 * sys.
 */
size_t memory_there_is(const char *root);

#endif
