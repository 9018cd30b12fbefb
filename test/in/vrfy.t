# VRFY tells nothing, in a way that lets mail be sent: RFC 5321, sections 3.5.3 and 7.3.
S: 220 *
C: VRFY jones
S: 252 2.1.5 Not verified; send mail and see
C: EHLO client.example
S* 250 *
C: VRFY <nobody@example.com>
S: 252 2.1.5 *
C: QUIT
S: 221 *
E:
