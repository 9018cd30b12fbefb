/*
 * volley - what several clients say, heard in one and the same turn of the server.
 *
 *     volley PID TO WORDS [TO WORDS ...]
 *
 * The server, which is process PID, is stopped; one connection is made for each pair and its words are written, in the
 * order of the pairs; then the server goes on. TO is a port of 127.0.0.1, and WORDS a file; or TO has a slash, it is
 * the path of a control socket, and WORDS is the request, with spaces between its words. All that the N-th one is
 * answered is in volley.N. Ends when the server has closed every connection.
 */
#define _POSIX_C_SOURCE 200809L

#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAIRS 32
#define SAID  65536		/* as much as a socket takes at once */

static pid_t server;

static void
die(const char *what)
{
	fprintf(stderr, "volley: %s: %s\n", what, strerror(errno));
	if (server > 0)
		kill(server, SIGCONT);
	exit(1);
}

static int
dial(const char *to)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct sockaddr_in port = { .sin_family = AF_INET };
	int fd;

	if (strchr(to, '/') != NULL) {
		if (strlen(to) >= sizeof local.sun_path)
			die("the path is too long");
		strcpy(local.sun_path, to);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		return fd != -1 && connect(fd, (struct sockaddr *)&local, sizeof local) == 0 ? fd : -1;
	}
	port.sin_port = htons((unsigned short)atoi(to));
	port.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	return fd != -1 && connect(fd, (struct sockaddr *)&port, sizeof port) == 0 ? fd : -1;
}

/* A request's words, as the socket has them; or what the file holds. */
static size_t
words(char said[SAID], const char *to, const char *from)
{
	size_t n = 0;
	FILE *f;

	if (strchr(to, '/') != NULL) {
		n = (size_t)snprintf(said, SAID, "%s\n", from);
		for (char *at = said; (at = strchr(at, ' ')) != NULL; )
			*at = '\t';
		return n;
	}
	if ((f = fopen(from, "r")) == NULL)
		die(from);
	n = fread(said, 1, SAID, f);
	fclose(f);
	return n;
}

/* False: there will be no more. */
static int
hear(int fd, FILE *to)
{
	char part[16384];
	ssize_t n = read(fd, part, sizeof part);

	if (n > 0)
		fwrite(part, 1, (size_t)n, to);
	return n > 0 || (n == -1 && errno == EINTR);
}

int
main(int argc, char **argv)
{
	static char said[SAID];
	struct pollfd slots[PAIRS];
	FILE *answers[PAIRS];
	char name[40];
	int count = argc / 2 - 1, left = count;

	if (argc < 4 || argc % 2 != 0 || count > PAIRS) {
		fputs("usage: volley PID TO WORDS [TO WORDS ...]\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	server = (pid_t)atol(argv[1]);
	if (server < 2 || kill(server, SIGSTOP) == -1)
		die("the server");
	for (int i = 0; i < count; i++) {
		size_t n = words(said, argv[2 + 2 * i], argv[3 + 2 * i]);

		slots[i] = (struct pollfd){ dial(argv[2 + 2 * i]), POLLIN, 0 };
		if (slots[i].fd == -1 || write(slots[i].fd, said, n) != (ssize_t)n)
			die(argv[2 + 2 * i]);
		snprintf(name, sizeof name, "volley.%d", i + 1);
		if ((answers[i] = fopen(name, "w")) == NULL)
			die(name);
	}
	kill(server, SIGCONT);
	while (left > 0 && (poll(slots, (nfds_t)count, -1) != -1 || errno == EINTR))
		for (int i = 0; i < count; i++)
			if (slots[i].fd != -1 && slots[i].revents != 0 && !hear(slots[i].fd, answers[i])) {
				close(slots[i].fd);
				fclose(answers[i]);
				slots[i].fd = -1;
				left--;
			}
	return 0;
}
