/*
 * value.c - words of a configuration become values, or are refused.
 *
 *	reading   a configuration while it is read: what it has so far, where
 *	          the statement stands that is being read, and who hears of mistakes
 *	value     what a setting is in its block's struct: its row in the table
 *	          (settings.c) says of what kind, where it goes, and within what bounds
 *
 * What is true here: a value depends on its own words alone, and what must hold
 * between settings is for config.c to say.  A word that is refused gets a
 * sentence that shows what could stand there, and the reading goes on: the
 * mistake is counted, and nothing lives by a configuration that has one.  What
 * a value keeps lives as long as its configuration: see keep().
 */
#include "smtpd.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a configuration keeps ------------------------------------------------------ */

/* Everything allocated for a configuration is in one list, freed with it. */
struct memo {
	struct memo *next;
	/* what was asked for follows */
};

void *
keep(struct config *c, size_t n)
{
	struct memo *m = memory(NULL, sizeof *m + n);

	if (m == NULL)
		die(EX_OSERR, "out of memory while reading the configuration");
	memset(m, 0, sizeof *m + n);
	m->next = c->memory;
	c->memory = m;
	return m + 1;
}

char *
keep_text(struct config *c, const char *s)
{
	return memcpy(keep(c, strlen(s) + 1), s, strlen(s) + 1);
}

void
keep_free(struct config *c)
{
	struct memo *m, *next;

	for (m = c->memory; m != NULL; m = next) {
		next = m->next;
		free(m);
	}
	c->memory = NULL;
}

/* ---- mistakes ------------------------------------------------------------------------ */

static void
mistake(struct reading *r, const struct place *where, const char *format, va_list ap)
{
	char text[600];

	vsnprintf(text, sizeof text, format, ap);
	if (++r->config->errors == 1 && r->why != NULL)
		snprintf(r->why, r->why_size, "%s", text);
	else if (r->config->errors <= ERRORS_SHOWN && r->why == NULL)
		log_line("%s:%d: %s", where->file, where->line, text);
}

void
complain(struct reading *r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	mistake(r, &r->place, format, ap);
	va_end(ap);
}

void
complain_at(struct reading *r, const struct place *where, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	mistake(r, where, format, ap);
	va_end(ap);
}

/* ---- values ------------------------------------------------------------------------ */

/* Digits, then one letter of units; -1 when it is not that. */
static long long
scaled(const char *word, const char *units, const long long *scale)
{
	long long n = 0;
	const char *unit;

	if (*word < '0' || *word > '9')
		return -1;
	for (; *word >= '0' && *word <= '9'; word++) {
		if (n > (UNLIMITED - 9) / 10)
			return -1;
		n = n * 10 + (*word - '0');
	}
	if (*word == '\0')
		return *units == ' ' ? n : -1;
	if (word[1] != '\0' || *word == ' ' || (unit = strchr(units, *word)) == NULL)
		return -1;
	return n > UNLIMITED / scale[unit - units] ? -1 : n * scale[unit - units];
}

static int
value_number(struct reading *r, const struct setting *s, const char *word, long long *to)
{
	static const long long none[] = { 1 };
	static const long long sizes[] = { 1, 1 << 10, 1 << 20, 1 << 30 };
	static const long long times[] = { 1000, 60 * 1000, 3600 * 1000, DAY };
	char range[RANGE_SIZE];

	if (s->max == UNLIMITED && strcmp(word, "unlimited") == 0) {
		*to = UNLIMITED;
		return 0;
	}
	*to = s->kind == TIME ? scaled(word, "smhd", times) :
	    s->kind == SIZE ? scaled(word, " KMG", sizes) : scaled(word, " ", none);
	if (*to == -1) {
		complain(r, "%s: '%s' is not %s%s%s", s->name, text_shown(word),
		    s->kind == TIME ? "a time (such as 30s, 10m, 12h or 2d)" :
		    s->kind == SIZE ? "a size (such as 500K, 32M or 1G)" : "a number", s->kind == NUMBER ? ": " : "",
		    s->kind == NUMBER ? setting_range(range, s) : "");
		return -1;
	}
	if (*to < s->min || *to > s->max) {
		complain(r, "%s: '%s' is too %s: %s", s->name, text_shown(word), *to < s->min ? "small" : "large", setting_range(range, s));
		return -1;
	}
	return 0;
}

/* The place of a word in a list of words, or -1. */
static int
word_index(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (int i = 0; *words != '\0'; i++, words += strspn(words, " ")) {
		if (strncmp(words, word, n) == 0 && n > 0 && strchr(word, ' ') == NULL && (words[n] == ' ' || words[n] == '\0'))
			return i;
		words += strcspn(words, " ");
	}
	return -1;
}

int
value_word(struct reading *r, const char *name, const char *words, const char *word, int *to)
{
	if ((*to = word_index(words, word)) != -1)
		return 0;
	complain(r, "%s: '%s' is none of: %s", name, text_shown(word), words);
	*to = 0;
	return -1;
}

static void
value_network(struct reading *r, const char *name, const char *word, struct access *to)
{
	struct network *net = keep(r->config, sizeof *net);

	if (network_parse(net, word) == -1)
		complain(r, "%s: '%s' is no address or network (such as 192.0.2.0/24 or 2001:db8::/32)%s",
		    name, text_shown(word), strcmp(name, "proxy-from") == 0 ? "" : ", and no domain with its dot (such as .example.com)");
	net->next = to->list;
	to->list = net;
}

static void
value_name(struct reading *r, const char *ascii, struct access *to)
{
	struct network *net = keep(r->config, sizeof *net);

	net->domain = keep_text(r->config, ascii);
	net->next = to->list;
	to->list = net;
}

static void
value_addresses(struct reading *r, const struct setting *s, char **words, int n, struct access *to)
{
	char ascii[DOMAIN_MAX + 1];
	int mode;
	bool before = to->list != NULL;

	if (value_word(r, s->name, "only all-except", words[0], &mode) == -1)
		return;
	if (before && to->only != (mode == 0))
		complain(r, "%s: both 'only' and 'all-except' cannot hold", s->name);
	to->only = mode == 0;
	for (int i = 1; i < n; i++) {
		if (words[i][0] == '.' && domain_valid(words[i] + 1, strlen(words[i] + 1)) && domain_ascii(ascii, words[i] + 1) == 0)
			value_name(r, ascii, to);
		else
			value_network(r, s->name, words[i], to);
	}
}

/* A mistake where this program cannot do TLS. */
static bool
needs_tls(struct reading *r, const char *what)
{
	if (!tls_built)
		complain(r, "%s: this program was built without OpenSSL, so it cannot do TLS; see README", what);
	return tls_built;
}

/* "proxy-from" and its list, the last words of a line, are about all of it. */
static int
value_proxies(struct reading *r, char **words, int n, struct access *to)
{
	int at = 0;

	while (at < n && strcmp(words[at], "proxy-from") != 0)
		at++;
	to->only = at < n;
	for (int i = at + 1; i < n; i++)
		value_network(r, "proxy-from", words[i], to);
	if (at == 0 || at == n - 1)
		complain(r, "listen: proxy-from stands behind the address, and before those of the proxies");
	return at;
}

void
value_listeners(struct reading *r, char **words, int n, struct listen **to)
{
	struct access proxies = { 0 };
	struct listen *last = NULL;

	n = value_proxies(r, words, n, &proxies);
	while (*to != NULL)
		to = &(*to)->next;
	for (int i = 0; i < n; i++) {
		struct listen *l;

		if (last != NULL && strcmp(words[i], "tls") == 0) {
			last->tls = needs_tls(r, "listen tls");
			continue;
		}
		if (last != NULL && strcmp(words[i], "submission") == 0) {
			last->submission = true;
			continue;
		}
		l = last = keep(r->config, sizeof *l);
		if (addr_parse(&l->addr, words[i], true) == -1)
			complain(r, "listen: '%s' is no address and port (such as 127.0.0.1:25 or [::1]:25)",
			    text_shown(words[i]));
		l->place = r->place;
		l->proxies = proxies;
		*to = l;
		to = &l->next;
	}
}

static void
value_extensions(struct reading *r, char **words, int n, int *hidden)
{
	char names[200] = "";
	size_t at = 0;

	for (int i = 0; i < EXT_COUNT; i++)
		at += (size_t)snprintf(names + at, sizeof names - at, "%s-%s", i > 0 ? " " : "", extension_name[i]);
	for (int i = 0; i < n; i++) {
		int bit = word_index(names, words[i]);

		if (bit == -1)
			complain(r, "extensions: '%s' is none of: %s", text_shown(words[i]), names);
		else
			*hidden |= 1 << bit;
	}
}

/* Two values in one setting: the row's words name their kinds. */
static void
value_pair(struct reading *r, const struct setting *s, char **words, int n, long long to[2])
{
	if (n != 2) {
		complain(r, "%s: wants a %.*s and a %s", s->name, (int)strcspn(s->words, " "), s->words, strchr(s->words, ' ') + 1);
		return;
	}
	for (int i = 0; i < 2; i++) {
		struct setting one = setting_part(s, i);

		if (value_number(r, &one, words[i], &to[i]) == -1)
			return;
	}
}

/* The default, or what an earlier line said, is replaced. */
static void
value_times(struct reading *r, const struct setting *s, char **words, int n, msec *to)
{
	struct setting one = setting_part(s, 0);

	if (n > RETRIES_MAX) {
		complain(r, "%s: more than %d intervals", s->name, RETRIES_MAX);
		return;
	}
	memset(to, 0, (RETRIES_MAX + 1) * sizeof *to);
	for (int i = 0; i < n; i++)
		value_number(r, &one, words[i], &to[i]);
}

/* "NAME", "NAME:PORT", "[NAME OR ADDRESS]", "[...]:PORT", an address. */
static int
hop_parse(struct reading *r, struct hop *h, const char *word)
{
	const char *end = word[0] == '[' ? strchr(word, ']') : word + strcspn(word, ":");
	size_t n = end ? (size_t)(end - word) : 0;
	long port = 0;
	char *rest;

	h->direct = word[0] == '[';
	if (n <= (size_t)h->direct)
		return -1;
	h->host = keep_text(r->config, word + h->direct);
	h->host[n - h->direct] = '\0';
	end += h->direct;
	if (*end == ':' && (end[1] < '0' || end[1] > '9' ||
	    (port = strtol(end + 1, &rest, 10)) < 1 || port > 65535 || *rest != '\0'))
		return -1;
	if (*end != '\0' && *end != ':')
		return -1;
	if (addr_parse(&h->addr, h->host, false) == -1 && !domain_valid(h->host, strlen(h->host)))
		return -1;
	h->addr.port = (uint16_t)port;
	return 0;
}

static void
value_hops(struct reading *r, const struct setting *s, char **words, int n, struct hop **to)
{
	while (*to != NULL)
		to = &(*to)->next;
	for (int i = 0; i < n; i++, to = &(*to)->next) {
		*to = keep(r->config, sizeof **to);
		if (hop_parse(r, *to, words[i]) == -1)
			complain(r, "%s: '%s' is no host (such as mail.example.com, [192.0.2.25]:587 or [mx.example.com])",
			    s->name, text_shown(words[i]));
	}
}

static void
value_resolvers(struct reading *r, char **words, int n, struct listen **to)
{
	while (*to != NULL)
		to = &(*to)->next;
	for (int i = 0; i < n; i++, to = &(*to)->next) {
		*to = keep(r->config, sizeof **to);
		if (addr_parse(&(*to)->addr, words[i], false) == 0)
			(*to)->addr.port = 53;
		else if (addr_parse(&(*to)->addr, words[i], true) == -1 || (*to)->addr.port == 0)
			complain(r, "resolver: '%s' is no address (such as 192.0.2.53 or [::1]:5353)", text_shown(words[i]));
		(*to)->place = r->place;
	}
}

static void
operator_add(struct reading *r, bool group, unsigned long id, struct operator **to)
{
	struct operator *o = keep(r->config, sizeof *o);

	*o = (struct operator){ group, id, *to };
	*to = o;
}

/* A name, a number, or @GROUP: those whose group it is, and its members. */
static int
operator_find(struct reading *r, const char *word, struct operator **to)
{
	bool group = word[0] == '@';
	const char *name = word + group, *end;
	long long number = text_octets(name, &end);
	struct group *g;
	struct passwd *u;

	if (number != -1 && *end == '\0')
		operator_add(r, group, (unsigned long)number, to);
	else if (group && (g = getgrnam(name)) != NULL) {
		operator_add(r, true, g->gr_gid, to);
		for (char **member = g->gr_mem; *member != NULL; member++)
			if ((u = getpwnam(*member)) != NULL)
				operator_add(r, false, u->pw_uid, to);
	} else if (!group && (u = getpwnam(name)) != NULL)
		operator_add(r, false, u->pw_uid, to);
	else if (!group && strcmp(name, "root") == 0)
		operator_add(r, false, 0, to);		/* even where there is no /etc */
	else
		return -1;
	return 0;
}

static void
value_operators(struct reading *r, char **words, int n, struct operator **to)
{
	for (int i = 0; i < n; i++)
		if (operator_find(r, words[i], to) == -1)
			complain(r, "operators: this system has no %s '%s'", words[i][0] == '@' ? "group" : "user",
			    text_shown(words[i]));
}

/* "none", or a format, when to begin another file, and a folder. */
static void
value_log(struct reading *r, const struct setting *s, char **words, int n, struct log *to)
{
	struct setting size = setting_part(s, 0);

	if (value_word(r, s->name, "none w3c iis ncsa", words[0], &to->format) == -1 || (to->format == LOG_NONE && n == 1))
		return;
	if (to->format == LOG_NONE || n != 3 || words[2][0] == '\0')
		complain(r, "log: wants 'none' alone, or a format, when another file begins, and a folder (such as: w3c daily logs)");
	else if (words[1][0] >= '0' && words[1][0] <= '9') {
		to->roll = ROLL_SIZE;
		value_number(r, &size, words[1], &to->size);
	} else if ((to->roll = word_index("hourly daily weekly monthly never", words[1])) == -1)
		complain(r, "log: '%s' is none of: hourly daily weekly monthly never, and no size (such as 20M)", text_shown(words[1]));
	to->folder = n == 3 ? words[2] : words[0];
}

/* Several of the table's words: a bit each.  The default is replaced. */
static void
value_words(struct reading *r, const struct setting *s, char **words, int n, int *bits)
{
	int bit;

	*bits = 0;
	for (int i = 0; i < n; i++)
		if (value_word(r, s->name, s->words, words[i], &bit) == 0)
			*bits |= 1 << bit;
}

static void
value_names(struct reading *r, char **words, int n, struct name **to)
{
	while (*to != NULL)
		to = &(*to)->next;
	for (int i = 0; i < n; i++, to = &(*to)->next) {
		*to = keep(r->config, sizeof **to);
		(*to)->text = words[i];
	}
}

/* A certificate and its key, relative to where the server is started. */
static void
value_certificates(struct reading *r, const struct setting *s, char **words, int n, struct certificate **to)
{
	if (!needs_tls(r, s->name))
		return;
	if (n != 2 || words[0][0] == '\0' || words[1][0] == '\0') {
		complain(r, "%s: wants two files, a certificate and its key", s->name);
		return;
	}
	while (*to != NULL)
		to = &(*to)->next;
	*to = keep(r->config, sizeof **to);
	**to = (struct certificate){ words[0], words[1], r->place, 0, NULL };
}

/* How, who, and the file of the password. */
static void
value_account(struct reading *r, const struct setting *s, char **words, int n, struct account **to)
{
	static const int any = MECH_SCRAM | MECH_PLAIN | MECH_LOGIN, bits[] = { any, MECH_PLAIN, MECH_LOGIN, MECH_SCRAM, MECH_XOAUTH2 };
	struct account *a = *to = keep(r->config, sizeof *a);
	int word;

	a->place = r->place;
	if (n < 3 || words[n - 2][0] == '\0' || words[n - 1][0] == '\0') {
		complain(r, "%s: wants how (%s), a user, and the file of his password", s->name, s->words);
		return;
	}
	a->user = words[n - 2];
	a->file = words[n - 1];
	for (int i = 0; i < n - 2; i++)
		if (value_word(r, s->name, s->words, words[i], &word) == 0)
			a->mechanisms |= bits[word];
	if (!auth_text_valid(a->user, strlen(a->user)) || strlen(a->user) > ACCOUNT_OCTETS)
		complain(r, "%s: '%s' is no user: at most %d octets of UTF-8, without controls", s->name, text_shown(a->user), ACCOUNT_OCTETS);
}

/* The octets of %XX, in place; false: that is wrong. */
static bool
percent_decode(char *text)
{
	char *to = text;
	unsigned c;

	for (; *text != '\0'; *to++ = *text++)
		if (*text == '%') {
			if (strspn(text + 1, "0123456789abcdefABCDEF") < 2 || sscanf(text + 1, "%2x", &c) != 1 || c == 0)
				return false;
			text += 2;
			*text = (char)c;
		}
	*to = '\0';
	return true;
}

/* "ldap://HOST[:PORT]", "ldaps://HOST[:PORT]", "ldapi://PATH" with %2F for '/'. */
static int
directory_parse(struct reading *r, struct directory *d, const char *word)
{
	static const char *const schemes[] = { "ldap://", "ldaps://", "ldapi://" };
	struct hop h;
	size_t n;

	for (d->kind = DIRECTORY_CLEAR; !text_prefix(word, schemes[d->kind]); d->kind++)
		if (d->kind == DIRECTORY_LOCAL)
			return -1;
	d->url = keep_text(r->config, word);
	word = keep_text(r->config, word + strlen(schemes[d->kind]));
	if ((n = strlen(word)) > 0 && word[n - 1] == '/')
		((char *)(uintptr_t)word)[n - 1] = '\0';
	if (d->kind == DIRECTORY_LOCAL) {
		d->host = (char *)(uintptr_t)word;
		return percent_decode(d->host) && *d->host == '/' ? 0 : -1;
	}
	memset(&h, 0, sizeof h);
	if (hop_parse(r, &h, word) == -1 || (h.direct && h.addr.family != 6))
		return -1;
	d->host = h.host;
	d->addr = h.addr;
	if (d->addr.port == 0)
		d->addr.port = d->kind == DIRECTORY_TLS ? 636 : 389;
	return 0;
}

static void
value_directories(struct reading *r, char **words, int n, struct directory **to)
{
	while (*to != NULL)
		to = &(*to)->next;
	for (int i = 0; i < n; i++) {
		struct directory *d = keep(r->config, sizeof *d);

		if (directory_parse(r, d, words[i]) == -1) {
			complain(r, "server: '%s' is no directory (such as ldap://ldap.example.com, ldaps://[2001:db8::1]:636 or "
			    "ldapi://%%2Frun%%2Fslapd%%2Fldapi)", text_shown(words[i]));
			continue;
		}
		if (d->kind == DIRECTORY_TLS)
			needs_tls(r, "server ldaps");
		*to = d;
		to = &d->next;
	}
}

const struct place *
value_said(const struct place *said, enum block block, const char *name, const struct place *otherwise)
{
	for (size_t i = 0; i < settings_count; i++)
		if (settings[i].block == block && strcmp(settings[i].name, name) == 0 && said[i].line != 0)
			return &said[i];
	return otherwise;
}

bool
value_adds(const struct setting *s)
{
	return s->kind == ADDRESSES || s->kind == LISTENER || s->kind == EXTENSIONS || s->kind == HOPS || s->kind == RESOLVERS ||
	    s->kind == OPERATORS || s->kind == NAMES || s->kind == CERTIFICATES || s->kind == DIRECTORIES;
}

static bool
takes_many(const struct setting *s)
{
	return value_adds(s) || s->kind == TIMES || s->kind == PAIR || s->kind == LOG || s->kind == WORDS || s->kind == ACCOUNT;
}

static void
value_many(struct reading *r, const struct setting *s, char **words, int n, void *to)
{
	switch (s->kind) {
	case ADDRESSES:
		value_addresses(r, s, words, n, to);
		break;
	case LISTENER:
		value_listeners(r, words, n, to);
		break;
	case EXTENSIONS:
		value_extensions(r, words, n, to);
		break;
	case TIMES:
		value_times(r, s, words, n, to);
		break;
	case HOPS:
		value_hops(r, s, words, n, to);
		break;
	case RESOLVERS:
		value_resolvers(r, words, n, to);
		break;
	case OPERATORS:
		value_operators(r, words, n, to);
		break;
	case NAMES:
		value_names(r, words, n, to);
		break;
	case CERTIFICATES:
		value_certificates(r, s, words, n, to);
		break;
	case DIRECTORIES:
		value_directories(r, words, n, to);
		break;
	case PAIR:
		value_pair(r, s, words, n, to);
		break;
	case LOG:
		value_log(r, s, words, n, to);
		break;
	case WORDS:
		value_words(r, s, words, n, to);
		break;
	case ACCOUNT:
		value_account(r, s, words, n, to);
		break;
	default:		/* LATER */
		break;
	}
}

void
value_set(struct reading *r, const struct setting *s, char **words, int n, char *base)
{
	void *to = base + s->offset;
	int yes;

	if (n < 1 || (n > 1 && !takes_many(s))) {
		complain(r, "%s: wants %s, got %d", s->name,
		    takes_many(s) ? "at least one value" : "one value", n);
		return;
	}
	switch (s->kind) {
	case YESNO:
		if (value_word(r, s->name, "no yes", words[0], &yes) == 0)
			*(bool *)to = yes;
		break;
	case NUMBER: case SIZE: case TIME:
		value_number(r, s, words[0], to);
		break;
	case TEXT:
		if (words[0][0] == '\0')
			complain(r, "%s: is empty", s->name);
		*(char **)to = words[0];
		break;
	case WORD:
		value_word(r, s->name, s->words, words[0], to);
		break;
	default:
		value_many(r, s, words, n, to);
	}
}

void
value_presets(struct reading *r, enum block from, enum block to, char *base)
{
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *s = &settings[i];
		char *words[RETRIES_MAX], *at;
		int n = 0;

		/* Listeners are added up, so theirs waits until none was given. */
		if (s->block < from || s->block > to || s->preset == NULL ||
		    s->kind == LISTENER || *s->preset == '\0')
			continue;
		for (at = keep_text(r->config, s->preset); at != NULL; n++) {
			words[n] = at;
			if ((at = takes_many(s) ? strchr(at, ' ') : NULL) != NULL)
				*at++ = '\0';
		}
		value_set(r, s, words, n, base);
	}
}
