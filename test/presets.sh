#!/bin/sh
# presets: each schema of the table, with a database of slapd whose entries are named as in such a directory, and one smtpd
# with servers for all of them. How each binds: anonymous, by user and password as its schema composes them, by EXTERNAL;
# with a filter and attributes of the operator's own; and for each who gets the mail, here, elsewhere, by another host.
# people.sh has what is the same for all: the directory away, mistakes in entries, and 10,000 members.
# shellcheck disable=SC2012,SC2016,SC2046,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
PATH=$PATH:/usr/sbin; export PATH
need slapd slapadd
[ -f /etc/ldap/schema/misc.schema ] || skip 'there are no schemas in /etc/ldap/schema'
tools sink directory

presets='active-directory exchange site-server inet-local-mail nis-alias group-of-names'
of() {				# its domain, in short
	case $1 in active-*) echo ad ;; exchange) echo ex ;; site-*) echo ss ;; inet-*) echo lm ;; nis-*) echo na ;; group-*) echo gn ;; esac
}
reader() {			# whom its composed name must be
	case $1 in
	active-*) echo cn=reader,cn=Users,dc=ad,dc=test ;;
	exchange) echo cn=reader,dc=ex,dc=test ;;
	site-*)   echo cn=reader,ou=members,dc=ss,dc=test ;;
	*)        echo "uid=reader,dc=$(of "$1"),dc=test" ;;
	esac
}
binding() {			# and of what
	case $1 in
	active-*) echo 'user cn=reader,cn=Users,dc=ad,dc=test' ;;
	exchange) echo 'user reader; domain ex.test' ;;
	nis-*)    echo 'user reader; domain dc=na,dc=test' ;;
	*)        echo 'user reader' ;;
	esac
}
changed() {
	case $1 in
	active-*) echo 'filter "(&(objectClass=user)(sAMAccountName=%u))"; mail-attribute userPrincipalName; forward-attribute none' ;;
	exchange) echo 'filter "(uid=%u)"; mail-attribute otherMailbox; group-class none' ;;
	site-*)   echo 'forward-attribute mailForwardingAddress; host-attribute mailHost; owner-attribute none' ;;
	inet-*)   echo 'filter "(mailLocalAddress=@%d)"; host-attribute none' ;;
	nis-*)    echo 'filter "(cn=%s)"' ;;
	group-*)  echo 'filter "(|(uid=%u)(cn=%u))"; group-class organizationalRole; member-attribute roleOccupant' ;;
	esac
}

# --- the directory ---

# entry RDN CLASS ATTRIBUTE VALUE ...: in LDIF; below $suffix; the class may be several, with commas.
entry() {
	printf '%s\n' "dn: $1,$suffix"
	echo "$2" | tr ',' '\n' | sed 's/^/objectClass: /'
	shift 2
	while [ $# -gt 0 ]; do printf '%s: %s\n' "$1" "$2"; shift 2; done
	echo
}
person() { who=$1; shift; entry "cn=$who" "user${aux-}" cn "$who" sn x "$@"; }
list()   { who=$1 class=$2; shift 2; entry "cn=$who" "$class" cn "$who" "$@"; }
entries() {
	case $1 in
	active-*)
		entry cn=Users organizationalRole cn Users
		suffix=cn=Users,$suffix
		entry 'cn=Berg\2C Anna' user cn 'Berg, Anna' sn Berg sAMAccountName anna userPrincipalName principal@ad.test mail anna@ad.test proxyAddresses SMTP:anna@ad.test \
			proxyAddresses smtp:a.berg@ad.test proxyAddresses X500:/o=x/cn=anna
		entry 'cn=J\C3\B6rg' user cn "$(printf 'J\303\266rg')" sn x mail bert@ad.test proxyAddresses smtp:bert@ad.test
		person Mute sAMAccountName mute
		list Gone contact sn x mail gone@ad.test proxyAddresses smtp:gone@ad.test targetAddress SMTP:Gone@far.example
		list Staff group groupType 8 mail staff@ad.test managedBy "CN=Berg\\, Anna,$suffix" member "CN=BERG\\, ANNA,$suffix" \
			member "cn=Team,$suffix" member "cn=Mute,$suffix"
		list Team group groupType 8 proxyAddresses SMTP:team@ad.test member "cn=Staff,$suffix" member "cn=J\\C3\\B6rg,$suffix" \
			member "cn=Gone,$suffix" member "cn=Left,$suffix" ;;
	exchange)
		person Anna uid ab rfc822Mailbox anna@ex.test otherMailbox 'smtp$a.berg@ex.test' otherMailbox 'MS$NET/PO/ANNA' otherMailbox x@ex.test
		person Bert rfc822Mailbox bert@ex.test
		person Mute uid mute
		list Gone contact sn x rfc822Mailbox gone@ex.test targetAddress smtp:gone@far.example
		list Staff distributionList mail staff@ex.test owner "cn=Anna,$suffix" member "cn=Anna,$suffix" member "cn=Team,$suffix" member "cn=Mute,$suffix"
		list Team distributionList otherMailbox 'smtp$team@ex.test' member "cn=Staff,$suffix" member "cn=Bert,$suffix" member "cn=Gone,$suffix" ;;
	site-*)
		entry ou=members organizationalUnit ou members
		suffix=ou=members,$suffix aux=,mailRecipient
		person Anna mail anna@ss.test mail a.berg@ss.test
		person Bert mail bert@ss.test
		person Mute
		person Gone mail gone@ss.test mailForwardingAddress gone@far.example
		person Box mail boxed@ss.test mailHost box.test
		list Staff groupOfNames,mailGroup mail staff@ss.test owner "cn=Anna,$suffix" member "cn=Anna,$suffix" member "cn=Team,$suffix" member "cn=Mute,$suffix"
		list Team groupOfUniqueNames,mailGroup mail team@ss.test uniqueMember "cn=Staff,$suffix" uniqueMember "cn=Bert,$suffix" uniqueMember "cn=Gone,$suffix" ;;
	inet-*)
		aux=,inetLocalMailRecipient
		person Anna mail anna@lm.test mailLocalAddress anna@lm.test mailLocalAddress a.berg@lm.test mailLocalAddress ab@lm.test
		person Bert mailLocalAddress bert@lm.test
		person Gone mail gone@lm.test mailLocalAddress gone@lm.test mailRoutingAddress gone@far.example
		person Box mailLocalAddress boxed@lm.test mailHost box.test
		person Both mailLocalAddress both@lm.test mailHost box.test mailRoutingAddress inside@box.test
		person Us mailLocalAddress us@lm.test mailHost MAIL.test
		person Rest mailLocalAddress @rest.test mailRoutingAddress @far.example
		person One mailLocalAddress one@rest.test mailHost box.test
		aux=''; person Mute mail mute@lm.test ;;
	nis-*)
		list anna nisMailAlias rfc822MailMember anna@na.test
		list staff nisMailAlias rfc822MailMember anna rfc822MailMember Team@na.test rfc822MailMember '"quoted or' rfc822MailMember bert@far.example
		list team nisMailAlias rfc822MailMember staff rfc822MailMember gone
		list gone nisMailAlias rfc822MailMember gone@far.example
		list lost nisMailAlias rfc822MailMember nobody
		list whole@na.test nisMailAlias rfc822MailMember whole@far.example ;;
	group-*)
		aux=,mailRecipient
		person Anna uid ab mail anna@gn.test mailAlternateAddress a.berg@gn.test
		person Bert mail bert@gn.test
		person Mute
		person Gone mail gone@gn.test mailForwardingAddress gone@far.example mailForwardingAddress gone@gn.test
		person Box mail boxed@gn.test mailHost box.test
		list Staff groupOfNames,mailGroup mail staff@gn.test owner "cn=Anna,$suffix" member "cn=Anna,$suffix" member "cn=Team,$suffix" member "cn=Mute,$suffix"
		list Team groupOfUniqueNames,mailGroup mail team@gn.test uniqueMember "cn=Staff,$suffix" uniqueMember "cn=Bert,$suffix" uniqueMember "cn=Mails,$suffix"
		list Mails organizationalRole,mailGroup mail mails@gn.test mgrpRFC822MailMember x@far.example mgrpRFC822MailMember gone@gn.test mgrpErrorsTo bert@gn.test
		list Roles organizationalRole,mailGroup roleOccupant "cn=Anna,$suffix" roleOccupant "cn=Box,$suffix" ;;
	esac
}
hidden() {
	case $1 in
	active-* | exchange | site-*) entry cn=hidden user cn hidden sn x mail "hidden@$short.test" ;;
	inet-*)  entry cn=hidden user,inetLocalMailRecipient cn hidden sn x mailLocalAddress "hidden@$short.test" ;;
	nis-*)   entry cn=hidden nisMailAlias cn hidden rfc822MailMember "hidden@$short.test" ;;
	group-*) entry cn=hidden user,mailRecipient cn hidden sn x mail "hidden@$short.test" ;;
	esac
}
printf '%s\n' 'include /etc/ldap/schema/core.schema' 'include /etc/ldap/schema/misc.schema' "include $TEST/presets.schema" 'modulepath /usr/lib/ldap' \
	'moduleload back_mdb' "pidfile $T/slapd.number" 'authz-regexp gidNumber=[0-9]+[+]uidNumber=[0-9]+,cn=peercred,cn=external,cn=auth cn=proved' >slapd.conf
for preset in $presets; do
	short=$(of $preset) suffix=dc=$(of $preset),dc=test aux=
	mkdir "db.$short"
	cat >>slapd.conf <<E
database mdb
suffix $suffix
directory $T/db.$short
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree=ou=closed,$suffix by dn.exact=$(reader $preset) read by dn.exact=cn=proved read by * none
access to * by * read
E
	{
		printf '%s\n' "dn: $suffix" 'objectClass: dcObject' 'objectClass: organization' "dc: $short" 'o: x' ''
		(entries $preset)
		(suffix=''; entry "$(reader $preset)" person,uidObject cn reader uid reader sn x userPassword secret) | sed '1s/,$//'
		entry ou=closed organizationalUnit ou closed
		(suffix=ou=closed,$suffix; hidden $preset)
	} >$short.ldif
done
for preset in $presets; do
	slapadd -q -f slapd.conf -b "dc=$(of $preset),dc=test" -l "$(of $preset).ldif" >slapadd.log 2>&1 || { cat slapadd.log; fail "slapadd: $preset"; }
done
url=ldapi://$(echo "$T/ldapi" | sed 's,/,%2F,g')
spawn slapd slapd -d 0 -f slapd.conf -h "$url"
wait_for '[ -S ldapi ]'

# --- the servers ---

spawn sink "$sink"
wait_for 'grep -q listening sink.log'
port=$(sed -n 's/^sink listening on .*://p' sink.log)
spawn box "$sink" -p "127.0.0.2:$port"			# the host that entries name
wait_for 'grep -q listening box.log'
echo '127.0.0.2 box.test' >hosts
(umask 077; echo secret >password)
server() {
	cat <<E
server $1 {
    general { listen 127.0.0.1:0; hostname mail.test; mailroot $1 }
    access { relay only 127.0.0.0/8 }
    delivery { port $port; smart-host [127.0.0.1]; retry 1s }
    ldap-routing { schema $2; $3 }
    domain $(of "$2").test default
    domain rest.test alias
}
E
}
{
	printf 'resolver 127.0.0.1:1\nhosts hosts\n'
	for preset in $presets; do
		short=$(of $preset) at="server $url; base dc=$(of $preset),dc=test"
		server $short $preset "$at; senders yes"
		server $short-name $preset "$at; bind simple; $(binding $preset); password password"
		server $short-proved $preset "$at; bind external"
		server $short-changed $preset "$at; $(changed $preset)"
	done
} >conf
start_server conf -v

# codes SERVER ADDRESS ...: of their RCPTs.
codes() {
	use "$1"; shift
	{
		printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.test>'
		for i; do echo "RCPT TO:<$i>"; done
		printf '%s\n' RSET QUIT
	} | say >said
	sed -n 's/^\([245][0-9][0-9] [245]\.[0-9]\.[0-9]*\).*/\1/p' said | sed '1d;$d' | sed '$d' | paste -s -d' ' -
}
# goes SERVER RECIPIENTS HERE ELSEWHERE [SENDER [AS]]: one message; those at the host of their entry are elsewhere as box:ADDRESS.
token=0
goes() {
	use "$1"
	token=$((token + 1))
	rm -f "$1"/Drop/*
	{
		printf '%s\n' 'EHLO x' "MAIL FROM:<${5-a@client.test}>"
		for i in $2; do echo "RCPT TO:<$i>"; done
		printf '%s\n' DATA "X-Token: t$token." '' x . QUIT
	} | say >said
	grep -q '^250 2.6.0' said || { cat said >&2; fail "$1: not taken: $2"; }
	poll "[ -z \"\$(ls $1/Queue $1/SortTemp | grep eml)\" ]" 20 || fail "$1: $2: it stays"
	here=$(cat "$1"/Drop/*.eml 2>/dev/null | tr -d '\r' | sed -n 's/^x-receiver: //p' | sort | paste -s -d' ' -)
	there=$({
		sed -n "s/^took t${token}[.] .* to=<\([^>]*\)>.*/\1/p" sink.log
		sed -n "s/^took t${token}[.] .* to=<\([^>]*\)>.*/box:\1/p" box.log
	} | sort | paste -s -d' ' -)
	is "$here | $there" "$3 | $4" "$1: $2"
	[ -z "${6-}" ] || is "$({ grep -h "^took t${token}[.]" sink.log box.log | sed 's/.* from=<\([^>]*\)>.*/\1/'
		cat "$1"/Drop/*.eml 2>/dev/null | tr -d '\r' | sed -n 's/^x-sender: //p'; } | sort -u)" "$6" "$1: $2: from"
}
left_out() { grep -qF "left out=\"$1\"" server.log || fail "$1 is not mentioned"; }

for preset in $presets; do
	short=$(of $preset)
	is "$(codes $short hidden@$short.test anna@$short.test)" "550 5.1.1 250 2.1.5" "$preset: anonymous"
	is "$(codes $short-name hidden@$short.test nobody@$short.test)" "250 2.1.5 550 5.1.1" "$preset: by name"
	is "$(codes $short-proved hidden@$short.test nobody@$short.test)" "250 2.1.5 550 5.1.1" "$preset: external"
done
ok binding

for i in ad ex ss gn; do
	is "$(codes $i a.berg@$i.test A.BERG@$i.test gone@$i.test staff@$i.test team@$i.test nobody@$i.test postmaster)" \
		'250 2.1.5 250 2.1.5 250 2.1.5 250 2.1.5 250 2.1.5 550 5.1.1 250 2.1.5' $i
	goes $i anna@$i.test anna@$i.test ''
	goes $i "a.berg@$i.test z@far.example" anna@$i.test z@far.example a.berg@$i.test anna@$i.test
	goes $i "bert@$i.test z@far.example" bert@$i.test z@far.example nobody@$i.test nobody@$i.test
done
goes ad staff@ad.test 'anna@ad.test bert@ad.test' Gone@far.example '' ''
goes ad staff@ad.test 'anna@ad.test bert@ad.test' Gone@far.example a@client.test anna@ad.test
goes ad 'gone@ad.test team@ad.test' 'anna@ad.test bert@ad.test' Gone@far.example
left_out cn=Mute,cn=Users,dc=ad,dc=test
left_out cn=Left,cn=Users,dc=ad,dc=test
goes ad-changed anna@ad.test principal@ad.test ''
is "$(codes ad-changed anna@ad.test a.berg@ad.test staff@ad.test)" '250 2.1.5 550 5.1.1 550 5.1.1'
goes ad-changed mute@ad.test mute@ad.test ''
ok active-directory

goes ex staff@ex.test 'anna@ex.test bert@ex.test' gone@far.example a@client.test anna@ex.test
is "$(codes ex x@ex.test)" '550 5.1.1'			# of another kind of mailbox than smtp$
left_out cn=Mute,dc=ex,dc=test
goes ex-changed AB@ex.test a.berg@ex.test ''
is "$(codes ex-changed anna@ex.test mute@ex.test)" '550 5.1.1 250 2.1.5'
ok exchange

goes ss staff@ss.test 'anna@ss.test bert@ss.test gone@ss.test' '' a@client.test anna@ss.test
goes ss boxed@ss.test boxed@ss.test ''
left_out cn=Mute,ou=members,dc=ss,dc=test
goes ss-changed 'gone@ss.test boxed@ss.test' '' 'box:boxed@ss.test gone@far.example'
goes ss-changed 'team@ss.test' 'anna@ss.test bert@ss.test' gone@far.example a@client.test a@client.test
ok site-server

is "$(codes lm a.berg@lm.test ab@lm.test both@lm.test mute@lm.test nobody@lm.test)" '250 2.1.5 250 2.1.5 250 2.1.5 550 5.1.1 550 5.1.1'
goes lm 'a.berg@lm.test AB@lm.test' anna@lm.test ''
goes lm 'bert@lm.test us@lm.test gone@lm.test' 'bert@lm.test us@lm.test' gone@far.example ab@lm.test anna@lm.test
goes lm 'boxed@lm.test both@lm.test' '' 'box:boxed@lm.test box:inside@box.test'
goes lm 'who@rest.test one@rest.test' '' 'box:one@rest.test who@far.example'
is "$(codes lm-changed anna@lm.test one@rest.test)" '550 5.1.1 250 2.1.5'
goes lm-changed one@rest.test '' one@far.example
ok inet-local-mail

is "$(codes na anna@na.test STAFF@na.test nobody@na.test)" '250 2.1.5 250 2.1.5 550 5.1.1'
goes na staff@na.test anna@na.test 'bert@far.example gone@far.example' anna@na.test anna@na.test
left_out '\x22quoted or'
goes na-changed whole@na.test '' whole@far.example
is "$(codes na-changed anna@na.test)" '550 5.1.1'
ok nis-alias

goes gn staff@gn.test 'anna@gn.test bert@gn.test gone@gn.test' 'gone@far.example x@far.example' a@client.test anna@gn.test
goes gn mails@gn.test gone@gn.test 'gone@far.example x@far.example' a@client.test bert@gn.test
goes gn boxed@gn.test '' box:boxed@gn.test
goes gn-changed roles@gn.test anna@gn.test box:boxed@gn.test
goes gn-changed AB@gn.test anna@gn.test ''
ok group-of-names
stop_server

# --- names that are no DN, which slapd does not take ---

spawn ad "$directory" -l ad.said ad.ldif
wait_for 'grep -q listening ad.log'
at="server ldap://127.0.0.1:$(sed -n 's/^listening on .*://p' ad.log); base dc=ad,dc=test; bind simple; clear-text-password yes; password password"
for i in 'user reader; domain ad.test' 'user reader; domain AD' 'user reader@ad.test; domain AD' 'user AD\reader' "user cn=reader,cn=Users,dc=ad,dc=test"; do
	{ printf 'resolver 127.0.0.1:1\nhosts hosts\n'; server names active-directory "$at; $i"; } >names.conf
	start_server names.conf
	is "$(codes names a.berg@ad.test nobody@ad.test)" '250 2.1.5 550 5.1.1' "$i"
	stop_server
done
is "$(sed -n 's/^bind 3 //p' ad.said | paste -s -d'|' -)" \
	'reader@ad.test secret|AD\reader secret|reader@ad.test secret|AD\reader secret|cn=reader,cn=Users,dc=ad,dc=test secret'
ok names
