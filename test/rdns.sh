#!/bin/sh
# rdns: who a client is by the confirmed reverse look-up (rdns.c), and what the rules make of it: RFC 1912 2.1, RFC 8601 3
# - a name counts when the DNS leads from the address to it and back, whatever else is said there; and no other;
# - `connect' and `relay' with domains, `reverse-dns', each with its reply when no name server answers;
# - nobody waits for somebody else's look-up, which ends in 20 s; who has gone is noticed; who speaks early is heard.
. "${TEST:-$(dirname "$0")}/lib.sh"
[ -x "$TEST/dnsd" ] || skip 'test/dnsd is not built'
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac
own_nc
CLOCK_FILE=$T/clock; export CLOCK_FILE

# The zone is what standard input says: without an SOA nothing negative is remembered, and all else has a TTL of 0.
me=1.0.0.127.in-addr.arpa
zone() { sed "s/^me\>/$me/" >zone.new; mv zone.new zone; }
zone </dev/null
: >queries
spawn dnsd "$TEST/dnsd" -l queries zone
wait_for 'grep -q "listening on" dnsd.log'

server() { cat <<-E
	server $1 {
	    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot $1 }
	    $2
	    domain example.org default
	}
	E
}
{
	echo "resolver $(sed -n 's/.* listening on //p' dnsd.log)"
	echo 'hosts none'
	server only 'access { connect only 192.0.2.0/24 .friend.example }'
	server except 'access { connect all-except 192.0.2.0/24 .friend.example }'
	server relay 'access { relay only .friend.example .Other.Example 192.0.2.0/24 }'
	server annotate 'delivery { reverse-dns annotate }'
	server require 'access { relay only 192.0.2.0/24 }; delivery { reverse-dns require }'
	server open 'access { relay all-except 127.0.0.1; open-relay yes }; delivery { reverse-dns require }'
	server trusted 'access { relay only 127.0.0.0/8 .friend.example }; delivery { reverse-dns require }'
	server plain 'access { connect all-except 192.0.2.0/24; relay only 127.0.0.1 .friend.example }'
} >rdns.conf
start_server rdns.conf -v

# said SERVER RCPT [HELO]: how it greets, and what it says to that recipient.
said() {
	use "$1"
	printf '%s\n' "HELO ${3-client.example}" 'MAIL FROM:<smith@example.com>' "RCPT TO:<$2>" DATA 'Subject: x' '' . QUIT | say >out
	awk 'NR == 1 { got = $1 == 220 ? $1 : $0 } NR == 4 { got = got " " $1 " " ($1 == 250 ? "" : $2) } END { sub(/ $/, "", got); print got }' out
}
# What all of them say, in a row: only, except, relay, require.
all() {
	echo "$(said only jones@example.org) / $(said except jones@example.org) / $(said relay jones@example.com) /" \
		"$(said require jones@example.org)"
}
let_in='220 250' denied='554 5.7.1 mail.example.org does not accept your connection'
later='421 4.4.3 mail.example.org cannot look up your name now; come again later'

# --- what counts as a name ---

yes="$let_in / $denied / 220 250 / 220 250"		# it is one of friend.example's
other="$denied / $let_in / 220 550 5.7.1 / 220 250"	# it is somebody else's
none="$denied / $let_in / 220 550 5.7.1 / 220 550 5.7.25"
fail="$later / $let_in / 220 451 4.4.3 / 220 451 4.7.25"
while read -r want what; do
	lines=$(sed -n "/^--- $what\$/,/^---/{ /^---/!p; }" <<-'END'
	--- confirmed
	me 0 PTR A.Friend.Example
	a.friend.example 0 A 127.0.0.1
	--- the domain itself
	me 0 PTR friend.example
	friend.example 0 A 192.0.2.1
	friend.example 0 A 127.0.0.1
	--- by an alias, RFC 2317
	me 0 CNAME 1.0/25.sub.test
	1.0/25.sub.test 0 PTR b.friend.example
	b.friend.example 0 CNAME c.friend.example
	c.friend.example 0 A 127.0.0.1
	--- forged
	me 0 PTR a.friend.example
	a.friend.example 0 A 192.0.2.1
	--- forged, of another family
	me 0 PTR a.friend.example
	a.friend.example 0 AAAA ::ffff:127.0.0.1
	--- not there
	me 0 PTR a.friend.example
	--- no name
	--- nearly
	me 0 PTR notfriend.example
	notfriend.example 0 A 127.0.0.1
	--- below
	me 0 PTR friend.example.other.test
	friend.example.other.test 0 A 127.0.0.1
	--- no host's name
	me 0 PTR a(b.friend.example
	a(b.friend.example 0 A 127.0.0.1
	--- one of several
	me 0 PTR x1.friend.example
	me 0 PTR x2.friend.example
	me 0 PTR a.other.test
	me 0 PTR a.friend.example
	a.other.test 0 A 127.0.0.1
	x2.friend.example 0 A 192.0.2.1
	a.friend.example 0 A 127.0.0.1
	--- too many
	me 0 PTR x1.friend.example
	me 0 PTR x2.friend.example
	me 0 PTR x3.friend.example
	me 0 PTR x4.friend.example
	me 0 PTR x5.friend.example
	me 0 PTR a.friend.example
	a.friend.example 0 A 127.0.0.1
	--- no answer
	me servfail
	--- no answer about the name
	me 0 PTR a.friend.example
	a.friend.example refused
	--- no answer about another name
	me 0 PTR x.friend.example
	me 0 PTR a.friend.example
	x.friend.example servfail
	a.friend.example 0 A 127.0.0.1
	---
	END
	)
	echo "$lines" | zone
	: >queries
	eval "want=\$$want"
	is "$(all)" "$want" "$what"
	case $what in 'too many') is "$(grep -c ' A ' queries)" 20 'names tried, at four servers' ;; esac
done <<'END'
yes confirmed
yes the domain itself
yes by an alias, RFC 2317
none forged
none forged, of another family
none not there
none no name
other nearly
other below
none no host's name
yes one of several
none too many
fail no answer
fail no answer about the name
yes no answer about another name
END
! grep -q '(' queries || fail 'what is no name was asked for'
# A name that the list has not, and one of which nobody can say: it might be the one.
zone <<'END'
me 0 PTR x.friend.example
me 0 PTR a.other.test
x.friend.example servfail
a.other.test 0 A 127.0.0.1
END
is "$(all)" "$later / $let_in / 220 451 4.4.3 / 220 250" 'one name of which nobody can say'

while read -r line; do
	grep -q -F "reply=\"$line\"" server.log || fail "nobody was answered: $line"
done <<'END'
451 4.4.3 Your name cannot be looked up now; try <jones@example.com> later
451 4.7.25 Your name cannot be looked up now; try <jones@example.org> later
550 5.7.25 Your address has no name that leads back to it (PTR, and then A or AAAA)
END

# --- nobody is asked for whom nobody needs to be asked about ---

: >queries
is "$(said plain jones@example.com)" "$let_in" 'by address'
is "$(grep -c PTR queries)" 0 'questions about who is let in and relays by address'
zone </dev/null
is "$(said trusted jones@example.org)" "$let_in" 'nameless, but may relay'
is "$(said open jones@example.org)" '220 550 5.7.25' 'nameless, listed as one who may not relay'
is "$(said require postmaster@example.org)" "$let_in" 'nameless, to postmaster'
is "$(said require postmaster@example.com)" '220 550 5.7.25' 'nameless, to another postmaster'

# --- the Received field ---

received() {
	rm -f annotate/Drop/*
	is "$(said annotate jones@example.org "$1")" "$let_in" "HELO $1"
	is "$(sed -n 's/^Received: //p' annotate/Drop/*.eml | tr -d '\r')" "$2" "Received, after HELO $1"
}
received client.example 'from client.example ([127.0.0.1]) (unverified)'
received '[127.0.0.1]' 'from [127.0.0.1] ([127.0.0.1])'
zone <<'END'
me 0 PTR a.friend.example
me 0 PTR b.friend.example
*.friend.example 0 A 127.0.0.1
END
received B.friend.example 'from B.friend.example (b.friend.example [127.0.0.1])'
received client.example 'from client.example (a.friend.example [127.0.0.1]) (unverified)'
received '[127.0.0.2]' 'from [127.0.0.2] (a.friend.example [127.0.0.1]) (unverified)'
grep -q 'received server="annotate" client=127.0.0.1 name=a.friend.example helo=client.example' server.log ||
	fail 'the log does not say the name'
echo 'me servfail' | zone
received client.example 'from client.example ([127.0.0.1]) (RDNS failed)'
received '[127.0.0.1]' 'from [127.0.0.1] ([127.0.0.1])'
rm -f plain/Drop/*
said plain jones@example.org >/dev/null
is "$(sed -n 's/^Received: //p' plain/Drop/*.eml | tr -d '\r')" 'from client.example ([127.0.0.1])' 'Received, without reverse-dns'

# --- a name server that is silent ---

connected() { grep -c -- '- connected' server.log; }
closed()    { grep -c -- '- closed #' server.log; }
mkfifo hold
exec 9<>hold
echo 'me silent' | zone
use only
before=$(connected)
i=0; while [ $i -lt 50 ]; do "$own" "$HOST" "$PORT" <&9 >>waiting.out 2>/dev/null & i=$((i + 1)); done
use require
{ printf '%s\n' 'HELO early' NOOP 'MAIL FROM:<>' 'RCPT TO:<jones@example.org>' QUIT | say; } >early.out & early=$!
wait_for "[ \$(connected) = $((before + 51)) ]"
is "$(cat waiting.out early.out)" '' 'said before the name is known'
: >silent
LIMIT=3; is "$(said plain jones@example.com)" "$let_in" 'who needs no name, meanwhile'; LIMIT=10
# Gone without a word.
before=$(closed)
use only
"$own" "$HOST" "$PORT" </dev/null >gone.out
is "$(cat gone.out)" '' 'said to somebody who has gone'
wait_for "[ \$(closed) = $((before + 1)) ]"
# A configuration that is read again does not disturb them; then their time is over.
kill -HUP "$(cat server.pid)"
wait_for 'grep -q "configuration was read again" server.log'
is "$(cat waiting.out early.out)" '' 'said before the name is known, once more'
echo 20 >clock.new; mv clock.new clock
is "$(said plain jones@example.com)" "$let_in" 'who wakes the server'
wait_for '[ -s early.out ]' 3
wait $early
is "$(tr -d '\r' <early.out | sed 's/ .*//' | tr '\n' ' ')" '220 250 250 250 451 221 ' 'to who spoke early'
wait_for '[ "$(grep -c . waiting.out)" = 50 ]'
is "$(tr -d '\r' <waiting.out | sort -u)" "$later" 'when nobody answers'

# The end comes while somebody waits.
before=$(connected)
"$own" "$HOST" "$(port_of only)" <&9 >last.out & last=$!
wait_for "[ \$(connected) = $((before + 1)) ]"
stop_server
wait $last
is "$(tr -d '\r' <last.out)" '421 4.3.2 mail.example.org stops now and closes the channel' 'at the end'
exec 9<&-

# --- IPv6, and the hosts file ---

case $("$own" ::1 1 2>&1 </dev/null) in *refused*) six=1 ;; *) six='' ;; esac
cat >hosts.txt <<'END'
127.0.0.1 a.FRIEND.example localhost
192.0.2.1 localhost
END
{
	grep resolver rdns.conf
	echo 'hosts hosts.txt'
	server only 'access { connect only .friend.example }' | sed "s/127.0.0.1:0/& ${six:+[::1]:0}/"
} >hosts.conf
zone <<'END'
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa 0 PTR six.friend.example
six.friend.example 0 AAAA ::1
END
: >queries
start_server hosts.conf
is "$(said only jones@example.org)" "$let_in" 'a name of the hosts file'
is "$(grep -c . queries)" 0 'questions, with a hosts file'
if [ -n "$six" ]; then
	HOST=::1 PORT=$(port_of only '[::1]')
	like "$(printf 'QUIT\n' | say | head -n 1)" '220 *' 'IPv6'
	zone </dev/null
	like "$(printf 'QUIT\n' | say | head -n 1)" '554 *' 'IPv6, nameless'
fi
stop_server
ok
