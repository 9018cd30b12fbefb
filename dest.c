/*
 * dest.c - destinations: what waits for a next hop.
 *
 * A destination is where mail of one route goes: a domain, or the smart host
 * of the server or of a remote domain.  Its queue holds ids in the order of
 * arrival, 16 octets each; an id there is a hint, and the file says what is
 * still to be done.  A destination that cannot be reached backs off as a whole:
 * until `next` its mail costs nothing, however much it is.
 *
 * For each of its recipients a message waits in one place: in the spool's
 * schedule when he waits for a time of his own (he was answered 4xx), in the
 * queue of his destination when that is what he waits for; and in `sending`
 * while one of the connections has it, so that no other sends it too.
 *
 * Where a row says `hold', mail is ready to go only up to `released', which is
 * never stored: what is not waits for dest_release, or for a relay that may take
 * it (dests_held).  All of it expires as other mail does.
 *
 * Who gets a connection: those who want one stand in a line, and each gets one
 * in its turn.  A destination begins with one and earns one more with each
 * message that is taken.
 */
#include "smtpd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS     4096
#define EVENTS_TURN 10	/* waiting messages that are told of their delay, or expired, in a turn: a descriptor each */
#define TOUCHED_MAX 100	/* of a destination's files hear that it backs off; the first of them */
#define WANTING_WAIT 100	/* until the line is looked at again, ms, if nobody gives up a connection before */
#define RELEASE_WAIT 10		/* after a release that ended a back-off, seconds, until another one does */
#define ELSEWHERE_WAIT 5	/* seconds, while an older route has a message in hand */
#define WANTING_TURN 32	/* of those in the line looked at for one who may have a connection */

#define HELD_WORDS "4.4.0 held until somebody asks for it (hold): the domain collects its mail itself"

static struct destination *buckets[BUCKETS];
static struct destination *wanting, **wanting_end = &wanting;
static struct destination *elders;	/* who has messages in hand since before another configuration */
static long long soonest = LLONG_MAX;	/* second at which some destination has something to do */

static long long
second(void)
{
	return now.wall / 1000;
}

static const struct server *
conf(const struct destination *d)
{
	return d->owner->conf;
}

static size_t
dest_bucket(const struct vserver *v, const char *name)
{
	return text_hash(name, (uint32_t)(uintptr_t)v) % BUCKETS;
}

static struct destination **
dest_place(const struct vserver *v, const char *name)
{
	struct destination **at;

	for (at = &buckets[dest_bucket(v, name)]; *at != NULL; at = &(*at)->chain)
		if ((*at)->owner == v && strcmp((*at)->name, name) == 0)
			break;
	return at;
}

/* Does its row hold its mail? */
static bool
dest_holds(const struct destination *d)
{
	const struct domain *row = config_domain(conf(d), d->name);

	return row != NULL && row->hold;
}

/* It, made when it is new; NULL when memory is out. */
static struct destination *
dest_get(struct vserver *v, const char *name)
{
	struct destination **at = dest_place(v, name), *d = *at;

	if (d != NULL || (d = memory(NULL, sizeof *d)) == NULL)
		return d;
	memset(d, 0, sizeof *d);
	if ((d->name = text_copy(name)) == NULL) {
		free(d);
		return NULL;
	}
	d->owner = v;
	d->window = 1;
	d->hold = dest_holds(d);
	return *at = d;
}

static void
dest_forget(struct destination *d)
{
	free(d->words);
	free(d->host);
	free(d->transcript);
	d->words = d->host = d->transcript = NULL;
}

static void
dest_free(struct destination *d)
{
	struct destination **at = dest_place(d->owner, d->name);

	*at = d->chain;
	free(d->queue);
	free(d->sending);
	free(d->name);
	dest_forget(d);
	free(d);
}

/* Nothing waits, nobody is connected, nothing is to be remembered; not even a
 * release, as long as a message that it was about may come again. */
static bool
dest_over(const struct destination *d)
{
	return d->count == 0 && d->connections == 0 && !d->listed && d->next <= second() &&
	    (d->released.second == 0 || config_expires(conf(d), d->released.second, false) <= second());
}

/* The place in the queue of the first id that is not before this one. */
static size_t
dest_find(const struct destination *d, const struct id *id)
{
	size_t from = 0, to = d->count;

	if (to > 0 && id_compare(&d->queue[d->first + to - 1], id) < 0)
		return to;			/* mostly it is the latest */
	while (from < to) {
		size_t half = (from + to) / 2;

		if (id_compare(&d->queue[d->first + half], id) < 0)
			from = half + 1;
		else
			to = half;
	}
	return from;
}

/* Is it that one? */
static bool
dest_has(const struct destination *d, size_t i, const struct id *id)
{
	return i < d->count && id_compare(&d->queue[d->first + i], id) == 0;
}

/* The place of the first one behind it. */
static size_t
dest_after(const struct destination *d, const struct id *id)
{
	size_t i = dest_find(d, id);

	return i + dest_has(d, i, id);
}

/* Its place among those that are being sent there, or their count. */
static size_t
dest_sends(const struct destination *d, const struct id *id)
{
	size_t i = 0;

	while (i < d->sending_count && id_compare(&d->sending[i], id) != 0)
		i++;
	return i;
}

size_t
dest_ready(const struct destination *d)
{
	return d->hold ? dest_after(d, &d->released) : d->count;
}

static void
soon(long long when)
{
	if (when < soonest)
		soonest = when;
}

/* Is there mail that nobody has just been asked to take? */
static bool
dest_waits(const struct destination *d)
{
	return d->count > 0 && (d->words != NULL || dest_ready(d) < d->count);
}

/* When this destination, or a message in its queue, is next to be looked at. */
static void
dest_soon(const struct destination *d)
{
	size_t i;

	if (d->next > second())
		soon(d->next);
	if (!dest_waits(d))
		return;
	soon(config_expires(conf(d), d->queue[d->first].second, false));
	if ((i = dest_after(d, &d->told)) < d->count)
		soon(config_notifies(conf(d), d->queue[d->first + i].second, false));
}

/* Could it use one more connection, and may it have one? */
static bool
dest_wants(const struct destination *d)
{
	const struct server *s = conf(d);

	return d->owner->delivers && d->connections - (long long)d->sending_count < (long long)dest_ready(d) && d->next <= second() &&
	    d->connections < d->window && d->connections < s->relays_per_domain;
}

static void
dest_list(struct destination *d)
{
	if (d->listed || !dest_wants(d))
		return;
	d->listed = true;
	d->after = NULL;
	*wanting_end = d;
	wanting_end = &d->after;
}

/* Into the line, or away with it when it is over. */
static void
dest_settle(struct destination *d)
{
	dest_list(d);
	if (dest_over(d))
		dest_free(d);
}

/* Move the queue to the beginning of its array. */
static void
dest_pack(struct destination *d)
{
	memmove(d->queue, d->queue + d->first, d->count * sizeof *d->queue);
	d->first = 0;
}

int
dest_put(struct destination *d, const struct id *id)
{
	size_t i = dest_find(d, id);
	struct id *queue;

	if (dest_has(d, i, id) || dest_sends(d, id) < d->sending_count)
		return 0;			/* it has it already */
	if (i == 0 && d->first > 0) {
		d->first--;
	} else {
		if (d->first > 0 && d->first + d->count == d->room)
			dest_pack(d);
		if ((queue = grow(d->queue, &d->room, d->first + d->count, sizeof *queue)) == NULL)
			return -1;
		d->queue = queue;
		queue += d->first;
		memmove(queue + i + 1, queue + i, (d->count - i) * sizeof *queue);
	}
	d->queue[d->first + i] = *id;
	d->count++;
	dest_soon(d);
	dest_list(d);
	return 0;
}

static struct id
dest_pop(struct destination *d)
{
	struct id id = d->queue[d->first++];

	if (--d->count == 0 || d->first > d->room / 2)
		dest_pack(d);
	return id;
}

/* Has a connection it in hand since before the configuration of today, and so
 * perhaps on another route, about the same recipients? */
static bool
sent_before(const struct vserver *v, const struct id *id)
{
	for (const struct destination *d = elders; d != NULL; d = d->elder)
		if (d->owner == v && dest_sends(d, id) < d->sending_before)
			return true;
	return false;
}

/* Open a message of its queue and choose the recipients that go there. */
static struct message *
dest_take(struct destination *d, const struct id *id)
{
	struct message *m;
	char name[DOMAIN_MAX + 1];
	size_t chosen = 0;

	if (sent_before(d->owner, id)) {
		spool_wait(d->owner->spool, id, second() + ELSEWHERE_WAIT);
		return NULL;
	}
	m = spool_take(d->owner->spool, id);
	for (size_t i = 0; m != NULL && i < m->env.count; i++) {
		struct recipient *r = &m->env.rcpt[i];

		r->chosen = r->outcome == RCPT_OPEN && !route_local(conf(d), r) &&
		    strcmp(route_name(conf(d), r, name), d->name) == 0;
		chosen += r->chosen;
	}
	for (size_t i = 0; chosen > 0 && i < m->env.count; i++)
		if (!m->env.rcpt[i].chosen) {		/* of the others their marks will do */
			free(m->env.rcpt[i].address);
			free(m->env.rcpt[i].args);
			m->env.rcpt[i].address = m->env.rcpt[i].args = NULL;
		}
	if (chosen > 0 || m == NULL)
		return m;
	dests_route(d->owner, m);	/* the configuration may send it elsewhere now */
	spool_release(m);
	return NULL;
}

struct message *
dest_next(struct destination *d, bool held)
{
	struct id *more;
	struct message *m = NULL;

	if (!d->owner->delivers || (more = grow(d->sending, &d->sending_room, d->sending_count, sizeof *more)) == NULL)
		return NULL;
	d->sending = more;
	while (m == NULL && (held ? d->count : dest_ready(d)) > 0) {
		struct id id = dest_pop(d);

		errno = 0;
		if ((m = dest_take(d, &id)) == NULL && errno == EAGAIN) {
			dest_put(d, &id);		/* in the next turn */
			break;
		}
	}
	if (m != NULL)
		d->sending[d->sending_count++] = m->id;
	return m;
}

/* The first of those that are being sent there count as from before today. */
static void
dest_elder(struct destination *d, size_t before)
{
	struct destination **at = &elders;

	while (*at != NULL && *at != d)
		at = &(*at)->elder;
	if (before > 0 && *at == NULL) {
		d->elder = NULL;
		*at = d;
	} else if (before == 0 && *at != NULL)
		*at = d->elder;
	d->sending_before = before;
}

void
dest_done(struct destination *d, const struct id *id)
{
	size_t i = dest_sends(d, id);

	if (i == d->sending_count)
		return;
	if (i < d->sending_before) {
		d->sending[i] = d->sending[d->sending_before - 1];
		i = d->sending_before - 1;
		dest_elder(d, i);
	}
	d->sending[i] = d->sending[--d->sending_count];
}

void
dest_connections(struct destination *d, int more)
{
	d->connections += more;
	d->owner->relays += more;
	dest_settle(d);
}

void
dest_alive(struct destination *d, bool taken)
{
	d->since = d->strikes = 0;
	dest_forget(d);
	if (taken && d->window < conf(d)->relays_per_domain)
		d->window++;
	dest_list(d);
}

/* What is said of its failure is kept, for those who are given up later. */
static void
dest_remember(struct destination *d, const char *words, const char *host, const char *transcript)
{
	dest_forget(d);
	d->words = text_copy(words);
	d->host = host ? text_copy(host) : NULL;
	d->transcript = transcript ? text_copy(transcript) : NULL;
}

/* A note of what is so there, for those whose mail goes there: see entry_words. */
static void
dest_note(const struct destination *d, const struct id *id, const char *words, const char *transcript, long long next)
{
	char text[DOMAIN_MAX + WORDS_SIZE + 10];

	snprintf(text, sizeof text, "<%s>\n    %s", d->name, words);
	outcome_note(d->owner->spool, id, text, transcript, next);
}

void
dest_fail(struct destination *d, const char *words, const char *host, const char *transcript)
{
	struct spool *sp = d->owner->spool;
	char safe[WORDS_SIZE], name[300];
	size_t ready = dest_ready(d);

	if (d->connections > 1) {		/* others are well: they may go on */
		d->window = d->connections - 1;
		return;
	}
	if (d->since == 0)
		d->since = d->count > 0 && !d->hold ? d->queue[d->first].second : second();
	d->next = config_attempt(conf(d), d->since, true);
	d->window = 1;
	d->strikes = 0;
	dest_remember(d, words, host, transcript);
	for (size_t i = 0; i < ready && i < TOUCHED_MAX; i++) {
		if (!d->hold)		/* which, after a restart, is found at once: to be asked for */
			spool_touch(sp, &d->queue[d->first + i], d->next);
		dest_note(d, &d->queue[d->first + i], words, transcript, d->next);
	}
	dest_soon(d);
	log_line("- destination=%s server=\"%s\" waiting=%lu seconds=%lld reason=\"%s\"",
	    text_safe(name, sizeof name, d->name, strlen(d->name)), conf(d)->name, (unsigned long)ready,
	    d->next - second(), text_safe(safe, sizeof safe, words, strlen(words)));
}

/* Is this message one that waits to be asked for, and not for anything else? */
static bool
dest_keeps(const struct destination *d, const struct id *id)
{
	return d->hold && id_compare(id, &d->released) > 0;
}

/* The destination of this recipient, or NULL. */
static const struct destination *
dest_of(const struct vserver *v, const struct recipient *r)
{
	char name[DOMAIN_MAX + 1];

	return route_local(v->conf, r) ? NULL : *dest_place(v, route_name(v->conf, r, name));
}

const struct domain *
dests_hold(const struct vserver *v, const struct id *id, const struct recipient *r)
{
	const struct destination *d = dest_of(v, r);

	return d == NULL || dest_keeps(d, id) ? route_held(v->conf, r->address) : NULL;
}

bool
dests_keep(const struct vserver *v, const struct id *id, const struct envelope *e)
{
	size_t kept = 0;

	for (size_t i = 0; i < e->count; i++)
		if (e->rcpt[i].outcome == RCPT_OPEN && dests_hold(v, id, &e->rcpt[i]) != NULL)
			kept++;
	return kept > 0 && kept == envelope_open(e);
}

const char *
dests_words(const struct vserver *v, const struct recipient *r)
{
	const struct destination *d = dest_of(v, r);

	return d != NULL && d->words != NULL ? d->words : "";
}

/* The file of one that is held has the second before its arrival: it may have a
 * note, and waits for no time. */
static void
dest_hold(const struct destination *d, const struct id *id)
{
	spool_touch(d->owner->spool, id, id->second - 1);
	dest_note(d, id, HELD_WORDS, NULL, id->second);
}

/* A waiting message's time has come to be expired, or its sender to be told. */
static void
dest_look(struct destination *d, struct id id)
{
	bool held = dest_keeps(d, &id) || d->words == NULL;
	struct attempt a = { .held = held, .transcript = held ? NULL : d->transcript, .next = held ? id.second - 1 : d->next };
	struct message *m;

	errno = 0;
	if ((m = dest_take(d, &id)) == NULL) {
		if (errno == EAGAIN)
			dest_put(d, &id);
		return;
	}
	for (size_t i = 0; i < m->env.count; i++)
		if (m->env.rcpt[i].chosen)
			recipient_outcome(&m->env.rcpt[i], RCPT_DEFERRED, held ? HELD_WORDS : d->words, held ? NULL : d->host);
	outcome_conclude(d->owner, m, &a);
	spool_release(m);
}

/* Only of one in trouble, or that holds: who is well is asked first.  *left is how many more
 * can be looked at in this turn. */
static void
dest_events(struct destination *d, int *left)
{
	size_t i;

	while (d->owner->delivers && dest_waits(d) &&
	    config_expires(conf(d), d->queue[d->first].second, false) <= second() && (*left)-- > 0)
		dest_look(d, dest_pop(d));
	while (d->owner->delivers && dest_waits(d) && (i = dest_after(d, &d->told)) < d->count &&
	    config_notifies(conf(d), d->queue[d->first + i].second, false) <= second() && (*left)-- > 0) {
		d->told = d->queue[d->first + i];
		dest_look(d, d->told);
	}
	dest_soon(d);
}

/* What time has brought.  Who came last in one turn comes first in the next. */
void
dests_step(void)
{
	static size_t at;
	int left = EVENTS_TURN;

	if (second() < soonest)
		return;
	soonest = LLONG_MAX;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct destination *d = buckets[(at + i) % BUCKETS], *chain; d != NULL; d = chain) {
			chain = d->chain;
			dest_events(d, &left);
			dest_settle(d);
		}
	at = (at + BUCKETS / 7) % BUCKETS;
}

int
dests_route(struct vserver *v, const struct message *m)
{
	char name[DOMAIN_MAX + 1];
	struct destination *d = NULL;
	int answer = 0;

	for (size_t i = 0; i < m->env.count; i++) {
		const struct recipient *r = &m->env.rcpt[i];
		const char *to;

		if (r->outcome != RCPT_OPEN || route_local(v->conf, r))
			continue;
		to = route_name(v->conf, r, name);
		v->counts[ROUTING_LOOKUPS]++;
		if (d != NULL && strcmp(d->name, to) == 0)
			continue;
		if ((d = dest_get(v, to)) == NULL || dest_put(d, &m->id) == -1)
			answer = -1;
		else if (dest_keeps(d, &m->id) && !m->noted)
			dest_hold(d, &m->id);
		else if (!d->hold && d->next > second())
			spool_touch(v->spool, &m->id, d->next);
	}
	return answer;
}

void
dests_want(msec *until)
{
	msec due = soonest < LLONG_MAX / 1000 ? now.tick + soonest * 1000 - now.wall : *until;

	if (wanting != NULL && due > now.tick + WANTING_WAIT)
		due = now.tick + WANTING_WAIT;
	if (due < *until)
		*until = due;
}

struct destination *
dests_wanting(void)
{
	for (int n = 0; n < WANTING_TURN && wanting != NULL; n++) {
		struct destination *d = wanting;
		bool free_one = d->owner->relays < conf(d)->relays;

		if ((wanting = d->after) == NULL)
			wanting_end = &wanting;
		d->listed = false;
		if (dest_wants(d) && free_one)
			return d;
		dest_settle(d);			/* to the end of the line */
	}
	return NULL;
}

void
dests_retry(void)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct destination *d = buckets[i]; d != NULL; d = d->chain) {
			d->next = 0;
			dest_list(d);
		}
}

void
dests_wake(struct vserver *v, const struct envelope *e)
{
	char name[DOMAIN_MAX + 1];
	struct destination *d;

	for (size_t i = 0; i < e->count; i++)
		if (e->rcpt[i].outcome == RCPT_OPEN && (d = *dest_place(v, route_name(v->conf, &e->rcpt[i], name))) != NULL) {
			d->next = 0;
			dest_list(d);
		}
}

struct destination *
dests_after(const struct destination *d)
{
	size_t i = d ? dest_bucket(d->owner, d->name) + 1 : 0;

	if (d != NULL && d->chain != NULL)
		return d->chain;
	while (i < BUCKETS && buckets[i] == NULL)
		i++;
	return i < BUCKETS ? buckets[i] : NULL;
}

/* ---- what is held ---------------------------------------------------------- */

static bool
dest_asked(const struct destination *d, const char *what)
{
	const struct domain *row = config_domain(conf(d), d->name);
	size_t n = strlen(d->name);

	if (*what == '@')
		return domain_below(d->name, what + 1);
	if (*what == '#')
		return row != NULL && text_compare(row->name, what + 1) == 0;
	if (*what == '\0')
		return true;
	while (!text_prefix(what, d->name) || (what[n] != ',' && what[n] != '\0')) {
		what += strcspn(what, ",");
		if (*what++ == '\0')
			return false;
	}
	return true;
}

struct destination *
dests_asked(const struct vserver *v, const char *what, const struct destination *after)
{
	struct destination *d = dests_after(after);

	while (d != NULL && (d->owner != v || !dest_asked(d, what)))
		d = dests_after(d);
	return d;
}

struct destination *
dests_held(const struct vserver *v, const char *what, const char *account, bool secure)
{
	struct destination *d = NULL;

	while ((d = dests_asked(v, what, d)) != NULL)
		if (d->count > 0 && config_collects(v->conf, d->name, account) &&
		    (secure || config_domain(v->conf, d->name)->tls_policy <= TLS_OPPORTUNISTIC))
			break;
	return d;
}

size_t
dest_release(struct destination *d, bool *going)
{
	size_t before = dest_ready(d), n = d->count - before;
	char name[300];

	*going |= before + d->sending_count > 0;
	if (d->count == 0)
		return 0;
	d->released = d->queue[d->first + d->count - 1];
	if (d->next > second() && d->patience <= second()) {
		d->patience = second() + RELEASE_WAIT;
		d->next = d->since = 0;
	}
	if (n > 0)
		log_line("- destination=%s server=\"%s\" released=%lu",
		    text_safe(name, sizeof name, d->name, strlen(d->name)), conf(d)->name, (unsigned long)n);
	dest_list(d);
	return n;
}

/* ---- the end ------------------------------------------------------------------ */

/* Out of the line of those who want a connection. */
static void
dest_unlist(struct destination *d)
{
	struct destination **at = &wanting;

	while (*at != NULL && *at != d)
		at = &(*at)->after;
	if (*at != NULL && (*at = d->after) == NULL)
		wanting_end = at;
	d->listed = false;
}

void
dests_forget(struct vserver *v, bool again)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct destination *d = buckets[i], *chain; d != NULL; d = chain) {
			chain = d->chain;
			if (d->owner != v)
				continue;
			if (again)
				dest_elder(d, d->sending_count);
			for (size_t j = 0; again && j < d->count; j++)
				spool_again(v->spool, &d->queue[d->first + j]);
			d->first = d->count = 0;
			d->next = 0;
			d->hold = dest_holds(d);
			if (!again)
				d->released.second = 0;
			if (d->listed)
				dest_unlist(d);
			dest_settle(d);
		}
}

void
dests_close(void)
{
	for (size_t i = 0; i < BUCKETS; i++)
		while (buckets[i] != NULL)
			dest_free(buckets[i]);
}
