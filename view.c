/*
 * view.c - what lies in a mailroot, looked at without the server.
 *
 * A view is a folder's ids, as they were while it was filled, in the order of
 * arrival: 16 octets a message.  An entry is one message of it, read when its
 * turn comes.  What is true here: nothing is changed, no lock is taken, and
 * whatever the server, or a person, does meanwhile is no mistake: a message
 * that has gone is passed over.
 */
#include "smtpd.h"

#include <sys/stat.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOTE_OCTETS 65536	/* of ID.txt */

/* ---- one message ----------------------------------------------------------------- */

/* A path beside the others: "FOLDER/ID" and the end of its name. */
static int
open_beside(const char *folder, const struct id *id, const char *end)
{
	char path[PATH_SIZE], text[ID_SIZE];

	snprintf(path, sizeof path, "%s/%s%s", folder, id_text(id, text), end);
	return open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
}

static void
note_load(struct entry *e, const char *folder)
{
	char text[NOTE_OCTETS];
	int fd = open_beside(folder, &e->id, ".txt");
	ssize_t n = fd != -1 ? read(fd, text, sizeof text) : 0;
	struct stat st;

	if (n > 0)
		buf_add(&e->note, text, (size_t)n);
	if (e->note.len > 0 && strstr(e->note.data, "\nLast attempt:") != NULL && fstat(fd, &st) == 0)
		e->tried = st.st_mtime;
	if (fd != -1)
		close(fd);
}

/* One message of a folder (see config_folder): 1, or 0 it is not there. */
static int
entry_read(struct entry *e, const char *folder, const struct id *id, const char *end)
{
	int fd = open_beside(folder, id, end);
	struct stat st;
	long body;

	memset(e, 0, sizeof *e);
	e->id = *id;
	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd == -1 || fstat(fd, &st) == -1)
		e->why = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		e->why = "it is no regular file";
	else {
		e->size = st.st_size;
		e->next = st.st_mtime;
		if ((body = envelope_load(fd, &e->env, &e->why)) != -1)
			e->size -= e->body = body;
		else if (e->why == NULL)
			e->why = strerror(errno);
	}
	if (fd != -1)
		close(fd);
	note_load(e, folder);
	return 1;
}

void
entry_free(struct entry *e)
{
	envelope_free(&e->env);
	buf_free(&e->note);
}

/* Does this line name him, or where his mail goes? */
static bool
names(const char *line, size_t n, const char *who)
{
	return strlen(who) == n - 2 && memcmp(line + 1, who, n - 2) == 0;
}

/* "<ADDRESS>" or "<DESTINATION>" on a line of its own, and what is said of him or
 * it below; or words for all: see report_words, dest_note and report_note. */
const char *
entry_words(const struct entry *e, const struct server *s, const struct recipient *to, char out[WORDS_SIZE])
{
	const char *line = e->note.data ? e->note.data : "", *address = to ? to->address : "", *route;
	char name[DOMAIN_MAX + 1];
	bool his = true;
	size_t n;

	route = to == NULL || route_local(s, to) ? address : route_name(s, to, name);
	for (; (n = strcspn(line, "\n")) > 0; line += n + (line[n] == '\n')) {
		if (line[0] == '<' && line[n - 1] == '>') {
			his = names(line, n, address) || names(line, n, route);
		} else if (his) {
			size_t blank = strspn(line, " ");

			snprintf(out, WORDS_SIZE, "%.*s", (int)(n - blank), line + blank);
			return out;
		}
	}
	out[0] = '\0';
	return out;
}

/* ---- a folder ---------------------------------------------------------------------- */

static int
by_arrival(const void *a, const void *b)
{
	return id_compare(a, b);
}

int
view_open(struct view *v, const struct server *s, enum folder f, const char *end)
{
	memset(v, 0, sizeof *v);
	v->end = end;
	return config_folder(s, f, v->folder) == 0 && (v->dir = opendir(v->folder)) != NULL ? 0 : -1;
}

int
view_fill(struct view *v, long most)
{
	struct dirent *d = NULL;
	struct id id, *more;

	while (v->dir != NULL && most-- > 0) {
		if ((d = readdir(v->dir)) == NULL) {
			closedir(v->dir);
			v->dir = NULL;
		} else if (id_name(&id, d->d_name, v->end) == 0) {
			if ((more = grow(v->ids, &v->room, v->count, sizeof *more)) == NULL) {
				view_close(v);
				errno = ENOMEM;
				return -1;
			}
			v->ids = more;
			v->ids[v->count++] = id;
		}
	}
	return v->dir == NULL;
}

int
view_next(struct view *v, struct entry *e)
{
	if (v->at == 0 && v->count > 0)
		qsort(v->ids, v->count, sizeof *v->ids, by_arrival);
	while (v->at < v->count)
		if (entry_read(e, v->folder, &v->ids[v->at++], v->end) == 1)
			return 1;
	return 0;
}

void
view_close(struct view *v)
{
	if (v->dir != NULL)
		closedir(v->dir);
	v->dir = NULL;
	free(v->ids);
	v->ids = NULL;
	v->count = v->room = v->at = 0;
}

/* ---- for machines --------------------------------------------------------------------- */

int
json_text(struct buf *b, const char *s)
{
	bool utf8 = utf8_valid(s, strlen(s));

	buf_addf(b, "\"");
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			buf_addf(b, "\\%c", c);
		else if (c < ' ' || c == 127 || (c > 127 && !utf8))
			buf_addf(b, "\\u%04x", c);	/* no UTF-8: then as Latin-1 */
		else
			buf_add(b, s, 1);
	}
	return buf_addf(b, "\"");
}
