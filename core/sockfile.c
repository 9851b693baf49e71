/* SPDX-License-Identifier: MIT */
#include "core/sockfile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char in_use[] = "address already in use";

static socklen_t fill(struct sockaddr_un *sa, const char *path)
{
	size_t n = strlen(path);

	static_assert(sizeof(sa->sun_path) == ADDR_UNIX_MAX + 1,
		      "a path of the longest kind and its final 0");
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	memcpy(sa->sun_path, path, n);
	if (*path == '@')
		sa->sun_path[0] = 0;
	else
		n++;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Has whoever made the socket at sa gone? In doubt it has not. */
static bool is_stale(const struct sockaddr_un *sa, socklen_t len)
{
	int fd = new_socket(), err;

	if (fd < 0)
		return false;
	err = connect(fd, (const struct sockaddr *)sa, len) ? errno : 0;
	close(fd);
	return err == ECONNREFUSED;
}

/* NULL: the place is free now. */
static const char *make_room(const struct sockaddr_un *sa, socklen_t len)
{
	struct stat st;

	if (lstat(sa->sun_path, &st))
		return errno == ENOENT ? NULL : strerror(errno);
	if (!S_ISSOCK(st.st_mode))
		return "a file that is no socket is there";
	if (!is_stale(sa, len))
		return in_use;
	return unlink(sa->sun_path) ? strerror(errno) : NULL;
}

/* Nobody can connect yet: listen() comes later. */
static const char *let_in(struct sockfile *f, const char *path,
			  const struct sockfile_access *access)
{
	f->pin = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (f->pin < 0)
		return strerror(errno);
	memcpy(f->path, path, strlen(path) + 1);
	if ((access->uid != (uid_t)-1 || access->gid != (gid_t)-1) &&
	    lchown(path, access->uid, access->gid))
		return "--unix-owner: cannot give it away";
	return chmod(path, access->mode) ? strerror(errno) : NULL;
}

static const char *bind_file(struct sockfile *f, int fd, const char *path,
			     const struct sockfile_access *access)
{
	struct sockaddr_un sa;
	socklen_t len = fill(&sa, path);
	const char *error = *path == '@' ? NULL : make_room(&sa, len);

	/* bind() makes the file with the socket's mode (and the umask) */
	if (!error && fchmod(fd, access->mode & 0600))
		error = strerror(errno);
	if (!error && bind(fd, (struct sockaddr *)&sa, len))
		error = errno == EADDRINUSE ? in_use : strerror(errno);
	if (!error && *path != '@')
		error = let_in(f, path, access);
	return error;
}

int sockfile_bind(struct sockfile *f, const char *path,
		  const struct sockfile_access *access, const char **error)
{
	int fd = new_socket();

	f->path[0] = 0;
	*error = fd < 0 ? strerror(errno) : bind_file(f, fd, path, access);
	if (!*error)
		return fd;
	sockfile_remove(f);
	if (fd >= 0)
		close(fd);
	return -1;
}

void sockfile_remove(struct sockfile *f)
{
	struct stat ours, there;

	if (!f->path[0])
		return;
	if (fstat(f->pin, &ours) == 0 && lstat(f->path, &there) == 0 &&
	    ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
		unlink(f->path);
	close(f->pin);
	f->path[0] = 0;
}
