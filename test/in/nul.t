# A NUL in a command is refused, and hides nothing behind it: RFC 5321, section 2.3.8.
S: 220 *
C: EHLO client.example
S* 250 *
X: NOOP a\0000b\r\n
S: 500 5.5.2 No NUL in commands
X: \0000\r\n
S: 500 5.5.2 No NUL in commands
X: MAIL FROM:<smith@example.com>\0000\r\n
S: 500 5.5.2 No NUL in commands
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 *
X: RCPT TO:<jones@example.org\0000@example.com>\r\n
S: 500 5.5.2 No NUL in commands
C: DATA
S: 503 5.5.1 RCPT first*
C: QUIT
S: 221 *
E:
