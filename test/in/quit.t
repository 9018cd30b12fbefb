# QUIT in the middle of a transaction ends both: RFC 5321, section 4.1.1.10. What follows it is not heard.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
X: QUIT\r\nDATA\r\nSubject: too late\r\n\r\n.\r\n
S: 221 2.0.0 mail.example.org closing the channel
E:
