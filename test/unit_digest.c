/*
 * unit_digest.c - published vectors, however the octets come in pieces; and that
 * base64 has one text for each octets.
 */
#include "test.h"

#include <time.h>

static const char *
hex(const unsigned char *octets, size_t n)
{
	static char text[2 * 64 + 1];

	for (size_t i = 0; i < n; i++)
		snprintf(text + 2 * i, 3, "%02x", octets[i]);
	return text;
}

/* ---- SHA-256: FIPS 180-4's examples, and their usual company ------------------ */

static const struct { const char *text, *want; } hashed[] = {
	{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
	  "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
};

static void
hash_vectors(void)
{
	unsigned char digest[SHA256_OCTETS], a[1000];
	struct sha256 s;

	for (size_t i = 0; i < sizeof hashed / sizeof *hashed; i++) {
		size_t n = strlen(hashed[i].text);

		for (size_t piece = 1; piece <= n + 1; piece++) {
			sha256_begin(&s);
			for (size_t at = 0; at < n; at += piece)
				sha256_add(&s, hashed[i].text + at, n - at < piece ? n - at : piece);
			sha256_end(&s, digest);
			CHECK_TEXT(hex(digest, sizeof digest), hashed[i].want);
		}
	}
	memset(a, 'a', sizeof a);
	sha256_begin(&s);
	for (int i = 0; i < 1000; i++)
		sha256_add(&s, a, sizeof a);
	sha256_end(&s, digest);
	CHECK_TEXT(hex(digest, sizeof digest), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* Every length about a block's, by one call and octet by octet; the digest of all
 * those digests was made by another program. */
static void
hash_lengths(void)
{
	unsigned char digest[SHA256_OCTETS], again[SHA256_OCTETS], octets[200];
	struct sha256 all, s;

	sha256_begin(&all);
	for (size_t i = 0; i < sizeof octets; i++)
		octets[i] = (unsigned char)(i * 7 + 3);
	for (size_t n = 0; n <= sizeof octets; n++) {
		sha256(octets, n, digest);
		sha256_begin(&s);
		for (size_t i = 0; i < n; i++)
			sha256_add(&s, octets + i, 1);
		sha256_end(&s, again);
		CHECK(memcmp(digest, again, sizeof digest) == 0);
		sha256_add(&all, digest, sizeof digest);
	}
	sha256_end(&all, digest);
	CHECK_TEXT(hex(digest, sizeof digest), "3275febb4612d86d586eb9f11cd21e648a9fc7d95e0f6b8d362786e28c9c5b79");
}

/* ---- HMAC: RFC 4231 ------------------------------------------------------------------ */

struct repeated {			/* octets, or one of them so many times */
	const char *text;
	size_t n;
	int octet;
};

static const struct { struct repeated key, data; const char *want; } signed_[] = {
	{ { NULL, 20, 0x0b }, { "Hi There", 8, 0 }, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
	{ { "Jefe", 4, 0 }, { "what do ya want for nothing?", 28, 0 },
	  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
	{ { NULL, 20, 0xaa }, { NULL, 50, 0xdd }, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
	{ { "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24\25\26\27\30\31", 25, 0 }, { NULL, 50, 0xcd },
	  "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
	{ { NULL, 20, 0x0c }, { "Test With Truncation", 20, 0 }, "a3b6167473100ee06e0c796c2955552b" },
	{ { NULL, 131, 0xaa }, { "Test Using Larger Than Block-Size Key - Hash Key First", 54, 0 },
	  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
	{ { NULL, 131, 0xaa }, { "This is a test using a larger than block-size key and a larger than block-size data. "
	    "The key needs to be hashed before being used by the HMAC algorithm.", 152, 0 },
	  "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
};

static const void *
repeat(const struct repeated *r, char out[200])
{
	if (r->text != NULL)
		return r->text;
	return memset(out, r->octet, r->n);
}

static void
hmac_vectors(void)
{
	unsigned char digest[SHA256_OCTETS];
	char key[200], data[200];

	for (size_t i = 0; i < sizeof signed_ / sizeof *signed_; i++) {
		hmac(repeat(&signed_[i].key, key), signed_[i].key.n, repeat(&signed_[i].data, data), signed_[i].data.n, digest);
		CHECK_TEXT(hex(digest, strlen(signed_[i].want) / 2), signed_[i].want);
	}
}

/* ---- PBKDF2: the first blocks of RFC 7914 section 11 ----------------------------------- */

static const struct { const char *password, *salt; long iterations; const char *want; } derived[] = {
	{ "passwd", "salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc" },
	{ "Password", "NaCl", 80000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56" },
};

static void
derive_vectors(void)
{
	static const struct pbkdf2 nothing;
	static const long budgets[] = { 1, 7, 1000, 79999, 80000, 1000000 };
	unsigned char key[SHA256_OCTETS];
	struct pbkdf2 p;

	for (size_t i = 0; i < sizeof derived / sizeof *derived; i++)
		for (size_t k = 0; k < sizeof budgets / sizeof *budgets; k++) {
			long steps = 1;

			pbkdf2_begin(&p, derived[i].password, strlen(derived[i].password), derived[i].salt,
			    strlen(derived[i].salt), derived[i].iterations);
			for (; !pbkdf2_step(&p, budgets[k], key); steps++)
				;
			CHECK_TEXT(hex(key, sizeof key), derived[i].want);
			CHECK(steps == 1 || steps == (derived[i].iterations - 1 + budgets[k] - 1) / budgets[k]);
			CHECK(memcmp(&p, &nothing, sizeof p) == 0);
		}
}

/* ---- base64 -------------------------------------------------------------------------------- */

static const char *const encoded[][2] = {	/* RFC 4648 section 10 */
	{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
};

static const char *const wrong[] = {
	"Z", "Zg", "Zg=", "Zg===", "=", "==", "===", "====", "Zh==", "Zm9=", "Zm9w=", "Zm9v=", "Zm9vZ", "Z===", "Zg==Zg==",
	"Z=g=", "=Zg=", "Zg= ", " Zg==", "Zg==\n", "Zm 9v", "Zm9\n", "Zm9-", "Zm9_", "Zm9.", "Zm9\200", "Zm=v", "Zm==Zm9v",
};

static void
texts(void)
{
	char text[BASE64_SIZE(200)], octets[200];

	for (size_t i = 0; i < sizeof encoded / sizeof *encoded; i++) {
		size_t n = strlen(encoded[i][0]);

		CHECK(base64_encode(text, encoded[i][0], n) == strlen(encoded[i][1]));
		CHECK_TEXT(text, encoded[i][1]);
		CHECK(base64_decode(text, text, strlen(text)) == (long)n && memcmp(text, encoded[i][0], n) == 0);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		test_case = wrong[i];
		CHECK(base64_decode(octets, wrong[i], strlen(wrong[i])) == -1);
	}
	test_case = "";
}

/* All of one length: what is decoded at all is encoded so, and nothing else is. */
static void
one_text_each(void)
{
	char text[4], again[BASE64_SIZE(3)], octets[3];
	static const char digits[] = "AQgwBCDZ/+=9az-. ";
	long right = 0;

	for (int i = 0; i < 17 * 17 * 17 * 17; i++) {
		for (int k = 0, n = i; k < 4; k++, n /= 17)
			text[k] = digits[n % 17];
		long n = base64_decode(octets, text, 4);

		if (n == -1)
			continue;
		base64_encode(again, octets, (size_t)n);
		CHECK(memcmp(again, text, 4) == 0);
		right++;
	}
	CHECK(right == 13L * 13 * 13 * 13 + 13 * 13 * 4 + 13 * 4);
	for (int i = 0; i < 1 << 16; i++) {
		octets[0] = (char)i;
		octets[1] = (char)(i >> 8);
		base64_encode(again, octets, 2);
		CHECK(base64_decode(text, again, 4) == 2 && memcmp(text, octets, 2) == 0);
	}
}

static void
comparison(void)
{
	unsigned char a[40], b[40];

	for (size_t i = 0; i < sizeof a; i++)
		a[i] = b[i] = (unsigned char)i;
	CHECK(octets_same(a, b, sizeof a) && octets_same(a, b, 0));
	for (size_t i = 0; i < sizeof a * 8; i++) {
		b[i / 8] ^= (unsigned char)(1 << i % 8);
		CHECK(!octets_same(a, b, sizeof a) && octets_same(a, b, i / 8));
		b[i / 8] ^= (unsigned char)(1 << i % 8);
	}
	wipe(a + 1, sizeof a - 2);
	for (size_t i = 1; i < sizeof a - 1; i++)
		CHECK(a[i] == 0);
	CHECK(a[39] == 39);
}

/* `unit_digest speed' tells it. */
static void
speed(void)
{
	static unsigned char octets[1 << 20], digest[SHA256_OCTETS];
	struct pbkdf2 p;
	clock_t t = clock();

	for (int i = 0; i < 256; i++)
		sha256(octets, sizeof octets, digest);
	printf("SHA-256: %.0f MB/s\n", 256 * 1.048576 / ((double)(clock() - t) / CLOCKS_PER_SEC));
	t = clock();
	pbkdf2_begin(&p, "password", 8, "salt", 4, 409600);
	pbkdf2_step(&p, 409600, digest);
	printf("PBKDF2: %.0f us for 4096 iterations\n", (double)(clock() - t) / CLOCKS_PER_SEC * 1e6 / 100);
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "speed") == 0)
		speed();
	hash_vectors();
	hash_lengths();
	hmac_vectors();
	derive_vectors();
	texts();
	one_text_each();
	comparison();
	return test_end();
}
