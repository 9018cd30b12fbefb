# Reports come from the null sender, which everybody must take: RFC 5321, section 4.5.5.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<>
S: 250 2.1.0 <> sender ok
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 *
C: DATA
S: 354 *
C: Subject: Undeliverable
C: 
C: .
S: 250 2.6.0 *
C: MAIL FROM: <> BODY=8BITMIME
S: 250 2.1.0 <> sender ok
C: QUIT
S: 221 *
E:
