#!/bin/sh
# stuck: who does not answer holds up nobody else: a name server that is silent; mail servers that are so before their
# greeting, in the midst of a transaction, behind the final dot, or that stop to read a large message. Many wait for each
# of them, and mail for all others goes out at once.
# shellcheck disable=SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"

tools sink bulk dnsd
own_nc

# stuck NAME LINES: it says so many lines, and no more; it reads until its pipe is full, and keeps the connection.
stuck() {
	mkfifo "$1.in" "$1.out"
	spawn "$1" "$SH" -c 'exec 8<>"$0.out" 9<>"$0.in"
		printf "%s\r\n" "220 x" "250 x" "250 ok" "250 ok" "354 go" | awk "NR <= $1" >&9
		exec "$2" -l 127.0.0.1 0 <&9 >&8' "$1" "$2" "$own"
	names="$names $1"
}
names=''
stuck greeting 0
stuck hello 1
stuck data 4
stuck dot 5
stuck large 5
spawn quick "$sink"
for i in $names quick; do wait_for "grep -q 'listening on' $i.log"; done
port() { sed -n 's/.* on .*://p' "$1.log"; }
printf '%s\n' 'silent.example silent' '*.quick.example 60 MX 10 mx.example' 'mx.example 60 A 127.0.0.1' >zone
spawn dns "$dnsd" zone
wait_for 'grep -q listening dns.log'
{
	cat <<-E
	resolver 127.0.0.1:$(port dns)
	server s {
	    general { listen 127.0.0.1:0; hostname mail.here.example; mailroot m }
	    access { relay only 127.0.0.1 }
	    delivery { port $(port quick); connections 8 }
	    domain here.example default
	E
	for i in $names; do echo "domain $i.example remote { smart-host [127.0.0.1]:$(port "$i") }"; done
	echo '}'
} >conf
start_server conf

# Ten for each of them, the first for one of them large; all of them are waited for: it is they who have the connections.
{
	echo EHLO x
	for i in $names silent; do
		printf '%s\n' 'MAIL FROM:<s@here.example>' "RCPT TO:<u@$i.example>" DATA '' "$i"
		[ $i != large ] || awk 'BEGIN { while (n++ < 250000) print "a large message, and they do not read it all......" }'
		echo .
	done
	echo QUIT
} | say >said
is "$(grep -c '^250 2.6.0' said)" 6 'messages that are taken'
awk -v names="$names silent" 'BEGIN {
	n = split(names, name)
	while (i++ < 9 * n) print "t" i, "s@here.example", "u@" name[i % n + 1] ".example" }' | "$bulk" "$PORT" >sent || fail 'not all is taken'
sleep 1
awk 'BEGIN { while (i++ < 100) print "q" i, "s@here.example", "u" i "@" i ".quick.example" }' | "$bulk" "$PORT" >sent ||
	fail 'not all is taken'
poll '[ "$(grep -c "^took " quick.log)" = 100 ]' || fail "only $(grep -c '^took ' quick.log) of 100 for others went out"
# Stuck mail servers are so for minutes; the name server is given up earlier, and those others are on their way before that.
[ -n "$(sed -n '/destination=silent/q; / relayed /p' server.log)" ] || fail 'nobody went out until the name server was given up'
is "$(ls m/Queue/*.eml | wc -l | tr -d ' ')" 60 'waiting'
is "$(grep -c ' doubtful \| deferred \|destination=[^s]' server.log)" 0 'those who came out of it'
# The others of a stuck one are not tried beside the first.
for i in $names; do [ ! -e $i.rc ] || fail "$i has ended"; done
kill_server
ok "100 messages beside 60 that are stuck, in $spent naps"
