/*
 * pickup.c - files that others drop: seen, found whole, claimed, read.
 *
 * An application writes a file into Pickup, by rename or in place, and that is
 * all it has to know.  What is true here:
 *
 *  - A file is taken only when it is whole: it was renamed in, or nothing has
 *    happened to it for PICKUP_SETTLE and its writer holds no lock.
 *  - It is claimed first, by rename to SortTemp/ID.claim, and read then; so of
 *    two servers that share a folder one has it, and a crash leaves either the
 *    file, or the claim, or the message in Queue (and the claim is then idle).
 *  - Whatever cannot become a message goes to Badmail with a sentence; if even
 *    that fails, back to Pickup.  Nothing is lost and nothing is read twice.
 *  - Names in the folder are somebody's, and never become ours.
 *
 * .NET and Ruby write in place, shells rename; Exchange and rsync use names
 * that end in .tmp or begin with a dot while they write.
 */
#include "smtpd.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __APPLE__
#define st_mtim st_mtimespec	/* POSIX's names came later there */
#define st_ctim st_ctimespec
#endif

#define PICKUP_INTERVAL  1000	/* between looks at the folder, ms */
#define PICKUP_SETTLE    2000	/* a file unchanged this long is whole */
#define PICKUP_BODILESS  60000	/* the same, when it has no empty line yet */
#define PICKUP_TABLE     4096	/* files watched at once; others wait */
#define PICKUP_TURN      16	/* files taken in one turn: each holds a descriptor */
#define LEFTOVER_AGE     86400	/* of a file of sendmail's without an end, seconds */
#define PICKUP_BACKOFF   10000	/* after the disk failed us */

/* A file that was seen and not taken yet. */
struct candidate {
	char *name;
	off_t size;
	struct timespec mtime;
	msec since;		/* unchanged since this tick */
	msec wait;		/* how long it must be so; 0: not yet judged */
	bool seen;		/* by the look that is going on */
	bool mentioned;		/* in the log, as something to leave alone */
};

struct pickup {
	struct vserver *owner;
	struct candidate *candidates;
	size_t count, room;
	msec next_look;		/* a tick */
};

/* ---- a claimed file -------------------------------------------------------------- */

/* Read a whole file of this size; NULL with errno. */
static char *
file_whole(int fd, off_t size, size_t *n)
{
	char *text = memory(NULL, (size_t)size + 1);
	ssize_t m;

	*n = 0;
	if (text == NULL)
		errno = ENOMEM;
	while (text != NULL && *n < (size_t)size) {
		m = pread(fd, text + *n, (size_t)size - *n, (off_t)*n);
		if (m == -1) {
			free(text);
			return NULL;
		}
		if (m == 0)
			break;
		*n += (size_t)m;
	}
	return text;
}

/* Aliases among them; as claim_compose. */
static int
recipients_expand(const struct server *s, struct envelope *e, const char **why)
{
	long members = 0;

	for (size_t i = 0; i < e->count; i++)
		members += policy_members(s, e->rcpt[i].address);
	if (members <= MEMBERS_MAX)
		return policy_expand(s, e);
	*why = "the aliases among its recipients stand for too many";
	return -1;
}

/* Make a message of a claimed file's text and hand it to the batch.  0, or
 * -1 with *why a sentence, or NULL when the machine failed. */
static int
claim_compose(struct pickup *p, const struct id *id, const char *text, size_t n, const char **why)
{
	char trace[DOMAIN_MAX + 200], idt[ID_SIZE], date[DATE_SIZE];
	struct message *m = spool_new(id);
	struct buf out = { 0 };
	int answer = -1;

	*why = NULL;
	if (m == NULL)
		return -1;
	m->claimed = true;
	snprintf(trace, sizeof trace, "Received: by %s (smtpd) with local (Pickup) id %s;\r\n\t%s\r\n",
	    p->owner->conf->hostname, id_text(id, idt), date_text(date, now.wall / 1000));
	if (message_compose(&m->env, &out, text, n, p->owner->conf, idt, why) == 0 &&
	    recipients_expand(p->owner->conf, &m->env, why) == 0 && spool_create(p->owner->spool, m, trace) == 0)
		answer = spool_write(m, out.data, out.len);
	buf_free(&out);
	if (answer == -1) {
		int error = m->error;

		spool_abandon(p->owner->spool, m);
		errno = error ? error : ENOMEM;
		return -1;
	}
	p->owner->counts[PICKUP_RETRIEVED]++;
	spool_commit(p->owner->spool, m);
	return 0;
}

/* Read a claimed file, open as fd or not; everything about it is somebody
 * else's doing.  As claim_compose. */
static int
claim_open(struct pickup *p, const struct id *id, const char *path, const char **why)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC), answer = -1;
	char *text = NULL;
	struct stat st;
	size_t n;

	*why = NULL;
	if (fd == -1 && errno == EACCES)
		*why = "the server may not read it; give it read permission";
	else if (fd == -1 && errno == ELOOP)
		*why = "it is a link";
	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1)
		answer = -1;
	else if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		*why = "it is no regular file, or has other links";
	else if (st.st_size - ENVELOPE_OCTETS > p->owner->conf->max_size)
		*why = "it is larger than max-size allows";
	else if ((text = file_whole(fd, st.st_size, &n)) != NULL)
		answer = claim_compose(p, id, text, n, why);
	free(text);
	close(fd);
	return answer;
}

static void
claim_read(struct pickup *p, const struct id *id, const char *name)
{
	char path[PATH_SIZE], back[PATH_SIZE], origin[300];
	const char *why;

	if (claim_open(p, id, spool_path_id(p->owner->spool, path, SORTTEMP, id, ".claim"), &why) == 0)
		return;
	snprintf(origin, sizeof origin, "%.255s in Pickup", name);
	if (why != NULL && spool_badmail(p->owner->spool, path, id, origin, why) == 0) {
		p->owner->counts[why == no_recipients ? BAD_NO_RECIPIENTS : BAD_PICKUP]++;
		return;
	}
	log_line("warning: %s: %s; it goes back to Pickup", path, why ? why : strerror(errno));
	rename(path, spool_path_id(p->owner->spool, back, PICKUP, id, ".eml"));
	p->next_look = now.tick + PICKUP_BACKOFF;
}

/* Take a file out of Pickup.  Whoever renames it first has it. */
static bool
claim(struct pickup *p, const char *name)
{
	char from[PATH_SIZE], to[PATH_SIZE];
	struct id id;

	id_next(&id);
	spool_path(p->owner->spool, from, PICKUP, name);
	if (rename(from, spool_path_id(p->owner->spool, to, SORTTEMP, &id, ".claim")) == -1)
		return false;
	claim_read(p, &id, name);
	return true;
}

/* ---- the folder ---------------------------------------------------------------------- */

static struct candidate *
candidate_find(struct pickup *p, const char *name)
{
	struct candidate *c;

	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->candidates[i].name, name) == 0)
			return &p->candidates[i];
	if (p->count == PICKUP_TABLE)
		return NULL;
	if ((c = grow(p->candidates, &p->room, p->count, sizeof *c)) == NULL)
		return NULL;
	p->candidates = c;
	c += p->count;
	memset(c, 0, sizeof *c);
	if ((c->name = text_copy(name)) == NULL)
		return NULL;
	c->since = now.tick;
	p->count++;
	return c;
}

/* Forget those that this look did not find. */
static void
candidates_sweep(struct pickup *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->count; i++) {
		struct candidate c = p->candidates[i];

		if (c.seen) {
			c.seen = false;
			p->candidates[kept++] = c;
		} else
			free(c.name);
	}
	p->count = kept;
}

/* Does its writer still hold it?  .NET locks a file while it writes. */
static bool
file_locked(const char *path)
{
#ifdef LOCK_EX
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	bool locked = fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK;

	if (fd != -1)
		close(fd);
	return locked;
#else
	(void)path;
	return false;
#endif
}

/* Does the file have its empty line?  One too large to be taken, or one that
 * cannot be read, is not worth waiting for. */
static bool
file_has_body(const char *path, off_t size, long long most)
{
	int fd = size > most ? -1 : open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	char *text = NULL;
	bool has = true;
	size_t n;

	if (fd != -1 && (text = file_whole(fd, size, &n)) != NULL)
		has = message_has_body(text, n);
	free(text);
	if (fd != -1)
		close(fd);
	return has;
}

/* It was renamed in: its inode changed after its last write. */
static bool
file_moved(const struct stat *st)
{
	return st->st_size > 0 && (st->st_ctim.tv_sec > st->st_mtim.tv_sec ||
	    (st->st_ctim.tv_sec == st->st_mtim.tv_sec && st->st_ctim.tv_nsec > st->st_mtim.tv_nsec));
}

/* Has it been left alone long enough?  Without an empty line, its writer may
 * still be thinking. */
static bool
candidate_settled(struct pickup *p, struct candidate *c, const char *path, const struct stat *st)
{
	if (c->size != st->st_size || c->mtime.tv_sec != st->st_mtim.tv_sec ||
	    c->mtime.tv_nsec != st->st_mtim.tv_nsec) {
		c->size = st->st_size;
		c->mtime = st->st_mtim;
		c->since = now.tick;
		c->wait = 0;
	}
	if (now.tick - c->since < PICKUP_SETTLE)
		return false;
	if (c->wait == 0)
		c->wait = st->st_size > 0 && file_has_body(path, st->st_size, p->owner->conf->max_size) ?
		    PICKUP_SETTLE : PICKUP_BODILESS;
	return now.tick - c->since >= c->wait;
}

/* Say once why a file is left where it is. */
static void
candidate_mention(struct candidate *c, const char *why)
{
	char safe[300];

	if (!c->mentioned)
		log_line("Pickup: %s is left alone: %s", text_safe(safe, sizeof safe, c->name, strlen(c->name)), why);
	c->mentioned = true;
}

/* Nothing but time stands, or stood, between this file and us. */
static bool
file_free(struct pickup *p, const char *path, const struct stat *st)
{
	return spool_room(p->owner->spool, st->st_size) == 0 && !file_locked(path);
}

/* A file of sendmail's that has had no end for so long: it was killed, and its
 * caller never heard that the message is sent. */
static void
leftover_look(struct pickup *p, const char *name)
{
	char path[PATH_SIZE];
	struct stat st;
	struct id id;

	if (id_name(&id, name + 1, ".tmp") == 0 && lstat(spool_path(p->owner->spool, path, PICKUP, name), &st) == 0 &&
	    S_ISREG(st.st_mode) && now.wall / 1000 - st.st_mtime > LEFTOVER_AGE && unlink(path) == 0)
		log_line("Pickup: %s is removed: a sendmail that was killed has left it", name);
}

/* Look at one name in Pickup; true when it was taken. */
static bool
candidate_look(struct pickup *p, const char *name)
{
	char path[PATH_SIZE];
	struct candidate *c;
	struct stat st;
	size_t n = strlen(name);
	bool ordinary;

	if (name[0] == '.')
		leftover_look(p, name);
	if (name[0] == '.' || n > 255 || (n > 4 && text_compare(name + n - 4, ".tmp") == 0) ||
	    lstat(spool_path(p->owner->spool, path, PICKUP, name), &st) == -1)
		return false;
	ordinary = S_ISREG(st.st_mode) && st.st_nlink == 1;
	if (ordinary && file_moved(&st) && file_free(p, path, &st) && claim(p, name))
		return true;
	if ((c = candidate_find(p, name)) == NULL)
		return false;
	c->seen = true;
	if (!ordinary)
		candidate_mention(c, S_ISDIR(st.st_mode) ? "a folder" :
		    S_ISREG(st.st_mode) ? "it has other links" : "no regular file");
	else if (candidate_settled(p, c, path, &st) && file_free(p, path, &st)) {
		if (claim(p, name))
			return !(c->seen = false);
		candidate_mention(c, strerror(errno));
	}
	return false;
}

static void
pickup_look(struct pickup *p)
{
	char path[PATH_SIZE];
	struct dirent *d;
	DIR *dir;
	int taken = 0;

	p->next_look = now.tick + PICKUP_INTERVAL;
	if ((dir = opendir(spool_path(p->owner->spool, path, PICKUP, "."))) == NULL)
		return;
	while (taken < PICKUP_TURN && (d = readdir(dir)) != NULL)
		taken += candidate_look(p, d->d_name);
	closedir(dir);
	if (taken < PICKUP_TURN)
		candidates_sweep(p);
	else if (p->next_look == now.tick + PICKUP_INTERVAL)
		p->next_look = now.tick;	/* there is more */
}

/* ---- beginning, waiting ------------------------------------------------------------------ */

/* A claim that a crash left: when its message is in Queue it has done its
 * duty; else it is read again, under the same id. */
static bool
recover_claim(void *with, const char *name)
{
	struct pickup *p = with;
	char path[PATH_SIZE], queued[PATH_SIZE];
	struct id id;

	if (id_name(&id, name, ".claim") == -1)
		return true;
	if (access(spool_path_id(p->owner->spool, queued, QUEUE, &id, ".eml"), F_OK) == 0)
		unlink(spool_path(p->owner->spool, path, SORTTEMP, name));
	else
		claim_read(p, &id, "a file");
	return true;
}

struct pickup *
pickup_open(struct vserver *v)
{
	struct pickup *p = memory(NULL, sizeof *p);

	if (p == NULL)
		return NULL;
	memset(p, 0, sizeof *p);
	p->owner = v;
	spool_each(v->spool, SORTTEMP, recover_claim, p);
	return p;
}

void
pickup_close(struct pickup *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->count; i++)
		free(p->candidates[i].name);
	free(p->candidates);
	free(p);
}

void
pickup_want(const struct pickup *p, msec *until)
{
	if (p->next_look < *until)
		*until = p->next_look;
}

void
pickup_step(struct pickup *p)
{
	if (now.tick >= p->next_look)
		pickup_look(p);
}
