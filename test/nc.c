/*
 * A netcat for the tests: what they use where no other is installed, and where one must be sure what it does.
 *
 *     nc [-b] HOST PORT         connect
 *     nc [-b] -l HOST PORT      wait for one connection; port 0: the system picks
 *
 * HOST is a numeric address. Standard input goes to the peer, what the peer says to standard output. The end of the
 * input closes our half only: the peer's answers are still read, and it is the peer's close that ends us. -b sends
 * each byte in a segment of its own, a millisecond apart, so that the reader wakes for each and must put commands
 * together again. A listener says on standard error where it listens: so its port is learnt, and when to connect.
 */
#define _POSIX_C_SOURCE 200809L

#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One direction. Reading waits until what was read is written: a slow reader slows its writer, and nobody else. */
struct way {
	int     from, to;       /* -1 once closed */
	size_t  off, len;       /* what is still to be written */
	size_t  most;           /* bytes in one write */
	char    buf[4096];
};

static void
die(const char *what, const char *why)
{
	fprintf(stderr, "nc: %s: %s\n", what, why);
	exit(1);
}

static int
listen_once(int s, const struct addrinfo *ai)
{
	struct sockaddr_storage sa;
	socklen_t               len = sizeof sa;
	char                    host[64], port[16];
	int                     one = 1, c;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(s, ai->ai_addr, ai->ai_addrlen) < 0 || listen(s, 1) < 0)
		die("listen", strerror(errno));
	if (getsockname(s, (struct sockaddr *)&sa, &len) < 0 || getnameinfo((struct sockaddr *)&sa, len, host,
	    sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		die("listen", "no address");
	fprintf(stderr, strchr(host, ':') ? "nc: listening on [%s]:%s\n" : "nc: listening on %s:%s\n", host, port);
	while ((c = accept(s, NULL, NULL)) < 0)
		if (errno != EINTR && errno != ECONNABORTED)
			die("accept", strerror(errno));
	close(s);
	return c;
}

static int
open_peer(const char *host, const char *port, int listening)
{
	struct addrinfo hints, *ai;
	int             s, err, one = 1;

	memset(&hints, 0, sizeof hints);
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
	if ((err = getaddrinfo(host, port, &hints, &ai)) != 0)
		die(host, gai_strerror(err));
	if ((s = socket(ai->ai_family, ai->ai_socktype, ai->ai_protocol)) < 0)
		die("socket", strerror(errno));
	if (listening)
		s = listen_once(s, ai);
	else if (connect(s, ai->ai_addr, ai->ai_addrlen) < 0)
		die("connect", strerror(errno));
	freeaddrinfo(ai);
	setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	fcntl(s, F_SETFL, fcntl(s, F_GETFL) | O_NONBLOCK);
	return s;
}

/* Moves what can be moved, given what poll found. Returns -1 when this way has come to its end. */
static int
move(struct way *w, const struct pollfd *in, const struct pollfd *out)
{
	ssize_t n;

	if (in->revents) {
		if ((n = read(w->from, w->buf, sizeof w->buf)) > 0)
			w->off = 0, w->len = (size_t)n;
		else if (n == 0 || (errno != EAGAIN && errno != EINTR))
			return -1;
	} else if (out->revents) {
		if ((n = write(w->to, w->buf + w->off, w->len < w->most ? w->len : w->most)) >= 0) {
			w->off += (size_t)n, w->len -= (size_t)n;
			if (w->most == 1)
				poll(NULL, 0, 1);
		} else if (errno != EAGAIN && errno != EINTR)
			return -1;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	static struct way up, down;             /* to the peer, from the peer */
	struct pollfd     p[4];
	int               c, listening = 0;

	up.most = down.most = sizeof up.buf;
	while ((c = getopt(argc, argv, "bl")) != -1)
		switch (c) {
		case 'b': up.most = 1; break;
		case 'l': listening = 1; break;
		default:  optind = argc;
		}
	if (argc - optind != 2) {
		fprintf(stderr, "usage: nc [-b] [-l] HOST PORT    (the netcat of smtpd's tests)\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	up.to = down.from = open_peer(argv[optind], argv[optind + 1], listening);
	up.from = STDIN_FILENO;
	down.to = STDOUT_FILENO;
	for (;;) {
		p[0].fd = up.len ? -1 : up.from;        p[0].events = POLLIN;
		p[1].fd = up.len ? up.to : -1;          p[1].events = POLLOUT;
		p[2].fd = down.len ? -1 : down.from;    p[2].events = POLLIN;
		p[3].fd = down.len ? down.to : -1;      p[3].events = POLLOUT;
		if (poll(p, 4, -1) < 0) {
			if (errno == EINTR)
				continue;
			die("poll", strerror(errno));
		}
		if (move(&down, &p[2], &p[3]) < 0)
			return 0;
		if (up.from >= 0 && move(&up, &p[0], &p[1]) < 0) {
			up.from = -1;
			up.len = 0;
			shutdown(up.to, SHUT_WR);
		}
	}
}
