/*
 * count.c - what has happened so far, as numbers.
 *
 * Each virtual server counts what it does (enum count); what it has at this
 * moment is looked up when it is asked for.  One table gives each its name in
 * the model's performance object, which is its help, and its name for
 * Prometheus, whose text format is all that is written.  The model's rates and
 * averages are left to who reads: they are quotients of these.
 */
#include "smtpd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define METRICS_EVERY 60000	/* ms, between two writings of the file */

static const struct {
	const char *name, *label, *model;
} counters[COUNTS] = {
	[BYTES_RECEIVED]         = { "bytes_received_total", "", "Bytes Received Total" },
	[BYTES_SENT]             = { "bytes_sent_total", "", "Bytes Sent Total" },
	[MESSAGE_BYTES_RECEIVED] = { "message_bytes_received_total", "", "Message Bytes Received Total" },
	[MESSAGE_BYTES_SENT]     = { "message_bytes_sent_total", "", "Message Bytes Sent Total" },
	[MESSAGES_RECEIVED]      = { "messages_received_total", "", "Messages Received Total" },
	[MESSAGES_SENT]          = { "messages_sent_total", "", "Messages Sent Total" },
	[MESSAGES_DELIVERED]     = { "messages_delivered_total", "", "Messages Delivered Total" },
	[RECIPIENTS_RECEIVED]    = { "recipients_received_total", "", "Avg Recipients/msg Received, the sum" },
	[RECIPIENTS_SENT]        = { "recipients_sent_total", "", "Avg Recipients/msg Sent, the sum" },
	[RECIPIENTS_LOCAL]       = { "recipients_local_total", "", "% Recipients Local, the sum" },
	[REFUSED_SIZE]           = { "messages_refused_total", "reason=\"size\"", "Messages Refused for Size, Address Objects, Mail Objects" },
	[REFUSED_ADDRESSES]      = { "messages_refused_total", "reason=\"address objects\"", "" },
	[REFUSED_SPACE]          = { "messages_refused_total", "reason=\"mail objects\"", "" },
	[SEND_RETRIES]           = { "message_send_retries_total", "", "Message Send Retries" },
	[DELIVERY_RETRIES]       = { "message_delivery_retries_total", "", "Message Delivery Retries" },
	[NDRS]                   = { "ndrs_generated_total", "", "NDRs Generated" },
	[DSN_FAILURES]           = { "dsn_failures_total", "", "Total DSN Failures" },
	[CONNECTION_ERRORS]      = { "connection_errors_total", "", "Total Connection Errors" },
	[INBOUND]                = { "inbound_connections_total", "", "Inbound Connections Total" },
	[OUTBOUND]               = { "outbound_connections_total", "", "Outbound Connections Total" },
	[OUTBOUND_REFUSED]       = { "outbound_connections_refused_total", "", "Outbound Connections Refused" },
	[DIRECTORY_DROPS]        = { "directory_drops_total", "", "Directory Drops Total" },
	[PICKUP_RETRIEVED]       = { "pickup_messages_retrieved_total", "", "Pickup Directory Messages Retrieved Total" },
	[LOGINS]                 = { "logins_total", "result=\"accepted\"", "not in the model: AUTH" },
	[LOGINS_REFUSED]         = { "logins_total", "result=\"refused\"", "" },
	[BAD_PICKUP]             = { "badmailed_messages_total", "reason=\"bad pickup file\"", "Badmailed Messages, by reason" },
	[BAD_GENERAL]            = { "badmailed_messages_total", "reason=\"general failure\"", "" },
	[BAD_NDR]                = { "badmailed_messages_total", "reason=\"ndr of dsn\"", "" },
	[BAD_NO_RECIPIENTS]      = { "badmailed_messages_total", "reason=\"no recipients\"", "" },
	[ROUTING_LOOKUPS]        = { "routing_table_lookups_total", "", "Routing Table Lookups Total" },
	[DIRECTORY_ASKED]        = { "directory_lookups_total", "by=\"question\"", "not in the model: LDAP routing" },
	[DIRECTORY_CACHED]       = { "directory_lookups_total", "by=\"cache\"", "" },
	[DIRECTORY_FAILED]       = { "directory_failures_total", "", "not in the model: LDAP routing" },
	[DIRECTORY_PASSED]       = { "directory_messages_passed_total", "", "not in the model: messages for those the directory names instead" },
	[ETRN_MESSAGES]          = { "etrn_messages_total", "", "ETRN Messages Total" },
};

enum gauge { INBOUND_NOW, OUTBOUND_NOW, REMOTE_QUEUE, REMOTE_RETRY, UNDELIVERABLE, RUNS, QUEUE_FILES, QUEUE_BYTES,
    QUEUE_OLDEST, DROP_FILES, DROP_BYTES, BADMAIL_FILES, BADMAIL_BYTES, GAUGES };

static const struct {
	const char *name, *label, *model;
} gauges[GAUGES] = {
	[INBOUND_NOW]   = { "inbound_connections", "", "Inbound Connections Current" },
	[OUTBOUND_NOW]  = { "outbound_connections", "", "Outbound Connections Current" },
	[REMOTE_QUEUE]  = { "remote_queue_messages", "", "Remote Queue Length" },
	[REMOTE_RETRY]  = { "remote_retry_queue_messages", "", "Remote Retry Queue Length" },
	[UNDELIVERABLE] = { "waiting_messages", "", "Messages Currently Undeliverable: those that wait for a time of their own" },
	[RUNS]          = { "up", "", "1: it runs; 0: it is stopped or paused" },
	[QUEUE_FILES]   = { "folder_messages", "folder=\"Queue\"", "Messages in the folders, at the last look" },
	[DROP_FILES]    = { "folder_messages", "folder=\"Drop\"", "" },
	[BADMAIL_FILES] = { "folder_messages", "folder=\"Badmail\"", "" },
	[QUEUE_BYTES]   = { "folder_bytes", "folder=\"Queue\"", "Their size" },
	[DROP_BYTES]    = { "folder_bytes", "folder=\"Drop\"", "" },
	[BADMAIL_BYTES] = { "folder_bytes", "folder=\"Badmail\"", "" },
	[QUEUE_OLDEST]  = { "queue_oldest_seconds", "", "The age of the oldest message in Queue" },
};

static void
dests_counted(const struct vserver *v, long long now_of[GAUGES])
{
	for (const struct destination *d = NULL; (d = dests_after(d)) != NULL; )
		if (d->owner == v)
			now_of[d->words != NULL ? REMOTE_RETRY : REMOTE_QUEUE] += (long long)d->count;
}

static void
gauges_read(const struct vserver *v, long long now_of[GAUGES])
{
	const struct tally *queue = &v->tally[QUEUE];

	memset(now_of, 0, GAUGES * sizeof *now_of);
	now_of[INBOUND_NOW] = v->sessions;
	now_of[OUTBOUND_NOW] = v->relays;
	now_of[UNDELIVERABLE] = v->spool != NULL ? (long long)spool_waiting(v->spool) : 0;
	now_of[RUNS] = v->state == RUNNING;
	now_of[QUEUE_FILES] = queue->count;
	now_of[QUEUE_BYTES] = queue->octets;
	now_of[QUEUE_OLDEST] = queue->oldest != 0 ? now.wall / 1000 - queue->oldest : 0;
	now_of[DROP_FILES] = v->tally[DROP].count;
	now_of[DROP_BYTES] = v->tally[DROP].octets;
	now_of[BADMAIL_FILES] = v->tally[BADMAIL].count;
	now_of[BADMAIL_BYTES] = v->tally[BADMAIL].octets;
	dests_counted(v, now_of);
}

/* A label's value: \, " and line ends are escaped, what is no UTF-8 is made so. */
static void
label_write(struct buf *b, const char *text)
{
	bool utf8 = utf8_valid(text, strlen(text));

	for (; *text != '\0'; text++)
		if (*text == '\\' || *text == '"')
			buf_addf(b, "\\%c", *text);
		else if (*text == '\n')
			buf_addf(b, "\\n");
		else
			buf_add(b, (unsigned char)*text > 127 && !utf8 ? "?" : text, 1);
}

static void
sample(struct buf *b, const struct vserver *v, const char *name, const char *label, long long value)
{
	buf_addf(b, "smtpd_%s{server=\"", name);
	label_write(b, v->conf->name);
	buf_addf(b, "\"%s%s} %lld\n", *label ? "," : "", label, value);
}

static void
heading(struct buf *b, const char *name, const char *type, const char *help)
{
	if (*help != '\0')
		buf_addf(b, "# HELP smtpd_%s %s\n# TYPE smtpd_%s %s\n", name, help, name, type);
}

void
counts_write(struct buf *b)
{
	const struct vserver *v;
	long long now_of[GAUGES];

	for (int i = 0; i < COUNTS; i++) {
		heading(b, counters[i].name, "counter", counters[i].model);
		for (v = vservers; v != NULL; v = v->next)
			if (v->state != LEAVING)
				sample(b, v, counters[i].name, counters[i].label, v->counts[i]);
	}
	for (int i = 0; i < GAUGES; i++) {
		heading(b, gauges[i].name, "gauge", gauges[i].model);
		for (v = vservers; v != NULL; v = v->next)
			if (v->state != LEAVING) {
				gauges_read(v, now_of);
				sample(b, v, gauges[i].name, gauges[i].label, now_of[i]);
			}
	}
	buf_addf(b, "# HELP smtpd_dns_queries_total DNS Queries Total\n# TYPE smtpd_dns_queries_total counter\n"
	    "smtpd_dns_queries_total %lld\n", dns_queries);
}

/* ---- the file ------------------------------------------------------------------------ */

static msec written;			/* tick of the last writing; 0 never */

/* It is renamed into place, so who reads it has all of it. */
void
counts_step(const struct config *c)
{
	static bool failed;
	char temp[PATH_SIZE];
	struct buf b = { 0 };
	FILE *f;
	bool good;

	if (c->metrics == NULL || (written != 0 && now.tick - written < METRICS_EVERY))
		return;
	written = now.tick;
	counts_write(&b);
	snprintf(temp, sizeof temp, "%.900s.tmp", c->metrics);
	good = !b.torn && (f = fopen(temp, "w")) != NULL;
	if (good) {
		good = fwrite(b.data, 1, b.len, f) == b.len;
		good = fclose(f) == 0 && good && rename(temp, c->metrics) == 0;
	}
	if (!good && !failed)
		log_line("smtpd: metrics: %s: %s", c->metrics, strerror(errno));
	failed = !good;
	buf_free(&b);
}

void
counts_want(const struct config *c, msec *until)
{
	if (c->metrics != NULL && written + METRICS_EVERY < *until)
		*until = written + METRICS_EVERY;
}
