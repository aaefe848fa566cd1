/* SPDX-License-Identifier: MIT */
/*
 * A bounded log file. The guest decides what and how much is written, so the bound is what stands
 * between it and the host's disk: it holds for what is on disk already when the log is opened, and
 * it holds when renaming or cutting the file fails (the bytes are then dropped).
 */
#include <vmm/dev/chardev.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct logfile {
	struct vmm_chardev base;
	int fd;
	int dir_fd;      /* the file's directory, so that a chdir does not move the log; -1 by fd */
	char *name;      /* within dir_fd; NULL by fd */
	char *old_name;  /* name + ".1" */
	bool bounded;    /* a regular file */
	bool torn;       /* a write failed after part of a line */
	bool line_start; /* the last byte on disk is a newline, or there is none */
	uint64_t size;
	uint64_t max_size;
};

static struct logfile *from_base(struct vmm_chardev *cd)
{
	return (struct logfile *)cd;
}

static int open_log(int dir_fd, const char *name, int more)
{
	/* Non-blocking for the sake of a pipe that nobody reads; a file does not care. */
	return openat(dir_fd, name,
		      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | more,
		      0600);
}

/* Moves the full file aside and begins a new one. */
static int rotate(struct logfile *log)
{
	int fd;

	if (renameat(log->dir_fd, log->name, log->dir_fd, log->old_name) != 0) {
		return -errno;
	}
	/* O_EXCL: whatever stands there now was put there by somebody else. */
	fd = open_log(log->dir_fd, log->name, O_EXCL);
	if (fd < 0) {
		return -errno;
	}
	(void)close(log->fd);
	log->fd = fd;
	return 0;
}

/* Makes room for more. When that fails, the file stays full and its size as it is. */
static int begin_again(struct logfile *log)
{
	if (!log->name || rotate(log) != 0) {
		if (ftruncate(log->fd, 0) != 0) {
			return -errno;
		}
	}
	log->size = 0;
	log->line_start = true;
	log->torn = false;
	return 0;
}

/* write(2) at the end of the file, wherever the descriptor's offset stands. */
static ssize_t append(struct logfile *log, const uint8_t *bytes, size_t len)
{
	ssize_t got;

	do {
		got = log->bounded ? pwrite(log->fd, bytes, len, (off_t)log->size)
				   : write(log->fd, bytes, len);
	} while (got < 0 && errno == EINTR);
	if (got > 0) {
		log->size += (uint64_t)got;
		log->line_start = bytes[got - 1] == '\n';
	}
	return got;
}

/* A line that was cut off ends before the next begins. */
static void mend(struct logfile *log)
{
	bool room = !log->bounded || log->size < log->max_size;

	if (log->torn && !log->line_start && room && append(log, (const uint8_t *)"\n", 1) != 1) {
		return;
	}
	log->torn = false;
}

static void logfile_write(struct vmm_chardev *cd, const void *bytes, size_t len)
{
	struct logfile *log = from_base(cd);
	const uint8_t *p = bytes;

	if (log->bounded && len <= log->max_size && len > log->max_size - log->size) {
		/* Keeps what is written in one piece, a line as a rule, in one file. */
		if (begin_again(log) != 0) {
			vmm_chardev_count_dropped(cd, len);
			return;
		}
	}
	mend(log);
	while (len > 0) {
		size_t room = len;
		ssize_t got;

		if (log->bounded && log->size >= log->max_size && begin_again(log) != 0) {
			break;
		}
		if (log->bounded && room > log->max_size - log->size) {
			room = (size_t)(log->max_size - log->size);
		}
		got = append(log, p, room);
		if (got <= 0) {
			break;
		}
		p += got;
		len -= (size_t)got;
	}
	if (len > 0) {
		log->torn = true;
		vmm_chardev_count_dropped(cd, len);
	}
}

static void logfile_destroy(struct vmm_chardev *cd)
{
	struct logfile *log = from_base(cd);

	if (log->fd >= 0) {
		(void)close(log->fd);
	}
	if (log->dir_fd >= 0) {
		(void)close(log->dir_fd);
	}
	free(log->name);
	free(log->old_name);
	free(log);
}

static const struct vmm_chardev_ops logfile_ops = {
	.write = logfile_write,
	.destroy = logfile_destroy,
};

/* Splits path, opens its directory and the file in it. */
static int open_path(struct logfile *log, const char *path, struct vmm_error *err)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char *dir = slash ? strndup(path, (size_t)(name - path)) : strdup(".");
	int ret = 0;

	log->name = strdup(name);
	log->old_name = malloc(strlen(name) + sizeof(".1"));
	if (!dir || !log->name || !log->old_name) {
		free(dir);
		return vmm_error_set(err, -ENOMEM, "log '%s': out of memory", path);
	}
	(void)sprintf(log->old_name, "%s.1", name);
	log->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (log->dir_fd >= 0) {
		log->fd = open_log(log->dir_fd, name, 0);
	}
	if (log->fd < 0) {
		ret = vmm_error_set(err, -errno, "log '%s': cannot open it for writing: %s", path,
				    strerror(errno));
	}
	free(dir);
	return ret;
}

/* Takes the file as it stands: a log that was begun before is continued. */
static int look_at(struct logfile *log, struct vmm_error *err)
{
	struct stat st;

	if (fstat(log->fd, &st) != 0) {
		return vmm_error_set(err, -errno, "log: descriptor %d: %s", log->fd,
				     strerror(errno));
	}
	log->bounded = S_ISREG(st.st_mode);
	log->line_start = true;
	if (log->bounded) {
		log->size =
			(uint64_t)st.st_size < log->max_size ? (uint64_t)st.st_size : log->max_size;
	}
	return 0;
}

int vmm_logfile_create(struct vmm_chardev **out, const struct vmm_logfile_config *config,
		       struct vmm_error *err)
{
	struct logfile *log;
	uint64_t max_size = config->max_size;
	int ret = 0;

	*out = NULL;
	if (max_size == 0) {
		max_size = VMM_LOGFILE_MAX_SIZE_DEFAULT;
	}
	if (max_size < VMM_LOGFILE_MAX_SIZE_MIN || max_size > INT64_MAX) {
		return vmm_error_set(err, -EINVAL, "log: a limit of %llu bytes is out of range",
				     (unsigned long long)max_size);
	}
	log = calloc(1, sizeof(*log));
	if (!log) {
		return vmm_error_set(err, -ENOMEM, "log: out of memory");
	}
	log->base.ops = &logfile_ops;
	log->max_size = max_size;
	log->dir_fd = -1;
	log->fd = -1;
	if (config->path) {
		ret = open_path(log, config->path, err);
	} else {
		log->fd = config->fd;
	}
	if (ret == 0) {
		ret = look_at(log, err);
	}
	if (ret < 0) {
		if (!config->path) {
			log->fd = -1; /* still the caller's */
		}
		logfile_destroy(&log->base);
		return ret;
	}
	*out = &log->base;
	return 0;
}
