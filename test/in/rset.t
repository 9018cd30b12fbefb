# RSET, and EHLO as well, forget the transaction and nothing else: RFC 5321, sections 4.1.1.5 and 4.1.4.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<brown@example.org>
S: 250 *
C: RSET
S: 250 2.0.0 Reset
C: DATA
S: 503 5.5.1 MAIL first
C: MAIL FROM:<green@example.com>
S: 250 *
C: RCPT TO:<black@example.org>
S: 250 *
C: EHLO other.example
S* 250 *
C: RCPT TO:<black@example.org>
S: 503 5.5.1 MAIL first
C: MAIL FROM:<white@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
# A hello that is refused changes nothing.
C: HELO
S: 501 5.5.4 *
C: DATA
S: 354 *
C: Subject: reset
C: 
C: .
S: 250 2.6.0 *
C: RSET
S: 250 2.0.0 Reset
C: QUIT
S: 221 *
E:
