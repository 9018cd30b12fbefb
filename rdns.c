/*
 * rdns.c - who is this address?  The confirmed reverse look-up.
 *
 * An address has the name that its PTR record says, but whoever has the address
 * writes that record, and may write any name.  So the name is asked for its
 * addresses, which only its owner can set: it counts when ours is among them
 * (RFC 1912 2.1; "iprev" in RFC 8601 3).
 *
 *	the names are asked for, then the addresses of one after the other
 *
 * Both the names tried and the time for it all are bounded.
 */
#include "smtpd.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 5		/* of an address that are tried */
#define TIME_MAX  20000		/* for it all, ms */

/* Ask about the next name that could be one of a host; false: there is none. */
static bool
ask_next(struct rdns *r)
{
	for (; r->at < r->ptr->count && r->at < NAMES_MAX; r->at++) {
		const char *name = dns_name(r->ptr, r->at);
		size_t n = strlen(name);

		if (!domain_valid(name, n) || eight_bit(name, n))
			continue;
		dns_begin(&r->dns, name, r->addr.family == 4 ? DNS_A : DNS_AAAA);
		return true;
	}
	return false;
}

/* Its names, or none; true: there is more to ask. */
static bool
heard_names(struct rdns *r)
{
	struct dns_answer *a = r->dns.answer;

	r->later = a == NULL || a->result == DNS_LATER;
	if (r->later || a->result != DNS_FOUND)
		return false;
	r->ptr = a;
	r->dns.answer = NULL;
	return ask_next(r);
}

/* The addresses of one of them. */
static bool
heard_addresses(struct rdns *r)
{
	const struct dns_answer *a = r->dns.answer;
	const char *name = dns_name(r->ptr, r->at);

	r->later |= a == NULL || a->result == DNS_LATER;
	for (size_t i = 0; a != NULL && i < a->count; i++)
		if (addr_same(&a->record[i].addr, &r->addr)) {
			r->later |= buf_add(&r->names, name, strlen(name) + 1) == -1;
			break;
		}
	dns_end(&r->dns);
	r->at++;
	return ask_next(r);
}

int
rdns_step(struct rdns *r)
{
	while (dns_step(&r->dns) == 1)
		if (!(r->ptr == NULL ? heard_names(r) : heard_addresses(r))) {
			r->result = r->later ? RDNS_LATER : r->names.len > 0 ? RDNS_CONFIRMED :
			    r->ptr != NULL ? RDNS_UNCONFIRMED : RDNS_NONE;
			return 1;
		}
	r->result = RDNS_LATER;
	return r->deadline <= now.tick;
}

void
rdns_want(const struct rdns *r, struct pollfd *slot, msec *until)
{
	dns_want(&r->dns, slot, until);
	if (r->deadline < *until)
		*until = r->deadline;
}

void
rdns_begin(struct rdns *r, const struct addr *a)
{
	char name[REVERSE_TEXT];

	memset(r, 0, sizeof *r);
	r->addr = *a;
	r->deadline = now.tick + TIME_MAX;
	dns_begin(&r->dns, addr_reverse(a, name), DNS_PTR);
}

void
rdns_end(struct rdns *r)
{
	dns_end(&r->dns);
	free(r->ptr);
	r->ptr = NULL;
	buf_free(&r->names);
}
