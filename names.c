/*
 * names.c - who lives here, as the operator's files say.
 *
 *	recipients FILE   a name a line; nobody else exists
 *	aliases FILE      NAME: MEMBER, MEMBER ...; further lines begin with a blank
 *
 * A name is a local part, which holds in all our domains, or a whole address.
 * They compare case-blind.  A member that is an alias stands for its own
 * members in turn; one that is the name itself is the mailbox behind the alias.
 *
 * A file stays in memory as it was read, cut into words; what is sorted are
 * pointers into it.  Mistakes are reported with file and line.
 */
#include "smtpd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_OCTETS (64 << 20)	/* of a file */
#define DEPTH_MAX    20		/* of aliases in aliases */
#define SHOWN        100	/* mistakes of one file */

static const char blanks[] = " \t\r";

/* What is being read. */
struct reader {
	struct names *names;
	const struct domain *domains;
	const char *file;
	int line, errors;
	size_t room, member_room;
};

static void
wrong(struct reader *r, int line, const char *format, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (++r->errors <= SHOWN)
		log_line("%s:%d: %s", r->file, line, text);
}

/* The whole file, with a NUL behind it; NULL when it cannot be read. */
static char *
file_text(struct reader *r, const struct place *said)
{
	struct buf b = { 0 };
	const char *why = disk_text(r->file, &b, NAMES_OCTETS);

	if (why == NULL && b.len > 0 && memchr(b.data, '\0', b.len) != NULL)
		why = "this is no text file";
	if (why == NULL && buf_add(&b, "\n", 1) == 0)
		return b.data;
	log_line("%s:%d: %s: %s", said->file, said->line, r->file, why ? why : "is too large");
	r->errors++;
	buf_free(&b);
	return NULL;
}

/* Cut off blanks at both ends. */
static char *
trimmed(char *word)
{
	size_t n;

	word += strspn(word, blanks);
	for (n = strlen(word); n > 0 && strchr(blanks, word[n - 1]) != NULL; n--)
		;
	word[n] = '\0';
	return word;
}

/* The next line that says something, its comment cut off; NULL at the end.
 * *joined: it begins with a blank. */
static char *
line_next(struct reader *r, char **at, bool *joined)
{
	char *line, *c;

	while (*(line = *at) != '\0') {
		*at += strcspn(*at, "\n");
		*(*at)++ = '\0';
		r->line++;
		for (c = line; (c = strchr(c, '#')) != NULL; c++)
			if (c == line || strchr(blanks, c[-1]) != NULL) {
				*c = '\0';
				break;
			}
		*joined = *line == ' ' || *line == '\t';
		if (*(line = trimmed(line)) != '\0')
			return line;
	}
	return NULL;
}

/* ---- tables ------------------------------------------------------------------------ */

/* Both begin with the name. */
static int
by_name(const void *a, const void *b)
{
	return text_compare(*(const char *const *)a, *(const char *const *)b);
}

/* The second of a name is the mistake; qsort alone keeps no order of equals. */
static int
by_name_and_line(const void *a, const void *b)
{
	int order = by_name(a, b);

	return order != 0 ? order : ((const struct alias *)a)->line - ((const struct alias *)b)->line;
}

/* By the whole address, then by its local part. */
static void *
find(const void *table, size_t count, size_t each, const char *address)
{
	const char *at = strrchr(address, '@');
	char local[PATH_OCTETS + 1], *name = local;
	void *found = NULL;

	if (count > 0)
		found = bsearch(&address, table, count, each, by_name);
	if (found != NULL || count == 0 || at == NULL || at - address > PATH_OCTETS)
		return found;
	memcpy(local, address, (size_t)(at - address));
	local[at - address] = '\0';
	return bsearch(&name, table, count, each, by_name);
}

const char *
names_find(const struct names *n, const char *address)
{
	const struct listed *found = n ? find(n->who, n->count, sizeof *n->who, address) : NULL;

	return found ? found->text : NULL;
}

const struct alias *
names_alias(const struct names *n, const char *address)
{
	return find(n->aliases, n->alias_count, sizeof *n->aliases, address);
}

/* ---- recipients --------------------------------------------------------------------- */

static bool
name_valid(const char *name)
{
	struct path p;

	return path_parse(&p, name) == 0 && p.text[0] != '\0' && strpbrk(name, "<>\"") == NULL;
}

/* A bare name is; else its domain says so.  None of ours is a wildcard. */
static bool
ours(const struct domain *d, const char *address)
{
	const char *at = strrchr(address, '@');

	while (at != NULL && d != NULL && (d->kind == DOMAIN_REMOTE || text_compare(d->name, at + 1) != 0))
		d = d->next;
	return d != NULL;
}

/* Harmless as the name of a folder? */
static bool
names_plain(const char *name, size_t n)
{
	size_t i = 0;

	while (i < n && strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", text_lower((unsigned char)name[i])) != NULL)
		i++;
	return n > 0 && i == n && n <= NAME_PLAIN && name[0] != '.';
}

/* folders: each is to be the name of a folder. */
static void
recipients_take(struct reader *r, char *text, bool folders)
{
	struct names *n = r->names;
	struct listed *more;
	bool joined;
	char *word;

	while ((word = line_next(r, &text, &joined)) != NULL) {
		if (!name_valid(word))
			wrong(r, r->line, "'%s' is no name and no address; write one a line", text_shown(word));
		else if (!ours(r->domains, word))
			wrong(r, r->line, "'%s' is in none of our domains", text_shown(word));
		else if (folders && !names_plain(word, strcspn(word, "@")))
			wrong(r, r->line, "'%s' cannot have a folder of its own: it wants letters, digits, . _ and -", text_shown(word));
		if ((more = grow(n->who, &r->room, n->count, sizeof *more)) == NULL) {
			wrong(r, r->line, "out of memory");
			return;
		}
		n->who = more;
		n->who[n->count++] = (struct listed){ word, r->line };
	}
	if (n->count > 0)
		qsort(n->who, n->count, sizeof *n->who, by_name);
}

/* ---- aliases --------------------------------------------------------------------------- */

static void
member_take(struct reader *r, char *word)
{
	struct names *n = r->names;
	struct member *more;

	n->aliases[n->alias_count - 1].state = ALIAS_KNOWN;	/* if there is a mistake: then it is measured no more */
	if (strchr(word, '|') != NULL || word[0] == '/' || word[0] == ':' || word[0] == '"') {
		wrong(r, r->line, "'%s': an alias stands for names and addresses only, not for a program, a file or a list in one", text_shown(word));
		return;
	}
	if (!name_valid(word)) {
		wrong(r, r->line, "'%s' is no name and no address", text_shown(word));
		return;
	}
	n->aliases[n->alias_count - 1].state = ALIAS_NEW;
	if ((more = grow(n->members, &r->member_room, n->member_count, sizeof *more)) == NULL) {
		wrong(r, r->line, "out of memory");
		return;
	}
	n->members = more;
	n->members[n->member_count++] = (struct member){ word, NULL, r->line };
	n->aliases[n->alias_count - 1].count++;
}

static void
members_take(struct reader *r, char *text)
{
	char *word, *end;

	for (; text != NULL; text = end) {
		if ((end = strchr(text, ',')) != NULL)
			*end++ = '\0';
		if (*(word = trimmed(text)) != '\0')
			member_take(r, word);
	}
}

/* A line "NAME: ...": what follows the colon, or NULL. */
static char *
alias_begin(struct reader *r, char *line)
{
	struct names *n = r->names;
	char *colon = strchr(line, ':');
	struct alias *more;

	if (colon == NULL) {
		wrong(r, r->line, "'%s' has no colon; write NAME: MEMBER, MEMBER", text_shown(line));
		return NULL;
	}
	*colon = '\0';
	line = trimmed(line);
	if (!name_valid(line))
		wrong(r, r->line, "'%s' is no name and no address", text_shown(line));
	else if (!ours(r->domains, line))
		wrong(r, r->line, "'%s' is in none of our domains", text_shown(line));
	if ((more = grow(n->aliases, &r->room, n->alias_count, sizeof *more)) == NULL) {
		wrong(r, r->line, "out of memory");
		return NULL;
	}
	n->aliases = more;
	n->aliases[n->alias_count++] = (struct alias){ .name = line, .line = r->line, .first = n->member_count };
	return colon + 1;
}

static void
aliases_take(struct reader *r, char *text)
{
	struct names *n = r->names;
	bool joined;
	char *line;

	while ((line = line_next(r, &text, &joined)) != NULL)
		if (!joined)
			members_take(r, alias_begin(r, line));
		else if (n->alias_count > 0)
			members_take(r, line);
		else
			wrong(r, r->line, "a line that begins with a blank goes on with an alias, and there is none yet");
	for (size_t i = 0; i < n->alias_count; i++)
		if (n->aliases[i].count == 0 && n->aliases[i].state == ALIAS_NEW)
			wrong(r, n->aliases[i].line, "'%s' stands for nobody", text_shown(n->aliases[i].name));
	if (n->alias_count > 0)
		qsort(n->aliases, n->alias_count, sizeof *n->aliases, by_name_and_line);
	for (size_t i = 1; i < n->alias_count; i++)
		if (text_compare(n->aliases[i - 1].name, n->aliases[i].name) == 0)
			wrong(r, n->aliases[i].line, "'%s' is an alias already, on line %d", text_shown(n->aliases[i].name), n->aliases[i - 1].line);
}

/* For how many it stands; those in aliases it stands for included. */
static long
alias_measure(struct reader *r, struct alias *a, int depth)
{
	struct names *n = r->names;
	long sum = 0;

	if (a->state == ALIAS_KNOWN)
		return a->total;
	if (a->state == ALIAS_OPEN || depth > DEPTH_MAX) {
		wrong(r, a->line, a->state == ALIAS_OPEN ? "'%s' comes back to itself" : "'%s' stands in too many aliases", text_shown(a->name));
		a->state = ALIAS_KNOWN;
		return 0;
	}
	a->state = ALIAS_OPEN;
	for (size_t i = a->first; i < a->first + a->count && sum <= MEMBERS_MAX; i++)
		sum += n->members[i].alias ? alias_measure(r, n->members[i].alias, depth + 1) : 1;
	if (sum > MEMBERS_MAX)
		wrong(r, a->line, "'%s' stands for more than %d recipients", text_shown(a->name), MEMBERS_MAX);
	a->state = ALIAS_KNOWN;
	a->total = sum;
	return sum;
}

/* Which members in our domains are aliases, and do the others exist? */
static void
members_link(struct reader *r)
{
	struct names *n = r->names;

	for (size_t i = 0; i < n->alias_count; i++) {
		struct alias *a = &n->aliases[i];

		for (size_t j = a->first; j < a->first + a->count; j++) {
			struct member *m = &n->members[j];

			if (!ours(r->domains, m->text))
				continue;
			m->alias = (struct alias *)(uintptr_t)names_alias(n, m->text);
			if (m->alias == a)
				m->alias = NULL;
			if (m->alias == NULL && n->listed && !names_find(n, m->text) && !names_postmaster(m->text))
				wrong(r, m->line, "'%s' is neither a recipient nor an alias", text_shown(m->text));
		}
	}
	for (size_t i = 0; i < n->alias_count; i++)
		alias_measure(r, &n->aliases[i], 0);
}

bool
names_postmaster(const char *address)
{
	return text_prefix(address, "postmaster") && (address[10] == '\0' || address[10] == '@');
}

/* ---- both files --------------------------------------------------------------------------- */

struct names *
names_read(const struct domain *d, const struct domain *domains, bool folders, const struct place *const said[2], int *errors)
{
	struct names *n = memory(NULL, sizeof *n);
	struct reader r = { .names = n, .domains = domains, .file = d->recipients };
	struct reader s = { .names = n, .domains = domains, .file = d->aliases };

	if (n == NULL) {
		log_line("%s: out of memory", d->recipients ? d->recipients : d->aliases);
		++*errors;
		return NULL;
	}
	memset(n, 0, sizeof *n);
	n->listed = d->recipients != NULL;
	if (d->recipients != NULL && (n->text[0] = file_text(&r, said[0])) != NULL)
		recipients_take(&r, n->text[0], folders);
	if (d->aliases != NULL && (n->text[1] = file_text(&s, said[1])) != NULL)
		aliases_take(&s, n->text[1]);
	members_link(&s);
	*errors += r.errors + s.errors;
	return n;
}

void
names_free(struct names *n)
{
	if (n == NULL)
		return;
	free(n->text[0]);
	free(n->text[1]);
	free(n->who);
	free(n->aliases);
	free(n->members);
	free(n);
}
