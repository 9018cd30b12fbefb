# The greeting, EHLO and what it offers, EHLO once more, HELO; names that are none: RFC 5321, sections 3.1, 3.2, 4.1.1.1.
S: 220 mail.example.org ESMTP smtpd
C: EHLO client.example
S: 250-mail.example.org greets [127.0.0.1]
S: 250-PIPELINING
S: 250-SIZE 33554432
S: 250-8BITMIME
S: 250-BINARYMIME
S: 250-CHUNKING
S: 250-SMTPUTF8
S: 250-DSN
S: 250-ENHANCEDSTATUSCODES
S: 250-LIMITS RCPTMAX=1000
S: 250 HELP
C: HELO client.example
S: 250 mail.example.org greets [127.0.0.1]

# A client that has no name sends its address, and spaces at the end are forgiven.
C: EHLO [192.0.2.1]
S* 250 HELP
C: HELO [IPv6:2001:db8::1]
S: 250 mail.example.org greets *
C: helo localhost  
S: 250 mail.example.org greets *
C: HELO under_score.example
S: 250 mail.example.org greets *

C: EHLO
S: 501 5.5.4 Syntax: EHLO domain
C: HELO
S: 501 5.5.4 Syntax: HELO domain
C: HELO two words
S: 501 5.5.4 That is no host name
C: EHLO <client.example>
S: 501 5.5.4 *
C: HELO client.example\
S: 501 5.5.4 *
# Not even in the world of SMTPUTF8: RFC 6531, section 3.7.1.
X: EHLO caf\0303\0251.example\r\n
S: 501 5.5.4 *
# A line that tries to look like two in a Received field.
X: EHLO client.example\rX-Evil: yes\r\n
S: 501 5.5.4 *
X: HELO client.example\0033[2J\r\n
S: 501 5.5.4 *
# 255 octets are the most a domain may have: section 4.5.3.1.2.
X: HELO 
L: 255 x
X: \r\n
S: 250 mail.example.org greets *
X: HELO 
L: 256 x
X: \r\n
S: 501 5.5.4 *
C: QUIT
S: 221 2.0.0 mail.example.org closing the channel
E:
