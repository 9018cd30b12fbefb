#server hasty
# Silence in the middle of a message: RFC 5321, section 4.5.3.2.5. Nothing of it is kept.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: never finished
C: 
X: .\r
S: 421 4.4.2 Nothing heard for too long; closing
E:
