#!/bin/sh
# limits_out: how mail goes out: no more connections than allowed, in all and to one domain; several messages on each,
# but not too many; more recipients than the other side takes go on the same connection; who is slow holds up nobody
# else; who is dead is not bothered; and with USR1 all that waits is tried now.
# shellcheck disable=SC2012,SC2016,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"

tools sink bulk dnsd

# sink NAME [OPTION ...]: a next hop; $SINK is its port.
sink() {
	who=$1; shift
	spawn "$who" "$sink" "$@"
	wait_for "grep -q listening $who.log"
	SINK=$(sed -n 's/^sink listening on .*://p' "$who.log")
}
# virtual NAME PORT DELIVERY [MESSAGES]: a virtual server of that name, which sends everything to this port.
virtual() { cat <<-END
	server $1 {
	    general { listen 127.0.0.1:0; hostname mail.here.example; mailroot $1 }
	    access { relay only 127.0.0.0/8 }
	    messages { per-connection ${4:-20} }
	    delivery { port $2; timeout 60s; $3 }
	    domain here.example default { drop Drop }
	}
	END
}
# send NAME: the list on standard input, through that server.
send() {
	use "$1"
	limit $((${LIMIT:-30} * 4)) "$bulk" "$PORT" >"$1.sent" || fail "not everything is accepted by $1"
}
# many COUNT DOMAINS NAME: a list, to so many domains of that name in turn.
many() { awk -v n="$1" -v domains="$2" -v name="$3" 'BEGIN {
	for (i = 0; i < n; i++) print name i, "s@here.example", "u" i "@" name i % domains ".to.example" }'; }
took() { grep -c "^took .*$2" "$1.log"; }
counter() { sed -n "s/^counters.* $2=\([^ ]*\).*/\1/p" "$1.log" | tail -n 1; }
most() { [ "$2" -le "$3" ] || fail "$1: $2, and not more than $3"; }
least() { [ "$2" -ge "$3" ] || fail "$1: $2, and not less than $3"; }

echo '*.to.example 60 MX 10 mx.sink.example
mx.sink.example 60 A 127.0.0.1' >zone
spawn dns "$dnsd" zone
wait_for 'grep -q listening dns.log'
sink counted -w 40; counted=$SINK
sink fair; fair=$SINK
sink few; few=$SINK
sink told -o 'PIPELINING,LIMITS MAILMAX=2 RCPTMAX=4'; told=$SINK
sink dead -x; dead=$SINK
sink late -x -g 1; late=$SINK
{
	echo "resolver 127.0.0.1:$(sed -n 's/^dnsd listening on .*://p' dns.log)"
	virtual counted "$counted" 'connections 20; connections-per-domain 5' 7
	virtual fair "$fair" 'connections 50; connections-per-domain 10'
	virtual few "$few" ''
	virtual told "$told" ''
	virtual dead "$dead" 'retry 2s; glitch-retry 1s 2'
	virtual late "$late" 'retry 1h; glitch-retry 1h 3'
} >conf
start_server conf
many 1000 1 d | send dead		# and see below

# --- connections ---

many 400 10 c | send counted
wait_for '[ "$(took counted "")" -ge 400 ] && [ -z "$(ls counted/Queue)" ]' 60
end counted TERM 5
is "$(took counted reply=yes)" 400 'copies'
most 'connections at once' "$(counter counted at-once)" 20
least 'connections at once' "$(counter counted at-once)" 10
most 'connections to one domain' "$(counter counted at-once-domain)" 5
least 'connections to one domain' "$(counter counted at-once-domain)" 2
most 'messages on one connection' "$(counter counted transactions)" 7
least 'messages on one connection' "$(counter counted transactions)" 3
most 'connections for 400 messages' "$(counter counted connections)" 200
is "$(grep unheard counted.log)" '' 'a connection that ended without QUIT'
ok "400 messages, 10 domains: $(grep ^counters counted.log)"

# --- more recipients than are taken at once ---

# transactions NAME: how many recipients were in each of them, as connection.transaction=recipients.
transactions() {
	sed -n 's/^took.* on=\([^ ]*\) .*/\1/p' "$1.log" | sort | uniq -c | awk '{ printf "%s=%d ", $2, $1 }'
}
dozen() { awk -v name="$1" 'BEGIN {
	printf "dozen s@here.example"
	while (i < 12) printf " u%d@%s.to.example", i++, name
	print ""
}'; }
dozen few | send few
wait_for '[ "$(took few "")" -ge 12 ] && [ -z "$(ls few/Queue)" ]'
is "$(transactions few)" '1.1=5 1.2=5 1.3=2 ' 'recipients where 452 tells how many are enough'
# RFC 9422: MAILMAX are transactions of a connection, RCPTMAX recipients of a transaction.
dozen told | send told
wait_for '[ "$(took told "")" -ge 12 ] && [ -z "$(ls told/Queue)" ]'
is "$(transactions told)" '1.1=4 1.2=4 2.1=4 ' 'recipients where LIMITS tells it'
is "$(grep -h '^hasty' ./*.log)" '' 'a client that did not wait'
ok 'more recipients than are taken at once'

# --- fairness ---

many 500 1 slow | send fair
wait_for '[ "$(took fair slow)" -ge 1 ]'
many 20 20 quick | send fair
wait_for '[ "$(grep -c " relayed .*quick" server.log)" = 20 ]'
# From when all of the 20 were there until all were gone.
slow=$(awk '/ received .*quick/ { n = 0 } / relayed .*slow/ { n++ } / relayed .*quick/ { most = n } END { print most + 0 }' server.log)
most 'messages to the slow one in that time' "$slow" 200
ok "20 messages to 20 domains while $slow of 500 went to a slow one"

# --- who is dead, all this time ---

came=$(grep -c '^turned away' dead.log)
least 'attempts' "$came" 2
# One each 2 s, and a few more at the beginning.
most 'attempts for 1000 messages' "$came" "$(sed -n 's/^turned away at=//p' dead.log | awk 'END { print 5 + int($1 / 2) }')"
is "$(ls dead/Queue | grep -c 'eml$')" 1000 'waiting'
ok "1000 messages for a dead one: $came attempts"

# --- now ---

many 10 10 late | send late
wait_for '[ "$(grep -c "destination=late" server.log)" = 10 ]'
kill -s USR2 "$(cat late.pid)"
sleep 1
is "$(took late '')" 0 'copies before USR1'
kill -s USR1 "$(cat server.pid)"
wait_for '[ "$(took late "")" = 10 ] && [ -z "$(ls late/Queue)" ]'
many 1 1 grey | send late
wait_for 'grep -q "deferred.* to=<u0@grey0" server.log'
sleep 1
kill -s USR1 "$(cat server.pid)"
wait_for '[ "$(took late grey)" = 1 ] && [ -z "$(ls late/Queue)" ]'
ok 'USR1'
stop_server
