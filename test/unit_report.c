/*
 * unit_report.c - delivery status notifications: who is reported on, what is
 * said of him, and that it is mail of the right form whatever it quotes.
 */
#include "test.h"

static struct config *config;
static struct message m;
static struct attempt attempt;
static struct buf text;

/* ---- what it is about ------------------------------------------------------------ */

/* A message with this content, from s@here.example; nobody yet. */
static void
message(const char *args, const char *content, size_t n)
{
	if (m.fd > 0)
		close(m.fd);
	envelope_free(&m.env);
	memset(&m, 0, sizeof m);
	test_write("queued", "block", 5);
	m.fd = open("queued", O_RDWR | O_APPEND);
	CHECK(write(m.fd, content, n) == (ssize_t)n);
	m.id.second = 1000000000;
	m.body = 5;
	m.size = (long long)n + 5;
	CHECK(envelope_sender(&m.env, "s@here.example", args) == 0);
	memset(&attempt, 0, sizeof attempt);
}

static struct recipient *
to(const char *address, const char *args, enum outcome outcome, const char *words)
{
	struct recipient *r;

	CHECK(envelope_add(&m.env, address, args) == 0);
	r = &m.env.rcpt[m.env.count - 1];
	r->chosen = true;
	recipient_outcome(r, outcome, words, words ? "mx.far.example[192.0.2.1]:25" : NULL);
	return r;
}

static const char *
report(enum action action)
{
	struct report r = { action, config->servers, &m, &attempt, 1000172800 };
	struct id id = { 1000000001, 2, 3 };

	buf_free(&text);
	CHECK(report_write(&r, &id, &text) == 0 && text.data != NULL);
	return text.data ? text.data : "";
}

static bool
says(const char *line)
{
	char all[2000];

	snprintf(all, sizeof all, "\r\n%s\r\n", line);
	return text.data != NULL && strstr(text.data, all) != NULL;
}

/* Whatever it is about: lines of at most 998 octets and CRLF at the end of each,
 * no NUL, 8 bits only where they are announced, three parts. */
static void
form(const char *args)
{
	char boundary[100] = "", line[120];
	const char *at = text.data;
	int parts = 0;
	size_t n;

	CHECK(sscanf(strstr(at, "boundary=\""), "boundary=\"%70[^\"]", boundary) == 1);
	snprintf(line, sizeof line, "--%s", boundary);
	for (; *at != '\0'; at += n + 2) {
		n = strcspn(at, "\r\n");
		if (!CHECK(at[n] == '\r' && at[n + 1] == '\n' && n <= 998))
			break;
		parts += strncmp(at, line, strlen(line)) == 0;
	}
	CHECK(at == text.data + text.len && parts == 4);
	n = strlen(line);
	CHECK(text.len > n + 6 && strncmp(text.data + text.len - n - 4, line, n) == 0 &&
	    strcmp(text.data + text.len - 4, "--\r\n") == 0);
	for (at = text.data; args == NULL && *at != '\0'; at++)
		if (!CHECK((unsigned char)*at < 128))
			break;
}

/* ---- who ------------------------------------------------------------------------------ */

static void
covers(void)
{
	static const struct {
		const char *args;
		bool failed, delayed, delivered;
	} rows[] = {
		{ NULL, true, true, false }, { "ORCPT=rfc822;x", true, true, false }, { "NOTIFY=NEVER", false, false, false },
		{ "NOTIFY=FAILURE", true, false, false }, { "NOTIFY=DELAY", false, true, false },
		{ "NOTIFY=SUCCESS", false, false, true }, { "notify=success,Failure", true, false, true },
		{ "ORCPT=rfc822;x NOTIFY=DELAY,SUCCESS", false, true, true }, { "NOTIFY=SUCCESS,FAILURE,DELAY", true, true, true },
	};
	static const enum action actions[] = { FAILED, DELAYED, DELIVERED, RELAYED };
	static const enum outcome outcomes[] = { RCPT_OPEN, RCPT_ACCEPTED, RCPT_REJECTED, RCPT_TAKEN, RCPT_DEFERRED };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (size_t a = 0; a < sizeof actions / sizeof *actions; a++)
			for (size_t o = 0; o < sizeof outcomes / sizeof *outcomes; o++) {
				struct report r = { actions[a], config->servers, &m, &attempt, 0 };
				bool want = actions[a] == FAILED ? rows[i].failed && outcomes[o] == RCPT_REJECTED :
				    actions[a] == DELAYED ? rows[i].delayed && outcomes[o] == RCPT_DEFERRED :
				    rows[i].delivered && outcomes[o] == RCPT_ACCEPTED;
				struct recipient *to_him;

				test_case = rows[i].args ? rows[i].args : "no args";
				message(NULL, "\r\n", 2);
				to_him = to("a@far.example", rows[i].args, outcomes[o], "x");
				CHECK(report_covers(&r, to_him) == want);
				to_him->notified = true;
				CHECK(report_covers(&r, to_him) == (want && actions[a] != DELAYED));
				to_him->chosen = false;
				CHECK(!report_covers(&r, to_him));
				to_him->chosen = true;
				m.env.sender[0] = '\0';
				CHECK(!report_covers(&r, to_him));
			}
	test_case = "";
}

/* ---- the status --------------------------------------------------------------------------- */

static void
statuses(void)
{
	static const struct {
		const char *words, *failed, *delayed, *code;
	} rows[] = {
		{ "550 5.1.1 nobody", "5.1.1", "4.0.0", "smtp;550 5.1.1 nobody" },
		{ "550 nobody", "5.0.0", "4.0.0", "smtp;550 nobody" },
		{ "450 4.2.1 grey", "5.0.0", "4.2.1", "smtp;450 4.2.1 grey" },
		{ "450 5.1.1 liar", "5.1.1", "4.0.0", "smtp;450 5.1.1 liar" },
		{ "554 5.7.999 x", "5.7.999", "4.0.0", "smtp;554 5.7.999 x" },
		{ "550 2.0.0 x", "5.0.0", "4.0.0", "smtp;550 2.0.0 x" },
		{ "550 5.1 x", "5.0.0", "4.0.0", "smtp;550 5.1 x" },
		{ "550", "5.0.0", "4.0.0", "smtp;550" },
		{ "5.3.4 too large", "5.3.4", "4.0.0", "x-smtpd;5.3.4 too large" },
		{ "4.4.1 it was not there", "5.0.0", "4.4.1", "x-smtpd;4.4.1 it was not there" },
	};
	char line[200];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		test_case = rows[i].words;
		message(NULL, "\r\n", 2);
		to("a@far.example", NULL, RCPT_REJECTED, rows[i].words);
		report(FAILED);
		form(NULL);
		snprintf(line, sizeof line, "Status: %s", rows[i].failed);
		CHECK(says(line) && says("Action: failed") && says("Final-Recipient: rfc822;a@far.example"));
		CHECK(says("Remote-MTA: dns;mx.far.example"));
		snprintf(line, sizeof line, "Diagnostic-Code: %s", rows[i].code);
		CHECK(says(line) && strstr(text.data, "Will-Retry-Until") == NULL);
		m.env.rcpt[0].expired = true;
		report(FAILED);
		CHECK(says("Status: 4.4.7"));
		m.env.rcpt[0].expired = false;
		m.env.rcpt[0].outcome = RCPT_DEFERRED;
		report(DELAYED);
		form(NULL);
		snprintf(line, sizeof line, "Status: %s", rows[i].delayed);
		CHECK(says(line) && says("Action: delayed") && says("Will-Retry-Until: Tue, 11 Sep 2001 01:46:40 +0000"));
	}
	test_case = "";
	message(NULL, "\r\n", 2);
	to("a@here.example", "NOTIFY=SUCCESS", RCPT_ACCEPTED, NULL);
	report(DELIVERED);
	form(NULL);
	CHECK(says("Status: 2.0.0") && says("Action: delivered"));
	CHECK(strstr(text.data, "Remote-MTA") == NULL && strstr(text.data, "Diagnostic-Code") == NULL);
}

/* ---- all of it ------------------------------------------------------------------------------ */

static void
head(void)
{
	message("RET=FULL ENVID=a+2Bb+0D+0Ac", "Subject: s\r\n\r\nbody\r\n", 20);
	to("a@far.example", "NOTIFY=FAILURE ORCPT=rfc822;o+2Bo+0D+0A+FF+41@x", RCPT_REJECTED, "550 5.1.1 no");
	to("b@far.example", NULL, RCPT_ACCEPTED, "250 ok");
	to("c@far.example", "NOTIFY=NEVER", RCPT_REJECTED, "550 5.1.1 no");
	to("d@far.example", NULL, RCPT_REJECTED, "550 5.1.1 no");
	attempt.transcript = "< 220 x\n> EHLO y\n< .\n";
	report(FAILED);
	form(NULL);
	CHECK(strncmp(text.data, "Date: ", 6) == 0);
	CHECK(says("From: Mail Delivery System <postmaster@here.example>") && says("To: <s@here.example>"));
	CHECK(says("Auto-Submitted: auto-replied") && says("MIME-Version: 1.0"));
	CHECK(says("Content-Type: multipart/report; report-type=delivery-status;"));
	CHECK(says("Message-ID: <20010909T014641-00002-00000003@mail.here.example>"));
	CHECK(says("Original-Envelope-Id: a+b??c") && says("Original-Recipient: rfc822;o+o???A@x"));
	CHECK(says("Reporting-MTA: dns;mail.here.example") && says("Arrival-Date: Sun, 9 Sep 2001 01:46:40 +0000"));
	CHECK(says("Final-Recipient: rfc822;d@far.example"));
	CHECK(strstr(text.data, "b@far.example") == NULL && strstr(text.data, "c@far.example") == NULL);
	CHECK(says("    < 220 x\r\n    > EHLO y\r\n    < ."));
	CHECK(says("Content-Type: message/rfc822") && says("Subject: s\r\n\r\nbody"));
}

static void
folded(void)
{
	char words[600], *at = words;

	message(NULL, "\r\n", 2);
	for (int i = 0; i < 100; i++)
		at += sprintf(at, "%s%d", i ? " " : "550 ", i * 37 % 1000);
	to("a@far.example", NULL, RCPT_REJECTED, words);
	report(FAILED);
	form(NULL);
	for (const char *line = text.data; *line != '\0'; line += strcspn(line, "\n") + 1)
		CHECK(strcspn(line, "\r") <= 78);
	/* Unfolded it is what it was. */
	at = strstr(text.data, "Diagnostic-Code: ");
	if (CHECK(at != NULL)) {
		char plain[700];
		size_t n = 0;

		for (; n < sizeof plain - 1 && (strncmp(at, "\r\n", 2) != 0 || at[2] == ' '); at++)
			if (*at != '\r' && *at != '\n')
				plain[n++] = *at;
		plain[n] = '\0';
		CHECK(strncmp(plain, "Diagnostic-Code: smtp;", 22) == 0);
		CHECK_TEXT(plain + 22, words);
	}
}

/* ---- what comes back ------------------------------------------------------------------------ */

static void
returned(void)
{
	static char large[70000];
	static const struct {
		const char *args;
		size_t body;
		enum action action;
		bool whole;
		const char *type;
	} rows[] = {
		{ NULL, 100, FAILED, true, "message/rfc822" }, { "RET=FULL", 100, FAILED, true, "message/rfc822" },
		{ "RET=HDRS", 100, FAILED, false, "text/rfc822-headers" }, { "ret=hdrs", 100, FAILED, false, "text/rfc822-headers" },
		{ NULL, 66000, FAILED, false, "text/rfc822-headers" }, { "BODY=BINARYMIME", 100, FAILED, false, "text/rfc822-headers" },
		{ "BODY=8BITMIME", 100, FAILED, true, "message/rfc822" }, { "SMTPUTF8", 100, FAILED, true, "message/global" },
		{ "SMTPUTF8 RET=HDRS", 100, FAILED, false, "message/global-headers" },
		{ NULL, 100, DELIVERED, false, "text/rfc822-headers" }, { "RET=FULL", 100, RELAYED, false, "text/rfc822-headers" },
		{ NULL, 100, DELAYED, false, "text/rfc822-headers" },
	};
	char line[100];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t n = (size_t)sprintf(large, "Subject: s\r\nX: y\r\n\r\n");

		test_case = rows[i].args ? rows[i].args : "no args";
		for (size_t j = 0; j < rows[i].body; j++)
			large[n++] = j % 50 == 48 ? '\r' : j % 50 == 49 ? '\n' : 'b';
		message(rows[i].args, large, n);
		to("a@far.example", "NOTIFY=SUCCESS,FAILURE,DELAY",
		    rows[i].action == FAILED ? RCPT_REJECTED : rows[i].action == DELAYED ? RCPT_DEFERRED : RCPT_ACCEPTED, "550 no");
		report(rows[i].action);
		form("8bit");
		snprintf(line, sizeof line, "Content-Type: %s", rows[i].type);
		CHECK(says(line) && says("Subject: s\r\nX: y"));
		CHECK((strstr(text.data, "bbbbbbbbbb") != NULL) == rows[i].whole);
	}
	test_case = "";

	/* No header's end, no line's end. */
	message("RET=HDRS", "Subject: only this", 18);
	to("a@far.example", NULL, RCPT_REJECTED, "550 no");
	report(FAILED);
	form(NULL);
	message(NULL, "", 0);
	to("a@far.example", NULL, RCPT_REJECTED, "550 no");
	report(FAILED);
	form(NULL);
	message(NULL, "Subject: x\r\n\r\nno end", 20);
	to("a@far.example", NULL, RCPT_REJECTED, "550 no");
	report(FAILED);
	form(NULL);
	CHECK(says("no end"));
}

/* Eight bits that were not announced by the sender. */
static void
eight(void)
{
	message(NULL, "Subject: x\r\n\r\ngr\303\274n\r\n", 21);
	to("a@far.example", NULL, RCPT_REJECTED, "550 no");
	report(FAILED);
	form(report_args(&(struct report){ FAILED, config->servers, &m, &attempt, 0 }, &text));
	message(NULL, "Subject: x\r\n\r\n", 14);
	to("\303\274@far.example", NULL, RCPT_REJECTED, "550 no");
	report(FAILED);
	form(report_args(&(struct report){ FAILED, config->servers, &m, &attempt, 0 }, &text));
	message("SMTPUTF8", "Subject: \303\274\r\n\r\n", 15);
	to("\303\274@far.example", NULL, RCPT_REJECTED, "550 no");
	report(FAILED);
	form("SMTPUTF8");
	CHECK(says("Final-Recipient: utf-8;\303\274@far.example") && says("Content-Type: message/global-delivery-status"));
	CHECK_TEXT(report_args(&(struct report){ FAILED, config->servers, &m, &attempt, 0 }, &text), "BODY=8BITMIME SMTPUTF8");
}

/* Whole, or not at all. */
static void
without_memory(void)
{
	struct report r = { FAILED, config->servers, &m, &attempt, 0 };
	struct id id = { 1000000001, 2, 3 };
	char *whole;

	message("ENVID=x", "Subject: x\r\n\r\nbody\r\n", 20);
	to("a@far.example", "ORCPT=rfc822;x", RCPT_REJECTED, "550 5.1.1 no");
	report(FAILED);
	whole = text_copy(text.data);
	memory = test_memory;
	for (long nth = 1; nth < 1000; nth++) {
		buf_free(&text);
		test_memory_nth = nth;
		if (report_write(&r, &id, &text) == 0) {
			CHECK(strlen(text.data) == strlen(whole) && strcmp(text.data + text.len - 4, "--\r\n") == 0);
			if (test_memory_nth > 0)
				break;
			CHECK(!"memory was refused, and nobody noticed");
		}
	}
	CHECK(test_memory_nth > 0);
	test_memory_nth = 0;
	memory = realloc;
	free(whole);
}

int
main(void)
{
	static const char conf[] = "server s { general { hostname mail.here.example }\n domain here.example default\n}\n";

	test_enter();
	clock_turn();
	random_open();
	test_write("conf", conf, sizeof conf - 1);
	if ((config = config_load("conf")) == NULL)
		return 1;
	covers();
	statuses();
	head();
	folded();
	returned();
	eight();
	without_memory();
	buf_free(&text);
	envelope_free(&m.env);
	config_release(config);
	return test_end();
}
