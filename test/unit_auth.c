/*
 * unit_auth.c - SASL in both roles: RFC 7677's example, all wrong turns, every
 * truncation and bit flip, and that nobody learns who has an account.
 */
#include "test.h"

#define RFC_LINE   "user:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n"
#define CLIENT     "rOprNGfwEbeRWgbNEkqO"
#define NONCE      CLIENT "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_FIRST  "n,,n=user,r=" CLIENT
#define RFC_REPLY  "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define RFC_FINAL  "c=biws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define ZEROS      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define RFC_SIGNED "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static const char *
encode(const char *text, size_t n)
{
	static char out[4][BASE64_SIZE(20000)];
	static int next;

	base64_encode(out[next = (next + 1) % 4], text, n);
	return out[next];
}

static const char *
b64(const char *text)
{
	return encode(text, strlen(text));
}

static const char *
plain(const char *text)		/* base64 of ours, in words */
{
	static char out[BASE64_SIZE(20000)];
	long n = base64_decode(out, text, strlen(text));

	CHECK(n >= 0);
	out[n > 0 ? n : 0] = '\0';
	return out;
}

static enum auth_result
work(struct auth *a, enum auth_result r, int *turns)
{
	for (*turns = 0; r == AUTH_WORKING; ++*turns)
		r = auth_work(a);
	return r;
}

/* ---- RFC 7677 section 3, as the server ---------------------------------------------- */

/* Say these; what the last one is answered. */
static enum auth_result
said(enum mechanism m, const char *first, const char *second, const char *third)
{
	struct auth *a = auth_begin(m, "passwords");
	const char *lines[] = { first, second, third };
	enum auth_result r = AUTH_CHALLENGE;
	int turns;

	for (int i = 0; i < 3 && (i == 0 || lines[i] != NULL) && r == AUTH_CHALLENGE; i++)
		r = work(a, auth_take(a, lines[i]), &turns);
	if (r != AUTH_CHALLENGE)		/* it is over, whatever he says */
		CHECK(auth_work(a) == AUTH_FAILED && auth_take(a, "") == AUTH_MALFORMED && auth_take(a, "=") == AUTH_MALFORMED);
	auth_free(a);
	return r;
}

static void
example_server(bool initial)
{
	struct auth *a = auth_begin(MECH_SCRAM, "passwords");

	auth_nonce = &NONCE[strlen(CLIENT)];
	CHECK_TEXT(auth_account(a), "");
	if (!initial) {
		CHECK(auth_take(a, NULL) == AUTH_CHALLENGE);
		CHECK_TEXT(auth_challenge(a), "");
	}
	CHECK(auth_take(a, b64(RFC_FIRST)) == AUTH_CHALLENGE);
	CHECK_TEXT(plain(auth_challenge(a)), RFC_REPLY);
	CHECK_TEXT(auth_account(a), "user");
	CHECK(auth_take(a, b64(RFC_FINAL)) == AUTH_CHALLENGE);
	CHECK_TEXT(plain(auth_challenge(a)), RFC_SIGNED);
	CHECK(auth_take(a, "") == AUTH_DONE);
	CHECK_TEXT(auth_account(a), "user");
	auth_free(a);
	auth_free(NULL);
}

static void
wrong_turns(void)
{
	static const char *const firsts[] = {
		"", "n", "n,", "n,,", "n,,n=user", "n,,n=user,", "n,,n=user,r", "n,,n=user,r=", "n,,n=,r=x", "n,,r=x,n=user", "n,n=user,r=x",
		"p=tls-unique,,n=user,r=x", "p,,n=user,r=x", "x,,n=user,r=x", "N,,n=user,r=x", "n,b=user,n=user,r=x", "n,a=,n=user,r=x",
		"n,a=user,,n=user,r=x", "n,,m=x,n=user,r=x", "n,,n=user,r=x,m=x", "n,,n=us=er,r=x", "n,,n=us=2cer,r=x", "n,,n=user=,r=x", "n,,n=user=2,r=x",
		"n,a=x=2,n=user,r=x", "n,,n=user,r=a b", "n,,n=user,r=\303\274", "n,,n=user,r=x,", "n,,n=user,r=x,,", "n,,n=user,r=x,e", "n,,n=user,r=x,e=",
		"n,,n=user,r=x,1=2", "n,,n=us\001er,r=x", "n,,n=us\377er,r=x", "n,,n=user,r=x,e=\300\200", "n,,n=user\177,r=x", " n,,n=user,r=x",
	};
	static const char *const finals[] = {
		"", "p=", ",p=", "c=biws", "c=biws,r=" NONCE, "c=biws,r=" NONCE ",", "c=biws,r=" NONCE ",p=", "c=biws,r=" NONCE ",p=QUFB",
		"r=" NONCE ",c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		"c=biws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ", "c=biws,r=" NONCE ",,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		"c=biws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=,x=y", "c=biws,r=" NONCE ",m=x,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	};
	static const char *const refused[] = {
		"c=eSws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "c=biwsbiws,r=" NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		"c=biws,r=" CLIENT ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "c=biws,r=" NONCE "x,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		"c=biws,r=" NONCE ",x=y,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", "c=biws,r=" NONCE ",p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	};

	for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
		test_case = firsts[i];
		CHECK(said(MECH_SCRAM, b64(firsts[i]), NULL, NULL) == AUTH_MALFORMED);
	}
	for (size_t i = 0; i < sizeof finals / sizeof *finals; i++) {
		test_case = finals[i];
		CHECK(said(MECH_SCRAM, b64(RFC_FIRST), b64(finals[i]), NULL) == AUTH_MALFORMED);
	}
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		test_case = refused[i];
		CHECK(said(MECH_SCRAM, b64(RFC_FIRST), b64(refused[i]), NULL) == AUTH_FAILED);
	}
	test_case = "";
	CHECK(said(MECH_SCRAM, "=", NULL, NULL) == AUTH_MALFORMED && said(MECH_SCRAM, NULL, "=", NULL) == AUTH_MALFORMED);
	CHECK(said(MECH_SCRAM, b64(RFC_FIRST), b64(RFC_FINAL), "=") == AUTH_MALFORMED);
	CHECK(said(MECH_SCRAM, b64(RFC_FIRST), b64(RFC_FINAL), "AA==") == AUTH_MALFORMED);
	CHECK(said(MECH_SCRAM, b64(RFC_FIRST), b64(RFC_FINAL), "") == AUTH_DONE);
	CHECK(said(MECH_SCRAM, b64(RFC_FIRST ",x=y,z=\303\274=,"), NULL, NULL) == AUTH_MALFORMED);
	CHECK(said(MECH_SCRAM, b64(RFC_FIRST ",x=y,z=\303\274="), NULL, NULL) == AUTH_CHALLENGE);
	CHECK(said(MECH_SCRAM, encode("n,,n=user,r=x\0y", 15), NULL, NULL) == AUTH_MALFORMED);
}

/* One who knows the password, but says this: `final' with a proof that fits it. */
static const char *
forged(const char *bare, const char *final)
{
	static char text[1000];
	unsigned char salt[16], salted[SHA256_OCTETS], client[SHA256_OCTETS], stored[SHA256_OCTETS], proof[SHA256_OCTETS];
	struct pbkdf2 p;
	int n;

	CHECK(base64_decode(salt, "W22ZaJ0SNY7soEsUEjb6gQ==", 21 + 3) == 16);
	pbkdf2_begin(&p, "pencil", 6, salt, sizeof salt, 4096);
	CHECK(pbkdf2_step(&p, 4096, salted));
	hmac(salted, sizeof salted, "Client Key", 10, client);
	sha256(client, sizeof client, stored);
	n = snprintf(text, sizeof text, "%s,%s,%s", bare, RFC_REPLY, final);
	hmac(stored, sizeof stored, text, (size_t)n, proof);
	for (int i = 0; i < SHA256_OCTETS; i++)
		proof[i] ^= client[i];
	snprintf(text, sizeof text, "%s,p=%s", final, encode((char *)proof, sizeof proof));
	return b64(text);
}

static void
forgeries(void)
{
	static const char bare[] = "n=user,r=" CLIENT;
	static const struct { const char *header, *final; enum auth_result want; } cases[] = {
		{ "n,,", "c=biws,r=" NONCE, AUTH_DONE }, { "y,,", "c=eSws,r=" NONCE, AUTH_DONE }, { "n,,", "c=biws,r=" NONCE ",x=y", AUTH_DONE },
		{ "n,a=user,", "c=bixhPXVzZXIs,r=" NONCE, AUTH_DONE }, { "n,a=root,", "c=bixhPXJvb3Qs,r=" NONCE, AUTH_FAILED },
		{ "y,,", "c=biws,r=" NONCE, AUTH_FAILED }, { "n,a=user,", "c=biws,r=" NONCE, AUTH_FAILED },
		{ "n,,", "c=biws,r=" CLIENT, AUTH_FAILED }, { "n,,", "c=biws,r=" CLIENT "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k1", AUTH_FAILED },
	};
	char first[100];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		snprintf(first, sizeof first, "%s%s", cases[i].header, bare);
		test_case = cases[i].final;
		CHECK(said(MECH_SCRAM, b64(first), forged(bare, cases[i].final), "") == cases[i].want);
	}
	test_case = "";
}

/* Nothing but the very messages goes through. */
static void
mutations(void)
{
	static const char *const messages[2] = { RFC_FIRST, RFC_FINAL };
	char text[2][400];

	for (int which = 0; which < 2; which++)
		for (int decoded = 0; decoded < 2; decoded++) {
			size_t n = strlen(decoded ? messages[which] : b64(messages[which]));

			for (size_t i = 0; i < n * 9; i++) {
				enum auth_result r;

				memcpy(text[0], b64(messages[0]), 1 + strlen(b64(messages[0])));
				memcpy(text[1], b64(messages[1]), 1 + strlen(b64(messages[1])));
				if (decoded) {
					char flipped[200];

					memcpy(flipped, messages[which], n);
					flipped[i / 9] ^= (char)(i % 9 < 8 ? 1 << i % 9 : 0);
					base64_encode(text[which], flipped, i % 9 < 8 ? n : i / 9);
				} else if (i % 9 == 8)
					text[which][i / 9] = '\0';
				else
					text[which][i / 9] ^= (char)(1 << i % 9);
				r = said(MECH_SCRAM, text[0], text[1], "");
				CHECK(r == AUTH_FAILED || r == AUTH_MALFORMED);
			}
		}
	CHECK(said(MECH_SCRAM, b64(messages[0]), b64(messages[1]), "") == AUTH_DONE);
}

/* ---- the same as the client ------------------------------------------------------------ */

static struct sasl *
example_client(void)
{
	struct sasl *s;

	auth_nonce = CLIENT;
	s = sasl_begin(MECH_SCRAM, "user", "pencil");
	CHECK(sasl_work(s) == 1 && !sasl_trusts(s));
	CHECK_TEXT(plain(sasl_response(s)), RFC_FIRST);
	return s;
}

static void
client_works(struct sasl *s, int least)
{
	int turns = 0;

	for (; sasl_work(s) == 0; turns++)
		CHECK(sasl_response(s) == NULL);
	CHECK(turns >= least);
}

static void
example_as_client(void)
{
	struct sasl *s = example_client();

	CHECK(sasl_take(s, b64(RFC_REPLY)) == 0);
	client_works(s, 3);
	CHECK_TEXT(plain(sasl_response(s)), RFC_FINAL);
	CHECK(!sasl_trusts(s) && sasl_take(s, b64(RFC_SIGNED)) == 0 && sasl_trusts(s) && sasl_work(s) == 1);
	CHECK_TEXT(sasl_response(s), "");
	CHECK(sasl_take(s, "") == -1 && sasl_response(s) == NULL);
	sasl_free(s);
	sasl_free(NULL);
}

static void
wrong_servers(void)
{
	static const char *const replies[] = {
		"", "r=", "r=" CLIENT ",s=QSXC,i=4096", "r=x" NONCE ",s=QSXC,i=4096", "r=" NONCE, "r=" NONCE ",s=QSXC", "r=" NONCE ",i=4096,s=QSXC",
		"r=" NONCE ",s=,i=4096", "r=" NONCE ",s=Q,i=4096", "r=" NONCE ",s=QSXC,i=", "r=" NONCE ",s=QSXC,i=4095", "r=" NONCE ",s=QSXC,i=1",
		"r=" NONCE ",s=QSXC,i=1000001", "r=" NONCE ",s=QSXC,i=99999999999999999999", "r=" NONCE ",s=QSXC,i=-4096", "r=" NONCE ",s=QSXC,i=04096",
		"r=" NONCE ",s=QSXC,i=4096 ", "r=" NONCE ",s=QSXC,i=4096,", "m=x,r=" NONCE ",s=QSXC,i=4096", "r=" NONCE ",s=QSXC,i=4096,m=x", "e=other-error",
		"r=" NONCE "\001,s=QSXC,i=4096", "r=" NONCE " x,s=QSXC,i=4096",
	};
	static const char *const signatures[] = { "", "v=", "v=AAAA", "e=invalid-proof", RFC_SIGNED ",", RFC_SIGNED "=",
		"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" };
	struct sasl *s;

	for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
		s = example_client();
		test_case = replies[i];
		CHECK(sasl_take(s, b64(replies[i])) == -1 && sasl_response(s) == NULL && !sasl_trusts(s));
		sasl_free(s);
	}
	for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
		s = example_client();
		test_case = signatures[i];
		CHECK(sasl_take(s, b64(RFC_REPLY)) == 0);
		client_works(s, 3);
		CHECK(sasl_take(s, b64(signatures[i])) == -1 && !sasl_trusts(s) && sasl_take(s, b64(RFC_SIGNED)) == -1);
		sasl_free(s);
	}
	test_case = "";
	s = example_client();				/* out of turn */
	CHECK(sasl_take(s, b64(RFC_REPLY)) == 0 && sasl_take(s, b64(RFC_SIGNED)) == -1 && !sasl_trusts(s));
	sasl_free(s);
	s = example_client();				/* when nothing is known yet */
	CHECK(sasl_take(s, b64(RFC_REPLY)) == 0 && sasl_take(s, b64("v=" ZEROS)) == -1 && !sasl_trusts(s));
	sasl_free(s);
	s = example_client();
	CHECK(sasl_take(s, "*") == -1);
	sasl_free(s);
}

/* A server whose messages have one octet changed or an end cut off is not trusted. */
static void
server_mutations(void)
{
	char reply[400], last[400];
	size_t n = strlen(b64(RFC_REPLY));
	struct sasl *s;

	for (size_t i = 0; i < n * 9; i++) {
		s = example_client();
		memcpy(reply, b64(RFC_REPLY), n + 1);
		if (i % 9 == 8)
			reply[i / 9] = '\0';
		else
			reply[i / 9] ^= (char)(1 << i % 9);
		if (sasl_take(s, reply) == 0 && i % 9 == 1 && strchr(plain(reply), 'i') != NULL) {
			client_works(s, 3);
			CHECK(strcmp(plain(sasl_response(s)), RFC_FINAL) != 0);
			CHECK(sasl_take(s, b64(RFC_SIGNED)) == -1);
		}
		CHECK(!sasl_trusts(s));
		sasl_free(s);
	}
	n = strlen(b64(RFC_SIGNED));
	for (size_t i = 0; i < n * 9; i += 7) {
		s = example_client();
		memcpy(last, b64(RFC_SIGNED), n + 1);
		if (i % 9 == 8)
			last[i / 9] = '\0';
		else
			last[i / 9] ^= (char)(1 << i % 9);
		CHECK(sasl_take(s, b64(RFC_REPLY)) == 0);
		client_works(s, 3);
		CHECK(sasl_take(s, last) == -1 && !sasl_trusts(s));
		sasl_free(s);
	}
}

static void
other_clients(void)
{
	char long_text[9000];
	struct sasl *s = sasl_begin(MECH_PLAIN, "tim", "tanstaaftanstaaf");

	CHECK(memcmp(plain(sasl_response(s)), "\0tim\0tanstaaftanstaaf", 22) == 0 && sasl_trusts(s) && sasl_work(s) == 1);
	CHECK(sasl_take(s, "") == -1);
	sasl_free(s);
	s = sasl_begin(MECH_LOGIN, "tim", "secret");
	CHECK(sasl_response(s) == NULL && sasl_take(s, "VXNlcm5hbWU6") == 0 && sasl_work(s) == 1);
	CHECK_TEXT(sasl_response(s), "dGlt");
	CHECK(sasl_take(s, "Password:, in clear") == 0);
	CHECK_TEXT(sasl_response(s), "c2VjcmV0");
	CHECK(sasl_take(s, "UGFzc3dvcmQ6") == -1 && sasl_response(s) == NULL);
	sasl_free(s);
	s = sasl_begin(MECH_XOAUTH2, "someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg");
	CHECK_TEXT(sasl_response(s), "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ==");
	CHECK(sasl_take(s, "eyJzdGF0dXMiOiI0MDEifQ==") == 0 && *sasl_response(s) == '\0' && sasl_take(s, "") == -1);
	sasl_free(s);
	memset(long_text, 'x', sizeof long_text);
	long_text[256] = '\0';
	CHECK(sasl_begin(MECH_PLAIN, long_text, "x") == NULL);
	long_text[256] = 'x';
	long_text[8192] = '\0';
	CHECK((s = sasl_begin(MECH_XOAUTH2, long_text + 8192 - 255, long_text)) != NULL);
	CHECK(strlen(sasl_response(s)) <= AUTH_LINE);
	sasl_free(s);
	long_text[8192] = 'x';
	long_text[8193] = '\0';
	CHECK(sasl_begin(MECH_XOAUTH2, "x", long_text) == NULL);
}

/* ---- PLAIN, LOGIN --------------------------------------------------------------------- */

static const struct { const char *text; size_t n; enum auth_result want; } plains[] = {
	{ "\0user\0pencil", 12, AUTH_DONE },
	{ "user\0user\0pencil", 16, AUTH_DONE },
	{ "\0one\0x", 6, AUTH_DONE },
	{ "\0M\303\274ller, =\0p\303\244ss \" w\303\266rd", 25, AUTH_DONE },
	{ "other\0user\0pencil", 17, AUTH_FAILED },
	{ "use\0user\0pencil", 15, AUTH_FAILED },
	{ "User\0user\0pencil", 16, AUTH_FAILED },
	{ "\0User\0pencil", 12, AUTH_FAILED },
	{ "\0nobody\0pencil", 14, AUTH_FAILED },
	{ "\0user\0pencil ", 13, AUTH_FAILED },
	{ "\0user\0penci", 11, AUTH_FAILED },
	{ "\0user\0p", 7, AUTH_FAILED },
	{ "\0user:SCRAM-SHA-256$4096\0pencil", 31, AUTH_FAILED },
	{ "", 0, AUTH_MALFORMED },
	{ "\0", 1, AUTH_MALFORMED },
	{ "\0\0", 2, AUTH_MALFORMED },
	{ "user", 4, AUTH_MALFORMED },
	{ "user\0pencil", 11, AUTH_MALFORMED },
	{ "\0user\0", 6, AUTH_MALFORMED },
	{ "\0\0pencil", 8, AUTH_MALFORMED },
	{ "user\0\0pencil", 12, AUTH_MALFORMED },
	{ "\0user\0pencil\0", 13, AUTH_MALFORMED },
	{ "\0user\0pen\0cil", 13, AUTH_MALFORMED },
	{ "\0user\0pencil\n", 13, AUTH_MALFORMED },
	{ "\0us\ter\0pencil", 13, AUTH_MALFORMED },
	{ "\001\0user\0pencil", 13, AUTH_MALFORMED },
	{ "\0user\0\377encil", 12, AUTH_MALFORMED },
	{ "\0\344ser\0pencil", 12, AUTH_MALFORMED },
};

static void
plain_cases(void)
{
	static const char *const texts[] = { "*", "AHVzZXIAcGVuY2ls ", " AHVzZXIAcGVuY2ls", "AHVzZXIAcGVuY2l", "AHVzZXIAcGVuY2ls=", "==", "A", "AHVz\nZXIAcGVuY2ls" };
	static char text[12289 + 4], name[300];

	for (int i = 0; i < (int)(sizeof plains / sizeof *plains); i++) {
		const char *line = encode(plains[i].text, plains[i].n);
		char number[20];

		snprintf(number, sizeof number, "plain %d", i);
		test_case = number;
		CHECK(said(MECH_PLAIN, *line ? line : "=", NULL, NULL) == plains[i].want);
		CHECK(said(MECH_PLAIN, NULL, line, NULL) == plains[i].want);
	}
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		test_case = texts[i];
		CHECK(said(MECH_PLAIN, texts[i], NULL, NULL) == AUTH_MALFORMED && said(MECH_LOGIN, texts[i], NULL, NULL) == AUTH_MALFORMED);
		CHECK(said(MECH_LOGIN, b64("user"), texts[i], NULL) == AUTH_MALFORMED && said(MECH_SCRAM, texts[i], NULL, NULL) == AUTH_MALFORMED);
	}
	test_case = "long ones";
	memset(text, 'A', sizeof text - 1);
	CHECK(said(MECH_PLAIN, text, NULL, NULL) == AUTH_MALFORMED);
	memset(name, 'x', sizeof name);
	name[0] = name[256] = '\0';
	memcpy(name + 257, "secret", 6);
	CHECK(said(MECH_PLAIN, encode(name, 263), NULL, NULL) == AUTH_FAILED);
	name[256] = 'x', name[257] = '\0';
	CHECK(said(MECH_PLAIN, encode(name, 263), NULL, NULL) == AUTH_MALFORMED);
	memset(text, 'x', sizeof text);		/* as long as a line can be */
	memcpy(text, "\0user", 6);
	CHECK(strlen(encode(text, AUTH_LINE / 4 * 3)) == AUTH_LINE);
	CHECK(said(MECH_PLAIN, encode(text, AUTH_LINE / 4 * 3), NULL, NULL) == AUTH_FAILED);
	CHECK(said(MECH_PLAIN, encode(text, AUTH_LINE / 4 * 3 + 1), NULL, NULL) == AUTH_MALFORMED);
	test_case = "";
	CHECK(said(MECH_PLAIN, NULL, "=", NULL) == AUTH_MALFORMED);
	CHECK(said(MECH_XOAUTH2, b64("x"), NULL, NULL) == AUTH_MALFORMED && said(MECH_ANONYMOUS, "=", NULL, NULL) == AUTH_MALFORMED);
}

static void
login_cases(void)
{
	struct auth *a = auth_begin(MECH_LOGIN, "passwords");
	int turns;

	CHECK(auth_take(a, NULL) == AUTH_CHALLENGE);
	CHECK_TEXT(auth_challenge(a), "VXNlcm5hbWU6");
	CHECK(auth_take(a, b64("user")) == AUTH_CHALLENGE);
	CHECK_TEXT(auth_challenge(a), "UGFzc3dvcmQ6");
	CHECK_TEXT(auth_account(a), "user");
	CHECK(work(a, auth_take(a, b64("pencil")), &turns) == AUTH_DONE);
	auth_free(a);
	CHECK(said(MECH_LOGIN, b64("user"), b64("pencil"), NULL) == AUTH_DONE);
	CHECK(said(MECH_LOGIN, NULL, b64("user"), b64("pencil")) == AUTH_DONE);
	CHECK(said(MECH_LOGIN, b64("user"), b64("Pencil"), NULL) == AUTH_FAILED);
	CHECK(said(MECH_LOGIN, b64("nobody"), b64("pencil"), NULL) == AUTH_FAILED);
	CHECK(said(MECH_LOGIN, "=", NULL, NULL) == AUTH_MALFORMED && said(MECH_LOGIN, NULL, "", NULL) == AUTH_MALFORMED);
	CHECK(said(MECH_LOGIN, b64("user"), "", NULL) == AUTH_MALFORMED && said(MECH_LOGIN, b64("user"), "=", NULL) == AUTH_MALFORMED);
	CHECK(said(MECH_LOGIN, encode("us\0er", 5), NULL, NULL) == AUTH_MALFORMED);
	CHECK(said(MECH_LOGIN, b64("user"), encode("pencil", 7), NULL) == AUTH_MALFORMED);
}

/* All bits of a PLAIN response. */
static void
plain_mutations(void)
{
	char text[12], line[BASE64_SIZE(12)];

	for (size_t i = 0; i < sizeof text * 8; i++) {
		enum auth_result r;

		memcpy(text, "\0user\0pencil", sizeof text);
		text[i / 8] ^= (char)(1 << i % 8);
		r = said(MECH_PLAIN, encode(text, sizeof text), NULL, NULL);
		CHECK(r == AUTH_FAILED || r == AUTH_MALFORMED);
		r = said(MECH_PLAIN, encode("\0user\0pencil", i / 8), NULL, NULL);
		CHECK(r == AUTH_FAILED || r == AUTH_MALFORMED);
	}
	for (size_t i = 0; i < 16 * 8; i++) {
		memcpy(line, encode("\0user\0pencil", 12), sizeof line);
		line[i / 8] ^= (char)(1 << i % 8);
		CHECK(said(MECH_PLAIN, line, NULL, NULL) != AUTH_DONE);
	}
}

/* How often he has to work for this. */
static int
turns_of(const char *name, const char *password, enum auth_result want)
{
	struct auth *a = auth_begin(MECH_LOGIN, "passwords");
	int turns = -1;

	CHECK(auth_take(a, b64(name)) == AUTH_CHALLENGE && work(a, auth_take(a, b64(password)), &turns) == want);
	auth_free(a);
	return turns;
}

static void
write_accounts(const char *before, const char *password)
{
	struct buf b = { 0 };

	CHECK(buf_addf(&b, "%s", before) == 0 && auth_verifier(&b, "cached", password, 4096) == 0);
	test_write("passwords", b.data, b.len);
	buf_free(&b);
}

static void
remembered(void)
{
	char two[400];

	write_accounts(RFC_LINE, "first");
	CHECK(turns_of("cached", "wrong", AUTH_FAILED) == 4 && turns_of("cached", "wrong", AUTH_FAILED) == 4);
	CHECK(turns_of("cached", "first", AUTH_DONE) == 4 && turns_of("cached", "first", AUTH_DONE) == 0);
	CHECK(turns_of("cached", "wrong", AUTH_FAILED) == 4 && turns_of("cached", "first", AUTH_DONE) == 0);
	CHECK(turns_of("cache", "first", AUTH_FAILED) == 4 && turns_of("user", "first", AUTH_FAILED) == 4);
	CHECK(said(MECH_PLAIN, encode("other\0cached\0first", 18), NULL, NULL) == AUTH_FAILED);
	write_accounts("", "first");			/* another salt */
	CHECK(turns_of("cached", "first", AUTH_DONE) == 4 && turns_of("cached", "first", AUTH_DONE) == 0);
	write_accounts("", "second");
	CHECK(turns_of("cached", "first", AUTH_FAILED) == 4 && turns_of("cached", "second", AUTH_DONE) == 4);
	test_write("passwords", "", 0);
	CHECK(turns_of("cached", "second", AUTH_FAILED) == 4);
	write_accounts("", "third");			/* the first of two holds */
	snprintf(two, sizeof two, "%s", test_read("passwords"));
	write_accounts(two, "fourth");
	CHECK(turns_of("cached", "third", AUTH_DONE) == 4 && turns_of("cached", "fourth", AUTH_FAILED) == 4);
	memcpy(two, "Cached", 6);			/* the same verifier, by another name */
	write_accounts(two, "third");
	CHECK(turns_of("Cached", "third", AUTH_DONE) == 4 && turns_of("cached", "third", AUTH_DONE) == 4);
}

/* ---- who has an account? ------------------------------------------------------------------ */

/* What he who says `who' where it stands in these lines sees, in a form that is
 * the same for all who fail: results, lengths, but not random octets. */
static void
seen(struct buf *b, enum mechanism m, const char *who, const char *format, const char *final)
{
	char line[300], reply[400];
	struct auth *a = auth_begin(m, "passwords");
	enum auth_result r;
	int turns, n = m == MECH_PLAIN ? snprintf(line, sizeof line, "%c%s%c%s", 0, who, 0, format) : snprintf(line, sizeof line, format, who);

	r = work(a, auth_take(a, encode(line, (size_t)n)), &turns);
	buf_addf(b, "%d %d %zu", (int)r, turns, strlen(auth_challenge(a)));
	if (r == AUTH_CHALLENGE && m == MECH_SCRAM) {
		snprintf(reply, sizeof reply, "%s", plain(auth_challenge(a)));
		buf_addf(b, " %.2s %zu %s %td", reply, strlen(reply), strstr(reply, ",i="), strstr(reply, ",s=") - reply);
		if (final != NULL)
			*strchr(reply, ',') = '\0';
		snprintf(line, sizeof line, final, reply);
		r = auth_take(a, b64(line));
		buf_addf(b, " %d", (int)r);
	} else if (r == AUTH_CHALLENGE) {
		r = work(a, auth_take(a, final), &turns);
		buf_addf(b, " %d %d", (int)r, turns);
	}
	buf_addf(b, "\n");
	auth_free(a);
}

static void
indistinguishable(void)
{
	static const char *const finals[] = { "c=biws,%s,p=" ZEROS, "c=biws,%sx,p=" ZEROS, "c=eSws,%s,p=" ZEROS, "c=biws,%s,p=AAAA", "%s", "c=biws,%s,x=y,p=" ZEROS };
	static const char *const others[] = { "nobody", "usea", "useR", "u", "a=2Cb", "us=3Der" };
	struct buf known = { 0 }, unknown = { 0 };

	auth_nonce = NULL;
	test_write("passwords", RFC_LINE, strlen(RFC_LINE));
	for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
		for (int pass = 0; pass < 2; pass++) {
			struct buf *b = pass == 0 ? &known : &unknown;
			const char *who = pass == 0 ? "user" : others[k];

			for (size_t i = 0; i < sizeof finals / sizeof *finals; i++)
				seen(b, MECH_SCRAM, who, "n,,n=%s,r=abc", finals[i]);
			seen(b, MECH_SCRAM, who, "n,a=x,n=%s,r=abc", "c=bixhPXgs,%s,p=" ZEROS);
			seen(b, MECH_SCRAM, who, "n,,n=%s,r=", NULL);
			seen(b, MECH_PLAIN, who, "wrong", NULL);
			seen(b, MECH_PLAIN, who, "", NULL);
			seen(b, MECH_PLAIN, who, "\001", NULL);
			seen(b, MECH_LOGIN, who, "%s", "d3Jvbmc=");
			seen(b, MECH_LOGIN, who, "%s", "d3Jvbmc");
			seen(b, MECH_LOGIN, who, "%s", "");
		}
		CHECK_TEXT(unknown.data, known.data);
		buf_free(&known);
		buf_free(&unknown);
	}
}

static const char *
salt_of(const char *name)
{
	static char out[4][100];
	static int next;
	char line[300];
	struct auth *a = auth_begin(MECH_SCRAM, "passwords");
	const char *s;

	snprintf(line, sizeof line, "n,,n=%s,r=abc", name);
	CHECK(auth_take(a, b64(line)) == AUTH_CHALLENGE);
	s = strstr(plain(auth_challenge(a)), ",s=");
	snprintf(out[next = (next + 1) % 4], sizeof *out, "%s", s ? s : "");
	auth_free(a);
	return out[next];
}

static void
salts(void)
{
	static const char second[] = "second:SCRAM-SHA-256$5000:QUJDREVGR0g=$" ZEROS ":" ZEROS "\n", key[] = "#key:" ZEROS "\n";
	struct buf b = { 0 };
	char name[20], text[100];
	int many = 0;

	for (int i = 0; i < 3; i++) {		/* none, one, and both */
		test_write("passwords", i == 0 ? "" : second, i == 0 ? 0 : strlen(second));
		if (i == 2)
			CHECK(buf_addf(&b, "# mine\n" RFC_LINE "%s%s", second, key) == 0), test_write("passwords", b.data, b.len);
		CHECK_TEXT(salt_of("nobody"), salt_of("nobody"));
		CHECK(strcmp(salt_of("nobody"), salt_of("nobody2")) != 0 && strcmp(salt_of("nobody"), salt_of("user")) != 0);
		CHECK(i == 2 || strstr(salt_of("nobody"), i == 0 ? "==,i=4096" : "=,i=5000") != NULL);
	}
	CHECK(strstr(salt_of("second"), ",i=5000") != NULL);
	CHECK_TEXT(salt_of("user"), ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
	for (int i = 0; i < 400; i++) {		/* they are as those of the accounts, one in two */
		const char *salt;

		snprintf(name, sizeof name, "nobody%d", i);
		salt = salt_of(name);
		CHECK(strlen(salt) == (strstr(salt, ",i=5000") ? 22 : 34));
		many += strstr(salt, ",i=5000") != NULL;
	}
	CHECK(many > 100 && many < 300);
	snprintf(text, sizeof text, "%s", salt_of("nobody"));
	b.len = 0;				/* another password, in the first line too */
	CHECK(buf_addf(&b, "# mine\n") == 0 && auth_verifier(&b, "user", "x", 4096) == 0 && buf_addf(&b, "%s%s", second, key) == 0);
	test_write("passwords", b.data, b.len);
	CHECK_TEXT(salt_of("nobody"), text);
	b.data[b.len - 4] = 'B';		/* another key; and none, until one is made */
	test_write("passwords", b.data, b.len);
	CHECK(strncmp(salt_of("nobody"), text, 10) != 0);
	b.len -= strlen(key);
	CHECK(auth_key(&b) == 0 && auth_key(&b) == 0);
	CHECK(strstr(b.data, "#key:") != NULL && strlen(strstr(b.data, "#key:")) == strlen(key));
	test_write("passwords", b.data, b.len);
	CHECK(strncmp(salt_of("nobody"), text, 10) != 0);
	buf_free(&b);
	CHECK(buf_addf(&b, "x") == 0 && auth_key(&b) == 0 && strncmp(b.data, "x\n#key:", 7) == 0);
	buf_free(&b);
	test_write("passwords", RFC_LINE, strlen(RFC_LINE));
}

/* ---- both, against each other ------------------------------------------------------------------ */

/* 1 both are content, 0 the server is not, -1 the client is not. */
static int
play(enum mechanism m, const char *user, const char *secret)
{
	struct sasl *s = sasl_begin(m, user, secret);
	struct auth *a = auth_begin(m, "passwords");
	int turns, answer = -2;

	sasl_work(s);
	for (enum auth_result r = work(a, auth_take(a, sasl_response(s)), &turns); answer == -2;) {
		if (r != AUTH_CHALLENGE)
			answer = r == AUTH_DONE ? (sasl_trusts(s) ? 1 : -1) : 0;
		else if (sasl_take(s, auth_challenge(a)) == -1)
			answer = -1;
		else {
			client_works(s, 0);
			r = work(a, auth_take(a, sasl_response(s)), &turns);
		}
	}
	CHECK(answer != 1 || strcmp(auth_account(a), user) == 0);
	auth_free(a);
	sasl_free(s);
	return answer;
}

static void
both(void)
{
	static const enum mechanism ms[] = { MECH_PLAIN, MECH_LOGIN, MECH_SCRAM };
	static const char *const letters[] = { "a", "B", "=", ",", " ", "\"", "\\", "\303\274", "\342\202\254", "#", "~", "=2C", "\360\237\222\214" };
	unsigned long random = 1;

	for (int i = 0; i < 12; i++) {
		char user[200] = "", secret[200] = "";
		struct buf b = { 0 };

		for (int k = 0; k < 2 * i + 2; k++) {
			random = (random * 1103515245 + 12345) & 0x7fffffff;
			strcat(k % 2 ? user : secret, letters[(random >> 16) % (sizeof letters / sizeof *letters)]);
		}
		if (*user == '#')
			*user = '+';
		CHECK(auth_text_valid(user, strlen(user)) && auth_verifier(&b, user, secret, 4096 + 100 * i) == 0);
		CHECK(auth_line(b.data, b.len - 1) == (long)strlen(user));
		test_write("passwords", b.data, b.len);
		buf_free(&b);
		test_case = user;
		for (int k = 0; k < 3; k++) {
			CHECK(play(ms[k], user, secret) == 1);
			strcat(secret, "x");
			CHECK(play(ms[k], user, secret) == 0);
			secret[strlen(secret) - 1] = '\0';
			strcat(user, "x");
			CHECK(play(ms[k], user, secret) == 0);
			user[strlen(user) - 1] = '\0';
		}
	}
	test_case = "";
}

/* ---- the file -------------------------------------------------------------------------------------- */

static void
lines(void)
{
	static const struct { const char *line; long want; } cases[] = {
		{ "", 0 }, { "# x", 0 }, { "\r", 0 }, { "user:SCRAM-SHA-256$4096:QQ==$" ZEROS ":" ZEROS, 4 },
		{ "user:SCRAM-SHA-256$4096:QQ==$" ZEROS ":" ZEROS "\r", 4 }, { "a b@\303\274:SCRAM-SHA-256$1000000:QUJD$" ZEROS ":" ZEROS, 6 },
		{ "user", -1 }, { " ", -1 }, { ":SCRAM-SHA-256$4096:QQ==$" ZEROS ":" ZEROS, -1 }, { "user:", -1 }, { "user:secret", -1 },
		{ "us\ter:SCRAM-SHA-256$4096:QQ==$" ZEROS ":" ZEROS, -1 }, { "us\377er:SCRAM-SHA-256$4096:QQ==$" ZEROS ":" ZEROS, -1 },
		{ "user:SCRAM-SHA-1$4096:QQ==$" ZEROS ":" ZEROS, -1 }, { "user:SCRAM-SHA-256$", -1 }, { "user:SCRAM-SHA-256$4096", -1 },
		{ "user:SCRAM-SHA-256$4095:QQ==$" ZEROS ":" ZEROS, -1 }, { "user:SCRAM-SHA-256$1000001:QQ==$" ZEROS ":" ZEROS, -1 },
		{ "user:SCRAM-SHA-256$:QQ==$" ZEROS ":" ZEROS, -1 }, { "user:SCRAM-SHA-256$ 4096:QQ==$" ZEROS ":" ZEROS, -1 },
		{ "user:SCRAM-SHA-256$4096:$" ZEROS ":" ZEROS, -1 }, { "user:SCRAM-SHA-256$4096:QQ=$" ZEROS ":" ZEROS, -1 },
		{ "user:SCRAM-SHA-256$4096:QQ==$" ZEROS, -1 }, { "user:SCRAM-SHA-256$4096:QQ==$" ZEROS ":", -1 },
		{ "user:SCRAM-SHA-256$4096:QQ==$AAAA:" ZEROS, -1 }, { "user:SCRAM-SHA-256$4096:QQ==$" ZEROS ":" ZEROS " ", -1 },
		{ "user:SCRAM-SHA-256$4096:QQ==$" ZEROS ":" ZEROS ":", -1 },
		{ "user:SCRAM-SHA-256$4096:QQ==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA:" ZEROS, -1 },
		{ "user:SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA$" ZEROS ":" ZEROS, -1 },
	};
	char name[400];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		test_case = cases[i].line;
		CHECK(auth_line(cases[i].line, strlen(cases[i].line)) == cases[i].want);
		for (size_t n = 0; n < strlen(cases[i].line); n++)
			CHECK(n == 0 || *cases[i].line == '#' || auth_line(cases[i].line, n) == -1 || cases[i].line[n] == '\r' ||
			    cases[i].want == -1);
	}
	test_case = "";
	snprintf(name, sizeof name, "%0256d:SCRAM-SHA-256$4096:QQ==$" ZEROS ":" ZEROS, 0);
	CHECK(auth_line(name, strlen(name)) == -1 && auth_line(name + 1, strlen(name) - 1) == 255);
	CHECK(auth_line("us\0er:x", 7) == -1 && !auth_text_valid("", 0) && !auth_text_valid("a\nb", 3) &&
	    !auth_text_valid("\302\233", 2) && auth_text_valid("\302\240", 2) && auth_text_valid("\303\233", 2));
}

static void
files(void)
{
	static const char bad[] = "# mine\n\nuser:secret\n" RFC_LINE "us\0er:x\n";
	char why[200];
	enum auth_result r = said(MECH_PLAIN, encode("\0user\0pencil", 12), NULL, NULL);

	CHECK(r == AUTH_FAILED);
	test_write("passwords", RFC_LINE "\n# two\n" RFC_LINE, 2 * strlen(RFC_LINE) + 7);
	CHECK(auth_accounts("passwords", why, sizeof why) == 2);
	test_write("passwords", RFC_LINE, strlen(RFC_LINE) - 1);	/* no line's end */
	CHECK(auth_accounts("passwords", why, sizeof why) == 1);
	CHECK(said(MECH_PLAIN, encode("\0user\0pencil", 12), NULL, NULL) == AUTH_DONE);
	test_errors_to("errors");
	test_write("passwords", bad, sizeof bad - 1);
	CHECK(auth_accounts("passwords", why, sizeof why) == -1);
	CHECK(strncmp(why, "passwords:3: no verifier", 24) == 0);
	for (int i = 0; i < 3; i++)
		CHECK(said(MECH_PLAIN, encode("\0user\0pencil", 12), NULL, NULL) == AUTH_DONE);
	CHECK_TEXT(test_read("errors"), "passwords:3: no verifier of SCRAM-SHA-256 follows the name: 'smtpd password NAME' makes one: the line is left out\n"
	    "passwords:5: no name of an account and ':' begin the line: the line is left out\n");
	test_write("passwords", bad, 20);		/* it has changed */
	test_errors_to("errors");
	CHECK(said(MECH_PLAIN, encode("\0user\0pencil", 12), NULL, NULL) == AUTH_FAILED && *test_read("errors") != '\0');
	test_errors_to("errors");
	CHECK(unlink("passwords") == 0 && said(MECH_PLAIN, encode("\0user\0pencil", 12), NULL, NULL) == AUTH_UNAVAILABLE);
	CHECK(said(MECH_SCRAM, b64("n,,n=user,r=x"), NULL, NULL) == AUTH_UNAVAILABLE);
	CHECK(strstr(test_read("errors"), "passwords: No such file or directory: nobody can authenticate\n") != NULL);
	CHECK(auth_accounts("passwords", why, sizeof why) == -1 && strstr(why, "No such file") != NULL);
	CHECK(mkfifo("passwords", 0600) == 0 && said(MECH_PLAIN, encode("\0user\0pencil", 12), NULL, NULL) == AUTH_UNAVAILABLE);
	CHECK(auth_accounts("passwords", why, sizeof why) == -1 && strstr(why, "is no file") != NULL && unlink("passwords") == 0);
	CHECK(close(open("passwords", O_WRONLY | O_CREAT, 0600)) == 0 && truncate("passwords", (16 << 20) + 1) == 0);
	CHECK(auth_accounts("passwords", why, sizeof why) == -1 && strstr(why, "16 MB") != NULL);
}

static void
secrets(void)
{
	static const struct { const char *text; size_t n; const char *want; } cases[] = {
		{ "secret", 6, "secret" }, { "secret\n", 7, "secret" }, { " se cret \r\nmore\n", 16, " se cret " }, { "1234567890123456789\n", 20, NULL },
		{ "123456789012345678\n", 19, "123456789012345678" }, { "", 0, NULL }, { "\nx", 2, NULL }, { "a\tb\n", 4, NULL }, { "a\0b\n", 4, "a" },
	};
	char out[20];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *why;

		test_case = cases[i].text;
		test_write("secret", cases[i].text, cases[i].n);
		CHECK(chmod("secret", 0600) == 0);
		why = auth_secret("secret", out, sizeof out);
		CHECK((why == NULL) == (cases[i].want != NULL));
		CHECK_TEXT(out, cases[i].want ? cases[i].want : "");
	}
	test_case = "";
	for (int bit = 1; bit < 0100; bit <<= 1) {
		CHECK(chmod("secret", (mode_t)(0600 | bit)) == 0);
		CHECK(strstr(auth_secret("secret", out, sizeof out), "chmod 600") != NULL && *out == '\0');
	}
	CHECK(auth_secret("no such", out, sizeof out) != NULL && auth_secret(".", out, sizeof out) != NULL);
}

static void
without_memory(void)
{
	struct auth *a;

	test_write("passwords", RFC_LINE, strlen(RFC_LINE));
	memory = test_memory;
	test_memory_nth = 1;
	CHECK(auth_begin(MECH_PLAIN, "passwords") == NULL);
	for (int i = 1; i <= 2; i++) {
		test_memory_nth = i;
		CHECK(sasl_begin(MECH_PLAIN, "user", "pencil") == NULL);
	}
	a = auth_begin(MECH_PLAIN, "passwords");
	test_memory_nth = 1;
	CHECK(auth_take(a, encode("\0user\0pencil", 12)) == AUTH_UNAVAILABLE);
	auth_free(a);
	memory = realloc;
}

int
main(void)
{
	random_open();
	test_enter();
	lines();
	test_write("passwords", RFC_LINE, strlen(RFC_LINE));
	example_server(true);
	example_server(false);
	wrong_turns();
	forgeries();
	mutations();
	example_as_client();
	wrong_servers();
	server_mutations();
	auth_nonce = NULL;
	other_clients();
	{
		struct buf b = { 0 };

		CHECK(buf_addf(&b, RFC_LINE) == 0 && auth_verifier(&b, "one", "x", 4096) == 0 &&
		    auth_verifier(&b, "M\303\274ller, =", "p\303\244ss \" w\303\266rd", 5000) == 0);
		test_write("passwords", b.data, b.len);
		buf_free(&b);
	}
	plain_cases();
	login_cases();
	plain_mutations();
	indistinguishable();
	salts();
	both();
	remembered();
	files();
	secrets();
	without_memory();
	return test_end();
}
