# One recipient of a group is refused, and a command of it is none: the others stand. RFC 2920, section 4.
S: 220 *
C: EHLO client.example
S* 250 HELP
X: MAIL FROM:<smith@example.com>\r\nRCPT TO:<jones@example.com>\r\nRCPT TO:<green@example.org>\r\nHAIL\r\nRCPT TO:<brown@example.org\r\nDATA\r\n
S: 250 2.1.0 *
S: 550 5.7.1 *
S: 250 2.1.5 <green@example.org> *
S: 500 5.5.2 *
S: 501 5.1.3 *
S: 354 *
C: Subject: for one of three
C: 
C: .
S: 250 2.6.0 *

# The sender is refused, so nobody else can be taken; DATA must not be answered 354. RFC 2920, section 3.1.
X: MAIL FROM:<>x\r\nRCPT TO:<jones@example.org>\r\nDATA\r\nNOOP\r\n
S: 501 5.1.7 *
S: 503 5.5.1 MAIL first
S: 503 5.5.1 MAIL first
S: 250 2.0.0 OK
# All recipients are refused; RFC 5321, section 3.3. The transaction is still open.
X: MAIL FROM:<smith@example.com>\r\nRCPT TO:<jones@example.com>\r\nRCPT TO:<green@example.com>\r\nDATA\r\nRSET\r\nNOOP\r\n
S: 250 2.1.0 *
S: 550 5.7.1 *
S: 550 5.7.1 *
S: 503 5.5.1 RCPT first: there is no valid recipient
S: 250 2.0.0 Reset
S: 250 2.0.0 OK
C: QUIT
S: 221 *
E:
