/*
 * report.c - what an attempt has come to, told: to the sender in a delivery
 * status notification, RFC 6522 (its three parts), 3464 (the second), 3461 (who
 * wants what), 6533 (in UTF-8), 3834 (no answers); to the operator in a line.
 *
 * A report is text made in one go from an open message: words for a person,
 * facts for a program, and the message itself or its header.  What is quoted of
 * other servers was made printable when it was heard.
 */
#include "smtpd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETURN_OCTETS  65536	/* a message up to this comes back whole */
#define WORDS_OCTETS   2048	/* of what the operator finds beside a message */
#define FOLD           76	/* columns of a field that we write */
#define TRANSCRIPT   4096	/* octets of a conversation that are kept */

/* What each action is called, and how a person is told of it. */
static const struct {
	const char *name, *subject, *first, *last, *held;	/* held: in the place of `last' */
} actions[] = {
	[FAILED] = { "failed", "Failure",
	    "Your message could not be delivered to:",
	    "It will not be tried again.",
	    "It was held until the other side asks for it, and has waited too long for that.\r\n"
	    "Reach the recipient in another way, or send it again." },
	[DELAYED] = { "delayed", "Delay",
	    "This is only a warning: you need not send your message again.\r\n"
	    "It has not been delivered yet to:",
	    "It is being tried again, and you will be told if that has no success.",
	    "It is held until the other side asks for it; you will be told if that is too late." },
	[DELIVERED] = { "delivered", "Success",
	    "As you asked to be told: your message was delivered to:", NULL, NULL },
	[RELAYED] = { "relayed", "Relay",
	    "As you asked to be told: your message was handed to the next mail server,\r\n"
	    "which does not tell whether it arrives, for:", NULL, NULL },
	[EXPANDED] = { "expanded", "Expanded",
	    "As you asked to be told: your message was passed on to the members of:", NULL, NULL },
};

/* What one can do about it, by the beginning of the status. */
static const struct {
	const char *status, *advice;
} advices[] = {
	{ "5.1.10", "The domain takes no mail at all. Is there another address?" },
	{ "5.1", "Is there a typing mistake in the address?" },
	{ "5.2.2", "The mailbox is full. Try again later, or reach its owner in another way." },
	{ "5.3.4", "The message is too large. Send a smaller one, or a link instead of a file." },
	{ "5.4.4", "Is the part of the address behind the @ spelt correctly?" },
	{ "5.4.6", "The mail would go round in circles. Tell the administrator of this mail server." },
	{ "4.4.7", "The other side could not be reached, or did not take it, for a long time. Try again later." },
	{ "5.6", "The other side cannot take a message in this form." },
	{ "5.7", "The other side has a rule against it. Its words above may say which." },
	{ "5", "The other side will not take it. Its words above may say why." },
};

static const char eight_label[] = "Content-Transfer-Encoding: 8bit\r\n";

const char *
report_action(enum action action)
{
	return actions[action].name;
}

/* ---- who, and how --------------------------------------------------------------- */

/* Is this word in NOTIFY=a,b?  Without NOTIFY: missing. */
static bool
notify_has(const struct recipient *to, const char *word, bool missing)
{
	char value[ARGS_OCTETS + 1];
	size_t n = strlen(word);

	if (!args_value(to->args, "NOTIFY", value))
		return missing;
	for (const char *w = value; *w != '\0'; w += strcspn(w, ","), w += *w == ',')
		if (text_prefix(w, word) && (w[n] == ',' || w[n] == '\0'))
			return true;
	return false;
}

/* RFC 3461 4.1: without NOTIFY failures are reported, and delays may be.  Nobody
 * answers a null sender. */
bool
report_covers(const struct report *r, const struct recipient *to)
{
	if (!to->chosen || *r->m->env.sender == '\0')
		return false;
	switch (r->action) {
	case FAILED:
		return (to->outcome == RCPT_REJECTED || to->outcome == RCPT_REPORTED) && notify_has(to, "FAILURE", true);
	case DELAYED:
		return to->outcome == RCPT_DEFERRED && !to->notified && notify_has(to, "DELAY", true);
	default:
		return to->outcome == RCPT_ACCEPTED && notify_has(to, "SUCCESS", false);
	}
}

/* The status of a recipient: that of his words, RFC 3463, or what their code
 * amounts to. */
static void
status_text(const struct report *r, const struct recipient *to, char out[16])
{
	const char *words = to->words ? to->words : "";
	unsigned a, b, c;
	char class = r->action == DELAYED ? '4' : r->action == FAILED ? '5' : '2';

	if (to->expired)
		memcpy(out, "4.4.7", 6);
	else if ((sscanf(words, "%u.%3u.%3u", &a, &b, &c) == 3 || sscanf(words, "%*3u %u.%3u.%3u", &a, &b, &c) == 3) &&
	    a == (unsigned)(class - '0'))
		snprintf(out, 16, "%u.%u.%u", a, b, c);
	else
		snprintf(out, 16, "%c.0.0", class);
}

/* In UTF-8, RFC 6533: when the message asked for it, or an address has it. */
static bool
in_utf8(const struct report *r)
{
	const struct envelope *e = &r->m->env;
	bool eight = args_have(e->sender_args, "SMTPUTF8") || eight_bit(e->sender, strlen(e->sender));

	for (size_t i = 0; i < e->count; i++)
		eight |= e->rcpt[i].chosen && eight_bit(e->rcpt[i].address, strlen(e->rcpt[i].address));
	return eight;
}

const char *
report_args(const struct report *r, const struct buf *text)
{
	return in_utf8(r) ? "BODY=8BITMIME SMTPUTF8" : eight_bit(text->data, text->len) ? "BODY=8BITMIME" : NULL;
}

/* ---- text ----------------------------------------------------------------------------- */

/* "NAME: text" or a paragraph, folded at spaces; each further line begins with
 * this indent. */
static void
fold(struct buf *b, const char *name, const char *indent, const char *text)
{
	size_t column = strlen(name), n;

	buf_addf(b, "%s", name);
	for (bool first = true; *text != '\0'; text += n, first = false) {
		size_t blanks = strspn(text, " ");

		n = blanks + strcspn(text + blanks, " ");
		if (!first && column + n > FOLD) {
			buf_addf(b, "\r\n%s", indent);
			column = strlen(indent);
			text += blanks;
			n -= blanks;
		}
		buf_addf(b, "%.*s", (int)n, text);
		column += n;
	}
	buf_addf(b, "\r\n");
}

static void
field(struct buf *b, const char *name, const char *format, ...)
{
	char text[ARGS_OCTETS + 100];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	fold(b, name, " ", text);
}

/* xtext back to text, RFC 3461 section 4. */
static char *
xtext_decode(char *text)
{
	char *to = text, hex[3] = "";

	for (const char *from = text; *from != '\0'; from++)
		if (*from == '+' && from[1] != '\0' && from[2] != '\0') {
			memcpy(hex, from + 1, 2);
			*to++ = (char)strtol(hex, NULL, 16);
			if (to[-1] < ' ' || to[-1] > '~')
				to[-1] = '?';
			from += 2;
		} else
			*to++ = *from;
	*to = '\0';
	return text;
}

/* ---- the parts -------------------------------------------------------------------------- */

/* For a person. */
static void
part_words(const struct report *r, struct buf *b)
{
	const struct envelope *e = &r->m->env;
	const char *advice = NULL, *last = NULL, *end = r->attempt->held ? actions[r->action].held : actions[r->action].last;
	char date[DATE_SIZE], status[16] = "";

	buf_addf(b, "This is the mail server %s.\r\n\r\n%s\r\n\r\n", r->server->hostname, actions[r->action].first);
	for (size_t i = 0; i < e->count; i++) {
		const struct recipient *to = &e->rcpt[i];

		if (!report_covers(r, to))
			continue;
		buf_addf(b, "    %s\r\n", to->address);
		if (to->words != NULL && (last == NULL || strcmp(last, to->words) != 0)) {
			fold(b, "        ", "        ", to->words);
			if (to->host != NULL)
				buf_addf(b, "        said by %s\r\n", to->host);
			last = to->words;
		}
		status_text(r, to, status);
	}
	for (size_t i = 0; advice == NULL && r->action == FAILED && !r->attempt->held && i < sizeof advices / sizeof *advices; i++)
		if (strncmp(status, advices[i].status, strlen(advices[i].status)) == 0)
			advice = advices[i].advice;
	if (advice != NULL)
		buf_addf(b, "\r\n%s\r\n", advice);
	if (end != NULL)
		buf_addf(b, "\r\n%s\r\n", end);
	if (r->action == DELAYED)
		buf_addf(b, "It %s until %s.\r\n", r->attempt->held ? "waits" : "is tried", date_text(date, r->until));
	if (r->attempt->transcript == NULL || (r->action != FAILED && r->action != DELAYED))
		return;
	buf_addf(b, "\r\nThe last attempt (> said by this server, < by the other):\r\n\r\n");
	for (const char *line = r->attempt->transcript; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n')
		buf_addf(b, "    %.*s\r\n", (int)strcspn(line, "\n"), line);
}

/* For a program, one recipient: RFC 3464 2.3. */
static void
part_recipient(const struct report *r, const struct recipient *to, struct buf *b)
{
	char value[ARGS_OCTETS + 1], status[16], date[DATE_SIZE], *type;

	buf_addf(b, "\r\n");
	if (args_value(to->args, "ORCPT", value) && (type = strchr(value, ';')) != NULL) {
		*type++ = '\0';
		field(b, "Original-Recipient: ", "%s;%s", value, xtext_decode(type));
	}
	status_text(r, to, status);
	field(b, "Final-Recipient: ", "%s;%s", eight_bit(to->address, strlen(to->address)) ? "utf-8" : "rfc822", to->address);
	field(b, "Action: ", "%s", actions[r->action].name);
	field(b, "Status: ", "%s", status);
	if (to->host != NULL)
		field(b, "Remote-MTA: ", "dns;%.*s", (int)(*to->host == '[' ? strcspn(to->host, "]") + 1 :
		    strcspn(to->host, "[")), to->host);
	if (to->words != NULL)
		field(b, "Diagnostic-Code: ", "%s;%s", to->words[1] == '.' ? "x-smtpd" : "smtp", to->words);
	if (r->attempt->next == 0 && !r->attempt->held)
		field(b, "Last-Attempt-Date: ", "%s", date_text(date, now.wall / 1000));
	if (r->action == DELAYED)
		field(b, "Will-Retry-Until: ", "%s", date_text(date, r->until));
}

static void
part_facts(const struct report *r, struct buf *b)
{
	char value[ARGS_OCTETS + 1], date[DATE_SIZE];

	if (args_value(r->m->env.sender_args, "ENVID", value))
		field(b, "Original-Envelope-Id: ", "%s", xtext_decode(value));
	field(b, "Reporting-MTA: ", "dns;%s", r->server->hostname);
	field(b, "Arrival-Date: ", "%s", date_text(date, r->m->id.second));
	for (size_t i = 0; i < r->m->env.count; i++)
		if (report_covers(r, &r->m->env.rcpt[i]))
			part_recipient(r, &r->m->env.rcpt[i], b);
}

/* The message, or its header alone: when the sender wants no more (RET=HDRS),
 * when nothing has failed (RFC 3461 4.3), of what is large or binary. */
static int
part_message(const struct report *r, const char *boundary, struct buf *b)
{
	const char *args = r->m->env.sender_args, *end, *type = "text/rfc822-headers";
	bool whole = r->action == FAILED && !args_have(args, "RET=HDRS") &&
	    !args_have(args, "BODY=BINARYMIME") && r->m->size - r->m->body <= RETURN_OCTETS;
	char *text = memory(NULL, RETURN_OCTETS + 1);
	ssize_t n = text ? pread(r->m->fd, text, RETURN_OCTETS, (off_t)r->m->body) : -1;
	int answer = -1;
	bool eight;

	if (n < 0) {
		free(text);
		return -1;
	}
	text[n] = '\0';
	if (!whole) {		/* up to the empty line, or to the last whole one */
		if ((end = strstr(text, "\r\n\r\n")) == NULL)
			for (end = text + n; end > text && end[-1] != '\n'; end--)
				;
		else
			end += 2;
		n = end - text;
	}
	if (in_utf8(r))
		type = whole ? "message/global" : "message/global-headers";
	else if (whole)
		type = "message/rfc822";
	eight = eight_bit(text, (size_t)n);
	if (buf_addf(b, "\r\n--%s\r\nContent-Type: %s\r\n%s\r\n", boundary, type, eight ? eight_label : "") == 0 &&
	    buf_add(b, text, (size_t)n) == 0)
		answer = buf_addf(b, "%s--%s--\r\n", n > 1 && text[n - 1] == '\n' ? "\r\n" : "\r\n\r\n", boundary);
	free(text);
	return answer;
}

int
report_write(const struct report *r, const struct id *id, struct buf *b)
{
	const char *domain = r->server->masquerade ? r->server->masquerade : r->server->home->name;
	const char *label = in_utf8(r) ? eight_label : "";
	char text[ID_SIZE], boundary[ID_SIZE + 20], date[DATE_SIZE];
	struct buf parts = { 0 };

	snprintf(boundary, sizeof boundary, "=_%s_%08x", id_text(id, text), (unsigned)random_number());
	buf_addf(&parts, "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n%s\r\n", boundary, label);
	part_words(r, &parts);
	buf_addf(&parts, "\r\n--%s\r\nContent-Type: message/%sdelivery-status\r\n%s\r\n", boundary,
	    in_utf8(r) ? "global-" : "", label);
	part_facts(r, &parts);
	if (part_message(r, boundary, &parts) == -1)
		parts.torn = true;
	buf_addf(b, "Date: %s\r\nFrom: Mail Delivery System <postmaster@%s>\r\n", date_text(date, now.wall / 1000), domain);
	buf_addf(b, "To: <%s>\r\nSubject: Delivery Status Notification (%s)\r\n", r->m->env.sender, actions[r->action].subject);
	buf_addf(b, "Message-ID: <%s@%s>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n", text, r->server->hostname);
	buf_addf(b, "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"%s\"\r\n%s\r\n", boundary,
	    parts.data != NULL && eight_bit(parts.data, parts.len) ? eight_label : "");
	buf_add(b, parts.data, parts.len);
	b->torn |= parts.torn;
	buf_free(&parts);
	return b->torn ? -1 : 0;
}

/* ---- for the operator ------------------------------------------------------------------------ */

void
report_log(const struct message *m, const char *server, const struct attempt *a, long long next)
{
	static const char *const word[] = { [RCPT_ACCEPTED] = "relayed", [RCPT_REJECTED] = "failed", [RCPT_DEFERRED] = "deferred" };
	char id[ID_SIZE], to[400], safe[WORDS_SIZE], wait[40], tls[TLS_WORDS + 10];
	const struct recipient *r = m->env.rcpt;

	for (size_t i = 0, n; i < m->env.count; i += n) {
		const char *words = r[i].words ? r[i].words : "";
		struct envelope some = { .rcpt = &m->env.rcpt[i] };

		for (n = 1; i + n < m->env.count && r[i + n].chosen && r[i + n].outcome == r[i].outcome &&
		    strcmp(r[i + n].words ? r[i + n].words : "", words) == 0; n++)
			;
		some.count = n;
		if (!r[i].chosen || r[i].outcome == RCPT_OPEN || (a->local && r[i].outcome == RCPT_ACCEPTED))
			continue;
		wait[0] = tls[0] = '\0';
		if (r[i].outcome == RCPT_ACCEPTED)
			snprintf(tls, sizeof tls, " tls=%s%s%s", a->tls ? "\"" : "", a->tls ? a->tls : "none", a->tls ? "\"" : "");
		if (r[i].outcome == RCPT_DEFERRED)
			snprintf(wait, sizeof wait, " seconds=%lld", next > now.wall / 1000 ? next - now.wall / 1000 : 0);
		log_line("%s %s%s server=\"%s\" to=%s host=%s %s=\"%s\"%s", id_text(&m->id, id), word[r[i].outcome],
		    wait, server, envelope_text(&some, r[i].outcome, to, sizeof to), r[i].host ? r[i].host : "-",
		    r[i].outcome == RCPT_ACCEPTED ? "reply" : "reason", text_safe(safe, sizeof safe, words, strlen(words)), tls);
	}
}

/* As long as a note may be; the log has it all. */
void
report_words(const struct message *m, struct buf *b)
{
	for (size_t i = 0; i < m->env.count && b->len < WORDS_OCTETS; i++)
		if (m->env.rcpt[i].chosen && m->env.rcpt[i].words != NULL && m->env.rcpt[i].outcome != RCPT_ACCEPTED)
			buf_addf(b, "%s<%s>\n    %s", b->len ? "\n" : "", m->env.rcpt[i].address, m->env.rcpt[i].words);
}

void
report_note(struct buf *b, const char *words, const char *transcript, long long next)
{
	char date[DATE_SIZE];
	bool held = next != 0 && next <= now.wall / 1000;

	buf_addf(b, "%s\n\n%s  %s\n", words, held ? "Held since:  " : "Last attempt:", date_text(date, held ? next : now.wall / 1000));
	if (next != 0 && !held)
		buf_addf(b, "Next attempt:  %s\n", date_text(date, next));
	if (transcript != NULL)
		buf_addf(b, "\n%s", transcript);
}

void
report_transcribe(struct buf *b, char side, const char *line)
{
	if (b->len > TRANSCRIPT) {
		size_t half = TRANSCRIPT / 2, cut = b->len - half;

		while (half < b->len && b->data[half - 1] != '\n')
			half++;
		while (cut < b->len && b->data[cut - 1] != '\n')
			cut++;
		memmove(b->data + half, b->data + cut, b->len - cut);
		b->len -= cut - half;
	}
	buf_addf(b, "%c %s\n", side, line);
}
