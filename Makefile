# make test     builds the parts that there are, and runs their tests
.POSIX:

CC      = cc
CFLAGS  = -O2
WARN    = -std=c99 -pedantic -Wall -Wextra

# In the order of the calls, which go down.
REST = pickup.o spool.o message.o config.o address.o conn.o log.o
UNIT = test/unit_log test/unit_address test/unit_content test/unit_message test/unit_config test/unit_spool

parts: $(REST)

$(REST): smtpd.h

.SUFFIXES: .c .o
.c.o:
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) -c $<

test: $(UNIT)
	for i in $(UNIT); do ./$$i || exit; done

$(UNIT): $(REST) test/test.h
	$(CC) $(WARN) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -I. -o $@ $@.c $(REST) $(LDLIBS)

clean:
	rm -f $(REST) $(UNIT)
