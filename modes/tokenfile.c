/* SPDX-License-Identifier: MIT */
#include "modes/tokenfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "modes/egress.h"
#include "proto/tokenline.h"

struct tokenfile {
	char path[PATH_MAX]; /* no link */
	char next[PATH_MAX + 8];
	int fd; /* locked */
	struct stat st;
	bool made; /* by us: there was none */
	char *error;
	size_t size;
};

static bool fail(struct tokenfile *t, const char *what)
{
	snprintf(t->error, t->size, "%s: %s", t->path, what);
	return false;
}

/* Sets fd, made. False: errno. */
static bool open_or_make(struct tokenfile *t)
{
	t->fd = open(t->path, O_RDWR | O_CLOEXEC);
	if (t->fd < 0 && errno == ENOENT) {
		t->fd = open(t->path, O_RDWR | O_CLOEXEC | O_CREAT | O_EXCL,
			     0600);
		t->made = t->fd >= 0;
		if (t->fd < 0 && errno == EEXIST) /* somebody else's */
			return open_or_make(t);
	}
	return t->fd >= 0;
}

/* The file that has the lock may have been replaced meanwhile: once more. */
static bool lock(struct tokenfile *t)
{
	struct stat now;

	for (;;) {
		if (!open_or_make(t) || flock(t->fd, LOCK_EX) ||
		    fstat(t->fd, &t->st))
			return fail(t, strerror(errno));
		if (stat(t->path, &now) == 0 && now.st_ino == t->st.st_ino &&
		    now.st_dev == t->st.st_dev)
			break;
		close(t->fd);
		t->made = false;
	}
	return S_ISREG(t->st.st_mode) || fail(t, "not a file");
}

static const char *on_rule(void *ctx, bool allow, const char *text)
{
	struct egress_rule r;

	(void)ctx;
	return egress_rule_read(&r, allow, text);
}

/* NULL, or what is wrong with an old line. */
static const char *compare(const char *line, size_t n,
			   const struct tokenline *new)
{
	struct tokenline old;
	const char *wrong = tokenline_parse(line, n, on_rule, NULL, &old);

	if (wrong || !old.name[0])
		return wrong;
	if (strcmp(old.name, new->name) == 0)
		return "this name has a token already: take another name, or "
		       "delete this line";
	if (token_same(old.digest, new->digest))
		return "this token is there already";
	return NULL;
}

/* The old lines, then the new one. */
static bool copy(struct tokenfile *t, FILE *from, FILE *to,
		 const struct tokenline *new, const char *line)
{
	const char *wrong = NULL;
	char *text = NULL;
	size_t room = 0;
	unsigned int number = 0;
	ssize_t n;

	while (!wrong && (n = getline(&text, &room, from)) >= 0) {
		number++;
		wrong = compare(text, (size_t)n, new);
		fwrite(text, 1, (size_t)n, to);
		if (text[n - 1] != '\n')
			fputc('\n', to);
	}
	free(text);
	if (wrong) {
		snprintf(t->error, t->size, "%s:%u: %s", t->path, number,
			 wrong);
		return false;
	}
	fprintf(to, "%s\n", line);
	if (ferror(from) || fflush(to) || ferror(to) || fsync(fileno(to)))
		return fail(t, strerror(errno));
	return true;
}

static bool keep_owner(const struct tokenfile *t, int fd)
{
	bool same = t->st.st_uid == geteuid() && t->st.st_gid == getegid();

	return (same || fchown(fd, t->st.st_uid, t->st.st_gid) == 0) &&
	       fchmod(fd, t->st.st_mode & 07777) == 0;
}

/* Closes fd. */
static bool fill(struct tokenfile *t, int fd, const struct tokenline *new,
		 const char *line)
{
	FILE *from = fdopen(dup(t->fd), "r"), *to = fdopen(fd, "w");
	bool good = false;

	if (!to)
		close(fd);
	if (!from || !to || !keep_owner(t, fd))
		fail(t, strerror(errno));
	else
		good = copy(t, from, to, new, line);
	if (from)
		fclose(from);
	if (to && fclose(to) && good)
		good = fail(t, strerror(errno));
	return good;
}

static bool replace(struct tokenfile *t, const struct tokenline *new,
		    const char *line)
{
	int fd;

	snprintf(t->next, sizeof(t->next), "%s.XXXXXX", t->path);
	fd = mkostemp(t->next, O_CLOEXEC);
	if (fd < 0)
		return fail(t, strerror(errno));
	if (fill(t, fd, new, line)) {
		if (rename(t->next, t->path) == 0)
			return true;
		fail(t, strerror(errno));
	}
	unlink(t->next);
	return false;
}

bool tokenfile_add(const char *path, const struct tokenline *new,
		   const char *line, char *error, size_t size)
{
	struct tokenfile t = {.fd = -1, .error = error, .size = size};
	bool good;

	if (!realpath(path, t.path))
		snprintf(t.path, sizeof(t.path), "%s", path);
	good = lock(&t) && replace(&t, new, line);
	if (!good && t.made)
		unlink(t.path);
	if (t.fd >= 0)
		close(t.fd);
	return good;
}
