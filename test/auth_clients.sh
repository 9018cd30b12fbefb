#!/bin/sh
# Goal: the clients that people have can say to us who they are, by each mechanism they know, under STARTTLS, under TLS
# from the first octet on, and in clear where that is said: their mail is in Drop, once each.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"
need_tls
need openssl swaks curl msmtp python3
: "${NODE_PATH:=/usr/share/nodejs:/usr/lib/node_modules:/usr/local/lib/node_modules}"; export NODE_PATH

account
authority ca
certify mail ca localhost 127.0.0.1
cat >auth.conf <<'E'
resolver 127.0.0.1:1
server submit {
    general { listen 127.0.0.1:0 submission; hostname mail.example.org; mailroot submit }
    access { passwords passwords; certificate mail.pem mail.key }
    domain example.org default
}
server smtps {
    general { listen 127.0.0.1:0 tls submission; hostname mail.example.org; mailroot smtps }
    access { passwords passwords; certificate mail.pem mail.key }
    domain example.org default
}
server clear {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot clear }
    access { passwords passwords; clear-text-passwords yes; authenticate plain login scram-sha-256 }
    domain example.org default
}
E
start_server auth.conf
: >wrong
: >want
printf 'From: a@example.org\nSubject: x\n\nx\n' >letter

# one SERVER NAME COMMAND ...: the command sends to NAME@example.org.
one() {
	echo "$1 $2" >>want
	case_of=$2; shift 2
	"$@" <letter >"$case_of.log" 2>&1 || { echo "$case_of: $(tail -n 3 "$case_of.log")" >>wrong; }
}
sent() { swaks --server "$HOST" --port "$PORT" --helo c.test --timeout 60 -f a@example.org -au anna -ap secret "$@" </dev/null; }
curled() { curl -sS -m 60 --cacert ca.pem --mail-from a@example.org --user anna:secret -T letter "$@"; }
msmtped() {
	msmtp --host=localhost --port="$PORT" --domain=c.test --timeout=60 --user=anna --passwordeval='echo secret' --from=a@example.org \
		--file=/dev/null --tls-trust-file=ca.pem "$@"
}
cat >client.py <<'E'
import smtplib, ssl, sys
port, how, to = int(sys.argv[1]), sys.argv[2], sys.argv[3]
trust = ssl.create_default_context(cafile="ca.pem")
s = smtplib.SMTP_SSL("localhost", port, context=trust) if how == "tls" else smtplib.SMTP("localhost", port)
if how == "starttls":
    s.starttls(context=trust)
s.login("anna", "secret")
s.sendmail("a@example.org", [to], open("letter", "rb").read())
s.quit()
E
cat >client.js <<'E'
const [port, how, to, method] = process.argv.slice(2);
require('nodemailer').createTransport({ host: 'localhost', port: +port, secure: how === 'tls', ignoreTLS: how === 'clear',
	requireTLS: how === 'starttls', authMethod: method, auth: { user: 'anna', pass: 'secret' },
	tls: { ca: require('fs').readFileSync('ca.pem') } })
	.sendMail({ from: 'a@example.org', to, subject: 'x', text: 'x' }, e => { if (e) { console.log(e); process.exit(1); } });
E

for how in submit smtps clear; do
	use $how
	case $how in
	submit) word=starttls swaks=-tls curl="smtp://localhost:$PORT/c.test --ssl-reqd" msmtp='--tls=on --tls-starttls=on' ;;
	smtps)  word=tls swaks=-tlsc curl="smtps://localhost:$PORT/c.test" msmtp='--tls=on --tls-starttls=off' ;;
	clear)  word=clear swaks=--protocol=ESMTP curl="smtp://localhost:$PORT/c.test" msmtp=--tls=off ;;
	esac
	for method in PLAIN LOGIN; do
		one $how swaks.$how.$method sent $swaks -a $method -t swaks.$how.$method@example.org
		# shellcheck disable=SC2086             # words
		one $how curl.$how.$method curled $curl --login-options AUTH=$method --mail-rcpt curl.$how.$method@example.org
	done
	for method in plain login scram-sha-256; do
		! { [ $how = clear ] && [ $method != scram-sha-256 ]; } || continue	# it will not, and rightly
		# shellcheck disable=SC2086
		one $how msmtp.$how.$method msmtped $msmtp --auth=$method msmtp.$how.$method@example.org
	done
	one $how smtplib.$how python3 client.py "$PORT" $word smtplib.$how@example.org
	if command -v node >/dev/null && node -e "require('nodemailer')" 2>/dev/null; then
		for method in PLAIN LOGIN; do
			one $how node.$how.$method node client.js "$PORT" $word node.$how.$method@example.org $method
		done
	elif [ -n "${NOSKIP-}" ]; then
		echo 'nodemailer is not installed' >>wrong
	fi
	# Who has the wrong password hears so from each of them.
done
is "$(cat wrong)" '' 'what was not sent'
while read -r how name; do
	is "$(grep -l -i "^x-receiver: $name@example.org" "$how"/Drop/*.eml | wc -l | tr -d ' ')" 1 "mail of $name"
done <want
is "$(grep -c '^- authenticated' server.log)" "$(wc -l <want | tr -d ' ')" 'each of them said who it was'
grep -q 'mechanism=SCRAM-SHA-256 tls=no' server.log || fail 'nobody has used SCRAM'
stop_server
ok "$(wc -l <want) ways"
