# An alias domain is as local as the default one; the address stays what it was. Subdomains are somebody else's.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.net>
S: 250 2.1.5 <jones@example.net> recipient ok
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 <jones@example.org> recipient ok
C: RCPT TO:<jones@sub.example.net>
S: 550 5.7.1 *
C: RCPT TO:<jones@notexample.net>
S: 550 5.7.1 *
C: RCPT TO:<jones>
S: 250 2.1.5 <jones@example.org> recipient ok
C: DATA
S: 354 *
C: Subject: alias
C: 
C: .
S: 250 2.6.0 *
C: QUIT
S: 221 *
E:
