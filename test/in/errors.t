# Twenty refused commands are enough for one session: RFC 5321, section 7.8.
S: 220 *
C: EHLO client.example
S* 250 *
L: 19 HAIL\r\n
C: NOOP
S* 250 2.0.0 OK
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.com>
S: 550 5.7.1 *
S: 421 4.7.0 Too many errors; closing
E:
