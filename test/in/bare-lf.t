# Lines that end in LF alone are taken as lines, in commands and in text; but only CR LF . CR LF ends a message, and a
# CR alone ends nothing: RFC 5321, sections 2.3.8 and 4.1.1.4. None of these dots is the last one:
S: 220 *
X: EHLO client.example\n
S* 250 HELP
X: MAIL FROM:<smith@example.com>\nRCPT TO:<jones@example.org>\n
S: 250 *
S: 250 *
X: DATA\n
S: 354 *
# Not even the first one, for DATA itself ended in LF.
X: .\r\n
X: LF.LF\n.\nLF.CRLF\n.\r\nCRLF.LF\r\n.\nLF.CR\n.\rCR.CR\r.\rCR.LF\r.\nCR.CRLF\r.\r\nCRLF.CR\r\n.\r
X: LF.CRCRLF\n.\r\r\nCRLF.CRCRLF\r\n.\r\r\nLF..CRLF\n..\r\nCRLF..LF\r\n..\n\n.\n\n.\r\n
# And this one is: to the server, the CR before CR LF belongs to the text.
X: CRCRLF.CRLF\r\r\n.\r\nQUIT\n
S: 250 2.6.0 *
S: 221 *
E:
