/*
 * address.c - the wire format of who and where: mailboxes and domains as RFC
 * 5321 4.1.2 and 4.1.3 spell them (with RFC 6531's UTF-8), the addresses and
 * networks of the Internet, xtext.
 *
 * Every parser here is a cursor that stops at the NUL.  None allocates.
 */
#include "smtpd.h"

#include <sys/socket.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- addresses and networks -------------------------------------------- */

static int
octets_parse(struct addr *a, const char *text)
{
	memset(a, 0, sizeof *a);
	if (inet_pton(AF_INET, text, a->octets) == 1)
		a->family = 4;
	else if (inet_pton(AF_INET6, text, a->octets) == 1)
		a->family = 6;
	return a->family ? 0 : -1;
}

/* A number of 1 to 5 digits, nothing behind it; -1 if it is not one. */
static long
number_parse(const char *text, long max)
{
	long n = 0;
	size_t i;

	for (i = 0; text[i] >= '0' && text[i] <= '9' && i < 5; i++)
		n = n * 10 + (text[i] - '0');
	return i == 0 || text[i] != '\0' || n > max ? -1 : n;
}

int
addr_parse(struct addr *a, const char *text, bool with_port)
{
	char host[ADDR_TEXT];
	const char *colon = strrchr(text, ':');
	size_t n;
	long port;

	if (!with_port)
		return octets_parse(a, text);
	if (colon == NULL || (port = number_parse(colon + 1, 65535)) == -1)
		return -1;
	n = (size_t)(colon - text);
	if (text[0] == '[' && n > 2 && text[n - 1] == ']') {
		text++;
		n -= 2;
	} else if (memchr(text, ':', n) != NULL)
		return -1;		/* IPv6 without its brackets */
	if (n >= sizeof host)
		return -1;
	memcpy(host, text, n);
	host[n] = '\0';
	if (octets_parse(a, host) == -1)
		return -1;
	a->port = (uint16_t)port;
	return 0;
}

char *
addr_text(const struct addr *a, char out[ADDR_TEXT])
{
	if (a->family == 0 ||
	    inet_ntop(a->family == 6 ? AF_INET6 : AF_INET, a->octets, out, ADDR_TEXT) == NULL)
		memcpy(out, "local", 6);
	return out;
}

char *
addr_literal(const struct addr *a, char out[ADDR_TEXT + 8])
{
	char host[ADDR_TEXT];

	snprintf(out, ADDR_TEXT + 8, "[%s%s]", a->family == 6 ? "IPv6:" : "", addr_text(a, host));
	return out;
}

char *
addr_text_port(const struct addr *a, char out[ADDR_TEXT + 8])
{
	char host[ADDR_TEXT];

	snprintf(out, ADDR_TEXT + 8, a->family == 6 ? "[%s]:%u" : "%s:%u",
	    addr_text(a, host), (unsigned)a->port);
	return out;
}

/* RFC 1035 3.5, RFC 3596 2.5. */
char *
addr_reverse(const struct addr *a, char out[REVERSE_TEXT])
{
	const unsigned char *o = a->octets;
	size_t n = 0;

	if (a->family == 4) {
		snprintf(out, REVERSE_TEXT, "%d.%d.%d.%d.in-addr.arpa", o[3], o[2], o[1], o[0]);
		return out;
	}
	for (int i = 15; i >= 0; i--)
		n += (size_t)snprintf(out + n, REVERSE_TEXT - n, "%x.%x.", o[i] & 15u, o[i] >> 4 & 15u);
	snprintf(out + n, REVERSE_TEXT - n, "ip6.arpa");
	return out;
}

bool
addr_same(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && memcmp(a->octets, b->octets, sizeof a->octets) == 0;
}

void
addr_unmap(struct addr *a)
{
	static const unsigned char mapped[12] = { [10] = 255, [11] = 255 };

	if (a->family != 6 || memcmp(a->octets, mapped, sizeof mapped) != 0)
		return;
	a->family = 4;
	memcpy(a->octets, a->octets + 12, 4);
	memset(a->octets + 4, 0, 12);
}

bool
addr_any(const struct addr *a)
{
	static const unsigned char any[16];

	return memcmp(a->octets, any, sizeof any) == 0;
}

bool
addr_loopback(const struct addr *a)
{
	static const unsigned char one[16] = { [15] = 1 };

	return a->family == 4 ? a->octets[0] == 127 : memcmp(a->octets, one, sizeof one) == 0;
}

int
network_parse(struct network *n, const char *text)
{
	char host[ADDR_TEXT];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	int most;

	if (len >= sizeof host)
		return -1;
	memcpy(host, text, len);
	host[len] = '\0';
	if (octets_parse(&n->addr, host) == -1)
		return -1;
	n->domain = NULL;
	most = n->addr.family == 6 ? 128 : 32;
	n->bits = slash ? (int)number_parse(slash + 1, most) : most;
	return n->bits == -1 ? -1 : 0;
}

bool
network_has(const struct network *n, const struct addr *a)
{
	int whole = n->bits / 8, rest = n->bits % 8;

	if (n->addr.family != a->family || memcmp(n->addr.octets, a->octets, (size_t)whole) != 0)
		return false;
	return rest == 0 || (n->addr.octets[whole] ^ a->octets[whole]) >> (8 - rest) == 0;
}

/* Is this name the domain, or one below it? */
static bool
name_below(const char *name, const char *domain)
{
	size_t n = strlen(name), m = strlen(domain);

	return n >= m && text_compare(name + n - m, domain) == 0 && (n == m || name[n - m - 1] == '.');
}

static bool
network_names(const struct network *n, const struct client *c)
{
	if (n->domain == NULL)
		return network_has(n, &c->addr);
	for (const char *name = c->names; name != NULL && *name != '\0'; name += strlen(name) + 1)
		if (name_below(name, n->domain))
			return true;
	return false;
}

int
access_names(const struct access *list, const struct client *c)
{
	bool unknown = false;

	for (const struct network *n = list->list; n != NULL; n = n->next) {
		if (network_names(n, c))
			return 1;
		unknown |= n->domain != NULL && (c->rdns == RDNS_UNASKED || c->rdns == RDNS_LATER);
	}
	return unknown ? -1 : 0;
}

bool
access_allows(const struct access *list, const struct addr *a)
{
	struct client c = { .addr = *a, .rdns = RDNS_NONE };

	return (access_names(list, &c) == 1) == list->only;
}

const char *
client_name(const struct client *c, const char *name)
{
	const char *at = c->names;

	while (at != NULL && *at != '\0' && text_compare(at, name) != 0)
		at += strlen(at) + 1;
	return at != NULL && *at != '\0' ? at : NULL;
}

/* ---- characters --------------------------------------------------------- */

static bool
alnum(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool
atext(unsigned char c)
{
	return alnum(c) || c > 127 || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

bool
utf8_valid(const char *text, size_t n)
{
	static const unsigned long least[] = { 0, 0x80, 0x800, 0x10000 };
	size_t i, more;

	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];
		unsigned long rune;

		if (c < 0x80)
			continue;
		more = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
		if (c < 0xC2 || c > 0xF4 || more > n - i - 1)
			return false;
		rune = c & (0x3Fu >> more);
		for (size_t k = more; k > 0; k--) {
			if (((c = (unsigned char)text[++i]) & 0xC0) != 0x80)
				return false;
			rune = rune << 6 | (c & 0x3F);
		}
		if (rune < least[more] || rune > 0x10FFFF || (rune >= 0xD800 && rune < 0xE000))
			return false;
	}
	return true;
}

/* "+" and two upper-case digits for what is not printable, "=" or "+". */
bool
xtext_valid(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < '!' || *text > '~' || *text == '=')
			return false;
		if (*text != '+')
			continue;
		for (int i = 0; i < 2; i++)
			if (*++text == '\0' || strchr("0123456789ABCDEF", *text) == NULL)
				return false;
	}
	return true;
}

/* ---- domains ------------------------------------------------------------ */

bool
domain_below(const char *name, const char *domain)
{
	size_t n = strlen(name), m = strlen(domain);

	return n >= m && text_compare(name + n - m, domain) == 0 && (n == m || name[n - m - 1] == '.');
}

/* Labels of letters, digits and hyphens; underscores too, which real hosts
 * have, and UTF-8 (RFC 6531). */
bool
domain_valid(const char *text, size_t n)
{
	size_t label = 0;

	if (n == 0 || n > DOMAIN_MAX || !utf8_valid(text, n))
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '.') {
			if (label == 0 || text[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!alnum(c) && c != '_' && c < 128 && (c != '-' || label == 0))
			return false;
		if (++label > 63)
			return false;
	}
	return label > 0 && text[n - 1] != '-';
}

int
literal_parse(struct addr *a, const char *text, size_t n)
{
	char host[ADDR_TEXT];
	bool six;

	if (n < 3 || text[0] != '[' || text[n - 1] != ']')
		return -1;
	text++;
	n -= 2;
	if ((six = n > 5 && text_prefix(text, "IPv6:"))) {
		text += 5;
		n -= 5;
	}
	if (n >= sizeof host)
		return -1;
	memcpy(host, text, n);
	host[n] = '\0';
	return octets_parse(a, host) == 0 && a->family == (six ? 6 : 4) ? 0 : -1;
}

/* ---- paths -------------------------------------------------------------- */

static int
path_put(struct path *p, size_t *n, char c)
{
	if (*n >= PATH_OCTETS)
		return -1;
	p->text[(*n)++] = c;
	p->eight |= (unsigned char)c > 127;
	return 0;
}

/* Quoted-string: any printable octet and the space, with \ before what would
 * end it.  What need not be quoted is not, RFC 5321 4.1.2: "joe"@ is joe@. */
static int
read_quoted(struct path *p, size_t *n, const char **in)
{
	const char *at = *in;
	bool dotted = true;
	char before = '.';

	if (path_put(p, n, *at++) == -1)
		return -1;
	for (; *at != '"'; before = *at++) {
		if (*at == '\\' && (*++at == '"' || *at == '\\') && path_put(p, n, '\\') == -1)
			return -1;
		if ((unsigned char)*at < ' ' || *at == 127 || path_put(p, n, *at) == -1)
			return -1;
		dotted &= atext((unsigned char)*at) || (*at == '.' && before != '.');
	}
	*in = at + 1;
	if (!dotted || before == '.')
		return path_put(p, n, '"');
	memmove(p->text, p->text + 1, --*n);
	return 0;
}

/* Dot-string: atoms with single dots between them. */
static int
read_dotted(struct path *p, size_t *n, const char **in)
{
	const char *at = *in;

	for (;;) {
		if (!atext((unsigned char)*at))
			return -1;
		while (atext((unsigned char)*at))
			if (path_put(p, n, *at++) == -1)
				return -1;
		if (*at != '.')
			break;
		if (path_put(p, n, *at++) == -1)
			return -1;
	}
	*in = at;
	return 0;
}

static int
read_domain(struct path *p, size_t *n, const char **in)
{
	struct addr a;
	const char *at = *in;
	size_t len = strcspn(at, *at == '[' ? "]>" : ">: ,;()<\"");

	if (*at == '[' && at[len] == ']')
		len++;
	if (*at == '[' ? literal_parse(&a, at, len) == -1 : !domain_valid(at, len))
		return -1;
	p->domain = p->text + *n;
	for (; len > 0; len--)
		if (path_put(p, n, *at++) == -1)
			return -1;
	*in = at;
	return 0;
}

/* "@one,@two:" in front of the mailbox: accepted and ignored, RFC 5321 F.2. */
static int
skip_route(const char **in)
{
	const char *at = *in;
	struct addr a;
	size_t n;

	for (;;) {
		if (*at++ != '@')
			return -1;
		n = strcspn(at, ",:>");
		if (!domain_valid(at, n) && literal_parse(&a, at, n) == -1)
			return -1;
		at += n;
		if (*at == ':')
			break;
		if (*at++ != ',')
			return -1;
	}
	*in = at + 1;
	return 0;
}

/* Mailbox, or a local part alone. */
static int
read_mailbox(struct path *p, const char **in)
{
	size_t n = 0;

	p->domain = NULL;
	p->eight = false;
	if ((**in == '"' ? read_quoted(p, &n, in) : read_dotted(p, &n, in)) == -1)
		return -1;
	if (**in == '@') {
		if (path_put(p, &n, *(*in)++) == -1 || read_domain(p, &n, in) == -1)
			return -1;
	}
	p->text[n] = '\0';
	return utf8_valid(p->text, n) ? 0 : -1;
}

int
path_read(struct path *p, const char **in)
{
	const char *at = *in;

	if (*at++ != '<')
		return -1;
	p->text[0] = '\0';
	p->domain = NULL;
	p->eight = false;
	if (*at == '@' && skip_route(&at) == -1)
		return -1;
	if ((*at != '>' || at[-1] == ':') && read_mailbox(p, &at) == -1)
		return -1;
	if (*at++ != '>')
		return -1;
	*in = at;
	return 0;
}

int
path_complete(struct path *p, const char *domain)
{
	size_t n = strlen(p->text), more = strlen(domain);

	if (n + 1 + more > PATH_OCTETS)
		return -1;
	p->text[n] = '@';
	memcpy(p->text + n + 1, domain, more + 1);
	p->domain = p->text + n + 1;
	for (; *domain != '\0'; domain++)
		p->eight |= (unsigned char)*domain > 127;
	return 0;
}

int
path_parse(struct path *p, const char *text)
{
	if (*text == '<')
		return path_read(p, &text) == -1 || *text != '\0' ? -1 : 0;
	return read_mailbox(p, &text) == -1 || *text != '\0' ? -1 : 0;
}

/* A label as RFC 3492 6.3 has it, or only in lower case when it is ASCII: its
 * length; 0: it is empty or has more than 63 octets. */
static size_t
label_ascii(char out[63 + 5], const char *text, size_t octets)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	uint32_t rune[63], next = 128, delta = 0, bias = 72, least, q, t, k;
	size_t n = 0, len = 0, done = 0, basic;

	for (; octets > 0; text++, octets--) {
		unsigned char c = (unsigned char)*text;

		if (n > 0 && (c & 0xC0) == 0x80)
			rune[n - 1] = rune[n - 1] << 6 | (c & 0x3F);
		else if (n == 63)
			return 0;
		else
			rune[n++] = c < 128 ? (uint32_t)text_lower(c) : c & (c < 0xE0 ? 0x1Fu : c < 0xF0 ? 0x0Fu : 7u);
		len = c > 127 ? 4 : len;
	}
	memcpy(out, "xn--", 4);
	for (size_t i = 0; i < n; i++)
		if (rune[i] < 128)
			out[len + done++] = (char)rune[i];
	basic = done;
	len += done;
	if (basic > 0 && basic < n)
		out[len++] = '-';
	for (; done < n; delta++, next++) {
		least = UINT32_MAX;
		for (size_t i = 0; i < n; i++)
			least = rune[i] >= next && rune[i] < least ? rune[i] : least;
		delta += (least - next) * (uint32_t)(done + 1);
		next = least;
		for (size_t i = 0; i < n; i++) {
			delta += rune[i] < next;
			if (rune[i] != next)
				continue;
			for (k = 36, q = delta; len <= 63; k += 36, q = (q - t) / (36 - t)) {
				t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
				out[len++] = digits[q < t ? q : t + (q - t) % (36 - t)];
				if (q < t)
					break;
			}
			delta /= done == basic ? 700 : 2;
			delta += delta / (uint32_t)++done;
			for (bias = 0; delta > 455; bias += 36)
				delta /= 35;
			bias += 36 * delta / (delta + 38);
			delta = 0;
		}
	}
	return len <= 63 ? len : 0;
}

/* The domain, valid UTF-8, as DNS has it: RFC 5890's A-labels, with no mapping
 * but to lower case in ASCII.  -1 when it is too long for DNS. */
int
domain_ascii(char out[DOMAIN_MAX + 1], const char *domain)
{
	char label[63 + 5];
	size_t at = 0, n, len;

	for (;; domain += n + 1) {
		n = strcspn(domain, ".");
		if ((len = label_ascii(label, domain, n)) == 0 || at + len > 253)
			return -1;
		memcpy(out + at, label, len);
		at += len;
		out[at++] = domain[n];		/* a dot, or the end */
		if (domain[n] == '\0')
			return 0;
	}
}

bool
eight_bit(const char *text, size_t n)
{
	while (n > 0 && (unsigned char)text[n - 1] < 128)
		n--;
	return n > 0;
}
