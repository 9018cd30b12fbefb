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

#define HAND_MAX   200		/* messages in hand; others come again in some seconds */
#define HAND_FOUND (10 * MEMBERS_MAX)	/* then those who are known are enough for now */

/* A recipient who is asked about. */
struct part {
	size_t index;			/* in the envelope */
	char *address;
	struct unfolding *u;		/* NULL: its turn has not come */
	bool over;
};

struct hand {
	struct vserver *owner;
	struct id id;
	struct inquiry *sender;		/* he is asked about first; else NULL */
	char *from, *mail, *later;	/* he; his first address, or why the directory does not say it; or NULL */
	struct part *parts;
	size_t count, first;		/* those before the first are over */
	size_t found;			/* by all that are over */
	struct hand *next;
};

static struct hand *hands;		/* the oldest first */
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
	for (size_t i = 0; i < h->count; i++) {
		unfold_end(h->parts[i].u);
		free(h->parts[i].address);
	}
	inquiry_end(h->sender);
	free(h->from);
	free(h->mail);
	free(h->later);
	free(h->parts);
	free(h);
}

static struct hand *
hand_new(struct vserver *v, const struct message *m, size_t count)
{
	struct hand *h = memory(NULL, sizeof *h), **at = &hands;
	bool good;

	if (h == NULL)
		return NULL;
	memset(h, 0, sizeof *h);
	h->owner = v;
	h->id = m->id;
	while (*at != NULL)
		at = &(*at)->next;
	*at = h;
	hand_count++;
	good = (h->parts = memory(NULL, (count + 1) * sizeof *h->parts)) != NULL && (h->from = text_copy(m->env.sender)) != NULL &&
	    (!asks_sender(v->conf, &m->env) || (h->sender = inquiry_begin(v->resolver, m->env.sender)) != NULL);
	for (size_t i = 0; i < m->env.count && good; i++)
		if (asks(v->conf, &m->env.rcpt[i])) {
			h->parts[h->count] = (struct part){ .index = i, .address = text_copy(m->env.rcpt[i].address) };
			good = h->parts[h->count++].address != NULL;
		}
	if (good)
		return h;
	hand_free(h);
	return NULL;
}

/* Who sent it is known, or never will be: 1, and that is enough for now; -1 memory is
 * out. */
static int
sender_step(struct hand *h, const struct person *p)
{
	char **to = p->known == KNOWN_LATER ? &h->later : p->mail.len > 0 && text_compare(p->mail.data, h->from) != 0 ? &h->mail : NULL;

	if (to != NULL && (*to = text_copy(to == &h->mail ? p->mail.data : p->words ? p->words : "out of memory")) == NULL)
		return -1;
	inquiry_end(h->sender);
	h->sender = NULL;
	return to != NULL;
}

/* Is it the oldest of its server? */
static bool
oldest(const struct hand *h)
{
	const struct hand *first = hands;

	while (first->owner != h->owner)
		first = first->next;
	return first == h;
}

/* Go on: 1 enough is known, 0 not yet, -1 memory is out. */
static int
hand_step(struct hand *h)
{
	struct resolver *r = h->owner->resolver;
	bool busy = false;

	if (h->sender != NULL && inquiry_answer(h->sender) == NULL)
		return 0;
	if (h->later != NULL || h->mail != NULL)
		return 1;
	if (h->sender != NULL) {
		int answer = sender_step(h, inquiry_answer(h->sender));

		if (answer != 0)
			return answer;
	}
	for (size_t i = h->first; i < h->count; i++) {
		struct part *p = &h->parts[i];

		if (p->u == NULL && (h->found > HAND_FOUND || !unfold_room(r, !oldest(h))))
			break;
		if (p->u == NULL && (p->u = unfold_begin(r, p->address)) == NULL)
			return -1;
		if (!p->over && (p->over = unfold_step(p->u) != FATE_NOT_YET))
			h->found += p->u->found_count;
		busy |= !p->over;
		h->first += i == h->first && p->over;
	}
	return h->first == h->count || (h->found > HAND_FOUND && !busy);
}

/* ---- the message for those who are meant ------------------------------------------------ */

/* Parameters of ours join others, of which the ones that can be missed go when there is
 * no room. */
static int
args_join(struct buf *b, const char *args, const char *ours)
{
	static const char *const missed[] = { "ORCPT", "ENVID", "AUTH" };
	int answer = buf_addf(b, "%s%s%s", args ? args : "", args && *args && *ours ? " " : "", ours);

	for (size_t i = 0; answer == 0 && b->data != NULL && strlen(b->data) > ARGS_OCTETS && i < sizeof missed / sizeof *missed; i++)
		args_drop(b->data, missed[i]);
	return answer;
}

/* One of them, with what he gets of the parameters. */
static int
found_take(struct envelope *e, const struct found *f, const char *args)
{
	char ours[DOMAIN_MAX + 12];
	struct buf b = { 0 };
	int answer;

	snprintf(ours, sizeof ours, "%s%s%s", f->open ? "" : "RESOLVED", f->host ? "=" : "", f->host ? f->host : "");
	answer = args_join(&b, args, ours);
	if (answer == 0)
		answer = envelope_add(e, f->address, b.data);
	buf_free(&b);
	return answer;
}

/* Those behind one recipient join the envelope, but for those who are given it already;
 * and he himself reports, where it is to be told that he was expanded: see policy.c. */
static int
part_take(const struct message *m, const struct part *p, struct texts *given, struct envelope *e, struct envelope *reports)
{
	const struct recipient *r = &m->env.rcpt[p->index];
	const struct unfolding *u = p->u;
	struct buf args = { 0 };
	int answer = policy_passes(r, u->list || u->found_count > 1, &args), success = answer;

	if (reports != e && answer != -1 && args.data != NULL)	/* it has another sender, who did not ask for that */
		args.data[args.len = 0] = '\0';
	for (size_t i = 0; i < u->found_count && answer != -1; i++)
		if ((answer = texts_add(given, u->found[i].address)) == 1)
			answer = found_take(e, &u->found[i], args.data);
	args.len = 0;
	if (answer != -1 && success == 1 && (args_join(&args, r->args, "EXPANDED") == -1 || envelope_add(reports, r->address, args.data) == -1))
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
	if (envelope_sender(&n->env, sender, args) == -1 || outcome_pass(v, m, n) == -1) {
		spool_abandon(v->spool, n);
		return -1;
	}
	v->counts[DIRECTORY_PASSED]++;
	pass_log(m, n, address);
	return 0;
}

/* Must a list's message have its owner for a sender?  Nobody answers a null sender. */
static const char *
owner_of(const struct message *m, const struct part *p)
{
	return *m->env.sender != '\0' ? p->u->owner : NULL;
}

/* Those behind the first of these parts get it, and those behind the next ones, as far as
 * an envelope may go and it is from the same sender.  How many that are; those for whom
 * it could not be written are still open. */
static size_t
pass(struct vserver *v, struct message *m, const struct part *parts, size_t count, struct texts *given)
{
	static const char *const asked[] = { "RET", "ENVID", "AUTH" };	/* by the author, not by the owner of a list */
	struct envelope e = { 0 }, reports = { 0 };
	const char *first = m->env.rcpt[parts->index].address, *owner = owner_of(m, parts);
	char *args = m->env.sender_args ? text_copy(m->env.sender_args) : NULL;
	int answer = m->env.sender_args && args == NULL ? -1 : 0;
	size_t n = 0;

	for (size_t i = 0; i < m->env.count; i++)
		m->env.rcpt[i].chosen = false;
	for (; answer == 0 && n < count && (n == 0 || (owner == NULL && owner_of(m, &parts[n]) == NULL && e.count < MEMBERS_MAX)); n++)
		answer = part_take(m, &parts[n], given, &e, owner ? &reports : &e);
	for (size_t i = 0; owner != NULL && i < sizeof asked / sizeof *asked; i++)
		args_drop(args, asked[i]);
	for (size_t i = 0; i < n; i++) {
		struct recipient *r = &m->env.rcpt[parts[i].index];

		if (e.count > 0)
			r->chosen = true;
		else if (answer == 0) {			/* all behind him have it already */
			recipient_outcome(r, RCPT_ACCEPTED, NULL, NULL);
			r->passed = true;
		}
	}
	if (answer == 0 && e.count > 0)
		answer = pass_message(v, m, &e, owner ? owner : m->env.sender, args, first);
	for (size_t i = 0; i < m->env.count; i++)
		m->env.rcpt[i].chosen = false;
	if (answer == 0 && reports.count > 0)
		pass_message(v, m, &reports, m->env.sender, m->env.sender_args, first);
	free(args);
	envelope_free(&reports);
	envelope_free(&e);
	return n > 0 ? n : 1;
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

/* Make the messages: nobody gets it twice. */
static void
parts_pass(struct vserver *v, struct message *m, const struct part *parts, size_t count)
{
	struct texts given = { 0 };
	int answer = 0;

	for (size_t i = 0; i < m->env.count && answer != -1; i++) {
		const struct recipient *r = &m->env.rcpt[i];

		if (r->outcome == RCPT_ACCEPTED ? !r->passed : r->outcome == RCPT_OPEN && !asks(v->conf, r))
			answer = texts_add(&given, r->address);
	}
	for (size_t i = 0; i < count && answer != -1; )
		i += pass(v, m, parts + i, count - i, &given);
	texts_free(&given);
}

/* The same from another sender; or all wait, for nobody can say who that is.  False:
 * he is who he is. */
static bool
sender_settle(struct hand *h, struct message *m, const struct attempt *a)
{
	struct envelope e = { 0 };
	struct buf args = { 0 };
	bool good = true, other = h->mail != NULL;
	char words[WORDS_SIZE];

	if (h->later == NULL && !other)
		return false;
	for (size_t i = 0; i < m->env.count; i++) {
		struct recipient *r = &m->env.rcpt[i];

		if ((r->chosen = r->outcome == RCPT_OPEN) && other)
			good &= envelope_add(&e, r->address, r->args) == 0;
	}
	good = other && good && args_join(&args, m->env.sender_args, "RESOLVED") == 0 &&
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

/* Look at it again in a moment; the more wait, the later. */
static void
hand_again(struct vserver *v, const struct id *id)
{
	spool_wait(v->spool, id, now.wall / 1000 + 1 + (long long)(spool_waiting(v->spool) / HAND_MAX));
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

		if (p.u != NULL && p.u->fate == FATE_PASSED && m->env.rcpt[p.index].outcome == RCPT_OPEN) {
			h->parts[i] = h->parts[passed];
			h->parts[passed++] = p;
		} else if (p.u != NULL && p.u->fate == FATE_HERE)
			m->env.rcpt[p.index].here = true;
	}
	parts_pass(h->owner, m, h->parts, passed);
	for (size_t i = 0; i < m->env.count; i++)
		m->env.rcpt[i].chosen = false;
	for (size_t i = 0; i < h->count; i++) {
		struct recipient *r = &m->env.rcpt[h->parts[i].index];

		if (r->outcome == RCPT_OPEN && h->parts[i].u != NULL)
			part_conclude(r, h->parts[i].u);
		r->chosen |= r->outcome == RCPT_ACCEPTED;
		deferred |= r->outcome == RCPT_DEFERRED;
		any |= r->chosen;
	}
	if (any)
		outcome_conclude(h->owner, m, &a);
	if (deferred)
		spool_wait(h->owner->spool, &m->id, a.next);
	for (size_t i = h->first; i < h->count; i++)	/* there were too many for once */
		if (h->parts[i].u == NULL)
			m->env.rcpt[h->parts[i].index].outcome = RCPT_DEFERRED;
	if (h->first < h->count)
		hand_again(h->owner, &m->id);
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
	switch (hand_step(h)) {
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

/* Are those who were asked about still where they were? */
static bool
hand_fits(const struct hand *h, const struct message *m)
{
	bool fits = true;

	for (size_t i = 0; i < h->count && fits; i++)
		fits = h->parts[i].index < m->env.count && strcmp(m->env.rcpt[h->parts[i].index].address, h->parts[i].address) == 0;
	return fits;
}

/* Read it again; NULL: nobody is left to deliver to now. */
static struct message *
hand_finish(struct hand *h)
{
	struct vserver *v = h->owner;
	struct message *m;
	bool fits;

	errno = 0;
	m = spool_take(v->spool, &h->id);
	fits = m != NULL && hand_fits(h, m);
	if (m == NULL ? errno == EAGAIN : !fits)
		hand_again(v, &h->id);
	if (m != NULL && (!fits || !hand_settle(h, m))) {
		spool_release(m);
		m = NULL;
	}
	hand_free(h);
	return m;
}

struct message *
expand_ready(struct vserver *v)
{
	struct hand *next;
	struct message *m = NULL;

	for (struct hand *h = hands; h != NULL && m == NULL; h = next) {
		int answer = h->owner == v ? hand_step(h) : 0;

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
