#!/bin/sh
# relay_account: what is said and heard when the next hop asks who we are, to the letter, in clear because that is asked
# for; so it is the same without OpenSSL. Goal: PLAIN and LOGIN; AUTH= behind MAIL; a hop that cannot say now is asked
# again; one that refuses us costs no mail until it expires, and then it is returned; in clear no password is said unless
# the operator has written `tls off'.
. "${TEST:-$(dirname "$0")}/lib.sh"
. "$TEST/relay"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac
CLOCK_FILE=$T/clock; export CLOCK_FILE
at() { echo "$1" >clock.new; mv clock.new clock; echo QUIT | say >/dev/null; }
( umask 077; printf 'pass\r\nnot this line\n' >password )

for i in 'plain AUTH_PLAIN_LOGIN' 'old AUTH=LOGIN_PLAIN' 'passed AUTH_PLAIN'; do
	set -- $i
	mail='AUTH=<>'; [ "$1" != passed ] || mail='AUTH=e+3Dmc2@example.com'
	scene "$1" <<-E
	hello $2
	C: AUTH PLAIN AGpvbmVzAHBhc3M=
	S: 235-2.7.0 welcome
	S: 235 2.7.0 jones
	C: MAIL FROM:<s@here.example> $mail
	S: 250 ok
	rcpt a
	data
	end
	quit
	E
done
mail=''
scene login <<'E'
hello AUTH_LOGIN
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
C: am9uZXM=
S: 334 UGFzc3dvcmQ6
C: cGFzcw==
S: 235 2.7.0 welcome
mail
rcpt a
data
end
quit
E
scene later <<'E'
hello AUTH_PLAIN
C: AUTH PLAIN *
S: 454 4.7.0 not now
E:
E
for code in 500 501 504 530 534 535 538; do
	scene refused$code <<-E
	hello AUTH_PLAIN
	C: AUTH PLAIN *
	S: $code 5.7.8 no
	E:
	E
	echo | letter refused$code
done
scene more <<'E'
hello AUTH_PLAIN
C: AUTH PLAIN *
S: 334 bW9yZQ==
E:
E
scene hangs_up <<'E'
hello AUTH_PLAIN
C: AUTH PLAIN *
S: 421 4.3.0 leaving
E:
E
scene unheard <<'E'
hello AUTH_GSSAPI_CRAM-MD5
E:
E
for i in plain old login later more hangs_up unheard; do echo | letter $i; done
mkdir -p m/Pickup
printf '%s\n' 'x-sender: s@here.example' 'x-sender-args: AUTH=e+3Dmc2@example.com' 'x-receiver: a@passed.example' 'From: s@here.example' 'Subject: passed' '' x >m/Pickup/passed.eml
rows='tls off; authenticate any jones password'
echo 0 >clock
play_scenes 'delivery { retry 1h; glitch-retry 1h 1; expire 30m; notify unlimited }'

for i in plain old login passed; do relayed $i a; done
for code in 500 501 504 530 534 535 538; do
	backed_off refused$code "4.7.8 \[127.0.0.1\]:* does not take us for who we say we are: $code 5.7.8 no"
done
backed_off more '4.7.0 * asks for more than there is to say'
backed_off later '454 4.7.0 not now'
backed_off hangs_up '421 4.3.0 leaving'
backed_off unheard "4.7.0 * offers no AUTH by a mechanism that 'authenticate' allows"
[ -z "$(grep -l 'multipart/report' m/Drop/*.eml)" ] || fail 'mail was returned'
! grep -l cGFzcw m/Queue/* server.log || fail 'the password is shown'

# Its time is over: now it is returned, with what was said last.
at 1900
for i in refused535 hangs_up; do
	wait_for 'grep -lF "Final-Recipient: rfc822;a@'$i'.example" m/Drop/*.eml >found'
	grep -q '^Action: failed' $(cat found) || fail "$i: not returned"
done
stop_server

# `tls off' is not written: not a word of it, whether there is OpenSSL or not.
cat >strict.t <<'E'
S: 220 x
C: EHLO mail.here.example
S: 250-x
S: 250 AUTH PLAIN LOGIN
E:
E
peer strict.t
how='tls opportunistic'
! "$SMTPD" -V | grep -q 'without TLS' || how=
cat >strict.conf <<E
resolver 127.0.0.1:1
server s {
    general { listen 127.0.0.1:0; hostname mail.here.example; mailroot strict }
    access { relay only 127.0.0.1 }
    delivery { smart-host [127.0.0.1]:$PEER; authenticate any jones password; $how }
    domain here.example default
}
E
start_server strict.conf
printf '%s\n' 'EHLO x' 'MAIL FROM:<s@here.example>' 'RCPT TO:<a@strict.example>' DATA '' . QUIT | say >said
peer_ends
wait_for "grep -q 'reason=\"4.7.0 .* is not told who we are: there is no TLS, and the password would be said in clear' server.log"
wait_for 'grep -q "^Subject: .* takes no mail from us" strict/Drop/*.eml'
stop_server
