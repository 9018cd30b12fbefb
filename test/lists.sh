#!/bin/sh
# lists: who gets what when groups, owners, forwards and aliases of a directory (test/directory) meet in one message.
# Nobody has it twice, nobody waits for somebody else's junk, reports go to whom they should, and parameters do not grow
# past what a line of the envelope may have.
# shellcheck disable=SC2012,SC2046
. "${TEST:-$(dirname "$0")}/lib.sh"
tools directory sink

base=dc=example,dc=org
# entry CN CLASS ATTRIBUTE VALUE ...: in LDIF
entry() {
	printf '%s\n' "dn: cn=$1,$base" "objectClass: $2"
	shift 2
	while [ $# -gt 0 ]; do echo "$1: $2"; shift 2; done
	echo
}
{
	entry Jo user mail jo@example.org
	entry Al user mail al@example.org mail AL2@example.org
	entry Px contact proxyAddresses smtp:second@example.org proxyAddresses SMTP:first@example.org proxyAddresses 'X400:c=de'
	entry Junk contact mail junk@example.org targetAddress 'not an address'
	entry Self contact mail self@example.org proxyAddresses smtp:self2@example.org targetAddress self2@example.org
	entry Quote user mail "o'brien+x@example.org"
	entry Jonet user mail jo@example.net
	entry GProx group mail gprox@example.org member cn=Px,$base member cn=Jo,$base
	entry GJunk group mail gjunk@example.org member cn=Junk,$base member cn=Jo,$base
	entry GCap group mail gcap@example.org member cn=Al,$base mgrp AL@EXAMPLE.org mgrp al2@example.org
	entry GSelf group mail gself@example.org managedBy "cn=GSelf,$base" member cn=Dead,$base member cn=Jo,$base
	entry GSelf2 group mail gself2@example.org managedBy gself2@example.org member cn=Dead,$base
	entry GOwn group mail gown@example.org managedBy bounce=x@far.example member cn=Far,$base
	entry Far contact mail f@far.example
	entry Dead contact mail dead@example.org targetAddress gone@example.org
	entry ToList contact mail tolist@example.org targetAddress gown@example.org

	printf '%s\n' 'dn: cn=Ext,dc=out' 'objectClass: contact' 'mail: ext@far.example' 'targetAddress: X400:c=de' ''
	printf '%s\n' 'dn: cn=Lost,dc=out' 'objectClass: contact' 'mail: lost@example.org' 'targetAddress: X400:c=de' ''
	printf '%s\n' 'dn: cn=Back,dc=out' 'objectClass: contact' 'mail: info2@example.org' 'targetAddress: X400:c=de' ''
	entry GExt group mail gext@example.org member cn=Ext,dc=out member cn=Jo,$base
	entry GLost group mail glost@example.org member cn=Lost,dc=out member cn=Jo,$base
	entry Info2 group mail info2@example.org member cn=Back,dc=out member cn=Jo,$base
	entry FF user mail files@example.org mail ff@example.org
	entry Three group mail three@example.org member cn=T1,$base member cn=T2,$base
	entry T1 group mail t1@example.org mgrp x@far.example mgrp y@far.example mgrp jo@example.org
	entry T2 group mail t2@example.org mgrp Y@far.example mgrp x@far.example member cn=Jo,$base managedBy al@example.org
	entry Nohost contact mail nohost@example.org mailHost nohost.invalid
	entry Host contact mail host@example.org mailHost box.test.
	entry Big user mail big@example.org $(i=0; while [ $i -lt 600 ]; do echo "mail a$i@example.org"; i=$((i + 1)); done)
	for g in h1 h2; do
		printf '%s\n' "dn: cn=$g,$base" 'objectClass: group' "mail: $g@example.org"
		i=0; while [ $i -lt 6000 ]; do echo "mgrp: m$i@far.example"; i=$((i + 1)); done
		echo
	done
} >people
spawn directory "$directory" people
wait_for 'grep -q "listening on" directory.log'
spawn sink "$sink"
wait_for 'grep -q listening sink.log'
echo '127.0.0.1 box.test' >hosts
printf '%s\n' 'lists: gown' 'files: jo' >aliases
cat >conf <<E
resolver 127.0.0.1:1
hosts hosts
server s {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot m }
    access { relay only 127.0.0.0/8 }
    delivery { port $(sed -n 's/^sink listening on .*://p' sink.log); smart-host [127.0.0.1]; retry 1s; local-retry 1s; glitch-retry 1s 3 }
    ldap-routing {
	server ldap://$(sed -n 's/.*listening on //p' directory.log); base $base
	member-address-attribute mgrp; host-attribute mailHost
    }
    domain example.org default { aliases aliases; drop maildir:box/%u }
    domain example.net alias
}
E
start_server conf -v
idle() { [ -z "$(ls m/Queue m/SortTemp | grep eml)" ]; }
# mail MAIL-PARAMETERS RCPT ...: each a recipient and its parameters.
send() {
	rm -rf m/box; taken=$(grep -c ^took sink.log)
	{
		printf '%s\n' 'EHLO x' "MAIL FROM:<a@client.test> $1"
		shift
		for i; do echo "RCPT TO:$i"; done
		printf '%s\n' DATA 'Subject: the letter' '' x . QUIT
	} | say >said
	grep -q '^250 2.6.0' said || { cat said >&2; fail "not taken: $*"; }
}
mail() { send "$@"; wait_for idle; }
here() { (cd m/box 2>/dev/null && for i in */new/*; do echo "${i%%/*}"; done | sort | tr '\n' ' '); }
news() { grep ^took sink.log | tail -n +$((taken + 1)); }
there() { news | sed 's/.* to=<\([^>]*\)>.*/\1/' | sort | tr '\n' ' '; }
from() { news | sed 's/.* from=<\([^>]*\)>.*/\1/' | sort -u | tr '\n' ' '; }

mail '' '<gprox@example.org>'
is "$(here)" 'first jo ' 'who has proxyAddresses alone'
mail '' '<second@example.org>'
is "$(here)" 'first ' 'the one in capitals is the first'
mail '' '<gcap@example.org>' '<al@example.org>'
is "$(here)" 'al ' 'by many ways, once'
mail '' '<self@example.org>'
is "$(here)" 'self ' 'forwarded to himself'
mail '' "<O'Brien+X@example.org>" '<jo@example.org>' '<jo@example.net>'
is "$(here)" 'jo jo@example.net o=27brien=2Bx ' 'each a folder of his own'
mail '' '<al@example.net>' '<a599@example.org>'
is "$(here)" 'al big ' 'an alias of our domain; one with too many addresses'
mail '' '<h1@example.org>' '<h2@example.org>'
is "$(there | wc -w | tr -d ' ')" 6000 'members of both groups'
mail '' '<three@example.org>' '<t2@example.org>' '<T1@example.org>'
is "$(here)| $(there)" 'jo | x@far.example y@far.example ' 'three, by many ways'
ok 'once'

send '' '<gjunk@example.org>'
wait_for '[ "$(here)" = "jo " ] && grep -q "deferred.*to=<junk@example.org>.*4.3.5" server.log'
is "$(ls m/Queue | grep -c eml)" 1 'he waits, alone'
rm m/Queue/*
for i in glost:lost info2:info2; do		# by his entry alone, or by the list's own address
	send '' "<${i%:*}@example.org>"
	wait_for '[ "$(here)" = "jo " ] && [ "$(grep -c "deferred.*to=<'${i#*:}'@example.org>.*4.3.5" server.log)" -ge 3 ]'
	is "$(here) $(ls m/Queue | grep -c eml)" 'jo  1' "$i waits, alone"
	rm m/Queue/*
done
mail '' '<gext@example.org>' '<ff@example.org>'
is "$(here)" 'jo ' 'one elsewhere is left out; an address that our files know'
ok 'junk'

mail '' '<gself@example.org>'
is "$(here)| $(there)| $(from)" 'jo | a@client.test |  ' 'a list that owns itself'
mail '' '<gself2@example.org>'
is "$(there)| $(from)" 'a@client.test |  ' 'by its address'
for i in gown tolist lists; do
	mail 'RET=HDRS ENVID=his' "<$i@example.org> NOTIFY=SUCCESS,FAILURE"
	wait_for '[ "$(there)" = "a@client.test f@far.example " ]'
	news | grep 'f@far' | grep -q 'from=<bounce=x@far.example>' || fail "$i: the owner is not the sender"
	grep -q "resolved.*from=<bounce=x@far.example>" server.log || fail "$i"
done
ok 'owners'

mail '' '<host@example.org>'
grep -q 'to=<host@example.org> host=box.test\[127.0.0.1\]' server.log || fail 'a host with a dot behind it'
send '' '<nohost@example.org>'		# the directory can be mended: it waits, and who asks sees why
wait_for '"$SMTPD" -f conf queue | tr -d "\n " | grep -q "nohost@example.org.*4.4.3"'
"$SMTPD" -f conf queue remove all >/dev/null
long=$(printf '%01950d' 0)
{
	printf '%s\n' 'x-sender: a@client.test' 'x-receiver: gprox@example.org' "x-receiver-args: NOTIFY=FAILURE ORCPT=rfc822;$long" 'From: a@client.test' '' x
} >note
rm -rf m/box; mv note m/Pickup/note
wait_for '[ "$(here)" = "first jo " ] && idle'
is "$(ls m/Badmail)" '' 'parameters that have no room'
ok 'parameters'
