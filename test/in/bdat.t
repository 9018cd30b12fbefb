# RFC 3030, section 4.1 and 4.2: a message in one chunk, then one in three, pipelined. No dots are stuffed.
S: 220 *
C: EHLO client.example
S* 250-CHUNKING
S* 250 HELP
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 *
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 *
C: BDAT 24 LAST
C: Subject: one
C: 
C: .hello
S: 250 2.6.0 * queued
X: MAIL FROM:<smith@example.com>\r\nRCPT TO:<jones@example.org>\r\nBDAT 16\r\nSubject: three\r\nbdat 9\r\n\r\n..\r\n.\r\nBDAT 5 last\r\nQUIT\nNOOP\r\n
S: 250 2.1.0 *
S: 250 2.1.5 *
S: 250 2.0.0 16 octets received
S: 250 2.0.0 9 octets received
S: 250 2.6.0 * queued
S: 250 2.0.0 OK
C: QUIT
S: 221 *
E:
