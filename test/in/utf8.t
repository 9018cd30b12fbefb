# Addresses in UTF-8 need SMTPUTF8, for the transaction and not for the address: RFC 6531, sections 3.4 and 3.5.
S: 220 *
C: EHLO client.example
S* 250-SMTPUTF8
S* 250 *
C: MAIL FROM:<josé@example.com>
S: 553 5.6.7 That address needs SMTPUTF8
C: MAIL FROM:<jose@exämple.com> BODY=8BITMIME
S: 553 5.6.7 *
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 *
C: RCPT TO:<josé@example.org>
S: 553 5.6.7 That address needs SMTPUTF8
C: RCPT TO:<josé>
S: 553 5.6.7 *
C: RSET
S: 250 *

# What is no UTF-8: a lone octet, an octet missing, the overlong slash, half of a surrogate, beyond the last code point.
X: MAIL FROM:<jos\0351@example.com> SMTPUTF8\r\n
S: 501 5.1.7 That is no sender's address
X: MAIL FROM:<jos\0303@example.com> SMTPUTF8\r\n
S: 501 5.1.7 *
X: MAIL FROM:<\0300\0257@example.com> SMTPUTF8\r\n
S: 501 5.1.7 *
X: MAIL FROM:<\0355\0240\0200@example.com> SMTPUTF8\r\n
S: 501 5.1.7 *
X: MAIL FROM:<\0364\0220\0200\0200@example.com> SMTPUTF8\r\n
S: 501 5.1.7 *
X: MAIL FROM:<smith@ex\0344mple.com> SMTPUTF8\r\n
S: 501 5.1.7 *

C: MAIL FROM:<josé@exämple.com> SMTPUTF8
S: 250 2.1.0 <josé@exämple.com> sender ok
C: RCPT TO:<阿Q@example.org>
S: 250 2.1.5 <阿Q@example.org> recipient ok
C: RCPT TO:<"Ω mega"@example.org> ORCPT=utf-8;Ω@example.org
S: 250 2.1.5 *
C: RCPT TO:<josé@exämple.com>
S: 550 5.7.1 Unable to relay for <josé@exämple.com>
C: RCPT TO:<jones@example.org> SMTPUTF8
S: 555 5.5.4 *
C: DATA
S: 354 *
C: Subject: señor
C: 
C: .
S: 250 2.6.0 *
C: QUIT
S: 221 *
E:
