#!/bin/sh
# Goal: a handshake that is none, or does not go on, costs a bounded time, leaves nothing behind and holds up nobody.
# - silence, octets that drip, garbage, plain SMTP to the port of TLS and TLS to the plain one; a ClientHello that ends,
#   or is followed by nothing, at each of its octets; an end in the middle of the handshake's second half;
# - the PROXY protocol in front of TLS: header and ClientHello in one packet, or octet by octet; who is refused;
# - meanwhile an operator ends it, the server stops.
# shellcheck disable=SC2016
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"

need openssl
need_tls
own_nc
self_signed mail mail.example.org
server() { cat <<-E
	server $1 {
	    general { listen 127.0.0.1:0 tls $2; hostname mail.example.org; mailroot $1; connections 2000 }
	    access { certificate mail.pem mail.key; $3 }
	    domain example.org default
	}
	E
}
{
	echo 'resolver 127.0.0.1:1'
	server main '' ''
	server hasty '; timeout 3s' ''
	server proxied 'proxy-from 127.0.0.1' 'connect all-except 192.0.2.66'
	server plain '' '' | sed 's/:0 tls/:0/'
	server closed '' 'connect only 192.0.2.1'
} >smtpd.conf
start_server smtpd.conf -v
MAIN=$(port_of main) HASTY=$(port_of hasty) PROXIED=$(port_of proxied) PLAIN=$(port_of plain) CLOSED=$(port_of closed)
pid=$(cat server.pid)

# A client's first flight, as it is.
spawn record "$SH" -c "exec $own -l 127.0.0.1 0 </dev/null 2>record.err >hello"
wait_for 'grep -q listening record.err'
limit 5 openssl s_client -connect "$HOST:$(sed -n 's/.*listening on .*://p' record.err)" </dev/null >record.out 2>&1 & client=$!
wait_for '[ -s hello ]'
kill $client 2>/dev/null; wait $client 2>/dev/null
end record TERM 5 || :
length=$(od -An -tu1 -j3 -N2 hello | awk '{ print 5 + $1 * 256 + $2 }')	# of this record; behind it, the client's farewell
dd if=hello of=first bs=1 count="$length" 2>/dev/null && mv first hello
[ "$length" -gt 100 ] || fail "no ClientHello but $length octets"

fine() { printf 'QUIT\r\n' | limit 20 openssl s_client -connect "$HOST:$MAIN" -quiet -ign_eof 2>&1 | grep -q '^221 ' || fail "$1: the next client"; }
open_files() { if [ -d "/proc/$pid/fd" ]; then ls "/proc/$pid/fd" | wc -l | tr -d ' '; else echo '?'; fi; }
reasons() { grep -c "^- closed server=\"$1\" client=[0-9.]* reason=\"TLS: $2" server.log; }
op() { "$SMTPD" -f smtpd.conf "$@"; }
fine 'at first'
before=$(open_files)

# --- who is none of ours ---

for port in "$HASTY" "$MAIN"; do
	PORT=$port
	for garbage in 'GET / HTTP/1.0\r\n\r\n' 'EHLO x\r\nQUIT\r\n' '\026\003\001\377\377' '\026\003\001\000\000' '\000' '\200\056\001\003\001' \
		'\025\003\001\000\002\002\000' '\027\003\003\000\001x' '\026\003\001\000\004\001\377\377\377'; do
		LIMIT=10
		printf "$garbage" | talk >got
		is "$(tr -cd ' -~\n' <got | grep -c '^[2-5][0-9][0-9] ')" 0 "something is said to $garbage"
	done
	awk 'BEGIN { for (; i++ < 5000;) printf "garbage, and more of it %d", i }' | talk >got
done
[ "$(reasons main)" -ge 10 ] || fail "not each has its line: $(reasons main)"
# TLS to the port that greets: it is no command, and the session ends or goes on, but in bounded time.
PORT=$PLAIN
{ cat hello; printf '\r\nQUIT\r\n'; } | talk | tr -d '\r' >got
like "$(cat got)" '220 *' 'TLS to the plain port: the greeting'
like "$(tail -n 1 got)" '[245]?? *' 'TLS to the plain port: the end'
# Who may not connect is not told in clear.
PORT=$CLOSED
is "$(printf 'EHLO x\r\n' | talk)" '' 'who is refused'
fine 'after garbage'

# --- a ClientHello that ends at each of its octets ---

PORT=$MAIN
n=0
until [ $n -gt "$length" ]; do
	dd if=hello bs=1 count=$n 2>/dev/null | limit 10 "$own" "$HOST" "$PORT" >got
	is "$(tr -cd ' -~\n' <got | grep -c '^[2-5][0-9][0-9] ')" 0 "something is said after $n octets"
	n=$((n + 1 + n / 40))
done
fine 'after cut handshakes'
is "$(open_files)" "$before" 'open files after cut handshakes'

# Their number stays: silent after so many octets, until the time is over. Drops do not lengthen it.
jobs=''
for n in 0 1 4 5 6 9 43 100 "$length"; do
	{ dd if=hello bs=1 count="$n" 2>/dev/null; exec sleep 5; } | limit 30 "$own" "$HOST" "$HASTY" >"silent.$n" & jobs="$jobs $!"
done
mkfifo drip
"$own" "$HOST" "$HASTY" <drip >drip.out 2>&1 & drip=$!
exec 9>drip
{ i=0; while [ $i -lt 12 ]; do dd if=hello bs=1 skip=$i count=1 2>/dev/null; sleep 0.5 2>/dev/null || sleep 1; i=$((i + 1)); done; } >&9 2>/dev/null &
exec 9>&-
wait_for '[ "$(op sessions --json | grep -c "\"doing\":\"TLS ")" -ge 9 ]'
fine 'beside nine who are silent'
wait_for '[ "$(reasons hasty "no handshake in time")" -ge 10 ]' 10
wait $drip $jobs
PORT=$MAIN
wait_for '[ "$(open_files)" = "$before" ]'

# The second half of a handshake: the client is gone behind our flight, in both versions; and says garbage instead.
for more in '' 'garbage that is longer than a header of five octets' '\024\003\003\000\001\001' '\025\003\003\000\002\002\050'; do
	{ cat hello; sleep 0.1 2>/dev/null || sleep 1; printf "$more"; } | limit 10 "$own" "$HOST" "$PORT" >got
	[ "$(wc -c <got)" -gt 500 ] || fail 'no flight of ours'
done
# After it: what is no record of TLS ends the session, and says nothing.
fine 'after halves'

# --- a proxy in front ---

through() {
	head=$1
	rm -f up down; mkfifo up down
	spawn "front" "$SH" -c "{ printf '$head'; cat up; } | $own 127.0.0.1 $PROXIED >down"
	spawn "door" "$SH" -c "$own -l 127.0.0.1 0 <down >up 2>door.err"
	wait_for 'grep -q listening door.err'
	printf '%s\r\n' 'EHLO c' QUIT | limit 20 openssl s_client -connect "$HOST:$(sed -n 's/.*listening on .*://p' door.err)" -quiet -ign_eof 2>&1 |
		tr -d '\r' >got
	end front TERM 5; end door TERM 5
}
through 'PROXY TCP4 192.0.2.7 198.51.100.1 40000 465\r\n'
grep -q '^250-mail.example.org greets \[192.0.2.7\]' got && grep -q '^221 ' got || fail "PROXY 1: $(cat got)"
through '\r\n\r\n\0\r\nQUIT\n\041\021\0\014\300\0\002\010\306\063\144\001\234\100\001\321'
grep -q '^250-mail.example.org greets \[192.0.2.8\]' got && grep -q '^221 ' got || fail "PROXY 2: $(cat got)"
# Header and ClientHello in one packet, and octet by octet: our flight is the answer, as to the hello alone.
PORT=$PROXIED
for way in '' -b; do
	{ printf 'PROXY TCP4 192.0.2.7 198.51.100.1 40000 465\r\n'; cat hello; } >both
	limit 10 "$own" $way "$HOST" "$PORT" <both >got
	is "$(dd if=got bs=1 count=1 2>/dev/null | od -An -tu1 | tr -d ' ')" 22 "no ServerHello behind a header ($way)"
	[ "$(wc -c <got)" -gt 500 ] || fail "no flight of ours behind a header ($way)"
done
is "$(printf 'PROXY TCP4 192.0.2.66 198.51.100.1 40000 465\r\nEHLO x\r\n' | talk)" '' 'a client who is refused behind a proxy'
cat hello | talk >got
is "$(wc -c <got | tr -d ' ')" 0 'a ClientHello without a header'
before_header='PROXY TCP4 192.0.2.7 198.51'
is "$(printf "$before_header" | talk)" '' 'half of a header'
PORT=$MAIN
fine 'after proxies'
wait_for '[ "$(open_files)" = "$before" ]'

# --- ended from outside ---

stay() { "$own" "$HOST" "$2" <"$1.in" >"$1.out" 2>"$1.log" & stays=$!; }
mkfifo one.in two.in three.in
stay one "$MAIN"; exec 8>one.in
wait_for 'op sessions | grep -q "TLS -"'
N=$(op sessions --json | sed -n 's/^{"number":\([0-9]*\),.*"doing":"TLS .*/\1/p' | head -n 1)
op sessions end "$N" >said || fail "sessions end: $(cat said)"
wait $stays
exec 8>&-
is "$(cat one.out)" '' 'what an operator has to say is not said in clear'
stay two "$PLAIN"; exec 8>two.in
printf 'EHLO c\r\nSTARTTLS\r\n' >&8
wait_for 'grep -q "^220 2.0.0 Ready" two.out'
stay three "$MAIN"; exec 7>three.in
wait_for '[ "$(op sessions | grep -c "TLS -")" = 2 ]'
stop_server
exec 7>&- 8>&-
wait $stays
is "$(cat three.out)" '' 'the end of the server is not said in clear'
is "$(tr -d '\r' <two.out | tail -n 1)" '220 2.0.0 Ready to start TLS' 'the end of the server, behind STARTTLS'
ok
