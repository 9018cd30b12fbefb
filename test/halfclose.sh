#!/bin/sh
# Goal: a netcat that closes its half at once hears all of its replies, and its message arrives; one that closes, or
# vanishes, in the middle of a message leaves nothing behind, and hears why where it still can hear.
. "${TEST:-$(dirname "$0")}/lib.sh"

start_server
own_nc
envelope='EHLO client.example
MAIL FROM:<smith@example.com>
RCPT TO:<jones@example.org>'
nothing() {
	wait_for '[ -z "$(messages plain/SortTemp)" ]'
	is "$(messages plain/Queue)$(messages plain/Drop)" '' "$1: mail"
}
hint='451 4.4.2 The message was cut off; DATA ends with <CRLF>.<CRLF> (nc -C sends CR LF)'

# Nothing but a connection; half a command, which is none.
is "$(say </dev/null)" '220 mail.example.org ESMTP smtpd' 'no word'
is "$(printf 'EHLO client.example\r\nNOO' | talk | tr -d '\r' | tail -n 1)" '250 HELP' 'half a command'

# Half a message; one that ends in LF . LF; one that lacks its last octet; half a chunk; no last chunk.
is "$(printf '%s\n' "$envelope" DATA 'Subject: half' '' text | say | tail -n 1)" "$hint" 'half a message'
nothing 'half a message'
is "$(printf '%s\n' "$envelope" DATA 'Subject: LF' '' text . QUIT | talk | tr -d '\r' | tail -n 1)" "$hint" 'LF . LF'
nothing 'LF . LF'
is "$({ printf '%s\n' "$envelope" DATA; printf 'Subject: CR\r\n\r\n.\r'; } | talk | tr -d '\r' | tail -n 1)" "$hint" 'no LF'
nothing 'no LF'
like "$(printf '%s\n' "$envelope" 'BDAT 100 LAST' 'Subject: half' | say | tail -n 1)" '451 4.4.2 *' 'half a chunk'
nothing 'half a chunk'
like "$(printf '%s\n' "$envelope" 'BDAT 6' 'A: b' | say | tail -n 1)" '250 2.0.0 6 octets*' 'no last chunk'
nothing 'no last chunk'

# A whole message, and one who does not stay to hear that it has been taken.
vanish() {	# COMMAND CONDITION
	mkfifo in
	spawn client $SH -c 'exec "$@" <in' client "$own" "$HOST" "$PORT"
	exec 3>in
	{ printf '%s\n' "$envelope" "$1"; awk 'BEGIN { for (; i++ < 200;) print "octets, octets, octets" }'; } |
		awk '{ printf "%s\r\n", $0 }' >&3
	wait_for "$2"
	end client KILL 5 || fail 'the client survives KILL'
	exec 3>&-
	rm in
}
vanish DATA 'messages plain/SortTemp | grep -q .'
nothing 'a client that vanished in DATA'
vanish 'BDAT 100000' 'messages plain/SortTemp | grep -q .'
nothing 'a client that vanished in BDAT'
vanish 'BDAT 8 LAST' "grep -q '^250 2.6.0' client.log"
wait_for 'messages plain/Drop | grep -q .'
rm plain/Drop/*

# Two whole messages; QUIT is optional.
printf '%s\n' "$envelope" DATA 'Subject: one' '' . "$envelope" DATA 'Subject: two' '' . | say >got
is "$(sed 's/^\(...\).*/\1/' got | uniq | tr '\n' ' ')" '220 250 354 250 354 250 ' 'two messages and no QUIT'
poll '[ "$(messages plain/Drop | wc -l)" -eq 2 ]'
is "$(cat plain/Drop/* | grep -c '^Subject: ')" 2 'messages in Drop'
rm plain/Drop/*
nothing 'the end'
ok
