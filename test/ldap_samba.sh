#!/bin/sh
# ldap_samba: Active Directory as Samba is one: its schema, its names to bind with (user@domain and DOMAIN\user, by TLS), its
# references in each answer; and what it refuses: who says no name, or a password in clear. Its ports are fixed, so it has
# a network of its own, and only root can give it that.
# shellcheck disable=SC2016,SC2046,SC2154
if [ -z "${NETWORK-}" ] && [ "$(id -u)" = 0 ] && unshare -n true 2>/dev/null; then
	exec unshare -n env NETWORK=own ${SH:-sh} "$0"
fi
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"
PATH=$PATH:/usr/sbin:/sbin; export PATH
need samba samba-tool unshare ip iconv ldapadd openssl
need_tls
[ "${NETWORK-}" = own ] || skip 'only root can give Samba a network of its own'
[ -d /usr/share/samba/setup/ad-schema ] || skip 'samba-ad-provision is not installed'
ip link set lo up || fail 'no network'
tools sink

authority ca
certify server ca 127.0.0.1
authority other
limit 100 samba-tool domain provision --realm=AD.TEST --domain=AD --server-role=dc --dns-backend=NONE --adminpass=Secret-123 --host-name=dc \
	--host-ip=127.0.0.1 --targetdir="$T/samba" >provision.log 2>&1 || fail 'Samba cannot be set up'
cat >smb.conf <<E
[global]
	server role = active directory domain controller
	server services = ldap
	realm = AD.TEST
	workgroup = AD
	netbios name = DC
	interfaces = lo
	bind interfaces only = yes
	private dir = $T/samba/private
	lock directory = $T/samba
	state directory = $T/samba/state
	cache directory = $T/samba/cache
	pid directory = $T/samba
	ncalrpc dir = $T/samba/ncalrpc
	tls cafile = $T/ca.pem
	tls certfile = $T/server.pem
	tls keyfile = $T/server.key
E
LDAPTLS_CACERT=$T/ca.pem; export LDAPTLS_CACERT
samba_starts() {
	spawn samba samba -F -i --debug-stdout --no-process-group -M single -s "$T/smb.conf"
	wait_for 'ldapsearch -x -H ldaps://127.0.0.1 -D administrator@ad.test -w Secret-123 -s base -b dc=ad,dc=test 1.1 >search.log 2>&1' 60
}
samba_starts
cat >ldif <<'E'
dn: cn=reader,cn=Users,dc=ad,dc=test
objectClass: user
sAMAccountName: reader
userPrincipalName: reader@ad.test
userAccountControl: 512
unicodePwd:: PASSWORD

dn: cn=Berg\, Anna,cn=Users,dc=ad,dc=test
objectClass: user
sAMAccountName: anna
mail: anna@ad.test
proxyAddresses: SMTP:anna@ad.test
proxyAddresses: smtp:a.berg@ad.test
proxyAddresses: X500:/o=Test/cn=anna

dn: cn=Bert,cn=Users,dc=ad,dc=test
objectClass: user
sAMAccountName: bert
mail: Bert@ad.test

dn: cn=Mute,cn=Users,dc=ad,dc=test
objectClass: user
sAMAccountName: mute

dn: cn=Far,cn=Users,dc=ad,dc=test
objectClass: contact
mail: x@far.example

dn: cn=Staff,cn=Users,dc=ad,dc=test
objectClass: group
sAMAccountName: staff
mail: staff@ad.test
managedBy: cn=Berg\, Anna,cn=Users,dc=ad,dc=test
member: cn=Berg\, Anna,cn=Users,dc=ad,dc=test
member: cn=Mute,cn=Users,dc=ad,dc=test

dn: cn=Team,cn=Users,dc=ad,dc=test
objectClass: group
sAMAccountName: team
proxyAddresses: SMTP:team@ad.test
member: cn=Staff,cn=Users,dc=ad,dc=test
member: cn=Bert,cn=Users,dc=ad,dc=test
member: cn=Far,cn=Users,dc=ad,dc=test

dn: cn=Staff,cn=Users,dc=ad,dc=test
changetype: modify
add: member
member: cn=Team,cn=Users,dc=ad,dc=test
E
sed "s|PASSWORD|$(printf '"Reader-456"' | iconv -f ASCII -t UTF-16LE | openssl base64)|; /changetype/!s/^objectClass:/changetype: add\\
&/" ldif >changes
ldapmodify -x -H ldaps://127.0.0.1 -D administrator@ad.test -w Secret-123 -f changes >ldapmodify.log 2>&1 || fail 'its entries are not taken'

spawn sink "$sink"
wait_for 'grep -q listening sink.log'
(umask 077; echo Reader-456 >password; echo wrong >wrong)
server() {
	name=$1; shift
	echo "server $name { general { listen 127.0.0.1:0; hostname mail.ad.test; mailroot $name }; access { relay only 127.0.0.0/8 }"
	echo "delivery { port $(sed -n 's/^sink listening on .*://p' sink.log); smart-host [127.0.0.1]; glitch-retry 1s 3; retry 1s }"
	printf '%s\n' 'ldap-routing {' "$@" 'base dc=ad,dc=test; senders yes' '}' 'domain ad.test default' '}'
}
tls='server ldaps://127.0.0.1; ca-file ca.pem' start_tls='server ldap://127.0.0.1; start-tls yes; ca-file ca.pem'
{
	echo 'resolver 127.0.0.1:1'
	server upn "$tls; bind simple; user reader; domain ad.test; password password"
	server short "$start_tls; bind simple; user reader; domain AD; password password"
	server chain "$tls; bind simple; user reader; domain AD; password password; member-attribute none" \
		'member-filter "(memberOf:1.2.840.113556.1.4.1941:=%s)"'
	server back "$tls; bind simple; user reader; domain AD; password password; member-attribute none; member-filter \"(memberOf=%s)\""
	server dn "$tls; bind simple; user cn=reader,cn=Users,dc=ad,dc=test; password password"
	server nobody "$tls"
	server clear 'server ldap://127.0.0.1; bind simple; clear-text-password yes; user reader; domain AD; password password'
	server guessed "$tls; bind simple; user reader; domain AD; password wrong"
	server strange 'server ldaps://127.0.0.1; ca-file other.pem; bind simple; user reader; domain AD; password password'
} >conf
start_server conf

codes() {
	use "$1"; shift
	{
		printf '%s\n' 'EHLO x' 'MAIL FROM:<a@client.test>'
		for i; do echo "RCPT TO:<$i>"; done
		printf '%s\n' RSET QUIT
	} | say >said
	sed -n 's/^\([245][0-9][0-9] [245]\.[0-9]\.[0-9]*\).*/\1/p' said | sed '1d;$d' | sed '$d' | paste -s -d' ' -
}
for i in upn short dn; do
	is "$(codes $i a.berg@ad.test BERT@ad.test nobody@ad.test team@ad.test mute@ad.test)" '250 2.1.5 250 2.1.5 550 5.1.1 250 2.1.5 550 5.1.1' $i
done
for i in nobody clear guessed strange; do
	is "$(codes $i a.berg@ad.test nobody@ad.test)" '451 4.4.3 451 4.4.3' $i
done
ok binding

# goes TOKEN SERVER SENDER RECIPIENT: prints who has it, here and there, and the senders.
goes() {
	token=$1; shift
	use "$1"
	printf '%s\n' 'EHLO x' "MAIL FROM:<$2>" "RCPT TO:<$3>" DATA "X-Token: $token." '' x . QUIT | say >said
	grep -q '^250 2.6.0' said || { cat said >&2; fail "$1: not taken: $3"; }
	wait_for "[ -z \"\$(ls $1/Queue $1/SortTemp | grep eml)\" ]"
	{
		sed -n "s/^took ${token}[.] from=<\([^>]*\)> to=<\([^>]*\)>.*/\2 \1/p" sink.log
		find "$1/Drop" -name '*.eml' -exec grep -l "^X-Token: ${token}[.]" {} + | while read -r i; do
			awk '{ sub(/\r$/, "") } /^x-sender: / { from = $2 } /^x-receiver: / { print $2, from }' "$i"
		done
	} | sort | paste -s -d'|' -
}
is "$(goes t1 upn a.berg@ad.test anna@ad.test)" 'anna@ad.test anna@ad.test' 'a person, from himself'
is "$(goes t2 short a@client.test a.berg@ad.test)" 'anna@ad.test a@client.test' 'another address'
is "$(goes t3 upn a@client.test staff@ad.test)" 'Bert@ad.test anna@ad.test|anna@ad.test anna@ad.test|x@far.example anna@ad.test' 'a group'
is "$(goes t4 short a@client.test team@ad.test)" 'Bert@ad.test a@client.test|anna@ad.test a@client.test|x@far.example a@client.test' 'another one'
for i in back chain; do			# what the entries of its members say; that rule of AD looks into the groups in it, too
	is "$(goes $i $i a@client.test team@ad.test)" 'Bert@ad.test a@client.test|anna@ad.test a@client.test|x@far.example a@client.test' "$i"
done
grep -q 'left out="CN=Mute,CN=Users,DC=ad,DC=test"' server.log || fail 'Mute is not mentioned'
grep -q 'refers to ldaps*://ad.test/CN=Configuration,DC=ad,DC=test for .*, which is not followed' server.log || fail 'its references are not in the log'
ok mail

end samba KILL 10
is "$(codes upn x1@ad.test anna@ad.test)" '451 4.4.3 250 2.1.5' 'what it remembers'
samba_starts
wait_for '[ "$(codes upn x1@ad.test team@ad.test)" = "550 5.1.1 250 2.1.5" ]' 60
ok 'it comes back'
