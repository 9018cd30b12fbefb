/*
 * relay.c - the conversation in which we are the client, RFC 5321.
 *
 * A relay is one connection to a destination.  Its states, and who speaks next:
 *
 *	LOOKUP    a name server   where is it?  MX, then addresses
 *	CONNECT   the network
 *	HANDSHAKE both            TLS: after STARTTLS, or first of all on port 465
 *	GREETING  they            220
 *	HELLO     they            EHLO was said, or HELO
 *	STARTTLS  they            STARTTLS was said
 *	LOGIN     both            AUTH was said: see hello.c
 *	READY     we              between messages; idle when there is none
 *	ENVELOPE  both            MAIL, RCPT..., DATA: `saying` runs ahead of
 *	                          `hearing` where PIPELINING is offered
 *	CONTENT   we              the message goes out
 *	VERDICT   they            the dot was said: the next reply decides
 *	RESET     they            RSET was said, after a transaction that failed
 *	QUIT      they            QUIT was said
 *
 * One on a connection that somebody else made and turned round (ATRN) begins in
 * GREETING, sends what is held for his account, one destination after another,
 * and ends; where it breaks, nobody else is tried.
 *
 * What is true: m != NULL from ENVELOPE to RESET, and after a connection was
 * lost, while the next candidate is tried.  relay_say and relay_heard are
 * mirrors: what we say in each state, and what an answer means in it.  A
 * connection ends with the configuration that it was made by: what is in the
 * middle of a transaction is finished, and the rest waits for another.
 *
 * Nothing that was heard in clear counts under TLS: it begins with EHLO.  Where
 * TLS is wished for and no more (opportunistic), and comes to nothing, the same
 * address is connected to once more, in clear; but not where somebody may have
 * put words into the stream.
 *
 * What a failure is charged to: before MAIL the destination; in a transaction
 * the message, and the destination when it goes on (STRIKES); a reply to RCPT
 * that one recipient.
 */
#include "smtpd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_WAIT   30000	/* ms */
#define HANDSHAKE_WAIT 30000
#define GREETING_WAIT  300000	/* RFC 5321 4.5.3.2.1 */
#define COMMAND_WAIT   300000	/* .2, .3 */
#define DATA_WAIT      120000	/* .4 */
#define BLOCK_WAIT     180000	/* .5 */
#define VERDICT_WAIT   600000	/* .6 */
#define QUIT_WAIT      2000	/* a courtesy, no more */
#define IDLE_KEPT      1000	/* a connection without work, for more of it */
#define LINES_MAX      100	/* of one reply */
#define PUMP_TURN      8	/* pieces of content sent to one peer in a turn */
#define OUT_OCTETS     32768	/* said ahead; and content read at a time */
#define STRIKES        3	/* transactions in a row that died, until the destination backs off */

enum relay_state { LOOKUP, CONNECT, HANDSHAKE, GREETING, HELLO, STARTTLS, LOGIN, READY, ENVELOPE, CONTENT, VERDICT, RESET, QUIT, OVER };

/* For the trace: the name, and the clause that rules what is said in it. */
static const struct {
	const char *name, *clause;
} states[] = {
	{ "LOOKUP", "RFC 5321 5.1" }, { "CNNECT", "" }, { "TLS", "" }, { "GREET", "RFC 5321 3.1" }, { "HELLO", "RFC 5321 4.1.1.1" },
	{ "STLS", "RFC 3207 4" }, { "AUTH", "RFC 4954 4" }, { "READY", "" }, { "MAIL", "RFC 5321 3.3" }, { "DATA", "RFC 5321 4.1.1.4" }, { "DOT", "RFC 5321 4.2.5" },
	{ "RSET", "RFC 5321 4.1.1.5" }, { "QUIT", "RFC 5321 4.1.1.10" }, { "OVER", "" }
};

enum step { SAY_MAIL, SAY_RCPT, SAID };

struct relay {
	struct conn conn;
	struct destination *dest;
	const struct server *conf;	/* as it was when the connection began */
	unsigned long number;
	msec began, deadline;
	size_t slot;
	enum relay_state state;
	struct route route;		/* where it is */
	/* what it said */
	bool helo_only, helo;
	bool clear;			/* TLS has failed at this address */
	struct proof proof;
	bool works, known;		/* that goes on in the next turn; it knows who we are */
	struct offers offers;
	unsigned hidden;		/* extensions that are not used */
	int code, lines;
	char words[WORDS_SIZE];		/* its last reply, or our own for what happened */
	/* what we send */
	struct message *m;
	long long sent;			/* messages on this connection */
	enum step saying, hearing;
	size_t say_at, hear_at;		/* recipients */
	long long said, heard, taken;	/* of this transaction */
	bool refused;			/* MAIL was */
	bool chunk;			/* BDAT, not DATA */
	struct buf seven;		/* the content made 7-bit, when it had to be */
	off_t at;			/* in the file, or in that */
	struct content content;
	bool line_start;		/* and what is said of it is at a line's beginning */
	struct buf transcript;
	struct exchange exchange;
	/* on a connection that was turned round: who asked, and for what; or NULL */
	char *account, *domains;
};

static struct relay **relays;
static size_t relay_count, relay_room;
static size_t relay_most = SIZE_MAX;

static void relay_say(struct relay *r);
static void candidate_failed(struct relay *r, bool permanent);
static bool candidate_connect(struct relay *r);
static void route_follow(struct relay *r);

/* ---- what is said ---------------------------------------------------------------------- */

/* Our own words for what happened: a status and a sentence. */
static void
words_set(struct relay *r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(r->words, sizeof r->words, format, ap);
	va_end(ap);
}

/* One line of the conversation: for the trace, and to be kept with the message. */
static void
transcribe(struct relay *r, char side, const char *line, size_t n)
{
	char safe[300];

	journal_relay(r->dest->owner->journal, &r->exchange, &r->conn, side, line, n);
	trace_line(r->number, r->began, states[r->state].name, side, line, n, side == '>' ? states[r->state].clause : "");
	text_safe(safe, sizeof safe, line, n);
	report_transcribe(&r->transcript, side, safe);
}

static void
say(struct relay *r, const char *format, ...)
{
	char line[PATH_OCTETS + 3000];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(line, sizeof line - 2, format, ap);
	va_end(ap);
	if (n < 0 || n >= (int)sizeof line - 2)
		n = 0;				/* cannot be: addresses and parameters are bounded */
	transcribe(r, '>', line, (size_t)n);
	memcpy(line + n, "\r\n", 2);
	if (buf_add(&r->conn.out, line, (size_t)n + 2) == -1)
		r->conn.ended = true;		/* out of memory costs this connection */
}

/* The line of the login, of which nobody sees more than that. */
static void
say_login(struct relay *r)
{
	const struct buf *line = &r->proof.line;
	char shown[60] = "(not shown)";

	if (text_prefix(line->data, "AUTH "))
		snprintf(shown, sizeof shown, "AUTH %s (not shown)", proof_mechanism(&r->proof));
	r->exchange.sent = (long long)line->len;
	transcribe(r, '>', shown, strlen(shown));
	if (buf_add(&r->conn.out, line->data, line->len) == -1)
		r->conn.ended = true;
}

static void
enter(struct relay *r, enum relay_state state, msec wait)
{
	msec most = r->conf->relay_timeout;

	r->state = state;
	r->deadline = now.tick + (wait < most ? wait : most);
}

/* ---- the message in hand ------------------------------------------------------------------ */

/* Has the configuration been read again?  Then there may be other hosts, and rules. */
static bool
superseded(const struct relay *r)
{
	return r->account == NULL && r->conf != r->dest->owner->conf;
}

/* Whose words we have: the host's, or our own, which begin with a status. */
static const char *
speaker(const struct relay *r)
{
	return r->words[1] != '.' ? r->route.text : NULL;
}

/* The next recipient of this transaction from i on, or the count. */
static size_t
recipient_next(const struct relay *r, size_t i)
{
	const struct envelope *e = &r->m->env;

	while (i < e->count && !(e->rcpt[i].chosen && e->rcpt[i].outcome == RCPT_OPEN))
		i++;
	return i;
}

/* The attempt is over.  For those who are still open the message goes back to
 * the queue. */
static void
message_done(struct relay *r)
{
	struct attempt a = { .transcript = r->transcript.data, .dsn = (r->offers.bits & EXT_DSN) != 0,
	    .tls = r->conn.tls != NULL ? tls_words(r->conn.tls) : NULL };
	bool more = recipient_next(r, 0) < r->m->env.count;
	struct id id = r->m->id;

	outcome_conclude(r->dest->owner, r->m, &a);
	dest_done(r->dest, &id);
	spool_release(r->m);
	r->m = NULL;
	buf_free(&r->seven);
	if (more && dest_put(r->dest, &id) == -1)
		spool_wait(r->dest->owner->spool, &id, r->dest->next);
}

/* The same verdict for all recipients with this outcome. */
static void
verdict(struct relay *r, enum outcome of, enum outcome outcome)
{
	for (size_t i = 0; i < r->m->env.count; i++)
		if (r->m->env.rcpt[i].chosen && r->m->env.rcpt[i].outcome == of)
			recipient_outcome(&r->m->env.rcpt[i], outcome, r->words, speaker(r));
}

/* What this reply means for a recipient. */
static enum outcome
outcome_of(int code)
{
	return code >= 500 ? RCPT_REJECTED : RCPT_DEFERRED;
}

/* ---- the transaction --------------------------------------------------------------------------- */

static long long
content_size(const struct relay *r)
{
	return mime_size(r->m, &r->seven);
}

/* One of our parameters, as it came, if the peer knows it. */
static void
parameter(const struct relay *r, struct buf *b, enum extension extension, const char *args, const char *name)
{
	char value[ARGS_OCTETS + 1];

	if ((r->offers.bits & extension) && args_value(args, name, value))
		buf_addf(b, " %s=%s", name, value);
}

static void
say_mail(struct relay *r)
{
	char masked[PATH_OCTETS + DOMAIN_MAX + 2], body[ARGS_OCTETS + 1];
	const char *args = r->m->env.sender_args;
	struct buf b = { 0 };

	if (r->offers.bits & EXT_SIZE)
		buf_addf(&b, " SIZE=%lld", content_size(r));
	parameter(r, &b, EXT_8BITMIME, args, "BODY");
	if ((r->offers.bits & EXT_8BITMIME) && !args_value(args, "BODY", body) && mime_eight(r->m, false) == 1)
		buf_addf(&b, " BODY=8BITMIME");		/* nobody had announced it */
	if ((r->offers.bits & EXT_SMTPUTF8) && mime_utf8(r->m))
		buf_addf(&b, " SMTPUTF8");
	parameter(r, &b, EXT_DSN, args, "RET");
	parameter(r, &b, EXT_DSN, args, "ENVID");
	if (r->known && (r->offers.bits & EXT_AUTH))		/* who is said to have sent it, or nobody: RFC 4954 5 */
		buf_addf(&b, " AUTH=%s", args_value(args, "AUTH", body) ? body : "<>");
	say(r, "MAIL FROM:<%s>%s", config_masked(r->conf, r->m->env.sender, masked), b.data ? b.data : "");
	buf_free(&b);
	r->saying = SAY_RCPT;
}

static void
say_rcpt(struct relay *r)
{
	const struct recipient *to = &r->m->env.rcpt[r->say_at++];
	struct buf b = { 0 };

	parameter(r, &b, EXT_DSN, to->args, "NOTIFY");
	parameter(r, &b, EXT_DSN, to->args, "ORCPT");
	say(r, "RCPT TO:<%s>%s", to->address, b.data ? b.data : "");
	buf_free(&b);
	r->said++;
}

/* DATA may be said before the recipients are answered; BDAT, which nothing
 * answers before the content, not. */
static void
say_data(struct relay *r)
{
	if (r->chunk)
		say(r, "BDAT %lld LAST", content_size(r));
	else
		say(r, "DATA");
	r->saying = SAID;
	if (!r->chunk)
		return;
	r->hearing = SAID;
	enter(r, CONTENT, BLOCK_WAIT);
}

static void
reset(struct relay *r)
{
	enter(r, RESET, COMMAND_WAIT);
	say(r, "RSET");
}

/* As far ahead as pipelining allows. */
static void
say_envelope(struct relay *r)
{
	while (r->state == ENVELOPE && r->saying != SAID && r->conn.out.len < OUT_OCTETS) {
		bool waiting = r->hearing == SAY_MAIL ? r->saying != SAY_MAIL : r->heard < r->said;

		if (waiting && !(r->offers.bits & EXT_PIPELINING))
			return;
		r->say_at = recipient_next(r, r->say_at);
		if (r->saying == SAY_MAIL)
			say_mail(r);
		else if (!r->refused && r->said < r->offers.rcpt_max && r->say_at < r->m->env.count)
			say_rcpt(r);
		else if (waiting && (r->chunk || r->refused))
			return;
		else if (!waiting && r->taken == 0)
			reset(r);		/* nobody is left to send it to */
		else
			say_data(r);
	}
}

static void
transaction_begin(struct relay *r)
{
	r->saying = r->hearing = SAY_MAIL;
	r->say_at = r->hear_at = 0;
	r->said = r->heard = r->taken = 0;
	r->refused = false;
	r->chunk = args_have(r->m->env.sender_args, "BODY=BINARYMIME");
	r->at = r->seven.data != NULL ? 0 : (off_t)r->m->body;
	r->line_start = true;
	content_begin(&r->content, false, r->chunk, true);
	enter(r, ENVELOPE, COMMAND_WAIT);
	say_envelope(r);
}

/* A transaction is over, and what it came to is on disk before the next.  Who is
 * still open gets one of his own: see message_done. */
static void
transaction_over(struct relay *r)
{
	bool accepted = false;

	for (size_t i = 0; i < r->m->env.count; i++)
		if (r->m->env.rcpt[i].outcome == RCPT_ACCEPTED && r->m->env.rcpt[i].chosen) {
			accepted = true;
			r->dest->owner->counts[RECIPIENTS_SENT]++;
		}
	if (accepted) {
		r->dest->owner->counts[MESSAGES_SENT]++;
		r->dest->owner->counts[MESSAGE_BYTES_SENT] += content_size(r);
	}
	dest_alive(r->dest, accepted);
	r->sent++;
	message_done(r);
	enter(r, READY, IDLE_KEPT);
}

/* The reply to RCPT: his alone.  One recipient too many is not refused, but
 * asked to come again: RFC 5321 4.5.3.1.10. */
static void
heard_rcpt(struct relay *r)
{
	struct recipient *to = &r->m->env.rcpt[r->hear_at = recipient_next(r, r->hear_at)];

	r->hear_at++;
	r->heard++;
	if (r->refused)
		return;
	if (r->code / 100 == 2) {
		to->outcome = RCPT_TAKEN;
		r->taken++;
	} else if (r->taken > 0 && (r->code == 452 || (r->code == 552 && strncmp(r->words, "552 5.2", 7) != 0)))
		r->offers.rcpt_max = r->taken;
	else
		recipient_outcome(to, outcome_of(r->code), r->words, speaker(r));
}

static void
heard_data(struct relay *r)
{
	r->hearing = SAID;
	if (r->code / 100 != 3) {
		verdict(r, RCPT_TAKEN, outcome_of(r->code));
		reset(r);
	} else if (r->taken > 0) {
		enter(r, CONTENT, BLOCK_WAIT);
	} else {
		enter(r, VERDICT, VERDICT_WAIT);	/* it wants content for nobody: RFC 2920 3.1 */
		say(r, ".");
	}
}

static void
heard_envelope(struct relay *r)
{
	if (r->hearing == SAY_RCPT && r->heard == r->said) {
		heard_data(r);
		return;
	}
	if (r->hearing == SAY_RCPT)
		heard_rcpt(r);
	else if (r->code == 530 && r->conn.tls == NULL) {	/* no fault of the message's */
		words_set(r, "4.7.0 %s asks for STARTTLS or AUTH (530), which has come to nothing", r->route.text);
		candidate_failed(r, false);
		return;
	} else if (r->code / 100 != 2) {
		r->refused = true;
		verdict(r, RCPT_OPEN, outcome_of(r->code));
	}
	r->hearing = SAY_RCPT;
	enter(r, ENVELOPE, r->heard == r->said && r->saying == SAID ? DATA_WAIT : COMMAND_WAIT);
}

/* ---- the content ---------------------------------------------------------------------------------- */

static ssize_t
content_read(const struct relay *r, char *octets, size_t most)
{
	size_t left = r->seven.len - (size_t)r->at;

	if (r->seven.data == NULL)
		return r->at < r->m->size ? pread(r->m->fd, octets, most, r->at) : 0;
	if (left < most)
		most = left;
	memcpy(octets, r->seven.data + r->at, most);
	return (ssize_t)most;
}

/* The next piece of the file; canonical once more, for somebody may have had
 * it in an editor.  Binary goes as it is: its size was said. */
static void
say_content(struct relay *r)
{
	static char octets[OUT_OCTETS];
	static struct buf canonical;
	ssize_t n = 1;
	size_t used;

	while (n > 0 && r->conn.out.len < OUT_OCTETS && (n = content_read(r, octets, sizeof octets)) > 0) {
		canonical.len = 0;
		r->at += n;
		if (content_take(&r->content, octets, (size_t)n, &used, &canonical) == -1 ||
		    (r->chunk ? buf_add(&r->conn.out, octets, (size_t)n) :
		    content_stuff(&r->conn.out, canonical.data, canonical.len, &r->line_start)) == -1)
			n = -1;
	}
	enter(r, CONTENT, BLOCK_WAIT);
	if (n == 0 && !r->chunk) {
		canonical.len = 0;
		if (content_end(&r->content, &canonical) == -1 || buf_add(&canonical, ".\r\n", 3) == -1 ||
		    buf_add(&r->conn.out, canonical.data, canonical.len) == -1)
			n = -1;
	}
	if (n == 0) {
		r->exchange.sent = content_size(r);
		transcribe(r, '>', "(the message)", 13);
		enter(r, VERDICT, VERDICT_WAIT);
	}
	if (n == -1) {		/* our disk, or memory: never end it as if it were whole */
		words_set(r, "4.3.0 the message cannot be read here: %s", strerror(errno));
		verdict(r, RCPT_TAKEN, RCPT_DEFERRED);
		message_done(r);
		r->state = OVER;
	}
}

/* ---- what is heard --------------------------------------------------------------------------------- */

static void
say_hello(struct relay *r, bool helo)
{
	r->helo = helo;
	r->offers = (struct offers){ .rcpt_max = RCPTS_MAX };
	r->offers.mail_max = r->account != NULL ? LLONG_MAX : r->conf->per_connection;	/* there is no next one */
	enter(r, HELLO, COMMAND_WAIT);
	say(r, "%s %s", helo ? "HELO" : "EHLO", r->conf->hostname);
}

/* Over with this connection, after the message in hand if there is one. */
static void
quit(struct relay *r)
{
	enter(r, QUIT, QUIT_WAIT);
	say(r, "QUIT");
}

/* ---- TLS ------------------------------------------------------------------------------------------- */

/* It comes to nothing, and words say why: where it was wished for and no more,
 * and may be left, this address is tried in clear. */
static void
secure_failed(struct relay *r)
{
	char safe[WORDS_SIZE];

	if (route_tls(&r->route) != TLS_OPPORTUNISTIC || route_tls_first(&r->route) || superseded(r)) {
		candidate_failed(r, false);
		return;
	}
	log_line("- clear server=\"%s\" host=%s reason=\"%s\"", r->conf->name, r->route.text,
	    text_safe(safe, sizeof safe, r->words, strlen(r->words)));
	transcribe(r, '=', r->words, strlen(r->words));
	conn_count(&r->conn, r->dest->owner->counts);
	conn_close(&r->conn);
	r->clear = true;
	if (!candidate_connect(r))
		route_follow(r);
}

/* From here on all is under TLS, once its handshake is done. */
static void
secure(struct relay *r)
{
	char name[DOMAIN_MAX + 1];
	bool verify = route_tls(&r->route) == TLS_VERIFIED;

	enter(r, HANDSHAKE, HANDSHAKE_WAIT);
	if (conn_secure(&r->conn, r->conf->tls_client, route_peer(&r->route, name), verify) == 0)
		return;
	words_set(r, "4.3.0 there is no memory for TLS");
	candidate_failed(r, false);
}

static void
step_handshake(struct relay *r)
{
	char why[WORDS_SIZE];
	const char *words;
	int answer = tls_handshake(r->conn.tls, why, sizeof why);

	if (answer == -1) {
		words_set(r, "4.7.5 %s: %.300s%s", r->route.text, why, route_strange(&r->route) ? "; our password is for another name, "
		    "and an MX leads here: where this host is meant, write it as smart-host [HOST]" : "");
		secure_failed(r);
	}
	if (answer != 1)
		return;
	words = tls_words(r->conn.tls);
	transcribe(r, '=', words, strlen(words));
	r->code = 0;			/* it may not have taken ours yet */
	if (route_tls_first(&r->route))
		enter(r, GREETING, GREETING_WAIT);
	else
		say_hello(r, false);
}

static void
heard_starttls(struct relay *r, bool good)
{
	size_t n;

	conn_peek(&r->conn, &n);
	if (good && (n > 0 || r->conn.out.len > 0)) {		/* said in clear, and meant to be taken for what is said under TLS */
		words_set(r, "4.7.0 %s says more behind its reply to STARTTLS, in clear: somebody may be in between", r->route.text);
		log_line("warning: server=\"%s\" host=%s injection=%lu", r->conf->name, r->route.text, (unsigned long)n);
		candidate_failed(r, false);
	} else if (good)
		secure(r);
	else
		secure_failed(r);
}

/* ---- AUTH ------------------------------------------------------------------------------------------ */

/* We are not who they take mail from; the operator is told, and no mail goes back
 * for it.  What was said and refused would be at the other addresses too. */
static void
login_refused(struct relay *r)
{
	words_set(r, "%.5s %s%s", r->proof.why, r->route.text, r->proof.why + 5);
	proof_tell(&r->proof, r->dest->owner, route_account(&r->route), &r->route, r->words);
	if (text_prefix(r->proof.why, "4.7.8"))
		route_leave(&r->route);
	candidate_failed(r, false);
}

static void
login_follow(struct relay *r, enum proof_result result)
{
	r->works = result == PROOF_WORKS;
	if (r->state != LOGIN || result == PROOF_SAYS)
		enter(r, LOGIN, COMMAND_WAIT);
	switch (result) {
	case PROOF_SAYS:
		say_login(r);
		break;
	case PROOF_WORKS:
		break;
	case PROOF_DONE:
		proof_works(r->dest->owner, route_account(&r->route), &r->route);
		proof_end(&r->proof);
		r->known = true;
		enter(r, READY, IDLE_KEPT);
		break;
	case PROOF_LATER:
		candidate_failed(r, false);
		break;
	case PROOF_REFUSED:
		login_refused(r);
		break;
	}
}

/* It is greeted: TLS comes next, if it is to come; and then who we are. */
static void
heard_hello(struct relay *r)
{
	enum tls_policy policy = r->account == NULL ? route_tls(&r->route) : TLS_OFF;
	const struct account *account = r->account == NULL ? route_account(&r->route) : NULL;
	bool wanted = r->conn.tls == NULL && policy != TLS_OFF && r->conf->tls_client != NULL && !r->clear;

	if (wanted && (r->offers.bits & EXT_STARTTLS)) {
		enter(r, STARTTLS, COMMAND_WAIT);
		say(r, "STARTTLS");
	} else if (r->conn.tls == NULL && policy > TLS_OPPORTUNISTIC) {
		words_set(r, "4.7.4 %s does not offer STARTTLS, and nothing is sent there in clear (tls)", r->route.text);
		candidate_failed(r, false);
	} else if (account != NULL)
		login_follow(r, proof_begin(&r->proof, account, r->offers.mechanisms, r->conn.tls == NULL && policy != TLS_OFF));
	else
		enter(r, READY, IDLE_KEPT);
}

/* ---- the connection is gone, or a reply is there ----------------------------------------------------- */

/* Nobody knows whether it was taken: SMTP's own gap. */
static void
log_doubtful(const struct relay *r)
{
	char id[ID_SIZE];

	log_line("%s doubtful host=%s reason=\"the connection ended between the final dot and its reply; "
	    "the message is sent again and may arrive twice\"", id_text(&r->m->id, id), r->route.text);
}

/*
 * The connection is gone, or has become of no use.  Before a transaction that
 * is the candidate's failure.  In one, it is tried with the next; after the
 * final dot nobody knows whether the message was taken.
 */
static void
lost(struct relay *r, const char *why)
{
	bool doubtful = r->state == VERDICT && r->m != NULL && why != NULL;

	if (r->state == READY || r->state == QUIT || r->state == OVER) {
		r->state = OVER;
		return;
	}
	if (why != NULL)
		words_set(r, "%s %s %s", r->state == CONNECT ? "4.4.1" : "4.4.2", r->route.text, why);
	if (r->state == STARTTLS || r->state == HANDSHAKE || (r->state == HELLO && r->conn.tls != NULL && r->code == 0)) {
		secure_failed(r);
		return;
	}
	if (r->m == NULL) {
		candidate_failed(r, false);
		return;
	}
	if (doubtful)
		log_doubtful(r);
	verdict(r, RCPT_TAKEN, r->state == VERDICT && r->account == NULL ? RCPT_DEFERRED : RCPT_OPEN);
	if (recipient_next(r, 0) < r->m->env.count && (r->sent == 0 || r->state == VERDICT)) {
		candidate_failed(r, false);
		return;
	}
	message_done(r);		/* it is settled; or they had enough of this connection, not of us */
	r->state = OVER;
}

/* A whole reply.  The mirror of relay_say. */
static void
relay_heard(struct relay *r)
{
	bool good = r->code / 100 == 2;

	if (r->code == 421 && r->state != QUIT) {
		lost(r, NULL);
		return;
	}
	switch (r->state) {
	case GREETING:
		if (good)
			say_hello(r, r->helo_only);
		else
			candidate_failed(r, r->code >= 500);
		break;
	case HELLO:
		if (good)
			heard_hello(r);
		else if (r->code >= 500 && !r->helo)
			say_hello(r, true);
		else
			candidate_failed(r, r->code >= 500);
		break;
	case STARTTLS:
		heard_starttls(r, good);
		break;
	case LOGIN:
		if (r->works)
			lost(r, "speaks when it is not asked");
		else
			login_follow(r, proof_heard(&r->proof, r->code, r->words + 4));
		break;
	case ENVELOPE:
		heard_envelope(r);
		break;
	case CONTENT:		/* before the end: it can only be a refusal */
		verdict(r, RCPT_TAKEN, r->code >= 400 ? outcome_of(r->code) : RCPT_DEFERRED);
		message_done(r);
		r->state = OVER;
		break;
	case VERDICT:
		verdict(r, RCPT_TAKEN, good ? RCPT_ACCEPTED : outcome_of(r->code >= 400 ? r->code : 400));
		transaction_over(r);
		break;
	case RESET:
		transaction_over(r);
		break;
	default:		/* QUIT; or something nobody asked for */
		r->state = OVER;
		break;
	}
}

/* Is there something to send on this connection? */
static bool
work(const struct relay *r)
{
	return r->dest->owner->delivers && (r->account != NULL ? r->dest->count : dest_ready(r->dest)) > 0;
}

/* Where all has been sent that was held, another of the account's destinations
 * takes its place. */
static void
next_destination(struct relay *r)
{
	struct destination *before = r->dest, *d = dests_held(before->owner, r->domains, r->account, r->conn.tls != NULL);

	if (d == NULL || before->count > 0)
		return;
	dest_connections(d, 1);
	r->dest = d;
	dest_connections(before, -1);
}

/* Take another message, if there is one and we may. */
static void
next_message(struct relay *r)
{
	bool turned = r->account != NULL;

	if (superseded(r)) {
		if (r->m != NULL)
			message_done(r);
		quit(r);
		return;
	}
	if (turned && r->m == NULL)
		next_destination(r);
	if (r->m == NULL && r->sent < r->offers.mail_max && relay_most > 0 && (r->m = dest_next(r->dest, turned)) != NULL && r->sent > 0)
		buf_free(&r->transcript);
	if (r->m == NULL) {
		if (r->sent >= r->offers.mail_max || !r->dest->owner->delivers || relays_full(r->dest->owner) || (turned && !work(r)))
			quit(r);
	} else if (offers_suit(&r->offers, r->m, &r->seven, r->route.text, r->words))
		transaction_begin(r);
	else {
		verdict(r, RCPT_OPEN, outcome_of(r->words[0] == '5' ? 500 : 400));
		message_done(r);
	}
}

/* What there is to say in this state. */
static void
relay_say(struct relay *r)
{
	switch (r->state) {
	case READY:
		next_message(r);
		break;
	case ENVELOPE:
		say_envelope(r);
		break;
	case CONTENT:
		say_content(r);
		break;
	default:		/* it is said on entering, or they speak */
		break;
	}
}

/* One line of a reply joins its words: code and text once, however many lines. */
static void
reply_line(struct relay *r, const char *line)
{
	size_t n = strlen(r->words), room = sizeof r->words;

	if (r->lines++ == 0)
		n = (size_t)snprintf(r->words, room, "%.3s ", line);
	else if (n + 1 < room)
		n += (size_t)snprintf(r->words + n, room - n, " ");
	for (line += line[3] != '\0' ? 4 : 3; *line != '\0' && n + 1 < room; line++)
		r->words[n++] = *line >= ' ' && *line < 127 ? *line : '?';
	r->words[n] = '\0';
}

/* A line from the other side: 1 it completes a reply, 0 there is more, -1 this
 * is no SMTP. */
static int
hear_line(struct relay *r, const char *line, size_t n)
{
	if (r->state == LOGIN && text_prefix(line, "334"))
		transcribe(r, '<', "334 (not shown)", 15);
	else
		transcribe(r, '<', line, n);
	if (n < 3 || strspn(line, "0123456789") != 3 || strchr("2345", line[0]) == NULL ||
	    strchr(" -", line[3]) == NULL || r->lines >= LINES_MAX)
		return -1;
	if (r->lines > 0 && atoi(line) != r->code)
		return -1;
	r->code = atoi(line);
	if (r->state == HELLO && r->code == 250 && r->lines > 0 && !r->helo)
		offers_add(&r->offers, r->hidden, line[3] != '\0' ? line + 4 : "");
	reply_line(r, line);
	return line[3] == '-' ? 0 : 1;
}

/* There is a connection to talk on. */
static bool
talking(const struct relay *r)
{
	return r->state > HANDSHAKE && r->state != OVER;
}

static void
relay_hear(struct relay *r)
{
	char *line;
	size_t n;
	bool crlf;
	int answer, whole;

	while (talking(r) && (answer = conn_line(&r->conn, &line, &n, &crlf)) != 0) {
		whole = answer == 1 ? hear_line(r, line, n) : -1;
		if (whole == -1) {
			lost(r, "answered with what is no reply");
			return;
		}
		if (whole == 0)
			continue;
		r->lines = 0;
		relay_heard(r);
		if (r->state != CONTENT)
			relay_say(r);
	}
}

/* ---- a candidate -------------------------------------------------------------------------------- */

/* The route has nothing more to try: what failed for good is returned, one
 * message at a time; one that lost its connections too often waits for itself;
 * else the destination backs off. */
static void
exhausted(struct relay *r)
{
	struct destination *d = r->dest;

	r->state = OVER;
	memcpy(r->words, r->route.words, sizeof r->words);
	if (superseded(r)) {
		if (r->m != NULL)
			message_done(r);
		return;
	}
	if (r->route.permanent) {
		if (r->m != NULL || (r->m = dest_next(d, false)) != NULL) {
			verdict(r, RCPT_OPEN, RCPT_REJECTED);
			message_done(r);
		}
		return;
	}
	if (r->m != NULL && ++d->strikes < STRIKES) {
		verdict(r, RCPT_OPEN, RCPT_DEFERRED);
		message_done(r);
		return;
	}
	if (r->m != NULL)
		message_done(r);		/* back to the queue */
	dest_fail(d, r->words, speaker(r), r->transcript.data);
}

/* To the address that the route has found. */
static bool
candidate_connect(struct relay *r)
{
	const struct addr *to = &r->route.addrs[r->route.addr];
	int fd = conn_connect(to);

	r->lines = 0;
	r->works = r->known = false;
	if (fd == -1) {
		route_failed(&r->route, false, "4.4.1 %s cannot be connected to: %s", r->route.text, strerror(errno));
		return false;
	}
	conn_open(&r->conn, fd, fd);
	r->conn.peer = *to;
	enter(r, CONNECT, CONNECT_WAIT);
	transcribe(r, '=', r->route.text, strlen(r->route.text));
	return true;
}

/* The next candidate, when the route knows it. */
static void
route_follow(struct relay *r)
{
	int answer;

	r->state = LOOKUP;
	r->sent = 0;
	r->clear = false;
	while ((answer = route_step(&r->route)) == 1)
		if (candidate_connect(r))
			return;
	if (answer == -1)
		exhausted(r);
}

/* This candidate is none: words say why.  Who has turned round his connection is
 * the only one: what he did not take is held on.  Where the configuration was read
 * again, others may be the next. */
static void
candidate_failed(struct relay *r, bool permanent)
{
	char safe[WORDS_SIZE];

	transcribe(r, '=', r->words, strlen(r->words));
	r->dest->owner->counts[CONNECTION_ERRORS]++;
	conn_count(&r->conn, r->dest->owner->counts);
	conn_close(&r->conn);
	if (r->account != NULL)
		log_line("- turned server=\"%s\" host=%s reason=\"%s\"", r->conf->name, r->route.text,
		    text_safe(safe, sizeof safe, r->words, strlen(r->words)));
	if (r->account != NULL || superseded(r)) {
		if (r->m != NULL)
			message_done(r);
		r->state = OVER;
		return;
	}
	route_failed(&r->route, permanent, "%s", r->words);
	route_follow(r);
}

static void
step_connect(struct relay *r)
{
	if (conn_connected(r->conn.fd) == 0) {
		enter(r, GREETING, GREETING_WAIT);
		r->dest->owner->counts[OUTBOUND]++;
		if (!route_loops(&r->route, r->conn.fd)) {
			if (route_tls_first(&r->route) && r->conf->tls_client != NULL)
				secure(r);
			return;
		}
		words_set(r, "5.4.6 %s is this server itself: the mail would go round in circles", r->route.text);
		candidate_failed(r, true);
		return;
	}
	r->dest->owner->counts[OUTBOUND_REFUSED] += errno == ECONNREFUSED;
	words_set(r, "4.4.1 %s cannot be connected to: %s", r->route.text, strerror(errno));
	candidate_failed(r, false);
}

/* ---- all of them ---------------------------------------------------------------------------------- */

/* Who else wants a connection gets this one when it has nothing to do. */
bool
relays_full(const struct vserver *v)
{
	return relay_count >= relay_most || v->relays >= v->conf->relays;
}

/* One for this destination, without a connection yet; NULL: out of memory. */
static struct relay *
relay_new(struct destination *d, const struct server *s)
{
	const struct domain *row = config_domain(s, d->name);
	struct relay **more = grow(relays, &relay_room, relay_count, sizeof *more), *r;

	if (more == NULL)
		return NULL;
	relays = more;
	if ((r = memory(NULL, sizeof *r)) == NULL)
		return NULL;
	memset(r, 0, sizeof *r);
	relays[relay_count++] = r;
	r->dest = d;
	r->conf = s;
	config_hold(s->config);
	r->began = now.tick;
	r->slot = SIZE_MAX;
	r->conn.fd = -1;
	r->helo_only = row != NULL && row->helo_only;
	r->hidden = row != NULL ? (unsigned)extensions_hidden(row->hidden) : 0;
	dest_connections(d, 1);
	return r;
}

/* Beginning with the question where it is. */
static int
relay_start(struct destination *d)
{
	struct relay *r = relay_new(d, d->owner->conf);

	if (r == NULL)
		return -1;
	r->number = trace_number();
	route_begin(&r->route, r->conf, d->name);
	route_follow(r);
	return 0;
}

int
relay_turn(struct session *s, struct destination *d, const char *domains)
{
	char *account = text_copy(s->account), *copy = text_copy(domains), who[ADDR_TEXT + 8], safe[300], names[600];
	struct relay *r = account != NULL && copy != NULL ? relay_new(d, s->conf) : NULL;

	if (r == NULL) {
		free(account);
		free(copy);
		return -1;
	}
	d->owner->counts[OUTBOUND]++;
	r->account = account;
	r->domains = copy;
	r->number = s->number;
	r->began = s->began;
	route_begin(&r->route, r->conf, "");
	conn_move(&r->conn, &s->conn);
	snprintf(r->route.text, sizeof r->route.text, "%s", addr_text_port(&r->conn.peer, who));
	log_line("- turned server=\"%s\" client=%s account=%s domains=%s", r->conf->name, who,
	    text_safe(safe, sizeof safe, account, strlen(account)), *copy ? text_safe(names, sizeof names, copy, strlen(copy)) : "*");
	transcribe(r, '=', r->route.text, strlen(r->route.text));
	enter(r, GREETING, GREETING_WAIT);
	return 0;
}

static void
relay_free(struct relay *r)
{
	if (r->m != NULL) {
		if (r->state == VERDICT)
			log_doubtful(r);
		dest_done(r->dest, &r->m->id);
	}
	spool_release(r->m);
	proof_end(&r->proof);
	conn_close(&r->conn);
	route_end(&r->route);
	buf_free(&r->transcript);
	buf_free(&r->seven);
	free(r->account);
	free(r->domains);
	config_release(r->conf->config);
	free(r);
}

void
relays_start(void)
{
	struct destination *d;

	while (relay_count < relay_most && (d = dests_wanting()) != NULL)
		if (relay_start(d) == -1) {
			dest_connections(d, 0);		/* out of memory: it stands in the line again */
			return;
		}
}

/* Our turn to speak, as long as the network takes it. */
static void
relay_speak(struct relay *r)
{
	for (int i = 0; i < PUMP_TURN && talking(r) && !r->conn.ended; i++) {
		relay_say(r);
		r->conn.ended |= conn_flush(&r->conn) == -1;
		if (r->state != CONTENT || r->conn.out.len > 0)
			return;
	}
}

static void
relay_step(struct relay *r, short events)
{
	if (r->state == LOOKUP) {
		route_follow(r);
		return;
	}
	if (r->works)
		login_follow(r, proof_work(&r->proof));
	if (r->deadline <= now.tick && r->state == READY && !work(r))
		quit(r);
	else if (r->deadline <= now.tick && r->state != READY)
		lost(r, r->state == CONNECT ? "cannot be connected to: no answer" : "was silent for too long");
	else if (r->state == CONNECT && events != 0)
		step_connect(r);
	else if (r->state == HANDSHAKE && events != 0)
		step_handshake(r);
	else if (talking(r) && conn_ready(&r->conn, events) && conn_receive(&r->conn) != 0)
		relay_hear(r);
	relay_speak(r);
	if (r->conn.ended && talking(r))
		lost(r, "closed the connection");
	conn_count(&r->conn, r->dest->owner->counts);
	conn_rest(&r->conn);
}

size_t
relays_count(void)
{
	return relay_count;
}

void
relays_limit(size_t most)
{
	relay_most = most;
}

/* Who has no slot waits for his deadline. */
size_t
relays_want(struct pollfd *slots, size_t room, msec *until)
{
	size_t n = 0;

	for (; n < relay_count && n < room; n++) {
		struct relay *r = relays[n];

		r->slot = n;
		if (r->state == LOOKUP) {
			route_want(&r->route, &slots[n], until);
			continue;
		}
		if (r->state == OVER)
			*until = now.tick;
		conn_want(&r->conn, true, &slots[n]);
		if (r->state == CONNECT)
			slots[n].events = POLLOUT;
		else if (r->state == CONTENT)
			slots[n].events |= POLLOUT;	/* there is more to say */
		if (r->deadline < *until)
			*until = r->deadline;
		if (r->works || (r->state == READY && work(r)))
			*until = now.tick;
	}
	return n;
}

void
relays_step(const struct pollfd *slots, size_t n)
{
	for (size_t i = relay_count; i-- > 0; ) {
		struct relay *r = relays[i];
		short events = r->slot < n ? slots[r->slot].revents : 0;
		msec due = r->state == LOOKUP ? r->route.dns.deadline : r->deadline;

		if (events != 0 || due <= now.tick || r->works || (r->state == READY && work(r)))
			relay_step(r, events);
		r->slot = SIZE_MAX;
		if (r->state == OVER) {
			struct destination *d = r->dest;

			relays[i] = relays[--relay_count];
			relay_free(r);
			dest_connections(d, -1);
		}
	}
}

bool
relays_doubtful(void)
{
	for (size_t i = 0; i < relay_count; i++)
		if (relays[i]->state == CONTENT || relays[i]->state == VERDICT)
			return true;
	return false;
}

static void
relay_cut(struct relay *r)
{
	conn_close(&r->conn);
	route_end(&r->route);
	r->state = OVER;
}

void
relays_end(const struct vserver *v)
{
	for (size_t i = 0; i < relay_count; i++)
		if (relays[i]->dest->owner == v && relays[i]->state != CONTENT && relays[i]->state != VERDICT)
			relay_cut(relays[i]);
}

bool
relays_send(const struct vserver *v, const struct id *id)
{
	for (size_t i = 0; i < relay_count; i++)
		if (relays[i]->m != NULL && relays[i]->dest->owner == v && id_compare(&relays[i]->m->id, id) == 0)
			return true;
	return false;
}

bool
relay_peer(size_t i, struct peer *p)
{
	const struct relay *r = i < relay_count ? relays[i] : NULL;
	char id[ID_SIZE];

	if (r == NULL)
		return false;
	*p = (struct peer){ .owner = r->dest->owner, .number = r->number, .began = r->began };
	snprintf(p->host, sizeof p->host, "%s", *r->route.text ? r->route.text : r->dest->name);
	snprintf(p->doing, sizeof p->doing, "%s %s%s%.100s", states[r->state].name, r->conn.tls ? "under TLS " : "", r->m ? "with " : "for ",
	    r->m ? id_text(&r->m->id, id) : r->dest->name);
	return true;
}

bool
relay_end(size_t i)
{
	struct relay *r = relays[i];

	if (r->state == CONTENT || r->state == VERDICT || r->state == OVER)
		return false;
	words_set(r, "4.3.0 an operator has ended the connection");
	if (r->m != NULL) {
		verdict(r, RCPT_TAKEN, RCPT_OPEN);
		message_done(r);
	}
	relay_cut(r);
	return true;
}

void
relays_close(void)
{
	while (relay_count > 0)
		relay_free(relays[--relay_count]);
	free(relays);
	dests_close();
}
