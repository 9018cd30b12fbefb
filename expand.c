/*
 * expand.c - those who are meant get the message: its recipients in our domains,
 * by the directory.
 *
 * Before a message is delivered, each open recipient whom no file of ours knows is
 * unfolded (resolve.c).  What he comes to:
 *
 *	here	r->here; drop.c delivers to him
 *	passed	another message is made for those who are meant, and he is marked
 *		x-resolved, once, when that is committed (outcome_pass)
 *	nobody, failed	he is rejected, and his sender told
 *	later	he is deferred, by the schedule
 *
 * Before all that, with `senders', who sent it is asked about: where his first address
 * is another one, a message from that takes the place of this one.
 *
 * In the new message each recipient is marked RESOLVED among his parameters, or
 * RESOLVED=HOST where his mail goes to that host, and is not asked about again; nor is
 * a sender who is.
 * Nobody else may say so (policy_expand).  Its envelope is made as that of aliases is
 * (RFC 3461 5.2.7); where a list has an owner its sender is he (RFC 5321 3.9.2).
 *
 * A message is in hand from expand_take to expand_ready.  Where the answers are at
 * hand that is at once, and the message is delivered before its 250 leaves.  Else its
 * recipients elsewhere are on their way meanwhile, and what is kept is its id: the
 * file is read again when all is known.  One message is in hand once.
 */
#include "smtpd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HAND_MAX   200		/* messages in hand; others come again in a second */
#define PARTS_MAX  40		/* recipients of one that are unfolded at a time */

/* A recipient who is asked about. */
struct part {
	size_t index;			/* in the envelope */
	struct unfolding *u;		/* NULL: its turn has not come */
	bool over;
};

struct hand {
	struct vserver *owner;
	struct id id;
	struct inquiry *sender;		/* he is asked about first; else NULL */
	char *mail, *later;		/* his first address; why the directory does not say it; or NULL */
	struct part *parts;
	size_t count, first;		/* those before the first are over */
	struct hand *next;
};

static struct hand *hands;
static size_t hand_count;

/* ---- who is asked about ------------------------------------------------------------- */

static bool
asks(const struct server *s, const struct recipient *r)
{
	char value[ARGS_OCTETS + 1];

	return r->outcome == RCPT_OPEN && !r->here && !args_have(r->args, "RESOLVED") && !args_have(r->args, "EXPANDED") &&
	    !args_value(r->args, "RESOLVED", value) && policy_asks(s, r->address);
}

static bool
asks_sender(const struct server *s, const struct envelope *e)
{
	return s->naming.senders && *e->sender != '\0' && !args_have(e->sender_args, "RESOLVED") && policy_asks(s, e->sender);
}

static void
hand_free(struct hand *h)
{
	struct hand **at = &hands;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	hand_count--;
	for (size_t i = 0; i < h->count; i++)
		unfold_end(h->parts[i].u);
	inquiry_end(h->sender);
	free(h->mail);
	free(h->later);
	free(h->parts);
	free(h);
}

static struct hand *
hand_new(struct vserver *v, const struct message *m, size_t count)
{
	struct hand *h = memory(NULL, sizeof *h);

	if (h == NULL)
		return NULL;
	memset(h, 0, sizeof *h);
	if ((h->parts = memory(NULL, (count + 1) * sizeof *h->parts)) == NULL ||
	    (asks_sender(v->conf, &m->env) && (h->sender = inquiry_begin(v->resolver, m->env.sender)) == NULL)) {
		free(h->parts);
		free(h);
		return NULL;
	}
	h->owner = v;
	h->id = m->id;
	for (size_t i = 0; i < m->env.count; i++)
		if (asks(v->conf, &m->env.rcpt[i]))
			h->parts[h->count++] = (struct part){ .index = i };
	h->next = hands;
	hands = h;
	hand_count++;
	return h;
}

/* Who sent it is known, or never will be: true, and that is enough for now. */
static bool
sender_step(struct hand *h, const struct person *p)
{
	if (p->known == KNOWN_LATER)
		h->later = text_copy(p->words ? p->words : "out of memory");
	else if (p->mail.len > 0)
		h->mail = text_copy(p->mail.data);
	inquiry_end(h->sender);
	h->sender = NULL;
	return h->later != NULL;
}

/* Go on: 1 all is known, 0 not yet, -1 memory is out. */
static int
hand_step(struct hand *h, const struct message *m)
{
	size_t busy = 0;

	if (h->sender != NULL && inquiry_answer(h->sender) == NULL)
		return 0;
	if (h->later != NULL || (h->sender != NULL && sender_step(h, inquiry_answer(h->sender))))
		return 1;
	for (size_t i = h->first; i < h->count && busy < PARTS_MAX; i++) {
		struct part *p = &h->parts[i];

		if (p->u == NULL && m != NULL && (p->u = unfold_begin(h->owner->resolver, m->env.rcpt[p->index].address)) == NULL)
			return -1;
		p->over = p->u != NULL && unfold_step(p->u) != FATE_NOT_YET;
		busy += !p->over;
		h->first += i == h->first && p->over;
	}
	return h->first == h->count;
}

/* ---- the message for those who are meant ------------------------------------------------ */

/* One of them, with what he gets of the parameters. */
static int
found_take(struct envelope *e, const struct found *f, const char *args)
{
	struct buf b = { 0 };
	int answer = buf_addf(&b, "%s%s%s%s%s", args ? args : "", args && *args && !f->unknown ? " " : "",
	    f->unknown ? "" : "RESOLVED", f->host ? "=" : "", f->host ? f->host : "");

	if (answer == 0)
		answer = envelope_add(e, f->address, b.data);
	buf_free(&b);
	return answer;
}

/* Does he get the original, or has he it already? */
static bool
served(const struct server *s, const struct message *m, const struct found *f)
{
	for (size_t i = 0; i < m->env.count && f->host == NULL; i++) {
		const struct recipient *r = &m->env.rcpt[i];

		if (text_compare(r->address, f->address) == 0 && (r->outcome == RCPT_ACCEPTED ? !r->passed : r->outcome == RCPT_OPEN && !asks(s, r)))
			return true;
	}
	return false;
}

/* Those behind one recipient join the envelope; and he himself reports, where it is to
 * be told that he was expanded: see policy.c. */
static int
part_take(const struct server *s, const struct message *m, const struct part *p, struct envelope *e, struct envelope *reports)
{
	const struct recipient *r = &m->env.rcpt[p->index];
	const struct unfolding *u = p->u;
	struct buf args = { 0 };
	int answer = policy_passes(r, u->list || u->found_count > 1, &args), success = answer;

	if (reports != e && answer != -1 && args.data != NULL)	/* it has another sender, who did not ask for that */
		args.data[args.len = 0] = '\0';
	for (size_t i = 0; i < u->found_count && answer != -1; i++)
		if (!served(s, m, &u->found[i]))
			answer = found_take(e, &u->found[i], args.data);
	args.len = 0;
	if (answer != -1 && success == 1 && (buf_addf(&args, "%s EXPANDED", r->args) == -1 || envelope_add(reports, r->address, args.data) == -1))
		answer = -1;
	buf_free(&args);
	return answer == -1 ? -1 : 0;
}

static void
pass_log(const struct message *m, const struct message *n, const char *address)
{
	char id[ID_SIZE], of[ID_SIZE], from[200], to[400], who[300];

	log_line("%s resolved of=%s from=<%s> for=<%s> to=%s recipients=%lu", id_text(&n->id, id), id_text(&m->id, of),
	    text_safe(from, sizeof from, n->env.sender, strlen(n->env.sender)), text_safe(who, sizeof who, address, strlen(address)),
	    envelope_text(&n->env, RCPT_OPEN, to, sizeof to), (unsigned long)envelope_open(&n->env));
}

/* Make a message with this envelope, which it takes, and hand it to the batch in the
 * place of the chosen ones. */
static int
pass_message(struct vserver *v, struct message *m, struct envelope *e, const char *sender, const char *args, const char *address)
{
	struct message *n;
	struct id id;

	id_next(&id);
	if ((n = spool_new(&id)) == NULL)
		return -1;
	n->env = *e;
	memset(e, 0, sizeof *e);
	if (envelope_once(&n->env) == -1 || envelope_sender(&n->env, sender, args) == -1 || outcome_pass(v, m, n) == -1) {
		spool_abandon(v->spool, n);
		return -1;
	}
	v->counts[DIRECTORY_PASSED]++;
	pass_log(m, n, address);
	return 0;
}

/* Those behind these parts get it; from the owner of a list, or as it is.  -1: the disk
 * would not take it, and they are still open. */
static int
pass(struct vserver *v, struct message *m, const struct part *parts, size_t count, const char *owner)
{
	struct envelope e = { 0 }, reports = { 0 };
	const char *first = m->env.rcpt[parts->index].address;
	int answer = 0;

	for (size_t i = 0; i < m->env.count; i++)
		m->env.rcpt[i].chosen = false;
	for (size_t i = 0; i < count && answer == 0; i++)
		answer = part_take(v->conf, m, &parts[i], &e, owner ? &reports : &e);
	if (answer == 0 && reports.count > 0)
		answer = pass_message(v, m, &reports, m->env.sender, m->env.sender_args, first);
	for (size_t i = 0; i < count; i++) {
		struct recipient *r = &m->env.rcpt[parts[i].index];

		if (e.count > 0)
			r->chosen = true;
		else if (answer == 0) {			/* all behind him have it already */
			recipient_outcome(r, RCPT_ACCEPTED, NULL, NULL);
			r->passed = true;
		}
	}
	if (answer == 0 && e.count > 0)
		answer = pass_message(v, m, &e, owner ? owner : m->env.sender, m->env.sender_args, first);
	envelope_free(&reports);
	envelope_free(&e);
	return answer;
}

/* ---- all is known ------------------------------------------------------------------------- */

/* One whose time has not come, or never will. */
static void
part_conclude(struct recipient *r, const struct unfolding *u)
{
	switch (u->fate) {
	case FATE_HERE:
		r->here = true;
		break;
	case FATE_NOBODY: case FATE_FAILED:
		r->chosen = true;
		recipient_outcome(r, RCPT_REJECTED, u->words, NULL);
		break;
	default:
		r->chosen = true;
		recipient_outcome(r, RCPT_DEFERRED, u->fate == FATE_LATER ? u->words : "4.3.0 it could not be written for those behind him", NULL);
	}
}

/* Must a list's message have its owner for a sender?  Nobody answers a null sender. */
static const char *
owner_of(const struct message *m, const struct part *p)
{
	return *m->env.sender != '\0' ? p->u->owner : NULL;
}

/* Make the messages.  Those without a sender of their own share one, so that nobody gets
 * it twice, as far as an envelope may go. */
static void
parts_pass(struct vserver *v, struct message *m, struct part *parts, size_t count)
{
	size_t n;

	for (size_t i = 0; i < count; i += n) {
		size_t sum = parts[i].u->found_count;

		for (n = 1; i + n < count && owner_of(m, &parts[i]) == NULL && owner_of(m, &parts[i + n]) == NULL; n++)
			if ((sum += parts[i + n].u->found_count) > MEMBERS_MAX)
				break;
		pass(v, m, parts + i, n, owner_of(m, &parts[i]));
	}
}

/* The same from another sender; or all wait, for nobody can say who that is.  False:
 * he is who he is. */
static bool
sender_settle(struct hand *h, struct message *m, const struct attempt *a)
{
	struct envelope e = { 0 };
	struct buf args = { 0 };
	bool good = true, other = h->later == NULL && h->mail != NULL && text_compare(h->mail, m->env.sender) != 0;
	char words[WORDS_SIZE];

	if (h->later == NULL && !other)
		return false;
	for (size_t i = 0; i < m->env.count; i++) {
		struct recipient *r = &m->env.rcpt[i];

		if ((r->chosen = r->outcome == RCPT_OPEN) && other)
			good &= envelope_add(&e, r->address, r->args) == 0;
	}
	good = other && good && buf_addf(&args, "%s%sRESOLVED", m->env.sender_args ? m->env.sender_args : "", m->env.sender_args ? " " : "") == 0 &&
	    pass_message(h->owner, m, &e, h->mail, args.data, m->env.sender) == 0;
	snprintf(words, sizeof words, "%s %.500s", other ? "4.3.0" : "4.4.3", other ? "it could not be written" : h->later);
	for (size_t i = 0; !good && i < m->env.count; i++)
		if (m->env.rcpt[i].chosen)
			recipient_outcome(&m->env.rcpt[i], RCPT_DEFERRED, words, NULL);
	if (!good) {
		outcome_conclude(h->owner, m, a);
		spool_wait(h->owner->spool, &m->id, a->next);
	}
	envelope_free(&e);
	buf_free(&args);
	return true;
}

/* Act on what is known; true: there is somebody to deliver to. */
static bool
hand_settle(struct hand *h, struct message *m)
{
	struct attempt a = { .local = true, .next = config_attempt(h->owner->conf, m->id.second, true) };
	size_t passed = 0;
	bool deferred = false, any = false;

	if (sender_settle(h, m, &a))
		return false;
	for (size_t i = 0; i < h->count; i++) {		/* those to be passed on come first in the table */
		struct part p = h->parts[i];

		if (p.u->fate == FATE_PASSED && m->env.rcpt[p.index].outcome == RCPT_OPEN) {
			h->parts[i] = h->parts[passed];
			h->parts[passed++] = p;
		} else if (p.u->fate == FATE_HERE)
			m->env.rcpt[p.index].here = true;
	}
	parts_pass(h->owner, m, h->parts, passed);
	for (size_t i = 0; i < m->env.count; i++)
		m->env.rcpt[i].chosen = false;
	for (size_t i = 0; i < h->count; i++) {
		struct recipient *r = &m->env.rcpt[h->parts[i].index];

		if (r->outcome == RCPT_OPEN)
			part_conclude(r, h->parts[i].u);
		r->chosen |= r->outcome == RCPT_ACCEPTED;
		deferred |= r->outcome == RCPT_DEFERRED;
		any |= r->chosen;
	}
	if (any)
		outcome_conclude(h->owner, m, &a);
	if (deferred)
		spool_wait(h->owner->spool, &m->id, a.next);
	for (size_t i = 0; i < m->env.count; i++)
		m->env.rcpt[i].chosen = false;
	return envelope_open(&m->env) > 0;
}

/* It waits: those elsewhere do not, unless who sent it is not known. */
static void
hand_wait(struct vserver *v, struct message *m, bool sender)
{
	if (!sender && dests_route(v, m) == -1)
		spool_later(v->spool, &m->id);
	spool_release(m);
}

static struct hand *
hand_of(const struct vserver *v, const struct id *id)
{
	struct hand *h = hands;

	while (h != NULL && (h->owner != v || id_compare(&h->id, id) != 0))
		h = h->next;
	return h;
}

/* Look at it again in a moment. */
static void
hand_again(struct vserver *v, const struct id *id)
{
	spool_wait(v->spool, id, now.wall / 1000 + 1);
}

bool
expand_take(struct vserver *v, struct message *m)
{
	struct hand *h = NULL;
	size_t count = 0;
	bool open, sender;

	for (size_t i = 0; i < m->env.count; i++)
		count += asks(v->conf, &m->env.rcpt[i]);
	sender = asks_sender(v->conf, &m->env);
	if (count == 0 && !sender)
		return false;
	if (!outcome_begin(v, m)) {
		spool_release(m);
		return true;
	}
	if (v->resolver == NULL || hand_of(v, &m->id) != NULL || hand_count >= HAND_MAX || (h = hand_new(v, m, count)) == NULL) {
		if (hand_of(v, &m->id) == NULL)
			hand_again(v, &m->id);
		hand_wait(v, m, sender);
		return true;
	}
	switch (hand_step(h, m)) {
	case 0:
		hand_wait(v, m, sender);
		return true;
	case 1:
		open = hand_settle(h, m);
		break;
	default:
		hand_again(v, &m->id);
		open = false;
	}
	hand_free(h);
	if (!open)
		spool_release(m);
	return !open;
}

/* Read it again: what is known is about those who were asked about then. */
static struct message *
hand_finish(struct hand *h)
{
	struct vserver *v = h->owner;
	struct message *m;

	errno = 0;
	m = spool_take(v->spool, &h->id);
	if (m == NULL && errno == EAGAIN)
		hand_again(v, &h->id);
	for (size_t i = 0; m != NULL && i < h->count; i++)
		if (h->parts[i].index >= m->env.count) {	/* somebody has put another in its place */
			hand_again(v, &h->id);
			spool_release(m);
			m = NULL;
		}
	if (m != NULL && !hand_settle(h, m)) {
		spool_release(m);
		m = NULL;
	}
	hand_free(h);
	return m;
}

/* The parts whose turn has come begin. */
static int
hand_begin(struct hand *h)
{
	struct message *m = NULL;
	size_t i = h->first, busy = 0;
	int answer;

	if (h->sender != NULL && inquiry_answer(h->sender) == NULL)
		return 0;
	for (; i < h->count && h->parts[i].u != NULL; i++)
		busy += !h->parts[i].over;
	if (i < h->count && busy < PARTS_MAX / 2 && (m = spool_take(h->owner->spool, &h->id)) == NULL)
		return -1;
	answer = hand_step(h, m);
	spool_release(m);
	return answer;
}

struct message *
expand_ready(struct vserver *v)
{
	struct hand *next;
	struct message *m = NULL;

	for (struct hand *h = hands; h != NULL && m == NULL; h = next) {
		int answer = h->owner == v ? hand_begin(h) : 0;

		next = h->next;
		if (answer == 1)
			m = hand_finish(h);
		else if (answer == -1) {
			hand_again(v, &h->id);
			hand_free(h);
		}
	}
	return m;
}

void
expand_forget(struct vserver *v, bool again)
{
	struct hand *next;

	for (struct hand *h = hands; h != NULL; h = next) {
		next = h->next;
		if (h->owner != v)
			continue;
		if (again)
			spool_again(v->spool, &h->id);
		hand_free(h);
	}
}
