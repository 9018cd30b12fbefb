#!/bin/sh
# relay_tls: mail to others by TLS. Goal: each word of `tls' (off, opportunistic, required, verified) does what it says
# with each kind of certificate, and where STARTTLS is missing, refused, broken, or has words put behind it; what was
# offered in clear does not count afterwards; a row's word goes before the server's; port 465; and the protection is in
# the log, in the conversation that is kept, and in the trace.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"
if "$SMTPD" -V | grep -q 'without TLS'; then
	printf '%s\n' 'server s { general { listen 127.0.0.1:0 }; delivery {' 'tls required' 'ca-file x' 'certificate x y' '}' \
		'domain here.test default; domain there.test remote {' 'tls opportunistic' '}' '}' >none.conf
	"$SMTPD" -f none.conf -n >out 2>&1 && fail 'what cannot be had is not refused'
	is "$(grep -c 'built without OpenSSL' out)" 4 'the reason'
	exit 0
fi
need python3 openssl

authority root
authority between root
certify good root localhost
certify rsa root localhost with rsa
certify ip root 127.0.0.1
certify deep between localhost
chain deep between.pem
certify old root localhost with expired
certify us root mail.here.test with client
certify other root mx.other.test
certify gone root localhost
self_signed lone localhost
revoke gone root
revocations root
revocations between
cat root.pem root.crl between.crl >believed.pem

# A hop and a domain for each case; NAME is the domain's, `how' its tls.
specs='' rows=''
hop() { # NAME TLS HOST WORD=VALUE ...
	hop_name=$1 hop_tls=$2 hop_host=$3; shift 3
	specs="$specs
$hop_name $*"
	rows="$rows
$hop_name $hop_tls $hop_host"
}
for cert in good rsa deep-chain old other gone lone ip; do
	for how in opportunistic required verified; do hop $cert.$how $how localhost cert=$cert.pem; done
done
hop ip.literal verified 127.0.0.1 cert=ip.pem
hop good.literal verified 127.0.0.1 cert=good.pem
hop good.off off localhost cert=good.pem
for how in opportunistic required verified; do
	hop none.$how $how localhost
	hop inject.$how $how localhost cert=good.pem starttls=inject
done
for bad in refuse garbage hangup; do
	hop $bad.opportunistic opportunistic localhost cert=good.pem starttls=$bad
	hop $bad.required required localhost cert=good.pem starttls=$bad
done
hop ask.required required localhost cert=good.pem ask=root.pem
hop tell.inherit - localhost cert=good.pem starttls=tell

# Where we are root, port 465 can be had: at an address of our own.
at465=127.$(($$ / 65536 % 100 + 100)).$(($$ / 256 % 256)).$(($$ % 256))
first=''
[ "$(id -u)" != 0 ] || first=yes
if [ "$first" ]; then
	certify at465 root $at465
	hop first.verified verified $at465 cert=at465.pem first=yes at=$at465:465
fi

echo "$specs" | sed 1d >specs
set --
while read -r line; do set -- "$@" "$line"; done <specs
spawn hops python3 "$TEST/hop.py" "$@"
wait_for "[ \$(grep -c ' is at ' hops.log) = $# ]"
echo "$rows" | sed 1d | while read -r name how host; do
	[ "$how" = - ] && how='' || how="tls $how"
	echo "domain $name remote { smart-host [$host]:$(sed -n "s/^$name is at .*://p" hops.log); $how }"
done >rows.conf
echo "127.0.0.1 localhost" >hosts
cat >smtpd.conf <<E
resolver 127.0.0.1:1
hosts hosts
server s {
    general { listen 127.0.0.1:0; hostname mail.here.test; mailroot m }
    access { relay only 127.0.0.1 }
    delivery { ca-file believed.pem; tls verified; certificate us.pem us.key }
    domain here.test default
$(cat rows.conf)
}
E
start_server smtpd.conf -T
{
	echo EHLO x
	cut -d ' ' -f 1 specs | while read -r name; do
		printf '%s\n' "MAIL FROM:<s@here.test>" "RCPT TO:<u@$name>" DATA "Subject: $name" '' x .
	done
	echo QUIT
} | say >said
is "$(grep -c '^250 2.6.0' said)" $# 'messages that were taken'

# went NAME TLS: it arrived, and the log says how.
went() {
	wait_for "grep -q ' relayed server=\"s\" to=<u@$1> ' server.log"
	line=$(grep " relayed server=\"s\" to=<u@$1> " server.log)
	like "$line" "* tls=$2" "$1"
	grep -q "^$1 took $1\$" hops.log || fail "$1: nothing has arrived"
}
# waits NAME REASON
waits() {
	wait_for "grep -q -- '- destination=$1 ' server.log"
	line=$(grep -- "- destination=$1 " server.log)
	like "$line" "* reason=\"$2\"" "$1"
	! grep -q "^$1 mail" hops.log || fail "$1: MAIL was said"
	grep -lq "^x-receiver: u@$1" m/Queue/*.eml || fail "$1: not in Queue"
}
any='"TLSv1.3 TLS_AES_*'
for cert in good rsa deep-chain; do for how in opportunistic required verified; do went $cert.$how "$any verified\""; done; done
for cert in old other gone lone ip; do
	for how in opportunistic required; do went $cert.$how "$any unverified\""; done
done
not='4.7.5 localhost\[127.0.0.1\]:*: its certificate is not believed:'
waits old.verified   "$not certificate has expired"
waits other.verified "$not *ostname mismatch"
waits ip.verified    "$not *ostname mismatch"
waits gone.verified  "$not certificate revoked"
waits lone.verified  "$not self*signed certificate"
went ip.literal "$any verified\""
waits good.literal "4.7.5 \[127.0.0.1\]:*: its certificate is not believed: IP address mismatch"
went good.off none
went none.opportunistic none
for how in required verified; do waits none.$how '4.7.4 localhost* does not offer STARTTLS, and nothing is sent there in clear (tls)'; done
for how in opportunistic required verified; do
	waits inject.$how '4.7.0 localhost* says more behind its reply to STARTTLS, in clear: somebody may be in between'
	grep -q "^- warning: .*injection=14\|warning: server=\"s\" host=localhost.* injection=14" server.log || fail 'no warning of the injection'
done
for bad in refuse garbage hangup; do
	went $bad.opportunistic none
	wait_for '[ "$(grep -c "^$bad.opportunistic end" hops.log)" = 2 ]'      # one where TLS came to nothing, and one in clear
done
is "$(grep -c -- '- clear server="s" host=localhost' server.log)" 3 'lines of the log that say so'
waits refuse.required '454 4.7.0 not now'
waits garbage.required '4.7.5 localhost*: the handshake failed: *'
waits hangup.required '4.4.2 localhost* closed the connection'
went tell.inherit "$any verified\""
is "$(grep "^good.verified tls" hops.log)" 'good.verified tls TLSv1.3 name=localhost client=no' 'SNI'
is "$(grep "^ip.literal tls" hops.log)" 'ip.literal tls TLSv1.3 name=- client=no' 'an address is no name for SNI'
went ask.required "$any verified\""
is "$(grep "^ask.required tls" hops.log)" 'ask.required tls TLSv1.3 name=localhost client=yes' 'our certificate, when we are asked'
[ -z "$first" ] || went first.verified "$any verified\""

# The conversation that is kept, and the trace.
file=$(grep -l '^x-receiver: u@lone.verified' m/Queue/*.eml)
grep -q '^> STARTTLS' "${file%.eml}.txt" || { cat "${file%.eml}.txt"; fail 'the note does not tell of STARTTLS'; }
grep -q ' TLS  *= TLSv1.3 ' server.log || grep -q 'TLS.*= TLSv1.3' server.log || fail 'the trace does not tell of TLS'
stop_server

# A connection that is turned round (ATRN) stays as protected as it was: STARTTLS is offered there, and not said.
account
certify server root localhost
cat >turned.conf <<'E'
resolver 127.0.0.1:1
server t {
    general { listen 127.0.0.1:0; hostname mail.here.test; mailroot t }
    access { relay only 127.0.0.1; passwords passwords; certificate server.pem server.key }
    delivery { tls verified }
    domain here.test default
    domain branch.test remote { hold yes; hold-accounts anna }
}
E
start_server turned.conf
printf '%s\n' 'EHLO x' 'MAIL FROM:<s@here.test>' 'RCPT TO:<u@branch.test>' DATA 'Subject: held' '' x . QUIT | say >said
cat >branch.py <<'E'
import socket, ssl, sys
sock = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 30)
file = sock.makefile('rb')
def hear(want):
    while True:
        line = file.readline().decode().rstrip('\r\n')
        assert line.startswith(want), '%s, not %s' % (line, want)
        if line[3:4] != '-':
            return
def say(line, want):
    sock.sendall(line.encode() + b'\r\n')
    hear(want)
hear('220')
say('EHLO branch', '250')
say('STARTTLS', '220')
context = ssl.create_default_context(cafile='root.pem')
sock = context.wrap_socket(sock, server_hostname='localhost')
file = sock.makefile('rb')
say('EHLO branch', '250')
say(sys.argv[2], '235')
say('ATRN', '250')
say('220 branch', 'EHLO ')
say('250-branch\r\n250-STARTTLS\r\n250 SIZE 1000', 'MAIL FROM:<s@here.test>')
say('250 ok', 'RCPT TO:<u@branch.test>')
say('250 ok', 'DATA')
sock.sendall(b'354 go on\r\n')
while file.readline() != b'.\r\n':
    pass
say('250 2.0.0 taken', 'QUIT')
sock.sendall(b'221 bye\r\n')
E
limit 30 python3 branch.py "$PORT" "$PLAIN" || fail 'the turned connection went otherwise'
wait_for "grep -q ' relayed server=\"t\" to=<u@branch.test> .* tls=\"TLSv1.3 TLS_AES_[^ ]*\"' server.log"
stop_server
