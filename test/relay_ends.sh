#!/bin/sh
# Goal: what becomes of a message on its way when an operator comes in between.
# - a connection is ended after recipients were taken: it is over at once, and the message goes again, to all of them;
# - a reload gives a recipient another route while the old one has the message in hand: it is sent by one of them;
# - a server leaves, or stops: a connection that has had its verdict ends, and nothing spins or waits with it; the
#   operator who waits for that is not sent away.
. "${TEST:-$(dirname "$0")}/lib.sh"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac

tools sink
own_nc
CLOCK_FILE=$T/clock; export CLOCK_FILE
echo 0 >clock
ahead() { echo "$1" >clock.new; mv clock.new clock; }
op()    { "$SMTPD" -f smtpd.conf "$@" >op.out 2>&1; }
fine()  { op "$@" || { cat op.out >&2; fail "status $?: $*"; }; }
took()  { sed -n 's/^took .* to=<\([^>]*\)> .*/\1/p' sink.log | sort | tr '\n' ' '; }
port()  { sed -n 's/.*listening on .*://p' "$1.log"; }
send()  { # FROM RCPT ...
	{ echo EHLO x; echo "MAIL FROM:<$1>"; shift; for i; do echo "RCPT TO:<$i>"; done; printf '%s\n' DATA '' x . QUIT; } | say >said
	grep -q '^250 2.6.0' said || { cat said >&2; fail "not taken: $*"; }
}

# hop NAME: a next hop for one connection, whose words come from us. It says and hears what it is told.
hop() {
	mkfifo "$1.in"
	spawn "$1" sh -c "$own -l 127.0.0.1 0 <$1.in"
	exec 8>"$1.in"
	wait_for "grep -q 'listening on' $1.log"
	hop=$1
}
hears() { wait_for "grep -q '^$1' $hop.log"; }
says()  { printf '%s\r\n' "$@" >&8; }
# As far as the end of the content, for this many recipients; without a reply to that.
envelope() {
	says '220 hop.example'
	hears EHLO; says '250 hop.example'
	hears MAIL; says '250 ok'
	n=0; while [ $n -lt "$1" ]; do n=$((n + 1)); wait_for "[ \$(grep -c '^RCPT' $hop.log) -ge $n ]"; says '250 ok'; done
	hears DATA
}
content() { envelope "$1"; says '354 go'; wait_for "tr -d '\r' <$hop.log | grep -q '^\.$'"; }
quiet()   { exec 8>&-; wait_for "[ -e $hop.rc ]"; }

conf() {
	{ echo 'resolver 127.0.0.1:1'; echo "server one { general { listen 127.0.0.1:0; hostname one.example; mailroot one }"
	  echo 'access { relay only 127.0.0.1 }'; echo "delivery { glitch-retry 1h 3; smart-host [127.0.0.1]:$1 }; domain one.example default"; } >new
	shift
	for i; do echo "$i"; done >>new
	echo '}' >>new
	mv new smtpd.conf
}
idle() { wait_for 'op sessions; grep -q "^nobody" op.out'; }	# no connection is kept for more
spawn sink "$sink"
wait_for "grep -q 'listening on' sink.log"

# --- ended by an operator ---

# One that has not even greeted us: the next attempt comes at once.
hop silent
conf "$(port silent)"
start_server
send s@one.example a@far.example
wait_for 'op sessions; grep -q "out .*127.0.0.1" op.out'
fine sessions end all
wait_for 'grep -q "^- destination=\* " server.log'
quiet
fine queue remove all

hop first
conf "$(port first)"
fine reload
send s@one.example a@far.example b@far.example
envelope 2
fine sessions end all
wait_for '[ "$(grep -c "^- destination=\* " server.log)" -eq 2 ]'
quiet
conf "$(port sink)"
fine reload
wait_for '[ "$(took)" = "a@far.example b@far.example " ]'
wait_for '[ -z "$(ls one/Queue)" ]'
idle
ok 'ended by an operator'

# --- another route while it is on its way ---

hop second
conf "$(port second)" 'domain row.example remote { smart-host [127.0.0.1]:1 }'
fine reload
send s@one.example u@far.example v@row.example
content 1
wait_for 'grep -q "^- destination=row.example " server.log'
exec 9>&8
hop third
conf 1 'domain row.example remote { smart-host [127.0.0.1]:1 }' "domain far.example remote { smart-host [127.0.0.1]:$(port third) }"
fine reload
says '220 hop.example'
hears EHLO; says '250 hop.example'
hears '\(QUIT\|MAIL\)'
! grep -q '^MAIL' third.log || fail 'it is sent by two routes at once'
quiet
printf '250 ok\r\n' >&9
wait_for 'grep -q "relayed .*to=<u@far.example>" server.log'
exec 9>&-
wait_for 'grep -q "^x-accepted: u@far.example" one/Queue/*.eml'
ahead 60
fine status
wait_for 'op queue domains; grep -q "^row.example: 1 waiting" op.out && ! grep -q "^far.example" op.out'
! grep -q '^- destination=far.example' server.log || fail 'it was to be sent once more'
fine queue remove all
ok 'another route'

# --- its server stops ---

hop fourth
conf "$(port fourth)"
fine reload
send s@one.example w@far.example
content 1
"$SMTPD" -f smtpd.conf stop one >stop.out 2>&1 & stop=$!
wait_for 'grep -q "^smtpd: \"one\" is stopping" server.log'
ahead 120
fine status
grep -q '^"one" is stopping$' op.out || fail 'it did not wait for what is on its way'
says '250 ok'
hears QUIT
quiet
wait $stop || { cat stop.out >&2; fail "status $? of the one who waited"; }
is "$(cat stop.out)" '"one" is stopped' 'what he is told'
is "$(ls one/Queue)" '' 'in Queue'
fine start one
ok 'its server stops'

# --- its server leaves, and has more to send ---

hop fifth
conf "$(port fifth)"
fine reload
send s@one.example x@far.example
content 1
exec 9>&8
mkfifo in; spawn client sh -c "$own 127.0.0.1 $PORT <in"; exec 8>in
printf '%s\r\n' 'HELO x' 'MAIL FROM:<s@one.example>' 'RCPT TO:<y@far.example>' >&8
wait_for 'grep -q "recipient ok" client.log'
echo 'resolver 127.0.0.1:1' >new
echo 'control one/.control; server two { general { listen 127.0.0.1:0; hostname two.example; mailroot two }; domain two.example default }' >>new
mv new smtpd.conf
fine reload
grep -q '^smtpd: "one" is leaving' server.log || fail 'it does not leave'
printf '%s\r\n' DATA '' . >&8
wait_for 'grep -q "^250 2.6.0" client.log'
printf '250 ok\r\n' >&9
hears QUIT
exec 9>&-
wait_for '[ -e fifth.rc ]'
fine status
grep -q '^"one" is leaving$' op.out || fail 'it has gone before its last session'
printf 'QUIT\r\n' >&8
exec 8>&-
wait_for 'op status; ! grep -q "^\"one\"" op.out'
is "$(sed -n 's/^x-receiver: //p' one/Queue/*.eml | tr -d '\r')" y@far.example 'what waits for the next start'
ok 'its server leaves'
stop_server
