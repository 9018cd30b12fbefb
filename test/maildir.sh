#!/bin/sh
# maildir: delivery into one Maildir for all, or into one each; mail readers find in it what they expect. Killed at each
# act on the disk and started again, nothing is lost and nothing is there twice.
# shellcheck disable=SC2012,SC2046
. "${TEST:-$(dirname "$0")}/lib.sh"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac

who='jones smith o.brian'
cat >conf <<'E'
resolver 127.0.0.1:1
server one {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot one }
    delivery { local-retry 1s }
    domain example.org default { drop maildir:Mail; quota 5K }
}
server each {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot each }
    access { relay only 127.0.0.1 }
    delivery { local-retry 1s }
    domain example.org default { drop maildir:Mail/%u/Maildir; recipients people; aliases aliases; quota 4K }
    domain example.net alias
}
E
echo "$who" | tr ' ' '\n' >people
awk 'BEGIN { for (i = 0; i < 120; i++) print "user" i }' >>people
awk 'BEGIN { print "all: user0"; for (i = 1; i < 120; i++) print " , user" i }' >aliases
# mail NAME RCPT ...: a message of that name, with the lines of the file `lines' if there is one.
mail() {
	name=$1; shift
	{
		printf '%s\n' 'EHLO x' 'MAIL FROM:<a@far.example>'
		for i; do echo "RCPT TO:<$i>"; done
		printf '%s\n' DATA "Subject: $name" ''
		cat lines 2>/dev/null || echo x
		printf '%s\n' . QUIT
	} | say >said
}
text() { cat $(ls -d $1/new/* 2>/dev/null) /dev/null; }
files() { find "$1" -type f | grep -c / ; }

start_server conf
use one
mail first jones@example.org smith@example.org
is "$(ls one/Mail | tr '\n' ' ')" 'cur new tmp ' 'its folders'
is "$(text one/Mail | sed '/^Received/,/^Subject/d')" 'Return-Path: <a@far.example>
Delivered-To: jones@example.org
Delivered-To: smith@example.org

x'
is "$(text one/Mail | tr -d '\n' | tr -dc '\r')" '' 'a CR'
{ printf '%s\n' 'EHLO x' 'MAIL FROM:<> BODY=BINARYMIME' 'RCPT TO:<jones>' 'BDAT 17 LAST' 'Subject: b' '' 123 QUIT; } | say >said
grep -q '^250 2.6.0' said || fail 'binary content is not taken'
wait_for '[ "$(files one/Mail)" = 2 ]'
grep -q "^Subject: b$(printf '\r')" one/Mail/new/* || fail 'binary content was changed'
{ "$SMTPD" -f conf status && "$SMTPD" -f conf status --json; } >said || fail 'no status'
grep -i drop said && fail 'a folder is counted that has nothing in it'
# A quota is that of new and cur.
mv one/Mail/new/* one/Mail/cur/
awk 'BEGIN { for (i = 0; i < 4500; i++) printf "x" }' >one/Mail/cur/old
stop_server
start_server conf
use one
mail over jones
grep -q '^250 2.1.5' said || fail 'there is some room'
wait_for 'grep -q "deferred .*over its quota" server.log'
is "$(ls one/Mail/new one/Mail/tmp)" 'one/Mail/new:

one/Mail/tmp:' 'nothing'
mail full jones
grep -q '^452 4.2.2' said || fail 'there is no room'
rm one/Mail/cur/old
ok 'one for all'

use each
mail three 'Jones@example.net' smith o.brian@example.org
is "$(ls each/Mail | tr '\n' ' ')" 'jones o.brian smith '
is "$(text each/Mail/jones/Maildir | grep '^Delivered')" 'Delivered-To: Jones@example.net'
is "$(text each/Mail/smith/Maildir | grep '^Delivered')" 'Delivered-To: smith@example.org'
mail nobody '"../x"@example.org'
grep -q '^550 5.1.1' said || fail 'somebody who does not exist'
mail master postmaster
is "$(text each/Mail/postmaster/Maildir | grep '^Delivered')" 'Delivered-To: postmaster@example.org'
# The folder of one is full: only his waits.
awk 'BEGIN { for (i = 0; i < 3700; i++) printf "x" }' >each/Mail/jones/Maildir/cur/old
mv each/Mail/smith/Maildir/new/* each/Mail/smith/Maildir/cur/
stop_server
start_server conf
use each
mail some jones smith
wait_for 'grep -q "deferred .*to=<jones@example.org>" server.log'
is "$(text each/Mail/smith/Maildir | grep -c '^Subject: some')" 1
rm each/Mail/jones/Maildir/cur/old
stop_server                                     # it counts every now and then, and at the start
start_server conf
use each
wait_for '[ "$(text each/Mail/jones/Maildir | grep -c "^Subject: some")" = 1 ] && [ -z "$(ls each/Queue)" ]' 25
is "$(cat each/Mail/smith/Maildir/*/* | grep -c '^Subject: some')" 1 'it has come twice'
# More than fit into a turn.
mail list all
wait_for '[ "$(cat each/Mail/user*/Maildir/new/* 2>/dev/null | grep -c "^Subject: list")" = 120 ] && [ -z "$(ls each/Queue)" ]'
stop_server
ok 'one each'

# --- a reader ---

if command -v python3 >/dev/null; then
	printf '%s\n' 'From a line' 'grün' .. end >lines
	start_server conf
	use each
	mail reader smith
	stop_server
	rm lines
	python3 - >seen <<'E'
import mailbox
box = mailbox.Maildir('each/Mail/smith/Maildir', create=False)
for m in sorted(box, key=lambda m: m['Subject']):
    print(m['Return-Path'], m['Delivered-To'], m['Subject'], m.get_subdir(), len(m.get_payload(decode=True)))
E
	is "$(cat seen)" '<a@far.example> smith@example.org reader new 24
<a@far.example> smith@example.org some new 2
<a@far.example> smith@example.org three cur 2'
fi

# --- killed ---

# killed ACT NTH: a message for two who live here and one who does not; it was killed, or else there is no such act.
killed() {
	rm -rf each/Mail
	spawn server env FAULT="$1 $2 KILL" "$SMTPD" $ME -f conf
	poll '[ -n "$(announced each)" ] || [ -e server.rc ]'
	PORT=$(announced each) accepted=
	: >said
	[ -z "$PORT" ] || mail "$1$2" jones smith far@far.example 2>&1
	! grep -q '^250 2.6.0' said || accepted=1
	poll '[ -e server.rc ]' 1 || { kill_server; return 1; }
	rm -f server.pid
}
i=0
for act in open write sync rename; do
	nth=0
	while nth=$((nth + 1)); rm -rf each/Queue; killed $act $nth; do
		i=$((i + 1))
		[ $nth -lt 50 ] || fail 'there is no end of it'
		[ -z "$(ls each/Queue 2>/dev/null)" ] || accepted=1
		start_server conf
		poll '[ -z "$(grep -l "^x-receiver: .*@example.org" each/Queue/*.eml 2>/dev/null)" ]'
		stop_server
		for one in jones smith; do
			n=$(cat each/Mail/$one/Maildir/*/* 2>/dev/null | grep -c "^Subject: $act$nth")
			[ "$n" = 1 ] || { [ "$n" = 0 ] && [ -z "$accepted" ]; } || fail "killed at $act $nth: $one has it $n times"
			[ -z "$(ls each/Mail/$one/Maildir/tmp 2>/dev/null)" ] || fail "killed at $act $nth: something is left in tmp"
		done
	done
done
[ $i -gt 15 ] || fail "there were only $i such acts"
ok "killed at $i acts"
command -v python3 >/dev/null || skip 'python3 is not installed; the others passed'
