/*
 * parameter.c - the ESMTP parameters of MAIL and RCPT.
 *
 * One table: which extension brought each, whether the envelope keeps it, and
 * what its value may be.  An extension that is hidden takes its parameters with
 * it.  What they ask for ends up in the transaction.
 */
#include "smtpd.h"

#include <string.h>

typedef enum reply take_parameter(struct tx *, const struct server *, char *value);

/* Each answers R_NOOP, or what to reply. */
static take_parameter take_size, take_body, take_utf8, take_ret, take_envid, take_auth, take_notify, take_orcpt;

static const struct parameter {
	const char *name;
	int extension;		/* that brought it */
	bool of_mail;		/* else of RCPT */
	bool kept;		/* in the envelope */
	take_parameter *take;
} parameters[] = {
	{ "SIZE",     EXT_SIZE,     true,  false, take_size },
	{ "BODY",     EXT_8BITMIME, true,  true,  take_body },
	{ "SMTPUTF8", EXT_SMTPUTF8, true,  true,  take_utf8 },
	{ "RET",      EXT_DSN,      true,  true,  take_ret },
	{ "ENVID",    EXT_DSN,      true,  true,  take_envid },
	{ "AUTH",     EXT_AUTH,     true,  true,  take_auth },
	{ "NOTIFY",   EXT_DSN,      false, true,  take_notify },
	{ "ORCPT",    EXT_DSN,      false, true,  take_orcpt },
};

#define PARAMETERS (sizeof parameters / sizeof *parameters)

static enum reply
take_size(struct tx *tx, const struct server *s, char *value)	/* RFC 1870 */
{
	const char *end = "";
	long long n = value ? text_octets(value, &end) : -1;

	if (n == -1 || *end != '\0' || end - value > 20)
		return R_PARAMETER_VALUE;
	if (n > s->max_size)
		return R_SIZE;
	tx->announced = n;
	return R_NOOP;
}

static enum reply
take_body(struct tx *tx, const struct server *s, char *value)	/* RFC 6152, 3030 */
{
	if (value == NULL)
		return R_PARAMETER_VALUE;
	if (text_compare(value, "7BIT") == 0)
		tx->body = BODY_7BIT;
	else if (text_compare(value, "8BITMIME") == 0)
		tx->body = BODY_8BITMIME;
	else if (text_compare(value, "BINARYMIME") == 0 && config_offers(s, EXT_BINARYMIME))
		tx->body = BODY_BINARYMIME;
	else
		return R_BODY;
	return R_NOOP;
}

static enum reply
take_utf8(struct tx *tx, const struct server *s, char *value)	/* RFC 6531 */
{
	(void)s;
	tx->utf8 = true;
	return value == NULL ? R_NOOP : R_PARAMETER_VALUE;
}

static enum reply
take_ret(struct tx *tx, const struct server *s, char *value)	/* RFC 3461 4.3 */
{
	(void)tx, (void)s;
	return value && (text_compare(value, "FULL") == 0 || text_compare(value, "HDRS") == 0) ?
	    R_NOOP : R_PARAMETER_VALUE;
}

static enum reply
take_envid(struct tx *tx, const struct server *s, char *value)	/* RFC 3461 4.4 */
{
	(void)tx, (void)s;
	return value && *value && strlen(value) <= 100 && xtext_valid(value) ? R_NOOP : R_PARAMETER_VALUE;
}

/* Who wrote it, as the client says; "<>": nobody knows.  RFC 4954 5. */
static enum reply
take_auth(struct tx *tx, const struct server *s, char *value)
{
	(void)tx, (void)s;
	return value && *value && strlen(value) <= 500 && (strcmp(value, "<>") == 0 || xtext_valid(value)) ?
	    R_NOOP : R_PARAMETER_VALUE;
}

/* NEVER, or a list of SUCCESS, FAILURE and DELAY, each once. */
static enum reply
take_notify(struct tx *tx, const struct server *s, char *value)	/* RFC 3461 4.1 */
{
	static const char *const words[] = { "SUCCESS", "FAILURE", "DELAY" };
	unsigned seen = 0;

	(void)tx, (void)s;
	if (value != NULL && text_compare(value, "NEVER") == 0)
		return R_NOOP;
	while (value != NULL) {
		size_t i = 0, n = strcspn(value, ",");

		while (i < 3 && !(strlen(words[i]) == n && text_prefix(value, words[i])))
			i++;
		if (i == 3 || (seen & 1u << i))
			return R_PARAMETER_VALUE;
		seen |= 1u << i;
		value = value[n] == ',' ? value + n + 1 : NULL;
	}
	return seen ? R_NOOP : R_PARAMETER_VALUE;
}

/* addr-type ";" xtext; utf-8 addresses as they are where SMTPUTF8 is. */
static enum reply
take_orcpt(struct tx *tx, const struct server *s, char *value)	/* RFC 3461 4.2, 6533 3 */
{
	char *address = value ? strchr(value, ';') : NULL;
	bool valid;

	(void)s;
	if (address == NULL || address == value || address[1] == '\0' || strlen(value) > 500)
		return R_PARAMETER_VALUE;
	*address = '\0';
	valid = strspn(value, "-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(value);
	if (text_compare(value, "utf-8") == 0 && tx->utf8) {
		for (const char *c = address + 1; *c != '\0'; c++)
			valid &= (unsigned char)*c > ' ' && *c != 127;
		valid &= utf8_valid(address + 1, strlen(address + 1));
	} else
		valid &= xtext_valid(address + 1);
	*address = ';';
	return valid ? R_NOOP : R_PARAMETER_VALUE;
}

static const struct parameter *
parameter_find(const struct server *s, const char *name, bool of_mail)
{
	for (size_t i = 0; i < PARAMETERS; i++)
		if (parameters[i].of_mail == of_mail && text_compare(parameters[i].name, name) == 0 &&
		    config_offers(s, parameters[i].extension))
			return &parameters[i];
	return NULL;
}

/* One parameter, in place: R_NOOP, or what to reply; *name is then its name.
 * seen has a bit a row. */
static enum reply
parameter_take(struct tx *tx, const struct server *s, char *word, bool of_mail, unsigned *seen, struct buf *args,
    const char **name)
{
	char *value = strchr(word, '=');
	const struct parameter *p;
	enum reply r;

	if (value != NULL)
		*value++ = '\0';
	if ((p = parameter_find(s, word, of_mail)) == NULL)
		return R_PARAMETER;
	*name = p->name;
	if (*seen & 1u << (p - parameters))
		return R_PARAMETER_TWICE;
	*seen |= 1u << (p - parameters);
	if ((r = p->take(tx, s, value)) != R_NOOP || !p->kept || (p->extension == EXT_AUTH && !tx->trusted))
		return r;
	return buf_addf(args, "%s%s%s%s", args->len ? " " : "", p->name, value ? "=" : "",
	    value ? value : "") == -1 ? R_MEMORY : R_NOOP;
}

enum reply
parameters_take(struct tx *tx, const struct server *s, char *text, bool of_mail, struct buf *args, const char **name)
{
	enum reply r = R_NOOP;
	unsigned seen = 0;
	char *word;

	*name = "";
	while (r == R_NOOP && *(text += strspn(text, " \t")) != '\0') {
		word = text;
		text += strcspn(text, " \t");
		if (*text != '\0')
			*text++ = '\0';
		r = parameter_take(tx, s, word, of_mail, &seen, args, name);
	}
	return r;
}
