/*
 * operate.c - what an operator can ask for, and the answer.
 *
 * A request is a line of words.  It is worked on in steps, some messages in
 * each, so that a question about 100,000 of them holds up nobody; its answer
 * grows in `out`, a line at a time, each with a letter in front:
 *
 *	' '   for standard output
 *	'!'   for standard error
 *	'%'   how far it has come
 *	'='   its exit status: the last line
 *
 * The same requests are served by the running server (control.c) and, when none
 * runs, by the operator's own process (console.c), which then takes the
 * mailroots' locks as a server does.
 *
 * A message that an operator holds is Queue/ID.held: nothing else looks at it,
 * and its time does not run out.
 */
#include "smtpd.h"

#include <sys/stat.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TURN         50		/* messages looked at in a step */
#define NAMES_TURN   500	/* of a folder, read in a step */
#define OUT_OCTETS   65536	/* of an answer that waits to be taken */
#define TOLD_EVERY   1000	/* ms, between lines of progress */
#define HEADER_LINES 400	/* of a message's header that are shown */
#define TRIES_SHOWN  6		/* of the attempts to come */
#define STOP_LOOK    100	/* ms, between looks at one that is stopping */

enum verb {
	STATUS, METRICS, SESSIONS, SESSIONS_END, QUEUE_LIST, QUEUE_SHOW, QUEUE_RETRY, QUEUE_HOLD, QUEUE_RELEASE, QUEUE_FAIL,
	QUEUE_REMOVE, QUEUE_DOMAINS, BADMAIL_LIST, BADMAIL_SHOW, BADMAIL_RESEND,
	START, STOP, PAUSE, RESUME, RELOAD, SHUTDOWN
};

/* What is asked, by its words; and what it is asked about. */
static const struct row {
	const char *words;
	enum verb verb;
	const char *about;	/* what must follow, or in [] may; NULL: nothing */
	bool acts;		/* changes something, so a mailroot must be open */
	bool lives;		/* only a running server can do it */
} rows[] = {
	{ "status",         STATUS,         NULL, false, false },
	{ "status metrics", METRICS,        NULL, false, true },
	{ "sessions end",   SESSIONS_END,   "NUMBER or all", true, true },
	{ "sessions",       SESSIONS,       NULL, false, true },
	{ "queue list",     QUEUE_LIST,     "[ID, DOMAIN, SENDER or all]", false, false },
	{ "queue show",     QUEUE_SHOW,     "ID", false, false },
	{ "queue retry",    QUEUE_RETRY,    "ID, DOMAIN, SENDER or all", true, false },
	{ "queue hold",     QUEUE_HOLD,     "ID, DOMAIN, SENDER or all", true, false },
	{ "queue release",  QUEUE_RELEASE,  "ID, DOMAIN, SENDER or all", true, false },
	{ "queue fail",     QUEUE_FAIL,     "ID, DOMAIN, SENDER or all", true, false },
	{ "queue remove",   QUEUE_REMOVE,   "ID, DOMAIN, SENDER or all", true, false },
	{ "queue domains",  QUEUE_DOMAINS,  NULL, false, true },
	{ "queue",          QUEUE_LIST,     "[ID, DOMAIN, SENDER or all]", false, false },
	{ "badmail list",   BADMAIL_LIST,   "[ID, DOMAIN, SENDER or all]", false, false },
	{ "badmail show",   BADMAIL_SHOW,   "ID", false, false },
	{ "badmail resend", BADMAIL_RESEND, "ID, DOMAIN, SENDER or all", true, false },
	{ "badmail",        BADMAIL_LIST,   "[ID, DOMAIN, SENDER or all]", false, false },
	{ "start",          START,          "NAME or all", true, true },
	{ "stop",           STOP,           "NAME or all", true, true },
	{ "pause",          PAUSE,          "NAME or all", true, true },
	{ "resume",         RESUME,         "NAME or all", true, true },
	{ "reload",         RELOAD,         NULL, true,  true },
	{ "shutdown",       SHUTDOWN,       NULL, true,  true },
};

/* ---- the answer ------------------------------------------------------------------------ */

static void
answer(struct request *r, char kind, const char *format, ...)
{
	char line[2000];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof line, format, ap);
	va_end(ap);
	buf_addf(&r->out, "%c%s\n", kind, line);
}

/* The end of it. */
static int
finish(struct request *r, int status)
{
	buf_addf(&r->out, "=%d\n", status);
	return 1;
}

/* A line of JSON, member by member; it ends with the one that closes it. */
static void
json_open(struct request *r)
{
	buf_addf(&r->out, " {");
	r->members = 0;
}

static void
json_name(struct request *r, const char *name)
{
	buf_addf(&r->out, "%s\"%s\":", r->members++ ? "," : "", name);
}

static void
json_string(struct request *r, const char *name, const char *value)
{
	json_name(r, name);
	json_text(&r->out, value);
}

static void
json_number(struct request *r, const char *name, long long n)
{
	json_name(r, name);
	buf_addf(&r->out, "%lld", n);
}

static void
json_close(struct request *r)
{
	buf_addf(&r->out, "}\n");
}

/* "3s", "12m", "5h", "2d": how long. */
static const char *
span(char out[24], long long seconds)
{
	static const struct { long long seconds; char unit; } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	size_t i = 0;

	if (seconds < 0)
		seconds = 0;
	while (i < 3 && seconds < 2 * units[i].seconds)
		i++;
	snprintf(out, 24, "%lld%c", seconds / units[i].seconds, units[i].unit);
	return out;
}

/* "2026-11-23 19:39" */
static const char *
moment(char out[24], long long second)
{
	int f[6];

	civil_from_second(second, f);
	snprintf(out, 24, "%04d-%02d-%02d %02d:%02d", f[0] % 10000, f[1], f[2], f[3], f[4]);
	return out;
}

/* What the log says of it is for him too. */
static void
lines_told(struct request *r, const struct buf *lines)
{
	const char *at = lines->data ? lines->data : "";

	for (; *at != '\0'; at += strcspn(at, "\n") + 1)
		answer(r, '!', "%.*s", (int)strcspn(at, "\n"), at);
}

/* ---- who asks ------------------------------------------------------------------------------- */

static bool
listed(const struct operator *list, const struct request *r)
{
	for (; list != NULL; list = list->next)
		if (list->id == (list->group ? r->gid : r->uid))
			return true;
	return false;
}

/* The program as a whole; and one of its servers, which its own list leaves to
 * fewer of them. */
static bool
may_operate(const struct request *r, const struct server *s)
{
	if (r->own || r->uid == 0)
		return true;
	return listed(r->config->operators, r) && (s == NULL || s->operators == NULL || listed(s->operators, r));
}

/* May he see, and touch, this one; and does he want to? */
static bool
concerns(const struct request *r, const struct vserver *v)
{
	return (*r->server == '\0' || strcmp(v->conf->name, r->server) == 0) && may_operate(r, v->conf);
}

static struct vserver *
vserver_after(const struct request *r, struct vserver *v)
{
	for (v = v == NULL ? vservers : v->next; v != NULL && !concerns(r, v); v = v->next)
		;
	return v;
}

/* ---- the folders -------------------------------------------------------------------------------- */

/* What status counts, one after the other. */
static const struct { enum folder folder; const char *end; } counted[] = {
	{ QUEUE, ".eml" }, { QUEUE, ".held" }, { DROP, ".eml" }, { BADMAIL, ".eml" }
};

/* Some names of the folder; false: there are more. */
static bool
names_turn(struct request *r)
{
	int there = view_fill(&r->view, NAMES_TURN);

	if (there == -1) {
		answer(r, '!', "%s: %s", r->view.folder, strerror(errno));
		r->status = EX_OSERR;
	}
	return there != 0;
}

/* Some of the next one; true when r->counted is complete for this server.
 * A folder that is not there has nothing in it. */
static bool
count_turn(struct request *r)
{
	const size_t all = sizeof counted / sizeof *counted;
	struct view *view = &r->view;

	if (view->dir == NULL && view_open(view, r->v->conf, counted[r->pass].folder, counted[r->pass].end) == -1)
		memset(view, 0, sizeof *view);
	if (!names_turn(r))
		return false;
	r->counted[r->pass] = (long long)view->count;
	for (size_t i = 0; r->pass == 0 && i < view->count; i++)
		if (i == 0 || view->ids[i].second < r->oldest)
			r->oldest = view->ids[i].second;
	view_close(view);
	r->pass = (int)((size_t)(r->pass + 1) % all);
	return r->pass == 0;
}

static void
path_of(const struct request *r, char out[PATH_SIZE], const struct id *id, const char *end)
{
	char text[ID_SIZE];

	snprintf(out, PATH_SIZE, "%s/%s%s", r->view.folder, id_text(id, text), end);
}

/* ---- status ------------------------------------------------------------------------------------------ */

static void
status_one(struct request *r, const struct vserver *v)
{
	const struct server *s = v->conf;
	long long queue = r->counted[0], held = r->counted[1], drop = r->counted[2], badmail = r->counted[3];
	const char *state = r->alone ? "not running" : v->failed ? "not started" : vserver_state(v);
	char age[24];

	if (r->json) {
		json_open(r);
		json_string(r, "server", s->name);
		json_string(r, "state", state);
		json_string(r, "mailroot", s->mailroot);
		json_number(r, "sessions", v->sessions);
		json_number(r, "relays", v->relays);
		json_number(r, "queue", queue);
		json_number(r, "held", held);
		json_number(r, "oldest", queue > 0 ? now.wall / 1000 - r->oldest : 0);
		if (s->home->maildir == NULL)
			json_number(r, "drop", drop);
		json_number(r, "badmail", badmail);
		json_close(r);
		return;
	}
	answer(r, ' ', "\"%s\" is %s", s->name, state);
	if (!r->alone)
		answer(r, ' ', "    connections  %lld in, %lld out", v->sessions, v->relays);
	if (queue > 0)
		answer(r, ' ', "    Queue        %lld, the oldest for %s", queue, span(age, now.wall / 1000 - r->oldest));
	else
		answer(r, ' ', "    Queue        0");
	if (held > 0)
		answer(r, ' ', "    held         %lld", held);
	if (s->home->maildir == NULL)	/* Maildirs are their readers' */
		answer(r, ' ', "    Drop         %lld", drop);
	answer(r, ' ', "    Badmail      %lld", badmail);
}

static int
status_step(struct request *r)
{
	if (r->v == NULL || count_turn(r)) {
		if (r->v != NULL)
			status_one(r, r->v);
		if ((r->v = vserver_after(r, r->v)) == NULL)
			return finish(r, r->status);
	}
	return 0;
}

static void
metrics(struct request *r)
{
	struct buf b = { 0 };
	char *line, *end;

	counts_write(&b);
	for (line = b.data; line != NULL && *line != '\0'; line = end + 1) {
		end = line + strcspn(line, "\n");
		buf_addf(&r->out, " %.*s\n", (int)(end - line), line);
	}
	buf_free(&b);
}

/* ---- connections ---------------------------------------------------------------------------------------- */

static void
connection(struct request *r, const struct vserver *v, const char *way, unsigned long number, const char *peer, msec began,
    const char *doing)
{
	char safe[600], age[24];

	if (r->json) {
		json_open(r);
		json_number(r, "number", (long long)number);
		json_string(r, "server", v->conf->name);
		json_string(r, "direction", way);
		json_string(r, "peer", peer);
		json_number(r, "seconds", (now.tick - began) / 1000);
		json_string(r, "doing", doing);
		json_close(r);
		return;
	}
	answer(r, ' ', "#%-5lu %-3s %s  for %s", number, way, peer, span(age, (now.tick - began) / 1000));
	answer(r, ' ', "           %s", text_safe(safe, sizeof safe, doing, strlen(doing)));
}

static void
connections(struct request *r)
{
	struct session *s;
	struct peer p;
	char who[ADDR_TEXT + 8], doing[600];

	for (size_t i = 0; (s = vservers_session(i)) != NULL; i++)
		if (concerns(r, s->owner)) {
			session_doing(s, doing, sizeof doing);
			connection(r, s->owner, "in", s->number, addr_text_port(&s->conn.peer, who), s->began, doing);
			r->done++;
		}
	for (size_t i = 0; relay_peer(i, &p); i++)
		if (concerns(r, p.owner)) {
			connection(r, p.owner, "out", p.number, p.host, p.began, p.doing);
			r->done++;
		}
	if (r->done == 0 && !r->json)
		answer(r, ' ', "nobody is connected");
}

/* One by its number, or all that he may. */
static int
connections_end(struct request *r)
{
	const char *about = r->words[2];
	bool all = strcmp(about, "all") == 0;
	unsigned long number = strtoul(about[0] == '#' ? about + 1 : about, NULL, 10);
	struct session *s;
	struct peer p;

	for (size_t i = 0; (s = vservers_session(i)) != NULL; )
		if ((all || s->number == number) && concerns(r, s->owner)) {
			r->done++;
			vservers_end(i);
		} else
			i++;
	for (size_t i = 0; relay_peer(i, &p); i++)
		if ((all || p.number == number) && concerns(r, p.owner) && relay_end(i))
			r->done++;
	if (r->done > 0)
		answer(r, ' ', "%lld ended", r->done);
	else
		answer(r, '!', all ? "nobody is connected" : "there is no connection %s; 'smtpd sessions' numbers them", about);
	return finish(r, r->done > 0 ? 0 : 1);
}

/* ---- one message -------------------------------------------------------------------------------------------- */

/* "ID", "DOMAIN" of a recipient, "SENDER" with an @ or <>, "all", or nothing. */
static bool
selected(const struct request *r, const struct entry *e)
{
	const char *about = r->about;
	struct id id;

	if (*about == '\0' || strcmp(about, "all") == 0)
		return true;
	if (id_parse(&id, about, strlen(about)) == 0)
		return id_compare(&id, &e->id) == 0;
	if (strcmp(about, "<>") == 0)
		return e->env.sender != NULL && *e->env.sender == '\0';
	if (strchr(about, '@') != NULL)
		return e->env.sender != NULL && text_compare(e->env.sender, about) == 0;
	for (size_t i = 0; i < e->env.count; i++) {
		const char *at = strrchr(e->env.rcpt[i].address, '@');

		if (at != NULL && text_compare(at + 1, about) == 0 && e->env.rcpt[i].outcome == RCPT_OPEN)
			return true;
	}
	return false;
}

static const char *
outcome_word(const struct entry *e, const struct recipient *to)
{
	return to->outcome == RCPT_ACCEPTED ? "delivered" :
	    to->outcome == RCPT_REJECTED ? *e->env.sender != '\0' ? "returned" : "failed" :
	    to->notified ? "open; the sender knows of the delay" : "open";
}

/* Waiting until when, held, on its way. */
static void
state_of(const struct request *r, const struct entry *e, char out[40])
{
	char age[24];

	if (r->folder == BADMAIL)
		snprintf(out, 40, "dead");
	else if (strcmp(r->view.end, ".held") == 0)
		snprintf(out, 40, "held");
	else if (relays_send(r->v, &e->id))
		snprintf(out, 40, "on its way");
	else if (dests_keep(r->v, &e->id, &e->env))
		snprintf(out, 40, "to be asked for");
	else if (e->next > now.wall / 1000)
		snprintf(out, 40, "in %s", span(age, e->next - now.wall / 1000));
	else
		snprintf(out, 40, "due");
}

/* Why it lies in Badmail, or cannot be read; or "". */
static const char *
why_here(const struct request *r, const struct entry *e, char words[WORDS_SIZE])
{
	static const char aside[] = "This message was set aside: ";

	if (r->folder == BADMAIL && text_prefix(entry_words(e, r->v->conf, NULL, words), aside))
		return words + strlen(aside);
	return e->why != NULL ? e->why : "";
}

/* Why he has not got it; or "". */
static const char *
why_open(const struct request *r, const struct entry *e, const struct recipient *to, char words[WORDS_SIZE])
{
	const struct domain *row = dests_hold(r->v, &e->id, to);
	char asked[ASKED_SIZE];

	if (to->outcome != RCPT_OPEN || r->folder == BADMAIL)
		*words = '\0';
	else if (row != NULL)
		snprintf(words, WORDS_SIZE, "held until %s", route_asked(row, asked));
	else if (*entry_words(e, r->v->conf, to, words) == '\0')
		snprintf(words, WORDS_SIZE, "%s", dests_words(r->v, to));
	return words;
}

static void
recipients_json(struct request *r, const struct entry *e)
{
	char words[WORDS_SIZE];

	json_name(r, "recipients");
	buf_addf(&r->out, "[");
	for (size_t i = 0; i < e->env.count; i++) {
		const struct recipient *to = &e->env.rcpt[i];

		buf_addf(&r->out, i > 0 ? ",{\"address\":" : "{\"address\":");
		json_text(&r->out, to->address);
		buf_addf(&r->out, ",\"state\":");
		json_text(&r->out, outcome_word(e, to));
		buf_addf(&r->out, ",\"reason\":");
		json_text(&r->out, why_open(r, e, to, words));
		buf_addf(&r->out, "}");
	}
	buf_addf(&r->out, "]");
}

static void
recipients_text(struct request *r, const struct entry *e, bool all)
{
	char words[WORDS_SIZE], safe[400], why[700];

	for (size_t i = 0; i < e->env.count; i++) {
		const struct recipient *to = &e->env.rcpt[i];

		if (!all && to->outcome != RCPT_OPEN)
			continue;
		text_safe(safe, sizeof safe, to->address, strlen(to->address));
		answer(r, ' ', all ? "    to <%s>: %s" : "    to <%s>", safe, outcome_word(e, to));
		why_open(r, e, to, words);
		if (*words != '\0')
			answer(r, ' ', "       %s", text_safe(why, sizeof why, words, strlen(words)));
	}
}

/* Something that has happened to it, or will. */
static void
event(struct request *r, long long second, const char *what)
{
	char when[24];

	if (r->json) {
		buf_addf(&r->out, "%s{\"at\":%lld,\"event\":", r->out.data[r->out.len - 1] == '[' ? "" : ",", second);
		json_text(&r->out, what);
		buf_addf(&r->out, "}");
	} else
		answer(r, ' ', "    %s  %s", moment(when, second), what);
}

/* For whom of them does it wait to be asked for?  True: there are others. */
static bool
timeline_held(struct request *r, const struct entry *e, bool *local)
{
	const struct domain *row, *last = NULL;
	char asked[ASKED_SIZE], text[ASKED_SIZE + 60];
	bool others = false;

	*local = true;
	for (size_t i = 0; i < e->env.count; i++) {
		const struct recipient *to = &e->env.rcpt[i];

		if (to->outcome != RCPT_OPEN)
			continue;
		*local &= route_local(r->v->conf, to);
		row = dests_hold(r->v, &e->id, to);
		others |= row == NULL;
		if (row != NULL && row != last) {
			snprintf(text, sizeof text, "it waits until %s", route_asked(row, asked));
			event(r, now.wall / 1000, text);
			last = row;
		}
	}
	return others;
}

/* What has happened to it, and what will, by the schedule of today. */
static void
timeline(struct request *r, const struct entry *e)
{
	const struct server *s = r->v->conf;
	long long second = now.wall / 1000, expires, notifies, next = e->next > second ? e->next : second;
	char age[24], text[60];
	bool local, goes;

	snprintf(text, sizeof text, "it arrived, %s ago", span(age, second - e->id.second));
	event(r, e->id.second, text);
	if (e->tried != 0)
		event(r, e->tried, "it was tried, for the last time so far");
	goes = timeline_held(r, e, &local);
	expires = config_expires(s, e->id.second, local);
	notifies = config_notifies(s, e->id.second, local);
	for (int i = 0; goes && i < TRIES_SHOWN && next < expires; i++) {
		if (notifies >= second && notifies <= next) {
			event(r, notifies, "its sender is told of the delay");
			notifies = LLONG_MAX;
		}
		event(r, next, i == 0 && e->tried == 0 ? "it is tried" : "it is tried again");
		next = local ? next + s->local_retry / 1000 : config_attempt_after(s, e->id.second, false, next);
	}
	if (notifies >= second && notifies < expires)
		event(r, notifies, "its sender is told of the delay");
	event(r, expires, *e->env.sender != '\0' ? "it is given up and returned" : "it is given up");
}

/* Does time change anything for it? */
static bool
scheduled(const struct request *r, const struct entry *e)
{
	return r->folder == QUEUE && strcmp(r->view.end, ".eml") == 0 && e->why == NULL;
}

static void
message_json(struct request *r, const struct entry *e, const char *state)
{
	char id[ID_SIZE], words[WORDS_SIZE];

	json_open(r);
	json_string(r, "server", r->v->conf->name);
	json_string(r, "id", id_text(&e->id, id));
	json_string(r, "state", state);
	json_number(r, "size", e->size);
	json_number(r, "arrival", e->id.second);
	json_number(r, "next", e->next);
	json_string(r, "sender", e->env.sender ? e->env.sender : "");
	recipients_json(r, e);
	if (*why_here(r, e, words) != '\0')
		json_string(r, "fault", why_here(r, e, words));
	if (r->verb == QUEUE_SHOW && scheduled(r, e)) {
		json_name(r, "timeline");
		buf_addf(&r->out, "[");
		timeline(r, e);
		buf_addf(&r->out, "]");
	}
	if (r->verb == QUEUE_SHOW || r->verb == BADMAIL_SHOW)
		json_string(r, "note", e->note.data ? e->note.data : "");
	json_close(r);
}

/* What is the matter with it, from whom, to whom. */
static void
message_head(struct request *r, const struct entry *e, bool all)
{
	char words[WORDS_SIZE], safe[WORDS_SIZE + 100];
	const char *why = why_here(r, e, words);

	if (*why != '\0')
		answer(r, ' ', "    %s", text_safe(safe, sizeof safe, why, strlen(why)));
	if (e->why == NULL)
		answer(r, ' ', "    from <%s>", text_safe(safe, 400, e->env.sender, strlen(e->env.sender)));
	recipients_text(r, e, all);
}

static void
message_list(struct request *r, const struct entry *e)
{
	char id[ID_SIZE], size[SIZE_TEXT], when[24], state[40];

	state_of(r, e, state);
	if (r->json) {
		message_json(r, e, state);
		return;
	}
	answer(r, ' ', "%s %6s  %s  %s", id_text(&e->id, id), text_size(size, e->size), moment(when, e->id.second), state);
	message_head(r, e, r->folder == BADMAIL);
}

static void
note_text(struct request *r, const struct entry *e)
{
	char *line = e->note.data, *end, safe[900];

	for (; line != NULL && *line != '\0'; line = end) {
		size_t n = strcspn(line, "\n");

		end = line + n + (line[n] == '\n');
		answer(r, ' ', "    %s", text_safe(safe, sizeof safe, line, n));
	}
}

/* The header of the message itself, without its body. */
static void
header_text(struct request *r, const struct entry *e)
{
	char path[PATH_SIZE], line[1000], safe[1000];
	FILE *f;

	path_of(r, path, &e->id, r->view.end);
	if ((f = fopen(path, "r")) == NULL)
		return;
	for (int i = 0; i < HEADER_LINES && fgets(line, sizeof line, f) != NULL; i++) {
		size_t n = strcspn(line, "\r\n");

		if (n == 0)
			break;
		if (*line == '\t')
			*line = ' ';		/* a field goes on */
		if (!text_prefix(line, "x-"))
			answer(r, ' ', "    %s", text_safe(safe, sizeof safe, line, n));
	}
	fclose(f);
}

static void
message_show(struct request *r, const struct entry *e)
{
	char id[ID_SIZE], state[40], size[SIZE_TEXT];

	state_of(r, e, state);
	if (r->json) {
		message_json(r, e, state);
		return;
	}
	answer(r, ' ', "%s of \"%s\", %s: %s", id_text(&e->id, id), r->v->conf->name, text_size(size, e->size), state);
	message_head(r, e, true);
	if (scheduled(r, e)) {
		answer(r, ' ', "Timeline");
		timeline(r, e);
	}
	if (e->note.len > 0) {
		answer(r, ' ', r->folder == QUEUE ? "The last attempt" : "Why it is here");
		note_text(r, e);
	}
	answer(r, ' ', "Header");
	header_text(r, e);
}

/* ---- acts on one message ---------------------------------------------------------------------------------------- */

/* It has another name, or another time: who waits for it looks anew. */
static void
looked_anew(struct request *r, const struct entry *e)
{
	struct vserver *v = r->v;

	spool_touch(v->spool, &e->id, now.wall / 1000);
	r->idle += !v->delivers;
	if (!v->delivers)
		return;
	dests_wake(v, &e->env);
	spool_again(v->spool, &e->id);
}

static int
renamed(const struct request *r, const struct entry *e, const char *from, const char *to)
{
	char old[PATH_SIZE], new[PATH_SIZE];

	path_of(r, old, &e->id, from);
	path_of(r, new, &e->id, to);
	return strcmp(from, to) == 0 ? 0 : disk_rename(old, new);
}

/* As if its time were over, whatever the schedule says: reported, or kept in
 * Badmail. */
static int
message_fail(struct request *r, const struct entry *e)
{
	struct message *m = renamed(r, e, r->view.end, ".eml") == 0 ? spool_take(r->v->spool, &e->id) : NULL;
	struct attempt a = { .transcript = NULL };
	char words[WORDS_SIZE];

	if (m == NULL) {
		renamed(r, e, ".eml", r->view.end);
		return -1;
	}
	snprintf(words, sizeof words, "5.3.0 an operator of %s has given it up", r->v->conf->hostname);
	for (size_t i = 0; i < m->env.count; i++)
		if (m->env.rcpt[i].outcome == RCPT_OPEN) {
			m->env.rcpt[i].chosen = true;
			recipient_outcome(&m->env.rcpt[i], RCPT_REJECTED, words, NULL);
		}
	outcome_conclude(r->v, m, &a);
	spool_release(m);
	return 0;
}

static int
message_remove(struct request *r, const struct entry *e)
{
	char path[PATH_SIZE], id[ID_SIZE];

	path_of(r, path, &e->id, r->view.end);
	if (unlink(path) == -1)
		return -1;
	spool_changed(r->v->spool);
	path_of(r, path, &e->id, ".txt");
	unlink(path);
	log_line("%s removed by an operator, uid %lu", id_text(&e->id, id), r->uid);
	return 0;
}

static int
message_resend(struct request *r, const struct entry *e)
{
	char from[PATH_SIZE], to[PATH_SIZE];
	struct view pickup = { .end = ".eml" };
	char id[ID_SIZE];

	if (config_folder(r->v->conf, PICKUP, pickup.folder) == -1)
		return -1;
	path_of(r, from, &e->id, ".eml");
	snprintf(to, sizeof to, "%s/%s.eml", pickup.folder, id_text(&e->id, id));
	if (disk_rename(from, to) == -1)
		return -1;
	path_of(r, from, &e->id, ".txt");
	unlink(from);
	return 0;
}

/* Not while an operator holds it, or before its host asks for it. */
static int
message_retry(struct request *r, const struct entry *e)
{
	if (strcmp(r->view.end, ".held") == 0 || dests_keep(r->v, &e->id, &e->env)) {
		r->kept++;
		return 2;
	}
	looked_anew(r, e);
	return 0;
}

/* 0 done, 1 not now, 2 not at all, -1 errno. */
static int
message_act(struct request *r, const struct entry *e)
{
	int answer = 0;

	if (r->folder == QUEUE && (relays_send(r->v, &e->id) || spool_reports(r->v->spool, &e->id)))
		return 1;
	switch (r->verb) {
	case QUEUE_RETRY:
		answer = message_retry(r, e);
		break;
	case QUEUE_HOLD:
		answer = renamed(r, e, ".eml", ".held");
		break;
	case QUEUE_RELEASE:
		if ((answer = renamed(r, e, ".held", ".eml")) == 0)
			looked_anew(r, e);
		break;
	case QUEUE_FAIL:
		answer = message_fail(r, e);
		break;
	case QUEUE_REMOVE:
		answer = message_remove(r, e);
		break;
	default:
		answer = message_resend(r, e);
		break;
	}
	return answer;
}

static void
message_touch(struct request *r, const struct entry *e)
{
	int done = message_act(r, e);
	char id[ID_SIZE];

	if (done == 0) {
		r->done++;
		return;
	}
	if (done == 2)
		return;
	r->status = 1;
	if (done == 1)
		answer(r, '!', "%s is on its way at this moment; ask again", id_text(&e->id, id));
	else
		answer(r, '!', "%s: %s", id_text(&e->id, id), strerror(errno));
}

/* ---- all messages of a folder ---------------------------------------------------------------------------------------- */

/* Which names has the folder that the request is about?  What is held cannot
 * be held again, what is not cannot be released. */
static const char *
folder_end(const struct request *r, int pass)
{
	bool plain = r->verb != QUEUE_RELEASE, held = r->folder == QUEUE && r->verb != QUEUE_HOLD;

	return pass == 0 && plain ? ".eml" : pass == 1 && held ? ".held" : NULL;
}

/* The mailroot of one that stands still is opened as long as it is needed. */
static bool
mailroot_open(struct request *r)
{
	struct buf lines = { 0 };

	r->opened = false;
	if (!rows[r->row].acts || r->v->spool != NULL)
		return true;
	log_copy = &lines;
	r->opened = vserver_open(r->v) == 0;
	log_copy = NULL;
	if (!r->opened) {
		lines_told(r, &lines);
		r->status = EX_UNAVAILABLE;
	}
	buf_free(&lines);
	return r->opened;
}

static void
mailroot_close(struct request *r)
{
	view_close(&r->view);
	if (r->opened && r->v->state == STOPPED)	/* else it was started meanwhile */
		vserver_close(r->v);
	r->opened = false;
}

/* What waits for its host to ask (hold) goes, for a domain or all. */
static void
asked_for(struct request *r)
{
	const char *what = strcmp(r->about, "all") == 0 ? "" : r->about;
	struct destination *d = NULL;
	bool going = false;

	if (r->verb == QUEUE_RELEASE && r->v->delivers)
		while ((d = dests_asked(r->v, what, d)) != NULL)
			if (dest_ready(d) < d->count)
				r->done += (long long)dest_release(d, &going);
}

/* The next view: of this server, or of the next one.  False: there is none. */
static bool
view_advance(struct request *r)
{
	const char *end;

	for (;;) {
		view_close(&r->view);
		while (r->v != NULL && r->pass < 2)
			if ((end = folder_end(r, r->pass++)) != NULL && view_open(&r->view, r->v->conf, r->folder, end) == 0)
				return true;
		if (r->v != NULL)
			mailroot_close(r);
		do
			r->v = vserver_after(r, r->v);
		while (r->v != NULL && !mailroot_open(r));
		r->pass = 0;
		if (r->v == NULL)
			return false;
		asked_for(r);
	}
}

static void
progress(struct request *r)
{
	if (now.tick - r->told < TOLD_EVERY)
		return;
	r->told = now.tick;
	answer(r, '%', "%lld looked at, %lld %s", r->seen, r->done, rows[r->row].acts ? "done" : "found");
}

static const char *
done_word(enum verb verb)
{
	switch (verb) {
	case QUEUE_RETRY:   return "due now";
	case QUEUE_HOLD:    return "held";
	case QUEUE_RELEASE: return "released";
	case QUEUE_FAIL:    return "given up";
	case QUEUE_REMOVE:  return "removed";
	default:            return "moved to Pickup";
	}
}

static int
messages_finish(struct request *r)
{
	if (rows[r->row].acts)
		answer(r, ' ', "%lld %s %s", r->done, r->done == 1 ? "message" : "messages", done_word(r->verb));
	else if (r->done == 0 && *r->about != '\0')
		answer(r, '!', "no message has the ID or sender '%s', or a recipient in such a domain", r->about);
	else if (r->done == 0 && !r->json)
		answer(r, ' ', "%s is empty", r->folder == QUEUE ? "Queue" : "Badmail");
	if (r->kept > 0)
		answer(r, '!', "%lld held; 'queue release' lets such mail go", r->kept);
	if (r->idle > 0)
		answer(r, '!', "%lld of them will be tried when the server is started", r->idle);
	if (r->done == 0 && *r->about != '\0' && strcmp(r->about, "all") != 0)
		r->status = r->status ? r->status : 1;
	return finish(r, r->status);
}

/* Has the server that is looked at gone meanwhile? */
static bool
gone(const struct request *r)
{
	const struct vserver *v = vservers;

	while (v != NULL && v != r->v)
		v = v->next;
	return r->v != NULL && v == NULL;
}

static int
messages_step(struct request *r)
{
	struct entry e;

	if (rows[r->row].acts && r->v != NULL && r->v->spool == NULL) {
		answer(r, '!', "\"%s\" has stopped meanwhile; ask again", r->v->conf->name);
		r->opened = false;
		return finish(r, 1);
	}
	if (!names_turn(r))
		return 0;
	for (int i = 0; r->view.dir == NULL && i < TURN && r->out.len < OUT_OCTETS; i++) {
		if (r->v == NULL || view_next(&r->view, &e) == 0) {
			if (!view_advance(r))
				return messages_finish(r);
			continue;
		}
		r->seen++;
		if (!selected(r, &e)) {
			entry_free(&e);
			continue;
		}
		if (rows[r->row].acts)
			message_touch(r, &e);
		else if (r->verb == QUEUE_SHOW || r->verb == BADMAIL_SHOW)
			message_show(r, &e);
		else
			message_list(r, &e);
		r->done += !rows[r->row].acts;
		entry_free(&e);
	}
	progress(r);
	return 0;
}

/* ---- destinations ------------------------------------------------------------------------------------------------ */

static int
domains(struct request *r)
{
	const struct destination *d = NULL;
	char name[300], words[WORDS_SIZE], next[24];

	while ((d = dests_after(d)) != NULL) {
		if (!concerns(r, d->owner))
			continue;
		r->done++;
		if (r->json) {
			json_open(r);
			json_string(r, "server", d->owner->conf->name);
			json_string(r, "destination", d->name);
			json_number(r, "waiting", (long long)d->count);
			json_number(r, "connections", d->connections);
			json_number(r, "next", d->next);
			json_string(r, "reason", d->words ? d->words : "");
			json_close(r);
			continue;
		}
		answer(r, ' ', "%s: %lu waiting%s, %lld connected%s%s", text_safe(name, sizeof name, d->name, strlen(d->name)),
		    (unsigned long)d->count, dest_ready(d) < d->count ? " to be asked for" : "", d->connections, d->next > now.wall / 1000 ? ", next attempt in " : "",
		    d->next > now.wall / 1000 ? span(next, d->next - now.wall / 1000) : "");
		if (d->words != NULL)
			answer(r, ' ', "    %s", text_safe(words, sizeof words, d->words, strlen(d->words)));
	}
	if (r->done == 0 && !r->json)
		answer(r, ' ', "nothing waits for another server");
	return finish(r, 0);
}

/* ---- servers ---------------------------------------------------------------------------------------------------------- */

/* What he wants of it cannot be had in this state; NULL: it can. */
static const char *
server_refusal(const struct request *r, const struct vserver *v)
{
	if (r->verb == RESUME && v->state == STOPPED)
		return "is stopped; start it";
	if (r->verb == PAUSE && v->state != RUNNING && v->state != PAUSED)
		return "does not run";
	return v->state == STOPPING && r->verb != STOP ? "is stopping; ask again" : NULL;
}

static void
server_act(struct request *r, struct vserver *v)
{
	struct buf lines = { 0 };
	const char *refusal = server_refusal(r, v);
	bool all = strcmp(r->about, "all") == 0;

	r->done++;
	if (all && v->state == STOPPED && (r->verb == PAUSE || r->verb == RESUME))
		return;				/* nothing is wanted of this one */
	log_copy = &lines;
	if (refusal != NULL)
		answer(r, '!', "\"%s\" %s", v->conf->name, refusal);
	else if (r->verb == STOP)
		vserver_stop(v);
	else if (r->verb == PAUSE)
		vserver_pause(v);
	else if (vserver_start(v) == -1) {
		lines_told(r, &lines);
		refusal = "";
	}
	log_copy = NULL;
	buf_free(&lines);
	if (refusal != NULL)
		r->status = *refusal ? 1 : EX_UNAVAILABLE;
}

/* One that is stopping waits for what is on its way. */
static int
servers_wait(struct request *r)
{
	bool all = strcmp(r->about, "all") == 0;

	r->waits = 0;
	for (struct vserver *v = NULL; (v = vserver_after(r, v)) != NULL; )
		if (v->state == STOPPING && r->verb == STOP)
			r->waits = now.tick + STOP_LOOK;
	if (r->waits != 0) {
		progress(r);
		return 0;
	}
	for (struct vserver *v = NULL; (v = vserver_after(r, v)) != NULL; )
		if (v->state != LEAVING && (all || strcmp(v->conf->name, r->about) == 0))
			answer(r, ' ', "\"%s\" is %s", v->conf->name, vserver_state(v));
	return finish(r, r->status);
}

static int
servers_act(struct request *r)
{
	bool all = strcmp(r->about, "all") == 0;

	if (r->pass++ > 0)
		return servers_wait(r);
	for (struct vserver *v = NULL; (v = vserver_after(r, v)) != NULL; )
		if (v->state != LEAVING && (all || strcmp(v->conf->name, r->about) == 0))
			server_act(r, v);
	if (r->done > 0)
		return 0;
	answer(r, '!', "there is no server \"%s\" that you may operate; 'smtpd status' names those there are", r->about);
	return finish(r, 1);
}

/* ---- a request ----------------------------------------------------------------------------------------------------------- */

/* Its words, which a tab divides: flags first ("json", "server=NAME"), then
 * those of a row, then what it is about. */
static int
words_split(struct request *r)
{
	char *at = r->line.data;

	while (at != NULL && r->count < REQUEST_WORDS) {
		char *word = at;

		if ((at = strchr(at, '\t')) != NULL)
			*at++ = '\0';
		if (strcmp(word, "json") == 0 && r->count == 0)
			r->json = true;
		else if (strncmp(word, "server=", 7) == 0 && r->count == 0)
			r->server = word + 7;
		else
			r->words[r->count++] = word;
	}
	return at == NULL ? 0 : -1;
}

/* The row whose words these are; *n is how many. */
static int
row_find(struct request *r, int *n)
{
	char both[100] = "";

	for (int take = r->count > 1 ? 2 : 1; take > 0 && r->count > 0; take--) {
		snprintf(both, sizeof both, "%.40s%s%.40s", r->words[0], take == 2 ? " " : "", take == 2 ? r->words[1] : "");
		for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
			if (strcmp(rows[i].words, both) == 0) {
				*n = take;
				return (int)i;
			}
	}
	return -1;
}

static int
refuse(struct request *r, int status, const char *format, const char *word)
{
	answer(r, '!', format, word);
	finish(r, status);
	return -1;
}

/* He has said it wrong: how it is said. */
static int
refuse_words(struct request *r)
{
	const char *first = r->count ? r->words[0] : "";
	size_t n = strlen(first);

	answer(r, '!', "%.100s: it is one of these:", first);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strncmp(rows[i].words, first, n) == 0 && (rows[i].words[n] == ' ' || rows[i].words[n] == '\0'))
			answer(r, '!', "    %s%s%s", rows[i].words, rows[i].about ? " " : "", rows[i].about ? rows[i].about : "");
	finish(r, EX_USAGE);
	return -1;
}

static const char stranger[] = "you are no operator here; add your name to 'operators' at the top level of smtpd.conf";

int
request_admit(struct request *r)
{
	return may_operate(r, NULL) ? 0 : refuse(r, EX_NOPERM, stranger, "");
}

int
request_begin(struct request *r, const char *line)
{
	const char *about;
	int n = 0;

	r->server = r->about = "";
	if (buf_add(&r->line, line, strlen(line)) == -1 || words_split(r) == -1 || (r->row = row_find(r, &n)) == -1)
		return refuse_words(r);
	r->verb = rows[r->row].verb;
	about = rows[r->row].about;
	r->folder = r->verb >= BADMAIL_LIST && r->verb <= BADMAIL_RESEND ? BADMAIL : QUEUE;
	if (r->count > n)
		r->about = r->words[n];
	if (r->count > n + (about != NULL) || (about != NULL && *about != '[' && *r->about == '\0'))
		return refuse_words(r);
	if (r->verb == METRICS && r->json)
		return refuse(r, EX_USAGE, "%s: Prometheus' format is all it has; leave out --json", rows[r->row].words);
	if (rows[r->row].lives && r->alone)
		return refuse(r, EX_UNAVAILABLE, "%s: no server runs with this configuration; start it with 'smtpd -f FILE', or name its file by -f",
		    rows[r->row].words);
	if (r->verb != RELOAD && r->verb != SHUTDOWN && vserver_after(r, NULL) == NULL)
		return refuse(r, EX_NOPERM, *r->server ? "there is no server \"%s\" that you may operate" : stranger, r->server);
	return 0;
}

int
request_step(struct request *r)
{
	if (gone(r)) {
		view_close(&r->view);
		r->v = NULL;
		answer(r, '!', "the server has left meanwhile");
		return finish(r, 1);
	}
	switch (r->verb) {
	case STATUS:
		return status_step(r);
	case METRICS:
		metrics(r);
		return finish(r, 0);
	case SESSIONS:
		connections(r);
		return finish(r, 0);
	case SESSIONS_END:
		return connections_end(r);
	case QUEUE_DOMAINS:
		return domains(r);
	case START: case STOP: case PAUSE: case RESUME:
		return servers_act(r);
	case RELOAD:
		r->wish = WISH_RELOAD;
		return 0;
	case SHUTDOWN:
		r->wish = WISH_SHUTDOWN;
		return 0;
	default:
		return messages_step(r);
	}
}

void
request_granted(struct request *r, int status, const struct buf *lines)
{
	r->wish = WISH_NONE;
	lines_told(r, lines);
	for (const struct vserver *v = vservers; v != NULL && status == 0 && r->verb == RELOAD; v = v->next)
		status = v->failed && v->state != LEAVING ? EX_UNAVAILABLE : 0;
	if (r->verb == SHUTDOWN)
		answer(r, ' ', "the server ends");
	finish(r, status);
}

void
request_end(struct request *r)
{
	if (r->v != NULL && !gone(r))
		mailroot_close(r);
	view_close(&r->view);
	buf_free(&r->line);
	buf_free(&r->out);
}
