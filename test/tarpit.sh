#!/bin/sh
# Goal: `tarpit' holds back each refusal by its time, and nothing else:
# - replies keep their order, and each 5xx of a pipelined group has its own delay; what follows is not acted on before;
# - other clients, QUIT and the end of the server do not wait for it; the client's own time-out does not run meanwhile.
. "${TEST:-$(dirname "$0")}/lib.sh"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac
CLOCK_FILE=$T/clock; export CLOCK_FILE

server() { cat <<-E
	server $1 {
	    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot $1; timeout ${3-10m} }
	    access { tarpit $2; connect all-except 192.0.2.1 }
	    domain example.org default
	}
	E
}
{
	server long 5m
	server hasty 5m 1m
	server real 1s
	server closed 5m | sed 's/connect .*/connect only 192.0.2.1 }/'
} >tarpit.conf
start_server tarpit.conf
ahead=0
later() { ahead=$((ahead + $1)); echo $ahead >clock.new; mv clock.new clock; }
# A client that comes and goes: the server looks at its clock. It must not wait for anybody.
look() { use long; LIMIT=5; is "$(printf 'NOOP\nQUIT\n' | say | sed 's/ .*//' | tr '\n' ' ')" '220 250 221 ' 'somebody else'; LIMIT=10; }
codes() { tr -d '\r' <"$1" | awk '{ printf "%s%s", sep, substr($0, 1, 3); sep = " " }'; }
now()   { is "$(codes "$1.out")" "$2" "$3"; }
soon()  { wait_for "[ \"\$(codes $1.out)\" = '$2' ]"; }
refused() { wait_for "[ \$(grep -c 'refused server=\"$1\"' server.log) = $2 ]"; }

# --- a pipelined group ---

use long
pick_nc
mkfifo group.in
$nc "$HOST" "$PORT" <group.in >group.out & group=$!
exec 8>group.in
printf '%s\r\n' 'EHLO c' >&8
wait_for 'grep -q "^250 HELP" group.out'
printf '%s\r\n' 'MAIL FROM:<>' 'RCPT TO:<a@example.com>' 'RCPT TO:<b@example.org>' 'RCPT TO:<c@example.com>' DATA 'Subject: x' '' . \
	NONSENSE QUIT >&8
refused long 1
wait_for 'grep -q "sender ok" group.out'
hello=$(codes group.out)
look
is "$(codes group.out)" "$hello" 'before the time of the first refusal'
later 240; look
is "$(codes group.out)" "$hello" 'a minute before it'
later 60; look
soon group "$hello 550 250"
refused long 2
look
now group "$hello 550 250" 'before the time of the second'
is "$(messages long/Drop)" '' 'acted on what comes after a refusal'
later 300; look
soon group "$hello 550 250 550 354 250"
refused long 3
later 300; look
wait $group
now group "$hello 550 250 550 354 250 500 221" 'all of it'
exec 8>&-
is "$(messages long/Drop | wc -l | tr -d ' ')" 1 'what was not refused'

# --- the client's time-out, which is shorter; and a refusal that ends the session ---

use hasty
mkfifo hasty.in
$nc "$HOST" "$PORT" <hasty.in >hasty.out & hasty=$!
exec 8>hasty.in
printf 'NONSENSE\r\n' >&8
refused hasty 1
later 240; look
now hasty 220 'while it is held back'
later 60; look
soon hasty '220 500'
printf 'NOOP\r\n' >&8
soon hasty '220 500 250'
later 60; look
wait $hasty
now hasty '220 500 250 421' 'its own silence'
exec 8>&-

mkfifo browser.in
use hasty
$nc "$HOST" "$PORT" <browser.in >browser.out & browser=$!
exec 8>browser.in
printf 'GET / HTTP/1.0\r\n' >&8
refused hasty 2
later 240; look
now browser 220 'the last word of a session'
later 60; look
wait $browser
now browser '220 502' 'the last word of a session, in its time'
exec 8>&-

# Who is not let in is not kept either; nor who has gone, for longer than that.
use closed
is "$(say </dev/null | sed 's/ .*//')" 554 'not let in'

# --- by a real clock ---

use real
start=$(date +%s)
is "$(printf '%s\n' FOO BAR BAZ NOOP QUIT | say | sed 's/ .*//' | tr '\n' ' ')" '220 500 500 500 250 221 ' 'three refusals'
took=$(($(date +%s) - start))
[ $took -ge 2 ] && [ $took -le 8 ] || fail "three refusals of a second took $took s"

# --- the end ---

use long
mkfifo last.in
$nc "$HOST" "$PORT" <last.in >last.out & last=$!
exec 8>last.in
printf 'NONSENSE\r\n' >&8
refused long 4
stop_server
wait $last
now last '220 500 421' 'at the end'
exec 8>&-
ok
