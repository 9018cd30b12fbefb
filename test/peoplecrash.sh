#!/bin/sh
# peoplecrash: a message for a group of the directory, for one who is forwarded and for one who lives here; the server is
# killed at each act on the disk that it does for it, one after the other, and started again. Then each of those who are
# meant has it once; who lives here may find it renamed, but once too. The list's owner is its sender, and who wrote to it is
# told once at most that it was passed on.
# shellcheck disable=SC2012,SC2016,SC2046,SC2086,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
PATH=$PATH:/usr/sbin; export PATH
need slapd slapadd
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac

base='dc=example,dc=org'
mkdir db
cat >slapd.conf <<E
include /etc/ldap/schema/core.schema
include $TEST/people.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile $T/slapd.number
database mdb
suffix $base
directory $T/db
E
cat >ldif <<E
dn: $base
objectClass: dcObject
objectClass: organization
dc: example
o: x

dn: cn=Group,$base
objectClass: group
cn: Group
mail: group@example.org
managedBy: cn=Two,$base
member: cn=One,$base
member: cn=Two,$base

dn: cn=One,$base
objectClass: user
cn: One
mail: one@example.org

dn: cn=Two,$base
objectClass: user
cn: Two
mail: two@example.org

dn: cn=Alias,$base
objectClass: contact
cn: Alias
mail: alias@example.org
targetAddress: three@example.org

dn: cn=Three,$base
objectClass: user
cn: Three
mail: three@example.org
E
slapadd -f slapd.conf -l ldif >slapadd.log 2>&1 || { cat slapadd.log; fail 'slapadd'; }
url=ldapi://$(echo "$T/ldapi" | sed 's,/,%2F,g')
spawn slapd slapd -d 0 -f slapd.conf -h "$url"
wait_for '[ -S ldapi ]'
cat >conf <<E
resolver 127.0.0.1:1
server s {
    general { listen $HOST:0; hostname mail.example.org; mailroot root }
    delivery { retry 1s; local-retry 1s; glitch-retry 1s 1 }
    ldap-routing { server $url; base $base; senders yes }
    domain example.org default
}
E
quiet() { [ -z "$(ls root/Queue root/SortTemp | grep '^2')" ]; }
# killed ACT NTH: prints whether the message was accepted; fails when it was not killed.
killed() {
	spawn server env FAULT="$1 $2 KILL" "$SMTPD" -f conf $ME
	poll '[ -n "$(announced "")" ] || [ -e server.rc ]'
	PORT=$(announced '') accepted=
	[ -z "$PORT" ] || printf '%s\n' 'EHLO x' 'MAIL FROM:<one@example.org>' 'RCPT TO:<group@example.org> NOTIFY=SUCCESS' \
	    'RCPT TO:<alias@example.org>' 'RCPT TO:<one@example.org>' DATA 'Subject: x' '' . QUIT | say >said 2>&1
	! grep -q '^250 2.6.0' said || accepted=1
	poll '[ -e server.rc ] || { [ -n "$accepted" ] && quiet; }'
	[ -e server.rc ] || { kill_server; return 1; }
	rm -f server.pid
}
i=0
for act in open write sync rename; do
	nth=0
	while nth=$((nth + 1)); : >said; killed $act $nth; do
		i=$((i + 1))
		[ $nth -lt 50 ] || fail 'there is no end of it'
		[ -z "$(ls root/Queue)" ] || accepted=1         # or as good as that
		start_server conf
		poll quiet || fail "killed at $act $nth: there is left: $(ls root/Queue root/SortTemp | tr '\n' ' ')"
		stop_server
		reports=$(grep -l '^Auto-Submitted:' root/Drop/*.eml 2>/dev/null)
		[ "$(echo $reports | wc -w)" -le 1 ] || fail "killed at $act $nth: reported twice: $reports"
		rm -f $reports
		got=$(cat root/Drop/*.eml 2>/dev/null | tr -d '\r' | sed -n 's/^x-receiver: //p' | sort | tr '\n' ' ')
		[ "$got" = 'one@example.org three@example.org two@example.org ' ] || { [ -z "$accepted" ] && [ -z "$got" ]; } ||
			fail "killed at $act $nth: $got"
		is "$(ls root/Badmail)" ''
		rm -f root/Drop/*
	done
	rm -f root/Drop/*
done
[ $i -gt 10 ] || fail "there were only $i such acts"
ok "killed at $i acts"
