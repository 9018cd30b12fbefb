/*
 * turn.c - mail that is held is asked for: ETRN, ATRN, TURN.
 *
 *	ETRN   RFC 1985   anybody may ask; the mail goes by a new connection to the
 *	                  domain's own host, so he who lies gains nothing
 *	ATRN   RFC 2645   an account asks, for some of its domains or all of them;
 *	                  the mail goes on this connection, whose sides change roles
 *	TURN   RFC 821    the same, for all
 *
 * How ETRN is answered: 253 with the number of messages that it released; 250
 * when those that wait were released before, so that the queue is going; 251
 * when none wait.  We always know which, so 252 is never said.  459 when the
 * domain's mail is not held, or only for accounts; 458 when nothing is
 * delivered, or when a session has asked too often.  A queue, `#NAME', is a
 * domain's row in the configuration.
 *
 * Here are the rules; what waits is dest.c's, and the connection that has been
 * turned round relay.c's.
 */
#include "smtpd.h"

#include <stdio.h>
#include <string.h>

#define ASKED_MAX 100		/* ETRN in one session */

/* "domain", "@domain", "#row". */
static bool
node_valid(const char *node)
{
	bool queue = *node == '#';

	node += *node == '#' || *node == '@';
	if (queue && strncmp(node, "*.", 2) == 0)
		node += 2;
	return domain_valid(node, strlen(node));
}

/* R_RELEASED when mail could be held that this means, and that anybody may ask
 * for. */
static enum reply
node_refusal(const struct server *s, const char *node)
{
	const struct domain *row = config_domain(s, node);
	enum reply r = R_NOT_HELD;

	for (const struct domain *d = s->domains; d != NULL; d = d->next) {
		if (!d->hold || !(d == row || (*node == '#' && text_compare(d->name, node + 1) == 0) ||
		    (*node == '@' && (d == config_domain(s, node + 1) || domain_below(d->name, node + 1)))))
			continue;
		if (d->hold_accounts == NULL)
			return R_RELEASED;
		r = R_BY_ACCOUNT;
	}
	return r;
}

enum reply
turn_release(struct session *s, const char *node, char count[COUNT_SIZE])
{
	struct vserver *v = s->owner;
	struct destination *d = NULL;
	size_t n = 0;
	bool going = false;
	enum reply r;

	if (!node_valid(node))
		return R_SYNTAX;
	if ((r = node_refusal(s->conf, node)) != R_RELEASED)
		return r;
	if (!v->delivers || s->asked++ >= ASKED_MAX)
		return R_NO_RELEASE;
	while ((d = dests_asked(v, node, d)) != NULL)
		if (config_collects(v->conf, d->name, NULL))
			n += dest_release(d, &going);
	v->counts[ETRN_MESSAGES] += (long long)n;
	snprintf(count, COUNT_SIZE, "%lu", (unsigned long)n);
	return n > 0 ? R_RELEASED : going ? R_RELEASING : R_NONE_HELD;
}

/* R_TURNED when the account may have the mail of all these domains, or, where
 * none is named, of any; R_TLS_FIRST when some of it goes by TLS or not at all. */
static enum reply
domains_refusal(const struct server *s, const char *domains, const char *account, bool secure)
{
	char name[DOMAIN_MAX + 1];
	enum reply r = R_TURNED;
	size_t n;

	if (*domains == '\0') {
		r = R_NOT_YOURS;
		for (const struct domain *d = s->domains; d != NULL; d = d->next)
			if (config_collects(s, d->name, account) && r != R_TLS_FIRST)
				r = secure || d->tls_policy <= TLS_OPPORTUNISTIC ? R_TURNED : R_TLS_FIRST;
		return r;
	}
	for (;; domains += n + 1) {
		n = strcspn(domains, ",");
		if (!domain_valid(domains, n))
			return R_SYNTAX;
		snprintf(name, sizeof name, "%.*s", (int)n, domains);
		if (!config_collects(s, name, account))
			r = R_NOT_YOURS;
		else if (r == R_TURNED && !secure && config_domain(s, name)->tls_policy > TLS_OPPORTUNISTIC)
			r = R_TLS_FIRST;
		if (domains[n] == '\0')
			return r;
	}
}

/* What follows in the same packet was said before our reply could be read: it
 * must not be taken for what the other side says as a server. */
enum reply
turn_check(const struct session *s, const char *domains, struct destination **first)
{
	enum reply r;
	size_t n;

	if (s->account == NULL)
		return R_AUTH_FIRST;
	if ((r = domains_refusal(s->conf, domains, s->account, s->conn.tls != NULL)) != R_TURNED)
		return r;
	if (!s->owner->delivers || relays_full(s->owner))
		return R_NO_TURN;
	if ((*first = dests_held(s->owner, domains, s->account, s->conn.tls != NULL)) == NULL)
		return R_NO_MAIL;
	conn_peek(&s->conn, &n);
	return n > 0 || s->conn.ended ? R_FOLLOWED : R_TURNED;
}
