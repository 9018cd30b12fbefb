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
 *	what is due is delivered or queued	(drop_deliver, dests_route, relays_start)
 *	before a commit, those who are ready by now go on, a few times
 *	THE COMMIT of all that reached its end	(spool_sync)
 *	its replies are made ready		(receive_committed)
 *	delivery of what was committed		(spool_settle, drop_deliver)
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
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS    20	/* kept for a turn's Pickup files, and to look around */
#define OPEN_MOST      10240
#define ROUNDS         6	/* more looks around before a sync */
#define FOREVER        (3600 * 1000LL)

static const char *config_file;		/* or NULL: the embedded default */
static const char *server;		/* options: for sub-commands, */
static bool json, only_check, in_syslog;	/* and others */
static struct config *config;		/* of today */
static int signal_pipe[2];

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
		if (v->delivers)
			spool_retry(v->spool);
}

/* Whoever started us is told that we serve. */
static void
tell_ready(void)
{
	int running = 0, all = 0;

	for (const struct vserver *v = vservers; v != NULL; v = v->next, all++)
		running += v->state == RUNNING;
	process_notify("READY=1\nSTATUS=%d of %d virtual servers running", running, all);
}

/* SIGHUP: another configuration takes its place; the first lives until its last
 * session has ended.  A wrong one changes nothing. */
static int
reload(void)
{
	struct config *c;

	process_reloading();
	c = config_load(config_file);
	if (c == NULL || config_secure(c) == -1) {
		if (c != NULL)
			config_release(c);
		log_line("smtpd: the configuration is wrong, and nothing has changed");
		tell_ready();
		return -1;
	}
	dns_configure(c->resolvers, c->hosts);
	vservers_reload(c);
	control_open(c);
	config_release(config);
	config = c;
	log_line("smtpd: the configuration was read again");
	tell_ready();
	return 0;
}

/* What operators ask of the loop itself; true: to end. */
static bool
wishes_grant(void)
{
	struct buf lines = { 0 };
	enum wish wish;
	int status;

	while ((wish = control_wish()) != WISH_NONE) {
		log_copy = wish == WISH_RELOAD ? &lines : NULL;
		status = wish == WISH_RELOAD && reload() == -1 ? EX_CONFIG : 0;
		log_copy = NULL;
		control_granted(status, &lines);
		buf_free(&lines);
		if (wish == WISH_SHUTDOWN)
			return true;
	}
	return false;
}

/* The signals that came; true when one of them ends us. */
static bool
signals_step(void)
{
	bool over = false;
	char c;

	while (read(signal_pipe[0], &c, 1) == 1) {
		if (c == SIGHUP)
			reload();
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

/* Divide what our own needs have left: all below the next one are in use. */
static void
descriptors_divide(void)
{
	struct rlimit l;
	long long most = LLONG_MAX;
	int next = dup(STDIN_FILENO);

	if (next != -1)
		close(next);
	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur != RLIM_INFINITY)
		most = ((long long)l.rlim_cur - next - 2 - DESCRIPTORS) / 3;
	if (most < 1)
		most = 1;
	vservers_limit(most);
	if (most != LLONG_MAX)
		relays_limit((size_t)(most + 1) / 2);
}

/* A slot for each who waits: the signals, the virtual servers; and the relays,
 * as far as memory for their slots can be had. */
static size_t
slots_fill(msec *until, size_t *server_slot, size_t *relay_slot)
{
	size_t n = 1;

	slots_reserve(SLOTS_OURS + vservers_slots() + relays_count());
	slots[0] = (struct pollfd){ signal_pipe[0], POLLIN, 0 };
	n += control_want(slots + n, until);
	*server_slot = n;
	n += vservers_want(slots + n, until);
	dests_want(until);
	counts_want(config, until);
	*relay_slot = n;
	return n + relays_want(slots + n, slots_room() - n, until);
}

/* Wait, at most until this tick, and let those go on who can; how many. */
static int
turn_sessions(msec until)
{
	size_t server_slot, relay_slot, n = slots_fill(&until, &server_slot, &relay_slot);
	int ready = poll(slots, (nfds_t)n, until <= now.tick ? 0 : (int)(until - now.tick));

	if (ready == -1)
		for (size_t i = 0; i < n; i++)
			slots[i].revents = 0;	/* a signal: its octet is in the pipe */
	clock_turn();
	vservers_step(server_slot);
	relays_step(slots + relay_slot, n - relay_slot);
	return ready;
}

/* One turn; false when it was the last.  A sync takes as long as hundreds of
 * steps; so before one, those who are ready by now are let on: more messages
 * reach their end and share it. */
static bool
turn(void)
{
	turn_sessions(now.tick + FOREVER);
	vservers_work();
	dests_step();
	relays_start();
	for (int i = 0; i < ROUNDS && vservers_pending() && turn_sessions(now.tick) > 0; i++)
		;
	vservers_commit();
	control_step(1, config);
	vservers_tidy();
	counts_step(config);
	if (wishes_grant())
		return false;
	return !signals_step();
}

static void
usage(void)
{
	fputs("usage: smtpd [-f FILE] [-u USER] [-sTv]\n"
	    "                          run it; without -f on 127.0.0.1:2525, in ./mailroot\n"
	    "       smtpd [-f FILE] -n    read the configuration, report, and end\n"
	    "       smtpd [-f FILE] [-u USER] check\n"
	    "                          try what it names: folders, addresses, names\n"
	    "       smtpd [-f FILE] new-server [NAME [ADDRESS:PORT [MAILROOT [DOMAIN]]]]\n"
	    "       smtpd [-f FILE] new-domain [SERVER [NAME [KIND [SMART-HOST [RELAY]]]]]\n"
	    "                          add one to FILE, by default smtpd.conf\n"
	    "       smtpd [-f FILE] password [-S SERVER] [-i ITERATIONS] [[-r] USER]\n"
	    "                          an account, or remove it; without USER list them\n"
	    "       smtpd explain [NAME]  what a setting means; all of them\n"
	    "       smtpd [-f FILE] why FROM RCPT [ADDRESS [NAME]]\n"
	    "                          what the rules say to this mail from this client\n"
	    "       smtpd [-f FILE] [-S SERVER] [--json] status\n"
	    "                          and sessions, queue, badmail, start, stop, pause,\n"
	    "                          resume, reload, shutdown: see smtpd(8)\n"
	    "       smtpd sendmail [FLAGS] ...\n"
	    "                          what programs call; mailq; also by these names\n"
	    "       smtpd -V              the version\n", stderr);
	exit(EX_USAGE);
}

/* "smtpd explain [NAME]"; "manual" is for those who print the manual. */
static int
explain(const char *file, int count, char **words)
{
	(void)file;
	if (count > 1)
		usage();
	if (count == 1 && strcmp(words[0], "manual") == 0) {
		settings_manual();
		return 0;
	}
	return settings_explain(count == 1 ? words[0] : NULL) == 0 ? 0 : EX_USAGE;
}

static int
check_all(const char *file, int count, char **words)
{
	(void)words;
	if (count > 0)
		usage();
	return check(file);
}

/* What else we can do than serve: FILE is of -f, or NULL; the words follow the
 * command's name, and the answer is the exit status. */
static const struct {
	const char *name;
	int (*run)(const char *file, int count, char **words);
} commands[] = {
	{ "check", check_all },
	{ "explain", explain },
	{ "new-domain", wizard_domain },
	{ "new-server", wizard_server },
	{ "password", password },
	{ "why", why },
};

static int
command(int count, char **words)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(commands[i].name, words[0]) == 0)
			return commands[i].run(config_file, count - 1, words + 1);
	log_line("smtpd: there is no sub-command '%s'", text_shown(words[0]));
	usage();
	return EX_USAGE;
}

/* Nobody is heard before root is given up. */
static void
begin(void)
{
	bool bound = vservers_bind(config) == 0;

	process_sockets_end();
	process_confine(config->chroot);
	for (const struct server *s = config->servers; s != NULL; s = s->next)
		process_folder(s->mailroot);
	if (process_become())
		log_line("smtpd: running as user %ld, group %ld", (long)geteuid(), (long)getegid());
	if (!bound || vservers_open() == -1)
		die(EX_UNAVAILABLE, "no server could be started");
}

static void
serve(void)
{
	process_may(config->chroot);
	random_open();
	tzset();
	dns_configure(config->resolvers, config->hosts);
	descriptors_raise();
	signals_open();
	if (slots_reserve(SLOTS_OURS) == -1)
		die(EX_OSERR, "out of memory");
	begin();
	control_open(config);
	descriptors_divide();
	tell_ready();
	while (turn())
		;
	process_notify("STOPPING=1\nSTATUS=shutting down");
	log_line("smtpd: shutting down");
	control_close();
	vservers_close();
}

/* Those before the next word; the + keeps glibc from moving words about. */
static void
options(int argc, char **argv)
{
	const char *why;
	int option;

	while ((option = getopt(argc, argv, "+f:jnsS:u:vTV")) != -1)
		switch (option) {
		case 'f': config_file = optarg; break;
		case 'j': json = true; break;
		case 'n': only_check = true; break;
		case 's': in_syslog = true; break;
		case 'S': server = optarg; break;
		case 'u':
			if ((why = process_user(optarg)) != NULL)
				die(EX_CONFIG, "-u %s: %s", text_shown(optarg), why);
			break;
		case 'v': log_verbose = true; break;
		case 'T': log_tracing = true; break;
		case 'V': printf("smtpd " SMTPD_VERSION "%s%s\n", tls_built ? ", with TLS by " : ", without TLS", tls_built ? tls_library() : ""); exit(0);
		default: usage();
		}
}

int
main(int argc, char **argv)
{
	static char short_json[] = "-j";
	int count = 0;

	clock_turn();
	if ((argc > 0 && sendmail_called(argv[0])) || (argc > 1 && strcmp(argv[1], "-bs") == 0))
		return sendmail_main(argv);
	if (argc > 1 && sendmail_called(argv[1]))
		return sendmail_main(argv + 1);
	process_begin();
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--json") == 0)
			argv[i] = short_json;	/* getopt knows no long ones */
	options(argc, argv);
	while (optind < argc) {			/* the words go behind argv[0] */
		argv[++count] = argv[optind++];
		if (optind < argc && argv[optind][0] == '-' && strcmp(argv[1], "password") != 0)
			options(argc, argv);
	}
	if (count > 0 && console_knows(argv[1]))
		return console(config_file, server, json, count, argv + 1);
	if (server != NULL || json)
		usage();
	if (count > 0)
		return command(count, argv + 1);
	if ((config = config_load(config_file)) == NULL)
		return EX_CONFIG;
	if (config_secure(config) == -1)
		return EX_CONFIG;
	config_identify(config);
	if (in_syslog && !only_check)
		log_to_syslog();
	if (!only_check)
		serve();
	config_release(config);
	return 0;
}
