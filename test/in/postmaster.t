# There is always a postmaster, with a domain and without, in any case of letters: RFC 5321, sections 2.3.5 and 4.5.1.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<>
S: 250 2.1.0 <> sender ok
C: RCPT TO:<postmaster>
S: 250 2.1.5 <postmaster@example.org> recipient ok
C: RCPT TO:<Postmaster>
S: 250 2.1.5 <Postmaster@example.org> recipient ok
C: RCPT TO:<postmaster@example.net>
S: 250 2.1.5 <postmaster@example.net> recipient ok
C: QUIT
S: 221 *
E:
