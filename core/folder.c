/* SPDX-License-Identifier: MIT */
#include "core/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#define FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NOCTTY)

int folder_open(const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 ? fd : uv_translate_sys_error(errno);
}

void folder_close(int folder)
{
	if (folder >= 0)
		close(folder);
}

/* One part of a path, of n bytes. */
static int open_part(int at, const char *part, size_t n, int flags)
{
	char name[NAME_MAX + 1];

	if (n > NAME_MAX)
		return -1;
	memcpy(name, part, n);
	name[n] = 0;
	return openat(at, n ? name : ".", flags | FLAGS);
}

/* O_NONBLOCK: a FIFO would wait for its other end. */
static int open_below(int folder, const char *path)
{
	int at = folder, next;
	size_t n;

	while (path[n = strcspn(path, "/")]) {
		next = open_part(at, path, n, O_PATH | O_DIRECTORY);
		if (at != folder)
			close(at);
		if (next < 0)
			return -1;
		at = next;
		path += n + 1;
	}
	next = open_part(at, path, n, O_RDONLY | O_NONBLOCK);
	if (at != folder)
		close(at);
	return next;
}

int folder_get(int folder, const char *path, struct folder_file *f)
{
	int fd = open_below(folder, path);
	struct stat st;

	if (fd < 0)
		return UV_ENOENT;
	if (fstat(fd, &st) || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
		close(fd);
		return UV_ENOENT;
	}
	f->fd = fd;
	f->size = (uint64_t)st.st_size;
	f->modified = st.st_mtime;
	if (S_ISDIR(st.st_mode))
		file_close(f);
	return 0;
}

int64_t file_read(const struct folder_file *f, void *p, size_t n,
		  uint64_t offset)
{
	ssize_t k = pread(f->fd, p, n, (off_t)offset);

	return k >= 0 ? k : uv_translate_sys_error(errno);
}

void file_close(struct folder_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}
