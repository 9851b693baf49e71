/* SPDX-License-Identifier: MIT */
/* What is written on stderr between two calls. */
#ifndef TEST_LIB_CAPTURE_H
#define TEST_LIB_CAPTURE_H

#include <stdio.h>
#include <unistd.h>

static FILE *capture_file;
static int capture_stderr;

static inline void capture_begin(void)
{
	capture_file = tmpfile();
	fflush(stderr);
	capture_stderr = dup(STDERR_FILENO);
	if (!capture_file || dup2(fileno(capture_file), STDERR_FILENO) < 0)
		_exit(99);
}

/* The text, cut to size - 1 bytes. */
static inline void capture_end(char *out, size_t size)
{
	size_t n;

	fflush(stderr);
	dup2(capture_stderr, STDERR_FILENO);
	close(capture_stderr);
	rewind(capture_file);
	n = fread(out, 1, size - 1, capture_file);
	out[n] = 0;
	fclose(capture_file);
}

#endif
