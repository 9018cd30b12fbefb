#!/bin/sh
# Goal: two virtual servers with different rules in one process take mail under load, while the wizard writes a third and
# a reload starts it: nothing is lost or refused because of it, each keeps to its own rules, and the third takes mail.
. "${TEST:-$(dirname "$0")}/lib.sh"

tools load
cat >smtpd.conf <<'E'
resolver 127.0.0.1:1
server one { general { listen 127.0.0.1:0; hostname one.example; mailroot one }; messages { max-size 4K }; domain bench.test default }
server two { general { listen 127.0.0.1:0; hostname two.example; mailroot two }; access { relay only 127.0.0.1 }; domain bench.test default }
E
start_server
ONE=$(port_of one) TWO=$(port_of two)
for i in one two; do
	[ $i = one ] && port=$ONE || port=$TWO
	spawn load-$i "$load" -p "$port" -c 10 -n 1500 -m 10 -D $i/Drop -w 60
done
wait_for '[ "$(ls one/Drop | wc -l)" -gt 50 ] && [ "$(ls two/Drop | wc -l)" -gt 50 ]'

"$SMTPD" -f smtpd.conf new-server three 127.0.0.1:0 three three.example </dev/null >wizard.out 2>&1 || fail "$(cat wizard.out)"
"$SMTPD" -f smtpd.conf reload >reload.out 2>&1 || fail "$(cat reload.out)"
use three
printf '%s\n' 'HELO x' 'MAIL FROM:<s@three.example>' 'RCPT TO:<u@three.example>' DATA 'Subject: third' '' . QUIT | say >said
grep -q '^250 2.6.0' said || fail "the third takes no mail: $(cat said)"
"$SMTPD" -f smtpd.conf reload >reload.out 2>&1 || fail "$(cat reload.out)"

# Its rules: one takes 4 KiB and relays for nobody, two more and for us.
PORT=$ONE; printf '%s\n' 'EHLO x' 'MAIL FROM:<> SIZE=9999' 'MAIL FROM:<>' 'RCPT TO:<u@far.example>' QUIT | say >said
grep -q '^552 5.3.4' said && grep -q '^550 5.7.1' said || fail "the rules of one: $(cat said)"
PORT=$TWO; printf '%s\n' 'EHLO x' 'MAIL FROM:<> SIZE=9999' 'RCPT TO:<u@far.example>' QUIT | say >said
is "$(grep -c '^250 2.1' said)" 2 'the rules of two'

wait_for '[ -e load-one.rc ] && [ -e load-two.rc ]' 60
for i in one two; do
	is "$(cat load-$i.rc)" 0 "status of the load on $i: $(cat load-$i.log)"
	is "$(ls $i/Drop | wc -l | tr -d ' ')" 1500 "messages in the Drop of $i"
	is "$(ls $i/Queue)" '' "left in the Queue of $i"
done
is "$(ls three/Drop | wc -l | tr -d ' ')" 1 'messages in the Drop of three'
stop_server
ok
