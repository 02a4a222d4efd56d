/* SPDX-License-Identifier: MIT */
/*
 * A child is as trusted as its program, and no more: it cannot gain privileges, and the
 * calls that no adapter has a use for but whoever took one over are refused. The list
 * names what to refuse and not what to allow, since a plugin is free in what it does;
 * refused calls fail as for lack of permission, so nothing ends that only tried.
 */
#include "config.h"

#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- System calls ---- */

#if defined __x86_64__
#define MACHINE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define MACHINE AUDIT_ARCH_AARCH64
#elif defined __riscv && __riscv_xlen == 64
#define MACHINE AUDIT_ARCH_RISCV64
#endif

#ifdef MACHINE

#define WORD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define REFUSE BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
/* Where the word is the value, the next instruction is carried out, else passed over. */
#define IF(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1)
#define UNLESS(value) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0)
#define REFUSED(call) IF(__NR_##call), REFUSE

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW_WORD 0
#else
#define LOW_WORD 4
#endif

static const struct sock_filter filter[] = {
	/* Calls of another machine have other numbers. */
	WORD(offsetof(struct seccomp_data, arch)), UNLESS(MACHINE), REFUSE,
	WORD(offsetof(struct seccomp_data, nr)),
#ifdef __x86_64__
	/* So have those of x32. */
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), REFUSE,
#endif
	/* Looking into other processes, and taking their descriptors. */
	REFUSED(ptrace), REFUSED(process_vm_readv), REFUSED(process_vm_writev), REFUSED(kcmp),
	REFUSED(process_madvise), REFUSED(pidfd_getfd),
	/* The kernel itself. */
	REFUSED(bpf), REFUSED(perf_event_open), REFUSED(init_module), REFUSED(finit_module), REFUSED(delete_module),
	REFUSED(kexec_load), REFUSED(kexec_file_load), REFUSED(reboot), REFUSED(syslog), REFUSED(userfaultfd),
	REFUSED(add_key), REFUSED(request_key), REFUSED(keyctl), REFUSED(acct), REFUSED(quotactl),
	REFUSED(swapon), REFUSED(swapoff), REFUSED(settimeofday), REFUSED(clock_settime), REFUSED(adjtimex),
	REFUSED(clock_adjtime), REFUSED(sethostname), REFUSED(setdomainname), REFUSED(vhangup),
	/* Calls that would go past this list. */
	REFUSED(io_uring_setup), REFUSED(io_uring_enter), REFUSED(io_uring_register),
	/* What is where in the file system, and what is seen of the machine. */
	REFUSED(mount), REFUSED(umount2), REFUSED(pivot_root), REFUSED(chroot), REFUSED(move_mount), REFUSED(open_tree),
	REFUSED(fsopen), REFUSED(fsconfig), REFUSED(fsmount), REFUSED(fspick), REFUSED(mount_setattr), REFUSED(setns),
	REFUSED(unshare), REFUSED(open_by_handle_at), REFUSED(name_to_handle_at), REFUSED(fanotify_init),
#ifdef __x86_64__
	REFUSED(iopl), REFUSED(ioperm), REFUSED(modify_ldt),
#endif
	/* Typing on a terminal in somebody else's name. */
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_ioctl, 1, 0), ALLOW,
	WORD(offsetof(struct seccomp_data, args[1]) + LOW_WORD), IF(TIOCSTI), REFUSE, IF(TIOCLINUX), REFUSE,
	ALLOW,
};

static int refuse_calls(void)
{
	/* The kernel takes what it does not change without const. */
	const struct sock_fprog program = {
		sizeof filter / sizeof *filter, (struct sock_filter *)(uintptr_t)filter,
	};

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

bool confine_knows_calls(void)
{
	return true;
}

#else

static int refuse_calls(void)
{
	return 0;
}

bool confine_knows_calls(void)
{
	return false;
}

#endif

/* ---- Files ---- */

/* Rights by their bits: those that headers and kernels older than this file lack, too. */
enum {
	CAN_EXECUTE = 1 << 0,
	CAN_WRITE_FILE = 1 << 1,
	CAN_READ_FILE = 1 << 2,
	CAN_READ_DIR = 1 << 3,
	CAN_REFER = 1 << 13,
	CAN_TRUNCATE = 1 << 14,
	CAN_IOCTL = 1 << 15,
	CAN_READ = CAN_EXECUTE | CAN_READ_FILE | CAN_READ_DIR,
	OF_FILES = CAN_EXECUTE | CAN_WRITE_FILE | CAN_READ_FILE | CAN_TRUNCATE | CAN_IOCTL,
};

/* What the kernel can tell apart, by its version of Landlock. */
static uint64_t known_rights(long version)
{
	uint64_t rights = CAN_REFER - 1;

	if (version >= 2)
		rights |= CAN_REFER;
	if (version >= 3)
		rights |= CAN_TRUNCATE;
	if (version >= 5)
		rights |= CAN_IOCTL;
	return rights;
}

/* 0, or a negative errno. */
static int allow_fd(int rules, int fd, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = { .parent_fd = fd };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	rule.allowed_access = S_ISDIR(st.st_mode) ? rights : rights & OF_FILES;
	return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static int allow(int rules, const char *path, uint64_t rights)
{
	int fd = open(path, O_PATH | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	rc = allow_fd(rules, fd, rights);
	close(fd);
	return rc;
}

/* What programs need to run at all; where it is not there, nothing is to be allowed. */
static void allow_system(int rules, uint64_t known)
{
	static const char *const readable[] = {
		"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc",
	};
	static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom" };

	for (size_t i = 0; i < sizeof readable / sizeof *readable; i++)
		allow(rules, readable[i], CAN_READ);
	for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
		allow(rules, devices[i], known & (CAN_READ | CAN_WRITE_FILE | CAN_TRUNCATE | CAN_IOCTL));
}

static int allow_all(int rules, const char *const *paths, size_t n, uint64_t rights, const char **culpritp)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = allow(rules, paths[i], rights);
		*culpritp = paths[i];
	}
	return rc;
}

int confine_paths(const char *const *readable, size_t n_readable, const char *const *writable, size_t n_writable,
		  const char *program, int plugin_fd, const char **culpritp)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr attr = { .handled_access_fs = known_rights(version) };
	int rules, rc;

	*culpritp = program;
	if (version < 1)
		return -ENOSYS;
	/* It closes on exec by itself. */
	rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
	if (rules < 0)
		return -errno;
	allow_system(rules, attr.handled_access_fs);
	rc = allow(rules, program, CAN_EXECUTE | CAN_READ_FILE);
	if (rc == 0 && plugin_fd >= 0)
		rc = allow_fd(rules, plugin_fd, CAN_EXECUTE | CAN_READ_FILE);
	/* A file in memory, such as a plugin that is pinned, stands under no rules. */
	if (rc == -EBADFD)
		rc = 0;
	if (rc == 0)
		rc = allow_all(rules, readable, n_readable, CAN_READ, culpritp);
	if (rc == 0)
		rc = allow_all(rules, writable, n_writable, attr.handled_access_fs, culpritp);
	if (rc < 0)
		close(rules);
	return rc < 0 ? rc : rules;
}

const char *confine_self(const struct confinement *confinement)
{
	/* Rules need it, too. */
	if ((confinement->on || confinement->landlock >= 0) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return "no-new-privileges";
	if (confinement->landlock >= 0 && syscall(SYS_landlock_restrict_self, confinement->landlock, 0) < 0)
		return "Landlock";
	if (confinement->on && refuse_calls() < 0)
		return "seccomp";
	return NULL;
}
