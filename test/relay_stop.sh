#!/bin/sh
# relay_stop: TERM comes while messages are on their way. Who has had the final dot may still answer, for 5 s: what he took
# is not sent again by the next start. Who is silent, or still in the envelope, is not waited for; nobody new is begun.
# shellcheck disable=SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"

if [ -x "$TEST/sink" ]; then sink=$TEST/sink; else
	need "${CC:-cc}"
	sink=$T/sink
	"${CC:-cc}" -std=c99 -o "$sink" "$TEST/sink.c" || fail 'test/sink.c does not compile'
fi
own_nc
spawn slow "$sink" -w 150
printf '%s\n' 'S: 220 x' 'C: EHLO*' 'S: 250 x' 'C: MAIL*' 'S: 250 ok' 'C: RCPT*' 'S: 250 ok' >envelope.t
{ cat envelope.t; printf '%s\n' 'C: DATA' 'S: 354 go' 'C* .' E:; } >silent.t
echo E: >>envelope.t
for i in silent envelope; do spawn $i env NC="$own" LIMIT=100 "$SH" "$TEST/play" -l "$HOST" 0 $i.t; done
port() { sed -n 's/.*listening on .*://p' "$1.log"; }
for i in slow silent envelope; do wait_for "grep -q 'listening on' $i.log"; done
cat >conf <<E
resolver 127.0.0.1:1
server s {
    general { listen 127.0.0.1:0; hostname mail.here.example; mailroot m }
    access { relay only 127.0.0.1 }
    delivery { retry 1h; glitch-retry 1h 1; connections-per-domain 1 }
    domain here.example default
    domain slow.example remote { smart-host [127.0.0.1]:$(port slow) }
    domain silent.example remote { smart-host [127.0.0.1]:$(port silent) }
    domain envelope.example remote { smart-host [127.0.0.1]:$(port envelope) }
}
E
send() {
	{
		echo EHLO x
		for i; do printf '%s\n' 'MAIL FROM:<s@here.example>' "RCPT TO:<$i>" DATA "X-Token: ${i%@*}" '' x .; done
		echo QUIT
	} | say >said
	is "$(grep -c '^250 2.6.0' said)" $# 'messages that are taken'
}
took()  { sed -n 's/^took \([^ ]*\) .*/\1/p' slow.log | tr '\n' ' '; }
queue() { sed -n 's/^x-receiver: \(.*\)@.*/\1/p' m/Queue/*.eml 2>/dev/null | tr '\n' ' '; }
seconds() { awk 'BEGIN { srand(); print srand() }'; }

# The sink says that it took a message when its reply is still to come.
start_server conf
send one@slow.example two@slow.example e@envelope.example
wait_for '[ "$(took)" = "one " ]'
begun=$(seconds)
stop_server
[ $(($(seconds) - begun)) -lt 5 ] || fail 'it waited for more than the reply'
grep -q 'relayed .*to=<one@slow.example>' server.log || fail 'the reply was not waited for'
! grep 'doubtful' server.log >&2 || fail 'in doubt about one that was answered'
is "$(queue)" 'two e ' 'waiting'
ok 'the reply comes'

send_again() { kill -s USR1 "$(cat server.pid)"; }
start_server conf
send_again
wait_for '[ "$(took)" = "one two " ] && [ "$(queue)" = "e " ]'
send s@silent.example three@slow.example
wait_for '[ "$(took)" = "one two three " ]'
begun=$(seconds)
stop_server
waited=$(($(seconds) - begun))
[ $waited -ge 4 ] && [ $waited -le 12 ] || fail "it waited for $waited s"
grep -q 'relayed .*to=<three@slow.example>' server.log || fail 'three was not waited for'
is "$(queue)" 'e s ' 'waiting'
ok 'one reply comes, another one does not'

start_server conf
send_again
wait_for '[ "$(grep -c "destination=\|deferred" server.log)" -ge 2 ]'
is "$(took)" 'one two three ' 'what the slow one took in all'
stop_server
