/*
 * config.c - what the operator wrote, checked, and never changed afterwards.
 *
 * The table of directives (settings.c) drives it:
 *
 *	text -> words (lex) -> statements (directive) -> values (value.c)
 *	     -> what must hold between them (check_server)
 *
 * Every mistake is reported, and a configuration with one is not used.  All
 * that hangs on a configuration is freed with it.
 */
#include "smtpd.h"

#include <sys/stat.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX     512	/* on a line */
#define FILES_MAX     64	/* read for one configuration */
#define DEPTH_MAX     8		/* of blocks in blocks; three are of use */

static const char embedded[] =
	"server \"Default SMTP Virtual Server\" {\n"
	"    general { listen 127.0.0.1:2525; mailroot mailroot }\n"
	"    domain %s default { drop Drop }\n"
	"%s"
	"}\n";

/* ---- its life ------------------------------------------------------------------- */

void
config_hold(struct config *c)
{
	c->holds++;
}

void
config_release(struct config *c)
{
	if (--c->holds > 0)
		return;
	for (const struct server *s = c->servers; s != NULL; s = s->next) {
		for (const struct domain *d = s->domains; d != NULL; d = d->next)
			names_free(d->names);
		tls_context_free(s->tls);
		tls_context_free(s->tls_client);
		tls_context_free(s->ldap.tls);
	}
	keep_free(c);
	free(c);
}

/* ---- words --------------------------------------------------------------------- */

enum lexeme { L_END, L_NEWLINE, L_OPEN, L_CLOSE, L_WORD };

struct parser {
	struct reading r;
	const char *text, *at, *end;
	int row;			/* of the cursor; r.place is where the statement began */
	int depth;			/* of open blocks */
	struct server *server;		/* the block we are in, or NULL */
	struct domain *domain;
	char *words[WORDS_MAX];
	int count;
	const char *instead;		/* the file for which this text is read: config_try */
	const struct buf *with;
};

static char *
quoted_word(struct parser *p)
{
	const char *end = p->at + 1;
	char *word;
	size_t n = 0;

	while (end < p->end && *end != '"' && *end != '\n')
		end += *end == '\\' && end + 1 < p->end && end[1] != '\n' ? 2 : 1;
	word = keep(p->r.config, (size_t)(end - p->at));
	for (p->at++; p->at < end; p->at++) {
		if (*p->at == '\\' && (p->at[1] == '"' || p->at[1] == '\\'))
			p->at++;
		word[n++] = *p->at;
	}
	if (p->at < p->end && *p->at == '"')
		p->at++;
	else
		complain_at(&p->r, &(struct place){ p->r.place.file, p->row }, "missing closing quote");
	return word;
}

/* $NAME as a whole word is the environment's. */
static char *
plain_word(struct parser *p)
{
	const char *from = p->at, *value;
	char *word;

	while (p->at < p->end && *p->at != '\0' && strchr(" \t\r\n{};\"", *p->at) == NULL)
		p->at++;
	word = keep(p->r.config, (size_t)(p->at - from) + 1);
	memcpy(word, from, (size_t)(p->at - from));
	if (*word != '$' || word[1] == '\0')
		return word;
	if ((value = getenv(word + 1)) != NULL)
		return keep_text(p->r.config, value);
	complain_at(&p->r, &(struct place){ p->r.place.file, p->row }, "%s is not set in the environment", text_shown(word));
	return word;
}

static enum lexeme
lex(struct parser *p, char **word)
{
	char c;

	while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\r'))
		p->at++;
	if (p->at < p->end && *p->at == '#')
		while (p->at < p->end && *p->at != '\n')
			p->at++;
	if (p->at >= p->end)
		return L_END;
	c = *p->at;
	if (c == '"') {
		*word = quoted_word(p);
		return L_WORD;
	}
	if (strchr("\n;{}", c) == NULL) {
		*word = plain_word(p);
		return L_WORD;
	}
	p->at++;
	p->row += c == '\n';
	return c == '{' ? L_OPEN : c == '}' ? L_CLOSE : L_NEWLINE;
}

/* Gather a statement into p->words.  A '}' right behind it is left to be read
 * next. */
static enum lexeme
statement(struct parser *p)
{
	enum lexeme l;
	char *word;

	p->count = 0;
	p->r.place.line = p->row;
	while ((l = lex(p, &word)) == L_WORD || (l == L_NEWLINE && p->count == 0)) {
		if (p->count == 0)
			p->r.place.line = p->row;
		if (l == L_WORD && p->count++ < WORDS_MAX)
			p->words[p->count - 1] = word;
	}
	if (p->count > WORDS_MAX) {
		complain(&p->r, "more than %d words; repeat the directive", WORDS_MAX);
		p->count = WORDS_MAX;
	}
	if (l == L_CLOSE && p->count > 0) {
		p->at--;
		return L_NEWLINE;
	}
	if (l != L_NEWLINE && p->count == 0)
		p->r.place.line = p->row;
	return l;
}

/* ---- statements ---------------------------------------------------------------------- */

static void
unknown(struct parser *p, enum block block, const char *name)
{
	const char *near = setting_nearest(block, name);

	for (size_t i = 0; i < settings_count; i++)
		if (strcmp(settings[i].name, name) == 0) {
			complain(&p->r, "'%s' belongs in %s, not in %s", name,
			    block_name[settings[i].block], block_name[block]);
			return;
		}
	if (near != NULL)
		complain(&p->r, "unknown directive '%s' in %s; did you mean '%s'?",
		    text_shown(name), block_name[block], near);
	else
		complain(&p->r, "unknown directive '%s' in %s", text_shown(name), block_name[block]);
}

static void
directive(struct parser *p, enum block block)
{
	char *base = block == TOP ? (char *)p->r.config : block == DOMAIN ? (char *)p->domain : (char *)p->server;
	struct place *said;
	const struct setting *s;
	size_t i;

	for (i = 0; i < settings_count; i++)
		if (settings[i].block == block && strcmp(settings[i].name, p->words[0]) == 0)
			break;
	if (i == settings_count) {
		unknown(p, block, p->words[0]);
		return;
	}
	s = &settings[i];
	if (s->kind == LATER) {
		complain(&p->r, "'%s' is not in this build yet", s->name);
		return;
	}
	said = block == TOP ? p->r.config->said : block == DOMAIN ? p->domain->said : p->server->said;
	if (said[i].line != 0 && !value_adds(s)) {
		complain(&p->r, "%s: already set on line %d", s->name, said[i].line);
		return;
	}
	said[i] = p->r.place;
	value_set(&p->r, s, p->words + 1, p->count - 1, base);
}

static void block_body(struct parser *p, enum block block, int opened);
static void file_read(struct parser *p, const char *file);

static void
open_domain(struct parser *p, bool braces)
{
	struct domain *d = keep(p->r.config, sizeof *d), **to;
	int kind = 0, line = p->r.place.line;

	if (p->count != 3)
		complain(&p->r, "domain: wants a name and one of: default alias remote");
	else
		value_word(&p->r, "domain", "default alias remote", p->words[2], &kind);
	d->name = p->count > 1 ? p->words[1] : keep_text(p->r.config, "");
	d->kind = (enum domain_kind)kind;
	d->place = p->r.place;
	d->said = keep(p->r.config, settings_count * sizeof *d->said);
	p->domain = d;
	value_presets(&p->r, DOMAIN, DOMAIN, (char *)d);
	for (to = &p->server->domains; *to != NULL; to = &(*to)->next)
		;
	*to = d;
	if (braces)
		block_body(p, DOMAIN, line);
	p->domain = NULL;
}

static void
open_server(struct parser *p)
{
	struct server *s = keep(p->r.config, sizeof *s), **to;
	int line = p->r.place.line;

	if (p->count != 2)
		complain(&p->r, "server: wants one name, in quotes if it has spaces");
	s->name = p->count > 1 ? p->words[1] : keep_text(p->r.config, "");
	s->place = p->r.place;
	s->config = p->r.config;
	s->said = keep(p->r.config, settings_count * sizeof *s->said);
	value_presets(&p->r, GENERAL, SECURITY, (char *)s);
	for (to = &p->r.config->servers; *to != NULL; to = &(*to)->next)
		;
	*to = s;
	p->server = s;
	block_body(p, SERVER, line);
	s->end = (size_t)(p->at - p->text);
	p->server = NULL;
}

/* A statement that opens a block, words before the brace in p->words. */
static void
open_block(struct parser *p, enum block in)
{
	enum block b = GENERAL;
	int line = p->r.place.line;

	if (in == TOP && p->count > 0 && strcmp(p->words[0], "server") == 0) {
		open_server(p);
		return;
	}
	if (in == SERVER && p->count > 0 && strcmp(p->words[0], "domain") == 0) {
		open_domain(p, true);
		return;
	}
	while (b <= SECURITY && (p->count == 0 || strcmp(block_name[b], p->words[0]) != 0))
		b++;
	if (in != SERVER || b > SECURITY || p->count != 1) {
		complain(&p->r, "'%s' opens no block in %s; expected %s",
		    p->count ? text_shown(p->words[0]) : "{", block_name[in], in == TOP ? "server NAME {" :
		    in == SERVER ? "general, access, messages, delivery, ldap-routing, security or domain" : "}");
		if (b > SECURITY || p->server == NULL)
			b = in;		/* read on as if it were the block around it */
	}
	block_body(p, b, line);
}

static void
open_include(struct parser *p)
{
	if (p->count != 2)
		complain(&p->r, "include: wants one file");
	else
		file_read(p, p->words[1]);
}

static void
one_statement(struct parser *p, enum block block)
{
	if (block == TOP && strcmp(p->words[0], "include") == 0)
		open_include(p);
	else if (block == SERVER && strcmp(p->words[0], "domain") == 0)
		open_domain(p, false);
	else if (block == SERVER)
		complain(&p->r, "'%s' is not in a block; expected general, access, messages, "
		    "delivery, ldap-routing, security or domain", text_shown(p->words[0]));
	else if (block == TOP && strcmp(p->words[0], "server") == 0)
		complain(&p->r, "server: wants a name and a block: server NAME { ... }");
	else
		directive(p, block);
}

static void
block_body(struct parser *p, enum block block, int opened)
{
	enum lexeme l;

	if (++p->depth > DEPTH_MAX) {
		complain(&p->r, "blocks in blocks in blocks; the rest is not read");
		p->at = p->end;
	}
	while ((l = statement(p)) != L_END && (l != L_CLOSE || p->depth == 1)) {
		if (l == L_OPEN)
			open_block(p, block);
		else if (l == L_CLOSE)
			complain(&p->r, "'}' closes nothing");
		else
			one_statement(p, block);
	}
	if (l == L_END && p->count > 0)
		one_statement(p, block);
	if (l == L_END && p->depth > 1)
		complain(&p->r, "end of file inside the %s block opened on line %d",
		    block_name[block], opened);
	p->depth--;
}

/* ---- files ------------------------------------------------------------------------------ */

static void
text_read(struct parser *p, const char *name, const char *text, size_t n)
{
	struct parser inner = *p;

	inner.r.place.file = keep_text(p->r.config, name);
	inner.text = inner.at = text;
	inner.end = text + n;
	inner.row = inner.r.place.line = 1;
	inner.depth = 0;
	if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
		inner.at += 3;		/* editors of another world begin with it */
	if (memchr(text, '\0', n) != NULL)
		complain(&inner.r, "this is no text file");
	else
		block_body(&inner, TOP, 0);
}

/* Read a file, at top level; r.place.file is the one that asks for it, or NULL. */
static void
file_read(struct parser *p, const char *file)
{
	struct buf read = { 0 };
	const struct buf *text = &read;
	const char *why = NULL;

	if (++p->r.config->files > FILES_MAX)
		why = "is one file too many; does it include itself?";
	else if (p->instead != NULL && strcmp(file, p->instead) == 0)
		text = p->with;
	else
		why = disk_text(file, &read, CONFIG_OCTETS);
	if (why == NULL)
		text_read(p, file, text->data ? text->data : "", text->len);
	else if (p->r.place.file != NULL || p->r.why != NULL)
		complain(&p->r, "%s: %s", text_shown(file), why);
	else {
		log_line("%s: %s", text_shown(file), why);
		p->r.config->errors++;
	}
	buf_free(&read);
}

char *
config_host(char out[CONFIG_HOST])
{
	if (gethostname(out, CONFIG_HOST - 1) == -1)
		out[0] = '\0';
	out[CONFIG_HOST - 1] = '\0';
	if (!domain_valid(out, strlen(out)))
		memcpy(out, "localhost", 10);
	return out;
}

static void
embedded_read(struct parser *p)
{
	char host[CONFIG_HOST], text[sizeof embedded + CONFIG_HOST + 80];
	int n;

	config_host(host);
	n = snprintf(text, sizeof text, embedded, host,
	    text_compare(host, "localhost") == 0 ? "" : "    domain localhost alias\n");
	text_read(p, "built-in", text, (size_t)n);
}

/* ---- what must hold between settings ------------------------------------------------------ */

const struct place *
server_place(const struct server *s, enum block block, const char *name)
{
	if (block == DOMAIN)
		return value_said(s->home->said, block, name, &s->home->place);
	return value_said(s->said, block, name, &s->place);
}

static bool
addr_clash(const struct addr *a, const struct addr *b)
{
	return a->port == b->port && a->port != 0 && a->family == b->family &&
	    (addr_same(a, b) || addr_any(a) || addr_any(b));
}

static void
check_listeners(struct reading *r, const struct server *s, const struct listen *l)
{
	char text[ADDR_TEXT + 8];

	for (const struct server *t = r->config->servers; t != NULL; t = t->next)
		for (const struct listen *m = t->listen; m != NULL; m = m->next) {
			if (m == l)
				return;		/* each pair once */
			if (addr_clash(&l->addr, &m->addr))
				complain_at(r, &l->place, "\"%s\" cannot listen on %s: %s:%d does already",
				    text_shown(s->name), addr_text_port(&l->addr, text), m->place.file, m->place.line);
		}
}

/* What is wanted where nothing is said: who is told our password is to be the one
 * it is for, and anything less has to be written. */
static int
tls_inherited(const struct server *s, const struct account *a)
{
	return tls_built && a != NULL && value_said(s->said, DELIVERY, "tls", NULL) == NULL ? TLS_VERIFIED : s->tls_policy;
}

/* What is wanted of TLS; inherited where nothing is said. */
static void
check_tls_policy(struct reading *r, const struct place *said, enum block block, int *policy, int inherited)
{
	const struct place *at = value_said(said, block, "tls", NULL);

	if (at == NULL)
		*policy = inherited;
	else if (!tls_built && *policy != TLS_OFF)
		complain_at(r, at, "tls: this program was built without OpenSSL, so it can only be 'off'; see README");
}

/* What cannot be said, or be spoken to, without OpenSSL. */
static void
check_without_tls(struct reading *r, const struct account *a, const struct hop *h, const struct place *hops, int policy)
{
	if (tls_built || policy == TLS_OFF)
		return;
	if (a != NULL && a->file != NULL && !(a->mechanisms & MECH_SCRAM))
		complain_at(r, &a->place, "authenticate: this program was built without OpenSSL, so a password can only be said in clear: "
		    "say 'tls off' if that is meant, or allow scram-sha-256");
	for (; h != NULL; h = h->next)
		if (h->addr.port == TLS_PORT)
			complain_at(r, hops, "smart-host: this program was built without OpenSSL, and on port %d TLS comes first; see README", TLS_PORT);
}

/* What a row says of where its mail goes has no effect when that is the server's
 * smart host. */
static void
check_used(struct reading *r, const struct server *s, const struct domain *d)
{
	static const char *const about[] = { "helo-only", "tls", "authenticate" };
	const struct place *at;

	if (d->kind != DOMAIN_REMOTE || d->hold || d->smart_host != NULL || s->smart_host == NULL || s->direct_first)
		return;
	for (size_t i = 0; i < sizeof about / sizeof *about; i++)
		if ((at = value_said(d->said, DOMAIN, about[i], NULL)) != NULL)
			complain_at(r, at, "%s: '%s' has no smart-host of its own, so its mail goes to the server's", about[i], text_shown(d->name));
}

static void
check_domain(struct reading *r, struct server *s, struct domain *d)
{
	const char *name = d->name;

	if (d->kind == DOMAIN_REMOTE && strncmp(name, "*.", 2) == 0)
		name += 2;
	if (!domain_valid(name, strlen(name)))
		complain_at(r, &d->place, "domain: '%s' is no domain name%s", text_shown(d->name),
		    strncmp(d->name, "*.", 2) == 0 ? "; only a remote one can be a wildcard" : "");
	for (const struct domain *e = s->domains; e != d; e = e->next)
		if (text_compare(e->name, d->name) == 0)
			complain_at(r, &d->place, "domain '%s' stands on line %d already", text_shown(d->name), e->place.line);
	for (size_t i = 0; i < settings_count; i++) {
		size_t at = settings[i].offset;
		bool remote = at != offsetof(struct domain, drop) && at != offsetof(struct domain, quota) &&
		    at != offsetof(struct domain, recipients) && at != offsetof(struct domain, aliases);

		if (d->said[i].line != 0 && remote != (d->kind == DOMAIN_REMOTE))
			complain_at(r, &d->said[i], "'%s' belongs in a %s domain", settings[i].name,
			    remote ? "remote" : "default");
		else if (d->said[i].line != 0 && d->kind == DOMAIN_ALIAS)
			complain_at(r, &d->said[i], "an alias has no settings of its own");
	}
	if (d->hold_accounts != NULL && !d->hold)
		complain_at(r, &d->place, "hold-accounts: mail for '%s' is not held; say 'hold yes'", text_shown(d->name));
	check_tls_policy(r, d->said, DOMAIN, &d->tls_policy, tls_inherited(s, d->account));
	check_without_tls(r, d->account, d->smart_host, &d->place, d->tls_policy);
	check_used(r, s, d);
	if (d->kind != DOMAIN_DEFAULT)
		return;
	if (s->home != NULL)
		complain_at(r, &d->place, "a second default domain; the first stands on line %d", s->home->place.line);
	else
		s->home = d;
}

/* Does this folder, relative to the mailroot, lie in one that is ours? */
static void
check_folder(struct reading *r, const struct place *where, const char *name, const char *folder)
{
	static const char *const ours[] = { "Pickup", "SortTemp", "Queue" };
	size_t n;

	while (strncmp(folder, "./", 2) == 0)
		folder += 2;
	for (size_t i = 0; i < 3; i++) {
		n = strlen(ours[i]);
		if (strncmp(folder, ours[i], n) == 0 && (folder[n] == '\0' || folder[n] == '/'))
			complain_at(r, where, "%s: '%s' would lie in %s, where mail would be taken for something else",
			    name, text_shown(folder), ours[i]);
	}
}

/* Where mail for our own domains goes, and who has any. */
static void
check_home(struct reading *r, const struct server *s, struct domain *d)
{
	const char *folder = d->drop, *name;

	if (strncmp(folder, "maildir:", 8) == 0) {
		d->maildir = folder += 8;
		if ((name = strchr(folder, '%')) != NULL && (name[1] != 'u' || strchr(name + 1, '%') != NULL))
			complain_at(r, &d->place, "drop: '%s': one %%u can stand in it, for the recipient's name, and no other %%", text_shown(folder));
		else if (name != NULL && (name[-1] != '/' || name - folder < 2 || (name[2] != '/' && name[2] != '\0')))
			complain_at(r, &d->place, "drop: %%u is a folder's whole name, in a folder, such as maildir:Mail/%%u");
		else if (name != NULL && d->recipients == NULL && s->ldap.directories == NULL)
			complain_at(r, &d->place, "drop: %%u needs 'recipients FILE' or ldap-routing, for only who stands there can have a folder");
		else if (*folder == '\0')
			complain_at(r, &d->place, "drop: 'maildir:' wants a folder");
	}
	check_folder(r, &d->place, "drop", folder);
	if (strcmp(s->badmail, folder) == 0)
		complain_at(r, &d->place, "drop and badmail are the same folder");
	if (d->recipients != NULL || d->aliases != NULL)
		d->names = names_read(d, s->domains, d->maildir != NULL && strchr(d->maildir, '%') != NULL,
		    (const struct place *const []){ value_said(d->said, DOMAIN, "recipients", NULL), value_said(d->said, DOMAIN, "aliases", NULL) },
		    &r->config->errors);
}

/* Each log has a folder of its own. */
static void
check_log(struct reading *r, const struct server *s)
{
	static const char *const mine[] = { "log-fields", "log-local-time" };
	const struct place *where = server_place(s, GENERAL, "log");

	if (s->log.format == LOG_NONE)
		return;
	check_folder(r, where, "log", s->log.folder);
	if (strcmp(s->log.folder, s->badmail) == 0 || (s->home != NULL && strcmp(s->log.folder, s->home->drop) == 0))
		complain_at(r, where, "log: '%s' is a folder for mail; the log has its own", text_shown(s->log.folder));
	for (const struct server *t = r->config->servers; t != s; t = t->next)
		if (t->log.format != LOG_NONE && s->log.folder[0] == '/' && strcmp(t->log.folder, s->log.folder) == 0)
			complain_at(r, where, "log: '%s' is server \"%s\"'s already; each has its own", text_shown(s->log.folder), text_shown(t->name));
	for (size_t i = 0; s->log.format != LOG_W3C && i < sizeof mine / sizeof *mine; i++)
		if (server_place(s, GENERAL, mine[i]) != &s->place)
			complain_at(r, server_place(s, GENERAL, mine[i]), "%s: only a w3c log can choose", mine[i]);
}

static void
check_copy_to(struct reading *r, struct server *s)
{
	const struct place *where = server_place(s, MESSAGES, "ndr-copy-to");
	struct path to;

	if (s->ndr_copy_to == NULL || s->home == NULL)
		return;
	if (path_parse(&to, s->ndr_copy_to) == -1 || to.text[0] == '\0' ||
	    (to.domain == NULL && path_complete(&to, s->home->name) == -1))
		complain_at(r, where, "ndr-copy-to: '%s' is no address", text_shown(s->ndr_copy_to));
	else if (config_local(s, to.text) && !config_exists(s, to.text))
		complain_at(r, where, "ndr-copy-to: nobody in 'recipients' or 'aliases' is called '%s'", text_shown(to.text));
	else
		s->ndr_copy_to = keep_text(r->config, to.text);
}

/* A limit that another one hides is a mistake, if the operator gave it. */
static void
check_order(struct reading *r, const struct server *s)
{
	const struct { enum block block; const char *name, *other; long long value, limit; } hidden[] = {
		{ GENERAL, "connections-per-client", "connections", s->connections_per_client, s->connections },
		{ DELIVERY, "connections-per-domain", "connections", s->relays_per_domain, s->relays },
		{ DELIVERY, "notify", "expire", s->notify, s->expire },
		{ DELIVERY, "local-notify", "local-expire", s->local_notify, s->local_expire },
	};

	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
		const struct place *where = server_place(s, hidden[i].block, hidden[i].name);

		if (hidden[i].value > hidden[i].limit && hidden[i].value != UNLIMITED && where != &s->place)
			complain_at(r, where, "%s is more than %s, so it would never come to that; lower it", hidden[i].name, hidden[i].other);
	}
}

/* What TLS needs, and who needs it. */
static void
check_tls(struct reading *r, struct server *s)
{
	if (s->own_certificate != NULL && s->own_certificate->next != NULL)
		complain_at(r, &s->own_certificate->next->place, "certificate: in delivery there is one, for all whom we connect to");
	if (s->ca_file != NULL && !tls_built)
		complain_at(r, server_place(s, DELIVERY, "ca-file"), "ca-file: this program was built without OpenSSL, so it cannot do TLS; see README");
	if (s->ca_file == NULL && r->config->chroot != NULL && config_verifies(s))
		complain_at(r, server_place(s, DELIVERY, "ca-file"), "ca-file: with 'chroot' it has to be said who is believed where TLS is 'verified' "
		    "(as it is where 'authenticate' stands, and no 'tls'): the system's certificates are out of reach");
	if (s->certificates != NULL)
		return;
	s->useless |= EXT_STARTTLS;
	for (const struct listen *l = s->listen; l != NULL; l = l->next)
		if (l->tls)
			complain_at(r, &l->place, "listen: 'tls' needs a 'certificate CERT KEY' in access");
	if (s->require_tls)
		complain_at(r, server_place(s, ACCESS, "require-tls"), tls_built ? "require-tls: there is no 'certificate CERT KEY' in access" :
		    "require-tls: this program was built without OpenSSL, so it cannot do TLS; see README");
	if (s->client_authorities != NULL)
		complain_at(r, server_place(s, ACCESS, "client-authorities"), "client-authorities: there is no 'certificate CERT KEY' in access");
}

/* Those who must authenticate can, and those who can have a use for it. */
static void
check_login(struct reading *r, struct server *s)
{
	static const char *const need = "needs a 'passwords FILE' in access, which 'smtpd password' makes";
	const int proofs = MECH_PLAIN | MECH_LOGIN | MECH_SCRAM;

	if (s->passwords == NULL) {
		s->useless |= EXT_AUTH | EXT_ATRN | EXT_TURN;
		for (const struct listen *l = s->listen; l != NULL; l = l->next)
			if (l->submission)
				complain_at(r, &l->place, "listen: 'submission' %s", need);
		for (const struct domain *d = s->domains; d != NULL; d = d->next)
			if (d->hold_accounts != NULL && d->hold)
				complain_at(r, value_said(d->said, DOMAIN, "hold-accounts", &d->place), "hold-accounts: %s", need);
		if (!(s->authenticate & MECH_ANONYMOUS))
			complain_at(r, server_place(s, ACCESS, "authenticate"), "authenticate: without 'anonymous' it %s", need);
	} else if (!(s->authenticate & proofs))
		complain_at(r, server_place(s, ACCESS, "passwords"), "passwords: 'authenticate' has no way to say one: plain, login or scram-sha-256");
	else if (s->certificates == NULL && !s->clear_text_passwords)
		complain_at(r, server_place(s, ACCESS, "passwords"), "passwords: nobody will be asked for one: there is no 'certificate' "
		    "for TLS, and 'clear-text-passwords' is no");
}

/* What is said about directories and has no effect. */
static void
check_ldap_idle(struct reading *r, const struct server *s, bool tls)
{
	static const char *const simple = "only 'bind simple' says who we are so", *const other = "no server here is asked by TLS: "
	    "say 'start-tls yes', or ldaps://";
	const struct ldap_routing *l = &s->ldap;
	const struct { const char *name, *why; bool idle; } settings[] = {
		{ "user", simple, l->bind != BIND_SIMPLE }, { "domain", simple, l->bind != BIND_SIMPLE },
		{ "password", simple, l->bind != BIND_SIMPLE }, { "clear-text-password", simple, l->bind != BIND_SIMPLE && l->clear_text_password },
		{ "ca-file", other, !tls }, { "certificate", other, !tls },
	};

	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		const struct place *where = value_said(s->said, LDAP, settings[i].name, NULL);

		if (settings[i].idle && where != NULL)
			complain_at(r, where, "%s: %s", settings[i].name, settings[i].why);
	}
}

/* How the directories are spoken to: a password is not said to whoever listens. */
static void
check_ldap(struct reading *r, const struct server *s)
{
	const struct ldap_routing *l = &s->ldap;
	const struct place *where = server_place(s, LDAP, "server");
	bool tls = false;
	struct addr a;

	for (size_t i = 0; i < settings_count && l->directories == NULL && where == &s->place; i++)
		if (settings[i].block == LDAP && s->said[i].line != 0 && settings[i].preset != NULL && *settings[i].preset == '\0') {
			complain_at(r, &s->said[i], "ldap-routing: there is no 'server ldap://HOST' in it, so nobody is asked");
			break;
		}
	if (l->directories == NULL)
		return;
	if (l->start_tls && !tls_built)
		complain_at(r, server_place(s, LDAP, "start-tls"), "start-tls: this program was built without OpenSSL, so it cannot do TLS; see README");
	if (l->certificate != NULL && l->certificate->next != NULL)
		complain_at(r, &l->certificate->next->place, "certificate: in ldap-routing there is one");
	if (l->bind == BIND_SIMPLE && (l->user == NULL || l->password == NULL))
		complain_at(r, server_place(s, LDAP, "bind"), "bind simple: wants a 'user' and a 'password FILE'");
	for (const struct directory *d = l->directories; d != NULL; d = d->next) {
		bool clear = d->kind == DIRECTORY_CLEAR && !l->start_tls;

		tls |= d->kind != DIRECTORY_LOCAL && !clear;
		if (l->bind == BIND_EXTERNAL && d->kind != DIRECTORY_LOCAL && (clear || l->certificate == NULL))
			complain_at(r, server_place(s, LDAP, "bind"), "bind external: %s could not know who we are: that takes TLS and a 'certificate', "
			    "or ldapi://", text_shown(d->url));
		if (l->bind == BIND_SIMPLE && clear && !l->clear_text_password && text_compare(d->host, "localhost") != 0 &&
		    (addr_parse(&a, d->host, false) == -1 || !addr_loopback(&a)))
			complain_at(r, where, "server: %s would hear the password in clear: say 'start-tls yes', or ldaps://, "
			    "or if that is meant 'clear-text-password yes'", text_shown(d->url));
	}
	check_ldap_idle(r, s, tls);
}

static void
check_server(struct reading *r, struct server *s)
{
	char host[CONFIG_HOST];
	struct listen *l;
	struct domain *d;
	int held = 0;

	if (s->listen == NULL) {
		char *word = (char *)(uintptr_t)"127.0.0.1:2525";

		r->place = s->place;
		value_listeners(r, &word, 1, &s->listen);
	}
	if (s->hostname == NULL) {
		config_host(host);
		s->hostname = keep_text(r->config, host);
	}
	for (const struct server *t = r->config->servers; t != s; t = t->next) {
		if (strcmp(t->name, s->name) == 0)
			complain_at(r, &s->place, "server \"%s\" stands on line %d already", text_shown(s->name), t->place.line);
		if (strcmp(t->mailroot, s->mailroot) == 0)
			complain_at(r, server_place(s, GENERAL, "mailroot"), "mailroot '%s' is server \"%s\"'s already; each has its own",
			    text_shown(s->mailroot), text_shown(t->name));
	}
	for (l = s->listen; l != NULL; l = l->next)
		check_listeners(r, s, l);
	check_tls_policy(r, s->said, DELIVERY, &s->tls_policy, TLS_OPPORTUNISTIC);
	s->smart_tls_policy = tls_inherited(s, s->account);
	check_without_tls(r, s->account, s->smart_host, server_place(s, DELIVERY, "smart-host"), s->tls_policy);
	for (d = s->domains; d != NULL; d = d->next) {
		check_domain(r, s, d);
		held |= d->hold ? EXT_ETRN : 0;
		held |= d->hold_accounts != NULL ? EXT_ATRN | EXT_TURN : 0;
	}
	s->useless = (EXT_ETRN | EXT_ATRN | EXT_TURN) & ~held;
	if (s->home == NULL)
		complain_at(r, &s->place, "server \"%s\" has no default domain; add 'domain NAME default'", text_shown(s->name));
	else
		check_home(r, s, s->home);
	check_folder(r, server_place(s, MESSAGES, "badmail"), "badmail", s->badmail);
	if (!domain_valid(s->hostname, strlen(s->hostname)))
		complain_at(r, server_place(s, GENERAL, "hostname"), "hostname: '%s' is no host name", text_shown(s->hostname));
	if (!s->relay.only && !s->open_relay)
		complain_at(r, server_place(s, ACCESS, "relay"), "relay all-except: this is an open relay, which spammers find "
		    "within hours; if that is meant, say 'open-relay yes'");
	if (s->masquerade != NULL && !domain_valid(s->masquerade, strlen(s->masquerade)))
		complain_at(r, server_place(s, DELIVERY, "masquerade"), "masquerade: '%s' is no domain name", text_shown(s->masquerade));
	if (s->account != NULL && s->smart_host == NULL)
		complain_at(r, &s->account->place, "authenticate: there is no smart-host that could ask who we are");
	if (s->direct_first && s->smart_host == NULL)
		complain_at(r, server_place(s, DELIVERY, "direct-first"), "direct-first: there is no smart-host to come second");
	check_order(r, s);
	check_tls(r, s);
	check_login(r, s);
	schema_settle(r, s);
	check_ldap(r, s);
	check_log(r, s);
	check_copy_to(r, s);
	if (s->max_session < s->max_size)
		complain_at(r, server_place(s, MESSAGES, "max-session"), "max-session is smaller than max-size");
}

/* Only read. */
static struct config *
text_load(struct parser *p, const char *file)
{
	struct config *c = memory(NULL, sizeof *c);

	if (c == NULL)
		die(EX_OSERR, "out of memory while reading the configuration");
	memset(c, 0, sizeof *c);
	p->r.config = c;
	config_hold(c);
	c->said = keep(c, settings_count * sizeof *c->said);
	value_presets(&p->r, TOP, TOP, (char *)c);
	if (file != NULL)
		file_read(p, file);
	else
		embedded_read(p);
	return c;
}

static struct config *
load(struct parser *p, const char *file)
{
	struct config *c = text_load(p, file);

	for (struct server *s = c->servers; s != NULL; s = s->next)
		check_server(&p->r, s);
	if (c->servers == NULL && c->errors == 0 && p->r.why == NULL) {
		log_line("%s: no server block; the smallest file is: server NAME { domain NAME default }", file);
		c->errors++;
	}
	if (c->errors == 0)
		return c;
	if (c->errors > ERRORS_SHOWN && p->r.why == NULL)
		log_line("%s: and %d mistakes more", file, c->errors - ERRORS_SHOWN);
	config_release(c);
	return NULL;
}

struct config *
config_load(const char *file)
{
	struct parser p;

	memset(&p, 0, sizeof p);
	return load(&p, file);
}

struct config *
config_try(const char *file, const char *instead, const struct buf *with, char *why, size_t size)
{
	struct parser p;

	memset(&p, 0, sizeof p);
	p.instead = instead;
	p.with = with;
	p.r.why = why;
	p.r.why_size = size;
	return load(&p, file);
}

struct config *
config_sketch(const char *file)
{
	struct parser p;
	char why[1];

	memset(&p, 0, sizeof p);
	p.r.why = why;
	p.r.why_size = sizeof why;
	text_load(&p, file);
	if (p.r.config->control != NULL || p.r.config->servers != NULL)
		return p.r.config;
	config_release(p.r.config);
	return NULL;
}

/* ---- certificates and keys ------------------------------------------------------------------ */

bool
config_key_open(const struct certificate *of)
{
	struct stat st;

	return stat(of->key, &st) == 0 && (st.st_mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH)) != 0;
}

/* What is to be known of it while it serves. */
static void
certificate_known(struct certificate *of, const char *hostname)
{
	struct tls_facts facts;
	char why[300];

	if (config_key_open(of))
		log_line("%s:%d: warning: the key '%s' is not its owner's alone: chmod 600 it", of->place.file, of->place.line, of->key);
	tls_look(of, hostname, &facts, why, sizeof why);
	of->expires = facts.expires;
}

bool
config_exposed(const struct account *a, int policy)
{
	return tls_built && a != NULL && (policy == TLS_OPPORTUNISTIC || policy == TLS_REQUIRED) && (a->mechanisms & ~MECH_SCRAM);
}

bool
config_verifies(const struct server *s)
{
	bool verifies = s->tls_policy == TLS_VERIFIED || s->smart_tls_policy == TLS_VERIFIED;

	for (const struct domain *d = s->domains; d != NULL; d = d->next)
		verifies |= d->kind == DOMAIN_REMOTE && d->tls_policy == TLS_VERIFIED;
	return verifies;
}

/* Can the password in this file be read?  It is read again at each connection. */
static void
secret_try(struct reading *r, const struct place *where, const char *setting, const char *file)
{
	char secret[AUTH_LINE / 2];
	const char *why = auth_secret(file, secret, sizeof secret);

	if (why != NULL)
		complain_at(r, where, "%s: the password in '%s' cannot be used: %s", setting, text_shown(file), why);
	wipe(secret, sizeof secret);
}

static void
account_try(struct reading *r, const struct account *a, int policy)
{
	if (a != NULL)
		secret_try(r, &a->place, "authenticate", a->file);
	if (config_exposed(a, policy))
		log_line("%s:%d: warning: authenticate: whoever is in between can have the password of %s: only 'tls verified' keeps it from him",
		    a->place.file, a->place.line, text_shown(a->user));
}

/* What our connections to others need. */
static void
client_secure(struct reading *r, struct server *s)
{
	const struct certificate *own = s->own_certificate;
	bool wanted = s->tls_policy != TLS_OFF;
	char why[600];

	for (const struct domain *d = s->domains; d != NULL; d = d->next)
		wanted |= d->kind == DOMAIN_REMOTE && d->tls_policy != TLS_OFF;
	if (tls_built && wanted && (s->tls_client = tls_client(own, s->ca_file, why, sizeof why)) == NULL &&
	    strcmp(why, "memory is out") == 0)
		die(EX_OSERR, "out of memory while reading the configuration");
	if (tls_built && wanted && s->tls_client == NULL)
		complain_at(r, own != NULL ? &own->place : server_place(s, DELIVERY, "ca-file"), "%s", why);
	if (own != NULL && s->tls_client != NULL)
		certificate_known(s->own_certificate, s->hostname);
	account_try(r, s->account, s->smart_tls_policy);
	for (const struct domain *d = s->domains; d != NULL; d = d->next)
		account_try(r, d->account, d->tls_policy);
}

/* For directories that are asked by TLS, or told a password. */
static void
ldap_secure(struct reading *r, struct server *s)
{
	struct ldap_routing *l = &s->ldap;
	bool wanted = l->start_tls;
	char why[600];

	for (const struct directory *d = l->directories; d != NULL; d = d->next)
		wanted |= d->kind == DIRECTORY_TLS;
	if (wanted && (l->tls = tls_client(l->certificate, l->ca_file, why, sizeof why)) == NULL)
		complain_at(r, l->certificate ? &l->certificate->place : server_place(s, LDAP, "ca-file"), "%s", why);
	if (l->certificate != NULL && l->tls != NULL)
		certificate_known(l->certificate, s->hostname);
	if (l->bind == BIND_SIMPLE && l->password != NULL)
		secret_try(r, server_place(s, LDAP, "password"), "password", l->password);
}

int
config_secure(struct config *c)
{
	struct reading r = { .config = c };
	char why[600];

	for (struct server *s = c->servers; s != NULL; s = s->next) {
		const struct certificate *at = s->certificates;

		if (at != NULL && (s->tls = tls_server(&at, s->tls_minimum, s->client_authorities, why, sizeof why)) == NULL)
			complain_at(&r, at ? &at->place : server_place(s, ACCESS, "certificate"), "%s", why);
		for (struct certificate *one = s->certificates; s->tls != NULL && one != NULL; one = one->next)
			certificate_known(one, s->hostname);
		client_secure(&r, s);
		ldap_secure(&r, s);
	}
	return c->errors == 0 ? 0 : -1;
}

/* ---- questions ------------------------------------------------------------------------------ */

struct place
config_place(const struct config *c, const char *name)
{
	return *value_said(c->said, TOP, name, &(struct place){ "built-in", 0 });
}

void
config_identify(const struct config *c)
{
	struct place p = config_place(c, "user");
	const char *why = c->user == NULL || process_told() ? NULL : process_user(c->user);

	if (why == NULL)
		return;
	log_line("%s:%d: user: '%s': %s", p.file, p.line, text_shown(c->user), why);
	exit(EX_CONFIG);
}

const struct domain *
config_domain(const struct server *s, const char *name)
{
	const struct domain *d, *wild = NULL;
	size_t n = strlen(name), longest = 0;

	for (d = s->domains; d != NULL; d = d->next) {
		size_t m = strlen(d->name);

		if (text_compare(d->name, name) == 0)
			return d;
		if (d->name[0] == '*' && n >= m && m > longest &&
		    text_compare(d->name + 1, name + n - m + 1) == 0) {
			wild = d;
			longest = m;
		}
	}
	return wild;
}

int
config_folder(const struct server *s, enum folder f, char out[FOLDER_SIZE])
{
	const char *name = f == PICKUP ? "Pickup" : f == SORTTEMP ? "SortTemp" : f == QUEUE ? "Queue" :
	    f == BADMAIL ? s->badmail : s->home->maildir ? s->home->maildir : s->home->drop;
	size_t up = f == DROP && s->home->maildir ? strcspn(name, "%") : strlen(name);
	int length = (int)(name[up] ? up - 1 : up);	/* what is above "/%u" */
	int n = *name == '/' ? snprintf(out, FOLDER_SIZE, "%.*s", length, name) :
	    snprintf(out, FOLDER_SIZE, "%s/%.*s", s->mailroot, length, name);

	errno = ENAMETOOLONG;
	return n < 0 || n >= FOLDER_SIZE ? -1 : 0;
}

bool
domain_local(const struct domain *d)
{
	return d != NULL && d->kind != DOMAIN_REMOTE;
}

int
extensions_hidden(int hidden)
{
	if (hidden & EXT_AUTH)
		hidden |= EXT_ATRN | EXT_TURN;
	if (hidden & EXT_CHUNKING)
		hidden |= EXT_BINARYMIME;	/* which is nothing without it */
	if (hidden & EXT_8BITMIME)	/* which brings BODY; and RFC 6531 3.1 item 7 */
		hidden |= EXT_BINARYMIME | EXT_SMTPUTF8;
	return hidden;
}

bool
config_offers(const struct server *s, int extension)
{
	return !(extensions_hidden(s->hidden | s->useless) & extension);
}

bool
config_local(const struct server *s, const char *address)
{
	const char *at = strrchr(address, '@');

	return at == NULL || domain_local(config_domain(s, at + 1));
}

const char *
config_masked(const struct server *s, const char *sender, char out[PATH_OCTETS + DOMAIN_MAX + 2])
{
	const char *at = strrchr(sender, '@');

	if (s->masquerade == NULL || at == NULL || !domain_local(config_domain(s, at + 1)))
		return sender;
	snprintf(out, PATH_OCTETS + DOMAIN_MAX + 2, "%.*s@%s", (int)(at - sender), sender, s->masquerade);
	return out;
}

bool
config_exists(const struct server *s, const char *address)
{
	const struct names *n = s->home->names;

	return n == NULL || !n->listed || names_find(n, address) || names_alias(n, address) || names_postmaster(address);
}

bool
config_collects(const struct server *s, const char *domain, const char *account)
{
	const struct domain *d = config_domain(s, domain);
	const struct name *n = d != NULL && d->hold ? d->hold_accounts : NULL;

	if (d == NULL || !d->hold || account == NULL)
		return d != NULL && d->hold && n == NULL;
	while (n != NULL && strcmp(n->text, account) != 0)
		n = n->next;
	return n != NULL;
}

long long
config_expires(const struct server *s, long long arrival, bool local)
{
	return arrival + (local ? s->local_expire : s->expire) / 1000;
}

long long
config_notifies(const struct server *s, long long arrival, bool local)
{
	msec notify = local ? s->local_notify : s->notify;

	return notify == UNLIMITED ? LLONG_MAX : arrival + notify / 1000;
}

/* Attempts are counted from the arrival, so a restart finds its place again. */
long long
config_attempt_after(const struct server *s, long long arrival, bool glitch, long long second)
{
	long long t = arrival, every;

	for (long long i = 0; glitch && i < s->glitch_retry[1]; i++)
		if ((t += s->glitch_retry[0] / 1000) > second)
			return t;
	for (int i = 0; s->retry[i] != 0; i++)
		if ((t += s->retry[i] / 1000) > second)
			return t;
	for (every = 0; s->retry[every + 1] != 0; every++)
		;
	every = s->retry[every] / 1000;
	return t + ((second - t) / every + 1) * every;
}

long long
config_attempt(const struct server *s, long long arrival, bool glitch)
{
	return config_attempt_after(s, arrival, glitch, now.wall / 1000);
}

char *
config_where(char out[WHERE_SIZE], const struct server *s, const char *name)
{
	for (size_t i = 0; i < settings_count; i++)
		if (settings[i].block == DOMAIN && strcmp(settings[i].name, name) == 0 && s->home->said[i].line)
			return config_where_row(out, s, s->home, name);
	return config_where_row(out, s, NULL, name);
}

char *
config_where_row(char out[WHERE_SIZE], const struct server *s, const struct domain *row, const char *name)
{
	const struct place *said = row != NULL ? row->said : s->said;

	for (size_t i = 0; i < settings_count; i++) {
		if ((settings[i].block == DOMAIN) == (row != NULL) && strcmp(settings[i].name, name) == 0 && said[i].line) {
			snprintf(out, WHERE_SIZE, "%s (%s:%d)", name, said[i].file, said[i].line);
			return out;
		}
	}
	snprintf(out, WHERE_SIZE, "%s (default)", name);
	return out;
}
