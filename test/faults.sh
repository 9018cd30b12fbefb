#!/bin/sh
# faults: when the disk or the memory fails, exactly the message that it failed is answered 451, 452 or 421, nothing of it
# is ever seen, and the server goes on. What was answered 250 arrives.
. "${TEST:-$(dirname "$0")}/lib.sh"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac

cat >conf <<'E'
resolver 127.0.0.1:1                            # so mail for another domain waits
server s {
	general { listen 127.0.0.1:0; hostname mail.here.example; mailroot m }
	delivery { local-retry 1h }
	domain here.example default
	domain far.example remote { allow-relay yes }
}
E
FAULT_FILE=$T/fault CLOCK_FILE=$T/clock; export FAULT_FILE CLOCK_FILE
ahead=0
fault() { echo "$*" >fault.new; mv fault.new fault; }
# Two hours pass; a client wakes the server.
later() { ahead=$((ahead + 7200)); echo $ahead >clock.new; mv clock.new clock; echo QUIT | say >/dev/null; }

# letters NAME ...: a connection that brings them all; prints how each was answered, and why it was over.
letters() {
	{
		echo EHLO client.example
		for i; do
			printf '%s\n' 'MAIL FROM:<a@here.example>' 'RCPT TO:<b@here.example>' 'DATA' "Subject: $i" '' "this is $i" .
		done
		echo QUIT
	} | say | awk '/^250 2\.6\.0/ || /^4/ { print $1 " " $2 }' | tr '\n' ' '
}
# What lies in Drop, once nothing is on its way any more.
drop() {
	poll '[ -z "$(ls m/Queue)" ]' || ls m/Queue
	find m/Drop -name '*.eml' -exec cat {} + | tr -d '\r' | sed -n 's/^this is //p' | sort | tr '\n' ' '
	rm -f m/Drop/*
}

fault
start_server conf

# The second of three, whatever it is that fails: its file is made, its envelope and its content written, it is synced,
# renamed, the folder synced.
for i in 'open 2' 'write 3' 'write 4' 'sync 3' 'rename 3' 'sync 4'; do
	for error in EIO:451:4.3.0 ENOSPC:452:4.3.1 EDQUOT:452:4.3.1; do
		fault "$i ${error%%:*}"
		is "$(letters one two three)" "250 2.6.0 $(echo "${error#*:}" | tr : ' ') 250 2.6.0 " "$i ${error%%:*}"
	done
	is "$(drop)" 'one one one three three three ' "Drop after $i"
	is "$(ls m/SortTemp)" '' "SortTemp after $i"
	grep -q 'the disk failed: I[^ ]*/[^ ]* error' server.log || [ "${i%% *}" != sync ] ||
		fail 'the log says nothing'
done
ok 'the disk fails once'

for i in 'open 0' 'write 0' 'sync 0' 'rename 0'; do
	fault "$i EIO"
	is "$(letters one two)" '451 4.3.0 451 4.3.0 ' "$i"
	is "$(drop)" '' "Drop after $i"
done
fault space 0 ENOSPC
is "$(letters one two)" '452 4.3.1 452 4.3.1 '
like "$(printf '%s\n' 'EHLO x' 'MAIL FROM:<a@here.example> SIZE=100' QUIT | say | tail -n 2 | head -n 1)" '452 4.3.1 *'
fault
is "$(letters one two)$(drop)" '250 2.6.0 250 2.6.0 one two '
ok 'the disk fails for some time'

# Delivery is none of the client's business; it is tried again.
n=0
for i in 'rename 2' 'open 2' 'write 3' 'write 5' 'write 6' 'sync 3' 'sync 4' 'sync 5'; do
	fault "$i EIO"
	printf '%s\n' 'EHLO x' 'MAIL FROM:<a@here.example>' 'RCPT TO:<b@here.example>' 'RCPT TO:<c@here.example>' \
	    'RCPT TO:<d@far.example>' DATA '' "this is $i" . QUIT | say >answers
	grep -q '^250 2.6.0' answers || fail "not accepted with $i"
	n=$((n + 1))
	wait_for "[ \"\$(grep -cE '(deferred seconds=3600 .*|cannot be marked: )I[^ ]*/[^ ]* error' server.log)\" = $n ]"
	later
	wait_for 'grep -q "x-accepted: c@here" m/Queue/*'
	is "$(sed -n 's/^x-receiver: \([bcd]\)@.*/\1/p' m/Drop/* | tr -d '\n')" bc "in Drop with $i"
	is "$(sed -n 's/^x-receiver: \([bcd]\)@.*/\1/p' m/Queue/* | tr -d '\n')" d "in Queue with $i"
	rm m/Queue/* m/Drop/*
done
ok 'delivery fails'

# --- memory: each call in turn ---

# All that one session can do, and a message of $1.
session() {
	printf '%s\n' 'EHLO client.example' NOOP HELP 'VRFY b' 'EXPN b' \
	    'MAIL FROM:<a@here.example> RET=HDRS ENVID=x BODY=8BITMIME' \
	    'RCPT TO:<b@here.example> NOTIFY=NEVER ORCPT=rfc822;x' 'RCPT TO:<c@here.example>' 'RCPT TO:<d@here.example>' \
	    'RCPT TO:<e@here.example>' 'RCPT TO:<f@here.example>' 'RSET' 'MAIL FROM:<a@here.example>' 'RCPT TO:<b@here.example>' \
	    'BDAT 6' 'this' 'RSET' 'MAIL FROM:<a@here.example>' 'RCPT TO:<b@here.example>' DATA '' "this is $1" . QUIT |
		say || fail "the session hangs with $1"
}
last=60
fault memory $last KILL
session none >answers
[ ! -e server.rc ] || fail 'there are more calls of memory than are tried below'
drop >/dev/null
i=0 yes='' maybe=' '
while [ $i -lt $last ]; do
	i=$((i + 1))
	fault memory $i ENOMEM
	session $i >answers
	[ ! -e server.rc ] || fail "the server ended when memory was refused at $i"
	if grep -q '^250 2.6.0' answers; then
		yes="$yes$i "
	elif ! grep -q '^4' answers; then
		maybe="$maybe$i "                       # without memory there may be no reply at all
	fi
done
fault
is "$(letters last)" '250 2.6.0 '
later                                                   # deliveries, too, had no memory
is "$(for i in $(drop); do case $maybe in *" $i "*) ;; *) echo $i ;; esac; done | tr '\n' ' ')" \
    "$(printf '%s\n' $yes last | sort | tr '\n' ' ')"
stop_server
ok 'memory fails in a session'

# At the start it says so, and ends; what is read of the configuration is read with -n, which is quick.
unset FAULT_FILE
i=0 rc=1
until [ $rc = 0 ]; do
	i=$((i + 1))
	[ $i -lt 1000 ] || fail 'it never starts'
	rc=0
	FAULT_MEMORY=$i "$SMTPD" -f conf -n 2>said || rc=$?
	case $rc:$(cat said) in
	0: | 71:*'out of memory'* | 78:*'too large'*) ;;
	*)  fail "status $rc when memory was refused at $i: $(cat said)" ;;
	esac
done
first=$i
while [ $i -lt $((first + 8)) ]; do
	FAULT_MEMORY=$i; export FAULT_MEMORY
	i=$((i + 1))
	SERVER=start$i
	spawn $SERVER "$SMTPD" -f conf $ME
	wait_for '[ -e $SERVER.rc ] || grep -q listening $SERVER.log'
	PORT=$(announced '')
	[ -z "$PORT" ] || poll '[ -e $SERVER.rc ] || [ -n "$(letters one 2>/dev/null)" ]'
	if [ -e $SERVER.rc ]; then
		end $SERVER TERM 5
		like "$rc:$(cat $SERVER.log)" '[67]?:*out of memory*' "memory refused at $i"
	else
		stop_server
	fi
done
ok 'memory fails at the start'
