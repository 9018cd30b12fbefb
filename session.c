/*
 * session.c - the conversation in which we are the server, RFC 5321.
 *
 * The states of a session, who speaks next, and what is allocated:
 *
 *	PROXY	client	nothing; a proxy, who is to say first for whom it speaks
 *	NEWCOMER we	nothing; it has, and the client is about to be judged
 *	NAMING	we	lookup: its name is asked for, for a rule needs it
 *	GREET	client	nothing; it has not said who it is
 *	IDLE	client	helo; no transaction
 *	MAIL	client	tx: a sender, no recipient yet
 *	RCPT	client	tx: and recipients
 *	DATA	client	tx, its file in SortTemp: content up to CRLF.CRLF
 *	CHUNK	client	the octets of a BDAT; without tx they are thrown away
 *	CHUNKS	client	tx, its file: between two BDATs
 *	COMMIT	we	the message is the batch's; nothing is read
 *		(then, until the batch is delivered, `answered`: 250 waits)
 *	CLOSE	we	replies are drained, then what is left to read
 *
 *	PROXY -> NEWCOMER -> NAMING -> GREET
 *	GREET -> IDLE <-> MAIL -> RCPT -> DATA -> COMMIT -> IDLE
 *	                          RCPT -> CHUNK <-> CHUNKS; CHUNK -> COMMIT
 *
 * What is true: tx != NULL exactly in MAIL, RCPT, DATA, CHUNKS and, when its
 * chunk is wanted, CHUNK.  A session in COMMIT has its message in tx->m, which
 * belongs to the spool.  conn.peer is the client from NEWCOMER on.  In NAMING
 * input is not asked for once there is some.
 *
 * A refusal can be held back (tarpit): then the session is mute, nothing is
 * read or said before its time, and its other deadline moves by as much.
 */
#include "smtpd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ERRORS_MAX 20		/* commands refused in one session, then 421 */
#define OUT_OCTETS 65536	/* replies waiting; beyond, we stop reading */
#define CLOSE_WAIT 5000		/* for the last reply to be taken, ms */
#define PROXY_WAIT 10000	/* for the header of the PROXY protocol, ms */

static const char *const state_name[] = {
	"PROXY", "NEW", "NAMING", "GREET", "IDLE", "MAIL", "RCPT", "DATA", "CHUNK", "CHUNKS", "COMMIT", "CLOSE"
};

static struct buf scratch;	/* content on its way to a file */

/* ---- replies ---------------------------------------------------------------------- */

static void tx_end(struct session *s);
static void reply(struct session *s, enum reply r, ...);

/* The directive that decided the next reply, for the trace. */
static char decided[WHERE_SIZE];

static void
decide(const struct session *s, const char *setting)
{
	if (log_tracing)
		config_where(decided, s->conf, setting);
}

static void
trace(const struct session *s, char side, const char *text, size_t n, const char *rule)
{
	trace_line(s->number, s->began, state_name[s->state], side, text, n, rule);
}

/* One line to the client; code and text are complete. */
static void
send_line(struct session *s, const char *line, const char *clause)
{
	char rule[WHERE_SIZE + 60];
	size_t n = strlen(line);

	journal_reply(s->owner->journal, &s->exchange, &s->conn, s->helo, &s->kept, line);
	if (log_tracing) {
		snprintf(rule, sizeof rule, "%s%s%s%s", decided, *decided && *clause ? "; " : "",
		    *clause ? "RFC " : "", clause);
		decided[0] = '\0';
		trace(s, '<', line, n, rule);
	}
	if (buf_add(&s->conn.out, line, n) == -1 || buf_add(&s->conn.out, "\r\n", 2) == -1)
		s->conn.ended = true, s->state = CLOSE;	/* out of memory costs this session */
}

/* Its address, and its name where one is known. */
#define CLIENT_TEXT (ADDR_TEXT + DOMAIN_MAX + 7)
static char *
client_text(const struct session *s, char out[CLIENT_TEXT])
{
	const char *name = s->client.names;
	size_t n = strlen(addr_text(&s->conn.peer, out));

	if (name != NULL)
		snprintf(out + n, CLIENT_TEXT - n, " name=%s", name);
	return out;
}

/* A refusal, or with 421 an end. */
static void
log_refusal(const struct session *s, const char *line)
{
	char who[CLIENT_TEXT], safe[600];

	log_line("- %s server=\"%s\" client=%s helo=%s reply=\"%s\"",
	    strncmp(line, "421", 3) == 0 ? "closed" : "refused", s->conf->name,
	    client_text(s, who), s->helo ? s->helo : "-",
	    text_safe(safe, sizeof safe, line, strlen(line)));
}

static bool
muted(const struct session *s)
{
	return s->mute > now.tick;
}

/* As conn_flush, when it is time. */
static int
flush(struct session *s)
{
	return muted(s) ? 0 : conn_flush(&s->conn);
}

/* A refusal is to be said, and is held back: not what was said before it. */
static void
mute(struct session *s)
{
	if (s->conf->tarpit == 0 || s->state <= NAMING)
		return;
	flush(s);			/* if it broke, the next one sees it */
	s->mute = now.tick + s->conf->tarpit;
}

/* One reply on its way out.  A refusal is logged. */
static void
say(struct session *s, enum reply r, va_list ap)
{
	char line[REPLY_OCTETS];

	reply_text(line, r, !(s->conf->hidden & EXT_STATUS), ap);
	if (replies[r].code >= 500)
		mute(s);
	send_line(s, line, replies[r].clause);
	if (r == R_SIZE || r == R_RCPTS || r == R_SPACE)
		s->owner->counts[r == R_SIZE ? REFUSED_SIZE : r == R_RCPTS ? REFUSED_ADDRESSES : REFUSED_SPACE]++;
	if (replies[r].code >= 400)
		log_refusal(s, line);
}

/* All has been said.  After a refusal what is unread must be read: see
 * session_closing. */
static void
hang_up(struct session *s, bool refused)
{
	s->state = CLOSE;
	s->lingers = refused;
	s->deadline = now.tick + CLOSE_WAIT;
}

/* The last reply of a session that we end. */
static void
reply_close(struct session *s, enum reply r, ...)
{
	va_list ap;

	va_start(ap, r);
	say(s, r, ap);
	va_end(ap);
	hang_up(s, replies[r].code >= 400);
}

/* Any other; one refusal too many ends the session. */
static void
reply(struct session *s, enum reply r, ...)
{
	va_list ap;

	va_start(ap, r);
	say(s, r, ap);
	va_end(ap);
	if (replies[r].code >= 500 && ++s->errors >= ERRORS_MAX && s->state != CLOSE) {
		tx_end(s);
		reply_close(s, R_ERRORS);
	}
}

/* Too large: the limit is named. */
static void
reply_size(struct session *s)
{
	char most[24];

	snprintf(most, sizeof most, "%lld", s->conf->max_size);
	decide(s, "max-size");
	reply(s, R_SIZE, most);
}

/* ---- the transaction ---------------------------------------------------------------- */

static void
tx_free(struct session *s)
{
	if (s->tx == NULL)
		return;
	spool_abandon(s->owner->spool, s->tx->m);
	free(s->tx);
	s->tx = NULL;
}

/* End the transaction, whatever it has come to. */
static void
tx_end(struct session *s)
{
	tx_free(s);
	if (s->state != CLOSE)
		s->state = s->helo ? IDLE : GREET;
}

/* ATRN and TURN are for those who can say who they are. */
static bool
offers(const struct session *s, int extension)
{
	return config_offers(s->conf, extension) && (turn_account != NULL || !(extension & (EXT_ATRN | EXT_TURN)));
}

/* What stopped a message: the disk, or the lack of it. */
static enum reply
disk_reply(int error)
{
	return error == ENOSPC || error == EDQUOT ? R_SPACE : R_DISK;
}

static const char *
with_keyword(const struct session *s)	/* RFC 3848, RFC 6531 4.3 */
{
	return s->tx->utf8 ? "UTF8SMTP" : s->esmtp ? "ESMTP" : "SMTP";
}

/* Is what the client calls itself its own? */
static bool
helo_confirmed(const struct session *s)
{
	struct addr a;

	return client_name(&s->client, s->helo) != NULL ||
	    (literal_parse(&a, s->helo, strlen(s->helo)) == 0 && addr_same(&a, &s->client.addr));
}

/* What we know of the client besides, for the Received field: its TCP-info
 * (RFC 5321 4.4) in parentheses, and a comment where there is none to believe. */
#define KNOWN_TEXT (DOMAIN_MAX + ADDR_TEXT + 30)
static char *
known_text(const struct session *s, char out[KNOWN_TEXT])
{
	const struct client *c = &s->client;
	const char *name = client_name(c, s->helo) ? client_name(c, s->helo) : c->names, *comment = "";
	char who[ADDR_TEXT + 8];
	bool asked = s->conf->reverse_dns != REVERSE_OFF;

	if (asked && !helo_confirmed(s))
		comment = c->rdns == RDNS_LATER ? " (RDNS failed)" : " (unverified)";
	snprintf(out, KNOWN_TEXT, "(%s%s%s)%s", asked && name ? name : "", asked && name ? " " : "",
	    addr_literal(&s->conn.peer, who), comment);
	return out;
}

/* Make the file: envelope and our Received field (RFC 5321 4.4). */
static int
tx_open(struct session *s)
{
	char head[DOMAIN_MAX * 3 + 300], known[KNOWN_TEXT], id[ID_SIZE], date[DATE_SIZE];
	const struct server *conf = s->conf;

	snprintf(head, sizeof head, "Received: from %s %s\r\n\tby %s (smtpd) with %s id %s;\r\n\t%s\r\n",
	    s->helo, known_text(s, known), conf->hostname, with_keyword(s), id_text(&s->tx->m->id, id), date_text(date, now.wall / 1000));
	content_begin(&s->tx->content, !s->tx->chunked, s->tx->body == BODY_BINARYMIME, s->crlf);
	s->tx->content.either = conf->line_endings == ENDINGS_EITHER;
	if (policy_expand(conf, &s->tx->m->env) == -1)
		s->tx->m->error = ENOMEM;
	else if (spool_create(s->owner->spool, s->tx->m, head) == 0)
		return 0;
	reply(s, disk_reply(s->tx->m->error));
	tx_end(s);
	return -1;
}

/* Take content; *used octets of it.  As content_take. */
static int
tx_take(struct session *s, const char *octets, size_t n, size_t *used)
{
	struct tx *tx = s->tx;
	int answer;

	scratch.len = 0;
	answer = content_take(&tx->content, octets, n, used, &scratch);
	if (answer == -1) {
		tx->m->error = ENOMEM;
		*used = n;
		answer = 0;
	}
	if (tx->content.size <= s->conf->max_size)
		spool_write(tx->m, scratch.data, scratch.len);	/* m->error remembers */
	return answer;
}

/* Where CR LF is insisted on, a line that lacks it ends the session: nobody
 * can tell what its sender thinks comes next. */
static void
refuse_stray(struct session *s)
{
	tx_end(s);
	decide(s, "line-endings");
	reply_close(s, R_STRAY);
}

/* The message is complete: refuse it, or hand it to this turn's commit. */
static void
tx_complete(struct session *s)
{
	const struct server *conf = s->conf;
	struct tx *tx = s->tx;

	s->received += tx->content.size;
	if (tx->content.size > conf->max_size)
		reply_size(s);
	else if (tx->content.stray && conf->line_endings == ENDINGS_REJECT && !tx->content.raw) {
		decide(s, "line-endings");
		reply(s, R_STRAY);
	} else if (tx->content.hops > conf->max_hops) {
		decide(s, "max-hops");
		reply(s, R_HOPS);
	} else if (tx->m->error != 0) {
		reply(s, disk_reply(tx->m->error));
	} else {
		spool_commit(s->owner->spool, tx->m);
		s->state = COMMIT;
		return;
	}
	tx_end(s);
}

static void
log_received(const struct session *s, const struct message *m)
{
	char id[ID_SIZE], who[CLIENT_TEXT], from[200], to[400];

	log_line("%s received server=\"%s\" client=%s helo=%s from=<%s> to=%s size=%lld with=%s",
	    id_text(&m->id, id), s->conf->name, client_text(s, who), s->helo,
	    text_safe(from, sizeof from, m->env.sender, strlen(m->env.sender)),
	    envelope_text(&m->env, RCPT_OPEN, to, sizeof to), m->size, with_keyword(s));
}

/* ---- verbs ---------------------------------------------------------------------------- */

struct verb;
typedef void handler(struct session *, const struct verb *, char *argument);

static handler do_hello, do_mail, do_rcpt, do_data, do_bdat, do_rset, do_noop, do_vrfy,
    do_help, do_quit, do_etrn, do_turn, do_absent, do_foreign;

#define IN(state) (1u << (state))
#define ANY       (IN(GREET) | IN(IDLE) | IN(MAIL) | IN(RCPT) | IN(CHUNKS))

static const struct verb {
	const char *name;
	handler *act;
	unsigned states;	/* in which it may be said */
	bool flush;		/* ends a pipelined group: RFC 2920 3.1 */
	bool bare;		/* takes no argument */
	int extension;		/* that brought it, or 0 */
	const char *syntax;	/* NULL: not shown by HELP */
} verbs[] = {
	{ "HELO", do_hello, ANY, true, false, 0, "HELO domain" },
	{ "EHLO", do_hello, ANY, true, false, 0, "EHLO domain" },
	{ "MAIL", do_mail, IN(IDLE), false, false, 0, "MAIL FROM:<address> [parameters]" },
	{ "RCPT", do_rcpt, IN(MAIL) | IN(RCPT), false, false, 0, "RCPT TO:<address> [parameters]" },
	{ "DATA", do_data, IN(RCPT), true, true, 0, "DATA" },
	{ "BDAT", do_bdat, ANY, false, false, EXT_CHUNKING, "BDAT size [LAST]" },
	{ "RSET", do_rset, ANY, false, true, 0, "RSET" },
	{ "NOOP", do_noop, ANY, true, false, 0, "NOOP [anything]" },
	{ "VRFY", do_vrfy, ANY, true, false, 0, "VRFY address" },
	{ "HELP", do_help, ANY, true, false, EXT_HELP, "HELP [verb]" },
	{ "QUIT", do_quit, ANY, true, true, 0, "QUIT" },
	{ "EXPN", do_absent, ANY, true, false, 0, NULL },	/* there are no lists */
	{ "STARTTLS", do_absent, ANY, true, false, 0, NULL },
	{ "AUTH", do_absent, ANY, true, false, 0, NULL },
	{ "ETRN", do_etrn, IN(IDLE), true, false, EXT_ETRN, "ETRN [@|#]node" },
	{ "ATRN", do_turn, IN(IDLE), true, false, EXT_ATRN, "ATRN [domain,...]" },
	{ "TURN", do_turn, IN(IDLE), true, true, EXT_TURN, "TURN" },
	{ "ETRN", do_absent, ANY, true, false, 0, NULL },
	{ "TURN", do_absent, ANY, true, false, 0, NULL },
	{ "ATRN", do_absent, ANY, true, false, 0, NULL },
	/* A browser that was made to talk to us; its body would be commands. */
	{ "GET", do_foreign, ANY, true, false, 0, NULL },
	{ "POST", do_foreign, ANY, true, false, 0, NULL },
	{ "PUT", do_foreign, ANY, true, false, 0, NULL },
	{ "CONNECT", do_foreign, ANY, true, false, 0, NULL },
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
ehlo_line(char *out, size_t size, const struct server *conf, size_t i, char dash)
{
	const char *line = extension_name[i];

	if (1 << i == EXT_SIZE && conf->max_size != UNLIMITED)
		snprintf(out, size, "250%c%s %lld", dash, line, conf->max_size);
	else if (1 << i == EXT_LIMITS)
		snprintf(out, size, "250%c%s RCPTMAX=%lld", dash, line, conf->max_recipients);
	else
		snprintf(out, size, "250%c%s", dash, line);
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
	send_line(s, line, "5321 4.1.1.1");
	for (size_t i = 0; left > 0 && i < EXT_COUNT; i++)
		if (offers(s, 1 << i)) {
			ehlo_line(line, sizeof line, conf, i, --left ? '-' : ' ');
			send_line(s, line, "");
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

static struct tx *
tx_new(void)
{
	struct tx *tx = memory(NULL, sizeof *tx);
	struct id id;

	if (tx == NULL)
		return NULL;
	memset(tx, 0, sizeof *tx);
	id_next(&id);
	if ((tx->m = spool_new(&id)) == NULL) {
		free(tx);
		return NULL;
	}
	return tx;
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

static void
do_mail(struct session *s, const struct verb *v, char *argument)
{
	const struct server *conf = s->conf;
	struct buf args = { 0 };
	struct path p;

	if (s->received >= conf->max_session) {
		decide(s, "max-session");
		reply_close(s, R_SESSION);
		return;
	}
	if ((argument = path_argument(s, v, argument, "FROM:", &p, R_BAD_SENDER)) == NULL)
		return;
	if (p.text[0] != '\0' && p.domain == NULL && path_complete(&p, conf->home->name) == -1) {
		reply(s, R_BAD_SENDER);
		return;
	}
	if ((s->tx = tx_new()) == NULL) {
		reply_close(s, R_MEMORY);
		return;
	}
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

/* -1 when it has been refused. */
static int
recipient_allowed(struct session *s, const struct path *p)
{
	struct verdict v = policy_recipient(s->conf, &s->client, p);

	if (v.reply == R_RECIPIENT && v.local && v.members == 0 && !drop_quota(s->owner, p->text))
		v = (struct verdict){ .reply = R_QUOTA, .setting = "quota" };
	if (v.reply == R_RECIPIENT && s->tx->members + v.members > MEMBERS_MAX)
		v = (struct verdict){ .reply = R_RCPTS, .setting = "aliases" };
	if (v.reply == R_RECIPIENT) {
		s->tx->members += v.members;
		return 0;
	}
	decide(s, v.setting);
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
do_rcpt(struct session *s, const struct verb *v, char *argument)
{
	struct message *m = s->tx->m;
	struct buf args = { 0 };
	struct path p;

	if ((argument = path_argument(s, v, argument, "TO:", &p, R_BAD_RECIPIENT)) == NULL)
		return;
	if (p.text[0] == '\0' || recipient_complete(s, &p) == -1) {
		reply(s, R_BAD_RECIPIENT);
		return;
	}
	if (take_parameters(s, argument, false, &args) == -1) {
		/* it has been answered */
	} else if (p.eight && !s->tx->utf8) {
		reply(s, R_UTF8);
	} else if ((long long)m->env.count >= s->conf->max_recipients) {
		decide(s, "max-recipients");
		reply(s, R_RCPTS);
	} else if (recipient_allowed(s, &p) == -1) {
		/* it has been answered */
	} else if (!envelope_has(&m->env, p.text) && envelope_add(&m->env, p.text, args.data) == -1) {
		tx_end(s);
		reply_close(s, R_MEMORY);
	} else {
		s->state = RCPT;
		reply(s, R_RECIPIENT, p.text);
	}
	buf_free(&args);
}

static void
do_data(struct session *s, const struct verb *v, char *argument)
{
	(void)v, (void)argument;
	if (s->tx->body == BODY_BINARYMIME) {
		reply(s, R_BINARY);
	} else if (tx_open(s) == 0) {
		s->state = DATA;
		reply(s, R_GO_AHEAD);
	}
}

/* "size" and perhaps "LAST"; -1 when it is not that. */
static int
chunk_parse(const char *argument, long long *size, bool *last)
{
	const char *end;

	if ((*size = text_octets(argument, &end)) == -1 || *size == UNLIMITED)
		return -1;
	*last = text_compare(end + strspn(end, " \t"), "LAST") == 0 && *end != 'L' && *end != 'l';
	return *last || *end == '\0' ? 0 : -1;
}

/* What is wrong with a BDAT at this point; R_READY when nothing is. */
static enum reply
chunk_refusal(const struct session *s, const struct verb *v)
{
	if (s->state != RCPT && s->state != CHUNKS)
		return order_refusal(s, v);
	return s->chunk > s->conf->max_size - s->tx->content.size ? R_SIZE : R_READY;
}

static void chunk_end(struct session *s);

/* The chunk follows whatever we think of it, so it is always read: RFC 3030 2. */
static void
do_bdat(struct session *s, const struct verb *v, char *argument)
{
	if (chunk_parse(argument, &s->chunk, &s->last) == -1) {
		tx_end(s);
		reply_close(s, R_CHUNK_SIZE);
		return;
	}
	s->refusal = chunk_refusal(s, v);
	if (s->refusal != R_READY && s->chunk / 2 > s->conf->max_size) {
		tx_end(s);		/* nor will we read all that */
		reply_close(s, R_CHUNK_SIZE);
		return;
	}
	if (s->refusal == R_READY && s->state == RCPT) {
		s->tx->chunked = true;
		if (tx_open(s) == -1)
			s->refusal = R_BYE;	/* answered already */
	} else if (s->refusal != R_READY)
		tx_end(s);
	if (s->state == CLOSE)
		return;
	s->state = CHUNK;
	s->chunk_size = s->chunk;
	if (s->chunk == 0)
		chunk_end(s);
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
	char line[200] = "214-";
	size_t n = 4;

	if (offers(s, EXT_STATUS))
		n += (size_t)snprintf(line + n, sizeof line - n, "2.0.0 ");
	for (size_t i = 0; i < VERBS; i++)
		if (verbs[i].syntax != NULL && offers(s, verbs[i].extension))
			n += (size_t)snprintf(line + n, sizeof line - n, "%s ", verbs[i].name);
	line[n - 1] = '\0';
	send_line(s, line, "5321 4.1.1.8");
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
	trace(s, '>', line, auth ? 4 : n, NULL);
	s->secret = auth || (v == NULL && s->secret);
}

/* Act on one line.  True when the replies are to leave before the next. */
static bool
command(struct session *s, char *line, size_t n)
{
	size_t length = strcspn(line, " \t");
	const struct verb *v = verb_find(s, line, length);
	bool nul = strlen(line) != n;

	show_command(s, v, line, n);
	while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		line[--n] = '\0';
	line += length + strspn(line + length, " \t");
	if (nul)
		reply(s, R_NUL);
	else if (v == NULL)
		reply(s, R_UNKNOWN);
	else if (!(v->states & IN(s->state)))
		reply(s, order_refusal(s, v));
	else if (v->bare && *line != '\0')
		reply(s, R_NO_ARGUMENT, v->name);
	else
		v->act(s, v, line);
	return v == NULL || v->flush;
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
		reply(s, R_LONG);
		break;
	default:
		s->deadline = now.tick + s->conf->timeout;
		if (!s->crlf && s->conf->line_endings == ENDINGS_REJECT)
			refuse_stray(s);
		else if (command(s, line, n) && flush(s) == -1)
			return -1;
	}
	return 1;
}

/* Content of DATA. */
static int
step_data(struct session *s)
{
	size_t n, used = 0;
	const char *octets = conn_peek(&s->conn, &n);
	char text[60];
	int ended;

	if (n == 0)
		return 0;
	s->deadline = now.tick + s->conf->timeout;
	ended = tx_take(s, octets, n, &used);
	conn_consume(&s->conn, used);
	s->exchange.received += (long long)used;
	if (s->tx->content.stray && s->conf->line_endings == ENDINGS_REJECT) {
		refuse_stray(s);
	} else if (ended) {
		snprintf(text, sizeof text, ". (%lld octets)", s->tx->content.size);
		trace(s, '>', text, strlen(text), NULL);
		tx_complete(s);
	} else if (s->tx->content.size / 2 > s->conf->max_size) {
		/* It was told the limit and goes on: the end may never come. */
		tx_end(s);
		reply_size(s);
		hang_up(s, true);
	}
	return 1;
}

/* All octets of a chunk have been read. */
static void
chunk_end(struct session *s)
{
	char text[24];

	if (s->refusal != R_READY) {
		s->state = s->helo ? IDLE : GREET;
		if (s->refusal == R_SIZE)
			reply_size(s);
		else if (s->refusal != R_BYE)
			reply(s, (enum reply)s->refusal);
		return;
	}
	snprintf(text, sizeof text, "%lld", s->chunk_size);
	s->state = CHUNKS;
	if (!s->last) {
		reply(s, R_CHUNK, text);
		return;
	}
	scratch.len = 0;
	if (content_end(&s->tx->content, &scratch) == -1)
		s->tx->m->error = ENOMEM;
	else
		spool_write(s->tx->m, scratch.data, scratch.len);
	tx_complete(s);
}

/* Octets of a chunk. */
static int
step_chunk(struct session *s)
{
	size_t n, used;
	const char *octets = conn_peek(&s->conn, &n);

	if (n == 0)
		return 0;
	s->deadline = now.tick + s->conf->timeout;
	if ((long long)n > s->chunk)
		n = (size_t)s->chunk;
	if (s->tx != NULL)
		tx_take(s, octets, n, &used);
	conn_consume(&s->conn, n);
	s->exchange.received += (long long)n;
	if ((s->chunk -= (long long)n) == 0)
		chunk_end(s);
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
	trace(s, '>', text, strlen(text), "");
	s->conn.peer = peer;
	s->conn.here = here;
	s->state = NEWCOMER;
	return 1;
}

/* Is it ours to go on, so that nothing is read meanwhile? */
static bool
held(const struct session *s)
{
	return s->state == COMMIT || s->state == NEWCOMER;
}

static int
step(struct session *s)
{
	switch (s->state) {
	case PROXY: return step_proxy(s);
	case DATA:  return step_data(s);
	case CHUNK: return step_chunk(s);
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
		if (held(s) || s->state == CLOSE || muted(s))
			break;
		answer = step(s);
	}
	return answer;
}

size_t
session_want(struct session *s, struct pollfd *slot, msec *until)
{
	size_t waiting;

	s->due = s->deadline;
	conn_peek(&s->conn, &waiting);
	conn_want(&s->conn, !held(s) && s->conn.out.len < OUT_OCTETS && (s->state != NAMING || waiting == 0), slot);
	if (muted(s)) {
		slot->fd = -1;
		s->due = s->mute;
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
		decide(s, v.setting);
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
	trace(s, '=', words[c->rdns], strlen(words[c->rdns]), "RFC 8601 3");
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
	if (s->mute != 0 && !muted(s)) {
		s->deadline += s->conf->tarpit;
		s->mute = 0;
		if (conn_flush(&s->conn) == -1)
			return -1;
	}
	do {		/* again when it stopped only for its replies to leave */
		answer = session_run(s);
		sent = s->state == CLOSE ? 0 : flush(s);
	} while (answer == 1 && sent == 1 && !held(s));
	if (muted(s)) {
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

int
session_step(struct session *s, const struct pollfd *slot)
{
	if (slot->revents == 0 && s->due > now.tick && (s->state != NAMING || slot[1].revents == 0))
		return 0;
	if ((slot->revents & (POLLIN | POLLHUP | POLLERR)) && !held(s))
		conn_receive(&s->conn);		/* its end shows in conn.ended */
	return session_advance(s);
}

void
session_committed(struct session *s)
{
	struct message *m = s->tx->m;
	const char *account = spool_account(s->owner->spool);
	char id[ID_SIZE];

	trace(s, '=', account, strlen(account), "RFC 5321 6.1");
	if (m->state == MESSAGE_KEPT) {
		s->owner->counts[MESSAGES_RECEIVED]++;
		s->owner->counts[RECIPIENTS_RECEIVED] += (long long)m->env.count;
		s->owner->counts[MESSAGE_BYTES_RECEIVED] += s->tx->content.size;
		log_received(s, m);
		s->kept = m->id;
		reply(s, R_QUEUED, id_text(&m->id, id));
	} else
		reply(s, disk_reply(m->error));
	s->tx->m = NULL;		/* it is the spool's */
	tx_end(s);
	s->answered = true;
	s->deadline = now.tick + s->conf->timeout;
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

struct session *
session_new(struct vserver *v, int fd, int to, const struct addr *peer, const struct addr *here, bool proxy)
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
	s->account = turn_account != NULL && *turn_account != '\0' ? text_copy(turn_account) : NULL;
	v->sessions++;
	v->counts[INBOUND]++;
	log_detail("- connected #%lu client=%s", s->number, addr_text_port(peer, who));
	if (!proxy)
		greet(s);
	conn_flush(&s->conn);		/* if it broke, the next step sees it */
	return s;
}

int
session_admit(struct session *s, enum reply r, const char *setting)
{
	if (r == R_READY)
		greet(s);
	else {
		decide(s, setting);
		reply_close(s, r, s->conf->hostname);
	}
	return session_advance(s);
}

void
session_doing(const struct session *s, char *out, size_t size)
{
	const struct message *m = s->tx ? s->tx->m : NULL;
	int n = snprintf(out, size, "%s %s", state_name[s->state], s->helo ? s->helo : "-");

	if (n > 0 && (size_t)n < size && m != NULL && m->env.sender != NULL)
		snprintf(out + n, size - (size_t)n, ", from <%.200s> to %lu, %lld octets", m->env.sender,
		    (unsigned long)m->env.count, s->tx->content.size);
}

void
session_shutdown(struct session *s, enum reply r)
{
	if (s->state != CLOSE) {
		tx_end(s);
		reply_close(s, r, s->conf->hostname);
	}
	conn_flush(&s->conn);
	conn_part(&s->conn);
}

void
session_free(struct session *s)
{
	char who[ADDR_TEXT + 8];

	log_detail("- closed #%lu client=%s", s->number, addr_text_port(&s->conn.peer, who));
	tx_free(s);
	conn_count(&s->conn, s->owner->counts);
	journal_forget(&s->exchange);
	lookup_end(s);
	free(s->client.names);
	conn_close(&s->conn);
	free(s->helo);
	free(s->account);
	s->owner->sessions--;
	config_release(s->conf->config);
	free(s);
}

void
session_refuse(struct vserver *v, int fd, const struct addr *peer, enum reply r, const char *setting)
{
	struct session s;

	memset(&s, 0, sizeof s);
	conn_open(&s.conn, fd, fd);
	s.state = NEWCOMER;
	s.conn.peer = *peer;
	s.owner = v;
	s.conf = v->conf;
	s.began = now.tick;
	decide(&s, setting);
	reply_close(&s, r, v->conf->hostname);
	conn_flush(&s.conn);
	conn_part(&s.conn);
	conn_close(&s.conn);
}
