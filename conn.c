/*
 * conn.c - a buffered, non-blocking stream of octets.
 *
 * What is true here:
 *  - A connection that waits owns memory only for what it has not yet
 *    consumed or sent; conn_rest, at the end of each step, sees to that.  The
 *    octets of a read land in one buffer that all connections share in turn.
 *  - Nothing here blocks, and nothing here knows what the octets mean.
 *  - `in` holds [0, len), of which [0, at) is consumed.
 *  - Under TLS whole records are taken, so that none hides from poll() in the
 *    library.
 *
 * An owned or borrowed `in`:  in.data == shared means it is on loan until
 * conn_rest; only the connection whose step is running can have it.
 */
#include "smtpd.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_OCTETS 65536	/* at most taken from the system in one step */
#define RECORD      16384	/* octets of a TLS record, at most */
#define RECORDS     16		/* taken in one step: they may be small */
#define PORT_TRIES  10
#define BACKLOG     511		/* of a listening socket; the system may cut it */

static char shared[READ_OCTETS + LINE_OCTETS + 1];

void
conn_open(struct conn *c, int fd, int to)
{
	memset(c, 0, sizeof *c);
	c->fd = fd;
	c->to = to;
}

bool
conn_piped(const struct conn *c)
{
	return c->fd != c->to;
}

static void
in_free(struct conn *c)
{
	if (c->in.data != shared && c->in.data != NULL)
		wipe(c->in.data, c->in.len);	/* it may have been a password */
	if (c->in.data == shared)
		memset(&c->in, 0, sizeof c->in);
	buf_free(&c->in);
	c->at = 0;
}

/* Here too. */
static void
out_free(struct conn *c)
{
	if (c->out.data != NULL)
		wipe(c->out.data, c->out.size);
	buf_free(&c->out);
}

void
conn_move(struct conn *to, struct conn *from)
{
	conn_rest(from);		/* what is on loan cannot move */
	*to = *from;
	from->fd = -1;
	from->received = from->sent = 0;
	memset(&from->in, 0, sizeof from->in);
	memset(&from->out, 0, sizeof from->out);
	from->at = 0;
	from->tls = NULL;
}

int
conn_secure(struct conn *c, const struct tls_context *context, const char *name, bool verify)
{
	in_free(c);
	c->overlong = false;
	return (c->tls = tls_open(context, c->fd, name, verify)) != NULL ? 0 : -1;
}

void
conn_close(struct conn *c)
{
	tls_free(c->tls);
	c->tls = NULL;
	if (c->fd != -1)
		close(c->fd);
	in_free(c);
	out_free(c);
	c->fd = -1;
}

void
conn_want(const struct conn *c, bool reading, struct pollfd *slot)
{
	slot->fd = c->out.len ? c->to : c->fd;	/* of two pipes the one that is in the way */
	slot->events = (short)((reading && !c->ended && slot->fd == c->fd ? POLLIN : 0) | (c->out.len ? POLLOUT : 0));
	slot->revents = 0;
	if (c->tls != NULL)
		slot->events = tls_events(c->tls, slot->events);
	if (slot->events == 0)
		slot->fd = -1;		/* else a hang-up would wake us for ever */
}

/* Move what is left over to the shared buffer, so that a read can add to it. */
static size_t
in_borrow(struct conn *c)
{
	size_t left = c->in.len - c->at;

	if (left > LINE_OCTETS)
		return 0;		/* enough to do before more is asked for */
	if (left > 0)
		memmove(shared, c->in.data + c->at, left);
	in_free(c);
	c->in.data = shared;
	c->in.len = left;
	c->in.size = sizeof shared;
	return READ_OCTETS;
}

bool
conn_ready(const struct conn *c, short events)
{
	return c->tls != NULL ? events != 0 : (events & (POLLIN | POLLHUP | POLLERR)) != 0;
}

int
conn_receive(struct conn *c)
{
	size_t room, before;
	int records = 0;
	ssize_t n;

	if (c->ended)
		return -1;
	if ((room = in_borrow(c)) == 0)
		return 1;
	if (c->sip > 0)
		room = c->sip;
	before = c->in.len;
	do {
		n = c->tls ? tls_read(c->tls, c->in.data + c->in.len, room) : read(c->fd, c->in.data + c->in.len, room);
		if (n > 0) {
			c->in.len += (size_t)n;
			room -= (size_t)n;
		}
	} while (c->tls != NULL && n > 0 && room >= RECORD && ++records < RECORDS);
	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		c->ended = true;	/* behind what has come, if something has */
	c->received += (long long)(c->in.len - before);
	return c->in.len > before ? 1 : c->ended ? -1 : 0;
}

const char *
conn_peek(const struct conn *c, size_t *n)
{
	*n = c->in.len - c->at;
	return *n > 0 ? c->in.data + c->at : "";
}

void
conn_consume(struct conn *c, size_t n)
{
	c->at += n;
}

int
conn_line(struct conn *c, char **line, size_t *n, bool *crlf)
{
	size_t left = c->in.len - c->at;
	char *from = left > 0 ? c->in.data + c->at : NULL, *lf = left > 0 ? memchr(from, '\n', left) : NULL;
	bool overlong = c->overlong || (lf ? (size_t)(lf - from) : left) >= LINE_OCTETS;

	if (lf == NULL && !overlong)
		return 0;
	c->at += lf ? (size_t)(lf - from) + 1 : left;
	if (overlong) {
		/* Said once, and then the rest of the line is passed over. */
		bool said = c->overlong;

		c->overlong = lf == NULL;
		return !said ? -1 : lf == NULL ? 0 : conn_line(c, line, n, crlf);
	}
	*crlf = lf > from && lf[-1] == '\r';
	lf -= *crlf;
	*lf = '\0';
	*line = from;
	*n = (size_t)(lf - from);
	return 1;
}

void
conn_rest(struct conn *c)
{
	size_t left = c->in.len - c->at;
	struct buf own = { 0 };

	if (left == 0)
		in_free(c);
	if (c->in.data != shared)
		return;
	if (buf_add(&own, c->in.data + c->at, left) == -1)
		c->ended = true;	/* out of memory costs this connection */
	in_free(c);
	c->in = own;
}

int
conn_flush(struct conn *c)
{
	size_t sent = 0;

	while (sent < c->out.len) {
		const char *rest = c->out.data + sent;
		ssize_t n = c->tls ? tls_write(c->tls, rest, c->out.len - sent) : write(c->to, rest, c->out.len - sent);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno != EAGAIN && errno != EWOULDBLOCK)
			return -1;
		if (n == -1)
			break;
		sent += (size_t)n;
		c->sent += n;
	}
	if (sent == c->out.len) {
		out_free(c);
		return 1;
	}
	memmove(c->out.data, c->out.data + sent, c->out.len - sent);
	c->out.len -= sent;
	return 0;
}

void
conn_count(struct conn *c, long long counts[])
{
	counts[BYTES_RECEIVED] += c->received;
	counts[BYTES_SENT] += c->sent;
	c->received = c->sent = 0;
}

void
conn_part(struct conn *c)
{
	char unread[512];

	tls_free(c->tls);	/* which says so; what still comes is nothing to us */
	c->tls = NULL;
	if (shutdown(c->fd, SHUT_WR) == -1 || read(c->fd, unread, sizeof unread) == 0)
		c->ended = true;
}

/* ---- the poll array ----------------------------------------------------- */

struct pollfd *slots;
static size_t slot_room;

int
slots_reserve(size_t n)
{
	struct pollfd *more;

	if (n <= slot_room)
		return 0;
	if ((more = memory(slots, n * 2 * sizeof *more)) == NULL)
		return -1;
	slots = more;
	slot_room = n * 2;
	return 0;
}

size_t
slots_room(void)
{
	return slot_room;
}

/* ---- sockets ---------------------------------------------------------- */

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un local;
	struct sockaddr_storage storage;
};

static socklen_t
address_from(union address *to, const struct addr *a)
{
	memset(to, 0, sizeof *to);
	if (a->family == 6) {
		to->in6.sin6_family = AF_INET6;
		to->in6.sin6_port = htons(a->port);
		memcpy(&to->in6.sin6_addr, a->octets, 16);
		return sizeof to->in6;
	}
	to->in.sin_family = AF_INET;
	to->in.sin_port = htons(a->port);
	memcpy(&to->in.sin_addr, a->octets, 4);
	return sizeof to->in;
}

static void
address_to(struct addr *a, const union address *from)
{
	memset(a, 0, sizeof *a);
	if (from->any.sa_family == AF_INET6) {
		a->family = 6;
		a->port = ntohs(from->in6.sin6_port);
		memcpy(a->octets, &from->in6.sin6_addr, 16);
	} else if (from->any.sa_family == AF_INET) {
		a->family = 4;
		a->port = ntohs(from->in.sin_port);
		memcpy(a->octets, &from->in.sin_addr, 4);
	}
}

static int
nonblocking(int fd)
{
	return fcntl(fd, F_SETFL, O_NONBLOCK);	/* nothing is ever executed, so no FD_CLOEXEC */
}

/* Close it; errno stays. */
static int
given_up(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
	return -1;
}

static int
end_of(int fd, bool other, struct addr *a)
{
	union address u;
	socklen_t n = sizeof u;

	memset(&u, 0, sizeof u);
	if ((other ? getpeername(fd, &u.any, &n) : getsockname(fd, &u.any, &n)) == -1)
		return -1;
	address_to(a, &u);
	return a->family == 0 ? -1 : 0;
}

int
conn_here(int fd, struct addr *here)
{
	return end_of(fd, false, here);
}

int
conn_peer(int fd, struct addr *peer)
{
	return end_of(fd, true, peer);
}

int
conn_listen(struct addr *a)
{
	union address u;
	socklen_t n = address_from(&u, a);
	int fd, on = 1;

	if ((fd = socket(u.any.sa_family, SOCK_STREAM, 0)) == -1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
#ifdef IPV6_V6ONLY	/* dietlibc has none; a socket a family everywhere else */
	if (a->family == 6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
#endif
	if (bind(fd, &u.any, n) == -1 || listen(fd, BACKLOG) == -1 || nonblocking(fd) == -1)
		return given_up(fd);
	conn_here(fd, a);
	return fd;
}

int
conn_connect(const struct addr *to)
{
	union address u;
	socklen_t n = address_from(&u, to);
	int fd, on = 1;

	if ((fd = socket(u.any.sa_family, SOCK_STREAM, 0)) == -1)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (nonblocking(fd) == 0 && (connect(fd, &u.any, n) == 0 || errno == EINPROGRESS))
		return fd;
	return given_up(fd);
}

int
conn_local(const char *path, int type, enum local how)
{
	union address u;
	size_t n = strlen(path);
	struct stat st;
	int fd;

	memset(&u, 0, sizeof u);
	u.local.sun_family = AF_UNIX;
	errno = EINVAL;
	if (n == 0 || n >= sizeof u.local.sun_path || (fd = socket(AF_UNIX, type, 0)) == -1)
		return -1;
	memcpy(u.local.sun_path, path, n);
	if (type == SOCK_DGRAM && *path == '@')
		u.local.sun_path[0] = '\0';	/* an abstract name, which no NUL ends */
	else
		n++;
	n += offsetof(struct sockaddr_un, sun_path);
	if (how == LOCAL_OURS && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
	if ((how == LOCAL_WAIT || nonblocking(fd) == 0) &&
	    (how == LOCAL_OURS ? bind(fd, &u.any, (socklen_t)n) : connect(fd, &u.any, (socklen_t)n)) == 0)
		return fd;
	return given_up(fd);
}

int
conn_connected(int fd)
{
	int error = 0;
	socklen_t n = sizeof error;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) == -1)
		return -1;
	errno = error;
	return error == 0 ? 0 : -1;
}

/* Systems differ in how well they pick ports; so we do, in a few attempts. */
int
conn_datagram(const struct addr *to)
{
	union address u, mine;
	socklen_t n = address_from(&u, to);
	struct addr any = { to->family, { 0 }, 0 };
	int fd;

	if ((fd = socket(u.any.sa_family, SOCK_DGRAM, 0)) == -1)
		return -1;
	for (int i = 0; i < PORT_TRIES; i++) {
		any.port = (uint16_t)(1024 + random_number() % (65536 - 1024));
		if (bind(fd, &mine.any, address_from(&mine, &any)) == 0)
			break;
	}
	if (nonblocking(fd) == 0 && connect(fd, &u.any, n) == 0)
		return fd;
	return given_up(fd);
}

int
conn_accept(int listener, struct addr *peer, struct addr *here)
{
	union address u;
	socklen_t n = sizeof u;
	int fd, on = 1;

	memset(&u, 0, sizeof u);
	if ((fd = accept(listener, &u.any, &n)) == -1)
		return -1;
	address_to(peer, &u);
	conn_here(fd, here);
	/* Replies leave when we say so; Nagle would only delay them. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return nonblocking(fd) == 0 ? fd : given_up(fd);
}
