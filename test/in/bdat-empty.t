# Chunks of no octets: BDAT 0, and BDAT 0 LAST, which ends a message whose size was not known. RFC 3030, section 2.
S: 220 *
C: EHLO client.example
S* 250 HELP
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: BDAT 0
S: 250 2.0.0 0 octets received
C: BDAT 18
C: Subject: empty
C: 
S: 250 2.0.0 18 octets received
C: BDAT 0
S: 250 2.0.0 0 octets received
C: BDAT 0 LAST
S: 250 2.6.0 * queued
# A message of nothing at all.
C: MAIL FROM:<smith@example.com>
S: 250 *
C: RCPT TO:<jones@example.org>
S: 250 *
C: BDAT 0 LAST
S: 250 2.6.0 * queued
C: NOOP
S: 250 *
C: QUIT
S: 221 *
E:
