/*
 * smtpd.h - the map: types in the order of the story, then prototypes under
 * the name of their file.
 *
 * Conventions.  A function that can fail answers 0 or -1.  One that waits
 * comes as a pair: x_want says which descriptor and which deadline it waits
 * for, x_step goes on and answers -1 failed, 0 still waiting, 1 done.  Sizes
 * are octets, times are milliseconds unless a name says otherwise.  Strings
 * end in NUL unless a length stands beside them.
 */
#ifndef SMTPD_H
#define SMTPD_H

/* Every libc shows chroot, fsync, flock and the rest under one of these. */
#define _DEFAULT_SOURCE  1	/* glibc >= 2.20, musl */
#define _BSD_SOURCE      1	/* older glibc, dietlibc, Haiku */
#define _NETBSD_SOURCE   1
#define _DARWIN_C_SOURCE 1
#define __BSD_VISIBLE    1	/* FreeBSD, OpenBSD, DragonFly */
#define __EXTENSIONS__   1	/* illumos */
#define _ALL_SOURCE      1	/* AIX */
#define _FILE_OFFSET_BITS 64	/* large files and late years on 32 bits */
#define _TIME_BITS       64

#include <sys/types.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <limits.h>

struct pollfd;

#define SMTPD_VERSION "0.1"

/* sysexits.h, which POSIX lacks. */
#define EX_USAGE       64
#define EX_DATAERR     65
#define EX_NOINPUT     66
#define EX_UNAVAILABLE 69
#define EX_SOFTWARE    70
#define EX_OSERR       71
#define EX_CANTCREAT   73
#define EX_IOERR       74
#define EX_TEMPFAIL    75
#define EX_NOPERM      77
#define EX_CONFIG      78

/* ---- time and text ---------------------------------------------------- */

typedef long long msec;

#define DAY (86400 * 1000LL)

/* The clock, as read at the beginning of this turn of the loop. */
struct clock {
	msec tick;		/* only ever grows: for deadlines */
	msec wall;		/* since 1970, UTC: for dates and the schedule */
	int micro;		/* microseconds of tick, for the trace */
};

/* A string that grows.  data is NULL when nothing is allocated and ends in
 * NUL, not counted in len, whenever it is not. */
struct buf {
	char *data;
	size_t len, size;
	bool torn;		/* memory was out: something was not appended */
};

/* Where in the configuration something was said; line 0: it is a default. */
struct place {
	const char *file;
	int line;
};

/* ---- who and where ---------------------------------------------------- */

#define ADDR_TEXT   48		/* room for any address in text, with NUL */
#define DOMAIN_MAX  255		/* octets of a domain, RFC 5321 4.5.3.1.2 */
#define WORDS_SIZE  600		/* of somebody's last words */
#define PATH_OCTETS 1024	/* of a mailbox; the standard's 64 + 255 is too
				 * small for addresses that encode others */

struct addr {
	unsigned char family;	/* 4, 6, or 0: none */
	unsigned char octets[16];
	uint16_t port;
};

/* An entry of a list of clients: a network, or a domain. */
struct network {
	struct addr addr;
	int bits;		/* of the prefix */
	char *domain;		/* as the DNS has it: it and all below it; NULL: a network */
	struct network *next;
};

/* What the DNS says of an address: see rdns.c. */
enum rdns_result {
	RDNS_UNASKED,
	RDNS_NONE,		/* it has no name */
	RDNS_UNCONFIRMED,	/* its names do not lead back to it */
	RDNS_CONFIRMED,
	RDNS_LATER		/* nobody could say, or not of all its names */
};

/* Who is at the other end, as far as the rules can ask. */
struct client {
	struct addr addr;
	enum rdns_result rdns;
	char *names;		/* confirmed, each with its NUL, and another one; NULL: none */
	const char *account;	/* who it has proved to be, by AUTH; or NULL */
};

/* A forward- or reverse-path, RFC 5321 4.1.2, without its angle brackets. */
struct path {
	char text[PATH_OCTETS + 1];	/* "" is the null sender */
	const char *domain;	/* within text, behind the @; NULL: none given */
	bool eight;		/* has octets above 127, so needs SMTPUTF8 */
};

/* ---- a question to a name server ------------------------------------------ */

enum dns_type { DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_SOA = 6, DNS_PTR = 12, DNS_MX = 15, DNS_AAAA = 28 };

enum dns_result {
	DNS_FOUND,		/* there are records */
	DNS_NODATA,		/* the name is there, but nothing of this type */
	DNS_NXDOMAIN,		/* there is no such name */
	DNS_LATER		/* nobody could say; ask again later */
};

struct dns_record {
	uint16_t preference;	/* MX */
	uint16_t name;		/* MX, PTR: see dns_name */
	struct addr addr;	/* A, AAAA */
};

/* One block of memory: records, then their names. */
struct dns_answer {
	enum dns_result result;
	enum dns_type type;
	msec expires;		/* a tick */
	size_t size, count;
	struct dns_record record[];
};

enum dns_state { DNS_IDLE, DNS_UDP, DNS_CONNECT, DNS_TCP };

/* One question.  Its parent embeds it, and dns_end is the cancellation. */
struct dns {
	enum dns_state state;
	int fd;			/* -1 in DNS_IDLE */
	enum dns_type type;
	char name[DOMAIN_MAX + 1];	/* in lower case, no dot at its end */
	char asked[DOMAIN_MAX + 1];	/* the same, or an alias on the way */
	uint16_t id;
	bool plain;		/* without EDNS0: this server dislikes it */
	unsigned first, tries;	/* the server asked first; and how many since */
	unsigned chain;		/* aliases followed */
	unsigned junk;		/* packets that were no answer */
	uint32_t ttl;		/* the least on the way, seconds */
	msec deadline;
	struct buf tcp;		/* what is received by TCP */
	struct dns_answer *answer;
};

/* ---- a confirmed reverse look-up ------------------------------------------- */

/* Its parent embeds it, and rdns_end is the cancellation. */
struct rdns {
	struct addr addr;
	struct dns dns;
	struct dns_answer *ptr;	/* the names; NULL: not yet known */
	size_t at;		/* the one that is asked about */
	bool later;		/* a question was not answered */
	msec deadline;		/* of it all */
	enum rdns_result result;
	struct buf names;	/* as in struct client */
};

/* ---- texts, each once, whatever their case ------------------------------------ */

struct texts {
	char **text;		/* in the order they came */
	size_t count, room;
	size_t *place, places;	/* of them, by their hash, plus one */
};

/* ---- a question to a directory ----------------------------------------------- */

/* One value of an entry, by the attribute that has it. */
struct ldap_value {
	const char *name;	/* as the directory writes it, options and all */
	const char *octets;	/* with a NUL behind them, and perhaps some within */
	size_t n;
};

/* What a question has found, one block of memory.  Values of one attribute stand
 * together; an attribute without any does not stand here. */
struct ldap_entry {
	struct ldap_entry *next;	/* of those that wait to be taken */
	size_t size;		/* octets of all this */
	const char *dn;
	size_t count;
	struct ldap_value value[];
};

enum ldap_scope { SCOPE_BASE, SCOPE_ONE, SCOPE_SUBTREE };

/* What is asked: all of it is copied. */
struct ldap_question {
	const char *base;	/* DN; NULL: the server's */
	int scope;		/* of enum ldap_scope */
	const char *filter;	/* RFC 4515; values in it by ldap_escape */
	const char *const *attributes;	/* up to a NULL; none: "1.1" */
	long limit;		/* entries; one more is a failure; 0: as many as there are */
	bool paged;		/* in pages, RFC 2696: many are expected */
};

enum ldap_search_state { SEARCH_OVER, SEARCH_LINE, SEARCH_ASKED, SEARCH_PAGE };

/* One question.  Its parent embeds it, zeroed before the first use, and ldap_end
 * is the cancellation; until it is over it must not be moved in memory. */
struct ldap_search {
	enum ldap_search_state state;
	struct ldap *ldap;	/* NULL in SEARCH_OVER */
	bool failed, temporary;	/* SEARCH_OVER: see words; not temporary: to ask again would not help */
	int code;		/* of the result that failed it; 0: none came */
	char words[WORDS_SIZE];	/* why it failed, without a status code */
	struct ldap_entry *first, **last;	/* that wait to be taken */
	size_t waiting;		/* octets of them */
	long found, before;	/* entries so far; and before this page */
	int empty;		/* pages in a row that had none */
	bool again;		/* it has been asked before, on a connection that broke */
	bool paged;
	bool ours;		/* it begins where the operator said, so that has to be there */
	int32_t id;		/* SEARCH_ASKED: of its message */
	struct buf request, cookie;	/* the operation, encoded; where the next page begins */
	long limit;
	char *base, *filter;	/* for the log */
	msec began, deadline;	/* ticks */
	struct ldap_search *next, **from;	/* in line */
};

enum ldap_state { LDAP_IDLE, LDAP_LOOKUP, LDAP_CONNECT, LDAP_EXTENDED, LDAP_TLS, LDAP_BIND, LDAP_READY, LDAP_BACKOFF };

struct ldap;			/* a server's connection to its directories; ldap.c only */

/* ---- what the operator wrote ------------------------------------------ */

#define UNLIMITED LLONG_MAX

enum extension {		/* bits; what EHLO can offer */
	EXT_PIPELINING = 1 << 0, EXT_SIZE       = 1 << 1,
	EXT_8BITMIME   = 1 << 2, EXT_BINARYMIME = 1 << 3,
	EXT_CHUNKING   = 1 << 4, EXT_SMTPUTF8   = 1 << 5,
	EXT_DSN        = 1 << 6, EXT_STATUS     = 1 << 7,
	EXT_LIMITS     = 1 << 8, EXT_HELP       = 1 << 9,
	EXT_ETRN       = 1 << 10, EXT_ATRN      = 1 << 11,
	EXT_TURN       = 1 << 12, EXT_STARTTLS = 1 << 13,
	EXT_AUTH       = 1 << 14
};

#define EXT_COUNT 15

/* One of the model's two radio buttons with the list below it. */
struct access {
	bool only;		/* "only LIST"; else "all-except LIST" */
	struct network *list;
};

struct listen {
	struct addr addr;
	struct access proxies;	/* "only" them, who say for whom they speak; else anybody comes himself */
	bool tls;		/* from the first octet on, RFC 8314 */
	bool submission;	/* for those who write mail, RFC 6409 */
	struct place place;
	struct listen *next;
};

enum log_format { LOG_NONE, LOG_W3C, LOG_IIS, LOG_NCSA };
enum log_roll { ROLL_HOURLY, ROLL_DAILY, ROLL_WEEKLY, ROLL_MONTHLY, ROLL_NEVER, ROLL_SIZE };

/* The protocol log, and when another file of it begins. */
struct log {
	int format, roll;	/* of enum log_format, enum log_roll */
	long long size;		/* ROLL_SIZE: the most a file has */
	char *folder;
};

/* Who may operate, beside root and who runs the program. */
struct operator {
	bool group;
	unsigned long id;	/* of a user, or as a group */
	struct operator *next;
};

/* A next hop that the administrator named. */
struct hop {
	char *host;		/* a name, or an address in text */
	bool direct;		/* in brackets: no MX look-up */
	struct addr addr;	/* when it is an address; the port always: 0 the usual one */
	struct hop *next;
};

/* One of several names that the operator wrote. */
struct name {
	char *text;
	struct name *next;
};

#define RETRIES_MAX 16		/* intervals in a schedule */

/* What the files of recipients and aliases say: see names.c. */
#define NAME_PLAIN  64		/* octets of a name that can be a folder's */
#define MEMBERS_MAX 10000	/* recipients that aliases bring a message */

struct listed {
	const char *text;
	int line;
};

enum alias_state { ALIAS_NEW, ALIAS_OPEN, ALIAS_KNOWN };

struct alias {
	const char *name;
	int line;
	enum alias_state state;	/* while it is being measured */
	size_t first, count;	/* its members */
	long total;		/* recipients it stands for in the end */
};

struct member {
	const char *text;
	struct alias *alias;	/* which it is, or NULL */
	int line;
};

struct names {
	char *text[2];		/* the files */
	bool listed;		/* only those in `who' exist */
	struct listed *who;	/* sorted, as aliases are */
	struct alias *aliases;
	struct member *members;
	size_t count, alias_count, member_count;
};

enum domain_kind { DOMAIN_DEFAULT, DOMAIN_ALIAS, DOMAIN_REMOTE };

/* What we want of TLS as a client; without OpenSSL it is off or, never come by,
 * opportunistic. */
enum tls_policy { TLS_OFF, TLS_OPPORTUNISTIC, TLS_REQUIRED, TLS_VERIFIED };

#define TLS_PORT 465		/* where TLS comes first, RFC 8314 3.3 */

/* Who we are to a next hop. */
struct account {
	int mechanisms;		/* bits of enum mechanism: how it may be said */
	char *user, *file;	/* whose first line is the password, or the token */
	struct place place;
};

struct domain {
	char *name;		/* as written; "*.example.net" for a wildcard */
	enum domain_kind kind;
	char *drop;		/* the folder, default domain only, as the next four */
	const char *maildir;	/* what follows "maildir:" in it, or NULL */
	char *recipients, *aliases;	/* files, or NULL */
	struct names *names;	/* what they say; NULL: there are none */
	long long quota;	/* octets in that folder */
	bool allow_relay, helo_only;
	bool hold;		/* its mail waits to be asked for */
	struct name *hold_accounts;	/* by these, ATRN; NULL: by anybody, ETRN */
	struct hop *smart_host;
	int tls_policy;		/* enum tls_policy */
	struct account *account;	/* or NULL */
	int hidden;		/* extensions not used */
	struct place place;
	struct place *said;	/* as in struct server */
	struct domain *next;
};

enum directory_kind { DIRECTORY_CLEAR, DIRECTORY_TLS, DIRECTORY_LOCAL };	/* ldap, ldaps, ldapi */
enum directory_bind { BIND_ANONYMOUS, BIND_SIMPLE, BIND_EXTERNAL };

/* A directory that can be asked, of ldap-routing's `server'. */
struct directory {
	char *url;		/* as written */
	int kind;		/* of enum directory_kind */
	char *host;		/* a name, or an address in text; DIRECTORY_LOCAL: the path */
	struct addr addr;	/* when it is an address; the port always */
	struct directory *next;
};

/* The block ldap-routing, as far as the connection goes. */
struct ldap_routing {
	struct directory *directories;	/* in the order to try them; NULL: there is none */
	int bind;		/* of enum directory_bind */
	char *domain, *user, *password;	/* as written; the last one a file; or NULL */
	const char *bind_name;	/* made of them, as the directory wants it; or NULL */
	bool clear_text_password;
	char *base;
	int scope;		/* of enum ldap_scope */
	msec timeout;
	bool start_tls;
	char *ca_file;		/* or NULL */
	struct certificate *certificate;	/* our own, at most one */
	struct tls_context *tls;	/* see config_secure; NULL: nothing wants it */
};

/* The rest of it: how the directory names people, by its schema or as the operator
 * says; no list is NULL once it is checked, but all can be empty. */
struct naming {
	int schema;		/* of schemas */
	struct name *filters;	/* that find an address, asked in order: see schema_filter */
	char *member_filter;	/* that finds the members of a group; or NULL */
	long long size_limit;	/* recipients that one address may lead to */
	struct name *mail, *forward, *host, *member, *member_address, *owner, *group_class;
	long long cache[2];	/* how long an answer is good, and an unknown address, ms */
	bool senders;
};

/* A virtual server, as configured.  Never changes once it is checked. */
struct server {
	char *name;
	/* general */
	struct listen *listen;
	char *hostname;
	char *mailroot;
	long long connections, connections_per_client;
	msec timeout;
	bool start;
	struct log log;
	int log_fields;		/* bits, in the order of the words in log_fields */
	bool log_local_time;
	/* access */
	struct access connect, relay;
	bool open_relay;
	bool relay_authenticated;
	int authenticate;	/* of enum mechanism */
	bool clear_text_passwords;
	char *passwords;	/* file, or NULL */
	msec tarpit;
	struct certificate *certificates;
	char *client_authorities;	/* file: who signs the certificates that clients are asked for; or NULL */
	int tls_minimum;		/* enum tls_minimum */
	bool require_tls;
	struct tls_context *tls;	/* see config_secure; NULL: no certificate */
	/* messages */
	long long max_size, max_session, max_recipients;
	char *badmail;		/* the folder */
	int line_endings;	/* enum line_endings */
	int hidden, useless;	/* extensions not offered; and those without use here */
	long long per_connection;	/* messages on one of ours */
	char *ndr_copy_to;	/* or NULL */
	long long badmail_limit[2];	/* octets, and age */
	long long queue_warning[2];	/* messages, and the age of the oldest */
	long long badmail_warning[2];	/* messages, and octets */
	/* delivery */
	msec retry[RETRIES_MAX + 1];	/* 0 ends them; the last one repeats */
	long long glitch_retry[2];	/* an interval, and how often */
	msec notify, expire;
	msec local_retry, local_notify, local_expire;
	long long relays, relays_per_domain;	/* connections of ours */
	msec relay_timeout;
	long long port;
	char *masquerade;	/* or NULL */
	struct hop *smart_host;
	bool direct_first;
	long long max_hops;
	int reverse_dns;	/* enum reverse_dns */
	int tls_policy;		/* enum tls_policy */
	int smart_tls_policy;	/* the same, at its smart host */
	struct account *account;	/* for the smart host, or NULL */
	char *ca_file;		/* or NULL */
	struct certificate *own_certificate;	/* one at most, shown to who asks for it */
	/* ldap-routing */
	struct ldap_routing ldap;
	struct naming naming;
	/* security */
	struct operator *operators;	/* NULL: those of the whole program */

	struct domain *domains;	/* in the order written */
	struct domain *home;	/* the default one */
	struct place place;
	size_t end;		/* of its block in that file, behind the '}' */
	struct place *said;	/* per row of the settings table: where it was said */
	struct config *config;	/* that it is part of */
	struct tls_context *tls_client;	/* of our connections to others; NULL: they are in clear */
	struct server *next;
};

enum line_endings { ENDINGS_NORMALIZE, ENDINGS_REJECT,
	ENDINGS_EITHER			/* of a pipe: LF is as good as CR LF */
};
enum reverse_dns { REVERSE_OFF, REVERSE_ANNOTATE, REVERSE_REQUIRE };

/* ---- the table of directives ------------------------------------------------ */

enum block {
	TOP, SERVER, GENERAL, ACCESS, MESSAGES, DELIVERY, LDAP, SECURITY, DOMAIN, BLOCKS
};

enum value_kind {
	YESNO, NUMBER, SIZE, TIME, TEXT, WORD, ADDRESSES, LISTENER, EXTENSIONS,
	TIMES, HOPS, RESOLVERS, PAIR, LOG, WORDS, OPERATORS, NAMES, CERTIFICATES, ACCOUNT, DIRECTORIES,
	LATER			/* planned, and refused until it has effect */
};

struct setting {
	enum block block;
	enum value_kind kind;
	const char *name;
	size_t offset;		/* in struct config, struct server or struct domain */
	const char *preset;	/* the default as it would be written; NULL: see text */
	long long min, max;	/* of numbers, sizes and times */
	const char *words;	/* what a WORD can be, or each of WORDS; the kinds of a PAIR; a default that
				 * cannot be written */
	const char *label;	/* the model's tab and label */
	const char *text;
};

/* ---- all that was written ---------------------------------------------------- */

struct config {
	struct listen *resolvers;	/* NULL: those of the system */
	char *hosts;		/* file */
	char *user, *chroot;	/* or NULL */
	char *control;		/* the socket's path */
	struct operator *operators;
	char *metrics;		/* file, or NULL */
	struct place *said;	/* as in struct server */
	struct server *servers;
	int holds;		/* by those who live by it; the last one frees it */
	int files;		/* read for it, includes counted */
	int errors;		/* found in it: with any it is not used */
	struct memo *memory;	/* all that hangs on this configuration */
};

/* A way in which directories say who is who.  Attributes and classes are words
 * with a blank between them. */
struct schema {
	const char *name, *filter;	/* or several */
	const char *mail;		/* the addresses of an entry, the first one before all */
	const char *forward;		/* where its mail goes instead */
	const char *host;		/* or to which host */
	const char *member, *member_address;	/* of a group: entries, addresses */
	const char *owner;		/* of a group, either */
	const char *group_class;	/* what an entry is that is a group */
	const char *bind_name;		/* see schema_settle */
};

/* One while it is read. */
#define ERRORS_SHOWN 100
struct reading {
	struct config *config;
	struct place place;	/* of the statement */
	char *why;		/* where the first mistake is told; NULL: they go to the log */
	size_t why_size;
};

/* ---- a message -------------------------------------------------------- */

/* In a file the first three; the others while an attempt is under way. */
enum outcome {
	RCPT_OPEN, RCPT_ACCEPTED, RCPT_REJECTED,
	RCPT_TAKEN,		/* RCPT was answered 250; the content decides */
	RCPT_DEFERRED,
	RCPT_REPORTED		/* rejected; open until the report is committed */
};

struct recipient {
	enum outcome outcome;
	bool notified;		/* open, and its sender knows of the delay */
	bool chosen;		/* the attempt under way is about him */
	bool expired;		/* rejected because its time was over */
	bool passed;		/* accepted: those behind him have a message of their own */
	bool here;		/* open, and he lives here: the directory has said so */
	char *address;
	char *args;		/* its ESMTP parameters, or NULL */
	char *words;		/* why: the last reply, or our own "4.4.1 it ..."; or NULL */
	char *host;		/* whose reply that was; or NULL */
	off_t mark;		/* where its line begins in the file */
};

struct envelope {
	char *sender;		/* "" is the null sender; NULL: not yet known */
	char *sender_args;	/* or NULL */
	struct recipient *rcpt;
	size_t count, room;
	bool complete;		/* read from a file: its Return-Path was there */
};

/*
 * Message content on its way in: line ends made canonical, dots unstuffed,
 * the end found, octets and hops counted.  States are named by the octets
 * just seen; see content_take.
 */
struct content {
	unsigned char state;	/* enum in message.c */
	bool stuffed;		/* DATA: dots are stuffed and CRLF.CRLF ends it */
	bool raw;		/* BINARYMIME: octets pass untouched */
	bool either;		/* LF is as good as CR LF, next to the dot too */
	bool after_crlf;	/* the line before this one ended in CRLF */
	bool stray;		/* a bare CR or LF was seen */
	bool in_header;
	unsigned char match;	/* octets of "received:" matched on this line */
	long long header;	/* octets of it, and of its empty line; 0: it goes on */
	unsigned hops;		/* Received fields */
	long long size;		/* octets after unstuffing, RFC 1870 section 5 */
};

/* A message as somebody wrote it, and what is to be known to make it whole. */
struct draft {
	const char *text;	/* header and body */
	size_t n;
	const struct server *server;	/* whose names and limits hold */
	const char *id;		/* for a Message-ID */
	const char *from;	/* for a From field; NULL: a message without one is refused */
	bool extract;		/* recipients from its header, beside those there are */
	bool spoken;		/* by a person or a program: bare names in the header too get the
				 * default domain, and Resent- fields say for whom it is */
};

/* ---- the mailroot ----------------------------------------------------- */

#define ID_SIZE 36		/* of a message's id in text, with NUL */

/* A message's id: sorts by arrival, unique across restarts and machines. */
struct id {
	long long second;	/* of arrival, since 1970 UTC */
	uint32_t serial;	/* within that second */
	uint32_t origin;	/* random, one a process */
};

enum message_state { MESSAGE_WRITING, MESSAGE_PENDING, MESSAGE_KEPT, MESSAGE_LOST };

/*
 * A message being written.  The caller owns it until spool_commit, the spool
 * from then on; after spool_sync its state tells the outcome, and it stays
 * readable until spool_settle.
 */
struct message {
	struct id id;
	enum message_state state;
	int error;		/* errno of what failed, else 0 */
	int fd;			/* open in SortTemp, else -1 */
	bool claimed;		/* its original is SortTemp/ID.claim: by Pickup */
	bool report;		/* SortTemp/ID.marks says for whom it speaks: */
	struct id of;		/* of this message, then */
	bool noted;		/* Queue/ID.txt may stand beside it */
	long long size;		/* octets of the file */
	long body;		/* where the content begins in it */
	struct envelope env;
	struct message *next;	/* in the batch */
};

/* How an attempt at its chosen recipients ended; their outcomes and words tell
 * the rest. */
struct attempt {
	bool local;		/* into Drop: the local times hold */
	bool expanded;		/* who was accepted is a list */
	const char *transcript;	/* of the conversation, or NULL */
	const char *tls;	/* what protected it, or NULL */
	long long next;		/* second of the next one; 0: by the schedule */
	bool dsn;		/* the next hop reports of success itself */
	bool moved;		/* the file went to Drop */
	bool held;		/* there was none: it waits to be asked for */
};

enum action { FAILED, DELAYED, DELIVERED, RELAYED, EXPANDED };

/* A report on some of a message's recipients, RFC 3464. */
struct report {
	enum action action;
	const struct server *server;
	const struct message *m;	/* open, with its envelope */
	const struct attempt *attempt;
	long long until;	/* DELAYED: second at which we give up */
};

enum folder { PICKUP, SORTTEMP, QUEUE, DROP, BADMAIL, FOLDERS };

#define FOLDER_SIZE 700		/* of a folder's path, and */
#define PATH_SIZE   1024	/* of a path in it; names have at most 255 */
#define ARGS_OCTETS 2000	/* of an -args line: what MAIL or RCPT can carry */
#define ENVELOPE_OCTETS (64 << 20)	/* the most an envelope block may have */
#define HOST_SIZE   (DOMAIN_MAX + ADDR_TEXT + 10)

struct spool;			/* one mailroot; spool.c only */
struct pickup;			/* what is seen in its Pickup; pickup.c only */
struct journal;			/* its protocol log; journal.c only */

/* A folder of messages as it was while it was filled. */
struct view {
	char folder[FOLDER_SIZE];
	void *dir;		/* a DIR, as long as there are names to be read; or NULL */
	const char *end;	/* of its names: ".eml", or ".held" */
	struct id *ids;		/* by arrival; from `at` on they are still to come */
	size_t count, room, at;
};

/* One of its messages. */
struct entry {
	struct id id;
	const char *why;	/* it cannot be read, and its envelope is empty; else NULL */
	long long size, body;	/* octets of the message; where it begins in the file */
	long long next;		/* second of its next attempt; in the past: it is due, or on its way */
	struct envelope env;
	struct buf note;	/* ID.txt; no data: there is none */
	long long tried;	/* second of the last attempt, if that is what it tells of; or 0 */
};

/* ---- who is behind an address --------------------------------------------- */

enum known { KNOWN_NOT_YET, KNOWN_LATER, KNOWN_NOBODY, KNOWN_PERSON, KNOWN_GROUP };

/* What the directory says of an address, or of an entry.  Lists are strings, each
 * with its NUL. */
struct person {
	enum known known;
	char *dn;		/* his entry; or NULL */
	struct buf mail, forward;	/* addresses */
	char *host, *owner;	/* or NULL */
	bool entry;		/* the owner is one, by its DN; else an address */
	bool junk;		/* there is a forward, or a host, that is none */
	bool torn;		/* memory was out */
	char *words;		/* KNOWN_LATER: why */
};

/* What has become of an address in the end. */
enum fate {
	FATE_NOT_YET,
	FATE_LATER,		/* nobody could say: words */
	FATE_NOBODY,
	FATE_FAILED,		/* it leads nowhere: words */
	FATE_HERE,		/* somebody lives here */
	FATE_PASSED		/* those in `found' get it instead */
};

/* Somebody who is meant in the end. */
struct found {
	char *address, *host;	/* the host, or NULL */
	enum { FOUND_MEANT, FOUND_OPEN, FOUND_JUNK } how;	/* the others are asked about when their
				 * turn comes: nobody knows him now, or where his mail goes */
};

struct resolver;		/* a server's questions to its directory; resolve.c only */
struct inquiry;			/* one, about an address; resolve.c only */
struct probe;			/* one, about whatever an unfolding comes to; resolve.c only */

#define PROBES 16		/* that one unfolding has under way */

struct unfold_item {
	enum { ITEM_ADDRESS, ITEM_ENTRY, ITEM_GROUP, ITEM_SEEN } kind;	/* SEEN: of which all is known */
	size_t by;		/* the item it was come to by */
};

/* From an address to those who are meant: see resolve.c. */
struct unfolding {
	struct resolver *resolver;
	struct texts texts;	/* what it has come to; from `next' on not yet looked at; and of each */
	struct unfold_item *items;
	size_t room, next;
	struct probe *probes[PROBES];
	size_t busy, at;	/* at: the item that is looked at */
	struct found *found;
	size_t found_count, found_room;
	long missing;		/* members without an address */
	bool list, known, later, full;
	struct inquiry *owning;	/* who owns the list is asked about; or NULL */
	char *owner;		/* his address; or NULL */
	enum fate fate;
	char words[WORDS_SIZE];
};

/* ---- a connection ----------------------------------------------------- */

struct tls;			/* what protects one; tls.c only */
struct tls_context;		/* what a side brings to all of its; tls.c only */

enum tls_minimum { TLS_1_2, TLS_1_3 };

/* A certificate, with those that lead to its authority, and its key. */
#define CERTIFICATE_DAYS 14	/* before its end there are warnings */

struct certificate {
	char *file, *key;
	struct place place;
	long long expires;	/* second since 1970; known from config_secure on */
	struct certificate *next;
};

/* What can be said of one. */
struct tls_facts {
	long long expires;	/* second since 1970 */
	char kind[40];		/* "RSA 2048" */
	char names[300];	/* that it is for */
	bool named, self_signed;	/* is one of them the host's name? */
	char chain[100];	/* why it leads to no authority of this system; "": it does */
};

/* A buffered, non-blocking stream of octets.  An idle one has no buffers. */
struct conn {
	int fd;			/* -1: none */
	int to;			/* where `out` goes: the same, or the other one of two pipes */
	bool ended;		/* the other side will send no more */
	bool overlong;		/* the rest of a line too long is passed over */
	long long received, sent;	/* octets, since somebody counted them */
	struct buf in;		/* received, not yet consumed: from `at` on */
	size_t at;
	struct buf out;		/* not yet sent */
	struct addr peer, here;
	struct tls *tls;	/* NULL: in clear */
	size_t sip;		/* octets taken at a time, at most; 0: as many as there are */
};

/* ---- where mail for others goes --------------------------------------------- */

#define ADDRS_MAX 16		/* of a host that are tried */

enum route_state { ROUTE_HOP, ROUTE_MX, ROUTE_HOST, ROUTE_AAAA, ROUTE_A, ROUTE_ADDRESS };

/* The way to a destination, tried step by step. */
struct route {
	enum route_state state;
	const struct server *server;
	struct hop own;		/* of a domain that has no smart host */
	const struct hop *hop;	/* the one that is tried; NULL: no more */
	struct dns dns;
	struct dns_answer *mx;	/* NULL: the hop's host itself */
	size_t host, hosts;
	struct addr addrs[ADDRS_MAX];
	size_t addr, addr_count;
	int tried;		/* addresses */
	bool later;		/* some look-up of the host was not answered */
	bool permanent;		/* what failed so far did so for good */
	char text[HOST_SIZE];	/* the last one: "mx.example.com[192.0.2.1]:25" */
	char words[WORDS_SIZE];	/* why it failed */
};

/* Where mail of one route waits.  What is true of it: see dest.c. */
struct destination {
	struct vserver *owner;
	char *name;		/* a domain, a row's name, or "*": see route_name */
	struct id *queue;	/* [first, first + count), in the order of arrival */
	size_t first, count, room;
	struct id *sending;	/* what its connections have in hand */
	size_t sending_count, sending_room;
	size_t sending_before;	/* the first of them, since before another configuration */
	long long connections;
	long long window;	/* connections it has earned */
	long long next;		/* second; before it nobody connects */
	long long since;	/* of its trouble, by the schedule; 0: it is well */
	struct id told;		/* up to this one delays were looked at */
	bool hold;		/* by its row: it goes when it is asked for */
	struct id released;	/* up to this one it was */
	long long patience;	/* second; before it no release ends the back-off */
	int strikes;		/* transactions in a row that died */
	char *words, *host, *transcript;	/* of its last failure, or NULL */
	bool listed;		/* it wants a connection */
	struct destination *chain, *after, *elder;	/* in its bucket; in that list; with some in sending_before */
};

/* ---- the conversation in which we are the server -------------------------- */

/* What is true in each stands at the head of session.c. */
enum state { PROXY, NEWCOMER, SECURE, NAMING, GREET, IDLE, AUTH, PROVING, MAIL, RCPT, LOOKING, DATA, CHUNK, CHUNKS, COMMIT, CLOSE };

/* What has happened so far: the names stand in count.c. */
enum count {
	BYTES_RECEIVED, BYTES_SENT, MESSAGE_BYTES_RECEIVED, MESSAGE_BYTES_SENT,
	MESSAGES_RECEIVED, MESSAGES_SENT, MESSAGES_DELIVERED,
	RECIPIENTS_RECEIVED, RECIPIENTS_SENT, RECIPIENTS_LOCAL,
	REFUSED_SIZE, REFUSED_ADDRESSES, REFUSED_SPACE, SEND_RETRIES, DELIVERY_RETRIES,
	NDRS, DSN_FAILURES, CONNECTION_ERRORS, INBOUND, OUTBOUND, OUTBOUND_REFUSED,
	DIRECTORY_DROPS, PICKUP_RETRIEVED,
	LOGINS, LOGINS_REFUSED,
	BAD_PICKUP, BAD_GENERAL, BAD_NDR, BAD_NO_RECIPIENTS, ROUTING_LOOKUPS, ETRN_MESSAGES,
	DIRECTORY_ASKED, DIRECTORY_CACHED, DIRECTORY_FAILED, DIRECTORY_PASSED,
	COUNTS
};

/* What a folder holds, as it was seen at a tick. */
struct tally {
	long long count, octets, oldest;	/* second of arrival, 0 none */
	msec at;				/* 0: not yet */
};

/* What is true in each stands at the head of vserver.c. */
enum vstate { STOPPED, RUNNING, PAUSED, STOPPING, LEAVING };

#define USAGES 1024

/* What a folder for delivery has in it. */
struct usage {
	uint32_t owner;		/* the hash of whose it is */
	msec counted;		/* tick; 0: never */
	long long octets;
	bool full;		/* a message did not fit since then */
};

struct vserver {
	const struct server *conf;	/* of today */
	enum vstate state;
	bool delivers;			/* what waits in its Queue is on its way */
	bool failed;			/* it could not be started */
	struct spool *spool;
	struct usage drop[USAGES];	/* by owner */
	struct pickup *pickup;
	struct watch *watch;		/* of its folders */
	long long counts[COUNTS];
	struct tally tally[FOLDERS];
	struct journal *journal;	/* NULL: there is none */
	struct resolver *resolver;	/* the same */
	long long sessions, relays;
	struct vserver *next;
};

enum body { BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME };

/* From MAIL to the final reply, RFC 5321 3.3. */
struct tx {
	struct message *m;
	struct content content;
	long long announced;		/* octets, by SIZE; or 0 */
	enum body body;
	long members;			/* of aliases among its recipients */
	bool utf8;			/* SMTPUTF8 was asked for */
	bool chunked;			/* by BDAT */
	bool trusted;			/* who sends it has authenticated */
	struct buf header;		/* a submission's, until it is made whole */
	bool whole;			/* it is */
};

/* A recipient about whom the directory is asked. */
struct asking {
	struct inquiry *inquiry;
	char *address, *args;		/* args: or NULL */
};

/* What the protocol log remembers between a command and its reply. */
struct exchange {
	struct buf command;		/* that waits for its reply */
	long long received, sent;	/* octets since the last reply */
	msec since;			/* tick of the command */
};

/* As long as the connection. */
struct session {
	struct conn conn;
	struct vserver *owner;
	const struct server *conf;	/* as it was when the session began */
	struct client client;
	struct rdns *lookup;		/* in NAMING, else NULL */
	unsigned long number;
	bool implicit;			/* TLS from the first octet on */
	bool submission;		/* see struct listen */
	msec began, deadline;
	msec mute;			/* before this tick nothing is read or said; 0: see tarpit */
	msec due;			/* when it goes on though nothing happens */
	size_t slot;
	enum state state;
	bool esmtp;			/* greeted with EHLO */
	bool crlf;			/* the last command line ended in CRLF */
	bool lingers;			/* CLOSE: what is unread must be read */
	bool answered;			/* after COMMIT: the reply waits for the delivery */
	struct id kept;			/* and promises this message, unless it is 0 */
	bool secret;			/* AUTH was refused: a password may follow */
	struct exchange exchange;
	struct asking *asking;		/* in LOOKING, else NULL */
	int ahead;			/* of the next commands, those whose recipients are asked about already */
	int errors;
	int asked;			/* ETRN so far */
	struct auth *auth;		/* in AUTH and PROVING, else NULL */
	const char *mechanism;		/* of that */
	int failures, given_up;		/* of AUTH */
	char *account;			/* who it is, by AUTH; NULL: nobody in particular */
	char *helo;
	struct tx *tx;
	long long received;		/* octets of messages so far */
	long long chunk, chunk_size;	/* CHUNK: octets still to come, and in all */
	bool last;			/* CHUNK: LAST was said */
	int refusal;			/* CHUNK without tx: the reply, of enum reply */
};

/* Every reply we have, in the order of its code: the table is in reply.c. */
enum reply {
	R_READY, R_START_TLS, R_BYE, R_AUTHENTICATED, R_RESET, R_NOOP, R_SENDER, R_RECIPIENT, R_CHUNK, R_QUEUED,
	R_RELEASING, R_TURNED, R_NONE_HELD, R_VERIFY, R_RELEASED, R_CHALLENGE, R_GO_AHEAD, R_HELP,
	R_SHUTDOWN, R_TIMEOUT, R_FULL, R_CLIENT_FULL, R_ERRORS, R_MEMORY, R_SESSION,
	R_CLOSED, R_LOGINS, R_ENDED, R_CONNECT_LATER, R_NOT_YOURS, R_RELAY_LATER, R_DIRECTORY_LATER, R_NAME_LATER,
	R_DISK, R_UNFINISHED, R_NO_TURN, R_SPACE, R_QUOTA, R_RCPTS,
	R_NO_MAIL, R_LOGIN_LATER, R_NO_RELEASE, R_NOT_HELD, R_BY_ACCOUNT,
	R_UNKNOWN, R_LONG, R_LONG_RESPONSE, R_NUL, R_SYNTAX, R_NO_ARGUMENT, R_BAD_HELO, R_BAD_SENDER,
	R_BAD_RECIPIENT, R_PARAMETER_VALUE, R_PARAMETER_TWICE, R_CHUNK_SIZE, R_BAD_RESPONSE, R_CANCELLED, R_ABSENT,
	R_FOREIGN, R_HELLO_FIRST, R_MAIL_FIRST, R_RCPT_FIRST, R_NESTED, R_ALREADY, R_IN_CHUNKS, R_BINARY,
	R_FOLLOWED, R_BODY, R_NO_HELP, R_NO_MECHANISM, R_TLS_FIRST, R_AUTH_FIRST, R_NOT_PROVED, R_ENCRYPT, R_NOBODY, R_RELAY, R_NAMELESS, R_STRAY, R_SIZE, R_UTF8, R_DENIED, R_HOPS,
	R_HEADER, R_SENDER_BARE, R_RECIPIENT_BARE, R_PARAMETER
};

struct reply_row {
	int code;
	const char *status, *text, *clause;
};

/* The rules, in the order in which they are asked. */
enum rule { RULE_CONNECT, RULE_REVERSE_DNS, RULE_DOMAIN, RULE_ALLOW_RELAY, RULE_ACCOUNT, RULE_RELAY, RULES };

/* What a rule says, and which setting decided. */
struct verdict {
	enum reply reply;		/* R_NOOP: nothing, ask the next one */
	const char *setting;
	const char *words;		/* why */
	bool unknown;			/* it would take the client's name to say */
	bool local;			/* a recipient: his domain is ours */
	const struct domain *row;	/* the domain's, or NULL */
	long members;			/* of the alias that he is */
	bool ask;			/* R_RECIPIENT, if the directory knows him */
};

/* ---- the operator ------------------------------------------------------------------ */

#define REQUEST_WORDS 8

enum wish { WISH_NONE, WISH_RELOAD, WISH_SHUTDOWN };

/* What he asks for, and how far it has come: see operate.c. */
struct request {
	/* who asks; set before it begins */
	const struct config *config;
	unsigned long uid, gid;
	bool own;			/* whoever asks is who runs the program */
	bool alone;			/* no server runs: we are in his own process */
	/* what */
	struct buf line;
	char *words[REQUEST_WORDS];	/* in line */
	int count, row, verb;
	const char *server, *about;	/* the one server, or ""; what must be matched, or "" */
	bool json;
	enum folder folder;
	/* how far */
	struct vserver *v;		/* the one that is looked at */
	bool opened;			/* its mailroot, for this */
	int pass;
	struct view view;
	long long counted[4], oldest;	/* of STATUS: see count_turn */
	long long seen, done, kept, idle;	/* kept: they wait for nothing but to be let go; idle: no server runs that would try */
	msec told, waits;		/* ticks: of the last line of progress; of the next step, or 0 */
	int members;			/* of the line of JSON */
	int status;
	enum wish wish;			/* what only the loop can do */
	struct buf out;			/* the answer, as it grows */
};

/* One of our connections to others, as an operator sees it. */
struct peer {
	struct vserver *owner;
	unsigned long number;
	msec began;
	char host[HOST_SIZE], doing[200];
};

/* ---- log.c: words and time -------------------------------------------- */

extern struct clock now;
extern void (*clock_source)(struct clock *);	/* tests replace it */
extern void *(*memory)(void *, size_t);	/* realloc; tests make it fail */
extern bool log_verbose, log_tracing;

/* Read the clock once for this turn: sets `now`. */
void clock_turn(void);
/* Open the source of randomness; call before a chroot. */
void random_open(void);
uint32_t random_number(void);

/* Room in an array for one more than count elements of this size: its new
 * place, or NULL when memory is out, and then it is as before.  *room is how
 * many fit. */
void *grow(void *array, size_t *room, size_t count, size_t each);
/* Append; -1 when memory is out, and then b is as before. */
int buf_add(struct buf *b, const void *octets, size_t n);
int buf_addf(struct buf *b, const char *format, ...);
void buf_free(struct buf *b);

/* A copy on the heap that the caller frees, or NULL. */
char *text_copy(const char *s);
/* Make any octets printable, and harmless between quotes: controls, 8-bit, "
 * and \ as \xNN; cut to fit. */
char *text_safe(char *out, size_t size, const char *in, size_t n);
/* So a word of the operator's, for a complaint; good until the next but one. */
const char *text_shown(const char *word);
#define SIZE_TEXT 24
char *text_size(char out[SIZE_TEXT], long long n);	/* "512", "12K", "3000M" */
/* Print it in lines, broken at blanks; the first begins with `first', others with
 * prefix. */
void text_wrapped(const char *first, const char *prefix, const char *text);
/* Case-blind comparison in ASCII, whatever the locale. */
int text_compare(const char *a, const char *b);
bool text_prefix(const char *s, const char *prefix);
int text_lower(int c);
uint32_t text_hash(const char *s, uint32_t seed);	/* FNV-1a, folded; of any case the same */
/* 1 it is new, and the last one; 0 it is there, -1 memory is out. */
int texts_add(struct texts *t, const char *text);
bool texts_have(const struct texts *t, const char *text);
void texts_free(struct texts *t);		/* idempotent, on a zeroed one too */
/* A number of octets, at most UNLIMITED, *end behind its digits; -1: none. */
long long text_octets(const char *text, const char **end);

/* Civil time, UTC: proleptic Gregorian, RFC 5322 3.3 date, and back. */
#define DATE_SIZE 40
char *date_text(char out[DATE_SIZE], long long second);
void civil_from_second(long long second, int field[6]);
long long second_from_civil(const int field[6]);

void id_next(struct id *id);		/* a new one */
char *id_text(const struct id *id, char out[ID_SIZE]);
int id_parse(struct id *id, const char *text, size_t n);
int id_compare(const struct id *a, const struct id *b);	/* by arrival: < 0, 0, > 0 */
/* "ID" END as a file's name: its id, or -1. */
int id_name(struct id *id, const char *name, const char *end);

/* Lines of the log go here too, unless it is NULL. */
extern struct buf *log_copy;
/* One line of the operator's log; untrusted words go through text_safe. */
void log_line(const char *format, ...);
void log_detail(const char *format, ...);	/* only with -v */
void log_to_syslog(void);		/* from here on; call before a chroot */
extern const char *log_device;		/* syslogd's socket; tests replace it */
/* A sentence to standard error, and the end; status is from sysexits.h. */
void die(int status, const char *format, ...);
/* One line of the trace.  side is '>' from the client, '<' to it, '=' ours;
 * since is the tick at which the conversation began. */
unsigned long trace_number(void);	/* of a new conversation */
void trace_line(unsigned long number, msec since, const char *state, char side,
    const char *text, size_t n, const char *rule);

/* ---- tls.c: OpenSSL, or stubs --------------------------------------------- */

extern const bool tls_built;		/* is it there? */
const char *tls_library(void);		/* which, for -V; or "none" */

/* What a server needs: its certificates, from which TLS on, and whether clients
 * are asked for a certificate of these authorities' (a file; or NULL).  NULL: why
 * says it, and *list is then the one to blame, or NULL. */
struct tls_context *tls_server(const struct certificate **list, int minimum, const char *authorities, char *why, size_t size);
/* What a client needs: its own certificate, or NULL, and whom it believes (NULL:
 * whom the system does). */
/* Has the system certificates of authorities, to be believed where no file is named? */
bool tls_store(void);
struct tls_context *tls_client(const struct certificate *own, const char *authorities, char *why, size_t size);
void tls_context_free(struct tls_context *c);		/* idempotent on NULL */
/* Look at a certificate.  -1: why says what is wrong. */
int tls_look(const struct certificate *from, const char *hostname, struct tls_facts *f, char *why, size_t size);

/* Protect this descriptor: as a server with name NULL, else as a client that
 * speaks to that name (SNI), or address, and with `verify' to nobody else.
 * NULL: memory is out.  The context must outlive it. */
struct tls *tls_open(const struct tls_context *c, int fd, const char *name, bool verify);
void tls_free(struct tls *t);		/* which says that no more will come; idempotent on NULL */
/* Go on: 1 done, 0 still waiting, -1 why says it. */
int tls_handshake(struct tls *t, char *why, size_t size);
/* What to poll for, when its user waits for these events. */
short tls_events(const struct tls *t, short events);
/* As read and write, with EAGAIN. */
ssize_t tls_read(struct tls *t, char *out, size_t n);
ssize_t tls_write(struct tls *t, const char *octets, size_t n);
/* "TLSv1.3 TLS_AES_256_GCM_SHA384", and the other side "verified" or not where it
 * has shown a certificate; and the cipher alone, by its registered name. */
#define TLS_WORDS 200
const char *tls_words(const struct tls *t);
const char *tls_cipher(const struct tls *t);

/* ---- conn.c: a stream of octets ---------------------------------------- */

/* The most a line of a command may have, CRLF counted: RFC 5321 4.5.3.1.4
 * says 512, plus what the extensions add. */
#define LINE_OCTETS 4096

void conn_open(struct conn *c, int fd, int to);	/* takes the first descriptor */
void conn_close(struct conn *c);		/* idempotent */
bool conn_piped(const struct conn *c);		/* from a program of this system, by two pipes? */
/* It is the other's from now on, with what it has received and not yet sent. */
void conn_move(struct conn *to, struct conn *from);
void conn_want(const struct conn *c, bool reading, struct pollfd *slot);
/* Is it time for that, by what poll() says?  TLS may have to write to read. */
bool conn_ready(const struct conn *c, short events);
/* Receive what is there: 1 something, 0 nothing yet, -1 ended or broken. */
int conn_receive(struct conn *c);
/* What has been received and not consumed; valid until the next call. */
const char *conn_peek(const struct conn *c, size_t *n);
void conn_consume(struct conn *c, size_t n);
/* Protect it from here on: see tls_open.  What was received and not consumed is
 * forgotten: nobody knows who said it.  -1: memory is out. */
int conn_secure(struct conn *c, const struct tls_context *context, const char *name, bool verify);
/* A whole line without its end: 1, and *line is NUL-terminated in place and
 * valid until the next call; 0 none yet; -1 longer than LINE_OCTETS (and what
 * there is of it was discarded). */
int conn_line(struct conn *c, char **line, size_t *n, bool *crlf);
/* Give up what idleness does not need; call when a step is over. */
void conn_rest(struct conn *c);
/* Send what can be sent: 1 all gone, 0 some is left, -1 broken. */
int conn_flush(struct conn *c);
/* What it has received and sent since the last time joins these counts. */
void conn_count(struct conn *c, long long counts[]);
/* Say that no more will come, and take what is there: closing with input
 * unread would reset the connection, and our last words might be lost. */
void conn_part(struct conn *c);

/* A listening socket, or -1 with errno; *a gets the port the system picked. */
int conn_listen(struct addr *a);
/* Accept one: a descriptor, or -1 with errno. */
int conn_accept(int listener, struct addr *peer, struct addr *here);

/* A connection under way, never blocking: a descriptor, or -1 with errno; once
 * it can be written to, conn_connected says whether it stands. */
int conn_connect(const struct addr *to);
int conn_connected(int fd);
int conn_here(int fd, struct addr *here);	/* our end of it; -1: it is none of the Internet */
int conn_peer(int fd, struct addr *peer);	/* the other; the same */
/* A local socket: bound to that path, in the place of one that stands there; or
 * connected to it, now or in the end.  For datagrams @NAME is an abstract one.
 * -1 with errno. */
enum local { LOCAL_OURS, LOCAL_TRY, LOCAL_WAIT };
int conn_local(const char *path, int type, enum local how);
/* A datagram socket that hears `to` only, on a random port; or -1. */
int conn_datagram(const struct addr *to);

/* The poll array: room in it for n, and for how many there is.  -1 when memory
 * is out, and then it is as before. */
extern struct pollfd *slots;
int slots_reserve(size_t n);
size_t slots_room(void);
#define SLOTS_OURS 16		/* of the loop itself, and of the operator */

/* ---- dns.c: one question to a name server, and its answer ----------------- */

/* Whom to ask (NULL: those of /etc/resolv.conf), and which file of hosts to
 * look into first (NULL: /etc/hosts).  Empties the cache. */
void dns_configure(const struct listen *resolvers, const char *hosts);
/* Ask.  It may be answered at once: step until it says so. */
void dns_begin(struct dns *q, const char *name, enum dns_type type);
void dns_want(const struct dns *q, struct pollfd *slot, msec *until);
/* 0 still waiting; 1 done, and q->answer is there, q's own (NULL: memory is
 * out, as good as DNS_LATER). */
int dns_step(struct dns *q);
void dns_end(struct dns *q);			/* idempotent */
extern long long dns_queries;			/* sent so far */
const char *dns_name(const struct dns_answer *a, size_t i);	/* of record i */
/* Put MX records in the order to try them: equals in a new one each time. */
void dns_shuffle(struct dns_answer *a);

/* ---- ldap.c: questions to a directory, and their answers ------------------- */

/* A server's connection to its directories: nothing is opened before the first
 * question.  It must not outlive the configuration.  NULL: memory is out. */
struct ldap *ldap_open(const struct server *s);
void ldap_close(struct ldap *l);	/* what is still asked fails for now; idempotent on NULL */
/* Once in each turn, whether something is asked or not: it has one descriptor.
 * While no directory can be used what is asked fails at once. */
void ldap_want(const struct ldap *l, struct pollfd *slot, msec *until);
void ldap_step(struct ldap *l);
extern int32_t ldap_ids;	/* messages on a connection; then another one begins with 1 again */
/* Where it stands, in words: the URL, and the state or why it failed. */
void ldap_doing(const struct ldap *l, char *out, size_t size);

/* Ask.  It fails by itself after a while.  In any case it is to be ended, before
 * it is used again or freed. */
void ldap_begin(struct ldap_search *q, struct ldap *l, const struct ldap_question *what);
/* 1 an entry, the caller's from now on; 0 still waiting, 2 there is no more (no
 * such base is that too, where the question named it; where the configuration
 * did, all would be nobody); -1 it failed: q->words, q->temporary, q->code. */
int ldap_next(struct ldap_search *q, struct ldap_entry **e);
bool ldap_ready(const struct ldap_search *q);	/* would ldap_next not say 0? */
void ldap_end(struct ldap_search *q);		/* idempotent, on a zeroed one too */

/* ---- ber.c: the octets of LDAP ----------------------------------------------- */

/* An element's contents, or what is left of them. */
struct ber {
	const unsigned char *at, *end;
};

/* Tags of RFC 4511, as they stand in the octets. */
enum {
	BER_BOOLEAN = 0x01, BER_INTEGER = 0x02, BER_OCTETS = 0x04, BER_ENUMERATED = 0x0A,
	BER_SEQUENCE = 0x30, BER_SET = 0x31,
	BIND_REQUEST = 0x60, BIND_RESPONSE = 0x61, UNBIND_REQUEST = 0x42,
	SEARCH_REQUEST = 0x63, SEARCH_ENTRY = 0x64, SEARCH_DONE = 0x65, SEARCH_REFERENCE = 0x73,
	ABANDON_REQUEST = 0x50, EXTENDED_REQUEST = 0x77, EXTENDED_RESPONSE = 0x78,
	CONTROLS = 0xA0, REFERRAL = 0xA3
};

/* Append to b an element: open it, write what is in it, and close it; or all at once. */
size_t ber_open(struct buf *b, int tag);
void ber_close(struct buf *b, size_t at);
void ber_octets(struct buf *b, int tag, const char *octets, size_t n);
void ber_text(struct buf *b, int tag, const char *text);
void ber_number(struct buf *b, int tag, int32_t n);	/* 0 or more */
/* The octets that a tag and a length take, and the length of what follows; 0: they
 * are too few to tell, -1: that is nothing we read. */
int ber_head(const unsigned char *at, size_t n, size_t *length);
/* The next element: its tag, and in has its contents; -1: there is none. */
int ber_next(struct ber *from, struct ber *in);
bool ber_is(struct ber *from, int tag, struct ber *in);	/* it is there, and this one */
bool ber_int(struct ber *from, int tag, int32_t *n);	/* and is 0 or more */
size_t ber_size(const struct ber *b);
bool ber_same(const struct ber *b, const char *text);

/* Append octets as a value within a filter, RFC 4515: nothing in them means
 * anything there.  -1: memory is out. */
int ldap_escape(struct buf *b, const char *octets, size_t n);
/* Append a filter as it is sent: NULL, or what is wrong with it. */
const char *ldap_filter(struct buf *b, const char *text);
/* The result that the answer to an operation begins with, its code, and in words. */
bool ldap_result(struct ber *op, int32_t *code, char *words, size_t size);
/* The entry that this operation is: 1, 0 memory is out, -1 it is none, -2 it has
 * too many values. */
int ldap_entry_read(const struct ber *op, struct ldap_entry **e);
void ldap_entry_free(struct ldap_entry *e);	/* idempotent on NULL */
/* The next value of this attribute (whatever its options) behind v, or behind
 * nothing for NULL; NULL: there is no more. */
const struct ldap_value *ldap_value(const struct ldap_entry *e, const char *attribute, const struct ldap_value *v);

/* ---- rdns.c: who is this address? ---------------------------------------- */

void rdns_begin(struct rdns *r, const struct addr *a);
void rdns_want(const struct rdns *r, struct pollfd *slot, msec *until);
int rdns_step(struct rdns *r);			/* 0 still waiting, 1 done: see result, names */
void rdns_end(struct rdns *r);			/* idempotent */

/* ---- digest.c: SHA-256 and what is made of it, base64 ------------------------ */

void wipe(void *octets, size_t n);		/* so that no compiler leaves it out */
bool octets_same(const void *a, const void *b, size_t n);	/* in a time that does not depend on them */

#define SHA256_OCTETS 32
#define SHA256_BLOCK  64

struct sha256 {
	uint32_t state[8];
	uint64_t octets;	/* so far */
	unsigned char block[SHA256_BLOCK];	/* what is not yet a whole one */
	uint32_t w[16];		/* at work */
};

void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *octets, size_t n);
void sha256_end(struct sha256 *s, unsigned char digest[SHA256_OCTETS]);	/* and wipes it */
void sha256(const void *octets, size_t n, unsigned char digest[SHA256_OCTETS]);

struct hmac {
	struct sha256 inner, outer;
};

void hmac_begin(struct hmac *h, const void *key, size_t n);
void hmac_add(struct hmac *h, const void *octets, size_t n);
void hmac_end(struct hmac *h, unsigned char digest[SHA256_OCTETS]);	/* and wipes it */
void hmac(const void *key, size_t key_n, const void *octets, size_t n, unsigned char digest[SHA256_OCTETS]);

/* A key of 32 octets from a password, which is what RFC 5802 calls Hi(). */
struct pbkdf2 {
	uint32_t inner[8], outer[8];	/* the password, as HMAC has a key */
	uint32_t last[8], sum[8], w[16];
	long left;		/* iterations */
};

void pbkdf2_begin(struct pbkdf2 *p, const char *password, size_t n, const void *salt, size_t salt_n, long iterations);
/* So many iterations at most; true: that were all, the key is there, and p wiped. */
bool pbkdf2_step(struct pbkdf2 *p, long budget, unsigned char key[SHA256_OCTETS]);

#define BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)	/* room for n octets in text, with NUL */
size_t base64_encode(char *out, const void *octets, size_t n);	/* how long it is */
/* How many octets, at most n / 4 * 3, or -1 that is not base64 as RFC 4648 wants it.
 * In place is right too. */
long base64_decode(void *out, const char *text, size_t n);

/* ---- address.c: mailboxes, domains, networks ---------------------------- */

/* "192.0.2.1" or "2001:db8::1"; with_port: ":25" behind it, and brackets
 * round an IPv6 address.  0 or -1. */
int addr_parse(struct addr *a, const char *text, bool with_port);
char *addr_text(const struct addr *a, char out[ADDR_TEXT]);
/* As a domain of RFC 5321 4.1.3: [192.0.2.1], [IPv6:2001:db8::1]. */
char *addr_literal(const struct addr *a, char out[ADDR_TEXT + 8]);
/* As in a listener's announcement: with the port. */
char *addr_text_port(const struct addr *a, char out[ADDR_TEXT + 8]);
bool addr_same(const struct addr *a, const struct addr *b);	/* whatever the ports */
void addr_unmap(struct addr *a);	/* ::ffff:192.0.2.1 is 192.0.2.1: the rules are about that */
bool addr_any(const struct addr *a);			/* 0.0.0.0, :: */
bool addr_loopback(const struct addr *a);
int network_parse(struct network *n, const char *text);
bool network_has(const struct network *n, const struct addr *a);
bool access_allows(const struct access *list, const struct addr *a);	/* in a list without domains */
/* Does the list name this client?  1 yes, 0 no, -1 it would take its name to say. */
int access_names(const struct access *list, const struct client *c);
/* The confirmed name that is this one, whatever the case; or NULL. */
const char *client_name(const struct client *c, const char *name);
/* What the DNS calls this address when asked for its names. */
#define REVERSE_TEXT 74
char *addr_reverse(const struct addr *a, char out[REVERSE_TEXT]);

/* Read a path that begins at *in with '<'; *in is left behind its '>'. */
int path_read(struct path *p, const char **in);
/* Give a bare local part this domain; -1 when it gets too long. */
int path_complete(struct path *p, const char *domain);
/* A mailbox as Pickup's lines have it, with or without angle brackets. */
int path_parse(struct path *p, const char *text);
bool domain_valid(const char *text, size_t n);	/* RFC 5321 Domain, or an A-label's looser kin */
/* [192.0.2.1] or [IPv6:2001:db8::1]: 0 or -1. */
int literal_parse(struct addr *a, const char *text, size_t n);
bool domain_below(const char *name, const char *domain);	/* is it that, or in it? */
/* A domain as the DNS knows it: U-labels become A-labels, RFC 3492; 0 or -1. */
int domain_ascii(char out[DOMAIN_MAX + 1], const char *domain);
bool eight_bit(const char *text, size_t n);	/* has it an octet above 127? */
bool utf8_valid(const char *text, size_t n);	/* RFC 3629, shortest form */
bool xtext_valid(const char *text);		/* RFC 3461 section 4 */

/* ---- message.c: the text of a message ----------------------------------- */

/* The envelope as the file has it; all copies are the envelope's own. */
int envelope_sender(struct envelope *e, const char *address, const char *args);
int envelope_add(struct envelope *e, const char *address, const char *args);
bool envelope_has(const struct envelope *e, const char *address);
size_t envelope_open(const struct envelope *e);	/* how many are not finished */
/* The chosen ones go, and who is named again; -1: memory is out. */
int envelope_once(struct envelope *e);
/* Set what has become of a recipient, why, and who said so; both are copied, or NULL. */
void recipient_outcome(struct recipient *r, enum outcome outcome, const char *words, const char *host);
void envelope_free(struct envelope *e);
/* The recipients with this outcome as "<a>,<b>", printable and cut to fit. */
char *envelope_text(const struct envelope *e, enum outcome outcome, char *out, size_t size);
/* Append the block to b, open recipients only, and note where the marks are. */
int envelope_write(struct envelope *e, struct buf *b);
/* Read the block that text begins with: its length, or -1 and why.  domain
 * completes bare local parts; it is NULL for a file of our own, where a torn
 * mark counts as not finished. */
long envelope_read(struct envelope *e, const char *text, size_t n, const char *domain,
    const char **why);
/* The same from a file of our own: *why is NULL when the system failed, see errno. */
long envelope_load(int fd, struct envelope *e, const char **why);
void envelope_choose_none(struct envelope *e);
/* Is this word, such as "BODY=BINARYMIME", among the parameters?  They may be NULL. */
bool args_have(const char *args, const char *word);
void args_drop(char *args, const char *word);	/* with its =VALUE, in place */
/* The value of NAME=VALUE among them; value has ARGS_OCTETS + 1. */
bool args_value(const char *args, const char *name, char *value);

/* Begin; last_crlf: the line before it (the command's) ended in CRLF. */
void content_begin(struct content *c, bool stuffed, bool raw, bool last_crlf);
/* Take octets, append their canonical form to out; *used says how many were
 * taken.  1: the end was seen, 0: more to come, -1: out of memory. */
int content_take(struct content *c, const char *in, size_t n, size_t *used, struct buf *out);
/* The end by other means than a dot (BDAT LAST, end of file): close the line. */
int content_end(struct content *c, struct buf *out);
/* Append canonical content to out as DATA wants it: a dot before each that
 * begins a line.  *start: we are at the beginning of one; kept between calls. */
int content_stuff(struct buf *out, const char *octets, size_t n, bool *start);

/* Add the recipients that a list names, as in a field To: 0, or -1 and *why,
 * as message_complete.  Bare local parts get the default domain. */
int envelope_addresses(struct envelope *e, const char *text, size_t n, const struct server *s, const char **why);
/*
 * Make somebody's message whole: what the envelope lacks comes from header
 * fields, Bcc is removed, Date, Message-ID and From completed, line ends made
 * canonical; bare local parts get the default domain.  0, or -1 and *why: a
 * sentence about the message, or NULL when memory is out.
 */
extern const char no_recipients[];	/* the sentence when there are none */
int message_complete(struct envelope *e, struct buf *out, const struct draft *d, const char **why);
/* The same of a Pickup file, which may have x- lines in front.  A file of our
 * own stays as it is. */
int message_compose(struct envelope *e, struct buf *out, const char *text, size_t n,
    const struct server *server, const char *id, const char **why);
/* Append the header of a message that is submitted, made whole as RFC 6409
 * section 8 has it: d->text is all of it and its empty line.  -1: memory is out. */
int message_header(struct buf *out, const struct draft *d);
/* Does the header of this Pickup file end, in an empty line? */
bool message_has_body(const char *text, size_t n);

/* ---- process.c: what the system made of us ------------------------------------ */

/* Before anything else: see the head of process.c for the order. */
void process_begin(void);
/* Descriptors 0 to 2 are open from here on; was standard input closed? */
bool process_descriptors(void);
/* Whom to become: "NAME", "NAME:GROUP", or numbers.  NULL, or why not. */
const char *process_user(const char *spec);
bool process_told(void);			/* has it been called? */
bool process_unsaid(void);		/* we are root, and are not told to serve as root */
/* Can we, and is it said?  Else this is the end.  root: for process_confine. */
void process_may(const char *root);
void process_confine(const char *root);	/* NULL: we see all */
void process_folder(const char *path);	/* make it if it is missing, for whom we become */
bool process_become(void);		/* false: we are already */
/* A listening socket that our parent left us for this address; else -1. */
int process_socket(const struct addr *a);
void process_sockets_end(void);		/* close those that nobody has taken, and say so */
/* Tell who started us: "READY=1\nSTATUS=..."; never waits, never fails. */
void process_notify(const char *format, ...);
void process_reloading(void);			/* READY=1 says that it is over */

/* ---- config.c: what the operator wrote ----------------------------------- */

/* Read and check FILE, or the embedded default for NULL.  NULL when it is
 * wrong: every mistake has then been printed to standard error. */
struct config *config_load(const char *file);
/* For who is to serve by it: read the certificates and keys.  -1: what is wrong
 * was printed. */
int config_secure(struct config *c);
/* Can others than its owner read or write the key? */
bool config_key_open(const struct certificate *of);
/* Become whom it says when it is time, unless -u has told us already; it is the
 * end when there is no such user. */
void config_identify(const struct config *c);
/* It is held once by who loaded it, and by all that live by it. */
void config_hold(struct config *c);
void config_release(struct config *c);
/* For who is about to change it: the same, with this text where the file
 * `instead` would be read.  The first mistake is told in why, nothing printed;
 * and a server is not demanded. */
struct config *config_try(const char *file, const char *instead, const struct buf *with, char *why, size_t size);
/* For who wants to know no more than where the running server can be asked: the
 * same, whatever its mistakes, and nothing printed.  NULL: it does not say. */
struct config *config_sketch(const char *file);
#define CONFIG_OCTETS (1 << 20)	/* of one of its files */
/* The host's own name, as a domain. */
#define CONFIG_HOST 256
char *config_host(char out[CONFIG_HOST]);
/* Would the password be said to whoever is in between?  policy: enum tls_policy. */
bool config_exposed(const struct account *a, int policy);
/* Does it believe anybody's certificate, as a client? */
bool config_verifies(const struct server *s);
/* Where a setting of a server, or with DOMAIN of its default domain, was given; or
 * else where its block begins. */
const struct place *server_place(const struct server *s, enum block block, const char *name);
/* Which row of a server's configuration rules this domain, or NULL. */
const struct domain *config_domain(const struct server *s, const char *name);
/* Where a setting of the top level was given. */
struct place config_place(const struct config *c, const char *name);
bool domain_local(const struct domain *d);
/* These, and those that are nothing without one of them. */
int extensions_hidden(int hidden);
bool config_offers(const struct server *s, int extension);	/* is it none of those, and of use? */
/* The sender, whose domain, if it is ours, takes another name: masquerade. */
const char *config_masked(const struct server *s, const char *sender, char out[PATH_OCTETS + DOMAIN_MAX + 2]);
/* Is there such a mailbox, or alias, in our domains? */
bool config_exists(const struct server *s, const char *address);
/* May this account have the mail that is held for this domain; NULL: may anybody? */
bool config_collects(const struct server *s, const char *domain, const char *account);
/* The path of one of its folders: relative ones are below the mailroot.  -1 with
 * errno: too long. */
int config_folder(const struct server *s, enum folder f, char out[FOLDER_SIZE]);
bool config_local(const struct server *s, const char *address);	/* is its domain ours? */
/* When a message of this arrival, for our own domains or others, is given up;
 * and when its sender is told of the delay, LLONG_MAX never.  Seconds since 1970. */
long long config_expires(const struct server *s, long long arrival, bool local);
long long config_notifies(const struct server *s, long long arrival, bool local);
/* When, counted from its arrival, the next attempt is due; glitch: it was not
 * even reached.  All in seconds since 1970. */
long long config_attempt(const struct server *s, long long arrival, bool glitch);
/* The same as it will be seen at that second. */
long long config_attempt_after(const struct server *s, long long arrival, bool glitch, long long second);
/* "NAME (FILE:LINE)" or "NAME (default)" of a directive, for the trace. */
#define WHERE_SIZE 160
char *config_where(char out[WHERE_SIZE], const struct server *s, const char *name);
/* The same of a setting in this domain's block; NULL: of one that is in none. */
char *config_where_row(char out[WHERE_SIZE], const struct server *s, const struct domain *row, const char *name);

/* ---- value.c: words become values ------------------------------------------ */

/* Zeroed memory that lives as long as c.  Without it there is no configuration,
 * and at the time of reading one that is the end. */
void *keep(struct config *c, size_t n);
char *keep_text(struct config *c, const char *s);
void keep_free(struct config *c);		/* all of it */
/* A mistake, in the statement that is read, or elsewhere.  It is counted. */
void complain(struct reading *r, const char *format, ...);
void complain_at(struct reading *r, const struct place *where, const char *format, ...);
/* One directive's words become its value in the block's struct at base. */
void value_set(struct reading *r, const struct setting *s, char **words, int n, char *base);
/* Give every setting of a struct that these blocks fill its default. */
void value_presets(struct reading *r, enum block from, enum block to, char *base);
/* Where a setting was given, by what is said; or else. */
const struct place *value_said(const struct place *said, enum block block, const char *name,
    const struct place *otherwise);
/* Is it a list, which may go on in a further line of the same name? */
bool value_adds(const struct setting *s);
/* Which of these words is it?  0, and *to counts from 0; -1: none of them. */
int value_word(struct reading *r, const char *name, const char *words, const char *word, int *to);
void value_listeners(struct reading *r, char **words, int n, struct listen **to);

/* ---- names.c: who lives here ------------------------------------------------ */

/* Read both files of d, or one of them, named where it is said; *errors are
 * added up, and are in the log.  folders: each recipient is to have one of his
 * own name. */
struct names *names_read(const struct domain *d, const struct domain *domains, bool folders, const struct place *const said[2], int *errors);
void names_free(struct names *n);		/* idempotent on NULL */
/* As the file has him; or NULL.  The address is in one of our domains. */
const char *names_find(const struct names *n, const char *address);
const struct alias *names_alias(const struct names *n, const char *address);
bool names_postmaster(const char *address);	/* RFC 5321 4.5.1: he is always there */

/* ---- schema.c: how directories name people ---------------------------------------- */

/* What the operator has not said of how his directory names people is as its schema
 * has it, and the bind name is made of user and domain. */
void schema_settle(struct reading *r, struct server *s);
/* Append the filter that finds an address: %s is it, %u what stands before its @,
 * %d what stands behind it; or else a DN, which is %s.  -1: memory is out. */
int schema_filter(struct buf *b, const char *filter, const char *address);

/* ---- settings.c: the table of directives ------------------------------------ */

extern const struct setting settings[];
extern const size_t settings_count;
extern const char *const block_name[BLOCKS];
extern const char log_fields[];		/* the words of log-fields */
/* The keywords of extensions, in the order of their bits. */
extern const char *const extension_name[EXT_COUNT];
/* The name in this block that is nearest to a misspelt one, or NULL. */
const char *setting_nearest(enum block block, const char *word);
extern const struct schema schemas[];
extern const size_t schemas_count;
/* One value of it as a setting of its own: of a pair the i-th. */
struct setting setting_part(const struct setting *s, int i);
/* "1s to 30d", "at least 16K", its words; "" where there is no such thing. */
#define RANGE_SIZE 80
char *setting_range(char out[RANGE_SIZE], const struct setting *s);
/* Print what a setting means, or a block of them, or all as a commented
 * configuration. */
int settings_explain(const char *name);
void settings_manual(void);

/* ---- disk.c: every act on the disk that a promise rests on ----------------- */

/* Called before each with its name ("open", "write", "sync", "rename",
 * "space"); a test makes it answer an errno to play a failure. */
extern int (*disk_fault)(const char *act);

bool disk_refused(const char *act);		/* errno is set then */
int disk_open(const char *path, int flags);	/* never through a link */
int disk_write(int fd, const char *octets, size_t n);
int disk_sync(int fd);
/* One sync for all files of the file system; false: sync each. */
bool disk_sync_together(int fd);
int disk_sync_folder(int fd);
int disk_folder(const char *folder);		/* the same, by its path */
int disk_rename(const char *from, const char *to);
int disk_file(const char *path, const char *text, size_t n);	/* written and synced */
/* Append the text of a file, `most` octets or less; NULL, or why it cannot be read. */
const char *disk_text(const char *path, struct buf *text, size_t most);
/* `head`, then what fd has from `body` on, where CR LF becomes LF if lf: written at
 * temp, synced, renamed to path. */
int disk_copy(int fd, off_t body, const struct buf *head, const char *temp, const char *path, bool lf);
long long disk_room(const char *folder);	/* octets that we may still use there */
long long disk_usage(const char *folder);	/* octets of its files */
/* Remove the oldest of our files until what is left has at most so many octets,
 * and is younger than that. */
void disk_prune(const char *folder, long long most, msec age);

/* A file of the operator's, written anew.  FILE.new beside it is also the lock: EEXIST. */
struct rewrite {
	char path[PATH_SIZE], temp[PATH_SIZE + 4];
	int fd;
};

#define REWRITE_BUSY ": somebody else is at it; if not, remove it"
int rewrite_begin(struct rewrite *r, const char *file);
/* Links stay links, mode and owner are kept; a new file has this mode and, made by
 * root, the owner of the file `as', or NULL.  b NULL: nothing is to be written. */
int rewrite_end(struct rewrite *r, const struct buf *b, mode_t mode, const char *as);

/* ---- view.c: what lies in a mailroot, looked at without the server ----------- */

/* -1 with errno. */
int view_open(struct view *v, const struct server *s, enum folder f, const char *end);
/* Read so many names at most: 1 all are there, 0 more are to come, -1 memory is
 * out and it is closed. */
int view_fill(struct view *v, long most);
/* 1 and the next one, which entry_free gives back; 0 there is no more. */
int view_next(struct view *v, struct entry *e);
void view_close(struct view *v);
void entry_free(struct entry *e);
/* Why this open recipient, or with NULL anybody, has not got it yet, by the note; or "". */
const char *entry_words(const struct entry *e, const struct server *s, const struct recipient *to, char out[WORDS_SIZE]);
/* Append it as a string of JSON, quotes and all. */
int json_text(struct buf *b, const char *s);

/* ---- auth.c: who somebody is, SASL in both roles ------------------------------- */

enum mechanism {		/* bits */
	MECH_ANONYMOUS = 1 << 0,	/* only a word of the configuration: no AUTH needed */
	MECH_PLAIN = 1 << 1, MECH_LOGIN = 1 << 2, MECH_SCRAM = 1 << 3, MECH_XOAUTH2 = 1 << 4
};

#define MECH_COUNT 5
extern const char *const mechanism_name[MECH_COUNT];	/* by bit */

#define ACCOUNT_OCTETS 255
#define AUTH_LINE      12288	/* of a line in base64 that we say, RFC 4954 section 4; of those heard LINE_OCTETS is enough */
#define ITERATIONS_MIN 4096	/* RFC 7677 section 4 */
#define ITERATIONS_MAX 1000000

enum auth_result {
	AUTH_FAILED,		/* unknown, or the wrong password: one answer for both */
	AUTH_MALFORMED,		/* not base64, or not what the mechanism says: 501 5.5.2 */
	AUTH_UNAVAILABLE,	/* the passwords cannot be read: 454 4.7.0; the log says why */
	AUTH_WORKING,		/* call auth_work in the next turn */
	AUTH_CHALLENGE,		/* say 334 and auth_challenge */
	AUTH_DONE
};

/* One exchange in which we are the server; wiped when freed. */
struct auth;
/* passwords, a file, must live as long.  NULL: out of memory. */
struct auth *auth_begin(enum mechanism m, const char *passwords);
/* A line of the client, still in base64; NULL: AUTH had no initial response; "="
 * is an empty one, only there.  "*" is the caller's. */
enum auth_result auth_take(struct auth *a, const char *response);
enum auth_result auth_work(struct auth *a);
const char *auth_challenge(const struct auth *a);	/* in base64; "" */
/* Who he is; until AUTH_DONE who he says he is, or "".  It may not be printable. */
const char *auth_account(const struct auth *a);
void auth_free(struct auth *a);		/* idempotent on NULL */
/* By a key that this process alone knows. */
void auth_digest(const void *octets, size_t n, unsigned char out[SHA256_OCTETS]);

/* One in which we are the client. */
struct sasl;
/* Both are copied.  NULL: out of memory, or they are too long. */
struct sasl *sasl_begin(enum mechanism m, const char *user, const char *secret);
int sasl_work(struct sasl *s);		/* 0 call it in the next turn; 1 sasl_response is what to say next */
/* In base64; NULL: none yet.  There after sasl_begin, where the mechanism has an initial one,
 * which may as well be said behind an empty 334. */
const char *sasl_response(const struct sasl *s);
/* What came behind 334: 0 go on with sasl_work until it is 1; -1 it is malformed, or the
 * server does not know our password: give it up. */
int sasl_take(struct sasl *s, const char *challenge);
/* 235 has come: did the server prove that it knows us, where the mechanism lets it? */
bool sasl_trusts(const struct sasl *s);
void sasl_free(struct sasl *s);		/* idempotent on NULL */

/* The first line of a file that only its owner can read: NULL, or why not. */
const char *auth_secret(const char *file, char *out, size_t size);
/* How many accounts this file of passwords has; -1 and why: the first mistake, with its line. */
long auth_accounts(const char *passwords, char *why, size_t size);
/* All that is in it: NULL, or why not. */
const char *auth_text(const char *passwords, struct buf *text);
/* Whose line is this, without its end?  His name's length; 0: nobody's, but right; -1: a mistake. */
long auth_line(const char *line, size_t n);
/* Append the line of this account; the password is wiped by the caller.  -1: memory is out. */
int auth_verifier(struct buf *b, const char *user, const char *password, long iterations);
/* Append the key of those who have no account, unless there is one.  -1: memory is out. */
int auth_key(struct buf *text);
/* UTF-8 without controls, and not empty: can it be a name, or a password? */
bool auth_text_valid(const char *text, size_t n);
extern const char *auth_nonce;		/* tests set it: the next ones are this; else NULL */

/* ---- spool.c: messages on disk ------------------------------------------- */

/* Make the folders, take the lock, recover.  NULL when it cannot, with the
 * reason in why. */
struct spool *spool_open(const struct server *s, char *why, size_t size);
/* Only make the mailroot, if it is missing; -1 and why not. */
int spool_mailroot(const struct server *s, char *why, size_t size);
void spool_close(struct spool *sp);	/* idempotent on NULL */
/* One whose commit ends in Pickup, for somebody who may add files there and no
 * more; the server need not run.  NULL with errno. */
struct spool *spool_open_pickup(const struct server *s);
/* Another configuration of the same mailroot; -1 as above. */
int spool_configure(struct spool *sp, const struct server *s, char *why, size_t size);
/* Look at it in the next turn. */
void spool_again(struct spool *sp, const struct id *id);
/* Lower *until to when the spool next has work. */
void spool_want(const struct spool *sp, msec *until);
/* A turn begins, in which so many that are due may be looked at. */
void spool_step(struct spool *sp);

/* Is there room for a message of this size?  0, or errno. */
int spool_room(struct spool *sp, long long size);
/* A new message, no file yet; NULL: out of memory. */
struct message *spool_new(const struct id *id);
/* Make its file in SortTemp, which begins with the envelope and `head`. */
int spool_create(struct spool *sp, struct message *m, const char *head);
int spool_write(struct message *m, const char *octets, size_t n);
/* Give it up and free it; nothing stays on disk.  NULL is fine. */
void spool_abandon(struct spool *sp, struct message *m);
/* Hand a complete message to this turn's batch. */
void spool_commit(struct spool *sp, struct message *m);
/* Is there a batch, or something gone that must not come back? */
bool spool_pending(const struct spool *sp);
/* THE COMMIT.  Sync, rename into Queue, sync the folder, for the whole batch. */
void spool_sync(struct spool *sp);
/* The batch is over: what was committed is ready, the rest is freed. */
void spool_settle(struct spool *sp);
/* What the last commit did and how long it took, for the trace. */
const char *spool_account(const struct spool *sp);

/*
 * What is to be delivered.  A message from spool_ready or spool_take is the
 * caller's until spool_release.
 */

/* The next one: between spool_step and spool_settle what is due, then what was
 * committed; or NULL.  Take them all before anything else is looked at: a report
 * among them has marks to be made. */
struct message *spool_ready(struct spool *sp);
/* Open one in Queue: fd, envelope, body.  NULL: it is not there, or cannot be
 * read now and is looked at again later; or, errno is EAGAIN, a report on it is
 * not yet committed. */
struct message *spool_take(struct spool *sp, const struct id *id);
bool spool_reports(const struct spool *sp, const struct id *id);	/* is there such a report? */
/* Open the file of one whose envelope is known; 0 or -1. */
int spool_reopen(struct spool *sp, struct message *m);
void spool_release(struct message *m);		/* NULL is fine */
/* It goes from Queue; noted: Queue/ID.txt may stand beside it. */
void spool_remove(struct spool *sp, const struct id *id, bool noted);
/* Look at it again at this second; the file's mtime says so too. */
void spool_wait(struct spool *sp, const struct id *id, long long second);
/* The same, after local-retry: something failed here. */
void spool_later(struct spool *sp, const struct id *id);
/* Only the mtime: who waits in another queue. */
void spool_touch(struct spool *sp, const struct id *id, long long second);
/* All that waits is due now. */
void spool_retry(struct spool *sp);
size_t spool_waiting(const struct spool *sp);	/* for a time of their own */
/* A name was removed from Queue that must not come back. */
void spool_changed(struct spool *sp);

/* Put what stands at `from` into Badmail, and why beside it; origin says
 * where it came from.  -1: it stays where it is. */
int spool_badmail(struct spool *sp, const char *from, const struct id *id,
    const char *origin, const char *why);
/* Its folders, and paths in them, of any name or of a message's. */
const char *spool_folder(const struct spool *sp, enum folder f);
char *spool_path(const struct spool *sp, char out[PATH_SIZE], enum folder f, const char *name);
char *spool_path_id(const struct spool *sp, char out[PATH_SIZE], enum folder f,
    const struct id *id, const char *end);
/* Call take with each name in a folder but dot-files; false from it means a
 * stranger, who is mentioned in the log.  -1: the folder cannot be read. */
int spool_each(struct spool *sp, enum folder f, bool (*take)(void *, const char *), void *with);

/* ---- outcome.c: what an attempt came to ---------------------------------------- */

/* Complete what a crash left of reports; before anything is looked at. */
void outcome_open(struct vserver *v);
/* Before an attempt, once for what spool_ready gave: false when there is nothing
 * to attempt. */
bool outcome_begin(struct vserver *v, const struct message *m);
/* Hand it to the batch in the place of the chosen recipients of m: when it is
 * committed they are marked x-resolved, once.  -1: the disk would not take it. */
int outcome_pass(struct vserver *v, struct message *m, struct message *instead);
/* An attempt is over: marks, reports, transcript, schedule, end. */
void outcome_conclude(struct vserver *v, struct message *m, const struct attempt *a);
/* One mail, from nobody, to the postmaster of the default domain. */
int outcome_tell(struct vserver *v, const char *subject, const char *text);
/* Leave words, and the conversation, beside a message that waits. */
void outcome_note(struct spool *sp, const struct id *id, const char *words, const char *transcript, long long next);

/* ---- resolve.c: who is behind an address, by the directory ------------------------ */

/* counts: its server's.  NULL: memory is out. */
struct resolver *resolver_open(const struct server *s, long long counts[]);
void resolver_close(struct resolver *r);	/* idempotent on NULL; nothing is asked any more */
/* Another configuration of the same server: what is asked is asked anew.  -1:
 * memory is out. */
int resolver_configure(struct resolver *r, const struct server *s);
/* One slot; idempotent on NULL. */
void resolver_want(const struct resolver *r, struct pollfd *slot, msec *until);
void resolver_step(struct resolver *r);
/* Where its connection stands, in words. */
void resolver_doing(const struct resolver *r, char *out, size_t size);

/* Ask about an address; equal questions are one, and answers are remembered for a
 * while.  NULL: too much is asked, or memory is out: as good as KNOWN_LATER. */
struct inquiry *inquiry_begin(struct resolver *r, const char *address);
/* Soon somebody will ask about it. */
void inquiry_ahead(struct resolver *r, const char *address);
/* Under which of his addresses a person has his mailbox, who was asked about by this
 * one; NULL: by his entry.  NULL: he has none. */
const char *person_mailbox(const struct server *s, const struct person *p, const char *address);
/* NULL: not yet; good until it is ended. */
const struct person *inquiry_answer(const struct inquiry *q);
void inquiry_end(struct inquiry *q);		/* idempotent on NULL */

/* Is there room for one more?  Those that are over count as long as they are held. */
bool unfold_room(const struct resolver *r, bool held);
/* Whoever is behind this address.  NULL: memory is out. */
struct unfolding *unfold_begin(struct resolver *r, const char *address);
/* Go on as far as that goes now; see fate. */
enum fate unfold_step(struct unfolding *u);
void unfold_end(struct unfolding *u);		/* idempotent on NULL */
/* For who has nothing else to do: wait until it is answered, or over. */
const struct person *inquiry_wait(const struct inquiry *q);
enum fate unfold_wait(struct unfolding *u);

/* ---- expand.c: those who are meant get the message ----------------------------------- */

/* What spool_ready gave: true, the directory must be asked about some of its
 * recipients first, and it is expand.c's from now on; the others are on their way. */
bool expand_take(struct vserver *v, struct message *m);
/* One of those about whom all is known, to be delivered; or NULL. */
struct message *expand_ready(struct vserver *v);
void expand_want(const struct vserver *v, msec *until);
/* Nothing of v is asked any more; it is looked at again now, or not. */
void expand_forget(struct vserver *v, bool again);

/* ---- drop.c: delivery to those who live here -------------------------------------- */

/* Is the folder of this recipient within its quota? */
bool drop_quota(struct vserver *v, const char *address);
/* Deliver what spool_ready gave to those who live here; true: somebody elsewhere
 * is open. */
bool drop_deliver(struct vserver *v, struct message *m);

/* ---- journal.c: the protocol logs ------------------------------------------ */

/* Without one, *to is NULL, and so may j be below.  -1: why says it. */
int journal_open(struct journal **to, const struct server *s, char *why, size_t size);
void journal_close(struct journal *j);
/* What waits goes to the file: call when a turn of the loop is over. */
void journal_write(struct journal *j);
/* We are the server: a command, which is copied, and a line of a reply, to it
 * or unasked.  user is who he says he is, or NULL; id is that of the message
 * that is promised, or 0.  When the connection ends the exchange is forgotten. */
void journal_command(struct journal *j, struct exchange *x, const char *line, size_t n);
void journal_reply(struct journal *j, struct exchange *x, const struct conn *c, const char *user,
    const struct id *id, const char *line);
void journal_forget(struct exchange *x);
/* We are the client: a line to them '>', or from them '<'; x->sent is set
 * before where it is not the line's length. */
void journal_relay(struct journal *j, struct exchange *x, const struct conn *c, char side,
    const char *line, size_t n);
/* The name of the file for this civil time; number is for ROLL_SIZE. */
#define JOURNAL_NAME 40
void journal_name(char out[JOURNAL_NAME], const struct log *l, const int field[6], unsigned number);

/* ---- mime.c: a message without 8-bit octets ---------------------------------- */

/* Append to out what text, a whole message, says, in 7 bits: RFC 6152 section 3.
 * -1: it cannot be said so. */
int mime_to_7bit(const char *text, size_t n, struct buf *out);
/* Has an open message's file an octet above 127 in its header, or anywhere behind
 * its block?  1, 0, or -1: it cannot be read. */
int mime_eight(const struct message *m, bool header);
/* Does the next hop have to know SMTPUTF8?  RFC 6531 3.6: only when an address or
 * the header needs it, whatever was said when it came. */
bool mime_utf8(const struct message *m);
/* mime_to_7bit of a message, which must be whole in memory for that: 1, 0 it cannot
 * be made so, -1 memory is out. */
int mime_seven(const struct message *m, struct buf *out);
/* Of its content: as it was made, or as it is. */
long long mime_size(const struct message *m, const struct buf *seven);

/* ---- report.c: delivery status notifications ------------------------------- */

/* Is this recipient of m one of those the report is about, and may it be sent:
 * does NOTIFY ask for it, or let it? */
bool report_covers(const struct report *r, const struct recipient *to);
/* Append the whole message, RFC 6522 and 3464, to out. */
int report_write(const struct report *r, const struct id *id, struct buf *out);
const char *report_action(enum action action);	/* "failed", ... */
/* The parameters of its MAIL, as its text has need of them; or NULL. */
const char *report_args(const struct report *r, const struct buf *text);
/* "ID relayed/deferred/failed ...": a line of the log for those in a row who have
 * the same outcome for the same reason.  next is the second of the next attempt. */
void report_log(const struct message *m, const char *server, const struct attempt *a, long long next);
/* Who did not get it, and why, one below the other. */
void report_words(const struct message *m, struct buf *b);
/* The text of a note beside a waiting message.  next as ever; in the past: it is
 * held since then. */
void report_note(struct buf *b, const char *words, const char *transcript, long long next);
/* A line of a conversation that is kept, from one side or ours: its beginning, and
 * then what comes last. */
void report_transcribe(struct buf *b, char side, const char *line);

/* ---- pickup.c: files that others drop ------------------------------------- */

/* Begin, with the claims that a crash left; NULL: out of memory. */
struct pickup *pickup_open(struct vserver *v);
void pickup_close(struct pickup *p);	/* idempotent on NULL */
void pickup_want(const struct pickup *p, msec *until);
/* Look into the folder when it is time; what is whole goes to the batch. */
void pickup_step(struct pickup *p);

/* ---- route.c: the addresses to try ------------------------------------------- */

/* The name of this recipient's route: his domain in lower case, the row of a
 * remote domain with a smart host, or "*" for the server's smart host.  Where
 * mail is held it is always his domain.  Whose mail the directory sends to a host
 * has "=HOST". */
const char *route_name(const struct server *s, const struct recipient *r, char out[DOMAIN_MAX + 1]);
/* Is he for Drop, and not for another host? */
bool route_local(const struct server *s, const struct recipient *r);
/* The row that holds his mail, or NULL; and until when, in words. */
const struct domain *route_held(const struct server *s, const char *address);
#define ASKED_SIZE 300
const char *route_asked(const struct domain *row, char out[ASKED_SIZE]);
/* name must live as long as r. */
void route_begin(struct route *r, const struct server *s, const char *name);
void route_want(const struct route *r, struct pollfd *slot, msec *until);
/* 0 it asks a name server; 1 addrs[addr] is to be tried, and tell route_failed
 * if that fails; -1 there is nothing more: words say why, and permanent. */
int route_step(struct route *r);
void route_failed(struct route *r, bool permanent, const char *format, ...);
/* What is wanted of TLS where it leads now; and is that port one where it comes
 * first, before any word? */
enum tls_policy route_tls(const struct route *r);
bool route_tls_first(const struct route *r);
/* Whose certificate is to be shown there: a name as the DNS has it, or an address. */
char *route_peer(const struct route *r, char out[DOMAIN_MAX + 1]);
/* Is there nobody but a name server who says that our password is for this host?
 * Then the certificate is to be for the name that the operator gave. */
bool route_strange(const struct route *r);
/* Who we are there; NULL: nobody in particular. */
const struct account *route_account(const struct route *r);
/* On to the next hop: this one's other addresses would say the same. */
void route_leave(struct route *r);
/* Has this connection come back to ourselves? */
bool route_loops(const struct route *r, int fd);
void route_end(struct route *r);			/* idempotent */

/* ---- dest.c: what waits for a next hop ----------------------------------------- */

/* What spool_ready gave goes to its destinations' queues; -1: memory is out
 * for some of it. */
int dests_route(struct vserver *v, const struct message *m);
/* Expire, and tell of delays, what waits too long.  Lower *until to when that
 * is next. */
void dests_step(void);
void dests_want(msec *until);
/* The next destination that wants one more connection and may have it, in
 * turn; or NULL. */
struct destination *dests_wanting(void);
void dests_retry(void);			/* nobody backs off any longer */
void dests_wake(struct vserver *v, const struct envelope *e);	/* nor do those of this message */
/* The row that keeps this one's mail until it is asked for, or NULL; is that so
 * of all that are open; why his destination was not reached, or "". */
const struct domain *dests_hold(const struct vserver *v, const struct id *id, const struct recipient *r);
bool dests_keep(const struct vserver *v, const struct id *id, const struct envelope *e);
const char *dests_words(const struct vserver *v, const struct recipient *r);
struct destination *dests_after(const struct destination *d);	/* all, one after the other; NULL */
/* The next destination of v, behind this one or NULL, that is asked for: "a,b"
 * by their names, "@a" and all below it, "#a" all that this row rules, "" all;
 * or NULL. */
struct destination *dests_asked(const struct vserver *v, const char *what, const struct destination *after);
/* One of these that holds mail this account may have; or NULL.  secure: it would go
 * by TLS. */
struct destination *dests_held(const struct vserver *v, const char *what, const char *account, bool secure);
/* Nothing of v waits here any more: it is on disk, and read again now, or not. */
void dests_forget(struct vserver *v, bool again);
void dests_close(void);

/* How many wait there and may go: all, or what was released. */
size_t dest_ready(const struct destination *d);
/* Let what is held there go, by the ordinary way; how many that are.  *going:
 * some did before. */
size_t dest_release(struct destination *d, bool *going);
/* Open the next message of its queue: its recipients there are chosen.  held:
 * may it be one that is?  NULL: none.  dest_done says that it is no longer in hand. */
struct message *dest_next(struct destination *d, bool held);
void dest_done(struct destination *d, const struct id *id);
int dest_put(struct destination *d, const struct id *id);	/* it waits; -1: no memory */
/* A connection more or less: may free it. */
void dest_connections(struct destination *d, int more);
/* It cannot be reached: it backs off.  host said so, or NULL. */
void dest_fail(struct destination *d, const char *words, const char *host, const char *transcript);
/* It has answered about a message; taken: it took it. */
void dest_alive(struct destination *d, bool taken);

/* ---- hello.c: a next hop is met ------------------------------------------------ */

#define RCPTS_MAX 1000		/* of one transaction, unless the other side says less */

/* What it has said in answer to EHLO. */
struct offers {
	unsigned bits;		/* of enum extension */
	int mechanisms;		/* bits of enum mechanism */
	long long size;		/* 0: it does not say */
	long long rcpt_max, mail_max;
};

/* A line of it. */
void offers_add(struct offers *o, unsigned hidden, const char *text);
/* May m be sent there as it is, or made 7-bit, into seven?  Else words[WORDS_SIZE] say
 * why not, and what to do. */
bool offers_suit(const struct offers *o, const struct message *m, struct buf *seven, const char *host, char *words);

enum proof_result { PROOF_SAYS, PROOF_WORKS, PROOF_DONE, PROOF_LATER, PROOF_REFUSED };

/* One exchange.  Zeroed there is none; proof_end is idempotent. */
struct proof {
	struct sasl *sasl;
	enum mechanism mechanism;
	bool held;		/* the response waits for a 334 */
	struct buf line;	/* PROOF_SAYS: with its end, never to be shown */
	char why[400];		/* PROOF_REFUSED: a status, and words to stand behind the host's name */
	const char *wrong;	/* with the password's file, for the operator alone; or NULL */
};

/* These mechanisms are offered; clear: nothing secret can be said. */
enum proof_result proof_begin(struct proof *l, const struct account *a, int offered, bool clear);
const char *proof_mechanism(const struct proof *l);
enum proof_result proof_work(struct proof *l);
enum proof_result proof_heard(struct proof *l, int code, const char *text);	/* a reply, without its code */
void proof_end(struct proof *l);
/* It works there; or it does not: the log and the postmaster are told, unless they
 * know.  words: what has happened. */
void proof_works(const struct vserver *v, const struct account *a, const struct route *to);
void proof_tell(const struct proof *l, struct vserver *v, const struct account *a, const struct route *to, const char *words);

/* ---- relay.c: we are the client --------------------------------------------- */

size_t relays_count(void);
/* So many connections at most, for our descriptors' sake; 0: take no more mail. */
void relays_limit(size_t most);
/* Is a message on its way that would be sent again, were we to end now? */
bool relays_doubtful(void);
/* End those of v but for what is on its way. */
void relays_end(const struct vserver *v);
/* Is this message in the hands of one of v's? */
bool relays_send(const struct vserver *v, const struct id *id);
bool relay_peer(size_t i, struct peer *p);	/* false: there is no i-th */
bool relay_end(size_t i);		/* false: it has said what it cannot take back */
/* Fill slots, at most so many; how many were used. */
size_t relays_want(struct pollfd *slots, size_t room, msec *until);
void relays_step(const struct pollfd *slots, size_t n);
void relays_start(void);			/* connect where mail waits */
/* Is there no room for one more? */
bool relays_full(const struct vserver *v);
/* Turn the connection of a session round: it is ours now, and we send what is
 * held at d and whatever else of these domains its account may have (see
 * dests_held).  -1: out of memory, and nothing has happened. */
int relay_turn(struct session *s, struct destination *d, const char *domains);
void relays_close(void);

/* ---- reply.c: all we ever say ------------------------------------------------- */

extern const struct reply_row replies[];
/* The line without its end, with or without an enhanced status. */
#define REPLY_OCTETS 510	/* RFC 5321 4.5.3.1.5, less CR LF */
void reply_text(char out[REPLY_OCTETS], enum reply r, bool status, va_list ap);
/* Say it; one refusal too many ends the session. */
void reply(struct session *s, enum reply r, ...);
/* Say it, the last one, and close. */
void reply_close(struct session *s, enum reply r, ...);
void reply_size(struct session *s);	/* too large: the limit is named */
/* A line as it is, to which this clause applies. */
void reply_verbatim(struct session *s, const char *line, const char *clause);
/* The setting that decided the next reply; what else the trace is to show. */
void reply_because(const struct session *s, const char *setting);
void reply_trace(const struct session *s, char side, const char *text, size_t n, const char *rule);
/* Is it mute?  As conn_flush, when it is not. */
bool reply_muted(const struct session *s);
/* Nothing is read or said for so long; what was said before leaves. */
void reply_mute(struct session *s, msec wait);
int reply_flush(struct session *s);
/* All has been said; after a refusal what is unread must be read. */
void hang_up(struct session *s, bool refused);
/* Who it is: its address, and its name where one is known. */
#define CLIENT_TEXT (ADDR_TEXT + DOMAIN_MAX + 7)
char *client_text(const struct session *s, char out[CLIENT_TEXT]);
extern const char *const state_names[];

/* ---- receive.c: a message comes in -------------------------------------------------- */

struct tx *tx_new(void);
void tx_free(struct session *s);
void tx_end(struct session *s);			/* whatever it has come to */
void receive_data(struct session *s);
/* refusal: R_READY, or why it may not be said now. */
void receive_bdat(struct session *s, const char *argument, enum reply refusal);
int receive_step(struct session *s);		/* in DATA and CHUNK; 0 when no input is there */
/* Where CR LF is insisted on, a line that lacks it ends the session: nobody can
 * tell what its sender thinks comes next. */
void receive_stray(struct session *s);
/* In COMMIT, after spool_sync: the promise, or that there is none, is made
 * ready to be said. */
void receive_committed(struct session *s);

/* ---- parameter.c: what MAIL and RCPT may ask for --------------------------------- */

/* Take them all, in place; what the envelope keeps of them joins args.  R_NOOP,
 * or what to reply; *name is then the parameter's. */
enum reply parameters_take(struct tx *tx, const struct server *s, char *text, bool of_mail,
    struct buf *args, const char **name);

/* ---- proxy.c: for whom a proxy speaks ------------------------------------------- */

#define PROXY_OCTETS 536		/* of a header, at most */

/* Read the header of the PROXY protocol that these octets begin with: its
 * length; 0 they are too few to tell; -1 that is none.  Client and server
 * address are changed when it tells them. */
long proxy_read(const char *octets, size_t n, struct addr *peer, struct addr *here);

/* ---- policy.c: who may connect, and to whom mail is taken --------------------------- */

/* One rule alone; to, which has a domain, is for those about a recipient. */
struct verdict policy_rule(enum rule rule, const struct server *s, const struct client *c, const struct path *to);
/* R_READY or a refusal.  While the name of the client is not known that it
 * depends on, he is not refused for it. */
struct verdict policy_connect(const struct server *s, const struct client *c);
/* Is there a rule that asks for the name of this client? */
bool policy_asks_name(const struct server *s, const struct client *c);
/* R_RECIPIENT or a refusal; to has a domain. */
struct verdict policy_recipient(const struct server *s, const struct client *c, const struct path *to);
/* For how many others this recipient stands; 0: he is none. */
long policy_members(const struct server *s, const char *address);
/* Must the directory say who this address is?  It is in our domains then, and in
 * none of their files. */
bool policy_asks(const struct server *s, const char *address);
/* Put those whom aliases stand for in their place; -1: memory is out. */
int policy_expand(const struct server *s, struct envelope *e);
/* Add those whom an alias stands for; -1: memory is out; 0 it is none. */
int policy_alias(const struct server *s, struct envelope *e, const char *address);
/* What those behind a recipient get of his parameters, RFC 3461 5.2.7: 1 SUCCESS
 * was asked for, and several do not get that; -1: memory is out. */
int policy_passes(const struct recipient *r, bool several, struct buf *args);

/* ---- sendmail.c: what programs call ---------------------------------------- */

/* Is this the name of one of those commands? */
bool sendmail_called(const char *name);
/* Be it: the exit status, of sysexits.h. */
int sendmail_main(char **argv);

/* ---- why.c: the rules, walked --------------------------------------------------------- */

/* Print what each server of this configuration would say to an envelope, and
 * what would become of it: FROM RCPT [ADDRESS [NAME]].  The status to exit with. */
int why(const char *file, int count, char **words);

/* ---- login.c: a client says who it is ----------------------------------------------- */

/* The mechanisms that it is offered, of enum mechanism; 0: no AUTH. */
int login_mechanisms(const struct session *s);
bool login_needed(const struct session *s);	/* before most else */
/* AUTH: its argument, and then, in state AUTH, each further line; in PROVING
 * login_work, once a turn.  All that is to be said is. */
void login_begin(struct session *s, char *argument);
void login_line(struct session *s, const char *line);	/* NULL: it was too long */
void login_work(struct session *s);
void login_end(struct session *s);		/* give an exchange up; idempotent */

/* ---- turn.c: held mail is asked for ------------------------------------------------ */

/* ETRN: release it; what to reply, for the most part about how many that are. */
#define COUNT_SIZE 24
enum reply turn_release(struct session *s, const char *node, char count[COUNT_SIZE]);
/* ATRN, TURN: R_TURNED when the connection can be turned round, *first then
 * holds mail for it; or a refusal. */
enum reply turn_check(const struct session *s, const char *domains, struct destination **first);

/* ---- session.c: we are the server ------------------------------------------ */

/* Greet a newcomer, or if he is a proxy hear for whom he speaks; takes the
 * descriptor; `to` is the same but for pipes.  l is where he came in, or NULL.
 * NULL: out of memory, fd untouched. */
struct session *session_new(struct vserver *v, int fd, int to, const struct addr *peer,
    const struct addr *here, const struct listen *l);
/* In NEWCOMER, the proxy has told: R_READY lets the client in, anything else is
 * answered and closes, and setting decided it.  As session_step. */
int session_admit(struct session *s, enum reply r, const char *setting);
void session_free(struct session *s);
/* How many slots were used, one or two. */
size_t session_want(struct session *s, struct pollfd *slot, msec *until);
#define SESSION_SLOTS 2
/* -1 broken, 0 it waits, 1 over. */
int session_step(struct session *s, const struct pollfd *slot);
/* After receive_committed and spool_settle: let the reply go and go on with what
 * was pipelined, as session_step. */
int session_resume(struct session *s);
/* Where it stands, and with what, in words. */
void session_doing(const struct session *s, char *out, size_t size);
/* Tell it that we end it: R_SHUTDOWN, R_ENDED. */
void session_shutdown(struct session *s, enum reply r);
/* Answer one who is not let in, and close; setting decided it, l is as above. */
void session_refuse(struct vserver *v, int fd, const struct addr *peer, const struct listen *l,
    enum reply r, const char *setting);

/* ---- vserver.c: virtual servers, from start to stop ----------------------------- */

extern struct vserver *vservers;

/* Make those of a configuration and bind their listeners; then, after root is
 * given up, open their mailroots, and say so.  One that cannot be started
 * stands still, with a line that says why; -1: none could. */
int vservers_bind(const struct config *c);
int vservers_open(void);
/* So many sessions at most, for our descriptors' sake. */
void vservers_limit(long long most);
size_t vservers_slots(void);
size_t vservers_want(struct pollfd *slot, msec *until);	/* how many were used */
void vservers_step(size_t slot);		/* from that one of the poll array on */
void vservers_work(void);		/* Pickup, and what is due in Queue */
bool vservers_pending(void);		/* has a message reached its end since the last commit? */
void vservers_commit(void);		/* sync, deliver, say so */
void vservers_tidy(void);
/* Another configuration, right as far as it can be checked. */
void vservers_reload(const struct config *c);
void vservers_close(void);		/* in order; then none is left */

/* Its mailroot, for one that stands still: -1 the log says why not. */
int vserver_open(struct vserver *v);
void vserver_close(struct vserver *v);
struct session *vservers_session(size_t i);	/* the i-th, or NULL */
void vservers_end(size_t i);			/* tell it, and close it */
/* Add one of a configuration, when no server runs: only to look at. */
void vservers_look(const struct server *s);
const char *vserver_state(const struct vserver *v);	/* in a word */
int vserver_start(struct vserver *v);	/* or resume; -1: the log says why not */
void vserver_pause(struct vserver *v);
void vserver_stop(struct vserver *v);

/* ---- count.c: what has happened so far -------------------------------------------- */

/* All counters of all servers, in Prometheus' text format. */
void counts_write(struct buf *b);
/* Write them to `metrics' when it is time. */
void counts_step(const struct config *c);
void counts_want(const struct config *c, msec *until);

/* ---- watch.c: the folders that somebody should look at ------------------------------- */

/* Count what lies in Queue, Drop and Badmail, a little in each turn; past a
 * limit, say so once, in the log and to the postmaster. */
struct watch *watch_open(struct vserver *v);		/* NULL: out of memory */
void watch_want(const struct watch *w, msec *until);
void watch_step(struct watch *w);
void watch_again(struct watch *w);		/* there are other certificates, perhaps */
void watch_close(struct watch *w);		/* idempotent on NULL */

/* ---- operate.c: what an operator can ask for ---------------------------------------- */

/* Is who asks an operator at all?  -1: `out` says that he is not. */
int request_admit(struct request *r);
/* Begin with a line of words, tabs between them: "json", "server=NAME", then
 * what smtpd(8) calls sub-commands.  -1: `out` says what is wrong. */
int request_begin(struct request *r, const char *line);
/* 0 there is more to do, or to take from `out`, or a wish to be granted; 1 `out`
 * is complete. */
int request_step(struct request *r);
void request_granted(struct request *r, int status, const struct buf *lines);
void request_end(struct request *r);

/* ---- control.c: the socket for operators ------------------------------------------------ */

/* Listen at the configuration's path; without it operators must do with
 * signals, and the log says why. */
void control_open(const struct config *c);
size_t control_want(struct pollfd *slot, msec *until);
void control_step(size_t slot, const struct config *c);
/* What somebody asks that only the loop can do; and that it has, or not: the
 * lines are for him. */
enum wish control_wish(void);
void control_granted(int status, const struct buf *lines);
void control_close(void);
/* Where it is; "" when the path is too long for a socket. */
const char *control_path(const struct config *c, char out[PATH_SIZE]);

/* ---- console.c: sub-commands ------------------------------------------------------------- */

/* Is this the first word of one? */
bool console_knows(const char *word);
/* Ask the running server, or look for oneself; the exit status.  server: of -S,
 * or NULL. */
int console(const char *file, const char *server, bool json, int argc, char **argv);

/* ---- check.c: smtpd check ------------------------------------------------------- */

/* Print what is well and what is not; the exit status. */
int check(const char *file);
/* Can its mailroot be used: 1 it is there, 0 it can be made, -1 and why not. */
int check_mailroot(const struct server *s, char *why, size_t size);
/* The process that has its mailroot, or 0. */
long check_running(const struct server *s);
/* Can this be listened on?  0; or an errno, and why not. */
int check_listen(const struct addr *a, char *why, size_t size);

/* ---- wizard.c: smtpd new-server, new-domain ---------------------------------------- */

/* The words behind the command are the first answers; the exit status. */
int wizard_server(const char *file, int count, char **words);
int wizard_domain(const char *file, int count, char **words);

/* ---- password.c: smtpd password ------------------------------------------------------ */

/* [-S SERVER] [-i ITERATIONS] USER, -r USER, or none; the exit status. */
int password(const char *file, int count, char **words);

#endif
