#!/bin/sh
# Goal: who tries passwords gets nowhere. Each failure is answered later than the one before, whatever the connection,
# and after too many the address is not listened to for a while; others do not wait. Nothing of an exchange is in a log
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
server submission {
    general { listen 127.0.0.1:0 submission; hostname mail.example.org; mailroot submission }
    access { passwords passwords; clear-text-passwords yes }
    domain example.org default
}
E
echo 0 >clock
CLOCK_FILE=clock; export CLOCK_FILE
start_server login.conf -T -v
at() { echo "$1" >clock.new; mv clock.new clock; echo QUIT | say >/dev/null; }
said() { printf '%s\n' 'EHLO c' "$@" QUIT | say | sed '1,/^250 /d; /^221 /d'; }
MAIN=$(port_of main) MISSING=$(port_of missing) SUBMISSION=$(port_of submission)
failed='535 5.7.8 That is not the name and password of anybody here'
wrong='AUTH PLAIN AGFubmEAU2VjcmV0'

# A right one, and what it opens.
PORT=$MAIN
is "$(said "$PLAIN" 'MAIL FROM:<anna@example.org> AUTH=anna+2B@example.org' 'RCPT TO:<x@away.example>' DATA 'Subject: x' '' . | sed 's/ [^ ]* queued/ ID queued/')" \
"235 2.7.0 Authentication succeeded
250 2.1.0 <anna@example.org> sender ok
250 2.1.5 <x@away.example> recipient ok
354 Send the message, then <CRLF>.<CRLF>
250 2.6.0 ID queued" 'who has authenticated relays'
like "$(cat main/Queue/*.eml)" '*x-sender-args: AUTH=anna+2B@example.org*with ESMTPA id *' 'the file in Queue'
grep -q ' received .* with=ESMTPA account=anna$' server.log || fail 'the log does not say who sent it'
grep -q '^- authenticated server="main" client=127.0.0.1 account=anna mechanism=PLAIN tls=no' server.log || fail 'no line of the log'
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
wait $others

# Nothing is shown.
said 'AUTH LOGIN' YW5uYQ== c2VjcmV0 >/dev/null
said 'AUTH PLAIN' AGFubmEAc2VjcmV0 >/dev/null
stop_server
! grep -rE 'AGFubm|c2Vjcm|YW5uYQ|UGFzc3|secret' server.log* main/logs || fail 'something of an exchange is shown'
grep -q '> (not shown)' server.log || fail 'there was no trace'
start_server login.conf
MAIN=$(port_of main) MISSING=$(port_of missing) SUBMISSION=$(port_of submission)

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
