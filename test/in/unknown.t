# Words that are no commands: RFC 5321, section 4.2.4. A verb is a whole word, in any case of letters: section 2.4.
S: 220 *
C: HAIL FROM:<smith@example.com>
S: 500 5.5.2 Command not recognized
C: MAILFROM:<smith@example.com>
S: 500 5.5.2 *
C: EHL client.example
S: 500 5.5.2 *
C: EHLOO client.example
S: 500 5.5.2 *
C: 
S: 500 5.5.2 *
C:  NOOP
S: 500 5.5.2 *
C: NOOP: x
S: 500 5.5.2 *
X: \0377\0376\r\n
S: 500 5.5.2 *
C: nOOp
S: 250 2.0.0 OK
X: NOOP\tx\r\n
S: 250 2.0.0 OK
C: QUIT
S: 221 *
E:
