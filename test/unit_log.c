/*
 * unit_log.c - words and time: dates of the Gregorian calendar there and back,
 * text that is safe to print and never longer than its room, a string that
 * grows and stays whole when memory is out; and how urgent each line is to
 * syslog, of which we play the part, and that one who stalls holds up nobody.
 */
#include "test.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

/* ---- dates ------------------------------------------------------------------ */

static int
month_days(long long year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

/* Every day of this many years, counted on the fingers. */
static void
calendar(int from, int years)
{
	int f[6] = { from, 1, 1, 23, 59, 58 }, back[6];
	long long second = second_from_civil(f);
	char text[40];

	for (; f[0] < from + years; second += 86400) {
		snprintf(text, sizeof text, "%d-%d-%d", f[0], f[1], f[2]);
		test_case = text;
		civil_from_second(second, back);
		CHECK(memcmp(f, back, sizeof f) == 0);
		CHECK(second_from_civil(f) == second);
		if (++f[2] > month_days(f[0], f[1])) {
			f[2] = 1;
			f[0] += f[1] == 12;
			f[1] = f[1] % 12 + 1;
		}
	}
	test_case = "";
}

static void
dates(void)
{
	static const struct { long long second; const char *text; } known[] = {
		{ 0, "Thu, 1 Jan 1970 00:00:00 +0000" },
		{ 86399, "Thu, 1 Jan 1970 23:59:59 +0000" },
		{ 951782400, "Tue, 29 Feb 2000 00:00:00 +0000" },
		{ 1000000000, "Sun, 9 Sep 2001 01:46:40 +0000" },
		{ 1709164800, "Thu, 29 Feb 2024 00:00:00 +0000" },
		{ 2147483647, "Tue, 19 Jan 2038 03:14:07 +0000" },
		{ 2147483648, "Tue, 19 Jan 2038 03:14:08 +0000" },
		{ 4107542400, "Mon, 1 Mar 2100 00:00:00 +0000" },	/* 2100 is no leap year */
		{ 253402300799, "Fri, 31 Dec 9999 23:59:59 +0000" },
	};
	int f[6] = { 1970, 1, 1, 0, 0, 0 };
	char text[DATE_SIZE];

	CHECK(second_from_civil(f) == 0);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		CHECK_TEXT(date_text(text, known[i].second), known[i].text);
	calendar(1890, 220);
	calendar(-3, 8);
	calendar(9996, 8);
	for (long long s = -100000; s < 100000; s += 7) {	/* across 1970, second by second */
		civil_from_second(s, f);
		CHECK(second_from_civil(f) == s);
	}
}

/* ---- clock, randomness --------------------------------------------------------- */

static void
half_past(struct clock *c)
{
	*c = (struct clock){ 1, 2, 3 };
}

static void
sources(void)
{
	void (*real)(struct clock *) = clock_source;
	msec before;
	uint32_t a, b;

	clock_turn();
	before = now.tick;
	CHECK(now.wall > 1500000000000);
	clock_turn();
	CHECK(now.tick >= before);
	clock_source = half_past;
	clock_turn();
	CHECK(now.tick == 1 && now.wall == 2 && now.micro == 3);
	clock_source = real;

	a = random_number();		/* without the device */
	CHECK(a != (b = random_number()) || b != random_number());
	random_open();
	a = random_number();
	CHECK(a != (b = random_number()) || b != random_number());
}

/* ---- text ------------------------------------------------------------------------ */

static void
safe(void)
{
	static const char hard[] = "a\\\r\n\t\033[31m\0\177\303\244b";
	char out[64], all[256];

	CHECK_TEXT(text_safe(out, sizeof out, hard, sizeof hard - 1),
	    "a\\x5c\\x0d\\x0a\\x09\\x1b[31m\\x00\\x7f\\xc3\\xa4b");
	CHECK_TEXT(text_safe(out, sizeof out, "", 0), "");
	CHECK_TEXT(text_safe(out, sizeof out, "plain ~", 7), "plain ~");
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	/* Whatever the room and wherever we begin: NUL at the end, nothing
	 * behind it, all of it printable, and dots when it was cut. */
	for (size_t size = 8; size < 60; size++)
		for (size_t from = 0; from < 256; from++) {
			size_t n = 256 - from, len;

			memset(out, 'X', sizeof out);
			CHECK(text_safe(out, size, all + from, n) == out);
			len = strlen(out);
			CHECK(len < size && out[size] == 'X');
			CHECK(strspn(out, "\\") < 2);
			for (size_t i = 0; i < len; i++)
				CHECK(out[i] >= ' ' && out[i] <= '~');
			if (n >= size)
				CHECK(len > 3 && strcmp(out + len - 3, "...") == 0);
		}
}

static void
words(void)
{
	char *copy = text_copy("abc");

	CHECK(copy != NULL && strcmp(copy, "abc") == 0);
	free(copy);
	CHECK(text_compare("", "") == 0 && text_compare("MaIl@[", "mAiL@[") == 0);
	CHECK(text_compare("abc", "abd") < 0 && text_compare("ab", "abc") < 0 && text_compare("b", "A") > 0);
	CHECK(text_compare("@", "`") != 0 && text_compare("[", "{") != 0);	/* letters only */
	CHECK(text_compare("\304", "\344") != 0);				/* of ASCII only */
	CHECK(text_prefix("From: x", "from:") && text_prefix("x", "") && !text_prefix("Fro", "from:"));
}

/* ---- a string that grows ------------------------------------------------------------- */

static void
growth(void)
{
	struct buf b = { 0 };
	char piece[300];

	memset(piece, 'p', sizeof piece);
	CHECK(buf_add(&b, piece, 0) == 0 && b.len == 0);
	for (size_t i = 0; i < sizeof piece; i++) {
		size_t before = b.len;

		CHECK(buf_add(&b, piece, i) == 0);
		CHECK(b.len == before + i && b.size > b.len && b.data[b.len] == '\0');
	}
	CHECK(strlen(b.data) == b.len && strspn(b.data, "p") == b.len);
	buf_free(&b);
	CHECK(b.data == NULL && b.len == 0 && b.size == 0);
	buf_free(&b);

	CHECK(buf_add(&b, "\0a", 2) == 0 && b.len == 2 && memcmp(b.data, "\0a", 3) == 0);
	b.len = 0;
	CHECK(buf_addf(&b, "%s-%d", "x", 7) == 0);
	CHECK_TEXT(b.data, "x-7");
	CHECK(buf_addf(&b, "%1000d", 1) == 0 && b.len == 1003 && b.data[1002] == '1' && b.data[1003] == '\0');
	CHECK(buf_add(&b, "y", SIZE_MAX / 2) == -1 && b.len == 1003);
	buf_free(&b);
}

/* An array of any elements, one more at a time. */
static void
arrays(void)
{
	long long *array = NULL, *more;
	size_t room = 0;

	memory = test_memory;
	for (size_t n = 0; n < 1000; n++) {
		if (n == room) {
			test_memory_nth = 1;
			CHECK(grow(array, &room, n, sizeof *array) == NULL && room == n);
		}
		if (!CHECK((more = grow(array, &room, n, sizeof *array)) != NULL && room > n))
			break;
		array = more;
		array[n] = (long long)n;
	}
	for (size_t n = 0; n < 1000; n++)
		CHECK(array[n] == (long long)n);
	room = SIZE_MAX / 8;
	CHECK(grow(array, &room, room, sizeof *array) == NULL);
	free(array);
	memory = realloc;
}

/* -1 leaves the string as it was, and it can go on later. */
static void
growth_fails(void)
{
	struct buf b = { 0 };
	char large[500];

	memory = test_memory;
	memset(large, 'l', sizeof large);
	test_memory_nth = 1;
	CHECK(buf_add(&b, "a", 1) == -1 && b.data == NULL && b.len == 0 && b.size == 0);
	CHECK(buf_add(&b, "abc", 3) == 0);
	test_memory_nth = 1;
	CHECK(buf_add(&b, large, sizeof large) == -1);
	test_memory_nth = 1;
	CHECK(buf_addf(&b, "%.500s", large) == -1);
	CHECK_TEXT(b.data, "abc");
	CHECK(b.len == 3);
	CHECK(buf_add(&b, large, sizeof large) == 0 && b.len == 503);
	buf_free(&b);
	test_memory_nth = 1;
	CHECK(text_copy("abc") == NULL);
	memory = realloc;
}

/* ---- the log ------------------------------------------------------------------------------ */

/* A line is one line, whatever its length. */
static void
lines(void)
{
	static char large[5000];
	const char *text;

	test_enter();
	test_errors_to("log");
	memset(large, 'x', sizeof large - 1);
	log_line("%s", large);
	log_line("short %d", 1);
	log_detail("only with -v");
	trace_line(1, 0, "IDLE", '>', "NOOP\r\n", 6, "a rule");
	text = test_read("log");
	CHECK(strchr(text, '\n') - text < 1100);
	CHECK_TEXT(strchr(text, '\n') + 1, "short 1\n");

	test_errors_to("log");
	log_verbose = log_tracing = true;
	log_detail("with -v");
	CHECK_TEXT(test_read("log"), "with -v\n");
	test_errors_to("log");
	clock_source = half_past;
	trace_line(1, 0, "IDLE", '>', "NOOP\r\n", 6, "RFC 5321");
	CHECK_TEXT(test_read("log"), "#1    0.001 IDLE   > NOOP\\x0d\\x0a"
	    "                                       RFC 5321\n");
	test_errors_to("log");
	trace_line(12, 0, "IDLE", '<', large, sizeof large - 1, large);
	text = test_read("log");
	CHECK(strchr(text, '\n') - text < 1100 && strstr(text, "...\n") != NULL);
}

/* ---- syslog --------------------------------------------------------------------- */

static int facility, level;
static char told[2000];

void
openlog(const char *ident, int options, int as)
{
	CHECK_TEXT(ident, "smtpd");
	CHECK(options & LOG_NDELAY);
	facility = as;
}

void
syslog(int priority, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(told, sizeof told, format, ap);
	va_end(ap);
	level = priority;
}

static void
levels(void)
{
	static const struct { int level; const char *line; } lines[] = {
		{ LOG_INFO, "20261123T101500-00000-5f3a9c1e received server=\"s\" client=192.0.2.1" },
		{ LOG_INFO, "20261123T101500-00000-5f3a9c1e delivered folder=Drop to=<b@c>" },
		{ LOG_INFO, "20261123T101500-00000-5f3a9c1e relayed server=\"s\" reply=\"250 cannot be better\"" },
		{ LOG_INFO, "- connected #1 client=192.0.2.1:1" },
		{ LOG_NOTICE, "- refused server=\"s\" client=192.0.2.1 reply=\"550 5.7.1 no\"" },
		{ LOG_NOTICE, "- closed server=\"s\" client=192.0.2.1 reply=\"421 4.3.2 no\"" },
		{ LOG_NOTICE, "smtpd: \"s\" listening on 127.0.0.1:25" },
		{ LOG_WARNING, "20261123T101500-00000-5f3a9c1e deferred seconds=900" },
		{ LOG_WARNING, "20261123T101500-00000-5f3a9c1e failed server=\"s\" to=<b@c>" },
		{ LOG_WARNING, "20261123T101500-00000-5f3a9c1e badmail from=\"x\"" },
		{ LOG_WARNING, "- destination=c server=\"s\" waiting=1" },
		{ LOG_WARNING, "warning: no /dev/urandom" },
		{ LOG_ERR, "20261123T101500-00000-5f3a9c1e lost server=\"s\" reason=\"the disk failed\"" },
		{ LOG_ERR, "20261123T101500-00000-5f3a9c1e cannot be marked: Input/output error" },
		{ LOG_ERR, "smtpd: c.conf:2: \"s\" cannot listen on 127.0.0.1:25: Permission denied" },
		{ LOG_ERR, "20261123T101500-00000-5f3a9c1e: out of memory" },
		{ LOG_DEBUG, "#1    0.001 IDLE   > NOOP" },
	};
	test_errors_to("log");
	log_device = "nobody";
	log_to_syslog();
	CHECK(facility == LOG_MAIL);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		test_case = lines[i].line;
		log_line("%s", lines[i].line);
		CHECK_TEXT(told, lines[i].line);
		CHECK(level == lines[i].level);
	}
	test_case = "";
	CHECK_TEXT(test_read("log"), "");
}

/* One who stalls holds up nobody, and hears how much he has missed. */
static void
stalls(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "device" };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), heard = 0;
	char got[2000];
	ssize_t n;

	CHECK(bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	log_device = "device";
	log_to_syslog();
	*told = '\0';
	alarm(20);
	for (int i = 0; i < 3000; i++)
		log_line("- closed %d", i);
	alarm(0);
	CHECK_TEXT(told, "");
	for (; (n = recv(fd, got, sizeof got - 1, 0)) > 0; heard++) {
		got[n] = '\0';
		CHECK(strncmp(got, "<21>", 4) == 0 && strstr(got, " smtpd[") != NULL && strstr(got, "]: - closed ") != NULL);
	}
	CHECK(heard > 0 && heard < 3000);
	log_line("- closed at last");
	n = recv(fd, got, sizeof got - 1, 0);
	got[n > 0 ? n : 0] = '\0';
	CHECK(strstr(got, "]: warning: syslogd did not take ") != NULL && atoi(strstr(got, "take ") + 5) == 3000 - heard);
	n = recv(fd, got, sizeof got - 1, 0);
	got[n > 0 ? n : 0] = '\0';
	CHECK(strstr(got, "]: - closed at last") != NULL);

	/* He is started anew. */
	close(fd);
	unlink("device");
	log_line("- closed in between");
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	CHECK(bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	log_line("- closed anew");
	n = recv(fd, got, sizeof got - 1, 0);
	got[n > 0 ? n : 0] = '\0';
	CHECK(strstr(got, "take 1 lines") != NULL);
	close(fd);
}

int
main(void)
{
	dates();
	sources();
	safe();
	words();
	growth();
	growth_fails();
	arrays();
	lines();
	levels();
	stalls();
	return test_end();
}
