/*
 * lookup - asks directories (ldap.c) questions, for its tests.
 *
 *     lookup [OPTION ...] FILTER [ATTRIBUTE ...]
 *
 *     -f FILE        a configuration (smtpd.conf): its first server's block ldap-routing is used
 *     -b BASE        instead of the configuration's
 *     -l LIMIT       entries at most (as many as there are)
 *     -p             in pages
 *     -n TIMES       ask so many times; %d in the filter is the number of the time, %r one out of -r N
 *     -r N           (1)
 *     -j N           so many questions at a time (1)
 *     -e N           give every N-th question up once it has been asked
 *     -s MS          wait so long behind each question's end before the next one
 *     -t N           take an entry only every N-th turn
 *     -x N           the clock runs N times as fast
 *     -m NTH         memory is out at its NTH use, once
 *     -k             go on for so many seconds after the last answer: LDAP away, or back
 *     -q             only count: `done N failed N entries N'
 *     -v             what the server would log with -v; at the end the memory used, in KiB, on standard error
 *
 * For each entry it prints `dn: DN' and `ATTRIBUTE: VALUE' for each value, printable; for each question `done N', or
 * `later WORDS' and `failed WORDS', for what can and what cannot be expected to heal by itself.
 */
#include "smtpd.h"

#include <sys/resource.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT_A_TIME 1000

static struct question {
	struct ldap_search search;
	bool busy;
	char filter[2000];
	long number;
} questions[AT_A_TIME];

static long times = 1, at_a_time = 1, random_of = 1, abandon, pause_ms, take_every = 1, speed = 1, keep_on, memory_calls, memory_fails;
static long asked, turns, done, failed, entries;
static bool quiet;
static msec began, resume;
static struct ldap_question what = { .scope = SCOPE_SUBTREE };
static const char *filter_form;
static void (*real_clock)(struct clock *);

static void
fast_clock(struct clock *c)
{
	real_clock(c);
	if (began == 0)
		began = c->tick;
	c->tick = began + (c->tick - began) * speed;
}

static void *
scarce_memory(void *p, size_t n)
{
	return ++memory_calls == memory_fails ? NULL : realloc(p, n);
}

static void
print(const struct ldap_entry *e)
{
	char text[4000];

	entries++;
	if (quiet)
		return;
	printf("dn: %s\n", text_safe(text, sizeof text, e->dn, strlen(e->dn)));
	for (size_t i = 0; i < e->count; i++)
		printf("%s: %s\n", e->value[i].name, text_safe(text, sizeof text, e->value[i].octets, e->value[i].n));
}

/* Take what there is; true: the question is over. */
static bool
take(struct question *q)
{
	struct ldap_entry *e;
	int answer;

	while ((answer = ldap_next(&q->search, &e)) == 1) {
		print(e);
		ldap_entry_free(e);
		if (take_every > 1)
			return false;
	}
	if (answer == 0)
		return false;
	if (answer == 2 && !quiet)
		printf("done %ld\n", q->search.found);
	else if (!quiet)
		printf("%s %s\n", q->search.temporary ? "later" : "failed", q->search.words);
	done += answer == 2;
	failed += answer == -1;
	fflush(stdout);
	return true;
}

static void
begin(struct question *q, struct ldap *l)
{
	const char *mark = strpbrk(filter_form, "%");

	asked++;
	if (mark == NULL || (mark[1] != 'd' && mark[1] != 'r'))
		snprintf(q->filter, sizeof q->filter, "%s", filter_form);
	else
		snprintf(q->filter, sizeof q->filter, "%.*s%ld%s", (int)(mark - filter_form), filter_form,
		    mark[1] == 'd' ? asked : (long)(random_number() % (unsigned long)random_of), mark + 2);
	q->number = asked;
	q->busy = true;
	what.filter = q->filter;
	ldap_begin(&q->search, l, &what);
}

static void
step(struct question *q)
{
	bool give_up = abandon > 0 && q->number % abandon == 0 && q->search.state == SEARCH_ASKED;

	if (!give_up && (turns % take_every != 0 || !take(q)))
		return;
	if (give_up)
		failed++;
	ldap_end(&q->search);
	q->busy = false;
	resume = now.tick + pause_ms;
}

/* False: all has been asked and answered. */
static bool
turn(struct ldap *l)
{
	msec until = LLONG_MAX;
	struct pollfd slot;
	bool busy = false;

	turns++;
	for (long i = 0; i < at_a_time; i++) {
		struct question *q = &questions[i];

		if (!q->busy && asked < times && resume <= now.tick)
			begin(q, l);
		if (q->busy)
			step(q);
		busy |= q->busy;
		if (q->busy && ldap_ready(&q->search))
			until = now.tick;
	}
	if (!busy && asked == times && keep_on <= 0)
		return false;
	if (!busy && asked == times) {
		if (resume + keep_on <= now.tick)
			return false;
		until = resume + keep_on;
	} else if (!busy || asked < times)
		until = resume > now.tick ? resume : busy ? until : now.tick;
	ldap_want(l, &slot, &until);
	if (until == LLONG_MAX)
		die(70, "lookup: it waits for ever");
	poll(&slot, 1, until > now.tick ? (int)((until - now.tick + speed - 1) / speed) : 0);
	clock_turn();
	ldap_step(l);
	return true;
}

static void
usage(void)
{
	die(64, "usage: lookup [-pqv] [-f FILE] [-b BASE] [-l LIMIT] [-n TIMES] [-r N] [-j N] [-e N] [-s MS] [-t N] [-x N] [-m NTH] [-k SECONDS] "
	    "FILTER [ATTRIBUTE ...]");
}

static struct config *
configure(const char *file)
{
	struct config *c = config_load(file);

	if (c == NULL || config_secure(c) == -1)
		die(78, "lookup: %s is wrong", file);
	if (c->servers->ldap.directories == NULL)
		die(78, "lookup: %s has no directory", file);
	c->servers->ldap.bind_name = c->servers->ldap.user;
	dns_configure(c->resolvers, c->hosts);
	return c;
}

int
main(int argc, char **argv)
{
	const char *file = "smtpd.conf";
	struct config *c;
	struct ldap *l;
	struct rusage u;

	process_begin();
	signal(SIGPIPE, SIG_IGN);
	for (int o; (o = getopt(argc, argv, "f:b:l:n:r:j:e:s:t:x:m:k:pqv")) != -1; )
		switch (o) {
		case 'f': file = optarg; break;
		case 'b': what.base = optarg; break;
		case 'l': what.limit = atol(optarg); break;
		case 'n': times = atol(optarg); break;
		case 'r': random_of = atol(optarg); break;
		case 'j': at_a_time = atol(optarg); break;
		case 'e': abandon = atol(optarg); break;
		case 's': pause_ms = atol(optarg); break;
		case 't': take_every = atol(optarg); break;
		case 'x': speed = atol(optarg); break;
		case 'm': memory_fails = atol(optarg); break;
		case 'k': keep_on = atol(optarg) * 1000; break;
		case 'p': what.paged = true; break;
		case 'q': quiet = true; break;
		case 'v': log_verbose = true; break;
		default:  usage();
		}
	if (optind >= argc || at_a_time < 1 || at_a_time > AT_A_TIME || speed < 1 || take_every < 1 || random_of < 1)
		usage();
	real_clock = clock_source;
	clock_source = fast_clock;
	random_open();
	clock_turn();
	c = configure(file);
	what.scope = c->servers->ldap.scope;
	filter_form = argv[optind];
	what.attributes = (const char *const *)argv + optind + 1;
	memory = scarce_memory;
	if ((l = ldap_open(c->servers)) == NULL)
		die(71, "lookup: memory is out");
	while (turn(l))
		;
	ldap_close(l);
	if (quiet)
		printf("done %ld failed %ld entries %ld\n", done, failed, entries);
	config_release(c);
	dns_configure(NULL, NULL);		/* gives the cache back */
	getrusage(RUSAGE_SELF, &u);
	if (log_verbose)
		fprintf(stderr, "memory %ld\n", (long)u.ru_maxrss);
	return 0;
}
