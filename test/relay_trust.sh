#!/bin/sh
# relay_trust: what somebody in between, a broken hop, or a reload could take from mail to others. Goal: where our password
# is said, the certificate is believed unless less is written; a row's `tls' counts at the server's smart host too, and for
# who collects held mail; TLS that comes to nothing returns no mail; a reply ahead of STARTTLS is not one; a refused password
# is told once for each hop, whatever the other hops say, and what is broken at one address is not held against the next;
# and no message begun after a reload goes where, and as, the old configuration said.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/certs"
if "$SMTPD" -V | grep -q 'without TLS'; then
	cat >none.conf <<-'E'
	server s {
	    general { listen 127.0.0.1:0 }
	    delivery { smart-host [a.test]:465; authenticate plain login j pw }
	    domain here.test default
	    domain b.test remote { smart-host [b.test]:465 [b.test]:587; authenticate any j pw }
	    domain c.test remote { smart-host [c.test]:465; authenticate plain j pw; tls off }
	}
	E
	(umask 077; echo x >pw)
	"$SMTPD" -f none.conf -n >out 2>&1 && fail 'what cannot be had is not refused'
	is "$(grep -c 'on port 465 TLS comes first' out)" 2 'port 465'
	is "$(grep -c 'a password can only be said in clear' out)" 1 'a password that could not be said'
	exit 0
fi
need python3 openssl

authority root
certify hop root localhost
self_signed lone localhost
(umask 077; echo good >pw; cp pw gone)
spawn hops python3 "$TEST/hop.py" "mitm user=j auth=PLAIN cert=lone.pem password=good" "meant user=j auth=PLAIN cert=lone.pem password=good" \
	"broken cert=hop.pem starttls=garbage clearly=530" "early cert=hop.pem starttls=early" "must cert=hop.pem must=root.pem" \
	"bad user=j auth=PLAIN cert=hop.pem password=other" "good user=j auth=PLAIN cert=hop.pem password=good" \
	"gone user=j auth=PLAIN cert=hop.pem password=good" "clear" "later" \
	"first user=j auth=PLAIN password=good" "second user=j auth=PLAIN cert=hop.pem password=good" "slow hold=go"
wait_for "[ \$(grep -c ' is at ' hops.log) = 13 ]"
at() { sed -n "s/^$1 is at .*://p" hops.log; }
echo '127.0.0.1 localhost' >hosts
account
# conf FILE LINE ...: the server's block, with these in it
conf() {
	conf_file=$1; shift
	cat >"$conf_file" <<-E
	resolver 127.0.0.1:1
	hosts hosts
	server s {
	    access { relay only 127.0.0.1; passwords passwords; clear-text-passwords yes }
	    domain here.test default
	    general { listen 127.0.0.1:0; hostname mail.here.test; mailroot m }
	    messages { badmail Badmail }
	$(printf '%s\n' "$@")
	}
	E
}
conf smtpd.conf \
	"delivery { ca-file root.pem; retry 1s; glitch-retry 1s 50; smart-host [localhost]:$(at bad) [localhost]:$(at good); authenticate any j pw }" \
	"domain mitm.test remote { smart-host [localhost]:$(at mitm); authenticate any j pw }" \
	"domain meant.test remote { smart-host [localhost]:$(at meant); authenticate any j pw; tls opportunistic }" \
	"domain broken.test remote { smart-host [localhost]:$(at broken) }" \
	"domain early.test remote { smart-host [localhost]:$(at early) }" \
	"domain must.test remote { smart-host [localhost]:$(at must) }" \
	"domain gone.test remote { smart-host [localhost]:$(at gone); authenticate plain j gone }" \
	"domain two.test remote { smart-host [localhost]:$(at first) [localhost]:$(at second); authenticate plain j pw; tls opportunistic }" \
	"domain branch.test remote { hold yes; hold-accounts anna; tls verified }"
"$SMTPD" -f smtpd.conf -n || fail 'a mistake'
"$SMTPD" -f smtpd.conf check >out 2>&1
is "$(grep -c 'authenticate: whoever is in between can have the password of j: ' out)" 2 'passwords that check finds exposed'
"$SMTPD" -f smtpd.conf why s@here.test u@mitm.test 127.0.0.1 '' >out 2>&1
tr -s ' \n' '  ' <out | grep -q 'is believed, which is the default where a password is said' || { cat out >&2; fail 'why does not tell of the default'; }
start_server smtpd.conf
is "$(grep -c 'warning: authenticate: whoever is in between' server.log)" 2 'warnings at the start'
mv gone away
put() {
	printf '%s\n' 'EHLO x' 'MAIL FROM:<s@here.test>' "RCPT TO:<u@$1>" DATA "Subject: $2" '' x . QUIT | say >said
	grep -q '^250 2.6.0' said || fail "$2 was not taken"
}
for i in mitm meant broken early must gone two branch; do put $i.test $i; done
took()   { wait_for "grep -q '^$1 took $2\$' hops.log"; }
reason() { wait_for "grep -q -- '- destination=$1 .*reason=\"$2' server.log"; }
took meant meant
took second two
took must must
grep -q -- '- clear server="s" host=localhost.*closed the connection' server.log || fail 'no word of what was tried in clear'
reason mitm.test '4.7.5 .*its certificate is not believed: self.signed'
! grep -q '^mitm auth' hops.log || fail 'a man in the middle was told the password'
reason early.test '4.7.0 .* says more behind its reply to STARTTLS'
! grep -q '^early took' hops.log || fail 'a reply ahead of STARTTLS was taken for one'
wait_for 'grep -q "deferred .*to=<u@broken.test>.*(530)" server.log'
! grep -l 'multipart/report' m/Drop/*.eml || fail 'mail was returned'
reason gone.test '4.7.0 .*the password cannot be read here'
wait_for 'grep -lq "(gone: " m/Drop/*.eml'
! grep -l '(gone: ' m/Queue/*.txt || fail 'the file is shown to senders'

# Two smart hosts, of which one refuses us.
for i in 1 2 3 4 5; do put else.test n$i; took good n$i; done
is "$(grep -l "^Subject: localhost\[127.0.0.1\]:$(at bad) takes no mail" m/Drop/*.eml | wc -l | tr -d ' ')" 1 'letters of one refused account'

# Who collects mail of a row that says tls collects it by TLS.
is "$(printf '%s\n' 'EHLO x' "$PLAIN" 'ATRN branch.test' ATRN QUIT | say | grep -c '^530 5.7.0 Must issue a STARTTLS')" 2 'ATRN in clear'
stop_server

# A look-up that fails leads to the server's smart host: as protected as the row wants, and not for what is held.
rm -r m
conf row.conf "delivery { ca-file root.pem; retry 1s; glitch-retry 1s 50; direct-first yes; smart-host [localhost]:$(at clear) }" \
	'domain v.test remote { tls verified }' 'domain held.test remote { hold yes }'
"$SMTPD" -f row.conf why s@here.test u@v.test 127.0.0.1 '' >out 2>&1
is "$(grep -c 'by TLS, or not at all, and only to a host' out)" 2 'why, of both ways'
start_server row.conf
put v.test v
put held.test held
put other.test other
printf '%s\n' 'EHLO x' 'ETRN held.test' QUIT | say >said
took clear other
reason v.test '4.7.4 localhost.* does not offer STARTTLS'
reason held.test '4.4.3 the name servers'
is "$(grep -c '^clear took' hops.log)" 1 'what went in clear'
stop_server

# A reload: what a connection has in hand is finished, and nothing else goes on it.
rm -r m
conf smtpd.conf "delivery { smart-host [localhost]:$(at slow) }"
start_server smtpd.conf
put else.test one
took slow one
put else.test two
conf smtpd.conf "delivery { smart-host [localhost]:$(at later) }"
kill -s HUP "$(cat server.pid)"
wait_for 'grep -q "configuration was read again" server.log'
: >go
took later two
is "$(grep -c '^slow took' hops.log)" 1 'what went to the host of before'
stop_server

# Behind a chroot the system's certificates are not there; and a system may have none at all.
{ echo 'chroot m'; cat row.conf; } | sed 's/ca-file root.pem; //' >chroot.conf
"$SMTPD" -f chroot.conf -n >out 2>&1 && fail 'nobody to believe, and no mistake'
grep -q "ca-file: with 'chroot' it has to be said who is believed" out || { cat out >&2; fail 'no clear mistake'; }
sed 1d chroot.conf >none.conf
SSL_CERT_FILE=$T/none SSL_CERT_DIR=$T/none "$SMTPD" -f none.conf check >out 2>&1
tr -s ' \n' '  ' <out | grep -q "ca-file: TLS is to be 'verified', and this system has no certificates to believe" || { cat out >&2; fail 'check does not see it'; }
