/*
 * proxy.c - the header in which a proxy says for whom it speaks, versions 1
 * and 2 of haproxy's PROXY protocol.
 *
 * One parser, no I/O: it is shown what has been received so far, and answers
 * as soon as these octets decide it.  A header that is not to the letter is
 * none, for behind it everything depends on whose address it tells.
 */
#include "smtpd.h"

#include <stdio.h>
#include <string.h>

#define TEXT_OCTETS 107		/* of a header of version 1, CRLF counted */
#define FIXED       16		/* what version 2 begins with: signature, command, family, length */

/* ---- version 1 ------------------------------------------------------------- */

/* Cut the next word, up to one space or the end; NULL when it is empty. */
static char *
word_cut(char **at)
{
	char *word = *at;
	size_t n = strcspn(word, " ");

	*at += n + (word[n] != '\0');
	word[n] = '\0';
	return n > 0 ? word : NULL;
}

static int
addr_take(struct addr *a, unsigned char family, const char *host, const char *port)
{
	char text[TEXT_OCTETS + 4];

	if (host == NULL || port == NULL || (port[0] == '0' && port[1] != '\0'))
		return -1;		/* the ports have no leading zeros */
	snprintf(text, sizeof text, "[%s]:%s", host, port);
	return addr_parse(a, text, true) == 0 && a->family == family ? 0 : -1;
}

/* "TCP4 192.0.2.1 198.51.100.1 40000 25", without what is around it. */
static int
text_take(char *line, struct addr *peer, struct addr *here)
{
	struct addr from, to;
	char *protocol = word_cut(&line), *source, *target, *port;
	unsigned char family;

	if (protocol == NULL)
		return -1;
	if (strcmp(protocol, "UNKNOWN") == 0)
		return 0;		/* whatever follows */
	if (strcmp(protocol, "TCP4") != 0 && strcmp(protocol, "TCP6") != 0)
		return -1;
	family = (unsigned char)(protocol[3] - '0');
	source = word_cut(&line);
	target = word_cut(&line);
	port = word_cut(&line);
	if (addr_take(&from, family, source, port) == -1 || addr_take(&to, family, target, line) == -1)
		return -1;
	*peer = from;
	*here = to;
	return 0;
}

static long
text_read(const char *octets, size_t n, struct addr *peer, struct addr *here)
{
	static const char begin[] = "PROXY ";
	const char *lf = memchr(octets, '\n', n < TEXT_OCTETS ? n : TEXT_OCTETS);
	char line[TEXT_OCTETS];
	size_t size;

	if (memcmp(octets, begin, n < 6 ? n : 6) != 0)
		return -1;
	if (lf == NULL)
		return n < TEXT_OCTETS ? 0 : -1;
	size = (size_t)(lf - octets);
	if (lf[-1] != '\r' || memchr(octets, '\0', size) != NULL)
		return -1;
	memcpy(line, octets, size - 1);
	line[size - 1] = '\0';
	return text_take(line + 6, peer, here) == 0 ? (long)size + 1 : -1;
}

/* ---- version 2 ------------------------------------------------------------- */

static struct addr
addr_from(unsigned char family, const unsigned char *octets, const unsigned char *port)
{
	struct addr a = { family, { 0 }, (uint16_t)(port[0] << 8 | port[1]) };

	memcpy(a.octets, octets, family == 4 ? 4 : 16);
	return a;
}

/* The octets of both addresses, by the octet that tells the family; -1: that
 * family cannot be that of a stream. */
static int
addresses_size(unsigned char family)
{
	return family == 0x00 ? 0 : family == 0x11 ? 12 : family == 0x21 ? 36 : family == 0x31 ? 216 : -1;
}

static long
binary_read(const unsigned char *o, size_t n, struct addr *peer, struct addr *here)
{
	static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
	size_t length;
	int size;

	if (memcmp(o, signature, n < 12 ? n : 12) != 0)
		return -1;
	if (n < FIXED)
		return 0;
	length = FIXED + ((size_t)o[14] << 8 | o[15]);
	if ((o[12] != 0x20 && o[12] != 0x21) || length > PROXY_OCTETS)
		return -1;
	/* 0x20, LOCAL: the proxy speaks for itself, and the rest means nothing. */
	size = o[12] == 0x20 ? 0 : addresses_size(o[13]);
	if (size == -1 || length < FIXED + (size_t)size)
		return -1;
	if (n < length)
		return 0;
	if (size == 12) {
		*peer = addr_from(4, o + 16, o + 24);
		*here = addr_from(4, o + 20, o + 26);
	} else if (size == 36) {
		*peer = addr_from(6, o + 16, o + 48);
		*here = addr_from(6, o + 32, o + 50);
	}
	return (long)length;
}

/* ---- either ------------------------------------------------------------------ */

long
proxy_read(const char *octets, size_t n, struct addr *peer, struct addr *here)
{
	long used = n == 0 ? 0 : octets[0] == 'P' ? text_read(octets, n, peer, here) :
	    binary_read((const unsigned char *)octets, n, peer, here);

	if (used > 0) {
		addr_unmap(peer);
		addr_unmap(here);
	}
	return used;
}
