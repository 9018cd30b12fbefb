# Two messages for a sloppy reader, one for us, whichever end the smuggler tries: RFC 5321, section 4.1.1.4.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: DATA
S: 354 *
X: Subject: one\r\n\r\ntext\n.\r\nMAIL FROM:<boss@example.org>\r\nRCPT TO:<jones@example.org>\r\nDATA\r\nSubject: two\r\n\r\n
X: text\r.\r\nMAIL FROM:<boss@example.org>\r\n.\r\n
S: 250 2.6.0 *
C: NOOP
S: 250 2.0.0 OK
C: QUIT
S: 221 *
E:
