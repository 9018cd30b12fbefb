#!/bin/sh
# relay_auth: we say who we are to the next hop. Goal: each mechanism, and which comes first of those that are allowed
# and offered; a password is not said in clear unless that is asked for, nor shown anywhere; SCRAM's server is believed
# only when it has proved something; what is refused waits, tells the postmaster once, and returns no mail; the accounts
# of rows, of the server, and of nobody; the file is read afresh; and what stands behind MAIL.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"
need python3 openssl
"$SMTPD" -V | grep -q 'without TLS' && exit 0       # relay_account shows what is left

authority root
certify hop root localhost
umask 077
secret='s3cret&pass'
echo "$secret" >password
echo 'wrong' >wrong
echo 'token-1' >token
awk 'BEGIN { while (n++ < 2000) printf "x" }' >long
umask 022

specs='' rows=''
hop() { # NAME 'SETTINGS OF THE ROW' WORD=VALUE ...
	hop_name=$1 hop_row=$2; shift 2
	specs="$specs
$hop_name user=jones $*"
	rows="$rows
$hop_name $hop_row"
}
tls="cert=hop.pem password=$secret"
for way in PLAIN LOGIN SCRAM-SHA-256; do
	hop one.$way 'authenticate any jones password' "$tls auth=$way"
done
hop one.XOAUTH2 'authenticate xoauth2 jones token' "cert=hop.pem password=token-1 auth=PLAIN,XOAUTH2"
hop long.PLAIN 'authenticate any jones long' "cert=hop.pem password=$(cat long) auth=PLAIN"
hop long.LOGIN 'authenticate any jones long' "cert=hop.pem password=$(cat long) auth=LOGIN"
hop best.all 'authenticate any jones password' "$tls auth=XOAUTH2,LOGIN,PLAIN,SCRAM-SHA-256"
hop best.plain 'authenticate any jones password' "$tls auth=CRAM-MD5,LOGIN,PLAIN"
hop only.login 'authenticate login jones password' "$tls auth=PLAIN,LOGIN,SCRAM-SHA-256"
hop after.tls 'authenticate any jones password' "$tls auth=PLAIN clear=no"
hop clear.off 'tls off; authenticate any jones password' "password=$secret auth=LOGIN,PLAIN"
hop clear.plain 'tls opportunistic; authenticate any jones password' "password=$secret auth=LOGIN,PLAIN"
hop clear.scram 'tls opportunistic; authenticate any jones password' "password=$secret auth=PLAIN,SCRAM-SHA-256"
hop stripped.plain 'tls opportunistic; authenticate any jones password' "$tls auth=PLAIN starttls=refuse"
hop bad.unsigned 'authenticate any jones password' "$tls auth=SCRAM-SHA-256 scram=unsigned"
hop bad.forged 'authenticate any jones password' "$tls auth=SCRAM-SHA-256 scram=forged"
hop bad.malformed 'authenticate any jones password' "$tls auth=SCRAM-SHA-256 scram=malformed"
hop wrong.PLAIN 'authenticate any jones wrong' "$tls auth=PLAIN mail=550"
hop wrong.LOGIN 'authenticate any jones wrong' "$tls auth=LOGIN mail=550"
hop wrong.SCRAM-SHA-256 'authenticate any jones wrong' "$tls auth=SCRAM-SHA-256 mail=550"
hop wrong.XOAUTH2 'authenticate xoauth2 jones wrong' "$tls auth=XOAUTH2 mail=550"
hop later.now 'authenticate any jones password' "$tls auth=PLAIN verdict=454"
hop weak.now 'authenticate any jones password' "$tls auth=PLAIN verdict=534"
hop none.common 'authenticate scram-sha-256 jones password' "$tls auth=PLAIN"
hop none.offered 'authenticate any jones password' "$tls"
hop nobody.row '' "$tls auth=PLAIN"
hop fresh.row 'authenticate any jones fresh' "$tls auth=PLAIN"
cp -p wrong fresh

echo "$specs" | sed 1d >specs
set --
while read -r line; do set -- "$@" "$line"; done <specs
spawn hops python3 "$TEST/hop.py" "$@" "server.hop user=server auth=PLAIN $tls"
count=$(($# + 1))
wait_for "[ \$(grep -c ' is at ' hops.log) = $count ]"
at() { sed -n "s/^$1 is at .*://p" hops.log; }
echo "$rows" | sed 1d | while read -r name row; do
	echo "domain $name remote { smart-host [localhost]:$(at "$name"); $row }"
done >rows.conf
echo '127.0.0.1 localhost' >hosts
cat >smtpd.conf <<E
resolver 127.0.0.1:1
hosts hosts
server s {
    general { listen 127.0.0.1:0; hostname mail.here.test; mailroot m; log w3c daily logs }
    access { relay only 127.0.0.1 }
    delivery { ca-file root.pem; smart-host [localhost]:$(at server.hop); authenticate plain server password; retry 1s; glitch-retry 1s 50 }
    domain here.test default
$(cat rows.conf)
}
E
start_server smtpd.conf -T
{
	echo EHLO x
	for name in $(cut -d ' ' -f 1 specs) elsewhere.test; do
		printf '%s\n' "MAIL FROM:<s@here.test>" "RCPT TO:<u@$name>" DATA "Subject: $name" '' x .
	done
	echo QUIT
} | say >said
is "$(grep -c '^250 2.6.0' said)" $count 'messages that were taken'

# went NAME METHOD: it arrived, from us.
went() {
	wait_for "grep -q '^$1 took' hops.log"
	is "$(grep "^$1 auth" hops.log | tail -n 1)" "$1 auth $2 jones yes" "$1"
	grep -q "^$1 mail MAIL FROM:<s@here.test>.* AUTH=<>" hops.log || fail "$1: AUTH=<> does not stand behind MAIL"
}
# waits NAME REASON [NO]: not a word of mail was said; NO: nor who we are.
waits() {
	wait_for "grep -q -- '- destination=$1 ' server.log"
	line=$(grep -- "- destination=$1 " server.log | sed 1q)
	like "$line" "* reason=\"$2\"" "$1"
	! grep -q "^$1 mail" hops.log || fail "$1: MAIL was said"
	[ -z "${3-}" ] || ! grep -q "^$1 auth" hops.log || fail "$1: our password was said"
	grep -lq "^x-receiver: u@$1" m/Queue/*.eml || fail "$1: not in Queue"
}
for way in PLAIN LOGIN SCRAM-SHA-256 XOAUTH2; do went one.$way $way; done
for way in PLAIN LOGIN; do went long.$way $way; done
went best.all SCRAM-SHA-256
went best.plain PLAIN
went only.login LOGIN
went after.tls PLAIN
went clear.off PLAIN
went clear.scram SCRAM-SHA-256
clear='4.7.0 localhost* is not told who we are: there is no TLS, and the password would be said in clear*'
waits clear.plain "$clear" no
waits stripped.plain "$clear" no
for how in unsigned forged malformed; do waits bad.$how '4.7.0 localhost* does not prove that it knows our password'; done
for way in PLAIN LOGIN SCRAM-SHA-256 XOAUTH2; do
	waits wrong.$way '4.7.8 localhost* does not take us for who we say we are: 535 5.7.8 the password is wrong'
done
waits later.now '454 4.7.0 not now'
waits weak.now '4.7.8 localhost*: 534 *'
waits none.common "4.7.0 localhost* offers no AUTH by a mechanism that 'authenticate' allows" no
waits none.offered '4.7.0 localhost* offers no AUTH *' no
wait_for 'grep -q "^nobody.row took" hops.log'
grep -q '^nobody.row mail MAIL FROM:<s@here.test> SIZE=[0-9]*$' hops.log || { grep '^nobody.row' hops.log; fail 'AUTH= where nobody was said to be us'; }
! grep -q '^nobody.row auth' hops.log || fail "the server's account was said to a row's host"
wait_for 'grep -q "^server.hop took elsewhere.test" hops.log'
is "$(grep '^server.hop auth' hops.log)" 'server.hop auth PLAIN server yes' "the server's account at its smart host"

# A new password counts with the next connection.
waits fresh.row '4.7.8 *'
cp -p password fresh
went fresh.row PLAIN

# The postmaster has heard of each account that does not work, once, however often it was tried.
wait_for '[ $(grep -c "^wrong.PLAIN auth" hops.log) -ge 3 ]'
told() { grep -h '^The account is' m/Drop/*.eml | tr -d '\r' | sort; }
wait_for '[ "$(told | wc -l)" -ge 13 ]'
is "$(told | sed 's/:[0-9]*)/:NN)/' | uniq -c | tr -s ' ')" " 1 The account is jones; its password is in fresh (authenticate, smtpd.conf:NN).
 8 The account is jones; its password is in password (authenticate, smtpd.conf:NN).
 4 The account is jones; its password is in wrong (authenticate, smtpd.conf:NN)." 'what the postmaster was told'
is "$(grep -c '^warning: .* account=jones' server.log)" 13 'warnings in the log'
! grep -l 'multipart/report' m/Drop/*.eml || fail 'mail was returned'

# Nobody sees a password: neither said, nor in base64.
for text in "$secret" token-1 "$(printf '\0jones\0%s' "$secret" | openssl base64 -A)" "$(printf %s "$secret" | openssl base64 -A)" 'biws'; do
	! grep -lrF -e "$text" server.log m/Queue m/logs m/Drop m/Badmail || fail "somebody shows $text"
done
grep -q 'AUTH PLAIN (not shown)' server.log && grep -q 'AUTH  *> (not shown)' server.log && grep -q '< 334 (not shown)' server.log ||
	fail 'the trace does not tell of AUTH'
stop_server

# A file that others can read is a mistake, at the start as at a reload.
chmod 644 wrong
"$SMTPD" -f smtpd.conf $ME >out 2>&1 && fail 'started with a password for all'
grep -q "smtpd.conf:[0-9]*: authenticate: the password in 'wrong' cannot be used: others than its owner can use it" out || { cat out >&2; fail 'no clear mistake'; }

# By MX: the certificate is to be for the name in it; and nobody there is told of the account at our smart host.
tools dnsd
certify mx root host.mx.test host.own.test
chmod 600 wrong
spawn mx python3 "$TEST/hop.py" "mx user=jones auth=PLAIN cert=mx.pem password=$secret"
wait_for "grep -q ' is at ' mx.log"
port=$(sed -n 's/^mx is at .*://p' mx.log)
printf '%s\n' 'mx.test 60 MX 10 host.mx.test' 'own.test 60 MX 10 host.own.test' 'host.own.test 60 A 127.0.0.1' 'spoofed.test 60 MX 10 host.mx.test' 'host.mx.test 60 A 127.0.0.1' 'a.test 60 A 127.0.0.1' >zone
spawn dnsd "$dnsd" zone
wait_for "grep -q 'listening on' dnsd.log"
cat >mx.conf <<E
resolver $(sed -n 's/.*listening on //p' dnsd.log)
hosts none
server s {
    general { listen 127.0.0.1:0; hostname mail.here.test; mailroot mx }
    access { relay only 127.0.0.1 }
    delivery { ca-file root.pem; tls verified; port $port; smart-host [127.0.0.1]:1; direct-first yes; authenticate any jones password }
    domain own.test remote { authenticate any jones password }
    domain spoofed.test remote { authenticate any jones password }
    domain here.test default
}
E
start_server mx.conf
{
	echo EHLO x
	for i in mx.test own.test a.test spoofed.test; do printf '%s\n' 'MAIL FROM:<s@here.test>' "RCPT TO:<u@$i>" DATA "Subject: $i" '' x .; done
	echo QUIT
} | say >said
for i in mx.test own.test; do
	wait_for "grep -q ' relayed server=\"s\" to=<u@$i> host=host.$i\[.*verified\"' server.log"
	grep -q "^mx took $i" mx.log || fail "$i has not arrived"
done
is "$(grep '^mx tls' mx.log | sort -u)" 'mx tls TLSv1.3 name=host.mx.test client=no
mx tls TLSv1.3 name=host.own.test client=no' 'SNI, by MX'
wait_for "grep -q 'destination=spoofed.test .*ostname mismatch; our password is for another name, and an MX leads here: .* smart-host .HOST.' server.log"
is "$(grep -c '^mx auth PLAIN jones yes' mx.log)" 1 'where we have said who we are'
wait_for "grep -q 'destination=a.test .*ostname mismatch' server.log"
stop_server
