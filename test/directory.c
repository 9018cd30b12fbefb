/*
 * directory - an LDAP directory that does as it is told: the entries of an LDIF file, and bad manners.
 *
 *     directory [-p PORT | -u PATH] [-l LOG] [-m MANNER ...] FILE
 *
 * It listens on 127.0.0.1 (port 0: the system picks), or on a local socket, and says `listening on 127.0.0.1:PORT'. In
 * LOG stands a line for what it is asked: `connect', `bind VERSION NAME PASSWORD', `bind 3 EXTERNAL', `search BASE SCOPE FILTER',
 * `abandon ID', `unbind', `starttls', `end'. FILE is read anew for each connection. Of filters it knows and, or, not, equality,
 * presence, substrings, >= and <=, and compares without regard to case; of extended ones that a DN is a member. Bases and
 * scopes count, size limits do, pages are given out (RFC 2696) with one search in pages at a time, as slapd has it.
 *
 * The manners, several may hold; those with '1:' in front in the first connection only:
 *
 *     silent          says nothing          mute       answers who binds, but no search; mute:TEXT: none about TEXT
 *     close:N         closes once it has said N octets; 0: at once
 *     drip:MS         an octet at a time, so far apart
 *     deny            invalidCredentials    code:N     that is the result of each search
 *     wrong-id        its answers have other ids           wrong-op     they are of a kind that nobody asked for
 *     disconnect      a search is answered by the notice of disconnection
 *     reference       and a reference before the end of each search;   referral: it refers elsewhere
 *     flood           endless answers that nobody asked for; flood:MS so far apart; endless: endless entries
 *     stall:N         N searches are answered, and then nothing is said
 *     big:TEXT        a search about TEXT gets one entry of 5 MB;    many:TEXT: one of 70,000 values
 *     raw:HEX         says these octets to a search, II in them is its id
 *     huge            announces a message of 2 GB; deep: one nested 100,000 deep
 *     pages           empty pages without end
 *     wait:MS         before each search is answered
 *     unpaged         knows no pages
 *     inject          agrees to StartTLS, and says more in clear
 */
#define _XOPEN_SOURCE 700
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE (1 << 20)
#define PAIRS   300000
#define MANNERS 16
#define BIG     (5 << 20)

static const char *manners[MANNERS], *file, *log_file;
static int manner_count, connection, peer;
static long said;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static void
log_add(const char *format, ...)
{
	char line[4096];
	va_list ap;
	int n, fd;

	if (log_file == NULL || (fd = open(log_file, O_WRONLY | O_APPEND | O_CREAT, 0666)) == -1)
		return;
	va_start(ap, format);
	n = vsnprintf(line, sizeof line - 1, format, ap);
	va_end(ap);
	if (n > (int)sizeof line - 2)
		n = (int)sizeof line - 2;
	line[n++] = '\n';
	if (write(fd, line, (size_t)n) != n)
		die(log_file);
	close(fd);
}

/* What follows the manner's name, "" or more; NULL: it has none of that. */
static const char *
manner(const char *name)
{
	size_t n = strlen(name);

	for (int i = 0; i < manner_count; i++) {
		const char *m = manners[i];

		if (strncmp(m, "1:", 2) == 0) {
			if (connection > 1)
				continue;
			m += 2;
		}
		if (strncmp(m, name, n) == 0 && (m[n] == '\0' || m[n] == ':'))
			return m[n] == ':' ? m + n + 1 : m + n;
	}
	return NULL;
}

static void
nap(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* ---- the entries ------------------------------------------------------------------- */

/* Name and value; a name "dn" begins an entry, NULL ends all. */
static struct { char *name, *value; } pair[PAIRS];

static void
entries_read(void)
{
	char line[65536], *colon;
	size_t n = 0;
	FILE *f = fopen(file, "r");

	if (f == NULL)
		die(file);
	while (fgets(line, sizeof line, f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#' || (colon = strstr(line, ": ")) == NULL)
			continue;
		if (n == PAIRS - 1)
			die("too many lines");
		*colon = '\0';
		pair[n].name = strdup(line);
		pair[n++].value = strdup(colon + 2);
	}
	fclose(f);
}

/* The entry's next pair, or 0. */
static size_t
next_pair(size_t at)
{
	return pair[at].name != NULL && pair[at + 1].name != NULL && strcmp(pair[at + 1].name, "dn") != 0 ? at + 1 : 0;
}

static bool
in_scope(const char *dn, const char *base, int scope)
{
	size_t n = strlen(dn), m = strlen(base);
	const char *comma = strchr(dn, ',');

	if (strcasecmp(dn, base) == 0)
		return scope != 1;
	if (n <= m || (m > 0 && (strcasecmp(dn + n - m, base) != 0 || dn[n - m - 1] != ',')))
		return false;
	return scope == 2 || (scope == 1 && comma != NULL && strcasecmp(comma + 1, base) == 0);
}

/* ---- octets ------------------------------------------------------------------------ */

static unsigned char in[MESSAGE], out[MESSAGE * 4];
static size_t out_n;

static void
send_octets(const void *octets, size_t n)
{
	const char *drip = manner("drip"), *limit = manner("close");
	const unsigned char *at = octets;

	while (n > 0) {
		size_t some = drip != NULL ? 1 : n;
		ssize_t m;

		if (limit != NULL && said >= atol(limit))
			exit(0);
		if (limit != NULL && some > (size_t)(atol(limit) - said))
			some = (size_t)(atol(limit) - said);
		if ((m = write(peer, at, some)) <= 0)
			exit(0);
		said += m;
		at += m;
		n -= (size_t)m;
		if (drip != NULL)
			nap(atol(drip));
	}
	if (limit != NULL && said >= atol(limit))
		exit(0);
}

static void
put(int tag, const void *octets, size_t n)
{
	out[out_n++] = (unsigned char)tag;
	if (n > 127) {
		out[out_n++] = 0x83;
		out[out_n++] = (unsigned char)(n >> 16);
		out[out_n++] = (unsigned char)(n >> 8);
	}
	out[out_n++] = (unsigned char)n;
	memmove(out + out_n, octets, n);
	out_n += n;
}

/* Wrap what stands from `at' on. */
static void
wrap(int tag, size_t at)
{
	static unsigned char copy[sizeof out];
	size_t n = out_n - at;

	memcpy(copy, out + at, n);
	out_n = at;
	put(tag, copy, n);
}

static void
put_number(int tag, long n)
{
	unsigned char o[4] = { (unsigned char)(n >> 24), (unsigned char)(n >> 16), (unsigned char)(n >> 8), (unsigned char)n };
	size_t from = 0;

	while (from < 3 && o[from] == 0 && !(o[from + 1] & 0x80))
		from++;
	put(tag, o + from, 4 - from);
}

/* The operation that stands from 0 on becomes a message and leaves. */
static void
reply(long id, int tag, const void *controls, size_t n)
{
	static unsigned char copy[sizeof out];
	size_t m;

	wrap(manner("wrong-op") && tag != 0x61 ? 0x61 : tag, 0);
	if (n > 0) {
		memcpy(out + out_n, controls, n);
		out_n += n;
	}
	memcpy(copy, out, m = out_n);
	out_n = 0;
	put_number(0x02, id + (manner("wrong-id") && tag != 0x61 ? 1000 : 0));
	memcpy(out + out_n, copy, m);
	out_n += m;
	wrap(0x30, 0);
	send_octets(out, out_n);
	out_n = 0;
}

static void
result(long id, int tag, long code, const char *words, const void *controls, size_t n)
{
	put_number(0x0A, code);
	put(0x04, "", 0);
	put(0x04, words, strlen(words));
	reply(id, tag, controls, n);
}

struct part { const unsigned char *at, *end; };

static int
get(struct part *from, struct part *to)
{
	size_t n, more;
	int tag;

	if (from->end - from->at < 2)
		return -1;
	tag = *from->at++;
	n = *from->at++;
	if (n > 127)
		for (more = n & 127, n = 0; more > 0 && from->at < from->end; more--)
			n = n << 8 | *from->at++;
	if (n > (size_t)(from->end - from->at))
		return -1;
	*to = (struct part){ from->at, from->at + n };
	from->at += n;
	return tag;
}

static long
get_number(struct part *from)
{
	struct part p;
	long n = 0;

	if (get(from, &p) == -1)
		return -1;
	while (p.at < p.end)
		n = n << 8 | *p.at++;
	return n;
}

static const char *
text_of(struct part p)
{
	static char text[8][4096];
	static int which;
	size_t n = (size_t)(p.end - p.at);

	which = (which + 1) % 8;
	if (n > sizeof text[0] - 1)
		n = sizeof text[0] - 1;
	memcpy(text[which], p.at, n);
	text[which][n] = '\0';
	return text[which];
}

static const char *
get_text(struct part *from)
{
	struct part p;

	return get(from, &p) == -1 ? "" : text_of(p);
}

/* ---- filters ------------------------------------------------------------------------- */

static bool
like_parts(const char *value, struct part list)
{
	struct part p;
	int tag;

	while ((tag = get(&list, &p)) != -1) {
		const char *text = text_of(p);
		size_t n = strlen(text), m = strlen(value);

		if (tag == 0x80 ? strncasecmp(value, text, n) != 0 : tag == 0x82 && (m < n || strcasecmp(value + m - n, text) != 0))
			return false;
		if (tag == 0x81)
			while (strncasecmp(value, text, n) != 0)
				if (*value++ == '\0')
					return false;
		if (tag != 0x82)
			value += n;
	}
	return true;
}

/* Does the entry at `e' match?  text gets the filter as it was said. */
static bool
match(size_t e, struct part f, char *text)
{
	struct part p, list;
	int tag = get(&f, &p);
	char name[256], value[4096] = "";
	bool found = tag == 0xA0;

	if (tag == 0xA0 || tag == 0xA1 || tag == 0xA2) {
		strcat(text, tag == 0xA0 ? "(&" : tag == 0xA1 ? "(|" : "(!");
		while (p.at < p.end) {
			struct part one = p;
			bool is = match(e, one, text);

			found = tag == 0xA0 ? found && is : tag == 0xA1 ? found || is : !is;
			if (get(&p, &one) == -1)
				break;
		}
		strcat(text, ")");
		return found;
	}
	if (tag == 0xA9)
		get_text(&p);
	snprintf(name, sizeof name, "%s", tag == 0x87 ? text_of(p) : get_text(&p));
	if (tag == 0xA4)
		get(&p, &list);
	else if (tag != 0x87)
		snprintf(value, sizeof value, "%s", get_text(&p));
	sprintf(text + strlen(text), "(%s%s%s)", name, tag == 0xA5 ? ">=" : tag == 0xA6 ? "<=" : tag == 0xA9 ? ":=" : "=",
	    tag == 0x87 ? "*" : tag == 0xA4 ? "*..*" : value);
	for (size_t i = e; (i = next_pair(i)) != 0; )
		if (strcasecmp(pair[i].name, name) == 0 && (tag == 0x87 || (tag == 0xA4 ? like_parts(pair[i].value, list) :
		    tag == 0xA5 ? strcasecmp(pair[i].value, value) >= 0 : tag == 0xA6 ? strcasecmp(pair[i].value, value) <= 0 :
		    strcasecmp(pair[i].value, value) == 0)))
			found = true;
	return found;
}

/* ---- operations ------------------------------------------------------------------------ */

/* "member;range=0-9" is the first part of member: Active Directory gives no more at a time. */
static bool
range_of(const char *name, const char *wanted)
{
	size_t n = strlen(wanted);

	return strncasecmp(name, wanted, n) == 0 && strncmp(name + n, ";range=0-", 9) == 0;
}

static bool
wanted(const char *name, struct part list)
{
	struct part p;
	bool all = list.at == list.end;

	while (get(&list, &p) != -1)
		all |= strcmp(text_of(p), "*") == 0 || strcasecmp(text_of(p), name) == 0 || range_of(name, text_of(p));
	return all;
}

static void
entry(long id, size_t e, struct part attributes)
{
	put(0x04, pair[e].value, strlen(pair[e].value));
	size_t list = out_n;

	for (size_t i = next_pair(e); i != 0; ) {
		size_t at = out_n, set, j = i;

		put(0x04, pair[i].name, strlen(pair[i].name));
		set = out_n;
		for (; j != 0 && strcasecmp(pair[j].name, pair[i].name) == 0; j = next_pair(j))
			put(0x04, pair[j].value, strlen(pair[j].value));
		wrap(0x31, set);
		wrap(0x30, at);
		if (!wanted(pair[i].name, attributes))
			out_n = at;
		i = j;
	}
	wrap(0x30, list);
	reply(id, 0x64, NULL, 0);
}

/* An entry that is too big, by its octets or its values. */
static void
big_entry(long id, bool values)
{
	static unsigned char octets[BIG];
	static const unsigned char head[] = { 0x30, 0x83, BIG >> 16 & 255, BIG >> 8 & 255, BIG & 255 },
	    inner[] = { 0x64, 0x83, (BIG - 8) >> 16 & 255, (BIG - 8) >> 8 & 255, (BIG - 8) & 255 };

	if (values) {
		put(0x04, "cn=x", 4);
		put(0x04, "mail", 4);
		for (long i = 0; i < 70000; i++)
			put(0x04, "", 0);
		wrap(0x31, 12);
		wrap(0x30, 6);
		wrap(0x30, 6);
		reply(id, 0x64, NULL, 0);
		return;
	}
	put_number(0x02, id);
	memcpy(out + out_n, inner, sizeof inner);
	out_n += sizeof inner;
	send_octets(head, sizeof head);
	send_octets(out, out_n);
	send_octets(octets, BIG - out_n);
	out_n = 0;
}

/* What bad manners answer a search by, whose filter is text; true: that was all. */
static bool
misbehave(long id, const char *text)
{
	static long searches;

	if (manner("wait") != NULL)
		nap(atol(manner("wait")));
	if (manner("mute") != NULL && strstr(text, manner("mute")) != NULL)
		return true;
	if (manner("stall") != NULL && ++searches > atol(manner("stall")))
		return true;
	if (manner("big") != NULL && strstr(text, manner("big")) != NULL)
		big_entry(id, false);
	if (manner("many") != NULL && strstr(text, manner("many")) != NULL)
		big_entry(id, true);
	if (manner("code") != NULL) {
		result(id, 0x65, atol(manner("code")), "as told", NULL, 0);
		return true;
	}
	if (manner("disconnect") != NULL) {
		put_number(0x0A, 52);
		put(0x04, "", 0);
		put(0x04, "going down", 10);
		put(0x8A, "1.3.6.1.4.1.1466.20036", 22);
		reply(0, 0x78, NULL, 0);
		exit(0);
	}
	if (manner("referral") != NULL) {
		put_number(0x0A, 10);
		put(0x04, "", 0);
		put(0x04, "", 0);
		size_t at = out_n;
		put(0x04, "ldap://elsewhere.example/", 25);
		wrap(0xA3, at);
		reply(id, 0x65, NULL, 0);
		return true;
	}
	while (manner("flood") != NULL || manner("endless") != NULL) {
		put(0x04, "cn=x", 4);
		put(0x30, "", 0);
		reply(manner("flood") ? 1 : id, 0x64, NULL, 0);
		if (manner("flood") != NULL && *manner("flood") != '\0')
			nap(atol(manner("flood")));
	}
	return false;
}

/* The same, of those whose octets are wrong. */
static bool
misspeak(long id)
{
	static const unsigned char huge[] = { 0x30, 0x84, 0x7F, 0xFF, 0xFF, 0xFF, 2, 1, 2 };
	const char *raw = manner("raw");
	unsigned c;

	if (manner("huge") != NULL) {
		send_octets(huge, sizeof huge);
		for (;;)
			send_octets(in, sizeof in);
	}
	if (manner("deep") != NULL) {
		unsigned char *deep = out;

		for (size_t i = 100000; i > 0; i--) {
			size_t n = (i - 1) * 5;

			*deep++ = 0x30;
			*deep++ = 0x83;
			*deep++ = (unsigned char)(n >> 16);
			*deep++ = (unsigned char)(n >> 8);
			*deep++ = (unsigned char)n;
		}
		send_octets(out, (size_t)(deep - out));
		return true;
	}
	if (raw != NULL) {
		for (; raw[0] != '\0' && raw[1] != '\0'; raw += 2) {
			if (strncmp(raw, "II", 2) == 0)
				c = (unsigned)id;
			else if (sscanf(raw, "%2x", &c) != 1)
				die("raw");
			out[out_n++] = (unsigned char)c;
		}
		send_octets(out, out_n);
		out_n = 0;
		return true;
	}
	return false;
}

/* The control of pages among those of a search: the size of one, 0 none; *from what
 * its cookie says. */
static long
pages(struct part controls, size_t *from)
{
	struct part one, value;
	long size = 0;

	while (get(&controls, &one) != -1) {
		if (strcmp(get_text(&one), "1.2.840.113556.1.4.319") != 0 || manner("unpaged") != NULL)
			continue;
		while (get(&one, &value) == 0x01)
			;
		get(&value, &one);
		size = get_number(&one);
		*from = (size_t)atol(get_text(&one));
	}
	return size;
}

static void
search(long id, struct part op, struct part controls)
{
	static size_t expected;		/* where the next page of the one search in pages begins */
	char *base = strdup(get_text(&op));
	int scope = (int)get_number(&op);
	long limit, page, found = 0;
	size_t from = 0, e;
	struct part filter, attributes;
	char text[16384] = "", cookie[30] = "";
	unsigned char *at = in + MESSAGE / 2;

	get_number(&op);
	limit = get_number(&op);
	get_number(&op);
	get_number(&op);
	filter = op;
	get(&op, &attributes);
	get(&op, &attributes);
	page = pages(controls, &from);
	match(0, filter, text);
	log_add("search %s %d %s%s", base, scope, text, page > 0 ? " paged" : "");
	if (base == NULL || misbehave(id, text) || misspeak(id))
		return;
	if (from > 0 && from != expected) {
		result(id, 0x65, 53, "paged results cookie is invalid or old", NULL, 0);
		return;
	}
	for (e = from; manner("pages") == NULL && pair[e].name != NULL; e++) {
		if (strcmp(pair[e].name, "dn") != 0 || !in_scope(pair[e].value, base, scope))
			continue;
		text[0] = '\0';
		if (!match(e, filter, text))
			continue;
		if ((limit > 0 && found == limit) || (page > 0 && found == page))
			break;
		entry(id, e, attributes);
		found++;
	}
	if (manner("reference") != NULL) {
		put(0x04, "ldap://elsewhere.example/", 25);
		reply(id, 0x73, NULL, 0);
	}
	if (page > 0 && (pair[e].name != NULL || manner("pages")))
		sprintf(cookie, "%lu", (unsigned long)(expected = manner("pages") ? 1 : e));
	if (page > 0) {
		size_t n;

		put_number(0x02, 0);
		put(0x04, cookie, strlen(cookie));
		wrap(0x30, 0);
		wrap(0x04, 0);
		memcpy(at, out, n = out_n);
		out_n = 0;
		put(0x04, "1.2.840.113556.1.4.319", 22);
		memcpy(out + out_n, at, n);
		out_n += n;
		wrap(0x30, 0);
		wrap(0xA0, 0);
		memcpy(at, out, n = out_n);
		out_n = 0;
		result(id, 0x65, 0, "", at, n);
	} else
		result(id, 0x65, limit > 0 && found == limit && pair[e].name != NULL ? 4 : 0, "", NULL, 0);
	free(base);
}

static void
operation(struct part message)
{
	struct part op, controls = { 0 }, more;
	long id = get_number(&message), version;
	int tag = get(&message, &op);
	const char *name, *secret;

	if (message.at < message.end)
		get(&message, &controls);
	switch (tag) {
	case 0x60:
		version = get_number(&op);
		name = get_text(&op);
		if (op.at < op.end && *op.at == 0xA3) {
			get(&op, &more);
			log_add("bind %ld %s", version, get_text(&more));
		} else {
			secret = get_text(&op);
			log_add("bind %ld %s %s", version, name, secret);
		}
		if (manner("silent") == NULL)
			result(id, 0x61, manner("deny") ? 49 : 0, "", NULL, 0);
		break;
	case 0x63:
		search(id, op, controls);
		break;
	case 0x50:
		version = 0;
		while (op.at < op.end)
			version = version << 8 | *op.at++;
		log_add("abandon %ld", version);
		break;
	case 0x42:
		log_add("unbind");
		exit(0);
	case 0x77:
		log_add("starttls");
		if (manner("inject") != NULL)
			send_octets("\x30\x0C\2\1\1\x78\7\x0A\1\0\4\0\4\0\x30", 15);
		else
			result(id, 0x78, 2, "no TLS here", NULL, 0);
		break;
	default:
		log_add("%02x", (unsigned)tag);
	}
}

static void
serve(void)
{
	size_t n = 0;
	ssize_t m;

	entries_read();
	log_add("connect");
	if (manner("close") != NULL && atol(manner("close")) == 0)
		return;
	while ((m = read(peer, in + n, MESSAGE / 2 - n)) > 0) {
		struct part all = { in, in + (n += (size_t)m) }, message;

		while (get(&all, &message) == 0x30)
			operation(message);
		/* A message that is not yet whole was touched, and not taken. */
		for (all.at = in; ; ) {
			const unsigned char *before = all.at;

			if (get(&all, &message) == -1) {
				n = (size_t)(all.end - before);
				memmove(in, before, n);
				break;
			}
		}
	}
	log_add("end");
}

static void
over(int signal)
{
	(void)signal;
	kill(0, SIGKILL);
}

static int
listener(const char *path, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct sockaddr_un u = { .sun_family = AF_UNIX };
	socklen_t n = sizeof a;
	int fd = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM, 0), on = 1;

	if (path != NULL) {
		strncpy(u.sun_path, path, sizeof u.sun_path - 1);
		unlink(path);
		if (bind(fd, (struct sockaddr *)&u, sizeof u) == -1 || listen(fd, 100) == -1)
			die(path);
		printf("listening on %s\n", path);
	} else {
		a.sin_port = htons((unsigned short)port);
		a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		if (bind(fd, (struct sockaddr *)&a, sizeof a) == -1 || listen(fd, 100) == -1 || getsockname(fd, (struct sockaddr *)&a, &n) == -1)
			die("listen");
		printf("listening on 127.0.0.1:%d\n", ntohs(a.sin_port));
	}
	fflush(stdout);
	return fd;
}

int
main(int argc, char **argv)
{
	const char *path = NULL;
	int port = 0, fd, c;

	while ((c = getopt(argc, argv, "p:u:l:m:")) != -1)
		switch (c) {
		case 'p': port = atoi(optarg); break;
		case 'u': path = optarg; break;
		case 'l': log_file = optarg; break;
		case 'm': if (manner_count < MANNERS) manners[manner_count++] = optarg; break;
		default:  return 64;
		}
	if (optind != argc - 1)
		return 64;
	file = argv[optind];
	setpgid(0, 0);			/* so that one signal ends all of us */
	signal(SIGTERM, over);
	signal(SIGPIPE, SIG_IGN);
	fd = listener(path, port);
	for (;;) {
		if ((peer = accept(fd, NULL, NULL)) == -1)
			continue;
		connection++;
		if (fork() == 0) {
			signal(SIGTERM, SIG_DFL);
			close(fd);
			serve();
			_exit(0);
		}
		close(peer);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
