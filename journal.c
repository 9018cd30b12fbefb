/*
 * journal.c - the protocol logs.
 *
 * One record a command or reply, in three formats, in files that roll over.
 * A server has one journal or none.  Its records wait in `lines` until the
 * turn of the loop is over, and go to the file in one piece, never synced.
 *
 * What is true: a record is one line, no longer than RECORD_OCTETS, with as
 * many fields as its format has, whatever was said; all that is in `lines`
 * belongs into the file `name`; a file ends with a whole line, for what a full
 * disk or a crash has torn is cut back before more is written.  A failure costs
 * records, which are counted, and nothing else.
 */
#include "smtpd.h"

#include <sys/stat.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINES_OCTETS  65536	/* of records that wait; beyond, they are written at once */
#define RECORD_OCTETS 4096	/* readers have bounds too */
#define QUERY_OCTETS  2000	/* of a record's longest field, encoded, and */
#define FIELD_OCTETS  300	/* of any other */
#define VERB_OCTETS   20
#define HEADER_OCTETS 400	/* the most it has */
#define TRY_AGAIN     1000	/* after a failure to write, ms */

struct journal {
	const struct server *conf;
	char folder[FOLDER_SIZE];
	char name[JOURNAL_NAME];	/* of the file */
	unsigned number;		/* of the file, where they roll over by size */
	int fd;				/* -1: opened again when there is something to write */
	bool headed;			/* lines, or the open file, have the W3C header */
	long long size;			/* octets of the file */
	long long second;		/* to which the next two belong */
	int field[6], offset;		/* civil time; minutes east of Greenwich */
	struct buf lines;
	long long lost;			/* records, since writing fails */
	msec again;			/* before this tick it is not tried again */
	struct journal *next;
};

/* One line to be. */
struct record {
	const struct addr *client, *here;	/* here: NULL when we are the client */
	const char *user;		/* NULL: not said */
	const char *verb, *query;
	size_t verb_length, query_length;
	int status;			/* 0: there is none */
	long long received, sent;
	msec taken;
};

enum field {			/* in the order of log_fields */
	DATE, TIME_OF_DAY, C_IP, CS_USERNAME, S_SITENAME, S_COMPUTERNAME, S_IP, S_PORT, CS_METHOD, CS_URI_STEM,
	CS_URI_QUERY, SC_STATUS, SC_WIN32_STATUS, SC_BYTES, CS_BYTES, TIME_TAKEN, CS_VERSION
};

static struct journal *journals;

/* ---- names of files ------------------------------------------------------------------- */

/* How they begin: by time, and otherwise. */
static const char *const prefix[][2] = {
	[LOG_W3C] = { "ex", "extend" }, [LOG_IIS] = { "in", "inetsv" }, [LOG_NCSA] = { "nc", "ncsa" }
};

/* Which week of its month: they begin on Sunday, the first one on the first. */
static int
week(const int f[6])
{
	int first[6] = { f[0], f[1], 1, 0, 0, 0 };
	long long weekday = (second_from_civil(first) / 86400 + 4) % 7;		/* 1970 began on a Thursday */

	return (int)((f[2] - 1 + weekday) / 7 + 1);
}

void
journal_name(char out[JOURNAL_NAME], const struct log *l, const int f[6], unsigned number)
{
	static const char *const form[] = {
		"%s%02d%02d%02d%02d.log", "%s%02d%02d%02d.log", "%s%02d%02d%02d.log", "%s%02d%02d.log", "%s.log"
	};
	const char *begin = prefix[l->format][l->roll >= ROLL_NEVER];

	if (l->roll == ROLL_SIZE)
		snprintf(out, JOURNAL_NAME, "%s%u.log", begin, number);
	else
		snprintf(out, JOURNAL_NAME, form[l->roll], begin, f[0] % 100, f[1], l->roll == ROLL_WEEKLY ? week(f) : f[2], f[3]);
}

/* The number in a name such as extend12.log; 0 when it is none of ours. */
static unsigned
name_number(const struct log *l, const char *name)
{
	static const int never[6];
	char again[JOURNAL_NAME];
	size_t n = strlen(prefix[l->format][1]);
	unsigned number;

	if (strncmp(name, prefix[l->format][1], n) != 0 || sscanf(name + n, "%9u", &number) != 1)
		return 0;
	journal_name(again, l, never, number);
	return strcmp(again, name) == 0 ? number : 0;
}

static char *
file_path(const struct journal *j, char out[PATH_SIZE])
{
	snprintf(out, PATH_SIZE, "%s/%s", j->folder, j->name);
	return out;
}

/* Go on in the last file of those counted by size, if it has room. */
static void
number_find(struct journal *j)
{
	const struct log *l = &j->conf->log;
	DIR *dir = opendir(j->folder);
	char path[PATH_SIZE];
	struct dirent *d;
	struct stat st;

	j->number = 1;
	while (dir != NULL && (d = readdir(dir)) != NULL)
		if (name_number(l, d->d_name) > j->number)
			j->number = name_number(l, d->d_name);
	if (dir != NULL)
		closedir(dir);
	journal_name(j->name, l, j->field, j->number);
	j->size = stat(file_path(j, path), &st) == 0 ? st.st_size : 0;
}

/* ---- the file ------------------------------------------------------------------------- */

static void
file_close(struct journal *j)
{
	if (j->fd != -1)
		close(j->fd);
	j->fd = -1;
	j->headed = false;
}

/* Cut back to the last whole line; what is no log of ours is left alone. */
static int
file_mend(struct journal *j)
{
	char tail[RECORD_OCTETS];
	struct stat st;
	ssize_t n;
	off_t from;

	if (fstat(j->fd, &st) == -1)
		return -1;
	from = st.st_size > RECORD_OCTETS ? st.st_size - RECORD_OCTETS : 0;
	if ((n = pread(j->fd, tail, sizeof tail, from)) == -1)
		return -1;
	while (n > 0 && tail[n - 1] != '\n')
		n--;
	j->size = n > 0 || from == 0 ? from + n : st.st_size;
	return j->size == st.st_size ? 0 : ftruncate(j->fd, (off_t)j->size);
}

static int
file_open(struct journal *j)
{
	char path[PATH_SIZE];
	struct stat st;

	if ((j->fd = disk_open(file_path(j, path), O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK)) == -1)
		return -1;
	if (fstat(j->fd, &st) == 0 && !S_ISREG(st.st_mode))
		errno = EEXIST;		/* of another kind */
	else if (file_mend(j) == 0)
		return 0;
	close(j->fd);
	j->fd = -1;
	return -1;
}

/* Was it renamed or removed?  Then what follows goes into a new one. */
static bool
file_moved(struct journal *j)
{
	char path[PATH_SIZE];
	struct stat open, there;

	if (j->fd == -1 || fstat(j->fd, &open) == -1)
		return false;
	j->size = open.st_size;		/* somebody may have emptied it */
	return stat(file_path(j, path), &there) == -1 || open.st_dev != there.st_dev || open.st_ino != there.st_ino;
}

/* How many records are in these octets? */
static long long
records(const char *text, size_t n)
{
	long long count = 0;

	for (const char *end; n > 0 && (end = memchr(text, '\n', n)) != NULL; text = end + 1) {
		count += *text != '#';
		n -= (size_t)(end + 1 - text);
	}
	return count;
}

/* It is said once that records are lost, and once how many. */
static void
lose(struct journal *j, long long count, const char *why)
{
	if (j->lost == 0)
		log_line("- log server=\"%s\" file=%s/%s reason=\"%s; records are lost until it can be written again\"",
		    j->conf->name, j->folder, j->name, why);
	j->lost += count;
	j->again = now.tick + TRY_AGAIN;
}

static void
lost_over(struct journal *j, const char *what)
{
	if (j->lost > 0)
		log_line("- log server=\"%s\" file=%s/%s lost=%lld; %s", j->conf->name, j->folder, j->name, j->lost, what);
	j->lost = 0;
}

/* Write all that waits, and leave to the mail the room that is the mail's. */
static int
lines_write(struct journal *j)
{
	if (j->fd == -1 && file_open(j) == -1)
		return -1;
	if (disk_refused("log"))
		return -1;
	if (disk_room(j->folder) < (long long)j->lines.len) {
		errno = ENOSPC;
		return -1;
	}
	return disk_write(j->fd, j->lines.data, j->lines.len);
}

/* All that waits leaves memory: into the file, or lost. */
static void
lines_flush(struct journal *j)
{
	long long before;
	size_t written = 0;
	int error;

	if (lines_write(j) == 0) {
		j->size += (long long)j->lines.len;
		lost_over(j, "it can be written again");
	} else {
		error = errno;
		before = j->size;
		if (j->fd != -1 && file_mend(j) == 0 && j->size > before && j->size - before < (long long)j->lines.len)
			written = (size_t)(j->size - before);
		file_close(j);
		lose(j, records(j->lines.data + written, j->lines.len - written), strerror(error));
	}
	j->lines.len = 0;
}

void
journal_write(struct journal *j)
{
	if (j != NULL && j->lines.len > 0 && (j->lost == 0 || j->again <= now.tick))
		lines_flush(j);
}

/* The file is over; what waits goes there still. */
static void
file_end(struct journal *j)
{
	if (j->lines.len > 0)
		lines_flush(j);
	file_close(j);
}

/* Bring the clock, and the file that goes with it, up to now. */
static void
journal_turn(struct journal *j)
{
	const struct log *l = &j->conf->log;
	long long second = now.wall / 1000;
	char name[JOURNAL_NAME];
	time_t t = (time_t)second;
	struct tm tm;

	if (second == j->second)
		return;
	j->second = second;
	civil_from_second(second, j->field);
	if ((l->format != LOG_W3C || j->conf->log_local_time) && localtime_r(&t, &tm) != NULL) {
		const int local[6] = { tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec };

		memcpy(j->field, local, sizeof local);
		j->offset = (int)((second_from_civil(local) - second) / 60);
	}
	journal_name(name, l, j->field, j->number);
	if (strcmp(name, j->name) != 0 || file_moved(j)) {
		file_end(j);
		j->size = 0;
		memcpy(j->name, name, sizeof name);
	}
}

/* ---- records ------------------------------------------------------------------------- */

/* One field: no blank, quote, comma or bracket, no control, nothing but ASCII.
 * A blank is '+', as in the model; the others are %XX. */
static void
add_text(struct buf *b, const char *text, size_t n, size_t most)
{
	size_t end = b->len + most;

	for (; n > 0 && b->len < end; text++, n--) {
		unsigned char c = (unsigned char)*text;

		if (c == ' ')
			buf_add(b, "+", 1);
		else if (c > ' ' && c < 127 && strchr("\"#%+,[\\]", c) == NULL)
			buf_add(b, text, 1);
		else
			buf_addf(b, "%%%02X", c);
	}
	if (b->len == end - most)
		buf_add(b, "-", 1);
	else if (n > 0)
		buf_add(b, "...", 3);
}

static void
add_word(struct buf *b, const char *text)
{
	add_text(b, text ? text : "", text ? strlen(text) : 0, FIELD_OCTETS);
}

static void
add_address(struct buf *b, const struct addr *a)
{
	char text[ADDR_TEXT];

	buf_addf(b, "%s", a == NULL || a->family == 0 ? "-" : addr_text(a, text));
}

static void
add_verb(struct buf *b, const struct record *r)
{
	char verb[VERB_OCTETS + 1];

	for (size_t i = 0; i < r->verb_length; i++)
		verb[i] = (char)(r->verb[i] - (text_lower(r->verb[i]) == r->verb[i] ? 'a' - 'A' : 0));
	add_text(b, verb, r->verb_length, FIELD_OCTETS);
}

static void
add_field(struct buf *b, const struct journal *j, const struct record *r, enum field field)
{
	const int *f = j->field;

	switch (field) {
	case DATE:	buf_addf(b, "%04d-%02d-%02d", f[0], f[1], f[2]); break;
	case TIME_OF_DAY: buf_addf(b, "%02d:%02d:%02d", f[3], f[4], f[5]); break;
	case C_IP:	add_address(b, r->client); break;
	case CS_USERNAME: add_word(b, r->user); break;
	case S_SITENAME: add_word(b, j->conf->name); break;
	case S_COMPUTERNAME: add_word(b, j->conf->hostname); break;
	case S_IP:	add_address(b, r->here); break;
	case S_PORT:	buf_addf(b, "%u", (unsigned)(r->here ? r->here : r->client)->port); break;
	case CS_METHOD:	add_verb(b, r); break;
	case CS_URI_QUERY: add_text(b, r->query, r->query_length, QUERY_OCTETS); break;
	case SC_STATUS:	buf_addf(b, r->status ? "%d" : "-", r->status); break;
	case SC_BYTES:	buf_addf(b, "%lld", r->sent); break;
	case CS_BYTES:	buf_addf(b, "%lld", r->received); break;
	case TIME_TAKEN: buf_addf(b, "%lld", r->taken); break;
	case CS_VERSION: buf_addf(b, "SMTP"); break;
	default:	buf_addf(b, "-"); break;	/* it means something on the web */
	}
}

static void
add_w3c(struct buf *b, const struct journal *j, const struct record *r)
{
	size_t before = b->len;

	for (unsigned left = (unsigned)j->conf->log_fields, i = 0; left > 0; left >>= 1, i++)
		if (left & 1) {
			if (b->len > before)
				buf_add(b, " ", 1);
			add_field(b, j, r, (enum field)i);
		}
}

static void
add_iis(struct buf *b, const struct journal *j, const struct record *r)
{
	static const enum field who[] = { C_IP, CS_USERNAME }, where[] = { S_SITENAME, S_COMPUTERNAME, S_IP };
	const int *f = j->field;

	for (size_t i = 0; i < 2; i++, buf_add(b, ", ", 2))
		add_field(b, j, r, who[i]);
	buf_addf(b, "%d/%d/%02d, %02d:%02d:%02d, ", f[1], f[2], f[0] % 100, f[3], f[4], f[5]);
	for (size_t i = 0; i < 3; i++, buf_add(b, ", ", 2))
		add_field(b, j, r, where[i]);
	buf_addf(b, "%lld, %lld, %lld, %d, 0, ", r->taken, r->received, r->sent, r->status);
	add_verb(b, r);
	buf_addf(b, ", -, ");
	add_field(b, j, r, CS_URI_QUERY);
	buf_add(b, ",", 1);
}

/* It says HTTP, as the model's does: that is what readers of this format know. */
static void
add_ncsa(struct buf *b, const struct journal *j, const struct record *r)
{
	static const char month[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	const int *f = j->field;
	int east = j->offset < 0 ? -j->offset : j->offset;

	add_field(b, j, r, C_IP);
	buf_add(b, " - ", 3);
	add_field(b, j, r, CS_USERNAME);
	buf_addf(b, " [%02d/%.3s/%04d:%02d:%02d:%02d %c%02d%02d] \"", f[2], month + (f[1] - 1) * 3, f[0],
	    f[3], f[4], f[5], j->offset < 0 ? '-' : '+', east / 60, east % 60);
	add_verb(b, r);
	buf_add(b, " -?", 3);
	add_field(b, j, r, CS_URI_QUERY);
	buf_addf(b, " HTTP/1.0\" %d %lld", r->status, r->sent);
}

/* What a file begins with, and what we write after a pause. */
static void
add_header(struct buf *b, const struct journal *j)
{
	const int *f = j->field;
	const char *word = log_fields;

	buf_addf(b, "#Software: smtpd " SMTPD_VERSION "\n#Version: 1.0\n#Date: %04d-%02d-%02d %02d:%02d:%02d\n#Fields:",
	    f[0], f[1], f[2], f[3], f[4], f[5]);
	for (int i = 0; *word != '\0'; i++, word += strspn(word, " ")) {
		size_t n = strcspn(word, " ");

		if (j->conf->log_fields & 1 << i)
			buf_addf(b, " %.*s", (int)n, word);
		word += n;
	}
	buf_add(b, "\n", 1);
}

static void
add_record(struct buf *b, const struct journal *j, const struct record *r)
{
	if (j->conf->log.format == LOG_W3C)
		add_w3c(b, j, r);
	else if (j->conf->log.format == LOG_IIS)
		add_iis(b, j, r);
	else
		add_ncsa(b, j, r);
	buf_add(b, "\n", 1);
}

/* A record joins those that wait, or another file begins with it. */
static void
record(struct journal *j, const struct record *r)
{
	static struct buf line;
	const struct log *l = &j->conf->log;

	journal_turn(j);
	line.len = 0;
	line.torn = false;
	add_record(&line, j, r);
	if (l->roll == ROLL_SIZE && j->size + (long long)(j->lines.len + line.len + HEADER_OCTETS) > l->size) {
		file_end(j);
		journal_name(j->name, l, j->field, ++j->number);
		j->size = 0;
	}
	if (j->lines.len + line.len > LINES_OCTETS)
		lines_flush(j);
	if (!j->headed && l->format == LOG_W3C)
		add_header(&j->lines, j);
	j->headed = true;
	if (line.torn || j->lines.torn || buf_add(&j->lines, line.data, line.len) == -1)
		lose(j, 1, "out of memory");
	j->lines.torn = false;
}

/* A line of a command: the verb, if it begins with what can be one, and the
 * rest.  What stands behind AUTH may be a password. */
static void
record_line(struct record *r, const char *line, size_t n)
{
	size_t verb = 0;

	while (verb < n && text_lower(line[verb]) >= 'a' && text_lower(line[verb]) <= 'z')
		verb++;
	if (verb > VERB_OCTETS || (verb < n && line[verb] != ' ' && line[verb] != '\t'))
		verb = 0;
	r->verb = line;
	r->verb_length = verb;
	while (verb > 0 && verb < n && (line[verb] == ' ' || line[verb] == '\t'))
		verb++;
	r->query = line + verb;
	r->query_length = n - verb;
	if (r->verb_length == 4 && text_prefix(line, "AUTH"))
		r->query_length = 0;
}

/* ---- what is told to it -------------------------------------------------------------------- */

void
journal_command(struct journal *j, struct exchange *x, const char *line, size_t n)
{
	if (j == NULL)
		return;
	x->command.len = 0;
	buf_add(&x->command, line, n);
	x->since = now.tick;
}

void
journal_reply(struct journal *j, struct exchange *x, const struct conn *c, const char *user, const struct id *id, const char *line)
{
	struct record r = { .client = &c->peer, .here = &c->here, .user = user, .status = atoi(line), .received = x->received };
	char text[ID_SIZE];

	if (j == NULL)
		return;
	x->sent += (long long)strlen(line) + 2;
	if (line[3] == '-' || line[0] == '3')
		return;
	r.sent = x->sent;
	r.taken = x->command.len > 0 ? now.tick - x->since : 0;
	if (x->command.len > 0)
		record_line(&r, x->command.data, x->command.len);
	else
		r.query = line + 4, r.query_length = strlen(r.query);	/* nobody had asked */
	if (id->second != 0)
		r.query = id_text(id, text), r.query_length = strlen(text);
	if (x->command.len > 0 || r.status >= 400)
		record(j, &r);
	journal_forget(x);
}

void
journal_forget(struct exchange *x)
{
	buf_free(&x->command);
	memset(x, 0, sizeof *x);
}

void
journal_relay(struct journal *j, struct exchange *x, const struct conn *c, char side, const char *line, size_t n)
{
	struct record r = { .client = &c->peer, .user = "OutboundConnectionCommand" };
	char code[4] = "";

	if (j == NULL || side == '=')
		return;
	if (side == '>') {
		record_line(&r, line, n);
		r.sent = x->sent > 0 ? x->sent : (long long)n + 2;
		x->since = now.tick;
		x->sent = 0;
	} else {
		r.user = "OutboundConnectionResponse";
		r.query = line;
		r.query_length = n;
		memcpy(code, line, n < 3 ? n : 3);
		r.status = strspn(code, "0123456789") == 3 ? atoi(code) : 0;
		r.received = (long long)n + 2;
		r.taken = now.tick - x->since;
	}
	record(j, &r);
}

/* ---- beginning and end ---------------------------------------------------------------------- */

/* Is the folder another journal's, or one of the mailroot's five? */
static bool
folder_taken(const struct journal *j, char *why, size_t size)
{
	const struct server *s = j->conf;
	const char *const ours[] = { "Pickup", "SortTemp", "Queue", s->home->drop, s->badmail };
	char path[PATH_SIZE + FOLDER_SIZE];
	struct stat a, b;

	if (stat(j->folder, &a) == -1)
		return false;
	for (const struct journal *o = journals; o != NULL; o = o->next)
		if (stat(o->folder, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
			snprintf(why, size, "the folder of its log, %s, is that of \"%.200s\"; each has its own", j->folder, o->conf->name);
			return true;
		}
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
		snprintf(path, sizeof path, "%s%s%s", *ours[i] == '/' ? "" : s->mailroot, *ours[i] == '/' ? "" : "/", ours[i]);
		if (stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
			snprintf(why, size, "the folder of its log, %s, is %s, which is for mail", j->folder, ours[i]);
			return true;
		}
	}
	return false;
}

static int
folder_make(struct journal *j, char *why, size_t size)
{
	const char *folder = j->conf->log.folder;
	int n = snprintf(j->folder, sizeof j->folder, "%s%s%s", *folder == '/' ? "" : j->conf->mailroot,
	    *folder == '/' ? "" : "/", folder);

	if (n < 0 || n >= FOLDER_SIZE)
		snprintf(why, size, "the path of its log's folder is too long");
	else if (mkdir(j->folder, 0750) == -1 && errno != EEXIST)
		snprintf(why, size, "%s cannot be made: %s", j->folder, strerror(errno));
	else if (access(j->folder, R_OK | W_OK | X_OK) == -1)
		snprintf(why, size, "%s cannot be written to: %s", j->folder, strerror(errno));
	else if (!folder_taken(j, why, size))
		return 0;
	return -1;
}

int
journal_open(struct journal **to, const struct server *s, char *why, size_t size)
{
	struct journal *j;

	*to = NULL;
	if (s->log.format == LOG_NONE)
		return 0;
	if ((j = memory(NULL, sizeof *j)) == NULL) {
		snprintf(why, size, "out of memory");
		return -1;
	}
	memset(j, 0, sizeof *j);
	j->conf = s;
	j->fd = -1;
	if (folder_make(j, why, size) == -1) {
		free(j);
		return -1;
	}
	if (s->log.roll == ROLL_SIZE)
		number_find(j);
	journal_turn(j);
	file_open(j);			/* its descriptor is counted now; a failure is told when it matters */
	j->next = journals;
	journals = j;
	*to = j;
	return 0;
}

void
journal_close(struct journal *j)
{
	struct journal **at = &journals;

	if (j == NULL)
		return;
	file_end(j);
	lost_over(j, "it is closed");
	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	buf_free(&j->lines);
	free(j);
}
