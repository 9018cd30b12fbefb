#!/bin/sh
# Goal: when there are too many, the newcomer is turned away with 421, in time, and nobody else suffers: connections to a
# server, connections from one client, descriptors. (Limits within a session: session-limits.t errors.t endless.t
# timeout.t)
. "${TEST:-$(dirname "$0")}/lib.sh"

server() { cat <<-EOF
	server $1 {
	    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot $1; ${2-} }
	    domain example.org default
	}
	EOF
}
full='421 4.3.2 Too many connections; come again later'
newcomer() { say </dev/null; }

# A session that stays: come NAME; tell NAME LINE ...; hears NAME TEXT, with which its last answer begins.
come()  { mkfifo "$1.in"; LIMIT=100 talk 0<> "$1.in" >"$1.out" & wait_for "[ -s $1.out ]"; }
tell()  { to=$1.in; shift; printf '%s\r\n' "$@" >"$to"; }
hears() { wait_for "case \$(tail -n 1 $1.out) in '$2'*) ;; *) false ;; esac"; }

{ server few 'connections 2'; server one 'connections-per-client 1'; } >limits.conf
start_server limits.conf -v
use few
come a
come b
is "$(newcomer)" "$full" 'the third of two'
is "$(newcomer)" "$full" 'the fourth of two'
# Another virtual server has places of its own.
use one
come c
is "$(newcomer)" '421 4.7.0 Too many connections from your address' 'the second from one address'
tell c NOOP; hears c '250 2.0.0 OK'
# Those who were there go on, and the place of one who has gone is free.
tell a 'EHLO client.example' 'MAIL FROM:<smith@example.com>'; hears a '250 2.1.0'
tell b NOOP; hears b '250 2.0.0'
tell b QUIT; hears b '221 '
wait_for 'grep -q "closed #2 " server.log'
use few
like "$(newcomer)" '220 *' 'a newcomer when one has left'
tell a 'RCPT TO:<jones@example.org>' DATA 'Subject: x' '' .; hears a '250 2.6.0'
# One who talks and does not listen is not listened to after a while, and holds up nobody, not even the end.
mkfifo deaf.out
awk 'BEGIN { for (; i++ < 300000;) print "HELP\r" }' >deaf.in
LIMIT=100 talk <deaf.in >deaf.out & exec 8<deaf.out
wait_for 'grep -q "connected #5 " server.log'
tell a NOOP; hears a '250 2.0.0'
like "$(newcomer)" "$full" 'a newcomer beside the deaf one'
tell a 'MAIL FROM:<>' 'RCPT TO:<jones@example.org>' DATA 'Subject: y' '' .; hears a '250 2.6.0'
stop_server
exec 8<&-

# So many sessions are let in as can have a file each, all at the same time, whatever the virtual servers themselves need.
cat >few.sh <<'E'
ulimit -n "$1" || exit
shift
exec "$@"
E
crowd() {	# DESCRIPTORS SERVERS
	SERVER=crowd-$2
	i=0; while [ $i -lt "$2" ]; do i=$((i + 1)); server "$SERVER-$i"; done >"$SERVER.conf"
	outer=${WRAP-} WRAP="$SH few.sh $1 ${WRAP-}"
	start_server "$SERVER.conf"
	WRAP=$outer
	here=''
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		got=$(newcomer)
		[ "$got" != "$full" ] || break
		like "$got" '220 *' "with $1 descriptors, $2 servers and sessions $here, a newcomer"
		come "$SERVER-$i"
		here="$here $SERVER-$i"
	done
	[ -n "$here" ] || fail "with $1 descriptors and $2 servers nobody is let in"
	is "$got" "$full" "with $1 descriptors and $2 servers the thirteenth"
	for i in $here; do tell "$i" 'EHLO x' 'MAIL FROM:<>' 'RCPT TO:<jones>' DATA; hears "$i" '354 '; done
	is "$(newcomer)" "$full" 'a newcomer, when all are sending'
	for i in $here; do tell "$i" 'Subject: x' '' .; hears "$i" '250 2.6.0'; done
	stop_server
}
crowd 40 1
crowd 50 8
ok
