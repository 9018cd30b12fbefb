/*
 * unit_content.c - the end of data and the ends of lines, against a second
 * opinion: of every text of CR, LF, dot and letter up to LONGEST octets, in
 * one piece, in any two pieces and octet by octet, content_take makes what
 * reference() makes of it, which sees the whole of it at once.
 */
#include "test.h"

#define LONGEST 7
#define ROOM    200

static const char end_of_data[] = "\r\n.\r\n";

/* What has become of a text. */
struct result {
	char out[ROOM];
	size_t len;
	size_t used;			/* octets taken */
	bool ended, stray;
};

/* ---- the second opinion ---------------------------------------------------------- */

/*
 * Only CR LF . CR LF ends.  What stands before it is lines that end in LF or
 * CR LF, and a line that begins with a dot and has more on it loses the dot.
 * Every other CR becomes a space.
 */
static void
reference(struct result *r, const char *in, size_t n, bool stuffed, bool last_crlf)
{
	char whole[ROOM];		/* with the line before */
	size_t end, next;

	memset(r, 0, sizeof *r);
	r->used = n;
	memcpy(whole, last_crlf ? "\r\n" : "x\n", 2);
	memcpy(whole + 2, in, n);
	for (size_t i = 0; stuffed && !r->ended && i + 5 <= n + 2; i++)
		if (memcmp(whole + i, end_of_data, 5) == 0) {
			r->ended = true;
			r->used = i + 3;
			n = i;
		}
	for (size_t at = 0; at < n; at = next) {
		const char *lf = memchr(in + at, '\n', n - at);
		bool crlf = lf != NULL && lf > in + at && lf[-1] == '\r';

		next = lf != NULL ? (size_t)(lf - in) + 1 : n;
		end = next - (lf != NULL) - crlf;
		r->stray |= lf != NULL && !crlf;
		if (stuffed && in[at] == '.' && end > at + 1)
			at++;
		for (; at < end; at++) {
			r->stray |= in[at] == '\r';
			r->out[r->len++] = in[at] == '\r' ? ' ' : in[at];
		}
		memcpy(r->out + r->len, "\r\n", 2);
		r->len += 2;
	}
}

/* ---- the first ---------------------------------------------------------------------- */

/* Take a text in pieces: up to `cut`, then in pieces of `step`. */
static void
taken(struct result *r, const char *in, size_t n, bool stuffed, bool last_crlf, size_t cut, size_t step)
{
	struct buf out = { 0 };
	struct content c;
	size_t piece, used;
	int answer = 0;

	memset(r, 0, sizeof *r);
	content_begin(&c, stuffed, false, last_crlf);
	for (; answer == 0 && r->used < n; r->used += used) {
		piece = r->used < cut ? cut - r->used : step;
		if (piece > n - r->used)
			piece = n - r->used;
		answer = content_take(&c, in + r->used, piece, &used, &out);
		CHECK(answer == 1 || (answer == 0 && used == piece));
	}
	r->ended = answer == 1;
	if (!stuffed)
		CHECK(content_end(&c, &out) == 0);
	if (out.len > 0 && CHECK(out.len <= ROOM))
		memcpy(r->out, out.data, r->len = out.len);
	r->stray = c.stray;
	CHECK(c.size == (long long)out.len);
	buf_free(&out);
}

/* CR and LF come out in pairs only. */
static bool
canonical(const struct result *r)
{
	for (size_t i = 0; i < r->len; i++)
		if ((r->out[i] == '\r') != (i + 1 < r->len && r->out[i + 1] == '\n'))
			return false;
	return r->len == 0 || r->out[0] != '\n';
}

static void
same(const struct result *got, const struct result *want)
{
	CHECK(got->len == want->len && memcmp(got->out, want->out, want->len) == 0);
	CHECK(got->ended == want->ended && got->used == want->used && got->stray == want->stray);
}

/* A text for a failure: how its octets are written. */
static const char *
written(const char *in, size_t n)
{
	static char text[ROOM * 4];

	return text_safe(text, sizeof text, in, n);
}

/* Compare all splits of a text with the reference, which is left in r. */
static void
compare(struct result *r, const char *in, size_t n, bool stuffed, bool last_crlf)
{
	struct result got;

	test_case = written(in, n);
	reference(r, in, n, stuffed, last_crlf);
	CHECK(canonical(r));
	for (size_t cut = 1; cut <= n; cut++) {
		taken(&got, in, n, stuffed, last_crlf, cut, n);
		same(&got, r);
	}
	taken(&got, in, n, stuffed, last_crlf, 0, 1);
	same(&got, r);
	test_case = "";
}

/* ---- all texts --------------------------------------------------------------------------- */

static void
all_texts(void)
{
	static const char octet[] = "\r\n.a";
	struct result r;
	char in[LONGEST + 10];

	for (size_t n = 0; n <= LONGEST; n++)
		for (unsigned long number = 0; number < 1ul << 2 * n; number++) {
			for (size_t i = 0; i < n; i++)
				in[i] = octet[number >> 2 * i & 3];
			compare(&r, in, n, false, true);
			/* The end, and the next command pipelined behind it. */
			memcpy(in + n, "\r\n.\r\nQUIT", 9);
			for (int last_crlf = 0; last_crlf < 2; last_crlf++) {
				compare(&r, in, n + 9, true, last_crlf);
				CHECK(r.ended && r.used <= n + 5);
			}
		}
}

/* ---- what one smuggles with ------------------------------------------------------------------- */

static void
pairs(void)
{
	static const struct { const char *text; bool crlf; } ends[] = {
		{ "\r\n", true }, { "\n", false }, { "\r", false }, { "\r\r\n", true },
		{ "\n\r", false }, { "\n\r\n", true },
	};
	static const char *const dots[] = { ".", "..", "...", ". ", ".x", " ." };
	struct result r;
	char in[60];
	int n;

	for (size_t a = 0; a < sizeof ends / sizeof *ends; a++)
		for (size_t b = 0; b < sizeof ends / sizeof *ends; b++)
			for (size_t d = 0; d < sizeof dots / sizeof *dots; d++) {
				/* It is over after the dot only for CR LF . CR LF. */
				bool over = ends[a].crlf && d == 0 && b == 0;

				n = snprintf(in, sizeof in, "one%s%s%stwo%s", ends[a].text, dots[d], ends[b].text, end_of_data);
				compare(&r, in, (size_t)n, true, true);
				CHECK((memchr(r.out, 't', r.len) == NULL) == over);
				CHECK((r.used == (size_t)n) == !over);
			}
}

/* The line before the first is the command's. */
static void
first_line(void)
{
	struct result r;

	compare(&r, ".\r\n.\r\n", 6, true, true);
	CHECK(r.ended && r.len == 0 && r.used == 3);
	compare(&r, ".\r\n.\r\n", 6, true, false);
	CHECK(r.ended && r.len == 3 && r.used == 6 && memcmp(r.out, ".\r\n", 3) == 0);
	compare(&r, "..\r\n.\r\n", 7, true, true);
	CHECK(r.len == 3 && memcmp(r.out, ".\r\n", 3) == 0);
}

/* ---- what is counted ------------------------------------------------------------------------------ */

static void
hops(void)
{
	static const char text[] =
	    "Received: one\r\nRECEIVED:\r\n\tReceived: folded\r\nX-Received: no\r\nReceive: no\r\n"
	    "received: three\r\nReceivedd: no\r\n..Received: no\r\n.Received: four, unstuffed\r\n"
	    " Received: no\r\nReceived: five\n"
	    "\r\nReceived: in the body\r\n\r\nReceived: here too\r\n.\r\n";
	struct buf out = { 0 };
	struct content c;
	size_t used;

	for (size_t cut = 0; cut < sizeof text - 1; cut++) {
		content_begin(&c, true, false, true);
		out.len = 0;
		CHECK(content_take(&c, text, cut, &used, &out) == 0);
		CHECK(content_take(&c, text + cut, sizeof text - 1 - cut, &used, &out) == 1);
		CHECK(c.hops == 5);
		CHECK(!c.in_header);
		CHECK(c.size == (long long)sizeof text - 1 - 3 - 2 + 1);	/* the end, two dots, one CR more */
	}
	buf_free(&out);
}

/* BINARYMIME: nothing is touched, and nothing is an end. */
static void
raw(void)
{
	static const char text[] = "Received: one\r\nReceived: two\r\n\r\nReceived: no\n\r\r\n.\r\n..\0\377";
	struct buf out = { 0 };
	struct content c;
	size_t used;

	for (size_t cut = 0; cut < sizeof text; cut++) {
		content_begin(&c, false, true, true);
		out.len = 0;
		CHECK(content_take(&c, text, cut, &used, &out) == 0 && used == cut);
		CHECK(content_take(&c, text + cut, sizeof text - cut, &used, &out) == 0 && used == sizeof text - cut);
		CHECK(content_end(&c, &out) == 0);
		CHECK(out.len == sizeof text && memcmp(out.data, text, sizeof text) == 0);
		CHECK(c.size == (long long)sizeof text && c.hops == 2 && !c.stray);
	}
	buf_free(&out);
}

/* An empty chunk is no line, and a whole last line is not closed again. */
static void
chunks(void)
{
	struct buf out = { 0 };
	struct content c;
	size_t used;

	content_begin(&c, false, false, true);
	CHECK(content_take(&c, "", 0, &used, &out) == 0 && used == 0);
	CHECK(content_end(&c, &out) == 0 && out.len == 0 && c.size == 0);
	CHECK(content_take(&c, "a\r", 2, &used, &out) == 0);
	CHECK(content_take(&c, "", 0, &used, &out) == 0);
	CHECK(content_take(&c, "\nb", 2, &used, &out) == 0);
	CHECK(content_end(&c, &out) == 0 && !c.stray);
	CHECK_TEXT(out.data, "a\r\nb\r\n");
	CHECK(content_end(&c, &out) == 0 && out.len == 6);
	buf_free(&out);
}

/* Without memory: -1 at once. */
static void
out_of_memory(void)
{
	static const char *const texts[] = { "a", "\r\n", "a\n", "a\rb", ".\n", ".a", ".\ra" };
	struct buf out = { 0 };
	struct content c;
	size_t used;

	memory = test_memory;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		content_begin(&c, true, false, true);
		test_memory_nth = 1;
		CHECK(content_take(&c, texts[i], strlen(texts[i]), &used, &out) == -1);
		buf_free(&out);
	}
	memory = realloc;
}

int
main(void)
{
	all_texts();
	pairs();
	first_line();
	hops();
	raw();
	chunks();
	out_of_memory();
	return test_end();
}
