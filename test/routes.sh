#!/bin/sh
# routes: where mail for others goes. MX in the order of preference, and the next one when one is of no use; equal ones in
# turn; no farther than we are ourselves; without MX to the address; names of other alphabets; address literals; the hosts
# file; smart hosts that are not there; and direct-first. test/dnsd is the name server, test/sink the mail servers.
# shellcheck disable=SC2015,SC2016,SC2046,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"

tools sink bulk dnsd

# --- who is there: on one port, for that is what MX are asked for ---

spawn there "$sink" 127.0.0.2 127.0.0.3
poll '[ -e there.rc ] || [ "$(grep -c listening there.log)" = 3 ]'
[ ! -e there.rc ] || skip 'there is no 127.0.0.2 here'
port=$(sed -n 's/^sink listening on 127.0.0.1://p' there.log)
spawn away "$sink" -x -p 127.0.0.4:"$port"
own_nc
printf '%s\n' 'S: 554 5.3.2 not me' E: >rude.t
spawn rude env NC="$own" LIMIT=100 "$SH" "$TEST/play" -l 127.0.0.5 "$port" rude.t
spawn smart "$sink"
for i in away rude smart; do wait_for "grep -q 'listening on' $i.log"; done
smart=$(sed -n 's/^sink listening on .*://p' smart.log)

# Nobody is at 127.0.0.9.
cat >zone <<'E'
order.example   60 MX 40 good.order.example
order.example   60 MX 20 away.order.example
order.example   60 MX 50 never.order.example
order.example   60 MX 10 down.order.example
order.example   60 MX 30 rude.order.example
order.example   60 MX 5 gone.order.example
down.order.example  60 A 127.0.0.9
away.order.example  60 A 127.0.0.4
rude.order.example  60 A 127.0.0.5
good.order.example  60 A 127.0.0.2
never.order.example 60 A 127.0.0.3
equal.example   60 MX 20 three.equal.example
equal.example   60 MX 10 one.equal.example
equal.example   60 MX 10 two.equal.example
one.equal.example   60 A 127.0.0.1
two.equal.example   60 A 127.0.0.2
three.equal.example 60 A 127.0.0.3
implicit.example 60 A 127.0.0.2
many.example    60 AAAA ::1
many.example    60 A 127.0.0.9
many.example    60 A 127.0.0.3
noaddress.example 60 MX 10 nothing.noaddress.example
barren.example  60 TXT 5
null.example    60 MX 0 .
fails.example   servfail
refused.example refused
halffails.example 60 MX 10 mx.fails2.example
mx.fails2.example servfail
better.example  60 MX 10 mx.better.example
better.example  60 MX 20 mail.here.example
mx.better.example 60 A 127.0.0.2
equally.example 60 MX 10 down.equally.example
equally.example 60 MX 20 MAIL.here.Example
equally.example 60 MX 20 mx.better.example
equally.example 60 MX 30 mx.better.example
ours.example    60 MX 10 mail.here.example
ours.example    60 MX 20 mx.better.example
alias.example   60 CNAME better.example
hosts.example   60 MX 10 mx.hosts.example
mx.hosts.example 60 A 127.0.0.9
xn--bcher-kva.example 60 MX 10 xn--mx--goa.xn--bcher-kva.example
xn--mx--goa.xn--bcher-kva.example 60 A 127.0.0.3
down.example    60 A 127.0.0.9
down.equally.example 60 A 127.0.0.9
E
spawn dns "$dnsd" -l queries zone
wait_for 'grep -q listening dns.log'
echo '127.0.0.3 other.example mx.hosts.example' >hosts

virtual() { cat <<-END
	server $1 {
	    general { listen 127.0.0.1:0; hostname mail.here.example; mailroot $1 }
	    access { relay only 127.0.0.0/8 }
	    messages { per-connection 1 }
	    delivery { port $port; timeout 60s; $2 }
	    domain here.example default
	    domain row.example remote { smart-host better.example }
	    domain lost.example remote { smart-host nowhere.example [nowhere.example] }
	    domain lostrow.example remote { smart-host nowhere.example [127.0.0.1]:$smart }
	}
	END
}
{
	echo "resolver $HOST:$(sed -n 's/^dnsd listening on .*://p' dns.log)"
	echo "hosts hosts"
	virtual world ''
	virtual equal ''
	virtual first "direct-first yes; smart-host [127.0.0.1]:$smart"
	virtual lost 'smart-host nowhere.example'
} >conf
start_server conf -v

# send SERVER TO ...
send() {
	use "$1"; shift
	{
		echo EHLO x
		for i; do printf '%s\n' 'MAIL FROM:<s@here.example> SMTPUTF8' "RCPT TO:<$i>" DATA '' "for $i" .; done
		echo QUIT
	} | say >said
	is "$(grep -c '^250 2.6.0' said)" $# 'messages that are taken'
}
# went TO HOST; returned TO STATUS REASON; waits DESTINATION SERVER REASON.
went() {
	went_what=" to=<$1> host=$2"
	poll 'grep -qF "$went_what" server.log' || { grep -F "to=<$1>" server.log >&2; fail "$1 was not relayed to $2"; }
	grep -F "$went_what" server.log | grep -q ' relayed ' || fail "$1: not relayed"
}
returned() {
	poll 'report=$(grep -lxF "Final-Recipient: rfc822;'"$1$cr"'" '"$4"'/Drop/*.eml)' || { grep -F "$1" server.log >&2; fail "$1 was not returned"; }
	grep -q "^Status: $2" "$report" || { cat "$report" >&2; fail "$1: the status is not $2"; }
	grep -F "failed server=" server.log | grep -F "to=<$1>" | grep -q "$3" || { grep -F "$1" server.log >&2; fail "$1: another reason"; }
}
waits() {
	waits_line="- destination=$1 server=\"$2\""
	poll 'grep -qF -- "$waits_line" server.log' || { grep -F "$1" server.log >&2; fail "$1 does not wait"; }
	like "$(grep -F -- "$waits_line" server.log | sed 1q)" "* waiting=1 *reason=\"$3\"" "$1"
	! grep -F 'failed server=' server.log | grep -qF "@$1>" || fail "$1: it failed"
}
cr=$(printf '\r')

# --- MX ---

send world s@order.example u@implicit.example u@many.example u@noaddress.example u@barren.example u@null.example u@nowhere.example \
	u@fails.example u@refused.example u@halffails.example u@better.example u@equally.example u@ours.example u@alias.example \
	u@hosts.example 'u@[127.0.0.2]' 'u@[127.0.0.9]' 'u@[IPv6:::1]' u@bücher.example u@row.example u@lost.example u@lostrow.example
went s@order.example 'good.order.example[127.0.0.2]'
is "$(sed -n '/^- no route: \(.*order\.\|554 \|421 \)/{ s/^- no route: //; s/:[0-9]*//; p; }' server.log | sed 4q)" \
	'5.4.4 the host gone.order.example has no address
4.4.1 down.order.example[127.0.0.9] cannot be connected to: Connection refused
421 4.3.2 sink.test is not here
554 5.3.2 not me' 'the order of those that were tried'
went u@implicit.example 'implicit.example[127.0.0.2]'
went u@many.example 'many.example[127.0.0.3]'
grep -q '^- no route: .*many.example\[::1\]' server.log || fail 'the IPv6 address was not tried first'
went u@alias.example 'mx.better.example[127.0.0.2]'
returned u@noaddress.example 5.4.4 'the host nothing.noaddress.example has no address' world
returned u@barren.example 5.4.4 'the host barren.example has no address' world
returned u@null.example 5.1.10 'takes no mail' world
returned u@nowhere.example 5.1.2 'there is no domain nowhere.example' world
waits fails.example world '4.4.3 the name servers do not say *'
waits refused.example world '4.4.3 the name servers do not say *'
waits halffails.example world '4.4.3 the name servers do not say *'
ok MX

# --- ourselves among them ---

went u@better.example 'mx.better.example[127.0.0.2]'
waits equally.example world '4.4.1 down.equally.example\[127.0.0.9\]:* cannot be connected to: *'
returned u@ours.example 5.4.6 'lead back to this one' world
ok 'our own name'

# --- other ways to say where ---

went u@hosts.example 'mx.hosts.example[127.0.0.3]'
went 'u@[127.0.0.2]' '[127.0.0.2]'
waits '[127.0.0.9]' world '4.4.1 \[127.0.0.9\]:* cannot be connected to: *'
waits '[ipv6:::1]' world '4.4.1 \[::1\]:* cannot be connected to: *'
went 'u@b\xc3\xbccher.example' 'xn--mx--goa.xn--bcher-kva.example[127.0.0.3]'
grep -q '^udp xn--bcher-kva.example MX' queries || fail 'the A-label was not asked for'
! grep 'cher' queries | grep -v 'xn--bcher-kva' >&2 || fail 'something else was asked for'
went u@row.example 'mx.better.example[127.0.0.2]'
waits lost.example world '4.4.4 the host nowhere.example has no address'
went u@lostrow.example '[127.0.0.1]'
send lost u@better.example
waits '*' lost '4.4.4 the host nowhere.example has no address'
ok 'literals, hosts, smart hosts'

# --- equal ones ---

send equal $(i=0; while [ $i -lt 40 ]; do i=$((i + 1)); echo u$i@equal.example; done)
wait_for '[ "$(grep -c "relayed .*@equal.example" server.log)" = 40 ]'
for i in one two three; do eval "$i=$(grep -c "relayed .* host=$i.equal.example" server.log)"; done
[ "$one" -gt 0 ] && [ "$two" -gt 0 ] && [ "$three" = 0 ] || fail "of 40 messages one, two and three have $one, $two and $three"
ok "equal ones: $one and $two"

# --- direct-first ---

send first d@implicit.example d@nowhere.example d@fails.example d@noaddress.example d@down.example d@null.example d@row.example d@lost.example
went d@implicit.example 'implicit.example[127.0.0.2]'
for i in nowhere fails noaddress; do went d@$i.example "[127.0.0.1]:$smart"; done
waits down.example first '4.4.1 down.example\[127.0.0.9\]:* cannot be connected to: *'
returned d@null.example 5.1.10 'takes no mail' first
went d@row.example 'mx.better.example[127.0.0.2]'
waits lost.example first '4.4.4 the host nowhere.example has no address'
is "$(sed -n 's/^took.* to=<\(.*\)> reply.*/\1/p' smart.log | sort | tr '\n' ' ')" \
	'd@fails.example d@noaddress.example d@nowhere.example u@lostrow.example ' 'what the smart host has'
ok direct-first
stop_server
