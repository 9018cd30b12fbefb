/*
 * policy.c - who may connect, and to whom mail is taken.
 *
 * Each rule answers with a verdict: the reply, and the setting that decided.
 * The session asks them as it goes along; `smtpd why' walks them all.
 */
#include "smtpd.h"

struct verdict
policy_connect(const struct server *s, const struct addr *peer)
{
	return (struct verdict){ .reply = access_allows(&s->connect, peer) ? R_READY : R_DENIED, .setting = "connect" };
}

/* Local domains, then the model's order of rules for the others. */
struct verdict
policy_recipient(const struct server *s, const struct addr *peer, const struct path *to)
{
	const struct domain *d = config_domain(s, to->domain);
	struct verdict v = { .reply = R_RECIPIENT, .setting = "domain", .local = domain_local(d) };

	if (v.local)
		return v;
	v.setting = d != NULL && d->allow_relay ? "allow-relay" : "relay";
	if ((d == NULL || !d->allow_relay) && !access_allows(&s->relay, peer))
		v.reply = R_RELAY;
	return v;
}
