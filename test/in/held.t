#server hold
# Mail that is held is asked for: RFC 1985. Nobody knows here where held.example is, so what is released waits on.
S: 220 *
C: ETRN held.example
S: 503 5.5.1 Say EHLO or HELO first
C: EHLO client.example
S* 250-HELP
S: 250-ETRN
S: 250-ATRN
S: 250-TURN
S: 250 AUTH *
C: HELP ETRN
S: 214 2.0.0 ETRN [@|#]node
# Not ours to ask for, no name, and mail for those who say who they are.
C: ETRN example.org
S: 459 4.7.1 Node example.org not allowed: no mail is held for it
C: ETRN other.example
S: 459 4.7.1 Node other.example not allowed: no mail is held for it
C: ETRN @example.com
S: 459 *
C: ETRN #nobody
S: 459 4.7.1 Node #nobody not allowed: no mail is held for it
C: ETRN branch.example
S: 459 4.7.1 Node branch.example not allowed: its mail is collected by ATRN
C: ETRN @branch.example
S: 459 4.7.1 Node @branch.example not allowed: its mail is collected by ATRN
C: ETRN
S: 501 5.5.4 Syntax: ETRN [@|#]node
C: ETRN @
S: 501 5.5.4 *
C: ETRN held.example now
S: 501 5.5.4 *
C: ETRN <held.example>
S: 501 5.5.4 *
C: ETRN ##held.example
S: 501 5.5.4 *
C: ATRN branch.example
S: 530 5.7.0 Authentication required
C: TURN
S: 530 5.7.0 Authentication required
# Nothing waits, and then two messages for one and one for another.
C: ETRN held.example
S: 251 2.0.0 OK, no messages waiting for node held.example
C: ETRN @held.example
S: 251 2.0.0 OK, no messages waiting for node @held.example
C: MAIL FROM:<smith@example.org>
S: 250 *
C: ETRN held.example
S: 503 5.5.1 A transaction is under way; RSET ends it
C: RCPT TO:<a@held.example>
S: 250 *
C: DATA
S: 354 *
C: .
S: 250 2.6.0 *
C: MAIL FROM:<smith@example.org>
S: 250 *
C: RCPT TO:<b@Held.Example>
S: 250 *
C: RCPT TO:<c@deep.in.held.example>
S: 250 *
C: RCPT TO:<d@branch.example>
S: 250 *
C: DATA
S: 354 *
C: .
S: 250 2.6.0 *
C: ETRN HELD.example
S: 253 2.0.0 OK, pending messages for node HELD.example started: 2
C: ETRN held.example
S: 250 2.0.0 OK, queuing for node held.example started
C: ETRN #held.example
S: 250 2.0.0 OK, queuing for node #held.example started
C: ETRN in.held.example
S: 251 *
C: ETRN @in.held.example
S: 253 2.0.0 OK, pending messages for node @in.held.example started: 1
C: ETRN #*.held.example
S: 250 2.0.0 OK, queuing for node #[*].held.example started
# @ is for all below it that may be asked for so.
C: ETRN @example
S: 250 2.0.0 OK, queuing for node @example started
# Too often is too often.
L: 100 ETRN held.example\r\n
S* 458 4.3.2 Unable to queue messages for node held.example
