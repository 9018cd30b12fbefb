/*
 * session.c - the conversation in which we are the server, RFC 5321.
 *
 * The states of a session, who speaks next, and what is allocated:
 *
 *	PROXY	client	nothing; a proxy, who is to say first for whom it speaks
 *	NEWCOMER we	nothing; it has, and the client is about to be judged
 *	SECURE	both	TLS is agreed on, at once or after STARTTLS
 *	NAMING	we	lookup: its name is asked for, for a rule needs it
 *	GREET	client	nothing; it has not said who it is
 *	IDLE	client	helo; no transaction
 *	AUTH	client	auth: it says who it is, see login.c
 *	PROVING	we	auth: what it says is looked at; nothing is read
 *	MAIL	client	tx: a sender, no recipient yet
 *	RCPT	client	tx: and recipients
 *	LOOKING	we	tx, asking: the directory is to say who one is; nothing is read
 *	DATA	client	tx, its file in SortTemp: content up to CRLF.CRLF
 *	CHUNK	client	the octets of a BDAT; without tx they are thrown away
 *	CHUNKS	client	tx, its file: between two BDATs
 *	COMMIT	we	the message is the batch's; nothing is read
 *		(then, until the batch is delivered, `answered`: 250 waits)
 *	CLOSE	we	replies are drained, then what is left to read
 *
 *	PROXY -> NEWCOMER -> SECURE -> NAMING -> GREET
 *	IDLE -> SECURE -> GREET, and what was said before is forgotten
 *	IDLE <-> AUTH <-> PROVING -> IDLE
 *	GREET -> IDLE <-> MAIL -> RCPT -> DATA -> COMMIT -> IDLE
 *	                  MAIL, RCPT <-> LOOKING
 *	                          RCPT -> CHUNK <-> CHUNKS; CHUNK -> COMMIT
 *
 * What is true: tx != NULL exactly in MAIL, RCPT, LOOKING, DATA, CHUNKS and, when its
 * chunk is wanted, CHUNK.  A session in COMMIT has its message in tx->m, which
 * belongs to the spool.  conn.peer is the client from NEWCOMER on.  In NAMING
 * input is not asked for once there is some.
 *
 * How content is received, from DATA or BDAT to the end of COMMIT, is told in
 * receive.c; how something is said, and held back (tarpit), in reply.c.
 */
#include "smtpd.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUT_OCTETS 65536	/* replies waiting; beyond, we stop reading */
#define PROXY_WAIT 10000	/* for the header of the PROXY protocol, ms */
#define SECURE_WAIT 60000	/* for TLS to be agreed on, ms */
#define AHEAD       25		/* recipients in line that are asked about at a time */
#define SHAKES      16		/* handshakes that go on in a turn: each may take a millisecond */

/* ---- verbs ---------------------------------------------------------------------------- */

/* ATRN and TURN are for those who can say who they are. */
static bool
offers(const struct session *s, int extension)
{
	if (extension == EXT_STARTTLS && (s->conf->tls == NULL || s->conn.tls != NULL || conn_piped(&s->conn)))
		return false;
	if (extension == EXT_AUTH && login_mechanisms(s) == 0)
		return false;
	return config_offers(s->conf, extension) &&
	    (s->account != NULL || login_mechanisms(s) != 0 || !(extension & (EXT_ATRN | EXT_TURN)));
}

struct verb;
typedef void handler(struct session *, const struct verb *, char *argument);

static handler do_hello, do_mail, do_rcpt, do_data, do_bdat, do_rset, do_noop, do_vrfy,
    do_help, do_quit, do_starttls, do_auth, do_etrn, do_turn, do_absent, do_foreign;

#define IN(state) (1u << (state))
#define ANY       (IN(GREET) | IN(IDLE) | IN(MAIL) | IN(RCPT) | IN(CHUNKS))

static const struct verb {
	const char *name;
	handler *act;
	unsigned states;	/* in which it may be said */
	bool flush;		/* ends a pipelined group: RFC 2920 3.1 */
	bool bare;		/* takes no argument */
	bool open;		/* whatever must come first, RFC 3207 4, RFC 4954 4 */
	int extension;		/* that brought it, or 0 */
	const char *syntax;	/* NULL: not shown by HELP */
} verbs[] = {
	{ "HELO", do_hello, ANY, true, false, true, 0, "HELO domain" },
	{ "EHLO", do_hello, ANY, true, false, true, 0, "EHLO domain" },
	{ "MAIL", do_mail, IN(IDLE), false, false, false, 0, "MAIL FROM:<address> [parameters]" },
	{ "RCPT", do_rcpt, IN(MAIL) | IN(RCPT), false, false, false, 0, "RCPT TO:<address> [parameters]" },
	{ "DATA", do_data, IN(RCPT), true, true, false, 0, "DATA" },
	{ "BDAT", do_bdat, ANY, false, false, true, EXT_CHUNKING, "BDAT size [LAST]" },
	{ "RSET", do_rset, ANY, false, true, true, 0, "RSET" },
	{ "NOOP", do_noop, ANY, true, false, true, 0, "NOOP [anything]" },
	{ "VRFY", do_vrfy, ANY, true, false, false, 0, "VRFY address" },
	{ "HELP", do_help, ANY, true, false, true, EXT_HELP, "HELP [verb]" },
	{ "QUIT", do_quit, ANY, true, true, true, 0, "QUIT" },
	{ "EXPN", do_absent, ANY, true, false, false, 0, NULL },	/* there are no lists */
	{ "STARTTLS", do_starttls, IN(IDLE), true, true, true, EXT_STARTTLS, "STARTTLS" },
	{ "STARTTLS", do_absent, ANY, true, false, true, 0, NULL },
	{ "AUTH", do_auth, IN(IDLE), true, false, true, EXT_AUTH, "AUTH mechanism [response]" },
	{ "AUTH", do_absent, ANY, true, false, true, 0, NULL },
	{ "ETRN", do_etrn, IN(IDLE), true, false, false, EXT_ETRN, "ETRN [@|#]node" },
	{ "ATRN", do_turn, IN(IDLE), true, false, false, EXT_ATRN, "ATRN [domain,...]" },
	{ "TURN", do_turn, IN(IDLE), true, true, false, EXT_TURN, "TURN" },
	{ "ETRN", do_absent, ANY, true, false, false, 0, NULL },
	{ "TURN", do_absent, ANY, true, false, false, 0, NULL },
	{ "ATRN", do_absent, ANY, true, false, false, 0, NULL },
	/* A browser that was made to talk to us; its body would be commands. */
	{ "GET", do_foreign, ANY, true, false, true, 0, NULL },
	{ "POST", do_foreign, ANY, true, false, true, 0, NULL },
	{ "PUT", do_foreign, ANY, true, false, true, 0, NULL },
	{ "CONNECT", do_foreign, ANY, true, false, true, 0, NULL },
};

#define VERBS (sizeof verbs / sizeof *verbs)

/* A verb that may not be said now: which one should come first? */
static enum reply
order_refusal(const struct session *s, const struct verb *v)
{
	return s->state == GREET ? R_HELLO_FIRST : s->state == CHUNKS ? R_IN_CHUNKS :
	    v->states == IN(IDLE) ? R_NESTED : s->state == IDLE ? R_MAIL_FIRST : R_RCPT_FIRST;
}

/* What EHLO offers, one line each: RFC 5321 4.1.1.1. */
static void
ehlo_line(char *out, size_t size, const struct session *s, size_t i, char dash)
{
	int n = snprintf(out, size, "250%c%s", dash, extension_name[i]), mechanisms = login_mechanisms(s);

	if (1 << i == EXT_SIZE && s->conf->max_size != UNLIMITED)
		snprintf(out + n, size - (size_t)n, " %lld", s->conf->max_size);
	else if (1 << i == EXT_LIMITS)
		snprintf(out + n, size - (size_t)n, " RCPTMAX=%lld", s->conf->max_recipients);
	for (int m = 0; 1 << i == EXT_AUTH && m < MECH_COUNT; m++)
		if (mechanisms & 1 << m)
			n += snprintf(out + n, size - (size_t)n, " %s", mechanism_name[m]);
}

static void
say_hello(struct session *s)
{
	const struct server *conf = s->conf;
	char line[DOMAIN_MAX + 100], who[ADDR_TEXT + 8];
	size_t left = 0;

	for (size_t i = 0; s->esmtp && i < EXT_COUNT; i++)
		left += offers(s, 1 << i);
	snprintf(line, sizeof line, "250%c%s greets %s", left ? '-' : ' ', conf->hostname,
	    addr_literal(&s->conn.peer, who));
	reply_verbatim(s, line, "5321 4.1.1.1");
	for (size_t i = 0; left > 0 && i < EXT_COUNT; i++)
		if (offers(s, 1 << i)) {
			ehlo_line(line, sizeof line, s, i, --left ? '-' : ' ');
			reply_verbatim(s, line, "");
		}
}

/* What a client may call itself: printable, and harmless in a header. */
static bool
helo_valid(const char *name)
{
	size_t n = strlen(name);

	if (n > DOMAIN_MAX)
		return false;
	for (const char *c = name; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~' || strchr("\"(),;<>\\", *c) != NULL)
			return false;
	return n > 0;
}

static void
do_hello(struct session *s, const struct verb *v, char *argument)
{
	char *helo;

	if (*argument == '\0') {
		reply(s, R_SYNTAX, v->syntax);
		return;
	}
	if (!helo_valid(argument)) {
		reply(s, R_BAD_HELO);
		return;
	}
	if ((helo = text_copy(argument)) == NULL) {
		reply_close(s, R_MEMORY);
		return;
	}
	free(s->helo);
	s->helo = helo;
	s->esmtp = v->name[0] == 'E';
	tx_end(s);
	say_hello(s);
}

/* "FROM:" or "TO:", spaces after it forgiven, then the path.  What follows
 * the path is left in *argument; NULL when it has been answered. */
static char *
path_argument(struct session *s, const struct verb *v, char *argument, const char *word,
    struct path *p, enum reply bad)
{
	const char *at = argument + strlen(word);

	if (!text_prefix(argument, word) || *(at += strspn(at, " ")) != '<') {
		reply(s, R_SYNTAX, v->syntax);
		return NULL;
	}
	if (path_read(p, &at) == -1 || (*at != '\0' && *at != ' ' && *at != '\t')) {
		reply(s, bad);
		return NULL;
	}
	return argument + (at - argument);
}

/* The parameters: 0 and what to keep in args, or -1 answered. */
static int
take_parameters(struct session *s, char *text, bool of_mail, struct buf *args)
{
	const char *name;
	enum reply r = parameters_take(s->tx, s->conf, text, of_mail, args, &name);

	if (r == R_NOOP)
		return 0;
	if (r == R_SIZE)
		reply_size(s);
	else if (r == R_MEMORY)
		reply_close(s, r);
	else
		reply(s, r, name);
	return -1;
}

/* RFC 6409 4.2: would others know which domain that is? */
static bool
qualified(const struct server *s, const struct path *p)
{
	return p->domain != NULL && (*p->domain == '[' || strchr(p->domain, '.') != NULL || config_domain(s, p->domain) != NULL);
}

static void
do_mail(struct session *s, const struct verb *v, char *argument)
{
	const struct server *conf = s->conf;
	struct buf args = { 0 };
	struct path p;

	if (s->received >= conf->max_session) {
		reply_because(s, "max-session");
		reply_close(s, R_SESSION);
		return;
	}
	if ((argument = path_argument(s, v, argument, "FROM:", &p, R_BAD_SENDER)) == NULL)
		return;
	if (s->submission && p.text[0] != '\0' && !qualified(conf, &p)) {
		reply(s, R_SENDER_BARE, p.text);
		return;
	}
	if (p.text[0] != '\0' && p.domain == NULL && path_complete(&p, conf->home->name) == -1) {
		reply(s, R_BAD_SENDER);
		return;
	}
	if ((s->tx = tx_new()) == NULL) {
		reply_close(s, R_MEMORY);
		return;
	}
	s->tx->trusted = s->account != NULL;
	if (take_parameters(s, argument, true, &args) == -1) {
		tx_end(s);
	} else if (spool_room(s->owner->spool, s->tx->announced) != 0) {
		reply(s, R_SPACE);
		tx_end(s);
	} else if (p.eight && !s->tx->utf8) {
		reply(s, R_UTF8);
		tx_end(s);
	} else if (envelope_sender(&s->tx->m->env, p.text, args.data) == -1) {
		tx_end(s);
		reply_close(s, R_MEMORY);
	} else {
		s->state = MAIL;
		reply(s, R_SENDER, p.text);
	}
	buf_free(&args);
}

/* -1 when it has been refused; 1, the directory is to say. */
static int
recipient_allowed(struct session *s, const struct path *p)
{
	struct verdict v = policy_recipient(s->conf, &s->client, p);

	if (v.reply == R_RECIPIENT && v.ask)
		return 1;
	if (v.reply == R_RECIPIENT && v.local && v.members == 0 && !drop_quota(s->owner, p->text))
		v = (struct verdict){ .reply = R_QUOTA, .setting = "quota" };
	if (v.reply == R_RECIPIENT && s->tx->members + v.members > MEMBERS_MAX)
		v = (struct verdict){ .reply = R_RCPTS, .setting = "aliases" };
	if (v.reply == R_RECIPIENT) {
		s->tx->members += v.members;
		return 0;
	}
	reply_because(s, v.setting);
	reply(s, v.reply, p->text);
	return -1;
}

/* A bare local part, or one at the very address it came to, is ours. */
static int
recipient_complete(const struct session *s, struct path *p)
{
	struct addr a;

	if (p->domain != NULL && literal_parse(&a, p->domain, strlen(p->domain)) == 0 && addr_same(&a, &s->conn.here)) {
		p->text[p->domain - 1 - p->text] = '\0';
		p->domain = NULL;
	}
	return p->domain != NULL ? 0 : path_complete(p, s->conf->home->name);
}

static void
recipient_take(struct session *s, const char *address, const char *args)
{
	struct message *m = s->tx->m;

	if (!envelope_has(&m->env, address) && envelope_add(&m->env, address, args) == -1) {
		tx_end(s);
		reply_close(s, R_MEMORY);
		return;
	}
	s->state = RCPT;
	reply(s, R_RECIPIENT, address);
}

static void
asking_end(struct session *s)
{
	if (s->asking == NULL)
		return;
	inquiry_end(s->asking->inquiry);
	free(s->asking->address);
	free(s->asking->args);
	free(s->asking);
	s->asking = NULL;
}

/* In LOOKING: is the answer there? */
static bool
asking_over(const struct session *s)
{
	return s->asking->inquiry == NULL || inquiry_answer(s->asking->inquiry) != NULL;
}

static void
asking_answered(struct session *s)
{
	struct asking *a = s->asking;
	const struct person *p = a->inquiry ? inquiry_answer(a->inquiry) : NULL;
	const char *words = p == NULL ? "(too much is asked)" : p->dn ? p->dn : p->words ? p->words : "(nobody)";

	if (!asking_over(s))
		return;
	s->state = s->tx->m->env.count > 0 ? RCPT : MAIL;
	s->deadline = now.tick + s->conf->timeout;
	reply_trace(s, '=', words, strlen(words), "RFC 4511 4.5");
	reply_because(s, "schema");
	if (p == NULL || p->known == KNOWN_LATER || a->address == NULL)
		reply(s, R_DIRECTORY_LATER, a->address ? a->address : "");
	else if (p->known == KNOWN_NOBODY)
		reply(s, R_NOBODY, a->address);
	else if (p->known == KNOWN_PERSON && p->host == NULL && p->forward.len == 0 && !drop_quota(s->owner, person_mailbox(s->conf, p, a->address)))
		reply(s, R_QUOTA, a->address);
	else
		recipient_take(s, a->address, a->args);
	asking_end(s);
}

/* The recipients of the commands that have come behind this one, RFC 2920, are
 * asked about with it: else each would wait for the one before. */
static void
recipients_ahead(struct session *s)
{
	size_t n;
	const char *line = conn_peek(&s->conn, &n), *end = line + n, *lf, *at;
	char command[PATH_OCTETS + 20];
	struct path p;
	struct verdict v;

	for (; s->ahead < AHEAD && (lf = memchr(line, '\n', (size_t)(end - line))) != NULL; line = lf + 1, s->ahead++) {
		n = (size_t)(lf - line) < sizeof command ? (size_t)(lf - line) : sizeof command - 1;
		memcpy(command, line, n);
		command[n] = '\0';
		at = command + 8;
		if (!text_prefix(command, "RCPT TO:<"))
			return;
		if (path_read(&p, &at) == -1 || p.text[0] == '\0' || recipient_complete(s, &p) == -1)
			continue;
		v = policy_recipient(s->conf, &s->client, &p);
		if (v.reply == R_RECIPIENT && v.ask)
			inquiry_ahead(s->owner->resolver, p.text);
	}
}

static void
recipient_ask(struct session *s, const char *address, const char *args)
{
	struct asking *a = s->asking = memory(NULL, sizeof *a);

	if (a == NULL) {
		reply(s, R_DIRECTORY_LATER, address);
		return;
	}
	a->inquiry = s->owner->resolver ? inquiry_begin(s->owner->resolver, address) : NULL;
	a->address = text_copy(address);
	a->args = args ? text_copy(args) : NULL;
	s->state = LOOKING;
	if (s->ahead == 0 && s->owner->resolver != NULL)
		recipients_ahead(s);
	asking_answered(s);		/* it may be known */
}

static void
do_rcpt(struct session *s, const struct verb *v, char *argument)
{
	struct buf args = { 0 };
	struct path p;

	s->ahead -= s->ahead > 0;
	if ((argument = path_argument(s, v, argument, "TO:", &p, R_BAD_RECIPIENT)) == NULL)
		return;
	if (s->submission && p.text[0] != '\0' && !qualified(s->conf, &p) && !names_postmaster(p.text)) {
		reply(s, R_RECIPIENT_BARE, p.text);
		return;
	}
	if (p.text[0] == '\0' || recipient_complete(s, &p) == -1) {
		reply(s, R_BAD_RECIPIENT);
		return;
	}
	if (take_parameters(s, argument, false, &args) == -1) {
		/* it has been answered */
	} else if (p.eight && !s->tx->utf8) {
		reply(s, R_UTF8);
	} else if ((long long)s->tx->m->env.count >= s->conf->max_recipients) {
		reply_because(s, "max-recipients");
		reply(s, R_RCPTS);
	} else {
		int allowed = recipient_allowed(s, &p);

		if (allowed == 1)
			recipient_ask(s, p.text, args.data);
		else if (allowed == 0)
			recipient_take(s, p.text, args.data);
	}
	buf_free(&args);
}

static void
do_data(struct session *s, const struct verb *v, char *argument)
{
	(void)v, (void)argument;
	receive_data(s);
}

/* What must come before all but a few verbs; R_READY: nothing. */
static enum reply
must_first(const struct session *s)
{
	if (s->conf->require_tls && s->conn.tls == NULL && !conn_piped(&s->conn))
		return R_TLS_FIRST;
	return login_needed(s) ? R_AUTH_FIRST : R_READY;
}

static void
do_bdat(struct session *s, const struct verb *v, char *argument)
{
	enum reply first = must_first(s);

	receive_bdat(s, argument, s->state == RCPT || s->state == CHUNKS ? R_READY : first != R_READY ? first : order_refusal(s, v));
}

static void
do_rset(struct session *s, const struct verb *v, char *argument)
{
	(void)v, (void)argument;
	tx_end(s);
	reply(s, R_RESET);
}

static void
do_noop(struct session *s, const struct verb *v, char *argument)
{
	(void)v, (void)argument;
	reply(s, R_NOOP);
}

static void
do_vrfy(struct session *s, const struct verb *v, char *argument)
{
	if (*argument == '\0')
		reply(s, R_SYNTAX, v->syntax);
	else
		reply(s, R_VERIFY);
}

static void
help_all(struct session *s)
{
	char line[300] = "214-";
	size_t n = 4;

	if (offers(s, EXT_STATUS))
		n += (size_t)snprintf(line + n, sizeof line - n, "2.0.0 ");
	for (size_t i = 0; i < VERBS; i++)
		if (verbs[i].syntax != NULL && offers(s, verbs[i].extension))
			n += (size_t)snprintf(line + n, sizeof line - n, "%s ", verbs[i].name);
	line[n - 1] = '\0';
	reply_verbatim(s, line, "5321 4.1.1.8");
	reply(s, R_HELP, "HELP and a verb shows its syntax");
}

static void
do_help(struct session *s, const struct verb *v, char *argument)
{
	if (*argument == '\0') {
		help_all(s);
		return;
	}
	for (v = verbs; v < verbs + VERBS; v++)
		if (v->syntax != NULL && text_compare(v->name, argument) == 0 && offers(s, v->extension)) {
			reply(s, R_HELP, v->syntax);
			return;
		}
	reply(s, R_NO_HELP);
}

static void
do_quit(struct session *s, const struct verb *v, char *argument)
{
	(void)v, (void)argument;
	tx_end(s);
	reply_close(s, R_BYE, s->conf->hostname);
}

/* Nobody in particular. */
static void
forget(struct session *s)
{
	login_end(s);
	free(s->account);
	s->account = NULL;
	s->client.account = NULL;
}

/* In clear no more; what was said so far, but for the replies that wait, is
 * forgotten: RFC 3207 4.2. */
static void
secure(struct session *s)
{
	s->state = SECURE;
	s->deadline = now.tick + (s->conf->timeout < SECURE_WAIT ? s->conf->timeout : SECURE_WAIT);
	free(s->helo);
	s->helo = NULL;
	s->esmtp = false;
	forget(s);
}

/* What follows in the same packet was said in clear, by whomever: RFC 3207 4.2. */
static void
do_starttls(struct session *s, const struct verb *v, char *argument)
{
	size_t n;

	(void)argument;
	conn_peek(&s->conn, &n);
	if (n > 0) {
		reply_close(s, R_FOLLOWED, v->name);
		return;
	}
	reply(s, R_START_TLS);
	if (s->state != CLOSE)
		secure(s);
}

static void
do_auth(struct session *s, const struct verb *v, char *argument)
{
	size_t n = strlen(argument);

	if (*argument == '\0')
		reply(s, R_SYNTAX, v->syntax);
	else
		login_begin(s, argument);
	wipe(argument, n);
}

static void
do_etrn(struct session *s, const struct verb *v, char *argument)
{
	char count[COUNT_SIZE];
	enum reply r = turn_release(s, argument, count);

	reply(s, r, r == R_SYNTAX ? v->syntax : argument, count);
}

/* From here on we are the client; or the session ends, for want of memory. */
static void
do_turn(struct session *s, const struct verb *v, char *argument)
{
	struct destination *first;
	enum reply r = turn_check(s, argument, &first);

	reply(s, r, r == R_SYNTAX ? v->syntax : v->name);
	if (r != R_TURNED || s->state == CLOSE)
		return;
	relay_turn(s, first, argument);
	hang_up(s, false);
}

static void
do_absent(struct session *s, const struct verb *v, char *argument)
{
	(void)argument;
	if (strcmp(v->name, "AUTH") != 0)
		reply(s, R_ABSENT, v->name);
	else if (s->account != NULL)
		reply(s, R_ALREADY);
	else if (s->conf->passwords != NULL && s->conf->tls != NULL && s->conn.tls == NULL)
		reply(s, R_ENCRYPT);
	else
		reply(s, R_ABSENT, v->name);
}

static void
do_foreign(struct session *s, const struct verb *v, char *argument)
{
	(void)v, (void)argument;
	tx_end(s);
	reply_close(s, R_FOREIGN);
}

/* ---- the conversation ------------------------------------------------------------------- */

static const struct verb *
verb_find(const struct session *s, const char *line, size_t n)
{
	for (const struct verb *v = verbs; v < verbs + VERBS; v++)
		if (strlen(v->name) == n && text_prefix(line, v->name) && offers(s, v->extension))
			return v;
	return NULL;
}

/* What the trace shows of a line: nothing behind AUTH, and nothing that may be
 * the password of a client that did not wait to be refused.  The protocol log
 * shows no line that is no command: it may belong to a message. */
static void
show_command(struct session *s, const struct verb *v, const char *line, size_t n)
{
	bool auth = v != NULL && strcmp(v->name, "AUTH") == 0;

	s->exchange.received += (long long)n + 2;
	journal_command(s->owner->journal, &s->exchange, line, v ? n : 0);
	if (v == NULL && s->secret)
		line = "(not shown)", n = strlen(line);
	reply_trace(s, '>', line, auth ? 4 : n, NULL);
	s->secret = auth || (v == NULL && s->secret);
}

/* Act on one line.  True when the replies are to leave before the next. */
static bool
command(struct session *s, char *line, size_t n)
{
	size_t length = strcspn(line, " \t");
	const struct verb *v = verb_find(s, line, length);
	bool nul = strlen(line) != n;
	enum reply first;

	show_command(s, v, line, n);
	while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		line[--n] = '\0';
	line += length + strspn(line + length, " \t");
	if (nul)
		reply(s, R_NUL);
	else if (v == NULL)
		reply(s, R_UNKNOWN);
	else if (!v->open && (first = must_first(s)) != R_READY)
		reply(s, first);
	else if (!(v->states & IN(s->state)))
		reply(s, order_refusal(s, v));
	else if (v->bare && *line != '\0')
		reply(s, R_NO_ARGUMENT, v->name);
	else
		v->act(s, v, line);
	return v == NULL || v->flush;
}

/* One line of AUTH: it is nobody's business. */
static void
response(struct session *s, char *line, size_t n)
{
	s->exchange.received += (long long)n + 2;
	reply_trace(s, '>', "(not shown)", 11, "RFC 4954 4");
	login_line(s, strlen(line) == n ? line : "\x7f");
	wipe(line, n);
}

/* One command, if a whole line is there.  0 when there is none. */
static int
step_command(struct session *s)
{
	char *line;
	size_t n;

	switch (conn_line(&s->conn, &line, &n, &s->crlf)) {
	case 0:
		return 0;
	case -1:
		if (s->state == AUTH)
			login_line(s, NULL);
		else
			reply(s, R_LONG);
		break;
	default:
		s->deadline = now.tick + s->conf->timeout;
		if (!s->crlf && s->conf->line_endings == ENDINGS_REJECT)
			receive_stray(s);
		else if (s->state == AUTH)
			response(s, line, n);
		else if (command(s, line, n) && reply_flush(s) == -1)
			return -1;
	}
	return 1;
}

/* A header that is none: nobody knows who would hear a reply, so there is none. */
static void
proxy_failed(struct session *s, const char *why)
{
	char who[ADDR_TEXT];

	log_line("- closed server=\"%s\" client=%s reason=\"%s\"", s->conf->name, addr_text(&s->conn.peer, who), why);
	hang_up(s, false);
}

/* The header that a proxy begins with. */
static int
step_proxy(struct session *s)
{
	size_t n;
	const char *octets = conn_peek(&s->conn, &n);
	struct addr peer = s->conn.peer, here = s->conn.here;
	char text[2 * ADDR_TEXT], client[ADDR_TEXT + 8], proxy[ADDR_TEXT + 8];
	long used = proxy_read(octets, n, &peer, &here);

	if (used == -1)
		proxy_failed(s, "the proxy sent no PROXY header, or a wrong one");
	if (used <= 0)
		return used == 0 ? 0 : 1;
	conn_consume(&s->conn, (size_t)used);
	addr_text_port(&peer, client);
	log_detail("- proxied #%lu client=%s proxy=%s", s->number, client, addr_text_port(&s->conn.peer, proxy));
	snprintf(text, sizeof text, "(PROXY header: client %s)", client);
	reply_trace(s, '>', text, strlen(text), "");
	s->conn.peer = peer;
	s->conn.here = here;
	s->state = NEWCOMER;
	return 1;
}

/* Is it ours to go on, so that nothing is read meanwhile? */
static bool
held(const struct session *s)
{
	return s->state == COMMIT || s->state == NEWCOMER || s->state == SECURE || s->state == PROVING || s->state == LOOKING;
}

static int
step(struct session *s)
{
	switch (s->state) {
	case PROXY: return step_proxy(s);
	case DATA:
	case CHUNK: return receive_step(s);
	default:    return step_command(s);
	}
}

/* Do what can be done with what has been received: until input runs out, the
 * commit is waited for, or the client does not take our replies. */
static int
session_run(struct session *s)
{
	int answer = 1;

	while (answer == 1 && s->conn.out.len < OUT_OCTETS) {
		if (held(s) || s->state == CLOSE || reply_muted(s))
			break;
		answer = step(s);
		if (s->state == CLOSE)
			tx_free(s);	/* a reply can end a session anywhere */
	}
	return answer;
}

size_t
session_want(struct session *s, struct pollfd *slot, msec *until)
{
	size_t waiting;

	s->due = s->deadline;
	conn_peek(&s->conn, &waiting);
	conn_want(&s->conn, (!held(s) || (s->state == SECURE && s->conn.out.len == 0)) && s->conn.out.len < OUT_OCTETS && (s->state != NAMING || waiting == 0), slot);
	if (reply_muted(s)) {
		slot->fd = -1;
		s->due = s->mute;
	}
	if (s->state == PROVING || (s->conn.ended && !held(s) && !reply_muted(s) && s->state != NAMING && s->state != CLOSE &&
	    s->conn.out.len < OUT_OCTETS))
		s->due = now.tick;	/* memory was out when it came to rest: it has ended for that */
	if (s->state == LOOKING) {	/* the question has an end of its own */
		s->due = asking_over(s) ? now.tick : LLONG_MAX;
		if (s->conn.out.len == 0)
			slot->fd = -1;	/* not even that it is gone */
	}
	if (s->state == NAMING)
		rdns_want(s->lookup, slot + 1, &s->due);
	if (s->due < *until)
		*until = s->due;
	return s->state == NAMING ? 2 : 1;
}

static int session_advance(struct session *s);

/* In CLOSE: 0 while the other side has not taken all and gone. */
static int
session_closing(struct session *s)
{
	int sent = conn_flush(&s->conn);
	size_t n;

	conn_peek(&s->conn, &n);
	conn_consume(&s->conn, n);
	if (sent == -1 || s->deadline <= now.tick || (sent == 1 && (!s->lingers || s->conn.ended)))
		return 1;
	/* Closing with input unread would reset the connection, and the reply
	 * might be lost with it. */
	if (sent == 1)
		conn_part(&s->conn);
	return sent == 1 && s->conn.ended;
}

/* The client has said all that it will; what is complete has been answered. */
static void
session_ended(struct session *s)
{
	bool unfinished = s->state == DATA || s->state == CHUNK;
	size_t n;

	conn_peek(&s->conn, &n);
	if (s->state == PROXY && n > 0)
		proxy_failed(s, "the PROXY header was cut off");
	tx_end(s);
	if (unfinished)
		reply_close(s, R_UNFINISHED);
	else
		hang_up(s, false);
}

/* Now we know who it is, as far as the rules ask: greet it, or not. */
static void
welcome(struct session *s)
{
	struct verdict v = policy_connect(s->conf, &s->client);

	if (v.reply != R_READY) {
		reply_because(s, v.setting);
		reply_close(s, v.reply, s->conf->hostname);
		return;
	}
	s->state = GREET;
	s->deadline = now.tick + s->conf->timeout;
	reply(s, R_READY, s->conf->hostname);
}

/* Ask for its name first, when a rule needs it. */
static void
greet(struct session *s)
{
	s->state = NAMING;
	s->client.addr = s->conn.peer;
	if (policy_asks_name(s->conf, &s->client)) {
		s->client.rdns = RDNS_LATER;
		if ((s->lookup = memory(NULL, sizeof *s->lookup)) != NULL) {
			rdns_begin(s->lookup, &s->client.addr);
			s->deadline = s->lookup->deadline;
			return;
		}
	}
	welcome(s);
}

/* It is not protected, and so it ends. */
static int
insecure(const struct session *s, const char *why)
{
	char who[CLIENT_TEXT];

	log_line("- closed server=\"%s\" client=%s reason=\"TLS: %s\"", s->conf->name, client_text(s, who), why);
	return 1;
}

/* In SECURE; as session_step. */
static int
step_secure(struct session *s)
{
	static struct clock turn;
	static int shakes;
	char why[300];
	int sent = s->conn.tls == NULL ? conn_flush(&s->conn) : 0;

	if (sent == -1 || (sent == 1 && conn_secure(&s->conn, s->conf->tls, NULL, false) == -1))
		return insecure(s, sent == -1 ? "it did not wait for the reply" : "out of memory");
	if (turn.tick != now.tick || turn.micro != now.micro)
		shakes = 0;
	turn = now;
	switch (s->conn.tls != NULL && shakes++ < SHAKES ? tls_handshake(s->conn.tls, why, sizeof why) : 0) {
	case -1: return insecure(s, why);
	case 0:  return s->deadline <= now.tick ? insecure(s, "no handshake in time") : 0;
	}
	reply_trace(s, '=', tls_words(s->conn.tls), strlen(tls_words(s->conn.tls)), "RFC 8446");
	s->deadline = now.tick + s->conf->timeout;
	if (s->implicit)
		greet(s);
	else
		s->state = GREET;
	return session_advance(s);
}

/* Who it is, is known as far as that goes without a word from him. */
static void
arrive(struct session *s)
{
	s->conn.sip = 0;
	if (s->implicit)
		secure(s);
	else
		greet(s);
}

static void
lookup_end(struct session *s)
{
	if (s->lookup != NULL)
		rdns_end(s->lookup);
	free(s->lookup);
	s->lookup = NULL;
}

/* In NAMING; as session_step. */
static int
step_lookup(struct session *s)
{
	static const char *const words[] = { "", "the address has no name", "no name leads back to the address",
	    "the address has a confirmed name", "the name servers do not say all" };
	struct client *c = &s->client;
	size_t n;

	conn_peek(&s->conn, &n);
	if (s->conn.ended && n == 0)
		return 1;			/* it did not wait */
	if (rdns_step(s->lookup) == 0) {
		conn_rest(&s->conn);
		return 0;
	}
	c->rdns = s->lookup->result;
	c->names = s->lookup->names.data;
	memset(&s->lookup->names, 0, sizeof s->lookup->names);
	lookup_end(s);
	reply_trace(s, '=', words[c->rdns], strlen(words[c->rdns]), "RFC 8601 3");
	welcome(s);
	return session_advance(s);
}

static void
session_late(struct session *s)
{
	if (s->state == PROXY) {
		proxy_failed(s, "no PROXY header came in time");
		return;
	}
	tx_end(s);
	reply_close(s, R_TIMEOUT);
}

/* Act on what is there, then let go what idleness does not need. */
static int
session_advance(struct session *s)
{
	int answer, sent;

	if (s->state == NAMING)
		return step_lookup(s);
	if (s->state == PROVING)
		login_work(s);
	if (s->state == LOOKING)
		asking_answered(s);
	if (s->state == SECURE && !reply_muted(s))
		return step_secure(s);
	if (s->mute != 0 && !reply_muted(s)) {
		s->mute = 0;
		if (conn_flush(&s->conn) == -1)
			return -1;
	}
	do {		/* again when it stopped only for its replies to leave */
		answer = session_run(s);
		sent = s->state == CLOSE ? 0 : reply_flush(s);
	} while (answer == 1 && sent == 1 && !held(s));
	if (reply_muted(s)) {
		conn_rest(&s->conn);
		return 0;
	}
	if (s->state == COMMIT)
		answer = 0;	/* whatever became of the client, that comes first */
	else if (answer == -1 || sent == -1)
		return -1;
	if (s->conn.ended && !held(s) && s->state != CLOSE && s->conn.out.len < OUT_OCTETS)
		session_ended(s);
	if (s->deadline <= now.tick && !held(s) && s->state != CLOSE)
		session_late(s);
	answer = s->state == CLOSE ? session_closing(s) : 0;
	conn_rest(&s->conn);
	conn_count(&s->conn, s->owner->counts);
	return answer;
}

/* What ends the header of a proxy may be the client's TLS, which is not ours to
 * read; so the header is taken octet by octet. */
static void
receive_some(struct session *s)
{
	int got;

	do
		got = conn_receive(&s->conn);	/* its end shows in conn.ended */
	while (got == 1 && s->state == PROXY && s->conn.sip > 0 && step_proxy(s) == 0);
}

int
session_step(struct session *s, const struct pollfd *slot)
{
	if (slot->revents == 0 && s->due > now.tick && (s->state != LOOKING || !asking_over(s)) && (s->state != NAMING || slot[1].revents == 0))
		return 0;
	if (conn_ready(&s->conn, slot->revents) && !held(s))
		receive_some(s);
	return session_advance(s);
}

int
session_resume(struct session *s)
{
	char id[ID_SIZE];

	if (conn_flush(&s->conn) == -1 && s->kept.second != 0)
		log_line("%s the client was gone before it heard 250: it may send this again", id_text(&s->kept, id));
	memset(&s->kept, 0, sizeof s->kept);
	s->answered = false;
	return session_advance(s);
}

/* ---- beginning and end ------------------------------------------------------------------ */

/* In the last words to who is not let in.  Who has come for TLS would not
 * understand them. */
static void
refuse(struct session *s, enum reply r)
{
	reply_close(s, r, s->conf->hostname);
	if (s->implicit && s->conn.tls == NULL)
		buf_free(&s->conn.out);
}

struct session *
session_new(struct vserver *v, int fd, int to, const struct addr *peer, const struct addr *here, const struct listen *l)
{
	struct session *s = memory(NULL, sizeof *s);
	char who[ADDR_TEXT + 8];

	if (s == NULL)
		return NULL;
	memset(s, 0, sizeof *s);
	conn_open(&s->conn, fd, to);
	s->conn.peer = *peer;
	s->conn.here = *here;
	s->owner = v;
	s->conf = v->conf;
	config_hold(s->conf->config);
	s->number = trace_number();
	s->began = now.tick;
	s->deadline = now.tick + PROXY_WAIT;
	v->sessions++;
	v->counts[INBOUND]++;
	log_detail("- connected #%lu client=%s", s->number, addr_text_port(peer, who));
	s->implicit = l != NULL && l->tls;
	s->submission = l != NULL && l->submission;
	s->conn.sip = s->implicit;
	if (l == NULL || !l->proxies.only)
		arrive(s);
	conn_flush(&s->conn);		/* if it broke, the next step sees it */
	return s;
}

int
session_admit(struct session *s, enum reply r, const char *setting)
{
	if (r == R_READY)
		arrive(s);
	else {
		reply_because(s, setting);
		refuse(s, r);
	}
	return session_advance(s);
}

void
session_doing(const struct session *s, char *out, size_t size)
{
	const struct message *m = s->tx ? s->tx->m : NULL;
	int n = snprintf(out, size, "%s %s", state_names[s->state], s->helo ? s->helo : "-");

	if (n > 0 && (size_t)n < size && m != NULL && m->env.sender != NULL)
		snprintf(out + n, size - (size_t)n, ", from <%.200s> to %lu, %lld octets", m->env.sender,
		    (unsigned long)m->env.count, s->tx->content.size);
}

void
session_shutdown(struct session *s, enum reply r)
{
	asking_end(s);
	if (s->state != CLOSE && s->state != SECURE) {
		tx_end(s);
		refuse(s, r);
	}
	conn_flush(&s->conn);
	conn_part(&s->conn);
}

void
session_free(struct session *s)
{
	char who[ADDR_TEXT + 8];

	log_detail("- closed #%lu client=%s", s->number, addr_text_port(&s->conn.peer, who));
	asking_end(s);
	tx_free(s);
	conn_count(&s->conn, s->owner->counts);
	journal_forget(&s->exchange);
	lookup_end(s);
	free(s->client.names);
	conn_close(&s->conn);
	free(s->helo);
	forget(s);
	s->owner->sessions--;
	config_release(s->conf->config);
	free(s);
}

void
session_refuse(struct vserver *v, int fd, const struct addr *peer, const struct listen *l, enum reply r, const char *setting)
{
	struct session s;

	memset(&s, 0, sizeof s);
	conn_open(&s.conn, fd, fd);
	s.state = NEWCOMER;
	s.conn.peer = *peer;
	s.owner = v;
	s.conf = v->conf;
	s.began = now.tick;
	s.implicit = l != NULL && l->tls;
	reply_because(&s, setting);
	refuse(&s, r);
	conn_flush(&s.conn);
	conn_part(&s.conn);
	conn_close(&s.conn);
}
