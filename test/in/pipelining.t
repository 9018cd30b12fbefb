# RFC 2920, section 4: a whole transaction in two groups; the server answers each command, in order.
S: 220 *
C: EHLO client.example
S* 250-PIPELINING
S* 250 HELP
C: MAIL FROM:<smith@example.com>
C: RCPT TO:<jones@example.org>
C: RCPT TO:<green@example.org>
C: RCPT TO:<brown@example.org>
C: DATA
S: 250 2.1.0 <smith@example.com> *
S: 250 2.1.5 <jones@example.org> *
S: 250 2.1.5 <green@example.org> *
S: 250 2.1.5 <brown@example.org> *
S: 354 *
C: Subject: in groups
C: 
C: .
C: QUIT
S: 250 2.6.0 * queued
S: 221 *
E:
