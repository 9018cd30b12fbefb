# RFC 5321, appendix D.1: a typical transaction; one of three recipients is refused.
S: 220 mail.example.org ESMTP smtpd
C: EHLO client.example
S: 250-mail.example.org greets *
S: 250-PIPELINING
S* 250 HELP
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 <smith@example.com> sender ok
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 <jones@example.org> recipient ok
C: RCPT TO:<green@example.com>
S: 550 5.7.1 Unable to relay for <green@example.com>
C: RCPT TO:<brown@example.org>
S: 250 2.1.5 <brown@example.org> recipient ok
C: DATA
S: 354 Send the message, then <CRLF>.<CRLF>
C: Date: Thu, 21 May 1998 05:33:29 -0700
C: From: John Q. Public <smith@example.com>
C: Subject: The next meeting of the board
C: To: jones@example.org
C: 
C: Blah blah blah...
C: ...etc. etc. etc.
C: .
S: 250 2.6.0 * queued
C: QUIT
S: 221 2.0.0 mail.example.org closing the channel
E:
