/*
 * unit_proxy.c - the PROXY header, versions 1 and 2: what is one and what it
 * tells; that it is known at its last octet and not before, and what is none
 * at its first wrong one; and that any octets are survived.
 */
#include "test.h"

#define SIG  "\r\n\r\n\0\r\nQUIT\n"
#define REST "EHLO x\r\n"
#define ROW(octets) octets, sizeof octets - 1

/* What it says: the client and our end, or "" for both as they were, or NULL
 * when it is none. */
static const struct { const char *octets; size_t n; const char *peer, *here; } headers[] = {
	/* version 1 */
	{ ROW("PROXY TCP4 192.0.2.1 198.51.100.7 40000 25\r\n"), "192.0.2.1:40000", "198.51.100.7:25" },
	{ ROW("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n"), "255.255.255.255:65535", "0.0.0.0:0" },
	{ ROW("PROXY TCP6 2001:db8::1 2001:db8::2 40000 25\r\n"), "[2001:db8::1]:40000", "[2001:db8::2]:25" },
	{ ROW("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.7 1 2\r\n"), "192.0.2.1:1", "198.51.100.7:2" },
	{ ROW("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535" },
	{ ROW("PROXY UNKNOWN\r\n"), "", "" },
	{ ROW("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"), "", "" },
	{ ROW("PROXY TCP4 192.0.2.1 198.51.100.7 40000 25\n"), NULL, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 198.51.100.7 40000 25 \r\n"), NULL, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 198.51.100.7 40000 25 26\r\n"), NULL, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 198.51.100.7 40000\r\n"), NULL, NULL },
	{ ROW("PROXY TCP4 192.0.2.1  198.51.100.7 40000 25\r\n"), NULL, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 198.51.100.7 40000 65536\r\n"), NULL, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 198.51.100.7 -1 25\r\n"), NULL, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 198.51.100.7 040000 25\r\n"), NULL, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 198.51.100.7 40000 025\r\n"), NULL, NULL },
	{ ROW("PROXY TCP4 192.0.2 198.51.100.7 40000 25\r\n"), NULL, NULL },
	{ ROW("PROXY TCP4 ::1 ::1 40000 25\r\n"), NULL, NULL },
	{ ROW("PROXY TCP6 192.0.2.1 198.51.100.7 40000 25\r\n"), NULL, NULL },
	{ ROW("PROXY TCP6 [::1] ::1 40000 25\r\n"), NULL, NULL },
	{ ROW("PROXY TCP6 ::1]:1 ::1 40000 25\r\n"), NULL, NULL },
	{ ROW("PROXY TCP5 192.0.2.1 198.51.100.7 40000 25\r\n"), NULL, NULL },
	{ ROW("PROXY UDP4 192.0.2.1 198.51.100.7 40000 25\r\n"), NULL, NULL },
	{ ROW("PROXY \r\n"), NULL, NULL },
	{ ROW("PROXY UNKNOWNS\r\n"), NULL, NULL },
	{ ROW("PROXY TCP4\0 192.0.2.1 198.51.100.7 40000 25\r\n"), NULL, NULL },
	{ ROW("PROXY UNKNOWN\0\r\n"), NULL, NULL },
	{ ROW("proxy UNKNOWN\r\n"), NULL, NULL },
	{ ROW(" PROXY UNKNOWN\r\n"), NULL, NULL },
	{ ROW("PROXYTCP4"), NULL, NULL },
	{ ROW("EHLO client.example\r\n"), NULL, NULL },
	/* 108 octets */
	{ ROW("PROXY UNKNOWN fffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 065535 65535 \r\n"), NULL, NULL },

	/* version 2: PROXY by TCP over IPv4 and IPv6, with and without more behind */
	{ ROW(SIG "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\7\x9c\x40\0\x19"), "192.0.2.1:40000", "198.51.100.7:25" },
	{ ROW(SIG "\x21\x11\0\x10\xc0\0\2\1\xc6\x33\x64\7\x9c\x40\0\x19\4\0\1x"), "192.0.2.1:40000", "198.51.100.7:25" },
	{ ROW(SIG "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x9c\x40\0\x19"),
	  "[2001:db8::1]:40000", "[2001:db8::2]:25" },
	{ ROW(SIG "\x21\x21\0\x24\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\7\0\1\0\2"),
	  "192.0.2.1:1", "198.51.100.7:2" },
	/* LOCAL, whatever it says; and families that tell nothing */
	{ ROW(SIG "\x20\0\0\0"), "", "" },
	{ ROW(SIG "\x20\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\7\x9c\x40\0\x19"), "", "" },
	{ ROW(SIG "\x20\xff\0\1x"), "", "" },
	{ ROW(SIG "\x21\0\0\0"), "", "" },
	{ ROW(SIG "\x21\0\0\3\1\2\3"), "", "" },
	/* wrong: version, command, family, lengths, signature */
	{ ROW(SIG "\x11\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\7\x9c\x40\0\x19"), NULL, NULL },
	{ ROW(SIG "\x22\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\7\x9c\x40\0\x19"), NULL, NULL },
	{ ROW(SIG "\x21\x12\0\x0c\xc0\0\2\1\xc6\x33\x64\7\x9c\x40\0\x19"), NULL, NULL },
	{ ROW(SIG "\x21\x10\0\x0c\xc0\0\2\1\xc6\x33\x64\7\x9c\x40\0\x19"), NULL, NULL },
	{ ROW(SIG "\x21\x41\0\x0c\xc0\0\2\1\xc6\x33\x64\7\x9c\x40\0\x19"), NULL, NULL },
	{ ROW(SIG "\x21\x11\0\x0b\xc0\0\2\1\xc6\x33\x64\7\x9c\x40\0\x19"), NULL, NULL },
	{ ROW(SIG "\x21\x21\0\x23"), NULL, NULL },
	{ ROW(SIG "\x21\x31\0\xd7"), NULL, NULL },
	{ ROW(SIG "\x21\0\2\x09"), NULL, NULL },
	{ ROW(SIG "\x20\0\xff\xff"), NULL, NULL },
	{ ROW("\r\n\r\n\0\r\nQUIT\r\n"), NULL, NULL },
	{ ROW("\r\nEHLO"), NULL, NULL },
};

static const struct addr proxy = { 4, { 203, 0, 113, 9 }, 999 }, listener = { 4, { 203, 0, 113, 10 }, 2525 };

static long
ask(const char *octets, size_t n, char peer_text[ADDR_TEXT + 8], char here_text[ADDR_TEXT + 8])
{
	struct addr peer = proxy, here = listener;
	char *copy = malloc(n + !n);		/* as long as it is, for those who watch over memory */
	long used;

	memcpy(copy, octets, n);
	used = proxy_read(copy, n, &peer, &here);
	free(copy);
	addr_text_port(&peer, peer_text);
	addr_text_port(&here, here_text);
	if (used <= 0) {
		CHECK_TEXT(peer_text, "203.0.113.9:999");
		CHECK_TEXT(here_text, "203.0.113.10:2525");
	}
	return used;
}

/* Each with something behind it, and cut short everywhere. */
static void
table(void)
{
	char peer[ADDR_TEXT + 8], here[ADDR_TEXT + 8], more[1000];

	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
		size_t n = headers[i].n, cut;
		long used = 0;

		test_case = headers[i].octets;
		memcpy(more, headers[i].octets, n);
		memcpy(more + n, REST, sizeof REST);
		if (headers[i].peer == NULL) {
			for (cut = 0; cut <= n && (used = ask(more, cut, peer, here)) == 0; cut++)
				;
			CHECK(used == -1);
			CHECK(ask(more, n + sizeof REST, peer, here) == -1);
			continue;
		}
		CHECK(ask(more, n + sizeof REST, peer, here) == (long)n);
		CHECK(ask(more, n, peer, here) == (long)n);
		CHECK_TEXT(peer, *headers[i].peer ? headers[i].peer : "203.0.113.9:999");
		CHECK_TEXT(here, *headers[i].here ? headers[i].here : "203.0.113.10:2525");
		for (cut = 0; cut < n; cut++)
			CHECK(ask(more, cut, peer, here) == 0);
	}
	test_case = "";
}

/* The longest there can be, and one octet more. */
static void
sizes(void)
{
	char octets[PROXY_OCTETS + 1] = SIG "\x21\0", peer[ADDR_TEXT + 8], here[ADDR_TEXT + 8];
	size_t rest = PROXY_OCTETS - 16;

	octets[14] = (char)(rest >> 8);
	octets[15] = (char)(rest & 255);
	CHECK(ask(octets, PROXY_OCTETS - 1, peer, here) == 0);
	CHECK(ask(octets, PROXY_OCTETS, peer, here) == PROXY_OCTETS);
	octets[15]++;
	CHECK(ask(octets, PROXY_OCTETS + 1, peer, here) == -1);
	octets[13] = 0x31;			/* a socket of the file system tells no address */
	octets[14] = 0;
	octets[15] = (char)216;
	CHECK(ask(octets, PROXY_OCTETS, peer, here) == 16 + 216);
	CHECK_TEXT(peer, "203.0.113.9:999");
	/* It is said early that a line is too long. */
	memset(octets, 'x', sizeof octets);
	memcpy(octets, "PROXY ", 6);
	CHECK(ask(octets, 106, peer, here) == 0);
	CHECK(ask(octets, 107, peer, here) == -1);
}

/* Good ones with some octets changed, and chance: what is answered is within
 * bounds, and what is enough stays enough. */
static void
chance(void)
{
	char octets[600], peer[ADDR_TEXT + 8], here[ADDR_TEXT + 8];
	uint32_t seed = 1;

	for (int i = 0; i < 300000; i++) {
		size_t row = (size_t)i % (sizeof headers / sizeof *headers), n = headers[row].n;
		long used;

		memcpy(octets, headers[row].octets, n);
		for (int changes = i % 4; changes >= 0; changes--) {
			seed = seed * 1664525u + 1013904223u;
			octets[(seed >> 8) % n] = (char)(seed >> 24);
		}
		used = ask(octets, n, peer, here);
		if (used > 0)
			CHECK((size_t)used <= n && ask(octets, (size_t)used - 1, peer, here) == 0);
		CHECK(used >= -1 && used <= PROXY_OCTETS);
	}
}

int
main(void)
{
	table();
	sizes();
	chance();
	return test_end();
}
