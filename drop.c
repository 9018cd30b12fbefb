/*
 * drop.c - delivery to those who live here.
 *
 *	Drop/ID.eml             delivered
 *	Drop/.ID.tmp            a copy being written
 *	DIR/tmp/ID, DIR/new/ID  the same in a Maildir
 *
 * When all recipients of a message live here its file is renamed from Queue into
 * Drop.  Otherwise, and into a Maildir, they get a copy, which stands there
 * durably before they are marked, under the same name: to do it again after a
 * crash replaces it.  Only a reader who has moved it into cur meanwhile has it
 * twice.
 *
 * What was committed is delivered before the 250 leaves: who hears it finds the
 * mail.  Where each has a Maildir of his own that holds for the first
 * COPIES_TURN; the others follow turn by turn.
 */
#include "smtpd.h"

#include <sys/stat.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWNER_SIZE  220		/* of the name of his folder */
#define QUOTA_INTERVAL 10000	/* between counts of a folder, ms */
#define COPIES_TURN    50	/* of one message, into Maildirs */

/* ---- who ------------------------------------------------------------------------------ */

/* Has each a Maildir of his own? */
static bool
apart(const struct server *s)
{
	return s->home->maildir != NULL && strchr(s->home->maildir, '%') != NULL;
}

/* A name of the directory's as that of a folder: with its domain, where that is not the
 * default one, and with =XX for what a folder's name had better not have; "": too long. */
static void
owner_encode(const char *home, const char *address, char out[OWNER_SIZE])
{
	const char *at = strrchr(address, '@');
	size_t left = at != NULL && text_compare(at + 1, home) == 0 ? (size_t)(at - address) : strlen(address), n = 0;

	for (; left > 0 && n + 4 < OWNER_SIZE; address++, left--) {
		int c = text_lower((unsigned char)*address);
		bool plain = strchr("abcdefghijklmnopqrstuvwxyz0123456789_-@", c) != NULL || (c == '.' && n > 0);

		n += (size_t)snprintf(out + n, OWNER_SIZE - n, plain ? "%c" : "=%02X", (unsigned)c);
	}
	out[left == 0 ? n : 0] = '\0';
}

/* By what name is his folder known?  "": all have the same. */
static const char *
owner_of(const struct server *s, const char *address, char out[OWNER_SIZE])
{
	const char *name = apart(s) ? names_find(s->home->names, address) : "";
	size_t n = 0;

	if (name == NULL && policy_asks(s, address)) {
		owner_encode(s->home->name, address, out);
		return out;
	}
	if (name == NULL)
		name = "postmaster";
	for (; name[n] != '\0' && name[n] != '@' && n < OWNER_SIZE - 1; n++)
		out[n] = (char)text_lower((unsigned char)name[n]);
	out[n] = '\0';
	return out;
}

/* A list that was expanded: see policy.c. */
static bool
is_list(const struct recipient *r)
{
	return args_have(r->args, "EXPANDED");
}

/* Does the directory, and nothing else, say who he is?  Who was delivered to was
 * known by it then. */
static bool
known(const struct recipient *r)
{
	return r->here || args_have(r->args, "RESOLVED") || (r->outcome == RCPT_ACCEPTED && !r->passed);
}

/* Is there somebody here to deliver to?  With folders apart an alias has none: it
 * was none when the message came. */
static bool
lives_here(const struct server *s, const struct recipient *r)
{
	char owner[OWNER_SIZE];

	if (is_list(r) || !route_local(s, r) || !(policy_asks(s, r->address) ? known(r) : config_exists(s, r->address)))
		return false;
	return !apart(s) || names_find(s->home->names, r->address) || names_postmaster(r->address) ||
	    (policy_asks(s, r->address) && *owner_of(s, r->address, owner) != '\0');
}

/* ---- folders ---------------------------------------------------------------------------- */

/* A Maildir's folder, or "" itself; -1: its path is too long. */
static int
maildir_path(const struct server *s, const char *owner, const char *sub, char out[PATH_SIZE])
{
	const char *dir = s->home->maildir, *rest = dir + strcspn(dir, "%");
	int n = snprintf(out, PATH_SIZE, "%s%s%.*s%s%s%s%s", *dir == '/' ? "" : s->mailroot, *dir == '/' ? "" : "/",
	    (int)(rest - dir), dir, owner, *rest ? rest + 2 : "", *sub ? "/" : "", sub);

	if (n >= 0 && n < FOLDER_SIZE)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

/* Make this folder and those above it, durably. */
static int
folder_make(char *path)
{
	char *end, *up;
	bool made;

	for (end = path + 1; end != NULL; end = end ? end + 1 : NULL) {
		if ((end = strchr(end, '/')) != NULL)
			*end = '\0';
		if (!(made = mkdir(path, 0700) == 0) && errno != EEXIST)
			return -1;
		if (made && (up = strrchr(path, '/')) != NULL) {
			*up = '\0';
			disk_folder(*path ? path : "/");
			*up = '/';
		}
		if (end == NULL)
			break;
		*end = '/';
	}
	return 0;
}

static int
maildir_make(const struct server *s, const char *owner)
{
	static const char *const subs[] = { "tmp", "cur", "new" };	/* who finds the last one finds all */
	char path[PATH_SIZE];

	if (maildir_path(s, owner, "new", path) == -1)
		return -1;
	for (size_t i = 0; access(path, F_OK) == -1 && i < 3; i++) {
		char part[PATH_SIZE];

		if (maildir_path(s, owner, subs[i], part) == -1 || folder_make(part) == -1)
			return -1;
	}
	return 0;
}

static long long
octets_in(struct vserver *v, const char *owner)
{
	char fresh[PATH_SIZE], seen[PATH_SIZE];

	if (v->conf->home->maildir == NULL)
		return disk_usage(spool_folder(v->spool, DROP));
	return maildir_path(v->conf, owner, "new", fresh) == -1 || maildir_path(v->conf, owner, "cur", seen) == -1 ? 0 :
	    disk_usage(fresh) + disk_usage(seen);
}

/* What is known of his folder, counted now and then. */
static struct usage *
usage_of(struct vserver *v, const char *owner)
{
	uint32_t hash = text_hash(owner, 0);
	struct usage *u = &v->drop[hash % USAGES];

	if (u->counted == 0 || u->owner != hash || now.tick - u->counted >= QUOTA_INTERVAL)
		*u = (struct usage){ hash, now.tick, octets_in(v, owner), false };
	return u;
}

/* Room for so much?  Then it is taken: -1 EDQUOT. */
static int
quota_take(struct vserver *v, const char *owner, long long size)
{
	long long quota = v->conf->home->quota;
	struct usage *u;

	if (quota == UNLIMITED)
		return 0;
	u = usage_of(v, owner);
	if (u->octets < quota && size <= quota - u->octets) {
		u->octets += size;
		return 0;
	}
	u->full = true;
	errno = EDQUOT;
	return -1;
}

bool
drop_quota(struct vserver *v, const char *address)
{
	char owner[OWNER_SIZE];
	const struct usage *u;

	if (v->conf->home->quota == UNLIMITED)
		return true;
	u = usage_of(v, owner_of(v->conf, address, owner));
	return !u->full && u->octets < v->conf->home->quota;
}

/* ---- into Drop ------------------------------------------------------------------------------ */

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
		    spool_path_id(sp, path, DROP, id, ".eml"), false);
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

		if (*o == RCPT_REJECTED || !lives_here(s, &e->rcpt[i])) {
			*o = RCPT_REJECTED;
			continue;
		}
		n += *o == RCPT_OPEN;
		*o = RCPT_OPEN;
	}
	return n;
}

/* 1 the file has moved, 0 its recipients have copies, -1 errno. */
static int
drop_put(struct vserver *v, struct message *m, struct envelope *local, size_t locals)
{
	struct spool *sp = v->spool;
	char from[PATH_SIZE], to[PATH_SIZE];

	if (quota_take(v, "", m->size) == -1)
		return -1;
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

/* What a delivery into this folder came to, for one recipient. */
static void
delivered(struct recipient *r, int answer, const char *folder)
{
	char words[WORDS_SIZE];
	int error = errno;

	snprintf(words, sizeof words, "%s %.500s: %s", error == EDQUOT ? "4.2.2" : error == ENOSPC ? "4.3.1" : "4.3.0", folder,
	    error == EDQUOT ? "the drop folder is over its quota" : strerror(error));
	recipient_outcome(r, answer == -1 ? RCPT_DEFERRED : RCPT_ACCEPTED, answer == -1 ? words : NULL, NULL);
	errno = error;
}

/* True: the file has moved. */
static bool
attempt_drop(struct vserver *v, struct message *m, struct envelope *local, size_t locals)
{
	struct attempt a = { .local = true };
	char text[ID_SIZE], to[400], value[ARGS_OCTETS + 1];
	int answer;

	envelope_text(local, RCPT_OPEN, to, sizeof to);
	for (size_t i = 0; i < m->env.count; i++)
		if (args_value(m->env.rcpt[i].args, "NOTIFY", value) && text_compare(value, "NEVER") != 0)
			spool_reopen(v->spool, m);	/* there may be a report on it, and its name is to change */
	if ((answer = drop_put(v, m, local, locals)) != -1) {
		v->counts[MESSAGES_DELIVERED]++;
		v->counts[DIRECTORY_DROPS]++;
		v->counts[RECIPIENTS_LOCAL] += (long long)locals;
		log_line("%s delivered folder=%s to=%s", id_text(&m->id, text), v->conf->home->drop, to);
	}
	for (size_t i = 0; i < m->env.count; i++) {
		struct recipient *r = &m->env.rcpt[i];

		r->chosen = local->rcpt[i].outcome == RCPT_OPEN && r->outcome == RCPT_OPEN;
		if (r->chosen)
			delivered(r, answer, spool_folder(v->spool, DROP));
	}
	a.moved = answer == 1;
	outcome_conclude(v, m, &a);
	return a.moved;
}

/* ---- into a Maildir ---------------------------------------------------------------------------- */

/* For one recipient, or NULL: all who live here.  Binary content stays as it is. */
static int
maildir_put(struct vserver *v, struct message *m, const char *owner, const struct recipient *only)
{
	bool lf = !args_have(m->env.sender_args, "BODY=BINARYMIME");
	const char *end = lf ? "\n" : "\r\n";
	char temp[PATH_SIZE], folder[PATH_SIZE], path[PATH_SIZE + ID_SIZE], id[ID_SIZE];
	struct buf head = { 0 };
	int answer = buf_addf(&head, "Return-Path: <%s>%s", m->env.sender, end);

	id_text(&m->id, id);
	for (size_t i = 0; i < m->env.count && answer == 0; i++)
		if (only ? only == &m->env.rcpt[i] : lives_here(v->conf, &m->env.rcpt[i]))
			answer = buf_addf(&head, "Delivered-To: %s%s", m->env.rcpt[i].address, end);
	if (answer == -1)
		errno = ENOMEM;
	else if (quota_take(v, owner, (long long)head.len + m->size - m->body) == -1 || maildir_make(v->conf, owner) == -1 ||
	    maildir_path(v->conf, owner, "tmp", temp) == -1 || maildir_path(v->conf, owner, "new", folder) == -1 ||
	    spool_reopen(v->spool, m) == -1)
		answer = -1;
	else {
		snprintf(temp + strlen(temp), sizeof temp - strlen(temp), "/%s", id);
		snprintf(path, sizeof path, "%s/%s", folder, id);
		if ((answer = disk_copy(m->fd, (off_t)m->body, &head, temp, path, lf)) == 0)
			answer = disk_folder(folder);
	}
	buf_free(&head);
	return answer;
}

/* One delivery: for this recipient, or for all where they share a Maildir. */
static int
attempt_one(struct vserver *v, struct message *m, struct recipient *r, bool each)
{
	char owner[OWNER_SIZE], id[ID_SIZE], to[300], folder[PATH_SIZE] = "";
	int answer = maildir_put(v, m, owner_of(v->conf, r->address, owner), each ? r : NULL), error = errno;

	maildir_path(v->conf, owner, "", folder);
	v->counts[DIRECTORY_DROPS] += answer == 0;
	for (size_t i = 0; i < m->env.count; i++) {
		struct recipient *s = &m->env.rcpt[i];

		if (s != r && (each || s->outcome != RCPT_OPEN || !lives_here(v->conf, s)))
			continue;
		s->chosen = true;
		errno = error;
		delivered(s, answer, folder);
		v->counts[RECIPIENTS_LOCAL] += answer == 0;
		if (answer == 0)
			log_line("%s delivered folder=%s to=<%s>", id_text(&m->id, id), folder,
			    text_safe(to, sizeof to, s->address, strlen(s->address)));
	}
	return answer;
}

/* Not all of many in one turn; and not always the same ones first, for their
 * folders may be full.  True: there are more, and it goes on well. */
static bool
attempt_maildir(struct vserver *v, struct message *m)
{
	struct attempt a = { .local = true };
	size_t count = m->env.count, start = count > COPIES_TURN ? random_number() % count : 0;
	int left = COPIES_TURN;
	bool good = false, more = false;

	for (size_t i = 0; i < count; i++) {
		struct recipient *r = &m->env.rcpt[(start + i) % count];

		if (r->outcome != RCPT_OPEN || !lives_here(v->conf, r))
			continue;
		if (left-- > 0)
			good |= attempt_one(v, m, r, apart(v->conf)) == 0;
		else
			more = true;
	}
	v->counts[MESSAGES_DELIVERED] += good;
	outcome_conclude(v, m, &a);
	return more && good;
}

/* ---- both -------------------------------------------------------------------------------------- */

/* A list has been expanded; who does not exist is rejected. */
static void
attempt_names(struct vserver *v, struct message *m)
{
	struct attempt a = { .local = true, .expanded = true };
	bool any = false;

	for (size_t i = 0; i < m->env.count; i++) {
		struct recipient *r = &m->env.rcpt[i];

		r->chosen = r->outcome == RCPT_OPEN && route_local(v->conf, r) && !lives_here(v->conf, r);
		any |= r->chosen;
		if (r->chosen && is_list(r))
			recipient_outcome(r, RCPT_ACCEPTED, NULL, NULL);
		else if (r->chosen)
			recipient_outcome(r, RCPT_REJECTED, "5.1.1 nobody of this name lives here", NULL);
	}
	if (any)
		outcome_conclude(v, m, &a);
	envelope_choose_none(&m->env);
}

bool
drop_deliver(struct vserver *v, struct message *m)
{
	struct envelope local;
	size_t locals;
	bool moved = false;

	if (!outcome_begin(v, m))
		return false;
	attempt_names(v, m);
	locals = envelope_local(v->conf, &m->env, &local);
	if (local.rcpt == NULL) {
		spool_later(v->spool, &m->id);
		return false;
	}
	if (locals > 0 && v->conf->home->maildir != NULL) {
		if (attempt_maildir(v, m))
			spool_again(v->spool, &m->id);
	} else if (locals > 0)
		moved = attempt_drop(v, m, &local, locals);
	free(local.rcpt);
	return !moved && envelope_open(&m->env) > 0;
}
