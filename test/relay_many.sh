#!/bin/sh
# relay_many: of many messages that came in the same second and wait for the same dead destination, each one's sender is
# told of the delay, once, and each is returned in the end, once; also when there are more than a turn of the loop takes.
. "${TEST:-$(dirname "$0")}/lib.sh"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac
[ -x "$TEST/load" ] || skip 'test/load is not built'
many=150

cat >conf <<'E'
resolver 127.0.0.1:1
server s {
    general { listen 127.0.0.1:0; hostname mail.here.example; mailroot m }
    access { relay only 127.0.0.1 }
    delivery { smart-host [127.0.0.1]:1; notify 1h; expire 5h }
    domain here.example default
}
E
CLOCK_FILE=$T/clock; export CLOCK_FILE
# The clock moves on; a client wakes the server.
at() { echo "$1" >clock.new; mv clock.new clock; echo QUIT | say >/dev/null; }
reports() { grep -c " action=$1" server.log; }

start_server conf
"$TEST/load" -p "$PORT" -c 5 -n $many -s 300 -f s@here.example -t u@there.example >load.out 2>&1 || fail "load: $(cat load.out)"
wait_for 'grep -q "^- destination=\* .* waiting=" server.log'
at 4000
wait_for "[ \"\$(reports delayed)\" = $many ]"
at 8000
at 20000
wait_for "[ \"\$(reports failed)\" = $many ] && [ -z \"\$(ls m/Queue)\" ]"
is "$(reports delayed)" $many 'told of the delay'
is "$(find m/Drop -name '*.eml' | wc -l | tr -d ' ')" $((many * 2)) 'in Drop'
stop_server
