# Parameters of MAIL and RCPT, good, bad, doubled, unknown: RFC 5321 4.1.1.11, 1870, 6152, 6531.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.com> COLOUR=red
S: 555 5.5.4 Parameter not recognized
C: MAIL FROM:<smith@example.com> NOTIFY=NEVER
S: 555 5.5.4 *
# AUTH was not offered.
C: MAIL FROM:<smith@example.com> AUTH=<>
S: 555 5.5.4 *
C: MAIL FROM:<smith@example.com> =
S: 555 5.5.4 *
C: MAIL FROM:<smith@example.com> SIZE=10 SIZE=10
S: 501 5.5.4 SIZE was given twice
C: MAIL FROM:<smith@example.com> SIZE
S: 501 5.5.4 Bad value for SIZE
C: MAIL FROM:<smith@example.com> SIZE=
S: 501 5.5.4 *
C: MAIL FROM:<smith@example.com> SIZE=10K
S: 501 5.5.4 *
C: MAIL FROM:<smith@example.com> SIZE=-1
S: 501 5.5.4 *
C: MAIL FROM:<smith@example.com> SIZE=000000000000000000010
S: 501 5.5.4 *
C: MAIL FROM:<smith@example.com> BODY
S: 501 5.5.4 Bad value for BODY
C: MAIL FROM:<smith@example.com> BODY=9BIT
S: 504 5.5.4 BODY is 7BIT, 8BITMIME or BINARYMIME
C: MAIL FROM:<smith@example.com> SMTPUTF8=yes
S: 501 5.5.4 Bad value for SMTPUTF8
# None of them has begun a transaction.
C: RCPT TO:<jones@example.org>
S: 503 5.5.1 MAIL first

C: MAIL FROM:<smith@example.com>   size=010  body=8bitmime SMTPutf8
S: 250 2.1.0 *
C: RCPT TO:<jones@example.org> SIZE=10
S: 555 5.5.4 *
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 *
C: DATA
S: 354 *
X: Subject: sm\0366rg\0345s\r\n
C: 
X: sm\0303\0266rg\0303\0245s\r\n
C: .
S: 250 2.6.0 *

C: MAIL FROM:<smith@example.com> BODY=7BIT SIZE=0
S: 250 2.1.0 *
C: QUIT
S: 221 *
E:
