# More commands than their replies fit in our buffers at once; nobody may wait for ever for the other. RFC 2920, 3.2.
S: 220 *
C: EHLO client.example
S* 250 HELP
L: 5000 RSET\r\n
C: NOOP
S* 250 2.0.0 OK
C: MAIL FROM:<smith@example.com>
L: 1000 RCPT TO:<jones@example.org>\r\n
C: DATA
S* 354 *
C: Subject: many
C: 
C: .
S: 250 2.6.0 *
C: QUIT
S: 221 *
E:
