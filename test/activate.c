/*
 * activate: what a supervisor does, for the tests.
 *
 *     activate KIND ... -- COMMAND ...    gives COMMAND sockets from descriptor 3 on, by LISTEN_FDS and LISTEN_PID
 *     activate -r NAME                    listens to NOTIFY_SOCKET's other end, and prints what it hears, one line each
 *
 * KIND is tcp4, tcp6, dual (tcp6, and IPv4 in it), udp, deaf (TCP that does not listen) or unix. The addresses are the
 * system's choice, and COMMAND finds them in $SOCKET1, $SOCKET2 ... NAME is a path, or an abstract name behind an @. What
 * is in LISTEN_PID already stays.
 */
#define _POSIX_C_SOURCE 200809L

#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static void
give(int number, const char *kind)
{
	struct sockaddr_in6 six;
	struct sockaddr_in four;
	struct sockaddr_un path;
	socklen_t n = sizeof four;
	char name[24], text[64];
	int wanted = 2 + number, on = strcmp(kind, "dual") != 0, fd;

	memset(&six, 0, sizeof six);
	memset(&four, 0, sizeof four);
	memset(&path, 0, sizeof path);
	four.sin_family = AF_INET;
	four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	six.sin6_family = AF_INET6;
	six.sin6_addr = on ? in6addr_loopback : in6addr_any;
	path.sun_family = AF_UNIX;
	snprintf(path.sun_path, sizeof path.sun_path, "given.%d", number);
	if (strcmp(kind, "unix") == 0) {
		if ((fd = socket(AF_UNIX, SOCK_STREAM, 0)) == -1 || bind(fd, (struct sockaddr *)&path, sizeof path) == -1)
			die(kind);
		snprintf(text, sizeof text, "given.%d", number);
	} else if (strcmp(kind, "tcp6") == 0 || !on) {
		if ((fd = socket(AF_INET6, SOCK_STREAM, 0)) == -1 ||
		    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == -1 ||
		    bind(fd, (struct sockaddr *)&six, sizeof six) == -1)
			die(kind);
		n = sizeof six;
		getsockname(fd, (struct sockaddr *)&six, &n);
		snprintf(text, sizeof text, on ? "[::1]:%d" : "[::]:%d", ntohs(six.sin6_port));
	} else {
		if ((fd = socket(AF_INET, strcmp(kind, "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM, 0)) == -1 ||
		    bind(fd, (struct sockaddr *)&four, sizeof four) == -1)
			die(kind);
		getsockname(fd, (struct sockaddr *)&four, &n);
		snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(four.sin_port));
	}
	if (strcmp(kind, "udp") != 0 && strcmp(kind, "deaf") != 0 && listen(fd, 10) == -1)
		die("listen");
	if (fd != wanted && (dup2(fd, wanted) == -1 || close(fd) == -1))
		die("dup2");
	snprintf(name, sizeof name, "SOCKET%d", number);
	setenv(name, text, 1);
}

static void
receive(const char *name)
{
	struct sockaddr_un here;
	size_t length = strlen(name);
	char text[1000];
	ssize_t n;
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	memset(&here, 0, sizeof here);
	here.sun_family = AF_UNIX;
	memcpy(here.sun_path, name, length);
	if (*name == '@')
		here.sun_path[0] = '\0';
	if (fd == -1 || bind(fd, (struct sockaddr *)&here, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) == -1)
		die(name);
	puts("receiving");
	for (; fflush(stdout), (n = recv(fd, text, sizeof text - 1, 0)) > 0; puts(text)) {
		text[n] = '\0';
		for (char *c = text; (c = strchr(c, '\n')) != NULL;)
			*c = ' ';
	}
}

int
main(int argc, char **argv)
{
	char text[24];
	int count = 0;

	if (argc == 3 && strcmp(argv[1], "-r") == 0) {
		receive(argv[2]);
		return 0;
	}
	while (count + 2 < argc && strcmp(argv[count + 1], "--") != 0) {
		count++;
		give(count, argv[count]);
	}
	snprintf(text, sizeof text, "%d", count);
	setenv("LISTEN_FDS", text, 1);
	snprintf(text, sizeof text, "%ld", (long)getpid());
	setenv("LISTEN_PID", text, 0);
	execvp(argv[count + 2], argv + count + 2);
	die(argv[count + 2]);
	return 1;
}
