/*
 * why.c - `smtpd why': the rules, walked for one envelope without asking
 * anybody but the directory, and what would become of the message.
 *
 * What is printed of a rule is what it answers the session (policy.c), of the
 * directory what it says (resolve.c), and of the way what the relaying would take
 * (route.c): nothing is decided here.
 */
#include "smtpd.h"

#include <stdio.h>
#include <string.h>

/* What is asked about. */
struct question {
	const struct server *server;
	struct client client;
	struct path from, to;
	struct resolver *resolver;	/* its directory; NULL: it is not asked */
	struct unfolding *who;		/* who the recipient is, by that; or NULL */
};

#define FOUND_SHOWN 20

/* ---- print --------------------------------------------------------------------- */

/* A setting, and a sentence below it. */
static void
row(const char *where, const char *format, ...)
{
	char text[PATH_OCTETS + WORDS_SIZE], safe[PATH_OCTETS + WORDS_SIZE];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (where != NULL)
		text_wrapped("  ", "  ", where);
	text_wrapped("      ", "      ", text_safe(safe, sizeof safe, text, strlen(text)));
}

/* The reply, as the session would say it. */
static void
print_reply(const struct question *q, enum reply r, ...)
{
	char line[REPLY_OCTETS];
	va_list ap;

	va_start(ap, r);
	reply_text(line, r, !(q->server->hidden & EXT_STATUS), ap);
	va_end(ap);
	row(NULL, "%s", line);
}

/* ---- the rules ------------------------------------------------------------------- */

static void
print_rule(const struct question *q, const struct verdict *v)
{
	char where[WHERE_SIZE];

	snprintf(where, sizeof where, "domain");
	if (strcmp(v->setting, "allow-relay") == 0)
		config_where_row(where, q->server, v->row, v->setting);
	else if (strcmp(v->setting, "domain") != 0)
		config_where(where, q->server, v->setting);
	else if (v->row != NULL)
		snprintf(where, sizeof where, "domain %.80s (%.40s:%d)", v->row->name, v->row->place.file, v->row->place.line);
	row(where, "%s", v->words);
	if (v->unknown)
		row(NULL, "(needs a reverse look-up, which is not done here: put the name behind the address)");
}

/* The filter, the entry, and what the session would say. */
static enum reply
ask_directory(struct question *q)
{
	const struct server *s = q->server;
	long long counts[COUNTS] = { 0 };
	const struct person *p;
	struct inquiry *i = NULL;
	struct buf filter = { 0 };
	char where[WHERE_SIZE];
	enum reply r;

	if ((q->resolver = resolver_open(s, counts)) == NULL || (i = inquiry_begin(q->resolver, q->to.text)) == NULL)
		die(EX_OSERR, "out of memory");
	config_where_row(where, s, NULL, "filter");
	for (const struct name *f = s->naming.filters; f != NULL; f = f->next) {
		filter.len = 0;
		if (schema_filter(&filter, f->text, q->to.text) == -1)
			die(EX_OSERR, "out of memory");
		row(f == s->naming.filters ? where : NULL, "%s%s", f == s->naming.filters ? "" : "or else ", filter.data);
	}
	if (text_compare(q->to.domain, s->home->name) != 0)
		row(NULL, "or else the same with the address in %s", s->home->name);
	p = inquiry_wait(i);
	r = p->known == KNOWN_LATER ? R_DIRECTORY_LATER : p->known == KNOWN_NOBODY ? R_NOBODY : R_RECIPIENT;
	if (p->known == KNOWN_LATER)
		row(NULL, "the directory does not say: %s", p->words ? p->words : "");
	else if (p->known == KNOWN_NOBODY)
		row(NULL, "the directory has no such entry");
	else
		row(NULL, "the directory has %s: %s", p->known == KNOWN_GROUP ? "a group" : "a person", p->dn);
	inquiry_end(i);
	buf_free(&filter);
	if (r == R_RECIPIENT && (q->who = unfold_begin(q->resolver, q->to.text)) != NULL)
		unfold_wait(q->who);
	return r;
}

/* What the recipient is answered, or who he is connected from; R_NOOP: that
 * depends on what is not known. */
static enum reply
walk(struct question *q, bool *local)
{
	bool unknown = false;

	for (int rule = 0; rule < RULES; rule++) {
		struct verdict v = policy_rule((enum rule)rule, q->server, &q->client, &q->to);

		print_rule(q, &v);
		if (v.ask)
			v.reply = ask_directory(q);
		unknown |= v.unknown;
		if (v.unknown || v.reply == R_NOOP)
			continue;
		print_reply(q, v.reply, rule == RULE_CONNECT ? q->server->hostname : q->to.text);
		*local = v.local;
		if (v.reply == R_RECIPIENT && unknown)
			break;
		if (v.reply != R_READY)
			return v.reply;
	}
	return R_NOOP;
}

/* ---- what would become of it -------------------------------------------------------- */

static void
print_local(const struct question *q)
{
	char folder[FOLDER_SIZE], where[WHERE_SIZE];
	const struct domain *home = q->server->home;

	if (config_folder(q->server, DROP, folder) == 0)
		row(config_where_row(where, q->server, home, "drop"), "would be delivered into %s", folder);
	if (home->quota != UNLIMITED)
		row(config_where_row(where, q->server, home, "quota"),
		    "would be answered 452 4.2.2 once that folder holds more than %lld octets", home->quota);
}

/* Those behind him get it. */
static void
print_found(const struct question *q)
{
	const struct unfolding *u = q->who;

	if (u->fate != FATE_PASSED) {
		row(NULL, "would %s: %s", u->fate == FATE_LATER ? "wait" : "be returned", u->words);
		return;
	}
	row(NULL, "would be passed on to %lu %s", (unsigned long)u->found_count, u->found_count == 1 ? "address" : "addresses");
	for (size_t i = 0; i < u->found_count && i < FOUND_SHOWN; i++)
		row(NULL, "    %s%s%s%s", u->found[i].address, u->found[i].host ? " at the host " : "", u->found[i].host ? u->found[i].host : "",
		    u->found[i].how != FOUND_MEANT ? ", about whom is asked again" : "");
	if (u->found_count > FOUND_SHOWN)
		row(NULL, "    and others");
	if (u->missing > 0)
		row(NULL, "%ld in its groups have no address", u->missing);
	if (u->owner != NULL)
		row(NULL, "reports would go to its owner, %s", u->owner);
}

static void
print_hops(const struct question *q, const char *where, const char *first, const struct hop *h)
{
	for (; h != NULL; h = h->next, where = NULL) {
		unsigned port = h->addr.port ? h->addr.port : (unsigned)q->server->port;

		row(where, h->direct || h->addr.family != 0 ? "%s to %s, port %u" :
		    "%s where the MX of %s leads, else to its own address, port %u",
		    where != NULL ? first : "or, if that fails,", h->host, port);
	}
}

/* How it would be spoken to, and as whom. */
static void
print_protection(const struct question *q, const struct route *r)
{
	static const char *const words[] = { "in clear", "by TLS where it is offered, else in clear", "by TLS, or not at all",
	    "by TLS, or not at all, and only to a host whose certificate is believed" };
	const struct account *a = route_account(r);
	const struct domain *d = config_domain(q->server, q->to.domain);
	bool by_row = d != NULL && value_said(d->said, DOMAIN, "tls", NULL) != NULL && route_tls(r) == (enum tls_policy)d->tls_policy;
	char where[WHERE_SIZE];
	bool by_account = a != NULL && !by_row && route_tls(r) == TLS_VERIFIED && q->server->tls_policy != TLS_VERIFIED;

	row(config_where_row(where, q->server, by_row ? d : NULL, "tls"), "%s%s%s", words[route_tls(r)],
	    by_account ? ", which is the default where a password is said" : "",
	    tls_built || route_tls(r) == TLS_OFF ? "" : " (this program was built without OpenSSL)");
	if (a == NULL)
		return;
	snprintf(where, sizeof where, "authenticate (%.100s:%d)", a->place.file, a->place.line);
	row(where, "as %s, whose password is in %s", a->user, a->file);
}

static void
print_remote(const struct question *q)
{
	const struct server *s = q->server;
	const struct domain *d = config_domain(s, q->to.domain);
	struct recipient to = { .address = (char *)(uintptr_t)q->to.text };
	char name[DOMAIN_MAX + 1], where[WHERE_SIZE], asked[ASKED_SIZE];
	struct route r;
	bool second, held = d != NULL && d->hold;

	if (held)
		row(config_where_row(where, s, d, "hold"), "would wait until %s", route_asked(d, asked));
	if (held && d->hold_accounts != NULL)
		return;
	route_begin(&r, s, route_name(s, &to, name));
	second = s->direct_first && r.hop == &r.own && !held;
	config_where_row(where, s, held || (d != NULL && d->smart_host != NULL) ? d : NULL, second ? "direct-first" : "smart-host");
	print_hops(q, where, held ? "would then go" : "would go", r.hop);
	print_protection(q, &r);
	if (second) {
		print_hops(q, config_where_row(where, s, NULL, "smart-host"), "or, if the domain cannot be looked up,", s->smart_host);
		r.hop = s->smart_host;
		print_protection(q, &r);
	}
	route_end(&r);
	if (d != NULL && d->helo_only)
		row(config_where_row(where, s, d, "helo-only"), "would be sent without extensions");
	if (s->masquerade != NULL && q->from.domain != NULL && domain_local(config_domain(s, q->from.domain)))
		row(config_where_row(where, s, NULL, "masquerade"), "its sender's domain would become %s", s->masquerade);
}

/* ---- one server after the other ------------------------------------------------------- */

static bool
accepts(struct question *q)
{
	enum reply r;
	bool local = false;
	char safe[200];

	printf("server %s (%s:%d)\n", text_safe(safe, sizeof safe, q->server->name, strlen(q->server->name)),
	    q->server->place.file, q->server->place.line);
	if ((r = walk(q, &local)) == R_RECIPIENT && q->who != NULL && q->who->fate != FATE_HERE)
		print_found(q);
	else if (r == R_RECIPIENT && local)
		print_local(q);
	else if (r == R_RECIPIENT)
		print_remote(q);
	unfold_end(q->who);
	resolver_close(q->resolver);
	q->who = NULL;
	q->resolver = NULL;
	printf("  => %s\n", r == R_RECIPIENT ? "taken" : r == R_NOOP ? "depends on the client's name" : "refused");
	return r == R_RECIPIENT;
}

/* An address as it would be after MAIL or RCPT at this server. */
static int
path_at(const struct server *s, const char *text, struct path *p)
{
	if (path_parse(p, text) == -1)
		return -1;
	return p->text[0] == '\0' || p->domain != NULL ? 0 : path_complete(p, s->home->name);
}

/* Each in turn; the status to exit with. */
static int
ask_all(struct question *q, const struct config *c, char **words)
{
	bool taken = false;

	for (q->server = c->servers; q->server != NULL; q->server = q->server->next) {
		int bad = path_at(q->server, words[0], &q->from) == -1 ? 0 :
		    path_at(q->server, words[1], &q->to) == -1 || q->to.text[0] == '\0' ? 1 : -1;

		if (bad != -1) {
			log_line("smtpd: '%s' is no %s", text_shown(words[bad]), bad == 0 ? "sender's address, nor <>, the null sender" : "recipient's address");
			return EX_DATAERR;
		}
		taken |= accepts(q);
	}
	return taken ? 0 : 1;
}

int
why(const char *file, int count, char **words)
{
	struct question q = { .client = { .addr = { .family = 4, .octets = { 127, 0, 0, 1 } } } };
	char names[DOMAIN_MAX + 2] = "";
	struct config *c;
	bool asks = false;
	int status;

	if (count < 2 || count > 5) {
		log_line("smtpd: why wants FROM RCPT [ADDRESS [NAME [ACCOUNT]]]");
		return EX_USAGE;
	}
	if (count > 2 && addr_parse(&q.client.addr, words[2], false) == -1) {
		log_line("smtpd: '%s' is no address of a client (such as 192.0.2.1)", words[2]);
		return EX_DATAERR;
	}
	if (count > 3) {
		snprintf(names, sizeof names - 1, "%s", words[3]);
		q.client.rdns = *names == '\0' ? RDNS_NONE : RDNS_CONFIRMED;
		q.client.names = *names == '\0' ? NULL : names;
	}
	if (count > 4 && *words[4] != '\0')
		q.client.account = words[4];
	if ((c = config_load(file)) == NULL)
		return EX_CONFIG;
	for (const struct server *s = c->servers; s != NULL; s = s->next)
		asks |= s->ldap.directories != NULL;
	if (asks && config_secure(c) == -1)
		return EX_CONFIG;
	random_open();
	dns_configure(c->resolvers, c->hosts);
	status = ask_all(&q, c, words);
	config_release(c);
	return status;
}
