/*
 * sink - the next hop of the bulk tests: an SMTP server that takes everything, and misbehaves as it is told.
 *
 *     sink [OPTION ...] [ADDR[:PORT] ...]      listens on 127.0.0.1 and there, too; without PORT: on the same one
 *
 *     -p [ADDR:]PORT   where to listen first (127.0.0.1:0; 0: the system picks)
 *     -l FILE          the log (standard output)            -d DIR   each message goes there, as N.eml
 *     -o A,B,...       what EHLO offers; '' for nothing     -n       knows no EHLO
 *     -w MS            each reply comes so much later (0)   -x       greets with 421 and closes;
 *     -g SECONDS, -k N, -r N    see grey, drop and few below               until (or again from) USR2
 *
 * It says `sink listening on ADDR:PORT' for each address. How a recipient is treated is told by how his domain begins:
 *
 *     grey  451 for a pair of sender and recipient until SECONDS (2) after it was first seen
 *     bad   550; the same for a local part that begins so
 *     drop  each N-th (3) message is taken, and then the connection is closed without a reply
 *     busy  each N-th recipient is answered 421, and the connection closed
 *     full  each N-th message is answered 452 after the final dot
 *     spam  554 after the final dot
 *     few   452 for more than N (5) recipients of one message
 *     slow  from him on replies come in drops
 *
 * What comes each N-th time comes to the same sender and recipient only once.
 *
 * The log has a line for each copy that was taken, before its reply is sent; TOKEN is what its field X-Token says, on
 * tells the connection and the transaction, at the seconds since we started:
 *
 *     took TOKEN from=<a> to=<b> reply=yes on=7.1 at=0.123
 *
 * and then `unheard TOKEN to=<b> after=SECONDS' when the connection ended so long after the reply, and no command had
 * followed it: so nobody knows whether the client read it. A field X-Sum (see content) must be right, else there is a
 * line of `broken TOKEN'. A command or a parameter that was not offered is refused; a client that does not wait for a
 * reply where it must is `hasty'. TERM ends us; then, and at USR1, which begins to count anew, comes a line of
 *
 *     counters connections=9 at-once=5 at-once-domain=2 domain=x.example transactions=20 messages=99 recipients=120
 *
 * at-once are the most that there were, for all and for one domain (of their latest recipient); transactions the most
 * on one connection.
 */
#define _POSIX_C_SOURCE 200809L

#include <sys/resource.h>
#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define LISTENERS   16
#define BUCKETS     65536
#define LINE_MOST   4096	/* octets of a command */
#define HEADER_MOST 65536	/* octets of a message in which its header must end */
#define DRIP_WAIT   0.02	/* between two drops, seconds */
#define DRIP_OCTETS 4

struct buf {
	char *data;
	size_t len, size;
};

/* A domain, or a pair for which it is a grey day. */
struct known {
	char *key;
	double since;		/* it was first seen */
	long times;		/* that its misbehaviour has come into question */
	long open;		/* connections */
	struct known *next;
};

struct rcpt {
	char *address;
	struct known *domain;
};

enum mode { COMMAND, TEXT, CHUNK };

struct conn {
	int fd;			/* -1: over */
	enum mode mode;
	long number, transactions;
	int esmtp, drips, closing;
	int unheard;		/* the final reply is under way, or nobody knows */
	struct known *domain;	/* for which it is counted */
	struct buf in, out;
	double due;		/* when out may go */
	double gone;		/* when its last octet went */
	char *from;		/* NULL: outside of a transaction */
	struct rcpt *rcpt;
	size_t count, room;
	struct buf head;	/* of the message, so far */
	int in_body;
	unsigned long octets, sum;	/* of its body */
	int in_line;		/* TEXT: what comes next does not begin a line */
	unsigned long chunk;	/* CHUNK: octets to come */
	int last;
	FILE *file;
};

static struct pollfd *polls;
static int listeners[LISTENERS], listener_count;
static struct conn **conns;
static size_t conn_count, conn_room;
static struct known *table[BUCKETS];
static double started, now;
static FILE *out;
static volatile sig_atomic_t ended, asked, turns_away;

static const char *offers = "PIPELINING,SIZE,8BITMIME,DSN,ENHANCEDSTATUSCODES,SMTPUTF8,CHUNKING", *folder;
static int no_ehlo;
static double grey_wait = 2, latency;
static long nth = 3, few = 5;

/* Counted, and the most at once. */
static long connections, at_once, at_once_domain, transactions, messages, recipients, files;
static const char *fullest = "-";

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "sink: %s: %s\n", what, why);
	exit(1);
}

static double
clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void *
reserve(void *old, size_t size)
{
	void *p = realloc(old, size);

	if (p == NULL)
		die("memory", strerror(errno));
	return p;
}

static char *
copy(const char *text)
{
	return strcpy(reserve(NULL, strlen(text) + 1), text);
}

static void
buf_add(struct buf *b, const char *octets, size_t n)
{
	if (b->len + n + 1 > b->size)
		b->data = reserve(b->data, b->size = (b->len + n + 1) * 2);
	memcpy(b->data + b->len, octets, n);
	b->data[b->len += n] = '\0';
}

static void
buf_cut(struct buf *b, size_t n)
{
	memmove(b->data, b->data + n, b->len -= n);
}

static struct known *
lookup(const char *key)
{
	unsigned long hash = 5381;
	struct known **at, *k;

	for (const char *p = key; *p != '\0'; p++)
		hash = hash * 33 ^ (unsigned char)*p;
	for (at = &table[hash % BUCKETS]; *at != NULL; at = &(*at)->next)
		if (strcmp((*at)->key, key) == 0)
			return *at;
	k = *at = reserve(NULL, sizeof *k);
	*k = (struct known){ copy(key), now, 0, 0, NULL };
	return k;
}

static int
begins(const char *s, const char *word)
{
	return strncasecmp(s, word, strlen(word)) == 0;
}

static int
is_offered(const char *word)
{
	for (const char *p = offers; *p != '\0'; p += strcspn(p, ","), p += *p == ',')
		if (begins(p, word) && strchr(" ,", p[strlen(word)]) != NULL)
			return 1;
	return 0;
}

/* ---- a connection: its ends ---- */

static void
reply(struct conn *c, const char *format, ...)
{
	char text[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof text - 2, format, args);
	va_end(args);
	if (n < 0 || n > (int)sizeof text - 3)
		n = (int)sizeof text - 3;
	memcpy(text + n, "\r\n", 2);
	if (c->out.len == 0)
		c->due = now + latency;
	buf_add(&c->out, text, (size_t)n + 2);
}

/* What the transaction has, and what is known of the one before. */
static void
forget(struct conn *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->rcpt[i].address);
	free(c->from);
	c->from = NULL;
	c->count = c->head.len = 0;
	c->in_body = c->in_line = c->last = c->unheard = 0;
	c->octets = 0;
	c->sum = 2166136261u;
	if (c->file != NULL)
		fclose(c->file);
	c->file = NULL;
}

static void
count_for(struct conn *c, struct known *domain)
{
	if (c->domain != NULL)
		c->domain->open--;
	if (domain != NULL)
		domain->open++;
	c->domain = domain;
}

static const char *
token(const struct conn *c)
{
	static char text[128];
	const char *p = c->head.len > 0 ? c->head.data : "";

	strcpy(text, "-");
	for (; p != NULL && *p != '\0'; p = strchr(p, '\n'), p += p != NULL)
		if (begins(p, "X-Token:"))
			sscanf(p + 8, "%127s", text);
	return text;
}

static void
conn_end(struct conn *c)
{
	if (c->unheard)
		for (size_t i = 0; i < c->count; i++)
			fprintf(out, "unheard %s to=<%s> after=%.3f\n", token(c), c->rcpt[i].address,
			    c->out.len > 0 ? 0 : now - c->gone);
	forget(c);
	count_for(c, NULL);
	close(c->fd);
	c->fd = -1;
}

static void
conn_begin(int fd)
{
	struct conn *c = reserve(NULL, sizeof *c);
	int one = 1;

	memset(c, 0, sizeof *c);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	c->fd = fd;
	c->number = ++connections;
	forget(c);
	if (conn_count == conn_room) {
		conn_room = conn_room * 2 + 64;
		conns = reserve(conns, conn_room * sizeof *conns);
		polls = reserve(polls, (conn_room + LISTENERS) * sizeof *polls);
	}
	conns[conn_count++] = c;
	if (turns_away) {
		fprintf(out, "turned away at=%.3f\n", now - started);
		reply(c, "421 4.3.2 sink.test is not here");
		c->closing = 1;
	} else
		reply(c, "220 sink.test ESMTP");
}

/* ---- the message ---- */

/* Octets of the message; of its body the number and the FNV-1a hash are what X-Sum must say: `120-9f32c1aa'. */
static void
content(struct conn *c, const char *p, size_t n)
{
	if (c->file != NULL)
		fwrite(p, 1, n, c->file);
	for (; n > 0; p++, n--)
		if (c->in_body) {
			c->octets++;
			c->sum = ((c->sum ^ (unsigned char)*p) * 16777619u) & 0xffffffffu;
		} else {
			buf_add(&c->head, p, 1);
			c->in_body = c->head.len >= HEADER_MOST ||
			    (*p == '\n' && c->head.len > 3 && strcmp(c->head.data + c->head.len - 4, "\r\n\r\n") == 0);
		}
}

static void
check_sum(struct conn *c)
{
	unsigned long octets, sum;
	const char *p = c->head.len > 0 ? strstr(c->head.data, "\nX-Sum: ") : NULL;

	if (p != NULL && (sscanf(p + 8, "%lu-%lx", &octets, &sum) != 2 || octets != c->octets || sum != c->sum))
		fprintf(out, "broken %s: %lu-%08lx\n", token(c), c->octets, c->sum);
}

static struct known *
pair_of(const char *from, const char *to)
{
	char pair[2 * LINE_MOST];

	snprintf(pair, sizeof pair, "%s %s", from, to);
	return lookup(pair);
}

/* Each N-th time that the domain is asked; but the same pair only once, or a few might have bad luck for ever. */
static int
is_turn(const struct conn *c, const char *to, struct known *domain)
{
	return ++domain->times % nth == 0 && pair_of(c->from, to)->times++ == 0;
}

/* The first recipient of this kind, or NULL. */
static struct rcpt *
one_of(const struct conn *c, const char *kind)
{
	for (size_t i = 0; i < c->count; i++)
		if (begins(c->rcpt[i].domain->key, kind))
			return &c->rcpt[i];
	return NULL;
}

static void
message_end(struct conn *c)
{
	const struct rcpt *drop = one_of(c, "drop"), *full = one_of(c, "full");
	int silent = drop != NULL && is_turn(c, drop->address, drop->domain);

	c->mode = COMMAND;
	if (one_of(c, "spam") != NULL)
		reply(c, "554 5.7.1 we do not like it");
	else if (full != NULL && is_turn(c, full->address, full->domain))
		reply(c, "452 4.3.1 no room now");
	else {
		check_sum(c);
		messages++;
		for (size_t i = 0; i < c->count; i++)
			fprintf(out, "took %s from=<%s> to=<%s> reply=%s on=%ld.%ld at=%.3f\n", token(c), c->from,
			    c->rcpt[i].address, silent ? "no" : "yes", c->number, c->transactions, now - started);
		recipients += (long)c->count;
		if (silent) {
			conn_end(c);
			return;
		}
		reply(c, "250 2.0.0 taken, %lu octets of body", c->octets);
		c->unheard = 1;
		if (c->file != NULL)
			fclose(c->file);
		c->file = NULL;
		return;			/* all is kept until it is known to be heard */
	}
	forget(c);
}

static void
message_begin(struct conn *c)
{
	char path[1024];

	if (folder == NULL || c->file != NULL)
		return;
	snprintf(path, sizeof path, "%s/%ld.eml", folder, ++files);
	if ((c->file = fopen(path, "w")) == NULL)
		die(path, strerror(errno));
	fprintf(c->file, "x-sender: %s\r\n", c->from);
	for (size_t i = 0; i < c->count; i++)
		fprintf(c->file, "x-receiver: %s\r\n", c->rcpt[i].address);
}

/* ---- commands ---- */

/* What is between < and >, in place; *args is left behind it. NULL: there is no such thing. */
static char *
path_of(char *line, char **args)
{
	char *from = strchr(line, '<'), *to = from == NULL ? NULL : strchr(from, '>');

	if (to == NULL)
		return NULL;
	*to = '\0';
	*args = to + 1;
	return from + 1;
}

/* A parameter of an extension that was not offered; NULL: there is none. */
static const char *
foreign(char *args)
{
	static const char *const table[][2] = {
		{ "SIZE=", "SIZE" }, { "BODY=BINARYMIME", "BINARYMIME" }, { "BODY=", "8BITMIME" }, { "RET=", "DSN" },
		{ "ENVID=", "DSN" }, { "NOTIFY=", "DSN" }, { "ORCPT=", "DSN" }, { "SMTPUTF8", "SMTPUTF8" },
	};

	for (char *w = strtok(args, " "); w != NULL; w = strtok(NULL, " ")) {
		size_t i = 0;

		while (i < sizeof table / sizeof *table && !begins(w, table[i][0]))
			i++;
		if (i == sizeof table / sizeof *table || !is_offered(table[i][1]))
			return w;
	}
	return NULL;
}

static void
say_ehlo(struct conn *c)
{
	const char *p = offers;

	c->esmtp = 1;
	reply(c, *p == '\0' ? "250 sink.test" : "250-sink.test");
	while (*p != '\0') {
		int n = (int)strcspn(p, ",");

		reply(c, "250%c%.*s", p[n] == '\0' ? ' ' : '-', n, p);
		p += n + (p[n] == ',');
	}
}

static void
say_mail(struct conn *c, char *line)
{
	char *args, *from = path_of(line, &args);
	const char *bad;

	if (c->from != NULL)
		reply(c, "503 5.5.1 not within a transaction");
	else if (from == NULL)
		reply(c, "501 5.5.2 no path");
	else if ((bad = foreign(args)) != NULL)
		reply(c, "555 5.5.4 %s was not offered", bad);
	else {
		c->from = copy(from);
		if (++c->transactions > transactions)
			transactions = c->transactions;
		reply(c, "250 2.1.0 ok");
	}
}

static void
rcpt_add(struct conn *c, const char *to, struct known *domain)
{
	if (c->count == c->room) {
		c->room = c->room * 2 + 4;
		c->rcpt = reserve(c->rcpt, c->room * sizeof *c->rcpt);
	}
	c->rcpt[c->count++] = (struct rcpt){ copy(to), domain };
	reply(c, "250 2.1.5 ok");
}

static void
say_rcpt(struct conn *c, char *line)
{
	char *args, *to = path_of(line, &args), *domain = to == NULL ? NULL : strrchr(to, '@');
	const char *bad;

	if (c->from == NULL)
		reply(c, "503 5.5.1 MAIL first");
	else if (domain++ == NULL)
		reply(c, "501 5.5.2 no path");
	else if ((bad = foreign(args)) != NULL)
		reply(c, "555 5.5.4 %s was not offered", bad);
	else {
		for (char *p = domain; *p != '\0'; p++)
			*p = (char)tolower((unsigned char)*p);
		count_for(c, lookup(domain));
		c->drips |= begins(domain, "slow");
		if (begins(domain, "bad") || begins(to, "bad"))
			reply(c, "550 5.1.1 nobody of that name");
		else if (begins(domain, "grey") && now - pair_of(c->from, to)->since < grey_wait)
			reply(c, "451 4.7.1 not the first time");
		else if (begins(domain, "few") && c->count >= (size_t)few)
			reply(c, "452 4.5.3 too many recipients");
		else if (begins(domain, "busy") && is_turn(c, to, c->domain)) {
			reply(c, "421 4.3.2 busy");
			c->closing = 1;
		} else
			rcpt_add(c, to, c->domain);
	}
}

static void
say_bdat(struct conn *c, const char *args)
{
	char last[8] = "";

	if (!is_offered("CHUNKING") || sscanf(args, "%lu %7s", &c->chunk, last) < 1) {
		reply(c, "502 5.5.1 BDAT was not offered, or not understood");
		c->closing = 1;		/* what follows is no command */
		return;
	}
	if (c->count > 0)
		message_begin(c);
	c->last = *last != '\0';
	c->mode = CHUNK;
}

static void
say_data(struct conn *c)
{
	if (c->count == 0)
		reply(c, "503 5.5.1 no recipients");
	else {
		message_begin(c);
		reply(c, "354 go ahead");
		c->mode = TEXT;
	}
}

static void
command(struct conn *c, char *line)
{
	if (c->unheard)
		forget(c);
	if (begins(line, "EHLO ") && !no_ehlo)
		say_ehlo(c);
	else if (begins(line, "HELO "))
		reply(c, "250 sink.test");
	else if (begins(line, "MAIL FROM:"))
		say_mail(c, line);
	else if (begins(line, "RCPT TO:"))
		say_rcpt(c, line);
	else if (begins(line, "DATA"))
		say_data(c);
	else if (begins(line, "BDAT "))
		say_bdat(c, line + 5);
	else if (begins(line, "RSET")) {
		forget(c);
		reply(c, "250 2.0.0 ok");
	} else if (begins(line, "NOOP"))
		reply(c, "250 2.0.0 ok");
	else if (begins(line, "QUIT")) {
		reply(c, "221 2.0.0 bye");
		c->closing = 1;
	} else
		reply(c, "502 5.5.1 unknown");
}

/* ---- what comes in: each of these answers how many octets it has used, 0: it wants more ---- */

static size_t
take_command(struct conn *c, char *p, size_t n)
{
	char *end = memchr(p, '\n', n);

	if (end == NULL) {
		if (n > LINE_MOST)
			conn_end(c);
		return 0;
	}
	if (end + 1 < p + n && !begins(p, "BDAT ") &&
	    (!is_offered("PIPELINING") || begins(p, "EHLO") || begins(p, "DATA")))
		fprintf(out, "hasty on=%ld\n", c->number);
	*end = '\0';
	if (end > p && end[-1] == '\r')
		end[-1] = '\0';
	command(c, p);
	return (size_t)(end - p) + 1;
}

/* A line, or a part of one that is long. */
static size_t
take_text(struct conn *c, const char *p, size_t n)
{
	const char *end = memchr(p, '\n', n);
	size_t used = end == NULL ? n : (size_t)(end - p) + 1, dot = !c->in_line && *p == '.';

	if (end == NULL && n < LINE_MOST)
		return 0;
	if (dot && used == 3 && p[1] == '\r' && end != NULL) {
		message_end(c);
		return used;
	}
	c->in_line = end == NULL;
	content(c, p + dot, used - dot);
	return used;
}

static size_t
take_chunk(struct conn *c, const char *p, size_t n)
{
	if (n > c->chunk)
		n = c->chunk;
	if (c->count > 0)
		content(c, p, n);
	c->chunk -= n;
	if (c->chunk > 0)
		return n;
	c->mode = COMMAND;
	if (c->count == 0)
		reply(c, "503 5.5.1 no recipients");
	else if (c->last)
		message_end(c);
	else
		reply(c, "250 2.0.0 go on");
	return n;
}

static void
conn_read(struct conn *c)
{
	char octets[65536];
	ssize_t n = read(c->fd, octets, sizeof octets);
	size_t at = 0, used = 1;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_end(c);
		return;
	}
	buf_add(&c->in, octets, (size_t)n);
	while (c->fd != -1 && !c->closing && (at < c->in.len || (c->mode == CHUNK && c->chunk == 0))) {
		char *p = c->in.data + at;
		size_t left = c->in.len - at;
		enum mode mode = c->mode;

		used = mode == COMMAND ? take_command(c, p, left) : mode == TEXT ? take_text(c, p, left) : take_chunk(c, p, left);
		if (used == 0 && mode != CHUNK)
			break;
		at += used;
	}
	buf_cut(&c->in, c->closing ? c->in.len : at);
}

static void
conn_write(struct conn *c)
{
	ssize_t n = write(c->fd, c->out.data, c->drips && c->out.len > DRIP_OCTETS ? DRIP_OCTETS : c->out.len);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		conn_end(c);
		return;
	}
	if (n > 0) {
		buf_cut(&c->out, (size_t)n);
		c->gone = now;
		if (c->drips)
			c->due = now + DRIP_WAIT;
	}
	if (c->out.len == 0 && c->closing)
		conn_end(c);
}

/* ---- the loop ---- */

/* Removes those that are over, and sees how many the others are. */
static void
take_stock(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < conn_count; i++) {
		struct conn *c = conns[i];

		if (c->fd != -1) {
			conns[kept++] = c;
			if (c->domain != NULL && c->domain->open > at_once_domain) {
				at_once_domain = c->domain->open;
				fullest = c->domain->key;
			}
			continue;
		}
		free(c->in.data);
		free(c->out.data);
		free(c->head.data);
		free(c->rcpt);
		free(c);
	}
	conn_count = kept;
	if ((long)conn_count > at_once)
		at_once = (long)conn_count;
}

static void
wait_for_all(void)
{
	double until = now + 0.5;

	for (int i = 0; i < listener_count; i++)
		polls[i] = (struct pollfd){ listeners[i], POLLIN, 0 };
	for (size_t i = 0; i < conn_count; i++) {
		struct conn *c = conns[i];
		int writes = c->out.len > 0 && c->due <= now;

		if (c->out.len > 0 && c->due < until)
			until = c->due;
		polls[(size_t)listener_count + i] = (struct pollfd){ c->fd, writes ? POLLIN | POLLOUT : POLLIN, 0 };
	}
	poll(polls, (nfds_t)listener_count + conn_count, until <= now ? 500 : (int)((until - now) * 1000) + 1);
	now = clock_now();
}

/* Stock is taken between those who left and those who come: who left came before. */
static void
turn(void)
{
	size_t count = conn_count;

	wait_for_all();
	for (size_t i = 0; i < count; i++) {
		struct conn *c = conns[i];

		if (polls[(size_t)listener_count + i].revents & ~POLLOUT)
			conn_read(c);
		if (c->fd != -1 && c->out.len > 0 && c->due <= now)
			conn_write(c);
	}
	take_stock();
	for (int i = 0, fd; i < listener_count; i++)
		while (polls[i].revents != 0 && (fd = accept(listeners[i], NULL, NULL)) != -1)
			conn_begin(fd);
}

static void
print_counters(void)
{
	fprintf(out, "counters connections=%ld at-once=%ld at-once-domain=%ld domain=%s transactions=%ld messages=%ld"
	    " recipients=%ld\n", connections, at_once, at_once_domain, fullest, transactions, messages, recipients);
	connections = at_once = at_once_domain = transactions = messages = recipients = 0;
	fullest = "-";
	asked = 0;
}

static void
on_signal(int number)
{
	if (number == SIGUSR2) {
		turns_away = !turns_away;
		return;
	}
	if (number == SIGTERM)
		ended = 1;
	asked = 1;
}

/* ADDR:PORT, ADDR or PORT; what is not said is as in *sa, which is then where we listen. */
static void
listen_on(const char *where, struct sockaddr_in *sa)
{
	const char *colon = strchr(where, ':');
	char text[64];
	size_t n = strcspn(where, ":");
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	socklen_t size = sizeof *sa;

	if (n >= sizeof text)
		die(where, "is no address");
	memcpy(text, where, n);
	text[n] = '\0';
	if (colon != NULL || strchr(where, '.') == NULL)
		sa->sin_port = htons((unsigned short)atoi(colon != NULL ? colon + 1 : where));
	if (strchr(text, '.') != NULL && inet_pton(AF_INET, text, &sa->sin_addr) != 1)
		die(where, "is no address");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (listener_count == LISTENERS || bind(fd, (struct sockaddr *)sa, sizeof *sa) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)sa, &size) < 0)
		die(where, strerror(errno));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	listeners[listener_count++] = fd;
	printf("sink listening on %s:%d\n", inet_ntop(AF_INET, &sa->sin_addr, text, sizeof text), ntohs(sa->sin_port));
	fflush(stdout);
}

static const char *
take_options(int argc, char **argv)
{
	const char *first = "0";
	int c;

	out = stdout;
	while ((c = getopt(argc, argv, "p:l:d:o:nxw:g:k:r:")) != -1)
		switch (c) {
		case 'p': first = optarg; break;
		case 'l': if ((out = fopen(optarg, "a")) == NULL)
				die(optarg, strerror(errno));
			break;
		case 'd': folder = optarg; break;
		case 'o': offers = optarg; break;
		case 'n': no_ehlo = 1, offers = ""; break;
		case 'x': turns_away = 1; break;
		case 'w': latency = atof(optarg) / 1000; break;
		case 'g': grey_wait = atof(optarg); break;
		case 'k': if ((nth = atol(optarg)) < 1)
				die(optarg, "is no number of times");
			break;
		case 'r': few = atol(optarg); break;
		default:  die("wrong option", "they are listed at the head of sink.c");
		}
	setvbuf(out, NULL, _IOLBF, BUFSIZ);
	return first;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in sa = { .sin_family = AF_INET };
	struct sigaction act = { .sa_handler = on_signal };
	struct rlimit most;

	started = now = clock_now();
	if (getrlimit(RLIMIT_NOFILE, &most) == 0) {
		most.rlim_cur = most.rlim_max;
		setrlimit(RLIMIT_NOFILE, &most);
	}
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGUSR1, &act, NULL);
	sigaction(SIGUSR2, &act, NULL);
	signal(SIGPIPE, SIG_IGN);
	polls = reserve(NULL, LISTENERS * sizeof *polls);
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listen_on(take_options(argc, argv), &sa);
	for (; optind < argc; optind++)
		listen_on(argv[optind], &sa);
	while (!ended) {
		turn();
		if (asked && !ended)
			print_counters();
	}
	print_counters();
	return 0;
}
