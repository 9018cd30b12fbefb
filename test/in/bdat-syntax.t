# Without its size nobody can tell where a chunk ends, and what follows must not be taken for commands: RFC 3030, 2.
S: 220 *
C: EHLO client.example
S* 250 HELP
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
X: BDAT LAST\r\nRSET\r\nMAIL FROM:<smith@example.com>\r\nRCPT TO:<jones@example.org>\r\nDATA\r\n.\r\n
S: 501 5.5.4 Syntax: BDAT size [LAST]; closing, for what follows cannot be told apart
E:
