#!/bin/sh
# Goal: certificates and keys that cannot be used are told with file and line and what to do, and nothing starts; at a
# reload nothing changes then, and a good one serves who comes after it, while who was there goes on.
# shellcheck disable=SC2016
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"

need openssl
need_tls
authority ca
certify mail ca mail.example.org
certify other ca mail.example.org
certify rsa ca mail.example.org with rsa
( umask 077; openssl pkey -in mail.key -aes128 -passout pass:x -out locked.key ) 2>pkey.log || fail "$(cat pkey.log)"
echo garbage >garbage
: >empty
mkdir folder
{ cat mail.pem; printf '%s\n' '-----BEGIN CERTIFICATE-----' 'MIIB' '-----END CERTIFICATE-----'; } >torn.pem

# wrong CERT KEY WHAT [MORE]: at line 4, and the server does not start.
write() {
	cat <<-E
	resolver 127.0.0.1:1
	server main {
	    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot main }
	    access { certificate $1 $2; ${3-} }
	    domain example.org default
	}
	E
}
wrong() {
	write "$1" "$2" "${4-}" >wrong.conf
	rm -rf main
	limit 10 "$SMTPD" -f wrong.conf $ME >wrong.out 2>&1 </dev/null; got=$?
	is $got 78 "$1 $2: status"
	like "$(cat wrong.out)" "*wrong.conf:4: $3*" "$1 $2"
	is "$(grep -c listening wrong.out)" 0 "$1 $2: it listens"
	[ ! -e main ] || fail "$1 $2: it has made its folders"
}
none=' has no certificate that can be used: '
nokey=' has no private key that can be used: '
wrong missing.pem mail.key "'missing.pem'${none}[Nn]o such file*"
wrong mail.pem missing.key "'missing.key'${nokey}[Nn]o such file*"
wrong folder mail.key "'folder'$none*"
wrong mail.pem folder "'folder'$nokey*"
wrong garbage mail.key "'garbage'${none}*no start line"
wrong mail.pem garbage "'garbage'$nokey*"
wrong empty mail.key "'empty'${none}*no start line"
wrong mail.pem empty "'empty'$nokey*"
wrong mail.key mail.pem "'mail.key'$none*"
wrong torn.pem mail.key "'torn.pem'$none*"
wrong mail.pem locked.key "the key in 'locked.key' is encrypted, and nobody is there to be asked for its passphrase; store it without one"
wrong mail.pem other.key "the key in 'other.key' does not belong to the certificate"
wrong mail.pem rsa.key "the key in 'rsa.key' does not belong to the certificate"
wrong rsa.pem mail.key "the key in 'mail.key' does not belong to the certificate"
wrong mail.pem mail.key "'garbage' has no certificates that can be used: *" 'client-authorities garbage'
wrong mail.pem mail.key "'missing.pem' has no certificates that can be used: *" 'client-authorities missing.pem'
if [ "$(id -u)" != 0 ]; then
	cp mail.key mine.key; chmod 0 mine.key
	wrong mail.pem mine.key "'mine.key'$nokey*ermission denied"
fi
# The second of two is told by its own line.
write mail.pem 'mail.key; certificate other.pem rsa.key' >two.conf
limit 10 "$SMTPD" -f two.conf $ME >wrong.out 2>&1
like "$(cat wrong.out)" "*two.conf:4: the key in 'rsa.key' does not belong to the certificate*" 'the second one'
# What the table can see by itself.
write mail.pem '' >one.conf
limit 10 "$SMTPD" -n -f one.conf >wrong.out 2>&1
like "$(cat wrong.out)" '*one.conf:4: certificate: wants two files, a certificate and its key*' 'one file'

# --- a reload ---

# served NAME: whose certificate is shown.
serial() { openssl x509 -in "$1" -noout -serial; }
shown() { openssl s_client -connect "$HOST:$PORT" -starttls smtp </dev/null 2>/dev/null | openssl x509 -noout -serial; }
hup() { kill -s HUP "$(cat server.pid)"; }

cp mail.pem now.pem; (umask 077; cp mail.key now.key)
write now.pem now.key >smtpd.conf
start_server
! grep -q 'warning: the key' server.log || fail 'a warning of a key that is fine'
is "$(shown)" "$(serial mail.pem)" 'at the start'
mkfifo flight.in
openssl s_client -connect "$HOST:$PORT" -starttls smtp -quiet -ign_eof 0<>flight.in >flight.out 2>flight.log & flight=$!
printf '%s\r\n' 'EHLO c' 'MAIL FROM:<>' >flight.in
wait_for 'grep -q "sender ok" flight.out'

n=0
for bad in garbage missing other.pem; do
	n=$((n + 1))
	rm -f now.pem; [ ! -e $bad ] || cp $bad now.pem
	hup
	wait_for '[ "$(grep -c "^smtpd: the configuration is wrong, and nothing has changed" server.log)" = $n ]'
	is "$(grep -c '^smtpd.conf:4: .*now' server.log)" $n "$bad: lines with the place"
	is "$(shown)" "$(serial mail.pem)" "after $bad"
done
(umask 077; cp other.key now.key); cp other.pem now.pem
chmod 640 now.key
hup
wait_for '[ "$(shown)" = "$(serial other.pem)" ]'
grep -q "smtpd.conf:4: warning: the key 'now.key' is not its owner's alone: chmod 600 it" server.log || fail 'no warning of a key that others read'
printf '%s\r\n' 'RCPT TO:<x>' DATA 'Subject: in flight' '' . QUIT >flight.in
wait_for 'grep -q "^221 " flight.out'
grep -q 'queued' flight.out || fail 'the session in flight has not gone on'
kill $flight 2>/dev/null
stop_server
ok
