# More than thirty Received fields: the message is going round in circles. RFC 5321, section 6.3.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: DATA
S: 354 *
L: 15 Received: from here\r\n\tby there\r\n
L: 16 RECEIVED:by there\r\n
C: Subject: 31
C: 
C: .
S: 554 5.4.6 Too many hops: the message is going round in circles

# Thirty will do, whatever else looks like one.
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: DATA
S: 354 *
L: 30 received: from here\r\n
C: X-Received: from here
C: Received-SPF: none
C: Subject: 30
C:  Received: folded
C: 
L: 40 Received: from the body\r\n
C: .
S: 250 2.6.0 *
C: QUIT
S: 221 *
E:
