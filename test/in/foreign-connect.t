# CONNECT, too, is said by those who want another kind of server: RFC 5321, section 7.8.
S: 220 *
C: CONNECT / HTTP/1.0
S: 502 5.5.1 This is a mail server; closing
E:
