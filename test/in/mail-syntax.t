# Reverse-paths that are none, and verbs cut short: RFC 5321, sections 4.1.1.2 and 4.1.2.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL
S: 501 5.5.4 Syntax: MAIL FROM:<address> [parameters]
C: MAIL smith@example.com
S: 501 5.5.4 Syntax: MAIL FROM:*
C: MAIL FROM:smith@example.com
S: 501 5.5.4 Syntax: MAIL FROM:*
C: MAIL TO:<smith@example.com>
S: 501 5.5.4 Syntax: MAIL FROM:*
C: MAIL FROM:<smith@example.com
S: 501 5.1.7 That is no sender's address
C: MAIL FROM:<smith@example.com>SIZE=1
S: 501 5.1.7 *
C: MAIL FROM:<smith@>
S: 501 5.1.7 *
C: MAIL FROM:<@example.com>
S: 501 5.1.7 *
C: MAIL FROM:<smith..john@example.com>
S: 501 5.1.7 *
C: MAIL FROM:<.smith@example.com>
S: 501 5.1.7 *
C: MAIL FROM:<john smith@example.com>
S: 501 5.1.7 *
C: MAIL FROM:<"john smith@example.com>
S: 501 5.1.7 *
C: MAIL FROM:<smith@example..com>
S: 501 5.1.7 *
C: MAIL FROM:<smith@-example.com>
S: 501 5.1.7 *
C: MAIL FROM:<smith@example.com@example.net>
S: 501 5.1.7 *
C: MAIL FROM:<smith@[192.0.2]>
S: 501 5.1.7 *
C: MAIL FROM:<smith@[2001:db8::1]>
S: 501 5.1.7 *
X: MAIL FROM:<smith@
L: 64 x
X: .example>\r\n
S: 501 5.1.7 *
# None of them has begun a transaction.
C: RCPT TO:<jones@example.org>
S: 503 5.5.1 MAIL first
C: QUIT
S: 221 *
E:
