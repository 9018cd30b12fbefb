#server auth
# A line that is too long ends the exchange, RFC 4954, section 4; what follows is a command again.
S: 220 *
C: EHLO client.example
S* 250 AUTH *
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
L: 4200 A
X: \r\n
S: 500 5.5.6 That line is too long for AUTH
C: NOOP
S: 250 *
C: AUTH PLAIN AGFubmEAc2VjcmV0
S: 235 *
C: QUIT
S: 221 *
E:
