/* SPDX-License-Identifier: MIT */
/* The outside of the attempts: things worth reaching, and the verdict. */
#include "probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* What is out there, and a sibling that waits to be attacked. */
struct scene {
	struct outside o;
	struct vmm_process_fd fds[FDS_INSIDE - 2];
	size_t fd_count;
	struct jailed sibling;
};

static int listen_on(const struct sockaddr *a, socklen_t len, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, a, len) != 0 || listen(fd, 100) != 0) {
		perror("escape: a listening socket");
		return -1;
	}
	return fd;
}

static bool make_listeners(struct outside *o)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_un abstract = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(in);
	int tcp = listen_on((struct sockaddr *)&in, len, AF_INET);

	(void)snprintf(o->path, sizeof(o->path), "/tmp/jailprobe-%d.sock", o->launcher);
	(void)snprintf(o->abstract, sizeof(o->abstract), "jailprobe-%d", o->launcher);
	memcpy(un.sun_path, o->path, sizeof(o->path));
	memcpy(abstract.sun_path + 1, o->abstract, sizeof(o->abstract));
	if (tcp < 0 || getsockname(tcp, (struct sockaddr *)&in, &len) != 0) {
		return false;
	}
	o->tcp_port = ntohs(in.sin_port);
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(o->abstract));
	return listen_on((struct sockaddr *)&un, sizeof(un), AF_UNIX) >= 0 &&
	       chmod(o->path, 0777) == 0 &&
	       listen_on((struct sockaddr *)&abstract, len, AF_UNIX) >= 0;
}

static int make_secret(struct outside *o)
{
	int fd;

	(void)snprintf(o->secret, sizeof(o->secret), "/tmp/jailprobe-%d.secret", o->launcher);
	fd = open(o->secret, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 || fchmod(fd, 0666) != 0 || ftruncate(fd, DISK_SIZE) != 0) {
		perror(o->secret);
		return -1;
	}
	return fd;
}

static void give(struct scene *s, int from, int to)
{
	s->fds[s->fd_count++] = (struct vmm_process_fd){from, to};
}

static bool start_sibling(struct scene *s)
{
	char *argv[] = {(char[]){"jailprobe"}, (char[]){"inside"}, (char[]){"hang"},
			(char[]){"rng"}, NULL};
	char byte;

	if (!probe_start(&s->sibling, argv, s->fds, s->fd_count) ||
	    recv(s->sibling.result, &byte, 1, 0) != 1) {
		return false;
	}
	s->o.sibling = s->sibling.process.pid;
	return true;
}

static bool make_scene(struct scene *s)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int ram = (int)syscall(SYS_memfd_create, "ram", 1u /* MFD_CLOEXEC */);
	int pty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	int disk;

	s->o.launcher = getpid();
	disk = make_secret(&s->o);
	if (disk < 0 || ftruncate(ram, 1 << 20) != 0 || !make_listeners(&s->o)) {
		return false;
	}
	give(s, event, FD_EVENT);
	give(s, disk, FD_DISK);
	give(s, ram, FD_RAM);
	if (!start_sibling(s)) {
		return false;
	}
	give(s, s->sibling.process.pidfd, FD_SIBLING);
	give(s, open("/proc/self/exe", O_RDONLY | O_CLOEXEC), FD_PROGRAM);
	give(s, pty, FD_PTY);
	return true;
}

struct verdict {
	unsigned attempts;
	unsigned killed;
	unsigned held; /* failed by the other layers */
	unsigned successes;
	unsigned wrong;  /* odd, or sealed and neither killed nor excused */
	bool incomplete; /* a layer is missing here: nothing is promised without the filter */
};

static bool may_survive(const char *name)
{
	for (size_t i = 0; i < attempt_count; i++) {
		if (strcmp(attempts[i].name, name) == 0) {
			return attempts[i].listed;
		}
	}
	return false;
}

static void judge(const char *profile, const struct attempted *a, struct verdict *v)
{
	const char *how = a->sealed ? "with the filter" : "without the filter";
	/* Lists for foreign front ends hold calls that some attempts begin with. */
	bool excused = may_survive(a->name) || strstr(profile, "-served");

	if (v->incomplete && !a->sealed) {
		return;
	}
	v->attempts++;
	v->killed += a->killed;
	v->held += !a->killed && !a->succeeded && !a->odd;
	if (a->succeeded) {
		v->successes++;
		printf("success: %s: %s, %s\n", profile, a->name, how);
	} else if (a->odd || a->killed != a->sealed) {
		if (a->odd || !excused || !a->sealed) {
			v->wrong++;
			printf("deviation: %s: %s, %s: %s\n", profile, a->name, how,
			       a->odd      ? "went wrong"
			       : a->killed ? "killed"
					   : "not killed");
		}
	}
}

/*
 * Only where all layers are there do they have to hold without the filter. A user namespace is not
 * one of them: where root gets none, nobody else can make one either.
 */
static bool complete(const struct vmm_jail_level *l)
{
	return l->pid_ns && l->mount_ns && l->net_ns && l->ipc_ns && l->uts_ns && l->cgroup_ns &&
	       l->empty_root && l->uid_changed && l->no_caps && l->no_bounding && l->mdwe &&
	       l->landlock_abi >= 6;
}

#define WORDS 7

/* In the order that main.c reads them in. */
static void write_words(char words[WORDS][64], const struct scene *s, const char *profile)
{
	(void)snprintf(words[0], 64, "%s", profile);
	(void)snprintf(words[1], 64, "%d", s->o.launcher);
	(void)snprintf(words[2], 64, "%d", s->o.sibling);
	(void)snprintf(words[3], 64, "%d", s->o.tcp_port);
	(void)snprintf(words[4], 64, "%s", s->o.abstract);
	(void)snprintf(words[5], 64, "%s", s->o.path);
	(void)snprintf(words[6], 64, "%s", s->o.secret);
}

static int escape_profile(const struct scene *s, const char *profile, struct verdict *v)
{
	char words[WORDS][64];
	char *argv[3 + WORDS + 1] = {(char[]){"jailprobe"}, (char[]){"inside"}, (char[]){"escape"}};
	struct vmm_jail_level level;
	struct attempted a;
	struct jailed j;
	char text[512];
	size_t got = 0;

	write_words(words, s, profile);
	for (size_t i = 0; i < WORDS; i++) {
		argv[3 + i] = words[i];
	}
	if (!probe_start(&j, argv, s->fds, s->fd_count)) {
		return PROBE_FAILED;
	}
	if (recv(j.result, &level, sizeof(level), 0) != (ssize_t)sizeof(level)) {
		(void)probe_finish(&j);
		return PROBE_FAILED;
	}
	if (!complete(&level) && !v->incomplete) {
		v->incomplete = true;
		(void)vmm_jail_describe(&level, text, sizeof(text));
		printf("skipped: escapes without the filter: a layer is missing here: %s\n", text);
	}
	while (recv(j.result, &a, sizeof(a), 0) == (ssize_t)sizeof(a)) {
		judge(profile, &a, v);
		got++;
	}
	if (probe_finish(&j) != 0 || got < attempt_count) {
		printf("deviation: %s: the probe did not come to its end\n", profile);
		return PROBE_FAILED;
	}
	return PROBE_OK;
}

static int escape_all(struct scene *s)
{
	struct verdict v = {0};
	int ret = PROBE_OK;

	for (size_t i = 0; i < vmm_jail_profile_count() && ret == PROBE_OK; i++) {
		ret = escape_profile(s, vmm_jail_profile_at(i)->name, &v);
	}
	if (ret == PROBE_OK && vmm_process_wait(&s->sibling.process, 0, NULL) != 0) {
		printf("deviation: the sibling is gone\n");
		ret = PROBE_FAILED;
	}
	printf("figure: escape probes: profiles %zu, attempts %u, killed by the filter %u, "
	       "held by the layers below %u, deviations %u, successes %u\n",
	       vmm_jail_profile_count(), v.attempts, v.killed, v.held, v.wrong, v.successes);
	return ret == PROBE_OK && v.successes + v.wrong > 0 ? PROBE_FAILED : ret;
}

int escape(void)
{
	struct scene s = {0};
	int ret = make_scene(&s) ? escape_all(&s) : PROBE_FAILED;

	vmm_process_kill(&s.sibling.process);
	(void)unlink(s.o.path);
	(void)unlink(s.o.secret);
	return ret;
}
