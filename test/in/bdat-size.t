#server tight
# A chunk that would make the message too large: refused, and read to its end. RFC 1870, section 6.1; RFC 3030, section 2.
S: 220 *
C: EHLO client.example
S* 250 HELP
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: BDAT 1026
L: 171 NOOP\r\n
S: 552 5.3.4 The message is too large: 1024 octets at most
C: RCPT TO:<jones@example.org>
S: 503 5.5.1 MAIL first
# The second chunk is the one too many.
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: BDAT 1000
L: 100 12345678\r\n
S: 250 2.0.0 1000 octets received
X: BDAT 25 LAST\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n\r
S: 552 5.3.4 *
# Just as large as a message may be.
C: MAIL FROM:<smith@example.com> SIZE=1024
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: BDAT 1000
L: 100 12345678\r\n
S: 250 2.0.0 1000 octets received
C: BDAT 24 LAST
L: 4 NOOP\r\n
S: 250 2.6.0 *
C: NOOP
S: 250 2.0.0 OK
C: QUIT
S: 221 *
E:
