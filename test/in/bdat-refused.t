# The chunk of a BDAT that is refused is read and thrown away, although it looks like commands: RFC 3030, section 2.
S: 220 *
X: BDAT 23\r\nEHLO attacker.example\r\n
S: 503 5.5.1 Say EHLO or HELO first
C: EHLO client.example
S* 250 HELP
X: BDAT 31\r\nMAIL FROM:<smith@example.com>\r\n
S: 503 5.5.1 MAIL first
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.com>
S: 550 *
# All recipients were refused. The failure ends the transaction; chunks that are on their way follow it.
X: BDAT 6\r\nNOOP\r\nBDAT 6 LAST\r\nRSET\r\nNOOP\r\n
S: 503 5.5.1 RCPT first: there is no valid recipient
S: 503 5.5.1 MAIL first
S: 250 2.0.0 OK
X: BDAT 0 LAST\r\n
S: 503 5.5.1 MAIL first
C: RCPT TO:<jones@example.org>
S: 503 5.5.1 MAIL first
C: QUIT
S: 221 *
E:
