/*
 * auth.c - who somebody is: SASL (RFC 4422), in both roles.
 *
 *	passwords FILE   NAME:SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY
 *
 * Verifiers as RFC 5803 writes them, one account a line: from one a password can
 * be proved, and not had.  The file is read anew for each exchange, so a change
 * counts at once, and to its end, so the time does not tell where a name stands.
 * Of two lines for one name the first holds.
 *
 *	PLAIN, LOGIN     name and password -> PBKDF2, in steps -> compared
 *	SCRAM-SHA-256    client-first -> server-first -> client-final: the proof
 *	                 -> server-final: ours -> an empty response
 *	XOAUTH2          only as a client: a token that somebody else keeps current
 *
 * Who is not in the file gets a salt that stays the same, by the key in the line
 * #key: that `smtpd password' writes (without one, until the process ends), the
 * iterations of an account that the key chooses by his name, and all the same
 * turns and computations; then, as with a wrong password, AUTH_FAILED.  A right password is remembered, as an HMAC of it and
 * its verifier by a key of this process, so that a client that comes again costs
 * no PBKDF2; a wrong one is never.
 *
 * Names and passwords are UTF-8 without controls, and pass as they are: SASLprep
 * (RFC 4013), by which two spellings of one letter would be the same, is not
 * done.  Secrets are wiped when they are of no use any more.
 */
#include "smtpd.h"

#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_OCTETS  (16 << 20)	/* of passwords, at most */
#define SALT_MAX     64		/* octets */
#define SALT_MADE    16
#define NONCE_MADE   18
#define NONCE_MAX    128	/* of the other's, so that a challenge fits into a reply */
#define SCRAM_OCTETS 2048	/* of a message */
#define SAID_OCTETS  (AUTH_LINE / 4 * 3)
#define STEP         1024	/* iterations in a turn: half a millisecond */
#define REMEMBERED   256	/* right passwords */
#define KEY          "#key:"		/* a line that is no account's */
#define SHOWN        20		/* mistakes of one file */
#define FILES_SEEN   8

const char *const mechanism_name[MECH_COUNT] = { "ANONYMOUS", "PLAIN", "LOGIN", "SCRAM-SHA-256", "XOAUTH2" };
const char *auth_nonce;

/* ---- text and chance ------------------------------------------------------------ */

bool
auth_text_valid(const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t i = 0; i < n; i++)
		if (p[i] < ' ' || p[i] == 127 || (p[i] < 0xa0 && i > 0 && p[i - 1] == 0xc2))
			return false;
	return n > 0 && utf8_valid(text, n);
}

static void
octets_random(unsigned char *out, size_t n)
{
	uint32_t number = 0;

	for (size_t i = 0; i < n; i++) {
		if (i % 4 == 0)
			number = random_number();
		out[i] = (unsigned char)(number >> i % 4 * 8);
	}
}

static void
nonce_make(char out[NONCE_MAX + 1])
{
	unsigned char octets[NONCE_MADE];

	octets_random(octets, sizeof octets);
	base64_encode(out, octets, sizeof octets);
	if (auth_nonce != NULL)
		snprintf(out, NONCE_MAX + 1, "%s", auth_nonce);
}

/* What this process alone knows. */
static const unsigned char *
process_key(void)
{
	static unsigned char key[SHA256_OCTETS];
	static bool made;

	if (!made)
		octets_random(key, sizeof key);
	made = true;
	return key;
}

void
auth_digest(const void *octets, size_t n, unsigned char out[SHA256_OCTETS])
{
	hmac(process_key(), SHA256_OCTETS, octets, n, out);
}

/* ---- verifiers -------------------------------------------------------------------- */

struct verifier {
	long iterations;
	unsigned char salt[SALT_MAX];
	size_t salt_n;
	unsigned char stored[SHA256_OCTETS], server[SHA256_OCTETS];
};

/* The keys of RFC 5802 section 3, from the salted password. */
static void
verifier_keys(struct verifier *v, const unsigned char salted[SHA256_OCTETS], unsigned char client[SHA256_OCTETS])
{
	hmac(salted, SHA256_OCTETS, "Client Key", 10, client);
	hmac(salted, SHA256_OCTETS, "Server Key", 10, v->server);
	sha256(client, SHA256_OCTETS, v->stored);
}

/* Octets in base64, so many or less; how many, or 0. */
static size_t
octets_read(const char *text, size_t n, unsigned char *out, size_t most)
{
	unsigned char octets[SALT_MAX + 3];
	long got = n < BASE64_SIZE(most) ? base64_decode(octets, text, n) : -1;

	if (got <= 0 || (size_t)got > most)
		return 0;
	memcpy(out, octets, (size_t)got);
	return (size_t)got;
}

/* What stands before this character, or -1; *at is then behind it. */
static long
until(const char **at, const char *end, char stop)
{
	const char *from = *at, *p = memchr(from, stop, (size_t)(end - from));

	if (p == NULL)
		return -1;
	*at = p + 1;
	return (long)(p - from);
}

static long
iterations_read(const char *text, size_t n)
{
	long i = 0;

	if (n < 1 || n > 7 || *text == '0')
		return -1;
	for (; n > 0; n--, text++) {
		if (*text < '0' || *text > '9')
			return -1;
		i = i * 10 + (*text - '0');
	}
	return i >= ITERATIONS_MIN && i <= ITERATIONS_MAX ? i : -1;
}

/* Behind the name. */
static const char *
verifier_read(struct verifier *v, const char *at, const char *end)
{
	static const char method[] = "SCRAM-SHA-256$";
	const char *p;
	long n;

	if (end - at < (long)sizeof method || memcmp(at, method, sizeof method - 1) != 0)
		return "no verifier of SCRAM-SHA-256 follows the name: 'smtpd password NAME' makes one";
	p = at += sizeof method - 1;
	if ((n = until(&at, end, ':')) == -1 || (v->iterations = iterations_read(p, (size_t)n)) == -1)
		return "the iterations are no number from 4096 to 1000000";
	p = at;
	if ((n = until(&at, end, '$')) == -1 || (v->salt_n = octets_read(p, (size_t)n, v->salt, SALT_MAX)) == 0)
		return "the salt is not 1 to 64 octets in base64";
	p = at;
	if ((n = until(&at, end, ':')) == -1 || octets_read(p, (size_t)n, v->stored, SHA256_OCTETS) != SHA256_OCTETS ||
	    octets_read(at, (size_t)(end - at), v->server, SHA256_OCTETS) != SHA256_OCTETS)
		return "the two keys are not 32 octets each, in base64";
	return NULL;
}

/* A line without its end: the length of its name; 0 it has none, and need not; -1
 * and why. */
static long
line_read(struct verifier *v, const char *line, size_t n, const char **why)
{
	const char *at = line;
	long name;

	if (n > 0 && line[n - 1] == '\r')
		n--;
	if (n == 0 || *line == '#')
		return 0;
	if ((name = until(&at, line + n, ':')) < 1 || name > ACCOUNT_OCTETS || !auth_text_valid(line, (size_t)name))
		*why = "no name of an account and ':' begin the line";
	else if ((*why = verifier_read(v, at, line + n)) == NULL)
		return name;
	return -1;
}

long
auth_line(const char *line, size_t n)
{
	struct verifier v;
	const char *why;

	return line_read(&v, line, n, &why);
}

static void
verifier_make(struct verifier *v, const char *password, long iterations)
{
	unsigned char salted[SHA256_OCTETS], client[SHA256_OCTETS];
	struct pbkdf2 p;

	v->iterations = iterations;
	v->salt_n = SALT_MADE;
	octets_random(v->salt, v->salt_n);
	pbkdf2_begin(&p, password, strlen(password), v->salt, v->salt_n, iterations);
	pbkdf2_step(&p, iterations, salted);
	verifier_keys(v, salted, client);
	wipe(salted, sizeof salted);
	wipe(client, sizeof client);
}

int
auth_verifier(struct buf *b, const char *user, const char *password, long iterations)
{
	char salt[BASE64_SIZE(SALT_MAX)], stored[BASE64_SIZE(SHA256_OCTETS)], server[BASE64_SIZE(SHA256_OCTETS)];
	struct verifier v;

	verifier_make(&v, password, iterations);
	base64_encode(salt, v.salt, v.salt_n);
	base64_encode(stored, v.stored, sizeof v.stored);
	base64_encode(server, v.server, sizeof v.server);
	return buf_addf(b, "%s:SCRAM-SHA-256$%ld:%s$%s:%s\n", user, iterations, salt, stored, server);
}

/* ---- files --------------------------------------------------------------------------- */

/* A file that does not make us wait: its descriptor, or -1 and why. */
static int
file_open(const char *file, struct stat *st, const char **why)
{
	int fd = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd == -1 || fstat(fd, st) == -1)
		*why = strerror(errno);
	else if (!S_ISREG(st->st_mode))
		*why = "is no file";
	else
		return fd;
	if (fd != -1)
		close(fd);
	return -1;
}

/* So many octets, or less when it ends before; -1. */
static long
file_read(int fd, char *out, size_t n)
{
	size_t got = 0;
	ssize_t m = 1;

	while (got < n && ((m = read(fd, out + got, n - got)) > 0 || (m == -1 && errno == EINTR)))
		got += m > 0 ? (size_t)m : 0;
	return m == -1 ? -1 : (long)got;
}

const char *
auth_secret(const char *file, char *out, size_t size)
{
	const char *why = NULL;
	struct stat st;
	int fd = file_open(file, &st, &why);
	long n = 0;

	*out = '\0';
	if (fd != -1 && (st.st_mode & 077) != 0)
		why = "others than its owner can use it: chmod 600 makes it his alone";
	else if (fd != -1 && (n = file_read(fd, out, size - 1)) == -1)
		why = strerror(errno);
	if (fd != -1)
		close(fd);
	if (why == NULL) {
		out[n] = '\0';
		out[strcspn(out, "\r\n")] = '\0';
		if (*out == '\0')
			why = "there is nothing on its first line";
		else if (strlen(out) == size - 1)
			why = "its first line is too long";
		else if (!auth_text_valid(out, strlen(out)))
			why = "its first line is no text";
	}
	if (why != NULL)
		wipe(out, size);
	return why;
}

/* The lines of a file of passwords, one after the other. */
struct lines {
	char *text;
	size_t n, at;
	int number;
	struct stat st;
};

static const char *
lines_open(struct lines *l, const char *file)
{
	const char *why = NULL;
	int fd;
	long n;

	memset(l, 0, sizeof *l);
	if ((fd = file_open(file, &l->st, &why)) == -1)
		return why;
	if (l->st.st_size > FILE_OCTETS)
		why = "is larger than 16 MB";
	else if ((l->text = memory(NULL, (size_t)l->st.st_size + 1)) == NULL)
		why = "out of memory";
	else if ((n = file_read(fd, l->text, (size_t)l->st.st_size)) == -1)
		why = strerror(errno);
	else
		l->n = (size_t)n;
	close(fd);
	return why;
}

static void
lines_close(struct lines *l)
{
	if (l->text != NULL)
		wipe(l->text, l->n);
	free(l->text);
}

/* The next one, without its end; false: there is none. */
static bool
lines_next(struct lines *l, const char **line, size_t *n)
{
	const char *end;

	if (l->at >= l->n)
		return false;
	*line = l->text + l->at;
	end = memchr(*line, '\n', l->n - l->at);
	*n = end ? (size_t)(end - *line) : l->n - l->at;
	l->at += *n + 1;
	l->number++;
	return true;
}

/* The key of the first line that has one, or else that of this process. */
static bool
lines_key(struct lines l, unsigned char key[SHA256_OCTETS])
{
	static const size_t mark = sizeof KEY - 1;
	const char *line;
	size_t n;

	while (lines_next(&l, &line, &n)) {
		if (n > mark && line[n - 1] == '\r')
			n--;
		if (n > mark && memcmp(line, KEY, mark) == 0 && octets_read(line + mark, n - mark, key, SHA256_OCTETS) == SHA256_OCTETS)
			return true;
	}
	memcpy(key, process_key(), SHA256_OCTETS);
	return false;
}

int
auth_key(struct buf *text)
{
	struct lines l = { .text = text->data, .n = text->len };
	unsigned char key[SHA256_OCTETS];
	char line[BASE64_SIZE(SHA256_OCTETS)];

	if (lines_key(l, key))
		return 0;
	octets_random(key, sizeof key);
	base64_encode(line, key, sizeof key);
	return buf_addf(text, "%s" KEY "%s\n", l.n > 0 && l.text[l.n - 1] != '\n' ? "\n" : "", line);
}

long
auth_accounts(const char *passwords, char *why, size_t size)
{
	struct lines l;
	struct verifier v;
	const char *line, *wrong = lines_open(&l, passwords);
	long answer = 0, count = 0;
	size_t n;

	if (wrong != NULL)
		snprintf(why, size, "%s: %s", passwords, wrong);
	while (wrong == NULL && answer != -1 && lines_next(&l, &line, &n)) {
		answer = line_read(&v, line, n, &wrong);
		count += answer > 0;
	}
	if (answer == -1)
		snprintf(why, size, "%s:%d: %s", passwords, l.number, wrong);
	lines_close(&l);
	return wrong != NULL ? -1 : count;
}

const char *
auth_text(const char *passwords, struct buf *text)
{
	struct lines l;
	const char *why = lines_open(&l, passwords);

	if (why == NULL && buf_add(text, l.text, l.n) == -1)
		why = "out of memory";
	lines_close(&l);
	return why;
}

/* Is this one that we have not seen yet, or has it changed? */
static bool
is_new(const struct stat *st)
{
	static struct { dev_t dev; ino_t ino; off_t size; time_t changed; } seen[FILES_SEEN];
	static unsigned next;

	for (int i = 0; i < FILES_SEEN; i++)
		if (seen[i].dev == st->st_dev && seen[i].ino == st->st_ino && seen[i].size == st->st_size &&
		    seen[i].changed == st->st_ctime)
			return false;
	next = (next + 1) % FILES_SEEN;
	seen[next].dev = st->st_dev;
	seen[next].ino = st->st_ino;
	seen[next].size = st->st_size;
	seen[next].changed = st->st_ctime;
	return true;
}

/* Tell of the mistakes, when it is new. */
static void
lines_report(const struct lines *l, const char *file)
{
	struct lines all = *l;
	struct verifier v;
	const char *line, *why;
	int shown = 0;
	size_t n;

	if (!is_new(&l->st))
		return;
	while (shown < SHOWN && lines_next(&all, &line, &n))
		if (line_read(&v, line, n, &why) == -1 && ++shown)
			log_line("%s:%d: %s: the line is left out", file, all.number, why);
}

/* ---- we are the server -------------------------------------------------------------- */

enum auth_step {
	BEGIN,			/* what the client says first */
	PASSWORD,		/* LOGIN: then this */
	FINAL,			/* SCRAM: client-final */
	TRUSTED,		/* SCRAM: he has seen our signature */
	WORK,			/* PBKDF2 */
	OVER
};

struct auth {
	enum mechanism mechanism;
	enum auth_step step;
	const char *passwords;
	char account[ACCOUNT_OCTETS + 1];
	bool asked;		/* he has heard something of us */
	bool known;
	struct verifier v;	/* his; or, unless known, as good as that */
	struct pbkdf2 work;
	unsigned char mark[SHA256_OCTETS];	/* of his password: see mark_make */
	struct hmac stored, server;		/* SCRAM: of the AuthMessage so far */
	char header[BASE64_SIZE(SCRAM_OCTETS)];	/* its GS2 header, in base64 */
	char nonce[2 * NONCE_MAX + 1];
	char challenge[BASE64_SIZE(380)];
};

struct auth *
auth_begin(enum mechanism m, const char *passwords)
{
	struct auth *a = memory(NULL, sizeof *a);

	if (a != NULL) {
		memset(a, 0, sizeof *a);
		a->mechanism = m;
		a->passwords = passwords;
	}
	return a;
}

const char *
auth_challenge(const struct auth *a)
{
	return a->challenge;
}

const char *
auth_account(const struct auth *a)
{
	return a->account;
}

void
auth_free(struct auth *a)
{
	if (a != NULL)
		wipe(a, sizeof *a);
	free(a);
}

/* A salt for who is not known, that cannot be told from somebody else's. */
static void
verifier_invent(struct verifier *v, const unsigned char key[SHA256_OCTETS], const char *name)
{
	memset(v, 0, sizeof *v);
	hmac(key, SHA256_OCTETS, name, strlen(name), v->salt);
	sha256(v->salt, SHA256_OCTETS, v->salt + SHA256_OCTETS);
	v->iterations = ITERATIONS_MIN;
	v->salt_n = SALT_MADE;
}

/* How near a line's name is to one that is looked for: by chance, but always the same. */
static uint32_t
nearness(const unsigned char key[SHA256_OCTETS], const char *account, const char *line, size_t n)
{
	uint32_t h;

	memcpy(&h, key, sizeof h);
	h = text_hash(account, h);
	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)line[i]) * 16777619u;
	return (h ^ h >> 15) * 2654435761u;
}

/* Go through all lines; who has none gets iterations and a salt's length from the
 * nearest.  Those that are neither nearer than all before nor his are read as far
 * as the name. */
static void
lines_search(struct auth *a, struct lines *l)
{
	unsigned char key[SHA256_OCTETS];
	struct verifier v, his;
	const char *line, *at, *why;
	size_t n, length = strlen(a->account);
	uint32_t near, nearest = 0;
	bool same;
	long name;

	lines_key(*l, key);
	verifier_invent(&a->v, key, a->account);
	while (lines_next(l, &line, &n)) {
		at = line;
		if ((name = until(&at, line + n, ':')) < 1)
			continue;
		near = nearness(key, a->account, line, (size_t)name);
		same = name == (long)length && octets_same(line, a->account, length) && !a->known;
		if ((!same && near < nearest) || line_read(&v, line, n, &why) < 1)
			continue;
		if (near >= nearest) {
			nearest = near;
			a->v.iterations = v.iterations;
			a->v.salt_n = v.salt_n;
		}
		if (same) {
			his = v;
			a->known = true;
		}
	}
	if (a->known)
		a->v = his;
	wipe(key, sizeof key);
}

/* His verifier, or one that is as good as that; false: the file cannot be read. */
static bool
look_up(struct auth *a)
{
	struct lines l;
	const char *why = lines_open(&l, a->passwords);

	if (why == NULL) {
		lines_report(&l, a->passwords);
		lines_search(a, &l);
	} else
		log_line("%s: %s: nobody can authenticate", a->passwords, why);
	lines_close(&l);
	return why == NULL;
}

/* ---- a password itself ---- */

static unsigned char remembered[REMEMBERED][SHA256_OCTETS];

/* What stands for this password with this verifier, in this process. */
static void
mark_make(struct auth *a, const char *password, size_t n)
{
	struct hmac h;

	hmac_begin(&h, process_key(), SHA256_OCTETS);
	hmac_add(&h, a->account, strlen(a->account) + 1);
	hmac_add(&h, a->v.stored, sizeof a->v.stored);
	hmac_add(&h, a->v.server, sizeof a->v.server);
	hmac_add(&h, password, n);
	hmac_end(&h, a->mark);
}

static enum auth_result
password_take(struct auth *a, const char *password, size_t n, bool possible)
{
	if (!auth_text_valid(password, n))
		return AUTH_MALFORMED;
	if (!look_up(a))
		return AUTH_UNAVAILABLE;
	a->known &= possible;
	mark_make(a, password, n);
	if (a->known && octets_same(remembered[*a->mark % REMEMBERED], a->mark, sizeof a->mark))
		return AUTH_DONE;
	pbkdf2_begin(&a->work, password, n, a->v.salt, a->v.salt_n, a->v.iterations);
	a->step = WORK;
	return AUTH_WORKING;
}

enum auth_result
auth_work(struct auth *a)
{
	unsigned char salted[SHA256_OCTETS], client[SHA256_OCTETS];
	struct verifier v;
	bool right;

	if (a->step != WORK)
		return AUTH_FAILED;
	if (!pbkdf2_step(&a->work, STEP, salted))
		return AUTH_WORKING;
	verifier_keys(&v, salted, client);
	right = octets_same(v.stored, a->v.stored, sizeof v.stored) & a->known;
	wipe(salted, sizeof salted);
	wipe(client, sizeof client);
	wipe(&v, sizeof v);
	a->step = OVER;
	if (!right)
		return AUTH_FAILED;
	memcpy(remembered[*a->mark % REMEMBERED], a->mark, sizeof a->mark);
	return AUTH_DONE;
}

static bool
account_take(struct auth *a, const char *name, size_t n)
{
	if (n > ACCOUNT_OCTETS || !auth_text_valid(name, n))
		return false;
	memcpy(a->account, name, n);
	a->account[n] = '\0';
	return true;
}

/* RFC 4616: [authzid] NUL authcid NUL passwd. */
static enum auth_result
plain_take(struct auth *a, const char *text, size_t n)
{
	const char *name = text, *password, *end = text + n;
	long other = until(&name, end, '\0'), length;

	password = name;
	if (other == -1 || (length = until(&password, end, '\0')) == -1 || !account_take(a, name, (size_t)length) ||
	    (other > 0 && !auth_text_valid(text, (size_t)other)))
		return AUTH_MALFORMED;
	return password_take(a, password, (size_t)(end - password),
	    other == 0 || (other == length && memcmp(text, name, (size_t)other) == 0));
}

static enum auth_result
challenge_make(struct auth *a, enum auth_step step, const char *text)
{
	base64_encode(a->challenge, text, strlen(text));
	a->step = step;
	return AUTH_CHALLENGE;
}

/* ---- SCRAM: RFC 5802, RFC 7677 ---- */

/* An attribute: what stands behind "c=" and before a comma or the end; its length, -1
 * if it is not that or empty.  *at is then behind the comma, or at the end. */
static long
attribute(const char **at, const char *end, char letter, const char **value)
{
	long n;

	if (end - *at < 3 || (*at)[0] != letter || (*at)[1] != '=')
		return -1;
	*value = *at += 2;
	if ((n = until(at, end, ',')) == -1) {
		n = (long)(end - *at);
		*at = end;
	}
	return n > 0 ? n : -1;
}

/* What follows of optional attributes is passed over; false: they are none, or one
 * that must be understood. */
static bool
attributes_rest(const char *at, const char *end)
{
	const char *value;

	if (at == end && at[-1] == ',')
		return false;
	while (at < end) {
		if (*at == 'm' || text_lower((unsigned char)*at) < 'a' || text_lower((unsigned char)*at) > 'z' ||
		    attribute(&at, end, *at, &value) == -1 || (at == end && at[-1] == ','))
			return false;
	}
	return true;
}

/* A name, in which "," and "=" are written =2C and =3D. */
static bool
name_read(struct auth *a, const char *text, size_t n)
{
	char name[SCRAM_OCTETS];
	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		name[to++] = text[i];
		if (text[i] != '=')
			continue;
		if (n - i < 3 || (memcmp(text + i, "=2C", 3) != 0 && memcmp(text + i, "=3D", 3) != 0))
			return false;
		name[to - 1] = text[i + 2] == 'C' ? ',' : '=';
		i += 2;
	}
	return account_take(a, name, to);
}

static bool
nonce_valid(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == ',')
			return false;
	return n > 0;
}

/* The GS2 header, n or y for no channel binding, and who to be: behind it, or NULL. */
static const char *
header_take(struct auth *a, const char *text, const char *end)
{
	const char *at = text, *value;
	long n = -1;

	if (end - text < 3 || (*text != 'n' && *text != 'y') || text[1] != ',')
		return NULL;
	at += 2;
	if (*at == ',')
		at++;
	else if ((n = attribute(&at, end, 'a', &value)) == -1 || at[-1] != ',' || !name_read(a, value, (size_t)n))
		return NULL;
	base64_encode(a->header, text, (size_t)(at - text));
	return at;
}

static enum auth_result
scram_first(struct auth *a, const char *text, size_t n)
{
	const char *end = text + n, *bare, *at, *name, *nonce;
	char other[ACCOUNT_OCTETS + 1], own[NONCE_MAX + 1], salt[BASE64_SIZE(SALT_MAX)], reply[380];
	long length, nonce_n;

	if (n > SCRAM_OCTETS || !utf8_valid(text, n) || memchr(text, '\0', n) != NULL ||
	    (at = bare = header_take(a, text, end)) == NULL)
		return AUTH_MALFORMED;
	memcpy(other, a->account, sizeof other);
	if ((length = attribute(&at, end, 'n', &name)) == -1 || !name_read(a, name, (size_t)length) ||
	    (nonce_n = attribute(&at, end, 'r', &nonce)) == -1 || nonce_n > NONCE_MAX ||
	    !nonce_valid(nonce, (size_t)nonce_n) || !attributes_rest(at, end))
		return AUTH_MALFORMED;
	if (!look_up(a))
		return AUTH_UNAVAILABLE;
	a->known &= *other == '\0' || strcmp(other, a->account) == 0;
	nonce_make(own);
	snprintf(a->nonce, sizeof a->nonce, "%.*s%s", (int)nonce_n, nonce, own);
	base64_encode(salt, a->v.salt, a->v.salt_n);
	length = snprintf(reply, sizeof reply, "r=%s,s=%s,i=%ld", a->nonce, salt, a->v.iterations);
	hmac_begin(&a->stored, a->v.stored, SHA256_OCTETS);
	hmac_begin(&a->server, a->v.server, SHA256_OCTETS);
	for (struct hmac *h = &a->stored; h != NULL; h = h == &a->stored ? &a->server : NULL) {
		hmac_add(h, bare, (size_t)(end - bare));
		hmac_add(h, ",", 1);
		hmac_add(h, reply, (size_t)length);
		hmac_add(h, ",", 1);
	}
	return challenge_make(a, FINAL, reply);
}

/* Does this prove that he knows the key of which we have the digest? */
static bool
proof_right(struct auth *a, const unsigned char proof[SHA256_OCTETS])
{
	unsigned char key[SHA256_OCTETS], digest[SHA256_OCTETS];
	bool right;

	hmac_end(&a->stored, key);
	for (int i = 0; i < SHA256_OCTETS; i++)
		key[i] ^= proof[i];
	sha256(key, sizeof key, digest);
	wipe(key, sizeof key);
	right = octets_same(digest, a->v.stored, sizeof digest) & a->known;
	wipe(digest, sizeof digest);
	return right;
}

static enum auth_result
scram_final(struct auth *a, const char *text, size_t n)
{
	const char *end = text + n, *at = text, *header, *nonce, *proof = end, *value;
	unsigned char octets[SHA256_OCTETS];
	char reply[2 + BASE64_SIZE(SHA256_OCTETS)] = "v=";
	long header_n, nonce_n, length;

	while (proof > text && proof[-1] != ',')
		proof--;
	if (n > SCRAM_OCTETS || proof == text || !utf8_valid(text, n) || memchr(text, '\0', n) != NULL ||
	    (header_n = attribute(&at, proof - 1, 'c', &header)) == -1 ||
	    (nonce_n = attribute(&at, proof - 1, 'r', &nonce)) == -1 || !attributes_rest(at, proof - 1))
		return AUTH_MALFORMED;
	hmac_add(&a->stored, text, (size_t)(proof - 1 - text));
	hmac_add(&a->server, text, (size_t)(proof - 1 - text));
	if ((length = attribute(&proof, end, 'p', &value)) == -1 ||
	    octets_read(value, (size_t)length, octets, sizeof octets) != sizeof octets)
		return AUTH_MALFORMED;
	if ((size_t)header_n != strlen(a->header) || memcmp(header, a->header, (size_t)header_n) != 0 ||
	    (size_t)nonce_n != strlen(a->nonce) || memcmp(nonce, a->nonce, (size_t)nonce_n) != 0 ||
	    !proof_right(a, octets))
		return AUTH_FAILED;
	hmac_end(&a->server, octets);
	base64_encode(reply + 2, octets, sizeof octets);
	return challenge_make(a, TRUSTED, reply);
}

/* ---- all of them ---- */

static enum auth_result
text_take(struct auth *a, enum auth_step step, const char *text, size_t n)
{
	if (step == BEGIN && a->mechanism == MECH_PLAIN)
		return plain_take(a, text, n);
	if (step == BEGIN && a->mechanism == MECH_SCRAM)
		return scram_first(a, text, n);
	if (step == BEGIN && a->mechanism == MECH_LOGIN)
		return account_take(a, text, n) ? challenge_make(a, PASSWORD, "Password:") : AUTH_MALFORMED;
	if (step == PASSWORD)
		return password_take(a, text, n, true);
	if (step == FINAL)
		return scram_final(a, text, n);
	return step == TRUSTED && n == 0 ? AUTH_DONE : AUTH_MALFORMED;
}

enum auth_result
auth_take(struct auth *a, const char *response)
{
	char text[SAID_OCTETS];
	enum auth_result answer = AUTH_MALFORMED;
	enum auth_step step = a->step;
	size_t length;
	long n;

	if (!a->asked && response != NULL && strcmp(response, "=") == 0)
		response = "";
	a->asked = true;
	if (response == NULL)
		return challenge_make(a, BEGIN, a->mechanism == MECH_LOGIN ? "Username:" : "");
	length = strlen(response);
	a->step = OVER;
	if (length <= AUTH_LINE && (n = base64_decode(text, response, length)) != -1)
		answer = text_take(a, step, text, (size_t)n);
	wipe(text, sizeof text);
	return answer;
}

/* ---- we are the client -------------------------------------------------------------- */

#define SECRET_OCTETS 8192
#define BARE_OCTETS   (3 * ACCOUNT_OCTETS + NONCE_MAX + 6)

struct sasl {
	enum mechanism mechanism;
	int turn;		/* how often the server has asked */
	bool working, trusts, said;	/* PBKDF2; see sasl_trusts; response is what to say */
	char user[ACCOUNT_OCTETS + 1], *secret;
	struct pbkdf2 work;
	char nonce[NONCE_MAX + 1], bare[BARE_OCTETS];	/* ours, and what we said first */
	char first[SCRAM_OCTETS + 1];	/* what the server said then, */
	size_t nonce_n;			/* and how long the nonce in it is */
	unsigned char signature[SHA256_OCTETS];	/* that the server must know */
	char response[BASE64_SIZE(SAID_OCTETS)];
};

static void
say(struct sasl *s, const char *text, size_t n)
{
	base64_encode(s->response, text, n);
	s->said = true;
}

/* What SCRAM says first: the user, with =2C and =3D in him, and a nonce. */
static void
bare_make(struct sasl *s)
{
	char *to = s->bare;

	to += snprintf(to, 3, "n=");
	for (const char *p = s->user; *p != '\0'; p++)
		to += snprintf(to, 4, *p == ',' ? "=2C" : *p == '=' ? "=3D" : "%c", *p);
	nonce_make(s->nonce);
	snprintf(to, NONCE_MAX + 4, ",r=%s", s->nonce);
}

struct sasl *
sasl_begin(enum mechanism m, const char *user, const char *secret)
{
	bool fits = strlen(user) <= ACCOUNT_OCTETS && strlen(secret) <= SECRET_OCTETS;
	struct sasl *s = fits ? memory(NULL, sizeof *s) : NULL;
	char text[SAID_OCTETS];
	int n = -1;

	if (s == NULL)
		return NULL;
	memset(s, 0, sizeof *s);
	if ((s->secret = text_copy(secret)) == NULL) {
		sasl_free(s);
		return NULL;
	}
	s->mechanism = m;
	memcpy(s->user, user, strlen(user));
	if (m == MECH_SCRAM) {
		bare_make(s);
		n = snprintf(text, sizeof text, "n,,%s", s->bare);
	} else if (m == MECH_PLAIN)
		n = snprintf(text, sizeof text, "%c%s%c%s", 0, user, 0, secret);
	else if (m == MECH_XOAUTH2)
		n = snprintf(text, sizeof text, "user=%s\001auth=Bearer %s\001\001", user, secret);
	if (n != -1)
		say(s, text, (size_t)n);
	wipe(text, sizeof text);
	return s;
}

const char *
sasl_response(const struct sasl *s)
{
	return s->said ? s->response : NULL;
}

bool
sasl_trusts(const struct sasl *s)
{
	return s->mechanism != MECH_SCRAM || s->trusts;
}

void
sasl_free(struct sasl *s)
{
	if (s == NULL)
		return;
	if (s->secret != NULL)
		wipe(s->secret, strlen(s->secret));
	free(s->secret);
	wipe(s, sizeof *s);
	free(s);
}

/* The salted password is there: prove that we know it, and note what the server
 * must prove. */
static void
scram_prove(struct sasl *s, const unsigned char salted[SHA256_OCTETS])
{
	unsigned char client[SHA256_OCTETS], proof[SHA256_OCTETS];
	char text[3 * SCRAM_OCTETS], final[2 * SCRAM_OCTETS];
	struct verifier v;
	int n, final_n;

	verifier_keys(&v, salted, client);
	final_n = snprintf(final, sizeof final, "c=biws,r=%.*s", (int)s->nonce_n, s->first + 2);
	n = snprintf(text, sizeof text, "%s,%s,%s", s->bare, s->first, final);
	hmac(v.stored, sizeof v.stored, text, (size_t)n, proof);
	hmac(v.server, sizeof v.server, text, (size_t)n, s->signature);
	for (int i = 0; i < SHA256_OCTETS; i++)
		proof[i] ^= client[i];
	memcpy(final + final_n, ",p=", 3);
	final_n += 3 + (int)base64_encode(final + final_n + 3, proof, sizeof proof);
	say(s, final, (size_t)final_n);
	wipe(client, sizeof client);
	wipe(&v, sizeof v);
}

int
sasl_work(struct sasl *s)
{
	unsigned char salted[SHA256_OCTETS];

	if (!s->working)
		return 1;
	if (!pbkdf2_step(&s->work, STEP, salted))
		return 0;
	scram_prove(s, salted);
	wipe(salted, sizeof salted);
	s->working = false;
	return 1;
}

/* The server's nonce, which begins with ours, the salt, and the iterations. */
static int
scram_salted(struct sasl *s, const char *text, size_t n)
{
	const char *at = text, *end = text + n, *nonce, *salt, *number;
	size_t ours = strlen(s->nonce), salt_n;
	unsigned char octets[SALT_MAX];
	long length, iterations;

	if (n > SCRAM_OCTETS || memchr(text, '\0', n) != NULL || (length = attribute(&at, end, 'r', &nonce)) <= (long)ours ||
	    memcmp(nonce, s->nonce, ours) != 0 || !nonce_valid(nonce, (size_t)length))
		return -1;
	s->nonce_n = (size_t)length;
	if ((length = attribute(&at, end, 's', &salt)) == -1 ||
	    (salt_n = octets_read(salt, (size_t)length, octets, sizeof octets)) == 0 ||
	    (length = attribute(&at, end, 'i', &number)) == -1 ||
	    (iterations = iterations_read(number, (size_t)length)) == -1 || !attributes_rest(at, end))
		return -1;
	memcpy(s->first, text, n);
	pbkdf2_begin(&s->work, s->secret, strlen(s->secret), octets, salt_n, iterations);
	s->working = true;
	return 0;
}

/* The server's signature: does it know what we know? */
static int
scram_signed(struct sasl *s, const char *text, size_t n)
{
	const char *at = text, *value;
	unsigned char octets[SHA256_OCTETS];
	long length = attribute(&at, text + n, 'v', &value);

	if (length == -1 || octets_read(value, (size_t)length, octets, sizeof octets) != sizeof octets ||
	    !octets_same(octets, s->signature, sizeof octets) || !attributes_rest(at, text + n))
		return -1;
	s->trusts = true;
	say(s, "", 0);
	return 0;
}

int
sasl_take(struct sasl *s, const char *challenge)
{
	size_t length = strlen(challenge);
	char text[SAID_OCTETS];
	long n = length <= AUTH_LINE ? base64_decode(text, challenge, length) : -1;
	int turn = s->turn++;

	s->said = false;
	if (s->mechanism == MECH_LOGIN && turn < 2)	/* whatever it calls them */
		say(s, turn == 0 ? s->user : s->secret, strlen(turn == 0 ? s->user : s->secret));
	else if (s->mechanism == MECH_XOAUTH2 && turn == 0)
		say(s, "", 0);		/* it tells an error, and is to end it */
	else if (s->mechanism == MECH_SCRAM && n != -1 && turn < 2 && !s->working)
		return turn == 0 ? scram_salted(s, text, (size_t)n) : scram_signed(s, text, (size_t)n);
	else
		return -1;
	return 0;
}
