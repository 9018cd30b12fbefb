#!/bin/sh
# Goal: SIGHUP puts another configuration in the place of the first.
# - a session goes on with the one it began with, the next one has the new one;
# - listeners that are in both stay open, others close or open; a server that is gone finishes its sessions, and what
#   they bring is kept; one that is new begins; one with another name for the same mailroot is the same;
# - a wrong file is reported and changes nothing; an address that is taken stops that server alone;
# - what waits goes the new way at once; a server that is not to start answers 421;
# - what a connection of before has in hand goes nowhere else meanwhile, and nothing else waits because of that.
. "${TEST:-$(dirname "$0")}/lib.sh"

own_nc
conf() { { echo 'resolver 127.0.0.1:1'; cat; } >smtpd.conf; }
hup()  { kill -s HUP "$(cat server.pid)"; }
conf <<E
server "one" {
    general { listen 127.0.0.1:0; hostname before.example; mailroot one }
    access { relay only 127.0.0.1 }
    delivery { smart-host [127.0.0.1]:1; glitch-retry 1h 3 }
    domain one.example default
}
server "two" {
    general { listen 127.0.0.1:0; hostname two.example; mailroot two }
    domain two.example default
}
server "still" {
    general { listen 127.0.0.1:0; mailroot still; hostname still.example; start no }
    domain still.example default
}
E
start_server
ONE=$(port_of one) TWO=$(port_of two) STILL=$(port_of still)
grep -q '^smtpd: "still" is stopped$' server.log || fail 'it does not say who stands still'
PORT=$STILL
is "$(echo QUIT | say)" '421 4.3.2 still.example takes no connections now' 'a server that is not to start'

PORT=$ONE
printf '%s\n' 'HELO x' 'MAIL FROM:<s@one.example>' 'RCPT TO:<u@away.example>' DATA '' . QUIT | say >sent
wait_for 'grep -q "destination=\*" server.log'

# Two sessions in flight, one of them with the server that will go. They speak when they are told.
flight() {
	PORT=$2
	{ printf 'HELO x\r\nMAIL FROM:<s@one.example>\r\nRCPT TO:<u@%s.example>\r\n' "$1"
	  poll '[ -e go ]' 60
	  printf 'DATA\r\nSubject: in flight\r\n\r\n.\r\nQUIT\r\n'; } | LIMIT=60 talk >"$1.raw"
	tr -d '\r' <"$1.raw" >"$1.said"
}
touch one.raw two.raw
flight one "$ONE" & flight two "$TWO" &
wait_for 'grep -q "recipient ok" one.raw && grep -q "recipient ok" two.raw'

cp smtpd.conf right.conf
echo 'server x { general { lisen 1 } }' >>smtpd.conf
hup
wait_for 'grep -q "configuration is wrong, and nothing has changed" server.log'
grep -q "did you mean 'listen'" server.log || fail 'the mistake is not told'
PORT=$TWO
like "$(echo QUIT | say)" '220 two.example *' 'nothing has changed'

spawn taker "$own" -l 127.0.0.1 0
wait_for "grep -q 'listening on' taker.log"
TAKEN=$(sed -n 's/.*listening on .*://p' taker.log)
conf <<E
server "first" {
    general { listen 127.0.0.1:0; hostname after.example; mailroot one }
    access { relay only 127.0.0.1 }
    delivery { port $TAKEN; smart-host [127.0.0.1] }
    domain one.example default
}
server "three" {
    general { listen 127.0.0.1:0; hostname three.example; mailroot three }
    domain three.example default
}
server "clash" {
    general { listen 127.0.0.1:$TAKEN; hostname clash.example; mailroot clash }
    domain clash.example default
}
E
cp one/Queue/*.eml two/Queue
hup
wait_for 'grep -q "configuration was read again" server.log'
grep -q '^smtpd: "two" leaves 1 of its messages in two/Queue, and nobody delivers them' server.log || fail 'what is left is not told'
grep -q "smtpd.conf:[0-9]*: \"clash\" cannot listen on 127.0.0.1:$TAKEN" server.log || fail 'the clash is not told'
grep -q '^smtpd: "clash" is not started$' server.log || fail 'it does not say that one is not started'
grep -q '^smtpd: "two" is leaving$' server.log || fail 'it does not say that one is leaving'
PORT=$ONE
like "$(echo QUIT | say)" '220 after.example *' 'the same listener, the new configuration'
use three
like "$(echo QUIT | say)" '220 three.example *' 'the new server'
PORT=$TWO
is "$(echo QUIT | say 2>/dev/null)" '' 'the listener of the one that is gone'
! grep -q '"first" listening' server.log || fail 'a listener that stayed is announced again'

: >go
wait_for '[ -e one.said ] && [ -e two.said ]'
for i in one two; do
	grep -q '^250 2.6.0 .* queued$' $i.said || fail "the session with $i was cut"
	is "$(ls $i/Drop | wc -l | tr -d ' ')" 1 "what the session brought to $i"
done
grep -q '^221 2.0.0 before.example' one.said || fail 'it did not go on as it began'

# The taker, which is a server that never greets, got the waiting message's connection.
ls one/Queue/*.eml >/dev/null || fail 'what waits is gone'
end taker TERM 5
wait_for 'grep -q "server=\"first\" waiting=1 .*127.0.0.1\]*:$TAKEN" server.log'

# A server that falls silent has a message in hand, which waits for another one too: that one gets it when it is there, but
# not with the recipient whose mail goes there since a reload.
tools sink
printf '%s\n' 'S: 220 silent' 'C: EHLO *' 'S: 250 silent' 'C: MAIL *' 'C: never' >silent.t
spawn sink "$sink" -x
wait_for 'grep -q "listening on" sink.log'
reads=1 LIMIT=100; export LIMIT
away() {
	conf <<E
server "first" {
    general { listen 127.0.0.1:0; hostname after.example; mailroot one }
    access { relay only 127.0.0.1 }
    delivery { smart-host [127.0.0.1]:$(sed -n 's/^sink listening on .*://p' sink.log) }
    domain one.example default
    $*
}
E
	hup
	reads=$((reads + 1)); wait_for '[ "$(grep -c "configuration was read again" server.log)" = $reads ]'
}
send() {
	{ printf '%s\n' 'HELO x' 'MAIL FROM:<s@one.example>'; printf 'RCPT TO:<%s>\n' "$@"; printf '%s\n' DATA '' . QUIT; } | say |
		grep -q '^250 2.6.0' || fail "no mail for $*"
}
stuck() {
	peer silent.t
	waits=$(grep -c 'destination=\* .*waiting=' server.log)
	away "domain silent.example remote { smart-host [127.0.0.1]:$PEER }"
	send "$1@silent.example" "$1@slow.example"
	wait_for '"$SMTPD" -f smtpd.conf sessions | grep -q "MAIL with"'
	wait_for '[ "$(grep -c "destination=\* .*waiting=" server.log)" -gt $waits ]'
}
# Sink takes mail, or takes none.
turn()  { kill -s USR2 "$(cat sink.pid)"; kill -s USR1 "$(cat server.pid)"; }
taken() { wait_for "grep -q 'to=<$1>' sink.log"; }
PORT=$ONE
stuck a
away
turn
send b@slow.example
taken b@slow.example
! grep -q 'to=<a@' sink.log || fail 'two have the same in hand'
end peer1 TERM 20
wait_for 'grep -q "destination=silent.example .*waiting=1" server.log'     # back in the queue, for where it goes by now
kill -s USR1 "$(cat server.pid)"
taken a@silent.example; taken a@slow.example
turn
wait_for '"$SMTPD" -f smtpd.conf sessions | grep -q "nobody is connected"'
stuck c
turn
taken c@slow.example
stop_server
ok
