# HELP is printed from the table of verbs: RFC 5321, section 4.1.1.8.
S: 220 *
C: HELP
S: 214-2.0.0 HELO EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT
S: 214 2.0.0 HELP and a verb shows its syntax
C: HELP mail
S: 214 2.0.0 MAIL FROM:<address> [parameters]
C: help BDAT
S: 214 2.0.0 BDAT size [LAST]
C: HELP HELP
S: 214 2.0.0 HELP [verb]
C: HELP me
S: 504 5.5.4 No help on that
# It is not there, so there is no help on it.
C: HELP EXPN
S: 504 5.5.4 No help on that
C: QUIT
S: 221 *
E:
