/*
 * dnsd - a name server that does what a file says, for the tests of the resolver.
 *
 *     dnsd [-u] [-a ADDR] [-p PORT] [-l LOG] FILE
 *
 * Answers by UDP and TCP (-u: not by TCP) on one port of ADDR (127.0.0.1); without -p the system picks it. Says on
 * standard output where it listens, and ends with TERM. It poses as one that asks others for us: RA is set, aliases
 * are followed. FILE is read again when it has changed, and with HUP. Each line of it is a record or an oddity; # and
 * ; begin a comment:
 *
 *     NAME TTL A|AAAA ADDRESS              NAME TTL MX PREFERENCE HOST        (. is the null MX)
 *     NAME TTL CNAME|PTR|NS NAME           NAME TTL TXT OCTETS
 *     NAME TTL SOA MINIMUM                 for the negative answers of NAME and all below it
 *     NAME[/TYPE] ODDITY [NUMBER]          for all its types, or for this one
 *
 * NAME may be *.example, or *, which stands for all names below it that no line has. What is a lie has an address of
 * 203.0.113.0/24 or 2001:db8:bad::/48, or a name below poison.test: none of these may ever be believed. The oddities
 * are in the table below. Each question is a line of LOG:
 *
 *     udp|tcp NAME TYPE port=ITS-SOURCE id=ID edns=SIZE
 *
 * with edns=0 for a question without it, and `malformed' before it when it was not as a resolver's has to be.
 */
#define _POSIX_C_SOURCE 200809L

#include <sys/socket.h>
#include <sys/stat.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define NAME_SIZE  256
#define HEADER     12
#define PACKET_MAX 65535
#define UDP_LEAST  512		/* what everybody takes by UDP */
#define UDP_TURN   100		/* questions in one turn of the loop */
#define CLIENTS    64		/* connections at a time */
#define ALIASES    32		/* followed in one answer */
#define NAMES      200		/* of a packet that others in it may point to */
#define DRIP       50		/* ms from octet to octet */
#define LIE4       "\313\0\161\102"				/* 203.0.113.66 */
#define LIE6       "\040\1\015\270\013\255\0\0\0\0\0\0\0\0\0\146"	/* 2001:db8:bad::66 */

enum type { ANY = 0, A = 1, NS = 2, CNAME = 5, SOA = 6, PTR = 12, MX = 15, TXT = 16, AAAA = 28, OPT = 41 };
enum rcode { NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED };
enum flag { QR = 0x8000, TC = 0x0200, RD = 0x0100, RA = 0x0080 };

static const struct {
	const char *name;
	enum type type;
} types[] = {
	{ "A", A }, { "NS", NS }, { "CNAME", CNAME }, { "SOA", SOA }, { "PTR", PTR }, { "MX", MX }, { "TXT", TXT },
	{ "AAAA", AAAA }
};
#define TYPES (sizeof types / sizeof *types)

struct packet {
	size_t n;
	unsigned counts[4];		/* of its sections: questions, answers, authority, additional */
	size_t length;			/* where the length of the record in the making stands */
	size_t names;			/* others may point to */
	struct { size_t at; char text[NAME_SIZE]; } name[NAMES];
	unsigned char at[PACKET_MAX];
};

struct question {
	bool tcp, proper;
	unsigned id, flags, edns;
	enum type type;
	char name[NAME_SIZE];		/* as it was asked */
	size_t end;			/* of the question section */
	struct sockaddr_storage from;
	socklen_t from_size;
};

/* ---- the oddities ---- */

typedef void answer_function(struct packet *, const struct question *, long);

static answer_function a_lie, bare, lame, alias_loop, alias_chain, alias_only, many, junk, glue, pointer_loop,
    pointer_forward, pointer_out, label_long, name_long, name_odd, length_lie, count_lie, nothing;

enum oddity {
	SILENT, TCP_ONLY, UDP_SILENT, TCP_SILENT, DROP_FIRST, ERROR_SERVFAIL, ERROR_REFUSED, ERROR_NXDOMAIN, ERROR_NOTIMP,
	FORMERR_EDNS, FORMERR_BARE, WRONG_ID, WRONG_QUESTION, WRONG_TYPE, NO_QUESTION, WRONG_CASE_OK, NOT_A_RESPONSE,
	FROM_OTHER_PORT, TRUNCATE_UDP, TRUNCATE_ALWAYS, TCP_DROP, TCP_SHORT, TCP_SLOW, SLOW, FLOOD, SHORT, TRAILING,
	POINTER_LOOP, POINTER_FORWARD, POINTER_OUT, LABEL_LONG, NAME_LONG, NAME_ODD, RDLENGTH_LIE, COUNT_LIE,
	CNAME_LOOP, CNAME_CHAIN, CNAME_NOWHERE, EXTRA_JUNK, GLUE_POISON, HUGE_ANSWER, LAME, EMPTY_NOERROR,
	TTL_ZERO, TTL_HUGE, ODDITIES
};

static const struct {
	const char *name;
	answer_function *answer;	/* what it says instead of the truth */
	enum rcode rcode;
} oddities[ODDITIES] = {
	[SILENT]          = { "silent", NULL, 0 },
	[TCP_ONLY]        = { "tcp-only", NULL, 0 },		/* silent by UDP */
	[UDP_SILENT]      = { "udp-silent", NULL, 0 },		/* the same */
	[TCP_SILENT]      = { "tcp-silent", NULL, 0 },		/* truncates, and is silent by TCP */
	[DROP_FIRST]      = { "drop-first", NULL, 0 },		/* passes over the first N */
	[ERROR_SERVFAIL]  = { "servfail", nothing, SERVFAIL },
	[ERROR_REFUSED]   = { "refused", nothing, REFUSED },
	[ERROR_NXDOMAIN]  = { "nxdomain", nothing, NXDOMAIN },	/* without an SOA */
	[ERROR_NOTIMP]    = { "notimp", nothing, NOTIMP },
	[FORMERR_EDNS]    = { "formerr-edns", nothing, FORMERR },	/* only when there is an OPT record */
	[FORMERR_BARE]    = { "formerr-bare", bare, FORMERR },	/* the same, and no question in it */
	[WRONG_ID]        = { "wrong-id", a_lie, 0 },
	[WRONG_QUESTION]  = { "wrong-question", a_lie, 0 },
	[WRONG_TYPE]      = { "wrong-type", a_lie, 0 },
	[NO_QUESTION]     = { "no-question", a_lie, 0 },
	[WRONG_CASE_OK]   = { "wrong-case-ok", NULL, 0 },	/* the question comes back in other letters */
	[NOT_A_RESPONSE]  = { "not-a-response", a_lie, 0 },
	[FROM_OTHER_PORT] = { "from-other-port", a_lie, 0 },
	[TRUNCATE_UDP]    = { "truncate-udp", NULL, 0 },	/* the truth by TCP */
	[TRUNCATE_ALWAYS] = { "truncate-always", NULL, 0 },	/* by TCP too */
	[TCP_DROP]        = { "tcp-drop", NULL, 0 },		/* truncates; TCP closes */
	[TCP_SHORT]       = { "tcp-short", NULL, 0 },		/* ... when not all has come that was announced */
	[TCP_SLOW]        = { "tcp-slow", NULL, 0 },		/* ... comes octet by octet, N ms each */
	[SLOW]            = { "slow", NULL, 0 },		/* N ms later */
	[FLOOD]           = { "flood", NULL, 0 },		/* N lies with other ids before the truth */
	[SHORT]           = { "short", NULL, 0 },		/* the first N octets of it */
	[TRAILING]        = { "trailing", NULL, 0 },		/* N octets more */
	[POINTER_LOOP]    = { "pointer-loop", pointer_loop, 0 },	/* see these for what N is */
	[POINTER_FORWARD] = { "pointer-forward", pointer_forward, 0 },
	[POINTER_OUT]     = { "pointer-out", pointer_out, 0 },
	[LABEL_LONG]      = { "label-long", label_long, 0 },
	[NAME_LONG]       = { "name-long", name_long, 0 },
	[NAME_ODD]        = { "name-odd", name_odd, 0 },
	[RDLENGTH_LIE]    = { "rdlength-lie", length_lie, 0 },
	[COUNT_LIE]       = { "count-lie", count_lie, 0 },
	[CNAME_LOOP]      = { "cname-loop", alias_loop, 0 },	/* of N names */
	[CNAME_CHAIN]     = { "cname-chain", alias_chain, 0 },	/* of N aliases to the truth */
	[CNAME_NOWHERE]   = { "cname-nowhere", alias_only, 0 },	/* its alias, and not where that leads */
	[EXTRA_JUNK]      = { "extra-junk", junk, 0 },		/* lies around the truth */
	[GLUE_POISON]     = { "glue-poison", glue, 0 },		/* lies in the additional section */
	[HUGE_ANSWER]     = { "huge", many, 0 },		/* N records (300) */
	[LAME]            = { "lame", lame, 0 },		/* a referral; RA clear */
	[EMPTY_NOERROR]   = { "empty-noerror", nothing, 0 },	/* without an SOA */
	[TTL_ZERO]        = { "ttl-zero", NULL, 0 },
	[TTL_HUGE]        = { "ttl-huge", NULL, 0 },
};

/* ---- what the file says ---- */

struct rule {
	char name[NAME_SIZE];		/* in lower case */
	bool odd;
	enum oddity oddity;
	enum type type;			/* ANY: an oddity of all types */
	unsigned long ttl;
	long number;			/* of the oddity; preference, octets, minimum */
	long dropped;			/* drop-first: so many */
	char data[NAME_SIZE];		/* a name, or the octets of an address */
	struct rule *next;
};

static const char *path;
static struct stat path_seen;
static struct rule *rules;
static struct rule *odd[ODDITIES];	/* those that hold for the question in hand, else NULL */
static volatile sig_atomic_t hup;

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "dnsd: %s: %s\n", what, why);
	exit(1);
}

static void *
reserve(size_t n)
{
	void *p = calloc(1, n);

	if (p == NULL)
		die("memory", strerror(errno));
	return p;
}

static void
lower(char *s)
{
	for (; *s != '\0'; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s + 32);
}

/* In lower case and without a dot at its end; -1 when it is too long. */
static int
name_copy(char out[NAME_SIZE], const char *in)
{
	size_t n = strlen(in);

	if (n > 0 && in[n - 1] == '.')
		n--;
	if (n >= NAME_SIZE - 2)
		return -1;
	memcpy(out, in, n);
	out[n] = '\0';
	lower(out);
	return 0;
}

static int
type_find(const char *name, enum type *type)
{
	for (size_t i = 0; i < TYPES; i++)
		if (strcasecmp(types[i].name, name) == 0) {
			*type = types[i].type;
			return 0;
		}
	return -1;
}

static int
rule_record(struct rule *r, int words, char word[5][NAME_SIZE])
{
	r->ttl = strtoul(word[1], NULL, 10);
	if (words < 4 || type_find(word[2], &r->type) == -1)
		return -1;
	r->number = atol(word[3]);
	switch (r->type) {
	case A:    return inet_pton(AF_INET, word[3], r->data) == 1 ? 0 : -1;
	case AAAA: return inet_pton(AF_INET6, word[3], r->data) == 1 ? 0 : -1;
	case MX:   return words < 5 ? -1 : name_copy(r->data, word[4]);
	case SOA:
	case TXT:  return 0;
	default:   return name_copy(r->data, word[3]);
	}
}

static int
rule_oddity(struct rule *r, char word[5][NAME_SIZE])
{
	char *slash = strchr(r->name, '/');

	r->odd = true;
	r->number = atol(word[2]);
	for (r->oddity = 0; strcmp(oddities[r->oddity].name, word[1]) != 0; )
		if (++r->oddity == ODDITIES)
			return -1;
	if (slash == NULL)
		return 0;
	*slash = '\0';
	return type_find(slash + 1, &r->type);
}

/* One line: 1 a rule, 0 none, -1 nonsense. */
static int
rule_read(struct rule *r, char *line)
{
	char word[5][NAME_SIZE] = { "" };
	int words;

	memset(r, 0, sizeof *r);
	line[strcspn(line, "#;\n")] = '\0';
	words = sscanf(line, "%255s%255s%255s%255s%255s", word[0], word[1], word[2], word[3], word[4]);
	if (words < 1)
		return 0;
	if (words < 2 || name_copy(r->name, word[0]) == -1)
		return -1;
	if (word[1][0] >= '0' && word[1][0] <= '9')
		return rule_record(r, words, word) == 0 ? 1 : -1;
	return rule_oddity(r, word) == 0 ? 1 : -1;
}

static void
rules_free(void)
{
	for (struct rule *r = rules, *next; r != NULL; r = next) {
		next = r->next;
		free(r);
	}
	rules = NULL;
}

static void
rules_read(void)
{
	struct rule r, **end = &rules;
	char line[1000];
	FILE *f = fopen(path, "r");

	if (f == NULL || fstat(fileno(f), &path_seen) == -1)
		die(path, strerror(errno));
	rules_free();
	for (int number = 1, is; fgets(line, sizeof line, f) != NULL; number++) {
		if ((is = rule_read(&r, line)) == -1)
			fprintf(stderr, "dnsd: %s:%d: neither a record nor an oddity\n", path, number);
		if (is != 1)
			continue;
		*end = reserve(sizeof r);
		**end = r;
		end = &(*end)->next;
	}
	fclose(f);
}

static void
rules_look(void)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return;			/* it is being replaced */
	if (!hup && st.st_ino == path_seen.st_ino && st.st_size == path_seen.st_size &&
	    st.st_mtim.tv_sec == path_seen.st_mtim.tv_sec && st.st_mtim.tv_nsec == path_seen.st_mtim.tv_nsec)
		return;
	hup = 0;
	rules_read();
}

/* Is there a line for this name, or for one below it? */
static bool
exists(const char *name)
{
	size_t n = strlen(name), m;

	for (struct rule *r = rules; r != NULL; r = r->next) {
		m = strlen(r->name);
		if (m >= n && strcmp(r->name + m - n, name) == 0 && (m == n || r->name[m - n - 1] == '.'))
			return true;
	}
	return false;
}

/* Whose lines count for this name: its own, or those of the nearest *; "" is nobody. */
static const char *
owner_of(const char *name)
{
	static char star[NAME_SIZE];
	const char *dot = name;

	if (exists(name))
		return strcpy(star, name);
	while ((dot = strchr(dot, '.')) != NULL && strlen(dot) < NAME_SIZE - 1) {
		sprintf(star, "*%s", dot++);
		if (exists(star))
			return star;
	}
	return exists("*") ? strcpy(star, "*") : "";
}

/* The next rule of this owner and type, behind r or else from the beginning. */
static struct rule *
rule_find(struct rule *r, const char *owner, enum type type)
{
	for (r = r == NULL ? rules : r->next; r != NULL; r = r->next)
		if (!r->odd && r->type == type && strcmp(r->name, owner) == 0)
			return r;
	return NULL;
}

static void
odd_find(const struct question *q)
{
	char name[NAME_SIZE];
	const char *owner;

	name_copy(name, q->name);
	owner = owner_of(name);
	memset(odd, 0, sizeof odd);
	for (struct rule *r = rules; r != NULL; r = r->next)
		if (r->odd && strcmp(r->name, owner) == 0 && (r->type == ANY || r->type == q->type))
			odd[r->oddity] = r;
}

/* ---- a packet ---- */

static void
put(struct packet *p, const void *octets, size_t n)
{
	if (p->n + n > sizeof p->at)
		return;
	memcpy(p->at + p->n, octets, n);
	p->n += n;
}

static void
put8(struct packet *p, unsigned n)
{
	unsigned char c = (unsigned char)n;

	put(p, &c, 1);
}

static void
put16(struct packet *p, unsigned n)
{
	put8(p, n >> 8 & 255);
	put8(p, n & 255);
}

static void
put32(struct packet *p, unsigned long n)
{
	put16(p, (unsigned)(n >> 16 & 0xffff));
	put16(p, (unsigned)(n & 0xffff));
}

static void
set16(unsigned char *at, unsigned n)
{
	at[0] = (unsigned char)(n >> 8);
	at[1] = (unsigned char)n;
}

static unsigned
get16(const unsigned char *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static void
put_pointer(struct packet *p, size_t to)
{
	put16(p, 0xc000 | (unsigned)to);
}

static void
put_label(struct packet *p, const char *label, size_t n)
{
	put8(p, (unsigned)n);
	put(p, label, n);
}

/* A name, in whose place a pointer stands as soon as the rest of it has been said before. */
static void
put_name(struct packet *p, const char *name)
{
	size_t n;

	for (; *name != '\0'; name += n + (name[n] == '.')) {
		for (size_t i = 0; i < p->names; i++)
			if (strcmp(p->name[i].text, name) == 0) {
				put_pointer(p, p->name[i].at);
				return;
			}
		if (p->names < NAMES && p->n < 0x3fff) {
			strcpy(p->name[p->names].text, name);
			p->name[p->names++].at = p->n;
		}
		n = strcspn(name, ".");
		put_label(p, name, n < 63 ? n : 63);
	}
	put8(p, 0);
}

/* What follows the owner of a record; its data come next, and then put_end. */
static void
put_fixed(struct packet *p, enum type type, unsigned long ttl)
{
	if (odd[TTL_ZERO])
		ttl = 0;
	if (odd[TTL_HUGE])
		ttl = 0xffffffff;
	put16(p, type);
	put16(p, 1);
	put32(p, ttl);
	p->length = p->n;
	put16(p, 0);
}

static void
put_begin(struct packet *p, const char *owner, enum type type, unsigned long ttl)
{
	put_name(p, owner);
	put_fixed(p, type, ttl);
}

static void
put_end(struct packet *p, int section)
{
	set16(p->at + p->length, (unsigned)(p->n - p->length - 2));
	p->counts[section]++;
}

static void
put_alias(struct packet *p, const char *name, const char *target, unsigned long ttl)
{
	put_begin(p, name, CNAME, ttl);
	put_name(p, target);
	put_end(p, 1);
}

static void
put_rule(struct packet *p, const char *name, const struct rule *r)
{
	put_begin(p, name, r->type, r->ttl);
	switch (r->type) {
	case A:
		put(p, r->data, 4);
		break;
	case AAAA:
		put(p, r->data, 16);
		break;
	case MX:
		put16(p, (unsigned)r->number);
		put_name(p, r->data);
		break;
	case TXT:
		for (long n = r->number, most; n > 0; n -= most) {
			most = n < 256 ? n - 1 : 255;
			put8(p, (unsigned)most);
			for (long i = 0; i < most; i++)
				put8(p, 'x');
			most++;
		}
		break;
	default:
		put_name(p, r->data);
	}
	put_end(p, 1);
}

/* The data of a lie of this type. */
static void
put_lie_data(struct packet *p, enum type type)
{
	if (type == A)
		put(p, LIE4, 4);
	else if (type == AAAA)
		put(p, LIE6, 16);
	else {
		if (type == MX)
			put16(p, 1);
		put_name(p, "mx.poison.test");
	}
}

static void
put_lie(struct packet *p, const char *owner, enum type type, int section)
{
	put_begin(p, owner, type, 3600);
	put_lie_data(p, type);
	put_end(p, section);
}

/* ---- the truth ---- */

/* Why there is nothing: the SOA of the nearest zone, if any. */
static void
put_negative(struct packet *p, const char *name)
{
	struct rule *r;

	for (; name != NULL; name = strchr(name, '.')) {
		name += *name == '.';
		if ((r = rule_find(NULL, name, SOA)) == NULL)
			continue;
		put_begin(p, name, SOA, r->ttl);
		put_name(p, "ns.example");
		put_name(p, "hostmaster.example");
		for (unsigned long i = 1; i <= 4; i++)
			put32(p, i);
		put32(p, (unsigned long)r->number);
		put_end(p, 2);
		return;
	}
}

/* All records of this name and type; how many. */
static int
put_rules(struct packet *p, const char *name, const char *owner, enum type type)
{
	int n = 0;

	for (struct rule *r = NULL; (r = rule_find(r, owner, type)) != NULL; n++)
		put_rule(p, name, r);
	return n;
}

static enum rcode
put_truth(struct packet *p, const char *asked, enum type type)
{
	char name[NAME_SIZE];
	struct rule *alias;
	const char *owner;

	name_copy(name, asked);
	for (int i = 0; i < ALIASES; i++) {
		owner = owner_of(name);
		if (put_rules(p, name, owner, type) > 0)
			return NOERROR;
		if ((alias = rule_find(NULL, owner, CNAME)) == NULL) {
			put_negative(p, name);
			return *owner == '\0' ? NXDOMAIN : NOERROR;
		}
		put_rule(p, name, alias);
		strcpy(name, alias->data);
	}
	return SERVFAIL;
}

/* ---- what is odd instead ---- */

static void
nothing(struct packet *p, const struct question *q, long n)
{
	(void)p; (void)q; (void)n;
}

static void
bare(struct packet *p, const struct question *q, long n)
{
	(void)q; (void)n;
	p->n = HEADER;
	p->counts[0] = 0;
}

static void
a_lie(struct packet *p, const struct question *q, long n)
{
	(void)n;
	put_lie(p, odd[WRONG_QUESTION] ? "other.poison.test" : q->name, q->type, 1);
}

static void
lame(struct packet *p, const struct question *q, long n)
{
	(void)q; (void)n;
	put_begin(p, "test", NS, 3600);
	put_name(p, "ns.poison.test");
	put_end(p, 2);
	put_lie(p, "ns.poison.test", A, 3);
}

static void
alias_loop(struct packet *p, const struct question *q, long n)
{
	char from[NAME_SIZE], to[NAME_SIZE];

	strcpy(from, q->name);
	for (long i = 1; i < n; i++) {
		snprintf(to, sizeof to, "l%ld.%.200s", i, q->name);
		put_alias(p, from, to, 300);
		strcpy(from, to);
	}
	put_alias(p, from, q->name, 300);
}

static void
alias_chain(struct packet *p, const struct question *q, long n)
{
	char from[NAME_SIZE], to[NAME_SIZE], own[NAME_SIZE];

	strcpy(from, q->name);
	for (long i = 1; i <= n; i++) {
		snprintf(to, sizeof to, "c%ld.%.200s", i, q->name);
		put_alias(p, from, to, 300);
		strcpy(from, to);
	}
	name_copy(own, q->name);
	put_rules(p, from, owner_of(own), q->type);
}

static void
alias_only(struct packet *p, const struct question *q, long n)
{
	char name[NAME_SIZE];

	(void)n;
	name_copy(name, q->name);
	put_rules(p, q->name, owner_of(name), CNAME);
}

static void
many(struct packet *p, const struct question *q, long n)
{
	char host[40];

	if (n == 0)
		n = 300;
	for (long i = 1; i <= n; i++) {
		put_begin(p, q->name, q->type, 300);
		if (q->type == A)
			put32(p, 0x0a000000ul + (unsigned long)i);		/* 10.0.0.0/8 */
		else if (q->type == AAAA)
			put(p, "\040\1\015\270\0\0\0\0\0\0\0\0\0\0", 14), put16(p, (unsigned)i);
		else {
			if (q->type == MX)
				put16(p, (unsigned)i);
			snprintf(host, sizeof host, "mx%ld.huge.example", i);
			put_name(p, host);
		}
		put_end(p, 1);
	}
}

/* Strangers before and behind the truth, of another class, and of another type. */
static void
junk(struct packet *p, const struct question *q, long n)
{
	char name[NAME_SIZE];

	(void)n;
	name_copy(name, q->name);
	put_lie(p, "stranger.poison.test", q->type, 1);
	put_lie(p, q->name, q->type, 1);
	p->at[p->length - 5] = 3;		/* class CH */
	put_lie(p, "victim.example", q->type, 1);
	put_lie(p, q->name, q->type == A ? AAAA : A, 1);
	put_alias(p, "stranger.poison.test", q->name, 300);
	put_rules(p, q->name, owner_of(name), q->type);
	put_alias(p, "victim.example", "stranger.poison.test", 300);
	put_lie(p, "test", q->type, 1);
}

static void
glue(struct packet *p, const struct question *q, long n)
{
	char name[NAME_SIZE];
	struct rule *mx;

	(void)n;
	put_truth(p, q->name, q->type);
	name_copy(name, q->name);
	put_lie(p, "victim.example", MX, 2);
	put_lie(p, "victim.example", A, 3);
	put_lie(p, q->name, q->type, 3);
	if ((mx = rule_find(NULL, owner_of(name), MX)) != NULL) {
		put_lie(p, mx->data, A, 3);
		put_lie(p, mx->data, AAAA, 3);
	}
}

/* 0: the owner points at itself; 1: at another that points back; 2: the target of an alias points at itself; 3: at
 * its own first label; 4: the exchange points at itself. */
static void
pointer_loop(struct packet *p, const struct question *q, long n)
{
	size_t at = p->n;

	if (n == 1) {
		put_begin(p, "a.example", TXT, 300);
		at = p->n;
		put_pointer(p, at + 2);
		put_end(p, 1);
	}
	if (n < 2) {
		put_pointer(p, at);
		put_fixed(p, q->type, 300);
		put_lie_data(p, q->type);
	} else {
		put_begin(p, q->name, n == 4 ? MX : CNAME, 300);
		if (n == 4)
			put16(p, 10);
		at = p->n;
		if (n == 3)
			put_label(p, "a", 1);
		put_pointer(p, at);
	}
	put_end(p, 1);
}

/* The truth, but its owner's name is only said behind it. */
static void
pointer_forward(struct packet *p, const struct question *q, long n)
{
	char name[NAME_SIZE];
	struct rule *r;
	size_t at, here = p->n;

	(void)n;
	name_copy(name, q->name);
	if ((r = rule_find(NULL, owner_of(name), q->type)) == NULL)
		return;
	put_rule(p, q->name, r);
	at = p->n;
	p->names = 0;				/* written in full */
	put_begin(p, q->name, TXT, 300);
	put_end(p, 1);
	set16(p->at + here, 0xc000 | (unsigned)at);
}

/* Of the owner, 0, or the target of an alias, 1, beyond the packet; 2: half a pointer at its end; 3: a label that
 * ends behind it. */
static void
pointer_out(struct packet *p, const struct question *q, long n)
{
	if (n == 0) {
		put16(p, 0xffff);
		put_fixed(p, q->type, 300);
		put_lie_data(p, q->type);
		put_end(p, 1);
		return;
	}
	put_begin(p, q->name, CNAME, 300);
	if (n == 1)
		put16(p, 0xffff);
	else
		put8(p, n == 2 ? 0xc0 : 20);
	put_end(p, 1);
}

/* Of 64 + N octets: which is no label, but the two bits of it that mean something else. */
static void
label_long(struct packet *p, const struct question *q, long n)
{
	size_t at = p->n;

	put8(p, 64 + (unsigned)n);
	for (long i = 0; i < 64 + n; i++)
		put8(p, 'x');
	put_pointer(p, HEADER);
	put_fixed(p, q->type, 300);
	put_lie_data(p, q->type);
	put_end(p, 1);
	put_begin(p, q->name, CNAME, 300);
	put_pointer(p, at);
	put_end(p, 1);
}

/* Labels that point to each other, until they are longer than 255 octets: as an alias's target, or (1) as an owner. */
static void
name_long(struct packet *p, const struct question *q, long n)
{
	static const char label[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
	size_t at = HEADER;

	for (int i = 0; i < 5; i++) {
		size_t here;

		put_begin(p, "a.example", TXT, 300);
		here = p->n;
		put_label(p, label, 63);
		put_pointer(p, at);
		put_end(p, 1);
		at = here;
	}
	if (n == 1) {
		put_pointer(p, at);
		put_fixed(p, q->type, 300);
		put_lie_data(p, q->type);
	} else {
		put_begin(p, q->name, CNAME, 300);
		put_pointer(p, at);
	}
	put_end(p, 1);
}

/* Names that no host has: 0 line ends and a command, 1 NUL, 2 a dot in a label, 3 a space, 4 eight bits. */
static void
name_odd(struct packet *p, const struct question *q, long n)
{
	static const struct { const char *label; size_t n; } labels[] = {
		{ "a\r\nQUIT", 7 }, { "a\0b", 3 }, { "mx.poison", 9 }, { "a b", 3 }, { "\344\366\374", 3 }
	};

	put_begin(p, q->name, q->type, 300);
	if (q->type == MX)
		put16(p, 10);
	put_label(p, labels[n % 5].label, labels[n % 5].n);
	put_name(p, "test");
	put_end(p, 1);
}

/* The length of a record's data: 0 leads out of the packet, 1 is one too short, 2 one too long, 3 is none. */
static void
length_lie(struct packet *p, const struct question *q, long n)
{
	size_t length;

	put_lie(p, q->name, q->type, 1);
	length = p->n - p->length - 2;
	if (n == 2)
		put8(p, 0);
	if (n == 3)
		p->n = p->length + 2;
	set16(p->at + p->length, n == 0 ? 0xfff0 : n == 1 ? (unsigned)length - 1 : n == 2 ? (unsigned)length + 1 : 0);
}

/* More questions (1), or answers, than there are. */
static void
count_lie(struct packet *p, const struct question *q, long n)
{
	put_lie(p, q->name, q->type, 1);
	p->counts[n == 1 ? 0 : 1] += n > 1 ? (unsigned)n : 5;
}

/* ---- an answer ---- */

static bool
silent(const struct question *q)
{
	struct rule *r = odd[DROP_FIRST];

	if (r != NULL && r->dropped < r->number) {
		r->dropped++;
		return true;
	}
	if (q->tcp)
		return odd[SILENT] || odd[TCP_SILENT] || odd[FROM_OTHER_PORT];
	return odd[SILENT] || odd[UDP_SILENT] || odd[TCP_ONLY];
}

/* Which oddity answers in place of the truth, or ODDITIES. */
static enum oddity
in_place(const struct question *q)
{
	enum oddity i = 0;

	while (i < ODDITIES && (odd[i] == NULL || oddities[i].answer == NULL ||
	    ((i == FORMERR_EDNS || i == FORMERR_BARE) && q->edns == 0)))
		i++;
	return i;
}

/* The header, when the rest is there; and the OPT record, if there was one in the question and it would not hide the
 * end of what is cut off. */
static void
finish(struct packet *p, const struct question *q, unsigned flags)
{
	if (q->edns > 0 && p->n > HEADER && !odd[FORMERR_EDNS] && !odd[POINTER_OUT] && !odd[RDLENGTH_LIE]) {
		put8(p, 0);
		put16(p, OPT);
		put16(p, UDP_LEAST);
		put32(p, 0);
		put16(p, 0);
		p->counts[3]++;
	}
	set16(p->at, q->id);
	set16(p->at + 2, flags | QR | (q->flags & RD));
	for (int i = 0; i < 4; i++)
		set16(p->at + 4 + 2 * i, p->counts[i]);
}

/* Its name is what others may point to. */
static void
begin(struct packet *p, const struct question *q)
{
	p->n = q->end;
	memset(p->counts, 0, sizeof p->counts);
	p->counts[0] = 1;
	p->names = 0;
	for (const char *name = q->name; name != NULL && *name != '\0'; name = strchr(name, '.')) {
		name += *name == '.';
		strcpy(p->name[p->names].text, name);
		p->name[p->names++].at = HEADER + (size_t)(name - q->name);
	}
}

/* The packet so far is the question. */
static void
compose(struct packet *p, const struct question *q)
{
	enum oddity i = in_place(q);
	unsigned flags = odd[LAME] ? 0 : RA;

	begin(p, q);
	if (!q->proper)
		flags |= FORMERR;
	else if (i == ODDITIES)
		flags |= put_truth(p, q->name, q->type);
	else {
		oddities[i].answer(p, q, odd[i]->number);
		flags |= oddities[i].rcode;
	}
	finish(p, q, flags);
}

static void
truncate_packet(struct packet *p, const struct question *q)
{
	size_t most = q->tcp ? sizeof p->at : q->edns > UDP_LEAST ? q->edns : UDP_LEAST;
	bool by_udp = odd[TRUNCATE_UDP] || odd[TCP_DROP] || odd[TCP_SHORT] || odd[TCP_SLOW] || odd[TCP_SILENT];

	if (p->n <= most && !odd[TRUNCATE_ALWAYS] && (q->tcp || !by_udp))
		return;
	begin(p, q);
	finish(p, q, TC | RA);
}

/* What is wrong with it as a whole. */
static void
distort(struct packet *p, const struct question *q)
{
	if (odd[WRONG_ID])
		set16(p->at, q->id ^ 0x5555);
	if (odd[NOT_A_RESPONSE])
		p->at[2] &= 127;
	if (odd[WRONG_TYPE])
		set16(p->at + q->end - 4, q->type == A ? MX : A);
	for (size_t i = HEADER; i < q->end - 4; i++) {
		if (odd[WRONG_CASE_OK] && ((p->at[i] >= 'a' && p->at[i] <= 'z') || (p->at[i] >= 'A' && p->at[i] <= 'Z')))
			p->at[i] ^= 32;
		if (odd[WRONG_QUESTION] && p->at[i] >= 'a' && p->at[i] <= 'z')
			p->at[i] = 'z';
	}
	if (odd[NO_QUESTION]) {
		memmove(p->at + HEADER, p->at + q->end, p->n - q->end);
		p->n -= q->end - HEADER;
		set16(p->at + 4, 0);
	}
	for (long i = odd[TRAILING] ? odd[TRAILING]->number : 0; i > 0; i--)
		put8(p, 0xc0);
	if (odd[SHORT] && p->n > (size_t)odd[SHORT]->number)
		p->n = (size_t)odd[SHORT]->number;
}

/* ---- a question ---- */

/* The name behind the header, as text; 0: it is none. */
static size_t
question_name(char out[NAME_SIZE], const unsigned char *in, size_t n)
{
	size_t at = HEADER, length = 0, label;

	for (; at < n && (label = in[at++]) != 0; at += label) {
		if (label > 63 || at + label > n || length + label + 2 > NAME_SIZE)
			return 0;
		for (size_t i = 0; i < label; i++)
			out[length++] = in[at + i] > ' ' && in[at + i] < 127 ? (char)in[at + i] : '?';
		out[length++] = '.';
	}
	out[length > 0 ? length - 1 : 0] = '\0';
	return at <= n && at + 4 <= n ? at : 0;
}

/* -1: it is not worth an answer. */
static int
question_read(struct question *q, const unsigned char *in, size_t n)
{
	size_t at;

	if (n < HEADER || (get16(in + 2) & QR) || (at = question_name(q->name, in, n)) == 0)
		return -1;
	q->id = get16(in);
	q->flags = get16(in + 2);
	q->type = (enum type)get16(in + at);
	q->end = at + 4;
	q->edns = 0;
	if (get16(in + 10) == 1 && n >= q->end + 11 && in[q->end] == 0 && get16(in + q->end + 1) == OPT)
		q->edns = get16(in + q->end + 3);
	q->proper = (q->flags & ~(unsigned)RD) == 0 && (q->flags & RD) && get16(in + 4) == 1 && get16(in + 6) == 0 &&
	    get16(in + 8) == 0 && get16(in + at + 2) == 1 && n == q->end + (q->edns > 0 ? 11 : 0) &&
	    get16(in + 10) == (q->edns > 0);
	return 0;
}

static int log_file = -1;

static void
question_log(const struct question *q)
{
	char line[NAME_SIZE + 100], port[16] = "0", number[16];
	const char *type = number;
	int n;

	snprintf(number, sizeof number, "TYPE%d", (int)q->type);
	for (size_t i = 0; i < TYPES; i++)
		if (types[i].type == q->type)
			type = types[i].name;
	getnameinfo((const struct sockaddr *)&q->from, q->from_size, NULL, 0, port, sizeof port,
	    NI_NUMERICHOST | NI_NUMERICSERV | NI_DGRAM);
	n = snprintf(line, sizeof line, "%s%s %s %s port=%s id=%u edns=%u\n", q->proper ? "" : "malformed ",
	    q->tcp ? "tcp" : "udp", q->name, type, port, q->id, q->edns);
	if (log_file != -1 && write(log_file, line, (size_t)n) != n)
		die("log", strerror(errno));
}

/* The answer to what stands in p: -1 there will be none. */
static int
answer(struct packet *p, struct question *q)
{
	if (question_read(q, p->at, p->n) == -1)
		return -1;
	rules_look();
	odd_find(q);
	question_log(q);
	if (silent(q))
		return -1;
	compose(p, q);
	truncate_packet(p, q);
	distort(p, q);
	return 0;
}

/* ---- by UDP ---- */

/* One that leaves later. */
struct delayed {
	long long due;
	struct sockaddr_storage to;
	socklen_t to_size;
	struct delayed *next;
	size_t n;
	unsigned char at[];
};

static int udp, other, tcp = -1;		/* other: the port that nobody asked */
static struct delayed *delayed;

static long long
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void
udp_later(const struct packet *p, const struct question *q, long ms)
{
	struct delayed *d = reserve(sizeof *d + p->n);

	d->due = now() + ms;
	d->to = q->from;
	d->to_size = q->from_size;
	d->n = p->n;
	memcpy(d->at, p->at, p->n);
	d->next = delayed;
	delayed = d;
}

static void
udp_due(long long *until)
{
	for (struct delayed **d = &delayed, *this; (this = *d) != NULL; ) {
		if (this->due > now()) {
			if (this->due < *until)
				*until = this->due;
			d = &this->next;
			continue;
		}
		sendto(udp, this->at, this->n, 0, (struct sockaddr *)&this->to, this->to_size);
		*d = this->next;
		free(this);
	}
}

/* Lies that look like the answer, under any id but the right one. */
static void
udp_flood(const struct question *q, long n)
{
	static struct packet p;

	memset(p.counts, 0, sizeof p.counts);
	p.n = HEADER;
	p.names = 0;
	put_name(&p, q->name);
	put16(&p, q->type);
	put16(&p, 1);
	p.counts[0] = 1;
	put_lie(&p, q->name, q->type, 1);
	finish(&p, q, RA);
	for (long i = 1; i <= n; i++) {
		set16(p.at, (q->id + (unsigned)i) & 0xffff);
		sendto(udp, p.at, p.n, 0, (const struct sockaddr *)&q->from, q->from_size);
	}
}

/* -1: nobody has asked. */
static int
udp_serve(void)
{
	static struct packet p;
	struct question q;
	ssize_t n;

	memset(&q, 0, sizeof q);
	q.from_size = sizeof q.from;
	if ((n = recvfrom(udp, p.at, sizeof p.at, 0, (struct sockaddr *)&q.from, &q.from_size)) == -1)
		return -1;
	p.n = (size_t)n;
	if (answer(&p, &q) == -1)
		return 0;
	if (odd[FLOOD])
		udp_flood(&q, odd[FLOOD]->number);
	if (odd[SLOW])
		udp_later(&p, &q, odd[SLOW]->number);
	else
		sendto(odd[FROM_OTHER_PORT] ? other : udp, p.at, p.n, 0, (struct sockaddr *)&q.from, q.from_size);
	return 0;
}

/* ---- by TCP ---- */

static struct client {
	int fd;
	unsigned char *out;		/* the answer, or NULL: it may ask */
	size_t left, at, in_length;
	long drip;			/* ms from octet to octet; 0: all at once */
	bool closes;			/* behind the answer */
	long long due;
	struct sockaddr_storage from;
	socklen_t from_size;
	unsigned char in[2048];
} clients[CLIENTS];

static void
client_close(struct client *c)
{
	close(c->fd);
	free(c->out);
	memset(c, 0, sizeof *c);
	c->fd = -1;
}

static void
client_admit(void)
{
	struct sockaddr_storage from;
	socklen_t size = sizeof from;
	int fd = accept(tcp, (struct sockaddr *)&from, &size);

	if (fd == -1)
		return;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (struct client *c = clients; c < clients + CLIENTS; c++)
		if (c->fd == -1) {
			c->fd = fd;
			c->from = from;
			c->from_size = size;
			return;
		}
	close(fd);
}

static void
client_answer(struct client *c, const struct packet *p)
{
	c->left = p->n + 2;
	c->at = 0;
	c->out = reserve(c->left);
	set16(c->out, (unsigned)p->n + (odd[TCP_SHORT] ? 50 : 0));
	memcpy(c->out + 2, p->at, p->n);
	c->closes = odd[TCP_SHORT] != NULL;
	c->drip = odd[TCP_SLOW] == NULL ? 0 : odd[TCP_SLOW]->number > 0 ? odd[TCP_SLOW]->number : DRIP;
	c->due = now() + (odd[SLOW] ? odd[SLOW]->number : 0);
}

/* A whole question has come: its answer is made ready. */
static void
client_serve(struct client *c)
{
	static struct packet p;
	struct question q;
	size_t n;

	if (c->in_length < 2 || c->in_length < (n = get16(c->in) + 2))
		return;
	memset(&q, 0, sizeof q);
	q.tcp = true;
	q.from = c->from;
	q.from_size = c->from_size;
	p.n = n - 2;
	memcpy(p.at, c->in + 2, p.n);
	c->in_length -= n;
	memmove(c->in, c->in + n, c->in_length);
	if (answer(&p, &q) == 0 && !odd[TCP_DROP])
		client_answer(c, &p);
	else if (odd[TCP_DROP])
		client_close(c);
}

static void
client_read(struct client *c)
{
	ssize_t n = read(c->fd, c->in + c->in_length, sizeof c->in - c->in_length);

	if (n == -1 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_close(c);
		return;
	}
	c->in_length += (size_t)n;
	client_serve(c);
}

static void
client_write(struct client *c)
{
	ssize_t n;

	if (c->due > now())
		return;
	n = write(c->fd, c->out + c->at, c->drip > 0 ? 1 : c->left);
	if (n == -1 && errno == EAGAIN)
		return;
	if (n == -1) {
		client_close(c);
		return;
	}
	c->at += (size_t)n;
	c->left -= (size_t)n;
	c->due = now() + c->drip;
	if (c->left > 0)
		return;
	free(c->out);
	c->out = NULL;
	if (c->closes)
		client_close(c);
	else
		client_serve(c);
}

/* ---- the loop ---- */

static void
turn(void)
{
	struct pollfd p[CLIENTS + 2];
	long long until = now() + 60000, wait;

	udp_due(&until);
	for (int i = 0; i < CLIENTS; i++) {
		struct client *c = &clients[i];
		bool waits = c->fd != -1 && c->out != NULL && c->due > now();

		if (waits && c->due < until)
			until = c->due;
		p[i].fd = waits ? -1 : c->fd;
		p[i].events = c->out == NULL ? POLLIN : POLLOUT;
	}
	p[CLIENTS].fd = udp;
	p[CLIENTS + 1].fd = tcp;
	p[CLIENTS].events = p[CLIENTS + 1].events = POLLIN;
	wait = until - now();
	if (poll(p, CLIENTS + 2, wait > 0 ? (int)wait : 0) <= 0)
		return;
	for (int i = 0; i < CLIENTS; i++)
		if (p[i].fd != -1 && p[i].revents != 0) {
			if (clients[i].out == NULL)
				client_read(&clients[i]);
			else
				client_write(&clients[i]);
		}
	for (int i = 0; p[CLIENTS].revents != 0 && i < UDP_TURN && udp_serve() == 0; i++)
		;
	if (p[CLIENTS + 1].revents != 0)
		client_admit();
}

/* ---- the beginning ---- */

static int
open_socket(const char *host, const char *port, int type)
{
	struct addrinfo hints, *ai;
	int fd, on = 1, error;

	memset(&hints, 0, sizeof hints);
	hints.ai_socktype = type;
	hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
	if ((error = getaddrinfo(host, port, &hints, &ai)) != 0)
		die(host, gai_strerror(error));
	if ((fd = socket(ai->ai_family, ai->ai_socktype, ai->ai_protocol)) == -1)
		die("socket", strerror(errno));
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == -1 || (type == SOCK_STREAM && listen(fd, CLIENTS) == -1)) {
		close(fd);
		fd = -1;
	}
	freeaddrinfo(ai);
	if (fd != -1)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

/* Both on one port; when the system picks it, the first may be one that is taken for the second. */
static void
open_sockets(const char *host, const char *port, bool with_tcp)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof sa;
	char text[64], number[16];

	for (int i = 0; i < 20; i++, n = sizeof sa) {
		if ((udp = open_socket(host, port, SOCK_DGRAM)) == -1 || getsockname(udp, (struct sockaddr *)&sa, &n) == -1)
			die(host, strerror(errno));
		getnameinfo((struct sockaddr *)&sa, n, text, sizeof text, number, sizeof number,
		    NI_NUMERICHOST | NI_NUMERICSERV);
		if (!with_tcp || (tcp = open_socket(host, number, SOCK_STREAM)) != -1)
			break;
		close(udp);
	}
	if ((with_tcp && tcp == -1) || (other = open_socket(host, "0", SOCK_DGRAM)) == -1)
		die(host, strerror(errno));
	printf(strchr(text, ':') ? "dnsd listening on [%s]:%s\n" : "dnsd listening on %s:%s\n", text, number);
	fflush(stdout);
}

static void
on_signal(int number)
{
	if (number == SIGTERM)
		_exit(0);
	hup = 1;
}

int
main(int argc, char **argv)
{
	const char *host = "127.0.0.1", *port = "0";
	struct sigaction action;
	bool with_tcp = true;

	for (int c; (c = getopt(argc, argv, "ua:p:l:")) != -1; )
		switch (c) {
		case 'u': with_tcp = false; break;
		case 'a': host = optarg; break;
		case 'p': port = optarg; break;
		case 'l':
			if ((log_file = open(optarg, O_WRONLY | O_CREAT | O_APPEND, 0666)) == -1)
				die(optarg, strerror(errno));
			break;
		default:  optind = argc;
		}
	if (argc - optind != 1) {
		fprintf(stderr, "usage: dnsd [-u] [-a ADDR] [-p PORT] [-l LOG] FILE\n");
		return 64;
	}
	path = argv[optind];
	memset(&action, 0, sizeof action);
	action.sa_handler = on_signal;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < CLIENTS; i++)
		clients[i].fd = -1;
	rules_read();
	open_sockets(host, port, with_tcp);
	for (;;)
		turn();
}
