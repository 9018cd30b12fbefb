/*
 * hello.c - a next hop is met: what it offers (RFC 5321 4.1.1.1), and who we are
 * to it: AUTH as a client, RFC 4954.
 *
 *	BEGIN    the password is read, and a mechanism chosen: the first of ours,
 *	         in the order of `preferred', that is offered and allowed
 *	SAYS     `line' is what to say; then its reply is waited for
 *	WORKS    proof_work goes on in the next turn
 *	DONE     235; and where the mechanism lets it, the server has proved that
 *	         it knows our password too
 *	LATER    a reply 4xx: they cannot say now
 *	REFUSED  something that an operator has to look at
 *
 * A password, or a token, is not said in clear unless the operator has asked for
 * that: who takes STARTTLS out of a reply would have it.  SCRAM does not say it.
 * One that is refused costs no mail: what waits, waits; the operator is told, and
 * not again within a day, or an hour if it has worked meanwhile.  Where its file
 * lies is told to him, and to nobody else.
 */
#include "smtpd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INITIAL_OCTETS 480	/* of a response behind AUTH, within the line that any server takes */
#define TOLD_ACCOUNTS  256
#define TOLD_AGAIN     86400	/* seconds */
#define TOLD_WORKED    3600	/* if it has worked meanwhile */

static const enum mechanism preferred[] = { MECH_SCRAM, MECH_PLAIN, MECH_LOGIN, MECH_XOAUTH2 };

/* Which accounts an operator was told of, and when.  Where there is no room for
 * another, he knows of enough. */
static struct mark {
	uint32_t who;		/* and where */
	long long second;	/* 0: nobody */
} told[TOLD_ACCOUNTS];

/* ---- what is offered ----------------------------------------------------------- */

/* " PLAIN LOGIN", or with the "=" of old. */
static int
mechanisms(const char *text)
{
	int bits = 0;

	for (size_t n; *text != '\0'; text += n) {
		text += strspn(text, " =");
		n = strcspn(text, " ");
		for (size_t i = 0; i < MECH_COUNT; i++)
			if (n == strlen(mechanism_name[i]) && text_prefix(text, mechanism_name[i]))
				bits |= 1 << i;
	}
	return bits;
}

void
offers_add(struct offers *o, unsigned hidden, const char *text)
{
	const char *value;

	for (size_t i = 0; i < EXT_COUNT; i++)
		if (text_prefix(text, extension_name[i]) && strchr(" =", text[strlen(extension_name[i])]) != NULL) {
			if (hidden & 1u << i)
				return;
			o->bits |= 1u << i;
		}
	if (text_prefix(text, "AUTH ") || text_prefix(text, "AUTH="))
		o->mechanisms |= mechanisms(text + 4);
	if (text_prefix(text, "SIZE "))
		o->size = strtoll(text + 5, NULL, 10);
	if (!text_prefix(text, "LIMITS "))	/* RFC 9422 */
		return;
	if ((value = strstr(text, "RCPTMAX=")) != NULL && strtoll(value + 8, NULL, 10) > 0)
		o->rcpt_max = strtoll(value + 8, NULL, 10);
	if ((value = strstr(text, "MAILMAX=")) != NULL && strtoll(value + 8, NULL, 10) > 0)
		o->mail_max = strtoll(value + 8, NULL, 10);
	if (o->rcpt_max > RCPTS_MAX)
		o->rcpt_max = RCPTS_MAX;
}

/* If it cannot be, words say why. */
static bool
made_seven(const struct message *m, struct buf *seven, const char *host, char *words)
{
	int answer = mime_seven(m, seven);

	if (answer == -1)
		snprintf(words, WORDS_SIZE, "4.3.0 there is no memory to make the message 7-bit");
	else if (answer == 0)
		snprintf(words, WORDS_SIZE, "5.6.3 %s takes 7-bit text only, and this message cannot be made so; "
		    "send it with its text encoded in quoted-printable or base64", host);
	return answer == 1;
}

bool
offers_suit(const struct offers *o, const struct message *m, struct buf *seven, const char *host, char *words)
{
	const unsigned binary = EXT_8BITMIME | EXT_BINARYMIME | EXT_CHUNKING;

	buf_free(seven);
	if (args_have(m->env.sender_args, "BODY=BINARYMIME")) {
		snprintf(words, WORDS_SIZE, "5.6.3 %s takes no binary messages; send it with its parts encoded in base64", host);
		if ((o->bits & binary) != binary)
			return false;
	} else if (!(o->bits & EXT_SMTPUTF8) && mime_utf8(m)) {
		snprintf(words, WORDS_SIZE, "5.6.7 %s does not know SMTPUTF8, which an address or the header of this message needs; "
		    "use addresses in plain ASCII", host);
		return false;
	} else if (!(o->bits & EXT_8BITMIME) && mime_eight(m, false) == 1 && !made_seven(m, seven, host, words))
		return false;
	snprintf(words, WORDS_SIZE, "5.3.4 the message has %lld octets, and %s takes no more than %lld", mime_size(m, seven), host, o->size);
	return !(o->bits & EXT_SIZE) || o->size <= 0 || mime_size(m, seven) <= o->size;
}

/* ---- the exchange ------------------------------------------------------------ */

static void
line_wipe(struct proof *l)
{
	if (l->line.data != NULL)
		wipe(l->line.data, l->line.len);
	buf_free(&l->line);
}

void
proof_end(struct proof *l)
{
	sasl_free(l->sasl);
	line_wipe(l);
	memset(l, 0, sizeof *l);
}

static enum proof_result
refused(struct proof *l, const char *why)
{
	snprintf(l->why, sizeof l->why, "4.7.0 %s", why);
	return PROOF_REFUSED;
}

/* What it says is not what the mechanism has it say, or proves nothing. */
static enum proof_result
distrusted(struct proof *l)
{
	return refused(l, l->mechanism == MECH_SCRAM ? "does not prove that it knows our password" : "asks for more than there is to say");
}

/* The response that is ready becomes the line to say. */
static enum proof_result
respond(struct proof *l)
{
	line_wipe(l);
	l->held = false;
	if (buf_addf(&l->line, "%s\r\n", sasl_response(l->sasl)) == -1)
		return refused(l, "cannot be told who we are: there is no memory");
	return PROOF_SAYS;
}

/* AUTH, and behind it the initial response where there is one and it fits. */
static enum proof_result
open_exchange(struct proof *l, const struct account *a, const char *secret)
{
	const char *name = proof_mechanism(l), *first;

	l->sasl = sasl_begin(l->mechanism, a->user, secret);
	first = l->sasl != NULL ? sasl_response(l->sasl) : NULL;
	l->held = first != NULL && strlen(first) > INITIAL_OCTETS;
	if (l->sasl == NULL || buf_addf(&l->line, "AUTH %s%s%s\r\n", name, first && !l->held ? " " : "", first && !l->held ? first : "") == -1)
		return refused(l, "cannot be told who we are: there is no memory, or the password is too long");
	return PROOF_SAYS;
}

enum proof_result
proof_begin(struct proof *l, const struct account *a, int offered, bool clear)
{
	char secret[AUTH_LINE / 2];
	const char *wrong = auth_secret(a->file, secret, sizeof secret);
	int common = a->mechanisms & offered;
	enum proof_result result;
	size_t i = 0;

	proof_end(l);
	if (clear)
		common &= MECH_SCRAM;
	while (i < sizeof preferred / sizeof *preferred && !(common & preferred[i]))
		i++;
	l->wrong = wrong;
	if (wrong != NULL)
		refused(l, "is not told who we are: the password cannot be read here");
	else if (common == 0 && (a->mechanisms & offered) != 0)
		refused(l, "is not told who we are: there is no TLS, and the password would be said in clear (where that is meant, say 'tls off')");
	else if (common == 0)
		refused(l, "offers no AUTH by a mechanism that 'authenticate' allows");
	if (wrong != NULL || common == 0)
		result = PROOF_REFUSED;
	else {
		l->mechanism = preferred[i];
		result = open_exchange(l, a, secret);
	}
	wipe(secret, sizeof secret);
	return result;
}

const char *
proof_mechanism(const struct proof *l)
{
	size_t i = 0;

	while (i + 1 < MECH_COUNT && !(l->mechanism & 1 << i))
		i++;
	return mechanism_name[i];
}

enum proof_result
proof_work(struct proof *l)
{
	if (sasl_work(l->sasl) == 0)
		return PROOF_WORKS;
	return sasl_response(l->sasl) != NULL ? respond(l) : distrusted(l);
}

enum proof_result
proof_heard(struct proof *l, int code, const char *text)
{
	if (code == 334 && l->held)
		return respond(l);
	if (code == 334)
		return sasl_take(l->sasl, text) == 0 ? proof_work(l) : distrusted(l);
	if (code / 100 == 2)
		return sasl_trusts(l->sasl) ? PROOF_DONE : distrusted(l);
	if (code / 100 == 4)
		return PROOF_LATER;
	snprintf(l->why, sizeof l->why, "4.7.8 does not take us for who we say we are: %d %s", code, text);
	return PROOF_REFUSED;
}

/* ---- who is told ---------------------------------------------------------------- */

/* The mark of this account at this hop: its own, or a free one, or NULL. */
static struct mark *
mark_of(const struct vserver *v, const struct account *a, const struct route *to)
{
	uint32_t who = text_hash(a->file, text_hash(a->user, text_hash(to->hop->host, text_hash(v->conf->name, to->hop->addr.port))));
	struct mark *spare = NULL;

	for (size_t i = 0; i < TOLD_ACCOUNTS; i++) {
		bool old = told[i].second == 0 || now.wall / 1000 - told[i].second >= TOLD_AGAIN;

		if (told[i].who == who && !old)
			return &told[i];
		if (old)
			spare = &told[i];
	}
	if (spare != NULL)
		*spare = (struct mark){ who, 0 };
	return spare;
}

void
proof_works(const struct vserver *v, const struct account *a, const struct route *to)
{
	struct mark *m = mark_of(v, a, to);

	if (m != NULL && now.wall / 1000 - m->second >= TOLD_WORKED)
		m->second = 0;
}

void
proof_tell(const struct proof *l, struct vserver *v, const struct account *a, const struct route *to, const char *words)
{
	struct mark *m = mark_of(v, a, to);
	char subject[HOST_SIZE + 60], text[3 * WORDS_SIZE], wrong[300] = "", safe[WORDS_SIZE];

	if (m == NULL || m->second != 0)
		return;
	if (l->wrong != NULL)
		snprintf(wrong, sizeof wrong, " (%.100s: %.150s)", text_shown(a->file), l->wrong);
	log_line("warning: server=\"%s\" host=%s account=%.100s reason=\"%s%s\"", v->conf->name, to->text, text_shown(a->user),
	    text_safe(safe, sizeof safe, words, strlen(words)), wrong);
	snprintf(text, sizeof text, "%.600s%s\r\n\r\nWhat waits for it is tried again, and not returned before its time is over.\r\n"
	    "The account is %.100s; its password is in %.200s (authenticate, %.200s:%d).\r\n\r\n"
	    "You are told again in a day, or in an hour if it has worked meanwhile.", words, wrong,
	    text_shown(a->user), a->file, a->place.file, a->place.line);
	snprintf(subject, sizeof subject, "%s takes no mail from us", to->text);
	if (outcome_tell(v, subject, text) == 0)
		m->second = now.wall / 1000;
}
