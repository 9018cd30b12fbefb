#server strict
# `line-endings reject`: who ends all lines in CR LF does not notice; a line of text that ends in LF alone refuses the
# message and closes, for nobody can tell what comes next: RFC 5321, section 2.3.8.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: proper
C: 
C: ..
C: .
S: 250 2.6.0 *
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: DATA
S: 354 *
X: Subject: improper\r\n\r\ntext\n.\nMAIL FROM:<boss@example.org>\r\n.\r\n
S: 550 5.5.2 A line ended without CR LF
E:
