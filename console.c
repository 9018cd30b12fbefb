/*
 * console.c - sub-commands for operators.
 *
 * `smtpd status' and its like ask the server that runs, by its control socket;
 * when none does, the same request (operate.c) is served here, on the folders.
 */
#include "smtpd.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const words[] = { "status", "sessions", "queue", "badmail", "start", "stop", "pause", "resume", "reload", "shutdown" };

static bool shows_progress;		/* a line of it stands on the terminal */

bool
console_knows(const char *word)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(words[i], word) == 0)
			return true;
	return false;
}

/* What is indented may be longer than a terminal is wide. */
static void
show_text(const char *text)
{
	char indent[20] = "";
	size_t n = strspn(text, " ");

	if (n == 0 || n >= sizeof indent || strlen(text) < 80)
		puts(text);
	else
		text_wrapped(memcpy(indent, text, n), indent, text + n);
}

/* One line of the answer; -1, or the status that it ends with. */
static int
show(const char *line)
{
	if (shows_progress && *line != '%')
		fputs("\r\033[K", stderr);
	shows_progress = false;
	switch (*line) {
	case ' ':
		show_text(line + 1);
		break;
	case '!':
		fprintf(stderr, "%s%s\n", text_prefix(line + 1, "smtpd: ") ? "" : "smtpd: ", line + 1);
		break;
	case '%':
		if ((shows_progress = isatty(STDERR_FILENO)))
			fprintf(stderr, "\r%s\033[K", line + 1);
		break;
	case '=':
		return atoi(line + 1);
	}
	return -1;
}

/* All whole lines of b; what is left of it stays.  As show. */
static int
show_all(struct buf *b)
{
	int status = -1;
	size_t from = 0;
	char *lf;

	while (status == -1 && b->len > from && (lf = memchr(b->data + from, '\n', b->len - from)) != NULL) {
		*lf = '\0';
		status = show(b->data + from);
		from = (size_t)(lf - b->data) + 1;
	}
	if (from > 0) {
		memmove(b->data, b->data + from, b->len - from);
		b->len -= from;
	}
	return status;
}

/* ---- the running server ---------------------------------------------------------------- */

/* It runs on whatever is in the file by now.  -1: no server does. */
static int
server_connect(const char *file)
{
	struct config *c = config_sketch(file);
	char path[PATH_SIZE];
	int fd;

	if (c == NULL)
		return -1;
	fd = conn_local(control_path(c, path), SOCK_STREAM, LOCAL_WAIT);
	if (fd == -1 && errno == EACCES)
		die(EX_NOPERM, "%s: %s", path, strerror(errno));
	config_release(c);
	return fd;
}

static int
ask(int fd, const char *line)
{
	struct buf b = { 0 };
	char part[16384];
	int status = -1;
	ssize_t n;

	signal(SIGPIPE, SIG_IGN);	/* who is turned away may hear why before he has asked */
	if (write(fd, line, strlen(line)) == -1 || write(fd, "\n", 1) == -1)
		shutdown(fd, SHUT_WR);
	while (status == -1 && (n = read(fd, part, sizeof part)) > 0)
		status = buf_add(&b, part, (size_t)n) == -1 ? EX_SOFTWARE : show_all(&b);
	buf_free(&b);
	if (status == -1)
		fputs("smtpd: the server has closed the connection\n", stderr);
	return status == -1 ? EX_IOERR : status;
}

/* ---- no server ------------------------------------------------------------------------------ */

/* What we make there must be its owner's, not root's. */
static void
become_owner(const struct config *c)
{
	struct stat st;

	if (geteuid() != 0 || stat(c->servers->mailroot, &st) == -1 || st.st_uid == 0)
		return;
	if (setegid(st.st_gid) == -1 || seteuid(st.st_uid) == -1)
		die(EX_NOPERM, "cannot act as the owner of %s: %s", c->servers->mailroot, strerror(errno));
}

/* Can its Queue be looked at?  0; or a status, and it is said why not. */
static int
look(const struct server *s)
{
	char folder[FOLDER_SIZE], here[PATH_SIZE];

	if (config_folder(s, QUEUE, folder) == -1 || access(folder, R_OK | X_OK) == 0 ||
	    (errno == ENOENT && access(s->mailroot, R_OK | X_OK) == 0)) {
		vservers_look(s);
		return 0;
	}
	if (errno != ENOENT) {
		log_line("smtpd: \"%s\" is not running, and %s: %s", s->name, folder, strerror(errno));
		return EX_NOPERM;
	}
	if (*s->mailroot == '/' || getcwd(here, sizeof here) == NULL)
		log_line("smtpd: \"%s\" is not running, and has no mailroot %s yet", s->name, s->mailroot);
	else
		log_line("smtpd: \"%s\" is not seen from here: there is no %s in %s; ask from where it is started", s->name, s->mailroot, here);
	return EX_UNAVAILABLE;
}

/* All, or one; the status that those leave who cannot be looked at. */
static int
look_all(const struct config *c, const char *server)
{
	int status = 0, bad;

	for (const struct server *s = c->servers; s != NULL; s = s->next)
		if ((server == NULL || strcmp(s->name, server) == 0) && (bad = look(s)) != 0)
			status = bad;
	return status;
}

static int
alone(const struct config *c, const char *server, const char *line)
{
	struct request r;
	int over, status = -1, unseen = look_all(c, server);

	if (unseen != 0 && vservers == NULL)
		return unseen;
	memset(&r, 0, sizeof r);
	r.config = c;
	r.own = r.alone = true;
	become_owner(c);
	random_open();
	for (over = request_begin(&r, line) == -1; status == -1; clock_turn()) {
		if (!over)
			over = request_step(&r);
		status = show_all(&r.out);
	}
	request_end(&r);
	vservers_close();
	return status != 0 ? status : unseen;
}

/* ---- the sub-command --------------------------------------------------------------------------- */

/* The words as a request has them: flags in front, tabs between. */
static int
line_make(struct buf *b, const char *server, bool json, int argc, char **argv)
{
	int answer = buf_addf(b, "%s%s%s%s", json ? "json\t" : "", server ? "server=" : "", server ? server : "", server ? "\t" : "");

	for (int i = 0; i < argc && answer == 0; i++)
		answer = strpbrk(argv[i], "\t\n") != NULL ? -1 : buf_addf(b, "%s%s", i > 0 ? "\t" : "", argv[i]);
	return answer;
}

int
console(const char *file, const char *server, bool json, int argc, char **argv)
{
	struct buf line = { 0 };
	struct config *c;
	int fd, status = EX_CONFIG;

	if (line_make(&line, server, json, argc, argv) == -1)
		die(EX_USAGE, "no tabs and no line ends in what is asked");
	if ((fd = server_connect(file)) != -1) {
		status = ask(fd, line.data);
		close(fd);
	} else if ((c = config_load(file)) != NULL) {
		status = alone(c, server, line.data);
		config_release(c);
	}
	buf_free(&line);
	return fflush(stdout) == EOF ? EX_IOERR : status;
}
