# Transparency: a dot that begins a line is doubled on its way and single afterwards: RFC 5321, section 4.5.2.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: dots
C: 
C: ..
C: ...
C: ..dot
C: .dot not doubled
C: . 
C:  .
C: dot.
C: 
C: ..
C: .
S: 250 2.6.0 *
# The dot may be all there is.
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: DATA
S: 354 *
C: .
S: 250 2.6.0 *
C: QUIT
S: 221 *
E:
