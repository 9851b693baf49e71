/* SPDX-License-Identifier: MIT */
/*
 * Files below one folder. Nothing above it can be reached: each part of a path
 * is opened by itself, and symbolic links are not followed.
 *
 * Files are read on the loop, a piece at a time: they are those of a small web
 * site, so that the kernel has them in memory, and reading in another thread
 * would cost more than it saves. Do not put the folder on a network.
 */
#ifndef CORE_FOLDER_H
#define CORE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct folder_file {
	int fd; /* the caller's to close; -1: a folder */
	uint64_t size;
	int64_t modified; /* seconds since 1970 */
};

/* A descriptor of the folder, or a negative libuv code. */
int folder_open(const char *path);
void folder_close(int folder);
/* path: parts with one '/' between, none of which is "." or "..". 0 and *f, or
 * UV_ENOENT: there is no such regular file or folder that can be read. */
int folder_get(int folder, const char *path, struct folder_file *f);
/* The next bytes of f, at most n; 0 at its end, or a negative libuv code. */
int64_t file_read(const struct folder_file *f, void *p, size_t n,
		  uint64_t offset);
void file_close(struct folder_file *f);

#endif
