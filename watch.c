/*
 * watch.c - the folders that somebody should look at.
 *
 * The model's administrators were told to look into Queue and Badmail often.
 * This looks for them: every few minutes what lies in Queue, Drop and Badmail is
 * counted, some files in each turn, into v->tally.  When a limit is passed the
 * log says so, and a mail to the postmaster does; once, until it has been below
 * the limit again.
 *
 * Certificates in use are looked at once a day, and after a reload: of one that
 * nears its end the log says so each time, and a mail does once.
 */
#include "smtpd.h"

#include <sys/stat.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY 300000	/* ms, between two counts of the folders */
#define FILES_TURN 200
#define PAUSE_TURN 5		/* ms, between two turns of one count */

static const enum folder watched[] = { QUEUE, DROP, BADMAIL };

struct watch {
	struct vserver *owner;
	DIR *dir;			/* that is being counted; NULL: none */
	size_t at;			/* in watched */
	struct tally sum;		/* so far */
	msec next;			/* tick of the next step */
	msec certificates;		/* tick of the next look at these */
	bool expiring;			/* one is near its end, and that was said */
	bool told[FOLDERS];		/* it is past its limit, and that was said */
};

struct watch *
watch_open(struct vserver *v)
{
	struct watch *w = memory(NULL, sizeof *w);

	if (w == NULL)
		return NULL;
	memset(w, 0, sizeof *w);
	w->owner = v;
	w->next = w->certificates = now.tick;
	return w;
}

void
watch_close(struct watch *w)
{
	if (w != NULL && w->dir != NULL)
		closedir(w->dir);
	free(w);
}

void
watch_want(const struct watch *w, msec *until)
{
	if (w->next < *until)
		*until = w->next;
	if (w->certificates < *until)
		*until = w->certificates;
}

void
watch_again(struct watch *w)
{
	w->certificates = now.tick;
}

static bool
past(const struct server *s, enum folder f, const struct tally *t)
{
	if (f == BADMAIL)
		return t->count > s->badmail_warning[0] || t->octets > s->badmail_warning[1];
	return f == QUEUE && (t->count > s->queue_warning[0] || (t->count > 0 && s->queue_warning[1] != UNLIMITED &&
	    now.wall / 1000 - t->oldest > s->queue_warning[1] / 1000));
}

static void
judge(struct watch *w, enum folder f)
{
	struct vserver *v = w->owner;
	const struct tally *t = &v->tally[f];
	const char *folder = f == QUEUE ? "Queue" : "Badmail";
	char subject[300], text[700];

	if (!past(v->conf, f, t)) {
		w->told[f] = false;
		return;
	}
	if (w->told[f])
		return;
	w->told[f] = true;
	snprintf(subject, sizeof subject, "%s of \"%.100s\" holds %lld messages", folder, v->conf->name, t->count);
	snprintf(text, sizeof text, "%s holds %lld messages, %lld octets; the oldest came %lld minutes ago.\r\n\r\n"
	    "%s\r\n\r\nYou are told again when it has been below its limit (%s) meanwhile.", folder, t->count, t->octets,
	    t->oldest != 0 ? (now.wall / 1000 - t->oldest) / 60 : 0,
	    f == QUEUE ? "What waits, and why: smtpd queue, smtpd queue domains" : "What lies there, and why: smtpd badmail",
	    f == QUEUE ? "queue-warning" : "badmail-warning");
	log_line("warning: server=\"%s\" folder=%s messages=%lld octets=%lld oldest=%llds", v->conf->name, folder, t->count, t->octets,
	    t->oldest != 0 ? now.wall / 1000 - t->oldest : 0);
	outcome_tell(v, subject, text);
}

/* Those in use: what lies in their files by now may be another one. */
static void
certificates_judged(struct watch *w)
{
	struct vserver *v = w->owner;
	char text[600], date[DATE_SIZE];
	size_t n = 0;

	w->certificates = now.tick + DAY;
	for (const struct certificate *c = v->conf->certificates; c != NULL; c = c->next) {
		long long left = c->expires - now.wall / 1000;

		if (left >= CERTIFICATE_DAYS * DAY / 1000)
			continue;
		log_line("warning: server=\"%s\" certificate=\"%s\" expires=\"%s\" left=%lldd", v->conf->name, c->file,
		    date_text(date, c->expires), left / 86400);
		if (n < sizeof text - 200)
			n += (size_t)snprintf(text + n, sizeof text - n, "%.120s: until %s\r\n", c->file, date_text(date, c->expires));
	}
	if (n > 0 && !w->expiring)
		outcome_tell(v, "A certificate nears its end", strcat(text, "\r\nPut new ones in their place, and reload."));
	w->expiring = n > 0;
}

static void
file_counted(struct watch *w, const char *name)
{
	char path[PATH_SIZE];
	struct stat st;
	struct id id;

	if (id_name(&id, name, ".eml") == -1 ||
	    lstat(spool_path(w->owner->spool, path, watched[w->at], name), &st) == -1)
		return;
	w->sum.count++;
	w->sum.octets += st.st_size;
	if (w->sum.oldest == 0 || id.second < w->sum.oldest)
		w->sum.oldest = id.second;
}

/* This folder is counted: on with the next one, or to sleep. */
static void
folder_counted(struct watch *w)
{
	enum folder f = watched[w->at];

	closedir(w->dir);
	w->dir = NULL;
	w->sum.at = now.tick;
	w->owner->tally[f] = w->sum;
	judge(w, f);
	w->at = (w->at + 1) % (sizeof watched / sizeof *watched);
	w->next = now.tick + (w->at == 0 ? LOOK_EVERY : 0);
}

void
watch_step(struct watch *w)
{
	struct dirent *d = NULL;
	char path[PATH_SIZE];

	if (w->certificates <= now.tick)
		certificates_judged(w);
	if (w->next > now.tick)
		return;
	if (w->dir == NULL) {
		memset(&w->sum, 0, sizeof w->sum);
		w->dir = opendir(spool_path(w->owner->spool, path, watched[w->at], "."));
	}
	w->next = now.tick + (w->dir != NULL ? PAUSE_TURN : LOOK_EVERY);
	for (int i = 0; w->dir != NULL && i < FILES_TURN; i++) {
		if ((d = readdir(w->dir)) == NULL) {
			folder_counted(w);
			return;
		}
		file_counted(w, d->d_name);
	}
}
