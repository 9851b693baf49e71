/* SPDX-License-Identifier: MIT */
/* The filter of system calls, for sandbox.c. */
#ifndef CORE_SYSCALLS_H
#define CORE_SYSCALLS_H

#include <stdbool.h>

/* Does the kernel have filters, and is this processor's list known? */
bool syscalls_can(void);
/* Before there is a loop: newer versions of libuv would hand its system calls
 * to a ring (io_uring), which no filter sees; without one they do as before.
 * False: errno says why. */
bool syscalls_refuse_rings(void);
/* From now on, for all threads. False: errno says why. */
bool syscalls_filter(void);

#endif
