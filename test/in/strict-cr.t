#server strict
# `line-endings reject`: a CR in the text with no LF behind it.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: DATA
S: 354 *
X: Subject: improper\r\n\r\ntext\r.\r\n.\r\n
S: 550 5.5.2 A line ended without CR LF
E:
