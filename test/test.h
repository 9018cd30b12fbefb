/*
 * test.h - what the unit tests share.
 *
 * A test is a main() that states facts with CHECK and ends with `return
 * test_end();`.  It says nothing when all of them hold; else the first of
 * those that do not, with their lines, and its status is 1.
 */
#ifndef TEST_H
#define TEST_H

#include "smtpd.h"

#include <sys/stat.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAILURES_SHOWN 20

#define CHECK(fact)           test_check((fact), #fact, __FILE__, __LINE__)
#define CHECK_TEXT(got, want) test_text((got), (want), __FILE__, __LINE__)

static int test_failures;
static const char *test_case = "";	/* printed with a failure: which of many it was */

static inline bool
test_check(bool fact, const char *text, const char *file, int line)
{
	if (!fact && ++test_failures <= FAILURES_SHOWN)
		printf("%s:%d: not so: %s%s%s\n", file, line, text, *test_case ? "   in " : "", test_case);
	return fact;
}

static inline bool
test_text(const char *got, const char *want, const char *file, int line)
{
	bool same = strcmp(got, want) == 0;

	if (!test_check(same, "the texts are the same", file, line) && test_failures <= FAILURES_SHOWN)
		printf("--- want:\n%s\n---  got:\n%s\n---\n", want, got);
	return same;
}

static inline int
test_end(void)
{
	if (test_failures > FAILURES_SHOWN)
		printf("and %d more\n", test_failures - FAILURES_SHOWN);
	return test_failures > 0;
}

/* ---- memory that runs out ------------------------------------------------ */

static long test_memory_nth;	/* this call of memory will fail, once; 0: none */

static inline void *
test_memory(void *p, size_t n)
{
	return test_memory_nth > 0 && --test_memory_nth == 0 ? NULL : realloc(p, n);
}

/* ---- a place for files ----------------------------------------------------- */

static char test_place[200];
static pid_t test_owner;

/* Remove what is below a directory of ours. */
static inline void
test_empty(const char *path)
{
	char name[1024];
	struct dirent *d;
	struct stat st;
	DIR *dir = opendir(path);

	while (dir != NULL && (d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
		    snprintf(name, sizeof name, "%s/%s", path, d->d_name) >= (int)sizeof name ||
		    lstat(name, &st) == -1)
			continue;
		if (S_ISDIR(st.st_mode))
			test_empty(name);
		remove(name);
	}
	if (dir != NULL)
		closedir(dir);
}

static inline void
test_leave(void)
{
	if (getpid() == test_owner) {		/* and not its child */
		test_empty(test_place);
		rmdir(test_place);
	}
}

static inline bool
test_enter_in(const char *folder)
{
	snprintf(test_place, sizeof test_place, "%s/smtpd-unit.XXXXXX", folder);
	return mkdtemp(test_place) != NULL && chdir(test_place) == 0;
}

/* Work in a fresh directory from here on; it goes when the test ends.  It is in
 * memory where there is such a place: thousands of syncs take a minute on a
 * disk that others use, and show no more there. */
static inline void
test_enter(void)
{
	const char *tmp = getenv("TMPDIR");

	if (!test_enter_in("/dev/shm") && !test_enter_in(tmp ? tmp : "/tmp")) {
		perror(test_place);
		exit(2);
	}
	test_owner = getpid();
	atexit(test_leave);
}

static inline void
test_write(const char *path, const char *text, size_t n)
{
	FILE *f = fopen(path, "w");

	if (f == NULL || fwrite(text, 1, n, f) != n || fclose(f) != 0) {
		perror(path);
		exit(2);
	}
}

/* A whole file, NUL behind it; "" when there is none.  Good until the next call. */
static inline const char *
test_read(const char *path)
{
	static char text[1 << 17];
	FILE *f = fopen(path, "r");
	size_t n = f == NULL ? 0 : fread(text, 1, sizeof text - 1, f);

	text[n] = '\0';
	if (f != NULL)
		fclose(f);
	return text;
}

/* As fork; what was printed so far is printed once, and counted here. */
static inline pid_t
test_fork(void)
{
	pid_t child;

	fflush(stdout);
	if ((child = fork()) == 0)
		test_failures = 0;
	return child;
}

/* Standard error goes into this file from here on, from its beginning. */
static inline void
test_errors_to(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);

	if (fd == -1 || dup2(fd, STDERR_FILENO) == -1)
		exit(2);
	close(fd);
}

#endif
