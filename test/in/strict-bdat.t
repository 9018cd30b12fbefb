#server strict
# `line-endings reject` and BDAT: the message is refused when it is complete; the session can go on, for the size said
# where it ends. A message in BINARYMIME has no lines. RFC 3030, sections 2 and 3.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
X: BDAT 5\r\na\nb\r\n
S: 250 2.0.0 *
X: BDAT 3 LAST\r\nc\r\n
S: 550 5.5.2 A line ended without CR LF
C: MAIL FROM:<smith@example.com> BODY=BINARYMIME
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
X: BDAT 19 LAST\r\nSubject: binary\n\na\n
S: 250 2.6.0 *
C: QUIT
S: 221 *
E:
