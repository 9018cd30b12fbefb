#server auth
# AUTH, RFC 4954: two mechanisms whose every octet is known; what is no response, cancelled, or out of order.
S: 220 *
C: AUTH PLAIN AGFubmEAc2VjcmV0
S: 503 5.5.1 Say EHLO or HELO first
C: EHLO client.example
S* 250 AUTH PLAIN LOGIN SCRAM-SHA-256
C: RCPT TO:<jones@example.com>
S: 503 5.5.1 MAIL first
C: AUTH
S: 501 5.5.4 Syntax: AUTH mechanism [response]
C: AUTH CRAM-MD5
S: 504 5.5.4 That mechanism is not offered
C: AUTH ANONYMOUS
S: 504 5.5.4 That mechanism is not offered
C: AUTH PLAIN
S: 334 
C: *
S: 501 5.7.0 Authentication cancelled
C: AUTH PLAIN AGFubmEAc2VjcmV
S: 501 5.5.2 That is no response of this mechanism, in base64
C: AUTH PLAIN =
S: 501 5.5.2 That is no response of this mechanism, in base64
C: AUTH PLAIN two words
S: 501 5.5.2 That is no response of this mechanism, in base64
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
C: YW5uYQ==
S: 334 UGFzc3dvcmQ6
C: *
S: 501 5.7.0 Authentication cancelled
C: MAIL FROM:<anna@example.org> AUTH=anna@example.org
S: 250 *
C: AUTH PLAIN AGFubmEAc2VjcmV0
S: 503 5.5.1 A transaction is under way; RSET ends it
C: RCPT TO:<jones@example.com>
S: 550 5.7.1 Unable to relay for <jones@example.com>
C: RSET
S: 250 *
C: AUTH LOGIN YW5uYQ==
S: 334 UGFzc3dvcmQ6
C: c2VjcmV0
S: 235 2.7.0 Authentication succeeded
C: AUTH PLAIN AGFubmEAc2VjcmV0
S: 503 5.5.1 Already authenticated
C: MAIL FROM:<anna@example.org> AUTH=anna@@
S: 250 *
C: RSET
S: 250 *
C: MAIL FROM:<anna@example.org> AUTH=
S: 501 5.5.4 Bad value for AUTH
C: MAIL FROM:<anna@example.org> AUTH=a+2
S: 501 5.5.4 Bad value for AUTH
C: MAIL FROM:<anna@example.org> AUTH=<>
S: 250 *
C: RCPT TO:<jones@example.com>
S: 250 2.1.5 <jones@example.com> recipient ok
C: RSET
S: 250 *
C: EHLO client.example
S* 250 HELP
C: QUIT
S: 221 *
E:
