/*
 * unit_journal.c - the protocol logs: which file belongs to which instant;
 * where a restart goes on; that a record is one line with as many fields as its
 * format has, whatever was said; that the file has whole lines only.
 */
#include "test.h"

#include <errno.h>
#include <time.h>

static struct domain home = { .name = (char *)(uintptr_t)"here.example", .drop = (char *)(uintptr_t)"Drop" };
static struct server server;
static struct journal *journal;
static struct conn conn;
static struct exchange exchange;
static const struct id none, kept = { 1790000000, 7, 0xabcdef01 };

/* Set one up that has this format, and where it begins another file. */
static void
configure(int format, int roll)
{
	memset(&server, 0, sizeof server);
	server.name = (char *)(uintptr_t)"a, \"server\"";
	server.hostname = (char *)(uintptr_t)"mx.here.example";
	server.mailroot = (char *)(uintptr_t)".";
	server.badmail = (char *)(uintptr_t)"Badmail";
	server.home = &home;
	server.log = (struct log){ format, roll, 16384, (char *)(uintptr_t)"logs" };
	server.log_fields = (1 << 21) - 1;
	addr_parse(&conn.peer, "192.0.2.1:1234", true);
	addr_parse(&conn.here, "[::1]:25", true);
}

static void
begin(void)
{
	char why[200] = "";

	CHECK(journal_open(&journal, &server, why, sizeof why) == 0);
	CHECK_TEXT(why, "");
}

static void
end(void)
{
	journal_close(journal);
	journal = NULL;
}

static void
say(const char *line, size_t n, const char *user, const char *reply)
{
	journal_command(journal, &exchange, line, n);
	journal_reply(journal, &exchange, &conn, user, &none, reply);
}

static void
said(const char *line)
{
	say(line, strlen(line), "c.example", "250 ok");
}

static void
at(const char *when)
{
	int f[6];

	CHECK(sscanf(when, "%d-%d-%d %d:%d:%d", &f[0], &f[1], &f[2], &f[3], &f[4], &f[5]) == 6);
	now.wall = second_from_civil(f) * 1000 + 999;
}

/* ---- names ------------------------------------------------------------------- */

static void
names(void)
{
	static const struct { int format, roll; const char *when, *name; } known[] = {
		{ LOG_W3C, ROLL_DAILY, "2026-11-23 10:15:00", "ex261123.log" },
		{ LOG_IIS, ROLL_DAILY, "2026-11-23 10:15:00", "in261123.log" },
		{ LOG_NCSA, ROLL_DAILY, "2026-11-23 10:15:00", "nc261123.log" },
		{ LOG_W3C, ROLL_DAILY, "2000-02-29 23:59:59", "ex000229.log" },
		{ LOG_W3C, ROLL_DAILY, "2100-03-01 00:00:00", "ex000301.log" },
		{ LOG_W3C, ROLL_HOURLY, "2026-01-02 00:00:00", "ex26010200.log" },
		{ LOG_W3C, ROLL_HOURLY, "2026-01-02 23:59:59", "ex26010223.log" },
		{ LOG_W3C, ROLL_MONTHLY, "2026-12-31 23:59:59", "ex2612.log" },
		{ LOG_NCSA, ROLL_MONTHLY, "2027-01-01 00:00:00", "nc2701.log" },
		{ LOG_W3C, ROLL_WEEKLY, "2026-11-01 00:00:00", "ex261101.log" },	/* a Sunday */
		{ LOG_W3C, ROLL_WEEKLY, "2026-11-07 23:59:59", "ex261101.log" },
		{ LOG_W3C, ROLL_WEEKLY, "2026-11-08 00:00:00", "ex261102.log" },
		{ LOG_W3C, ROLL_WEEKLY, "2026-08-01 12:00:00", "ex260801.log" },	/* a Saturday */
		{ LOG_W3C, ROLL_WEEKLY, "2026-08-02 12:00:00", "ex260802.log" },
		{ LOG_W3C, ROLL_WEEKLY, "2026-08-31 12:00:00", "ex260806.log" },
		{ LOG_W3C, ROLL_NEVER, "2026-11-23 10:15:00", "extend.log" },
		{ LOG_W3C, ROLL_SIZE, "2026-11-23 10:15:00", "extend42.log" },
		{ LOG_IIS, ROLL_NEVER, "2026-11-23 10:15:00", "inetsv.log" },
		{ LOG_IIS, ROLL_SIZE, "2026-11-23 10:15:00", "inetsv42.log" },
		{ LOG_NCSA, ROLL_NEVER, "2026-11-23 10:15:00", "ncsa.log" },
		{ LOG_NCSA, ROLL_SIZE, "2026-11-23 10:15:00", "ncsa42.log" },
	};
	char name[JOURNAL_NAME];
	int f[6];

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		const struct log l = { known[i].format, known[i].roll, 0, NULL };

		test_case = known[i].when;
		at(known[i].when);
		civil_from_second(now.wall / 1000, f);
		journal_name(name, &l, f, 42);
		CHECK_TEXT(name, known[i].name);
	}
	test_case = "";
}

/* Day by day: the week goes up on Sundays, and begins anew with each month. */
static void
weeks(void)
{
	const struct log l = { LOG_W3C, ROLL_WEEKLY, 0, NULL };
	char name[JOURNAL_NAME], want[JOURNAL_NAME];
	int f[6], week = 0;

	for (long long day = 10957; day < 10957 + 366 * 40; day++) {	/* 2000-01-01 was a Saturday */
		civil_from_second(day * 86400, f);
		week = f[2] == 1 ? 1 : week + ((day - 10958) % 7 == 0);
		journal_name(name, &l, f, 0);
		snprintf(want, sizeof want, "ex%02d%02d%02d.log", f[0] % 100, f[1], week);
		CHECK_TEXT(name, want);
	}
}

static size_t
size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (size_t)st.st_size : 0;
}

/* By size: the number counts on, in the order of numbers, and no file is larger. */
static void
numbers(void)
{
	char path[60];

	configure(LOG_W3C, ROLL_SIZE);
	at("2026-11-23 10:15:00");
	begin();
	said("NOOP");
	end();
	CHECK(size_of("logs/extend1.log") > 0);
	test_write("logs/extend9.log", "x\n", 2);
	test_write("logs/extend10.log", "x\n", 2);
	test_write("logs/extend011.log", "x\n", 2);
	test_write("logs/extend99.log.old", "x\n", 2);
	test_write("logs/extend-5.log", "x\n", 2);
	test_write("logs/inetsv77.log", "x\n", 2);
	begin();
	for (int i = 0; i < 1000; i++) {
		now.wall += 400;
		said("NOOP with something behind it");
		if (i % 3 == 0)
			journal_write(journal);
	}
	end();
	CHECK(size_of("logs/extend9.log") == 2 && size_of("logs/extend13.log") > 0);
	for (int i = 10; i < 14; i++) {
		snprintf(path, sizeof path, "logs/extend%d.log", i);
		CHECK(size_of(path) > 14000 - (i == 13) * 14000 && size_of(path) <= 16384);
		CHECK(strstr(test_read(path), "#Fields: ") != NULL);
	}
	test_empty("logs");
}

/* ---- records ------------------------------------------------------------------- */

static void
formats(void)
{
	at("2026-11-03 04:05:06");
	configure(LOG_W3C, ROLL_NEVER);
	begin();
	exchange.received = 24;
	now.tick = 1000;
	journal_command(journal, &exchange, "mail  FROM:<a+b@c.example>", 26);
	now.tick = 1012;
	journal_reply(journal, &exchange, &conn, "c.example", &none, "250 2.1.0 ok");
	journal_command(journal, &exchange, "DATA", 4);
	journal_reply(journal, &exchange, &conn, "c.example", &none, "354 go on");	/* not the last word */
	exchange.received += 100;
	journal_reply(journal, &exchange, &conn, "c.example", &kept, "250 2.0.0 queued");
	journal_command(journal, &exchange, "auth plain AHNtaXRoAHNlY3JldA==", 31);
	journal_reply(journal, &exchange, &conn, NULL, &none, "535-5.7.8 no");
	journal_reply(journal, &exchange, &conn, NULL, &none, "535 5.7.8 no");
	journal_reply(journal, &exchange, &conn, NULL, &none, "220 ready");		/* nobody asked */
	journal_reply(journal, &exchange, &conn, NULL, &none, "421 4.4.2 Nothing heard");
	CHECK_TEXT(test_read("logs/extend.log"), "");		/* the turn is not over */
	journal_write(journal);
	CHECK_TEXT(test_read("logs/extend.log"), "#Software: smtpd " SMTPD_VERSION "\n#Version: 1.0\n#Date: 2026-11-03 04:05:06\n"
	    "#Fields: date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem cs-uri-query sc-status "
	    "sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host cs(User-Agent) cs(Cookie) cs(Referer)\n"
	    "2026-11-03 04:05:06 192.0.2.1 c.example a%2C+%22server%22 mx.here.example ::1 25 MAIL - FROM:<a%2Bb@c.example> 250 - 14 24 12 SMTP - - - -\n"
	    "2026-11-03 04:05:06 192.0.2.1 c.example a%2C+%22server%22 mx.here.example ::1 25 DATA - 20260921T141320-00007-abcdef01 250 - 29 100 0 SMTP - - - -\n"
	    "2026-11-03 04:05:06 192.0.2.1 - a%2C+%22server%22 mx.here.example ::1 25 AUTH - - 535 - 28 0 0 SMTP - - - -\n"
	    "2026-11-03 04:05:06 192.0.2.1 - a%2C+%22server%22 mx.here.example ::1 25 - - 4.4.2+Nothing+heard 421 - 25 0 0 SMTP - - - -\n");
	end();
	configure(LOG_IIS, ROLL_NEVER);
	begin();
	exchange.received = 30;
	say("MAIL FROM:<a,b@c.example>", 25, "c.example", "250 ok");
	journal_relay(journal, &exchange, &conn, '=', "ours", 4);
	journal_relay(journal, &exchange, &conn, '>', "RCPT TO:<x>", 11);
	now.tick += 5;
	journal_relay(journal, &exchange, &conn, '<', "250-ok, \"ok\"", 12);
	journal_relay(journal, &exchange, &conn, '<', "12", 2);
	end();
	CHECK_TEXT(test_read("logs/inetsv.log"),
	    "192.0.2.1, c.example, 11/3/26, 04:05:06, a%2C+%22server%22, mx.here.example, ::1, 0, 30, 8, 250, 0, MAIL, -, FROM:<a%2Cb@c.example>,\n"
	    "192.0.2.1, OutboundConnectionCommand, 11/3/26, 04:05:06, a%2C+%22server%22, mx.here.example, -, 0, 0, 13, 0, 0, RCPT, -, TO:<x>,\n"
	    "192.0.2.1, OutboundConnectionResponse, 11/3/26, 04:05:06, a%2C+%22server%22, mx.here.example, -, 5, 14, 0, 250, 0, -, -, 250-ok%2C+%22ok%22,\n"
	    "192.0.2.1, OutboundConnectionResponse, 11/3/26, 04:05:06, a%2C+%22server%22, mx.here.example, -, 5, 4, 0, 0, 0, -, -, 12,\n");
	configure(LOG_NCSA, ROLL_NEVER);
	begin();
	said("QUIT");
	end();
	CHECK_TEXT(test_read("logs/ncsa.log"), "192.0.2.1 - c.example [03/Nov/2026:04:05:06 +0000] \"QUIT -?- HTTP/1.0\" 250 8\n");
	test_empty("logs");
}

static int
count(const char *text, char c)
{
	int n = 0;

	for (; *text != '\0'; text++)
		n += *text == c;
	return n;
}

/* The lines of a file that are no header: all printable, each with so many of
 * these between its fields, none too long. */
static void
lines_are(const char *text, int lines, char between, int betweens)
{
	const char *end;
	int n = 0, found;

	for (; (end = strchr(text, '\n')) != NULL; text = end + 1) {
		if (*text == '#')
			continue;
		n++;
		found = 0;
		for (const char *c = text; c < end; c++) {
			found += *c == between;
			CHECK(*c >= ' ' && *c <= '~');
		}
		CHECK(found == betweens);
		CHECK(end - text < 4096);
	}
	CHECK(*text == '\0' && n == lines);
}

/* Every octet, everywhere, alone and very often. */
static void
hostile(int format, const char *path, char between, int betweens)
{
	static char line[LINE_OCTETS + 1], user[600];
	char text[40];

	configure(format, ROLL_NEVER);
	for (int c = 0; c < 512; c++) {
		size_t n = c < 256 ? 6 : LINE_OCTETS;

		snprintf(text, sizeof text, "octet %d, %zu times", c % 256, n);
		test_case = text;
		memset(line, c, sizeof line);
		memset(user, 0, sizeof user);
		memset(user, c, c < 256 ? 1 : sizeof user - 1);
		begin();
		journal_relay(journal, &exchange, &conn, '>', line, n);
		journal_relay(journal, &exchange, &conn, '<', line, n);
		memcpy(line, "RCPT ", 5);
		say(line, n, user, "250 ok");
		memcpy(line, "AUTH", 4);
		line[4] = c % 2 ? ' ' : '\t';
		say(line, n, user, "500 ok");
		end();
		lines_are(test_read(path), 4, between, betweens);
		CHECK(count(test_read(path), '[') == (format == LOG_NCSA ? 4 : 0));
		CHECK(count(test_read(path), '"') == (format == LOG_NCSA ? 8 : 0));
		remove(path);
	}
	test_case = "";
}

/* ---- the file -------------------------------------------------------------------- */

/* By time; and what a crash has torn is cut back, a file of others left whole. */
static void
files(void)
{
	configure(LOG_W3C, ROLL_DAILY);
	server.log_fields = 1 << 1 | 1 << 8;		/* time, cs-method */
	at("2026-11-23 23:59:58");
	test_errors_to("said");
	begin();
	said("ONE");
	now.wall += 1000;
	said("TWO");
	now.wall += 1;
	said("THREE");
	end();
	CHECK(strstr(test_read("logs/ex261123.log"), "#Fields: time cs-method\n23:59:58 ONE\n23:59:59 TWO\n") != NULL);
	CHECK(strstr(test_read("logs/ex261124.log"), "#Date: 2026-11-24 00:00:00\n#Fields: time cs-method\n00:00:00 THREE\n") != NULL);
	test_write("logs/ex261124.log", "00:00:00 FOUR\n00:00:01 FI", 25);
	begin();
	said("SIX");
	journal_write(journal);
	CHECK(strncmp(test_read("logs/ex261124.log"), "00:00:00 FOUR\n#Software", 23) == 0);
	/* Another place, as logrotate does it: noticed when a second is over. */
	rename("logs/ex261124.log", "logs/old");
	said("SEVEN");
	now.wall += 1000;
	said("EIGHT");
	end();
	CHECK(strstr(test_read("logs/old"), "SIX\n00:00:00 SEVEN\n") != NULL);
	CHECK(strstr(test_read("logs/ex261124.log"), "#Fields: time cs-method\n00:00:01 EIGHT\n") != NULL);
	CHECK_TEXT(test_read("said"), "");
	test_empty("logs");
}

static void
local(void)
{
	setenv("TZ", "XYZ-05:30", 1);
	tzset();
	at("2026-11-23 22:00:00");
	configure(LOG_NCSA, ROLL_HOURLY);
	begin();
	said("NOOP");
	end();
	CHECK(strstr(test_read("logs/nc26112403.log"), " [24/Nov/2026:03:30:00 +0530] ") != NULL);
	configure(LOG_W3C, ROLL_HOURLY);
	begin();
	said("NOOP");
	end();
	CHECK(strstr(test_read("logs/ex26112322.log"), "\n2026-11-23 22:00:00 192.0.2.1 ") != NULL);
	server.log_local_time = true;
	begin();
	said("NOOP");
	end();
	CHECK(strstr(test_read("logs/ex26112403.log"), "\n2026-11-24 03:30:00 192.0.2.1 ") != NULL);
	setenv("TZ", "XYZ05:00", 1);
	tzset();
	configure(LOG_NCSA, ROLL_NEVER);
	begin();
	said("NOOP");
	end();
	CHECK(strstr(test_read("logs/ncsa.log"), " [23/Nov/2026:17:00:00 -0500] ") != NULL);
	test_empty("logs");
}

/* ---- when it cannot be written ------------------------------------------------------- */

static int
full(const char *act)
{
	return strcmp(act, "log") == 0 ? ENOSPC : 0;
}

/* It is said twice, and counted in between. */
static void
lost(void)
{
	configure(LOG_IIS, ROLL_NEVER);
	test_errors_to("said");
	begin();
	said("NOOP");
	journal_write(journal);
	disk_fault = full;
	for (int i = 0; i < 10; i++) {
		now.tick += 600;
		said("NOOP");
		said("NOOP");
		journal_write(journal);
	}
	disk_fault = NULL;
	now.tick += 1000;
	said("NOOP");
	journal_write(journal);
	lines_are(test_read("logs/inetsv.log"), 4, ',', 15);
	CHECK_TEXT(test_read("said"), "- log server=\"a, \"server\"\" file=./logs/inetsv.log reason=\"No space left on device; "
	    "records are lost until it can be written again\"\n"
	    "- log server=\"a, \"server\"\" file=./logs/inetsv.log lost=18; it can be written again\n");
	disk_fault = full;
	said("NOOP");
	end();
	disk_fault = NULL;
	CHECK(strstr(test_read("said"), " lost=1; it is closed\n") != NULL);
	test_empty("logs");
	test_errors_to("said");
	memory = test_memory;
	for (int nth = 1; nth < 12; nth++) {		/* nothing but records is lost */
		begin();
		test_memory_nth = nth;
		said("NOOP");
		said("NOOP");
		test_memory_nth = 0;
		said("NOOP");
		end();
	}
	lines_are(test_read("logs/inetsv.log"), count(test_read("logs/inetsv.log"), '\n'), ',', 15);
	CHECK(count(test_read("logs/inetsv.log"), '\n') > 22);
	memory = realloc;
	test_empty("logs");
}

static void
refused(void)
{
	struct journal *second = NULL;
	char why[200] = "";

	configure(LOG_W3C, ROLL_NEVER);
	begin();
	CHECK(journal_open(&second, &server, why, sizeof why) == -1 && second == NULL);
	CHECK(strstr(why, "each has its own") != NULL);
	end();
	mkdir("Queue", 0700);
	symlink("Queue", "link");
	server.log.folder = (char *)(uintptr_t)"link";
	CHECK(journal_open(&second, &server, why, sizeof why) == -1 && strstr(why, "is Queue, which is for mail") != NULL);
	server.log.folder = (char *)(uintptr_t)"none/there";
	CHECK(journal_open(&second, &server, why, sizeof why) == -1 && strstr(why, "cannot be made") != NULL);
	server.log.format = LOG_NONE;
	CHECK(journal_open(&second, &server, why, sizeof why) == 0 && second == NULL);
	journal_command(second, &exchange, "NOOP", 4);
	journal_reply(second, &exchange, &conn, NULL, &none, "250 ok");
	journal_relay(second, &exchange, &conn, '>', "NOOP", 4);
	journal_write(second);
	journal_close(second);
}

int
main(void)
{
	setenv("TZ", "UTC0", 1);
	tzset();
	test_enter();
	names();
	weeks();
	numbers();
	formats();
	hostile(LOG_W3C, "logs/extend.log", ' ', 20);
	hostile(LOG_IIS, "logs/inetsv.log", ',', 15);
	hostile(LOG_NCSA, "logs/ncsa.log", ' ', 9);
	files();
	lost();
	refused();
	local();
	return test_end();
}
