/*
 * ber.c - the octets of LDAP: BER, of which RFC 4511 5.1 takes a part; filters,
 * RFC 4515; the result and the entry that an answer has.
 *
 * What is true here: a reader is a cursor that cannot leave the element it is in,
 * and nothing that comes from outside makes it recur: how deep that is nested does
 * not matter.  Who writes looks at `torn' in the end.
 */
#include "smtpd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUES_MAX    65536	/* of an entry */
#define FILTER_DEPTH  20

/* ---- BER, written ------------------------------------------------------------ */

/* A length is written when its contents are, so it always has four octets. */
size_t
ber_open(struct buf *b, int tag)
{
	const char head[6] = { (char)tag, (char)0x84 };

	buf_add(b, head, sizeof head);
	return b->len;
}

void
ber_close(struct buf *b, size_t from)
{
	size_t n = b->len - from;

	for (int i = 1; i <= 4 && !b->torn; i++, n >>= 8)
		b->data[from - (size_t)i] = (char)(n & 255);
}

void
ber_octets(struct buf *b, int tag, const char *octets, size_t n)
{
	size_t at = ber_open(b, tag);

	buf_add(b, octets, n);
	ber_close(b, at);
}

void
ber_text(struct buf *b, int tag, const char *text)
{
	ber_octets(b, tag, text, strlen(text));
}

/* One that is not negative, in as few octets as it needs. */
void
ber_number(struct buf *b, int tag, int32_t n)
{
	char octets[4];
	size_t at = 4;

	do {
		octets[--at] = (char)(n & 255);
		n >>= 8;
	} while (n > 0 || (at > 0 && (octets[at] & 0x80)));
	ber_octets(b, tag, octets + at, 4 - at);
}

/* ---- BER, read ----------------------------------------------------------------- */

int
ber_head(const unsigned char *at, size_t n, size_t *length)
{
	size_t more;

	if (n < 2)
		return 0;
	*length = at[1];
	if ((at[0] & 0x1F) == 0x1F || at[1] == 0x80 || at[1] > 0x84)
		return -1;
	if (at[1] < 0x80)
		return 2;
	more = at[1] & 0x7F;
	if (n < 2 + more)
		return 0;
	*length = 0;
	for (size_t i = 0; i < more; i++)
		*length = *length << 8 | at[2 + i];
	return 2 + (int)more;
}

/* The next element: its tag, and in has its contents; -1: there is none. */
int
ber_next(struct ber *from, struct ber *in)
{
	size_t room = (size_t)(from->end - from->at), length;
	int head = ber_head(from->at, room, &length), tag;

	if (head <= 0 || length > room - (size_t)head)
		return -1;
	tag = from->at[0];
	in->at = from->at + head;
	in->end = from->at = in->at + length;
	return tag;
}

bool
ber_is(struct ber *from, int tag, struct ber *in)
{
	return ber_next(from, in) == tag;
}

/* A number with this tag, none of ours is negative. */
bool
ber_int(struct ber *from, int tag, int32_t *n)
{
	struct ber in = { NULL, NULL };
	uint32_t value = 0;

	if (!ber_is(from, tag, &in) || in.at == in.end || in.end - in.at > 4 || (*in.at & 0x80))
		return false;
	while (in.at < in.end)
		value = value << 8 | *in.at++;
	*n = (int32_t)value;
	return true;
}

size_t
ber_size(const struct ber *b)
{
	return (size_t)(b->end - b->at);
}

bool
ber_same(const struct ber *b, const char *text)
{
	return ber_size(b) == strlen(text) && memcmp(b->at, text, ber_size(b)) == 0;
}

/* ---- filters, RFC 4515 --------------------------------------------------------------- */

int
ldap_escape(struct buf *b, const char *octets, size_t n)
{
	for (; n > 0; octets++, n--) {
		unsigned char c = (unsigned char)*octets;

		if (c < ' ' || c > '~' || strchr("*()\\", c) != NULL ? buf_addf(b, "\\%02x", c) == -1 : buf_add(b, octets, 1) == -1)
			return -1;
	}
	return 0;
}

static int
hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c != '\0' ? strchr(digits, text_lower((unsigned char)c)) : NULL;

	return at != NULL ? (int)(at - digits) : -1;
}

/* A value, or a part of one up to '*'.  Here and below: NULL, or what is wrong. */
static const char *
filter_value(struct buf *b, int tag, const char **in)
{
	size_t at = ber_open(b, tag);

	for (; **in != ')' && **in != '*'; (*in)++) {
		char c = **in;
		int high, low;

		if (c == '\0' || c == '(')
			return c == '(' ? "'(' in a value is written \\28" : "a ')' is missing";
		if (c == '\\') {
			if ((high = hex_digit((*in)[1])) == -1 || (low = hex_digit((*in)[2])) == -1)
				return "behind '\\' stand two hexadecimal digits";
			c = (char)(high << 4 | low);
			*in += 2;
		}
		buf_add(b, &c, 1);
	}
	ber_close(b, at);
	return NULL;
}

static const char *
filter_parts(struct buf *b, const char **in)
{
	size_t list = ber_open(b, BER_SEQUENCE);
	const char *wrong;
	bool last = false;

	for (int tag = 0x80; !last; tag = 0x81) {	/* initial, any, final */
		size_t n = strcspn(*in, "*)");

		last = (*in)[n] != '*';
		if (n > 0 && (wrong = filter_value(b, last ? 0x82 : tag, in)) != NULL)
			return wrong;
		*in += !last;
	}
	if (b->len == list)
		return "there is no text beside '*'";
	ber_close(b, list);
	return NULL;
}

/* attr=value, attr=*, attr=a*b*c, attr>=value and its kin */
static const char *
filter_item(struct buf *b, const char *name, size_t n, const char **in)
{
	static const char kinds[] = "~><", tags[] = "\xA8\xA5\xA6";
	const char *kind = **in != '\0' ? strchr(kinds, **in) : NULL, *wrong;
	bool parts;
	size_t at;

	if (n == 0)
		return "an attribute is missing";
	*in += kind != NULL;
	if (*(*in)++ != '=')
		return "behind an attribute stands one of = ~= >= <= :=";
	if (kind == NULL && strncmp(*in, "*)", 2) == 0) {
		ber_octets(b, 0x87, name, n);
		(*in)++;
		return NULL;
	}
	parts = kind == NULL && (*in)[strcspn(*in, "*)")] == '*';
	at = ber_open(b, kind ? (unsigned char)tags[kind - kinds] : parts ? 0xA4 : 0xA3);
	ber_octets(b, BER_OCTETS, name, n);
	wrong = parts ? filter_parts(b, in) : filter_value(b, BER_OCTETS, in);
	ber_close(b, at);
	return wrong;
}

#define NAME_OCTETS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.;"

/* attr:dn:rule:=value; of attr and rule one can be missing */
static const char *
filter_extended(struct buf *b, const char *name, size_t n, const char **in)
{
	size_t at = ber_open(b, 0xA9), rule_n;
	bool dn = strncmp(*in, ":dn:", 4) == 0;
	const char *rule, *wrong;

	*in += dn ? 3 : 0;
	rule = *in + 1;
	rule_n = strspn(rule, NAME_OCTETS);
	if (rule_n > 0)
		*in = rule + rule_n;
	if (strncmp(*in, ":=", 2) != 0 || n + rule_n == 0)
		return "that is no ATTRIBUTE:RULE:=VALUE";
	*in += 2;
	if (rule_n > 0)
		ber_octets(b, 0x81, rule, rule_n);
	if (n > 0)
		ber_octets(b, 0x82, name, n);
	if ((wrong = filter_value(b, 0x83, in)) != NULL)
		return wrong;
	if (dn)
		ber_octets(b, 0x84, "\xFF", 1);
	ber_close(b, at);
	return NULL;
}

static const char *
filter(struct buf *b, const char **in, int depth)
{
	const char *wrong = NULL, *list, *name;
	size_t n, at;

	if (depth == 0)
		return "it is nested too deep";
	if (*(*in)++ != '(')
		return "a '(' is missing";
	list = **in != '\0' ? strchr("&|!", **in) : NULL;
	if (list != NULL) {
		char kind = *(*in)++;

		at = ber_open(b, kind == '&' ? 0xA0 : kind == '|' ? 0xA1 : 0xA2);
		do
			if (kind == '!' || **in == '(')
				wrong = filter(b, in, depth - 1);
		while (wrong == NULL && kind != '!' && **in == '(');
		ber_close(b, at);
	} else {
		name = *in;
		n = strspn(name, NAME_OCTETS);
		*in += n;
		wrong = **in == ':' ? filter_extended(b, name, n, in) : filter_item(b, name, n, in);
	}
	return wrong != NULL ? wrong : *(*in)++ == ')' ? NULL : "a ')' is missing";
}

const char *
ldap_filter(struct buf *b, const char *text)
{
	const char *wrong = filter(b, &text, FILTER_DEPTH);

	return wrong != NULL ? wrong : *text != '\0' ? "something stands behind its last ')'" : NULL;
}

/* ---- answers --------------------------------------------------------------------------- */

static const char *
code_name(int32_t code)
{
	static const struct {
		int32_t code;
		const char *name;
	} names[] = {
		{ 1, "operationsError" }, { 2, "protocolError" }, { 3, "timeLimitExceeded" }, { 4, "sizeLimitExceeded" },
		{ 7, "authMethodNotSupported" }, { 8, "strongerAuthRequired" }, { 10, "referral" }, { 11, "adminLimitExceeded" },
		{ 12, "unavailableCriticalExtension" }, { 13, "confidentialityRequired" }, { 14, "saslBindInProgress" },
		{ 18, "inappropriateMatching" }, { 32, "noSuchObject" }, { 34, "invalidDNSyntax" },
		{ 48, "inappropriateAuthentication" }, { 49, "invalidCredentials" }, { 50, "insufficientAccessRights" },
		{ 51, "busy" }, { 52, "unavailable" }, { 53, "unwillingToPerform" }, { 80, "other" }
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].code == code)
			return names[i].name;
	return "an error";
}

/* RFC 4511 4.1.9 */
bool
ldap_result(struct ber *op, int32_t *code, char *words, size_t size)
{
	struct ber text, more = { 0 };
	char safe[200] = "";

	if (!ber_int(op, BER_ENUMERATED, code) || !ber_is(op, BER_OCTETS, &text) || !ber_is(op, BER_OCTETS, &text))
		return false;
	if (op->at < op->end && *op->at == REFERRAL && (!ber_is(op, REFERRAL, &more) || !ber_is(&more, BER_OCTETS, &text)))
		return false;			/* to where it refers says more */
	text_safe(safe, sizeof safe, (const char *)text.at, ber_size(&text));
	snprintf(words, size, "%s (%ld)%s%s", code_name(*code), (long)*code, *safe ? ": " : "", safe);
	return true;
}

static size_t
put(char *to, const struct ber *from)
{
	size_t n = ber_size(from);

	if (to != NULL) {
		memcpy(to, from->at, n);
		to[n] = '\0';
	}
	return n + 1;
}

/* Go through an entry: count its values, and the octets of all, or with e, which
 * has room for them, fill it in.  False: it is none. */
static bool
entry_walk(struct ber op, struct ldap_entry *e, size_t *values, size_t *octets)
{
	struct ber name, list, attribute, set, value;
	char *text = e != NULL ? (char *)&e->value[e->count] : NULL;
	size_t n = 0, used, name_at;

	if (!ber_is(&op, BER_OCTETS, &name) || !ber_is(&op, BER_SEQUENCE, &list) || memchr(name.at, '\0', ber_size(&name)) != NULL)
		return false;
	for (used = put(text, &name); list.at < list.end; ) {
		if (!ber_is(&list, BER_SEQUENCE, &attribute) || !ber_is(&attribute, BER_OCTETS, &name) ||
		    !ber_is(&attribute, BER_SET, &set) || memchr(name.at, '\0', ber_size(&name)) != NULL)
			return false;
		name_at = used;
		for (used += put(text ? text + used : NULL, &name); set.at < set.end; n++) {
			if (!ber_is(&set, BER_OCTETS, &value))
				return false;
			if (e != NULL)
				e->value[n] = (struct ldap_value){ text + name_at, text + used, ber_size(&value) };
			used += put(text ? text + used : NULL, &value);
		}
	}
	*values = n;
	*octets = used;
	return true;
}

int
ldap_entry_read(const struct ber *op, struct ldap_entry **to)
{
	size_t values, octets;
	struct ldap_entry *e;

	if (!entry_walk(*op, NULL, &values, &octets))
		return -1;
	if (values > VALUES_MAX)
		return -2;
	octets += sizeof *e + values * sizeof *e->value;
	if ((e = memory(NULL, octets)) == NULL)
		return 0;
	e->next = NULL;
	e->size = octets;
	e->count = values;
	e->dn = (char *)&e->value[values];
	entry_walk(*op, e, &values, &octets);
	*to = e;
	return 1;
}

void
ldap_entry_free(struct ldap_entry *e)
{
	free(e);
}

const struct ldap_value *
ldap_value(const struct ldap_entry *e, const char *attribute, const struct ldap_value *v)
{
	size_t n = strlen(attribute);

	for (v = v ? v + 1 : e->value; v < e->value + e->count; v++)
		if (text_prefix(v->name, attribute) && (v->name[n] == '\0' || v->name[n] == ';'))
			return v;
	return NULL;
}
