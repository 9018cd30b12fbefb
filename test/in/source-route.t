# Source routes are read and thrown away: RFC 5321, sections 3.6.1 and F.2. The last address decides.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<@hosta.example,@hostb.example:smith@example.com>
S: 250 2.1.0 <smith@example.com> sender ok
C: RCPT TO:<@hosta.example:jones@example.org>
S: 250 2.1.5 <jones@example.org> recipient ok
C: RCPT TO:<@[192.0.2.1],@hostb.example:green@example.org>
S: 250 2.1.5 <green@example.org> recipient ok
# They are no way round the rules for relaying.
C: RCPT TO:<@example.org:jones@example.com>
S: 550 5.7.1 Unable to relay for <jones@example.com>
C: RCPT TO:<@hosta.example>
S: 501 5.1.3 *
C: RCPT TO:<@hosta.example:>
S: 501 5.1.3 *
C: RCPT TO:<@hosta.example,:jones@example.org>
S: 501 5.1.3 *
C: RCPT TO:<hosta.example:jones@example.org>
S: 501 5.1.3 *
C: DATA
S: 354 *
C: Subject: no detours
C: 
C: .
S: 250 2.6.0 *
C: QUIT
S: 221 *
E:
