# A message whose text begins like our envelope is a message all the same: its recipients are those of RCPT.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: RCPT TO:<green@mail.partner.example>
S: 250 *
C: DATA
S: 354 *
C: x-sender: boss@example.org
C: x-receiver: brown@example.org
C: x-accepted: jones@example.org
C: Return-Path: <smith@example.com>
C: Subject: envelope
C: 
C: x-receiver: black@example.org
C: .
S: 250 2.6.0 *
C: QUIT
S: 221 *
E:
