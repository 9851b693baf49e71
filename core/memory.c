/* SPDX-License-Identifier: MIT */
#include "core/memory.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 4096

/* The number that a file has in front; SIZE_MAX: none ("max"), or no file. */
static size_t read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned long long n;
	int found = f ? fscanf(f, "%llu", &n) : 0;

	if (f)
		fclose(f);
	return found == 1 && n < SIZE_MAX ? (size_t)n : SIZE_MAX;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The least limit of a group and all around it. In a container the path may be
 * one of the host's, of which only the root can be seen. */
static size_t limit_of(const char *root, const char *mount, const char *group,
		       const char *file)
{
	char path[PATH_SIZE], file_path[2 * PATH_SIZE];
	size_t limit = SIZE_MAX;
	char *slash;

	if (snprintf(path, sizeof(path), "%s", group) >= (int)sizeof(path))
		return SIZE_MAX;
	for (;;) {
		snprintf(file_path, sizeof(file_path), "%s%s%s/%s", root, mount,
			 path, file);
		limit = least(limit, read_number(file_path));
		slash = strrchr(path, '/');
		if (!slash)
			return limit;
		*slash = 0;
	}
}

/* A line of /proc/self/cgroup: "ID:CONTROLLERS:PATH". */
static size_t limit_by_line(const char *root, char *line)
{
	char *names = strchr(line, ':'), *path, *name, *rest;

	path = names ? strchr(names + 1, ':') : NULL;
	if (!path)
		return SIZE_MAX;
	*names++ = 0;
	*path++ = 0;
	path[strcspn(path, "\n")] = 0;
	if (!*names)
		return least(
			limit_of(root, "/sys/fs/cgroup", path, "memory.max"),
			limit_of(root, "/sys/fs/cgroup/unified", path,
				 "memory.max"));
	for (name = strtok_r(names, ",", &rest); name;
	     name = strtok_r(NULL, ",", &rest))
		if (strcmp(name, "memory") == 0)
			return limit_of(root, "/sys/fs/cgroup/memory", path,
					"memory.limit_in_bytes");
	return SIZE_MAX;
}

static size_t limit_of_groups(const char *root)
{
	char path[PATH_SIZE], line[PATH_SIZE];
	size_t limit = SIZE_MAX;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	f = fopen(path, "re");
	if (!f)
		return SIZE_MAX;
	while (fgets(line, sizeof(line), f))
		limit = least(limit, limit_by_line(root, line));
	fclose(f);
	return limit;
}

static size_t machine(const char *root)
{
	char path[PATH_SIZE], line[256];
	unsigned long long kib;
	size_t found = SIZE_MAX;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/meminfo", root);
	f = fopen(path, "re");
	if (!f)
		return SIZE_MAX;
	while (found == SIZE_MAX && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemTotal: %llu kB", &kib) == 1)
			found = (size_t)(kib * 1024);
	fclose(f);
	return found;
}

size_t memory_there_is(const char *root)
{
	size_t n = least(machine(root), limit_of_groups(root));

	return n == SIZE_MAX ? 0 : n;
}
