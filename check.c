/*
 * check.c - smtpd check: is what the configuration names there, and does it
 * work?
 *
 * Each check says one line as soon as it is over:
 *
 *	ok    what is well
 *	note  what may be meant so, or is so for now: why
 *	FAULT FILE:LINE: what is wrong: what to do
 *
 * A fault makes the status 78, a note does not.  What is true here: nothing
 * stays changed (a folder that is missing is not made, the file that is moved
 * about is removed); the server may run meanwhile, for which a name with a dot
 * is not there; and every wait has an end.
 */
#include "smtpd.h"

#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GREETING     2000	/* for somebody's greeting, ms */
#define ASK_WAIT     6000	/* for the answer to a question, */
#define NAMES_WAIT   30000	/* and to all of them, */
#define NAMES_SILENT 3000	/* when no name server has answered yet */
#define ADDRESSES    4		/* of our own name that are looked up back */
#define RESOLVERS    3		/* dns.c asks no more */
#define YEAR_2025    1735689600LL
#define YEAR_2100    4102444800LL

enum finding { OK, NOTE, FAULT };

static int faults;
static bool directories;	/* can they be asked? */
static msec names_until;	/* tick after which nothing is asked any more */

/* ---- what is said ------------------------------------------------------------ */

static void
say(enum finding v, const struct place *p, const char *format, ...)
{
	static const char *const word[2][3] = {
		{ "ok    ", "note  ", "FAULT " },
		{ "\033[32mok    \033[m", "\033[33mnote  \033[m", "\033[31mFAULT \033[m" }
	};
	char text[2 * WORDS_SIZE];
	int n = 0;
	va_list ap;

	faults += v == FAULT;
	if (v == FAULT && p != NULL && p->line != 0)
		n = snprintf(text, sizeof text, "%.200s:%d: ", p->file, p->line);
	va_start(ap, format);
	vsnprintf(text + n, sizeof text - (size_t)n, format, ap);
	va_end(ap);
	text_wrapped(word[isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL][v], "      ", text);
	fflush(stdout);
}

/* ---- folders ------------------------------------------------------------------- */

/* 1: it is there, and ours to use; 0: it is not, and can be made; -1 and why. */
static int
folder_ready(const char *path, char *why, size_t size)
{
	char parent[PATH_SIZE];
	const char *slash = strrchr(path, '/');
	struct stat st;

	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode) && access(path, R_OK | W_OK | X_OK) == 0)
			return 1;
		snprintf(why, size, S_ISDIR(st.st_mode) ? "%.400s is not ours to read and write: give it to the user that smtpd runs as" :
		    "%.400s is no folder: move it away, or name another", path);
		return -1;
	}
	snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	if (errno == ENOENT && access(*parent ? parent : "/", W_OK | X_OK) == 0)
		return 0;
	if (errno == ENOENT)
		snprintf(why, size, "%.400s cannot be made, for what it would be in is not there: mkdir -p %.150s", path, parent);
	else
		snprintf(why, size, "%.400s cannot be made: %s: give %.150s to the user that smtpd runs as", path, strerror(errno), parent);
	return -1;
}

/* Is the path, or will it be, this folder or something in it, whatever the
 * links on the way?  From as far as it is there we go up. */
static bool
inside(const char *path, const char *folder)
{
	char at[2 * PATH_SIZE], *cut;
	struct stat f, st, below = { 0 };

	snprintf(at, PATH_SIZE, "%s", path);
	while (stat(at, &st) == -1 && (cut = strrchr(at, '/')) != NULL && cut > at)
		*cut = '\0';
	if (stat(folder, &f) == -1 || (stat(at, &st) == -1 && stat(memcpy(at, *path == '/' ? "/" : ".", 2), &st) == -1))
		return false;
	do {
		if (st.st_dev == f.st_dev && st.st_ino == f.st_ino)
			return true;
		below = st;
		memcpy(at + strlen(at), "/..", 4);
	} while (strlen(at) < sizeof at - 4 && stat(at, &st) == 0 && (st.st_ino != below.st_ino || st.st_dev != below.st_dev));
	return false;
}

/* Does one of them lie in another of t's, or is the same?  Only Drop and
 * Badmail can be shared; a mailroot can stand in another, beside its folders. */
static bool
folders_clash(const struct server *s, const struct server *t, char *why, size_t size)
{
	char a[FOLDER_SIZE], b[FOLDER_SIZE];

	for (int i = FOLDERS; i >= 0; i--)
		for (int j = 0; j <= FOLDERS; j++) {
			bool both = i >= DROP && j >= DROP && i < FOLDERS && j < FOLDERS;

			if (i == FOLDERS || config_folder(s, (enum folder)i, a) == -1)
				snprintf(a, sizeof a, "%s", s->mailroot);
			if (j == FOLDERS || config_folder(t, (enum folder)j, b) == -1)
				snprintf(b, sizeof b, "%s", t->mailroot);
			if ((s == t ? i >= j || j == FOLDERS : both) || !inside(a, b))
				continue;
			if ((s == t || j == FOLDERS) && !inside(b, a))
				continue;
			snprintf(why, size, "%.300s is, or lies in, %.300s of server \"%.100s\": give it a folder of its own", a, b, t->name);
			return true;
		}
	return false;
}

int
check_mailroot(const struct server *s, char *why, size_t size)
{
	char path[FOLDER_SIZE];

	for (int f = 0; f < FOLDERS; f++)
		if (strlen(s->mailroot) >= FOLDER_SIZE || config_folder(s, (enum folder)f, path) == -1) {
			snprintf(why, size, "the mailroot's path is too long");
			return -1;
		}
	for (const struct server *t = s->config->servers; t != NULL; t = t->next)
		if (folders_clash(s, t, why, size) || (s != t && folders_clash(t, s, why, size)))
			return -1;
	return folder_ready(s->mailroot, why, size);
}

long
check_running(const struct server *s)
{
	char path[PATH_SIZE];
	struct flock l;
	int fd;

	memset(&l, 0, sizeof l);
	l.l_type = F_WRLCK;
	l.l_whence = SEEK_SET;
	snprintf(path, sizeof path, "%.900s/.lock", s->mailroot);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return 0;
	if (fcntl(fd, F_GETLK, &l) == -1 || l.l_type == F_UNLCK)
		l.l_pid = 0;
	close(fd);
	return (long)l.l_pid;
}

/* What a message does: written and synced in SortTemp, moved from folder to
 * folder, each of them synced. */
static bool
moves_work(const struct server *s)
{
	static const enum folder way[] = { QUEUE, BADMAIL, PICKUP, SORTTEMP, DROP };
	char folder[FOLDER_SIZE], at[PATH_SIZE], next[PATH_SIZE];
	const struct place *p = server_place(s, GENERAL, "mailroot");
	int before = faults;

	config_folder(s, SORTTEMP, folder);
	snprintf(at, sizeof at, "%s/.check.%ld", folder, (long)getpid());
	if (disk_file(at, "x", 1) == -1 || disk_folder(folder) == -1)
		say(FAULT, p, "%s: a file cannot be written and synced there: %s: no message would be safe", folder, strerror(errno));
	for (size_t i = 0; i < sizeof way / sizeof *way && faults == before; i++) {
		config_folder(s, way[i], folder);
		snprintf(next, sizeof next, "%s/.check.%ld", folder, (long)getpid());
		if (access(folder, F_OK) == -1)
			continue;
		if (disk_rename(at, next) == 0)
			memcpy(at, next, sizeof at);
		else if (errno == EXDEV && way[i] == DROP)
			say(NOTE, p, "%s is on another file system than Queue: mail is copied there, which takes longer", folder);
		else
			say(FAULT, way[i] == BADMAIL ? server_place(s, MESSAGES, "badmail") : p, "%s: a file cannot be moved there: %s: "
			    "all folders but Drop must be on one file system, and ours", folder, strerror(errno));
		if (faults == before && disk_folder(folder) == -1)
			say(FAULT, p, "%s: the folder cannot be synced: %s: no message would be safe", folder, strerror(errno));
	}
	unlink(at);
	return faults == before;
}

static void
check_room(const struct server *s)
{
	char folder[FOLDER_SIZE], text[SIZE_TEXT];
	const struct place *p = server_place(s, GENERAL, "mailroot");
	long long room, used;

	config_folder(s, QUEUE, folder);
	room = disk_refused("space") ? 0 : disk_room(folder);
	if (room <= 0)
		say(FAULT, p, "the disk of %s is full, to what is kept in reserve: no message is accepted until there is room", folder);
	else if (s->max_size != UNLIMITED && room < s->max_size)
		say(NOTE, p, "on the disk of %s are %s octets free: a message of max-size does not fit", folder, text_size(text, room));
	else
		say(OK, p, "on the disk of %s are %s octets free", folder, text_size(text, room));
	config_folder(s, DROP, folder);
	if ((used = disk_usage(folder)) > s->home->quota)
		say(FAULT, server_place(s, DOMAIN, "quota"), "%s holds %s octets, more than its quota, and recipients get 452: collect the mail, "
		    "or raise the quota", folder, text_size(text, used));
	config_folder(s, BADMAIL, folder);
	if ((used = disk_usage(folder)) > s->badmail_limit[0])
		say(NOTE, NULL, "%s holds %s octets, more than badmail-limit: the oldest will be removed", folder, text_size(text, used));
}

static void
check_log(const struct server *s)
{
	const char *name = s->log.folder;
	char path[PATH_SIZE], why[2 * WORDS_SIZE];

	if (s->log.format == LOG_NONE)
		return;
	snprintf(path, sizeof path, "%s%s%s", *name == '/' ? "" : s->mailroot, *name == '/' ? "" : "/", name);
	if (folder_ready(path, why, sizeof why) == -1)
		say(FAULT, server_place(s, GENERAL, "log"), "log: %s", why);
	else
		say(OK, NULL, "log folder %s can be used", path);
}

static void
check_folders(const struct server *s)
{
	const struct place *p;
	char folder[FOLDER_SIZE], why[2 * WORDS_SIZE], here[PATH_SIZE];
	bool relative = *s->mailroot != '/' && getcwd(here, sizeof here) != NULL;
	int ready = check_mailroot(s, why, sizeof why), answer, missing = 0;

	if (ready == -1)
		say(FAULT, server_place(s, GENERAL, "mailroot"), "%s", why);
	if (ready == 0)
		say(OK, NULL, "mailroot %s is not there, and will be made%s%s", s->mailroot, relative ? " in " : "", relative ? here : "");
	if (ready != 1)
		return;
	for (int f = 0; f < FOLDERS; f++) {
		config_folder(s, (enum folder)f, folder);
		p = f == DROP ? server_place(s, DOMAIN, "drop") : f == BADMAIL ? server_place(s, MESSAGES, "badmail") : server_place(s, GENERAL, "mailroot");
		if ((answer = folder_ready(folder, why, sizeof why)) == -1)
			say(FAULT, p, "%s", why);
		ready = answer < ready ? answer : ready;
		missing += answer == 0;
	}
	check_log(s);
	config_folder(s, SORTTEMP, folder);
	if (ready != -1 && missing > 0)
		say(OK, NULL, "mailroot %s: %d of its folders will be made", s->mailroot, missing);
	if (ready == -1 || access(folder, F_OK) == -1 || !moves_work(s))
		return;
	say(OK, NULL, "mailroot %s: files can be written, synced and moved", s->mailroot);
	check_room(s);
}

/* ---- addresses ------------------------------------------------------------------- */

static void
doze(struct pollfd *slot, msec until)
{
	poll(slot, 1, until <= now.tick ? 0 : (int)(until - now.tick));
	clock_turn();
}

/* Who listens there already?  The first line he says, or "". */
static void
greeting(struct addr a, char *out, size_t size)
{
	static const char *const home[] = { [4] = "127.0.0.1", [6] = "::1" };
	msec until = now.tick + GREETING;
	uint16_t port = a.port;
	struct pollfd slot;
	struct conn c;
	size_t n;
	bool crlf;
	char *line;
	int fd;

	*out = '\0';
	if (addr_any(&a))
		addr_parse(&a, home[a.family], false);
	a.port = port;
	if ((fd = conn_connect(&a)) == -1)
		return;
	conn_open(&c, fd, fd);
	while (now.tick < until) {
		if (conn_line(&c, &line, &n, &crlf) == 1) {
			text_safe(out, size, line, n);
			break;
		}
		conn_want(&c, true, &slot);
		doze(&slot, until);
		if (slot.revents != 0 && conn_receive(&c) == -1)
			break;
	}
	conn_close(&c);
}

int
check_listen(const struct addr *a, char *why, size_t size)
{
	struct addr mine = *a;
	char text[ADDR_TEXT + 8];
	int fd = conn_listen(&mine), error = errno;

	addr_text_port(a, text);
	if (fd != -1)
		return close(fd);
	if (error == EADDRINUSE)
		snprintf(why, size, "%s is in use by another program: end that one, or listen elsewhere", text);
	else if (error == EADDRNOTAVAIL || error == EAFNOSUPPORT)
		snprintf(why, size, "%s is no address of this machine", text);
	else if (error == EACCES)
		snprintf(why, size, "%s is not ours to take: ports below 1024 are root's (or of who has CAP_NET_BIND_SERVICE)", text);
	else
		snprintf(why, size, "%s cannot be listened on: %s", text, strerror(error));
	return error;
}

static void
check_listeners(const struct server *s)
{
	bool running = check_running(s) != 0;
	char why[WORDS_SIZE], text[ADDR_TEXT + 8], who[100];

	for (const struct listen *l = s->listen; l != NULL; l = l->next) {
		int error = check_listen(&l->addr, why, sizeof why);

		addr_text_port(&l->addr, text);
		who[0] = '\0';
		if (error == EADDRINUSE)
			greeting(l->addr, who, sizeof who);
		if (error == 0)
			say(OK, NULL, "\"%s\" can listen on %s", s->name, text);
		else if (running && strstr(who, s->hostname) != NULL)
			say(OK, NULL, "\"%s\" listens on %s: it runs", s->name, text);
		else if (running && error == EADDRINUSE && *who == '\0')
			say(NOTE, NULL, "\"%s\" may listen on %s: it runs, but somebody there gives no greeting", s->name, text);
		else if (text_prefix(who, "421 ") && strstr(who, s->hostname) != NULL)
			say(NOTE, NULL, "\"%s\" does not run, but its program keeps %s: it was stopped, or could not be started, "
			    "which the log says why", s->name, text);
		else
			say(FAULT, &l->place, "%s%s%s%s", why, *who ? "; it says '" : "", who, *who ? "'" : "");
	}
}

/* ---- certificates ------------------------------------------------------------------- */

/* What it is for, and for how long, and who believes it. */
static void
check_facts(const struct certificate *c, const struct tls_facts *f)
{
	long long days = (f->expires - now.wall / 1000) / 86400;
	char date[DATE_SIZE];

	date_text(date, f->expires);
	if (f->expires <= now.wall / 1000)
		say(FAULT, &c->place, "certificate %s has been over since %s: put a new one in its place, and reload", c->file, date);
	else if (days < CERTIFICATE_DAYS)
		say(NOTE, NULL, "certificate %s is over in %lld days, at %s: put a new one in its place, and reload", c->file, days, date);
	else
		say(OK, NULL, "certificate %s, %s, is for %s, %lld days more", c->file, f->kind, *f->names ? f->names : "no name", days);
	if (f->self_signed)
		say(NOTE, NULL, "certificate %s is signed by itself: who verifies it does not believe it", c->file);
	else if (*f->chain)
		say(NOTE, NULL, "certificate %s leads to no authority that this system knows: %s: behind it in its file belong those "
		    "that lead there", c->file, f->chain);
}

static void
check_certificates(const struct server *s)
{
	bool named = s->certificates == NULL;
	char why[2 * WORDS_SIZE];

	for (const struct certificate *c = s->certificates; c != NULL; c = c->next) {
		struct certificate one = *c;
		const struct certificate *at = &one;
		struct tls_context *t;
		struct tls_facts f;

		one.next = NULL;
		if ((t = tls_server(&at, s->tls_minimum, s->client_authorities, why, sizeof why)) == NULL ||
		    tls_look(c, s->hostname, &f, why, sizeof why) == -1) {
			say(FAULT, &c->place, "%s", why);
			f = (struct tls_facts){ .named = true };
		} else
			check_facts(c, &f);
		if (config_key_open(c))
			say(FAULT, &c->place, "the key '%s' is not its owner's alone: chmod 600 it", c->key);
		named |= f.named;
		tls_context_free(t);
	}
	if (!named)
		say(NOTE, NULL, "hostname %s is in no certificate: who verifies the name does not believe it", s->hostname);
}

/* ---- names ----------------------------------------------------------------------- */

/* Ask, and wait for the answer; q is to be ended.  NULL: there is none. */
static const struct dns_answer *
ask(struct dns *q, const char *name, enum dns_type type)
{
	msec most = now.tick + ASK_WAIT < names_until ? now.tick + ASK_WAIT : names_until, until;
	char ascii[DOMAIN_MAX + 1];
	struct pollfd slot;

	dns_begin(q, domain_ascii(ascii, name) == 0 ? ascii : name, type);
	while (dns_step(q) == 0 && now.tick < most) {
		until = most;
		dns_want(q, &slot, &until);
		doze(&slot, until);
	}
	return q->answer != NULL && q->answer->result != DNS_LATER ? q->answer : NULL;
}

/* Does one of these answer at all, whatever it says?  Each should know of
 * localhost (RFC 6761 6.3), and one for us alone of our name. */
static bool
resolver_answers(const struct config *c, const struct listen *l)
{
	const char *name[] = { "localhost", c->servers->hostname };
	struct dns q;
	bool yes = false;

	dns_configure(l, c->hosts);
	names_until = now.tick + ASK_WAIT;
	for (int i = 0; i < 2 && !yes; i++) {
		yes = ask(&q, name[i], DNS_MX) != NULL;
		dns_end(&q);
	}
	return yes;
}

static void
check_resolvers(const struct config *c)
{
	static const char silent[] = "mail whose way must be looked up waits until one answers";
	char text[ADDR_TEXT + 8];
	bool any = false;
	int count = 0;

	for (const struct listen *l = c->resolvers; l != NULL; l = l->next) {
		struct listen one = *l;

		one.next = NULL;
		addr_text_port(&l->addr, text);
		if (++count > RESOLVERS)
			say(NOTE, NULL, "resolver %s is not asked: %d are the most", text, RESOLVERS);
		else if (resolver_answers(c, &one)) {
			say(OK, NULL, "resolver %s answers", text);
			any = true;
		} else
			say(FAULT, &l->place, "resolver %s does not answer: is a name server running there? %s", text, silent);
	}
	if (count == 0 && (any = resolver_answers(c, NULL)))
		say(OK, NULL, "the name servers of /etc/resolv.conf answer");
	else if (count == 0)
		say(NOTE, NULL, "the name servers of /etc/resolv.conf do not answer: %s", silent);
	dns_configure(c->resolvers, c->hosts);
	names_until = now.tick + (any ? NAMES_WAIT : NAMES_SILENT);
}

/* Does this address of ours lead back to our name? */
static void
check_back(const struct server *s, const struct addr *a)
{
	char text[ADDR_TEXT], name[REVERSE_TEXT], safe[100] = "nothing";
	const struct dns_answer *answer;
	struct dns q;
	size_t i;

	addr_text(a, text);
	if (addr_loopback(a)) {
		say(NOTE, NULL, "hostname %s is %s here: what it is for others cannot be seen from here", s->hostname, text);
		return;
	}
	answer = ask(&q, addr_reverse(a, name), DNS_PTR);
	for (i = 0; answer != NULL && i < answer->count && text_compare(dns_name(answer, i), s->hostname) != 0; i++)
		text_safe(safe, sizeof safe, dns_name(answer, i), strlen(dns_name(answer, i)));
	if (answer != NULL && i < answer->count)
		say(OK, NULL, "hostname %s is %s, and that leads back to it", s->hostname, text);
	else if (answer != NULL)
		say(NOTE, NULL, "hostname %s is %s, but that leads back to %s: some servers refuse mail from there", s->hostname, text, safe);
	else
		say(NOTE, NULL, "hostname %s is %s; the name servers do not say what leads back", s->hostname, text);
	dns_end(&q);
}

static void
check_hostname(const struct server *s)
{
	static const enum dns_type type[] = { DNS_A, DNS_AAAA };
	const struct dns_answer *answer;
	bool silent = false;
	size_t found = 0;

	if (strchr(s->hostname, '.') == NULL)
		say(NOTE, NULL, "hostname %s is no full name: some servers refuse who greets with it; set 'hostname'", s->hostname);
	for (int i = 0; i < 2; i++) {
		struct dns q;

		answer = ask(&q, s->hostname, type[i]);
		silent |= answer == NULL;
		for (size_t j = 0; answer != NULL && j < answer->count && j < ADDRESSES; j++)
			check_back(s, &answer->record[j].addr);
		found += answer != NULL ? answer->count : 0;
		dns_end(&q);
	}
	if (found == 0 && silent)
		say(NOTE, NULL, "hostname %s: the name servers do not say whether it has an address", s->hostname);
	else if (found == 0)
		say(NOTE, NULL, "hostname %s has no address: some servers refuse mail from who is not there", s->hostname);
}

/* Is there a way for mail of this route? */
static void
check_route(const struct server *s, const char *name, const char *what, const char *shown, const struct place *p)
{
	msec most = now.tick + ASK_WAIT < names_until ? now.tick + ASK_WAIT : names_until, until;
	struct pollfd slot;
	struct route r;
	int answer;

	route_begin(&r, s, name);
	while ((answer = route_step(&r)) == 0 && now.tick < most) {
		until = most;
		route_want(&r, &slot, &until);
		doze(&slot, until);
	}
	if (answer == 1)
		say(OK, NULL, "%s %s: mail goes to %s", what, shown, r.text);
	else if (answer == 0 || strncmp(r.words, "4.4.3", 5) == 0)
		say(NOTE, NULL, "%s %s: the name servers do not say now where that is", what, shown);
	else
		say(FAULT, p, "%s %s: %s", what, shown, r.words + strcspn(r.words, " ") + 1);
	route_end(&r);
}

/* Each on its own: by all of them only the first one that is there is found. */
static void
check_hops(const struct server *s, const struct hop *hops, const struct place *p)
{
	struct server alone = *s;

	for (; hops != NULL; hops = hops->next) {
		struct hop one = *hops;

		one.next = NULL;
		alone.smart_host = &one;
		alone.direct_first = false;
		check_route(&alone, "*", "smart-host", one.host, p);
	}
}

/* Is there a password for this account? */
static void
check_account(const struct account *a, int policy)
{
	char secret[AUTH_LINE / 2];
	const char *wrong = a != NULL ? auth_secret(a->file, secret, sizeof secret) : NULL;

	wipe(secret, sizeof secret);
	if (wrong != NULL)
		say(FAULT, &a->place, "authenticate: the password in '%s' cannot be used: %s", a->file, wrong);
	else if (a != NULL)
		say(OK, NULL, "authenticate: the password of %s can be read from %s", a->user, a->file);
	if (config_exposed(a, policy))
		say(NOTE, &a->place, "authenticate: whoever is in between can have the password of %s: only 'tls verified' keeps it from him", a->user);
}

/* Whom we believe, and who we are, where mail to others goes by TLS. */
static void
check_client(const struct server *s)
{
	struct tls_context *c;
	char why[WORDS_SIZE];

	check_account(s->account, s->smart_tls_policy);
	for (const struct domain *d = s->domains; d != NULL; d = d->next)
		check_account(d->account, d->tls_policy);
	if (tls_built && s->ca_file == NULL && config_verifies(s) && !tls_store())
		say(FAULT, server_place(s, DELIVERY, "ca-file"), "ca-file: TLS is to be 'verified', and this system has no certificates to believe: "
		    "install its package of them (ca-certificates), or say in which file they are");
	if (s->ca_file == NULL && s->own_certificate == NULL)
		return;
	if ((c = tls_client(s->own_certificate, s->ca_file, why, sizeof why)) == NULL)
		say(FAULT, s->own_certificate ? &s->own_certificate->place : server_place(s, DELIVERY, "ca-file"), "%s", why);
	else
		say(OK, NULL, "\"%s\" has what it needs for TLS to others", s->name);
	tls_context_free(c);
}

static void
check_domains(const struct server *s)
{
	check_hops(s, s->smart_host, server_place(s, DELIVERY, "smart-host"));
	for (const struct domain *d = s->domains; d != NULL; d = d->next)
		if (d->kind == DOMAIN_REMOTE && d->smart_host != NULL)
			check_hops(s, d->smart_host, value_said(d->said, DOMAIN, "smart-host", &d->place));
		else if (d->kind == DOMAIN_REMOTE && d->name[0] != '*' && (s->smart_host == NULL || s->direct_first))
			check_route(s, d->name, "domain", d->name, &d->place);
}

/* ---- the directory ------------------------------------------------------------------- */

/* Each on its own: by all of them only the first one that answers is asked. */
static void
check_directory(const struct server *s, const struct directory *d)
{
	struct server alone = *s;
	struct directory one = *d;
	long long counts[COUNTS] = { 0 };
	char address[DOMAIN_MAX + 20];
	msec since = now.tick;
	struct inquiry *q = NULL;
	const struct person *p;
	struct buf filter = { 0 };
	struct resolver *r;

	one.next = NULL;
	alone.ldap.directories = &one;
	snprintf(address, sizeof address, "postmaster@%s", s->home->name);
	if ((r = resolver_open(&alone, counts)) == NULL || (q = inquiry_begin(r, address)) == NULL ||
	    schema_filter(&filter, s->naming.filters->text, address) == -1)
		die(EX_OSERR, "out of memory");
	p = inquiry_wait(q);
	if (p->known == KNOWN_LATER)
		say(FAULT, server_place(s, LDAP, "server"), "directory %s: %s; mail for our domains waits for it", d->url, p->words ? p->words : "");
	else
		say(OK, NULL, "directory %s answers in %lld ms: %s finds %s%s", d->url, now.tick - since, filter.data,
		    p->known == KNOWN_NOBODY ? "nobody, who is taken all the same" : p->known == KNOWN_GROUP ? "the group " : "", p->dn ? p->dn : "");
	buf_free(&filter);
	inquiry_end(q);
	resolver_close(r);
}

/* ---- all of it --------------------------------------------------------------------- */

/* A file that the server makes, now and again: can it? */
static void
check_made(const struct config *c, const char *setting, const char *path)
{
	struct place p = config_place(c, setting);
	char folder[PATH_SIZE];
	const char *slash = path ? strrchr(path, '/') : NULL;

	if (path == NULL)
		return;
	snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
	if (access(folder, W_OK | X_OK) == -1)
		say(FAULT, &p, "%s %s cannot be made: %s: give its folder to the user that smtpd runs as",
		    setting, path, strerror(errno));
	else
		say(OK, NULL, "%s %s can be made", setting, path);
}

static void
check_host(const struct config *c)
{
	struct place p = config_place(c, "hosts");
	long long second = now.wall / 1000;
	char date[DATE_SIZE];

	if (second < YEAR_2025 || second > YEAR_2100)
		say(FAULT, NULL, "the clock says %s: set it, for dates and waiting go by it", date_text(date, second));
	else
		say(OK, NULL, "the clock says %s", date_text(date, second));
	if (access(c->hosts, R_OK) == 0)
		say(OK, NULL, "hosts file %s can be read", c->hosts);
	else
		say(p.line != 0 ? FAULT : NOTE, &p, "hosts file %s cannot be read: %s: names come from name servers alone",
		    c->hosts, strerror(errno));
	check_made(c, "metrics", c->metrics);
	check_made(c, "control", c->control);
}

static bool
missing(const struct server *s)
{
	return access(s->mailroot, F_OK) == -1 && errno == ENOENT;
}

/* What the start does, before it becomes another user. */
static void
check_start(const struct server *s)
{
	check_listeners(s);
	check_certificates(s);
	if (missing(s))
		check_folders(s);
}

static void
check_passwords(const struct server *s)
{
	const struct place *p = server_place(s, ACCESS, "passwords");
	char why[2 * WORDS_SIZE];
	struct stat st;
	long n;

	if (s->passwords == NULL)
		return;
	if ((n = auth_accounts(s->passwords, why, sizeof why)) == -1)
		say(FAULT, p, "%s", why);
	else
		say(n > 0 ? OK : NOTE, p, "accounts in %s: %ld", s->passwords, n);
	if (stat(s->passwords, &st) == 0 && (st.st_mode & 077) != 0)
		say(NOTE, p, "%s can be read by others, who can then try passwords on it: chmod 600", s->passwords);
}

static void
check_server(const struct server *s)
{
	long running = check_running(s);

	if (running)
		say(OK, NULL, "server \"%s\" runs, as process %ld", s->name, running);
	else
		say(OK, NULL, "server \"%s\" does not run", s->name);
	if (!missing(s))
		check_folders(s);
	check_hostname(s);
	check_passwords(s);
	check_domains(s);
	check_client(s);
	for (const struct directory *d = directories ? s->ldap.directories : NULL; d != NULL; d = d->next)
		check_directory(s, d);
}

int
check(const char *file)
{
	struct config *c;

	random_open();
	if ((c = config_load(file)) == NULL)
		return EX_CONFIG;
	for (const struct server *s = c->servers; s != NULL; s = s->next)
		directories |= s->ldap.directories != NULL;
	if (directories && config_secure(c) == -1) {
		say(FAULT, NULL, "before a directory can be asked the mistakes above must be mended");
		directories = false;
	}
	config_identify(c);
	if (process_unsaid())
		say(NOTE, NULL, "root is not who it serves as: say 'user NAME' here, or -u NAME at the start; what follows is tried as root");
	for (const struct server *s = c->servers; s != NULL; s = s->next)
		check_start(s);
	if (geteuid() == 0)
		process_become();
	check_host(c);
	check_resolvers(c);
	for (const struct server *s = c->servers; s != NULL; s = s->next)
		check_server(s);
	dns_configure(NULL, NULL);
	config_release(c);
	return faults > 0 ? EX_CONFIG : 0;
}
