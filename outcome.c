/*
 * outcome.c - what an attempt came to.
 *
 * An attempt, in drop.c, dest.c or relay.c, sets what has become of the chosen
 * recipients; outcome_conclude does the rest: who is deferred and until when,
 * whose time is over, what the sender is told, the marks in the file, its end.
 *
 * Who needs no report is marked first: x-receiver becomes x-accepted or
 * x-rejected in place, and durable.  Whom the sender must be told of keeps his
 * x-receiver until the report is committed: SortTemp/ID.marks, ID of the report,
 * says what is then to be written where (outcome_begin).  So a report is made
 * once, whatever the moment of a crash; what a crash leaves of it is completed
 * by outcome_open.  By the same way those whom the directory names instead of a
 * recipient get the message, once (expand.c): he becomes x-resolved.
 */
#include "smtpd.h"

#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- marks ---------------------------------------------------------------------------- */

/* Write a mark over a recipient's name in the file; all have ten octets.  The
 * file's time is the schedule's, and stays. */
static int
mark(int fd, off_t at, const char *word)
{
	struct timespec t[2];
	struct stat st;

	if (disk_refused("write") || fstat(fd, &st) == -1 || pwrite(fd, word, 10, at) != 10)
		return -1;
	t[0] = st.st_atim;
	t[1] = st.st_mtim;
	return futimens(fd, t);
}

/* Nothing is open any more: it goes, or what nobody can be told of is kept. */
static void
message_end(struct vserver *v, const struct id *id, const struct envelope *e, bool noted)
{
	char path[PATH_SIZE];
	bool rejected = false;

	for (size_t i = 0; i < e->count; i++)
		rejected |= e->rcpt[i].outcome == RCPT_REJECTED;
	if (!rejected || *e->sender != '\0')
		spool_remove(v->spool, id, noted);
	else if (spool_badmail(v->spool, spool_path_id(v->spool, path, QUEUE, id, ".eml"), id, "Queue",
	    "it could not be delivered, and has no sender to whom it could be returned") == -1)
		spool_later(v->spool, id);
	else
		v->counts[BAD_NDR]++;
}

/* What a mark means while its report is on its way: SortTemp/ID.marks, ID of
 * the report, has the id of the message, then marks and where to write them.
 * They are written when the report is committed; see the head of this file.  No
 * report: what is on its way goes to those who are behind the chosen ones. */
static int
marks_write(struct spool *sp, const struct message *m, const struct report *r, const struct id *id)
{
	const char *word = r == NULL ? "x-resolved" : r->action == FAILED ? "x-rejected" : "x-notified";
	char path[PATH_SIZE], text[ID_SIZE];
	struct buf b = { 0 };
	int answer = buf_addf(&b, "%s\n", id_text(&m->id, text));

	for (size_t i = 0; answer == 0 && i < m->env.count; i++)
		if (r != NULL ? report_covers(r, &m->env.rcpt[i]) : m->env.rcpt[i].chosen)
			answer = buf_addf(&b, "%s %lld\n", word, (long long)m->env.rcpt[i].mark);
	if (answer == 0)
		answer = disk_file(spool_path_id(sp, path, SORTTEMP, id, ".marks"), b.data, b.len);
	buf_free(&b);
	return answer == -1 ? -1 : disk_folder(spool_folder(sp, SORTTEMP));
}

/* Marks were written: has the file an open recipient left? */
static void
message_look(struct vserver *v, const struct id *id, int fd)
{
	struct envelope e;
	const char *why;

	if (envelope_load(fd, &e, &why) == -1) {
		spool_again(v->spool, id);	/* memory is out, or it is Badmail's */
		return;
	}
	if (envelope_open(&e) == 0)
		message_end(v, id, &e, true);
	envelope_free(&e);
}

/* The report is committed: make its marks.  -1: they could not be made, and then
 * the report must wait for them, or it would be made again. */
static int
marks_settle(struct vserver *v, const struct id *report)
{
	struct spool *sp = v->spool;
	char path[PATH_SIZE], queued[PATH_SIZE], text[ID_SIZE], word[11];
	FILE *f = fopen(spool_path_id(sp, path, SORTTEMP, report, ".marks"), "r");
	int fd = -1, answer = 0;
	long long at;
	struct id id;

	if (f == NULL)
		return errno == ENOENT ? 0 : -1;
	if (fscanf(f, "%35s", text) == 1 && id_parse(&id, text, strlen(text)) == 0 &&
	    (fd = disk_open(spool_path_id(sp, queued, QUEUE, &id, ".eml"), O_RDWR)) == -1 && errno != ENOENT)
		answer = -1;
	while (fd != -1 && answer == 0 && fscanf(f, "%10s %lld", word, &at) == 2)
		answer = mark(fd, (off_t)at, word);
	fclose(f);
	if (fd != -1 && answer == 0 && (answer = disk_sync(fd)) == 0)
		message_look(v, &id, fd);
	if (fd != -1)
		close(fd);
	if (answer == 0)
		unlink(path);
	return answer;
}

/* What a crash left; what is not ours was mentioned already. */
static bool
recover_marks(void *with, const char *name)
{
	struct id id;

	if (id_name(&id, name, ".marks") == 0)
		marks_settle(with, &id);
	return true;
}

void
outcome_open(struct vserver *v)
{
	spool_each(v->spool, SORTTEMP, recover_marks, v);
}

bool
outcome_begin(struct vserver *v, const struct message *m)
{
	if (m->report && marks_settle(v, &m->id) == -1) {
		spool_later(v->spool, &m->id);
		return false;
	}
	if (envelope_open(&m->env) > 0)
		return true;
	message_end(v, &m->id, &m->env, true);	/* marked, and then came the end */
	return false;
}

/* ---- reports ----------------------------------------------------------------------------- */

/* Its envelope, to the original's sender; a copy of failures to whom the
 * operator named. */
static int
report_envelope(const struct report *r, const struct buf *text, struct envelope *e)
{
	const char *copy = r->action == FAILED ? r->server->ndr_copy_to : NULL;

	if (envelope_sender(e, "", report_args(r, text)) == -1 || envelope_add(e, r->m->env.sender, NULL) == -1)
		return -1;
	if (copy != NULL && !envelope_has(e, copy) && envelope_add(e, copy, NULL) == -1)
		return -1;
	return policy_expand(r->server, e);
}

/* Write the report into the batch; -1: it could not be. */
static int
report_send(struct spool *sp, const struct report *r)
{
	char text[ID_SIZE], of[ID_SIZE], to[300], path[PATH_SIZE];
	struct buf b = { 0 };
	struct message *m;
	struct id id;

	id_next(&id);
	if ((m = spool_new(&id)) == NULL)
		return -1;
	m->report = r->action == FAILED || r->action == DELAYED;
	m->of = r->m->id;
	if (report_write(r, &id, &b) == -1 || report_envelope(r, &b, &m->env) == -1 ||
	    (m->report && marks_write(sp, r->m, r, &id) == -1) ||
	    spool_create(sp, m, "") == -1 || spool_write(m, b.data, b.len) == -1) {
		log_line("%s cannot be reported on: %s; it is tried again", id_text(&r->m->id, text), strerror(errno));
		unlink(spool_path_id(sp, path, SORTTEMP, &id, ".marks"));
		spool_abandon(sp, m);
		buf_free(&b);
		return -1;
	}
	buf_free(&b);
	log_line("%s bounce of=%s to=%s action=%s", id_text(&id, text), id_text(&r->m->id, of),
	    envelope_text(&m->env, RCPT_OPEN, to, sizeof to), report_action(r->action));
	spool_commit(sp, m);
	return 0;
}

/* One report for all recipients it covers; none when it covers nobody.  -1: the
 * disk would not take it. */
static int
report_some(struct vserver *v, struct message *m, const struct attempt *a, enum action action)
{
	struct report r = { action, v->conf, m, a, config_expires(v->conf, m->id.second, a->local) };
	bool any = false;

	for (size_t i = 0; i < m->env.count; i++)
		any |= report_covers(&r, &m->env.rcpt[i]);
	if (!any)
		return 0;
	if (spool_reopen(v->spool, m) == -1 || report_send(v->spool, &r) == -1) {
		v->counts[DSN_FAILURES]++;
		return -1;
	}
	v->counts[NDRS] += action == FAILED;
	/* Until the report is committed they are as good as open. */
	for (size_t i = 0; action == FAILED && i < m->env.count; i++)
		if (report_covers(&r, &m->env.rcpt[i]))
			m->env.rcpt[i].outcome = RCPT_REPORTED;
	return 0;
}

int
outcome_pass(struct vserver *v, struct message *m, struct message *instead)
{
	struct spool *sp = v->spool;
	char octets[16384], path[PATH_SIZE], id[ID_SIZE];
	off_t at = (off_t)m->body;
	ssize_t n = -1;

	instead->report = true;
	instead->of = m->id;
	if (spool_reopen(sp, m) == 0 && marks_write(sp, m, NULL, &instead->id) == 0 && spool_create(sp, instead, "") == 0)
		while ((n = pread(m->fd, octets, sizeof octets, at)) > 0 && spool_write(instead, octets, (size_t)n) == 0)
			at += (off_t)n;
	if (n != 0) {
		log_line("%s cannot be passed on: %s; it is tried again", id_text(&m->id, id), strerror(instead->error ? instead->error : errno));
		unlink(spool_path_id(sp, path, SORTTEMP, &instead->id, ".marks"));
		return -1;
	}
	spool_commit(sp, instead);
	for (size_t i = 0; i < m->env.count; i++)	/* until then they are as good as open */
		if (m->env.rcpt[i].chosen)
			m->env.rcpt[i].outcome = RCPT_REPORTED;
	return 0;
}

void
outcome_note(struct spool *sp, const struct id *id, const char *words, const char *transcript, long long next)
{
	char path[PATH_SIZE];
	struct buf b = { 0 };
	int fd = -1;

	report_note(&b, words, transcript, next);
	if (access(spool_path_id(sp, path, QUEUE, id, ".eml"), F_OK) == 0)	/* else somebody took it out */
		fd = open(spool_path_id(sp, path, QUEUE, id, ".txt"), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd != -1 && write(fd, b.data, b.len) != (ssize_t)b.len)
		unlink(path);
	if (fd != -1)
		close(fd);
	buf_free(&b);
}

/* ---- the operator ----------------------------------------------------------------------------- */

int
outcome_tell(struct vserver *v, const char *subject, const char *text)
{
	char head[2600], idt[ID_SIZE], date[DATE_SIZE], to[DOMAIN_MAX + 20];
	struct message *m;
	struct id id;
	int n;

	id_next(&id);
	if ((m = spool_new(&id)) == NULL)
		return -1;
	snprintf(to, sizeof to, "postmaster@%.255s", v->conf->home->name);
	n = snprintf(head, sizeof head, "From: <postmaster@%.255s>\r\nTo: <%s>\r\nSubject: %.200s\r\nDate: %s\r\n"
	    "Message-ID: <%s@%.255s>\r\nAuto-Submitted: auto-generated\r\n\r\n%.1200s\r\n", v->conf->home->name, to, subject,
	    date_text(date, now.wall / 1000), id_text(&id, idt), v->conf->hostname, text);
	if (n < 0 || (size_t)n >= sizeof head || envelope_sender(&m->env, "", NULL) == -1 ||
	    envelope_add(&m->env, to, NULL) == -1 || spool_create(v->spool, m, head) == -1) {
		spool_abandon(v->spool, m);
		return -1;
	}
	spool_commit(v->spool, m);
	return 0;
}

/* ---- the end of an attempt ------------------------------------------------------------------ */

/* Whose time is over?  And when is the next attempt at the others, 0 none. */
static long long
outcomes_time(const struct server *s, struct message *m, const struct attempt *a)
{
	long long second = now.wall / 1000, over = config_expires(s, m->id.second, a->local);
	long long notify = config_notifies(s, m->id.second, a->local), next;
	size_t deferred = 0;

	next = a->next ? a->next : a->local ? second + s->local_retry / 1000 : config_attempt(s, m->id.second, false);
	for (size_t i = 0; i < m->env.count; i++) {
		struct recipient *r = &m->env.rcpt[i];

		if (!r->chosen || r->outcome != RCPT_DEFERRED)
			continue;
		r->expired = over <= second;
		r->outcome = r->expired ? RCPT_REJECTED : RCPT_DEFERRED;
		deferred += !r->expired;
		if (!r->notified && notify > second && notify < next)
			next = notify;
	}
	return deferred == 0 ? 0 : next < over ? next : over;
}

/* Marks for those who need no report first; durable, so that a copy in Drop or
 * at a next hop stays the only one.  Where all are finished no mark is needed,
 * for the file goes; unless it goes to Badmail.  1 others are open, as far as m
 * knows; 0 nobody; -1 the disk failed. */
static int
outcomes_mark(struct spool *sp, struct message *m)
{
	bool others = false, rejected = false, marked = false;
	char id[ID_SIZE];
	int answer = 0;

	for (size_t i = 0; i < m->env.count; i++) {
		others |= m->env.rcpt[i].outcome != RCPT_ACCEPTED && m->env.rcpt[i].outcome != RCPT_REJECTED;
		rejected |= m->env.rcpt[i].outcome == RCPT_REJECTED;
	}
	if (!others && (!rejected || *m->env.sender != '\0'))
		return 0;
	if (spool_reopen(sp, m) == -1)
		return -1;
	for (size_t i = 0; i < m->env.count && answer == 0; i++) {
		const struct recipient *r = &m->env.rcpt[i];

		if (!r->chosen || (r->outcome != RCPT_ACCEPTED && r->outcome != RCPT_REJECTED))
			continue;
		marked = true;
		answer = mark(m->fd, r->mark, r->passed ? "x-resolved" : r->outcome == RCPT_ACCEPTED ? "x-accepted" : "x-rejected");
	}
	if (answer == -1 || (marked && disk_sync(m->fd) == -1)) {
		log_line("%s cannot be marked: %s; somebody may get it twice", id_text(&m->id, id), strerror(errno));
		return -1;
	}
	return others;
}

/* Is somebody else still open in the file?  Another attempt may have ended since
 * it was read; the marks tell. */
static bool
others_open(const struct message *m)
{
	char word[10];

	for (size_t i = m->env.count; i-- > 0; )
		if (!m->env.rcpt[i].chosen && m->env.rcpt[i].outcome == RCPT_OPEN &&
		    (pread(m->fd, word, 10, m->env.rcpt[i].mark) != 10 ||
		    (memcmp(word, "x-accepted", 10) != 0 && memcmp(word, "x-rejected", 10) != 0 && memcmp(word, "x-resolved", 10) != 0)))
			return true;
	return false;
}

/* Tell the sender what is to be told; -1: the disk would not take the report of
 * a failure, or of a list, and who it is about stays open. */
static int
outcomes_report(struct vserver *v, struct message *m, const struct attempt *a)
{
	if (a->expanded && report_some(v, m, a, EXPANDED) == -1)
		return -1;
	if (!a->dsn && !a->expanded)
		report_some(v, m, a, a->local ? DELIVERED : RELAYED);
	if (config_notifies(v->conf, m->id.second, a->local) <= now.wall / 1000)
		report_some(v, m, a, DELAYED);
	return report_some(v, m, a, FAILED);
}

void
outcome_conclude(struct vserver *v, struct message *m, const struct attempt *a)
{
	struct spool *sp = v->spool;
	long long next = outcomes_time(v->conf, m, a);
	bool noted = next != 0, failed = false;
	struct buf words = { 0 };

	report_log(m, v->conf->name, a, next);
	v->counts[a->local ? DELIVERY_RETRIES : SEND_RETRIES] += next != 0;
	if (outcomes_report(v, m, a) == -1) {
		failed = true;
		for (size_t i = 0; i < m->env.count; i++)
			if (m->env.rcpt[i].chosen && (a->expanded || m->env.rcpt[i].outcome == RCPT_REJECTED))
				m->env.rcpt[i].outcome = RCPT_DEFERRED;
	}
	for (size_t i = 0; i < m->env.count; i++)
		noted |= m->env.rcpt[i].chosen && m->env.rcpt[i].outcome == RCPT_REJECTED;
	if (a->moved)
		return;
	if (noted) {
		report_words(m, &words);
		outcome_note(sp, &m->id, words.data ? words.data : "", a->transcript, next);
		buf_free(&words);
		m->noted = true;
	}
	switch (outcomes_mark(sp, m)) {
	case 0:
		message_end(v, &m->id, &m->env, m->noted);
		break;
	case 1:
		if (next == 0 && !failed && !others_open(m))
			message_look(v, &m->id, m->fd);
		break;
	default:
		failed = true;
	}
	if (failed)		/* whoever else it waits for: the disk is asked again */
		spool_later(sp, &m->id);
	else if (next != 0 && a->next != 0)
		spool_touch(sp, &m->id, next);
	else if (next != 0)
		spool_wait(sp, &m->id, next);
}
