/* SPDX-License-Identifier: MIT */
#include "core/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/log.h"
#include "core/syscalls.h"

#define LINKS_MAX 40 /* as in the kernel */

/* Landlock as <linux/landlock.h> has it, which may be older than the kernel, or
 * not there. */
#define LL_EXECUTE      (1u << 0)
#define LL_WRITE_FILE   (1u << 1)
#define LL_READ_FILE    (1u << 2)
#define LL_READ_DIR     (1u << 3)
#define LL_REMOVE_FILE  (1u << 5)
#define LL_MAKE_REG     (1u << 8)
#define LL_TRUNCATE     (1u << 14)
#define LL_ABI_1        ((1u << 13) - 1)
#define LL_ABI_2        (1u << 13) /* REFER */
#define LL_ABI_3        LL_TRUNCATE
#define LL_ABI_5        (1u << 15) /* IOCTL_DEV */
#define LL_NET_BIND_TCP (1u << 0)  /* ABI 4 */
#define LL_OF_FILES     (LL_EXECUTE | LL_WRITE_FILE | LL_READ_FILE | LL_TRUNCATE)
#define LL_PATH_BENEATH 1
#define LL_VERSION      1

#ifndef SYS_landlock_create_ruleset /* the same for all processors */
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

struct ll_ruleset {
	uint64_t fs, net;
};

struct ll_path_beneath {
	uint64_t access;
	int32_t parent;
} __attribute__((packed));

/* 0: the kernel has none. */
static int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LL_VERSION);

	return abi > 0 ? (int)abi : 0;
}

static int make_rules(int abi, uint64_t *handled)
{
	struct ll_ruleset r = {.fs = LL_ABI_1};
	size_t size = abi >= 4 ? sizeof(r) : sizeof(r.fs);

	if (abi >= 2)
		r.fs |= LL_ABI_2;
	if (abi >= 3)
		r.fs |= LL_ABI_3;
	if (abi >= 4)
		r.net = LL_NET_BIND_TCP;
	if (abi >= 5)
		r.fs |= LL_ABI_5;
	*handled = r.fs;
	return (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
}

/* What there is. */

const char *sandbox_offer(void)
{
	static char text[64];
	int abi = landlock_abi();

	if (abi)
		snprintf(text, sizeof(text), "%sLandlock %d",
			 syscalls_can() ? "seccomp, " : "", abi);
	else
		snprintf(text, sizeof(text), "%s",
			 syscalls_can() ? "seccomp" : "none");
	return text;
}

bool sandbox_is_whole(void)
{
	return syscalls_can() && landlock_abi();
}

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif

const char *sandbox_obstacle(void)
{
	extern void __gcov_dump(void) __attribute__((weak));
	extern int __llvm_profile_write_file(void) __attribute__((weak));
	const char *preload = getenv("LD_PRELOAD");

	if (__gcov_dump || __llvm_profile_write_file)
		return "coverage is measured";
	if (preload && strstr(preload, "/vgpreload_"))
		return "valgrind is watching";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||       \
	HAS_FEATURE(address_sanitizer) || HAS_FEATURE(thread_sanitizer) || \
	HAS_FEATURE(memory_sanitizer)
	return "sanitizers are watching";
#else
	return NULL;
#endif
}

/* Rules. */

void sandbox_open(struct sandbox *s)
{
	int abi = landlock_abi();

	s->rules = abi ? make_rules(abi, &s->handled) : -1;
}

static uint64_t access_of(unsigned int may)
{
	uint64_t access = 0;

	if (may & SANDBOX_READ)
		access |= LL_READ_FILE;
	if (may & SANDBOX_LIST)
		access |= LL_READ_DIR;
	if (may & SANDBOX_REMOVE)
		access |= LL_REMOVE_FILE;
	if (may & SANDBOX_MAKE)
		access |= LL_MAKE_REG | LL_WRITE_FILE | LL_TRUNCATE;
	return access;
}

void sandbox_allow(struct sandbox *s, const char *path, unsigned int may)
{
	struct ll_path_beneath rule = {.access = access_of(may) & s->handled};
	struct stat st;

	if (s->rules < 0)
		return;
	rule.parent = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent < 0)
		return;
	if (fstat(rule.parent, &st) == 0 && !S_ISDIR(st.st_mode))
		rule.access &= LL_OF_FILES;
	if (syscall(SYS_landlock_add_rule, s->rules, LL_PATH_BENEATH, &rule, 0))
		log_debug(NULL, "sandbox: no rule for %s: %s", path,
			  strerror(errno));
	close(rule.parent);
}

/* The folder of path, which ends in a name; the file alone if it is "/". */
static void allow_folder_of(struct sandbox *s, const char *path)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (n == 0) {
		sandbox_allow(s, path, SANDBOX_READ);
		return;
	}
	memcpy(folder, path, n);
	folder[n] = 0;
	sandbox_allow(s, folder, SANDBOX_READ);
}

/* What the link at path leads to, behind which comes rest, into to, which has
 * PATH_MAX bytes. False: it is no link. */
static bool read_link(const char *path, const char *rest, char *to)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	size_t folder = (size_t)(strrchr(path, '/') - path) + 1;

	if (n <= 0)
		return false;
	target[n] = 0;
	if (*target == '/')
		folder = 0;
	return snprintf(to, PATH_MAX, "%.*s%s%s", (int)folder, path, target,
			rest) < PATH_MAX;
}

/* The first link on the way along path. Where it leads to is allowed, and path
 * goes there then. False: there is none. */
static bool follow_link(struct sandbox *s, char *path)
{
	char next[PATH_MAX], rest[PATH_MAX];

	for (char *end = path + 1; *end; end++) {
		end += strcspn(end, "/");
		snprintf(rest, sizeof(rest), "%s", end);
		*end = 0;
		if (read_link(path, "", next)) {
			allow_folder_of(s, next);
			return snprintf(path, PATH_MAX, "%s%s", next, rest) <
			       PATH_MAX;
		}
		if (!*rest)
			break;
		*end = '/';
	}
	return false;
}

void sandbox_allow_file(struct sandbox *s, const char *file)
{
	char path[PATH_MAX], cwd[PATH_MAX] = "";
	int n;

	if (!file || s->rules < 0)
		return;
	if (*file != '/' && !getcwd(cwd, sizeof(cwd)))
		return;
	n = snprintf(path, sizeof(path), "%s%s%s", cwd, *cwd ? "/" : "", file);
	if (n >= (int)sizeof(path))
		return;
	allow_folder_of(s, path);
	for (int i = 0; i < LINKS_MAX && follow_link(s, path); i++)
		;
}

void sandbox_prepare(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    (syscalls_can() && !syscalls_refuse_rings()))
		log_debug(NULL, "sandbox: %s", strerror(errno));
}

/* The end of the beginning. */

/* Landlock holds this thread and those that it makes. */
static bool is_alone(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = 0;

	if (!d)
		return true;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n == 1;
}

static bool take_rules(struct sandbox *s)
{
	bool good = s->rules < 0 ||
		    !syscall(SYS_landlock_restrict_self, s->rules, 0);

	if (s->rules >= 0)
		close(s->rules);
	s->rules = -1;
	return good;
}

const char *sandbox_enter(struct sandbox *s)
{
	bool alone = is_alone();

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return "no_new_privs";
	if (!take_rules(s))
		return "Landlock";
	if (syscalls_can() && !syscalls_filter())
		return "seccomp";
	return alone ? NULL : "Landlock for threads that there are already";
}

void sandbox_hide_memory(void)
{
	static const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0))
		log_debug(NULL, "core dumps: %s", strerror(errno));
}
