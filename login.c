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
 * A failure counts for the address that it comes from (an IPv6 client's network),
 * and for this address with the account that it names.  Each answer comes later
 * than the one before, a session ends at the third, and an address that has too
 * many is told no verdict for a while, also not one that was under way.  Who
 * proves himself forgives the failures of his own account there, and no others;
 * from then on he is measured by these alone there, so he is not locked out by
 * what neighbours do with other names (who can learn by this that he was there).
 * What is given up counts from the second time in a session on.
 */
#include "smtpd.h"

#include <stdlib.h>
#include <string.h>

#define FAILURES_SESSION 3
#define FAILURES_MAX     20		/* of an address */
#define FAILURES_KEPT    600000		/* ms since the last one: then they are forgotten */
#define DELAY            500		/* ms, for the first of them */
#define DELAY_MAX        8000
#define SETS             256		/* of those that are remembered: */
#define WAYS             8		/* places for those whose keys begin alike */
#define WORKS            8		/* exchanges that are worked at in a turn, half a millisecond each */

/* ---- those who failed --------------------------------------------------------------- */

static struct failed {
	unsigned char key[SHA256_OCTETS];
	int count;
	msec last;
	bool proved;
} failed[SETS][WAYS];

static int
failures(const struct failed *f)
{
	return f != NULL && now.tick - f->last < FAILURES_KEPT ? f->count : 0;
}

/* What is remembered of where he is, with this account or, "", all of them.  NULL:
 * nothing; but to make it, who failed least is forgotten.  Nobody outside can know
 * who shares a set with whom. */
static struct failed *
failed_at(const struct session *s, const char *account, bool make)
{
	const struct addr *a = &s->client.addr;
	unsigned char who[17 + ACCOUNT_OCTETS] = { (unsigned char)a->family }, key[SHA256_OCTETS];
	struct failed *set, *least;
	size_t n = strlen(account);

	memcpy(who + 1, a->octets, a->family == 6 ? 8 : 16);	/* a /64 is one client */
	memcpy(who + 17, account, n);
	auth_digest(who, 17 + n, key);
	set = least = failed[key[0] % SETS];
	for (struct failed *f = set; f < set + WAYS; f++) {
		if (memcmp(f->key, key, sizeof key) == 0)
			return f;
		if (failures(f) < failures(least) || (failures(f) == failures(least) && f->last < least->last))
			least = f;
	}
	if (!make)
		return NULL;
	memset(least, 0, sizeof *least);
	memcpy(least->key, key, sizeof key);
	return least;
}

/* One more; how many the address has then. */
static int
failures_add(const struct session *s)
{
	struct failed *f;

	for (const char *account = auth_account(s->auth);; account = "") {
		f = failed_at(s, account, true);
		f->count = failures(f) + 1;
		f->last = now.tick;
		if (*account == '\0')
			return f->count;
	}
}

static void
failures_forgive(const struct session *s)
{
	struct failed *own = failed_at(s, s->account, true), *all = failed_at(s, "", false);

	if (all != NULL)
		all->count = failures(all) > failures(own) ? failures(all) - failures(own) : 0;
	own->count = 0;
	own->last = now.tick;
	own->proved = true;
}

/* Is what becomes of this exchange not to be told any more? */
static bool
failures_many(const struct session *s)
{
	const char *account = auth_account(s->auth);
	const struct failed *own = failed_at(s, account, false);

	if (*account == '\0')
		return false;		/* nothing is known of him yet, nor told to him */
	return failures(own != NULL && own->proved ? own : failed_at(s, "", false)) >= FAILURES_MAX;
}

/* ---- an exchange ------------------------------------------------------------------------ */

int
login_mechanisms(const struct session *s)
{
	if (s->conf->passwords == NULL || s->account != NULL || conn_piped(&s->conn) ||
	    (s->conn.tls == NULL && !s->conf->clear_text_passwords))
		return 0;
	return s->conf->authenticate & (MECH_PLAIN | MECH_LOGIN | MECH_SCRAM);
}

bool
login_needed(const struct session *s)
{
	return s->account == NULL && !conn_piped(&s->conn) && (s->submission || !(s->conf->authenticate & MECH_ANONYMOUS));
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
	failures_forgive(s);
	s->owner->counts[LOGINS]++;
	log_line("- authenticated server=\"%s\" client=%s account=\"%s\" mechanism=%s tls=%s", s->conf->name, client_text(s, who),
	    text_safe(safe, sizeof safe, s->account, strlen(s->account)), s->mechanism, s->conn.tls ? "yes" : "no");
	reply(s, R_AUTHENTICATED);
}

static void
refused(struct session *s)
{
	int count = failures_add(s);
	msec delay = count < 5 ? DELAY << (count - 1) : DELAY_MAX;
	char who[CLIENT_TEXT], safe[300];
	const char *account = auth_account(s->auth);

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

/* Nothing was proved, nor refuted. */
static void
given_up(struct session *s, enum reply r)
{
	if (r != R_LOGIN_LATER && s->given_up++ > 0)
		failures_add(s);
	login_end(s);
	s->state = IDLE;
	reply(s, r);
}

static void
result(struct session *s, enum auth_result r)
{
	if (failures_many(s)) {
		login_end(s);
		reply_close(s, R_LOGINS);
		return;
	}
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
		given_up(s, r == AUTH_MALFORMED ? R_BAD_RESPONSE : R_LOGIN_LATER);
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
	if (line == NULL)
		given_up(s, R_LONG_RESPONSE);
	else if (strcmp(line, "*") == 0)
		given_up(s, R_CANCELLED);
	else
		result(s, auth_take(s->auth, line));
}

/* Who is worked for in one turn is passed over in the next, where they are too
 * many; newcomers begin a turn later then. */
void
login_work(struct session *s)
{
	static struct clock turn;
	static int waiting, before, from;	/* in this turn; in the last one; who comes first */
	int i;

	if (turn.tick != now.tick || turn.micro != now.micro) {
		before = waiting;
		from = before > WORKS ? (from + WORKS) % before : 0;
		waiting = 0;
	}
	turn = now;
	i = waiting++;
	if (before > WORKS ? i < before && (i + before - from % before) % before < WORKS : i < WORKS)
		result(s, auth_work(s->auth));
}
