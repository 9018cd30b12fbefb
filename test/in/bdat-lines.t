# Where chunks end says nothing about lines: between CR and LF, within a line of one dot. Lines may end in LF alone, a
# CR alone is no end of a line, and the last line is completed: what is stored can go out by DATA. RFC 3030, section 2.
S: 220 *
C: EHLO client.example
S* 250 HELP
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
X: BDAT 16\r\nSubject: lines\r\n
S: 250 2.0.0 *
X: BDAT 1\r\n\r
S: 250 2.0.0 *
X: BDAT 2\r\n\n.
S: 250 2.0.0 *
X: BDAT 1\r\n\r
S: 250 2.0.0 *
X: BDAT 1\r\n\n
S: 250 2.0.0 *
X: BDAT 11\r\na\nb\rc\r\n.\nd\r
S: 250 2.0.0 *
X: BDAT 6\r\ne\r\r\n..
S: 250 2.0.0 *
X: BDAT 0 LAST\r\n
S: 250 2.6.0 *
C: QUIT
S: 221 *
E:
