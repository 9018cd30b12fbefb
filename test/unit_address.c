/*
 * unit_address.c - who and where, as RFC 5321 4.1.2 and 4.1.3 spell them: what
 * is taken, what it becomes, and above all what is refused; and domains as the
 * DNS has them.
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
	/* Quoted-string: quotes and backslashes stay where they are needed */
	{ "<\"joe\"@d>", "joe@d", "d" }, { "<\"a.b\"@d>", "a.b@d", "d" }, { "<\"j\\oe\"@d>", "joe@d", "d" },
	{ "<\"a.\"@d>", "\"a.\"@d", "d" }, { "<\".a\"@d>", "\".a\"@d", "d" }, { "<\"a..b\"@d>", "\"a..b\"@d", "d" },
	{ "<\"joe\">", "joe", NULL }, { "<\"a\\ b\"@d>", "\"a b\"@d", "d" }, { "<\"a\\\\\"@d>", "\"a\\\\\"@d", "d" },
	{ "<\"\303\274\"@d>", "\303\274@d", "d" },
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
	memset(text + 1, ' ', PATH_OCTETS - 1);
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

	CHECK(domain_below("a.b", "A.b") && domain_below("x.a.b", "a.b") && !domain_below("xa.b", "a.b") && !domain_below("b", "a.b"));
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

/* ---- U-labels and A-labels ------------------------------------------------------------------ */

static const struct { const char *domain, *want; } alabels[] = {
	{ "example.com", "example.com" }, { "a", "a" }, { "EXAMPLE.Com", "example.com" }, { "a_b.1-2.example", "a_b.1-2.example" },
	{ "xn--bcher-kva.example", "xn--bcher-kva.example" }, { "XN--Bcher-KVA.example", "xn--bcher-kva.example" },
	{ "b\303\274cher.example", "xn--bcher-kva.example" }, { "B\303\274cher.EXAMPLE", "xn--bcher-kva.example" },
	{ "m\303\274nchen.de", "xn--mnchen-3ya.de" },
	{ "\344\276\213\343\201\210.\343\203\206\343\202\271\343\203\210", "xn--r8jz45g.xn--zckzah" },
	{ "a.\303\274.b.\303\274", "a.xn--tda.b.xn--tda" }, { "a-\303\274", "xn--a--yka" },
	{ "\302\200", "xn--a" }, { "\364\217\277\277", "xn--dn32g" },		/* the least and the last there is */
	{ "\360\237\230\200.example", "xn--e28h.example" },
	/* RFC 3492 7.1, in lower case as far as ASCII goes; its (H) is too long, its (S) is no label */
	{ "\331\204\331\212\331\207\331\205\330\247\330\250\330\252\331\203\331\204\331\205\331\210\330\264"
	    "\330\271\330\261\330\250\331\212\330\237",
	    "xn--egbpdaj6bu4bxfgehfvwxn" },
	{ "\344\273\226\344\273\254\344\270\272\344\273\200\344\271\210\344\270\215\350\257\264\344\270\255\346\226\207",
	    "xn--ihqwcrb4cv8a8dqg056pqjye" },
	{ "\344\273\226\345\200\221\347\210\262\344\273\200\351\272\275\344\270\215\350\252\252\344\270\255\346\226\207",
	    "xn--ihqwctvzc91f659drss3x8bo0yb" },
	{ "Pro\304\215prost\304\233nemluv\303\255\304\215esky",
	    "xn--proprostnemluvesky-uyb24dma41a" },
	{ "\327\234\327\236\327\224\327\224\327\235\327\244\327\251\327\225\327\230\327\234\327\220\327\236"
	    "\327\223\327\221\327\250\327\231\327\235\327\242\327\221\327\250\327\231\327\252",
	    "xn--4dbcagdahymbxekheh6e0a7fei0b" },
	{ "\340\244\257\340\244\271\340\244\262\340\245\213\340\244\227\340\244\271\340\244\277\340\244\250"
	    "\340\245\215\340\244\246\340\245\200\340\244\225\340\245\215\340\244\257\340\245\213\340\244\202"
	    "\340\244\250\340\244\271\340\245\200\340\244\202\340\244\254\340\245\213\340\244\262\340\244\270"
	    "\340\244\225\340\244\244\340\245\207\340\244\271\340\245\210\340\244\202",
	    "xn--i1baa7eci9glrd9b2ae1bj0hfcgg6iyaf8o0a1dig0cd" },
	{ "\343\201\252\343\201\234\343\201\277\343\202\223\343\201\252\346\227\245\346\234\254\350\252\236"
	    "\343\202\222\350\251\261\343\201\227\343\201\246\343\201\217\343\202\214\343\201\252\343\201\204"
	    "\343\201\256\343\201\213",
	    "xn--n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa" },
	{ "\320\277\320\276\321\207\320\265\320\274\321\203\320\266\320\265\320\276\320\275\320\270\320\275"
	    "\320\265\320\263\320\276\320\262\320\276\321\200\321\217\321\202\320\277\320\276\321\200\321\203"
	    "\321\201\321\201\320\272\320\270",
	    "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l" },
	{ "Porqu\303\251nopuedensimplementehablarenEspa\303\261ol",
	    "xn--porqunopuedensimplementehablarenespaol-fmd56a" },
	{ "T\341\272\241isaoh\341\273\215kh\303\264ngth\341\273\203ch\341\273\211n\303\263iti\341\272\277ng"
	    "Vi\341\273\207t",
	    "xn--tisaohkhngthchnitingvit-kjcr8268qyxafd2f1b9g" },
	{ "3\345\271\264B\347\265\204\351\207\221\345\205\253\345\205\210\347\224\237",
	    "xn--3b-ww4c5e180e575a65lsy2b" },
	{ "\345\256\211\345\256\244\345\245\210\347\276\216\346\201\265-with-SUPER-MONKEYS",
	    "xn---with-super-monkeys-pc58ag80a8qai00g7n9n" },
	{ "Hello-Another-Way-\343\201\235\343\202\214\343\201\236\343\202\214\343\201\256\345\240\264\346\211\200",
	    "xn--hello-another-way--fc4qua05auwb3674vfr0b" },
	{ "\343\201\262\343\201\250\343\201\244\345\261\213\346\240\271\343\201\256\344\270\2132",
	    "xn--2-u9tlzr9756bt3uc0v" },
	{ "Maji\343\201\247Koi\343\201\231\343\202\2135\347\247\222\345\211\215",
	    "xn--majikoi5-783gue6qz075azm5e" },
	{ "\343\203\221\343\203\225\343\202\243\343\203\274de\343\203\253\343\203\263\343\203\220",
	    "xn--de-jg4avhby1noc0d" },
	{ "\343\201\235\343\201\256\343\202\271\343\203\224\343\203\274\343\203\211\343\201\247",
	    "xn--d9juau41awczczp" },
};

static void
domain_ascii_known(void)
{
	char out[DOMAIN_MAX + 1];

	for (size_t i = 0; i < sizeof alabels / sizeof *alabels; i++) {
		test_case = alabels[i].want;
		if (CHECK(domain_ascii(out, alabels[i].domain) == 0))
			CHECK_TEXT(out, alabels[i].want);
	}
	test_case = "";
}

/* 63 octets a label and 253 a domain, after it has become ASCII; and no empty label. */
static void
domain_ascii_limits(void)
{
	static const char *const empty[] = { "", ".", "a.", ".a", "a..b", "..", "\303\274.", ".\303\274" };
	static const char korean[] =	/* RFC 3492 7.1 (H), of 69 + 4 octets */
	    "\354\204\270\352\263\204\354\235\230\353\252\250\353\223\240\354\202\254\353\236\214\353\223\244"
	    "\354\235\264\355\225\234\352\265\255\354\226\264\353\245\274\354\235\264\355\225\264\355\225\234"
	    "\353\213\244\353\251\264\354\226\274\353\247\210\353\202\230\354\242\213\354\235\204\352\271\214";
	char text[600], out[DOMAIN_MAX + 1], *at;

	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
		test_case = empty[i];
		CHECK(domain_ascii(out, empty[i]) == -1);
	}
	test_case = "";
	CHECK(domain_ascii(out, korean) == -1);
	for (size_t n = 1; n <= 70; n++) {
		memset(text, 'a', n);
		strcpy(text + n, ".b");
		CHECK((domain_ascii(out, text) == 0) == (n <= 63));
		strcpy(text + n, "\303\274");		/* xn--aaa-xxx: 8 more */
		CHECK((domain_ascii(out, text) == 0) == (n <= 55));
	}
	/* Characters far from each other cost most: four octets each here, 4.3 there. */
	for (unsigned n = 1; n <= 63 / 4; n++) {
		at = text;
		for (unsigned i = 0; i < n; i++) {
			unsigned long rune = 0x10000 + i * 70001UL % 0xFFFFF;

			*at++ = (char)(0xF0 | rune >> 18);
			*at++ = (char)(0x80 | (rune >> 12 & 0x3F));
			*at++ = (char)(0x80 | (rune >> 6 & 0x3F));
			*at++ = (char)(0x80 | (rune & 0x3F));
		}
		*at = '\0';
		CHECK(domain_valid(text, strlen(text)));
		CHECK((domain_ascii(out, text) == 0) == (n < 15));	/* 15 of them make 65 octets */
	}
	memset(text, 'a', sizeof text);
	for (size_t i = 63; i < 256; i += 64)
		text[i] = '.';
	for (size_t n = 250; n <= DOMAIN_MAX; n++) {
		text[n] = '\0';
		CHECK((domain_ascii(out, text) == 0) == (n <= 253) && (n > 253 || strcmp(out, text) == 0));
		text[n] = 'a';
	}
	/* Short here, too long there. */
	for (size_t i = 0; i < 80; i++)
		memcpy(text + 3 * i, "\303\274.", 3);
	for (size_t n = 1; n < 80; n++) {
		text[3 * n - 1] = '\0';
		CHECK((domain_ascii(out, text) == 0) == (8 * n - 1 <= 253));
		text[3 * n - 1] = '.';
	}
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

/* What the DNS calls an address. */
static void
reverse(void)
{
	char text[REVERSE_TEXT];
	struct addr a;

	CHECK(addr_parse(&a, "192.0.2.255", false) == 0);
	CHECK_TEXT(addr_reverse(&a, text), "255.2.0.192.in-addr.arpa");
	CHECK(addr_parse(&a, "2001:db8::567:89ab", false) == 0);	/* the example of RFC 3596 2.5, but for its prefix */
	CHECK_TEXT(addr_reverse(&a, text), "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
}

/* Lists with domains: by any confirmed name, by the address; or nobody knows yet. */
static void
clients(void)
{
	static const struct {
		const char *names;	/* NULL: none */
		enum rdns_result rdns;
		const char *addr;
		int want;
	} rows[] = {
		{ "a.friend.example\0", RDNS_CONFIRMED, "192.0.2.1", 1 }, { "FRIEND.example\0", RDNS_CONFIRMED, "192.0.2.1", 1 },
		{ "notfriend.example\0", RDNS_CONFIRMED, "192.0.2.1", 0 }, { "example\0", RDNS_CONFIRMED, "192.0.2.1", 0 },
		{ "friend.example.x\0", RDNS_CONFIRMED, "192.0.2.1", 0 }, { "x\0b.friend.example\0", RDNS_CONFIRMED, "192.0.2.1", 1 },
		{ "x\0", RDNS_CONFIRMED, "10.1.1.1", 1 }, { "x\0", RDNS_LATER, "192.0.2.1", -1 },
		{ "x\0a.friend.example\0", RDNS_LATER, "192.0.2.1", 1 }, { "x\0", RDNS_LATER, "10.1.1.1", 1 },
		{ NULL, RDNS_NONE, "192.0.2.1", 0 }, { NULL, RDNS_UNCONFIRMED, "192.0.2.1", 0 }, { NULL, RDNS_LATER, "192.0.2.1", -1 },
		{ NULL, RDNS_UNASKED, "192.0.2.1", -1 }, { NULL, RDNS_UNASKED, "10.1.1.1", 1 },
	};
	char domain[] = "friend.example";
	struct network net, name = { .domain = domain };
	struct access list = { true, &name };
	struct client c = { .rdns = RDNS_UNASKED };

	CHECK(network_parse(&net, "10.0.0.0/8") == 0);
	name.next = &net;
	net.next = NULL;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		test_case = rows[i].names ? rows[i].names : "";
		CHECK(addr_parse(&c.addr, rows[i].addr, false) == 0);
		c.rdns = rows[i].rdns;
		c.names = (char *)(uintptr_t)rows[i].names;
		CHECK(access_names(&list, &c) == rows[i].want);
	}
	list.list = &net;		/* without the domain the name does not matter */
	CHECK(addr_parse(&c.addr, "192.0.2.1", false) == 0 && access_names(&list, &c) == 0);
	c.names = (char *)(uintptr_t)"x\0b.friend.example\0";
	CHECK(client_name(&c, "B.friend.EXAMPLE") == c.names + 2 && client_name(&c, "friend.example") == NULL);
	CHECK(client_name(&c, "") == NULL);
	c.names = NULL;
	CHECK(client_name(&c, "x") == NULL);
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
	domain_ascii_known();
	domain_ascii_limits();
	addresses();
	networks();
	reverse();
	clients();
	return test_end();
}
