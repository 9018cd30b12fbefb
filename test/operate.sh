#!/bin/sh
# Goal: an operator sees and moves everything by the sub-commands, whether the server runs or not.
# - status, sessions, queue, badmail: lists, one message with its timeline, JSON; by ID, domain, sender, all;
# - retry, hold, release, fail, remove, resend do what they say, with the running server and on the folders alone;
# - start, stop, pause, resume: the states and what is true in them, remembered after a restart; reload, shutdown;
# - exit codes; nothing works on what is on its way; a second server's socket is not taken.
. "${TEST:-$(dirname "$0")}/lib.sh"

own_nc
: >people; chmod 600 people
conf() {
	cat >smtpd.conf <<E
resolver 127.0.0.1:1
server "main" {
    general { listen 127.0.0.1:0; hostname main.example; mailroot main }
    access { relay only 127.0.0.1; passwords people; clear-text-passwords yes }
    delivery { $1; glitch-retry 1h 3 }
    domain main.example default
    domain held.example remote { hold yes }
    domain atrn.example remote { hold yes; hold-accounts ann bob }
}
server "next hop" {
    general { listen 127.0.0.1:0; hostname hop.example; mailroot hop; start no }
    access { relay only 127.0.0.1 }
    domain away.example default
    domain far.example alias
}
E
}
op()     { "$SMTPD" -f smtpd.conf "$@" 2>op.err; }
# has WHAT PATTERN: the last answer has a line like it.
has()    { grep -q -e "$2" said || { cat said op.err >&2; fail "$1: no line like: $2"; }; }
asks()   { op "$@" >said; op_rc=$?; }
fine()   { asks "$@"; [ $op_rc = 0 ] || { cat said op.err >&2; fail "status $op_rc: $*"; }; }
wrong()  { want=$1; shift; asks "$@"; is $op_rc "$want" "status of: $*"; }
send()   { PORT=$MAIN; printf '%s\n' 'HELO x' "MAIL FROM:<$1>" "RCPT TO:<$2>" ${3:+"RCPT TO:<$3>" "RCPT TO:<$4>"} DATA "Subject: to $2" '' . QUIT | say >sent
	ID=$(sed -n 's/^250 2.6.0 \(.*\) queued$/\1/p' sent); [ -n "$ID" ] || fail "not taken: $(tail -n 2 sent)"; }

# --- nobody runs ---

conf 'smart-host [127.0.0.1]:1'
wrong 69 status;            grep -q "^smtpd: \"main\" is not seen from here: there is no main in $PWD; ask" op.err || fail "$(cat op.err)"
mkdir main hop
fine status;                has 'without a server' '^"main" is not running$'
fine queue;                 has 'without a server' '^Queue is empty$'
fine badmail list;          has 'without a server' '^Badmail is empty$'
said_err() { grep -q -e "$2" op.err || { cat op.err >&2; fail "$1: nothing is said like: $2"; }; }
wrong 64 queue show;        wrong 64 status a b; wrong 64 nonsense; wrong 64 reload a
wrong 64 queue throw all;   said_err 'a wrong word' '    queue hold ID, DOMAIN, SENDER or all$'; said_err 'a wrong word' '    queue \[ID'
wrong 64 status a;          said_err 'a word too many' '    status metrics$'; is "$(grep -c '    ' op.err)" 2 'ways to say status'
wrong 64 status metrics --json; said_err 'without JSON' "Prometheus' format is all it has"
wrong 1 queue frob;         said_err 'no message' "no message has the ID or sender 'frob', or a recipient in such a domain"
wrong 69 sessions;          said_err 'nobody runs' "start it with 'smtpd -f FILE'"; wrong 69 stop all
wrong 77 status -S nobody
wrong 1 queue show nothing
"$SMTPD" -f absent.conf queue >said 2>&1; is $? 78 'without a configuration'

# --- a server runs ---

start_server
MAIN=$(port_of main) HOP=$(port_of 'next hop')
conf "smart-host [127.0.0.1]:$HOP"
fine reload
grep -q "configuration was read again" op.err || fail "reload says nothing"
fine status;                has status '^"main" is running$'; has status '^"next hop" is stopped$'
fine status -S main;        is "$(grep -c '^"' said)" 1 'one server alone'
fine status --json;         has JSON '^{"server":"main","state":"running",.*"queue":0,.*}$'
PORT=$MAIN
[ -e main/.control ] || fail 'no control socket'

send a@main.example u@away.example; ONE=$ID
send b@main.example u@far.example;  TWO=$ID
send '' u@away.example;             THREE=$ID
wait_for 'grep -q "destination=\* .* waiting=" server.log'
fine queue;                 has list "^$ONE .* in [0-9]*m$"; has list '    from <b@main.example>'; has list '       421 4.3.2 hop.example takes'
is "$(grep -c '^2' said)" 3 'messages in the list'
fine queue list far.example;    is "$(grep -c '^2' said)" 1 'by domain';  has 'by domain' "^$TWO "
fine queue list a@main.example; is "$(grep -c '^2' said)" 1 'by sender';  has 'by sender' "^$ONE "
fine queue list '<>';           is "$(grep -c '^2' said)" 1 'by null sender'; has 'null sender' "^$THREE "
fine queue list "$TWO";         is "$(grep -c '^2' said)" 1 'by ID'
fine queue show "$ONE"
for i in "^$ONE of \"main\"" '    to <u@away.example>: open$' '  it arrived, ' '  it was tried, for the last time so far$' '  it is tried again$' '  its sender is told of the delay$' \
	'  it is given up and returned$' '^The last attempt$' '    < 421 4.3.2 hop.example' '    Subject: to u@away.example'; do has show "$i"; done
fine queue --json;          is "$(grep -c '^{"server":"main","id":"[^"]*","state":"[^"]*","size":.*,"recipients":\[{.*}\]}$' said)" 3 'lines of JSON'
fine queue domains;         has domains '^\*: 3 waiting, 0 connected, next attempt in'

# More than is read in one step, in the order of arrival.
mkdir -p hop/Badmail
awk 'BEGIN { for (i = 1200; i-- > 0; ) printf "hop/Badmail/20260101T000000-%05d-0000000a.eml\n", i }' | xargs touch
fine status -S 'next hop';  has many '^    Badmail      1200$'
fine badmail -S 'next hop'; is "$(grep -c ' dead$' said)" 1200 'listed ones'
sed -n 's/ .* dead$//p' said | sort -c || fail 'not in the order of arrival'
rm hop/Badmail/*.eml

# --- acts ---

fine queue hold "$TWO";     has hold '^1 message held$'; [ -e "main/Queue/$TWO.held" ] || fail 'it is not held on disk'
fine queue hold a@main.example
fine queue;                 is "$(grep -c ' held$' said)" 2 'held ones'
fine status;                has status '^    held         2$'
wrong 1 queue hold "$TWO"
wrong 1 queue retry "$TWO"; has 'retry of what is held' '^0 messages due now$'; said_err 'what is held' "1 held; 'queue release' lets such mail go$"
fine queue fail "$TWO"
wait_for 'ls main/Drop | grep -q .'
grep -q '5.3.0 an operator of main.example has given it up' main/Drop/*.eml || fail 'the report does not say who did it'
fine queue fail '<>';       has 'fail of what has no sender' '^1 message given up$'
wait_for '[ -e "main/Badmail/$THREE.eml" ]'
fine badmail;               has badmail '^    it could not be delivered, and has no sender to whom it could be returned\.$'; has badmail '^    to <u@away.example>: failed$'
fine badmail --json;        has badmail '"state":"failed".*"fault":"it could not be delivered, and has no sender'
rm main/Badmail/*
send '' u@away.example;     THREE=$ID
fine queue remove '<>';     has remove '^1 message removed$'
is "$(ls main/Queue | grep -c "$THREE")" 0 'files of what was removed'
fine stop main
fine queue retry all;       said_err 'retry of one that stands still' "1 held; 'queue"
fine queue release all;     has release '^1 message released$'; said_err 'one that stands still' '1 of them will be tried when the server is started$'
fine start main
wait_for 'grep -q "destination=\* .*waiting=1 " server.log'
grep -q 'to=<u@away.example> host=.*relayed' server.log && fail 'it went to a server that stands still'
fine start 'next hop';      has start '^"next hop" is running$'
fine queue retry away.example; has retry '^1 message due now$'
wait_for '[ -n "$(ls hop/Drop 2>/dev/null)" ] && ! ls main/Queue | grep -q eml'
fine queue;                 has 'the end' '^Queue is empty$'

# What is held for its host goes when the operator says so.
send a@main.example u@held.example
wait_for 'op queue domains | grep -q "^held.example: 1 waiting to be asked for, 0 connected$"'
fine queue;                 has 'waits for its host' '  to be asked for$'
wrong 1 queue retry held.example; has retry '^0 messages due now$'
grep -q "1 held; 'queue release' lets such mail go" op.err || fail 'it does not say what to do'
fine queue show "$ID";      has show '  its sender is told of the delay$'; ! grep -q 'tried' said || fail 'a try is promised, or told of'
has 'who must ask' '^       held until its host asks for it by ETRN$'; has 'who must ask' ' it waits until its host asks for it by ETRN$'
fine queue show "$ID" --json; has 'a timeline' '"timeline":\[{"at":[0-9]*,"event":"it arrived, [0-9]*s ago"},{"at":[0-9]*,"event":"it waits until .*"it is given up and returned"}\],"note":'
fine queue release held.example; has 'release of a domain' '^1 message released$'
wait_for 'grep -q "destination=held.example .* reason=" server.log'
fine queue remove all
# Each recipient has his own reason: one waits for his host, one for an account, one for a host that does not answer.
fine stop 'next hop'
send a@main.example u@held.example v@atrn.example w@away.example; BOTH=$ID
wait_for 'grep -q "^<\*>" main/Queue/$BOTH.txt'
reasons() { fine queue list "$BOTH"; is "$(sed -n '/^    to /,$p' said | tr -d '\n')" "    to <u@held.example>       held until its host asks for it by ETRN    to <v@atrn.example>       held until one of these asks for it by ATRN: ann bob    to <w@away.example>       421 4.3.2 hop.example takes no connections now" "$1"; }
reasons 'the reasons'
fine queue show "$BOTH";    has mixed ' it waits until one of these asks for it by ATRN: ann bob$'; has mixed ' it is tried again$'
SMTPD_CONF=smtpd.conf "$SMTPD" mailq >said; is "$(grep -c '421 4.3.2' said)" 1 'reasons in mailq'
is "$(sed -n '/421 4.3.2/,$p' said | grep -c 'held.example\|atrn.example')" 0 'those whom it is not about'
fine start 'next hop';      fine queue retry "$BOTH"
wait_for '[ "$(ls hop/Drop | wc -l)" -ge 2 ]'
fine queue remove "$BOTH"

# --- connections ---

mkfifo open; spawn client sh -c "$own 127.0.0.1 $MAIN <open"; exec 8>open
printf 'HELO client.example\r\nMAIL FROM:<s@main.example>\r\n' >&8
wait_for 'grep -q "sender ok" client.log'
fine sessions;              has sessions '^#[0-9]* *in  127.0.0.1:[0-9]*  for '; has sessions 'MAIL client.example, from <s@main.example> to 0'
fine sessions --json;       has sessions '^{"number":[0-9]*,"server":"main","direction":"in",.*"doing":"MAIL client.example,'
N=$(sed -n 's/^{"number":\([0-9]*\),.*MAIL client.example,.*/\1/p' said)

# Paused: this one goes on, nobody new; and it is remembered.
fine pause main;            has pause '^"main" is paused$'
PORT=$MAIN; like "$(echo QUIT | say)" '421 4.3.2 *' 'a newcomer while paused'
printf 'RCPT TO:<u@away.example>\r\nDATA\r\n\r\n.\r\n' >&8
wait_for 'grep -q "250 2.6.0" client.log'
wait_for '[ "$(ls hop/Drop | wc -l)" -ge 3 ]'
fine sessions end "$N";     wait_for 'grep -q "^421 4.3.2 main.example ends the session: an operator wants it so" client.log'
wrong 1 sessions end 999999; said_err 'no such connection' "there is no connection 999999; 'smtpd sessions' numbers them"
exec 8>&-
fine stop all;              has stop '^"main" is stopped$'
fine pause all;             is "$(cat op.err)" '' 'pause of what is stopped'
fine resume all;            is "$(cat op.err)" '' 'resume of what is stopped'; has resume '^"main" is stopped$'
wrong 1 resume main;        wrong 1 pause main
wrong 1 start nobody
fine start main
mkfifo idle; spawn idler sh -c "$own 127.0.0.1 $MAIN <idle"; exec 9>idle
wait_for 'grep -q "^220 " idler.log'
fine stop main;             wait_for 'grep -q "^421 4.3.2 main.example stops now and closes the channel" idler.log'
exec 9>&-
fine start main;            fine pause main
fine shutdown;              has shutdown '^the server ends$'
wait_for '[ -e server.rc ]'; end server TERM 1; is "$rc" 0 'status of the server'
[ ! -e main/.control ] || fail 'the socket is still there'

start_server
MAIN=$(port_of main)
grep -q '^smtpd: "main" is paused$' server.log || fail 'that it was paused is not remembered'
grep -q '^smtpd: "next hop" is stopped$' server.log || fail 'that it was stopped is not remembered'
fine resume main;           has resume '^"main" is running$'
send a@main.example u@away.example; ONE=$ID
send a@main.example v@far.example;  TWO=$ID
wait_for 'grep -q "destination=\* .* waiting=" server.log'

# One that cannot start makes a reload fail, and a start of all.
echo 'server no { general { listen 127.0.0.1:0; mailroot smtpd.conf/no }; domain no.example default }' >>smtpd.conf
wrong 69 reload;            said_err reload '"no"'
wrong 69 start all;         has 'the others' '^"main" is running$'
sed -i.old '/^server no /d' smtpd.conf; fine reload

# A second program with the same socket, and the same mailroot, is told off and harms nobody.
fine start 'next hop'
"$SMTPD" -f smtpd.conf $ME >second 2>&1; is $? 69 'a second server'
fine status;                has 'after the second' '^"main" is running$'
stop_server

# --- on the folders alone ---

fine status;                has 'alone' '^"main" is not running$'; has alone '^    Queue        2, the oldest'
fine queue show "$ONE";     has alone "^$ONE of"
fine queue hold "$ONE";     [ -e "main/Queue/$ONE.held" ] || fail 'it is not held'
fine queue release "$ONE";  fine queue remove "$ONE"
fine queue fail "$TWO";     is "$(ls main/Queue/*.eml 2>/dev/null | wc -l | tr -d ' ')" 0 'in Queue after both'
[ "$(ls main/Drop | wc -l)" -ge 2 ] || fail 'the report is not there'

# Badmail: why, and again.
mkdir -p main/Pickup
printf 'To: u@away.example\n\nno sender\n' >x && mv x main/Pickup/bad.eml
start_server
wait_for 'ls main/Badmail | grep -q eml'
BAD=$(ls main/Badmail | sed -n 's/\.eml$//p')
fine badmail;               has badmail "^$BAD .* dead$"; has badmail '^    it has no From field'
fine badmail show "$BAD";   has badmail '^Why it is here$'; has badmail 'This message was set aside: '
printf 'x-sender: s@main.example\nx-receiver: u@main.example\nFrom: s@main.example\n\nmended\n' >"main/Badmail/$BAD.eml"
fine badmail resend all;    has resend '^1 message moved to Pickup$'
wait_for 'grep -q "^mended" main/Drop/*.eml'
is "$(ls main/Badmail)" '' 'left in Badmail'
stop_server
ok
