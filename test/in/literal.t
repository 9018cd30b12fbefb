# An address literal is ours when it is the address one came to: RFC 5321, sections 4.1.3 and 2.3.5.
S: 220 *
C: EHLO [127.0.0.1]
S* 250 *
C: MAIL FROM:<smith@[127.0.0.1]>
S: 250 2.1.0 <smith@[127.0.0.1]> sender ok
C: RCPT TO:<jones@[127.0.0.1]>
S: 250 2.1.5 <jones@example.org> recipient ok
C: RCPT TO:<jones@[192.0.2.1]>
S: 550 5.7.1 Unable to relay for <jones@[192.0.2.1]>
C: RCPT TO:<jones@[IPv6:::1]>
S: 550 5.7.1 Unable to relay for <jones@[IPv6:::1]>
C: RCPT TO:<jones@127.0.0.1>
S: 550 5.7.1 *
C: RCPT TO:<jones@[127.0.0.256]>
S: 501 5.1.3 *
C: RCPT TO:<jones@[]>
S: 501 5.1.3 *
C: DATA
S: 354 *
C: Subject: literally
C: 
C: .
S: 250 2.6.0 *
C: QUIT
S: 221 *
E:
