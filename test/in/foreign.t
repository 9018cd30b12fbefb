# A web browser that was made to post a message to us: RFC 5321, section 7.8. Nothing of its body is taken for commands.
S: 220 *
X: POST / HTTP/1.1\r\nHost: mail.example.org\r\nContent-Length: 110\r\n\r\nEHLO client.example\r\nMAIL FROM:<smith@example.com>\r\nRCPT TO:<jones@example.org>\r\nDATA\r\nSubject: spam\r\n\r\n.\r\n
S: 502 5.5.1 This is a mail server; closing
E:
