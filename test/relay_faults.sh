#!/bin/sh
# relay_faults: when memory is out at any point of a conversation in which we are the client, that message waits, and the
# server goes on; none is lost or returned, and none arrives but whole. Names come from test/dnsd; text is made 7-bit.
# shellcheck disable=SC2015,SC2034,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac

tools sink dnsd
spawn sink "$sink" -o SIZE,PIPELINING
wait_for 'grep -q listening sink.log'
printf '%s\n' '*.example 0 MX 10 mx.example' 'mx.example 0 A 127.0.0.1' >zone
spawn dns "$dnsd" zone
wait_for 'grep -q listening dns.log'
cat >conf <<E
resolver 127.0.0.1:$(sed -n 's/.*listening on .*://p' dns.log)
server s {
    general { listen 127.0.0.1:0; hostname mail.here.example; mailroot m }
    access { relay only 127.0.0.1 }
    delivery { port $(sed -n 's/.*listening on .*://p' sink.log); retry 1h; glitch-retry 1h 1; notify unlimited; local-retry 1h }
    domain here.example default
}
E
FAULT_FILE=$T/fault; export FAULT_FILE
fault() { echo "$*" >fault.new; mv fault.new fault; }
fault
start_server conf

# Each call in turn, from those of the session on, until there are no more.
calls=0 idle=0
: >promised
while [ $idle -lt 4 ]; do
	calls=$((calls + 1))
	[ $calls -lt 150 ] || fail 'a message needs memory so often'
	fault memory $calls ENOMEM
	printf '%s\n' EHLO\ x 'MAIL FROM:<s@here.example> BODY=8BITMIME' "RCPT TO:<u@d$calls.example>" DATA "X-Token: m$calls" '' 'grün' . QUIT |
		say >said
	[ ! -e server.rc ] || fail "the server ended when memory was refused at $calls"
	grep -q '^250 2.6.0' said || continue
	echo "m$calls" >>promised
	# There may be no word about it where there is no memory.
	naps=6; [ $calls -lt 60 ] || naps=$calls		# by then it was only slow
	while [ $naps -gt 0 ]; do
		naps=$((naps - 1))
		! grep -q "^took m$calls \|d$calls\.example" sink.log && ! grep -q "[=@]d$calls\.example.* reason=" server.log || break
		sleep 0.05 2>/dev/null || sleep 1
	done
	if grep -q "^took m$calls " sink.log; then idle=$((idle + 1)); else idle=0; fi
done
fault
kill -s USR1 "$(cat server.pid)"
poll '[ -z "$(ls m/Queue)" ]' || fail "$(ls m/Queue/*.eml | wc -l) still wait"
is "$(sed -n 's/.* failed .*\(to=.*\)/\1/p' server.log | sed 3q)" '' 'returned'
sed -n 's/^took \([^ ]*\) .*/\1/p' sink.log | sort >took
sort promised | diff - took >&2 || fail 'what was taken is not what was promised'
# The sink says in its reply how much of the body it has; gr=C3=BCn and the end of the line is all.
grep ' relayed ' server.log | grep -v 'reply=""\|taken, 11 octets of body"' >&2 && fail 'it was not whole'
stop_server
ok "$calls calls"
