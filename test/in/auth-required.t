#server named
# Where nobody may be anonymous: RFC 4954, section 6.
S: 220 *
C: MAIL FROM:<>
S: 530 5.7.0 Authentication required
C: EHLO client.example
S* 250 AUTH PLAIN
C: VRFY anna
S: 530 5.7.0 Authentication required
C: NOOP
S: 250 *
C: BDAT 6 LAST
X: QUIT\r\n
S: 530 5.7.0 Authentication required
C: AUTH LOGIN
S: 504 5.5.4 That mechanism is not offered
C: AUTH PLAIN
S: 334 
C: AGFubmEAc2VjcmV0
S: 235 2.7.0 Authentication succeeded
C: MAIL FROM:<>
S: 250 *
C: RCPT TO:<jones@example.com>
S: 550 5.7.1 Unable to relay for <jones@example.com>
C: RCPT TO:<jones@example.org>
S: 250 *
C: QUIT
S: 221 *
E:
