/*
 * load - sends mail to an SMTP server and measures how fast it is taken and delivered.
 *
 * One process, one poll() loop, and no text of its own per session: all sessions write from the same few texts, made
 * before the clock starts, so the time measured is the server's.  Only 127.0.0.0/8 is accepted as its address.
 *
 *   load [options]                     send messages, print the rates
 *   load [options] -i N                open N connections, say EHLO, hold them until -w seconds have passed
 *   load [options] -g command arg ...  start a server, print how long its first 220 took, kill it
 *
 *   -H addr   (127.0.0.1)                               -p port   (25)
 *   -c N      sessions at a time (1)                    -n N      messages in all (100)
 *   -s N      bytes of a message (1024)                 -r N      recipients of a message (1)
 *   -m N      messages per connection; 0: no limit (1)  -P        pipelining: MAIL, RCPT ..., DATA in one write
 *   -f from   sender (load@client.test)                 -t to     recipient, %d is its number (u%d@bench.test)
 *   -u N      recipient numbers go from 0 to N-1 and begin again, from message to message (20); so do those of -A, from
 *             connection to connection
 *   -D dir    (repeatable) mail is delivered here: wait until all these have grown by the number of messages
 *   -R        ... by the number of messages times recipients
 *   -T        STARTTLS on each connection, by a new handshake; whose certificate it is, is not looked at (built with
 *             OpenSSL: cc -DWITH_OPENSSL ... -lssl -lcrypto)
 *   -A who:password   AUTH PLAIN after EHLO (under -T: the second one); %d in who is a number: see -u
 *   -E        no message: QUIT after EHLO, and what is counted as a message is a session
 *   -L        no message: RSET after its recipients, which are what is counted; 550 is an answer too, and `refused' says
 *             how many got it
 *   -C pid    the server, for the CPU time of it and its descendants (where /proc has it)
 *   -G dir    the same, from the cpuacct control group it runs in
 *   -w secs   give up after this time, whatever is missing (60)
 *   -o form   key=value: all on one line (the default); human: a figure a line
 *
 * Latency is from MAIL written to the 250 after the dot.  A figure that nobody knows is printed as "-".  The time of
 * delivery is the last change of the directories, by their own account: it does not depend on how often we look, so we
 * look seldom enough to leave the processor to the server.  They should hold nothing but messages.
 * Exit status: 0 all went well, 1 something did not, 64 wrong usage.
 */
#define _POSIX_C_SOURCE 200809L
#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef WITH_OPENSSL
#include <openssl/ssl.h>

static SSL_CTX *context;
#else
typedef void SSL;
#endif

#define OPENING_MAX	128	/* connections not yet greeted: what exceeds the server's backlog costs a second */
#define DIRS_MAX	64	/* -D options */
#define LINE_WIDTH	78	/* of a content line, with CRLF */

/* What a session waits for.  All but CLOSED, IDLE: the reply to the thing of that name. */
enum stage { CLOSED, GREETING, HELLO, STARTTLS, HANDSHAKE, AUTH, MAIL, RCPT, DATA, DOT, RSET, QUIT, IDLE };

static const struct {
	const char *name;
	int code;			/* the only reply that lets the session go on */
} wanted[] = {
	{ "", 0 }, { "connecting", 220 }, { "EHLO", 250 }, { "STARTTLS", 220 },
	{ "the handshake", 0 }, { "AUTH", 235 }, { "MAIL", 250 }, { "RCPT", 250 },
	{ "DATA", 354 }, { "the final dot", 250 }, { "RSET", 250 }, { "QUIT", 221 }, { "nothing", 0 }
};

struct session {
	int fd;				/* -1: closed */
	enum stage stage;
	const char *out;		/* still to be written, from a text shared by all; `left' is how much */
	size_t left;
	const char *envelope;		/* its part not yet said, when not pipelining */
	long number;			/* of the connection */
	long answers;			/* RCPT replies to come */
	long carried;			/* messages begun on this connection */
	double begun;			/* MAIL was written; with -E, the connection was begun */
	SSL *tls;			/* NULL: in clear */
	char head[4];			/* the first bytes of the reply line being read */
	size_t column;			/* the bytes of that line so far */
};

static const char *from = "load@client.test", *to = "u%d@bench.test", *account, *cgroup, *dirs[DIRS_MAX];
static long session_count = 1, messages = 100, size = 1024, recipients = 1, per_connection = 1, users = 20, server_pid;
static long idle;			/* connections to hold; 0: send mail */
static int ndirs, file_per_recipient, pipelining, human, start, secure, empty, lookups;
static struct sockaddr_in server;

static struct session *sessions;
static struct pollfd *polls;		/* one for each session, in their order */
static char **envelopes;		/* MAIL, RCPT ..., DATA, by the number of the first recipient */
static char **logins;			/* AUTH PLAIN, by the number of the account */
static char *content;			/* a message as it goes over the wire, with the final dot */
static size_t content_length;
static double *latencies;		/* of the accepted messages, in seconds */
static long claimed, accepted;		/* messages that a session has taken upon itself; that were answered with 250 */
static long refused;			/* recipients answered with 550 */
static long errors;			/* sessions that ended before QUIT */
static double give_up;			/* when everything ends */
static double last_reply;		/* when the last message was accepted */

static void
die(int status, const char *what, const char *why)
{
	fprintf(stderr, "load: %s: %s\n", what, why);
	exit(status);
}

static double
seconds(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double
now(void)
{
	return seconds(CLOCK_MONOTONIC);
}

static void *
reserve(size_t n, size_t each)
{
	void *p = calloc(n, each);

	if (p == NULL)
		die(1, "memory", strerror(errno));
	return p;
}

/* ---- the texts ---- */

/* An envelope whose recipients are numbered from `first' on. */
static char *
make_envelope(long first)
{
	const char *mark = strstr(to, "%d");
	int before = mark ? (int)(mark - to) : (int)strlen(to);
	char *text = reserve(1, strlen(from) + (strlen(to) + 40) * (size_t)recipients + 40), *end = text;
	long i;

	end += sprintf(end, "MAIL FROM:<%s>\r\n", from);
	for (i = first; i < first + recipients; i++) {
		end += sprintf(end, "RCPT TO:<%.*s", before, to);
		if (mark)
			end += sprintf(end, "%ld%s", i % users, mark + 2);
		end += sprintf(end, ">\r\n");
	}
	strcpy(end, lookups ? "RSET\r\n" : "DATA\r\n");
	return text;
}

/* AUTH PLAIN for the account of this number: NUL who NUL password, in base64. */
static char *
make_login(long number)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *password = strchr(account, ':'), *mark = strstr(account, "%d");
	char *plain = reserve(1, strlen(account) + 40), *text = reserve(2, strlen(account) + 40), *end = text;
	int before = mark && mark < password ? (int)(mark - account) : (int)(password - account);
	size_t length, i;

	length = (size_t)sprintf(plain + 1, "%.*s", before, account) + 1;
	if (account + before != password)
		length += (size_t)sprintf(plain + length, "%ld%.*s", number, (int)(password - mark - 2), mark + 2);
	length += 1 + (size_t)sprintf(plain + length + 1, "%s", password + 1);
	end += sprintf(end, "AUTH PLAIN ");
	for (i = 0; i < length; i += 3) {
		unsigned long bits = ((unsigned long)(plain[i] & 255) << 16) | (plain[i + 1] & 255) << 8 | (plain[i + 2] & 255);

		*end++ = digits[bits >> 18];
		*end++ = digits[bits >> 12 & 63];
		*end++ = i + 1 < length ? digits[bits >> 6 & 63] : '=';
		*end++ = i + 2 < length ? digits[bits & 63] : '=';
	}
	strcpy(end, "\r\n");
	free(plain);
	return text;
}

/* A message of the size asked for, or as short as its header allows. */
static void
make_content(void)
{
	char header[1024], date[64];
	time_t t = time(NULL);
	size_t length, total, i;

	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", gmtime(&t));
	length = (size_t)snprintf(header, sizeof header, "From: <%.200s>\r\nTo: <undisclosed@bench.test>\r\n"
	    "Date: %s\r\nMessage-ID: <%ld.%ld@client.test>\r\nSubject: load\r\n\r\n", from, date, (long)t, (long)getpid());
	total = (size_t)size < length + 2 ? length + 2 : (size_t)size;
	content = reserve(1, total + 4);
	memset(content, 'x', total);
	for (i = length + LINE_WIDTH; i + 1 < total; i += LINE_WIDTH)
		memcpy(content + i - 2, "\r\n", 2);
	memcpy(content, header, length);
	strcpy(content + total - 2, "\r\n.\r\n");
	content_length = total + 3;
}

/* ---- a session: its octets ---- */

static void session_close(struct session *s);
static void session_fail(struct session *s, const char *why);
static void session_say(struct session *s, enum stage stage, const char *text, size_t length);

#ifdef WITH_OPENSSL

/* The answers are those of read and write. */
static ssize_t
answered(struct session *s, int answer)
{
	int error = answer > 0 ? 0 : SSL_get_error(s->tls, answer);

	errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : ECONNRESET;
	return answer > 0 ? answer : error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static ssize_t
octets_read(struct session *s, char *to, size_t n)
{
	return s->tls ? answered(s, SSL_read(s->tls, to, (int)n)) : read(s->fd, to, n);
}

static ssize_t
octets_write(struct session *s, const char *from, size_t n)
{
	return s->tls ? answered(s, SSL_write(s->tls, from, (int)n)) : write(s->fd, from, n);
}

/* Reading is waited for; that a first flight does not fit into the socket is not to be expected. */
static void
session_handshake(struct session *s)
{
	if (s->tls == NULL && ((s->tls = SSL_new(context)) == NULL || SSL_set_fd(s->tls, s->fd) != 1))
		die(1, "OpenSSL", "no memory");
	s->stage = HANDSHAKE;
	if (answered(s, SSL_connect(s->tls)) > 0)
		session_say(s, HELLO, "EHLO client.test\r\n", 18);
	else if (errno != EAGAIN)
		session_fail(s, "it failed");
}

static void
session_insecure(struct session *s)
{
	SSL_free(s->tls);
}

static void
make_secure(void)
{
	if ((context = SSL_CTX_new(TLS_client_method())) == NULL)
		die(1, "OpenSSL", "no context");
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
}

#else

#define octets_read(s, to, n) read((s)->fd, to, n)
#define octets_write(s, from, n) write((s)->fd, from, n)
#define session_handshake(s) ((void)(s))
#define session_insecure(s) ((void)(s))

static void
make_secure(void)
{
	die(64, "-T", "this load was built without OpenSSL");
}

#endif

/* ---- a session: what we say ---- */

static void
session_close(struct session *s)
{
	session_insecure(s);
	s->tls = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->stage = CLOSED;
}

/* Only the first reason is told: the others are mostly the same. */
static void
session_fail(struct session *s, const char *why)
{
	if (errors++ == 0)
		fprintf(stderr, "load: %s: %s\n", wanted[s->stage].name, why);
	session_close(s);
}

static void
session_write(struct session *s)
{
	ssize_t n = octets_write(s, s->out, s->left);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		session_fail(s, strerror(errno));
	if (n > 0) {
		s->out += n;
		s->left -= (size_t)n;
	}
}

static void
session_say(struct session *s, enum stage stage, const char *text, size_t length)
{
	s->stage = stage;
	s->out = text;
	s->left = length;
	session_write(s);
}

/* Goes on in the envelope: says its next line or, pipelining, says all of it at MAIL and then only listens. */
static void
session_envelope(struct session *s, enum stage stage)
{
	const char *text = s->envelope;
	size_t length = pipelining ? strlen(text) : (size_t)(strchr(text, '\n') + 1 - text);

	s->stage = stage;
	if (pipelining && stage != MAIL)
		return;
	s->envelope += length;
	session_say(s, stage, text, length);
}

static void
session_mail(struct session *s, long number)
{
	s->envelope = envelopes[number * recipients % users];
	s->answers = recipients;
	s->carried++;
	s->begun = now();
	session_envelope(s, MAIL);
}

/* A connection is opened for a message, which is thereby claimed: so a server that refuses all of them ends the run. */
static void
session_open(struct session *s)
{
	int on = 1;

	memset(s, 0, sizeof *s);
	s->stage = GREETING;
	s->begun = now();
	s->number = claimed++;
	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (s->fd < 0 || fcntl(s->fd, F_SETFL, O_NONBLOCK) < 0
	    || setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0
	    || (connect(s->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS))
		session_fail(s, strerror(errno));
}

/* ---- a session: what we hear ---- */

static void
session_accepted(struct session *s)
{
	last_reply = now();
	latencies[accepted++] = last_reply - s->begun;
	if (claimed < messages && (per_connection == 0 || s->carried < per_connection))
		session_mail(s, claimed++);
	else
		session_say(s, QUIT, "QUIT\r\n", 6);
}

/* The server knows who we are. */
static void
session_begin(struct session *s)
{
	if (idle)
		s->stage = IDLE;
	else if (empty)
		session_say(s, QUIT, "QUIT\r\n", 6);
	else
		session_mail(s, s->number);
}

/* The reply we waited for has come, and it is the right one. */
static void
session_advance(struct session *s)
{
	switch (s->stage) {
	case GREETING:
		session_say(s, HELLO, "EHLO client.test\r\n", 18);
		break;
	case HELLO:
		if (secure && s->tls == NULL)
			session_say(s, STARTTLS, "STARTTLS\r\n", 10);
		else if (account)
			session_say(s, AUTH, logins[s->number % users], strlen(logins[s->number % users]));
		else
			session_begin(s);
		break;
	case AUTH:
		session_begin(s);
		break;
	case STARTTLS:
		session_handshake(s);
		break;
	case MAIL:
		session_envelope(s, RCPT);
		break;
	case RCPT:
		session_envelope(s, --s->answers > 0 ? RCPT : lookups ? RSET : DATA);
		break;
	case DATA:
		session_say(s, DOT, content, content_length);
		break;
	case DOT: case RSET:
		session_accepted(s);
		break;
	case QUIT:
		if (empty) {
			last_reply = now();
			latencies[accepted++] = last_reply - s->begun;
		}
		/* fall through */
	case HANDSHAKE: case IDLE: case CLOSED:
		session_close(s);
	}
}

/* A line of a reply is complete; only its code matters, and whether it is the last one. */
static void
session_line(struct session *s)
{
	char told[] = "the answer is ...";
	int code;

	if (s->column > 3 && s->head[3] == '-')
		return;
	memcpy(told + sizeof told - 4, s->head, 3);
	code = atoi(told + sizeof told - 4);
	if (lookups && s->stage == RCPT && code == 550) {
		refused++;
		session_advance(s);
	} else if (code == wanted[s->stage].code)
		session_advance(s);
	else
		session_fail(s, told);
}

static void
session_read(struct session *s)
{
	char buf[4096];
	ssize_t n, i;

	if (s->stage == HANDSHAKE) {
		session_handshake(s);
		return;
	}
	n = octets_read(s, buf, sizeof buf);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 && s->stage == QUIT)
		session_close(s);
	else if (n <= 0)
		session_fail(s, n < 0 ? strerror(errno) : "the connection was closed");
	for (i = 0; i < n && s->fd >= 0; i++)
		if (buf[i] == '\n') {
			session_line(s);
			s->column = 0;
		} else if (s->column++ < sizeof s->head)
			s->head[s->column - 1] = buf[i];
}

/* ---- the loop ---- */

static long
count_in(enum stage stage)
{
	long i, n = 0;

	for (i = 0; i < session_count; i++)
		n += sessions[i].stage == stage;
	return n;
}

static void
open_and_wait(void)
{
	long i, opening = count_in(GREETING);

	for (i = 0; i < session_count; i++) {
		struct session *s = &sessions[i];

		if (s->fd < 0 && claimed < messages && opening++ < OPENING_MAX)
			session_open(s);
		polls[i].fd = s->fd;
		polls[i].events = POLLIN | (s->left > 0 ? POLLOUT : 0);
		polls[i].revents = 0;
	}
	poll(polls, (nfds_t)session_count, count_in(CLOSED) < session_count ? 100 : 0);
}

/* One turn of the loop; 0 when there is nothing left to do. */
static int
turn(void)
{
	long i;

	if ((claimed == messages && count_in(CLOSED) == session_count) || now() > give_up)
		return 0;
	open_and_wait();
	for (i = 0; i < session_count; i++) {
		struct session *s = &sessions[i];

		if (s->fd >= 0 && polls[i].revents & POLLOUT)
			session_write(s);
		if (s->fd >= 0 && polls[i].revents & ~POLLOUT)
			session_read(s);
	}
	return 1;
}

/* ---- what the server does: files and CPU time ---- */

/* The files in all directories; `changed' is set to when the last of them changed, or to before if that is later. */
static long
count_files(double *changed)
{
	struct dirent *e;
	struct stat st;
	double when;
	long files = 0;
	int i;

	for (i = 0; i < ndirs; i++) {
		DIR *d = opendir(dirs[i]);

		if (d == NULL)
			die(1, dirs[i], strerror(errno));
		while ((e = readdir(d)) != NULL)
			files += e->d_name[0] != '.';
		if (fstat(dirfd(d), &st) == 0 && (when = st.st_mtim.tv_sec + st.st_mtim.tv_nsec / 1e9) > *changed)
			*changed = when;
		closedir(d);
	}
	return files;
}

/* When the directories came to hold so many files; 0: not in time. */
static double
await_files(long goal)
{
	double offset = seconds(CLOCK_REALTIME) - now(), changed = last_reply + offset, began;

	while ((began = now()) < give_up) {
		if (count_files(&changed) >= goal)
			return changed - offset;
		poll(NULL, 0, 1 + (int)((now() - began) * 1000));
	}
	return 0;
}

/* Clock ticks used by one process and by those of its children that have ended; its parent's number too. */
static double
process_ticks(long pid, long *parent)
{
	char path[64];
	unsigned long t[4];
	int n = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%ld/stat", pid);
	if ((f = fopen(path, "r")) != NULL) {
		n = fscanf(f, "%*d (%*[^)]) %*c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %lu %lu",
		    parent, &t[0], &t[1], &t[2], &t[3]);
		fclose(f);
	}
	return n == 5 ? (double)(t[0] + t[1] + t[2] + t[3]) : -1;
}

/* The same with all living descendants. */
static double
tree_ticks(long pid)
{
	double ticks;
	struct dirent *e;
	long parent, other;
	DIR *d;

	if ((ticks = process_ticks(pid, &parent)) < 0 || (d = opendir("/proc")) == NULL)
		return -1;
	while ((e = readdir(d)) != NULL)
		if ((other = atol(e->d_name)) > 0 && process_ticks(other, &parent) >= 0 && parent == pid)
			ticks += tree_ticks(other);
	closedir(d);
	return ticks;
}

/* Milliseconds of CPU the server has used so far; -1: nobody knows. */
static double
server_cpu(void)
{
	char path[1024];
	double value = -1;
	FILE *f;

	if (cgroup == NULL)
		return server_pid ? tree_ticks(server_pid) * 1000 / sysconf(_SC_CLK_TCK) : -1;
	snprintf(path, sizeof path, "%s/cpuacct.usage", cgroup);
	if ((f = fopen(path, "r")) == NULL || fscanf(f, "%lf", &value) != 1)
		die(1, path, "cannot be read");
	fclose(f);
	return value / 1e6;
}

/* ---- the three things to do ---- */

static void
print_figure(const char *key, double value, int decimals)
{
	printf(human ? "%-16s " : "%s=", key);
	if (value < 0)
		putchar('-');
	else
		printf("%.*f", decimals, value);
	putchar(human ? '\n' : ' ');
}

static int
ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The latency in milliseconds that so many of a hundred messages did not exceed. */
static double
percentile(long percent)
{
	return accepted ? latencies[(accepted - 1) * percent / 100] * 1000 : -1;
}

static int
measure(void)
{
	double cpu, begun, delivered = 0, ignored = 0;
	long counted;
	long goal = count_files(&ignored) + messages * (file_per_recipient ? recipients : 1);

	cpu = server_cpu();
	last_reply = begun = now();
	while (turn())
		;
	if (ndirs > 0 && accepted == messages)
		delivered = await_files(goal);
	counted = lookups ? accepted * recipients : accepted;
	cpu = cpu < 0 || accepted == 0 ? -1 : (server_cpu() - cpu) / counted;
	qsort(latencies, (size_t)accepted, sizeof *latencies, ascending);
	print_figure("messages", counted, 0);
	print_figure("errors", messages - accepted, 0);
	print_figure("accepted_per_s", accepted ? counted / (last_reply - begun) : -1, 1);
	print_figure("delivered_per_s", delivered > 0 ? messages / (delivered - begun) : -1, 1);
	print_figure("p50_ms", percentile(50), 2);
	print_figure("p99_ms", percentile(99), 2);
	print_figure("max_ms", percentile(100), 2);
	print_figure("cpu_ms_per_msg", cpu, 4);
	if (lookups)
		print_figure("refused", refused, 0);
	if (!human)
		putchar('\n');
	return accepted < messages || (ndirs > 0 && delivered == 0);
}

/* Prints how many connections stand as soon as that is decided, then keeps them. */
static int
hold_idle(void)
{
	while (count_in(IDLE) < session_count && errors == 0 && turn())
		;
	printf("idle=%ld\n", count_in(IDLE));
	fflush(stdout);
	while (turn())
		;
	return errors > 0 || count_in(IDLE) < session_count;
}

static int
is_greeted(void)
{
	struct pollfd p = { socket(AF_INET, SOCK_STREAM, 0), POLLIN, 0 };
	char code[4] = "";

	if (connect(p.fd, (struct sockaddr *)&server, sizeof server) == 0
	    && poll(&p, 1, (int)((give_up - now()) * 1000)) > 0 && read(p.fd, code, 3) < 0)
		code[0] = 0;
	close(p.fd);
	return strcmp(code, "220") == 0;
}

static int
time_start(char **command)
{
	double begun = now(), took = -1;
	pid_t child = fork();

	if (child < 0)
		die(1, "fork", strerror(errno));
	if (child == 0) {
		signal(SIGPIPE, SIG_DFL);
		execvp(command[0], command);
		_exit(127);
	}
	while (took < 0 && now() < give_up && waitpid(child, NULL, WNOHANG) == 0)
		if (is_greeted())
			took = (now() - begun) * 1000;
		else
			nanosleep(&(struct timespec){ 0, 200000 }, NULL);
	if (waitpid(child, NULL, WNOHANG) == 0) {
		kill(child, SIGKILL);		/* it was only to be greeted by: there is nothing in it to lose */
		waitpid(child, NULL, 0);
	}
	print_figure("first_220_ms", took, 2);
	putchar('\n');
	return took < 0;
}

/* ---- the start ---- */

static long
number(const char *word, long least, long most)
{
	char *end;
	long n = strtol(word, &end, 10);

	if (end == word || *end || n < least || n > most)
		die(64, word, "is not a number that can be used here");
	return n;
}

static void
take_option(int c, char *word)
{
	switch (c) {
	case 'c': session_count = number(word, 1, 100000); break;
	case 'n': messages = number(word, 1, 100000000); break;
	case 's': size = number(word, 1, 1 << 30); break;
	case 'r': recipients = number(word, 1, 100000); break;
	case 'm': per_connection = number(word, 0, 1 << 30); break;
	case 'u': users = number(word, 1, 100000); break;
	case 'P': pipelining = 1; break;
	case 'T': secure = 1; break;
	case 'A': if (strchr(word, ':') == NULL)
			die(64, word, "is not who:password");
		account = word; break;
	case 'E': empty = 1; break;
	case 'L': lookups = 1; break;
	case 'R': file_per_recipient = 1; break;
	case 'f': from = word; break;
	case 't': to = word; break;
	case 'D': if (ndirs == DIRS_MAX)
			die(64, word, "is one directory too many");
		dirs[ndirs++] = word; break;
	case 'C': server_pid = number(word, 1, 1 << 30); break;
	case 'G': cgroup = word; break;
	case 'w': give_up = now() + number(word, 1, 86400); break;
	case 'o': human = strcmp(word, "human") == 0; break;
	case 'i': idle = number(word, 1, 100000); break;
	case 'g': start = 1; break;
	case 'p': server.sin_port = htons((unsigned short)number(word, 1, 65535)); break;
	case 'H': if (inet_pton(AF_INET, word, &server.sin_addr) != 1 || ntohl(server.sin_addr.s_addr) >> 24 != 127)
			die(64, word, "is not an address in 127.0.0.0/8");
		break;
	default: die(64, "wrong option", "they are listed at the head of load.c");
	}
}

/* Everything that can be made before the clock starts. */
static void
make_ready(void)
{
	struct rlimit files;
	long i;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (secure)
		make_secure();
	if (idle)
		session_count = messages = idle;
	sessions = reserve((size_t)session_count, sizeof *sessions);
	polls = reserve((size_t)session_count, sizeof *polls);
	latencies = reserve((size_t)messages, sizeof *latencies);
	envelopes = reserve((size_t)users, sizeof *envelopes);
	logins = reserve((size_t)users, sizeof *logins);
	for (i = 0; i < session_count; i++)
		sessions[i].fd = -1;
	for (i = 0; i < users; i++) {
		if (users % recipients != 0 || i % recipients == 0)	/* else none begins with this one */
			envelopes[i] = make_envelope(i);
		if (account)
			logins[i] = make_login(i);
	}
	make_content();
}

int
main(int argc, char **argv)
{
	int c;

	server.sin_family = AF_INET;
	server.sin_port = htons(25);
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	give_up = now() + 60;
	while ((c = getopt(argc, argv, "H:p:c:n:s:r:m:Pf:t:u:D:RC:G:w:o:i:gTELA:")) != -1)
		take_option(c, optarg);
	if (start ? optind == argc : optind < argc)
		die(64, "command", start ? "there is none to start" : "this one is not asked for");
	signal(SIGPIPE, SIG_IGN);
	if (start)
		return time_start(argv + optind);
	make_ready();
	return idle ? hold_idle() : measure();
}
