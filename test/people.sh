#!/bin/sh
# people: a directory (slapd) says who is behind an address, by each schema: at RCPT, and before delivery. Members of
# groups, forwarding addresses, hosts; who is in no file and in no entry does not exist; while the directory is away mail
# waits, and nothing else does.
# shellcheck disable=SC2012,SC2016,SC2046,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
PATH=$PATH:/usr/sbin; export PATH
need slapd slapadd
tools sink

base='dc=example,dc=org'
mkdir db
cat >slapd.conf <<E
include /etc/ldap/schema/core.schema
include $TEST/people.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile $T/slapd.number
sizelimit unlimited
database mdb
suffix $base
directory $T/db
maxsize 268435456
index objectClass,mail,proxyAddresses,mailLocalAddress,belongsTo eq
E
# entry DN CLASS ATTRIBUTE VALUE ...: in LDIF; the class may be several, with commas.
entry() {
	echo "dn: $1,$base"
	echo "$2" | tr ',' '\n' | sed 's/^/objectClass: /'
	case $1 in cn=*) name=${1%%,*}; echo "cn: ${name#cn=}" ;; esac
	shift 2
	while [ $# -gt 0 ]; do echo "$1: $2"; shift 2; done
	echo
}
{
	printf '%s\n' "dn: $base" 'objectClass: dcObject' 'objectClass: organization' 'dc: example' 'o: x' ''
	# Active Directory
	entry cn=Jo user mail jo@example.org proxyAddresses SMTP:jo@example.org proxyAddresses smtp:joanna@example.org proxyAddresses X400:c=de
	entry cn=Al user mail al@example.org
	entry cn=Away contact mail away@example.org proxyAddresses smtp:away@example.org targetAddress SMTP:Away@far.example
	entry cn=Both contact mail both@example.org targetAddress both@example.org targetAddress both@far.example
	entry cn=Ring1 contact mail ring1@example.org targetAddress ring2@example.org
	entry cn=Ring2 contact mail ring2@example.org targetAddress ring1@example.org
	entry cn=Junk contact mail junk@example.org targetAddress 'not an address'
	entry cn=Dead contact mail dead@example.org targetAddress gone@example.org
	entry cn=Same1 user mail same@example.org
	entry cn=Same2 user mail same@example.org
	entry cn=Mute user
	entry cn=Out contact mail out@other.example
	entry cn=Staff group mail staff@example.org managedBy "cn=Al,$base" member "cn=Jo,$base" member "cn=Team,$base" member "cn=Mute,$base" \
	    member "cn=Nobody,$base" member "cn=Out,$base"
	entry cn=Team group member "cn=Al,$base" member "cn=Staff,$base" member "cn=Away,$base"
	entry cn=Plain group mail plain@example.org member "cn=Jo,$base" member "cn=Al,$base"
	entry cn=Empty group mail empty@example.org
	entry 'cn=All (*),cn=Plain' group mail all@example.org member "cn=Jo,$base"
	entry cn=Sub group belongsTo "cn=All (*),cn=Plain,$base" member "cn=Out,$base"
	entry cn=Be user mail be@example.org belongsTo "cn=Sub,$base" belongsTo "cn=All (*),cn=Plain,$base"
	entry cn=Ga contact mail ga@example.org targetAddress ga@far.example belongsTo "cn=All (*),cn=Plain,$base"
	entry cn=Big group mail big@example.org
	entry cn=Star user mail 'st*r@example.org'
	# Exchange 5.5
	entry cn=Ex user mail ex@example.org otherMailbox 'smtp$exchange@example.org'
	# inet-local-mail
	entry cn=Il1 user,inetLocalMailRecipient mailLocalAddress il1@example.org mailRoutingAddress il1@far.example
	entry cn=Il2 user,inetLocalMailRecipient mailLocalAddress il2@example.org mailHost box.test
	entry cn=Il3 user,inetLocalMailRecipient mailLocalAddress il3@example.org mailHost 127.0.0.1 mailRoutingAddress ilse@example.org
	entry cn=Il4 user,inetLocalMailRecipient mailLocalAddress il4@example.org mailHost mail.example.org
	entry cn=Il5 user,inetLocalMailRecipient mailLocalAddress il5@example.org mailHost 'no host at all'
	entry cn=Il6 user,inetLocalMailRecipient mailLocalAddress @example.net mailRoutingAddress @far.example
	entry cn=Il7 user,inetLocalMailRecipient mailLocalAddress il7@example.net
	# nis-alias
	entry cn=club nisMailAlias rfc822MailMember jo2 rfc822MailMember far@far.example rfc822MailMember club2
	entry cn=club2 nisMailAlias rfc822MailMember club rfc822MailMember 'a b'
	entry cn=jo2 nisMailAlias rfc822MailMember jo2
	# group-of-names
	entry cn=Person mailPerson mail person@example.org mailAlternateAddress pers@example.org
	entry cn=Forward mailPerson mail forward@example.org mailForwardingAddress f@far.example
	entry cn=Names groupOfNames,mailGroup mail names@example.org member "cn=Person,$base" mgrpRFC822MailMember x@far.example mgrpRFC822MailMember files@example.org mgrpErrorsTo boss@far.example
	entry cn=Unique groupOfUniqueNames,mailGroup mail unique@example.org uniqueMember "cn=Person,$base" uniqueMember "cn=Names,$base"
	# Many
	awk -v base="$base" 'BEGIN {
		for (i = 0; i < 10001; i++) printf "dn: cn=p%d,%s\nobjectClass: user\ncn: p%d\nmail: p%d@example.org\nbelongsTo: cn=%s,%s\n\n", i, base, i, i, i < 10000 ? "Big" : "Team", base
		for (g = 10000; g <= 10001; g++) {
			printf "dn: cn=g%d,%s\nobjectClass: group\ncn: g%d\nmail: g%d@example.org\n", g, base, g, g
			for (i = 0; i < g; i++) printf "member: cn=p%d,%s\n", i, base
			print ""
		}
	}'
} >ldif
slapadd -q -f slapd.conf -l ldif >slapadd.log 2>&1 || { cat slapadd.log; fail 'slapadd'; }
url=ldapi://$(echo "$T/ldapi" | sed 's,/,%2F,g')
directory_starts() {
	spawn slapd slapd -d 0 -f slapd.conf -h "$url"
	wait_for '[ -S ldapi ]'
}
directory_ends() { end slapd TERM 10; rm -f ldapi; }

spawn sink "$sink"
wait_for 'grep -q listening sink.log'
echo '127.0.0.1 box.test' >hosts
# configuration SCHEMA [LINE]: one more line of the block ldap-routing.
configuration() {
	cat <<E
resolver 127.0.0.1:1
hosts hosts
server s {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot m }
    access { relay only 127.0.0.0/8 }
    delivery { port $(sed -n 's/^sink listening on .*://p' sink.log); smart-host [127.0.0.1]; glitch-retry 1s 3; retry 1s }
    ldap-routing {
	server $url; base $base
	schema $1
	${2-}
    }
    domain example.org default { aliases aliases }
    domain example.net alias
}
E
}
echo 'files: jo, plain' >aliases
# begin SCHEMA [LINE]: another server.
begin() {
	[ ! -e server.pid ] || stop_server
	configuration "$@" >conf
	start_server conf -v
}
# rcpt ADDRESS ...: the codes of their replies, pipelined.
rcpt() {
	{
		printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.test>'
		for i; do echo "RCPT TO:<$i>"; done
		printf '%s\n' RSET QUIT
	} | say >said
	sed -n 's/^\([245][0-9][0-9] [245]\.[0-9]\.[0-9]*\).*/\1/p' said | sed '1d;$d' | sed '$d' | tr '\n' ' '
}
send() {
	clear_out
	{
		printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.test>'
		for i; do echo "RCPT TO:$i"; done
		printf '%s\n' DATA 'Subject: the letter' '' x . QUIT
	} | say >said
	grep -q '^250 2.6.0' said || { cat said >&2; fail "not taken: $*"; }
}
# mail RCPT ...: one message; each a recipient and its parameters; all of it is done.
mail() {
	send "$@"
	wait_for '[ -z "$(ls m/Queue m/SortTemp | grep eml)" ]'
}
clear_out() { rm -f m/Drop/*; taken=$(grep -c ^took sink.log); }
# Who has it, here and there, in order; and from whom.
here() { cat m/Drop/*.eml 2>/dev/null | tr -d '\r' | sed -n 's/^x-receiver: //p' | sort | tr '\n' ' '; }
news() { grep ^took sink.log | tail -n +$((taken + 1)); }
there() { news | sed 's/.* to=<\([^>]*\)>.*/\1/' | sort | tr '\n' ' '; }
from() { news | sed 's/.* from=<\([^>]*\)>.*/\1/' | sort -u | tr '\n' ' '; }

directory_starts
begin active-directory
is "$(rcpt jo@example.org JOANNA@example.org nobody@example.org postmaster files@example.org staff@example.org same@example.org far@far.example 's*r@example.org' 'st*r@example.org')" \
    '250 2.1.5 250 2.1.5 550 5.1.1 250 2.1.5 250 2.1.5 250 2.1.5 451 4.4.3 250 2.1.5 550 5.1.1 250 2.1.5 ' 'RCPT'
grep -q '^451 4.4.3 The directory does not say now who <same@example.org> is; try again later' said || fail 'two entries'
grep -q '^550 5.1.1 <nobody@example.org> nobody of this name lives here' said || fail 'nobody'
ok 'RCPT'

# --- before delivery ---

mail '<jo@example.org>'
is "$(here)" 'jo@example.org ' 'a person'
mail '<joanna@example.org>' '<JO@example.org>'
is "$(here)" 'JO@example.org ' 'by two addresses'
mail '<joanna@example.org>'
is "$(here)" 'jo@example.org ' 'by another address of his'
mail '<away@example.org>'
is "$(here)| $(there)" '| Away@far.example ' 'away'
mail '<both@example.org>'
is "$(here)| $(there)" 'both@example.org | both@far.example ' 'one of them is his own'
mail '<staff@example.org>' '<al@example.org>'
is "$(here)| $(there)" 'al@example.org jo@example.org | Away@far.example out@other.example ' 'groups in groups, each once'
is "$(from)" 'al@example.org ' 'its owner is the sender'
for i in Mute Nobody; do grep -q "left out=\"cn=$i,$base\"" server.log || fail "$i is not mentioned"; done
mail '<plain@example.org>'
is "$(here)" "al@example.org jo@example.org " plain
mail '<files@example.org>'
is "$(here)" 'al@example.org jo@example.org ' 'an alias of the files for one of the directory'
ok 'active-directory'

# --- what goes wrong ---

# reported RCPT STATUS: its sender hears of it, and nobody else of the message.
reported() {
	mail "$1"
	is "$(here)| $(there)" '| a@client.test ' "$1"
	is "$(from)" ' ' "$1: from"
	grep -q "reason=\"$2 " server.log || fail "$1: not $2"
}
reported '<empty@example.org>' 5.2.4
reported '<ring1@example.org>' 5.4.6
reported '<dead@example.org>' 5.1.1
clear_out
printf '%s\n' 'x-sender: a@client.test' 'x-receiver: nobody@example.org' 'x-receiver: jo@example.org' 'x-receiver-args: RESOLVED=127.0.0.9' \
    'x-receiver: staff@example.org' 'x-receiver-args: RESOLVED' 'From: a@client.test' '' x >note
mv note m/Pickup/note
wait_for '[ "$(there)" = "Away@far.example a@client.test out@other.example " ] && [ -z "$(ls m/Queue | grep eml)" ]'
is "$(here)" 'al@example.org jo@example.org ' 'nobody but we says RESOLVED'
for i in junk same; do		# (who wrote the latter came before there were two)
	clear_out
	printf '%s\n' 'x-sender: a@client.test' "x-receiver: $i@example.org" 'x-receiver: jo@example.org' 'x-receiver: x@far.example' 'From: a@client.test' '' x >note
	mv note m/Pickup/note
	wait_for '[ "$(here)| $(there)" = "jo@example.org | x@far.example " ]'
	wait_for 'grep -q "deferred.*to=<'$i'@example.org>" server.log'
	is "$(grep -l "^x-receiver: $i@" m/Queue/*.eml | wc -l | tr -d ' ')" 1 "$i waits"
	rm m/Queue/*
done
ok 'what goes wrong'

# --- while it is away ---

directory_ends
begin active-directory			# one that remembers nothing
wait_for '[ "$(rcpt never@example.org postmaster files@example.org far@far.example)" = "451 4.4.3 250 2.1.5 250 2.1.5 250 2.1.5 " ]'
clear_out
printf '%s\n' 'x-sender: a@client.test' 'x-receiver: staff@example.org' 'x-receiver: files@example.org' 'x-receiver: al@example.org' 'x-receiver: x@far.example' 'From: a@client.test' '' x >note
mv note m/Pickup/note
wait_for '[ "$(there)" = "x@far.example " ] && grep -q "deferred.*al@example.org" server.log'
is "$(here)" '' 'nothing is invented'
directory_starts
wait_for '[ -z "$(ls m/Queue | grep eml)" ]'
is "$(here)| $(there)" 'al@example.org jo@example.org | Away@far.example out@other.example x@far.example ' 'and all of it comes'
directory_ends; directory_starts
mail '<jo@example.org>'
ok 'away'

# --- the other schemas ---

begin exchange
is "$(rcpt ex@example.org EXCHANGE@example.org jo@example.org nobody@example.org)" '250 2.1.5 250 2.1.5 250 2.1.5 550 5.1.1 '
mail '<exchange@example.org>'
is "$(here)" 'ex@example.org ' 'exchange'
begin inet-local-mail
is "$(rcpt il1@example.org il2@example.org il3@example.org il4@example.org jo@example.org)" '250 2.1.5 250 2.1.5 250 2.1.5 250 2.1.5 550 5.1.1 '
mail '<il1@example.org>' '<il2@example.org>' '<il3@example.org>' '<il4@example.org>'
is "$(here)| $(there)" 'il4@example.org | il1@far.example il2@example.org ilse@example.org ' 'mailHost, mailRoutingAddress'
is "$(rcpt whoever@example.net il7@example.net)" '250 2.1.5 250 2.1.5 '
mail '<whoever@example.net>' '<il7@example.net>'
is "$(here)| $(there)" 'il7@example.net | whoever@far.example ' 'a whole domain, but for one'
grep -q 'to=<il2@example.org> host=box.test\[127.0.0.1\]' server.log || fail 'not by its host'
send '<il5@example.org>'
wait_for 'grep -q "deferred.*to=<il5@example.org>.*4.3.5" server.log'
rm m/Queue/*
begin nis-alias
is "$(rcpt club@example.org CLUB@example.net nobody@example.org)" '250 2.1.5 250 2.1.5 550 5.1.1 '
mail '<club@example.org> NOTIFY=SUCCESS,DELAY'
is "$(here)| $(there)" 'jo2@example.org | a@client.test far@far.example ' club
begin site-server
is "$(rcpt jo@example.org names@example.org nobody@example.org)" '250 2.1.5 250 2.1.5 550 5.1.1 '
begin group-of-names
mail '<forward@example.org>' '<pers@example.org>'
is "$(here)| $(there)" 'person@example.org | f@far.example '
mail '<unique@example.org>'
is "$(here)| $(there)| $(from)" 'jo@example.org person@example.org plain@example.org | x@far.example | a@client.test ' 'a group, and an alias, in a group'
mail '<names@example.org> NOTIFY=SUCCESS ORCPT=rfc822;n@x.example'
wait_for '[ "$(there)" = "a@client.test x@far.example " ]'
is "$(here)| $(from)" 'jo@example.org person@example.org plain@example.org |  boss@far.example ' 'its owner is the sender'
ok 'schemas'

# --- senders ---

begin active-directory 'senders yes'
for i in joanna jo nobody; do
	clear_out
	printf '%s\n' "x-sender: $i@example.org" 'x-sender-args: RESOLVED' 'x-receiver: al@example.org' 'x-receiver: x@far.example' 'From: a@client.test' '' x >note
	mv note m/Pickup/note
	wait_for '[ "$(here)| $(there)" = "al@example.org | x@far.example " ] && [ -z "$(ls m/Queue | grep eml)" ]'
	want=$i
	[ $i != joanna ] || want=jo
	is "$(from)$(sed -n 's/^Return-Path: //p' m/Drop/*.eml | tr -d '\r')" "$want@example.org <$want@example.org>" 'sender'
done
directory_ends
begin active-directory 'senders yes'
clear_out
printf '%s\n' "x-sender: joanna@example.org" 'x-receiver: x@far.example' 'From: a@client.test' '' x >note
mv note m/Pickup/note
wait_for 'grep -q "deferred.*x@far.example" server.log'
directory_starts
wait_for '[ "$(from)" = "jo@example.org " ]'
ok 'senders'

# --- a Maildir each ---

begin active-directory
stop_server
echo anna >people
sed 's,default { aliases aliases },default { recipients people; drop maildir:box/%u },' conf >conf.maildir
start_server conf.maildir
send '<anna@example.org>' '<JOANNA@example.org>' '<staff@example.org>'
wait_for '[ "$(ls -d m/box/*/new/* | sed "s,/new.*,," | sort -u | tr "\n" " ")" = "m/box/al m/box/anna m/box/jo " ]'
grep -qx 'Delivered-To: jo@example.org' m/box/jo/new/* || fail 'not by his first address'
wait_for '[ -z "$(ls m/Queue | grep eml)" ]'
ok 'Maildirs'

# --- what the operator says instead, and what he asks ---

count() { "$SMTPD" -f conf status metrics | sed -n "s/^smtpd_directory_$1.* //p"; }
begin active-directory 'filter "(|(mail=%s)(cn=%u))"; mail-attribute mail; forward-attribute mailForwardingAddress targetAddress; host-attribute mailHost
	member-attribute uniqueMember; member-address-attribute none; owner-attribute owner; group-class groupOfUniqueNames; cache 1s 1s'
is "$(rcpt unique@example.org Person@example.org no@example.org)" '250 2.1.5 250 2.1.5 550 5.1.1 '
wait_for 'rcpt no@example.org >said; [ "$(count "lookups_total.*question")" -ge 4 ]'	# asked again
mail '<unique@example.org>' '<forward@example.org>'
is "$(here)| $(there)" 'names@example.org person@example.org | f@far.example ' 'by other attributes'
begin active-directory 'cache 1h 1h'
is "$(rcpt jo@example.org jo@example.org no@example.org no@example.org no@example.org)" '250 2.1.5 250 2.1.5 550 5.1.1 550 5.1.1 550 5.1.1 '
is "$(count 'lookups_total.*question') $(count 'lookups_total.*cache')" '2 3' 'asked once'
"$SMTPD" -f conf why a@client.test nobody@example.net >said && fail 'why: nobody'
grep -q 'the directory has no such entry' said || { cat said; fail 'why does not say that there is none'; }
"$SMTPD" -f conf why a@client.test staff@example.org >said || fail 'why: staff'
for i in "(proxyAddresses=smtp:staff@example.org)(mail=staff@example.org)" "a group: cn=Staff,$base" 'passed on to 4 addresses' ' Away@far.example' \
    '2 in its groups have no address' 'to its owner, al@example.org' '250 2.1.5'; do
	tr -d ' \n' <said | grep -qF "$(echo "$i" | tr -d ' ')" || { cat said; fail "why does not say: $i"; }
done
"$SMTPD" -f conf why a@client.test ring1@example.org | tr -d ' \n' | grep -q 'wouldbereturned:5.4.6' || fail 'why: ring'
"$SMTPD" -f conf why a@client.test jo@example.org | tr -d ' \n' | grep -q 'wouldbedeliveredinto' || fail 'why: jo'
"$SMTPD" -f conf check >said
tr -d ' \n' <said | grep -q "directory${url}answersin.*(mail=postmaster@example.org)).*finds" || { cat said; fail 'check'; }
directory_ends
"$SMTPD" -f conf check >said && fail 'check: away'
tr -d ' \n' <said | grep -q "FAULTconf:[0-9]*:directory$url:" || { cat said; fail 'check: away'; }
"$SMTPD" -f conf why a@client.test jo@example.org >said && fail 'why: away'
grep -q '451 4.4.3' said || { cat said; fail 'why: away'; }
directory_starts
wrong() {
	configuration active-directory "$1" >wrong
	"$SMTPD" -n -f wrong 2>said && fail "taken: $1"
	grep -qF "$2" said || { cat said; fail "$1: not: $2"; }
}
wrong 'filter "(mail=jo)"' 'it has no %s, and would find everybody'
wrong 'filter "(mail=%x)"' 'what follows a % must be'
wrong 'filter "(mail=%s"' "filter: '(mail=%s'"
wrong 'member-filter "(memberOf=%d)"' 'must be s (the DN of the group) or %'
wrong 'filter (mail=%s) (mail=x)' "'(mail=x)': it has no %s"
wrong 'mail-attribute "a b"' "'a b' is no name of an attribute or a class"
"$SMTPD" explain schema | grep -q '^     mail-attribute rfc822Mailbox mail$' || fail 'explain schema'
ok 'settings'

# --- members by what they say of themselves ---

mine='member-filter "(belongsTo=%s)"'
begin active-directory "$mine"
mail '<all@example.org>'
is "$(here)| $(there)" 'be@example.org jo@example.org | ga@far.example out@other.example ' 'named, and not named'
begin active-directory "$mine; size-limit 4"
mail '<all@example.org>'
is "$(here)| $(there)" 'be@example.org jo@example.org | ga@far.example out@other.example ' 'four'
begin active-directory "$mine; size-limit 3"
reported '<all@example.org>' 5.2.4
ok 'member-filter'

# --- many ---

begin active-directory "$mine"
mail '<big@example.org>'
is "$(cat m/Drop/*.eml | grep -c '^x-receiver: p[0-9]*@example.org')" 10000 'members in pages'
[ "$(count 'lookups_total.*question')" -lt 20 ] || fail 'one by one'
begin active-directory
mail '<g10000@example.org>'
is "$(cat m/Drop/*.eml | grep -c '^x-receiver: p[0-9]*@example.org')" 10000 'members'
reported '<g10001@example.org>' 5.2.4
ok 'many'
