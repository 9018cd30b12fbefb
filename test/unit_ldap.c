/*
 * unit_ldap - the octets of LDAP (ber.c), and what ldap.c makes of every octet of an answer that is wrong, missing or
 * late: a directory in this process plays recorded answers. Then what takes ten minutes, in no time.
 */
#include "test.h"

#include <sys/socket.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>

/* ---- filters -------------------------------------------------------------------- */

/* An element in text: its tag in hexadecimal, and its contents, in parentheses where
 * there are elements in it. */
static void
show(struct ber *from, struct buf *out)
{
	struct ber in;
	int tag;

	while ((tag = ber_next(from, &in)) != -1) {
		buf_addf(out, "%s%02X", out->len > 0 && out->data[out->len - 1] != '(' ? " " : "", (unsigned)tag);
		if (tag & 0x20) {
			buf_addf(out, "(");
			show(&in, out);
			buf_addf(out, ")");
		} else
			buf_addf(out, ":%.*s", (int)ber_size(&in), (const char *)in.at);
	}
	if (from->at != from->end)
		buf_addf(out, "?");
}

static void
filter_is(const char *text, const char *want)
{
	struct buf b = { 0 }, shown = { 0 };
	const char *wrong;
	struct ber all;

	test_case = text;
	if ((wrong = ldap_filter(&b, text)) != NULL)
		CHECK_TEXT(wrong, want);
	else {
		all = (struct ber){ (unsigned char *)b.data, (unsigned char *)b.data + b.len };
		show(&all, &shown);
		CHECK_TEXT(shown.data, want);
	}
	buf_free(&b);
	buf_free(&shown);
	test_case = "";
}

static void
filters(void)
{
	char deep[200] = "";

	filter_is("(mail=a@example.com)", "A3(04:mail 04:a@example.com)");
	filter_is("(mail=)", "A3(04:mail 04:)");
	filter_is("(mail=*)", "87:mail");
	filter_is("(cn=\\2a\\28\\29\\5C*)", "A4(04:cn 30(80:*()\\))");
	filter_is("(cn=*a*)", "A4(04:cn 30(81:a))");
	filter_is("(cn=a*b*c*d)", "A4(04:cn 30(80:a 81:b 81:c 82:d))");
	filter_is("(cn=*d)", "A4(04:cn 30(82:d))");
	filter_is("(cn=a**b)", "A4(04:cn 30(80:a 82:b))");
	filter_is("(cn~=x)", "A8(04:cn 04:x)");
	filter_is("(cn>=x)", "A5(04:cn 04:x)");
	filter_is("(cn<=x)", "A6(04:cn 04:x)");
	filter_is("(&(a=1)(|(b=2)(c=3))(!(d=4)))", "A0(A3(04:a 04:1) A1(A3(04:b 04:2) A3(04:c 04:3)) A2(A3(04:d 04:4)))");
	filter_is("(&)", "A0()");		/* RFC 4526: true */
	filter_is("(|)", "A1()");
	filter_is("(member:1.2.840.113556.1.4.1941:=cn=x)", "A9(81:1.2.840.113556.1.4.1941 82:member 83:cn=x)");
	filter_is("(cn:dn:2.4.6:=x)", "A9(81:2.4.6 82:cn 83:x 84:\xFF)");
	filter_is("(o:dn:=x)", "A9(82:o 83:x 84:\xFF)");
	filter_is("(:1.2.3:=x)", "A9(81:1.2.3 83:x)");
	filter_is("(cn;lang-de=x)", "A3(04:cn;lang-de 04:x)");
	filter_is("", "a '(' is missing");
	filter_is("mail=x", "a '(' is missing");
	filter_is("(mail=x", "a ')' is missing");
	filter_is("(mail=x*", "a ')' is missing");
	filter_is("(mail=x))", "something stands behind its last ')'");
	filter_is("(mail=x)(mail=y)", "something stands behind its last ')'");
	filter_is("(mail=(x))", "'(' in a value is written \\28");
	filter_is("(mail=\\2)", "behind '\\' stand two hexadecimal digits");
	filter_is("(mail=\\", "behind '\\' stand two hexadecimal digits");
	filter_is("(mail=**)", "there is no text beside '*'");
	filter_is("(mail)", "behind an attribute stands one of = ~= >= <= :=");
	filter_is("(mail~x)", "behind an attribute stands one of = ~= >= <= :=");
	filter_is("(=x)", "an attribute is missing");
	filter_is("(:=x)", "that is no ATTRIBUTE:RULE:=VALUE");
	filter_is("(!)", "a '(' is missing");
	filter_is("(!(a=1)(b=2))", "a ')' is missing");
	filter_is("(&(a=1)", "a ')' is missing");
	filter_is("(&x)", "a ')' is missing");
	filter_is("(", "an attribute is missing");
	for (int i = 0; i < 30; i++)
		strcat(deep, "(!");
	filter_is(deep, "it is nested too deep");
}

/* Whatever is escaped is that value, and nothing else. */
static void
escaped(void)
{
	char all[256];
	struct buf text = { 0 }, b = { 0 };
	struct ber in, item, name, value;

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	buf_addf(&text, "(mail=");
	CHECK(ldap_escape(&text, all, sizeof all) == 0);
	buf_addf(&text, ")");
	CHECK(strlen(text.data) == text.len);
	CHECK(ldap_filter(&b, text.data) == NULL);
	in = (struct ber){ (unsigned char *)b.data, (unsigned char *)b.data + b.len };
	CHECK(ber_is(&in, 0xA3, &item) && ber_is(&item, BER_OCTETS, &name) && ber_is(&item, BER_OCTETS, &value));
	CHECK(ber_size(&value) == sizeof all && memcmp(value.at, all, sizeof all) == 0);
	buf_free(&text);
	text = (struct buf){ 0 };
	CHECK(ldap_escape(&text, "a@x)(uid=*", 10) == 0);
	CHECK_TEXT(text.data, "a@x\\29\\28uid=\\2a");
	buf_free(&text);
	buf_free(&b);
}

static void
numbers(void)
{
	static const int32_t values[] = { 0, 1, 127, 128, 255, 256, 32767, 32768, 65535, 8388607, 8388608, INT32_MAX };
	static const size_t sizes[] = { 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4, 4 };
	struct buf b = { 0 };
	struct ber in;
	int32_t n;

	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		b.len = 0;
		ber_number(&b, BER_INTEGER, values[i]);
		in = (struct ber){ (unsigned char *)b.data, (unsigned char *)b.data + b.len };
		CHECK(b.len == 6 + sizes[i]);
		CHECK(ber_int(&in, BER_INTEGER, &n) && n == values[i] && in.at == in.end);
	}
	for (size_t i = 0; i < 4; i++) {
		static const char *const wrong[] = { "\2\1\xFF", "\2\5\0\0\0\0\1", "\2\0", "\2\4\x80\0\0\0" };
		static const size_t wrong_n[] = { 3, 7, 2, 6 };

		in = (struct ber){ (const unsigned char *)wrong[i], (const unsigned char *)wrong[i] + wrong_n[i] };
		CHECK(!ber_int(&in, BER_INTEGER, &n));
	}
	buf_free(&b);
}

/* ---- answers ---------------------------------------------------------------------- */

static const char bound[] = "\x30\x0C\2\1\1\x61\7\x0A\1\0\4\0\4\0";
static const char answers[] =
	"\x30\x27\2\1\2\x64\x22\4\6uid=an\x30\x18\x30\x16\4\4mail\x31\x0E\4\5" "a@b.c\4\5" "d@e.f"
	"\x30\x84\0\0\0\x1D\2\1\2\x64\x84\0\0\0\x14\4\6uid=ot\x30\x0A\x30\x08\4\4mail\x31\0"
	"\x30\x0F\2\1\2\x73\x0A\4\x08ldap://x"
	"\x30\x34\2\1\2\x65\7\x0A\1\0\4\0\4\0\xA0\x26\x30\x24\4\x16" "1.2.840.113556.1.4.319\4\x0A\x30\x08\2\1\0\4\3\0\0\0";
static const size_t answers_n = sizeof answers - 1;

static msec tick = 1000;
static int listener, peer = -1;
static struct server server;
static struct directory here;
static long entries;
static char words[WORDS_SIZE];		/* why the last question failed */

static void
clock_ours(struct clock *c)
{
	memset(c, 0, sizeof *c);
	c->tick = tick;
	c->wall = 1600000000000LL + tick;
}

/* Let the directory say these octets to the first search, in two pieces; the second
 * when the first is read. */
static int
play(const char *octets, size_t n, size_t split, bool closes)
{
	struct ldap_question what = { .filter = "(mail=*)", .scope = SCOPE_SUBTREE, .paged = true };
	struct ldap_search q;
	struct ldap_entry *e;
	struct ldap *l = ldap_open(&server);
	char heard[4096];
	int stage = 0, answer = 0, idle = 0;

	entries = 0;
	memset(&q, 0, sizeof q);
	clock_turn();
	if (l == NULL)
		return -1;
	ldap_begin(&q, l, &what);
	for (int i = 0; i < 10000 && answer == 0; i++) {
		bool moved = false;

		ldap_step(l);
		if (peer == -1 && (peer = conn_accept(listener, &(struct addr){ 0 }, &(struct addr){ 0 })) != -1)
			stage = 0;
		else if (peer != -1 && (stage == 2 || read(peer, heard, sizeof heard) > 0)) {
			const char *part = stage == 0 ? bound : stage == 1 ? octets : octets + split;
			size_t some = stage == 0 ? sizeof bound - 1 : stage == 1 ? split : n - split;

			moved = true;
			if (stage < 3 && write(peer, part, some) != (ssize_t)some)
				stage = 4;
			if (++stage == 3 && closes) {
				close(peer);
				peer = -1;
			}
		} else if (peer != -1 && errno != EAGAIN) {
			close(peer);
			peer = -1;
		}
		while ((answer = ldap_next(&q, &e)) == 1) {
			entries++;
			ldap_entry_free(e);
		}
		idle = moved ? 0 : idle + 1;
		if (idle > 3)
			tick += 250;
		clock_turn();
	}
	CHECK(answer != 0);
	snprintf(words, sizeof words, "%s", q.words);
	ldap_end(&q);
	ldap_close(l);
	if (peer != -1)
		close(peer);
	peer = -1;
	while ((peer = conn_accept(listener, &(struct addr){ 0 }, &(struct addr){ 0 })) != -1)
		close(peer);
	return answer;
}

static void
every_octet(void)
{
	char copy[sizeof answers], text[100];

	CHECK(play(answers, answers_n, answers_n, false) == 0 || entries == 2);
	for (size_t i = 0; i <= answers_n; i++) {
		snprintf(text, sizeof text, "split at %lu", (unsigned long)i);
		test_case = text;
		CHECK(play(answers, answers_n, i, false) != 0);
		CHECK(entries >= 2);
		snprintf(text, sizeof text, "cut at %lu", (unsigned long)i);
		CHECK(play(answers, i, i, true) != 2 || i == answers_n);
		if (i % 8 == 0)
			play(answers, i, i, false);
	}
	for (size_t i = 0; i < answers_n; i++)
		for (int bit = 0; bit < 8; bit++) {
			memcpy(copy, answers, sizeof copy);
			copy[i] = (char)(copy[i] ^ 1 << bit);
			snprintf(text, sizeof text, "octet %lu, bit %d", (unsigned long)i, bit);
			test_case = text;
			play(copy, answers_n, answers_n, true);
		}
	test_case = "";
}

static void
no_memory(void)
{
	for (long nth = 1; nth < 40; nth++) {
		test_memory_nth = nth;
		CHECK(play(answers, answers_n, 20, true) != 2);	/* there is another page */
		test_memory_nth = 0;
		CHECK(strstr(words, "no LDAP") == NULL);	/* it did nothing wrong */
	}
}

/* What an entry has. */
static void
values(void)
{
	struct ber op = { (const unsigned char *)answers + 7, (const unsigned char *)answers + 7 + 34 };
	struct ldap_entry *e = NULL;
	const struct ldap_value *v;

	CHECK(ldap_entry_read(&op, &e) == 1);
	if (e == NULL)
		return;
	CHECK_TEXT(e->dn, "uid=an");
	CHECK(e->count == 2 && ldap_value(e, "cn", NULL) == NULL);
	CHECK((v = ldap_value(e, "MAIL", NULL)) != NULL && v->n == 5 && strcmp(v->octets, "a@b.c") == 0);
	CHECK((v = ldap_value(e, "mail", v)) != NULL && v->n == 5 && strcmp(v->octets, "d@e.f") == 0);
	CHECK(ldap_value(e, "mail", v) == NULL);
	ldap_entry_free(e);
}

/* ---- what time brings ------------------------------------------------------------- */

/* Directories that answer at once, each on one connection. */
static struct puppet {
	const char *path;
	int listener, peer;
	bool mute;		/* says nothing */
	char code;		/* whoever binds is told */
	bool leaves;		/* ... and behind that, that it disconnects */
	bool drips;		/* entries, and no end of them */
	bool pages;		/* says that there is another page */
	int32_t id, most;	/* of the last search; and the highest of one */
	long connections, searches;
} first = { .path = "first", .listener = -1, .peer = -1 }, second = { .path = "second", .listener = -1, .peer = -1 };

static struct directory second_at = { (char *)(uintptr_t)"ldapi://second", DIRECTORY_LOCAL, (char *)(uintptr_t)"second", { 0 }, NULL };
static struct directory first_at = { (char *)(uintptr_t)"ldapi://first", DIRECTORY_LOCAL, (char *)(uintptr_t)"first", { 0 }, &second_at };

static void
puppet_says(struct puppet *p, int32_t id, const char *octets, size_t n)
{
	char copy[100];

	memcpy(copy, octets, n);
	copy[4] = (char)id;
	CHECK(write(p->peer, copy, n) == (ssize_t)n);
}

static void
puppet_hears(struct puppet *p, int32_t id, int tag)
{
	static const char entry[] = "\x30\x0A\2\1\1\x64\5\4\1x\x30\0", done[] = "\x30\x0C\2\1\1\x65\7\x0A\1\0\4\0\4\0";
	char greeting[] = "\x30\x0C\2\1\1\x61\7\x0A\1\0\4\0\4\0"
	    "\x30\x24\2\1\0\x78\x1F\x0A\1\x34\4\0\4\0\x8A\x16" "1.3.6.1.4.1.1466.20036";

	greeting[9] = p->code;
	if (tag == BIND_REQUEST)
		puppet_says(p, id, greeting, p->leaves ? sizeof greeting - 1 : 14);
	if (tag != SEARCH_REQUEST)
		return;
	p->searches++;
	p->id = id;
	p->most = id > p->most ? id : p->most;
	puppet_says(p, id, entry, sizeof entry - 1);
	if (p->pages)
		puppet_says(p, id, answers + answers_n - 54, 54);
	else if (!p->drips)
		puppet_says(p, id, done, sizeof done - 1);
}

static void
puppet_step(struct puppet *p)
{
	struct ber all, in, op;
	char heard[4096];
	int32_t id;
	ssize_t n;
	int tag;

	if (p->listener == -1)
		return;
	if (p->peer == -1 && (p->peer = conn_accept(p->listener, &(struct addr){ 0 }, &(struct addr){ 0 })) != -1)
		p->connections++;
	if (p->peer == -1)
		return;
	n = read(p->peer, heard, sizeof heard);
	all = (struct ber){ (unsigned char *)heard, (unsigned char *)heard + (n > 0 ? n : 0) };
	while (ber_is(&all, BER_SEQUENCE, &in) && ber_int(&in, BER_INTEGER, &id) && (tag = ber_next(&in, &op)) != -1)
		if (!p->mute)
			puppet_hears(p, id, tag);
	if (n == 0) {
		close(p->peer);
		p->peer = -1;
	} else if (n == -1 && p->drips && p->id > 0)
		puppet_hears(p, p->id, SEARCH_REQUEST);
}

/* Open, or close it, and forget what was. */
static void
puppet(struct puppet *p, bool open)
{
	const char *path = p->path;

	if (p->peer != -1)
		close(p->peer);
	if (p->listener != -1)
		close(p->listener);
	unlink(path);
	*p = (struct puppet){ .path = path, .listener = open ? conn_local(path, SOCK_STREAM, LOCAL_OURS) : -1, .peer = -1 };
	CHECK(!open || listen(p->listener, 10) == 0);
}

static void
pass(struct ldap *l, msec ms)
{
	tick += ms;
	clock_turn();
	ldap_step(l);
	puppet_step(&first);
	puppet_step(&second);
}

/* Up to the end of the question: as ldap_next, 0 when that does not come in time. */
static int
outcome(struct ldap *l, struct ldap_search *q, msec step, msec limit)
{
	struct ldap_entry *e;
	int answer = 0;

	for (msec end = tick + limit; answer == 0 && tick < end; ) {
		pass(l, step);
		while ((answer = ldap_next(q, &e)) == 1)
			ldap_entry_free(e);
	}
	return answer;
}

static int
question(struct ldap *l)
{
	struct ldap_question what = { .filter = "(mail=*)", .scope = SCOPE_SUBTREE };
	struct ldap_search q;
	int answer;

	ldap_begin(&q, l, &what);
	answer = outcome(l, &q, 1, 10000);
	ldap_end(&q);
	return answer;
}

/* The second directory is asked while the first one is not there, and ten minutes more;
 * then the first, but not while pages are under way. */
static void
preference(void)
{
	struct ldap_question what = { .filter = "(mail=*)", .scope = SCOPE_SUBTREE, .paged = true };
	struct ldap_search q;
	struct ldap *l = ldap_open(&server);

	puppet(&first, false);
	puppet(&second, true);
	CHECK(question(l) == 2 && second.searches == 1);
	puppet(&first, true);
	pass(l, 599 * 1000);
	CHECK(question(l) == 2 && second.searches == 2 && first.searches == 0);
	second.pages = true;
	ldap_begin(&q, l, &what);
	for (int i = 0; i < 10; i++)
		pass(l, 1);
	CHECK(q.state == SEARCH_PAGE);
	second.pages = false;
	pass(l, 1500);
	CHECK(question(l) == 2 && second.searches == 4 && q.state == SEARCH_PAGE);
	ldap_end(&q);
	CHECK(question(l) == 2 && second.searches == 4 && first.searches == 1);
	ldap_close(l);
}

static void
ids(void)
{
	struct ldap *l = ldap_open(&server);
	int32_t before = ldap_ids;

	puppet(&first, true);
	ldap_ids = 5;
	for (int i = 0; i < 20; i++)
		CHECK(question(l) == 2);
	CHECK(first.most == 6 && first.connections == 4);
	ldap_ids = before;
	ldap_close(l);
}

/* It answers all the time, but there is an end to patience. */
static void
patience(void)
{
	struct ldap_question what = { .filter = "(mail=*)", .scope = SCOPE_SUBTREE };
	struct ldap_search q;
	struct ldap *l = ldap_open(&server);
	msec began = tick;

	puppet(&first, true);
	first.drips = true;
	ldap_begin(&q, l, &what);
	CHECK(outcome(l, &q, 500, 1000 * 1000) == -1 && q.temporary && q.found > 1000);
	CHECK(tick - began >= 600 * 1000 && tick - began < 605 * 1000);
	ldap_end(&q);
	ldap_close(l);
}

/* Whoever accepts us and leaves before he is asked anything is no better than one
 * who is not there. */
static void
leaving(void)
{
	struct ldap *l = ldap_open(&server);

	puppet(&first, true);
	puppet(&second, true);
	first.leaves = true;
	CHECK(question(l) == 2 && first.connections == 1 && second.searches == 1);
	ldap_close(l);
}

/* What is asked again stands before the others in line, and keeps none of them
 * longer than their time. */
static void
line(void)
{
	struct ldap_question what = { .filter = "(mail=*)", .scope = SCOPE_SUBTREE };
	static struct ldap_search q[60];
	struct ldap *l = ldap_open(&server);
	msec began = tick;

	puppet(&first, true);
	puppet(&second, true);
	CHECK(question(l) == 2);
	first.mute = second.mute = true;
	for (int i = 0; i < 60; i++)
		ldap_begin(&q[i], l, &what);
	while (tick < began + 4200)
		pass(l, 100);
	CHECK(first.connections == 2 && second.connections == 1 && q[59].state == SEARCH_OVER);
	for (int i = 0; i < 60; i++)
		ldap_end(&q[i]);
	ldap_close(l);
}

/* How long until they are tried again, after each of n rounds: doubled, up to a minute. */
static void
backing_off(char code, int n, msec least)
{
	struct ldap *l = ldap_open(&server);
	struct pollfd slot;
	msec until;

	puppet(&first, code != 0);
	puppet(&second, false);
	first.code = code;
	CHECK(question(l) == -1);
	for (; n > 0; n--, least = least * 2 < 60000 ? least * 2 : 60000) {
		msec began = tick;

		until = LLONG_MAX;
		ldap_want(l, &slot, &until);
		CHECK(until >= began + least - 100 && until <= began + least * 5 / 4);
		pass(l, until - began);
		for (int i = 0; i < 10; i++)
			pass(l, 1);
	}
	ldap_close(l);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_enter();
	clock_source = clock_ours;
	memory = test_memory;
	random_open();
	clock_turn();
	here = (struct directory){ (char *)(uintptr_t)"ldapi://x", DIRECTORY_LOCAL, (char *)(uintptr_t)"x", { 0 }, NULL };
	server.name = (char *)(uintptr_t)"test";
	server.ldap.directories = &here;
	server.ldap.timeout = 2000;
	if ((listener = conn_local("x", SOCK_STREAM, LOCAL_OURS)) == -1 || listen(listener, 10) == -1)
		return 2;
	test_errors_to("errors");
	filters();
	escaped();
	numbers();
	values();
	every_octet();
	no_memory();
	server.ldap.directories = &first_at;
	preference();
	ids();
	patience();
	leaving();
	line();
	backing_off(0, 10, 1000);
	backing_off(49, 3, 60000);
	puppet(&first, false);
	puppet(&second, false);
	return test_end();
}
