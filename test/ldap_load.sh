#!/bin/sh
# ldap_load: Debian's slapd with many people and a large group, asked over TLS, is killed and started again while mail for
# them comes (test/underload). DIRECTORY_ENTRIES (2000) is how many there are; the largest group has a fifth of them.
# shellcheck disable=SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"
. "$TEST/underload"
PATH=$PATH:/usr/sbin; export PATH
need slapd slapadd
[ -f /etc/ldap/schema/misc.schema ] || skip 'there are no schemas in /etc/ldap/schema'
people=${DIRECTORY_ENTRIES:-2000}
members=$((people / 5)) letters=$((200 + people / 200))

tls=yes
"$SMTPD" -V 2>&1 | grep -q 'without TLS' && tls=no
[ $tls = no ] || { need openssl; authority ca; certify server ca 127.0.0.1; }
port=$((20000 + $$ % 9000))
mkdir db
cat >slapd.conf <<E
$(printf "include /etc/ldap/schema/%s.schema\n" core cosine inetorgperson misc)
attributetype ( 2.16.840.1.113730.3.1.17 NAME 'mailForwardingAddress' EQUALITY caseIgnoreIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile $T/slapd.number
$([ $tls = no ] || printf 'TLSCACertificateFile %s\nTLSCertificateFile %s\nTLSCertificateKeyFile %s\n' "$T/ca.pem" "$T/server.pem" "$T/server.key")
database mdb
suffix $base
directory $T/db
maxsize 1073741824
index objectClass,uid,mail eq
E
crowd >ldif
slapadd -q -f slapd.conf -l ldif >slapadd.log 2>&1 || { cat slapadd.log; fail slapadd; }

directory_starts() { spawn slapd slapd -d 0 -f slapd.conf -h "ldap://127.0.0.1:$port/"; }
directory_dies() { end slapd KILL 10; }
directory_starts
if [ $tls = yes ]; then
	begin "server ldap://127.0.0.1:$port; start-tls yes; ca-file ca.pem"
else
	begin "server ldap://127.0.0.1:$port"
fi
underload
stop_server
end slapd TERM 10
