# Forward-paths that are none: RFC 5321, sections 4.1.1.3 and 4.1.2.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT
S: 501 5.5.4 Syntax: RCPT TO:<address> [parameters]
C: RCPT jones@example.org
S: 501 5.5.4 Syntax: RCPT TO:*
C: RCPT TO:jones@example.org
S: 501 5.5.4 Syntax: RCPT TO:*
C: RCPT FROM:<jones@example.org>
S: 501 5.5.4 Syntax: RCPT TO:*
# Only a sender can be null.
C: RCPT TO:<>
S: 501 5.1.3 That is no recipient's address
C: RCPT TO:<jones@example.org
S: 501 5.1.3 *
C: RCPT TO:<jones@example.org>>
S: 501 5.1.3 *
C: RCPT TO:<jones@example.org>,<green@example.org>
S: 501 5.1.3 *
C: RCPT TO:<jones green@example.org>
S: 501 5.1.3 *
C: RCPT TO:<jones@example.org.>
S: 501 5.1.3 *
C: RCPT TO:<jones@>
S: 501 5.1.3 *
C: RCPT TO:<jones@[127.0.0.1>
S: 501 5.1.3 *
C: RCPT TO:<"jones"green@example.org>
S: 501 5.1.3 *
X: RCPT TO:<jones\0177@example.org>\r\n
S: 501 5.1.3 *
C: DATA
S: 503 5.5.1 RCPT first: there is no valid recipient
# The sender still stands.
C: RCPT TO: <"jones, green"@example.org>
S: 250 2.1.5 <"jones, green"@example.org> recipient ok
C: QUIT
S: 221 *
E:
