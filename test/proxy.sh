#!/bin/sh
# Goal: a listener marked proxy-from is for those proxies alone, and behind one of them it is the client who counts.
# - by hand: the client's address is in the log, in Received, before the access lists and in the limit per client; what
#   was sent right behind the header is answered, octet by octet too, and the banner waits for the header; who is no
#   proxy hears 554, whatever he sends; a header that is none, is cut off or is late ends in silence;
# - haproxy in front, with version 1 and 2 of the header, and its health check.
. "${TEST:-$(dirname "$0")}/lib.sh"

own_nc
cat >proxy.conf <<'E'
resolver 127.0.0.1:1
server main {
    general { listen 127.0.0.1:0 proxy-from 127.0.0.1 ::1; hostname mail.example.org; mailroot main; connections-per-client 2 }
    access { connect all-except 192.0.2.66; relay only 192.0.2.7 2001:db8::/32 }
    domain example.org default
}
server far {
    general { listen 127.0.0.1:0 proxy-from 192.0.2.0/24; hostname mail.example.org; mailroot far }
    domain example.org default
}
E
start_server proxy.conf -v -T
MAIN=$(port_of main) FAR=$(port_of far)

# through HEADER LINE ...: the header as printf %b has it; then the lines with CRLF, all at once.
through() { head=$1; shift; { printf '%b' "$head"; [ $# = 0 ] || printf '%s\r\n' "$@"; } | talk | tr -d '\r'; }
v1() { proto=$1 from=$2 to=$3; shift 3; through "PROXY $proto $from $to 40000 25\\r\\n" "$@"; }
v4() { from=$1; shift; v1 TCP4 "$from" 198.51.100.1 "$@"; }
silent() { is "$1" '' "$2: nothing is said"; }
denied='554 5.7.1 mail.example.org does not accept your connection'

PORT=$FAR
is "$(v4 192.0.2.7 QUIT)" "$denied" 'who is no proxy of this listener'
is "$(through '')" "$denied" 'the same without a header'

PORT=$MAIN
v4 192.0.2.7 'HELO one' 'MAIL FROM:<smith@example.com>' 'RCPT TO:<x@away.example>' 'RCPT TO:<jones@[198.51.100.1]>' \
	DATA 'Subject: x' '' . QUIT >got
is "$(sed -n 2p got)" '250 mail.example.org greets [192.0.2.7]' 'the greeting'
is "$(grep -c '^250 2.1.5' got)" 2 'the client may relay, and the address it came to is ours'
grep -q '^250 2.6.0 .* queued' got || fail 'not queued'
is "$(v4 192.0.2.8 'HELO one' 'MAIL FROM:<>' 'RCPT TO:<x@away.example>' | tail -n 1)" \
	'550 5.7.1 Unable to relay for <x@away.example>' 'another client may not'
is "$(v4 192.0.2.66 'HELO x')" "$denied" 'a client who may not connect'
is "$(v1 TCP6 ::ffff:192.0.2.66 ::2 'HELO x')" "$denied" 'the same, as IPv6 writes it'
is "$(v1 TCP6 2001:db8::7 ::2 'HELO x' | tail -n 1)" '250 mail.example.org greets [IPv6:2001:db8::7]' 'IPv6'
is "$(through 'PROXY UNKNOWN\r\n' 'HELO x' | tail -n 1)" '250 mail.example.org greets [127.0.0.1]' 'UNKNOWN is the proxy'
sign='\r\n\r\n\0000\r\nQUIT\n'
is "$(through "$sign\\0040\\0000\\0000\\0000" 'HELO x' | tail -n 1)" '250 mail.example.org greets [127.0.0.1]' 'LOCAL is the proxy'
addresses='\0300\0000\0002\0010\0306\0063\0144\0001\0234\0100\0000\0031'
is "$(through "$sign\\0041\\0021\\0000\\0020$addresses\\0004\\0000\\0001x" 'HELO x' | tail -n 1)" \
	'250 mail.example.org greets [192.0.2.8]' 'version 2, with more than the addresses'
is "$(printf '%s\r\n' 'PROXY TCP4 192.0.2.9 198.51.100.1 40000 25' 'HELO x' QUIT | limit 20 "$own" -b "$HOST" "$PORT" | tr -d '\r')" \
"220 mail.example.org ESMTP smtpd
250 mail.example.org greets [192.0.2.9]
221 2.0.0 mail.example.org closing the channel" 'octet by octet'
like "$(cat main/Drop/*.eml)" '*Received: from one (\[192.0.2.7\])*' 'Received'
grep -q 'received server="main" client=192.0.2.7 helo=one' server.log || fail 'the log has another client'
grep -q 'refused server="main" client=192.0.2.66 ' server.log || fail 'the log does not tell who was refused'
grep -q 'proxied #[0-9]* client=192.0.2.8:40000 proxy=127.0.0.1:' server.log || fail 'the log has no proxy'
grep -q 'PROXY  > (PROXY header: client 192.0.2.7:40000)' server.log || fail 'the trace has no header'

# Nothing is said before the header is there, nor to what is none.
silent "$(through '' 'EHLO x' QUIT)" 'no header'
silent "$(through 'PROXY TCP4 192.0.2.7 198.51.100.1 40000\r\n' 'HELO x')" 'a wrong one'
silent "$(through "$sign\\0041\\0021\\0377\\0377")" 'one that is too long'
is "$(grep -c '^- closed server="main" client=127.0.0.1 reason="the proxy sent no PROXY header, or a wrong one"' server.log)" 3 'their lines'
silent "$(through 'PROXY TCP4 192.0.2.7 198.51')" 'half of one'
grep -q 'client=127.0.0.1 reason="the PROXY header was cut off"' server.log || fail 'half of one has no line'
before=$(grep -c '^- closed server' server.log)
silent "$(through '')" 'a look at the port'
is "$(grep -c '^- closed server' server.log)" "$before" 'lines after that'

# The limit is the client's. Two that say nothing are nobody's, and their time runs out.
come() { mkfifo "$1.in"; LIMIT=30 talk 0<>"$1.in" >"$1.out" & }
come late; late=$!
come late2; late="$late $!"
for i in a.20 b.20 c.21; do
	come ${i%.*}
	printf 'PROXY TCP4 192.0.2.%s 198.51.100.1 4 25\r\n' ${i#*.} >${i%.*}.in
done
wait_for 'grep -q ^220 a.out && grep -q ^220 b.out && grep -q ^220 c.out'
is "$(v4 192.0.2.20 'HELO x')" '421 4.7.0 Too many connections from your address' 'the third of a client'
is "$(v4 192.0.2.21 'HELO x' | tail -n 1)" '250 mail.example.org greets [192.0.2.21]' 'the second of another'
is "$(through 'PROXY UNKNOWN\r\n' 'HELO x' | tail -n 1)" '250 mail.example.org greets [127.0.0.1]' 'beside two who say nothing'
wait $late
silent "$(cat late.out)" 'late'
is "$(grep -c 'client=127.0.0.1 reason="no PROXY header came in time"' server.log)" 2 'lines of those who are late'

# The real thing, on two ports that the system has just given away.
PATH=$PATH:/usr/sbin
need haproxy
for i in one two; do spawn $i "$own" -l 127.0.0.1 0; done
for i in one two; do wait_for "grep -q 'listening on' $i.log"; end $i TERM 2; done
ONE=$(sed -n 's/.*listening on .*://p' one.log) TWO=$(sed -n 's/.*listening on .*://p' two.log)
cat >haproxy.cfg <<E
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen one
    bind 127.0.0.1:$ONE
    server smtpd 127.0.0.1:$MAIN send-proxy
listen two
    bind 127.0.0.1:$TWO
    option smtpchk EHLO check.example
    server smtpd 127.0.0.1:$MAIN send-proxy-v2 check check-send-proxy inter 500ms
E
spawn haproxy haproxy -db -f haproxy.cfg
wait_for 'grep -q "> EHLO check.example" server.log' 10
for i in 1 2; do
	[ $i = 1 ] && PORT=$ONE || PORT=$TWO
	printf '%s\n' "HELO haproxy$i" 'MAIL FROM:<smith@example.com>' 'RCPT TO:<jones@example.org>' DATA '' x . QUIT | say >got
	is "$(sed -n 2p got)" '250 mail.example.org greets [127.0.0.1]' "by haproxy, version $i"
	grep -q '^250 2.6.0 .* queued' got || fail "by haproxy, version $i: $(cat got)"
done
told=$(sed -n 's/^- proxied #[0-9]* client=\(127.0.0.1:[0-9]*\) proxy=\(127.0.0.1:[0-9]*\)$/\1 \2/p' server.log | awk '$1 != $2' | wc -l)
[ "$told" -ge 2 ] || fail 'haproxy told no client of its own'
wait_for '[ "$(grep -c "> EHLO check.example" server.log)" -ge 2 ]' 10
! grep -q DOWN haproxy.log || fail 'the health check finds us down'
end haproxy TERM 5 || fail 'haproxy does not end'
ok
