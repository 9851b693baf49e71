/* SPDX-License-Identifier: MIT */
/* replay PATH...: a fuzz target's inputs once each, files or folders of them,
 * for builds without libFuzzer. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "test/fuzz/fuzz.h"

static void run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	static uint8_t text[1 << 20];
	uint8_t *exact;
	size_t n;

	if (!f)
		return;
	n = fread(text, 1, sizeof(text), f);
	fclose(f);
	exact = malloc(n + 1);
	check(exact != NULL);
	memcpy(exact, text, n);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
}

static void run_folder(const char *path, DIR *d)
{
	char name[4096];
	struct dirent *e;

	while ((e = readdir(d))) {
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (e->d_name[0] != '.')
			run_file(name);
	}
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		DIR *d = opendir(argv[i]);

		if (d)
			run_folder(argv[i], d);
		else
			run_file(argv[i]);
		if (d)
			closedir(d);
	}
	return 0;
}
