#server tight
# Message size: announced, declared, counted without the dots that were stuffed: RFC 1870, sections 5 and 6.
S: 220 *
C: EHLO client.example
S* 250-SIZE 1024
S* 250 *
C: MAIL FROM:<smith@example.com> SIZE=1025
S: 552 5.3.4 The message is too large: 1024 octets at most
C: MAIL FROM:<smith@example.com> SIZE=99999999999999999999
S: 552 5.3.4 *
# SIZE=0 says that it does not know.
C: MAIL FROM:<smith@example.com> SIZE=0
S: 250 2.1.0 *
C: RSET
S: 250 *
# 13 + 2 + 100 * 10 + 9 = 1024 octets
C: MAIL FROM:<smith@example.com> SIZE=1024
S: 250 2.1.0 *
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 *
C: DATA
S: 354 *
C: Subject: ok
C: 
L: 100 ..1234567\r\n
C: 1234567
C: .
S: 250 2.6.0 *
# One more, not declared.
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 *
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 *
C: DATA
S: 354 *
C: Subject: no
C: 
L: 100 ..1234567\r\n
C: 12345678
C: .
S: 552 5.3.4 The message is too large: 1024 octets at most
# The session goes on.
C: NOOP
S: 250 *
C: QUIT
S: 221 *
E:
