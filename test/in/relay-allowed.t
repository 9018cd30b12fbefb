#server relay
# Clients of the list may send to the world. What is local arrives at once and names nobody else; the rest waits.
S: 220 *
C: EHLO client.example
S* 250 *
C: MAIL FROM:<smith@example.org>
S: 250 *
C: RCPT TO:<green@example.com>
S: 250 2.1.5 <green@example.com> recipient ok
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 <jones@example.org> recipient ok
C: RCPT TO:<brown@[192.0.2.25]>
S: 250 2.1.5 <brown@[192.0.2.25]> recipient ok
C: DATA
S: 354 *
C: Subject: for all the world
C: 
C: .
S: 250 2.6.0 *
C: QUIT
S: 221 *
E:
