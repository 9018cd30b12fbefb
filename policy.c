/*
 * policy.c - who may connect, and to whom mail is taken.
 *
 * Each rule answers with a verdict: the reply, and the setting that decided; or
 * R_NOOP, and the next rule is asked.  The session asks them as it goes along;
 * `smtpd why' walks them all.
 *
 * Some rules may need the client's name, which takes a look-up.  As long as it
 * is unknown they say so, and nobody is refused for good because of it.
 */
#include "smtpd.h"

/* Does the list let this client do it?  1, 0, or -1 it takes his name to say. */
static int
allows(const struct access *list, const struct client *c, struct verdict *v)
{
	int names = access_names(list, c);

	v->unknown = names == -1;
	v->words = names == -1 ? "it takes the client's name to say whether the list names it" :
	    names == 1 ? "the list names the client" : "the list does not name the client";
	return names == -1 ? -1 : (names == 1) == list->only;
}

static struct verdict
rule_connect(const struct server *s, const struct client *c)
{
	struct verdict v = { .setting = "connect" };
	int allowed = allows(&s->connect, c, &v);

	v.reply = allowed == 0 ? R_DENIED : allowed == -1 && s->connect.only ? R_CONNECT_LATER : R_READY;
	return v;
}

/* Has he a name, where one is asked for?  Postmaster is for everybody: RFC 5321
 * 4.5.1. */
static struct verdict
rule_reverse_dns(const struct server *s, const struct client *c, const struct path *to)
{
	struct verdict v = { .reply = R_NOOP, .setting = "reverse-dns" };

	if (s->reverse_dns != REVERSE_REQUIRE)
		v.words = "nobody needs a name";
	else if (s->relay.only && access_names(&s->relay, c) == 1)
		v.words = "who stands in 'relay only' needs no name";
	else if (text_prefix(to->text, "postmaster@") && domain_local(config_domain(s, to->domain)))
		v.words = "who writes to our postmaster needs no name";
	else if (c->names != NULL)
		v.words = "the client has a name that leads back to it";
	else if (c->rdns == RDNS_LATER || c->rdns == RDNS_UNASKED) {
		v.words = "it takes the client's name to say";
		v.unknown = true;
		v.reply = R_NAME_LATER;
	} else {
		v.words = "the client has no name that leads back to it";
		v.reply = R_NAMELESS;
	}
	return v;
}

static struct verdict
rule_domain(const struct domain *d)
{
	struct verdict v = { .setting = "domain", .row = d, .local = domain_local(d) };

	v.reply = v.local ? R_RECIPIENT : R_NOOP;
	v.words = v.local ? "the domain is ours" : "the domain is not ours";
	return v;
}

static struct verdict
rule_allow_relay(const struct domain *d)
{
	bool allows_it = d != NULL && d->allow_relay;

	return (struct verdict){ .reply = allows_it ? R_RECIPIENT : R_NOOP, .setting = "allow-relay", .row = d,
	    .words = allows_it ? "anybody may send to this domain" : "not just anybody may send to this domain" };
}

static struct verdict
rule_relay(const struct server *s, const struct client *c)
{
	struct verdict v = { .setting = "relay" };
	int allowed = allows(&s->relay, c, &v);

	v.reply = allowed == 1 ? R_RECIPIENT : allowed == 0 ? R_RELAY : R_RELAY_LATER;
	return v;
}

struct verdict
policy_rule(enum rule rule, const struct server *s, const struct client *c, const struct path *to)
{
	switch (rule) {
	case RULE_CONNECT:     return rule_connect(s, c);
	case RULE_REVERSE_DNS: return rule_reverse_dns(s, c, to);
	case RULE_DOMAIN:      return rule_domain(config_domain(s, to->domain));
	case RULE_ALLOW_RELAY: return rule_allow_relay(config_domain(s, to->domain));
	default:               return rule_relay(s, c);
	}
}

struct verdict
policy_connect(const struct server *s, const struct client *c)
{
	struct verdict v = rule_connect(s, c);

	if (c->rdns == RDNS_UNASKED && v.unknown)
		v.reply = R_READY;
	return v;
}

bool
policy_asks_name(const struct server *s, const struct client *c)
{
	return s->reverse_dns != REVERSE_OFF || access_names(&s->connect, c) == -1 || access_names(&s->relay, c) == -1;
}

/* The model's order: local domains, then the rules for the others. */
struct verdict
policy_recipient(const struct server *s, const struct client *c, const struct path *to)
{
	struct verdict v = { .reply = R_NOOP };

	for (int rule = RULE_REVERSE_DNS; v.reply == R_NOOP; rule++)
		v = policy_rule((enum rule)rule, s, c, to);
	return v;
}
