/*
 * ldap.c - questions to a directory, and their answers: LDAPv3, RFC 4511.
 *
 * A server has one connection to its directories, which is opened for the first
 * question and stays; many questions are under way on it, each with the id of
 * its message.
 *
 *	IDLE      nothing is open, nothing is asked
 *	LOOKUP    a name server is asked where the directory is
 *	CONNECT   fd is a connection under way; or -1: the next address is to be
 *	          tried, or when there is none the next directory
 *	EXTENDED  StartTLS was said
 *	TLS       the handshake
 *	BIND      who we are was said; also by who is nobody, to hear an answer
 *	READY     questions go out, answers come in
 *	BACKOFF   none of the directories can be used; the first one is tried again
 *	          at the deadline
 *
 * And a question:
 *
 *	LINE      waits for the connection, or for one of its ASKED_MAX places
 *	ASKED     is under way
 *	PAGE      a page of answers is there, and is to be taken before the next one is
 *	          asked for; one question in pages at a time: servers know no more
 *	          on a connection
 *	OVER      what it found may still wait to be taken
 *
 * What is true here:
 *  - From the moment that all directories have failed (away) until one answers,
 *    questions fail at once: nobody waits for what is not there.
 *  - A connection that breaks costs a question nothing that has found nothing
 *    yet: it is asked again, once.  One that answers nothing is given up, and with
 *    it its directory, if it never answered anything.
 *  - Of what a directory says a message is looked at when all of it is there, and
 *    it has MESSAGE_MAX octets at most.  A larger entry is passed over as it comes,
 *    and fails the question it would have answered, and no other.
 *  - Whoever does not take his entries stops, past WAITING_MAX octets, the reading;
 *    and after `timeout' he loses them.
 */
#include "smtpd.h"

#include <sys/socket.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX   (4 << 20)	/* octets; a group of 10,000 is one of them */
#define PASSED_MAX    (64 << 20)	/* a longer one is not passed over, but ends the connection */
#define START_OCTETS  8		/* of one that is: behind its length its id, and what it is */
#define TOO_BIG       "the entry is too big: at most 65536 values and 4 MB are taken"
#define WAITING_MAX   (8 << 20)	/* octets of entries that nobody has taken yet */
#define ASKED_MAX     50	/* questions under way; slapd hangs up past 100 */
#define OUT_MAX       (256 << 10)	/* octets that it has not taken from us */
#define JUNK_MAX      10000	/* messages in a row that nobody waits for */
#define ADDRESSES_MAX 4		/* of a host that are tried */
#define COOKIE_MAX    4096	/* octets of what a page is continued by */
#define PAGE_ENTRIES  500
#define EMPTY_PAGES   100	/* in a row: the next one will not be the last */
#define TOTAL_MAX     (600 * 1000)	/* of a question, ms */
#define LEAST_WAIT    1000	/* for an address, when there are others */
#define BACKOFF_FIRST 1000	/* doubled with each round, up to */
#define BACKOFF_MOST  60000
#define PREFER_AFTER  (600 * 1000)	/* then the first directory gets another chance */
#define REFER_QUIET   60000	/* between two complaints about references */

enum { SUCCESS = 0, NO_SUCH_OBJECT = 32, INVALID_CREDENTIALS = 49 };	/* of the codes of a result */

static const char paged_oid[] = "1.2.840.113556.1.4.319", start_tls_oid[] = "1.3.6.1.4.1.1466.20037",
    disconnection_oid[] = "1.3.6.1.4.1.1466.20036";

int32_t ldap_ids = INT32_MAX / 2;

struct ldap {
	const struct server *server;
	const struct ldap_routing *conf;
	enum ldap_state state;
	const struct directory *at;	/* the one that is tried, or connected to */
	struct dns dns;
	struct addr addrs[ADDRESSES_MAX];
	size_t addr, addr_count;
	struct conn conn;
	struct buf message;		/* as far as it has come */
	size_t skip;			/* octets of it that are passed over */
	int32_t id;			/* of the last message we sent on it */
	struct ldap_search *asked[ASKED_MAX];
	size_t asked_count;
	struct ldap_search *line, **end;
	struct ldap_search *paging;	/* whose pages the connection knows */
	size_t waiting;			/* octets, of all questions that are not over */
	int junk;
	bool proved;			/* a question was answered on this connection */
	bool away;
	msec deadline, backoff, heard, prefer, referred;	/* ticks, but backoff */
	char words[WORDS_SIZE];		/* why the last attempt failed */
};

/* ---- a question's end ------------------------------------------------------------------ */

static void
entries_free(struct ldap_search *q)
{
	struct ldap_entry *e;

	while ((e = q->first) != NULL) {
		q->first = e->next;
		ldap_entry_free(e);
	}
	q->last = &q->first;
}

/* It is nowhere any more: not in line, not asked. */
static void
withdraw(struct ldap_search *q)
{
	struct ldap *l = q->ldap;

	if (q->state == SEARCH_LINE) {
		*q->from = q->next;
		*(q->next ? &q->next->from : &l->end) = q->from;
	}
	for (size_t i = 0; q->state == SEARCH_ASKED && i < l->asked_count; i++)
		if (l->asked[i] == q)
			l->asked[i] = l->asked[--l->asked_count];
	q->state = SEARCH_OVER;
}

static void
over(struct ldap_search *q)
{
	char filter_text[400], base[200], words[WORDS_SIZE];
	struct ldap *l = q->ldap;

	withdraw(q);
	if (l->paging == q)
		l->paging = NULL;
	l->waiting -= q->waiting;
	q->waiting = 0;
	q->ldap = NULL;
	log_detail("- directory server=\"%s\" url=%s base=\"%s\" filter=\"%s\" entries=%ld ms=%lld%s%s", text_shown(l->server->name),
	    l->at ? l->at->url : "", text_safe(base, sizeof base, q->base ? q->base : "", q->base ? strlen(q->base) : 0),
	    text_safe(filter_text, sizeof filter_text, q->filter ? q->filter : "", q->filter ? strlen(q->filter) : 0), q->found,
	    now.tick - q->began, q->failed ? " failed: " : "",
	    q->failed ? text_safe(words, sizeof words, q->words, strlen(q->words)) : "");
	buf_free(&q->request);
	buf_free(&q->cookie);
	free(q->base);
	free(q->filter);
	q->base = q->filter = NULL;
}

static void
fail(struct ldap_search *q, bool temporary, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(q->words, sizeof q->words, format, ap);
	va_end(ap);
	q->failed = true;
	q->temporary = temporary;
	over(q);
}

/* ---- the connection's end ------------------------------------------------------------------ */

static void
say(struct ldap *l, int tag, const struct buf *operation, const struct buf *controls)
{
	struct buf *out = &l->conn.out;
	size_t message = ber_open(out, BER_SEQUENCE);

	ber_number(out, BER_INTEGER, ++l->id);
	ber_octets(out, tag, operation->data ? operation->data : "", operation->len);
	if (controls != NULL)
		buf_add(out, controls->data, controls->len);
	ber_close(out, message);
}

/* An operation of which nothing is heard: its contents are a number, or nothing. */
static void
say_plain(struct ldap *l, int tag, int32_t n)
{
	struct buf *out = &l->conn.out;
	size_t message = ber_open(out, BER_SEQUENCE);

	ber_number(out, BER_INTEGER, ++l->id);
	if (n > 0)
		ber_number(out, tag, n);
	else
		ber_octets(out, tag, "", 0);
	ber_close(out, message);
}

static void
disconnect(struct ldap *l)
{
	if (l->state == LDAP_READY && l->conn.fd != -1 && !l->conn.ended) {
		say_plain(l, UNBIND_REQUEST, 0);
		if (!l->conn.out.torn)
			conn_flush(&l->conn);
	}
	conn_close(&l->conn);
	conn_open(&l->conn, -1, -1);
	dns_end(&l->dns);
	buf_free(&l->message);
	l->skip = 0;
	l->proved = false;
	l->id = 0;
	l->junk = 0;
}

static void
line_up(struct ldap_search *q, bool ahead)
{
	struct ldap *l = q->ldap;

	q->from = ahead ? &l->line : l->end;
	q->next = *q->from;
	*q->from = q;
	*(q->next ? &q->next->from : &l->end) = &q->next;
	q->state = SEARCH_LINE;
	q->deadline = now.tick + 2 * l->conf->timeout;
	if (q->next != NULL && q->next->deadline < q->deadline)
		q->deadline = q->next->deadline;	/* so the first in line is the first that is late */
}

/* What was under way on a connection that is no more. */
static void
asked_end(struct ldap *l)
{
	struct ldap_search *q;

	if (l->paging != NULL && l->paging->state != SEARCH_ASKED)
		fail(l->paging, true, "%s", l->words);
	l->paging = NULL;
	while (l->asked_count > 0) {
		q = l->asked[l->asked_count - 1];
		if (q->found > 0 || q->cookie.len > 0 || q->again)
			fail(q, true, "%s", l->words);
		else {
			q->again = true;
			withdraw(q);
			line_up(q, true);
		}
	}
}

static void
back_off(struct ldap *l)
{
	if (!l->away)
		log_line("smtpd: \"%s\": no directory answers: %s", text_shown(l->server->name), l->words);
	l->away = true;
	l->state = LDAP_BACKOFF;
	l->deadline = now.tick + l->backoff + random_number() % (l->backoff / 4);
	l->backoff = l->backoff * 2 < BACKOFF_MOST ? l->backoff * 2 : BACKOFF_MOST;
	while (l->line != NULL)
		fail(l->line, true, "%s", l->words);
}

/* It came to nothing.  bad: with this directory, or this address of it; else it
 * was its right to hang up. */
static void
lost(struct ldap *l, bool bad, const char *format, ...)
{
	char words[WORDS_SIZE - 150];
	bool asks = l->state == LDAP_READY;
	va_list ap;

	va_start(ap, format);
	vsnprintf(words, sizeof words, format, ap);
	va_end(ap);
	snprintf(l->words, sizeof l->words, "the directory %.90s: %s", l->at->url, words);
	log_detail("- directory server=\"%s\" url=%s lost: %s", text_shown(l->server->name), l->at->url, words);
	bad |= !asks || (!l->proved && (l->asked_count > 0 || l->line != NULL));
	disconnect(l);
	l->state = bad ? LDAP_CONNECT : LDAP_IDLE;
	l->addr = asks ? l->addr_count : l->addr + 1;
	asked_end(l);
}

/* ---- a connection's beginning ------------------------------------------------------------------ */

static void
directory_begin(struct ldap *l, const struct directory *d)
{
	l->at = d;
	l->addr = l->addr_count = 0;
	l->state = LDAP_CONNECT;
	l->deadline = now.tick + l->conf->timeout;
	if (d->kind == DIRECTORY_LOCAL || d->addr.family != 0)
		l->addrs[l->addr_count++] = d->addr;
	else {
		dns_begin(&l->dns, d->host, DNS_AAAA);
		l->state = LDAP_LOOKUP;
	}
}

/* IPv6 first, then IPv4, for which half of the room stays. */
static bool
step_lookup(struct ldap *l)
{
	const struct dns_answer *a = l->dns.answer;
	bool first = l->dns.type == DNS_AAAA;

	if (dns_step(&l->dns) == 0)
		return false;
	a = l->dns.answer;
	for (size_t i = 0; a != NULL && i < a->count && l->addr_count < (first ? ADDRESSES_MAX / 2 : ADDRESSES_MAX); i++) {
		l->addrs[l->addr_count] = a->record[i].addr;
		l->addrs[l->addr_count++].port = l->at->addr.port;
	}
	dns_end(&l->dns);
	if (first)
		dns_begin(&l->dns, l->at->host, DNS_A);
	else if (l->addr_count == 0)
		lost(l, true, "the name servers know no address of it, or do not answer");
	else
		l->state = LDAP_CONNECT;
	return true;
}

/* The next address, or directory. */
static void
connect_next(struct ldap *l)
{
	bool others = l->addr + 1 < l->addr_count || l->at->next != NULL;
	msec wait = l->conf->timeout;

	if (l->addr >= l->addr_count) {
		if (l->at->next != NULL)
			directory_begin(l, l->at->next);
		else
			back_off(l);
		return;
	}
	if (others)
		wait = wait / 4 > LEAST_WAIT ? wait / 4 : LEAST_WAIT;
	l->deadline = now.tick + wait;
	conn_open(&l->conn, -1, -1);
	l->conn.fd = l->conn.to = l->at->kind == DIRECTORY_LOCAL ? conn_local(l->at->host, SOCK_STREAM, LOCAL_TRY) :
	    conn_connect(&l->addrs[l->addr]);
	l->conn.peer = l->addrs[l->addr];
	if (l->conn.fd == -1)
		lost(l, true, "it cannot be connected to: %s", strerror(errno));
}

/* Where passwords can be said. */
static bool
private(const struct ldap *l)
{
	return l->conn.tls != NULL || l->at->kind == DIRECTORY_LOCAL || addr_loopback(&l->conn.peer);
}

/* RFC 4511 4.2 */
static void
bind_begin(struct ldap *l)
{
	const struct ldap_routing *c = l->conf;
	char secret[500];
	const char *why = NULL;
	struct buf b = { 0 };
	size_t sasl;

	*secret = '\0';
	if (c->bind == BIND_SIMPLE && !private(l) && !c->clear_text_password)
		why = "it would go in clear over the network; see start-tls and clear-text-password";
	else if (c->bind == BIND_SIMPLE && (c->bind_name == NULL || c->password == NULL))
		why = "user and password are not both given";
	else if (c->bind == BIND_SIMPLE)
		why = auth_secret(c->password, secret, sizeof secret);
	if (why != NULL) {
		lost(l, true, "no password is said: %s", why);
		return;
	}
	ber_number(&b, BER_INTEGER, 3);
	ber_text(&b, BER_OCTETS, c->bind == BIND_SIMPLE ? c->bind_name : "");
	if (c->bind == BIND_EXTERNAL) {
		sasl = ber_open(&b, 0xA3);
		ber_text(&b, BER_OCTETS, "EXTERNAL");
		ber_text(&b, BER_OCTETS, "");
		ber_close(&b, sasl);
	} else
		ber_text(&b, 0x80, secret);
	say(l, BIND_REQUEST, &b, NULL);
	l->conn.out.torn |= b.torn;
	wipe(secret, sizeof secret);
	if (b.data != NULL)
		wipe(b.data, b.len);
	buf_free(&b);
	l->state = LDAP_BIND;
}

static void
tls_begin(struct ldap *l)
{
	if (l->conf->tls == NULL || conn_secure(&l->conn, l->conf->tls, l->at->host, true) == -1)
		lost(l, true, "memory is out, or TLS is not there");
	else
		l->state = LDAP_TLS;
}

/* Connected, or not yet. */
static bool
step_connect(struct ldap *l)
{
	struct addr a;
	struct buf b = { 0 };

	if (l->conn.fd == -1)
		connect_next(l);
	else if (conn_connected(l->conn.fd) == -1)
		lost(l, true, "it cannot be connected to: %s", strerror(errno));
	else if (l->at->kind != DIRECTORY_LOCAL && conn_peer(l->conn.fd, &a) == -1)
		return false;
	else if (l->at->kind == DIRECTORY_TLS)
		tls_begin(l);
	else if (l->at->kind == DIRECTORY_CLEAR && l->conf->start_tls) {
		ber_text(&b, 0x80, start_tls_oid);
		say(l, EXTENDED_REQUEST, &b, NULL);
		l->conn.out.torn |= b.torn;
		buf_free(&b);
		l->state = LDAP_EXTENDED;
	} else
		bind_begin(l);
	return true;
}

static bool
step_tls(struct ldap *l)
{
	char why[300];
	int answer = tls_handshake(l->conn.tls, why, sizeof why);

	if (answer == 1)
		bind_begin(l);
	else if (answer == -1)
		lost(l, true, "%s", why);
	return answer != 0;
}

static void
ready(struct ldap *l)
{
	l->state = LDAP_READY;
	*l->words = '\0';
	l->prefer = now.tick + PREFER_AFTER;
	log_detail("- directory server=\"%s\" url=%s ready%s%s", text_shown(l->server->name), l->at->url,
	    l->conn.tls ? ", " : "", l->conn.tls ? tls_words(l->conn.tls) : "");
	if (l->away)
		log_line("smtpd: \"%s\": the directory %s answers again", text_shown(l->server->name), l->at->url);
	l->away = false;
}

/* ---- asking ------------------------------------------------------------------------------------ */

/* RFC 2696 */
static void
paged_control(struct buf *b, const struct ldap_search *q)
{
	struct buf value = { 0 };
	size_t all, one, pair;

	pair = ber_open(&value, BER_SEQUENCE);
	ber_number(&value, BER_INTEGER, PAGE_ENTRIES);
	ber_octets(&value, BER_OCTETS, q->cookie.data ? q->cookie.data : "", q->cookie.len);
	ber_close(&value, pair);
	all = ber_open(b, CONTROLS);
	one = ber_open(b, BER_SEQUENCE);
	ber_text(b, BER_OCTETS, paged_oid);
	ber_octets(b, BER_OCTETS, value.data ? value.data : "", value.len);
	ber_close(b, one);
	ber_close(b, all);
	b->torn |= value.torn;
	buf_free(&value);
}

static void
patience(struct ldap_search *q)
{
	q->deadline = now.tick + q->ldap->conf->timeout;
	if (q->deadline > q->began + TOTAL_MAX)
		q->deadline = q->began + TOTAL_MAX;
}

static void
ask(struct ldap *l, struct ldap_search *q)
{
	struct buf controls = { 0 };

	withdraw(q);
	if (l->asked_count == 0)
		l->heard = now.tick;
	q->state = SEARCH_ASKED;
	l->asked[l->asked_count++] = q;
	if (q->paged) {
		l->paging = q;
		paged_control(&controls, q);
	}
	say(l, SEARCH_REQUEST, &q->request, q->paged ? &controls : NULL);
	q->id = l->id;
	l->conn.out.torn |= controls.torn;
	buf_free(&controls);
	patience(q);
}

/* Ask what waits in line.  When it is time to see whether the first directory is
 * there again, or ids run out, no more is asked until all is answered; not while
 * a question goes through its pages, for that can take long. */
static void
ask_line(struct ldap *l)
{
	bool leave = l->state == LDAP_READY && l->paging == NULL &&
	    ((l->at != l->conf->directories && l->prefer <= now.tick) || l->id > ldap_ids);
	struct ldap_search *q, *next;

	if (leave && l->asked_count == 0 && l->line != NULL) {
		log_detail("- directory server=\"%s\" url=%s left", text_shown(l->server->name), l->at->url);
		disconnect(l);
		l->state = LDAP_IDLE;
	}
	for (q = l->state == LDAP_READY ? l->line : NULL; q != NULL && l->asked_count < ASKED_MAX && l->conn.out.len < OUT_MAX; q = next) {
		next = q->next;
		if (!leave && (!q->paged || l->paging == NULL || l->paging == q))
			ask(l, q);
	}
}

/* Too late for those. */
static void
expire(struct ldap *l)
{
	struct ldap_search *q;
	bool mute = l->waiting <= WAITING_MAX && l->heard + l->conf->timeout <= now.tick;

	while ((q = l->line) != NULL && q->deadline <= now.tick)
		fail(q, true, "%s", l->state == LDAP_READY || *l->words == '\0' ? "the directory has had no time for the question" : l->words);
	if ((q = l->paging) != NULL && q->state == SEARCH_PAGE && q->deadline <= now.tick) {
		entries_free(q);
		fail(q, true, "nobody has taken the answers");
	}
	for (size_t i = l->asked_count; i-- > 0 && l->state == LDAP_READY; ) {
		if ((q = l->asked[i])->deadline > now.tick)
			continue;
		if (mute) {
			lost(l, !l->proved, "it does not answer");	/* perhaps only the connection is dead */
			return;
		}
		entries_free(q);
		say_plain(l, ABANDON_REQUEST, q->id);
		fail(q, true, "the directory %s has not answered in time", l->at->url);
	}
}

/* ---- hearing ------------------------------------------------------------------------------------- */

static bool
hear_entry(struct ldap *l, struct ldap_search *q, const struct ber *op)
{
	bool enough = q->limit > 0 && q->found >= q->limit;
	struct ldap_entry *e;
	int answer = enough ? 0 : ldap_entry_read(op, &e);

	if (answer == -1)
		return false;
	if (answer != 1) {
		say_plain(l, ABANDON_REQUEST, q->id);
		fail(q, answer == 0 && !enough, answer == -2 ? TOO_BIG : enough ? "there are more than %ld entries" : "memory is out", q->limit);
		return true;
	}
	*q->last = e;
	q->last = &e->next;
	q->waiting += e->size;
	l->waiting += e->size;
	q->found++;
	patience(q);
	return true;
}

/* The cookie of the next page; none: this was the last one. */
static bool
hear_cookie(struct ldap_search *q, struct ber controls)
{
	struct ber one, in, size;

	buf_free(&q->cookie);
	while (controls.at < controls.end) {
		if (!ber_is(&controls, BER_SEQUENCE, &one) || !ber_is(&one, BER_OCTETS, &in))
			return false;
		if (!ber_same(&in, paged_oid))
			continue;
		if (one.at < one.end && *one.at == BER_BOOLEAN)
			ber_next(&one, &in);
		if (!ber_is(&one, BER_OCTETS, &in) || !ber_is(&in, BER_SEQUENCE, &one) || !ber_is(&one, BER_INTEGER, &size) ||
		    !ber_is(&one, BER_OCTETS, &in) || ber_size(&in) > COOKIE_MAX)
			return false;
		if (ber_size(&in) > 0)
			buf_add(&q->cookie, in.at, ber_size(&in));
		return true;
	}
	return true;
}

/* When its entries are taken, the next page. */
static void
next_page(struct ldap_search *q)
{
	if (q->first == NULL && q->state == SEARCH_PAGE)
		line_up(q, false);
}

static bool
hear_done(struct ldap *l, struct ldap_search *q, struct ber op, struct ber controls)
{
	static const int32_t lasting[] = { 2, 4, 7, 8, 10, 12, 13, 18, 34, 48, 50 };
	char words[300];
	int32_t code;
	bool temporary = true;

	if (!ldap_result(&op, &code, words, sizeof words) || (q->paged && !hear_cookie(q, controls)))
		return false;
	l->proved = true;
	l->backoff = BACKOFF_FIRST;
	q->empty = q->found > q->before ? 0 : q->empty + 1;
	q->before = q->found;
	for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++)
		temporary &= code != lasting[i];
	if (code != SUCCESS && (code != NO_SUCH_OBJECT || q->ours)) {
		q->code = code;
		fail(q, temporary, "the directory %s says %s%s", l->at->url, words, code == NO_SUCH_OBJECT ? "; see base" : "");
	} else if (q->cookie.torn)
		fail(q, true, "memory is out");
	else if (q->cookie.len == 0 || code != SUCCESS)
		over(q);
	else if (q->empty > EMPTY_PAGES)
		fail(q, true, "the directory %s has pages without end, and nothing on them", l->at->url);
	else {
		withdraw(q);
		q->state = SEARCH_PAGE;
		patience(q);
		next_page(q);
	}
	return true;
}

/* Others know more, or so it says. */
static void
hear_reference(struct ldap *l, const struct ldap_search *q, struct ber op)
{
	struct ber uri;
	char safe[200], filter_text[200];

	if (l->referred > now.tick || !ber_is(&op, BER_OCTETS, &uri))
		return;
	l->referred = now.tick + REFER_QUIET;
	log_line("smtpd: \"%s\": the directory %s refers to %s for %s, which is not followed", text_shown(l->server->name), l->at->url,
	    text_safe(safe, sizeof safe, (const char *)uri.at, ber_size(&uri)), text_safe(filter_text, sizeof filter_text, q->filter, strlen(q->filter)));
}

/* Whose answer is this?  *q is NULL where it was given up.  False: this makes no
 * sense, here and below. */
static bool
hear_for(struct ldap *l, int32_t id, int tag, struct ldap_search **q)
{
	*q = NULL;
	for (size_t i = 0; i < l->asked_count; i++)
		if (l->asked[i]->id == id)
			*q = l->asked[i];
	if (*q != NULL)
		l->heard = now.tick;
	l->junk = *q != NULL && (tag == SEARCH_ENTRY || tag == SEARCH_DONE) ? 0 : l->junk + 1;
	return id <= l->id && l->junk <= JUNK_MAX;
}

static bool
hear_answer(struct ldap *l, int32_t id, int tag, struct ber op, struct ber controls)
{
	struct ldap_search *q;

	if (!hear_for(l, id, tag, &q))
		return false;
	if (q == NULL)
		return true;
	if (tag == SEARCH_REFERENCE)
		hear_reference(l, q, op);
	if (tag == SEARCH_ENTRY)
		return hear_entry(l, q, &op);
	if (tag == SEARCH_DONE)
		return hear_done(l, q, op, controls);
	return tag == SEARCH_REFERENCE || tag == 0x79;	/* an intermediate response */
}

/* The answer to StartTLS, or to BIND. */
static bool
hear_greeting(struct ldap *l, int32_t id, int tag, struct ber op)
{
	char words[300];
	int32_t code;
	size_t more;
	bool bound = l->state == LDAP_BIND;

	conn_peek(&l->conn, &more);
	if (id != l->id || tag != (bound ? BIND_RESPONSE : EXTENDED_RESPONSE) || !ldap_result(&op, &code, words, sizeof words))
		return false;
	if (code == INVALID_CREDENTIALS)
		l->backoff = BACKOFF_MOST;	/* who says a wrong password often is locked out */
	if (code != SUCCESS)
		lost(l, true, "it %s: %s", bound ? "does not accept who we are" : "refuses StartTLS", words);
	else if (bound)
		ready(l);
	else if (more > 0)
		lost(l, true, "behind its answer to StartTLS it says more in clear");
	else
		tls_begin(l);
	return true;
}

/* Of an entry that is too big only the start is there. */
static bool
hear_start(struct ldap *l, struct ber in)
{
	struct ldap_search *q;
	size_t length;
	int32_t id;

	in.at += ber_head(in.at, ber_size(&in), &length);
	if (l->state != LDAP_READY || !ber_int(&in, BER_INTEGER, &id) || *in.at != SEARCH_ENTRY || !hear_for(l, id, SEARCH_ENTRY, &q))
		return false;
	l->message.len = 0;
	if (q != NULL) {
		say_plain(l, ABANDON_REQUEST, q->id);
		fail(q, false, TOO_BIG);
	}
	return true;
}

static bool
hear(struct ldap *l)
{
	struct ber all = { (unsigned char *)l->message.data, (unsigned char *)l->message.data + l->message.len };
	struct ber in, op, controls = { 0 };
	char words[300];
	int32_t id, code;
	int tag;

	if (l->skip > 0)
		return hear_start(l, all);
	if (!ber_is(&all, BER_SEQUENCE, &in) || !ber_int(&in, BER_INTEGER, &id) || (tag = ber_next(&in, &op)) == -1 ||
	    (in.at < in.end && !ber_is(&in, CONTROLS, &controls)))
		return false;
	l->message.len = 0;			/* its octets stay until the next one comes */
	if (id == 0 && tag == EXTENDED_RESPONSE && ldap_result(&op, &code, words, sizeof words)) {
		if (ber_is(&op, 0x8A, &in) && ber_same(&in, disconnection_oid))
			lost(l, false, "it disconnects: %s", words);	/* RFC 4511 4.4.1 */
		return ++l->junk <= JUNK_MAX;
	}
	return l->state == LDAP_READY ? hear_answer(l, id, tag, op, controls) : hear_greeting(l, id, tag, op);
}

/* Gather one message, or the start of one that is too big, behind what is passed
 * over: 1 it is there, 0 more must come, -1 it is none, or memory is out. */
static int
gather(struct ldap *l)
{
	struct buf *m = &l->message;

	for (;;) {
		size_t n, length = 0, start, want;
		const char *from = conn_peek(&l->conn, &n);
		int head = ber_head((unsigned char *)m->data, m->len, &length);

		if (head == -1 || length > PASSED_MAX)
			return -1;
		start = length > MESSAGE_MAX ? START_OCTETS : length;
		if (head > 0 && m->len == (size_t)head + start) {
			l->skip = length - start;
			return 1;
		}
		if (n == 0)
			return 0;
		want = l->skip > 0 ? l->skip : head > 0 ? (size_t)head + start - m->len : 1;
		if (want > n)
			want = n;
		if (l->skip > 0)
			l->skip -= want;
		else if (buf_add(m, from, want) == -1)
			return -1;
		conn_consume(&l->conn, want);
	}
}

/* Say and hear, from EXTENDED to READY. */
static bool
step_talk(struct ldap *l)
{
	enum ldap_state before = l->state;
	int answer = 0;

	if (l->conn.out.torn || conn_flush(&l->conn) == -1) {
		lost(l, false, "the connection broke");
		return true;
	}
	if (l->waiting <= WAITING_MAX)
		conn_receive(&l->conn);
	while (l->state == before && (answer = gather(l)) == 1)
		if (!hear(l)) {
			answer = -1;
			break;
		}
	if (l->state != before)
		return true;
	if (answer == -1 && l->message.torn)
		lost(l, false, "memory is out");
	else if (answer == -1)
		lost(l, true, "what it says is no LDAP, or not to us");
	else if (l->conn.ended)
		lost(l, false, "it hung up");
	if (l->message.len == 0)
		buf_free(&l->message);
	conn_rest(&l->conn);
	return l->state != before;
}

/* True: it got somewhere, go on. */
static bool
step(struct ldap *l)
{
	switch (l->state) {
	case LDAP_IDLE: case LDAP_BACKOFF:
		if (l->state == LDAP_IDLE ? l->line == NULL : l->deadline > now.tick)
			return false;
		directory_begin(l, l->conf->directories);
		return true;
	case LDAP_LOOKUP:
		return step_lookup(l);
	case LDAP_CONNECT:
		return step_connect(l);
	case LDAP_TLS:
		return step_tls(l);
	default:
		return step_talk(l);
	}
}

/* It is not there in time.  Of its addresses what is known will do. */
static void
late(struct ldap *l)
{
	if (l->state == LDAP_LOOKUP && l->addr_count > 0) {
		dns_end(&l->dns);
		l->state = LDAP_CONNECT;
	} else
		lost(l, true, l->state == LDAP_LOOKUP ? "the name servers do not answer" : "it does not answer");
}

void
ldap_step(struct ldap *l)
{
	while (step(l))
		;
	if (l->state != LDAP_IDLE && l->state != LDAP_READY && l->state != LDAP_BACKOFF && l->deadline <= now.tick)
		late(l);
	ask_line(l);
	expire(l);
	if (l->state == LDAP_READY && !l->conn.out.torn)
		conn_flush(&l->conn);		/* what breaks it is seen in the next turn */
}

void
ldap_want(const struct ldap *l, struct pollfd *slot, msec *until)
{
	msec due = l->deadline;

	slot->fd = -1;
	slot->events = slot->revents = 0;
	if (l->state == LDAP_READY || l->state == LDAP_IDLE)
		due = l->line == NULL ? LLONG_MAX : l->state == LDAP_IDLE ? now.tick : l->line->deadline;
	for (size_t i = 0; i < l->asked_count; i++)
		if (l->asked[i]->deadline < due)
			due = l->asked[i]->deadline;
	if (l->paging != NULL && l->paging->deadline < due)
		due = l->paging->deadline;
	if (l->state == LDAP_LOOKUP)
		dns_want(&l->dns, slot, until);
	else if (l->state == LDAP_CONNECT && l->conn.fd != -1)
		*slot = (struct pollfd){ l->conn.fd, POLLOUT, 0 };
	else if (l->state == LDAP_CONNECT)
		due = now.tick;
	else if (l->conn.fd != -1)
		conn_want(&l->conn, l->waiting <= WAITING_MAX, slot);
	if (due < *until)
		*until = due;
}

/* ---- for those who ask ------------------------------------------------------------------------------ */

struct ldap *
ldap_open(const struct server *s)
{
	struct ldap *l = memory(NULL, sizeof *l);

	if (l == NULL)
		return NULL;
	memset(l, 0, sizeof *l);
	l->server = s;
	l->conf = &s->ldap;
	l->end = &l->line;
	l->backoff = BACKOFF_FIRST;
	l->dns.fd = -1;
	conn_open(&l->conn, -1, -1);
	return l;
}

void
ldap_close(struct ldap *l)
{
	if (l == NULL)
		return;
	disconnect(l);
	while (l->asked_count > 0)
		fail(l->asked[0], true, "the directory is no longer asked");
	if (l->paging != NULL)
		fail(l->paging, true, "the directory is no longer asked");
	while (l->line != NULL)
		fail(l->line, true, "the directory is no longer asked");
	free(l);
}

void
ldap_doing(const struct ldap *l, char *out, size_t size)
{
	static const char *const words[] = {
		"is idle", "is looked up", "is connected to", "is asked for TLS", "is in the TLS handshake", "is told who we are", "is ready", "is away"
	};

	if (l->away)
		snprintf(out, size, "%s", l->words);
	else
		snprintf(out, size, "%s %s, %lu questions under way%s", l->at ? l->at->url : l->conf->directories->url, words[l->state],
		    (unsigned long)l->asked_count, l->line ? ", others in line" : "");
}

/* RFC 4511 4.5.1 */
static const char *
request_write(struct buf *b, const struct ldap_question *what, const char *base, const struct ldap_routing *c)
{
	const char *const *attribute = what->attributes;
	const char *wrong;
	size_t list;

	ber_text(b, BER_OCTETS, base);
	ber_number(b, BER_ENUMERATED, what->scope);
	ber_number(b, BER_ENUMERATED, 0);		/* aliases stay what they are */
	ber_number(b, BER_INTEGER, (int32_t)what->limit);
	ber_number(b, BER_INTEGER, (int32_t)((c->timeout + 999) / 1000));
	ber_octets(b, BER_BOOLEAN, "", 1);
	if ((wrong = ldap_filter(b, what->filter)) != NULL)
		return wrong;
	list = ber_open(b, BER_SEQUENCE);
	if (attribute == NULL || *attribute == NULL)
		ber_text(b, BER_OCTETS, "1.1");
	for (; attribute != NULL && *attribute != NULL; attribute++)
		ber_text(b, BER_OCTETS, *attribute);
	ber_close(b, list);
	return NULL;
}

void
ldap_begin(struct ldap_search *q, struct ldap *l, const struct ldap_question *what)
{
	const char *base = what->base ? what->base : l->conf->base ? l->conf->base : "", *wrong;

	memset(q, 0, sizeof *q);
	q->last = &q->first;
	q->ldap = l;
	q->paged = what->paged;
	q->ours = what->base == NULL;
	q->limit = what->limit;
	q->began = now.tick;
	q->base = text_copy(base);
	q->filter = text_copy(what->filter);
	wrong = request_write(&q->request, what, base, l->conf);
	if (q->base == NULL || q->filter == NULL || q->request.torn)
		fail(q, true, "memory is out");
	else if (wrong != NULL)
		fail(q, false, "the filter is wrong: %s", wrong);
	else if (l->away)
		fail(q, true, "%s", l->words);
	else {
		line_up(q, false);
		ask_line(l);
	}
}

int
ldap_next(struct ldap_search *q, struct ldap_entry **e)
{
	if ((*e = q->first) == NULL)
		return q->state != SEARCH_OVER ? 0 : q->failed ? -1 : 2;
	if ((q->first = (*e)->next) == NULL)
		q->last = &q->first;
	if (q->ldap != NULL) {
		q->waiting -= (*e)->size;
		q->ldap->waiting -= (*e)->size;
		next_page(q);
		ask_line(q->ldap);
	}
	return 1;
}

bool
ldap_ready(const struct ldap_search *q)
{
	return q->first != NULL || q->state == SEARCH_OVER;
}

void
ldap_end(struct ldap_search *q)
{
	struct ldap *l = q->ldap;

	entries_free(q);
	if (q->state == SEARCH_ASKED)
		say_plain(l, ABANDON_REQUEST, q->id);
	if (q->state != SEARCH_OVER) {
		fail(q, true, "it was given up");
		ask_line(l);		/* others may take its place */
	}
}
