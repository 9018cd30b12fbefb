/*
 * receive.c - a message comes in: the transaction, and its content by DATA or BDAT.
 *
 * A transaction (struct tx) lasts from MAIL to the final reply: an envelope,
 * and from DATA or the first BDAT on a file in SortTemp that begins with our
 * Received field.  Of the states of a session these are ours:
 *
 *	DATA	content up to CRLF.CRLF		CHUNKS	between two BDATs
 *	CHUNK	the octets of a BDAT		COMMIT	the message is the batch's
 *
 * What is true: content is read whatever we think of it; too much, beyond twice
 * max-size, ends the session.  What is over max-size is not written, and a disk
 * that fails is remembered (m->error): both are told when the message is
 * complete.  A chunk that is refused is thrown away, without tx.  The promise,
 * 250, is made by receive_committed alone, when the message is on disk.
 */
#include "smtpd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_OCTETS (1 << 20)	/* of a submission */

static struct buf scratch;	/* content on its way to a file */

/* ---- the transaction ------------------------------------------------------- */

struct tx *
tx_new(void)
{
	struct tx *tx = memory(NULL, sizeof *tx);
	struct id id;

	if (tx == NULL)
		return NULL;
	memset(tx, 0, sizeof *tx);
	id_next(&id);
	if ((tx->m = spool_new(&id)) == NULL) {
		free(tx);
		return NULL;
	}
	return tx;
}

void
tx_free(struct session *s)
{
	if (s->tx == NULL)
		return;
	spool_abandon(s->owner->spool, s->tx->m);
	buf_free(&s->tx->header);
	free(s->tx);
	s->tx = NULL;
}

void
tx_end(struct session *s)
{
	tx_free(s);
	if (s->state != CLOSE)
		s->state = s->helo ? IDLE : GREET;
}

/* What stopped a message: the disk, or the lack of it. */
static enum reply
disk_reply(int error)
{
	return error == ENOSPC || error == EDQUOT ? R_SPACE : R_DISK;
}

static const char *
with_keyword(const struct session *s)	/* RFC 3848, RFC 6531 4.3 */
{
	static const char *const words[2][4] = {
		{ "ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA" },
		{ "UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA" }
	};

	return s->esmtp ? words[s->tx->utf8][(s->conn.tls != NULL) + 2 * (s->account != NULL)] : "SMTP";
}

/* Is what the client calls itself its own? */
static bool
helo_confirmed(const struct session *s)
{
	struct addr a;

	return client_name(&s->client, s->helo) != NULL ||
	    (literal_parse(&a, s->helo, strlen(s->helo)) == 0 && addr_same(&a, &s->client.addr));
}

/* What we know of the client besides, for the Received field: its TCP-info
 * (RFC 5321 4.4) in parentheses, and a comment where there is none to believe. */
#define KNOWN_TEXT (DOMAIN_MAX + ADDR_TEXT + 30)
static char *
known_text(const struct session *s, char out[KNOWN_TEXT])
{
	const struct client *c = &s->client;
	const char *name = client_name(c, s->helo) ? client_name(c, s->helo) : c->names, *comment = "";
	char who[ADDR_TEXT + 8];
	bool asked = s->conf->reverse_dns != REVERSE_OFF;

	if (asked && !helo_confirmed(s))
		comment = c->rdns == RDNS_LATER ? " (RDNS failed)" : " (unverified)";
	snprintf(out, KNOWN_TEXT, "(%s%s%s)%s", asked && name ? name : "", asked && name ? " " : "",
	    addr_literal(&s->conn.peer, who), comment);
	return out;
}

/* Make the file: envelope and our Received field (RFC 5321 4.4). */
static int
tx_open(struct session *s)
{
	char head[DOMAIN_MAX * 3 + 400], known[KNOWN_TEXT], id[ID_SIZE], date[DATE_SIZE];
	const struct server *conf = s->conf;

	/* The cipher is a clause of RFC 8314 4.3. */
	snprintf(head, sizeof head, "Received: from %s %s\r\n\tby %s (smtpd) with %s id %s%s%s;\r\n\t%s\r\n",
	    s->helo, known_text(s, known), conf->hostname, with_keyword(s), id_text(&s->tx->m->id, id),
	    s->conn.tls ? "\r\n\ttls " : "", s->conn.tls ? tls_cipher(s->conn.tls) : "", date_text(date, now.wall / 1000));
	content_begin(&s->tx->content, !s->tx->chunked, s->tx->body == BODY_BINARYMIME, s->crlf);
	s->tx->content.either = conf->line_endings == ENDINGS_EITHER;
	if (policy_expand(conf, &s->tx->m->env) == -1)
		s->tx->m->error = ENOMEM;
	else if (spool_create(s->owner->spool, s->tx->m, head) == 0)
		return 0;
	reply(s, disk_reply(s->tx->m->error));
	tx_end(s);
	return -1;
}

/* The header of a submission is there, or all there is of it: make it whole. */
static void
header_whole(struct session *s)
{
	struct tx *tx = s->tx;
	size_t n = tx->content.header > 0 ? (size_t)tx->content.header : tx->header.len;
	char id[ID_SIZE];
	struct draft d = { .text = tx->header.data ? tx->header.data : "", .n = n, .server = s->conf,
	    .id = id_text(&tx->m->id, id), .from = *tx->m->env.sender ? tx->m->env.sender : NULL, .spoken = true };
	struct buf out = { 0 };

	tx->whole = true;
	if (message_header(&out, &d) == -1)
		tx->m->error = ENOMEM;
	spool_write(tx->m, out.data, out.len);
	spool_write(tx->m, d.text + n, tx->header.len - n);
	buf_free(&out);
	buf_free(&tx->header);
}

/* What scratch has goes to the file; m->error remembers what goes wrong. */
static void
content_write(struct session *s)
{
	struct tx *tx = s->tx;

	if (!s->submission || tx->whole)
		spool_write(tx->m, scratch.data, scratch.len);
	else if (tx->header.len <= HEADER_OCTETS && buf_add(&tx->header, scratch.data, scratch.len) == -1)
		tx->m->error = ENOMEM;
	else if (tx->content.header > 0 && tx->header.len >= (size_t)tx->content.header)
		header_whole(s);
}

/* Take content; *used octets of it.  As content_take. */
static int
tx_take(struct session *s, const char *octets, size_t n, size_t *used)
{
	struct tx *tx = s->tx;
	int answer;

	scratch.len = 0;
	answer = content_take(&tx->content, octets, n, used, &scratch);
	if (answer == -1) {
		tx->m->error = ENOMEM;
		*used = n;
	}
	if (tx->content.size <= s->conf->max_size)
		content_write(s);
	return answer;
}

/* The message is complete: refuse it, or hand it to this turn's commit. */
static void
tx_complete(struct session *s)
{
	const struct server *conf = s->conf;
	struct tx *tx = s->tx;
	bool endless = tx->header.len > HEADER_OCTETS;

	s->received += tx->content.size;
	if (s->submission && !tx->whole && !endless)
		header_whole(s);
	if (tx->content.size > conf->max_size)
		reply_size(s);
	else if (tx->content.stray && conf->line_endings == ENDINGS_REJECT && !tx->content.raw) {
		reply_because(s, "line-endings");
		reply(s, R_STRAY);
	} else if (tx->content.hops > conf->max_hops) {
		reply_because(s, "max-hops");
		reply(s, R_HOPS);
	} else if (endless) {
		reply(s, R_HEADER);
	} else if (tx->m->error != 0) {
		reply(s, disk_reply(tx->m->error));
	} else {
		spool_commit(s->owner->spool, tx->m);
		s->state = COMMIT;
		return;
	}
	tx_end(s);
}

void
receive_stray(struct session *s)
{
	tx_end(s);
	reply_because(s, "line-endings");
	reply_close(s, R_STRAY);
}

/* ---- DATA and BDAT --------------------------------------------------------- */

void
receive_data(struct session *s)
{
	if (s->tx->body == BODY_BINARYMIME) {
		reply(s, R_BINARY);
	} else if (tx_open(s) == 0) {
		s->state = DATA;
		reply(s, R_GO_AHEAD);
	}
}

/* Content of DATA. */
static int
step_data(struct session *s)
{
	size_t n, used = 0;
	const char *octets = conn_peek(&s->conn, &n);
	char text[60];
	int ended;

	if (n == 0)
		return 0;
	s->deadline = now.tick + s->conf->timeout;
	ended = tx_take(s, octets, n, &used);
	conn_consume(&s->conn, used);
	s->exchange.received += (long long)used;
	if (ended == -1) {		/* and where it ends is not known any more */
		tx_end(s);
		reply_close(s, R_MEMORY);
	} else if (s->tx->content.stray && s->conf->line_endings == ENDINGS_REJECT) {
		receive_stray(s);
	} else if (ended) {
		snprintf(text, sizeof text, ". (%lld octets)", s->tx->content.size);
		reply_trace(s, '>', text, strlen(text), NULL);
		tx_complete(s);
	} else if (s->tx->content.size / 2 > s->conf->max_size) {
		/* It was told the limit and goes on: the end may never come. */
		tx_end(s);
		reply_size(s);
		hang_up(s, true);
	}
	return 1;
}

/* "size" and perhaps "LAST"; -1 when it is not that. */
static int
chunk_parse(const char *argument, long long *size, bool *last)
{
	const char *end;

	if ((*size = text_octets(argument, &end)) == -1 || *size == UNLIMITED)
		return -1;
	*last = text_compare(end + strspn(end, " \t"), "LAST") == 0 && *end != 'L' && *end != 'l';
	return *last || *end == '\0' ? 0 : -1;
}

/* All octets of a chunk have been read. */
static void
chunk_end(struct session *s)
{
	char text[24];

	if (s->refusal != R_READY) {
		s->state = s->helo ? IDLE : GREET;
		if (s->refusal == R_SIZE)
			reply_size(s);
		else if (s->refusal != R_BYE)
			reply(s, (enum reply)s->refusal);
		return;
	}
	snprintf(text, sizeof text, "%lld", s->chunk_size);
	s->state = CHUNKS;
	if (!s->last) {
		reply(s, R_CHUNK, text);
		return;
	}
	scratch.len = 0;
	if (content_end(&s->tx->content, &scratch) == -1)
		s->tx->m->error = ENOMEM;
	else
		content_write(s);
	tx_complete(s);
}

/* The chunk follows whatever we think of it, so it is always read: RFC 3030 2. */
void
receive_bdat(struct session *s, const char *argument, enum reply refusal)
{
	if (chunk_parse(argument, &s->chunk, &s->last) == -1) {
		tx_end(s);
		reply_close(s, R_CHUNK_SIZE);
		return;
	}
	if (refusal == R_READY && s->chunk > s->conf->max_size - s->tx->content.size)
		refusal = R_SIZE;
	s->refusal = refusal;
	if (s->refusal != R_READY && s->chunk / 2 > s->conf->max_size) {
		tx_end(s);		/* nor will we read all that */
		reply_close(s, R_CHUNK_SIZE);
		return;
	}
	if (s->refusal == R_READY && s->state == RCPT) {
		s->tx->chunked = true;
		if (tx_open(s) == -1)
			s->refusal = R_BYE;	/* answered already */
	} else if (s->refusal != R_READY)
		tx_end(s);
	if (s->state == CLOSE)
		return;
	s->state = CHUNK;
	s->chunk_size = s->chunk;
	if (s->chunk == 0)
		chunk_end(s);
}

/* Octets of a chunk. */
static int
step_chunk(struct session *s)
{
	size_t n, used;
	const char *octets = conn_peek(&s->conn, &n);

	if (n == 0)
		return 0;
	s->deadline = now.tick + s->conf->timeout;
	if ((long long)n > s->chunk)
		n = (size_t)s->chunk;
	if (s->tx != NULL)
		tx_take(s, octets, n, &used);
	conn_consume(&s->conn, n);
	s->exchange.received += (long long)n;
	if ((s->chunk -= (long long)n) == 0)
		chunk_end(s);
	return 1;
}

int
receive_step(struct session *s)
{
	return s->state == DATA ? step_data(s) : step_chunk(s);
}

/* ---- the answer -------------------------------------------------------------- */

static void
log_received(const struct session *s, const struct message *m)
{
	char id[ID_SIZE], who[CLIENT_TEXT], from[200], to[400], account[300];
	const struct tls *tls = s->conn.tls;

	log_line("%s received server=\"%s\" client=%s helo=%s from=<%s> to=%s size=%lld with=%s%s%s%s%s%s%s",
	    id_text(&m->id, id), s->conf->name, client_text(s, who), s->helo,
	    text_safe(from, sizeof from, m->env.sender, strlen(m->env.sender)),
	    envelope_text(&m->env, RCPT_OPEN, to, sizeof to), m->size, with_keyword(s),
	    tls ? " tls=\"" : "", tls ? tls_words(tls) : "", tls ? "\"" : "",
	    s->account ? " account=\"" : "", s->account ? text_safe(account, sizeof account, s->account, strlen(s->account)) : "",
	    s->account ? "\"" : "");
}

void
receive_committed(struct session *s)
{
	struct message *m = s->tx->m;
	const char *account = spool_account(s->owner->spool);
	char id[ID_SIZE];

	reply_trace(s, '=', account, strlen(account), "RFC 5321 6.1");
	if (m->state == MESSAGE_KEPT) {
		s->owner->counts[MESSAGES_RECEIVED]++;
		s->owner->counts[RECIPIENTS_RECEIVED] += (long long)m->env.count;
		s->owner->counts[MESSAGE_BYTES_RECEIVED] += s->tx->content.size;
		log_received(s, m);
		s->kept = m->id;
		reply(s, R_QUEUED, id_text(&m->id, id));
	} else
		reply(s, disk_reply(m->error));
	s->tx->m = NULL;		/* it is the spool's */
	tx_end(s);
	s->answered = true;
	s->deadline = now.tick + s->conf->timeout;
}
