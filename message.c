/*
 * message.c - the text of a message.
 *
 * Three readers of octets that strangers wrote, and the writers beside them:
 *
 * The envelope block, with which every file of the mailroot begins:
 *
 *	x-sender: a@example.org                 none or "<>": the null sender
 *	x-sender-args: BODY=8BITMIME            when MAIL had parameters
 *	x-receiver: b@example.com               one a recipient; x-accepted or
 *	x-receiver-args: NOTIFY=NEVER           x-rejected once it is finished,
 *	                                        x-notified: open, the sender
 *	                                        knows that it is delayed;
 *	                                        x-resolved: accepted, those
 *	                                        behind him have another file
 *	Return-Path: <a@example.org>            ends the block
 *
 * The content, which arrives in any pieces and leaves with CR LF as its only
 * line end (content_take).
 *
 * The header of a Pickup file, RFC 5322 section 3, from which an envelope is
 * made where the file brings none (message_compose).
 */
#include "smtpd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_OCTETS     65536	/* of a file at first: mostly its envelope is in it */
#define AUTHOR_OCTETS   992	/* behind From: in a line */
#define TRACE_OCTETS    1000	/* of the Received field in a file of our own */

/* ---- the envelope -------------------------------------------------------- */

int
envelope_sender(struct envelope *e, const char *address, const char *args)
{
	free(e->sender);
	free(e->sender_args);
	e->sender_args = NULL;
	if ((e->sender = text_copy(address)) == NULL)
		return -1;
	if (args != NULL && *args != '\0' && (e->sender_args = text_copy(args)) == NULL)
		return -1;
	return 0;
}

int
envelope_add(struct envelope *e, const char *address, const char *args)
{
	struct recipient *r = grow(e->rcpt, &e->room, e->count, sizeof *r);

	if (r == NULL)
		return -1;
	e->rcpt = r;
	r += e->count;
	memset(r, 0, sizeof *r);
	if ((r->address = text_copy(address)) == NULL)
		return -1;
	if (args != NULL && *args != '\0' && (r->args = text_copy(args)) == NULL) {
		free(r->address);
		return -1;
	}
	e->count++;
	return 0;
}

/* Domains compare case-blind, local parts by the octet: RFC 5321 2.4. */
static bool
same_mailbox(const char *a, const char *b)
{
	const char *at = strrchr(a, '@'), *bt = strrchr(b, '@');

	if (at == NULL || bt == NULL)
		return at == bt && strcmp(a, b) == 0;
	return at - a == bt - b && memcmp(a, b, (size_t)(at - a)) == 0 && text_compare(at, bt) == 0;
}

bool
envelope_has(const struct envelope *e, const char *address)
{
	for (size_t i = 0; i < e->count; i++)
		if (same_mailbox(e->rcpt[i].address, address))
			return true;
	return false;
}

static void
recipient_free(struct recipient *r)
{
	free(r->address);
	free(r->args);
	free(r->words);
	free(r->host);
}

/* A list that was expanded may have a member of its own name. */
static int
same_order(const struct recipient *r, const struct recipient *s)
{
	int order = strcmp(r->address, s->address);

	return order != 0 ? order : args_have(r->args, "EXPANDED") - args_have(s->args, "EXPANDED");
}

/* Of the same, who is to stay comes first, then by place. */
static int
by_address(const void *a, const void *b)
{
	const struct recipient *r = *(struct recipient *const *)a, *s = *(struct recipient *const *)b;
	int order = same_order(r, s);

	return order != 0 ? order : r->chosen != s->chosen ? r->chosen - s->chosen : r < s ? -1 : 1;
}

int
envelope_once(struct envelope *e)
{
	struct recipient **sorted = memory(NULL, (e->count + 1) * sizeof *sorted);
	size_t left = 0;

	if (sorted == NULL)
		return -1;
	for (size_t i = 0; i < e->count; i++)
		sorted[i] = &e->rcpt[i];
	qsort(sorted, e->count, sizeof *sorted, by_address);
	for (size_t i = 1; i < e->count; i++)
		if (same_order(sorted[i - 1], sorted[i]) == 0)
			sorted[i]->chosen = true;
	free(sorted);
	for (size_t i = 0; i < e->count; i++)
		if (e->rcpt[i].chosen)
			recipient_free(&e->rcpt[i]);
		else
			e->rcpt[left++] = e->rcpt[i];
	e->count = left;
	return 0;
}

void
envelope_choose_none(struct envelope *e)
{
	for (size_t i = 0; i < e->count; i++)
		e->rcpt[i].chosen = false;
}

void
envelope_free(struct envelope *e)
{
	for (size_t i = 0; i < e->count; i++)
		recipient_free(&e->rcpt[i]);
	free(e->rcpt);
	free(e->sender);
	free(e->sender_args);
	memset(e, 0, sizeof *e);
}

char *
envelope_text(const struct envelope *e, enum outcome outcome, char *out, size_t size)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < e->count; i++) {
		char safe[200];

		if (e->rcpt[i].outcome != outcome)
			continue;
		text_safe(safe, sizeof safe, e->rcpt[i].address, strlen(e->rcpt[i].address));
		if (at + strlen(safe) + 8 > size) {
			memcpy(out + at, ",...", 5);
			break;
		}
		at += (size_t)snprintf(out + at, size - at, "%s<%s>", at ? "," : "", safe);
	}
	return out;
}

size_t
envelope_open(const struct envelope *e)
{
	size_t n = 0;

	for (size_t i = 0; i < e->count; i++)
		n += e->rcpt[i].outcome == RCPT_OPEN;
	return n;
}

void
recipient_outcome(struct recipient *r, enum outcome outcome, const char *words, const char *host)
{
	free(r->words);
	free(r->host);
	r->words = words ? text_copy(words) : NULL;	/* out of memory: without them */
	r->host = host ? text_copy(host) : NULL;
	r->outcome = outcome;
}

int
envelope_write(struct envelope *e, struct buf *b)
{
	if (buf_addf(b, "x-sender: %s\r\n", *e->sender ? e->sender : "<>") == -1)
		return -1;
	if (e->sender_args && *e->sender_args && buf_addf(b, "x-sender-args: %s\r\n", e->sender_args) == -1)
		return -1;
	for (size_t i = 0; i < e->count; i++) {
		struct recipient *r = &e->rcpt[i];

		if (r->outcome != RCPT_OPEN)
			continue;
		r->mark = (off_t)b->len;
		if (buf_addf(b, "x-%s: %s\r\n", r->notified ? "notified" : "receiver", r->address) == -1)
			return -1;
		if (r->args && *r->args && buf_addf(b, "x-receiver-args: %s\r\n", r->args) == -1)
			return -1;
	}
	return buf_addf(b, "Return-Path: <%s>\r\n", e->sender);
}

/* A line of the block, split: the name's length, and the value trimmed. */
struct block_line {
	const char *name;
	size_t name_len;
	char value[ARGS_OCTETS + 1];
	size_t length;			/* with its end */
};

/* 1 a line; 0 nothing that could be a line of the block, or no whole line. */
static int
block_line(struct block_line *l, const char *text, size_t n)
{
	const char *lf = memchr(text, '\n', n), *colon, *end;
	size_t len;

	if (lf == NULL || (colon = memchr(text, ':', (size_t)(lf - text))) == NULL)
		return 0;
	l->name = text;
	l->name_len = (size_t)(colon - text);
	l->length = (size_t)(lf - text) + 1;
	end = lf > text && lf[-1] == '\r' ? lf - 1 : lf;
	for (colon++; colon < end && (*colon == ' ' || *colon == '\t'); colon++)
		;
	while (end > colon && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	len = (size_t)(end - colon);
	if (len > ARGS_OCTETS)
		return 0;
	memcpy(l->value, colon, len);
	l->value[len] = '\0';
	return strlen(l->value) == len;
}

static bool
named(const struct block_line *l, const char *name)
{
	return l->name_len == strlen(name) && text_prefix(l->name, name);
}

/* Parameters are printable (ORCPT may have UTF-8, RFC 6533); what they mean is
 * for those who act on them to say. */
static bool
args_valid(const char *args)
{
	for (const char *c = args; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 127)
			return false;
	return utf8_valid(args, strlen(args));
}

void
args_drop(char *args, const char *word)
{
	size_t n = strlen(word);
	char *to = args;

	while (args != NULL && *args != '\0') {
		size_t length = strcspn(args, " "), with = length + strspn(args + length, " ");

		if (length < n || !text_prefix(args, word) || (length > n && args[n] != '=')) {
			memmove(to, args, with);
			to += with;
		}
		args += with;
	}
	if (to != NULL)
		*to = '\0';
}

bool
args_have(const char *args, const char *word)
{
	size_t n = strlen(word);

	for (; args != NULL && *args != '\0'; args += strspn(args, " ")) {
		if (text_prefix(args, word) && (args[n] == ' ' || args[n] == '\0'))
			return true;
		args += strcspn(args, " ");
	}
	return false;
}

bool
args_value(const char *args, const char *name, char *value)
{
	size_t n = strlen(name), len;

	for (; args != NULL && *args != '\0'; args += len + strspn(args + len, " ")) {
		len = strcspn(args, " ");
		if (len < n + 2 || !text_prefix(args, name) || args[n] != '=')
			continue;
		memcpy(value, args + n + 1, len - n - 1);
		value[len - n - 1] = '\0';
		return true;
	}
	return false;
}

/* An address of the block, a bare local part completed. */
static int
block_path(struct path *p, const struct block_line *l, const char *domain)
{
	if (path_parse(p, l->value) == -1)
		return -1;
	return p->text[0] != '\0' && p->domain == NULL && domain != NULL ? path_complete(p, domain) : 0;
}

static int
block_recipient(struct envelope *e, const struct block_line *l, enum outcome outcome,
    const char *domain, const char **why)
{
	struct path p;

	*why = "a line of the envelope has an address that is none";
	if (block_path(&p, l, domain) == -1 || p.text[0] == '\0')
		return -1;
	*why = NULL;
	if (envelope_add(e, p.text, NULL) == -1)
		return -1;
	e->rcpt[e->count - 1].outcome = outcome;
	return 0;
}

static int
block_args(char **to, const char *args, const char **why)
{
	*why = "the envelope has parameters that are not printable";
	if (!args_valid(args))
		return -1;
	*why = NULL;
	free(*to);
	return (*to = text_copy(args)) == NULL ? -1 : 0;
}

static int
block_sender(struct envelope *e, const struct block_line *l, const char *domain, const char **why)
{
	struct path p = { "", NULL, false };

	*why = "the envelope's sender is no address";
	if (e->sender != NULL || (*l->value != '\0' && block_path(&p, l, domain) == -1))
		return -1;
	*why = NULL;
	return envelope_sender(e, p.text, NULL);
}

/* An unreadable mark counts as not finished: "x-" and eight octets more that
 * are none of our words, behind a recipient, in a file of our own. */
static bool
mark_torn(const struct envelope *e, const struct block_line *l)
{
	return e->count > 0 && l->name_len == 10 && l->name[0] == 'x' && l->name[1] == '-';
}

/* Take one line: 1 it belonged to the block, 0 it did not, -1 *why. */
static int
block_take(struct envelope *e, const struct block_line *l, const char *domain, const char **why)
{
	int answer;

	if (named(l, "x-sender"))
		answer = block_sender(e, l, domain, why);
	else if (named(l, "x-receiver"))
		answer = block_recipient(e, l, RCPT_OPEN, domain, why);
	else if (named(l, "x-accepted"))
		answer = block_recipient(e, l, RCPT_ACCEPTED, domain, why);
	else if (named(l, "x-rejected"))
		answer = block_recipient(e, l, RCPT_REJECTED, domain, why);
	else if (named(l, "x-resolved")) {
		if ((answer = block_recipient(e, l, RCPT_ACCEPTED, domain, why)) == 0)
			e->rcpt[e->count - 1].passed = true;
	} else if (named(l, "x-notified")) {
		if ((answer = block_recipient(e, l, RCPT_OPEN, domain, why)) == 0)
			e->rcpt[e->count - 1].notified = domain == NULL;
	} else if (named(l, "x-sender-args") && e->sender != NULL)
		answer = block_args(&e->sender_args, l->value, why);
	else if (named(l, "x-receiver-args") && e->count > 0)
		answer = block_args(&e->rcpt[e->count - 1].args, l->value, why);
	else if (domain == NULL && mark_torn(e, l))
		answer = block_recipient(e, l, RCPT_OPEN, domain, why);
	else
		return 0;
	return answer == -1 ? -1 : 1;
}

/* Our own block ends in a Return-Path with its sender; somebody else's header
 * may begin with one of its own. */
static bool
block_ends(const struct envelope *e, const struct block_line *l)
{
	struct path p = { "", NULL, false };

	return named(l, "Return-Path") && e->sender != NULL &&
	    path_parse(&p, l->value) == 0 && strcmp(p.text, e->sender) == 0;
}

long
envelope_read(struct envelope *e, const char *text, size_t n, const char *domain, const char **why)
{
	struct block_line l;
	size_t at = 0;
	int taken = 1;

	memset(e, 0, sizeof *e);
	*why = NULL;
	while (taken == 1 && block_line(&l, text + at, n - at)) {
		size_t before = e->count;

		taken = block_take(e, &l, domain, why);
		if (e->count > before)
			e->rcpt[before].mark = (off_t)at;
		if (taken == 0)
			e->complete = block_ends(e, &l);
		if (taken == 1 || e->complete)
			at += l.length;
	}
	if (taken != -1)
		return (long)at;
	envelope_free(e);
	return -1;
}

long
envelope_load(int fd, struct envelope *e, const char **why)
{
	size_t size = READ_OCTETS, have = 0;
	char *text = NULL, *more;
	long length = -1;
	ssize_t n = 1;

	*why = NULL;
	while (length == -1 && n > 0 && (more = memory(text, size)) != NULL) {
		text = more;
		while (have < size && (n = pread(fd, text + have, size - have, (off_t)have)) > 0)
			have += (size_t)n;
		if ((length = envelope_read(e, text, have, NULL, why)) == -1)
			break;
		if (e->complete && e->count > 0)
			break;
		envelope_free(e);
		length = -1;
		if (n == 0 || (size *= 2) > ENVELOPE_OCTETS) {
			*why = "its envelope ends too early; the file is torn";
			break;
		}
	}
	free(text);
	return length;
}

/* ---- content ------------------------------------------------------------- */

enum content_state {
	AT_LINE,		/* at the beginning of a line */
	IN_LINE,		/* within one */
	SEEN_CR,		/* within one, CR held back */
	SEEN_DOT,		/* line is "." so far, dot held back */
	SEEN_DOT_CR		/* line is "." CR so far, both held back */
};

void
content_begin(struct content *c, bool stuffed, bool raw, bool last_crlf)
{
	memset(c, 0, sizeof *c);
	c->stuffed = stuffed;
	c->raw = raw;
	c->after_crlf = last_crlf;
	c->in_header = true;
}

/* Watch the header go by: count Received fields, notice its end.  match is
 * how much of the name this line has shown, or NO_MATCH. */
static void
header_watch(struct content *c, const char *octets, size_t n)
{
	static const char name[] = "received:";
	enum { WHOLE = sizeof name - 1, NO_MATCH };

	for (; n > 0 && c->in_header; octets++, n--) {
		if (*octets == '\n') {
			c->in_header = c->match != 0;
			c->match = 0;
			c->header = c->in_header ? 0 : c->size - (long long)n + 1;
		} else if (*octets != '\r' && c->match < WHOLE) {
			c->match = text_lower(*octets) == name[c->match] ? c->match + 1 : NO_MATCH;
			c->hops += c->match == WHOLE;
		}
	}
}

static int
put(struct content *c, struct buf *out, const char *octets, size_t n)
{
	if (buf_add(out, octets, n) == -1)
		return -1;
	c->size += (long long)n;
	if (c->in_header)
		header_watch(c, octets, n);
	return 0;
}

/* The octets up to the next CR or LF. */
static size_t
run(const char *in, size_t n)
{
	const char *end = memchr(in, '\n', n);

	if (end != NULL)
		n = (size_t)(end - in);
	if ((end = memchr(in, '\r', n)) != NULL)
		n = (size_t)(end - in);
	return n;
}

static int
line_end(struct content *c, struct buf *out, bool crlf)
{
	c->state = AT_LINE;
	c->after_crlf = crlf;
	c->stray |= !crlf;
	return put(c, out, "\r\n", 2);
}

/* A CR that no LF follows: a space in its place.  It must never leave us. */
static int
stray_cr(struct content *c, struct buf *out)
{
	c->state = IN_LINE;
	c->stray = true;
	return put(c, out, " ", 1);
}

/* The held-back octets of state decide with the next one, o: 1 the end, 0
 * consumed, 2 look at o again in the new state, -1 out of memory. */
static int
content_held(struct content *c, char o, struct buf *out)
{
	switch (c->state) {
	case AT_LINE:
		c->state = o == '.' && c->stuffed ? SEEN_DOT : IN_LINE;
		return c->state == SEEN_DOT ? 0 : 2;
	case SEEN_CR:
		if (o == '\n')
			return line_end(c, out, true);
		return stray_cr(c, out) == -1 ? -1 : 2;
	case SEEN_DOT:
		c->state = o == '\r' ? SEEN_DOT_CR : IN_LINE;
		if (o == '\r')
			return 0;
		if (o != '\n')
			return 2;		/* the dot was stuffing */
		if (c->either)
			return 1;
		/* "." LF is no end of data, but a line with a dot on it. */
		return put(c, out, ".", 1) == -1 ? -1 : line_end(c, out, false);
	default:	/* SEEN_DOT_CR */
		if (o == '\n' && (c->after_crlf || c->either))
			return 1;		/* CR LF . CR LF */
		if (o == '\n')			/* LF . CR LF is content too */
			return put(c, out, ".", 1) == -1 ? -1 : line_end(c, out, true);
		return stray_cr(c, out) == -1 ? -1 : 2;
	}
}

int
content_take(struct content *c, const char *in, size_t n, size_t *used, struct buf *out)
{
	size_t at = 0, len;
	int answer;

	if (c->raw) {
		*used = n;
		return put(c, out, in, n);
	}
	while (at < n) {
		if (c->state != IN_LINE) {
			answer = content_held(c, in[at], out);
			at += answer != 2 && answer != -1;
			*used = at;
			if (answer == 1 || answer == -1)
				return answer;
			continue;
		}
		len = run(in + at, n - at);
		if (put(c, out, in + at, len) == -1)
			return -1;
		at += len;
		if (at < n && in[at] == '\r')
			c->state = SEEN_CR;
		else if (at < n && line_end(c, out, false) == -1)
			return -1;
		at += at < n;
	}
	*used = n;
	return 0;
}

int
content_end(struct content *c, struct buf *out)
{
	if (c->raw || c->state == AT_LINE)
		return 0;
	if (c->state == SEEN_CR && stray_cr(c, out) == -1)
		return -1;
	return line_end(c, out, true);
}

int
content_stuff(struct buf *out, const char *octets, size_t n, bool *start)
{
	while (n > 0) {
		const char *lf = memchr(octets, '\n', n);
		size_t len = lf ? (size_t)(lf - octets) + 1 : n;

		if ((*start && *octets == '.' && buf_add(out, ".", 1) == -1) || buf_add(out, octets, len) == -1)
			return -1;
		*start = lf != NULL;
		octets += len;
		n -= len;
	}
	return 0;
}

/* ---- header fields -------------------------------------------------------- */

struct field {
	const char *start;		/* the whole of it, line ends and folds */
	size_t length;
	size_t name_len;		/* 0: a line that is no field */
	const char *value;
	size_t value_len;
};

/* Length of the line at text, its end counted. */
static size_t
line_length(const char *text, size_t n)
{
	const char *lf = memchr(text, '\n', n);

	return lf ? (size_t)(lf - text) + 1 : n;
}

static bool
line_empty(const char *text, size_t n)
{
	return n == 0 || text[0] == '\n' || (n > 1 && text[0] == '\r' && text[1] == '\n');
}

/* The field at *at, which moves behind it; false at the end of the header. */
static bool
field_next(const char *text, size_t n, size_t *at, struct field *f)
{
	const char *from = text + *at;
	size_t left = n - *at, len, name = 0;

	if (left == 0 || line_empty(from, left))
		return false;
	len = line_length(from, left);
	while (len < left && (from[len] == ' ' || from[len] == '\t') && !line_empty(from + len, left - len))
		len += line_length(from + len, left - len);
	while (name < len && from[name] > ' ' && from[name] < 127 && from[name] != ':')
		name++;
	f->start = from;
	f->length = len;
	f->value = memchr(from + name, ':', len - name);
	/* Spaces may stand before the colon: RFC 5322 4.5. */
	for (size_t i = name; f->value && from + i < f->value; i++)
		if (from[i] != ' ' && from[i] != '\t')
			f->value = NULL;
	f->name_len = f->value ? name : 0;
	if (f->value != NULL)
		f->value++;
	f->value_len = f->value ? len - (size_t)(f->value - from) : 0;
	*at += len;
	return true;
}

static bool
field_is(const struct field *f, const char *name)
{
	return f->name_len == strlen(name) && text_prefix(f->start, name);
}

bool
message_has_body(const char *text, size_t n)
{
	struct field f;
	size_t at = 0;

	while (field_next(text, n, &at, &f))
		;
	return at < n;
}

/*
 * The addresses of a field, RFC 5322 3.4, one at each call: display names,
 * comments, groups and folds are passed over.  `element` collects what stands
 * between two commas; a '<' begins it anew.
 */
struct address_list {
	const char *at, *end;
	const char *last;		/* behind the last octet of the address */
};

#define ELEMENT_OCTETS (PATH_OCTETS * 2)

/* Behind a comment that begins here; they nest. */
static const char *
skip_comment(const char *at, const char *end)
{
	int depth = 0;

	for (; at < end; at++) {
		if (*at == '\\' && at + 1 < end)
			at++;
		else if (*at == '(')
			depth++;
		else if (*at == ')' && --depth == 0)
			return at + 1;
	}
	return end;
}

/* Behind a quoted string or a domain literal that begins here, or end. */
static const char *
skip_quoted(const char *at, const char *end, char close)
{
	for (at++; at < end && *at != close; at++)
		if (*at == '\\' && at + 1 < end)
			at++;
	return at < end ? at + 1 : end;
}

struct element {
	char text[ELEMENT_OCTETS + 1];
	size_t n;
	bool angle, closed;		/* a '<' was seen; and its '>' */
};

static int
element_put(struct element *e, const char *from, size_t n)
{
	if (e->closed)
		return 0;		/* what follows '>' is no address */
	if (n > ELEMENT_OCTETS - e->n)
		return e->angle ? -1 : 0;	/* a long display name is fine */
	memcpy(e->text + e->n, from, n);
	e->n += n;
	return 0;
}

static bool
blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* White space may stand round dots and at-signs (RFC 5322 4.4), nowhere else
 * in an address: then the space stays and the address is refused. */
static void
element_space(struct element *e, const char *next, const char *end)
{
	char last = e->n > 0 ? e->text[e->n - 1] : '.';

	if (e->n > 0 && next < end && !strchr(".@<>,;: \t\r\n(", *next) && !strchr(".@<:", last))
		element_put(e, " ", 1);
}

/* 1: p is the next address; 0: no more; -1: what stands there is none. */
static int
address_next(struct address_list *l, struct path *p)
{
	struct element e = { "", 0, false, false };

	while (l->at < l->end) {
		const char *from = l->at;

		if (*from == '(') {
			l->at = skip_comment(from, l->end);
			element_space(&e, l->at, l->end);
		} else if (blank(*from)) {
			while (l->at < l->end && blank(*l->at))
				l->at++;
			element_space(&e, l->at, l->end);
		} else if (*from == '"' || *from == '[') {
			l->at = skip_quoted(from, l->end, *from == '[' ? ']' : '"');
			if (element_put(&e, from, (size_t)(l->at - from)) == -1)
				return -1;
			l->last = e.closed ? l->last : l->at;
		} else if (*from == '<' && !e.angle) {
			e.n = 0;
			e.angle = true;
			l->at++;
		} else if (*from == '>' && e.angle) {
			e.closed = true;
			l->at++;
		} else if (*from == ':' && !e.angle) {
			e.n = 0;		/* that was a group's name */
			l->at++;
		} else if ((*from == ',' || *from == ';') && (!e.angle || e.closed)) {
			l->at++;
			if (e.n > 0)
				break;
			e.angle = e.closed = false;
		} else if (element_put(&e, l->at++, 1) == -1)
			return -1;
		else
			l->last = e.closed ? l->last : l->at;
	}
	if (e.n == 0)
		return 0;
	e.text[e.n] = '\0';
	/* A source route may stand within the brackets: let path_read see it. */
	if (e.text[0] == '@' && e.n + 2 <= ELEMENT_OCTETS) {
		memmove(e.text + 1, e.text, e.n);
		e.text[0] = '<';
		memcpy(e.text + e.n + 1, ">", 2);
	}
	return path_parse(p, e.text) == -1 ? -1 : 1;
}

/* ---- Pickup ---------------------------------------------------------------- */

/* What the header said, for the envelope and for completion. */
struct header {
	struct field from, sender, resender;
	bool date, id, resent;
	size_t end;			/* its empty line; or see header_read */
};

const char no_recipients[] = "it has no recipients: no address in To, Cc or Bcc, no x-receiver line";
static const char too_many[] = "it has more recipients than max-recipients allows";

/* Call it Resent-NAME too. */
static bool
field_is_either(const struct field *f, const char *name)
{
	return field_is(f, name) || (f->name_len == strlen(name) + 7 &&
	    text_prefix(f->start, "Resent-") && text_prefix(f->start + 7, name));
}

int
envelope_addresses(struct envelope *e, const char *text, size_t n, const struct server *s, const char **why)
{
	struct address_list l = { text, text + n, NULL };
	struct path p;
	int answer;

	while ((answer = address_next(&l, &p)) == 1) {
		if (p.domain == NULL && path_complete(&p, s->home->name) == -1) {
			answer = -1;
			break;
		}
		if (envelope_has(e, p.text))
			continue;
		*why = too_many;
		if ((long long)e->count == s->max_recipients)
			return -1;
		*why = NULL;
		if (envelope_add(e, p.text, NULL) == -1)
			return -1;
	}
	*why = "among its recipients is something that is no address";
	return answer;
}

/* The envelope's sender: Sender in preference to From, RFC 5322 3.6.2; of who
 * sent it on, before both. */
static int
header_sender(struct envelope *e, const struct header *h, const char *domain, const char **why)
{
	const struct field *f = h->resent && h->resender.start ? &h->resender : h->sender.start ? &h->sender : &h->from;
	struct address_list l = { f->value, f->value + f->value_len, NULL };
	struct path p;

	*why = "its From or Sender has no address that can be read";
	if (f->start == NULL || address_next(&l, &p) != 1)
		return -1;
	if (p.domain == NULL && path_complete(&p, domain) == -1)
		return -1;
	*why = NULL;
	return envelope_sender(e, p.text, NULL);
}

static void
header_note(struct header *h, const struct field *f)
{
	if (field_is(f, "From") && h->from.start == NULL)
		h->from = *f;
	else if (field_is(f, "Sender") && h->sender.start == NULL)
		h->sender = *f;
	else if (field_is(f, "Resent-Sender") || (field_is(f, "Resent-From") && h->resender.start == NULL))
		h->resender = *f;
	h->date |= field_is(f, "Date");
	h->id |= field_is(f, "Message-ID");
	h->resent |= field_is(f, "Resent-To") || field_is(f, "Resent-Cc") || field_is(f, "Resent-Bcc");
}

/* What a person types may be all body, without an empty line before it; in a
 * file a line that is no field is somebody's mistake, and is handed on. */
static void
header_read(struct header *h, const struct draft *d)
{
	struct field f;
	size_t at = 0;

	memset(h, 0, sizeof *h);
	while (field_next(d->text, d->n, &at, &f) && (f.name_len > 0 || d->from == NULL)) {
		header_note(h, &f);
		h->end = at;
	}
	h->resent &= d->spoken;
}

/* Of a message that was sent on, only those to whom it was. */
static bool
is_recipient_field(const struct header *h, const struct field *f)
{
	return h->resent ? field_is(f, "Resent-To") || field_is(f, "Resent-Cc") || field_is(f, "Resent-Bcc") :
	    field_is(f, "To") || field_is(f, "Cc") || field_is(f, "Bcc");
}

/* Make the envelope complete from the header. */
static int
envelope_fill(struct envelope *e, const struct header *h, const struct draft *d, const char **why)
{
	const struct server *s = d->server;
	struct field f;
	size_t at = 0;

	while (d->extract && field_next(d->text, h->end, &at, &f))
		if (is_recipient_field(h, &f) && envelope_addresses(e, f.value, f.value_len, s, why) == -1)
			return -1;
	*why = "it has no From field; a message needs a sender";
	if (h->from.start == NULL && d->from == NULL && !e->complete)
		return -1;
	if (e->sender == NULL && header_sender(e, h, s->home->name, why) == -1)
		return -1;
	*why = too_many;
	if ((long long)e->count > s->max_recipients)
		return -1;
	*why = no_recipients;
	if (e->count == 0)
		return -1;
	*why = "all its recipients are marked as served";
	return envelope_open(e) == 0 ? -1 : 0;
}

/* BODY and SMTPUTF8 as the message needs them, RFC 6152 and RFC 6531. */
static int
envelope_parameters(struct envelope *e, const struct draft *d)
{
	bool utf8 = eight_bit(e->sender, strlen(e->sender)), eight;
	char value[ARGS_OCTETS + 1];
	struct buf args = { 0 };

	for (size_t i = 0; i < e->count; i++)
		utf8 |= eight_bit(e->rcpt[i].address, strlen(e->rcpt[i].address));
	eight = (utf8 || eight_bit(d->text, d->n)) && !args_value(e->sender_args, "BODY", value);
	utf8 = utf8 && !args_have(e->sender_args, "SMTPUTF8");
	if (!eight && !utf8)
		return 0;
	if (buf_addf(&args, "%s%s%s%s%s", e->sender_args ? e->sender_args : "", e->sender_args ? " " : "",
	    eight ? "BODY=8BITMIME" : "", eight && utf8 ? " " : "", utf8 ? "SMTPUTF8" : "") == -1)
		return -1;
	free(e->sender_args);
	e->sender_args = args.data;
	return 0;
}

/* A field, with this domain behind each bare local part in it; one that would need
 * SMTPUTF8, or that an encoded-word begins, stays. */
static int
field_complete(const struct field *f, const char *domain, struct buf *out)
{
	struct address_list l = { f->value, f->value + f->value_len, NULL };
	const char *from = f->start;
	struct path p;

	while (address_next(&l, &p) == 1)
		if (p.domain == NULL && !p.eight && strncmp(p.text, "=?", 2) != 0) {
			if (buf_add(out, from, (size_t)(l.last - from)) == -1 || buf_addf(out, "@%s", domain) == -1)
				return -1;
			from = l.last;
		}
	return buf_add(out, from, (size_t)(f->start + f->length - from));
}

/* The header that somebody wrote: without Bcc, its addresses complete, and an
 * empty line behind it. */
static int
header_copy(const struct header *h, struct content *c, struct buf *out, const struct draft *d)
{
	static const char *const addresses[] = { "From", "Sender", "Reply-To", "To", "Cc" };
	struct buf line = { 0 };
	size_t at = 0, used, i;
	struct field f;
	int answer = 0;

	while (answer == 0 && field_next(d->text, h->end, &at, &f)) {
		if (field_is_either(&f, "Bcc"))
			continue;
		for (i = 0; i < 5 && !field_is_either(&f, addresses[i]); i++)
			;
		line.len = 0;
		answer = i < 5 && d->spoken ? field_complete(&f, d->server->home->name, &line) : buf_add(&line, f.start, f.length);
		if (answer == 0)
			answer = content_take(c, line.data, line.len, &used, out);
	}
	buf_free(&line);
	if (answer == 0 && at < d->n && !line_empty(d->text + at, d->n - at))
		answer = content_take(c, "\n", 1, &used, out);
	return answer;
}

/* The message as it goes into its file: ours as it is, somebody's made whole. */
static int
message_copy(const struct envelope *e, const struct header *h, struct buf *out, const struct draft *d, const char **why)
{
	size_t at = e->complete ? 0 : h->end, used;
	struct content c;

	content_begin(&c, false, args_have(e->sender_args, "BODY=BINARYMIME"), true);
	if ((!e->complete && header_copy(h, &c, out, d) == -1) ||
	    content_take(&c, d->text + at, d->n - at, &used, out) == -1 || content_end(&c, out) == -1)
		return -1;
	if (c.hops <= d->server->max_hops)
		return 0;
	*why = "it has more Received fields than max-hops allows: it is going round in circles";
	return -1;
}

/* What a header must have: a date, a name, and an author, if a line has room for him. */
static int
header_complete(const struct header *h, struct buf *out, const struct draft *d)
{
	char date[DATE_SIZE];

	if (!h->date && buf_addf(out, "Date: %s\r\n", date_text(date, now.wall / 1000)) == -1)
		return -1;
	if (!h->id && buf_addf(out, "Message-ID: <%s@%s>\r\n", d->id, d->server->hostname) == -1)
		return -1;
	return h->from.start == NULL && d->from != NULL && strlen(d->from) <= AUTHOR_OCTETS ? buf_addf(out, "From: %s\r\n", d->from) : 0;
}

int
message_header(struct buf *out, const struct draft *d)
{
	struct content c;
	struct header h;
	size_t used;

	header_read(&h, d);
	content_begin(&c, false, false, true);
	if (header_complete(&h, out, d) == -1 || header_copy(&h, &c, out, d) == -1)
		return -1;
	return content_take(&c, d->text + h.end, d->n - h.end, &used, out) == -1 ? -1 : 0;
}

int
message_complete(struct envelope *e, struct buf *out, const struct draft *d, const char **why)
{
	struct header h;

	header_read(&h, d);
	if (envelope_fill(e, &h, d, why) == -1)
		return -1;
	*why = NULL;
	if (envelope_parameters(e, d) == -1)
		return -1;
	if (!e->complete && header_complete(&h, out, d) == -1)
		return -1;
	return message_copy(e, &h, out, d, why);
}

int
message_compose(struct envelope *e, struct buf *out, const char *text, size_t n,
    const struct server *server, const char *id, const char **why)
{
	struct draft d = { .server = server, .id = id };
	long block;

	if ((block = envelope_read(e, text, n, server->home->name, why)) == -1)
		return -1;
	for (size_t i = 0; i < e->count; i++)	/* who was rejected is tried anew */
		if (e->rcpt[i].outcome == RCPT_REJECTED)
			e->rcpt[i].outcome = RCPT_OPEN;
	d.text = text + block;
	d.n = n - (size_t)block;
	d.extract = e->count == 0;
	*why = "it is larger than max-size allows";
	if ((long long)d.n - (e->complete ? TRACE_OCTETS : 0) > server->max_size)
		return -1;
	return message_complete(e, out, &d, why);
}
