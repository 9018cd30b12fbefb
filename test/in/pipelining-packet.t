# Everything in one packet, before the greeting is read: two messages, their text behind DATA, the next command right
# behind the final dot. Only clients that know the end of the story do that, and netcats. RFC 2920 forbids it to the
# others, and us nothing.
X: EHLO client.example\r\nMAIL FROM:<smith@example.com>\r\nRCPT TO:<jones@example.org>\r\nDATA\r\nSubject: one\r\n\r\nQUIT\r\n.\r\nMAIL FROM:<brown@example.com>\r\nRCPT TO:<green@example.org>\r\nDATA\r\nSubject: two\r\n\r\n..\r\n.\r\nNOOP\r\nQUIT\r\nNOOP\r\n
S: 220 *
S* 250 HELP
S: 250 2.1.0 <smith@example.com> *
S: 250 2.1.5 <jones@example.org> *
S: 354 *
S: 250 2.6.0 *
S: 250 2.1.0 <brown@example.com> *
S: 250 2.1.5 <green@example.org> *
S: 354 *
S: 250 2.6.0 *
S: 250 2.0.0 OK
S: 221 *
E:
