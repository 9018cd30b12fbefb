/*
 * silent - one who connects and says nothing.
 *
 *     silent PATH N
 *
 * Connects N times to the local socket PATH, and prints a line for each connection that is closed from there: its number
 * (from 1), and what was heard on it, with blanks for ends of lines. Ends when all are.
 */
#define _POSIX_C_SOURCE 200809L

#include <sys/socket.h>
#include <sys/un.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 64

int
main(int argc, char **argv)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct pollfd fds[MOST];
	char text[1000];
	int n = argc == 3 ? atoi(argv[2]) : 0, left = n;

	if (n < 1 || n > MOST || strlen(argv[1]) >= sizeof a.sun_path)
		return 2;
	strcpy(a.sun_path, argv[1]);
	for (int i = 0; i < n; i++) {
		fds[i] = (struct pollfd){ .fd = socket(AF_UNIX, SOCK_STREAM, 0), .events = POLLIN };
		if (connect(fds[i].fd, (struct sockaddr *)&a, sizeof a) == -1)
			return perror(argv[1]), 1;
	}
	printf("connected %d\n", n);
	for (fflush(stdout); left > 0 && poll(fds, (nfds_t)n, -1) > 0; fflush(stdout))
		for (int i = 0; i < n; i++)
			if (fds[i].fd != -1 && fds[i].revents != 0) {
				size_t heard = 0;
				ssize_t m;

				while (heard < sizeof text - 1 && (m = read(fds[i].fd, text + heard, sizeof text - 1 - heard)) > 0)
					heard += (size_t)m;
				text[heard] = '\0';
				for (char *at = text; (at = strchr(at, '\n')) != NULL; )
					*at = ' ';
				printf("%d %s\n", i + 1, text);
				close(fds[i].fd);
				fds[i].fd = -1;
				left--;
			}
	return 0;
}
