/*
 * sendmail.c - what programs call: sendmail, mailq, newaliases.
 *
 * None of them needs the server, nor any right but one: sendmail adds a file to
 * Pickup, mailq reads Queue.
 *
 *	sendmail [flags] address ...	a message from standard input
 *	sendmail -t [flags]		the same, its recipients from its header
 *	sendmail -bs			a session on standard input and output
 *	mailq, sendmail -bp		what waits in the queues
 *
 * A message is made whole here (message_complete), so that whoever calls hears
 * at once what is wrong with it; and 0 means what 250 means: it is on disk.
 * The flags are those of forty years; callers mean a handful of them, and the
 * rest is passed over.
 *
 * In -bs the conversation is the server's own (session.c), with a spool that
 * ends in Pickup.  Who speaks by two pipes may send to anywhere, as he might
 * with a file; who comes by a socket, by way of inetd, is a client like others.
 */
#include "smtpd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READ_OCTETS 65536	/* of standard input at a time */
#define WORD_OCTETS 60		/* of a name in one encoded word, RFC 2047 */
#define NAME_OCTETS 256
#define LONG_WAIT   1000	/* ms, until a signal that came too early is seen */

/* Flags with a value, in the same word or the next one; and without.  Of any
 * other the value is in the same word, if it has one: none eats an address. */
static const char valued[] = "bBCDFfhLMNOorRVX", alone[] = "GIimnstTUvx";

/* What was asked for. */
struct call {
	char mode;			/* of -b */
	bool extract, dots, verbose, run;	/* -t -i -v -q */
	bool marked;			/* the flags ended in -- */
	const char *config, *sender, *name, *body, *notify, *ret, *envid;
	char **address;			/* up to a NULL */
	bool no_input;			/* standard input is closed */
};

bool
sendmail_called(const char *name)
{
	const char *slash = strrchr(name, '/');

	name = slash ? slash + 1 : name;
	return strcmp(name, "sendmail") == 0 || strcmp(name, "mailq") == 0 || strcmp(name, "newaliases") == 0;
}

/* ---- the flags ----------------------------------------------------------------- */

static void
call_value(struct call *c, char flag, const char *value)
{
	switch (flag) {
	case 'b': c->mode = *value; break;
	case 'B': c->body = value; break;
	case 'C': c->config = value; break;
	case 'F': c->name = value; break;
	case 'f':
	case 'r': c->sender = value; break;
	case 'N': c->notify = value; break;
	case 'R': c->ret = value; break;
	case 'V': c->envid = value; break;
	case 'o': c->dots |= *value == 'i'; break;
	default: break;
	}
}

/* One word of flags; the value of its last one may be the next word. */
static char **
call_word(struct call *c, char **argv)
{
	for (char *at = *argv + 1; *at != '\0'; at++) {
		if (strchr(valued, *at) != NULL) {
			if (at[1] == '\0' && argv[1] == NULL)
				die(EX_USAGE, "-%c has no value", *at);
			call_value(c, *at, at[1] != '\0' ? at + 1 : *++argv);
			break;
		}
		c->extract |= *at == 't';
		c->dots |= *at == 'i';
		c->verbose |= *at == 'v';
		c->run |= *at == 'q';
		if (strchr(alone, *at) == NULL)
			break;
	}
	return argv + 1;
}

static void
call_read(struct call *c, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];

	memset(c, 0, sizeof *c);
	c->mode = strcmp(name, "mailq") == 0 ? 'p' : strcmp(name, "newaliases") == 0 ? 'i' : 'm';
	argv++;
	while (*argv != NULL && !c->marked && (*argv)[0] == '-' && (*argv)[1] != '\0')
		if ((c->marked = strcmp(*argv, "--") == 0))
			argv++;
		else
			argv = call_word(c, argv);
	c->address = argv;
	for (; !c->marked && *argv != NULL; argv++)
		if (**argv == '-')
			die(EX_USAGE, "'%s' stands behind an address; flags come first, or -- before such an address", *argv);
}

static const char *
config_file(const struct call *c)
{
	static const char *const usual[] = { "/etc/smtpd.conf", "/usr/local/etc/smtpd.conf" };
	const char *file = c->config ? c->config : getenv("SMTPD_CONF");

	/* With rights of its own, it is not the caller who says where they are used. */
	if (file != NULL && (geteuid() != getuid() || getegid() != getgid()))
		die(EX_NOPERM, "-C and SMTPD_CONF are not for one who runs with another's rights");
	for (size_t i = 0; file == NULL && i < sizeof usual / sizeof *usual; i++)
		if (access(usual[i], F_OK) == 0)
			file = usual[i];
	return file;
}

/* ---- who calls -------------------------------------------------------------------- */

static void
user_find(char login[NAME_OCTETS], char name[NAME_OCTETS])
{
	const struct passwd *pw = getpwuid(getuid());
	const char *gecos = pw && pw->pw_gecos ? pw->pw_gecos : "";
	struct path p;
	size_t n = 0;

	snprintf(login, NAME_OCTETS, "%s", pw ? pw->pw_name : "");
	if (path_parse(&p, login) == -1 || *login == '\0' || p.domain != NULL)
		snprintf(login, NAME_OCTETS, "uid%ld", (long)getuid());
	for (; *gecos != '\0' && *gecos != ',' && n < NAME_OCTETS - 1; gecos++)
		if (*gecos == '&') {		/* his login, as a name */
			n += (size_t)snprintf(name + n, NAME_OCTETS - n, "%s", login);
			if (n >= NAME_OCTETS)
				n = NAME_OCTETS - 1;
		} else
			name[n++] = *gecos;
	name[n] = '\0';
}

/* A display name as a phrase of RFC 5322, or in encoded words of RFC 2047. */
static void
name_add(struct buf *b, const char *name)
{
	bool quoted = !eight_bit(name, strlen(name));
	size_t word = 0;

	for (buf_addf(b, quoted ? "\"" : "=?utf-8?q?"); *name != '\0'; name++) {
		unsigned char c = (unsigned char)*name < ' ' || *name == 127 ? ' ' : (unsigned char)*name;

		if (quoted)
			buf_addf(b, "%s%c", c == '"' || c == '\\' ? "\\" : "", c);
		else {
			if (word >= WORD_OCTETS - 12 && (c & 0xc0) != 0x80) {	/* none is cut in two */
				buf_addf(b, "?=\r\n =?utf-8?q?");
				word = 0;
			}
			word += 3;
			buf_addf(b, "=%02X", c);
		}
	}
	buf_addf(b, quoted ? "\" " : "?= ");
}

/* The sender, for the envelope; and the From of a message that has none. */
static void
sender_find(const struct call *c, const struct server *s, struct path *p, struct buf *from)
{
	char login[NAME_OCTETS], gecos[NAME_OCTETS];
	const char *name = c->name, *address;
	struct path own;

	user_find(login, gecos);
	if (path_parse(&own, login) == -1 || path_complete(&own, s->home->name) == -1)
		die(EX_CONFIG, "%s is too long a domain for %s", s->home->name, login);
	*p = own;
	if (c->sender != NULL && strcmp(c->sender, "") != 0 && path_parse(p, c->sender) == -1)
		die(EX_DATAERR, "'%s' is no sender's address", c->sender);
	if (c->sender != NULL && strcmp(c->sender, "") == 0)
		p->text[0] = '\0';
	if (p->text[0] != '\0' && p->domain == NULL && path_complete(p, s->home->name) == -1)
		die(EX_DATAERR, "'%s' is too long an address", c->sender);
	address = p->text[0] != '\0' ? p->text : own.text;
	if (name == NULL && c->sender == NULL)
		name = gecos;
	if (name != NULL && *name != '\0' && utf8_valid(name, strlen(name)))
		name_add(from, name);
	buf_addf(from, from->len > 0 ? "<%s>" : "%s", address);
}

/* ---- the message ---------------------------------------------------------------------- */

/* Does a line that is but a dot end it?  *line is where the last one begins. */
static bool
dot_ends(struct buf *b, size_t *line, bool last)
{
	while (*line < b->len) {
		char *at = b->data + *line, *lf = memchr(at, '\n', b->len - *line);
		size_t n = lf ? (size_t)(lf - at) : b->len - *line;

		if (lf == NULL && !last)
			break;
		if (at[0] == '.' && (n == 1 || (n == 2 && at[1] == '\r'))) {
			b->len = *line;
			return true;
		}
		*line += n + (lf != NULL);
	}
	return false;
}

static void
message_read(const struct call *c, const struct server *s, struct buf *b)
{
	static char octets[READ_OCTETS];
	size_t line = 0;
	ssize_t n = 1;
	bool over = false;

	while (n != 0 && !over) {
		if ((n = c->no_input ? -1 : read(STDIN_FILENO, octets, sizeof octets)) == -1 && errno == EINTR)
			continue;
		if (n == -1)
			die(EX_IOERR, "standard input cannot be read: %s", strerror(c->no_input ? EBADF : errno));
		if (buf_add(b, octets, (size_t)n) == -1)
			die(EX_TEMPFAIL, "out of memory");
		over = !c->dots && dot_ends(b, &line, n == 0);
		if ((long long)b->len > s->max_size)
			die(EX_DATAERR, "the message is too large: %lld octets at most (max-size)", s->max_size);
	}
}

/* The value of -N, -R, -V or -B joins args as the parameter of RCPT or MAIL
 * that it is. */
static void
parameter_read(const struct server *s, char flag, const char *name, const char *value, struct buf *args)
{
	struct buf text = { 0 };
	struct tx tx;
	enum reply r;

	if (value == NULL)
		return;
	memset(&tx, 0, sizeof tx);
	if (buf_addf(&text, "%s=%s", name, value) == -1)
		die(EX_TEMPFAIL, "out of memory");
	r = strpbrk(value, " \t") ? R_PARAMETER_VALUE : parameters_take(&tx, s, text.data, flag != 'N', args, &name);
	if (r != R_NOOP || tx.body == BODY_BINARYMIME)
		die(r == R_MEMORY ? EX_TEMPFAIL : EX_USAGE, "-%c cannot have that value", flag);
	buf_free(&text);
}

/* Sender, recipients that were named, parameters. */
static void
envelope_make(const struct call *c, const struct server *s, struct envelope *e, struct buf *from)
{
	struct buf args = { 0 };
	struct path p;
	const char *why = NULL;

	sender_find(c, s, &p, from);
	parameter_read(s, 'R', "RET", c->ret, &args);
	parameter_read(s, 'V', "ENVID", c->envid, &args);
	if (c->body != NULL && text_compare(c->body, "7BIT") != 0)	/* the text shows whether it is */
		parameter_read(s, 'B', "BODY", c->body, &args);
	if (from->torn || envelope_sender(e, p.text, args.data) == -1)
		die(EX_TEMPFAIL, "out of memory");
	buf_free(&args);
	for (char **a = c->address; *a != NULL; a++)
		if (envelope_addresses(e, *a, strlen(*a), s, &why) == -1)
			die(why ? EX_DATAERR : EX_TEMPFAIL, "'%s' cannot be sent to: %s", *a, why ? why : "out of memory");
	if (e->count == 0 && !c->extract)
		die(EX_DATAERR, "nobody to send to: name addresses, or say -t to have them taken from the header");
}

static void
envelope_notify(const struct call *c, const struct server *s, struct envelope *e)
{
	struct buf args = { 0 };

	parameter_read(s, 'N', "NOTIFY", c->notify, &args);
	for (size_t i = 0; args.len > 0 && i < e->count; i++)
		if ((e->rcpt[i].args = text_copy(args.data)) == NULL)
			die(EX_TEMPFAIL, "out of memory");
	buf_free(&args);
}

static void
pickup_failed(const struct server *s, int error)
{
	int status = error == EACCES || error == EPERM ? EX_NOPERM :
	    error == ENOENT || error == ENOTDIR || error == EROFS || error == ELOOP || error == EFBIG ? EX_CANTCREAT : EX_TEMPFAIL;

	die(status, "%s/Pickup: %s%s", s->mailroot, strerror(error), error != ENOENT ? "" : s->mailroot[0] == '/' ?
	    "; the server makes it at its first start" : "; a mailroot that begins with / is found from everywhere");
}

/* Into Pickup, and on disk. */
static void
message_submit(const struct server *s, const struct id *id, struct envelope *e, const struct buf *text)
{
	struct spool *sp = spool_open_pickup(s);
	struct message *m = sp ? spool_new(id) : NULL;
	int error = sp == NULL ? errno : m == NULL ? ENOMEM : spool_room(sp, (long long)text->len);

	if (error == 0) {
		m->env = *e;
		memset(e, 0, sizeof *e);
		if (spool_create(sp, m, "") == -1 || spool_write(m, text->data, text->len) == -1) {
			error = m->error;
			spool_abandon(sp, m);
		} else {
			spool_commit(sp, m);
			spool_sync(sp);
			error = m->state == MESSAGE_KEPT ? 0 : m->error;
			spool_settle(sp);
		}
	}
	if (error != 0)
		pickup_failed(s, error);
	spool_close(sp);
}

static int
deliver(const struct call *c, const struct server *of)
{
	struct server s = *of;
	struct envelope e = { 0 };
	struct buf in = { 0 }, out = { 0 }, from = { 0 };
	struct draft d = { .server = &s, .extract = c->extract, .spoken = true };
	char text[ID_SIZE];
	const char *why;
	struct id id;

	s.hidden = 0;			/* that is for who comes by SMTP */
	envelope_make(c, &s, &e, &from);
	message_read(c, &s, &in);
	id_next(&id);
	d.id = id_text(&id, text);
	d.from = from.data;
	d.text = in.data ? in.data : "";
	d.n = in.len;
	if (d.n > 5 && memcmp(d.text, "From ", 5) == 0) {	/* of a mailbox file */
		const char *lf = memchr(d.text, '\n', d.n);

		d.n -= lf ? (size_t)(lf + 1 - d.text) : d.n;
		d.text += lf ? lf + 1 - d.text : 0;
	}
	if (message_complete(&e, &out, &d, &why) == -1)
		die(why ? EX_DATAERR : EX_TEMPFAIL, "the message was not sent: %s", why ? why : "out of memory");
	if ((long long)out.len > s.max_size)
		die(EX_DATAERR, "the message is too large: %lld octets at most (max-size)", s.max_size);
	envelope_notify(c, &s, &e);
	message_submit(&s, &id, &e, &out);
	envelope_free(&e);
	buf_free(&in);
	buf_free(&out);
	buf_free(&from);
	return 0;
}

/* ---- a session -------------------------------------------------------------------------- */

static volatile sig_atomic_t ended;

static void
on_signal(int number)
{
	(void)number;
	ended = 1;
}

/* As the loop of the server does it, for one. */
static void
converse(struct session *s, struct spool *sp)
{
	int answer = 0;

	while (answer == 0 && !ended) {
		msec until = now.tick + LONG_WAIT;
		struct pollfd slot[2] = { { .fd = -1 }, { .fd = -1 } };
		size_t n;
		int ready;

		n = session_want(s, slot, &until);
		ready = poll(slot, (nfds_t)n, until <= now.tick ? 0 : (int)(until - now.tick));
		clock_turn();
		if (ready > 0 && slot[0].fd != s->conn.fd)
			slot[0].revents = POLLOUT;	/* of the other pipe */
		else if (ready <= 0)
			slot[0].revents = slot[1].revents = 0;
		answer = session_step(s, slot);
		while (spool_pending(sp)) {
			spool_sync(sp);
			receive_committed(s);
			spool_settle(sp);
			answer = session_resume(s);
		}
	}
	if (ended)
		session_shutdown(s, R_SHUTDOWN);
}

/* Who is there?  By a pipe he is us, and may do what he could with a file. */
static int
session_open(struct vserver *v, struct server *s, struct session **session)
{
	struct addr peer = { 4, { 127, 0, 0, 1 }, 0 }, here = peer;
	struct client client = { .rdns = RDNS_UNASKED };
	int to = STDOUT_FILENO;

	v->conf = s;
	if (conn_peer(STDIN_FILENO, &peer) == 0) {
		conn_here(STDIN_FILENO, &here);
		to = STDIN_FILENO;
		client.addr = peer;
		if (policy_connect(s, &client).reply != R_READY) {
			session_refuse(v, STDIN_FILENO, &peer, NULL, R_DENIED, "connect");
			return EX_NOPERM;
		}
		if (config_secure(s->config) == -1)
			return EX_CONFIG;
		fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
	} else {
		s->relay = s->connect = (struct access){ .only = false };
		s->reverse_dns = REVERSE_OFF;
		s->line_endings = ENDINGS_EITHER;
	}
	*session = session_new(v, STDIN_FILENO, to, &peer, &here, NULL);
	return *session == NULL ? EX_TEMPFAIL : 0;
}

/* Standard error may be the connection too: nothing is said there. */
static int
speak(const struct server *of)
{
	struct sigaction a = { .sa_handler = on_signal };
	struct server s = *of;
	struct vserver v = { .state = RUNNING };
	struct session *session;
	int status, null;

	dns_configure(of->config->resolvers, of->config->hosts);
	if ((v.spool = spool_open_pickup(&s)) == NULL)
		pickup_failed(&s, errno);
	if ((null = open("/dev/null", O_WRONLY)) != -1) {
		dup2(null, STDERR_FILENO);
		close(null);
	}
	sigemptyset(&a.sa_mask);
	sigaction(SIGTERM, &a, NULL);
	sigaction(SIGINT, &a, NULL);
	sigaction(SIGHUP, &a, NULL);
	signal(SIGPIPE, SIG_IGN);
	if ((status = session_open(&v, &s, &session)) == 0) {
		converse(session, v.spool);
		session_free(session);
	}
	spool_close(v.spool);
	return status;
}

/* ---- what waits ---------------------------------------------------------------------------- */

/* Is it on its way, or next in line?  The folder does not tell more. */
static bool
entry_active(const struct entry *e, const struct server *s, bool running)
{
	bool waits = e->env.count > 0;

	for (size_t i = 0; i < e->env.count; i++)
		waits &= e->env.rcpt[i].outcome != RCPT_OPEN || route_held(s, e->env.rcpt[i].address);
	return running && e->why == NULL && !waits && e->next <= now.wall / 1000;
}

/* The form that Postfix gave it, which eyes and programs know. */
static void
entry_print(const struct entry *e, bool held, bool active, const struct server *s, bool first)
{
	char id[ID_SIZE + 1], safe[WORDS_SIZE], words[WORDS_SIZE], last[WORDS_SIZE] = "", when[40];
	const char *sender = e->env.sender && *e->env.sender ? e->env.sender : "MAILER-DAEMON";
	time_t arrival = (time_t)e->id.second;
	int blank;

	id_text(&e->id, id);
	if (held || active)
		memcpy(id + strlen(id), held ? "!" : "*", 2);
	strftime(when, sizeof when, "%a %b %e %H:%M:%S ", localtime(&arrival));
	if (first)
		puts("-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------");
	printf("%s%-11s %7lld %20.20s %s\n", first ? "" : "\n", id, e->size, when, e->why ? "?" :
	    text_safe(safe, sizeof safe, sender, strlen(sender)));
	if (e->why != NULL)
		printf("%*s(%s)\n", (int)(strlen(e->why) < 76 ? 76 - strlen(e->why) : 0), "", e->why);
	for (size_t i = 0; i < e->env.count; i++) {
		const struct recipient *r = &e->env.rcpt[i];

		if (r->outcome != RCPT_OPEN)
			continue;
		entry_words(e, s, r, words);
		if (strcmp(words, last) != 0) {
			memcpy(last, words, sizeof last);
			text_safe(safe, sizeof safe, *words ? words : "reason unavailable", strlen(*words ? words : "reason unavailable"));
			blank = 76 - (int)strlen(safe);
			printf("%*s(%s)\n", blank > 0 ? blank : 0, "", safe);
		}
		printf("%-11s %7s %-20s %s\n", "", "", "", text_safe(safe, sizeof safe, r->address, strlen(r->address)));
	}
}

/* One object a line, with the names that Postfix uses, and some more. */
static void
entry_json(const struct entry *e, bool held, bool active, const struct server *s)
{
	const char *queue = held ? "hold" : active ? "active" : "deferred";
	char id[ID_SIZE], words[WORDS_SIZE];
	struct buf b = { 0 };
	const char *comma = "";

	buf_addf(&b, "{\"server\": ");
	json_text(&b, s->name);
	buf_addf(&b, ", \"queue_name\": \"%s\", \"queue_id\": \"%s\", \"arrival_time\": %lld, \"message_size\": %lld, "
	    "\"next_attempt\": %lld, \"sender\": ", queue, id_text(&e->id, id), e->id.second, e->size, e->next);
	json_text(&b, e->env.sender ? e->env.sender : "");
	if (e->why != NULL) {
		buf_addf(&b, ", \"error\": ");
		json_text(&b, e->why);
	}
	buf_addf(&b, ", \"recipients\": [");
	for (size_t i = 0; i < e->env.count; i++) {
		if (e->env.rcpt[i].outcome != RCPT_OPEN)
			continue;
		buf_addf(&b, "%s{\"address\": ", comma);
		json_text(&b, e->env.rcpt[i].address);
		if (*entry_words(e, s, &e->env.rcpt[i], words) != '\0') {
			buf_addf(&b, ", \"delay_reason\": ");
			json_text(&b, words);
		}
		buf_addf(&b, "}");
		comma = ", ";
	}
	buf_addf(&b, "]}");
	puts(b.torn ? "{}" : b.data);
	buf_free(&b);
}

/* The queue of a server, what is held in it behind the rest; how many they are. */
static int
queue_print(const struct server *s, bool json, unsigned long *count, long long *octets)
{
	static const char *const ends[] = { ".eml", ".held" };
	bool running = check_running(s) != 0, active;
	struct entry e;
	struct view v;
	int error;

	for (int held = 0; held < 2; held++) {
		if (view_open(&v, s, QUEUE, ends[held]) == -1 || view_fill(&v, LONG_MAX) == -1) {
			error = errno;
			log_line("mailq: %s: %s", v.folder, strerror(error));
			return error == EACCES ? EX_NOPERM : error == ENOMEM ? EX_TEMPFAIL : EX_NOINPUT;
		}
		for (; view_next(&v, &e) == 1; entry_free(&e)) {
			active = !held && entry_active(&e, s, running);
			if (json)
				entry_json(&e, held, active, s);
			else
				entry_print(&e, held, active, s, *count == 0);
			++*count;
			*octets += e.size;
		}
		view_close(&v);
	}
	return 0;
}

/* Those of all servers, one after the other. */
static int
queues_print(const struct config *config, bool json)
{
	unsigned long count = 0;
	long long octets = 0;
	int status = 0, failed;

	for (const struct server *s = config->servers; s != NULL; s = s->next)
		if ((failed = queue_print(s, json, &count, &octets)) != 0)
			status = failed;
	if (!json && count > 0)
		printf("\n-- %lld Kbytes in %lu Request%s.\n", octets / 1024, count, count == 1 ? "" : "s");
	else if (!json && status == 0)
		puts("Mail queue is empty");
	return fflush(stdout) == 0 ? status : EX_IOERR;
}

/* ---- the command ------------------------------------------------------------------------------ */

int
sendmail_main(char **argv)
{
	struct config *config;
	struct call c;
	int status = 0;
	bool no_input = process_descriptors();

	call_read(&c, argv);
	c.no_input = no_input;
	if (c.run && c.mode == 'm' && *c.address == NULL && !c.extract) {
		puts("The server runs its queue by itself; SIGUSR1 has it try all of it now.");
		return 0;
	}
	if (c.mode == 'i')
		return 0;		/* there is nothing to be rebuilt */
	if (strchr("mps", c.mode) == NULL)
		die(EX_USAGE, "-b%c is not for this sendmail; the server is started as smtpd", c.mode);
	random_open();
	signal(SIGXFSZ, SIG_IGN);
	if ((config = config_load(config_file(&c))) == NULL)
		return EX_CONFIG;
	if (c.mode == 'p')
		status = queues_print(config, c.verbose);
	else
		status = c.mode == 's' ? speak(config->servers) : deliver(&c, config->servers);
	config_release(config);
	return status;
}
