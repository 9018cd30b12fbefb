/*
 * mime.c - a message with octets above 127 made one without, for a next hop
 * that takes no others: RFC 6152 section 3.  Entities (RFC 2045) that have
 * none are copied; where readers are known to differ, it is refused.
 *
 * Every range of text here ends in LF, and behind a header that is looked into
 * there is an octet above 127: the str functions go no further.
 */
#include "smtpd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH          16	/* of entities in the message */
#define READ_OCTETS    32768
#define CONVERT_OCTETS (64 << 20)	/* of a message that is made 7-bit */

static const char *
line_behind(const char *at, const char *end)
{
	return (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
}

/* The value of a field; end: there is none; NULL: it is empty, or there are two. */
static const char *
field(const char *at, const char *end, const char *name)
{
	const char *value = end;
	size_t n = strlen(name);

	for (; at < end; at = line_behind(at, end))
		if (text_prefix(at, name))
			value = value == end ? at + n + strspn(at + n, " \t\r\n") : end + 1;
	return value > end ? NULL : value;
}

/* A '-' that begins a line is encoded too, lest it begin a delimiter. */
static int
quoted_printable(const char *at, const char *end, struct buf *out)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t column = 0;

	for (; at < end; at++) {
		unsigned char c = (unsigned char)*at;
		char code[] = { '=', hex[c >> 4], hex[c & 15] };
		bool over = c == '\r' || c == '\n', soft = column > 72 && !over;
		bool plain = over || (c == ' ' || c == '\t' ? at[1] != '\r' :
		    c > ' ' && c < 127 && c != '=' && (c != '-' || (column > 0 && !soft)));

		buf_add(out, "=\r\n", soft ? 3 : 0);
		buf_add(out, plain ? at : code, plain ? 1 : 3);
		column = over ? 0 : (soft ? 0 : column) + (plain ? 1 : 3);
	}
	return 0;
}

static int entity(const char *at, const char *end, bool whole, int depth, struct buf *out);

/* What is in no part has no header to say how it is encoded.  A boundary that
 * is misread is found nowhere, and then nothing is in one. */
static int
parts(const char *boundary, const char *at, const char *end, int depth, struct buf *out)
{
	const char *from = at, *next, *c;
	enum { BEFORE, IN_PART, BEHIND } where = BEFORE;
	size_t n;

	while (!text_prefix(boundary, "boundary"))
		if (++boundary == at)
			return -1;
	boundary += 8 + strspn(boundary + 8, "= \t\r\n");
	n = *boundary == '"' ? strcspn(++boundary, "\"\r\n") : strcspn(boundary, "; \t\r\n");
	if (n == 0 || strchr(";\r", boundary[n + strspn(boundary + n, "\" \t")]) == NULL)
		return -1;
	for (; at < end && where != BEHIND; at = next) {
		next = line_behind(at, end);
		if (strncmp(at, "--", 2) != 0 || strncmp(at + 2, boundary, n) != 0)
			continue;
		c = at + 2 + n;
		c += strncmp(c, "--", 2) == 0 ? 2 : 0;
		if (c + strspn(c, " \t\r") + 1 != next)
			continue;
		if ((where != IN_PART && eight_bit(from, (size_t)(at - from))) || entity(from, at, false, depth, out) == -1)
			return -1;
		buf_add(out, at, (size_t)(next - at));
		where = c > at + 2 + n ? BEHIND : IN_PART;
		from = next;
	}
	return where != IN_PART && eight_bit(from, (size_t)(end - from)) ? -1 : entity(from, end, false, depth, out);
}

static int
entity(const char *at, const char *end, bool whole, int depth, struct buf *out)
{
	const char *body = at, *type, *encoding;
	bool multipart, message;
	size_t n;

	if (!eight_bit(at, (size_t)(end - at)))
		return buf_add(out, at, (size_t)(end - at));
	while (body < end && (*body == ' ' || *body == '\t' || body[strcspn(body, ": \t\r\n")] == ':'))
		body = line_behind(body, end);
	if (depth > DEPTH || eight_bit(at, (size_t)(body - at)) || strncmp(body, "\r\n", 2) != 0 ||
	    (type = field(at, body, "Content-Type:")) == NULL ||
	    (encoding = field(at, body, "Content-Transfer-Encoding:")) == NULL)
		return -1;
	multipart = text_prefix(type, "multipart");
	message = text_prefix(type, "message") && !text_prefix(type, "message/global");	/* RFC 6532 3.7 */
	n = text_prefix(encoding, "binary") ? 6 : text_prefix(encoding, "7bit") || text_prefix(encoding, "8bit") ? 4 : 0;
	n += n > 0 ? strspn(encoding + n, " \t") : 0;
	if ((encoding < body && (n == 0 || encoding[n] != '\r' || strchr(" \t", encoding[n + 2]))) || *type == '(' ||
	    (multipart && !text_prefix(type, "multipart/")) || (message && !text_prefix(type, "message/rfc822")) ||
	    text_prefix(type, "multipart/signed") || text_prefix(type, "multipart/encrypted") ||
	    text_prefix(type, "multipart/digest"))	/* whose parts are messages */
		return -1;
	buf_add(out, at, (size_t)(encoding - at));
	if (n > 0 || (!multipart && !message))
		buf_addf(out, n > 0 ? "%s" : "Content-Transfer-Encoding: %s\r\n",
		    multipart || message ? "7bit" : "quoted-printable");
	buf_add(out, encoding + n, (size_t)(body - encoding) - n);
	if (whole && field(at, body, "MIME-Version:") == body)
		buf_addf(out, "MIME-Version: 1.0\r\n%s", type < body ? "" :
		    "Content-Type: text/plain; charset=unknown-8bit\r\n");
	buf_add(out, "\r\n", 2);
	body += 2;
	return multipart ? parts(type, body, end, depth + 1, out) :
	    message ? entity(body, end, true, depth + 1, out) : quoted_printable(body, end, out);
}

int
mime_to_7bit(const char *text, size_t n, struct buf *out)
{
	return n > 0 && text[n - 1] == '\n' && entity(text, text + n, true, 0, out) == 0 && !out->torn ? 0 : -1;
}

/* ---- a message's file ---------------------------------------------------------- */

int
mime_eight(const struct message *m, bool header)
{
	static char octets[READ_OCTETS];
	off_t at = (off_t)m->body;
	ssize_t n;
	char last = '\n', before = '\0';

	while ((n = pread(m->fd, octets, sizeof octets, at)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if ((unsigned char)octets[i] > 127)
				return 1;
			if (header && octets[i] == '\n' && (last == '\n' || (last == '\r' && before == '\n')))
				return 0;
			before = last;
			last = octets[i];
		}
		at += n;
	}
	return (int)n;
}

bool
mime_utf8(const struct message *m)
{
	const struct envelope *e = &m->env;
	bool needs = eight_bit(e->sender, strlen(e->sender));

	for (size_t i = 0; i < e->count; i++)
		needs |= e->rcpt[i].chosen && eight_bit(e->rcpt[i].address, strlen(e->rcpt[i].address));
	return needs || (args_have(e->sender_args, "SMTPUTF8") && mime_eight(m, true) == 1);
}

long long
mime_size(const struct message *m, const struct buf *seven)
{
	return seven->data != NULL ? (long long)seven->len : m->size - m->body;
}

int
mime_seven(const struct message *m, struct buf *out)
{
	long long size = m->size - m->body;
	char *text = size <= CONVERT_OCTETS ? memory(NULL, (size_t)size + 1) : NULL;
	bool made = false;

	if (text != NULL && pread(m->fd, text, (size_t)size, (off_t)m->body) == (ssize_t)size)
		made = mime_to_7bit(text, (size_t)size, out) == 0;
	if (!made && size <= CONVERT_OCTETS && (text == NULL || out->torn)) {
		free(text);
		return -1;
	}
	free(text);
	return made;
}
