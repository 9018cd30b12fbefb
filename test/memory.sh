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
