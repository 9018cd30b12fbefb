/*
 * login.c - a client says who it is: AUTH, RFC 4954.
 *
 *	AUTH      the client speaks: its next line is no command, but a response
 *	PROVING   we compute, some of it in each turn: nothing is read
 *
 *	IDLE -> AUTH <-> PROVING -> IDLE, with an account or a refusal
 *
 * What is true: s->auth != NULL exactly in these two states.  AUTH is offered to
 * whom it is of use: where there are passwords, and not in clear unless
 * clear-text-passwords says so.  No line of an exchange is shown, neither in the
 * trace nor in a log, whoever says it.
 *
 * Failures are counted for each address (an IPv6 client's network): each answer
 * comes later than the one before, a session ends at the third, and after too
 * many nobody who comes from there is listened to for a while.  What was proved
 * forgives them.
 */
#include "smtpd.h"

#include <stdlib.h>
#include <string.h>

#define FAILURES_SESSION 3
#define FAILURES_MAX     20		/* of an address */
#define FAILURES_KEPT    600000		/* ms since the last one: then they are forgotten */
#define DELAY            500		/* ms, for the first of them */
#define DELAY_MAX        8000
#define CLIENTS          1024		/* addresses that are remembered */
#define WORKS            8		/* exchanges that are worked at in a turn, half a millisecond each */

/* ---- those who failed --------------------------------------------------------------- */

static struct failed {
	struct addr addr;
	int count;
	msec last;
} failed[CLIENTS];

/* What is remembered of this address: perhaps of another one, when two fall into
 * one place. */
static struct failed *
failed_at(const struct addr *a, struct addr *key)
{
	uint32_t hash = 2166136261u;

	*key = *a;
	key->port = 0;
	if (a->family == 6)
		memset(key->octets + 8, 0, 8);		/* a /64 is one client */
	for (size_t i = 0; i < sizeof key->octets; i++)
		hash = (hash ^ key->octets[i]) * 16777619u;
	return &failed[(hash ^ hash >> 16) % CLIENTS];
}

static int
failures(const struct addr *a)
{
	struct addr key;
	const struct failed *f = failed_at(a, &key);

	return addr_same(&f->addr, &key) && now.tick - f->last < FAILURES_KEPT ? f->count : 0;
}

static void
failures_set(const struct addr *a, int count)
{
	struct addr key;
	struct failed *f = failed_at(a, &key);

	*f = (struct failed){ key, count, now.tick };
}

/* ---- an exchange ------------------------------------------------------------------------ */

int
login_mechanisms(const struct session *s)
{
	if (s->conf->passwords == NULL || s->account != NULL || s->conn.fd != s->conn.to ||
	    (s->conn.tls == NULL && !s->conf->clear_text_passwords))
		return 0;
	return s->conf->authenticate & (MECH_PLAIN | MECH_LOGIN | MECH_SCRAM);
}

bool
login_needed(const struct session *s)
{
	return s->account == NULL && s->conn.fd == s->conn.to && (s->submission || !(s->conf->authenticate & MECH_ANONYMOUS));
}

void
login_end(struct session *s)
{
	auth_free(s->auth);
	s->auth = NULL;
}

/* Somebody is who he says: from now on he is. */
static void
proved(struct session *s)
{
	char who[CLIENT_TEXT], safe[300];

	s->account = text_copy(auth_account(s->auth));
	login_end(s);
	s->state = IDLE;
	if (s->account == NULL) {
		reply_close(s, R_MEMORY);
		return;
	}
	s->client.account = s->account;
	failures_set(&s->client.addr, 0);
	s->owner->counts[LOGINS]++;
	log_line("- authenticated server=\"%s\" client=%s account=%s mechanism=%s tls=%s", s->conf->name, client_text(s, who),
	    text_safe(safe, sizeof safe, s->account, strlen(s->account)), s->mechanism, s->conn.tls ? "yes" : "no");
	reply(s, R_AUTHENTICATED);
}

static void
refused(struct session *s)
{
	int count = failures(&s->client.addr) + 1;
	msec delay = count < 5 ? DELAY << (count - 1) : DELAY_MAX;
	char who[CLIENT_TEXT], safe[300];
	const char *account = auth_account(s->auth);

	failures_set(&s->client.addr, count);
	s->owner->counts[LOGINS_REFUSED]++;
	log_line("- not authenticated server=\"%s\" client=%s account=\"%s\" mechanism=%s failures=%d", s->conf->name,
	    client_text(s, who), text_safe(safe, sizeof safe, account, strlen(account)), s->mechanism, count);
	login_end(s);
	s->state = IDLE;
	reply_mute(s, delay < DELAY_MAX ? delay : DELAY_MAX);
	if (++s->failures >= FAILURES_SESSION)
		reply_close(s, R_LOGINS);
	else
		reply(s, R_NOT_PROVED);
}

static void
result(struct session *s, enum auth_result r)
{
	s->state = r == AUTH_WORKING ? PROVING : AUTH;
	switch (r) {
	case AUTH_WORKING:
		break;
	case AUTH_CHALLENGE:
		reply(s, R_CHALLENGE, auth_challenge(s->auth));
		break;
	case AUTH_DONE:
		proved(s);
		break;
	case AUTH_FAILED:
		refused(s);
		break;
	default:
		login_end(s);
		s->state = IDLE;
		reply(s, r == AUTH_MALFORMED ? R_BAD_RESPONSE : R_LOGIN_LATER);
		break;
	}
}

void
login_begin(struct session *s, char *argument)
{
	char *initial = argument + strcspn(argument, " \t");
	int offered = login_mechanisms(s), i;

	if (*initial != '\0')
		*initial++ = '\0';
	initial += strspn(initial, " \t");
	for (i = 0; i < MECH_COUNT && !((offered & 1 << i) && text_compare(mechanism_name[i], argument) == 0); i++)
		;
	if (i == MECH_COUNT)
		reply(s, R_NO_MECHANISM);
	else if (failures(&s->client.addr) >= FAILURES_MAX)
		reply_close(s, R_LOGINS);
	else if ((s->auth = auth_begin((enum mechanism)(1 << i), s->conf->passwords)) == NULL)
		reply_close(s, R_MEMORY);
	else {
		s->mechanism = mechanism_name[i];
		result(s, auth_take(s->auth, *initial ? initial : NULL));
	}
}

void
login_line(struct session *s, const char *line)
{
	if (strcmp(line, "*") != 0) {
		result(s, auth_take(s->auth, line));
		return;
	}
	login_end(s);
	s->state = IDLE;
	reply(s, R_CANCELLED);
}

void
login_work(struct session *s)
{
	static struct clock turn;
	static int works;

	if (turn.tick != now.tick || turn.micro != now.micro)
		works = 0;
	turn = now;
	if (works++ < WORKS)
		result(s, auth_work(s->auth));
}
