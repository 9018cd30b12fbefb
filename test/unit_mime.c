/*
 * unit_mime.c - messages with octets above 127 made into ones without: what
 * becomes of each entity, what is left as it was, and what is refused.  Then
 * bodies of all kinds there and back, with a decoder of our own.
 */
#include "test.h"

int mime_to_7bit(const char *text, size_t n, struct buf *out);

#define QP    "Content-Transfer-Encoding: quoted-printable\n"
#define MIME  "MIME-Version: 1.0\n"
#define TEN   "xxxxxxxxxx"
#define MIXED MIME "Content-Type: multipart/mixed; boundary=b\n"

/* \n stands for CR LF; want NULL: refused. */
struct converted {
	const char *what, *text, *want;
};

static const struct converted messages[] = {
	{ "plain, not MIME", "Subject: s\n\nGr\303\274\303\237e\n",
	  "Subject: s\n" QP MIME "Content-Type: text/plain; charset=unknown-8bit\n\nGr=C3=BC=C3=9Fe\n" },
	{ "no fields at all", "\n\303\274\n", QP MIME "Content-Type: text/plain; charset=unknown-8bit\n\n=C3=BC\n" },
	{ "plain, a type but no version", "Content-Type: text/html\n\n\303\274\n", "Content-Type: text/html\n" QP MIME "\n=C3=BC\n" },
	{ "plain, a version but no type", MIME "\n\303\274\n", MIME QP "\n=C3=BC\n" },
	{ "labels in place", MIME "content-TRANSFER-encoding:\t8BIT \nContent-Type: text/plain\n\n\303\274\n",
	  MIME "content-TRANSFER-encoding:\tquoted-printable\nContent-Type: text/plain\n\n=C3=BC\n" },
	{ "label on the next line", MIME "Content-Transfer-Encoding:\n binary\n\n\303\274\n",
	  MIME "Content-Transfer-Encoding:\n quoted-printable\n\n=C3=BC\n" },
	{ "label that lies", MIME "Content-Transfer-Encoding: 7bit\n\n\303\274\n", MIME QP "\n=C3=BC\n" },
	{ "what is encoded", MIME "\n\303 \t\n a\tb \n=41\n.\n-- \n-\na-\n\001\177\n \n\t\n\n",
	  MIME QP "\n=C3 =09\n a\tb=20\n=3D41\n.\n=2D-=20\n=2D\na-\n=01=7F\n=20\n=09\n\n" },
	{ "long lines", MIME "\n\303\n" TEN TEN TEN TEN TEN TEN TEN "xxx\n" TEN TEN TEN TEN TEN TEN TEN "xxx--b\n"
	  TEN TEN TEN TEN TEN TEN TEN "xx\303\274 \n" TEN TEN TEN TEN TEN TEN TEN "xx " TEN "\n",
	  MIME QP "\n=C3\n" TEN TEN TEN TEN TEN TEN TEN "xxx\n" TEN TEN TEN TEN TEN TEN TEN "xxx=\n=2D-b\n"
	  TEN TEN TEN TEN TEN TEN TEN "xx=C3=\n=BC=20\n" TEN TEN TEN TEN TEN TEN TEN "xx =\n" TEN "\n" },

	{ "parts", MIXED "Content-Transfer-Encoding: 8bit\n\nWhat = this is \n--b\nContent-Type: text/plain\n\nascii = \n"
	  "--b \n\n\303\274\n\n--b\t\nContent-Transfer-Encoding: binary\nX: y\n\n\303\244\n--b\nContent-Transfer-Encoding: 8bit\n\n"
	  "ascii\n--b--\nand = this \n--b\nthat\n",
	  MIXED "Content-Transfer-Encoding: 7bit\n\nWhat = this is \n--b\nContent-Type: text/plain\n\nascii = \n"
	  "--b \n" QP "\n=C3=BC\n\n--b\t\n" QP "X: y\n\n=C3=A4\n--b\nContent-Transfer-Encoding: 8bit\n\n"
	  "ascii\n--b--\nand = this \n--b\nthat\n" },
	{ "no last delimiter, empty parts", MIXED "\n--b\n--b\n\n\303\n--b\n\n--b\nA: b\n--b\n\n\304\n",
	  MIXED "\n--b\n--b\n" QP "\n=C3\n--b\n\n--b\nA: b\n--b\n" QP "\n=C4\n" },
	{ "one's boundary begins the other's", MIME "Content-Type: Multipart/Mixed;\n\tname=\"x;y\"; BOUNDARY=\"=_x (y)\"\n\n"
	  "--=_x (y)\nContent-Type: multipart/alternative; boundary =\n \"=_x (y)z\" ; a=b\n\n--=_x (y)z\n\n\303\n"
	  "--=_x (y)z\n\n--=_x (y)\n\n\304\n--=_x (y)z\n--=_x (y)--\n",
	  MIME "Content-Type: Multipart/Mixed;\n\tname=\"x;y\"; BOUNDARY=\"=_x (y)\"\n\n"
	  "--=_x (y)\nContent-Type: multipart/alternative; boundary =\n \"=_x (y)z\" ; a=b\n\n--=_x (y)z\n" QP "\n=C3\n"
	  "--=_x (y)z\n\n--=_x (y)\n" QP "\n=C4\n=2D-=3D_x (y)z\n--=_x (y)--\n" },
	{ "a message within", MIXED "\n--b\nContent-Transfer-Encoding: 8bit\nContent-Type: message/rfc822\n\nSubject: s\n\n\303\n--b\n"
	  "Content-Type: message/rfc822\n\n" MIME "\n\303\n--b--\n",
	  MIXED "\n--b\nContent-Transfer-Encoding: 7bit\nContent-Type: message/rfc822\n\nSubject: s\n" QP MIME
	  "Content-Type: text/plain; charset=unknown-8bit\n\n=C3\n--b\nContent-Type: message/rfc822\n\n" MIME QP "\n=C3\n--b--\n" },
	{ "an internationalized one", MIXED "\n--b\nContent-Type: message/global\n\nSubject: \303\274\n\n\n--b--\n",
	  MIXED "\n--b\nContent-Type: message/global\n" QP "\nSubject: =C3=BC\n\n\n--b--\n" },
	{ "seals beside", MIXED "\n--b\nContent-Type: multipart/signed; boundary=c\n\n--c\nContent-Transfer-Encoding: 8bit\n\n= \n--c--\n"
	  "--b\n\n\303\n--b\nContent-Type: message/partial\n\nx\n--b\nContent-Transfer-Encoding: base64\n\nAAAA\n--b--\n",
	  MIXED "\n--b\nContent-Type: multipart/signed; boundary=c\n\n--c\nContent-Transfer-Encoding: 8bit\n\n= \n--c--\n"
	  "--b\n" QP "\n=C3\n--b\nContent-Type: message/partial\n\nx\n--b\nContent-Transfer-Encoding: base64\n\nAAAA\n--b--\n" },
	{ "on what is no delimiter", MIXED "\n--b\n\nx\n--b \303\n", MIXED "\n--b\n" QP "\nx\n=2D-b =C3\n" },
	{ "nothing to do", "no field \nSubject: s \n\n= \n", "no field \nSubject: s \n\n= \n" },

	{ "in the header", "Subject: \303\274\n\nx\n", NULL },
	{ "in a field's name", "S\303bject: s\n\nx\n", NULL },
	{ "in a fold", "Subject: s\n \303\274\n\nx\n", NULL },
	{ "no body", "Subject: s\n\303\274\n", NULL },
	{ "no field", "Subject: s\nno field\n\n\303\274\n", NULL },
	{ "a space before the colon", "Content-Type : text/html\n\n\303\274\n", NULL },
	{ "in a part's header", MIXED "\n--b\nX: \303\274\n\nx\n--b--\n", NULL },
	{ "in a message's header", "Content-Type: message/rfc822\n\nX: \303\274\n\n\n", NULL },
	{ "before the parts", MIXED "\n\303\274\n--b\n\nx\n--b--\n", NULL },
	{ "behind the parts", MIXED "\n--b\n\nx\n--b--\n\303\274\n", NULL },
	{ "no parts", MIXED "\n--c\n\n\303\274\n--b x\n", NULL },
	{ "signed", "Content-Type: multipart/signed; boundary=b\n\n--b\n\n\303\274\n--b--\n", NULL },
	{ "signed within", MIXED "\n--b\nContent-Type: Multipart/Signed; boundary=c\n\n--c\n\n\303\274\n--c--\n--b--\n", NULL },
	{ "encrypted", "Content-Type: multipart/encrypted; boundary=b\n\n--b\n\n\303\274\n--b--\n", NULL },
	{ "a digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\n\n\303\274\n--b--\n", NULL },
	{ "partial", "Content-Type: message/partial; id=x\n\n\303\274\n", NULL },
	{ "external", "Content-Type: message/external-body\n\n\n\303\274\n", NULL },
	{ "quoted-printable already", "Content-Transfer-Encoding: quoted-printable\n\n=41\303\274\n", NULL },
	{ "base64", "Content-Transfer-Encoding: base64\n\n\303\274\n", NULL },
	{ "base64 parts", MIXED "Content-Transfer-Encoding: base64\n\n--b\n\n\303\274\n--b--\n", NULL },
	{ "an encoding unknown", "Content-Transfer-Encoding: 8bits\n\n\303\274\n", NULL },
	{ "an encoding with a comment", "Content-Transfer-Encoding: 8bit\n (x)\n\n\303\274\n", NULL },
	{ "an empty encoding", "Content-Transfer-Encoding:\n\n8bit\n\303\274\n", NULL },
	{ "two encodings", "Content-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: 8bit\n\n\303\274\n", NULL },
	{ "three types", "Content-Type: text/html\nContent-Type: text/html\nContent-Type: text/html\n\n\303\274\n", NULL },
	{ "an empty type", "Content-Type: \n\nmultipart/mixed; boundary=b\n\303\274\n", NULL },
	{ "a type behind a comment", "Content-Type: (x) multipart/mixed; boundary=b\n\n--b\n\n\303\274\n", NULL },
	{ "a type in pieces", "Content-Type: multipart / mixed; boundary=b\n\n--b\n\n\303\274\n", NULL },
	{ "no boundary", "Content-Type: multipart/mixed\n\n--b\n\n\303\274\n", NULL },
	{ "an empty boundary", "Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\n\303\274\n", NULL },
	{ "a boundary in the body", "Content-Type: multipart/mixed; boundary=\n\n\"\303\274\n", NULL },
	{ "a boundary in pieces", "Content-Type: multipart/mixed; boundary*0=b\n\n--b\n\n\303\274\n", NULL },
	{ "a boundary and more", "Content-Type: multipart/mixed; boundary=\"b\"c\n\n--b\n\n\303\274\n", NULL },
};

static char *
with_crlf(const char *text)
{
	static char out[2000];
	size_t n = 0;

	for (; *text != '\0'; text++) {
		if (*text == '\n')
			out[n++] = '\r';
		out[n++] = *text;
	}
	out[n] = '\0';
	return out;
}

/* In a place of its own, whose bounds are watched. */
static int
convert(const char *text, size_t n, struct buf *out)
{
	char *copy = malloc(n);
	int answer;

	if (copy == NULL)
		exit(2);
	memcpy(copy, text, n);
	answer = mime_to_7bit(copy, n, out);
	free(copy);
	return answer;
}

static void
convert_one(const struct converted *m)
{
	struct buf out = { 0 }, again = { 0 };
	char *text = with_crlf(m->text);

	test_case = m->what;
	CHECK((convert(text, strlen(text), &out) == 0) == (m->want != NULL) && !out.torn);
	for (size_t n = 0; n < strlen(text); n++)	/* wherever it is torn off */
		convert(text, n, &again);
	buf_free(&again);
	if (m->want != NULL && CHECK(out.data != NULL)) {
		CHECK_TEXT(out.data, with_crlf(m->want));
		CHECK(convert(out.data, out.len, &again) == 0);
		CHECK_TEXT(again.data, out.data);
	}
	buf_free(&out);
	buf_free(&again);
	test_case = "";
}

/* ---- there and back --------------------------------------------------------------- */

static int
digit(char c)
{
	const char *hex = "0123456789ABCDEF", *at = c != '\0' ? strchr(hex, c) : NULL;

	return CHECK(at != NULL) ? (int)(at - hex) : 0;
}

/* RFC 2045 6.7, in place. */
static size_t
decode(char *text, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++)
		if (text[i] != '=')
			text[to++] = text[i];
		else if (i + 2 < n && memcmp(text + i + 1, "\r\n", 2) == 0)
			i += 2;
		else if (CHECK(i + 2 < n)) {
			text[to++] = (char)(digit(text[i + 1]) * 16 + digit(text[i + 2]));
			i += 2;
		}
	return to;
}

static void
lines_fit(const char *text, size_t n)
{
	size_t column = 0;

	for (size_t i = 0; i < n; i++) {
		column = text[i] == '\n' ? 0 : column + 1;
		CHECK((unsigned char)text[i] < 128 && column <= 76 + (text[i] == '\r'));
		CHECK(text[i] != '\r' || i == 0 || (text[i - 1] != ' ' && text[i - 1] != '\t'));
		CHECK(text[i] != '-' || column > 1);
	}
}

/* A body of random pieces as a part between others: it alone is changed, and
 * it decodes to itself. */
static void
there_and_back(void)
{
	static const char *const pieces[] = { "\r\n", " ", "\t", "=", "=\r\n", "--bb", "-", "\303\274", "\377", "\001", "x",
		TEN TEN TEN TEN TEN TEN TEN, TEN TEN "xxxxx", ".\r\n", "From ", "\r\n\r\n", "=3D", "\r\n--bb" };
	static const char before[] = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble= \r\n"
	    "--b\r\n\r\n= \r\n--b\r\nContent-Transfer-Encoding: ";
	static const char behind[] = "\r\n--b\r\n\r\n= \r\n--b--\r\nepilogue= \r\n";
	unsigned long random = 1;

	for (int i = 0; i < 20000 && test_failures == 0; i++) {
		struct buf in = { 0 }, out = { 0 };
		size_t from = strlen(before) + strlen("8bit\r\n\r\n"), to = strlen(before) + strlen("quoted-printable\r\n\r\n"), n;

		CHECK(buf_addf(&in, "%s8bit\r\n\r\n\344", before) == 0);
		for (int k = i % 30; k > 0; k--) {
			random = (random * 1103515245 + 12345) & 0x7fffffff;
			CHECK(buf_addf(&in, "%s", pieces[(random >> 16) % (sizeof pieces / sizeof *pieces)]) == 0);
		}
		n = in.len - from;
		CHECK(buf_add(&in, behind, strlen(behind)) == 0);
		if (CHECK(convert(in.data, in.len, &out) == 0 && out.len > to + strlen(behind))) {
			size_t length = out.len - to - strlen(behind);

			CHECK(memcmp(out.data, before, strlen(before)) == 0);
			CHECK(memcmp(out.data + to + length, behind, strlen(behind)) == 0);
			lines_fit(out.data + to, length);
			CHECK(decode(out.data + to, length) == n && memcmp(out.data + to, in.data + from, n) == 0);
		}
		buf_free(&in);
		buf_free(&out);
	}
}

/* ---- bounds ------------------------------------------------------------------------- */

static int
nested(int levels, bool parts)
{
	struct buf in = { 0 }, out = { 0 };
	int answer;

	for (int i = 0; i < levels; i++)
		if (parts)
			CHECK(buf_addf(&in, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i) == 0);
		else
			CHECK(buf_addf(&in, "Content-Type: message/rfc822\r\n\r\n") == 0);
	CHECK(buf_addf(&in, "\r\n\344\r\n") == 0);
	answer = convert(in.data, in.len, &out);
	buf_free(&in);
	buf_free(&out);
	return answer;
}

/* As many as fit into a message, and time that grows with its size alone. */
static void
large(const char *begin, const char *repeat, const char *end, int answer)
{
	struct buf in = { 0 }, out = { 0 };

	test_case = repeat;
	CHECK(buf_addf(&in, "%s", begin) == 0);
	for (int i = 0; i < 200000; i++)
		CHECK(buf_addf(&in, "%s", repeat) == 0);
	CHECK(buf_addf(&in, "%s", end) == 0);
	CHECK(convert(in.data, in.len, &out) == answer);
	buf_free(&in);
	buf_free(&out);
	test_case = "";
}

/* The nth call of memory fails: so does the conversion, and says why. */
static void
without_memory(const struct converted *m)
{
	char *text = with_crlf(m->text);

	test_case = m->what;
	memory = test_memory;
	for (long nth = 1; m->want != NULL; nth++) {
		struct buf out = { 0 };
		int answer;

		test_memory_nth = nth;
		answer = convert(text, strlen(text), &out);
		CHECK(test_memory_nth > 0 || (answer == -1 && out.torn));
		buf_free(&out);
		if (test_memory_nth > 0)
			break;
	}
	test_memory_nth = 0;
	memory = realloc;
	test_case = "";
}

int
main(void)
{
	for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
		convert_one(&messages[i]);
		without_memory(&messages[i]);
	}
	there_and_back();
	CHECK(nested(16, true) == 0 && nested(17, true) == -1 && nested(100000, true) == -1);
	CHECK(nested(16, false) == 0 && nested(17, false) == -1 && nested(100000, false) == -1);
	large("Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\n\r\n\344\r\n", "--b--\r\n", 0);
	large("Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--b\r\n", "\r\n\344\r\n", 0);
	large("Content-Type: multipart/mixed; boundary=b\r\n\r\n", "--bb\r\n", "--b\r\n\r\n\344\r\n", 0);
	large("Content-Type: multipart/mixed", "; boundary", "=b\r\n\r\n--b\r\n\r\n\344\r\n", -1);
	large("", "X: y\r\n", "\r\n\344\r\n", 0);
	large("X: y\r\n", " \r\n", "\r\n\344\r\n", 0);
	large("\r\n", "\344 \t", "\r\n", 0);
	return test_end();
}
