#!/bin/sh
# aliases: who is one is replaced by his members, once, when the message is taken, by SMTP and by Pickup alike; an alias to
# several is a list, RFC 3461, section 5.2.7: it takes NOTIFY=SUCCESS upon itself and reports `expanded'.
# shellcheck disable=SC2012,SC2046
. "${TEST:-$(dirname "$0")}/lib.sh"

cat >conf <<'E'
resolver 127.0.0.1:1
server s {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot m }
    messages { max-recipients 3 }
    domain example.org default { recipients people; aliases aliases; quota 1M }
    domain example.net alias
}
E
printf '%s\n' a b c d e >people
cat >aliases <<'E'
# NAME: MEMBER, ...
one: a
Sales: a, b,	# and more
	c@example.net
all: sales, d, b, far@far.example
e: e, far@far.example
hr@example.net: d
E
# mail RCPT ...: one message; each a recipient and its parameters.
mail() {
	{
		printf '%s\n' 'EHLO x' 'MAIL FROM:<a@example.org>'
		for i; do echo "RCPT TO:$i"; done
		printf '%s\n' DATA 'Subject: the letter' '' x . QUIT
	} | say >said
	grep -q '^250 2.6.0' said || { cat said >&2; fail "not taken: $*"; }
}
# The envelope's recipients of the one message there, as the file has them.
letters() { for i in "$1"/*.eml; do grep -q '^Action:' "$i" || echo "$i"; done; }
named() {
	is "$(letters "$1" | wc -l | tr -d ' ')" 1 "messages in $1"
	tr -d '\r' <"$(letters "$1")" |
		awk '/^x-/ && $1 != "x-receiver-args:" { open = $1 == "x-receiver:" } /^x-receiver/ && open { sub(/^[^ ]* /, ""); printf "%s ", $0 } /^$/ { exit }'
}
clear_out() { rm -f m/Drop/* m/Queue/*.txt; rm -f m/Queue/*.eml; }
reports() { grep -l '^Action: '"$1" m/Drop/*.eml 2>/dev/null; }

FAULT_FILE=$T/fault CLOCK_FILE=$T/clock; export FAULT_FILE CLOCK_FILE
: >fault; echo 0 >clock
start_server conf
mail '<one@example.org>'
is "$(named m/Drop)" 'a@example.org ORCPT=rfc822;one@example.org ' 'one'
clear_out
mail '<ONE@example.net> NOTIFY=FAILURE ORCPT=rfc822;x@y.example'
is "$(named m/Drop)" 'a@example.org NOTIFY=FAILURE ORCPT=rfc822;x@y.example ' 'one, with what it was given'
clear_out
mail '<b@example.org>' '<sales@example.org> NOTIFY=NEVER' '<one>'
is "$(named m/Drop)" 'b@example.org a@example.org NOTIFY=NEVER ORCPT=rfc822;sales@example.org c@example.net NOTIFY=NEVER ORCPT=rfc822;sales@example.org ' 'each once'
clear_out
mail '<hr@example.net>'
is "$(named m/Drop)" 'd@example.org ORCPT=rfc822;hr@example.net ' 'an address'
clear_out
mail '<e>'
is "$(named m/Drop)" 'e@example.org ORCPT=rfc822;e@example.org ' 'the mailbox behind it'
is "$(named m/Queue)" 'far@far.example ORCPT=rfc822;e@example.org ' 'and a copy elsewhere'
clear_out
printf '%s\n' 'EHLO x' 'MAIL FROM:<>' 'RCPT TO:<hr@example.org>' 'RCPT TO:<sales>' 'RCPT TO:<b>' 'RCPT TO:<c>' 'RCPT TO:<d>' 'EXPN sales' QUIT |
	say | sed -n 's/^\([2-5][0-9][0-9] [2-5]\.[0-9]\.[0-9]\).*/\1/p' | tr '\n' ' ' >said
is "$(cat said)" '250 2.1.0 550 5.1.1 250 2.1.5 250 2.1.5 250 2.1.5 452 4.5.3 502 5.5.1 221 2.0.0 ' 'who is named counts'
ok 'SMTP'

# --- Pickup, reports ---

printf '%s\n' 'From: a@example.org' 'To: all@example.org' 'Subject: the letter' '' x >note; mv note m/Pickup/one
wait_for '[ -n "$(ls m/Drop)" ]'
is "$(named m/Drop | tr ' ' '\n' | grep -c @example)" 8 'four and their ORCPT'
is "$(named m/Queue)" 'far@far.example ORCPT=rfc822;all@example.org '
clear_out
printf '%s\n' 'From: one@example.org' 'x-receiver: nobody@example.org' 'Subject: x' >note
printf '%s\n' 'x-sender: one@example.org' 'x-receiver: nobody@example.org' 'From: a@example.org' '' x >note; mv note m/Pickup/two
wait_for '[ -n "$(reports failed)" ]'
grep -q '^x-receiver: a@example.org' $(reports failed) || fail 'a report is not expanded'
clear_out
# That a list has been expanded is said by nobody but us: these are not done.
printf '%s\n' 'x-sender: one@example.org' 'x-receiver: c@example.org' 'x-receiver-args: EXPANDED' 'x-receiver: sales@example.org' \
	'x-receiver-args: NOTIFY=NEVER expanded' 'From: a@example.org' 'Subject: the letter' '' x >note; mv note m/Pickup/three
wait_for '[ -n "$(ls m/Drop)" ] && [ -z "$(ls m/Queue m/Pickup | grep eml)" ]'
is "$(tr -d '\r' <"$(letters m/Drop)" | sed -n 's/^x-receiver: \(.*\)@.*/\1/p' | tr '\n' ' ')" 'c a b c ' 'who has it'
[ -z "$(ls m/Badmail)" ] || fail 'it is set aside'
clear_out
ok 'Pickup, reports'

# --- a list, and NOTIFY ---

mail '<all> NOTIFY=SUCCESS,DELAY' '<b>'
wait_for '[ -n "$(reports expanded)" ]'
is "$(reports expanded | wc -l | tr -d ' ')" 1 'reports'
report=$(reports expanded)
for i in 'Final-Recipient: rfc822;all@example.org' 'Status: 2.0.0' 'Subject: .*Expanded.*'; do
	tr -d '\r' <"$report" | grep -q "^$i\$" || { cat "$report" >&2; fail "no $i"; }
done
is "$(grep -c '^Final-Recipient' "$report")" 1 'recipients of the report'
for i in a b c d; do grep -q "^x-receiver: $i@" m/Drop/*.eml || fail "$i has none"; done
like "$(named m/Drop)" '*a@example.org NOTIFY=DELAY ORCPT=rfc822;all@example.org*' 'members'
grep -q '^x-receiver: all@' m/Drop/*.eml && fail 'the list itself has one'
grep -q '^x-accepted: all@example.org' "$(letters m/Queue)" || fail 'the list is not done'
is "$(named m/Queue)" 'far@far.example NOTIFY=DELAY ORCPT=rfc822;all@example.org ' 'what the next hop hears'
clear_out
mail '<Sales@example.org> notify=success'
wait_for '[ -n "$(reports expanded)" ] && [ -z "$(ls m/Queue)" ]'
like "$(named m/Drop)" '*a@example.org NOTIFY=NEVER *'
clear_out
mail '<one> NOTIFY=SUCCESS'
wait_for '[ -n "$(reports delivered)" ]'
[ -z "$(reports expanded)" ] || fail 'to one it is no list'
for i in 'Original-Recipient: rfc822;one@example.org' 'Final-Recipient: rfc822;a@example.org'; do
	grep -q "^$i" $(reports delivered) || fail "no $i"
done
clear_out
ok 'lists'

# --- a list, and a disk that will not take its report: it is expanded when there is one ---

case ${SMTPD##*/} in smtpd-test*)
	ahead=0
	for i in 'open 1' 'open 2' 'open 3' 'open 4' 'write 3' 'write 4' 'write 5' 'write 6'; do
		echo "$i EIO" >fault.new; mv fault.new fault
		printf '%s\n' 'EHLO x' 'MAIL FROM:<a@example.org>' 'RCPT TO:<sales> NOTIFY=SUCCESS' DATA 'Subject: the letter' '' x . QUIT | say >said
		: >fault
		ahead=$((ahead + 7200)); echo $ahead >clock.new; mv clock.new clock
		if grep -q '^250 2.6.0' said; then
			echo QUIT | say >/dev/null
			wait_for '[ -n "$(reports expanded)" ] && [ -z "$(ls m/Queue)" ]'
		fi
		clear_out
	done
	grep -q 'bounce of=.* action=expanded' server.log || fail 'none was reported'
	ok 'a disk that fails'
esac

# --- bounds ---

awk 'BEGIN { print "many: x0@far.example"; for (i = 1; i < 6000; i++) print " , x" i "@far.example"; print "many2: many" }' >aliases
kill -HUP "$(cat server.pid)"
wait_for 'grep -q "configuration was read again" server.log'
printf '%s\n' 'EHLO x' 'MAIL FROM:<>' 'RCPT TO:<many>' 'RCPT TO:<many2>' 'RCPT TO:<b>' DATA 'Subject: the letter' '' x . QUIT | say >said
is "$(sed -n 's/^\([2-5][0-9][0-9] [2-5]\.[0-9]\.[0-9]\).*/\1/p' said | tr '\n' ' ')" '250 2.1.0 250 2.1.5 452 4.5.3 250 2.1.5 250 2.6.0 221 2.0.0 ' 'too many at once'
is "$(grep -c '^x-receiver: x.*@far' m/Queue/*.eml)" 6000
printf '%s\n' 'x-sender: a@example.org' 'x-receiver: many@example.org' 'x-receiver: many2@example.org' 'From: a@example.org' '' x >note; mv note m/Pickup/many
wait_for 'grep -qs "stand for too many" m/Badmail/*.txt'
stop_server

# --- mistakes ---

cat >aliases <<'E'
 early
loop: loop2
loop2: a, Loop3@example.net
loop3: b, loop
colonless
p: |prog, "|prog", /file, :include:/list, a
dup: a
DUP: b
x@far.example: a
w: zz, zz@far.example, zz@example.net
none:
blank: , a
E
awk 'BEGIN { for (i = 0; i < 30; i++) print "deep" i ": deep" i + 1; print "deep30: a" }
	BEGIN { for (i = 0; i < 14; i++) print "double" i ": double" i + 1 ", double" i + 1; print "double14: a, b" }' >>aliases
"$SMTPD" -n -f conf 2>said && fail 'a wrong file is taken'
sed 's/deep[0-9]*/deepN/; s/double[0-9]*/doubleN/; s/^aliases:1[3-9]:/aliases:N:/; s/^aliases:[2-9][0-9]:/aliases:N:/' said | sort -u >mistakes
cat >want <<'E'
aliases:10: 'zz' is neither a recipient nor an alias
aliases:10: 'zz@example.net' is neither a recipient nor an alias
aliases:11: 'none' stands for nobody
aliases:1: a line that begins with a blank goes on with an alias, and there is none yet
aliases:2: 'loop' comes back to itself
aliases:5: 'colonless' has no colon; write NAME: MEMBER, MEMBER
aliases:6: '/file': an alias stands for names and addresses only, not for a program, a file or a list in one
aliases:6: ':include:/list': an alias stands for names and addresses only, not for a program, a file or a list in one
aliases:6: '\x22|prog\x22': an alias stands for names and addresses only, not for a program, a file or a list in one
aliases:6: '|prog': an alias stands for names and addresses only, not for a program, a file or a list in one
aliases:8: 'DUP' is an alias already, on line 7
aliases:9: 'x@far.example' is in none of our domains
aliases:N: 'deepN' stands in too many aliases
aliases:N: 'doubleN' stands for more than 10000 recipients
E
LC_ALL=C sort want >want.sorted
is "$(cat mistakes)" "$(cat want.sorted)" 'mistakes'
ok
