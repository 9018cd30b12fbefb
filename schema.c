/*
 * schema.c - how directories name people: what a schema of the table in settings.c
 * means where the operator has said nothing else.
 *
 * The name to bind with is made of `user' and `domain', unless the user has an @,
 * a \ or a = and so is one already.  In its pattern %u is the user, and %b the entry
 * below which he is: the domain, as a DN (DC=example,DC=org), or else `base'; the
 * pattern "ad" is what Active Directory takes: user@domain, or DOMAIN\user where the
 * domain has no dot.
 */
#include "smtpd.h"

#include <stdlib.h>
#include <string.h>

#define ATTRIBUTE_OCTETS 100

/* ---- lists ------------------------------------------------------------------------ */

/* "a b" as a list; said: what the operator wants instead, "none" being nothing. */
static struct name *
words_list(struct config *c, struct name *said, const char *words)
{
	struct name *first = NULL, **end = &first;
	char *at = keep_text(c, words);

	if (said != NULL)
		return said->next == NULL && text_compare(said->text, "none") == 0 ? NULL : said;
	while (*at != '\0') {
		size_t n = strcspn(at, " ");

		*end = keep(c, sizeof **end);
		(*end)->text = at;
		end = &(*end)->next;
		at += n;
		if (*at != '\0')
			*at++ = '\0';
	}
	return first;
}

/* RFC 4512 1.4: a name of letters, digits and hyphens, or dotted numbers. */
static void
attributes_check(struct reading *r, const struct server *s, const char *setting, const struct name *list)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";

	for (; list != NULL; list = list->next) {
		const char *c = list->text;
		size_t n = strlen(c);

		while (*c != '\0' && strchr(good, text_lower((unsigned char)*c)) != NULL)
			c++;
		if (*c != '\0' || n == 0 || n > ATTRIBUTE_OCTETS)
			complain_at(r, value_said(s->said, LDAP, setting, &s->place),
			    "%s: '%s' is no name of an attribute or a class; '%s none' is for no such thing", setting, text_shown(list->text), setting);
	}
}

/* Without it there is no configuration. */
static void
whole(const struct buf *b)
{
	if (b->torn)
		die(EX_OSERR, "out of memory while reading the configuration");
}

/* ---- the filter --------------------------------------------------------------------- */

int
schema_filter(struct buf *b, const char *filter, const char *address)
{
	const char *at = strrchr(address, '@');
	size_t local = at ? (size_t)(at - address) : strlen(address);
	int answer = 0;

	for (; *filter != '\0' && answer == 0; filter++)
		if (*filter != '%')
			answer = buf_add(b, filter, 1);
		else if (*++filter == 'u')
			answer = ldap_escape(b, address, local);
		else if (*filter == 'd')
			answer = ldap_escape(b, at ? at + 1 : "", at ? strlen(at + 1) : 0);
		else if (*filter == 's')
			answer = ldap_escape(b, address, strlen(address));
		else
			answer = buf_add(b, filter, 1);		/* %% */
	return answer;
}

/* good: the letters that may follow a %, behind them what they are. */
static void
filter_check(struct reading *r, const struct server *s, const char *setting, const char *filter, const char *good, const char *letters)
{
	struct buf b = { 0 }, sent = { 0 };
	const char *wrong = NULL;
	bool any = false;

	for (const char *f = filter; (f = strchr(f, '%')) != NULL && wrong == NULL; f += 2) {
		if (f[1] == '\0' || strchr(good, f[1]) == NULL)
			wrong = letters;
		any |= f[1] != '%';
		if (wrong != NULL)
			break;
	}
	if (wrong == NULL && !any)
		wrong = "it has no %s, and would find everybody";
	if (wrong == NULL && schema_filter(&b, filter, "a@example.org") == 0)
		wrong = ldap_filter(&sent, b.data);
	whole(&b);
	whole(&sent);
	if (wrong != NULL)
		complain_at(r, value_said(s->said, LDAP, setting, &s->place), "%s: '%s': %s", setting, text_shown(filter), wrong);
	buf_free(&sent);
	buf_free(&b);
}

/* ---- the bind name ---------------------------------------------------------------------- */

/* As a value in a DN, RFC 4514 2.4. */
static void
rdn_add(struct buf *b, const char *value, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool edge = (i == 0 && (value[i] == '#' || value[i] == ' ')) || (i + 1 == n && value[i] == ' ');

		if (edge || strchr(",+\"\\<>;=", value[i]) != NULL)
			buf_add(b, "\\", 1);
		buf_add(b, value + i, 1);
	}
}

/* The entry below which he is. */
static void
below_add(struct buf *b, const char *domain, const char *base)
{
	const char *sep = "";

	if (domain == NULL || strchr(domain, '=') != NULL) {
		buf_addf(b, "%s", domain ? domain : base ? base : "");
		return;
	}
	for (size_t n; *domain != '\0'; domain += n + (domain[n] == '.'), sep = ",") {
		n = strcspn(domain, ".");
		buf_addf(b, "%sdc=", sep);
		rdn_add(b, domain, n);
	}
}

static void
bind_name(struct reading *r, struct ldap_routing *l, const char *pattern)
{
	struct buf b = { 0 };

	if (l->user == NULL || strpbrk(l->user, "@\\=") != NULL || (strcmp(pattern, "ad") == 0 && l->domain == NULL))
		buf_addf(&b, "%s", l->user ? l->user : "");
	else if (strcmp(pattern, "ad") == 0 && strchr(l->domain, '.') != NULL)
		buf_addf(&b, "%s@%s", l->user, l->domain);
	else if (strcmp(pattern, "ad") == 0)
		buf_addf(&b, "%s\\%s", l->domain, l->user);
	else
		for (; *pattern != '\0'; pattern++)
			if (*pattern != '%')
				buf_add(&b, pattern, 1);
			else if (*++pattern == 'u')
				rdn_add(&b, l->user, strlen(l->user));
			else
				below_add(&b, l->domain, l->base);
	whole(&b);
	l->bind_name = b.len > 0 ? keep_text(r->config, b.data) : NULL;
	buf_free(&b);
}

/* ---- all of it ------------------------------------------------------------------------------ */

void
schema_settle(struct reading *r, struct server *s)
{
	const struct schema *preset = &schemas[s->naming.schema];
	struct naming *n = &s->naming;
	const struct { const char *setting, *words; struct name **list; } lists[] = {
		{ "mail-attribute", preset->mail, &n->mail }, { "forward-attribute", preset->forward, &n->forward },
		{ "host-attribute", preset->host, &n->host }, { "member-attribute", preset->member, &n->member },
		{ "member-address-attribute", preset->member_address, &n->member_address },
		{ "owner-attribute", preset->owner, &n->owner }, { "group-class", preset->group_class, &n->group_class },
	};

	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		attributes_check(r, s, lists[i].setting, *lists[i].list);
		*lists[i].list = words_list(r->config, *lists[i].list, lists[i].words);
	}
	if (n->filters == NULL)
		n->filters = words_list(r->config, NULL, preset->filter);
	for (const struct name *f = n->filters; f != NULL; f = f->next)
		filter_check(r, s, "filter", f->text, "sud%", "what follows a % must be s (the address), u (what stands before its @), d (its domain) or %");
	if (n->member_filter != NULL)
		filter_check(r, s, "member-filter", n->member_filter, "s%", "what follows a % must be s (the DN of the group) or %");
	bind_name(r, &s->ldap, preset->bind_name);
}
