# Command lines have at most 4096 octets, which is more than RFC 5321, section 4.5.3.1.4, asks for; lines of text are
# of any length (4.5.3.1.6). The rest of a line that is too long is no command.
S: 220 *
C: EHLO client.example
S* 250 *
X: NOOP 
L: 4089 x
X: \r\n
S: 250 2.0.0 OK
X: NOOP 
L: 4090 x
X: \r\n
S: 500 5.5.2 Line too long
X: NOOP 
L: 100000 RSET 
X: \r\nNOOP\r\n
S: 500 5.5.2 Line too long
S: 250 2.0.0 OK
C: MAIL FROM:<smith@example.com>
S: 250 *
X: RCPT TO:<jones@example.org>
L: 5000  
X: \r\n
S: 500 5.5.2 Line too long
C: RCPT TO:<jones@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: long
C: 
L: 9999 x
C: 
L: 1000 .
C: 
C: .
S: 250 2.6.0 *
C: QUIT
S: 221 *
E:
