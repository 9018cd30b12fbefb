#!/bin/sh
# bouncecrash: a message for one who takes it and one who does not exist; the server is killed at each act on the disk
# that it does for it, one after the other, and started again. Its sender then has one bounce, at once; a copy more for
# the other one is allowed, none is not.
# shellcheck disable=SC2012,SC2016,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac

tools sink dnsd
spawn sink "$sink"
printf '%s\n' 'to.example 60 MX 10 mx.to.example' 'mx.to.example 60 A 127.0.0.1' >zone
spawn dns "$dnsd" zone
wait_for 'grep -q listening sink.log && grep -q listening dns.log'
cat >conf <<-END
	resolver $HOST:$(sed -n 's/^dnsd listening on .*://p' dns.log)
	server s {
	    general { listen $HOST:0; hostname mail.here.example; mailroot root }
	    access { relay only 127.0.0.0/8 }
	    delivery { port $(sed -n 's/^sink listening on .*://p' sink.log); retry 1s; glitch-retry 1s 1 }
	    domain here.example default { drop Drop }
	}
END

quiet() { [ -z "$(ls root/Queue root/SortTemp | grep '^2')" ]; }
# killed ACT NTH: prints whether the message was accepted; fails when it was not killed.
killed() {
	token=$1$2
	spawn server env FAULT="$1 $2 KILL" "$SMTPD" -f conf $ME
	poll '[ -n "$(announced "")" ] || [ -e server.rc ]'
	PORT=$(announced '') accepted=
	[ -z "$PORT" ] || printf '%s\n' 'EHLO x' 'MAIL FROM:<a@here.example>' 'RCPT TO:<good@to.example>' \
	    'RCPT TO:<bad@to.example>' DATA "X-Token: $token" '' . QUIT | say >said 2>&1
	! grep -q '^250 2.6.0' said || accepted=1
	poll '[ -e server.rc ] || { [ -n "$accepted" ] && quiet; }'
	[ -e server.rc ] || { kill_server; return 1; }
	rm -f server.pid
}
i=0
for act in open write sync rename; do
	nth=0
	while nth=$((nth + 1)); : >said; killed $act $nth; do
		i=$((i + 1))
		[ $nth -lt 50 ] || fail 'there is no end of it'
		[ -z "$(ls root/Queue)" ] || accepted=1         # or as good as that
		start_server conf
		poll quiet || fail "killed at $act $nth: there is left: $(ls root/Queue root/SortTemp | tr '\n' ' ')"
		stop_server
		set -- $(ls root/Drop)
		[ $# = 1 ] || { [ $# = 0 ] && [ -z "$accepted" ]; } || fail "killed at $act $nth: $# bounces"
		[ -z "$accepted" ] || grep -q "^took $token .*good" sink.log || fail "killed at $act $nth: not relayed"
		is "$(ls root/Badmail)" ''
		rm -f root/Drop/*
	done
	rm -f root/Drop/*
done
[ $i -gt 10 ] || fail "there were only $i such acts"
ok "killed at $i acts"
