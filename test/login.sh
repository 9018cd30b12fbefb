#!/bin/sh
# Goal: who tries passwords gets nowhere. Each failure is answered later than the one before, whatever the connection,
# and after too many the address is not listened to for a while, but for those who proved themselves there; others do not
# wait, and one's own account is of no use for that. Nothing of an exchange is in a log
# or the trace. AUTH is not offered in clear unless that is said; what has authenticated may relay, and Received, the log
# and `smtpd why' say so; a file that cannot be read is nobody's fault but ours, and a change of it counts at once.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac

account
cat >login.conf <<'E'
resolver 127.0.0.1:1
server main {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot main; log w3c daily logs }
    access { passwords passwords; clear-text-passwords yes }
    domain example.org default
}
server missing {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot missing }
    access { passwords nowhere; clear-text-passwords yes }
    domain example.org default
}
server proxied {
    general { listen 127.0.0.1:0 proxy-from 127.0.0.1; hostname mail.example.org; mailroot proxied }
    access { passwords passwords; clear-text-passwords yes }
    domain example.org default
}
server submission {
    general { listen 127.0.0.1:0 submission; hostname mail.example.org; mailroot submission }
    access { passwords passwords; clear-text-passwords yes }
    domain example.org default
}
E
echo secret | "$SMTPD" -f login.conf password -S main bob 2>/dev/null
echo secret | "$SMTPD" -f login.conf password -S main -i 300000 heavy 2>/dev/null
echo 0 >clock
CLOCK_FILE=clock; export CLOCK_FILE
start_server login.conf -T -v
at() { echo "$1" >clock.new; mv clock.new clock; echo QUIT | say >/dev/null; }
said() { printf '%s\n' 'EHLO c' "$@" QUIT | say | sed '1,/^250 /d; /^221 /d'; }
# from ADDRESS LINE ...: as said, by way of a proxy.
from() { { echo "PROXY TCP4 $1 198.51.100.1 40000 25"; shift; printf '%s\n' 'EHLO c' "$@" QUIT; } | say | sed '1,/^250 /d; /^221 /d'; }
failed_of() { sed -n "s/^- not authenticated .* client=$1 .* failures=//p" server.log | tr '\n' ' '; }
MAIN=$(port_of main) PROXIED=$(port_of proxied) MISSING=$(port_of missing) SUBMISSION=$(port_of submission)
failed='535 5.7.8 That is not the name and password of anybody here'
wrong='AUTH PLAIN AGFubmEAU2VjcmV0' bob='AUTH PLAIN AGJvYgBzZWNyZXQ=' not_bob='AUTH PLAIN AGJvYgB4' nobody='AUTH PLAIN AG5vYm9keQB4'
right='235 2.7.0 Authentication succeeded' closed='421 4.7.0 Too many failed logins; come again later'

# A right one, and what it opens.
PORT=$MAIN
is "$(said "$PLAIN" 'MAIL FROM:<anna@example.org> AUTH=anna+2B@example.org' 'RCPT TO:<x@away.example>' DATA 'Subject: x' '' . | sed 's/ [^ ]* queued/ ID queued/')" \
"235 2.7.0 Authentication succeeded
250 2.1.0 <anna@example.org> sender ok
250 2.1.5 <x@away.example> recipient ok
354 Send the message, then <CRLF>.<CRLF>
250 2.6.0 ID queued" 'who has authenticated relays'
like "$(cat main/Queue/*.eml)" '*x-sender-args: AUTH=anna+2B@example.org*with ESMTPA id *' 'the file in Queue'
grep -q ' received .* with=ESMTPA account="anna"$' server.log || fail 'the log does not say who sent it'
grep -q '^- authenticated server="main" client=127.0.0.1 account="anna" mechanism=PLAIN tls=no' server.log || fail 'no line of the log'
said 'MAIL FROM:<> AUTH=anna@example.org' 'RCPT TO:<x>' DATA 'Subject: x' '' . >/dev/null
! grep -q AUTH main/Drop/*.eml || fail 'a stranger can say who wrote it'
"$SMTPD" -f login.conf why a@example.org x@away.example 127.0.0.1 '' anna >why.out || fail 'why refuses anna'
grep -q 'the client has authenticated' why.out || fail 'why does not know accounts'

# The third in a session is its end; and each takes longer. The clock stands still unless we move it.
started=$(date +%s)
is "$(said "$wrong" "$wrong" "$wrong" NOOP)" "$failed
$failed
421 4.7.0 Too many failed logins; come again later" 'three failures'
[ $(($(date +%s) - started)) -ge 2 ] || fail 'they are answered at once'
spawn slow "$SH" -c 'printf "EHLO c\r\n$1\r\nQUIT\r\n" | "$2" 127.0.0.1 "$3"' sh "$wrong" "$TEST/nc" "$PORT"
is "$(printf '%s\n' 'EHLO c' 'MAIL FROM:<>' QUIT | say | tail -n 2 | sed 1q)" '250 2.1.0 <> sender ok' 'others do not wait'
wait_for 'grep -q " failures=4" server.log'
! grep -q "^535" slow.log || fail 'the fourth is answered at once'
i=5 others=''
while [ $i -le 20 ]; do
	printf '%s\n' 'EHLO c' "$wrong" | say >/dev/null & others="$others $!"
	i=$((i + 1))
done
wait_for 'grep -q " failures=20" server.log'
is "$(said "$PLAIN")" '421 4.7.0 Too many failed logins; come again later' 'nobody there is listened to'
at 700
is "$(said "$PLAIN")" '235 2.7.0 Authentication succeeded' 'after a while'
is "$(said "$wrong")" "$failed"
grep -q ' not authenticated .* failures=1$' server.log || fail 'what was proved does not forgive'

# Each address is remembered for itself. What was proved forgives that account's failures, and no others.
PORT=$PROXIED
for i in 127.0.1.23 127.0.2.7 127.0.1.23 127.0.2.7; do from $i "$wrong" >/dev/null; done
is "$(failed_of 127.0.1.23) $(failed_of 127.0.2.7)" '1 2  1 2 ' 'two addresses'
is "$(from 10.1.1.1 "$wrong" "$wrong" "$bob" | tail -n 1)" "$right"
from 10.1.1.1 "$wrong" >/dev/null
is "$(from 10.1.1.1 "$PLAIN")" "$right"
from 10.1.1.1 "$not_bob" >/dev/null
is "$(failed_of 10.1.1.1)" '1 2 3 1 ' "what one's own account forgives"
# What is given up counts from the second time on; what is no answer ends the exchange.
from 10.1.1.2 'AUTH PLAIN' '*' 'AUTH PLAIN' '*' 'AUTH PLAIN =' "$wrong" >/dev/null
is "$(failed_of 10.1.1.2)" '3 ' 'given up'
# Of many that are under way no more are told than of one after the other; who was there before is still heard.
is "$(from 10.1.1.3 "$bob")" "$right"
before=$(grep -c '(not shown)' server.log) i=0
while [ $i -lt 30 ]; do
	{ printf '%s\n' 'PROXY TCP4 10.1.1.3 198.51.100.1 40000 25' 'EHLO c' 'AUTH LOGIN' YW5uYQ==; poll '[ -e go ]'; printf '%s\n' U2VjcmV0 QUIT; } |
		while read -r line; do printf '%s\r\n' "$line"; done | talk >/dev/null & others="$others $!"
	i=$((i + 1))
done
wait_for '[ $(($(grep -c "(not shown)" server.log) - before)) -ge 30 ]'
: >go
wait_for '[ $(($(grep -c "(not shown)" server.log) - before)) -ge 60 ]'
wait_for '[ "$(grep -c "< 421 4.7.0" server.log)" -ge 10 ]'
is "$(failed_of 10.1.1.3)" "$(awk 'BEGIN { for (i = 1; i <= 20; i++) printf "%d ", i }')" 'many at once'
is "$(from 10.1.1.3 "$PLAIN") $(from 10.1.1.3 "$nobody")" "$closed $closed" 'nobody there is listened to,'
is "$(from 10.1.1.3 "$bob")" "$right" 'but who was known there'
is "$(from 10.1.1.4 "$PLAIN")" "$right" 'nor is anybody elsewhere kept out'
wait $others

# Nothing is shown.
PORT=$MAIN
said 'AUTH LOGIN' YW5uYQ== c2VjcmV0 >/dev/null
said 'AUTH PLAIN' AGFubmEAc2VjcmV0 >/dev/null
stop_server
! grep -rE 'AGFubm|c2Vjcm|YW5uYQ|UGFzc3|secret' server.log* main/logs || fail 'something of an exchange is shown'
grep -q '> (not shown)' server.log || fail 'there was no trace'
start_server login.conf -T
MAIN=$(port_of main) PROXIED=$(port_of proxied) MISSING=$(port_of missing) SUBMISSION=$(port_of submission)

# Who comes last does not wait until all who came first are done.
PORT=$PROXIED i=0 others=''
while [ $i -lt 9 ]; do
	from 10.1.2.$i 'AUTH PLAIN AGhlYXZ5AHg=' >/dev/null & others="$others $!"
	i=$((i + 1))
done
wait_for '[ "$(grep -c " > AUTH" server.log)" = 9 ]'
is "$(from 10.1.3.1 "$PLAIN")" "$right"
! grep -q 'not authenticated .* account="heavy"' server.log || fail 'who came first is worked for first'
wait $others

PORT=$MISSING
is "$(said "$PLAIN")" '454 4.7.0 Passwords cannot be looked at now; try later' 'the file is away'
grep -q 'nowhere' server.log || fail 'the log does not say why'
cp passwords nowhere; chmod 600 nowhere
is "$(said "$PLAIN")" '235 2.7.0 Authentication succeeded' 'the file is back'
: >nowhere
is "$(said "$PLAIN")" "$failed" 'the account is gone'

# A header without end.
PORT=$SUBMISSION
{ printf '%s\n' 'EHLO c' "$PLAIN" 'MAIL FROM:<anna@example.org>' 'RCPT TO:<x@example.org>' DATA
	awk 'BEGIN { for (i = 0; i < 20000; i++) print "X-Field-" i ": xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" }'
	printf '%s\n' '' . QUIT; } | say | tail -n 2 >got
is "$(sed 1q got)" '554 5.6.0 The header is too large to be completed'
# Three messages: no header, no body, nothing.
said "$PLAIN" 'MAIL FROM:<anna@example.org>' 'RCPT TO:<x@example.org>' DATA '' text . 'MAIL FROM:<anna@example.org>' \
	'RCPT TO:<x@example.org>' DATA 'From: b@example.org' . 'MAIL FROM:<anna@example.org>' 'RCPT TO:<x@example.org>' DATA . >got
is "$(grep -c queued got)" 3 "$(cat got)"
wait_for '[ "$(ls submission/Drop | wc -l)" = 3 ]'
for i in submission/Drop/*; do
	is "$(grep -ciE '^(date|message-id|from):' "$i")" 3 "$(cat "$i")"
done
stop_server

# In clear, where it is not said, there is no AUTH; under TLS there is.
"$SMTPD" -V | grep -q 'with TLS' || exit 0
need openssl
authority ca
certify mail ca mail.example.org
sed 's/; clear-text-passwords yes/; certificate mail.pem mail.key/' login.conf >tls.conf
start_server tls.conf
use main
is "$(printf '%s\n' 'EHLO c' QUIT | say | grep -c AUTH)" 0 'AUTH in clear'
is "$(said "$PLAIN")" '538 5.7.11 Passwords are not taken in clear; STARTTLS first'
printf '%s\r\n' 'EHLO c' "$PLAIN" 'MAIL FROM:<>' 'RCPT TO:<x>' DATA 'Subject: y' '' . QUIT |
	openssl s_client -connect "$HOST:$PORT" -starttls smtp -quiet -ign_eof 2>/dev/null | tr -d '\r' >got
grep -q '^235 ' got || fail "AUTH under TLS: $(cat got)"
grep -q 'with ESMTPSA id' main/Drop/*.eml || fail 'Received does not say ESMTPSA'
stop_server
