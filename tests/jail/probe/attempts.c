/* SPDX-License-Identifier: MIT */
/*
 * What somebody would try who runs code of their own in a jailed process. Each returns true when it
 * got what it must not get.
 */
#include "probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* ---- files ---- */

static bool open_root(const struct outside *o)
{
	(void)o;
	return open("/", O_RDONLY | O_DIRECTORY) >= 0;
}

static bool open_secret(const struct outside *o)
{
	return open(o->secret, O_RDONLY) >= 0;
}

static bool open_above(const struct outside *o)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "../../../../..%s", o->secret);
	return open(path, O_RDONLY) >= 0;
}

static bool open_own_memory(const struct outside *o)
{
	(void)o;
	return open("/proc/self/mem", O_RDWR) >= 0;
}

static bool open_kvm(const struct outside *o)
{
	(void)o;
	return open("/dev/kvm", O_RDWR) >= 0;
}

static bool create_file(const struct outside *o)
{
	(void)o;
	return open("/file", O_RDWR | O_CREAT, 0600) >= 0 ||
	       open("file", O_RDWR | O_CREAT, 0600) >= 0;
}

static bool make_directory(const struct outside *o)
{
	(void)o;
	return mkdir("/directory", 0700) == 0;
}

static bool make_device_node(const struct outside *o)
{
	(void)o;
	/* /dev/mem */
	return mknod("/node", S_IFCHR | 0600, (dev_t)(1 << 8 | 1)) == 0;
}

static bool open_by_handle(const struct outside *o)
{
	union {
		struct file_handle h;
		char bytes[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = {.h.handle_bytes = MAX_HANDLE_SZ};
	int mount;

	(void)o;
	return name_to_handle_at(FD_DISK, "", &u.h, &mount, AT_EMPTY_PATH) == 0 &&
	       open_by_handle_at(FD_DISK, &u.h, O_RDWR) >= 0;
}

static bool read_siblings_memory_file(const struct outside *o)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", o->sibling, FD_RAM);
	return open(path, O_RDWR) >= 0;
}

static bool grow_disk(const struct outside *o)
{
	struct iovec iov = {(void *)(uintptr_t) "x", 1};

	(void)o;
	return pwritev(FD_DISK, &iov, 1, DISK_SIZE) == 1;
}

static bool truncate_disk_up(const struct outside *o)
{
	(void)o;
	return ftruncate(FD_DISK, DISK_SIZE + 1) == 0;
}

/* ---- network ---- */

static bool connect_tcp(const struct outside *o)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)o->tcp_port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	return connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof(a)) == 0;
}

static bool send_udp(const struct outside *o)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons((uint16_t)o->tcp_port),
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	return sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (struct sockaddr *)&a,
		      sizeof(a)) == 1;
}

static bool open_raw_socket(const struct outside *o)
{
	(void)o;
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0 || socket(AF_PACKET, SOCK_RAW, 0) >= 0;
}

static bool open_socket(const struct outside *o)
{
	(void)o;
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static bool connect_unix(const struct outside *o)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", o->path);
	return connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof(a)) == 0;
}

static bool connect_abstract(const struct outside *o)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	socklen_t len =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(o->abstract));

	(void)snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "%s", o->abstract);
	return connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, len) == 0;
}

/* ---- executing ---- */

static char *const no_strings[] = {NULL};

static bool execute_shell(const struct outside *o)
{
	char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"exit 42"}, NULL};

	(void)o;
	(void)execve("/bin/sh", argv, no_strings);
	return false;
}

static bool execute_descriptor(const struct outside *o)
{
	char *argv[] = {(char[]){"jailprobe"}, (char[]){"escaped"}, NULL};

	(void)o;
	(void)syscall(SYS_execveat, FD_PROGRAM, "", argv, no_strings, AT_EMPTY_PATH);
	return false;
}

static bool execute_memory_file(const struct outside *o)
{
	char *argv[] = {(char[]){"jailprobe"}, (char[]){"escaped"}, NULL};
	int fd = (int)syscall(SYS_memfd_create, "x", 0);
	static char block[4096];
	ssize_t got;

	(void)o;
	for (off_t at = 0; (got = pread(FD_PROGRAM, block, sizeof(block), at)) > 0; at += got) {
		(void)!write(fd, block, (size_t)got);
	}
	(void)syscall(SYS_execveat, fd, "", argv, no_strings, AT_EMPTY_PATH);
	return false;
}

static bool make_process(const struct outside *o)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	(void)o;
	if (pid == 0) {
		_exit(0);
	}
	return pid > 0;
}

/* ---- executable memory ---- */

static bool map_writable_and_executable(const struct outside *o)
{
	(void)o;
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0) != MAP_FAILED;
}

static bool map_executable(const struct outside *o)
{
	(void)o;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, FD_RAM, 0) != MAP_FAILED;
}

static char page[8192];

static bool make_executable(const struct outside *o)
{
	char *at = (char *)(((uintptr_t)page + 4095) & ~(uintptr_t)4095);

	(void)o;
	return mprotect(at, 4096, PROT_READ | PROT_EXEC) == 0;
}

/* ---- other processes ---- */

static bool trace_sibling(const struct outside *o)
{
	return ptrace(PTRACE_SEIZE, o->sibling, NULL, NULL) == 0;
}

static bool trace_launcher(const struct outside *o)
{
	return ptrace(PTRACE_SEIZE, o->launcher, NULL, NULL) == 0;
}

static bool signal_sibling(const struct outside *o)
{
	return kill(o->sibling, SIGCONT) == 0;
}

static bool signal_launcher(const struct outside *o)
{
	return kill(o->launcher, SIGCONT) == 0;
}

static bool signal_thread_of_launcher(const struct outside *o)
{
	return syscall(SYS_tkill, o->launcher, SIGCONT) == 0;
}

static bool signal_everybody(const struct outside *o)
{
	(void)o;
	return kill(-1, SIGCONT) == 0;
}

static bool signal_by_pidfd(const struct outside *o)
{
	(void)o;
	return syscall(SYS_pidfd_send_signal, FD_SIBLING, SIGCONT, NULL, 0) == 0;
}

static bool signal_by_owner(const struct outside *o)
{
	return fcntl(FD_RESULT, F_SETOWN, o->launcher) == 0;
}

static bool read_memory_of_sibling(const struct outside *o)
{
	char byte;
	struct iovec here = {&byte, 1};
	struct iovec there = {page, 1};

	return process_vm_readv(o->sibling, &here, 1, &there, 1, 0) == 1;
}

static bool write_memory_of_launcher(const struct outside *o)
{
	char byte = 0;
	struct iovec here = {&byte, 1};
	struct iovec there = {page, 1};

	return process_vm_writev(o->launcher, &here, 1, &there, 1, 0) == 1;
}

static bool open_pidfd_of_sibling(const struct outside *o)
{
	return syscall(SYS_pidfd_open, o->sibling, 0) >= 0;
}

static bool take_descriptor_of_sibling(const struct outside *o)
{
	(void)o;
	return syscall(SYS_pidfd_getfd, FD_SIBLING, FD_RAM, 0) >= 0;
}

static bool advise_sibling(const struct outside *o)
{
	struct iovec there = {page, 4096};

	(void)o;
	return syscall(SYS_process_madvise, FD_SIBLING, &there, 1, MADV_COLD, 0) >= 0;
}

static bool limit_launcher(const struct outside *o)
{
	struct rlimit old;

	return syscall(SYS_prlimit64, o->launcher, RLIMIT_NOFILE, NULL, &old) == 0;
}

static bool schedule_launcher(const struct outside *o)
{
	return setpriority(PRIO_PROCESS, (id_t)o->launcher, 19) == 0;
}

/* ---- namespaces and mounts ---- */

static bool make_user_namespace(const struct outside *o)
{
	(void)o;
	return unshare(CLONE_NEWUSER) == 0;
}

static bool make_mount_namespace(const struct outside *o)
{
	(void)o;
	return unshare(CLONE_NEWNS) == 0;
}

static bool make_net_namespace(const struct outside *o)
{
	(void)o;
	return unshare(CLONE_NEWNET) == 0;
}

static bool clone_into_namespaces(const struct outside *o)
{
	struct clone_args args = {.flags = CLONE_NEWUSER | CLONE_NEWNS, .exit_signal = SIGCHLD};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	(void)o;
	if (pid == 0) {
		_exit(0);
	}
	return pid > 0;
}

static bool join_namespace(const struct outside *o)
{
	(void)o;
	return setns(FD_SIBLING, CLONE_NEWNS) == 0 || setns(FD_SIBLING, CLONE_NEWNET) == 0;
}

static bool mount_tmpfs(const struct outside *o)
{
	(void)o;
	return mount("none", "/", "tmpfs", 0, NULL) == 0;
}

static bool mount_proc(const struct outside *o)
{
	(void)o;
	return mount("none", "/", "proc", 0, NULL) == 0;
}

static bool remount_writable(const struct outside *o)
{
	(void)o;
	return mount(NULL, "/", NULL, MS_REMOUNT, NULL) == 0;
}

static bool unmount_root(const struct outside *o)
{
	(void)o;
	return umount2("/", MNT_DETACH) == 0;
}

static bool open_file_system(const struct outside *o)
{
	(void)o;
	return syscall(SYS_fsopen, "tmpfs", 0) >= 0;
}

static bool copy_mount_tree(const struct outside *o)
{
	(void)o;
	return syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */) >= 0;
}

static bool change_root(const struct outside *o)
{
	(void)o;
	return chroot(".") == 0;
}

static bool pivot(const struct outside *o)
{
	(void)o;
	return syscall(SYS_pivot_root, ".", ".") == 0;
}

/* ---- rights and limits ---- */

static bool take_capability(const struct outside *o)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{1u << CAP_SYS_ADMIN, 1u << CAP_SYS_ADMIN, 0}};

	(void)o;
	return syscall(SYS_capset, &head, data) == 0;
}

static bool become_somebody(const struct outside *o)
{
	(void)o;
	return syscall(SYS_setresuid, 1, 1, 1) == 0 || syscall(SYS_setgroups, 0, NULL) == 0;
}

static bool raise_descriptors(const struct outside *o)
{
	struct rlimit r = {64, 64};

	(void)o;
	return setrlimit(RLIMIT_NOFILE, &r) == 0;
}

static bool too_many_descriptors(const struct outside *o)
{
	int fd = 0;

	(void)o;
	while (fd >= 0 && fd < VMM_JAIL_FD_LIMIT) {
		fd = dup(FD_EVENT);
	}
	return fd >= VMM_JAIL_FD_LIMIT;
}

static bool too_much_memory(const struct outside *o)
{
	(void)o;
	return mmap(NULL, MEMORY_LIMIT, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

static bool lock_memory(const struct outside *o)
{
	(void)o;
	return mlock(page, 4096) == 0;
}

static bool allow_new_privileges(const struct outside *o)
{
	(void)o;
	return prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;
}

/* ---- the machine ---- */

static bool set_clock(const struct outside *o)
{
	struct timespec ts = {0};

	(void)o;
	return clock_gettime(CLOCK_REALTIME, &ts) == 0 && clock_settime(CLOCK_REALTIME, &ts) == 0;
}

static bool set_host_name(const struct outside *o)
{
	(void)o;
	return sethostname("x", 1) == 0;
}

static bool type_into_terminal(const struct outside *o)
{
	(void)o;
	return ioctl(FD_PTY, TIOCSTI, "x") == 0;
}

static bool make_controlling_terminal(const struct outside *o)
{
	(void)o;
	return ioctl(FD_PTY, TIOCSCTTY, 1) == 0;
}

static bool load_module(const struct outside *o)
{
	(void)o;
	return syscall(SYS_finit_module, FD_PROGRAM, "", 0) == 0;
}

static bool set_up_io_uring(const struct outside *o)
{
	char params[256] = {0};

	(void)o;
	return syscall(SYS_io_uring_setup, 1, params) >= 0;
}

static bool load_bpf(const struct outside *o)
{
	/* BPF_MAP_CREATE of an array */
	uint32_t attr[16] = {2, 4, 4, 1};

	(void)o;
	return syscall(SYS_bpf, 0, attr, sizeof(attr)) >= 0;
}

static bool count_events(const struct outside *o)
{
	/* PERF_TYPE_SOFTWARE, size, of this thread */
	uint32_t attr[32] = {1, sizeof(attr)};

	(void)o;
	return syscall(SYS_perf_event_open, attr, 0, -1, -1, 0) >= 0;
}

static bool handle_faults(const struct outside *o)
{
	(void)o;
	return syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */) >= 0;
}

static bool add_key(const struct outside *o)
{
	(void)o;
	return syscall(SYS_add_key, "user", "x", "x", 1, -1 /* of this thread */) >= 0;
}

#define LANDLOCK "Landlock, empty root"
#define CAPS     "no capabilities"
#define NET      "net namespace, Landlock"
#define PID      "pid namespace, Landlock"
#define MDWE     "no executable memory"
#define LIMIT    "resource limit"

const struct attempt attempts[] = {
	{"open the root directory", open_root, LANDLOCK, false},
	{"open a file that all may read", open_secret, LANDLOCK, false},
	{"open it by a path that goes up", open_above, LANDLOCK, false},
	{"open /proc/self/mem", open_own_memory, LANDLOCK, false},
	{"open /dev/kvm", open_kvm, LANDLOCK, false},
	{"create a file", create_file, LANDLOCK, false},
	{"make a directory", make_directory, LANDLOCK, false},
	{"make a device node", make_device_node, CAPS, false},
	{"open a file by handle", open_by_handle, CAPS, false},
	{"read a sibling's memfd through /proc", read_siblings_memory_file, LANDLOCK, false},
	{"write behind the end of the disk", grow_disk, LIMIT, true},
	{"make the disk longer", truncate_disk_up, LIMIT, true},
	{"connect over TCP", connect_tcp, NET, false},
	{"send over UDP", send_udp, NET, false},
	{"open a raw socket", open_raw_socket, CAPS, false},
	{"open a socket", open_socket, NULL, false},
	{"connect to a socket of a path", connect_unix, LANDLOCK, false},
	{"connect to an abstract socket", connect_abstract, NET, false},
	{"execute a shell", execute_shell, LANDLOCK, false},
	{"execute a descriptor", execute_descriptor, "Landlock", false},
	{"execute a memfd", execute_memory_file, NULL, false},
	{"make a process", make_process, LIMIT, false},
	{"map memory writable and executable", map_writable_and_executable, MDWE, false},
	{"map shared memory executable", map_executable, NULL, false},
	{"make written memory executable", make_executable, MDWE, false},
	{"trace a sibling", trace_sibling, PID, false},
	{"trace the launcher", trace_launcher, PID, false},
	{"signal a sibling", signal_sibling, PID, false},
	{"signal the launcher", signal_launcher, PID, false},
	{"signal a thread of the launcher", signal_thread_of_launcher, PID, true},
	{"signal everybody", signal_everybody, PID, false},
	{"signal a sibling by its pidfd", signal_by_pidfd, PID, false},
	{"have the launcher signalled", signal_by_owner, PID, false},
	{"read a sibling's memory", read_memory_of_sibling, PID, false},
	{"write the launcher's memory", write_memory_of_launcher, PID, false},
	{"open a sibling's pidfd", open_pidfd_of_sibling, PID, false},
	{"take a sibling's descriptor", take_descriptor_of_sibling, PID, false},
	{"page out a sibling", advise_sibling, PID, false},
	{"read the launcher's limits", limit_launcher, PID, false},
	{"slow down the launcher", schedule_launcher, PID, false},
	{"make a user namespace", make_user_namespace, "limit of user namespaces", false},
	{"make a mount namespace", make_mount_namespace, CAPS, false},
	{"make a net namespace", make_net_namespace, CAPS, false},
	{"clone into namespaces", clone_into_namespaces, LIMIT, false},
	{"join a sibling's namespaces", join_namespace, CAPS, false},
	{"mount a tmpfs", mount_tmpfs, CAPS, false},
	{"mount /proc", mount_proc, CAPS, false},
	{"make the root writable", remount_writable, CAPS, false},
	{"unmount the root", unmount_root, CAPS, false},
	{"open a file system", open_file_system, CAPS, false},
	{"copy the mount tree", copy_mount_tree, CAPS, false},
	{"change the root", change_root, CAPS, false},
	{"pivot the root", pivot, CAPS, false},
	{"take a capability", take_capability, CAPS, false},
	{"become somebody else", become_somebody, CAPS, false},
	{"have more descriptors allowed", raise_descriptors, LIMIT, false},
	{"have too many descriptors", too_many_descriptors, LIMIT, false},
	{"map too much memory", too_much_memory, LIMIT, true},
	{"lock memory", lock_memory, LIMIT, false},
	{"clear no_new_privs", allow_new_privileges, "kernel", false},
	{"set the clock", set_clock, CAPS, false},
	{"set the host name", set_host_name, CAPS, false},
	{"type into a terminal", type_into_terminal, CAPS, false},
	{"take a controlling terminal", make_controlling_terminal, CAPS, false},
	{"load a kernel module", load_module, CAPS, false},
	{"set up io_uring", set_up_io_uring, NULL, false},
	{"make a BPF map", load_bpf, NULL, false},
	{"count performance events", count_events, NULL, false},
	{"handle page faults", handle_faults, NULL, false},
	{"add a key", add_key, NULL, false},
};

const size_t attempt_count = sizeof(attempts) / sizeof(attempts[0]);
