/*
 * route.c - where mail for a destination goes: the addresses to try, one after
 * the other.
 *
 *	HOP      the next of the hops: the domain itself, or its smart hosts
 *	MX       a name server is asked for the hop's MX (RFC 5321 5.1)
 *	HOST     the next of its hosts
 *	AAAA, A  a name server is asked for the host's addresses
 *	ADDRESS  there is one to try
 *
 * A name that is not there fails for good, unless the operator gave it, or his
 * directory: then it is his mistake, which he will mend, and his users' mail waits.  A name server
 * that does not answer is a failure for now.  The route as a whole failed for
 * good when each part of it did.
 */
#include "smtpd.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANDIDATES_MAX 30	/* addresses tried in one attempt */

const struct domain *
route_held(const struct server *s, const char *address)
{
	const char *at = strrchr(address, '@');
	const struct domain *d = at ? config_domain(s, at + 1) : NULL;

	return d != NULL && d->hold ? d : NULL;
}

const char *
route_asked(const struct domain *row, char out[ASKED_SIZE])
{
	size_t n;

	if (row->hold_accounts == NULL)
		return "its host asks for it by ETRN";
	n = (size_t)snprintf(out, ASKED_SIZE, "one of these asks for it by ATRN:");
	for (const struct name *a = row->hold_accounts; a != NULL && n < ASKED_SIZE; a = a->next)
		n += (size_t)snprintf(out + n, ASKED_SIZE - n, " %.100s", a->text);
	return out;
}

/* To which host does the directory send him?  RESOLVED=HOST: see expand.c. */
static bool
route_host(const struct recipient *r, char out[DOMAIN_MAX + 1])
{
	char value[ARGS_OCTETS + 1];
	size_t n = 0;

	if (!args_value(r->args, "RESOLVED", value))
		return false;
	for (out[n++] = '='; value[n - 1] != '\0' && n < DOMAIN_MAX; n++)
		out[n] = (char)text_lower((unsigned char)value[n - 1]);
	out[n] = '\0';
	return true;
}

bool
route_local(const struct server *s, const struct recipient *r)
{
	char host[DOMAIN_MAX + 1];

	return config_local(s, r->address) && !route_host(r, host);
}

const char *
route_name(const struct server *s, const struct recipient *r, char out[DOMAIN_MAX + 1])
{
	const char *address = r->address, *at = strrchr(address, '@');
	const struct domain *d = at ? config_domain(s, at + 1) : NULL;
	bool held = route_held(s, address) != NULL;	/* it is asked for by its name */
	size_t n = 0;

	if (route_host(r, out))
		return out;
	if (!held && d != NULL && d->smart_host != NULL)
		return d->name;
	if (!held && s->smart_host != NULL && !s->direct_first)
		return "*";
	for (at = at ? at + 1 : ""; at[n] != '\0' && n < DOMAIN_MAX; n++)
		out[n] = (char)text_lower(at[n]);
	out[n] = '\0';
	return out;
}

void
route_begin(struct route *r, const struct server *s, const char *name)
{
	bool host = name[0] == '=';		/* by the directory: whatever its MX */
	const struct domain *row;

	name += host;
	row = host ? NULL : config_domain(s, name);
	memset(r, 0, sizeof *r);
	r->own.direct = host;
	r->dns.fd = -1;
	r->server = s;
	r->permanent = true;
	r->own.host = (char *)(uintptr_t)name;		/* never written to */
	if (name[0] == '[')
		literal_parse(&r->own.addr, name, strlen(name));
	else if (host)
		addr_parse(&r->own.addr, name, false);
	r->hop = row != NULL && row->smart_host != NULL ? row->smart_host :
	    strcmp(name, "*") == 0 ? s->smart_host : &r->own;
}

void
route_end(struct route *r)
{
	dns_end(&r->dns);
	free(r->mx);
	r->mx = NULL;
}

static const char *
host_name(const struct route *r)
{
	return r->mx != NULL ? dns_name(r->mx, r->host) : r->hop ? r->hop->host : "";
}

/* Has the operator, or the directory, named the host? */
static bool
named(const struct route *r)
{
	return r->hop != &r->own || r->own.direct;
}

void
route_failed(struct route *r, bool permanent, const char *format, ...)
{
	va_list ap;

	r->permanent &= permanent && (!named(r) || (!r->own.direct && strncmp(format, "5.4.6", 5) == 0));
	va_start(ap, format);
	vsnprintf(r->words, sizeof r->words, format, ap);
	va_end(ap);
	if (r->own.direct && r->words[0] == '5')
		r->words[0] = '4';		/* the directory can be mended */
	log_detail("- no route: %s", r->words);
	r->addr++;
}

/* The same for a name that could not be found. */
static void
name_failed(struct route *r, bool permanent, const char *format, const char *name)
{
	const struct domain *row = config_domain(r->server, r->own.host);

	if (!named(r) && r->server->direct_first && !(row != NULL && row->hold))
		r->own.next = r->server->smart_host;	/* now it is its turn */
	permanent &= !named(r);
	route_failed(r, permanent, format, permanent ? '5' : '4', name);
}

static void
ask(struct route *r, const char *name, enum dns_type type, enum route_state state)
{
	char ascii[DOMAIN_MAX + 1];

	dns_end(&r->dns);
	dns_begin(&r->dns, domain_ascii(ascii, name) == 0 ? ascii : name, type);
	r->state = state;
}

static void
next_hop(struct route *r)
{
	r->hop = r->hop->next;
	r->state = ROUTE_HOP;
}

void
route_leave(struct route *r)
{
	if (r->hop != NULL)
		next_hop(r);
}

static void
step_hop(struct route *r)
{
	route_end(r);
	r->host = r->addr = r->addr_count = 0;
	r->hosts = 1;
	r->state = ROUTE_HOST;
	if (!r->hop->direct && r->hop->addr.family == 0)
		ask(r, r->hop->host, DNS_MX, ROUTE_MX);
}

/* Of the MX, those that are not farther away than we are: RFC 5321 5.1. */
static void
mx_prune(struct route *r)
{
	for (size_t i = 0; i < r->hosts; i++)
		if (text_compare(dns_name(r->mx, i), r->server->hostname) == 0)
			for (r->hosts = i; r->hosts > 0 &&
			    r->mx->record[r->hosts - 1].preference == r->mx->record[i].preference; r->hosts--)
				;
}

static void
heard_mx(struct route *r, struct dns_answer *a)
{
	const char *name = r->hop->host;

	switch (a ? a->result : DNS_LATER) {
	case DNS_LATER:
		name_failed(r, false, "%c.4.3 the name servers do not say now where mail for %s goes", name);
		break;
	case DNS_NXDOMAIN:
		if (r->hop != &r->own) {	/* the hosts file may know it */
			r->state = ROUTE_HOST;
			return;
		}
		name_failed(r, true, "%c.1.2 there is no domain %s", name);
		break;
	case DNS_NODATA:		/* its own address does: RFC 5321 5.1 */
		r->state = ROUTE_HOST;
		return;
	case DNS_FOUND:
		if (a->count == 1 && dns_name(a, 0)[0] == '\0') {
			route_failed(r, true, "5.1.10 the domain %s says that it takes no mail (null MX, RFC 7505)", name);
			break;
		}
		r->mx = a;
		r->dns.answer = NULL;
		dns_shuffle(a);
		r->hosts = a->count;
		mx_prune(r);
		r->state = ROUTE_HOST;
		if (r->hosts > 0)
			return;
		route_failed(r, true, "5.4.6 the mail servers of %s lead back to this one, which does not take its mail", name);
	}
	next_hop(r);
}

static void
step_host(struct route *r)
{
	r->addr = r->addr_count = 0;
	r->later = false;
	if (r->host >= r->hosts)
		next_hop(r);
	else if (r->mx == NULL && r->hop->addr.family != 0) {
		r->addrs[r->addr_count++] = r->hop->addr;
		r->state = ROUTE_ADDRESS;
	} else
		ask(r, host_name(r), DNS_AAAA, ROUTE_AAAA);
}

/* IPv6 first, then IPv4, for which some room stays. */
static void
heard_addresses(struct route *r, const struct dns_answer *a)
{
	size_t most = r->state == ROUTE_AAAA ? ADDRS_MAX - ADDRS_MAX / 4 : ADDRS_MAX;

	for (size_t i = 0; a != NULL && i < a->count && r->addr_count < most; i++)
		r->addrs[r->addr_count++] = a->record[i].addr;
	r->later |= a == NULL || a->result == DNS_LATER;
	if (r->state == ROUTE_AAAA) {
		ask(r, host_name(r), DNS_A, ROUTE_A);
		return;
	}
	r->state = ROUTE_ADDRESS;
	if (r->addr_count > 0)
		return;
	if (r->later)
		name_failed(r, false, "%c.4.3 the name servers do not say now where %s is", host_name(r));
	else
		name_failed(r, true, "%c.4.4 the host %s has no address", host_name(r));
	r->host++;
	r->state = ROUTE_HOST;
}

/* ---- who is spoken to there, and how -------------------------------------------- */

/* Is it at one of the server's smart hosts? */
static bool
at_servers(const struct route *r)
{
	const struct hop *h = r->server->smart_host;

	while (h != NULL && h != r->hop)
		h = h->next;
	return h != NULL;
}

/* The server's smart host protects mail for a row's domain no less than the row wants. */
enum tls_policy
route_tls(const struct route *r)
{
	const struct domain *row = config_domain(r->server, r->own.host);
	const struct server *s = r->server;
	int policy = row != NULL && row->kind == DOMAIN_REMOTE ? row->tls_policy : s->tls_policy;

	if (at_servers(r) && (policy < s->smart_tls_policy || row == NULL))
		policy = s->smart_tls_policy;
	return (enum tls_policy)policy;
}

const struct account *
route_account(const struct route *r)
{
	const struct domain *row = config_domain(r->server, r->own.host);

	if (at_servers(r))
		return r->server->account;
	return row != NULL ? row->account : NULL;
}

bool
route_strange(const struct route *r)
{
	return r->mx != NULL && route_tls(r) == TLS_VERIFIED && route_account(r) != NULL && !domain_below(host_name(r), r->hop->host);
}

bool
route_tls_first(const struct route *r)
{
	return r->addrs[r->addr].port == TLS_PORT && route_tls(r) != TLS_OFF;
}

char *
route_peer(const struct route *r, char out[DOMAIN_MAX + 1])
{
	const char *name = route_strange(r) ? r->hop->host : host_name(r);

	if (r->mx == NULL && r->hop->addr.family != 0)
		return addr_text(&r->hop->addr, out);
	if (domain_ascii(out, name) == -1)
		snprintf(out, DOMAIN_MAX + 1, "%s", name);
	return out;
}

/* ---- addresses -------------------------------------------------------------------- */

/* Is this one of the addresses we listen on ourselves? */
static bool
addr_ours(const struct route *r, const struct addr *a)
{
	for (const struct listen *l = r->server->listen; l != NULL; l = l->next)
		if (l->addr.port == a->port && (addr_same(&l->addr, a) || addr_any(a) || (addr_any(&l->addr) && addr_loopback(a))))
			return true;
	return false;
}

/* Who listens on all addresses meets himself where both ends are one. */
bool
route_loops(const struct route *r, int fd)
{
	const struct addr *a = &r->addrs[r->addr];
	struct addr here;

	if (conn_here(fd, &here) == 0 && addr_same(&here, a))
		for (const struct listen *l = r->server->listen; l != NULL; l = l->next)
			if (l->addr.port == a->port && addr_any(&l->addr))
				return true;
	return false;
}

/* True: there is one to try. */
static bool
step_address(struct route *r)
{
	struct addr *a = &r->addrs[r->addr];
	char address[ADDR_TEXT];

	if (r->addr >= r->addr_count) {
		r->host++;
		r->state = ROUTE_HOST;
		return false;
	}
	if (a->port == 0)
		a->port = r->hop->addr.port ? r->hop->addr.port : (uint16_t)r->server->port;
	snprintf(r->text, sizeof r->text, "%.255s[%s]:%u", r->hop->addr.family ? "" : host_name(r),
	    addr_text(a, address), (unsigned)a->port);
	if (!addr_ours(r, a)) {
		r->tried++;
		return true;
	}
	r->hosts = r->host + 1;		/* farther ones would only bring it back */
	route_failed(r, true, "5.4.6 %s is this server itself: the mail would go round in circles", r->text);
	return false;
}

int
route_step(struct route *r)
{
	while (r->hop != NULL && r->tried < CANDIDATES_MAX)
		switch (r->state) {
		case ROUTE_HOP:
			step_hop(r);
			break;
		case ROUTE_MX: case ROUTE_AAAA: case ROUTE_A:
			if (dns_step(&r->dns) == 0)
				return 0;
			if (r->state == ROUTE_MX)
				heard_mx(r, r->dns.answer);
			else
				heard_addresses(r, r->dns.answer);
			break;
		case ROUTE_HOST:
			step_host(r);
			break;
		case ROUTE_ADDRESS:
			if (step_address(r))
				return 1;
			break;
		}
	return -1;
}

void
route_want(const struct route *r, struct pollfd *slot, msec *until)
{
	dns_want(&r->dns, slot, until);
}
