/*
 * sender - a client that knows what it was promised.
 *
 *     sender PORT COUNT SESSIONS     sends the messages 1 to COUNT to 127.0.0.1, over so many connections
 *
 * Message N has N as its subject and in each of its lines. A session sends its number again, on new connections, until
 * it has read 250 after the final dot; then it appends the number to the file `promised' and takes the next one. When
 * a connection ends between the final dot and its reply, nobody can tell what became of the message: its number is
 * appended to `doubtful', once each time, and only so many copies more may there be. Ends with 0 when all is promised,
 * or with TERM; with 1 when there was a wrong reply other than 421.
 */
#define _POSIX_C_SOURCE 200809L

#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SESSIONS_MAX 1000
#define PAUSE        50	/* when nobody is there, ms */

/* What the next reply answers, and the only one that is right. */
enum stage { CLOSED, GREETING, HELLO, MAIL, RCPT, DATA, DOT };
static const int right[] = { 0, 220, 250, 250, 250, 354, 250 };

static struct session {
	int fd;
	enum stage stage;
	long number;		/* of the message in hand; 0: none is left */
	char out[65536];
	size_t at, left;	/* of out: still to be written */
	char line[512];		/* of a reply, so far */
	size_t column;
} sessions[SESSIONS_MAX];

static long count, next = 1, session_count;
static int promised, doubtful, failed, refused;
static struct sockaddr_in server;

static void
note(int file, long number)
{
	char text[24];
	int n = snprintf(text, sizeof text, "%ld\n", number);

	if (write(file, text, (size_t)n) != n)
		abort();
}

/* The connection is over, whoever ended it. */
static void
session_end(struct session *s)
{
	if (s->stage == DOT && s->left == 0)
		note(doubtful, s->number);
	refused |= s->stage == GREETING;
	close(s->fd);
	s->fd = -1;
	s->stage = CLOSED;
	s->left = s->column = 0;
}

static void
session_open(struct session *s)
{
	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	fcntl(s->fd, F_SETFL, O_NONBLOCK);
	s->stage = GREETING;
	if (connect(s->fd, (struct sockaddr *)&server, sizeof server) == -1 && errno != EINPROGRESS)
		session_end(s);
}

/* Every tenth message is a large one, so that the end can come in the middle of it, too. */
static size_t
message(char *out, long number)
{
	int lines = number % 10 ? 20 : 1500;
	size_t n = (size_t)sprintf(out, "Subject: %ld\r\n\r\n", number);

	for (int i = 1; i <= lines; i++)
		n += (size_t)sprintf(out + n, "%ld: line %d of %d\r\n", number, i, lines);
	return n + (size_t)sprintf(out + n, ".\r\n");
}

/* The right reply has come: go on. */
static void
session_advance(struct session *s)
{
	if (s->stage++ == DOT) {
		note(promised, s->number);
		s->number = next <= count ? next++ : 0;
		s->stage = MAIL;
		if (s->number == 0) {
			session_end(s);
			return;
		}
	}
	s->at = 0;
	if (s->stage == HELLO)
		s->left = (size_t)sprintf(s->out, "EHLO client.test\r\n");
	else if (s->stage == MAIL)
		s->left = (size_t)sprintf(s->out, "MAIL FROM:<a@client.test>\r\nRCPT TO:<u@example.org>\r\nDATA\r\n");
	else if (s->stage == DOT)
		s->left = message(s->out, s->number);
}

static void
session_line(struct session *s)
{
	s->line[s->column] = '\0';
	if (s->column > 3 && s->line[3] == '-')
		return;
	if (atoi(s->line) == right[s->stage]) {
		session_advance(s);
		return;
	}
	if (atoi(s->line) != 421) {
		fprintf(stderr, "sender: message %ld, stage %d: %s\n", s->number, (int)s->stage, s->line);
		failed = 1;
	}
	s->stage = CLOSED;	/* refused: there is no doubt */
	session_end(s);
}

static void
session_read(struct session *s)
{
	char in[4096];
	ssize_t n = read(s->fd, in, sizeof in);

	if (n == -1 && errno == EAGAIN)
		return;
	for (ssize_t i = 0; i < n && s->fd != -1; i++)
		if (in[i] == '\n') {
			session_line(s);
			s->column = 0;
		} else if (s->column < sizeof s->line - 1)
			s->line[s->column++] = in[i];
	if (n <= 0)
		session_end(s);
}

static void
session_write(struct session *s)
{
	ssize_t n = write(s->fd, s->out + s->at, s->left);

	if (n > 0) {
		s->at += (size_t)n;
		s->left -= (size_t)n;
	} else if (errno != EAGAIN)
		session_end(s);
}

/* How many sessions still have something to send. */
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

		active += s->number != 0;
		if (s->fd == -1 && s->number != 0)
			session_open(s);
		p[i] = (struct pollfd){ s->fd, s->left > 0 ? POLLIN | POLLOUT : POLLIN, 0 };
	}
	poll(p, (nfds_t)session_count, PAUSE);
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
	if (argc != 4 || (count = atol(argv[2])) < 1 || (session_count = atol(argv[3])) > SESSIONS_MAX)
		return 64;
	server.sin_family = AF_INET;
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server.sin_port = htons((unsigned short)atoi(argv[1]));
	promised = open("promised", O_WRONLY | O_CREAT | O_APPEND, 0666);
	doubtful = open("doubtful", O_WRONLY | O_CREAT | O_APPEND, 0666);
	signal(SIGPIPE, SIG_IGN);
	for (long i = 0; i < session_count; i++) {
		sessions[i].fd = -1;
		sessions[i].number = next <= count ? next++ : 0;
	}
	while (turn() > 0)
		;
	return failed;
}
