/* SPDX-License-Identifier: MIT */
/* The files of Unix sockets: whom they let in, what they replace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/sockfile.h"

#define NOBODY 65534

static char dir[] = "/tmp/wsp-sockfile-XXXXXX";
static char path[sizeof(dir) + 8];

static const struct sockfile_access open_to_us = {
	.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static unsigned int mode_of(const char *p)
{
	struct stat st;

	assert_int_equal(lstat(p, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	return st.st_mode & 0777;
}

static bool exists(void)
{
	return access(path, F_OK) == 0;
}

static bool can_connect(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), err;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	err = connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	close(fd);
	return err == 0;
}

static void the_mode_is_what_was_asked_for(void **state)
{
	static const mode_t modes[] = {0600, 0660, 0666, 0, 0777};
	static const mode_t masks[] = {0, 022, 0777};
	struct sockfile f;
	const char *error;

	(void)state;
	for (int i = 0; i < 5; i++) {
		for (int k = 0; k < 3; k++) {
			struct sockfile_access a = open_to_us;
			mode_t old = umask(masks[k]);
			int fd;

			a.mode = modes[i];
			a.uid = getuid();
			a.gid = getgid();
			fd = sockfile_bind(&f, path, &a, &error);
			umask(old);
			assert_true(fd >= 0);
			assert_int_equal(mode_of(path), modes[i]);
			assert_false(can_connect()); /* before listen() */
			close(fd);
			sockfile_remove(&f);
			assert_false(exists());
		}
	}
}

static void what_is_dead_is_replaced(void **state)
{
	struct sockfile f, g;
	const char *error;
	int fd, other;

	(void)state;
	fd = sockfile_bind(&f, path, &open_to_us, &error);
	assert_int_equal(listen(fd, 8), 0);
	assert_true(can_connect());
	other = sockfile_bind(&g, path, &open_to_us, &error);
	assert_int_equal(other, -1);
	assert_string_equal(error, "address already in use");
	assert_true(can_connect());
	close(fd);
	assert_true(exists());
	fd = sockfile_bind(&g, path, &open_to_us, &error);
	assert_true(fd >= 0);
	sockfile_remove(&f); /* not its own any more */
	assert_true(exists());
	sockfile_remove(&g);
	sockfile_remove(&g);
	assert_false(exists());
	close(fd);
}

static void what_is_no_socket_stays(void **state)
{
	struct sockfile f;
	const char *error;
	FILE *file = fopen(path, "we");

	(void)state;
	fclose(file);
	assert_int_equal(sockfile_bind(&f, path, &open_to_us, &error), -1);
	assert_non_null(strstr(error, "no socket"));
	assert_true(exists());
	unlink(path);
	assert_int_equal(symlink("nowhere", path), 0);
	assert_int_equal(sockfile_bind(&f, path, &open_to_us, &error), -1);
	unlink(path);
	assert_int_equal(
		sockfile_bind(&f, "/no such folder/s", &open_to_us, &error),
		-1);
	assert_non_null(strstr(error, "No such file"));
}

static void a_file_that_cannot_be_given_away_is_removed(void **state)
{
	struct sockfile_access a = open_to_us;
	struct sockfile f;
	const char *error;

	bool root = getuid() == 0;

	(void)state;
	a.uid = 0;
	if (root) { /* who may do it: be somebody else for a moment */
		assert_int_equal(chmod(dir, 0777), 0);
		assert_int_equal(seteuid(NOBODY), 0);
	}
	assert_int_equal(sockfile_bind(&f, path, &a, &error), -1);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_non_null(strstr(error, "--unix-owner"));
	assert_false(exists());
}

static void abstract_names(void **state)
{
	struct sockfile f, g;
	const char *error;
	char name[64];
	int fd;

	(void)state;
	snprintf(name, sizeof(name), "@wsp-test-%ld", (long)getpid());
	fd = sockfile_bind(&f, name, &open_to_us, &error);
	assert_true(fd >= 0);
	assert_int_equal(sockfile_bind(&g, name, &open_to_us, &error), -1);
	assert_string_equal(error, "address already in use");
	sockfile_remove(&f);
	close(fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_mode_is_what_was_asked_for),
		cmocka_unit_test(what_is_dead_is_replaced),
		cmocka_unit_test(what_is_no_socket_stays),
		cmocka_unit_test(a_file_that_cannot_be_given_away_is_removed),
		cmocka_unit_test(abstract_names),
	};

	return cmocka_run_group_tests_name("sockfile", tests, setup, teardown);
}
