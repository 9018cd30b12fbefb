/*
 * unit_message.c - the envelope block there and back, torn and marked; and
 * files of Pickup, with x- lines and without, turned into messages or refused
 * with a sentence.
 */
#include "test.h"

static struct domain home = { .name = "here.example", .kind = DOMAIN_DEFAULT };
static struct server server = { .hostname = "mail.here.example", .max_recipients = 9, .max_size = UNLIMITED, .max_hops = 3,
	.domains = &home, .home = &home };

/* ---- the envelope there and back ------------------------------------------------ */

static void
envelope_is(const struct envelope *e, const char *sender, size_t count, size_t open)
{
	CHECK_TEXT(e->sender ? e->sender : "(none)", sender);
	CHECK(e->count == count && envelope_open(e) == open);
}

static void
round_trip(void)
{
	static const char want[] =
	    "x-sender: a@b\r\nx-sender-args: BODY=8BITMIME RET=HDRS\r\n"
	    "x-receiver: one@c\r\nx-receiver-args: NOTIFY=NEVER\r\n"
	    "x-receiver: \"t w o\"@c\r\nx-receiver: j\303\266rg@b\303\274cher.example\r\nReturn-Path: <a@b>\r\n";
	static const char body[] = "Return-Path: <a@b>\r\nx-receiver: no@body\r\n\r\nbody\r\n";
	struct envelope e = { 0 }, again;
	struct buf b = { 0 };
	const char *why;
	long length;

	CHECK(envelope_sender(&e, "x@y", "SIZE=1") == 0 && envelope_sender(&e, "a@b", "BODY=8BITMIME RET=HDRS") == 0);
	CHECK(envelope_add(&e, "done@c", NULL) == 0);
	e.rcpt[0].outcome = RCPT_ACCEPTED;
	CHECK(envelope_add(&e, "one@c", "NOTIFY=NEVER") == 0 && envelope_add(&e, "\"t w o\"@c", "") == 0);
	CHECK(envelope_add(&e, "j\303\266rg@b\303\274cher.example", NULL) == 0);
	CHECK(envelope_open(&e) == 3);
	CHECK(envelope_write(&e, &b) == 0);
	CHECK_TEXT(b.data, want);			/* who is done is left out */
	for (size_t i = 1; i < e.count; i++)
		CHECK(strncmp(b.data + e.rcpt[i].mark, "x-receiver: ", 12) == 0 &&
		    strncmp(b.data + e.rcpt[i].mark + 12, e.rcpt[i].address, strlen(e.rcpt[i].address)) == 0);

	CHECK(buf_add(&b, body, sizeof body - 1) == 0);
	for (int lf = 0; lf < 2; lf++) {		/* with CR LF, and with LF alone */
		length = envelope_read(&again, b.data, b.len, NULL, &why);
		CHECK(length > 0 && strcmp(b.data + length, body) == 0);	/* and not a line more */
		CHECK(again.complete);
		envelope_is(&again, "a@b", 3, 3);
		CHECK_TEXT(again.sender_args, "BODY=8BITMIME RET=HDRS");
		CHECK_TEXT(again.rcpt[0].args, "NOTIFY=NEVER");
		CHECK(again.rcpt[1].args == NULL && strcmp(again.rcpt[1].address, "\"t w o\"@c") == 0);
		for (size_t i = 0; i < again.count; i++)
			CHECK(strncmp(b.data + again.rcpt[i].mark, "x-receiver: ", 12) == 0);
		envelope_free(&again);
		for (char *cr; !lf && (cr = strchr(b.data, '\r')) != NULL && cr < strstr(b.data, body); b.len--)
			memmove(cr, cr + 1, strlen(cr));
	}
	envelope_free(&e);
	envelope_free(&e);
	CHECK(e.count == 0 && e.sender == NULL);
	buf_free(&b);

	CHECK(envelope_sender(&e, "", NULL) == 0 && envelope_add(&e, "a@b", NULL) == 0 && envelope_write(&e, &b) == 0);
	CHECK_TEXT(b.data, "x-sender: <>\r\nx-receiver: a@b\r\nReturn-Path: <>\r\n");
	envelope_free(&e);
	CHECK(envelope_read(&e, b.data, b.len, NULL, &why) == (long)b.len && e.complete);
	envelope_is(&e, "", 1, 1);
	envelope_free(&e);
	buf_free(&b);
}

/* Marks are overwritten in place; one that was torn counts as not finished. */
static void
marks(void)
{
	static const struct { const char *name; enum outcome outcome; } names[] = {
		{ "x-receiver", RCPT_OPEN }, { "X-Receiver", RCPT_OPEN }, { "x-accepted", RCPT_ACCEPTED },
		{ "x-rejected", RCPT_REJECTED }, { "x-acceiver", RCPT_OPEN }, { "x-accepter", RCPT_OPEN },
		{ "x-rejeiver", RCPT_OPEN }, { "x-rejecter", RCPT_OPEN },
	};
	struct envelope e;
	char text[200];
	const char *why;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		test_case = names[i].name;
		snprintf(text, sizeof text, "x-sender: a@b\r\nx-receiver: one@c\r\n%s: two@c\r\nx-receiver-args: NOTIFY=NEVER\r\n"
		    "x-accepted: three@c\r\nReturn-Path: <a@b>\r\n", names[i].name);
		CHECK(envelope_read(&e, text, strlen(text), NULL, &why) == (long)strlen(text));
		envelope_is(&e, "a@b", 3, names[i].outcome == RCPT_OPEN ? 2 : 1);
		if (CHECK(e.count == 3 && e.complete)) {
			CHECK(e.rcpt[1].outcome == names[i].outcome && e.rcpt[2].outcome == RCPT_ACCEPTED);
			CHECK_TEXT(e.rcpt[1].address, "two@c");
			CHECK_TEXT(e.rcpt[1].args, "NOTIFY=NEVER");
			CHECK(text + e.rcpt[1].mark == strstr(text, names[i].name) + (i == 0 ? 19 : 0));
		}
		envelope_free(&e);
	}
	test_case = "";
}

/* Wherever a block is torn off, it is not complete; nothing is read behind
 * the end of what is there. */
static void
torn(void)
{
	static const char whole[] = "x-sender: a@b\r\nx-sender-args: BODY=8BITMIME\r\nx-receiver: one@c\r\n"
	    "x-accepted: two@c\r\nReturn-Path: <a@b>\r\n";
	struct envelope e;
	const char *why;

	for (size_t n = 0; n < sizeof whole; n++) {
		char *text = malloc(n + 1);		/* its bounds are watched */

		if (text == NULL)
			return;
		memcpy(text, whole, n);
		CHECK(envelope_read(&e, text, n, NULL, &why) <= (long)n);
		CHECK(e.complete == (n == sizeof whole - 1));
		envelope_free(&e);
		free(text);
	}
}

static void
bad_blocks(void)
{
	static const char *const texts[] = {
		"x-sender: a b@c\r\n", "x-sender: a@b\r\nx-sender: a@b\r\n", "x-receiver: @\r\n", "x-receiver: \r\n",
		"x-receiver: <>\r\n", "x-receiver: a@b c\r\n", "x-sender: a@b\r\nx-sender-args: \033[2J\r\n",
		"x-receiver: a@b\r\nx-receiver-args: \303\r\n", "x-accepted: a@-\r\n", "x-receiver: a@b>\r\n",
	};
	struct envelope e;
	const char *why;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		test_case = texts[i];
		CHECK(envelope_read(&e, texts[i], strlen(texts[i]), NULL, &why) == -1);
		CHECK(why != NULL && e.count == 0 && e.sender == NULL);
	}
	test_case = "";
}

static void
mailboxes(void)
{
	struct envelope e = { 0 };
	char text[60];

	CHECK(envelope_add(&e, "a@B.example", NULL) == 0 && envelope_add(&e, "bare", NULL) == 0);
	CHECK(envelope_has(&e, "a@b.EXAMPLE") && !envelope_has(&e, "A@b.example") && !envelope_has(&e, "aa@b.example"));
	CHECK(envelope_has(&e, "bare") && !envelope_has(&e, "Bare") && !envelope_has(&e, "a"));
	CHECK_TEXT(envelope_text(&e, RCPT_OPEN, text, sizeof text), "<a@B.example>,<bare>");
	e.rcpt[0].outcome = RCPT_REJECTED;
	CHECK_TEXT(envelope_text(&e, RCPT_OPEN, text, sizeof text), "<bare>");
	for (int i = 0; i < 50; i++)
		CHECK(envelope_add(&e, "\n\033@x", NULL) == 0);
	CHECK_TEXT(envelope_text(&e, RCPT_OPEN, text, sizeof text), "<bare>,<\\x0a\\x1b@x>,<\\x0a\\x1b@x>,<\\x0a\\x1b@x>,...");
	envelope_free(&e);
}

/* ---- a file of Pickup becomes a message --------------------------------------------- */

#define DATE "Date: Sun, 9 Sep 2001 01:46:40 +0000\r\n"
#define ID   "Message-ID: <ID@mail.here.example>\r\n"

/* block: what is written in front, without the Return-Path that always ends
 * it; NULL: refused, and text is what the reason speaks of. */
static const struct composed { const char *what, *file, *block, *text; } files[] = {
	{ "x- lines", "x-sender: a@b\nx-receiver: c@d\nx-receiver: e@f\nFrom: x@y\nTo: z@z\n\nbody\n",
	  "x-sender: a@b\nx-receiver: c@d\nx-receiver: e@f\n", DATE ID "From: x@y\nTo: z@z\n\nbody\n" },
	{ "as .NET writes them", "X-Sender: a@b\nX-Receiver: c@d\nMIME-Version: 1.0\nFrom: x@y\nTo: c@d\nDate: D\n"
	  "Subject: s\nContent-Type: text/plain\n\nbody\n", "x-sender: a@b\nx-receiver: c@d\n",
	  ID "MIME-Version: 1.0\nFrom: x@y\nTo: c@d\nDate: D\nSubject: s\nContent-Type: text/plain\n\nbody\n" },
	{ "X-Priority is no mark", "X-Sender: a@b\nX-Receiver: c@d\nX-Priority: 1\nFrom: x@y\n\nbody\n",
	  "x-sender: a@b\nx-receiver: c@d\n", DATE ID "X-Priority: 1\nFrom: x@y\n\nbody\n" },
	{ "X-Priority with words", "X-Sender: a@b\nX-Receiver: c@d\nX-Priority: 1 (Highest)\nFrom: x@y\n\nbody\n",
	  "x-sender: a@b\nx-receiver: c@d\n", DATE ID "X-Priority: 1 (Highest)\nFrom: x@y\n\nbody\n" },
	{ "angle brackets, null sender", "x-sender: <>\nx-receiver: <c@d>\nFrom: x@y\n\n",
	  "x-sender: <>\nx-receiver: c@d\n", DATE ID "From: x@y\n\n" },
	{ "arguments", "x-sender: a@b\nx-sender-args: RET=HDRS\nx-receiver: c@d\nx-receiver-args: NOTIFY=NEVER\nFrom: x@y\n\n",
	  "x-sender: a@b\nx-sender-args: RET=HDRS\nx-receiver: c@d\nx-receiver-args: NOTIFY=NEVER\n",
	  DATE ID "From: x@y\n\n" },
	{ "a receiver alone", "x-receiver: c@d\nFrom: Mr. X <x@y>\nTo: not@him\n\n",
	  "x-sender: x@y\nx-receiver: c@d\n", DATE ID "From: Mr. X <x@y>\nTo: not@him\n\n" },
	{ "a sender alone", "x-sender: a@b\nFrom: x@y\nTo: c@d\nBcc: e@f\n\n",
	  "x-sender: a@b\nx-receiver: c@d\nx-receiver: e@f\n", DATE ID "From: x@y\nTo: c@d\n\n" },
	{ "bare local parts", "x-sender: a\nx-sender-args: RET=HDRS\nx-receiver: b\nx-receiver: \"c d\"\nFrom: x@y\n\n",
	  "x-sender: a@here.example\nx-sender-args: RET=HDRS\nx-receiver: b@here.example\nx-receiver: \"c d\"@here.example\n",
	  DATE ID "From: x@y\n\n" },
	{ "headers", "From: a@b\nTo: c@d\nCc: e@f\nBcc: g@h\nSubject: s\n\nBcc: body\n",
	  "x-sender: a@b\nx-receiver: c@d\nx-receiver: e@f\nx-receiver: g@h\n",
	  DATE ID "From: a@b\nTo: c@d\nCc: e@f\nSubject: s\n\nBcc: body\n" },
	{ "CR LF", "From: a@b\r\nTo: c@d,\r\n e@f\r\nbcc: g@h,\r\n\ti@j\r\nSubject: s\r\n\r\nbody\r\n",
	  "x-sender: a@b\nx-receiver: c@d\nx-receiver: e@f\nx-receiver: g@h\nx-receiver: i@j\n",
	  DATE ID "From: a@b\nTo: c@d,\n e@f\nSubject: s\n\nbody\n" },
	{ "complete already", "from: a@b\nDATE: D\nmessage-id: <i>\nto: c@d\n\nbody\n",
	  "x-sender: a@b\nx-receiver: c@d\n", "from: a@b\nDATE: D\nmessage-id: <i>\nto: c@d\n\nbody\n" },
	{ "Date in the body only", "Date : D\nFrom: a@b\nTo: c@d\n\nMessage-ID: x\n",
	  "x-sender: a@b\nx-receiver: c@d\n", ID "Date : D\nFrom: a@b\nTo: c@d\n\nMessage-ID: x\n" },
	{ "Sender goes before From", "From: a@b, a2@b\nSender: s@b\nTo: c@d\n\n",
	  "x-sender: s@b\nx-receiver: c@d\n", DATE ID "From: a@b, a2@b\nSender: s@b\nTo: c@d\n\n" },
	{ "names, comments, groups, folds",
	  "From: \"Q, <q>\" (a (nested) \\) comment) <a@b> (really)\n"
	  "To: Undisclosed:;, Friends: one@d, Two <two@d>;, \"x y\"@d, three\n\t@ d (three), , four@d (four),\n"
	  " A. Name \"quo\\\"ted\" <five . 5@d>\n"
	  "Cc: =?utf-8?q?J=C3=B6rg?= <six@d>, <@route,@more:seven@d>, one@D\n\n",
	  "x-sender: a@b\nx-receiver: one@d\nx-receiver: two@d\nx-receiver: \"x y\"@d\nx-receiver: three@d\nx-receiver: four@d\n"
	  "x-receiver: five.5@d\nx-receiver: six@d\nx-receiver: seven@d\n", NULL },
	{ "a comment behind an address", "From: a@b (Mr. A)\nTo: c@d (Mrs. C)\n\n",
	  "x-sender: a@b\nx-receiver: c@d\n", DATE ID "From: a@b (Mr. A)\nTo: c@d (Mrs. C)\n\n" },
	{ "bare local parts in headers", "From: root (Cron Daemon)\nTo: root\n\n",
	  "x-sender: root@here.example\nx-receiver: root@here.example\n",
	  DATE ID "From: root (Cron Daemon)\nTo: root\n\n" },
	{ "bare local parts among others", "From: \"R\" <root>\nReply-To: a,b@c , \"d e\"\nTo: G: one (1), <two>;,\n three@x,four\n"
	  "Cc: no address, five\nSubject: root\nX-To: root\nx-receiver: six\n\nTo: root\n", NULL, "address" },
	{ "bare local parts in lists", "x-receiver: six\nFrom: \"R\" <root>\nTo: G: one (1), <two>;,\n three@x\n\nTo: root\n",
	  "x-sender: root@here.example\nx-receiver: six@here.example\n",
	  DATE ID "From: \"R\" <root>\nTo: G: one (1), <two>;,\n three@x\n\nTo: root\n" },
	{ "sent on", "Resent-From: r\nResent-To: one@d\nResent-Bcc: two@d\nFrom: a@b\nTo: no@d\nBcc: no@e\n\n",
	  "x-sender: a@b\nx-receiver: no@d\nx-receiver: no@e\n",
	  DATE ID "Resent-From: r\nResent-To: one@d\nFrom: a@b\nTo: no@d\n\n" },
	{ "8-bit body", "From: a@b\nTo: c@d\n\n\303\244\n", "x-sender: a@b\nx-sender-args: BODY=8BITMIME\nx-receiver: c@d\n",
	  DATE ID "From: a@b\nTo: c@d\n\n\303\244\n" },
	{ "8-bit body, and arguments", "x-sender: a@b\nx-sender-args: RET=HDRS\nx-receiver: c@d\nFrom: a@b\n\n\303\244\n",
	  "x-sender: a@b\nx-sender-args: RET=HDRS BODY=8BITMIME\nx-receiver: c@d\n", NULL },
	{ "8-bit address", "From: a@b\nTo: \303\244@d\n\n",
	  "x-sender: a@b\nx-sender-args: BODY=8BITMIME SMTPUTF8\nx-receiver: \303\244@d\n", NULL },
	{ "no body", "From: a@b\nTo: c@d", "x-sender: a@b\nx-receiver: c@d\n", DATE ID "From: a@b\nTo: c@d\n" },
	{ "no last line end", "From: a@b\nTo: c@d\n\n.\n..\nbody", "x-sender: a@b\nx-receiver: c@d\n",
	  DATE ID "From: a@b\nTo: c@d\n\n.\n..\nbody\n" },
	{ "a Return-Path of its own", "x-sender: a@b\nx-receiver: c@d\nReturn-Path: <z@q>\nFrom: x@y\n\n",
	  "x-sender: a@b\nx-receiver: c@d\n", DATE ID "Return-Path: <z@q>\nFrom: x@y\n\n" },
	{ "a Return-Path without x- lines", "Return-Path: <z@q>\nReceived: r\nFrom: a@b\nTo: c@d\n\n",
	  "x-sender: a@b\nx-receiver: c@d\n", DATE ID "Return-Path: <z@q>\nReceived: r\nFrom: a@b\nTo: c@d\n\n" },
	{ "ours, from Badmail", "x-sender: a@b\nx-accepted: done@d\nx-rejected: again@d\nx-receiver: c@d\nReturn-Path: <a@b>\n"
	  "Received: by us\nReturn-Path: <a@b>\nBcc: kept\n\nbody\n",
	  "x-sender: a@b\nx-receiver: again@d\nx-receiver: c@d\n", "Received: by us\nReturn-Path: <a@b>\nBcc: kept\n\nbody\n" },
	{ "x- lines elsewhere are not ours", "From: a@b\nTo: c@d\nX-Receiver: no@no\n\n",
	  "x-sender: a@b\nx-receiver: c@d\n", DATE ID "From: a@b\nTo: c@d\nX-Receiver: no@no\n\n" },

	{ "nothing", "", NULL, "From" },
	{ "no From", "To: c@d\nSubject: s\n\nFrom: a@b\n", NULL, "From" },
	{ "no From, x- lines", "x-sender: a@b\nx-receiver: c@d\n\nbody\n", NULL, "From" },
	{ "an empty From", "From: \nTo: c@d\n\n", NULL, "From" },
	{ "a From that is none", "From: a b@c\nTo: c@d\n\n", NULL, "From" },
	{ "no recipients", "From: a@b\nSubject: s\n\n", NULL, "recipients" },
	{ "no recipients in a group", "From: a@b\nTo: Undisclosed recipients:;\n\n", NULL, "recipients" },
	{ "too many hops", "From: a@b\nTo: c@d\nReceived: 1\nRECEIVED: 2\nreceived: 3\nReceived: 4\n\n", NULL, "Received" },
	{ "many recipients", "From: a@b\nTo: 1,2,3,4,5,6,7,8,9,10\n\n", NULL, "recipients" },
	{ "many x- lines", "x-sender: a@b\nx-receiver: 1\nx-receiver: 2\nx-receiver: 3\nx-receiver: 4\nx-receiver: 5\n"
	  "x-receiver: 6\nx-receiver: 7\nx-receiver: 8\nx-receiver: 9\nx-receiver: 10\nFrom: a@b\n\n", NULL, "recipients" },
	{ "all are served", "x-sender: a@b\nx-accepted: c@d\nReturn-Path: <a@b>\n\n", NULL, "served" },
	{ "To without an address", "From: a@b\nTo: Peter Pan\n\n", NULL, "address" },
	{ "two addresses, no comma", "From: a@b\nTo: c@d e@f\n\n", NULL, "address" },
	{ "an x- line without one", "x-sender: a@b\nx-receiver: c d\nFrom: a@b\n\n", NULL, "address" },
};

/* Our tables say \n where the message has CR LF. */
static char *
with_crlf(const char *text)
{
	static char out[3000];
	size_t n = 0;

	for (; *text != '\0'; text++) {
		if (*text == '\n' && (n == 0 || out[n - 1] != '\r'))
			out[n++] = '\r';
		out[n++] = *text;
	}
	out[n] = '\0';
	return out;
}

static void
compose_one(const struct composed *c)
{
	struct envelope e;
	struct buf out = { 0 }, block = { 0 };
	const char *why;
	int answer = message_compose(&e, &out, c->file, strlen(c->file), &server, "ID", &why);

	test_case = c->what;
	if (CHECK((answer == 0) == (c->block != NULL)) && answer == 0) {
		CHECK(envelope_write(&e, &block) == 0);
		*strstr(block.data, "Return-Path:") = '\0';
		CHECK_TEXT(block.data, with_crlf(c->block));
		if (c->text != NULL)
			CHECK_TEXT(out.data, with_crlf(c->text));
	} else if (answer == 0)
		;
	else if (CHECK(why != NULL))
		CHECK(strstr(why, c->block == NULL ? c->text : "") != NULL || !printf("why: %s\n", why));
	envelope_free(&e);
	buf_free(&out);
	buf_free(&block);
	test_case = "";
}

/* Not from a file, but from a person: he may leave out the header, and From. */
static void
drafts(void)
{
	static const struct {
		const char *text, *rcpt, *out;
	} cases[] = {
		{ "hello\nTo: no@d\n", "given@d", DATE ID "From: me@b\n\nhello\nTo: no@d\n" },
		{ " hello", "given@d", DATE ID "From: me@b\n\n hello\n" },
		{ "", "given@d", DATE ID "From: me@b\n" },
		{ "To: c@d, given@D\nno field\n\n.\n", "given@d,c@d", DATE ID "From: me@b\nTo: c@d, given@D\n\nno field\n\n.\n" },
		{ "From: other@b\nBcc: c\n\nx\n", "given@d,c@here.example", DATE ID "From: other@b\n\nx\n" },
		{ "From: root (Cron Daemon)\nTo: root\n\n", "given@d,root@here.example",
		  DATE ID "From: root@here.example (Cron Daemon)\nTo: root@here.example\n\n" },
		{ "From: \"R\" <root>\nReply-To: a,b@c , \"d e\"\nTo: G: one (1), <two>;,\n three@x\nSubject: root\nX-To: root\n\nTo: root\n",
		  "given@d,one@here.example,two@here.example,three@x",
		  DATE ID "From: \"R\" <root@here.example>\nReply-To: a@here.example,b@c , \"d e\"@here.example\n"
		  "To: G: one@here.example (1), <two@here.example>;,\n three@x\nSubject: root\nX-To: root\n\nTo: root\n" },
		{ "Resent-From: r\nResent-To: one@d\nResent-Bcc: two@d\nFrom: a@b\nTo: no@d\n\n", "given@d,one@d,two@d",
		  DATE ID "Resent-From: r@here.example\nResent-To: one@d\nFrom: a@b\nTo: no@d\n\n" },
		{ "From: =?utf-8?q?J=C3=B6rg?=\nReply-To: J\303\266rg, x\nTo: c@d\n\n", "given@d,c@d",
		  DATE ID "From: =?utf-8?q?J=C3=B6rg?=\nReply-To: J\303\266rg, x@here.example\nTo: c@d\n\n" },
	};
	char author[1000];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct draft d = { cases[i].text, strlen(cases[i].text), &server, "ID", "me@b", true, true };
		struct envelope e = { 0 };
		struct buf out = { 0 }, rcpt = { 0 };
		const char *why;

		test_case = cases[i].text;
		CHECK(envelope_sender(&e, "me@b", NULL) == 0 && envelope_addresses(&e, "Name <given@d>", 14, &server, &why) == 0);
		CHECK(message_complete(&e, &out, &d, &why) == 0);
		for (size_t k = 0; k < e.count; k++)
			CHECK(buf_addf(&rcpt, "%s%s", k ? "," : "", e.rcpt[k].address) == 0);
		CHECK_TEXT(rcpt.data, cases[i].rcpt);
		CHECK_TEXT(out.data, with_crlf(cases[i].out));
		envelope_free(&e);
		buf_free(&out);
		buf_free(&rcpt);
	}
	test_case = "";
	memset(author, 'x', sizeof author);
	for (size_t n = 990; n < 996; n++) {		/* no line of more than 998 octets */
		struct draft d = { "\n", 1, &server, "ID", author, false, true };
		struct buf out = { 0 };

		author[n] = '\0';
		CHECK(message_header(&out, &d) == 0 && (strstr(out.data, "From: x") != NULL) == (n <= 992));
		author[n] = 'x';
		buf_free(&out);
	}
}

/* However large its pieces: a reason, or a message, and never "no memory". */
static void
compose_large(void)
{
	static const char *const around[][2] = {
		{ "From: a@b\nTo: \"", "\" <c@d>\n\n" }, { "From: a@b\nTo: ", " <c@d>\n\n" }, { "From: a@b\nTo: (", ") c@d\n\n" },
		{ "From: a@b\nTo: ", "@d\n\n" }, { "From: a@b\nTo: <", "@d>\n\n" }, { "From: a@b\nTo: c@d\nCc: ", "\n\n" },
		{ "From: a@b\nTo: c@d\nX: ", "\n\n" }, { "x-sender: a@b\nx-receiver: ", "\nFrom: a@b\n\n" },
		{ "x-receiver: c@d\nx-sender: ", "\nFrom: a@b\n\n" },
		{ "x-sender: a@b\nx-sender-args: ", "\nx-receiver: c@d\nFrom: a@b\n\n" },
		{ "From: ", "\nTo: c@d\n\n" },
	};
	static const size_t sizes[] = { 900, 1005, 1020, 1024, 1025, 2000, 2047, 2048, 2049, 5000, 100000 };

	for (size_t i = 0; i < sizeof around / sizeof *around; i++)
		for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
			struct buf in = { 0 }, out = { 0 };
			struct envelope e;
			const char *why;
			int answer;

			test_case = around[i][0];
			CHECK(buf_addf(&in, "%s", around[i][0]) == 0);
			for (size_t n = 0; n < sizes[k]; n++)
				CHECK(buf_add(&in, "x", 1) == 0);
			CHECK(buf_addf(&in, "%s", around[i][1]) == 0);
			answer = message_compose(&e, &out, in.data, in.len, &server, "ID", &why);
			CHECK(answer == 0 || why != NULL);
			if (i < 3 || i == 6)
				CHECK(answer == 0 && e.count == 1);
			envelope_free(&e);
			buf_free(&in);
			buf_free(&out);
		}
	test_case = "";
}

/* The nth call of memory fails: no reason, for it is not the message's fault,
 * and nothing is left behind.  Without any failing, all of them compose. */
static void
compose_without_memory(void)
{
	memory = test_memory;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		for (long nth = 1; files[i].block != NULL; nth++) {
			struct envelope e;
			struct buf out = { 0 };
			const char *why = "none yet";
			int answer;

			test_case = files[i].what;
			test_memory_nth = nth;
			answer = message_compose(&e, &out, files[i].file, strlen(files[i].file), &server, "ID", &why);
			envelope_free(&e);
			buf_free(&out);
			if (test_memory_nth > 0 || answer == 0)
				break;
			CHECK(why == NULL);
		}
	test_memory_nth = 0;
	memory = realloc;
	test_case = "";
}

/* ---- is it whole? ------------------------------------------------------------------------ */

static void
bodies(void)
{
	static const char *const with[] = { "\n", "\r\n", "A: b\n\n", "A: b\r\n\r\nbody", "A: b\n c\n\n", "no field\n\n" };
	static const char *const without[] = { "", "A: b", "A: b\n", "A: b\r\n", "A: b\r\n\r", "A: b\n c\n", "A: b\n \n" };

	for (size_t i = 0; i < sizeof with / sizeof *with; i++)
		CHECK(message_has_body(with[i], strlen(with[i])));
	for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
		test_case = without[i];
		CHECK(!message_has_body(without[i], strlen(without[i])));
	}
	test_case = "";
}

/* A word of the parameters is dropped wherever it stands, and no other. */
static void
dropped(void)
{
	static const struct { const char *args, *left; } cases[] = {
		{ "", "" }, { "EXPANDED", "" }, { "expanded", "" }, { "EXPANDED EXPANDED", "" }, { "EXPANDED A=B", "A=B" },
		{ "A=B EXPANDED C=D", "A=B C=D" }, { "EXPANDED A=B EXPANDED", "A=B " }, { "EXPANDEDX XEXPANDED A=EXPANDED", NULL },
		{ "EXPAND", NULL }, { "A=B  EXPANDED  C=D", "A=B  C=D" },
	};
	char args[60];

	args_drop(NULL, "EXPANDED");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		test_case = cases[i].args;
		strcpy(args, test_case);
		args_drop(args, "EXPANDED");
		CHECK(strcmp(args, cases[i].left ? cases[i].left : test_case) == 0);
		CHECK(!args_have(args, "EXPANDED"));
	}
	test_case = "";
}

int
main(void)
{
	now.wall = 1000000000000;
	round_trip();
	marks();
	torn();
	bad_blocks();
	mailboxes();
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		compose_one(&files[i]);
	drafts();
	compose_large();
	compose_without_memory();
	bodies();
	dropped();
	return test_end();
}
