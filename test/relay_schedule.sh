#!/bin/sh
# relay_schedule: what waits is tried when its time has come and not before, through restarts; its sender is told once of the
# delay, and once of the end. Days pass in a second.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/relay"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac
CLOCK_FILE=$T/clock; export CLOCK_FILE
ahead=0
# at SECOND: so many are over since the beginning; then a client comes, and the server has to look.
at() { ahead=$1; echo "$ahead" >clock.new; mv clock.new clock; echo QUIT | say >/dev/null; }

for i in 1 2 3; do
	scene grey $i <<-E
	hello
	mail
	rcpt a 450 4.2.1 grey $i
	rset
	quit
	E
done
scene grey 4 <<'E'
hello
mail
rcpt a
data
end
quit
E
# Was it taken?  Perhaps: so the other one is not asked at once.
scene doubt 1 <<'E'
hello
mail
rcpt a
data
C* .
E
scene doubt 2 <<'E'
hello
mail
rcpt a
data
end
quit
E
scene null <<'E'
hello
C: MAIL FROM:<>
S: 250 ok
rcpt a 550 5.1.1 nobody
rcpt b
data
end
quit
E
own_nc
for i in *.t; do
	( trap : HUP INT TERM; NC=$own LIMIT=100 $SH "$TEST/play" -l "$HOST" 0 "$i" >"$i.log" 2>&1; echo $? >"$i.rc" ) </dev/null 2>/dev/null &
done
wait_for 'is_there "listening on" *.t.log'
port() { sed -n 's/.*listening on .*://p' "$1.t.log"; }
# Nobody listens on port 1.
cat >conf <<E
resolver 127.0.0.1:1
server s {
    general { listen 127.0.0.1:0; hostname mail.here.example; mailroot m }
    access { relay only 127.0.0.1 }
    messages { ndr-copy-to ops; queue-warning unlimited unlimited }
    delivery { glitch-retry 60s 3; retry 15m 30m 1h; notify 4h; expire 2d }
    domain here.example default
    domain dead.example remote { smart-host [127.0.0.1]:1 }
    domain grey.example remote { smart-host [127.0.0.1]:$(port grey.1) [127.0.0.1]:$(port grey.2) [127.0.0.1]:$(port grey.3) [127.0.0.1]:$(port grey.4) }
    domain doubt.example remote { smart-host [127.0.0.1]:$(port doubt.1) [127.0.0.1]:$(port doubt.2) }
    domain null.example remote { smart-host [127.0.0.1]:$(port null.1) }
}
server local {
    general { listen 127.0.0.1:0; hostname mail.local.example; mailroot l }
    messages { badmail-limit 10K 1d; queue-warning unlimited unlimited }
    delivery { local-retry 1h; local-notify 90m; local-expire 5h; retry 30d }
    domain local.example default { quota 1K }
    domain here.example remote { smart-host [127.0.0.1]:1 }
}
E

# --- Badmail has its limits; what says why goes with what it is about ---

mkdir -p l/Badmail
for i in 1 2 3; do
	id=l/Badmail/20260101T000000-0000$i-0badcafe
	awk 'BEGIN { while (n++ < 6000) printf "x" }' >$id.eml
	echo why >$id.txt
done
cp $id.eml l/Badmail/somebody.else
start_server conf
use local
wait_for '[ "$(ls l/Badmail | wc -l)" -le 3 ]'
is "$(ls l/Badmail | tr '\n' ' ')" '20260101T000000-00003-0badcafe.eml 20260101T000000-00003-0badcafe.txt somebody.else '
is "$(grep -c 'Badmail/.* is removed: ' server.log)" 4
ok 'the size of Badmail'

# --- letters ---

{
	printf '%s\n' 'EHLO x' 'MAIL FROM:<s@here.example>' 'RCPT TO:<a@local.example>' DATA 'Subject: local' ''
	awk 'BEGIN { while (n++ < 100) print "larger than the quota" }'
	printf '%s\n' . QUIT
} | say >/dev/null
use s
letter dead a </dev/null
rcpt=NOTIFY=FAILURE letter dead b </dev/null
rcpt=NOTIFY=NEVER letter dead c </dev/null
letter grey a </dev/null
letter doubt a </dev/null
letter null a b </dev/null
sed '/null.example/,$!b' letters | awk '/^MAIL/ { line = $0; next } line != "" { print /null.example/ ? "MAIL FROM:<>" : line; line = "" } { print }' >letters.null
{ echo EHLO x; cat letters.null; echo QUIT; } | say >letters.said
is "$(grep -c '^250 2.6.0' letters.said)" 6

tries() { grep -c -- '^- destination=dead.example ' server.log; }
backoff() { grep -- '^- destination=dead.example ' server.log | tail -n 1 | sed 's/.*seconds=\([0-9]*\) .*/\1/'; }
# tried N LEAST MOST: it was, so often in all, and comes next after so many seconds.
tried() {
	tries_want=$1
	wait_for '[ "$(tries)" -ge $tries_want ]'
	is "$(tries)" $1
	[ "$(backoff)" -ge "$2" ] && [ "$(backoff)" -le "$3" ] || fail "try $1: the next one is in $(backoff) s"
}

# --- the null sender: Badmail, with what was said ---

wait_for 'ls m/Badmail/*.eml >/dev/null 2>&1'
is "$(ls m/Badmail | wc -l | tr -d ' ')" 2
for i in 'x-sender: <>' 'x-rejected: a@null.example' 'x-accepted: b@null.example' 'Subject: null'; do grep -q "^$i.\$" m/Badmail/*.eml || fail "Badmail: no $i"; done
for i in 'it could not be delivered, and has no sender' '550 5.1.1 nobody' '> RCPT TO:<a@null.example>' '< 550 5.1.1 nobody'; do
	grep -q "$i" m/Badmail/*.txt || fail "Badmail: not said: $i"
done
ls m/Queue/*.txt >before 2>/dev/null || :
ok 'Badmail'

# --- a server that is not there ---

tried 1 50 60
at 20
at 40
tried 1 50 60
at 61
tried 2 50 60
at 121
tried 3 50 60
at 181
tried 4 800 900
is "$(grep -c 'doubtful' server.log) $(grep -c 'relayed .*@doubt.example' server.log)" '1 0' 'the doubtful one'
is "$(grep -c 'deferred seconds=[89][0-9][0-9] .*grey 1' server.log)" 1 'the greylisted one'
at 901
wait_for 'grep -q "deferred seconds=1[78][0-9][0-9] .*grey 2" server.log'
tried 4 800 900
wait_for 'grep -q "relayed .*@doubt.example" server.log'
at 1081
tried 5 1700 1800
at 2701
wait_for 'grep -q "deferred seconds=3[56][0-9][0-9] .*grey 3" server.log'
at 2881
tried 6 3500 3600
is "$(find m/Drop -name '*.eml')" '' 'nobody was told so far'

# The schedule is that of the files: a restart changes nothing.
stop_server
touch now
is "$(find m/Queue -name '*.eml' -newer now | wc -l | tr -d ' ')" 4 'files with a time to come'
start_server conf
use s
at 6200
sleep 0.2 2>/dev/null || sleep 1
is "$(grep -c 'destination=dead\|relayed' server.log)" 0 'tried before its time'
at 6301
wait_for 'grep -q "relayed .*<a@grey.example>" server.log'
at 6481
tried 1 3500 3600
at 10081
tried 2 3500 3600
ok 'the schedule'

# Now, says the operator.
kill -USR1 "$(cat server.pid)"
tried 3 3500 3600
ok SIGUSR1

# --- told of the delay, once ---

reports() { grep -l "^Action: $1" $2 2>/dev/null | wc -l | tr -d ' '; }
at 14500
wait_for '[ "$(reports delayed "m/Drop/*")" -ge 1 ]'
at 18200
at 40000
is "$(reports delayed 'm/Drop/*')" 1 'reports of the delay'
report=$(grep -l '^Action: delayed' m/Drop/*)
for i in 'x-sender: <>' 'x-receiver: s@here.example' 'Final-Recipient: rfc822;a@dead.example' 'Status: 4..*' 'Will-Retry-Until: .*' 'Subject: dead'; do
	grep -q "^$i.\$" "$report" || { cat "$report" >&2; fail "the report of a delay lacks: $i"; }
done
! grep -q '[bc]@dead.example\|x-receiver: ops' "$report" || fail 'the report of a delay has too much'
is "$(sed -n 's/^x-\([a-z]*\): \([abc]\)@dead.*/\1 \2/p' m/Queue/*.eml | sort | tr '\n' ' ')" 'notified a receiver b receiver c '
stop_server
is "$(find m/Queue -name '*.eml' -newer now | wc -l | tr -d ' ')" 3 'files with a time to come'
start_server conf
use s
at 100000
wait_for '[ "$(tries)" -ge 1 ]'
is "$(reports delayed 'm/Drop/*')" 1 'reports of the delay'
is "$(find m/Drop -name '*.eml' | wc -l | tr -d ' ')" 1
ok 'the delay'

# --- and of the end ---

at 172700
is "$(ls m/Queue/*.eml | wc -l | tr -d ' ')" 3
at 172900
wait_for '[ -z "$(ls m/Queue)" ]'
at 300000
is "$(reports delayed 'm/Drop/*') $(reports failed 'm/Drop/*')" '1 2' 'reports'
for i in a b; do
	report=$(grep -l "^Final-Recipient: rfc822;$i@dead.example" $(grep -l '^Action: failed' m/Drop/*)) || fail "no report about $i"
	for j in 'x-receiver: s@here.example' 'x-receiver: ops@here.example' 'Status: 4.4.7'; do
		grep -q "^$j.\$" "$report" || { cat "$report" >&2; fail "the report of the end lacks: $j"; }
	done
done
! grep -q 'c@dead.example' m/Drop/* || fail 'there is a report that nobody asked for'
is "$(ls m/Badmail | wc -l | tr -d ' ')" 2
ok 'the end'

# --- a Drop folder that is too small, all that time ---

grep -q 'deferred .*<a@local.example>' server.log.old
is "$(reports delayed 'l/Queue/*.eml') $(reports failed 'l/Queue/*.eml')" '1 1' 'reports about local mail'
for i in 'x-receiver: s@here.example' 'Final-Recipient: rfc822;a@local.example' 'Status: 4.4.7' 'Action: failed'; do
	grep -q "^$i.\$" l/Queue/*.eml || fail "the report of local mail lacks: $i"
done
is "$(ls l/Badmail)" somebody.else 'what was too old in Badmail'
is "$(cat null.1.t.rc doubt.[12].t.rc grey.[1234].t.rc | tr '\n' ' ')" '0 0 0 0 0 0 0 '
stop_server
ok 'local mail'
