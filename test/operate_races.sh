#!/bin/sh
# Goal: what operators ask in the same turn of the server, in whatever order, ends well.
# - a request about many messages while their server is stopped, started, or taken out by a reload: it ends with a
#   status, and the mailroot belongs to whoever needs it; two acts on one message; no message is lost;
# - sessions are ended while they bring mail: what was promised is there, and who was not meant goes on;
# - a server that leaves and comes back by another reload goes on as it stood; one that could not begin is tried again by
#   a reload or `start'; a stop that a reload causes is not remembered;
# - what cannot be given up stays held; what stands in the place of the control socket is left alone.
. "${TEST:-$(dirname "$0")}/lib.sh"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac

tools volley
own_nc
FAULT_FILE=$T/fault; export FAULT_FILE
: >fault
op()   { "$SMTPD" -f smtpd.conf "$@" >op.out 2>&1; }
fine() { op "$@" || { cat op.out >&2; fail "status $?: $*"; }; }
is_state() { op status; grep -q "^\"$1\" is $2\$" op.out || { cat op.out >&2; fail "${3:-\"$1\" is not $2}"; }; }
# All of these at once: a request, or PORT=FILE.
together() {
	for words; do
		shift
		case $words in [0-9]*=*) set -- "$@" "${words%%=*}" "${words#*=}" ;; *) set -- "$@" "$CONTROL" "$words" ;; esac
	done
	limit 60 "$volley" "$(cat server.pid)" "$@" || fail "no answer to: $*"
	[ ! -e server.rc ] || fail "the server has ended: $*"
}
# told N STATUS [TEXT]: what was answered to the N-th.
told() {
	is "$(tail -n 1 "volley.$1")" "=$2" "status of the request $1: $(cat "volley.$1")"
	[ -z "${3-}" ] || grep -q -- "$3" "volley.$1" || fail "the request $1 is not told: $3"
}

one() {
	echo 'resolver 127.0.0.1:1'
	echo "control $CONTROL"
	echo 'server one { general { listen 127.0.0.1:0; hostname one.example; mailroot one }; access { relay only 127.0.0.1 }'
	echo "    delivery { smart-host [127.0.0.1]:1; glitch-retry 1h 3 }; ${1-}; domain one.example default }"
}
two()   { echo 'server two { general { listen 127.0.0.1:0; hostname two.example; mailroot two }; domain two.example default }'; }
three() { echo "server three { general { listen 127.0.0.1:$1; hostname three.example; mailroot three }; domain three.example default }"; }

# --- the control socket ---

mkdir s; CONTROL=$T/s/control
{ one; two; } >smtpd.conf
echo precious >s/control
start_server
wait_for 'grep -q "^smtpd: control: .*/s/control: " server.log'
is "$(cat s/control)" precious 'the file in its place'
stop_server
is "$(cat s/control)" precious 'the file in its place, at the end'
rm s/control
ok 'the socket'

# One that has no time to answer is there all the same: a second program goes on without the socket.
if [ "$(uname)" = Linux ]; then		# elsewhere a full queue looks as if nobody were there
	start_server
	kill -s STOP "$(cat server.pid)"
	i=0; while [ $i -lt 12 ]; do i=$((i + 1)); "$SMTPD" -f smtpd.conf status >busy.$i 2>&1 & done
	{ echo 'resolver 127.0.0.1:1'; echo "control $CONTROL"; two | sed 's/two/second/g'; } >second.conf
	SERVER=second; start_server second.conf
	wait_for 'grep -q "^smtpd: control: .*/s/control: " second.log'
	stop_server
	SERVER=server
	kill -s CONT "$(cat server.pid)"
	wait_for 'op status'
	stop_server
	ok 'a busy socket'
fi

# --- servers that could not begin ---

spawn taker "$own" -l 127.0.0.1 0
wait_for "grep -q 'listening on' taker.log"
TAKEN=$(sed -n 's/.*listening on .*://p' taker.log)
: >three				# where a folder should be
{ one; two; three "$TAKEN"; } >smtpd.conf
start_server
is_state three 'not started' 'a server without an address was started'
end taker TERM 5
op reload && fail 'a reload that leaves one behind ends well'
is_state three 'not started' 'a server without a mailroot was started'
rm three
fine reload
is_state three running 'the reload did not try it again'
like "$(PORT=$TAKEN; echo QUIT | say)" '220 three.example *' 'the server that was tried again'
stop_server
rm -r three; : >three
start_server
is_state three 'not started'
rm three
fine start three
is_state three running 'it has been started and says otherwise'
{ one; two; } >smtpd.conf
fine reload
ok 'servers that could not begin'

# --- a stop that a reload causes ---

: >file
one "messages { badmail $T/file }" >smtpd.conf; two >>smtpd.conf
fine reload
wait_for 'op status; grep -q "^\"one\" is stopped$" op.out'
! grep -q stopped one/.state 2>/dev/null || fail 'it is remembered as if an operator had said so'
{ one; two; } >smtpd.conf
stop_server
start_server
is_state one running
ok 'a stop that a reload causes'

# --- it leaves, with a session, and comes back ---

ONE=$(port_of one) TWO=$(port_of two)
mkfifo in; spawn client sh -c "$own 127.0.0.1 $TWO <in"; exec 8>in
printf 'HELO x\r\n' >&8
wait_for 'grep -q "^250" client.log'
for state in running paused; do
	[ $state = running ] || fine pause two
	one >smtpd.conf; fine reload
	is_state two leaving
	{ one; two; } >smtpd.conf; fine reload
	is_state two $state "it did not come back $state"
	is "$(grep -c '^"two"' op.out)" 1 'servers with this name'
done
printf 'MAIL FROM:<>\r\nRCPT TO:<u@two.example>\r\nDATA\r\n\r\n.\r\nQUIT\r\n' >&8
wait_for 'grep -q "^250 2.6.0" client.log && [ -e client.rc ]'
exec 8>&-
wait_for '[ "$(ls two/Drop | wc -l)" -eq 1 ]'
is_state two paused 'it has gone with its last session'
fine resume two
ok 'a server that comes back'

# --- requests about many messages ---

MANY=120		# more than two turns look at
letters() { i=0; while [ $i -lt "$1" ]; do i=$((i + 1)); printf 'MAIL FROM:<s@one.example>\r\nRCPT TO:<u%s@far.example>\r\nDATA\r\n\r\n.\r\n' $i; done; }
fill() {
	n=$(ls one/Queue | grep -c '\.eml$\|\.held$')
	{ printf 'EHLO x\r\n'; letters $((MANY - n)); printf 'QUIT\r\n'; } | { PORT=$ONE; talk; } >said
	is "$(grep -c '^250 2.6.0' said)" $((MANY - n)) 'taken'
}
all()  { ls one/Queue | grep -c "${1:-\.eml$\|\.held$}"; }
fill
for verb in hold release retry fail remove resend; do
	set -- "queue $verb all"
	case $verb in
	release) fine queue hold all ;;
	retry)   fine queue release all ;;
	resend)  mkdir -p one/Badmail; cp one/Queue/*.eml one/Badmail; set -- 'badmail resend all' ;;
	esac
	before=$(all)
	together "$1" 'stop one'
	told 1 1 '^!"one" has stopped meanwhile; ask again$'
	told 2 0 '^ "one" is stopped$'
	case $verb in
	fail | remove)  [ "$(all)" -le "$before" ] && [ "$(all)" -gt 0 ] || fail "$verb: $(all) of $before are left" ;;
	*)              is "$(all)" "$before" "messages after $verb" ;;
	esac
	rm -rf one/Badmail one/Pickup
	fine start one
	fill
done
fine queue release all
is "$(all '\.eml$')" $MANY 'messages that wait'

# It is started while a request has it open: it stays so, and is open once.
descriptors() { ls "/proc/$(cat server.pid)/fd" 2>/dev/null | wc -l; }
wait_for 'op sessions; grep -q "nobody is connected" op.out'
before=$(descriptors)
for verb in hold retry release; do
	fine stop one
	together "queue $verb all" 'start one'
	told 1 0
	told 2 0 '^ "one" is running$'
	is_state one running
	is "$(all)" $MANY "messages after $verb"
	[ $verb != hold ] || is "$(all held)" $MANY 'held'
done
PORT=$ONE
printf '%s\n' 'HELO x' 'MAIL FROM:<>' 'RCPT TO:<u@one.example>' DATA '' . QUIT | say >said
grep -q '^250 2.6.0' said || fail 'it takes no mail'
wait_for '[ "$(descriptors)" -le '"$before"' ]' 10

# Two have it open: he who opened it is done first.
fine stop one
fine queue hold all
i=0; for f in one/Queue/*.held; do i=$((i + 1)); [ $i -gt $((MANY / 2)) ] || mv "$f" "${f%.held}.eml"; done
together 'queue hold all' 'queue release all'
told 1 0
told 2 1 '^!"one" has stopped meanwhile; ask again$'
is "$(all)" $MANY 'messages after both'
fine start one

# A reload takes it out.
fine queue release all
{ one | sed 2q; two; } >smtpd.conf
together 'queue hold all' reload
told 1 1 '^!the server has left meanwhile$'
told 2 0
is "$(all)" $MANY 'messages after it left'
{ one; two; } >smtpd.conf
fine reload
is_state one running
ONE=$(sed -n 's/.*"one" listening on .*://p' server.log | tail -n 1)

# One message: to whom it is being returned it is not held, nor returned again.
fine queue remove all
rm -f one/Drop/*
{ printf 'EHLO x\r\n'; letters 1; printf 'QUIT\r\n'; } | { PORT=$ONE; talk; } >said
ID=$(ls one/Queue | sed -n 's/\.eml$//p')
together "queue fail $ID" "queue hold $ID" "queue fail $ID"
is "$(cat volley.1 volley.3 | grep -c '^ 1 message given up$')" 1 'times that it is given up'
wait_for '[ "$(ls one/Drop | wc -l)" -eq 1 ] && [ -z "$(ls one/Queue)" ]'
ok 'requests about messages'

# What is held and cannot be opened stays held.
{ printf 'EHLO x\r\n'; letters 1; printf 'QUIT\r\n'; } | { PORT=$ONE; talk; } >said
fine queue hold all
echo 'open 0 EMFILE' >fault.new; mv fault.new fault
! op queue fail all || fail 'given up, without having been read'
: >fault
is "$(all held)" 1 'messages that are still held'
fine queue fail all
wait_for '[ "$(ls one/Drop | wc -l)" -eq 2 ]'
ok 'what cannot be given up'

# --- sessions that bring mail are ended ---

TWO=$(sed -n 's/.*"two" listening on .*://p' server.log | tail -n 1)
rm -f two/Drop/*
bdat() { i=0; while [ $i -lt "$1" ]; do i=$((i + 1)); printf 'MAIL FROM:<>\r\nRCPT TO:<u@two.example>\r\nBDAT 4 LAST\r\nab\r\n'; done; }
{ printf 'EHLO x\r\n'; bdat 8; } >eight
{ printf 'EHLO x\r\n'; bdat 2; printf 'QUIT\r\n'; } >couple
printf 'EHLO innocent\r\n' >innocent
for i in 1 2 3; do
	rm -f two/Drop/*
	together "$TWO=eight" "$TWO=eight" "$TWO=couple" "$TWO=eight" "$TWO=eight" 'sessions end all' 'sessions end all'
	promised=$(cat volley.[1-5] | grep -c '^250 2.6.0')
	is "$(ls two/Drop | wc -l | tr -d ' ')" "$promised" 'messages in Drop, of those promised'
	is "$(cat volley.[1-5] | grep -c '^421 4.3.2 two.example ends the session')" 4 'sessions that are told of their end'
done
is_state two running

# One that says goodbye in that very commit: who takes its place in the table is not the one who was meant. It may have
# gone before: then once more.
try() {
	spawn client sh -c "$own 127.0.0.1 $TWO <in"; exec 8>in
	wait_for 'op sessions --json; grep -q number op.out'
	N=$(sed -n 's/^{"number":\([0-9]*\),.*/\1/p' op.out)
	spawn volley "$volley" "$(cat server.pid)" "$TWO" couple "$TWO" innocent "$CONTROL" "sessions end $((N + 1))"
	wait_for 'grep -q "^=" volley.3 && [ "$(grep -c "^250 2.6.0" volley.1)" -eq 2 ]'
	fine sessions
	grep -q 'IDLE innocent' op.out || { cat op.out volley.2 >&2; fail 'the wrong one was ended'; }
	fine sessions end all
	wait_for '[ -e volley.rc ] && [ -e client.rc ]'
	exec 8>&-
	grep -q '^421 4.3.2' volley.2 || fail 'it was not ended when it was meant'
	grep -q '^ 1 ended$' volley.3
}
n=0; until try; do n=$((n + 1)); [ $n -lt 20 ] || fail 'the moment was never met'; done
is_state two running
stop_server
ok 'sessions that are ended'
