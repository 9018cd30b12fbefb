/*
 * drop.c - delivery to those who live here.
 *
 *	Drop/ID.eml             delivered
 *	Drop/.ID.tmp            a copy being written
 *
 * When all recipients of a message live here its file is renamed from Queue into
 * Drop.  Otherwise they get a copy, which stands there durably before they are
 * marked, under the same name: to do it again replaces it.
 *
 * What was committed is delivered before the 250 leaves: who hears it finds the
 * mail.
 */
#include "smtpd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUOTA_INTERVAL 10000	/* between counts of a Drop folder, ms */

static bool
quota_has(struct vserver *v, long long size)
{
	long long quota = v->conf->home->quota;
	struct usage *u = &v->drop;

	if (quota == UNLIMITED)
		return true;
	if (u->counted == 0 || now.tick - u->counted >= QUOTA_INTERVAL)
		*u = (struct usage){ now.tick, disk_usage(spool_folder(v->spool, DROP)), false };
	return u->octets < quota && size <= quota - u->octets;
}

bool
drop_quota(struct vserver *v)
{
	return quota_has(v, 1) && !v->drop.full;
}

/* The copy is written in Drop, which may be on another file system, under a
 * name that readers pass over; then it stands under the message's own name, so
 * that doing it again after a crash replaces it. */
static int
drop_copy(struct spool *sp, const struct id *id, int fd, off_t body, struct envelope *local)
{
	char temp[PATH_SIZE], path[PATH_SIZE], text[ID_SIZE], name[ID_SIZE + 8];
	struct buf head = { 0 };
	int answer = envelope_write(local, &head);

	snprintf(name, sizeof name, ".%s.tmp", id_text(id, text));
	if (answer == 0)
		answer = disk_copy(fd, body, &head, spool_path(sp, temp, DROP, name),
		    spool_path_id(sp, path, DROP, id, ".eml"));
	buf_free(&head);
	return answer == -1 ? -1 : disk_folder(spool_folder(sp, DROP));
}

/* Who lives here?  In *local, which shares the strings of e, they are open,
 * and nobody else is; even those who were served, for a copy that replaces
 * theirs must name them too.  Answers how many are open in e. */
static size_t
envelope_local(const struct server *s, const struct envelope *e, struct envelope *local)
{
	size_t n = 0;

	*local = *e;
	if ((local->rcpt = memory(NULL, (e->count + 1) * sizeof *e->rcpt)) == NULL)
		return 0;
	memcpy(local->rcpt, e->rcpt, e->count * sizeof *e->rcpt);
	for (size_t i = 0; i < e->count; i++) {
		enum outcome *o = &local->rcpt[i].outcome;

		if (*o == RCPT_REJECTED || !config_local(s, e->rcpt[i].address)) {
			*o = RCPT_REJECTED;
			continue;
		}
		n += *o == RCPT_OPEN;
		*o = RCPT_OPEN;
	}
	return n;
}

/* The local part of a delivery: 1 the file has moved, 0 its recipients have
 * copies, -1 errno. */
static int
deliver_local(struct vserver *v, struct message *m, struct envelope *local, size_t locals)
{
	struct spool *sp = v->spool;
	char from[PATH_SIZE], to[PATH_SIZE];

	if (!quota_has(v, m->size)) {
		v->drop.full = true;
		errno = EDQUOT;
		return -1;
	}
	if (locals == m->env.count) {		/* nobody else is named in it */
		if (disk_rename(spool_path_id(sp, from, QUEUE, &m->id, ".eml"), spool_path_id(sp, to, DROP, &m->id, ".eml")) == 0) {
			if (m->noted)
				unlink(spool_path_id(sp, from, QUEUE, &m->id, ".txt"));
			return 1;
		}
		if (errno != EXDEV)
			return -1;
	}
	return spool_reopen(sp, m) == -1 ? -1 : drop_copy(sp, &m->id, m->fd, (off_t)m->body, local);
}

/* An attempt at the recipients who live here; true: the file has moved. */
static bool
attempt_local(struct vserver *v, struct message *m, struct envelope *local, size_t locals)
{
	struct attempt a = { .local = true };
	char words[WORDS_SIZE], text[ID_SIZE], to[400], value[ARGS_OCTETS + 1];
	int answer;

	envelope_text(local, RCPT_OPEN, to, sizeof to);
	for (size_t i = 0; i < m->env.count; i++)
		if (args_value(m->env.rcpt[i].args, "NOTIFY", value) && text_compare(value, "NEVER") != 0)
			spool_reopen(v->spool, m);	/* there may be a report on it, and its name is to change */
	if ((answer = deliver_local(v, m, local, locals)) != -1) {
		v->drop.octets += m->size;
		v->counts[MESSAGES_DELIVERED]++;
		v->counts[DIRECTORY_DROPS]++;
		v->counts[RECIPIENTS_LOCAL] += (long long)locals;
		log_line("%s delivered folder=%s to=%s", id_text(&m->id, text), v->conf->home->drop, to);
	}
	snprintf(words, sizeof words, "%s %.500s: %s", errno == EDQUOT ? "4.2.2" : errno == ENOSPC ? "4.3.1" : "4.3.0", spool_folder(v->spool, DROP),
	    errno == EDQUOT ? "the drop folder is over its quota" : strerror(errno));
	for (size_t i = 0; i < m->env.count; i++) {
		struct recipient *r = &m->env.rcpt[i];

		r->chosen = local->rcpt[i].outcome == RCPT_OPEN && r->outcome == RCPT_OPEN;
		if (r->chosen)
			recipient_outcome(r, answer == -1 ? RCPT_DEFERRED : RCPT_ACCEPTED, answer == -1 ? words : NULL, NULL);
	}
	a.moved = answer == 1;
	outcome_conclude(v, m, &a);
	return a.moved;
}

bool
drop_deliver(struct vserver *v, struct message *m)
{
	struct envelope local;
	size_t locals;
	bool moved;

	if (!outcome_begin(v, m))
		return false;
	locals = envelope_local(v->conf, &m->env, &local);
	if (local.rcpt == NULL) {
		spool_later(v->spool, &m->id);
		return false;
	}
	moved = locals > 0 && attempt_local(v, m, &local, locals);
	free(local.rcpt);
	return !moved && envelope_open(&m->env) > 0;
}
