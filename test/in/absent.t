# Commands we know and do not have: 502, not 500: RFC 5321, section 4.2.4. They leave a transaction as it is.
S: 220 *
C: EXPN staff
S: 502 5.5.1 EXPN is not available here
C: EHLO client.example
S* 250 *
C: STARTTLS
S: 502 5.5.1 STARTTLS is not available here
C: AUTH PLAIN AHNtaXRoAHNlY3JldA==
S: 502 5.5.1 AUTH is not available here
C: MAIL FROM:<smith@example.com>
S: 250 *
C: ETRN example.com
S: 502 5.5.1 ETRN is not available here
C: TURN
S: 502 5.5.1 TURN is not available here
C: ATRN
S: 502 5.5.1 ATRN is not available here
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 *
C: QUIT
S: 221 *
E:
