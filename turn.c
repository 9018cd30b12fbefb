/*
 * turn.c - mail that is held is asked for: ETRN, RFC 1985.
 *
 * Anybody may ask; the mail goes by a new connection to the domain's own host, so
 * he who lies gains nothing.
 *
 * How ETRN is answered: 253 with the number of messages that it released; 250
 * when those that wait were released before, so that the queue is going; 251
 * when none wait.  We always know which, so 252 is never said.  459 when the
 * domain's mail is not held; 458 when nothing is delivered, or when a session has
 * asked too often.  A queue, `#NAME', is a
 * domain's row in the configuration.
 *
 * Here are the rules; what waits is dest.c's.
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

/* Could mail be held that this means? */
static bool
node_holds(const struct server *s, const char *node)
{
	const struct domain *row = config_domain(s, node);

	for (const struct domain *d = s->domains; d != NULL; d = d->next)
		if (d->hold && (d == row || (*node == '#' && text_compare(d->name, node + 1) == 0) ||
		    (*node == '@' && (d == config_domain(s, node + 1) || domain_below(d->name, node + 1)))))
			return true;
	return false;
}

enum reply
turn_release(struct session *s, const char *node, char count[COUNT_SIZE])
{
	struct vserver *v = s->owner;
	struct destination *d = NULL;
	size_t n = 0;
	bool going = false;

	if (!node_valid(node))
		return R_SYNTAX;
	if (!node_holds(s->conf, node))
		return R_NOT_HELD;
	if (!v->delivers || s->asked++ >= ASKED_MAX)
		return R_NO_RELEASE;
	while ((d = dests_asked(v, node, d)) != NULL)
		if (d->hold)
			n += dest_release(d, &going);
	snprintf(count, COUNT_SIZE, "%lu", (unsigned long)n);
	return n > 0 ? R_RELEASED : going ? R_RELEASING : R_NONE_HELD;
}
