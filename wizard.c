/*
 * wizard.c - smtpd new-server and smtpd new-domain: questions, and a block in
 * the configuration.
 *
 *	answers -> block -> the file's text with it -> proof -> the file
 *
 * Answers come from the command line first, the rest is asked for.  Each is
 * proved at once: the file as it would be, with something harmless for what is
 * not answered yet, is read by config.c, and what it says of it is what the
 * operator hears.  So nothing is checked here that is checked there, but what
 * the world says of addresses and folders (check.c).  A default is the first
 * of a row that passes.
 *
 * What is true here: all octets of the file stay, and the block is added; what
 * is written is what was proved; the file is replaced by a rename, if it is as
 * it was read; whoever else is at it has made FILE.new, and goes first.
 */
#include "smtpd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_SIZE 600
#define WHY_SIZE    (2 * WORDS_SIZE)
#define DEFAULTS    100		/* tried, until one passes */

enum { NAME, LISTEN, MAILROOT, HOME, SERVER_ANSWERS };	/* of a new server */
enum { OWNER, DOMAIN_NAME, KIND, ROUTE, RELAY, ANSWERS };	/* of a new domain */

struct wizard {
	const char *file;		/* the configuration */
	char *target;			/* the one of its files that is changed */
	bool there;			/* it is, and text is what it has */
	struct buf text;
	size_t at;			/* where the block goes */
	bool domain;			/* else a server */
	bool root;			/* started by him */
	struct config *config;		/* as it is */
	char **words;			/* answers given in advance */
	int count;
	char answer[ANSWERS][ANSWER_SIZE];
	char why[WHY_SIZE];		/* the last one is not right */
};

/* ---- the block -------------------------------------------------------------------- */

static void
add(struct buf *b, const char *text)
{
	if (buf_add(b, text, strlen(text)) == -1)
		die(EX_OSERR, "out of memory");
}

/* A word of the configuration, in quotes where it needs them. */
static void
add_word(struct buf *b, const char *before, const char *word)
{
	bool plain = *word != '\0' && strpbrk(word, " \t\r\n{};\"\\$#") == NULL;

	add(b, before);
	add(b, plain ? "" : "\"");
	for (; *word != '\0'; word++) {
		char two[] = { '\\', *word, '\0' };

		add(b, two + (*word != '"' && *word != '\\'));
	}
	add(b, plain ? "" : "\"");
}

static void
add_server(const struct wizard *w, struct buf *b)
{
	add_word(b, w->text.len > 0 ? "\nserver " : "server ", w->answer[NAME]);
	add_word(b, " {\n    general {\n        listen          ", w->answer[LISTEN]);
	add_word(b, "\n        mailroot        ", w->answer[MAILROOT]);
	add_word(b, "\n    }\n    domain ", w->answer[HOME]);
	add(b, " default\n}\n");
}

static void
add_domain(const struct wizard *w, struct buf *b)
{
	bool hop = text_compare(w->answer[ROUTE], "dns") != 0, relay = strcmp(w->answer[RELAY], "no") != 0;

	add_word(b, "    domain ", w->answer[DOMAIN_NAME]);
	add_word(b, " ", w->answer[KIND]);
	if (hop)
		add_word(b, " { smart-host ", w->answer[ROUTE]);
	if (relay)
		add_word(b, hop ? "; allow-relay " : " { allow-relay ", w->answer[RELAY]);
	add(b, hop || relay ? " }\n" : "\n");
}

/* The file as it would be. */
static void
compose(const struct wizard *w, struct buf *b)
{
	const char *text = w->text.data ? w->text.data : "";

	memset(b, 0, sizeof *b);
	if (!w->there)
		add(b, "# smtpd.conf - see smtpd.conf(5); 'smtpd explain' prints every setting.\n\n");
	if (buf_add(b, text, w->at) == -1)
		die(EX_OSERR, "out of memory");
	if (w->at > 0 && text[w->at - 1] != '\n')
		add(b, "\n");
	if (w->domain)
		add_domain(w, b);
	else
		add_server(w, b);
	if (buf_add(b, text + w->at, w->text.len - w->at) == -1)
		die(EX_OSERR, "out of memory");
}

/* ---- questions ----------------------------------------------------------------------- */

/* What the world says of it, which config.c does not know. */
static bool
possible(struct wizard *w, int i, const struct server *s)
{
	while (s->next != NULL)
		s = s->next;
	if (i == LISTEN)
		return check_listen(&s->listen->addr, w->why, sizeof w->why) == 0;
	if (i == MAILROOT && check_running(s)) {
		snprintf(w->why, sizeof w->why, "mailroot: another smtpd is using '%.400s'", s->mailroot);
		return false;
	}
	return i != MAILROOT || check_mailroot(s, w->why, sizeof w->why) != -1;
}

/* The server that a new domain is for, by its name or number. */
static const struct server *
owner(struct wizard *w, const struct config *c)
{
	const struct server *s;
	char safe[200];
	long n = 0;

	for (s = c->servers; s != NULL; s = s->next)
		if (strcmp(s->name, w->answer[OWNER]) == 0)
			return s;
	for (s = c->servers; s != NULL; s = s->next)
		if (strtol(w->answer[OWNER], NULL, 10) == ++n)
			return s;
	snprintf(w->why, sizeof w->why, "no server is called '%s', and there are %ld",
	    text_safe(safe, sizeof safe, w->answer[OWNER], strlen(w->answer[OWNER])), n);
	return NULL;
}

static bool
printable(struct wizard *w, const char *text)
{
	for (; *text != '\0'; text++)
		if ((*text > 0 && *text < ' ') || *text == 127) {
			snprintf(w->why, sizeof w->why, "there is a character in it that cannot be printed");
			return false;
		}
	return true;
}

/* Is the i-th answer right, after those before it? */
static bool
right(struct wizard *w, int i)
{
	struct config *c;
	struct buf b;
	bool yes;

	if (!printable(w, w->answer[i]) || (w->domain && i == OWNER))
		return w->domain && i == OWNER && owner(w, w->config) != NULL;
	compose(w, &b);
	snprintf(w->why, sizeof w->why, "the configuration cannot be read");
	c = config_try(w->file, w->target, &b, w->why, sizeof w->why);
	buf_free(&b);
	yes = c != NULL && (w->domain || possible(w, i, c->servers));
	if (c != NULL)
		config_release(c);
	return yes;
}

/* A line from the operator, without its end. */
static void
ask(const char *question, const char *preset, char line[ANSWER_SIZE])
{
	char rest[ANSWER_SIZE];

	fprintf(stderr, *preset ? "%s [%s]: " : "%s: ", question, preset);
	if (fgets(line, ANSWER_SIZE, stdin) == NULL) {
		fputs("\n", stderr);
		die(1, "no answer, and nothing was written");
	}
	if (strchr(line, '\n') == NULL)
		while (fgets(rest, sizeof rest, stdin) != NULL && strchr(rest, '\n') == NULL)
			;		/* far too long: it will not be right */
	line[strcspn(line, "\r\n")] = '\0';
}

/* The i-th answer, from the command line or else asked for until it is right.
 * An empty one means the default: first or, as often as that is not right, more
 * with a number, which begins at base + 2; NULL: there is no more. */
static void
answer(struct wizard *w, int i, const char *question, const char *first, const char *more, int base)
{
	char preset[ANSWER_SIZE], *line = w->answer[i];
	bool given = w->count > 0;

	snprintf(line, ANSWER_SIZE, "%s", first);
	for (int n = 2; more != NULL && n < DEFAULTS && !right(w, i); n++)
		snprintf(line, ANSWER_SIZE, "%s%d", more, base + n);
	memcpy(preset, line, sizeof preset);
	do {
		if (given)
			snprintf(line, ANSWER_SIZE, "%s", *w->words++);
		else
			ask(question, preset, line);
		if (*line == '\0')
			memcpy(line, preset, sizeof preset);
		if (right(w, i)) {
			w->count -= given;
			return;
		}
		if (given)
			die(EX_DATAERR, "%s", w->why);
		log_line("%s", w->why);
	} while (true);
}

/* ---- the file --------------------------------------------------------------------------- */

/* Is it as it was read? */
static bool
unchanged(const struct wizard *w)
{
	struct buf b = { 0 };
	bool there = access(w->target, F_OK) == 0, same = there == w->there;

	if (same && there)
		same = disk_text(w->target, &b, CONFIG_OCTETS) == NULL && b.len == w->text.len &&
		    (b.len == 0 || memcmp(b.data, w->text.data, b.len) == 0);
	buf_free(&b);
	return same;
}

static void
replace(const struct wizard *w, const struct buf *b)
{
	struct rewrite r;
	bool same;

	if (rewrite_begin(&r, w->target) == -1)
		die(EX_CANTCREAT, "%s: %s%s", r.temp, strerror(errno), errno == EEXIST ? REWRITE_BUSY : "");
	same = unchanged(w);
	if (rewrite_end(&r, same ? b : NULL, 0644, NULL) == -1)
		die(EX_CANTCREAT, "%s: %s", w->target, strerror(errno));
	if (!same)
		die(EX_TEMPFAIL, "%s: has been changed meanwhile, and stays as it is: begin again", w->target);
}

static void
put(struct wizard *w)
{
	struct buf b;

	if (w->count > 0)
		die(EX_USAGE, "'%s' is one word too many", *w->words);
	compose(w, &b);
	replace(w, &b);
	buf_free(&b);
}

/* Read the file that will be changed, and all of them with it. */
static void
take(struct wizard *w, const char *target)
{
	const char *why;

	w->root = geteuid() == 0;
	w->target = text_copy(target);
	w->there = access(target, F_OK) == 0 || errno != ENOENT;
	if (w->there && (why = disk_text(target, &w->text, CONFIG_OCTETS)) != NULL)
		die(EX_CONFIG, "%s: %s", target, why);
	w->at = w->text.len;
	w->config = config_try(w->file, w->target, &w->text, w->why, sizeof w->why);
	if (w->config != NULL)
		return;
	w->config = config_load(w->file);	/* which tells all mistakes */
	die(EX_CONFIG, "the configuration is wrong, and nothing was written");
}

static void
done(struct wizard *w)
{
	printf("A running server takes it up by: smtpd -f %s reload\n", w->file);
	printf("One is started by: smtpd -f %s%s\n", w->file, w->root && w->config->user == NULL ? " -u USER" : "");
	config_release(w->config);
	buf_free(&w->text);
	free(w->target);
}

/* ---- the two ------------------------------------------------------------------------------- */

/* They are his who will serve. */
static struct spool *
folders_open(const struct server *s, char *why, size_t size)
{
	if (geteuid() == 0) {
		process_folder(s->mailroot);
		process_become();
	}
	return spool_open(s, why, size);
}

/* Is it not known yet who that is? */
static bool
unsaid(const struct config *c)
{
	config_identify(c);
	return process_unsaid();
}

static int
folders_make(const struct wizard *w)
{
	struct config *c = config_load(w->file);
	const struct server *s = c ? c->servers : NULL;
	struct spool *sp = NULL;
	char why[WHY_SIZE] = "it cannot be read back";
	bool later;

	while (s != NULL && strcmp(s->name, w->answer[NAME]) != 0)
		s = s->next;
	later = s != NULL && unsaid(c);
	if (later)
		printf("%s: server \"%s\" is in it now; its folders are made at the start.\n", w->target, s->name);
	else if (s != NULL && (sp = folders_open(s, why, sizeof why)) != NULL)
		printf("%s: server \"%s\" is in it now; its folders are in %s.\n", w->target, s->name, s->mailroot);
	else
		log_line("%s: server \"%s\" is in it now, but %s", w->target, w->answer[NAME], why);
	spool_close(sp);
	if (c != NULL)
		config_release(c);
	return sp != NULL || later ? 0 : EX_CANTCREAT;
}

int
wizard_server(const char *file, int count, char **words)
{
	struct wizard w = { .file = file ? file : "smtpd.conf", .words = words, .count = count };
	char host[CONFIG_HOST];
	int status;

	random_open();
	take(&w, w.file);
	memcpy(w.answer[LISTEN], "127.0.0.1:0", 12);	/* until they are answered */
	memcpy(w.answer[MAILROOT], "/dev/null/none", 15);
	memcpy(w.answer[HOME], "localhost", 10);
	answer(&w, NAME, "Name of the virtual server", "Default SMTP Virtual Server", "SMTP Virtual Server #", 0);
	answer(&w, LISTEN, "Address and port to listen on", "127.0.0.1:2525", "127.0.0.1:", 2524);
	answer(&w, MAILROOT, "Home directory, of its folders", "mailroot", "mailroot", 0);
	answer(&w, HOME, "Default domain", config_host(host), NULL, 0);
	put(&w);
	status = folders_make(&w);
	done(&w);
	return status;
}

/* Behind the last domain, before the line of the brace that closes the block. */
static void
domain_place(struct wizard *w, const struct server *s)
{
	size_t line = w->at = s->end - 1;

	while (line > 0 && (w->text.data[line - 1] == ' ' || w->text.data[line - 1] == '\t'))
		line--;
	if (line > 0 && w->text.data[line - 1] == '\n')
		w->at = line;
}

/* Which server it is for, and so in which file. */
static void
choose(struct wizard *w)
{
	struct config *c = config_load(w->file);
	int n = 0;

	if (c == NULL)
		die(EX_CONFIG, "the configuration is wrong, and nothing was written");
	w->config = c;
	for (const struct server *s = c->servers; s != NULL && w->count == 0 && c->servers->next != NULL; s = s->next)
		fprintf(stderr, "%4d  %s\n", ++n, s->name);
	if (n > 0 || w->count > 0)
		answer(w, OWNER, "For which server", c->servers->name, NULL, 0);
	else
		snprintf(w->answer[OWNER], ANSWER_SIZE, "%s", c->servers->name);
	snprintf(w->answer[OWNER], ANSWER_SIZE, "%s", owner(w, c)->name);
	take(w, owner(w, c)->place.file);
	config_release(c);
	domain_place(w, owner(w, w->config));
}

int
wizard_domain(const char *file, int count, char **words)
{
	struct wizard w = { .file = file ? file : "smtpd.conf", .words = words, .count = count, .domain = true };
	char question[ANSWER_SIZE + 40], safe[ANSWER_SIZE];

	choose(&w);
	snprintf(question, sizeof question, "Name of the domain, for server \"%s\"",
	    text_safe(safe, sizeof safe, w.answer[OWNER], strlen(w.answer[OWNER])));
	memcpy(w.answer[KIND], "remote", 7);		/* until they are answered */
	memcpy(w.answer[ROUTE], "dns", 4);
	memcpy(w.answer[RELAY], "no", 3);
	answer(&w, DOMAIN_NAME, question, "", NULL, 0);
	answer(&w, KIND, "Kind, alias or remote", w.answer[DOMAIN_NAME][0] == '*' ? "remote" : "alias", NULL, 0);
	if (strcmp(w.answer[KIND], "remote") == 0) {
		answer(&w, ROUTE, "Smart host, or dns for its MX", "dns", NULL, 0);
		answer(&w, RELAY, "May anybody relay to it, yes or no", "no", NULL, 0);
	}
	put(&w);
	printf("%s: domain %s is in it now, for server \"%s\".\n", w.target, w.answer[DOMAIN_NAME], w.answer[OWNER]);
	done(&w);
	return 0;
}
