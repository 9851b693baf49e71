/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "core/folder.h"

static char top[] = "/tmp/test_folder.XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* top/out is beside what is served, top/www. */
static int make_files(void **state)
{
	(void)state;
	if (!mkdtemp(top) || chdir(top) || mkdir("www", 0700) ||
	    mkdir("www/sub", 0700) || symlink("../out", "www/link") ||
	    symlink("..", "www/up") || mkfifo("www/fifo", 0600))
		return -1;
	write_file("out", "out");
	write_file("www/a", "0123456789");
	write_file("www/sub/b", "b");
	return 0;
}

static int remove_files(void **state)
{
	static const char *const names[] = {"www/sub/b", "www/a",  "www/fifo",
					    "www/link",  "www/up", "out"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(names[i]);
	return rmdir("www/sub") || rmdir("www") || rmdir(top);
}

static void files_below_are_read_in_pieces(void **state)
{
	int folder = folder_open("www");
	struct folder_file f;
	char p[20];

	(void)state;
	assert_true(folder >= 0);
	assert_int_equal(folder_get(folder, "a", &f), 0);
	assert_true(f.fd >= 0 && f.modified > 0);
	assert_int_equal(f.size, 10);
	assert_int_equal(file_read(&f, p, 4, 0), 4);
	assert_memory_equal(p, "0123", 4);
	assert_int_equal(file_read(&f, p, 20, 4), 6);
	assert_memory_equal(p, "456789", 6);
	assert_int_equal(file_read(&f, p, 20, 10), 0);
	file_close(&f);
	assert_int_equal(f.fd, -1);
	assert_int_equal(folder_get(folder, "sub/b", &f), 0);
	file_close(&f);
	folder_close(folder);
}

static void folders_are_told_from_files(void **state)
{
	static const char *const t[] = {"", "sub", "sub/"};
	int folder = folder_open("www");
	struct folder_file f;

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(folder_get(folder, t[i], &f), 0);
		assert_int_equal(f.fd, -1);
	}
	folder_close(folder);
}

static void nothing_else_is_there(void **state)
{
	static const char *const t[] = {
		"none",   "none/a", "a/",   "a/b",   "link",
		"up/out", "up/",    "fifo", "fifo/", "sub/none",
	};
	int folder = folder_open("www");
	struct folder_file f;
	char lengthy[1000];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(folder_get(folder, t[i], &f), UV_ENOENT);
	memset(lengthy, 'a', sizeof(lengthy));
	lengthy[sizeof(lengthy) - 1] = 0;
	assert_int_equal(folder_get(folder, lengthy, &f), UV_ENOENT);
	folder_close(folder);
	assert_int_equal(folder_open("www/none"), UV_ENOENT);
	assert_int_equal(folder_open("www/a"), UV_ENOTDIR);
}

/* Every descriptor on the way is closed. */
static void nothing_is_left_open(void **state)
{
	int folder = folder_open("www"), first, last;
	struct folder_file f;

	(void)state;
	first = dup(0);
	close(first);
	for (int i = 0; i < 100; i++) {
		folder_get(folder, "sub/none", &f);
		folder_get(folder, "sub/", &f);
		folder_get(folder, "fifo", &f);
		assert_int_equal(folder_get(folder, "sub/b", &f), 0);
		file_close(&f);
	}
	last = dup(0);
	close(last);
	assert_int_equal(first, last);
	folder_close(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_below_are_read_in_pieces),
		cmocka_unit_test(folders_are_told_from_files),
		cmocka_unit_test(nothing_else_is_there),
		cmocka_unit_test(nothing_is_left_open),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
