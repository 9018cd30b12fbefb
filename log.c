/*
 * log.c - words and time.
 *
 * The operator's log and the trace (both on standard error or in syslog, one
 * line an event), the one clock, the one source of randomness, and the string
 * that grows; and ids, which are time and chance.  What is true here: no octet
 * from the wire reaches a terminal unescaped, and no line is longer than
 * LINE_MAX_LOG.
 */
#include "smtpd.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_LOG 1000	/* octets of a line of the log, or of the trace */
#define COLUMNS      80		/* of a terminal: the trace keeps within where it can */

struct clock now;
bool log_verbose, log_tracing;
struct buf *log_copy;

/* ---- time ------------------------------------------------------------- */

static void
clock_system(struct clock *c)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	c->tick = t.tv_sec * 1000LL + t.tv_nsec / 1000000;
	c->micro = (int)(t.tv_nsec / 1000 % 1000);
	clock_gettime(CLOCK_REALTIME, &t);
	c->wall = t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

void (*clock_source)(struct clock *) = clock_system;

void
clock_turn(void)
{
	clock_source(&now);
}

/* Days since 1970-01-01 of a date; years are counted from March, so that the
 * leap day is the last of its year. */
static long long
days_from_civil(long long y, int m, int d)
{
	long long era, year, day;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	year = y - era * 400;
	day = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + year * 365 + year / 4 - year / 100 + day - 719468;
}

long long
second_from_civil(const int f[6])
{
	return days_from_civil(f[0], f[1], f[2]) * 86400 + f[3] * 3600 + f[4] * 60 + f[5];
}

void
civil_from_second(long long s, int f[6])
{
	long long day = s / 86400 - (s % 86400 < 0), rest = s - day * 86400;
	long long z = day + 719468, era, doe, yoe, doy, mp;

	era = (z >= 0 ? z : z - 146096) / 146097;
	doe = z - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	f[2] = (int)(doy - (153 * mp + 2) / 5 + 1);
	f[1] = (int)(mp < 10 ? mp + 3 : mp - 9);
	f[0] = (int)(yoe + era * 400 + (f[1] <= 2));
	f[3] = (int)(rest / 3600);
	f[4] = (int)(rest / 60 % 60);
	f[5] = (int)(rest % 60);
}

char *
date_text(char out[DATE_SIZE], long long second)
{
	static const char month[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static const char weekday[] = "ThuFriSatSunMonTueWed";	/* 1970 began on a Thursday */
	int f[6];
	long long day = second / 86400;

	civil_from_second(second, f);
	snprintf(out, DATE_SIZE, "%.3s, %d %.3s %04d %02d:%02d:%02d +0000",
	    weekday + (day % 7 + 7) % 7 * 3, f[2], month + (f[1] - 1) * 3,
	    f[0] % 10000, f[3], f[4], f[5]);
	return out;
}

/* ---- randomness ------------------------------------------------------- */

static int random_fd = -1;

void
random_open(void)
{
	if (random_fd < 0)
		random_fd = open("/dev/urandom", O_RDONLY);
	if (random_fd < 0)
		log_line("warning: no /dev/urandom; numbers will be guessable");
}

/* Where the device is missing (an initramfs without /dev), what differs from
 * one start to the next has to do: the clock, the process, the stack. */
static uint32_t
random_weak(void)
{
	static uint64_t seed;
	struct clock c;

	clock_system(&c);
	seed ^= (uint64_t)c.wall * 6364136223846793005u + (uint64_t)c.tick;
	seed ^= (uint64_t)getpid() << 32 ^ (uint64_t)(uintptr_t)&c;
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 32);
}

uint32_t
random_number(void)
{
	uint32_t n;

	if (random_fd >= 0 && read(random_fd, &n, sizeof n) == (ssize_t)sizeof n)
		return n;
	return random_weak();
}

/* ---- strings ---------------------------------------------------------- */

void *(*memory)(void *, size_t) = realloc;

/* Room for n more octets and a NUL. */
static int
buf_room(struct buf *b, size_t n)
{
	size_t size = b->size ? b->size : 64;
	char *data;

	if (n > SIZE_MAX / 4 || b->len > SIZE_MAX / 4)
		return -1;
	while (size < b->len + n + 1)
		size *= 2;
	if (size == b->size)
		return 0;
	if ((data = memory(b->data, size)) == NULL)
		return -1;
	b->data = data;
	b->size = size;
	return 0;
}

void *
grow(void *array, size_t *room, size_t count, size_t each)
{
	size_t more = *room ? *room * 2 : 16;

	if (count < *room)
		return array;
	if (more > SIZE_MAX / each || (array = memory(array, more * each)) == NULL)
		return NULL;
	*room = more;
	return array;
}

int
buf_add(struct buf *b, const void *octets, size_t n)
{
	if (buf_room(b, n) == -1) {
		b->torn = true;
		return -1;
	}
	if (n > 0)
		memcpy(b->data + b->len, octets, n);
	b->len += n;
	b->data[b->len] = '\0';
	return 0;
}

/* Mostly there is room, and the text is made once. */
int
buf_addf(struct buf *b, const char *format, ...)
{
	size_t room;
	va_list ap;
	int n;

	do {
		room = b->size - b->len;
		va_start(ap, format);
		n = vsnprintf(b->data ? b->data + b->len : NULL, room, format, ap);
		va_end(ap);
		if (n < 0 || ((size_t)n >= room && buf_room(b, (size_t)n) == -1)) {
			if (room > 0)
				b->data[b->len] = '\0';
			b->torn = true;
			return -1;
		}
	} while ((size_t)n >= room);
	b->len += (size_t)n;
	return 0;
}

void
buf_free(struct buf *b)
{
	free(b->data);
	memset(b, 0, sizeof *b);
}

char *
text_copy(const char *s)
{
	size_t n = strlen(s) + 1;
	char *copy = memory(NULL, n);

	return copy ? memcpy(copy, s, n) : NULL;
}

char *
text_safe(char *out, size_t size, const char *in, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	size_t at = 0;

	for (; n > 0; in++, n--) {
		unsigned char c = (unsigned char)*in;

		if (at + 8 > size) {		/* room for one more and the dots */
			memcpy(out + at, "...", 3);
			at += 3;
			break;
		}
		if (c >= ' ' && c < 127 && c != '\\' && c != '"') {
			out[at++] = (char)c;
			continue;
		}
		out[at++] = '\\';
		out[at++] = 'x';
		out[at++] = hex[c >> 4];
		out[at++] = hex[c & 15];
	}
	out[at] = '\0';
	return out;
}

const char *
text_shown(const char *word)
{
	static char text[2][100];
	static int which;

	which = !which;
	return text_safe(text[which], sizeof text[which], word, strlen(word));
}

char *
text_size(char out[SIZE_TEXT], long long n)
{
	const char *unit = " KMGT";

	for (; n >= 10 * 1024 && unit[1] != '\0'; unit++)
		n /= 1024;
	snprintf(out, SIZE_TEXT, "%lld%.*s", n, *unit != ' ', unit);
	return out;
}

void
text_wrapped(const char *first, const char *prefix, const char *text)
{
	size_t room = COLUMNS - 2 - strlen(prefix), n;

	for (; *text != '\0'; text += n + strspn(text + n, " "), first = prefix) {
		if ((n = strlen(text)) > room)
			for (n = room; n > 0 && text[n] != ' '; n--)
				;
		if (n == 0)
			n = room;		/* a word that is longer */
		printf("%s%.*s\n", first, (int)n, text);
	}
}

int
text_lower(int c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

int
text_compare(const char *a, const char *b)
{
	for (; *a != '\0' && text_lower((unsigned char)*a) == text_lower((unsigned char)*b); a++, b++)
		;
	return text_lower((unsigned char)*a) - text_lower((unsigned char)*b);
}

bool
text_prefix(const char *s, const char *prefix)
{
	for (; *prefix != '\0'; s++, prefix++)
		if (text_lower((unsigned char)*s) != text_lower((unsigned char)*prefix))
			return false;
	return true;
}

long long
text_octets(const char *text, const char **end)
{
	long long n = *text >= '0' && *text <= '9' ? 0 : -1;

	for (; *text >= '0' && *text <= '9'; text++)
		n = n > UNLIMITED / 10 - 1 ? UNLIMITED : n * 10 + (*text - '0');
	*end = text;
	return n;
}

uint32_t
text_hash(const char *s, uint32_t seed)
{
	uint32_t h = 2166136261u ^ seed;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)text_lower((unsigned char)*s)) * 16777619u;
	return h ^ h >> 16;
}

/* Where it is, or would be. */
static size_t *
texts_place(const struct texts *t, const char *text)
{
	size_t i = text_hash(text, 0) % t->places;

	while (t->place[i] != 0 && text_compare(t->text[t->place[i] - 1], text) != 0)
		i = (i + 1) % t->places;
	return &t->place[i];
}

static int
texts_grow(struct texts *t)
{
	size_t places = t->places ? 4 * t->places : 16, *old = t->place;

	if (t->count * 2 < t->places)
		return 0;
	if ((t->place = memory(NULL, places * sizeof *t->place)) == NULL) {
		t->place = old;
		return -1;
	}
	memset(t->place, 0, places * sizeof *t->place);
	t->places = places;
	free(old);
	for (size_t i = 0; i < t->count; i++)
		*texts_place(t, t->text[i]) = i + 1;
	return 0;
}

int
texts_add(struct texts *t, const char *text)
{
	char **more;
	size_t *place;

	if (texts_grow(t) == -1 || (more = grow(t->text, &t->room, t->count, sizeof *more)) == NULL)
		return -1;
	t->text = more;
	if (*(place = texts_place(t, text)) != 0)
		return 0;
	if ((t->text[t->count] = text_copy(text)) == NULL)
		return -1;
	*place = ++t->count;
	return 1;
}

bool
texts_have(const struct texts *t, const char *text)
{
	return t->places > 0 && *texts_place(t, text) != 0;
}

void
texts_free(struct texts *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->text[i]);
	free(t->text);
	free(t->place);
	memset(t, 0, sizeof *t);
}

/* ---- ids: time and chance ------------------------------------------------- */

/* Asked for the same one many times in a row, it is made once. */
char *
id_text(const struct id *id, char out[ID_SIZE])
{
	static char text[ID_SIZE];
	static struct id last;
	int f[6];

	if (*text == '\0' || last.second != id->second || last.serial != id->serial || last.origin != id->origin) {
		last = *id;
		civil_from_second(id->second, f);
		snprintf(text, sizeof text, "%04d%02d%02dT%02d%02d%02d-%05u-%08x", f[0] % 10000, f[1], f[2],
		    f[3], f[4], f[5], (unsigned)id->serial % 100000, (unsigned)id->origin);
	}
	return memcpy(out, text, sizeof text);
}

int
id_parse(struct id *id, const char *text, size_t n)
{
	char copy[ID_SIZE], again[ID_SIZE];
	unsigned serial, origin;
	int f[6];

	if (n >= sizeof copy)
		return -1;
	memcpy(copy, text, n);
	copy[n] = '\0';
	if (sscanf(copy, "%4d%2d%2dT%2d%2d%2d-%5u-%8x", &f[0], &f[1], &f[2],
	    &f[3], &f[4], &f[5], &serial, &origin) != 8)
		return -1;
	id->second = second_from_civil(f);
	id->serial = serial;
	id->origin = origin;
	return strcmp(id_text(id, again), copy) == 0 ? 0 : -1;
}

/* The clock may be set back; ids only go forward. */
void
id_next(struct id *id)
{
	static struct id last;

	if (last.origin == 0)
		last.origin = random_number();
	if (now.wall / 1000 > last.second) {
		last.second = now.wall / 1000;
		last.serial = 0;
	} else if (++last.serial > 99999) {
		last.second++;
		last.serial = 0;
	}
	*id = last;
}

int
id_compare(const struct id *a, const struct id *b)
{
	if (a->second != b->second)
		return a->second < b->second ? -1 : 1;
	if (a->serial != b->serial)
		return a->serial < b->serial ? -1 : 1;
	return a->origin == b->origin ? 0 : a->origin < b->origin ? -1 : 1;
}

/* "ID" END as a name: its id, or -1. */
int
id_name(struct id *id, const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && strcmp(name + n - m, end) == 0 ? id_parse(id, name, n - m) : -1;
}

/* ---- the log ---------------------------------------------------------- */

#ifdef __linux__
const char *log_device = "/dev/log";
#else
const char *log_device = "/var/run/log";
#endif

/* The system's way to syslogd waits for one that stalls, and all of us with it:
 * where his socket is known we say it ourselves, and count what he does not take. */
static bool in_syslog, by_ourselves;
static int syslog_fd;
static unsigned long lines_lost;

static bool
syslog_connect(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof a.sun_path, "%s", log_device);
	return connect(syslog_fd, (struct sockaddr *)&a, sizeof a) == 0;
}

void
log_to_syslog(void)
{
	openlog("smtpd", LOG_PID | LOG_NDELAY, LOG_MAIL);
	tzset();		/* for localtime_r, before a chroot */
	syslog_fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	by_ourselves = fcntl(syslog_fd, F_SETFD, FD_CLOEXEC) != -1 && fcntl(syslog_fd, F_SETFL, O_NONBLOCK) != -1 && syslog_connect();
	in_syslog = true;
}

/* As syslog(3) says it. */
static bool
syslog_say(int level, const char *format, ...)
{
	char text[LINE_MAX_LOG + 100], when[20];
	time_t second = time(NULL);
	struct tm tm;
	va_list ap;
	int n;

	strftime(when, sizeof when, "%b %e %H:%M:%S", localtime_r(&second, &tm));
	n = snprintf(text, sizeof text, "<%d>%s smtpd[%ld]: ", LOG_MAIL | level, when, (long)getpid());
	va_start(ap, format);
	vsnprintf(text + n, sizeof text - (size_t)n, format, ap);
	va_end(ap);
	if (send(syslog_fd, text, strlen(text), 0) != -1)
		return true;
	return errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS &&
	    syslog_connect() && send(syslog_fd, text, strlen(text), 0) != -1;	/* another one has come */
}

static void
syslog_line(int level, const char *line)
{
	if (!by_ourselves)
		syslog(level, "%s", line);
	else if (lines_lost > 0 && !syslog_say(LOG_WARNING, "warning: syslogd did not take %lu lines", lines_lost))
		lines_lost++;
	else
		lines_lost = !syslog_say(level, "%s", line);
}

/* How urgent a line is, by its first word, or else by the second: the first is
 * an id or a dash, and the second what happened.  Any other tells of trouble. */
static int
line_level(const char *line)
{
	static const struct { const char *word; int level; } words[] = {
		{ "smtpd: ", LOG_NOTICE }, { "warning: ", LOG_WARNING }, { "#", LOG_DEBUG }, { " ", LOG_DEBUG },
		{ "received ", LOG_INFO }, { "delivered ", LOG_INFO }, { "relayed ", LOG_INFO },
		{ "bounce ", LOG_INFO }, { "connected ", LOG_INFO }, { "proxied ", LOG_INFO },
		{ "closed ", LOG_NOTICE }, { "refused ", LOG_NOTICE }, { "is ", LOG_NOTICE },
		{ "deferred ", LOG_WARNING }, { "destination=", LOG_WARNING }, { "failed ", LOG_WARNING },
		{ "doubtful ", LOG_WARNING }, { "badmail ", LOG_WARNING },
	};
	const char *second = line + strcspn(line, " ");

	if (strstr(line, " cannot ") != NULL && strchr(line, '=') == NULL)
		return LOG_ERR;
	second += *second != '\0';
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (text_prefix(i < 4 ? line : second, words[i].word))
			return words[i].level;
	return LOG_ERR;
}

/* One write a line, so that lines of several processes do not mix. */
static void
line_write(const char *before, const char *format, va_list ap)
{
	char line[LINE_MAX_LOG + 2];
	size_t n = strlen(before), left = sizeof line - n - 1;
	int m;

	memcpy(line, before, n);
	m = vsnprintf(line + n, left, format, ap);
	n += m < 0 ? 0 : (size_t)m < left ? (size_t)m : left - 1;
	if (in_syslog)
		syslog_line(*before != '\0' ? LOG_ERR : line_level(line), line);
	line[n++] = '\n';
	if (log_copy != NULL)
		buf_add(log_copy, line, n);
	if (in_syslog && *before == '\0')
		return;		/* a last word is for those too who look on */
	if (write(STDERR_FILENO, line, n) == -1)
		return;		/* nobody listens: there is nobody to tell */
}

void
log_line(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	line_write("", format, ap);
	va_end(ap);
}

void
log_detail(const char *format, ...)
{
	va_list ap;

	if (!log_verbose)
		return;
	va_start(ap, format);
	line_write("", format, ap);
	va_end(ap);
}

void
die(int status, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	line_write("smtpd: ", format, ap);
	va_end(ap);
	exit(status);
}

unsigned long
trace_number(void)
{
	static unsigned long number;

	return ++number;
}

void
trace_line(unsigned long number, msec since, const char *state, char side,
    const char *text, size_t n, const char *rule)
{
	char safe[LINE_MAX_LOG / 2], line[LINE_MAX_LOG];
	struct clock c;
	int used;

	if (!log_tracing)
		return;
	clock_source(&c);
	text_safe(safe, sizeof safe, text, n);
	used = snprintf(line, sizeof line, "#%-3lu%7.3f %-6s %c %s", number,
	    (double)(c.tick - since) / 1000, state, side, safe);
	if (used < 0)
		return;
	if (rule == NULL || *rule == '\0')
		log_line("%s", line);
	else if ((size_t)used + 3 + strlen(rule) <= COLUMNS)
		log_line("%s%*s", line, COLUMNS - used, rule);
	else {
		log_line("%s", line);
		log_line("%*s", COLUMNS, rule);
	}
}
