/*
 * digest.c - SHA-256 and what is made of it, and base64.
 *
 *	SHA-256 (FIPS 180-4)  ->  HMAC (RFC 2104)  ->  PBKDF2 (RFC 8018)
 *
 * What is hashed is a chain of blocks of 64 octets, and an HMAC begins with a
 * block that depends on its key alone: so the states behind those two blocks
 * stand for a key, and PBKDF2, which uses one key thousands of times, costs two
 * blocks an iteration.  It goes in steps, for nobody else is served meanwhile.
 *
 * Nothing here branches on a secret, nor looks one up in a table, but for the
 * digits of base64.
 */
#include "smtpd.h"

#include <string.h>

/* ---- octets ------------------------------------------------------------------- */

/* Whom this calls is known when it is called, and not before: so it is called. */
static void *(*const volatile fill)(void *, int, size_t) = memset;

void
wipe(void *octets, size_t n)
{
	if (n > 0)
		fill(octets, 0, n);
}

bool
octets_same(const void *a, const void *b, size_t n)
{
	const volatile unsigned char *p = a, *q = b;
	unsigned char different = 0;

	while (n-- > 0)
		different |= (unsigned char)(*p++ ^ *q++);
	return different == 0;
}

static uint32_t
load(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void
store(unsigned char *p, uint32_t n)
{
	p[0] = (unsigned char)(n >> 24);
	p[1] = (unsigned char)(n >> 16);
	p[2] = (unsigned char)(n >> 8);
	p[3] = (unsigned char)n;
}

/* ---- SHA-256 --------------------------------------------------------------------- */

static const uint32_t first_state[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
};

static const uint32_t k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};

#define ROTATE(x, n) ((x) >> (n) | (x) << (32 - (n)))

/* Round i of 64: instead of moving the eight words, the next round calls them
 * by other names.  The schedule is made on the way, in a ring of 16 words. */
#define ROUND(a, b, c, d, e, f, g, h, i) ( \
	h += (ROTATE(e, 6) ^ ROTATE(e, 11) ^ ROTATE(e, 25)) + (g ^ (e & (f ^ g))) + k[i] + w[(i) & 15], \
	d += h, \
	h += (ROTATE(a, 2) ^ ROTATE(a, 13) ^ ROTATE(a, 22)) + ((a & b) | (c & (a | b))))
#define EXPAND(i) (w[(i) & 15] += w[((i) + 9) & 15] + \
	(ROTATE(w[((i) + 1) & 15], 7) ^ ROTATE(w[((i) + 1) & 15], 18) ^ w[((i) + 1) & 15] >> 3) + \
	(ROTATE(w[((i) + 14) & 15], 17) ^ ROTATE(w[((i) + 14) & 15], 19) ^ w[((i) + 14) & 15] >> 10))
#define EIGHT(i) ( \
	ROUND(a, b, c, d, e, f, g, h, i), ROUND(h, a, b, c, d, e, f, g, i + 1), \
	ROUND(g, h, a, b, c, d, e, f, i + 2), ROUND(f, g, h, a, b, c, d, e, i + 3), \
	ROUND(e, f, g, h, a, b, c, d, i + 4), ROUND(d, e, f, g, h, a, b, c, i + 5), \
	ROUND(c, d, e, f, g, h, a, b, i + 6), ROUND(b, c, d, e, f, g, h, a, i + 7))
#define EXPAND_EIGHT(i) ( \
	EXPAND(i), EXPAND(i + 1), EXPAND(i + 2), EXPAND(i + 3), EXPAND(i + 4), EXPAND(i + 5), EXPAND(i + 6), EXPAND(i + 7))

/* One block, which is used up. */
static void
compress(uint32_t state[8], uint32_t w[16])
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
	uint32_t e = state[4], f = state[5], g = state[6], h = state[7];

	EIGHT(0);
	EIGHT(8);
	for (int i = 16; i < 64; i += 16) {
		EXPAND_EIGHT(0);
		EIGHT(i);
		EXPAND_EIGHT(8);
		EIGHT(i + 8);
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
	state[5] += f;
	state[6] += g;
	state[7] += h;
}

static void
block_take(struct sha256 *s, const unsigned char *block)
{
	for (int i = 0; i < 16; i++)
		s->w[i] = load(block + 4 * i);
	compress(s->state, s->w);
}

void
sha256_begin(struct sha256 *s)
{
	memcpy(s->state, first_state, sizeof s->state);
	s->octets = 0;
}

void
sha256_add(struct sha256 *s, const void *octets, size_t n)
{
	const unsigned char *p = octets;
	size_t used = s->octets % SHA256_BLOCK, part;

	s->octets += n;
	for (; n > 0; p += part, n -= part, used = 0) {
		part = SHA256_BLOCK - used < n ? SHA256_BLOCK - used : n;
		if (part == SHA256_BLOCK) {
			block_take(s, p);
			continue;
		}
		memcpy(s->block + used, p, part);
		if (used + part == SHA256_BLOCK)
			block_take(s, s->block);
	}
}

void
sha256_end(struct sha256 *s, unsigned char digest[SHA256_OCTETS])
{
	static const unsigned char padding[SHA256_BLOCK] = { 0x80 };
	unsigned char length[8];
	uint64_t bits = s->octets * 8;

	store(length, (uint32_t)(bits >> 32));
	store(length + 4, (uint32_t)bits);
	sha256_add(s, padding, 1 + (2 * SHA256_BLOCK - 9 - s->octets % SHA256_BLOCK) % SHA256_BLOCK);
	sha256_add(s, length, sizeof length);
	for (int i = 0; i < 8; i++)
		store(digest + 4 * i, s->state[i]);
	wipe(s, sizeof *s);
}

void
sha256(const void *octets, size_t n, unsigned char digest[SHA256_OCTETS])
{
	struct sha256 s;

	sha256_begin(&s);
	sha256_add(&s, octets, n);
	sha256_end(&s, digest);
}

/* ---- HMAC -------------------------------------------------------------------------- */

void
hmac_begin(struct hmac *h, const void *key, size_t n)
{
	unsigned char pad[SHA256_BLOCK] = { 0 };

	if (n > sizeof pad)
		sha256(key, n, pad);
	else if (n > 0)
		memcpy(pad, key, n);
	for (size_t i = 0; i < sizeof pad; i++)
		pad[i] ^= 0x36;
	sha256_begin(&h->inner);
	sha256_add(&h->inner, pad, sizeof pad);
	for (size_t i = 0; i < sizeof pad; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	sha256_begin(&h->outer);
	sha256_add(&h->outer, pad, sizeof pad);
	wipe(pad, sizeof pad);
}

void
hmac_add(struct hmac *h, const void *octets, size_t n)
{
	sha256_add(&h->inner, octets, n);
}

void
hmac_end(struct hmac *h, unsigned char digest[SHA256_OCTETS])
{
	sha256_end(&h->inner, digest);
	sha256_add(&h->outer, digest, SHA256_OCTETS);
	sha256_end(&h->outer, digest);
}

void
hmac(const void *key, size_t key_n, const void *octets, size_t n, unsigned char digest[SHA256_OCTETS])
{
	struct hmac h;

	hmac_begin(&h, key, key_n);
	hmac_add(&h, octets, n);
	hmac_end(&h, digest);
}

/* ---- PBKDF2 -------------------------------------------------------------------------- */

void
pbkdf2_begin(struct pbkdf2 *p, const char *password, size_t n, const void *salt, size_t salt_n, long iterations)
{
	static const unsigned char first_block[4] = { 0, 0, 0, 1 };
	unsigned char digest[SHA256_OCTETS];
	struct hmac h;

	hmac_begin(&h, password, n);
	memcpy(p->inner, h.inner.state, sizeof p->inner);
	memcpy(p->outer, h.outer.state, sizeof p->outer);
	hmac_add(&h, salt, salt_n);
	hmac_add(&h, first_block, sizeof first_block);
	hmac_end(&h, digest);
	for (int i = 0; i < 8; i++)
		p->last[i] = p->sum[i] = load(digest + 4 * i);
	p->left = iterations - 1;
	wipe(digest, sizeof digest);
}

/* The digest `last' behind the block that `key' stands for. */
static void
behind(struct pbkdf2 *p, const uint32_t key[8])
{
	memset(p->w, 0, sizeof p->w);
	memcpy(p->w, p->last, sizeof p->last);
	p->w[8] = 0x80000000;
	p->w[15] = (SHA256_BLOCK + SHA256_OCTETS) * 8;
	memcpy(p->last, key, sizeof p->last);
	compress(p->last, p->w);
}

bool
pbkdf2_step(struct pbkdf2 *p, long budget, unsigned char key[SHA256_OCTETS])
{
	for (; p->left > 0 && budget > 0; p->left--, budget--) {
		behind(p, p->inner);
		behind(p, p->outer);
		for (int i = 0; i < 8; i++)
			p->sum[i] ^= p->last[i];
	}
	if (p->left > 0)
		return false;
	for (int i = 0; i < 8; i++)
		store(key + 4 * i, p->sum[i]);
	wipe(p, sizeof *p);
	return true;
}

/* ---- base64 -------------------------------------------------------------------------- */

size_t
base64_encode(char *out, const void *octets, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = octets;
	char *to = out;

	for (size_t i = 0; i < n; i += 3, to += 4) {
		uint32_t w = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);

		to[0] = digits[w >> 18];
		to[1] = digits[w >> 12 & 63];
		to[2] = i + 1 < n ? digits[w >> 6 & 63] : '=';
		to[3] = i + 2 < n ? digits[w & 63] : '=';
	}
	*to = '\0';
	return (size_t)(to - out);
}

static int
digit(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 :
	    c >= '0' && c <= '9' ? c - '0' + 52 : c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Each text stands for octets that no other text stands for: the padding is
 * there, and the bits that it leaves over are 0. */
long
base64_decode(void *out, const char *text, size_t n)
{
	unsigned char *to = out;
	uint32_t bits = 0;
	size_t pads = 0, i;

	while (pads < 2 && pads < n && text[n - 1 - pads] == '=')
		pads++;
	if (n % 4 != 0)
		return -1;
	for (i = 0; i < n - pads; i++) {
		int d = digit(text[i]);

		if (d == -1)
			return -1;
		bits = bits << 6 | (uint32_t)d;
		if (i % 4 > 0)
			*to++ = (unsigned char)(bits >> (6 - 2 * (i % 4)));
	}
	if ((pads == 1 && (bits & 3) != 0) || (pads == 2 && (bits & 15) != 0))
		return -1;
	return (long)(to - (unsigned char *)out);
}
