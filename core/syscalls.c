/* SPDX-License-Identifier: MIT */
#include "core/syscalls.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>

/* Processors whose calls have been tried; 64 bits, and so one call for each
 * thing. */
#if defined(__x86_64__) && !defined(__ILP32__)
#define ARCH    AUDIT_ARCH_X86_64
#define X32_BIT 0x40000000 /* the same calls by other numbers */
#elif defined(__aarch64__) && defined(__LP64__) && !defined(__AARCH64EB__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#ifndef ARCH

bool syscalls_can(void)
{
	return false;
}

bool syscalls_refuse_rings(void)
{
	errno = ENOSYS;
	return false;
}

bool syscalls_filter(void)
{
	errno = ENOSYS;
	return false;
}

#else

#define PROGRAM_MAX 512

/* Older headers do not have these. */
#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS 0x80000000U
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

/* With any arguments, for a process that runs. */
static const int allowed[] = {
	/* bytes */
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_pread64,
	SYS_pwrite64,
	SYS_sendto,
	SYS_recvfrom,
	SYS_sendmsg,
	SYS_recvmsg,
	SYS_sendmmsg,
	SYS_recvmmsg,
	SYS_close,
	SYS_shutdown,
	SYS_lseek,
	/* the loop */
	SYS_epoll_pwait,
	SYS_epoll_ctl,
	SYS_ppoll,
	SYS_pselect6,
	SYS_epoll_create1,
	SYS_eventfd2,
	SYS_pipe2,
	SYS_splice,
#ifdef SYS_epoll_wait
	SYS_epoll_wait,
	SYS_poll,
	SYS_select,
#endif
#ifdef SYS_epoll_pwait2
	SYS_epoll_pwait2,
#endif
	/* sockets; bind() is for netlink, and Landlock keeps it from TCP */
	SYS_accept4,
	SYS_accept,
	SYS_connect,
	SYS_bind,
	SYS_getsockname,
	SYS_getpeername,
	SYS_getsockopt,
	SYS_setsockopt,
	SYS_fcntl,
	SYS_dup,
	SYS_dup3,
	/* files, which Landlock chooses */
	SYS_openat,
	SYS_fstat,
	SYS_newfstatat,
	SYS_statx,
	SYS_readlinkat,
	SYS_faccessat,
	SYS_getdents64,
	SYS_unlinkat,
	SYS_renameat2,
	SYS_getcwd,
	SYS_fadvise64,
	SYS_ftruncate,
#ifdef SYS_faccessat2
	SYS_faccessat2,
#endif
#ifdef SYS_renameat
	SYS_renameat,
#endif
#ifdef SYS_open
	SYS_open,
	SYS_stat,
	SYS_lstat,
	SYS_access,
	SYS_readlink,
	SYS_unlink,
	SYS_rename,
#endif
	/* memory */
	SYS_brk,
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	/* threads and signals */
	SYS_futex,
	SYS_exit,
	SYS_exit_group,
	SYS_set_robust_list,
	SYS_get_robust_list,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_sigaltstack,
	SYS_restart_syscall,
	SYS_sched_yield,
	SYS_sched_getaffinity,
	SYS_getcpu,
	SYS_membarrier,
#ifdef SYS_rseq
	SYS_rseq,
#endif
	/* time, chance, and who am I */
	SYS_clock_gettime,
	SYS_clock_getres,
	SYS_clock_nanosleep,
	SYS_nanosleep,
	SYS_gettimeofday,
	SYS_getrandom,
	SYS_getpid,
	SYS_gettid,
	SYS_getppid,
	SYS_getuid,
	SYS_geteuid,
	SYS_getgid,
	SYS_getegid,
	SYS_getrlimit,
	SYS_getrusage,
	SYS_uname,
	SYS_sysinfo,
#ifdef SYS_time
	SYS_time,
#endif
};

/* Nothing in wsp could call these by mistake: who does is not wsp any more. */
static const int fatal[] = {
	SYS_execve,
	SYS_execveat,
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_clone,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_unshare,
	SYS_setns,
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_reboot,
	SYS_swapon,
	SYS_swapoff,
	SYS_keyctl,
	SYS_add_key,
	SYS_request_key,
	SYS_open_by_handle_at,
	SYS_personality,
	SYS_memfd_create,
	SYS_acct,
	SYS_quotactl,
	SYS_sethostname,
	SYS_setdomainname,
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_adjtimex,
	SYS_syslog,
	SYS_vhangup,
	SYS_listen,
	SYS_mknodat,
#ifdef SYS_kexec_file_load
	SYS_kexec_file_load,
#endif
#ifdef SYS_io_uring_setup
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
#endif
#ifdef SYS_move_mount
	SYS_move_mount,
	SYS_open_tree,
	SYS_fsopen,
	SYS_fsmount,
#endif
#ifdef SYS_pidfd_getfd
	SYS_pidfd_getfd,
#endif
#ifdef SYS_fork
	SYS_fork,
	SYS_vfork,
	SYS_iopl,
	SYS_ioperm,
	SYS_modify_ldt,
	SYS_mknod,
#endif
};

/* The libraries try these and have another way. */
static const int missing[] = {
#ifdef SYS_clone3 /* its flags are in memory, where no filter looks */
	SYS_clone3,
#endif
};

/* Allowed if the low halves of all these arguments are right. */
struct test {
	unsigned int arg;
	uint32_t mask, value;
};

struct rule {
	int nr, count;
	struct test tests[2];
};

#define ALL 0xffffffffU
#define NAMESPACES                                                   \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | \
	 CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP)
/* Argument a is v, or so under the mask m. */
#define IS(a, v)                      \
	{                             \
		a, ALL, (uint32_t)(v) \
	}
#define HAS(a, m, v)    \
	{               \
		a, m, v \
	}
#define ONE(n, test)                    \
	{                               \
		n, 1,                   \
		{                       \
			test,           \
			{               \
				0, 0, 0 \
			}               \
		}                       \
	}
#define TWO(n, one, two)         \
	{                        \
		n, 2,            \
		{                \
			one, two \
		}                \
	}
#define TYPE 0xf /* of a socket; there are flags beside it */

static const struct rule rules[] = {
	ONE(SYS_mmap, HAS(2, PROT_EXEC, 0)),
	ONE(SYS_mprotect, HAS(2, PROT_EXEC, 0)),
	ONE(SYS_clone, HAS(0, CLONE_THREAD | NAMESPACES, CLONE_THREAD)),
	TWO(SYS_socket, IS(0, AF_INET), HAS(1, TYPE, SOCK_STREAM)),
	TWO(SYS_socket, IS(0, AF_INET), HAS(1, TYPE, SOCK_DGRAM)),
	TWO(SYS_socket, IS(0, AF_INET6), HAS(1, TYPE, SOCK_STREAM)),
	TWO(SYS_socket, IS(0, AF_INET6), HAS(1, TYPE, SOCK_DGRAM)),
	ONE(SYS_socket, IS(0, AF_UNIX)),
	TWO(SYS_socket, IS(0, AF_NETLINK), IS(2, NETLINK_ROUTE)),
	ONE(SYS_socketpair, IS(0, AF_UNIX)),
	ONE(SYS_ioctl, IS(1, FIONREAD)),
	ONE(SYS_ioctl, IS(1, FIONBIO)),
	ONE(SYS_ioctl, IS(1, TCGETS)),
	ONE(SYS_ioctl, IS(1, SIOCOUTQ)),
	ONE(SYS_ioctl, IS(1, SIOCGIFINDEX)),
	ONE(SYS_ioctl, IS(1, SIOCGIFNAME)),
	ONE(SYS_prctl, IS(0, PR_SET_NAME)),
	ONE(SYS_prctl, IS(0, PR_GET_NAME)),
	ONE(SYS_prctl, IS(0, PR_SET_VMA)),
};

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* The program. A jump goes forward, over so many instructions. */

struct program {
	struct sock_filter code[PROGRAM_MAX];
	unsigned short count;
};

static void add(struct program *p, unsigned short code, uint32_t k,
		unsigned char yes, unsigned char no)
{
	assert(p->count < PROGRAM_MAX);
	p->code[p->count++] = (struct sock_filter){code, yes, no, k};
}

static void load(struct program *p, size_t offset)
{
	add(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

static void answer(struct program *p, uint32_t action)
{
	add(p, BPF_RET | BPF_K, action, 0, 0);
}

/* If what is loaded is value. */
static void answer_if(struct program *p, uint32_t value, uint32_t action)
{
	add(p, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
	answer(p, action);
}

static void answer_list(struct program *p, const int *list, size_t n,
			uint32_t action)
{
	for (size_t i = 0; i < n; i++)
		answer_if(p, (uint32_t)list[i], action);
}

/* One test: the low half of an argument, as both processors store it. */
static void add_test(struct program *p, const struct test *t,
		     unsigned char skip)
{
	load(p,
	     offsetof(struct seccomp_data, args) + t->arg * sizeof(uint64_t));
	add(p, BPF_ALU | BPF_AND | BPF_K, t->mask, 0, 0);
	add(p, BPF_JMP | BPF_JEQ | BPF_K, t->value, 0, skip);
}

/* Leaves the number of the call loaded, as it finds it. */
static void add_rule(struct program *p, const struct rule *r)
{
	unsigned char size = (unsigned char)(3 * r->count + 1);

	add(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)r->nr, 0, size);
	for (int i = 0; i < r->count; i++)
		add_test(p, &r->tests[i], (unsigned char)(size - 3 * (i + 1)));
	answer(p, SECCOMP_RET_ALLOW);
	load(p, offsetof(struct seccomp_data, nr));
}

/* A 64-bit argument that is NULL: getrlimit() is prlimit64() in glibc. */
static void add_null(struct program *p, int nr, unsigned int arg)
{
	struct rule r = {nr, 2, {IS(arg, 0), IS(arg, 0)}};
	unsigned short high = (unsigned short)(p->count + 4);

	add_rule(p, &r);
	p->code[high].k += sizeof(uint32_t);
}

static bool in_tests(void)
{
	const char *text = getenv("WSP_TEST_SANDBOX");

	return text && strcmp(text, "kill") == 0;
}

/* One processor's numbers, and leaves that of the call loaded. */
static void begin(struct program *p)
{
	load(p, offsetof(struct seccomp_data, arch));
	add(p, BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	answer(p, SECCOMP_RET_KILL_PROCESS);
	load(p, offsetof(struct seccomp_data, nr));
#ifdef X32_BIT
	add(p, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
	answer(p, SECCOMP_RET_KILL_PROCESS);
#endif
}

static void build(struct program *p)
{
	uint32_t kill = SECCOMP_RET_KILL_PROCESS, no = SECCOMP_RET_ERRNO;
	struct rule self = ONE(SYS_tgkill, IS(0, getpid()));

	begin(p);
	answer_list(p, allowed, COUNT(allowed), SECCOMP_RET_ALLOW);
	for (size_t i = 0; i < COUNT(rules); i++)
		add_rule(p, &rules[i]);
	add_rule(p, &self);
	add_null(p, SYS_prlimit64, 2);
	answer_list(p, missing, COUNT(missing), no | ENOSYS);
	if (in_tests()) {
		answer(p, SECCOMP_RET_TRAP);
		return;
	}
	answer_list(p, fatal, COUNT(fatal), kill);
	for (size_t i = 0; i < COUNT(rules); i++)
		answer_if(p, (uint32_t)rules[i].nr, no | EPERM);
	answer(p, no | ENOSYS);
}

/* For who has to find out what is missing in the list. */
static void on_refused(int sig, siginfo_t *info, void *ctx)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "wsp: sandbox: system call %d\n",
			 info->si_syscall);

	(void)ctx;
	if (write(STDERR_FILENO, text, (size_t)n) < 0)
		_exit(1);
	_exit(128 + sig);
}

static long seccomp(unsigned int operation, unsigned int flags, void *args)
{
	return syscall(SYS_seccomp, operation, flags, args);
}

bool syscalls_can(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	return seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static bool install(struct program *p)
{
	struct sock_fprog all = {.filter = p->code, .len = p->count};

	return seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
		       &all) == 0;
}

bool syscalls_refuse_rings(void)
{
	struct program p = {.count = 0};

	begin(&p);
#ifdef SYS_io_uring_setup
	answer_if(&p, SYS_io_uring_setup, SECCOMP_RET_ERRNO | ENOSYS);
#endif
	answer(&p, SECCOMP_RET_ALLOW);
	return install(&p);
}

bool syscalls_filter(void)
{
	struct sigaction on = {.sa_flags = SA_SIGINFO};
	struct program p = {.count = 0};

	build(&p);
	on.sa_sigaction = on_refused;
	if (in_tests() && sigaction(SIGSYS, &on, NULL))
		return false;
	return install(&p);
}

#endif
