#!/bin/sh
# Goal: the operator's log has one line an event with the id of the message, and nobody out there can write a line of it.
. "${TEST:-$(dirname "$0")}/lib.sh"

start_server
cat >log.t <<'E'
S: 220 *
C: EHLO client.example
S* 250 HELP
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 *
C: RCPT TO:<jones@example.com>
S: 550 5.7.1 *
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 *
C: RCPT TO:<green@example.net>
S: 250 2.1.5 *
C: DATA
S: 354 *
C: Subject: secret subject
C: 
C: secret text
C: .
S: 250 2.6.0 * queued
C: QUIT
S: 221 *
E:
E
converse log.t
wait_for 'messages plain/Drop | grep -q .'
id=$(messages plain/Drop); id=${id%.eml}
size=$(wc -c <"plain/Drop/$id.eml" | tr -d ' ')
cat >want <<E
- refused server="plain" client=127.0.0.1 helo=client.example reply="550 5.7.1 Unable to relay for <jones@example.com>"
$id received server="plain" client=127.0.0.1 helo=client.example from=<smith@example.com> to=<jones@example.org>,<green@example.net> size=$size with=ESMTP
$id delivered folder=Drop to=<jones@example.org>,<green@example.net>
E
sed '/listening on/d' server.log >got
cmp -s want got || { diff want got >&2; fail 'the log of one message'; }

# What might forge a line, clear a screen, hide what stands before it, or never end. Some of it is refused, some is
# taken: the log has to stand it either way.
forged='20260101T000000-00000-00000000 delivered folder=Drop to=<nobody@example.org>'
long() { awk -v n="$1" 'BEGIN { for (; i++ < n;) printf "x" }'; }
{
	printf 'EHLO client.example\r%s\r\n' "$forged"
	printf 'EHLO client.example\033[2J\b\b\r\n'
	printf 'EHLO %s\r\n' "$(long 255)"
	printf 'MAIL FROM:<smith\r%s@example.com>\r\n' "$forged"
	printf 'MAIL FROM:<"%s\013\r"@example.com>\r\n' "$forged"
	printf 'MAIL FROM:<"%s"@example.com> SMTPUTF8\r\n' "$forged"
	printf 'RCPT TO:<"\033[31m%s"@example.com>\r\n' "$forged"
	printf 'RCPT TO:<\302\205\342\200\250%s@example.com>\r\n' "$(long 600)"
	printf 'RCPT TO:<\342\200\256jones@example.org>\r\n'
	printf 'RCPT TO:<%s@example.org>\r\n' "$(long 1000)"
	for i in a b c d e f g h i j k l m n; do printf 'RCPT TO:<%s%s@example.org>\r\n' "$i" "$(long 100)"; done
	printf 'DATA\r\nSubject: x\r\n\r\n.\r\n\033]0;x\007%s\r\nQUIT\r\n' "$forged"
} | talk | tr -d '\r' >answers
is "$(grep -c '^250 2.6.0' answers)" 1 'messages accepted'
wait_for '[ "$(grep -c "^[^ ]* delivered " server.log)" = 2 ]'
id='[0-9]{8}T[0-9]{6}-[0-9]{5}-[0-9a-f]{8}'
! grep -v -E "^(smtpd: \"[a-z]+\" listening on |- refused server=\"plain\" client=|$id (received server=|delivered folder=))" server.log ||
	fail 'a line of another kind'
! grep '^20260101' server.log || fail 'a forged line'
! tr -d '\n' <server.log | grep -q '[^ -~]' || fail 'an octet that is not printable'
awk 'length($0) > 1000 { exit 1 }' server.log || fail 'a line of more than 1000 octets'
is "$(grep -c '^- refused ' server.log)" "$(($(grep -c '^[45]' answers) + 1))" 'refusals in the log'
! grep secret server.log || fail 'the text of a message'
ok
