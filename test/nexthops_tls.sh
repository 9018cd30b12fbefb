#!/bin/sh
# nexthops_tls: we relay to Postfix (with Cyrus SASL) and Exim, which want TLS, and to know who we are. Goal: it arrives, by
# TLS 1.3 with the certificate verified, and by the best mechanism that each has; they saw the same as we; and with a wrong
# password it waits, and is not returned. OpenSMTPD as Debian 12 has it breaks off each handshake: mail goes there in clear.
#
# test/peers sets them up, and says how to get them. It takes root.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/peers"
. "$TEST/certs"
"$SMTPD" -V | grep -q 'without TLS' && exit 0       # nexthops is without it
hop_can || skip 'to set up other mail servers takes root (and Linux)'
need openssl saslpasswd2

hops='' missing='' secure=yes
for hop in postfix exim opensmtpd; do
	if hop_is_there $hop; then hops="$hops $hop"; else missing="$missing $hop"; fi
done
[ -n "$hops" ] || skip "not installed:$missing"

authority root
(umask 077; echo 's3cret&pass' >right; echo 'wrong' >wrong)
for hop in $hops; do
	certify hop root $HOP hop.test
	mkdir -p $hop/etc
	cp hop.pem hop.key $hop/etc
	# Exim reads it as a user of its own.
	case $hop in exim) chmod 644 $hop/etc/hop.key ;; esac
	hop $hop
	for who in right wrong; do
		how="tls verified; authenticate any smith $who"
		[ $hop != opensmtpd ] || how=
		cat <<-E
		server $hop.$who {
		    general { listen 127.0.0.1:0; hostname $hop.here.test; mailroot $hop.$who }
		    access { relay only 127.0.0.0/8 }
		    delivery { smart-host [$HOP]:$(hop_port $hop); ca-file root.pem; $how
		    retry 1h; glitch-retry 1h 1 }
		    domain here.test default
		}
		E
	done >>smtpd.conf
done
start_server smtpd.conf -T
for hop in $hops; do
	for who in right wrong; do
		use $hop.$who
		printf '%s\n' 'EHLO x' 'MAIL FROM:<s@here.test>' 'RCPT TO:<u@hop.test>' DATA "X-Sent: $who" 'From: <s@here.test>' '' x . QUIT | say >said
		grep -q '^250 2.6.0' said || { cat said >&2; fail "$hop.$who: not taken"; }
	done
done

for hop in $hops; do
	wait_for "grep -q 'relayed server=\"$hop.right\"' server.log"
	if [ $hop = opensmtpd ]; then
		like "$(grep "relayed server=\"$hop.right\"" server.log)" '* tls=none' 'opensmtpd: what protected it'
		grep -q "^- clear server=\"$hop.right\" .*reason=\"4.7.5 .*the handshake failed: " server.log || fail 'opensmtpd: no word of the handshake'
		wait_for "grep -lqr '^X-Sent: right' $hop/mail/new"
		hop_ends $hop
		continue
	fi
	like "$(grep "relayed server=\"$hop.right\"" server.log)" '* tls="TLSv1.3 TLS_AES_* verified"' "$hop: what protected it"
	wait_for "grep -lqr '^X-Sent: right' $hop/mail/new"
	file=$(grep -lr '^X-Sent: right' $hop/mail/new)
	case $hop in
	postfix) how=SCRAM-SHA-256 seen='Authenticated sender: smith' ;;
	exim)    how=PLAIN seen='with esmtpsa.*TLS1.3' ;;
	esac
	sed '/^X-Sent/q' "$file" | grep -q "$seen" || { cat "$file" >&2; fail "$hop: what it saw"; }
	grep -q "> AUTH $how (not shown)" server.log || fail "$hop: not by $how"
	wait_for "grep -q -- '- destination=. server=\"$hop.wrong\"' server.log"
	like "$(grep -- "- destination=. server=\"$hop.wrong\"" server.log)" '* reason="4.7.8 * does not take us for who we say we are: 535 *' "$hop: a wrong password"
	is "$(messages $hop.wrong/Queue | grep -c eml)" 1 "$hop: in Queue, with a wrong password"
	! grep -lr '^X-Sent: wrong' $hop/mail/new || fail "$hop: arrived with a wrong password"
	ok "$hop"
	hop_ends $hop
done
! grep -F 's3cret' server.log || fail 'the password is shown'
stop_server
[ -z "$missing" ] || skip "not installed:$missing; the others passed"
