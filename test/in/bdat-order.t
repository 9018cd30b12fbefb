# After a BDAT only BDAT and RSET (or EHLO) go on, and neither DATA nor MAIL nor RCPT: RFC 3030, section 2.
S: 220 *
C: EHLO client.example
S* 250 HELP
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<brown@example.org>
S: 250 *
X: BDAT 7\r\nnever\r\n
S: 250 2.0.0 7 octets received
C: DATA
S: 503 5.5.1 Only BDAT or RSET can follow BDAT
C: RCPT TO:<green@example.org>
S: 503 5.5.1 Only BDAT or RSET *
C: MAIL FROM:<smith@example.com>
S: 503 5.5.1 Only BDAT or RSET *
C: NOOP
S: 250 2.0.0 OK
C: RSET
S: 250 2.0.0 Reset
X: BDAT 6 LAST\r\nRSET\r\n
S: 503 5.5.1 MAIL first
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<brown@example.org>
S: 250 *
X: BDAT 7\r\nnever\r\n
S: 250 2.0.0 7 octets received
C: EHLO client.example
S* 250 HELP
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
X: BDAT 18\r\nSubject: order\r\n\r\n
S: 250 2.0.0 18 octets received
C: DATA
S: 503 5.5.1 *
# That did no harm.
C: BDAT 0 LAST
S: 250 2.6.0 *
X: BDAT 6 LAST\r\nQUIT\r\n
S: 503 5.5.1 MAIL first
C: QUIT
S: 221 *
E:
