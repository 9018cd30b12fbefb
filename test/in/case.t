# Domains are compared without regard to case, local parts with it: RFC 5321, section 2.4. Nobody is named twice.
S: 220 *
C: ehlo Client.Example
S* 250 *
C: Mail From:<Smith@Example.COM> Body=7bit
S: 250 2.1.0 <Smith@Example.COM> sender ok
C: rcpt to:<jones@EXAMPLE.org>
S: 250 2.1.5 <jones@EXAMPLE.org> recipient ok
C: RCPT TO:<Jones@example.org>
S: 250 2.1.5 <Jones@example.org> recipient ok
C: RCPT TO:<jones@example.ORG>
S: 250 2.1.5 <jones@example.ORG> recipient ok
C: dAtA
S: 354 *
C: Subject: case
C: 
C: .
S: 250 2.6.0 *
C: Quit
S: 221 *
E:
