/* SPDX-License-Identifier: MIT */
/* How much memory there is, by a machine and its cgroups made of files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "core/memory.h"

#define MIB (1024u * 1024)

static char root[] = "/tmp/test_memory.XXXXXX";

/* Make the folders, too. */
static void put(const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(full, 0700);
		*p = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/test_memory.XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

static void nothing_is_known(void **state)
{
	(void)state;
	assert_int_equal(memory_there_is(root), 0);
}

static void the_machine(void **state)
{
	(void)state;
	put("/proc/meminfo", "MemTotal:        1024 kB\nMemFree: 1 kB\n");
	assert_int_equal(memory_there_is(root), MIB);
	put("/proc/self/cgroup", "0::/\n");
	assert_int_equal(memory_there_is(root), MIB);
}

static void version_2(void **state)
{
	(void)state;
	put("/proc/meminfo", "MemTotal: 2097152 kB\n");
	put("/proc/self/cgroup", "0::/a.slice/b.service\n");
	put("/sys/fs/cgroup/a.slice/b.service/memory.max", "max\n");
	assert_true(memory_there_is(root) == 2048u * MIB);
	put("/sys/fs/cgroup/a.slice/memory.max", "67108864\n");
	assert_int_equal(memory_there_is(root), 64 * MIB);
	put("/sys/fs/cgroup/a.slice/b.service/memory.max", "33554432\n");
	assert_int_equal(memory_there_is(root), 32 * MIB);
}

static void version_1(void **state)
{
	(void)state;
	put("/proc/meminfo", "MemTotal: 2097152 kB\n");
	put("/proc/self/cgroup", "9:pids:/x\n4:cpu,memory:/a/b\n0::/\n");
	put("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
	    "9223372036854771712\n");
	assert_true(memory_there_is(root) == 2048u * MIB);
	put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "67108864\n");
	assert_int_equal(memory_there_is(root), 64 * MIB);
}

/* The path is the host's, what is mounted is the container's. */
static void a_container(void **state)
{
	(void)state;
	put("/proc/meminfo", "MemTotal: 2097152 kB\n");
	put("/proc/self/cgroup", "4:memory:/docker/0123\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "67108864\n");
	assert_int_equal(memory_there_is(root), 64 * MIB);
}

static void a_file_that_makes_no_sense(void **state)
{
	(void)state;
	put("/proc/meminfo", "MemTotal:\n");
	put("/proc/self/cgroup", "\n:\n::\n0::\nmemory\n1:memory:\n");
	assert_int_equal(memory_there_is(root), 0);
}

#define in_root(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_root(nothing_is_known), in_root(the_machine),
		in_root(version_2),        in_root(version_1),
		in_root(a_container),      in_root(a_file_that_makes_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
