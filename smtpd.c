/*
 * smtpd.c - main, the loop, the virtual servers and their listeners.
 *
 * A turn of the loop:
 *
 *	everybody says what he waits for	(…_want)
 *	poll
 *	the clock is read
 *	those who can go on do			(session_step, relays_step)
 *	newcomers are let in
 *	Pickup and the schedule			(pickup_step, spool_step)
 *	what is due elsewhere goes there	(dests_route, relays_start)
 *	before a commit, those who are ready by now go on, a few times
 *	THE COMMIT of all that reached its end	(spool_sync)
 *	its replies are made ready		(session_committed)
 *	delivery of what was committed		(spool_settle)
 *	the replies leave			(session_resume)
 *
 * Who is turned away when a table is full is decided here, in advance: the
 * newcomer, with 421.  A session needs one descriptor, and one more for the
 * file of its message, and so does a relay; of those that there are, the
 * sessions get two thirds.
 */
#include "smtpd.h"

#include <sys/resource.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCEPT_TURN    64	/* newcomers a listener lets in each turn */
#define DESCRIPTORS    20	/* kept for a turn's Pickup files, and to look around */
#define DEAF           1000	/* after a failure to let anybody in, ms */
#define OPEN_MOST      10240
#define STOP_WAIT      5000	/* for replies to messages we have sent, ms */
#define ROUNDS         6	/* more looks around before a sync */
#define FOREVER        (3600 * 1000LL)
#define EX_USAGE       64	/* sysexits.h, which POSIX lacks */
#define EX_UNAVAILABLE 69
#define EX_OSERR       71
#define EX_CONFIG      78

/* A socket that listens for one of them. */
struct listener {
	int fd;
	struct vserver *owner;
	size_t slot;			/* in the poll array */
};

static struct vserver *vservers;
static struct listener *listeners;
static size_t listener_count;
static struct session **sessions;
static struct pollfd *slots;		/* room for all of them, always */
static size_t session_count, session_room, slot_room;
static size_t relay_slot, relay_slots;	/* the part of slots that is the relays' */
static long long session_most;		/* what our descriptors allow */
static int spare = -1;			/* a descriptor to answer with when none is left */
static msec deaf_until;			/* no newcomers before this tick: see admit_nobody */
static int signal_pipe[2];

/* ---- sessions --------------------------------------------------------------- */

/* Forget one that is over; another takes its place in the table. */
static void
sessions_remove(size_t i)
{
	session_free(sessions[i]);
	sessions[i] = sessions[--session_count];
}

static void
sessions_step(void)
{
	for (size_t i = 0; i < session_count; ) {
		struct session *s = sessions[i];
		short events = slots[s->slot].revents;
		int answer = 0;

		if (events != 0 || s->deadline <= now.tick)
			answer = session_step(s, events & (POLLIN | POLLHUP | POLLERR));
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
			session_committed(sessions[i]);
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
 * out.  The array has a slot for the signals and each listener too. */
static int
sessions_room(void)
{
	struct session **more = grow(sessions, &session_room, session_count, sizeof *more);
	struct pollfd *slot = grow(slots, &slot_room, 1 + listener_count + session_count, sizeof *slot);

	if (more != NULL)
		sessions = more;
	if (slot != NULL)
		slots = slot;
	return more == NULL || slot == NULL ? -1 : 0;
}

/* ---- newcomers ---------------------------------------------------------------------------- */

static long long
sessions_from(const struct vserver *v, const struct addr *a)
{
	long long n = 0;

	for (size_t i = 0; i < session_count; i++)
		n += sessions[i]->owner == v && addr_same(&sessions[i]->conn.peer, a);
	return n;
}

/* Who is turned away when a table is full: the newcomer. */
static enum reply
newcomer_refusal(const struct vserver *v, const struct addr *peer, const char **setting)
{
	const struct server *conf = v->conf;

	*setting = "connect";
	if (policy_connect(conf, peer).reply != R_READY)
		return R_DENIED;
	*setting = "connections";
	if (v->sessions >= conf->connections || (long long)session_count >= session_most)
		return R_FULL;
	*setting = "connections-per-client";
	if (conf->connections_per_client != UNLIMITED && sessions_from(v, peer) >= conf->connections_per_client)
		return R_CLIENT_FULL;
	return R_READY;
}

static void
admit(struct vserver *v, int fd, const struct addr *peer, const struct addr *here)
{
	const char *setting;
	enum reply r = newcomer_refusal(v, peer, &setting);
	struct session *s;

	if (r == R_READY && sessions_room() == 0 && (s = session_new(v, fd, peer, here)) != NULL)
		sessions[session_count++] = s;
	else
		session_refuse(v, fd, peer, r == R_READY ? R_MEMORY : r, setting);
}

/* No descriptor is left: give up the spare one for as long as it takes to say
 * so to the newcomer.  When even that fails, wait a while instead of spinning. */
static void
admit_nobody(struct listener *l)
{
	struct addr peer, here;
	int fd = -1;

	if (spare != -1 && close(spare) == 0 && (fd = conn_accept(l->fd, &peer, &here)) != -1)
		session_refuse(l->owner, fd, &peer, R_FULL, "connections");
	spare = open("/dev/null", O_RDONLY);
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
			admit(l->owner, fd, &peer, &here);
			continue;
		}
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR && errno != ECONNABORTED)
			admit_nobody(l);
		return;
	}
}

static void
listeners_step(void)
{
	for (size_t i = 0; i < listener_count; i++)
		if (slots[listeners[i].slot].revents & POLLIN)
			listener_step(&listeners[i]);
}

/* ---- virtual servers ------------------------------------------------------------------------ */

static void
listen_on(struct vserver *v, const struct listen *l)
{
	struct listener *more = memory(listeners, (listener_count + 1) * sizeof *more);
	struct addr a = l->addr;
	char text[ADDR_TEXT + 8];
	int fd;

	if (more == NULL)
		die(EX_OSERR, "out of memory");
	listeners = more;
	if ((fd = conn_listen(&a)) == -1)
		die(EX_UNAVAILABLE, "%s:%d: \"%s\" cannot listen on %s: %s", l->place.file, l->place.line,
		    v->conf->name, addr_text_port(&l->addr, text), strerror(errno));
	listeners[listener_count++] = (struct listener){ fd, v, 0 };
	if (sessions_room() == -1)
		die(EX_OSERR, "out of memory");
	log_line("smtpd: \"%s\" listening on %s", v->conf->name, addr_text_port(&a, text));
}

static void
vservers_start(const struct config *c)
{
	struct vserver *v, **end = &vservers;
	const struct server *s;
	char why[1200];

	for (s = c->servers; s != NULL; s = s->next) {
		if ((v = memory(NULL, sizeof *v)) == NULL)
			die(EX_OSERR, "out of memory");
		memset(v, 0, sizeof *v);
		v->conf = s;
		if ((v->spool = spool_open(s, why, sizeof why)) == NULL)
			die(EX_UNAVAILABLE, "\"%s\": %s", s->name, why);
		if ((v->pickup = pickup_open(v->spool, s)) == NULL)
			die(EX_OSERR, "\"%s\": out of memory", s->name);
		*end = v;
		end = &v->next;
	}
	/* All folders are there: now, and not before, say that we listen. */
	for (v = vservers; v != NULL; v = v->next)
		for (const struct listen *l = v->conf->listen; l != NULL; l = l->next)
			listen_on(v, l);
}

/* Has any message reached its end since the last commit? */
static bool
pending(void)
{
	for (struct vserver *v = vservers; v != NULL; v = v->next)
		if (spool_pending(v->spool))
			return true;
	return false;
}

/* Sync, deliver, say so. */
static void
vservers_commit(void)
{
	struct vserver *v;

	if (!pending())
		return;
	for (v = vservers; v != NULL; v = v->next)
		spool_sync(v->spool);
	sessions_committed();
	for (v = vservers; v != NULL; v = v->next)
		spool_settle(v->spool);
	sessions_resume();
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
		n = relays_want(slots, slot_room, &due);
		if (poll(slots, (nfds_t)n, due <= now.tick ? 0 : (int)(due - now.tick)) == -1)
			n = 0;
	}
	vservers_commit();
	relays_close();
}

/* In order: no newcomers; what has reached its end is committed and answered
 * (pipelined input may bring more, but none is read); everybody is told; what
 * is on its way to others arrives. */
static void
vservers_stop(void)
{
	struct vserver *v;
	size_t i;

	for (i = 0; i < listener_count; i++)
		close(listeners[i].fd);
	free(listeners);
	do {
		vservers_commit();
		for (i = 0; i < session_count && sessions[i]->state != COMMIT; i++)
			;
	} while (i < session_count);
	for (i = 0; i < session_count; i++) {
		session_shutdown(sessions[i]);
		session_free(sessions[i]);
	}
	session_count = 0;
	relays_finish();
	free(sessions);
	free(slots);
	while ((v = vservers) != NULL) {
		vservers = v->next;
		pickup_close(v->pickup);
		spool_close(v->spool);
		free(v);
	}
}

/* ---- the loop ---------------------------------------------------------------------------------- */

static void
on_signal(int number)
{
	int error = errno;
	char c = (char)number;

	if (write(signal_pipe[1], &c, 1) == -1)
		c = 0;		/* the pipe is full: we are about to look anyway */
	errno = error;
}

static void
signals_open(void)
{
	static const int caught[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	struct sigaction a;

	memset(&a, 0, sizeof a);
	sigemptyset(&a.sa_mask);
	if (pipe(signal_pipe) == -1)
		die(EX_OSERR, "no pipe: %s", strerror(errno));
	for (int i = 0; i < 2; i++)
		fcntl(signal_pipe[i], F_SETFL, O_NONBLOCK);
	a.sa_handler = on_signal;
	for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
		sigaction(caught[i], &a, NULL);
	a.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &a, NULL);
	sigaction(SIGXFSZ, &a, NULL);	/* a file too large is an error, not the end */
}

/* SIGUSR1: whatever waits is tried now. */
static void
retry_all(void)
{
	log_line("smtpd: SIGUSR1: all that waits is tried now");
	dests_retry();
	for (struct vserver *v = vservers; v != NULL; v = v->next)
		spool_retry(v->spool);
}

/* The signals that came; true when one of them ends us. */
static bool
signals_step(void)
{
	bool over = false;
	char c;

	while (read(signal_pipe[0], &c, 1) == 1) {
		if (c == SIGHUP)
			log_line("smtpd: SIGHUP: reloading is not in this build yet; restart instead");
		else if (c == SIGUSR1)
			retry_all();
		else
			over = true;
	}
	return over;
}

static void
descriptors_raise(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == -1)
		return;
	l.rlim_cur = l.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &l) == -1) {
		l.rlim_cur = OPEN_MOST;		/* macOS: no more than OPEN_MAX */
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

/* Divide what our own needs have left: all below the spare one are in use. */
static void
descriptors_divide(void)
{
	struct rlimit l;

	spare = open("/dev/null", O_RDONLY);
	session_most = LLONG_MAX;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur != RLIM_INFINITY)
		session_most = ((long long)l.rlim_cur - spare - 1 - DESCRIPTORS) / 3;
	if (session_most < 1)
		session_most = 1;
	if (session_most != LLONG_MAX)
		relays_limit((size_t)(session_most + 1) / 2);
}

/* A slot for each who waits: the signals, the listeners, the sessions; and the
 * relays, as far as memory for their slots can be had. */
static size_t
slots_fill(msec *until)
{
	size_t n = 0, all = 1 + listener_count + session_count + relays_count();
	struct pollfd *more = all > slot_room ? memory(slots, all * 2 * sizeof *more) : NULL;

	if (more != NULL) {
		slots = more;
		slot_room = all * 2;
	}
	slots[n++] = (struct pollfd){ signal_pipe[0], POLLIN, 0 };
	for (size_t i = 0; i < listener_count; i++) {
		listeners[i].slot = n;
		slots[n++] = (struct pollfd){ deaf_until > now.tick ? -1 : listeners[i].fd, POLLIN, 0 };
	}
	if (deaf_until > now.tick && deaf_until < *until)
		*until = deaf_until;
	for (size_t i = 0; i < session_count; i++) {
		sessions[i]->slot = n;
		session_want(sessions[i], &slots[n++], until);
	}
	for (struct vserver *v = vservers; v != NULL; v = v->next) {
		spool_want(v->spool, until);
		pickup_want(v->pickup, until);
	}
	dests_want(until);
	relay_slot = n;
	relay_slots = relays_want(slots + n, slot_room - n, until);
	return n + relay_slots;
}

/* Wait, at most until this tick, and let those go on who can; how many. */
static int
turn_sessions(msec until)
{
	size_t n = slots_fill(&until);
	int ready = poll(slots, (nfds_t)n, until <= now.tick ? 0 : (int)(until - now.tick));

	if (ready == -1)
		for (size_t i = 0; i < n; i++)
			slots[i].revents = 0;	/* a signal: its octet is in the pipe */
	clock_turn();
	sessions_step();
	relays_step(slots + relay_slot, relay_slots);
	listeners_step();
	return ready;
}

/* What is due elsewhere goes to its destinations' queues. */
static void
route_ready(struct vserver *v)
{
	struct message *m;

	while ((m = spool_ready(v->spool)) != NULL) {
		if (dests_route(v, m) == -1)
			spool_later(v->spool, &m->id);
		spool_release(m);
	}
}

/* One turn; false when it was the last.  A sync takes as long as hundreds of
 * steps; so before one, those who are ready by now are let on: more messages
 * reach their end and share it. */
static bool
turn(void)
{
	turn_sessions(now.tick + FOREVER);
	for (struct vserver *v = vservers; v != NULL; v = v->next) {
		pickup_step(v->pickup);
		spool_step(v->spool);
		route_ready(v);
	}
	dests_step();
	relays_start();
	for (int i = 0; i < ROUNDS && pending() && turn_sessions(now.tick) > 0; i++)
		;
	vservers_commit();
	return !signals_step();
}

static void
usage(void)
{
	fputs("usage: smtpd [-f FILE] [-v] [-T]     serve; without -f on 127.0.0.1:2525, ./mailroot\n"
	    "       smtpd [-f FILE] -n             read the configuration, report, and end\n"
	    "       smtpd explain [NAME]           what a setting means; all of them\n"
	    "       smtpd -V                       the version\n", stderr);
	exit(EX_USAGE);
}

/* "smtpd explain [NAME]"; "manual" is for those who print the manual. */
static int
explain(int argc, char **argv)
{
	if (argc > 2 || strcmp(argv[0], "explain") != 0)
		usage();
	if (argc == 2 && strcmp(argv[1], "manual") == 0) {
		settings_manual();
		return 0;
	}
	return settings_explain(argv[1]) == 0 ? 0 : EX_USAGE;
}

static void
serve(const struct config *config)
{
	random_open();
	dns_configure(config->resolvers, config->hosts);
	descriptors_raise();
	signals_open();
	vservers_start(config);
	descriptors_divide();
	while (turn())
		;
	log_line("smtpd: shutting down");
	vservers_stop();
}

int
main(int argc, char **argv)
{
	const char *file = NULL;
	bool only_check = false;
	struct config *config;
	int option;

	if (argc > 1 && argv[1][0] != '-')
		return explain(argc - 1, argv + 1);
	while ((option = getopt(argc, argv, "f:nvTV")) != -1)
		switch (option) {
		case 'f': file = optarg; break;
		case 'n': only_check = true; break;
		case 'v': log_verbose = true; break;
		case 'T': log_tracing = true; break;
		case 'V': puts("smtpd " SMTPD_VERSION ", without TLS"); return 0;
		default: usage();
		}
	if (optind < argc)
		usage();
	clock_turn();
	if ((config = config_load(file)) == NULL)
		return EX_CONFIG;
	if (!only_check)
		serve(config);
	config_free(config);
	return 0;
}
