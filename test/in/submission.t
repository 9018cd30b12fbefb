#server submission
# Submission, RFC 6409: who it is comes first, domains are whole, and the header is completed.
S: 220 *
C: EHLO client.example
S* 250 AUTH *
C: MAIL FROM:<anna@example.org>
S: 530 5.7.0 Authentication required
C: AUTH PLAIN AGFubmEAc2VjcmV0
S: 235 *
C: MAIL FROM:<anna>
S: 554 5.1.8 <anna> is not fully qualified
C: MAIL FROM:<anna@laptop>
S: 554 5.1.8 <anna@laptop> is not fully qualified
C: MAIL FROM:<anna@example.org>
S: 250 *
C: RCPT TO:<jones>
S: 554 5.1.2 <jones> is not fully qualified
C: RCPT TO:<jones@laptop>
S: 554 5.1.2 <jones@laptop> is not fully qualified
C: RCPT TO:<postmaster>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: DATA
S: 354 *
C: Subject: one
C: Bcc: jones@example.org
C: To: Jones <jones>
C:
C: text
C: .
S: 250 2.6.0 *
C: MAIL FROM:<anna@example.org>
S: 250 *
C: RCPT TO:<smith@example.com>
S: 250 *
C: BDAT 10
X: Subject: t
S: 250 *
C: BDAT 16 LAST
X: wo\r\nFrom: a@b.c\n
S: 250 2.6.0 *
C: QUIT
S: 221 *
E:
