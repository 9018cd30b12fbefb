/*
 * disk.c - every act on the disk that a promise rests on.
 *
 * Each asks disk_fault first, so that a test can make it fail; none follows a
 * link.  What the operator wrote is read here too, through links as he likes.
 */
#include "smtpd.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <sys/utsname.h>
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPY_OCTETS   65536
#define DISK_RESERVE  (8LL << 20)	/* octets that stay free */
#define INODE_RESERVE 100

int (*disk_fault)(const char *act);

/* Every act on the disk that a promise rests on goes through one of these. */
bool
disk_refused(const char *act)
{
	int error = disk_fault ? disk_fault(act) : 0;

	if (error != 0)
		errno = error;
	return error != 0;
}

int
disk_open(const char *path, int flags)
{
	return disk_refused("open") ? -1 : open(path, flags | O_NOFOLLOW | O_CLOEXEC, 0640);
}

int
disk_write(int fd, const char *octets, size_t n)
{
	while (n > 0) {
		ssize_t m = disk_refused("write") ? -1 : write(fd, octets, n);

		if (m == -1 && errno == EINTR)
			continue;
		if (m == -1)
			return -1;
		octets += m;
		n -= (size_t)m;
	}
	return 0;
}

int
disk_sync(int fd)
{
	if (disk_refused("sync"))
		return -1;
#ifdef F_FULLFSYNC	/* macOS: fsync stops at the drive's cache */
	if (fcntl(fd, F_FULLFSYNC) == 0)
		return 0;
#endif
	return fsync(fd);
}

/* Some file systems cannot sync a folder and need not: EINVAL; AIX wants it
 * open for writing and says EBADF. */
int
disk_sync_folder(int fd)
{
	if (disk_sync(fd) == 0 || errno == EINVAL || errno == EBADF)
		return 0;
	return -1;
}

int
disk_rename(const char *from, const char *to)
{
	return disk_refused("rename") ? -1 : rename(from, to);
}

/*
 * One sync of the whole file system serves any number of files, and is the
 * faster way from two on: 6400 files a second against 2600 with an fsync each
 * in batches of 20 (ext4).  Before Linux 5.8 it kept write errors to itself.
 */
bool
disk_sync_together(int fd)
{
#if defined __linux__ && defined SYS_syncfs
	static int usable = -1;
	struct utsname u;
	int major, minor;

	if (usable == -1)
		usable = uname(&u) == 0 && sscanf(u.release, "%d.%d", &major, &minor) == 2 &&
		    (major > 5 || (major == 5 && minor >= 8));
	return usable && !disk_refused("sync") && syscall(SYS_syncfs, fd) == 0;
#else
	(void)fd;
	return false;
#endif
}

int
disk_file(const char *path, const char *text, size_t n)
{
	int fd = disk_open(path, O_WRONLY | O_CREAT | O_TRUNC), answer;

	if (fd == -1)
		return -1;
	answer = disk_write(fd, text, n) == -1 || disk_sync(fd) == -1 ? -1 : 0;
	return close(fd) == -1 ? -1 : answer;
}

const char *
disk_text(const char *path, struct buf *text, size_t most)
{
	FILE *f = fopen(path, "r");
	const char *why = f == NULL ? strerror(errno) : NULL;
	char part[16384];
	size_t n;

	while (why == NULL && (n = fread(part, 1, sizeof part, f)) > 0)
		if (text->len + n > most || buf_add(text, part, n) == -1)
			why = "is too large";
	if (f != NULL && why == NULL && ferror(f))
		why = strerror(errno);
	if (f != NULL)
		fclose(f);
	return why;
}

/* CR LF becomes LF in place; how many octets are left.  A CR at the end waits for
 * what follows it, unless it is alone. */
static size_t
lines_end(char *octets, size_t n, size_t *taken)
{
	size_t left = 0;

	*taken = n > 1 && octets[n - 1] == '\r' ? n - 1 : n;
	for (size_t i = 0; i < *taken; i++)
		if (octets[i] != '\r' || i + 1 == n || octets[i + 1] != '\n')
			octets[left++] = octets[i];
	return left;
}

/* Copy from fd at `from` to the end into `to`. */
static int
copy_rest(int fd, off_t from, int to, bool lf)
{
	static char octets[COPY_OCTETS];
	size_t left, taken;
	ssize_t n;

	while ((n = pread(fd, octets, sizeof octets, from)) > 0) {
		left = taken = (size_t)n;
		if (lf)
			left = lines_end(octets, left, &taken);
		if (disk_write(to, octets, left) == -1)
			return -1;
		from += (off_t)taken;
	}
	return n == 0 ? 0 : -1;
}

/* A copy of the message with this head, written at temp and renamed to path. */
int
disk_copy(int fd, off_t body, const struct buf *head, const char *temp, const char *path, bool lf)
{
	int to, answer, error;

	if ((to = disk_open(temp, O_WRONLY | O_CREAT | O_TRUNC)) == -1)
		return -1;
	answer = disk_write(to, head->data, head->len);
	if (answer == 0)
		answer = copy_rest(fd, body, to, lf);
	if (answer == 0)
		answer = disk_sync(to);
	if (close(to) == 0 && answer == 0 && disk_rename(temp, path) == 0)
		return 0;
	error = errno;
	unlink(temp);
	errno = error;
	return -1;
}

/* Make a folder's entries durable. */
int
disk_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_CLOEXEC), answer;

	if (fd == -1)
		return -1;
	answer = disk_sync_folder(fd);
	close(fd);
	return answer;
}

/* ---- a file of the operator's, written anew ------------------------------------------- */

#define LINKS 8		/* that lead to the file */

/* The file that a link leads to, for the link is to stay one. */
static void
follow(char path[PATH_SIZE])
{
	char to[PATH_SIZE], whole[PATH_SIZE];
	ssize_t n;

	for (int i = 0; i < LINKS && (n = readlink(path, to, sizeof to - 1)) > 0; i++) {
		const char *slash = strrchr(path, '/');

		to[n] = '\0';
		if (snprintf(whole, sizeof whole, "%.*s%s", *to == '/' || slash == NULL ? 0 : (int)(slash - path) + 1, path, to) >= PATH_SIZE)
			return;
		memcpy(path, whole, sizeof whole);
	}
}

int
rewrite_begin(struct rewrite *r, const char *file)
{
	if (snprintf(r->path, sizeof r->path, "%s", file) >= PATH_SIZE) {
		errno = ENAMETOOLONG;
		return -1;
	}
	follow(r->path);
	snprintf(r->temp, sizeof r->temp, "%s.new", r->path);
	return (r->fd = disk_open(r->temp, O_WRONLY | O_CREAT | O_EXCL)) == -1 ? -1 : 0;
}

/* Of the mode and the owner that it has, before there is anything in it. */
static int
rewrite_write(struct rewrite *r, const struct buf *b, mode_t mode, const char *as)
{
	mode_t mask = umask(0);
	struct stat st, mine;

	umask(mask);
	if (fstat(r->fd, &mine) == -1)
		return -1;
	if (stat(r->path, &st) == -1) {
		if (as == NULL || geteuid() != 0 || stat(as, &st) == -1)
			st = mine;
		st.st_mode = mode & ~mask;
	}
	if ((st.st_uid != mine.st_uid || st.st_gid != mine.st_gid) && fchown(r->fd, st.st_uid, st.st_gid) == -1)
		return -1;
	if (fchmod(r->fd, st.st_mode & 07777) == -1 || disk_write(r->fd, b->data, b->len) == -1 || disk_sync(r->fd) == -1)
		return -1;
	return disk_rename(r->temp, r->path);
}

int
rewrite_end(struct rewrite *r, const struct buf *b, mode_t mode, const char *as)
{
	bool written = b != NULL && rewrite_write(r, b, mode, as) == 0;
	int error = errno;
	char *slash = strrchr(r->path, '/');

	close(r->fd);
	if (!written) {
		unlink(r->temp);
		errno = error;
		return b != NULL ? -1 : 0;
	}
	if (slash != NULL)
		slash[slash == r->path] = '\0';
	if (disk_folder(slash ? r->path : ".") == -1)
		log_line("%s: its folder could not be synced: %s", r->temp, strerror(errno));
	return 0;
}

/* ---- a folder with limits --------------------------------------------------------- */

long long
disk_room(const char *folder)
{
	struct statvfs v;

	if (statvfs(folder, &v) == -1)
		return LLONG_MAX;
	if (v.f_files > 0 && v.f_favail < INODE_RESERVE)
		return 0;
	return (long long)v.f_bavail * (long long)v.f_frsize - DISK_RESERVE;
}

long long
disk_usage(const char *folder)
{
	DIR *dir = opendir(folder);
	char path[PATH_SIZE];
	long long used = 0;
	struct dirent *d;
	struct stat st;

	while (dir != NULL && (d = readdir(dir)) != NULL) {
		snprintf(path, sizeof path, "%s/%.255s", folder, d->d_name);
		if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
			used += st.st_size;
	}
	if (dir != NULL)
		closedir(dir);
	return used;
}

struct kept {
	char name[ID_SIZE + 4];
	long long size, since;		/* octets; second of its move there */
};

static int
kept_compare(const void *a, const void *b)
{
	return strcmp(((const struct kept *)a)->name, ((const struct kept *)b)->name);
}

/* Our files in a folder, the oldest first; *count of them.  NULL: none. */
static struct kept *
kept_list(const char *folder, size_t *count, long long *total)
{
	struct kept *list = NULL, *more;
	char path[PATH_SIZE];
	DIR *dir = opendir(folder);
	struct dirent *d;
	struct stat st;
	struct id id;
	size_t room = 0;

	while (dir != NULL && (d = readdir(dir)) != NULL) {
		if (id_name(&id, d->d_name, ".eml") == -1 && id_name(&id, d->d_name, ".txt") == -1)
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, d->d_name);
		if (lstat(path, &st) == -1 || !S_ISREG(st.st_mode) ||
		    (more = grow(list, &room, *count, sizeof *list)) == NULL)
			continue;
		list = more;
		memcpy(list[*count].name, d->d_name, strlen(d->d_name) + 1);
		list[*count].size = st.st_size;
		list[(*count)++].since = st.st_ctime;
		*total += st.st_size;
	}
	if (dir != NULL)
		closedir(dir);
	if (list != NULL)
		qsort(list, *count, sizeof *list, kept_compare);
	return list;
}

void
disk_prune(const char *folder, long long most, msec age)
{
	long long total = 0, youngest = age == UNLIMITED ? LLONG_MIN : (now.wall - age) / 1000;
	size_t count = 0;
	struct kept *list = kept_list(folder, &count, &total);
	char path[PATH_SIZE];
	const char *gone = "";

	for (size_t i = 0; i < count; i++) {
		/* What was removed goes with the file beside it, which has its name up to the dot. */
		if (total <= most && list[i].since > youngest && strncmp(list[i].name, gone, strlen(list[i].name) - 3) != 0)
			continue;
		gone = list[i].name;
		total -= list[i].size;
		snprintf(path, sizeof path, "%s/%s", folder, list[i].name);
		if (unlink(path) == 0)
			log_line("%s is removed: the folder's limit", path);
	}
	free(list);
}
