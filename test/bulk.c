/*
 * bulk - a client that sends a list of messages, and knows what it was promised.
 *
 *     bulk [-t] [-c SESSIONS] [-r RATE] PORT <LIST      to 127.0.0.1, over so many connections (20), so many a second (all)
 *
 * A line of LIST is a message: TOKEN SENDER RECIPIENT ... It is sent, on new connections if need be, until there is a
 * reply of 250 to its final dot; then there is a line for each recipient on standard output:
 *
 *     promised TOKEN RECIPIENT
 *
 * When a connection ends between the final dot and its reply, nobody can tell what became of the message: then the
 * lines begin with `doubtful', and it is sent again with a `+' behind its token, as another one. The token is in the
 * field X-Token, the subject, and each line, whose dots may stand before it; X-Sum has the number of octets and the
 * FNV-1a hash of the body. Each twentieth message is large.
 * Ends with 0 when all is promised; with 1 when there was a wrong reply other than 421, or with -t 451 to a recipient:
 * then the whole message is tried again.
 */
#define _POSIX_C_SOURCE 200809L

#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SESSIONS_MAX 1000
#define RCPT_MAX     1000	/* of a message */
#define LINE_MOST    65536	/* of the list */
#define PAUSE        50		/* when nobody is there, ms */

/* What the next reply answers, and the only one that is right. */
enum stage { CLOSED, GREETING, HELLO, IDLE, MAIL, RCPT, DATA, DOT };
static const int right[] = { 0, 220, 250, 0, 250, 250, 354, 250 };

struct message {
	char *token, *from, *to[RCPT_MAX];
	int count;
};

static struct session {
	int fd;
	enum stage stage;
	char *line;		/* of the list, the message in hand; NULL: none */
	int answers;		/* of RCPT, still to come */
	char out[LINE_MOST * 2];
	size_t at, left;	/* of out: still to be written */
	char reply[512];	/* a line of it, so far */
	size_t column;
} sessions[SESSIONS_MAX];

static long session_count = 20, sent;
static double rate, began;
static int failed, refused, temporary;
static struct sockaddr_in server;

static double
clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* ---- the list ---- */

static char *next_line;		/* the one that is not yet begun; NULL: there are no more */

static void
list_advance(void)
{
	static char text[LINE_MOST];

	next_line = fgets(text, sizeof text, stdin);
}

/* It has room for one `+' more. */
static char *
line_copy(const char *line, const char *mark)
{
	size_t n = strcspn(line, " \n");
	char *copy = malloc(strlen(line) + 2);

	if (copy == NULL)
		abort();
	sprintf(copy, "%.*s%s%s", (int)n, line, mark, line + n);
	return copy;
}

/* The line, in words; they live until the next call. */
static void
message_read(struct message *m, const char *line)
{
	static char text[LINE_MOST + 100];
	char *w;

	snprintf(text, sizeof text, "%s", line);
	m->count = 0;
	m->token = strtok(text, " \n");
	m->from = strtok(NULL, " \n");
	while (m->count < RCPT_MAX && (w = strtok(NULL, " \n")) != NULL)
		m->to[m->count++] = w;
	if (m->count == 0) {
		fprintf(stderr, "bulk: this is no message: %s", line);
		exit(64);
	}
}

static void
note(const char *what, const char *line)
{
	struct message m;

	message_read(&m, line);
	for (int i = 0; i < m.count; i++)
		printf("%s %s %s\n", what, m.token, m.to[i]);
	fflush(stdout);
}

/* ---- what is said ---- */

static size_t
write_envelope(char *out, const struct message *m)
{
	size_t n = (size_t)sprintf(out, "MAIL FROM:<%s>\r\n", m->from);

	for (int i = 0; i < m->count; i++)
		n += (size_t)sprintf(out + n, "RCPT TO:<%s>\r\n", m->to[i]);
	return n + (size_t)sprintf(out + n, "DATA\r\n");
}

/* Some lines begin with dots, as is their good right. The sum is that of the lines before they are stuffed. */
static size_t
write_message(char *out, const struct message *m)
{
	unsigned long sum = 2166136261u, octets = 0;
	char line[200], *head = out;
	int lines = sent % 20 ? 10 + (int)(sent % 13) : 700;

	out += sprintf(out, "X-Token: %s\r\nX-Sum: %24s\r\nFrom: <%s>\r\nTo: <%s>\r\nSubject: %s\r\n\r\n", m->token, "",
	    m->from, m->to[0], m->token);
	for (int i = 0; i < lines; i++) {
		int n = sprintf(line, "%.*s%.100s: line %d of %d\r\n", i % 5, "....", m->token, i + 1, lines);

		for (int j = 0; j < n; j++)
			sum = ((sum ^ (unsigned char)line[j]) * 16777619u) & 0xffffffffu;
		octets += (unsigned long)n;
		out += sprintf(out, "%s%s", *line == '.' ? "." : "", line);
	}
	sprintf(line, "X-Sum: %15lu-%08lx", octets, sum);
	memcpy(strstr(head, "X-Sum: "), line, strlen(line));
	return (size_t)(out + sprintf(out, ".\r\n") - head);
}

/* ---- a session ---- */

/* The connection is over, whoever ended it. */
static void
session_end(struct session *s)
{
	if (s->stage == DOT && s->left == 0) {
		char *again = line_copy(s->line, "+");

		note("doubtful", s->line);
		free(s->line);
		s->line = again;
	}
	refused |= s->stage == GREETING;
	close(s->fd);
	s->fd = -1;
	s->stage = CLOSED;
	s->left = s->column = 0;
}

static void
session_open(struct session *s)
{
	int one = 1;

	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	fcntl(s->fd, F_SETFL, O_NONBLOCK);
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	s->stage = GREETING;
	if (connect(s->fd, (struct sockaddr *)&server, sizeof server) == -1 && errno != EINPROGRESS)
		session_end(s);
}

/* Begins the message in hand, on a connection that waits for one. */
static void
session_send(struct session *s)
{
	struct message m;

	message_read(&m, s->line);
	s->answers = m.count;
	s->at = 0;
	s->left = write_envelope(s->out, &m);
	s->stage = MAIL;
}

/* The right reply has come: go on. */
static void
session_advance(struct session *s)
{
	struct message m;

	if (s->stage == RCPT && --s->answers > 0)
		return;
	if (s->stage == DOT) {
		note("promised", s->line);
		free(s->line);
		s->line = NULL;
	}
	s->stage = s->stage == DOT ? IDLE : s->stage + 1;
	s->at = 0;
	if (s->stage == HELLO)
		s->left = (size_t)sprintf(s->out, "EHLO client.test\r\n");
	else if (s->stage == IDLE && s->line != NULL)
		session_send(s);
	else if (s->stage == DOT) {
		message_read(&m, s->line);
		s->left = write_message(s->out, &m);
	}
}

static void
session_line(struct session *s)
{
	s->reply[s->column] = '\0';
	if (s->column > 3 && s->reply[3] == '-')
		return;
	if (atoi(s->reply) == right[s->stage]) {
		session_advance(s);
		return;
	}
	if (atoi(s->reply) != 421 && !(temporary && s->stage == RCPT && atoi(s->reply) == 451)) {
		fprintf(stderr, "bulk: stage %d: %s: %s\n", (int)s->stage, s->reply, s->line != NULL ? s->line : "");
		failed = 1;
	}
	refused = 1;
	s->stage = CLOSED;	/* refused: there is no doubt */
	session_end(s);
}

static void
session_read(struct session *s)
{
	char in[4096];
	ssize_t n = read(s->fd, in, sizeof in);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	for (ssize_t i = 0; i < n && s->fd != -1; i++)
		if (in[i] == '\n') {
			session_line(s);
			s->column = 0;
		} else if (s->column < sizeof s->reply - 1)
			s->reply[s->column++] = in[i];
	if (n <= 0 && s->fd != -1)
		session_end(s);
}

static void
session_write(struct session *s)
{
	ssize_t n = write(s->fd, s->out + s->at, s->left);

	if (n > 0) {
		s->at += (size_t)n;
		s->left -= (size_t)n;
	} else if (errno != EAGAIN && errno != EINTR)
		session_end(s);
}

/* ---- the loop ---- */

/* Hands out what is due by now. */
static void
session_feed(struct session *s)
{
	if (s->line == NULL && next_line != NULL && (rate <= 0 || sent < (clock_now() - began) * rate)) {
		s->line = line_copy(next_line, "");
		sent++;
		list_advance();
		if (s->stage == IDLE)
			session_send(s);
	}
	if (s->fd == -1 && s->line != NULL)
		session_open(s);
}

/* How many messages are in hand; one more if there are more to come. */
static long
turn(void)
{
	static struct pollfd p[SESSIONS_MAX];
	long active = 0;

	if (refused)
		poll(NULL, 0, PAUSE);
	refused = 0;
	for (long i = 0; i < session_count; i++) {
		struct session *s = &sessions[i];

		session_feed(s);
		active += s->line != NULL;
		p[i] = (struct pollfd){ s->fd, s->left > 0 ? POLLIN | POLLOUT : POLLIN, 0 };
	}
	active += next_line != NULL;
	poll(p, (nfds_t)session_count, active == 0 ? 0 : rate > 0 ? 5 : PAUSE);
	for (long i = 0; i < session_count; i++) {
		if (sessions[i].fd != -1 && p[i].revents & ~POLLOUT)
			session_read(&sessions[i]);
		if (sessions[i].fd != -1 && p[i].revents & POLLOUT && sessions[i].left > 0)
			session_write(&sessions[i]);
	}
	return active;
}

int
main(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "c:r:t")) != -1)
		switch (c) {
		case 'c': session_count = atol(optarg); break;
		case 'r': rate = atof(optarg); break;
		case 't': temporary = 1; break;
		default:  return 64;
		}
	if (optind + 1 != argc || session_count < 1 || session_count > SESSIONS_MAX)
		return 64;
	server.sin_family = AF_INET;
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server.sin_port = htons((unsigned short)atoi(argv[optind]));
	signal(SIGPIPE, SIG_IGN);
	for (long i = 0; i < session_count; i++)
		sessions[i].fd = -1;
	began = clock_now();
	list_advance();
	while (turn() > 0)
		;
	return failed;
}
