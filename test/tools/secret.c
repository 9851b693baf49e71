/* SPDX-License-Identifier: MIT */
/*
 * Under valgrind: how often does a branch, or an address, depend on the secret
 * while tokens are compared? The digests count as undefined memory, and
 * memcheck reports each use of it for a decision.
 *
 * Prints "compared N, found N, naive N": token_same() must have 0;
 * roster_find() 1 at most, which tells at its end who it was, among MEMBERS; a
 * comparison that stops at the first difference is there to show that it would
 * be noticed. Exit code 77: not under valgrind, or built without its headers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/token.h"

#include "modes/roster.h"

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define RUNNING_ON_VALGRIND                  0
#define VALGRIND_COUNT_ERRORS                0
#define VALGRIND_MAKE_MEM_UNDEFINED(p, size) (void)(p)
#define VALGRIND_MAKE_MEM_DEFINED(p, size)   (void)(p)
#endif

#define MEMBERS 50

/* It must not be optimized into token_same(). */
static bool naive(const volatile uint8_t *a, const volatile uint8_t *b)
{
	for (size_t i = 0; i < TOKEN_DIGEST; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

static unsigned int errors(unsigned int *since)
{
	unsigned int now = (unsigned int)VALGRIND_COUNT_ERRORS;
	unsigned int n = now - *since;

	*since = now;
	return n;
}

int main(void)
{
	static struct member members[MEMBERS];
	struct roster r = {.members = members, .count = MEMBERS};
	unsigned int since = 0, compared, found, control, same = 0;
	uint8_t shown[TOKEN_DIGEST];
	char text[32];

	if (!RUNNING_ON_VALGRIND)
		return 77;
	for (int i = 0; i < MEMBERS; i++) {
		snprintf(text, sizeof(text), "secret %d", i);
		if (!token_digest(text, members[i].said.digest))
			return 1;
		VALGRIND_MAKE_MEM_UNDEFINED(members[i].said.digest,
					    TOKEN_DIGEST);
	}
	if (!token_digest("secret 7", shown))
		return 1;
	errors(&since);
	for (int i = 0; i < MEMBERS; i++)
		same += token_same(shown, members[i].said.digest);
	compared = errors(&since);
	VALGRIND_MAKE_MEM_DEFINED(&same, sizeof(same));
	found = roster_find(&r, "secret 7") == &members[7];
	VALGRIND_MAKE_MEM_DEFINED(&found, sizeof(found));
	if (!found || same != 1)
		return 1;
	found = errors(&since);
	if (!naive(shown, members[7].said.digest))
		return 1;
	control = errors(&since);
	printf("compared %u, found %u, naive %u\n", compared, found, control);
	return 0;
}
