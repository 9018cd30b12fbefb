/*
 * reply.c - all we ever say as a server.
 *
 * One row a reply: its code (RFC 5321 4.2), enhanced status (RFC 3463), text,
 * and the clause that rules it, an RFC and its section.  A status of "" is for
 * replies that have none (RFC 2034).
 *
 * What is said joins conn.out, the protocol log and the trace; a refusal is
 * counted and logged, and can be held back (tarpit): then the session is mute,
 * nothing is read or said before its time, and its other deadline moves by as
 * much.
 *
 * Any reply can bring its session to CLOSE: by one refusal too many, or for want
 * of memory.  What the session still has then, session.c lets go.
 */
#include "smtpd.h"

#include <stdio.h>
#include <string.h>

#define ERRORS_MAX 20		/* commands refused in one session, then 421 */
#define CLOSE_WAIT 5000		/* for the last reply to be taken, ms */

const char *const state_names[] = {
	"PROXY", "NEW", "TLS", "NAMING", "GREET", "IDLE", "AUTH", "PROVNG", "MAIL", "RCPT", "LOOKING", "DATA", "CHUNK", "CHUNKS", "COMMIT", "CLOSE"
};

const struct reply_row replies[] = {
	[R_READY]     = { 220, "", "%s ESMTP smtpd", "5321 3.1" },
	[R_START_TLS] = { 220, "2.0.0", "Ready to start TLS", "3207 4" },
	[R_BYE]       = { 221, "2.0.0", "%s closing the channel", "5321 4.1.1.10" },
	[R_AUTHENTICATED] = { 235, "2.7.0", "Authentication succeeded", "4954 6" },
	[R_RESET]     = { 250, "2.0.0", "Reset", "5321 4.1.1.5" },
	[R_NOOP]      = { 250, "2.0.0", "OK", "5321 4.1.1.9" },
	[R_SENDER]    = { 250, "2.1.0", "<%s> sender ok", "5321 4.1.1.2" },
	[R_RECIPIENT] = { 250, "2.1.5", "<%s> recipient ok", "5321 4.1.1.3" },
	[R_CHUNK]     = { 250, "2.0.0", "%s octets received", "3030 2" },
	[R_QUEUED]    = { 250, "2.6.0", "%s queued", "5321 4.2.5, the promise" },
	[R_RELEASING] = { 250, "2.0.0", "OK, queuing for node %s started", "1985 5.2" },
	[R_TURNED]    = { 250, "2.0.0", "OK now reversing the connection", "2645 4" },
	[R_NONE_HELD] = { 251, "2.0.0", "OK, no messages waiting for node %s", "1985 5.2" },
	[R_VERIFY]    = { 252, "2.1.5", "Not verified; send mail and see", "5321 3.5.3" },
	[R_RELEASED]  = { 253, "2.0.0", "OK, pending messages for node %s started: %s", "1985 5.2" },
	[R_CHALLENGE] = { 334, "", "%s", "4954 4" },
	[R_GO_AHEAD]  = { 354, "", "Send the message, then <CRLF>.<CRLF>", "5321 4.1.1.4" },
	[R_HELP]      = { 214, "2.0.0", "%s", "5321 4.1.1.8" },

	[R_SHUTDOWN]  = { 421, "4.3.2", "%s stops now and closes the channel", "5321 3.8" },
	[R_TIMEOUT]   = { 421, "4.4.2", "Nothing heard for too long; closing", "5321 4.5.3.2.7" },
	[R_FULL]      = { 421, "4.3.2", "Too many connections; come again later", "5321 3.1" },
	[R_CLIENT_FULL] = { 421, "4.7.0", "Too many connections from your address", "5321 3.1" },
	[R_ERRORS]    = { 421, "4.7.0", "Too many errors; closing", "5321 7.8" },
	[R_MEMORY]    = { 421, "4.3.0", "Out of memory; come again later", "5321 3.8" },
	[R_SESSION]   = { 421, "4.7.0", "Enough for one connection; come again", "5321 3.8" },
	[R_CLOSED]    = { 421, "4.3.2", "%s takes no connections now", "5321 3.1" },
	[R_LOGINS]    = { 421, "4.7.0", "Too many failed logins; come again later", "4954 9" },
	[R_ENDED]     = { 421, "4.3.2", "%s ends the session: an operator wants it so", "5321 3.8" },
	[R_CONNECT_LATER] = { 421, "4.4.3", "%s cannot look up your name now; come again later", "8601 3" },
	[R_RELAY_LATER] = { 451, "4.4.3", "Your name cannot be looked up now; try <%s> later", "8601 3" },
	[R_DIRECTORY_LATER] = { 451, "4.4.3", "The directory does not say now who <%s> is; try again later", "3463 3.5" },
	[R_NAME_LATER] = { 451, "4.7.25", "Your name cannot be looked up now; try <%s> later", "7372 3.3" },
	[R_NOT_YOURS] = { 450, "4.7.1", "%s request refused: that mail is not for you", "2645 4" },
	[R_DISK]      = { 451, "4.3.0", "The disk failed; the message was not accepted", "5321 4.2.5" },
	[R_UNFINISHED] = { 451, "4.4.2", "The message was cut off; DATA ends with <CRLF>.<CRLF> (nc -C sends CR LF)", "5321 4.1.1.4" },
	[R_NO_TURN]   = { 451, "4.3.2", "Unable to process %s request now", "2645 4" },
	[R_SPACE]     = { 452, "4.3.1", "Not enough disk space; try later", "1870 6.3" },
	[R_QUOTA]     = { 452, "4.2.2", "<%s> mailbox full", "5321 4.2.3" },
	[R_RCPTS]     = { 452, "4.5.3", "Too many recipients; send another copy for the rest", "5321 4.5.3.1.10" },
	[R_NO_MAIL]   = { 453, "4.2.0", "You have no mail", "2645 4" },
	[R_LOGIN_LATER] = { 454, "4.7.0", "Passwords cannot be looked at now; try later", "4954 6" },
	[R_NO_RELEASE] = { 458, "4.3.2", "Unable to queue messages for node %s", "1985 5.2" },
	[R_NOT_HELD]  = { 459, "4.7.1", "Node %s not allowed: no mail is held for it", "1985 5.2" },
	[R_BY_ACCOUNT] = { 459, "4.7.1", "Node %s not allowed: its mail is collected by ATRN", "1985 5.2" },

	[R_UNKNOWN]   = { 500, "5.5.2", "Command not recognized", "5321 4.2.4" },
	[R_LONG]      = { 500, "5.5.2", "Line too long", "5321 4.5.3.1.4" },
	[R_LONG_RESPONSE] = { 500, "5.5.6", "That line is too long for AUTH", "4954 4" },
	[R_NUL]       = { 500, "5.5.2", "No NUL in commands", "5321 2.3.8" },
	[R_SYNTAX]    = { 501, "5.5.4", "Syntax: %s", "5321 4.1.1" },
	[R_NO_ARGUMENT] = { 501, "5.5.4", "%s takes no argument", "5321 4.1.1" },
	[R_BAD_HELO]  = { 501, "5.5.4", "That is no host name", "5321 4.1.1.1" },
	[R_BAD_SENDER] = { 501, "5.1.7", "That is no sender's address", "5321 4.1.2" },
	[R_BAD_RECIPIENT] = { 501, "5.1.3", "That is no recipient's address", "5321 4.1.2" },
	[R_PARAMETER_VALUE] = { 501, "5.5.4", "Bad value for %s", "5321 4.1.2" },
	[R_PARAMETER_TWICE] = { 501, "5.5.4", "%s was given twice", "5321 4.1.1.11" },
	[R_CHUNK_SIZE] = { 501, "5.5.4", "Syntax: BDAT size [LAST]; closing, for what follows cannot be told apart", "3030 2" },
	[R_BAD_RESPONSE] = { 501, "5.5.2", "That is no response of this mechanism, in base64", "4954 4" },
	[R_CANCELLED] = { 501, "5.7.0", "Authentication cancelled", "4954 4" },
	[R_ABSENT]    = { 502, "5.5.1", "%s is not available here", "5321 4.2.4" },
	[R_FOREIGN]   = { 502, "5.5.1", "This is a mail server; closing", "5321 7.8" },
	[R_HELLO_FIRST] = { 503, "5.5.1", "Say EHLO or HELO first", "5321 4.1.4" },
	[R_MAIL_FIRST] = { 503, "5.5.1", "MAIL first", "5321 4.1.4" },
	[R_RCPT_FIRST] = { 503, "5.5.1", "RCPT first: there is no valid recipient", "5321 3.3" },
	[R_NESTED]    = { 503, "5.5.1", "A transaction is under way; RSET ends it", "5321 4.1.4" },
	[R_ALREADY]   = { 503, "5.5.1", "Already authenticated", "4954 4" },
	[R_IN_CHUNKS] = { 503, "5.5.1", "Only BDAT or RSET can follow BDAT", "3030 2" },
	[R_BINARY]    = { 503, "5.5.1", "BINARYMIME needs BDAT", "3030 3" },
	[R_FOLLOWED]  = { 503, "5.5.1", "Wait for the reply to %s before you say more", "3207 4.2" },
	[R_BODY]      = { 504, "5.5.4", "BODY is 7BIT, 8BITMIME or BINARYMIME", "6152 3" },
	[R_NO_HELP]   = { 504, "5.5.4", "No help on that", "5321 4.1.1.8" },
	[R_NO_MECHANISM] = { 504, "5.5.4", "That mechanism is not offered", "4954 4" },
	[R_TLS_FIRST] = { 530, "5.7.0", "Must issue a STARTTLS command first", "3207 4" },
	[R_AUTH_FIRST] = { 530, "5.7.0", "Authentication required", "4954 6" },
	[R_NOT_PROVED] = { 535, "5.7.8", "That is not the name and password of anybody here", "4954 6" },
	[R_ENCRYPT]   = { 538, "5.7.11", "Passwords are not taken in clear; STARTTLS first", "4954 6" },

	[R_NOBODY]    = { 550, "5.1.1", "<%s> nobody of this name lives here", "5321 3.3" },
	[R_RELAY]     = { 550, "5.7.1", "Unable to relay for <%s>", "5321 3.6.2" },
	[R_NAMELESS]  = { 550, "5.7.25", "Your address has no name that leads back to it (PTR, and then A or AAAA)", "7372 3.3" },
	[R_STRAY]     = { 550, "5.5.2", "A line ended without CR LF", "5321 2.3.8" },
	[R_SIZE]      = { 552, "5.3.4", "The message is too large: %s octets at most", "1870 6.1" },
	[R_UTF8]      = { 553, "5.6.7", "That address needs SMTPUTF8", "6531 3.5" },
	[R_DENIED]    = { 554, "5.7.1", "%s does not accept your connection", "5321 3.1" },
	[R_HOPS]      = { 554, "5.4.6", "Too many hops: the message is going round in circles", "5321 6.3" },
	[R_HEADER]    = { 554, "5.6.0", "The header is too large to be completed", "6409 8" },
	[R_SENDER_BARE] = { 554, "5.1.8", "<%s> is not fully qualified", "6409 4.2" },
	[R_RECIPIENT_BARE] = { 554, "5.1.2", "<%s> is not fully qualified", "6409 4.2" },
	[R_PARAMETER] = { 555, "5.5.4", "Parameter not recognized", "5321 4.1.1.11" },
};

void
reply_text(char out[REPLY_OCTETS], enum reply r, bool status, va_list ap)
{
	const char *enhanced = status ? replies[r].status : "";
	int n = snprintf(out, REPLY_OCTETS, "%d %s%s", replies[r].code, enhanced, *enhanced ? " " : "");

	vsnprintf(out + n, REPLY_OCTETS - (size_t)n, replies[r].text, ap);
}

/* ---- saying it ------------------------------------------------------------ */

/* The directive that decided the next reply, for the trace. */
static char decided[WHERE_SIZE];

void
reply_because(const struct session *s, const char *setting)
{
	if (log_tracing)
		config_where(decided, s->conf, setting);
}

void
reply_trace(const struct session *s, char side, const char *text, size_t n, const char *rule)
{
	trace_line(s->number, s->began, state_names[s->state], side, text, n, rule);
}

void
reply_verbatim(struct session *s, const char *line, const char *clause)
{
	bool secret = strncmp(line, "334", 3) == 0;	/* passwords can be tried on what SCRAM says */
	const char *shown = secret ? "334 (not shown)" : line;
	char rule[WHERE_SIZE + 60];
	size_t n = strlen(line);

	journal_reply(s->owner->journal, &s->exchange, &s->conn, s->account ? s->account : s->helo, &s->kept, shown);
	if (log_tracing) {
		snprintf(rule, sizeof rule, "%s%s%s%s", decided, *decided && *clause ? "; " : "",
		    *clause ? "RFC " : "", clause);
		decided[0] = '\0';
		reply_trace(s, '<', shown, strlen(shown), rule);
	}
	if (buf_add(&s->conn.out, line, n) == -1 || buf_add(&s->conn.out, "\r\n", 2) == -1) {
		s->conn.ended = true;	/* out of memory costs this session */
		s->state = CLOSE;
	}
}

char *
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

bool
reply_muted(const struct session *s)
{
	return s->mute > now.tick;
}

int
reply_flush(struct session *s)
{
	return reply_muted(s) ? 0 : conn_flush(&s->conn);
}

void
reply_mute(struct session *s, msec wait)
{
	if (wait == 0 || s->state <= NAMING)
		return;
	reply_flush(s);			/* if it broke, the next one sees it */
	if (now.tick + wait <= s->mute)
		return;
	s->deadline += now.tick + wait - (reply_muted(s) ? s->mute : now.tick);
	s->mute = now.tick + wait;
}

/* One reply on its way out.  A refusal is logged. */
static void
say(struct session *s, enum reply r, va_list ap)
{
	char line[REPLY_OCTETS];

	reply_text(line, r, !(s->conf->hidden & EXT_STATUS), ap);
	if (replies[r].code >= 500 && s->account == NULL)
		reply_mute(s, s->conf->tarpit);
	reply_verbatim(s, line, replies[r].clause);
	if (r == R_SIZE || r == R_RCPTS || r == R_SPACE)
		s->owner->counts[r == R_SIZE ? REFUSED_SIZE : r == R_RCPTS ? REFUSED_ADDRESSES : REFUSED_SPACE]++;
	if (replies[r].code >= 400)
		log_refusal(s, line);
}

void
hang_up(struct session *s, bool refused)
{
	s->state = CLOSE;
	s->lingers = refused;
	s->deadline = (reply_muted(s) ? s->mute : now.tick) + CLOSE_WAIT;
}

void
reply_close(struct session *s, enum reply r, ...)
{
	va_list ap;

	va_start(ap, r);
	say(s, r, ap);
	va_end(ap);
	hang_up(s, replies[r].code >= 400);
}

void
reply(struct session *s, enum reply r, ...)
{
	va_list ap;

	va_start(ap, r);
	say(s, r, ap);
	va_end(ap);
	if (replies[r].code >= 500 && ++s->errors >= ERRORS_MAX && s->state != CLOSE)
		reply_close(s, R_ERRORS);
}

void
reply_size(struct session *s)
{
	char most[24];

	snprintf(most, sizeof most, "%lld", s->conf->max_size);
	reply_because(s, "max-size");
	reply(s, R_SIZE, most);
}
