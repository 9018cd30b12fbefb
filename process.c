/*
 * process.c - what the system made of us, and what we make of it: who we are,
 * what we may see, the descriptors we were given, and whom we tell that we are
 * ready.
 *
 * The order at the start, which main keeps:
 *
 *	process_begin	descriptors 0 to 2 are open; LISTEN_FDS, NOTIFY_SOCKET taken
 *	process_user	a name becomes numbers	(the configuration has been read)
 *	process_may	can we become what was asked, and is it asked?
 *			sockets are bound; devices, resolv.conf, syslog opened
 *	process_confine	chroot
 *	process_folder	mailroots that are missing are made
 *	process_become	root is given up, for good
 *			mailroots are opened, and nobody was heard before
 *
 * What is true: after process_become nothing here needs a right, a path or the
 * environment; and a failure to tell is never a failure.
 */
#include "smtpd.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FIRST_GIVEN 3		/* descriptor, by the custom of LISTEN_FDS */
#define GIVEN_MAX   256
#define NAME_SIZE   128		/* of a user or a group */

/* Whom to become. */
static struct {
	bool told, group;		/* something was said; a group too */
	uid_t uid;
	gid_t gid;
} who;

static int given[GIVEN_MAX];		/* listening sockets that nobody has taken yet */
static size_t given_count;
static int notify_fd = -1;

/* ---- descriptors --------------------------------------------------------------- */

/* What is closed of standard input, output and error would be the next file's
 * number.  Where there is no /dev/null, any folder is deaf and silent too. */
bool
process_descriptors(void)
{
	bool no_input = false;
	int fd;

	do {
		if ((fd = open("/dev/null", O_RDWR)) == -1)
			fd = open("/", O_RDONLY);
		no_input |= fd == STDIN_FILENO;
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd != -1)
		close(fd);
	return no_input;
}

/* A listening TCP socket? */
static bool
listens(int fd)
{
	struct addr here;
	int type = 0, on = 0;
	socklen_t n = sizeof type, m = sizeof on;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM &&
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &m) == 0 && on &&
	    conn_here(fd, &here) == 0;
}

/* A number in decimal digits, less than most; -1 if it is not one. */
static long long
number(const char *text, long long most)
{
	const char *end;
	long long n = text_octets(text, &end);

	return *end == '\0' && n < most ? n : -1;
}

static void
sockets_inherit(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	long long n = fds && pid && number(pid, LLONG_MAX) == (long long)getpid() ? number(fds, GIVEN_MAX + 1) : 0;

	if (n == -1)
		log_line("warning: LISTEN_FDS is no number up to %d, and not heeded", GIVEN_MAX);
	for (int fd = FIRST_GIVEN; fd < FIRST_GIVEN + (int)n; fd++)
		if (listens(fd) && fcntl(fd, F_SETFL, O_NONBLOCK) != -1)
			given[given_count++] = fd;
		else {
			log_line("warning: LISTEN_FDS: descriptor %d is no listening TCP socket, and closed", fd);
			close(fd);
		}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

int
process_socket(const struct addr *a)
{
	for (size_t i = 0; i < given_count; i++) {
		struct addr here;
		int fd = given[i];

		if (conn_here(fd, &here) == -1 || !addr_same(a, &here) || a->port != here.port)
			continue;
		given[i] = given[--given_count];
		return fd;
	}
	return -1;
}

void
process_sockets_end(void)
{
	while (given_count > 0) {
		char text[ADDR_TEXT + 8];
		struct addr here = { 0 };
		int fd = given[--given_count];

		conn_here(fd, &here);
		addr_text_port(&here, text);
		log_line("warning: LISTEN_FDS: no server listens on %s, and the socket is closed; 'listen %s' would take it", text, text);
		close(fd);
	}
}

/* ---- readiness ------------------------------------------------------------------- */

/* Connected at once: behind a chroot its path means nothing. */
static void
notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	if (path == NULL)
		return;
	errno = EINVAL;
	if (*path == '/' || *path == '@')
		notify_fd = conn_local(path, SOCK_DGRAM, LOCAL_TRY);
	if (notify_fd == -1)
		log_line("warning: NOTIFY_SOCKET: %s; nobody is told that we are ready", strerror(errno));
	unsetenv("NOTIFY_SOCKET");
}

void
process_notify(const char *format, ...)
{
	char text[400];
	va_list ap;
	int n;

	if (notify_fd == -1)
		return;
	va_start(ap, format);
	n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < sizeof text && send(notify_fd, text, (size_t)n, 0) == -1)
		return;		/* nobody listens, or not now */
}

/* The clock is read anew: the request may be younger than this turn. */
void
process_reloading(void)
{
	struct clock c;

	clock_source(&c);
	process_notify("RELOADING=1\nMONOTONIC_USEC=%lld%03d", c.tick, c.micro);
}

void
process_begin(void)
{
	process_descriptors();
	if (getuid() != geteuid() || getgid() != getegid())
		die(EX_NOPERM, "is installed setuid or setgid, and must not be: chmod ug-s it");
	sockets_inherit();
	notify_open();
}

/* ---- who we are -------------------------------------------------------------------- */

/* An id may be any number but the largest, which means none. */
static long long
id_number(const char *text)
{
	return number(text, (long long)UINT32_MAX);
}

/* root is known where there is no /etc/passwd. */
static int
user_find(const char *name)
{
	long long n = id_number(name);
	struct passwd *p = n != -1 ? getpwuid((uid_t)n) : getpwnam(name);

	if (n == -1 && p == NULL && strcmp(name, "root") == 0)
		n = 0;
	if (p == NULL && n == -1)
		return -1;
	who.uid = p ? p->pw_uid : (uid_t)n;
	who.gid = p ? p->pw_gid : (gid_t)n;
	return 0;
}

static int
group_find(const char *name)
{
	long long n = id_number(name);
	struct group *g = n != -1 ? NULL : getgrnam(name);

	if (n == -1 && g == NULL && strcmp(name, "root") != 0)
		return -1;
	who.gid = g ? g->gr_gid : n != -1 ? (gid_t)n : 0;
	who.group = true;
	return 0;
}

const char *
process_user(const char *spec)
{
	char name[NAME_SIZE] = "";
	const char *colon = strchr(spec, ':');
	size_t n = colon ? (size_t)(colon - spec) : strlen(spec);

	if (n < sizeof name)
		memcpy(name, spec, n);
	if (user_find(name) == -1)
		return "there is no such user; a number will do too, such as 1000 or 1000:1000";
	if (colon != NULL && group_find(colon + 1) == -1)
		return "there is no such group; a number will do too, such as 1000:1000";
	who.told = true;
	return NULL;
}

bool
process_told(void)
{
	return who.told;
}

/* Are we already who we are to be? */
static bool
myself(void)
{
	return who.uid == geteuid() && (!who.group || who.gid == getegid());
}

bool
process_unsaid(void)
{
	return geteuid() == 0 && !who.told && getpid() != 1;
}

void
process_may(const char *root)
{
	if (process_unsaid())
		die(EX_NOPERM, "will not serve as root: name a user to become, by 'user NAME' in the configuration or -u NAME "
		    "(which may be root, if that is meant)");
	if (geteuid() != 0 && who.told && !myself())
		die(EX_NOPERM, "only root can become another user: start it as root, or as that user");
	if (geteuid() != 0 && root != NULL)
		die(EX_NOPERM, "chroot: only root can do that: start it as root, or leave the setting out");
	umask(027);
}

void
process_confine(const char *root)
{
	if (root == NULL)
		return;
	tzset();			/* its file is out of sight from here on */
	if (chroot(root) == -1 || chdir("/") == -1)
		die(EX_OSERR, "chroot %s: %s", root, strerror(errno));
}

/* Who may write beside it might have put something else there meanwhile: so
 * only a folder that is root's is given away. */
void
process_folder(const char *path)
{
	struct stat st;
	int fd;

	if (!who.told || geteuid() != 0 || myself() || mkdir(path, 0755) == -1)
		return;			/* it is there, or whoever we are then makes it or says why not */
	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)) == -1)
		return;
	fchmod(fd, 0755);		/* whatever our umask */
	if (fstat(fd, &st) == 0 && st.st_uid == 0 && fchown(fd, who.uid, who.gid) == -1)
		log_line("warning: %s cannot be given to user %ld: %s", path, (long)who.uid, strerror(errno));
	close(fd);
}

bool
process_become(void)
{
	if (!who.told || myself())
		return false;
	if (setgroups(1, &who.gid) == -1 || setgid(who.gid) == -1 || setuid(who.uid) == -1)
		die(EX_OSERR, "cannot become user %ld, group %ld: %s", (long)who.uid, (long)who.gid, strerror(errno));
	if (who.uid != 0 && (setuid(0) != -1 || seteuid(0) != -1 || getuid() != who.uid || geteuid() != who.uid ||
	    getgid() != who.gid || getegid() != who.gid || (who.gid != 0 && setegid(0) != -1)))
		die(EX_OSERR, "has become user %ld and could become root again; it ends instead", (long)who.uid);
	return true;
}
