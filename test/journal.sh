#!/bin/sh
# Goal: the protocol logs. One record for each command with its reply, in three formats; nothing of a message or a password;
# nobody out there can write a record; files begin anew by time and by size, and a restart goes on in them; a full disk costs
# records, which are counted, and no mail.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/relay"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac
CLOCK_FILE=$T/clock FAULT_FILE=$T/faults TZ=UTC0; export CLOCK_FILE FAULT_FILE TZ
later() { echo "$1" >clock.new; mv clock.new clock; }
records() { cat "$@" 2>/dev/null | grep -vc '^#'; }
only() { set -- "$1"/*; [ $# = 1 ] && echo "$1" || fail "not one file but $*"; }
server() { cat <<-E
	server $1 {
	    general { listen 127.0.0.1:0; hostname mx.example.org; mailroot $1; timeout ${3-10m}; log $2 }
	    messages { max-size 1K }
	    domain example.org default
	}
	E
}
{
	echo 'resolver 127.0.0.1:1'
	server w 'w3c daily logs; log-fields c-ip cs-username cs-method cs-uri-stem cs-uri-query sc-status cs-bytes s-computername; log-local-time yes'
	server i "iis 16K $T/elsewhere"
	server n 'ncsa hourly ./logs/'
	server silent 'w3c never logs' 1s
	server off none
} >journal.conf
letter=$(printf 'Subject: confidential\r\n\r\nconfidential\r\nx\r\n.\r\n' | wc -c)
dialogue() {
	printf '%s\n' 'EHLO client.example' 'MAIL FROM:<a+b,"c"@x.example>' 'mail from:<smith@example.com> SIZE=99' \
		'RCPT TO:<jones@example.com>' 'RCPT TO:<jones@example.org>' DATA 'Subject: confidential' '' confidential x . \
		'AUTH PLAIN AHNtaXRoAHNlY3JldA==' AHNtaXRoAHNlY3JldA== 'Subject: confidential' RSET 'MAIL FROM:<>' 'RCPT TO:<jones>' \
		'BDAT 14' confidential 'BDAT 14 LAST' confidential 'MAIL FROM:<>' 'BDAT 14' confidential QUIT
}

start_server journal.conf
for name in w i n off; do use $name; dialogue | say >$name.said; done
id() { id_at=$2; set -- "$1"/Drop/*; [ $# = 2 ] || fail 'not two messages'; shift $((id_at - 1)); i=${1##*/}; echo "${i%.eml}"; }
cat >want <<E
127.0.0.1 client.example mx.example.org EHLO - client.example 250 21
127.0.0.1 client.example mx.example.org MAIL - FROM:<a%2Bb%2C%22c%22@x.example> 501 31
127.0.0.1 client.example mx.example.org MAIL - from:<smith@example.com>+SIZE=99 250 39
127.0.0.1 client.example mx.example.org RCPT - TO:<jones@example.com> 550 29
127.0.0.1 client.example mx.example.org RCPT - TO:<jones@example.org> 250 29
127.0.0.1 client.example mx.example.org DATA - $(id w 1) 250 $((6 + letter))
127.0.0.1 client.example mx.example.org AUTH - - 502 33
127.0.0.1 client.example mx.example.org - - 5.5.2+Command+not+recognized 500 22
127.0.0.1 client.example mx.example.org - - 5.5.2+Command+not+recognized 500 23
127.0.0.1 client.example mx.example.org RSET - - 250 6
127.0.0.1 client.example mx.example.org MAIL - FROM:<> 250 14
127.0.0.1 client.example mx.example.org RCPT - TO:<jones> 250 17
127.0.0.1 client.example mx.example.org BDAT - 14 250 23
127.0.0.1 client.example mx.example.org BDAT - $(id w 2) 250 28
127.0.0.1 client.example mx.example.org MAIL - FROM:<> 250 14
127.0.0.1 client.example mx.example.org BDAT - 14 503 23
127.0.0.1 client.example mx.example.org QUIT - - 221 6
E
wait_for '[ "$(records w/logs/*)" = 17 ]'
log=$(only w/logs)
like "$log" "w/logs/ex$(date +%y%m%d).log" 'its name'
head -n 4 "$log" | sed 's/^#Date: ....-..-.. ..:..:..$/#Date: now/' >got
printf '%s\n' '#Software: smtpd 0.1' '#Version: 1.0' '#Date: now' \
	'#Fields: c-ip cs-username s-computername cs-method cs-uri-stem cs-uri-query sc-status cs-bytes' | diff - got || fail 'the header'
sed 1,4d "$log" | diff want - || fail 'the w3c log'

# The same in the others' form, where the ids of the messages are others.
wait_for '[ "$(records elsewhere/*)" = 17 ] && [ "$(records n/logs/*)" = 17 ]'
is "$(only elsewhere)" elsewhere/inetsv1.log
sed "s/$(id w 1)/$(id i 1)/; s/$(id w 2)/$(id i 2)/" want | awk '{ print $4, $6, $7, $8 }' >want.iis
tr -d , <elsewhere/inetsv1.log | awk 'NF == 15 { print $13, $15, $11, $9 }' | diff want.iis - || fail 'the iis log'
grep -qE '^127\.0\.0\.1, client\.example, [0-9]+/[0-9]+/[0-9]{2}, [0-9:]{8}, i, mx\.example\.org, 127\.0\.0\.1, [0-9]+, 6, 46, 221, 0, QUIT, -, -,$' \
	elsewhere/inetsv1.log || fail 'the form of an iis record'
sed "s/$(id w 1)/$(id n 1)/; s/$(id w 2)/$(id n 2)/" want | awk '{ print "\"" $4, "-?" $6, "HTTP/1.0\"", $7 }' >want.ncsa
ncsa=$(only n/logs)
cut -d ' ' -f 6-9 "$ncsa" | diff want.ncsa - || fail 'the ncsa log'
grep -qE '^127\.0\.0\.1 - client\.example \[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8} \+0000\] "QUIT -\?- HTTP/1\.0" 221 46$' "$ncsa" ||
	fail 'the form of an ncsa record'
[ ! -e off/logs ] || fail 'a log that nobody wants'
! grep -ri -e confidential -e AHNt w/logs elsewhere n/logs || fail 'what is confidential'

# Time-outs: one that waits, and one in a message.
use silent
{ printf '%s\r\n' 'EHLO x' 'MAIL FROM:<>' 'RCPT TO:<jones>' DATA x; sleep 2; } | talk >/dev/null & half=$!
sleep 2 | talk >/dev/null
wait $half
wait_for 'grep -q " - - 4\.4\.2+Nothing+heard[^ ]* 421 " silent/logs/extend.log && grep -q " x DATA - 421 " silent/logs/extend.log'

# Wherever a client can say what it wants: no octet of it makes another field, line or colour.
for name in w i n; do
	use $name
	{
		printf 'EHLO a\rb\r\nEHLO a"b,c;d\r\nEHLO %%0d%%0a+\r\nEHLO #a%%00+\r\nMAIL FROM:<"a\n2026-01-01 00:00:00 forged"@x>\r\n'
		printf 'RSET \033]0;x\007\r\nNOOP \001\002\177\200\377 \\x0a \303\251 \r\n'
		awk 'BEGIN { printf "NOOP "; for (; i++ < 3000;) printf "\351"; print "\r" }'
		awk 'BEGIN { printf "MAIL FROM:<"; for (; i++ < 3000;) printf ","; print "@x>\r" }'
		printf 'QUIT\r\n'
	} | talk >/dev/null
done
wait_for 'grep -q "^127.* - MAIL - FROM:<,,\|^127.*MAIL - FROM:<%2C%2C" w/logs/*'
stop_server
! cat w/logs/* elsewhere/* n/logs/* | tr -d '\n' | grep -q '[^ -~]' || fail 'an octet that is not printable'
! cat w/logs/* elsewhere/* n/logs/* | grep -v -e '^127\.0\.0\.1[ ,]' -e '^#' || fail 'a line that began elsewhere'
well_formed() {
	! awk 'length > 4095' w/logs/* elsewhere/* n/logs/* | grep . || fail 'a line too long'
	! awk '!/^#/ && NF != 8 && NF != 1' w/logs/* | grep . || fail 'more fields, or less'
	! awk -F , 'NF != 16' elsewhere/* | grep . || fail 'more fields, or less'
	! awk 'NF != 10 || split($0, part, "\"") != 3' n/logs/* | grep . || fail 'more fields, or less'
}
well_formed

# By time: the files' names are those of the clock. By size: none is larger. A restart goes on in both.
rm -r n/logs
later 0
start_server journal.conf
day=$(only w/logs) before=$(records "$day")
noops() { awk -v n="$1" 'BEGIN { while (i++ < n) printf "NOOP %0100d\r\n", i; print "QUIT\r" }' | talk >/dev/null; }
use w; noops 1
wait_for '[ "$(records "$day")" = $((before + 2)) ]'
is "$(grep -c '^#Fields' "$day")" 2 'headers after a restart'
use n; noops 1; later 3600; noops 1; later 7200; noops 1
wait_for '[ "$(ls n/logs | wc -l)" = 3 ]'
later 86400; use w; noops 1
wait_for '[ "$(ls w/logs | wc -l)" = 2 ]'
use i; noops 400
wait_for '[ "$(cat elsewhere/* | grep -c "NOOP, -, 0")" = 400 ]'
for file in elsewhere/*; do [ "$(wc -c <"$file")" -le 16384 ] || fail "$file is larger than 16K"; done
last=$(ls elsewhere | wc -l); last=elsewhere/inetsv$((last)).log
[ -e "$last" ] || fail 'a number is left out'
stop_server
start_server journal.conf
files=$(ls elsewhere)
use i; noops 1
wait_for 'tail -n 1 "$last" | grep -q QUIT && tail -n 2 "$last" | grep -q "NOOP, -, 0*1,"'
is "$(ls elsewhere)" "$files" 'the files after a restart'

# Renamed, as logrotate does it; and another configuration.
use w; day=$(ls w/logs/* | tail -n 1); mv "$day" rotated
later 86402; noops 1
wait_for '[ "$(records "$day")" = 2 ] && grep -q "^#Fields" "$day"'
sed 's/log-fields .*; log-l/log-fields sc-status; log-l/' journal.conf >new; mv new journal.conf
kill -s HUP "$(cat server.pid)"
wait_for 'noops 1; grep -q "^#Fields: sc-status$" "$day"'
is "$(tail -n 2 "$day" | tr '\n' ' ')" '250 221 ' 'records of one field'

# Full: all that is lost is records, and it is said twice.
before=$(records elsewhere/*)
echo 'log 0 ENOSPC' >faults
use i; dialogue | say >full.said
is "$(grep -c '^250 2.6.0' full.said)" 2 'messages taken'
wait_for 'grep -q "^- log server=\"i\" file=.*/elsewhere/inetsv.* reason=\"No space left on device; records are lost " server.log'
dialogue | say >full.said
echo 'log 0 EIO' >faults
later 86410; dialogue | say >full.said
: >faults
later 86420; noops 1
wait_for 'grep -q "^- log server=\"i\" file=.* lost=[0-9]*; it can be written again$" server.log'
wait_for 'tail -n 2 elsewhere/* | grep -q "NOOP, -, 0*1,$"'
is "$(($(records elsewhere/*) + $(sed -n 's/^- log server="i" .* lost=\([0-9]*\);.*/\1/p' server.log)))" $((before + 53)) 'records that are there, and lost'
is "$(grep -c '^- log ' server.log)" 2 'lines about it'
well_formed
stop_server

# And so that a line is torn: a file can have 64 blocks here. It is cut back; another file has room again.
cat >small <<'E'
ulimit -f 64 || exit
exec "$@"
E
later 172800
WRAP="$SH ./small" start_server journal.conf
use n; noops 700
wait_for 'grep -q "^- log server=\"n\" .* reason=\"File too large" server.log'
dialogue | say >full.said
is "$(grep -c '^250 2.6.0' full.said)" 2 'messages taken'
full=$(ls n/logs/* | tail -n 1)
is "$(tail -c 1 "$full" | od -An -c | tr -d ' ')" '\n' 'the end of the file'
[ "$(records "$full")" -gt 100 ] || fail 'what had room is not there'
later 180000; noops 1
wait_for 'grep -q "^- log server=\"n\" .* lost=[0-9]*; it can be written again" server.log'
lost=$(sed -n 's/^- log server="n" .* lost=\([0-9]*\);.*/\1/p' server.log)
is "$(($(records "$full") + lost))" $((701 + 17)) 'records that are there, and lost'
well_formed
stop_server

# What we say and hear as a client.
unset CLOCK_FILE FAULT_FILE
rm -f ./*.conf
scene peer <<'E'
hello SIZE_100000
mail
rcpt a 550 5.1.1 no "one", here
rcpt b
data
end 250 2.0.0 taken
quit
E
echo 'Subject: x' | letter peer a b
play_scenes 'general { log w3c never logs; log-fields cs-username s-port cs-method cs-uri-query sc-status sc-bytes cs-bytes }'
relayed peer b
port=$(sed -n 's/.*listening on .*://p' peer.1.t.log)
wait_for 'grep -q " QUIT - - 6 0" m/logs/extend.log'
grep '^Outbound' m/logs/extend.log | head -n 15 |
	sed "s/ $port / PORT /; s/SIZE=[0-9]* - [0-9]* 0\$/SIZE=N - N 0/; s/(the+message) - [0-9][0-9][0-9] 0/(the+message) - N 0/" >got
cat >want <<'E'
OutboundConnectionResponse PORT - 220+peer.example+ESMTP 220 0 24
OutboundConnectionCommand PORT EHLO mail.here.example - 24 0
OutboundConnectionResponse PORT - 250-peer.example 250 0 18
OutboundConnectionResponse PORT - 250+SIZE+100000 250 0 17
OutboundConnectionCommand PORT MAIL FROM:<s@here.example>+SIZE=N - N 0
OutboundConnectionResponse PORT - 250+sender+ok 250 0 15
OutboundConnectionCommand PORT RCPT TO:<a@peer.example> - 26 0
OutboundConnectionResponse PORT - 550+5.1.1+no+%22one%22%2C+here 550 0 26
OutboundConnectionCommand PORT RCPT TO:<b@peer.example> - 26 0
OutboundConnectionResponse PORT - 250+recipient+ok 250 0 18
OutboundConnectionCommand PORT DATA - - 6 0
OutboundConnectionResponse PORT - 354+go+on 354 0 11
OutboundConnectionCommand PORT - (the+message) - N 0
OutboundConnectionResponse PORT - 250+2.0.0+taken 250 0 17
OutboundConnectionCommand PORT QUIT - - 6 0
E
diff want got || fail 'the log of a client'
stop_server

# Two logs in one folder, and a folder that is for mail, are mistakes.
{ server a "w3c daily $T/same"; server b "iis daily $T/same"; server c 'w3c daily Queue/logs'; server d 'iis daily Drop'; } >wrong.conf
! "$SMTPD" -n -f wrong.conf 2>said || fail 'wrong.conf is accepted'
for why in "'.*/same' is server \"a\"'s already; each has its own" 'would lie in Queue' 'is a folder for mail'; do
	is "$(grep -c "$why" said)" 1 "$why"
done
{ server a 'w3c daily ../same'; server b 'iis daily ../same'; } >same.conf
start_server same.conf
wait_for 'grep -q "^smtpd: \"b\" is not started" server.log'
grep -q '^smtpd: "b": the folder of its log, b/../same, is that of "a"; each has its own$' server.log || fail 'nothing says why'
stop_server
ok
