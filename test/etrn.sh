#!/bin/sh
# etrn: mail of a domain that says `hold' waits until it is asked for (RFC 1985), whatever the time and USR1 say, and through
# a restart; asked for, what waits by then goes to the domain's own host, and what comes later waits again. It expires as
# other mail does. In the end fetchmail asks.
# shellcheck disable=SC2012,SC2154
. "${TEST:-$(dirname "$0")}/lib.sh"
case ${SMTPD##*/} in smtpd-test*) ;; *) skip 'test/smtpd-test is not built' ;; esac
CLOCK_FILE=$T/clock; export CLOCK_FILE

tools sink
spawn sink "$sink" -g 1
wait_for 'grep -q listening sink.log'
hop="[127.0.0.1]:$(sed -n 's/^sink listening on .*://p' sink.log)"
# conf [ROW]: what the server's own smart host would get shows who is sent there by mistake.
conf() { cat <<-END
	resolver 127.0.0.1:1
	server s {
	    general { listen 127.0.0.1:0; hostname mail.here.example; mailroot m }
	    access { relay only 127.0.0.0/8; passwords passwords; clear-text-passwords yes }
	    delivery { glitch-retry 60s 3; retry 15m; notify 4h; expire 2d; smart-host [127.0.0.1]:1 }
	    domain here.example default
	    domain held.example remote { hold yes; smart-host $hop }
	    domain *.held.example remote { hold yes; smart-host $hop }
	    domain down.example remote { hold yes; smart-host [127.0.0.1]:1 }
	    domain branch.example remote { hold yes; hold-accounts anna; smart-host $hop }
	    ${1-}
	}
	END
}
at() { echo "$1" >clock.new; mv clock.new clock; echo QUIT | say >/dev/null; }
# letter TOKEN WHO@DOMAIN ...
letter() {
	token=$1; shift
	{
		printf '%s\n' 'EHLO x' 'MAIL FROM:<s@here.example>'
		for i; do echo "RCPT TO:<$i>"; done
		printf '%s\n' DATA "X-Token: $token" '' . QUIT
	} | say | grep -q '^250 2.6.0' || fail "letter $token is not taken"
	arrived=$(grep -l "^X-Token: $token" m/Queue/*.eml) || fail "letter $token does not stand in Queue"
	[ $# -gt 1 ] || wait_for '[ -s "${arrived%.eml}.txt" ]'
}
etrn() { printf '%s\n' 'EHLO x' "ETRN $1" QUIT | say | sed -n '/^250 AUTH/,/^221/p' | sed '1d;$d'; }
taken()  { sed -n 's/^took \([^ ]*\) .* to=<\([^>]*\)>.*/\1:\2/p' sink.log | sort | tr '\n' ' '; }
# gone LIST: these were sent, and no others.
gone() {
	gone_want=$1
	poll '[ "$(taken)" = "$gone_want" ]' || is "$(taken)" "$gone_want" 'what was sent'
}

conf >conf
start_server conf
letter 1 a@held.example
letter 2 b@held.example
letter 3 c@deep.held.example
letter 4 d@branch.example
letter 5 e@down.example
letter 6 f@held.example g@other.example
note=$(grep -l '^X-Token: 1' m/Queue/*.eml); note=${note%.eml}.txt
like "$(sed '2!d' "$note")" '    4.4.0 held until somebody asks for it (hold)*'
grep -q '^Held since: ' "$note" && ! grep -q attempt "$note" || fail "the note speaks of an attempt: $(cat "$note")"

# No time, no signal and no restart lets it go.
at 5000
kill -s USR1 "$(cat server.pid)"
wait_for 'grep -q USR1 server.log'
wait_for 'grep -q "destination=.*waiting=1 seconds=" server.log'
stop_server
start_server conf
at 9000
kill -s USR1 "$(cat server.pid)"
wait_for 'grep -q USR1 server.log'
is "$(echo QUIT | say | wc -l | tr -d ' ')" 2
gone ''
! grep -q 'destination=\(held\|down\|deep\|branch\)' server.log || fail 'somebody tried to send what is held'
ok 'it waits'

# What waits by now, and no more; the one below is asked for by its name, or with @.
is "$(etrn held.example)" '253 2.0.0 OK, pending messages for node held.example started: 3'
gone '1:a@held.example 2:b@held.example 6:f@held.example '
letter 7 h@held.example
wait_for 'ls m/Queue/*.txt | wc -l | grep -q "^ *5$"'
is "$(etrn branch.example)" '459 4.7.1 Node branch.example not allowed: its mail is collected by ATRN'
gone '1:a@held.example 2:b@held.example 6:f@held.example '
is "$(etrn @held.example)" '253 2.0.0 OK, pending messages for node @held.example started: 2'
sent='1:a@held.example 2:b@held.example 3:c@deep.held.example 6:f@held.example 7:h@held.example '
gone "$sent"
is "$(etrn @held.example)" '251 2.0.0 OK, no messages waiting for node @held.example'
is "$(grep -h '^x-receiver' m/Queue/*.eml | tr -d '\r' | sort | tr '\n' ' ')" \
	'x-receiver: d@branch.example x-receiver: e@down.example x-receiver: g@other.example ' 'who waits on'
is "$(ls m/Queue | sed 's/.*\.//' | sort | tr '\n' ' ')" 'eml eml eml txt txt txt ' 'notes of what has gone'
[ -n "$("$SMTPD" -f conf status metrics | grep '^smtpd_etrn_messages_total{server="s"} 5$')" ] || fail 'they are not counted'
ok 'it is sent when it is asked for'

# Who cannot be reached: what was released is mail like any other, by the schedule of one that cannot be reached. To ask
# again ends the back-off, but not again and again.
tries() { grep -c -- '^- destination=down.example .*waiting=' server.log; }
is "$(etrn down.example)" '253 2.0.0 OK, pending messages for node down.example started: 1'
wait_for '[ "$(tries)" = 1 ]'
letter 8 i@down.example
is "$(etrn down.example)" '253 2.0.0 OK, pending messages for node down.example started: 1'
wait_for '[ "$(tries)" = 2 ]'
for i in 1 2 3; do is "$(etrn down.example)" '250 2.0.0 OK, queuing for node down.example started'; done
letter 9 j@down.example
is "$(tries)" 2 'attempts'
like "$(grep 'destination=down.example .*waiting=' server.log | tail -n 1)" '*waiting=2 *'
at 9065
wait_for '[ "$(tries)" = 3 ]'
like "$(grep 'destination=down.example .*waiting=' server.log | tail -n 1)" '*waiting=2 *' 'what came later waits to be asked for'
grep -q 'Next attempt' "$(grep -l '^X-Token: 8' m/Queue/*.eml | sed 's/eml$/txt/')" || fail 'no next attempt of what was released'
ok 'a host that is not there'

# After a restart all of it is held again, and there to be asked for at once.
stop_server
start_server conf
is "$(etrn down.example)" '253 2.0.0 OK, pending messages for node down.example started: 3'
wait_for '[ "$(tries)" = 1 ]'
ok 'a restart'

# Who is put off by the host that he was sent to is not held again, but tried by the schedule.
letter 13 n@grey.held.example
like "$(etrn @held.example)" '253 *: 1'
wait_for 'grep -q "deferred .*to=<n@grey.held.example>" server.log'
sleep 1
at 10000
gone "13:n@grey.held.example $sent"
ok 'a host that says: later'

# Another configuration that holds no more lets all go. A session that began with the other one asks in vain.
letter 10 k@held.example
conf 'domain new.example remote { hold yes; smart-host [127.0.0.1]:1 }' | sed '/held.example/s/hold yes/hold no/' >conf
kill -s HUP "$(cat server.pid)"
sent="10:k@held.example 13:n@grey.held.example $sent"
gone "$sent"
is "$(etrn held.example)" '459 4.7.1 Node held.example not allowed: no mail is held for it'
conf >conf
kill -s HUP "$(cat server.pid)"
wait_for '[ "$(grep -c "read again" server.log)" = 2 ]'
letter 11 l@held.example
wait_for 'grep -q held "$(grep -l "^X-Token: 11" m/Queue/*.eml | sed "s/eml$/txt/")"'
ok 'another configuration'

# Its sender is told of the delay, and of the end: why, in words.
reports() { grep -l "^Action: $1" m/Drop/* 2>/dev/null | wc -l | tr -d ' '; }
rm -f m/Drop/*
at 30000
wait_for '[ "$(reports delayed)" -ge 6 ]'
grep -l 'rfc822;l@held.example' m/Drop/* >report
is "$(wc -l <report | tr -d ' ')" 1 'reports about letter 11'
grep -q 'held until somebody asks for it' "$(cat report)" || fail "not told why: $(cat "$(cat report)")"
grep -q '^It is held until the other side asks for it; ' "$(cat report)" && ! grep -q ' tried\|Last-Attempt' "$(cat report)" ||
	fail "the report of a delay speaks of attempts: $(cat "$(cat report)")"
stop_server
rm -f m/Drop/*
start_server conf
at 100000
is "$(etrn nobody.example)" '459 4.7.1 Node nobody.example not allowed: no mail is held for it'
letter 12 m@held.example
is "$(reports delayed)" 0 'told twice'
at 200000
wait_for '[ "$(reports failed)" = 6 ]'
wait_for '[ "$(ls m/Queue/*.eml | wc -l)" -eq 1 ]'
for i in d@branch e@down l@held; do
	grep -l "rfc822;$i.example" m/Drop/* >report || fail "no report about $i.example"
	tr -d '\r' <"$(cat report)" | grep -q '^Status: 4.4.7$' || fail "another status of $i.example"
done
grep -q 'held until somebody asks' "$(cat report)" || fail 'the end is told without the reason'
grep -q '^It was held until the other side asks for it, ' "$(cat report)" && ! grep -q ' tried\|Last-Attempt\|reached, or' "$(cat report)" ||
	fail "the report of the end speaks of attempts: $(cat "$(cat report)")"
gone "$sent"
ok 'it expires'

# A real one.
need fetchmail
mkdir home; HOME=$T/home FETCHMAILHOME=$T/home; export HOME FETCHMAILHOME
chmod 700 home
limit 10 fetchmail -v -f /dev/null -p ETRN -P "$PORT" --fetchdomains held.example 127.0.0.1 >fetchmail.log 2>&1 </dev/null ||
	{ cat fetchmail.log >&2; fail "fetchmail is not content"; }
grep -q 'ETRN> ETRN held.example' fetchmail.log || { cat fetchmail.log >&2; fail 'fetchmail did not ask'; }
poll 'taken | grep -q "12:m@held.example"' || fail 'fetchmail has asked in vain'
stop_server
