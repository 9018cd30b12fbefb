/*
 * policy.c - who may connect, and to whom mail is taken.
 *
 * Each rule answers with a verdict: the reply, and the setting that decided; or
 * R_NOOP, and the next rule is asked.  The session asks them as it goes along;
 * `smtpd why' walks them all.
 *
 * Some rules may need the client's name, which takes a look-up.  As long as it
 * is unknown they say so, and nobody is refused for good because of it.
 *
 * Aliases are expanded once, when the content begins (or a file from Pickup, or
 * a report, is made a message): what stands in Queue names those who are meant.
 * To several members an alias is a list, RFC 3461 5.2.7: it takes NOTIFY=SUCCESS
 * upon itself, and stays in the envelope, marked EXPANDED among its parameters,
 * until that has been reported.
 */
#include "smtpd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ORCPT_OCTETS 500	/* of one that we make */

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
	else if (c->account != NULL)
		v.words = "who has authenticated needs no name";
	else if (names_postmaster(to->text) && domain_local(config_domain(s, to->domain)))
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

/* Of an address in our domains. */
static const struct alias *
alias_of(const struct server *s, const char *address)
{
	return s->home->names != NULL && config_local(s, address) ? names_alias(s->home->names, address) : NULL;
}

bool
policy_asks(const struct server *s, const char *address)
{
	const struct names *n = s->home->names;

	return s->ldap.directories != NULL && config_local(s, address) && !names_postmaster(address) &&
	    (n == NULL || (!names_find(n, address) && !names_alias(n, address)));
}

long
policy_members(const struct server *s, const char *address)
{
	const struct alias *a = alias_of(s, address);

	return a != NULL ? a->total : 0;
}

/* In a domain of ours, and known by name where names are listed. */
static struct verdict
rule_domain(const struct server *s, const struct domain *d, const struct path *to)
{
	struct verdict v = { .setting = "domain", .row = d, .local = domain_local(d) };

	v.reply = v.local ? R_RECIPIENT : R_NOOP;
	v.words = v.local ? "the domain is ours" : "the domain is not ours";
	if (v.local && policy_asks(s, to->text)) {
		v.ask = true;
		v.setting = "schema";
		v.words = "the domain is ours, and the directory is to say who he is";
		return v;
	}
	if (!v.local || s->home->names == NULL)
		return v;
	v.members = policy_members(s, to->text);
	if (v.members > 0) {
		v.setting = "aliases";
		v.words = "he is an alias in a domain of ours";
	} else if (!config_exists(s, to->text)) {
		v.setting = "recipients";
		v.reply = R_NOBODY;
		v.words = "nobody has that name in our domains";
	}
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
rule_account(const struct server *s, const struct client *c)
{
	bool may = c->account != NULL && s->relay_authenticated;

	return (struct verdict){ .reply = may ? R_RECIPIENT : R_NOOP, .setting = "relay-authenticated",
	    .words = c->account == NULL ? "the client has not authenticated" :
	    may ? "the client has authenticated" : "to have authenticated is not enough" };
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
	case RULE_DOMAIN:      return rule_domain(s, config_domain(s, to->domain), to);
	case RULE_ALLOW_RELAY: return rule_allow_relay(config_domain(s, to->domain));
	case RULE_ACCOUNT:     return rule_account(s, c);
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

/* ---- aliases ----------------------------------------------------------------------- */

/* NOTIFY without SUCCESS, which may leave nothing; 1: it was there. */
static int
notify_rest(struct buf *b, const char *value)
{
	const char *sep = "NOTIFY=";
	int success = 0;
	size_t n;

	for (; *value != '\0'; value += n + (value[n] == ',')) {
		n = strcspn(value, ",");
		if (n == 7 && text_prefix(value, "SUCCESS")) {
			success = 1;
			continue;
		}
		if (buf_addf(b, "%s%.*s", sep, (int)n, value) == -1)
			return -1;
		sep = ",";
	}
	return *sep == 'N' && buf_addf(b, "NOTIFY=NEVER") == -1 ? -1 : success;
}

/* The alias as ORCPT, RFC 3461 4.2, where it can be said. */
static int
orcpt_add(struct buf *b, const char *address)
{
	size_t before = b->len;

	if (buf_addf(b, "%sORCPT=rfc822;", b->len ? " " : "") == -1)
		return -1;
	for (; *address != '\0'; address++)
		if (buf_addf(b, *address == '+' || *address == '=' || *address <= ' ' || *address > '~' ? "+%02X" : "%c",
		    (unsigned char)*address) == -1)
			return -1;
	if (b->len - before > ORCPT_OCTETS || b->len > ARGS_OCTETS)
		b->data[b->len = before] = '\0';
	return 0;
}

int
policy_passes(const struct recipient *r, bool several, struct buf *b)
{
	char value[ARGS_OCTETS + 1];
	const char *args = r->args ? r->args : "";
	int success = 0;
	size_t n;

	for (; *args != '\0'; args += n + strspn(args + n, " ")) {
		n = strcspn(args, " ");
		if (b->len > 0 && buf_addf(b, " ") == -1)
			return -1;
		if (several && text_prefix(args, "NOTIFY=") && args_value(args, "NOTIFY", value))
			success = notify_rest(b, value);
		else if (buf_add(b, args, n) == -1)
			return -1;
		if (success == -1)
			return -1;
	}
	if (!args_value(r->args, "ORCPT", value) && !eight_bit(r->address, strlen(r->address)) && orcpt_add(b, r->address) == -1)
		return -1;
	return success;
}

static int
members_add(const struct server *s, struct envelope *e, const struct alias *a, const char *args)
{
	const struct names *n = s->home->names;
	struct path p;

	for (size_t i = a->first; i < a->first + a->count; i++) {
		const struct member *m = &n->members[i];

		if (m->alias != NULL) {
			if (members_add(s, e, m->alias, args) == -1)
				return -1;
			continue;
		}
		if (path_parse(&p, m->text) == -1 || (p.domain == NULL && path_complete(&p, s->home->name) == -1))
			continue;	/* too long with the domain */
		if (envelope_add(e, p.text, args) == -1)
			return -1;
	}
	return 0;
}

/* One alias of the envelope: its members are added; 1: it stays, for a report
 * that it was expanded. */
static int
alias_expand(const struct server *s, struct envelope *e, size_t i, const struct alias *a)
{
	struct buf args = { 0 };
	int list = policy_passes(&e->rcpt[i], a->total > 1, &args);

	if (list != -1 && members_add(s, e, a, args.data) == -1)
		list = -1;
	args.len = 0;
	if (list == 1 && buf_addf(&args, "%s EXPANDED", e->rcpt[i].args) == 0) {
		free(e->rcpt[i].args);
		e->rcpt[i].args = args.data;
		return 1;
	}
	buf_free(&args);
	return list == 0 ? 0 : -1;
}

int
policy_alias(const struct server *s, struct envelope *e, const char *address)
{
	const struct alias *a = alias_of(s, address);

	return a == NULL ? 0 : members_add(s, e, a, NULL) == -1 ? -1 : 1;
}

int
policy_expand(const struct server *s, struct envelope *e)
{
	size_t named = e->count;
	bool any = false;
	int list;

	args_drop(e->sender_args, "RESOLVED");		/* nobody but we may say so */
	for (size_t i = 0; i < named; i++) {
		const struct alias *a = e->rcpt[i].outcome == RCPT_OPEN ? alias_of(s, e->rcpt[i].address) : NULL;

		args_drop(e->rcpt[i].args, "EXPANDED");
		args_drop(e->rcpt[i].args, "RESOLVED");
		args_drop(e->rcpt[i].args, "UNRESOLVED");
		if (a == NULL)
			continue;
		if ((list = alias_expand(s, e, i, a)) == -1)
			return -1;
		e->rcpt[i].chosen = !list;
		any = true;
	}
	return any ? envelope_once(e) : 0;
}
