#server auth
# Unknown or wrong is one answer; the third ends the session. RFC 4954, section 9.
S: 220 *
C: EHLO client.example
S* 250 AUTH *
C: AUTH PLAIN AGFubmEAU2VjcmV0
S: 535 5.7.8 That is not the name and password of anybody here
C: AUTH PLAIN AG5vYm9keQBzZWNyZXQ=
S: 535 5.7.8 That is not the name and password of anybody here
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
C: YW5uYQ==
S: 334 UGFzc3dvcmQ6
C: cw==
S: 421 4.7.0 Too many failed logins; come again later
E:
