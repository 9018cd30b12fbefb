#!/bin/sh
# peoplememory: memory is refused once, at any point of the way from a group of the directory to its members. Nobody is
# left out, nobody has it twice, and nobody is told that it failed; or the client hears at once that he must come again.
# shellcheck disable=SC2012,SC2046
. "${TEST:-$(dirname "$0")}/lib.sh"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac
tools directory

# entry CN CLASS ATTRIBUTE VALUE ...: in LDIF
entry() {
	printf '%s\n' "dn: cn=$1,dc=example,dc=org" "objectClass: $2"
	shift 2
	while [ $# -gt 0 ]; do echo "$1: $2"; shift 2; done
	echo
}
{
	entry Jo user mail jo@example.org mail joanna@example.org
	entry Al contact mail al@example.org targetAddress alan@example.org
	entry Alan user mail alan@example.org
	entry Staff group mail staff@example.org managedBy cn=Jo,dc=example,dc=org member cn=Jo,dc=example,dc=org member cn=Team,dc=example,dc=org
	entry Team group mail team@example.org member cn=Al,dc=example,dc=org member cn=Staff,dc=example,dc=org
} >people
spawn directory "$directory" people
wait_for 'grep -q "listening on" directory.log'
cat >conf <<E
resolver 127.0.0.1:1
server s {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot m }
    delivery { glitch-retry 1s 3; retry 1s; local-retry 1s }
    ldap-routing {
	server ldap://$(sed -n 's/.*listening on //p' directory.log); base dc=example,dc=org
	filter "(mail=%s)"; cache 1s 1s; senders yes
    }
    domain example.org default
}
E
FAULT_FILE=$T/fault; export FAULT_FILE
: >fault
start_server conf
refuse() { echo "memory $1 ENOMEM" >fault.new; mv fault.new fault; }
letter() {
	printf '%s\n' 'EHLO x' 'MAIL FROM:<joanna@example.org>' 'RCPT TO:<staff@example.org>' DATA "Subject: $1." '' x . QUIT | say >said
}
# The ones before it may still be on their way.
i=0
: >taken
while [ $i -lt 300 ]; do
	i=$((i + 1))
	refuse $i
	letter $i
	[ ! -e server.rc ] || fail "the server has ended when memory was refused at $i"
	if ! grep -q '^4' said && grep -q '^250 2.6.0' said; then echo $i >>taken; else cat said >>refused; fi
done
: >fault
wait_for '[ -z "$(ls m/Queue m/SortTemp | grep eml)" ]'
grep -q '^451 4.4.3' refused || fail 'no question has failed'
[ "$(wc -l <taken)" -gt 150 ] || fail 'too few were taken'
while read -r i; do
	is "$(cat $(grep -l "^Subject: $i\." m/Drop/*.eml) </dev/null | tr -d '\r' | sed -n 's/^x-receiver: //p' | sort | tr '\n' ' ')" \
	    'alan@example.org jo@example.org ' "without memory at $i"
done <taken
ok 'messages'
