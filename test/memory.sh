#!/bin/sh
# Goal: when memory is out, it is one client who is told so and sent away, at any point of his session; the server goes on.
. "${TEST:-$(dirname "$0")}/lib.sh"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac

FAULT_FILE=$T/fault; export FAULT_FILE
: >fault
start_server
# Each call for memory is refused in turn, until a session no longer comes so far.
i=0
until grep -q '^221 ' answers 2>/dev/null && ! grep -q '^4' answers; do
	i=$((i + 1))
	[ $i -lt 100 ] || fail 'a session needs memory a hundred times'
	echo "memory $i ENOMEM" >fault.new; mv fault.new fault
	printf '%s\n' 'EHLO client.example' 'MAIL FROM:<smith@example.com> RET=HDRS' 'RCPT TO:<jones@example.org> NOTIFY=NEVER' \
		RSET QUIT | say >answers
	[ ! -e server.rc ] || fail "the server has ended when memory was refused at $i"
	cat answers >>all
done
grep -q -x '421 4.3.0 Out of memory; come again later' all || fail 'nobody was told'
grep -q '^220 .*' all || fail 'nobody was greeted'
: >fault
is "$(echo NOOP | say | tail -n 1)" '250 2.0.0 OK' 'afterwards'
ok "$i calls"

# Who waits for each reply is never left without one: he has it, or the end of the connection.
own_nc
trap '' PIPE				# the end may come while we speak
mkfifo in
i=0
until [ "${replies:-0}" -eq 6 ] && ! grep -q '^[45]' client.log; do
	i=$((i + 1))
	[ $i -lt 100 ] || fail 'a message needs memory a hundred times'
	: >fault
	spawn client sh -c "$own 127.0.0.1 $PORT <in"; exec 8>in
	wait_for 'grep -q "^220" client.log'
	echo "memory $i ENOMEM" >fault.new; mv fault.new fault
	replies=1
	for line in 'EHLO x' 'MAIL FROM:<smith@example.com>' 'RCPT TO:<jones>' DATA "$(printf 'x\r\n.')"; do
		[ ! -e client.rc ] || break
		printf '%s\r\n' "$line" >&8
		wait_for '[ -e client.rc ] || [ "$(grep -c "^[2-5][0-9][0-9] " client.log)" -gt $replies ]'
		replies=$(grep -c '^[2-5][0-9][0-9] ' client.log)
		! grep -q '^[45]' client.log || break
	done 2>/dev/null
	exec 8>&-
	wait_for '[ -e client.rc ]'
done
: >fault
ok "$i calls for a message"
