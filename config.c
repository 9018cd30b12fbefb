/*
 * config.c - what the operator wrote, checked, and never changed afterwards.
 *
 * One table holds every directive; it drives parsing, `smtpd explain`, the
 * sample configuration and the manual page, so none of them can disagree.
 *
 *	text -> words (lex) -> statements (parse) -> values (the table's kinds)
 *	     -> what must hold between them (check)
 *
 * Every mistake is reported, and a configuration with one is not used.  All
 * that hangs on a configuration is freed with it: see keep().
 */
#include "smtpd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_OCTETS   (1 << 20)	/* of a configuration file */
#define WORDS_MAX     512	/* on a line */
#define FILES_MAX     64	/* read for one configuration */
#define DEPTH_MAX     8		/* of blocks in blocks; three are of use */
#define ERRORS_SHOWN  100
#define NAME_OCTETS   256	/* of the host's own name */

/* ---- the table ------------------------------------------------------------- */

enum block {
	TOP, SERVER, GENERAL, ACCESS, MESSAGES, DELIVERY, LDAP, SECURITY, DOMAIN, BLOCKS
};

static const char *const block_name[BLOCKS] = {
	"top level", "server", "general", "access", "messages", "delivery",
	"ldap-routing", "security", "domain"
};

enum kind {
	YESNO, NUMBER, SIZE, TIME, TEXT, WORD, ADDRESSES, LISTENER, EXTENSIONS,
	LATER			/* planned, and refused until it has effect */
};

struct setting {
	enum block block;
	enum kind kind;
	const char *name;
	size_t offset;		/* in struct server, or in struct domain */
	const char *preset;	/* the default as it would be written; NULL: see text */
	long long min, max;	/* of numbers, sizes and times */
	const char *words;	/* what a WORD can be */
	const char *label;	/* the model's tab and label */
	const char *text;
};

#define S(member) offsetof(struct server, member)
#define D(member) offsetof(struct domain, member)
#define DAY (86400 * 1000LL)
#define LATER_IN(block, name) { block, LATER, name, 0, NULL, 0, 0, NULL, NULL, NULL }

static const struct setting settings[] = {
	LATER_IN(TOP, "resolver"), LATER_IN(TOP, "hosts"), LATER_IN(TOP, "user"),
	LATER_IN(TOP, "chroot"), LATER_IN(TOP, "control"), LATER_IN(TOP, "operators"),
	LATER_IN(TOP, "metrics"),

	{ GENERAL, LISTENER, "listen", S(listen), "127.0.0.1:2525", 0, 0, NULL,
	  "General: IP address, Advanced...",
	  "Where the server listens: address and port, IPv6 in brackets. Repeat it, or give several. "
	  "With port 0 the system picks one, and the line that announces it says which. "
	  "The model listened on all addresses, port 25; this one asks to be told." },
	{ GENERAL, TEXT, "hostname", S(hostname), NULL, 0, 0, NULL,
	  "Delivery: Advanced, Fully-qualified domain name",
	  "The name by which the server greets and signs its Received fields. The default is the host's own name." },
	{ GENERAL, TEXT, "mailroot", S(mailroot), "mailroot", 0, 0, NULL,
	  "the wizard's home directory",
	  "The directory of the five folders Pickup, SortTemp, Queue, Drop and Badmail; made when missing. "
	  "Relative to the directory the server is started in. Each server has its own." },
	{ GENERAL, NUMBER, "connections", S(connections), "1000", 1, UNLIMITED, NULL,
	  "General: Limit number of connections to",
	  "How many clients can be connected at once. One more is answered 421 and closed." },
	{ GENERAL, NUMBER, "connections-per-client", S(connections_per_client), "unlimited", 1, UNLIMITED, NULL,
	  "not in the model",
	  "How many of them can come from one address. One more is answered 421 and closed." },
	{ GENERAL, TIME, "timeout", S(timeout), "10m", 1000, 30 * DAY, NULL,
	  "General: Connection time-out (minutes)",
	  "How long a client may take for a whole command line, or be silent within a message, before it is answered 421 and closed." },
	LATER_IN(GENERAL, "log"), LATER_IN(GENERAL, "log-fields"),
	LATER_IN(GENERAL, "log-local-time"), LATER_IN(GENERAL, "start"),

	{ ACCESS, ADDRESSES, "connect", S(connect), "all-except", 0, 0, NULL,
	  "Access: Connection control",
	  "Who may connect: 'only' those listed, or 'all-except' those listed. An entry is an address or a network such as 192.0.2.0/24. "
	  "Anybody else is greeted with 554 and closed." },
	{ ACCESS, ADDRESSES, "relay", S(relay), "only", 0, 0, NULL,
	  "Access: Relay restrictions",
	  "Who may send to domains that are not ours: 'only' those listed (by default nobody), or 'all-except' those listed, "
	  "which makes an open relay and needs 'open-relay yes' beside it. Others get 550 5.7.1 for each such recipient." },
	{ ACCESS, YESNO, "open-relay", S(open_relay), "no", 0, 0, NULL,
	  "not in the model",
	  "Says that 'relay all-except' is meant." },
	LATER_IN(ACCESS, "authenticate"), LATER_IN(ACCESS, "clear-text-passwords"),
	LATER_IN(ACCESS, "passwords"), LATER_IN(ACCESS, "certificate"),
	LATER_IN(ACCESS, "require-tls"), LATER_IN(ACCESS, "tls-minimum"),
	LATER_IN(ACCESS, "relay-authenticated"), LATER_IN(ACCESS, "tarpit"),

	{ MESSAGES, SIZE, "max-size", S(max_size), "32M", 1024, UNLIMITED, NULL,
	  "Messages: Limit message size to (KB)",
	  "The largest message accepted, by SMTP (which announces it as SIZE) or from Pickup. "
	  "The model's 2 MB is smaller than a photograph." },
	{ MESSAGES, SIZE, "max-session", S(max_session), "unlimited", 1024, UNLIMITED, NULL,
	  "Messages: Limit session size to (KB)",
	  "How many octets of messages one connection may bring; after that the next MAIL is answered 421, and the client comes again. "
	  "Off unlike in the model, for no client can discover it." },
	{ MESSAGES, NUMBER, "max-recipients", S(max_recipients), "1000", 1, 10000, NULL,
	  "Messages: Limit number of recipients per message to",
	  "Recipients of one message, 10000 at most; one more is answered 452 4.5.3, and the client sends him another copy. "
	  "RFC 5321 asks for 100 at least." },
	{ MESSAGES, TEXT, "badmail", S(badmail), "Badmail", 0, 0, NULL,
	  "Messages: Badmail directory",
	  "The folder for what can be neither delivered nor returned, relative to the mailroot. It must be on the same file system." },
	{ MESSAGES, WORD, "line-endings", S(line_endings), "normalize", 0, 0, "normalize reject",
	  "not in the model",
	  "What to do with a line that ends in LF alone: take it as a line's end and store CR LF (never as the end of a message), "
	  "or refuse it with 550 5.5.2 and close; a message that came by BDAT, whose end is known, is refused without closing." },
	{ MESSAGES, EXTENSIONS, "extensions", S(hidden), "", 0, 0, NULL,
	  "metabase: SmtpInboundCommandSupportOptions",
	  "Extensions not to offer, each with a minus: -PIPELINING -SIZE -8BITMIME -BINARYMIME -CHUNKING -SMTPUTF8 -DSN -ENHANCEDSTATUSCODES -LIMITS -HELP." },
	LATER_IN(MESSAGES, "per-connection"), LATER_IN(MESSAGES, "ndr-copy-to"),
	LATER_IN(MESSAGES, "badmail-limit"),

	{ DELIVERY, TIME, "local-retry", S(local_retry), "1h", 1000, 30 * DAY, NULL,
	  "metabase: LocalRetryInterval",
	  "How long mail waits in Queue when its Drop folder is full or cannot be written, before the next attempt." },
	{ DELIVERY, NUMBER, "max-hops", S(max_hops), "30", 1, 1000, NULL,
	  "Delivery: Advanced, Maximum hop count",
	  "A message with more Received fields than this is going round in circles and is answered 554 5.4.6. "
	  "The model's 15 was too few for real mail; RFC 5321 6.3 asks for a large number." },
	LATER_IN(DELIVERY, "retry"), LATER_IN(DELIVERY, "glitch-retry"), LATER_IN(DELIVERY, "notify"),
	LATER_IN(DELIVERY, "expire"), LATER_IN(DELIVERY, "local-notify"), LATER_IN(DELIVERY, "local-expire"),
	LATER_IN(DELIVERY, "authenticate"), LATER_IN(DELIVERY, "tls"), LATER_IN(DELIVERY, "connections"),
	LATER_IN(DELIVERY, "connections-per-domain"), LATER_IN(DELIVERY, "timeout"), LATER_IN(DELIVERY, "port"),
	LATER_IN(DELIVERY, "masquerade"), LATER_IN(DELIVERY, "smart-host"), LATER_IN(DELIVERY, "direct-first"),
	LATER_IN(DELIVERY, "reverse-dns"),

	LATER_IN(LDAP, "server"), LATER_IN(LDAP, "schema"), LATER_IN(LDAP, "bind"), LATER_IN(LDAP, "domain"),
	LATER_IN(LDAP, "user"), LATER_IN(LDAP, "password"), LATER_IN(LDAP, "base"), LATER_IN(LDAP, "filter"),
	LATER_IN(SECURITY, "operators"),

	{ DOMAIN, TEXT, "drop", D(drop), "Drop", 0, 0, NULL,
	  "Local domain: Drop directory",
	  "The folder where mail for this domain and its aliases is delivered, relative to the mailroot. In the default domain only." },
	{ DOMAIN, SIZE, "quota", D(quota), "unlimited", 1024, UNLIMITED, NULL,
	  "Local domain: Enable drop directory quota",
	  "How many octets the drop folder may hold. Beyond it recipients are answered 452 4.2.2 and mail already accepted waits in Queue. "
	  "Off unlike in the model, whose 20 MB surprised people." },
	{ DOMAIN, YESNO, "allow-relay", D(allow_relay), "no", 0, 0, NULL,
	  "Remote domain: Allow incoming mail to be relayed to this domain",
	  "Lets anybody send to this remote domain, whatever 'relay' says." },
	LATER_IN(DOMAIN, "recipients"), LATER_IN(DOMAIN, "aliases"), LATER_IN(DOMAIN, "smart-host"),
	LATER_IN(DOMAIN, "helo-only"), LATER_IN(DOMAIN, "authenticate"), LATER_IN(DOMAIN, "tls"),
	LATER_IN(DOMAIN, "hold"), LATER_IN(DOMAIN, "hold-accounts"), LATER_IN(DOMAIN, "extensions"),
};

#define SETTINGS (sizeof settings / sizeof *settings)

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
config_free(struct config *c)
{
	struct memo *m, *next;

	if (c == NULL)
		return;
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
	const char *at, *end;
	int row;			/* of the cursor */
	int line;			/* where the statement began */
	int depth;			/* of open blocks */
	struct server *server;		/* the block we are in, or NULL */
	struct domain *domain;
	char *words[WORDS_MAX];
	int count;
};

static void
complain_at(struct parser *p, const char *file, int line, const char *format, va_list ap)
{
	char text[600];

	vsnprintf(text, sizeof text, format, ap);
	if (++p->config->errors <= ERRORS_SHOWN)
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

/* ---- the nearest name ------------------------------------------------------------ */

/* Levenshtein distance, for words short enough; else far. */
static int
distance(const char *a, const char *b)
{
	int row[64], n = (int)strlen(b);

	if (n >= 64 || strlen(a) >= 64)
		return 99;
	for (int j = 0; j <= n; j++)
		row[j] = j;
	for (int i = 1; *a != '\0'; a++, i++) {
		int corner = row[0];

		row[0] = i;
		for (int j = 1; j <= n; j++) {
			int best = corner + (*a != b[j - 1]);

			corner = row[j];
			if (best > row[j] + 1)
				best = row[j] + 1;
			row[j] = best > row[j - 1] + 1 ? row[j - 1] + 1 : best;
		}
	}
	return row[n];
}

/* The name in this block that is nearest to a misspelt one, or NULL. */
static const char *
nearest(enum block block, const char *word)
{
	const char *best = NULL;
	int least = strlen(word) < 5 ? 2 : 4;

	for (size_t i = 0; i < SETTINGS; i++)
		if (settings[i].block == block && distance(word, settings[i].name) < least) {
			best = settings[i].name;
			least = distance(word, best);
		}
	return best;
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
value_addresses(struct parser *p, const struct setting *s, char **words, int n, struct access *to)
{
	int mode;
	bool before = to->list != NULL;

	if (value_word(p, s, "only all-except", words[0], &mode) == -1)
		return;
	if (before && to->only != (mode == 0))
		complain(p, p->line, "%s: both 'only' and 'all-except' cannot hold", s->name);
	to->only = mode == 0;
	for (int i = 1; i < n; i++) {
		struct network *net = keep(p->config, sizeof *net);

		if (words[i][0] == '.') {
			complain(p, p->line, "%s: '%s': domain names in a list are not in this build yet",
			    s->name, shown(words[i]));
			continue;
		}
		if (network_parse(net, words[i]) == -1)
			complain(p, p->line, "%s: '%s' is no address and no network (such as 192.0.2.0/24 or 2001:db8::/32)",
			    s->name, shown(words[i]));
		net->next = to->list;
		to->list = net;
	}
}

static void
value_listeners(struct parser *p, char **words, int n, struct listen **to)
{
	while (*to != NULL)
		to = &(*to)->next;
	for (int i = 0; i < n; i++) {
		struct listen *l = keep(p->config, sizeof *l);

		if (word_index("tls submission proxy-from", words[i]) != -1) {
			complain(p, p->line, "listen: '%s' is not in this build yet", words[i]);
			continue;
		}
		if (addr_parse(&l->addr, words[i], true) == -1)
			complain(p, p->line, "listen: '%s' is no address and port (such as 127.0.0.1:25 or [::1]:25)",
			    shown(words[i]));
		l->place = (struct place){ p->file, p->line };
		*to = l;
		to = &l->next;
	}
}

static void
value_extensions(struct parser *p, char **words, int n, int *hidden)
{
	static const char names[] = "-PIPELINING -SIZE -8BITMIME -BINARYMIME -CHUNKING "
	    "-SMTPUTF8 -DSN -ENHANCEDSTATUSCODES -LIMITS -HELP";

	for (int i = 0; i < n; i++) {
		int bit = word_index(names, words[i]);

		if (bit == -1)
			complain(p, p->line, "extensions: '%s' is none of: %s", shown(words[i]), names);
		else
			*hidden |= 1 << bit;
	}
}

static bool
takes_many(const struct setting *s)
{
	return s->kind == ADDRESSES || s->kind == LISTENER || s->kind == EXTENSIONS;
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
	case LATER:
		break;
	}
}

/* Give every setting of a block's struct its default. */
static void
presets(struct parser *p, enum block from, enum block to, char *base)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];
		char *word = (char *)(uintptr_t)s->preset;	/* never written to */

		/* Listeners are added up, so theirs waits until none was given. */
		if (s->block < from || s->block > to || s->preset == NULL ||
		    s->kind == LISTENER || *s->preset == '\0')
			continue;
		value_set(p, s, &word, 1, base);
	}
}

/* ---- statements ---------------------------------------------------------------------- */

static void
unknown(struct parser *p, enum block block, const char *name)
{
	const char *near = nearest(block, name);

	for (size_t i = 0; i < SETTINGS; i++)
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
	char *base = block == DOMAIN ? (char *)p->domain : (char *)p->server;
	struct place *said;
	const struct setting *s;
	size_t i;

	for (i = 0; i < SETTINGS; i++)
		if (settings[i].block == block && strcmp(settings[i].name, p->words[0]) == 0)
			break;
	if (i == SETTINGS) {
		unknown(p, block, p->words[0]);
		return;
	}
	s = &settings[i];
	if (s->kind == LATER) {
		complain(p, p->line, "'%s' is not in this build yet", s->name);
		return;
	}
	said = block == DOMAIN ? p->domain->said : p->server->said;	/* at top level all are LATER */
	if (said[i].line != 0 && !takes_many(s)) {
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
	d->said = keep(p->config, SETTINGS * sizeof *d->said);
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
	s->said = keep(p->config, SETTINGS * sizeof *s->said);
	presets(p, GENERAL, SECURITY, (char *)s);
	for (to = &p->config->servers; *to != NULL; to = &(*to)->next)
		;
	*to = s;
	p->server = s;
	block_body(p, SERVER, line);
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
	inner.at = text;
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

/* Read a file, at top level; p->file is the one that asks for it, or NULL. */
static void
file_read(struct parser *p, const char *file)
{
	char part[4096];
	struct buf text = { 0 };
	FILE *f = fopen(file, "r");
	const char *why = f == NULL ? strerror(errno) : NULL;
	size_t n;

	if (++p->config->files > FILES_MAX)
		why = "is one file too many; does it include itself?";
	while (why == NULL && (n = fread(part, 1, sizeof part, f)) > 0)
		if (text.len > FILE_OCTETS || buf_add(&text, part, n) == -1)
			why = "is too large";
	if (f != NULL && ferror(f))
		why = strerror(errno);
	if (f != NULL)
		fclose(f);
	if (why == NULL)
		text_read(p, file, text.data ? text.data : "", text.len);
	else if (p->file != NULL)
		complain(p, p->line, "%s: %s", shown(file), why);
	else {
		log_line("%s: %s", shown(file), why);
		p->config->errors++;
	}
	buf_free(&text);
}

static void
host_name(char out[NAME_OCTETS])
{
	if (gethostname(out, NAME_OCTETS - 1) == -1)
		out[0] = '\0';
	out[NAME_OCTETS - 1] = '\0';
	if (!domain_valid(out, strlen(out)))
		memcpy(out, "localhost", 10);
}

static void
embedded_read(struct parser *p)
{
	char host[NAME_OCTETS], text[sizeof embedded + NAME_OCTETS + 80];
	int n;

	host_name(host);
	n = snprintf(text, sizeof text, embedded, host,
	    text_compare(host, "localhost") == 0 ? "" : "    domain localhost alias\n");
	text_read(p, "built-in", text, (size_t)n);
}

/* ---- what must hold between settings ------------------------------------------------------ */

/* Where a setting of this server was given, or the server's own place. */
static const struct place *
place_of(const struct server *s, enum block block, const char *name)
{
	for (size_t i = 0; i < SETTINGS; i++)
		if (settings[i].block == block && strcmp(settings[i].name, name) == 0)
			return s->said[i].line ? &s->said[i] : &s->place;
	return &s->place;
}

static bool
addr_clash(const struct addr *a, const struct addr *b)
{
	static const unsigned char any[16];

	return a->port == b->port && a->port != 0 && a->family == b->family &&
	    (memcmp(a->octets, b->octets, 16) == 0 ||
	     memcmp(a->octets, any, 16) == 0 || memcmp(b->octets, any, 16) == 0);
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
	for (size_t i = 0; i < SETTINGS; i++) {
		bool relay = strcmp(settings[i].name, "allow-relay") == 0;

		if (d->said[i].line != 0 && relay != (d->kind == DOMAIN_REMOTE))
			fault(p, &d->said[i], "'%s' belongs in a %s domain", settings[i].name,
			    relay ? "remote" : "default");
		else if (d->said[i].line != 0 && d->kind == DOMAIN_ALIAS)
			fault(p, &d->said[i], "an alias has no settings of its own");
	}
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
	if (strncmp(folder, "maildir:", 8) == 0)
		fault(p, where, "%s: 'maildir:' is not in this build yet", name);
}

static void
check_server(struct parser *p, struct server *s)
{
	char host[NAME_OCTETS];
	struct listen *l;
	struct domain *d;

	if (s->listen == NULL) {
		char *word = (char *)(uintptr_t)"127.0.0.1:2525";

		p->file = s->place.file;
		p->line = s->place.line;
		value_listeners(p, &word, 1, &s->listen);
	}
	if (s->hostname == NULL) {
		host_name(host);
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
	for (d = s->domains; d != NULL; d = d->next)
		check_domain(p, s, d);
	if (s->home == NULL)
		fault(p, &s->place, "server \"%s\" has no default domain; add 'domain NAME default'", shown(s->name));
	else
		check_folder(p, &s->home->place, "drop", s->home->drop);
	check_folder(p, place_of(s, MESSAGES, "badmail"), "badmail", s->badmail);
	if (s->home != NULL && strcmp(s->badmail, s->home->drop) == 0)
		fault(p, &s->home->place, "drop and badmail are the same folder");
	if (!domain_valid(s->hostname, strlen(s->hostname)))
		fault(p, place_of(s, GENERAL, "hostname"), "hostname: '%s' is no host name", shown(s->hostname));
	if (!s->relay.only && !s->open_relay)
		fault(p, place_of(s, ACCESS, "relay"), "relay all-except: this is an open relay, which spammers find "
		    "within hours; if that is meant, say 'open-relay yes'");
	if (s->max_session < s->max_size)
		fault(p, place_of(s, MESSAGES, "max-session"), "max-session is smaller than max-size");
}

struct config *
config_load(const char *file)
{
	struct parser p;
	struct config *c = memory(NULL, sizeof *c);

	if (c == NULL)
		die(71, "out of memory while reading the configuration");
	memset(c, 0, sizeof *c);
	memset(&p, 0, sizeof p);
	p.config = c;
	if (file != NULL)
		file_read(&p, file);
	else
		embedded_read(&p);
	for (struct server *s = c->servers; s != NULL; s = s->next)
		check_server(&p, s);
	if (c->servers == NULL && c->errors == 0) {
		log_line("%s: no server block; the smallest file is: server NAME { domain NAME default }", file);
		c->errors++;
	}
	if (c->errors == 0)
		return c;
	if (c->errors > ERRORS_SHOWN)
		log_line("%s: and %d mistakes more", file, c->errors - ERRORS_SHOWN);
	config_free(c);
	return NULL;
}

/* ---- questions ------------------------------------------------------------------------------ */

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

bool
domain_local(const struct domain *d)
{
	return d != NULL && d->kind != DOMAIN_REMOTE;
}

char *
config_where(char out[WHERE_SIZE], const struct server *s, const char *name)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct place *said = settings[i].block == DOMAIN ? s->home->said : s->said;

		if (strcmp(settings[i].name, name) == 0 && said[i].line) {
			snprintf(out, WHERE_SIZE, "%s (%s:%d)", name, said[i].file, said[i].line);
			return out;
		}
	}
	snprintf(out, WHERE_SIZE, "%s (default)", name);
	return out;
}

/* ---- the table, printed ---------------------------------------------------------------------- */

/* A sentence in lines of at most 76 columns behind a prefix. */
static void
wrapped(const char *prefix, const char *text)
{
	size_t room = 78 - strlen(prefix);

	while (*text != '\0') {
		size_t n = strlen(text);

		if (n > room)
			for (n = room; n > 0 && text[n] != ' '; n--)
				;
		printf("%s%.*s\n", prefix, (int)n, text);
		text += n + strspn(text + n, " ");
	}
}

static void
explain_row(const struct setting *s)
{
	const char *preset = s->preset ? s->preset : "(the host's name)";

	printf("\n        # %s\n", s->label);
	wrapped("        # ", s->text);
	printf("        %s%s%s%s\n", s->preset && *s->preset ? "" : "# ", s->name, *preset ? " " : "", preset);
}

static void
explain_block(enum block b)
{
	bool any = false;

	for (size_t i = 0; i < SETTINGS; i++) {
		if (settings[i].block != b || settings[i].kind == LATER)
			continue;
		if (!any && b == DOMAIN)
			printf("    domain example.com default {\n");
		else if (!any)
			printf("    %s {\n", block_name[b]);
		if (b == DOMAIN && strcmp(settings[i].name, "allow-relay") == 0)
			printf("    }\n    domain example.org alias\n    domain *.partner.example remote {\n");
		any = true;
		explain_row(&settings[i]);
	}
	if (any)
		printf("    }\n");
}

int
config_explain(const char *name)
{
	bool found = false;

	if (name == NULL) {
		printf("# smtpd.conf - every setting, its default and its meaning.\n"
		    "# Blocks are named as the tabs of the model's property sheet.\n\n"
		    "server \"Default SMTP Virtual Server\" {\n");
		for (int b = GENERAL; b < BLOCKS; b++)
			explain_block((enum block)b);
		printf("}\n");
		return 0;
	}
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];

		if (strcmp(s->name, name) != 0 || s->kind == LATER)
			continue;
		printf("%s, in %s", s->name, block_name[s->block]);
		printf("; default: %s\n", s->preset && *s->preset ? s->preset : s->preset ? "none" : "the host's name");
		wrapped("    ", s->text);
		printf("    (%s)\n", s->label);
		found = true;
	}
	if (!found)
		log_line("smtpd: no setting is called '%s'; 'smtpd explain' prints them all", shown(name));
	return found ? 0 : -1;
}

/* In mdoc a sentence has a line of its own, and must not begin with a quote. */
static void
sentences(const char *text)
{
	const char *end;

	for (; (end = strstr(text, ". ")) != NULL; text = end + 2)
		printf("\\&%.*s.\n", (int)(end - text), text);
	printf("\\&%s\n", text);
}

void
config_manual(void)
{
	enum block b = TOP;

	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];

		if (s->kind == LATER)
			continue;
		if (s->block != b)
			printf("%s.Ss %s\n.Bl -tag -width Ds\n", b == TOP ? "" : ".El\n", block_name[s->block]);
		b = s->block;
		printf(".It Ic %s\n", s->name);
		sentences(s->text);
		printf("Default:\n.Li \"%s\" .\n", s->preset && *s->preset ? s->preset : s->preset ? "none" : "the host's name");
	}
	printf(".El\n");
}
