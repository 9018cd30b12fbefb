#!/bin/sh
# ldap_real: Debian's slapd, asked by test/lookup: every way to it and to bind, its certificates, 50,000 entries in pages,
# a group of 10,000 in one entry, and what is asked while it is killed and started again.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"
[ -x "$TEST/lookup" ] || skip 'test/lookup is not built'
PATH=$PATH:/usr/sbin
need slapd slapadd
[ -d /etc/ldap/schema ] || skip 'there are no schemas in /etc/ldap/schema'
tls=yes
"$SMTPD" -V 2>&1 | grep -q 'without TLS' && tls=no
[ $tls = no ] || { need openssl; authority ca; authority other; certify server ca localhost 127.0.0.1; certify us ca us with client; }
tools directory

mkdir data
cat >slapd.conf <<E
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile $T/slapd.number
$([ $tls = no ] || printf 'TLSCACertificateFile %s\nTLSCertificateFile %s\nTLSCertificateKeyFile %s\nTLSVerifyClient try\n' "$T/ca.pem" "$T/server.pem" "$T/server.key")
sizelimit unlimited
authz-regexp cn=us cn=proved,dc=example,dc=com
authz-regexp gidNumber=[0-9]+[+]uidNumber=[0-9]+,cn=peercred,cn=external,cn=auth cn=proved,dc=example,dc=com
database mdb
suffix dc=example,dc=com
rootdn cn=admin,dc=example,dc=com
rootpw secret
directory $T/data
maxsize 1073741824
dbnosync
index objectClass,uid,mail eq
access to dn.base=uid=anna,dc=example,dc=com attrs=telephoneNumber by dn.base=cn=proved,dc=example,dc=com read by * none
access to * by * read
E
awk 'BEGIN {
	print "dn: dc=example,dc=com\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n"
	print "dn: uid=anna,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: anna\ncn: Anna\nsn: A\nmail: anna@example.com\ntelephoneNumber: 123\n"
	print "dn: ou=away,dc=example,dc=com\nobjectClass: referral\nobjectClass: extensibleObject\nou: away\nref: ldap://elsewhere.example/ou=away,dc=example,dc=com\n"
	for (i = 0; i < 50000; i++)
		printf "dn: uid=u%d,dc=example,dc=com\nobjectClass: inetOrgPerson\nuid: u%d\ncn: U\nsn: U\nmail: u%d@example.com\n\n", i, i, i
	print "dn: cn=all,dc=example,dc=com\nobjectClass: groupOfNames\ncn: all"
	for (i = 0; i < 10000; i++)
		printf "member: uid=u%d,dc=example,dc=com\n", i
	print "" }' >all.ldif
slapadd -q -f slapd.conf -l all.ldif >slapadd.out 2>&1 || { cat slapadd.out; fail 'slapadd'; }

ldapi=ldapi://$(echo "$T/ldapi" | sed 's,/,%2F,g')
# slapd does not say which port the system has picked for it, so we let it pick one for us, twice, and give it back.
pick() {
	spawn pick "$directory" /dev/null
	wait_for "grep -q 'listening on' pick.log"
	end pick TERM 5
	picked=$(sed -n 's/.*listening on .*://p' pick.log)
}
serve() {
	spawn slapd slapd -d 0 -f slapd.conf -h "ldap://127.0.0.1:$port/ $ldapi/$([ $tls = no ] || echo " ldaps://127.0.0.1:$tls_port/")"
	wait_for "[ -e slapd.rc ] || limit 9 $TEST/lookup -f first.conf '(uid=anna)' 2>/dev/null | grep -q '^done 1'"
	[ ! -e slapd.rc ]
}
routing() { echo "resolver 127.0.0.1:1; server x { domain example.com default; ldap-routing { base dc=example,dc=com; $* } }" >smtpd.conf; }
lookup() {
	out=$1; shift
	limit $((${LIMIT:-30} * 6)) ${WRAP-} "$TEST/lookup" "$@" >"$out" 2>"$out.err" || { tail -n 20 "$out.err" >&2; fail "lookup failed, or took too long: $*"; }
}
answers() {
	want=$1; shift
	lookup answer "$@"
	like "$(paste -s -d' ' answer)" "$want" "$*"
}
tries=0
until
	tries=$((tries + 1))
	[ $tries -lt 10 ] || { cat slapd.log; fail 'slapd does not start'; }
	pick; port=$picked
	pick; tls_port=$picked url=ldap://127.0.0.1:$port
	routing "server $url"
	cp smtpd.conf first.conf
	serve
do end slapd TERM 9; done

# --- every way ---

anna='dn: uid=anna,dc=example,dc=com mail: anna@example.com'
(umask 077; echo secret >password; echo wrong >wrong)
simple='bind simple; user cn=admin,dc=example,dc=com; password'
answers "$anna done 1" '(mail=ANNA@example.com)' mail telephoneNumber
answers 'done 0' '(mail=nobody@example.com)' mail
answers 'done 0' -b 'dc=none,dc=example,dc=com' '(uid=*)'
answers 'failed *invalidDNSyntax (34)*' -b 'what?' '(uid=*)'
answers "$anna done 1" '(&(objectClass=inetOrgPerson)(|(uid:dn:caseIgnoreMatch:=anna)(mail=x*y*z))(!(uid=b*))(sn~=A))' mail
routing "server $url; $simple password"
answers "$anna telephoneNumber: 123 done 1" '(uid=anna)' mail telephoneNumber
routing "server $url; $simple wrong"
answers 'later *invalidCredentials (49)' '(uid=anna)'
routing "server $ldapi"
answers "$anna done 1" '(uid=anna)' mail telephoneNumber
routing "server $ldapi; bind external"
answers "$anna telephoneNumber: 123 done 1" '(uid=anna)' mail telephoneNumber
routing "server $url"
lookup answer -v '(|(uid=anna)(objectClass=referral))' mail
grep -q 'refers to ldap://elsewhere.example/.* which is not followed' answer.err || fail 'a reference is not in the log'

if [ $tls = yes ]; then
	for way in "server $url; start-tls yes" "server ldaps://127.0.0.1:$tls_port"; do
		routing "$way; ca-file ca.pem"
		answers "$anna done 1" '(uid=anna)' mail telephoneNumber
		routing "$way; ca-file ca.pem; $simple password"
		answers "$anna telephoneNumber: 123 done 1" '(uid=anna)' mail telephoneNumber
		routing "$way; ca-file ca.pem; bind external; certificate us.pem us.key"
		answers "$anna telephoneNumber: 123 done 1" '(uid=anna)' mail telephoneNumber
		routing "$way; ca-file other.pem"
		answers 'later *its certificate is not believed*' '(uid=anna)'
	done
	echo '127.0.0.1 localhost other.example' >hosts
	for host in localhost other.example; do
		routing "server ldap://$host:$port; start-tls yes; ca-file ca.pem"
		{ echo 'hosts hosts'; cat smtpd.conf; } >hosts.conf
		case $host in
		localhost) answers "$anna done 1" -f hosts.conf '(uid=anna)' mail ;;
		*)         answers 'later *its certificate is not believed*' -f hosts.conf '(uid=anna)' ;;
		esac
	done
fi

# --- much ---

routing "server $url; timeout 60s"
lookup many -v -q -p '(uid=u*)' mail
is "$(cat many)" 'done 1 failed 0 entries 50000'
memory=$(sed -n 's/^memory //p' many.err)
[ "$memory" -lt 12000 ] || [ -n "${WRAP-}" ] || grep -q __asan "$TEST/lookup" || fail "50,000 entries took $memory KiB"
lookup many -q -p -n 4 -j 4 '(uid=u1*)' mail
is "$(cat many)" "done 4 failed 0 entries $((11111 * 4))"
lookup group '(cn=all)' member
is "$(grep -c '^member: ' group)" 10000 'members of the group'
answers '*failed *sizeLimitExceeded (4)' -l 3 '(uid=u*)' 1.1
lookup many -q -n 20000 -j 200 -r 50000 '(mail=u%r@example.com)' mail
is "$(cat many)" 'done 20000 failed 0 entries 20000'

# --- it dies, and comes back ---

spawn user "$TEST/lookup" -v -n 1000000 -j 20 -r 50000 '(mail=u%r@example.com)' mail
wait_for "grep -q '^done 1' user.log"
end slapd KILL 9
wait_for "grep -q 'no directory answers' user.log && grep -q '^later' user.log"
: >user.log
serve || fail 'slapd does not start again'
wait_for "grep -q 'answers again' user.log"
wait_for "grep -q '^done 1' user.log"
sed '1,/answers again/d' user.log | grep -q '^later' && fail 'questions fail though it is back'
end slapd TERM 9
wait_for "grep -q 'no directory answers' user.log"
serve || fail 'slapd does not start again'
wait_for "[ \$(grep -c 'answers again' user.log) -ge 2 ]"
end user TERM 9
end slapd TERM 9
ok
