/*
 * config.c - what the operator wrote, checked, and never changed afterwards.
 *
 * The table of directives (settings.c) drives it:
 *
 *	text -> words (lex) -> statements (parse) -> values (the table's kinds)
 *	     -> what must hold between them (check)
 *
 * Every mistake is reported, and a configuration with one is not used.  All
 * that hangs on a configuration is freed with it: see keep().
 */
#include "smtpd.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_OCTETS   (1 << 20)	/* of a configuration file */
#define WORDS_MAX     512	/* on a line */
#define FILES_MAX     64	/* read for one configuration */
#define DEPTH_MAX     8		/* of blocks in blocks; three are of use */
#define ERRORS_SHOWN  100

static const char embedded[] =
	"server \"Default SMTP Virtual Server\" {\n"
	"    general { listen 127.0.0.1:2525; mailroot mailroot }\n"
	"    domain %s default { drop Drop }\n"
	"%s"
	"}\n";

/* ---- memory ------------------------------------------------------------------ */

/* Everything allocated for a configuration is in one list, freed with it. */
struct memo {
	struct memo *next;
	/* what was asked for follows */
};

/* Zeroed memory that lives as long as c.  Without it there is no
 * configuration, and at the time of reading one that is the end. */
static void *
keep(struct config *c, size_t n)
{
	struct memo *m = memory(NULL, sizeof *m + n);

	if (m == NULL)
		die(71, "out of memory while reading the configuration");
	memset(m, 0, sizeof *m + n);
	m->next = c->memory;
	c->memory = m;
	return m + 1;
}

static char *
keep_text(struct config *c, const char *s)
{
	return memcpy(keep(c, strlen(s) + 1), s, strlen(s) + 1);
}

void
config_hold(struct config *c)
{
	c->holds++;
}

void
config_release(struct config *c)
{
	struct memo *m, *next;

	if (--c->holds > 0)
		return;
	for (const struct server *s = c->servers; s != NULL; s = s->next)
		for (const struct domain *d = s->domains; d != NULL; d = d->next)
			names_free(d->names);
	for (m = c->memory; m != NULL; m = next) {
		next = m->next;
		free(m);
	}
	free(c);
}

/* ---- words --------------------------------------------------------------------- */

enum lexeme { L_END, L_NEWLINE, L_OPEN, L_CLOSE, L_WORD };

struct parser {
	struct config *config;
	const char *file;
	const char *text, *at, *end;
	int row;			/* of the cursor */
	int line;			/* where the statement began */
	int depth;			/* of open blocks */
	struct server *server;		/* the block we are in, or NULL */
	struct domain *domain;
	char *words[WORDS_MAX];
	int count;
	const char *instead;		/* the file for which this text is read: config_try */
	const struct buf *with;
	char *why;			/* and where its first mistake is told */
	size_t why_size;
};

static void
complain_at(struct parser *p, const char *file, int line, const char *format, va_list ap)
{
	char text[600];

	vsnprintf(text, sizeof text, format, ap);
	if (++p->config->errors == 1 && p->why != NULL)
		snprintf(p->why, p->why_size, "%s", text);
	else if (p->config->errors <= ERRORS_SHOWN && p->why == NULL)
		log_line("%s:%d: %s", file, line, text);
}

static void
complain(struct parser *p, int line, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	complain_at(p, p->file, line, format, ap);
	va_end(ap);
}

static void
fault(struct parser *p, const struct place *where, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	complain_at(p, where->file, where->line, format, ap);
	va_end(ap);
}

/* A word for a complaint: printable, not too long. */
static const char *
shown(const char *word)
{
	static char text[2][100];
	static int which;

	which = !which;
	return text_safe(text[which], sizeof text[which], word, strlen(word));
}

static char *
quoted_word(struct parser *p)
{
	const char *end = p->at + 1;
	char *word;
	size_t n = 0;

	while (end < p->end && *end != '"' && *end != '\n')
		end += *end == '\\' && end + 1 < p->end && end[1] != '\n' ? 2 : 1;
	word = keep(p->config, (size_t)(end - p->at));
	for (p->at++; p->at < end; p->at++) {
		if (*p->at == '\\' && (p->at[1] == '"' || p->at[1] == '\\'))
			p->at++;
		word[n++] = *p->at;
	}
	if (p->at < p->end && *p->at == '"')
		p->at++;
	else
		complain(p, p->row, "missing closing quote");
	return word;
}

/* $NAME as a whole word is the environment's. */
static char *
plain_word(struct parser *p)
{
	const char *from = p->at, *value;
	char *word;

	while (p->at < p->end && *p->at != '\0' && strchr(" \t\r\n{};\"", *p->at) == NULL)
		p->at++;
	word = keep(p->config, (size_t)(p->at - from) + 1);
	memcpy(word, from, (size_t)(p->at - from));
	if (*word != '$' || word[1] == '\0')
		return word;
	if ((value = getenv(word + 1)) != NULL)
		return keep_text(p->config, value);
	complain(p, p->row, "%s is not set in the environment", shown(word));
	return word;
}

static enum lexeme
lex(struct parser *p, char **word)
{
	char c;

	while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\r'))
		p->at++;
	if (p->at < p->end && *p->at == '#')
		while (p->at < p->end && *p->at != '\n')
			p->at++;
	if (p->at >= p->end)
		return L_END;
	c = *p->at;
	if (c == '"') {
		*word = quoted_word(p);
		return L_WORD;
	}
	if (strchr("\n;{}", c) == NULL) {
		*word = plain_word(p);
		return L_WORD;
	}
	p->at++;
	p->row += c == '\n';
	return c == '{' ? L_OPEN : c == '}' ? L_CLOSE : L_NEWLINE;
}

/* Gather a statement into p->words; p->line is where it began.  A '}' right
 * behind it is left to be read next. */
static enum lexeme
statement(struct parser *p)
{
	enum lexeme l;
	char *word;

	p->count = 0;
	p->line = p->row;
	while ((l = lex(p, &word)) == L_WORD || (l == L_NEWLINE && p->count == 0)) {
		if (p->count == 0)
			p->line = p->row;
		if (l == L_WORD && p->count++ < WORDS_MAX)
			p->words[p->count - 1] = word;
	}
	if (p->count > WORDS_MAX) {
		complain(p, p->line, "more than %d words; repeat the directive", WORDS_MAX);
		p->count = WORDS_MAX;
	}
	if (l == L_CLOSE && p->count > 0) {
		p->at--;
		return L_NEWLINE;
	}
	if (l != L_NEWLINE && p->count == 0)
		p->line = p->row;
	return l;
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
value_number(struct parser *p, const struct setting *s, const char *word, long long *to)
{
	static const long long none[] = { 1 };
	static const long long sizes[] = { 1, 1 << 10, 1 << 20, 1 << 30 };
	static const long long times[] = { 1000, 60 * 1000, 3600 * 1000, DAY };

	if (s->max == UNLIMITED && strcmp(word, "unlimited") == 0) {
		*to = UNLIMITED;
		return 0;
	}
	*to = s->kind == TIME ? scaled(word, "smhd", times) :
	    s->kind == SIZE ? scaled(word, " KMG", sizes) : scaled(word, " ", none);
	if (*to == -1) {
		complain(p, p->line, "%s: '%s' is not %s", s->name, shown(word),
		    s->kind == TIME ? "a time (such as 30s, 10m, 12h or 2d)" :
		    s->kind == SIZE ? "a size (such as 500K, 32M or 1G)" : "a number");
		return -1;
	}
	if (*to < s->min || *to > s->max) {
		complain(p, p->line, "%s: '%s' is %s", s->name, shown(word),
		    *to < s->min ? "too small" : "too large");
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

static int
value_word(struct parser *p, const struct setting *s, const char *words, const char *word, int *to)
{
	if ((*to = word_index(words, word)) != -1)
		return 0;
	complain(p, p->line, "%s: '%s' is none of: %s", s->name, shown(word), words);
	*to = 0;
	return -1;
}

static void
value_network(struct parser *p, const char *name, const char *word, struct access *to)
{
	struct network *net = keep(p->config, sizeof *net);

	if (network_parse(net, word) == -1)
		complain(p, p->line, "%s: '%s' is no address or network (such as 192.0.2.0/24 or 2001:db8::/32)%s",
		    name, shown(word), strcmp(name, "proxy-from") == 0 ? "" : ", and no domain with its dot (such as .example.com)");
	net->next = to->list;
	to->list = net;
}

static void
value_name(struct parser *p, const char *ascii, struct access *to)
{
	struct network *net = keep(p->config, sizeof *net);

	net->domain = keep_text(p->config, ascii);
	net->next = to->list;
	to->list = net;
}

static void
value_addresses(struct parser *p, const struct setting *s, char **words, int n, struct access *to)
{
	char ascii[DOMAIN_MAX + 1];
	int mode;
	bool before = to->list != NULL;

	if (value_word(p, s, "only all-except", words[0], &mode) == -1)
		return;
	if (before && to->only != (mode == 0))
		complain(p, p->line, "%s: both 'only' and 'all-except' cannot hold", s->name);
	to->only = mode == 0;
	for (int i = 1; i < n; i++) {
		if (words[i][0] == '.' && domain_valid(words[i] + 1, strlen(words[i] + 1)) && domain_ascii(ascii, words[i] + 1) == 0)
			value_name(p, ascii, to);
		else
			value_network(p, s->name, words[i], to);
	}
}

/* "proxy-from" and its list, the last words of a line, are about all of it. */
static int
value_proxies(struct parser *p, char **words, int n, struct access *to)
{
	int at = 0;

	while (at < n && strcmp(words[at], "proxy-from") != 0)
		at++;
	to->only = at < n;
	for (int i = at + 1; i < n; i++)
		value_network(p, "proxy-from", words[i], to);
	if (at == 0 || at == n - 1)
		complain(p, p->line, "listen: proxy-from stands behind the address, and before those of the proxies");
	return at;
}

static void
value_listeners(struct parser *p, char **words, int n, struct listen **to)
{
	struct access proxies = { 0 };

	n = value_proxies(p, words, n, &proxies);
	while (*to != NULL)
		to = &(*to)->next;
	for (int i = 0; i < n; i++) {
		struct listen *l = keep(p->config, sizeof *l);

		if (word_index("tls submission", words[i]) != -1) {
			complain(p, p->line, "listen: '%s' is not in this build yet", words[i]);
			continue;
		}
		if (addr_parse(&l->addr, words[i], true) == -1)
			complain(p, p->line, "listen: '%s' is no address and port (such as 127.0.0.1:25 or [::1]:25)",
			    shown(words[i]));
		l->place = (struct place){ p->file, p->line };
		l->proxies = proxies;
		*to = l;
		to = &l->next;
	}
}

const char *const extension_name[EXT_COUNT] = {
	"PIPELINING", "SIZE", "8BITMIME", "BINARYMIME", "CHUNKING", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "LIMITS", "HELP",
	"ETRN", "ATRN", "TURN"
};

static void
value_extensions(struct parser *p, char **words, int n, int *hidden)
{
	char names[200] = "";
	size_t at = 0;

	for (int i = 0; i < EXT_COUNT; i++)
		at += (size_t)snprintf(names + at, sizeof names - at, "%s-%s", i > 0 ? " " : "", extension_name[i]);
	for (int i = 0; i < n; i++) {
		int bit = word_index(names, words[i]);

		if (bit == -1)
			complain(p, p->line, "extensions: '%s' is none of: %s", shown(words[i]), names);
		else
			*hidden |= 1 << bit;
	}
}

/* Two values in one setting: the row's words name their kinds. */
static void
value_pair(struct parser *p, const struct setting *s, char **words, int n, long long to[2])
{
	static const char kinds[] = "number size time";
	static const enum value_kind kind[] = { NUMBER, SIZE, TIME };
	char first[10], second[10];

	sscanf(s->words, "%9s %9s", first, second);
	if (n != 2) {
		complain(p, p->line, "%s: wants a %s and a %s", s->name, first, second);
		return;
	}
	for (int i = 0; i < 2; i++) {
		struct setting one = *s;

		one.kind = kind[word_index(kinds, i == 0 ? first : second)];
		one.max = one.kind == NUMBER && s->max != UNLIMITED ? 1000 : s->max;
		one.min = one.kind == TIME || one.kind == SIZE ? 1000 : 0;
		if (value_number(p, &one, words[i], &to[i]) == -1)
			return;
	}
}

/* The default, or what an earlier line said, is replaced. */
static void
value_times(struct parser *p, const struct setting *s, char **words, int n, msec *to)
{
	struct setting one = *s;

	one.kind = TIME;
	if (n > RETRIES_MAX) {
		complain(p, p->line, "%s: more than %d intervals", s->name, RETRIES_MAX);
		return;
	}
	memset(to, 0, (RETRIES_MAX + 1) * sizeof *to);
	for (int i = 0; i < n; i++)
		value_number(p, &one, words[i], &to[i]);
}

/* "NAME", "NAME:PORT", "[NAME OR ADDRESS]", "[...]:PORT", an address. */
static int
hop_parse(struct parser *p, struct hop *h, const char *word)
{
	const char *end = word[0] == '[' ? strchr(word, ']') : word + strcspn(word, ":");
	size_t n = end ? (size_t)(end - word) : 0;
	long port = 0;
	char *rest;

	h->direct = word[0] == '[';
	if (n <= (size_t)h->direct)
		return -1;
	h->host = keep_text(p->config, word + h->direct);
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
value_hops(struct parser *p, const struct setting *s, char **words, int n, struct hop **to)
{
	while (*to != NULL)
		to = &(*to)->next;
	for (int i = 0; i < n; i++, to = &(*to)->next) {
		*to = keep(p->config, sizeof **to);
		if (hop_parse(p, *to, words[i]) == -1)
			complain(p, p->line, "%s: '%s' is no host (such as mail.example.com, [192.0.2.25]:587 or [mx.example.com])",
			    s->name, shown(words[i]));
	}
}

static void
value_resolvers(struct parser *p, char **words, int n, struct listen **to)
{
	while (*to != NULL)
		to = &(*to)->next;
	for (int i = 0; i < n; i++, to = &(*to)->next) {
		*to = keep(p->config, sizeof **to);
		if (addr_parse(&(*to)->addr, words[i], false) == 0)
			(*to)->addr.port = 53;
		else if (addr_parse(&(*to)->addr, words[i], true) == -1 || (*to)->addr.port == 0)
			complain(p, p->line, "resolver: '%s' is no address (such as 192.0.2.53 or [::1]:5353)", shown(words[i]));
		(*to)->place = (struct place){ p->file, p->line };
	}
}

static void
operator_add(struct parser *p, bool group, unsigned long id, struct operator **to)
{
	struct operator *o = keep(p->config, sizeof *o);

	*o = (struct operator){ group, id, *to };
	*to = o;
}

/* A name, a number, or @GROUP: those whose group it is, and its members. */
static int
operator_find(struct parser *p, const char *word, struct operator **to)
{
	bool group = word[0] == '@';
	const char *name = word + group, *end;
	long long number = text_octets(name, &end);
	struct group *g;
	struct passwd *u;

	if (number != -1 && *end == '\0')
		operator_add(p, group, (unsigned long)number, to);
	else if (group && (g = getgrnam(name)) != NULL) {
		operator_add(p, true, g->gr_gid, to);
		for (char **member = g->gr_mem; *member != NULL; member++)
			if ((u = getpwnam(*member)) != NULL)
				operator_add(p, false, u->pw_uid, to);
	} else if (!group && (u = getpwnam(name)) != NULL)
		operator_add(p, false, u->pw_uid, to);
	else if (!group && strcmp(name, "root") == 0)
		operator_add(p, false, 0, to);		/* even where there is no /etc */
	else
		return -1;
	return 0;
}

static void
value_operators(struct parser *p, char **words, int n, struct operator **to)
{
	for (int i = 0; i < n; i++)
		if (operator_find(p, words[i], to) == -1)
			complain(p, p->line, "operators: this system has no %s '%s'", words[i][0] == '@' ? "group" : "user",
			    shown(words[i]));
}

/* "none", or a format, when to begin another file, and a folder. */
static void
value_log(struct parser *p, const struct setting *s, char **words, int n, struct log *to)
{
	struct setting size = *s;

	size.kind = SIZE;
	if (value_word(p, s, "none w3c iis ncsa", words[0], &to->format) == -1 || (to->format == LOG_NONE && n == 1))
		return;
	if (to->format == LOG_NONE || n != 3 || words[2][0] == '\0')
		complain(p, p->line, "log: wants 'none' alone, or a format, when another file begins, and a folder (such as: w3c daily logs)");
	else if (words[1][0] >= '0' && words[1][0] <= '9') {
		to->roll = ROLL_SIZE;
		value_number(p, &size, words[1], &to->size);
	} else if ((to->roll = word_index("hourly daily weekly monthly never", words[1])) == -1)
		complain(p, p->line, "log: '%s' is none of: hourly daily weekly monthly never, and no size (such as 20M)", shown(words[1]));
	to->folder = n == 3 ? words[2] : words[0];
}

/* Several of the table's words: a bit each.  The default is replaced. */
static void
value_words(struct parser *p, const struct setting *s, char **words, int n, int *bits)
{
	int bit;

	*bits = 0;
	for (int i = 0; i < n; i++)
		if (value_word(p, s, s->words, words[i], &bit) == 0)
			*bits |= 1 << bit;
}

static void
value_names(struct parser *p, char **words, int n, struct name **to)
{
	while (*to != NULL)
		to = &(*to)->next;
	for (int i = 0; i < n; i++, to = &(*to)->next) {
		*to = keep(p->config, sizeof **to);
		(*to)->text = words[i];
	}
}

/* A list, which may go on in a further line of the same name. */
static bool
takes_more(const struct setting *s)
{
	return s->kind == ADDRESSES || s->kind == LISTENER || s->kind == EXTENSIONS || s->kind == HOPS || s->kind == RESOLVERS ||
	    s->kind == OPERATORS || s->kind == NAMES;
}

static bool
takes_many(const struct setting *s)
{
	return takes_more(s) || s->kind == TIMES || s->kind == PAIR || s->kind == LOG || s->kind == WORDS;
}

/* One directive's words become its value in the block's struct at base. */
static void
value_set(struct parser *p, const struct setting *s, char **words, int n, char *base)
{
	void *to = base + s->offset;
	int yes;

	if (n < 1 || (n > 1 && !takes_many(s))) {
		complain(p, p->line, "%s: wants %s, got %d", s->name,
		    takes_many(s) ? "at least one value" : "one value", n);
		return;
	}
	switch (s->kind) {
	case YESNO:
		if (value_word(p, s, "no yes", words[0], &yes) == 0)
			*(bool *)to = yes;
		break;
	case NUMBER: case SIZE: case TIME:
		value_number(p, s, words[0], to);
		break;
	case TEXT:
		if (words[0][0] == '\0')
			complain(p, p->line, "%s: is empty", s->name);
		*(char **)to = words[0];
		break;
	case WORD:
		value_word(p, s, s->words, words[0], to);
		break;
	case ADDRESSES:
		value_addresses(p, s, words, n, to);
		break;
	case LISTENER:
		value_listeners(p, words, n, to);
		break;
	case EXTENSIONS:
		value_extensions(p, words, n, to);
		break;
	case TIMES:
		value_times(p, s, words, n, to);
		break;
	case HOPS:
		value_hops(p, s, words, n, to);
		break;
	case RESOLVERS:
		value_resolvers(p, words, n, to);
		break;
	case OPERATORS:
		value_operators(p, words, n, to);
		break;
	case NAMES:
		value_names(p, words, n, to);
		break;
	case PAIR:
		value_pair(p, s, words, n, to);
		break;
	case LOG:
		value_log(p, s, words, n, to);
		break;
	case WORDS:
		value_words(p, s, words, n, to);
		break;
	case LATER:
		break;
	}
}

/* Give every setting of a block's struct its default. */
static void
presets(struct parser *p, enum block from, enum block to, char *base)
{
	for (size_t i = 0; i < settings_count; i++) {
		const struct setting *s = &settings[i];
		char *words[RETRIES_MAX], *at;
		int n = 0;

		/* Listeners are added up, so theirs waits until none was given. */
		if (s->block < from || s->block > to || s->preset == NULL ||
		    s->kind == LISTENER || *s->preset == '\0')
			continue;
		for (at = keep_text(p->config, s->preset); at != NULL; n++) {
			words[n] = at;
			if ((at = takes_many(s) ? strchr(at, ' ') : NULL) != NULL)
				*at++ = '\0';
		}
		value_set(p, s, words, n, base);
	}
}

/* ---- statements ---------------------------------------------------------------------- */

static void
unknown(struct parser *p, enum block block, const char *name)
{
	const char *near = setting_nearest(block, name);

	for (size_t i = 0; i < settings_count; i++)
		if (strcmp(settings[i].name, name) == 0) {
			complain(p, p->line, "'%s' belongs in %s, not in %s", name,
			    block_name[settings[i].block], block_name[block]);
			return;
		}
	if (near != NULL)
		complain(p, p->line, "unknown directive '%s' in %s; did you mean '%s'?",
		    shown(name), block_name[block], near);
	else
		complain(p, p->line, "unknown directive '%s' in %s", shown(name), block_name[block]);
}

static void
directive(struct parser *p, enum block block)
{
	char *base = block == TOP ? (char *)p->config : block == DOMAIN ? (char *)p->domain : (char *)p->server;
	struct place *said;
	const struct setting *s;
	size_t i;

	for (i = 0; i < settings_count; i++)
		if (settings[i].block == block && strcmp(settings[i].name, p->words[0]) == 0)
			break;
	if (i == settings_count) {
		unknown(p, block, p->words[0]);
		return;
	}
	s = &settings[i];
	if (s->kind == LATER) {
		complain(p, p->line, "'%s' is not in this build yet", s->name);
		return;
	}
	said = block == TOP ? p->config->said : block == DOMAIN ? p->domain->said : p->server->said;
	if (said[i].line != 0 && !takes_more(s)) {
		complain(p, p->line, "%s: already set on line %d", s->name, said[i].line);
		return;
	}
	said[i] = (struct place){ p->file, p->line };
	value_set(p, s, p->words + 1, p->count - 1, base);
}

static void block_body(struct parser *p, enum block block, int opened);
static void file_read(struct parser *p, const char *file);

static void
open_domain(struct parser *p, bool braces)
{
	struct domain *d = keep(p->config, sizeof *d), **to;
	int kind = 0, line = p->line;

	if (p->count != 3) {
		complain(p, p->line, "domain: wants a name and one of: default alias remote");
	} else if ((kind = word_index("default alias remote", p->words[2])) == -1) {
		complain(p, p->line, "domain: '%s' is none of: default alias remote", shown(p->words[2]));
		kind = 0;
	}
	d->name = p->count > 1 ? p->words[1] : keep_text(p->config, "");
	d->kind = (enum domain_kind)kind;
	d->place = (struct place){ p->file, p->line };
	d->said = keep(p->config, settings_count * sizeof *d->said);
	p->domain = d;
	presets(p, DOMAIN, DOMAIN, (char *)d);
	for (to = &p->server->domains; *to != NULL; to = &(*to)->next)
		;
	*to = d;
	if (braces)
		block_body(p, DOMAIN, line);
	p->domain = NULL;
}

static void
open_server(struct parser *p)
{
	struct server *s = keep(p->config, sizeof *s), **to;
	int line = p->line;

	if (p->count != 2)
		complain(p, p->line, "server: wants one name, in quotes if it has spaces");
	s->name = p->count > 1 ? p->words[1] : keep_text(p->config, "");
	s->place = (struct place){ p->file, p->line };
	s->config = p->config;
	s->said = keep(p->config, settings_count * sizeof *s->said);
	presets(p, GENERAL, SECURITY, (char *)s);
	for (to = &p->config->servers; *to != NULL; to = &(*to)->next)
		;
	*to = s;
	p->server = s;
	block_body(p, SERVER, line);
	s->end = (size_t)(p->at - p->text);
	p->server = NULL;
}

/* A statement that opens a block, words before the brace in p->words. */
static void
open_block(struct parser *p, enum block in)
{
	enum block b = GENERAL;
	int line = p->line;

	if (in == TOP && p->count > 0 && strcmp(p->words[0], "server") == 0) {
		open_server(p);
		return;
	}
	if (in == SERVER && p->count > 0 && strcmp(p->words[0], "domain") == 0) {
		open_domain(p, true);
		return;
	}
	while (b <= SECURITY && (p->count == 0 || strcmp(block_name[b], p->words[0]) != 0))
		b++;
	if (in != SERVER || b > SECURITY || p->count != 1) {
		complain(p, p->line, "'%s' opens no block in %s; expected %s",
		    p->count ? shown(p->words[0]) : "{", block_name[in], in == TOP ? "server NAME {" :
		    in == SERVER ? "general, access, messages, delivery, ldap-routing, security or domain" : "}");
		if (b > SECURITY || p->server == NULL)
			b = in;		/* read on as if it were the block around it */
	}
	block_body(p, b, line);
}

static void
open_include(struct parser *p)
{
	if (p->count != 2)
		complain(p, p->line, "include: wants one file");
	else
		file_read(p, p->words[1]);
}

static void
one_statement(struct parser *p, enum block block)
{
	if (block == TOP && strcmp(p->words[0], "include") == 0)
		open_include(p);
	else if (block == SERVER && strcmp(p->words[0], "domain") == 0)
		open_domain(p, false);
	else if (block == SERVER)
		complain(p, p->line, "'%s' is not in a block; expected general, access, messages, "
		    "delivery, ldap-routing, security or domain", shown(p->words[0]));
	else if (block == TOP && strcmp(p->words[0], "server") == 0)
		complain(p, p->line, "server: wants a name and a block: server NAME { ... }");
	else
		directive(p, block);
}

static void
block_body(struct parser *p, enum block block, int opened)
{
	enum lexeme l;

	if (++p->depth > DEPTH_MAX) {
		complain(p, p->line, "blocks in blocks in blocks; the rest is not read");
		p->at = p->end;
	}
	while ((l = statement(p)) != L_END && (l != L_CLOSE || p->depth == 1)) {
		if (l == L_OPEN)
			open_block(p, block);
		else if (l == L_CLOSE)
			complain(p, p->line, "'}' closes nothing");
		else
			one_statement(p, block);
	}
	if (l == L_END && p->count > 0)
		one_statement(p, block);
	if (l == L_END && p->depth > 1)
		complain(p, p->line, "end of file inside the %s block opened on line %d",
		    block_name[block], opened);
	p->depth--;
}

/* ---- files ------------------------------------------------------------------------------ */

static void
text_read(struct parser *p, const char *name, const char *text, size_t n)
{
	struct parser inner = *p;

	inner.file = keep_text(p->config, name);
	inner.text = inner.at = text;
	inner.end = text + n;
	inner.row = inner.line = 1;
	inner.depth = 0;
	if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
		inner.at += 3;		/* editors of another world begin with it */
	if (memchr(text, '\0', n) != NULL)
		complain(&inner, 1, "this is no text file");
	else
		block_body(&inner, TOP, 0);
}

const char *
config_text(const char *file, struct buf *text)
{
	char part[4096];
	FILE *f = fopen(file, "r");
	const char *why = f == NULL ? strerror(errno) : NULL;
	size_t n;

	while (why == NULL && (n = fread(part, 1, sizeof part, f)) > 0)
		if (text->len > FILE_OCTETS || buf_add(text, part, n) == -1)
			why = "is too large";
	if (f != NULL && ferror(f))
		why = strerror(errno);
	if (f != NULL)
		fclose(f);
	return why;
}

/* Read a file, at top level; p->file is the one that asks for it, or NULL. */
static void
file_read(struct parser *p, const char *file)
{
	struct buf read = { 0 };
	const struct buf *text = &read;
	const char *why = NULL;

	if (++p->config->files > FILES_MAX)
		why = "is one file too many; does it include itself?";
	else if (p->instead != NULL && strcmp(file, p->instead) == 0)
		text = p->with;
	else
		why = config_text(file, &read);
	if (why == NULL)
		text_read(p, file, text->data ? text->data : "", text->len);
	else if (p->file != NULL)
		complain(p, p->line, "%s: %s", shown(file), why);
	else {
		log_line("%s: %s", shown(file), why);
		p->config->errors++;
	}
	buf_free(&read);
}

char *
config_host(char out[CONFIG_HOST])
{
	if (gethostname(out, CONFIG_HOST - 1) == -1)
		out[0] = '\0';
	out[CONFIG_HOST - 1] = '\0';
	if (!domain_valid(out, strlen(out)))
		memcpy(out, "localhost", 10);
	return out;
}

static void
embedded_read(struct parser *p)
{
	char host[CONFIG_HOST], text[sizeof embedded + CONFIG_HOST + 80];
	int n;

	config_host(host);
	n = snprintf(text, sizeof text, embedded, host,
	    text_compare(host, "localhost") == 0 ? "" : "    domain localhost alias\n");
	text_read(p, "built-in", text, (size_t)n);
}

/* ---- what must hold between settings ------------------------------------------------------ */

const struct place *
config_said(const struct place *said, enum block block, const char *name, const struct place *otherwise)
{
	for (size_t i = 0; i < settings_count; i++)
		if (settings[i].block == block && strcmp(settings[i].name, name) == 0 && said[i].line != 0)
			return &said[i];
	return otherwise;
}

static const struct place *
place_of(const struct server *s, enum block block, const char *name)
{
	return config_said(s->said, block, name, &s->place);
}

static bool
addr_clash(const struct addr *a, const struct addr *b)
{
	return a->port == b->port && a->port != 0 && a->family == b->family &&
	    (addr_same(a, b) || addr_any(a) || addr_any(b));
}

static void
check_listeners(struct parser *p, const struct server *s, const struct listen *l)
{
	char text[ADDR_TEXT + 8];

	for (const struct server *t = p->config->servers; t != NULL; t = t->next)
		for (const struct listen *m = t->listen; m != NULL; m = m->next) {
			if (m == l)
				return;		/* each pair once */
			if (addr_clash(&l->addr, &m->addr))
				fault(p, &l->place, "\"%s\" cannot listen on %s: %s:%d does already",
				    shown(s->name), addr_text_port(&l->addr, text), m->place.file, m->place.line);
		}
}

static void
check_domain(struct parser *p, struct server *s, struct domain *d)
{
	const char *name = d->name;

	if (d->kind == DOMAIN_REMOTE && strncmp(name, "*.", 2) == 0)
		name += 2;
	if (!domain_valid(name, strlen(name)))
		fault(p, &d->place, "domain: '%s' is no domain name%s", shown(d->name),
		    strncmp(d->name, "*.", 2) == 0 ? "; only a remote one can be a wildcard" : "");
	for (const struct domain *e = s->domains; e != d; e = e->next)
		if (text_compare(e->name, d->name) == 0)
			fault(p, &d->place, "domain '%s' stands on line %d already", shown(d->name), e->place.line);
	for (size_t i = 0; i < settings_count; i++) {
		size_t at = settings[i].offset;
		bool remote = at != offsetof(struct domain, drop) && at != offsetof(struct domain, quota) &&
		    at != offsetof(struct domain, recipients) && at != offsetof(struct domain, aliases);

		if (d->said[i].line != 0 && remote != (d->kind == DOMAIN_REMOTE))
			fault(p, &d->said[i], "'%s' belongs in a %s domain", settings[i].name,
			    remote ? "remote" : "default");
		else if (d->said[i].line != 0 && d->kind == DOMAIN_ALIAS)
			fault(p, &d->said[i], "an alias has no settings of its own");
	}
	if (d->hold_accounts != NULL && !d->hold)
		fault(p, &d->place, "hold-accounts: mail for '%s' is not held; say 'hold yes'", shown(d->name));
	if (d->helo_only && !d->hold && d->smart_host == NULL && s->smart_host != NULL && !s->direct_first)
		fault(p, &d->place, "helo-only: '%s' has no smart-host of its own, so its mail goes to the server's", shown(d->name));
	if (d->kind != DOMAIN_DEFAULT)
		return;
	if (s->home != NULL)
		fault(p, &d->place, "a second default domain; the first stands on line %d", s->home->place.line);
	else
		s->home = d;
}

/* Does this folder, relative to the mailroot, lie in one that is ours? */
static void
check_folder(struct parser *p, const struct place *where, const char *name, const char *folder)
{
	static const char *const ours[] = { "Pickup", "SortTemp", "Queue" };
	size_t n;

	while (strncmp(folder, "./", 2) == 0)
		folder += 2;
	for (size_t i = 0; i < 3; i++) {
		n = strlen(ours[i]);
		if (strncmp(folder, ours[i], n) == 0 && (folder[n] == '\0' || folder[n] == '/'))
			fault(p, where, "%s: '%s' would lie in %s, where mail would be taken for something else",
			    name, shown(folder), ours[i]);
	}
}

/* Where mail for our own domains goes, and who has any. */
static void
check_home(struct parser *p, const struct server *s, struct domain *d)
{
	const char *folder = d->drop, *name;

	if (strncmp(folder, "maildir:", 8) == 0) {
		d->maildir = folder += 8;
		if ((name = strchr(folder, '%')) != NULL && (name[1] != 'u' || strchr(name + 1, '%') != NULL))
			fault(p, &d->place, "drop: '%s': one %%u can stand in it, for the recipient's name, and no other %%", shown(folder));
		else if (name != NULL && (name[-1] != '/' || name - folder < 2 || (name[2] != '/' && name[2] != '\0')))
			fault(p, &d->place, "drop: %%u is a folder's whole name, in a folder, such as maildir:Mail/%%u");
		else if (name != NULL && d->recipients == NULL)
			fault(p, &d->place, "drop: %%u needs 'recipients FILE', for only who stands there can have a folder");
		else if (*folder == '\0')
			fault(p, &d->place, "drop: 'maildir:' wants a folder");
	}
	check_folder(p, &d->place, "drop", folder);
	if (strcmp(s->badmail, folder) == 0)
		fault(p, &d->place, "drop and badmail are the same folder");
	if (d->recipients != NULL || d->aliases != NULL)
		d->names = names_read(d->recipients, d->aliases, d->maildir != NULL && strchr(d->maildir, '%') != NULL,
		    s->domains, &p->config->errors);
}

/* Each log has a folder of its own. */
static void
check_log(struct parser *p, const struct server *s)
{
	static const char *const mine[] = { "log-fields", "log-local-time" };
	const struct place *where = place_of(s, GENERAL, "log");

	if (s->log.format == LOG_NONE)
		return;
	check_folder(p, where, "log", s->log.folder);
	if (strcmp(s->log.folder, s->badmail) == 0 || (s->home != NULL && strcmp(s->log.folder, s->home->drop) == 0))
		fault(p, where, "log: '%s' is a folder for mail; the log has its own", shown(s->log.folder));
	for (const struct server *t = p->config->servers; t != s; t = t->next)
		if (t->log.format != LOG_NONE && s->log.folder[0] == '/' && strcmp(t->log.folder, s->log.folder) == 0)
			fault(p, where, "log: '%s' is server \"%s\"'s already; each has its own", shown(s->log.folder), shown(t->name));
	for (size_t i = 0; s->log.format != LOG_W3C && i < sizeof mine / sizeof *mine; i++)
		if (place_of(s, GENERAL, mine[i]) != &s->place)
			fault(p, place_of(s, GENERAL, mine[i]), "%s: only a w3c log can choose", mine[i]);
}

static void
check_copy_to(struct parser *p, struct server *s)
{
	struct path to;

	if (s->ndr_copy_to == NULL || s->home == NULL)
		return;
	if (path_parse(&to, s->ndr_copy_to) == 0 && to.text[0] != '\0' &&
	    (to.domain != NULL || path_complete(&to, s->home->name) == 0))
		s->ndr_copy_to = keep_text(p->config, to.text);
	else
		fault(p, place_of(s, MESSAGES, "ndr-copy-to"), "ndr-copy-to: '%s' is no address", shown(s->ndr_copy_to));
}

static void
check_server(struct parser *p, struct server *s)
{
	char host[CONFIG_HOST];
	struct listen *l;
	struct domain *d;
	int held = 0;

	if (s->listen == NULL) {
		char *word = (char *)(uintptr_t)"127.0.0.1:2525";

		p->file = s->place.file;
		p->line = s->place.line;
		value_listeners(p, &word, 1, &s->listen);
	}
	if (s->hostname == NULL) {
		config_host(host);
		s->hostname = keep_text(p->config, host);
	}
	for (const struct server *t = p->config->servers; t != s; t = t->next) {
		if (strcmp(t->name, s->name) == 0)
			fault(p, &s->place, "server \"%s\" stands on line %d already", shown(s->name), t->place.line);
		if (strcmp(t->mailroot, s->mailroot) == 0)
			fault(p, place_of(s, GENERAL, "mailroot"), "mailroot '%s' is server \"%s\"'s already; each has its own",
			    shown(s->mailroot), shown(t->name));
	}
	for (l = s->listen; l != NULL; l = l->next)
		check_listeners(p, s, l);
	for (d = s->domains; d != NULL; d = d->next) {
		check_domain(p, s, d);
		held |= d->hold ? EXT_ETRN : 0;
		held |= d->hold_accounts != NULL ? EXT_ATRN | EXT_TURN : 0;
	}
	s->useless = (EXT_ETRN | EXT_ATRN | EXT_TURN) & ~held;
	if (s->home == NULL)
		fault(p, &s->place, "server \"%s\" has no default domain; add 'domain NAME default'", shown(s->name));
	else
		check_home(p, s, s->home);
	check_folder(p, place_of(s, MESSAGES, "badmail"), "badmail", s->badmail);
	if (!domain_valid(s->hostname, strlen(s->hostname)))
		fault(p, place_of(s, GENERAL, "hostname"), "hostname: '%s' is no host name", shown(s->hostname));
	if (!s->relay.only && !s->open_relay)
		fault(p, place_of(s, ACCESS, "relay"), "relay all-except: this is an open relay, which spammers find "
		    "within hours; if that is meant, say 'open-relay yes'");
	if (s->masquerade != NULL && !domain_valid(s->masquerade, strlen(s->masquerade)))
		fault(p, place_of(s, DELIVERY, "masquerade"), "masquerade: '%s' is no domain name", shown(s->masquerade));
	if (s->direct_first && s->smart_host == NULL)
		fault(p, place_of(s, DELIVERY, "direct-first"), "direct-first: there is no smart-host to come second");
	check_log(p, s);
	check_copy_to(p, s);
	if (s->max_session < s->max_size)
		fault(p, place_of(s, MESSAGES, "max-session"), "max-session is smaller than max-size");
}

static struct config *
load(struct parser *p, const char *file)
{
	struct config *c = memory(NULL, sizeof *c);

	if (c == NULL)
		die(71, "out of memory while reading the configuration");
	memset(c, 0, sizeof *c);
	p->config = c;
	config_hold(c);
	c->said = keep(c, settings_count * sizeof *c->said);
	presets(p, TOP, TOP, (char *)c);
	if (file != NULL)
		file_read(p, file);
	else
		embedded_read(p);
	for (struct server *s = c->servers; s != NULL; s = s->next)
		check_server(p, s);
	if (c->servers == NULL && c->errors == 0 && p->why == NULL) {
		log_line("%s: no server block; the smallest file is: server NAME { domain NAME default }", file);
		c->errors++;
	}
	if (c->errors == 0)
		return c;
	if (c->errors > ERRORS_SHOWN && p->why == NULL)
		log_line("%s: and %d mistakes more", file, c->errors - ERRORS_SHOWN);
	config_release(c);
	return NULL;
}

struct config *
config_load(const char *file)
{
	struct parser p;

	memset(&p, 0, sizeof p);
	return load(&p, file);
}

struct config *
config_try(const char *file, const char *instead, const struct buf *with, char *why, size_t size)
{
	struct parser p;

	memset(&p, 0, sizeof p);
	p.instead = instead;
	p.with = with;
	p.why = why;
	p.why_size = size;
	return load(&p, file);
}

/* ---- questions ------------------------------------------------------------------------------ */

struct place
config_place(const struct config *c, const char *name)
{
	return *config_said(c->said, TOP, name, &(struct place){ "built-in", 0 });
}

const struct domain *
config_domain(const struct server *s, const char *name)
{
	const struct domain *d, *wild = NULL;
	size_t n = strlen(name), longest = 0;

	for (d = s->domains; d != NULL; d = d->next) {
		size_t m = strlen(d->name);

		if (text_compare(d->name, name) == 0)
			return d;
		if (d->name[0] == '*' && n >= m && m > longest &&
		    text_compare(d->name + 1, name + n - m + 1) == 0) {
			wild = d;
			longest = m;
		}
	}
	return wild;
}

int
config_folder(const struct server *s, enum folder f, char out[FOLDER_SIZE])
{
	const char *name = f == PICKUP ? "Pickup" : f == SORTTEMP ? "SortTemp" : f == QUEUE ? "Queue" :
	    f == BADMAIL ? s->badmail : s->home->maildir ? s->home->maildir : s->home->drop;
	size_t up = f == DROP && s->home->maildir ? strcspn(name, "%") : strlen(name);
	int length = (int)(name[up] ? up - 1 : up);	/* what is above "/%u" */
	int n = *name == '/' ? snprintf(out, FOLDER_SIZE, "%.*s", length, name) :
	    snprintf(out, FOLDER_SIZE, "%s/%.*s", s->mailroot, length, name);

	errno = ENAMETOOLONG;
	return n < 0 || n >= FOLDER_SIZE ? -1 : 0;
}

bool
domain_local(const struct domain *d)
{
	return d != NULL && d->kind != DOMAIN_REMOTE;
}

int
extensions_hidden(int hidden)
{
	if (hidden & EXT_CHUNKING)
		hidden |= EXT_BINARYMIME;	/* which is nothing without it */
	if (hidden & EXT_8BITMIME)	/* which brings BODY; and RFC 6531 3.1 item 7 */
		hidden |= EXT_BINARYMIME | EXT_SMTPUTF8;
	return hidden;
}

bool
config_offers(const struct server *s, int extension)
{
	return !(extensions_hidden(s->hidden | s->useless) & extension);
}

bool
config_local(const struct server *s, const char *address)
{
	const char *at = strrchr(address, '@');

	return at == NULL || domain_local(config_domain(s, at + 1));
}

bool
config_collects(const struct server *s, const char *domain, const char *account)
{
	const struct domain *d = config_domain(s, domain);
	const struct name *n = d != NULL && d->hold ? d->hold_accounts : NULL;

	if (d == NULL || !d->hold || account == NULL)
		return d != NULL && d->hold && n == NULL;
	while (n != NULL && strcmp(n->text, account) != 0)
		n = n->next;
	return n != NULL;
}

long long
config_expires(const struct server *s, long long arrival, bool local)
{
	return arrival + (local ? s->local_expire : s->expire) / 1000;
}

long long
config_notifies(const struct server *s, long long arrival, bool local)
{
	msec notify = local ? s->local_notify : s->notify;

	return notify == UNLIMITED ? LLONG_MAX : arrival + notify / 1000;
}

/* Attempts are counted from the arrival, so a restart finds its place again. */
long long
config_attempt_after(const struct server *s, long long arrival, bool glitch, long long second)
{
	long long t = arrival, every;

	for (long long i = 0; glitch && i < s->glitch_retry[1]; i++)
		if ((t += s->glitch_retry[0] / 1000) > second)
			return t;
	for (int i = 0; s->retry[i] != 0; i++)
		if ((t += s->retry[i] / 1000) > second)
			return t;
	for (every = 0; s->retry[every + 1] != 0; every++)
		;
	every = s->retry[every] / 1000;
	return t + ((second - t) / every + 1) * every;
}

long long
config_attempt(const struct server *s, long long arrival, bool glitch)
{
	return config_attempt_after(s, arrival, glitch, now.wall / 1000);
}

char *
config_where(char out[WHERE_SIZE], const struct server *s, const char *name)
{
	for (size_t i = 0; i < settings_count; i++)
		if (settings[i].block == DOMAIN && strcmp(settings[i].name, name) == 0 && s->home->said[i].line)
			return config_where_row(out, s, s->home, name);
	return config_where_row(out, s, NULL, name);
}

char *
config_where_row(char out[WHERE_SIZE], const struct server *s, const struct domain *row, const char *name)
{
	const struct place *said = row != NULL ? row->said : s->said;

	for (size_t i = 0; i < settings_count; i++) {
		if ((settings[i].block == DOMAIN) == (row != NULL) && strcmp(settings[i].name, name) == 0 && said[i].line) {
			snprintf(out, WHERE_SIZE, "%s (%s:%d)", name, said[i].file, said[i].line);
			return out;
		}
	}
	snprintf(out, WHERE_SIZE, "%s (default)", name);
	return out;
}
