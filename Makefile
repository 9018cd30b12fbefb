# make            builds smtpd
# make run        builds it and starts it: 127.0.0.1:2525, ./mailroot
# make test       builds and runs all tests; sh test/run NAME runs one
# make bench      measures it, beside Postfix where ../shared/bench stands
# make TLS=no     leaves OpenSSL out, though it is there
# make install    PREFIX=/usr/local DESTDIR=; install-sendmail: and its other names
.POSIX:
.PHONY: run test unit bench install install-sendmail clean

CC      = cc
CFLAGS  = -O2
WARN    = -std=c99 -pedantic -Wall -Wextra
PREFIX  = /usr/local
MANDIR  = $(PREFIX)/share/man
TLS     = yes

# In the order of the calls, which go down.
REST = console.o \
	control.o \
	why.o \
	operate.o \
	count.o \
	sendmail.o \
	vserver.o \
	watch.o \
	wizard.o \
	password.o \
	check.o \
	session.o \
	receive.o \
	reply.o \
	parameter.o \
	login.o \
	turn.o \
	proxy.o \
	rdns.o \
	pickup.o \
	relay.o \
	hello.o \
	expand.o \
	dest.o \
	drop.o \
	outcome.o \
	resolve.o \
	spool.o \
	report.o \
	journal.o \
	mime.o \
	view.o \
	policy.o \
	route.o \
	message.o \
	config.o \
	schema.o \
	value.o \
	ldap.o \
	ber.o \
	auth.o \
	process.o \
	names.o \
	settings.o \
	dns.o \
	conn.o \
	tls.o \
	address.o \
	digest.o \
	disk.o \
	log.o
OBJ  = smtpd.o $(REST)
UNIT = test/unit_log test/unit_address test/unit_content test/unit_message \
	test/unit_config test/unit_spool test/unit_report test/unit_mime test/unit_journal test/unit_proxy test/unit_digest test/unit_auth \
	test/unit_ldap
TOOL = test/nc test/load test/dnsd test/sink test/bulk test/activate test/silent test/volley test/directory

LINK = $(LDLIBS) $$(cat tls.libs)

smtpd: $(OBJ)
	$(CC) $(LDFLAGS) -o $@ $(OBJ) $(LINK)

# Is OpenSSL here, 1.1.1 or later, for this compiler and these flags?
tls.libs: tls.c
	@printf '%s\n' '#include <openssl/ssl.h>' '#if OPENSSL_VERSION_NUMBER < 0x10101000L' '#error too old' '#endif' \
	    'int main(void) { return SSL_CTX_new(TLS_method()) == 0; }' >tls-try.c
	@if [ "$(TLS)" != no ] && $(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o tls-try tls-try.c -lssl -lcrypto $(LDLIBS) 2>tls-try.log; \
	then echo '-lssl -lcrypto' >$@; echo 'smtpd: with TLS, by OpenSSL'; \
	else : >$@; [ "$(TLS)" = no ] || echo 'smtpd: without TLS, for there is no OpenSSL 1.1.1 or later'; fi; \
	rm -f tls-try tls-try.c tls-try.log

tls.o: tls.libs
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) $$(sed 's/..*/-DWITH_OPENSSL/' tls.libs) -c tls.c

$(OBJ): smtpd.h

.SUFFIXES: .c .o
.c.o:
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) -c $<

.c:
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -I. -o $@ $< $(LDLIBS)

run: smtpd
	./smtpd -u "$$(id -u)"

test: unit
	sh test/run

unit: smtpd test/smtpd-test test/ask test/lookup $(UNIT) $(TOOL)

test/unit_log: test/unit_log.c
test/unit_address: test/unit_address.c
test/unit_content: test/unit_content.c
test/unit_message: test/unit_message.c
test/unit_config: test/unit_config.c
test/unit_spool: test/unit_spool.c
test/unit_report: test/unit_report.c
test/unit_mime: test/unit_mime.c
test/unit_journal: test/unit_journal.c
test/unit_proxy: test/unit_proxy.c
test/unit_digest: test/unit_digest.c
test/unit_auth: test/unit_auth.c
test/unit_ldap: test/unit_ldap.c
$(UNIT): $(REST) test/test.h
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -I. -o $@ $@.c $(REST) $(LINK)

# It can be a client of TLS.
test/load: test/load.c tls.libs
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) $$(sed 's/..*/-DWITH_OPENSSL/' tls.libs) $(LDFLAGS) -I. -o $@ test/load.c $(LINK)

# Our resolver, for who wants to ask it something.
test/ask: test/ask.c $(REST)
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -I. -o $@ test/ask.c $(REST) $(LINK)

# The same for directories.
test/lookup: test/lookup.c $(REST)
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -I. -o $@ test/lookup.c $(REST) $(LINK)

# The server with its clock, its disk and its memory in the tests' hands.
test/smtpd-test: test/server.c smtpd.c $(REST)
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -I. -Dmain=smtpd_main -c -o test/smtpd.o smtpd.c
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -I. -o $@ test/server.c test/smtpd.o $(REST) $(LINK)

bench: smtpd test/load test/lookup
	sh test/bench

# The sample and the manual's list of settings are printed by the table.
smtpd.conf: smtpd
	./smtpd explain > $@

install: smtpd
	mkdir -p $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(MANDIR)/man5
	cp smtpd $(DESTDIR)$(PREFIX)/sbin/smtpd
	cp smtpd.8 $(DESTDIR)$(MANDIR)/man8/smtpd.8
	cp smtpd.conf.5 $(DESTDIR)$(MANDIR)/man5/smtpd.conf.5

# The names that programs call: in the place of another mail server's.
install-sendmail: install
	mkdir -p $(DESTDIR)$(PREFIX)/bin
	ln -sf smtpd $(DESTDIR)$(PREFIX)/sbin/sendmail
	ln -sf ../sbin/smtpd $(DESTDIR)$(PREFIX)/bin/mailq
	ln -sf ../sbin/smtpd $(DESTDIR)$(PREFIX)/bin/newaliases
	ln -sf smtpd.8 $(DESTDIR)$(MANDIR)/man8/sendmail.8
	ln -sf smtpd.8 $(DESTDIR)$(MANDIR)/man8/mailq.8

clean:
	rm -f smtpd tls.libs $(OBJ) $(UNIT) $(TOOL) test/ask test/lookup test/smtpd-test test/smtpd.o
