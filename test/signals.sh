#!/bin/sh
# Goal: the server says where it listens when it is ready, on IPv4 and IPv6; SIGHUP does not end it; SIGTERM and SIGINT
# do, in order: nobody new, each session is told, what was not complete is gone, what was acknowledged is there.
. "${TEST:-$(dirname "$0")}/lib.sh"

own_nc
case $("$own" ::1 1 2>&1 </dev/null) in *refused*) six='[::1]:0' ;; *) six='' ;; esac
cat >signals.conf <<E
server "two words" {
    general { listen 127.0.0.1:0 $six; hostname mail.example.org; mailroot main }
    domain example.org default
}
E
cat >idle.t <<'E'
S: 220 *
C: EHLO client.example
S* 250 HELP
S: 421 4.3.2 mail.example.org stops now and closes the channel
E:
E
cat >half.t <<'E'
S: 220 *
C: NOOP
S: 250 *
X: EHLO cli
S: 421 4.3.2 mail.example.org stops now and closes the channel
E:
E
cat >busy.t <<'E'
S: 220 *
C: EHLO client.example
S* 250 HELP
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 *
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 *
C: DATA
S: 354 *
C: Subject: done
C: 
C: .
S: 250 2.6.0 *
C: MAIL FROM:<smith@example.com>
S: 250 2.1.0 *
C: RCPT TO:<jones@example.org>
S: 250 2.1.5 *
C: DATA
S: 354 *
C: Subject: not done
S: 421 4.3.2 mail.example.org stops now and closes the channel
E:
E
client() { spawn "$1" env NC="$own" $SH "$TEST/play" "$3" "$4" "$2"; }

for signal in TERM INT; do
	start_server signals.conf -T
	like "$(sed -n 1p server.log)" 'smtpd: "two words" listening on 127.0.0.1:[1-9]*' 'the first line'
	use 'two words' 127.0.0.1
	client idle idle.t "$HOST" "$PORT"
	client half half.t "$HOST" "$PORT"
	client busy busy.t "$HOST" "$PORT"
	[ -z "$six" ] || client six idle.t ::1 "$(port_of 'two words' '[::1]')"
	clients="idle half busy ${six:+six}"
	wait_for '[ "$(grep -c " < 354 " server.log)" = 2 ] && grep -q "> NOOP" server.log'
	wait_for "[ \$(grep -c '< 250 HELP' server.log) = $(($(echo $clients | wc -w) - 1)) ]"

	kill -s HUP "$(cat server.pid)"
	wait_for 'grep -q "^smtpd: the configuration was read again" server.log'
	is "$(echo NOOP | say | tail -n 1)" '250 2.0.0 OK' 'after SIGHUP'

	kill -s $signal "$(cat server.pid)"
	wait_for '[ -e server.rc ]'
	is "$(cat server.rc)" 0 "the status after SIG$signal"
	for i in $clients; do
		wait_for "[ -e $i.rc ]"
		is "$(cat "$i.rc" "$i.log")" 0 "what the client called $i heard"
		rm -f "$i.pid"
	done
	like "$("$own" "$HOST" "$PORT" 2>&1 </dev/null)" '*refused*' 'a newcomer afterwards'
	is "$(messages main/SortTemp)$(messages main/Queue)" '' 'left over'
	is "$(cat main/Drop/* | grep '^Subject' | tr -d '\r')" 'Subject: done' 'mail'
	unhurt
	rm -rf main server.pid
done
ok
