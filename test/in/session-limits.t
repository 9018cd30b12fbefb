#server tight
# Recipients of one message, and octets of one session: RFC 5321, sections 4.5.3.1.10 and 3.8. Whom we turn away comes
# again. Here a message has two recipients at most, and a session 3072 octets of messages.
S: 220 *
C: EHLO client.example
S* 250-LIMITS RCPTMAX=2
S* 250 *
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 *
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 *
C: RCPT TO:<green@example.org>
S: 250 2.1.5 *
C: RCPT TO:<brown@example.org>
S: 452 4.5.3 Too many recipients; send another copy for the rest
# However many they are: it is not his mistake.
L: 25 RCPT TO:<brown@example.org>\r\n
C: NOOP
S* 250 2.0.0 OK
# Those two get it.
C: DATA
S: 354 *
L: 128 123456\r\n
C: .
S: 250 2.6.0 *
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 *
C: RCPT TO:<brown@example.org>
S: 250 2.1.5 *
C: DATA
S: 354 *
L: 128 123456\r\n
C: .
S: 250 2.6.0 *
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 *
C: RCPT TO:<black@example.org>
S: 250 2.1.5 *
C: DATA
S: 354 *
L: 128 123456\r\n
C: .
S: 250 2.6.0 *
C: MAIL FROM:<smith@example.com>
S: 421 4.7.0 Enough for one connection; come again
E:
