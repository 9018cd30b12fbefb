#!/bin/sh
# Goal: who looks after certificates hears in time.
# - smtpd check: what each is, for whom and how long; whether its chain leads anywhere; over, or soon; a key that is not
#   its own, or open to others; names that are not the host's;
# - the log warns at the start, at a reload and once a day, from two weeks before the end on; a mail once.
# shellcheck disable=SC2016
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac

need openssl
need_tls
CLOCK_FILE=$T/clock SSL_CERT_FILE=$T/root.pem; export CLOCK_FILE SSL_CERT_FILE
ahead() { echo $(($1 * 86400)) >clock.new; mv clock.new clock; }
ahead 0
authority root
authority sub root
certify mail sub mail.example.org mx.example.org
chain mail sub.pem
certify rsa root mail.example.org with rsa
certify other root other.example.org
certify over root mail.example.org with expired
self_signed self mail.example.org
cp mail.key open.key; chmod 644 open.key

# check CERT KEY: out has what it says, each line in one piece.
conf() { cat <<-E
	resolver 127.0.0.1:1
	hosts hosts
	server main {
	    general { listen 127.0.0.1:0; hostname mail.example.org; mailroot main }
	    access { certificate $1 $2; }
	    domain example.org default
	}
	E
}
: >hosts
check() {
	conf "$1" "$2" >check.conf
	limit 60 "$SMTPD" -f check.conf check >raw 2>err
	awk '/^      / { sub(/^ +/, " "); printf "%s", $0; next } { printf "%s%s", (NR > 1 ? "\n" : ""), $0 } END { print "" }' raw |
		grep -i 'certificate\|key\|FAULT' | grep -v 'resolver' >out
	grep -q 'resolver' raw || fail "no check: $(cat raw err)"
}
says() { grep -qE -- "^$1" out || { cat out >&2; fail "it does not say: $1"; }; }
lacks() { ! grep -qE -- "$1" out || { cat out >&2; fail "it says: $1"; }; }

check mail-chain.pem mail.key
says 'ok    certificate mail-chain.pem, ECDSA 256, is for mail.example.org mx.example.org, 36[45] days more$'
lacks 'FAULT|note'
check rsa.pem rsa.key
says 'ok    certificate rsa.pem, RSA 2048, is for mail.example.org, 36[45] days more$'
check mail.pem mail.key
says 'note  certificate mail.pem leads to no authority that this system knows: unable to get local issuer certificate: behind it in its file belong '
check self.pem self.key
says 'note  certificate self.pem is signed by itself'
check other.pem other.key
says 'note  hostname mail.example.org is in no certificate'
check mail-chain.pem 'mail.key; certificate other.pem other.key'
lacks 'is in no certificate'
check over.pem over.key
says 'FAULT check.conf:5: certificate over.pem has been over since .* 2020 .*: put a new one in its place, and reload$'
check mail-chain.pem open.key
says "FAULT check.conf:5: the key 'open.key' is not its owner's alone: chmod 600 it$"
check mail-chain.pem rsa.key
says "FAULT check.conf:5: the key in 'rsa.key' does not belong to the certificate$"
check missing.pem mail.key
says "FAULT check.conf:5: 'missing.pem' has no certificate that can be used: No such file or directory$"
check mail-chain.pem 'mail.key; client-authorities hosts'
says "FAULT check.conf:5: 'hosts' has no certificates that can be used: "
ahead 350; check mail-chain.pem mail.key; says 'ok    certificate mail-chain.pem, .* 1[45] days more$'
ahead 353; check mail-chain.pem mail.key; says 'note  certificate mail-chain.pem is over in 1[12] days, at '
ahead 366; check mail-chain.pem mail.key; says 'FAULT check.conf:5: certificate mail-chain.pem has been over since '

# --- the log, and the mail ---

warned() { grep -c "^warning: server=\"main\" certificate=\"$1\" expires=\".*\" left=$2d\$" server.log; }
look() { printf 'QUIT\r\n' | talk >/dev/null; }	# a client that comes: the server looks at its clock
ahead 0
conf mail-chain.pem mail.key >smtpd.conf
start_server
look
ahead 345; look; look
is "$(warned mail-chain.pem '[0-9-]*')" 0 'a warning with twenty days left'
ahead 354; look
wait_for '[ "$(warned mail-chain.pem 1[01])" = 1 ]'
wait_for '[ "$(messages main/Drop | wc -l)" -eq 1 ]'
like "$(cat main/Drop/*.eml)" '*x-receiver: postmaster@example.org*Subject: A certificate nears its end*mail-chain.pem: until *reload.*' 'the mail'
look
is "$(warned mail-chain.pem '[0-9-]*')" 1 'twice on a day'
ahead 355; look
wait_for '[ "$(warned mail-chain.pem "[0-9-]*")" = 2 ]'
kill -s HUP "$(cat server.pid)"
wait_for '[ "$(warned mail-chain.pem "[0-9-]*")" = 3 ]'
ahead 368; look
wait_for '[ "$(warned mail-chain.pem -[23])" = 1 ]'
is "$(messages main/Drop | wc -l | tr -d ' ')" 1 'one mail, and no more'
# A new one on the disk helps only from the reload on; then the next end is another matter.
certify new root mail.example.org with to:301231000000Z
cp new.pem mail-chain.pem; cp new.key mail.key
ahead 369; look
wait_for '[ "$(warned mail-chain.pem "[0-9-]*")" = 5 ]'
kill -s HUP "$(cat server.pid)"
wait_for '[ "$(grep -c "configuration was read again" server.log)" = 2 ]'
ahead 371; look; look
is "$(warned mail-chain.pem '[0-9-]*')" 5 'a warning of the new one'
stop_server
start_server
look
is "$(warned mail-chain.pem '[0-9-]*')" 0 'a warning at the start'
conf over.pem over.key >smtpd.conf
stop_server
start_server
wait_for '[ "$(warned over.pem -[0-9]*)" = 1 ]'
stop_server
ok
