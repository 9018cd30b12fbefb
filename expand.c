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
 * a sender who is.  One of whom the directory does not say where his mail goes is
 * UNRESOLVED: he is asked about until it does.  Nobody else may say so
 * (policy_expand).  Its envelope is made as that of aliases is (RFC 3461 5.2.7); where a
 * list has an owner its sender is he (RFC 5321 3.9.2).  Nobody is given the same message
 * twice by it, as far as it is settled at one time (`given'); addresses that differ in
 * case alone are one here.
 *
 * A message is in hand from expand_take to expand_ready.  Where the answers are at
 * hand that is at once, and the message is delivered before its 250 leaves.  Else its
 * recipients elsewhere are on their way meanwhile, and what is kept is its id: the
 * file is read again when all is known, or so much that it is enough for a turn of the
 * loop.  One message is in hand once.
 */
#include "smtpd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HAND_MAX   200		/* messages of a server in hand; others come again in some seconds */
#define HAND_FOUND MEMBERS_MAX	/* then those who are known are enough for a turn */
#define GIVEN_MAX  (20 * MEMBERS_MAX)	/* whom it is remembered of that they have it */

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
	size_t found;			/* by those that are over and not settled */
	struct texts given;		/* who has it, or gets it */
	bool begun;			/* given has those who need not be asked about */
	msec settled;			/* tick, when some were */
	struct hand *next;
};

static struct hand *hands;		/* the oldest first */

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
	for (size_t i = 0; i < h->count; i++) {
		unfold_end(h->parts[i].u);
		free(h->parts[i].address);
	}
	inquiry_end(h->sender);
	texts_free(&h->given);
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
	const char *words = p->words ? p->words : "out of memory";

	if (p->known == KNOWN_LATER && (h->later = text_copy(words)) == NULL)
		return -1;
	if (p->mail.len > 0 && text_compare(p->mail.data, h->from) != 0 && (h->mail = text_copy(p->mail.data)) == NULL)
		return -1;
	inquiry_end(h->sender);
	h->sender = NULL;
	return h->later != NULL || h->mail != NULL;
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

		if (!p->over && p->u == NULL && (h->found > HAND_FOUND || !unfold_room(r, !oldest(h))))
			break;
		if (!p->over && p->u == NULL && (p->u = unfold_begin(r, p->address)) == NULL)
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

	snprintf(ours, sizeof ours, "%s%s%s", f->how == FOUND_OPEN ? "" : f->how == FOUND_JUNK ? "UNRESOLVED" : "RESOLVED",
	    f->host ? "=" : "", f->host ? f->host : "");
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

/* Is it still not known where the mail of this one goes? */
static bool
unsure(const struct recipient *r, const struct unfolding *u)
{
	bool open = u->fate == FATE_NOBODY || u->fate == FATE_FAILED;

	for (size_t i = 0; i < u->found_count; i++)
		open |= u->found[i].how != FOUND_MEANT;
	return open && args_have(r->args, "UNRESOLVED");
}

/* Do others get it instead of him? */
static bool
passes(const struct message *m, const struct part *p)
{
	const struct recipient *r = &m->env.rcpt[p->index];

	return p->u != NULL && p->u->fate == FATE_PASSED && r->outcome == RCPT_OPEN && !unsure(r, p->u);
}

/* Can they be written in an envelope of so many, from this owner, or from the author? */
static bool
joins(const struct hand *h, const struct message *m, const struct part *p, const char *owner, size_t count)
{
	bool all = true;

	for (size_t i = 0; i < p->u->found_count && all; i++)
		all = texts_have(&h->given, p->u->found[i].address);
	return all || (owner == NULL && owner_of(m, p) == NULL && count < MEMBERS_MAX);
}

/* Those behind a part get it, and those behind others, as far as an envelope may go and
 * it is from the same sender.  The part that comes next; none when it could not be
 * written: then they are still open. */
static size_t
pass(struct hand *h, struct message *m, size_t from)
{
	static const char *const asked[] = { "RET", "ENVID", "AUTH" };	/* by the author, not by the owner of a list */
	struct envelope e = { 0 }, reports = { 0 };
	const char *first = h->parts[from].address, *owner = owner_of(m, &h->parts[from]);
	char *args = m->env.sender_args ? text_copy(m->env.sender_args) : NULL;
	int answer = m->env.sender_args && args == NULL ? -1 : 0;
	size_t n;

	envelope_choose_none(&m->env);
	for (n = from; answer == 0 && n < h->count; n++) {
		const struct part *p = &h->parts[n];

		if (!passes(m, p))
			continue;
		if (n > from && !joins(h, m, p, owner, e.count))
			break;
		answer = part_take(m, p, &h->given, &e, owner ? &reports : &e);
		m->env.rcpt[p->index].chosen = true;
	}
	for (size_t i = 0; owner != NULL && i < sizeof asked / sizeof *asked; i++)
		args_drop(args, asked[i]);
	for (size_t i = 0; answer == 0 && e.count == 0 && i < m->env.count; i++)
		if (m->env.rcpt[i].chosen) {		/* all behind him have it already */
			recipient_outcome(&m->env.rcpt[i], RCPT_ACCEPTED, NULL, NULL);
			m->env.rcpt[i].passed = true;
		}
	if (answer == 0 && e.count > 0)
		answer = pass_message(h->owner, m, &e, owner ? owner : m->env.sender, args, first);
	envelope_choose_none(&m->env);
	if (answer == 0 && reports.count > 0)
		pass_message(h->owner, m, &reports, m->env.sender, m->env.sender_args, first);
	free(args);
	envelope_free(&reports);
	envelope_free(&e);
	return answer == -1 ? h->count : n;
}

/* ---- all is known ------------------------------------------------------------------------- */

/* One whose time has not come, or never will. */
static void
part_conclude(struct recipient *r, const struct unfolding *u)
{
	r->chosen = true;
	if (unsure(r, u))
		recipient_outcome(r, RCPT_DEFERRED, "4.3.5 the directory does not say where this mail goes", NULL);
	else if (u->fate == FATE_NOBODY || u->fate == FATE_FAILED)
		recipient_outcome(r, RCPT_REJECTED, u->words, NULL);
	else
		recipient_outcome(r, RCPT_DEFERRED, u->fate == FATE_LATER ? u->words : "4.3.0 it could not be written for those behind him", NULL);
}

/* Who need not be asked about has it, or gets it.  -1: memory is out. */
static int
given_begin(struct hand *h, const struct message *m)
{
	int answer = 0;

	for (size_t i = 0; i < m->env.count && answer != -1 && !h->begun; i++) {
		const struct recipient *r = &m->env.rcpt[i];

		if (r->outcome == RCPT_ACCEPTED ? !r->passed : r->outcome == RCPT_OPEN && !asks(h->owner->conf, r))
			answer = texts_add(&h->given, r->address);
	}
	h->begun |= answer != -1;
	return answer;
}

/* He lives here, and has it already, or gets it.  -1: memory is out. */
static int
part_here(struct hand *h, struct recipient *r)
{
	int answer = texts_add(&h->given, r->address);

	if (answer == 1)
		r->here = true;
	else if (answer == 0) {
		recipient_outcome(r, RCPT_ACCEPTED, NULL, NULL);
		r->passed = true;
	}
	return answer;
}

/* All that is known is known to all of them: those who live here come first. */
static void
parts_settle(struct hand *h, struct message *m)
{
	int answer = given_begin(h, m);

	for (size_t i = 0; i < h->count && answer != -1; i++) {
		struct recipient *r = &m->env.rcpt[h->parts[i].index];

		if (h->parts[i].u != NULL && h->parts[i].u->fate == FATE_HERE && r->outcome == RCPT_OPEN)
			answer = part_here(h, r);
	}
	for (size_t i = 0; i < h->count && answer != -1; )
		i = passes(m, &h->parts[i]) ? pass(h, m, i) : i + 1;
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

/* Is there nothing more to do for it? */
static bool
hand_over(const struct hand *h)
{
	return h->first == h->count || h->later != NULL || h->mail != NULL;
}

/* What was settled is over; those whose turn has not come are out of sight. */
static void
parts_end(struct hand *h, struct message *m)
{
	for (size_t i = 0; i < h->count; i++) {
		if (!h->parts[i].over)
			m->env.rcpt[h->parts[i].index].outcome = RCPT_DEFERRED;
		else if (h->parts[i].u != NULL)
			unfold_end(h->parts[i].u);
		if (h->parts[i].over)
			h->parts[i].u = NULL;
	}
	if (h->given.count > GIVEN_MAX)
		texts_free(&h->given);
	h->found = 0;
	h->settled = now.tick;
}

/* Act on what is known; true: there is somebody to deliver to. */
static bool
hand_settle(struct hand *h, struct message *m)
{
	struct attempt a = { .local = true, .next = config_attempt(h->owner->conf, m->id.second, true) };
	bool deferred = false, any = false;

	if (sender_settle(h, m, &a))
		return false;
	parts_settle(h, m);
	envelope_choose_none(&m->env);
	for (size_t i = 0; i < h->count; i++) {
		struct recipient *r = &m->env.rcpt[h->parts[i].index];

		if (h->parts[i].u == NULL)
			continue;
		if (r->outcome == RCPT_OPEN && !r->here)
			part_conclude(r, h->parts[i].u);
		r->chosen |= r->outcome == RCPT_ACCEPTED;
		deferred |= r->outcome == RCPT_DEFERRED;
		any |= r->chosen;
	}
	if (any)
		outcome_conclude(h->owner, m, &a);
	if (deferred)
		spool_wait(h->owner->spool, &m->id, a.next);
	envelope_choose_none(&m->env);
	parts_end(h, m);
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

/* Is there room for one more of this server? */
static bool
hand_room(const struct vserver *v)
{
	size_t n = 0;

	for (const struct hand *h = hands; h != NULL; h = h->next)
		n += h->owner == v;
	return n < HAND_MAX;
}

bool
expand_take(struct vserver *v, struct message *m)
{
	struct hand *h = NULL;
	size_t count = 0;
	bool open = false, sender = asks_sender(v->conf, &m->env), held;
	int answer;

	for (size_t i = 0; i < m->env.count; i++)
		count += asks(v->conf, &m->env.rcpt[i]);
	if (count == 0 && !sender)
		return false;
	if (!outcome_begin(v, m)) {
		spool_release(m);
		return true;
	}
	held = hand_of(v, &m->id) != NULL;
	if (!held && v->resolver != NULL && hand_room(v))
		h = hand_new(v, m, count);
	answer = h ? hand_step(h) : 0;
	if (answer == -1 || (h == NULL && !held))
		hand_again(v, &m->id);
	if (answer == 0) {
		hand_wait(v, m, sender);
		return true;
	}
	if (answer == 1)
		open = hand_settle(h, m);
	if (answer == -1 || hand_over(h))
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
	if (!fits || hand_over(h))
		hand_free(h);
	return m;
}

struct message *
expand_ready(struct vserver *v)
{
	struct hand *next;
	struct message *m = NULL;

	for (struct hand *h = hands; h != NULL && m == NULL; h = next) {
		int answer = h->owner == v && h->settled != now.tick ? hand_step(h) : 0;

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
expand_want(const struct vserver *v, msec *until)
{
	for (const struct hand *h = hands; h != NULL; h = h->next)
		if (h->owner == v && h->sender == NULL && h->first < h->count && h->parts[h->first].u == NULL &&
		    unfold_room(v->resolver, !oldest(h)))
			*until = now.tick;
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
