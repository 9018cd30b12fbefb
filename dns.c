/*
 * dns.c - one question to a name server, and its answer; the cache.
 *
 * A stub resolver that never blocks: RFC 1035 with EDNS0 (6891) and negative
 * answers (2308).  A question leaves by UDP from a port and with an id that
 * are random each time; of what comes back only a packet from the server that
 * was asked, with this id and this question, is looked at (RFC 5452).  TCP
 * follows when the answer was cut short, or when nobody answered by UDP.
 *
 *	IDLE     nothing is open; there is an answer, or no question
 *	UDP      fd is connected to a server; the question is sent
 *	CONNECT  fd is a TCP connection under way
 *	TCP      the question is sent; tcp has what came so far
 *
 * What defers and what bounces is decided here: a server that says that there
 * is no such name, or nothing of this type, is believed (NXDOMAIN, NODATA);
 * refusal, failure and silence are LATER.
 *
 * The parser is a cursor that cannot leave the packet: each step answers the
 * next position, or 0.  Names are bounded in length and in jumps, chains of
 * aliases in number.  Of an answer only the records of the name that was asked
 * for, and of its aliases, are read.
 */
#include "smtpd.h"

#include <sys/stat.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERVERS_MAX   3		/* name servers that are used, as in every libc */
#define UDP_ROUNDS    2		/* times each of them is asked by UDP, then once by TCP */
#define UDP_WAIT      2000	/* for an answer, ms; doubled in the second round */
#define TCP_WAIT      5000	/* the connection included */
#define UDP_OCTETS    1232	/* what we say we take: fits every path unfragmented */
#define JUNK_MAX      100	/* packets passed over before the next server is asked */
#define CHAIN_MAX     8		/* aliases followed */
#define RECORDS_MAX   64	/* of an answer that are kept */
#define JUMPS_MAX     32	/* in a compressed name */
#define CACHE_SLOTS   4096
#define CACHE_OCTETS  (8 << 20)
#define CACHE_MOST    86400	/* seconds an answer is kept at most, */
#define CACHE_NONE    3600	/* and a negative one */
#define CACHE_HOSTS   5		/* and what the hosts file says */
#define LOOK_INTERVAL 5000	/* between looks at resolv.conf, ms */
#define HEADER        12	/* octets of a packet's */

enum { CLASS_IN = 1, FLAG_QR = 0x8000, FLAG_AA = 0x0400, FLAG_TC = 0x0200, FLAG_RD = 0x0100, FLAG_RA = 0x0080 };
enum { RCODE_OK, RCODE_FORMAT, RCODE_FAIL, RCODE_NAME, RCODE_UNKNOWN };

/* ---- whom to ask ------------------------------------------------------------ */

long long dns_queries;

static struct addr servers[SERVERS_MAX];
static unsigned server_count, server_first;	/* the one that answered last */
static bool servers_given;		/* by the configuration: resolv.conf does not count */
static struct timespec resolv_mtime;
static msec resolv_next;		/* tick of the next look at it */
static const char *hosts_file;
static struct dns_answer *cache[CACHE_SLOTS];
static size_t cache_size;		/* octets of all */

/* The next word of a line, NUL-terminated in place; NULL at its end. */
static char *
word(char **line)
{
	char *from = *line + strspn(*line, " \t\r\n");
	size_t n = strcspn(from, " \t\r\n#");

	if (n == 0)
		return NULL;
	*line = from + n;
	if (**line == '#')
		**line = '\0';
	else if (**line != '\0')
		*(*line)++ = '\0';
	return from;
}

/* /etc/resolv.conf again, when it has changed.  Without it: what it last said
 * (a chroot hides it), or else the local host. */
static void
servers_look(void)
{
	char line[512], *at, *w;
	struct stat st;
	FILE *f;

	if (servers_given || now.tick < resolv_next)
		return;
	resolv_next = now.tick + LOOK_INTERVAL;
	if (server_count > 0 && (stat("/etc/resolv.conf", &st) == -1 ||
	    memcmp(&st.st_mtim, &resolv_mtime, sizeof resolv_mtime) == 0))
		return;
	server_count = server_first = 0;
	if ((f = fopen("/etc/resolv.conf", "r")) != NULL) {
		resolv_mtime = fstat(fileno(f), &st) == 0 ? st.st_mtim : resolv_mtime;
		while (server_count < SERVERS_MAX && fgets(at = line, sizeof line, f) != NULL)
			if ((w = word(&at)) != NULL && strcmp(w, "nameserver") == 0 && (w = word(&at)) != NULL &&
			    addr_parse(&servers[server_count], w, false) == 0)
				servers[server_count++].port = 53;
		fclose(f);
	}
	if (server_count == 0)
		addr_parse(&servers[server_count++], "127.0.0.1:53", true);
}

void
dns_configure(const struct listen *resolvers, const char *hosts)
{
	if (resolvers != NULL || servers_given)
		server_count = server_first = 0;
	resolv_next = 0;
	for (; resolvers != NULL && server_count < SERVERS_MAX; resolvers = resolvers->next)
		servers[server_count++] = resolvers->addr;
	servers_given = server_count > 0;
	hosts_file = hosts != NULL ? hosts : "/etc/hosts";
	servers_look();
	for (size_t i = 0; i < CACHE_SLOTS; i++) {
		free(cache[i]);
		cache[i] = NULL;
	}
	cache_size = 0;
}

/* ---- answers ------------------------------------------------------------------ */

/* An answer in the making; one is made at a time.  The first of its names is
 * the question's. */
static struct {
	size_t count, names;
	struct dns_record record[RECORDS_MAX];
	char name[(RECORDS_MAX + 1) * (DOMAIN_MAX + 1)];
} draft;

static size_t
draft_name(const char *name)
{
	size_t at = draft.names, n = strlen(name) + 1;

	memcpy(draft.name + at, name, n);
	draft.names += n;
	return at;
}

static void
draft_begin(const struct dns *q)
{
	draft.count = draft.names = 0;
	draft_name(q->name);
}

static void
draft_add(unsigned preference, const struct addr *a, const char *name)
{
	struct dns_record *r = &draft.record[draft.count];

	if (draft.count == RECORDS_MAX)
		return;
	memset(r, 0, sizeof *r);
	r->preference = (uint16_t)preference;
	if (a != NULL)
		r->addr = *a;
	r->name = (uint16_t)draft_name(name);
	draft.count++;
}

/* The draft as one block of memory; NULL when there is none. */
static struct dns_answer *
draft_answer(enum dns_type type, enum dns_result result, long long seconds)
{
	size_t head = sizeof(struct dns_answer) + draft.count * sizeof *draft.record;
	struct dns_answer *a = memory(NULL, head + draft.names);

	if (a == NULL)
		return NULL;
	a->result = result;
	a->type = type;
	a->expires = now.tick + seconds * 1000;
	a->size = head + draft.names;
	a->count = draft.count;
	memcpy(a->record, draft.record, draft.count * sizeof *draft.record);
	memcpy((char *)a + head, draft.name, draft.names);
	return a;
}

static char *
names(const struct dns_answer *a)
{
	return (char *)(uintptr_t)&a->record[a->count];
}

const char *
dns_name(const struct dns_answer *a, size_t i)
{
	return names(a) + a->record[i].name;
}

/* Ascending preference; equals in any order, anew each time: RFC 5321 5.1. */
void
dns_shuffle(struct dns_answer *a)
{
	for (size_t i = a->count; i > 1; i--) {
		size_t j = random_number() % i;
		struct dns_record r = a->record[j];

		a->record[j] = a->record[i - 1];
		a->record[i - 1] = r;
	}
	for (size_t i = 1; i < a->count; i++) {
		struct dns_record r = a->record[i];
		size_t j = i;

		for (; j > 0 && a->record[j - 1].preference > r.preference; j--)
			a->record[j] = a->record[j - 1];
		a->record[j] = r;
	}
}

/* ---- the cache: each name and type has one place in it ----------------------------- */

static struct dns_answer **
cache_slot(const char *name, enum dns_type type)
{
	return &cache[text_hash(name, (uint32_t)type) % CACHE_SLOTS];
}

static struct dns_answer *
answer_copy(const struct dns_answer *a)
{
	struct dns_answer *copy = a ? memory(NULL, a->size) : NULL;

	return copy ? memcpy(copy, a, a->size) : NULL;
}

static struct dns_answer *
cache_find(const struct dns *q)
{
	const struct dns_answer *a = *cache_slot(q->name, q->type);

	if (a == NULL || a->type != q->type || a->expires <= now.tick || strcmp(names(a), q->name) != 0)
		return NULL;
	return answer_copy(a);
}

/* Give up what asking needed. */
static void
dns_close(struct dns *q)
{
	if (q->state != DNS_IDLE)
		close(q->fd);
	q->fd = -1;
	q->state = DNS_IDLE;
	buf_free(&q->tcp);
}

/* The draft answers q; it is remembered for so many seconds. */
static int
answered(struct dns *q, enum dns_result result, long long seconds)
{
	struct dns_answer **slot = cache_slot(q->name, q->type);

	dns_close(q);
	q->answer = draft_answer(q->type, result, seconds);
	if (q->answer == NULL || seconds <= 0)
		return 1;
	cache_size -= *slot ? (*slot)->size : 0;
	free(*slot);
	*slot = cache_size + q->answer->size <= CACHE_OCTETS ? answer_copy(q->answer) : NULL;
	cache_size += *slot ? (*slot)->size : 0;
	return 1;
}

/* ---- the hosts file -------------------------------------------------------------------- */

/* A line of it about the address whose names are asked for; rest are its names. */
static bool
hosts_names(const struct dns *q, const struct addr *a, char *rest)
{
	char reverse[REVERSE_TEXT], *w;

	if (strcmp(addr_reverse(a, reverse), q->name) != 0)
		return false;
	while ((w = word(&rest)) != NULL) {
		for (char *c = w; *c != '\0'; c++)
			*c = (char)text_lower(*c);
		if (strlen(w) <= DOMAIN_MAX)
			draft_add(0, NULL, w);
	}
	return true;
}

/* Does it know this name?  Then it answers, for addresses and their names. */
static bool
hosts_find(struct dns *q)
{
	char line[1024], *at, *w;
	struct addr a;
	bool known = false;
	FILE *f;

	if ((q->type != DNS_A && q->type != DNS_AAAA && q->type != DNS_PTR) || (f = fopen(hosts_file, "r")) == NULL)
		return false;
	while (fgets(at = line, sizeof line, f) != NULL) {
		if ((w = word(&at)) == NULL || addr_parse(&a, w, false) == -1)
			continue;
		if (q->type == DNS_PTR) {
			known |= hosts_names(q, &a, at);
			continue;
		}
		while ((w = word(&at)) != NULL && text_compare(w, q->name) != 0)
			;
		known |= w != NULL;
		if (w != NULL && a.family == (q->type == DNS_A ? 4 : 6))
			draft_add(0, &a, "");
	}
	fclose(f);
	return known;
}

/* ---- a packet, read ------------------------------------------------------------------------ */

struct packet {
	const unsigned char *at;
	size_t size;
};

static unsigned
octets2(const struct packet *p, size_t at)
{
	return at + 2 <= p->size ? (unsigned)p->at[at] << 8 | p->at[at + 1] : 0;
}

static uint32_t
octets4(const struct packet *p, size_t at)
{
	return (uint32_t)octets2(p, at) << 16 | octets2(p, at + 2);
}

/*
 * The name at `at`, in lower case with dots, into out.  Answers the position
 * behind it, or 0.  A label with an octet that would read as something else in
 * text (a dot, a control) makes it a name we cannot use: it becomes "?".
 */
static size_t
name_read(const struct packet *p, size_t at, char out[DOMAIN_MAX + 1])
{
	size_t n = 0, after = 0;
	bool odd = false;

	for (int jumps = 0; at < p->size; ) {
		unsigned len = p->at[at++];

		if (len >= 0xC0) {
			if (at >= p->size || ++jumps > JUMPS_MAX)
				return 0;
			if (after == 0)
				after = at + 1;
			at = (len & 0x3Fu) << 8 | p->at[at];
			continue;
		}
		if (len == 0) {
			out[n > 0 ? n - 1 : 0] = '\0';
			if (odd)
				memcpy(out, "?", 2);
			return after ? after : at;
		}
		if (len > 63 || at + len > p->size || n + len + 1 > DOMAIN_MAX)
			return 0;
		for (; len > 0; len--) {
			int c = p->at[at++];

			odd |= c <= ' ' || c > '~' || c == '.' || c == '"' || c == '\\';
			out[n++] = (char)text_lower(c);
		}
		out[n++] = '.';
	}
	return 0;
}

/* A resource record: where its data is. */
struct rr {
	char owner[DOMAIN_MAX + 1];
	unsigned type, class;
	uint32_t ttl;
	size_t data, length;
};

static size_t
rr_read(const struct packet *p, size_t at, struct rr *r)
{
	if ((at = name_read(p, at, r->owner)) == 0 || at + 10 > p->size)
		return 0;
	r->type = octets2(p, at);
	r->class = octets2(p, at + 2);
	r->ttl = octets4(p, at + 4);
	if (r->ttl > 0x7FFFFFFF)
		r->ttl = 0;			/* RFC 2181 8 */
	r->length = octets2(p, at + 8);
	r->data = at + 10;
	return r->data + r->length <= p->size ? r->data + r->length : 0;
}

/* A record of the wanted type joins the draft; false: it is not what its type
 * says. */
static bool
rr_take(const struct packet *p, const struct rr *r)
{
	char name[DOMAIN_MAX + 1];
	struct addr a;

	memset(&a, 0, sizeof a);
	switch (r->type) {
	case DNS_A: case DNS_AAAA:
		a.family = r->type == DNS_A ? 4 : 6;
		if (r->length != (a.family == 4 ? 4 : 16))
			return false;
		memcpy(a.octets, p->at + r->data, r->length);
		draft_add(0, &a, "");
		return true;
	case DNS_MX:
		if (name_read(p, r->data + 2, name) != r->data + r->length)
			return false;
		if (*name != '?')
			draft_add(octets2(p, r->data), NULL, name);
		return true;
	default:
		if (name_read(p, r->data, name) != r->data + r->length)
			return false;
		if (*name != '?')
			draft_add(0, NULL, name);
		return true;
	}
}

/* Where the records of an answer begin, or 0: it is none to this question. */
static size_t
packet_check(const struct dns *q, const struct packet *p)
{
	char name[DOMAIN_MAX + 1];
	size_t at;

	if (p->size < HEADER || octets2(p, 0) != q->id || !(octets2(p, 2) & FLAG_QR))
		return 0;
	if (octets2(p, 4) != 1 || (at = name_read(p, HEADER, name)) == 0 || at + 4 > p->size)
		return 0;
	return strcmp(name, q->asked) == 0 && octets2(p, at) == q->type && octets2(p, at + 2) == CLASS_IN ? at + 4 : 0;
}

/* Do the answers and the authority section stand as they are counted? */
static bool
packet_whole(const struct packet *p, size_t at)
{
	struct rr r;

	for (unsigned n = octets2(p, 6) + octets2(p, 8); n > 0 && at != 0; n--)
		at = rr_read(p, at, &r);
	return at != 0;
}

/* One pass over the answers for one owner: its records join the draft; 1 when
 * it is an alias, and then owner is its target; -1 when one of them is broken. */
static int
answers_pass(const struct dns *q, const struct packet *p, size_t at, char owner[DOMAIN_MAX + 1], uint32_t *ttl)
{
	char target[DOMAIN_MAX + 1] = "";
	struct rr r;

	for (unsigned n = octets2(p, 6); n > 0 && (at = rr_read(p, at, &r)) != 0; n--) {
		if (r.class != CLASS_IN || strcmp(r.owner, owner) != 0)
			continue;
		if (r.type != DNS_CNAME && r.type != (unsigned)q->type)
			continue;
		if (r.type == DNS_CNAME ? name_read(p, r.data, target) != r.data + r.length : !rr_take(p, &r))
			return -1;
		if (r.ttl < *ttl)
			*ttl = r.ttl;
	}
	if (draft.count > 0 || target[0] == '\0')
		return 0;
	memcpy(owner, target, sizeof target);
	return 1;
}

/* How long a negative answer holds: RFC 2308 5; without an SOA, not at all.
 * *referral: there is no SOA, but servers that might know more. */
static uint32_t
negative_ttl(const struct packet *p, size_t at, bool *referral)
{
	char name[DOMAIN_MAX + 1];
	struct rr r;

	*referral = false;
	for (unsigned n = octets2(p, 6); n > 0 && at != 0; n--)
		at = rr_read(p, at, &r);
	for (unsigned n = octets2(p, 8); n > 0 && at != 0 && (at = rr_read(p, at, &r)) != 0; n--) {
		size_t end = r.data;

		*referral |= r.type == DNS_NS;
		if (r.type != DNS_SOA || (end = name_read(p, end, name)) == 0 ||
		    (end = name_read(p, end, name)) == 0 || end + 20 > p->size)
			continue;
		*referral = false;
		if (octets4(p, end + 16) < r.ttl)
			r.ttl = octets4(p, end + 16);
		return r.ttl < CACHE_NONE ? r.ttl : CACHE_NONE;
	}
	return 0;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static int ask(struct dns *q);

/* This server has no answer for us: on to the next, until all had their turns. */
static int
ask_next(struct dns *q)
{
	if (server_first == (q->first + q->tries) % server_count)
		server_first = (server_first + 1) % server_count;	/* others need not find out */
	q->tries++;
	q->plain = false;
	return ask(q);
}

/* The question as a packet; TCP puts its length before it. */
static size_t
question(struct dns *q, unsigned char *out)
{
	const char *label = q->asked;
	size_t n = HEADER, len;

	memset(out, 0, HEADER);
	q->id = (uint16_t)random_number();
	out[0] = (unsigned char)(q->id >> 8);
	out[1] = (unsigned char)q->id;
	out[2] = FLAG_RD >> 8;
	out[5] = 1;
	for (; *label != '\0'; label += len + (label[len] == '.')) {
		len = strcspn(label, ".");
		if (len == 0 || len > 63)
			return 0;
		out[n++] = (unsigned char)len;
		memcpy(out + n, label, len);
		n += len;
	}
	memcpy(out + n, "\0\0\0\0\1", 5);	/* the root, type, class IN */
	out[n + 2] = (unsigned char)q->type;
	n += 5;
	if (!q->plain) {
		memcpy(out + n, "\0\0\51\0\0\0\0\0\0\0\0", 11);	/* OPT, RFC 6891 6.1.2 */
		out[n + 3] = UDP_OCTETS >> 8;
		out[n + 4] = UDP_OCTETS & 255;
		out[11] = 1;
		n += 11;
	}
	return n;
}

static int
ask_udp(struct dns *q, const struct addr *server, unsigned round)
{
	unsigned char packet[HEADER + DOMAIN_MAX + 20];
	size_t n = question(q, packet);

	if ((q->fd = conn_datagram(server)) == -1)
		return ask_next(q);
	q->state = DNS_UDP;
	q->junk = 0;
	q->deadline = now.tick + (UDP_WAIT << round);
	dns_queries++;
	if (n == 0 || write(q->fd, packet, n) != (ssize_t)n)
		return ask_next(q);
	return 0;
}

static int
ask_tcp(struct dns *q, const struct addr *server)
{
	dns_close(q);
	q->deadline = now.tick + TCP_WAIT;
	if ((q->fd = conn_connect(server)) == -1)
		return ask_next(q);
	q->state = DNS_CONNECT;
	return 0;
}

/* Ask whoever's turn it is: all by UDP, again with more patience, all by TCP. */
static int
ask(struct dns *q)
{
	unsigned round = q->tries / server_count;
	const struct addr *server = &servers[(q->first + q->tries) % server_count];

	dns_close(q);
	if (round < UDP_ROUNDS)
		return ask_udp(q, server, round);
	if (round == UDP_ROUNDS)
		return ask_tcp(q, server);
	draft_begin(q);
	return answered(q, DNS_LATER, 0);
}

/* ---- hearing ----------------------------------------------------------------------------------- */

/* It says that it has records for us, or that the name leads elsewhere. */
static int
hear_records(struct dns *q, const struct packet *p, size_t at)
{
	bool referral, missing = (octets2(p, 2) & 15) == RCODE_NAME;
	uint32_t negative;
	char owner[DOMAIN_MAX + 1];
	int answer;

	memcpy(owner, q->asked, sizeof owner);
	draft_begin(q);
	while ((answer = answers_pass(q, p, at, owner, &q->ttl)) == 1)
		if (++q->chain > CHAIN_MAX)
			return answered(q, DNS_LATER, 0);
	if (answer == -1)
		return ask_next(q);
	if (draft.count > 0)
		return answered(q, DNS_FOUND, q->ttl);
	negative = negative_ttl(p, at, &referral);
	if (missing)
		return answered(q, DNS_NXDOMAIN, negative);
	if (strcmp(owner, q->asked) != 0 && negative == 0) {
		memcpy(q->asked, owner, sizeof owner);	/* its target was not sent along */
		q->first = server_first;
		q->tries = 0;
		return ask(q);
	}
	if (referral && !(octets2(p, 2) & (FLAG_AA | FLAG_RA)))
		return ask_next(q);		/* a server that only points elsewhere */
	return answered(q, DNS_NODATA, negative);
}

/* One packet; 0: it is not for us, and we wait on. */
static int
hear(struct dns *q, const struct packet *p)
{
	unsigned flags = octets2(p, 2), rcode = flags & 15;
	size_t at = packet_check(q, p);

	/* Who dislikes EDNS may send the question back without it, or nothing. */
	if (at == 0 && p->size == HEADER && octets2(p, 0) == q->id && (flags & FLAG_QR) && rcode != RCODE_OK)
		at = HEADER;
	if (at == 0)
		return q->state == DNS_TCP || ++q->junk > JUNK_MAX ? ask_next(q) : 0;
	if ((rcode == RCODE_FORMAT || rcode == RCODE_UNKNOWN) && !q->plain) {
		q->plain = true;
		return ask(q);
	}
	if ((rcode != RCODE_OK && rcode != RCODE_NAME) || at == HEADER)
		return ask_next(q);
	if ((flags & FLAG_TC) ? q->state == DNS_TCP : !packet_whole(p, at))
		return ask_next(q);
	server_first = (q->first + q->tries) % server_count;
	if ((flags & FLAG_TC) && q->state == DNS_UDP)
		return ask_tcp(q, &servers[server_first]);
	return hear_records(q, p, at);
}

static int
step_udp(struct dns *q)
{
	unsigned char octets[UDP_OCTETS * 4];
	int answer = 0;

	while (answer == 0 && q->state == DNS_UDP) {
		ssize_t n = read(q->fd, octets, sizeof octets);
		struct packet p = { octets, n > 0 ? (size_t)n : 0 };

		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
			return 0;
		answer = n == -1 ? ask_next(q) : hear(q, &p);	/* refused by ICMP, or a packet */
	}
	return answer;
}

/* Connected: send the question at once; it fits any socket's buffer. */
static int
step_connect(struct dns *q)
{
	unsigned char packet[2 + HEADER + DOMAIN_MAX + 20];
	size_t n = question(q, packet + 2);

	packet[0] = (unsigned char)(n >> 8);
	packet[1] = (unsigned char)n;
	if (n == 0 || conn_connected(q->fd) == -1)
		return ask_next(q);
	dns_queries++;
	if (write(q->fd, packet, n + 2) != (ssize_t)n + 2)
		return errno == EAGAIN || errno == ENOTCONN ? 0 : ask_next(q);
	q->state = DNS_TCP;
	return 0;
}

static int
step_tcp(struct dns *q)
{
	char octets[4096];
	ssize_t n = read(q->fd, octets, sizeof octets);
	struct packet p;

	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return 0;
	if (n <= 0 || buf_add(&q->tcp, octets, (size_t)n) == -1)
		return ask_next(q);
	p.at = (const unsigned char *)q->tcp.data;
	p.size = q->tcp.len;
	if (p.size < 2 || p.size < octets2(&p, 0) + 2u)
		return 0;
	p.size = octets2(&p, 0);
	p.at += 2;
	return hear(q, &p);
}

/* What has come in time is read even when we look late. */
int
dns_step(struct dns *q)
{
	int answer = q->state == DNS_UDP ? step_udp(q) : q->state == DNS_CONNECT ? step_connect(q) :
	    q->state == DNS_TCP ? step_tcp(q) : 1;

	return answer == 0 && q->deadline <= now.tick ? ask_next(q) : answer;
}

void
dns_want(const struct dns *q, struct pollfd *slot, msec *until)
{
	slot->fd = q->fd;
	slot->events = q->state == DNS_CONNECT ? POLLOUT : POLLIN;
	slot->revents = 0;
	if (q->state == DNS_IDLE)
		*until = now.tick;		/* it was answered at once */
	else if (q->deadline < *until)
		*until = q->deadline;
}

void
dns_begin(struct dns *q, const char *name, enum dns_type type)
{
	size_t n = strlen(name);

	memset(q, 0, sizeof *q);
	q->fd = -1;
	q->type = type;
	q->ttl = CACHE_MOST;
	if (n > 0 && name[n - 1] == '.')
		n--;
	if (n > DOMAIN_MAX - 2)
		n = 0;
	for (size_t i = 0; i < n; i++)
		q->name[i] = (char)text_lower(name[i]);
	memcpy(q->asked, q->name, sizeof q->asked);
	servers_look();
	q->first = server_first;
	draft_begin(q);
	if ((q->answer = cache_find(q)) != NULL)
		return;
	if (n == 0)
		answered(q, DNS_NXDOMAIN, 0);		/* no name that could be asked for */
	else if (hosts_find(q))
		answered(q, draft.count > 0 ? DNS_FOUND : DNS_NODATA, CACHE_HOSTS);
	else
		ask(q);
}

void
dns_end(struct dns *q)
{
	dns_close(q);
	free(q->answer);
	q->answer = NULL;
}
