/*
 * ask - asks the resolver (dns.c) questions, for its tests.
 *
 *     ask [OPTION ...] NAME TYPE [NAME TYPE ...]
 *
 *     -s ADDR:PORT   a name server; repeatable (else those of /etc/resolv.conf)
 *     -h FILE        hosts (/dev/null)
 *     -n TIMES       ask all of it so many times; %d in a NAME is the number of the time
 *     -j N           so many questions at a time (1)
 *     -w SECONDS     the clock goes ahead by so many after each question
 *     -x N           the clock runs N times as fast
 *     -b MS          do nothing for so long between the question and the first look at the answer
 *     -m NTH         memory is out at its NTH use, once
 *     -v             at the end: the memory used, in KiB, and descriptors still open, on standard error
 *
 * TYPE is A, AAAA, MX or PTR. Of each answer it prints `NAME TYPE found|nodata|nxdomain|later|memory', and for the
 * first three how many seconds it holds, `  ttl N'; and a line for each record: an address, a name, or preference and
 * name. Questions that are asked at a time are answered in any order.
 */
#include "smtpd.h"

#include <sys/resource.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT_A_TIME 1000

static struct question {
	struct dns dns;
	bool busy;
	char name[1024];
	const char *type;
} questions[AT_A_TIME];

static long times = 1, at_a_time = 1, speed = 1, blind, memory_calls, memory_fails;
static msec ahead, step, began;
static void (*real_clock)(struct clock *);

static void
fast_clock(struct clock *c)
{
	real_clock(c);
	if (began == 0)
		began = c->tick;
	c->tick = began + (c->tick - began) * speed + ahead;
	c->wall += ahead;
}

static void *
scarce_memory(void *p, size_t n)
{
	return ++memory_calls == memory_fails ? NULL : realloc(p, n);
}

static enum dns_type
type_of(const char *name)
{
	if (strcmp(name, "A") == 0)
		return DNS_A;
	if (strcmp(name, "AAAA") == 0)
		return DNS_AAAA;
	if (strcmp(name, "MX") == 0)
		return DNS_MX;
	if (strcmp(name, "PTR") != 0)
		die(64, "ask: unknown type %s", name);
	return DNS_PTR;
}

static void
print(const struct question *q)
{
	static const char *const words[] = {
		[DNS_FOUND] = "found", [DNS_NODATA] = "nodata", [DNS_NXDOMAIN] = "nxdomain", [DNS_LATER] = "later"
	};
	const struct dns_answer *a = q->dns.answer;
	char text[ADDR_TEXT], name[4 * DOMAIN_MAX + 1];

	printf("%s %s %s\n", q->name, q->type, a == NULL ? "memory" : words[a->result]);
	for (size_t i = 0; a != NULL && i < a->count; i++) {
		text_safe(name, sizeof name, dns_name(a, i), strlen(dns_name(a, i)));
		if (a->record[i].addr.family != 0)
			printf("  %s\n", addr_text(&a->record[i].addr, text));
		else if (a->type == DNS_MX)
			printf("  %u %s\n", a->record[i].preference, name[0] != '\0' ? name : ".");
		else
			printf("  %s\n", name);
	}
	if (a != NULL && a->result != DNS_LATER)
		printf("  ttl %lld\n", (a->expires - now.tick + 999) / 1000);
}

static void
over(struct question *q)
{
	print(q);
	dns_end(&q->dns);
	q->busy = false;
	ahead += step;
}

/* The next of all questions, or false. */
static bool
next(struct question *q, char **words, long count)
{
	static long asked;
	const char *name = words[asked % count * 2], *mark = strstr(name, "%d");

	if (asked == times * count)
		return false;
	if (mark == NULL)
		snprintf(q->name, sizeof q->name, "%s", name);
	else
		snprintf(q->name, sizeof q->name, "%.*s%ld%s", (int)(mark - name), name, asked / count + 1, mark + 2);
	q->type = words[asked % count * 2 + 1];
	asked++;
	return true;
}

static void
begin(struct question *q)
{
	q->busy = true;
	clock_turn();
	dns_begin(&q->dns, q->name, type_of(q->type));
	if (blind > 0) {
		poll(NULL, 0, (int)blind);
		clock_turn();
	}
	if (dns_step(&q->dns) == 1)
		over(q);
}

/* One turn of the loop; false: nobody waits any more. */
static bool
turn(void)
{
	static struct pollfd slots[AT_A_TIME];
	msec until = LLONG_MAX;
	long waiting = 0;

	for (long i = 0; i < at_a_time; i++) {
		slots[i].fd = -1;
		if (questions[i].busy) {
			dns_want(&questions[i].dns, &slots[i], &until);
			waiting++;
		}
	}
	if (waiting == 0)
		return false;
	clock_turn();
	if (until == LLONG_MAX)
		die(70, "ask: it waits for ever");
	poll(slots, (nfds_t)at_a_time, until > now.tick ? (int)((until - now.tick + speed - 1) / speed) : 0);
	clock_turn();
	for (long i = 0; i < at_a_time; i++)
		if (questions[i].busy && (slots[i].revents != 0 || questions[i].dns.deadline <= now.tick) &&
		    dns_step(&questions[i].dns) == 1)
			over(&questions[i]);
	return true;
}

static void
ask_all(char **words, long count)
{
	bool more = true;

	do {
		for (long i = 0; i < at_a_time && more; i++)
			while (more && !questions[i].busy && (more = next(&questions[i], words, count)))
				begin(&questions[i]);
	} while (turn() || more);
}

/* What is behind -v. */
static void
tell_usage(void)
{
	struct rusage u;
	int open = 0;

	getrusage(RUSAGE_SELF, &u);
	for (int fd = 0; fd < 1024; fd++)
		open += fcntl(fd, F_GETFD) != -1;
	fprintf(stderr, "memory %ld\nopen %d\n", (long)u.ru_maxrss, open);
}

static struct listen *
server_add(struct listen *list, const char *text)
{
	struct listen *l = calloc(1, sizeof *l), **end = &list;

	if (l == NULL || addr_parse(&l->addr, text, true) == -1)
		die(64, "ask: -s %s", text);
	while (*end != NULL)
		end = &(*end)->next;
	*end = l;
	return list;
}

static void
usage(void)
{
	die(64, "usage: ask [-v] [-s ADDR:PORT] [-h FILE] [-n TIMES] [-j N] [-w SECONDS] [-x N] [-b MS] [-m NTH] "
	    "NAME TYPE ...");
}

int
main(int argc, char **argv)
{
	struct listen *servers = NULL, *next_server;
	const char *hosts = "/dev/null";
	bool tell = false;

	for (int c; (c = getopt(argc, argv, "s:h:n:j:w:x:b:m:v")) != -1; )
		switch (c) {
		case 's': servers = server_add(servers, optarg); break;
		case 'h': hosts = optarg; break;
		case 'n': times = atol(optarg); break;
		case 'j': at_a_time = atol(optarg); break;
		case 'w': step = atol(optarg) * 1000; break;
		case 'x': speed = atol(optarg); break;
		case 'b': blind = atol(optarg); break;
		case 'm': memory_fails = atol(optarg); break;
		case 'v': tell = true; break;
		default:  usage();
		}
	if (argc - optind < 2 || (argc - optind) % 2 != 0 || at_a_time < 1 || at_a_time > AT_A_TIME || speed < 1)
		usage();
	real_clock = clock_source;
	clock_source = fast_clock;
	memory = scarce_memory;
	random_open();
	clock_turn();
	dns_configure(servers, hosts);
	ask_all(argv + optind, (argc - optind) / 2);
	dns_configure(NULL, NULL);		/* gives the cache back */
	for (; servers != NULL; servers = next_server) {
		next_server = servers->next;
		free(servers);
	}
	if (tell)
		tell_usage();
	return 0;
}
