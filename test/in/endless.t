#server tight
# A message that goes on to twice the limit: we do not wait for its end, which may never come. RFC 1870, section 6.3.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 *
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 *
C: DATA
S: 354 *
L: 3000 x
S: 552 5.3.4 The message is too large: 1024 octets at most
E:
