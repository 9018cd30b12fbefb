/*
 * spool.c - messages on disk.
 *
 * A mailroot is five folders of files of one format (message.c); the folder a
 * message stands in is its state, and moving it is the transition:
 *
 *	Pickup ---claim---> SortTemp --commit--> Queue --rename--> Drop
 *	SMTP, reports ------^                      |
 *	                                           +----> a next hop, by relay.c
 *	                                           +----> Badmail
 *
 *	file                    what it means
 *	SortTemp/ID.eml         being written; nobody was promised anything
 *	Pickup/.ID.tmp          the same, by sendmail, which comes from outside
 *	SortTemp/ID.claim       somebody's file from Pickup, being read
 *	SortTemp/ID.marks       whom the report ID is about: outcome.c
 *	Queue/ID.eml            ours; its mtime is when it is next looked at
 *	Queue/ID.txt            what its last attempt came to
 *	Queue/ID.held           an operator holds it: nobody looks at it
 *	Drop/ID.eml             delivered: drop.c
 *	Badmail/ID.eml, ID.txt  neither delivered nor returned, and why
 *
 * The promise: a reply of 250 leaves only after spool_sync, which has made the
 * file durable in SortTemp, renamed it into Queue and made that durable.
 *
 * In memory a waiting message is its id and a time, 24 octets in a heap; all
 * else is read from its file when the time comes.  A message may wait for more
 * than one time: then its file has the earliest.
 *
 * What is committed, and what is due, is given out by spool_ready; what becomes
 * of it is for drop.c, dest.c and outcome.c.
 *
 * After a crash, whatever the moment (spool_open):
 *	SortTemp/ID.eml         removed: it was not acknowledged
 *	SortTemp/ID.claim       if Queue/ID.eml stands, removed; else read again
 *	                        (pickup_open)
 *	SortTemp/ID.marks       made, if Queue/ID.eml stands (outcome_open); else
 *	                        removed
 *	Queue/ID.eml            waits for its time, as before
 * A claim is removed after the commit and before the delivery, so it never
 * outlives its message in Queue; nor do marks.
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

#define EARLY_OCTETS     262144	/* of a message, after which its writing out is begun, again and again */
#define DUE_TURN         100	/* queued messages looked at in one turn */
#define BADMAIL_INTERVAL 600000	/* between looks at the limits of Badmail, ms */
#define FIRST_LOOK       0	/* due, of what was there at the start */
#define NOTE_OCTETS      8192	/* of ID.txt beside a queued message */

/* What waits in Queue: 24 octets each. */
struct waiting {
	long long due;			/* second since 1970; FIRST_LOOK: its file's mtime says */
	struct id id;
};

struct spool {
	const struct server *server;
	bool outside;			/* see spool_open_pickup */
	char folder[FOLDERS][FOLDER_SIZE];
	int lock, queue;		/* descriptors: the lock file, the folder */
	struct waiting *heap;		/* earliest first */
	size_t waiting, heap_room;
	struct message *batch, **batch_end;
	size_t batch_count;
	struct message *ready, **ready_end;	/* committed, and to be delivered */
	int looks;			/* at what is due, that this turn has left */
	bool dirty;			/* names were removed from Queue since its last sync */
	msec room_at;			/* tick of the last statvfs */
	long long room;			/* octets it left us, beyond the reserve */
	msec badmail_at;		/* tick of the last look at Badmail; 0: it is time */
	char account[120];		/* of the last commit, for the trace */
	struct spool *next;
};

static struct spool *spools;		/* those that are open */

/* ---- names ---------------------------------------------------------------------- */

const char *
spool_folder(const struct spool *sp, enum folder f)
{
	return sp->folder[f];
}

char *
spool_path(const struct spool *sp, char out[PATH_SIZE], enum folder f, const char *name)
{
	snprintf(out, PATH_SIZE, "%s/%.255s", sp->folder[f], name);
	return out;
}

char *
spool_path_id(const struct spool *sp, char out[PATH_SIZE], enum folder f, const struct id *id, const char *end)
{
	char text[ID_SIZE], name[ID_SIZE + 8];
	bool hidden = sp->outside && f == SORTTEMP;

	snprintf(name, sizeof name, "%s%s%s", hidden ? "." : "", id_text(id, text), hidden ? ".tmp" : end);
	return spool_path(sp, out, f, name);
}

/* ---- the schedule ------------------------------------------------------------------ */

static bool
earlier(const struct waiting *a, const struct waiting *b)
{
	if (a->due != b->due)
		return a->due < b->due;
	return a->id.second != b->id.second ? a->id.second < b->id.second : a->id.serial < b->id.serial;
}

static int
heap_push(struct spool *sp, long long due, const struct id *id)
{
	struct waiting w = { due, *id }, *heap = grow(sp->heap, &sp->heap_room, sp->waiting, sizeof w);
	size_t i = sp->waiting;

	if (heap == NULL)
		return -1;
	sp->heap = heap;
	for (sp->waiting++; i > 0 && earlier(&w, &sp->heap[(i - 1) / 2]); i = (i - 1) / 2)
		sp->heap[i] = sp->heap[(i - 1) / 2];
	sp->heap[i] = w;
	return 0;
}

static struct waiting
heap_pop(struct spool *sp)
{
	struct waiting top = sp->heap[0], last = sp->heap[--sp->waiting];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < sp->waiting) {
		if (child + 1 < sp->waiting && earlier(&sp->heap[child + 1], &sp->heap[child]))
			child++;
		if (!earlier(&sp->heap[child], &last))
			break;
		sp->heap[i] = sp->heap[child];
		i = child;
	}
	sp->heap[i] = last;
	return top;
}

/* When the file's mtime says that it is to be looked at; 0: it is no file.
 * Whatever set that, a month is long enough. */
static long long
file_due(struct spool *sp, const struct id *id)
{
	long long month = now.wall / 1000 + 30 * 86400;
	char path[PATH_SIZE];
	struct stat st;

	if (lstat(spool_path_id(sp, path, QUEUE, id, ".eml"), &st) == -1 || !S_ISREG(st.st_mode))
		return 0;
	return st.st_mtime < month ? st.st_mtime : month;
}

/* It may wait for several things: then the file has the earliest. */
void
spool_touch(struct spool *sp, const struct id *id, long long second)
{
	long long due = file_due(sp, id);
	char path[PATH_SIZE];
	struct timespec t[2] = { { .tv_sec = (time_t)second }, { .tv_sec = (time_t)second } };

	if (due <= now.wall / 1000 || due > second)
		utimensat(AT_FDCWD, spool_path_id(sp, path, QUEUE, id, ".eml"), t, 0);
}

void
spool_wait(struct spool *sp, const struct id *id, long long second)
{
	char text[ID_SIZE];

	if (second <= now.wall / 1000)
		second = now.wall / 1000 + 1;
	spool_touch(sp, id, second);
	if (heap_push(sp, second, id) == -1)
		log_line("%s: out of memory: it waits in Queue until the next start", id_text(id, text));
}

void
spool_again(struct spool *sp, const struct id *id)
{
	if (heap_push(sp, now.wall / 1000, id) == -1)
		spool_later(sp, id);
}

void
spool_later(struct spool *sp, const struct id *id)
{
	spool_wait(sp, id, (now.wall + sp->server->local_retry) / 1000);
}

static int
waiting_compare(const void *a, const void *b)
{
	return earlier(a, b) ? -1 : earlier(b, a) ? 1 : 0;
}

/* What is sorted is a heap. */
void
spool_retry(struct spool *sp)
{
	for (size_t i = 0; i < sp->waiting; i++)
		sp->heap[i].due = now.wall / 1000;
	if (sp->waiting > 0)
		qsort(sp->heap, sp->waiting, sizeof *sp->heap, waiting_compare);
}

size_t
spool_waiting(const struct spool *sp)
{
	return sp->waiting;
}

void
spool_changed(struct spool *sp)
{
	sp->dirty = true;
}

/* ---- Badmail ------------------------------------------------------------------------- */

/* What the last attempt left beside a queued message joins b. */
static void
note_read(struct spool *sp, const struct id *id, struct buf *b)
{
	char path[PATH_SIZE], text[NOTE_OCTETS];
	int fd = open(spool_path_id(sp, path, QUEUE, id, ".txt"), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd != -1 ? read(fd, text, sizeof text) : 0;

	if (fd != -1)
		close(fd);
	if (n > 0)
		buf_add(b, text, (size_t)n);
}

/* Move a file to Badmail and say why beside it.  0, or -1: it stays. */
int
spool_badmail(struct spool *sp, const char *from, const struct id *id, const char *origin, const char *why)
{
	char text[ID_SIZE], date[DATE_SIZE], safe[300], temp[PATH_SIZE];
	char reason[PATH_SIZE], to[PATH_SIZE];
	struct buf b = { 0 };
	int answer = -1;

	text_safe(safe, sizeof safe, origin, strlen(origin));
	if (buf_addf(&b, "This message was set aside: %s.\n\nFrom:  %s\nWhen:  %s\n\n"
	    "To try again, mend the file beside this one where it needs it, and move it\ninto Pickup.\n\n",
	    why, safe, date_text(date, now.wall / 1000)) == 0) {
		note_read(sp, id, &b);
		if (disk_file(spool_path_id(sp, temp, SORTTEMP, id, ".txt"), b.data, b.len) == 0 &&
		    disk_rename(temp, spool_path_id(sp, reason, BADMAIL, id, ".txt")) == 0)
			answer = disk_rename(from, spool_path_id(sp, to, BADMAIL, id, ".eml"));
	}
	buf_free(&b);
	if (answer == 0) {
		log_line("%s badmail from=\"%s\" reason=\"%s\"", id_text(id, text), safe, why);
		unlink(spool_path_id(sp, temp, QUEUE, id, ".txt"));
		sp->badmail_at = 0;
		return 0;
	}
	log_line("%s cannot be moved to Badmail: %s; reason=\"%s\"", id_text(id, text), strerror(errno), why);
	unlink(spool_path_id(sp, temp, SORTTEMP, id, ".txt"));
	unlink(spool_path_id(sp, reason, BADMAIL, id, ".txt"));
	return -1;
}

/* badmail-limit, every now and then, and after each that was added. */
static void
badmail_prune(struct spool *sp)
{
	const long long *most = sp->server->badmail_limit;

	if (sp->badmail_at != 0 && now.tick - sp->badmail_at < BADMAIL_INTERVAL)
		return;
	sp->badmail_at = now.tick;
	disk_prune(sp->folder[BADMAIL], most[0], most[1]);
}

/* ---- a message that waits ------------------------------------------------------------------ */

int
spool_reopen(struct spool *sp, struct message *m)
{
	char path[PATH_SIZE];

	if (m->fd == -1)
		m->fd = disk_open(spool_path_id(sp, path, QUEUE, &m->id, ".eml"), O_RDWR);
	return m->fd == -1 ? -1 : 0;
}

void
spool_remove(struct spool *sp, const struct id *id, bool noted)
{
	char path[PATH_SIZE];

	if (unlink(spool_path_id(sp, path, QUEUE, id, ".eml")) == 0)
		sp->dirty = true;
	if (noted)
		unlink(spool_path_id(sp, path, QUEUE, id, ".txt"));
}

bool
spool_reports(const struct spool *sp, const struct id *id)
{
	for (const struct message *m = sp->batch; m != NULL; m = m->next)
		if (m->report && memcmp(&m->of, id, sizeof *id) == 0)
			return true;
	return false;
}

struct message *
spool_take(struct spool *sp, const struct id *id)
{
	struct message *m;
	char path[PATH_SIZE];
	struct stat st;
	const char *why = NULL;

	if (spool_reports(sp, id)) {
		errno = EAGAIN;
		return NULL;
	}
	m = spool_new(id);
	if (m != NULL && (m->fd = disk_open(spool_path_id(sp, path, QUEUE, id, ".eml"), O_RDWR)) == -1 && errno == ENOENT) {
		spool_release(m);		/* somebody took it out */
		return NULL;
	}
	if (m != NULL && m->fd != -1 && fstat(m->fd, &st) == 0 && (m->body = envelope_load(m->fd, &m->env, &why)) != -1) {
		m->size = st.st_size;
		m->state = MESSAGE_KEPT;
		m->noted = st.st_mtime != id->second;	/* it was put off, or held: so maybe */
		return m;
	}
	if (why == NULL || spool_badmail(sp, path, id, "Queue", why) == -1)
		spool_later(sp, id);
	spool_release(m);
	return NULL;
}

/* Its time has come; or, the first time after a start, its file says when it does. */
static struct message *
look(struct spool *sp, const struct waiting *w)
{
	long long second = now.wall / 1000, due = w->due == FIRST_LOOK ? file_due(sp, &w->id) : second;
	char path[PATH_SIZE];
	struct message *m = NULL;

	errno = 0;
	if (w->due == FIRST_LOOK && due == 0)
		return NULL;		/* it is gone, or is no file */
	if (due > second)
		heap_push(sp, due, &w->id);
	else if ((m = spool_take(sp, &w->id)) != NULL)
		m->report = access(spool_path_id(sp, path, SORTTEMP, &w->id, ".marks"), F_OK) == 0 || errno != ENOENT;
	else if (errno == EAGAIN)
		heap_push(sp, second + 1, &w->id);
	return m;
}

struct message *
spool_ready(struct spool *sp)
{
	struct message *m = sp->ready;

	if (m != NULL && (sp->ready = m->next) == NULL)
		sp->ready_end = &sp->ready;
	while (m == NULL && sp->looks > 0 && sp->waiting > 0 && sp->heap[0].due * 1000 <= now.wall) {
		struct waiting w = heap_pop(sp);

		while (sp->waiting > 0 && sp->heap[0].due == w.due && memcmp(&sp->heap[0].id, &w.id, sizeof w.id) == 0)
			heap_pop(sp);
		sp->looks--;
		m = look(sp, &w);
	}
	return m;
}

void
spool_step(struct spool *sp)
{
	sp->looks = DUE_TURN;
	badmail_prune(sp);
}

/* ---- a message on its way in ------------------------------------------------------------------ */

int
spool_room(struct spool *sp, long long size)
{
	if (sp->room_at == 0 || now.tick - sp->room_at >= 1000) {
		sp->room_at = now.tick;
		sp->room = disk_room(sp->folder[QUEUE]);
	}
	if (disk_refused("space"))
		return errno;
	return sp->room > 0 && size <= sp->room ? 0 : ENOSPC;
}

struct message *
spool_new(const struct id *id)
{
	struct message *m = memory(NULL, sizeof *m);

	if (m == NULL)
		return NULL;
	memset(m, 0, sizeof *m);
	m->id = *id;
	m->fd = -1;
	return m;
}

void
spool_release(struct message *m)
{
	if (m == NULL)
		return;
	if (m->fd != -1)
		close(m->fd);
	envelope_free(&m->env);
	free(m);
}

int
spool_create(struct spool *sp, struct message *m, const char *head)
{
	char path[PATH_SIZE];
	struct buf b = { 0 };
	int answer = -1;

	m->fd = disk_open(spool_path_id(sp, path, SORTTEMP, &m->id, ".eml"), O_WRONLY | O_CREAT | O_EXCL);
	if (m->fd != -1 && sp->outside)
		fchmod(m->fd, 0640);		/* whatever our umask, the server's group may read it */
	if (m->fd != -1 && (envelope_write(&m->env, &b) == -1 || buf_addf(&b, "%s", head) == -1))
		errno = ENOMEM;
	else if (m->fd != -1)
		answer = spool_write(m, b.data, b.len);
	m->body = (long)(b.len - strlen(head));
	if (answer == -1)
		m->error = errno;
	buf_free(&b);
	return answer;
}

int
spool_write(struct message *m, const char *octets, size_t n)
{
	if (m->error != 0)
		return -1;
	if (disk_write(m->fd, octets, n) == -1) {
		m->error = errno;
		return -1;
	}
	m->size += (long long)n;
#ifdef POSIX_FADV_DONTNEED
	/* A large one begins its way to the disk while the rest comes in: 4 MiB
	 * messages are taken twice as fast (ext4, 20 sessions). */
	if (m->size / EARLY_OCTETS != (m->size - (long long)n) / EARLY_OCTETS)
		posix_fadvise(m->fd, 0, 0, POSIX_FADV_DONTNEED);
#endif
	return 0;
}

void
spool_abandon(struct spool *sp, struct message *m)
{
	char path[PATH_SIZE];

	if (m == NULL || m->state == MESSAGE_PENDING)
		return;			/* then it is the spool's */
	if (m->fd != -1)
		unlink(spool_path_id(sp, path, SORTTEMP, &m->id, ".eml"));
	spool_release(m);
}

void
spool_commit(struct spool *sp, struct message *m)
{
	m->state = MESSAGE_PENDING;
	m->next = NULL;
	*sp->batch_end = m;
	sp->batch_end = &m->next;
	sp->batch_count++;
}

/* ---- the commit ----------------------------------------------------------------------------------- */

static void
lose(struct spool *sp, struct message *m, enum folder where, int error)
{
	char path[PATH_SIZE];

	m->state = MESSAGE_LOST;
	m->error = error;
	unlink(spool_path_id(sp, path, where, &m->id, ".eml"));
}

/* Step one: the files are durable under their names in SortTemp. */
static void
sync_files(struct spool *sp)
{
	bool together = sp->batch_count > 1 && disk_sync_together(sp->queue);
	struct message *m;

	for (m = sp->batch; m != NULL; m = m->next) {
		int answer = together ? 0 : disk_sync(m->fd);

		if (close(m->fd) == -1)
			answer = -1;
		m->fd = -1;
		if (answer == -1)
			lose(sp, m, SORTTEMP, errno);
	}
}

/* Step two: they stand in Queue. */
static void
rename_files(struct spool *sp)
{
	char from[PATH_SIZE], to[PATH_SIZE];
	struct message *m;

	for (m = sp->batch; m != NULL; m = m->next)
		if (m->state == MESSAGE_PENDING &&
		    disk_rename(spool_path_id(sp, from, SORTTEMP, &m->id, ".eml"),
		    spool_path_id(sp, to, QUEUE, &m->id, ".eml")) == -1)
			lose(sp, m, SORTTEMP, errno);
}

/* Step three: these names are durable.  A folder that we may only add to cannot
 * be opened to be synced; the file systems we know keep a new name with the
 * file that is synced under it. */
static int
sync_names(struct spool *sp)
{
	char path[PATH_SIZE];
	int fd, answer = 0;

	if (sp->queue != -1)
		return disk_sync_folder(sp->queue);
	for (struct message *m = sp->batch; m != NULL && answer == 0; m = m->next)
		if ((fd = disk_open(spool_path_id(sp, path, QUEUE, &m->id, ".eml"), O_RDONLY)) != -1) {
			answer = disk_sync(fd);
			close(fd);
		}			/* else the server has it already */
	return answer;
}

static double
since(const struct clock *then)
{
	struct clock c;

	clock_source(&c);
	return (double)(c.tick - then->tick) + (double)(c.micro - then->micro) / 1000;
}

void
spool_sync(struct spool *sp)
{
	char id[ID_SIZE];
	double files, folder;
	struct message *m;
	struct clock c;
	int error;

	if (sp->batch == NULL) {
		if (sp->dirty)
			disk_sync_folder(sp->queue);
		sp->dirty = false;
		return;
	}
	sp->dirty = false;
	clock_source(&c);
	sync_files(sp);
	files = since(&c);
	rename_files(sp);
	clock_source(&c);
	error = sync_names(sp) == -1 ? errno : 0;
	folder = since(&c);
	/* Step three is done: from here on these messages are ours, and 250
	 * may be said.  This is the instant of the commit. */
	for (m = sp->batch; m != NULL; m = m->next) {
		if (m->state == MESSAGE_PENDING && error != 0)
			lose(sp, m, QUEUE, error);
		else if (m->state == MESSAGE_PENDING)
			m->state = MESSAGE_KEPT;
		if (m->state == MESSAGE_LOST)
			log_line("%s lost server=\"%s\" reason=\"the disk failed: %s\"", id_text(&m->id, id),
			    sp->server->name, strerror(m->error));
	}
	snprintf(sp->account, sizeof sp->account,
	    "SortTemp synced %.1f ms, renamed into Queue, folder synced %.1f ms, batch of %lu",
	    files, folder, (unsigned long)sp->batch_count);
}

bool
spool_pending(const struct spool *sp)
{
	return sp->batch != NULL || sp->dirty;
}

const char *
spool_account(const struct spool *sp)
{
	return sp->account;
}

/* The claim goes when the message is ours, before it is delivered; or back
 * to Pickup when it is not. */
static void
claim_settle(struct spool *sp, const struct message *m)
{
	char claim[PATH_SIZE], back[PATH_SIZE], id[ID_SIZE], to[400], from[200];

	spool_path_id(sp, claim, SORTTEMP, &m->id, ".claim");
	if (m->state == MESSAGE_KEPT) {
		log_line("%s received server=\"%s\" from=<%s> to=%s size=%lld with=pickup", id_text(&m->id, id),
		    sp->server->name, text_safe(from, sizeof from, m->env.sender, strlen(m->env.sender)),
		    envelope_text(&m->env, RCPT_OPEN, to, sizeof to), m->size);
		unlink(claim);
	} else if (rename(claim, spool_path_id(sp, back, PICKUP, &m->id, ".eml")) == -1)
		log_line("%s: %s; it is read again at the next start", claim, strerror(errno));
}

/* A report was lost: what it was about is looked at again. */
static void
marks_forget(struct spool *sp, const struct message *m)
{
	char path[PATH_SIZE];

	unlink(spool_path_id(sp, path, SORTTEMP, &m->id, ".marks"));
	spool_later(sp, &m->of);
}

/* Take those off the batch whose commit is over; what was handed over since
 * stays for the next one. */
static struct message *
batch_take(struct spool *sp)
{
	struct message **at = &sp->batch, *over = NULL, **over_end = &over, *m;

	while ((m = *at) != NULL)
		if (m->state == MESSAGE_PENDING) {
			at = &m->next;
		} else {
			*at = m->next;
			*over_end = m;
			over_end = &m->next;
			sp->batch_count--;
		}
	*over_end = NULL;
	sp->batch_end = at;
	return over;
}

void
spool_settle(struct spool *sp)
{
	struct message *m = batch_take(sp), *next;

	sp->looks = 0;			/* what is due waits for the next turn: replies are about to leave */
	for (; m != NULL; m = next) {
		next = m->next;
		m->next = NULL;
		if (m->claimed)
			claim_settle(sp, m);
		if (m->state == MESSAGE_KEPT && !sp->outside) {
			*sp->ready_end = m;
			sp->ready_end = &m->next;
			continue;
		}
		if (m->report)
			marks_forget(sp, m);
		spool_release(m);
	}
}

/* ---- opening, waiting ------------------------------------------------------------------------------------ */

int
spool_each(struct spool *sp, enum folder f, bool (*take)(void *, const char *), void *with)
{
	struct dirent *d;
	char safe[300];
	DIR *dir = opendir(sp->folder[f]);

	if (dir == NULL)
		return -1;
	while ((d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.' && !take(with, d->d_name))
			log_line("%s: %s is not ours, and left alone", sp->folder[f],
			    text_safe(safe, sizeof safe, d->d_name, strlen(d->d_name)));
	closedir(dir);
	return 0;
}

/* What a crash left in SortTemp: see the head of this file.  Claims are for
 * pickup.c, once new files may appear there again; marks for outcome.c. */
static bool
recover_temp(void *with, const char *name)
{
	struct spool *sp = with;
	char path[PATH_SIZE];
	struct id id;
	bool marks = id_name(&id, name, ".marks") == 0;

	if (id_name(&id, name, ".claim") == 0 ||
	    (marks && access(spool_path_id(sp, path, QUEUE, &id, ".eml"), F_OK) == 0))
		return true;
	if (!marks && id_name(&id, name, ".eml") == -1 && id_name(&id, name, ".txt") == -1)
		return false;
	spool_path(sp, path, SORTTEMP, name);
	if (unlink(path) == -1)
		log_line("%s: was not complete, and cannot be removed: %s", path, strerror(errno));
	else if (!marks)
		log_line("%s: was not complete, not acknowledged, and is removed", path);
	return true;
}

/* All are due now: the first look at each finds out when.  With many, and a
 * cold disk, to look at all of them here would take long. */
static bool
recover_queue(void *with, const char *name)
{
	struct spool *sp = with;
	char path[PATH_SIZE];
	struct id id;

	if (id_name(&id, name, ".held") == 0)
		return true;
	if (id_name(&id, name, ".txt") == 0) {
		if (access(spool_path_id(sp, path, QUEUE, &id, ".eml"), F_OK) == -1 &&
		    access(spool_path_id(sp, path, QUEUE, &id, ".held"), F_OK) == -1)
			unlink(spool_path_id(sp, path, QUEUE, &id, ".txt"));
		return true;
	}
	if (id_name(&id, name, ".eml") == -1)
		return false;
	if (heap_push(sp, FIRST_LOOK, &id) == -1)
		log_line("%s: out of memory: it waits until the next start", name);
	return true;
}

static int
folder_make(struct spool *sp, enum folder f, char *why, size_t size)
{
	struct stat st;

	if (config_folder(sp->server, f, sp->folder[f]) == -1) {
		snprintf(why, size, "the path %.80s... is too long", sp->folder[f]);
		return -1;
	}
	if (mkdir(sp->folder[f], 0750) == 0) {
		if (f == PICKUP)
			chmod(sp->folder[f], 0770);	/* whatever our umask: its group may hand us mail */
	} else if (errno != EEXIST) {
		snprintf(why, size, "%s cannot be made: %s", sp->folder[f], strerror(errno));
		return -1;
	}
	if (stat(sp->folder[f], &st) == 0 && S_ISDIR(st.st_mode) && access(sp->folder[f], R_OK | W_OK | X_OK) == 0)
		return 0;
	snprintf(why, size, "%s is no folder we can read and write", sp->folder[f]);
	return -1;
}

/* No folder can be two things: mail renamed from Queue to Queue would be lost.
 * Only Drop and Badmail may be shared by several servers. */
static int
folders_clash(const struct spool *sp, const struct spool *o, char *why, size_t size)
{
	struct stat a, b;

	for (int i = 0; i < FOLDERS; i++)
		for (int j = 0; j < FOLDERS; j++) {
			if (i == j && (o == sp || i >= DROP))
				continue;
			if (stat(sp->folder[i], &a) == 0 && stat(o->folder[j], &b) == 0 &&
			    a.st_dev == b.st_dev && a.st_ino == b.st_ino) {
				snprintf(why, size, "%.500s and %.500s are the same folder", sp->folder[i], o->folder[j]);
				return -1;
			}
		}
	return 0;
}

static int
folders_differ(const struct spool *sp, char *why, size_t size)
{
	int answer = folders_clash(sp, sp, why, size);

	for (const struct spool *o = spools; o != NULL && answer == 0; o = o->next)
		if (o != sp)
			answer = folders_clash(sp, o, why, size);
	return answer;
}

/* Two servers on one mailroot would take each other's files for leftovers. */
static int
mailroot_lock(struct spool *sp, char *why, size_t size)
{
	char path[PATH_SIZE];
	struct flock l;

	memset(&l, 0, sizeof l);
	l.l_type = F_WRLCK;
	l.l_whence = SEEK_SET;
	snprintf(path, sizeof path, "%s/.lock", sp->server->mailroot);
	sp->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (sp->lock != -1 && fcntl(sp->lock, F_SETLK, &l) == 0)
		return 0;
	snprintf(why, size, sp->lock != -1 && (errno == EAGAIN || errno == EACCES) ?
	    "another smtpd is using %s" : "%s cannot be locked: %s", path, strerror(errno));
	return -1;
}

int
spool_mailroot(const struct server *s, char *why, size_t size)
{
	if (strlen(s->mailroot) >= FOLDER_SIZE) {
		snprintf(why, size, "the mailroot's path is too long");
		return -1;
	}
	if (mkdir(s->mailroot, 0755) == 0)
		chmod(s->mailroot, 0755);	/* whatever our umask: operators ask by the socket in it */
	else if (errno != EEXIST) {
		snprintf(why, size, "%s cannot be made: %s", s->mailroot, strerror(errno));
		return -1;
	}
	return 0;
}

static int
folders_make(struct spool *sp, char *why, size_t size)
{
	if (spool_mailroot(sp->server, why, size) == -1 || mailroot_lock(sp, why, size) == -1)
		return -1;
	for (int f = 0; f < FOLDERS; f++)
		if (folder_make(sp, (enum folder)f, why, size) == -1)
			return -1;
	return folders_differ(sp, why, size);
}

struct spool *
spool_open(const struct server *s, char *why, size_t size)
{
	struct spool *sp = memory(NULL, sizeof *sp);

	if (sp == NULL) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	memset(sp, 0, sizeof *sp);
	sp->server = s;
	sp->lock = sp->queue = -1;
	sp->batch_end = &sp->batch;
	sp->ready_end = &sp->ready;
	if (folders_make(sp, why, size) == -1) {
		spool_close(sp);
		return NULL;
	}
	sp->queue = open(sp->folder[QUEUE], O_RDONLY | O_CLOEXEC);
	if (sp->queue == -1 ||
	    spool_each(sp, SORTTEMP, recover_temp, sp) == -1 || spool_each(sp, QUEUE, recover_queue, sp) == -1) {
		snprintf(why, size, "%s cannot be read: %s", s->mailroot, strerror(errno));
		spool_close(sp);
		return NULL;
	}
	sp->next = spools;
	spools = sp;
	return sp;
}

struct spool *
spool_open_pickup(const struct server *s)
{
	struct spool *sp = memory(NULL, sizeof *sp);
	struct stat st;

	if (sp == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	memset(sp, 0, sizeof *sp);
	sp->server = s;
	sp->outside = true;
	sp->lock = -1;
	sp->batch_end = &sp->batch;
	sp->ready_end = &sp->ready;
	if (config_folder(s, PICKUP, sp->folder[QUEUE]) == -1 || stat(sp->folder[QUEUE], &st) == -1) {
		free(sp);
		return NULL;
	}
	memcpy(sp->folder[SORTTEMP], sp->folder[QUEUE], FOLDER_SIZE);
	sp->queue = open(sp->folder[QUEUE], O_RDONLY | O_CLOEXEC);	/* or -1: see sync_names */
	return sp;
}

int
spool_configure(struct spool *sp, const struct server *s, char *why, size_t size)
{
	sp->server = s;
	return folder_make(sp, DROP, why, size) == -1 ||
	    folder_make(sp, BADMAIL, why, size) == -1 ? -1 : folders_differ(sp, why, size);
}

void
spool_close(struct spool *sp)
{
	struct spool **at = &spools;
	struct message *m;

	if (sp == NULL)
		return;
	while (*at != NULL && *at != sp)
		at = &(*at)->next;
	if (*at != NULL)
		*at = sp->next;
	spool_sync(sp);
	spool_settle(sp);
	while ((m = sp->ready) != NULL) {
		sp->ready = m->next;
		spool_release(m);
	}
	free(sp->heap);
	if (sp->queue != -1)
		close(sp->queue);
	if (sp->lock != -1)
		close(sp->lock);
	free(sp);
}

void
spool_want(const struct spool *sp, msec *until)
{
	msec due = sp->waiting > 0 ? now.tick + sp->heap[0].due * 1000 - now.wall : *until;

	if (sp->batch != NULL || sp->ready != NULL || sp->dirty)
		due = now.tick;		/* complete since the last commit */
	if (due < *until)
		*until = due;
}
