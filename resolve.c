/*
 * resolve.c - who is behind an address, by the directory.
 *
 * An inquiry is a question about one address, or about an entry by its DN.  Equal
 * ones are one, whoever asks:
 *
 *	asked	search; whoever asks waits, and when nobody does it is given up, unless
 *		it was asked ahead
 *	known	an answer, remembered for `cache'; the one longest not asked for
 *		goes when there are too many
 *	later	nobody could say: whoever asked hears it, and it is forgotten
 *
 * An address in an alias of our default domain that nobody has is asked about as
 * one in that.
 *
 * An unfolding goes from an address to all who are meant, by forwarding and by
 * groups in groups.  It has a list of what it has come to (addresses in our
 * domains, entries), each once, which cuts loops, and looks at PROBES of them at a
 * time; `found' is who is meant.  How each is looked at:
 *
 *	address	of an alias	its members are come to
 *		that the files know	found
 *		nobody		found, but open: he is reported when his turn comes
 *		a person	see person_take
 *		a group		it is come to
 *	entry	a person	the same, by his address; without one he is missing
 *		a group		the same
 *	group			its members are come to, however many answers it takes
 *
 * What is true: a fate holds for the whole.  When anything cannot be said now all
 * of it is asked again later; nobody gets the message from half a group.  What the
 * directory says is checked as everything that strangers say: an address that is
 * none is as good as missing; and where a forwarding address or a host is none
 * his mail waits, and of a group's his alone, for it must not go elsewhere.
 */
#include "smtpd.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS      4096
#define REMEMBERED   20000	/* answers */
#define ASKED_MAX    5000	/* inquiries under way */
#define ITEMS_MAX    (3 * MEMBERS_MAX)	/* that one unfolding comes to */
#define MISSING_SHOWN 10	/* of a group, in the log */
#define ENTRY_ATTRIBUTES 40	/* that are asked for */
#define ADDRESSES_MAX 500	/* of an entry; those behind them are junk */
#define UNSAID_QUIET  60000	/* ms, between two lines about those whom nobody could say */
#define UNFOLDINGS_MAX 10	/* under way at a time */
#define DN_MAX        2000	/* octets */
#define OCTETS_MAX    (16 << 20)	/* of what is remembered */
#define HELD_MAX     (20 * MEMBERS_MAX)	/* who was found, and is held: none but the first goes on */

enum { REFERRED = 10, NO_DN = 34 };	/* of the codes of a result: what is no entry of his */

struct inquiry {
	struct resolver *resolver;	/* NULL: that is closed */
	char *text;			/* an address, or a DN */
	bool entry;			/* the latter */
	bool home;			/* of the default domain, instead of an alias of it */
	struct person person;
	struct ldap_search *search;	/* asked; else NULL */
	const struct name *filter;	/* by which */
	bool several;			/* entries have this address */
	bool unasked;			/* memory was out */
	bool ahead;			/* nobody has wanted it yet */
	msec began, expires;
	int users;			/* who waits for it, or looks at it */
	struct inquiry *chain;		/* in its bucket */
	struct inquiry *before, *after;	/* among those that are asked, or known, the latest first */
};

struct line {
	struct inquiry *first, *last;
	size_t count;
};

struct resolver {
	const struct server *server;
	struct ldap *ldap;		/* NULL: there is no directory any more */
	long long *counts;
	struct inquiry *buckets[BUCKETS];
	struct line asked, known;
	size_t octets;			/* of the answers that are known */
	size_t unfoldings, held;	/* under way; found by all that have not ended */
	msec quiet;			/* until this tick nothing more is said of what nobody could say */
};

/* One of the questions of an unfolding. */
struct probe {
	size_t item;
	struct inquiry *inquiry;	/* of an address, or an entry; else NULL, and */
	struct ldap_search search;	/* of a group's members */
	bool finding;			/* by member-filter */
	long from, asked;		/* of a member attribute in parts: where the next one begins, or 0; and this one */
	char attribute[120];		/* of that */
};

/* ---- what an entry says ------------------------------------------------------------ */

static void
person_free(struct person *p)
{
	free(p->dn);
	buf_free(&p->mail);
	buf_free(&p->forward);
	free(p->owner);
	free(p->host);
	free(p->words);
	memset(p, 0, sizeof *p);
}

/* Nobody could say, and why. */
static void
person_later(struct person *p, const char *words)
{
	person_free(p);
	p->known = KNOWN_LATER;
	p->words = text_copy(words);
}

/* "smtp:jo@example.org", "smtp$jo@example.org" and "jo" are addresses too; one
 * that needs SMTPUTF8 is none, for who sent the message may not have asked for it. */
static bool
address_read(const struct server *s, const struct ldap_value *v, struct path *p)
{
	const char *text = v->octets;

	if (strlen(text) != v->n || v->n > PATH_OCTETS)
		return false;
	if (text_prefix(text, "smtp:") || text_prefix(text, "smtp$"))
		text += 5;
	if (path_parse(p, text) == -1 || p->text[0] == '\0' || p->eight)
		return false;
	return p->domain != NULL || path_complete(p, s->home->name) == 0;
}

static bool
strings_have(const struct buf *b, const char *text)
{
	for (size_t at = 0; at < b->len; at += strlen(b->data + at) + 1)
		if (text_compare(b->data + at, text) == 0)
			return true;
	return false;
}

/* "@example.net": the same name there. */
static bool
domain_read(const struct ldap_value *v)
{
	return v->n > 1 && v->octets[0] == '@' && domain_valid(v->octets + 1, v->n - 1);
}

/* Add one that is not there yet; or at the front. */
static void
strings_add(struct buf *b, const char *text, bool front)
{
	size_t n = strlen(text) + 1, before = b->len;

	if (strings_have(b, text) || buf_add(b, text, n) == -1 || !front)
		return;
	memmove(b->data + n, b->data, before);
	memcpy(b->data, text, n);
}

/* The addresses of these attributes join b, one that begins with "SMTP:" in capitals
 * before the others of its attribute, as Active Directory has it; true: something
 * there is none. */
static bool
addresses_read(const struct server *s, const struct ldap_entry *e, const struct name *list, bool domains, struct buf *b)
{
	const struct ldap_value *v;
	bool junk = false, first = true;
	size_t count = 0;
	struct path p;

	for (; list != NULL; list = list->next, first &= b->len == 0)
		for (v = NULL; (v = ldap_value(e, list->text, v)) != NULL && !(junk |= count++ == ADDRESSES_MAX); )
			if (domains && domain_read(v))
				strings_add(b, v->octets, false);
			else if (address_read(s, v, &p))
				strings_add(b, p.text, first && strncmp(v->octets, "SMTP:", 5) == 0);
			else
				junk = true;
	return junk;
}

/* Who owns a group: an address, or an entry. */
static void
owner_read(struct person *p, const struct server *s, const struct ldap_entry *e)
{
	const struct ldap_value *v;
	struct path path;

	for (const struct name *n = s->naming.owner; n != NULL && p->owner == NULL; n = n->next)
		if ((v = ldap_value(e, n->text, NULL)) != NULL && strlen(v->octets) == v->n && v->n < DN_MAX) {
			p->entry = !address_read(s, v, &path);
			p->owner = p->entry && strchr(v->octets, '=') == NULL ? NULL : text_copy(p->entry ? v->octets : path.text);
			p->torn |= p->owner == NULL && (!p->entry || strchr(v->octets, '=') != NULL);
		}
}

static void
host_read(struct person *p, const struct server *s, const struct ldap_entry *e)
{
	const struct ldap_value *v = NULL;
	char host[DOMAIN_MAX + 1];
	struct addr a;
	size_t n;

	for (const struct name *at = s->naming.host; at != NULL && v == NULL; at = at->next)
		v = ldap_value(e, at->text, NULL);
	if (v == NULL)
		return;
	n = v->n > 1 && v->octets[v->n - 1] == '.' ? v->n - 1 : v->n;	/* "host.example." */
	snprintf(host, sizeof host, "%.*s", (int)(n < sizeof host ? n : 0), v->octets);
	if (text_compare(host, s->hostname) == 0)
		return;
	if (strlen(host) == n && n < DOMAIN_MAX && (domain_valid(host, n) || addr_parse(&a, host, false) == 0))
		p->torn |= (p->host = text_copy(host)) == NULL;
	else
		p->junk = true;
}

static void
person_read(struct person *p, const struct server *s, const struct ldap_entry *e)
{
	const struct ldap_value *v;

	p->known = KNOWN_PERSON;
	p->torn = (p->dn = text_copy(e->dn)) == NULL;
	addresses_read(s, e, s->naming.mail, false, &p->mail);
	p->junk = addresses_read(s, e, s->naming.forward, true, &p->forward);
	host_read(p, s, e);
	for (const struct name *n = s->naming.group_class; n != NULL; n = n->next)
		for (v = NULL; (v = ldap_value(e, "objectClass", v)) != NULL; )
			if (text_compare(v->octets, n->text) == 0)
				p->known = KNOWN_GROUP;
	if (p->known == KNOWN_GROUP)
		owner_read(p, s, e);
	if (p->torn || p->mail.torn || p->forward.torn)
		person_later(p, "out of memory");
}

const char *
person_mailbox(const struct server *s, const struct person *p, const char *address)
{
	const char *own = address ? address : p->mail.len > 0 ? p->mail.data : NULL;

	for (size_t at = 0; address != NULL && at < p->mail.len; at += strlen(p->mail.data + at) + 1)
		if (config_local(s, p->mail.data + at))
			return p->mail.data + at;
	return own;
}

/* What to ask for: what person_read reads, and with `members' those of a group. */
static void
attributes_list(const struct naming *n, bool members, const char *out[ENTRY_ATTRIBUTES + 1])
{
	const struct name *lists[] = { n->mail, n->forward, n->host, n->owner, members ? n->member : NULL, members ? n->member_address : NULL };
	size_t count = 0;

	out[count++] = "objectClass";
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		for (const struct name *a = lists[i]; a != NULL && count < ENTRY_ATTRIBUTES; a = a->next)
			out[count++] = a->text;
	out[count] = NULL;
}

/* ---- inquiries ------------------------------------------------------------------------ */

static void
line_add(struct line *l, struct inquiry *q)
{
	q->before = NULL;
	q->after = l->first;
	if (l->first != NULL)
		l->first->before = q;
	else
		l->last = q;
	l->first = q;
	l->count++;
}

static void
line_remove(struct line *l, struct inquiry *q)
{
	*(q->before ? &q->before->after : &l->first) = q->after;
	*(q->after ? &q->after->before : &l->last) = q->before;
	l->count--;
}

static struct inquiry **
inquiry_place(struct resolver *r, const char *text, bool entry)
{
	struct inquiry **at;

	for (at = &r->buckets[text_hash(text, entry) % BUCKETS]; *at != NULL; at = &(*at)->chain)
		if ((*at)->entry == entry && text_compare((*at)->text, text) == 0)
			break;
	return at;
}

static size_t
inquiry_octets(const struct inquiry *q)
{
	return sizeof *q + strlen(q->text) + q->person.mail.size + q->person.forward.size + (q->person.dn ? strlen(q->person.dn) : 0);
}

/* Nobody finds it any more; who looks at it may go on. */
static void
inquiry_unlink(struct inquiry *q)
{
	struct resolver *r = q->resolver;
	struct inquiry **at = inquiry_place(r, q->text, q->entry);

	if (*at == q)
		*at = q->chain;
	if (q->search == NULL)
		r->octets -= inquiry_octets(q);
	line_remove(q->search != NULL ? &r->asked : &r->known, q);
	q->resolver = NULL;
}

static void
inquiry_free(struct inquiry *q)
{
	if (q->resolver != NULL)
		inquiry_unlink(q);
	if (q->search != NULL)
		ldap_end(q->search);
	free(q->search);
	person_free(&q->person);
	free(q->text);
	free(q);
}

static void
inquiry_ask(struct inquiry *q, const struct name *by)
{
	struct resolver *r = q->resolver;
	const char *attributes[ENTRY_ATTRIBUTES + 1];
	struct ldap_question what = { .scope = r->server->ldap.scope, .attributes = attributes, .limit = 2 };
	struct buf filter = { 0 }, home = { 0 };

	attributes_list(&r->server->naming, false, attributes);
	q->filter = by;
	if (q->home)
		q->unasked = buf_addf(&home, "%.*s@%s", (int)(strrchr(q->text, '@') - q->text), q->text, r->server->home->name) == -1;
	else
		q->unasked = false;
	if (q->entry) {
		what.base = q->text;
		what.scope = SCOPE_BASE;
	}
	q->unasked |= r->ldap == NULL || (q->entry ? buf_addf(&filter, "(objectClass=*)") :
	    schema_filter(&filter, by->text, q->home && home.data ? home.data : q->text)) == -1;
	what.filter = filter.data;
	if (!q->unasked)
		ldap_begin(q->search, r->ldap, &what);
	buf_free(&filter);
	buf_free(&home);
	r->counts[DIRECTORY_ASKED]++;
}

/* Nobody is found by this; is there another way to ask? */
static bool
inquiry_further(struct inquiry *q)
{
	const struct server *s = q->resolver->server;
	const char *at = q->entry ? NULL : strrchr(q->text, '@');

	if (at != NULL && q->filter->next == NULL && !q->home && text_compare(at + 1, s->home->name) != 0) {
		q->home = true;
		inquiry_ask(q, s->naming.filters);
	} else if (at != NULL && q->filter->next != NULL)
		inquiry_ask(q, q->filter->next);
	else
		return false;
	return true;
}

/* A new one; NULL: memory is out. */
static struct inquiry *
inquiry_new(struct resolver *r, struct inquiry **at, const char *text, bool entry)
{
	struct inquiry *q = memory(NULL, sizeof *q);

	if (q == NULL)
		return NULL;
	memset(q, 0, sizeof *q);
	if ((q->search = memory(NULL, sizeof *q->search)) == NULL || (q->text = text_copy(text)) == NULL) {
		free(q->search);
		free(q);
		return NULL;
	}
	memset(q->search, 0, sizeof *q->search);
	q->resolver = r;
	q->entry = entry;
	*at = q;
	q->began = now.tick;
	line_add(&r->asked, q);
	inquiry_ask(q, r->server->naming.filters);
	return q;
}

static struct inquiry *
inquiry_of(struct resolver *r, const char *text, bool entry)
{
	struct inquiry **at = inquiry_place(r, text, entry), *q = *at;

	if (q != NULL && q->search == NULL && q->expires <= now.tick) {
		inquiry_unlink(q);
		if (q->users == 0)
			inquiry_free(q);
		at = inquiry_place(r, text, entry);
		q = NULL;
	}
	if (q == NULL)
		q = r->asked.count < ASKED_MAX ? inquiry_new(r, at, text, entry) : NULL;
	else {
		r->counts[DIRECTORY_CACHED] += !q->ahead;
		q->ahead = false;
		line_remove(q->search != NULL ? &r->asked : &r->known, q);
		line_add(q->search != NULL ? &r->asked : &r->known, q);
	}
	if (q != NULL)
		q->users++;
	return q;
}

struct inquiry *
inquiry_begin(struct resolver *r, const char *address)
{
	return inquiry_of(r, address, false);
}

/* Past half of what can be under way those who wait come first. */
void
inquiry_ahead(struct resolver *r, const char *address)
{
	struct inquiry **at = inquiry_place(r, address, false);
	struct inquiry *q;

	if (*at == NULL && r->asked.count < ASKED_MAX / 2 && (q = inquiry_new(r, at, address, false)) != NULL)
		q->ahead = true;
}

const struct person *
inquiry_answer(const struct inquiry *q)
{
	return q->search != NULL ? NULL : &q->person;
}

void
inquiry_end(struct inquiry *q)
{
	if (q != NULL && --q->users == 0 && (q->search != NULL || q->resolver == NULL))
		inquiry_free(q);
}

static void
inquiry_log(const struct inquiry *q)
{
	static const char *const word[] = { [KNOWN_LATER] = "unanswered", [KNOWN_NOBODY] = "nobody", [KNOWN_PERSON] = "person", [KNOWN_GROUP] = "group" };
	char address[300], dn[300] = "", words[WORDS_SIZE] = "";
	const struct person *p = &q->person;

	text_safe(address, sizeof address, q->text, strlen(q->text));
	if (p->dn != NULL)
		text_safe(dn, sizeof dn, p->dn, strlen(p->dn));
	if (p->words != NULL)
		text_safe(words, sizeof words, p->words, strlen(p->words));
	if (p->known != KNOWN_LATER)
		log_detail("- directory server=\"%s\" address=<%s> answer=%s entry=\"%s\" ms=%lld", q->resolver->server->name, address,
		    word[p->known], dn, now.tick - q->began);
	else if (q->several || q->resolver->quiet <= now.tick) {
		log_line("- directory server=\"%s\" address=<%s> reason=\"%s\"", q->resolver->server->name, address, words);
		q->resolver->quiet = now.tick + UNSAID_QUIET;
	} else
		log_detail("- directory server=\"%s\" address=<%s> answer=%s ms=%lld reason=\"%s\"", q->resolver->server->name, address,
		    word[p->known], now.tick - q->began, words);
}

/* It is answered: remember it, or not. */
static void
inquiry_settle(struct inquiry *q)
{
	struct resolver *r = q->resolver;

	if (q->several)
		person_later(&q->person, "several entries of the directory have this address");
	else if (q->person.known == KNOWN_NOT_YET)
		q->person.known = KNOWN_NOBODY;
	r->counts[DIRECTORY_FAILED] += q->person.known == KNOWN_LATER;
	inquiry_log(q);
	line_remove(&r->asked, q);
	free(q->search);
	q->search = NULL;
	line_add(&r->known, q);
	q->expires = now.tick + (q->person.known == KNOWN_LATER ? 0 : r->server->naming.cache[q->person.known == KNOWN_NOBODY]);
	r->octets += inquiry_octets(q);
	while ((r->known.count > REMEMBERED || r->octets > OCTETS_MAX) && r->known.last != q && r->known.last->users == 0)
		inquiry_free(r->known.last);
}

static void
inquiry_step(struct inquiry *q)
{
	struct ldap_entry *e;
	int answer;

	while ((answer = q->unasked ? -1 : ldap_next(q->search, &e)) == 1) {
		if (q->person.known != KNOWN_NOT_YET)
			q->several = true;
		else
			person_read(&q->person, q->resolver->server, e);
		ldap_entry_free(e);
	}
	if (answer == 0)
		return;
	if (answer == -1 && q->entry && !q->unasked && (q->search->code == REFERRED || q->search->code == NO_DN))
		q->person.words = text_copy(q->search->words);	/* for us it is not there */
	else if (answer == -1)
		person_later(&q->person, q->unasked ? "out of memory, or there is no directory any more" : q->search->words);
	ldap_end(q->search);
	if (q->entry || answer != 2 || q->person.known != KNOWN_NOT_YET || !inquiry_further(q))
		inquiry_settle(q);
}

/* ---- the resolver -------------------------------------------------------------------------- */

struct resolver *
resolver_open(const struct server *s, long long counts[])
{
	struct resolver *r = memory(NULL, sizeof *r);

	if (r == NULL)
		return NULL;
	memset(r, 0, sizeof *r);
	r->server = s;
	r->counts = counts;
	if (s->ldap.directories == NULL || (r->ldap = ldap_open(s)) != NULL)
		return r;
	free(r);
	return NULL;
}

/* Forget what is known; who looks at it may go on. */
static void
known_forget(struct resolver *r)
{
	struct inquiry *q;

	while ((q = r->known.first) != NULL)
		if (q->users > 0)
			inquiry_unlink(q);
		else
			inquiry_free(q);
}

int
resolver_configure(struct resolver *r, const struct server *s)
{
	struct ldap *ldap = s->ldap.directories != NULL ? ldap_open(s) : NULL;

	if (ldap == NULL && s->ldap.directories != NULL)
		return -1;
	known_forget(r);
	for (struct inquiry *q = r->asked.first; q != NULL; q = q->after) {
		ldap_end(q->search);
		person_free(&q->person);
		q->several = q->home = false;
	}
	ldap_close(r->ldap);
	r->ldap = ldap;
	r->server = s;
	for (struct inquiry *q = r->asked.first; q != NULL; q = q->after)
		inquiry_ask(q, s->naming.filters);
	return 0;
}

void
resolver_close(struct resolver *r)
{
	struct inquiry *q;

	if (r == NULL)
		return;
	known_forget(r);
	while ((q = r->asked.first) != NULL) {
		ldap_end(q->search);
		person_later(&q->person, "the server was stopped");
		inquiry_settle(q);
		known_forget(r);
	}
	ldap_close(r->ldap);
	free(r);
}

void
resolver_want(const struct resolver *r, struct pollfd *slot, msec *until)
{
	slot->fd = -1;
	slot->events = slot->revents = 0;
	if (r == NULL)
		return;
	if (r->ldap != NULL)
		ldap_want(r->ldap, slot, until);
	for (const struct inquiry *q = r->asked.first; q != NULL; q = q->after)
		if (q->unasked || ldap_ready(q->search)) {
			*until = now.tick;
			break;
		}
}

void
resolver_step(struct resolver *r)
{
	struct inquiry *after;

	if (r == NULL)
		return;
	if (r->ldap != NULL)
		ldap_step(r->ldap);
	for (struct inquiry *q = r->asked.first; q != NULL; q = after) {
		after = q->after;
		if (q->unasked || ldap_ready(q->search))
			inquiry_step(q);
	}
}

void
resolver_doing(const struct resolver *r, char *out, size_t size)
{
	*out = '\0';
	if (r != NULL && r->ldap != NULL)
		ldap_doing(r->ldap, out, size);
}

/* ---- what an unfolding comes to ---------------------------------------------------------------- */

/* An address in our domains, or an entry: true, it is new. */
static bool
item_add(struct unfolding *u, const char *text, int kind)
{
	struct unfold_item *more;
	int answer = 0;

	if (u->texts.count >= ITEMS_MAX)
		u->full = true;
	if (u->full)
		return false;
	if ((more = grow(u->items, &u->room, u->texts.count, sizeof *more)) != NULL)
		u->items = more;
	if (more == NULL || (answer = texts_add(&u->texts, text)) == -1)
		u->later = true;
	if (answer == 1)
		u->items[u->texts.count - 1] = (struct unfold_item){ kind, u->at };
	return answer == 1;
}

/* This one is meant. */
static void
found_add(struct unfolding *u, const char *address, const char *host, int how)
{
	size_t most = (size_t)u->resolver->server->naming.size_limit;
	struct found *more = u->found_count < most ? grow(u->found, &u->found_room, u->found_count, sizeof *more) : NULL;
	struct found f = { NULL, NULL, how };

	u->full |= u->found_count == most;
	if (more != NULL) {
		u->found = more;
		f.address = text_copy(address);
		f.host = host ? text_copy(host) : NULL;
	}
	if (more == NULL || f.address == NULL || (host != NULL && f.host == NULL)) {
		u->later |= !u->full;
		free(f.address);
		return;
	}
	u->found[u->found_count++] = f;
	u->resolver->held++;
}

/* An address it was led to. */
static void
address_take(struct unfolding *u, const char *address)
{
	bool ours = config_local(u->resolver->server, address);

	if (item_add(u, address, ours ? ITEM_ADDRESS : ITEM_SEEN) && !ours)
		found_add(u, address, NULL, FOUND_MEANT);
}

static void
missing_add(struct unfolding *u, const char *who, const char *why)
{
	char of[300], safe[300];

	if (u->missing++ < MISSING_SHOWN)
		log_line("- directory server=\"%s\" address=<%s> left out=\"%s\" reason=\"%s\"", u->resolver->server->name,
		    text_safe(of, sizeof of, u->texts.text[0], strlen(u->texts.text[0])), text_safe(safe, sizeof safe, who, strlen(who)), why);
}

/* A person: his forwarding addresses, his host, or his mailbox here.  He was come
 * to by an address of his, or else by his entry, and then has a first address. */
static void
person_take(struct unfolding *u, const struct person *p, const char *address)
{
	const struct server *s = u->resolver->server;
	const char *own = address ? address : p->mail.len > 0 ? p->mail.data : NULL, *first = p->host ? own : person_mailbox(s, p, address);
	const struct buf *f = &p->forward;

	if (own == NULL && (p->junk || f->len == 0)) {
		missing_add(u, p->dn, "it has no address");
		return;
	}
	if (p->junk && !policy_asks(s, own)) {
		missing_add(u, p->dn, "its forwarding address, or host, is none");
		return;
	}
	if (p->junk) {
		found_add(u, own, NULL, FOUND_JUNK);	/* he waits, not those who are in a group with him */
		return;
	}
	for (size_t at = 0; at < f->len; at += strlen(f->data + at) + 1) {
		const char *to = f->data + at, *name = own ? own : "";
		char there[PATH_OCTETS + DOMAIN_MAX + 2];

		if (*to == '@') {
			snprintf(there, sizeof there, "%.*s%s", (int)(strrchr(name, '@') ? strrchr(name, '@') - name : 0), name, to);
			to = there;
		}
		if (*to == '@' || strlen(to) > PATH_OCTETS)
			missing_add(u, to, "it is no address");
		else if (p->host != NULL || (own != NULL && text_compare(own, to) == 0))
			found_add(u, p->host ? to : first, p->host, FOUND_MEANT);
		else
			address_take(u, to);
	}
	if (f->len > 0)
		return;
	if (p->host == NULL && config_local(s, first) && !policy_asks(s, first))
		address_take(u, first);			/* our files come first */
	else
		found_add(u, first, p->host, FOUND_MEANT);
}

/* ---- probes ---------------------------------------------------------------------------------------- */

/* An alias's members are come to; or who is in the files is found.  True: the
 * directory must be asked. */
static bool
address_begin(struct unfolding *u, const char *address)
{
	const struct server *s = u->resolver->server;
	struct envelope e = { 0 };
	int alias = policy_alias(s, &e, address);

	u->later |= alias == -1;
	u->list |= alias == 1 && e.count > 1;
	for (size_t i = 0; i < e.count; i++)
		if (text_compare(e.rcpt[i].address, address) == 0)
			found_add(u, address, NULL, FOUND_MEANT);
		else
			address_take(u, e.rcpt[i].address);
	envelope_free(&e);
	if (alias == 0 && !policy_asks(s, address))
		found_add(u, address, NULL, config_exists(s, address) ? FOUND_MEANT : FOUND_OPEN);
	return alias == 0 && policy_asks(s, address);
}

/* Ask for the members of a group, or for one more part of them. */
static void
group_ask(struct unfolding *u, struct probe *b)
{
	const char *attributes[ENTRY_ATTRIBUTES + 1];
	struct ldap_question what = { .base = u->texts.text[b->item], .scope = SCOPE_BASE, .filter = "(objectClass=*)",
	    .attributes = attributes, .limit = 1 };
	char part[160];

	attributes_list(&u->resolver->server->naming, true, attributes);
	if (b->from > 0) {
		snprintf(part, sizeof part, "%s;range=%ld-*", b->attribute, b->from);
		attributes[0] = part;
		attributes[1] = NULL;
	}
	b->asked = b->from;
	b->from = 0;
	u->resolver->counts[DIRECTORY_ASKED]++;
	ldap_begin(&b->search, u->resolver->ldap, &what);
}

/* Who says of himself that he is a member?  With paging there is no limit but ours. */
static void
members_ask(struct unfolding *u, struct probe *b)
{
	const struct server *s = u->resolver->server;
	const char *attributes[ENTRY_ATTRIBUTES + 1];
	struct ldap_question what = { .scope = s->ldap.scope, .attributes = attributes, .paged = true };
	struct buf filter = { 0 };

	attributes_list(&s->naming, false, attributes);
	b->finding = true;
	u->later |= schema_filter(&filter, s->naming.member_filter, u->texts.text[b->item]) == -1;
	what.filter = u->later ? "(!(objectClass=*))" : filter.data;
	u->resolver->counts[DIRECTORY_ASKED]++;
	ldap_begin(&b->search, u->resolver->ldap, &what);
	buf_free(&filter);
}

static void
probe_free(struct unfolding *u, size_t i)
{
	struct probe *b = u->probes[i];

	inquiry_end(b->inquiry);
	ldap_end(&b->search);
	free(b);
	u->probes[i] = NULL;
	u->busy--;
}

/* Look at the next thing it has come to. */
static void
item_begin(struct unfolding *u)
{
	size_t i = 0, item = u->next++;
	int kind = u->items[item].kind;
	struct probe *b;

	u->at = item;
	if (kind == ITEM_SEEN || (kind == ITEM_ADDRESS && !address_begin(u, u->texts.text[item])))
		return;
	while (u->probes[i] != NULL)
		i++;
	if (u->resolver->ldap == NULL || (b = memory(NULL, sizeof *b)) == NULL) {
		u->later = true;
		return;
	}
	memset(b, 0, sizeof *b);
	b->item = item;
	u->probes[i] = b;
	u->busy++;
	if (kind == ITEM_GROUP)
		group_ask(u, b);
	else if ((b->inquiry = inquiry_of(u->resolver, u->texts.text[item], kind == ITEM_ENTRY)) == NULL) {
		u->later = true;
		probe_free(u, i);
	}
}

/* Whose mail about the list it is: of one that is all that the address leads to.  One
 * who is the list himself is none. */
static void
owner_take(struct unfolding *u, const struct person *p)
{
	bool alone = u->at + 1 == u->texts.count && u->found_count == 0 && u->busy == 1;

	if (p->owner == NULL || u->owner != NULL || u->owning != NULL || !alone)
		return;
	if (p->entry && text_compare(p->owner, p->dn) != 0)
		u->later |= (u->owning = inquiry_of(u->resolver, p->owner, true)) == NULL;
	else if (!p->entry && !strings_have(&p->mail, p->owner) && text_compare(p->owner, u->texts.text[0]) != 0)
		u->later |= (u->owner = text_copy(p->owner)) == NULL;
}

/* He is an entry.  False: nobody can say yet. */
static bool
owner_asked(struct unfolding *u)
{
	const struct person *p = u->owning ? inquiry_answer(u->owning) : NULL;

	if (u->owning == NULL || p == NULL)
		return u->owning == NULL;
	u->later |= p->known == KNOWN_LATER;
	if (p->mail.len > 0 && text_compare(p->mail.data, u->texts.text[0]) != 0)
		u->later |= (u->owner = text_copy(p->mail.data)) == NULL;
	inquiry_end(u->owning);
	u->owning = NULL;
	return true;
}

/* What was asked about an item is answered: false, and it is a group, which is asked
 * for its members now. */
static bool
item_answered(struct unfolding *u, struct probe *b, const struct person *p)
{
	const char *text = u->texts.text[b->item], *address = u->items[b->item].kind == ITEM_ADDRESS ? text : NULL;

	u->known |= p->known == KNOWN_GROUP || p->known == KNOWN_PERSON;
	switch (p->known) {
	case KNOWN_GROUP:
		u->list = true;
		owner_take(u, p);
		if (address == NULL)
			return false;
		item_add(u, p->dn, ITEM_GROUP);
		break;
	case KNOWN_PERSON:
		person_take(u, p, address);
		break;
	case KNOWN_NOBODY:
		if (address != NULL)
			found_add(u, address, NULL, FOUND_OPEN);
		else
			missing_add(u, text, p->words ? p->words : "there is no such entry");
		break;
	default:
		u->later = true;
		snprintf(u->words, sizeof u->words, "4.4.3 %.500s", p->words ? p->words : "out of memory");
	}
	return true;
}

/* "member;range=0-1499": behind which there are more; else 0. */
static long
range_next(const char *name)
{
	const char *range = strchr(name, ';');
	long last;

	while (range != NULL && !text_prefix(range, ";range="))
		range = strchr(range + 1, ';');
	if (range == NULL || (range = strchr(range, '-')) == NULL || range[1] < '0' || range[1] > '9')
		return 0;
	last = strtol(range + 1, NULL, 10);
	return last >= 0 && last < LONG_MAX ? last + 1 : 0;
}

/* The members of a group, or some. */
static void
members_take(struct unfolding *u, struct probe *b, const struct ldap_entry *e)
{
	const struct naming *n = &u->resolver->server->naming;
	size_t by = u->items[b->item].by;
	const struct ldap_value *v;
	struct path p;

	for (const struct name *a = n->member; a != NULL; a = a->next)
		for (v = NULL; (v = ldap_value(e, a->text, v)) != NULL; ) {
			if (range_next(v->name) > b->asked && strlen(a->text) < sizeof b->attribute) {
				b->from = range_next(v->name);
				memcpy(b->attribute, a->text, strlen(a->text) + 1);
				u->full |= b->from > ITEMS_MAX;
			}
			if (v->n < DN_MAX)
				item_add(u, v->octets, ITEM_ENTRY);
			else
				missing_add(u, v->octets, "it is too long");
		}
	for (const struct name *a = n->member_address; a != NULL; a = a->next)
		for (v = NULL; (v = ldap_value(e, a->text, v)) != NULL; )
			if (!address_read(u->resolver->server, v, &p))
				missing_add(u, v->octets, "it is no address");
			else if (u->items[by].kind == ITEM_ADDRESS && text_compare(u->texts.text[by], p.text) == 0)
				found_add(u, p.text, NULL, FOUND_MEANT);	/* the mailbox behind an alias */
			else
				address_take(u, p.text);
}

/* One more member, whole; a group is looked at in its turn. */
static void
member_take(struct unfolding *u, const struct ldap_entry *e)
{
	struct person p = { 0 };

	person_read(&p, u->resolver->server, e);
	u->later |= p.known == KNOWN_LATER;
	if (item_add(u, e->dn, p.known == KNOWN_GROUP ? ITEM_GROUP : ITEM_SEEN) && p.known == KNOWN_PERSON)
		person_take(u, &p, NULL);
	person_free(&p);
}

/* An answer about the members of a group has ended: -1 it failed, else 2.  True: there
 * is another to wait for. */
static bool
group_further(struct unfolding *u, struct probe *b, int answer)
{
	struct resolver *r = u->resolver;

	if (answer == -1 && !b->search.temporary && b->search.code == 0)
		u->full = true;			/* it is too large to be said */
	else if (answer == -1) {
		u->later = true;
		snprintf(u->words, sizeof u->words, "4.4.3 %.500s", b->search.words);
	}
	r->counts[DIRECTORY_FAILED] += answer == -1;
	ldap_end(&b->search);
	if (answer == -1 || u->full || (b->from == 0 && (b->finding || r->server->naming.member_filter == NULL)))
		return false;
	if (b->from > 0)
		group_ask(u, b);
	else
		members_ask(u, b);
	return true;
}

/* Is this one over? */
static bool
probe_step(struct unfolding *u, struct probe *b)
{
	struct ldap_entry *e;
	int answer;

	u->at = b->item;
	if (b->inquiry != NULL) {
		const struct person *p = inquiry_answer(b->inquiry);

		if (p == NULL || item_answered(u, b, p))
			return p != NULL;
		inquiry_end(b->inquiry);
		b->inquiry = NULL;
		group_ask(u, b);
	}
	while ((answer = ldap_next(&b->search, &e)) == 1) {
		if (b->finding)
			member_take(u, e);
		else
			members_take(u, b, e);
		ldap_entry_free(e);
	}
	return answer != 0 && !group_further(u, b, answer);
}

/* ---- the end of an unfolding ------------------------------------------------------------------------- */

static enum fate
fate_is(struct unfolding *u, enum fate fate, const char *words)
{
	if (words != NULL)
		snprintf(u->words, sizeof u->words, "%s", words);
	return u->fate = fate;
}

static enum fate
unfold_fate(struct unfolding *u)
{
	const struct found *f = u->found;
	bool himself = u->found_count == 1 && !u->list && f->host == NULL && text_compare(f->address, u->texts.text[0]) == 0;

	if (u->later)
		return fate_is(u, FATE_LATER, *u->words ? NULL : "4.4.3 the directory cannot be asked now");
	if (u->full)
		return fate_is(u, FATE_FAILED, "5.2.4 it stands for more recipients than are allowed");
	if (!u->known && u->found_count == 1 && f->how == FOUND_OPEN)
		return fate_is(u, FATE_NOBODY, "5.1.1 nobody of this name lives here");
	if (u->found_count == 0 && u->list)
		return fate_is(u, FATE_FAILED, "5.2.4 the group has no member with an address");
	if ((himself && f->how == FOUND_JUNK) || (u->found_count == 0 && u->missing > 0))
		return fate_is(u, FATE_LATER, "4.3.5 the directory does not say where this mail goes: the forwarding address, or host, in its entry is none");
	if (u->found_count == 0)
		return fate_is(u, FATE_FAILED, "5.4.6 the forwarding addresses in the directory go round in circles");
	return fate_is(u, himself ? FATE_HERE : FATE_PASSED, NULL);
}

/* All but who was found goes. */
static void
unfold_clear(struct unfolding *u)
{
	for (size_t i = 0; i < PROBES; i++)
		if (u->probes[i] != NULL)
			probe_free(u, i);
	inquiry_end(u->owning);
	u->owning = NULL;
	texts_free(&u->texts);
	free(u->items);
	u->items = NULL;
	u->room = 0;
}

static enum fate
unfold_over(struct unfolding *u)
{
	unfold_fate(u);
	if (u->missing > MISSING_SHOWN)
		log_line("- directory server=\"%s\" address=<%s> left out=%ld in all", u->resolver->server->name,
		    text_shown(u->texts.text[0]), u->missing);
	unfold_clear(u);
	u->resolver->unfoldings--;
	return u->fate;
}

bool
unfold_room(const struct resolver *r, bool held)
{
	return r->unfoldings < UNFOLDINGS_MAX && (r->held < HELD_MAX || !held);
}

struct unfolding *
unfold_begin(struct resolver *r, const char *address)
{
	struct unfolding *u = memory(NULL, sizeof *u);

	if (u == NULL)
		return NULL;
	memset(u, 0, sizeof *u);
	u->resolver = r;
	r->unfoldings++;
	if (item_add(u, address, ITEM_ADDRESS))
		return u;
	unfold_end(u);
	return NULL;
}

enum fate
unfold_step(struct unfolding *u)
{
	bool goes_on;

	if (u->fate != FATE_NOT_YET)
		return u->fate;
	do {
		goes_on = false;
		for (size_t i = 0; i < PROBES; i++)
			if (u->probes[i] != NULL && probe_step(u, u->probes[i])) {
				probe_free(u, i);
				goes_on = true;
			}
		for (; u->busy < PROBES && u->next < u->texts.count && !u->later && !u->full; goes_on = true)
			item_begin(u);
	} while (goes_on && !u->later && !u->full);
	return !u->later && !u->full && (u->busy > 0 || !owner_asked(u)) ? FATE_NOT_YET : unfold_over(u);
}

void
unfold_end(struct unfolding *u)
{
	if (u == NULL)
		return;
	unfold_clear(u);
	u->resolver->unfoldings -= u->fate == FATE_NOT_YET;
	u->resolver->held -= u->found_count;
	for (size_t i = 0; i < u->found_count; i++) {
		free(u->found[i].address);
		free(u->found[i].host);
	}
	free(u->found);
	free(u->owner);
	free(u);
}

/* ---- for who has nothing else to do ---------------------------------------------------------------------- */

static void
resolver_wait(struct resolver *r)
{
	msec until = now.tick + 1000;
	struct pollfd slot;

	resolver_want(r, &slot, &until);
	poll(&slot, 1, until <= now.tick ? 0 : (int)(until - now.tick));
	clock_turn();
	resolver_step(r);
}

const struct person *
inquiry_wait(const struct inquiry *q)
{
	while (inquiry_answer(q) == NULL)
		resolver_wait(q->resolver);
	return inquiry_answer(q);
}

enum fate
unfold_wait(struct unfolding *u)
{
	while (unfold_step(u) == FATE_NOT_YET)
		resolver_wait(u->resolver);
	return u->fate;
}
