#!/bin/sh
# Goal: what a supervisor gives us and wants to hear, without its library.
# - LISTEN_FDS: a socket serves the `listen' line that has its address; one that no line has is closed, with a line that
#   says so, and so is what is no listening TCP socket; of another process nothing is taken, and nothing is left in the
#   environment; who comes by IPv4 to a socket of both families has an IPv4 address;
# - NOTIFY_SOCKET: READY, RELOADING with its time, READY, STOPPING, by path and by abstract name, before a chroot and
#   after; one that is not there or does not read is no trouble.
. "${TEST:-$(dirname "$0")}/lib.sh"
tools activate

conf() { cat >$1.conf <<E
resolver 127.0.0.1:1
server main {
    general { listen $2; hostname mail.example.org; mailroot $1 }
    domain example.org default
}
E
}
refused() { like "$("$own" "$HOST" "$1" 2>&1 </dev/null)" '*refused*' "$2"; }
own_nc

conf given '$SOCKET1 $SOCKET5 127.0.0.1:0'
{ printf 'echo $SOCKET2 >second\n'; printf 'exec "$@"\n'; } >second.sh
outer=${WRAP-}
WRAP="$activate tcp4 tcp4 udp deaf tcp4 unix -- $SH second.sh $outer"
start_server given.conf -v
wait_for '[ "$(grep -c "listening on" server.log)" = 3 ]'
like "$(echo NOOP | say | tail -n 1)" '250 *' 'the first socket'
SECOND=$(cat second)
grep -q "^warning: LISTEN_FDS: no server listens on $SECOND, and the socket is closed; 'listen $SECOND' would take it" server.log ||
	fail 'nothing is said of the second socket'
refused "${SECOND##*:}" 'the second socket'
for i in 5 6 8; do
	grep -q "^warning: LISTEN_FDS: descriptor $i is no listening TCP socket, and closed" server.log || fail "nothing is said of descriptor $i"
done
is "$(grep -c '^warning' server.log)" 4 'warnings'
stop_server

# Both families in one.
case $("$own" ::1 1 2>&1 </dev/null) in
*refused*)
	conf dual '$SOCKET1'
	WRAP="$activate dual -- $outer"
	start_server dual.conf -v
	like "$(printf 'HELO x\n' | say | tail -n 1)" '250 mail.example.org greets \[127.0.0.1\]' 'by IPv4'
	HOST=::1
	like "$(printf 'HELO x\n' | say | tail -n 1)" '250 mail.example.org greets \[IPv6:::1\]' 'by IPv6'
	HOST=127.0.0.1
	stop_server ;;
esac

# Of another process; and the environment afterwards, which a configuration can show.
conf other '$SOCKET1'
WRAP=$outer
LISTEN_PID=1 "$activate" tcp4 -- $WRAP "$SMTPD" -f other.conf $ME >other.log 2>&1 && fail 'it takes what is not its own'
grep -q 'cannot listen on 127.0.0.1:[0-9]*: ' other.log || fail 'it says something else of what is not its own'
echo 'hosts $LISTEN_FDS' >>other.conf
"$activate" tcp4 -- $WRAP "$SMTPD" -f other.conf $ME >left.log 2>&1 && fail 'LISTEN_FDS is left'
grep -q 'LISTEN_FDS is not set in the environment' left.log || fail 'LISTEN_FDS is left in the environment'

# Readiness: heard NAME TEXT COUNT.
heard() { wait_for "[ \"\$(grep -c '$2' $1.log)\" = $3 ]"; }
notified() {
	spawn "$1" "$activate" -r "$2"
	wait_for "grep -q receiving $1.log"
	conf "with-$1" 127.0.0.1:0
	SERVER=s-$1 WRAP="env NOTIFY_SOCKET=$2 $outer"
	start_server "with-$1.conf"
	heard "$1" '^READY=1 STATUS=1 of 1 virtual servers running$' 1
	before=$(awk '{ printf "%d", $1 * 1000000 }' /proc/uptime 2>/dev/null)
	kill -s HUP "$(cat "s-$1.pid")"
	heard "$1" '^RELOADING=1 MONOTONIC_USEC=[0-9]*$' 1
	heard "$1" '^READY=1 ' 2
	when=$(sed -n 's/.*MONOTONIC_USEC=//p' "$1.log")
	[ -z "$before" ] || [ $((when - before)) -ge -1000000 ] || fail "the time of the reload is $when, and it was $before before"
	stop_server
	heard "$1" '^STOPPING=1 ' 1
	is "$(sed 's/[ =].*//' "$1.log" | tr '\n' ' ')" 'receiving READY RELOADING READY STOPPING ' "what $1 heard"
	end "$1" TERM 2 || fail "$1 does not end"
	WRAP=$outer SERVER=server
}
notified path "$T/notify"
case $(uname -s) in Linux) notified abstract "@smtpd-test-$$" ;; esac

# Nobody there; and somebody who does not read: twenty reloads are more than fit.
conf alone 127.0.0.1:0
WRAP="env NOTIFY_SOCKET=$T/nobody $outer"
start_server alone.conf
grep -q '^warning: NOTIFY_SOCKET: .*; nobody is told that we are ready' server.log || fail 'nothing is said when nobody is there'
stop_server
spawn deaf "$activate" -r "$T/deaf"
wait_for 'grep -q receiving deaf.log'
kill -s STOP "$(cat deaf.pid)"
WRAP="env NOTIFY_SOCKET=$T/deaf $outer"
start_server alone.conf
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	kill -s HUP "$(cat server.pid)"
	wait_for "[ \"\$(grep -c 'was read again' server.log)\" -ge $i ]"
done
like "$(echo NOOP | say | tail -n 1)" '250 *' 'beside somebody who does not read'
stop_server
kill -s CONT "$(cat deaf.pid)"
ok
