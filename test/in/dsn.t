# The parameters of delivery status notifications, RFC 3461 section 4, are understood, checked, and kept for later.
S: 220 *
C: EHLO client.example
S* 250-DSN
S* 250 *
C: MAIL FROM:<smith@example.com> RET=ALL
S: 501 5.5.4 Bad value for RET
C: MAIL FROM:<smith@example.com> RET
S: 501 5.5.4 *
C: MAIL FROM:<smith@example.com> ENVID=a=b
S: 501 5.5.4 Bad value for ENVID
C: MAIL FROM:<smith@example.com> ENVID=+3d
S: 501 5.5.4 *
X: MAIL FROM:<smith@example.com> ENVID=
L: 101 x
X: \r\n
S: 501 5.5.4 *
C: MAIL FROM:<smith@example.com> ENVID=a ENVID=a
S: 501 5.5.4 ENVID was given twice
C: MAIL FROM:<smith@example.com> ORCPT=rfc822;smith@example.com
S: 555 5.5.4 *

C: MAIL FROM:<smith@example.com> RET=HDRS ENVID=QQ314159+2B
S: 250 2.1.0 *
C: RCPT TO:<jones@example.org> NOTIFY
S: 501 5.5.4 Bad value for NOTIFY
C: RCPT TO:<jones@example.org> NOTIFY=
S: 501 5.5.4 *
C: RCPT TO:<jones@example.org> NOTIFY=NEVER,FAILURE
S: 501 5.5.4 *
C: RCPT TO:<jones@example.org> NOTIFY=FAILURE,FAILURE
S: 501 5.5.4 *
C: RCPT TO:<jones@example.org> NOTIFY=SUCCESS,
S: 501 5.5.4 *
C: RCPT TO:<jones@example.org> NOTIFY=SOMETIMES
S: 501 5.5.4 *
C: RCPT TO:<jones@example.org> ORCPT=jones@example.org
S: 501 5.5.4 Bad value for ORCPT
C: RCPT TO:<jones@example.org> ORCPT=rfc822;
S: 501 5.5.4 *
C: RCPT TO:<jones@example.org> ORCPT=rfc822;a+b
S: 501 5.5.4 *
C: RCPT TO:<jones@example.org> RET=FULL
S: 555 5.5.4 *

C: RCPT TO:<jones@example.org> NOTIFY=SUCCESS,failure,DELAY ORCPT=rfc822;Jones+2BX@example.net
S: 250 2.1.5 *
C: RCPT TO:<green@example.org> notify=never
S: 250 2.1.5 *
C: RCPT TO:<brown@example.org>
S: 250 2.1.5 *
C: DATA
S: 354 *
C: Subject: notify me
C: 
C: .
S: 250 2.6.0 *
C: QUIT
S: 221 *
E:
