# Mail for others is refused, however it is addressed: RFC 5321, sections 3.6.2 and 7.9. What a domain of ours makes of
# a local part is its own affair.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.org>
S: 250 *
C: RCPT TO:<jones@example.com>
S: 550 5.7.1 Unable to relay for <jones@example.com>
C: RCPT TO:<@mail.example.org:jones@example.com>
S: 550 5.7.1 Unable to relay for <jones@example.com>
C: RCPT TO:<"jones@example.org"@example.com>
S: 550 5.7.1 Unable to relay for <"jones@example.org"@example.com>
C: RCPT TO:<example.com!jones@example.com>
S: 550 5.7.1 *
C: RCPT TO:<jones@mail.example.org>
S: 550 5.7.1 *
C: RCPT TO:<jones@[192.0.2.25]>
S: 550 5.7.1 *
C: DATA
S: 503 5.5.1 RCPT first: there is no valid recipient

C: RCPT TO:<jones%example.com@example.org>
S: 250 2.1.5 <jones%example.com@example.org> recipient ok
C: RCPT TO:<"jones@example.com"@example.org>
S: 250 2.1.5 <"jones@example.com"@example.org> recipient ok
# allow-relay yes
C: RCPT TO:<jones@mail.partner.example>
S: 250 2.1.5 <jones@mail.partner.example> recipient ok
C: RCPT TO:<jones@deep.in.PARTNER.example>
S: 250 2.1.5 *
C: RCPT TO:<jones@partner.example>
S: 550 5.7.1 *
C: RCPT TO:<jones@notpartner.example>
S: 550 5.7.1 *
C: QUIT
S: 221 *
E:
