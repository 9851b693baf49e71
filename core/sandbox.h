/* SPDX-License-Identifier: MIT */
/*
 * What the process can do once it has started, whoever has got hold of it:
 *
 *	calls	seccomp: only the system calls that a running wsp makes. No
 *		program is started, no new code is mapped, no other process
 *		touched, nothing listened on. What nothing here could call by
 *		mistake ends the process, and the kernel's audit says why; the
 *		rest fails with ENOSYS or EPERM.
 *	files	Landlock: only what sandbox_allow() has named can be opened,
 *		made or removed. Rules hold folders, not files, so that a file
 *		may be replaced. No TCP port can be bound.
 *
 * Both are for ever and for all threads that are made later. Each is taken as
 * far as the kernel has it. Written out here instead of using libseccomp: the
 * filter is a list of numbers, and so it is there in every build.
 *
 * WSP_TEST_SANDBOX=kill, for tests: every call that is not allowed ends the
 * process, after its number has been written to stderr.
 */
#ifndef CORE_SANDBOX_H
#define CORE_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

enum {
	SANDBOX_READ = 1,   /* open files below */
	SANDBOX_LIST = 2,   /* open folders below */
	SANDBOX_REMOVE = 4, /* remove files below */
	SANDBOX_MAKE = 8,   /* make, write and rename files below */
};

struct sandbox {
	int rules; /* Landlock's, or -1 */
	uint64_t handled;
};

/* What the kernel has, in words: "seccomp, Landlock 3"; valid until the next
 * call. */
const char *sandbox_offer(void);
/* Is there a reason to do without: a sanitizer, valgrind, gcov? Or NULL. */
const char *sandbox_obstacle(void);
/* Does the kernel have both, all of it? */
bool sandbox_is_whole(void);

/* Right at the start, before there is a loop. */
void sandbox_prepare(void);
/* Begin. Without Landlock the rules go nowhere. */
void sandbox_open(struct sandbox *s);
/* Below folder, or of this file: SANDBOX_... What is not there is left out. */
void sandbox_allow(struct sandbox *s, const char *path, unsigned int may);
/* Whatever path will be, read it: its folder, and those that links lead to, but
 * never "/". NULL is fine. */
void sandbox_allow_file(struct sandbox *s, const char *path);
/* The end of the beginning, taken by the only thread that there is. NULL, or
 * what the kernel has refused though it has it. */
const char *sandbox_enter(struct sandbox *s);

/* No core dump, no debugger of the same user. */
void sandbox_hide_memory(void);

#endif
