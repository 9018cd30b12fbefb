# What comes too early or once too often: RFC 5321, section 4.1.4.
S: 220 *
C: MAIL FROM:<smith@example.com>
S: 503 5.5.1 Say EHLO or HELO first
C: RCPT TO:<jones@example.org>
S: 503 5.5.1 *
C: DATA
S: 503 5.5.1 *
# These may be said at any time.
C: NOOP
S: 250 2.0.0 OK
C: RSET
S: 250 2.0.0 Reset
C: VRFY jones
S: 252 *
C: HELP RSET
S: 214 *

C: EHLO client.example
S* 250 *
C: RCPT TO:<jones@example.org>
S: 503 5.5.1 MAIL first
C: DATA
S: 503 5.5.1 MAIL first
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 <smith@example.com> sender ok
C: MAIL FROM:<brown@example.com>
S: 503 5.5.1 A transaction is under way; RSET ends it
C: DATA
S: 503 5.5.1 RCPT first: there is no valid recipient
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 <jones@example.org> recipient ok
C: MAIL FROM:<brown@example.com>
S: 503 5.5.1 A transaction is under way; RSET ends it
C: NOOP in the middle
S: 250 2.0.0 OK
C: HELP
S* 214 *
# None of it has hurt the transaction.
C: DATA
S: 354 *
C: Subject: order
C: 
C: .
S: 250 2.6.0 * queued
C: DATA
S: 503 5.5.1 MAIL first
C: RCPT TO:<jones@example.org>
S: 503 5.5.1 MAIL first
C: QUIT
S: 221 *
E:
