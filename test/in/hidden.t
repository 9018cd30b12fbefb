#server relay
# `extensions -CHUNKING -DSN`: what is not offered is not there, nor what is nothing without it: RFC 5321, section 2.2.
S: 220 *
C: EHLO client.example
S: 250-mail.example.org greets *
S: 250-PIPELINING
S: 250-SIZE 33554432
S: 250-8BITMIME
S: 250-SMTPUTF8
S: 250-ENHANCEDSTATUSCODES
S: 250-LIMITS RCPTMAX=1000
S: 250 HELP
C: HELP
S: 214-2.0.0 HELO EHLO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT
S: 214 *
C: HELP BDAT
S: 504 *
C: MAIL FROM:<smith@example.org> RET=HDRS
S: 555 5.5.4 Parameter not recognized
C: MAIL FROM:<smith@example.org> ENVID=QQ314159
S: 555 5.5.4 *
C: MAIL FROM:<smith@example.org> BODY=BINARYMIME
S: 504 5.5.4 *
C: MAIL FROM:<smith@example.org> BODY=8BITMIME
S: 250 2.1.0 *
C: RCPT TO:<jones@example.org> NOTIFY=NEVER
S: 555 5.5.4 *
C: RCPT TO:<jones@example.org> ORCPT=rfc822;jones@example.org
S: 555 5.5.4 *
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 *
# BDAT is no command here, so its chunk is a line like any other.
C: BDAT 6
C: NOOP
S: 500 5.5.2 Command not recognized
S: 250 2.0.0 OK
C: QUIT
S: 221 *
E:
