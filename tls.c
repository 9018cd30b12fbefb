/*
 * tls.c - OpenSSL, or stubs: no other file knows it, nor whether it is there.
 *
 * A context is what one side brings to every connection: as a server its
 * certificates, as a client whom it believes.  It lives in a configuration, so
 * certificates are read again with it, and a connection goes on with those it
 * began with.
 *
 * What is true here:
 *  - Certificates that say the same names stand in one chain, one for each kind
 *    of key, and the client's abilities choose among them.  The name it asks for
 *    (SNI) chooses among the chains; one that nobody has gets the first.
 *  - Sessions are resumed by tickets, which the client keeps: a connection that
 *    is over leaves nothing behind.
 *  - Nothing blocks, and one call takes one record.  What reading and writing
 *    wait for stands apart, for either may need the other.
 *  - Who sends more of the protocol than of his own is cut off (MESSAGES).
 *  - After an error of the protocol a stream is broken, and no more is said on it.
 */
#include "smtpd.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef WITH_OPENSSL

#include <openssl/ssl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

/* Of TLS 1.2 only what has forward secrecy and is authenticated, RFC 9325 4.2;
 * all of TLS 1.3 is. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
#define MESSAGES 100		/* of the protocol, and no data: then it is enough */
/* Not the finite fields: 2048 bits are few, and 8192 a way to keep a server busy. */
#define GROUPS  "X25519:P-256:P-384:P-521"

const bool tls_built = true;

struct chain {
	SSL_CTX *ctx;
	X509 *leaf;		/* the first one's: it says the names */
	unsigned kinds;		/* of keys that it has certificates for */
	struct chain *next;
};

struct tls_context {
	struct chain *chains;	/* a server's; a client has one without a leaf */
};

struct tls {
	SSL *ssl;
	bool shaken, broken;
	short reads, writes;	/* what that waits for: POLLIN, POLLOUT */
	int messages;		/* of the protocol, since there were data */
	char words[TLS_WORDS];
};

const char *
tls_library(void)
{
	return OpenSSL_version(OPENSSL_VERSION);
}

/* The first of the library's complaints: those that follow say which of its parts heard of it. */
static const char *
reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_error());

	return text != NULL ? text : errno != 0 ? strerror(errno) : "the library does not say why";
}

/* ---- contexts ------------------------------------------------------------------------- */

/* Nobody is there to be asked for it; *asked: it was needed. */
static int
no_passphrase(char *out, int size, int writing, void *asked)
{
	(void)out, (void)size, (void)writing;
	if (asked != NULL)
		*(bool *)asked = true;
	return -1;
}

/* A certificate of the client's is looked at, and refuses nothing. */
static int
accept_any(int good, X509_STORE_CTX *ctx)
{
	(void)good, (void)ctx;
	return 1;
}

/* Key updates and tickets cost us work, and the other side next to nothing. */
static void
watch(int sent, int version, int type, const void *octets, size_t n, SSL *ssl, void *with)
{
	struct tls *t = with;

	(void)version, (void)octets, (void)n, (void)ssl;
	if (!sent && type == SSL3_RT_HANDSHAKE && t != NULL && t->shaken)
		t->messages++;
}

static SSL_CTX *
context_new(const SSL_METHOD *method, int minimum)
{
	SSL_CTX *ctx = SSL_CTX_new(method);
	uint64_t options = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE;

	if (ctx == NULL)
		return NULL;
#ifdef SSL_OP_CLEANSE_PLAINTEXT
	options |= SSL_OP_CLEANSE_PLAINTEXT;
#endif
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF	/* SMTP itself says where it ends */
	options |= SSL_OP_IGNORE_UNEXPECTED_EOF;
#endif
	SSL_CTX_set_options(ctx, options);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_msg_callback(ctx, watch);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	SSL_CTX_set_min_proto_version(ctx, minimum == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
	return ctx;
}

void
tls_context_free(struct tls_context *c)
{
	while (c != NULL && c->chains != NULL) {
		struct chain *next = c->chains->next;

		SSL_CTX_free(c->chains->ctx);
		X509_free(c->chains->leaf);
		free(c->chains);
		c->chains = next;
	}
	free(c);
}

/* The certificate itself, which comes first in its file; or NULL. */
static X509 *
leaf_read(const char *file)
{
	BIO *in;
	X509 *leaf;

	ERR_clear_error();
	errno = 0;
	in = BIO_new_file(file, "r");
	leaf = in != NULL ? PEM_read_bio_X509(in, NULL, no_passphrase, NULL) : NULL;
	BIO_free(in);
	return leaf;
}

/* A bit for each kind of key that can stand beside others. */
static unsigned
leaf_kind(const X509 *leaf)
{
	switch (EVP_PKEY_base_id(X509_get0_pubkey(leaf))) {
	case EVP_PKEY_RSA: return 1;
	case EVP_PKEY_EC:  return 2;
	default:           return 4;
	}
}

/* Does a say names, each of which is one of b's too?  At most size octets of them
 * go to out, when it is not NULL. */
static bool
names_within(X509 *a, X509 *b, char *out, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(a, NID_subject_alt_name, NULL, NULL);
	bool all = true, any = false;
	size_t used = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		const char *text;
		size_t n;

		if (name->type != GEN_DNS)
			continue;
		text = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
		n = (size_t)ASN1_STRING_length(name->d.dNSName);
		any = true;
		if (b != NULL && X509_check_host(b, text, n, *text == '*' ? X509_CHECK_FLAG_NO_WILDCARDS : 0, NULL) != 1)
			all = false;
		if (out != NULL && used + n + 2 < size)
			used += (size_t)snprintf(out + used, size - used, "%s%.*s", used > 0 ? " " : "", (int)n, text);
	}
	GENERAL_NAMES_free(names);
	return all && any;
}

/* The chain that this certificate joins, or a new one; NULL: memory is out. */
static struct chain *
chain_for(struct tls_context *c, X509 *leaf, int minimum)
{
	struct chain **at = &c->chains, *n;

	for (; *at != NULL; at = &(*at)->next)
		if (!((*at)->kinds & leaf_kind(leaf)) && names_within(leaf, (*at)->leaf, NULL, 0) &&
		    names_within((*at)->leaf, leaf, NULL, 0))
			return *at;
	if ((n = memory(NULL, sizeof *n)) == NULL)
		return NULL;
	*n = (struct chain){ context_new(TLS_server_method(), minimum), NULL, 0, NULL };
	if (n->ctx == NULL) {
		free(n);
		return NULL;
	}
	X509_up_ref(leaf);
	n->leaf = leaf;
	SSL_CTX_set_cipher_list(n->ctx, CIPHERS);
	SSL_CTX_set1_groups_list(n->ctx, GROUPS);
	SSL_CTX_set_session_id_context(n->ctx, (const unsigned char *)"smtpd", 5);
	return *at = n;
}

/* The files of a certificate, for a context. */
static int
certificate_use(SSL_CTX *ctx, const struct certificate *from, char *why, size_t size)
{
	bool encrypted = false;
	int error = 0;

	ERR_clear_error();
	errno = 0;
	SSL_CTX_set_default_passwd_cb_userdata(ctx, &encrypted);	/* read here, and never again */
	if (SSL_CTX_use_certificate_chain_file(ctx, from->file) != 1)
		snprintf(why, size, "'%s' has no certificate that can be used: %s", from->file, reason());
	else if (SSL_CTX_use_PrivateKey_file(ctx, from->key, SSL_FILETYPE_PEM) != 1 && !encrypted &&
	    (error = ERR_GET_REASON(ERR_peek_last_error())) != X509_R_KEY_VALUES_MISMATCH)
		snprintf(why, size, "'%s' has no private key that can be used: %s", from->key, reason());
	else if (encrypted)
		snprintf(why, size, "the key in '%s' is encrypted, and nobody is there to be asked for its passphrase; store it without one", from->key);
	else if (error != 0 || SSL_CTX_check_private_key(ctx) != 1)	/* the latter: it is of another kind */
		snprintf(why, size, "the key in '%s' does not belong to the certificate", from->key);
	else
		return 0;
	return -1;
}

/* The client has named whom it wants to speak to. */
static int
choose(SSL *ssl, int *alert, void *with)
{
	const struct tls_context *c = with;
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	(void)alert;
	for (int round = 0; name != NULL && round < 2; round++)	/* a wildcard comes second */
		for (const struct chain *n = c->chains; n != NULL; n = n->next)
			if (X509_check_host(n->leaf, name, 0, round == 0 ? X509_CHECK_FLAG_NO_WILDCARDS : 0, NULL) == 1) {
				SSL_set_SSL_CTX(ssl, n->ctx);
				return SSL_TLSEXT_ERR_OK;
			}
	return SSL_TLSEXT_ERR_NOACK;
}

/* Ask clients for a certificate that one of these has signed. */
static int
ask_clients(SSL_CTX *ctx, const char *authorities, char *why, size_t size)
{
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(authorities);

	if (names == NULL || SSL_CTX_load_verify_locations(ctx, authorities, NULL) != 1) {
		snprintf(why, size, "'%s' has no certificates that can be used: %s", authorities, reason());
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return -1;
	}
	SSL_CTX_set_client_CA_list(ctx, names);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_any);
	return 0;
}

struct tls_context *
tls_server(const struct certificate **list, int minimum, const char *authorities, char *why, size_t size)
{
	struct tls_context *c = memory(NULL, sizeof *c);

	snprintf(why, size, "memory is out");
	if (c == NULL)
		return NULL;
	c->chains = NULL;
	for (; *list != NULL; *list = (*list)->next) {
		X509 *leaf = leaf_read((*list)->file);
		struct chain *n = leaf != NULL ? chain_for(c, leaf, minimum) : NULL;
		bool good = n != NULL && certificate_use(n->ctx, *list, why, size) == 0;

		if (leaf == NULL)
			snprintf(why, size, "'%s' has no certificate that can be used: %s", (*list)->file, reason());
		if (good)
			n->kinds |= leaf_kind(leaf);
		X509_free(leaf);
		if (!good || (n->next == NULL && authorities != NULL && ask_clients(n->ctx, authorities, why, size) == -1)) {
			tls_context_free(c);
			return NULL;
		}
	}
	SSL_CTX_set_tlsext_servername_callback(c->chains->ctx, choose);
	SSL_CTX_set_tlsext_servername_arg(c->chains->ctx, c);
	return c;
}

/* Whom a client believes; where a list of revoked certificates stands among
 * them, every server's must be covered by one. */
static int
believe(SSL_CTX *ctx, const char *authorities)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	STACK_OF(X509_OBJECT) *all;

	if (authorities == NULL)
		return SSL_CTX_set_default_verify_paths(ctx) == 1 ? 0 : -1;
	if (SSL_CTX_load_verify_locations(ctx, authorities, NULL) != 1)
		return -1;
	all = X509_STORE_get0_objects(store);
	for (int i = 0; i < sk_X509_OBJECT_num(all); i++)
		if (X509_OBJECT_get_type(sk_X509_OBJECT_value(all, i)) == X509_LU_CRL)
			X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
	return 0;
}

bool
tls_store(void)
{
	const char *file = getenv(X509_get_default_cert_file_env()), *folder = getenv(X509_get_default_cert_dir_env());
	DIR *d;
	struct dirent *e = NULL;
	size_t n = 0;

	if (access(file != NULL ? file : X509_get_default_cert_file(), R_OK) == 0)
		return true;
	if ((d = opendir(folder != NULL ? folder : X509_get_default_cert_dir())) == NULL)
		return false;
	do
		n = (e = readdir(d)) != NULL ? strlen(e->d_name) : 0;
	while (e != NULL && (n < 3 || strcmp(e->d_name + n - 2, ".0") != 0));	/* it looks for HASH.0 */
	closedir(d);
	return e != NULL;
}

struct tls_context *
tls_client(const struct certificate *own, const char *authorities, char *why, size_t size)
{
	struct tls_context *c = memory(NULL, sizeof *c);
	struct chain *n = memory(NULL, sizeof *n);

	snprintf(why, size, "memory is out");
	if (n != NULL)
		*n = (struct chain){ context_new(TLS_client_method(), TLS_1_2), NULL, 0, NULL };
	if (c == NULL || n == NULL || n->ctx == NULL) {
		free(c);
		free(n);
		return NULL;
	}
	c->chains = n;
	ERR_clear_error();
	errno = 0;
	if (believe(n->ctx, authorities) == -1)
		snprintf(why, size, "'%s' has no certificates that can be used: %s", authorities ? authorities : "the system", reason());
	else if (own == NULL || certificate_use(n->ctx, own, why, size) == 0)
		return c;
	tls_context_free(c);
	return NULL;
}

/* Does it lead, by what stands behind it in its file, to an authority that this
 * system knows?  Else why says it.  When it is valid is not asked. */
static void
chain_look(X509 *leaf, const char *file, char *why, size_t size)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *v = X509_STORE_CTX_new();
	STACK_OF(X509) *more = sk_X509_new_null();
	BIO *in = BIO_new_file(file, "r");
	X509 *one;

	snprintf(why, size, "memory is out");
	while (more != NULL && in != NULL && (one = PEM_read_bio_X509(in, NULL, no_passphrase, NULL)) != NULL)
		if (sk_X509_push(more, one) == 0)
			X509_free(one);
	if (store != NULL && v != NULL && X509_STORE_set_default_paths(store) == 1 && X509_STORE_CTX_init(v, store, leaf, more) == 1) {
		X509_STORE_CTX_set_flags(v, X509_V_FLAG_NO_CHECK_TIME);
		*why = '\0';
		if (X509_verify_cert(v) != 1)
			snprintf(why, size, "%s", X509_verify_cert_error_string(X509_STORE_CTX_get_error(v)));
	}
	BIO_free(in);
	sk_X509_pop_free(more, X509_free);
	X509_STORE_CTX_free(v);
	X509_STORE_free(store);
}

int
tls_look(const struct certificate *from, const char *hostname, struct tls_facts *f, char *why, size_t size)
{
	X509 *leaf = leaf_read(from->file);
	EVP_PKEY *key = leaf != NULL ? X509_get0_pubkey(leaf) : NULL;
	struct tm tm;

	memset(f, 0, sizeof *f);
	if (key == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &tm) != 1) {
		snprintf(why, size, "'%s' has no certificate that can be used: %s", from->file, reason());
		X509_free(leaf);
		return -1;
	}
	f->expires = second_from_civil((int[6]){ tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec });
	snprintf(f->kind, sizeof f->kind, "%s %d", EVP_PKEY_base_id(key) == EVP_PKEY_RSA ? "RSA" :
	    EVP_PKEY_base_id(key) == EVP_PKEY_EC ? "ECDSA" : "EdDSA", EVP_PKEY_bits(key));
	names_within(leaf, NULL, f->names, sizeof f->names);
	f->named = X509_check_host(leaf, hostname, 0, 0, NULL) == 1;
	f->self_signed = X509_check_issued(leaf, leaf) == X509_V_OK;
	chain_look(leaf, from->file, f->chain, sizeof f->chain);
	X509_free(leaf);
	return 0;
}

/* ---- streams ----------------------------------------------------------------------------- */

struct tls *
tls_open(const struct tls_context *c, int fd, const char *name, bool verify)
{
	struct tls *t = memory(NULL, sizeof *t);
	struct addr a;
	bool named = name != NULL && addr_parse(&a, name, false) == -1;

	if (t == NULL)
		return NULL;
	memset(t, 0, sizeof *t);
	t->reads = POLLIN;
	if ((t->ssl = SSL_new(c->chains->ctx)) == NULL || SSL_set_fd(t->ssl, fd) != 1 ||
	    (named && (SSL_set_tlsext_host_name(t->ssl, name) != 1 || SSL_set1_host(t->ssl, name) != 1)) ||
	    (name != NULL && !named && X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), name) != 1)) {
		SSL_free(t->ssl);
		free(t);
		return NULL;
	}
	SSL_set_msg_callback_arg(t->ssl, t);
	if (name == NULL) {
		SSL_set_accept_state(t->ssl);
		return t;
	}
	SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);	/* RFC 9525 6.3 */
	if (verify)
		SSL_set_verify(t->ssl, SSL_VERIFY_PEER, NULL);
	SSL_set_connect_state(t->ssl);
	t->reads = POLLOUT;
	return t;
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	ERR_clear_error();
	if (t->shaken && !t->broken)
		SSL_shutdown(t->ssl);		/* it is said, not waited for */
	SSL_free(t->ssl);
	free(t);
}

/* What an answer of the library's means, in the way of read and write; *waits is
 * for what, then. */
static ssize_t
outcome(struct tls *t, int answer, short *waits)
{
	int error = SSL_get_error(t->ssl, answer);

	*waits = error == SSL_ERROR_WANT_READ ? POLLIN : error == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
	if (*waits != 0 && t->messages <= MESSAGES) {
		errno = EAGAIN;
		return -1;
	}
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (error != SSL_ERROR_SYSCALL || errno == 0)
		errno = ECONNRESET;
	t->broken = true;
	return -1;
}

/* What it is that protects this stream, and who the other side is. */
static void
describe(struct tls *t)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
	X509 *peer = SSL_get_peer_certificate(t->ssl);
	const char *name = SSL_CIPHER_standard_name(cipher);
	char text[65] = "", safe[65 * 4];

	if (peer != NULL && SSL_is_server(t->ssl))
		X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, text, sizeof text);
	snprintf(t->words, sizeof t->words, "%s %s%s%s%s%.100s", SSL_get_version(t->ssl), name ? name : SSL_CIPHER_get_name(cipher),
	    SSL_session_reused(t->ssl) ? " resumed" : "",
	    peer == NULL ? "" : SSL_get_verify_result(t->ssl) == X509_V_OK ? " verified" : " unverified",
	    *text ? " " : "", text_safe(safe, sizeof safe, text, strlen(text)));
	X509_free(peer);
}

int
tls_handshake(struct tls *t, char *why, size_t size)
{
	long verdict;
	int answer;

	ERR_clear_error();
	errno = 0;
	if ((answer = SSL_do_handshake(t->ssl)) == 1) {
		t->shaken = true;
		t->reads = 0;
		describe(t);
		return 1;
	}
	if (outcome(t, answer, &t->reads) == -1 && errno == EAGAIN)
		return 0;
	t->broken = true;
	verdict = SSL_get_verify_result(t->ssl);
	if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK)
		snprintf(why, size, "its certificate is not believed: %s", X509_verify_cert_error_string(verdict));
	else if (ERR_peek_last_error() == 0)
		snprintf(why, size, "it broke off the handshake");
	else
		snprintf(why, size, "the handshake failed: %s", reason());
	return -1;
}

short
tls_events(const struct tls *t, short events)
{
	short reads = t->reads ? t->reads : POLLIN, writes = t->writes ? t->writes : POLLOUT;

	return !t->shaken ? t->reads : (events & POLLIN ? reads : 0) | (events & POLLOUT ? writes : 0);
}

ssize_t
tls_read(struct tls *t, char *out, size_t n)
{
	int answer;

	if (t->broken)
		return 0;
	ERR_clear_error();
	errno = 0;
	if ((answer = SSL_read(t->ssl, out, n > INT_MAX ? INT_MAX : (int)n)) <= 0)
		return outcome(t, answer, &t->reads);
	t->reads = 0;
	t->messages = 0;
	return answer;
}

ssize_t
tls_write(struct tls *t, const char *octets, size_t n)
{
	int answer;

	if (t->broken) {
		errno = EPIPE;
		return -1;
	}
	ERR_clear_error();
	errno = 0;
	if ((answer = SSL_write(t->ssl, octets, n > INT_MAX ? INT_MAX : (int)n)) <= 0)
		return outcome(t, answer, &t->writes) == 0 ? (errno = EPIPE, -1) : -1;
	t->writes = 0;
	return answer;
}

const char *
tls_words(const struct tls *t)
{
	return t->words;
}

const char *
tls_cipher(const struct tls *t)
{
	const char *name = SSL_CIPHER_standard_name(SSL_get_current_cipher(t->ssl));

	return name != NULL ? name : "";
}

#else	/* ---- without OpenSSL: config.c refuses every setting that would lead here -------- */

const bool tls_built = false;

const char *
tls_library(void)
{
	return "none";
}

struct tls_context *
tls_server(const struct certificate **list, int minimum, const char *authorities, char *why, size_t size)
{
	(void)list, (void)minimum, (void)authorities;
	snprintf(why, size, "this program was built without OpenSSL");
	return NULL;
}

bool
tls_store(void)
{
	return false;
}

struct tls_context *
tls_client(const struct certificate *own, const char *authorities, char *why, size_t size)
{
	(void)own, (void)authorities;
	snprintf(why, size, "this program was built without OpenSSL");
	return NULL;
}

void
tls_context_free(struct tls_context *c)
{
	(void)c;
}

int
tls_look(const struct certificate *from, const char *hostname, struct tls_facts *f, char *why, size_t size)
{
	(void)from, (void)hostname, (void)f;
	snprintf(why, size, "this program was built without OpenSSL");
	return -1;
}

struct tls *
tls_open(const struct tls_context *c, int fd, const char *name, bool verify)
{
	(void)c, (void)fd, (void)name, (void)verify;
	return NULL;
}

void
tls_free(struct tls *t)
{
	(void)t;
}

int
tls_handshake(struct tls *t, char *why, size_t size)
{
	(void)t;
	snprintf(why, size, "this program was built without OpenSSL");
	return -1;
}

short
tls_events(const struct tls *t, short events)
{
	(void)t;
	return events;
}

ssize_t
tls_read(struct tls *t, char *out, size_t n)
{
	(void)t, (void)out, (void)n;
	errno = ENOSYS;
	return -1;
}

ssize_t
tls_write(struct tls *t, const char *octets, size_t n)
{
	(void)t, (void)octets, (void)n;
	errno = ENOSYS;
	return -1;
}

const char *
tls_words(const struct tls *t)
{
	(void)t;
	return "";
}

const char *
tls_cipher(const struct tls *t)
{
	(void)t;
	return "";
}

#endif
