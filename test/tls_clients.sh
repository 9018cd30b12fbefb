#!/bin/sh
# Goal: the clients that people have send mail by STARTTLS and by TLS from the first octet on, and verify who we are:
# swaks, curl, msmtp, smtplib of python3, nodemailer, git send-email. (With AUTH: auth_clients.sh.)
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"

need_tls
need openssl swaks curl msmtp python3 git node
: "${NODE_PATH:=/usr/share/nodejs:/usr/lib/node_modules:/usr/local/lib/node_modules}"; export NODE_PATH
node -e 'require("nodemailer")' 2>/dev/null || skip 'nodemailer is not installed'
git send-email -h 2>&1 | grep -q identity || skip 'git send-email is not installed'
HOME=$T SSL_CERT_FILE=$T/ca.pem NODE_EXTRA_CA_CERTS=$T/ca.pem; export HOME SSL_CERT_FILE NODE_EXTRA_CA_CERTS
authority ca
authority sub ca
certify mail sub localhost 127.0.0.1 with rsa
certify mail-ec sub localhost 127.0.0.1
chain mail sub.pem
chain mail-ec sub.pem
cat >tls.conf <<'E'
resolver 127.0.0.1:1
server starttls {
    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot starttls }
    access { certificate mail-ec-chain.pem mail-ec.key; certificate mail-chain.pem mail.key; require-tls yes }
    domain example.org default { drop Drop }
}
server tls {
    general { listen 127.0.0.1:0 tls; hostname mail.example.org; mailroot tls }
    access { certificate mail-ec-chain.pem mail-ec.key; certificate mail-chain.pem mail.key }
    domain example.org default { drop Drop }
}
E
start_server tls.conf
printf 'From: a@example.org\nTo: b@example.org\nSubject: s\n\nbody of the message\n' >letter
cat >python.py <<'E'
import smtplib, ssl, sys
how, port, version = sys.argv[1:]
context = ssl.create_default_context(cafile='ca.pem')
context.maximum_version = context.minimum_version = getattr(ssl.TLSVersion, version)
if how == 'tls':
    s = smtplib.SMTP_SSL('localhost', int(port), 'c.test', timeout=20, context=context)
else:
    s = smtplib.SMTP('localhost', int(port), 'c.test', timeout=20)
    s.starttls(context=context)
s.sendmail('a@example.org', 'python.%s@example.org' % version, open('letter').read())
s.quit()
E
cat >node.js <<'E'
const [how, port] = process.argv.slice(2)
require('nodemailer').createTransport({ host: 'localhost', port, name: 'c.test', secure: how === 'tls', requireTLS: true })
    .sendMail({ from: 'a@example.org', to: 'node@example.org', subject: 's', text: 'body of the message' })
    .catch(e => { console.error(e); process.exitCode = 1 })
E
git init -q repository
( cd repository && git config user.name Joe && git config user.email a@example.org && echo 'body of the message' >file &&
	git add file && git commit -qm s && git format-patch -q --root -o .. ) || fail git
does() { what=$1; shift; limit 60 "$@" >out 2>&1 </dev/null || fail "$how: $what: $(cat out)"; }

for how in starttls tls; do
	use $how
	case $how in
	starttls) swaks=-tls curl=smtp://localhost:$PORT/c.test msmtp=--tls-starttls=on git=tls ;;
	tls)      swaks=-tlsc curl=smtps://localhost:$PORT/c.test msmtp=--tls-starttls=off git=ssl ;;
	esac
	does swaks swaks --server localhost --port "$PORT" --helo c.test -f a@example.org -t swaks@example.org $swaks --tls-verify --tls-ca-path ca.pem
	does curl curl -sS -m 60 --ssl-reqd --cacert ca.pem --url "$curl" --mail-from a@example.org --mail-rcpt curl@example.org -T letter
	limit 60 msmtp --host=localhost --port="$PORT" --domain=c.test --auth=off --tls=on $msmtp --tls-trust-file=ca.pem \
		--from=a@example.org msmtp@example.org <letter >out 2>&1 || fail "$how: msmtp: $(cat out)"
	for version in TLSv1_2 TLSv1_3; do does python python3 python.py $how "$PORT" $version; done
	does nodemailer node node.js $how "$PORT"
	( cd repository && limit 60 git send-email --smtp-server localhost --smtp-server-port "$PORT" --smtp-encryption $git \
		--smtp-ssl-cert-path "$T/ca.pem" --confirm never --suppress-cc self --to git@example.org ../0001* ) >out 2>&1 </dev/null ||
		fail "$how: git: $(cat out)"
	wait_for "[ \$(messages $how/Drop | wc -l) -eq 7 ]"
	is "$(cat $how/Drop/* | tr -d '\r' | sed -n 's/^x-receiver: //p' | sort | tr '\n' ' ')" \
		'curl@example.org git@example.org msmtp@example.org node@example.org python.TLSv1_2@example.org python.TLSv1_3@example.org swaks@example.org ' "$how: who has come"
	is "$(grep -c "received server=\"$how\" .* with=ESMTPS tls=\"TLSv1\\.[23] TLS_" server.log)" 7 "$how: lines of the log"
done
stop_server
ok
