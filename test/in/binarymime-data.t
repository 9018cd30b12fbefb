# A message in BINARYMIME can come by BDAT only, and where it stands in lines it stays as it is: RFC 3030, section 3.
S: 220 *
C: EHLO client.example
S* 250-BINARYMIME
S* 250 HELP
C: MAIL FROM:<smith@example.com> BODY=BINARYMIME
S: 250 2.1.0 *
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 *
C: DATA
S: 503 5.5.1 BINARYMIME needs BDAT
C: BDAT 32 LAST
C: Subject: binary
C: 
C: no
X: last line
S: 250 2.6.0 *
C: QUIT
S: 221 *
E:
