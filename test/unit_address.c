/*
 * unit_address.c - who and where, as RFC 5321 4.1.2 and 4.1.3 spell them: what
 * is taken, what it becomes, and above all what is refused.
 */
#include "test.h"

/* ---- paths ----------------------------------------------------------------------- */

/* In angle brackets as MAIL and RCPT bring it; want NULL: refused.  What the
 * path becomes is its mailbox; domain is what stands behind the @. */
static const struct { const char *path, *want, *domain; } paths[] = {
	{ "<>", "", NULL },
	{ "<a@b>", "a@b", "b" },
	{ "<john.q.public@example.com>", "john.q.public@example.com", "example.com" },
	{ "<postmaster>", "postmaster", NULL },
	{ "<PostMaster>", "PostMaster", NULL },
	{ "<!#$%&'*+-/=?^_`{|}~0aZ@example.com>", "!#$%&'*+-/=?^_`{|}~0aZ@example.com", "example.com" },
	{ "<+@b>", "+@b", "b" },
	{ "<a@b_c.example>", "a@b_c.example", "b_c.example" },	/* real hosts have it */
	{ "<a@1.2.3>", "a@1.2.3", "1.2.3" },
	{ "<a@xn--bcher-kva.example>", "a@xn--bcher-kva.example", "xn--bcher-kva.example" },
	/* Dot-string */
	{ "<.a@b>", NULL, NULL }, { "<a.@b>", NULL, NULL }, { "<a..b@c>", NULL, NULL }, { "<.@b>", NULL, NULL },
	{ "<a b@c>", NULL, NULL }, { "< a@b>", NULL, NULL }, { "<a@b >", NULL, NULL }, { "<a(c)@b>", NULL, NULL },
	{ "<a,b@c>", NULL, NULL }, { "<a;b@c>", NULL, NULL }, { "<a:b@c>", NULL, NULL }, { "<a\\b@c>", NULL, NULL },
	{ "<a[b@c>", NULL, NULL }, { "<a\tb@c>", NULL, NULL }, { "<a\177@c>", NULL, NULL },
	/* Quoted-string: the quotes stay, and are part of the name */
	{ "<\"a b\"@c>", "\"a b\"@c", "c" },
	{ "<\"a@b\"@c>", "\"a@b\"@c", "c" },
	{ "<\"a>b,<;:(\"@c>", "\"a>b,<;:(\"@c", "c" },
	{ "<\"a\\\"b\\\\c\"@d>", "\"a\\\"b\\\\c\"@d", "d" },
	{ "<\"..\"@d>", "\"..\"@d", "d" },
	{ "<\"\"@d>", "\"\"@d", "d" },
	{ "<\"a b\">", "\"a b\"", NULL },
	{ "<\"a@b>", NULL, NULL }, { "<\"a\"b@c>", NULL, NULL }, { "<a\"b\"@c>", NULL, NULL },
	{ "<\"a\\\"@b>", NULL, NULL }, { "<\"a\rb\"@c>", NULL, NULL }, { "<\"a\nb\"@c>", NULL, NULL },
	{ "<\"a\177\"@c>", NULL, NULL }, { "<\"a\\\nb\"@c>", NULL, NULL }, { "<\"\\", NULL, NULL },
	/* A source route is read and ignored, RFC 5321 appendix F.2 */
	{ "<@one.example:a@b>", "a@b", "b" },
	{ "<@one.example,@two.example:a@b>", "a@b", "b" },
	{ "<@[192.0.2.1]:\"x y\"@b>", "\"x y\"@b", "b" },
	{ "<@one.example:>", NULL, NULL }, { "<@one.example>", NULL, NULL }, { "<@:a@b>", NULL, NULL },
	{ "<@one,two:a@b>", NULL, NULL }, { "<@one,:a@b>", NULL, NULL }, { "<@one,@two;a@b>", NULL, NULL },
	{ "<@-:a@b>", NULL, NULL },
	/* Domains */
	{ "<a@>", NULL, NULL }, { "<@>", NULL, NULL }, { "<a@b@c>", NULL, NULL }, { "<a@.b>", NULL, NULL },
	{ "<a@b.>", NULL, NULL }, { "<a@b..c>", NULL, NULL }, { "<a@-b>", NULL, NULL }, { "<a@b->", NULL, NULL },
	{ "<a@b.-c>", NULL, NULL }, { "<a@b-.c>", NULL, NULL }, { "<a@b$c>", NULL, NULL }, { "<a@b/../c>", NULL, NULL },
	{ "<a@b-c.d--e>", "a@b-c.d--e", "b-c.d--e" },
	/* Address literals */
	{ "<a@[192.0.2.1]>", "a@[192.0.2.1]", "[192.0.2.1]" },
	{ "<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]" },
	{ "<a@[ipV6:::1]>", "a@[ipV6:::1]", "[ipV6:::1]" },
	{ "<a@[IPv6:::ffff:192.0.2.1]>", "a@[IPv6:::ffff:192.0.2.1]", "[IPv6:::ffff:192.0.2.1]" },
	{ "<a@[192.0.2.1>", NULL, NULL }, { "<a@192.0.2.1]>", NULL, NULL }, { "<a@[]>", NULL, NULL },
	{ "<a@[192.0.2]>", NULL, NULL }, { "<a@[192.0.2.256]>", NULL, NULL }, { "<a@[2001:db8::1]>", NULL, NULL },
	{ "<a@[IPv6:192.0.2.1]>", NULL, NULL }, { "<a@[IPv6:1:2]>", NULL, NULL }, { "<a@[IPv6:]>", NULL, NULL },
	{ "<a@[192.0.2.1]x>", NULL, NULL }, { "<a@[x>y]>", NULL, NULL }, { "<a@[ 192.0.2.1]>", NULL, NULL },
	/* UTF-8, RFC 6531; and what only looks like it */
	{ "<j\303\266rg@b\303\274cher.example>", "j\303\266rg@b\303\274cher.example", "b\303\274cher.example" },
	{ "<\"\342\202\254 \360\237\230\200\"@c>", "\"\342\202\254 \360\237\230\200\"@c", "c" },
	{ "<j\366rg@b>", NULL, NULL }, { "<a@b\374cher.example>", NULL, NULL }, { "<\303@b>", NULL, NULL },
	{ "<\"\303\"@b>", NULL, NULL }, { "<\300\257@b>", NULL, NULL }, { "<\355\240\200@b>", NULL, NULL },
	/* Brackets */
	{ "a@b", NULL, NULL }, { "<a@b", NULL, NULL }, { "a@b>", NULL, NULL }, { "<", NULL, NULL }, { "", NULL, NULL },
	{ "<<a@b>>", NULL, NULL }, { "< >", NULL, NULL },
};

static bool
eight(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text > 127)
			return true;
	return false;
}

static void
path_is(const struct path *p, const char *want, const char *domain)
{
	CHECK_TEXT(p->text, want);
	CHECK((p->domain == NULL) == (domain == NULL));
	if (p->domain != NULL && domain != NULL) {
		CHECK_TEXT(p->domain, domain);
		CHECK(p->domain > p->text && p->domain[-1] == '@');
	}
	CHECK(p->eight == eight(want));
}

static void
path_reading(void)
{
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		const char *in = paths[i].path, *want = paths[i].want;
		char behind[200];
		struct path p;

		test_case = in;
		CHECK((path_parse(&p, in) == 0) == (want != NULL || strcmp(in, "a@b") == 0));
		if (want == NULL) {
			CHECK(path_read(&p, &in) == -1);
			continue;
		}
		path_is(&p, want, paths[i].domain);
		snprintf(behind, sizeof behind, "%s SIZE=1", in);
		in = behind;
		if (CHECK(path_read(&p, &in) == 0))
			CHECK_TEXT(in, " SIZE=1");
		path_is(&p, want, paths[i].domain);
		CHECK(path_parse(&p, behind) == -1);		/* nothing may follow there */
		if (*want != '\0' && CHECK(path_parse(&p, want) == 0))
			path_is(&p, want, paths[i].domain);	/* brackets may be left out there */
	}
	test_case = "";
}

/* One octet more than fits is too many; the 64 of RFC 5321 4.5.3.1.1 are not. */
static void
path_length(void)
{
	char text[PATH_OCTETS + 20];
	struct path p;

	for (size_t local = 60; local <= PATH_OCTETS; local++) {
		memset(text, 'x', local);
		memcpy(text + local, "@b.example", 11);
		CHECK((path_parse(&p, text) == 0) == (local + 10 <= PATH_OCTETS));
		text[local] = '\0';
		if (CHECK(path_parse(&p, text) == 0) && local > PATH_OCTETS - 10) {
			CHECK(path_complete(&p, "b.example") == -1);
			CHECK(strlen(p.text) == local && p.domain == NULL);
		}
	}
	text[0] = text[PATH_OCTETS] = '"';
	memset(text + 1, 'x', PATH_OCTETS - 1);
	text[PATH_OCTETS + 1] = '\0';
	CHECK(path_parse(&p, text) == -1);
	text[PATH_OCTETS - 1] = '"';
	text[PATH_OCTETS] = '\0';
	CHECK(path_parse(&p, text) == 0);

	CHECK(path_parse(&p, "postmaster") == 0 && path_complete(&p, "b.example") == 0);
	path_is(&p, "postmaster@b.example", "b.example");
	CHECK(path_parse(&p, "a") == 0 && path_complete(&p, "b\303\274cher.example") == 0 && p.eight);
}

/* ---- domains, literals, UTF-8, xtext --------------------------------------------------- */

static void
domains(void)
{
	char text[DOMAIN_MAX + 3];
	struct addr a;
	size_t n;

	CHECK(domain_valid("a", 1) && domain_valid("ab", 1) && domain_valid("a.b\n", 3) && !domain_valid("", 0));
	CHECK(!domain_valid("a\0b", 3) && !domain_valid("a b", 3) && !domain_valid("a\n", 2));
	memset(text, 'x', sizeof text);
	CHECK(domain_valid(text, 63) && !domain_valid(text, 64));
	for (size_t i = 63; i < sizeof text; i += 64)
		text[i] = '.';
	CHECK(domain_valid(text, 255) && !domain_valid(text, 257));
	text[255] = 'x';
	for (n = 250; n <= 256; n++)
		CHECK(domain_valid(text, n) == (n <= DOMAIN_MAX));
	CHECK(literal_parse(&a, "[127.0.0.1]", 11) == 0 && a.family == 4 && a.octets[0] == 127);
	CHECK(literal_parse(&a, "[ipv6:::1]x", 10) == 0 && a.family == 6 && a.octets[15] == 1);
	CHECK(literal_parse(&a, "[127.0.0.1]", 10) == -1 && literal_parse(&a, "[]", 2) == -1 && literal_parse(&a, "[", 1) == -1);
}

static void
utf8(void)
{
	static const struct { const char *text; bool valid; } known[] = {
		{ "", true }, { "ascii", true }, { "\302\200", true }, { "\337\277", true },
		{ "\340\240\200", true }, { "\355\237\277", true }, { "\356\200\200", true },
		{ "\360\220\200\200", true }, { "\364\217\277\277", true },
		{ "\200", false }, { "\277", false }, { "\300\200", false }, { "\301\277", false },	/* overlong */
		{ "\340\237\277", false }, { "\360\217\277\277", false },
		{ "\355\240\200", false }, { "\355\277\277", false },				/* surrogates */
		{ "\364\220\200\200", false }, { "\365\200\200\200", false }, { "\377", false },	/* beyond */
		{ "\302", false }, { "\340\240", false }, { "\360\220\200", false },			/* cut short */
		{ "\302a", false }, { "\340\240a", false }, { "\303\244\303", false },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		CHECK(utf8_valid(known[i].text, strlen(known[i].text)) == known[i].valid);
}

static void
xtext(void)
{
	CHECK(xtext_valid("") && xtext_valid("abc~!") && xtext_valid("+2B+3D+7F") && xtext_valid("a+2Bb"));
	CHECK(!xtext_valid("+") && !xtext_valid("+2") && !xtext_valid("+2b") && !xtext_valid("+GG") && !xtext_valid("a+"));
	CHECK(!xtext_valid("a=b") && !xtext_valid("a b") && !xtext_valid("\t") && !xtext_valid("\177") &&
	    !xtext_valid("\303\244"));
}

/* ---- addresses and networks -------------------------------------------------------------- */

static void
addresses(void)
{
	static const char *const good[] = { "127.0.0.1:25", "0.0.0.0:0", "255.255.255.255:65535",
	    "[::1]:25", "[::]:0", "[2001:db8::ffff]:2525" };
	static const char *const bad[] = { "", ":", ":25", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
	    "127.0.0.1:2x", "127.0.0.1:+25", "127.0.0.1: 25", "127.0.0.1:000025", "127.0.0:25", "127.0.0.256:25",
	    "::1:25", "[::1]", "[::1:25", "::1]:25", "[]:25", "[[::1]]:25", "localhost:25", "127.0.0.1:25:25",
	    "[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc]:25" };
	char text[ADDR_TEXT + 8];
	struct addr a;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (CHECK(addr_parse(&a, good[i], true) == 0))
			CHECK_TEXT(addr_text_port(&a, text), good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		test_case = bad[i];
		CHECK(addr_parse(&a, bad[i], true) == -1);
	}
	test_case = "";
	CHECK(addr_parse(&a, "2001:DB8:0:0:0:0:0:1", false) == 0 && a.family == 6 && a.port == 0);
	CHECK_TEXT(addr_text(&a, text), "2001:db8::1");
	CHECK(addr_parse(&a, "127.0.0.1:25", false) == -1 && addr_parse(&a, "[::1]", false) == -1);
	memset(&a, 0, sizeof a);
	CHECK_TEXT(addr_text(&a, text), "local");
}

static bool
network_holds(const char *network, const char *address)
{
	struct network n;
	struct addr a;

	test_case = network;
	return CHECK(network_parse(&n, network) == 0 && addr_parse(&a, address, false) == 0) && network_has(&n, &a);
}

static void
networks(void)
{
	static const char *const bad[] = { "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x",
	    "10.0.0/8", "10/8", "::/129", "::1/", "::1/64/64", "example.com", "10.0.0.0/ 8" };
	static const char *const from[] = { "10.1.2.3", "::1", "192.0.2.1" };
	struct network n, m;
	struct access list = { true, NULL };
	struct addr a;

	CHECK(network_holds("10.0.0.0/8", "10.255.0.1") && !network_holds("10.0.0.0/8", "11.0.0.0"));
	CHECK(network_holds("10.9.9.9/8", "10.1.1.1"));		/* what is behind the prefix does not matter */
	CHECK(network_holds("192.0.2.0/25", "192.0.2.127") && !network_holds("192.0.2.0/25", "192.0.2.128"));
	CHECK(network_holds("192.0.2.7/32", "192.0.2.7") && !network_holds("192.0.2.7/32", "192.0.2.6"));
	CHECK(network_holds("192.0.2.6/31", "192.0.2.7") && !network_holds("192.0.2.6/31", "192.0.2.8"));
	CHECK(network_holds("192.0.2.7", "192.0.2.7") && !network_holds("192.0.2.7", "192.0.3.7"));
	CHECK(network_holds("0.0.0.0/0", "255.255.255.255") && !network_holds("0.0.0.0/0", "::1"));
	CHECK(network_holds("::/0", "2001:db8::1") && !network_holds("::/0", "127.0.0.1"));
	CHECK(network_holds("::1", "::1") && !network_holds("::1/128", "::2"));
	CHECK(network_holds("2001:db8::/33", "2001:db8:7fff::1") && !network_holds("2001:db8::/33", "2001:db8:8000::1"));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		test_case = bad[i];
		CHECK(network_parse(&n, bad[i]) == -1);
	}

	/* "only" lets in who is listed, "all-except" everybody else; an empty
	 * list is nobody, and everybody. */
	CHECK(network_parse(&n, "10.0.0.0/8") == 0 && network_parse(&m, "::1") == 0);
	for (int only = 0; only < 2; only++)
		for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
			test_case = from[i];
			list.only = only;
			list.list = NULL;
			CHECK(addr_parse(&a, from[i], false) == 0);
			CHECK(access_allows(&list, &a) == !only);
			list.list = &n;
			n.next = &m;
			m.next = NULL;
			CHECK(access_allows(&list, &a) == (i < 2 ? only : !only));
		}
	test_case = "";
}

int
main(void)
{
	path_reading();
	path_length();
	domains();
	utf8();
	xtext();
	addresses();
	networks();
	return test_end();
}
