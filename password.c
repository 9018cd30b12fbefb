/*
 * password.c - smtpd password: the file of those who can authenticate.
 *
 * A name with its password becomes a line, in the place of the one that he had
 * or at the end; all other octets stay.  Where there is no key for those who have
 * no account (auth.c), one is made.  What is written of a password is a
 * verifier (auth.c).  It is asked for before the file is touched: FILE.new is
 * the lock, and nobody should have to wait for a person.
 */
#include "smtpd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PASSWORD_OCTETS 1024

/* What is asked for. */
struct act {
	const char *file, *server, *user;	/* or NULL */
	bool remove;
	long iterations;
};

/* ---- a password, from somebody ------------------------------------------------------ */

static struct termios shown;		/* the terminal, as it was */

/* The signal comes again, and then nobody catches it. */
static void
on_signal(int number)
{
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	raise(number);
}

/* One line of standard input, and nothing behind it: why not, or NULL. */
static const char *
line_take(char line[PASSWORD_OCTETS + 2])
{
	size_t n = 0;
	char c = '\0';
	ssize_t m;

	while ((m = read(STDIN_FILENO, &c, 1)) == 1 && c != '\n')
		if (n <= PASSWORD_OCTETS)
			line[n++] = c;
	if (n > 0 && line[n - 1] == '\r')
		n--;
	line[n] = '\0';
	if (m == -1 || (m == 0 && n == 0))
		return "there is no answer";
	if (n > PASSWORD_OCTETS)
		return "it is longer than 1024 octets";
	return auth_text_valid(line, n) ? NULL : "it must have one character at least, be UTF-8, and have no tab or other control in it";
}

/* The same from a terminal, which does not show it; whatever happens, it will
 * show what is typed then. */
static const char *
line_ask(const char *question, char line[PASSWORD_OCTETS + 2])
{
	static const int signals[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP };
	struct sigaction a, before;
	struct termios hidden;
	const char *why;

	if (tcgetattr(STDIN_FILENO, &shown) == -1)
		return line_take(line);
	memset(&a, 0, sizeof a);
	sigemptyset(&a.sa_mask);
	a.sa_handler = on_signal;
	a.sa_flags = (int)SA_RESETHAND;
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(signals[i], &a, NULL);
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	hidden.c_lflag |= ECHONL;
	hidden.c_cc[VSUSP] = _POSIX_VDISABLE;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	fputs(question, stderr);
	why = line_take(line);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	return why;
}

static void
ask(char line[PASSWORD_OCTETS + 2])
{
	char again[PASSWORD_OCTETS + 2];
	const char *why = line_ask("Password: ", line);
	bool same = true;

	if (why != NULL)
		die(EX_DATAERR, "the password: %s; nothing was written", why);
	if (isatty(STDIN_FILENO)) {
		why = line_ask("Again: ", again);
		same = strcmp(line, again) == 0;
		wipe(again, sizeof again);
	}
	if (why != NULL || !same)
		die(EX_DATAERR, "these were two passwords, and nothing was written: begin again");
}

/* ---- the file -------------------------------------------------------------------------- */

/* It has several owners of lines: which are his go into `out' as `his' says, once,
 * the others as they are; how many his were. */
static int
lines_change(const struct act *act, const struct buf *text, const struct buf *his, struct buf *out)
{
	const char *at = text->data, *end = at + text->len, *lf;
	size_t name = strlen(act->user), n;
	int found = 0;

	for (; at < end; at += n) {
		lf = memchr(at, '\n', (size_t)(end - at));
		n = lf ? (size_t)(lf - at) + 1 : (size_t)(end - at);
		if (n <= name || memcmp(at, act->user, name) != 0 || at[name] != ':')
			buf_add(out, at, n);
		else if (found++ == 0)
			buf_add(out, his->data, his->len);
	}
	if (found == 0 && out->len > 0 && out->data[out->len - 1] != '\n')
		buf_add(out, "\n", 1);
	if (found == 0)
		buf_add(out, his->data, his->len);
	return found;
}

/* Put this line, which may be empty, in the place of his; -1: there was none to remove. */
static int
change(const struct act *act, const char *path, const char *as, const struct buf *his)
{
	struct buf text = { 0 }, out = { 0 };
	const char *why = NULL;
	struct rewrite r;
	int found = 0;

	if (rewrite_begin(&r, path) == -1)
		die(EX_CANTCREAT, "%s: %s%s", r.temp, strerror(errno), errno == EEXIST ? REWRITE_BUSY : "");
	if (access(path, F_OK) == 0 || errno != ENOENT)
		why = auth_text(path, &text);
	if (why == NULL) {
		if (!act->remove)
			auth_key(&text);
		found = lines_change(act, &text, his, &out);
		if (text.torn || out.torn)
			why = "out of memory";
	}
	if (rewrite_end(&r, why != NULL || (act->remove && found == 0) ? NULL : &out, 0600, as) == -1)
		why = strerror(errno);
	if (why != NULL)
		die(EX_CANTCREAT, "%s: %s: nothing was written", path, why);
	buf_free(&text);
	buf_free(&out);
	return act->remove && found == 0 ? -1 : found;
}

static int
list(const char *path)
{
	struct buf text = { 0 };
	const char *why = auth_text(path, &text), *at, *end, *lf;
	char words[WORDS_SIZE];
	long n;

	if (why != NULL)
		die(EX_NOINPUT, "%s: %s: 'smtpd password USER' makes it", path, why);
	end = text.data + text.len;
	for (at = text.data; at < end; at = lf + 1) {
		if ((lf = memchr(at, '\n', (size_t)(end - at))) == NULL)
			lf = end;
		if ((n = auth_line(at, (size_t)(lf - at))) > 0)
			printf("%.*s\n", (int)n, at);
	}
	buf_free(&text);
	if (auth_accounts(path, words, sizeof words) != -1)
		return 0;
	log_line("%s", words);
	return EX_DATAERR;
}

/* ---- the sub-command --------------------------------------------------------------------- */

/* Options may stand anywhere. */
static void
options_take(struct act *act, int count, char **words)
{
	const char *end = "";

	for (int i = 0; i < count; i++) {
		bool more = i + 1 < count;

		if (strcmp(words[i], "-r") == 0)
			act->remove = true;
		else if (strcmp(words[i], "-f") == 0 && more)
			act->file = words[++i];
		else if (strcmp(words[i], "-S") == 0 && more)
			act->server = words[++i];
		else if (strcmp(words[i], "-i") == 0 && more)
			act->iterations = (long)text_octets(words[++i], &end);
		else if (act->user == NULL && words[i][0] != '-')
			act->user = words[i];
		else
			die(EX_USAGE, "usage: smtpd [-f FILE] password [-S SERVER] [-i ITERATIONS] [[-r] USER]");
	}
	if (*end != '\0' || act->iterations < ITERATIONS_MIN || act->iterations > ITERATIONS_MAX)
		die(EX_USAGE, "-i: give a number from %d, which RFC 7677 wants at least, to %d", ITERATIONS_MIN, ITERATIONS_MAX);
	if (act->remove && act->user == NULL)
		die(EX_USAGE, "-r: say whom to remove; 'smtpd password' lists all");
}

static void
name_check(const char *user)
{
	size_t n = strlen(user);

	if (n > ACCOUNT_OCTETS)
		die(EX_DATAERR, "the name is longer than %d octets: choose a shorter one", ACCOUNT_OCTETS);
	if (!auth_text_valid(user, n) || strchr(user, ':') != NULL || *user == '#')
		die(EX_DATAERR, "this cannot be a name: it must be UTF-8, without ':' and controls, and not begin with '#'");
}

/* The one whose file it is; any of them where they share it. */
static const struct server *
choose(const struct config *c, const char *name)
{
	const struct server *found = NULL;
	bool known = name == NULL;
	char safe[200];

	for (const struct server *s = c->servers; s != NULL; s = s->next) {
		if (name != NULL && strcmp(s->name, name) != 0)
			continue;
		known = true;
		if (s->passwords != NULL && found != NULL && strcmp(s->passwords, found->passwords) != 0)
			die(EX_USAGE, "servers have different files of passwords: say which is meant with -S SERVER");
		if (s->passwords != NULL)
			found = s;
	}
	if (!known)
		die(EX_DATAERR, "no server is called '%s'", text_safe(safe, sizeof safe, name, strlen(name)));
	if (found == NULL)
		die(EX_CONFIG, "%s has no file of passwords: write 'passwords FILE' in %s access block, and give the configuration with -f",
		    name ? "the server" : "no server", name ? "its" : "an");
	return found;
}

/* As the server will see it: in its chroot, where there is one. */
static void
path_make(char out[PATH_SIZE], const struct config *c, const char *path)
{
	if (snprintf(out, PATH_SIZE, "%s%s%s", c->chroot ? c->chroot : "", c->chroot ? "/" : "", path) >= PATH_SIZE)
		die(EX_CONFIG, "passwords: the path is too long");
}

static int
act_on(const struct act *act, const char *path, const char *as)
{
	char line[PASSWORD_OCTETS + 2];
	struct buf his = { 0 };
	int found;

	name_check(act->user);
	if (!act->remove) {
		random_open();
		ask(line);
		if (auth_verifier(&his, act->user, line, act->iterations) == -1)
			die(EX_OSERR, "out of memory");
		wipe(line, sizeof line);
	}
	if ((found = change(act, path, as, &his)) == -1)
		die(EX_DATAERR, "%s: '%s' is not in it; 'smtpd password' lists all", path, act->user);
	fprintf(stderr, "%s: '%s' %s\n", path, act->user,
	    act->remove ? "is removed" : found > 0 ? "has another password now" : "is added");
	buf_free(&his);
	return 0;
}

int
password(const char *file, int count, char **words)
{
	struct act act = { .file = file, .iterations = ITERATIONS_MIN };
	char path[PATH_SIZE], as[PATH_SIZE];
	const struct server *s;
	struct config *c;
	int status;

	options_take(&act, count, words);
	if ((c = config_load(act.file)) == NULL)
		return EX_CONFIG;
	s = choose(c, act.server);
	path_make(path, c, s->passwords);
	path_make(as, c, s->mailroot);
	status = act.user != NULL ? act_on(&act, path, as) : list(path);
	config_release(c);
	return status;
}
