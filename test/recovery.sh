#!/bin/sh
# recovery: a server that is killed, whatever the moment, has kept its word: what it answered 250 arrives, and once;
# what it did not answer arrives once or not at all; a file in Pickup is never lost and never doubled.
. "${TEST:-$(dirname "$0")}/lib.sh"

cat >conf <<'E'
server s {
	general { listen 127.0.0.1:0; hostname mail.here.example; mailroot m }
	domain here.example default
}
E

# letters NAME ...: a connection that brings them all; prints how each was answered.
letters() {
	{
		echo EHLO client.example
		for i; do
			printf '%s\n' 'MAIL FROM:<a@here.example>' 'RCPT TO:<b@here.example>' 'DATA' "Subject: $i" '' "this is $i" .
		done
		echo QUIT
	} | say | awk '/^250 2\.6\.0/ || /^4/ { print $1 }' | tr '\n' ' '
}
drop() {
	wait_for '[ -z "$(ls m/Queue m/SortTemp | grep -v :)" ]'
	find m/Drop -name '*.eml' -exec cat {} + | tr -d '\r' | sed -n 's/^this is //p' | sort | tr '\n' ' '
}

# A client that says what is written to descriptor 8.
hold() {
	if [ -n "${NC-}" ]; then nc=$NC; else own_nc; nc=$own; fi
	mkfifo "$1.in"
	spawn "$1" $SH -c 'exec $0 "$1" "$2" <"$3"' "$nc" "$HOST" "$PORT" "$1.in"
	exec 8>"$1.in"
}

# --- in the middle of a message ---

for i in DATA 'BDAT 1000'; do
	start_server conf
	is "$(letters one two)" '250 250 '
	hold half
	printf '%s\r\n' 'EHLO client.example' 'MAIL FROM:<a@here.example>' 'RCPT TO:<b@here.example>' "$i" \
	    'Subject: half' '' 'this is half' >&8
	wait_for 'grep -q "this is half" m/SortTemp/*.eml 2>/dev/null'
	kill_server
	exec 8>&-
	end half TERM 5
	rm half.in
	is "$(ls m/SortTemp | grep -c 'eml$')" 1
	start_server conf
	is "$(drop)" 'one two '
	is "$(grep -c 'was not complete, not acknowledged, and is removed' server.log)" 1
	is "$(letters three)$(drop)" '250 one three two '
	stop_server
	rm m/Drop/*
done
ok 'killed in the middle of a message'

# --- at each step of a commit, for a file of Pickup and then for messages ---

case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'the rest needs test/smtpd-test' ;; esac

# killed MOMENT CLAIMS: killed there, and in its next life again, there or a bit later. CLAIMS: that are left by then.
killed() {
	printf 'From: a@here.example\nTo: b@here.example\n\nthis is file\n' >file
	touch -t 200001010000 file
	mv file m/Pickup/file
	FAULT="$1 KILL"; export FAULT
	start_server conf
	answers=$(letters one two 2>/dev/null)
	wait_for '[ -e server.rc ]'
	kill_server
	[ "$rc" -gt 128 ] || fail "it was not killed at $1"
	case $(ls m/SortTemp | grep -c 'claim$') in $2) ;; *) fail "claims after $1: $(ls m/SortTemp)" ;; esac
	spawn server "$SMTPD" -f conf $ME
	poll '[ -e server.rc ] || grep -q listening server.log'
	kill_server
	unset FAULT
	start_server conf
	arrived=$(drop)
	case $answers:$arrived in
	:'file ' | :'file one ' | '250 :file one ' | '250 :file one two ' | '250 250 :file one two ') ;;
	*)  fail "killed at $1: answers were $answers, arrived is $arrived" ;;
	esac
	is "$(ls m/Pickup)$(ls m/Badmail)" ''
	stop_server
	rm m/Drop/*
}
# The file: made, written, synced, renamed into Queue, folder synced; then renamed into Drop.
for i in 'open 1' 'write 2' 'sync 1' 'rename 1' 'sync 2'; do killed "$i" 1; done
killed 'rename 2' 0
# The first message, and the second; on a busy machine the file may come behind them.
for i in 'open 2' 'write 4' 'sync 3' 'rename 3' 'sync 4' 'rename 4' 'write 6' 'sync 6' 'rename 6'; do killed "$i" "[01]"; done
ok 'killed at each step'
