# Verbs that take no argument, and one that needs one: RFC 5321, section 4.1.1.
S: 220 *
C: HELO client.example
S: 250 *
C: RSET now
S: 501 5.5.4 RSET takes no argument
C: QUIT now
S: 501 5.5.4 QUIT takes no argument
C: VRFY
S: 501 5.5.4 Syntax: VRFY address
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: DATA now
S: 501 5.5.4 DATA takes no argument
C: DATA
S: 354 *
C: Subject: by HELO
C: 
C: .
S: 250 *
# Spaces at the end are none.
C: RSET  
S: 250 2.0.0 Reset
C: quit 
S: 221 *
E:
