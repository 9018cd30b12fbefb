/*
 * unit_spool.c - the promise: what was reported KEPT is in Queue or Drop
 * whatever happens, what was reported LOST is nowhere, and nothing is there
 * twice.  Who was refused elsewhere, or waited too long, is reported on once.
 *
 * A scene (some messages, their delivery, a file in Pickup) is played again
 * and again; each time another act on the disk fails, or is the moment at
 * which the process dies.  Then the mailroot is opened anew and looked at.
 */
#include "test.h"

#include <sys/wait.h>
#include <errno.h>

static struct config *config;
static const struct server *server;

/* ---- time ------------------------------------------------------------------------ */

static void (*real_clock)(struct clock *);
static struct clock real;
static msec ahead;			/* of the real clock, */
static bool stopped;			/* which may stand still */

static void
test_clock(struct clock *c)
{
	if (!stopped)
		real_clock(&real);
	*c = real;
	c->tick += ahead;
	c->wall += ahead;
}

static void
wait_ms(msec time)
{
	ahead += time;
	clock_turn();
}

/* ---- the disk in our hands ---------------------------------------------------------- */

static const char *fault_act = "";
static long fault_nth;			/* this one fails, counted down; 0: none */
static bool fault_kills;
static char acts[500];			/* all that were done, by their first letters */

static int
fault(const char *act)
{
	size_t n = strlen(acts);

	if (n + 1 < sizeof acts)
		memcpy(acts + n, act, 1);
	if (strcmp(act, fault_act) != 0 || fault_nth == 0 || --fault_nth > 0)
		return 0;
	if (fault_kills)
		_exit(9);
	return EIO;
}

/* ---- the mailroot seen from outside ----------------------------------------------------- */

static const char *
in_folder(const char *folder, const char *id, const char *end)
{
	static char path[400];

	snprintf(path, sizeof path, "m/%s/%s%s", folder, id, end);
	return path;
}

static bool
stands(const char *folder, const char *id, const char *end)
{
	return access(in_folder(folder, id, end), F_OK) == 0;
}

static void
put(const char *folder, const char *name, const char *text)
{
	test_write(in_folder(folder, name, ""), text, strlen(text));
}

/* How many names are in a folder whose text has these two in it. */
static int
count_both(const char *folder, const char *text, const char *other)
{
	char path[100];
	struct dirent *d;
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof path, "m/%s", folder);
	if ((dir = opendir(path)) == NULL)
		return 0;
	while ((d = readdir(dir)) != NULL)
		if (d->d_name[0] != '.') {
			const char *file = test_read(in_folder(folder, d->d_name, ""));

			n += strstr(file, text) != NULL && strstr(file, other) != NULL;
		}
	closedir(dir);
	return n;
}

static int
count(const char *folder, const char *text)
{
	return count_both(folder, text, "");
}

/* ---- one life of a spool ------------------------------------------------------------------- */

static struct spool *sp;
static struct vserver v;
static struct pickup *pk;
static struct message *sent[16];
static int sent_count;
static const char *sender = "a@here.example";
static enum outcome verdict;		/* on those elsewhere; RCPT_OPEN: nobody asks */

static bool
life_begins(void)
{
	char why[1200] = "";

	clock_turn();
	sp = spool_open(server, why, sizeof why);
	if (!CHECK(sp != NULL && *why == '\0'))
		return false;
	v = (struct vserver){ .conf = server, .spool = sp };
	outcome_open(&v);
	return CHECK((pk = pickup_open(&v)) != NULL);
}

static void
life_ends(void)
{
	pickup_close(pk);
	spool_close(sp);
	spool_close(NULL);
	pickup_close(NULL);
}

/* What its sender was told, in a file that outlives us: kept or lost, whether
 * it has recipients here and elsewhere, its id. */
static void
told(const char *what, const struct message *m)
{
	bool here = envelope_has(&m->env, "here@here.example"), far = envelope_has(&m->env, "far@far.example");
	char line[100], id[ID_SIZE];
	int fd = open("told", O_WRONLY | O_CREAT | O_APPEND, 0600);
	int n = snprintf(line, sizeof line, "%s %d %d %s\n", what, here, far, id_text(&m->id, id));

	CHECK(write(fd, line, (size_t)n) == n);
	close(fd);
}

static void
send(bool here, bool far)
{
	static const char body[] = "Subject: s\r\n\r\nbody\r\nits end\r\n";
	char head[80], text[ID_SIZE];
	struct message *m;
	struct id id;

	id_next(&id);
	if (!CHECK((m = spool_new(&id)) != NULL))
		return;
	CHECK(envelope_sender(&m->env, sender, "BODY=8BITMIME") == 0);
	if (here)
		CHECK(envelope_add(&m->env, "here@here.example", "NOTIFY=NEVER") == 0);
	if (far)
		CHECK(envelope_add(&m->env, "far@far.example", NULL) == 0);
	if (here)
		CHECK(envelope_add(&m->env, "there@also.example", NULL) == 0);
	snprintf(head, sizeof head, "Received: by us id %s\r\n", id_text(&id, text));
	if (spool_create(sp, m, head) == 0 && spool_write(m, body, sizeof body - 1) == 0) {
		spool_commit(sp, m);
		CHECK(m->state == MESSAGE_PENDING);
		sent[sent_count++] = m;
	} else {
		CHECK(m->error == EIO);
		told("lost", m);
		spool_abandon(sp, m);
	}
}

/* In the place of relay.c: what is ready was tried, and this is what it came to. */
static void
attempt(struct message *m)
{
	struct attempt a = { .transcript = "> the conversation\n" };

	for (size_t i = 0; i < m->env.count; i++) {
		struct recipient *r = &m->env.rcpt[i];

		if ((r->chosen = r->outcome == RCPT_OPEN && !config_local(server, r->address)))
			recipient_outcome(r, verdict, verdict == RCPT_ACCEPTED ? "250 ok" : "x50 5.1.1 nobody",
			    "mx.far.example[192.0.2.1]:25");
	}
	outcome_conclude(&v, m, &a);
	spool_release(m);
}

static struct id away[200];		/* who have recipients elsewhere */
static int away_count;

static void
deliver(void)
{
	struct message *m;

	while ((m = spool_ready(sp)) != NULL) {
		if (drop_deliver(&v, m) && CHECK(away_count < 200))
			away[away_count++] = m->id;
		spool_release(m);
	}
}

static void
relay(void)
{
	struct message *m;

	deliver();
	for (int i = 0; i < away_count; i++)
		if (verdict != RCPT_OPEN && (m = spool_take(sp, &away[i])) != NULL)
			attempt(m);
	away_count = 0;
}

/* The end of a turn of the loop. */
static void
turn(void)
{
	pickup_step(pk);
	spool_step(sp);
	relay();
	spool_sync(sp);
	for (int i = 0; i < sent_count; i++) {
		CHECK(sent[i]->state == MESSAGE_KEPT || (sent[i]->state == MESSAGE_LOST && sent[i]->error == EIO));
		told(sent[i]->state == MESSAGE_KEPT ? "kept" : "lost", sent[i]);
	}
	sent_count = 0;
	spool_settle(sp);
	relay();
}

/* Until everything that can be delivered is. */
static void
drain(void)
{
	for (int i = 0; i < 5; i++) {
		turn();
		turn();			/* reports of the first */
		wait_ms(server->local_retry + 1000);
	}
	turn();
	turn();
}

/* ---- scenes ------------------------------------------------------------------------------------ */

static const char pickup_file[] = "From: p@here.example\nTo: here@here.example\n\nits end\n";

static void
scene_single(void)
{
	send(true, false);
	turn();
	send(false, true);
	turn();
	drain();
}

static void
scene_mixed(void)
{
	send(true, true);
	turn();
	drain();
}

static void
scene_batch(void)
{
	send(true, false);
	send(true, true);
	send(false, true);
	turn();
	drain();
}

static void
scene_pickup(void)
{
	put("Pickup", "from an application", pickup_file);
	send(true, false);
	turn();
	wait_ms(3000);
	turn();			/* now it is seen to be unchanged, and taken */
	send(true, false);
	turn();
	drain();
}

static const struct scene {
	const char *name;
	void (*play)(void);
	int files;			/* in Pickup */
	enum outcome verdict;
} scenes[] = {
	{ "single", scene_single, 0, RCPT_OPEN }, { "mixed", scene_mixed, 0, RCPT_OPEN },
	{ "batch", scene_batch, 0, RCPT_OPEN }, { "pickup", scene_pickup, 1, RCPT_OPEN },
	{ "relayed", scene_single, 0, RCPT_ACCEPTED }, { "mixed, relayed", scene_mixed, 0, RCPT_ACCEPTED },
	{ "returned", scene_single, 0, RCPT_REJECTED }, { "mixed, returned", scene_mixed, 0, RCPT_REJECTED },
	{ "batch, returned", scene_batch, 0, RCPT_REJECTED }, { "expired", scene_single, 0, RCPT_DEFERRED },
	{ "mixed, expired", scene_mixed, 0, RCPT_DEFERRED },
};

/* ---- what must be true afterwards ----------------------------------------------------------------- */

/* A copy in Drop is whole, and says nothing of recipients elsewhere. */
static void
check_copy(const char *text)
{
	CHECK(strncmp(text, "x-sender: ", 10) == 0 && strstr(text, "\r\nits end\r\n") != NULL);
	CHECK(strstr(text, "x-receiver: here@here.example\r\n") != NULL);
	CHECK(strstr(text, "far@far.example") == NULL && strstr(text, "x-accepted") == NULL);
}

/* It was reported on, once: but a disk that fails may have refused to note that,
 * and then there is another one. */
static void
check_reports(const char *id, const char *action, bool due, bool kills)
{
	char trace[80];
	int n;

	snprintf(trace, sizeof trace, "Received: by us id %s\r\n", id);
	n = count_both("Drop", action, trace);
	CHECK(n == due || (n == 2 && due && !kills));
}

static void
check_message(const char *what, int here, int far, const char *id, bool kills)
{
	bool kept = strcmp(what, "kept") == 0;

	CHECK(stands("Drop", id, ".eml") == (kept && here));
	CHECK(stands("Queue", id, ".eml") == (kept && far && verdict == RCPT_OPEN));
	CHECK(stands("Queue", id, ".eml") || !stands("Queue", id, ".txt"));
	if (kept && here)
		check_copy(test_read(in_folder("Drop", id, ".eml")));
	if (kept && far && verdict == RCPT_OPEN) {
		const char *text = test_read(in_folder("Queue", id, ".eml"));

		CHECK(strstr(text, "x-receiver: far@far.example\r\n") != NULL && strstr(text, "its end\r\n") != NULL);
		CHECK((strstr(text, "x-accepted: here@here.example\r\nx-receiver-args: NOTIFY=NEVER\r\n") != NULL) == here);
		CHECK((strstr(text, "x-accepted: there@also.example\r\n") != NULL) == here);
	}
	check_reports(id, "\r\nAction: failed\r\n", kept && far && (verdict == RCPT_REJECTED || verdict == RCPT_DEFERRED), kills);
	check_reports(id, "\r\nAction: delayed\r\n", kept && far && verdict == RCPT_DEFERRED, kills);
}

/* Open the mailroot anew, with a disk that works. */
static void
aftermath(const struct scene *scene, bool kills)
{
	char what[10], id[ID_SIZE];
	int here, far;
	FILE *f;

	fault_nth = 0;
	if (!life_begins())
		return;
	drain();
	CHECK(count("SortTemp", "") == 0 && count("Badmail", "") == 0);
	CHECK(count("Pickup", "") == 0);
	CHECK(count("Drop", "p@here.example") == scene->files);
	/* A report of a delay has the header only. */
	CHECK(count("Drop", "") - count("Drop", "\r\nAction: delayed\r\n") <= count("Drop", "its end\r\n"));
	if ((f = fopen("told", "r")) != NULL) {
		while (fscanf(f, "%9s %d %d %35s", what, &here, &far, id) == 4)
			check_message(what, here, far, id, kills);
		fclose(f);
	}
	if (verdict != RCPT_OPEN)
		CHECK(count("Queue", "") == 0);
	life_ends();
}

/* Play it with one fault; false when the scene has no act of that number. */
static bool
play(const struct scene *scene, const char *act, long nth, bool kills)
{
	char text[100];
	int status = 0;
	bool played;
	pid_t child;

	snprintf(text, sizeof text, "%s: %s %ld %s", scene->name, act, nth, kills ? "is the end" : "fails");
	test_case = text;
	test_empty("m");
	remove("told");
	fault_act = act;
	fault_nth = nth;
	fault_kills = kills;
	verdict = scene->verdict;
	child = kills ? test_fork() : 0;
	if (child == 0) {
		if (life_begins())
			scene->play();
		if (!kills && fault_nth == 0 && verdict != RCPT_OPEN) {
			drain();
			CHECK(count("Queue", "") == 0);		/* without a new start */
		}
		if (kills)
			_exit(test_end());
		life_ends();
	} else
		CHECK(waitpid(child, &status, 0) == child);
	if (kills)
		wait_ms(17000);		/* our ids differ from the child's then */
	played = kills ? WEXITSTATUS(status) == 9 : fault_nth == 0;
	CHECK(!kills || (WIFEXITED(status) && WEXITSTATUS(status) != 1));
	if (scene->files > 0 && count("Pickup", "") == 0 && kills && strcmp(test_read("told"), "") == 0)
		put("Pickup", "from an application", pickup_file);	/* died before it was there */
	aftermath(scene, kills);
	test_case = "";
	verdict = RCPT_OPEN;
	return played;
}

static void
all_scenes(void)
{
	static const char *const acts[] = { "open", "write", "sync", "rename" };

	for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
		for (size_t a = 0; a < sizeof acts / sizeof *acts; a++)
			for (int kills = 0; kills < 2; kills++)
				for (long nth = 1; play(&scenes[i], acts[a], nth, kills); nth++)
					if (!CHECK(nth < 100))
						break;
}

/* The same, and each call of memory fails in turn. */
static void
without_memory(void)
{
	struct message *m;
	struct id id;

	memory = test_memory;
	for (long nth = 1; nth < 1000; nth++) {
		test_case = "without memory";
		test_empty("m");
		remove("told");
		if (!life_begins())
			break;
		test_memory_nth = nth;
		id_next(&id);
		if ((m = spool_new(&id)) != NULL && envelope_sender(&m->env, "a@b", NULL) == 0 &&
		    envelope_add(&m->env, "here@here.example", NULL) == 0 && envelope_add(&m->env, "far@far.example", NULL) == 0 &&
		    spool_create(sp, m, "Received: by us\r\n") == 0 && spool_write(m, "\r\nits end\r\n", 11) == 0) {
			spool_commit(sp, m);
			spool_sync(sp);
			told(m->state == MESSAGE_KEPT ? "kept" : "lost", m);
			spool_settle(sp);
		} else
			spool_abandon(sp, m);
		put("Pickup", "file", pickup_file);
		turn();
		wait_ms(3000);
		drain();
		life_ends();
		if (test_memory_nth > 0)
			nth = 1000;
		test_memory_nth = 0;
		if (!life_begins())
			break;
		drain();
		CHECK(count("Drop", "p@here.example") == 1 && count("SortTemp", "") == 0 && count("Badmail", "") == 0);
		CHECK(strncmp(test_read("told"), "kept", 4) != 0 || (count("Drop", "") == 2 && count("Queue", "its end") == 1));
		life_ends();
	}
	memory = realloc;
	test_case = "";
}

/* The order in which it is done is the promise, and nothing may be left out:
 * what a power cut would do to a sync that is missing no test can play. */
static void
order(void)
{
	test_empty("m");
	CHECK(life_begins());
	memset(acts, 0, sizeof acts);
	send(true, false);
	CHECK_TEXT(acts, "oww");		/* made, envelope and content written */
	memset(acts, 0, sizeof acts);
	spool_sync(sp);
	CHECK(sent[0]->state == MESSAGE_KEPT);
	CHECK_TEXT(acts, "srs");		/* synced, renamed, folder synced */
	memset(acts, 0, sizeof acts);
	sent_count = 0;
	spool_settle(sp);
	deliver();
	CHECK_TEXT(acts, "r");			/* into Drop */

	memset(acts, 0, sizeof acts);
	send(true, false);
	send(false, true);
	send(true, true);
	CHECK_TEXT(acts, "owwowwoww");
	memset(acts, 0, sizeof acts);
	spool_sync(sp);
	CHECK(sent[2]->state == MESSAGE_KEPT);
	/* One sync for all, or one each: then the renames, then the folder. */
	CHECK(strcmp(acts, "srrrs") == 0 || strcmp(acts, "sssrrrs") == 0 || strcmp(acts, "ssssrrrs") == 0);
	memset(acts, 0, sizeof acts);
	sent_count = 0;
	spool_settle(sp);
	deliver();
	/* One is renamed.  For the other: open the queued one, make the copy and
	 * write its envelope and content, sync and rename it, sync the folder;
	 * two marks, and sync them. */
	CHECK_TEXT(acts, "roowwsrswws");

	/* What a next hop has taken must not come back: its name is gone, and the
	 * folder is synced, though nothing new is in the batch. */
	verdict = RCPT_ACCEPTED;
	relay();
	verdict = RCPT_OPEN;
	CHECK(count("Queue", "") == 0 && spool_pending(sp));
	memset(acts, 0, sizeof acts);
	spool_sync(sp);
	CHECK_TEXT(acts, "s");
	CHECK(!spool_pending(sp));
	life_ends();
}

/* ---- what a start finds -------------------------------------------------------------------------------- */

#define OLD "20010909T014640-00007-0badcafe"		/* an id, and more of them */
#define OLD_8 "20010909T014640-00008-0badcafe"
#define OLD_9 "20010909T014640-00009-0badcafe"

static void
leftovers(void)
{
	static const char *const strangers[] = { "README", "x.eml", OLD, OLD ".eml.bak", "20010909T014640-00007-0badcafE.eml",
	    "20011309T014640-00007-0badcafe.eml", "20010909T014640-00007-0badcafe.claim.eml", "\033[31m.eml" };
	static const char *const folders[] = { "Queue", "SortTemp", "Drop", "Badmail" };

	test_empty("m");
	CHECK(life_begins());
	life_ends();
	for (size_t f = 0; f < sizeof folders / sizeof *folders; f++)
		for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++)
			put(folders[f], strangers[i], "not ours");
	CHECK(mkdir("m/Queue/" OLD ".eml", 0700) == 0 && symlink("../../told", "m/Queue/" OLD_8 ".eml") == 0);
	put("SortTemp", OLD ".eml", "half");
	put("SortTemp", OLD ".txt", "half");
	test_errors_to("log");
	CHECK(life_begins());
	drain();
	for (size_t f = 0; f < sizeof folders / sizeof *folders; f++)
		CHECK(count(folders[f], "not ours") == (int)(sizeof strangers / sizeof *strangers));
	CHECK(stands("Queue", OLD, ".eml") && !stands("SortTemp", OLD, ".eml") && !stands("SortTemp", OLD, ".txt"));
	CHECK(strstr(test_read("log"), "m/Queue: README is not ours") != NULL);
	CHECK(strstr(test_read("log"), "\\x1b[31m.eml is not ours") != NULL && strchr(test_read("log"), '\033') == NULL);
	life_ends();
}

/* Each has its time, the mtime of its file, and none is looked at before. */
static void
schedule(void)
{
	static const char queued[] = "x-sender: a@b\r\nx-receiver: here@here.example\r\nReturn-Path: <a@b>\r\n\r\nits end\r\n";
	struct timespec t[2] = { { 0, 0 }, { 0, 0 } };
	char name[60], due[60];
	msec until;

	test_empty("m");
	CHECK(life_begins());
	life_ends();
	stopped = true;
	t[1].tv_sec = (time_t)(now.wall / 1000);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "20010909T014640-%05d-0badcafe.eml", i);
		put("Queue", name, queued);
		t[0].tv_sec = t[1].tv_sec + 100 + i * 17 % 50 * 10;	/* in no order */
		CHECK(utimensat(AT_FDCWD, in_folder("Queue", name, ""), (struct timespec[]){ t[0], t[0] }, 0) == 0);
	}
	CHECK(life_begins());
	for (int k = 0; k < 50; k++) {
		wait_ms(((msec)t[1].tv_sec + 100 + k * 10) * 1000 - 500 - now.wall);
		turn();
		CHECK(count("Drop", "") == k);
		until = now.tick + 100000;
		spool_want(sp, &until);
		CHECK(until > now.tick + 400 && until < now.tick + 600);
		wait_ms(600);
		turn();
		for (int i = 0; i < 50; i++)
			if (i * 17 % 50 == k) {
				snprintf(due, sizeof due, "20010909T014640-%05d-0badcafe", i);
				CHECK(stands("Drop", due, ".eml"));
			}
	}
	until = now.tick + 100000;
	spool_want(sp, &until);
	CHECK(until == now.tick + 100000);
	stopped = false;
	life_ends();
}

/* Torn, empty, not ours: to Badmail, with a sentence. */
static void
torn(void)
{
	static const char *const texts[] = { "", "x-sender: a@b\r\nx-receiver: here@here.exa", "\0\0\0",
	    "x-sender: a@b\r\nReturn-Path: <a@b>\r\n\r\n", "x-receiver: here@here.example\r\nx-receiver: @@\r\n" };
	static const char *const ids[] = { OLD, OLD_8, OLD_9,
	    "20010909T014641-00000-0badcafe", "20010909T014642-00000-0badcafe" };
	char name[60];

	test_empty("m");
	CHECK(life_begins());
	life_ends();
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof name, "%s.eml", ids[i]);
		put("Queue", name, texts[i]);
	}
	CHECK(life_begins());
	drain();
	CHECK(count("Queue", "") == 0 && count("Drop", "") == 0);
	for (int i = 0; i < 5; i++) {
		CHECK_TEXT(test_read(in_folder("Badmail", ids[i], ".eml")), texts[i]);
		CHECK(strstr(test_read(in_folder("Badmail", ids[i], ".txt")), i < 4 ? "ends too early" : "an address") != NULL);
	}
	life_ends();
}

/* A claim is read again under its id; or, when Queue has it, its time is over. */
static void
claims(void)
{
	test_empty("m");
	CHECK(life_begins());
	life_ends();
	put("SortTemp", OLD ".claim", pickup_file);
	put("SortTemp", OLD_8 ".claim", "not needed any more");
	put("SortTemp", OLD_9 ".claim", "To: nobody\n\nbroken\n");
	put("Queue", OLD_8 ".eml", "x-sender: a@b\r\nx-receiver: here@here.example\r\n"
	    "Return-Path: <a@b>\r\nReceived: by us\r\n\r\nits end\r\n");
	CHECK(life_begins());
	turn();
	CHECK(count("SortTemp", "") == 0 && count("Queue", "") == 0);
	CHECK(stands("Drop", OLD, ".eml") && stands("Drop", OLD_8, ".eml"));
	CHECK(count("Drop", "") == 2 && count("Drop", "not needed") == 0);
	CHECK(stands("Badmail", OLD_9, ".eml"));
	CHECK(strstr(test_read(in_folder("Badmail", OLD_9, ".txt")), "From") != NULL);
	life_ends();
}

/* The copy replaces one that was there before its mark was made. */
static void
repeated_copy(void)
{
	static const char queued[] = "x-sender: a@b\r\nx-receiver: here@here.example\r\nx-receiver: far@far.example\r\n"
	    "Return-Path: <a@b>\r\nReceived: by us\r\n\r\nits end\r\n";

	test_empty("m");
	CHECK(life_begins());
	life_ends();
	put("Queue", OLD ".eml", queued);
	put("Drop", OLD ".eml", "of the life before");
	CHECK(life_begins());
	turn();
	CHECK(count("Drop", "") == 1 && count("Queue", "") == 1);
	check_copy(test_read(in_folder("Drop", OLD, ".eml")));
	CHECK(strstr(test_read(in_folder("Queue", OLD, ".eml")), "x-accepted: here@") != NULL);
	CHECK(strlen(test_read(in_folder("Queue", OLD, ".eml"))) == sizeof queued - 1);
	life_ends();
}

/* ---- what else it says ------------------------------------------------------------------------------------- */

static void
one_at_a_time(void)
{
	char why[1200];
	int status = 0;
	pid_t child;

	test_empty("m");
	CHECK(life_begins());
	if ((child = test_fork()) == 0)
		_exit(spool_open(server, why, sizeof why) != NULL ? 1 : strstr(why, "another smtpd") == NULL ? 2 : 3);
	CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 3);
	life_ends();
}

/* Nor can two servers of one process share a folder, whatever it is called. */
static void
one_for_each(void)
{
	static const char *const roots[] = { "m", "./m", "m/../m", "n/link" };
	struct server other = *server;
	char why[1200];

	test_empty("m");
	mkdir("n", 0700);
	CHECK(symlink("../m", "n/link") == 0);
	for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
		char root[20];

		snprintf(root, sizeof root, "%s", roots[i]);
		test_case = root;
		other.mailroot = root;
		CHECK(life_begins());
		why[0] = '\0';
		CHECK(spool_open(&other, why, sizeof why) == NULL && *why != '\0');
		life_ends();
	}
	test_case = "";
}

static void
cannot_open(void)
{
	static const char *const folders[] = { "Pickup", "SortTemp", "Queue", "Drop", "Badmail" };
	char why[1200];

	mkdir("m", 0700);
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		test_case = folders[i];
		test_empty("m");
		put("", folders[i], "a file");
		why[0] = '\0';
		CHECK(spool_open(server, why, sizeof why) == NULL && strstr(why, folders[i]) != NULL);
	}
	test_empty("m");
	rmdir("m");
	test_write("m", "a file", 6);
	CHECK(spool_open(server, why, sizeof why) == NULL && strstr(why, "m") != NULL);
	remove("m");
	test_case = "";
	CHECK(life_begins());			/* and makes all that is missing */
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		CHECK(stands("", folders[i], ""));
	life_ends();
}

static void
room(void)
{
	test_empty("m");
	CHECK(life_begins());
	CHECK(spool_room(sp, 0) == 0 && spool_room(sp, LLONG_MAX) == ENOSPC);
	fault_act = "space";
	fault_nth = 1;
	fault_kills = false;
	CHECK(spool_room(sp, 0) == EIO && spool_room(sp, 0) == 0);
	CHECK(drop_quota(&v, "here@here.example"));
	life_ends();
}

static msec fixed;

static void
fixed_clock(struct clock *c)
{
	*c = (struct clock){ fixed, fixed, 0 };
}

/* Later ids sort behind earlier ones and none comes twice, wherever the clock
 * goes; and each reads back. */
static void
ids(void)
{
	char text[ID_SIZE], before[ID_SIZE] = "";
	struct id id, back;

	clock_source = fixed_clock;
	for (long i = 0; i < 250000; i++) {
		fixed = (4000000000 + (i < 100 ? i : i < 200 ? 200 - i : i < 210000 ? 0 : i / 1000)) * 1000;
		clock_turn();
		id_next(&id);
		id_text(&id, text);
		if (!CHECK(strcmp(text, before) > 0))
			break;
		CHECK(id_parse(&back, text, strlen(text)) == 0 && back.second == id.second &&
		    back.serial == id.serial && back.origin == id.origin);
		memcpy(before, text, sizeof before);
	}
	CHECK(strspn(text, "0123456789abcdefT-") == strlen(text));
	CHECK(id_name(&id, OLD ".eml", ".eml") == 0 && id.second == 1000000000 && id.serial == 7 && id.origin == 0xbadcafe);
	CHECK(id_name(&id, OLD ".eml", ".claim") == -1 && id_name(&id, ".eml", ".eml") == -1 && id_name(&id, "", ".eml") == -1);
	CHECK(id_parse(&id, OLD "0", sizeof OLD) == -1 && id_parse(&id, OLD, sizeof OLD - 2) == -1);
	CHECK(id_parse(&id, " 0010909T014640-00007-0badcafe", 30) == -1);
	CHECK(id_parse(&id, "+0010909T014640-00007-0badcafe", 30) == -1);
	clock_source = test_clock;
}

int
main(void)
{
	static const char text[] = "server s { general { mailroot m; listen 127.0.0.1:0; hostname mail.here.example }\n"
	    "messages { badmail-limit unlimited unlimited }\n"		/* the clock is far ahead of the files */
	    "delivery { retry 1h; notify 90m; expire 4h }\n"
	    "domain here.example default\ndomain also.example alias\ndomain far.example remote\n}\n";

	test_enter();
	test_write("conf", text, sizeof text - 1);
	if ((config = config_load("conf")) == NULL)
		return 1;
	server = config->servers;
	test_errors_to("log");
	real_clock = clock_source;
	clock_source = test_clock;
	disk_fault = fault;
	random_open();

	cannot_open();
	order();
	all_scenes();
	without_memory();
	leftovers();
	schedule();
	torn();
	claims();
	repeated_copy();
	one_at_a_time();
	one_for_each();
	room();
	ids();
	config_release(config);
	return test_end();
}
