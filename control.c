/*
 * control.c - the socket for operators.
 *
 * A caller sends one line, a request (operate.c), and gets its answer; then the
 * connection is closed.  States, and what is true:
 *
 *	ASKING   his line is awaited; he is known by his credentials
 *	SERVED   the request is worked on, as fast as he takes the answer
 *	WISHING  the loop is to do something
 *	ANSWERED the answer is complete, and drained
 *
 * Where the system tells who is at the other end of a local socket anybody may
 * connect, and is asked for; elsewhere the socket's permissions are all there
 * is, and it is its owner's.
 *
 * Who is turned away: who is no operator, at once and before he has asked; when
 * all places are taken the one whose line is awaited longest, for the newcomer;
 * and the newcomer when all have asked.
 */
#include "smtpd.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CALLERS   8		/* at once; see SLOTS_OURS */
#define ASK_WAIT  10000		/* for the line, ms */
#define TAKE_WAIT 60000		/* for some of the answer to be taken, ms */
#define OUT_MOST  32768

enum caller_state { ASKING, SERVED, WISHING, ANSWERED };

struct caller {
	struct conn conn;
	enum caller_state state;
	struct request request;
	msec deadline;
	long long sent;			/* octets, when that was set */
	size_t slot;
};

static int listener = -1;
static size_t listener_slot;
static char bound[PATH_SIZE];		/* its path; "" none */
static struct caller *callers[CALLERS];

/* ---- who is there ---------------------------------------------------------------------- */

/* The one place where systems differ: 0 and who it is, or -1. */
static int
credentials(int fd, unsigned long *uid, unsigned long *gid)
{
#if defined(__linux__) && defined(SO_PEERCRED)
	struct { int32_t pid; uint32_t uid, gid; } who;	/* struct ucred, which only GNU shows */
	socklen_t n = sizeof who;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == -1)
		return -1;
	*uid = who.uid;
	*gid = who.gid;
	return 0;
#elif defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__NetBSD__) || defined(__DragonFly__) || defined(__APPLE__)
	uid_t u;
	gid_t g;

	if (getpeereid(fd, &u, &g) == -1)
		return -1;
	*uid = u;
	*gid = g;
	return 0;
#else
	(void)fd, (void)uid, (void)gid;
	return -1;
#endif
}

/* ---- the socket ---------------------------------------------------------------------------- */

const char *
control_path(const struct config *c, char out[PATH_SIZE])
{
	struct sockaddr_un a;
	int n = c->control != NULL ? snprintf(out, PATH_SIZE, "%s", c->control) :
	    snprintf(out, PATH_SIZE, "%s/.control", c->servers->mailroot);

	if (n < 0 || (size_t)n >= sizeof a.sun_path)
		out[0] = '\0';
	return out;
}

/* Whatever stands there from a server that did not end in order goes. */
static int
socket_bind(const char *path)
{
	int fd = conn_local(path, SOCK_STREAM, LOCAL_TRY), pair[2];
	unsigned long id;
	mode_t mode = 0600;

	if (fd != -1 || errno == EAGAIN) {
		if (fd != -1)
			close(fd);
		errno = EADDRINUSE;
		return -1;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) {
		mode = credentials(pair[0], &id, &id) == 0 ? 0666 : 0600;
		close(pair[0]);
		close(pair[1]);
	}
	if ((fd = conn_local(path, SOCK_STREAM, LOCAL_OURS)) != -1 && chmod(path, mode) == 0 && listen(fd, CALLERS) == 0)
		return fd;
	if (fd != -1)
		close(fd);
	return -1;
}

void
control_open(const struct config *c)
{
	char path[PATH_SIZE];

	control_path(c, path);
	if (listener != -1 && strcmp(path, bound) == 0)
		return;
	control_close();
	if (*path == '\0')
		log_line("smtpd: control: the path is too long for a socket; give a shorter one with 'control PATH'");
	else if ((listener = socket_bind(path)) == -1)
		log_line("smtpd: control: %s: %s", path, strerror(errno));
	else
		snprintf(bound, sizeof bound, "%s", path);
}

void
control_close(void)
{
	if (listener == -1)
		return;
	close(listener);
	unlink(bound);
	listener = -1;
	bound[0] = '\0';
}

/* ---- callers --------------------------------------------------------------------------------------- */

static void
caller_free(size_t i)
{
	request_end(&callers[i]->request);
	conn_close(&callers[i]->conn);
	free(callers[i]);
	callers[i] = NULL;
}

/* A place for one more, or CALLERS. */
static size_t
caller_place(void)
{
	size_t place = CALLERS;

	for (size_t i = 0; i < CALLERS; i++)
		if (callers[i] == NULL)
			return i;
		else if (callers[i]->state == ASKING && (place == CALLERS || callers[i]->deadline < callers[place]->deadline))
			place = i;
	if (place < CALLERS)
		caller_free(place);
	return place;
}

/* Who he is; -1: he is not let in, and what he hears stands in `out`. */
static int
caller_admit(struct request *r, int fd)
{
	if (credentials(fd, &r->uid, &r->gid) == -1)
		r->own = true;		/* the socket's permissions have let him in */
	else
		r->own = r->uid == (unsigned long)geteuid();
	return request_admit(r);
}

/* A socket this young has room for a line. */
static void
caller_new(int fd, const struct config *c)
{
	struct request r = { .config = c };
	struct caller *new;
	size_t i = CALLERS;

	if (caller_admit(&r, fd) == 0 && (i = caller_place()) == CALLERS)
		buf_addf(&r.out, "!%d operators are served already; ask again\n=%d\n", CALLERS, EX_TEMPFAIL);
	if (i < CALLERS && fcntl(fd, F_SETFL, O_NONBLOCK) != -1 && (new = memory(NULL, sizeof *new)) != NULL) {
		*new = (struct caller){ .request = r, .deadline = now.tick + ASK_WAIT };
		conn_open(&new->conn, fd, fd);
		callers[i] = new;
		return;
	}
	if (r.out.len > 0 && write(fd, r.out.data, r.out.len) == -1)
		log_detail("- operator uid=%lu is turned away: %s", r.uid, strerror(errno));
	request_end(&r);
	close(fd);
}

/* Who has asked is served from then on by a configuration that may change. */
static void
caller_ask(struct caller *c)
{
	char *line;
	size_t n;
	bool crlf;
	int there = conn_line(&c->conn, &line, &n, &crlf);

	if (there == 0)
		return;
	if (there == 1)
		log_detail("- operator uid=%lu asks: %s", c->request.uid, line);
	c->state = request_begin(&c->request, there == 1 ? line : "") == -1 ? ANSWERED : SERVED;
}

static void
caller_serve(struct caller *c)
{
	if (c->state == SERVED && c->conn.out.len < OUT_MOST && c->request.waits <= now.tick && request_step(&c->request) == 1)
		c->state = ANSWERED;
	if (c->request.wish != WISH_NONE)
		c->state = WISHING;
	if (c->request.out.len == 0)
		return;
	if (buf_add(&c->conn.out, c->request.out.data, c->request.out.len) == -1)
		c->conn.ended = true;
	c->request.out.len = 0;
}

/* False: it is over. */
static bool
caller_step(struct caller *c, short events)
{
	int sent;

	if (events & (POLLIN | POLLHUP | POLLERR))
		conn_receive(&c->conn);
	if (c->state == ASKING)
		caller_ask(c);
	if (c->state != ASKING)
		caller_serve(c);
	sent = conn_flush(&c->conn);
	if (c->state != ASKING && (c->conn.sent != c->sent || c->state == WISHING || c->conn.out.len == 0))
		c->deadline = now.tick + TAKE_WAIT;
	c->sent = c->conn.sent;
	conn_rest(&c->conn);
	return sent != -1 && c->deadline > now.tick && !(c->conn.ended && c->state == ASKING) &&
	    !(c->state == ANSWERED && c->conn.out.len == 0 && c->request.out.len == 0);
}

size_t
control_want(struct pollfd *slot, msec *until)
{
	size_t n = 0;

	listener_slot = n;
	slot[n++] = (struct pollfd){ listener, POLLIN, 0 };
	for (size_t i = 0; i < CALLERS; i++) {
		struct caller *c = callers[i];

		if (c == NULL)
			continue;
		c->slot = n;
		conn_want(&c->conn, c->state == ASKING, &slot[n++]);
		if (c->state == SERVED && c->conn.out.len < OUT_MOST && c->request.waits < *until)
			*until = c->request.waits;
		if (c->deadline < *until)
			*until = c->deadline;
	}
	return n;
}

void
control_step(size_t slot, const struct config *config)
{
	int fd;

	for (size_t i = 0; i < CALLERS; i++)
		if (callers[i] != NULL) {
			callers[i]->request.config = config;
			if (!caller_step(callers[i], slots[slot + callers[i]->slot].revents))
				caller_free(i);
		}
	if (listener != -1 && (slots[slot + listener_slot].revents & POLLIN))
		for (int n = 0; n < CALLERS && (fd = accept(listener, NULL, NULL)) != -1; n++)
			caller_new(fd, config);
}

enum wish
control_wish(void)
{
	for (size_t i = 0; i < CALLERS; i++)
		if (callers[i] != NULL && callers[i]->state == WISHING)
			return callers[i]->request.wish;
	return WISH_NONE;
}

void
control_granted(int status, const struct buf *lines)
{
	for (size_t i = 0; i < CALLERS; i++)
		if (callers[i] != NULL && callers[i]->state == WISHING) {
			request_granted(&callers[i]->request, status, lines);
			callers[i]->state = ANSWERED;
			caller_step(callers[i], 0);
			return;
		}
}
