/*
 * server.c - the server for the tests: smtpd with its disk, its memory and
 * its clock in our hands, by the pointers of smtpd.h.  From the environment:
 *
 *	FAULT="ACT NTH ERRNO, ..."  the NTH such act on the disk fails; 0: each
 *	FAULT_MEMORY=NTH            the NTH call of memory fails, once
 *	FAULT_FILE=PATH             what FAULT would be, read again at each act;
 *	                            when it changes, counting begins anew
 *	CLOCK_FILE=PATH             seconds to be ahead of both clocks, the same
 *
 * ACT is one of those that spool.c names ("sync", "rename"...), or "memory".
 * ERRNO is a name; KILL instead of one ends the server there, as kill -9 would.
 */
#include "smtpd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAULTS    8
#define KILL      -1
#define TEXT_SIZE 400

int smtpd_main(int, char **);

/* ---- faults ------------------------------------------------------------------ */

struct fault {
	char act[16];
	long nth, seen;
	int error;
};

static struct fault faults[FAULTS];
static int fault_count;

static int
error_number(const char *name)
{
	static const struct { const char *name; int number; } errors[] = {
		{ "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EDQUOT", EDQUOT }, { "EACCES", EACCES }, { "EROFS", EROFS },
		{ "ENOMEM", ENOMEM }, { "EMFILE", EMFILE }, { "EINVAL", EINVAL }, { "EXDEV", EXDEV }, { "KILL", KILL },
	};

	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (strcmp(errors[i].name, name) == 0)
			return errors[i].number;
	die(64, "FAULT: unknown error '%s'", name);
	return 0;
}

/* Forget what was, and count anew. */
static void
faults_read(const char *text)
{
	char name[16];
	int used;

	for (fault_count = 0; fault_count < FAULTS; fault_count++) {
		struct fault *f = &faults[fault_count];

		memset(f, 0, sizeof *f);
		if (sscanf(text, " %15s %ld %15[A-Z]%n", f->act, &f->nth, name, &used) != 3)
			return;
		f->error = error_number(name);
		text += used;
		text += *text == ',';
	}
}

/* The text of a small file; "" when it is not there. */
static const char *
file_text(const char *path)
{
	static char text[TEXT_SIZE];
	FILE *f = fopen(path, "r");
	size_t n = f == NULL ? 0 : fread(text, 1, sizeof text - 1, f);

	text[n] = '\0';
	if (f != NULL)
		fclose(f);
	return text;
}

static int
fault(const char *act)
{
	static char before[TEXT_SIZE];
	const char *path = getenv("FAULT_FILE");
	int error = 0;

	if (path != NULL && strcmp(file_text(path), before) != 0) {
		strcpy(before, file_text(path));
		faults_read(before);
	}
	for (int i = 0; i < fault_count; i++) {
		struct fault *f = &faults[i];

		if (strcmp(f->act, act) == 0 && (++f->seen == f->nth || f->nth == 0))
			error = f->error;
	}
	if (error == KILL)
		raise(SIGKILL);
	return error;
}

/* ---- memory, clock ------------------------------------------------------------- */

static void *
fault_memory(void *p, size_t n)
{
	static long calls;
	const char *nth = getenv("FAULT_MEMORY");

	if (fault("memory") != 0 || (nth != NULL && ++calls == atol(nth)))
		return NULL;
	return realloc(p, n);
}

static void (*real_clock)(struct clock *);

static void
fault_clock(struct clock *c)
{
	int error = errno;		/* clock_gettime leaves it alone */
	long long ahead = atoll(file_text(getenv("CLOCK_FILE"))) * 1000;

	errno = error;
	real_clock(c);
	c->tick += ahead;
	c->wall += ahead;
}

int
main(int argc, char **argv)
{
	const char *text = getenv("FAULT");

	if (text != NULL)
		faults_read(text);
	if (text != NULL || getenv("FAULT_FILE") != NULL)
		disk_fault = fault;
	if (disk_fault != NULL || getenv("FAULT_MEMORY") != NULL)
		memory = fault_memory;
	real_clock = clock_source;
	if (getenv("CLOCK_FILE") != NULL)
		clock_source = fault_clock;
	return smtpd_main(argc, argv);
}
