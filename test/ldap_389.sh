#!/bin/sh
# ldap_389: another directory than OpenLDAP's: 389 Directory Server, with the schema of mail servers that it brings along.
# Who is a person, a group, nobody; its pages and limits; and mail under load while it is killed (test/underload).
# shellcheck disable=SC2012,SC2016,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/underload"
PATH=$PATH:/usr/sbin; export PATH
need ns-slapd
template=/usr/share/dirsrv/data/template-dse.ldif
[ -r $template ] || skip "there is no $template"
[ -x "$TEST/lookup" ] || skip 'test/lookup is not built'
people=3000 members=600 letters=200

# Its configuration is what its package has as a template; here only a local socket, and not the memory of a large machine.
# What it counts lies beside all that, under the name of the folder where this is.
etc=$T/smtpd-389.$$
trap 'rc=$?; rm -f "/dev/shm/sem.${etc##*/}.stats"; (exit $rc); finish' EXIT
mkdir "$etc" "$etc/schema" db lock log run
printf '%s\n' 'dn: cn=schema' 'objectClass: top' 'objectClass: ldapSubentry' 'objectClass: subschema' 'cn: schema' >"$etc/schema/99user.ldif"
sed -e "s,%schema_dir%,$etc/schema,; s,%c[a-z]*_dir%,$etc,; s,%db[a-z_]*_dir%,$T/db,; s,%lock_dir%,$T/lock,; s,%log_dir%,$T/log,; s,%run_dir%,$T/run,
	s,%ldapi%,$T/ldapi,; s,%[a-z]*_dir%,$T,; s/%ds_port%/0/; s/%db_lib%/bdb/; s/%ldapi_enabled%/on/; s/%ldapi_autobind%/off/; s/%fqdn%/localhost/
	s/%ds_user%/$(id -un)/; s/%rootdn%/cn=root/; s/%ds_suffix%/$base/; /%ds_passwd%/d
	/^nsslapd-mode: 600/{p; s/.*/nsslapd-cache-autosize: 0/p; s/.*/nsslapd-dbcachesize: 8000000/;}" $template >"$etc/dse.ldif"
cat >>"$etc/dse.ldif" <<E
dn: cn=all,cn=ldbm database,cn=plugins,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsBackendInstance
nsslapd-suffix: $base
nsslapd-directory: $T/db/all
cn: all

dn: cn="$base",cn=mapping tree,cn=config
objectClass: top
objectClass: extensibleObject
objectClass: nsMappingTree
cn: "$base"
nsslapd-state: backend
nsslapd-backend: all
E
{
	crowd | sed '/^dc: /a\
aci: (targetattr != "userPassword || description")(version 3.0; acl "all"; allow (read, search, compare) userdn="ldap:///anyone";)\
aci: (targetattr = "description")(version 3.0; acl "one"; allow (read, search) userdn="ldap:///uid=reader,'$base'";)'
	cat <<E

dn: uid=reader,$base
objectClass: inetOrgPerson
uid: reader
cn: R
sn: R
userPassword: secret
description: only he reads this

dn: uid=anna,$base
objectClass: inetOrgPerson
objectClass: mailRecipient
uid: anna
cn: Anna
sn: Berg
mail: anna@example.org
mailAlternateAddress: a.berg@example.org

dn: uid=mute,$base
objectClass: inetOrgPerson
uid: mute
cn: M
sn: M

dn: cn=Staff,$base
objectClass: groupOfUniqueNames
objectClass: mailGroup
cn: Staff
mail: staff@example.org
mgrpRFC822MailMember: x@far.example
mgrpErrorsTo: a.berg@example.org
uniqueMember: UID=Anna, DC=Example, DC=Org
uniqueMember: uid=mute,$base
uniqueMember: cn=Team,$base

dn: cn=Team,$base
objectClass: groupOfUniqueNames
objectClass: mailGroup
cn: Team
mailAlternateAddress: team@example.org
uniqueMember: cn=Staff,$base
uniqueMember: uid=f1,$base
E
} >ldif
ns-slapd ldif2db -D "$etc" -n all -i "$T/ldif" >import.log 2>&1 || { tail -n 20 import.log; fail 'ldif2db'; }
url=ldapi://$(echo "$T/ldapi" | sed 's,/,%2F,g')
(umask 077; echo secret >password)
echo "resolver 127.0.0.1:1; server x { domain example.org default; ldap-routing { server $url; base $base } }" >any.conf
echo "resolver 127.0.0.1:1; server x { domain example.org default; ldap-routing { server $url; base $base; bind simple; user uid=reader,$base; password password } }" >named.conf
directory_starts() {
	spawn directory ns-slapd -D "$etc" -i "$T/run/pid" -d 0
	wait_for "limit 9 $TEST/lookup -f any.conf '(uid=anna)' 2>/dev/null | grep -q '^done 1'"
}
directory_dies() { end directory KILL 10; }
lookup() {
	limit $((${LIMIT:-30} * 2)) ${WRAP-} "$TEST/lookup" "$@" >answer 2>answer.err || { tail -n 20 answer.err; fail "lookup $*"; }
	paste -s -d' ' answer
}

directory_starts
like "$(lookup -f any.conf '(mailAlternateAddress=A.BERG@example.org)' mail description)" 'dn: *anna,dc=example,dc=org mail: anna@example.org done 1'
like "$(lookup -f named.conf '(uid=reader)' description)" '* description: only he reads this done 1'
is "$(lookup -f any.conf '(mail=nobody@example.org)' mail)" 'done 0'
like "$(lookup -f any.conf -b cn=none,$base '(uid=*)')" 'done 0'
like "$(lookup -f any.conf '(uid=u*)' 1.1)" '*failed *sizeLimitExceeded (4)*'
is "$(lookup -f any.conf -q -p '(uid=u*)' mail)" "done 1 failed 0 entries $people"
is "$(lookup -f any.conf '(cn=all)' member | tr ' ' '\n' | grep -c '^member:')" $members
ok 'look-ups'

begin "server $url; bind simple; user reader; password password"
use people
printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.test>' 'RCPT TO:<a.berg@example.org>' 'RCPT TO:<nobody@example.org>' DATA 'X-Token: e1.' '' x . \
	'MAIL FROM:<a@client.test>' 'RCPT TO:<team@example.org>' DATA 'X-Token: e2.' '' x . QUIT | say >said
is "$(grep -c '^250 2.1.5' said) $(grep -c '^250 2.6.0' said) $(grep -c '^550 5.1.1 <nobody@example.org>' said)" '2 2 1' 'replies'
wait_for '[ -z "$(ls people/Queue people/SortTemp | grep eml)" ]'
is "$(arrived | sort | paste -s -d' ' -)" 'e1. anna@example.org e2. anna@example.org e2. f1@far.example e2. x@far.example'
grep -q "left out=\"uid=mute,$base\"" server.log || fail 'who has no address is not mentioned'
ok 'people and groups'
underload
stop_server
directory_dies
