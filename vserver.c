/*
 * vserver.c - virtual servers: their listeners, who is connected, and the
 * operator's word.
 *
 *	           newcomers   sessions    delivery    mailroot
 *	STOPPED    421         none        halted      closed
 *	RUNNING    let in      go on       goes on     open
 *	PAUSED     421         go on       goes on     open
 *	STOPPING   421         none        what is on its way   open, then STOPPED
 *	LEAVING    -           go on       halted      open, then it is gone
 *
 * PAUSED is for draining: pause, wait until Queue is empty, stop.  LEAVING is
 * one that a new configuration has no more.  Where one stands is remembered in
 * its mailroot (.state) and holds after a restart.
 *
 * What is true: a listener is open from the start to the end, whatever the
 * state, for who has given up root cannot bind again; v->spool != NULL except
 * in STOPPED; v->conf is the configuration of today, a session's the one it
 * began with.
 */
#include "smtpd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCEPT_TURN    64	/* newcomers a listener lets in each turn */
#define DEAF           1000	/* after a failure to let anybody in, ms */
#define STOP_WAIT      5000	/* for replies to messages we have sent, ms */

/* A socket that listens for one of them. */
struct listener {
	int fd;
	struct vserver *owner;
	const struct listen *conf;	/* of owner->conf */
	size_t slot;			/* in the poll array */
};

struct vserver *vservers;
static struct listener *listeners;
static size_t listener_count, listener_room;
static struct session **sessions;
static size_t session_count, session_room;
static long long session_most = LLONG_MAX;	/* what our descriptors allow */
static int spare = -1;			/* a descriptor to answer with when none is left */
static msec deaf_until;			/* no newcomers before this tick: see admit_nobody */

/* ---- sessions --------------------------------------------------------------- */

/* Forget one that is over; another takes its place in the table. */
static void
sessions_remove(size_t i)
{
	session_free(sessions[i]);
	sessions[i] = sessions[--session_count];
}

static int newcomer_step(struct session *s);

static void
sessions_step(size_t slot)
{
	for (size_t i = 0; i < session_count; ) {
		struct session *s = sessions[i];
		int answer = session_step(s, slots + slot + s->slot);

		if (answer == 0 && s->state == NEWCOMER)
			answer = newcomer_step(s);
		if (answer != 0)
			sessions_remove(i);
		else
			i++;
	}
}

/* The replies of a commit are made ready before the delivery, and leave after
 * it: who hears 250 finds local mail in Drop. */
static void
sessions_committed(void)
{
	for (size_t i = 0; i < session_count; i++)
		if (sessions[i]->state == COMMIT)
			receive_committed(sessions[i]);
}

static void
sessions_resume(void)
{
	for (size_t i = 0; i < session_count; )
		if (sessions[i]->answered && session_resume(sessions[i]) != 0)
			sessions_remove(i);
		else
			i++;
}

/* Room for one more, at the table and in the poll array; -1 when memory is
 * out. */
static int
sessions_room(void)
{
	struct session **more = grow(sessions, &session_room, session_count, sizeof *more);

	if (more != NULL)
		sessions = more;
	return more == NULL ? -1 : slots_reserve(SLOTS_OURS + vservers_slots() + SESSION_SLOTS);
}

/* ---- newcomers ---------------------------------------------------------------------------- */

/* A proxy that has not said for whom it speaks is nobody's client. */
static long long
sessions_from(const struct vserver *v, const struct addr *a)
{
	long long n = 0;

	for (size_t i = 0; i < session_count; i++)
		n += sessions[i]->owner == v && sessions[i]->state > NEWCOMER && addr_same(&sessions[i]->conn.peer, a);
	return n;
}

/* Who is turned away when a table is full: the newcomer.  Who comes by a proxy
 * is judged in two steps: first the proxy, and then, as one of the sessions
 * already, the client. */
static enum reply
newcomer_refusal(const struct vserver *v, const struct addr *peer, const struct access *proxies, bool inside,
    const char **setting)
{
	const struct server *conf = v->conf;
	struct client client = { .addr = *peer };

	*setting = vserver_state(v);
	if (v->state != RUNNING)
		return R_CLOSED;
	*setting = proxies != NULL ? "listen" : "connect";
	if (proxies != NULL ? !access_allows(proxies, peer) : policy_connect(conf, &client).reply != R_READY)
		return R_DENIED;
	*setting = "connections";
	if (!inside && (v->sessions >= conf->connections || (long long)session_count >= session_most))
		return R_FULL;
	*setting = "connections-per-client";
	if (proxies == NULL && conf->connections_per_client != UNLIMITED && sessions_from(v, peer) >= conf->connections_per_client)
		return R_CLIENT_FULL;
	return R_READY;
}

static int
newcomer_step(struct session *s)
{
	const char *setting;
	enum reply r = newcomer_refusal(s->owner, &s->conn.peer, NULL, true, &setting);

	return session_admit(s, r, setting);
}

static void
admit(const struct listener *l, int fd, struct addr *peer, struct addr *here)
{
	const struct access *proxies = l->conf->proxies.only ? &l->conf->proxies : NULL;
	struct vserver *v = l->owner;
	struct session *s;
	const char *setting;
	enum reply r;

	addr_unmap(peer);		/* a socket that was left us may be one of both families */
	addr_unmap(here);
	r = newcomer_refusal(v, peer, proxies, false, &setting);
	if (r == R_READY && sessions_room() == 0 && (s = session_new(v, fd, fd, peer, here, l->conf)) != NULL)
		sessions[session_count++] = s;
	else
		session_refuse(v, fd, peer, l->conf, r == R_READY ? R_MEMORY : r, setting);
}

/* No descriptor is left: give up the spare one for as long as it takes to say
 * so to the newcomer.  When even that fails, wait a while instead of spinning. */
static void
admit_nobody(struct listener *l)
{
	struct addr peer, here;
	int fd = -1;

	if (spare != -1 && close(spare) == 0 && (fd = conn_accept(l->fd, &peer, &here)) != -1)
		session_refuse(l->owner, fd, &peer, l->conf, R_FULL, "connections");
	spare = dup(STDIN_FILENO);
	if (fd == -1)
		deaf_until = now.tick + DEAF;
}

static void
listener_step(struct listener *l)
{
	struct addr peer, here;

	for (int n = 0; n < ACCEPT_TURN; n++) {
		int fd = conn_accept(l->fd, &peer, &here);

		if (fd != -1) {
			admit(l, fd, &peer, &here);
			continue;
		}
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR && errno != ECONNABORTED)
			admit_nobody(l);
		return;
	}
}

/* ---- listeners ------------------------------------------------------------------------------- */

static bool
listen_same(const struct listen *a, const struct listen *b)
{
	return addr_same(&a->addr, &b->addr) && a->addr.port == b->addr.port;
}

static struct listener *
listener_of(const struct vserver *v, const struct listen *l)
{
	for (size_t i = 0; i < listener_count; i++)
		if (listeners[i].owner == v && listeners[i].conf == l)
			return &listeners[i];
	return NULL;
}

static void
listener_announce(const struct listener *l)
{
	char text[ADDR_TEXT + 8];
	struct addr here = l->conf->addr;

	conn_here(l->fd, &here);
	log_line("smtpd: \"%s\" listening on %s%s", l->owner->conf->name, addr_text_port(&here, text), l->conf->tls ? " with TLS" : "");
}

static int
listen_on(struct vserver *v, const struct listen *l)
{
	struct listener *more = grow(listeners, &listener_room, listener_count, sizeof *more);
	struct addr a = l->addr;
	char text[ADDR_TEXT + 8];
	int fd;

	if (more == NULL || (listeners = more, slots_reserve(SLOTS_OURS + vservers_slots() + 1)) == -1)
		die(EX_OSERR, "out of memory");
	if ((fd = process_socket(&a)) == -1 && (fd = conn_listen(&a)) == -1) {
		log_line("smtpd: %s:%d: \"%s\" cannot listen on %s: %s", l->place.file, l->place.line,
		    v->conf->name, addr_text_port(&l->addr, text), strerror(errno));
		return -1;
	}
	listeners[listener_count++] = (struct listener){ fd, v, l, 0 };
	return 0;
}

static void
listener_close(size_t i)
{
	close(listeners[i].fd);
	listeners[i] = listeners[--listener_count];
}

static void
listeners_close(const struct vserver *v)
{
	for (size_t i = listener_count; i-- > 0; )
		if (listeners[i].owner == v)
			listener_close(i);
}

/* All that are to be and are not yet; -1: one of them could not. */
static int
listeners_open(struct vserver *v)
{
	int answer = 0;

	for (const struct listen *l = v->conf->listen; l != NULL; l = l->next)
		if (listener_of(v, l) == NULL && listen_on(v, l) == -1)
			answer = -1;
	return answer;
}

/* Those that another configuration has too are its; the others close. */
static void
listeners_move(struct vserver *v, const struct server *to)
{
	for (size_t i = listener_count; i-- > 0; ) {
		const struct listen *l = to->listen;

		if (listeners[i].owner != v)
			continue;
		while (l != NULL && (!listen_same(l, listeners[i].conf) || listener_of(v, l) != NULL))
			l = l->next;
		if (l != NULL)
			listeners[i].conf = l;
		else
			listener_close(i);
	}
}

/* Newcomers may need more room in the poll array, which moves then. */
static void
listeners_step(size_t slot)
{
	for (size_t i = 0; i < listener_count; i++)
		if (slots[slot + listeners[i].slot].revents & POLLIN)
			listener_step(&listeners[i]);
}

/* ---- where one stands ------------------------------------------------------------------------------ */

static const char *const state_name[] = { "stopped", "running", "paused", "stopping", "leaving" };

const char *
vserver_state(const struct vserver *v)
{
	return state_name[v->state];
}

static void
state_set(struct vserver *v, enum vstate state)
{
	v->state = state;
	v->delivers = state == RUNNING || state == PAUSED;
	log_line("smtpd: \"%s\" is %s", v->conf->name, state_name[state]);
}

static char *
state_path(const struct vserver *v, char out[PATH_SIZE], const char *end)
{
	snprintf(out, PATH_SIZE, "%.900s/.state%s", v->conf->mailroot, end);
	return out;
}

/* What the operator said last, or the configuration. */
static enum vstate
state_read(const struct vserver *v)
{
	char path[PATH_SIZE], word[10] = "";
	FILE *f = fopen(state_path(v, path, ""), "r");

	if (f != NULL) {
		if (fscanf(f, "%9s", word) != 1)
			word[0] = '\0';
		fclose(f);
	}
	for (int i = STOPPED; i <= PAUSED; i++)
		if (strcmp(word, state_name[i]) == 0)
			return (enum vstate)i;
	return v->conf->start ? RUNNING : STOPPED;
}

static void
state_remember(const struct vserver *v, enum vstate state)
{
	char temp[PATH_SIZE], path[PATH_SIZE];
	const char *word = state_name[state];

	if (disk_file(state_path(v, temp, ".tmp"), word, strlen(word)) == -1 ||
	    disk_rename(temp, state_path(v, path, "")) == -1)
		log_line("smtpd: %s: %s: that \"%s\" is %s is not remembered after a restart", path, strerror(errno),
		    v->conf->name, word);
}

/* Its directory, by the configuration of today. */
static int
resolver_set(struct vserver *v)
{
	if (v->resolver != NULL)
		return resolver_configure(v->resolver, v->conf);
	if (v->conf->ldap.directories == NULL)
		return 0;
	return (v->resolver = resolver_open(v->conf, v->counts)) != NULL ? 0 : -1;
}

int
vserver_open(struct vserver *v)
{
	char why[1200];

	if ((v->spool = spool_open(v->conf, why, sizeof why)) == NULL) {
		log_line("smtpd: \"%s\": %s", v->conf->name, why);
		return -1;
	}
	outcome_open(v);
	v->watch = watch_open(v);
	if (v->watch == NULL || (v->pickup = pickup_open(v)) == NULL || resolver_set(v) == -1)
		snprintf(why, sizeof why, "out of memory");
	else if (journal_open(&v->journal, v->conf, why, sizeof why) == 0)
		return 0;
	log_line("smtpd: \"%s\": %s", v->conf->name, why);
	vserver_close(v);
	return -1;
}

/* Nothing of it is on its way any more. */
static void
deliveries_forget(struct vserver *v)
{
	expand_forget(v, false);
	dests_forget(v, false);
}

void
vserver_close(struct vserver *v)
{
	if (v->spool == NULL)
		return;
	vservers_commit();
	deliveries_forget(v);
	resolver_close(v->resolver);
	journal_close(v->journal);
	pickup_close(v->pickup);
	watch_close(v->watch);
	spool_close(v->spool);
	v->resolver = NULL;
	v->journal = NULL;
	v->pickup = NULL;
	v->watch = NULL;
	v->spool = NULL;
}

static void
vserver_free(struct vserver *v)
{
	struct vserver **at = &vservers;

	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	listeners_close(v);
	vserver_close(v);
	config_release(v->conf->config);
	free(v);
}

static struct vserver *
vserver_new(const struct server *s)
{
	struct vserver *v = memory(NULL, sizeof *v), **end = &vservers;

	if (v == NULL)
		die(EX_OSERR, "out of memory");
	memset(v, 0, sizeof *v);
	v->conf = s;
	config_hold(s->config);
	while (*end != NULL)
		end = &(*end)->next;
	return *end = v;
}

/* Whatever has reached its end is committed and answered; pipelined input may
 * bring more, but none is read.  Then everybody is told. */
static void
sessions_end(const struct vserver *of)
{
	size_t i;

	do {
		vservers_commit();
		for (i = 0; i < session_count && (sessions[i]->state != COMMIT || (of != NULL && sessions[i]->owner != of)); i++)
			;
	} while (i < session_count);
	for (i = session_count; i-- > 0; )
		if (of == NULL || sessions[i]->owner == of) {
			session_shutdown(sessions[i], R_SHUTDOWN);
			sessions_remove(i);
		}
}

int
vserver_start(struct vserver *v)
{
	if (v->state == RUNNING)
		return 0;
	if (v->state == STOPPED && (listeners_open(v) == -1 || (v->spool == NULL && vserver_open(v) == -1)))
		return -1;
	v->failed = false;
	state_set(v, RUNNING);
	state_remember(v, RUNNING);
	return 0;
}

void
vserver_pause(struct vserver *v)
{
	if (v->state != RUNNING)
		return;
	state_set(v, PAUSED);
	state_remember(v, PAUSED);
}

/* Until it is started again, or the program is. */
static void
vserver_halt(struct vserver *v)
{
	state_set(v, STOPPING);
	sessions_end(v);
	deliveries_forget(v);
	relays_end(v);
}

void
vserver_stop(struct vserver *v)
{
	if (v->state == STOPPED || v->state == STOPPING)
		return;
	state_remember(v, STOPPED);
	vserver_halt(v);
}

static void
vserver_leave(struct vserver *v)
{
	struct view view;

	listeners_close(v);
	state_set(v, LEAVING);
	if (view_open(&view, v->conf, QUEUE, ".eml") == 0 && view_fill(&view, LONG_MAX) == 1 && view.count > 0)
		log_line("smtpd: \"%s\" leaves %lu of its messages in %s, and nobody delivers them until a server has that mailroot",
		    v->conf->name, (unsigned long)view.count, view.folder);
	view_close(&view);
	deliveries_forget(v);
	relays_end(v);
}

/* The turn is over: what is for the logs is written; and who waited for the end
 * of sessions and connections may have come to it. */
void
vservers_tidy(void)
{
	for (struct vserver *v = vservers, *next; v != NULL; v = next) {
		next = v->next;
		journal_write(v->journal);
		if (v->relays > 0 || v->sessions > 0 || (v->state != STOPPING && v->state != LEAVING))
			continue;
		dests_forget(v, false);
		if (v->state == LEAVING) {
			vserver_free(v);
			continue;
		}
		vserver_close(v);
		state_set(v, STOPPED);
	}
}

struct session *
vservers_session(size_t i)
{
	return i < session_count ? sessions[i] : NULL;
}

void
vservers_end(size_t i)
{
	const struct session *s = sessions[i];

	/* Its reply is promised; it, or others, may be over when that is said. */
	for (; i < session_count && sessions[i]->state == COMMIT; ) {
		vservers_commit();
		for (i = 0; i < session_count && sessions[i] != s; i++)
			;
	}
	if (i == session_count)
		return;
	session_shutdown(sessions[i], R_ENDED);
	sessions_remove(i);
}

void
vservers_look(const struct server *s)
{
	vserver_new(s);
}

/* ---- the configuration, and another ------------------------------------------------------------------ */

int
vservers_bind(const struct config *c)
{
	int answer = -1;

	for (const struct server *s = c->servers; s != NULL; s = s->next) {
		struct vserver *v = vserver_new(s);

		v->failed = listeners_open(v) == -1;
		if (v->failed)
			listeners_close(v);
		else
			answer = 0;
	}
	return answer;
}

/* Its mailroot is opened or, if it is to stand still, just there, for the
 * operators' socket and word; -1: it cannot be. */
static int
vserver_begin(struct vserver *v)
{
	enum vstate state = state_read(v);
	char why[1200];

	if (state == STOPPED && spool_mailroot(v->conf, why, sizeof why) == -1) {
		log_line("smtpd: \"%s\": %s", v->conf->name, why);
		return -1;
	}
	if (state != STOPPED && vserver_open(v) == -1)
		return -1;
	v->state = state;
	v->delivers = state != STOPPED;
	return 0;
}

int
vservers_open(void)
{
	int answer = -1;
	struct vserver *v;

	for (v = vservers; v != NULL; v = v->next) {
		if (!v->failed)
			v->failed = vserver_begin(v) == -1;
		if (!v->failed)
			answer = 0;
		else
			log_line("smtpd: \"%s\" is not started", v->conf->name);
	}
	/* All folders are there: now, and not before, say that we listen. */
	for (size_t i = 0; i < listener_count; i++)
		if (!listeners[i].owner->failed)
			listener_announce(&listeners[i]);
	for (v = vservers; v != NULL; v = v->next)
		if (!v->failed && v->state != RUNNING)
			log_line("smtpd: \"%s\" is %s", v->conf->name, state_name[v->state]);
	return answer;
}

/* Which one has this mailroot?  A server may change its name; what makes it the
 * same one is its mail. */
static struct vserver *
vserver_at(const char *mailroot)
{
	for (struct vserver *v = vservers; v != NULL; v = v->next)
		if (strcmp(v->conf->mailroot, mailroot) == 0)
			return v;
	return NULL;
}

static void
vserver_configure(struct vserver *v, const struct server *s)
{
	const struct server *before = v->conf;
	char why[1200];

	listeners_move(v, s);
	journal_close(v->journal);
	config_hold(s->config);
	v->conf = s;
	if (v->spool != NULL) {
		expand_forget(v, true);
		if (resolver_set(v) == -1) {
			resolver_close(v->resolver);
			v->resolver = NULL;
			log_line("smtpd: \"%s\": out of memory: its directory is not asked, and mail for our domains waits", s->name);
		}
	}
	config_release(before->config);
	memset(v->drop, 0, sizeof v->drop);
	if (v->spool == NULL)
		return;
	if (journal_open(&v->journal, s, why, sizeof why) == -1)
		log_line("smtpd: \"%s\": %s; it has no log", s->name, why);
	if (spool_configure(v->spool, s, why, sizeof why) == -1) {
		log_line("smtpd: \"%s\": %s", s->name, why);
		vserver_halt(v);
		return;
	}
	dests_forget(v, true);
	watch_again(v->watch);
}

/* One of the new configuration, which may be running. */
static void
vserver_renew(const struct server *s)
{
	struct vserver *v = vserver_at(s->mailroot);
	size_t before = listener_count;

	if (v == NULL) {
		v = vserver_new(s);
		v->failed = true;
	} else if (v->state == LEAVING) {	/* it comes back before it was gone */
		enum vstate state = state_read(v);

		vserver_configure(v, s);
		state_set(v, v->spool == NULL ? STOPPED : state == PAUSED ? PAUSED : RUNNING);
	}
	if (listeners_open(v) == 0 && v->failed)
		v->failed = vserver_begin(v) == -1;
	if (v->failed)
		log_line("smtpd: \"%s\" is not started", s->name);
	for (size_t i = before; i < listener_count; i++)
		listener_announce(&listeners[i]);
}

void
vservers_reload(const struct config *c)
{
	const struct server *s;
	struct vserver *v;

	for (s = c->servers; s != NULL; s = s->next)
		if ((v = vserver_at(s->mailroot)) != NULL && v->state != LEAVING)
			vserver_configure(v, s);
	for (v = vservers; v != NULL; v = v->next)
		if (v->state != LEAVING && v->conf->config != c)
			vserver_leave(v);
	for (s = c->servers; s != NULL; s = s->next)
		vserver_renew(s);
}

/* ---- in the loop ---------------------------------------------------------------------------------------- */

/* One more for each: its directory. */
size_t
vservers_slots(void)
{
	size_t n = listener_count + SESSION_SLOTS * session_count;

	for (const struct vserver *v = vservers; v != NULL; v = v->next)
		n++;
	return n;
}

size_t
vservers_want(struct pollfd *slot, msec *until)
{
	size_t n = 0;

	for (size_t i = 0; i < listener_count; i++) {
		listeners[i].slot = n;
		slot[n++] = (struct pollfd){ deaf_until > now.tick ? -1 : listeners[i].fd, POLLIN, 0 };
	}
	if (deaf_until > now.tick && deaf_until < *until)
		*until = deaf_until;
	for (size_t i = 0; i < session_count; i++) {
		sessions[i]->slot = n;
		n += session_want(sessions[i], &slot[n], until);
	}
	for (struct vserver *v = vservers; v != NULL; v = v->next) {
		if (v->spool != NULL && spool_pending(v->spool))
			*until = now.tick;
		resolver_want(v->resolver, &slot[n++], until);
		if (v->delivers) {
			spool_want(v->spool, until);
			expand_want(v, until);
			pickup_want(v->pickup, until);
			watch_want(v->watch, until);
		}
	}
	return n;
}

void
vservers_step(size_t slot)
{
	for (struct vserver *v = vservers; v != NULL; v = v->next)
		resolver_step(v->resolver);
	sessions_step(slot);
	listeners_step(slot);
}

/* What is ours is delivered; the rest goes to its destinations' queues. */
static void
deliver(struct vserver *v, struct message *m)
{
	if (drop_deliver(v, m) && dests_route(v, m) == -1)
		spool_later(v->spool, &m->id);
	spool_release(m);
}

static void
route_ready(struct vserver *v)
{
	struct message *m;

	while ((m = spool_ready(v->spool)) != NULL)
		if (!expand_take(v, m))
			deliver(v, m);
	while ((m = expand_ready(v)) != NULL)
		deliver(v, m);
}

void
vservers_work(void)
{
	for (struct vserver *v = vservers; v != NULL; v = v->next)
		if (v->delivers) {
			pickup_step(v->pickup);
			spool_step(v->spool);
			route_ready(v);
			watch_step(v->watch);
		}
}

/* Has any message reached its end since the last commit? */
bool
vservers_pending(void)
{
	for (struct vserver *v = vservers; v != NULL; v = v->next)
		if (v->spool != NULL && spool_pending(v->spool))
			return true;
	return false;
}

void
vservers_commit(void)
{
	struct vserver *v;

	if (!vservers_pending())
		return;
	for (v = vservers; v != NULL; v = v->next)
		if (v->spool != NULL)
			spool_sync(v->spool);
	sessions_committed();
	for (v = vservers; v != NULL; v = v->next)
		if (v->spool != NULL) {
			spool_settle(v->spool);
			route_ready(v);
		}
	sessions_resume();
}

void
vservers_limit(long long most)
{
	spare = dup(STDIN_FILENO);
	session_most = most;
}

/* What is on its way to others is waited for, a little: ended in between, it
 * would be sent again. */
static void
relays_finish(void)
{
	msec until = now.tick + STOP_WAIT, due;
	size_t n;

	relays_limit(0);
	for (; relays_doubtful() && now.tick < until; clock_turn(), relays_step(slots, n)) {
		due = until;
		n = relays_want(slots, slots_room(), &due);
		if (poll(slots, (nfds_t)n, due <= now.tick ? 0 : (int)(due - now.tick)) == -1)
			n = 0;
	}
	relays_close();
	vservers_commit();
}

void
vservers_close(void)
{
	while (listener_count > 0)
		listener_close(listener_count - 1);
	sessions_end(NULL);
	relays_finish();
	while (vservers != NULL)
		vserver_free(vservers);
	free(listeners);
	free(sessions);
}
